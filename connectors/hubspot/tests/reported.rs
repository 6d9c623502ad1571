//! Ticket properties whose changes are passed on.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::{Inbound, InboundKind, Rendered};
use jiff::SignedDuration;
use serde_json::{Value, json};
use story::{Desk, handoff, item, short};

fn desk(report: Value) -> Desk {
    let mut portal = handoffd_hubspot::sandbox();
    let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
    settings["report_properties"] = report.clone();
    settings["closed_stages"] = json!(["4"]);
    settings["closed_stage"] = json!("4");
    portal.switch("subscribed", &report).unwrap();
    let hook = json!("http://hubspot.test/hook");
    portal.switch("webhook_url", &hook).unwrap();
    let mut desk = Desk::new(&settings, portal);
    let mut handed = item("h1", 10, handoff(vec![short(1)]));
    let ticket = [("hs_ticket_priority".to_owned(), json!("LOW"))];
    handed.rendered = Some(Rendered {
        version: 1,
        sections: [("ticket".to_owned(), ticket.into())].into(),
        ..Rendered::default()
    });
    desk.work(&[handed]).unwrap();
    indexed(&mut desk);
    desk
}

fn indexed(desk: &mut Desk) {
    desk.now += SignedDuration::from_secs(6);
}

/// What is passed on: the field, its value, who.
fn updates(heard: &[Inbound]) -> Vec<(String, Value, String)> {
    heard
        .iter()
        .filter_map(|heard| match &heard.kind {
            InboundKind::Updated {
                fields, changed_by, ..
            } => {
                let (name, value) = fields.first_key_value()?;
                let by = changed_by.clone().unwrap_or_default();
                Some((name.clone(), value.clone(), by))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_change_is_told_by_webhook_and_by_the_search_under_the_same_id() {
    let mut desk = desk(json!(["hs_ticket_priority", "subject"]));
    assert_eq!(updates(&desk.webhooks()), [], "the ticket was made with it");
    assert_eq!(updates(&desk.search()), []);
    for value in ["HIGH", "MEDIUM", ""] {
        desk.act(json!({"act": "set", "property": "hs_ticket_priority", "value": value}));
    }
    desk.act(json!({"act": "set", "property": "content", "value": "not asked for"}));
    let by_hook = desk.webhooks();
    let told = updates(&by_hook);
    let values: Vec<&Value> = told.iter().map(|(_, value, _)| value).collect();
    assert_eq!(values, [&json!("HIGH"), &json!("MEDIUM"), &Value::Null]);
    assert!(
        told.iter()
            .all(|(name, _, by)| name == "hs_ticket_priority" && by.starts_with("userId:")),
        "{told:?}"
    );
    indexed(&mut desk);
    let by_search = desk.search();
    assert_eq!(updates(&by_search), told);
    let ids = |heard: &[Inbound]| heard.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&by_search), ids(&by_hook), "so each counts once");
    indexed(&mut desk);
    assert_eq!(
        updates(&desk.search()),
        [],
        "and the next poll tells nothing"
    );
}

#[test]
fn what_handoffd_writes_itself_is_not_told() {
    let mut desk = desk(json!(["hs_pipeline_stage", "hs_ticket_priority"]));
    desk.webhooks();
    // We close the ticket, and open it again when the customer writes.
    desk.work(&[item("x1", 60, story::closed(None))]).unwrap();
    desk.work(&[item("e1", 70, story::received("m2", 70, "hello"))])
        .unwrap();
    assert_eq!(updates(&desk.webhooks()), []);
    indexed(&mut desk);
    assert_eq!(updates(&desk.search()), []);
    // A rep's change to the very value that the ticket was made with is one.
    desk.act(json!({"act": "set", "property": "hs_ticket_priority", "value": "HIGH"}));
    desk.act(json!({"act": "set", "property": "hs_ticket_priority", "value": "LOW"}));
    desk.act(json!({"act": "close"}));
    let told = updates(&desk.webhooks());
    let names: Vec<&str> = told.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "hs_ticket_priority",
            "hs_ticket_priority",
            "hs_pipeline_stage"
        ]
    );
    // Another integration's change is told, with its own name.
    let ticket = desk.portal.view()["tickets"][0]["id"].clone();
    let path = format!("/crm/objects/2026-03/tickets/{}", ticket.as_str().unwrap());
    let body = json!({"properties": {"hs_ticket_priority": "URGENT"}});
    assert_eq!(desk.request("PATCH", &path, &body).0, 200);
    let told = updates(&desk.webhooks());
    assert_eq!(
        told,
        [(
            "hs_ticket_priority".into(),
            json!("URGENT"),
            "INTEGRATION".into()
        )]
    );
}

#[test]
fn what_handoffd_fills_itself_cannot_be_reported() {
    let portal = handoffd_hubspot::sandbox();
    let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
    settings["report_properties"] =
        json!(["wa_handoff_id", "wa_controller", "Priority", "subject"]);
    let Err(problems) = handoffd_hubspot::connector("crm", &settings) else {
        panic!("these settings are wrong")
    };
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "report_properties[0]",
            "report_properties[1]",
            "report_properties[2]"
        ]
    );
}
