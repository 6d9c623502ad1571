//! Whose contact: a customer is never put with somebody whose number contradicts, and one customer is
//! one contact.

use handoffd_contract::event::{Contact, Data};
use handoffd_contract::proof::{Report, Stage, prove};
use handoffd_contract::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::*;

/// Who is in the CRM before: name, phone, e-mail.
type Before<'a> = &'a [(&'a str, &'a str, &'a str)];

fn crm(before: Before<'_>) -> Box<dyn Sandbox> {
    let mut site = site();
    for (name, phone, email) in before {
        let act = json!({ "act": "contact", "name": name, "phone": phone, "email": email });
        site.act(at(-3_600), &act).unwrap();
    }
    site
}

fn by_number(digits: &str) -> Contact {
    Contact {
        wa_id: Some(digits.into()),
        name: Some("Newcomer".into()),
        ..Contact::default()
    }
}

const USER: &str = "US.13491208655302741918";

fn by_user() -> Contact {
    Contact {
        user_id: Some(USER.into()),
        name: Some("Newcomer".into()),
        ..Contact::default()
    }
}

fn handoff_of(contact: &Contact) -> Data {
    match handoff(Vec::new()) {
        Data::HandoffRequested(mut handoff) => {
            handoff.contact = contact.clone();
            Data::HandoffRequested(handoff)
        }
        other => other,
    }
}

fn hand_over(before: Before<'_>, contact: &Contact, more: Value, depth: usize) -> Report {
    let connector = connector(more);
    let site = || crm(before);
    let story = vec![vec![item("h1", 0, handoff_of(contact))]];
    let stage = Stage {
        contact: contact.clone(),
        ..stage(&*connector, &site, story)
    };
    prove(&stage, depth)
}

/// Whose case it is, how many contacts there are, and the first note.
fn outcome(report: &Report) -> (String, usize, String) {
    let view = &report.outcome;
    let note = view["cases"][0]["timeline"][0]["text"].as_str().unwrap();
    (
        view["cases"][0]["contact"].as_str().unwrap().to_owned(),
        view["contacts"].as_array().unwrap().len(),
        note.to_owned(),
    )
}

#[test]
fn a_number_without_country_code_matches_only_in_the_sites_own_country() {
    for (customer, typed, home, found) in [
        ("33623456789", "06 23456789", "", false),
        ("33623456789", "06 23456789", "NL", false),
        ("33623456789", "06 23456789", "FR", true),
        ("919123456789", "(912) 345-6789", "", false),
        ("919123456789", "(912) 345-6789", "US", false),
        ("79123456789", "8 (912) 345-67-89", "RU", true),
        ("79123456789", "8 (912) 345-67-89", "", false),
        ("5491123456790", "011 15 2345-6790", "AR", true),
        ("5491123456790", "011 15 2345-6790", "", false),
        ("34600111222", "+34 600 11-12 22", "", true),
        ("34600111222", "+34 600 11-12 22", "NL", true),
        ("34600111222", "+351 600 111 222", "ES", false),
        ("491711234567", "+49 (0) 171 1234567", "", true),
        ("491711234567", "0171 1234567", "DE", true),
        ("5511987654321", "+55 11 8765-4321", "", true),
        // A fixed line, and a mobile number that only begins alike.
        ("551133334444", "+55 11 93333-4444", "", false),
        ("5511933334444", "+55 11 3333-4444", "BR", false),
    ] {
        let more = if home.is_empty() {
            json!({})
        } else {
            json!({ "default_country": home })
        };
        let before = [("Somebody", typed, "")];
        let report = hand_over(&before, &by_number(customer), more, 0);
        let (whose, contacts, note) = outcome(&report);
        let case = format!("{customer} {typed} {home}: {note}");
        assert_eq!(whose == "Somebody", found, "{case}");
        assert_eq!(contacts, if found { 1 } else { 2 }, "{case}");
        let line = if found {
            "Contact: found by the phone number"
        } else {
            "Contact: new"
        };
        assert!(note.contains(line), "{case}");
    }
}

#[test]
fn the_rep_is_told_who_looked_alike_and_was_not_taken() {
    let before = [("Dutch Jansen", "06 23456789", "")];
    let report = hand_over(&before, &by_number("33623456789"), json!({}), 1);
    let (whose, contacts, note) = outcome(&report);
    assert_eq!((whose.as_str(), contacts), ("Newcomer", 2));
    let line = "Contact not taken: Dutch Jansen has a number that looks alike, without country code: 06 23456789, \
                https://acme.creatio.com/0/Shell/#Card/Contacts_FormPage/edit/";
    assert!(note.contains(line), "{note}");
    // Where the site's country is known it is simply somebody else's.
    let report = hand_over(
        &before,
        &by_number("33623456789"),
        json!({ "default_country": "NL" }),
        0,
    );
    assert!(!outcome(&report).2.contains("Jansen"));
}

#[test]
fn of_several_contacts_with_the_number_none_is_taken_and_the_next_handoff_finds_the_new_one() {
    let before = [
        ("Ana Old", "+34 600 111 222", ""),
        ("Ana New", "0034600111222", ""),
    ];
    let report = hand_over(&before, &by_number("34600111222"), json!({}), 1);
    let (whose, contacts, note) = outcome(&report);
    assert_eq!((whose.as_str(), contacts), ("Newcomer", 3));
    for name in ["Ana Old", "Ana New"] {
        let line = format!("Contact not taken: {name} has the same phone number, https://");
        assert!(note.contains(&line), "{note}");
    }
    let mut site = crm(&before);
    for session in ["s-1", "s-2"] {
        told(&mut *site, session, &by_number("34600111222"));
    }
    assert_eq!(names(&*site), ["Ana Old", "Ana New", "Newcomer"]);
}

fn told(site: &mut dyn Sandbox, session: &str, contact: &Contact) -> String {
    let connector = connector(json!({}));
    let mut known = handoffd_contract::Known::default();
    let mut work = work(contact, vec![item("h1", 0, handoff_of(contact))]);
    work.session.id = session.into();
    assert_eq!(run(&*connector, site, &work, &mut known), None);
    let view = site.view();
    let case = view["cases"].as_array().unwrap().last().unwrap();
    case["contact_id"].as_str().unwrap().to_owned()
}

fn names(site: &dyn Sandbox) -> Vec<String> {
    site.view()["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contact| contact["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn handoffs_by_user_id_by_both_and_by_number_make_one_contact_in_every_order() {
    let both = Contact {
        user_id: Some(USER.into()),
        ..by_number("34600111222")
    };
    let (user, number) = (by_user(), by_number("34600111222"));
    for order in [
        [&user, &both, &number],
        [&number, &both, &user],
        [&both, &user, &number],
        [&both, &number, &user],
    ] {
        let mut site = crm(&[]);
        let mut ids: Vec<String> = order
            .iter()
            .enumerate()
            .map(|(n, contact)| told(&mut *site, &format!("s-{n}"), contact))
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{order:?}");
        assert_eq!(site.view()["contacts"][0]["mobile_phone"], "+34600111222");
        assert_eq!(names(&*site).len(), 1, "{order:?}");
    }
    // Also for a contact that was there before.
    let mut site = crm(&[("Ana", "+34 600 111 222", "")]);
    for (n, contact) in [&both, &user].into_iter().enumerate() {
        told(&mut *site, &format!("s-{n}"), contact);
    }
    assert_eq!(names(&*site), ["Ana"]);
    assert_eq!(
        site.view()["contacts"][0]["mobile_phone"],
        "+34 600 111 222",
        "what somebody typed stays"
    );
}

#[test]
fn a_contact_that_learns_is_proven() {
    let both = Contact {
        user_id: Some(USER.into()),
        ..by_number("34600111222")
    };
    let report = hand_over(&[("Ana", "+34 600 111 222", "")], &both, json!({}), 1);
    let options = report.outcome["contacts"][0]["communication_options"].to_string();
    assert_eq!(options.matches(USER).count(), 1, "{options}");
    // A user id that is known already, with a number that is new.
    let connector = connector(json!({ "session_link_file": false }));
    let site = || {
        let mut site = crm(&[]);
        told(&mut *site, "s-0", &by_user());
        site
    };
    let story = vec![vec![item("h1", 0, handoff_of(&both))]];
    let stage = Stage {
        contact: both.clone(),
        ..stage(&*connector, &site, story)
    };
    let report = prove(&stage, 1);
    let contacts = report.outcome["contacts"].as_array().unwrap();
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["mobile_phone"], "+34600111222");
}

#[test]
fn what_may_not_be_learned_stops_nothing() {
    let both = Contact {
        user_id: Some(USER.into()),
        ..by_number("34600111222")
    };
    let connector = connector(json!({}));
    let site = || {
        let mut site = crm(&[("Ana", "+34 600 111 222", "")]);
        let deny = json!(["ContactCommunication:create", "Contact:update"]);
        site.switch("deny", &deny).unwrap();
        site
    };
    let story = vec![vec![item("h1", 0, handoff_of(&both))]];
    let report = prove(&stage(&*connector, &site, story), 0);
    assert_eq!(report.outcome["cases"][0]["contact"], "Ana");
}

#[test]
fn a_user_id_does_not_outweigh_a_number_that_contradicts() {
    let mut site = crm(&[]);
    let both = Contact {
        user_id: Some(USER.into()),
        ..by_number("34600111222")
    };
    let first = told(&mut *site, "s-1", &both);
    let other = Contact {
        user_id: Some(USER.into()),
        ..by_number("4915112345678")
    };
    let second = told(&mut *site, "s-2", &other);
    assert_ne!(first, second);
    let phones: Vec<Value> = site.view()["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contact| contact["mobile_phone"].clone())
        .collect();
    assert_eq!(phones, ["+34600111222", "+4915112345678"]);
}

#[test]
fn an_e_mail_address_finds_a_contact_only_when_nothing_contradicts_it() {
    let claims = Contact {
        email: Some("Ana@Example.com ".into()),
        ..by_number("4999900000")
    };
    // Nothing speaks against it: found, and the rep told; but nothing is written to that contact.
    let report = hand_over(&[("Ana", "", "ana@example.com")], &claims, json!({}), 1);
    let (whose, contacts, note) = outcome(&report);
    assert_eq!((whose.as_str(), contacts), ("Ana", 1));
    let line = "Contact: found by the e-mail address that the customer gave; nothing else says that it is them";
    assert!(note.contains(line), "{note}");
    assert_eq!(report.outcome["contacts"][0]["mobile_phone"], "");

    // A number of its own, in a column or beside them, is somebody else's.
    let report = hand_over(
        &[("Ana", "+34 600 111 222", "ana@example.com")],
        &claims,
        json!({}),
        1,
    );
    let (whose, contacts, note) = outcome(&report);
    assert_eq!((whose.as_str(), contacts), ("Newcomer", 2));
    let line = "Contact not taken: Ana has this e-mail address, but another number";
    assert!(note.contains(line), "{note}");
    let connector = connector(json!({}));
    let site = || {
        let mut site = crm(&[("Ana", "", "ana@example.com")]);
        let ana = site.view()["contacts"][0]["id"].clone();
        let row = json!({ "ContactId": ana, "CommunicationTypeId": "21c0d693-9a52-43fa-b7f1-c6d8b53975d4", "Number": "+34 600 111 222" });
        let made = handoffd_contract::HttpCall::post("/0/odata/ContactCommunication", row);
        assert_eq!(call(&mut *site, &made).status, 201);
        site
    };
    let story = vec![vec![item("h1", 0, handoff_of(&claims))]];
    let stage = Stage {
        contact: claims.clone(),
        ..stage(&*connector, &site, story)
    };
    assert_eq!(outcome(&prove(&stage, 1)).0, "Newcomer");

    // Without any number of the customer's, one that the contact has cannot be compared.
    let by_mail = Contact {
        email: Some("ana@example.com".into()),
        ..by_user()
    };
    let before = [("Ana", "+34 600 111 222", "ana@example.com")];
    assert_eq!(
        outcome(&hand_over(&before, &by_mail, json!({}), 0)).0,
        "Newcomer"
    );
    let before = [("Ana", "", "ana@example.com")];
    assert_eq!(
        outcome(&hand_over(&before, &by_mail, json!({}), 0)).0,
        "Ana"
    );
    // Two with the address: none.
    let before = [
        ("Ana", "", "ana@example.com"),
        ("Eva", "", "ana@example.com"),
    ];
    let (whose, _, note) = outcome(&hand_over(&before, &by_mail, json!({}), 0));
    assert_eq!(whose, "Newcomer");
    assert!(
        note.contains("Eva has this e-mail address, https"),
        "{note}"
    );
}

/// The contact's e-mail address and its numbers.
fn learned(site: &mut dyn Sandbox) -> (String, String, String) {
    let view = site.view();
    let contact = view["contacts"][0].clone();
    let path = format!("/0/odata/Contact({})", contact["id"].as_str().unwrap());
    let row = json_of(&get(site, &path, &[("$select", "Id,Email,MobilePhone")]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&row["Email"]),
        text(&row["MobilePhone"]),
        contact["communication_options"].to_string(),
    )
}

#[test]
fn a_contact_found_by_its_number_learns_the_e_mail_address_where_it_has_none() {
    let with_mail = Contact {
        email: Some("ana@example.com".into()),
        ..by_number("34600111222")
    };
    for (before, expected) in [
        ("", "ana@example.com"),
        ("old@example.com", "old@example.com"),
    ] {
        let mut site = crm(&[("Ana", "+34 600 111 222", before)]);
        told(&mut *site, "s-1", &with_mail);
        assert_eq!(learned(&mut *site).0, expected);
    }
    // Nobody waits for it: the note is there before.
    let report = hand_over(&[("Ana", "+34 600 111 222", "")], &with_mail, json!({}), 1);
    assert_eq!(report.outcome["contacts"].as_array().unwrap().len(), 1);
}

#[test]
fn what_the_platform_learns_later_its_contact_learns_too() {
    use handoffd_contract::event::ContactUpdated;
    let all = Contact {
        user_id: Some(USER.into()),
        email: Some("ana@example.com".into()),
        ..by_number("34600111222")
    };
    let update =
        |contact: &Contact, site: &mut dyn Sandbox, known: &mut handoffd_contract::Known| {
            let data = Data::ContactUpdated(ContactUpdated {
                contact: contact.clone(),
            });
            let work = work(contact, vec![item("u1", 60, data)]);
            assert_eq!(run(&*connector(json!({})), site, &work, known), None);
        };
    // By the user id alone, by the number alone, and one that was there before.
    for (before, first) in [
        (vec![], by_user()),
        (vec![], by_number("34600111222")),
        (
            vec![("Ana", "+34 600 111 222", "")],
            by_number("34600111222"),
        ),
    ] {
        let mut site = crm(&before);
        let mut known = connector_run(&*connector(json!({})), &mut *site, "s-1", &first);
        update(&all, &mut *site, &mut known);
        let (mail, phone, options) = learned(&mut *site);
        assert_eq!(mail, "ana@example.com");
        assert_eq!(phone.replace(' ', ""), "+34600111222");
        let is_by_user = first.wa_id.is_none();
        assert!(options.contains(USER) || is_by_user, "{options}");
        assert_eq!(names(&*site).len(), 1);
        // The next time it costs nothing.
        let data = Data::ContactUpdated(ContactUpdated {
            contact: all.clone(),
        });
        let again = work(&all, vec![item("u2", 70, data)]);
        assert_eq!(connector(json!({})).next(&again, &known), Ok(Vec::new()));
        // And each of the three finds it.
        for (n, contact) in [by_user(), by_number("34600111222"), all.clone()]
            .iter()
            .enumerate()
        {
            told(&mut *site, &format!("t-{n}"), contact);
            assert_eq!(names(&*site).len(), 1);
        }
    }
    // Somebody else's number is no gap to fill, and an address that anybody can claim learns nothing.
    let mut site = crm(&[("Ana", "+34 600 111 222", "")]);
    let mut known = connector_run(
        &*connector(json!({})),
        &mut *site,
        "s-1",
        &by_number("34600111222"),
    );
    let other = Contact {
        email: Some("other@example.com".into()),
        ..by_number("4915112345678")
    };
    update(&other, &mut *site, &mut known);
    let (mail, phone, _) = learned(&mut *site);
    assert_eq!((mail.as_str(), phone.as_str()), ("", "+34 600 111 222"));
}
