//! The calls that show something: a conversation, a text, a file; and the look for one of them.
//! <https://developer.salesforce.com/docs/service/messaging-api/references/miaw-api-reference?meta=sendMessage>

use handoffd_contract::{
    Auth, Body, HttpCall, Known, MediaRef, Method, Part, Repeat, Settled, Step, Work, text,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::facts::{self, Lane};
use crate::hear::LIST;
use crate::pieces::{Content, Piece};
use crate::{Salesforce, routing};

/// The budget of messages per minute and conversation.
pub(crate) const PER_CONVERSATION: &str = "conversation";

/// Entries per page, the most that the list gives.
pub(crate) const PAGE: usize = 50;

/// What `read` needs beside the reply.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Memo {
    /// The fact that the step claims, or looks for.
    pub(crate) fact: String,
    /// Its value.
    pub(crate) value: String,
    /// What else is known once it is so.
    pub(crate) learn: Vec<(String, Settled)>,
    /// The fact that stands for a file that is not taken.
    pub(crate) fallback: Option<String>,
    /// The call asks for a new messaging session.
    pub(crate) new_session: bool,
    /// Under which key to note that the messaging session has ended.
    pub(crate) current: String,
    /// What is known of messaging sessions that have ended once another one follows.
    pub(crate) ended: Vec<(String, String)>,
    /// The conversation's number.
    pub(crate) generation: u32,
    /// Whether a next conversation may be begun when this one is unusable. Not when nothing was
    /// ever said in one that is itself a replacement: that would begin one after the other.
    pub(crate) may_replace: bool,
    /// Routing attributes that can be left out, the longest first.
    pub(crate) optional: Vec<String>,
    /// UTF-16 units of the text or caption.
    pub(crate) units: usize,
    /// The time of planning, in milliseconds.
    pub(crate) at: i64,
}

/// The names of the attributes that can be left out, the longest value first: it is the likeliest to
/// be the one that is too long.
fn optional(attributes: &Map<String, Value>) -> Vec<String> {
    let units = |value: &Value| value.as_str().map_or(0, text::utf16_len);
    let mut named: Vec<(&String, usize)> = attributes
        .iter()
        .filter(|(name, _)| *name != routing::SESSION)
        .map(|(name, value)| (name, units(value)))
        .collect();
    named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    named.into_iter().map(|(name, _)| name.clone()).collect()
}

impl Salesforce {
    /// Begins the conversation, and with it the routing. <https://developer.salesforce.com/docs/service/messaging-api/references/miaw-api-reference?meta=createConversation>
    pub(crate) fn create(
        &self,
        work: &Work,
        lane: &Lane<'_>,
        attributes: Map<String, Value>,
    ) -> Step {
        let id = lane.conversation();
        let optional = optional(&attributes);
        let body = json!({
            "conversationId": id,
            "esDeveloperName": self.settings.es_developer_name,
            "language": self.language(work.session.language.as_deref()),
            "routingAttributes": attributes,
        });
        let mut learn: Vec<(String, Settled)> = vec![
            ("subject".into(), lane.subject.clone().into()),
            ("generation".into(), lane.generation().to_string().into()),
            (facts::BEGUN.into(), lane.now().to_string().into()),
            (
                "routing".into(),
                Value::Object(attributes).to_string().into(),
            ),
        ];
        // What ended with the conversation before is history.
        for (key, _) in lane.untold() {
            learn.push((facts::followed(&key), facts::FOR_SURE.into()));
            learn.push((facts::over(&key), facts::ended_by_us(&key).into()));
        }
        let context = Memo {
            fact: "conversation".into(),
            value: id.clone(),
            learn,
            optional,
            ..Memo::default()
        };
        let call = HttpCall::post("/iamessage/api/v2/conversation", body);
        self.step("conversation.create", Repeat::Keyed, call, lane, &context)
            .claim_as("conversation", id)
            .listening()
    }

    /// Sends a piece outside a handoff, in a conversation that is begun anew where it has to be.
    pub(crate) fn open(&self, work: &Work, known: &Known, lane: &Lane<'_>, piece: Piece) -> Step {
        if known.is("conversation") {
            self.send(
                known,
                lane,
                piece,
                &lane.routing(),
                work.session.language.as_deref(),
            )
        } else {
            self.create(work, lane, lane.routing())
        }
    }

    /// Sends a text or file, or looks for it when its outcome is unknown.
    pub(crate) fn send(
        &self,
        known: &Known,
        lane: &Lane<'_>,
        piece: Piece,
        attributes: &Map<String, Value>,
        language: Option<&str>,
    ) -> Step {
        let Piece {
            fact,
            content,
            mut learn,
        } = piece;
        let id = lane.id("message", &fact);
        let ended = lane.ended();
        let new_session = !ended.is_empty();
        let first = new_session || !lane.used();
        learn.extend(ended.iter().map(|(fact, at)| (fact.clone(), at.into())));
        if new_session {
            learn.push((facts::BEGUN.into(), lane.now().to_string().into()));
            // An end that is told only after the next session has begun would end that one.
            let untold = lane.untold().into_iter();
            learn.extend(
                untold.map(|(key, _)| (facts::over(&key), facts::ended_by_us(&key).into())),
            );
        }
        learn.push(("used".into(), lane.generation().to_string().into()));
        let (fallback, units) = match &content {
            Content::File {
                fallback, caption, ..
            } => (
                Some(fallback.clone()),
                caption.as_deref().map_or(0, text::utf16_len),
            ),
            Content::Text(words) => (None, text::utf16_len(words)),
            Content::Choice { fallback, .. } => (Some(fallback.clone()), 0),
        };
        let optional = if first {
            optional(attributes)
        } else {
            Vec::new()
        };
        let context = Memo {
            fact: fact.clone(),
            value: id.clone(),
            learn,
            fallback,
            new_session,
            current: lane.current(),
            ended,
            generation: lane.generation(),
            may_replace: lane.generation() == 0 || lane.used(),
            optional,
            units,
            at: lane.now(),
        };
        let conversation = lane.conversation();
        if known.unsure(&fact) {
            let call = HttpCall::get(format!("{}/entries", path(&conversation)))
                .query("limit", PAGE.to_string())
                .query("direction", "FromEnd")
                .query("entryTypeFilter", "Message");
            return self
                .step("message.look", Repeat::Safe, call, lane, &context)
                .claim(fact)
                .spend(LIST, conversation);
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
            Content::Text(words) => {
                envelope["message"] = json!({
                    "id": id,
                    "messageType": "StaticContentMessage",
                    "staticContent": { "formatType": "Text", "text": words },
                });
                (
                    "message.send",
                    HttpCall::post(format!("{}/message", path(&conversation)), envelope),
                )
            }
            Content::Choice { offer, option, .. } => {
                envelope["message"] = json!({
                    "id": id,
                    "messageType": "ChoicesResponseMessage",
                    "inReplyToMessageId": offer,
                    "choicesResponse": { "formatType": "Selections", "selectedOptions": [{ "optionIdentifier": option }] },
                });
                (
                    "message.send",
                    HttpCall::post(format!("{}/message", path(&conversation)), envelope),
                )
            }
            Content::File {
                attachment,
                caption,
                ..
            } => {
                envelope["message"] = json!({ "id": id, "fileId": lane.id("file", &fact) });
                if let Some(caption) = caption {
                    envelope["message"]["text"] = caption.into();
                }
                let entry = Part {
                    mime: Some("application/json".into()),
                    ..Part::text("messageEntry", envelope.to_string())
                };
                let media = MediaRef {
                    attachment: *attachment,
                    max_bytes: self.settings.max_file_bytes,
                };
                let mut call = HttpCall::new(Method::Post, format!("{}/file", path(&conversation)));
                call.body = Body::Multipart(vec![entry, Part::file("fileData", media)]);
                ("file.send", call)
            }
        };
        let step = self
            .step(name, Repeat::Blind, call, lane, &context)
            .claim_as(fact, id)
            .spend(PER_CONVERSATION, conversation);
        // The stream may have been let go when the last messaging session ended.
        if new_session { step.listening() } else { step }
    }

    pub(crate) fn step(
        &self,
        name: &'static str,
        repeat: Repeat,
        call: HttpCall,
        lane: &Lane<'_>,
        context: &Memo,
    ) -> Step {
        let call = call.auth(Auth::Customer {
            subject: lane.subject.clone(),
        });
        // A context is plain data; it can always be written.
        Step::new(name, repeat, call).context(serde_json::to_value(context).unwrap_or_default())
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
    format!(
        "/iamessage/api/v2/conversation/{}",
        handoffd_contract::text::encode(conversation)
    )
}
