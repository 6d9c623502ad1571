//! Which of the contacts that were found is the customer: one that nothing contradicts and that no
//! other fits as well; else none of them.

use crate::facts::{NONE, check_fact};
use handoffd_contract::Known;

/// A contact that a look found: why it came into question, which one, and what somebody typed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub kind: &'a str,
    pub id: &'a str,
    pub typed: &'a str,
}

/// What a look found, as a fact's value: `<kind> <id> <typed>`, one a line.
pub(crate) fn found<'a>(value: Option<&'a str>) -> impl Iterator<Item = Found<'a>> {
    value
        .filter(|value| *value != NONE)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ' ');
            Some(Found {
                kind: parts.next()?,
                id: parts.next()?,
                typed: parts.next().unwrap_or_default(),
            })
        })
}

/// What follows from the looks.
pub(super) enum Choice<'a> {
    /// This contact, found so; whether its number is empty.
    Take(&'a str, &'static str, bool),
    /// This one, unless it has another number.
    Check(&'a str),
    /// None of them.
    Create,
}

pub(super) fn choose<'a>(known: &'a Known, all: &[Found<'a>], has_number: bool) -> Choice<'a> {
    let of = |kind: &str| {
        let mut ids: Vec<&'a str> = Vec::new();
        for one in all.iter().filter(|one| one.kind == kind) {
            if !ids.contains(&one.id) {
                ids.push(one.id);
            }
        }
        ids
    };
    if let Some(ours) = of("ours").first() {
        return Choice::Take(ours, "ours", false);
    }
    for kind in ["same", "form"] {
        let fit = of(kind);
        let by_user: Vec<&'a str> = of("user")
            .into_iter()
            .filter(|id| fit.contains(id))
            .collect();
        match (fit.as_slice(), by_user.as_slice()) {
            ([], _) => {}
            ([one], _) | (_, [one]) => {
                let how = if kind == "same" { "number" } else { "form" };
                return Choice::Take(one, how, false);
            }
            _ => return Choice::Create,
        }
    }
    for one in all.iter().filter(|one| one.kind == "user") {
        // The columns were read with it, or there is no number that could contradict.
        if !one.typed.is_empty() || !has_number {
            return Choice::Take(one.id, "user", one.typed == "empty");
        }
        match known.get(&check_fact(one.id)) {
            None => return Choice::Check(one.id),
            Some("other") => {}
            Some(numbers) => return Choice::Take(one.id, "user", numbers == NONE),
        }
    }
    if let [one] = of("mail").as_slice() {
        match known.get(&check_fact(one)) {
            None => return Choice::Check(one),
            Some("other") => {}
            Some(_) => return Choice::Take(one, "mail", false),
        }
    }
    Choice::Create
}

/// Contacts that came into question and were not taken, as a fact's value.
pub(super) fn hints(known: &Known, all: &[Found<'_>], taken: Option<&str>) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut seen: Vec<&str> = taken.into_iter().collect();
    for one in all {
        if seen.contains(&one.id) || lines.len() >= 5 {
            continue;
        }
        seen.push(one.id);
        let kind = match (one.kind, known.get(&check_fact(one.id))) {
            ("mail", Some("other")) => "mail-no",
            ("user", Some("other")) => "user-no",
            (kind, _) => kind,
        };
        lines.push(format!("{kind} {} {}", one.id, one.typed));
    }
    lines.join("\n")
}

/// What the rep reads about how the contact was found.
pub(super) fn how_found(known: &Known) -> Option<&'static str> {
    Some(match known.get("contact/how")? {
        "ours" => "Contact: the one that was created for this customer before",
        "number" => "Contact: found by the phone number",
        "form" => "Contact: found by the phone number in its other national form",
        "user" => "Contact: found by the WhatsApp user id",
        "mail" => {
            "Contact: found by the e-mail address that the customer gave; nothing else says that it is them"
        }
        _ => "Contact: new",
    })
}
