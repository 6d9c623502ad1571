//! WAHA with the session `default`, in the forms of its engines.
//! <https://waha.devlike.pro/docs/how-to/send-messages/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::sandbox::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::hooks::Signed;
use super::{Answer, DISPLAY, Message, Meta, file, text, unexpected};

const SESSION: &str = "default";

/// An error in WAHA's shape.
fn refused(status: u16, message: &str) -> (u16, Value) {
    let error = match status {
        401 => "Unauthorized",
        404 => "Not Found",
        422 => "Unprocessable Entity",
        400 => "Bad Request",
        _ => "Internal Server Error",
    };
    (
        status,
        json!({"statusCode": status, "message": message, "error": error}),
    )
}

impl Meta {
    pub(super) fn waha(&mut self, now: Timestamp, request: &Request) -> Answer {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        if !self.shows_key(request) {
            return Err(refused(401, "Unauthorized"));
        }
        match (request.method.as_str(), &path[..]) {
            ("GET", ["api", "sessions", SESSION]) => Ok((
                200,
                json!({"name": SESSION, "status": "WORKING", "engine": {"engine": self.switches.engine}}),
            )),
            ("GET", ["api", SESSION, "new-message-id"]) if self.switches.engine == "WEBJS" => Err(
                refused(422, "The method is not available for the engine 'WEBJS'"),
            ),
            ("GET", ["api", SESSION, "new-message-id"]) => {
                let id = self.client_id();
                Ok((200, json!({"id": id})))
            }
            ("GET", ["api", SESSION, "chats", chat, "messages", id]) => {
                let bare = id.split('_').nth(2).unwrap_or(id);
                let found = self
                    .phones
                    .0
                    .iter_mut()
                    .any(|phone| phone.entry(bare).is_some());
                match found {
                    true => Ok((
                        200,
                        json!({"id": format!("true_{chat}_{bare}"), "fromMe": true}),
                    )),
                    false => Err(refused(404, "Message not found")),
                }
            }
            ("POST", ["api", what]) => {
                let what = (*what).to_owned();
                self.waha_send(now, request, &what)
            }
            _ => Err(refused(404, "Session not found")),
        }
    }

    fn waha_send(&mut self, now: Timestamp, request: &Request, what: &str) -> Answer {
        let body = request
            .json()
            .ok_or_else(|| refused(400, "Unexpected token in JSON"))?;
        let known: &[&str] = match what {
            "sendText" => &["session", "chatId", "text", "linkPreview", "reply_to", "id"],
            "sendImage" | "sendVideo" | "sendFile" => {
                &["session", "chatId", "file", "caption", "reply_to", "id"]
            }
            "sendVoice" => &["session", "chatId", "file", "convert", "reply_to", "id"],
            _ => return Err(refused(404, &format!("Cannot POST {}", request.path))),
        };
        if let Some(key) = unexpected(&body, known) {
            return Err(refused(400, &format!("property {key} should not exist")));
        }
        if body["session"] != SESSION {
            return Err(refused(404, "Session not found"));
        }
        if let Some(code) = self.refusal() {
            let status = u16::try_from(code).unwrap_or(500);
            return Err(match status {
                422 => {
                    let words =
                        "Session status is not as expected. Try again later or restart the session";
                    (
                        422,
                        json!({"error": words, "session": SESSION, "status": "STARTING", "expected": ["WORKING"]}),
                    )
                }
                _ => refused(status, "Switched on in the sandbox."),
            });
        }
        let chat = body["chatId"].as_str().unwrap_or_default().to_owned();
        let to = match chat.rsplit_once('@') {
            Some((_, "c.us")) => super::digits(&chat),
            Some((_, "lid")) => Some(chat.clone()),
            _ => None,
        };
        let to = to.ok_or_else(|| refused(400, "chatId is not valid"))?;
        let shown = match what {
            "sendText" => {
                let words = body["text"].as_str().filter(|text| !text.is_empty());
                let mut shown =
                    text(words.ok_or_else(|| refused(400, "text should not be empty"))?);
                // A whole id, of this chat; another is left out.
                let whole = body["reply_to"].as_str().unwrap_or_default();
                let quoted = ["false", "true"]
                    .iter()
                    .find_map(|mine| whole.strip_prefix(&format!("{mine}_{chat}_")));
                shown.extend(quoted.map(|id| ("answers".to_owned(), id.into())));
                shown
            }
            _ => {
                let part = |name: &str| body["file"][name].as_str();
                let data = part("data").and_then(|data| STANDARD.decode(data).ok());
                let bytes = data.filter(|bytes| !bytes.is_empty());
                let bytes = bytes.ok_or_else(|| refused(400, "file.url or file.data is needed"))?;
                let mime = part("mimetype")
                    .ok_or_else(|| refused(400, "file.mimetype should not be empty"))?;
                let kind = match what {
                    "sendImage" => "image",
                    "sendVideo" => "video",
                    "sendVoice" => "audio",
                    _ => "document",
                };
                let name = part("filename").unwrap_or_default();
                let mut shown = file(kind, mime, name, body["caption"].as_str(), &bytes);
                if what == "sendVoice" {
                    shown.insert("voice_note".into(), true.into());
                }
                shown
            }
        };
        let id = match body["id"].as_str() {
            Some(id) => id.to_owned(),
            None => self.client_id(),
        };
        let message = Message {
            to,
            id: id.clone(),
            reference: None,
            free: true,
            shown,
            callback: None,
        };
        let whole = format!("true_{chat}_{id}");
        // What is sent by the API comes back, perhaps before the answer.
        let said = |name: &str| message.shown.get(name).cloned();
        let is_file = said("mime").is_some();
        let media = is_file.then(|| {
            json!({"url": format!("http://localhost:3000/api/files/{id}"),
            "mimetype": said("mime"), "filename": said("file_name")})
        });
        let copy = json!({"id": whole, "timestamp": now.as_second(), "from": format!("{DISPLAY}@c.us"),
            "fromMe": true, "source": "api", "to": chat, "body": said("text").or_else(|| said("caption")),
            "hasMedia": is_file, "media": media, "ack": 0});
        self.waha_event(now, "message.any", copy);
        self.accept(now, message);
        let answer = match self.switches.engine.as_str() {
            "WEBJS" => {
                json!({"id": {"fromMe": true, "remote": chat, "id": id, "_serialized": whole}, "ack": 0,
                "timestamp": now.as_second()})
            }
            "NOWEB" => {
                json!({"key": {"remoteJid": chat.replace("@c.us", "@s.whatsapp.net"), "fromMe": true, "id": id},
                "messageTimestamp": now.as_second().to_string(), "status": "PENDING"})
            }
            _ => json!({"id": whole, "fromMe": true, "timestamp": now.as_second()}),
        };
        Ok((201, answer))
    }

    pub(super) fn waha_status(&mut self, due: Timestamp, phone: usize, id: &str, word: &str) {
        let (ack, name) = match word {
            "sent" => (1, "SERVER"),
            "delivered" => (2, "DEVICE"),
            "read" => (3, "READ"),
            _ => (-1, "ERROR"),
        };
        let chat = self.jid(phone, "c.us");
        let payload = json!({"id": format!("true_{chat}_{id}"), "from": format!("{DISPLAY}@c.us"), "to": chat,
            "participant": null, "fromMe": true, "ack": ack, "ackName": name});
        self.waha_event(due, "message.ack", payload);
    }

    pub(super) fn waha_text(&mut self, now: Timestamp, phone: usize, id: &str, text: &str) {
        let chat = self.jid(phone, "c.us");
        let payload = json!({"id": format!("false_{chat}_{id}"), "timestamp": now.as_second(), "from": chat,
            "fromMe": false, "to": format!("{DISPLAY}@c.us"), "body": text, "hasMedia": false, "ack": 1,
            "_data": {"notifyName": self.phones.0[phone].name}});
        self.waha_event(now, "message.any", payload);
    }

    fn waha_event(&mut self, due: Timestamp, event: &str, payload: Value) {
        self.made += 1;
        let body = json!({"id": format!("evt_{:026}", self.made), "timestamp": due.as_millisecond(), "event": event,
            "session": SESSION, "metadata": {}, "me": {"id": format!("{DISPLAY}@c.us"), "pushName": "Shop"},
            "payload": payload, "engine": self.switches.engine, "environment": {"tier": "PLUS"}});
        self.hooks
            .push_as(due, None, Signed::Waha, body.to_string().into_bytes());
    }
}
