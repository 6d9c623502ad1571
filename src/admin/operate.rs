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

use super::{Admin, Wrong, answers};
use crate::access::Person;
use crate::ledger::{LaneFilter, LaneRef, LaneState, LedgerError};
use crate::operate::dead_letters::{self, Listed, Mode};
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

/// The dead letters that are looked at by one request.
const PAGE: usize = 200;

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// The number of the last one seen.
    #[serde(default)]
    after: i64,
}

/// Events that could not be understood.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", params(After),
    responses((status = 200, body = answers::LetterList), (status = 400, description = "The request is wrong", body = Wrong)))]
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

/// One event that could not be understood, with its body.
#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters", params(("id" = i64, Path, description = "The dead letter's number")),
    responses((status = 200, body = answers::WholeLetter), (status = 400, description = "The request is wrong", body = Wrong), (status = 404, description = "There is none", body = Wrong)))]
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

/// A change of a dead letter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// What a JSON merge patch (RFC 7386) changes in its body as it came.
    patch: Option<Value>,
    /// The whole body as it was shown, with what was changed in it.
    body: Option<Value>,
    /// Only say what it would become.
    #[serde(default)]
    dry_run: bool,
}

/// Changes one and judges it again; it stays as it came while it is no event.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/edit", tag = "dead letters", params(("id" = i64, Path, description = "The dead letter's number")), request_body = Edit,
    responses((status = 200, body = answers::InWords), (status = 400, description = "The request is wrong", body = Wrong), (status = 409, description = "It was not done; why", body = Wrong)))]
pub(super) async fn edit(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Path(id): Path<i64>,
    Json(edit): Json<Edit>,
) -> Response {
    let mode = mode(edit.dry_run);
    let done = match (edit.patch, edit.body) {
        (Some(patch), None) => dead_letters::edit(&admin.gate, id, patch, mode).await,
        (None, Some(body)) => dead_letters::rewrite(&admin.gate, id, &body, mode).await,
        _ => {
            return refuse(
                "say either patch (a merge patch) or body (the whole body as it was shown)",
            );
        }
    };
    letter_done(
        &admin,
        &person,
        ("dead letter edit", id),
        done,
        edit.dry_run,
    )
    .await
}

/// Judges one again, after a fix.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/retry", tag = "dead letters", params(("id" = i64, Path, description = "The dead letter's number")),
    responses((status = 200, body = answers::InWords), (status = 400, description = "The request is wrong", body = Wrong), (status = 409, description = "It was not done; why", body = Wrong)))]
pub(super) async fn readmit(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Path(id): Path<i64>,
) -> Response {
    let done = dead_letters::readmit(&admin.gate, id, Mode::Do).await;
    letter_done(&admin, &person, ("dead letter retry", id), done, false).await
}

/// Gives one up.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/drop", tag = "dead letters", params(("id" = i64, Path, description = "The dead letter's number")),
    responses((status = 200, body = answers::InWords), (status = 400, description = "The request is wrong", body = Wrong), (status = 409, description = "It was not done; why", body = Wrong)))]
pub(super) async fn drop_dead_letter(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Path(id): Path<i64>,
) -> Response {
    let done = dead_letters::give_up(&*admin.gate.ledger, id, Mode::Do).await;
    letter_done(&admin, &person, ("dead letter drop", id), done, false).await
}

/// Which dead letters: either those like one, or all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Letters {
    /// All with the cause and source of this one.
    like: Option<i64>,
    /// Every one.
    #[serde(default)]
    all: bool,
    /// Only say what it would come to.
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

/// Judges many again, after a fix: the oldest 200 of those that are meant.
#[utoipa::path(post, path = "/v1/dead-letters/retry", tag = "dead letters", request_body = Letters,
    responses((status = 200, body = answers::LettersDone), (status = 400, description = "The request is wrong", body = Wrong), (status = 409, description = "It was not done; why", body = Wrong)))]
pub(super) async fn readmit_all(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
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
    let all = Done { done, still, more };
    letters_done(&admin, &person, ("dead letter retry", &letters), all).await
}

/// Gives many up: the oldest 200 of those that are meant.
#[utoipa::path(post, path = "/v1/dead-letters/drop", tag = "dead letters", request_body = Letters,
    responses((status = 200, body = answers::LettersDone), (status = 400, description = "The request is wrong", body = Wrong), (status = 409, description = "It was not done; why", body = Wrong)))]
pub(super) async fn drop_all(
    State(admin): State<Arc<Admin>>,
    Extension(person): Extension<Person>,
    Json(letters): Json<Letters>,
) -> Response {
    let (meant, more) = match letters.meant(&admin).await {
        Ok(meant) => meant,
        Err(response) => return response,
    };
    let (mut done, mut still) = (Vec::new(), Vec::new());
    for id in meant {
        match dead_letters::give_up(&*admin.gate.ledger, id, mode(letters.dry_run)).await {
            Ok(words) => done.push(words),
            // What was given up until here is told and noted all the same.
            Err(words) => {
                still.push(words);
                break;
            }
        }
    }
    let all = Done { done, still, more };
    letters_done(&admin, &person, ("dead letter drop", &letters), all).await
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

/// What was done with one dead letter, noted before it is told.
async fn letter_done(
    admin: &Admin,
    person: &Person,
    (what, id): (&str, i64),
    outcome: Result<String, String>,
    dry_run: bool,
) -> Response {
    let audit = admin.access.audit();
    let object = format!("dead letter {id}");
    let noted = match (&outcome, dry_run) {
        (_, true) => Ok(()),
        (Ok(_), false) => audit.note(person, what, &object, None, None).await,
        (Err(_), false) => audit.refused(person, what, &object, "not done").await,
    };
    match noted {
        Ok(()) => worded(outcome),
        Err(error) => failed(&error),
    }
}

/// What came of many dead letters, in words.
struct Done {
    done: Vec<String>,
    still: Vec<String>,
    more: bool,
}

/// What was done with many dead letters, noted before it is told.
async fn letters_done(
    admin: &Admin,
    person: &Person,
    (what, letters): (&str, &Letters),
    all: Done,
) -> Response {
    if !letters.dry_run {
        let object = match letters.like {
            Some(id) => format!("dead letters like {id}"),
            None => "all dead letters".to_owned(),
        };
        let after = json!({"done": all.done.len(), "failed": all.still.len(), "more": all.more});
        let noted = admin.access.audit();
        let noted = noted.note(person, what, &object, None, Some(after)).await;
        if let Err(error) = noted {
            return failed(&error);
        }
    }
    let Done { done, still, more } = all;
    Json(json!({"dry_run": letters.dry_run, "done": done, "failed": still, "more": more}))
        .into_response()
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
