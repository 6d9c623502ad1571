//! The site's columns and lookups, as the simulator serves them, and cases that are made to be tried.

use handoffd_contract::proof::prove_schema;
use handoffd_contract::rehearsal::rehearse;
use handoffd_contract::schema::{Found, Holds};
use serde_json::{Value, json};

use crate::common::{ana, call, connector, handoff, item, rendered, reply, site, transcript, work};

#[test]
fn the_schema_is_read_whatever_comes_between() {
    let schema = prove_schema(&*connector(json!({})), &site);
    let priority = schema.field("case", "PriorityId").unwrap();
    assert_eq!(priority.holds, Holds::Lookup);
    let rows = schema.options(priority).unwrap();
    assert!(rows.whole);
    assert!(
        matches!(rows.find("high"), Found::Caption(row) if row.value == "8b700f24-f46b-1410-ee8c-0050ba5d6c38")
    );
    // Contacts are no list to choose from.
    assert!(!schema.lookups.contains_key("Contact"));
    assert_eq!(schema.lacks("contact", "MobilePhone"), Some(false));
    assert!(schema.gaps.is_empty(), "{:?}", schema.gaps);
}

#[test]
fn a_lookup_that_may_not_be_read_is_a_gap() {
    let denied = || {
        let mut site = site();
        site.switch("deny", &json!(["CasePriority:read"])).unwrap();
        site
    };
    let schema = prove_schema(&*connector(json!({})), &denied);
    assert!(!schema.lookups.contains_key("CasePriority"));
    assert_eq!(schema.gaps.len(), 1, "{:?}", schema.gaps);
    assert!(schema.lookups.contains_key("CaseStatus"));
}

#[test]
fn a_case_is_tried_and_nothing_of_it_is_left() {
    let connector = connector(json!({}));
    for (columns, complaint) in [
        (json!({"Subject": "Broken parcel"}), None),
        (
            json!({"Subject": "Broken", "UsrNothing": "x"}),
            Some("UsrNothing"),
        ),
    ] {
        let mut site = site();
        let cases = |view: &Value| view["cases"].as_array().map(Vec::len);
        let before = cases(&site.view());
        let event = rendered(item("h1", 10, handoff(transcript())), columns);
        let planned = rehearse(&*connector, &work(&ana(), vec![event]), 12);
        let trial = connector.trial(&planned.steps, "handoffd-test-1").unwrap();
        let body = format!("{:?}", trial.make.body);
        assert!(
            !body.contains("ContactId"),
            "it stands on nobody's page: {body}"
        );
        let answer = reply(call(&mut *site, &trial.make));
        let tried = connector.tried(&trial, &answer);
        let named: Vec<&str> = tried
            .complaints
            .iter()
            .filter_map(|one| one.field.as_deref())
            .collect();
        assert_eq!(named, complaint.into_iter().collect::<Vec<_>>());
        if let Some(id) = &tried.id {
            let found = reply(call(&mut *site, &trial.find));
            assert_eq!(connector.tried(&trial, &found).id.as_ref(), Some(id));
            let undone = call(&mut *site, &connector.trial_undo(id).unwrap());
            assert!(undone.status < 300, "{}", undone.status);
        }
        assert_eq!(tried.id.is_some(), complaint.is_none());
        assert_eq!(cases(&site.view()), before);
    }
}
