//! The simulated site around its data: sign-in, paths, processes, and what reps do.

use handoffd_contract::sandbox::{Request, Sandbox};
use serde_json::json;

use crate::common::*;
use crate::odata::{ID, post};

#[test]
fn tokens_come_from_both_addresses_and_run_out() {
    let mut site = site();
    let secrets = site.credentials("http://127.0.0.1:9103")["secrets"].clone();
    let settings = site.credentials("http://127.0.0.1:9103")["settings"].clone();
    let form = |secret: &str, grant: &str| {
        format!(
            "client_id={}&client_secret={secret}&grant_type={grant}",
            settings["auth"]["client_id"].as_str().unwrap()
        )
    };
    let secret = secrets["creatio_client_secret"].as_str().unwrap();
    let ask = |site: &mut dyn Sandbox, path: &str, form: &str| {
        let headers = vec![(
            "content-type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )];
        let response = site.handle(
            at(0),
            &Request {
                headers,
                body: form.as_bytes().to_vec(),
                ..unsigned("POST", path)
            },
        );
        (response.status, json_of(&response))
    };
    for path in ["/connect/token", "/0/connect/token"] {
        let (status, body) = ask(&mut *site, path, &form(secret, "client_credentials"));
        assert_eq!((status, body["expires_in"].as_i64()), (200, Some(3_600)));
        assert!(body["access_token"].as_str().unwrap().len() > 700);
        assert_eq!(
            ask(&mut *site, path, &form("wrong", "client_credentials")),
            (400, json!({ "error": "invalid_client" }))
        );
        assert_eq!(
            ask(&mut *site, path, &form(secret, "password")),
            (400, json!({ "error": "unauthorized_client" }))
        );
    }
    let (_, body) = ask(
        &mut *site,
        "/connect/token",
        &form(secret, "client_credentials"),
    );
    let bearer = vec![(
        "authorization".to_owned(),
        format!("Bearer {}", body["access_token"].as_str().unwrap()),
    )];
    let read = Request {
        headers: bearer,
        ..unsigned("GET", "/0/odata/Case")
    };
    assert_eq!(site.handle(at(3_599), &read).status, 200);
    assert_eq!(site.handle(at(3_600), &read).status, 401);
    site.switch("token_style", &json!("site")).unwrap();
    assert_eq!(ask(&mut *site, "/connect/token", "").0, 404);
    assert!(
        json_of(&site.handle(
            at(0),
            &unsigned("GET", "/0/.well-known/openid-configuration")
        ))["token_endpoint"]
            .as_str()
            .unwrap()
            .ends_with("/0/connect/token")
    );
}

#[test]
fn the_form_signs_in_at_the_root_and_every_write_needs_the_csrf_header() {
    let mut site = site();
    let login = |site: &mut dyn Sandbox, path: &str, password: &str| {
        let body = json!({ "UserName": "handoffd", "UserPassword": password })
            .to_string()
            .into_bytes();
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        site.handle(
            at(0),
            &Request {
                headers,
                body,
                ..unsigned("POST", path)
            },
        )
    };
    let password = site.credentials("https://x")["secrets"]["creatio_password"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        login(
            &mut *site,
            "/0/ServiceModel/AuthService.svc/Login",
            &password
        )
        .status,
        401
    );
    let wrong = login(&mut *site, "/ServiceModel/AuthService.svc/Login", "wrong");
    assert_eq!(
        (wrong.status, json_of(&wrong)["Code"].as_i64()),
        (200, Some(1))
    );
    let right = login(&mut *site, "/ServiceModel/AuthService.svc/Login", &password);
    assert_eq!(json_of(&right)["Code"], 0);
    let cookies: Vec<String> = right
        .headers
        .iter()
        .filter(|(n, _)| n == "set-cookie")
        .map(|(_, v)| v.split(';').next().unwrap().to_owned())
        .collect();
    let csrf = cookies
        .iter()
        .find_map(|c| c.strip_prefix("BPMCSRF="))
        .unwrap()
        .to_owned();
    let request = |method: &str, csrf: Option<&str>| {
        let mut headers = vec![
            ("cookie".to_owned(), cookies.join("; ")),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(csrf.map(|csrf| ("bpmcsrf".to_owned(), csrf.to_owned())));
        Request {
            headers,
            body: json!({ "Name": "x" }).to_string().into_bytes(),
            ..unsigned(method, "/0/odata/Contact")
        }
    };
    assert_eq!(site.handle(at(1), &request("GET", None)).status, 200);
    assert_eq!(site.handle(at(1), &request("POST", None)).status, 403);
    assert_eq!(
        site.handle(at(1), &request("POST", Some(&csrf))).status,
        201
    );
    for (style, status) in [("401", 401), ("redirect", 302), ("page", 200)] {
        site.switch("expiry_style", &json!(style)).unwrap();
        let response = site.handle(at(2 * 3_600), &request("GET", None));
        assert_eq!(response.status, status);
        if style == "page" {
            assert!(response.headers[0].1.starts_with("text/html"));
        }
    }
}

#[test]
fn paths_follow_the_hosting() {
    // On .NET the prefix may stand there or not.
    for (runtime, path, status) in [
        ("framework", "/0/odata/Case", 200),
        ("framework", "/odata/Case", 404),
        ("net", "/odata/Case", 200),
        ("net", "/0/odata/Case", 200),
    ] {
        let mut site = site();
        site.switch("runtime", &json!(runtime)).unwrap();
        assert_eq!(
            get(&mut *site, path, &[]).status,
            status,
            "{runtime} {path}"
        );
    }
    let mut site = site();
    assert_eq!(
        site.handle(at(0), &unsigned("GET", "/0/odata/Case")).status,
        401
    );
    assert_eq!(
        site.handle(at(0), &unsigned("GET", "/0/api/HealthCheck/Ping"))
            .status,
        200
    );
    assert!(
        json_of(&get(&mut *site, "/0/odata/UsrNothing", &[]))["MessageDetail"]
            .as_str()
            .unwrap()
            .contains("UsrNothing")
    );
    assert_eq!(get(&mut *site, "/0/rest/odata/Case", &[]).status, 404);
}

#[test]
fn processes_call_back_also_for_our_own_rows_and_retry() {
    let mut site = site();
    post(
        &mut *site,
        "/0/odata/Case",
        json!({ "Id": ID, "Subject": "x" }),
    );
    assert!(site.deliveries(at(20)).is_empty());
    site.switch("webhook_url", &json!("http://127.0.0.1:1/hook"))
        .unwrap();
    site.switch("webhook_retries", &json!(1)).unwrap();
    site.switch("webhook_retry_delay_ms", &json!(1_000))
        .unwrap();
    post(
        &mut *site,
        "/0/odata/Activity",
        json!({ "Title": "ours", "CaseId": ID }),
    );
    post(
        &mut *site,
        "/0/odata/Activity",
        json!({ "Title": "no case" }),
    );
    let due = site.deliveries(at(20));
    assert_eq!((due.len(), due[0].timeout_ms), (1, 5_000));
    assert!(String::from_utf8_lossy(&due[0].body).contains("new_activity"));
    assert!(site.deliveries(at(20)).is_empty(), "each is given out once");
    site.delivered(at(20), due[0].id, None);
    assert!(site.deliveries(at(20)).is_empty());
    let again = site.deliveries(at(21));
    assert_eq!(again[0].body, due[0].body);
    site.delivered(at(21), again[0].id, Some(500));
    assert!(
        site.deliveries(at(99)).is_empty(),
        "no more than the configured retries"
    );
    site.switch("webhook_own_rows", &json!(false)).unwrap();
    post(
        &mut *site,
        "/0/odata/Activity",
        json!({ "Title": "ours", "CaseId": ID }),
    );
    assert!(site.deliveries(at(99)).is_empty());
    site.act(at(99), &json!({ "act": "close", "case": "SR00000001" }))
        .unwrap();
    assert!(String::from_utf8_lossy(&site.deliveries(at(99))[0].body).contains("case_closed"));
}

#[test]
fn reps_act_and_mistakes_are_explained() {
    let mut site = site();
    post(
        &mut *site,
        "/0/odata/Case",
        json!({ "Id": ID, "Subject": "x" }),
    );
    site.act(at(1), &json!({ "act": "note", "text": "internal" }))
        .unwrap();
    site.act(at(2), &json!({ "act": "transfer", "to": "Sam Support" }))
        .unwrap();
    site.act(at(3), &json!({ "act": "reopen" })).unwrap();
    let case = site.view()["cases"][0].clone();
    assert_eq!(
        (case["owner"].as_str(), case["status"].as_str()),
        (Some("Sam Support"), Some("Reopened"))
    );
    assert_eq!(case["feed"][0]["audience"], "internal");
    for (act, words) in [
        (json!({ "act": "dance" }), "acts are"),
        (json!({ "act": "reply", "case": "SR99" }), "no such case"),
        (json!({ "act": "reply", "rep": "Nobody" }), "no such rep"),
        (
            json!({ "act": "attach", "activity": "x" }),
            "id of an activity",
        ),
    ] {
        assert!(site.act(at(4), &act).unwrap_err().contains(words), "{act}");
    }
    assert!(
        site.switch("nonsense", &json!(1))
            .unwrap_err()
            .contains("webhook_url")
    );
    assert!(
        site.switch("batch", &json!("x"))
            .unwrap_err()
            .contains("true or false")
    );
    site.switch(
        "column",
        &json!({ "entity": "Case", "name": "UsrOutcomeId", "kind": "UsrOutcome" }),
    )
    .unwrap();
    assert_eq!(get(&mut *site, "/0/odata/UsrOutcome", &[]).status, 200);
    site.switch("requests_per_second", &json!(1)).unwrap();
    assert_eq!(get(&mut *site, "/0/odata/Case", &[]).status, 200);
    assert_eq!(get(&mut *site, "/0/odata/Case", &[]).status, 429);
}
