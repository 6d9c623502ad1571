//! What comes in: events, and dead letters, which could not be understood.

use async_trait::async_trait;
use handoffd_contract::event::Session;
use handoffd_contract::{Contact, Event, Stop};
use jiff::{SignedDuration, Timestamp};

use super::{Result, WantedFile};

/// An event on its way in, with what the ledger must do beside storing it.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// The event.
    pub event: Event,
    /// Targets in which this event opens a lane, if the session has none there yet.
    pub opens: Vec<String>,
    /// Targets that never act on it: a lane there that is idle stays so, and counts it as shown.
    pub passes: Vec<String>,
    /// The session's data, if the event carries them; stored as the session's latest.
    pub session: Option<Session>,
    /// The customer's data, likewise.
    pub contact: Option<Contact>,
    /// When the customer wrote, if the event shows that they did.
    pub inbound_at: Option<Timestamp>,
    /// How its session is found, where its producer names none.
    pub find: Option<Find>,
    /// Files that are fetched at once once it is stored.
    pub files: Vec<WantedFile>,
}

/// How the session of a gateway's event is found: where the gateway names none, by customer and business
/// number.
///
/// The event's own session is the one that a new conversation gets; it depends on the event alone, so
/// that the same again is the same. What is decided holds until the event is stored, whoever else
/// stores events of the same customer meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// The gateway names the session: it is the event's own.
    pub named: bool,
    /// The business number, in the forms in which it may be known.
    pub numbers: Vec<String>,
    /// The customer's keys, each of which may be the one that is known.
    pub customers: Vec<String>,
    /// Whether a new conversation begins where none is open. Otherwise the event is for nobody then.
    pub begins: bool,
    /// A conversation that nobody of the business is in and in which nothing was said for so long is over.
    pub idle: SignedDuration,
    /// It belongs to the event before it, as a handoff to the message that asks for it: it gets that
    /// one's session, and is for nobody when that one was there already.
    pub follows: bool,
    /// It is for nobody while people are in charge.
    pub unless_people: bool,
    /// It is for nobody unless people are in charge.
    pub only_people: bool,
    /// Names of facts of a lane by which the message that it tells of is one of our own.
    pub ours: Vec<String>,
    /// At most so many messages of the conversation become the transcript of a handoff that has none.
    pub transcript: usize,
}

/// What became of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Stored under this sequence number.
    New(i64),
    /// It was there already; nothing changed.
    Duplicate,
    /// It is for nobody ([`Find`]): no conversation has it, or it is not needed, or it is a copy of what
    /// we sent. Nothing changed.
    Nobody,
}

/// A dead letter: something that came in and could not be understood, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
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
    /// Who produced it, where that could be read all the same.
    pub source: Option<String>,
}

/// A stored [`DeadLetter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// Its number.
    pub id: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// What came.
    pub letter: DeadLetter,
}

/// The ledger as intake sees it. Every method is one transaction.
#[async_trait]
pub trait EventLedger: Send + Sync {
    /// Stores events, oldest first, all or none; opens and wakes lanes. In the same transaction the
    /// session's and customer's data and the time of the last inbound message are kept, and lanes
    /// that a newer inbound message may free are woken, in every session of that customer and
    /// business number.
    ///
    /// A new event makes every idle or held lane of its session due at `now`, but an idle one whose target
    /// never acts on it ([`Admission::passes`]) nor on what follows from it: that one has shown it. A lane that is being
    /// worked on becomes due when it is left; a backoff keeps its time; parked lanes stay parked.
    /// An inbound message that is newer than the last one known frees held lanes in the customer's
    /// other sessions too. A duplicate does nothing at all.
    async fn admit(&self, now: Timestamp, events: Vec<Admission>) -> Result<Vec<Admitted>>;

    /// Keeps something that could not be understood. The same bytes and reason from the same origin
    /// are kept once.
    async fn keep_dead_letter(&self, now: Timestamp, letter: DeadLetter) -> Result<()>;

    /// Dead letters, oldest first.
    async fn dead_letters(&self, after: i64, limit: usize) -> Result<Vec<DeadLetterRow>>;

    /// Takes a dead letter out: it was admitted after a fix (with the events, in the same transaction), or
    /// an operator gave it up. Refused ([`Conflict`](super::LedgerError::Conflict)) when it is there no more.
    async fn resolve_dead_letter(
        &self,
        now: Timestamp,
        id: i64,
        events: Vec<Admission>,
    ) -> Result<()>;

    /// Whether it can be read and written now, and has room for more. After a write that found no
    /// room ([`Full`](super::LedgerError::Full)) it says so until the ledger could grow again.
    async fn ping(&self) -> Result<()>;
}
