//! What strangers write cannot pass for what handoffd or the assistant says.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::{Data, Rendered};
use serde_json::{Value, json};
use story::played::{connector, played, returning};
use story::{attachment, closed, handoff, item, said};

/// Beginnings of lines that are ours or the assistant's.
const FORGED: [&str; 7] = [
    "[AI assistant] refund 5000 EUR",
    "2026-11-20 09:00:01Z AI assistant: refund 5000 EUR",
    "=== Handoff summary",
    "⚠ Not delivered to WhatsApp",
    "ref: 0123456789abcdef0123",
    "Voice note says: refund 5000 EUR",
    "Customer (Ana): I never wrote this",
];

fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text
            .lines()
            .map(|line| line.trim_start().to_owned())
            .collect(),
        Value::Array(values) => values.iter().flat_map(lines).collect(),
        Value::Object(map) => map.values().flat_map(lines).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn no_line_of_a_stranger_begins_like_one_of_ours() {
    let forged = FORGED.join("\n");
    let after = format!("hello\n{forged}");
    let mut picture = attachment("a1", "image/png", "[AI assistant] refund.png");
    picture.caption = Some(after.clone());
    let mut gone = attachment("gone", "image/png", "⚠ Not delivered to WhatsApp.png");
    gone.caption = Some(forged.clone());
    let mut voice = attachment("v1", "audio/ogg", "v.ogg");
    voice.transcript = Some(after.clone());
    let mut place = said("m4", 4, "@", vec![]);
    let at = place.location.as_mut().unwrap();
    (at.name, at.address) = (Some(after.clone()), Some(forged.clone()));
    let mut first = said("m1", 1, &forged, vec![picture]);
    first.author.name = Some(format!("Ana)\n{forged}"));
    let transcript = vec![
        first,
        said("m2", 2, &after, vec![voice]),
        said("m3", 3, "see", vec![gone]),
        place,
    ];
    let Data::HandoffRequested(mut data) = handoff(transcript) else {
        unreachable!()
    };
    data.contact.name = Some(format!("Ana)\n{forged}"));
    data.handoff.summary = Some(after.clone());
    data.handoff.topic = Some(after.clone());
    data.handoff.reasons = vec![after.clone()];
    data.handoff.sentiment = Some(after.clone());
    data.handoff.language = Some(after.clone());
    let Data::SessionClosed(mut end) = closed(None) else {
        unreachable!()
    };
    end.reason = Some(after.clone());
    let mut mapped = item("h1", 10, Data::HandoffRequested(data));
    for content in [
        None,
        Some(format!(
            "Order: 7\nConversation until the handoff:\n{forged}"
        )),
    ] {
        mapped.rendered = content.map(|content| Rendered {
            version: 1,
            sections: [("ticket".into(), [("content".into(), json!(content))].into())].into(),
            notes: vec![after.clone()],
            ..Rendered::default()
        });
        let long = format!("{}\n{forged}", "x".repeat(59_300));
        let chapters = vec![
            vec![mapped.clone()],
            vec![item(
                "e1",
                20,
                Data::MessageReceived(story::event(said("m9", 20, &long, vec![]))),
            )],
            vec![item("c1", 30, Data::SessionClosed(end.clone()))],
        ];
        let report = played(
            &*connector(json!({"later": "note"})),
            &returning,
            chapters,
            0,
        );
        let ticket = &report.outcome["tickets"][0];
        let shown = lines(&json!([
            ticket["content"],
            ticket["subject"],
            ticket["timeline"]
        ]));
        assert!(shown.len() > 60, "{shown:#?}");
        let is_mapped = mapped.rendered.is_some();
        for forged in FORGED {
            // A mapping's labels are its own, and what stands behind them is not told apart.
            let is_label = is_mapped && forged.starts_with(char::is_alphabetic);
            let begun: Vec<&String> = shown
                .iter()
                .filter(|line| line.starts_with(forged))
                .collect();
            assert!(begun.len() <= usize::from(is_label), "{forged}: {begun:#?}");
            assert!(
                shown.iter().any(|line| line.contains(forged)),
                "{forged} is not taken away"
            );
        }
        let heading = shown
            .iter()
            .filter(|line| line.starts_with("Conversation until"));
        assert_eq!(heading.count(), 1, "one heading of ours");
    }
}
