//! What comes in becomes an event, or an error that says where, what and how to mend it.

use std::collections::BTreeMap;

use handoffd::config::Limits;
use handoffd::intake::{Incoming, Origin, decode, unbatch};
use handoffd_contract::{Data, Reason, Stop};
use serde_json::{Value, json};

const HANDOFF: &str = include_str!("events/handoff.requested.json");
const RECEIVED: &str = include_str!("events/message.received.json");
const SENT: &str = include_str!("events/message.sent.json");
const STATUS: &str = include_str!("events/message.status.json");
const CLOSED: &str = include_str!("events/session.closed.json");
const UPDATED: &str = include_str!("events/contact.updated.json");
const WRONG: &str = include_str!("events/wrong.txt");

fn example(kind: &str) -> &'static str {
    match kind {
        "handoff.requested" => HANDOFF,
        "message.received" => RECEIVED,
        "message.sent" => SENT,
        "message.status" => STATUS,
        "session.closed" => CLOSED,
        "contact.updated" => UPDATED,
        other => panic!("there is no example of {other}"),
    }
}

fn structured(body: &str) -> Incoming {
    Incoming {
        origin: Origin::Amqp,
        content_type: Some("application/cloudevents+json; charset=utf-8".to_owned()),
        headers: BTreeMap::new(),
        body: body.as_bytes().to_vec(),
    }
}

/// The event with one place changed: `pointer` may name a field that is not there yet.
fn changed(base: &str, pointer: &str, value: Value) -> String {
    let mut event: Value = serde_json::from_str(base).expect("the example fits");
    let (above, name) = pointer.rsplit_once('/').expect("the example fits");
    match event.pointer_mut(above).expect("the example fits") {
        Value::Object(map) => drop(map.insert(name.to_owned(), value)),
        Value::Array(list) => list[name.parse::<usize>().expect("the example fits")] = value,
        _ => panic!("{pointer} is inside a plain value"),
    }
    event.to_string()
}

fn refused(base: &str, pointer: &str, value: Value) -> Stop {
    let body = changed(base, pointer, value);
    decode(&structured(&body), &Limits::default()).expect_err(pointer)
}

#[test]
fn every_shipped_example_is_an_event() {
    for kind in Data::INBOUND {
        let event = decode(&structured(example(kind)), &Limits::default()).unwrap();
        assert_eq!(event.data.kind(), *kind);
        assert_eq!(event.session, "ses_7Qm2kd");
        assert!(event.sequence.is_some());
    }
}

#[test]
fn a_wrong_event_is_told_where_what_and_how_to_mend_it() {
    let lines: Vec<&str> = WRONG
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut tried = 0;
    for pair in lines.chunks(2) {
        let mut change = pair[0].splitn(3, ' ');
        let (base, pointer) = (example(change.next().unwrap()), change.next().unwrap());
        let stop = refused(
            base,
            pointer,
            serde_json::from_str(change.next().unwrap()).unwrap(),
        );
        let told = format!("  {}: {}", stop.reason.label(), stop.words);
        assert_eq!(told, pair[1], "{}", pair[0]);
        tried += 1;
    }
    assert!(tried >= 50, "only {tried} were tried");
}

#[test]
fn what_is_no_event_at_all_is_told_so() {
    let limits = Limits {
        max_event_bytes: 30,
        ..Limits::default()
    };
    let with = |content_type: Option<&str>, body: &str| {
        let mut incoming = structured(body);
        incoming.content_type = content_type.map(str::to_owned);
        decode(&incoming, &limits).unwrap_err().words
    };
    let json = Some("application/json");
    assert_eq!(
        with(json, "hello"),
        "the body is not JSON: expected value at line 1 column 1"
    );
    assert_eq!(
        with(json, "[1]"),
        "the event is a list of 1; write a CloudEvent as a JSON object"
    );
    assert_eq!(with(None, "{}"), "specversion is missing; write one of 1.0");
    assert_eq!(
        with(Some("text/xml"), "<a/>"),
        "the content type is not one of application/cloudevents+json, application/json; write one, \
         or send the attributes as cloudEvents: headers"
    );
    assert_eq!(
        with(Some("application/cloudevents-batch+json"), "[]"),
        "a batch is taken over HTTP only: publish each event as a message of its own"
    );
    assert_eq!(
        with(json, &"x".repeat(31)),
        "the event is 31 bytes; at most 30 are taken: send less, or raise intake.limits.max_event_bytes"
    );
}

#[test]
fn limits_are_the_configurations() {
    let limits = Limits {
        max_messages: 6,
        ..Limits::default()
    };
    let stop = decode(&structured(HANDOFF), &limits).unwrap_err();
    assert_eq!(stop.reason, Reason::LimitExceeded);
    assert_eq!(
        stop.words,
        "data.transcript is a list of 7; at most 6 are taken: send less, or raise \
         intake.limits.max_messages"
    );
    let limits = Limits {
        max_text: 20,
        ..Limits::default()
    };
    let words = decode(&structured(HANDOFF), &limits).unwrap_err().words;
    assert!(
        words.starts_with("data.session.url is a text of"),
        "{words}"
    );
    let limits = Limits {
        max_fields: 3,
        ..Limits::default()
    };
    let words = decode(&structured(HANDOFF), &limits).unwrap_err().words;
    assert!(
        words.starts_with("data.fields is an object of 4 fields; at most 3"),
        "{words}"
    );
}

#[test]
fn no_error_repeats_what_somebody_wrote() {
    let secret = "GEHEIM";
    let paths = [
        "/data/contact/phone",
        "/data/contact/wa_id",
        "/data/contact/user_id",
        "/data/contact/email",
        "/data/session/url",
        "/data/session/id",
        "/data/session/business_number",
        "/time",
        "/type",
        "/data/transcript/0/time",
        "/data/transcript/0/author",
        "/data/transcript",
        "/data/fields",
        "/data/transcript/2/attachments/0/source",
        "/data/transcript/5/location",
        "/specversion",
    ];
    for pointer in paths {
        let stop = refused(HANDOFF, pointer, json!(secret));
        assert!(!stop.words.contains(secret), "{pointer}: {}", stop.words);
    }
}

#[test]
fn what_producers_do_differently_is_taken() {
    let take = |pointer: &str, value: Value| {
        let body = changed(HANDOFF, pointer, value);
        match decode(&structured(&body), &Limits::default()).unwrap().data {
            Data::HandoffRequested(handoff) => *handoff,
            other => panic!("{}", other.kind()),
        }
    };
    // Nobody's word for a mood or a reason is wrong, and nobody's extra field is.
    let handoff = take("/data/handoff/sentiment", json!("saudade"));
    assert_eq!(handoff.handoff.sentiment.as_deref(), Some("saudade"));
    take("/data/handoff/mood_score", json!({ "x": [1, null] }));
    // null is what many write for "not known"; an AI-filled null is a value.
    assert_eq!(take("/data/transcript", Value::Null).transcript, []);
    assert_eq!(take("/data/contact/phone", Value::Null).contact.phone, None);
    assert_eq!(
        take("/data/fields", json!({ "a": null })).fields["a"],
        Value::Null
    );
    // WhatsApp's own ids of Brazil and Mexico are no valid phone numbers, and are kept exactly.
    for id in ["551187654321", "5215512345678"] {
        assert_eq!(
            take("/data/contact/wa_id", json!(id))
                .contact
                .wa_id
                .as_deref(),
            Some(id)
        );
        let written = format!("whatsapp:+{id}");
        assert_eq!(
            take("/data/contact/wa_id", json!(written))
                .contact
                .wa_id
                .as_deref(),
            Some(id)
        );
    }
    take(
        "/data/contact/user_id",
        json!("US.ENT.13491208655302741918"),
    );
    take("/data/session/business_number", json!("106540352242922"));
    take("/data/transcript/2/attachments/0/kind", json!("hologram"));
    let body = changed(HANDOFF, "/sequence", json!(7));
    assert_eq!(
        decode(&structured(&body), &Limits::default())
            .unwrap()
            .sequence,
        Some(7)
    );
}

#[test]
fn binary_and_structured_say_the_same() {
    let whole: Value = serde_json::from_str(RECEIVED).unwrap();
    let expected = decode(&structured(RECEIVED), &Limits::default()).unwrap();
    for (origin, prefix) in [
        (Origin::Amqp, "cloudEvents:"),
        (Origin::Amqp, "cloudEvents_"),
        (Origin::Http, "ce-"),
    ] {
        let attributes = [
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "time",
            "sequence",
        ];
        let incoming = Incoming {
            origin,
            content_type: Some("application/json".to_owned()),
            headers: attributes
                .iter()
                .map(|name| {
                    (
                        format!("{prefix}{name}"),
                        whole[name].as_str().unwrap().to_owned(),
                    )
                })
                .collect(),
            body: whole["data"].to_string().into_bytes(),
        };
        assert_eq!(
            decode(&incoming, &Limits::default()).unwrap(),
            expected,
            "{prefix}"
        );

        // What is parked can be tried again, as it came.
        let stop = Stop::new(Reason::Undecodable, "x");
        assert_eq!(Incoming::of_poison(incoming.clone().poison(stop)), incoming);

        // An error names the header.
        let mut incoming = incoming;
        incoming.headers.remove(&format!("{prefix}subject"));
        let words = decode(&incoming, &Limits::default()).unwrap_err().words;
        let prefix = if origin == Origin::Http {
            "ce-"
        } else {
            "cloudEvents:"
        };
        assert_eq!(
            words,
            format!("{prefix}subject is missing; write the session's id")
        );
    }
}

#[test]
fn http_headers_are_percent_decoded() {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "50%25%20%C3%BC%zz"),
        ("ce-source", "/g"),
        ("ce-type", "session.closed"),
        ("ce-subject", "s"),
        ("ce-time", "2026-03-02T09:20:01Z"),
    ] {
        headers.insert(name.to_owned(), value.to_owned());
    }
    let incoming = Incoming {
        origin: Origin::Http,
        content_type: None,
        headers,
        body: b"{}".to_vec(),
    };
    assert_eq!(
        decode(&incoming, &Limits::default()).unwrap().id,
        "50% ü%zz"
    );
}

#[test]
fn a_batch_is_taken_apart() {
    let mut batch = structured(&format!("[{RECEIVED},{CLOSED},17]"));
    batch.content_type = Some("application/cloudevents-batch+json".to_owned());
    let one_by_one: Vec<_> = unbatch(&batch)
        .unwrap()
        .iter()
        .map(|one| {
            decode(one, &Limits::default())
                .map(|event| event.id)
                .map_err(|stop| stop.words)
        })
        .collect();
    assert_eq!(
        one_by_one,
        [
            Ok("evt-0008".to_owned()),
            Ok("evt-0011".to_owned()),
            Err("the event is a number; write a CloudEvent as a JSON object".to_owned()),
        ]
    );
    batch.body = format!("[{}0]", "0,".repeat(1_000)).into_bytes();
    let words = unbatch(&batch).unwrap_err().words;
    assert_eq!(
        words,
        "the body is a list of 1001; at most 1000 events are taken at once"
    );
}
