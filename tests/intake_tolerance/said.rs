//! Messages, their authors, files and places.

use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{AuthorKind, Data, Source};
use serde_json::{Value, json};

use crate::{HANDOFF, handoff, received, said, with};

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

#[test]
fn what_producers_do_differently_is_taken() {
    let take = |pointer: &str, value: Value| match with(HANDOFF, pointer, value).data {
        Data::HandoffRequested(handoff) => *handoff,
        other => panic!("{}", other.kind()),
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
    assert_eq!(with(HANDOFF, "/sequence", json!(7)).sequence, Some(7));
}
