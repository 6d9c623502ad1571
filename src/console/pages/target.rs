//! One target: its health, and what is parked or waits there.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::overview::Target;
use crate::console::{Answer, Console, Failure, Visit};

/// One target.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Answer {
    let overview = console.overview(&visit).await?;
    let target = overview.targets.iter().find(|target| target.name == name);
    let target = target.map(Target::row).ok_or_else(Failure::not_found)?;
    let edits = console.has_page("/mappings");
    let rows: Vec<Value> = overview
        .troubles
        .iter()
        .filter(|row| row.target.as_deref() == Some(&name))
        .map(|row| row.row(edits))
        .collect();
    console
        .page(
            &visit,
            "target.html",
            json!({"target": target, "problems": rows}),
        )
        .await
}
