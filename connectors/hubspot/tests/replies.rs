//! What a rep's note holds beside words, and whose conversation it is about.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::event::{AttachmentKind, RepReply};
use handoffd_contract::{Inbound, InboundKind, Source, Subject};
use serde_json::{Value, json};
use story::{Desk, handoff, item, short};

const PICTURE: &str = "https://144.fs1.hubspotusercontent-eu1.net/hubfs/144/label.png";

fn opened() -> Desk {
    let mut portal = handoffd_hubspot::sandbox();
    let hook = "https://connector.test/webhooks/hubspot/sandbox-path-token";
    portal.switch("webhook_url", &json!(hook)).unwrap();
    let settings = portal.credentials("http://hubspot.test")["settings"].clone();
    let mut desk = Desk::new(&settings, portal);
    desk.work(&[item("h1", 10, handoff(vec![short(1)]))])
        .unwrap();
    desk.webhooks();
    desk.poll();
    desk
}

/// What the webhook and the poll both tell of a note.
fn noted(desk: &mut Desk, html: &str) -> Vec<Inbound> {
    desk.act(json!({"act": "note", "html": html}));
    let (hook, poll) = (desk.webhooks(), desk.poll());
    assert_eq!(hook, poll);
    hook
}

fn replied(heard: &Inbound) -> &RepReply {
    match &heard.kind {
        InboundKind::Replied(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn not_sent(heard: &Inbound) -> &str {
    match &heard.kind {
        InboundKind::NotSent { detail, .. } => detail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_picture_that_was_pasted_into_a_reply_is_sent() {
    let mut desk = opened();
    for (html, text) in [
        (
            format!("<p>/wa print this</p><p><img src=\"{PICTURE}\" width=\"400\"></p>"),
            Some("print this"),
        ),
        (format!("<p>/wa <img src=\"{PICTURE}\"></p>"), None),
    ] {
        let heard = noted(&mut desk, &html);
        assert_eq!(heard.len(), 1, "{heard:#?}");
        let reply = replied(&heard[0]);
        assert_eq!(reply.text.as_deref(), text);
        let file = &reply.attachments[0];
        assert_eq!(
            (file.kind, file.name.as_deref()),
            (AttachmentKind::Image, Some("label.png"))
        );
        assert_eq!(
            file.source,
            Some(Source::Url {
                url: PICTURE.into()
            })
        );
    }
    assert_eq!(
        noted(
            &mut desk,
            &format!("<p>internal <img src=\"{PICTURE}\"></p>")
        ),
        []
    );
}

#[test]
fn what_cannot_be_sent_is_named_and_the_rest_is_sent() {
    let mut desk = opened();
    let page = "https://app.hubspot.com/api/filemanager/signed-url-redirect/7";
    let heard = noted(
        &mut desk,
        &format!(
            "<p>/wa see here <img alt=\"label\" src=\"{page}\"></p><iframe src=\"x\"></iframe>"
        ),
    );
    assert_eq!(heard.len(), 2, "{heard:#?}");
    assert_eq!(replied(&heard[0]).text.as_deref(), Some("see here"));
    assert_eq!(heard[0].subject, heard[1].subject);
    let detail = not_sent(&heard[1]);
    assert!(
        detail.starts_with("WhatsApp cannot be given an embedded page and a picture (label)"),
        "{detail}"
    );
    assert!(
        detail.contains("the rest of the note was taken") && detail.contains("begins with /wa"),
        "{detail}"
    );
    // A note with nothing else.
    let heard = noted(&mut desk, &format!("<p>/wa</p><img src=\"{page}\">"));
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert!(!not_sent(&heard[0]).contains("the rest"));
    assert_ne!(heard[0].id, "", "it is told once");
    let heard = noted(
        &mut desk,
        "<p>/wa <img src=\"data:image/png;base64,AAAA\"></p>",
    );
    assert!(not_sent(&heard[0]).contains("a picture"));
}

#[test]
fn what_was_almost_a_reply_is_answered_with_a_hint() {
    let mut desk = opened();
    for html in [
        "<p>/wa, on its way</p>",
        "<p>/ wa on its way</p>",
        "\\wa on its way",
    ] {
        let heard = noted(&mut desk, html);
        assert_eq!(heard.len(), 1, "{html} {heard:#?}");
        let detail = not_sent(&heard[0]);
        assert!(detail.contains("begin it with /wa and a space"), "{detail}");
        assert!(matches!(&heard[0].subject, Subject::Fact { name, .. } if name == "ticket"));
        assert_eq!(desk.poll(), [], "once");
    }
    assert_eq!(noted(&mut desk, "<p>/want a refund</p>"), []);
}

#[test]
fn a_reply_that_stands_on_the_contact_alone_is_answered_on_the_ticket() {
    let mut desk = opened();
    let contact = desk.known.get("contact").unwrap().to_owned();
    let body = json!({
        "properties": {"hs_timestamp": "2026-11-20T09:10:00.000Z", "hs_note_body": "/wa on its way"},
        "associations": [{"to": {"id": contact}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}],
    });
    assert_eq!(
        desk.request("POST", "/crm/objects/2026-03/notes", &body).0,
        201
    );
    let heard = desk.webhooks();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert!(not_sent(&heard[0]).contains("on no ticket"), "{heard:#?}");
    let about = Subject::Fact {
        name: "contact".into(),
        value: contact,
    };
    assert_eq!(heard[0].subject, about);
    desk.now += jiff::SignedDuration::from_secs(6);
    assert_eq!(desk.search(), heard);
}

#[test]
fn the_words_of_a_table_stay_apart() {
    let mut desk = opened();
    let table = "<p>/wa Prices:</p><table><tbody><tr><td>S</td><td>10 EUR</td></tr><tr><td><p>M</p></td><td><p>12 EUR</p></td></tr></tbody></table>";
    let heard = noted(&mut desk, table);
    assert_eq!(
        replied(&heard[0]).text.as_deref(),
        Some("Prices:\nS | 10 EUR\nM\n12 EUR")
    );
}

/// The tickets of two sessions in one portal, and the desk of the first.
fn two_tickets() -> (Desk, Value, Value) {
    let mut desk = opened();
    let first = desk.portal.view()["tickets"][0]["id"].clone();
    let known = desk.known.clone();
    desk.session("session-2");
    desk.work(&[item("h2", 20, handoff(vec![short(2)]))])
        .unwrap();
    let second = desk.portal.view()["tickets"][1]["id"].clone();
    desk.session("session-1");
    desk.known = known;
    desk.webhooks();
    desk.poll();
    (desk, first, second)
}

fn follows(old: &Value, left: &Value) -> (Subject, InboundKind) {
    let text = |id: &Value| id.as_str().unwrap().to_owned();
    let about = Subject::Fact {
        name: "ticket".into(),
        value: text(old),
    };
    (
        about,
        InboundKind::Facts(vec![("ticket".into(), text(left))]),
    )
}

#[test]
fn a_note_on_several_tickets_is_left_to_whoever_knows_the_conversations() {
    let (mut desk, first, second) = two_tickets();
    desk.act(json!({"act": "reply", "text": "hi", "ticket": first, "also": [second]}));
    let heard = desk.webhooks();
    let both = Subject::AnyFact {
        name: "ticket".into(),
        values: vec![
            first.as_str().unwrap().into(),
            second.as_str().unwrap().into(),
        ],
    };
    assert_eq!(heard[0].subject, both);
    assert_eq!(heard, desk.poll());
}

#[test]
fn a_merge_is_heard_from_either_ticket_by_webhook_and_by_poll() {
    for new_id in [false, true] {
        let (mut desk, first, second) = two_tickets();
        let act = json!({"act": "merge_ticket", "from": first, "into": second, "new_id": new_id});
        let left = desk.act(act)["into"].clone();
        assert_eq!(left == second, !new_id);
        let by_hook = desk.webhooks();
        let gone = if new_id {
            vec![&first, &second]
        } else {
            vec![&first]
        };
        let found: Vec<_> = by_hook
            .into_iter()
            .map(|heard| (heard.subject, heard.kind))
            .collect();
        let wanted: Vec<_> = gone.iter().map(|old| follows(old, &left)).collect();
        assert_eq!(found, wanted);
        // The poll of the ticket that is gone.
        let by_poll: Vec<_> = desk
            .own_read()
            .into_iter()
            .map(|heard| (heard.subject, heard.kind))
            .collect();
        assert_eq!(by_poll, [follows(&first, &left)]);
        // The poll of the one that is left.
        desk.portal.switch("merged_ids", &json!(false)).unwrap();
        desk.known.set("ticket", left.as_str().unwrap());
        let by_poll: Vec<_> = desk
            .own_read()
            .into_iter()
            .map(|heard| (heard.subject, heard.kind))
            .collect();
        assert_eq!(by_poll, wanted);
        assert_eq!(desk.own_read(), [], "once");
    }
}
