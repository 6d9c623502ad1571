//! A simulator of WhatsApp's Cloud API, of the customers' phones behind it, and of a gateway that
//! takes `reply.requested`.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `mod` | addresses, token, routing; a message's way from acceptance to the phone |
//! | `shape` | the strict shape of a send |
//! | `templates`, `media` | templates; files |
//! | `phones`, `acts` | customers, what they see and do |
//! | `hooks` | signed webhooks and their repeats |
//! | `gateway` | what comes over the exchange |
//! | `fault`, `switches` | error answers; what can be switched |

mod acts;
mod fault;
mod gateway;
mod hooks;
mod media;
mod phones;
mod shape;
mod switches;
mod templates;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::Auth;
use handoffd_contract::sandbox::{Delivery, Limit, Request, Response, Sandbox};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use fault::Fault;
use phones::{Entry, Phone, Phones};
use shape::{Send, To};
use switches::Switches;

const TOKEN: &str = "EAASandboxToken";
const APP_SECRET: &str = "sandbox-app-secret";
const VERIFY_TOKEN: &str = "sandbox-verify-token";
const NUMBER_ID: &str = "106540352242922";
const WABA: &str = "102290129340398";
const DISPLAY: &str = "15550783881";
/// The business number's country code, which goes before an address without `+`.
const COUNTRY: &str = "1";
/// Messages that one customer may get at once; one more every six seconds.
const PAIR_BURST: i64 = 45;
const PAIR_MS: i64 = 6_000;
/// Facts kept for a judge, at most.
const MAX_NOTES: usize = 10_000;

/// The simulator.
pub(crate) struct Meta {
    switches: Switches,
    phones: Phones,
    files: media::Files,
    templates: Vec<templates::Template>,
    hooks: hooks::Hooks,
    gateway: gateway::Gateway,
    second: Limit,
    /// Per customer: milliseconds until which the bucket is used up.
    pairs: BTreeMap<String, i64>,
    /// Accepted and not on any phone, with the reason.
    undelivered: Vec<Value>,
    made: u64,
}

impl Default for Meta {
    fn default() -> Meta {
        Meta {
            switches: Switches::default(),
            phones: Phones::default(),
            files: media::Files::default(),
            templates: templates::shipped(),
            hooks: hooks::Hooks::default(),
            gateway: gateway::Gateway::default(),
            second: Limit::new(80, 1_000),
            pairs: BTreeMap::new(),
            undelivered: Vec::new(),
            made: 0,
        }
    }
}

impl Sandbox for Meta {
    fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        self.made += 1;
        let trace = self.made;
        if request.method == "PUBLISH" {
            return self.publish(now, request);
        }
        self.route(now, request)
            .unwrap_or_else(|fault| fault.response(trace))
    }

    fn deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.hooks.due(now, APP_SECRET)
    }

    fn delivered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        self.hooks.answered(now, id, status);
    }

    fn view(&self) -> Value {
        let phones: Map<String, Value> = self
            .phones
            .0
            .iter()
            .map(|phone| (phone.key().to_owned(), phone.view()))
            .collect();
        json!({
            "phones": phones,
            "undelivered": self.undelivered,
            "gateway": self.gateway.view(),
            "webhooks": {"waiting": self.hooks.waiting(), "given_up": self.hooks.given_up},
        })
    }

    fn act(&mut self, now: Timestamp, act: &Value) -> Result<Value, String> {
        acts::act(self, now, act)
    }

    fn switch(&mut self, name: &str, value: &Value) -> Result<(), String> {
        switches::set(self, name, value)
    }

    fn credentials(&self, base: &str) -> Value {
        json!({
            "settings": {
                "exit": "cloud_api",
                "base_url": base,
                "version": "v25.0",
                "phone_number_id": NUMBER_ID,
                "waba_id": WABA,
                "access_token": "whatsapp_token",
                "webhooks": {"app_secret": "whatsapp_app_secret", "verify_token": "whatsapp_verify_token"},
                "fallback_template": {"name": "handoff_reply", "language": "en_US", "languages": {"de": "de"}},
            },
            "secrets": {
                "whatsapp_token": TOKEN,
                "whatsapp_app_secret": APP_SECRET,
                "whatsapp_verify_token": VERIFY_TOKEN,
            },
        })
    }

    fn sign_in(&mut self, _now: Timestamp, auth: &Auth) -> Vec<(String, String)> {
        match auth {
            Auth::None => Vec::new(),
            Auth::Target | Auth::Customer { .. } => {
                vec![("authorization".into(), format!("Bearer {TOKEN}"))]
            }
        }
    }
}

/// A message that was taken, on its way to a phone.
struct Taken {
    phone: usize,
    id: String,
    reference: Option<String>,
    /// Needs an open window.
    free: bool,
    shown: Map<String, Value>,
    fails: Option<Fault>,
}

impl Meta {
    fn limit_number(&mut self, per_second: usize) {
        self.second = Limit::new(per_second, 1_000);
    }

    fn route(&mut self, now: Timestamp, request: &Request) -> Result<Response, Fault> {
        self.authorise(request)?;
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        if let ("GET", ["whatsapp_business", "attachments"]) = (method, &path[..]) {
            return Ok(match self.files.fetch(now, request) {
                Some(file) => Response {
                    body: file.bytes.clone(),
                    ..Response::empty(200)
                }
                .with("content-type", &file.mime),
                None => Response::empty(404),
            });
        }
        let Some((version, rest)) = path
            .split_first()
            .filter(|(version, _)| is_version(version))
        else {
            return Err(Fault {
                code: 2500,
                ..Fault::invalid("Unknown path components")
            });
        };
        let _ = version;
        match (method, rest) {
            ("POST", [id, "messages"]) if *id == NUMBER_ID => self.post(now, request),
            ("POST", [id, "media"]) if *id == NUMBER_ID => {
                let id = self.files.upload(now, request)?;
                Ok(Response::json(200, &json!({"id": id})))
            }
            ("GET", [id]) if *id == NUMBER_ID => number(request),
            ("GET", [id, "message_templates"]) if *id == WABA => Ok(self.list_templates(request)),
            ("GET", [id]) => {
                let host = request.header("host").map(|host| format!("http://{host}"));
                let base = self
                    .switches
                    .public_base
                    .clone()
                    .or(host)
                    .unwrap_or_else(|| "https://lookaside.fbsbx.com".into());
                let found = self
                    .files
                    .describe(now, id, &base)
                    .ok_or_else(|| Fault::unknown_object(id))?;
                Ok(Response::json(200, &found))
            }
            ("DELETE", [id]) if self.files.delete(id) => {
                Ok(Response::json(200, &json!({"success": true})))
            }
            (_, [id, ..]) => Err(Fault::unknown_object(id)),
            (_, []) => Err(Fault {
                code: 2500,
                ..Fault::invalid("Unknown path components")
            }),
        }
    }

    fn authorise(&self, request: &Request) -> Result<(), Fault> {
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        match token {
            Some(TOKEN) if !self.switches.token_expired => Ok(()),
            Some(TOKEN) => Err(Fault::new(
                190,
                "Error validating access token: Session has expired.",
            )),
            Some(_) => Err(Fault::new(
                190,
                "Invalid OAuth access token - Cannot parse access token",
            )),
            None => Err(Fault::new(
                190,
                "An access token is required to request this resource.",
            )),
        }
    }

    fn post(&mut self, now: Timestamp, request: &Request) -> Result<Response, Fault> {
        let json = request
            .header("content-type")
            .is_some_and(|mime| mime.starts_with("application/json"));
        let body = request
            .json()
            .filter(|_| json)
            .ok_or_else(|| Fault::invalid("The body must be JSON."))?;
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
                let digits = if *plus {
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

    /// What the phone will show, and why it will not, when the content turns out to be unusable.
    fn render(
        &self,
        now: Timestamp,
        send: &Send<'_>,
    ) -> Result<(Map<String, Value>, Option<Fault>), Fault> {
        let mut shown = Map::new();
        shown.insert("type".into(), send.kind.into());
        if let Some(context) = send.context {
            shown.insert("answers".into(), context.into());
        }
        let mut fails = None;
        match send.kind {
            "template" => {
                shown.insert("template".into(), send.object["name"].clone());
                shown.insert(
                    "text".into(),
                    templates::hydrate(&self.templates, send.object)?.into(),
                );
            }
            "text" => {
                shown.insert("text".into(), send.object["body"].clone());
            }
            "interactive" => interactive(send.object, &mut shown),
            "image" | "video" | "audio" | "document" | "sticker" => {
                fails = self.render_file(now, send, &mut shown)?;
            }
            _ => {
                shown.insert("content".into(), Value::Object(send.object.clone()));
            }
        }
        Ok((shown, fails))
    }

    fn render_file(
        &self,
        now: Timestamp,
        send: &Send<'_>,
        shown: &mut Map<String, Value>,
    ) -> Result<Option<Fault>, Fault> {
        let text = |name: &str| send.object.get(name).and_then(Value::as_str);
        for (field, value) in [("caption", text("caption")), ("link", text("link"))] {
            if let Some(value) = value {
                shown.insert(field.into(), value.into());
            }
        }
        if send.object.get("voice").and_then(Value::as_bool) == Some(true) {
            shown.insert("voice_note".into(), true.into());
        }
        let Some(id) = text("id") else {
            return Ok(None);
        };
        let file = self.files.get(now, id).ok_or_else(|| {
            Fault::invalid(format!(
                "Param {}['id'] is not a valid whatsapp business account media attachment ID",
                send.kind
            ))
        })?;
        let name = text("filename")
            .map(str::to_owned)
            .or_else(|| file.name.clone().filter(|_| send.kind == "document"));
        if let Some(name) = name {
            shown.insert("file_name".into(), name.into());
        }
        shown.insert("mime".into(), file.mime.as_str().into());
        shown.insert("bytes".into(), file.bytes.len().into());
        shown.insert("sha256".into(), file.hex().into());
        let kind =
            crate::parts::media_kind(&file.mime, handoffd_contract::event::AttachmentKind::Other);
        // A document may be of any type; the others must match.
        let fits = send.kind == "document" || kind.is_some_and(|kind| kind.word() == send.kind);
        Ok((!fits).then(|| {
            Fault::new(
                131053,
                format!("A {} cannot be sent as {}.", file.mime, send.kind),
            )
        }))
    }

    /// A message was accepted: what happens to it comes by status.
    fn take(&mut self, now: Timestamp, mut taken: Taken) {
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
    fn status(
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
    fn webhook(&mut self, due: Timestamp, mut value: Value) {
        value["messaging_product"] = "whatsapp".into();
        value["metadata"] = json!({"display_phone_number": DISPLAY, "phone_number_id": NUMBER_ID});
        let change = json!({"field": "messages", "value": value});
        let entry = json!({"id": WABA, "changes": [change]});
        self.hooks.push(
            due,
            &json!({"object": "whatsapp_business_account", "entry": [entry]}),
        );
    }

    fn wamid(&mut self) -> String {
        self.made += 1;
        format!(
            "wamid.{}",
            STANDARD.encode(format!("HBgL{NUMBER_ID}FQIAERgS{:012}", self.made))
        )
    }

    fn list_templates(&self, request: &Request) -> Response {
        let limit = request
            .param("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(25usize)
            .max(1);
        let after: usize = request
            .param("after")
            .and_then(|after| after.parse().ok())
            .unwrap_or(0);
        let wanted =
            |field: &str, value: &str| request.param(field).is_none_or(|wanted| wanted == value);
        let all: Vec<Value> = self
            .templates
            .iter()
            .enumerate()
            .filter(|(_, t)| {
                wanted("name", &t.name)
                    && wanted("status", &t.status)
                    && wanted("language", &t.language)
            })
            .map(|(n, template)| template.listed(n))
            .collect();
        let page: Vec<&Value> = all.iter().skip(after).take(limit).collect();
        let end = after + page.len();
        let mut body = json!({"data": page, "paging": {"cursors": {"before": after.to_string(), "after": end.to_string()}}});
        if end < all.len() {
            body["paging"]["next"] =
                format!("https://graph.facebook.com/v25.0/{WABA}/message_templates?after={end}")
                    .into();
        }
        Response::json(200, &body)
    }
}

fn number(request: &Request) -> Result<Response, Fault> {
    let all = json!({
        "id": NUMBER_ID,
        "display_phone_number": "+1 555-078-3881",
        "verified_name": "Sandbox Shop",
        "quality_rating": "GREEN",
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
    });
    let Some(fields) = request.param("fields") else {
        return Ok(Response::json(200, &all));
    };
    let mut picked = Map::new();
    for field in fields.split(',').map(str::trim) {
        let value = all.get(field).ok_or_else(|| {
            Fault::invalid(format!("Tried accessing nonexisting field ({field}) on node type (WhatsAppBusinessPhoneNumber)"))
        })?;
        picked.insert(field.to_owned(), value.clone());
    }
    Ok(Response::json(200, &Value::Object(picked)))
}

/// What the phone shows of something to choose from.
fn interactive(object: &Map<String, Value>, shown: &mut Map<String, Value>) {
    let object = Value::Object(object.clone());
    shown.insert("text".into(), object["body"]["text"].clone());
    let titles = |list: &Value, path: &str| -> Vec<Value> {
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item.pointer(path).cloned())
            .collect()
    };
    if object["type"] == "button" {
        shown.insert(
            "buttons".into(),
            titles(&object["action"]["buttons"], "/reply/title").into(),
        );
    }
    if object["type"] == "list" {
        let sections = object["action"]["sections"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let rows: Vec<Value> = sections
            .iter()
            .flat_map(|section| titles(&section["rows"], "/title"))
            .collect();
        shown.insert("list".into(), rows.into());
    }
}

/// A customer as webhooks name them.
fn contact(phone: &Phone) -> Value {
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

fn is_version(text: &str) -> bool {
    text.strip_prefix('v')
        .and_then(|rest| rest.strip_suffix(".0"))
        .is_some_and(|major| {
            matches!(major.len(), 1 | 2) && major.bytes().all(|b| b.is_ascii_digit())
        })
}
