//! The published schemas say what the intake does: they take the shipped examples, and refuse what
//! is wrong as far as a schema can tell.

use std::collections::{BTreeMap, BTreeSet};

use handoffd::schema::{document, event, outgoing};
use handoffd_contract::event::Session;
use handoffd_contract::{Call, Connector, Contact, Data, Item, Known, Rendered, Work};
use jsonschema::Validator;
use serde_json::{Value, json};

const EXAMPLES: &[(&str, &str)] = &[
    (
        "handoff.requested",
        include_str!("events/handoff.requested.json"),
    ),
    (
        "message.received",
        include_str!("events/message.received.json"),
    ),
    ("message.sent", include_str!("events/message.sent.json")),
    ("message.status", include_str!("events/message.status.json")),
    ("session.closed", include_str!("events/session.closed.json")),
    (
        "session.returned",
        include_str!("events/session.returned.json"),
    ),
    (
        "contact.updated",
        include_str!("events/contact.updated.json"),
    ),
];
const WRONG: &str = include_str!("events/wrong.txt");

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("a valid schema")
}

fn example(kind: &str) -> Value {
    let (_, text) = EXAMPLES
        .iter()
        .find(|(name, _)| *name == kind)
        .expect("an example");
    serde_json::from_str(text).expect("JSON")
}

/// Every kind of message that an event has a place for is in the schema, and intake reads it without a
/// warning.
#[test]
fn every_kind_of_message_is_valid() {
    let validator = validator(&event("message.received").unwrap());
    for (field, value, wrong) in [
        (
            "quote",
            json!({"message_id": "w", "text": "Red?", "author": {"kind": "agent", "name": "Ben"}}),
            json!({"message_id": 7}),
        ),
        (
            "reaction",
            json!({"message_id": "w", "emoji": "👍"}),
            json!({"emoji": 7}),
        ),
        ("edit", json!({"message_id": "w"}), json!("w")),
        ("deletion", json!({"message_id": "w"}), json!(true)),
        (
            "contacts",
            json!([{"name": "Lucía", "organization": "ACME", "phones": ["+1 983"], "emails": ["l@x.test"]}]),
            json!([{"phones": [{"phone": "1"}]}]),
        ),
        ("choice", json!({"id": "o1"}), json!("o1")),
        (
            "order",
            json!({"id": "1", "items": [{"product_id": "SKU-1", "name": "Cap", "quantity": 2, "price": 9.99, "currency": "EUR"}], "item_count": 2, "total": 19.98, "currency": "EUR"}),
            json!({"items": [{"quantity": -1}]}),
        ),
        (
            "poll",
            json!({"question": "When?", "options": ["Mon"]}),
            json!({"options": "Mon"}),
        ),
        (
            "vote",
            json!({"message_id": "w", "options": ["Mon"]}),
            json!({"options": [7]}),
        ),
        (
            "referral",
            json!({"source": "ad", "id": "9", "headline": "Now", "body": "b", "url": "https://fb.me/1"}),
            json!({"url": 7}),
        ),
        ("system", json!("user_changed_number"), json!(7)),
        ("unsupported", json!("poll_creation"), json!({})),
        (
            "location",
            json!({"latitude": 1.0, "longitude": 2.0, "live": true}),
            json!({"latitude": 1.0, "longitude": 2.0, "live": "yes"}),
        ),
    ] {
        let mut event = example("message.received");
        event["data"]["message"][field] = value;
        let errors: Vec<_> = validator
            .iter_errors(&event)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{field}");
        let incoming = handoffd::intake::Incoming {
            origin: handoffd::intake::Origin::Http,
            content_type: None,
            headers: BTreeMap::new(),
            body: event.to_string().into_bytes(),
        };
        let limits = handoffd::config::Limits::default();
        let read =
            handoffd::intake::decode(&incoming, &limits, jiff::Timestamp::now()).expect("an event");
        assert_eq!(read.warnings, Vec::<String>::new(), "{field}");
        event["data"]["message"][field] = wrong;
        assert!(!validator.is_valid(&event), "{field}");
    }
    // What handoffd fills in itself is nothing that a producer sends.
    assert!(
        !event("message.received")
            .unwrap()
            .to_string()
            .contains("\"reply\"")
    );
}

#[test]
fn the_shipped_examples_are_valid() {
    for kind in Data::INBOUND {
        let validator = validator(&event(kind).unwrap());
        let errors: Vec<_> = validator
            .iter_errors(&example(kind))
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{kind}");
        for other in Data::INBOUND.iter().filter(|other| *other != kind) {
            assert!(
                !validator.is_valid(&example(other)),
                "a {other} is no {kind}"
            );
        }
    }
    assert_eq!(
        event("rep.replied"),
        None,
        "what is handoffd's own cannot be sent in"
    );
}

/// The table of wrong events once more. What a schema cannot tell is listed, so that nobody takes a
/// valid event for a right one.
#[test]
fn a_wrong_event_is_invalid_where_a_schema_can_tell() {
    let lines: Vec<&str> = WRONG
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut passed = Vec::new();
    let mut refused = 0;
    for pair in lines.chunks(2) {
        let mut change = pair[0].splitn(3, ' ');
        let (kind, pointer) = (change.next().unwrap(), change.next().unwrap());
        let value: Value = serde_json::from_str(change.next().unwrap()).unwrap();
        let mut wrong = example(kind);
        let (above, name) = pointer.rsplit_once('/').unwrap();
        match wrong.pointer_mut(above).unwrap() {
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
            object => object[name] = value,
        }
        if validator(&event(kind).unwrap()).is_valid(&wrong) {
            passed.push(format!("{kind} {pointer}"));
        } else {
            refused += 1;
        }
    }
    assert!(refused >= 30, "only {refused} were refused");
    assert_eq!(passed, CANNOT_TELL);
}

/// Limits of the configuration, control characters, what must be the same or different elsewhere in
/// the event, and base64.
const CANNOT_TELL: &[&str] = &[
    "handoff.requested /id",
    "handoff.requested /id",
    "handoff.requested /source",
    "handoff.requested /data_base64",
    "handoff.requested /data/session/id",
    "handoff.requested /data/handoff/summary",
    "handoff.requested /data/transcript/4/id",
    "handoff.requested /data/transcript/1/text",
    "handoff.requested /data/transcript/2/attachments",
    "handoff.requested /data/transcript/2/attachments",
    "handoff.requested /data/transcript/4/attachments/0/source/data",
    "handoff.requested /data/fields/",
    "message.received /data/message/author/kind",
    "message.sent /data/message/author/kind",
];

#[test]
fn the_document_is_the_same_every_time_and_whole() {
    assert_eq!(document(), document());
    let document: Value = serde_json::from_str(&document()).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    let mut open = vec![&document];
    let mut references = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(
                        document.pointer(pointer).is_some(),
                        "{reference} leads nowhere"
                    );
                    references += 1;
                }
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    assert!(references > 40);
    for kind in Data::INBOUND {
        let pointer = format!("/channels/events/messages/{kind}");
        assert!(document.pointer(&pointer).is_some(), "{kind}");
        // The document's own schema of the event is as good as the one that stands alone.
        let schema = json!({
            "$ref": format!("#/components/schemas/{kind}"),
            "components": document["components"],
        });
        assert!(validator(&schema).is_valid(&example(kind)), "{kind}");
        assert!(!validator(&schema).is_valid(&json!({})), "{kind}");
    }
    assert!(outgoing("reply.requested").is_some());
}

/// What the WhatsApp connector and the one for events publish for each event of a session, until there is
/// nothing left.
fn published(items: Vec<Item>) -> Vec<Value> {
    let settings = json!({"exit": "gateway", "exchange": "out", "routing_key": "reply.requested"});
    let whatsapp = handoffd_whatsapp::connector("whatsapp", &settings).expect("settings");
    let settings = json!({"exchange": "out", "types": ["*"]});
    let events = handoffd_events::connector("events", &settings).expect("settings");
    let mut all = published_by(&*whatsapp, items.clone());
    all.extend(published_by(&*events, items));
    all
}

fn published_by(connector: &dyn Connector, items: Vec<Item>) -> Vec<Value> {
    let now = "2026-03-02T10:00:00Z".parse().expect("a time");
    let work = Work {
        target: "whatsapp".to_owned(),
        session: Session {
            id: "s".to_owned(),
            business_number: "+4930901820".to_owned(),
            ..Session::default()
        },
        contact: Contact {
            wa_id: Some("4915112345678".to_owned()),
            ..Contact::default()
        },
        items,
        last_inbound: Some(now),
        now,
        controller: handoffd_contract::Controller::queued(None),
    };
    let mut known = Known::default();
    let mut bodies = Vec::new();
    for _ in 0..50 {
        let steps = connector.next(&work, &known).unwrap_or_default();
        if steps.is_empty() {
            break;
        }
        for step in steps {
            match &step.call {
                Call::Publish(publish) => bodies.push(publish.body.clone()),
                Call::Record(record) => {
                    for (fact, value) in &record.facts {
                        known.set(fact, value);
                    }
                }
                _ => {}
            }
            for claim in &step.claims {
                known.set(&claim.fact, claim.candidate.clone().unwrap_or_default());
            }
        }
    }
    bodies
}

/// A notice with its text.
fn told(item: Item) -> Item {
    let fields = BTreeMap::from([("joined".to_owned(), json!("Rita is here."))]);
    let rendered = Rendered {
        sections: BTreeMap::from([("notices".to_owned(), fields)]),
        ..Rendered::default()
    };
    Item {
        // A notice that is minutes old is not told.
        time: "2026-03-02T10:00:00Z".parse().expect("a time"),
        rendered: Some(rendered),
        ..item
    }
}

#[test]
fn what_goes_out_is_as_published() {
    let item = |id: &str, data: Data| Item {
        id: id.to_owned(),
        time: "2026-03-02T09:50:00Z".parse().unwrap(),
        data,
        rendered: None,
    };
    let file = json!({
        "id": "f", "mime": "application/pdf", "name": "a.pdf",
        "source": { "from": "target", "target": "crm", "url": "/f" },
    });
    let said = json!({
        "id": "m", "time": "2026-03-02T09:00:00Z", "author": { "kind": "customer" }, "text": "Hi",
        "location": { "latitude": 1.0, "longitude": 2.0 },
        "attachments": [{ "id": "a", "kind": "image", "mime": "image/png", "caption": "look" }],
    });
    let data = |kind: &str, data: Value| {
        serde_json::from_value::<Data>(json!({ "type": kind, "data": data })).unwrap()
    };
    let bodies = published(vec![
        item(
            "1",
            data(
                "rep.replied",
                json!({
                    "target": "crm", "message_id": "m", "author": "Rita", "text": "Hello",
                    "attachments": [file],
                }),
            ),
        ),
        item(
            "2",
            data(
                "reply.status",
                json!({
                    "target": "crm", "message_id": "m", "state": "failed", "detail": "why",
                }),
            ),
        ),
        item(
            "3",
            data(
                "handoff.completed",
                json!({
                    "target": "crm", "handoff": "h", "records": { "ticket": "7" }, "url": "https://crm.test/7",
                }),
            ),
        ),
        item(
            "4",
            data(
                "handoff.failed",
                json!({
                    "target": "crm", "reason": "forbidden", "message": "no right",
                }),
            ),
        ),
        item(
            "5",
            data(
                "session.assigned",
                json!({ "target": "crm", "rep": "Rita" }),
            ),
        ),
        item(
            "5a",
            data(
                "session.routing",
                json!({ "target": "crm", "outcome": "failed", "detail": "nobody" }),
            ),
        ),
        item(
            "5b",
            data(
                "rep.activity",
                json!({ "target": "crm", "activity": "read", "record": "r", "message_id": "wamid.1" }),
            ),
        ),
        item(
            "5c",
            data(
                "session.updated",
                json!({ "target": "crm", "record": "7", "fields": { "priority": "HIGH", "note": null }, "changed_by": "userId:9" }),
            ),
        ),
        item(
            "6",
            data("rep.ended", json!({ "target": "crm", "status": "Closed" })),
        ),
        item(
            "7",
            data(
                "session.state",
                json!({
                    "controller": "queued", "target": "crm", "position": 2, "wait_seconds": 60,
                    "since": "2026-03-02T09:00:00Z", "handoff": "h",
                }),
            ),
        ),
        item(
            "8",
            data(
                "session.state",
                json!({ "controller": "closed", "by": "crm", "resolved": true, "since": "2026-03-02T09:00:00Z" }),
            ),
        ),
        item(
            "9",
            data(
                "session.state",
                json!({ "controller": "rep", "target": "crm", "name": "Rita", "since": "2026-03-02T09:00:00Z" }),
            ),
        ),
        item(
            "10",
            data(
                "session.unattended",
                json!({ "reason": "routing", "detail": "no agents", "targets": ["crm"], "since": "2026-03-02T09:00:00Z",
                    "waited_seconds": 600, "handoff": "h" }),
            ),
        ),
        item(
            "10a",
            data(
                "session.rated",
                json!({ "score": 4, "of": 5, "target": "crm", "rep": "Rita", "message": "e" }),
            ),
        ),
        item("10c", data("message.received", json!({ "message": said }))),
        item(
            "10d",
            data("conversation.started", json!({ "message": said })),
        ),
        told(item(
            "10b",
            data(
                "customer.notice",
                json!({ "notice": "joined", "target": "crm", "rep": "Rita", "since": "2026-03-02T09:00:00Z" }),
            ),
        )),
        item(
            "11",
            data(
                "session.handback",
                json!({
                    "target": "crm", "status": "Closed", "outcome": "closed", "resolved": true, "handoff": "h",
                    "requested_at": "2026-03-02T09:00:00Z", "joined_at": "2026-03-02T09:01:00Z",
                    "duration_seconds": 600, "reps": ["Rita"], "replies": 1,
                    "last_replies": [{ "target": "crm", "message_id": "m", "time": "2026-03-02T09:02:00Z", "author": "Rita" }],
                    "records": { "crm": { "records": { "ticket": "7" }, "url": "https://crm.test/7" } },
                }),
            ),
        ),
    ]);
    let mut kinds = BTreeSet::new();
    for body in &bodies {
        let kind = body["type"].as_str().unwrap();
        let validator = validator(&outgoing(kind).expect(kind));
        let errors: Vec<_> = validator
            .iter_errors(body)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{body:#}");
        // Every field that goes out is described.
        let schema = outgoing(kind).unwrap();
        let name = schema["properties"]["data"]["$ref"]
            .as_str()
            .unwrap()
            .to_owned();
        let described = schema
            .pointer(&format!("{}/properties", name.trim_start_matches('#')))
            .unwrap();
        for field in body["data"].as_object().unwrap().keys() {
            assert!(
                described.get(field).is_some(),
                "{kind} does not describe {field}"
            );
        }
        kinds.insert(kind);
    }
    let all = [
        "conversation.started",
        "message.received",
        "handoff.completed",
        "handoff.failed",
        "rep.activity",
        "reply.requested",
        "reply.status",
        "session.assigned",
        "session.closed",
        "session.handback",
        "session.rated",
        "session.state",
        "session.unattended",
        "session.routing",
        "session.updated",
    ];
    let of_notice = |body: &&Value| body["data"]["notice"] == "joined";
    assert_eq!(bodies.iter().filter(of_notice).count(), 1);
    assert_eq!(kinds, all.into());
}
