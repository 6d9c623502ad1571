//! The queue, and who joins, leaves and reads: reps and bots.

use jiff::Timestamp;
use serde_json::json;

use super::Org;
use super::switches::QueueTold;
use super::thread::{Conversation, Entry, Sender, system};

/// The sender of what a bot says.
pub(super) fn bot() -> Sender {
    Sender {
        role: "Chatbot",
        app: "chatbot",
        subject: "0XxHs0000000001".into(),
        name: "Bot".into(),
    }
}

impl Org {
    /// The conversation's place among those that wait; the first is 1.
    pub(super) fn place(&self, at: usize) -> Option<usize> {
        let waits = |c: &Conversation| {
            let session = c.sessions.last();
            session.is_some_and(|session| session.status == "Waiting")
        };
        let here = self.conversations.get(at).filter(|c| waits(c))?;
        let since = |c: &Conversation| c.sessions.last().map(|session| session.started);
        let before = self.conversations.iter().enumerate();
        let before = before
            .filter(|(n, c)| waits(c) && (since(c), *n) < (since(here), at))
            .count();
        Some(before + 1)
    }

    /// Tells everybody who waits and whose place has changed, where the channel tells places.
    pub(super) fn tell_places(&mut self, now: Timestamp) {
        if self.switches.queue != QueueTold::Position {
            return;
        }
        let sessions = self.conversations.iter().map(|c| c.sessions.last());
        let mut waiting: Vec<(Timestamp, usize)> = sessions
            .enumerate()
            .filter_map(|(at, session)| {
                Some((session.filter(|s| s.status == "Waiting")?.started, at))
            })
            .collect();
        waiting.sort_unstable();
        for (n, (_, at)) in waiting.into_iter().enumerate() {
            let place = n + 1;
            let conversation = &mut self.conversations[at];
            let before = conversation.place.replace(place);
            let session = conversation.sessions.last().map(|s| s.id.clone());
            if before == Some(place) {
                continue;
            }
            let payload = json!({
                "entryType": "QueuePosition", "id": self.uuid(), "pendingServiceRoutingId": self.record("0JR"),
                "workItemId": session, "position": place,
            });
            let event = "CONVERSATION_QUEUE_POSITION";
            self.say(now, at, event, "QueuePosition", system(), payload);
        }
    }

    /// A rep has got or read what the end user wrote last.
    pub(super) fn receipt(
        &mut self,
        now: Timestamp,
        at: usize,
        rep: Sender,
        read: bool,
    ) -> Result<String, String> {
        let written = |e: &&Entry| e.kind == "Message" && e.sender.role == "EndUser";
        let entries = self.conversations[at].entries.iter().rev();
        let id = entries.clone().find(written).map(|e| e.id.clone());
        let id = id.ok_or("the end user has written nothing")?;
        let (event, kind, word) = if read {
            (
                "CONVERSATION_READ_ACKNOWLEDGEMENT",
                "ReadAcknowledgement",
                "Read",
            )
        } else {
            (
                "CONVERSATION_DELIVERY_ACKNOWLEDGEMENT",
                "DeliveryAcknowledgement",
                "Delivery",
            )
        };
        let payload = json!({
            "entryType": kind, "id": self.uuid(), "acknowledgedConversationEntryIdentifier": id,
            "acknowledgementTimestamp": now.as_millisecond(),
            "recipient": { "role": rep.role, "appType": rep.app, "subject": rep.subject },
        });
        self.conversations[at].receipts.push((id, word.to_owned()));
        Ok(self.say(now, at, event, kind, rep, payload))
    }

    /// A bot joins or leaves.
    pub(super) fn bot(&mut self, now: Timestamp, at: usize, joins: bool) {
        if self.conversations[at].bot != joins {
            self.conversations[at].bot = joins;
            let operation = if joins { "add" } else { "remove" };
            self.joins(now, at, operation, &bot());
        }
    }

    /// A rep joins or leaves.
    pub(super) fn participant(
        &mut self,
        now: Timestamp,
        at: usize,
        operation: &str,
        name: &str,
        user: &str,
    ) {
        let rep = Sender {
            role: "Agent",
            app: "agent",
            subject: user.to_owned(),
            name: name.to_owned(),
        };
        self.joins(now, at, operation, &rep);
    }

    fn joins(&mut self, now: Timestamp, at: usize, operation: &str, who: &Sender) {
        let client = format!("client-{}", who.subject);
        let payload = json!({
            "entryType": "ParticipantChanged", "id": self.uuid(),
            "entries": [{
                "operation": operation, "menuMetadata": null, "displayName": who.name,
                "participant": { "role": who.role, "appType": who.app, "subject": who.subject, "clientIdentifier": client },
            }],
        });
        self.say(
            now,
            at,
            "CONVERSATION_PARTICIPANT_CHANGED",
            "ParticipantChanged",
            system(),
            payload,
        );
    }
}
