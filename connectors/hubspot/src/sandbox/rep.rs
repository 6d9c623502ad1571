//! What a rep or an administrator does in the portal; the crate's README lists the acts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::text::html;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Portal;
use super::schema::{Kind, OWNERS, PIPELINES};
use super::store::{By, iso};
use super::threads::Thread;

type Done = Result<Value, String>;

/// Files that a rep may attach.
const MAX_FILE: usize = 32 << 20;

impl Portal {
    pub(super) fn acted(&mut self, now: Timestamp, act: &Value) -> Done {
        let text = |name: &str| act[name].as_str().unwrap_or_default();
        let prefix = self.switches.reply_prefix.clone();
        match text("act") {
            // As HubSpot's editor leaves it: pictures and tables too.
            "note" if act["html"].is_string() => self.write(now, act, text("html"), None),
            "note" => self.write(now, act, &html(text("text")), None),
            "reply" => self.write(
                now,
                act,
                &format!("<p>{prefix} {}</p>", html(text("text"))),
                None,
            ),
            "attach" => {
                let bytes = STANDARD
                    .decode(text("data"))
                    .map_err(|_| "`data` is not base64".to_owned())?;
                if bytes.len() > MAX_FILE {
                    return Err(format!("the file is larger than {MAX_FILE} bytes"));
                }
                let name = Some(text("name"))
                    .filter(|name| !name.is_empty())
                    .ok_or("`name` is missing")?;
                let mime = Some(text("mime"))
                    .filter(|mime| !mime.is_empty())
                    .unwrap_or("application/octet-stream");
                let file = self.keep_file(now, name, "/notes", "HIDDEN_PRIVATE", mime, bytes);
                let body = if act["internal"] == json!(true) {
                    html(text("text"))
                } else {
                    format!("{prefix} {}", html(text("text")))
                };
                self.write(now, act, &body, Some(file))
            }
            "stage" | "close" => {
                let ticket = self.meant(act)?;
                let pipeline = self.store.objects[&(Kind::Ticket, ticket)]
                    .get("hs_pipeline")
                    .unwrap_or("0")
                    .to_owned();
                let stages = PIPELINES
                    .iter()
                    .find(|known| known.id == pipeline)
                    .map_or(&[][..], |known| known.stages);
                let wanted = text("stage");
                let stage = match text("act") {
                    "close" => stages.iter().find(|stage| !stage.2),
                    _ => stages
                        .iter()
                        .find(|stage| stage.0 == wanted || stage.1.eq_ignore_ascii_case(wanted)),
                };
                let stage = stage
                    .ok_or_else(|| format!("pipeline {pipeline} has no such stage"))?
                    .0;
                Ok(self.edit(now, ticket, "hs_pipeline_stage", stage))
            }
            "owner" => {
                let ticket = self.meant(act)?;
                let wanted = text("owner");
                let owner = OWNERS
                    .iter()
                    .find(|owner| owner.0 == wanted || owner.4 == wanted)
                    .map_or("", |owner| owner.0);
                if owner.is_empty() && !wanted.is_empty() {
                    return Err(format!("there is no owner {wanted}"));
                }
                Ok(self.edit(now, ticket, "hubspot_owner_id", owner))
            }
            "property" if act["definition"].is_object() => {
                let kind = Kind::parse(text("of"))
                    .ok_or("`of` is contacts, tickets, notes or communications")?;
                match self.add_property(kind, &act["definition"]) {
                    Ok(answer) => Ok(serde_json::from_slice(&answer.body).unwrap_or_default()),
                    Err(answer) => Err(String::from_utf8_lossy(&answer.body).into_owned()),
                }
            }
            "set" => {
                let ticket = self.meant(act)?;
                let (name, value) = (text("property"), text("value"));
                let wanted = json!({name: value});
                self.checked(Kind::Ticket, &wanted, Some(ticket))
                    .map_err(|answer| String::from_utf8_lossy(&answer.body).into_owned())?;
                Ok(self.edit(now, ticket, name, value))
            }
            "delete" => {
                let ticket = self.meant(act)?;
                self.archive(now, Kind::Ticket, ticket, By::Rep);
                Ok(json!({"ticket": ticket.to_string()}))
            }
            "restore" => {
                let ticket: u64 = text("ticket")
                    .parse()
                    .map_err(|_| "`ticket` is missing".to_owned())?;
                let object = self
                    .store
                    .objects
                    .get_mut(&(Kind::Ticket, ticket))
                    .ok_or("there is no such ticket")?;
                object.archived = false;
                object.updated = now;
                self.hooks.push(
                    now,
                    "object.restore",
                    ticket,
                    json!({"objectTypeId": "0-5", "changeSource": "CRM_UI"}),
                );
                Ok(json!({"ticket": ticket.to_string()}))
            }
            "contact" => {
                let properties = self
                    .checked(Kind::Contact, &act["properties"], None)
                    .map_err(|answer| String::from_utf8_lossy(&answer.body).into_owned())?;
                let id = self.store.create(now, Kind::Contact, properties, By::Rep);
                self.created(now, Kind::Contact, id, By::Rep);
                Ok(json!({"contact": id.to_string()}))
            }
            "delete_contact" => {
                let contact = self.known(Kind::Contact, text("contact"))?;
                self.archive(now, Kind::Contact, contact, By::Rep);
                Ok(json!({"contact": contact.to_string()}))
            }
            "merge_contact" => self.merge(now, Kind::Contact, act),
            "merge_ticket" => self.merge(now, Kind::Ticket, act),
            "thread" => {
                let ticket = self.meant(act)?;
                let id = 11_178_480_985 + self.threads.len() as u64;
                let thread = Thread {
                    id,
                    ticket,
                    status: "OPEN",
                    assigned: None,
                    created: now,
                    messages: Vec::new(),
                };
                self.threads.insert(id, thread);
                self.edit(
                    now,
                    ticket,
                    "hs_conversations_originating_thread_id",
                    &id.to_string(),
                );
                Ok(json!({"thread": id.to_string()}))
            }
            other => Err(format!(
                "`{other}` is none of: note, reply, attach, stage, close, owner, set, delete, restore, contact, delete_contact, merge_contact, merge_ticket, thread, property"
            )),
        }
    }

    fn known(&self, kind: Kind, id: &str) -> Result<u64, String> {
        self.find(kind, id, None, false)
            .map_err(|_| format!("there is no {} {id}", kind.singular()))
    }

    /// The ticket that an act means: the one it names, else the newest.
    fn meant(&self, act: &Value) -> Result<u64, String> {
        match act["ticket"].as_str() {
            Some(id) => self.known(Kind::Ticket, id),
            None => {
                let newest = self.store.of(Kind::Ticket).rfind(|ticket| !ticket.archived);
                newest
                    .map(|ticket| ticket.id)
                    .ok_or_else(|| "there is no ticket".to_owned())
            }
        }
    }

    /// A note, as HubSpot's editor writes it.
    fn write(&mut self, now: Timestamp, act: &Value, body: &str, file: Option<u64>) -> Done {
        let ticket = self.meant(act)?;
        let mut properties = BTreeMap::from([
            ("hs_timestamp".to_owned(), iso(now)),
            (
                "hs_note_body".to_owned(),
                format!("<div style=\"\" dir=\"auto\">{body}</div>"),
            ),
            ("hubspot_owner_id".to_owned(), OWNERS[0].0.to_owned()),
            ("hs_created_by_user_id".to_owned(), OWNERS[0].1.to_string()),
        ]);
        if let Some(file) = file {
            properties.insert("hs_attachment_ids".to_owned(), file.to_string());
        }
        let id = self.store.create(now, Kind::Note, properties, By::Rep);
        self.store.link((Kind::Note, id), (Kind::Ticket, ticket));
        for other in act["also"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            let other = self.known(Kind::Ticket, other)?;
            self.store.link((Kind::Note, id), (Kind::Ticket, other));
        }
        for contact in self.store.linked((Kind::Ticket, ticket), Kind::Contact) {
            self.store.link((Kind::Note, id), (Kind::Contact, contact));
        }
        self.created(now, Kind::Note, id, By::Rep);
        Ok(json!({"note": id.to_string(), "ticket": ticket.to_string()}))
    }

    fn edit(&mut self, now: Timestamp, ticket: u64, name: &str, value: &str) -> Value {
        let change = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        self.change(now, Kind::Ticket, ticket, change, By::Rep);
        json!({"ticket": ticket.to_string(), name: value})
    }

    fn merge(&mut self, now: Timestamp, kind: Kind, act: &Value) -> Done {
        let from = self.known(kind, act["from"].as_str().unwrap_or_default())?;
        let into = self.known(kind, act["into"].as_str().unwrap_or_default())?;
        if from == into {
            return Err("`from` and `into` are the same".to_owned());
        }
        let new_id = act["new_id"] == json!(true);
        let left = self.merged(now, kind, (from, into), new_id, By::Rep);
        let left = left.ok_or("the record is gone")?;
        Ok(json!({"into": left.to_string()}))
    }

    /// Merges a record into another; gives back the one that is left.
    pub(super) fn merged(
        &mut self,
        now: Timestamp,
        kind: Kind,
        (from, into): (u64, u64),
        new_id: bool,
        by: By,
    ) -> Option<u64> {
        let left = match new_id {
            true => self.store.successor(now, kind, into)?,
            false => into,
        };
        for gone in [from, into] {
            if gone != left {
                self.store.merge(now, kind, gone, left);
            }
        }
        let event = json!({
            "objectTypeId": kind.type_id(), "changeSource": by.source(), "primaryObjectId": into, "mergedObjectIds": [from],
            "newObjectId": left, "numberOfPropertiesMoved": 0,
        });
        self.hooks.push(now, "object.merge", left, event);
        Some(left)
    }
}
