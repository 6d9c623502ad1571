//! The published schemas: what producers may send, what the gateway gets, and over which channels.
//!
//! Everything is generated from the types that decode the events, plus the few rules that types
//! cannot say. `handoffd schema` prints the AsyncAPI document, which holds every schema.
//! <https://www.asyncapi.com/docs/reference/specification/v3.0.0>

mod async_api;
mod outbound;

use handoffd_contract::event::{
    ContactUpdated, Handoff, HandoffCompleted, HandoffFailed, MessageEvent, MessageStatus,
    RepActivity, ReplyStatus, SessionAssigned, SessionClosed, SessionReturned, SessionRouting,
    SessionUpdated,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use self::outbound::{Closed, Handback, Rated, ReplyRequested, State, Unattended, Written};

/// An event that goes in or out.
struct Kind {
    /// Its `type`.
    name: &'static str,
    /// What it says, in a sentence.
    summary: &'static str,
    /// Whether it comes in; otherwise it goes out.
    inbound: bool,
    /// The schema of its `data`.
    data: fn(&mut SchemaGenerator) -> Schema,
}

impl Kind {
    /// The name in the document; `session.closed` goes both ways, and says more on the way in.
    fn key(&self) -> String {
        if self.inbound {
            self.name.to_owned()
        } else {
            format!("out.{}", self.name)
        }
    }
}

const fn of<T: JsonSchema>(name: &'static str, inbound: bool, summary: &'static str) -> Kind {
    Kind {
        name,
        summary,
        inbound,
        data: SchemaGenerator::subschema_for::<T>,
    }
}

const KINDS: &[Kind] = &[
    of::<Handoff>(
        "handoff.requested",
        true,
        "The assistant hands the conversation to people.",
    ),
    of::<MessageEvent>("message.received", true, "The customer wrote."),
    of::<MessageEvent>(
        "message.sent",
        true,
        "The assistant or the platform wrote to the customer.",
    ),
    of::<MessageStatus>(
        "message.status",
        true,
        "What became of a message to the customer.",
    ),
    of::<SessionClosed>("session.closed", true, "The platform closed the session."),
    of::<SessionReturned>(
        "session.returned",
        true,
        "The platform's assistant takes the conversation over again, without closing it.",
    ),
    of::<ContactUpdated>(
        "contact.updated",
        true,
        "The platform learned more about the contact.",
    ),
    of::<ReplyRequested>(
        "reply.requested",
        false,
        "A rep's message, or a notice of handoffd's own, to be sent to the customer.",
    ),
    of::<ReplyStatus>(
        "reply.status",
        false,
        "A rep's reply is held back, or failed.",
    ),
    of::<HandoffCompleted>(
        "handoff.completed",
        false,
        "A CRM's record shows the whole handoff.",
    ),
    of::<HandoffFailed>(
        "handoff.failed",
        false,
        "A CRM could not be given the handoff.",
    ),
    of::<SessionAssigned>(
        "session.assigned",
        false,
        "A rep was assigned, joined or left.",
    ),
    of::<SessionRouting>(
        "session.routing",
        false,
        "No rep was found, one has declined, or it is being transferred.",
    ),
    of::<RepActivity>(
        "rep.activity",
        false,
        "A rep types, or has read what the customer wrote.",
    ),
    of::<SessionUpdated>(
        "session.updated",
        false,
        "Fields of a CRM's record were changed there.",
    ),
    of::<Closed>(
        "session.closed",
        false,
        "A rep ended the conversation in a CRM.",
    ),
    of::<Handback>(
        "session.handback",
        false,
        "People have given the conversation back or ended it, and what they did.",
    ),
    of::<State>("session.state", false, "Somebody else is in charge now."),
    of::<Unattended>(
        "session.unattended",
        false,
        "Nobody joined in time, or the CRM's search found nobody.",
    ),
    of::<Rated>(
        "session.rated",
        false,
        "The customer has rated the conversation after a rep's end.",
    ),
    of::<Written>(
        "conversation.started",
        false,
        "A customer has written for the first time in a session of which nothing was known.",
    ),
    of::<Written>("message.received", false, "A customer has written."),
];

/// The AsyncAPI document, as JSON; the same text every time.
#[must_use]
pub fn document() -> String {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    let mut schemas = Map::new();
    let mut messages = Map::new();
    for kind in KINDS {
        schemas.insert(kind.key(), envelope(kind, &mut generator));
        let message = json!({
            "name": kind.name,
            "title": kind.name,
            "summary": kind.summary,
            "contentType": "application/cloudevents+json",
            "payload": { "$ref": format!("#/components/schemas/{}", kind.key()) },
        });
        messages.insert(kind.key(), message);
    }
    let mut definitions = generator.take_definitions(true);
    strict(&mut definitions);
    schemas.extend(definitions);
    format!("{:#}\n", async_api::document(messages, schemas))
}

/// The JSON Schema (2020-12) of one event that may be sent in, complete in itself; none for a type
/// that handoffd does not take.
#[must_use]
pub fn event(kind: &str) -> Option<Value> {
    let kind = KINDS.iter().find(|one| one.inbound && one.name == kind)?;
    Some(alone(kind))
}

/// The JSON Schema of one event that goes out.
#[must_use]
pub fn outgoing(kind: &str) -> Option<Value> {
    let kind = KINDS.iter().find(|one| !one.inbound && one.name == kind)?;
    Some(alone(kind))
}

fn alone(kind: &Kind) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = envelope(kind, &mut generator);
    let mut definitions = generator.take_definitions(true);
    strict(&mut definitions);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$defs"] = Value::Object(definitions);
    schema
}

/// A CloudEvent of this kind.
fn envelope(kind: &Kind, generator: &mut SchemaGenerator) -> Value {
    let data = (kind.data)(generator).to_value();
    let word = json!({ "type": "string", "minLength": 1 });
    json!({
        "title": kind.name,
        "description": kind.summary,
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": word,
            "source": word,
            "type": { "const": kind.name },
            "subject": { "type": "string", "minLength": 1, "description": "The session's id." },
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "type": "string" },
            "sequence": {
                "description": "The session's running number, when the gateway numbers its events.",
                "oneOf": [
                    { "type": "string", "pattern": "^[0-9]{1,19}$" },
                    { "type": "integer", "minimum": 0, "maximum": i64::MAX },
                ],
            },
            "data": data,
        },
    })
}

/// What the types cannot say about a contact and a session; the intake checks the same.
fn strict(definitions: &mut Map<String, Value>) {
    let mut set = |name: &str, property: &str, key: &str, value: Value| {
        if let Some(property) = definitions
            .get_mut(name)
            .and_then(|schema| schema.pointer_mut(&format!("/properties/{property}")))
        {
            property[key] = value;
        }
    };
    set(
        "Contact",
        "phone",
        "pattern",
        json!(r"^\+[1-9][0-9]{1,14}$"),
    );
    set(
        "Contact",
        "wa_id",
        "pattern",
        json!(r"^(whatsapp:)?\+?[0-9]{1,20}$"),
    );
    set(
        "Contact",
        "user_id",
        "pattern",
        json!(r"^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$"),
    );
    set(
        "Session",
        "business_number",
        "pattern",
        json!(r"^\+?[0-9]{3,20}$"),
    );
    set("Contact", "email", "pattern", json!(r"^[^@\s]+@[^@\s]+$"));
    set("Session", "url", "pattern", json!("^https?://"));
    set("Location", "latitude", "minimum", json!(-90));
    set("Location", "latitude", "maximum", json!(90));
    set("Location", "longitude", "minimum", json!(-180));
    set("Location", "longitude", "maximum", json!(180));
    set("Handoff", "targets", "minItems", json!(1));
    // A file at a CRM is handoffd's own: it is fetched with the CRM's sign-in.
    if let Some(Value::Array(sources)) = definitions.get_mut("Source").map(|all| &mut all["oneOf"])
    {
        sources.retain(|source| source["properties"]["from"]["const"] != "target");
        for source in sources {
            if source["properties"]["url"].is_object() {
                source["properties"]["url"]["pattern"] = json!("^https?://");
            }
        }
    }
    for (name, ids) in [
        ("Contact", ["wa_id", "user_id", "phone"].as_slice()),
        ("MessageStatus", &["message_id", "reference"]),
    ] {
        if let Some(schema) = definitions.get_mut(name) {
            let any: Vec<_> = ids
                .iter()
                .map(|id| json!({ "required": [id], "properties": { *id: { "type": "string" } } }))
                .collect();
            schema["anyOf"] = Value::Array(any);
        }
    }
}

#[cfg(test)]
mod tests {
    use handoffd_contract::Data;

    use super::*;

    #[test]
    fn every_type_that_is_taken_has_a_schema() {
        let inbound: Vec<_> = KINDS
            .iter()
            .filter(|kind| kind.inbound)
            .map(|kind| kind.name)
            .collect();
        assert_eq!(inbound, Data::INBOUND);
    }
}
