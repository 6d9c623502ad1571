//! What is not well, as the ledger alone can tell: counted whole, however much there is.

use handoffd_contract::Stop;
use jiff::Timestamp;

use super::Group;

/// What is not well, each kind in groups of the same cause, the largest first; at most 1,000 groups
/// of each kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Troubles {
    /// Lanes that wait after a failure or for something outside, by target, reason and message.
    pub waiting: Vec<Group>,
    /// What could not be understood.
    pub dead_letters: Vec<Cause>,
    /// Webhooks that could not be understood or are not taken.
    pub webhooks: Vec<Cause>,
}

/// Dead letters or parked webhooks with the same origin, reason and message.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// Where they came from: `amqp` or `http`; of webhooks, the target.
    pub origin: String,
    /// Why.
    pub stop: Stop,
    /// How many.
    pub count: i64,
    /// When the oldest came.
    pub oldest: Timestamp,
    /// The oldest one's number.
    pub example: i64,
    /// The session of one of them, if one can be told.
    pub session: Option<String>,
}

/// Dead letters, counted whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Letters {
    /// How many there are.
    pub count: i64,
    /// By cause and source, the largest group first; at most 1,000 groups.
    pub groups: Vec<LetterGroup>,
}

/// Dead letters with the same cause and the same source.
#[derive(Debug, Clone, PartialEq)]
pub struct LetterGroup {
    /// The cause.
    pub cause: Cause,
    /// Who produced them, where that could be read.
    pub source: Option<String>,
}

/// A dead letter of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Its number.
    pub id: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// Where it came from.
    pub origin: String,
    /// Why it could not be understood.
    pub stop: Stop,
}
