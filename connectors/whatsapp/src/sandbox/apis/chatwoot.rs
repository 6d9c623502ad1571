//! Chatwoot's account 1 with a WhatsApp inbox; each customer has one conversation.
//! <https://developers.chatwoot.com/api-reference/messages/create-new-message>

use handoffd_contract::sandbox::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::hooks::Signed;
use super::{Answer, Message, Meta, file, text, unexpected};

const ACCOUNT: i64 = 1;
const INBOX: i64 = 17;
/// The first conversation's number.
const FIRST: usize = 101;
/// Numbers of messages begin behind this one.
const MESSAGES: u64 = 99_000;

fn refused(status: u16, words: &str) -> (u16, Value) {
    (status, json!({"error": words}))
}

impl Meta {
    pub(super) fn chatwoot(&mut self, now: Timestamp, request: &Request) -> Answer {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        if !self.shows_key(request) {
            return Err(refused(401, "Invalid Access Token"));
        }
        match (request.method.as_str(), &path[..]) {
            ("GET", ["api", "v1", "profile"]) => Ok((
                200,
                json!({"id": 4, "name": "handoffd", "available_name": "handoffd"}),
            )),
            (
                "POST",
                [
                    "api",
                    "v1",
                    "accounts",
                    "1",
                    "conversations",
                    conversation,
                    "messages",
                ],
            ) => {
                let phone: Option<usize> = conversation.parse().ok();
                let phone = phone.and_then(|number| number.checked_sub(FIRST));
                let phone = phone.filter(|phone| *phone < self.phones.0.len());
                let phone = phone.ok_or_else(|| refused(404, "Resource could not be found"))?;
                self.chatwoot_send(now, request, phone)
            }
            _ => Err(refused(404, "Resource could not be found")),
        }
    }

    fn chatwoot_send(&mut self, now: Timestamp, request: &Request, phone: usize) -> Answer {
        let mut attachment = None;
        let body = match request.multipart() {
            Some(parts) => {
                let mut body = json!({});
                for part in parts {
                    match part.name.as_str() {
                        "attachments[]" => attachment = Some(part),
                        name => body[name] = part.text().into(),
                    }
                }
                body
            }
            None => request
                .json()
                .ok_or_else(|| refused(400, "the body is no JSON"))?,
        };
        let known = [
            "content",
            "message_type",
            "private",
            "content_attributes",
            "template_params",
        ];
        if unexpected(&body, &known).is_some() || body["message_type"] != "outgoing" {
            return Err(refused(422, "Validation failed"));
        }
        if body["private"] != false && body["private"] != "false" {
            return Err(refused(
                422,
                "Validation failed: a private note reaches nobody",
            ));
        }
        if let Some(code) = self.refusal() {
            let status = u16::try_from(code).unwrap_or(500);
            return Err(refused(status, "Switched on in the sandbox."));
        }
        let content = body["content"]
            .as_str()
            .filter(|content| !content.is_empty());
        let shown = match (&attachment, content) {
            (Some(part), caption) => {
                let mime = part.mime.as_deref().unwrap_or_default();
                let name = part.file_name.as_deref().unwrap_or_default();
                let kind = mime
                    .split('/')
                    .next()
                    .filter(|kind| ["image", "audio", "video"].contains(kind));
                file(kind.unwrap_or("document"), mime, name, caption, &part.bytes)
            }
            (None, Some(content)) => text(content),
            (None, None) => return Err(refused(422, "Content can't be blank")),
        };
        self.made += 1;
        let number = MESSAGES + self.made;
        let id = number.to_string();
        let answer = json!({"id": number, "content": content, "inbox_id": INBOX, "conversation_id": FIRST + phone,
            "message_type": 1, "content_type": "text", "status": "sent", "content_attributes": {},
            "created_at": now.as_second(), "private": false, "source_id": null,
            "sender": {"id": 4, "name": "handoffd", "type": "user"}});
        // Its copy is on its way before the answer is.
        let content = content.unwrap_or_default();
        let mut copy = self.chatwoot_message(phone, number, "outgoing", content, None, "sent");
        if let Some(part) = &attachment {
            let kind = shown["type"].as_str().filter(|kind| *kind != "document");
            copy["attachments"] = json!([{"id": number, "file_type": kind.unwrap_or("file"),
                "data_url": format!("https://chatwoot.example.com/blobs/{number}"), "file_size": part.bytes.len()}]);
        }
        self.chatwoot_event(now, "message_created", copy);
        let digits = self.digits_of(phone);
        self.accept(
            now,
            Message {
                to: digits,
                id,
                reference: None,
                free: true,
                shown,
                callback: None,
            },
        );
        Ok((200, answer))
    }

    pub(super) fn chatwoot_status(
        &mut self,
        due: Timestamp,
        phone: usize,
        id: &str,
        word: &str,
        fault: Option<&Fault>,
    ) {
        let number: u64 = id.parse().unwrap_or_default();
        let source = format!("wamid.{id}");
        let source = Some(source.as_str()).filter(|_| fault.is_none());
        let mut message = self.chatwoot_message(phone, number, "outgoing", "…", source, word);
        if let Some(fault) = fault {
            let words = format!("{}: {}", fault.code, fault.title());
            message["content_attributes"]["external_error"] = words.into();
        }
        self.chatwoot_event(due, "message_updated", message);
    }

    pub(super) fn chatwoot_text(&mut self, now: Timestamp, phone: usize, id: &str, text: &str) {
        self.made += 1;
        let number = MESSAGES + self.made;
        let mut message = self.chatwoot_message(phone, number, "incoming", text, Some(id), "sent");
        message["created_at"] = now.to_string().into();
        self.chatwoot_event(now, "message_created", message);
    }

    /// A message as webhooks tell of it.
    fn chatwoot_message(
        &self,
        phone: usize,
        number: u64,
        kind: &str,
        content: &str,
        source: Option<&str>,
        status: &str,
    ) -> Value {
        let customer = &self.phones.0[phone];
        let digits = customer.wa_id.clone().unwrap_or_default();
        let sender = json!({"id": 8_800 + phone, "name": customer.name, "phone_number": format!("+{digits}")});
        let by = match kind {
            "incoming" => sender.clone(),
            _ => json!({"id": 4, "name": "handoffd", "type": "user"}),
        };
        let word = i32::from(kind != "incoming");
        json!({"account": {"id": ACCOUNT, "name": "Shop"}, "content": content, "content_type": "text",
            "content_attributes": {}, "message_type": kind, "id": number, "source_id": source, "private": false,
            "inbox": {"id": INBOX, "name": "WhatsApp"}, "sender": by,
            "conversation": {"id": FIRST + phone, "inbox_id": INBOX, "channel": "Channel::Whatsapp", "status": "open",
                "contact_inbox": {"source_id": digits}, "meta": {"sender": sender},
                "messages": [{"id": number, "account_id": ACCOUNT, "message_type": word, "status": status}]}})
    }

    fn chatwoot_event(&mut self, due: Timestamp, event: &str, mut body: Value) {
        body["event"] = event.into();
        if body.get("created_at").is_none() {
            body["created_at"] = due.to_string().into();
        }
        self.hooks
            .push_as(due, None, Signed::Chatwoot, body.to_string().into_bytes());
    }
}
