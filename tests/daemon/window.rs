//! Outside WhatsApp's 24 hours no free text leaves; the reply waits and the rep knows.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{Exit, World};

/// The handoff of a customer who wrote two days ago.
fn stale(world: &World, target: &str) -> Value {
    let mut handoff = world.handoff(&[target]);
    let long_ago = Timestamp::now() - SignedDuration::from_hours(48);
    for message in handoff["transcript"].as_array_mut().unwrap() {
        message["time"] = json!(long_ago);
    }
    handoff
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_waits_for_the_window_and_goes_out_when_it_opens() {
    let world = World::new(Exit::CloudApi).await;
    let target = "salesforce";
    world
        .publish("handoff.requested", "handoff-1", stale(&world, target))
        .await;
    world.until_shown(target, "box.jpg").await;
    world.until_idle().await;
    world.act(target, json!({"act": "accept", "rep": "Rosa"}));
    world.act(
        target,
        json!({"act": "text", "text": "Are you still there?"}),
    );
    world.until_shown(target, "24-hour window").await;
    let lane = world.lane("whatsapp").await;
    assert_eq!(
        (lane["state"].as_str(), lane["reason"].as_str()),
        (Some("held"), Some("window-closed")),
        "{lane}"
    );
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
    assert_eq!(
        world.count(target, "24-hour window"),
        1,
        "the rep is told once"
    );
}
