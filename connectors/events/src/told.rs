//! What an event of the session means for others.

use handoffd_contract::event::{DeliveryState, ReplyStatus};
use handoffd_contract::{Data, Item, Message, Work};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::Settings;

/// Something that is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told<'a> {
    /// The id of the session's event that it follows from.
    pub(crate) event: &'a str,
    /// When that happened.
    pub(crate) time: Timestamp,
    /// Its type.
    pub(crate) kind: &'static str,
    /// Its payload.
    pub(crate) data: Value,
}

/// What an item of the work means for others, if it is told.
pub(crate) fn told<'a>(settings: &Settings, work: &Work, item: &'a Item) -> Option<Told<'a>> {
    let (event, time, data) = match &item.data {
        Data::RepliesDone(done) => (done.event.as_str(), done.time, &*done.ending),
        // It is told when no reply stands before it any more.
        data if data.is_ending() && settings.endings => return None,
        data => (item.id.as_str(), item.time, data),
    };
    let (kind, data) = payload(work, data)?;
    settings.types.has(kind).then_some(Told {
        event,
        time,
        kind,
        data,
    })
}

/// The type and the payload of what is told of an event.
fn payload(work: &Work, data: &Data) -> Option<(&'static str, Value)> {
    let session = &work.session.id;
    Some(match data {
        Data::RepEnded(ended) => (
            "session.closed",
            json!({"session": session, "closed_by": ended.target, "reason": ended.status}),
        ),
        // What a rule has closed, the platform does not know.
        Data::SessionClosed(closed) if closed.closed_by.as_deref() == Some("handoffd") => (
            "session.closed",
            json!({"session": session, "closed_by": closed.closed_by, "reason": closed.reason}),
        ),
        Data::SessionHandback(back) => ("session.handback", of(session, back)),
        Data::SessionState(state) => ("session.state", of(session, state)),
        Data::SessionUnattended(unattended) => ("session.unattended", of(session, unattended)),
        Data::SessionRated(rated) => ("session.rated", of(session, rated)),
        Data::SessionAssigned(assigned) => ("session.assigned", own(assigned)),
        Data::SessionRouting(routing) => ("session.routing", own(routing)),
        // What was read is told once it is known which message of the customer that is.
        Data::RepActivity(done) if done.record.is_none() || done.message_id.is_some() => {
            ("rep.activity", own(done))
        }
        Data::SessionUpdated(updated) => ("session.updated", own(updated)),
        Data::HandoffCompleted(completed) => ("handoff.completed", own(completed)),
        Data::HandoffFailed(failed) => ("handoff.failed", own(failed)),
        Data::ReplyStatus(status) if is_news(status) => ("reply.status", own(status)),
        Data::MessageReceived(said) => ("message.received", written(work, &said.message)),
        Data::ConversationStarted(started) => {
            ("conversation.started", written(work, &started.message))
        }
        _ => return None,
    })
}

/// What a customer wrote, as flows take it.
fn written(work: &Work, message: &Message) -> Value {
    let (session, contact) = (&work.session, &work.contact);
    let number = Some(&session.business_number).filter(|number| !number.is_empty());
    let files = message.attachments.iter();
    let files: Vec<Value> = files
        .map(|file| json!({"id": file.id, "kind": file.kind, "mime": file.mime, "caption": file.caption}))
        .collect();
    let optional = [
        ("phone", contact.e164().map(Value::from)),
        ("user_id", contact.user_id.clone().map(Value::from)),
        ("name", contact.name.clone().map(Value::from)),
        ("business_number", number.cloned().map(Value::from)),
        ("text", message.text.clone().map(Value::from)),
        ("location", message.location.as_ref().map(own)),
        (
            "attachments",
            Some(files.into()).filter(|files: &Value| files != &json!([])),
        ),
    ];
    let mut written =
        json!({"session": session.id, "message_id": message.id, "time": message.time});
    for (name, value) in optional {
        if let Some(value) = value {
            written[name] = value;
        }
    }
    written
}

fn own(payload: &impl Serialize) -> Value {
    serde_json::to_value(payload).unwrap_or_default()
}

/// A payload with the session's id.
fn of(session: &str, payload: &impl Serialize) -> Value {
    let mut value = own(payload);
    value["session"] = session.into();
    value
}

fn is_news(status: &ReplyStatus) -> bool {
    matches!(status.state, DeliveryState::Held | DeliveryState::Failed)
}
