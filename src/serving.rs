//! The daemon's HTTP server: axum's routes behind bounds that axum's own server does not have.
//!
//! A client that says half of what it wanted to say, or nothing, or does not take what it is told,
//! must not hold a connection for ever, and connections must not come without number: what is beyond
//! waits to be accepted, and one address alone cannot have them all.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `bodies` | request bodies: how long, how slow, how many bytes at a time |
//! | `forwarded` | whom a request is from when it came by a proxy |
//! | `patience` | a connection with a deadline for writes |
//! | `peers` | connections by address |
//! | `token` | what a request shows: a client's token, a signature's digits |
//! | `tls` | the certificate, read again when it changes |

mod bodies;
mod forwarded;
mod patience;
mod peers;
mod tls;
mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use self::bodies::{Held, Room, Unread};
use self::forwarded::ByProxy;
pub(crate) use self::forwarded::client;
use self::patience::Patient;
pub(crate) use self::peers::owner;
use self::peers::{Peers, Seat};
pub use self::tls::{Certificate, Unusable};
pub use self::token::authorised;
pub(crate) use self::token::{bearer, unhex};
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
    /// Whose connections are other people's: of theirs, the requests under way are counted by the
    /// address that the proxy names.
    pub proxies: Vec<Network>,
    /// The TLS handshake as a whole.
    pub handshake: Duration,
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
            handshake: Duration::from_secs(10),
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

/// The other end of a request's connection, in its extensions: a client, or a proxy.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// An answer to a request whose body was not wanted: the connection ends with it.
#[must_use]
pub fn unread(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Serves until stopped, then answers what was asked already. With a certificate, TLS is spoken and
/// nothing else.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    bounds: Bounds,
    certificate: Option<Arc<Certificate>>,
    stop: CancellationToken,
) {
    let within = bounds.request;
    let limited =
        middleware::from_fn(move |request: Request, next: Next| in_time(within, request, next));
    let room = Arc::new(Semaphore::new(bounds.connections));
    let peers = Peers::new(bounds.per_address, &bounds.proxies);
    let seated = middleware::from_fn_with_state(peers.clone(), forwarded::seated);
    let routes = routes.layer(limited).layer(seated);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MAX_HEAD);
    let graceful = GracefulShutdown::new();
    if let Some(certificate) = &certificate {
        tokio::spawn(Arc::clone(certificate).follow(stop.clone()));
    }
    while let Some(Some(accepted)) = stop
        .run_until_cancelled(accept(&listener, &room, &peers))
        .await
    {
        // Answers are small; waiting to fill a packet would only delay them. It works without, too.
        let _ = accepted.stream.set_nodelay(true);
        let stream = Patient::new(accepted.stream, bounds.write);
        let (by_proxy, peer) = (accepted.by_proxy, accepted.peer);
        let routes = TowerToHyperService::new(routes.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            if by_proxy {
                request.extensions_mut().insert(ByProxy);
            }
            routes.call(request)
        });
        let place = (accepted.permit, accepted.seat);
        let Some(certificate) = &certificate else {
            let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                // A client that broke off or was too slow; its requests were logged where they were
                // handled.
                let _ = connection.await;
                drop(place);
            });
            continue;
        };
        let handshake = certificate.acceptor().accept(stream);
        let handshake = tokio::time::timeout(bounds.handshake, handshake);
        let (http, watcher, stop) = (http.clone(), graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            // Nothing was asked yet, so a stop need not wait for it.
            if let Some(Ok(Ok(stream))) = stop.run_until_cancelled(handshake).await {
                let connection = http.serve_connection(TokioIo::new(stream), service);
                // As above.
                let _ = watcher.watch(connection).await;
            }
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
    by_proxy: bool,
    peer: IpAddr,
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
                        by_proxy: peers.is_proxy(peer.ip()),
                        peer: peer.ip(),
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
mod tests;
