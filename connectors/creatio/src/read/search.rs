//! What a list of rows proves: who the customer is, and which case there is.

use handoffd_contract::{Effect, HttpReply, Learned, Step, Verdict};
use serde_json::Value;

use super::rows::text;
use super::{outer, single};
use crate::answer::Answer;
use crate::plan::{ADOPTED, NONE};
use crate::{phone, wire};

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

fn id(row: &Value, column: &str) -> Option<String> {
    row.get(column).and_then(Value::as_str).and_then(wire::guid)
}

/// The best row: the smallest rank, and among equals the most recent.
fn best(rows: &[Value], rank: impl Fn(&Value) -> Option<u8>) -> Option<&Value> {
    let mut ranked: Vec<(u8, &Value)> = rows
        .iter()
        .filter_map(|row| Some((rank(row)?, row)))
        .collect();
    ranked.sort_by(|(a, x), (b, y)| {
        a.cmp(b)
            .then_with(|| text(y, "CreatedOn").cmp(text(x, "CreatedOn")))
    });
    ranked.first().map(|(_, row)| *row)
}

pub(super) fn by_number(step: &Step, rows: &[Value]) -> Learned {
    let wanted = text(&step.memo, "number");
    let rank = |row: &Value| {
        id(row, "ContactId")?;
        let live = row.get("NonActual").and_then(Value::as_bool) != Some(true);
        phone::rank(wanted, text(row, "Number")).filter(|_| live)
    };
    match best(rows, rank).and_then(|row| id(row, "ContactId")) {
        Some(contact) => Learned::is("contact", contact),
        None => Learned::is("contact/numbers", NONE),
    }
}

pub(super) fn by_columns(step: &Step, rows: &[Value]) -> Learned {
    let wanted = text(&step.memo, "number");
    let rank = |row: &Value| {
        if id(row, "Id")? == text(&step.memo, "id") {
            return Some(0);
        }
        ["MobilePhone", "Phone"]
            .iter()
            .filter_map(|column| phone::rank(wanted, text(row, column)))
            .min()
            .map(|rank| rank + 1)
    };
    let found = best(rows, rank).and_then(|row| id(row, "Id"));
    Learned::is("contact/columns", found.unwrap_or_else(|| NONE.to_owned()))
}

pub(super) fn open_case(step: &Step, rows: &[Value]) -> Vec<Learned> {
    let Some((row, case)) = rows.iter().find_map(|row| Some((row, id(row, "Id")?))) else {
        return vec![Learned::is("case/open", NONE)];
    };
    let mut learned = vec![
        Learned::is("case/open", case.clone()),
        Learned::is("case", case),
        Learned::is("since", text(&step.memo, "since")),
        Learned::is("fields", ADOPTED),
    ];
    if !text(row, "Number").is_empty() {
        learned.push(Learned::is("case/number", text(row, "Number")));
    }
    learned
}

pub(super) fn is_open(step: &Step, rows: &[Value]) -> Vec<Learned> {
    let closing = text(&step.memo, "closing");
    if rows.is_empty() {
        return vec![
            Learned::is(closing, "already"),
            Learned::is(text(&step.memo, "closed"), "already"),
        ];
    }
    vec![Learned::is(closing, "open")]
}
