//! Mappings: the list, one with its fields for a real handoff, its versions.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::field_rows::{open_field, rows};
use crate::access::Role;
use crate::console::{Answer, Console, Failure, Visit};

/// The most fields of the CRM in the list to choose from.
const MAX_ADDABLE: usize = 400;
/// Handoffs that can be chosen.
const HANDOFFS: usize = 50;

/// Every mapping.
pub(super) async fn list(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let found = console.api().get(&visit, "/v1/mappings").await?;
    let mappings = found["mappings"].as_array().cloned().unwrap_or_default();
    console
        .page(&visit, "mappings.html", json!({"mappings": mappings}))
        .await
}

/// One mapping.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Answer {
    console.mapping(&visit, &name, json!({})).await
}

/// Its versions, and what differs between two of them.
pub(super) async fn versions(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Answer {
    let path = format!("/v1/mappings/{name}");
    let view = console.api().get(&visit, &path).await?;
    let found = console
        .api()
        .get(&visit, &format!("{path}/versions"))
        .await?;
    let newest = found["versions"][0]["version"].as_i64().unwrap_or(1);
    let number = |key: &str, other: i64| {
        let asked = visit
            .asked(key)
            .and_then(|number| number.parse::<i64>().ok());
        asked.unwrap_or(other).max(1)
    };
    let (from, to) = (number("from", (newest - 1).max(1)), number("to", newest));
    let differences = console
        .api()
        .get(&visit, &format!("{path}/versions/{from}...{to}"))
        .await?;
    let value = json!({
        "target": name, "kind": view["kind"], "version": view["version"], "revision": revision(&view),
        "versions": found["versions"], "from": from, "to": to, "fields": changes(&differences["fields"]),
    });
    console.page(&visit, "mapping_versions.html", value).await
}

/// The revision of the draft; 0 where there is none.
pub(super) fn revision(view: &Value) -> i64 {
    view["draft"]["revision"].as_i64().unwrap_or(0)
}

/// Differences by field, each key on a line of its own.
pub(super) fn changes(fields: &Value) -> Vec<Value> {
    let list = fields.as_array().into_iter().flatten();
    list.map(|one| {
        json!({"field": one["field"], "before": keys(&one["before"]), "after": keys(&one["after"])})
    })
    .collect()
}

/// A field's keys as lines; nothing where there is no such field.
fn keys(keys: &Value) -> Value {
    let Some(keys) = keys.as_object() else {
        return Value::Null;
    };
    let lines = keys.iter().map(|(key, value)| format!("{key} = {value}"));
    lines.collect::<Vec<_>>().join("\n").into()
}

impl Console {
    /// A mapping's page: the handoff, the fields, and what the CRM gets.
    pub(super) async fn mapping(&self, visit: &Visit, name: &str, more: Value) -> Answer {
        let path = format!("/v1/mappings/{name}");
        let api = self.api();
        let view = api.get(visit, &path).await?;
        let handoffs = api
            .get(
                visit,
                &format!("/v1/handoffs?target={name}&limit={HANDOFFS}"),
            )
            .await?;
        let event = chosen(visit, &handoffs)?;
        let asked = json!({"event": event});
        let seen = api.post(visit, &format!("{path}/preview"), &asked).await?;
        let query = event.map_or(String::new(), |event| format!("?event={event}"));
        let sources = api.get(visit, &format!("{path}/sources{query}")).await?;
        let schema = api
            .get(visit, &format!("/v1/targets/{name}/schema"))
            .await?;
        let tests = api.get(visit, &format!("{path}/tests")).await?;
        // A parked handoff opens the field of which the CRM complained.
        let complained = handoffs["handoffs"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["event"].as_i64() == event && one["state"] == "parked")
            .and_then(|one| one["field"].as_str());
        let field = visit.asked("field").or(complained).unwrap_or_default();
        let mut open = open_field(&view, &seen, &schema, field);
        if !open.is_null() {
            let source = open["source"].as_str().unwrap_or_default();
            if !source.is_empty() {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("source", source)
                    .append_pair("field", field)
                    .finish();
                let values = api.get(visit, &format!("{path}/values?{query}")).await;
                open["values"] = values.unwrap_or(Value::Null);
            }
        }
        let pane = visit.asked("pane").unwrap_or("gets");
        let compared = match pane {
            "last" => api
                .post(visit, &format!("{path}/compare"), &json!({}))
                .await
                .ok(),
            _ => None,
        };
        let dry = match (pane, &more["dry"]) {
            (_, dry) if !dry.is_null() => dry.clone(),
            ("dry", _) => api
                .post(visit, &format!("{path}/dry-run"), &asked)
                .await
                .unwrap_or(Value::Null),
            _ => Value::Null,
        };
        let needs = rows(&view, &seen, field);
        let value = json!({
            "target": name, "kind": view["kind"], "title": view["title"], "version": view["version"],
            "who": view["who"], "at": view["at"], "revision": revision(&view), "draft": view["draft"],
            "others": view["others"], "problems": seen["problems"], "sections": needs, "open": open,
            "needs": seen["needs_a_look"], "calls": seen["calls"], "stop": seen["stop"], "millis": seen["millis"],
            "handoffs": handoffs["handoffs"], "parked": handoffs["parked"], "event": event,
            "sources": groups(&sources), "of": sources["of"], "schema": schema_line(&schema), "pane": pane,
            "compared": compared, "dry": dry, "tests": {"all": tests["tests"].as_array().map_or(0, Vec::len), "failing": tests["failing"]},
            "may_edit": visit.may(Role::Admin), "done": visit.asked("done"), "error": more["error"],
            "addable": addable(&view, &schema), "address": address(name, event, field, pane),
        });
        self.page(visit, "mapping.html", value).await
    }
}

/// The handoff that is looked at: the one of the address, else the first of the list.
fn chosen(visit: &Visit, handoffs: &Value) -> Result<Option<i64>, Failure> {
    match visit.asked("event") {
        Some(event) => {
            let event = event.parse().map_err(|_| Failure::not_found())?;
            Ok(Some(event))
        }
        None => Ok(handoffs["handoffs"][0]["event"].as_i64()),
    }
}

/// The address of a mapping with a handoff, a field and a pane.
pub(super) fn address(name: &str, event: Option<i64>, field: &str, pane: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(event) = event {
        query.append_pair("event", &event.to_string());
    }
    if !field.is_empty() {
        query.append_pair("field", field);
    }
    if pane != "gets" {
        query.append_pair("pane", pane);
    }
    match query.finish() {
        query if query.is_empty() => format!("/mappings/{name}"),
        query => format!("/mappings/{name}?{query}"),
    }
}

/// Sources under the names at the top.
fn groups(sources: &Value) -> Vec<Value> {
    let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
    for source in sources["sources"].as_array().into_iter().flatten() {
        let path = source["path"].as_str().unwrap_or_default();
        let (top, name) = path.split_once('.').unwrap_or((path, path));
        let sample = match &source["sample"]["value"] {
            Value::Null => Value::Null,
            Value::String(text) => text.clone().into(),
            other => other.to_string().into(),
        };
        let one = json!({"path": path, "name": name, "sample": sample, "there": source["there"]});
        match groups.iter_mut().find(|(known, _)| known == top) {
            Some((_, list)) => list.push(one),
            None => groups.push((top.to_owned(), vec![one])),
        }
    }
    // What the assistant filled in is looked for most.
    groups.sort_by_key(|(top, _)| (top != "fields", top != "handoff", top != "contact"));
    let shown = groups
        .into_iter()
        .map(|(top, list)| json!({"name": top, "sources": list}));
    shown.collect()
}

/// When the schema was read, and what changed.
fn schema_line(schema: &Value) -> Value {
    json!({
        "possible": schema["possible"], "read_at": schema["read_at"], "changes": schema["changes"],
        "touched": schema["touched"], "gaps": schema["gaps"],
    })
}

/// The CRM's fields that the mapping does not fill, for the list to choose from.
fn addable(view: &Value, schema: &Value) -> Vec<Value> {
    let mapped: Vec<&str> = view["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|field| field["field"].as_str())
        .collect();
    let mut found = Vec::new();
    let sections = schema["schema"]["sections"].as_object();
    for (section, of) in sections.into_iter().flatten() {
        for (name, field) in of["fields"].as_object().into_iter().flatten() {
            let path = format!("{section}.{name}");
            if field["read_only"] != true
                && !mapped.contains(&path.as_str())
                && found.len() < MAX_ADDABLE
            {
                found.push(json!({"path": path, "label": field["label"]}));
            }
        }
    }
    found
}
