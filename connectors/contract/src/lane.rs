//! What a plan, and the answers to it, do to the facts of a lane.
//!
//! The one transition: the engine carries it out against the ledger, the proof suite and the tests
//! against a map in memory.

use std::time::Duration;

use jiff::Timestamp;

use crate::known::{Fact, Known, Settled};
use crate::step::{Call, Repeat, Step};
use crate::verdict::{Effect, Stop, Verdict};

/// What happens to one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is so.
    Set(String, String),
    /// It is refused for good.
    Refuse(String, Stop),
    /// It is not so.
    Remove(String),
    /// It is as it was before the plan.
    Restore(String, Fact),
}

impl Change {
    /// A fact is settled.
    #[must_use]
    pub fn settle(name: String, settled: Settled) -> Change {
        match settled {
            Settled::Is(value) => Change::Set(name, value),
            Settled::Refused(stop) => Change::Refuse(name, stop),
        }
    }

    /// Carries the change out.
    pub fn apply(self, known: &mut Known) {
        match self {
            Change::Set(name, value) => known.set(name, value),
            Change::Refuse(name, stop) => known.set(name, stop),
            Change::Remove(name) => {
                known.0.remove(&name);
            }
            Change::Restore(name, fact) => {
                known.0.insert(name, fact);
            }
        }
    }
}

/// Why a plan must not be carried out: a defect of its connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlan {
    /// A call that could duplicate would leave while its outcome is unknown.
    #[error("{step} would repeat would_repeat_unsafely while {fact} is unsure")]
    Blind {
        /// The step.
        step: &'static str,
        /// The fact.
        fact: String,
    },
    /// Two steps of one plan claim the same fact.
    #[error("two steps of one plan claim {fact}")]
    Twice {
        /// The fact.
        fact: String,
    },
}

/// The facts that are unsure once the calls of `steps` leave. To be written down before.
///
/// # Errors
/// The plan must not be carried out.
pub fn intend(
    known: &Known,
    steps: &[Step],
    now: Timestamp,
) -> Result<Vec<(String, Fact)>, BadPlan> {
    let mut unsure: Vec<(String, Fact)> = Vec::new();
    for step in steps.iter().filter(|step| leaves(step)) {
        for claim in &step.claims {
            let (since, candidate) = match known.0.get(&claim.fact) {
                Some(Fact::Unsure { since, candidate }) => (Some(*since), candidate.clone()),
                _ => (None, None),
            };
            if step.repeat == Repeat::Blind && since.is_some() {
                let (step, fact) = (step.name, claim.fact.clone());
                return Err(BadPlan::Blind { step, fact });
            }
            if unsure.iter().any(|(name, _)| *name == claim.fact) {
                let fact = claim.fact.clone();
                return Err(BadPlan::Twice { fact });
            }
            // The first call that may have done it counts: a look is for everything since then.
            let fact = Fact::Unsure {
                since: since.unwrap_or(now),
                candidate: claim.candidate.clone().or(candidate),
            };
            unsure.push((claim.fact.clone(), fact));
        }
    }
    Ok(unsure)
}

/// Whether something leaves that may change the other side.
fn leaves(step: &Step) -> bool {
    step.repeat != Repeat::Safe && !matches!(step.call, Call::Record(_))
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Facts changed.
    Moved,
    /// Nothing changed.
    Still,
    /// Something stood in the way.
    Later {
        /// What.
        stop: Stop,
        /// Not before this time has passed, if the other side named one.
        after: Option<Duration>,
    },
    /// A person is needed.
    Never(Stop),
}

/// What an answer to `step` changes; `before` is what was known when the plan was made.
#[must_use]
pub fn learn(before: &Known, step: &Step, verdict: Verdict) -> (Vec<Change>, Progress) {
    match verdict {
        Verdict::Known(learned) => {
            let changes: Vec<Change> = learned
                .into_iter()
                .map(|fact| match fact.value {
                    Some(settled) => Change::settle(fact.fact, settled),
                    None => Change::Remove(fact.fact),
                })
                .collect();
            let progress = if changes.is_empty() {
                Progress::Still
            } else {
                Progress::Moved
            };
            (changes, progress)
        }
        Verdict::Absent => {
            let moved = step.claims.iter().any(|claim| !before.absent(&claim.fact));
            let claims = step.claims.iter();
            let changes = claims.map(|claim| Change::Remove(claim.fact.clone()));
            let progress = if moved {
                Progress::Moved
            } else {
                Progress::Still
            };
            (changes.collect(), progress)
        }
        Verdict::Later {
            stop,
            after,
            effect,
        } => {
            let mut changes = match effect {
                Effect::None => undo(before, step),
                Effect::Possible => Vec::new(),
            };
            let (put_aside, progress) = in_the_way(step, stop, after);
            changes.extend(put_aside);
            (changes, progress)
        }
        // A refusal on purpose had no effect of its own; an earlier attempt may have had one.
        Verdict::Never(stop) => (undo(before, step), Progress::Never(stop)),
    }
}

/// [`learn`], carried out on facts in memory.
#[must_use]
pub fn settle(known: &mut Known, before: &Known, step: &Step, verdict: Verdict) -> Progress {
    let (changes, progress) = learn(before, step, verdict);
    changes.into_iter().for_each(|change| change.apply(known));
    progress
}

/// What it changes that no answer to `step` came: what it claims stays unsure.
#[must_use]
pub fn lost(step: &Step, stop: Stop) -> (Vec<Change>, Progress) {
    let (put_aside, progress) = in_the_way(step, stop, None);
    (put_aside.into_iter().collect(), progress)
}

/// What stands in a step's way stops the lane, or only this step where it may be put aside.
fn in_the_way(step: &Step, stop: Stop, after: Option<Duration>) -> (Option<Change>, Progress) {
    match &step.aside {
        Some((fact, value)) => {
            let value = format!("{value} {}", stop.reason.label());
            (Some(Change::Set(fact.clone(), value)), Progress::Moved)
        }
        None => (None, Progress::Later { stop, after }),
    }
}

/// What makes a step not have been tried: what an earlier call may have done stays unsure.
#[must_use]
pub fn undo(before: &Known, step: &Step) -> Vec<Change> {
    if !leaves(step) {
        return Vec::new();
    }
    let names = step.claims.iter().map(|claim| claim.fact.clone());
    names
        .map(|name| match before.0.get(&name) {
            Some(fact) => Change::Restore(name, fact.clone()),
            None => Change::Remove(name),
        })
        .collect()
}

/// The fact that says which version of the mapping an event is planned with.
#[must_use]
pub fn mapping_fact(event: &str) -> String {
    format!("{MAPPING}{event}")
}

/// Facts that a retry by a person forgets: the versions of the mapping with which handoffs that are
/// not complete were planned. They are planned anew with the mapping in force.
pub fn replanned(known: &Known) -> impl Iterator<Item = String> + '_ {
    known
        .under(MAPPING)
        .filter(|(event, _)| known.absent(&format!("{COMPLETED}{event}")))
        .map(|(event, _)| mapping_fact(event))
}

/// The fact by which a way back notes which event a message of WhatsApp's carried out: the event of a rep's
/// reply. By it the reply is found that a customer quotes.
#[must_use]
pub fn carried_fact(message: &str) -> String {
    format!("carried/{message}")
}

/// The fact by which a connector notes that an event is work again although its lane has shown it: it is
/// [`AGAIN`] until that is done. An operator who skips gives such an event up before any other, since
/// the lane stands at it; then it is [`SKIPPED`].
#[must_use]
pub fn again_fact(event: &str) -> String {
    format!("{REOPENED}{event}")
}

/// Value of [`again_fact`]: the event is work again.
pub const AGAIN: &str = "open";
/// Value of [`again_fact`]: a person gave it up.
pub const SKIPPED: &str = "skipped";

/// The events that are work again.
pub fn again(known: &Known) -> impl Iterator<Item = &str> {
    reopened(known, AGAIN)
}

/// The events that were work again and that a person gave up.
pub fn skipped(known: &Known) -> impl Iterator<Item = &str> {
    reopened(known, SKIPPED)
}

fn reopened<'k>(known: &'k Known, state: &'static str) -> impl Iterator<Item = &'k str> {
    let facts = known.under(REOPENED);
    facts.filter_map(move |(event, value)| (value == state).then_some(event))
}

const REOPENED: &str = "reopened/";
const MAPPING: &str = "mapping/";
/// Every connector settles this fact of a handoff once it is complete.
const COMPLETED: &str = "completed/";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::HttpCall;
    use crate::verdict::{Learned, Reason};

    fn step(repeat: Repeat) -> Step {
        Step::new("ticket.create", repeat, HttpCall::get("/"))
            .claim_as("ticket", "chosen")
            .claim("url")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn unsure(second: i64, candidate: Option<&str>) -> Fact {
        Fact::Unsure {
            since: at(second),
            candidate: candidate.map(str::to_owned),
        }
    }

    fn after(known: &Known, changes: Vec<Change>) -> Known {
        let mut known = known.clone();
        changes
            .into_iter()
            .for_each(|change| change.apply(&mut known));
        known
    }

    #[test]
    fn what_leaves_is_unsure_since_it_first_left() {
        let mut known = Known::default();
        let first = intend(&known, &[step(Repeat::Keyed)], at(1)).expect("a plan");
        assert_eq!(
            first,
            [
                ("ticket".to_owned(), unsure(1, Some("chosen"))),
                ("url".to_owned(), unsure(1, None))
            ]
        );
        known.0.extend(first);
        let again = Step::new("ticket.look", Repeat::Keyed, HttpCall::get("/")).claim("ticket");
        let second = intend(&known, &[again], at(9)).expect("a plan");
        assert_eq!(second, [("ticket".to_owned(), unsure(1, Some("chosen")))]);
    }

    #[test]
    fn a_blind_repeat_and_a_fact_claimed_twice_are_no_plans() {
        let mut known = Known::default();
        let twice = [step(Repeat::Keyed), step(Repeat::Keyed)];
        let fact = "ticket".to_owned();
        assert_eq!(
            intend(&known, &twice, at(1)),
            Err(BadPlan::Twice { fact: fact.clone() })
        );
        known.0.insert("ticket".into(), unsure(1, None));
        let step = step(Repeat::Blind);
        assert_eq!(
            intend(&known, &[step], at(2)),
            Err(BadPlan::Blind {
                step: "ticket.create",
                fact
            })
        );
    }

    #[test]
    fn a_look_and_a_record_make_nothing_unsure() {
        let known = Known::default();
        let look = Step::look("look", HttpCall::get("/")).claim("ticket");
        let record = Step::new("note", Repeat::Keyed, crate::step::Record::default()).claim("x");
        assert_eq!(
            intend(&known, &[look.clone(), record], at(1)),
            Ok(Vec::new())
        );
        assert_eq!(undo(&known, &look), []);
    }

    #[test]
    fn a_call_without_effect_leaves_what_was_known_before() {
        let stop = || Stop::new(Reason::ServerError, "503");
        let mut before = Known::default();
        before.0.insert("ticket".into(), unsure(1, Some("chosen")));
        let step = step(Repeat::Keyed);
        let mut known = before.clone();
        known
            .0
            .extend(intend(&known, std::slice::from_ref(&step), at(5)).expect("a plan"));
        for (effect, expected) in [(Effect::None, &before), (Effect::Possible, &known)] {
            let verdict = Verdict::Later {
                stop: stop(),
                after: Some(Duration::from_secs(3)),
                effect,
            };
            let (changes, progress) = learn(&before, &step, verdict);
            assert_eq!(after(&known, changes), *expected, "{effect:?}");
            assert!(
                matches!(progress, Progress::Later { after: Some(wait), .. } if wait.as_secs() == 3)
            );
        }
        let (changes, progress) = learn(&before, &step, Verdict::Never(stop()));
        assert_eq!(after(&known, changes), before);
        assert_eq!(progress, Progress::Never(stop()));
    }

    #[test]
    fn what_may_be_put_aside_stops_nothing() {
        let before = Known::default();
        let step = step(Repeat::Keyed).aside("news", "later");
        let stop = || Stop::new(Reason::Unroutable, "no queue");
        let aside = Change::Set("news".into(), "later unroutable".into());
        assert_eq!(lost(&step, stop()), (vec![aside.clone()], Progress::Moved));
        let (changes, progress) = learn(&before, &step, Verdict::later(stop(), Effect::None));
        assert_eq!((changes.last(), progress), (Some(&aside), Progress::Moved));
        let plain = Step::new("send", Repeat::Keyed, HttpCall::get("/"));
        let later = Progress::Later {
            stop: stop(),
            after: None,
        };
        assert_eq!(lost(&plain, stop()), (Vec::new(), later));
    }

    #[test]
    fn a_retry_forgets_the_mapping_of_handoffs_that_are_not_complete() {
        let mut known = Known::default();
        for fact in ["mapping/1", "mapping/2", "completed/1", "mappings"] {
            known.set(fact, "3");
        }
        assert_eq!(replanned(&known).collect::<Vec<_>>(), ["mapping/2"]);
    }

    #[test]
    fn events_are_work_again_until_they_are_done_or_given_up() {
        let mut known = Known::default();
        for (event, state) in [("1", AGAIN), ("2", "closed"), ("3", SKIPPED), ("4", AGAIN)] {
            known.set(again_fact(event), state);
        }
        assert_eq!(again(&known).collect::<Vec<_>>(), ["1", "4"]);
        assert_eq!(skipped(&known).collect::<Vec<_>>(), ["3"]);
    }

    #[test]
    fn a_refusal_settles_a_fact_until_a_call_leaves_again() {
        let before = Known::default();
        let step = step(Repeat::Keyed);
        let learned = vec![Learned::refused("ticket", Reason::TooLarge, "6 MB")];
        let (changes, progress) = learn(&before, &step, Verdict::Known(learned));
        assert_eq!(
            changes,
            [Change::Refuse(
                "ticket".into(),
                Stop::new(Reason::TooLarge, "6 MB")
            )]
        );
        assert_eq!(progress, Progress::Moved);
        let mut known = after(&before, changes);
        assert_eq!(known.refused("ticket"), Some((Reason::TooLarge, "6 MB")));
        let refused = known.clone();
        known
            .0
            .extend(intend(&known, std::slice::from_ref(&step), at(3)).expect("a plan"));
        assert!(known.unsure("ticket"));
        assert_eq!(after(&known, undo(&refused, &step)), refused);
    }

    #[test]
    fn answers_settle_facts() {
        let before = Known::default();
        let step = step(Repeat::Keyed);
        let learned = vec![Learned::is("ticket", "7"), Learned::absent("url")];
        let (changes, progress) = learn(&before, &step, Verdict::Known(learned));
        let known = after(&before, changes);
        assert_eq!(
            (known.get("ticket"), known.absent("url")),
            (Some("7"), true)
        );
        assert_eq!(progress, Progress::Moved);
        let (changes, progress) = learn(&known, &step, Verdict::Absent);
        assert_eq!(after(&known, changes), Known::default());
        assert_eq!(progress, Progress::Moved);
        assert_eq!(learn(&before, &step, Verdict::Absent).1, Progress::Still);
        assert_eq!(
            learn(&before, &step, Verdict::Known(Vec::new())).1,
            Progress::Still
        );
    }
}
