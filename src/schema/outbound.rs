//! Payloads that only go out. The WhatsApp connector writes them; these types are their published
//! form, and a test holds the one against the other.
#![expect(dead_code, reason = "the types exist for their schemas")]

use handoffd_contract::Location;
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::notice::{Notice, SessionRated};
use handoffd_contract::state::{SessionHandback, SessionUnattended};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde_json::{Map, Value};

/// The payload of `reply.requested`: one message that the gateway sends to the customer.
#[derive(JsonSchema)]
pub(super) struct ReplyRequested {
    /// The session id.
    session: String,
    /// The business number that the message goes out from.
    business_number: String,
    /// Our id of the message, the same at every repeat: the gateway's idempotency key. It comes back
    /// as `reference` in `message.sent` and `message.status`.
    reference: String,
    /// The target in which the rep wrote, or which the notice is about.
    target: Option<String>,
    /// The CRM's own id of the rep's message; absent when it is a notice.
    reply_message_id: Option<String>,
    /// What the customer is told of the conversation itself; absent when it is a rep's message.
    notice: Option<Notice>,
    /// The customer's phone as WhatsApp knows it, with a leading `+`.
    to: Option<String>,
    /// The customer's business-scoped user id, to be used where there is no phone.
    user_id: Option<String>,
    /// The rep's name.
    author: Option<String>,
    /// Until when free text may be sent.
    window_expires_at: Option<Timestamp>,
    /// The message in the Cloud API's own form (`type`, and a field of that name; `context.message_id`
    /// where the rep answers a certain message), except that a file comes as `attachment` with where
    /// its bytes are.
    message: Map<String, Value>,
}

/// The payload of `session.closed` on its way out.
#[derive(JsonSchema)]
pub(super) struct Closed {
    /// The session id.
    session: String,
    /// The target in which it was ended.
    closed_by: String,
    /// The CRM's word for it.
    reason: Option<String>,
}

/// The payload of `session.handback`.
#[derive(JsonSchema)]
pub(super) struct Handback {
    /// The session id.
    session: String,
    #[serde(flatten)]
    rest: SessionHandback,
}

/// The payload of `session.unattended`.
#[derive(JsonSchema)]
pub(super) struct Unattended {
    /// The session id.
    session: String,
    #[serde(flatten)]
    rest: SessionUnattended,
}

/// The payload of `message.received` and `conversation.started` on their way out: what a customer wrote.
#[derive(JsonSchema)]
pub(super) struct Written {
    /// The session id.
    session: String,
    /// WhatsApp's id of the message.
    message_id: String,
    /// When it was written.
    time: Timestamp,
    /// The customer's number with a leading `+`; absent where it is hidden.
    phone: Option<String>,
    /// The customer's business-scoped id, where there is one.
    user_id: Option<String>,
    /// The customer's profile name.
    name: Option<String>,
    /// The business number that was written to.
    business_number: Option<String>,
    /// The text.
    text: Option<String>,
    /// A place.
    location: Option<Location>,
    /// Files, without their bytes.
    attachments: Option<Vec<WrittenFile>>,
}

/// A file of a customer's message, without its bytes.
#[derive(JsonSchema)]
struct WrittenFile {
    /// Unique inside its message.
    id: String,
    /// What it is.
    kind: AttachmentKind,
    /// MIME type.
    mime: Option<String>,
    /// Caption.
    caption: Option<String>,
}

/// The payload of `session.rated`.
#[derive(JsonSchema)]
pub(super) struct Rated {
    /// The session id.
    session: String,
    #[serde(flatten)]
    rest: SessionRated,
}

/// The payload of `session.state`.
#[derive(JsonSchema)]
pub(super) struct State {
    /// The session id.
    session: String,
    /// Who is in charge: `assistant`, `queued`, `rep`, `returned` or `closed`.
    controller: String,
    /// Since when.
    since: Timestamp,
    /// The target at which it waits, or in which the rep works.
    target: Option<String>,
    /// The place in the queue, where the target tells it; the first is 1.
    position: Option<u32>,
    /// The estimated wait, where the target tells it.
    wait_seconds: Option<u64>,
    /// The rep's name, when known.
    name: Option<String>,
    /// Who gave it back or ended it; `handoffd` when a rule did.
    by: Option<String>,
    /// Whether the customer's matter is settled, when known.
    resolved: Option<bool>,
    /// The id of the last `handoff.requested` event.
    handoff: Option<String>,
}
