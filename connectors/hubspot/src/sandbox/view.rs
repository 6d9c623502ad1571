//! What a rep sees: each ticket with its timeline, oldest first.

use handoffd_contract::text::plain;
use serde_json::{Map, Value, json};

use super::Portal;
use super::schema::{Kind, OWNERS, PIPELINES};
use super::store::{By, Object, iso};

/// Properties that have a place of their own in the view, or that people do not see.
const SHOWN_ELSEWHERE: [&str; 9] = [
    "subject",
    "content",
    "hs_pipeline",
    "hs_pipeline_stage",
    "hs_ticket_priority",
    "hubspot_owner_id",
    "hs_object_id",
    "createdate",
    "hs_lastmodifieddate",
];

impl Portal {
    pub(super) fn shown(&self) -> Value {
        let tickets: Vec<Value> = self
            .store
            .of(Kind::Ticket)
            .map(|ticket| self.ticket(ticket))
            .collect();
        let contacts: Vec<Value> = self
            .store
            .of(Kind::Contact)
            .map(|contact| {
                let own = |name: &&String| !name.starts_with("hs_") && !["createdate", "lastmodifieddate"].contains(&name.as_str());
                let properties: Map<String, Value> =
                    contact.properties.iter().filter(|(name, _)| own(name)).map(|(name, value)| (name.clone(), json!(value))).collect();
                json!({
                    "id": contact.id.to_string(), "properties": properties, "created_by": author(contact.by), "deleted": contact.archived,
                    "merged_into": contact.merged_into.map(|id| id.to_string()),
                    "tickets": self.store.linked((Kind::Contact, contact.id), Kind::Ticket).len(),
                })
            })
            .collect();
        let files: Vec<Value> = self
            .files
            .values()
            .map(|file| json!({"id": file.id.to_string(), "name": file.name, "folder": file.folder, "access": file.access, "size": file.size, "type": file.mime}))
            .collect();
        json!({"tickets": tickets, "contacts": contacts, "files": files})
    }

    fn ticket(&self, ticket: &Object) -> Value {
        let at = (Kind::Ticket, ticket.id);
        let get = |name: &str| ticket.get(name).unwrap_or_default();
        let pipeline = PIPELINES
            .iter()
            .find(|known| known.id == get("hs_pipeline"));
        let stage = pipeline.and_then(|known| {
            known
                .stages
                .iter()
                .find(|stage| stage.0 == get("hs_pipeline_stage"))
        });
        let owner = OWNERS
            .iter()
            .find(|owner| owner.0 == get("hubspot_owner_id"))
            .map(|owner| format!("{} {}", owner.2, owner.3));
        let contact_ids = self.store.linked(at, Kind::Contact);
        let contacts: Vec<String> = contact_ids
            .iter()
            .copied()
            .filter_map(|id| self.store.objects.get(&(Kind::Contact, id)))
            .map(|contact| {
                contact
                    .get("firstname")
                    .or(contact.get("phone"))
                    .or(contact.get("email"))
                    .unwrap_or("?")
                    .to_owned()
            })
            .collect();
        let custom: Map<String, Value> = ticket
            .properties
            .iter()
            .filter(|(name, _)| !SHOWN_ELSEWHERE.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let mut timeline: Vec<&Object> = [Kind::Note, Kind::Communication]
            .iter()
            .flat_map(|kind| {
                self.store
                    .linked(at, *kind)
                    .into_iter()
                    .filter_map(|id| self.store.objects.get(&(*kind, id)))
            })
            .collect();
        timeline.sort_by_key(|object| (object.timestamp(), object.id));
        let comments: Vec<Value> = self
            .threads
            .values()
            .filter(|thread| thread.ticket == ticket.id)
            .flat_map(|thread| &thread.messages)
            .map(|message| {
                let customer = message["type"] == json!("MESSAGE");
                json!({"kind": message["type"], "text": message["text"], "visible_to": if customer { "customer" } else { "reps" }, "by": message["createdBy"]})
            })
            .collect();
        json!({
            "id": ticket.id.to_string(), "subject": get("subject"), "content": get("content"),
            "pipeline": pipeline.map(|known| known.label), "stage": stage.map(|stage| stage.1),
            "priority": ticket.get("hs_ticket_priority"), "owner": owner, "properties": custom, "contacts": contacts,
            "contact_ids": contact_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "deleted": ticket.archived, "merged_into": ticket.merged_into.map(|id| id.to_string()),
            "timeline": timeline.into_iter().map(|object| self.entry(object)).collect::<Vec<_>>(), "thread": comments,
        })
    }

    /// A note or communication as text. Line breaks of the source mean nothing in HTML.
    fn entry(&self, object: &Object) -> Value {
        let body = object
            .get("hs_note_body")
            .or(object.get("hs_communication_body"))
            .unwrap_or_default();
        let files: Vec<Value> = object
            .get("hs_attachment_ids")
            .unwrap_or_default()
            .split(';')
            .filter(|id| !id.is_empty())
            .map(|id| match id.parse().ok().and_then(|id: u64| self.files.get(&id)) {
                Some(file) => json!({"name": file.name, "type": file.mime, "size": file.size, "access": file.access}),
                None => json!({"missing": id}),
            })
            .collect();
        json!({
            "id": object.id.to_string(), "kind": object.kind.singular(), "time": iso(object.timestamp()), "by": author(object.by),
            "text": plain(&body.replace(['\n', '\r'], " ")), "files": files, "visible_to": "reps", "deleted": object.archived,
            "contacts": self.store.linked((object.kind, object.id), Kind::Contact).len(),
        })
    }
}

fn author(by: By) -> &'static str {
    match by {
        By::App => "app",
        By::Rep => "rep",
    }
}
