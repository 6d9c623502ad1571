//! What a lane has to show in its target.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Contact, Data, Session};

/// A session and the part of its events that the target does not show yet.
///
/// The work is a value: the same work and the same facts always give the same steps. `now` is
/// part of it because WhatsApp's window depends on the time; nothing that a repeat must send again
/// in the same form may depend on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The target's name.
    pub target: String,
    /// The session as last known.
    pub session: Session,
    /// The customer as last known.
    pub contact: Contact,
    /// Events that the target does not show yet, oldest first. Everything before them is shown.
    pub items: Vec<Item>,
    /// When the customer last wrote to this business number, in any session.
    pub last_inbound: Option<Timestamp>,
    /// The time of planning.
    pub now: Timestamp,
}

/// One event of the session.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The event's id, unique in the ledger.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub data: Data,
    /// The target's fields as its mapping renders them; on `handoff.requested` and on an event that
    /// opens a record.
    pub rendered: Option<Rendered>,
}

/// What a mapping made of an event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rendered {
    /// The mapping's version.
    pub version: i64,
    /// Values by section (such as `ticket`, `contact`, `case`, `routing`) and field. A field whose
    /// value was empty and has no default is left out.
    pub sections: BTreeMap<String, BTreeMap<String, Value>>,
    /// What did not fit and was truncated or dropped, in words for a rep.
    pub notes: Vec<String>,
    /// The fields of which `notes` tell, for operators: without a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostField>,
}

/// A field that did not get its value, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostField {
    /// The field, as `section.name`.
    pub field: String,
    /// Why, without the value.
    pub why: String,
}

impl Rendered {
    /// The fields of one section.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.sections.get(name).into_iter().flatten()
    }

    /// One field as text; numbers and booleans are written out.
    #[must_use]
    pub fn text(&self, section: &str, field: &str) -> Option<String> {
        match self.sections.get(section)?.get(field)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}
