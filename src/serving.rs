//! The daemon's HTTP server: axum's routes behind bounds that axum's own server does not have.
//!
//! A client that says half of what it wanted to say, or nothing, or does not take what it is told,
//! must not hold a connection for ever, and connections must not come without number: what is beyond
//! waits to be accepted, and one address alone cannot have them all.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `bodies` | request bodies: how long, how slow, how many bytes at a time |
//! | `patience` | a connection with a deadline for writes |
//! | `peers` | connections by address |

mod bodies;
mod patience;
mod peers;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use self::bodies::{Held, Room, Unread};
use self::patience::Patient;
use self::peers::{Peers, Seat};
use crate::config::Network;
use crate::seldom::Seldom;

/// The most bytes of a request's head, and about the most of an answer that are held for a client
/// that does not take them.
const MAX_HEAD: usize = 64 << 10;

/// What clients may take.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at a time.
    pub connections: usize,
    /// Of them, how many of one address.
    pub per_address: usize,
    /// Whose connections are other people's, so that they are not counted by address.
    pub proxies: Vec<Network>,
    /// From a connection's beginning, or the last answer on it, to the end of the next request's
    /// head. An idle connection is closed after it.
    pub head: Duration,
    /// From the end of a request's head to its answer: the body's arrival and our work.
    pub request: Duration,
    /// From the first time that the client did not take what was written until it has taken it all.
    pub write: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 512,
            per_address: 128,
            proxies: Network::loopback(),
            head: Duration::from_secs(30),
            request: Duration::from_secs(120),
            write: Duration::from_secs(30),
        }
    }
}

impl Bounds {
    /// For a listener of operators and their machines.
    #[must_use]
    pub fn for_operators() -> Bounds {
        Bounds {
            connections: 64,
            per_address: 32,
            ..Bounds::default()
        }
    }
}

/// An answer to a request whose body was not wanted: the connection ends with it.
#[must_use]
pub fn unread(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Serves until stopped, then answers what was asked already.
pub async fn serve(listener: TcpListener, routes: Router, bounds: Bounds, stop: CancellationToken) {
    let within = bounds.request;
    let limited =
        middleware::from_fn(move |request: Request, next: Next| in_time(within, request, next));
    let routes = routes.layer(limited);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MAX_HEAD);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(bounds.connections));
    let peers = Peers::new(bounds.per_address, &bounds.proxies);
    while let Some(Some(accepted)) = stop
        .run_until_cancelled(accept(&listener, &room, &peers))
        .await
    {
        // Answers are small; waiting to fill a packet would only delay them. It works without, too.
        let _ = accepted.stream.set_nodelay(true);
        let stream = Patient::new(accepted.stream, bounds.write);
        let service = TowerToHyperService::new(routes.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        let place = (accepted.permit, accepted.seat);
        tokio::spawn(async move {
            // A client that broke off or was too slow; its requests were logged where they were handled.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// A connection, and its place among those that there may be.
struct Accepted {
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    seat: Seat,
}

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>, peers: &Peers) -> Option<Accepted> {
    static TOO_MANY: Seldom = Seldom::new();
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match peers.seat(peer.ip()) {
                Some(seat) => {
                    return Some(Accepted {
                        stream,
                        permit,
                        seat,
                    });
                }
                None => {
                    if let Some(more) = TOO_MANY.now() {
                        tracing::warn!(
                            address = %peer.ip(), more,
                            "an address has as many connections as it may; a proxy belongs into http.trusted_proxies"
                        );
                    }
                }
            },
            // The client's own failure says nothing of the next one's; ours, such as too many open
            // files, needs time.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn in_time(within: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(within, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const WHOLE: &str = "GET /healthz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    const FOREVER: Duration = Duration::from_secs(3_600);

    struct Place {
        address: std::net::SocketAddr,
        stop: CancellationToken,
        server: tokio::task::JoinHandle<()>,
    }

    async fn place(bounds: Bounds) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/take", post(|body: String| async move { body }))
            .route("/much", get(|| async { "x".repeat(1 << 20) }))
            .route("/refuse", post(|| async { unread("no\n".into_response()) }));
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, routes, bounds, stop.clone()));
        Place {
            address,
            stop,
            server,
        }
    }

    /// Sends these bytes and reads until the server closes.
    async fn said(place: &Place, words: &str) -> String {
        let mut stream = TcpStream::connect(place.address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        let whole = tokio::time::timeout(Duration::from_secs(20), read).await;
        whole.expect("closed").unwrap();
        answer
    }

    #[tokio::test]
    async fn half_a_head_is_not_waited_for_for_ever() {
        let bounds = Bounds {
            connections: 1,
            head: Duration::from_millis(100),
            request: FOREVER,
            ..Bounds::default()
        };
        let place = place(bounds).await;
        for half in ["", "GET /healthz HTTP/1.1\r\nhost:"] {
            let answer = said(&place, half).await;
            assert!(!answer.contains("200"), "{answer}");
        }
        assert!(said(&place, WHOLE).await.ends_with("alive\n"));
    }

    #[tokio::test]
    async fn half_a_body_is_not_waited_for_for_ever() {
        let bounds = Bounds {
            request: Duration::from_millis(100),
            ..Bounds::default()
        };
        let place = place(bounds).await;
        let half = "POST /take HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhalf";
        let answer = said(&place, half).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_wait_for_room() {
        let bounds = Bounds {
            connections: 1,
            ..Bounds::default()
        };
        let place = place(bounds).await;
        let mut first = TcpStream::connect(place.address).await.unwrap();
        first
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: here\r\n\r\n")
            .await
            .unwrap();
        let mut byte = [0];
        first.read_exact(&mut byte).await.unwrap();
        let mut second = Box::pin(said(&place, WHOLE));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
        assert!(early.is_err(), "{early:?}");
        drop(first);
        assert!(second.await.ends_with("alive\n"));
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_cut() {
        let bounds = Bounds {
            connections: 1,
            head: FOREVER,
            request: FOREVER,
            write: Duration::from_millis(200),
            ..Bounds::default()
        };
        let place = place(bounds).await;
        let mut deaf = TcpStream::connect(place.address).await.unwrap();
        let asked = "GET /much HTTP/1.1\r\nhost: here\r\n\r\n".repeat(50);
        deaf.write_all(asked.as_bytes()).await.unwrap();
        // There is one place, and it becomes free only when that client is cut.
        assert!(said(&place, WHOLE).await.ends_with("alive\n"));
    }

    #[tokio::test]
    async fn a_client_that_reads_byte_by_byte_is_cut_as_well() {
        let bounds = Bounds {
            connections: 1,
            head: FOREVER,
            request: FOREVER,
            write: Duration::from_millis(300),
            ..Bounds::default()
        };
        let place = place(bounds).await;
        let mut slow = TcpStream::connect(place.address).await.unwrap();
        let asked = "GET /much HTTP/1.1\r\nhost: here\r\n\r\n".repeat(50);
        slow.write_all(asked.as_bytes()).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            let mut some = vec![0; 20_000];
            loop {
                tick.tick().await;
                if !slow.read(&mut some).await.is_ok_and(|read| read > 0) {
                    break;
                }
            }
        });
        assert!(said(&place, WHOLE).await.ends_with("alive\n"));
        reading.abort();
    }

    #[tokio::test]
    async fn one_address_cannot_have_every_connection() {
        let bounds = Bounds {
            per_address: 2,
            proxies: Vec::new(),
            ..Bounds::default()
        };
        let place = place(bounds).await;
        let _first = TcpStream::connect(place.address).await.unwrap();
        let _second = TcpStream::connect(place.address).await.unwrap();
        let mut third = TcpStream::connect(place.address).await.unwrap();
        let mut byte = [0];
        let end = tokio::time::timeout(Duration::from_secs(20), third.read(&mut byte)).await;
        assert!(
            end.expect("cut").map_or(true, |read| read == 0),
            "no answer"
        );
        let other = tokio::net::TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = other.connect(place.address).await.unwrap();
        other.write_all(WHOLE.as_bytes()).await.unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("alive\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let place = place(Bounds::default()).await;
        let long = format!(
            "GET /healthz HTTP/1.1\r\nlong: {}\r\n",
            "x".repeat(2 * MAX_HEAD)
        );
        let answer = said(&place, &long).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    #[tokio::test]
    async fn a_refusal_does_not_wait_for_the_body_and_reaches_who_still_sends_it() {
        let place = place(Bounds::default()).await;
        let head = "POST /refuse HTTP/1.1\r\nhost: here\r\ncontent-length: 4000000\r\n\r\n";
        assert!(said(&place, head).await.ends_with("no\n"));
        let whole = format!("{head}{}", "x".repeat(4_000_000));
        let answer = said(&place, &whole).await;
        assert!(answer.ends_with("no\n"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }

    #[tokio::test]
    async fn stopping_ends_idle_connections() {
        let place = place(Bounds::default()).await;
        assert!(said(&place, WHOLE).await.ends_with("alive\n"));
        let _idle = TcpStream::connect(place.address).await.unwrap();
        place.stop.cancel();
        place.server.await.unwrap();
    }
}
