//! What becomes of messages and handoffs after the end, for each word of the settings.

use handoffd_contract::event::{AuthorKind, SessionReturned};
use handoffd_contract::proof::{Report, prove};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Controller, Data, Item};
use serde_json::{Value, json};

use crate::common::*;

fn handed(id: &str, seconds: i64, said: &[&str]) -> Item {
    let messages = said
        .iter()
        .map(|text| message(&format!("m-{text}"), -9, AuthorKind::Customer, text));
    item(id, seconds, handoff(messages.collect()))
}

fn first() -> Item {
    handed("h1", 0, &["hi"])
}

fn returned() -> Item {
    let returned = SessionReturned {
        returned_by: Some("platform".into()),
        reason: None,
    };
    item("r1", 50, Data::SessionReturned(returned))
}

/// A site where the first handoff is on a case already, and then this happened to it.
fn after(act: &str) -> Box<dyn Sandbox> {
    let mut site = site_with_ana();
    let known = &mut handoffd_contract::Known::default();
    let connector = connector(json!({ "session_link_file": false }));
    let work = work(&ana(), vec![first()]);
    assert_eq!(run(&*connector, &mut *site, &work, known), None);
    if !act.is_empty() {
        site.act(at(50), &json!({ "act": act, "id": known.get("case") }))
            .unwrap();
    }
    site
}

fn ends(act: &'static str, more: Value, next: Vec<Item>) -> Report {
    let mut settings = more;
    settings["session_link_file"] = false.into();
    let connector = connector(settings);
    let site = || after(act);
    prove(&stage(&*connector, &site, vec![vec![first()], next]), 1)
}

/// Each case's status and how many times it shows the words.
fn cases(report: &Report, words: &str) -> Vec<(String, usize)> {
    let cases = report.outcome["cases"].as_array().unwrap().iter();
    let one = |case: &Value| {
        let shown = case["timeline"].as_array().unwrap().iter();
        let texts = shown.map(|tile| tile["text"].as_str().unwrap_or_default());
        let count = texts.filter(|text| text.contains(words)).count();
        (case["status"].as_str().unwrap().to_owned(), count)
    };
    cases.map(one).collect()
}

fn found(all: &[(&str, usize)]) -> Vec<(String, usize)> {
    let owned = |(status, count): &(&str, usize)| ((*status).to_owned(), *count);
    all.iter().map(owned).collect()
}

#[test]
fn a_message_after_the_end_does_what_the_word_says() {
    for (act, word, expected) in [
        ("resolve", "reopen", found(&[("Reopened", 1)])),
        ("close", "reopen", found(&[("Closed", 0), ("New", 1)])),
        ("resolve", "new", found(&[("Resolved", 0), ("New", 1)])),
        ("close", "new", found(&[("Closed", 0), ("New", 1)])),
        ("", "new", found(&[("New", 1)])),
        ("resolve", "append", found(&[("Resolved", 1)])),
        ("close", "append", found(&[("Closed", 1)])),
        // It reaches the connector only while the conversation is not closed.
        ("close", "ignore", found(&[("Closed", 1)])),
    ] {
        let next = vec![received("m2", 60, "and?"), received("m3", 61, "hello?")];
        let report = ends(act, json!({ "after_end": word }), next);
        for words in ["and?", "hello?"] {
            assert_eq!(cases(&report, words), expected, "{act} {word}");
        }
    }
}

fn reacted(id: &str, seconds: i64) -> Item {
    let mut item = received(id, seconds, "");
    if let Data::MessageReceived(event) = &mut item.data {
        let rest = json!({ "emoji": "👍", "message_id": "m2" });
        event.message.text = None;
        event.message.reaction = serde_json::from_value(rest).unwrap();
    }
    item
}

#[test]
fn a_reaction_after_the_end_stands_on_the_case_and_opens_nothing() {
    for (act, status) in [("resolve", "Resolved"), ("close", "Closed")] {
        for word in ["reopen", "new"] {
            let next = vec![reacted("m2", 60)];
            let report = ends(act, json!({ "after_end": word }), next);
            assert_eq!(
                cases(&report, "[reaction 👍]"),
                found(&[(status, 1)]),
                "{act} {word}"
            );
        }
    }
    let every = connector(json!({ "mode": "every_conversation" }));
    assert!(!every.opens(&reacted("m2", 60).data));
    assert!(every.opens(&received("m2", 60, "hi").data));
}

#[test]
fn a_second_handoff_does_what_the_word_says_and_is_always_work() {
    let again = || handed("h2", 140, &["colleague"]);
    for (act, word, expected) in [
        ("resolve", "reopen", found(&[("Reopened", 1)])),
        ("resolve", "new", found(&[("Resolved", 0), ("New", 1)])),
        ("close", "new", found(&[("Closed", 0), ("New", 1)])),
        // While people have it, the case takes it.
        ("", "new", found(&[("New", 1)])),
    ] {
        let settings = json!({ "after_end_handoff": word, "after_end": "append" });
        let report = ends(act, settings, vec![again()]);
        assert_eq!(cases(&report, "colleague"), expected, "{act} {word}");
    }
    // After a return the case is still open, and the next handoff has its own; one is enough.
    let settings = json!({ "after_end_handoff": "new" });
    let next = vec![returned(), again(), handed("h3", 150, &["and colleague"])];
    let report = ends("", settings, next.clone());
    assert_eq!(
        cases(&report, "colleague"),
        found(&[("New", 0), ("New", 2)])
    );
    let report = ends("", json!({}), next);
    assert_eq!(cases(&report, "colleague"), found(&[("New", 2)]));
}

/// The message made a case that nobody was handed yet: the handoff is for that one.
#[test]
fn a_handoff_takes_the_case_that_a_message_has_made_since_the_end() {
    let settings = json!({ "after_end": "new", "after_end_handoff": "new" });
    let next = vec![
        received("m2", 60, "and?"),
        returned(),
        handed("h2", 140, &["colleague"]),
    ];
    let report = ends("close", settings, next);
    assert_eq!(
        cases(&report, "colleague"),
        found(&[("Closed", 0), ("New", 1)])
    );
}

/// Where each end is followed by a case of its own, the contact's other open case is not taken for it.
#[test]
fn no_case_that_is_there_takes_the_place_of_a_new_one() {
    let site = || {
        let mut site = after("close");
        let ana = site.view()["contacts"][0]["id"].clone();
        let act = json!({ "act": "case", "subject": "Other matter", "contact": ana });
        site.act(at(70), &act).unwrap();
        site
    };
    let mut settings = json!({ "append_to_open_case": true, "session_link_file": false,
        "integration_contact_id": "1f2e3d4c-0000-4000-8000-0123456789ab" });
    for (word, count) in [("reopen", 2), ("new", 3)] {
        settings["after_end"] = word.into();
        let connector = connector(settings.clone());
        let mut site = site();
        let case = site.view()["cases"][0].clone();
        let mut known = handoffd_contract::Known::default();
        known.set("contact", case["contact_id"].as_str().unwrap());
        known.set("case", case["id"].as_str().unwrap());
        known.set("fields", "h1");
        let work = work(&ana(), vec![received("m9", 200, "there?")]);
        assert_eq!(run(&*connector, &mut *site, &work, &mut known), None);
        assert_eq!(
            site.view()["cases"].as_array().unwrap().len(),
            count,
            "{word}"
        );
    }
}

#[test]
fn what_is_ignored_is_not_shown_while_the_conversation_is_closed() {
    let by = "crm".to_owned();
    let closed = Controller::Closed { by, resolved: None };
    for (word, shows) in [
        ("reopen", true),
        ("new", true),
        ("append", true),
        ("ignore", false),
    ] {
        let connector = connector(json!({ "after_end": word }));
        assert_eq!(connector.shows(&closed), shows, "{word}");
        assert!(connector.shows(&Controller::queued(None)), "{word}");
    }
}
