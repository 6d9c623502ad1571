//! The live tap: events, calls and replies as they happen.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use crate::console::{Answer, Console, Visit};

/// The tap. Its lines come by a stream; without script the page says so.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let value = json!({
        "target": visit.asked("target"), "type": visit.asked("type"), "session": visit.asked("session"),
        "targets": console.targets().collect::<Vec<_>>(),
    });
    console.page(&visit, "tap.html", value).await
}
