//! Nobody comes: the time has passed, or a CRM's search for a rep has found nobody.
//!
//! It is told once of each wait, whichever comes first. What else follows is each asked target's own rule:
//! where one says `return`, the assistant gets the conversation back when that target's time has passed, or
//! when no target looks for anybody any more.

use handoffd_contract::event::{NobodyCame, SessionReturned, SessionUnattended};
use handoffd_contract::{Controller, Data};
use jiff::Timestamp;

use super::moves::SKEW;
use super::rules::{Rules, Unattended};
use super::state::State;
use super::{Effect, seconds};

/// Who returns and closes by a rule.
pub(super) const RULE: &str = "handoffd";

/// Tells, once of a wait, that nobody joined.
pub(super) fn tell(
    state: &mut State,
    (reason, detail): (NobodyCame, Option<String>),
    now: Timestamp,
    effects: &mut Vec<Effect>,
) {
    if state.unattended {
        return;
    }
    state.unattended = true;
    let since = state.waiting_since.unwrap_or(now);
    let told = SessionUnattended {
        reason,
        detail,
        targets: state.targets.iter().cloned().collect(),
        since,
        waited_seconds: seconds(since, now),
        handoff: state.handoff.clone(),
    };
    effects.push(Effect::new("unattended", Data::SessionUnattended(told)));
}

/// Gives the conversation back to the assistant.
pub(super) fn give_back(state: &mut State, why: &str, now: Timestamp, effects: &mut Vec<Effect>) {
    let by = RULE.to_owned();
    state.put(Controller::Returned { by }, now);
    let returned = SessionReturned {
        returned_by: Some(RULE.to_owned()),
        reason: Some(why.to_owned()),
    };
    effects.push(Effect::new("returned", Data::SessionReturned(returned)));
}

/// A target's search for a rep has found nobody. While another one still looks, nothing follows.
pub(super) fn nobody_found(
    state: &mut State,
    (target, detail): (&str, Option<&str>),
    (at, now): (Timestamp, Timestamp),
    rules: &Rules,
    effects: &mut Vec<Effect>,
) {
    let is_old = state.since.is_some_and(|since| at + SKEW < since);
    let is_queued = matches!(state.controller, Controller::Queued { .. });
    if !is_queued || is_old || !state.targets.contains(target) {
        return;
    }
    state.failed.insert(target.to_owned());
    if !state.targets.is_subset(&state.failed) {
        return;
    }
    let told = (NobodyCame::Routing, detail.map(str::to_owned));
    tell(state, told, now, effects);
    let gives_back = |target: &String| rules.at(target).unattended == Unattended::Return;
    if state.targets.iter().any(gives_back) {
        give_back(state, "no rep was found", now, effects);
    }
}
