//! A contact's open ticket that takes a conversation in, and when it does not.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::InboundKind;
use handoffd_contract::sandbox::Sandbox;
use serde_json::{Value, json};
use story::played::{connector, played};
use story::{Desk, at, closed, handoff, item, received, short};

fn settings() -> Value {
    let portal = handoffd_hubspot::sandbox();
    let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
    settings["append_to_open_ticket"] = json!(true);
    settings
}

/// A portal with the customer's contact.
fn portal(contact: Value) -> Desk {
    let mut portal = handoffd_hubspot::sandbox();
    let act = json!({"act": "contact", "properties": contact});
    portal.act(at(-3_600), &act).unwrap();
    Desk::new(&settings(), portal)
}

fn ana() -> Value {
    json!({"firstname": "Ana", "phone": "+31 6 1234 5678"})
}

/// A ticket that a person has made for these contacts.
fn ticket(desk: &mut Desk, stage: &str, contacts: &[&str]) -> String {
    let links: Vec<Value> = contacts
        .iter()
        .map(|id| json!({"to": {"id": id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 16}]}))
        .collect();
    let body = json!({
        "properties": {"subject": "By a person", "content": "called us", "hs_pipeline": "0", "hs_pipeline_stage": stage},
        "associations": links,
    });
    let (status, made) = desk.request("POST", "/crm/objects/2026-03/tickets", &body);
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

fn hand_over(desk: &mut Desk) {
    desk.work(&[item("h1", 10, handoff(vec![short(1), short(2)]))])
        .unwrap();
}

fn tickets(desk: &Desk) -> Vec<Value> {
    desk.portal.view()["tickets"].as_array().unwrap().clone()
}

#[test]
fn the_newest_open_ticket_of_the_contact_takes_the_conversation() {
    let mut desk = portal(ana());
    ticket(&mut desk, "2", &["2451"]);
    let wanted = ticket(&mut desk, "3", &["2451"]);
    ticket(&mut desk, "4", &["2451"]);
    hand_over(&mut desk);
    let all = tickets(&desk);
    assert_eq!(all.len(), 3);
    let taken = all.iter().find(|one| one["id"] == wanted.as_str()).unwrap();
    assert_eq!(taken["stage"], "Waiting on us", "its stage stays");
    assert_eq!(
        (&taken["subject"], &taken["content"]),
        (&json!("By a person"), &json!("called us"))
    );
    assert_eq!(taken["properties"]["wa_session_id"], "session-1");
    assert!(
        taken["properties"]["wa_handoff_id"]
            .as_str()
            .unwrap()
            .starts_with("hnd-")
    );
    let notes = taken["timeline"].as_array().unwrap();
    let text = |n: usize| notes[n]["text"].as_str().unwrap();
    assert!(
        text(0).starts_with("AI handoff from WhatsApp\n"),
        "{}",
        text(0)
    );
    assert!(
        text(0).contains("open ticket has taken this conversation"),
        "{}",
        text(0)
    );
    assert!(text(1).contains("message number 1") && text(1).contains("message number 2"));
    // It is a ticket like any other from then on.
    desk.act(json!({"act": "reply", "ticket": wanted, "text": "hello Ana"}));
    assert!(
        desk.poll()
            .iter()
            .any(|heard| matches!(&heard.kind, InboundKind::Replied(_)))
    );
    desk.work(&[
        item("h2", 70, handoff(vec![short(1), short(3)])),
        item("e1", 80, received("m9", 80, "and?")),
        item("c1", 90, closed(None)),
    ])
    .unwrap();
    let all = tickets(&desk);
    let taken = all.iter().find(|one| one["id"] == wanted.as_str()).unwrap();
    assert_eq!((all.len(), &taken["stage"]), (3, &json!("Closed")));
    let again = taken["timeline"].as_array().unwrap().iter();
    let again = again.filter(|note| {
        note["text"]
            .as_str()
            .unwrap()
            .starts_with("AI handoff from WhatsApp, again")
    });
    assert_eq!(again.count(), 1);
}

#[test]
fn a_ticket_that_is_closed_or_not_this_customers_alone_takes_nothing() {
    let other = json!({"act": "contact", "properties": {"firstname": "Bo", "email": "bo@b.test"}});
    for (stage, shared) in [("4", false), ("1", true)] {
        let mut desk = portal(ana());
        desk.act(other.clone());
        let contacts: &[&str] = if shared { &["2451", "2452"] } else { &["2451"] };
        let old = ticket(&mut desk, stage, contacts);
        hand_over(&mut desk);
        let all = tickets(&desk);
        assert_eq!(all.len(), 2, "{stage}");
        let old = all.iter().find(|one| one["id"] == old.as_str()).unwrap();
        assert_eq!(old["timeline"], json!([]));
    }
    // Nothing but the e-mail address speaks for the contact.
    let mut desk = portal(json!({"firstname": "A", "email": "ana@a.test"}));
    ticket(&mut desk, "1", &["2451"]);
    let handoffd_contract::Data::HandoffRequested(mut claims) = handoff(vec![short(1)]) else {
        unreachable!()
    };
    claims.contact.email = Some("ana@a.test".into());
    desk.work(&[item(
        "h1",
        10,
        handoffd_contract::Data::HandoffRequested(claims),
    )])
    .unwrap();
    assert_eq!(desk.known.get("contact/way"), Some("email"));
    assert_eq!(tickets(&desk).len(), 2);
    // A new contact has none, and it is not asked for.
    let mut desk = Desk::new(&settings(), handoffd_hubspot::sandbox());
    hand_over(&mut desk);
    assert!(
        !desk.calls.iter().any(|call| call.contains("associations")),
        "{:?}",
        desk.calls
    );
}

#[test]
fn a_second_session_goes_on_in_the_ticket_of_the_first_while_it_is_open() {
    let mut desk = portal(ana());
    hand_over(&mut desk);
    desk.session("session-2");
    desk.work(&[item("g1", 100, handoff(vec![short(7)]))])
        .unwrap();
    assert_eq!(tickets(&desk).len(), 1);
    // The handoff id that finds the first session's ticket stays.
    desk.act(json!({"act": "close"}));
    desk.session("session-3");
    desk.work(&[item("g2", 200, handoff(vec![short(8)]))])
        .unwrap();
    assert_eq!(tickets(&desk).len(), 2);
}

#[test]
fn a_ticket_that_is_deleted_meanwhile_gives_way_to_a_new_one() {
    let mut desk = portal(ana());
    let old = ticket(&mut desk, "1", &["2451"]);
    desk.known.set("append", old.as_str());
    desk.known.set(format!("append/id/{old}"), "-");
    desk.act(json!({"act": "delete", "ticket": old}));
    hand_over(&mut desk);
    assert_eq!(
        tickets(&desk)
            .iter()
            .filter(|one| one["deleted"] == false)
            .count(),
        1
    );
    // And one that is deleted after it took the conversation.
    let mut desk = portal(ana());
    let old = ticket(&mut desk, "1", &["2451"]);
    hand_over(&mut desk);
    desk.act(json!({"act": "delete", "ticket": old}));
    desk.work(&[item("h2", 60, handoff(vec![short(1), short(2)]))])
        .unwrap();
    let new = tickets(&desk)
        .into_iter()
        .find(|one| one["deleted"] == false)
        .unwrap();
    assert!(
        new["content"]
            .as_str()
            .unwrap()
            .contains("message number 1")
    );
}

#[test]
fn a_mishap_anywhere_ends_in_one_ticket() {
    let make = || -> Box<dyn Sandbox> {
        let mut desk = portal(ana());
        ticket(&mut desk, "3", &["2451"]);
        desk.portal
    };
    let chapters = vec![
        vec![item("h1", 10, handoff(vec![short(1)]))],
        vec![item("e1", 20, received("m9", 20, "and?"))],
    ];
    let connector = connector(json!({"append_to_open_ticket": true}));
    let report = played(&*connector, &make, chapters, 1);
    let tickets = report.outcome["tickets"].as_array().unwrap();
    assert_eq!(tickets.len(), 1);
    assert_eq!(tickets[0]["timeline"].as_array().unwrap().len(), 3);
}
