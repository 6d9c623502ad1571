//! SIGKILL in the middle, and a restart: nothing lost, nothing twice.

use handoffd_test_support::eventually;
use serde_json::json;

use crate::world::{Exit, SOON, World};

async fn survives(target: &str) {
    let mut world = World::new(Exit::CloudApi).await;
    // Slow answers, so that the kills fall between effect and answer.
    let rule = json!({"target": target, "match": {}, "fault": {"kind": "delay", "ms": 150, "when": "after"}});
    world
        .sims
        .fault(serde_json::from_value(rule).unwrap())
        .unwrap();
    world
        .publish("handoff.requested", "handoff-1", world.handoff(&[target]))
        .await;
    let requests = |world: &World| {
        world.crm(target).counts()["finished"]
            .as_u64()
            .unwrap_or_default()
    };
    for _ in 0..6 {
        let before = requests(&world);
        eventually(SOON, || async {
            requests(&world) > before || world.lane(target).await["state"] == "idle"
        })
        .await;
        world.restart().await;
    }
    for n in 0..5 {
        world
            .customer_writes(&format!("later message number {n}."))
            .await;
        world.restart().await;
    }
    world.sims.clear_faults(None);
    world.until_shown(target, "later message number 4.").await;
    world.until_idle().await;
    for words in ["My parcel is broken 📦", "I am sorry to hear that."] {
        assert_eq!(world.count(target, words), 1, "{words}");
    }
    for n in 0..5 {
        assert_eq!(
            world.count(target, &format!("later message number {n}.")),
            1
        );
    }
    let whole = world.crm(target).view().to_string();
    let places: Vec<_> = (0..5)
        .map(|n| whole.find(&format!("later message number {n}.")))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_survives_kills() {
    survives("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubspot_survives_kills() {
    survives("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creatio_survives_kills() {
    survives("creatio").await;
}
