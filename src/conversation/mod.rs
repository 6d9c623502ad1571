//! The state of a conversation: who is in charge, exactly one at any time.
//!
//! A pure reducer: [`step`] answers what a state becomes by what happened, what follows from that
//! ([`Effect`]), and when to look again. The ledger keeps the state with the session and moves it in
//! the transaction of the event that moves it; effects are events of the session, for its lanes and
//! for the platform.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`state`] | a conversation's state, and what moves it |
//! | [`rules`] | by what it moves when nothing happens: in general, and at each target |
//! | `moves` | who is in charge after what happened |
//! | `deadlines` | what is due when nothing happens |
//! | `unattended` | nobody comes, or nobody is found |
//! | `replies` | replies that the exit took, and of which nothing more was told |
//! | [`notices`] | what the customer is told, and what they answer to it |
//! | `people` | what reps did since the handoff, for the handback |
//!
//! # Who is in charge
//!
//! | what happens | assistant | queued | rep | returned | closed |
//! | --- | --- | --- | --- | --- | --- |
//! | handoff.requested | queued | queued | rep | queued | queued |
//! | a rep is assigned | assistant | rep | rep | returned | closed |
//! | the rep leaves | assistant | queued | queued | returned | closed |
//! | a rep replies | rep | rep | rep | rep | rep |
//! | the rep ends it | assistant | closed | closed | returned | closed |
//! | session.returned | assistant | returned | returned | returned | returned |
//! | session.closed | closed | closed | closed | closed | closed |
//! | the customer writes | assistant | queued | rep | returned | closed |
//! | no rep is found | assistant | queued | rep | returned | closed |
//! | the customer writes `/cancel` | assistant | returned | rep | returned | closed |
//! | nobody joined in time | assistant | queued | rep | returned | closed |
//! | idle for too long | assistant | closed | closed | returned | closed |
//!
//! With several targets, the rep who answers or is assigned first is in charge; what happens in the
//! others changes nothing until that rep leaves. With `rep_end = "return"` the rep's end gives the
//! conversation back (`returned`), and with `unattended = "return"` so does a queue in which nobody
//! joined, or in which no target finds anybody. What is older than the state that it would change changes nothing: targets tell of some
//! things late. After a return or an end a rep takes over only by a reply that is a minute younger,
//! since two systems' clocks differ.

mod deadlines;
mod moves;
pub mod notices;
mod people;
mod replies;
pub mod rules;
pub mod state;
#[cfg(test)]
mod tests;
mod unattended;

use handoffd_contract::event::SessionState;
use handoffd_contract::state::SessionHandback;
use handoffd_contract::{Controller, Data};
use jiff::Timestamp;

pub use self::notices::CustomerRules;
pub use self::replies::{Replies, Watched};
pub use self::rules::{RepEnd, Rules, Terms, Unattended, Unconfirmed};
pub use self::state::{Happened, Moved, State};

/// What follows from a change: an event of the session.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What it is, unique among the effects of one cause.
    pub name: String,
    /// The event.
    pub data: Data,
}

/// What a state becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The new state.
    pub state: State,
    /// What follows, in order.
    pub effects: Vec<Effect>,
    /// When to look again even if nothing happens.
    pub deadline: Option<Timestamp>,
}

/// What becomes of a conversation by what happened. `now` is the time at which it is taken in.
#[must_use]
pub fn step(before: &State, happened: &Happened, now: Timestamp, rules: &Rules) -> Step {
    let mut state = before.clone();
    let mut effects = Vec::new();
    let at = happened.at.min(now);
    match &happened.moved {
        Moved::Deadline => deadlines::due(&mut state, happened, now, rules, &mut effects),
        Moved::NobodyFound { target, detail } => {
            let found = (target.as_str(), detail.as_deref());
            unattended::nobody_found(&mut state, found, (at, now), rules, &mut effects);
        }
        moved => moves::by(&mut state, moved, &happened.id, at, rules),
    }
    if let Moved::Wrote(word) = &happened.moved {
        let (word, times) = (word.as_deref(), (at, now));
        notices::wrote(&mut state, word, happened, times, rules, &mut effects);
    }
    tell(before, &mut state, happened, at, &mut effects);
    notices::tell(before, &mut state, happened, now, rules, &mut effects);
    let due = deadlines::next(&state, happened.last_inbound, now, rules).map(|(at, _)| at);
    let deadline = due
        .into_iter()
        .chain(notices::due(&state, rules, now))
        .min();
    Step {
        state,
        effects,
        deadline,
    }
}

/// Who is in charge now, if that changed, and what people did, if they have given it up.
fn tell(
    before: &State,
    state: &mut State,
    happened: &Happened,
    at: Timestamp,
    effects: &mut Vec<Effect>,
) {
    if state.controller == before.controller {
        return;
    }
    let told = SessionState {
        controller: state.controller.clone(),
        since: state.since.unwrap_or(at),
        handoff: state.handoff.clone(),
    };
    effects.push(Effect::new("state", Data::SessionState(told)));
    if before.controller.is_people()
        && !state.controller.is_people()
        && let Some(handback) = handback(before, state, happened, at)
    {
        effects.push(Effect::new(
            "handback",
            Data::SessionHandback(Box::new(handback)),
        ));
    }
    if !state.controller.is_people() {
        state.targets.clear();
        state.failed.clear();
        state.waiting_since = None;
    }
}

/// What people did, where somebody took part or a rep ended it.
fn handback(
    before: &State,
    state: &State,
    happened: &Happened,
    at: Timestamp,
) -> Option<SessionHandback> {
    let (target, status) = match &happened.moved {
        Moved::Ended { target, status } => (Some(target.clone()), status.clone()),
        _ if before.people.took_part() => (before.controller.target().map(str::to_owned), None),
        _ => return None,
    };
    let (outcome, resolved) = match &state.controller {
        Controller::Closed { resolved, .. } => ("closed", *resolved),
        _ => ("returned", None),
    };
    Some(SessionHandback {
        target,
        status,
        outcome: outcome.to_owned(),
        resolved,
        handoff: state.handoff.clone(),
        requested_at: state.handed_at,
        ..before.people.told(state.handed_at, at)
    })
}

impl Effect {
    fn new(name: impl Into<String>, data: Data) -> Effect {
        Effect {
            name: name.into(),
            data,
        }
    }
}

/// From one time to another, in whole seconds; never negative.
fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}
