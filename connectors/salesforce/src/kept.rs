//! What came after the end of a messaging session, when only a handoff may begin the next one.
//!
//! Nobody is rung for it. It is kept, within bounds, and the next handoff's transcript shows it where
//! the gateway's own transcript does not.

use handoffd_contract::event::RepEnded;
use handoffd_contract::{
    Attachment, Author, AuthorKind, Data, Handoff, Item, Known, Message, Reason, Record, Repeat,
    Settled, Source, Step, text,
};
use serde::{Deserialize, Serialize};

use crate::facts::{self, Lane};

/// Messages that are kept whole. Of further ones only the number is known.
const MAX_MESSAGES: usize = 50;
/// UTF-16 units of a kept text.
const MAX_TEXT: usize = 4_000;
/// Bytes of a kept message; one that is larger is kept without its files.
const MAX_BYTES: usize = 16 * 1024;

/// The value once a handoff was completed that shows the message, or says that it was not kept.
const DONE: &str = "";

/// A message that is kept, as it is written down.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// How many had come before it. Older ledgers do not say.
    #[serde(default)]
    came: usize,
    #[serde(flatten)]
    message: Message,
}

/// What is known of a message that is not kept.
fn not_kept() -> Settled {
    Settled::refused(Reason::LimitExceeded, "more messages came than are kept")
}

/// Keeps a message and says so. When an answer told us of the end before Salesforce's events did, the
/// gateway is told as well: it may think that a rep is still in charge.
pub(crate) fn keep(work_target: &str, known: &Known, lane: &Lane<'_>, message: &Message) -> Step {
    let value = if whole(known).count() < MAX_MESSAGES {
        bounded(message, waiting(known).count())
    } else {
        not_kept()
    };
    let mut record = Record {
        facts: vec![
            (facts::kept(&message.id), value),
            (
                facts::WAITING.to_owned(),
                (waiting(known).count() + 1).to_string().into(),
            ),
        ],
        events: Vec::new(),
    };
    for (key, _) in lane.untold() {
        record
            .facts
            .push((facts::over(&key), facts::ended_by_us(&key).into()));
        let ended = RepEnded {
            target: work_target.to_owned(),
            status: Some("Ended".to_owned()),
        };
        record
            .events
            .push((format!("ended/{key}"), Data::RepEnded(ended)));
    }
    Step::new("message.keep", Repeat::Safe, record)
}

/// A line of ours that would have told the rep something, as a message that can be kept.
pub(crate) fn note(item: &Item, id: &str, text: String) -> Message {
    Message {
        id: id.to_owned(),
        time: item.time,
        author: Author {
            kind: AuthorKind::System,
            name: None,
        },
        text: Some(text),
        ..Message::default()
    }
}

/// The messages that wait for a handoff and are kept whole.
fn whole(known: &Known) -> impl Iterator<Item = &str> {
    let kept = known.under("kept/");
    kept.filter(|(_, value)| *value != DONE).map(|(id, _)| id)
}

/// The messages that wait for a handoff, those that are not kept among them.
fn waiting(known: &Known) -> impl Iterator<Item = &str> {
    let not_kept = known.refused_under("kept/").map(|(id, ..)| id);
    whole(known).chain(not_kept)
}

/// What is known once a handoff is completed: nothing waits any longer.
pub(crate) fn done(known: &Known) -> Vec<(String, Settled)> {
    let mut facts: Vec<(String, Settled)> = waiting(known)
        .map(|id| (facts::kept(id), DONE.into()))
        .collect();
    if !facts.is_empty() {
        facts.push((facts::WAITING.to_owned(), "0".into()));
    }
    facts
}

/// A handoff's transcript, with what was kept since the end of the session before it.
pub(crate) fn transcript(known: &Known, handoff: &Handoff) -> Vec<Message> {
    let mut kept: Vec<Kept> = known
        .under("kept/")
        .filter(|(id, _)| handoff.transcript.iter().all(|m| m.id != *id))
        .filter_map(|(_, value)| serde_json::from_str(value).ok())
        .collect();
    kept.sort_by_key(|one| one.came);
    let mut all = handoff.transcript.clone();
    Message::weave(&mut all, kept.into_iter().map(|one| one.message));
    all
}

/// How many messages were neither kept nor shown.
pub(crate) fn lost(known: &Known, handoff: &Handoff) -> usize {
    known
        .refused_under("kept/")
        .filter(|(id, ..)| handoff.transcript.iter().all(|m| m.id != *id))
        .count()
}

fn bounded(message: &Message, came: usize) -> Settled {
    let written = |message| serde_json::to_string(&Kept { came, message }).unwrap_or_default();
    let bare = |attachment: &Attachment| {
        let mut bare = attachment.clone();
        // Bytes belong into no fact.
        if let Some(Source::Inline { .. }) = bare.source {
            bare.source = None;
        }
        bare
    };
    let kept = Message {
        text: message.text.as_deref().map(|t| text::truncate(t, MAX_TEXT)),
        attachments: message.attachments.iter().map(bare).collect(),
        ..message.clone()
    };
    let whole = written(kept.clone());
    if whole.len() <= MAX_BYTES {
        return whole.into();
    }
    // Its words are what matters most.
    let kept = Message {
        id: kept.id,
        time: kept.time,
        author: kept.author,
        text: kept.text,
        quote: kept.quote,
        edit: kept.edit,
        ..Message::default()
    };
    let words = written(kept);
    if words.len() <= MAX_BYTES {
        words.into()
    } else {
        not_kept()
    }
}
