//! One conversation entry: what it says, whoever told of it.

use handoffd_contract::event::{Activity, RepReply, Routing};
use handoffd_contract::{FrameContent, Inbound, InboundKind, Subject};
use jiff::Timestamp;
use serde_json::Value;

use crate::settings::Settings;
use crate::{facts, payload};

/// A conversation entry, from the stream or from the list.
pub(crate) struct Entry {
    conversation: String,
    pub(crate) id: String,
    pub(crate) kind: String,
    role: String,
    name: Option<String>,
    pub(crate) at: Option<i64>,
    session: Option<String>,
    payload: Value,
}

impl Entry {
    pub(crate) fn of_event(envelope: &Value) -> Option<Entry> {
        let conversation = envelope["conversationId"].as_str()?;
        Entry::of_list(conversation, &envelope["conversationEntry"])
    }

    pub(crate) fn of_list(conversation: &str, entry: &Value) -> Option<Entry> {
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
            role: entry["sender"]["role"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            name: text("senderDisplayName").filter(|name| !name.trim().is_empty()),
            at: at("transcriptedTimestamp").or_else(|| at("clientTimestamp")),
            session: session_id(entry["relatedRecords"].as_array()),
            payload,
        })
    }

    fn heard(&self, hearing: &mut FrameContent, id: String, kind: InboundKind) {
        let about = about(&self.conversation);
        hearing.heard.push(Inbound {
            id,
            subject: about,
            echo: None,
            at: time(self.at),
            kind,
        });
    }

    fn waits(&self, hearing: &mut FrameContent, position: Option<u32>, seconds: Option<u64>) {
        let kind = InboundKind::Queued {
            position,
            wait_seconds: seconds,
        };
        self.heard(hearing, format!("waits/{}", self.id), kind);
    }

    pub(crate) fn hear(&self, s: &Settings, hearing: &mut FrameContent) {
        match self.kind.as_str() {
            "Message" => self.message(s, hearing, &self.id, &self.payload["abstractMessage"]),
            "MessageUpdated" => {
                // The name and form of this event are not confirmed; the finished message is in it.
                let updated = &self.payload["updatedMessage"];
                let inner = &updated["abstractMessage"];
                let message = if inner.is_object() { inner } else { updated };
                let id = updated["id"].as_str().or(message["id"].as_str());
                self.message(s, hearing, id.unwrap_or(&self.id), message);
            }
            "ParticipantChanged" => self.participants(hearing),
            "SessionStatusChanged" => self.status(hearing),
            "RoutingResult" => {
                let record = self.payload["recordId"]
                    .as_str()
                    .filter(|id| id.starts_with("0Mw"));
                if let Some(record) = record {
                    self.session(hearing, record);
                }
                if self.payload["failureType"].as_str().unwrap_or("None") != "None" {
                    self.routing_result(hearing);
                    return;
                }
                let wait = &self.payload["estimatedWaitTime"];
                if let Some(seconds) = wait["estimatedWaitTimeInSeconds"].as_u64()
                    && wait["isEWTRequested"] == true
                {
                    self.waits(hearing, None, Some(seconds));
                }
            }
            // A channel tells the place or the estimated wait, not both.
            // <https://developer.salesforce.com/docs/service/messaging-api/references/about/server-sent-events-structure.html>
            "QueuePosition" => {
                let position = self.payload["position"].as_u64();
                match position.and_then(|position| u32::try_from(position).ok()) {
                    Some(position) => self.waits(hearing, Some(position), None),
                    None => hearing.skipped = Some("a queue position that is no number".into()),
                }
            }
            // A rep's work item also closes when the tab of a session that became inactive is closed,
            // and with after-conversation work, so that by default only the session's own status ends it.
            // <https://developer.salesforce.com/docs/atlas.en-us.api_console.meta/api_console/sforce_api_console_events_omnichannelworkclosed.htm>
            "RoutingWorkResult"
                if s.end_on_work_closed && self.payload["workType"].as_str() == Some("Closed") =>
            {
                if let Some(session) = self.session.as_deref() {
                    ended(hearing, &self.conversation, session, self.at, "Closed");
                }
            }
            "RoutingWorkResult" => self.work_result(hearing),
            "TypingStartedIndicator" | "TypingStoppedIndicator" | "ReadAcknowledgement"
                if s.activity && self.role == "Agent" =>
            {
                self.activity(hearing);
            }
            // Nothing can be said in a conversation that is closed, also where its session is not named:
            // the conversation itself then stands for it.
            "CloseConversation" => {
                let session = self.session.as_deref().unwrap_or(&self.conversation);
                ended(hearing, &self.conversation, session, self.at, "Closed");
            }
            other => hearing.skipped = Some(format!("entry of type {}", short(other))),
        }
    }

    fn message(&self, s: &Settings, hearing: &mut FrameContent, id: &str, message: &Value) {
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
        let shown = payload::shown(id, message);
        if shown.pending {
            hearing.skipped =
                Some("a file that is still being uploaded; its update follows".into());
            return;
        }
        let reply = RepReply {
            target: String::new(),
            message_id: id.to_owned(),
            author: self.name.clone(),
            text: shown.text,
            attachments: shown.attachments,
            options: shown.options,
            template: None,
            quotes: message["inReplyToMessageId"]
                .as_str()
                .filter(|id| !id.is_empty() && id.len() <= 200)
                .map(str::to_owned),
        };
        self.heard(
            hearing,
            format!("message/{id}"),
            InboundKind::Replied(reply),
        );
        if let Some(at) = self.at {
            let fact = ("heard".to_owned(), at.to_string());
            self.heard(
                hearing,
                format!("message/{id}/at"),
                InboundKind::Facts(vec![fact]),
            );
        }
    }

    /// Whether Omni-Channel still looks for a rep. That nobody is there is no error of the call that began
    /// the conversation, so that it is heard here alone.
    fn routing_result(&self, hearing: &mut FrameContent) {
        let failure = self.payload["failureType"].as_str().unwrap_or("None");
        if failure == "None" {
            return;
        }
        let said = |value: &Value| value.as_str().map(short).filter(|text| !text.is_empty());
        let detail = said(&self.payload["failureReason"])
            .or_else(|| said(&self.payload["errorMessages"][0]))
            .or_else(|| said(&self.payload["cancelReason"]))
            .unwrap_or_else(|| short(failure));
        let kind = InboundKind::Routing {
            outcome: Routing::Failed,
            detail: Some(detail),
        };
        self.heard(hearing, format!("routing/{}", self.id), kind);
    }

    /// What a rep did with the work item that Omni-Channel offered.
    fn work_result(&self, hearing: &mut FrameContent) {
        let word = self.payload["workType"].as_str().unwrap_or("unknown");
        let outcome = match word {
            "Declined" => Routing::Declined,
            "Transferred" => Routing::Transferred,
            _ => {
                hearing.skipped = Some(format!("a rep's work item is {}", short(word)));
                return;
            }
        };
        let kind = InboundKind::Routing {
            outcome,
            detail: None,
        };
        self.heard(hearing, format!("routing/{}", self.id), kind);
    }

    fn activity(&self, hearing: &mut FrameContent) {
        let read = self.payload["acknowledgedConversationEntryIdentifier"].as_str();
        let activity = match (self.kind.as_str(), read) {
            ("TypingStartedIndicator", _) => Activity::Typing,
            ("TypingStoppedIndicator", _) => Activity::Stopped,
            (_, Some(_)) => Activity::Read,
            (_, None) => {
                hearing.skipped = Some("a receipt that names no entry".into());
                return;
            }
        };
        let record = read.filter(|id| id.len() <= 200).map(str::to_owned);
        let kind = InboundKind::Activity { activity, record };
        self.heard(hearing, format!("activity/{}", self.id), kind);
    }

    /// A rep who leaves is no end: so do transfers and re-queues look, and routing status
    /// `NEEDS_ROUTING` is that of a conversation that waits for its next rep.
    fn participants(&self, hearing: &mut FrameContent) {
        let changes = self.payload["entries"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for (n, change) in changes.iter().take(20).enumerate() {
            if change["participant"]["role"].as_str() != Some("Agent") {
                continue;
            }
            let rep = match change["operation"].as_str() {
                Some("add") => {
                    let name = change["displayName"]
                        .as_str()
                        .filter(|name| !name.trim().is_empty());
                    Some(name.unwrap_or("an agent").to_owned())
                }
                Some("remove") => None,
                _ => continue,
            };
            self.heard(
                hearing,
                format!("participant/{}/{n}", self.id),
                InboundKind::Assigned { rep },
            );
        }
    }

    fn status(&self, hearing: &mut FrameContent) {
        let status = self.payload["sessionStatus"].as_str().unwrap_or_default();
        let session = self.payload["sessionId"]
            .as_str()
            .map(str::to_owned)
            .or_else(|| self.session.clone());
        let Some(session) = session.filter(|id| !id.is_empty() && id.len() <= 64) else {
            hearing.skipped = Some("a session's status without its id".into());
            return;
        };
        match status {
            "Ended" => ended(hearing, &self.conversation, &session, self.at, status),
            // An inactive session lives for about 24 hours: the customer's next message wakes it, and
            // with tab-based capacity it then waits for a rep again.
            // <https://help.salesforce.com/s/articleView?id=service.livemessage_agent_inactivate_session.htm>
            "New" | "Waiting" | "Active" | "Inactive" => {
                self.session(hearing, &session);
                let fact = (facts::live(&session), self.at.unwrap_or(0).to_string());
                self.heard(
                    hearing,
                    format!("live/{}", self.id),
                    InboundKind::Facts(vec![fact]),
                );
            }
            other => hearing.skipped = Some(format!("session status {}", short(other))),
        }
    }

    /// Which messaging session is the current one; told once for each.
    fn session(&self, hearing: &mut FrameContent, session: &str) {
        let fact = ("session".to_owned(), session.to_owned());
        self.heard(
            hearing,
            format!("session/{session}"),
            InboundKind::Facts(vec![fact]),
        );
    }
}

/// The end of a messaging session, told in several ways of which the first counts.
pub(crate) fn ended(
    hearing: &mut FrameContent,
    conversation: &str,
    session: &str,
    at: Option<i64>,
    word: &str,
) {
    let at_ms = at.unwrap_or(0).to_string();
    let facts = vec![
        (facts::ended(session), at_ms.clone()),
        (facts::over(session), at_ms),
    ];
    let mut add = |id: String, kind: InboundKind, echo: Option<String>| {
        hearing.heard.push(Inbound {
            id,
            subject: about(conversation),
            echo,
            at: time(at),
            kind,
        });
    };
    add(
        format!("ended/{session}/{word}/fact"),
        InboundKind::Facts(facts),
        None,
    );
    // We end sessions too; the engine knows which by the fact that holds this value.
    let echo = Some(facts::ended_by_us(session));
    add(
        format!("ended/{session}"),
        InboundKind::Ended {
            status: Some(word.to_owned()),
        },
        echo,
    );
}

/// The entries were read after messaging sessions had ended: nothing more is to be heard of those.
pub(crate) fn swept(hearing: &mut FrameContent, conversation: &str, facts: Vec<(String, String)>) {
    if !facts.is_empty() {
        hearing.heard.push(Inbound {
            id: "swept".into(),
            subject: about(conversation),
            echo: None,
            at: None,
            kind: InboundKind::Facts(facts),
        });
    }
}

fn about(conversation: &str) -> Subject {
    Subject::Fact {
        name: "conversation".into(),
        value: conversation.to_owned(),
    }
}

fn time(at: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_millisecond(at?).ok()
}

/// A messaging session's record id among related records.
fn session_id(records: Option<&Vec<Value>>) -> Option<String> {
    let ids = records.into_iter().flatten().filter_map(Value::as_str);
    ids.filter(|id| id.starts_with("0Mw") && id.len() <= 64)
        .map(str::to_owned)
        .next()
}

/// Their word, for the operator's log.
fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(60).collect()
}
