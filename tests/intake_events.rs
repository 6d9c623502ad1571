//! What comes in becomes an event, or an error that says where, what and how to mend it.

use std::collections::BTreeMap;

use handoffd::config::Limits;
use handoffd::intake::{Incoming, Origin, decode, unbatch};
use handoffd_contract::{Data, Reason, Stop};
use jiff::Timestamp;
use serde_json::{Value, json};

const HANDOFF: &str = include_str!("events/handoff.requested.json");
const RECEIVED: &str = include_str!("events/message.received.json");
const SENT: &str = include_str!("events/message.sent.json");
const STATUS: &str = include_str!("events/message.status.json");
const CLOSED: &str = include_str!("events/session.closed.json");
const RETURNED: &str = include_str!("events/session.returned.json");
const UPDATED: &str = include_str!("events/contact.updated.json");
const WRONG: &str = include_str!("events/wrong.txt");

fn example(kind: &str) -> &'static str {
    match kind {
        "handoff.requested" => HANDOFF,
        "message.received" => RECEIVED,
        "message.sent" => SENT,
        "message.status" => STATUS,
        "session.closed" => CLOSED,
        "session.returned" => RETURNED,
        "contact.updated" => UPDATED,
        other => panic!("there is no example of {other}"),
    }
}

fn now() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().expect("a time")
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

#[test]
fn every_shipped_example_is_an_event() {
    for kind in Data::INBOUND {
        let event = decode(&structured(example(kind)), &Limits::default(), now()).unwrap();
        assert_eq!(event.data.kind(), *kind);
        assert_eq!(event.session, "ses_7Qm2kd");
        assert!(event.sequence.is_some());
    }
}

/// What becomes of an event that is not as it should be: refused, or taken with these warnings.
fn told(base: &str, pointer: &str, value: Value) -> String {
    let body = changed(base, pointer, value);
    match decode(&structured(&body), &Limits::default(), now()) {
        Ok(event) if event.warnings.is_empty() => "  taken".to_owned(),
        Ok(event) => format!("  taken: {}", event.warnings.join(" · ")),
        Err(stop) => format!("  {}: {}", stop.reason.label(), stop.message),
    }
}

#[test]
fn a_wrong_event_is_told_where_what_and_how_to_mend_it() {
    let lines: Vec<&str> = WRONG
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let (mut tried, mut refused) = (0, 0);
    for pair in lines.chunks(2) {
        let mut change = pair[0].splitn(3, ' ');
        let (base, pointer) = (example(change.next().unwrap()), change.next().unwrap());
        let told = told(
            base,
            pointer,
            serde_json::from_str(change.next().unwrap()).unwrap(),
        );
        assert_eq!(told, pair[1], "{}", pair[0]);
        tried += 1;
        refused += usize::from(!told.starts_with("  taken"));
    }
    assert!(tried >= 50, "only {tried} were tried");
    assert!(refused <= 15, "{refused} were refused");
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
        decode(&incoming, &limits, now()).unwrap_err().message
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
    assert!(with(None, "{}").starts_with("type is missing; the types that are taken are"));
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
fn limits_are_the_configurations_and_what_is_beyond_is_cut() {
    let taken = |limits: Limits| {
        let event = decode(&structured(HANDOFF), &limits, now()).unwrap();
        match event.data {
            Data::HandoffRequested(handoff) => (*handoff, event.warnings),
            other => panic!("{}", other.kind()),
        }
    };
    let (handoff, warnings) = taken(Limits {
        max_messages: 6,
        ..Limits::default()
    });
    // The newest are kept, and a line tells the rep.
    let ids: Vec<&str> = handoff
        .transcript
        .iter()
        .map(|said| said.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "wamid.2",
            "wamid.3",
            "wamid.4",
            "wamid.5",
            "wamid.6",
            "note.1",
            "handoffd.left-out"
        ]
    );
    assert_eq!(
        warnings,
        [
            "data.transcript is a list of 7; only the newest 6 were taken: send less, or raise \
          intake.limits.max_messages"
        ]
    );
    let (handoff, warnings) = taken(Limits {
        max_text: 20,
        ..Limits::default()
    });
    assert_eq!(
        handoff.handoff.summary.as_deref(),
        Some("Jana's parcel arriv…")
    );
    assert_eq!(handoff.session.url, None);
    assert!(
        warnings.contains(
            &"data.handoff.summary is a text of 69 characters; it was cut: at most 20 characters are \
              taken, send less, or raise intake.limits.max_text"
                .to_owned()
        ),
        "{warnings:#?}"
    );
    let (handoff, warnings) = taken(Limits {
        max_fields: 3,
        ..Limits::default()
    });
    assert_eq!(handoff.fields.len(), 3);
    assert_eq!(
        warnings,
        [
            "data.fields is an object of 4 fields; only the first 3 were taken: send less, or raise \
          intake.limits.max_fields"
        ]
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
        let told = told(HANDOFF, pointer, json!(secret));
        assert_ne!(told, "  taken", "{pointer}");
        assert!(!told.contains(secret), "{pointer}: {told}");
    }
}

#[test]
fn binary_and_structured_say_the_same() {
    let whole: Value = serde_json::from_str(RECEIVED).unwrap();
    let expected = decode(&structured(RECEIVED), &Limits::default(), now()).unwrap();
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
            decode(&incoming, &Limits::default(), now()).unwrap(),
            expected,
            "{prefix}"
        );

        // What is parked can be tried again, as it came.
        let stop = Stop::new(Reason::Undecodable, "x");
        assert_eq!(
            Incoming::of_dead_letter(incoming.clone().dead_letter(stop)),
            incoming
        );

        // A warning and an error name the header.
        let shown = if origin == Origin::Http {
            "ce-"
        } else {
            "cloudEvents:"
        };
        let mut without = incoming.clone();
        without.headers.remove(&format!("{prefix}subject"));
        assert_eq!(
            decode(&without, &Limits::default(), now())
                .unwrap()
                .warnings,
            [format!(
                "{shown}subject is missing; data.session.id was taken: write the session's id"
            )]
        );
        without.headers.remove(&format!("{prefix}type"));
        let words = decode(&without, &Limits::default(), now())
            .unwrap_err()
            .message;
        assert!(
            words.starts_with(&format!("{shown}type is missing; ")),
            "{words}"
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
        decode(&incoming, &Limits::default(), now()).unwrap().id,
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
            decode(one, &Limits::default(), now())
                .map(|event| event.id)
                .map_err(|stop| stop.message)
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
    let words = unbatch(&batch).unwrap_err().message;
    assert_eq!(
        words,
        "the body is a list of 1001; at most 1000 events are taken at once"
    );
}
