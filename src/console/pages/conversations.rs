//! Conversations: found, listed, and filtered; the address holds the whole of what is asked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::problems::said;
use crate::console::{Answer, Console, Failure, Visit};

/// What an address of the list may say, beside where a page begins.
const FILTERS: [&str; 7] = [
    "q",
    "controller",
    "target",
    "state",
    "window",
    "number",
    "since",
];

/// The views: the text's key, what they filter by, and which count stands beside them.
const VIEWS: [(&str, &str, &str, &str); 5] = [
    ("conversations.all", "", "", "all"),
    (
        "conversations.needs_person",
        "state",
        "parked",
        "needs_person",
    ),
    ("conversations.waiting", "controller", "queued", "waiting"),
    ("conversations.closing", "window", "closing", "closing"),
    ("conversations.held", "state", "held", "held"),
];

/// What may be chosen of one filter: the word, and the text's key.
type Options = &'static [(&'static str, &'static str)];

/// The filters with their text's key and what may be chosen.
const CHOICES: [(&str, &str, Options); 4] = [
    (
        "controller",
        "conversations.in_charge",
        &[
            ("assistant", "charge.assistant"),
            ("queued", "charge.queued"),
            ("rep", "charge.rep"),
            ("returned", "charge.returned"),
            ("closed", "charge.closed"),
        ],
    ),
    (
        "state",
        "conversations.state",
        &[
            ("parked", "stands.parked"),
            ("unknown", "stands.unknown"),
            ("held", "stands.held"),
            ("trying", "stands.trying"),
            ("well", "stands.well"),
        ],
    ),
    (
        "window",
        "conversations.window",
        &[
            ("open", "window.open"),
            ("closing", "window.closing"),
            ("closed", "window.closed"),
        ],
    ),
    (
        "since",
        "conversations.last",
        &[
            ("1h", "conversations.hour"),
            ("24h", "conversations.day"),
            ("7d", "conversations.week"),
            ("30d", "conversations.month"),
        ],
    ),
];

/// The list.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let asked = asked(&visit);
    let found = console
        .api()
        .get(&visit, &format!("/v1/sessions?{asked}"))
        .await;
    let (found, forgotten) = match found {
        Err(failure) if failure.status == 410 => (json!({"sessions": [], "counts": {}}), true),
        other => (other?, false),
    };
    let rows = found["sessions"].as_array().cloned().unwrap_or_default();
    let seen: i64 = visit
        .asked("seen")
        .and_then(|seen| seen.parse().ok())
        .unwrap_or(i64::MAX);
    let newer = rows
        .iter()
        .filter(|row| row["seq"].as_i64().is_some_and(|seq| seq > seen))
        .count();
    let filters = FILTERS
        .iter()
        .filter(|name| visit.asked(name).is_some())
        .count();
    let newest = rows.first().and_then(|row| row["seq"].as_i64());
    let value = json!({
        "counts": found["counts"], "forgotten": forgotten, "newer": newer,
        "seen": newest.filter(|_| visit.asked("after").is_none()),
        "rows": rows.iter().map(|row| console.conversation_row(row)).collect::<Vec<_>>(),
        "views": views(&visit, &found["counts"]), "filters": choices(&console, &visit), "set": filters,
        "kept": kept(&visit), "number": visit.asked("number"), "here": visit.address(),
        "older": found["next"].as_i64().map(|next| with(&visit, "after", &next.to_string())),
        "is_first": visit.asked("after").is_none(), "first": without(&visit, "after"),
        "looked_back_to": found.get("looked_back_to"),
    });
    console.page(&visit, "conversations.html", value).await
}

/// What the address says, as the API takes it.
fn asked(visit: &Visit) -> String {
    let mut query = Serializer::new(String::new());
    for name in FILTERS.iter().chain(&["after"]) {
        if let Some(value) = visit.asked(name) {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// Finds what somebody looks for: one opens, several are listed.
pub(super) async fn search(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let Some(text) = visit.field("q") else {
        return Ok(Redirect::to("/conversations").into_response());
    };
    let found = console
        .api()
        .post(&visit, "/v1/search", &json!({"q": text}))
        .await?;
    let keys = found["keys"].as_array().cloned().unwrap_or_default();
    let to = match (keys.as_slice(), found["q"].as_str()) {
        ([one], _) => format!(
            "/conversations/{}",
            segment(one.as_str().unwrap_or_default())
        ),
        (_, Some(q)) => format!(
            "/conversations?{}",
            Serializer::new(String::new()).append_pair("q", q).finish()
        ),
        (_, None) => return Err(Failure::not_found()),
    };
    Ok(Redirect::to(&to).into_response())
}

/// A text as one segment of an address.
pub(super) fn segment(text: &str) -> String {
    let coded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    coded.replace('+', "%20")
}

/// The address of the list with something else under this name, from its beginning.
fn with(visit: &Visit, name: &str, value: &str) -> String {
    let mut query = Serializer::new(String::new());
    for kept in FILTERS.iter().filter(|kept| **kept != name) {
        if let Some(value) = visit.asked(kept) {
            query.append_pair(kept, value);
        }
    }
    if !value.is_empty() {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => "/conversations".to_owned(),
        query => format!("/conversations?{query}"),
    }
}

fn without(visit: &Visit, name: &str) -> String {
    with(visit, name, "")
}

/// What a form that changes one filter keeps of the others.
fn kept(visit: &Visit) -> Vec<Value> {
    let named = ["q", "number"].into_iter();
    named
        .filter_map(|name| {
            visit
                .asked(name)
                .map(|value| json!({"name": name, "value": value}))
        })
        .collect()
}

fn views(visit: &Visit, counts: &Value) -> Vec<Value> {
    let is = |name: &str, value: &str| {
        if name.is_empty() {
            return ["state", "controller", "window"]
                .iter()
                .all(|name| visit.asked(name).is_none());
        }
        visit.asked(name) == Some(value)
    };
    let each = VIEWS.iter().map(|(key, name, value, counted)| {
        let href = if name.is_empty() {
            "/conversations".to_owned()
        } else {
            format!("/conversations?{name}={value}")
        };
        let count = &counts[*counted];
        json!({
            "key": key, "href": href, "is_here": is(name, value), "count": count["n"].as_i64(),
            "about": count["about"].as_bool().unwrap_or(false), "bad": *counted == "needs_person",
        })
    });
    each.collect()
}

fn choices(console: &Console, visit: &Visit) -> Vec<Value> {
    let option = |value: &str, chosen: Option<&str>| json!({"value": value, "is_chosen": chosen == Some(value)});
    let mut all: Vec<Value> = CHOICES
        .iter()
        .map(|(name, key, options)| {
            let chosen = visit.asked(name);
            let options = options.iter().map(|(value, text)| {
                let mut one = option(value, chosen);
                one["key"] = json!(text);
                one["text"] = Value::Null;
                one
            });
            json!({"name": name, "key": key, "is_set": chosen.is_some(), "options": options.collect::<Vec<_>>()})
        })
        .collect();
    let chosen = visit.asked("target");
    let targets = console.targets().map(|target| {
        let mut one = option(target, chosen);
        one["key"] = Value::Null;
        one["text"] = json!(target);
        one
    });
    all.insert(
        1,
        json!({"name": "target", "key": "conversations.target", "is_set": chosen.is_some(), "options": targets.collect::<Vec<_>>()}),
    );
    all
}

/// How something stands: its shape and colour.
pub(super) fn shape(state: &str) -> (&'static str, &'static str) {
    match state {
        "parked" => ("parked", "bad"),
        "unknown" => ("unsure", "unsure"),
        "trying" | "due" => ("clock", "wait"),
        "held" => ("clock", "wait"),
        "off" => ("off", "off"),
        _ => ("ok", "ok"),
    }
}

impl Console {
    /// A conversation as a row.
    fn conversation_row(&self, row: &Value) -> Value {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let state = text("state");
        let (icon, tone) = shape(&state);
        let lanes = row["lanes"].as_array().cloned().unwrap_or_default();
        let lanes: Vec<Value> = lanes
            .iter()
            .map(|lane| {
                let target = lane["target"].as_str().unwrap_or_default();
                let stands = match (lane["state"].as_str(), lane["reason"].as_str()) {
                    (Some("parked"), Some("unknown-outcome")) => "unknown",
                    (Some("parked"), _) => "parked",
                    (Some("held"), _) => "held",
                    (Some("due"), Some(_)) => "trying",
                    (Some("due"), None) => "due",
                    _ => "shown",
                };
                let (icon, tone) = shape(stands);
                json!({
                    "target": target, "kind": self.kind_of(target), "icon": icon, "tone": tone,
                    "key": format!("stands.{stands}"),
                })
            })
            .collect();
        let said_by = row["last"]["by"].as_str();
        json!({
            "key": text("key"), "session": text("session"), "name": text("name"),
            "phone": row.get("phone").and_then(Value::as_str),
            "charge": format!("charge.{}", text("controller")), "is_waiting": text("controller") == "queued",
            "is_people": matches!(text("controller").as_str(), "queued" | "rep"),
            "place": row.get("target").and_then(Value::as_str), "by": row.get("by").and_then(Value::as_str),
            "since": row["since"].as_str(), "lanes": lanes,
            "window": {
                "state": row["window"]["state"], "left": row["window"]["seconds_left"].as_i64().unwrap_or(0) * 1_000,
                "part": row["window"]["left_per_mille"].as_i64().unwrap_or(0) as f64 / 10.0,
                "closes_at": row["window"].get("closes_at").and_then(Value::as_str),
            },
            "said_by": said_by.map(|by| format!("said.{by}")), "said_at": row["last"]["at"].as_str(),
            "icon": icon, "tone": tone, "state": said(&format!("stands.{state}"), json!({})),
            "why": text("why"), "until": row.get("until").and_then(Value::as_str),
        })
    }
}
