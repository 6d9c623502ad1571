//! One conversation: what happened in it across gateway, handoffd, CRM and WhatsApp, and what to do next.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::conversations::{segment, shape};
use super::parked::done;
use crate::console::{Answer, Console, Visit};

/// Where the four rails stand, in units of the drawing.
const RAILS: [(&str, i32); 4] = [
    ("gateway", 9),
    ("handoffd", 37),
    ("crm", 65),
    ("whatsapp", 93),
];

/// How far an arrow's head is from its rail.
const HEAD: i32 = 6;

/// The conversation.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(key): Path<String>,
    visit: Visit,
) -> Answer {
    let path = path(&visit, &key);
    let story = console.api().get(&visit, &path).await?;
    let may_unmask = visit
        .person
        .as_ref()
        .is_some_and(|person| person.may_unmask);
    let entries = story["entries"].as_array().cloned().unwrap_or_default();
    let oldest_first = visit.asked("order") == Some("oldest");
    let value = json!({
        "session": story["session"], "key": story["key"], "name": story["name"],
        "phone": story.get("phone").and_then(Value::as_str),
        "number": story.get("business_number").and_then(Value::as_str), "url": web(story.get("url")),
        "unmasked_until": story.get("unmasked_until").and_then(Value::as_str), "may_unmask": may_unmask,
        "entries": console.entries(&entries), "oldest_first": oldest_first,
        "newest_href": address(&visit, &key, "order", ""), "oldest_href": address(&visit, &key, "order", "oldest"),
        "next": story["next"].as_i64().map(|next| address(&visit, &key, "after", &next.to_string())),
        "is_first": visit.asked("after").is_none(), "first": address(&visit, &key, "after", ""),
        "only": visit.asked("only"), "all_href": address(&visit, &key, "only", ""),
        "said_href": address(&visit, &key, "only", "messages"),
        "advice": console.advice(&story["advice"]), "beside": console.beside(&visit, &key, &story["beside"]),
        "here": visit.address(), "done": done(&visit),
    });
    console.page(&visit, "conversation.html", value).await
}

/// Where the API tells it.
fn path(visit: &Visit, key: &str) -> String {
    let mut query = Serializer::new(String::new());
    for name in ["after", "order", "only"] {
        if let Some(value) = visit.asked(name) {
            query.append_pair(name, value);
        }
    }
    format!("/v1/sessions/{}/timeline?{}", segment(key), query.finish())
}

/// Shows or hides names and texts.
pub(super) async fn unmask(
    State(console): State<Arc<Console>>,
    Path(key): Path<String>,
    visit: Visit,
) -> Answer {
    let path = format!("/v1/sessions/{}/unmask", segment(&key));
    if visit.field("act") == Some("mask") {
        console.api().delete(&visit, &path).await?;
    } else {
        let reason = visit.field("reason").unwrap_or_default();
        console
            .api()
            .post(&visit, &path, &json!({"reason": reason}))
            .await?;
    }
    Ok(Redirect::to(&format!("/conversations/{}", segment(&key))).into_response())
}

/// An address of the web, and nothing else.
fn web(url: Option<&Value>) -> Option<&str> {
    let url = url?.as_str()?;
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}

/// This page's address with something else under a name.
fn address(visit: &Visit, key: &str, name: &str, value: &str) -> String {
    let mut query = Serializer::new(String::new());
    for kept in ["order", "only"].iter().filter(|kept| **kept != name) {
        if let Some(value) = visit.asked(kept) {
            query.append_pair(kept, value);
        }
    }
    if !value.is_empty() {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => format!("/conversations/{}", segment(key)),
        query => format!("/conversations/{}?{query}", segment(key)),
    }
}

fn rail(place: Option<&str>) -> Option<i32> {
    let mut all = RAILS.iter();
    all.find_map(|(name, at)| (Some(*name) == place).then_some(*at))
}

/// The hop of an entry: from a dot to the head of an arrow.
fn hop(entry: &Value) -> Value {
    let from = rail(entry["from"].as_str()).unwrap_or(RAILS[1].1);
    let to = rail(entry.get("to").and_then(Value::as_str)).filter(|to| *to != from);
    let class = match entry["outcome"].as_str() {
        Some("failed") => "failed",
        Some("waiting") => "waiting",
        Some("unknown") => "unknown",
        _ => "",
    };
    let Some(to) = to else {
        return json!({"class": class, "from": from, "line": Value::Null, "head": Value::Null});
    };
    let side = if to > from { 1 } else { -1 };
    let end = to - side;
    json!({
        "class": class, "from": from, "line": format!("M{} 10H{}", from + 4 * side, end - (HEAD - 1) * side),
        "head": format!("M{} 6l{} 4l{} 4Z", end - HEAD * side, HEAD * side, -HEAD * side),
    })
}

fn millis_of(calls: &[Value]) -> i64 {
    calls
        .iter()
        .filter_map(|call| call["millis"].as_i64())
        .sum()
}

impl Console {
    /// The entries as the template reads them, with a line where a day begins.
    fn entries(&self, entries: &[Value]) -> Vec<Value> {
        let mut day = None;
        let each = entries.iter().map(|entry| {
            let at: Option<Timestamp> = entry["at"].as_str().and_then(|at| at.parse().ok());
            let date = at.map(|at| at.to_zoned(TimeZone::UTC).date());
            let begins = date != day;
            day = date;
            let mut shown = self.entry(entry);
            shown["day"] = if begins {
                entry["at"].clone()
            } else {
                Value::Null
            };
            shown
        });
        each.collect()
    }

    fn entry(&self, entry: &Value) -> Value {
        let list = |name: &str| {
            entry
                .get(name)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let calls = list("calls");
        let target = entry.get("target").and_then(Value::as_str);
        let receipts: Vec<Value> = list("receipts").iter().rev().map(receipt).collect();
        let earlier: Vec<Value> = list("earlier")
            .iter()
            .map(|said| {
                json!({"at": said["at"], "by": format!("said.{}", said["by"].as_str().unwrap_or("system")), "text": text(Some(&said["text"]))})
            })
            .collect();
        let calls: Vec<Value> = calls
            .iter()
            .map(|call| {
                let bad = !matches!(call["outcome"].as_str(), Some("known" | "absent"));
                json!({
                    "call": call.get("call").or(call.get("step")), "status": call.get("status").and_then(Value::as_i64),
                    "millis": call["millis"], "words": call["words"], "is_bad": bad, "step": call["step"], "at": call["at"],
                })
            })
            .collect();
        json!({
            "key": entry["key"], "at": entry["at"], "kind": entry["kind"], "title": entry["title"],
            "target": target, "mark": target.and_then(|target| self.kind_of(target)),
            "outcome": entry["outcome"], "is_bad": entry["outcome"] == "failed", "is_unsure": entry["outcome"] == "unknown",
            "text": text(entry.get("text")), "chips": list("chips"), "lines": list("lines"),
            "words": entry.get("words").and_then(Value::as_str), "link": inner(entry.get("link")),
            "receipts": receipts, "earlier": earlier, "millis": millis_of(&list("calls")), "calls": calls,
            "open": entry["open"], "until": entry.get("until").and_then(Value::as_str), "hop": hop(entry),
            "way": way(entry),
        })
    }

    fn advice(&self, advice: &Value) -> Value {
        let target = advice.get("target").and_then(Value::as_str);
        let needs = advice["needs_person"].as_bool().unwrap_or(false);
        json!({
            "needs": needs, "what": advice["what"], "why": advice["why"], "steps": advice["steps"],
            "target": target, "reason": advice.get("reason").and_then(Value::as_str),
            "way": advice.get("way").filter(|_| self.leads(advice["way"]["page"].as_str())),
            "may_retry": advice["may_retry"], "may_skip": advice["may_skip"], "asks_arrived": advice["asks_arrived"],
            "icon": if advice["asks_arrived"] == true { "unsure" } else if needs { "parked" } else { "ok" },
            "tone": if advice["asks_arrived"] == true { "unsure" } else if needs { "bad" } else { "ok" },
        })
    }

    /// Whether a page is there, so that no button leads nowhere.
    fn leads(&self, page: Option<&str>) -> bool {
        page.is_some_and(|page| self.has_page(page))
    }

    fn beside(&self, visit: &Visit, key: &str, beside: &Value) -> Value {
        let targets = beside["targets"].as_array().cloned().unwrap_or_default();
        let targets = targets.iter().map(|line| {
            let target = line["target"].as_str().unwrap_or_default();
            let state = line["state"].as_str().unwrap_or_default();
            let (icon, tone) = shape(state);
            json!({
                "target": target, "kind": self.kind_of(target), "icon": icon, "tone": tone,
                "state": format!("stands.{state}"), "words": line["words"], "link": web(line.get("link")),
                "href": address(visit, key, "only", target), "is_well": tone == "ok",
            })
        });
        let window = &beside["window"];
        let left = window["seconds_left"].as_i64().unwrap_or(0);
        json!({
            "targets": targets.collect::<Vec<_>>(), "in_charge": beside["in_charge"],
            "since": beside.get("since").and_then(Value::as_str), "known": beside["known"], "unsure": beside["unsure"],
            "facts": beside["facts"],
            "window": {
                "state": window["state"], "closes_at": window.get("closes_at").and_then(Value::as_str),
                "left": left * 1_000, "clock": format!("{}:{:02}", left / 3_600, left % 3_600 / 60),
                "part": window["left_per_mille"].as_i64().unwrap_or(0) as f64 / 10.0,
            },
        })
    }
}

/// A link to another page of ours or to the web.
fn inner(link: Option<&Value>) -> Value {
    let Some(link) = link.and_then(Value::as_str) else {
        return Value::Null;
    };
    if link.starts_with("/dead-letters/") {
        return json!({"href": link, "is_ours": true});
    }
    match link.starts_with("https://") || link.starts_with("http://") {
        true => json!({"href": link, "is_ours": false}),
        false => Value::Null,
    }
}

fn text(text: Option<&Value>) -> Value {
    let Some(text) = text.filter(|text| text.is_object()) else {
        return Value::Null;
    };
    let characters = text["characters"].as_i64().unwrap_or(0);
    json!({
        "shown": text.get("text").and_then(Value::as_str), "count": characters,
        "language": text.get("language").and_then(Value::as_str),
        "width": (characters * 2).clamp(16, 160),
    })
}

fn receipt(receipt: &Value) -> Value {
    let state = receipt["state"].as_str().unwrap_or_default();
    let (icon, tone) = match state {
        "read" => ("ticks", "ok"),
        "delivered" => ("ticks", "dim"),
        "sent" => ("tick", "dim"),
        "failed" => ("refused", "bad"),
        _ => ("clock", "wait"),
    };
    json!({
        "key": format!("receipt.{state}"), "icon": icon, "tone": tone, "at": receipt["at"],
        "detail": receipt.get("detail").and_then(Value::as_str),
    })
}

/// From where to where, as a text.
fn way(entry: &Value) -> Value {
    let from = entry["from"].as_str().unwrap_or("handoffd");
    let place = |place: &str| format!("place.{place}");
    match entry.get("to").and_then(Value::as_str) {
        Some(to) => json!({"key": "conversation.way", "from": place(from), "to": place(to)}),
        None => json!({"key": "conversation.stays", "from": place(from), "to": place(from)}),
    }
}
