//! A conversation, its messaging sessions and its entries, and how each becomes an event.

use handoffd_contract::sandbox::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::switches::{Capacity, QueueTold};
use super::{CHANNEL, Org, error};

const MAX_ENTRIES: usize = 5_000;
/// How long a session stays inactive before Salesforce ends it.
const INACTIVE_LASTS: SignedDuration = SignedDuration::from_hours(24);

/// A conversation of one end user.
pub(super) struct Conversation {
    pub(super) id: String,
    /// The end user's subject.
    pub(super) owner: String,
    pub(super) language: Option<String>,
    pub(super) attributes: Map<String, Value>,
    pub(super) started: Timestamp,
    pub(super) closed: Option<Timestamp>,
    pub(super) routing: &'static str,
    /// The rep in the conversation: name and user id.
    pub(super) agent: Option<(String, String)>,
    pub(super) sessions: Vec<Session>,
    pub(super) entries: Vec<Entry>,
    /// Receipts: (entry, receipt). Of the end user's side for others' entries and its own, and of reps
    /// for the end user's.
    pub(super) receipts: Vec<(String, String)>,
    /// Since when the end user types.
    pub(super) typing: Option<Timestamp>,
    /// The place in the queue that was told last.
    pub(super) place: Option<usize>,
    /// A bot is in the conversation.
    pub(super) bot: bool,
}

/// A messaging session.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) status: &'static str,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) attributes: Map<String, Value>,
}

impl Session {
    pub(super) fn open(&self) -> bool {
        matches!(self.status, "New" | "Waiting" | "Active" | "Inactive")
    }
}

/// Who an entry is from.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) role: &'static str,
    pub(super) app: &'static str,
    pub(super) subject: String,
    pub(super) name: String,
}

/// One entry. An internal note is kept here too, and is in no list and on no stream.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) sender: Sender,
    pub(super) payload: Value,
    pub(super) at: Timestamp,
    pub(super) session: Option<String>,
    /// A customer's file as the rep sees it.
    pub(super) file: Option<Value>,
}

/// The kind of an internal note.
pub(super) const NOTE: &str = "InternalNote";

impl Conversation {
    /// The messaging session that is not over.
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        self.sessions.last_mut().filter(|session| session.open())
    }

    /// An entry as the list and the stream write it.
    pub(super) fn entry_json(entry: &Entry, payload: Value) -> Value {
        let at = entry.at.as_millisecond();
        json!({
            "senderDisplayName": entry.sender.name,
            "identifier": entry.id,
            "entryType": entry.kind,
            "entryPayload": payload,
            "sender": {
                "role": entry.sender.role, "appType": entry.sender.app, "subject": entry.sender.subject,
                "clientIdentifier": format!("client-{}", entry.sender.role),
            },
            "contextParamMap": {},
            "visibilityStrategy": "None",
            "transcriptedTimestamp": at,
            "relatedRecords": entry.session.iter().collect::<Vec<_>>(),
            "clientTimestamp": at,
            "clientDuration": 0,
        })
    }
}

/// The sender of what Salesforce itself says.
pub(super) fn system() -> Sender {
    Sender {
        role: "System",
        app: "conversation",
        subject: "005Hs0000000001".into(),
        name: "Automated Process".into(),
    }
}

impl Org {
    /// The conversation of this id, if it is this end user's and not closed.
    pub(super) fn owned(&self, id: &str, subject: &str) -> Result<usize, Response> {
        let Some(at) = self.conversations.iter().position(|c| c.id == id) else {
            return Err(error(404, "NOT_FOUND", "The conversation doesn't exist."));
        };
        let conversation = &self.conversations[at];
        if conversation.owner != subject {
            return Err(error(
                403,
                "FORBIDDEN",
                "The conversation belongs to another end user.",
            ));
        }
        if conversation.closed.is_some() {
            return Err(error(403, "FORBIDDEN", "The conversation is closed."));
        }
        Ok(at)
    }

    /// Adds an entry and puts it on the end user's streams.
    pub(super) fn say(
        &mut self,
        now: Timestamp,
        at: usize,
        event: &str,
        kind: &'static str,
        sender: Sender,
        payload: Value,
    ) -> String {
        let id = payload["id"]
            .as_str()
            .map(str::to_owned)
            .unwrap_or_else(|| self.uuid());
        let conversation = &mut self.conversations[at];
        let entry = Entry {
            id: id.clone(),
            kind,
            sender,
            payload,
            at: now,
            session: conversation
                .sessions
                .last()
                .map(|session| session.id.clone()),
            file: None,
        };
        if kind != NOTE {
            let data = json!({
                "channelPlatformKey": "b0e10000-0000-4000-8000-000000000001",
                "channelType": "embedded_messaging",
                "channelAddressIdentifier": CHANNEL,
                "conversationId": conversation.id,
                "conversationEntry": Conversation::entry_json(&entry, entry.payload.to_string().into()),
            });
            let owner = conversation.owner.clone();
            conversation.entries.push(entry);
            self.publish(&owner, event, data.to_string());
        } else {
            conversation.entries.push(entry);
        }
        let entries = &mut self.conversations[at].entries;
        if entries.len() > MAX_ENTRIES {
            entries.remove(0);
        }
        id
    }

    /// Begins a messaging session and routes it.
    pub(super) fn begin(&mut self, now: Timestamp, at: usize, attributes: Map<String, Value>) {
        let id = self.record("0Mw");
        let session = Session {
            id: id.clone(),
            status: "Waiting",
            started: now,
            ended: None,
            attributes,
        };
        let conversation = &mut self.conversations[at];
        conversation.sessions.push(session);
        conversation.routing = "NEEDS_ROUTING";
        self.routed(now, at, &id, "Initial", "None");
        self.status(now, at, "Waiting", "New", None);
    }

    /// The rep is gone and the session waits for another one.
    pub(super) fn requeue(&mut self, now: Timestamp, at: usize) {
        let Some((session, before)) = self.conversations[at]
            .session()
            .map(|session| (session.id.clone(), session.status))
        else {
            return;
        };
        self.conversations[at].routing = "NEEDS_ROUTING";
        if let Some((name, user)) = self.conversations[at].agent.take() {
            self.participant(now, at, "remove", &name, &user);
        }
        self.routed(now, at, &session, "Initial", "None");
        self.status(now, at, "Waiting", before, None);
    }

    /// The customer wrote into an inactive session: with tab-based capacity it is routed again, with
    /// status-based capacity it stays with its rep.
    /// <https://help.salesforce.com/s/articleView?id=service.livemessage_agent_inactivate_session.htm>
    pub(super) fn wake(&mut self, now: Timestamp, at: usize) {
        match self.switches.capacity {
            Capacity::Tab => self.requeue(now, at),
            Capacity::Status => self.status(now, at, "Active", "Inactive", None),
        }
    }

    /// Ends the sessions that have been inactive for 24 hours.
    /// <https://help.salesforce.com/s/articleView?id=service.messaging_auto_end.htm>
    pub(super) fn end_inactive(&mut self, now: Timestamp) {
        let due: Vec<String> = self
            .inactive
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= INACTIVE_LASTS)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.inactive.remove(&id);
            if let Some(at) = self.conversations.iter().position(|c| c.id == id) {
                self.end(now, at, "System");
            }
        }
    }

    /// A routing result, which the router writes.
    pub(super) fn routed(
        &mut self,
        now: Timestamp,
        at: usize,
        session: &str,
        kind: &str,
        failure: &str,
    ) {
        let wait = match self.switches.queue {
            QueueTold::Wait => {
                let place = self.place(at).unwrap_or(1);
                json!({ "isEWTRequested": true, "estimatedWaitTimeInSeconds": place * 120 })
            }
            QueueTold::Position | QueueTold::Nothing => json!({ "isEWTRequested": false }),
        };
        let payload = json!({
            "entryType": "RoutingResult", "id": self.uuid(), "recordId": session, "failureType": failure,
            "routingType": kind, "failureReason": if failure == "None" { Value::Null } else { "No agents are available".into() },
            "errorMessages": [], "pendingServiceRoutingId": self.record("0JR"),
            "estimatedWaitTime": wait,
            "isExternallyRouted": false, "cancelReason": null,
            "routingConfigurationDetails": { "routingConfigurationType": "QUEUE", "queueId": "00GHs0000000001" },
        });
        let router = Sender {
            role: "Router",
            app: "conversation",
            ..system()
        };
        self.say(
            now,
            at,
            "CONVERSATION_ROUTING_RESULT",
            "RoutingResult",
            router,
            payload,
        );
    }

    pub(super) fn work(&mut self, now: Timestamp, at: usize, kind: &str) {
        let payload =
            json!({ "entryType": "RoutingWorkResult", "id": self.uuid(), "workType": kind });
        self.say(
            now,
            at,
            "CONVERSATION_ROUTING_WORK_RESULT",
            "RoutingWorkResult",
            system(),
            payload,
        );
    }

    /// Gives the current messaging session a status and tells of it.
    pub(super) fn status(
        &mut self,
        now: Timestamp,
        at: usize,
        status: &'static str,
        before: &str,
        by: Option<&str>,
    ) {
        let entry = self.uuid();
        let conversation = &mut self.conversations[at];
        let Some(session) = conversation.sessions.last_mut() else {
            return;
        };
        session.status = status;
        if status != "Waiting" {
            conversation.place = None;
        }
        if status == "Ended" {
            session.ended = Some(now);
        }
        if status == "Inactive" {
            self.inactive.insert(conversation.id.clone(), now);
        } else {
            self.inactive.remove(&conversation.id);
        }
        let payload = json!({
            "entryType": "SessionStatusChanged", "id": entry, "sessionId": session.id,
            "conversationIdentifier": conversation.id, "channelAddressIdentifier": CHANNEL,
            "sessionStatus": status, "sessionStatusPrev": before,
            "sessionStartTime": session.started.as_millisecond(),
            "sessionEndTime": session.ended.map(Timestamp::as_millisecond),
            "sessionEndedByRole": by,
        });
        self.say(
            now,
            at,
            "CONVERSATION_SESSION_STATUS_CHANGED",
            "SessionStatusChanged",
            system(),
            payload,
        );
        self.tell_places(now);
    }

    /// Ends the current messaging session: every sign of it that the API gives.
    pub(super) fn end(&mut self, now: Timestamp, at: usize, by: &str) {
        let before = self.conversations[at]
            .session()
            .map_or("Active", |s| s.status);
        self.work(now, at, "Closed");
        self.conversations[at].routing = "NEEDS_ROUTING";
        if let Some((name, user)) = self.conversations[at].agent.take() {
            self.participant(now, at, "remove", &name, &user);
        }
        self.status(now, at, "Ended", before, Some(by));
    }
}
