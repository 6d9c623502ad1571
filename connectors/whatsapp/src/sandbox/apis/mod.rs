//! Gateways' own APIs before the same phones: sends in, webhooks out, in each gateway's own form.
//!
//! | file | whose API |
//! | --- | --- |
//! | `evolution` | Evolution API 2.x, Baileys |
//! | `waha` | WAHA |
//! | `chatwoot` | Chatwoot, with an inbox behind it |
//! | `twilio` | Twilio's Programmable Messaging |
//!
//! 360dialog is the Cloud API at other paths, with another key.

mod chatwoot;
mod evolution;
mod twilio;
mod waha;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::send::Taken;
use super::{DISPLAY, Meta};

/// The key of every gateway.
pub(super) const KEY: &str = "sandbox-gateway-key";
/// The secret of its webhooks.
pub(super) const HOOK_SECRET: &str = "sandbox-hook-secret";
/// Twilio's account.
const ACCOUNT: &str = "AC00000000000000000000000000000001";

/// Whose API is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Api {
    #[default]
    Meta,
    Dialog360,
    Evolution,
    Waha,
    Chatwoot,
    Twilio,
}

impl Api {
    const ALL: [(&'static str, Api); 6] = [
        ("meta", Api::Meta),
        ("360dialog", Api::Dialog360),
        ("evolution", Api::Evolution),
        ("waha", Api::Waha),
        ("chatwoot", Api::Chatwoot),
        ("twilio", Api::Twilio),
    ];

    /// The API with this name.
    pub(super) fn named(name: &str) -> Option<Api> {
        let found = Api::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, api)| *api)
    }

    /// Whether it is Meta's own, wherever.
    pub(super) fn is_meta(self) -> bool {
        matches!(self, Api::Meta | Api::Dialog360)
    }

    /// Whether WhatsApp's window holds there.
    fn has_window(self) -> bool {
        !matches!(self, Api::Evolution | Api::Waha)
    }

    /// The secret of its webhooks.
    pub(super) fn hook_secret(self) -> &'static str {
        match self {
            Api::Twilio => KEY,
            _ => HOOK_SECRET,
        }
    }

    /// The header that signs in.
    pub(super) fn sign_in(self) -> (String, String) {
        let (name, value) = match self {
            Api::Meta => ("authorization", format!("Bearer {}", super::TOKEN)),
            Api::Dialog360 => ("d360-api-key", super::TOKEN.to_owned()),
            Api::Evolution => ("apikey", KEY.to_owned()),
            Api::Waha => ("x-api-key", KEY.to_owned()),
            Api::Chatwoot => ("api_access_token", KEY.to_owned()),
            Api::Twilio => {
                let pair = STANDARD.encode(format!("{ACCOUNT}:{KEY}"));
                ("authorization", format!("Basic {pair}"))
            }
        };
        (name.to_owned(), value)
    }

    /// What a client of the gateway needs.
    pub(super) fn credentials(self, base: &str) -> Value {
        let (gateway, options) = match self {
            Api::Evolution => ("evolution", json!({"instance": "shop"})),
            Api::Waha => ("waha", json!({"session": "default"})),
            Api::Chatwoot => ("chatwoot", Value::Null),
            Api::Twilio => ("twilio", json!({"account": ACCOUNT})),
            Api::Meta | Api::Dialog360 => ("", Value::Null),
        };
        let mut settings = json!({"exit": "http", "gateway": gateway, "base_url": base, "access_token": "whatsapp_token"});
        if !options.is_null() {
            settings["options"] = options;
        }
        json!({"settings": settings, "secrets": {"whatsapp_token": KEY}})
    }
}

/// What a gateway answers: a status and a body.
type Answer = Result<(u16, Value), (u16, Value)>;

/// A message on its way in, as its gateway has read it.
struct Message {
    /// The customer's digits, or hidden id.
    to: String,
    id: String,
    reference: Option<String>,
    free: bool,
    shown: Map<String, Value>,
    /// Where its statuses go, if elsewhere.
    callback: Option<String>,
}

impl Meta {
    /// Answers a request to the gateway's API.
    pub(super) fn gateway_api(&mut self, now: Timestamp, request: &Request) -> Response {
        let answer = match self.switches.api {
            Api::Evolution => self.evolution(now, request),
            Api::Waha => self.waha(now, request),
            Api::Chatwoot => self.chatwoot(now, request),
            Api::Twilio => self.twilio(now, request),
            Api::Meta | Api::Dialog360 => Err((404, Value::Null)),
        };
        let (Ok((status, body)) | Err((status, body))) = answer;
        Response::json(status, &body)
    }

    /// Whether the request shows the key, which has not expired.
    fn shows_key(&self, request: &Request) -> bool {
        let (name, value) = self.switches.api.sign_in();
        !self.switches.token_expired && request.header(&name) == Some(value.as_str())
    }

    /// The code with which the next send is refused, if it is.
    fn refusal(&mut self) -> Option<i64> {
        let (code, left) = self.switches.fail_next.as_mut()?;
        *left = left.checked_sub(1)?;
        Some(*code)
    }

    /// Takes a message; what becomes of it comes by webhooks.
    fn accept(&mut self, now: Timestamp, message: Message) -> usize {
        let phone = match message.to.ends_with("@lid") {
            true => self.phones.actor(&message.to),
            false => self.phones.dial(&message.to),
        };
        if let Some(callback) = message.callback {
            self.callbacks.insert(message.id.clone(), callback);
        }
        let free = message.free && self.switches.api.has_window();
        self.take(
            now,
            Taken {
                phone,
                id: message.id,
                reference: message.reference,
                free,
                shown: message.shown,
                fails: None,
            },
        );
        phone
    }

    /// Queues a status in the gateway's form.
    pub(super) fn gateway_status(
        &mut self,
        due: Timestamp,
        phone: usize,
        id: &str,
        word: &str,
        fault: Option<&Fault>,
    ) {
        match self.switches.api {
            Api::Evolution => self.evolution_status(due, phone, id, word),
            Api::Waha => self.waha_status(due, phone, id, word),
            Api::Chatwoot => self.chatwoot_status(due, phone, id, word, fault),
            Api::Twilio => self.twilio_status(due, phone, id, word, fault),
            Api::Meta | Api::Dialog360 => {}
        }
    }

    /// Queues a text of the customer's in the gateway's form.
    pub(super) fn gateway_text(&mut self, now: Timestamp, phone: usize, id: &str, text: &str) {
        match self.switches.api {
            Api::Evolution => self.evolution_text(now, phone, id, text),
            Api::Waha => self.waha_text(now, phone, id, text),
            Api::Chatwoot => self.chatwoot_text(now, phone, id, text),
            Api::Twilio => self.twilio_text(now, phone, id, text),
            Api::Meta | Api::Dialog360 => {}
        }
    }

    /// A fresh id in the form of WhatsApp's own clients.
    fn client_id(&mut self) -> String {
        self.made += 1;
        format!("3EB0{:016X}", self.made)
    }

    /// The customer's id at a server: `4915…@c.us`, or the hidden one.
    fn jid(&self, phone: usize, server: &str) -> String {
        let phone = &self.phones.0[phone];
        match (&phone.wa_id, &phone.user_id) {
            (None, Some(hidden)) => hidden.clone(),
            (digits, _) => format!("{}@{server}", digits.as_deref().unwrap_or_default()),
        }
    }

    /// The customer's digits.
    fn digits_of(&self, phone: usize) -> String {
        self.phones.0[phone].wa_id.clone().unwrap_or_default()
    }
}

/// What the phone shows of a text.
fn text(text: &str) -> Map<String, Value> {
    [
        ("type".to_owned(), "text".into()),
        ("text".to_owned(), text.into()),
    ]
    .into_iter()
    .collect()
}

/// What the phone shows of a file.
fn file(
    kind: &str,
    mime: &str,
    name: &str,
    caption: Option<&str>,
    bytes: &[u8],
) -> Map<String, Value> {
    let mut shown: Map<String, Value> = [
        ("type".to_owned(), kind.into()),
        ("mime".to_owned(), mime.into()),
        ("file_name".to_owned(), name.into()),
        ("bytes".to_owned(), bytes.len().into()),
        ("sha256".to_owned(), super::media::hex(bytes).into()),
    ]
    .into_iter()
    .collect();
    if let Some(caption) = caption.filter(|caption| !caption.is_empty()) {
        shown.insert("caption".into(), caption.into());
    }
    shown
}

/// The digits of `4915…@s.whatsapp.net`, `4915…@c.us`, `4915…`; nothing for what is no phone's.
fn digits(id: &str) -> Option<String> {
    let (digits, server) = id.split_once('@').unwrap_or((id, "c.us"));
    let is_phone = matches!(server, "c.us" | "s.whatsapp.net")
        && digits.len() >= 5
        && digits.bytes().all(|b| b.is_ascii_digit());
    is_phone.then(|| digits.to_owned())
}

/// The first key that is none of these.
fn unexpected<'a>(body: &'a Value, known: &[&str]) -> Option<&'a String> {
    let keys = body.as_object().into_iter().flat_map(Map::keys);
    keys.into_iter().find(|key| !known.contains(&key.as_str()))
}
