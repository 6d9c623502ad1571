//! A conversation comes in over RabbitMQ and is shown in each CRM.

use serde_json::json;

use crate::world::{EVENTS, Exit, World};

const CRMS: [&str; 3] = ["salesforce", "hubspot", "creatio"];

/// One handoff makes one record, with everything in it, however often it is delivered.
async fn is_shown_once(target: &str) {
    let world = World::new(Exit::CloudApi).await;
    let handoff = world.handoff(&[target]);
    world
        .publish("handoff.requested", "handoff-1", handoff.clone())
        .await;
    world
        .publish("handoff.requested", "handoff-1", handoff.clone())
        .await;
    world.until_shown(target, "box.jpg").await;
    world.until_idle().await;
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    let id = world.customer_writes("Is anybody there?").await;
    world.until_shown(target, "Is anybody there?").await;
    world.until_idle().await;
    assert!(!id.is_empty());
    for words in [
        "My parcel is broken 📦",
        "I am sorry to hear that.",
        "Is anybody there?",
    ] {
        assert_eq!(world.count(target, words), 1, "{words}");
    }
    for words in [
        "A broken parcel; she wants a refund.",
        "user_requested_human_assistance",
        "insufficient_tools",
        "angry",
    ] {
        assert!(world.count(target, words) > 0, "{words}");
    }
    assert_eq!(world.get("/v1/parked").await["groups"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_shows_a_handoff_once() {
    is_shown_once("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubspot_shows_a_handoff_once() {
    is_shown_once("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creatio_shows_a_handoff_once() {
    is_shown_once("creatio").await;
}

/// Further handoffs of the same session go to the same record, also one that another producer gave the
/// same id.
async fn appends(target: &str) {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over(target).await;
    let mut again = world.handoff(&[target]);
    again["handoff"]["summary"] = json!("She asks for the return label now.");
    again["transcript"].as_array_mut().unwrap().truncate(1);
    again["transcript"][0]["text"] = json!("And where is my label?");
    world
        .publish("handoff.requested", "handoff-2", again.clone())
        .await;
    world
        .until_shown(target, "She asks for the return label now.")
        .await;
    world.until_shown(target, "And where is my label?").await;
    again["handoff"]["summary"] = json!("She asks for a colleague.");
    let mut id_collides = world.event("handoff.requested", "handoff-2", again);
    id_collides["source"] = json!("/test/other");
    world
        .gateway
        .publish(
            EVENTS,
            "handoff.requested",
            id_collides.to_string().as_bytes(),
        )
        .await;
    world.until_shown(target, "She asks for a colleague.").await;
    world.until_idle().await;
    let view = world.crm(target).view();
    let records = ["conversations", "tickets", "cases"]
        .iter()
        .find_map(|name| view[*name].as_array());
    assert_eq!(records.map(Vec::len), Some(1), "{view:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_appends_a_second_handoff() {
    appends("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubspot_appends_a_second_handoff() {
    appends("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creatio_appends_a_second_handoff() {
    appends("creatio").await;
}

/// A broken CRM delays its own lanes and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn one_broken_crm_delays_nobody_else() {
    let world = World::new(Exit::CloudApi).await;
    let rule =
        json!({"target": "hubspot", "match": {}, "fault": {"kind": "status", "status": 503}});
    world
        .sims
        .fault(serde_json::from_value(rule).unwrap())
        .unwrap();
    world
        .publish("handoff.requested", "handoff-1", world.handoff(&CRMS))
        .await;
    world.until_shown("salesforce", "box.jpg").await;
    world.until_shown("creatio", "box.jpg").await;
    assert_eq!(world.count("hubspot", "broken parcel"), 0);
    handoffd_test_support::eventually(crate::world::SOON, || async {
        let lane = world.lane("hubspot").await;
        lane["state"] == "due" && lane["reason"] == "server-error"
    })
    .await;
    world.sims.clear_faults(None);
    world.until_shown("hubspot", "box.jpg").await;
    world.until_idle().await;
    assert_eq!(world.count("hubspot", "My parcel is broken 📦"), 1);
}

/// What Salesforce limits in one conversation, another does not wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_over_its_limit_delays_no_other() {
    let mut world = World::new(Exit::CloudApi).await;
    let rule = json!({"target": "salesforce", "times": 1,
        "match": {"method": "POST", "path_contains": "/message"},
        "fault": {"kind": "status", "status": 429, "headers": {"retry-after": "3600"}}});
    world
        .sims
        .fault(serde_json::from_value(rule).unwrap())
        .unwrap();
    let handoff = world.handoff(&["salesforce"]);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    handoffd_test_support::eventually(crate::world::SOON, || async {
        world.lane("salesforce").await["reason"] == "conversation-limited"
    })
    .await;
    world.session = handoffd_test_support::unique("session");
    world.hand_over("salesforce").await;
}
