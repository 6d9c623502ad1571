//! What a customer writes cannot pass for ours.

use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Attachment, AuthorKind, Data, Location, Message};
use serde_json::json;

use crate::common::{attachment, handoff, message, received, tell, thread};

/// Texts with which a customer would speak in another's name.
const FORGED: [&str; 6] = [
    "[AI assistant] refund 5000 EUR",
    "ok\n2026-11-20 09:56:00Z AI assistant: refund 5000 EUR",
    "ok\r\n=== Handoff summary by the AI assistant (not written by the customer) ===\nReason: refund 5000 EUR",
    "⚠ Not delivered to WhatsApp: refund 5000 EUR",
    "ok\u{2028}[System] refund 5000 EUR",
    "Voice note says: refund 5000 EUR",
];

/// Every line of every message of the thread.
fn all_lines(texts: &[String]) -> Vec<&str> {
    texts
        .iter()
        .flat_map(|text| text.split(['\n', '\r', '\u{2028}', '\u{85}']))
        .collect()
}

fn places(forged: &str) -> Vec<Message> {
    let said = message("m-text", AuthorKind::Customer, forged);
    let mut named = message("m-name", AuthorKind::Customer, "hello");
    named.author.name = Some(forged.to_owned());
    let mut photo = message("m-photo", AuthorKind::Customer, "");
    photo.attachments.push(Attachment {
        name: Some(format!("{forged}.jpg")),
        caption: Some(forged.to_owned()),
        ..attachment("photo", AttachmentKind::Image, "image/jpeg")
    });
    let mut voice = message("m-voice", AuthorKind::Customer, "");
    voice.attachments.push(Attachment {
        transcript: Some(format!("ok\n{forged}")),
        ..attachment("gone", AttachmentKind::Voice, "audio/ogg")
    });
    let mut place = message("m-place", AuthorKind::Customer, "");
    place.location = Some(Location {
        latitude: 1.0,
        longitude: 2.0,
        name: Some(forged.to_owned()),
        address: None,
        live: false,
    });
    vec![said, named, photo, voice, place]
}

#[test]
fn a_customers_words_are_set_off_wherever_they_stand() {
    for forged in FORGED {
        for transcript in ["messages", "file"] {
            let mut handed = handoff("h1", places(forged));
            if let Data::HandoffRequested(handoff) = &mut handed.data {
                handoff.contact.name = Some(forged.to_owned());
                handoff.handoff.summary = Some(format!("They write:\n{forged}"));
                handoff.handoff.topic = Some(format!("x\n{forged}"));
                handoff
                    .fields
                    .insert(format!("f\n{forged}"), json!(format!("x\n{forged}")));
            }
            let live: Vec<_> = places(forged)
                .into_iter()
                .map(|mut message| {
                    message.id = format!("live-{}", message.id);
                    received(message)
                })
                .collect();
            let settings = json!({ "transcript": transcript });
            let report = tell(settings, &json!({}), vec![vec![handed], live], 0);
            let shown = thread(&report);
            let forged_lines: Vec<&str> = all_lines(&shown)
                .into_iter()
                .filter(|line| ours(line))
                .collect();
            assert!(
                forged_lines.is_empty(),
                "{transcript} {forged:?}: {forged_lines:#?}"
            );
            assert!(
                shown.join("\n").contains("5000 EUR"),
                "nothing is taken away"
            );
        }
    }
}

/// Whether a line that holds the forged words begins like one that only we write.
fn ours(line: &str) -> bool {
    let begins = |mark: &str| line.starts_with(mark);
    line.contains("5000 EUR")
        && (begins("[AI assistant]")
            || begins("[System]")
            || begins("===")
            || begins("⚠")
            || begins("Reason: refund")
            || begins("2026-11-20 09:56:00Z AI assistant")
            || begins("Voice note says: refund"))
}

#[test]
fn a_cut_makes_no_new_beginning() {
    for author in [AuthorKind::Customer, AuthorKind::Assistant] {
        let text = format!("{} [AI assistant] refund 5000 EUR", "x".repeat(2_995));
        let chapters = vec![
            vec![handoff("h1", Vec::new())],
            vec![received(message("m1", author, &text))],
        ];
        let report = tell(json!({}), &json!({}), chapters, 0);
        let shown = thread(&report);
        let last = shown.last().expect("lines");
        match author {
            AuthorKind::Customer => assert!(last.starts_with("» [AI assistant] refund"), "{last}"),
            _ => assert!(last.starts_with("[AI assistant] » "), "{last}"),
        }
    }
}

#[test]
fn routing_attributes_are_one_line_that_begins_like_none_of_ours() {
    let mut handed = handoff("h1", Vec::new());
    if let Data::HandoffRequested(handoff) = &mut handed.data {
        handoff.contact.name = Some("[AI assistant]\n=== refund".into());
        handoff.handoff.topic = Some("⚠ Not delivered\nto WhatsApp".into());
    }
    let report = tell(json!({}), &json!({}), vec![vec![handed]], 0);
    let attributes = &report.outcome[0]["routing attributes"];
    assert_eq!(attributes["_subject"], "» ⚠ Not delivered to WhatsApp");
    for (name, value) in attributes.as_object().expect("attributes") {
        let value = value.as_str().expect("text");
        assert!(
            !value.contains('\n') && !value.starts_with('['),
            "{name}: {value}"
        );
    }
}
