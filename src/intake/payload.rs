//! What each payload must look like, beyond what its type says.
//!
//! The order of checks is the order of the fields, so that a producer who mends one error at a time
//! reads them from top to bottom. Fields that are not named here are ignored.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::{Reason, Stop};
use serde_json::Value;

use super::shape::At;
use super::who::{contact, session};
use crate::config::Limits;

type Checked = Result<(), Stop>;

/// `data` of `handoff.requested`.
pub(super) fn handoff(at: &At<'_, '_>, subject: &str, limits: &Limits) -> Checked {
    at.object("write the handoff as an object")?;
    session(&at.field("session"), subject, limits)?;
    contact(&at.field("contact"), limits)?;
    at.field("handoff").optional(|at| reasoning(at, limits))?;
    at.field("transcript")
        .optional(|at| transcript(at, limits))?;
    at.field("fields").optional(|at| fields(at, limits))?;
    at.field("targets").optional(|at| targets(at, limits))
}

/// `data` of `message.received` (`received`) and `message.sent`.
pub(super) fn message_event(
    at: &At<'_, '_>,
    subject: &str,
    received: bool,
    limits: &Limits,
) -> Checked {
    at.object("write an object with the field message")?;
    let said = at.field("message");
    message(&said, limits)?;
    let author = said.field("author");
    let kind = author.field("kind");
    match (kind.value().and_then(Value::as_str), received) {
        (Some("customer"), false) => {
            return Err(kind.wrong("what the customer wrote is a message.received"));
        }
        (Some("customer"), true) | (_, false) => {}
        (_, true) => return Err(kind.wrong("what the customer did not write is a message.sent")),
    }
    at.field("session")
        .optional(|at| session(at, subject, limits))?;
    at.field("contact").optional(|at| contact(at, limits))?;
    at.field("reference").optional(|at| {
        at.id(limits.max_id, "write the reference as text")
            .map(drop)
    })
}

/// `data` of `message.status`.
pub(super) fn status(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an object with the field status")?;
    let id = at.field("message_id");
    let reference = at.field("reference");
    if !id.given() && !reference.given() {
        return Err(id.wrong("write WhatsApp's message id, or our own in reference"));
    }
    id.optional(|at| {
        at.id(limits.max_id, "write the message's id as text")
            .map(drop)
    })?;
    reference.optional(|at| {
        at.id(limits.max_id, "write the reference as text")
            .map(drop)
    })?;
    at.field("status")
        .one_of(&["held", "sent", "delivered", "read", "played", "failed"])?;
    at.field("error_code")
        .optional(|at| match at.value().and_then(Value::as_i64) {
            Some(_) => Ok(()),
            None => Err(at.wrong("write WhatsApp's error code as a whole number")),
        })?;
    at.field("error").optional(|at| text(at, limits))
}

/// `data` of `session.closed`.
pub(super) fn closed(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an object; it may be empty")?;
    at.field("resolved").optional(|at| match at.value() {
        Some(Value::Bool(_)) => Ok(()),
        _ => Err(at.wrong("write true or false")),
    })?;
    at.field("reason").optional(|at| text(at, limits))?;
    at.field("closed_by").optional(|at| text(at, limits))
}

/// `data` of `contact.updated`.
pub(super) fn updated(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an object with the field contact")?;
    contact(&at.field("contact"), limits)
}

fn reasoning(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an object")?;
    at.field("reasons").optional(|at| {
        let reasons = at.items("write a list of texts")?;
        if reasons.len() > limits.max_fields {
            return Err(at.beyond(limits.max_fields, "max_fields"));
        }
        reasons.into_iter().try_for_each(|at| text(&at, limits))
    })?;
    for name in ["summary", "sentiment", "language", "topic"] {
        at.field(name).optional(|at| text(at, limits))?;
    }
    at.field("requested_at").optional(|at| at.time().map(drop))
}

fn transcript(at: &At<'_, '_>, limits: &Limits) -> Checked {
    let messages = at.items("write a list of messages")?;
    if messages.len() > limits.max_messages {
        return Err(at.beyond(limits.max_messages, "max_messages"));
    }
    let mut first = HashMap::new();
    for (index, said) in messages.enumerate() {
        message(&said, limits)?;
        let id = said.field("id");
        if let Some(earlier) = first.insert(id.value().and_then(Value::as_str), index) {
            return Err(id.wrong(&format!(
                "transcript[{earlier}] has the same id: give every message its own"
            )));
        }
    }
    Ok(())
}

fn message(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write a message: id, time, author and text")?;
    at.field("id").id(
        limits.max_id,
        "write the message's id as text, such as its wamid",
    )?;
    at.field("time").time()?;
    let author = at.field("author");
    author.object("write an object with the field kind")?;
    author
        .field("kind")
        .one_of(&["customer", "assistant", "agent", "system"])?;
    author.field("name").optional(|at| text(at, limits))?;
    at.field("text").optional(|at| text(at, limits))?;
    let attachments = at.field("attachments");
    attachments.optional(|at| files(at, limits))?;
    let location = at.field("location");
    location.optional(|at| place(at, limits))?;
    let said = at
        .field("text")
        .value()
        .and_then(Value::as_str)
        .is_some_and(|text| !text.is_empty());
    let files = attachments
        .value()
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty());
    if said || files || location.given() {
        Ok(())
    } else {
        Err(at
            .field("text")
            .wrong("a message without attachments or location needs a text"))
    }
}

fn files(at: &At<'_, '_>, limits: &Limits) -> Checked {
    let list = at.items("write a list of attachments")?;
    if list.len() > limits.max_attachments {
        return Err(at.beyond(limits.max_attachments, "max_attachments"));
    }
    let mut first = HashMap::new();
    for (index, file) in list.enumerate() {
        attachment(&file, limits)?;
        let id = file.field("id");
        if let Some(earlier) = first.insert(id.value().and_then(Value::as_str), index) {
            return Err(id.wrong(&format!(
                "attachments[{earlier}] has the same id: give every attachment its own"
            )));
        }
    }
    Ok(())
}

fn attachment(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an attachment: id, kind and source")?;
    at.field("id")
        .id(limits.max_id, "write the attachment's id as text")?;
    for name in ["kind", "mime", "name"] {
        at.field(name)
            .optional(|at| at.text(limits.max_id, "max_id").map(drop))?;
    }
    at.field("size").optional(|at| at.count().map(drop))?;
    for name in ["caption", "transcript"] {
        at.field(name).optional(|at| text(at, limits))?;
    }
    at.field("source").optional(|at| source(at, limits))
}

/// `from = "target"` is handoffd's own: it is fetched with a CRM's sign-in, which nobody outside may
/// make use of.
fn source(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an object with the field from")?;
    match at.field("from").one_of(&["url", "whatsapp", "inline"])? {
        "url" => at.field("url").url(limits.max_text),
        "whatsapp" => at
            .field("media_id")
            .id(limits.max_id, "write WhatsApp's media id as text")
            .map(drop),
        _ => {
            let data = at.field("data");
            match data.value().and_then(Value::as_str) {
                Some(text) if STANDARD.decode(text).is_ok() => Ok(()),
                _ => Err(data.wrong("write the file's bytes in base64, with padding")),
            }
        }
    }
}

fn place(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.object("write an object with latitude and longitude")?;
    at.field("latitude").between(-90.0, 90.0)?;
    at.field("longitude").between(-180.0, 180.0)?;
    at.field("name").optional(|at| text(at, limits))?;
    at.field("address").optional(|at| text(at, limits))
}

fn fields(at: &At<'_, '_>, limits: &Limits) -> Checked {
    let members = at.members("write an object of name: value")?;
    if members.len() > limits.max_fields {
        return Err(at.beyond(limits.max_fields, "max_fields"));
    }
    for (name, value) in members {
        named(&value, name, limits)?;
        free(&value, limits)?;
    }
    Ok(())
}

/// A value of any shape; serde_json has bounded its depth, the event's size its extent.
fn free(at: &At<'_, '_>, limits: &Limits) -> Checked {
    match at.value() {
        Some(Value::String(_)) => text(at, limits),
        Some(Value::Array(_)) => at.items("")?.try_for_each(|at| free(&at, limits)),
        Some(Value::Object(_)) => at.members("")?.try_for_each(|(name, at)| {
            named(&at, name, limits)?;
            free(&at, limits)
        }),
        _ => Ok(()),
    }
}

fn targets(at: &At<'_, '_>, limits: &Limits) -> Checked {
    let remedy = "name at least one target, or leave it out for all";
    let names = at.items(remedy)?;
    if names.len() == 0 {
        return Err(at.wrong(remedy));
    }
    names
        .into_iter()
        .try_for_each(|at| at.id(limits.max_id, "write a target's name").map(drop))
}

/// A text that somebody wrote.
pub(super) fn text(at: &At<'_, '_>, limits: &Limits) -> Checked {
    at.text(limits.max_text, "max_text").map(drop)
}

/// The name that a producer chose for a value.
pub(super) fn named(at: &At<'_, '_>, name: &str, limits: &Limits) -> Checked {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(at.wrong("give it a name without control characters"));
    }
    if name.chars().count() > limits.max_id {
        return Err(at.stop(
            Reason::LimitExceeded,
            &format!(
                "its name may have {} characters: shorten it, or raise intake.limits.max_id",
                limits.max_id
            ),
        ));
    }
    Ok(())
}
