//! What operators see and do: lanes listed, grouped and told, put back to work or past what they
//! stand at; and the numbers for metrics.

use async_trait::async_trait;
use handoffd_contract::event::Session;
use handoffd_contract::{Contact, Event, Known, Stop};
use jiff::Timestamp;

use super::files::FileRow;
use super::troubles::{Letters, Refused, Troubles};
use super::{Attempt, ConversationRow, LaneRef, LaneState, Result};

/// A lane, as operators see it.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneRow {
    /// Its number.
    pub id: i64,
    /// The session.
    pub session: String,
    /// The target.
    pub target: String,
    /// Its state.
    pub state: LaneState,
    /// When it is due.
    pub due_at: Option<Timestamp>,
    /// Events that the target does not show yet, counted up to 1,000.
    pub pending: i64,
    /// Consecutive failures.
    pub attempts: u32,
    /// Why it waits or is parked.
    pub stop: Option<Stop>,
    /// Who works on it, if anybody does.
    pub leased_by: Option<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Which lanes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LaneFilter {
    /// Of this session.
    pub session: Option<String>,
    /// Of this target.
    pub target: Option<String>,
    /// In this state.
    pub state: Option<LaneState>,
    /// With this reason's label.
    pub reason: Option<String>,
    /// After the lane with this number.
    pub after: i64,
    /// At most so many; 0 means 1,000.
    pub limit: usize,
}

/// Parked lanes with the same target, reason and words.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The target.
    pub target: String,
    /// The reason and the other side's own words.
    pub stop: Stop,
    /// How many.
    pub count: i64,
    /// Since when the oldest is parked.
    pub oldest: Timestamp,
    /// One of them.
    pub example: String,
}

/// Everything about one session, without message texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SessionReport {
    /// The session's data.
    pub session: Option<Session>,
    /// The customer's data.
    pub contact: Option<Contact>,
    /// When the customer last wrote.
    pub last_inbound: Option<Timestamp>,
    /// Who is in charge; absent while nobody was asked for help.
    pub conversation: Option<ConversationRow>,
    /// (sequence number, type, time, producer's id, received at) of each event, oldest first.
    pub events: Vec<(i64, String, Timestamp, String, Timestamp)>,
    /// Its lanes with their heads and facts.
    pub lanes: Vec<(LaneRow, i64, Known)>,
    /// (target, attempt), oldest first, at most the 500 newest.
    pub attempts: Vec<(String, Attempt)>,
    /// What came for it and could not be understood, oldest first, at most the 100 newest.
    pub refused: Vec<Refused>,
    /// Its files that were to be fetched at once, oldest first.
    pub files: Vec<FileRow>,
}

/// Numbers for metrics.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// (target, state, how many lanes).
    pub lanes: Vec<(String, LaneState, i64)>,
    /// (target, the `due_at` of its oldest lane that is due and not leased).
    pub oldest_due: Vec<(String, Timestamp)>,
    /// Dead letters.
    pub dead_letters: i64,
    /// (who is in charge, how many conversations), of those that people have: `queued` and `rep`.
    pub conversations: Vec<(String, i64)>,
    /// Since when the oldest conversation waits in a queue.
    pub oldest_queued: Option<Timestamp>,
    /// (target, webhooks that wait).
    pub webhooks: Vec<(String, i64)>,
    /// (target, webhooks that need a person).
    pub parked_webhooks: Vec<(String, i64)>,
    /// (target, reason's label, lanes that wait for it without being parked).
    pub waiting: Vec<(String, String, i64)>,
}

/// Which parked (or waiting) work an operator means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// Lanes of one session, of one target of it if given.
    Session(String, Option<String>),
    /// Parked lanes with this reason's label, of one target if given.
    Reason(String, Option<String>),
    /// All parked lanes of one target.
    Target(String),
    /// Every parked lane.
    All,
}

/// The ledger as operators see it. Every method is one transaction.
#[async_trait]
pub trait OperatorLedger: Send + Sync {
    /// Lanes, by number.
    async fn lanes(&self, filter: LaneFilter) -> Result<Vec<LaneRow>>;

    /// Parked lanes, grouped, largest group first; at most 1,000 groups.
    async fn groups(&self) -> Result<Vec<Group>>;

    /// What is not well, counted whole.
    async fn troubles(&self) -> Result<Troubles>;

    /// Dead letters by cause and source, counted whole.
    async fn letters(&self) -> Result<Letters>;

    /// Everything about one session.
    async fn session_report(&self, session: &str) -> Result<SessionReport>;

    /// One event by its sequence number.
    async fn event(&self, seq: i64) -> Result<Option<Event>>;

    /// Makes parked and waiting lanes due now; with `dry_run` only says which. Facts that are unsure
    /// in a lane parked as `unknown-outcome` are forgotten, because a person has looked. A
    /// parked lane's handoffs that are not complete are planned anew with the mapping in force, so
    /// the versions that they were planned with are forgotten. Of a session, held lanes and backoffs are meant too,
    /// unless somebody works on them.
    async fn retry(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>>;

    /// Gives up the first event that each selected parked or held lane does not show yet; the lane
    /// goes on with the next. Where a lane is parked as `unknown-outcome` and has unsure facts, the
    /// person says that those calls did happen: the facts are settled without a value, and the event
    /// is not given up, because the rest of it may still have to be shown.
    async fn skip(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>>;

    /// Numbers for metrics.
    async fn stats(&self, now: Timestamp) -> Result<Stats>;
}
