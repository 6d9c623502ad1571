//! What a list of rows proves: who the customer is, and which case there is.

use handoffd_contract::{Effect, HttpReply, Learned, Step, Verdict};
use serde_json::Value;

use super::rows::text;
use super::{outer, single};
use crate::errors::Answer;
use crate::facts::{ADOPTED, GONE, NONE};
use crate::plan::{default_statuses, ending_statuses};
use crate::wire;

/// A list of rows, or why there is none. Nothing was written.
pub(super) fn search(reply: &HttpReply, found: impl FnOnce(&[Value]) -> Verdict) -> Verdict {
    match Answer::of(reply) {
        Answer::Ok => {
            let json = reply.json();
            match json
                .as_ref()
                .and_then(|json| json.get("value"))
                .and_then(Value::as_array)
            {
                Some(rows) => found(rows),
                None => Verdict::later(Answer::Ok.stop(), Effect::None),
            }
        }
        other => single(outer(other)),
    }
}

pub(super) fn id(row: &Value, column: &str) -> Option<String> {
    row.get(column).and_then(Value::as_str).and_then(wire::guid)
}

pub(super) fn open_case(step: &Step, rows: &[Value]) -> Vec<Learned> {
    let looked = text(&step.context, "looked");
    let Some((row, case)) = rows.iter().find_map(|row| Some((row, id(row, "Id")?))) else {
        return vec![Learned::is(looked, NONE)];
    };
    // One that takes the place of a final case becomes the session's in one go with what else changes.
    let renews = step.context.get("renews").and_then(Value::as_str);
    let fact = renews.unwrap_or("case");
    let mut learned = vec![Learned::is(looked, case.clone()), Learned::is(fact, case)];
    if renews.is_none() {
        learned.push(Learned::is("since", text(&step.context, "since")));
        learned.push(Learned::is("fields", ADOPTED));
        learned.push(Learned::is(
            text(&step.context, "state"),
            text(row, "StatusId"),
        ));
    }
    if !text(row, "Number").is_empty() {
        learned.push(Learned::is(format!("{fact}/number"), text(row, "Number")));
    }
    learned
}

/// Whether the case is still there.
pub(super) fn there(step: &Step, rows: &[Value]) -> Learned {
    let fact = step.claims.first().map_or("", |claim| claim.fact.as_str());
    Learned::is(fact, if rows.is_empty() { GONE } else { "there" })
}

/// In which status the case is, or that it is gone.
pub(super) fn state(step: &Step, rows: &[Value]) -> Vec<Learned> {
    let fact = step.claims.first().map_or("", |claim| claim.fact.as_str());
    match rows.first() {
        Some(row) => {
            let status = id(row, "StatusId").unwrap_or_else(|| NONE.to_owned());
            vec![Learned::is(fact, status)]
        }
        None => vec![
            Learned::is(fact, GONE),
            Learned::is(text(&step.context, "gone"), GONE),
        ],
    }
}

/// Which statuses end a case. Where they may not be read, those of the default configuration.
pub(super) fn statuses(reply: &HttpReply) -> Verdict {
    let flag = |row: &Value, column| row.get(column).and_then(Value::as_bool) == Some(true);
    let known = |value| Verdict::known("statuses", value);
    match Answer::of(reply) {
        Answer::Forbidden(_) | Answer::NoSet(_) | Answer::Missing(_) | Answer::Refused(_) => {
            known(default_statuses())
        }
        _ => search(reply, |rows| {
            let ends = rows
                .iter()
                .filter(|row| flag(row, "IsFinal") || flag(row, "IsResolved"))
                .filter_map(|row| Some((id(row, "Id")?, flag(row, "IsFinal"))));
            known(ending_statuses(ends))
        }),
    }
}

pub(super) fn is_open(step: &Step, rows: &[Value]) -> Vec<Learned> {
    let closing = text(&step.context, "closing");
    if rows.is_empty() {
        return vec![
            Learned::is(closing, "already"),
            Learned::is(text(&step.context, "closed"), "already"),
        ];
    }
    vec![Learned::is(closing, "open")]
}
