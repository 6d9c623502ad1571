//! Sign-in, keys, the navigation as a page, and the theme.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect};
use serde_json::json;

use crate::console::{Answer, Console, Visit, local};

/// So long a browser remembers a theme, in seconds.
const A_YEAR: u32 = 31_536_000;

/// The keys, and the text that says what each does.
const KEYS: [(&[&str], &str); 16] = [
    (&["/"], "keys.search"),
    (&["?"], "keys.help"),
    (&["g", "o"], "keys.overview"),
    (&["g", "c"], "keys.conversations"),
    (&["g", "p"], "keys.parked"),
    (&["g", "m"], "keys.mappings"),
    (&["g", "t"], "keys.tap"),
    (&["j"], "keys.next"),
    (&["k"], "keys.previous"),
    (&["Enter"], "keys.open"),
    (&["Esc"], "keys.leave"),
    (&["x"], "keys.select"),
    (&["r"], "keys.retry"),
    (&["s"], "keys.skip"),
    (&["n"], "keys.newer"),
    (&["["], "keys.rail"),
];

/// What the keys do.
pub(super) async fn keys(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let keys = KEYS
        .iter()
        .map(|(keys, text)| json!({"keys": keys, "text": text}));
    let value = json!({"keys": keys.collect::<Vec<_>>()});
    console.page(&visit, "keys.html", value).await
}

/// The navigation as a page of links, for narrow screens without script.
pub(super) async fn navigation(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    console.page(&visit, "nav.html", json!({})).await
}

/// Where people sign in.
pub(super) async fn sign_in(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let wait = visit
        .asked("wait")
        .and_then(|wait| wait.parse::<u32>().ok());
    let value = json!({
        "next": local(visit.asked("next")),
        "error": visit.asked("error").filter(|error| ["mismatch", "throttled", "openid", "link", "role"].contains(error)),
        "wait": wait,
        "ways": console.ways(),
    });
    console.page(&visit, "sign_in.html", value).await
}

/// Chooses a theme.
pub(super) async fn theme(visit: Visit) -> Answer {
    let theme = match visit.field("theme") {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "system",
    };
    let mut response = Redirect::to(local(visit.field("next"))).into_response();
    let cookie = format!("theme={theme}; Path=/; Max-Age={A_YEAR}; SameSite=Strict");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
