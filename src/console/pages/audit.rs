//! The audit log: who did what, when, and what was there before.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use crate::console::{Answer, Console, Visit};

/// A page of it.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let path = format!("/v1/audit?{}", asked(&visit, visit.asked("after")));
    let log = console.api().get(&visit, &path).await?;
    let entries: Vec<Value> = log["entries"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .map(shown)
        .collect();
    let next = log["next"].as_i64().map(|next| next.to_string());
    let next = next.map(|next| format!("?{}", asked(&visit, Some(&next))));
    let filters = ["who", "what"]
        .iter()
        .filter(|name| visit.asked(name).is_some());
    let value = json!({
        "entries": entries, "next": next, "who": visit.asked("who"), "what": visit.asked("what"),
        "filters": filters.count(), "is_first": visit.asked("after").is_none(),
    });
    console.page(&visit, "audit.html", value).await
}

/// The filters as an address has them, for what is older than an entry.
fn asked(visit: &Visit, after: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("who", visit.asked("who")),
        ("what", visit.asked("what")),
        ("after", after),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

fn shown(entry: &Value) -> Value {
    let pretty = |value: &Value| (!value.is_null()).then(|| format!("{value:#}"));
    let mut shown = entry.clone();
    shown["before"] = pretty(&entry["before"]).into();
    shown["after"] = pretty(&entry["after"]).into();
    shown["is_done"] = (entry["outcome"] == "done").into();
    shown
}
