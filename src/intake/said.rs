//! What was said, by whom: messages and transcripts.

use std::collections::HashMap;

use handoffd_contract::event::{AttachmentKind, Earlier};
use handoffd_contract::{Attachment, Author, AuthorKind, Location, Message, ids};
use jiff::Timestamp;
use serde_json::Value;

use super::files::files;
use super::kinds;
use super::shape::At;
use super::time::Moment;

/// Stands for a message in which nothing is.
const EMPTY: &str = "[empty message]";
/// Stands for a message in which something is that could not be read.
const UNREADABLE: &str = "[message that could not be read]";
/// Stands for a place that could not be read.
const PLACE: &str = "[location that could not be read]";

/// What takes the place of an id and a time that are missing.
pub(super) struct Instead {
    pub(super) id: String,
    pub(super) time: Timestamp,
}

/// The word for an author, as far as it is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    /// It says who.
    Sure(AuthorKind),
    /// `user` and `human`: the customer beside an assistant, somebody of the business beside a customer.
    User,
    /// There is no word, or one that nobody knows.
    Unknown,
}

/// Who is said to have written it.
pub(super) fn speaker(message: &At<'_, '_>) -> Speaker {
    let author = message.field("author");
    let word = match author.value() {
        None => message.field("role").word(),
        Some(Value::String(_)) => author.word(),
        Some(_) => author
            .field("kind")
            .word()
            .or_else(|| author.field("role").word())
            .or_else(|| author.field("type").word()),
    };
    let Some(word) = word else {
        return Speaker::Unknown;
    };
    match word.as_str() {
        "customer" | "contact" | "client" | "visitor" | "consumer" | "end_user" | "enduser" => {
            Speaker::Sure(AuthorKind::Customer)
        }
        "assistant" | "bot" | "ai" | "chatbot" | "ai_assistant" | "ai_agent" | "virtual_agent"
        | "virtual_assistant" | "model" | "llm" | "copilot" => Speaker::Sure(AuthorKind::Assistant),
        "agent" | "rep" | "representative" | "operator" | "employee" | "staff" | "advisor"
        | "human_agent" | "live_agent" | "teammate" => Speaker::Sure(AuthorKind::Agent),
        "system" | "notice" | "event" | "activity" => Speaker::Sure(AuthorKind::System),
        "user" | "human" => Speaker::User,
        _ => Speaker::Unknown,
    }
}

/// The message at this place, with its author as the caller knows them.
pub(super) fn message(
    at: &At<'_, '_>,
    instead: &Instead,
    time: Timestamp,
    author: AuthorKind,
) -> Message {
    let id = at.field("id").id().unwrap_or_else(|| {
        if at.object().is_some() {
            at.field("id")
                .read_as("another was made: write the message's id as text, such as its wamid");
        }
        instead.id.clone()
    });
    let name = match at.field("author").object() {
        Some(_) => at.field("author").field("name").text(),
        None => None,
    };
    let mut message = Message {
        id,
        time,
        author: Author {
            kind: author,
            name: name.filter(|name| !name.trim().is_empty()),
        },
        ..Message::default()
    };
    content(&mut message, at);
    own_id(&mut message, at, instead);
    message
}

/// A message that is about another one has an id of its own: under the same id it would be taken for the
/// other once more.
fn own_id(message: &mut Message, at: &At<'_, '_>, instead: &Instead) {
    let is_same = |one: &Earlier| one.message_id.as_ref() == Some(&message.id);
    if message.earlier().any(is_same) {
        at.field("id").read_as(
            "it is the id of the message that this one is about, another was made: give every message its own",
        );
        message.id = format!("{}~{}", message.id, ids::short(&[&instead.id]));
    }
}

/// Puts into a message what is in it; never nothing, unless that is not to be shown.
fn content(message: &mut Message, at: &At<'_, '_>) {
    if at.object().is_none() {
        let text = at
            .value()
            .is_some_and(Value::is_string)
            .then(|| at.text())
            .flatten();
        at.read_as("only a text was read: write a message with id, time, author and text");
        let text = text.filter(|text| !text.trim().is_empty());
        message.text = Some(text.unwrap_or_else(|| {
            let line = if at.given() { UNREADABLE } else { EMPTY };
            line.to_owned()
        }));
        return;
    }
    let said = at.field("text");
    // The form of WhatsApp's own webhooks.
    let body = said.field("body");
    let text = if body.given() {
        body.text()
    } else {
        said.text()
    };
    let mut lines: Vec<String> = text.into_iter().filter(|text| !text.is_empty()).collect();
    let (attachments, more) = files(&at.field("attachments"));
    message.attachments = attachments;
    if more > 0 {
        lines.push(format!("[{more} more attachments were left out]"));
    }
    message.location = place(&at.field("location"), &mut lines);
    kinds::fill(message, at);
    message.text = Some(lines.join("\n")).filter(|text| !text.trim().is_empty());
    if is_hidden(message, at) {
        return;
    }
    if message.is_empty() {
        let lost = said.given() && !said.value().is_some_and(Value::is_string);
        if !lost {
            said.read_as(
                "a line stands for it: a message without attachments or location needs a text",
            );
        }
        message.text = Some(if lost { UNREADABLE } else { EMPTY }.to_owned());
    }
}

/// Takes out what is not to be shown, and says whether that was all there is.
fn is_hidden(message: &mut Message, at: &At<'_, '_>) -> bool {
    let limits = at.context().limits;
    if message.system.is_some() && !limits.system_messages {
        message.text = None;
        return true;
    }
    let is_sticker = |file: &Attachment| file.kind == AttachmentKind::Sticker;
    if limits.stickers || !message.attachments.iter().any(is_sticker) {
        return false;
    }
    message.attachments.retain(|file| !is_sticker(file));
    message.is_empty()
}

fn place(at: &At<'_, '_>, lines: &mut Vec<String>) -> Option<Location> {
    if !at.given() {
        return None;
    }
    let name = at.field("name").text();
    let address = at.field("address").text();
    let latitude = at.field("latitude").between(-90.0, 90.0);
    let longitude = at.field("longitude").between(-180.0, 180.0);
    let (Some(latitude), Some(longitude)) = (latitude, longitude) else {
        at.lost("write latitude from -90 to 90 and longitude from -180 to 180");
        lines.push(PLACE.to_owned());
        lines.extend(name.into_iter().chain(address));
        return None;
    };
    Some(Location {
        latitude,
        longitude,
        name,
        address,
        live: at.field("live").flag().unwrap_or(false),
    })
}

/// What was said until now. `asked` is when the handoff was asked for, `opened` when the session began.
pub(super) fn transcript(
    at: &At<'_, '_>,
    asked: Timestamp,
    opened: Option<Timestamp>,
) -> Vec<Message> {
    if at.object().is_some_and(|map| !map.is_empty()) {
        at.read_as("it was read as one message: write a list of messages");
    }
    let mut items = at.list();
    let max = at.context().limits.max_messages;
    if items.len() > max {
        at.cut(&format!(
            "only the newest {max} were taken: send less, or raise intake.limits.max_messages"
        ));
        items.drain(..items.len() - max);
    }
    let speakers: Vec<Speaker> = items.iter().map(speaker).collect();
    let user = user(&speakers);
    let times = times(&items, asked, opened);
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut said: Vec<Message> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let (time, is_sure) = times[index];
        let (author, is_certain) = author(item, speakers[index], user);
        let instead = Instead {
            id: format!("no-id-{index}"),
            time,
        };
        let mut message = message(item, &instead, time, author);
        if message.is_empty() {
            continue;
        }
        if let Some(earlier) = first.get(&message.id) {
            if said[*earlier] == message {
                item.read_as("it is the same message once more, and was taken once");
                continue;
            }
            item.field("id")
                .read_as("another message has the same id: give every message its own");
            while first.contains_key(&message.id) {
                message.id.push_str(&format!("~{index}"));
            }
        }
        first.insert(message.id.clone(), said.len());
        if !(is_sure && is_certain) {
            item.context().unsure(&message.id);
        }
        said.push(message);
    }
    said
}

/// Whom `user` and `human` mean in this transcript, and whether that is certain: beside a customer they
/// are of the business; beside an assistant alone they are the customer.
fn user(speakers: &[Speaker]) -> (AuthorKind, bool) {
    let has = |kind| speakers.contains(&Speaker::Sure(kind));
    if has(AuthorKind::Customer) {
        (AuthorKind::Agent, false)
    } else {
        let alone = has(AuthorKind::Assistant) && !has(AuthorKind::Agent);
        (AuthorKind::Customer, alone)
    }
}

/// Who wrote it, and whether that is certain. An unknown word is shown as a notice: as the customer's
/// it would count for WhatsApp's window, as the assistant's or a rep's it would be a promise.
fn author(at: &At<'_, '_>, speaker: Speaker, user: (AuthorKind, bool)) -> (AuthorKind, bool) {
    const REMEDY: &str = "write kind: customer, assistant, agent or system";
    let place = at.field("author");
    match speaker {
        Speaker::Sure(kind) => (kind, true),
        Speaker::User => {
            let word = match user.0 {
                AuthorKind::Agent => "agent, since others are the customer",
                _ => "customer",
            };
            place.read_as(&format!("it was read as {word}: {REMEDY}"));
            user
        }
        Speaker::Unknown => {
            place.read_as(&format!("it was read as system: {REMEDY}"));
            (AuthorKind::System, false)
        }
    }
}

/// When each was said, and whether that is certain. One that is not known stands with the message
/// before it, else with the next one whose time is known.
fn times(
    items: &[At<'_, '_>],
    asked: Timestamp,
    opened: Option<Timestamp>,
) -> Vec<(Timestamp, bool)> {
    let read: Vec<Option<Moment>> = items
        .iter()
        .map(|item| {
            let at = item.field("time");
            let time = at.moment();
            match time {
                Some(time) if at.context().is_ahead(time.at()) => {
                    at.read_as("it lies ahead, and was not believed: check the clock");
                    None
                }
                None if !at.given() && item.object().is_some() => {
                    at.read_as("the message before tells the time: write an RFC 3339 time");
                    None
                }
                time => time,
            }
        })
        .collect();
    let first = read.iter().flatten().next().map(|time| time.at());
    let mut last = first.or(opened).unwrap_or(asked);
    read.into_iter()
        .map(|time| match time {
            Some(Moment::Sure(at)) => {
                last = at;
                (at, true)
            }
            Some(Moment::Assumed(at)) => {
                last = at.min(asked);
                (last, true)
            }
            None => (last, false),
        })
        .collect()
}

/// An id for a message that has none, the same whenever the same comes again.
pub(super) fn derived_id(event: &str) -> String {
    format!("no-id-{}", ids::short(&[event]))
}
