//! What is due when nothing happens. One time is kept: the earliest; what it means is found out when it
//! comes.
//!
//! Each target has its own terms. Where a conversation waits at several, each one's time counts and does
//! what that target's terms say: it is told once that nobody joined, at the earliest time; a target with
//! `unattended = "return"` gives it back at its own; each record is warned of the window at its own; and
//! the first `idle_after` closes.

use handoffd_contract::event::{NobodyCame, RepNotice, SessionClosed};
use handoffd_contract::{Controller, Data};
use jiff::{SignedDuration, Timestamp};

use super::Effect;
use super::rules::{Rules, Terms, Unattended};
use super::state::{Happened, State};
use super::unattended::{self, RULE};

/// How long a business may write freely after the customer has written.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>
pub(super) const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// What a deadline means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Nobody joined: it is told.
    Unattended,
    /// Nobody joined, and it goes back.
    Return,
    /// The window is about to close, for this target's record.
    Window(String),
    /// Nobody says anything any more.
    Idle,
    /// Nothing was told of this reply.
    Unconfirmed(usize),
}

/// When to look again, and for what.
pub(super) fn next(
    state: &State,
    last_inbound: Option<Timestamp>,
    now: Timestamp,
    rules: &Rules,
) -> Option<(Timestamp, Due)> {
    let mut all = Vec::new();
    if state.controller.is_people() {
        for (target, terms) in here(state, rules) {
            all.extend(at_target(state, target, terms, last_inbound, now));
        }
    }
    let unconfirmed = state.replies.due(rules);
    all.extend(unconfirmed.map(|(at, place)| (at, Due::Unconfirmed(place))));
    all.into_iter().min()
}

/// Where the conversation is, and what holds there: with the rep, else wherever people were asked.
fn here<'s>(state: &'s State, rules: &'s Rules) -> Vec<(Option<&'s str>, &'s Terms)> {
    match &state.controller {
        Controller::Rep { target, .. } => vec![(Some(target), rules.at(target))],
        _ if state.targets.is_empty() => vec![(None, &rules.general)],
        _ => {
            let asked = state.targets.iter();
            asked
                .map(|target| (Some(target.as_str()), rules.at(target)))
                .collect()
        }
    }
}

/// What is due by the terms of one target.
fn at_target(
    state: &State,
    target: Option<&str>,
    terms: &Terms,
    last_inbound: Option<Timestamp>,
    now: Timestamp,
) -> impl Iterator<Item = (Timestamp, Due)> {
    let waits = state
        .waiting_since
        .filter(|_| matches!(state.controller, Controller::Queued { .. }));
    let unattended = match terms.unattended {
        Unattended::Stay => (!state.unattended).then_some(Due::Unattended),
        Unattended::Return => Some(Due::Return),
    };
    let unattended = terms
        .unattended_after
        .zip(waits)
        .and_then(|(after, since)| later(since, after))
        .zip(unattended);
    let window = terms.window_warning.zip(last_inbound).zip(target);
    let window = window.and_then(|((before, wrote), target)| {
        let closes = later(wrote, WINDOW)?;
        // Once it has closed, the record is told by what happens to the replies.
        if is_warned(state, wrote, target) || closes <= now {
            return None;
        }
        let at = closes.checked_sub(before).ok()?;
        Some((at, Due::Window(target.to_owned())))
    });
    let spoke = state.active_at.max(state.since).max(last_inbound);
    let idle = terms
        .idle_after
        .zip(spoke)
        .and_then(|(after, spoke)| Some((later(spoke, after)?, Due::Idle)));
    [unattended, window, idle].into_iter().flatten()
}

/// Whether a target was warned about the window of the message that the customer wrote then. Older
/// ledgers do not hold which targets were: then all were.
fn is_warned(state: &State, wrote: Timestamp, target: &str) -> bool {
    let all = state.warned_targets.is_empty();
    state.warned == Some(wrote) && (all || state.warned_targets.contains(target))
}

/// Does what is due, until nothing is.
pub(super) fn due(
    state: &mut State,
    happened: &Happened,
    now: Timestamp,
    rules: &Rules,
    effects: &mut Vec<Effect>,
) {
    while let Some((at, due)) = next(state, happened.last_inbound, now, rules)
        && at <= now
    {
        match due {
            Due::Unattended => unattended::tell(state, (NobodyCame::Time, None), now, effects),
            Due::Return => {
                unattended::tell(state, (NobodyCame::Time, None), now, effects);
                unattended::give_back(state, "nobody joined in time", now, effects);
            }
            Due::Window(target) => {
                if state.warned != happened.last_inbound {
                    state.warned = happened.last_inbound;
                    state.warned_targets.clear();
                }
                state.warned_targets.insert(target.clone());
                effects.extend(warning(target, happened.last_inbound));
            }
            Due::Idle => {
                let (by, resolved) = (RULE.to_owned(), Some(true));
                state.put(Controller::Closed { by, resolved }, now);
                let closed = SessionClosed {
                    resolved,
                    reason: Some("nobody has written for a while".to_owned()),
                    closed_by: Some(RULE.to_owned()),
                };
                effects.push(Effect::new("closed", Data::SessionClosed(closed)));
            }
            Due::Unconfirmed(place) => effects.extend(state.replies.ask(place)),
        }
    }
}

/// What is told on a target's record of the window.
fn warning(target: String, last_inbound: Option<Timestamp>) -> Option<Effect> {
    let closes = last_inbound.and_then(|wrote| later(wrote, WINDOW))?;
    let text = format!(
        "WhatsApp's 24-hour window closes at {} UTC, because the customer has not written since. \
         A reply that is written later waits until the customer writes again.",
        closes.strftime("%Y-%m-%d %H:%M")
    );
    let name = format!("notice/{target}");
    let notice = RepNotice { target, text };
    Some(Effect::new(name, Data::RepNotice(notice)))
}

pub(super) fn later(at: Timestamp, by: SignedDuration) -> Option<Timestamp> {
    at.checked_add(by).ok()
}
