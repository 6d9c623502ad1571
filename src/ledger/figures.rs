//! How much happened: counted once from the rows themselves, some seconds after they were written, and kept
//! in spans, so that a page costs the same however much there is.

use std::collections::BTreeMap;

use handoffd_contract::event::DeliveryState;
use handoffd_contract::{Data, Event};
use jiff::{SignedDuration, Timestamp};

use super::Result;
use super::rows::{decode, own_id};

/// Rows that are younger are not counted yet: another daemon may be about to commit one before them.
pub(super) const SETTLED: SignedDuration = SignedDuration::from_secs(15);

/// So many rows are counted by one transaction.
pub(super) const AT_ONCE: i64 = 5_000;

/// The length of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// A minute; kept for two hours.
    Minute,
    /// Ten minutes; kept for a little more than a day.
    TenMinutes,
    /// An hour; kept for a little more than a week.
    Hour,
}

impl Span {
    /// All of them.
    pub const ALL: [Span; 3] = [Span::Minute, Span::TenMinutes, Span::Hour];

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        match self {
            Span::Minute => 60,
            Span::TenMinutes => 600,
            Span::Hour => 3_600,
        }
    }

    /// How long its sums are kept, in seconds.
    pub(super) fn kept(self) -> i64 {
        match self {
            Span::Minute => 2 * 3_600,
            Span::TenMinutes => 26 * 3_600,
            Span::Hour => 8 * 24 * 3_600,
        }
    }
}

/// The names of figures.
pub mod name {
    /// Events that came in from a gateway.
    pub const IN: &str = "in";
    /// Replies that WhatsApp took.
    pub const REPLY: &str = "reply";
    /// Handoffs that a CRM's record shows whole, by target and time.
    pub const HANDOFF: &str = "handoff";
    /// Handoffs that a CRM could not be given, and replies that failed, by target.
    pub const FAILED: &str = "failed";
    /// Calls, by target and time.
    pub const CALL: &str = "call";
    /// Calls that did not succeed, by target.
    pub const CALL_FAILED: &str = "call-failed";
}

/// How often something happened within a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// When the span begins.
    pub at: Timestamp,
    /// What; see [`name`].
    pub name: String,
    /// The target; empty where it is of none.
    pub target: String,
    /// The bound of the time that it took, in milliseconds; 0 where it is only counted.
    pub bucket: i64,
    /// How often.
    pub n: i64,
}

/// The bounds of times, in milliseconds.
const BOUNDS: [i64; 22] = [
    5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000,
    30_000, 120_000, 600_000, 3_600_000,
];

/// The bound of a time.
#[must_use]
pub fn bucket(millis: i64) -> i64 {
    let mut bounds = BOUNDS.into_iter();
    bounds
        .find(|bound| millis <= *bound)
        .unwrap_or(i64::from(i32::MAX))
}

/// The time that so many of a hundred did not exceed, from counts by bound, in milliseconds.
#[must_use]
pub fn percentile(counts: &BTreeMap<i64, i64>, percent: i64) -> Option<i64> {
    let all: i64 = counts.values().sum();
    let wanted = (all * percent + 99) / 100;
    let mut passed = 0;
    let mut below = 0;
    for (bound, n) in counts {
        if passed + n >= wanted.max(1) && *n > 0 {
            let part = (wanted - passed).max(1) * (bound - below) / n;
            return Some(below + part);
        }
        passed += n;
        below = *bound;
    }
    None
}

/// The kinds of event whose contents count.
pub(super) const LOOKED_INTO: [&str; 3] = ["reply.status", "handoff.completed", "handoff.failed"];

/// An event, as far as it counts.
pub(super) struct EventRow {
    pub seq: i64,
    pub kind: String,
    pub session: String,
    pub received_at: i64,
    /// Given for those of [`LOOKED_INTO`].
    pub body: Option<String>,
}

/// An attempt, as far as it counts.
pub(super) struct AttemptRow {
    pub id: i64,
    pub target: String,
    pub ended_at: i64,
    pub millis: i64,
    pub failed: bool,
}

/// Rows up to the first that is not settled.
pub(super) fn settled<T>(rows: Vec<T>, until: i64, at: impl Fn(&T) -> i64) -> Vec<T> {
    rows.into_iter()
        .take_while(|row| at(row) <= until)
        .collect()
}

/// A handoff whose time is to be looked up: its session, the id of its event, the target, and when its record
/// was complete.
pub(super) struct Completed {
    pub session: String,
    pub handoff: String,
    pub target: String,
    pub at: i64,
}

/// Sums to be added: the key is span, beginning in seconds, name, target and bucket.
#[derive(Default)]
pub(super) struct Sums {
    pub sums: BTreeMap<(i64, i64, &'static str, String, i64), i64>,
    pub completed: Vec<Completed>,
}

impl Sums {
    fn add(&mut self, at: i64, name: &'static str, target: &str, bucket: i64) {
        let second = at.div_euclid(1_000_000);
        for span in Span::ALL {
            let begins = second - second.rem_euclid(span.seconds());
            let key = (span.seconds(), begins, name, target.to_owned(), bucket);
            *self.sums.entry(key).or_default() += 1;
        }
    }

    /// Counts an event.
    pub fn event(&mut self, row: &EventRow) -> Result<()> {
        let at = row.received_at;
        if Data::INBOUND.contains(&row.kind.as_str()) {
            self.add(at, name::IN, "", 0);
        }
        let Some(body) = &row.body else { return Ok(()) };
        match decode::<Event>(body)?.data {
            Data::ReplyStatus(status)
                if status.state == DeliveryState::Sent && status.cause.is_none() =>
            {
                self.add(at, name::REPLY, &status.target, 0);
            }
            Data::ReplyStatus(status) if status.state == DeliveryState::Failed => {
                self.add(at, name::FAILED, &status.target, 0);
            }
            Data::HandoffFailed(failed) => self.add(at, name::FAILED, &failed.target, 0),
            Data::HandoffCompleted(done) => self.completed.push(Completed {
                session: row.session.clone(),
                handoff: own_id(&done.handoff).to_owned(),
                target: done.target,
                at,
            }),
            _ => {}
        }
        Ok(())
    }

    /// Counts a handoff that came in then.
    pub fn handoff(&mut self, done: &Completed, came: Option<i64>) {
        if let Some(came) = came {
            let millis = (done.at - came).max(0) / 1_000;
            self.add(done.at, name::HANDOFF, &done.target, bucket(millis));
        }
    }

    /// Counts a call.
    pub fn attempt(&mut self, row: &AttemptRow) {
        self.add(row.ended_at, name::CALL, &row.target, bucket(row.millis));
        if row.failed {
            self.add(row.ended_at, name::CALL_FAILED, &row.target, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_within_its_bound() {
        let counts = BTreeMap::from([(10, 90), (100, 9), (1_000, 1)]);
        assert_eq!(percentile(&BTreeMap::new(), 50), None);
        assert!(percentile(&counts, 50).is_some_and(|at| (1..=10).contains(&at)));
        assert!(percentile(&counts, 99).is_some_and(|at| (11..=100).contains(&at)));
        assert!(percentile(&counts, 100).is_some_and(|at| at > 100));
        assert_eq!((bucket(0), bucket(5), bucket(6)), (5, 5, 10));
    }
}
