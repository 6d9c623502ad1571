//! The load: what a gateway publishes.

use std::time::{Duration, Instant};

use handoffd_test_support::Gateway;
use jiff::Timestamp;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, PublisherConfirm};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::sink;

/// Where it publishes.
pub const EVENTS: &str = "gateway.events";
/// What the names of sessions begin with that were never handed over: their events are stored, and
/// nobody is called.
pub const STORED_ONLY: &str = "quiet-";
/// Confirms that are waited for together.
const GROUP: usize = 500;

/// Handoffs that open sessions, each with a text of its own.
pub fn handoffs(sessions: usize) -> impl Iterator<Item = Value> {
    (0..sessions).map(|n| {
        let customer = format!("49151{n:08}");
        let data = json!({
            "session": {"id": session(n), "business_number": "+15550783881", "language": "en"},
            "contact": {"phone": format!("+{customer}"), "wa_id": customer, "name": "Ana"},
            "handoff": {"reasons": ["user_requested_human_assistance"], "summary": "A broken parcel.",
                "sentiment": "angry", "language": "en", "topic": "Refund"},
            "transcript": [message(n)], "targets": ["creatio"],
        });
        event("handoff.requested", &session(n), n, data)
    })
}

/// Messages with these numbers, shared out among the sessions.
pub fn messages(numbers: std::ops::Range<usize>, sessions: usize) -> impl Iterator<Item = Value> {
    numbers.map(move |n| said(&session(n % sessions), n))
}

/// The same of sessions that were never handed over.
pub fn stored_only(
    numbers: std::ops::Range<usize>,
    sessions: usize,
) -> impl Iterator<Item = Value> {
    numbers.map(move |n| said(&format!("{STORED_ONLY}{}", n % sessions), n))
}

/// Publishes all of it and waits until the broker has it.
pub async fn burst(gateway: &Gateway, events: impl Iterator<Item = Value>) {
    let mut unconfirmed = Vec::new();
    for event in events {
        unconfirmed.push(publish(gateway, &event).await);
        if unconfirmed.len() == GROUP {
            confirmed(unconfirmed.drain(..)).await;
        }
    }
    confirmed(unconfirmed.into_iter()).await;
}

/// Publishes so many in a second; when each left.
pub async fn paced(
    gateway: &Gateway,
    events: impl Iterator<Item = Value>,
    in_a_second: usize,
) -> Vec<Instant> {
    let every = Duration::from_secs(1) / u32::try_from(in_a_second).unwrap();
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut left, mut unconfirmed) = (Vec::new(), Vec::new());
    for event in events {
        clock.tick().await;
        left.push(Instant::now());
        unconfirmed.push(publish(gateway, &event).await);
    }
    confirmed(unconfirmed.into_iter()).await;
    left
}

fn session(n: usize) -> String {
    format!("bench-{n}")
}

fn said(session: &str, n: usize) -> Value {
    event(
        "message.received",
        session,
        n,
        json!({"message": message(n)}),
    )
}

fn message(n: usize) -> Value {
    json!({"id": format!("wamid.{n}"), "time": Timestamp::now(), "author": {"kind": "customer"},
        "text": sink::text(n)})
}

fn event(kind: &str, session: &str, n: usize, data: Value) -> Value {
    json!({"specversion": "1.0", "id": format!("{session}-{n}"), "source": "/bench/gateway", "type": kind,
        "subject": session, "time": Timestamp::now(), "datacontenttype": "application/json", "data": data})
}

async fn publish(gateway: &Gateway, event: &Value) -> PublisherConfirm {
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/cloudevents+json".into());
    let kind = event["type"].as_str().unwrap();
    let (options, body) = (BasicPublishOptions::default(), event.to_string());
    let sent = gateway.channel.basic_publish(
        EVENTS.into(),
        kind.into(),
        options,
        body.as_bytes(),
        properties,
    );
    sent.await.unwrap()
}

async fn confirmed(unconfirmed: impl Iterator<Item = PublisherConfirm>) {
    for sent in unconfirmed {
        assert!(sent.await.unwrap().is_ack());
    }
}
