//! Every role and every operation.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{ADMIN, Console, PEOPLE, Where};

/// What is written by others than admins, or read by others than everybody.
const OTHERWISE: [(&str, &str, &str); 16] = [
    ("post", "/v1/retry", "operator"),
    ("post", "/v1/skip", "operator"),
    ("post", "/v1/dead-letters/retry", "operator"),
    ("post", "/v1/dead-letters/drop", "operator"),
    ("post", "/v1/dead-letters/{id}/retry", "operator"),
    ("post", "/v1/dead-letters/{id}/edit", "operator"),
    ("post", "/v1/dead-letters/{id}/drop", "operator"),
    ("post", "/v1/search", "viewer"),
    ("post", "/v1/sessions/{id}/unmask", "viewer"),
    ("delete", "/v1/sessions/{id}/unmask", "viewer"),
    ("post", "/v1/mappings/{target}/preview", "viewer"),
    ("post", "/v1/mappings/{target}/compare", "viewer"),
    ("post", "/v1/mappings/{target}/condition", "viewer"),
    ("post", "/v1/mappings/{target}/chips", "viewer"),
    ("post", "/v1/mappings/{target}/tests/run", "viewer"),
    ("post", "/v1/dialects/{name}/preview", "viewer"),
];

/// Every operation of the document: method, path, role that it must need.
pub fn operations(document: &Value) -> Vec<(String, String, &'static str)> {
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let listed = OTHERWISE
                .iter()
                .find(|(listed, at, _)| listed == method && at == path);
            let role = match listed {
                Some((_, _, role)) => role,
                None if method == "get" => "viewer",
                None => "admin",
            };
            found.push((method.clone(), path.clone(), role));
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

/// A path with something in the place of its parameters.
pub fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => "1",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn rank(role: &str) -> usize {
    let roles = ["viewer", "operator", "admin"];
    roles.iter().position(|known| *known == role).unwrap()
}

/// Streams have no end to wait for.
pub fn is_stream(path: &str) -> bool {
    ["/v1/tap", "/v1/live"].contains(&path)
}

async fn every_role_and_every_operation(place: Where) {
    let console = Console::with(place, &json!({})).await;
    let document = console.told("/v1/openapi.json").await;
    let mut people = Vec::new();
    for (name, role) in PEOPLE {
        people.push((role, console.sign_in(name).await));
    }
    for (method, path, needed) in operations(&document) {
        assert_eq!(
            document["paths"][&path][&method]["x-role"], needed,
            "{path}"
        );
        let verb: Method = method.to_uppercase().parse().unwrap();
        let request = || {
            let request = console.ask(verb.clone(), &filled(&path));
            match verb == Method::GET {
                true => request,
                false => request.json(&json!({})),
            }
        };
        let nobody = request().send().await.unwrap();
        assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        assert!(nobody.headers().contains_key("www-authenticate"));
        for (role, who) in &people {
            let reply = who.sends(request()).send().await.unwrap();
            let status = reply.status();
            if rank(role) < rank(needed) {
                assert_eq!(status, StatusCode::FORBIDDEN, "{role} {method} {path}");
                let told: Value = reply.json().await.unwrap();
                let words = told["error"].as_str().unwrap();
                assert_eq!(words, format!("this needs the role {needed}"));
            } else {
                let refused = [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED];
                let is_unmasking = path.ends_with("/unmask");
                let is_let_through = is_unmasking || !refused.contains(&status);
                assert!(is_let_through, "{role} {method} {path}: {status}");
                assert!(!status.is_server_error(), "{method} {path}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn every_role_may_what_it_may_with_sqlite() {
    every_role_and_every_operation(Where::Sqlite).await;
}

#[tokio::test]
async fn every_role_may_what_it_may_with_postgresql() {
    every_role_and_every_operation(Where::Postgres).await;
}

#[tokio::test]
async fn the_admin_token_may_everything_and_another_nothing() {
    let console = Console::start().await;
    let me = console.told("/v1/me").await;
    assert_eq!(me["by"], "admin token");
    assert_eq!(
        (&me["role"], &me["unmask"]),
        (&json!("admin"), &json!(true))
    );
    assert_eq!(me["sign_in"], json!({"openid": false, "password": true}));
    for wrong in ["", "x", "hndf_x", &ADMIN[1..], &format!("{ADMIN}x")] {
        let reply = console.get("/v1/me").bearer_auth(wrong).send().await;
        assert_eq!(reply.unwrap().status(), 401, "{wrong}");
    }
    // What is shown is judged, also where a browser is signed in.
    let ana = console.sign_in("ana").await;
    let reply = ana
        .sends(console.get("/v1/me").bearer_auth("x"))
        .send()
        .await;
    assert_eq!(reply.unwrap().status(), 401);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply = console.get(path).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path} needs nobody");
    }
}

#[tokio::test]
async fn who_may_sign_in_is_listed_with_when_they_were_seen() {
    let console = Console::start().await;
    console.sign_in("otto").await;
    let told = console.told("/v1/users").await;
    let users = told["users"].as_array().unwrap();
    let named: Vec<_> = users
        .iter()
        .map(|user| {
            (
                user["name"].as_str().unwrap(),
                user["role"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [("ana", "admin"), ("otto", "operator"), ("vera", "viewer")]
    );
    assert!(users.iter().all(|user| user["from"] == "file"));
    assert!(users[1]["last_seen"].is_string() && users[0]["last_seen"].is_null());
}
