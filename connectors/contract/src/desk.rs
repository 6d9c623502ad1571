//! What happens at a CRM's desk beside assignments and replies: how the search for a rep goes, what
//! reps do that is no message, and which fields of the record were changed there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The payload of `session.routing`: what became of a CRM's search for a rep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionRouting {
    /// The target.
    pub target: String,
    /// What became of it.
    pub outcome: Routing,
    /// The CRM's words for why, where it gives any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What became of a search for a rep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Nobody is looked for any more: no rep is there, or it was called off.
    Failed,
    /// A rep has declined; others are looked for.
    Declined,
    /// It is on its way to another rep or queue.
    Transferred,
}

/// The payload of `rep.activity`: what a rep does that is no message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepActivity {
    /// The target.
    pub target: String,
    /// What the rep does.
    pub activity: Activity,
    /// What was read: the CRM's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// What was read: the message's id on its own side, such as a `wamid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// What a rep does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Writes at the moment.
    Typing,
    /// Has stopped writing.
    Stopped,
    /// Has read what the customer wrote.
    Read,
}

/// The payload of `session.updated`: fields of the record were changed in the CRM, by somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionUpdated {
    /// The target.
    pub target: String,
    /// The CRM's id of the record.
    pub record: String,
    /// The new values by the CRM's own names; `null` where a field was emptied.
    pub fields: BTreeMap<String, Value>,
    /// Who changed it, as the CRM names them, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
}

/// The longest value of a field that is passed on, in characters.
const MAX_VALUE: usize = 1_000;

/// A field's value as it is passed on: numbers and booleans as they are, texts up to a length, nothing
/// for what is empty. A CRM's structures are told as their text.
#[must_use]
pub fn field_value(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) if text.is_empty() => Value::Null,
        Value::String(text) => Value::String(crate::text::truncate(text, MAX_VALUE)),
        Value::Array(_) | Value::Object(_) => {
            Value::String(crate::text::truncate(&value.to_string(), MAX_VALUE))
        }
    }
}
