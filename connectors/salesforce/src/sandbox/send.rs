//! Texts and files from the end user.
//! <https://developer.salesforce.com/docs/service/messaging-api/references/miaw-api-reference?meta=sendMessage>

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::switches::{EndedSession, MessageRepeat};
use super::thread::Sender;
use super::{Org, bad, body, error, is_v4, too_many, unknown};

const MAX_FILE: usize = 5 * 1024 * 1024;
const ENVELOPE: &[&str] = &[
    "message",
    "esDeveloperName",
    "isNewMessagingSession",
    "routingAttributes",
    "language",
];

impl Org {
    pub(super) fn message(&mut self, now: Timestamp, request: &Request, at: usize) -> Response {
        let asked = match body(request, ENVELOPE) {
            Ok(asked) => asked,
            Err(response) => return response,
        };
        let message = &asked["message"];
        let content = match message["messageType"].as_str() {
            Some("StaticContentMessage") => "staticContent",
            Some("ChoicesResponseMessage") => "choicesResponse",
            Some("FormResponseMessage") => "formResponse",
            _ => {
                return bad(
                    "End users can send only StaticContentMessage, ChoicesResponseMessage and FormResponseMessage.",
                );
            }
        };
        if let Some(name) = unknown(
            message,
            &["id", "messageType", "inReplyToMessageId", content],
        ) {
            return bad(format!("Unrecognized property: message.{name}"));
        }
        if content == "staticContent" {
            let text = &message["staticContent"];
            if let Some(name) = unknown(text, &["formatType", "text"]) {
                return bad(format!("Unrecognized property: staticContent.{name}"));
            }
            let words = text["text"].as_str().unwrap_or("");
            if text["formatType"] != "Text" || words.is_empty() {
                return bad("Specify a staticContent of formatType Text with a text.");
            }
            if self.is_too_long(words) {
                return bad("The text exceeds its maximum length.");
            }
        }
        if content == "choicesResponse"
            && let Some(answer) = self.choice(at, message)
        {
            return answer;
        }
        if let Some(answer) = self.session_for(now, at, &asked) {
            return answer;
        }
        let id = message["id"].as_str().unwrap_or_default().to_owned();
        let mut said = message.clone();
        said["references"] = json!([]);
        let payload = json!({ "entryType": "Message", "id": id, "abstractMessage": said, "messageReason": null });
        let sender = self.guest(at);
        self.conversations[at].typing = None;
        self.say(now, at, "CONVERSATION_MESSAGE", "Message", sender, payload);
        accepted(&id, now)
    }

    /// What is wrong with a choice: it answers a message of this conversation that offers the option.
    /// <https://developer.salesforce.com/docs/service/messaging-api/references/about/message-types-payloads-choicesmessage.md>
    fn choice(&self, at: usize, message: &Value) -> Option<Response> {
        if self.switches.choices_refused {
            return Some(bad("The choice isn't valid."));
        }
        let response = &message["choicesResponse"];
        if let Some(name) = unknown(response, &["formatType", "selectedOptions"]) {
            return Some(bad(format!(
                "Unrecognized property: choicesResponse.{name}"
            )));
        }
        if response["formatType"] != "Selections" {
            return Some(bad("Specify a choicesResponse of formatType Selections."));
        }
        let offered = message["inReplyToMessageId"].as_str();
        let offered = self.conversations[at]
            .entries
            .iter()
            .find(|entry| Some(entry.id.as_str()) == offered)
            .map(|entry| &entry.payload["abstractMessage"]["choices"]["optionItems"]);
        let Some(offered) = offered.and_then(Value::as_array) else {
            return Some(bad(
                "Specify the inReplyToMessageId of a message with choices.",
            ));
        };
        let chosen = response["selectedOptions"].as_array();
        let is_offered = |one: &Value| {
            let id = &one["optionIdentifier"];
            unknown(one, &["optionIdentifier"]).is_none()
                && offered.iter().any(|item| item["optionIdentifier"] == *id)
        };
        match chosen {
            Some(chosen) if !chosen.is_empty() && chosen.iter().all(is_offered) => None,
            _ => Some(bad("Specify selectedOptions that the message offers.")),
        }
    }

    pub(super) fn file(&mut self, now: Timestamp, request: &Request, at: usize) -> Response {
        let Some(parts) = request.multipart() else {
            return error(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "Set the Content-Type to multipart/form-data.",
            );
        };
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        let (Some(entry), Some(file)) = (part("messageEntry"), part("fileData")) else {
            return bad("Specify the parts messageEntry and fileData.");
        };
        if parts.len() != 2 {
            return bad("Specify the parts messageEntry and fileData, and no other.");
        }
        let Some(asked) = serde_json::from_slice::<Value>(&entry.bytes)
            .ok()
            .filter(Value::is_object)
        else {
            return bad("The part messageEntry isn't valid JSON.");
        };
        let message = &asked["message"];
        let stray = unknown(&asked, ENVELOPE)
            .or_else(|| unknown(message, &["id", "fileId", "text", "inReplyToMessageId"]));
        if let Some(name) = stray {
            return bad(format!("Unrecognized property: {name}"));
        }
        let file_id = message["fileId"].as_str().unwrap_or("").to_owned();
        if !is_v4(&file_id) {
            return bad("Specify the fileId in UUID format. The UUID must be in lowercase.");
        }
        if self.is_too_long(message["text"].as_str().unwrap_or("")) {
            return bad("The text exceeds its maximum length.");
        }
        if !self.switches.attachments {
            return bad("Attachments aren't enabled for the messaging channel.");
        }
        if file.bytes.len() > MAX_FILE {
            return error(413, "PAYLOAD_TOO_LARGE", "The file exceeds 5 MB.");
        }
        let name = file.file_name.clone().unwrap_or_default();
        let mime = file.mime.clone().unwrap_or_default();
        let taken = |kind: &String| {
            *kind == mime || (kind.ends_with('/') && mime.starts_with(kind.as_str()))
        };
        if name.is_empty() || !self.switches.file_types.iter().any(taken) {
            return error(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "The file type isn't allowed.",
            );
        }
        if let Some(answer) = self.session_for(now, at, &asked) {
            return answer;
        }
        let id = message["id"].as_str().unwrap_or_default().to_owned();
        let payload = json!({
            "entryType": "Message", "id": id, "messageReason": null,
            "abstractMessage": { "messageType": "StaticContentMessage", "id": id, "inReplyToMessageId": null, "references": [],
                "staticContent": { "formatType": "Attachments", "text": message["text"], "attachments": [{
                    "name": name, "id": file_id, "mimeType": mime, "url": null, "referenceId": null, "attachmentUploadResult": null,
                }]}},
        });
        let mut seen = json!({ "name": name, "type": mime, "bytes": file.bytes.len(), "checksum": checksum(&file.bytes) });
        if mime == "text/plain" {
            seen["content"] = file.text().into();
        }
        let sender = self.guest(at);
        self.conversations[at].typing = None;
        self.say(now, at, "CONVERSATION_MESSAGE", "Message", sender, payload);
        if let Some(entry) = self.conversations[at].entries.last_mut() {
            entry.file = Some(seen);
        }
        accepted(&id, now)
    }

    fn is_too_long(&self, words: &str) -> bool {
        let limit = self.switches.text_limit;
        limit.is_some_and(|limit| words.chars().count() > limit)
    }

    /// What texts and files have in common: id, repeats, rate, and the messaging session that the
    /// message goes to. The answer, unless the message is to be taken.
    fn session_for(&mut self, now: Timestamp, at: usize, asked: &Value) -> Option<Response> {
        let id = asked["message"]["id"].as_str().unwrap_or("");
        if !is_v4(id) {
            return Some(bad(
                "Specify the id in UUID format. The UUID must be in lowercase.",
            ));
        }
        let attributes = match self.common(asked) {
            Ok(attributes) => attributes,
            Err(response) => return Some(response),
        };
        let new = match &asked["isNewMessagingSession"] {
            Value::Null => false,
            Value::Bool(new) => *new,
            _ => return Some(bad("Specify isNewMessagingSession as a boolean.")),
        };
        let whole = asked["routingAttributes"].is_object() && asked["language"].is_string();
        if new && !whole && self.switches.new_session_needs_attributes {
            return Some(bad(
                "Specify routingAttributes and language with isNewMessagingSession.",
            ));
        }
        if self.conversations[at]
            .entries
            .iter()
            .any(|entry| entry.id == id)
        {
            return Some(match self.switches.message_repeat {
                MessageRepeat::Conflict => error(409, "CONFLICT", "Provide a unique ID."),
                MessageRepeat::Accepted => accepted(id, now),
            });
        }
        let key = self.conversations[at].id.clone();
        if let Err(wait) = self.message_limit.count(&key, now) {
            return Some(too_many(wait));
        }
        if let Some(session) = self.conversations[at].session() {
            // Attributes reach the record with the first messages too.
            session.attributes.extend(attributes);
            if session.status == "Inactive" {
                self.wake(now, at);
            }
            return None;
        }
        if !new {
            match self.switches.ended_session {
                EndedSession::ExpectationFailed => {
                    return Some(error(
                        417,
                        "EXPECTATION_FAILED",
                        "There's no active messaging session.",
                    ));
                }
                EndedSession::Forbidden => {
                    return Some(error(403, "FORBIDDEN", "The messaging session has ended."));
                }
                EndedSession::NewSession => {}
            }
        }
        self.begin(now, at, attributes);
        None
    }

    fn guest(&self, at: usize) -> Sender {
        Sender {
            role: "EndUser",
            app: "iamessage",
            subject: self.conversations[at].owner.clone(),
            name: "Guest".into(),
        }
    }
}

fn accepted(id: &str, now: Timestamp) -> Response {
    Response::json(
        202,
        &json!({ "conversationEntries": [{ "id": id, "clientTimestamp": now.as_millisecond() }] }),
    )
}

/// FNV-1a, so that a test can tell whether a file arrived as it was sent.
pub(super) fn checksum(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}
