//! The admin API's lanes and parked work.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::dead_letters::PAGE;
use super::{Admin, Wrong, answers};
use crate::access::Person;
use crate::ledger::{LaneFilter, LaneRef, LaneState, LedgerError};
use crate::operate::dead_letters::{self, Listed};
use crate::operate::listing::{hidden, values};
use crate::operate::status::{Health, Sources, gather};
use crate::operate::{group_json, lane_json, meant, select, show_json};

/// Which lanes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LaneQuery {
    /// Only of this session.
    session: Option<String>,
    /// Only of this target.
    target: Option<String>,
    /// Only in this state.
    #[param(value_type = Option<answers::State>)]
    state: Option<String>,
    /// Only with this reason's label.
    reason: Option<String>,
    /// Only after the lane with this number.
    #[serde(default)]
    after: i64,
    /// How many; 1,000 where it is left out, which is the most.
    #[serde(default)]
    limit: usize,
}

/// Lanes, and what they wait for.
#[utoipa::path(get, path = "/v1/lanes", tag = "work", params(LaneQuery),
    responses((status = 200, body = answers::LaneList), (status = 400, description = "The request is wrong", body = Wrong)))]
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

/// Everything that is not well, in order of weight.
#[utoipa::path(get, path = "/v1/status", tag = "work", responses((status = 200, body = crate::operate::status::Status)))]
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Response {
    answer(gather(sources(&admin)).await, |status| json!(status))
}

/// Parked lanes by reason, dead letters and webhooks.
#[utoipa::path(get, path = "/v1/parked", tag = "work", responses((status = 200, body = answers::Parked)))]
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

/// What happened to one conversation.
#[utoipa::path(get, path = "/v1/sessions/{id}", tag = "conversations", params(("id" = String, Path, description = "The session")),
    responses((status = 200, body = answers::Session), (status = 404, description = "There is none", body = Wrong)))]
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

/// Which work: by session, target or reason, or all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Every lane of this session that waits or is parked.
    session: Option<String>,
    /// Every parked lane of this target; beside the others, only there.
    target: Option<String>,
    /// Every lane parked for this reason.
    reason: Option<String>,
    /// Every parked lane.
    #[serde(default)]
    all: bool,
    /// Only say which.
    #[serde(default)]
    dry_run: bool,
}

impl Which {
    /// What is meant, as the audit log has it.
    fn object(&self) -> String {
        meant(
            self.session.as_deref(),
            self.target.as_deref(),
            self.reason.as_deref(),
            self.all,
        )
    }
}

/// Tries parked or waiting work again now.
#[utoipa::path(post, path = "/v1/retry", tag = "work", request_body = Which,
    responses((status = 200, body = answers::LanesDone), (status = 400, description = "The request is wrong", body = Wrong)))]
pub(super) async fn retry(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Json(which): Json<Which>,
) -> Response {
    let (dry_run, object) = (which.dry_run, which.object());
    let session = match admin.named(which.session).await {
        Ok(session) => session,
        Err(error) => return failed(&error),
    };
    match select(session, which.target, which.reason, which.all) {
        Err(words) => refuse(&words),
        Ok(select) => {
            let done = admin.ledger.retry(Timestamp::now(), select, dry_run).await;
            lanes_done(&admin, &person, ("retry", &object), done, dry_run).await
        }
    }
}

/// Gives up what stands in the way of lanes, and goes on with what follows.
#[utoipa::path(post, path = "/v1/skip", tag = "work", request_body = Which,
    responses((status = 200, body = answers::LanesDone), (status = 400, description = "The request is wrong", body = Wrong)))]
pub(super) async fn skip(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Json(which): Json<Which>,
) -> Response {
    let (dry_run, object) = (which.dry_run, which.object());
    let session = match admin.named(which.session).await {
        Ok(session) => session,
        Err(error) => return failed(&error),
    };
    match select(session, which.target, which.reason, which.all) {
        Err(words) => refuse(&words),
        Ok(select) => {
            let done = admin.ledger.skip(Timestamp::now(), select, dry_run).await;
            lanes_done(&admin, &person, ("skip", &object), done, dry_run).await
        }
    }
}

/// What was done with lanes, noted before it is told.
async fn lanes_done(
    admin: &Admin,
    person: &Person,
    (what, object): (&str, &str),
    outcome: Result<Vec<LaneRef>, LedgerError>,
    dry_run: bool,
) -> Response {
    let lanes = match outcome {
        Ok(lanes) => lanes,
        Err(error) => return failed(&error),
    };
    let lanes: Vec<Value> = lanes
        .iter()
        .map(|lane| json!({"session": lane.session, "target": lane.target}))
        .collect();
    if !dry_run {
        let after = json!({"count": lanes.len(), "lanes": lanes});
        let noted = admin.access.audit();
        let noted = noted.note(person, what, object, None, Some(after)).await;
        if let Err(error) = noted {
            return failed(&error);
        }
    }
    Json(json!({"dry_run": dry_run, "count": lanes.len(), "lanes": lanes})).into_response()
}

pub(super) fn answer<T>(
    outcome: Result<T, LedgerError>,
    shape: impl FnOnce(T) -> Value,
) -> Response {
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
