//! What each payload says. Fields that are not named here are ignored.

use std::collections::BTreeMap;

use handoffd_contract::event::{
    ContactUpdated, DeliveryState, MessageEvent, MessageStatus, Reasoning, SessionClosed,
    SessionReturned,
};
use handoffd_contract::{Author, AuthorKind, Data, Handoff, Message, Stop};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::said::{self, Instead, Speaker};
use super::shape::At;
use super::time::Moment;
use super::who;

/// The id of the message in which a rep reads what of the handoff could not be read.
const LEFT_OUT: &str = "handoffd.left-out";

/// What an event says beside its data.
pub(super) struct Envelope<'e> {
    pub(super) id: &'e str,
    /// `subject` as it was written, without white space around it.
    pub(super) subject: &'e str,
    /// The session's id as it is kept.
    pub(super) session: &'e str,
    pub(super) time: Timestamp,
}

/// `data` of `handoff.requested`.
pub(super) fn handoff(at: &At<'_, '_>, event: &Envelope<'_>) -> Result<Data, Stop> {
    at.must_be_object("write the handoff as an object")?;
    let session = who::session(&at.field("session"), event)?;
    let contact = who::customer(&at.field("contact"))?;
    let reasoning = reasoning(&at.field("handoff"));
    let transcript = said::transcript(&at.field("transcript"), event.time, session.opened_at);
    let mut handoff = Handoff {
        session,
        contact,
        handoff: reasoning,
        transcript,
        fields: fields(&at.field("fields")),
        targets: targets(&at.field("targets")),
    };
    if let Some(text) = at.context().left_out() {
        let last = handoff.transcript.last().map(|said| said.time);
        handoff.transcript.push(Message {
            id: LEFT_OUT.to_owned(),
            time: last.map_or(event.time, |last| last.max(event.time)),
            author: Author {
                kind: AuthorKind::System,
                name: None,
            },
            text: Some(text),
            ..Message::default()
        });
    }
    Ok(Data::HandoffRequested(Box::new(handoff)))
}

/// `data` of `message.received` (`received`) and `message.sent`. An author who contradicts the type
/// is believed only where nothing opens by it: what the customer did not write opens no window.
pub(super) fn message_event(
    at: &At<'_, '_>,
    event: &Envelope<'_>,
    received: bool,
) -> Result<Data, Stop> {
    let inner = at.field("message");
    let is_bare = !inner.given() && (at.field("text").given() || at.field("attachments").given());
    let part = if is_bare { *at } else { inner };
    if is_bare {
        at.read_as("it was read as the message: write it into the field message");
    }
    let author = part.field("author");
    let remedy = "write kind: customer in message.received, another in message.sent";
    let (kind, received) = match (said::speaker(&part), received) {
        (Speaker::Sure(AuthorKind::Customer) | Speaker::User, true) => (AuthorKind::Customer, true),
        (Speaker::Unknown, true) => {
            author.read_as(&format!(
                "the event's type says that it is the customer: {remedy}"
            ));
            (AuthorKind::Customer, true)
        }
        (Speaker::Sure(kind), true) => {
            author.read_as(&format!("it was read as message.sent: {remedy}"));
            (kind, false)
        }
        (Speaker::Sure(AuthorKind::Customer), false) => {
            author.read_as(&format!("it was read as system: {remedy}"));
            (AuthorKind::System, false)
        }
        (Speaker::Sure(kind), false) => (kind, false),
        (Speaker::User, false) => (AuthorKind::Agent, false),
        (Speaker::Unknown, false) => {
            author.read_as(&format!("it was read as system: {remedy}"));
            (AuthorKind::System, false)
        }
    };
    let instead = Instead {
        id: said::derived_id(event.id),
        time: event.time,
    };
    let message = said::message(&part, &instead, when(&part, &instead), kind);
    let session = at.field("session");
    let session = match session.given() {
        true => Some(who::session(&session, event)?),
        false => None,
    };
    let whole = MessageEvent {
        message,
        session,
        contact: who::known(&at.field("contact")),
        reference: at.field("reference").id(),
    };
    Ok(if received {
        Data::MessageReceived(whole)
    } else {
        Data::MessageSent(whole)
    })
}

/// When it was said. WhatsApp's window follows from it, so a time that lies ahead is not believed, and
/// of two that could be meant the earlier one counts.
fn when(said: &At<'_, '_>, instead: &Instead) -> Timestamp {
    let at = said.field("time");
    match at.moment() {
        Some(time) if at.context().is_ahead(time.at()) => {
            at.read_as("it lies ahead, the event's time was taken: check the clock");
            instead.time
        }
        Some(Moment::Sure(time)) => time,
        Some(Moment::Assumed(time)) => time.min(instead.time),
        None => {
            if !at.given() {
                at.read_as("the event's time was taken: write an RFC 3339 time");
            }
            instead.time
        }
    }
}

/// `data` of `message.status`. One that names no message, or no state, says nothing.
pub(super) fn status(at: &At<'_, '_>) -> Result<Data, Stop> {
    at.must_be_object("write an object with the field status")?;
    let (id, reference) = (at.field("message_id"), at.field("reference"));
    let (message_id, own) = (id.id(), reference.id());
    if message_id.is_none() && own.is_none() {
        return Err(id.wrong("write WhatsApp's message id, or our own in reference"));
    }
    let word = at.field("status");
    let status = match word.word().as_deref() {
        Some("held") => DeliveryState::Held,
        Some("sent" | "accepted") => DeliveryState::Sent,
        Some("delivered") => DeliveryState::Delivered,
        Some("read" | "played" | "seen" | "viewed") => DeliveryState::Read,
        Some("failed" | "undelivered" | "rejected" | "error") => DeliveryState::Failed,
        _ => {
            return Err(word.wrong("write one of held, sent, delivered, read, played, failed"));
        }
    };
    let error = at.field("error");
    let inner = ["message", "title", "details"]
        .into_iter()
        .find(|name| error.field(name).given());
    Ok(Data::MessageStatus(MessageStatus {
        message_id,
        reference: own,
        status,
        error_code: at.field("error_code").integer(),
        error: match inner {
            Some(name) => error.field(name).text(),
            None => error.text(),
        },
    }))
}

/// `data` of `session.closed`.
pub(super) fn closed(at: &At<'_, '_>) -> Data {
    if at.given() && at.object().is_none() {
        at.lost("write an object; it may be empty");
    }
    Data::SessionClosed(SessionClosed {
        resolved: at.field("resolved").flag(),
        reason: at.field("reason").text(),
        closed_by: at.field("closed_by").text(),
    })
}

/// `data` of `session.returned`.
pub(super) fn returned(at: &At<'_, '_>) -> Data {
    if at.given() && at.object().is_none() {
        at.lost("write an object; it may be empty");
    }
    Data::SessionReturned(SessionReturned {
        returned_by: at.field("returned_by").text(),
        reason: at.field("reason").text(),
    })
}

/// `data` of `contact.updated`.
pub(super) fn updated(at: &At<'_, '_>) -> Result<Data, Stop> {
    at.must_be_object("write an object with the field contact")?;
    let contact = who::customer(&at.field("contact"))?;
    Ok(Data::ContactUpdated(ContactUpdated { contact }))
}

fn reasoning(at: &At<'_, '_>) -> Reasoning {
    if at.value().is_some_and(Value::is_string) {
        at.read_as("it was read as the summary: write an object");
        return Reasoning {
            summary: at.text(),
            ..Reasoning::default()
        };
    }
    if at.given() && at.object().is_none() {
        at.lost("write an object");
    }
    Reasoning {
        reasons: reasons(&at.field("reasons")),
        summary: at.field("summary").text(),
        sentiment: at.field("sentiment").text(),
        language: at.field("language").text(),
        topic: at.field("topic").text(),
        requested_at: at.field("requested_at").moment().map(Moment::at),
    }
}

fn reasons(at: &At<'_, '_>) -> Vec<String> {
    let items = at.list();
    let max = at.context().limits.max_fields;
    if items.len() > max {
        at.cut(&format!("only the first {max} were taken"));
    }
    let texts = items.iter().take(max).filter_map(|item| item.text());
    texts.filter(|text| !text.is_empty()).collect()
}

/// AI-filled values by free names; also as a list of objects with `name` and `value`.
fn fields(at: &At<'_, '_>) -> BTreeMap<String, Value> {
    let max = at.context().limits.max_fields;
    let mut fields = BTreeMap::new();
    let mut full = false;
    let mut keep = |at: &At<'_, '_>, name: &str| {
        if fields.len() >= max {
            full = true;
        } else if let Some(name) = who::named(at, name) {
            fields.insert(name, free(at));
        }
    };
    match at.value() {
        None => {}
        Some(Value::Object(_)) => at.members().for_each(|(name, at)| keep(&at, name)),
        Some(Value::Array(items)) if !items.is_empty() => {
            at.read_as("it was read as names and values: write an object of name: value");
            for item in at.items() {
                match item.field("name").scalar() {
                    Some(name) => keep(&item.field("value"), &name),
                    None => item.lost("write name and value"),
                }
            }
        }
        Some(Value::Array(_)) => {}
        Some(_) => at.lost("write an object of name: value"),
    }
    if full {
        at.cut(&format!(
            "only the first {max} were taken: send less, or raise intake.limits.max_fields"
        ));
    }
    fields
}

/// A value of any shape; serde_json has bounded its depth, the event's size its extent.
fn free(at: &At<'_, '_>) -> Value {
    match at.value() {
        None => Value::Null,
        Some(Value::String(text)) => {
            Value::String(at.kept(text.clone(), at.context().limits.max_text, "max_text"))
        }
        Some(Value::Array(items)) => {
            // `null` is a value here, so that places stay.
            let all = items.iter().map(|item| free(&at.with(item)));
            Value::Array(all.collect())
        }
        Some(Value::Object(_)) => {
            let mut map = Map::new();
            for (name, at) in at.members() {
                if let Some(name) = who::named(&at, name) {
                    map.insert(name, free(&at));
                }
            }
            Value::Object(map)
        }
        Some(plain) => plain.clone(),
    }
}

/// Names of targets; none at all means every target, since somebody must see the customer.
fn targets(at: &At<'_, '_>) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in at.list() {
        match item.id() {
            Some(name) => names.push(name),
            None => item.lost("write a target's name"),
        }
    }
    if at.given() && names.is_empty() {
        at.read_as("every target is meant: name at least one, or leave it out for all");
    }
    Some(names).filter(|names| !names.is_empty())
}
