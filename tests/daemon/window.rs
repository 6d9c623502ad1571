//! Outside WhatsApp's 24 hours no free text leaves; the reply waits and the rep knows.

use handoffd_test_support::eventually;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{Exit, SOON, World};

/// The handoff of a customer who wrote two days ago.
fn stale(world: &World, target: &str) -> Value {
    let mut handoff = world.handoff(&[target]);
    let long_ago = Timestamp::now() - SignedDuration::from_hours(48);
    for message in handoff["transcript"].as_array_mut().unwrap() {
        message["time"] = json!(long_ago);
    }
    handoff
}

async fn waits_for_the_window(target: &str) {
    let world = World::new(Exit::CloudApi).await;
    let handoff = stale(&world, target);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    world.until_shown(target, "box.jpg").await;
    world.until_idle().await;
    reply(&world, target, "Are you still there?");
    world.until_shown(target, "24-hour window").await;
    eventually(SOON, || async {
        let lane = world.lane("whatsapp").await;
        lane["state"] == "held" && lane["reason"] == "window-closed"
    })
    .await;
    assert_eq!(world.phone(), [""; 0], "nothing may leave");
    let (_, text) = world.command(&["show", &world.session]);
    assert!(
        text.contains("closed since") && text.contains("window-closed"),
        "{text}"
    );

    world.customer_writes("Yes, I am.").await;
    world.until_shown("whatsapp", "Are you still there?").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["Are you still there?"]);
    // In Creatio the reply's own activity says by now that it went out.
    let told = world.count(target, "24-hour window");
    assert_eq!(
        told,
        usize::from(target != "creatio"),
        "the rep is told once"
    );
}

fn reply(world: &World, target: &str, text: &str) {
    if target == "salesforce" {
        world.act(target, json!({"act": "accept", "rep": "Rosa"}));
        world.act(target, json!({"act": "text", "text": text}));
    } else {
        world.act(target, json!({"act": "reply", "text": text}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_salesforce_waits_for_the_window() {
    waits_for_the_window("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_hubspot_waits_for_the_window() {
    waits_for_the_window("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_creatio_waits_for_the_window() {
    waits_for_the_window("creatio").await;
}
