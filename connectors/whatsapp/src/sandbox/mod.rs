//! A simulator of WhatsApp's Cloud API, of the customers' phones behind it, of a gateway that takes
//! `reply.requested`, and of gateways' own APIs before the same phones.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `mod` | addresses, token, routing |
//! | `send` | a message's way from acceptance to the phone, and its statuses |
//! | `shape`, `interactive`, `node` | the strict shape of a send |
//! | `render` | what the phone shows of it |
//! | `templates`, `media` | templates; files |
//! | `account` | account, number, profile, subscribed apps, blocked users |
//! | `phones`, `acts`, `kinds` | customers, what they see and do |
//! | `hooks`, `sha1` | signed webhooks and their repeats |
//! | `gateway` | what comes over the exchange |
//! | `apis` | gateways' own APIs and webhooks |
//! | `fault`, `switches` | error answers; what can be switched |

mod account;
mod acts;
mod apis;
mod fault;
mod gateway;
mod hooks;
mod interactive;
mod kinds;
mod media;
mod node;
mod phones;
mod render;
mod send;
mod sha1;
mod shape;
mod switches;
mod templates;

use std::collections::BTreeMap;

use handoffd_contract::Auth;
use handoffd_contract::sandbox::{Delivery, Limit, Request, Response, Sandbox};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use apis::Api;
use fault::Fault;
use phones::Phones;
use switches::Switches;

const TOKEN: &str = "EAASandboxToken";
const APP_SECRET: &str = "sandbox-app-secret";
const VERIFY_TOKEN: &str = "sandbox-verify-token";
const NUMBER_ID: &str = "106540352242922";
const WABA: &str = "102290129340398";
const DISPLAY: &str = "15550783881";
/// The business number's country code, which goes before an address without `+`.
const COUNTRY: &str = "1";
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
    account: account::Account,
    second: Limit,
    /// Per customer: milliseconds until which the bucket is used up.
    pairs: BTreeMap<String, i64>,
    /// Accepted and not on any phone, with the reason.
    undelivered: Vec<Value>,
    /// Where statuses of a message go, if elsewhere than usual.
    callbacks: BTreeMap<String, String>,
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
            account: account::Account::default(),
            second: Limit::new(80, 1_000),
            pairs: BTreeMap::new(),
            undelivered: Vec::new(),
            callbacks: BTreeMap::new(),
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
        if !self.switches.api.is_meta() {
            return self.gateway_api(now, request);
        }
        self.route(now, request)
            .unwrap_or_else(|fault| fault.response(trace))
    }

    fn deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        let secret = match self.switches.api.is_meta() {
            true => APP_SECRET,
            false => self.switches.api.hook_secret(),
        };
        self.hooks.due(now, secret)
    }

    fn next_delivery(&self) -> Option<Timestamp> {
        self.hooks.next()
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
        if !self.switches.api.is_meta() {
            return self.switches.api.credentials(base);
        }
        if self.switches.api == Api::Dialog360 {
            let settings = json!({"exit": "cloud_api", "provider": "360dialog", "base_url": base,
                "access_token": "whatsapp_token"});
            return json!({"settings": settings, "secrets": {"whatsapp_token": TOKEN}});
        }
        json!({
            "settings": {
                "exit": "cloud_api",
                "base_url": base,
                "version": "v25.0",
                "phone_number_id": NUMBER_ID,
                "waba_id": WABA,
                "access_token": "whatsapp_token",
                "webhooks": {"app_secret": "whatsapp_app_secret", "verify_token": "whatsapp_verify_token",
                    "messages": "ignore"},
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
            Auth::Target | Auth::Customer { .. } | Auth::Signed { .. } => {
                vec![self.switches.api.sign_in()]
            }
        }
    }
}

impl Meta {
    fn limit_number(&mut self, per_second: usize) {
        self.second = Limit::new(per_second, 1_000);
    }

    fn route(&mut self, now: Timestamp, request: &Request) -> Result<Response, Fault> {
        self.authorise(request)?;
        let mut segments = request.segments();
        if self.switches.api == Api::Dialog360 {
            segments = dialog360(&segments);
        }
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        if let ("GET", ["v1", "configs", "webhook"]) = (method, &path[..]) {
            let url = self.hooks.url.clone();
            return Ok(Response::json(200, &json!({"url": url, "headers": {}})));
        }
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
        let Some((_, rest)) = path
            .split_first()
            .filter(|(version, _)| is_version(version))
        else {
            return Err(Fault {
                code: 2500,
                ..Fault::invalid("Unknown path components")
            });
        };
        if let Some(answer) = account::answer(self, now, request, rest) {
            return answer;
        }
        match (method, rest) {
            ("POST", [id, "messages"]) if *id == NUMBER_ID => self.post(now, request),
            ("POST", [id, "media"]) if *id == NUMBER_ID => {
                let id = self.files.upload(now, request)?;
                Ok(Response::json(200, &json!({"id": id})))
            }
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
        let token = match self.switches.api {
            Api::Dialog360 => request.header("d360-api-key"),
            _ => request
                .header("authorization")
                .and_then(|value| value.strip_prefix("Bearer ")),
        };
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
        let summary = json!({"total_count": all.len(), "message_template_count": self.templates.len(),
            "message_template_limit": 250, "are_translations_complete": true});
        let mut body = json!({"data": page, "summary": summary,
            "paging": {"cursors": {"before": after.to_string(), "after": end.to_string()}}});
        if end < all.len() {
            body["paging"]["next"] =
                format!("https://graph.facebook.com/v25.0/{WABA}/message_templates?after={end}")
                    .into();
        }
        Response::json(200, &body)
    }
}

/// 360dialog's paths as Meta's: neither version nor phone number id stands in them.
fn dialog360(segments: &[String]) -> Vec<String> {
    let own = |more: &[&str]| more.iter().map(|part| (*part).to_owned()).collect();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    match &path[..] {
        [edge @ ("messages" | "media")] => own(&["v25.0", NUMBER_ID, edge]),
        [id] if id.bytes().all(|b| b.is_ascii_digit()) => own(&["v25.0", id]),
        ["v1", "configs", "webhook"] | ["whatsapp_business", "attachments"] => segments.to_vec(),
        _ => Vec::new(),
    }
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v')
        .and_then(|rest| rest.strip_suffix(".0"))
        .is_some_and(|major| {
            matches!(major.len(), 1 | 2) && major.bytes().all(|b| b.is_ascii_digit())
        })
}
