//! The admin API's lanes and parked work.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use crate::ledger::{LaneFilter, LaneRef, LaneState, LedgerError};
use crate::operate::dead_letters::{self, Listed, Mode};
use crate::operate::listing::{hidden, values};
use crate::operate::status::{Health, Sources, gather};
use crate::operate::{group_json, lane_json, select, show_json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LaneQuery {
    session: Option<String>,
    target: Option<String>,
    state: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    after: i64,
    #[serde(default)]
    limit: usize,
}

pub(super) async fn lanes(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<LaneQuery>,
) -> Response {
    let state = match query.state.as_deref().map(LaneState::parse) {
        Some(None) => return refuse("state must be idle, due, held or parked"),
        Some(state) => state,
        None => None,
    };
    let filter = LaneFilter {
        session: query.session,
        target: query.target,
        state,
        reason: query.reason,
        after: query.after,
        limit: query.limit.min(1_000),
    };
    let found = async {
        let rows = admin.ledger.lanes(filter).await?;
        let sessions = rows.iter().filter(|row| row.stop.is_some());
        let values = values(&*admin.view, sessions.map(|row| &row.session)).await?;
        Ok((rows, values))
    };
    answer(found.await, |(rows, values)| {
        let each = rows.iter().map(|row| {
            let mut shown = lane_json(row, &admin.configured);
            if let Some(stop) = &row.stop {
                shown["message"] = json!(hidden(&values, &row.session, &stop.message));
            }
            shown
        });
        json!({"lanes": each.collect::<Vec<_>>()})
    })
}

/// What a status is gathered from.
pub(super) fn sources(admin: &Admin) -> Sources<'_> {
    let targets = admin.engine.targets.iter();
    let health = targets.map(|(name, target)| (name.clone(), Health::of(target)));
    let trouble = admin.broker.as_ref().and_then(|state| {
        let state = state.borrow();
        (!state.message.is_empty()).then(|| format!("nothing is taken from it: {}", state.message))
    });
    Sources {
        ledger: &*admin.ledger,
        events: &*admin.gate.ledger,
        targets: &admin.configured,
        broker: admin.amqp.as_ref(),
        daemon: Some((health.collect(), trouble)),
        alone: String::new(),
    }
}

pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Response {
    answer(gather(sources(&admin)).await, |status| json!(status))
}

pub(super) async fn parked(State(admin): State<Arc<Admin>>) -> Response {
    let gathered = async {
        let groups = admin.ledger.groups().await?;
        let kept = dead_letters::page(&*admin.gate.ledger, &admin.gate.limits, 0, PAGE).await?;
        let webhooks = admin.webhooks.parked_webhooks(200).await?;
        let values = values(&*admin.view, groups.iter().map(|group| &group.example)).await?;
        Ok::<_, LedgerError>((groups, kept, webhooks, values))
    };
    answer(gathered.await, |(groups, kept, webhooks, values)| {
        let shown = groups.iter().map(|group| {
            let mut shown = group_json(group);
            shown["message"] = json!(hidden(&values, &group.example, &group.stop.message));
            shown
        });
        json!({
            "groups": shown.collect::<Vec<_>>(),
            "dead_letters": kept.iter().map(Listed::json).collect::<Vec<_>>(),
            "webhooks": webhooks.iter().map(|(id, target, at, stop)| json!({
                "id": id, "target": target, "received_at": at, "reason": stop.reason.label(), "message": stop.message,
            })).collect::<Vec<_>>(),
        })
    })
}

pub(super) async fn session(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    let story = async {
        let Some(session) = admin.session_called(&id).await? else {
            return Ok(None);
        };
        show_json(&*admin.ledger, &session, &admin.configured).await
    };
    match story.await {
        Ok(Some(story)) => Json(story).into_response(),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            Json(json!({"error": "the ledger knows nothing of this session"})),
        )
            .into_response(),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    session: Option<String>,
    target: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn retry(State(admin): State<Arc<Admin>>, Json(which): Json<Which>) -> Response {
    let dry_run = which.dry_run;
    let session = match admin.named(which.session).await {
        Ok(session) => session,
        Err(error) => return failed(&error),
    };
    match select(session, which.target, which.reason, which.all) {
        Err(words) => refuse(&words),
        Ok(select) => lanes_done(
            admin.ledger.retry(Timestamp::now(), select, dry_run).await,
            dry_run,
        ),
    }
}

pub(super) async fn skip(State(admin): State<Arc<Admin>>, Json(which): Json<Which>) -> Response {
    let dry_run = which.dry_run;
    let session = match admin.named(which.session).await {
        Ok(session) => session,
        Err(error) => return failed(&error),
    };
    match select(session, which.target, which.reason, which.all) {
        Err(words) => refuse(&words),
        Ok(select) => lanes_done(
            admin.ledger.skip(Timestamp::now(), select, dry_run).await,
            dry_run,
        ),
    }
}

/// The dead letters that are looked at by one request.
const PAGE: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// The number of the last one seen.
    #[serde(default)]
    after: i64,
}

pub(super) async fn list_dead_letters(
    State(admin): State<Arc<Admin>>,
    Query(page): Query<After>,
) -> Response {
    answer(
        dead_letters::list_json(
            &*admin.ledger,
            &*admin.gate.ledger,
            &admin.gate.limits,
            page.after,
            PAGE,
        )
        .await,
        |listed| listed,
    )
}

pub(super) async fn dead_letter(State(admin): State<Arc<Admin>>, Path(id): Path<i64>) -> Response {
    let gate = &admin.gate;
    match dead_letters::show(&*gate.ledger, &gate.limits, &gate.dialects, id).await {
        Ok(Some(shown)) => Json(shown.json()).into_response(),
        Ok(None) => {
            let words = json!({"error": dead_letters::none(id)});
            (StatusCode::NOT_FOUND, Json(words)).into_response()
        }
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// What a JSON merge patch changes in the body as it came.
    patch: Option<Value>,
    /// The whole body as it was shown, with what was changed in it.
    body: Option<Value>,
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn edit(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<i64>,
    Json(edit): Json<Edit>,
) -> Response {
    let mode = mode(edit.dry_run);
    match (edit.patch, edit.body) {
        (Some(patch), None) => worded(dead_letters::edit(&admin.gate, id, patch, mode).await),
        (None, Some(body)) => worded(dead_letters::rewrite(&admin.gate, id, &body, mode).await),
        _ => refuse("say either patch (a merge patch) or body (the whole body as it was shown)"),
    }
}

pub(super) async fn readmit(State(admin): State<Arc<Admin>>, Path(id): Path<i64>) -> Response {
    worded(dead_letters::readmit(&admin.gate, id, Mode::Do).await)
}

pub(super) async fn drop_dead_letter(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<i64>,
) -> Response {
    worded(dead_letters::give_up(&*admin.gate.ledger, id, Mode::Do).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Letters {
    like: Option<i64>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    dry_run: bool,
}

impl Letters {
    /// The numbers that are meant, at most a page of them, and whether there are more.
    async fn meant(&self, admin: &Admin) -> Result<(Vec<i64>, bool), Response> {
        let ledger = &*admin.gate.ledger;
        let mut meant = match (self.like, self.all) {
            (Some(id), false) => dead_letters::alike(ledger, id, PAGE + 1)
                .await
                .map_err(|words| worded(Err(words)))?,
            (None, true) => dead_letters::numbers(ledger, PAGE + 1, |_| true)
                .await
                .map_err(|error| failed(&error))?,
            _ => return Err(refuse("say either like (a number) or all (true)")),
        };
        let more = meant.len() > PAGE;
        meant.truncate(PAGE);
        Ok((meant, more))
    }
}

pub(super) async fn readmit_all(
    State(admin): State<Arc<Admin>>,
    Json(letters): Json<Letters>,
) -> Response {
    let (meant, more) = match letters.meant(&admin).await {
        Ok(meant) => meant,
        Err(response) => return response,
    };
    let (mut done, mut still) = (Vec::new(), Vec::new());
    for id in meant {
        match dead_letters::readmit(&admin.gate, id, mode(letters.dry_run)).await {
            Ok(words) => done.push(words),
            Err(words) => still.push(words),
        }
    }
    Json(json!({"dry_run": letters.dry_run, "done": done, "failed": still, "more": more}))
        .into_response()
}

pub(super) async fn drop_all(
    State(admin): State<Arc<Admin>>,
    Json(letters): Json<Letters>,
) -> Response {
    let (meant, more) = match letters.meant(&admin).await {
        Ok(meant) => meant,
        Err(response) => return response,
    };
    let mut done = Vec::new();
    for id in meant {
        match dead_letters::give_up(&*admin.gate.ledger, id, mode(letters.dry_run)).await {
            Ok(words) => done.push(words),
            Err(words) => return worded(Err(words)),
        }
    }
    Json(json!({"dry_run": letters.dry_run, "done": done, "failed": [], "more": more}))
        .into_response()
}

fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::DryRun } else { Mode::Do }
}

fn worded(outcome: Result<String, String>) -> Response {
    match outcome {
        Ok(words) => Json(json!({"done": words})).into_response(),
        Err(words) => (StatusCode::CONFLICT, Json(json!({"error": words}))).into_response(),
    }
}

fn lanes_done(outcome: Result<Vec<LaneRef>, LedgerError>, dry_run: bool) -> Response {
    answer(outcome, |lanes| {
        let lanes: Vec<Value> = lanes
            .iter()
            .map(|lane| json!({"session": lane.session, "target": lane.target}))
            .collect();
        json!({"dry_run": dry_run, "count": lanes.len(), "lanes": lanes})
    })
}

fn answer<T>(outcome: Result<T, LedgerError>, shape: impl FnOnce(T) -> Value) -> Response {
    match outcome {
        Ok(value) => Json(shape(value)).into_response(),
        Err(error) => failed(&error),
    }
}

pub(super) fn failed(error: &LedgerError) -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({"error": error.to_string()})),
    )
        .into_response()
}

pub(super) fn refuse(words: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": words}))).into_response()
}
