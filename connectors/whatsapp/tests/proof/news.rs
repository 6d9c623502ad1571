//! News for the gateway that cannot be published: no reply waits for it, and it is not lost.

use handoffd_contract::event::{HandoffCompleted, MessageEvent, RepEnded};
use handoffd_contract::{Data, Item, Reason, Refusal};
use serde_json::json;

use crate::cast::{cloud, item, replied, reply};
use crate::world::{World, hello, items};

fn completed(id: &str) -> Item {
    let data = json!({"target": "crm", "handoff": "h-1", "records": {}});
    let completed: HandoffCompleted = serde_json::from_value(data).expect("an event");
    item(id, Data::HandoffCompleted(completed))
}

fn ended(id: &str) -> Item {
    let ended = RepEnded {
        target: "crm".into(),
        status: None,
    };
    item(id, Data::RepEnded(ended))
}

fn said(id: &str) -> Item {
    let message = json!({"message": {"id": id, "time": "2026-11-20T09:00:00Z",
        "author": {"kind": "customer"}, "text": "Hi"}});
    let message: MessageEvent = serde_json::from_value(message).expect("an event");
    item(id, Data::MessageReceived(message))
}

/// Plays until the news is what is left, and gives the types that the gateway then has.
fn play_unbound(world: &mut World<'_>, story: Vec<Item>) {
    world
        .sandbox
        .switch("gateway_bound", &json!(false))
        .expect("a switch");
    world.play(&[hello()]).expect("settles");
    let error = world.play(&[items(story)]);
    assert!(
        error.is_err_and(|error| error.contains("no end")),
        "the news is tried until somebody takes it"
    );
}

fn published(world: &World<'_>) -> Vec<String> {
    let view = world.sandbox.view();
    let events = view["gateway"]["events"].as_array().cloned();
    let kind = |event: &serde_json::Value| event["type"].as_str().unwrap_or_default().to_owned();
    events.unwrap_or_default().iter().map(kind).collect()
}

/// Lines of the log up to the last one that names this step, without those that only write.
fn calls_until(world: &World<'_>, step: &str) -> Vec<String> {
    let last = world.log.iter().rposition(|line| line.contains(step));
    world.log[..=last.expect("it was called")]
        .iter()
        .filter(|line| !line.starts_with("record"))
        .cloned()
        .collect()
}

#[test]
fn news_that_nobody_takes_holds_no_reply_and_is_not_lost() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    let story = vec![
        completed("c-1"),
        replied("e-1", reply("m-1", "One.")),
        replied("e-2", reply("m-2", &"word ".repeat(1_000))),
    ];
    play_unbound(&mut world, story);
    assert_eq!(world.texts().len(), 3);
    let calls = calls_until(&world, "message.send");
    let tries = calls.iter().filter(|line| line.contains("event.publish"));
    assert_eq!(tries.count(), 1, "{calls:?}");
    let Some(Refusal::Hold { stop, until }) = &world.held else {
        panic!("{:?}", world.held);
    };
    assert_eq!(stop.reason, Reason::Unroutable, "an operator sees why");
    assert!(until.is_some(), "and it is tried again");

    world
        .sandbox
        .switch("gateway_bound", &json!(true))
        .expect("a switch");
    world.settle().expect("settles");
    assert_eq!(published(&world), ["handoff.completed"]);
    assert!(world.known.absent("news"), "nothing fails any more");
    world.rests();
}

#[test]
fn a_reply_does_not_wait_for_an_ending_that_cannot_be_published() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    let story = vec![
        replied("e-1", reply("m-1", "One.")),
        ended("x-1"),
        replied("e-2", reply("m-2", "One more thing.")),
    ];
    play_unbound(&mut world, story);
    assert_eq!(world.texts(), ["One.", "One more thing."]);
    let calls = calls_until(&world, "message.send");
    let tries = calls.iter().filter(|line| line.contains("event.publish"));
    assert_eq!(tries.count(), 1, "{calls:?}");
}

#[test]
fn pauses_between_tries_grow_and_old_news_gives_way_to_what_came_long_after() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    let waits = |world: &mut World<'_>, tries: u32| {
        let until = world.now + jiff::SignedDuration::from_secs(300);
        let value = format!("{until} {tries} unroutable");
        world.known.set("news", value);
    };
    waits(&mut world, 3);
    world.items = vec![completed("c-1"), completed("c-2")];
    let many = (0..100).map(|n| said(&format!("r-{n}")));
    world.items.extend(many);
    let next = |world: &World<'_>| world.connector.next(&world.work(), &world.known);
    let steps = next(&world).expect("the first gives way");
    assert_eq!(steps[0].name, "event.drop");
    let handoffd_contract::Call::Record(record) = &steps[0].call else {
        panic!("{steps:?}");
    };
    assert_eq!(record.facts.len(), 1);
    let (fact, value) = record.facts[0].clone();
    assert_eq!(fact, "out/c-1/handoff.completed");
    world.known.set(fact, value);
    world.items.remove(0);
    world.items.pop();
    assert!(
        matches!(next(&world), Err(Refusal::Hold { .. })),
        "the second waits"
    );

    let value = "2026-11-20T08:00:00Z 3 unroutable";
    world.known.set("news", value);
    let steps = next(&world).expect("its time has come");
    let (fact, value) = steps[0].aside.clone().expect("it stops nothing");
    let until = world.now + jiff::SignedDuration::from_secs(40);
    assert_eq!((fact.as_str(), value), ("news", format!("{until} 4")));
}
