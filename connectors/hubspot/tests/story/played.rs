//! Stories with every mishap at every place of them.

use handoffd_contract::proof::{Report, Stage, prove};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Connector, Item};
use serde_json::{Value, json};

use super::{at, bytes, contact, session};

/// What must not depend on mishaps: everything that reps see, but for ids.
pub fn outcome(view: &Value) -> Value {
    fn bare(value: &Value) -> Value {
        match value {
            Value::Object(map) => map
                .iter()
                .filter(|(name, _)| name.as_str() != "id")
                .map(|(name, value)| (name.clone(), bare(value)))
                .collect(),
            Value::Array(values) => values.iter().map(bare).collect(),
            other => other.clone(),
        }
    }
    json!({"tickets": bare(&view["tickets"]), "contacts": bare(&view["contacts"])})
}

pub fn connector(more: Value) -> Box<dyn Connector> {
    let mut settings =
        handoffd_hubspot::sandbox().credentials("http://hubspot.test")["settings"].clone();
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    handoffd_hubspot::connector("crm", &settings).unwrap()
}

/// A portal that knows the customer by phone.
pub fn returning() -> Box<dyn Sandbox> {
    let mut portal = handoffd_hubspot::sandbox();
    let ana = json!({"act": "contact", "properties": {"firstname": "Ana", "phone": "+31 6 1234 5678", "wa_id": "31612345678"}});
    portal.act(at(-3_600), &ana).unwrap();
    portal
}

pub fn played(
    connector: &dyn Connector,
    sandbox: &dyn Fn() -> Box<dyn Sandbox>,
    chapters: Vec<Vec<Item>>,
    depth: usize,
) -> Report {
    let stage = Stage {
        connector,
        sandbox,
        outcome: &outcome,
        media: &bytes,
        session: session(),
        contact: contact(),
        start: at(0),
        last_inbound: Some(at(0)),
        chapters,
    };
    prove(&stage, depth)
}

pub fn texts(report: &Report) -> Vec<String> {
    let timeline = report.outcome["tickets"][0]["timeline"].as_array().unwrap();
    timeline
        .iter()
        .map(|entry| entry["text"].as_str().unwrap().to_owned())
        .collect()
}
