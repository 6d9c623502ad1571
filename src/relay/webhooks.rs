//! Webhooks: authenticated in constant time, stored as they came, then answered.
//!
//! The answer says only that the webhook is kept. What it means is found out afterwards
//! ([`super::webhook_queue`]), so a slow CRM never times out on us and nothing depends on its retries.
//!
//! Target, path token and whatever else the head shows are judged before a byte of the body is
//! read. A body that only its signature can tell from a stranger's has a room of its own, so that
//! what strangers send is bounded and takes no room from those who know the path's secret.

mod verifier;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;

use self::verifier::{Shown, WebhookRequest};
pub use self::verifier::{Verifier, names};
use crate::ledger::WebhookLedger;
use crate::seldom::Seldom;
use crate::serving::{Room, Unread, unread};

/// The most bytes of a webhook. Meta's limit is 3 MB.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// The most bytes of all webhooks that are being read, for each of the two rooms.
const ROOM: usize = 16 * 1024 * 1024;
/// How long a body may take to arrive.
const WITHIN: Duration = Duration::from_secs(30);

/// How each target's webhooks authenticate, with the secrets' values, and the room that there is.
#[derive(Clone)]
struct Webhooks {
    ledger: Arc<dyn WebhookLedger>,
    targets: Arc<BTreeMap<String, Verifier>>,
    /// For bodies of which only the signature tells whose they are.
    strangers: Room,
    /// For bodies of those who know the path's secret.
    known: Room,
}

/// The routes `/webhooks/{target}` and `/webhooks/{target}/{token}`.
pub fn routes(ledger: Arc<dyn WebhookLedger>, targets: BTreeMap<String, Verifier>) -> Router {
    routed(Webhooks {
        ledger,
        targets: Arc::new(targets),
        strangers: Room::new(ROOM),
        known: Room::new(ROOM),
    })
}

fn routed(state: Webhooks) -> Router {
    Router::new()
        .route("/webhooks/{target}", get(challenge).post(bare))
        .route(
            "/webhooks/{target}/{token}",
            get(challenge_at).post(with_token),
        )
        .with_state(state)
}

async fn bare(
    State(state): State<Webhooks>,
    Path(target): Path<String>,
    request: Request,
) -> Response {
    taken(&state, &target, "", request).await
}

async fn with_token(
    State(state): State<Webhooks>,
    Path((target, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    taken(&state, &target, &token, request).await
}

/// Judges the head, then reads and judges the body, then stores it.
async fn taken(state: &Webhooks, target: &str, token: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let webhook = WebhookRequest {
        method: &parts.method,
        query: parts.uri.query().unwrap_or(""),
        token,
        headers: &parts.headers,
        now: Timestamp::now(),
    };
    let verifier = state.targets.get(target);
    let shown = verifier.map_or(Shown::Nothing, |verifier| verifier.shown(&webhook));
    let room = match shown {
        Shown::Nothing => return unread(refused(state, target)),
        Shown::Signature => &state.strangers,
        Shown::Secret => &state.known,
    };
    let body = match room.read(body, MAX_BODY, WITHIN).await {
        Ok(body) => body,
        Err(why) => return unread(unreadable(target, why)),
    };
    if !verifier.is_some_and(|verifier| verifier.admits(&webhook, &body)) {
        return refused(state, target);
    }
    store(state, target, webhook.now, &parts.headers, &body).await
}

/// The same answer for an unknown target, a wrong token and a wrong signature; the log says which.
fn refused(state: &Webhooks, target: &str) -> Response {
    static KNOWN: Seldom = Seldom::new();
    static UNKNOWN: Seldom = Seldom::new();
    let known = state.targets.contains_key(target);
    let seldom = if known { &KNOWN } else { &UNKNOWN };
    if let Some(more) = seldom.now() {
        let target: String = target.chars().take(40).collect();
        tracing::warn!(target_name = ?target, known, more, "a webhook was refused");
    }
    (StatusCode::UNAUTHORIZED, "not authenticated\n").into_response()
}

fn unreadable(target: &str, why: Unread) -> Response {
    static SELDOM: Seldom = Seldom::new();
    if let Some(more) = SELDOM.now() {
        tracing::warn!(target_name = %target, ?why, more, "a webhook's body was not taken");
    }
    match why {
        Unread::TooLong(_) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n").into_response()
        }
        Unread::Slow => (
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive\n",
        )
            .into_response(),
        Unread::Broken => (StatusCode::BAD_REQUEST, "the body broke off\n").into_response(),
        Unread::Full => again("no room for the body now; send it again\n"),
    }
}

fn again(words: &'static str) -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    let seconds = HeaderValue::from_static("5");
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

async fn store(
    state: &Webhooks,
    target: &str,
    now: Timestamp,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let kept: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "content-type" | "user-agent"))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let headers = serde_json::to_string(&kept).unwrap_or_else(|_| "[]".into());
    match state.ledger.keep_webhook(now, target, &headers, body).await {
        Ok(new) => {
            tracing::debug!(target_name = %target, new, bytes = body.len(), "a webhook is kept");
            (StatusCode::OK, "kept\n").into_response()
        }
        Err(error) => {
            tracing::error!(target_name = %target, %error, "a webhook could not be kept");
            again("not kept; send it again\n")
        }
    }
}

async fn challenge(
    State(state): State<Webhooks>,
    Path(target): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    answer(&state, &target, &query)
}

async fn challenge_at(
    State(state): State<Webhooks>,
    Path((target, _)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    answer(&state, &target, &query)
}

/// Meta's verification request: the bare challenge comes back when the verify token fits.
/// <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>
fn answer(state: &Webhooks, target: &str, query: &HashMap<String, String>) -> Response {
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    if let Some(verifier) = state.targets.get(target)
        && given("hub.mode") == "subscribe"
        && verifier.verifies(given("hub.verify_token"))
    {
        return (StatusCode::OK, given("hub.challenge").to_owned()).into_response();
    }
    (StatusCode::UNAUTHORIZED, "not authenticated\n").into_response()
}

#[cfg(test)]
mod tests {
    use handoffd_contract::{Secret, WebhookAuth};
    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::serving::{Bounds, serve};

    const SOON: Duration = Duration::from_secs(30);

    struct Place {
        state: Webhooks,
        address: std::net::SocketAddr,
        file: std::path::PathBuf,
    }

    /// A verifier of each kind before rooms of this size.
    async fn place(room: usize) -> Place {
        let file = std::env::temp_dir().join(format!("handoffd-{}.db", uuid::Uuid::new_v4()));
        let ledger = crate::ledger::open(&format!("sqlite:{}", file.display()))
            .await
            .unwrap();
        let secret = |name: &str| Some(SecretString::from(format!("{name}-value")));
        let named = |name: &str| Secret(name.to_owned());
        let doors = [
            (
                "creatio",
                WebhookAuth::PathToken {
                    token: named("token"),
                },
            ),
            (
                "whatsapp",
                WebhookAuth::MetaSha256 {
                    secrets: vec![named("app")],
                    verify_token: named("verify"),
                },
            ),
        ];
        let targets = doors
            .into_iter()
            .map(|(name, auth)| (name.to_owned(), Verifier::new(auth, secret).unwrap()));
        let state = Webhooks {
            ledger,
            targets: Arc::new(targets.collect()),
            strangers: Room::new(room),
            known: Room::new(room),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = routed(state.clone());
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, routes, Bounds::default(), None, stop));
        Place {
            state,
            address,
            file,
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            for ending in ["db", "db-wal", "db-shm"] {
                let _ = std::fs::remove_file(self.file.with_extension(ending));
            }
        }
    }

    /// Announces `length` bytes with a signature that may be right and sends `sent` of them.
    async fn begun(place: &Place, path: &str, length: usize, sent: usize) -> TcpStream {
        let mut stream = TcpStream::connect(place.address).await.unwrap();
        let head = format!(
            "POST /webhooks/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             x-hub-signature-256: sha256={}\r\ncontent-length: {length}\r\n\r\n",
            "0".repeat(64)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; sent]).await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        let read = tokio::time::timeout(SOON, stream.read_to_string(&mut answer));
        read.await.expect("an answer").unwrap();
        answer
    }

    async fn until(what: impl Fn() -> bool) {
        let met = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, met).await.expect("met");
    }

    #[tokio::test]
    async fn bodies_of_strangers_are_bounded_all_together_and_give_their_room_back() {
        let place = place(1_000_000).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(begun(&place, "whatsapp", 4_000_000, 300_000).await);
        }
        let strangers = &place.state.strangers;
        until(|| strangers.taken() >= 3 * 200_000).await;
        let refused = answer(begun(&place, "whatsapp", 600_000, 600_000).await).await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert!(refused.contains("retry-after: 5"), "{refused}");
        assert!(strangers.taken() <= 1_000_000);

        // What is small is judged all the same, and who knows the path's secret has other room.
        let small = answer(begun(&place, "whatsapp", 2, 2).await).await;
        assert!(small.starts_with("HTTP/1.1 401"), "{small}");
        let known = answer(begun(&place, "creatio/token-value", 600_000, 600_000).await).await;
        assert!(known.starts_with("HTTP/1.1 200"), "{known}");

        drop(streams);
        until(|| strangers.taken() == 0).await;
        assert_eq!(place.state.known.taken(), 0);
    }

    #[tokio::test]
    async fn what_the_head_refuses_takes_no_room() {
        let place = place(1_000_000).await;
        for path in [
            "nobody/x",
            "creatio/x",
            "creatio",
            "whatsapp?x=%zz",
            "hubspot",
        ] {
            let length = if path.starts_with("whatsapp") {
                MAX_BODY + 1
            } else {
                4_000_000
            };
            let said = answer(begun(&place, path, length, 0).await).await;
            let status = if length > MAX_BODY { "413" } else { "401" };
            assert!(
                said.starts_with(&format!("HTTP/1.1 {status}")),
                "{path}: {said}"
            );
        }
        assert_eq!(place.state.strangers.taken(), 0);
        assert_eq!(place.state.known.taken(), 0);
    }
}
