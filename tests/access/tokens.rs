//! Tokens of scripts.

use handoffd::ledger::access::TokenRow;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Console, SignedIn, Where, key};

async fn made(console: &Console, who: &SignedIn, wanted: Value) -> (StatusCode, Value) {
    let request = who.sends(console.post("/v1/tokens")).json(&wanted);
    let reply = request.send().await.unwrap();
    (reply.status(), reply.json().await.unwrap())
}

async fn a_token_lives_and_is_taken_away(place: Where) {
    let console = Console::with(place, &json!({})).await;
    let ana = console.sign_in("ana").await;
    let wanted = json!({"name": "nightly report", "role": "operator", "days": 30});
    let (status, told) = made(&console, &ana, wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    let secret = told["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("hndf_") && secret.len() == 48,
        "{secret}"
    );
    let id = told["token"]["id"].as_str().unwrap();
    let me = async || {
        let reply = console.get("/v1/me").bearer_auth(secret).send().await;
        let reply = reply.unwrap();
        (reply.status(), reply.json::<Value>().await.unwrap())
    };
    let (status, told) = me().await;
    assert_eq!(status, 200);
    assert_eq!(told["name"], "ana");
    assert_eq!(told["by"], "token: nightly report");
    assert_eq!(
        (&told["role"], &told["unmask"]),
        (&json!("operator"), &json!(false))
    );
    let retry = console.post("/v1/retry").bearer_auth(secret);
    let retry = retry.json(&json!({"all": true, "dry_run": true}));
    assert_eq!(retry.send().await.unwrap().status(), 200);
    let tokens = console.post("/v1/tokens").bearer_auth(secret);
    let tokens = tokens.json(&json!({"name": "x", "role": "viewer"}));
    assert_eq!(tokens.send().await.unwrap().status(), 403);

    let listed = console.told("/v1/tokens").await;
    let token = &listed["tokens"][0];
    assert_eq!(token["name"], "nightly report");
    assert!(token["last_used"].is_string() && token["until"].is_string());
    assert!(!listed.to_string().contains(secret), "it is shown once");

    let revoke = console.ask(Method::DELETE, &format!("/v1/tokens/{id}"));
    let reply = ana.sends(revoke).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(me().await.0, 401, "at once");
    let again = console.ask(Method::DELETE, &format!("/v1/tokens/{id}"));
    assert_eq!(ana.sends(again).send().await.unwrap().status(), 404);
    let audit = console.told("/v1/audit").await;
    assert!(!audit.to_string().contains(secret));
    let what: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["what"].as_str().unwrap(),
                entry["object"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        what,
        [
            ("token revoked", "nightly report"),
            ("token made", "nightly report"),
            ("sign-in", "")
        ]
    );
    assert_eq!(audit["entries"][1]["after"]["role"], "operator");
}

#[tokio::test]
async fn a_token_lives_and_is_taken_away_with_sqlite() {
    a_token_lives_and_is_taken_away(Where::Sqlite).await;
}

#[tokio::test]
async fn a_token_lives_and_is_taken_away_with_postgresql() {
    a_token_lives_and_is_taken_away(Where::Postgres).await;
}

#[tokio::test]
async fn a_token_is_never_more_than_its_maker_is_now() {
    let console = Console::start().await;
    let ledger = console.ledger().await;
    let row = |id: &str, owner: &str, way: &str| TokenRow {
        id: id.into(),
        name: id.into(),
        owner: owner.into(),
        owner_way: way.into(),
        role: "admin".into(),
        unmask: true,
        made_at: Timestamp::now(),
        until: None,
        used_at: None,
    };
    let past = Timestamp::now() - SignedDuration::from_mins(1);
    let old = TokenRow {
        until: Some(past),
        ..row("old", "ana", "password")
    };
    for (row, role) in [
        (row("whole", "ana", "password"), Some("admin")),
        (row("less", "otto", "password"), Some("operator")),
        (row("gone", "eve", "password"), None),
        (row("elsewhere", "ana", "openid"), None),
        (old, None),
    ] {
        let secret = format!("hndf_{:A<43}", row.id);
        let id = row.id.clone();
        ledger
            .put_token(&key(&format!("x={secret}")), &row)
            .await
            .unwrap();
        let reply = console
            .get("/v1/me")
            .bearer_auth(&secret)
            .send()
            .await
            .unwrap();
        match role {
            None => assert_eq!(reply.status(), 401, "{id}"),
            Some(role) => {
                let told: Value = reply.json().await.unwrap();
                assert_eq!(told["role"], role, "{id}");
                assert_eq!(told["unmask"], role == "admin", "{id}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_described_well_is_not_made() {
    let console = Console::start().await;
    let ana = console.sign_in("ana").await;
    for (wanted, words) in [
        (
            json!({"name": " ", "role": "viewer"}),
            "name: a text of 0 characters",
        ),
        (
            json!({"name": "x".repeat(81), "role": "viewer"}),
            "name: a text of 81 characters",
        ),
        (
            json!({"name": "x", "role": "viewer", "days": 0}),
            "days: the number 0",
        ),
        (
            json!({"name": "x", "role": "viewer", "days": 9_999}),
            "days: the number 9999",
        ),
    ] {
        let (status, told) = made(&console, &ana, wanted).await;
        assert_eq!(status, 400, "{told}");
        assert!(told["error"].as_str().unwrap().starts_with(words), "{told}");
    }
}
