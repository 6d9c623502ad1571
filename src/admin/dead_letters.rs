//! The admin API's dead letters: events that could not be understood.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::operate::{answer, failed, refuse};
use super::{Admin, Wrong, answers};
use crate::access::Person;
use crate::operate::dead_letters::{self, Mode};

/// The dead letters that are looked at by one request.
pub(super) const PAGE: usize = 200;

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
