//! A conversation's state, what moves it, and the rules by which it moves.

use std::collections::BTreeSet;

use handoffd_contract::state::HandedRecords;
use handoffd_contract::{Controller, Data};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::people::People;

/// The state of one conversation, as it is kept with the session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Who is in charge.
    pub controller: Controller,
    /// Since when; absent while nothing has changed it.
    pub since: Option<Timestamp>,
    /// The id of the last handoff.
    pub handoff: Option<String>,
    /// When the handoff came with which people were asked for.
    pub handed_at: Option<Timestamp>,
    /// Where people were asked for and it was not ended.
    pub targets: BTreeSet<String>,
    /// Since when the customer waits for a rep.
    pub waiting_since: Option<Timestamp>,
    /// When somebody last said something, while people have it.
    pub active_at: Option<Timestamp>,
    /// It was told that nobody joined.
    pub unattended: bool,
    /// The customer's last message whose window reps were warned about.
    pub warned: Option<Timestamp>,
    /// What reps did since the handoff.
    pub people: People,
}

/// Something that happened in a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// The event's id.
    pub id: String,
    /// When it happened, by the clock of whoever told it.
    pub at: Timestamp,
    /// When the customer last wrote, this event included.
    pub last_inbound: Option<Timestamp>,
    /// What it is.
    pub moved: Moved,
}

/// What moves a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Moved {
    /// The assistant asked for people at these targets.
    HandedOff(Vec<String>),
    /// A rep was assigned, joined, or took over from another.
    Assigned {
        /// The target.
        target: String,
        /// The rep's name, when known.
        name: Option<String>,
    },
    /// The rep left; nobody is assigned.
    Left(String),
    /// A rep wrote to the customer.
    Replied {
        /// The target.
        target: String,
        /// The CRM's own id of the reply.
        message: String,
        /// By whom, when known.
        author: Option<String>,
    },
    /// A rep ended it in this target.
    Ended {
        /// The target.
        target: String,
        /// The CRM's word for it.
        status: Option<String>,
    },
    /// Where it waits in a target's queue.
    Waits {
        /// The target.
        target: String,
        /// The place; the first is 1.
        position: Option<u32>,
        /// The estimated wait.
        seconds: Option<u64>,
    },
    /// A target's record shows the handoff.
    Shown(String, HandedRecords),
    /// The platform's assistant takes over.
    Returned(String),
    /// The platform ended it.
    Closed {
        /// Who did, in words.
        by: String,
        /// Whether the matter is settled, when known.
        resolved: Option<bool>,
    },
    /// The customer, the assistant or the platform said something.
    Said,
    /// Nothing happened until the deadline.
    Deadline,
}

impl Moved {
    /// How an event moves a conversation, if it does. `opens` are the targets that it opens.
    #[must_use]
    pub fn of(data: &Data, opens: &[String]) -> Option<Moved> {
        Some(match data {
            Data::HandoffRequested(_) => Moved::HandedOff(opens.to_vec()),
            Data::MessageReceived(_) | Data::MessageSent(_) => Moved::Said,
            Data::SessionClosed(closed) => Moved::Closed {
                by: closed.closed_by.clone().unwrap_or("platform".to_owned()),
                resolved: closed.resolved,
            },
            Data::SessionReturned(returned) => Moved::Returned(returned.by().to_owned()),
            Data::RepReplied(reply) => Moved::Replied {
                target: reply.target.clone(),
                message: reply.message_id.clone(),
                author: reply.author.clone(),
            },
            Data::SessionAssigned(assigned) => match &assigned.rep {
                Some(_) => Moved::Assigned {
                    target: assigned.target.clone(),
                    name: assigned.rep.clone(),
                },
                None => Moved::Left(assigned.target.clone()),
            },
            Data::RepEnded(ended) => Moved::Ended {
                target: ended.target.clone(),
                status: ended.status.clone(),
            },
            Data::SessionQueued(queued) => Moved::Waits {
                target: queued.target.clone(),
                position: queued.position,
                seconds: queued.wait_seconds,
            },
            Data::HandoffCompleted(completed) => Moved::Shown(
                completed.target.clone(),
                HandedRecords {
                    records: completed.records.clone(),
                    url: completed.url.clone(),
                },
            ),
            // Who is assigned, leaves or ends it is told by itself; how the search goes moves nothing.
            Data::SessionRouting(_)
            | Data::RepActivity(_)
            | Data::SessionUpdated(_)
            | Data::MessageStatus(_)
            | Data::ContactUpdated(_)
            | Data::ReplyStatus(_)
            | Data::HandoffFailed(_)
            | Data::SessionState(_)
            | Data::SessionHandback(_)
            | Data::SessionUnattended(_)
            | Data::RepNotice(_) => return None,
        })
    }
}

/// By what conversations move when nothing happens, and what an end means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Targets that answer the customer: no rep works there.
    pub way_back: BTreeSet<String>,
    /// Nobody joined for so long: it is told.
    pub unattended_after: Option<SignedDuration>,
    /// What else follows from that.
    pub unattended: Unattended,
    /// How long before WhatsApp's window closes the rep is told.
    pub window_warning: Option<SignedDuration>,
    /// Nobody said anything for so long: it is closed, as resolved.
    pub idle_after: Option<SignedDuration>,
    /// What a rep's end means.
    pub rep_end: RepEnd,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            way_back: BTreeSet::new(),
            unattended_after: Some(SignedDuration::from_mins(10)),
            unattended: Unattended::Stay,
            window_warning: Some(SignedDuration::from_hours(1)),
            idle_after: None,
            rep_end: RepEnd::Close,
        }
    }
}

/// What follows when nobody joined in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unattended {
    /// It stays in the queue.
    #[default]
    Stay,
    /// The assistant gets it back.
    Return,
}

/// What a rep's end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepEnd {
    /// The conversation is closed.
    #[default]
    Close,
    /// The assistant gets it back.
    Return,
}
