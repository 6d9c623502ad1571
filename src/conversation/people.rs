//! What reps did since the handoff, within bounds.

use std::collections::BTreeMap;

use handoffd_contract::state::{HandedRecords, HandedReply, SessionHandback};
use handoffd_contract::text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::seconds;

/// Replies that are remembered one by one.
const MAX_REPLIES: usize = 50;
/// Reps who are remembered by name.
const MAX_REPS: usize = 20;
/// UTF-16 units of a name or an id.
const MAX_TEXT: usize = 200;

/// What reps did since the handoff.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct People {
    /// When the first one joined.
    pub joined_at: Option<Timestamp>,
    /// Who took part.
    pub reps: Vec<String>,
    /// How many replies they wrote.
    pub replies: u32,
    /// The newest of them.
    pub last_replies: Vec<HandedReply>,
    /// The targets' records.
    pub records: BTreeMap<String, HandedRecords>,
}

impl People {
    /// Somebody joined.
    pub(super) fn joined(&mut self, name: Option<&str>, at: Timestamp) {
        self.joined_at.get_or_insert(at);
        if let Some(name) = name.map(|name| text::truncate(name, MAX_TEXT))
            && self.reps.len() < MAX_REPS
            && !self.reps.contains(&name)
        {
            self.reps.push(name);
        }
    }

    /// Somebody wrote to the customer. Returns whether that was not known.
    pub(super) fn replied(&mut self, reply: HandedReply) -> bool {
        let known =
            |one: &HandedReply| one.target == reply.target && one.message_id == reply.message_id;
        if self.last_replies.iter().any(known) {
            return false;
        }
        self.joined(reply.author.as_deref(), reply.time);
        self.replies = self.replies.saturating_add(1);
        if self.last_replies.len() == MAX_REPLIES {
            self.last_replies.remove(0);
        }
        self.last_replies.push(HandedReply {
            message_id: text::truncate(&reply.message_id, MAX_TEXT),
            author: reply.author.map(|name| text::truncate(&name, MAX_TEXT)),
            ..reply
        });
        true
    }

    /// Whether anybody did anything.
    pub(super) fn took_part(&self) -> bool {
        self.joined_at.is_some()
    }

    /// What is told of it.
    pub(super) fn told(&self, since: Option<Timestamp>, at: Timestamp) -> SessionHandback {
        let since = since.or(self.joined_at);
        SessionHandback {
            joined_at: self.joined_at,
            duration_seconds: since.map_or(0, |since| seconds(since, at)),
            reps: self.reps.clone(),
            replies: self.replies,
            last_replies: self.last_replies.clone(),
            records: self.records.clone(),
            ..SessionHandback::default()
        }
    }
}
