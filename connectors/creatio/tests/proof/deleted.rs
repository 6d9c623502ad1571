//! A case that a rep deleted is called so: what waits for it is told, nothing of it is left out by guess,
//! and the next handoff opens a new one.

use handoffd_contract::event::{AuthorKind, DeliveryState};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Connector, Item, Known, Reason, Refusal};
use serde_json::{Value, json};

use crate::common::*;
use crate::reply_states::replied;

fn delete(site: &mut dyn Sandbox) {
    let case = site.view()["cases"][0].clone();
    for list in ["timeline", "attachments"] {
        for row in case[list].as_array().unwrap() {
            let entity = if list == "timeline" {
                "Activity"
            } else {
                "CaseFile"
            };
            let act = json!({ "act": "delete", "entity": entity, "id": row["id"] });
            site.act(at(20), &act).unwrap();
        }
    }
    let act = json!({ "act": "delete", "entity": "Case", "id": case["id"] });
    site.act(at(21), &act).unwrap();
    assert_eq!(site.view()["cases"], json!([]));
}

fn scene() -> (Box<dyn Connector>, Box<dyn Sandbox>, Known) {
    let connector = connector(json!({}));
    let mut site = site_with_ana();
    let known = connector_run(&*connector, &mut *site, "s-1", &ana());
    delete(&mut *site);
    (connector, site, known)
}

/// Runs as far as it goes; what it waits for then.
fn held(
    connector: &dyn Connector,
    site: &mut dyn Sandbox,
    items: &[Item],
    known: &mut Known,
) -> Option<String> {
    for _ in 0..20 {
        match connector.next(&work(&ana(), items.to_vec()), known) {
            Ok(steps) if steps.is_empty() => return None,
            Ok(_) => advance(connector, site, &work(&ana(), items.to_vec()), known),
            Err(Refusal::Hold { stop, until: None }) => {
                assert_eq!(stop.reason, Reason::NotFound);
                return Some(stop.message);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("no end")
}

#[test]
fn what_is_written_on_a_deleted_case_waits_and_says_so() {
    for item in [received("m1", 30, "are you there?"), sent("m2", 30, None)] {
        let (connector, mut site, mut known) = scene();
        let mut items = vec![item];
        let told = held(&*connector, &mut *site, &items, &mut known).unwrap();
        assert!(
            told.contains("this session's case was deleted in Creatio"),
            "{told}"
        );
        assert_eq!(
            known.under("dropped/").count(),
            0,
            "nothing is left out by guess"
        );
        // The next handoff does not wait behind it, and brings it along.
        let later = message("m1", 30, AuthorKind::Customer, "are you there?");
        items.push(item_of_handoff(later));
        assert_eq!(held(&*connector, &mut *site, &items, &mut known), None);
        let view = site.view();
        let cases = view["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 1);
        let timeline = cases[0]["timeline"].to_string();
        assert!(timeline.contains("are you there?"), "{timeline}");
        assert!(
            timeline.contains("Earlier in this conversation"),
            "{timeline}"
        );
    }
}

fn item_of_handoff(message: handoffd_contract::Message) -> Item {
    item("h2", 40, handoff(vec![message]))
}

#[test]
fn states_and_ends_for_a_deleted_case_keep_nobody_waiting() {
    let (connector, mut site, mut known) = scene();
    let items = [
        replied("r1", 30, "rep-1", "Hello"),
        status("s1", 31, DeliveryState::Failed),
        closed("c1", 40),
    ];
    assert_eq!(held(&*connector, &mut *site, &items, &mut known), None);
    assert_eq!(site.view()["cases"], json!([]));
}

#[test]
fn a_case_that_is_deleted_while_a_handoff_is_shown_is_followed_by_a_new_one() {
    let connector = connector(json!({ "batch_size": 2, "session_link_file": false }));
    let mut site = site_with_ana();
    let mut known = Known::default();
    let lines: Vec<_> = (0..8)
        .map(|n| message(&format!("m{n}"), n - 100, AuthorKind::Customer, "line"))
        .collect();
    let work = work(&ana(), vec![item("h1", 0, handoff(lines))]);
    // The contact, then the case.
    for _ in 0..3 {
        advance(&*connector, &mut *site, &work, &mut known);
    }
    assert!(known.is("case"));
    delete(&mut *site);
    assert_eq!(run(&*connector, &mut *site, &work, &mut known), None);
    let view = site.view();
    let cases = view["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!(Some(cases[0]["id"].as_str().unwrap()), known.get("case"));
    assert_eq!(known.under("dropped/").count(), 0);
    let shown = |value: &Value| value["title"].as_str().unwrap().starts_with("Customer");
    let timeline = cases[0]["timeline"].as_array().unwrap();
    assert_eq!(timeline.iter().filter(|tile| shown(tile)).count(), 8);
}
