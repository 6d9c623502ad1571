//! What an answer proves about the state of a reply and the standing columns of a case. None of it is
//! worth a stop: what the site refuses is left out.

use handoffd_contract::{HttpReply, Learned, Step, Verdict};
use serde_json::Value;

use super::rows::{short, text};
use super::{all, outer, settled, single, updated};
use crate::Creatio;
use crate::errors::{Answer, named};
use crate::facts::{NONE, REFUSED, dropped_fact, standing_apart_fact};

impl Creatio {
    /// A reply's first words and time, from the activity that it is.
    pub(super) fn reply_named(&self, step: &Step, reply: &HttpReply) -> Verdict {
        match Answer::of(reply) {
            Answer::Ok => {
                let name = reply.json().and_then(|row| self.name_of(&row));
                Verdict::Known(settled(step, name.as_deref().unwrap_or(NONE)))
            }
            Answer::Missing(_) | Answer::NoSet(_) | Answer::Refused(_) | Answer::Forbidden(_) => {
                Verdict::Known(settled(step, NONE))
            }
            other => single(outer(other)),
        }
    }
}

/// The line about a reply.
pub(super) fn line(step: &Step, reply: &HttpReply) -> Verdict {
    match Answer::of(reply) {
        Answer::Missing(_) => {
            let mut learned: Vec<Learned> = absent(step).collect();
            learned.push(Learned::absent(text(&step.context, "line")));
            learned.push(Learned::is(text(&step.context, "gone"), "deleted"));
            Verdict::Known(learned)
        }
        Answer::Refused(_) | Answer::TooLarge(_) => Verdict::Known(settled(step, REFUSED)),
        _ => updated(step, reply),
    }
}

/// The column of the rep's own activity. A feed post or a file is a reply as well and has none.
pub(super) fn own_state(step: &Step, reply: &HttpReply) -> Verdict {
    let column = text(&step.context, "column").to_owned();
    let mut learned = settled(step, REFUSED);
    match Answer::of(reply) {
        Answer::Ok => return all(step),
        Answer::Missing(_) | Answer::NoSet(_) => {}
        Answer::Forbidden(words) => {
            learned.push(Learned::is(
                dropped_fact("Activity", &column),
                short(&words),
            ));
        }
        Answer::Refused(words) | Answer::TooLarge(words) => {
            // Only a refusal that names it is the column's own.
            if named(&words, std::iter::once(&column)).is_some() {
                learned.push(Learned::is(
                    dropped_fact("Activity", &column),
                    short(&words),
                ));
            }
        }
        other => return single(outer(other)),
    }
    Verdict::Known(learned)
}

/// The standing columns of a case.
pub(super) fn standing(step: &Step, reply: &HttpReply) -> Verdict {
    let columns: Vec<String> = step
        .context
        .get("columns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|column| column.as_str().map(str::to_owned))
        .collect();
    let dropped =
        |column: &String, words: &str| Learned::is(dropped_fact("Case", column), short(words));
    match Answer::of(reply) {
        Answer::Ok => all(step),
        // The case was deleted; whoever writes on it next learns that.
        Answer::Missing(_) | Answer::NoSet(_) => Verdict::Known(all_as_sent(step)),
        Answer::Refused(words) | Answer::TooLarge(words) => {
            let mut learned: Vec<Learned> = absent(step).collect();
            match (named(&words, columns.iter()), columns.as_slice()) {
                (Some(column), _) | (None, [column]) => learned.push(dropped(column, &words)),
                // The words name none of them: each is written by itself.
                (None, _) => learned.push(Learned::is(
                    standing_apart_fact(text(&step.context, "case")),
                    short(&words),
                )),
            }
            Verdict::Known(learned)
        }
        Answer::Forbidden(words) => {
            let mut learned: Vec<Learned> = absent(step).collect();
            learned.extend(columns.iter().map(|column| dropped(column, &words)));
            Verdict::Known(learned)
        }
        other => single(outer(other)),
    }
}

fn absent(step: &Step) -> impl Iterator<Item = Learned> {
    step.claims.iter().map(|claim| Learned::absent(&claim.fact))
}

/// As if they had been taken, so that they are not written again.
fn all_as_sent(step: &Step) -> Vec<Learned> {
    step.claims
        .iter()
        .map(|claim| Learned::is(&claim.fact, claim.candidate.as_deref().unwrap_or_default()))
        .collect()
}
