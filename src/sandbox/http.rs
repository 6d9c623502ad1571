//! A simulator's own port: reads a request whole, lets faults strike, asks the simulator, answers.
//!
//! Once a request was read, its effect happens even when the client leaves: as at a real server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures::{StreamExt, stream};
use handoffd_contract::sandbox::{self, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::body::{self, Piece};
use super::journal::Outcome;
use super::rules::{Answer, Fault, Place, When};
use super::served::{LARGE, Served};
use super::streams::{self, Opening};
use super::ticket::{Ticket, build};
use super::wire::Peer;

/// What the handler of one port needs.
pub(super) struct Site {
    pub served: Arc<Served>,
    /// The most bytes of a body.
    pub max_body: usize,
    /// The KiB that large bodies of all simulators may take together.
    pub memory: Arc<Semaphore>,
    pub stop: CancellationToken,
}

/// The service of a simulator's port.
pub(super) fn router(site: Site) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(site))
}

async fn serve(
    State(site): State<Arc<Site>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let peer = peer.of(head.version);
    let query = head.uri.query().unwrap_or_default().to_owned();
    let mut ticket = Ticket::start(&site.served, head.method.as_str(), head.uri.path(), &query);
    let (bytes, permit) = match read(&site, &head.headers, body).await {
        Ok(read) => read,
        Err(Unread::TooLarge) => {
            let words = format!("the simulator reads at most {} bytes\n", site.max_body);
            let answer = Answer {
                status: 413,
                headers: [].into(),
                body: words.into(),
            };
            return ticket.answer(&answer);
        }
        // The client is gone: nobody reads this.
        Err(Unread::Gone) => return Response::new(Body::empty()),
    };
    let request = Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: sandbox::parse_query(&query),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: bytes,
    };
    let address = if query.is_empty() {
        request.path.clone()
    } else {
        format!("{}?{query}", request.path)
    };
    let request = ticket.note_request(request).await;
    let fault = site
        .served
        .strike(Place::Request, &request.method, &address, &request.body);

    match &fault {
        Some(Fault::Status(answer)) => {
            ticket.struck("status");
            return ticket.answer(answer);
        }
        Some(Fault::DropBefore { reset }) => {
            ticket.struck("drop_before");
            return ticket.drop_connection(&peer, *reset);
        }
        Some(Fault::Hang {
            when: When::Before,
            ms,
        }) => {
            ticket.struck("hang");
            hang(&site, *ms).await;
            return ticket.drop_connection(&peer, false);
        }
        Some(Fault::Delay { .. }) => ticket.struck("delay"),
        _ => {}
    }
    let slow = match fault {
        Some(Fault::Delay {
            ms,
            when: When::Before,
        }) => Duration::from_millis(ms),
        _ => Duration::ZERO,
    };
    let method = request.method.clone();
    let effect = tokio::spawn(effect(Arc::clone(&site), request, slow, permit));
    let Some(response) = effect.await.ok().flatten() else {
        ticket.outcome = Outcome::Panicked;
        return ticket.answer(&Answer {
            status: 500,
            headers: [].into(),
            body: "the simulator panicked\n".into(),
        });
    };

    match &fault {
        Some(Fault::After(answer)) => {
            ticket.struck("after");
            return ticket.answer(answer);
        }
        Some(Fault::DropAfter { reset }) => {
            ticket.struck("drop_after");
            return ticket.drop_connection(&peer, *reset);
        }
        Some(Fault::Hang { ms, .. }) => {
            ticket.struck("hang");
            hang(&site, *ms).await;
            return ticket.drop_connection(&peer, false);
        }
        Some(Fault::Delay {
            ms,
            when: When::After,
        }) => sleep(Duration::from_millis(*ms)).await,
        _ => {}
    }
    if let Some(stream) = response.stream {
        let stop = site.stop.clone();
        let opening = Opening {
            method,
            path: address,
            stream,
            first: response.body,
            peer,
            stop,
        };
        ticket.outcome = Outcome::Streaming;
        ticket.status = Some(response.status);
        let mut headers = response.headers;
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("content-type".into(), "text/event-stream".into()));
        }
        return build(
            response.status,
            &headers,
            streams::open(&site.served, opening),
        );
    }
    let bytes = Bytes::from(response.body);
    ticket.response_bytes = bytes.len() as u64;
    let (body, length) = spoil(&mut ticket, fault.as_ref(), bytes, peer);
    let mut built = ticket.respond(response.status, &response.headers, body);
    if let Some(length) = length {
        built
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    built
}

/// The effect of a request on the simulator; none when it panicked.
async fn effect(
    site: Arc<Site>,
    request: Request,
    slow: Duration,
    permit: Option<OwnedSemaphorePermit>,
) -> Option<sandbox::Response> {
    let _permit = permit;
    sleep(slow).await;
    site.served.handle(request).await
}

async fn hang(site: &Site, ms: u64) {
    tokio::select! {
        () = sleep(Duration::from_millis(ms)) => {}
        () = site.stop.cancelled() => {}
    }
}

/// The body as a fault leaves it, and the length to announce where it does not follow from the body.
fn spoil(
    ticket: &mut Ticket,
    fault: Option<&Fault>,
    bytes: Bytes,
    peer: Peer,
) -> (Body, Option<usize>) {
    let whole = bytes.len();
    let pieces = match fault {
        Some(Fault::Truncate { at }) if whole > 0 => {
            ticket.struck("truncate");
            let kept = at.unwrap_or(whole / 2).min(whole - 1);
            stream::iter([Piece::Give(bytes.slice(..kept)), Piece::Cut]).boxed()
        }
        Some(Fault::SlowBody {
            bytes: size,
            every_ms,
        }) if whole > 0 => {
            ticket.struck("slow_body");
            let pause = Duration::from_millis(*every_ms);
            let parts = body::split(bytes, *size);
            stream::iter(parts.flat_map(move |part| [Piece::Give(part), Piece::Pause(pause)]))
                .boxed()
        }
        Some(Fault::Garbage { body }) => {
            ticket.struck("garbage");
            let garbage = body
                .clone()
                .map_or_else(|| b"\xff{\"id\": <oops".to_vec(), String::into_bytes);
            return (Body::from(garbage), None);
        }
        _ => return (Body::from(bytes), None),
    };
    (body::body(pieces, peer), Some(whole))
}

enum Unread {
    TooLarge,
    Gone,
}

/// Reads a body. A large one waits for its share of the memory; one whose length is not announced takes
/// the share of the largest once it grows large, in one go, so that no two wait for each other.
async fn read(
    site: &Site,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Unread> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > site.max_body) {
        return Err(Unread::TooLarge);
    }
    let mut permit = None;
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(LARGE));
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::Gone)?;
        let length = bytes.len() + chunk.len();
        if length > site.max_body {
            return Err(Unread::TooLarge);
        }
        if length > LARGE && permit.is_none() {
            let share = u32::try_from(announced.unwrap_or(site.max_body) >> 10).unwrap_or(u32::MAX);
            permit = Arc::clone(&site.memory)
                .acquire_many_owned(share)
                .await
                .ok();
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, permit))
}
