//! The portal's schema, as the simulator serves it, and tickets that are made to be tried.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

use handoffd_contract::proof::{encode, prove_schema};
use handoffd_contract::rehearsal::rehearse;
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::schema::{Found, Holds};
use handoffd_contract::{
    Connector, Controller, HttpCall, HttpReply, Item, MediaProblem, MediaRef, Rendered, Work,
};
use jiff::Timestamp;
use serde_json::{Value, json};

mod story;
use story::{at, handoff, item, short};

fn connector() -> Box<dyn Connector> {
    handoffd_hubspot::connector("hubspot", &json!({"token": "t"})).unwrap()
}

#[test]
fn the_schema_is_read_whatever_comes_between() {
    let schema = prove_schema(&*connector(), &handoffd_hubspot::sandbox);
    let category = schema.field("ticket", "hs_ticket_category").unwrap();
    assert_eq!(category.holds, Holds::Choice);
    let options = schema.options(category).unwrap();
    assert!(
        matches!(options.find("billing issue"), Found::Caption(choice) if choice.value == "BILLING_ISSUE")
    );
    assert_eq!(category.group, "ticket information");
    let created = schema.field("contact", "createdate").unwrap();
    assert!(created.read_only);
    assert!(schema.gaps.is_empty(), "{:?}", schema.gaps);
}

/// What the portal answers.
fn call(portal: &mut dyn Sandbox, now: Timestamp, call: &HttpCall) -> HttpReply {
    let no_file = |_: &MediaRef| Err(MediaProblem::Gone);
    let request = encode(call, portal, now, &no_file).unwrap();
    let response = portal.handle(now, &request);
    HttpReply {
        status: response.status,
        headers: response.headers,
        body: response.body,
    }
}

fn work(category: &str) -> Work {
    let mut rendered = Rendered::default();
    let ticket = [
        ("subject".to_owned(), json!("Broken parcel")),
        ("hs_ticket_category".to_owned(), json!(category)),
    ];
    rendered.sections.insert("ticket".into(), ticket.into());
    let event = Item {
        rendered: Some(rendered),
        ..item("h1", 10, handoff(vec![short(1)]))
    };
    Work {
        target: "hubspot".into(),
        session: story::session(),
        contact: story::contact(),
        items: vec![event],
        last_inbound: None,
        now: at(10),
        controller: Controller::queued(None),
    }
}

#[test]
fn a_ticket_is_tried_and_nothing_of_it_is_left() {
    let connector = connector();
    for (category, complaint) in [
        ("BILLING_ISSUE", None),
        ("REFUND", Some("hs_ticket_category")),
    ] {
        let mut portal = handoffd_hubspot::sandbox();
        let before = portal.view();
        let planned = rehearse(&*connector, &work(category), 12);
        assert!(
            planned
                .steps
                .iter()
                .any(|step| step.name == "contact.create" || step.name.starts_with("contact"))
        );
        let trial = connector.trial(&planned.steps, "handoffd-test-1").unwrap();
        let reply = call(&mut *portal, at(20), &trial.make);
        let tried = connector.tried(&trial, &reply);
        let named: Vec<&str> = tried
            .complaints
            .iter()
            .filter_map(|one| one.field.as_deref())
            .collect();
        assert_eq!(
            named,
            complaint.into_iter().collect::<Vec<_>>(),
            "{category}"
        );
        assert_eq!(tried.id.is_some(), complaint.is_none());
        if let Some(id) = &tried.id {
            // Where the answer is lost, the record is found by its mark.
            let found = call(&mut *portal, at(21), &trial.find);
            assert_eq!(connector.tried(&trial, &found).id.as_ref(), Some(id));
            let undone = call(&mut *portal, at(22), &connector.trial_undo(id).unwrap());
            assert_eq!(undone.status, 204);
        }
        let tickets = |view: &Value| {
            let all = view["tickets"].as_array().unwrap();
            all.iter().filter(|one| one["deleted"] != true).count()
        };
        assert_eq!(tickets(&portal.view()), tickets(&before), "{category}");
    }
}
