//! The overview: what needs a person, every target, and the flow.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::problems::{Trouble, said};
use crate::console::{Answer, Console, Failure, Visit, charts};

/// So many rows of problems are shown.
const MAX_ROWS: usize = 6;

/// How things are, as `GET /v1/overview` tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Overview {
    at: Timestamp,
    range: String,
    needs_person: usize,
    pub troubles: Vec<Trouble>,
    pub targets: Vec<Target>,
    broker: Broker,
    flow: Vec<Flow>,
    events_last_hour: i64,
    replies_last_hour: i64,
    queued: i64,
    with_rep: i64,
}

#[derive(Debug, Deserialize)]
struct Broker {
    configured: bool,
    ok: bool,
    waiting: i64,
}

/// A target.
#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub name: String,
    #[serde(default)]
    kind: Option<String>,
    state: Standing,
    #[serde(default)]
    last_heard: Option<Timestamp>,
    due: i64,
    held: i64,
    parked: i64,
    #[serde(default)]
    rate: Option<Rate>,
    #[serde(default)]
    p50_millis: Option<i64>,
    #[serde(default)]
    p99_millis: Option<i64>,
    calls: Vec<Calls>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    Well,
    Parked,
    Down,
    Credential,
    Off,
    NotConfigured,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Rate {
    used: i64,
    of: i64,
    per_millis: i64,
}

#[derive(Debug, Deserialize)]
struct Calls {
    n: i64,
    failed: i64,
}

/// A figure over time.
#[derive(Debug, Deserialize)]
struct Flow {
    name: String,
    total: i64,
    #[serde(default)]
    p50_millis: Option<i64>,
    #[serde(default)]
    p99_millis: Option<i64>,
    step_seconds: i64,
    points: Vec<Point>,
}

#[derive(Debug, Deserialize)]
struct Point {
    at: Timestamp,
    n: i64,
    #[serde(default)]
    p50_millis: Option<i64>,
    #[serde(default)]
    p99_millis: Option<i64>,
}

/// How things are.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let overview = console.overview(&visit).await?;
    let is_new = overview.flow.iter().all(|flow| flow.total == 0) && overview.troubles.is_empty();
    let edits = console.has_page("/mappings");
    let value = json!({
        "needs": overview.needs_person, "at": overview.at, "range": overview.range,
        "more": overview.troubles.len().saturating_sub(MAX_ROWS),
        "problems": overview.troubles.iter().take(MAX_ROWS).map(|row| row.row(edits)).collect::<Vec<_>>(),
        "targets": overview.targets.iter().map(Target::row).collect::<Vec<_>>(),
        "broker": overview.broker.line(), "figures": overview.flow.iter().map(Flow::figure).collect::<Vec<_>>(),
        "events": overview.events_last_hour, "replies": overview.replies_last_hour,
        "queued": overview.queued, "with_rep": overview.with_rep, "is_new": is_new,
    });
    console.page(&visit, "overview.html", value).await
}

impl Console {
    /// How things are.
    pub(super) async fn overview(&self, visit: &Visit) -> Result<Overview, Failure> {
        let range = visit
            .asked("range")
            .filter(|range| ["1h", "24h", "7d"].contains(range));
        let path = format!("/v1/overview?range={}", range.unwrap_or("24h"));
        let value = self.api().get(visit, &path).await?;
        serde_json::from_value(value).map_err(|error| Failure::broken(&error))
    }
}

impl Broker {
    fn line(&self) -> Value {
        match (self.configured, self.ok) {
            (false, _) => said("overview.broker_none", json!({})),
            (true, true) => said("overview.broker_well", json!({"count": self.waiting})),
            (true, false) => said("overview.broker_ill", json!({})),
        }
    }
}

impl Target {
    /// As a row of the table, and as the head of its own page.
    pub fn row(&self) -> Value {
        let calls: Vec<(i64, i64)> = self.calls.iter().map(|one| (one.n, one.failed)).collect();
        let all: i64 = calls.iter().map(|(all, _)| all).sum();
        let failed: i64 = calls.iter().map(|(_, failed)| failed).sum();
        json!({
            "name": self.name, "kind": self.kind, "state": self.state(), "last_heard": self.last_heard,
            "due": self.due, "held": self.held, "parked": self.parked, "p50": self.p50_millis, "p99": self.p99_millis,
            "rate": self.rate.map(Rate::line), "calls": charts::calls(&calls), "count": all, "failed": failed,
        })
    }

    /// A state's shape, words and colour.
    fn state(&self) -> Value {
        let none = json!({});
        let (icon, tone, text) = match self.state {
            Standing::Well => ("ok", "ok", said("state.well", none)),
            Standing::Parked => (
                "parked",
                "bad",
                said("state.parked", json!({"count": self.parked})),
            ),
            Standing::Down => ("down", "warn", said("state.down", none)),
            Standing::Credential => ("lock", "bad", said("state.rejected", none)),
            Standing::Off => ("off", "off", said("state.off", none)),
            Standing::NotConfigured => ("off", "bad", said("state.not_configured", none)),
        };
        json!({"icon": icon, "tone": tone, "text": text})
    }
}

impl Rate {
    fn line(self) -> Value {
        let key = match self.per_millis {
            1_000 => "rate.second",
            60_000 => "rate.minute",
            86_400_000 => "rate.day",
            _ => "rate.other",
        };
        let values = json!({"used": self.used, "of": self.of, "span": self.per_millis});
        // Beyond this share of it, calls will have to wait soon.
        let high = self.of.saturating_mul(9) / 10;
        json!({"text": said(key, values), "used": self.used.min(self.of), "of": self.of, "high": high})
    }
}

impl Flow {
    /// As a card: its name, its number, its line, and the table behind the line.
    fn figure(&self) -> Value {
        let is_timed = self.name == "handoff-to-record";
        let numbers: Vec<i64> = self.points.iter().map(|point| point.n).collect();
        let of = |time: fn(&Point) -> Option<i64>| -> Vec<Option<i64>> {
            self.points.iter().map(time).collect()
        };
        let line = if is_timed {
            charts::pair(&of(|point| point.p50_millis), &of(|point| point.p99_millis))
        } else {
            charts::line(&numbers)
        };
        let rows = charts::rows(&self.points, |some| {
            json!({
                "at": some.first().map(|point| point.at), "n": some.iter().map(|point| point.n).sum::<i64>(),
                "p50": some.iter().filter_map(|point| point.p50_millis).max(),
            })
        });
        json!({
            "name": format!("figure.{}", self.name), "total": self.total, "is_timed": is_timed,
            "p50": self.p50_millis, "p99": self.p99_millis, "line": line, "rows": rows,
            "values": numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(","),
            "from": self.points.first().map(|point| point.at), "step": self.step_seconds,
        })
    }
}
