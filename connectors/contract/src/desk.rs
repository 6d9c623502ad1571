//! What happens at a CRM's desk beside assignments and replies: how the search for a rep goes, and what
//! reps do that is no message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
