//! The proof suite: whatever happens to calls and answers, the thread ends as in the quiet run.
#![cfg(feature = "sandbox")]

mod common;

use common::{closed, handoff, message, received, rich_transcript, sent, status, tell, thread};
use handoffd_contract::event::DeliveryState;
use handoffd_contract::{AuthorKind, Data};
use serde_json::json;

/// A rep's message.
const REPLY: &str = "c0ffee00-0000-4000-8000-000000000001";

#[test]
fn two_mishaps_anywhere_leave_the_same_thread() {
    let chapters = vec![
        vec![handoff("h1", rich_transcript()[..2].to_vec())],
        vec![
            received(message("m9", AuthorKind::Customer, "still there?")),
            status(REPLY, DeliveryState::Failed, Some("the number is blocked")),
        ],
        vec![closed("closed-1")],
        vec![received(message(
            "m10",
            AuthorKind::Customer,
            "one more thing",
        ))],
        vec![handoff("h2", Vec::new())],
    ];
    let report = tell(json!({}), &json!({}), chapters, 2);
    assert_eq!(
        report.calls, 7,
        "create, transcript, file, message, note, end, transcript with the kept message"
    );
    let lines = thread(&report);
    let last = lines.last().expect("lines");
    assert!(
        last.contains("=== Handed over again") && last.ends_with("one more thing"),
        "{last}"
    );
    assert!(report.runs > 1_000, "{} runs", report.runs);
}

#[test]
fn a_mishap_anywhere_in_a_whole_story() {
    let chapters = vec![
        vec![handoff("h1", rich_transcript())],
        vec![
            received(message("m7", AuthorKind::Customer, "are you there?")),
            sent(message("m8", AuthorKind::Assistant, "One moment."), None),
            sent(message("m9", AuthorKind::Agent, "relayed"), Some("reply-1")),
        ],
        vec![handoff(
            "h2",
            [
                rich_transcript(),
                vec![message("m10", AuthorKind::Customer, "again")],
            ]
            .concat(),
        )],
        vec![
            status(REPLY, DeliveryState::Delivered, None),
            status(
                REPLY,
                DeliveryState::Held,
                Some("the 24-hour window is closed"),
            ),
            closed("closed-1"),
        ],
        // The customer comes back: a new messaging session with the same attributes.
        vec![received(message(
            "m11",
            AuthorKind::Customer,
            "one more thing",
        ))],
        vec![closed("closed-2")],
    ];
    for switches in [
        json!({}),
        json!({ "message_repeat": "202", "entry_payload": "string", "ended_session": "403" }),
        json!({ "create_starts_session": false, "entries_newest_first": false, "entries_gap_ms": 0 }),
    ] {
        let settings = json!({ "after_end": "new" });
        let report = tell(settings, &switches, chapters.clone(), 1);
        let lines = thread(&report);
        let file = "whatsapp-conversation.txt";
        let shown = [
            "=== Handoff summary",
            "image-image.jpg: the <box>",
            "voice-note-voice.ogg: Voice note says: it is broken",
            "bill _March_.pdf",
            "are you there?",
            "[AI assistant] One moment.",
            "=== Handed over again",
            "⚠ Not yet delivered to WhatsApp: the 24-hour window is closed",
            "one more thing",
        ];
        assert_eq!(lines.len(), shown.len(), "{lines:#?}");
        for (line, beginning) in lines.iter().zip(shown) {
            assert!(
                line.starts_with(beginning),
                "{line:?} does not begin with {beginning:?}\n{file}"
            );
        }
        assert!(
            lines[6].contains("again") && !lines[6].contains("where is my parcel"),
            "{}",
            lines[6]
        );
        let conversation = &report.outcome[0];
        let sessions = conversation["sessions"].as_array().expect("sessions");
        assert_eq!(sessions.len(), 2, "{conversation:#}");
        for session in sessions {
            assert_eq!(session["status"], "Ended");
            assert_eq!(
                session["routing attributes"]["OpencxSessionId"],
                common::SESSION
            );
            assert_eq!(session["routing attributes"]["priority"], "high");
        }
        let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else {
            panic!("no completion among {:?}", report.events.keys());
        };
        assert_eq!(done.notes, ["summary was truncated"]);
        assert_eq!(
            done.records["conversation"],
            conversation["conversation"].as_str().expect("id")
        );
    }
}

#[test]
fn fifty_messages_are_visible_after_three_round_trips() {
    let transcript: Vec<_> = (0..50)
        .map(|n| {
            let kind = if n % 2 == 0 {
                AuthorKind::Customer
            } else {
                AuthorKind::Assistant
            };
            message(
                &format!("m{n}"),
                kind,
                &format!("message {n}: {}", "some words ".repeat(5)),
            )
        })
        .collect();
    let report = tell(
        json!({}),
        &json!({}),
        vec![vec![handoff("h1", transcript)]],
        1,
    );
    // The engine opens the event stream first: one more.
    assert_eq!(report.round_trips + 1, 3);
    let lines = thread(&report);
    assert_eq!(lines.len(), 1);
    for n in 0..50 {
        assert!(lines[0].contains(&format!("message {n}: ")), "{n}");
    }
}
