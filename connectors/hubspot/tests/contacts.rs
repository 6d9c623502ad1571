//! Whose contact a ticket is put on, and what is written to it.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::proof::Report;
use handoffd_contract::{Contact, Data, Item};
use serde_json::{Value, json};
use story::played::{connector, played, texts};
use story::{Desk, at, handoff, item, short};

const USER: &str = "NL.13491208655302741918";

fn customer(wa_id: Option<&str>, user_id: Option<&str>, email: Option<&str>) -> Contact {
    let some = |text: Option<&str>| text.map(str::to_owned);
    Contact {
        wa_id: some(wa_id),
        user_id: some(user_id),
        email: some(email),
        name: Some("New".into()),
        ..Contact::default()
    }
}

fn handed(id: &str, contact: Contact) -> Item {
    let Data::HandoffRequested(mut data) = handoff(vec![short(1)]) else {
        unreachable!()
    };
    data.contact = contact;
    item(id, 60, Data::HandoffRequested(data))
}

fn number(wa_id: &str) -> Contact {
    customer(Some(wa_id), None, None)
}

/// The handoff of a customer into a portal that holds these contacts, with every mishap.
fn play(settings: Value, contacts: &[Value], switches: &[(&str, Value)], who: Contact) -> Report {
    let make = || {
        let mut portal = handoffd_hubspot::sandbox();
        for (name, value) in switches {
            portal.switch(name, value).unwrap();
        }
        for (n, properties) in contacts.iter().enumerate() {
            let act = json!({"act": "contact", "properties": properties});
            portal.act(at(n as i64 - 3_600), &act).unwrap();
        }
        portal
    };
    let chapters = vec![vec![handed("h1", who)]];
    played(&*connector(settings), &make, chapters, 1)
}

/// Whose contact the ticket is on, and what the first note says.
fn whose(report: &Report) -> (Value, String) {
    let contacts = report.outcome["tickets"][0]["contacts"].clone();
    (contacts, texts(report)[0].clone())
}

fn held<'r>(report: &'r Report, firstname: &str) -> &'r Value {
    let contacts = report.outcome["contacts"].as_array().unwrap();
    let of = |contact: &&Value| contact["properties"]["firstname"] == firstname;
    &contacts.iter().find(of).unwrap()["properties"]
}

#[test]
fn a_number_without_country_code_matches_no_other_country() {
    for (typed, wa_id, country) in [
        ("06 23456789", "33623456789", None),
        ("06 23456789", "33623456789", Some("NL")),
        ("(912) 345-6789", "919123456789", None),
        ("(912) 345-6789", "919123456789", Some("US")),
        ("06 23456789", "31623456789", None),
    ] {
        let settings = country.map_or(json!({}), |country| json!({"default_country": country}));
        let stranger = json!({"firstname": "Stranger", "phone": typed});
        let report = play(
            settings,
            std::slice::from_ref(&stranger),
            &[],
            number(wa_id),
        );
        let (on, note) = whose(&report);
        assert_eq!(on, json!(["New"]), "{typed} {wa_id} {country:?}");
        assert_eq!(
            *held(&report, "Stranger"),
            stranger,
            "nothing was written to it"
        );
        assert_eq!(held(&report, "New")["wa_id"], wa_id);
        assert!(
            note.contains("Contact: created for this customer."),
            "{note}"
        );
        let hint = note.contains("contact 2451 has a telephone number that ends alike");
        assert_eq!(hint, country.is_none(), "{note}");
    }
}

#[test]
fn a_number_as_it_is_typed_in_the_portals_country_is_found() {
    for (typed, wa_id, country) in [
        ("06 23456789", "31623456789", "NL"),
        ("8 (912) 345-67-89", "79123456789", "RU"),
        ("011 15 2345-6790", "5491123456790", "AR"),
        ("0171/1234567 ext. 12", "491711234567", "DE"),
        ("030 901820 / 0171 1234567", "491711234567", "DE"),
        ("(912) 345-6789", "19123456789", "us"),
    ] {
        let known = [json!({"firstname": "Known", "phone": typed})];
        let report = play(
            json!({"default_country": country}),
            &known,
            &[],
            number(wa_id),
        );
        let (on, note) = whose(&report);
        assert_eq!(on, json!(["Known"]), "{typed} {wa_id}");
        assert!(
            note.contains("Contact: found by its telephone number."),
            "{note}"
        );
        assert_eq!(held(&report, "Known")["wa_id"], wa_id);
        assert_eq!(
            held(&report, "Known")["phone"],
            typed,
            "what was typed stays"
        );
    }
}

#[test]
fn what_hubspot_calculates_gives_the_country_but_outweighs_no_contradiction() {
    let dutch = [json!({"firstname": "Known", "phone": "06 23456789"})];
    let french = [("phone_country", json!("33"))];
    let play = |settings| play(settings, &dutch, &french, number("33623456789"));
    assert_eq!(whose(&play(json!({}))).0, json!(["Known"]));
    // The portal assumes France, but the setting says what its people dial.
    assert_eq!(
        whose(&play(json!({"default_country": "NL"}))).0,
        json!(["New"])
    );
}

#[test]
fn second_national_forms_are_found_and_fixed_lines_are_not() {
    for (typed, wa_id, found) in [
        ("+55 11 93333-4444", "551133334444", false),
        ("+55 11 3333-4444", "5511933334444", false),
        ("+55 11 98765-4321", "551187654321", true),
        ("+52 55 1234 5678", "5215512345678", true),
    ] {
        let known = [json!({"firstname": "Known", "phone": typed})];
        let report = play(json!({}), &known, &[], number(wa_id));
        let (on, note) = whose(&report);
        assert_eq!(on == json!(["Known"]), found, "{typed} {wa_id}");
        assert_eq!(
            note.contains("which WhatsApp writes in another form"),
            found,
            "{note}"
        );
    }
    // The same person's other form in our own property is no contradiction, and stays.
    let known = [json!({"firstname": "Known", "wa_id": "5511987654321"})];
    let report = play(json!({}), &known, &[], number("551187654321"));
    assert_eq!(whose(&report).0, json!(["Known"]));
    assert_eq!(held(&report, "Known")["wa_id"], "5511987654321");
}

#[test]
fn an_address_that_somebody_claims_takes_over_no_contact() {
    for ana in [
        json!({"firstname": "Ana", "email": "ana@mail.test", "wa_id": "31612345678", "phone": "+31612345678"}),
        json!({"firstname": "Ana", "email": "ana@mail.test", "wa_id": "31612345678"}),
        json!({"firstname": "Ana", "email": "ana@mail.test", "wa_user_id": USER}),
        json!({"firstname": "Ana", "email": "ana@mail.test", "mobilephone": "0612345678"}),
    ] {
        let claimed = customer(Some("4999900000"), None, Some("Ana@mail.test"));
        let report = play(json!({}), std::slice::from_ref(&ana), &[], claimed);
        let (on, note) = whose(&report);
        assert_eq!(on, json!(["New"]), "{ana}");
        assert_eq!(*held(&report, "Ana"), ana, "nothing of it is changed");
        let hint = "contact 2451 has the e-mail address that the customer gave, but it";
        assert!(note.contains(hint), "{note}");
        let wanted = json!({"firstname": "New", "phone": "+4999900000", "wa_id": "4999900000"});
        assert_eq!(
            *held(&report, "New"),
            wanted,
            "the address stays with its owner"
        );
    }
}

#[test]
fn an_address_alone_finds_a_contact_and_binds_nothing() {
    let ana = [json!({"firstname": "Ana", "email": "ana@mail.test"})];
    let claimed = customer(Some("31612345678"), Some(USER), Some("ana@mail.test"));
    let report = play(json!({"contact_fields": "always"}), &ana, &[], claimed);
    let (on, note) = whose(&report);
    assert_eq!(on, json!(["Ana"]));
    assert_eq!(*held(&report, "Ana"), ana[0]);
    assert!(
        note.contains("found by nothing but the e-mail address"),
        "{note}"
    );
    // With the number it is certain.
    let ana = [json!({"firstname": "Ana", "email": "ana@mail.test", "phone": "+31 6 12345678"})];
    let claimed = customer(Some("31612345678"), None, Some("ana@mail.test"));
    let report = play(json!({}), &ana, &[], claimed);
    assert_eq!(held(&report, "Ana")["wa_id"], "31612345678");
    assert!(whose(&report).1.contains("found by its telephone number"));
}

#[test]
fn an_address_that_only_hubspot_knows_to_be_taken_is_left_out() {
    // The look-up by e-mail misses it: it is being written at the same moment.
    let mut desk = Desk::new(&settings(), handoffd_hubspot::sandbox());
    let claimed = customer(Some("4999900000"), None, Some("ana@mail.test"));
    desk.known.set("contact/look/email", "-");
    desk.act(json!({"act": "contact", "properties": {"firstname": "Ana", "email": "ana@mail.test", "wa_id": "31612345678"}}));
    desk.work(&[handed("h1", claimed)]).unwrap();
    let view = desk.portal.view();
    assert_eq!(view["tickets"][0]["contacts"], json!(["New"]));
    assert_eq!(view["contacts"][0]["properties"]["wa_id"], "31612345678");
    let note = view["tickets"][0]["timeline"][0]["text"].as_str().unwrap();
    assert!(
        note.contains("contact field email (contact 2451 has it)"),
        "{note}"
    );
}

#[test]
fn a_stored_id_of_somebody_else_is_never_overwritten() {
    for (kept, who) in [
        // The number is the customer's, but WhatsApp knows the contact by another one.
        (
            json!({"firstname": "Known", "phone": "+31612345678", "wa_id": "4917111111111"}),
            number("31612345678"),
        ),
        (
            json!({"firstname": "Known", "phone": "+31612345678", "wa_user_id": "NL.999999999"}),
            customer(Some("31612345678"), Some(USER), None),
        ),
        // The number has a new owner.
        (
            json!({"firstname": "Known", "wa_id": "31612345678", "wa_user_id": "NL.999999999"}),
            customer(Some("31612345678"), Some(USER), None),
        ),
        (
            json!({"firstname": "Known", "wa_id": "NL.999999999", "phone": "+31612345678"}),
            customer(Some("31612345678"), Some(USER), None),
        ),
    ] {
        let report = play(json!({}), std::slice::from_ref(&kept), &[], who);
        let (on, note) = whose(&report);
        assert_eq!(on, json!(["New"]), "{kept}");
        assert_eq!(*held(&report, "Known"), kept, "nothing was written to it");
        assert!(
            note.contains("Looked alike and was left alone: contact 2451"),
            "{note}"
        );
        assert!(
            note.contains("but it is kept for another WhatsApp"),
            "{note}"
        );
    }
}

#[test]
fn where_several_contacts_fit_none_is_taken() {
    let several = [
        json!({"firstname": "Old", "mobilephone": "+31612345678"}),
        json!({"firstname": "Young", "phone": "+31 612345678"}),
    ];
    let report = play(json!({}), &several, &[], number("31612345678"));
    let (on, note) = whose(&report);
    assert_eq!(on, json!(["New"]));
    for left in [
        "contact 2451 has this telephone number",
        "contact 2452 has this telephone number",
    ] {
        assert!(note.contains(left), "{note}");
    }
    for name in ["Old", "Young"] {
        assert_eq!(held(&report, name)["wa_id"], Value::Null);
    }
    // The number as WhatsApp writes it is closer than its other form.
    let two = [
        json!({"firstname": "Other form", "phone": "+5511987654321"}),
        json!({"firstname": "Same", "phone": "+551187654321"}),
    ];
    let report = play(json!({}), &two, &[], number("551187654321"));
    assert_eq!(whose(&report).0, json!(["Same"]));
}

#[test]
fn another_persons_number_that_ends_alike_and_an_older_portal_make_no_difference() {
    let else_ = [json!({"firstname": "Else", "phone": "+49612345678"})];
    let report = play(json!({}), &else_, &[], number("31612345678"));
    assert_eq!(whose(&report).0, json!(["New"]));
    let known = [json!({"firstname": "Known", "phone": "+31612345678"})];
    let old = [("old_phones", json!(true))];
    let report = play(json!({}), &known, &old, number("31612345678"));
    assert_eq!(whose(&report).0, json!(["Known"]));
}

fn settings() -> Value {
    handoffd_hubspot::sandbox().credentials("http://hubspot.test")["settings"].clone()
}

#[test]
fn one_customer_is_one_contact_whatever_is_known_of_them_first() {
    let by_user = || customer(None, Some(USER), None);
    let by_both = || customer(Some("31612345678"), Some(USER), None);
    let by_number = || customer(Some("31612345678"), None, None);
    for (has_property, order) in [
        (true, [by_user(), by_both(), by_number()]),
        (true, [by_number(), by_both(), by_user()]),
        (true, [by_both(), by_user(), by_number()]),
        // A portal that was prepared before user ids had a property of their own.
        (false, [by_user(), by_both(), by_number()]),
    ] {
        let mut portal = handoffd_hubspot::sandbox();
        portal.switch("no_user_id", &json!(!has_property)).unwrap();
        let mut desk = Desk::new(&settings(), portal);
        for (n, who) in order.into_iter().enumerate() {
            desk.session(&format!("session-{n}"));
            desk.work(&[handed(&format!("h{n}"), who)]).unwrap();
            desk.now += jiff::SignedDuration::from_secs(60);
        }
        let view = desk.portal.view();
        let contacts = view["contacts"].as_array().unwrap();
        assert_eq!(contacts.len(), 1, "{contacts:#?}");
        assert_eq!(contacts[0]["tickets"], 3);
        let kept = &contacts[0]["properties"];
        assert_eq!(kept["phone"], "+31612345678");
        let ids = if has_property {
            (json!("31612345678"), json!(USER))
        } else {
            (json!(USER), Value::Null)
        };
        assert_eq!((kept["wa_id"].clone(), kept["wa_user_id"].clone()), ids);
    }
}

#[test]
fn a_user_id_kept_in_place_of_the_number_moves_when_the_number_is_known() {
    let known = [json!({"firstname": "Known", "wa_id": USER, "phone": "+49 30 901820"})];
    let who = customer(Some("31612345678"), Some(USER), None);
    let report = play(json!({}), &known, &[], who);
    assert_eq!(whose(&report).0, json!(["Known"]));
    let kept = held(&report, "Known");
    assert_eq!(
        (kept["wa_id"].as_str(), kept["wa_user_id"].as_str()),
        (Some("31612345678"), Some(USER))
    );
    assert_eq!(kept["phone"], "+49 30 901820");
}

#[test]
fn a_customer_without_a_phone_is_kept_by_the_user_id() {
    let report = play(json!({}), &[], &[], customer(None, Some(USER), None));
    let wanted = json!({"firstname": "New", "wa_user_id": USER});
    assert_eq!(report.outcome["contacts"][0]["properties"], wanted);
}

#[test]
fn a_contact_in_the_recycle_bin_parks_nobody() {
    for switch in ["archived_keeps_unique", "conflict_409"] {
        let make = || {
            let mut portal = handoffd_hubspot::sandbox();
            portal.switch(switch, &json!(true)).unwrap();
            let gone = json!({"firstname": "Gone", "wa_id": "31612345678"});
            let act = json!({"act": "contact", "properties": gone});
            let contact = portal.act(at(-3_600), &act).unwrap()["contact"].clone();
            let act = json!({"act": "delete_contact", "contact": contact});
            portal.act(at(-3_000), &act).unwrap();
            portal
        };
        for user_id in [None, Some(USER)] {
            let who = customer(Some("31612345678"), user_id, None);
            let chapters = vec![
                vec![handed("h1", who)],
                vec![item("e1", 70, story::received("m2", 70, "hello?"))],
            ];
            let report = played(&*connector(json!({})), &make, chapters, 1);
            assert_eq!(report.outcome["tickets"].as_array().unwrap().len(), 1);
            let (on, note) = whose(&report);
            if user_id.is_some() {
                // The customer is kept by what nobody else holds.
                assert_eq!(on, json!(["New"]));
                assert_eq!(held(&report, "New")["wa_id"], Value::Null);
            } else {
                assert_eq!(on, json!([]));
                assert!(
                    note.contains(
                        "The ticket has no contact: another record, perhaps in the recycle bin"
                    ),
                    "{note}"
                );
            }
            assert!(texts(&report)[1].contains("hello?"));
            assert!(report.events.contains_key("completed/h1"));
        }
    }
}
