//! Conversation threads: read, comment, close, assign. No call creates one.
//! <https://developers.hubspot.com/docs/api-reference/latest/conversations/guide>

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, invalid, malformed, no_route, not_found, only, wrong_method};
use super::inboxes::{ACCOUNT, INBOX, LIVE_CHAT};
use super::store::iso;
use super::{APP_ID, Portal};

/// A thread.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub id: u64,
    pub ticket: u64,
    pub status: &'static str,
    pub assigned: Option<String>,
    pub created: Timestamp,
    pub messages: Vec<Value>,
}

/// How many messages of a thread are kept.
const MAX_MESSAGES: usize = 5_000;

impl Thread {
    fn json(&self, tickets: bool) -> Value {
        let mut shown = json!({
            "id": self.id.to_string(), "createdAt": iso(self.created), "status": self.status, "inboxId": INBOX,
            "originalChannelId": LIVE_CHAT, "originalChannelAccountId": ACCOUNT, "associatedContactId": "0", "spam": false, "archived": false,
        });
        if let Some(actor) = &self.assigned {
            shown["assignedTo"] = json!(actor);
        }
        if tickets {
            shown["threadAssociations"] = json!({"associatedTicketId": self.ticket.to_string()});
        }
        shown
    }
}

impl Portal {
    /// Everything below `…/threads`.
    pub(super) fn thread_calls(
        &mut self,
        now: Timestamp,
        request: &Request,
        rest: &[&str],
    ) -> Answer {
        let scope = if request.method == "GET" {
            "conversations.read"
        } else {
            "conversations.write"
        };
        self.scope(scope)?;
        let tickets = request.param("association") == Some("TICKET");
        match (request.method.as_str(), rest) {
            ("GET", []) => {
                self.params(
                    request,
                    &[
                        "association",
                        "inboxId",
                        "threadStatus",
                        "limit",
                        "after",
                        "associatedTicketId",
                        "associatedContactId",
                        "sort",
                        "latestMessageTimestampAfter",
                        "archived",
                    ],
                )?;
                let wanted = request.param("associatedTicketId");
                let status = request.param("threadStatus");
                let found = self.threads.values().filter(|thread| {
                    wanted.is_none_or(|ticket| thread.ticket.to_string() == ticket)
                        && status.is_none_or(|status| thread.status == status)
                });
                let results: Vec<Value> =
                    found.take(500).map(|thread| thread.json(tickets)).collect();
                Ok(Response::json(200, &json!({"results": results})))
            }
            ("GET", [id]) => {
                self.params(request, &["association", "archived", "property"])?;
                Ok(Response::json(200, &self.thread(id)?.json(tickets)))
            }
            ("PATCH", [id]) => {
                let body = self.body(request)?;
                only(&body, &["status", "archived"])?;
                let status = match body["status"].as_str() {
                    Some("CLOSED") => "CLOSED",
                    Some("OPEN") => "OPEN",
                    _ => return Err(invalid("status is not one of the allowed values")),
                };
                let thread = self.thread(id)?;
                thread.status = status;
                Ok(Response::json(200, &thread.json(false)))
            }
            ("PUT", [id, "assignee"]) => {
                let body = self.body(request)?;
                only(&body, &["actorId"])?;
                let actor = body["actorId"]
                    .as_str()
                    .filter(|actor| actor.starts_with("A-"))
                    .map(str::to_owned);
                let actor = actor.ok_or_else(|| invalid("actorId must be an agent, A-…"))?;
                let thread = self.thread(id)?;
                thread.assigned = Some(actor);
                Ok(Response::json(200, &thread.json(false)))
            }
            ("GET", [id, "messages"]) => {
                self.params(request, &["limit", "after", "sort", "property", "archived"])?;
                let limit: usize = request
                    .param("limit")
                    .unwrap_or("100")
                    .parse()
                    .map_err(|_| invalid("limit is not a number"))?;
                if !(1..=500).contains(&limit) {
                    return Err(invalid("limit must be between 1 and 500"));
                }
                let rising = request.param("sort") == Some("createdAt");
                let mut results = self.thread(id)?.messages.clone();
                if !rising {
                    results.reverse();
                }
                results.truncate(limit);
                Ok(Response::json(200, &json!({"results": results})))
            }
            ("GET", [id, "messages", message]) => {
                let thread = self.thread(id)?;
                let found = thread
                    .messages
                    .iter()
                    .find(|known| known["id"] == json!(message));
                Ok(Response::json(
                    200,
                    found.ok_or_else(|| not_found("No message with this id"))?,
                ))
            }
            ("POST", [id, "messages"]) => {
                let body = self.body(request)?;
                let message = self.say(now, &body)?;
                let thread = self.thread(id)?;
                let mut message = message;
                message["conversationsThreadId"] = json!(id);
                thread.messages.push(message.clone());
                if thread.messages.len() > MAX_MESSAGES {
                    thread.messages.remove(0);
                }
                Ok(Response::json(201, &message))
            }
            (_, [] | [_] | [_, "assignee" | "messages"]) => Err(wrong_method()),
            _ => Err(no_route()),
        }
    }

    fn thread(&mut self, id: &str) -> Result<&mut Thread, Response> {
        let id: Option<u64> = id.parse().ok();
        id.and_then(|id| self.threads.get_mut(&id))
            .ok_or_else(|| not_found("No thread with this id"))
    }

    /// A comment, or a public message; an app's comment is the app's, whoever it names.
    fn say(&mut self, now: Timestamp, body: &Value) -> Result<Value, Response> {
        let kind = body["type"].as_str().unwrap_or_default();
        let allowed: &[&str] = match kind {
            "COMMENT" => &["type", "text", "richText", "attachments", "senderActorId"],
            "MESSAGE" => &[
                "type",
                "text",
                "richText",
                "attachments",
                "senderActorId",
                "channelId",
                "channelAccountId",
                "recipients",
                "subject",
            ],
            _ => return Err(invalid("type must be MESSAGE or COMMENT")),
        };
        only(body, allowed)?;
        if !body["text"].is_string() || !body["attachments"].is_array() {
            return Err(malformed("text and attachments are required"));
        }
        for attachment in body["attachments"].as_array().into_iter().flatten() {
            only(
                attachment,
                &["type", "fileId", "fileUsageType", "quickReplies"],
            )?;
        }
        self.message_count += 1;
        let mut message = json!({
            "id": format!("{:08x}-0000-4000-8000-000000000000", self.message_count), "type": kind, "createdAt": iso(now),
            "createdBy": format!("I-{APP_ID}"), "client": {"clientType": "INTEGRATION", "integrationAppId": APP_ID},
            "senders": [{"actorId": format!("I-{APP_ID}")}], "recipients": [], "archived": false, "text": body["text"],
            "richText": body["richText"], "attachments": body["attachments"],
        });
        if kind == "MESSAGE" {
            let needed = [
                "senderActorId",
                "channelId",
                "channelAccountId",
                "recipients",
            ];
            if let Some(name) = needed.iter().find(|name| body[**name].is_null()) {
                return Err(malformed(format!("{name} is required")));
            }
            if !body["senderActorId"]
                .as_str()
                .is_some_and(|actor| actor.starts_with("A-"))
            {
                return Err(invalid("senderActorId must be an agent, A-…"));
            }
            for (name, value) in [
                ("direction", json!("OUTGOING")),
                ("createdBy", body["senderActorId"].clone()),
                ("channelId", body["channelId"].clone()),
                ("status", json!({"statusType": "SENT"})),
                ("truncationStatus", json!("NOT_TRUNCATED")),
            ] {
                message[name] = value;
            }
        }
        Ok(message)
    }
}
