//! Dialects: what a gateway's payload would become, and their drafts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use serde_json::{Value, json};

use super::mappings::revision;
use crate::access::Role;
use crate::console::{Answer, Console, Failure, Visit};

/// Every dialect that some way speaks.
pub(super) async fn list(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let found = console.api().get(&visit, "/v1/dialects").await?;
    let dialects = found["dialects"].as_object().into_iter().flatten();
    let rows: Vec<Value> = dialects
        .map(|(name, version)| json!({"name": name, "version": version}))
        .collect();
    console
        .page(&visit, "dialects.html", json!({"dialects": rows}))
        .await
}

/// One dialect.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Answer {
    console.dialect(&visit, &name, json!({})).await
}

/// What a form asks for: to look at a payload, to save, to give up, to publish.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Answer {
    let path = format!("/v1/dialects/{name}");
    let text = visit.field("text").unwrap_or_default();
    let expected = visit
        .field("revision")
        .and_then(|revision| revision.parse().ok());
    let (method, at, revision, body) = match visit.field("act") {
        Some("preview") => {
            let asked =
                json!({"payload": visit.field("payload").unwrap_or_default(), "text": text});
            let seen = console
                .api()
                .post(&visit, &format!("{path}/preview"), &asked)
                .await?;
            return console
                .dialect(&visit, &name, json!({"seen": seen, "text": text}))
                .await;
        }
        Some("save") => (
            Method::PUT,
            format!("{path}/draft"),
            expected.or(Some(0)),
            json!({"text": text}),
        ),
        Some("discard") => (Method::DELETE, format!("{path}/draft"), None, json!({})),
        Some("publish") => {
            let version = visit
                .field("version")
                .and_then(|version| version.parse::<i64>().ok());
            let asked = json!({"why": visit.field("why").unwrap_or_default(), "expect": version.unwrap_or(0)});
            (Method::POST, format!("{path}/publish"), None, asked)
        }
        _ => {
            return Err(Failure::bad_form(
                "act: say preview, save, discard or publish",
            ));
        }
    };
    let (status, answer) = console
        .api()
        .answer(&visit, method, &at, revision, Some(&body))
        .await?;
    if status.is_success() {
        return Ok(Redirect::to(&format!("/dialects/{name}?done=yes")).into_response());
    }
    if matches!(status.as_u16(), 401 | 403 | 404) {
        let message = answer["error"].as_str().unwrap_or_default().to_owned();
        return Err(Failure { status, message });
    }
    let more = json!({"error": answer["error"], "text": text});
    let mut page = console.dialect(&visit, &name, more).await?;
    *page.status_mut() = status;
    Ok(page)
}

impl Console {
    async fn dialect(&self, visit: &Visit, name: &str, more: Value) -> Answer {
        let view = self
            .api()
            .get(visit, &format!("/v1/dialects/{name}"))
            .await?;
        let events = more["seen"]["events"].as_array().into_iter().flatten();
        let events: Vec<String> = events
            .map(|event| serde_json::to_string_pretty(event).unwrap_or_default())
            .collect();
        let text = more["text"].as_str().filter(|text| !text.is_empty());
        let value = json!({
            "name": name, "version": view["version"], "revision": revision(&view), "draft": view["draft"],
            "text": text.or(view["text"].as_str()), "problems": view["problems"], "tests": view["tests"],
            "seen": more["seen"], "events": events, "payload": visit.field("payload"), "error": more["error"],
            "may_edit": visit.may(Role::Admin), "is_done": visit.asked("done").is_some(),
        });
        self.page(visit, "dialect.html", value).await
    }
}
