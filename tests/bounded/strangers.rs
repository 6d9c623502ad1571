//! Strangers, without any secret: bodies for nobody, bodies that only a signature could tell from
//! Meta's, heads without end, clients that ask and never read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::alone::Alone;
use crate::memory::Memory;

/// Connections with bodies at a time, and how often they come again.
const BODIES: usize = 150;
const TIMES: usize = 3;
/// As many connections as the public listener takes.
const HEADS: usize = 512;
/// What nothing here may reach, in megabytes.
const BOUND: u64 = 128;
/// How long a stranger keeps on writing; what the daemon does not take by then stays unsent.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn run() {
    let daemon = Alone::start().await;
    println!("strangers: before them {}", Memory::of(daemon.process()));
    let signed = format!("x-hub-signature-256: sha256={}\r\n", "0".repeat(64));
    let body = vec![b'x'; 4_000_000];
    for (what, path, headers) in [
        ("for nobody", "/webhooks/nobody/x", ""),
        ("with a false signature", "/webhooks/whatsapp", &*signed),
        ("for the events, without the token", "/v1/events", ""),
    ] {
        for _ in 0..TIMES {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n",
                body.len() + 1
            );
            hold(&daemon, BODIES, &[head.as_bytes(), &body].concat()).await;
        }
        say(
            &daemon,
            &format!("{TIMES} × {BODIES} bodies of 4 MB {what}"),
        )
        .await;
    }
    let head = format!(
        "GET /webhooks/nobody HTTP/1.1\r\nlong: {}",
        "x".repeat(60_000)
    );
    hold(&daemon, HEADS, head.as_bytes()).await;
    say(&daemon, &format!("{HEADS} heads of 60 KB without an end")).await;
    let ask = "GET /webhooks/nobody HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50_000);
    hold(&daemon, BODIES, ask.as_bytes()).await;
    say(
        &daemon,
        &format!("{BODIES} clients that ask and never read"),
    )
    .await;
}

/// Opens so many connections, lets each write what the daemon takes, and asks how it is meanwhile.
async fn hold(daemon: &Alone, count: usize, words: &[u8]) {
    let words: Arc<[u8]> = words.into();
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (at, words) = (daemon.public, Arc::clone(&words));
        strangers.spawn(async move {
            let mut stream = TcpStream::connect(at).await.unwrap();
            // It is cut in the middle where the daemon has answered already.
            let _ = tokio::time::timeout(PATIENCE, stream.write_all(&words)).await;
            stream
        });
    }
    let began = Instant::now();
    assert_eq!(daemon.get("/healthz").await.0, 200);
    let took = began.elapsed();
    assert!(took < PATIENCE, "health took {took:?}");
    let held = strangers.join_all().await;
    assert_eq!(held.len(), count);
}

async fn say(daemon: &Alone, what: &str) {
    let memory = Memory::of(daemon.process()).below(BOUND);
    println!("  {what}: {memory}");
}
