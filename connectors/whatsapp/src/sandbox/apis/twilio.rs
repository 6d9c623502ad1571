//! Twilio's messages of one account. <https://www.twilio.com/docs/messaging/api/message-resource>

use handoffd_contract::sandbox::Request;
use handoffd_contract::text::encode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::fault::Fault;
use super::super::hooks::Signed;
use super::{ACCOUNT, Answer, DISPLAY, Message, Meta, text};

/// The longest body.
const MAX_BODY: usize = 1_600;

/// An error in Twilio's shape. <https://www.twilio.com/docs/usage/twilios-response>
fn refused(status: u16, code: i64, message: &str) -> (u16, Value) {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    (
        status,
        json!({"code": code, "message": message, "more_info": more, "status": status}),
    )
}

impl Meta {
    pub(super) fn twilio(&mut self, now: Timestamp, request: &Request) -> Answer {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        if !self.shows_key(request) {
            return Err(refused(401, 20_003, "Authenticate"));
        }
        let account = format!("{ACCOUNT}.json");
        match (request.method.as_str(), &path[..]) {
            ("GET", ["2010-04-01", "Accounts", one]) if *one == account => Ok((
                200,
                json!({"sid": ACCOUNT, "status": "active", "friendly_name": "Shop"}),
            )),
            ("POST", ["2010-04-01", "Accounts", ACCOUNT, "Messages.json"]) => {
                self.twilio_send(now, request)
            }
            _ => Err(refused(404, 20_404, "The requested resource was not found")),
        }
    }

    fn twilio_send(&mut self, now: Timestamp, request: &Request) -> Answer {
        let fields = request
            .form()
            .ok_or_else(|| refused(400, 21_603, "A 'From' phone number is required."))?;
        let field = |name: &str| {
            let found = fields.iter().find(|(known, _)| known == name);
            found
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())
        };
        let to =
            field("To").ok_or_else(|| refused(400, 21_604, "A 'To' phone number is required."))?;
        let from = field("From")
            .ok_or_else(|| refused(400, 21_603, "A 'From' phone number is required."))?;
        if from != format!("whatsapp:+{DISPLAY}") {
            return Err(refused(
                400,
                63_007,
                "Twilio could not find a Channel with the specified From address",
            ));
        }
        let digits = to.strip_prefix("whatsapp:+").and_then(super::digits);
        let digits = digits.ok_or_else(|| refused(400, 21_211, "Invalid 'To' Phone Number"))?;
        if let Some(code) = self.refusal() {
            let status = match code {
                20_003 => 401,
                20_429 => 429,
                20_500 => 500,
                _ => 400,
            };
            return Err(refused(status, code, "Switched on in the sandbox."));
        }
        let body = field("Body").unwrap_or_default();
        if body.chars().count() > MAX_BODY {
            return Err(refused(
                400,
                21_617,
                "The concatenated message body exceeds the 1600 character limit",
            ));
        }
        let mut free = true;
        let shown = match (field("ContentSid"), field("MediaUrl")) {
            (Some(sid), _) => {
                if !sid.starts_with("HX") {
                    return Err(refused(400, 21_655, "The ContentSid is Invalid"));
                }
                let variables: Map<String, Value> = serde_json::from_str(
                    field("ContentVariables").unwrap_or("{}"),
                )
                .map_err(|_| refused(400, 21_656, "The ContentVariables Parameter is invalid"))?;
                free = false;
                let mut shown = text(
                    variables
                        .get("1")
                        .and_then(Value::as_str)
                        .unwrap_or_default(),
                );
                shown.insert("type".into(), "template".into());
                shown.insert("template".into(), sid.into());
                shown
            }
            (None, Some(url)) => {
                if !url.starts_with("https://") {
                    return Err(refused(400, 21_620, "Invalid media URL(s)"));
                }
                let mut shown = text(body);
                shown.insert("type".into(), "media".into());
                shown.insert("link".into(), url.into());
                shown
            }
            (None, None) if body.is_empty() => {
                return Err(refused(
                    400,
                    21_619,
                    "A text message body or media urls must be specified.",
                ));
            }
            (None, None) => text(body),
        };
        self.made += 1;
        let sid = format!("SM{:032x}", self.made);
        let callback = field("StatusCallback").map(str::to_owned);
        // Our reference is seen in the address alone; what the phone shows has it for the judge.
        let reference = callback
            .as_deref()
            .and_then(|url| url.split("reference=").nth(1));
        let message = Message {
            to: digits,
            id: sid.clone(),
            reference: reference.map(str::to_owned),
            free,
            shown,
            callback: callback.clone(),
        };
        self.accept(now, message);
        Ok((
            201,
            json!({"sid": sid, "status": "queued", "error_code": null, "error_message": null, "to": to,
            "from": from, "body": body, "account_sid": ACCOUNT, "num_segments": "1"}),
        ))
    }

    pub(super) fn twilio_status(
        &mut self,
        due: Timestamp,
        phone: usize,
        id: &str,
        word: &str,
        fault: Option<&Fault>,
    ) {
        let word = if word == "failed" {
            "undelivered"
        } else {
            word
        };
        let mut fields = vec![
            ("MessageSid", id.to_owned()),
            ("AccountSid", ACCOUNT.to_owned()),
            ("From", format!("whatsapp:+{DISPLAY}")),
            ("To", format!("whatsapp:+{}", self.digits_of(phone))),
            ("MessageStatus", word.to_owned()),
            ("SmsStatus", word.to_owned()),
            ("ChannelPrefix", "whatsapp".to_owned()),
        ];
        if let Some(fault) = fault {
            let code = match fault.code {
                131_047 => 63_016,
                131_026 => 63_024,
                131_053 => 63_021,
                _ => 63_012,
            };
            fields.push(("ErrorCode", code.to_string()));
            fields.push(("ErrorMessage", fault.title().to_owned()));
        }
        let callback = self.callbacks.get(id).cloned();
        self.twilio_event(due, callback, fields);
    }

    pub(super) fn twilio_text(&mut self, now: Timestamp, phone: usize, id: &str, text: &str) {
        let digits = self.digits_of(phone);
        let fields = vec![
            ("MessageSid", id.to_owned()),
            ("AccountSid", ACCOUNT.to_owned()),
            ("From", format!("whatsapp:+{digits}")),
            ("To", format!("whatsapp:+{DISPLAY}")),
            ("WaId", digits),
            ("ProfileName", self.phones.0[phone].name.clone()),
            ("Body", text.to_owned()),
            ("NumMedia", "0".to_owned()),
            ("SmsStatus", "received".to_owned()),
            ("MessageType", "text".to_owned()),
        ];
        self.twilio_event(now, None, fields);
    }

    fn twilio_event(&mut self, due: Timestamp, to: Option<String>, fields: Vec<(&str, String)>) {
        let fields: Vec<(String, String)> = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let pairs = fields.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let body = pairs.join("&").into_bytes();
        self.hooks.push_as(due, to, Signed::Twilio(fields), body);
    }
}
