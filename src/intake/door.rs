//! `POST /intake/{source}` and `/intake/{source}/{token}`: what gateways send in their own words.
//!
//! Source, token and whatever else the head shows are judged before a byte of the body is read. What is
//! proved is stored before it is answered, also as a dead letter: many gateways drop an event for good
//! when they are told that it is wrong, and a person shall see it.
//!
//! | status | meaning |
//! | --- | --- |
//! | as configured, 200 | stored, as events or as a dead letter, or left alone on purpose |
//! | 401 | no such source, or not proved to be its own |
//! | 408, 413, 400 | the body took too long, is too long, broke off |
//! | 503 | the ledger failed, or other bodies take all the room; it must come again |

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;

use super::incoming::{REFERENCE, SOURCE};
use super::proof::{self, Head};
use super::{Gate, Incoming, Origin};
use crate::config::SourceConfig;
use crate::seldom::Seldom;
use crate::serving::{Room, Unread, unread};

/// The most bytes of all bodies that are being read, for each of the two rooms.
const ROOM: usize = 32 * 1024 * 1024;
/// How long a body may take to arrive.
const WITHIN: Duration = Duration::from_secs(30);
/// The longest value of a header that is kept, in bytes.
const MAX_VALUE: usize = 1_024;

/// What the endpoint needs.
#[derive(Clone)]
struct Door {
    gate: Gate,
    sources: Arc<BTreeMap<String, SourceConfig>>,
    /// For bodies of which only the signature tells whose they are.
    strangers: Room,
    /// For bodies of those who have shown a secret.
    known: Room,
}

/// The endpoint of these sources.
pub fn routes(gate: Gate, sources: &[SourceConfig]) -> axum::Router {
    let room = ROOM.max(gate.limits.max_event_bytes.saturating_mul(2));
    let sources = sources.iter();
    let door = Door {
        gate,
        sources: Arc::new(sources.map(|one| (one.name.clone(), one.clone())).collect()),
        strangers: Room::new(room),
        known: Room::new(room),
    };
    axum::Router::new()
        .route("/intake/{source}", get(challenge).post(bare))
        .route(
            "/intake/{source}/{token}",
            get(challenge_at).post(with_token),
        )
        .with_state(door)
}

async fn bare(State(door): State<Door>, Path(source): Path<String>, request: Request) -> Response {
    taken(&door, &source, "", request).await
}

async fn with_token(
    State(door): State<Door>,
    Path((source, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    taken(&door, &source, &token, request).await
}

/// Judges the head, then reads and judges the body, then stores what it says.
async fn taken(door: &Door, name: &str, token: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let head = Head {
        token,
        query: parts.uri.query().unwrap_or(""),
        headers: &parts.headers,
        now: Timestamp::now(),
    };
    let source = door
        .sources
        .get(name)
        .filter(|source| is_shown(source, &head));
    let Some(source) = source else {
        return unread(refused(door, name));
    };
    let is_known = source.token.is_some();
    let room = if is_known {
        &door.known
    } else {
        &door.strangers
    };
    let held = match room
        .read(body, door.gate.limits.max_event_bytes, WITHIN)
        .await
    {
        Ok(held) => held,
        Err(why) => return unread(unreadable(name, why)),
    };
    let is_proved = |proof| proof::is_proved(proof, &head, &held);
    if !source.proof.as_ref().is_none_or(is_proved) {
        return refused(door, name);
    }
    // The room is held until it is stored.
    let (bytes, _room) = held.into_parts();
    let mut incoming = incoming(door, name, &parts.headers, bytes);
    let reference = reference(parts.uri.query().unwrap_or(""));
    incoming
        .headers
        .extend(reference.map(|reference| (REFERENCE.to_owned(), reference)));
    match door.gate.take(std::slice::from_ref(&incoming)).await {
        Ok(_) => {
            let status = StatusCode::from_u16(source.answer).unwrap_or(StatusCode::OK);
            // A text in the answer would be sent to the customer by some.
            status.into_response()
        }
        Err(error) => {
            tracing::warn!(source = name, %error, "what a gateway sent could not be stored");
            again()
        }
    }
}

/// Whether the head shows what this source must show.
fn is_shown(source: &SourceConfig, head: &Head<'_>) -> bool {
    let has_token = match &source.token {
        Some(token) => proof::same(head.token, token),
        None => head.token.is_empty() && source.proof.is_some(),
    };
    has_token
        && source
            .proof
            .as_ref()
            .is_none_or(|proof| proof::is_shown(proof, head))
}

/// Our reference of the message that a status is about, where the gateway brings it back in the address
/// alone. Nothing else of an address is kept.
fn reference(query: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, value) = pairs.find(|(name, _)| name == "reference")?;
    let is_ours = value.len() == 20 && value.bytes().all(|b| b.is_ascii_hexdigit());
    is_ours.then(|| value.into_owned())
}

/// What came, with the headers that dialects look at; none that authenticates is kept.
fn incoming(door: &Door, name: &str, headers: &HeaderMap, body: Vec<u8>) -> Incoming {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALUE).then(|| value.to_owned())
    };
    let asked = door.gate.dialects.headers(name);
    let mut kept: BTreeMap<String, String> = asked
        .into_iter()
        .filter(|name| !matches!(name.as_str(), "authorization" | "cookie"))
        .filter_map(|name| Some((name.clone(), text(&name)?)))
        .collect();
    kept.insert(SOURCE.to_owned(), name.to_owned());
    Incoming {
        origin: Origin::Http,
        content_type: text(header::CONTENT_TYPE.as_str()),
        headers: kept,
        body,
    }
}

/// The same answer for an unknown source, a wrong token and a wrong signature; the log says which.
fn refused(door: &Door, name: &str) -> Response {
    static KNOWN: Seldom = Seldom::new();
    static UNKNOWN: Seldom = Seldom::new();
    let known = door.sources.contains_key(name);
    let seldom = if known { &KNOWN } else { &UNKNOWN };
    if let Some(more) = seldom.now() {
        let source: String = name.chars().take(40).collect();
        tracing::warn!(
            ?source,
            known,
            more,
            "what claims to be a gateway's was refused"
        );
    }
    (StatusCode::UNAUTHORIZED, "not authenticated\n").into_response()
}

fn unreadable(source: &str, why: Unread) -> Response {
    static SELDOM: Seldom = Seldom::new();
    if let Some(more) = SELDOM.now() {
        tracing::warn!(source, ?why, more, "a gateway's body was not taken");
    }
    let (status, words) = match why {
        Unread::TooLong(_) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n"),
        Unread::Slow => (
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive\n",
        ),
        Unread::Broken => (StatusCode::BAD_REQUEST, "the body broke off\n"),
        Unread::Full => return again(),
    };
    (status, words).into_response()
}

fn again() -> Response {
    let mut response =
        (StatusCode::SERVICE_UNAVAILABLE, "not kept; send it again\n").into_response();
    let seconds = HeaderValue::from_static("5");
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

async fn challenge(
    State(door): State<Door>,
    Path(source): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    answer(&door, &source, &query)
}

async fn challenge_at(
    State(door): State<Door>,
    Path((source, _)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    answer(&door, &source, &query)
}

/// Meta's verification request: the bare challenge comes back when the verify token fits.
/// <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>
fn answer(door: &Door, source: &str, query: &HashMap<String, String>) -> Response {
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    let wanted = door
        .sources
        .get(source)
        .and_then(|source| source.verify_token.as_ref());
    let is_right = wanted.is_some_and(|wanted| proof::same(given("hub.verify_token"), wanted));
    if is_right && given("hub.mode") == "subscribe" {
        return (StatusCode::OK, given("hub.challenge").to_owned()).into_response();
    }
    (StatusCode::UNAUTHORIZED, "not authenticated\n").into_response()
}
