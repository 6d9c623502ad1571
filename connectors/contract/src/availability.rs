//! Whether reps are there to take a conversation, as far as a CRM tells.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether reps are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// They are, as far as the CRM tells.
    Available,
    /// They are not.
    Unavailable,
    /// The CRM does not tell.
    Unknown,
}

/// What a CRM says of its reps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// Whether reps are there.
    pub status: Presence,
    /// Why, in words of our own.
    pub reason: String,
    /// Until when it stays so, where that is known.
    pub until: Option<Timestamp>,
}

impl Availability {
    /// Nobody can say.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Availability {
        Availability {
            status: Presence::Unknown,
            reason: reason.into(),
            until: None,
        }
    }

    /// The same as a boolean, where it is known.
    #[must_use]
    pub fn available(&self) -> Option<bool> {
        match self.status {
            Presence::Available => Some(true),
            Presence::Unavailable => Some(false),
            Presence::Unknown => None,
        }
    }
}
