//! What a contact learns of its customer later.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::event::ContactUpdated;
use handoffd_contract::{Contact, Data, Item};
use serde_json::{Value, json};
use story::played::{connector, played};
use story::{Desk, handoff, item, short};

const USER: &str = "NL.13491208655302741918";

fn handed(id: &str, contact: Contact) -> Item {
    let Data::HandoffRequested(mut data) = handoff(vec![short(1)]) else {
        unreachable!()
    };
    data.contact = contact;
    item(id, 10, Data::HandoffRequested(data))
}

fn number() -> Contact {
    Contact {
        wa_id: Some("31612345678".into()),
        name: Some("Ana".into()),
        ..Contact::default()
    }
}

fn by_user() -> Contact {
    Contact {
        user_id: Some(USER.into()),
        ..Contact::default()
    }
}

fn everything() -> Contact {
    Contact {
        user_id: Some(USER.into()),
        email: Some("ana@a.test".into()),
        ..number()
    }
}

fn updated(contact: Contact) -> Item {
    item("u1", 60, Data::ContactUpdated(ContactUpdated { contact }))
}

fn contact(desk: &Desk) -> Value {
    desk.portal.view()["contacts"][0]["properties"].clone()
}

fn opened(who: Contact) -> Desk {
    let portal = handoffd_hubspot::sandbox();
    let settings = portal.credentials("http://hubspot.test")["settings"].clone();
    let mut desk = Desk::new(&settings, portal);
    desk.work(&[handed("h1", who)]).unwrap();
    desk
}

#[test]
fn a_contact_learns_what_the_platform_learns() {
    for who in [number(), by_user()] {
        let mut desk = opened(who);
        desk.work(&[updated(everything())]).unwrap();
        let held = contact(&desk);
        assert_eq!(
            [
                &held["wa_id"],
                &held["wa_user_id"],
                &held["phone"],
                &held["email"]
            ],
            ["31612345678", USER, "+31612345678", "ana@a.test"]
        );
        // The second time there is nothing left to learn, and nothing is written.
        desk.calls.clear();
        let again = item("u2", 70, updated(everything()).data);
        desk.work(&[again]).unwrap();
        assert!(
            !desk.calls.iter().any(|call| call.starts_with("PATCH")),
            "{:?}",
            desk.calls
        );
    }
}

#[test]
fn a_second_handoff_tells_the_contact_as_well() {
    let mut desk = opened(number());
    desk.work(&[handed("h2", everything())]).unwrap();
    assert_eq!(contact(&desk)["wa_user_id"], USER);
    assert_eq!(contact(&desk)["email"], "ana@a.test");
}

#[test]
fn what_a_person_entered_or_belongs_to_somebody_else_stays() {
    let mut desk = opened(number());
    let id = desk.known.get("contact").unwrap().to_owned();
    let path = format!("/crm/objects/2026-03/contacts/{id}");
    let typed = json!({"properties": {"email": "typed@a.test"}});
    assert_eq!(desk.request("PATCH", &path, &typed).0, 200);
    desk.work(&[updated(everything())]).unwrap();
    assert_eq!(contact(&desk)["email"], "typed@a.test");
    assert_eq!(contact(&desk)["wa_user_id"], USER);
    // A number that is not the contact's.
    let other = Contact {
        wa_id: Some("4915112345678".into()),
        email: Some("other@a.test".into()),
        ..Contact::default()
    };
    let mut desk = opened(number());
    desk.work(&[updated(other)]).unwrap();
    assert_eq!(contact(&desk)["wa_id"], "31612345678");
    assert_eq!(contact(&desk)["email"], Value::Null);
    // An address that another contact has.
    let mut desk = opened(number());
    desk.act(json!({"act": "contact", "properties": {"email": "ana@a.test"}}));
    desk.work(&[updated(everything())]).unwrap();
    assert_eq!(contact(&desk)["email"], Value::Null);
    assert_eq!(contact(&desk)["wa_user_id"], USER);
}

#[test]
fn a_mishap_anywhere_changes_nothing_of_it() {
    let chapters = vec![vec![handed("h1", number())], vec![updated(everything())]];
    let report = played(
        &*connector(json!({})),
        &handoffd_hubspot::sandbox,
        chapters,
        1,
    );
    let held = &report.outcome["contacts"][0]["properties"];
    assert_eq!(held["wa_user_id"], USER);
}
