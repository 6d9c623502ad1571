//! What a reply proves about a step's facts.

mod contact;
mod rows;
mod search;
mod told;

use std::time::Duration;

use handoffd_contract::{
    Effect, HttpReply, Learned, MediaProblem, Reason, Repeat, Reply, Step, Stop, Verdict,
};
use serde_json::Value;

use crate::Creatio;
use crate::errors::Answer;
use crate::facts::{REFUSED, dropped_fact};
use contact::{by_columns, by_number, check, empty, names};
use rows::{claims, created, looked, refused, short, text};
use search::{is_open, open_case, search, state, statuses, there};

/// What became of one row.
enum End {
    /// These facts are settled.
    Settled(Vec<Learned>),
    /// Nothing happened; come back.
    Nothing(Stop, Option<Duration>),
    /// It may have happened; come back and look.
    Unsettled(Stop, Option<Duration>),
    /// A person is needed.
    Never(Stop),
}

impl Creatio {
    /// Reads a reply.
    pub(crate) fn judge(&self, step: &Step, reply: &Reply) -> Verdict {
        match self.verdict(step, reply) {
            // What only looks has no effect.
            Verdict::Later { stop, after, .. } if step.repeat == Repeat::Safe => Verdict::Later {
                stop,
                after,
                effect: Effect::None,
            },
            verdict => verdict,
        }
    }

    fn verdict(&self, step: &Step, reply: &Reply) -> Verdict {
        let reply = match reply {
            Reply::Http(reply) => reply,
            Reply::Media(problem) => return media(step, *problem),
            Reply::Published(_) => {
                return Verdict::Never(Stop::new(Reason::Bug, "Creatio publishes nothing"));
            }
        };
        let home = self.settings.default_country;
        match step.name {
            "contact.numbers" => search(reply, |rows| {
                Verdict::Known(vec![by_number(home, step, rows)])
            }),
            "contact.columns" => search(reply, |rows| {
                Verdict::Known(vec![by_columns(home, step, rows)])
            }),
            "contact.check" => search(reply, |rows| Verdict::Known(vec![check(home, step, rows)])),
            "contact.names" => names(reply),
            "contact.learn" => learned(step, reply),
            "case.open" => search(reply, |rows| Verdict::Known(open_case(step, rows))),
            "case.state" => search(reply, |rows| Verdict::Known(state(step, rows))),
            "case.there" => search(reply, |rows| Verdict::Known(vec![there(step, rows)])),
            "contact.empty" => search(reply, |rows| Verdict::Known(vec![empty(home, step, rows)])),
            "case.statuses" => statuses(reply),
            "case.is_open" => search(reply, |rows| Verdict::Known(is_open(step, rows))),
            "rows.create" => batch(step, reply, created),
            "rows.look" => batch(step, reply, looked),
            name if name.ends_with(".create") => single(created(
                &step.context,
                Answer::of(reply),
                reply.json().as_ref(),
            )),
            name if name.ends_with(".look") => single(looked(
                &step.context,
                Answer::of(reply),
                reply.json().as_ref(),
            )),
            "reply.name" => self.reply_named(step, reply),
            "activity.line" => told::line(step, reply),
            "activity.own_state" => told::own_state(step, reply),
            "case.standing" => told::standing(step, reply),
            "file.upload" => uploaded(step, reply),
            "file.remove" => removed(step, reply),
            "case.column" | "contact.column" => column(step, reply),
            _ => updated(step, reply),
        }
    }
}

/// A batch is answered part by part: what is settled is learned, what is not stays unsure and is
/// looked for. Only when nothing at all was learned must the engine wait.
fn batch(
    step: &Step,
    reply: &HttpReply,
    row: fn(&Value, Answer, Option<&Value>) -> End,
) -> Verdict {
    let answer = Answer::of(reply);
    if answer != Answer::Ok {
        let words = "$batch is refused; if a firewall blocks it, set batch = false";
        return match outer(answer) {
            End::Never(stop) if stop.reason != Reason::Forbidden => {
                Verdict::Never(Stop::new(stop.reason, format!("{words}: {}", stop.message)))
            }
            other => single(other),
        };
    }
    let json = reply.json();
    let Some(parts) = json
        .as_ref()
        .and_then(|json| json.get("responses"))
        .and_then(Value::as_array)
    else {
        return Verdict::later(Answer::Ok.stop(), Effect::Possible);
    };
    let mut learned = Vec::new();
    let mut wait: Option<(Stop, Option<Duration>)> = None;
    for (at, context) in step.context.as_array().into_iter().flatten().enumerate() {
        let id = format!("r{at}");
        let part = parts
            .iter()
            .find(|part| part.get("id").and_then(Value::as_str) == Some(&id));
        let Some(part) = part else { continue };
        let status = part
            .get("status")
            .and_then(Value::as_u64)
            .and_then(|s| u16::try_from(s).ok())
            .unwrap_or(0);
        let body = part.get("body");
        match row(context, Answer::of_part(status, body), body) {
            End::Settled(facts) => learned.extend(facts),
            End::Nothing(stop, after) => {
                learned.extend(
                    claims(context)
                        .into_iter()
                        .map(|(fact, _)| Learned::absent(fact)),
                );
                wait = wait.or(Some((stop, after)));
            }
            End::Unsettled(stop, after) => wait = wait.or(Some((stop, after))),
            // One refusal parks the lane at once; the rest is looked for when it goes on.
            End::Never(stop) => return Verdict::Never(stop),
        }
    }
    let some = learned.iter().any(|fact| fact.value.is_some());
    match wait {
        Some((stop, after)) if !some => Verdict::Later {
            stop,
            after,
            effect: Effect::Possible,
        },
        None if learned.is_empty() => Verdict::later(
            Stop::new(
                Reason::ServerError,
                "the batch answered for none of its parts",
            ),
            Effect::Possible,
        ),
        _ => Verdict::Known(learned),
    }
}

fn single(end: End) -> Verdict {
    match end {
        End::Settled(learned) => Verdict::Known(learned),
        End::Nothing(stop, after) => Verdict::Later {
            stop,
            after,
            effect: Effect::None,
        },
        End::Unsettled(stop, after) => Verdict::Later {
            stop,
            after,
            effect: Effect::Possible,
        },
        End::Never(stop) => Verdict::Never(stop),
    }
}

/// An answer that is no success, for a call that could have written.
fn outer(answer: Answer) -> End {
    let stop = answer.stop();
    match answer {
        Answer::SignedOut(_) => End::Nothing(stop, None),
        Answer::Slow(after, _) => End::Nothing(stop, after),
        Answer::Failed(after, _) => End::Unsettled(stop, after),
        Answer::Duplicate | Answer::Ok => End::Unsettled(stop, None),
        Answer::Forbidden(_)
        | Answer::Missing(_)
        | Answer::NoSet(_)
        | Answer::TooLarge(_)
        | Answer::Refused(_) => End::Never(stop),
    }
}

fn uploaded(step: &Step, reply: &HttpReply) -> Verdict {
    let attached = || {
        step.claims
            .iter()
            .map(|c| Learned::is(&c.fact, c.candidate.as_deref().unwrap_or_default()))
            .collect()
    };
    let refused = |reason, why: &str| {
        let facts = step.claims.iter().map(|claim| &claim.fact);
        Verdict::Known(
            facts
                .map(|fact| Learned::refused(fact, reason, why))
                .collect(),
        )
    };
    match Answer::of(reply) {
        Answer::Ok => Verdict::Known(attached()),
        Answer::TooLarge(_) => refused(
            Reason::TooLarge,
            "it is larger than this Creatio takes (MaxFileSize)",
        ),
        Answer::Refused(words) => refused(
            Reason::Invalid,
            &format!("Creatio refused it: {}", short(&words)),
        ),
        Answer::Missing(_) => refused(Reason::NotFound, "its row was removed in Creatio"),
        Answer::Forbidden(words) => Verdict::Never(Stop::new(
            Reason::Forbidden,
            format!("the integration user may not write CaseFile.Data: {words}"),
        )),
        other => single(outer(other)),
    }
}

fn removed(step: &Step, reply: &HttpReply) -> Verdict {
    match Answer::of(reply) {
        Answer::Ok | Answer::Missing(_) => all(step),
        // An empty row that may not be removed is a blemish, not a reason to stop.
        Answer::Forbidden(_) | Answer::Refused(_) | Answer::NoSet(_) | Answer::TooLarge(_) => {
            all(step)
        }
        other => single(outer(other)),
    }
}

fn all(step: &Step) -> Verdict {
    Verdict::Known(
        step.claims
            .iter()
            .map(|c| Learned::is(&c.fact, c.candidate.as_deref().unwrap_or("done")))
            .collect(),
    )
}

fn settled(step: &Step, value: &str) -> Vec<Learned> {
    step.claims
        .iter()
        .map(|claim| Learned::is(&claim.fact, value))
        .collect()
}

/// What a contact learns is worth no stop.
fn learned(step: &Step, reply: &HttpReply) -> Verdict {
    match Answer::of(reply) {
        Answer::Refused(_) | Answer::Forbidden(_) | Answer::Missing(_) | Answer::TooLarge(_) => {
            Verdict::Known(settled(step, REFUSED))
        }
        _ => updated(step, reply),
    }
}

/// One column of a row, written by itself: refused, it is left out.
fn column(step: &Step, reply: &HttpReply) -> Verdict {
    match Answer::of(reply) {
        Answer::Refused(words) | Answer::Forbidden(words) | Answer::TooLarge(words) => {
            let mut learned = settled(step, "refused");
            let dropped = dropped_fact(text(&step.context, "set"), text(&step.context, "column"));
            learned.push(Learned::is(dropped, short(&words)));
            Verdict::Known(learned)
        }
        _ => updated(step, reply),
    }
}

fn updated(step: &Step, reply: &HttpReply) -> Verdict {
    let answer = Answer::of(reply);
    let set = match step.name.split('.').next() {
        Some("activity") => "Activity",
        Some("contact") => "Contact",
        _ => "Case",
    };
    match answer {
        Answer::Ok => all(step),
        Answer::Refused(words) => {
            if step.name == "activity.remark" {
                return all(step);
            }
            if step.name == "case.reopen" {
                // A site without this status: a new case takes the place.
                return Verdict::Known(settled(step, REFUSED));
            }
            if step.name == "case.close" {
                // The conversation has ended all the same; the rep is told that the case has not.
                let mut learned = settled(step, "refused");
                learned.push(Learned::is(dropped_fact(set, "StatusId"), short(&words)));
                return Verdict::Known(learned);
            }
            single(refused(&step.context, set, &words))
        }
        Answer::Forbidden(words) => Verdict::Never(Stop::new(
            Reason::Forbidden,
            format!("the integration user may not change {set}: {words}"),
        )),
        // A case that was deleted needs no end.
        Answer::Missing(_) if matches!(step.name, "case.reopen" | "case.close") => {
            Verdict::Known(settled(step, REFUSED))
        }
        Answer::Missing(words) => Verdict::Never(Stop::new(
            Reason::NotFound,
            format!("this session's {set} was deleted in Creatio: {words}"),
        )),
        other => single(outer(other)),
    }
}

/// The attachment's bytes could not be had; nothing was sent.
fn media(step: &Step, problem: MediaProblem) -> Verdict {
    if problem == MediaProblem::Unreachable {
        return Verdict::later(
            Stop::new(Reason::MediaUnavailable, problem.words()),
            Effect::None,
        );
    }
    Verdict::Known(
        step.claims
            .iter()
            .map(|claim| Learned::refused(&claim.fact, problem.reason(), problem.words()))
            .collect(),
    )
}
