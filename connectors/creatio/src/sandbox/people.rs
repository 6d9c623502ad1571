//! What a rep sees on the site, and what a rep does there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Site;
use super::fault::Fault;
use super::seed::{NOT_STARTED, person};
use super::store::Row;
use crate::standard::{CALL, CASE_SCHEMA, COMPLETED, FILE, LINK, TASK, ZERO};

impl Site {
    /// Cases as their page shows them, and contacts.
    pub(super) fn seen(&self) -> Value {
        let mut cases: Vec<&Row> = self.store.all("Case").collect();
        cases.sort_by_key(|case| case.text("Number"));
        let contacts = self
            .store
            .all("Contact")
            .filter(|c| c.text("TypeId") != "60733efc-f36b-1410-a883-16d83cab0980");
        json!({
            "audience": "the team; Creatio itself shows none of this to the customer",
            "cases": cases.into_iter().map(|case| self.case_page(case)).collect::<Vec<_>>(),
            "contacts": contacts.map(|contact| self.contact_page(contact)).collect::<Vec<_>>(),
        })
    }

    fn name(&self, entity: &str, id: &str) -> Value {
        match self.store.get(entity, id) {
            Some(row) => row.text("Name").into(),
            None => Value::Null,
        }
    }

    fn case_page(&self, case: &Row) -> Value {
        let id = case.text("Id");
        let own = |column: &str| {
            case.0
                .iter()
                .any(|(name, value)| name == column && !value.is_null())
        };
        let fields: Map<String, Value> = case
            .0
            .iter()
            .filter(|(name, _)| name.starts_with("Usr") && own(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut timeline = self.store.of("Activity", "CaseId", id);
        // Nothing is promised about activities of the same moment; the id stands for chance.
        timeline.sort_by_cached_key(|activity| {
            let start = activity.text("StartDate").parse::<Timestamp>();
            (
                start.unwrap_or(Timestamp::UNIX_EPOCH),
                activity.text("Id").to_owned(),
            )
        });
        json!({
            "id": id,
            "number": case.text("Number"),
            "subject": case.text("Subject"),
            "description_html": case.text("Symptoms"),
            "status": self.name("CaseStatus", case.text("StatusId")),
            "priority": self.name("CasePriority", case.text("PriorityId")),
            "satisfaction": self.name("SatisfactionLevel", case.text("SatisfactionLevelId")),
            "origin": self.name("CaseOrigin", case.text("OriginId")),
            "owner": self.name("Contact", case.text("OwnerId")),
            "group": self.name("SysAdminUnit", case.text("GroupId")),
            "contact": self.name("Contact", case.text("ContactId")),
            "contact_id": case.text("ContactId"),
            "fields": fields,
            "timeline": timeline.into_iter().map(|activity| self.tile(activity)).collect::<Vec<_>>(),
            "attachments": self.store.of("CaseFile", "CaseId", id).into_iter().map(|file| self.file_line(file)).collect::<Vec<_>>(),
            "feed": self.store.of("SocialMessage", "EntityId", id).into_iter().map(|post| json!({
                "id": post.text("Id"), "by": self.name("Contact", post.text("CreatedById")), "text": post.text("Message"), "audience": "internal" })).collect::<Vec<_>>(),
        })
    }

    /// A tile of the timeline: title, status and details; the author is the owner.
    fn tile(&self, activity: &Row) -> Value {
        let id = activity.text("Id");
        let files: Vec<Value> = self
            .store
            .of("ActivityFile", "ActivityId", id)
            .into_iter()
            .map(|file| self.file_line(file))
            .collect();
        let mut tile = json!({
            "id": id,
            "at": activity.text("StartDate"),
            "title": activity.text("Title"),
            "text": activity.text("DetailedResult"),
            "type": self.name("ActivityType", activity.text("TypeId")),
            "status": self.name("ActivityStatus", activity.text("StatusId")),
            "by": self.name("Contact", activity.text("CreatedById")),
            "in_calendar": activity.flag("ShowInScheduler"),
            "audience": "internal",
        });
        if !files.is_empty() {
            tile["files"] = files.into();
        }
        tile
    }

    fn file_line(&self, file: &Row) -> Value {
        let id = file.text("Id");
        let kind = match file.text("TypeId") {
            FILE => "file",
            LINK => "link",
            _ => "other",
        };
        let mut line = json!({ "id": id, "name": file.text("Name"), "kind": kind });
        if let Some((size, print)) = self.files.about(id) {
            line["size"] = size.into();
            line["sha256"] = print.into();
        }
        line
    }

    fn contact_page(&self, contact: &Row) -> Value {
        let id = contact.text("Id");
        let options: Vec<Value> = self
            .store
            .of("ContactCommunication", "ContactId", id)
            .into_iter()
            .map(|option| json!({ "type": self.name("CommunicationType", option.text("CommunicationTypeId")), "number": option.text("Number") }))
            .collect();
        json!({ "id": id, "name": contact.text("Name"), "mobile_phone": contact.text("MobilePhone"),
            "type": self.name("ContactType", contact.text("TypeId")), "communication_options": options })
    }

    /// A rep's act; the README has the table.
    pub(super) fn acted(&mut self, now: Timestamp, act: &Value) -> Result<Value, String> {
        let text = |key: &str| {
            act.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let rep = person(if text("rep").is_empty() {
            "Rosa Rep"
        } else {
            act["rep"].as_str().unwrap_or_default()
        });
        if self.store.get("Contact", &rep).is_none() {
            return Err("there is no such rep; there are Rosa Rep, Sam Support, Supervisor".into());
        }
        match text("act").as_str() {
            "reply" => {
                let case = self.case_of(act)?;
                let marked = format!("{} {}", self.reply_prefix, text("text"));
                self.task(now, &rep, act, &case, marked.trim())
            }
            "task" => {
                let case = self.case_of(act)?;
                self.task(now, &rep, act, &case, &text("text"))
            }
            "complete" => {
                let activity = text("activity").to_ascii_lowercase();
                let before = self.store.get("Activity", &activity).cloned();
                let mut columns = Map::from_iter([("StatusId".to_owned(), json!(COMPLETED))]);
                if act.get("text").is_some() {
                    columns.insert("DetailedResult".into(), text("text").into());
                }
                self.store.update(now, &rep, "Activity", &activity, &columns).map_err(|fault| words(&fault))?;
                self.signal(now, "Activity", &activity, before.as_ref());
                Ok(json!({ "activity": activity }))
            }
            "note" => {
                let case = self.case_of(act)?;
                let row = json!({ "EntitySchemaUId": CASE_SCHEMA, "EntityId": case, "Message": text("text") });
                let id = self.save(now, &rep, "SocialMessage", row)?;
                Ok(json!({ "post": id, "case": case }))
            }
            "attach" => {
                let activity = text("activity").to_ascii_lowercase();
                self.store.get("Activity", &activity).ok_or("attach takes the id of an activity")?;
                let bytes = STANDARD.decode(text("base64")).map_err(|_| "base64 is not valid")?;
                if bytes.len() as u64 > self.files.max {
                    return Err("the file exceeds MaxFileSize".into());
                }
                let name = if text("name").is_empty() { "file.bin".to_owned() } else { text("name") };
                let id = self.save(now, &rep, "ActivityFile", json!({ "Name": name, "ActivityId": activity, "Size": bytes.len() }))?;
                self.files.put(&id, bytes);
                Ok(json!({ "file": id }))
            }
            "resolve" => self.change(now, &rep, act, json!({ "StatusId": "ae7f411e-f46b-1410-009b-0050ba5d6c38" })),
            "close" => self.change(now, &rep, act, json!({ "StatusId": "3e7f420c-f46b-1410-fc9a-0050ba5d6c38" })),
            "reopen" => self.change(now, &rep, act, json!({ "StatusId": "f063ebbe-fdc6-4982-8431-d8cfa52fedcf" })),
            "transfer" => {
                let to = person(&text("to"));
                self.store.get("Contact", &to).ok_or("transfer takes `to`: Rosa Rep, Sam Support or Supervisor")?;
                self.change(now, &rep, act, json!({ "OwnerId": to }))
            }
            "set" => {
                let column = text("column");
                self.change(now, &rep, act, json!({ column.as_str(): act["value"] }))
            }
            "contact" => {
                let row = json!({ "Name": text("name"), "MobilePhone": text("phone"), "Email": text("email"), "TypeId": crate::standard::CUSTOMER });
                let id = self.save(now, &rep, "Contact", row)?;
                Ok(json!({ "contact": id }))
            }
            "case" => {
                let id = self.save(now, &rep, "Case", json!({ "Subject": text("subject"), "ContactId": text("contact") }))?;
                Ok(json!({ "case": id }))
            }
            "merge" => {
                let (from, into) = (text("contact"), text("into"));
                self.store.merge("Contact", &from, &into).map_err(|fault| words(&fault))?;
                Ok(json!({ "contact": into }))
            }
            "delete" => {
                let (entity, id) = (text("entity"), text("id"));
                self.store.delete(&entity, &id).map_err(|fault| words(&fault))?;
                Ok(json!({}))
            }
            _ => Err("acts are: reply, task, complete, note, attach, resolve, close, reopen, transfer, set, contact, case, merge, delete".into()),
        }
    }

    /// An activity that a rep adds to a case; a draft is one that is not completed.
    fn task(
        &mut self,
        now: Timestamp,
        rep: &str,
        act: &Value,
        case: &str,
        details: &str,
    ) -> Result<Value, String> {
        let said = |key: &str| act.get(key).and_then(Value::as_str).unwrap_or_default();
        let title = match said("title") {
            "" => said("text").chars().take(100).collect(),
            title => title.to_owned(),
        };
        let kind = if said("type") == "call" { CALL } else { TASK };
        let status = match act.get("draft") {
            Some(Value::Bool(true)) => NOT_STARTED,
            _ => COMPLETED,
        };
        let row = json!({ "Title": title, "DetailedResult": details, "CaseId": case, "TypeId": kind, "StatusId": status, "OwnerId": rep });
        let id = self.save(now, rep, "Activity", row)?;
        Ok(json!({ "activity": id, "case": case }))
    }

    /// The case of an act: by id or number, else the latest.
    fn case_of(&self, act: &Value) -> Result<String, String> {
        let wanted = act.get("case").and_then(Value::as_str).unwrap_or_default();
        let found = match wanted {
            "" | "latest" => self
                .store
                .all("Case")
                .max_by_key(|case| case.text("Number").to_owned()),
            wanted => self.store.all("Case").find(|case| {
                case.text("Id") == wanted.to_ascii_lowercase() || case.text("Number") == wanted
            }),
        };
        found
            .map(|case| case.text("Id").to_owned())
            .ok_or_else(|| "there is no such case".to_owned())
    }

    fn save(
        &mut self,
        now: Timestamp,
        rep: &str,
        entity: &str,
        row: Value,
    ) -> Result<String, String> {
        let mut row = row.as_object().cloned().unwrap_or_default();
        row.retain(|_, value| {
            value
                .as_str()
                .is_none_or(|text| !text.is_empty() && text != ZERO)
        });
        let id = self
            .store
            .insert(now, rep, entity, &row)
            .map_err(|fault| words(&fault))?;
        self.signal(now, entity, &id, None);
        Ok(id)
    }

    fn change(
        &mut self,
        now: Timestamp,
        rep: &str,
        act: &Value,
        columns: Value,
    ) -> Result<Value, String> {
        let case = self.case_of(act)?;
        let before = self.store.get("Case", &case).cloned();
        let columns = columns.as_object().cloned().unwrap_or_default();
        self.store
            .update(now, rep, "Case", &case, &columns)
            .map_err(|fault| words(&fault))?;
        self.signal(now, "Case", &case, before.as_ref());
        Ok(json!({ "case": case }))
    }
}

fn words(fault: &Fault) -> String {
    crate::errors::words(Some(&fault.body), "refused")
}
