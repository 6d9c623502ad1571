//! One target: its health, and what is parked or waits there.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::problems::{self, Trouble};
use crate::console::{Answer, Console, Failure, Visit};

/// One target.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    visit: Visit,
) -> Answer {
    let status = console.status(&visit).await?;
    let target = status.targets.iter().find(|target| target.name == name);
    let target = target.ok_or_else(Failure::not_found)?;
    let rows: Vec<Value> = problems::of(&status)
        .iter()
        .filter(|row| row.target.as_deref() == Some(&name))
        .map(Trouble::row)
        .collect();
    let value = json!({
        "target": console.target_row(target, &status), "problems": rows,
        "message": target.message, "reason": target.reason,
    });
    console.page(&visit, "target.html", value).await
}
