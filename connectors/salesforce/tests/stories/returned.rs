//! A conversation that the assistant took back: nobody is rung, and the next handoff is work again.

use handoffd_contract::Data;
use handoffd_contract::Item;
use handoffd_contract::event::{RepNotice, SessionClosed, SessionReturned};
use serde_json::{Value, json};

use crate::common::{handoff, item, tell, thread};

fn returned(id: &str, by: &str) -> Item {
    let returned = SessionReturned {
        returned_by: Some(by.into()),
        reason: None,
    };
    item(id, Data::SessionReturned(returned))
}

fn notice(id: &str, target: &str) -> Item {
    let notice = RepNotice {
        target: target.into(),
        text: "The window closes at noon.".into(),
    };
    item(id, Data::RepNotice(notice))
}

fn statuses(outcome: &Value) -> Vec<&str> {
    outcome[0]["sessions"]
        .as_array()
        .expect("sessions")
        .iter()
        .filter_map(|session| session["status"].as_str())
        .collect()
}

#[test]
fn a_return_ends_the_session_and_a_late_warning_opens_none() {
    let chapters = vec![
        vec![handoff("h1", Vec::new())],
        vec![returned("r1", "platform"), notice("n1", "crm")],
    ];
    let report = tell(json!({}), &json!({}), chapters, 1);
    assert_eq!(statuses(&report.outcome), ["Ended"]);
    let lines = thread(&report).join("\n");
    assert!(!lines.contains("noon"), "{lines}");
}

#[test]
fn a_handoff_after_the_return_waits_in_the_queue() {
    let chapters = vec![
        vec![handoff("h1", Vec::new())],
        vec![returned("r1", "platform")],
        vec![handoff("h2", Vec::new())],
    ];
    let report = tell(json!({}), &json!({}), chapters, 1);
    assert_eq!(statuses(&report.outcome), ["Ended", "Waiting"]);
}

#[test]
fn a_handoff_behind_two_ends_that_were_worked_off_with_it_waits_in_the_queue() {
    let closed = item("c1", Data::SessionClosed(SessionClosed::default()));
    let chapters = vec![
        vec![handoff("h1", Vec::new())],
        vec![
            returned("r1", "platform"),
            closed,
            handoff("h2", Vec::new()),
        ],
    ];
    let report = tell(json!({}), &json!({}), chapters, 1);
    assert_eq!(statuses(&report.outcome), ["Ended", "Waiting"]);
}

#[test]
fn what_the_rep_gave_back_is_not_ended_by_us_and_a_warning_is_shown_once() {
    let chapters = vec![
        vec![handoff("h1", Vec::new())],
        vec![
            returned("r1", "crm"),
            notice("n1", "crm"),
            notice("n2", "other"),
        ],
    ];
    let report = tell(json!({}), &json!({}), chapters, 1);
    assert_eq!(statuses(&report.outcome), ["Waiting"]);
    let lines = thread(&report).join("\n");
    assert_eq!(
        lines.matches("⚠ The window closes at noon.").count(),
        1,
        "{lines}"
    );
}
