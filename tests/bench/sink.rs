//! The sink: answers a Creatio site's calls at once, or after a set time, and remembers nothing but
//! when each message came. It is no simulator: it looks at nothing.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, Method, StatusCode, Uri, header};
use tokio::net::TcpListener;

/// What stands before a message's number in its text.
const MARK: &str = "bench#";
/// The status of a new case in a Creatio that nobody has changed.
const NEW: &str = "ae5f2f10-f46b-1410-fd9a-0050ba5d6c38";

type Answer = (StatusCode, [(HeaderName, &'static str); 1], Bytes);

/// The sink.
pub struct Sink {
    pub address: SocketAddr,
    heard: Arc<Inbound>,
}

#[derive(Default)]
struct Inbound {
    calls: AtomicU64,
    delay_millis: AtomicU64,
    first: Mutex<Option<Instant>>,
    messages: Mutex<HashMap<usize, Instant>>,
}

impl Sink {
    pub async fn start() -> Sink {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Inbound::default());
        let service = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&heard));
        tokio::spawn(async move { axum::serve(listener, service).await });
        Sink { address, heard }
    }

    /// Every answer takes so long from now on.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.heard.delay_millis.store(millis, Ordering::Relaxed);
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.heard.calls.load(Ordering::Relaxed)
    }

    /// When the first call came since this was last asked, if one did.
    pub fn take_first(&self) -> Option<Instant> {
        lock(&self.heard.first).take()
    }

    /// Whether a call came since that was last asked.
    pub fn was_called(&self) -> bool {
        lock(&self.heard.first).is_some()
    }

    /// How many messages came since they were last taken.
    pub fn messages(&self) -> usize {
        lock(&self.heard.messages).len()
    }

    /// The messages that came, each with the time of its first coming.
    pub fn take_messages(&self) -> HashMap<usize, Instant> {
        std::mem::take(&mut *lock(&self.heard.messages))
    }
}

/// The text of a message.
pub fn text(number: usize) -> String {
    format!("{MARK}{number}. My parcel is broken, and nobody answers the phone.")
}

async fn answer(
    State(heard): State<Arc<Inbound>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Answer {
    let now = Instant::now();
    heard.calls.fetch_add(1, Ordering::Relaxed);
    lock(&heard.first).get_or_insert(now);
    if let Some(number) = number(&body) {
        lock(&heard.messages).entry(number).or_insert(now);
    }
    let delay = heard.delay_millis.load(Ordering::Relaxed);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let (status, body) = if uri.path().ends_with("/connect/token") {
        let token = r#"{"access_token":"token","token_type":"Bearer","expires_in":3600}"#;
        (StatusCode::OK, Bytes::from_static(token.as_bytes()))
    } else if method == Method::POST {
        (StatusCode::CREATED, body)
    } else if method == Method::GET {
        (StatusCode::OK, found(&uri))
    } else {
        (StatusCode::NO_CONTENT, Bytes::new())
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}

/// Any case that is asked for by its id is there and new; nothing else is found.
fn found(uri: &Uri) -> Bytes {
    let query = uri.query().unwrap_or_default();
    let by_id = query.split("Id%20eq%20").nth(1);
    let by_id = by_id.or_else(|| query.split("Id+eq+").nth(1));
    match by_id {
        Some(rest) if uri.path().ends_with("/Case") => {
            let id: String = rest.chars().take(36).collect();
            format!(r#"{{"value":[{{"Id":"{id}","StatusId":"{NEW}"}}]}}"#).into()
        }
        _ => Bytes::from_static(br#"{"value":[]}"#),
    }
}

fn number(body: &[u8]) -> Option<usize> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once(MARK)?;
    rest.split_once('.')?.0.parse().ok()
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
