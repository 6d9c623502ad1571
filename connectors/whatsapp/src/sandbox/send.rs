//! A message's way: checked, counted, accepted, shown on the phone or not, and its statuses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::sandbox::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::phones::{Entry, Phone};
use super::shape::{self, To};
use super::{COUNTRY, DISPLAY, MAX_NOTES, Meta, NUMBER_ID, WABA};

/// Messages that one customer may get at once; one more every six seconds.
const PAIR_BURST: i64 = 45;
const PAIR_MS: i64 = 6_000;

/// A message that was taken, on its way to a phone.
pub(super) struct Taken {
    pub(super) phone: usize,
    pub(super) id: String,
    pub(super) reference: Option<String>,
    /// Needs an open window.
    pub(super) free: bool,
    pub(super) shown: Map<String, Value>,
    pub(super) fails: Option<Fault>,
}

impl Meta {
    pub(super) fn post(&mut self, now: Timestamp, request: &Request) -> Result<Response, Fault> {
        let json = request
            .header("content-type")
            .is_some_and(|mime| mime.starts_with("application/json"));
        let body = request
            .json()
            .filter(|_| json)
            .ok_or_else(|| Fault::invalid("The body must be JSON."))?;
        let body = read_texts(body);
        if body.get("status").is_some() {
            return self.mark_read(&body);
        }
        let send = shape::send(&body)?;
        self.limits(now)?;
        let (phone, input) = self.resolve(&send.to)?;
        self.pair(now, phone)?;
        if let Some((code, left)) = &mut self.switches.fail_next
            && *left > 0
        {
            *left -= 1;
            return Err(Fault::new(*code, "Switched on in the sandbox."));
        }
        let free = send.kind != "template";
        if free && self.switches.window_error_sync && !self.phones.0[phone].window_open(now) {
            return Err(closed());
        }
        let (shown, fails) = self.render(now, &send)?;
        let id = self.wamid();
        let customer = &self.phones.0[phone];
        let mut contact = json!({"input": input});
        match (&send.to, &customer.wa_id) {
            (To::Phone { .. }, Some(wa_id)) => contact["wa_id"] = wa_id.as_str().into(),
            _ => contact["user_id"] = customer.user_id.clone().into(),
        }
        let mut message = json!({"id": id});
        if !free {
            message["message_status"] = "accepted".into();
        }
        let reference = send.reference.map(str::to_owned);
        self.take(
            now,
            Taken {
                phone,
                id,
                reference,
                free,
                shown,
                fails,
            },
        );
        Ok(Response::json(
            200,
            &json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}),
        ))
    }

    fn mark_read(&mut self, body: &Value) -> Result<Response, Fault> {
        let allowed = [
            "messaging_product",
            "status",
            "message_id",
            "typing_indicator",
        ];
        if let Some(key) = body
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .find(|key| !allowed.contains(&key.as_str()))
        {
            return Err(Fault::invalid(format!("Unexpected key \"{key}\".")));
        }
        if body.get("status").and_then(Value::as_str) != Some("read") {
            return Err(Fault::invalid("Param status must be one of {READ}."));
        }
        let id = body
            .get("message_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let typing = body.get("typing_indicator");
        if typing.is_some_and(|typing| *typing != json!({"type": "text"})) {
            let words = "Param typing_indicator must be {\"type\": \"text\"}.";
            return Err(Fault::invalid(words));
        }
        let types = typing.is_some();
        let entry = self
            .phones
            .0
            .iter_mut()
            .find_map(|phone| phone.entry(id))
            .filter(|entry| !entry.outbound);
        let entry = entry.ok_or_else(|| {
            Fault::new(
                131009,
                "Param message_id is not the id of a received message.",
            )
        })?;
        entry.shown.insert("seen".into(), true.into());
        if types {
            entry.shown.insert("typing".into(), true.into());
        }
        Ok(Response::json(200, &json!({"success": true})))
    }

    /// 80 messages per second from the number.
    fn limits(&mut self, now: Timestamp) -> Result<(), Fault> {
        self.second
            .count("number", now)
            .map_err(|_| Fault::new(130429, "Cloud API message throughput has been reached."))
    }

    /// 45 messages to one customer at once, then one every six seconds.
    fn pair(&mut self, now: Timestamp, phone: usize) -> Result<(), Fault> {
        let now = now.as_millisecond();
        let used_until = self
            .pairs
            .entry(self.phones.0[phone].key().to_owned())
            .or_insert(now);
        let next = (*used_until).max(now) + PAIR_MS;
        if self.switches.pair_limit && next - now > PAIR_BURST * PAIR_MS {
            let details = "Too many messages sent from the sender phone number to the same recipient phone number in a \
                           short period of time.";
            return Err(Fault::new(131056, details));
        }
        *used_until = next;
        Ok(())
    }

    /// The customer behind an address, and the address as it was written.
    fn resolve(&mut self, to: &To) -> Result<(usize, String), Fault> {
        let (phone, input) = match to {
            To::User(id) => {
                let phone = self
                    .phones
                    .find(id)
                    .ok_or_else(|| Fault::new(131026, "Unable to deliver message."))?;
                (phone, id.clone())
            }
            To::Phone {
                input,
                plus,
                digits,
            } => {
                let digits = if *plus || !self.switches.country_code_rule {
                    digits.clone()
                } else {
                    format!("{COUNTRY}{digits}")
                };
                if digits == DISPLAY {
                    return Err(Fault::new(
                        131021,
                        "Sender and recipient phone number is the same.",
                    ));
                }
                (self.phones.dial(&digits), input.clone())
            }
        };
        let key = self.phones.0[phone].key();
        if self
            .switches
            .allowed_only
            .as_ref()
            .is_some_and(|allowed| !allowed.iter().any(|id| id == key))
        {
            return Err(Fault::new(
                131030,
                "Recipient phone number not in allowed list.",
            ));
        }
        Ok((phone, input))
    }

    /// A message was accepted: what happens to it comes by status.
    pub(super) fn take(&mut self, now: Timestamp, mut taken: Taken) {
        let phone = &self.phones.0[taken.phone];
        let offline = self
            .switches
            .not_on_whatsapp
            .iter()
            .any(|id| id == phone.key());
        let mut fault = taken.fails.take();
        if let Some((code, left)) = &mut self.switches.fail_later
            && *left > 0
        {
            *left -= 1;
            fault = Some(Fault::new(*code, "Switched on in the sandbox."));
        }
        if offline {
            fault = Some(Fault::new(131026, "Message Undeliverable."));
        }
        if taken.free && !phone.window_open(now) {
            fault = Some(closed());
        }
        let blocked = phone.blocked;
        if fault.is_some() || blocked {
            let mut note = json!({"to": phone.key(), "id": taken.id, "message": taken.shown});
            note["why"] = fault
                .as_ref()
                .map_or(json!("blocked by the customer"), Fault::in_status);
            self.undelivered.push(note);
            if self.undelivered.len() > MAX_NOTES {
                self.undelivered.remove(0);
            }
        }
        let statuses: &[&'static str] = match (&fault, blocked, self.switches.skip_delivered) {
            (Some(_), ..) => &["failed"],
            // One grey tick for ever.
            (None, true, _) => &["sent"],
            (None, false, true) => &["sent", "read"],
            (None, false, false) if self.switches.auto_read => &["sent", "delivered", "read"],
            (None, false, false) => &["sent", "delivered"],
        };
        let last = statuses.last().copied().unwrap_or("sent");
        for (n, status) in statuses.iter().enumerate() {
            let n = if self.switches.reorder_statuses {
                statuses.len() - 1 - n
            } else {
                n
            };
            let wait = i64::from(self.switches.status_delay_ms) * (n as i64 + 1);
            let due = now
                .saturating_add(SignedDuration::from_millis(wait))
                .unwrap_or(now);
            self.status(
                due,
                taken.phone,
                &taken.id,
                taken.reference.as_deref(),
                status,
                fault.as_ref(),
            );
        }
        if fault.is_none() && !blocked {
            if let Some(reference) = &taken.reference {
                taken
                    .shown
                    .insert("reference".into(), reference.as_str().into());
            }
            let entry = Entry {
                id: taken.id,
                outbound: true,
                status: last,
                shown: taken.shown,
            };
            self.phones.0[taken.phone].show(entry);
        }
    }

    /// Queues a status webhook.
    pub(super) fn status(
        &mut self,
        due: Timestamp,
        phone: usize,
        id: &str,
        reference: Option<&str>,
        word: &str,
        fault: Option<&Fault>,
    ) {
        if self.switches.drop_statuses {
            return;
        }
        if !self.switches.api.is_meta() {
            let times = 1 + usize::from(self.switches.duplicate_statuses);
            for _ in 0..times {
                self.gateway_status(due, phone, id, word, fault);
            }
            return;
        }
        let customer = &self.phones.0[phone];
        let mut status =
            json!({"id": id, "status": word, "timestamp": due.as_second().to_string()});
        if !customer.hides_number {
            status["recipient_id"] = customer.wa_id.clone().into();
        }
        if let Some(user_id) = &customer.user_id {
            status["recipient_user_id"] = user_id.as_str().into();
        }
        if let Some(reference) = reference.filter(|_| !self.switches.omit_callback_data) {
            status["biz_opaque_callback_data"] = reference.into();
        }
        if let Some(fault) = fault {
            status["errors"] = json!([fault.in_status()]);
        }
        let mut value = json!({"statuses": [status]});
        if fault.is_none() {
            value["contacts"] = json!([contact(customer)]);
        }
        let times = if self.switches.duplicate_statuses {
            2
        } else {
            1
        };
        for _ in 0..times {
            self.webhook(due, value.clone());
        }
    }

    /// Queues a webhook of the field `messages`.
    pub(super) fn webhook(&mut self, due: Timestamp, mut value: Value) {
        value["messaging_product"] = "whatsapp".into();
        value["metadata"] = json!({"display_phone_number": DISPLAY, "phone_number_id": NUMBER_ID});
        let change = json!({"field": "messages", "value": value});
        let entry = json!({"id": WABA, "changes": [change]});
        self.hooks.push(
            due,
            &json!({"object": "whatsapp_business_account", "entry": [entry]}),
        );
    }

    pub(super) fn wamid(&mut self) -> String {
        self.made += 1;
        format!(
            "wamid.{}",
            STANDARD.encode(format!("HBgL{NUMBER_ID}FQIAERgS{:012}", self.made))
        )
    }
}

/// The Graph API takes a parameter that is a list or an object also as JSON in a text, as some clients send
/// contact cards. <https://developers.facebook.com/docs/graph-api/overview>
fn read_texts(mut body: Value) -> Value {
    for (_, member) in body.as_object_mut().into_iter().flatten() {
        let text = member.as_str().filter(|text| text.starts_with(['[', '{']));
        if let Some(read) = text.and_then(|text| serde_json::from_str(text).ok()) {
            *member = read;
        }
    }
    body
}

/// A customer as webhooks name them.
pub(super) fn contact(phone: &Phone) -> Value {
    let mut contact = json!({"profile": {"name": phone.name}});
    if let Some(username) = &phone.username {
        contact["profile"]["username"] = username.as_str().into();
    }
    if let Some(wa_id) = phone.wa_id.as_ref().filter(|_| !phone.hides_number) {
        contact["wa_id"] = wa_id.as_str().into();
    }
    if let Some(user_id) = &phone.user_id {
        contact["user_id"] = user_id.as_str().into();
    }
    contact
}

fn closed() -> Fault {
    let details = "Message failed to send because more than 24 hours have passed since the customer last replied to this \
                   number.";
    Fault::new(131047, details)
}
