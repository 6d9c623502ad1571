//! What people were told and are to be told: pure, and kept as one value by whoever leads.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::words;
use crate::config::{NotificationsConfig, Trouble};
use crate::ledger::notifier::{NotWell, Observed, Seen};

/// Reasons for which a credential is to blame.
pub const CREDENTIAL: [&str; 2] = ["unauthorized", "identity-rejected"];
/// The reason for which a number or account is.
pub const ACCOUNT: &str = "account";

/// Causes that are remembered, at most.
const MAX_CAUSES: usize = 1_000;
/// Messages that wait for their channel, at most; then the oldest give way.
const MAX_WAITING: usize = 200;
/// A message that no channel took for so long is given up.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// The pause after a channel's first failure; doubled at each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The longest pause.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Up to where dead letters and events were seen; nothing was seen yet without it.
    seen: Option<(i64, i64)>,
    causes: Vec<Cause>,
    /// Messages that wait for their channel.
    waiting: Vec<Waiting>,
    /// When messages were made, of the last hour.
    made: Vec<Timestamp>,
    /// How many messages were ever made: part of their ids.
    number: u64,
}

/// One cause of what is not well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cause {
    kind: String,
    target: String,
    reason: String,
    /// How many there were when it was last looked, and when the newest of them came.
    count: i64,
    newest: i64,
    /// Those that nobody was told of.
    untold: i64,
    session: Option<String>,
    told_at: Option<Timestamp>,
}

/// A message that waits for its channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its id, the same at every try.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// What it is about.
    pub kind: String,
    /// The target.
    pub target: String,
    /// The reason's label.
    pub reason: String,
    /// How many.
    pub count: i64,
    /// The session of one of them.
    pub session: Option<String>,
    /// The line.
    pub text: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it is tried.
    due_at: Timestamp,
    tries: u32,
}

impl State {
    /// What was kept; one that cannot be read was another version's, and everything is told anew.
    #[must_use]
    pub fn parse(kept: Option<&str>) -> State {
        kept.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// As it is kept.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_value(self).unwrap_or_default().to_string()
    }

    /// Up to where things were seen.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        let (dead_letter, event) = self.seen?;
        Some(Seen { dead_letter, event })
    }

    /// Takes in what is not well; `watched` is what targets say of themselves.
    pub fn see(
        &mut self,
        found: &NotWell,
        watched: &[Observed],
        now: Timestamp,
        group: SignedDuration,
    ) {
        let kinds = [
            Trouble::Parked,
            Trouble::Webhooks,
            Trouble::Credential,
            Trouble::Account,
        ];
        let is_account = |one: &&Observed| one.reason == ACCOUNT;
        for kind in kinds {
            let observed: Vec<&Observed> = match kind {
                Trouble::Parked => found.parked.iter().collect(),
                Trouble::Webhooks => found.webhooks.iter().collect(),
                Trouble::Account => {
                    let waiting = found.waiting.iter().filter(is_account);
                    waiting.chain(watched).collect()
                }
                _ => found
                    .waiting
                    .iter()
                    .filter(|one| !is_account(one))
                    .collect(),
            };
            for one in &observed {
                self.stands(kind, one);
            }
            let is_there = |cause: &Cause| {
                let same =
                    |one: &&&Observed| one.target == cause.target && one.reason == cause.reason;
                observed.iter().any(|one| same(&one))
            };
            let is_fresh = |cause: &Cause| cause.told_at.is_some_and(|at| now < at + group);
            self.causes.retain_mut(|cause| {
                if cause.kind != kind.word() || is_there(cause) {
                    return true;
                }
                // It is over. What comes again within the window is told with it.
                (cause.count, cause.untold) = (0, 0);
                is_fresh(cause)
            });
        }
        for (kind, observed) in [
            (Trouble::DeadLetters, &found.dead_letters),
            (Trouble::Unattended, &found.unattended),
        ] {
            for one in observed {
                if let Some(cause) = self.cause(kind, one) {
                    cause.untold += one.count;
                    cause.session.clone_from(&one.session);
                }
            }
            let word = kind.word();
            let is_fresh = |cause: &Cause| cause.told_at.is_none_or(|at| now < at + group);
            self.causes
                .retain(|cause| cause.kind != word || cause.untold > 0 || is_fresh(cause));
        }
        self.seen = Some((found.seen.dead_letter, found.seen.event));
    }

    /// Something that stands until it is mended: what was not there before is told. Of what is parked each,
    /// also one that was put back and is parked again; of a target as a whole once.
    fn stands(&mut self, kind: Trouble, one: &Observed) {
        let Some(cause) = self.cause(kind, one) else {
            return;
        };
        let more = (one.count - cause.count).max(0);
        let is_each = matches!(kind, Trouble::Parked | Trouble::Webhooks);
        let is_new = cause.count == 0 || (is_each && one.newest > cause.newest);
        cause.untold += match kind {
            Trouble::Parked | Trouble::Webhooks => more.max(i64::from(is_new)),
            _ => i64::from(cause.count == 0),
        };
        if is_new || more > 0 {
            cause.session.clone_from(&one.session);
        }
        (cause.count, cause.newest) = (one.count, one.newest);
    }

    /// The cause of this, made if it is not there and there is room.
    fn cause(&mut self, kind: Trouble, one: &Observed) -> Option<&mut Cause> {
        let word = kind.word();
        let same = |cause: &Cause| {
            cause.kind == word && cause.target == one.target && cause.reason == one.reason
        };
        let at = self.causes.iter().position(same);
        let at = match at {
            Some(at) => at,
            None if self.causes.len() >= MAX_CAUSES => return None,
            None => {
                self.causes.push(Cause {
                    kind: word.to_owned(),
                    target: one.target.clone(),
                    reason: one.reason.clone(),
                    count: 0,
                    newest: 0,
                    untold: 0,
                    session: None,
                    told_at: None,
                });
                self.causes.len() - 1
            }
        };
        self.causes.get_mut(at)
    }

    /// Makes messages of what may be told now.
    pub fn tell(&mut self, now: Timestamp, config: &NotificationsConfig) {
        self.made
            .retain(|at| now < *at + SignedDuration::from_hours(1));
        for cause in &mut self.causes {
            let Some(kind) = Trouble::parse(&cause.kind).filter(|_| cause.untold > 0) else {
                continue;
            };
            let is_early = cause.told_at.is_some_and(|at| now < at + config.group);
            let is_quiet = config
                .quiet
                .as_ref()
                .is_some_and(|quiet| quiet.holds(kind, now));
            let is_full = self.made.len() >= config.per_hour as usize;
            if is_early || is_quiet || is_full {
                continue;
            }
            let of = (cause.target.as_str(), cause.reason.as_str());
            let text = words::line(kind, of, cause.untold, cause.session.as_deref());
            self.number += 1;
            for channel in config
                .channels
                .iter()
                .filter(|one| one.kinds.contains(&kind))
            {
                self.waiting.push(Waiting {
                    id: format!(
                        "notification-{}-{}-{}",
                        now.as_second(),
                        self.number,
                        channel.name
                    ),
                    channel: channel.name.clone(),
                    kind: cause.kind.clone(),
                    target: cause.target.clone(),
                    reason: cause.reason.clone(),
                    count: cause.untold,
                    session: cause.session.clone(),
                    text: text.clone(),
                    made_at: now,
                    due_at: now,
                    tries: 0,
                });
            }
            self.made.push(now);
            cause.untold = 0;
            cause.told_at = Some(now);
        }
        let over = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..over);
    }

    /// The first message that is to be tried now.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<Waiting> {
        self.waiting.iter().find(|one| one.due_at <= now).cloned()
    }

    /// A message was taken.
    pub fn sent(&mut self, id: &str) {
        self.waiting.retain(|one| one.id != id);
    }

    /// A message was not taken, and the others of its channel wait as well. Returns whether it is given up.
    pub fn failed(&mut self, id: &str, now: Timestamp) -> bool {
        let Some(failed) = self.waiting.iter_mut().find(|one| one.id == id) else {
            return true;
        };
        if now >= failed.made_at + GIVEN_UP_AFTER {
            self.sent(id);
            return true;
        }
        let pause = FIRST_PAUSE * (1 << failed.tries.min(8));
        failed.tries = failed.tries.saturating_add(1);
        let (channel, due) = (failed.channel.clone(), now + pause.min(LONGEST_PAUSE));
        let same = self.waiting.iter_mut().filter(|one| one.channel == channel);
        same.for_each(|one| one.due_at = one.due_at.max(due));
        false
    }

    /// Forgets messages for channels that there are no more.
    pub fn keep_channels(&mut self, is_there: impl Fn(&str) -> bool) {
        self.waiting.retain(|one| is_there(&one.channel));
    }
}

#[cfg(test)]
mod tests;
