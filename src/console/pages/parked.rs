//! Parked work: groups of conversations, dead letters, webhooks.

use std::sync::Arc;

use axum::extract::{Path, State};
use handoffd_contract::Reason;
use serde_json::{Value, json};

use super::problems::{of_reason, said};
use crate::console::{Answer, Console, Failure, Visit};

/// Of so many groups, the largest, conversations are shown on the page of all.
const OPENED: usize = 12;
/// So many conversations of a group are shown there.
const SOME: usize = 3;
/// So many are shown on the group's own page.
const PAGE: usize = 50;

/// Everything that waits for a person.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let parked = console.api().get(&visit, "/v1/parked").await?;
    let empty = Vec::new();
    let list = |name: &str| parked[name].as_array().unwrap_or(&empty);
    let mut groups = Vec::new();
    for (at, group) in list("groups").iter().enumerate() {
        let lanes = if at < OPENED {
            console.lanes_of(&visit, group, 0, SOME).await?
        } else {
            Vec::new()
        };
        groups.push(console.group(group, &lanes));
    }
    let count: i64 = list("groups")
        .iter()
        .filter_map(|group| group["count"].as_i64())
        .sum();
    let retried: i64 = list("groups")
        .iter()
        .filter(|group| !super::acts::is_unknown(group))
        .filter_map(|group| group["count"].as_i64())
        .sum();
    let value = json!({
        "count": count, "retried": retried, "groups": groups, "letters": list("dead_letters"),
        "webhooks": list("webhooks").iter().map(|hook| console.webhook(hook)).collect::<Vec<_>>(),
        "done": done(&visit),
    });
    console.page(&visit, "parked.html", value).await
}

/// One group with its conversations.
pub(super) async fn group(
    State(console): State<Arc<Console>>,
    Path((reason, target)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    if Reason::parse(&reason).is_none() {
        return Err(Failure::not_found());
    }
    let parked = console.api().get(&visit, "/v1/parked").await?;
    let groups = parked["groups"].as_array().cloned().unwrap_or_default();
    let mut of = groups
        .into_iter()
        .filter(|group| group["reason"] == reason.as_str() && group["target"] == target.as_str());
    let first = of.next();
    let others: i64 = of.filter_map(|group| group["count"].as_i64()).sum();
    let after = visit
        .asked("after")
        .and_then(|after| after.parse().ok())
        .unwrap_or(0);
    let group = match first {
        Some(mut group) => {
            let count = group["count"].as_i64().unwrap_or(0) + others;
            group["count"] = count.into();
            let lanes = console.lanes_of(&visit, &group, after, PAGE).await?;
            let mut shown = console.group(&group, &lanes);
            let last = lanes.last().and_then(|lane| lane["id"].as_i64());
            shown["older"] = last.filter(|_| lanes.len() == PAGE).into();
            shown
        }
        None => Value::Null,
    };
    let value = json!({
        "group": group, "reason": reason, "target": target, "kind": console.kind_of(&target),
        "title": said(&of_reason(&reason), json!({"target": target})), "done": done(&visit),
    });
    console.page(&visit, "parked_group.html", value).await
}

/// What was just done, as the address says.
pub(super) fn done(visit: &Visit) -> Value {
    let count: Option<i64> = visit.asked("count").and_then(|count| count.parse().ok());
    let key = match visit.asked("done") {
        Some("retry") => "done.retry",
        Some("skip") => "done.skip",
        Some("arrived") => "done.arrived",
        Some("letter-admitted") => "done.letter_admitted",
        Some("letter-dropped") => "done.letter_dropped",
        _ => return Value::Null,
    };
    said(key, json!({"count": count.unwrap_or(1)}))
}

impl Console {
    /// Lanes of a group, oldest first.
    async fn lanes_of(
        &self,
        visit: &Visit,
        group: &Value,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Value>, Failure> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("state", "parked")
            .append_pair("reason", group["reason"].as_str().unwrap_or_default())
            .append_pair("target", group["target"].as_str().unwrap_or_default())
            .append_pair("after", &after.to_string())
            .append_pair("limit", &limit.to_string())
            .finish();
        let found = self.api().get(visit, &format!("/v1/lanes?{query}")).await?;
        Ok(found["lanes"].as_array().cloned().unwrap_or_default())
    }

    fn group(&self, group: &Value, lanes: &[Value]) -> Value {
        let (reason, target) = (
            group["reason"].as_str().unwrap_or_default(),
            group["target"].as_str().unwrap_or_default(),
        );
        json!({
            "reason": reason, "target": target, "kind": self.kind_of(target), "count": group["count"],
            "title": said(&of_reason(reason), json!({"target": target})), "words": group["message"],
            "oldest": group["oldest"], "lanes": lanes, "is_unsure": reason == Reason::UnknownOutcome.label(),
        })
    }

    fn webhook(&self, hook: &Value) -> Value {
        let target = hook["target"].as_str().unwrap_or_default();
        let reason = hook["reason"].as_str().unwrap_or_default();
        json!({
            "id": hook["id"], "target": target, "kind": self.kind_of(target), "at": hook["received_at"],
            "title": said(&of_reason(reason), json!({"target": target})), "reason": reason,
            "words": hook["message"],
        })
    }
}
