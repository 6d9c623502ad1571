//! What operators see and do.

use handoffd_test_support::eventually;
use serde_json::json;

use crate::world::{EVENTS, Exit, SOON, World};

/// A wrong event is kept with its reason and disturbs nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_event_is_kept_and_listed() {
    let world = World::new(Exit::CloudApi).await;
    let mut wrong = world.event("handoff.requested", "wrong", world.handoff(&["creatio"]));
    wrong["data"]["contact"] = json!({ "name": "Ana", "phone": "0151 12345678" });
    world
        .gateway
        .publish(EVENTS, "handoff.requested", wrong.to_string().as_bytes())
        .await;
    world
        .gateway
        .publish(EVENTS, "handoff.requested", b"{ not json")
        .await;
    world.hand_over("creatio").await;
    let parked = world.get("/v1/parked").await;
    assert_eq!(
        parked["dead_letters"].as_array().map(Vec::len),
        Some(2),
        "{parked:#}"
    );
    let (code, text) = world.command(&["status"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("data.contact.phone"), "{text}");
    assert!(
        !text.contains("My parcel"),
        "message texts do not belong here: {text}"
    );
    let first = parked["dead_letters"][0]["id"].to_string();
    let shown = world.get(&format!("/v1/dead-letters/{first}")).await;
    let body: serde_json::Value =
        serde_json::from_str(shown["body"].as_str().unwrap_or_default()).unwrap();
    assert_eq!(
        body["data"]["contact"]["phone"], "•••• ••••••••",
        "{shown:#}"
    );
    assert_eq!(shown["routing_key"], "handoff.requested", "{shown:#}");
    let none = world.get("/v1/dead-letters/99999").await;
    assert_eq!(none["error"], "there is no dead letter 99999");
    let (code, text) = world.command(&["dead-letters", "show", &first]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\n    \"contact\": {"), "{text}");
    let (code, text) = world.command(&["dead-letters", "show", "99999"]);
    assert_eq!(code, 1, "{text}");
    let patch = world.config().with_file_name("patch.json");
    let file = patch.display().to_string();
    let edit = |change: &serde_json::Value| {
        std::fs::write(&patch, change.to_string()).unwrap();
        world.command(&["dead-letters", "edit", &first, "--patch", &file])
    };
    let (code, text) = edit(&json!({"data": {"contact": {"phone": "0151"}}}));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("data.contact.phone"), "{text}");
    let again = world.get(&format!("/v1/dead-letters/{first}")).await;
    assert_eq!(again, shown, "it stays as it came");
    let (code, text) = edit(&json!({"data": {"contact": {"phone": "+4915112345679"}}}));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("is admitted to session"), "{text}");
    let (code, text) = edit(&json!({}));
    assert_eq!(code, 1, "{text}");
    let (code, text) = world.command(&["dead-letters", "retry", "--all"]);
    assert_eq!(code, 1, "it still cannot be understood: {text}");
    let (_, text) = world.command(&["dead-letters", "drop", "--all"]);
    assert!(text.contains("given up"), "{text}");
    assert_eq!(world.get("/v1/parked").await["dead_letters"], json!([]));
}

/// A permanent refusal costs one request and a parked lane; after the fix a retry completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_parks_the_lane_until_it_is_retried() {
    let world = World::new(Exit::CloudApi).await;
    let rule = json!({"target": "creatio", "match": {"method": "POST", "path_contains": "Case"},
        "fault": {"kind": "status", "status": 403, "body": {"error": {"code": "", "message": "No rights for Case"}}}});
    world
        .sims
        .fault(serde_json::from_value(rule).unwrap())
        .unwrap();
    world
        .publish(
            "handoff.requested",
            "handoff-1",
            world.handoff(&["creatio"]),
        )
        .await;
    eventually(SOON, || async {
        world.lane("creatio").await["state"] == "parked"
    })
    .await;
    let lane = world.lane("creatio").await;
    assert_eq!(lane["reason"], "forbidden", "{lane}");
    let (_, text) = world.command(&["show", &world.session]);
    assert!(
        text.contains("PARKED") && text.contains("forbidden"),
        "{text}"
    );
    let (code, _) = world.command(&["explain", "forbidden"]);
    assert_eq!(code, 0);
    world.sims.clear_faults(None);
    let (_, text) = world.command(&["retry", "--reason", "forbidden", "--dry-run"]);
    assert!(text.contains("1 lane would be tried again"), "{text}");
    let (_, text) = world.command(&["retry", "--reason", "forbidden"]);
    assert!(text.contains("1 lane tried again"), "{text}");
    world.until_shown("creatio", "box.jpg").await;
    world.until_idle().await;
}

/// SIGTERM ends in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_orderly() {
    let mut world = World::new(Exit::CloudApi).await;
    world.hand_over("hubspot").await;
    assert_eq!(world.stop(), Some(0));
    let log = world.log();
    assert!(log.contains("nothing was under way any more"), "{log}");
}

/// Neither a secret nor what anybody wrote is in the log, the metrics or the operator's pages.
#[tokio::test(flavor = "multi_thread")]
async fn no_text_and_no_secret_leaks() {
    let world = World::new(Exit::CloudApi).await;
    world
        .publish(
            "handoff.requested",
            "handoff-1",
            world.handoff(&["salesforce", "hubspot", "creatio"]),
        )
        .await;
    for target in ["salesforce", "hubspot", "creatio"] {
        world.until_shown(target, "box.jpg").await;
    }
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act(
        "salesforce",
        json!({"act": "text", "text": "a reply to nobody's eyes"}),
    );
    world.until_shown("whatsapp", "nobody's eyes").await;
    world.until_idle().await;
    let client = reqwest::Client::new();
    let metrics = client
        .get(format!("http://{}/metrics", world.plan.admin))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("handoffd_attempts_total"), "{metrics}");
    let story = world
        .get(&format!("/v1/sessions/{}", world.session))
        .await
        .to_string();
    let (_, show) = world.command(&["show", &world.session]);
    let mut forbidden: Vec<String> = [
        "My parcel",
        "I am sorry",
        "nobody's eyes",
        "López",
        "broken parcel",
    ]
    .map(str::to_owned)
    .into();
    for given in world.plan.credentials.values() {
        for secret in given["secrets"].as_object().into_iter().flatten() {
            forbidden.push(secret.1.as_str().unwrap().to_owned());
        }
    }
    let log = world.log();
    assert!(
        log.contains("\"attempt\"") || log.contains("attempt"),
        "there is a log"
    );
    for (place, text) in [
        ("log", &log),
        ("metrics", &metrics),
        ("story", &story),
        ("show", &show),
    ] {
        for words in &forbidden {
            assert!(!text.contains(words.as_str()), "{place} holds {words}");
        }
    }
}

/// The live check signs in everywhere, names what is missing, and creates it when asked to.
#[tokio::test(flavor = "multi_thread")]
async fn the_live_check_names_what_is_missing_and_creates_it() {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.settings.insert(
            "hubspot".into(),
            json!({"handoff_id_property": "not_there_yet", "stage": "1", "pipeline": "0"}),
        );
    })
    .await;
    let (code, text) = world.command(&["check", "--live"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("not_there_yet") && text.contains("--create-missing"),
        "{text}"
    );
    let (_, text) = world.command(&["check", "--live", "--create-missing"]);
    assert!(text.contains("created"), "{text}");
    let (code, text) = world.command(&["check", "--live"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("everything needed is there"), "{text}");
    assert!(!text.contains("Bearer"), "{text}");
}

/// A configuration that is wrong in many places is told in one go, before anything is opened.
#[test]
fn a_wrong_configuration_is_told_at_once() {
    let folder = handoffd::demo::world::Folder::new().unwrap();
    let file = folder.path().join("wrong.toml");
    let text = r#"
        [http]
        listen = "somewhere"
        colour = "blue"
        [[target]]
        name = "crm one"
        kind = "salesforcee"
    "#;
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_handoffd"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    for words in ["http.listen", "http.colour", "target", "salesforce"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}
