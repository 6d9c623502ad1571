//! What editing a mapping takes: what the CRM's records can hold, drafts, and handoffs to look at.

use async_trait::async_trait;
use handoffd_contract::{Event, Stop};
use jiff::Timestamp;

use super::{LaneState, Result};

/// The most handoffs that are given at once.
pub const MAX_HANDOFFS: usize = 500;
/// The most bytes of events that are given at once.
pub const MAX_HANDOFF_BYTES: usize = 32 << 20;

/// What a target's records can hold, as it was last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRow {
    /// When it was last read.
    pub read_at: Timestamp,
    /// By what it is told from another one.
    pub digest: String,
    /// The schema, as JSON.
    pub text: String,
    /// When it was last read as another one than before; when it was read first.
    pub changed_at: Timestamp,
    /// What it was before that, if there was one.
    pub former: Option<String>,
}

/// A person's unpublished changes of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whose it is.
    pub who: String,
    /// The file's text.
    pub text: String,
    /// The version that it was begun with; 0 where there was none.
    pub base: i64,
    /// Counts its changes: 1, 2, 3 …
    pub revision: i64,
    /// When it was last changed.
    pub at: Timestamp,
}

/// A handoff that a target has a lane for.
#[derive(Debug, Clone, PartialEq)]
pub struct HandoffRow {
    /// The event's sequence number.
    pub seq: i64,
    /// The session.
    pub session: String,
    /// When it happened.
    pub time: Timestamp,
    /// The lane's state.
    pub state: LaneState,
    /// Why the lane waits or is parked.
    pub stop: Option<Stop>,
}

/// The ledger as those who edit mappings see it. Every method is one transaction.
#[async_trait]
pub trait EditorLedger: Send + Sync {
    /// Keeps what a target's records can hold. Returns whether it is another than the one before; the first
    /// one is.
    async fn schema_put(
        &self,
        now: Timestamp,
        target: &str,
        digest: &str,
        text: &str,
    ) -> Result<bool>;

    /// What a target's records can hold, if it was read.
    async fn schema_get(&self, target: &str) -> Result<Option<SchemaRow>>;

    /// When it was last read, and by what it is told from another one.
    async fn schema_age(&self, target: &str) -> Result<Option<(Timestamp, String)>>;

    /// Stores a person's draft; returns its revision. Refused
    /// ([`Conflict`](super::LedgerError::Conflict)) when its revision is not `expect`; 0 means that there is
    /// none yet.
    async fn draft_put(
        &self,
        now: Timestamp,
        target: &str,
        who: &str,
        text: &str,
        base: i64,
        expect: i64,
    ) -> Result<i64>;

    /// The drafts of a mapping, the latest changed first; at most 100.
    async fn drafts(&self, target: &str) -> Result<Vec<Draft>>;

    /// Gives a person's draft up; whether there was one.
    async fn draft_drop(&self, target: &str, who: &str) -> Result<bool>;

    /// Handoffs of a target, newest first: those whose lane is parked, or all; of each, whether they are and
    /// why. At most [`MAX_HANDOFFS`]; only the newest thousands of all targets are looked at.
    async fn handoffs(&self, target: &str, parked: bool, limit: usize) -> Result<Vec<HandoffRow>>;

    /// The events of a target's newest handoffs, newest first, with their sequence numbers; at most
    /// [`MAX_HANDOFFS`] and [`MAX_HANDOFF_BYTES`].
    async fn handoff_events(&self, target: &str, limit: usize) -> Result<Vec<(i64, Event)>>;
}
