//! A daemon on which nothing is configured: open to this machine, and to no page of somebody else in
//! a browser on it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Console, Where};

#[tokio::test]
async fn this_machine_may_everything_where_nothing_is_configured() {
    let console = Console::bare(Where::Sqlite, json!({})).await;
    let me = console.get("/v1/me").send().await.unwrap();
    let me: Value = me.json().await.unwrap();
    assert_eq!(
        (&me["by"], &me["role"]),
        (&json!("this machine"), &json!("admin"))
    );
    let body = json!({"all": true, "dry_run": true});
    let own = format!("http://{}", console.daemon.admin);
    for headers in [
        vec![],
        vec![("sec-fetch-site", "same-origin"), ("origin", own.as_str())],
        vec![("sec-fetch-site", "none")],
        vec![("host", "localhost:8081")],
        vec![("host", "[::1]:8081")],
        vec![("authorization", "Bearer whatever")],
    ] {
        let request = console.post("/v1/retry").json(&body);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let status = request.send().await.unwrap().status();
        assert_eq!(status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn no_page_of_somebody_else_may_anything() {
    let console = Console::bare(Where::Sqlite, json!({})).await;
    for (method, headers) in [
        (Method::GET, vec![("host", "evil.example:8081")]),
        (
            Method::GET,
            vec![("host", "evil.example"), ("sec-fetch-site", "same-origin")],
        ),
        (Method::GET, vec![("host", "127.0.0.1.evil.example")]),
        (Method::GET, vec![("host", "192.0.2.7:8081")]),
        (Method::GET, vec![("sec-fetch-site", "cross-site")]),
        (Method::GET, vec![("sec-fetch-site", "same-site")]),
        (Method::GET, vec![("origin", "https://evil.example")]),
        (Method::POST, vec![("origin", "http://127.0.0.1:1")]),
        (Method::POST, vec![("origin", "null")]),
        (Method::POST, vec![("content-type", "text/plain")]),
        (
            Method::POST,
            vec![("content-type", "application/x-www-form-urlencoded")],
        ),
        (
            Method::POST,
            vec![
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
        ),
    ] {
        let path = match method == Method::GET {
            true => "/v1/lanes",
            false => "/v1/retry",
        };
        let request = console.ask(method.clone(), path).body("{\"all\":true}");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let reply = request.send().await.unwrap();
        assert_eq!(
            reply.status(),
            StatusCode::FORBIDDEN,
            "{method} {headers:?}"
        );
    }
    let told = console.get("/v1/audit").send().await.unwrap();
    let told: Value = told.json().await.unwrap();
    assert_eq!(told["entries"], json!([]));
}

/// Whoever is named in the configuration closes it for everybody else.
#[tokio::test]
async fn it_is_closed_once_anybody_is_named() {
    let hash = crate::world::hash("a long enough password");
    let over = json!({
        "secrets": {"ana": {"value": hash}},
        "access": {"user": [{"name": "ana", "role": "viewer", "password": "ana"}]},
    });
    let console = Console::bare(Where::Sqlite, over).await;
    let reply = console.get("/v1/me").send().await.unwrap();
    assert_eq!(reply.status(), 401);
    let reply = console.get("/v1/targets/hubspot/availability").send().await;
    assert_eq!(reply.unwrap().status(), 401);
}
