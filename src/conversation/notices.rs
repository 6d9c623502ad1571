//! What the customer is told of the conversation itself, and what they answer to it: the word with
//! which they leave the queue, and their rating after a rep's end.
//!
//! | told | when |
//! | --- | --- |
//! | `queued` | people were asked for, and the assistant had it |
//! | `position` | the place in the queue, or the wait where no place is told, is another one than was told last; at most every `position_every`, then the newest |
//! | `joined` | a rep was assigned. One who is known by a reply is not announced after it |
//! | `transferred` | another rep takes over, also within seconds after one who left, or another target is asked. Where it is off, `joined` is told of the rep |
//! | `left` | the rep left, and some seconds later it still waits: mostly somebody takes over, or it ends |
//! | `unattended` | nobody joined in time |
//! | `cancelled` | the customer left the queue with a word of their own |
//! | `ended` | a rep ended it, or nobody had written for too long |
//! | `csat` | a rep who had taken part ended it, and it is closed |
//!
//! Only notices that are switched on are made, so that nothing is stored where all are off. None is made
//! while WhatsApp's window is closed, nor of a conversation that is closed: `ended` and `csat` come with
//! the end itself.

use std::collections::BTreeSet;

use handoffd_contract::event::{CustomerNotice, MessageEvent, SessionRated, SessionReturned};
use handoffd_contract::notice::{Notice, minutes};
use handoffd_contract::{Controller, Data, text};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Effect;
use super::deadlines::{WINDOW, later};
use super::moves::SKEW;
use super::rules::Rules;
use super::state::{Happened, Moved, State};

/// So long after a rep has left it is said, if nothing else has happened: targets tell of a leave also where
/// another rep takes over, or the rep has ended it.
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// UTF-16 units of a name.
const MAX_NAME: usize = 100;
/// The longest message that may be a word to leave with or a rating, in characters.
pub const MAX_WORD: usize = 40;

/// The name of what follows from a message that is a rating.
pub const RATED: &str = "rated";

/// What the customer is told, and by which words they answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRules {
    /// The notices that are switched on, as the mappings of the ways back say.
    pub notices: BTreeSet<Notice>,
    /// Places in the queue are told no more often.
    pub position_every: SignedDuration,
    /// The words, as [`word`] gives them, with which a customer leaves the queue.
    pub cancel_words: BTreeSet<String>,
    /// How long a rating counts after the question.
    pub rating_within: SignedDuration,
    /// The words, as [`word`] gives them, for each score, the worst first.
    pub rating_scale: Vec<BTreeSet<String>>,
}

impl Default for CustomerRules {
    fn default() -> CustomerRules {
        CustomerRules {
            notices: BTreeSet::new(),
            position_every: SignedDuration::from_secs(60),
            cancel_words: BTreeSet::from(["/cancel".to_owned()]),
            rating_within: SignedDuration::from_hours(12),
            rating_scale: (1..=5).map(|n| BTreeSet::from([n.to_string()])).collect(),
        }
    }
}

/// What the customer was told, as far as it decides what they are told next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The place in the queue.
    pub position: Option<u32>,
    /// The wait in minutes.
    pub minutes: Option<u64>,
    /// When one of the two was told.
    pub place_at: Option<Timestamp>,
    /// The target and the name of the rep who is known to the customer.
    pub rep: Option<(String, Option<String>)>,
    /// The rep who has left, until that is said.
    pub left: Option<Gone>,
    /// The question after a rep's end, while it can be answered.
    pub asked: Option<Asked>,
}

/// A rep who has left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    /// When.
    pub at: Timestamp,
    /// Who, when known.
    pub rep: Option<String>,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// The target in which the rep ended it.
    pub target: String,
    /// The rep who was in charge last.
    pub rep: Option<String>,
}

/// A message as a word to compare: without white space around it, in lower case, an emoji without its
/// variation selector.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = text.trim().chars().filter(|c| *c != '\u{fe0f}');
    plain.collect::<String>().to_lowercase()
}

/// The word that a customer's whole message is, if it is one.
pub(super) fn word_of(said: &MessageEvent) -> Option<String> {
    let message = &said.message;
    let text = message.text.as_deref()?.trim();
    let is_word = !text.is_empty()
        && message.attachments.is_empty()
        && message.location.is_none()
        && text.chars().nth(MAX_WORD).is_none();
    is_word.then(|| word(text))
}

/// The customer wrote, perhaps a word that is meant for us.
pub(super) fn wrote(
    state: &mut State,
    word: Option<&str>,
    happened: &Happened,
    (at, now): (Timestamp, Timestamp),
    rules: &Rules,
    effects: &mut Vec<Effect>,
) {
    let rules = &rules.customer;
    // Whatever is written next is no answer any more.
    let asked = state.told.asked.take();
    let Some(word) = word else { return };
    let is_queued = matches!(state.controller, Controller::Queued { .. });
    // A word that was written before the handoff asks for nothing.
    let is_late = state.since.is_some_and(|since| at + SKEW < since);
    if is_queued && !is_late && rules.cancel_words.contains(word) {
        let by = "customer".to_owned();
        let at = state.since.map_or(at, |since| at.max(since));
        state.put(Controller::Returned { by: by.clone() }, at);
        let returned = SessionReturned {
            returned_by: Some(by),
            reason: Some("the customer left the queue".to_owned()),
        };
        effects.push(Effect::new("returned", Data::SessionReturned(returned)));
        return;
    }
    let Some(asked) = asked else { return };
    let is_in_time = at.as_second() >= asked.at.as_second()
        && later(asked.at, rules.rating_within).is_some_and(|until| now <= until);
    let score = rules.rating_scale.iter().position(|all| all.contains(word));
    if let (true, Some(score)) = (is_in_time, score) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let rated = SessionRated {
            score: count(score + 1),
            of: count(rules.rating_scale.len()),
            target: asked.target,
            rep: asked.rep,
            message: happened.id.clone(),
        };
        effects.push(Effect::new(RATED, Data::SessionRated(rated)));
    }
}

/// What the customer is told of what has changed.
pub(super) fn tell(
    before: &State,
    state: &mut State,
    happened: &Happened,
    now: Timestamp,
    rules: &Rules,
    effects: &mut Vec<Effect>,
) {
    let closes = happened.last_inbound.and_then(|wrote| later(wrote, WINDOW));
    let is_open = closes.is_none_or(|closes| now < closes);
    let is_on = |kind: &Notice| is_open && rules.customer.notices.contains(kind);
    let mut notices = Vec::new();
    let was_unattended = effects
        .iter()
        .any(|effect| matches!(effect.data, Data::SessionUnattended(_)));
    if was_unattended && !matches!(state.controller, Controller::Closed { .. }) {
        notices.push(Notice::Unattended);
    }
    if before.controller != state.controller {
        notices.extend(changed(before, state, &happened.moved, rules));
    }
    let left = leave(before, state, &happened.moved, now);
    notices.extend(left.as_ref().map(|_| Notice::Left));
    if is_open && place(state, rules).is_some_and(|due| due <= now) {
        notices.push(Notice::Position);
        if let Controller::Queued {
            position,
            wait_seconds,
            ..
        } = &state.controller
        {
            state.told.position = *position;
            state.told.minutes = wait_seconds.map(minutes);
            state.told.place_at = Some(now);
        }
    }
    notices.retain(is_on);
    remember(before, state, &notices, now);
    for kind in notices {
        let name = format!("customer/{}", kind.word());
        let notice = match (kind, &left) {
            (Notice::Left, Some(left)) => CustomerNotice {
                rep: left.rep.clone(),
                since: left.at,
                ..notice(kind, before, state, now)
            },
            _ => notice(kind, before, state, now),
        };
        let notice = Data::CustomerNotice(notice);
        effects.push(Effect::new(name, notice));
    }
}

/// When something is to be told although nothing happens: the place in the queue, if it is another one than
/// was told last, and that a rep has left.
pub(super) fn due(state: &State, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
    let is_on = rules.customer.notices.contains(&Notice::Left);
    let left = state.told.left.as_ref().filter(|_| is_on);
    let left = left.and_then(|left| later(left.at, GRACE));
    // What has come and could not be told is looked at with whatever happens next.
    let all = place(state, rules).into_iter().chain(left);
    all.filter(|due| *due > now).min()
}

/// Notes that a rep has left; gives who has left long enough ago for it to be said now.
fn leave(before: &State, state: &mut State, moved: &Moved, now: Timestamp) -> Option<Gone> {
    match (&before.controller, &state.controller, moved) {
        (Controller::Rep { .. }, Controller::Queued { .. }, Moved::Left(_)) => {
            let rep = last_rep(before).1;
            state.told.left = Some(Gone { at: now, rep });
            None
        }
        (Controller::Queued { .. }, Controller::Queued { .. }, _) => {
            let is_over = |left: &mut Gone| later(left.at, GRACE).is_none_or(|at| at <= now);
            state.told.left.take_if(is_over)
        }
        _ => {
            state.told.left = None;
            None
        }
    }
}

fn place(state: &State, rules: &Rules) -> Option<Timestamp> {
    let Controller::Queued {
        position,
        wait_seconds,
        ..
    } = &state.controller
    else {
        return None;
    };
    let told = &state.told;
    let is_new = match position {
        Some(_) => *position != told.position,
        None => wait_seconds.is_some() && wait_seconds.map(minutes) != told.minutes,
    };
    if !is_new || !rules.customer.notices.contains(&Notice::Position) {
        return None;
    }
    match told.place_at {
        Some(at) => later(at, rules.customer.position_every),
        None => Some(Timestamp::MIN),
    }
}

/// What a change of who is in charge means for the customer.
fn changed(before: &State, state: &State, moved: &Moved, rules: &Rules) -> Vec<Notice> {
    let is_transfer = rules.customer.notices.contains(&Notice::Transferred);
    let taken_over = if is_transfer {
        Notice::Transferred
    } else {
        Notice::Joined
    };
    match (&before.controller, &state.controller, moved) {
        (
            Controller::Rep { target, name },
            Controller::Rep {
                target: to,
                name: by,
            },
            _,
        ) => {
            let is_other = target != to || (name.is_some() && by.is_some() && name != by);
            Vec::from_iter(is_other.then_some(taken_over))
        }
        // A reply speaks for itself.
        (_, Controller::Rep { target, name }, Moved::Assigned { .. }) => {
            let known = before.told.rep.as_ref();
            let is_same = |who: &Option<String>| name.is_none() || who == name;
            let is_known = known.is_some_and(|(of, who)| of == target && is_same(who));
            let joined = match before.told.left {
                Some(_) => taken_over,
                None => Notice::Joined,
            };
            Vec::from_iter((!is_known).then_some(joined))
        }
        (Controller::Rep { .. }, Controller::Queued { .. }, Moved::Left(_)) => Vec::new(),
        (Controller::Rep { .. }, Controller::Queued { .. }, _) => vec![Notice::Transferred],
        (Controller::Queued { .. }, Controller::Queued { .. }, _) => Vec::new(),
        (_, Controller::Queued { .. }, _) => vec![Notice::Queued],
        (_, Controller::Closed { .. }, Moved::Ended { .. }) if state.people.took_part() => {
            vec![Notice::Ended, Notice::Csat]
        }
        (_, Controller::Closed { .. }, Moved::Ended { .. } | Moved::Deadline)
        | (_, Controller::Returned { .. }, Moved::Ended { .. }) => vec![Notice::Ended],
        (_, Controller::Returned { .. }, Moved::Wrote(_)) => vec![Notice::Cancelled],
        _ => Vec::new(),
    }
}

/// Keeps what decides about the notices that follow.
fn remember(before: &State, state: &mut State, notices: &[Notice], now: Timestamp) {
    let told = &mut state.told;
    match &state.controller {
        Controller::Rep { target, name } => told.rep = Some((target.clone(), name.clone())),
        // Who comes back after they were said to have left is said to have joined.
        Controller::Queued { .. } if !notices.contains(&Notice::Left) => {}
        _ => told.rep = None,
    }
    if !matches!(state.controller, Controller::Queued { .. }) {
        (told.position, told.minutes, told.place_at) = (None, None, None);
    }
    if notices.contains(&Notice::Csat) {
        let (target, rep) = last_rep(before);
        let at = now;
        told.asked = Some(Asked { at, target, rep });
    } else if !matches!(state.controller, Controller::Closed { .. }) {
        told.asked = None;
    }
}

/// The target and the rep who was in charge last.
fn last_rep(before: &State) -> (String, Option<String>) {
    let target = before.controller.target().unwrap_or_default().to_owned();
    let named = match &before.controller {
        Controller::Rep { name, .. } => name.clone(),
        _ => None,
    };
    let name = named.or_else(|| before.people.reps.last().cloned());
    (target, name.map(|name| text::truncate(&name, MAX_NAME)))
}

fn notice(kind: Notice, before: &State, state: &State, now: Timestamp) -> CustomerNotice {
    let mut notice = CustomerNotice::new(kind, state.since.unwrap_or(now));
    let target = state.controller.target().or(before.controller.target());
    notice.target = target.map(str::to_owned);
    match &state.controller {
        Controller::Rep { name, .. } => {
            let name = name.as_deref();
            notice.rep = name.map(|name| text::truncate(name, MAX_NAME));
        }
        Controller::Queued {
            position,
            wait_seconds,
            ..
        } => {
            notice.position = *position;
            notice.wait_seconds = *wait_seconds;
        }
        _ => {}
    }
    if matches!(kind, Notice::Ended | Notice::Csat) {
        notice.rep = last_rep(before).1;
    }
    if kind == Notice::Unattended {
        notice.since = before.waiting_since.unwrap_or(notice.since);
    }
    notice
}

#[cfg(test)]
mod tests;
