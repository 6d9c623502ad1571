//! What takes messages over HTTP: it verifies signatures as the specification of Standard Webhooks says,
//! and takes what Slack's incoming webhooks take.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The secret by which messages are signed.
pub const SECRET: &str = "whsec_YSBuZXdlciBzZWNyZXQgb2YgMjQgYi4yNA==";

#[derive(Default)]
struct Taken {
    messages: Mutex<Vec<(String, Value)>>,
    status: AtomicU16,
}

pub struct Receiver {
    pub base: String,
    taken: Arc<Taken>,
}

impl Receiver {
    pub async fn new() -> Receiver {
        let taken = Arc::new(Taken::default());
        taken.status.store(200, Ordering::Relaxed);
        let routes = axum::Router::new()
            .route("/{path}", axum::routing::post(take))
            .route("/v25.0/{number}", axum::routing::get(number))
            .with_state(Arc::clone(&taken));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Receiver { base, taken }
    }

    /// What `/slack` answers.
    pub fn slack_answers(&self, status: u16) {
        self.taken.status.store(status, Ordering::Relaxed);
    }

    /// What came to this path.
    pub fn taken(&self, path: &str) -> Vec<Value> {
        let messages = self.taken.messages.lock().unwrap();
        let here = messages.iter().filter(|(at, _)| at == path);
        here.map(|(_, message)| message.clone()).collect()
    }

    /// The lines that came to this path.
    pub fn lines(&self, path: &str) -> Vec<String> {
        let taken = self.taken(path);
        let text = |one: &Value| one["text"].as_str().unwrap_or_default().to_owned();
        taken.iter().map(text).collect()
    }
}

/// A phone number of the Cloud API whose quality is low.
async fn number() -> axum::Json<Value> {
    axum::Json(
        serde_json::json!({"id": "106540352242922", "display_phone_number": "+1 555-078-3881",
        "verified_name": "Acme", "quality_rating": "RED"}),
    )
}

async fn take(
    State(taken): State<Arc<Taken>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    if path == "signed" && !is_signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let status = taken.status.load(Ordering::Relaxed);
    if path == "slack" && status != 200 {
        return StatusCode::from_u16(status).unwrap();
    }
    taken.messages.lock().unwrap().push((path, message));
    StatusCode::OK
}

/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(time), Some(given)) = (
        header("webhook-id"),
        header("webhook-timestamp"),
        header("webhook-signature"),
    ) else {
        return false;
    };
    let then: i64 = time.parse().unwrap_or(0);
    if (jiff::Timestamp::now().as_second() - then).abs() > 300 {
        return false;
    }
    let key = STANDARD
        .decode(SECRET.trim_start_matches("whsec_"))
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [format!("{id}.{time}.").as_bytes(), body].concat();
    let wanted = format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed)));
    given.split(' ').any(|one| one == wanted)
}
