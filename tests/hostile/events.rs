//! Events: structured, binary and batched, from RabbitMQ and over HTTP.

use std::collections::BTreeMap;

use handoffd::intake::{Incoming, Origin, unbatch};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::cases::check;
use crate::judges;
use crate::mutated::{self, bent_bytes, mutated};

fn samples() -> Vec<Value> {
    let files = [
        include_str!("../events/handoff.requested.json"),
        include_str!("../events/message.received.json"),
        include_str!("../events/message.sent.json"),
        include_str!("../events/message.status.json"),
        include_str!("../events/session.closed.json"),
        include_str!("../events/session.returned.json"),
        include_str!("../events/contact.updated.json"),
    ];
    files.map(|text| serde_json::from_str(text).unwrap()).into()
}

fn sample() -> impl Strategy<Value = Value> {
    select(samples())
}

fn structured(body: Vec<u8>, origin: Origin) -> Incoming {
    Incoming {
        origin,
        content_type: Some("application/cloudevents+json".into()),
        headers: BTreeMap::new(),
        body,
    }
}

#[test]
fn bent_events_are_decoded_or_refused() {
    let body = sample().prop_flat_map(bent_bytes);
    check(
        1_200,
        &(body, select(vec![Origin::Amqp, Origin::Http])),
        |(body, origin)| {
            drop(judges::event(&structured(body, origin)));
        },
    );
    for sample in samples() {
        judges::event(&structured(sample.to_string().into_bytes(), Origin::Amqp)).unwrap();
    }
}

/// Bent in every place but those that tell who and which conversation.
fn identified(mut event: Value, kind: &str) -> Value {
    if !event.is_object() {
        event = json!({});
    }
    event["type"] = json!(kind);
    event["subject"] = json!("ses_7Qm2kd");
    if !event["data"].is_object() {
        event["data"] = json!({});
    }
    let data = &mut event["data"];
    if data["session"].is_object() {
        data["session"]["id"] = json!("ses_7Qm2kd");
    }
    if !data["contact"].is_object() {
        data["contact"] = json!({});
    }
    data["contact"]["wa_id"] = json!("4915112345678");
    event
}

#[test]
fn what_has_identity_and_session_is_taken_however_it_is_bent() {
    let kinds = vec![
        "handoff.requested",
        "message.received",
        "message.sent",
        "session.closed",
        "session.returned",
        "contact.updated",
    ];
    check(
        1_500,
        &(sample().prop_flat_map(mutated), select(kinds)),
        |(event, kind)| {
            let event = identified(event, kind);
            judges::taken(&structured(event.to_string().into_bytes(), Origin::Http));
        },
    );
}

#[test]
fn binary_events_with_any_headers_are_decoded_or_refused() {
    let headers = btree_map(
        prop_oneof![
            select(vec![
                "id",
                "source",
                "type",
                "subject",
                "time",
                "sequence",
                "specversion",
                "data",
                "datacontenttype",
                "data_base64"
            ])
            .prop_map(str::to_owned),
            mutated::text(),
        ],
        mutated::text(),
        0..6,
    );
    let case = (
        sample(),
        headers,
        select(vec!["cloudEvents:", "cloudEvents_", "ce-", "CE-"]),
        any::<bool>(),
        any::<bool>(),
    );
    check(900, &case, |(sample, over, prefix, bends, http)| {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in sample.as_object().unwrap() {
            if let (true, Some(value)) = (name != "data", value.as_str()) {
                headers.insert(format!("{prefix}{name}"), value.to_owned());
            }
        }
        if bends {
            headers.extend(
                over.into_iter()
                    .map(|(name, value)| (format!("{prefix}{name}"), value)),
            );
        }
        drop(judges::event(&Incoming {
            origin: if http { Origin::Http } else { Origin::Amqp },
            content_type: Some("application/json".into()),
            headers,
            body: sample["data"].to_string().into_bytes(),
        }));
    });
}

#[test]
fn any_bytes_with_any_content_type_are_refused_in_words() {
    let mime = prop_oneof![
        select(vec![
            "",
            "application/json",
            "application/cloudevents+json; charset=utf-8",
            "application/cloudevents-batch+json",
            "text/plain",
            ";",
            "APPLICATION/JSON"
        ])
        .prop_map(str::to_owned),
        mutated::text(),
    ];
    check(900, &(vec(any::<u8>(), 0..300), mime), |(body, mime)| {
        let incoming = Incoming {
            content_type: Some(mime),
            ..structured(body, Origin::Http)
        };
        assert!(judges::event(&incoming).is_err());
        assert!(unbatch(&incoming).map_or(true, |events| events.len() < 300));
    });
}

#[test]
fn a_batch_is_bounded_and_one_bad_event_harms_no_other() {
    let events = vec(
        prop_oneof![1 => sample(), 1 => sample().prop_flat_map(mutated)],
        0..8,
    );
    check(150, &events, |events| {
        let whole = structured(json!(events).to_string().into_bytes(), Origin::Http);
        // What is nested more deeply than a JSON reader goes is refused as a whole.
        let Ok(parts) = unbatch(&whole) else { return };
        assert_eq!(parts.len(), events.len());
        for (part, event) in parts.iter().zip(&events) {
            let alone = judges::event(&structured(event.to_string().into_bytes(), Origin::Http));
            assert_eq!(judges::event(part), alone);
        }
    });
    let many = structured(
        format!("[{}0]", "0,".repeat(200_000)).into_bytes(),
        Origin::Http,
    );
    assert!(unbatch(&many).is_err());
    let deep = structured("[".repeat(900_000).into_bytes(), Origin::Amqp);
    assert!(judges::event(&deep).is_err());
}
