//! The next step for the first thing that the thread does not show yet.
//!
//! Items are worked off strictly in order, and inside an item one text or file at a time. A text or
//! file whose outcome is unknown is looked for in the entries list before it leaves again, under the
//! same id: that Salesforce recognises the id is inferred, not documented.

use handoffd_contract::event::{DeliveryState, HandoffCompleted, MessageEvent, ReplyStatus, SessionClosed};
use handoffd_contract::{
    Auth, Body, Data, Feed, Handoff, HttpCall, Item, Known, MediaRef, Method, Part, Reason, Record,
    Refusal, Repeat, Step, Work,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::lane::{self, Lane};
use crate::pieces::{self, Content, Piece};
use crate::settings::OnClose;
use crate::{Salesforce, hear, routing, wording};

/// The budget of messages per minute and conversation.
pub(crate) const PER_CONVERSATION: &str = "conversation";

/// Entries per page, the most that the list gives.
pub(crate) const PAGE: usize = 50;

/// Before the newest relayed reply, so many milliseconds are read again after a reconnect.
const OVERLAP_MS: i64 = 5 * 60 * 1_000;

/// What `read` needs beside the reply.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Memo {
    /// The fact that the step claims, or looks for.
    pub(crate) fact: String,
    /// Its value.
    pub(crate) value: String,
    /// What else is known once it is so.
    pub(crate) learn: Vec<(String, String)>,
    /// The fact that stands for a file that is not taken.
    pub(crate) fallback: Option<String>,
    /// The call asks for a new messaging session.
    pub(crate) new_session: bool,
    /// Under which key to note that the messaging session has ended.
    pub(crate) current: String,
    /// Messaging sessions that have ended.
    pub(crate) ended: Vec<String>,
    /// The conversation's number.
    pub(crate) generation: u32,
    /// Whether a next conversation may be begun when this one is unusable. Not when nothing was
    /// ever said in one that is itself a replacement: that would begin one after the other.
    pub(crate) may_replace: bool,
    /// Routing attributes that can be left out.
    pub(crate) optional: Vec<String>,
}

impl Salesforce {
    pub(crate) fn plan(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        let Some(lane) = Lane::new(&self.settings.subject_prefix, work, known) else {
            return Err(Refusal::park(
                Reason::NoCustomer,
                "neither wa_id, user_id nor phone: no Salesforce end user can be named",
            ));
        };
        for item in &work.items {
            let step = match &item.data {
                Data::HandoffRequested(handoff) => self.handoff(work, known, &lane, item, handoff),
                Data::MessageReceived(event) | Data::MessageSent(event) => self.message(work, known, &lane, event),
                Data::ReplyStatus(status) if status.target == work.target => self.told(work, known, &lane, status),
                Data::SessionClosed(closed) => self.closed(work, known, &lane, item, closed),
                _ => None,
            };
            if let Some(step) = step {
                return Ok(vec![step]);
            }
        }
        Ok(Vec::new())
    }

    /// The customer's event stream: open while a rep can still write, or when a step wants it open.
    pub(crate) fn stream(&self, work: &Work, known: &Known) -> Option<Feed> {
        let lane = Lane::new(&self.settings.subject_prefix, work, known)?;
        let began = known.is("conversation") || known.unsure("conversation");
        let open = began && lane.ended().is_empty();
        if !open && !self.plan(work, known).is_ok_and(|steps| steps.iter().any(|step| step.listen)) {
            return None;
        }
        let call = HttpCall::get("/eventrouter/v1/sse")
            .header("Accept", "text/event-stream")
            .header("Cache-Control", "no-cache")
            .header("X-Org-Id", &self.settings.org_id)
            .auth(Auth::Customer { subject: lane.subject.clone() });
        let since = known.get("heard").and_then(|at| at.parse::<i64>().ok()).map(|at| at - OVERLAP_MS);
        let backfill = known
            .get("conversation")
            .map(|conversation| hear::entries(conversation, &lane.subject, since, 0));
        Some(Feed::Stream { key: lane.subject, open: call, idle: self.settings.idle, backfill })
    }

    fn handoff(&self, work: &Work, known: &Known, lane: &Lane<'_>, item: &Item, handoff: &Handoff) -> Option<Step> {
        let completed = format!("completed/{}", item.id);
        if known.is(&completed) {
            return None;
        }
        let attributes =
            routing::attributes(item, handoff, &work.session.id, known, self.settings.attribute_limit);
        if !known.is("conversation") {
            return Some(self.create(work, lane, attributes));
        }
        let again = known.under("completed/").next().is_some();
        let language = handoff.handoff.language.as_deref().or(handoff.session.language.as_deref());
        for mut piece in pieces::handoff(&self.settings, known, item, handoff, again) {
            if !known.is(&piece.fact) {
                let routing = Value::Object(attributes.clone()).to_string();
                if known.get("routing") != Some(routing.as_str()) {
                    piece.learn.push(("routing".into(), routing));
                }
                return Some(self.send(known, lane, piece, &attributes, language));
            }
        }
        let mut record = Record { facts: vec![(completed.clone(), lane.conversation())], events: Vec::new() };
        let data = Data::HandoffCompleted(self.completed(work, known, lane, item, handoff));
        record.events.push((completed, data));
        Some(Step::new("handoff.complete", Repeat::Safe, record))
    }

    fn completed(&self, work: &Work, known: &Known, lane: &Lane<'_>, item: &Item, handoff: &Handoff) -> HandoffCompleted {
        let mut notes = item.rendered.as_ref().map(|r| r.notes.clone()).unwrap_or_default();
        for (name, words) in known.under("refused/") {
            notes.push(format!("Salesforce did not take the routing attribute {name}: {words}"));
        }
        if known.is(&format!("transcript/{}", item.id)) {
            notes.push("Salesforce did not take the transcript as a file; it is in the thread as text".into());
        }
        for message in &handoff.transcript {
            for attachment in &message.attachments {
                let lost = known.get(&lane::file(&message.id, &attachment.id)).filter(|v| v.starts_with('!'));
                if let Some(why) = lost {
                    notes.push(format!("{} was not attached: {}", attachment.file_name(), wording::words(why)));
                }
            }
        }
        let session = known.get("session");
        let mut records = std::collections::BTreeMap::from([("conversation".to_owned(), lane.conversation())]);
        records.extend(session.map(|id| ("messagingSession".to_owned(), id.to_owned())));
        let url = session
            .zip(self.settings.instance.as_ref())
            .map(|(id, instance)| format!("{instance}/lightning/r/MessagingSession/{id}/view"));
        HandoffCompleted { target: work.target.clone(), handoff: item.id.clone(), records, url, notes }
    }

    fn message(&self, work: &Work, known: &Known, lane: &Lane<'_>, event: &MessageEvent) -> Option<Step> {
        let said = lane::said(&event.message.id);
        // Without a conversation there was no handoff yet; with a reference it is our own relayed
        // reply, which the thread shows already.
        if !lane.begun() || event.reference.is_some() || known.is(&said) {
            return None;
        }
        let row = pieces::message(&self.settings, known, &event.message);
        if row.is_empty() {
            return None;
        }
        let Some(piece) = row.into_iter().find(|piece| !known.is(&piece.fact)) else {
            let record = Record { facts: vec![(said, event.message.id.clone())], events: Vec::new() };
            return Some(Step::new("message.complete", Repeat::Safe, record));
        };
        Some(self.open(work, known, lane, piece))
    }

    /// What became of a reply: a receipt where MIAW has one, else a message that the rep sees.
    fn told(&self, work: &Work, known: &Known, lane: &Lane<'_>, status: &ReplyStatus) -> Option<Step> {
        let state = match status.state {
            DeliveryState::Sent => return None,
            DeliveryState::Delivered => "delivered",
            DeliveryState::Read => "read",
            DeliveryState::Held => "held",
            DeliveryState::Failed => "failed",
        };
        let fact = format!("told/{}/{state}", status.message_id);
        if known.is(&fact) || !lane.begun() {
            return None;
        }
        if let DeliveryState::Held | DeliveryState::Failed = status.state {
            let held = status.state == DeliveryState::Held;
            let text = wording::undelivered(held, status.detail.as_deref(), self.settings.message_limit);
            let piece = Piece { fact, content: Content::Text(text), learn: Vec::new() };
            return Some(self.open(work, known, lane, piece));
        }
        // A receipt is worth no new conversation.
        let conversation = known.get("conversation")?;
        let id = lane.id("receipt", &fact);
        let entry = if state == "read" { "Read" } else { "Delivery" };
        let body = json!({ "acks": [
            { "id": id, "entryType": entry, "conversationEntryId": status.message_id }
        ]});
        let call = HttpCall::post(format!("{}/acknowledge-entries", path(conversation)), body);
        // A second receipt for the same entry says the same.
        let memo = Memo { fact: fact.clone(), value: id.clone(), ..Memo::default() };
        Some(self.step("reply.acknowledge", Repeat::Keyed, call, lane, &memo).claim_as(fact, id))
    }

    fn closed(&self, work: &Work, known: &Known, lane: &Lane<'_>, item: &Item, closed: &SessionClosed) -> Option<Step> {
        let fact = format!("closed/{}", item.id);
        let ours = closed.closed_by.as_ref() == Some(&work.target);
        if ours || self.settings.on_close == OnClose::Keep || known.is(&fact) || !lane.ended().is_empty() {
            return None;
        }
        let conversation = known.get("conversation")?;
        let current = lane.current();
        let value = lane::ended_by_us(&current);
        let call = HttpCall::new(Method::Delete, format!("{}/session", path(conversation)))
            .query("esDeveloperName", &self.settings.es_developer_name);
        let memo = Memo { fact: fact.clone(), value: value.clone(), current, ..Memo::default() };
        Some(self.step("session.end", Repeat::Keyed, call, lane, &memo).claim_as(fact, value))
    }

    /// Begins the conversation, and with it the routing. <https://developer.salesforce.com/docs/service/messaging-api/references/miaw-api-reference?meta=createConversation>
    fn create(&self, work: &Work, lane: &Lane<'_>, attributes: Map<String, Value>) -> Step {
        let id = lane.conversation();
        let optional = attributes.keys().filter(|name| *name != routing::SESSION).cloned().collect();
        let body = json!({
            "conversationId": id,
            "esDeveloperName": self.settings.es_developer_name,
            "language": self.language(work.session.language.as_deref()),
            "routingAttributes": attributes,
        });
        let memo = Memo {
            fact: "conversation".into(),
            value: id.clone(),
            learn: vec![
                ("subject".into(), lane.subject.clone()),
                ("generation".into(), lane.generation().to_string()),
                ("routing".into(), Value::Object(attributes).to_string()),
            ],
            optional,
            ..Memo::default()
        };
        let call = HttpCall::post("/iamessage/api/v2/conversation", body);
        self.step("conversation.create", Repeat::Keyed, call, lane, &memo).claim_as("conversation", id).listening()
    }

    /// Sends a piece outside a handoff, in a conversation that is begun anew where it has to be.
    fn open(&self, work: &Work, known: &Known, lane: &Lane<'_>, piece: Piece) -> Step {
        if known.is("conversation") {
            self.send(known, lane, piece, &lane.routing(), work.session.language.as_deref())
        } else {
            self.create(work, lane, lane.routing())
        }
    }

    /// Sends a text or file, or looks for it when its outcome is unknown.
    fn send(
        &self,
        known: &Known,
        lane: &Lane<'_>,
        piece: Piece,
        attributes: &Map<String, Value>,
        language: Option<&str>,
    ) -> Step {
        let Piece { fact, content, mut learn } = piece;
        let id = lane.id("message", &fact);
        let ended = lane.ended();
        let new_session = !ended.is_empty();
        let first = new_session || !lane.used();
        learn.extend(lane::followed(&ended));
        learn.push(("used".into(), lane.generation().to_string()));
        let fallback = match &content {
            Content::File { fallback, .. } => Some(fallback.clone()),
            Content::Text(_) => None,
        };
        let memo = Memo {
            fact: fact.clone(),
            value: id.clone(),
            learn,
            fallback,
            new_session,
            current: lane.current(),
            ended,
            generation: lane.generation(),
            may_replace: lane.generation() == 0 || lane.used(),
            optional: Vec::new(),
        };
        let conversation = lane.conversation();
        if known.unsure(&fact) {
            let call = HttpCall::get(format!("{}/entries", path(&conversation)))
                .query("limit", PAGE.to_string())
                .query("direction", "FromEnd")
                .query("entryTypeFilter", "Message");
            return self.step("message.look", Repeat::Safe, call, lane, &memo).claim(fact);
        }
        let mut envelope = json!({ "esDeveloperName": self.settings.es_developer_name });
        if first {
            envelope["routingAttributes"] = Value::Object(attributes.clone());
            envelope["language"] = self.language(language).into();
        }
        if new_session {
            envelope["isNewMessagingSession"] = true.into();
        }
        let (name, call) = match content {
            Content::Text(text) => {
                envelope["message"] = json!({
                    "id": id,
                    "messageType": "StaticContentMessage",
                    "staticContent": { "formatType": "Text", "text": text },
                });
                ("message.send", HttpCall::post(format!("{}/message", path(&conversation)), envelope))
            }
            Content::File { attachment, caption, .. } => {
                envelope["message"] = json!({ "id": id, "fileId": lane.id("file", &fact) });
                if let Some(caption) = caption {
                    envelope["message"]["text"] = caption.into();
                }
                let entry = Part { mime: Some("application/json".into()), ..Part::text("messageEntry", envelope.to_string()) };
                let media = MediaRef { attachment, max_bytes: self.settings.max_file_bytes };
                let mut call = HttpCall::new(Method::Post, format!("{}/file", path(&conversation)));
                call.body = Body::Multipart(vec![entry, Part::file("fileData", media)]);
                ("file.send", call)
            }
        };
        let step = self.step(name, Repeat::Blind, call, lane, &memo).claim_as(fact, id).spend(PER_CONVERSATION, conversation);
        // The stream may have been let go when the last messaging session ended.
        if new_session { step.listening() } else { step }
    }

    fn step(&self, name: &'static str, repeat: Repeat, call: HttpCall, lane: &Lane<'_>, memo: &Memo) -> Step {
        let call = call.auth(Auth::Customer { subject: lane.subject.clone() });
        // A memo is plain data; it can always be written.
        Step::new(name, repeat, call).memo(serde_json::to_value(memo).unwrap_or_default())
    }

    /// A language as Salesforce writes it: `pt_BR`, not `pt-BR`.
    fn language(&self, given: Option<&str>) -> String {
        match given.map(str::trim).filter(|language| !language.is_empty()) {
            Some(language) => language.replace('-', "_"),
            None => self.settings.language.clone(),
        }
    }
}

/// A conversation's address. Its id is of our own making, or came in an event.
pub(crate) fn path(conversation: &str) -> String {
    format!("/iamessage/api/v2/conversation/{}", handoffd_contract::text::encode(conversation))
}
