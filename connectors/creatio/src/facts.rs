//! The names of the facts that a lane keeps about Creatio, and what some of them say.

use handoffd_contract::Known;

/// What a look says when nothing was found.
pub(crate) const NONE: &str = "none";
/// Why the case's columns need no handoff: they are somebody else's.
pub(crate) const ADOPTED: &str = "adopted";
/// The value of a case's state when there is no such case any more.
pub(crate) const GONE: &str = "gone";
/// The fact that something on the case was refused as if it were not there.
pub(crate) fn doubt_fact(case: &str) -> String {
    format!("doubt/{case}")
}

/// Whether the case is gone: [`GONE`], or that it is there.
pub(crate) fn gone_fact(case: &str) -> String {
    format!("gone/{case}")
}

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

/// What a rep reads as a reply's name: its first words, and when it was written.
pub(crate) fn reply_fact(message: &str) -> String {
    format!("reply/{message}")
}

/// The event of a reply that a rep of another target wrote, by the message as which it is shown.
pub(crate) fn elsewhere_fact(message: &str) -> String {
    format!("elsewhere/{message}")
}

/// The activity that shows how far a reply has come.
pub(crate) fn line_fact(message: &str) -> String {
    format!("line/{message}")
}

/// The fact that a rep has deleted it.
pub(crate) fn line_gone_fact(message: &str) -> String {
    format!("line-gone/{message}")
}

/// What it shows, in a word.
pub(crate) fn line_state_fact(message: &str) -> String {
    format!("line-state/{message}")
}

/// What the column of the rep's own activity shows, in a word.
pub(crate) fn own_state_fact(message: &str) -> String {
    format!("own-state/{message}")
}

/// The value that a standing column of a case has.
pub(crate) fn standing_fact(case: &str, column: &str) -> String {
    format!("standing/{case}/{column}")
}

/// The value of a reported column of a case, as JSON: what was seen last, or what we wrote.
pub(crate) fn column_fact(case: &str, column: &str) -> String {
    format!("column/{case}/{column}")
}

/// The fact that the standing columns of a case are written one by one.
pub(crate) fn standing_apart_fact(case: &str) -> String {
    format!("standing-apart/{case}")
}

/// Where a case's own read goes on.
pub(crate) fn polled_fact(case: &str) -> String {
    format!("polled/{case}")
}

/// When a case was last read by itself, in seconds since 1970.
pub(crate) fn polled_at_fact(case: &str) -> String {
    format!("polled-at/{case}")
}

/// `ended` or `reopened`, as a case's own read saw it last.
pub(crate) fn phase_fact(case: &str) -> String {
    format!("phase/{case}")
}

/// The case's owner, as its own read saw it last.
pub(crate) fn owner_fact(case: &str) -> String {
    format!("owner/{case}")
}
