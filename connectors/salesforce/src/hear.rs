//! The event stream and the entries list: what the rep did.
//!
//! Both tell of the same entries, and the same entry has the same id here whichever told of it, so
//! that replays and backfills add nothing.
//! <https://developer.salesforce.com/docs/service/messaging-api/references/about/server-sent-events-structure.html>

use handoffd_contract::feed::Read;
use handoffd_contract::{Auth, Frame, FrameContent, HttpCall, HttpReply, Reason, Refusal, Stop};
use serde_json::{Value, json};

use crate::entry::{self, Entry};
use crate::errors;
use crate::send::{PAGE, path};
use crate::settings::Settings;

/// The tag of a page of the entries list.
pub(crate) const ENTRIES: &str = "entries";
/// The budget of reads of a conversation's entries.
pub(crate) const LIST: &str = "entries";
/// Pages that one backfill reads; beyond that, the event stream's own replay has to do.
const MAX_PAGES: u64 = 20;

/// A page of a conversation's entries, oldest first, from `since` (Salesforce's milliseconds). When
/// the last page was read, the facts `swept` hold.
pub(crate) fn entries(
    conversation: &str,
    subject: &str,
    since: Option<i64>,
    page: u64,
    swept: &[(String, String)],
) -> Read {
    let mut call = HttpCall::get(format!("{}/entries", path(conversation)))
        .query("limit", PAGE.to_string())
        .query("direction", "FromStart")
        .query("entryTypeFilter", "Message,ParticipantChanged")
        .auth(Auth::Customer {
            subject: subject.to_owned(),
        });
    if let Some(since) = since {
        call = call.query("startTimestamp", since.max(0).to_string());
    }
    let context = json!({ "conversation": conversation, "subject": subject, "since": since, "page": page, "swept": swept });
    Read::new(ENTRIES, call, context).spend(LIST, conversation)
}

pub(crate) fn hear(s: &Settings, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
    match frame {
        Frame::Event { event, data, .. } => stream(s, event, data),
        Frame::Reply { read, reply } => answer(s, read, reply),
        Frame::Webhook { .. } => Ok(skipped("this target takes no webhooks")),
    }
}

fn skipped(words: impl Into<String>) -> FrameContent {
    FrameContent {
        skipped: Some(words.into()),
        ..FrameContent::default()
    }
}

fn stream(s: &Settings, event: &str, data: &str) -> Result<FrameContent, Refusal> {
    if data.contains(errors::EXPIRED) && !data.trim_start().starts_with('{') {
        return Ok(FrameContent {
            unauthorized: true,
            ..FrameContent::default()
        });
    }
    if event == "ping" {
        return Ok(FrameContent::default());
    }
    let message = matches!(
        event,
        "CONVERSATION_MESSAGE" | "CONVERSATION_MESSAGE_UPDATED"
    );
    let known = message
        || matches!(
            event,
            "CONVERSATION_PARTICIPANT_CHANGED"
                | "CONVERSATION_SESSION_STATUS_CHANGED"
                | "CONVERSATION_ROUTING_RESULT"
                | "CONVERSATION_ROUTING_WORK_RESULT"
                | "CONVERSATION_QUEUE_POSITION"
                | "CONVERSATION_TYPING_STARTED_INDICATOR"
                | "CONVERSATION_TYPING_STOPPED_INDICATOR"
                | "CONVERSATION_READ_ACKNOWLEDGEMENT"
                | "CONVERSATION_CLOSE_CONVERSATION"
        );
    if !known {
        // New types can appear at any time and must be passed over.
        let name: String = event.chars().filter(|c| !c.is_control()).take(60).collect();
        return Ok(skipped(format!("event {name}")));
    }
    let envelope: Option<Value> = serde_json::from_str(data).ok();
    let entry = envelope.as_ref().and_then(Entry::of_event);
    match entry {
        Some(entry) => {
            let mut hearing = FrameContent::default();
            entry.hear(s, &mut hearing);
            Ok(hearing)
        }
        // A rep's message may be in it, so a person must see it.
        None if message => Err(Refusal::park(
            Reason::Undecodable,
            format!("{event} without a readable entry"),
        )),
        None => Ok(skipped(format!("{event} without a readable entry"))),
    }
}

fn answer(s: &Settings, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    match reply.status {
        200..=299 => {}
        401 => {
            return Ok(FrameContent {
                unauthorized: true,
                ..FrameContent::default()
            });
        }
        // The conversation is gone, and with it what could be heard in it.
        403 | 404 | 410 => {
            let mut hearing = skipped(format!("{} answered {}", read.tag, reply.status));
            let conversation = read.context["conversation"].as_str().unwrap_or_default();
            entry::swept(&mut hearing, conversation, swept(read));
            return Ok(hearing);
        }
        status => {
            let reason = if status == 429 {
                Reason::ConversationLimited
            } else {
                Reason::ServerError
            };
            let words = errors::words(reply);
            return Err(Refusal::Hold {
                stop: Stop::new(reason, words),
                until: None,
            });
        }
    }
    let conversation = read.context["conversation"].as_str().unwrap_or_default();
    let subject = read.context["subject"].as_str().unwrap_or_default();
    let Some(body) = reply.json() else {
        return Err(Refusal::Hold {
            stop: Stop::new(
                Reason::ServerError,
                format!("{}: an answer that is not JSON", read.tag),
            ),
            until: None,
        });
    };
    Ok(match read.tag {
        ENTRIES => backfill(s, read, conversation, subject, &body),
        _ => skipped("an answer to a read of another kind"),
    })
}

/// A page of entries, sorted by ourselves since the list's order is not documented.
fn backfill(
    s: &Settings,
    read: &Read,
    conversation: &str,
    subject: &str,
    body: &Value,
) -> FrameContent {
    let mut hearing = FrameContent::default();
    let list = body["conversationEntries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut entries: Vec<Entry> = list
        .iter()
        .take(PAGE * 4)
        .filter_map(|entry| Entry::of_list(conversation, entry))
        .collect();
    entries.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    for entry in &entries {
        entry.hear(s, &mut hearing);
    }
    let page = read.context["page"].as_u64().unwrap_or(0);
    let newest = entries.iter().filter_map(|entry| entry.at).max();
    if let Some(newest) = newest.filter(|_| list.len() >= PAGE && page + 1 < MAX_PAGES) {
        let since = read.context["since"].as_i64();
        // Entries of one millisecond may be parted by the page's end, so the last one is read again,
        // unless the whole page is of that millisecond.
        let next = if since == Some(newest) {
            newest + 1
        } else {
            newest
        };
        let read = self::entries(conversation, subject, Some(next), page + 1, &swept(read));
        hearing.fetch.push(read);
    } else {
        entry::swept(&mut hearing, conversation, swept(read));
    }
    hearing
}

/// The facts that hold when a read of the entries is done.
fn swept(read: &Read) -> Vec<(String, String)> {
    serde_json::from_value(read.context["swept"].clone()).unwrap_or_default()
}
