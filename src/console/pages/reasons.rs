//! What each reason means and what to do about it.

use std::sync::Arc;

use axum::extract::{Path, State};
use handoffd_contract::Reason;
use serde_json::{Value, json};

use super::problems::said;
use crate::console::{Answer, Console, Failure, Visit};

/// One reason.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(label): Path<String>,
    visit: Visit,
) -> Answer {
    let reason = Reason::parse(&label).ok_or_else(Failure::not_found)?;
    let paragraphs: Vec<Value> = reason.explain().lines().map(spans).collect();
    let value = json!({
        "label": label, "title": said("reasons.title", json!({"reason": label})),
        "sentence": reason.title(), "paragraphs": paragraphs,
    });
    console.page(&visit, "reason.html", value).await
}

/// A line's words; what stands between backticks is code.
fn spans(line: &str) -> Value {
    line.split('`')
        .enumerate()
        .filter(|(_, text)| !text.is_empty())
        .map(|(at, text)| json!({"text": text, "is_code": at % 2 == 1}))
        .collect()
}
