//! What is told of a conversation's state: the payloads of the events by which it moves and is told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::controller::Controller;

/// The payload of `session.returned`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SessionReturned {
    /// Who gave it back, in words; `handoffd` when a rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_by: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl SessionReturned {
    /// Who gave it back.
    #[must_use]
    pub fn by(&self) -> &str {
        self.returned_by.as_deref().unwrap_or("platform")
    }
}

/// The payload of `session.queued`: where a conversation waits in a CRM's queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionQueued {
    /// The target.
    pub target: String,
    /// The place in the queue; the first is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// The estimated wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u64>,
}

/// The payload of `session.state`: who is in charge now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionState {
    /// Who.
    #[serde(flatten)]
    pub controller: Controller,
    /// Since when.
    pub since: Timestamp,
    /// The id of the last `handoff.requested` event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<String>,
}

/// The payload of `session.handback`: people have given the conversation back or ended it, and this is
/// what they did since the handoff.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SessionHandback {
    /// The target in which it was ended or in which the rep was; absent when it was at several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The CRM's word for how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `closed` or `returned`.
    pub outcome: String,
    /// Whether the customer's matter is settled, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<bool>,
    /// The id of the `handoff.requested` event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<String>,
    /// When the handoff came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// When the first rep joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Timestamp>,
    /// From the handoff to here.
    pub duration_seconds: u64,
    /// The reps who took part, as the CRMs name them.
    #[serde(default)]
    pub reps: Vec<String>,
    /// How many replies reps wrote.
    pub replies: u32,
    /// The newest of them, at most 50, oldest first. Their texts are in `message.sent` or on the
    /// platform already.
    #[serde(default)]
    pub last_replies: Vec<HandedReply>,
    /// The CRMs' records.
    #[serde(default)]
    pub records: BTreeMap<String, HandedRecords>,
}

/// A rep's reply, in a handback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HandedReply {
    /// The target in which it was written.
    pub target: String,
    /// The CRM's own id of it: the `reply_message_id` of `reply.requested`.
    pub message_id: String,
    /// When it was written.
    pub time: Timestamp,
    /// By whom, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// A target's records, in a handback.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HandedRecords {
    /// The CRM's ids by the field's own names, such as `ticket` or `case`.
    pub records: BTreeMap<String, String>,
    /// Where a person finds the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The payload of `session.unattended`: nobody joined, or nobody will.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionUnattended {
    /// Why it is told now.
    #[serde(default)]
    pub reason: NobodyCame,
    /// The CRM's words, where its search found nobody and it gives any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where it waits.
    pub targets: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// How long that is.
    pub waited_seconds: u64,
    /// The id of the `handoff.requested` event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<String>,
}

/// Why it is told that nobody has a conversation that people were asked to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NobodyCame {
    /// The time that the rules give has passed.
    #[default]
    Time,
    /// The CRM's search for a rep has found nobody, at every target that was asked.
    Routing,
}

/// The payload of `reply.unconfirmed`: the exit took a rep's reply, and nothing more was told of it for
/// the time that the rules give. The WhatsApp target knows whether WhatsApp has said anything at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyUnconfirmed {
    /// The target whose rep wrote the reply.
    pub target: String,
    /// The CRM's own id of the reply's message.
    pub message_id: String,
    /// When the exit took it.
    pub sent_at: Timestamp,
}

/// The payload of `rep.notice`: something that the rep is told on the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepNotice {
    /// The target whose record is meant.
    pub target: String,
    /// What is told, in a line of our own.
    pub text: String,
}
