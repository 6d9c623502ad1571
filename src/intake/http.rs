//! `POST /v1/events`: events over HTTP.
//!
//! | status | meaning | kept? |
//! | --- | --- | --- |
//! | 202 | everything is in the ledger: `{"admitted": n, "duplicates": m}`, and `warnings` for what could not be read as it came | yes |
//! | 400 | at least one event is wrong; `refused` says which and why | the good ones as events, the wrong ones as dead letters |
//! | 401 | no token, or not the right one | no |
//! | 413 | the body is longer than is taken | no |
//! | 415 | not a content type that events come in | no |
//! | 408 | the body took too long to arrive | no |
//! | 503 | the ledger failed, or other bodies take all the room; send it again | no |
//!
//! Token, content type and length are judged from the head, before a byte of the body is read.
//!
//! A wrong event is answered *and* parked: not every producer reads its answers, and an operator
//! shall see it either way. Sending it again is harmless.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use handoffd_contract::Stop;
use secrecy::SecretString;
use serde::Serialize;

use super::{Gate, Incoming, Origin, unbatch};
use crate::ledger::{Admitted, LedgerError};
use crate::serving::{Room, Unread, authorised, unread};

/// So many of the largest bodies, or of 16 MiB, may be held at a time.
const LARGEST: usize = 4;
/// How long a body may take to arrive. The answer follows within what a request may take in all.
const WITHIN: Duration = Duration::from_secs(90);

/// The most warnings of one answer; the log and the ledger have all.
const MAX_WARNINGS: usize = 500;

/// What the endpoint needs.
pub struct HttpIntake {
    /// Where events are kept and whom they are for.
    pub gate: Gate,
    /// What a producer must show; nothing when `None`.
    pub token: Option<SecretString>,
    /// The longest body of a batch, in bytes; a single event has its own limit.
    pub max_body: usize,
}

/// The endpoint.
pub fn routes(intake: Arc<HttpIntake>) -> axum::Router {
    let largest = intake
        .max_body
        .max(intake.gate.limits.max_event_bytes)
        .max(16 << 20);
    let endpoint = Endpoint {
        room: Room::new(largest.saturating_mul(LARGEST)),
        intake,
    };
    axum::Router::new()
        .route("/v1/events", post(events))
        .with_state(endpoint)
}

#[derive(Clone)]
struct Endpoint {
    intake: Arc<HttpIntake>,
    room: Room,
}

/// An answer with status 202 or 400.
#[derive(Debug, Serialize)]
struct Answer {
    admitted: u64,
    duplicates: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warned>,
}

/// Something of an event that was taken could not be read as it came.
#[derive(Debug, Serialize)]
struct Warned {
    /// The event's place in the batch.
    index: usize,
    /// Who produced it.
    source: String,
    /// The field, the shape of what was found, what became of it, and the remedy.
    warning: String,
}

#[derive(Debug, Serialize)]
struct Refused {
    /// The event's place in the batch.
    index: usize,
    reason: &'static str,
    error: String,
    /// An operator sees it among the dead letters.
    parked: bool,
}

impl Refused {
    fn new(index: usize, stop: &Stop) -> Refused {
        Refused {
            index,
            reason: stop.reason.label(),
            error: stop.message.clone(),
            parked: true,
        }
    }
}

async fn events(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let Endpoint { intake, room } = endpoint;
    let (parts, body) = request.into_parts();
    if !authorised(intake.token.as_ref(), &parts.headers) {
        let words = "show the token: Authorization: Bearer …";
        let mut response = refuse(StatusCode::UNAUTHORIZED, words);
        let challenge = header::HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        return unread(response);
    }
    let mut incoming = incoming(&parts.headers);
    if !incoming.supported() {
        return unread(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "events come as application/cloudevents+json, application/cloudevents-batch+json, \
             application/json, or with ce- headers",
        ));
    }
    let max = if incoming.is_batch() {
        intake.max_body
    } else {
        intake.gate.limits.max_event_bytes
    };
    let held = match room.read(body, max, WITHIN).await {
        Ok(held) => held,
        Err(why) => return unread(unreadable(why)),
    };
    // The room is held until the event is stored.
    let (bytes, _room) = held.into_parts();
    incoming.body = bytes;
    match admit(&intake.gate, incoming).await {
        Ok(answer) if answer.refused.is_empty() => {
            (StatusCode::ACCEPTED, Json(answer)).into_response()
        }
        Ok(answer) => (StatusCode::BAD_REQUEST, Json(answer)).into_response(),
        Err(error) => {
            tracing::warn!(%error, "events over HTTP could not be stored");
            again("the ledger cannot take events now; send it again")
        }
    }
}

fn again(words: &str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, words);
    let seconds = header::HeaderValue::from_static("5");
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

fn unreadable(why: Unread) -> Response {
    match why {
        Unread::TooLong(max) => {
            let words =
                format!("the body is longer than {max} bytes: send less, or raise the limit");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, &words)
        }
        Unread::Slow => refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        ),
        Unread::Broken => refuse(StatusCode::BAD_REQUEST, "the body broke off"),
        Unread::Full => again("other events take all the room; send it again"),
    }
}

async fn admit(gate: &Gate, incoming: Incoming) -> Result<Answer, LedgerError> {
    let mut answer = Answer {
        admitted: 0,
        duplicates: 0,
        refused: Vec::new(),
        warnings: Vec::new(),
    };
    let events = if incoming.is_batch() {
        match unbatch(&incoming) {
            Ok(events) => events,
            Err(stop) => {
                gate.park(&incoming, stop.clone()).await?;
                answer.refused.push(Refused::new(0, &stop));
                return Ok(answer);
            }
        }
    } else {
        vec![incoming]
    };
    for (index, taken) in gate.take(&events).await?.into_iter().enumerate() {
        let taken = match taken {
            Ok(taken) => taken,
            Err(stop) => {
                answer.refused.push(Refused::new(index, &stop));
                continue;
            }
        };
        match taken.admitted {
            Admitted::New(_) => answer.admitted += 1,
            Admitted::Duplicate | Admitted::Nobody => answer.duplicates += 1,
        }
        let room = MAX_WARNINGS.saturating_sub(answer.warnings.len());
        let warned = taken.warnings.into_iter().take(room);
        answer.warnings.extend(warned.map(|warning| Warned {
            index,
            source: taken.source.clone(),
            warning,
        }));
    }
    Ok(answer)
}

/// The headers that say what came; none that authenticates is kept.
fn incoming(headers: &HeaderMap) -> Incoming {
    let text = |value: &header::HeaderValue| value.to_str().ok().map(str::to_owned);
    Incoming {
        origin: Origin::Http,
        content_type: headers.get(header::CONTENT_TYPE).and_then(text),
        headers: headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("ce-"))
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
            .collect(),
        body: Vec::new(),
    }
}

fn refuse(status: StatusCode, words: &str) -> Response {
    (status, Json(serde_json::json!({ "error": words }))).into_response()
}
