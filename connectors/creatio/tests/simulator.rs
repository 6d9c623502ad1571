//! The simulator against what is documented of the API, by plain requests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use handoffd_contract::HttpCall;
use handoffd_contract::sandbox::{Request, Sandbox};
use serde_json::{Value, json};

const TASK: &str = "fbe0acdc-cfc0-df11-b00f-001d60e938c6";
const ID: &str = "1f2e3d4c-0000-4000-8000-0123456789ab";

fn post(site: &mut dyn Sandbox, path: &str, body: Value) -> (u16, Value) {
    let response = call(site, &HttpCall::post(path, body));
    (response.status, json_of(&response))
}

fn said(body: &Value) -> String {
    body["error"]["innererror"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

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
    for (runtime, good, bad) in [
        ("framework", "/0/odata/Case", "/odata/Case"),
        ("net", "/odata/Case", "/0/odata/Case"),
    ] {
        let mut site = site();
        site.switch("runtime", &json!(runtime)).unwrap();
        assert_eq!(get(&mut *site, good, &[]).status, 200);
        assert_eq!(get(&mut *site, bad, &[]).status, 404);
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
fn a_creation_is_answered_whole_and_only_once() {
    let mut site = site();
    let body = json!({ "Id": ID, "Name": "Ana Lopez", "MobilePhone": "+34 600 111 222" });
    let response = call(
        &mut *site,
        &HttpCall::post("/0/odata/Contact", body.clone()),
    );
    assert_eq!(response.status, 201);
    assert!(
        response
            .headers
            .iter()
            .any(|(n, v)| n == "location" && v.ends_with(&format!("/0/odata/Contact({ID})")))
    );
    let row = json_of(&response);
    assert_eq!(
        (row["Surname"].as_str(), row["GivenName"].as_str()),
        (Some("Lopez"), Some("Ana"))
    );
    assert_eq!(
        (row["AccountId"].as_str(), row["Email"].as_str()),
        (Some("00000000-0000-0000-0000-000000000000"), Some(""))
    );
    let again = post(&mut *site, "/0/odata/Contact", body);
    assert_eq!(again.0, 500);
    assert!(said(&again.1).contains("23505: duplicate key"));
    let options = json_of(&get(
        &mut *site,
        "/0/odata/ContactCommunication",
        &[
            ("$filter", &format!("Contact/Id eq {ID}")),
            ("$select", "Number,SearchNumber"),
        ],
    ));
    assert_eq!(
        options["value"],
        json!([{ "Number": "+34 600 111 222", "SearchNumber": "22211100643" }])
    );
    let more = json!({ "ContactId": ID, "CommunicationTypeId": "d4a2dc80-30ca-df11-9b2a-001d60e938c6", "Number": "+1 555 0100" });
    assert_eq!(
        post(&mut *site, "/0/odata/ContactCommunication", more).0,
        201
    );
    assert_eq!(
        json_of(&get(
            &mut *site,
            &format!("/0/odata/Contact({ID})"),
            &[("$select", "MobilePhone")]
        ))["MobilePhone"],
        "+1 555 0100",
        "overwritten"
    );
}

#[test]
fn what_a_database_refuses_is_refused() {
    let mut site = site();
    let table = [
        (
            "Case",
            json!({ "Subject": "x", "Nope": 1 }),
            400,
            "'Nope' does not exist",
        ),
        (
            "Case",
            json!({ "Subject": "x", "PriorityId": "High" }),
            400,
            "Edm.Guid",
        ),
        (
            "Case",
            json!({ "Subject": "x", "OwnerId": ID }),
            500,
            "23503: insert or update on table \"Case\"",
        ),
        (
            "Case",
            json!({ "Subject": "x", "OwnerId": "00000000-0000-0000-0000-000000000000" }),
            500,
            "23503",
        ),
        ("Case", json!({ "Subject": "x".repeat(501) }), 500, "22001"),
        ("Case", json!({}), 500, "Subject is empty"),
        (
            "Activity",
            json!({ "Title": "x", "OwnerId": null }),
            500,
            "Owner is empty",
        ),
        (
            "Activity",
            json!({ "Title": "x", "ShowInScheduler": "no" }),
            400,
            "Edm.Boolean",
        ),
        (
            "Activity",
            json!({ "Title": "x", "DetailedResult": "a\u{0}b" }),
            500,
            "0x00",
        ),
    ];
    for (set, body, status, words) in table {
        let (got, answer) = post(&mut *site, &format!("/0/odata/{set}"), body);
        assert_eq!(got, status, "{answer}");
        assert!(said(&answer).contains(words), "{answer}");
    }
    let plain = signed(&mut *site, "POST", "/0/odata/Case", "text/plain", b"{}");
    assert_eq!(plain.status, 415);
    assert_eq!(
        signed(
            &mut *site,
            "PUT",
            "/0/odata/Case",
            "application/json",
            b"{}"
        )
        .status,
        405
    );
    site.switch("over_length", &json!("truncate")).unwrap();
    assert_eq!(
        post(
            &mut *site,
            "/0/odata/Case",
            json!({ "Subject": "x".repeat(501) })
        )
        .0,
        201
    );
}

#[test]
fn objects_fill_in_what_is_missing() {
    let mut site = site();
    let (_, case) = post(
        &mut *site,
        "/0/odata/Case",
        json!({ "Id": ID, "Subject": "Broken" }),
    );
    assert_eq!(
        (case["Number"].as_str(), case["Symptoms"].as_str()),
        (Some("SR00000001"), Some("Broken"))
    );
    let (_, activity) = post(
        &mut *site,
        "/0/odata/Activity",
        json!({ "Title": "x", "CaseId": ID, "StartDate": "2026-11-20T09:58:12+05:00" }),
    );
    assert_eq!(activity["TypeId"], TASK);
    assert_eq!(
        activity["StartDate"], "2026-11-20T09:58:12Z",
        "an offset is dropped by default"
    );
    assert_ne!(activity["OwnerId"], "00000000-0000-0000-0000-000000000000");
    let gone = signed(
        &mut *site,
        "DELETE",
        &format!("/0/odata/Case({ID})"),
        "application/json",
        b"",
    );
    assert_eq!(gone.status, 500, "an activity refers to it");
    assert_eq!(
        signed(
            &mut *site,
            "PATCH",
            &format!("/0/odata/Case/{ID}"),
            "application/json",
            b"{\"Subject\":\"y\"}"
        )
        .status,
        204
    );
    assert_eq!(
        get(
            &mut *site,
            "/0/odata/Case(2f2e3d4c-0000-4000-8000-0123456789ab)",
            &[]
        )
        .status,
        404
    );
    assert_eq!(get(&mut *site, "/0/odata/Case('x')", &[]).status, 400);
}

#[test]
fn reading_takes_the_documented_options() {
    let mut site = site();
    for n in 0..5 {
        post(
            &mut *site,
            "/0/odata/Case",
            json!({ "Subject": format!("case {n}") }),
        );
    }
    let list = |site: &mut dyn Sandbox, query: &[(&str, &str)]| {
        json_of(&get(site, "/0/odata/Case", query))
    };
    let page = list(
        &mut *site,
        &[
            ("$select", "Number,StatusId"),
            ("$expand", "Status($select=Name,IsFinal)"),
            ("$orderby", "Number desc"),
            ("$top", "2"),
            ("$skip", "1"),
            ("$count", "true"),
        ],
    );
    assert_eq!(page["@odata.count"], 5);
    assert_eq!(page["value"][0]["Number"], "SR00000004");
    assert_eq!(
        page["value"][0]["Status"],
        json!({ "Name": "New", "IsFinal": false })
    );
    assert!(page["value"][0].get("Subject").is_none());
    assert_eq!(get(&mut *site, "/0/odata/Case/$count", &[]).body, b"5");
    for (name, value) in [
        ("$select", "Status/Name"),
        ("$orderby", "Status/Name"),
        ("$expand", "Nope"),
        ("$expand", "Contact($expand=Owner($expand=Owner))"),
        ("$top", "-1"),
        ("$apply", "x"),
        ("$search", "x"),
    ] {
        let response = get(&mut *site, "/0/odata/Case", &[(name, value)]);
        assert_eq!(response.status, 400, "{name}={value}");
    }
    let sets = json_of(&get(&mut *site, "/0/odata/", &[]));
    assert!(
        sets["value"]
            .as_array()
            .unwrap()
            .iter()
            .any(|set| set["name"] == "Case")
    );
    let xml = String::from_utf8(get(&mut *site, "/0/odata/$metadata", &[]).body).unwrap();
    assert!(
        xml.contains("<EntityType Name=\"Case\">")
            && xml.contains("Partner=\"ActivityCollectionByCase\"")
            && xml.ends_with("</edmx:Edmx>")
    );
}

#[test]
fn a_batch_stops_or_goes_on_and_takes_a_hundred() {
    let mut site = site();
    let part = |n: usize, subject: &str| json!({ "id": format!("t{n}"), "method": "POST", "url": "Case", "headers": { "Content-Type": "application/json;odata=verbose" }, "body": { "Subject": subject } });
    let batch = |site: &mut dyn Sandbox, parts: Vec<Value>, goes_on: bool| {
        let mut http = HttpCall::post("/0/odata/$batch", json!({ "requests": parts }));
        if goes_on {
            http = http.header("Prefer", "continue-on-error");
        }
        let response = call(site, &http);
        (response.status, json_of(&response))
    };
    let statuses = |body: &Value| {
        body["responses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["status"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let parts = vec![part(1, "a"), part(2, ""), part(3, "c")];
    assert_eq!(
        statuses(&batch(&mut *site, parts.clone(), false).1),
        [201, 500]
    );
    assert_eq!(statuses(&batch(&mut *site, parts, true).1), [201, 500, 201]);
    let read = json!({ "id": "g", "method": "GET", "url": "https://creatio.example/0/odata/Case?$select=Id&$filter=Subject%20eq%20'a'", "headers": {} });
    let (_, body) = batch(&mut *site, vec![read], true);
    assert_eq!(
        body["responses"][0]["body"]["value"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        batch(&mut *site, (0..100).map(|n| part(n, "x")).collect(), true).0,
        200
    );
    assert_eq!(
        batch(&mut *site, (0..101).map(|n| part(n, "x")).collect(), true).0,
        400
    );
    assert_eq!(
        batch(&mut *site, vec![part(1, "x"), part(1, "y")], true).0,
        400
    );
    assert_eq!(
        batch(
            &mut *site,
            vec![json!({ "method": "GET", "url": "Case" })],
            true
        )
        .0,
        400
    );
    site.switch("batch", &json!(false)).unwrap();
    assert_eq!(batch(&mut *site, vec![part(1, "x")], true).0, 403);
}

#[test]
fn files_go_by_stream_or_by_the_file_service() {
    let mut site = site();
    post(
        &mut *site,
        "/0/odata/Case",
        json!({ "Id": ID, "Subject": "x" }),
    );
    let file = "2f2e3d4c-0000-4000-8000-0123456789ab";
    assert_eq!(
        post(
            &mut *site,
            "/0/odata/CaseFile",
            json!({ "Id": file, "Name": "a.txt", "CaseId": ID })
        )
        .0,
        201
    );
    let data = format!("/0/odata/CaseFile({file})/Data");
    assert_eq!(
        signed(
            &mut *site,
            "PUT",
            &data,
            "application/octet-stream",
            b"hello"
        )
        .status,
        200
    );
    assert_eq!(get(&mut *site, &data, &[]).body, b"hello");
    site.switch("max_file_mb", &json!(0)).unwrap();
    let large = signed(
        &mut *site,
        "PUT",
        &data,
        "application/octet-stream",
        b"hello",
    );
    assert!(said(&json_of(&large)).contains("MaxFileSize"));
    site.switch("max_file_mb", &json!(1)).unwrap();

    let upload = |site: &mut dyn Sandbox, range: &str, body: &[u8]| {
        let mut headers = site.sign_in(at(10), &handoffd_contract::Auth::Target);
        headers.push(("content-range".into(), range.into()));
        let query = format!(
            "fileId=3f2e3d4c-0000-4000-8000-0123456789ab&totalFileLength=6&fileName=b.txt&columnName=Data&entitySchemaName=CaseFile&parentColumnName=Case&parentColumnValue={ID}"
        );
        let request = Request {
            query: handoffd_contract::sandbox::parse_query(&query),
            headers,
            body: body.to_vec(),
            ..unsigned("POST", "/0/rest/FileApiService/UploadFile")
        };
        json_of(&site.handle(at(10), &request))["success"]
            .as_bool()
            .unwrap()
    };
    assert!(
        !upload(&mut *site, "bytes 3-5/6", b"def"),
        "a chunk is missing"
    );
    assert!(upload(&mut *site, "bytes 0-2/6", b"abc"));
    assert!(!upload(&mut *site, "bytes 3-9/6", b"def"));
    assert!(upload(&mut *site, "bytes 3-5/6", b"def"));
    assert_eq!(
        get(
            &mut *site,
            "/0/rest/FileService/Download/CaseFile/3f2e3d4c-0000-4000-8000-0123456789ab",
            &[]
        )
        .body,
        b"abcdef"
    );
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
