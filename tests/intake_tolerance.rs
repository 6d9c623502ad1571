//! One odd field costs a line and not the handoff: what each becomes, and what the rep reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use handoffd::config::Limits;
use handoffd::intake::{Gate, Incoming, Origin, Router, decode};
use handoffd::ledger;
use handoffd_contract::event::{AttachmentKind, DeliveryState};
use handoffd_contract::{AuthorKind, Contact, Data, Event, Handoff, Message, Source};
use handoffd_test_support::unique;
use jiff::Timestamp;
use serde_json::{Value, json};

const HANDOFF: &str = include_str!("events/handoff.requested.json");
const RECEIVED: &str = include_str!("events/message.received.json");
const STATUS: &str = include_str!("events/message.status.json");
const CLOSED: &str = include_str!("events/session.closed.json");

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

fn contact(pointer: &str, value: Value) -> (Contact, Vec<String>) {
    let event = with(HANDOFF, &format!("/data/contact/{pointer}"), value);
    let warnings = event.warnings.clone();
    (handoff(event).contact, warnings)
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

/// When the customer last wrote, as far as WhatsApp's window is concerned.
async fn inbound(event: &Value) -> Option<Timestamp> {
    // Judging asks the ledger nothing; a gate has one all the same.
    let path = std::env::temp_dir()
        .join(unique("tolerance"))
        .with_extension("db");
    let url = format!("sqlite:{}", path.display());
    let gate = Gate {
        ledger: ledger::open(&url).await.expect("a ledger"),
        router: Arc::new(Router::default()),
        limits: Limits::default(),
    };
    let judged = gate.judge(&incoming(event.to_string()), now());
    for end in ["db", "db-wal", "db-shm"] {
        // Whether it can be removed decides no test.
        let _ = std::fs::remove_file(path.with_extension(end));
    }
    judged.expect("an event").admission.inbound_at
}

#[test]
fn a_bad_field_of_the_customer_is_left_out_and_the_good_ones_stay() {
    let (jana, warnings) = contact("phone", json!("0151 12345678"));
    assert_eq!(jana.phone, None);
    assert_eq!(jana.wa_id.as_deref(), Some("4915112345678"));
    assert_eq!(
        warnings,
        [
            "data.contact.phone is a text of 13 characters; it was left out: write E.164, + and 2 to 15 \
          digits without spaces, such as +4915112345678"
        ]
    );
    // The form alone was wrong: the number is certain.
    for spelling in [
        "+49 151 123-45678",
        "+49(151)12345678",
        "whatsapp:+4915112345678",
    ] {
        assert_eq!(
            contact("phone", json!(spelling)).0.phone.as_deref(),
            Some("+4915112345678"),
            "{spelling}"
        );
    }
    // Without a country nobody knows whose number it is; beside the same wa_id everybody does.
    for spelling in ["15112345678", "00491511234567", "+49 (0) 151 12345678", "0"] {
        assert_eq!(
            contact("phone", json!(spelling)).0.phone,
            None,
            "{spelling}"
        );
    }
    for value in [json!("4915112345678"), json!(4_915_112_345_678_u64)] {
        assert_eq!(
            contact("phone", value).0.phone.as_deref(),
            Some("+4915112345678")
        );
    }
    for (value, wa_id) in [
        (json!(4_915_112_345_678_u64), Some("4915112345678")),
        (json!("+49 151 12345678"), Some("4915112345678")),
        (json!("4915112345678@s.whatsapp.net"), Some("4915112345678")),
        (
            json!("4915112345678:12@s.whatsapp.net"),
            Some("4915112345678"),
        ),
        (json!("4915112345678@c.us"), Some("4915112345678")),
        (json!("183746529384756@lid"), None),
        (json!("none"), None),
        (json!({ "id": 1 }), None),
    ] {
        assert_eq!(
            contact("wa_id", value.clone()).0.wa_id.as_deref(),
            wa_id,
            "{value}"
        );
    }
    let long = "n".repeat(150_000);
    let name = contact("name", json!(long)).0.name.expect("a name");
    assert_eq!(name.chars().count(), 100_000);
    assert_eq!(
        contact("name", json!(["Jana", "B"])).0.name.as_deref(),
        Some("Jana, B")
    );
    let (jana, _) = contact(
        "external_ids",
        json!({ "shop": 7, "crm": null, "x": { "y": 1 } }),
    );
    assert_eq!(
        jana.external_ids,
        BTreeMap::from([("shop".into(), "7".into())])
    );
}

#[test]
fn a_word_for_no_e_mail_is_none_and_costs_nothing() {
    for word in ["none", "N/A", "-", "", " null ", "unknown"] {
        let (jana, warnings) = contact("email", json!(word));
        assert_eq!((jana.email, warnings), (None, vec![]), "{word}");
    }
    let (jana, warnings) = contact("email", json!("jana at example"));
    assert_eq!(jana.email, None);
    assert_eq!(warnings.len(), 1);
    let (jana, _) = contact("email", json!(" mailto:jana@example.com "));
    assert_eq!(jana.email.as_deref(), Some("jana@example.com"));
}

#[test]
fn only_who_and_which_conversation_refuse() {
    let refused = |pointer: &str, value: Value| {
        let body = changed(HANDOFF, pointer, value).to_string();
        decode(&incoming(body), &Limits::default(), now())
            .expect_err(pointer)
            .words
    };
    let words = refused(
        "/data/contact",
        json!({ "phone": "0151 12345678", "name": "Jana" }),
    );
    assert_eq!(
        words,
        "data.contact is an object of 2 fields; without wa_id, user_id or phone nobody can be found or \
         answered: write at least one; data.contact.phone is a text of 13 characters; it was left out: \
         write E.164, + and 2 to 15 digits without spaces, such as +4915112345678"
    );
    let both = refused("/data/session/id", json!("another"));
    assert!(
        both.starts_with("data.session.id is a text of 7 characters; "),
        "{both}"
    );
    let mut none = changed(HANDOFF, "/subject", json!(" "));
    none["data"]["session"]["id"] = Value::Null;
    let stop =
        decode(&incoming(none.to_string()), &Limits::default(), now()).expect_err("no session");
    assert_eq!(
        stop.words,
        "subject is a text of 1 character; write the session's id"
    );
}

/// Nothing but who and which conversation: everything else is missing or of the wrong shape.
#[test]
fn what_has_identity_and_session_is_taken() {
    let bare = json!({
        "type": "handoff.requested", "subject": "s",
        "data": { "contact": { "wa_id": "4915112345678" } },
    });
    let event = decoded(bare.to_string());
    assert_eq!(
        (event.session.as_str(), event.time, event.source.as_str()),
        ("s", now(), "unknown")
    );
    // The same bytes again are the same event.
    assert_eq!(event.unique_id(), decoded(bare.to_string()).unique_id());
    assert_ne!(
        event.unique_id(),
        decoded(bare.to_string().replace("678", "679")).unique_id()
    );
    let handoff = handoff(event);
    assert_eq!(
        (
            handoff.session.id.as_str(),
            handoff.session.business_number.as_str()
        ),
        ("s", "")
    );
    for odd in [
        json!(7),
        json!("x"),
        json!([]),
        json!([7, null, "x"]),
        json!({ "a": 1 }),
        json!(true),
    ] {
        let event = json!({
            "specversion": odd, "type": "handoff.requested", "subject": "s", "id": odd, "source": odd,
            "time": odd, "sequence": odd, "data": {
                "session": odd, "contact": {
                    "wa_id": "4915112345678", "phone": odd, "user_id": odd, "name": odd, "email": odd,
                    "username": odd, "external_ids": odd,
                },
                "handoff": odd, "transcript": odd, "fields": odd, "targets": odd,
            },
        });
        let event = decoded(event.to_string());
        assert!(!event.warnings.is_empty(), "{odd}");
    }
}

#[test]
fn the_rep_reads_what_of_a_handoff_is_not_there() {
    let mut odd = changed(HANDOFF, "/data/contact/email", json!("jana at example"));
    odd["data"]["session"]["url"] = json!("/sessions/7");
    let handoff = handoff(decoded(odd.to_string()));
    let last = handoff.transcript.last().expect("a line");
    assert_eq!(last.author.kind, AuthorKind::System);
    assert_eq!(last.time, at("2026-03-02T09:16:05Z"));
    assert_eq!(
        last.text.as_deref(),
        Some(
            "Not all that the platform sent could be read. Left out or cut: session.url, contact.email"
        )
    );
    // Where nothing is lost, there is no such line.
    let (transcript, warnings) = said("3/time", json!("yesterday"));
    assert_eq!((transcript.len(), warnings.len()), (7, 1));
}

#[test]
fn an_author_is_known_by_every_certain_word_and_never_guessed_to_be_the_customer() {
    for (word, kind) in [
        ("bot", AuthorKind::Assistant),
        ("AI", AuthorKind::Assistant),
        ("Chatbot", AuthorKind::Assistant),
        ("rep", AuthorKind::Agent),
        ("human-agent", AuthorKind::Agent),
        ("contact", AuthorKind::Customer),
        ("notice", AuthorKind::System),
        // Others are the customer, so this is somebody of the business.
        ("user", AuthorKind::Agent),
        ("human", AuthorKind::Agent),
        ("subscriber", AuthorKind::System),
    ] {
        let (transcript, _) = said("1/author", json!({ "kind": word }));
        assert_eq!(transcript[1].author.kind, kind, "{word}");
    }
    for odd in [
        json!(7),
        json!(null),
        json!([]),
        json!({ "kind": 7 }),
        json!({ "name": "Ava" }),
    ] {
        let (transcript, warnings) = said("1/author", odd.clone());
        assert_eq!(transcript[1].author.kind, AuthorKind::System, "{odd}");
        assert_eq!(warnings.len(), 1, "{odd}: {warnings:?}");
    }
    // The convention of language models: beside an assistant alone, the user is the customer.
    let talk = json!([
        { "id": "1", "time": "2026-03-02T09:12:41Z", "role": "user", "text": "Hallo" },
        { "id": "2", "time": "2026-03-02T09:12:44Z", "role": "assistant", "text": "Guten Tag" },
    ]);
    let transcript = handoff(with(HANDOFF, "/data/transcript", talk)).transcript;
    let kinds: Vec<AuthorKind> = transcript.iter().map(|said| said.author.kind).collect();
    assert_eq!(kinds, [AuthorKind::Customer, AuthorKind::Assistant]);
}

#[test]
fn a_message_with_nothing_in_it_is_a_line() {
    for (value, line) in [
        (json!(""), "[empty message]"),
        (json!(null), "[empty message]"),
        (json!({ "a": 1 }), "[message that could not be read]"),
    ] {
        let (transcript, warnings) = said("1/text", value.clone());
        assert_eq!(transcript[1].text.as_deref(), Some(line), "{value}");
        assert_eq!(transcript[1].author.kind, AuthorKind::Assistant);
        assert_eq!(warnings.len(), 1, "{value}");
        assert_eq!(
            received("text", value.clone()).0.text.as_deref(),
            Some(line),
            "{value}"
        );
    }
    assert_eq!(
        said("1/text", json!({ "body": "Hallo" })).0[1]
            .text
            .as_deref(),
        Some("Hallo")
    );
    assert_eq!(said("1/text", json!(42)).0[1].text.as_deref(), Some("42"));
    assert_eq!(
        said("1", json!("Hallo")).0[1].text.as_deref(),
        Some("Hallo")
    );
    let (transcript, _) = said("1", json!(7));
    assert_eq!(
        transcript[1].text.as_deref(),
        Some("[message that could not be read]")
    );
}

#[test]
fn a_file_or_place_that_cannot_be_read_is_still_shown() {
    let file = |pointer: &str, value: Value| {
        let (transcript, warnings) = said(&format!("2/attachments/{pointer}"), value);
        (transcript[2].attachments[0].clone(), warnings)
    };
    let (image, warnings) = file("0/source/url", json!("/m/paket.jpg"));
    assert_eq!(
        (image.source, image.name.as_deref()),
        (None, Some("paket.jpg"))
    );
    assert_eq!(
        warnings,
        [
            "data.transcript[2].attachments[0].source.url is a text of 12 characters; it was left out: \
          write an absolute http or https address"
        ]
    );
    let (image, warnings) = file("0/kind", json!("hologram"));
    assert_eq!((image.kind, warnings.len()), (AttachmentKind::Image, 1));
    let (image, _) = file("0/name", json!("n".repeat(500)));
    assert_eq!(image.name.expect("a name").chars().count(), 200);
    // A CRM's sign-in is nobody's outside.
    let stolen = json!({ "from": "target", "target": "crm", "url": "/secret" });
    assert_eq!(file("0/source", stolen).0.source, None);
    let url = "https://media.example.com/m/paket.jpg";
    let there = Some(Source::Url {
        url: url.to_owned(),
    });
    assert_eq!(file("0/source", json!(url)).0.source, there);
    assert_eq!(file("0", json!(url)).0.source, there);
    assert_eq!(file("0", json!(7)).0.source, None);
    let bytes = |data: &str| {
        file("0/source", json!({ "from": "inline", "data": data }))
            .0
            .source
    };
    let pdf = Some(Source::Inline {
        data: "JVBERi0xLjQK".to_owned(),
    });
    assert_eq!(bytes("data:application/pdf;base64,JVBERi0x\nLjQK"), pdf);
    assert_eq!(
        bytes("-_8"),
        Some(Source::Inline {
            data: "+/8=".to_owned()
        })
    );
    assert_eq!(bytes("%%%"), None);
    let many: Vec<Value> = (0..35).map(|n| json!({ "id": n.to_string() })).collect();
    let (transcript, _) = said("2/attachments", json!(many));
    assert_eq!(transcript[2].attachments.len(), 30);
    assert_eq!(
        transcript[2].text.as_deref(),
        Some("[5 more attachments were left out]")
    );
    let (transcript, _) = said("5/location/latitude", json!("52.52"));
    let place = transcript[5].location.clone().expect("a place");
    assert!((place.latitude - 52.52).abs() < 1e-9);
    let (transcript, _) = said("5/location/latitude", json!("north"));
    assert_eq!(transcript[5].location, None);
    assert_eq!(
        transcript[5].text.as_deref(),
        Some("[location that could not be read]\nZuhause\nBerlin")
    );
}

#[test]
fn every_message_keeps_an_id_of_its_own() {
    let (transcript, warnings) = said("4/id", json!("wamid.2"));
    assert_eq!(
        (transcript[4].id.as_str(), warnings.len()),
        ("wamid.2~4", 1)
    );
    let (transcript, _) = said("4/id", json!(null));
    assert_eq!(transcript[4].id, "no-id-4");
    // The same message once more is the same message.
    let event: Value = serde_json::from_str(HANDOFF).expect("JSON");
    let (transcript, warnings) = said("4", event["data"]["transcript"][3].clone());
    assert_eq!((transcript.len(), warnings.len()), (6, 1));
}

#[test]
fn a_transcript_longer_than_is_taken_keeps_what_was_said_last() {
    let message = |n: usize| json!({ "id": n.to_string(), "time": "2026-03-02T09:12:41Z", "author": { "kind": "customer" }, "text": "x" });
    let all: Vec<Value> = (0..5_003).map(message).collect();
    let transcript = handoff(with(HANDOFF, "/data/transcript", json!(all))).transcript;
    assert_eq!(transcript.len(), 5_001);
    assert_eq!(
        (transcript[0].id.as_str(), transcript[4_999].id.as_str()),
        ("3", "5002")
    );
}

#[tokio::test]
async fn a_time_that_cannot_be_believed_never_holds_the_window_open_longer() {
    // The event's time, in a form that can be read.
    let event_time = at("2026-03-02T09:20:01Z");
    for (value, time) in [
        (json!(1_772_443_200), at("2026-03-02T09:20:00Z")),
        (json!("1772443200000"), at("2026-03-02T09:20:00Z")),
        (json!("2026-03-02T09:19:00"), at("2026-03-02T09:19:00Z")),
        // Local time of a place east of Greenwich, without its zone.
        (json!("2026-03-02T09:34:00"), event_time),
        (json!("2031-01-01T00:00:00Z"), event_time),
        (json!("soon"), event_time),
        (json!(null), event_time),
        (json!(17), event_time),
    ] {
        assert_eq!(received("time", value.clone()).0.time, time, "{value}");
        let event = changed(RECEIVED, "/data/message/time", value.clone());
        assert_eq!(inbound(&event).await, Some(time), "{value}");
    }
    // An event without a time came when it came.
    let mut event = changed(RECEIVED, "/time", json!("soon"));
    event["data"]["message"]["time"] = json!("later");
    assert_eq!(inbound(&event).await, Some(now()));
    let late = changed(RECEIVED, "/time", json!("2031-01-01T00:00:00Z"));
    assert_eq!(decoded(late.to_string()).time, now());
}

#[tokio::test]
async fn a_guess_in_a_transcript_does_not_open_the_window() {
    let known = at("2026-03-02T09:15:10Z");
    // The customer's newest message has no time: it is shown with the one before, and does not count.
    for value in [json!("soon"), json!(null), json!("2031-01-01T00:00:00Z")] {
        let event = changed(HANDOFF, "/data/transcript/5/time", value.clone());
        let transcript = handoff(decoded(event.to_string())).transcript;
        assert_eq!(transcript[5].time, known, "{value}");
        assert_eq!(inbound(&event).await, Some(known), "{value}");
    }
    let mut event: Value = serde_json::from_str(HANDOFF).expect("JSON");
    for message in event["data"]["transcript"].as_array_mut().expect("a list") {
        message["time"] = json!("soon");
    }
    assert_eq!(inbound(&event).await, None);
    // An unknown word is nobody, and a user among customers is somebody of the business.
    for word in ["subscriber", "user"] {
        let event = changed(HANDOFF, "/data/transcript/5/author/kind", json!(word));
        assert_eq!(inbound(&event).await, Some(known), "{word}");
    }
}

#[test]
fn an_author_who_contradicts_the_events_type_opens_nothing() {
    let event = with(RECEIVED, "/data/message/author/kind", json!("assistant"));
    assert_eq!(event.data.kind(), "message.sent");
    let event = with(RECEIVED, "/data/message/author/kind", json!("subscriber"));
    assert_eq!(event.data.kind(), "message.received");
    let sent = RECEIVED.replace("message.received", "message.sent");
    let event = decoded(sent);
    let Data::MessageSent(said) = event.data else {
        panic!("a message.sent")
    };
    assert_eq!(said.message.author.kind, AuthorKind::System);
}

#[test]
fn the_word_for_a_state_is_read_where_it_is_certain() {
    for (word, state) in [
        ("SEEN", DeliveryState::Read),
        ("undelivered", DeliveryState::Failed),
        ("accepted", DeliveryState::Sent),
    ] {
        let Data::MessageStatus(status) = with(STATUS, "/data/status", json!(word)).data else {
            panic!("a status")
        };
        assert_eq!(status.status, state, "{word}");
    }
    let error = json!({ "code": 131_026, "title": "Message undeliverable" });
    let Data::MessageStatus(status) = with(STATUS, "/data/error", error).data else {
        panic!("a status")
    };
    assert_eq!(status.error.as_deref(), Some("Message undeliverable"));
    let mut closed: Value = serde_json::from_str(CLOSED).expect("JSON");
    closed["data"] = json!({ "resolved": "yes", "reason": ["a", "b"] });
    let Data::SessionClosed(closed) = decoded(closed.to_string()).data else {
        panic!("a closed session")
    };
    assert_eq!(
        (closed.resolved, closed.reason.as_deref()),
        (Some(true), Some("a, b"))
    );
}

#[test]
fn a_body_that_is_not_quite_json_is_read() {
    let bom = [b"\xef\xbb\xbf", HANDOFF.as_bytes()].concat();
    assert_eq!(decoded(bom), decoded(HANDOFF));
    // Half an emoji, as a summary that was cut by UTF-16 units ends.
    let half = HANDOFF.replace("before Friday.", "before \\ud83d");
    let event = decoded(half);
    assert_eq!(
        event.warnings,
        [
            "the event was read although its text was mended: write JSON in UTF-8, without half characters"
        ]
    );
    let summary = handoff(event).handoff.summary.expect("a summary");
    assert!(summary.ends_with("before \u{fffd}"), "{summary}");
    let whole = HANDOFF.replace("before Friday.", "\\\\ud83d \\ud83d\\udc4b");
    let summary = handoff(decoded(whole)).handoff.summary.expect("a summary");
    assert!(summary.ends_with("\\ud83d 👋"), "{summary}");
    let latin = [HANDOFF.as_bytes()].concat();
    let latin: Vec<u8> = String::from_utf8(latin)
        .expect("text")
        .replace("Jana's", "Jan\u{1}s")
        .bytes()
        .map(|byte| if byte == 1 { 0xe4 } else { byte })
        .collect();
    let summary = handoff(decoded(latin)).handoff.summary.expect("a summary");
    assert!(summary.starts_with("Jan\u{fffd}s"), "{summary}");
    // A payload that is JSON in a text, or in base64.
    let mut event: Value = serde_json::from_str(CLOSED).expect("JSON");
    let plain = decoded(event.to_string());
    event["data"] = json!(event["data"].to_string());
    assert_eq!(decoded(event.to_string()).data, plain.data);
}
