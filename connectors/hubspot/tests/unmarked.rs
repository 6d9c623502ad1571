//! A portal in which no word marks a reply: every note that a person writes on the ticket is one.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::{Inbound, InboundKind};
use jiff::SignedDuration;
use serde_json::json;
use story::{Desk, handoff, item, short};

fn desk() -> Desk {
    let portal = handoffd_hubspot::sandbox();
    let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
    settings["reply_marker"] = json!("all");
    let mut desk = Desk::new(&settings, portal);
    open(&mut desk, 1);
    desk
}

fn open(desk: &mut Desk, n: usize) {
    desk.session(&format!("session-{n}"));
    desk.work(&[item(&format!("h{n}"), 10, handoff(vec![short(n)]))])
        .unwrap();
    indexed(desk);
}

fn indexed(desk: &mut Desk) {
    desk.now += SignedDuration::from_secs(6);
}

fn texts(heard: &[Inbound]) -> Vec<String> {
    heard
        .iter()
        .map(|heard| match &heard.kind {
            InboundKind::Replied(reply) => reply.text.clone().unwrap_or_default(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn every_note_of_a_person_is_a_reply_and_no_other() {
    let mut desk = desk();
    assert_eq!(texts(&desk.search()), [""; 0], "our own notes are none");
    let hint = desk.portal.view()["tickets"][0]["timeline"].to_string();
    assert!(hint.contains("None stays internal"), "{hint}");
    desk.own_read();
    desk.act(json!({"act": "note", "text": "Hello,\nit is on its way."}));
    desk.act(json!({"act": "note", "text": "/wa,and more"}));
    // What an integration writes on the ticket.
    let ticket = desk.portal.view()["tickets"][0]["id"].clone();
    let note = json!({
        "properties": {"hs_timestamp": desk.now.to_string(), "hs_note_body": "scored 7 of 10"},
        "associations": [{"to": {"id": ticket}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 228}]}],
    });
    let (status, answer) = desk.request("POST", "/crm/objects/2026-03/notes", &note);
    assert_eq!(status, 201, "{answer}");
    indexed(&mut desk);
    let heard = desk.search();
    assert_eq!(texts(&heard), ["Hello,\nit is on its way.", "/wa,and more"]);
    let own = desk.own_read();
    assert_eq!(texts(&own), texts(&heard), "each is heard twice");
    assert!(
        own.iter().zip(&heard).all(|(a, b)| a.id == b.id),
        "and counts once"
    );
}

#[test]
fn what_stood_on_a_ticket_before_is_nobodys_reply() {
    let mut desk = desk();
    desk.act(json!({"act": "note", "text": "She is a difficult customer."}));
    indexed(&mut desk);
    // The first time that the ticket is read by itself.
    assert_eq!(texts(&desk.own_read()), [""; 0]);
    desk.act(json!({"act": "note", "text": "Good morning!"}));
    assert_eq!(texts(&desk.own_read()), ["Good morning!"]);
    // What another ticket brings.
    let first = desk.portal.view()["tickets"][0]["id"].clone();
    let known = desk.known.clone();
    open(&mut desk, 2);
    let second = desk.portal.view()["tickets"][1]["id"].clone();
    desk.act(json!({"act": "note", "ticket": second, "text": "Ask her colleague first."}));
    desk.known = known;
    desk.act(json!({"act": "merge_ticket", "from": second, "into": first}));
    let heard = desk.own_read();
    let replies = heard
        .iter()
        .filter(|heard| matches!(heard.kind, InboundKind::Replied(_)));
    assert_eq!(replies.count(), 0, "{heard:#?}");
    // What is put there long after it was written.
    let old = desk.act(json!({"act": "note", "ticket": first, "text": "Old."}));
    let path = format!(
        "/crm/objects/2026-03/notes/{}",
        old["note"].as_str().unwrap()
    );
    assert_eq!(desk.request("GET", &path, &json!(null)).0, 200);
    desk.now += SignedDuration::from_hours(2);
    assert_eq!(texts(&desk.own_read()), [""; 0]);
}

#[test]
fn more_notes_than_one_poll_reads_by_themselves_come_with_the_next() {
    let mut desk = desk();
    desk.search();
    for n in 0..150 {
        let act = json!({"act": "note", "text": n.to_string()});
        desk.portal.act(desk.now, &act).unwrap();
        desk.now += SignedDuration::from_millis(10);
    }
    indexed(&mut desk);
    // A portal's limit is not what this is about.
    desk.portal.switch("api_per_10s", &json!(1_000)).unwrap();
    let first = texts(&desk.search());
    // One of the hundred is our own.
    assert_eq!((first.len(), first[98].as_str()), (99, "98"));
    assert_eq!(texts(&desk.search()).len(), 51);
}
