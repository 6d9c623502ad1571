//! What is due when nothing happens. One time is kept: the earliest; what it means is found out when it
//! comes.

use handoffd_contract::event::{RepNotice, SessionClosed, SessionReturned};
use handoffd_contract::{Controller, Data};
use jiff::{SignedDuration, Timestamp};

use super::Effect;
use super::state::{Happened, Rules, State, Unattended};

/// How long a business may write freely after the customer has written.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>
pub(super) const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// Who closes and returns by a rule.
const RULE: &str = "handoffd";

/// What a deadline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Nobody joined.
    Unattended,
    /// The window is about to close.
    Window,
    /// Nobody says anything any more.
    Idle,
}

/// When to look again, and for what.
pub(super) fn next(
    state: &State,
    last_inbound: Option<Timestamp>,
    now: Timestamp,
    rules: &Rules,
) -> Option<(Timestamp, Due)> {
    if !state.controller.is_people() {
        return None;
    }
    let is_queued = matches!(state.controller, Controller::Queued { .. });
    let unattended = rules
        .unattended_after
        .zip(state.waiting_since)
        .filter(|_| is_queued && !state.unattended)
        .and_then(|(after, since)| later(since, after));
    let window = rules.window_warning.zip(last_inbound);
    let window = window.and_then(|(before, wrote)| {
        let closes = later(wrote, WINDOW)?;
        // Once it has closed, the record is told by what happens to the replies.
        let is_told = state.warned == Some(wrote) || closes <= now;
        (!is_told)
            .then(|| closes.checked_sub(before).ok())
            .flatten()
    });
    let spoke = state.active_at.max(state.since).max(last_inbound);
    let idle = rules
        .idle_after
        .zip(spoke)
        .and_then(|(after, spoke)| later(spoke, after));
    [
        (unattended, Due::Unattended),
        (window, Due::Window),
        (idle, Due::Idle),
    ]
    .into_iter()
    .filter_map(|(at, due)| Some((at?, due)))
    .min()
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
            Due::Unattended => {
                state.unattended = true;
                let since = state.waiting_since.unwrap_or(at);
                effects.push(Effect::unattended(state, since, now));
                if rules.unattended == Unattended::Return {
                    let by = RULE.to_owned();
                    state.put(Controller::Returned { by }, now);
                    let returned = SessionReturned {
                        returned_by: Some(RULE.to_owned()),
                        reason: Some("nobody joined in time".to_owned()),
                    };
                    effects.push(Effect::new("returned", Data::SessionReturned(returned)));
                }
            }
            Due::Window => {
                state.warned = happened.last_inbound;
                effects.extend(warnings(state, happened.last_inbound));
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
        }
    }
}

/// What is told on the record of the rep, or of everybody who was asked.
fn warnings(state: &State, last_inbound: Option<Timestamp>) -> Vec<Effect> {
    let Some(closes) = last_inbound.and_then(|wrote| later(wrote, WINDOW)) else {
        return Vec::new();
    };
    let text = format!(
        "WhatsApp's 24-hour window closes at {} UTC, because the customer has not written since. \
         A reply that is written later waits until the customer writes again.",
        closes.strftime("%Y-%m-%d %H:%M")
    );
    let targets: Vec<String> = match &state.controller {
        Controller::Rep { target, .. } => vec![target.clone()],
        _ => state.targets.iter().cloned().collect(),
    };
    targets
        .into_iter()
        .map(|target| {
            let name = format!("notice/{target}");
            let text = text.clone();
            Effect::new(name, Data::RepNotice(RepNotice { target, text }))
        })
        .collect()
}

pub(super) fn later(at: Timestamp, by: SignedDuration) -> Option<Timestamp> {
    at.checked_add(by).ok()
}
