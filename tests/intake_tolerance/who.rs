//! Who an event is about, which conversation it belongs to, and what stands around that.

use std::collections::BTreeMap;

use handoffd::config::Limits;
use handoffd::intake::decode;
use handoffd_contract::event::DeliveryState;
use handoffd_contract::{AuthorKind, Contact, Data};
use serde_json::{Value, json};

use crate::{
    CLOSED, HANDOFF, RETURNED, STATUS, at, changed, decoded, handoff, incoming, now, said, with,
};

fn contact(pointer: &str, value: Value) -> (Contact, Vec<String>) {
    let event = with(HANDOFF, &format!("/data/contact/{pointer}"), value);
    let warnings = event.warnings.clone();
    (handoff(event).contact, warnings)
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
    // The digits of a hidden number are no phone; they name the customer all the same.
    let (jana, warnings) = contact("user_id", json!("183746529384756@lid"));
    assert_eq!(
        (jana.user_id.as_deref(), warnings.len()),
        (Some("183746529384756@lid"), 0)
    );
    assert_eq!(contact("user_id", json!("x@lid")).0.user_id, None);
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
            .message
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
        stop.message,
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
    let mut returned: Value = serde_json::from_str(RETURNED).expect("JSON");
    returned["data"] = json!({ "returned_by": 7, "reason": { "a": "b" } });
    let Data::SessionReturned(returned) = decoded(returned.to_string()).data else {
        panic!("a returned session")
    };
    assert_eq!((returned.by(), returned.reason.as_deref()), ("7", None));
    let mut bare: Value = serde_json::from_str(RETURNED).expect("JSON");
    bare["data"] = json!("handed back");
    let Data::SessionReturned(bare) = decoded(bare.to_string()).data else {
        panic!("a returned session")
    };
    assert_eq!(bare.by(), "platform");
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
