//! A ticket that is made to hear what HubSpot says of its properties, and is archived again.

use handoffd_contract::{
    Body, Call, Complaint, HttpCall, HttpReply, Method, Step, Trial, Tried, text,
};
use serde_json::{Value, json};

use crate::errors::{faults, words};
use crate::settings::Settings;

/// What its subject begins with.
const MARK: &str = "[handoffd test, is removed again]";

/// The ticket of the plan, marked, linked to nobody and assigned to nobody.
pub fn trial(settings: &Settings, steps: &[Step], mark: &str) -> Option<Trial> {
    let step = steps.iter().find(|step| step.name == "ticket.create")?;
    let Call::Http(call) = &step.call else {
        return None;
    };
    let Body::Json(body) = &call.body else {
        return None;
    };
    let mut properties = body["properties"].as_object()?.clone();
    let subject = properties.get("subject").and_then(Value::as_str);
    let subject = text::truncate(&format!("{MARK} {}", subject.unwrap_or_default()), 255);
    properties.insert("subject".into(), subject.into());
    properties.insert(settings.handoff_id_property.clone(), mark.into());
    // Whoever owns a ticket is told of it.
    properties.remove("hubspot_owner_id");
    let body = json!({"properties": properties, "associations": []});
    Some(Trial {
        says: format!(
            "One ticket whose subject begins with “{MARK}”, without a contact and without an owner. It is archived as soon as \
             HubSpot has answered; HubSpot's recycle bin shows it for 90 days. Workflows that start when a ticket is made \
             may run for it."
        ),
        section: "ticket",
        make: HttpCall::post(settings.paths.object("tickets"), body),
        find: HttpCall::get(settings.paths.one("tickets", mark))
            .query("idProperty", &settings.handoff_id_property),
    })
}

/// What HubSpot said to it.
pub fn tried(trial: &Trial, reply: &HttpReply) -> Tried {
    let body = reply.json().unwrap_or_default();
    if reply.ok() {
        return Tried {
            id: body["id"].as_str().map(str::to_owned),
            complaints: Vec::new(),
        };
    }
    let named = faults(&body).into_iter().map(|fault| Complaint {
        field: Some(fault.field),
        message: fault.code,
    });
    let mut complaints: Vec<Complaint> = named.collect();
    if complaints.is_empty() {
        complaints.push(Complaint {
            field: None,
            message: words(&Step::look("trial", trial.make.clone()), reply),
        });
    }
    Tried {
        id: None,
        complaints,
    }
}

/// Archives the ticket.
pub fn undo(settings: &Settings, id: &str) -> HttpCall {
    HttpCall::new(Method::Delete, settings.paths.one("tickets", id))
}
