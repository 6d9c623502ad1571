//! One dead letter: as it came, masked, with the place that is wrong; changed and judged as intake
//! judges; taken in or dropped.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde_json::{Value, json};

use super::lines;
use super::problems::said;
use crate::console::{Answer, Console, Failure, Visit};

/// What a judge said of a body.
enum Verdict {
    /// It would be understood.
    Fine(String),
    /// It would not, or cannot be changed this way.
    Refused(String),
}

/// One dead letter.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(id): Path<i64>,
    visit: Visit,
) -> Answer {
    console.letter(&visit, id, None, None).await
}

/// What a form asks for: to judge, to change, to try again as it is, or to drop.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Path(id): Path<i64>,
    visit: Visit,
) -> Answer {
    let path = |what: &str| format!("/v1/dead-letters/{id}/{what}");
    let (what, done, body) = match visit.field("act") {
        Some("check") => {
            let verdict = console.judged(&visit, id, true).await?;
            return console
                .letter(&visit, id, visit.field("body"), Some(verdict))
                .await;
        }
        Some("edit") => {
            return match console.judged(&visit, id, false).await? {
                Verdict::Fine(_) => Ok(gone("letter-admitted")),
                refused @ Verdict::Refused(_) => {
                    console
                        .letter(&visit, id, visit.field("body"), Some(refused))
                        .await
                }
            };
        }
        Some("retry") => ("retry", "letter-admitted", json!({})),
        Some("drop") => {
            let value = json!({"id": id});
            return console.page(&visit, "letter_drop.html", value).await;
        }
        Some("drop-it") => ("drop", "letter-dropped", json!({})),
        _ => return Err(Failure::bad_form("act: say check, edit, retry or drop")),
    };
    match console.api().post(&visit, &path(what), &body).await {
        Ok(_) => Ok(gone(done)),
        Err(failure) if failure.status == 409 => {
            let verdict = Some(Verdict::Refused(failure.message));
            console.letter(&visit, id, None, verdict).await
        }
        Err(failure) => Err(failure),
    }
}

fn gone(done: &str) -> axum::response::Response {
    Redirect::to(&format!("/parked?done={done}#dead-letters")).into_response()
}

impl Console {
    /// What intake says of the body that a form holds; with `dry_run` nothing is changed.
    async fn judged(&self, visit: &Visit, id: i64, dry_run: bool) -> Result<Verdict, Failure> {
        let text = visit.field("body").unwrap_or_default();
        let body: Value = match serde_json::from_str(text) {
            Ok(body) => body,
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                return Ok(Verdict::Refused(format!(
                    "not JSON: line {line}, column {column}"
                )));
            }
        };
        let call = json!({"body": body, "dry_run": dry_run});
        let path = format!("/v1/dead-letters/{id}/edit");
        match self.api().post(visit, &path, &call).await {
            Ok(done) => Ok(Verdict::Fine(
                done["done"].as_str().unwrap_or_default().to_owned(),
            )),
            Err(failure) if failure.status == 409 => Ok(Verdict::Refused(failure.message)),
            Err(failure) => Err(failure),
        }
    }

    async fn letter(
        &self,
        visit: &Visit,
        id: i64,
        edited: Option<&str>,
        verdict: Option<Verdict>,
    ) -> Answer {
        let letter = self
            .api()
            .get(visit, &format!("/v1/dead-letters/{id}"))
            .await?;
        let body = letter["body"].as_str().unwrap_or_default();
        let message = letter["message"].as_str().unwrap_or_default();
        let is_whole = letter["body_is_cut"] == false;
        let parsed = (letter["body_form"] == "json" && is_whole)
            .then(|| serde_json::from_str::<Value>(body).ok())
            .flatten();
        let shown = match &parsed {
            Some(value) => lines::of(value, message),
            None => lines::plain(body),
        };
        let verdict = verdict.map(|verdict| match verdict {
            Verdict::Fine(words) => json!({"is_fine": true, "words": words}),
            Verdict::Refused(words) => json!({"is_fine": false, "words": words}),
        });
        let reason = letter["reason"].as_str().unwrap_or_default();
        let value = json!({
            "letter": letter, "lines": shown, "can_edit": parsed.is_some(), "verdict": verdict,
            "edited": edited.map_or_else(|| body.to_owned(), str::to_owned), "is_edited": edited.is_some(),
            "title": said("letters.title", json!({"number": id.to_string()})), "reason": reason,
        });
        self.page(visit, "letter.html", value).await
    }
}
