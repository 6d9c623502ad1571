//! A target that is disabled: its events wait, visibly, and go on when it is enabled.

use handoffd_test_support::eventually;
use serde_json::json;

use crate::world::{Exit, SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_a_disabled_target_waits_and_goes_on_when_it_is_enabled() {
    let mut world = World::new(Exit::CloudApi).await;
    assert_eq!(world.stop(), Some(0));
    world.disabled = vec!["hubspot"];
    world.start().await;
    world
        .publish(
            "handoff.requested",
            "handoff-1",
            world.handoff(&["hubspot", "creatio"]),
        )
        .await;
    world.until_shown("creatio", "My parcel is broken").await;
    eventually(SOON, || async {
        world.lane("hubspot").await["state"] == "due"
    })
    .await;
    let words = "The target is disabled in the configuration";
    let lane = world.lane("hubspot").await;
    assert!(
        lane["nobody_works"].as_str().unwrap().contains(words),
        "{lane}"
    );
    let (_, said) = world.command(&["show", &world.session]);
    assert!(said.contains(&format!("hubspot: waits. {words}")), "{said}");
    assert!(
        said.contains("names the target hubspot, which is disabled"),
        "the event says so: {said}"
    );
    let (_, said) = world.command(&["lanes", "--target", "hubspot"]);
    assert!(said.contains(words), "{said}");
    let (code, said) = world.command(&["status"]);
    assert_eq!(code, 0, "it is disabled on purpose: {said}");
    assert!(
        said.contains(
            "hubspot is disabled in the configuration; 1 lane waits there until it is enabled."
        ),
        "{said}"
    );
    let status = world.get("/v1/status").await;
    assert_eq!(status["oldest_due"], json!(null), "{status:#}");
    let parked = world.get("/v1/parked").await;
    assert_eq!(
        parked["dead_letters"],
        json!([]),
        "nothing is a dead letter"
    );

    assert_eq!(world.stop(), Some(0));
    world.disabled.clear();
    world.start().await;
    world.until_shown("hubspot", "My parcel is broken").await;
    world.until_idle().await;
}
