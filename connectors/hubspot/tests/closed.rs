//! A ticket that a rep closed, moved or deleted, and what comes in for it afterwards.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::event::{RepNotice, SessionReturned};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{AuthorKind, Data, Fact, InboundKind, Item};
use jiff::SignedDuration;
use serde_json::{Value, json};
use story::played::{connector, played, texts};
use story::{Desk, at, closed, handoff, item, received, said, short};

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

fn ticket(desk: &Desk) -> Value {
    desk.portal.view()["tickets"][0].clone()
}

fn assistants_line() -> Item {
    let mut line = said("b1", 60, "I am looking into it.", vec![]);
    line.author.kind = AuthorKind::Assistant;
    item("e1", 60, Data::MessageSent(story::event(line)))
}

#[test]
fn a_second_handoff_and_a_customers_message_open_a_closed_ticket() {
    let message = || item("e1", 60, received("m9", 60, "still broken"));
    for (settings, stage) in [
        (json!({}), "Closed"),
        // The stage's own state says that it is one of closed tickets.
        (json!({"closed_stages": [], "closed_stage": null}), "Closed"),
        (json!({"closed_stages": ["3"]}), "Waiting on us"),
        (json!({"closed_stage": "waiting on us"}), "Waiting on us"),
        (
            json!({"pipeline": "support pipeline", "stage": "new"}),
            "Closed",
        ),
    ] {
        let mut settings = settings;
        if settings["closed_stage"].is_null() {
            settings.as_object_mut().unwrap().remove("closed_stage");
        }
        for later in [again(), message()] {
            let mut desk = opened(settings.clone());
            desk.act(json!({"act": "stage", "stage": stage}));
            assert_eq!(ticket(&desk)["stage"], stage);
            let is_handoff = matches!(later.data, Data::HandoffRequested(_));
            desk.work(&[later]).unwrap();
            assert_eq!(ticket(&desk)["stage"], "New", "{settings} {stage}");
            let timeline = ticket(&desk)["timeline"].clone();
            let shown = timeline[1]["text"].as_str().unwrap().to_owned();
            if is_handoff {
                assert!(
                    shown.contains("The ticket was closed and has been opened again."),
                    "{shown}"
                );
            } else {
                assert!(shown.contains("still broken"), "{shown}");
            }
            // And once more.
            desk.act(json!({"act": "close"}));
            desk.work(&[item("e9", 90, received("m10", 90, "hello?"))])
                .unwrap();
            assert_eq!(ticket(&desk)["stage"], "New");
        }
    }
}

#[test]
fn a_stage_that_a_rep_chose_stays_while_the_ticket_is_open() {
    for stage in ["Waiting on contact", "Waiting on us", "New"] {
        let mut desk = opened(json!({}));
        desk.act(json!({"act": "stage", "stage": stage}));
        desk.work(&[again(), item("e1", 61, received("m9", 61, "and?"))])
            .unwrap();
        assert_eq!(ticket(&desk)["stage"], stage);
        let text = ticket(&desk)["timeline"][1]["text"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(!text.contains("opened again"), "{text}");
    }
    // What the assistant says is no reason to open it.
    let mut desk = opened(json!({}));
    desk.act(json!({"act": "close"}));
    desk.work(&[assistants_line()]).unwrap();
    assert_eq!(ticket(&desk)["stage"], "Closed");
    // The platform closes the session: closed it stays, until the customer writes.
    let mut desk = opened(json!({}));
    desk.work(&[item("c1", 60, closed(None))]).unwrap();
    assert_eq!(ticket(&desk)["stage"], "Closed");
    desk.work(&[item("e1", 61, received("m9", 61, "and?"))])
        .unwrap();
    assert_eq!(ticket(&desk)["stage"], "New");
}

#[test]
fn a_ticket_that_is_opened_again_while_the_answer_is_lost_is_not_set_back() {
    let mut desk = opened(json!({}));
    desk.act(json!({"act": "close"}));
    let unsure = |desk: &mut Desk| {
        for fact in ["reopened/h2", "stage-again/h2"] {
            let fate = Fact::Unsure {
                since: at(60),
                candidate: None,
            };
            desk.known.0.insert(fact.to_owned(), fate);
        }
        desk.known.set("stage/h2", "0/4");
    };
    // The change was made, and a rep has gone on from there.
    unsure(&mut desk);
    desk.act(json!({"act": "stage", "stage": "Waiting on us"}));
    desk.work(&[again()]).unwrap();
    assert_eq!(ticket(&desk)["stage"], "Waiting on us");
    // It was not made.
    let mut desk = opened(json!({}));
    desk.act(json!({"act": "close"}));
    unsure(&mut desk);
    desk.work(&[again()]).unwrap();
    assert_eq!(ticket(&desk)["stage"], "New");
}

/// A portal in which the rep closes the ticket as soon as it has been made.
fn closing() -> Box<dyn Sandbox> {
    let mut portal = handoffd_hubspot::sandbox();
    let ana = json!({"act": "contact", "properties": {"firstname": "Ana", "wa_id": "31612345678"}});
    portal.act(at(-3_600), &ana).unwrap();
    let mut desk = Desk::new(&settings(), portal);
    desk.work(&[first()]).unwrap();
    desk.act(json!({"act": "close"}));
    desk.portal
}

fn settings() -> Value {
    handoffd_hubspot::sandbox().credentials("http://hubspot.test")["settings"].clone()
}

#[test]
fn a_mishap_anywhere_ends_with_an_open_ticket() {
    // The ledger is new to the ticket, as after a lost one; so the ticket is found, and is closed.
    let hello = || item("e1", 70, received("m9", 70, "hello?"));
    for (later, depth) in [
        (vec![vec![again()]], 2),
        (vec![vec![again()], vec![hello()]], 1),
    ] {
        let report = played(&*connector(json!({})), &closing, later, depth);
        let ticket = &report.outcome["tickets"][0];
        assert_eq!(report.outcome["tickets"].as_array().unwrap().len(), 1);
        assert_eq!(ticket["stage"], "New");
        assert!(texts(&report)[1].contains("opened again"));
    }
}

#[test]
fn a_deleted_ticket_gets_a_successor_when_the_assistant_hands_over_again() {
    let mut desk = opened(json!({}));
    let old = ticket(&desk)["id"].as_str().unwrap().to_owned();
    desk.act(json!({"act": "delete"}));
    for n in 2..=3 {
        let id = format!("h{n}");
        desk.work(&[item(&id, 60, handoff(vec![short(1), short(2)]))])
            .unwrap();
        let view = desk.portal.view();
        let tickets = view["tickets"].as_array().unwrap();
        assert_eq!(tickets.len(), n);
        let new = &tickets[n - 1];
        assert_eq!(new["stage"], "New");
        let content = new["content"].as_str().unwrap();
        assert!(content.contains("message number 1") && content.contains("message number 2"));
        let note = new["timeline"][0]["text"].as_str().unwrap();
        assert!(note.starts_with("AI handoff from WhatsApp"), "{note}");
        assert!(
            note.contains("earlier ticket") && (n == 3 || note.contains(&old)),
            "{note}"
        );
        desk.work(&[item(
            &format!("e{n}"),
            70,
            received(&format!("n{n}"), 70, "hi"),
        )])
        .unwrap();
        desk.act(json!({"act": "delete"}));
    }
}

#[test]
fn a_handoff_id_that_a_deleted_ticket_holds_stops_nobody() {
    for conflict_409 in [false, true] {
        let make = || {
            let mut portal = closing();
            portal.switch("conflict_409", &json!(conflict_409)).unwrap();
            portal.act(at(100), &json!({"act": "delete"})).unwrap();
            portal
        };
        let chapters = vec![
            vec![item("h1", 200, handoff(vec![short(1)]))],
            vec![item("e1", 210, received("m9", 210, "hello?"))],
        ];
        let report = played(&*connector(json!({})), &make, chapters, 1);
        let tickets = report.outcome["tickets"].as_array().unwrap();
        assert_eq!(tickets.len(), 2);
        let text = |n: usize| tickets[1]["timeline"][n]["text"].as_str().unwrap();
        assert!(text(0).contains("earlier ticket was deleted") && text(1).contains("hello?"));
    }
}

#[test]
fn an_open_ticket_is_heard_at_the_set_pace_however_long_the_customer_is_silent() {
    let mut desk = opened(json!({"poll_seconds": 20}));
    for days in [0, 1, 8, 100] {
        desk.now = at(0) + SignedDuration::from_hours(24 * days);
        desk.act(json!({"act": "reply", "text": format!("day {days}")}));
        assert_eq!(desk.pace(), Some(20), "day {days}");
        let heard = desk.poll();
        assert!(
            matches!(&heard[0].kind, InboundKind::Replied(reply) if reply.text.as_deref() == Some(format!("day {days}").as_str()))
        );
    }
    // A stage that is neither the first nor a closed one is an open one.
    desk.act(json!({"act": "stage", "stage": "Waiting on us"}));
    desk.poll();
    desk.now += SignedDuration::from_hours(160);
    assert_eq!(desk.pace(), Some(20));
}

#[test]
fn a_closed_ticket_is_heard_for_seven_days_and_an_opened_one_as_before() {
    for closing in ["close", "delete"] {
        let mut desk = opened(json!({"poll_seconds": 20}));
        desk.poll();
        desk.act(json!({"act": closing}));
        desk.poll();
        for (hours, pace) in [(0, Some(20)), (160, Some(20)), (169, None)] {
            let before = desk.now;
            desk.now += SignedDuration::from_hours(hours);
            assert_eq!(desk.pace(), pace, "{closing} {hours}");
            desk.now = before;
        }
        let new = item("h9", 90, handoff(vec![short(1), short(9)]));
        desk.work(&[new]).unwrap();
        desk.now += SignedDuration::from_hours(169);
        assert_eq!(desk.pace(), Some(20), "after {closing} and another handoff");
    }
    // A rep who opens it again is seen by the poll.
    let mut desk = opened(json!({"poll_seconds": 20, "closed_stages": []}));
    desk.act(json!({"act": "close"}));
    desk.poll();
    desk.now += SignedDuration::from_hours(160);
    assert_eq!(desk.pace(), Some(20));
    desk.act(json!({"act": "stage", "stage": "Waiting on us"}));
    desk.poll();
    desk.now += SignedDuration::from_hours(160);
    assert_eq!(desk.pace(), Some(20));
}

fn returned(id: &str, by: &str) -> Item {
    let returned = SessionReturned {
        returned_by: Some(by.into()),
        reason: Some("it was answered".into()),
    };
    item(id, 50, Data::SessionReturned(returned))
}

fn notice(id: &str, target: &str) -> Item {
    let notice = RepNotice {
        target: target.into(),
        text: "The window closes at noon.".into(),
    };
    item(id, 51, Data::RepNotice(notice))
}

#[test]
fn a_ticket_says_that_the_assistant_took_the_conversation_back_and_stays_where_it_is() {
    let mut desk = opened(json!({}));
    desk.act(json!({"act": "stage", "stage": "Waiting on us"}));
    let items = [
        returned("r1", "platform"),
        notice("n1", "crm"),
        // A rep of this very target gave it back; another target's record is meant.
        returned("r2", "crm"),
        notice("n2", "other"),
    ];
    desk.work(&items).unwrap();
    assert_eq!(ticket(&desk)["stage"], "Waiting on us");
    let shown = ticket(&desk)["timeline"].to_string();
    for words in [
        "The assistant has taken the conversation back.",
        "Reason: it was answered",
        "The window closes at noon.",
    ] {
        assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
    }
    let calls = desk.calls.len();
    desk.work(&items).unwrap();
    assert_eq!(desk.calls.len(), calls, "once");
}

#[test]
fn a_return_and_a_notice_are_written_once_whatever_happens() {
    let chapters = vec![
        vec![first()],
        vec![returned("r1", "platform"), notice("n1", "crm")],
        vec![again()],
    ];
    let report = played(
        &*connector(json!({})),
        &handoffd_hubspot::sandbox,
        chapters,
        1,
    );
    let shown = report.outcome["tickets"][0].to_string();
    for words in ["taken the conversation back", "closes at noon"] {
        assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
    }
}
