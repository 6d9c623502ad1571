//! The rep's side: which feed is listened to and how far, what was heard, and whose lane it is
//! about.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Admission, Admitted, LaneRef, Loaded, Result};

/// A feed that this daemon listens to until the lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedLease {
    /// The target.
    pub target: String,
    /// The feed's key.
    pub key: String,
    /// Where it goes on.
    pub cursor: Option<String>,
    /// The lease's epoch.
    pub epoch: i64,
}

/// What was heard, to be stored in one transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Received {
    /// Events that follow from it.
    pub events: Vec<Admission>,
    /// Facts that the target told us, by lane.
    pub facts: Vec<(i64, String, String)>,
    /// The feed's new cursor.
    pub cursor: Option<(FeedLease, String)>,
    /// The webhook that is done with: its number and the lease's epoch.
    pub webhook: Option<(i64, i64)>,
}

/// The ledger as the relay sees it. Every method is one transaction.
#[async_trait]
pub trait FeedLedger: Send + Sync {
    /// Claims at most `limit` feeds of these targets that a lane listens to and nobody holds.
    async fn claim_feeds(
        &self,
        now: Timestamp,
        daemon: &str,
        targets: &[String],
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<FeedLease>>;

    /// Makes feed leases last until `until`; gives back those that were taken over or that no lane
    /// listens to any more. The latter stay held until they are released or run out.
    async fn renew_feeds(&self, feeds: &[FeedLease], until: Timestamp) -> Result<Vec<FeedLease>>;

    /// Gives a feed back.
    async fn release_feed(&self, feed: &FeedLease) -> Result<()>;

    /// How far a feed has been heard, whoever holds it.
    async fn cursor(&self, target: &str, key: &str) -> Result<Option<String>>;

    /// The lanes that listen to a feed.
    async fn listeners(&self, target: &str, key: &str) -> Result<Vec<LaneRef>>;

    /// Wakes lanes, as an event of their sessions would.
    async fn wake(&self, now: Timestamp, lanes: &[i64]) -> Result<()>;

    /// Stores what was heard. Refused when the feed's or webhook's lease is stale. A fact wakes its
    /// lane as an event does.
    async fn store_received(&self, now: Timestamp, received: Received) -> Result<Vec<Admitted>>;

    /// What is known of a lane that is not leased; no event is loaded.
    async fn peek(&self, lane: i64) -> Result<(LaneRef, Loaded)>;

    /// Whether the event with this source and id was admitted.
    async fn has(&self, source: &str, id: &str) -> Result<bool>;

    /// The lanes of a target in which a fact has this value (or is unsure with this candidate), the
    /// newest first, at most twenty. An empty value matches any, for facts whose name carries the id;
    /// then it is the newest lane alone.
    async fn lanes_by_fact(&self, target: &str, name: &str, value: &str) -> Result<Vec<LaneRef>>;

    /// The lane of a session in a target, if it has one there.
    async fn lane_of(&self, session: &str, target: &str) -> Result<Option<LaneRef>>;

    /// Whether a fact of the lane has this value, or is unsure with this candidate.
    async fn is_ours(&self, lane: i64, value: &str) -> Result<bool>;

    /// The session in which the customer last wrote to a business number; the newest one, if they
    /// are not known to have written.
    async fn session_of(&self, business_number: &str, customer: &str) -> Result<Option<String>>;
}
