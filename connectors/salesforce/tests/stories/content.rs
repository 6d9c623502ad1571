//! Long and awkward content, and files and attributes that are not taken.

use crate::common::{attachment, handoff, message, received, tell, thread};
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{AuthorKind, Data, Source, text};
use serde_json::json;

#[test]
fn five_hundred_messages_arrive_whole_as_a_file_and_as_texts() {
    let transcript: Vec<_> = (0..500)
        .map(|n| {
            message(
                &format!("m{n}"),
                AuthorKind::Customer,
                &format!("no. {n} 👨‍👩‍👧‍👦 שלום «{}»", "long ".repeat(8)),
            )
        })
        .collect();
    let as_file = tell(
        json!({}),
        &json!({}),
        vec![vec![handoff("h1", transcript.clone())]],
        0,
    );
    let whole = thread(&as_file).join("\n");
    assert_eq!(as_file.calls, 2);
    for n in 0..500 {
        assert!(whole.contains(&format!("no. {n} 👨‍👩‍👧‍👦 שלום «long")), "{n}");
    }
    let as_texts = tell(
        json!({ "transcript": "messages" }),
        &json!({}),
        vec![vec![handoff("h1", transcript)]],
        0,
    );
    let parts = thread(&as_texts);
    assert!(parts.len() > 10, "{}", parts.len());
    assert!(parts.iter().all(|part| text::utf16_len(part) <= 4_000));
    // Cut between messages only: every line after the head begins with a time or the title.
    for part in &parts[1..] {
        assert!(part.starts_with("2026-11-20 "), "{}", &part[..60]);
    }
    let joined = parts.join("\n");
    for n in 0..500 {
        assert!(joined.contains(&format!("no. {n} 👨‍👩‍👧‍👦 שלום «long")), "{n}");
    }
}

#[test]
fn one_message_of_sixty_thousand_characters_arrives_whole() {
    let long: String = (0..10_000)
        .map(|n| format!("w{n:05}"))
        .collect::<Vec<_>>()
        .join(" ");
    let words = |lines: &[String]| -> Vec<String> {
        lines
            .join(" ")
            .split_whitespace()
            .filter(|w| w.len() == 6 && w.starts_with('w'))
            .map(str::to_owned)
            .collect()
    };
    let expected = words(std::slice::from_ref(&long));
    let told = message("m1", AuthorKind::Customer, &long);
    for settings in [json!({}), json!({ "transcript": "messages" })] {
        let report = tell(
            settings,
            &json!({}),
            vec![vec![handoff("h1", vec![told.clone()])]],
            0,
        );
        assert_eq!(words(&thread(&report)), expected);
    }
    let chapters = vec![vec![handoff("h1", Vec::new())], vec![received(told)]];
    let later = tell(json!({}), &json!({}), chapters, 0);
    let parts = &thread(&later)[1..];
    assert_eq!(words(parts), expected);
    assert!(parts.iter().all(|part| text::utf16_len(part) <= 4_000));
}

#[test]
fn names_texts_and_directions_are_kept_to_the_letter() {
    let nasty = "<script>alert(\"x\")</script> & 'quotes' \u{202e}rtl\u{202c} مرحبا 👩🏽‍🚀\n\tline two";
    let chapters = vec![
        vec![handoff(
            "h1",
            vec![message("m1", AuthorKind::Customer, nasty)],
        )],
        vec![received(message("m2", AuthorKind::Customer, nasty))],
    ];
    let report = tell(json!({}), &json!({}), chapters, 0);
    let lines = thread(&report);
    // In a transcript, further lines are set off.
    let set_off = nasty.replace('\n', "\n» ");
    assert!(
        lines[0].contains(&set_off) && lines[0].contains("Mona <\"K\"> O'Neil"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[1], nasty);
    assert_eq!(
        report.outcome[0]["routing attributes"]["_lastName"],
        "O'Neil"
    );
}

#[test]
fn files_that_are_not_taken_become_a_line_with_a_link() {
    let mut told = message("m1", AuthorKind::Customer, "files");
    for (id, mime) in [
        ("good", "image/png"),
        ("large-film", "video/mp4"),
        ("gone-image", "image/png"),
        ("odd", "application/x-odd"),
    ] {
        told.attachments
            .push(attachment(id, AttachmentKind::Document, mime));
    }
    let mut inline = attachment("large-inline", AttachmentKind::Image, "image/png");
    inline.source = Some(Source::Whatsapp {
        media_id: "1".into(),
    });
    inline.caption = Some("look".into());
    told.attachments.push(inline);
    let mut lost = attachment("lost", AttachmentKind::Voice, "audio/ogg");
    lost.source = None;
    lost.transcript = Some("call me".into());
    told.attachments.push(lost);
    let report = tell(
        json!({}),
        &json!({}),
        vec![vec![handoff("h1", vec![told.clone()])]],
        1,
    );
    let all = thread(&report);
    assert_eq!(all.len(), 3, "{all:#?}");
    assert!(all[1].starts_with("document-good"));
    let line = &all[2];
    for part in [
        "large-film.mp4] could not be attached (the file is larger than this CRM takes), it is here: https://media.example/large-film",
        "gone-image.png] could not be attached: the file is no longer at its source",
        "odd.bin] could not be attached (Salesforce does not take files of this type), it is here: https://media.example/odd",
        "large-inline.png] could not be attached: the file is larger",
        "look",
        "Voice note says: call me",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else {
        panic!("no completion")
    };
    assert_eq!(done.notes.len(), 6, "{:?}", done.notes);

    // The same after the handoff.
    let later = tell(
        json!({}),
        &json!({}),
        vec![vec![handoff("h1", Vec::new())], vec![received(told)]],
        1,
    );
    let all = thread(&later);
    assert_eq!(all.len(), 4, "{all:#?}");
    assert_eq!(all[1], "files");
    assert_eq!(&all[3], line);
}

#[test]
fn a_channel_without_attachments_gets_the_transcript_as_texts() {
    for switches in [
        json!({ "attachments": false }),
        json!({ "file_types": ["image/"] }),
    ] {
        let settings = json!({ "transcript": "file" });
        let report = tell(
            settings,
            &switches,
            vec![vec![handoff(
                "h1",
                vec![message("m1", AuthorKind::Customer, "hello")],
            )]],
            1,
        );
        let lines = thread(&report);
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].starts_with("=== Handoff summary") && lines[0].ends_with(": hello"),
            "{}",
            lines[0]
        );
        let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else {
            panic!("no completion")
        };
        assert!(
            done.notes.iter().any(|note| note.contains("transcript")),
            "{:?}",
            done.notes
        );
    }
}

#[test]
fn an_attribute_that_salesforce_refuses_is_left_out_and_told() {
    let mut told = handoff("h1", Vec::new());
    let rendered = told.rendered.as_mut().expect("rendered");
    rendered
        .sections
        .entry("routing".into())
        .or_default()
        .insert("Topic".into(), "x".repeat(200).into());
    let report = tell(
        json!({}),
        &json!({ "attribute_limit": 100 }),
        vec![vec![told]],
        1,
    );
    let attributes = &report.outcome[0]["routing attributes"];
    assert!(
        attributes.get("Topic").is_none() && attributes["priority"] == "high",
        "{attributes}"
    );
    let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else {
        panic!("no completion")
    };
    assert!(
        done.notes
            .iter()
            .any(|note| note.contains("routing attribute Topic")),
        "{:?}",
        done.notes
    );
}
