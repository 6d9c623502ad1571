//! Documented uncertainties and faults that can be switched on.

use serde_json::Value;

use super::Meta;
use super::apis::Api;
use super::templates::Template;

/// What is switched how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Switches {
    /// The token is no longer accepted.
    pub(super) token_expired: bool,
    /// Free text outside the window is refused at once, not by a status.
    pub(super) window_error_sync: bool,
    /// From acceptance to `sent`, and from `sent` to `delivered`.
    pub(super) status_delay_ms: u32,
    /// `delivered` is left out, as when the customer has the chat open.
    pub(super) skip_delivered: bool,
    /// The customer reads at once.
    pub(super) auto_read: bool,
    /// `delivered` comes before `sent`.
    pub(super) reorder_statuses: bool,
    /// Every status comes twice.
    pub(super) duplicate_statuses: bool,
    /// No status comes.
    pub(super) drop_statuses: bool,
    /// Statuses come without our callback data.
    pub(super) omit_callback_data: bool,
    /// Messages per second of the number.
    pub(super) per_second: u32,
    /// One message per 6 seconds to a customer, 45 ahead of time.
    pub(super) pair_limit: bool,
    /// Sends that are refused with a code: the next so many.
    pub(super) fail_next: Option<(i64, u64)>,
    /// Sends that are accepted and fail later: the next so many.
    pub(super) fail_later: Option<(i64, u64)>,
    /// An address without `+` gets the business number's country code, as Meta documents; otherwise it is
    /// the number that it is, as clients write it.
    pub(super) country_code_rule: bool,
    /// A reaction opens the window.
    pub(super) reactions_open_window: bool,
    /// Numbers that have no WhatsApp.
    pub(super) not_on_whatsapp: Vec<String>,
    /// Only these may be written to, as with a test number.
    pub(super) allowed_only: Option<Vec<String>>,
    /// The gateway's queue is bound.
    pub(super) gateway_bound: bool,
    /// Whose API is served.
    pub(super) api: Api,
    /// WAHA's engine.
    pub(super) engine: String,
    /// What customers write leaves by webhooks before a gateway's own API.
    pub(super) customer_webhooks: bool,
    /// The public base address in media addresses; the request's host otherwise.
    pub(super) public_base: Option<String>,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            token_expired: false,
            window_error_sync: false,
            status_delay_ms: 300,
            skip_delivered: false,
            auto_read: false,
            reorder_statuses: false,
            duplicate_statuses: false,
            drop_statuses: false,
            omit_callback_data: false,
            per_second: 80,
            pair_limit: true,
            fail_next: None,
            fail_later: None,
            country_code_rule: false,
            reactions_open_window: false,
            not_on_whatsapp: Vec::new(),
            allowed_only: None,
            gateway_bound: true,
            api: Api::Meta,
            engine: "GOWS".to_owned(),
            customer_webhooks: true,
            public_base: None,
        }
    }
}

const NAMES: &str = "webhook_url, token_expired, window_error_sync, status_delay_ms, skip_delivered, auto_read, \
                     reorder_statuses, duplicate_statuses, drop_statuses, omit_callback_data, per_second, pair_limit, \
                     fail_next, fail_later, country_code_rule, reactions_open_window, not_on_whatsapp, allowed_only, gateway_bound, \
                      gateway, engine, customer_webhooks, public_base, template";

/// Sets one switch.
pub(super) fn set(meta: &mut Meta, name: &str, value: &Value) -> Result<(), String> {
    let switches = &mut meta.switches;
    match name {
        "webhook_url" => meta.hooks.url = optional(value)?,
        "token_expired" => switches.token_expired = flag(value)?,
        "window_error_sync" => switches.window_error_sync = flag(value)?,
        "status_delay_ms" => switches.status_delay_ms = number(value)?,
        "skip_delivered" => switches.skip_delivered = flag(value)?,
        "auto_read" => switches.auto_read = flag(value)?,
        "reorder_statuses" => switches.reorder_statuses = flag(value)?,
        "duplicate_statuses" => switches.duplicate_statuses = flag(value)?,
        "drop_statuses" => switches.drop_statuses = flag(value)?,
        "omit_callback_data" => switches.omit_callback_data = flag(value)?,
        "per_second" => {
            switches.per_second = number(value)?.max(1);
            meta.limit_number(switches_per_second(&meta.switches));
        }
        "pair_limit" => switches.pair_limit = flag(value)?,
        "fail_next" => switches.fail_next = failures(value)?,
        "fail_later" => switches.fail_later = failures(value)?,
        "country_code_rule" => switches.country_code_rule = flag(value)?,
        "reactions_open_window" => switches.reactions_open_window = flag(value)?,
        "not_on_whatsapp" => switches.not_on_whatsapp = texts(value)?,
        "allowed_only" => {
            switches.allowed_only = if value.is_null() {
                None
            } else {
                Some(texts(value)?)
            }
        }
        "gateway_bound" => switches.gateway_bound = flag(value)?,
        "gateway" => {
            let api = value.as_str().and_then(Api::named);
            switches.api =
                api.ok_or("expected meta, 360dialog, evolution, waha, chatwoot or twilio")?;
        }
        "engine" => {
            let engine = value
                .as_str()
                .filter(|word| ["WEBJS", "NOWEB", "GOWS"].contains(word));
            switches.engine = engine.ok_or("expected WEBJS, NOWEB or GOWS")?.to_owned();
        }
        "customer_webhooks" => switches.customer_webhooks = flag(value)?,
        "public_base" => switches.public_base = optional(value)?,
        "template" => {
            let template = template(value)?;
            meta.templates
                .retain(|t| t.name != template.name || t.language != template.language);
            meta.templates.push(template);
        }
        other => return Err(format!("there is no switch {other}; there are {NAMES}")),
    }
    Ok(())
}

fn switches_per_second(switches: &Switches) -> usize {
    switches.per_second as usize
}

fn flag(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "expected true or false".to_owned())
}

fn number(value: &Value) -> Result<u32, String> {
    value
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| "expected a whole number".to_owned())
}

fn optional(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err("expected a text or null".to_owned()),
    }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or("expected a list of texts")?;
    list.iter()
        .map(|text| {
            text.as_str()
                .map(str::to_owned)
                .ok_or_else(|| "expected a list of texts".to_owned())
        })
        .collect()
}

fn failures(value: &Value) -> Result<Option<(i64, u64)>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let code = value
        .get("code")
        .and_then(Value::as_i64)
        .ok_or("expected {\"code\": …, \"count\": …}")?;
    Ok(Some((
        code,
        value.get("count").and_then(Value::as_u64).unwrap_or(1),
    )))
}

fn template(value: &Value) -> Result<Template, String> {
    let text = |name: &str, default: Option<&str>| {
        value
            .get(name)
            .and_then(Value::as_str)
            .or(default)
            .map(str::to_owned)
            .ok_or(format!("{name} is missing"))
    };
    Ok(Template {
        name: text("name", None)?,
        language: text("language", Some("en_US"))?,
        status: text("status", Some("APPROVED"))?,
        category: text("category", Some("UTILITY"))?,
        body: text("body", None)?,
    })
}
