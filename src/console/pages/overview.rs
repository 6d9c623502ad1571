//! The overview: what needs a person, every target, and the flow.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::problems::{self, Trouble};
use crate::console::{Answer, Console, Failure, Visit};
use crate::operate::status::{Circuit, Presence, Status, Target};

/// So many rows of problems are shown.
const MAX_ROWS: usize = 6;

/// How things are.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let status = console.status(&visit).await?;
    let rows = problems::of(&status);
    let needs = rows.iter().filter(|row| row.needs_person).count();
    let more = rows.len().saturating_sub(MAX_ROWS);
    let value = json!({
        "needs": needs, "at": status.at, "more": more,
        "problems": rows.iter().take(MAX_ROWS).map(Trouble::row).collect::<Vec<_>>(),
        "targets": status.targets.iter().map(|target| console.target_row(target, &status)).collect::<Vec<_>>(),
        "broker": broker(&status),
    });
    console.page(&visit, "overview.html", value).await
}

impl Console {
    /// Everything that is not well.
    pub(super) async fn status(&self, visit: &Visit) -> Result<Status, Failure> {
        let value = self.api().get(visit, "/v1/status").await?;
        serde_json::from_value(value).map_err(|error| Failure::broken(&error))
    }

    /// A target as a row.
    pub(super) fn target_row(&self, target: &Target, status: &Status) -> Value {
        let parked: i64 = status
            .parked
            .iter()
            .filter(|group| group.target == target.name)
            .map(|group| group.count)
            .sum();
        json!({
            "name": target.name, "kind": self.kind_of(&target.name), "state": state(target, parked),
            "last_heard": target.last_heard, "due": target.due, "parked": parked,
        })
    }
}

/// A state's shape, words and colour.
fn state(target: &Target, parked: i64) -> Value {
    let (icon, tone, text) = match (target.state, target.circuit) {
        (Presence::Disabled, _) => ("off", "off", problems::said("state.off", json!({}))),
        (Presence::NotConfigured, _) => (
            "off",
            "bad",
            problems::said("state.not_configured", json!({})),
        ),
        _ if target.credential_rejected => {
            ("lock", "bad", problems::said("state.rejected", json!({})))
        }
        (_, Some(Circuit::Open { .. })) => {
            ("down", "warn", problems::said("state.down", json!({})))
        }
        (_, Some(Circuit::Probing)) => {
            ("clock", "wait", problems::said("state.probing", json!({})))
        }
        _ if parked > 0 => (
            "parked",
            "bad",
            problems::said("state.parked", json!({"count": parked})),
        ),
        (_, None) => ("off", "off", problems::said("state.unknown", json!({}))),
        (_, Some(Circuit::Closed)) => ("ok", "ok", problems::said("state.well", json!({}))),
    };
    json!({"icon": icon, "tone": tone, "text": text})
}

fn broker(status: &Status) -> Value {
    let waiting = status
        .broker
        .queues
        .iter()
        .filter(|queue| !queue.dead_letters);
    let waiting: i64 = waiting.map(|queue| i64::from(queue.events)).sum();
    match (status.broker.configured, status.broker.message.is_empty()) {
        (false, _) => problems::said("overview.broker_none", json!({})),
        (true, true) => problems::said("overview.broker_well", json!({"count": waiting})),
        (true, false) => problems::said("overview.broker_ill", json!({})),
    }
}
