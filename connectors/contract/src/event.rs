//! What happened: immutable events, in the form that comes in, is stored, and goes out.
//!
//! On the wire an event is a CloudEvents 1.0 JSON object; `type` selects the shape of `data` and
//! `subject` is the session id. The types here are also the source of the published JSON Schemas.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::content::{
    Answered, Choice, ContactCard, Earlier, Order, OrderItem, Poll, Reaction, Referral, Vote,
};
pub use crate::desk::{Activity, RepActivity, Routing, SessionRouting, SessionUpdated};
pub use crate::notice::{CustomerNotice, Notice, SessionRated};
pub use crate::outgoing::{ConversationStarted, RepliesDone};
pub use crate::state::{
    NobodyCame, RepNotice, ReplyUnconfirmed, SessionHandback, SessionQueued, SessionReturned,
    SessionState, SessionUnattended,
};

/// One event of one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The producer's unique id. The same `source` and `id` twice is the same event.
    pub id: String,
    /// Who produced it, as a URI reference.
    pub source: String,
    /// The session id (`subject` on the wire).
    #[serde(rename = "subject")]
    pub session: String,
    /// When it happened.
    pub time: Timestamp,
    /// The session's running number, when the gateway numbers its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What of it could not be read as it came, in words that name the place and never the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub warnings: Vec<String>,
    /// What happened.
    #[serde(flatten)]
    pub data: Data,
}

impl Event {
    /// The key under which a second arrival of this event is recognised.
    #[must_use]
    pub fn unique_id(&self) -> String {
        format!("{}\u{1f}{}", self.source, self.id)
    }
}

/// The closed list of event types, in and out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Data {
    /// The assistant hands the conversation to people.
    #[serde(rename = "handoff.requested")]
    HandoffRequested(Box<Handoff>),
    /// The customer wrote.
    #[serde(rename = "message.received")]
    MessageReceived(MessageEvent),
    /// The assistant, or somebody on the platform, wrote to the customer.
    #[serde(rename = "message.sent")]
    MessageSent(MessageEvent),
    /// What became of a message that was sent to the customer.
    #[serde(rename = "message.status")]
    MessageStatus(MessageStatus),
    /// The platform closed the session.
    #[serde(rename = "session.closed")]
    SessionClosed(SessionClosed),
    /// The platform's assistant takes the conversation over again, without closing it.
    #[serde(rename = "session.returned")]
    SessionReturned(SessionReturned),
    /// The platform learned more about the contact.
    #[serde(rename = "contact.updated")]
    ContactUpdated(ContactUpdated),

    /// A rep wrote to the customer in a CRM. Produced by handoffd.
    #[serde(rename = "rep.replied")]
    RepReplied(RepReply),
    /// What became of a rep's reply on its way to the customer. Produced by handoffd.
    #[serde(rename = "reply.status")]
    ReplyStatus(ReplyStatus),
    /// A CRM's record shows the whole handoff. Produced by handoffd.
    #[serde(rename = "handoff.completed")]
    HandoffCompleted(HandoffCompleted),
    /// A CRM could not be given the handoff without a person's help. Produced by handoffd.
    #[serde(rename = "handoff.failed")]
    HandoffFailed(HandoffFailed),
    /// A rep was assigned, joined or left. Produced by handoffd.
    #[serde(rename = "session.assigned")]
    SessionAssigned(SessionAssigned),
    /// What became of a CRM's search for a rep. Produced by handoffd.
    #[serde(rename = "session.routing")]
    SessionRouting(SessionRouting),
    /// A rep types, or has read what the customer wrote. Produced by handoffd.
    #[serde(rename = "rep.activity")]
    RepActivity(RepActivity),
    /// Fields of a CRM's record were changed there. Produced by handoffd.
    #[serde(rename = "session.updated")]
    SessionUpdated(SessionUpdated),
    /// A rep ended the conversation in a CRM. Produced by handoffd; goes out as `session.closed`.
    #[serde(rename = "rep.ended")]
    RepEnded(RepEnded),
    /// Where a conversation waits in a CRM's queue. Produced by handoffd.
    #[serde(rename = "session.queued")]
    SessionQueued(SessionQueued),
    /// Somebody else is in charge now. Produced by handoffd.
    #[serde(rename = "session.state")]
    SessionState(SessionState),
    /// People have given the conversation back or ended it: what they did. Produced by handoffd.
    #[serde(rename = "session.handback")]
    SessionHandback(Box<SessionHandback>),
    /// Nobody joined, or nobody will. Produced by handoffd.
    #[serde(rename = "session.unattended")]
    SessionUnattended(SessionUnattended),
    /// The exit took a reply, and nothing more was told of it. Produced by handoffd.
    #[serde(rename = "reply.unconfirmed")]
    ReplyUnconfirmed(ReplyUnconfirmed),
    /// Something that the rep is told on the record. Produced by handoffd.
    #[serde(rename = "rep.notice")]
    RepNotice(RepNotice),
    /// Something that the customer is told of the conversation itself. Produced by handoffd.
    #[serde(rename = "customer.notice")]
    CustomerNotice(CustomerNotice),
    /// The customer has rated the conversation. Produced by handoffd.
    #[serde(rename = "session.rated")]
    SessionRated(SessionRated),
    /// Every reply before an ending has left, or will not. Produced by handoffd.
    #[serde(rename = "replies.done")]
    RepliesDone(RepliesDone),
    /// The customer wrote for the first time in a session of which nothing was known. Produced by
    /// handoffd.
    #[serde(rename = "conversation.started")]
    ConversationStarted(ConversationStarted),
}

impl Data {
    /// The event's `type` on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Data::HandoffRequested(_) => "handoff.requested",
            Data::MessageReceived(_) => "message.received",
            Data::MessageSent(_) => "message.sent",
            Data::MessageStatus(_) => "message.status",
            Data::SessionClosed(_) => "session.closed",
            Data::SessionReturned(_) => "session.returned",
            Data::ContactUpdated(_) => "contact.updated",
            Data::RepReplied(_) => "rep.replied",
            Data::ReplyStatus(_) => "reply.status",
            Data::HandoffCompleted(_) => "handoff.completed",
            Data::HandoffFailed(_) => "handoff.failed",
            Data::SessionAssigned(_) => "session.assigned",
            Data::SessionRouting(_) => "session.routing",
            Data::RepActivity(_) => "rep.activity",
            Data::SessionUpdated(_) => "session.updated",
            Data::RepEnded(_) => "rep.ended",
            Data::SessionQueued(_) => "session.queued",
            Data::SessionState(_) => "session.state",
            Data::SessionHandback(_) => "session.handback",
            Data::SessionUnattended(_) => "session.unattended",
            Data::ReplyUnconfirmed(_) => "reply.unconfirmed",
            Data::RepNotice(_) => "rep.notice",
            Data::CustomerNotice(_) => "customer.notice",
            Data::SessionRated(_) => "session.rated",
            Data::RepliesDone(_) => "replies.done",
            Data::ConversationStarted(_) => "conversation.started",
        }
    }

    /// Types that the gateway may send; the others are handoffd's own.
    pub const INBOUND: &'static [&'static str] = &[
        "handoff.requested",
        "message.received",
        "message.sent",
        "message.status",
        "session.closed",
        "session.returned",
        "contact.updated",
    ];
}

/// The payload of `handoff.requested`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Handoff {
    /// The conversation.
    pub session: Session,
    /// The customer.
    pub contact: Contact,
    /// Why and how the assistant hands over.
    #[serde(default)]
    pub handoff: Reasoning,
    /// What was said until now, oldest first.
    #[serde(default)]
    pub transcript: Vec<Message>,
    /// Values that the assistant filled in, by free names.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// Names of the targets that shall get this handoff; all of the session's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
}

/// One WhatsApp conversation between a customer and a business number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The session id; equals the event's `subject`.
    pub id: String,
    /// Where a person can look at the session on the assistant's platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The channel, `whatsapp` unless said otherwise.
    #[serde(default = "whatsapp")]
    pub channel: String,
    /// The business number (digits with a leading `+`) or the Cloud API's phone number id.
    pub business_number: String,
    /// The customer's language, BCP 47, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// When the session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
}

fn whatsapp() -> String {
    "whatsapp".to_owned()
}

/// A customer. Either `wa_id` or `user_id` identifies them; the phone may be absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// E.164 with a leading `+`, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's id of the customer: digits, as WhatsApp wrote them. Replies go to exactly this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
    /// Business-scoped user id, such as `US.13491208655302741918`; never a phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// WhatsApp user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Profile name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Ids of this person in other systems.
    #[serde(default)]
    pub external_ids: BTreeMap<String, String>,
}

impl Contact {
    /// The stable key of this customer: the business-scoped id when there is one, else the `wa_id`,
    /// else the phone's digits. `None` when nothing identifies them.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let digits = |s: &String| s.chars().filter(char::is_ascii_digit).collect::<String>();
        self.user_id
            .clone()
            .or_else(|| self.wa_id.as_ref().map(digits))
            .or_else(|| self.phone.as_ref().map(digits))
            .filter(|key| !key.is_empty())
    }

    /// The phone in E.164: the `phone` as given, else `+` and the `wa_id`.
    #[must_use]
    pub fn e164(&self) -> Option<String> {
        self.phone
            .clone()
            .or_else(|| self.wa_id.as_ref().map(|id| format!("+{id}")))
    }

    /// What to call this person where a name is wanted: name, then user name, then phone, then the
    /// end of the business-scoped id.
    #[must_use]
    pub fn display_name(&self) -> String {
        let tail = |id: &String| {
            let start = id.chars().count().saturating_sub(8);
            format!(
                "WhatsApp user …{}",
                id.chars().skip(start).collect::<String>()
            )
        };
        [self.name.clone(), self.username.clone(), self.e164()]
            .into_iter()
            .flatten()
            .find(|name| !name.trim().is_empty())
            .map(|name| crate::text::truncate(&name, 250))
            .or_else(|| self.user_id.as_ref().map(tail))
            .unwrap_or_else(|| "WhatsApp customer".to_owned())
    }
}

/// Why and how the assistant hands over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Reasoning {
    /// One or more reasons, in any vocabulary; kept as given.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// The assistant's summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The customer's mood, in any vocabulary; kept as given. See [`sentiment`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<String>,
    /// The customer's language, BCP 47, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// When the handoff was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
}

/// A sentiment in one vocabulary: `negative`, `neutral`, `positive`; `None` for words we do not know.
#[must_use]
pub fn sentiment(raw: &str) -> Option<&'static str> {
    match raw.trim().to_ascii_lowercase().as_str() {
        "angry" | "negative" | "frustrated" | "sad" | "upset" => Some("negative"),
        "neutral" | "calm" => Some("neutral"),
        "happy" | "positive" | "satisfied" => Some("positive"),
        _ => None,
    }
}

/// Something said by somebody.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The message's id on its own side, such as a `wamid`.
    pub id: String,
    /// When it was said.
    pub time: Timestamp,
    /// By whom.
    pub author: Author,
    /// The text; may be absent when there is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Files.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// A location pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The message that this one answers, as its writer quotes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Box<Earlier>>,
    /// A reaction to an earlier message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<Box<Reaction>>,
    /// The message that this one changes: `text` is what it says now. The message has an id of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Box<Earlier>>,
    /// The message that its writer deletes. This one has an id of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Box<Earlier>>,
    /// Contact cards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ContactCard>,
    /// What was chosen among buttons or the rows of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Box<Choice>>,
    /// The ad or post by which the customer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral: Option<Box<Referral>>,
    /// An order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Box<Order>>,
    /// A poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Box<Poll>>,
    /// A vote in a poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote: Option<Box<Vote>>,
    /// WhatsApp's own notice, by its type, such as `user_changed_number`; `text` is what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// WhatsApp's word for a kind of message that it does not hand on, or that nobody knows yet;
    /// `unsupported` when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}

impl Message {
    /// Puts messages that came before a handoff, in the order in which they came, into the handoff's own
    /// transcript: each before the first that was said after it. WhatsApp counts in seconds, others finer;
    /// within such a second what came before the handoff was said before what only the handoff tells.
    pub fn weave(transcript: &mut Vec<Message>, came: impl IntoIterator<Item = Message>) {
        let is_whole = |one: &Message| one.time.subsec_nanosecond() == 0;
        let is_after = |one: &Message, other: &Message| match is_whole(one) || is_whole(other) {
            true => one.time.as_second() >= other.time.as_second(),
            false => one.time > other.time,
        };
        let mut from = 0;
        for message in came {
            let rest = &transcript[from..];
            let before = rest.iter().position(|one| is_after(one, &message));
            let at = before.map_or(transcript.len(), |before| from + before);
            transcript.insert(at, message);
            from = at + 1;
        }
    }

    /// Whether there is nothing that could be shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let has_text = self
            .text
            .as_deref()
            .is_some_and(|text| !text.trim().is_empty());
        !has_text
            && self.attachments.is_empty()
            && self.location.is_none()
            && self.reaction.is_none()
            && self.edit.is_none()
            && self.deletion.is_none()
            && self.contacts.is_empty()
            && self.choice.is_none()
            && self.referral.is_none()
            && self.order.is_none()
            && self.poll.is_none()
            && self.vote.is_none()
            && self.unsupported.is_none()
    }

    /// Whether it is a remark about an earlier message or about the account, and no message of its own:
    /// a reaction, a deletion, WhatsApp's own notice.
    #[must_use]
    pub fn is_remark(&self) -> bool {
        self.reaction.is_some() || self.deletion.is_some() || self.system.is_some()
    }

    /// Whether it asks for somebody. A remark opens nothing and wakes nobody: whoever is in charge
    /// already sees it, and so does the next handoff.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.is_remark() && !self.is_empty()
    }

    /// The earlier messages that it is about.
    pub fn earlier(&self) -> impl Iterator<Item = &Earlier> {
        let reaction = self.reaction.as_ref().map(|reaction| &reaction.to);
        let vote = self.vote.as_ref().map(|vote| &vote.poll);
        let boxed = [&self.quote, &self.edit, &self.deletion];
        let boxed = boxed.into_iter().filter_map(Option::as_deref);
        boxed.chain(reaction).chain(vote)
    }

    /// The same, to be completed.
    pub fn earlier_mut(&mut self) -> impl Iterator<Item = &mut Earlier> {
        let reaction = self.reaction.as_mut().map(|reaction| &mut reaction.to);
        let vote = self.vote.as_mut().map(|vote| &mut vote.poll);
        let boxed = [&mut self.quote, &mut self.edit, &mut self.deletion];
        let boxed = boxed.into_iter().filter_map(Option::as_deref_mut);
        boxed.chain(reaction).chain(vote)
    }
}

/// Who said something.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Author {
    /// The kind of author.
    pub kind: AuthorKind,
    /// Their name, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The kinds of author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorKind {
    /// The customer.
    #[default]
    Customer,
    /// The AI assistant.
    Assistant,
    /// A person of the business.
    Agent,
    /// A notice.
    System,
}

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// Unique inside its message.
    pub id: String,
    /// What it is.
    #[serde(default)]
    pub kind: AttachmentKind,
    /// MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// File name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Size in bytes, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// What a voice note says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// Where its bytes are; absent when they could not be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl Attachment {
    /// The file name, or one made from the id, kind and MIME type.
    #[must_use]
    pub fn file_name(&self) -> String {
        if let Some(name) = self.name.as_deref().filter(|name| !name.trim().is_empty()) {
            return name.replace(['/', '\\', '\0', '\r', '\n', '"'], "_");
        }
        let mime = self.mime.as_deref().unwrap_or("");
        let mime = mime.split(';').next().unwrap_or("").trim();
        let extension = match mime {
            "image/jpeg" => "jpg",
            "image/png" => "png",
            "image/webp" => "webp",
            "audio/ogg" => "ogg",
            "audio/mpeg" => "mp3",
            "audio/mp4" => "m4a",
            "video/mp4" => "mp4",
            "application/pdf" => "pdf",
            "text/plain" => "txt",
            _ => match self.kind {
                AttachmentKind::Image => "jpg",
                AttachmentKind::Audio | AttachmentKind::Voice => "ogg",
                AttachmentKind::Video => "mp4",
                AttachmentKind::Sticker => "webp",
                AttachmentKind::Document | AttachmentKind::Other => "bin",
            },
        };
        let stem: String = self
            .id
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(40)
            .collect();
        format!(
            "{}-{}.{extension}",
            self.kind.word(),
            if stem.is_empty() { "file" } else { &stem }
        )
    }
}

/// The kinds of attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttachmentKind {
    /// A picture.
    Image,
    /// Sound.
    Audio,
    /// A voice note.
    Voice,
    /// A film.
    Video,
    /// A document.
    Document,
    /// A sticker.
    Sticker,
    /// Anything else.
    #[default]
    #[serde(other)]
    Other,
}

impl AttachmentKind {
    /// A word for it, for lines that people read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            AttachmentKind::Image => "image",
            AttachmentKind::Audio => "audio",
            AttachmentKind::Voice => "voice-note",
            AttachmentKind::Video => "video",
            AttachmentKind::Document => "document",
            AttachmentKind::Sticker => "sticker",
            AttachmentKind::Other => "file",
        }
    }
}

/// Where an attachment's bytes are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Source {
    /// At an address; fetched only where policy allows.
    Url {
        /// The address.
        url: String,
    },
    /// At WhatsApp, under a media id.
    Whatsapp {
        /// The media id.
        media_id: String,
    },
    /// At a CRM, under an address that needs the target's own sign-in.
    Target {
        /// The target's name.
        target: String,
        /// The address, absolute or relative to the target's base address.
        url: String,
    },
    /// Here, base64.
    Inline {
        /// The bytes, base64.
        data: String,
    },
}

/// A place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Somebody shares where they are; this is where they were when they began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
}

/// The payload of `message.received` and `message.sent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageEvent {
    /// What was said.
    pub message: Message,
    /// The session, so that a target that shows every conversation can open a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The customer, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// On `message.sent`: our own id of the reply that this message carried out, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The payload of `message.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageStatus {
    /// WhatsApp's id of the message, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Our own id of the send (`biz_opaque_callback_data`, or the `reference` of `reply.requested`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What became of it.
    pub status: DeliveryState,
    /// WhatsApp's error code, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i64>,
    /// WhatsApp's words, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far a message to the customer has come.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waiting: for the customer to write, or for what `cause` says.
    Held,
    /// WhatsApp (or the gateway) has it.
    Sent,
    /// On the customer's phone.
    Delivered,
    /// Seen by the customer.
    #[serde(alias = "played")]
    Read,
    /// It did not and will not arrive.
    Failed,
}

/// The payload of `session.closed`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SessionClosed {
    /// Whether the customer's matter is settled, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<bool>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who closed it, in words; the target's name when a rep did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
}

/// The payload of `contact.updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContactUpdated {
    /// The customer as now known.
    pub contact: Contact,
}

/// A rep's reply, as heard from a CRM.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RepReply {
    /// The target in which the rep wrote.
    pub target: String,
    /// The CRM's own id of the message.
    pub message_id: String,
    /// The rep, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Plain text, ready for WhatsApp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Files, each to be sent as a message of its own before the text.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Buttons or list rows that the customer may choose from.
    #[serde(default)]
    pub options: Vec<ReplyOption>,
    /// A template that the rep chose; sent instead of free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// The message of the conversation that it answers, by its id on WhatsApp's side. A connector hears the
    /// CRM's own id of it; [`quoted`](crate::Connector::quoted) says which message that shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotes: Option<String>,
}

/// Something that the customer may choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyOption {
    /// The CRM's id of the option; comes back with the customer's choice.
    pub id: String,
    /// What the customer reads.
    pub title: String,
}

/// A WhatsApp template and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Template {
    /// The approved template's name.
    pub name: String,
    /// Its language code, such as `de` or `en_US`.
    pub language: String,
    /// Body parameters, in order.
    #[serde(default)]
    pub parameters: Vec<String>,
}

/// The payload of `reply.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyStatus {
    /// The target whose rep wrote the reply.
    pub target: String,
    /// The CRM's own id of the reply's message ([`RepReply::message_id`]).
    pub message_id: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// For the rep, when it was held or failed: what happened and what can be done. No message text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why it is held: a reason's label, `unclear` while it may have arrived, `behind` what may have
    /// arrived, or `passing`; left out when the customer must write first. Each cause is told once.
    /// Of a reply that was sent: `settled` when it was told that nobody knew, `changed` when the customer
    /// got it in another form than it was written in, `unconfirmed` when WhatsApp has said nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl ReplyStatus {
    /// What is told, in a word: the state, and of a reply that is held also why. What was told under
    /// this word need not be told again.
    #[must_use]
    pub fn word(&self) -> String {
        let state = match self.state {
            DeliveryState::Held => "held",
            DeliveryState::Sent => "sent",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Read => "read",
            DeliveryState::Failed => "failed",
        };
        match &self.cause {
            Some(cause) if self.state == DeliveryState::Held => format!("{state}/{cause}"),
            Some(cause) if cause == ReplyStatus::CHANGED || cause == ReplyStatus::UNCONFIRMED => {
                format!("{state}/{cause}")
            }
            _ => state.to_owned(),
        }
    }

    /// The cause of a reply that was sent in another form than it was written in.
    pub const CHANGED: &str = "changed";

    /// The cause of a reply that the exit took and of which WhatsApp has said nothing.
    pub const UNCONFIRMED: &str = "unconfirmed";

    /// Whether its writer is told although the reply was sent: it settles what nobody knew, says in
    /// which other form the reply went, or that WhatsApp has said nothing of it.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.state == DeliveryState::Sent
            && matches!(
                self.cause.as_deref(),
                Some("settled" | ReplyStatus::CHANGED | ReplyStatus::UNCONFIRMED)
            )
    }

    /// Whether the exit took the reply and WhatsApp has said nothing of it.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.state == DeliveryState::Sent && self.cause.as_deref() == Some(ReplyStatus::UNCONFIRMED)
    }

    /// Whether the reply may have arrived although nobody knows.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.state == DeliveryState::Held
            && matches!(self.cause.as_deref(), Some("unknown-outcome" | "unclear"))
    }
}

/// The payload of `handoff.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandoffCompleted {
    /// The target.
    pub target: String,
    /// The id of the `handoff.requested` event.
    pub handoff: String,
    /// The CRM's ids by the field's own names, such as `ticket` or `case`.
    pub records: BTreeMap<String, String>,
    /// Where a person finds the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What could not be carried over as it was, in words; empty when everything was.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The payload of `handoff.failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HandoffFailed {
    /// The target.
    pub target: String,
    /// The reason's label, such as `forbidden`.
    pub reason: String,
    /// The CRM's own words. Older ledgers hold it as `words`.
    #[serde(alias = "words")]
    pub message: String,
}

/// The payload of `session.assigned`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionAssigned {
    /// The target.
    pub target: String,
    /// The rep's name, when known; absent when nobody is assigned any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rep: Option<String>,
}

/// The payload of `rep.ended`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepEnded {
    /// The target in which the conversation was ended.
    pub target: String,
    /// The CRM's word for it, such as a status id. Older ledgers hold it as `word`.
    #[serde(default, alias = "word", skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}
