//! The ledger: the one place where anything is remembered.
//!
//! One trait, two implementations with their own SQL ([`sqlite`] for one daemon, [`postgres`] when
//! several share the work), one conformance suite that both pass. Every method is one transaction
//! and none spans a call to the outside. The schema carries the invariants: a unique key makes a
//! second arrival a no-op, `(session, target)` makes a second lane impossible, and every write under
//! a lease names the lease's epoch and is refused when it is stale.
//!
//! Time is a parameter, never read here, so that the suite can hold it still.
//!
//! ```text
//! event ──┬─► lane (session × target): head, state, due_at, lease
//!         │      └─► fact (name → unsure | value)      attempt (append-only)
//! poison  └─► session (who, where)  customer (last inbound)
//! inbox (webhooks as they came)   feed (cursor, lease)   mapping (versions)   daemon (who lives)
//! ```

pub mod postgres;
mod rows;
mod rules;
pub mod sqlite;
pub mod troubles;

use std::sync::Arc;

use async_trait::async_trait;
use handoffd_contract::event::Session;
pub use handoffd_contract::lane::Change;
use handoffd_contract::{Contact, Event, Known, Stop};
use jiff::Timestamp;
use tokio::sync::Notify;

use self::troubles::{Refused, Troubles};

/// What went wrong inside the ledger. What went wrong on the other side is never an error but a
/// stored value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Another daemon took the lease over; whatever the caller was doing is no longer its business.
    #[error("the lease was taken over")]
    Stale,
    /// A version or precondition did not hold.
    #[error("{0}")]
    Conflict(String),
    /// No room: the disk or a quota is full. Nothing was written.
    #[error("the ledger is full: {0}")]
    Full(String),
    /// The ledger cannot be reached or failed. Nothing was written, unless the connection to
    /// PostgreSQL broke during the commit itself; every method may be called again.
    #[error("the ledger failed: {0}")]
    Failed(String),
}

/// The result of a ledger method.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// An event on its way in, with what the ledger must do beside storing it.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// The event.
    pub event: Event,
    /// Targets in which this event opens a lane, if the session has none there yet.
    pub opens: Vec<String>,
    /// The session's data, if the event carries them; stored as the session's latest.
    pub session: Option<Session>,
    /// The customer's data, likewise.
    pub contact: Option<Contact>,
    /// When the customer wrote, if the event shows that they did.
    pub inbound_at: Option<Timestamp>,
}

/// What became of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Stored under this sequence number.
    New(i64),
    /// It was there already; nothing changed.
    Duplicate,
}

/// Something that came in and could not be understood, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Where it came from: `amqp` or `http`.
    pub origin: String,
    /// Why it could not be understood: the field, the value's shape, the remedy.
    pub stop: Stop,
    /// Its headers, as JSON text.
    pub headers: String,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// Its session, where that could be read all the same.
    pub session: Option<String>,
}

/// A stored [`Poison`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonRow {
    /// Its number.
    pub id: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// What came.
    pub poison: Poison,
}

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
}

/// One call and what became of it; append-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The step's name.
    pub step: String,
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
pub struct Story {
    /// The session's data.
    pub session: Option<Session>,
    /// The customer's data.
    pub contact: Option<Contact>,
    /// When the customer last wrote.
    pub last_inbound: Option<Timestamp>,
    /// (sequence number, type, time, producer's id, received at) of each event, oldest first.
    pub events: Vec<(i64, String, Timestamp, String, Timestamp)>,
    /// Its lanes with their heads and facts.
    pub lanes: Vec<(LaneRow, i64, Known)>,
    /// (target, attempt), oldest first, at most the 500 newest.
    pub attempts: Vec<(String, Attempt)>,
    /// What came for it and could not be understood, oldest first, at most the 100 newest.
    pub refused: Vec<Refused>,
}

/// A webhook as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// Its number.
    pub id: i64,
    /// The target.
    pub target: String,
    /// Headers without those that authenticate, as JSON text.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
    /// Failures until now.
    pub attempts: u32,
    /// The lease's epoch.
    pub epoch: i64,
}

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
pub struct Hear {
    /// Events that follow from it.
    pub events: Vec<Admission>,
    /// Facts that the target told us, by lane.
    pub facts: Vec<(i64, String, String)>,
    /// The feed's new cursor.
    pub cursor: Option<(FeedLease, String)>,
    /// The webhook that is done with.
    pub inbox: Option<(i64, i64)>,
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

/// One version of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingRow {
    /// The target.
    pub target: String,
    /// The version: 1, 2, 3 …
    pub version: i64,
    /// The file's text.
    pub text: String,
    /// Who applied it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// Numbers for metrics.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// (target, state, how many lanes).
    pub lanes: Vec<(String, LaneState, i64)>,
    /// (target, the `due_at` of its oldest lane that is due and not leased).
    pub oldest_due: Vec<(String, Timestamp)>,
    /// Undecodable events.
    pub poison: i64,
    /// (target, webhooks that wait).
    pub inbox: Vec<(String, i64)>,
    /// (target, webhooks that need a person).
    pub inbox_parked: Vec<(String, i64)>,
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

/// What is remembered. Every method is one transaction.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Stores events, oldest first, all or none; opens and wakes lanes. In the same transaction the
    /// session's and customer's data and the time of the last inbound message are kept, and lanes
    /// that a newer inbound message may free are woken, in every session of that customer and
    /// business number.
    ///
    /// A new event makes every idle or held lane of its session due at `now`. A lane that is being
    /// worked on becomes due when it is left; a backoff keeps its time; parked lanes stay parked.
    /// An inbound message that is newer than the last one known frees held lanes in the customer's
    /// other sessions too. A duplicate does nothing at all.
    async fn admit(&self, now: Timestamp, events: Vec<Admission>) -> Result<Vec<Admitted>>;

    /// Keeps something that could not be understood. The same bytes and reason from the same origin
    /// are kept once.
    async fn poison(&self, now: Timestamp, poison: Poison) -> Result<()>;

    /// Kept poison, oldest first.
    async fn poisoned(&self, after: i64, limit: usize) -> Result<Vec<PoisonRow>>;

    /// Takes poison out: it was admitted after a fix (with the events, in the same transaction), or
    /// an operator gave it up. Refused ([`LedgerError::Conflict`]) when it is there no more.
    async fn unpoison(&self, now: Timestamp, id: i64, events: Vec<Admission>) -> Result<()>;

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

    /// Makes a lease last until `until`.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()>;

    /// What a worker needs; at most `limit` events and about `bytes` of them, and always one if
    /// there is any. Refused when the lease is stale.
    async fn load(&self, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded>;

    /// The same for a lane that is not leased, for feeds and for preview; no event is loaded.
    async fn peek(&self, lane: i64) -> Result<(LaneRef, Loaded)>;

    /// The event of a session that connectors know by this id, whatever lanes show already.
    async fn recall(&self, session: &str, id: &str) -> Result<Option<(i64, Event)>>;

    /// At most `limit` lanes of `target` that are to be looked at and that nobody works on, longest
    /// waiting first: those that say why they wait or are parked, and with `blocked` also those that
    /// are due.
    ///
    /// A lane is to be looked at from the moment when a rep's reply came or when it was left with
    /// anything to do or to wait for, until [`looked`](Ledger::looked) puts that off.
    async fn unlooked(
        &self,
        now: Timestamp,
        target: &str,
        blocked: bool,
        limit: usize,
    ) -> Result<Vec<Unlooked>>;

    /// What [`load`](Ledger::load) loads, of a lane that is not leased.
    async fn inspect(&self, lane: i64, limit: usize, bytes: usize) -> Result<Loaded>;

    /// A lane was looked at: stores facts and events, and when it is to be looked at again. Refused
    /// when somebody has worked on it or something new has come since.
    async fn looked(
        &self,
        now: Timestamp,
        lane: &Unlooked,
        facts: Vec<(String, String)>,
        events: Vec<Admission>,
        again: Option<Timestamp>,
    ) -> Result<()>;

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
    async fn release(&self, lease: Lease, now: Timestamp, release: Release) -> Result<()>;

    /// The earliest time after `now` at which a lane or webhook becomes due or its lease runs out,
    /// if any. What is due at `now` is not looked at: pass the `now` that was given to
    /// [`claim`](Ledger::claim), so that nothing falls between.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>>;

    /// Says that a lane listens to the feed with this key, or to none.
    async fn listen(&self, lease: &Lease, key: Option<&str>) -> Result<()>;

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
    async fn hear(&self, now: Timestamp, hear: Hear) -> Result<Vec<Admitted>>;

    /// Keeps a webhook as it came; the same target and body within a day is kept once. Returns
    /// whether it was new.
    async fn inbox_put(
        &self,
        now: Timestamp,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<bool>;

    /// Claims a target's webhooks that are due, oldest first.
    async fn inbox_claim(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<InboxRow>>;

    /// Puts a webhook off, or parks it when `at` is `None`.
    async fn inbox_later(&self, row: &InboxRow, at: Option<Timestamp>, stop: Stop) -> Result<()>;

    /// Parked webhooks: (number, target, received at, why).
    async fn inbox_parked(&self, limit: usize) -> Result<Vec<(i64, String, Timestamp, Stop)>>;

    /// Makes parked webhooks due again, or drops them; `None` means all. Returns how many. What was
    /// dropped is still recognised when it comes again within the day.
    async fn inbox_settle(&self, now: Timestamp, id: Option<i64>, retry: bool) -> Result<u64>;

    /// The lanes of a target in which a fact has this value (or is unsure with this candidate), the
    /// newest first, at most twenty. An empty value matches any, for facts whose name carries the id;
    /// then it is the newest lane alone.
    async fn lanes_by_fact(&self, target: &str, name: &str, value: &str) -> Result<Vec<LaneRef>>;

    /// Whether a fact of the lane has this value, or is unsure with this candidate.
    async fn is_ours(&self, lane: i64, value: &str) -> Result<bool>;

    /// Whether the event with this source and id was admitted.
    async fn has(&self, source: &str, id: &str) -> Result<bool>;

    /// The session in which the customer last wrote to a business number; the newest one, if they
    /// are not known to have written.
    async fn session_of(&self, business_number: &str, customer: &str) -> Result<Option<String>>;

    /// Lanes, by number.
    async fn lanes(&self, filter: LaneFilter) -> Result<Vec<LaneRow>>;

    /// Parked lanes, grouped, largest group first; at most 1,000 groups.
    async fn groups(&self) -> Result<Vec<Group>>;

    /// What is not well, counted whole.
    async fn troubles(&self) -> Result<Troubles>;

    /// Everything about one session.
    async fn story(&self, session: &str) -> Result<Story>;

    /// One event by its sequence number.
    async fn event(&self, seq: i64) -> Result<Option<Event>>;

    /// Makes parked and waiting lanes due now; with `dry_run` only says which. Facts that are unsure
    /// in a lane parked as `unknown-outcome` are forgotten, because a person has looked. A
    /// parked lane's handoffs that are not complete are planned anew with the mapping in force, so
    /// their `mapping/…` facts are forgotten. Of a session, held lanes and backoffs are meant too,
    /// unless somebody works on them.
    async fn retry(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>>;

    /// Gives up the first event that each selected parked or held lane does not show yet; the lane
    /// goes on with the next. Where a lane is parked as `unknown-outcome` and has unsure facts, the
    /// person says that those calls did happen: the facts become known as `!skipped`, and the event
    /// is not given up, because the rest of it may still have to be shown.
    async fn skip(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>>;

    /// Stores the next version of a mapping. Refused ([`LedgerError::Conflict`]) when `expect` is
    /// given and is not the latest version; 0 means that there is none yet.
    async fn mapping_put(
        &self,
        now: Timestamp,
        target: &str,
        text: &str,
        who: &str,
        why: &str,
        expect: Option<i64>,
    ) -> Result<i64>;

    /// A version of a mapping, or the latest.
    async fn mapping_get(&self, target: &str, version: Option<i64>) -> Result<Option<MappingRow>>;

    /// All versions, newest first.
    async fn mapping_history(&self, target: &str) -> Result<Vec<MappingRow>>;

    /// Says that a daemon lives; returns how many were seen since `since`, itself included.
    async fn heartbeat(&self, now: Timestamp, daemon: &str, since: Timestamp) -> Result<u32>;

    /// A daemon stops: its leases end now, so that others need not wait for them to run out.
    async fn farewell(&self, daemon: &str) -> Result<()>;

    /// Numbers for metrics.
    async fn stats(&self, now: Timestamp) -> Result<Stats>;

    /// Whether it can be read and written now, and has room for more. After a write that found no
    /// room ([`LedgerError::Full`]) it says so until the ledger could grow again.
    async fn ping(&self) -> Result<()>;

    /// Notified after a change that may make something due: everyone who waits, and the next one
    /// who will. A hint: the table is the truth.
    fn changed(&self) -> Arc<Notify>;
}

/// Opens a ledger that is there already; an operator's command makes none, which would be empty and
/// say that all is well.
///
/// # Errors
/// There is none, or it cannot be opened.
pub async fn open_existing(url: &str) -> Result<Arc<dyn Ledger>> {
    if !exists(url).await? {
        let place = match url.strip_prefix("sqlite:") {
            Some(path) => format!("at {}", path.trim_start_matches("//")),
            None => "in this database".to_owned(),
        };
        let words = format!("there is no ledger {place}; `handoffd run` makes it");
        return Err(LedgerError::Failed(words));
    }
    open(url).await
}

/// Whether there is a ledger; an address of neither kind is left to [`open`].
///
/// # Errors
/// The database cannot be reached.
pub async fn exists(url: &str) -> Result<bool> {
    match url.strip_prefix("sqlite:") {
        Some(path) => Ok(std::path::Path::new(path.trim_start_matches("//")).is_file()),
        None if url.starts_with("postgres") => postgres::Postgres::exists(url).await,
        None => Ok(true),
    }
}

/// Opens the ledger that `url` names: `sqlite:PATH` or `postgres://…`. Migrations run by themselves,
/// forward only, and are safe when two daemons start at once.
///
/// # Errors
/// The address is of neither kind, or the ledger cannot be opened.
pub async fn open(url: &str) -> Result<Arc<dyn Ledger>> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        Ok(Arc::new(sqlite::Sqlite::open(
            path.trim_start_matches("//"),
        )?))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(postgres::Postgres::open(url).await?))
    } else {
        Err(LedgerError::Failed(
            "ledger.url must begin with sqlite: or postgres://".into(),
        ))
    }
}
