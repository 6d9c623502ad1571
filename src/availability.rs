//! `GET /v1/targets/{name}/availability`: whether reps are there, for a gateway that asks before it hands
//! over. Served with the events token where events come in, and to whoever may read at the admin API.
//!
//! | status | meaning |
//! | --- | --- |
//! | 200 | `target`, `available` (`true`, `false`, or `null`), `status` (`available`, `unavailable`, `unknown`), `reason`, `until` |
//! | 401 | no token, or not the right one |
//! | 404 | there is no CRM of this name, or it is disabled |
//!
//! A CRM is asked at most once in [`FRESH`], however many ask; not while its circuit is open or its rate
//! used up. What cannot be found out is `unknown`, never an error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use handoffd_contract::{Availability, HttpCall};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::connectors;
use crate::serving::authorised;
use crate::target::Target;
use crate::wire::breaker::Gate;

/// How long an answer counts.
pub const FRESH: Duration = Duration::from_secs(10);

/// How long a CRM may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The CRMs, and what each said last.
pub struct Desks(BTreeMap<String, Desk>);

struct Desk {
    target: Arc<Target>,
    last: Mutex<Option<(Instant, Availability)>>,
}

impl Desks {
    /// Those of these targets in which reps work.
    #[must_use]
    pub fn new(targets: &BTreeMap<String, Arc<Target>>) -> Desks {
        let crms = targets
            .iter()
            .filter(|(_, target)| connectors::is_desk(target.kind));
        let desk = |target: &Arc<Target>| Desk {
            target: Arc::clone(target),
            last: Mutex::new(None),
        };
        Desks(
            crms.map(|(name, target)| (name.clone(), desk(target)))
                .collect(),
        )
    }

    /// What this CRM says; `None` when there is none of this name.
    async fn ask(&self, name: &str) -> Option<Availability> {
        let desk = self.0.get(name)?;
        let Some(call) = desk.target.connector.availability() else {
            return Some(Availability::unknown("this kind of CRM does not tell"));
        };
        // Whoever asks meanwhile waits for the same answer.
        let mut last = desk.last.lock().await;
        if let Some((at, said)) = &*last
            && at.elapsed() < FRESH
        {
            return Some(said.clone());
        }
        let said = asked(&desk.target, &call).await;
        *last = Some((Instant::now(), said.clone()));
        Some(said)
    }
}

async fn asked(target: &Target, call: &HttpCall) -> Availability {
    if target.breaker.gate() != Gate::Closed {
        return Availability::unknown("the CRM does not answer at the moment");
    }
    if target.budgets.take(&[]).is_err() {
        return Availability::unknown("the CRM's rate is used up at the moment");
    }
    match tokio::time::timeout(PATIENCE, target.wire.send(call)).await {
        Ok(Ok(reply)) => target.connector.available(&reply, Timestamp::now()),
        Ok(Err(failure)) => {
            let title = failure.stop().reason.title();
            Availability::unknown(format!("the CRM could not be asked: {title}"))
        }
        Err(_) => Availability::unknown("the CRM did not answer in time"),
    }
}

/// The route, behind a token.
pub fn routes(desks: Arc<Desks>, token: Option<SecretString>) -> Router {
    let guard = move |request: Request, next: Next| {
        let is_in = authorised(token.as_ref(), request.headers());
        async move {
            if is_in {
                next.run(request).await
            } else {
                refuse(
                    StatusCode::UNAUTHORIZED,
                    "show the token: Authorization: Bearer …",
                )
            }
        }
    };
    unguarded(desks).route_layer(middleware::from_fn(guard))
}

/// The route, behind whatever the caller puts before it.
pub fn unguarded(desks: Arc<Desks>) -> Router {
    Router::new()
        .route("/v1/targets/{name}/availability", get(availability))
        .with_state(desks)
}

/// Whether reps are there.
#[utoipa::path(get, path = "/v1/targets/{name}/availability", tag = "targets",
    params(("name" = String, Path, description = "The target")),
    responses((status = 200, body = Answer), (status = 404, description = "There is no enabled CRM of this name", body = Wrong)))]
pub(crate) async fn availability(
    State(desks): State<Arc<Desks>>,
    Path(name): Path<String>,
) -> Response {
    match desks.ask(&name).await {
        Some(said) => Json(shown(&name, &said)).into_response(),
        None => refuse(
            StatusCode::NOT_FOUND,
            "there is no enabled CRM of this name",
        ),
    }
}

/// What a CRM says.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(crate) struct Answer {
    /// The target.
    target: String,
    /// Whether reps are there; null where it is not known.
    available: Option<bool>,
    /// `available`, `unavailable` or `unknown`.
    status: String,
    /// Why it is so, in words.
    reason: Option<String>,
    /// When it changes, if that is known.
    until: Option<Timestamp>,
}

/// What is wrong with a request, in a sentence.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its shape is told")]
pub(crate) struct Wrong {
    /// What, and what to do.
    error: String,
}

fn shown(name: &str, said: &Availability) -> Value {
    json!({
        "target": name,
        "available": said.available(),
        "status": said.status,
        "reason": said.reason,
        "until": said.until,
    })
}

fn refuse(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({ "error": words }))).into_response()
}
