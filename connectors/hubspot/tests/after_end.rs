//! What becomes of messages and handoffs after the end, for each word of the settings.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::event::SessionReturned;
use handoffd_contract::{Controller, Data, Inbound, InboundKind, Item, Subject};
use jiff::SignedDuration;
use serde_json::{Value, json};
use story::played::{connector, played};
use story::{Desk, handoff, item, received, short};

fn opened(more: Value) -> Desk {
    let portal = handoffd_hubspot::sandbox();
    let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let mut desk = Desk::new(&settings, portal);
    desk.work(&[first()]).unwrap();
    desk
}

fn first() -> Item {
    item("h1", 10, handoff(vec![short(1)]))
}

fn again() -> Item {
    item("h2", 60, handoff(vec![short(1), short(2)]))
}

fn wrote(n: i64, text: &str) -> Item {
    let id = format!("e{n}");
    item(&id, 100 + n, received(&format!("m{n}"), 100 + n, text))
}

fn returned() -> Item {
    let returned = SessionReturned {
        returned_by: Some("platform".into()),
        reason: None,
    };
    item("r1", 50, Data::SessionReturned(returned))
}

fn tickets(desk: &Desk) -> Vec<Value> {
    desk.portal.view()["tickets"].as_array().unwrap().clone()
}

fn stages(desk: &Desk) -> Vec<String> {
    let stage = |ticket: &Value| ticket["stage"].as_str().unwrap().to_owned();
    tickets(desk).iter().map(stage).collect()
}

fn texts(ticket: &Value) -> String {
    ticket["timeline"].to_string()
}

#[test]
fn a_message_after_the_end_makes_a_ticket_that_takes_what_follows() {
    let mut desk = opened(json!({"after_end": "new"}));
    let old = tickets(&desk)[0]["id"].as_str().unwrap().to_owned();
    // An open one takes it, in whatever stage.
    desk.act(json!({"act": "stage", "stage": "Waiting on us"}));
    desk.work(&[wrote(3, "and now?")]).unwrap();
    assert_eq!(stages(&desk), ["Waiting on us"]);

    desk.act(json!({"act": "close"}));
    desk.work(&[wrote(4, "still broken"), wrote(5, "hello?")])
        .unwrap();
    assert_eq!(stages(&desk), ["Closed", "New"]);
    let new = &tickets(&desk)[1];
    let shown = texts(new);
    for words in [
        "The customer wrote again",
        "begins with /wa",
        "still broken",
        "hello?",
    ] {
        assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
    }
    assert!(shown.contains(&format!("ticket {old}")), "{shown}");
    let (note, said) = (shown.find("wrote again"), shown.find("still broken"));
    assert!(note < said, "{shown}");
    assert!(!texts(&tickets(&desk)[0]).contains("still broken"));
    // The next handoff finds it there.
    desk.work(&[again()]).unwrap();
    assert_eq!(stages(&desk), ["Closed", "New"]);
    assert!(texts(&tickets(&desk)[1]).contains("AI handoff from WhatsApp"));
}

fn reacted(n: i64) -> Item {
    let mut item = wrote(n, "");
    if let Data::MessageReceived(event) = &mut item.data {
        let rest = json!({"emoji": "👍", "message_id": "m1"});
        event.message.reaction = serde_json::from_value(rest).unwrap();
    }
    item
}

#[test]
fn a_reaction_after_the_end_stands_on_the_ticket_and_opens_nothing() {
    for word in ["reopen", "new"] {
        let mut desk = opened(json!({"after_end": word}));
        desk.act(json!({"act": "close"}));
        desk.work(&[reacted(3)]).unwrap();
        assert_eq!(stages(&desk), ["Closed"], "{word}");
        assert!(
            texts(&tickets(&desk)[0]).contains("[reaction 👍]"),
            "{word}"
        );
        // Nothing is in it that anybody is shown.
        let before = texts(&tickets(&desk)[0]);
        desk.work(&[reacted(3), wrote(4, "")]).unwrap();
        assert_eq!(texts(&tickets(&desk)[0]), before, "{word}");
    }
}

#[test]
fn a_message_after_the_end_is_appended_or_left_where_the_settings_say_so() {
    for word in ["append", "ignore"] {
        let mut desk = opened(json!({"after_end": word}));
        desk.act(json!({"act": "close"}));
        desk.work(&[wrote(3, "thank you")]).unwrap();
        assert_eq!(stages(&desk), ["Closed"], "{word}");
        assert!(texts(&tickets(&desk)[0]).contains("thank you"), "{word}");
        // A handoff is work all the same.
        desk.work(&[again()]).unwrap();
        assert_eq!(stages(&desk), ["New"], "{word}");
    }
    let by = "crm".to_owned();
    let closed = Controller::Closed { by, resolved: None };
    for (word, shows) in [
        ("reopen", true),
        ("new", true),
        ("append", true),
        ("ignore", false),
    ] {
        let connector = connector(json!({"after_end": word}));
        assert_eq!(connector.shows(&closed), shows, "{word}");
        assert!(connector.shows(&Controller::queued(None)), "{word}");
        assert!(!connector.shows(&Controller::Assistant), "{word}");
    }
}

#[test]
fn a_second_handoff_gets_a_ticket_of_its_own() {
    // After the end.
    let mut desk = opened(json!({"after_end_handoff": "new"}));
    desk.act(json!({"act": "close"}));
    desk.work(&[again()]).unwrap();
    assert_eq!(stages(&desk), ["Closed", "New"]);
    let new = tickets(&desk)[1].clone();
    let content = new["content"].as_str().unwrap();
    assert!(content.contains("message number 1") && content.contains("message number 2"));
    assert!(
        texts(&new).contains("Earlier in this conversation"),
        "{new}"
    );
    assert!(!texts(&new).contains("was deleted"), "{new}");
    // After the return, whatever the stage; but not while people have it.
    let mut desk = opened(json!({"after_end_handoff": "new"}));
    desk.work(&[again()]).unwrap();
    assert_eq!(stages(&desk), ["New"]);
    let third = item("h3", 70, handoff(vec![short(3)]));
    desk.work(&[returned(), third.clone()]).unwrap();
    assert_eq!(stages(&desk), ["New", "New"]);
    assert_eq!(
        desk.known.get("completed/h3"),
        tickets(&desk)[1]["id"].as_str()
    );
    // By default the same ticket goes on.
    let mut desk = opened(json!({}));
    desk.work(&[returned(), third]).unwrap();
    assert_eq!(stages(&desk), ["New"]);
}

/// The rep goes on in the ticket that was closed: the reply is this conversation's.
#[test]
fn a_reply_in_the_former_ticket_is_found_by_its_fact() {
    let mut desk = opened(json!({"after_end_handoff": "new"}));
    let old = tickets(&desk)[0]["id"].as_str().unwrap().to_owned();
    desk.act(json!({"act": "close"}));
    desk.work(&[again()]).unwrap();
    let fact = handoffd_contract::feed::former("ticket", &old);
    assert_eq!(desk.known.get(&fact), Some(old.as_str()));
    desk.act(json!({"act": "reply", "ticket": old, "text": "one more thing"}));
    // The search that all tickets share finds it, a moment later.
    desk.now += SignedDuration::from_secs(30);
    let heard: Vec<Inbound> = desk.search();
    let reply = heard
        .iter()
        .find(|heard| matches!(heard.kind, InboundKind::Replied(_)));
    let about = &reply.expect("a reply").subject;
    let name = "ticket".to_owned();
    assert_eq!(about, &Subject::Fact { name, value: old });
}

#[test]
fn a_mishap_anywhere_makes_one_new_ticket() {
    let settings = json!({"after_end": "new", "after_end_handoff": "new"});
    let ended = || item("c1", 40, story::closed(None));
    let third = || item("h3", 70, handoff(vec![short(3)]));
    for (chapters, stages) in [
        (
            vec![
                vec![first()],
                vec![ended()],
                vec![wrote(4, "still broken"), wrote(5, "hello?")],
            ],
            ["Closed", "New"],
        ),
        (
            vec![vec![first()], vec![ended(), again()]],
            ["Closed", "New"],
        ),
        (
            vec![vec![first()], vec![returned(), third(), wrote(4, "thanks")]],
            ["New", "New"],
        ),
    ] {
        let connector = connector(settings.clone());
        let report = played(&*connector, &handoffd_hubspot::sandbox, chapters, 1);
        let tickets = report.outcome["tickets"].as_array().unwrap();
        let found: Vec<&str> = tickets
            .iter()
            .map(|ticket| ticket["stage"].as_str().unwrap())
            .collect();
        assert_eq!(found, stages);
    }
}
