//! The daemon's HTTP server: axum's routes behind bounds that axum's own server does not have.
//!
//! A client that says half of what it wanted to say, or nothing, must not hold a connection for ever,
//! and connections must not come without number: what is beyond waits to be accepted.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at a time.
    pub connections: usize,
    /// From a connection's beginning, or the last answer on it, to the end of the next request's
    /// head. An idle connection is closed after it.
    pub head: Duration,
    /// From the end of a request's head to its answer: the body's arrival and our work.
    pub request: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 512,
            head: Duration::from_secs(30),
            request: Duration::from_secs(120),
        }
    }
}

/// Serves until stopped, then answers what was asked already.
pub async fn serve(listener: TcpListener, routes: Router, bounds: Bounds, stop: CancellationToken) {
    let limited =
        middleware::from_fn(move |request: Request, next: Next| in_time(bounds, request, next));
    let routes = routes.layer(limited);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(bounds.connections));
    while let Some(Some((stream, permit))) =
        stop.run_until_cancelled(accept(&listener, &room)).await
    {
        // Answers are small; waiting to fill a packet would only delay them. It works without, too.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(routes.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client that broke off or was too slow; its requests were logged where they were handled.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, permit)),
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

async fn in_time(bounds: Bounds, request: Request, next: Next) -> Response {
    match tokio::time::timeout(bounds.request, next.run(request)).await {
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
            .route("/take", post(|body: String| async move { body }));
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
    async fn stopping_ends_idle_connections() {
        let place = place(Bounds::default()).await;
        assert!(said(&place, WHOLE).await.ends_with("alive\n"));
        let _idle = TcpStream::connect(place.address).await.unwrap();
        place.stop.cancel();
        place.server.await.unwrap();
    }
}
