//! What a site refuses costs the column that is wrong and a line that says so, never the handoff.

use handoffd_contract::event::AuthorKind;
use handoffd_contract::proof::{Report, prove};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Item, Known, Reason};
use serde_json::{Value, json};

use crate::common::*;

const NOBODY: &str = "1f2e3d4c-0000-4000-8000-0123456789ab";
const HIGH: &str = "8b700f24-f46b-1410-ee8c-0050ba5d6c38";

fn case(report: &Report) -> &Value {
    &report.outcome["cases"][0]
}

/// Every line that stands on the case.
fn lines(report: &Report) -> String {
    case(report)["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tile| format!("{}\n", tile["text"].as_str().unwrap()))
        .collect()
}

fn told(report: &Report, column: &str) -> usize {
    lines(report)
        .matches(&format!("{column} was left out"))
        .count()
}

fn first() -> Item {
    item(
        "h1",
        0,
        handoff(vec![message("m1", -9, AuthorKind::Customer, "hi")]),
    )
}

#[test]
fn a_lookup_id_that_does_not_exist_costs_that_column_and_a_line() {
    for database in ["postgres", "mssql"] {
        let site = || {
            let mut site = site_with_ana();
            site.switch("database", &json!(database)).unwrap();
            site
        };
        let connector = connector(json!({ "owner_id": NOBODY, "session_link_file": false }));
        let item = rendered(
            first(),
            json!({ "PriorityId": HIGH, "UsrTopicId": NOBODY, "UsrCategory": "Refund" }),
        );
        let depth = usize::from(database == "postgres");
        let report = prove(&stage(&*connector, &site, vec![vec![item]]), depth);
        let case = case(&report);
        assert_eq!(case["priority"], "High", "what is right arrives");
        assert_eq!(case["fields"], json!({ "UsrCategory": "Refund" }));
        assert_eq!(case["origin"], "Chat");
        assert_eq!(case["owner"], Value::Null);
        assert_eq!(case["timeline"].as_array().unwrap().len(), 2);
        let note = case["timeline"][0]["text"].as_str().unwrap();
        for column in ["Case.OwnerId", "Case.UsrTopicId"] {
            assert!(
                note.contains(&format!("Note: {column} was left out: ")),
                "{note}"
            );
            assert_eq!(told(&report, column), 1);
        }
        assert_eq!(told(&report, "Case.PriorityId"), 0);
    }
}

#[test]
fn a_single_suspect_is_left_out_at_once() {
    let connector = connector(json!({ "origin_id": NOBODY }));
    let report = prove(&stage(&*connector, &site_with_ana, vec![vec![first()]]), 1);
    assert_eq!(told(&report, "Case.OriginId"), 1);
    assert_eq!(report.calls, 5, "two lookups, the case twice, the batch");
}

#[test]
fn a_database_that_tells_the_column_is_believed() {
    let words = "23503: insert or update on table \"Case\" violates foreign key constraint \"FK1\" DETAIL: Key (GroupId)=(x) is not present in table \"SysAdminUnit\".";
    let connector = connector(json!({ "group_id": NOBODY, "owner_id": NOBODY }));
    let mut known = Known::default();
    known.set("contact", HIGH);
    let step = connector
        .next(&work(&ana(), vec![first()]), &known)
        .unwrap()
        .remove(0);
    let body = json!({ "error": { "message": "An error has occurred.", "innererror": { "message": words } } });
    let reply = handoffd_contract::HttpReply {
        status: 500,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    };
    let verdict = connector.read(&step, &handoffd_contract::Reply::Http(reply));
    let handoffd_contract::Verdict::Known(learned) = verdict else {
        panic!("{verdict:?}")
    };
    let dropped: Vec<&str> = learned
        .iter()
        .filter(|fact| fact.value.is_some())
        .map(|fact| fact.fact.as_str())
        .collect();
    assert_eq!(dropped, ["dropped/Case/GroupId"]);
}

#[test]
fn a_text_that_is_too_long_for_its_column_costs_that_column() {
    let connector = connector(json!({}));
    let item = rendered(
        first(),
        json!({ "UsrCategory": "x".repeat(300), "PriorityId": HIGH }),
    );
    let report = prove(&stage(&*connector, &site_with_ana, vec![vec![item]]), 1);
    assert_eq!(case(&report)["priority"], "High");
    assert_eq!(case(&report)["fields"], json!({}));
    assert!(
        case(&report)["description_html"]
            .as_str()
            .unwrap()
            .contains("Wants money back")
    );
    assert_eq!(told(&report, "Case.UsrCategory"), 1);
}

#[test]
fn a_contact_type_that_does_not_exist_costs_the_type() {
    let connector = connector(json!({ "contact_type_id": NOBODY }));
    let mut item = first();
    item.rendered = Some(handoffd_contract::Rendered {
        version: 1,
        sections: [(
            "contact".to_owned(),
            [
                ("AccountId".to_owned(), json!(NOBODY)),
                ("Email".to_owned(), json!("ana@example.com")),
            ]
            .into(),
        )]
        .into(),
        ..Default::default()
    });
    let report = prove(&stage(&*connector, &site, vec![vec![item]]), 1);
    let contacts = report.outcome["contacts"].as_array().unwrap();
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["mobile_phone"], "+34600111222");
    let options = contacts[0]["communication_options"].to_string();
    assert!(options.contains("ana@example.com"), "{options}");
    assert_eq!(told(&report, "Contact.TypeId"), 1);
}

#[test]
fn an_activity_type_or_a_merged_contact_stops_no_message() {
    let connector = connector(json!({ "activity_type_id": NOBODY }));
    let report = prove(&stage(&*connector, &site_with_ana, vec![vec![first()]]), 1);
    assert_eq!(case(&report)["timeline"][1]["text"], "hi");
    assert_eq!(told(&report, "Activity.TypeId"), 1);

    // The contact is merged into another while the conversation goes on.
    let connector = crate::common::connector(json!({ "session_link_file": false }));
    let mut site = site();
    let mut known = connector_run(&*connector, &mut *site, "s-1", &ana());
    let merged = known.get("contact").unwrap().to_owned();
    merge_away(&mut *site, &merged);
    let work = work(&ana(), vec![received("m2", 60, "still there?")]);
    assert_eq!(run(&*connector, &mut *site, &work, &mut known), None);
    let view = site.view();
    let texts: Vec<&str> = view["cases"][0]["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tile| tile["text"].as_str().unwrap())
        .collect();
    assert!(texts.contains(&"still there?"), "{texts:?}");
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("Activity.ContactId was left out")),
        "{texts:?}"
    );
}

/// As Creatio merges duplicates: everything of the one is the other's, and the one is gone.
fn merge_away(site: &mut dyn Sandbox, contact: &str) {
    let other = site
        .act(
            at(50),
            &json!({ "act": "contact", "name": "Ana", "phone": "" }),
        )
        .unwrap()["contact"]
        .as_str()
        .unwrap()
        .to_owned();
    site.act(
        at(50),
        &json!({ "act": "merge", "contact": contact, "into": other }),
    )
    .unwrap();
}

#[test]
fn a_wrong_resolved_status_does_not_park_the_end() {
    let connector = connector(json!({ "resolved_status_id": NOBODY }));
    let report = prove(
        &stage(
            &*connector,
            &site_with_ana,
            vec![vec![first()], vec![closed("c1", 60)]],
        ),
        1,
    );
    assert_eq!(case(&report)["status"], "New");
    assert_eq!(told(&report, "Case.StatusId"), 1);
}

#[test]
fn a_case_that_a_message_opened_is_filled_as_far_as_it_can_be() {
    let connector = connector(json!({ "mode": "every_conversation", "owner_id": NOBODY }));
    let story = vec![
        vec![received("m1", 0, "hello")],
        vec![rendered(
            item("h1", 60, handoff(Vec::new())),
            json!({ "PriorityId": HIGH, "UsrTopicId": NOBODY }),
        )],
        vec![received("m2", 90, "and?")],
    ];
    let quiet = prove(&stage(&*connector, &site_with_ana, story.clone()), 0);
    let html = case(&quiet)["description_html"].as_str().unwrap();
    assert!(html.contains("Wants money back"), "{html}");
    // The note and the case's columns are written side by side: which of them comes first decides
    // whether the note tells, or an activity of its own.
    let outcome = |view: &Value| {
        let case = &view["cases"][0];
        let lines = case["timeline"].to_string();
        let times = |column: &str| lines.matches(&format!("{column} was left out")).count();
        json!([
            case["priority"],
            times("Case.OwnerId"),
            times("Case.UsrTopicId")
        ])
    };
    let stage = handoffd_contract::proof::Stage {
        outcome: &outcome,
        ..stage(&*connector, &site_with_ana, story)
    };
    assert_eq!(prove(&stage, 1).outcome, json!(["High", 1, 1]));
}

#[test]
fn what_a_case_cannot_be_without_parks_in_creatios_words() {
    let connector = connector(json!({}));
    let mut site = site_with_ana();
    site.switch(
        "column",
        &json!({ "entity": "Case", "name": "UsrRegion", "kind": "50!" }),
    )
    .unwrap();
    let stop = parked(&*connector, &mut *site, &work(&ana(), vec![first()]));
    assert_eq!(stop.reason, Reason::Invalid);
    assert!(stop.message.contains("UsrRegion is empty"), "{stop:?}");
}
