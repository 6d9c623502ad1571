//! What reps see in the record of one conversation, and the customer on the phone.

use serde_json::{Value, json};

use super::faults::{Broken, Fault};
use crate::sandbox::Running;

/// The most lines of a record or a phone that are shown: the newest.
const MAX_LINES: usize = 60;

/// The address of a session at the assistant's.
pub(super) fn session_url(session: &str) -> String {
    format!("https://assistant.example.com/sessions/{session}")
}

/// The phone of a customer.
pub(super) fn phone(running: &Running, customer: &str) -> Value {
    let view = running.target("whatsapp").map(|served| served.view());
    let view = view.unwrap_or_default();
    let phone = &view["phones"][customer];
    let lines = newest(list(phone, "conversation").map(|entry| {
        let text = match (text(entry, "text"), text(entry, "caption")) {
            ("", caption) => caption,
            (text, _) => text,
        };
        json!({
            "is_customer": text_is(entry, "from", "customer"),
            "text": text,
            "file": entry["file_name"],
            "status": entry["status"],
        })
    }));
    json!({"lines": lines, "window_until": phone["window_open_until"]})
}

/// The records of a session in every CRM.
pub(super) fn of(running: &Running, session: &str, broken: &Broken) -> Vec<Value> {
    let targets = ["salesforce", "hubspot", "creatio"];
    let of = targets.map(|target| {
        let served = running.target(target);
        let view = served.map(|served| served.view()).unwrap_or_default();
        let is_down = target == "hubspot" && broken.is(Fault::HubspotDown);
        let shown = find(target, &view, session).map(|record| match target {
            "salesforce" => salesforce(record),
            "hubspot" => hubspot(record),
            _ => creatio(record),
        });
        let is_there = shown.is_some();
        let mut record = shown
            .unwrap_or_else(|| json!({"number": null, "state": null, "fields": [], "lines": []}));
        record["target"] = target.into();
        record["is_there"] = is_there.into();
        record["is_down"] = is_down.into();
        record
    });
    of.into()
}

/// By which member an act names the record, and its value.
pub(super) fn key(target: &str, view: &Value, session: &str) -> Option<(&'static str, Value)> {
    let record = find(target, view, session)?;
    Some(match target {
        "salesforce" => ("session", session.into()),
        "hubspot" => ("ticket", record["id"].clone()),
        _ => ("case", record["number"].clone()),
    })
}

/// The newest record of a session.
fn find<'a>(target: &str, view: &'a Value, session: &str) -> Option<&'a Value> {
    let is_of = |record: &&Value| match target {
        "salesforce" => record["routing attributes"]["OpencxSessionId"] == session,
        "hubspot" => record["properties"]["wa_session_id"] == session,
        _ => list(record, "attachments").any(|one| text(one, "name") == session_url(session)),
    };
    let name = match target {
        "salesforce" => "conversations",
        "hubspot" => "tickets",
        _ => "cases",
    };
    list(view, name).filter(is_of).last()
}

fn salesforce(record: &Value) -> Value {
    let attributes = &record["routing attributes"];
    let lines = list(record, "thread").map(|entry| {
        let who = match text(entry, "from") {
            "EndUser" => "customer",
            "Supervisor" => "internal",
            "Agent" => "rep",
            _ => "system",
        };
        let said = match text(entry, "text") {
            "" => text(entry, "event"),
            said => said,
        };
        line(entry, who, said, &entry["file"]["name"])
    });
    json!({
        "number": list(record, "sessions").last().map(|session| session["id"].clone()),
        "state": list(record, "sessions").last().map(|session| session["status"].clone()),
        "fields": fields(attributes, &[("_subject", "Subject"), ("priority", "Priority"), ("language", "Language")]),
        "lines": newest(lines),
    })
}

fn hubspot(record: &Value) -> Value {
    let lines = list(record, "timeline").map(|note| {
        let said = text(note, "text");
        let who = match (text(note, "by"), said.trim_start().starts_with("/wa")) {
            ("app", _) => "handoffd",
            (_, true) => "rep",
            (_, false) => "internal",
        };
        line(note, who, said, &note["files"][0]["name"])
    });
    json!({
        "number": record["id"],
        "state": record["stage"],
        "fields": fields(record, &[("subject", "Ticket"), ("priority", "Priority"), ("contacts", "Contact")]),
        "lines": newest(lines),
    })
}

fn creatio(record: &Value) -> Value {
    let activities = list(record, "timeline").map(|activity| {
        let who = match (text(activity, "by"), text(activity, "title")) {
            (by, _) if by.contains("Rep") => "rep",
            (_, title) if title.starts_with("Customer") => "customer",
            _ => "handoffd",
        };
        let said = text(activity, "text");
        line(activity, who, said, &activity["files"][0]["name"])
    });
    let feed =
        list(record, "feed").map(|post| line(post, "internal", text(post, "text"), &Value::Null));
    json!({
        "number": record["number"],
        "state": record["status"],
        "fields": fields(record, &[("subject", "Subject"), ("priority", "Priority"), ("owner", "Owner"), ("group", "Group")]),
        "lines": newest(activities.chain(feed)),
    })
}

/// One line of a record.
fn line(entry: &Value, who: &str, said: &str, file: &Value) -> Value {
    let at = ["at", "time"].iter().find_map(|name| entry[*name].as_str());
    json!({"who": who, "text": said, "at": at, "file": file})
}

/// The members that are there, with the names that reps know them by.
fn fields(record: &Value, named: &[(&str, &str)]) -> Vec<Value> {
    let shown = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(items) => items.first()?.as_str().map(str::to_owned),
        _ => None,
    };
    let named = named.iter();
    named
        .filter_map(|(member, name)| Some(json!({"name": name, "value": shown(&record[*member])?})))
        .collect()
}

fn newest(lines: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut lines: Vec<Value> = lines.collect();
    lines.drain(..lines.len().saturating_sub(MAX_LINES));
    lines
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[name].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn text_is(value: &Value, name: &str, is: &str) -> bool {
    text(value, name) == is
}
