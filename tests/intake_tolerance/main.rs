//! One odd field costs a line and not the handoff: what each becomes, and what the rep reads.

mod kinds;
mod said;
mod who;
mod window;

use std::collections::BTreeMap;

use handoffd::config::Limits;
use handoffd::intake::{Incoming, Origin, decode};
use handoffd_contract::{Data, Event, Handoff, Message};
use jiff::Timestamp;
use serde_json::Value;

const HANDOFF: &str = include_str!("../events/handoff.requested.json");
const RECEIVED: &str = include_str!("../events/message.received.json");
const STATUS: &str = include_str!("../events/message.status.json");
const RETURNED: &str = include_str!("../events/session.returned.json");
const CLOSED: &str = include_str!("../events/session.closed.json");

/// When everything arrives.
fn now() -> Timestamp {
    at("2026-03-02T09:30:00Z")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn incoming(body: impl Into<Vec<u8>>) -> Incoming {
    Incoming {
        origin: Origin::Amqp,
        content_type: Some("application/cloudevents+json".to_owned()),
        headers: BTreeMap::new(),
        body: body.into(),
    }
}

fn decoded(body: impl Into<Vec<u8>>) -> Event {
    decode(&incoming(body), &Limits::default(), now()).expect("an event")
}

/// An example with one place set; a place that is not there is made.
fn with(base: &str, pointer: &str, value: Value) -> Event {
    decoded(changed(base, pointer, value).to_string())
}

fn changed(base: &str, pointer: &str, value: Value) -> Value {
    let mut event: Value = serde_json::from_str(base).expect("the example fits");
    let (above, name) = pointer.rsplit_once('/').expect("a pointer");
    match event.pointer_mut(above).expect("the example fits") {
        Value::Array(list) => list[name.parse::<usize>().expect("an index")] = value,
        object => object[name] = value,
    }
    event
}

fn handoff(event: Event) -> Handoff {
    match event.data {
        Data::HandoffRequested(handoff) => *handoff,
        other => panic!("{}", other.kind()),
    }
}

fn said(pointer: &str, value: Value) -> (Vec<Message>, Vec<String>) {
    let event = with(HANDOFF, &format!("/data/transcript/{pointer}"), value);
    let warnings = event.warnings.clone();
    (handoff(event).transcript, warnings)
}

fn received(pointer: &str, value: Value) -> (Message, Vec<String>) {
    let event = with(RECEIVED, &format!("/data/message/{pointer}"), value);
    match event.data {
        Data::MessageReceived(said) => (said.message, event.warnings),
        other => panic!("{}", other.kind()),
    }
}
