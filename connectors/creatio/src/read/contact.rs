//! What a look for the customer found, as facts: why a contact comes into question, and which.

use handoffd_contract::phone::{Country, Likeness, Number, digits};
use handoffd_contract::{HttpReply, Learned, Step, Verdict};
use serde_json::Value;

use super::rows::text;
use super::search::{id, search};
use crate::errors::Answer;
use crate::facts::NONE;
use crate::wire;

/// Contacts that one look may name.
const MOST: usize = 8;
/// Digits that a telephone number has at least.
const DIGITS: usize = 6;

fn number(step: &Step) -> Option<Number> {
    Number::parse(text(&step.context, "number"))
}

/// Contacts with what speaks for each: the strongest first, each once, and once more where it holds the
/// user id, too.
fn told(fact: &str, mut found: Vec<(u8, &str, String, String)>) -> Learned {
    found.sort_by_key(|(rank, ..)| *rank);
    let mut seen: Vec<(String, bool)> = Vec::new();
    let mut lines = Vec::new();
    for (_, kind, contact, typed) in found {
        let one = (contact, kind == "user");
        if !seen.contains(&one) && lines.len() < MOST {
            lines.push(format!("{kind} {} {typed}", one.0));
            seen.push(one);
        }
    }
    let value = lines.join("\n");
    Learned::is(
        fact,
        if value.is_empty() {
            NONE.to_owned()
        } else {
            value
        },
    )
}

fn likeness(number: Option<&Number>, typed: &str, home: Option<Country>) -> Likeness {
    number.map_or(Likeness::Different, |number| number.compare(typed, home))
}

/// Communication options.
pub(super) fn by_number(home: Option<Country>, step: &Step, rows: &[Value]) -> Learned {
    let number = number(step);
    let user = text(&step.context, "user");
    let one = |row: &Value| {
        let contact = id(row, "ContactId")?;
        if row.get("NonActual").and_then(Value::as_bool) == Some(true) {
            return None;
        }
        if !user.is_empty() && id(row, "Id").as_deref() == Some(user) {
            return Some((2, "user", contact, String::new()));
        }
        let typed = text(row, "Number");
        let (rank, kind) = match likeness(number.as_ref(), typed, home) {
            Likeness::Same => (0, "same"),
            Likeness::OtherForm => (1, "form"),
            Likeness::LooksAlike => (3, "alike"),
            Likeness::Different => return None,
        };
        Some((rank, kind, contact, wire::one_line(typed, 60)))
    };
    told("contact/numbers", rows.iter().filter_map(one).collect())
}

/// Contacts with their own columns.
pub(super) fn by_columns(home: Option<Country>, step: &Step, rows: &[Value]) -> Learned {
    let number = number(step);
    let context = &step.context;
    let ours: Vec<&str> = context
        .get("ours")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mail = text(context, "mail").to_lowercase();
    let one = |row: &Value| {
        let contact = id(row, "Id")?;
        let phones: Vec<&str> = ["MobilePhone", "Phone", "HomePhone"]
            .iter()
            .map(|column| text(row, column))
            .filter(|typed| digits(typed).len() >= DIGITS)
            .collect();
        let best = phones
            .iter()
            .map(|typed| (likeness(number.as_ref(), typed, home), *typed))
            .max_by_key(|(likeness, _)| *likeness);
        let closest = best.map(|(likeness, _)| likeness);
        let typed = best.map_or("", |(_, typed)| typed);
        let is_same_mail = !mail.is_empty() && text(row, "Email").trim().to_lowercase() == mail;
        let (rank, kind) = if ours.contains(&contact.as_str()) {
            (0, "ours")
        } else if contact == text(context, "user") {
            match closest {
                Some(Likeness::Different) if number.is_some() => (6, "user-no"),
                _ => {
                    let has = if text(row, "MobilePhone").is_empty() {
                        "empty"
                    } else {
                        "number"
                    };
                    return Some((3, "user", contact, has.to_owned()));
                }
            }
        } else {
            match closest {
                Some(Likeness::Same) => (1, "same"),
                Some(Likeness::OtherForm) => (2, "form"),
                // The number that it has says nothing against the address.
                None | Some(Likeness::LooksAlike) if is_same_mail => (4, "mail"),
                Some(Likeness::LooksAlike) => (5, "alike"),
                _ if is_same_mail => (6, "mail-no"),
                _ => return None,
            }
        };
        Some((rank, kind, contact, wire::one_line(typed, 60)))
    };
    told("contact/columns", rows.iter().filter_map(one).collect())
}

/// All numbers of a contact: none, the customer's or one like it among them, or only others.
pub(super) fn check(home: Option<Country>, step: &Step, rows: &[Value]) -> Learned {
    let number = number(step);
    let user = text(&step.context, "user");
    let closest = rows
        .iter()
        .filter(|row| user.is_empty() || id(row, "Id").as_deref() != Some(user))
        .map(|row| text(row, "Number"))
        .filter(|typed| !typed.contains('@') && digits(typed).len() >= DIGITS)
        .map(|typed| likeness(number.as_ref(), typed, home))
        .max();
    let value = match closest {
        None => NONE,
        Some(Likeness::Different) => "other",
        Some(_) => "alike",
    };
    let fact = step.claims.first().map_or("", |claim| claim.fact.as_str());
    Learned::is(fact, value)
}

/// What a contact lacks, as words with spaces between; nothing when it has somebody else's number.
pub(super) fn empty(home: Option<Country>, step: &Step, rows: &[Value]) -> Learned {
    let number = number(step);
    let fact = step.claims.first().map_or("", |claim| claim.fact.as_str());
    let Some(row) = rows.first() else {
        return Learned::is(fact, NONE);
    };
    let phones: Vec<&str> = ["MobilePhone", "Phone", "HomePhone"]
        .iter()
        .map(|column| text(row, column))
        .filter(|typed| digits(typed).len() >= DIGITS)
        .collect();
    let is_other = number.is_some()
        && !phones.is_empty()
        && phones
            .iter()
            .all(|typed| likeness(number.as_ref(), typed, home) == Likeness::Different);
    let lacks = [
        ("number", phones.is_empty()),
        ("mail", text(row, "Email").trim().is_empty()),
    ];
    let lacks: Vec<&str> = lacks
        .iter()
        .filter(|(_, is_empty)| *is_empty && !is_other)
        .map(|(what, _)| *what)
        .collect();
    Learned::is(
        fact,
        if lacks.is_empty() {
            NONE.to_owned()
        } else {
            lacks.join(" ")
        },
    )
}

/// Names for the rep. A site that does not tell them costs the names.
pub(super) fn names(reply: &HttpReply) -> Verdict {
    let line = |row: &Value| {
        let name = wire::one_line(text(row, "Name"), 80);
        Some(format!("{} {name}", id(row, "Id")?)).filter(|_| !name.is_empty())
    };
    match Answer::of(reply) {
        Answer::Forbidden(_) | Answer::NoSet(_) | Answer::Missing(_) | Answer::Refused(_) => {
            Verdict::known("contact/names", NONE)
        }
        _ => search(reply, |rows| {
            let lines: Vec<String> = rows.iter().filter_map(line).collect();
            Verdict::known("contact/names", lines.join("\n"))
        }),
    }
}
