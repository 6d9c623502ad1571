//! What the channel finds too long: split smaller, sent as a file, or left out; the handoff goes on.

use handoffd_contract::event::{AttachmentKind, DeliveryState};
use handoffd_contract::{Attachment, AuthorKind, Data, Item, Known};
use serde_json::{Value, json};

use crate::common::{
    attachment, closed, handoff, lines, message, outcome, received, sandbox, sent, status, tell,
    thread,
};
use crate::play::run_with;

/// So many different words that each stands for its place.
fn numbered(count: usize) -> String {
    let words: Vec<String> = (0..count).map(|n| format!("w{n}.")).collect();
    words.join(" ")
}

fn notes(report: &handoffd_contract::proof::Report, handoff: &str) -> Vec<String> {
    match report.events.get(&format!("completed/{handoff}")) {
        Some(Data::HandoffCompleted(done)) => done.notes.clone(),
        other => panic!("no completion: {other:?}"),
    }
}

/// Each word once and in order, whatever the channel takes at a time.
fn is_whole(shown: &[String], count: usize) {
    let all = shown.join("\n");
    let mut from = 0;
    for n in 0..count {
        let word = format!("w{n}.");
        let at = all[from..].find(&word);
        from += at.unwrap_or_else(|| panic!("{word} is missing or not in order: {all}"));
        assert_eq!(all.matches(&word).count(), 1, "{word}: {all}");
    }
}

#[test]
fn a_text_over_the_channels_limit_is_split_smaller_and_the_limit_is_remembered() {
    let words = numbered(700);
    for limit in [2_000, 1_100, 400] {
        let chapters = vec![
            vec![handoff("h1", Vec::new())],
            vec![received(message("m1", AuthorKind::Customer, &words))],
            vec![sent(
                message("m2", AuthorKind::Assistant, &"again ".repeat(300)),
                None,
            )],
        ];
        let depth = usize::from(limit == 2_000);
        let report = tell(json!({}), &json!({ "text_limit": limit }), chapters, depth);
        let shown = thread(&report);
        assert!(
            shown.iter().all(|line| line.chars().count() <= limit),
            "{limit}"
        );
        is_whole(&shown, 700);
        let learned: usize = report
            .known
            .get("limit")
            .and_then(|n| n.parse().ok())
            .expect("a limit");
        assert!(learned <= limit, "{learned} of {limit}");
        // The second message is split by what was learned, and each part says whose it is.
        let assistant: Vec<&String> = shown.iter().filter(|line| line.contains("again")).collect();
        assert!(assistant.len() > 1 || limit == 2_000, "{assistant:?}");
        for part in &assistant {
            assert!(part.starts_with("[AI assistant] "), "{part}");
        }
    }
}

#[test]
fn a_handoff_over_the_channels_limit_is_shown_and_does_not_park() {
    let words = numbered(150);
    for (transcript, switches) in [
        ("messages", json!({ "text_limit": 300 })),
        ("file", json!({ "text_limit": 150 })),
        ("file", json!({ "text_limit": 300, "attachments": false })),
        ("auto", json!({ "text_limit": 200 })),
    ] {
        let settings =
            json!({ "transcript": transcript, "message_limit": 600, "transcript_max_parts": 20 });
        let transcript = vec![message("m1", AuthorKind::Customer, &words)];
        let chapters = vec![vec![handoff("h1", transcript)]];
        let report = tell(settings, &switches, chapters, 1);
        is_whole(&thread(&report), 150);
        notes(&report, "h1");
    }
}

#[test]
fn what_is_too_long_however_short_goes_as_a_file_or_is_given_up() {
    let chapters = vec![
        vec![handoff("h1", Vec::new())],
        vec![
            received(message("m1", AuthorKind::Customer, &numbered(60))),
            status(
                "c0ffee00-0000-4000-8000-000000000001",
                DeliveryState::Failed,
                Some("the number is blocked"),
            ),
        ],
        vec![received(message("m2", AuthorKind::Customer, "hi"))],
    ];
    let report = tell(json!({}), &json!({ "text_limit": 30 }), chapters.clone(), 1);
    let shown = thread(&report);
    is_whole(&shown, 60);
    assert!(
        shown
            .iter()
            .any(|line| line.contains("the number is blocked")),
        "{shown:?}"
    );
    assert_eq!(shown.last().map(String::as_str), Some("hi"));
    assert!(
        notes(&report, "h1")
            .iter()
            .any(|note| note.contains("as a file")),
        "{:?}",
        notes(&report, "h1")
    );
    // Where files are not taken either, the part is lost, the rest goes on, and it is said.
    let deaf = json!({ "text_limit": 30, "attachments": false });
    let report = tell(json!({}), &deaf, chapters, 1);
    assert_eq!(thread(&report), ["hi"]);
    assert!(
        notes(&report, "h1")
            .iter()
            .any(|note| note.contains("did not take a text")),
        "{:?}",
        notes(&report, "h1")
    );
}

#[test]
fn a_long_caption_follows_its_file() {
    let mut voice = message("m1", AuthorKind::Customer, "");
    voice.attachments.push(Attachment {
        transcript: Some(numbered(180)),
        ..attachment("voice", AttachmentKind::Voice, "audio/ogg")
    });
    for limit in [Value::Null, json!(400)] {
        let chapters = vec![vec![handoff("h1", vec![])], vec![received(voice.clone())]];
        let settings = json!({ "message_limit": 600 });
        let report = tell(settings, &json!({ "text_limit": limit }), chapters, 1);
        let shown = thread(&report);
        is_whole(&shown, 180);
        assert!(
            shown
                .iter()
                .any(|line| line.starts_with("voice-note-voice.ogg: ")),
            "{shown:?}"
        );
        assert!(
            shown
                .iter()
                .any(|line| line.starts_with("Voice note says: ")),
            "{shown:?}"
        );
    }
}

fn with_topic(id: &str, topic: &str) -> Item {
    let mut item = handoff(id, Vec::new());
    let rendered = item.rendered.as_mut().expect("rendered");
    let section = rendered.sections.entry("routing".into()).or_default();
    section.insert("Topic".into(), topic.into());
    item
}

#[test]
fn an_over_long_attribute_is_left_out_of_every_session() {
    let long = "x".repeat(200);
    // Whichever session it is that meets it first.
    for first in ["short", long.as_str()] {
        let chapters = vec![
            vec![with_topic("h1", first)],
            vec![closed("c1")],
            vec![with_topic("h2", &long)],
            vec![closed("c2")],
            vec![with_topic("h3", &long)],
        ];
        let report = tell(json!({}), &json!({ "attribute_limit": 100 }), chapters, 1);
        let sessions = report.outcome[0]["sessions"]
            .as_array()
            .expect("sessions")
            .clone();
        assert_eq!(sessions.len(), 3);
        for (n, session) in sessions.iter().enumerate() {
            let attributes = &session["routing attributes"];
            assert_eq!(attributes["priority"], "high", "{attributes}");
            assert_eq!(attributes["OpencxSessionId"], crate::common::SESSION);
            assert_eq!(
                attributes.get("Topic").is_some(),
                n == 0 && first == "short",
                "{attributes}"
            );
        }
        for handoff in ["h2", "h3"] {
            let notes = notes(&report, handoff);
            assert!(
                notes.iter().any(|note| note.contains("attribute Topic")),
                "{notes:?}"
            );
        }
        let shown = thread(&report);
        let heads: Vec<&String> = shown
            .iter()
            .filter(|line| line.starts_with("=== Handed over again"))
            .collect();
        assert_eq!(heads.len(), 2);
        for head in heads {
            assert!(head.contains("Salesforce did not take it: Topic"), "{head}");
        }
    }
}

#[test]
fn an_attribute_that_is_refused_with_a_file_is_no_refusal_of_the_file() {
    let long = "x".repeat(200);
    let settings = json!({ "transcript": "file" });
    let mut sandbox = sandbox(&json!({ "attribute_limit": 100 }));
    let mut known = Known::default();
    run_with(
        &settings,
        &mut *sandbox,
        &mut known,
        vec![with_topic("h1", "short")],
    );
    run_with(&settings, &mut *sandbox, &mut known, vec![closed("c1")]);
    let mut second = with_topic("h2", &long);
    if let Data::HandoffRequested(handoff) = &mut second.data {
        handoff.transcript = vec![message("m1", AuthorKind::Customer, "hello")];
    }
    let played = run_with(&settings, &mut *sandbox, &mut known, vec![second]);
    assert_eq!(played.names, ["file.send", "file.send", "handoff.complete"]);
    let shown = lines(&outcome(&sandbox.view()));
    let last = shown.last().expect("lines");
    assert!(
        last.starts_with("whatsapp-conversation.txt: ") && last.ends_with(": hello"),
        "{last}"
    );
}
