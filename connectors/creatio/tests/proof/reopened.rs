//! A handoff or message for a case that a rep resolved, closed or deleted becomes work that somebody
//! sees.

use handoffd_contract::Item;
use handoffd_contract::event::AuthorKind;
use handoffd_contract::proof::{Report, prove};
use handoffd_contract::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::*;

const HI: &str = "hi";

fn first() -> Item {
    item(
        "h1",
        0,
        handoff(vec![message("m1", -9, AuthorKind::Customer, HI)]),
    )
}

fn second() -> Item {
    item(
        "h2",
        140,
        handoff(vec![
            message("m1", -9, AuthorKind::Customer, HI),
            message("m2", 130, AuthorKind::Customer, "again"),
        ]),
    )
}

/// A site where Ana's first handoff is on a case already, and then `acts` happened to it.
fn after(acts: &[Value], switches: &[(&str, Value)]) -> Box<dyn Sandbox> {
    let mut site = site_with_ana();
    let known = &mut handoffd_contract::Known::default();
    let connector = connector(json!({ "session_link_file": false }));
    let work = work(&ana(), vec![first()]);
    assert_eq!(run(&*connector, &mut *site, &work, known), None);
    for act in acts {
        let mut act = act.clone();
        act["id"] = known.get("case").unwrap().into();
        site.act(at(50), &act).unwrap();
    }
    for (name, value) in switches {
        site.switch(name, value).unwrap();
    }
    site
}

/// The first handoff is found as it is, then comes `next`.
fn ends(site: &dyn Fn() -> Box<dyn Sandbox>, more: Value, next: Vec<Item>, depth: usize) -> Report {
    let mut settings = more;
    settings["session_link_file"] = false.into();
    let connector = connector(settings);
    prove(&stage(&*connector, site, vec![vec![first()], next]), depth)
}

fn cases(report: &Report) -> Vec<(&str, Vec<&str>)> {
    report.outcome["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            let tiles = case["timeline"].as_array().unwrap().iter();
            (
                case["status"].as_str().unwrap(),
                tiles.map(|tile| tile["title"].as_str().unwrap()).collect(),
            )
        })
        .collect()
}

const NOTE: &str = "Handoff: Refund, Angry <customer>";

#[test]
fn a_resolved_case_is_reopened_by_a_second_handoff_and_by_a_later_message() {
    let site = || after(&[json!({ "act": "resolve" })], &[]);
    let report = ends(&site, json!({}), vec![second()], 1);
    let expected = vec![NOTE, "Customer: hi", "Customer: again", NOTE];
    assert_eq!(cases(&report), [("Reopened", expected)]);

    let report = ends(&site, json!({}), vec![received("m2", 60, "and?")], 1);
    let expected = vec![NOTE, "Customer: hi", "Customer: and?"];
    assert_eq!(cases(&report), [("Reopened", expected)]);
}

#[test]
fn a_final_case_is_followed_by_a_new_one() {
    let site = || after(&[json!({ "act": "close" })], &[]);
    let report = ends(&site, json!({}), vec![second()], 1);
    let before = vec![NOTE, "Customer: hi"];
    let now = vec![NOTE, "Customer: again"];
    assert_eq!(cases(&report), [("Closed", before), ("New", now)]);
    let new = &report.outcome["cases"][1];
    let note = new["timeline"][0]["text"].as_str().unwrap();
    let former = report.outcome["cases"][0]["id"].as_str().unwrap();
    assert!(note.contains("Earlier in this conversation: SR"), "{note}");
    assert!(note.contains(former), "{note}");
    let known = report.known.get("case");
    assert_eq!(
        known,
        new["id"].as_str(),
        "replies are heard on the new one"
    );
    // The rep may still answer on the former one.
    let feed = connector(json!({})).feed(&work(&ana(), Vec::new()), &report.known, None);
    let read = format!("{feed:?}");
    assert!(read.contains(former), "{read}");
}

#[test]
fn a_case_that_was_deleted_is_followed_by_a_new_one_when_the_assistant_hands_over_again() {
    let mut site = site_with_ana();
    let contact = site.view()["contacts"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut known = handoffd_contract::Known::default();
    known.set("contact", contact);
    known.set("case", "1f2e3d4c-0000-4000-8000-0123456789ab");
    known.set("fields", "h1");
    known.set("completed/h1", "done");
    let connector = connector(json!({}));
    let work = work(&ana(), vec![second()]);
    assert_eq!(run(&*connector, &mut *site, &work, &mut known), None);
    let view = site.view();
    assert_eq!(known.get("case"), view["cases"][0]["id"].as_str());
}

#[test]
fn a_message_for_a_final_case_opens_a_new_one_that_says_how_to_answer() {
    let site = || after(&[json!({ "act": "close" })], &[]);
    let owner = site().credentials("https://x")["settings"]["owner_id"].clone();
    let settings = json!({ "owner_id": owner });
    let next = vec![received("m2", 60, "and?"), received("m3", 61, "hello?")];
    let report = ends(&site, settings, next, 1);
    let expected = vec![
        "WhatsApp conversation",
        "Customer: and?",
        "Customer: hello?",
    ];
    assert_eq!(
        cases(&report),
        [("Closed", vec![NOTE, "Customer: hi"]), ("New", expected)]
    );
    let new = &report.outcome["cases"][1];
    let text = new["timeline"][0]["text"].as_str().unwrap();
    assert!(text.contains("Earlier in this conversation: SR"), "{text}");
    assert!(
        text.contains("To answer the customer, add a task"),
        "{text}"
    );
    assert_eq!(new["owner"], "Rosa Rep", "people are needed");
}

#[test]
fn a_line_of_the_assistant_calls_for_nobody() {
    for act in ["resolve", "close"] {
        let act = json!({ "act": act });
        let site = || after(std::slice::from_ref(&act), &[]);
        let report = ends(&site, json!({}), vec![sent("m2", 60, None)], 0);
        let status = if act["act"] == "close" {
            "Closed"
        } else {
            "Resolved"
        };
        let expected = vec![NOTE, "Customer: hi", "Agent: from the platform"];
        assert_eq!(cases(&report), [(status, expected)]);
    }
}

#[test]
fn an_open_case_is_left_as_it_is_and_read_once_for_a_run_of_messages() {
    let site = || after(&[], &[]);
    let quiet = ends(&site, json!({}), vec![received("m2", 60, "and?")], 1);
    assert_eq!(cases(&quiet)[0].0, "New");
    let connector = connector(json!({ "session_link_file": false }));
    let life = |more: Vec<Vec<Item>>| {
        let mut story = vec![vec![first()]];
        story.extend(more);
        prove(&stage(&*connector, &site_with_ana, story), 0)
    };
    let one = life(vec![vec![received("m2", 60, "a")]]).calls;
    let many = life(vec![vec![
        received("m2", 60, "a"),
        received("m3", 61, "b"),
        received("m4", 62, "c"),
    ]])
    .calls;
    assert_eq!(one, many, "one look for messages that come together");
    let two = life(vec![
        vec![received("m2", 60, "a")],
        vec![received("m3", 90, "b")],
    ])
    .calls;
    assert_eq!(two - one, 2, "what the statuses mean is read once");
}

#[test]
fn a_site_without_the_status_reopened_gets_a_new_case() {
    let gone = json!({ "act": "delete", "entity": "CaseStatus" });
    let reopened = "f063ebbe-fdc6-4982-8431-d8cfa52fedcf";
    let site = || {
        let mut site = after(&[json!({ "act": "resolve" })], &[]);
        let mut act = gone.clone();
        act["id"] = reopened.into();
        site.act(at(55), &act).unwrap();
        site
    };
    let report = ends(&site, json!({}), vec![second()], 1);
    let found: Vec<&str> = cases(&report).iter().map(|(status, _)| *status).collect();
    assert_eq!(found, ["Resolved", "New"]);
    // And where the settings name none, nothing is tried.
    let site = || after(&[json!({ "act": "resolve" })], &[]);
    let settings = json!({ "reopened_status_id": "none" });
    let report = ends(&site, settings, vec![second()], 1);
    let found: Vec<&str> = cases(&report).iter().map(|(status, _)| *status).collect();
    assert_eq!(found, ["Resolved", "New"]);
}

#[test]
fn statuses_of_a_tenants_own_are_read_and_not_guessed() {
    let done = "1f2e3d4c-0000-4000-8000-00000000d0e5";
    let site = || {
        let mut site = after(&[], &[]);
        let row = json!({ "Id": done, "Name": "Done", "IsResolved": true });
        let made = handoffd_contract::HttpCall::post("/0/odata/CaseStatus", row);
        assert_eq!(call(&mut *site, &made).status, 201);
        let case = site.view()["cases"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("/0/odata/Case({case})");
        let mut patch = handoffd_contract::HttpCall::post(path, json!({ "StatusId": done }));
        patch.method = handoffd_contract::Method::Patch;
        assert_eq!(call(&mut *site, &patch).status, 204);
        site
    };
    let report = ends(&site, json!({}), vec![received("m2", 60, "and?")], 1);
    assert_eq!(cases(&report)[0].0, "Reopened");
    // Not allowed to read them, the connector knows those of the default configuration.
    let deny = [("deny", json!(["CaseStatus:read"]))];
    let site = || after(&[json!({ "act": "resolve" })], &deny);
    let report = ends(&site, json!({}), vec![received("m2", 60, "and?")], 0);
    assert_eq!(cases(&report)[0].0, "Reopened");
}

#[test]
fn a_resolved_case_is_not_open_for_another_session() {
    let site = || {
        let mut site = site_with_ana();
        let ana = site.view()["contacts"][0]["id"].clone();
        let act = json!({ "act": "case", "subject": "Old matter", "contact": ana });
        site.act(at(-100), &act).unwrap();
        site.act(at(-90), &json!({ "act": "resolve" })).unwrap();
        site
    };
    let settings = json!({ "append_to_open_case": true, "integration_contact_id": "1f2e3d4c-0000-4000-8000-0123456789ab" });
    let connector = connector(settings);
    let report = prove(&stage(&*connector, &site, vec![vec![first()]]), 1);
    let found: Vec<&str> = cases(&report).iter().map(|(status, _)| *status).collect();
    assert_eq!(found, ["Resolved", "New"]);
}

#[test]
fn the_contacts_open_case_takes_the_place_of_a_final_one_where_the_settings_say_so() {
    let site = || {
        let mut site = after(&[json!({ "act": "close" })], &[]);
        let ana = site.view()["contacts"][0]["id"].clone();
        let act = json!({ "act": "case", "subject": "Other matter", "contact": ana });
        site.act(at(70), &act).unwrap();
        site
    };
    let settings = json!({ "append_to_open_case": true, "integration_contact_id": "1f2e3d4c-0000-4000-8000-0123456789ab",
        "session_link_file": false });
    let connector = connector(settings);
    // The session's own case is final: the contact's open one is used, and is the session's from then on.
    let mut first_on_its_own = known_case(&*site());
    let mut site = site();
    let work = work(&ana(), vec![second(), received("m9", 200, "there?")]);
    assert_eq!(
        run(&*connector, &mut *site, &work, &mut first_on_its_own),
        None
    );
    let view = site.view();
    assert_eq!(view["cases"].as_array().unwrap().len(), 2);
    let other = &view["cases"][1];
    assert_eq!(other["subject"], "Other matter");
    let titles: Vec<&str> = other["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tile| tile["title"].as_str().unwrap())
        .collect();
    assert_eq!(titles.last(), Some(&"Customer: there?"), "{titles:?}");
    assert_eq!(first_on_its_own.get("case"), other["id"].as_str());
}

/// The facts of a session whose case is the site's first.
fn known_case(site: &dyn Sandbox) -> handoffd_contract::Known {
    let case = &site.view()["cases"][0];
    let mut known = handoffd_contract::Known::default();
    known.set("contact", case["contact_id"].as_str().unwrap());
    known.set("case", case["id"].as_str().unwrap());
    known.set("case/number", case["number"].as_str().unwrap());
    known.set("fields", "h1");
    known.set("completed/h1", "done");
    known.set("said/m1", "x");
    known
}
