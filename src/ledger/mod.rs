//! The ledger: the one place where anything is remembered.
//!
//! One trait for each who reads or writes it, two implementations with their own SQL ([`sqlite`] for
//! one daemon, [`postgres`] when several share the work), one conformance suite that both pass. Every
//! method is one transaction
//! and none spans a call to the outside. The schema carries the invariants: a unique key makes a
//! second arrival a no-op, `(session, target)` makes a second lane impossible, and every write under
//! a lease names the lease's epoch and is refused when it is stale.
//!
//! Time is a parameter, never read here, so that the suite can hold it still.
//!
//! ```text
//! event ──┬─► lane (session × target): head, state, due_at, lease
//!         │      └─► fact (name → unsure | value)      attempt (append-only)
//!         └─► session (who, where, state)  customer (last inbound)
//! dead letter (table poison)   webhook queue (table inbox)   feed (cursor, lease)
//! file (wanted with its event, kept for a time) ─► piece
//! mapping (versions) ─► draft   crm_schema (what a target's records can hold)
//! daemon (who lives)   notifier (what people were told)
//! handle (by what a session is found)   figure (how much happened), counted
//! sign-in, link, token, person (who may ask)   audit (what was done by whom, only added to)
//! ```
//!
//! | trait | who is given it |
//! | --- | --- |
//! | [`EventLedger`] | intake |
//! | [`ConversationLedger`] | those who keep time for conversations and look at them |
//! | [`LaneLedger`] | the engine |
//! | [`FeedLedger`] | the relay |
//! | [`WebhookLedger`] | the door of webhooks, and those who work them off |
//! | [`FileLedger`] | the wire: who fetches files at once, and who reads them |
//! | [`ViewLedger`] | the pages of operators, and the admin API that they read |
//! | [`OperatorLedger`] | the admin API and operators' commands |
//! | [`MappingLedger`] | mappings |
//! | [`EditorLedger`] | those who edit mappings, and those who read what a CRM's records can hold |
//! | [`NotifierLedger`] | who tells people what is not well |
//! | [`AccessLedger`] | who tells who asks |
//! | [`Ledger`] | what opens a ledger and hands out its parts |

pub mod access;
mod changed;
mod conversation;
pub mod editor;
mod events;
mod feeds;
pub mod figures;
pub mod files;
mod find;
mod lanes;
mod mappings;
pub mod notifier;
mod open;
mod operate;
pub mod postgres;
mod rows;
mod rules;
pub mod sqlite;
pub mod troubles;
pub mod view;
mod webhooks;

use std::sync::Arc;

pub use self::access::AccessLedger;
pub use self::changed::Changed;
pub use self::conversation::{ConversationLedger, ConversationRow, effect_id};
pub use self::editor::{Draft, EditorLedger, HandoffRow, SchemaRow};
pub use self::events::{Admission, Admitted, DeadLetter, DeadLetterRow, EventLedger, Find};
pub use self::feeds::{FeedLease, FeedLedger, Received};
pub use self::files::{FileLedger, WantedFile};
pub use self::lanes::{
    Attempt, Change, LaneLedger, LaneRef, LaneState, Lease, Loaded, Mention, Next, Release,
    Unlooked,
};
pub use self::mappings::{MappingLedger, MappingRow};
pub use self::notifier::NotifierLedger;
pub use self::open::{exists, open, open_existing};
pub use self::operate::{Group, LaneFilter, LaneRow, OperatorLedger, Select, SessionReport, Stats};
pub use self::view::ViewLedger;
pub use self::webhooks::{WebhookLedger, WebhookRow};

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

/// Tells of changes, for those who wait for something to become due.
pub trait Changes: Send + Sync {
    /// Tells after each change what may be due. A hint: the table is the truth.
    fn changed(&self) -> Arc<Changed>;
}

/// All of it: for what opens a ledger and hands out its parts, and for an operator's command.
pub trait Ledger:
    EventLedger
    + ConversationLedger
    + LaneLedger
    + FeedLedger
    + WebhookLedger
    + FileLedger
    + OperatorLedger
    + MappingLedger
    + EditorLedger
    + NotifierLedger
    + ViewLedger
    + AccessLedger
{
}

impl<T> Ledger for T where
    T: EventLedger
        + ConversationLedger
        + LaneLedger
        + FeedLedger
        + WebhookLedger
        + FileLedger
        + OperatorLedger
        + MappingLedger
        + EditorLedger
        + NotifierLedger
        + ViewLedger
        + AccessLedger
{
}
