//! Evolution API 2.x with Baileys, for the instance `shop`.
//! <https://doc.evolution-api.com/v2/api-reference/message-controller/send-text>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::sandbox::Request;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::hooks::Signed;
use super::{Answer, DISPLAY, Message, Meta, file, text, unexpected};

const INSTANCE: &str = "shop";

/// An error in Evolution's shape.
fn refused(status: u16, error: &str, message: Value) -> (u16, Value) {
    (
        status,
        json!({"status": status, "error": error, "response": {"message": message}}),
    )
}

fn bad(message: &str) -> (u16, Value) {
    refused(400, "Bad Request", json!([message]))
}

/// What the schema of a body refuses: a list in the list.
fn invalid(message: &str) -> (u16, Value) {
    refused(400, "Bad Request", json!([[message]]))
}

impl Meta {
    pub(super) fn evolution(&mut self, now: Timestamp, request: &Request) -> Answer {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        if !self.shows_key(request) {
            return Err(refused(401, "Unauthorized", json!("Unauthorized")));
        }
        let instance = path.last().copied().unwrap_or_default();
        if instance != INSTANCE {
            let words = format!("The \"{instance}\" instance does not exist");
            return Err(refused(404, "Not Found", json!([words])));
        }
        match (request.method.as_str(), &path[..]) {
            ("GET", ["instance", "connectionState", _]) => {
                let state = json!({"instance": {"instanceName": INSTANCE, "state": "open"}});
                Ok((200, state))
            }
            ("GET", ["baileys", "generateMessageID", _]) => {
                let id = self.client_id();
                Ok((200, json!({"id": id})))
            }
            ("POST", ["chat", "findMessages", _]) => Ok((200, self.evolution_found(request))),
            ("POST", ["message", what, _]) => {
                let what = (*what).to_owned();
                self.evolution_send(now, request, &what)
            }
            (method, _) => {
                let words = format!("Cannot {method} {}", request.path);
                Err(refused(404, "Not Found", json!([words])))
            }
        }
    }

    fn evolution_send(&mut self, now: Timestamp, request: &Request, what: &str) -> Answer {
        let (body, bytes) = fields(request)?;
        let known: &[&str] = match what {
            "sendText" => &[
                "number",
                "text",
                "delay",
                "linkPreview",
                "quoted",
                "mentioned",
                "messageId",
            ],
            "sendMedia" => &[
                "number",
                "mediatype",
                "mimetype",
                "fileName",
                "caption",
                "media",
                "delay",
                "messageId",
            ],
            "sendWhatsAppAudio" => &["number", "audio", "delay", "encoding", "messageId"],
            "sendSticker" => &["number", "sticker", "delay", "messageId"],
            "sendTemplate" => {
                return Err(bad("Method not available in the Baileys service"));
            }
            _ => {
                return Err(refused(
                    404,
                    "Not Found",
                    json!([format!("Cannot POST {}", request.path)]),
                ));
            }
        };
        if let Some(key) = unexpected(&body, known) {
            return Err(invalid(&format!(
                "instance is not allowed to have the additional property \"{key}\""
            )));
        }
        let number = body["number"].as_str().unwrap_or_default();
        let Some(digits) = super::digits(number) else {
            return Err(invalid("instance requires property \"number\""));
        };
        // Of bare digits it makes the id itself: in Brazil without the ninth digit.
        let digits = match number.contains('@') {
            true => digits,
            false => brazilian(&digits),
        };
        if let Some(code) = self.refusal() {
            let status = u16::try_from(code).unwrap_or(500);
            return Err(refused(
                status,
                "Internal Server Error",
                json!("Switched on in the sandbox."),
            ));
        }
        if self.switches.not_on_whatsapp.contains(&digits) {
            let missing = json!([{"jid": format!("{digits}@s.whatsapp.net"), "exists": false, "number": number}]);
            return Err(refused(400, "Bad Request", missing));
        }
        let given = |name: &str| body[name].as_str();
        let (shown, message) = match what {
            "sendText" => {
                let words = given("text").filter(|text| !text.is_empty());
                let words = words.ok_or_else(|| invalid("instance requires property \"text\""))?;
                let mut shown = text(words);
                let quoted = &body["quoted"]["key"]["id"];
                if quoted.is_string() {
                    shown.insert("answers".into(), quoted.clone());
                }
                (shown, json!({"conversation": words}))
            }
            "sendMedia" => {
                let kind = given("mediatype")
                    .filter(|kind| ["image", "video", "audio", "document"].contains(kind));
                let kind =
                    kind.ok_or_else(|| invalid("instance.mediatype is not one of enum values"))?;
                let bytes = bytes.ok_or_else(|| bad("Owned media must be a url or base64"))?;
                let mime = given("mimetype").unwrap_or_default();
                let name = given("fileName").unwrap_or_default();
                let shown = file(kind, mime, name, given("caption"), &bytes);
                (
                    shown,
                    json!({format!("{kind}Message"): {"mimetype": mime, "caption": given("caption")}}),
                )
            }
            _ => {
                let bytes = bytes.ok_or_else(|| bad("Owned media must be a url or base64"))?;
                let kind = if what == "sendSticker" {
                    "sticker"
                } else {
                    "audio"
                };
                let mut shown = file(kind, "", "", None, &bytes);
                if kind == "audio" {
                    shown.insert("voice_note".into(), true.into());
                }
                (
                    shown,
                    json!({format!("{kind}Message"): {"ptt": kind == "audio"}}),
                )
            }
        };
        let id = match given("messageId") {
            Some(id) => id.to_owned(),
            None => self.client_id(),
        };
        self.accept(
            now,
            Message {
                to: digits.clone(),
                id: id.clone(),
                reference: None,
                free: true,
                shown,
                callback: None,
            },
        );
        let key =
            json!({"remoteJid": format!("{digits}@s.whatsapp.net"), "fromMe": true, "id": id});
        let data = json!({"key": key, "pushName": "", "status": "PENDING", "message": message,
            "messageType": "conversation", "messageTimestamp": now.as_second(), "instanceId": "i-1", "source": "unknown"});
        // What is sent by the API comes back as an event of its own, which may be faster than the answer.
        self.evolution_event(now, "send.message", data.clone());
        Ok((201, data))
    }

    /// The messages with an id.
    fn evolution_found(&mut self, request: &Request) -> Value {
        let body = request.json().unwrap_or_default();
        let id = body
            .pointer("/where/key/id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut records = Vec::new();
        for phone in &mut self.phones.0 {
            let digits = phone.wa_id.clone().unwrap_or_default();
            if let Some(entry) = phone.entry(id) {
                let key = json!({"id": id, "fromMe": entry.outbound, "remoteJid": format!("{digits}@s.whatsapp.net")});
                records.push(json!({"key": key, "message": {}}));
            }
        }
        json!({"messages": {"total": records.len(), "pages": 1, "currentPage": 1, "records": records}})
    }

    pub(super) fn evolution_status(&mut self, due: Timestamp, phone: usize, id: &str, word: &str) {
        let status = match word {
            "sent" => "SERVER_ACK",
            "delivered" => "DELIVERY_ACK",
            "read" => "READ",
            _ => "ERROR",
        };
        let jid = self.jid(phone, "s.whatsapp.net");
        let data = json!({"messageId": format!("db-{id}"), "keyId": id, "remoteJid": jid, "fromMe": true,
            "status": status, "instanceId": "i-1"});
        self.evolution_event(due, "messages.update", data);
    }

    pub(super) fn evolution_text(&mut self, now: Timestamp, phone: usize, id: &str, text: &str) {
        let jid = self.jid(phone, "s.whatsapp.net");
        let data = json!({"key": {"remoteJid": jid, "fromMe": false, "id": id}, "pushName": self.phones.0[phone].name,
            "message": {"conversation": text}, "messageType": "conversation",
            "messageTimestamp": now.as_second(), "instanceId": "i-1", "source": "android"});
        self.evolution_event(now, "messages.upsert", data);
    }

    fn evolution_event(&mut self, due: Timestamp, event: &str, data: Value) {
        let body = json!({"event": event, "instance": INSTANCE, "data": data, "server_url": "http://sandbox",
            "date_time": due.to_string(), "sender": format!("{DISPLAY}@s.whatsapp.net"), "apikey": super::KEY});
        self.hooks
            .push_as(due, None, Signed::Header, body.to_string().into_bytes());
    }
}

/// The fields of a body, and the file in it.
type Given = (Value, Option<Vec<u8>>);

/// The fields of a body of JSON or of a multipart one, and the file in it.
fn fields(request: &Request) -> Result<Given, (u16, Value)> {
    if let Some(parts) = request.multipart() {
        let mut body = Map::new();
        let mut file = None;
        for part in parts {
            if part.name == "file" {
                file = Some(part.bytes).filter(|bytes| !bytes.is_empty());
            } else {
                body.insert(part.name.clone(), part.text().into());
            }
        }
        return Ok((Value::Object(body), file));
    }
    let body = request.json().ok_or_else(|| bad("the body is no JSON"))?;
    let media = ["media", "audio", "sticker"]
        .iter()
        .find_map(|key| body[key].as_str());
    let file = media.and_then(|media| match media.starts_with("https://") {
        true => Some(media.as_bytes().to_vec()),
        false => STANDARD.decode(media).ok(),
    });
    Ok((body, file))
}

/// A Brazilian number as `createJid` writes it: without the ninth digit from area 31 on.
fn brazilian(digits: &str) -> String {
    let is_long = digits.len() == 13 && digits.starts_with("55") && &digits[4..5] == "9";
    let area: u32 = digits
        .get(2..4)
        .and_then(|area| area.parse().ok())
        .unwrap_or(0);
    match is_long && area >= 31 {
        true => format!("55{area}{}", &digits[5..]),
        false => digits.to_owned(),
    }
}
