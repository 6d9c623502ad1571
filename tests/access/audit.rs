//! What was done by whom.

use serde_json::{Value, json};

use crate::world::{ADMIN, Console, Where};

async fn what_is_done_is_written_down(place: Where) {
    let console = Console::with(place, &json!({})).await;
    let otto = console.sign_in("otto").await;
    console.try_sign_in("ana", "wrong").await;
    console.try_sign_in("hunter2-in-the-wrong-field", "x").await;
    for body in [json!({"all": true}), json!({"all": true, "dry_run": true})] {
        let reply = otto
            .sends(console.post("/v1/retry"))
            .json(&body)
            .send()
            .await;
        assert_eq!(reply.unwrap().status(), 200);
    }
    let skip = json!({"reason": "invalid", "target": "hubspot"});
    let reply = otto
        .sends(console.post("/v1/skip"))
        .json(&skip)
        .send()
        .await;
    assert_eq!(reply.unwrap().status(), 200);
    let drop = console.post("/v1/dead-letters/7/drop").bearer_auth(ADMIN);
    assert_eq!(drop.send().await.unwrap().status(), 409);
    let all = console.post("/v1/dead-letters/retry").bearer_auth(ADMIN);
    let reply = all.json(&json!({"all": true})).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let (code, said) = console.daemon.command(&["retry", "--all"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = console.daemon.command(&["skip", "--all", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");

    let told = console.told("/v1/audit").await;
    let entries = told["entries"].as_array().unwrap();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let short: Vec<String> = entries
        .iter()
        .rev()
        .map(|entry| {
            let who = match text(entry, "by").as_str() {
                "command" => "somebody".to_owned(),
                _ => text(entry, "who"),
            };
            let [by, what] = ["by", "what"].map(|key| text(entry, key));
            let [object, outcome] = ["object", "outcome"].map(|key| text(entry, key));
            format!("{who} ({by}) {what} [{object}]: {outcome}")
        })
        .collect();
    assert_eq!(
        short,
        [
            "otto (password) sign-in []: done",
            "ana (password) sign-in [127.0.0.1]: the name and the password do not match",
            "unknown (password) sign-in [127.0.0.1]: the name and the password do not match",
            "otto (password) retry [all]: done",
            "otto (password) skip [target hubspot, reason invalid]: done",
            "admin token (admin token) dead letter drop [dead letter 7]: not done",
            "admin token (admin token) dead letter retry [all dead letters]: done",
            "somebody (command) retry [all]: done",
        ]
    );
    assert!(!told.to_string().contains("hunter2"));
    assert_eq!(entries[4]["after"], json!({"count": 0, "lanes": []}));
    assert_eq!(told["next"], Value::Null);

    let of_otto = console.told("/v1/audit?who=otto").await;
    assert_eq!(of_otto["entries"].as_array().unwrap().len(), 3);
    let retries = console.told("/v1/audit?what=retry&who=otto").await;
    assert_eq!(retries["entries"].as_array().unwrap().len(), 1);
    // Page by page it is the same.
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = console.told(&format!("/v1/audit?limit=3{next}")).await;
        paged.extend(page["entries"].as_array().unwrap().clone());
        let Some(after) = page["next"].as_i64() else {
            break;
        };
        next = format!("&after={after}");
    }
    assert_eq!(paged, *entries);
}

#[tokio::test]
async fn what_is_done_is_written_down_with_sqlite() {
    what_is_done_is_written_down(Where::Sqlite).await;
}

#[tokio::test]
async fn what_is_done_is_written_down_with_postgresql() {
    what_is_done_is_written_down(Where::Postgres).await;
}

/// A customer's number in a session's id is no more to be seen here than elsewhere.
#[tokio::test]
async fn no_number_of_a_customer_is_told() {
    let console = Console::start().await;
    let retry = console.post("/v1/retry").bearer_auth(ADMIN);
    let session = json!({"session": "wa-491712345678-2026"});
    assert_eq!(retry.json(&session).send().await.unwrap().status(), 200);
    let told = console.told("/v1/audit?what=retry").await;
    assert_eq!(told["entries"][0]["object"], "session wa-••••5678-2026");
}

#[tokio::test]
async fn a_mapping_that_is_applied_is_written_down_with_both_versions() {
    let console = Console::start().await;
    let (_, mapping) = console.daemon.command(&["mapping", "export", "hubspot"]);
    let file = console.daemon.file("hubspot.toml");
    std::fs::write(&file, format!("{mapping}\n# changed\n")).unwrap();
    let path = file.to_str().unwrap();
    let apply = ["mapping", "apply", "hubspot", path, "--who", "ana"];
    let (code, said) = console.daemon.command(&apply);
    assert_eq!(code, Some(0), "{said}");
    let told = console.told("/v1/audit?what=mapping%20apply").await;
    let entry = &told["entries"][0];
    assert_eq!(
        (&entry["who"], &entry["object"]),
        (&json!("ana"), &json!("hubspot"))
    );
    assert_eq!(entry["before"], json!({"version": 1}));
    assert_eq!(entry["after"], json!({"version": 2}));
}
