//! Whom a proxy names.

use serde_json::{Value, json};

use crate::world::{Console, Where};

fn over(proxies: &[&str]) -> Value {
    json!({
        "http": {"trusted_proxies": proxies},
        "access": {"proxy": {
            "user_header": "X-Forwarded-User", "roles_header": "X-Forwarded-Groups",
            "roles": {"admin": ["crm-admins"], "viewer": ["*"], "unmask": ["privacy"]},
        }},
    })
}

async fn me(console: &Console, headers: &[(&str, &str)]) -> Option<Value> {
    let request = console.get("/v1/me");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let reply = request.send().await.unwrap();
    match reply.status().as_u16() {
        200 => Some(reply.json().await.unwrap()),
        401 => None,
        other => panic!("{headers:?}: {other}"),
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_who_asks() {
    let console = Console::bare(Where::Sqlite, over(&["127.0.0.1"])).await;
    let ana = ("x-forwarded-user", "ana@example.com");
    let told = me(&console, &[ana]).await.unwrap();
    assert_eq!(
        (&told["name"], &told["by"]),
        (&json!("ana@example.com"), &json!("proxy"))
    );
    assert_eq!(told["role"], "viewer");
    let groups = ("x-forwarded-groups", "sales, crm-admins,privacy");
    let told = me(&console, &[ana, groups]).await.unwrap();
    assert_eq!(
        (&told["role"], &told["unmask"]),
        (&json!("admin"), &json!(true))
    );
    let retry = |site: &'static str| {
        let request = console.post("/v1/retry").header(ana.0, ana.1);
        let request = request
            .header(groups.0, groups.1)
            .header("sec-fetch-site", site);
        request.json(&json!({"all": true, "dry_run": true})).send()
    };
    assert_eq!(retry("same-origin").await.unwrap().status(), 200);
    assert_eq!(retry("cross-site").await.unwrap().status(), 403);
}

#[tokio::test]
async fn nobody_else_names_anybody() {
    let console = Console::bare(Where::Sqlite, over(&["127.0.0.1"])).await;
    let ana = ("x-forwarded-user", "ana");
    assert!(me(&console, &[]).await.is_none());
    assert!(me(&console, &[("x-forwarded-user", " ")]).await.is_none());
    assert!(me(&console, &[ana, ana]).await.is_none(), "one of two");
    // A page whose name leads to the proxy's machine.
    assert!(
        me(&console, &[ana, ("host", "evil.example")])
            .await
            .is_none()
    );
    let elsewhere = Console::bare(Where::Sqlite, over(&["10.0.0.0/8"])).await;
    assert!(me(&elsewhere, &[ana]).await.is_none(), "not by the proxy");
}
