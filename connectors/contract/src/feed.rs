//! Where a rep's side is heard, and what was heard.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::desk::{Activity, Routing};
use crate::event::{DeliveryState, RepReply};
use crate::step::{HttpCall, HttpReply, Spend};
use crate::verdict::Stop;

/// Where to listen for a session's rep.
#[derive(Debug, Clone, PartialEq)]
pub enum Feed {
    /// An event stream (SSE).
    Stream {
        /// Which stream. Lanes that name the same key share one.
        key: String,
        /// How to open it. The engine adds `Last-Event-Id` from the cursor, or the one that came
        /// with the customer's token when there is no cursor yet.
        open: HttpCall,
        /// Silent for longer than this, it is taken for dead.
        idle: Duration,
        /// What to read for this lane after every (re)connect and now and then, since a stream may
        /// lose and reorder events.
        backfill: Option<Read>,
    },
    /// A read, again and again.
    Poll {
        /// Which poll. Lanes that name the same key share one; its read is then the same for all of
        /// them, but for what depends on the time and the cursor.
        key: String,
        /// What to read.
        read: Read,
        /// How often.
        every: Duration,
        /// Where lanes share the poll: what to read for this lane alone, now and then. Its reply
        /// leaves no cursor.
        backfill: Option<Read>,
    },
}

impl Feed {
    /// Which feed it is.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Feed::Stream { key, .. } | Feed::Poll { key, .. } => key,
        }
    }
}

/// A read whose reply [`hear`](crate::Connector::hear) gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Which read it is, so that `hear` knows how to understand the reply.
    pub tag: &'static str,
    /// The call; it only reads.
    pub call: HttpCall,
    /// What `hear` needs beside the reply.
    pub context: Value,
    /// Which of the target's budgets it draws on, beside `api`.
    pub spends: Vec<Spend>,
}

impl Read {
    /// A read that draws on no budget of its own.
    #[must_use]
    pub fn new(tag: &'static str, call: HttpCall, context: Value) -> Read {
        Read {
            tag,
            call,
            context,
            spends: Vec::new(),
        }
    }

    /// Draws on a further budget.
    #[must_use]
    pub fn spend(mut self, budget: &'static str, key: impl Into<String>) -> Read {
        self.spends.push(Spend {
            budget,
            key: key.into(),
        });
        self
    }
}

/// Something that came from the target without having been asked for by a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame<'a> {
    /// One event of a stream.
    Event {
        /// The stream's key.
        key: &'a str,
        /// `id:`, or empty.
        id: &'a str,
        /// `event:`, or `message`.
        event: &'a str,
        /// `data:`, lines joined.
        data: &'a str,
    },
    /// The reply to a poll, a backfill, or a read that an earlier frame asked for.
    Reply {
        /// The read.
        read: &'a Read,
        /// Its reply.
        reply: &'a HttpReply,
    },
    /// The body of an authenticated webhook.
    Webhook {
        /// Headers, names in lower case, without those that authenticate.
        headers: &'a [(String, String)],
        /// The body.
        body: &'a [u8],
    },
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FrameContent {
    /// What happened, in order.
    pub heard: Vec<Inbound>,
    /// Where a poll goes on next time: given back as `cursor` to
    /// [`feed`](crate::Connector::feed). Stored together with `heard`.
    pub cursor: Option<String>,
    /// Reads that are needed to know what was said; their replies come back as [`Frame::Reply`].
    pub fetch: Vec<Read>,
    /// What was heard may have overtaken what was written before it: the engine first reads each rep's
    /// record by itself, as it does for a webhook.
    pub unordered: bool,
    /// The credential is no longer accepted; the engine renews it and opens the stream again.
    pub unauthorized: bool,
    /// Something in the frame is for us and is not taken from there: a person must see it. What was
    /// heard beside it counts all the same.
    pub refused: Option<Stop>,
    /// Why the frame says nothing to us, in words for the operator's log: an unknown event type,
    /// an internal note, our own echo.
    pub skipped: Option<String>,
}

/// One thing that happened on the target's side.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    /// The target's own id of it: the same thing heard twice has the same id.
    pub id: String,
    /// Which session it is about.
    pub subject: Subject,
    /// The target's id of the record, if the record could be one that we wrote ourselves. The
    /// engine drops it when a fact of the lane has this value.
    pub echo: Option<String>,
    /// When it happened.
    pub at: Option<Timestamp>,
    /// What it is.
    pub kind: InboundKind,
}

/// The name of the fact, with the value itself as its value, by which a lane says that it had this value
/// under this name before: a reply that a rep writes there is still this conversation's.
#[must_use]
pub fn former(name: &str, value: &str) -> String {
    format!("{name}/former/{value}")
}

/// How the engine finds the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The lane of this target in which this fact has this value. Where several lanes share a
    /// record, such as a merged ticket, a reply is nobody's until the rep says whose.
    Fact {
        /// The fact's name, such as `case`.
        name: String,
        /// Its value.
        value: String,
    },
    /// The lanes of this target in which this fact has one of these values: something that was
    /// written on several records at once.
    AnyFact {
        /// The fact's name.
        name: String,
        /// Its values.
        values: Vec<String>,
    },
    /// The session with this id.
    Session(String),
    /// The customer's latest session on this business number.
    Customer {
        /// The business number, as the session's `business_number`.
        business_number: String,
        /// The customer's key ([`Contact::key`](crate::Contact::key)).
        customer: String,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum InboundKind {
    /// A rep wrote to the customer. `target` is filled in by the engine.
    Replied(RepReply),
    /// A rep wrote something to the customer that cannot be sent; the record is told.
    NotSent {
        /// The target's id of it.
        message_id: String,
        /// What, and what to do instead, in words for the rep.
        detail: String,
    },
    /// The conversation was ended.
    Ended {
        /// The target's word for it.
        status: Option<String>,
    },
    /// A rep was assigned or left.
    Assigned {
        /// The rep's name; absent when nobody is assigned.
        rep: Option<String>,
    },
    /// Where the conversation waits in the target's queue.
    Queued {
        /// The place; the first is 1.
        position: Option<u32>,
        /// The estimated wait.
        wait_seconds: Option<u64>,
    },
    /// What became of the target's search for a rep.
    Routing {
        /// What became of it.
        outcome: Routing,
        /// The target's words for why, where it gives any.
        detail: Option<String>,
    },
    /// A rep types, or has read something.
    Activity {
        /// What the rep does.
        activity: Activity,
        /// The target's id of what was read.
        record: Option<String>,
    },
    /// Fields of the record were changed, by somebody else.
    Updated {
        /// The target's id of the record.
        record: String,
        /// The new values by the target's names; null where a field was emptied.
        fields: BTreeMap<String, Value>,
        /// Who changed it, as the target names them, where it tells.
        changed_by: Option<String>,
    },
    /// A message to the customer has come this far (WhatsApp).
    Status {
        /// WhatsApp's id of the message.
        message_id: Option<String>,
        /// Our own id, from the callback data.
        reference: Option<String>,
        /// How far.
        state: DeliveryState,
        /// WhatsApp's error code.
        error_code: Option<i64>,
        /// WhatsApp's words.
        error: Option<String>,
    },
    /// Facts about the lane that the target told us by itself, such as that its messaging session
    /// has ended. They replace what was known.
    Facts(Vec<(String, String)>),
}
