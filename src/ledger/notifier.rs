//! What people are to be told of, and what they were told already.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;

/// What is not well, as those see it who tell people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotWell {
    /// Parked lanes, by target and reason; at most 1,000 groups.
    pub parked: Vec<Observed>,
    /// Parked webhooks, likewise.
    pub webhooks: Vec<Observed>,
    /// Lanes that wait for one of the reasons that were asked for, likewise.
    pub waiting: Vec<Observed>,
    /// Dead letters that came since those that were seen, by origin and reason.
    pub dead_letters: Vec<Observed>,
    /// Conversations in which nobody joined, since those that were seen; the target is empty.
    pub unattended: Vec<Observed>,
    /// Up to where things have been seen now.
    pub seen: Seen,
}

/// Up to where things that come one by one have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The newest dead letter's number.
    pub dead_letter: i64,
    /// The newest event's number.
    pub event: i64,
}

/// Things of one kind with the same target and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The target; of dead letters, where they came from.
    pub target: String,
    /// The reason's label.
    pub reason: String,
    /// How many.
    pub count: i64,
    /// When the newest came, in microseconds.
    pub newest: i64,
    /// The session of the newest, if one can be told.
    pub session: Option<String>,
}

/// The ledger as those see it who tell people. Every method is one transaction.
#[async_trait]
pub trait NotifierLedger: Send + Sync {
    /// Makes this daemon the one that tells people, until then, unless another is. Gives what was kept last.
    async fn lead_notifier(
        &self,
        now: Timestamp,
        daemon: &str,
        until: Timestamp,
    ) -> Result<Option<Option<String>>>;

    /// Keeps what people were told. Refused ([`Stale`](super::LedgerError::Stale)) when another daemon has
    /// become the one that tells them.
    async fn keep_notifier(&self, daemon: &str, state: &str) -> Result<()>;

    /// What is not well. Of what comes one by one: what came after these, and before this time; where
    /// nothing was seen yet, only up to where it is.
    async fn not_well(
        &self,
        before: Timestamp,
        seen: Option<Seen>,
        waiting: &[&'static str],
    ) -> Result<NotWell>;
}
