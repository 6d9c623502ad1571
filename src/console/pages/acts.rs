//! Retry and skip by form: first what it would do, then, on a second press, that it is done.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use serde_json::{Value, json};

use super::problems::said;
use crate::console::{Answer, Console, Failure, Visit, local};

/// The most conversations that are named one by one.
const MAX_NAMED: usize = 200;
/// Of those that are meant, so many are shown.
const SHOWN: usize = 20;

/// What a form means.
struct Meant<'a> {
    act: &'static str,
    reason: Option<&'a str>,
    target: Option<&'a str>,
    sessions: Vec<&'a str>,
    is_all: bool,
}

impl<'a> Meant<'a> {
    fn of(visit: &'a Visit) -> Result<Meant<'a>, Failure> {
        let act = match visit.field("act") {
            Some("retry") => "retry",
            Some("skip") => "skip",
            _ => return Err(Failure::bad_form("act: say retry or skip")),
        };
        let sessions: Vec<&str> = visit
            .fields("session")
            .filter(|one| !one.is_empty())
            .collect();
        if sessions.len() > MAX_NAMED {
            return Err(Failure::bad_form(format!(
                "session: {} are named; at most {MAX_NAMED} at a time",
                sessions.len()
            )));
        }
        Ok(Meant {
            act,
            reason: visit.field("reason"),
            target: visit.field("target"),
            sessions,
            is_all: visit.field("all").is_some(),
        })
    }

    /// The calls that it is.
    fn calls(&self, dry_run: bool) -> Vec<Value> {
        let session = |session: &&str| {
            without_nulls(json!({"session": session, "target": self.target, "dry_run": dry_run}))
        };
        if !self.sessions.is_empty() {
            return self.sessions.iter().map(session).collect();
        }
        vec![without_nulls(
            json!({"reason": self.reason, "target": self.target, "dry_run": dry_run}),
        )]
    }

    /// Does it, or says what it would do: the lanes.
    async fn run(
        &self,
        console: &Console,
        visit: &Visit,
        dry_run: bool,
    ) -> Result<Vec<Value>, Failure> {
        let calls = match self.is_all && self.sessions.is_empty() {
            true => every_group(console, visit, dry_run).await?,
            false => self.calls(dry_run),
        };
        let mut lanes = Vec::new();
        for call in calls {
            let path = format!("/v1/{}", self.act);
            let done = console.api().post(visit, &path, &call).await?;
            lanes.extend(done["lanes"].as_array().cloned().unwrap_or_default());
        }
        Ok(lanes)
    }

    /// Whether a person says what became of a call whose outcome nobody knows.
    fn is_unsure(&self) -> bool {
        self.reason == Some(handoffd_contract::Reason::UnknownOutcome.label())
    }

    /// Whether the number must be typed: many conversations give something up.
    fn wants_number(&self, count: usize) -> bool {
        self.act == "skip" && count > 1
    }

    /// The text's key for this act: what is asked, what it does, what the button says.
    fn key(&self, what: &str) -> String {
        let act = match (self.act, self.is_unsure()) {
            ("retry", false) => "retry",
            ("retry", true) => "again",
            (_, false) => "skip",
            (_, true) => "arrived",
        };
        format!("ask.{act}_{what}")
    }
}

/// Everything that is parked, but where nobody knows whether a message went out: that has its own two
/// buttons, since another try may send it twice.
async fn every_group(
    console: &Console,
    visit: &Visit,
    dry_run: bool,
) -> Result<Vec<Value>, Failure> {
    let parked = console.api().get(visit, "/v1/parked").await?;
    let groups = parked["groups"].as_array().into_iter().flatten();
    let mut meant: Vec<Value> = groups
        .filter(|group| !is_unknown(group))
        .map(|group| {
            json!({"reason": group["reason"], "target": group["target"], "dry_run": dry_run})
        })
        .collect();
    let mut seen = Vec::new();
    meant.retain(|call| {
        let is_new = !seen.contains(call);
        seen.push(call.clone());
        is_new
    });
    Ok(meant)
}

/// Whether a parked group is one of which nobody knows whether it went out.
pub(super) fn is_unknown(group: &Value) -> bool {
    group["reason"] == handoffd_contract::Reason::UnknownOutcome.label()
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    value
}

/// What it would do.
pub(super) async fn ask(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let meant = Meant::of(&visit)?;
    let lanes = meant.run(&console, &visit, true).await?;
    asked(&console, &visit, &meant, &lanes, false).await
}

async fn asked(
    console: &Console,
    visit: &Visit,
    meant: &Meant<'_>,
    lanes: &[Value],
    is_wrong: bool,
) -> Answer {
    let count = lanes.len();
    let counted = json!({"count": count});
    let value = json!({
        "act": meant.act, "reason": meant.reason, "target": meant.target, "sessions": meant.sessions,
        "all": meant.is_all, "next": local(visit.field("next").or(Some("/parked"))), "count": count,
        "lanes": lanes.iter().take(SHOWN).collect::<Vec<_>>(), "more": count.saturating_sub(SHOWN),
        "wants_number": meant.wants_number(count), "is_wrong": is_wrong,
        "title": said(&meant.key("title"), counted.clone()), "effect": said(&meant.key("effect"), counted.clone()),
        "button": said(&meant.key("button"), counted), "is_danger": meant.act == "skip" && !meant.is_unsure(),
    });
    console.page(visit, "confirm.html", value).await
}

/// Does it.
pub(super) async fn act(State(console): State<Arc<Console>>, visit: Visit) -> Answer {
    let meant = Meant::of(&visit)?;
    if meant.act == "skip" {
        let lanes = meant.run(&console, &visit, true).await?;
        let typed: Option<usize> = visit
            .field("number")
            .and_then(|typed| typed.trim().parse().ok());
        if meant.wants_number(lanes.len()) && typed != Some(lanes.len()) {
            return asked(&console, &visit, &meant, &lanes, true).await;
        }
    }
    let lanes = meant.run(&console, &visit, false).await?;
    let done = match (meant.act, meant.is_unsure()) {
        ("skip", true) => "arrived",
        (act, _) => act,
    };
    let next = local(visit.field("next").or(Some("/parked")));
    let sign = if next.contains('?') { '&' } else { '?' };
    Ok(Redirect::to(&format!("{next}{sign}done={done}&count={}", lanes.len())).into_response())
}
