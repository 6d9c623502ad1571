//! The rules by which conversations move when nothing happens.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::notices::CustomerRules;

/// By what conversations move when nothing happens, and what an end means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Targets in which no rep works: those that answer the customer, and those that tell others.
    pub without_reps: BTreeSet<String>,
    /// What holds where a target has no terms of its own.
    pub general: Terms,
    /// The targets' own terms.
    pub own: BTreeMap<String, Terms>,
    /// What the customer is told, and by which words they answer.
    pub customer: CustomerRules,
    /// Whether it is told that a customer has written for the first time.
    pub starts: bool,
}

impl Rules {
    /// What holds at a target.
    #[must_use]
    pub fn at(&self, target: &str) -> &Terms {
        self.own.get(target).unwrap_or(&self.general)
    }
}

/// What holds at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Nobody joined for so long: it is told.
    pub unattended_after: Option<SignedDuration>,
    /// What else follows from that, and from a search that finds nobody.
    pub unattended: Unattended,
    /// How long before WhatsApp's window closes the rep is told.
    pub window_warning: Option<SignedDuration>,
    /// Nobody said anything for so long: it is closed, as resolved.
    pub idle_after: Option<SignedDuration>,
    /// What a rep's end means.
    pub rep_end: RepEnd,
    /// When the rep is told that WhatsApp has said nothing of a reply.
    pub unconfirmed: Unconfirmed,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            unattended_after: Some(SignedDuration::from_mins(10)),
            unattended: Unattended::Stay,
            window_warning: Some(SignedDuration::from_hours(1)),
            idle_after: None,
            rep_end: RepEnd::Close,
            unconfirmed: Unconfirmed::Auto,
        }
    }
}

/// What follows when nobody joined in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unattended {
    /// It stays in the queue.
    #[default]
    Stay,
    /// The assistant gets it back.
    Return,
}

/// What a rep's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepEnd {
    /// The conversation is closed.
    #[default]
    Close,
    /// The assistant gets it back.
    Return,
}

/// When the rep is told that WhatsApp has said nothing of a reply that the exit took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unconfirmed {
    /// Never.
    Off,
    /// After [`Unconfirmed::USUAL`], in conversations in which something was told of a reply before: an
    /// exit that never tells raises no alarm.
    #[default]
    Auto,
    /// After so long.
    After(SignedDuration),
}

impl Unconfirmed {
    /// What [`Unconfirmed::Auto`] waits.
    pub const USUAL: SignedDuration = SignedDuration::from_mins(15);

    /// How long, where the exit `tells` what becomes of replies, as far as is known.
    #[must_use]
    pub fn after(self, tells: bool) -> Option<SignedDuration> {
        match self {
            Unconfirmed::Off => None,
            Unconfirmed::Auto => tells.then_some(Unconfirmed::USUAL),
            Unconfirmed::After(wait) => Some(wait),
        }
    }
}
