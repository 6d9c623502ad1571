//! The names of the facts that a lane keeps about Creatio, and what some of them say.

use handoffd_contract::Known;

/// What a look says when nothing was found.
pub(crate) const NONE: &str = "none";
/// Why the case's columns need no handoff: they are somebody else's.
pub(crate) const ADOPTED: &str = "adopted";
/// The value of a case's state when there is no such case any more.
pub(crate) const GONE: &str = "gone";
/// Why a case takes what its item brings: it was made for it.
pub(crate) const NEW: &str = "new";
/// What a refused reopening leaves.
pub(crate) const REFUSED: &str = "refused";

/// The fact that says in which status an item found the case.
pub(crate) fn state_fact(item: &str) -> String {
    format!("state/{item}")
}

/// The fact that the first activity of a case that took another one's place is there.
pub(crate) fn opened_fact(case: &str) -> String {
    format!("opened-on/{case}")
}

/// The cases that the session had before, the latest first, each with its number.
pub(crate) fn former(known: &Known) -> Vec<(&str, &str)> {
    let mut cases: Vec<(i64, &str, &str)> = known
        .under("former/")
        .filter_map(|(case, value)| {
            let (at, number) = value.split_once(' ')?;
            Some((at.parse().ok()?, case, number))
        })
        .collect();
    cases.sort_unstable_by(|a, b| b.cmp(a));
    cases
        .into_iter()
        .map(|(_, case, number)| (case, number))
        .collect()
}

/// The fact that a column is written by itself, because the row was refused without a column's name.
pub(crate) fn apart_fact(item: &str, set: &str, column: &str) -> String {
    format!("apart/{item}/{set}/{column}")
}

/// The fact that it was.
pub(crate) fn tried_fact(item: &str, set: &str, column: &str) -> String {
    format!("tried/{item}/{set}/{column}")
}

/// The fact that a column of an entity set is not written in this lane any more; its value says why.
pub(crate) fn dropped_fact(set: &str, column: &str) -> String {
    format!("dropped/{set}/{column}")
}

/// The mapping's field that a fact of [`dropped_fact`] is about.
pub(crate) fn dropped_field(fact: &str) -> Option<String> {
    let (set, column) = fact.strip_prefix("dropped/")?.split_once('/')?;
    Some(format!("{}.{column}", set.to_ascii_lowercase()))
}

/// The fact that a row is written with its replacement text; its value says why.
pub(crate) fn placeholder(id: &str) -> String {
    format!("hollow/{id}")
}

/// The fact that a contact was looked at; its value says whose it is.
pub(crate) fn check_fact(id: &str) -> String {
    format!("contact/check/{id}")
}

/// What a closure of the case is called, so that our own is recognised when it is heard.
pub(crate) fn ended(case: &str) -> String {
    format!("ended/{case}")
}
