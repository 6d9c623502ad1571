//! Which targets may have a lane that is due.
//!
//! The ledger is asked only about those: whose lanes have changed since they were last claimed, who
//! had more than there was room for, and all of them when the next lane becomes due by itself, and
//! from time to time, because an operator's command tells nobody of what it changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// So often every target is asked about, at the least.
const ALL: Duration = Duration::from_secs(1);

/// The shortest wait for what becomes due by itself.
const LEAST: Duration = Duration::from_millis(5);

/// What is known since the last claims.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// By target, the number of the change after which it had no more; a target with more has none.
    empty: BTreeMap<String, u64>,
    /// When the next lane becomes due by itself.
    next: Option<Timestamp>,
    /// When all were last asked about.
    all: Option<Instant>,
}

impl Due {
    /// Whether all are to be asked about now; if so, that counts as done.
    pub fn all(&mut self, now: Timestamp) -> bool {
        let all = self.next.is_some_and(|next| next <= now)
            || self.all.is_none_or(|last| last.elapsed() >= ALL);
        if all {
            self.all = Some(Instant::now());
            self.next = None;
        }
        all
    }

    /// Whether the target may have a lane that is due, when the last change of its lanes has this
    /// number.
    pub fn may_have(&self, target: &str, number: u64) -> bool {
        self.empty.get(target) != Some(&number)
    }

    /// The target may have one, whatever has changed.
    pub fn may_have_more(&mut self, target: &str) {
        self.empty.remove(target);
    }

    /// The target had no more after the change with this number.
    pub fn has_no_more(&mut self, target: &str, number: u64) {
        self.empty.insert(target.to_owned(), number);
    }

    /// When the next lane becomes due by itself.
    pub fn next(&mut self, next: Option<Timestamp>) {
        self.next = next;
    }

    /// That is not known: all are asked about at the next opportunity.
    pub fn unknown(&mut self) {
        self.all = None;
    }

    /// How long to wait at most until all are to be asked about.
    pub fn left(&self) -> Duration {
        let all = self
            .all
            .map_or(ALL, |last| ALL.saturating_sub(last.elapsed()));
        let next = self.next.map_or(ALL, |next| {
            Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default()
        });
        all.min(next).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn a_target_is_asked_about_again_only_when_its_lanes_changed() {
        let mut due = Due::default();
        assert!(due.may_have("hub", 0), "nobody has looked yet");
        due.has_no_more("hub", 3);
        assert!(!due.may_have("hub", 3));
        assert!(due.may_have("hub", 4));
        assert!(due.may_have("wa", 3));
        due.may_have_more("hub");
        assert!(due.may_have("hub", 3));
    }

    #[test]
    fn all_are_asked_about_when_something_becomes_due_by_itself() {
        let now = Timestamp::now();
        let mut due = Due::default();
        assert!(due.all(now), "at first");
        assert!(!due.all(now));
        let soon = now + SignedDuration::from_millis(200);
        due.next(Some(soon));
        assert!(!due.all(now) && due.left() <= Duration::from_millis(200));
        assert!(due.all(soon));
        assert!(!due.all(soon), "once");
        due.unknown();
        assert!(due.all(now));
    }
}
