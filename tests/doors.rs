//! What strangers can do to a daemon that listens: without any secret, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "its other parts are used by other tests")]
mod alone;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use alone::{Alone, SOON};

/// The public listener takes so many connections at a time.
const CONNECTIONS: usize = 512;

async fn connected(daemon: &Alone, words: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.public).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    stream
}

/// What is answered to these bytes until the connection is closed.
async fn said(daemon: &Alone, words: &str) -> String {
    let mut stream = connected(daemon, words).await;
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(SOON, read)
        .await
        .expect("closed")
        .unwrap();
    answer
}

#[tokio::test]
async fn health_answers_while_half_heads_fill_the_public_listener() {
    let daemon = Alone::start().await;
    let mut half = Vec::new();
    for _ in 0..CONNECTIONS + 20 {
        half.push(connected(&daemon, "POST /v1/events HTTP/1.1\r\nho").await);
    }
    for path in ["/healthz", "/readyz", "/metrics", "/v1/parked"] {
        let answer = tokio::time::timeout(Duration::from_secs(5), daemon.get(path)).await;
        assert_eq!(answer.unwrap().0, 200, "{path}");
    }
}

#[tokio::test]
async fn nothing_of_operators_is_on_the_public_listener() {
    let daemon = Alone::start().await;
    for path in ["/healthz", "/readyz", "/metrics", "/v1/parked", "/v1/lanes"] {
        let asked = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = said(&daemon, &asked).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

/// The length says 4 MB and not a byte of it comes: the answer does not wait for it.
#[tokio::test]
async fn who_has_no_business_here_is_answered_from_the_head() {
    let daemon = Alone::start().await;
    for (path, status) in [
        ("/webhooks/nobody/x", "401"),
        ("/webhooks/nobody", "401"),
        ("/webhooks/hubspot/not-the-token", "401"),
        ("/webhooks/whatsapp", "401"),
        ("/elsewhere", "404"),
        ("/v1/events", "401"),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n");
        let answer = said(&daemon, &head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {answer}"
        );
    }
    let long = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 40000000\r\n\r\n",
        daemon.token
    );
    let answer = said(&daemon, &long).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}
