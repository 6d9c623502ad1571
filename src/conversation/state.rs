//! A conversation's state, what moves it, and the rules by which it moves.

use std::collections::BTreeSet;

use handoffd_contract::event::{DeliveryState, Routing};
use handoffd_contract::state::HandedRecords;
use handoffd_contract::{Controller, Data};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::notices::{self, Told};
use super::people::People;
use super::replies::Replies;

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
    /// It was told of this wait that nobody joined.
    pub unattended: bool,
    /// Where the search for a rep has found nobody in this wait.
    pub failed: BTreeSet<String>,
    /// The customer's last message whose window reps were warned about.
    pub warned: Option<Timestamp>,
    /// The targets that were warned about it.
    pub warned_targets: BTreeSet<String>,
    /// What reps did since the handoff.
    pub people: People,
    /// Replies that the exit took and of which nothing more was told.
    pub replies: Replies,
    /// What the customer was told.
    pub told: Told,
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
    /// The search for a rep has found nobody in this target.
    NobodyFound {
        /// The target.
        target: String,
        /// The CRM's words, where it gives any.
        detail: Option<String>,
    },
    /// How far a reply has come.
    Told {
        /// The target whose rep wrote it.
        target: String,
        /// The CRM's own id of the reply.
        message: String,
        /// How far.
        state: DeliveryState,
        /// The rep was told that WhatsApp has said nothing of it.
        unconfirmed: bool,
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
    /// The assistant or the platform said something.
    Said,
    /// The customer wrote; the whole message, where it is one that may be meant for us.
    Wrote(Option<String>),
    /// Nothing happened until the deadline.
    Deadline,
}

impl Moved {
    /// How an event moves a conversation, if it does. `opens` are the targets that it opens.
    #[must_use]
    pub fn of(data: &Data, opens: &[String]) -> Option<Moved> {
        Some(match data {
            Data::HandoffRequested(_) => Moved::HandedOff(opens.to_vec()),
            // A remark about what was said is no answer and takes none away.
            Data::MessageReceived(said) if said.message.is_remark() => Moved::Said,
            Data::MessageReceived(said) => Moved::Wrote(notices::word_of(said)),
            Data::MessageSent(_) => Moved::Said,
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
            // After a rep's refusal others are looked for, and a transfer is told by who leaves and joins.
            Data::SessionRouting(routing) if routing.outcome == Routing::Failed => {
                Moved::NobodyFound {
                    target: routing.target.clone(),
                    detail: routing.detail.clone(),
                }
            }
            Data::ReplyStatus(status) => Moved::Told {
                target: status.target.clone(),
                message: status.message_id.clone(),
                state: status.state,
                unconfirmed: status.is_unconfirmed(),
            },
            Data::SessionRouting(_)
            | Data::RepliesDone(_)
            | Data::ConversationStarted(_)
            | Data::RepActivity(_)
            | Data::SessionUpdated(_)
            | Data::MessageStatus(_)
            | Data::ContactUpdated(_)
            | Data::ReplyUnconfirmed(_)
            | Data::HandoffFailed(_)
            | Data::SessionState(_)
            | Data::SessionHandback(_)
            | Data::SessionUnattended(_)
            | Data::RepNotice(_)
            | Data::CustomerNotice(_)
            | Data::SessionRated(_) => return None,
        })
    }
}
