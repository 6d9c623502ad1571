//! The bounds, tried over real sockets.

mod proxied;
mod tls;

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
    place_with(bounds, None).await
}

async fn place_with(bounds: Bounds, certificate: Option<Certificate>) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/take", post(|body: String| async move { body }))
        .route("/much", get(|| async { "x".repeat(1 << 20) }))
        .route("/never", get(std::future::pending::<&str>))
        .route("/refuse", post(|| async { unread("no\n".into_response()) }));
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(
        listener,
        routes,
        bounds,
        certificate.map(Arc::new),
        stop.clone(),
    ));
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
    let half =
        "POST /take HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhalf";
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
