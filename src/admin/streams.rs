//! Streams of server-sent events: what happens now, and which parts of pages changed.
//!
//! A stream has no end of its own, so that no deadline for answers holds for it. There is room for a few at a
//! time; all end when the daemon stops.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::Admin;
use super::operate::{failed, refuse};
use crate::connectors;
use crate::operate::stream::{Ear, Line, Wanted, version};

/// So many streams at a time.
const MOST: usize = 24;

/// How often the ledger is asked what happened.
const EVERY: Duration = Duration::from_secs(1);

/// After so many times in which nothing changed, who listens is told that the stream lives.
const QUIET: u32 = 5;

/// So many parts are named at the most.
const MAX_PARTS: usize = 32;

/// Streams that are open, and their end.
pub struct Streams {
    room: Arc<Semaphore>,
    /// Ends them all.
    pub stop: CancellationToken,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams {
            room: Arc::new(Semaphore::new(MOST)),
            stop: CancellationToken::new(),
        }
    }
}

impl Streams {
    /// Room for one more, if there is any.
    fn begin(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }
}

fn full() -> Response {
    let words = format!("{MOST} streams are open already: close one, or ask again later");
    let words = json!({"error": words});
    (StatusCode::SERVICE_UNAVAILABLE, Json(words)).into_response()
}

/// Which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TapQuery {
    /// Of this target.
    target: Option<String>,
    /// With this event type, or of calls, this step.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of this session, or its `key`.
    session: Option<String>,
}

/// Events, calls and replies as they happen, as server-sent events of the type `line`; texts hidden. Who reads
/// slowly misses lines and gets a `missed` with their number.
#[utoipa::path(
    get, path = "/v1/tap", tag = "live", params(TapQuery),
    responses(
        (status = 200, description = "A stream of `line` and `missed`.", content_type = "text/event-stream", body = Line),
        (status = 404, description = "The ledger knows nothing of the session."),
        (status = 503, description = "Too many streams are open, or the ledger cannot be read."),
    )
)]
pub(crate) async fn tap(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<TapQuery>,
) -> Response {
    let Some(permit) = admin.streams.begin() else {
        return full();
    };
    let given = |word: Option<String>| word.filter(|word| !word.is_empty());
    let session = match given(query.session) {
        None => None,
        Some(key) => match admin.session_called(&key).await {
            Ok(Some(session)) => Some(session),
            Ok(None) => {
                let words = json!({"error": "the ledger knows nothing of this session"});
                return (StatusCode::NOT_FOUND, Json(words)).into_response();
            }
            Err(error) => return failed(&error),
        },
    };
    let targets = admin.engine.targets.values();
    let ways_back = targets.filter(|target| connectors::is_way_back(target.kind));
    let wanted = Wanted {
        target: given(query.target),
        kind: given(query.kind),
        session,
        ways_back: ways_back.map(|target| target.name.clone()).collect(),
    };
    let ear = match Ear::begin(&*admin.view, wanted).await {
        Ok(ear) => ear,
        Err(error) => return failed(&error),
    };
    let told = Told {
        admin,
        waiting: VecDeque::from([Event::default().comment("listening")]),
        _permit: permit,
    };
    answer(lines(told, ear))
}

/// What is told next, and what it takes to tell more.
struct Told {
    admin: Arc<Admin>,
    waiting: VecDeque<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Told {
    /// Waits for the next time to ask the ledger; false when everything ends.
    async fn next(&self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => true,
            () = self.admin.streams.stop.cancelled() => false,
        }
    }
}

fn answer(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response();
    // A proxy that gathers answers would hold the lines back.
    let headers = response.headers_mut();
    headers.insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    response
}

fn named(name: &str, value: &Value) -> Event {
    Event::default().event(name).data(value.to_string())
}

fn lines(told: Told, ear: Ear) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((told, ear), |(mut told, mut ear)| async move {
        loop {
            if let Some(event) = told.waiting.pop_front() {
                return Some((Ok(event), (told, ear)));
            }
            if !told.next().await {
                return None;
            }
            // A ledger that is away is asked again.
            let Ok((found, missed)) = ear.listen(&*told.admin.view).await else {
                continue;
            };
            if missed > 0 {
                told.waiting
                    .push_back(named("missed", &json!({"missed": missed})));
            }
            told.waiting
                .extend(found.iter().map(|line| named("line", &json!(line))));
        }
    })
}

/// Which parts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LiveQuery {
    /// Names of a page's parts, with commas between them.
    parts: String,
    /// The page's path: where it is a conversation's, only what happens there counts.
    page: Option<String>,
    /// The id of the last event that was heard, as `Last-Event-ID` has it.
    after: Option<String>,
}

/// Tells which parts of a page may have changed: `{part, version}`, at most one a second for each.
#[utoipa::path(
    get, path = "/v1/live", tag = "live", params(LiveQuery),
    responses(
        (status = 200, description = "A stream of `{part, version}`.", content_type = "text/event-stream"),
        (status = 400, description = "No part is named, or too many."),
        (status = 503, description = "Too many streams are open, or the ledger cannot be read."),
    )
)]
pub(crate) async fn live(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    Query(query): Query<LiveQuery>,
) -> Response {
    let parts: Vec<String> = query
        .parts
        .split(',')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let is_name = |part: &String| {
        part.len() <= 40
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    if parts.is_empty() || parts.len() > MAX_PARTS || !parts.iter().all(is_name) {
        return refuse("parts must name 1 to 32 parts of a page, with commas between them");
    }
    let Some(permit) = admin.streams.begin() else {
        return full();
    };
    let key = query
        .page
        .as_deref()
        .and_then(|page| page.strip_prefix("/conversations/"))
        .map(percent_decoded);
    let session = match key {
        None => None,
        Some(key) => match admin.session_called(&key).await {
            Ok(session) => session,
            Err(error) => return failed(&error),
        },
    };
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned)
        .or(query.after)
        .unwrap_or_default();
    let told = Told {
        admin,
        waiting: VecDeque::new(),
        _permit: permit,
    };
    let watch = Watch {
        parts,
        session,
        last,
        quiet: QUIET,
        first: true,
    };
    answer(versions(told, watch))
}

fn percent_decoded(key: &str) -> String {
    let pair = format!("k={}", key.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// What a page watches.
struct Watch {
    parts: Vec<String>,
    session: Option<String>,
    last: String,
    /// How often nothing had changed.
    quiet: u32,
    first: bool,
}

fn versions(told: Told, watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((told, watch), |(mut told, mut watch)| async move {
        loop {
            if let Some(event) = told.waiting.pop_front() {
                return Some((Ok(event), (told, watch)));
            }
            if !watch.first && !told.next().await {
                return None;
            }
            watch.first = false;
            watch.quiet += 1;
            let now = version(&*told.admin.view, watch.session.as_deref()).await;
            if let Ok(now) = now.as_ref().map(String::as_str)
                && now != watch.last
            {
                now.clone_into(&mut watch.last);
                watch.quiet = 0;
                for part in &watch.parts {
                    let data = json!({"part": part, "version": now}).to_string();
                    told.waiting.push_back(Event::default().id(now).data(data));
                }
            } else if watch.quiet >= QUIET && now.is_ok() {
                watch.quiet = 0;
                told.waiting.push_back(Event::default().data("{}"));
            }
        }
    })
}
