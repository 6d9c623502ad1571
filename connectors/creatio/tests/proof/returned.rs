//! A conversation that the assistant took back, and what its case says.

use handoffd_contract::event::{AuthorKind, RepNotice, SessionReturned};
use handoffd_contract::proof::prove;
use handoffd_contract::{Controller, Data, Item, Known, Work};
use serde_json::json;

use crate::common::*;

fn handed(id: &str, seconds: i64) -> Item {
    let hi = message("m1", -9, AuthorKind::Customer, "hi");
    item(id, seconds, handoff(vec![hi]))
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
    item(id, 60, Data::RepNotice(notice))
}

#[test]
fn a_case_says_once_that_the_assistant_took_the_conversation_back() {
    let connector = connector(json!({ "session_link_file": false }));
    let chapters = vec![
        vec![handed("h1", 0)],
        vec![
            returned("r1", "platform"),
            notice("n1", "crm"),
            // A rep of this very target gave it back; another target's record is meant.
            returned("r2", "crm"),
            notice("n2", "other"),
        ],
        vec![handed("h2", 140)],
    ];
    let report = prove(&stage(&*connector, &site_with_ana, chapters), 1);
    let case = &report.outcome["cases"][0];
    assert_eq!(case["status"], "New");
    let titles: Vec<&str> = case["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tile| tile["title"].as_str().unwrap())
        .collect();
    let count = |title: &str| titles.iter().filter(|one| **one == title).count();
    assert_eq!(count("Back with the assistant"), 1, "{titles:?}");
    assert_eq!(count("Please note"), 1, "{titles:?}");
    let shown = case["timeline"].to_string();
    for words in ["Reason: it was answered", "The window closes at noon."] {
        assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
    }
}

/// Where every conversation has a case, what is said while the assistant has it is shown there and opens
/// it again for nobody.
#[test]
fn a_resolved_case_stays_resolved_while_the_assistant_has_the_conversation() {
    for (controller, status) in [
        (
            Controller::Returned {
                by: "platform".into(),
            },
            "Resolved",
        ),
        (Controller::queued(None), "Reopened"),
    ] {
        let mut site = site_with_ana();
        let mut known = Known::default();
        let connector = connector(json!({ "mode": "every_conversation" }));
        let first = work(&ana(), vec![handed("h1", 0)]);
        assert_eq!(run(&*connector, &mut *site, &first, &mut known), None);
        let case = known.get("case").unwrap().to_owned();
        site.act(at(50), &json!({ "act": "resolve", "id": case }))
            .unwrap();
        assert!(connector.shows(&controller));
        let later = Work {
            controller,
            ..work(&ana(), vec![received("m2", 60, "and?")])
        };
        assert_eq!(run(&*connector, &mut *site, &later, &mut known), None);
        let view = site.view();
        assert_eq!(view["cases"][0]["status"], status);
        assert!(view.to_string().contains("and?"));
    }
}

#[test]
fn a_case_for_handoffs_alone_shows_nothing_while_the_assistant_has_the_conversation() {
    let connector = connector(json!({}));
    let by = "platform".to_owned();
    for (controller, shows) in [
        (Controller::Assistant, false),
        (Controller::Returned { by: by.clone() }, false),
        (Controller::queued(None), true),
        (Controller::Closed { by, resolved: None }, true),
    ] {
        assert_eq!(connector.shows(&controller), shows, "{controller:?}");
    }
}
