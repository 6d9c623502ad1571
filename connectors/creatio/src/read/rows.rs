//! What an answer proves about one row: that it is there, that it is not, or that a part of it is
//! refused for good.

use handoffd_contract::{Learned, Reason, Settled, Stop};
use serde_json::Value;

use super::{End, outer};
use crate::errors::{Answer, named};
use crate::facts::{REFUSED, apart_fact, doubt_fact, dropped_fact, placeholder};
use crate::wire;

/// Columns without which a row makes no sense; all others can be left out.
pub(super) const ESSENTIAL: [&str; 12] = [
    "Id",
    "Name",
    "Title",
    "Subject",
    "StartDate",
    "DueDate",
    "CaseId",
    "DetailedResult",
    "ContactId",
    "RegisteredOn",
    "MobilePhone",
    "Data",
];

/// Whether a row of this set makes no sense without the column. An activity stands on its case; that
/// its contact was merged away does not matter to it.
pub(super) fn is_essential(set: &str, column: &str) -> bool {
    ESSENTIAL.contains(&column) && (set, column) != ("Activity", "ContactId")
}

/// Whether words say that a lookup names no row.
fn is_reference(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("foreign key") || words.contains("23503")
}

/// Whether words say that a value is wrong, and not the request or the right.
fn is_value(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    is_reference(&words)
        || [
            "22001",
            "23514",
            "too long",
            "truncated",
            "convert",
            "is not valid",
            "is invalid",
        ]
        .iter()
        .any(|mark| words.contains(mark))
}

/// What is learned when a row is refused and no column is named: a database tells a constraint's name
/// at most. The columns of a case or contact are written one by one once it is there, so that each that
/// is right arrives. An activity's lookups are few and the same for all; one is left out after the other.
fn suspects(context: &Value, set: &str, columns: &[String], words: &str) -> Vec<Learned> {
    let why = short(words);
    if set == "Activity" {
        let lookup = ["ContactId", "TypeId", "StatusId"]
            .into_iter()
            .find(|lookup| columns.iter().any(|column| column == lookup));
        return lookup
            .filter(|_| is_reference(words))
            .map(|lookup| Learned::is(dropped_fact(set, lookup), why))
            .into_iter()
            .collect();
    }
    let Some(item) = context.get("item").and_then(Value::as_str) else {
        return Vec::new();
    };
    let optional: Vec<&String> = columns
        .iter()
        .filter(|column| !is_essential(set, column))
        // A lookup that names no row is a lookup.
        .filter(|column| !is_reference(words) || column.ends_with("Id"))
        .collect();
    match optional.as_slice() {
        [only] => vec![Learned::is(dropped_fact(set, only), why)],
        several => several
            .iter()
            .map(|column| Learned::is(apart_fact(item, set, column), &why))
            .collect(),
    }
}

/// A row's facts, each with what settles it once the row exists.
pub(super) fn claims(context: &Value) -> Vec<(String, Settled)> {
    let claims = context.get("claims").cloned().unwrap_or_default();
    serde_json::from_value(claims).unwrap_or_default()
}

pub(super) fn there(context: &Value, body: Option<&Value>) -> Vec<Learned> {
    let mut learned: Vec<Learned> = claims(context)
        .into_iter()
        .map(|(fact, value)| Learned::is(fact, value))
        .collect();
    let number = body
        .and_then(|body| body.get("Number"))
        .and_then(Value::as_str)
        .filter(|number| !number.is_empty());
    let fact = learned
        .first()
        .map(|learned| format!("{}/number", learned.fact));
    if let (Some(number), Some(fact), "Case") = (number, fact, text(context, "set")) {
        learned.push(Learned::is(fact, number));
    }
    learned
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a body is the row itself. A proxy's page, or a routing error that comes with 200, is not.
pub(super) fn is_row(context: &Value, body: Option<&Value>) -> bool {
    let id = body
        .and_then(|body| body.get("Id"))
        .and_then(Value::as_str)
        .and_then(wire::guid);
    id.as_deref() == Some(text(context, "id"))
}

pub(super) fn created(context: &Value, answer: Answer, body: Option<&Value>) -> End {
    if answer == Answer::Ok {
        return if is_row(context, body) {
            End::Settled(there(context, body))
        } else {
            End::Unsettled(answer.stop(), None)
        };
    }
    let set = text(context, "set");
    match answer {
        // What a contact learns is worth no stop.
        Answer::Refused(_)
        | Answer::Forbidden(_)
        | Answer::NoSet(_)
        | Answer::Missing(_)
        | Answer::TooLarge(_)
            if set == "ContactCommunication" =>
        {
            End::Settled(
                claims(context)
                    .into_iter()
                    .map(|(fact, _)| Learned::is(fact, REFUSED))
                    .collect(),
            )
        }
        Answer::Refused(words) => refused(context, set, &words),
        Answer::Forbidden(words) => End::Never(Stop::new(
            Reason::Forbidden,
            format!(
                "the integration user may not create {set}: {words}. Grant the object and column permissions, and \"Access to OData\""
            ),
        )),
        Answer::NoSet(words) | Answer::Missing(words) => End::Never(Stop::new(
            Reason::NotFound,
            format!(
                "OData has no {set}: {words}. Case management is not installed, or OData is being rebuilt \
                 (a minute or two after a change of the configuration); then retry"
            ),
        )),
        Answer::TooLarge(words) => {
            End::Never(Stop::new(Reason::TooLarge, format!("{set}: {words}")))
        }
        other => outer(other),
    }
}

/// A value is refused. One optional thing does not stop a handoff: a column that the answer names is
/// left out from now on, a text that is refused is replaced, a file becomes a line.
pub(super) fn refused(context: &Value, set: &str, words: &str) -> End {
    let columns: Vec<String> = context
        .get("columns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|column| column.as_str().map(str::to_owned))
        .collect();
    let mut learned: Vec<Learned> = claims(context)
        .into_iter()
        .map(|(fact, _)| Learned::absent(fact))
        .collect();
    let why = short(words);
    if let Some(case) = context.get("case").and_then(Value::as_str)
        && is_reference(words)
    {
        // Before anything of it is left out: is its case there at all?
        learned.push(Learned::is(doubt_fact(case), why));
        return End::Settled(learned);
    }
    let column = named(words, columns.iter());
    if let Some(column) = column.filter(|column| !is_essential(set, column)) {
        learned.push(Learned::is(dropped_fact(set, column), why));
        return End::Settled(learned);
    }
    if column.is_none() && is_value(words) {
        let unnamed = suspects(context, set, &columns, words);
        if !unnamed.is_empty() {
            learned.extend(unnamed);
            return End::Settled(learned);
        }
    }
    let replaceable: Vec<&str> = context
        .get("hollow")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let its_text = match column {
        Some(column) => replaceable.contains(&column.as_str()),
        None => !replaceable.is_empty() && is_value(words) && !is_reference(words),
    };
    if its_text && context.get("hollowed") != Some(&Value::Bool(true)) {
        learned.push(Learned::is(placeholder(text(context, "id")), why));
        return End::Settled(learned);
    }
    if set == "CaseFile" {
        let fact = claims(context)
            .into_iter()
            .map(|(fact, _)| fact)
            .next()
            .unwrap_or_default();
        return match fact.strip_prefix("filerow/") {
            Some(key) => {
                learned.push(Learned::refused(
                    format!("file/{key}"),
                    Reason::Invalid,
                    format!("Creatio refused it: {why}"),
                ));
                End::Settled(learned)
            }
            None => End::Settled(vec![Learned::refused(fact, Reason::Invalid, why)]),
        };
    }
    End::Never(Stop::new(
        Reason::Invalid,
        format!("{set}: {words}. `handoffd check --live` looks up every configured id and column"),
    ))
}

/// Words for a fact's value.
pub(super) fn short(words: &str) -> String {
    wire::one_line(words, 160)
}

pub(super) fn looked(context: &Value, answer: Answer, body: Option<&Value>) -> End {
    let absent = || {
        End::Settled(
            claims(context)
                .into_iter()
                .map(|(fact, _)| Learned::absent(fact))
                .collect(),
        )
    };
    match answer {
        Answer::Ok if is_row(context, body) => End::Settled(there(context, body)),
        // Some builds answer a missing row with 200 and an empty list.
        Answer::Ok
            if body
                .and_then(|b| b.get("value"))
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty) =>
        {
            absent()
        }
        Answer::Missing(_) => absent(),
        // A look that did not succeed proves nothing, whatever stood in its way.
        other => match outer(other) {
            End::Nothing(stop, after) => End::Unsettled(stop, after),
            end => end,
        },
    }
}
