//! What goes out beside replies: the form of every message, and the events that only lead to one.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::{Data, Message};

/// The content type of a CloudEvent in JSON.
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
pub const CLOUD_EVENT: &str = "application/cloudevents+json";

/// A CloudEvent of a session.
#[must_use]
pub fn cloud_event(
    source: &str,
    session: &str,
    (id, kind): (&str, &str),
    time: Timestamp,
    data: Value,
) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": kind,
        "subject": session,
        "time": time.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}

impl Data {
    /// Whether it says that people have the conversation no longer. It goes out after the replies
    /// before it.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        match self {
            Data::RepEnded(_) | Data::SessionHandback(_) => true,
            Data::SessionState(state) => !state.controller.is_people(),
            _ => false,
        }
    }
}

/// The payload of `replies.done`: the ending that no reply stands before any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepliesDone {
    /// The id of the ending's event.
    pub event: String,
    /// When it ended.
    pub time: Timestamp,
    /// The ending.
    pub ending: Box<Data>,
}

/// The payload of `conversation.started`, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConversationStarted {
    /// What the customer wrote.
    pub message: Message,
}
