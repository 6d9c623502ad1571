//! What counts for WhatsApp's window, and what is only a guess.

use std::sync::Arc;

use handoffd::config::Limits;
use handoffd::intake::{Gate, Router};
use handoffd::ledger;
use handoffd_contract::{AuthorKind, Data};
use handoffd_test_support::unique;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{HANDOFF, RECEIVED, at, changed, decoded, handoff, incoming, now, received, with};

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
        dialects: Arc::default(),
        limits: Limits::default(),
    };
    let judged = gate.judge(&incoming(event.to_string()), now());
    for end in ["db", "db-wal", "db-shm"] {
        // Whether it can be removed decides no test.
        let _ = std::fs::remove_file(path.with_extension(end));
    }
    judged.expect("an event").admission.inbound_at
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
