//! The playground: a phone and three records beside each other. Everybody in it is invented, so that nothing
//! is masked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use serde_json::{Value, json};

use crate::console::{Answer, Console, Failure, Visit};

/// The phone, the records, and what is broken.
pub(super) async fn show(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let ground = console.api().get(&visit, "/v1/playground").await?;
    console.page(&visit, "playground.html", ground).await
}

/// One press of a button.
pub(super) async fn act(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let act = visit.field("act");
    let act = act.ok_or_else(|| Failure::bad_form("act: missing; press a button of the page"))?;
    let field = |name: &str| visit.field(name).unwrap_or_default();
    let (path, body) = match act {
        "reset" => ("/v1/playground/reset", json!({})),
        "break" | "mend" => (
            "/v1/playground/faults",
            json!({"fault": field("fault"), "on": act == "break"}),
        ),
        "read" | "hand_over" => ("/v1/playground/act", json!({"act": act})),
        "write" => (
            "/v1/playground/act",
            json!({"act": act, "text": field("text")}),
        ),
        "close" => (
            "/v1/playground/act",
            json!({"act": act, "target": field("target")}),
        ),
        "reply" | "note" => (
            "/v1/playground/act",
            json!({"act": act, "target": field("target"), "text": field("text")}),
        ),
        _ => {
            return Err(Failure::bad_form(
                "act: not known; press a button of the page",
            ));
        }
    };
    let _: Value = console.api().post(&visit, path, &body).await?;
    Ok(Redirect::to("/playground").into_response())
}
