//! The values behind the names: parts of an event as a template sees them.

use handoffd_contract::event::{CustomerNotice, Session, sentiment};
use handoffd_contract::{AuthorKind, Contact, Event, Handoff, Message, text};
use minijinja::value::Value;

use super::names::{Free, Known};

/// The longest text that a template is given, in UTF-16 units; longer ones end in an ellipsis.
const MAX_TEXT: usize = 65_536;

pub(super) fn session(session: &Session) -> Value {
    known(
        "session",
        [
            ("id", text(&session.id)),
            ("url", maybe(session.url.as_deref())),
            ("channel", text(&session.channel)),
            ("business_number", text(&session.business_number)),
            ("language", maybe(session.language.as_deref())),
            ("opened_at", time(session.opened_at)),
        ],
    )
}

pub(super) fn contact(contact: &Contact) -> Value {
    let name = contact
        .name
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    // An emoji after the name is not a last name.
    let words: Vec<&str> = name
        .into_iter()
        .flat_map(str::split_whitespace)
        .filter(|word| word.contains(char::is_alphanumeric))
        .collect();
    let (first, last) = match words.split_last() {
        Some((last, first)) if !first.is_empty() => (Some(first.join(" ")), Some(*last)),
        _ => (name.map(str::to_owned), None),
    };
    let ids = contact
        .external_ids
        .iter()
        .map(|(system, id)| (system.clone(), text(id)));
    known(
        "contact",
        [
            ("name", maybe(name)),
            ("first_name", maybe(first.as_deref())),
            ("last_name", maybe(last)),
            ("display_name", text(&contact.display_name())),
            ("phone", maybe(contact.phone.as_deref())),
            ("e164", maybe(contact.e164().as_deref())),
            ("wa_id", maybe(contact.wa_id.as_deref())),
            ("user_id", maybe(contact.user_id.as_deref())),
            ("username", maybe(contact.username.as_deref())),
            ("email", maybe(contact.email.as_deref())),
            ("key", maybe(contact.key().as_deref())),
            ("external_ids", Value::from_object(Free(ids.collect()))),
        ],
    )
}

pub(super) fn reasoning(handoff: &Handoff) -> Value {
    let why = &handoff.handoff;
    let reasons: Vec<Value> = why.reasons.iter().map(|reason| text(reason)).collect();
    known(
        "handoff",
        [
            ("reasons", Value::from(reasons)),
            ("summary", maybe(why.summary.as_deref())),
            ("sentiment", maybe(why.sentiment.as_deref())),
            (
                "sentiment_normalised",
                maybe(why.sentiment.as_deref().and_then(sentiment)),
            ),
            ("language", maybe(why.language.as_deref())),
            ("topic", maybe(why.topic.as_deref())),
            ("requested_at", time(why.requested_at)),
        ],
    )
}

pub(super) fn event(event: &Event) -> Value {
    known(
        "event",
        [
            ("id", text(&event.id)),
            ("time", time(Some(event.time))),
            ("type", text(event.data.kind())),
            ("source", text(&event.source)),
        ],
    )
}

pub(super) fn notice(told: Option<&CustomerNotice>) -> Value {
    let number = |number: Option<u64>| number.map_or_else(|| Value::from(()), Value::from);
    let position = told.and_then(|told| told.position);
    known(
        "notice",
        [
            ("kind", maybe(told.map(|told| told.notice.word()))),
            ("rep", maybe(told.and_then(|told| told.rep.as_deref()))),
            ("position", number(position.map(u64::from))),
            (
                "wait_minutes",
                number(told.and_then(CustomerNotice::wait_minutes)),
            ),
            (
                "target",
                maybe(told.and_then(|told| told.target.as_deref())),
            ),
        ],
    )
}

pub(super) fn counts(messages: &[Message]) -> Value {
    let customers = messages
        .iter()
        .filter(|said| said.author.kind == AuthorKind::Customer)
        .count();
    let attachments: usize = messages.iter().map(|said| said.attachments.len()).sum();
    known(
        "counts",
        [
            ("messages", Value::from(messages.len())),
            ("customer_messages", Value::from(customers)),
            ("attachments", Value::from(attachments)),
        ],
    )
}

pub(super) fn message(said: &Message, contact: &Contact) -> Value {
    let author = match said.author.kind {
        AuthorKind::Customer => "customer",
        AuthorKind::Assistant => "assistant",
        AuthorKind::Agent => "agent",
        AuthorKind::System => "system",
    };
    let files: Vec<Value> = said
        .attachments
        .iter()
        .map(|file| text(&file.file_name()))
        .collect();
    known(
        "message",
        [
            ("id", text(&said.id)),
            ("time", time(Some(said.time))),
            ("author", text(author)),
            ("author_name", text(&text::author(said, contact))),
            ("text", maybe(said.text.as_deref())),
            ("body", text(&text::body(said))),
            ("line", text(&text::line(said, contact))),
            ("attachments", Value::from(files)),
            (
                "location",
                maybe(said.location.as_ref().map(text::place).as_deref()),
            ),
        ],
    )
}

fn known<const N: usize>(of: &'static str, names: [(&'static str, Value); N]) -> Value {
    Value::from_object(Known {
        of,
        names: names.into_iter().collect(),
    })
}

pub(super) fn text(text: &str) -> Value {
    Value::from(text::truncate(text, MAX_TEXT))
}

/// An optional text; an empty one is `none` too.
fn maybe(value: Option<&str>) -> Value {
    value
        .filter(|value| !value.trim().is_empty())
        .map_or_else(|| Value::from(()), text)
}

fn time(time: Option<jiff::Timestamp>) -> Value {
    maybe(time.map(|time| time.to_string()).as_deref())
}

/// An AI-filled value. Nested deeper than eight levels, it is `none`.
pub(super) fn json(value: &serde_json::Value, depth: usize) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_f64().map(Value::from))
            .unwrap_or_else(|| Value::from(())),
        Json::String(value) => text(value),
        Json::Array(items) if depth < 8 => Value::from(
            items
                .iter()
                .map(|item| json(item, depth + 1))
                .collect::<Vec<_>>(),
        ),
        Json::Object(table) if depth < 8 => {
            let entries = table
                .iter()
                .map(|(name, value)| (name.clone(), json(value, depth + 1)));
            Value::from_object(Free(entries.collect()))
        }
        _ => Value::from(()),
    }
}
