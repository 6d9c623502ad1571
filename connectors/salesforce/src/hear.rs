//! The event stream and the entries list: what the rep did.
//!
//! Both tell of the same entries, and the same entry has the same id here whichever told of it, so
//! that replays and backfills add nothing.
//! <https://developer.salesforce.com/docs/service/messaging-api/references/about/server-sent-events-structure.html>

use handoffd_contract::event::RepReply;
use handoffd_contract::feed::Read;
use handoffd_contract::{
    About, Auth, Frame, Heard, Hearing, HttpCall, HttpReply, Reason, Refusal, Stop, What,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::plan::{PAGE, path};
use crate::settings::Settings;
use crate::{lane, payload, read};

/// The tag of a page of the entries list.
pub(crate) const ENTRIES: &str = "entries";
/// The tag of a conversation's routing status.
const ROUTING: &str = "routing";
/// Pages that one backfill reads; beyond that, the event stream's own replay has to do.
const MAX_PAGES: u64 = 20;

/// A page of a conversation's entries, oldest first, from `since` (Salesforce's milliseconds).
pub(crate) fn entries(conversation: &str, subject: &str, since: Option<i64>, page: u64) -> Read {
    let mut call = HttpCall::get(format!("{}/entries", path(conversation)))
        .query("limit", PAGE.to_string())
        .query("direction", "FromStart")
        .query("entryTypeFilter", "Message,ParticipantChanged")
        .auth(Auth::Customer { subject: subject.to_owned() });
    if let Some(since) = since {
        call = call.query("startTimestamp", since.max(0).to_string());
    }
    let memo = json!({ "conversation": conversation, "subject": subject, "since": since, "page": page });
    Read { tag: ENTRIES, call, memo }
}

pub(crate) fn hear(s: &Settings, frame: &Frame<'_>) -> Result<Hearing, Refusal> {
    match frame {
        Frame::Event { key, event, data, .. } => stream(s, key, event, data),
        Frame::Reply { read, reply } => answer(s, read, reply),
        Frame::Webhook { .. } => Ok(skipped("this target takes no webhooks")),
    }
}

fn skipped(words: impl Into<String>) -> Hearing {
    Hearing { skipped: Some(words.into()), ..Hearing::default() }
}

fn stream(s: &Settings, subject: &str, event: &str, data: &str) -> Result<Hearing, Refusal> {
    if data.contains(read::EXPIRED) && !data.trim_start().starts_with('{') {
        return Ok(Hearing { unauthorized: true, ..Hearing::default() });
    }
    if event == "ping" {
        return Ok(Hearing::default());
    }
    let message = matches!(event, "CONVERSATION_MESSAGE" | "CONVERSATION_MESSAGE_UPDATED");
    let known = message
        || matches!(
            event,
            "CONVERSATION_PARTICIPANT_CHANGED"
                | "CONVERSATION_SESSION_STATUS_CHANGED"
                | "CONVERSATION_ROUTING_RESULT"
                | "CONVERSATION_ROUTING_WORK_RESULT"
        );
    if !known {
        // New types can appear at any time and must be passed over.
        let name: String = event.chars().filter(|c| !c.is_control()).take(60).collect();
        return Ok(skipped(format!("event {name}")));
    }
    let envelope: Option<Value> = serde_json::from_str(data).ok();
    let entry = envelope.as_ref().and_then(|envelope| Entry::of_event(envelope));
    match entry {
        Some(entry) => {
            let mut hearing = Hearing::default();
            entry.hear(s, subject, &mut hearing, true);
            Ok(hearing)
        }
        // A rep's message may be in it, so a person must see it.
        None if message => Err(Refusal::park(Reason::Undecodable, format!("{event} without a readable entry"))),
        None => Ok(skipped(format!("{event} without a readable entry"))),
    }
}

fn answer(s: &Settings, read: &Read, reply: &HttpReply) -> Result<Hearing, Refusal> {
    match reply.status {
        200..=299 => {}
        401 => return Ok(Hearing { unauthorized: true, ..Hearing::default() }),
        // The conversation is gone, and with it what could be heard in it.
        403 | 404 | 410 => return Ok(skipped(format!("{} answered {}", read.tag, reply.status))),
        status => {
            let reason = if status == 429 { Reason::RateLimited } else { Reason::ServerError };
            let words = read::words(reply);
            return Err(Refusal::Hold { stop: Stop::new(reason, words), until: None });
        }
    }
    let conversation = read.memo["conversation"].as_str().unwrap_or_default();
    let subject = read.memo["subject"].as_str().unwrap_or_default();
    let Some(body) = reply.json() else {
        return Err(Refusal::Hold {
            stop: Stop::new(Reason::ServerError, format!("{}: an answer that is not JSON", read.tag)),
            until: None,
        });
    };
    Ok(match read.tag {
        ENTRIES => backfill(s, read, conversation, subject, &body),
        ROUTING => routing(read, conversation, &body),
        _ => skipped("an answer to a read of another kind"),
    })
}

/// A page of entries, sorted by ourselves since the list's order is not documented.
fn backfill(s: &Settings, read: &Read, conversation: &str, subject: &str, body: &Value) -> Hearing {
    let mut hearing = Hearing::default();
    let list = body["conversationEntries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut entries: Vec<Entry> =
        list.iter().take(PAGE * 4).filter_map(|entry| Entry::of_list(conversation, entry)).collect();
    entries.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    // Whether a rep who left came back is known from the later entries of the page.
    let last_change = entries.iter().rposition(|entry| entry.kind == "ParticipantChanged");
    for (at, entry) in entries.iter().enumerate() {
        entry.hear(s, subject, &mut hearing, Some(at) == last_change);
    }
    let page = read.memo["page"].as_u64().unwrap_or(0);
    let newest = entries.iter().filter_map(|entry| entry.at).max();
    if let Some(newest) = newest.filter(|_| list.len() >= PAGE && page + 1 < MAX_PAGES) {
        let since = read.memo["since"].as_i64();
        // Entries of one millisecond may be parted by the page's end, so the last one is read again,
        // unless the whole page is of that millisecond.
        let next = if since == Some(newest) { newest + 1 } else { newest };
        hearing.fetch.push(self::entries(conversation, subject, Some(next), page + 1));
    }
    hearing
}

/// Whether the rep who left ended the conversation or passed it on: `NEEDS_ROUTING` is the end,
/// `TRANSFER` and `INITIAL` say that another one comes.
fn routing(read: &Read, conversation: &str, body: &Value) -> Hearing {
    match body["routingStatus"].as_str() {
        Some("NEEDS_ROUTING") => {
            let mut hearing = Hearing::default();
            let session = read.memo["session"].as_str().unwrap_or_default();
            let at = read.memo["at"].as_i64();
            ended(&mut hearing, conversation, session, at, "left");
            hearing
        }
        status => skipped(format!("the rep left, routing status {}", status.unwrap_or("unknown"))),
    }
}

/// The end of a messaging session, told in several ways of which the first counts.
fn ended(hearing: &mut Hearing, conversation: &str, session: &str, at: Option<i64>, word: &str) {
    let fact = (lane::ended(session), at.unwrap_or(0).to_string());
    let mut add = |id: String, what: What, echo: Option<String>| {
        hearing.heard.push(Heard { id, about: about(conversation), echo, at: time(at), what });
    };
    add(format!("ended/{session}/{word}/fact"), What::Facts(vec![fact]), None);
    // We end sessions too; the engine knows which by the fact that holds this value.
    let echo = Some(lane::ended_by_us(session));
    add(format!("ended/{session}"), What::Ended { word: Some(word.to_owned()) }, echo);
}

fn about(conversation: &str) -> About {
    About::Fact { name: "conversation".into(), value: conversation.to_owned() }
}

fn time(at: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_millisecond(at?).ok()
}

/// A conversation entry, from the stream or from the list.
struct Entry {
    conversation: String,
    id: String,
    kind: String,
    role: String,
    name: Option<String>,
    at: Option<i64>,
    session: Option<String>,
    payload: Value,
}

impl Entry {
    fn of_event(envelope: &Value) -> Option<Entry> {
        let conversation = envelope["conversationId"].as_str()?;
        Entry::of_list(conversation, &envelope["conversationEntry"])
    }

    fn of_list(conversation: &str, entry: &Value) -> Option<Entry> {
        // The payload is JSON inside a text on the stream, and either form in the list.
        let payload = match &entry["entryPayload"] {
            Value::String(text) => serde_json::from_str(text).ok()?,
            other => other.clone(),
        };
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        let at = |name: &str| entry[name].as_i64();
        let kind = text("entryType").or_else(|| payload["entryType"].as_str().map(str::to_owned));
        let id = text("identifier").or_else(|| payload["id"].as_str().map(str::to_owned));
        Some(Entry {
            conversation: conversation.to_owned(),
            id: id.filter(|id| !id.is_empty() && id.len() <= 200)?,
            kind: kind?,
            role: entry["sender"]["role"].as_str().unwrap_or_default().to_owned(),
            name: text("senderDisplayName").filter(|name| !name.trim().is_empty()),
            at: at("transcriptedTimestamp").or_else(|| at("clientTimestamp")),
            session: session_id(entry["relatedRecords"].as_array()),
            payload,
        })
    }

    fn heard(&self, hearing: &mut Hearing, id: String, what: What) {
        let about = about(&self.conversation);
        hearing.heard.push(Heard { id, about, echo: None, at: time(self.at), what });
    }

    /// `newest`: no later change of participants is known.
    fn hear(&self, s: &Settings, subject: &str, hearing: &mut Hearing, newest: bool) {
        match self.kind.as_str() {
            "Message" => self.message(s, hearing, &self.payload["abstractMessage"]),
            "MessageUpdated" => {
                // The name and form of this event are not confirmed; the finished message is in it.
                let updated = &self.payload["updatedMessage"];
                let inner = ["abstractMessage"].iter().map(|name| &updated[*name]).find(|v| v.is_object());
                self.message(s, hearing, inner.unwrap_or(updated));
            }
            "ParticipantChanged" => self.participants(subject, hearing, newest),
            "SessionStatusChanged" => self.status(hearing),
            "RoutingResult" => {
                let record = self.payload["recordId"].as_str().filter(|id| id.starts_with("0Mw"));
                if let Some(record) = record {
                    self.session(hearing, record);
                }
                let failure = self.payload["failureType"].as_str().unwrap_or("None");
                if failure != "None" {
                    hearing.skipped = Some(format!("Omni-Channel could not route: {}", short(failure)));
                }
            }
            "RoutingWorkResult" => {
                let closed = self.payload["workType"].as_str() == Some("Closed");
                if let Some(session) = self.session.as_deref().filter(|_| closed) {
                    ended(hearing, &self.conversation, session, self.at, "Closed");
                }
            }
            other => hearing.skipped = Some(format!("entry of type {}", short(other))),
        }
    }

    fn message(&self, s: &Settings, hearing: &mut Hearing, message: &Value) {
        let automated = self.payload["messageReason"].as_str() == Some("AutomatedResponse");
        let relayed = match self.role.as_str() {
            "Agent" => true,
            "Chatbot" => s.relay_chatbot,
            "System" => s.relay_automated && automated,
            // Our own echo, a supervisor's whisper, the router, and whatever is new.
            _ => false,
        };
        if !relayed {
            hearing.skipped = Some(format!("a message of role {}", short(&self.role)));
            return;
        }
        let shown = payload::shown(&self.id, message);
        if shown.pending {
            hearing.skipped = Some("a file that is still being uploaded; its update follows".into());
            return;
        }
        let reply = RepReply {
            target: String::new(),
            message_id: self.id.clone(),
            author: self.name.clone(),
            text: shown.text,
            attachments: shown.attachments,
            options: shown.options,
            template: None,
        };
        self.heard(hearing, format!("message/{}", self.id), What::Replied(reply));
        if let Some(at) = self.at {
            let fact = ("heard".to_owned(), at.to_string());
            self.heard(hearing, format!("message/{}/at", self.id), What::Facts(vec![fact]));
        }
    }

    fn participants(&self, subject: &str, hearing: &mut Hearing, newest: bool) {
        let changes = self.payload["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (n, change) in changes.iter().take(20).enumerate() {
            if change["participant"]["role"].as_str() != Some("Agent") {
                continue;
            }
            let rep = match change["operation"].as_str() {
                Some("add") => {
                    let name = change["displayName"].as_str().filter(|name| !name.trim().is_empty());
                    Some(name.unwrap_or("an agent").to_owned())
                }
                Some("remove") => None,
                _ => continue,
            };
            if rep.is_none() && newest {
                let session = self.session.clone().unwrap_or_else(|| self.id.clone());
                hearing.fetch.push(Read {
                    tag: ROUTING,
                    call: HttpCall::get(path(&self.conversation))
                        .auth(Auth::Customer { subject: subject.to_owned() }),
                    memo: json!({ "conversation": self.conversation, "subject": subject, "session": session, "at": self.at }),
                });
            }
            self.heard(hearing, format!("participant/{}/{n}", self.id), What::Assigned { rep });
        }
    }

    fn status(&self, hearing: &mut Hearing) {
        let status = self.payload["sessionStatus"].as_str().unwrap_or_default();
        let session = self.payload["sessionId"].as_str().map(str::to_owned).or_else(|| self.session.clone());
        let Some(session) = session.filter(|id| !id.is_empty() && id.len() <= 64) else {
            hearing.skipped = Some("a session's status without its id".into());
            return;
        };
        match status {
            "Ended" | "Inactive" => ended(hearing, &self.conversation, &session, self.at, status),
            "New" | "Waiting" => self.session(hearing, &session),
            "Active" => {
                self.session(hearing, &session);
                let fact = (lane::live(&session), self.at.unwrap_or(0).to_string());
                self.heard(hearing, format!("active/{}", self.id), What::Facts(vec![fact]));
            }
            other => hearing.skipped = Some(format!("session status {}", short(other))),
        }
    }

    /// Which messaging session is the current one; told once for each.
    fn session(&self, hearing: &mut Hearing, session: &str) {
        let fact = ("session".to_owned(), session.to_owned());
        self.heard(hearing, format!("session/{session}"), What::Facts(vec![fact]));
    }
}

/// A messaging session's record id among related records.
fn session_id(records: Option<&Vec<Value>>) -> Option<String> {
    let ids = records.into_iter().flatten().filter_map(Value::as_str);
    ids.filter(|id| id.starts_with("0Mw") && id.len() <= 64).map(str::to_owned).next()
}

/// Their word, for the operator's log.
fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(40).collect()
}
