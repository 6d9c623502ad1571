//! Lanes, as their workers see them: claimed, loaded, written to under a lease, left; and looked at
//! while nobody works on them.

use async_trait::async_trait;
use handoffd_contract::event::Session;
pub use handoffd_contract::lane::Change;
use handoffd_contract::{Contact, Controller, Data, Event, Known, Reason, Settled, Stop};
use jiff::Timestamp;

use super::{Admission, Changes, Result};

/// A lane that this daemon may work on until the lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The lane's number.
    pub lane: i64,
    /// The session.
    pub session: String,
    /// The target.
    pub target: String,
    /// The lease's epoch: one more at every claim.
    pub epoch: i64,
    /// Consecutive failures until now.
    pub attempts: u32,
}

/// A lane found by a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRef {
    /// The lane's number.
    pub lane: i64,
    /// The session.
    pub session: String,
    /// The target.
    pub target: String,
}

/// What a lane's worker needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The session's latest data; `None` when no event carried any.
    pub session: Option<Session>,
    /// The customer's latest data.
    pub contact: Option<Contact>,
    /// Events after the lane's head with their sequence numbers, oldest first, at most as many as
    /// asked for. Where events of the batch carry a `sequence` of the gateway's, those are in its
    /// order.
    pub events: Vec<(i64, Event)>,
    /// Whether there are more events than were loaded.
    pub more: bool,
    /// The lane's head: everything up to here is shown.
    pub head: i64,
    /// Every fact of the lane.
    pub known: Known,
    /// When the customer last wrote to this business number, in any session.
    pub last_inbound: Option<Timestamp>,
    /// Who was in charge once everything up to the head had happened.
    pub controller: Controller,
}

/// What an event speaks of that came earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mention {
    /// The message with this id on its own side.
    Message(String),
    /// The option with this id, of a rep's reply.
    Option(String),
}

/// How many of a session's newest events are looked through for what is spoken of.
pub(super) const LOOKED_THROUGH: i64 = 500;
/// Bytes of an event beyond which it is not looked into.
pub(super) const LOOKED_INTO: i64 = 512 * 1024;

impl Mention {
    /// The kinds of event that may hold it.
    pub(super) fn kinds(&self) -> [&'static str; 3] {
        match self {
            Mention::Message(_) => ["message.received", "message.sent", "handoff.requested"],
            Mention::Option(_) => ["rep.replied"; 3],
        }
    }

    /// How an event that holds it is written.
    pub(super) fn needle(&self) -> String {
        let (Mention::Message(id) | Mention::Option(id)) = self;
        format!("\"id\":{}", serde_json::Value::from(id.as_str()))
    }

    /// Whether an event holds it.
    pub(super) fn is_in(&self, event: &Event) -> bool {
        match (self, &event.data) {
            (Mention::Message(id), Data::MessageReceived(said) | Data::MessageSent(said)) => {
                said.message.id == *id
            }
            (Mention::Message(id), Data::HandoffRequested(handoff)) => {
                handoff.transcript.iter().any(|said| said.id == *id)
            }
            (Mention::Option(id), Data::RepReplied(reply)) => {
                reply.options.iter().any(|option| option.id == *id)
            }
            _ => false,
        }
    }
}

/// One call and what became of it; append-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The step's name.
    pub step: String,
    /// The method and the path that was called, without its query, where it went by HTTP.
    pub call: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub millis: i64,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// `known`, `absent`, `later`, `never`, or `lost` when no answer came.
    pub outcome: String,
    /// Why it did not succeed.
    pub stop: Option<Stop>,
}

/// How a worker leaves a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Everything up to this event is shown.
    pub head: i64,
    /// The newest event that the worker saw; a newer one makes the lane due at once.
    pub seen: i64,
    /// What the lane does next.
    pub next: Next,
    /// Consecutive failures; 0 after progress.
    pub attempts: u32,
    /// Events that follow from leaving it this way, such as `handoff.failed`.
    pub events: Vec<Admission>,
}

/// What a lane does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing until an event arrives.
    Idle,
    /// It goes on at this time; with why it waits, if it failed.
    Due {
        /// When.
        at: Timestamp,
        /// Why it waits.
        stop: Option<Stop>,
    },
    /// It waits for something to happen in the session, or for the time given.
    Held {
        /// What it waits for.
        stop: Stop,
        /// When it looks again anyway.
        until: Option<Timestamp>,
    },
    /// It needs a person.
    Parked {
        /// Why.
        stop: Stop,
    },
}

/// A lane's state, as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LaneState {
    /// Nothing to do.
    Idle,
    /// Work to do, now or at `due_at`.
    Due,
    /// Waiting for the conversation.
    Held,
    /// Needs a person.
    Parked,
}

impl LaneState {
    /// The word in the ledger, tables and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            LaneState::Idle => "idle",
            LaneState::Due => "due",
            LaneState::Held => "held",
            LaneState::Parked => "parked",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<LaneState> {
        [
            LaneState::Idle,
            LaneState::Due,
            LaneState::Held,
            LaneState::Parked,
        ]
        .into_iter()
        .find(|state| state.word() == word)
    }
}

/// A lane that nobody works on and whose writers may have to be told that something waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Unlooked {
    /// The lane.
    pub lane: LaneRef,
    /// Its state.
    pub state: LaneState,
    /// Why it waits or is parked, if it says so itself.
    pub stop: Option<Stop>,
    /// The epoch of its last lease.
    pub epoch: i64,
    /// Since when it is to be looked at.
    pub since: Timestamp,
}

/// The ledger as the engine sees it. Every method is one transaction.
#[async_trait]
pub trait LaneLedger: Changes {
    /// Claims at most `limit` lanes of `target` that are due and not leased, oldest first, until
    /// `until`.
    async fn claim(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<Lease>>;

    /// Claims lanes, and loads those of them that can be loaded in the same transaction, with at most
    /// so many events and about so many bytes of each; the others are still to be loaded.
    async fn claim_and_load(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
        (_events, _bytes): (usize, usize),
    ) -> Result<Vec<(Lease, Option<Loaded>)>> {
        let claimed = self.claim(now, daemon, target, limit, until).await?;
        Ok(claimed.into_iter().map(|lease| (lease, None)).collect())
    }

    /// Makes a lease last until `until`.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()>;

    /// What a worker needs; at most `limit` events and about `bytes` of them, and always one if
    /// there is any. Refused when the lease is stale.
    async fn load(&self, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded>;

    /// The event of a session that connectors know by this id, whatever lanes show already.
    async fn recall(&self, session: &str, id: &str) -> Result<Option<(i64, Event)>>;

    /// What is known of a message before this event: the event that holds it, or the rep's reply that it
    /// carried out; or the newest reply that has offered an option. Only the newest events are looked at,
    /// and none that is very large.
    async fn mentioned(
        &self,
        session: &str,
        before: i64,
        mention: Mention,
    ) -> Result<Option<Event>>;

    /// Messages that came before this event while none was in charge in whose time they are shown: since
    /// the last change to one of the `hidden` (see [`Controller::WORDS`](handoffd_contract::Controller)),
    /// the newest, at most `limit` and `bytes`, oldest first. None where somebody else was in charge.
    async fn unshown(
        &self,
        session: &str,
        before: i64,
        hidden: &[&'static str],
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Event>>;

    /// What [`load`](LaneLedger::load) loads, of a lane that is not leased.
    async fn inspect(&self, lane: i64, limit: usize, bytes: usize) -> Result<Loaded>;

    /// Writes down that calls are about to leave: each fact becomes unsure since `now`, with the
    /// value that it will have where we chose it. A fact that is unsure already keeps its `since`.
    async fn begin(
        &self,
        lease: &Lease,
        now: Timestamp,
        claims: Vec<(String, Option<String>)>,
    ) -> Result<()>;

    /// Writes down what calls proved, their attempts, and events that follow.
    async fn finish(
        &self,
        lease: &Lease,
        now: Timestamp,
        attempts: Vec<Attempt>,
        changes: Vec<Change>,
        events: Vec<Admission>,
    ) -> Result<()>;

    /// Leaves a lane. A wake-up that came meanwhile makes it due at once, unless it is parked.
    async fn release(&self, lease: Lease, now: Timestamp, release: Release) -> Result<()> {
        self.finish_and_release(lease, now, Vec::new(), Vec::new(), release)
            .await
    }

    /// Writes down what the last calls proved, and leaves the lane: both or neither.
    async fn finish_and_release(
        &self,
        lease: Lease,
        now: Timestamp,
        attempts: Vec<Attempt>,
        changes: Vec<Change>,
        release: Release,
    ) -> Result<()>;

    /// Says that a lane listens to the feed with this key, or to none.
    async fn listen(&self, lease: &Lease, key: Option<&str>) -> Result<()>;

    /// The earliest time after `now` at which a lane or webhook becomes due or its lease runs out,
    /// if any. What is due at `now` is not looked at: pass the `now` that was given to
    /// [`claim`](LaneLedger::claim), so that nothing falls between.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>>;

    /// At most `limit` lanes of `target` that are to be looked at and that nobody works on, longest
    /// waiting first: those that say why they wait or are parked, and with `blocked` also those that
    /// are due.
    ///
    /// A lane is to be looked at from the moment when a rep's reply came or when it was left with
    /// anything to do or to wait for, until [`looked`](LaneLedger::looked) puts that off.
    async fn unlooked(
        &self,
        now: Timestamp,
        target: &str,
        blocked: bool,
        limit: usize,
    ) -> Result<Vec<Unlooked>>;

    /// A lane was looked at: stores facts and events, and when it is to be looked at again. Refused
    /// when somebody has worked on it or something new has come since.
    async fn looked(
        &self,
        now: Timestamp,
        lane: &Unlooked,
        facts: Vec<(String, Settled)>,
        events: Vec<Admission>,
        again: Option<Timestamp>,
    ) -> Result<()>;

    /// Opens the lanes of a target that has none, one in each session that one of the `beside` has a lane
    /// in, with that one's head and those of its facts that begin so. Returns how many there are.
    async fn open_beside(
        &self,
        now: Timestamp,
        target: &str,
        beside: &[String],
        facts: &str,
    ) -> Result<u64>;

    /// Why a lane of `target` is parked for this reason, if one is.
    async fn parked_for(&self, target: &str, reason: Reason) -> Result<Option<Stop>>;

    /// Says that a daemon lives; returns how many were seen since `since`, itself included.
    async fn heartbeat(&self, now: Timestamp, daemon: &str, since: Timestamp) -> Result<u32>;

    /// A daemon stops: its leases end now, so that others need not wait for them to run out.
    async fn release_all_leases(&self, daemon: &str) -> Result<()>;
}
