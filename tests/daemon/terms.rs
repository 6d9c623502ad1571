//! What holds for a conversation when nothing happens, or nobody is found: per target, and as reps and
//! operators see it.

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{Exit, OUT, SOON, World};

/// A daemon whose gateway is told of everything, with these terms by kind.
async fn told(exit: Exit, terms: Value) -> World {
    World::with(exit, |plan| {
        let settings = plan
            .settings
            .entry("whatsapp".into())
            .or_insert_with(|| json!({}));
        settings["notify"] = json!({"exchange": OUT});
        for (kind, terms) in terms.as_object().unwrap() {
            plan.terms.insert(kind.clone(), terms.clone());
        }
    })
    .await
}

async fn controller(world: &World) -> Value {
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    story["conversation"]["controller"].clone()
}

async fn until_in_charge(world: &World, who: &str) {
    eventually(SOON, || async { controller(world).await == who }).await;
}

async fn events(world: &World, kind: &str) -> usize {
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    let events = story["events"].as_array().cloned().unwrap_or_default();
    events.iter().filter(|event| event["type"] == kind).count()
}

/// Omni-Channel has nobody: it is told at once, and stays in the queue for whoever comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_finds_nobody_is_told_at_once() {
    let world = told(Exit::CloudApi, json!({})).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "no_agents"}));
    let unattended = world.taken("session.unattended").await;
    assert_eq!(unattended["data"]["reason"], "routing");
    assert_eq!(unattended["data"]["targets"], json!(["salesforce"]));
    assert_eq!(controller(&world).await, "queued");
    world.act("salesforce", json!({"act": "no_agents"}));
    eventually(SOON, || async {
        events(&world, "session.routing").await == 2
    })
    .await;
    assert_eq!(events(&world, "session.unattended").await, 1);
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    until_in_charge(&world, "rep").await;
}

/// The target's own rule gives it back; the customer is the assistant's again, and nobody is rung.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_finds_nobody_gives_the_conversation_back_where_the_target_says_so() {
    let world = told(
        Exit::CloudApi,
        json!({"salesforce": {"unattended": "return"}}),
    )
    .await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "no_agents"}));
    let unattended = world.taken("session.unattended").await;
    assert_eq!(unattended["data"]["reason"], "routing");
    let state = world.taken("session.state").await;
    assert_eq!(state["data"]["controller"], "returned");
    assert_eq!(state["data"]["by"], "handoffd");
    until_in_charge(&world, "returned").await;
    world.until_idle().await;
    let sessions = world.crm("salesforce").view()["conversations"][0]["sessions"].clone();
    assert_eq!(sessions[0]["status"], "Ended", "{sessions}");
}

/// Each target has its own time, and its own meaning of an end.
#[tokio::test(flavor = "multi_thread")]
async fn targets_have_terms_of_their_own() {
    let terms = json!({
        "hubspot": {"unattended_after": "1s", "unattended": "return"},
        "creatio": {"rep_end": "return"},
    });
    let world = told(Exit::CloudApi, terms.clone()).await;
    world.hand_over("hubspot").await;
    until_in_charge(&world, "returned").await;
    let unattended = world.taken("session.unattended").await;
    assert_eq!(unattended["data"]["reason"], "time");
    drop(world);
    let world = told(Exit::CloudApi, terms).await;
    world.hand_over("creatio").await;
    assert_eq!(
        controller(&world).await,
        "queued",
        "in general: ten minutes"
    );
    world.act("creatio", json!({"act": "close"}));
    until_in_charge(&world, "returned").await;
}

/// The gateway took a reply and says nothing: the rep reads that, and later that it arrived.
#[tokio::test(flavor = "multi_thread")]
async fn the_rep_is_told_of_a_reply_of_which_whatsapp_says_nothing() {
    let terms = json!({"hubspot": {"unconfirmed_after": "1s"}});
    let world = told(Exit::Gateway, terms).await;
    world.hand_over("hubspot").await;
    world.act(
        "hubspot",
        json!({"act": "reply", "text": "Your refund is on its way."}),
    );
    let asked = world.taken("reply.requested").await;
    world
        .until_shown("hubspot", "not confirmed by WhatsApp")
        .await;
    world
        .until_shown("hubspot", "“Your refund is on its way.”")
        .await;
    world.until_idle().await;
    assert_eq!(world.count("hubspot", "not confirmed by WhatsApp"), 1);
    let shown = || world.command(&["show", &world.session]).1;
    assert!(
        shown().contains("WhatsApp has said nothing of it"),
        "{}",
        shown()
    );
    assert!(!shown().contains("refund"), "no text of messages");

    let status = json!({"reference": asked["data"]["reference"], "status": "delivered"});
    world.publish("message.status", "status-1", status).await;
    world.until_shown("hubspot", "Delivered to WhatsApp").await;
    world.until_idle().await;
    assert!(
        !shown().contains("WhatsApp has said nothing of it"),
        "{}",
        shown()
    );
}

/// A gateway that tells no statuses at all raises no alarm by default; one that does is watched.
#[tokio::test(flavor = "multi_thread")]
async fn an_exit_that_never_tells_raises_no_alarm() {
    let world = told(Exit::Gateway, json!({})).await;
    world.hand_over("hubspot").await;
    world.act("hubspot", json!({"act": "reply", "text": "First."}));
    let asked = world.taken("reply.requested").await;
    eventually(SOON, || async { events(&world, "reply.status").await == 1 }).await;
    let deadline = || async {
        let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
        let at = story["conversation"]["looked_at_again"].clone();
        serde_json::from_value::<Option<jiff::Timestamp>>(at).unwrap()
    };
    let in_an_hour = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    assert!(deadline().await > Some(in_an_hour), "the window alone");
    let status = json!({"reference": asked["data"]["reference"], "status": "delivered"});
    world.publish("message.status", "status-1", status).await;
    eventually(SOON, || async { events(&world, "reply.status").await == 2 }).await;
    world.act("hubspot", json!({"act": "reply", "text": "Second."}));
    eventually(SOON, || async { events(&world, "reply.status").await == 3 }).await;
    assert!(deadline().await < Some(in_an_hour), "a quarter of an hour");
}
