//! The simulator is as strict as the documentation, whoever its client is.

use crate::scene::{API, CONVERSATION, SUBJECT, Scene};
use handoffd_contract::Auth;
use handoffd_contract::sandbox::{Request, Sandbox};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Both token endpoints and the renewal, as a client without any of our code uses them.
#[test]
fn tokens_are_minted_for_whom_the_keyset_vouches() {
    let mut org = handoffd_salesforce::sandbox();
    let now: Timestamp = "2026-11-20T10:00:00Z".parse().expect("time");
    let key = org.credentials("http://x")["secrets"]["salesforce_private_key"]
        .as_str()
        .expect("key")
        .to_owned();
    let sign = |kid: &str, iss: &str, exp: i64, alg| {
        let mut header = jsonwebtoken::Header::new(alg);
        header.kid = Some(kid.into());
        let claims = json!({ "sub": SUBJECT, "iss": iss, "iat": now.as_second() - 30, "exp": now.as_second() + exp });
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(key.as_bytes()).expect("key");
        jsonwebtoken::encode(&header, &claims, &key).expect("token")
    };
    let body = |token: Option<&str>| {
        let mut body = json!({ "orgId": "00DHs000001sbx1", "esDeveloperName": "Handoffd_Custom_Client", "capabilitiesVersion": "1",
            "platform": "Web", "context": { "appName": "handoffd", "clientVersion": "1" } });
        if let Some(token) = token {
            body["authorizationType"] = "JWT".into();
            body["customerIdentityToken"] = token.into();
        }
        body
    };
    let post = |org: &mut Box<dyn Sandbox>, kind: &str, body: &Value| {
        let headers = vec![("content-type".into(), "application/json".into())];
        let path = format!("{API}/authorization/{kind}/access-token");
        let response = org.handle(
            now,
            &Request {
                method: "POST".into(),
                path,
                headers,
                body: body.to_string().into(),
                ..Request::default()
            },
        );
        (
            response.status,
            serde_json::from_slice::<Value>(&response.body).unwrap_or_default(),
        )
    };
    let subject = |body: &Value| {
        body["context"]["endUser"]["subject"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    use jsonwebtoken::Algorithm::{RS256, RS512};
    let good = sign("sandbox-test-key", "handoffd-sandbox", 600, RS256);
    for token in [
        good.clone(),
        sign("sandbox-test-key", "handoffd-sandbox", 600, RS512),
    ] {
        let (status, answer) = post(&mut org, "authenticated", &body(Some(&token)));
        assert_eq!(status, 200, "{answer}");
        assert!(
            subject(&answer).contains("/AUTH/") && subject(&answer).ends_with("uid:handoffd:201"),
            "{answer}"
        );
        assert!(
            answer["lastEventId"]
                .as_str()
                .is_some_and(|id| id.parse::<u64>().is_ok())
        );
    }
    for token in [
        sign("other", "handoffd-sandbox", 600, RS256),
        sign("sandbox-test-key", "somebody", 600, RS256),
        sign("sandbox-test-key", "handoffd-sandbox", -1, RS256),
        format!("{}x", &good[..good.len() - 4]),
    ] {
        let (status, answer) = post(&mut org, "authenticated", &body(Some(&token)));
        assert!(
            status == 200 && subject(&answer).contains("/ANON/"),
            "{answer}"
        );
        org.switch("bad_identity", &json!("refuse"))
            .expect("switch");
        assert_eq!(post(&mut org, "authenticated", &body(Some(&token))).0, 400);
        org.switch("bad_identity", &json!("anon")).expect("switch");
    }
    let wrong = |change: fn(&mut Value)| {
        let mut body = body(Some("x"));
        change(&mut body);
        body
    };
    for bad in [
        wrong(|b| b["orgId"] = "00DHs000001sbx1AAA".into()),
        wrong(|b| b["esDeveloperName"] = "Web".into()),
        wrong(|b| b["context"] = Value::Null),
        wrong(|b| b["extra"] = 1.into()),
        wrong(|b| b["capabilitiesVersion"] = 1.into()),
        wrong(|b| b["authorizationType"] = "Basic".into()),
        wrong(|b| b["deviceId"] = "2F0E5A40-5a5c-4b9c-9a55-2f2b9f5d8b11".into()),
    ] {
        assert_eq!(post(&mut org, "authenticated", &bad).0, 400, "{bad}");
    }
    assert_eq!(
        post(&mut org, "unauthenticated", &body(None)).0,
        400,
        "user verification is on"
    );
    org.switch("user_verification", &json!(false))
        .expect("switch");
    let (status, answer) = post(&mut org, "unauthenticated", &body(None));
    assert!(status == 200 && subject(&answer).contains("/ANON/"));

    let old = answer["accessToken"].as_str().expect("token").to_owned();
    let renew = |org: &mut Box<dyn Sandbox>, at: Timestamp| {
        let headers = vec![("authorization".into(), format!("Bearer {old}"))];
        let path = format!("{API}/authorization/continuation-access-token");
        org.handle(
            at,
            &Request {
                method: "GET".into(),
                path,
                headers,
                ..Request::default()
            },
        )
    };
    let renewed = renew(&mut org, now);
    let answer: Value = serde_json::from_slice(&renewed.body).expect("json");
    assert!(
        renewed.status == 200
            && answer["accessToken"] != old.as_str()
            && answer["lastEventId"].is_string()
    );
    let late = renew(&mut org, now + SignedDuration::from_mins(61));
    assert_eq!((late.status, late.body), (401, b"Jwt is expired".to_vec()));
    let limited = (0..250)
        .map(|_| post(&mut org, "unauthenticated", &body(None)).0)
        .filter(|status| *status == 429)
        .count();
    assert!(limited >= 50, "{limited}");
}

#[test]
fn the_simulator_refuses_what_the_api_refuses() {
    let mut scene = Scene::new(json!({}));
    let path = format!("/conversation/{CONVERSATION}/message");
    let good = |id: &str| {
        json!({ "esDeveloperName": "Handoffd_Custom_Client", "message": { "id": id,
        "messageType": "StaticContentMessage", "staticContent": { "formatType": "Text", "text": "x" } } })
    };
    let id = |n: u32| format!("7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2{n:03}");
    let changed = |change: fn(&mut Value)| {
        let mut body = good(&id(0));
        change(&mut body);
        body
    };
    for bad in [
        changed(|b| b["message"]["id"] = "7E0B6D1C-4F6E-4B65-8D3A-0F6A1E1E2001".into()),
        changed(|b| b["message"]["id"] = "7e0b6d1c-4f6e-1b65-8d3a-0f6a1e1e2001".into()),
        changed(|b| b["message"]["messageType"] = "ChoicesMessage".into()),
        changed(|b| b["message"]["staticContent"]["text"] = "".into()),
        changed(|b| b["message"]["surprise"] = 1.into()),
        changed(|b| b["surprise"] = 1.into()),
        changed(|b| b["esDeveloperName"] = Value::Null),
        changed(|b| b["routingAttributes"] = json!({ "n": 1 })),
        changed(|b| b["routingAttributes"] = json!({ "n": "x".repeat(256) })),
        changed(|b| b["isNewMessagingSession"] = true.into()),
    ] {
        assert_eq!(scene.post(&path, &bad).status, 400, "{bad}");
    }
    assert_eq!(scene.post(&path, &good(&id(1))).status, 202);
    assert_eq!(scene.post(&path, &good(&id(1))).status, 409);
    scene
        .org
        .switch("message_repeat", &json!("202"))
        .expect("switch");
    assert_eq!(scene.post(&path, &good(&id(1))).status, 202);
    let statuses: Vec<u16> = (2..30)
        .map(|n| scene.post(&path, &good(&id(n))).status)
        .collect();
    assert_eq!(
        statuses.iter().filter(|s| **s == 202).count(),
        21,
        "22 messages a minute"
    );
    let limited = scene.post(&path, &good(&id(40)));
    assert!(limited.status == 429 && limited.headers.iter().any(|(n, _)| n == "retry-after"));
    assert_eq!(
        scene
            .request("GET", "/conversation/00000000-0000-4000-8000-000000000000")
            .status,
        404
    );
    assert_eq!(
        scene
            .request("GET", &format!("/conversation/{CONVERSATION}/nothing"))
            .status,
        404
    );
    let entries = format!("/conversation/{CONVERSATION}/entries");
    assert_eq!(scene.request("GET", &entries).status, 200);
    assert_eq!(scene.request("GET", &entries).status, 429);
    let other = scene.org.sign_in(
        scene.now,
        &Auth::Customer {
            subject: "somebody".into(),
        },
    );
    let get = Request {
        method: "GET".into(),
        path: format!("{API}{entries}"),
        headers: other,
        ..Request::default()
    };
    assert_eq!(scene.org.handle(scene.now, &get).status, 403);
    assert_eq!(
        scene
            .org
            .handle(
                scene.now,
                &Request {
                    headers: Vec::new(),
                    ..get
                }
            )
            .status,
        401
    );
    let sse = Request {
        method: "GET".into(),
        path: "/eventrouter/v1/sse".into(),
        headers: scene.signed(),
        ..Request::default()
    };
    assert_eq!(
        scene.org.handle(scene.now, &sse).status,
        400,
        "X-Org-Id is missing"
    );
    assert!(
        scene
            .org
            .switch("nonsense", &json!(1))
            .is_err_and(|words| words.contains("entries_gap_ms"))
    );
    assert!(scene.org.switch("replay", &json!("sometimes")).is_err());
    assert!(
        scene
            .org
            .act(scene.now, &json!({ "act": "dance" }))
            .is_err_and(|words| words.contains("accept"))
    );
    assert!(
        scene
            .org
            .act(scene.now, &json!({ "act": "text", "text": "x" }))
            .is_err_and(|words| words.contains("accept first"))
    );
    scene
        .org
        .switch(
            "fail_next",
            &json!({ "status": 503, "times": 1, "path": "/entries" }),
        )
        .expect("switch");
    assert_eq!(
        scene
            .request("GET", &format!("/conversation/{CONVERSATION}"))
            .status,
        200
    );
    assert_eq!(scene.request("GET", &entries).status, 503);
}
