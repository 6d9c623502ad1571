//! A large file goes from its source to a CRM.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::routing::get;
use futures::stream;
use handoffd_test_support::eventually;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;

use crate::fleet::{EVENTS, Fleet};
use crate::memory::Memory;
use crate::options::Options;

const PIECE: usize = 64 << 10;
const LONG: Duration = Duration::from_secs(300);
/// What may be needed beside what a daemon has without any file, in megabytes.
const BOUND: u64 = 100;

pub async fn run(options: &Options) {
    let fleet = Fleet::with(None, 1, |plan| {
        plan.settings.insert(
            "creatio".into(),
            json!({"max_file_mb": 200, "poll_seconds": 60}),
        );
    })
    .await;
    fleet
        .crm("creatio")
        .switch("max_file_mb", &json!(200))
        .unwrap();
    let size = options.megabytes * 1_000_000;
    let address = serve(size).await;
    let message = json!({"id": "wamid.file", "time": Timestamp::now(), "author": {"kind": "customer"},
        "attachments": [{"id": "file", "kind": "document", "mime": "application/pdf", "name": "large.pdf", "size": size,
            "source": {"from": "url", "url": address}}]});
    let data = json!({
        "session": {"id": "file", "business_number": "+15550783881"},
        "contact": {"phone": "+4915112345678", "name": "Ana"},
        "handoff": {"summary": "A large file."},
        "transcript": [message], "targets": ["creatio"],
    });
    let event = json!({"specversion": "1.0", "id": "file", "source": "/test/gateway", "type": "handoff.requested",
        "subject": "file", "time": Timestamp::now(), "datacontenttype": "application/json", "data": data});
    let began = Instant::now();
    let body = event.to_string();
    fleet
        .gateway
        .publish(EVENTS, "handoff.requested", body.as_bytes())
        .await;
    eventually(LONG, || async {
        fleet
            .crm("creatio")
            .view()
            .to_string()
            .contains("large.pdf")
            && arrived(&fleet) >= size as u64
    })
    .await;
    let memory = Memory::of(fleet.process(0)).below(BOUND);
    println!(
        "file: {} MB from its source to Creatio in {:.1} s: {memory}",
        options.megabytes,
        began.elapsed().as_secs_f64()
    );
}

fn arrived(fleet: &Fleet) -> u64 {
    fleet.crm("creatio").counts()["request_bytes"]
        .as_u64()
        .unwrap_or_default()
}

/// Serves a file of so many bytes; its address.
async fn serve(size: usize) -> String {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let file = move || {
        let piece = piece.clone();
        let whole = size / PIECE;
        let pieces = (0..=whole).map(move |n| {
            let length = if n < whole { PIECE } else { size % PIECE };
            Ok::<_, std::io::Error>(piece.slice(..length))
        });
        let body = Body::from_stream(stream::iter(pieces));
        async move { ([(header::CONTENT_LENGTH, size.to_string())], body) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/large.pdf", listener.local_addr().unwrap());
    let routes = Router::new().route("/large.pdf", get(file));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}
