//! A request on its way through: its place in the journal, and the ways in which it can be answered.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use handoffd_contract::sandbox::Request;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::journal::{Entry, Outcome};
use super::rules::Answer;
use super::served::{LARGE, Served};
use super::wire::Peer;

/// How much of a path and of a query is kept.
const ADDRESS: usize = 2_000;

/// A request's place in the journal. Dropped without an answer, it says that the client left.
pub(super) struct Ticket {
    served: Arc<Served>,
    started: Instant,
    entry: Option<Entry>,
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub response_bytes: u64,
}

impl Ticket {
    pub(super) fn start(served: &Arc<Served>, method: &str, path: &str, query: &str) -> Ticket {
        let entry = Entry {
            n: served.start(),
            at: served.clock.now(),
            ms: 0,
            method: method.to_owned(),
            path: path.chars().take(ADDRESS).collect(),
            query: query.chars().take(ADDRESS).collect(),
            status: None,
            outcome: Outcome::Left,
            fault: None,
            request_bytes: 0,
            request_sha256: String::new(),
            response_bytes: 0,
            body: Vec::new(),
        };
        Ticket {
            served: Arc::clone(served),
            started: Instant::now(),
            entry: Some(entry),
            outcome: Outcome::Left,
            status: None,
            response_bytes: 0,
        }
    }

    /// Notes the body's size, digest and beginning.
    pub(super) async fn note_request(&mut self, request: Request) -> Request {
        let digest = |body: &[u8]| {
            Sha256::digest(body)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let (request, sha256) = if request.body.len() < LARGE {
            let sha256 = digest(&request.body);
            (request, sha256)
        } else {
            let work = tokio::task::spawn_blocking(move || {
                let sha256 = digest(&request.body);
                (request, sha256)
            });
            work.await.unwrap_or_default()
        };
        if let Some(entry) = &mut self.entry {
            entry.request_bytes = request.body.len() as u64;
            entry.request_sha256 = sha256;
            entry.body = request.body[..request.body.len().min(LARGE)].to_vec();
        }
        request
    }

    pub(super) fn struck(&mut self, kind: &'static str) {
        self.served.happened(kind);
        if let Some(entry) = &mut self.entry {
            entry.fault = Some(kind);
        }
    }

    pub(super) fn answer(self, answer: &Answer) -> Response {
        let mut headers: Vec<(String, String)> = answer.headers.clone().into_iter().collect();
        let body = match &answer.body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            json => {
                headers.insert(0, (CONTENT_TYPE.as_str().into(), "application/json".into()));
                json.to_string().into_bytes()
            }
        };
        self.respond(answer.status, &headers, Body::from(body))
    }

    pub(super) fn respond(
        mut self,
        status: u16,
        headers: &[(String, String)],
        body: Body,
    ) -> Response {
        self.status = Some(status);
        if self.outcome == Outcome::Left {
            self.outcome = Outcome::Answered;
        }
        build(status, headers, body)
    }

    pub(super) fn drop_connection(mut self, peer: &Peer, reset: bool) -> Response {
        self.outcome = Outcome::Dropped;
        peer.cut(reset);
        // Cut off before a byte of it can leave.
        Response::new(Body::empty())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            entry.status = self.status;
            entry.outcome = self.outcome;
            entry.response_bytes = self.response_bytes;
            self.served.finish(entry);
        }
    }
}

/// A response; headers that HTTP does not allow are left out.
pub(super) fn build(status: u16, headers: &[(String, String)], body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()),
        ) else {
            continue;
        };
        // The server says itself how long the body is.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            response.headers_mut().append(name, value);
        }
    }
    response
}
