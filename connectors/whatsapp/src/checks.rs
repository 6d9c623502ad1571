//! What `check --live` looks at: the token, each phone number, and the fallback template; of a gateway,
//! whether it is there and takes the key.

use handoffd_contract::{Check, Finding, HttpCall, HttpReply};
use serde_json::Value;

use crate::errors::Failure;
use crate::errors::codes::Class;
use crate::exit::{Exit, Provider};
use crate::http;
use crate::settings::{Fallback, Settings};

const KEY: &str = "gateway and key";
const NUMBER: &str = "phone number and access token";
const TEMPLATE: &str = "fallback template";

/// The calls.
pub(crate) fn checks(settings: &Settings) -> Vec<Check> {
    let numbers = match &settings.exit {
        Exit::CloudApi {
            provider: Provider::Dialog360,
            ..
        } => {
            let call = HttpCall::get("/v1/configs/webhook");
            return vec![Check { what: KEY, call }];
        }
        Exit::CloudApi { numbers, .. } => numbers,
        Exit::Http(gateway) => {
            let numbers = gateway.numbers();
            let calls = numbers
                .iter()
                .filter_map(|number| http::check(gateway, number));
            return calls.map(|call| Check { what: KEY, call }).collect();
        }
        Exit::Gateway { .. } => return Vec::new(),
    };
    let version = &settings.version;
    let mut checks: Vec<Check> = numbers
        .ids()
        .into_iter()
        .map(|id| {
            let call = HttpCall::get(format!("/{version}/{id}")).query(
                "fields",
                "id,display_phone_number,verified_name,quality_rating",
            );
            Check { what: NUMBER, call }
        })
        .collect();
    if let (Some(waba), Some(template)) = (&settings.waba_id, &settings.fallback) {
        let call = HttpCall::get(format!("/{version}/{waba}/message_templates"))
            .query("name", &template.name)
            .query("fields", "name,status,language,category,components")
            .query("limit", "100");
        checks.push(Check {
            what: TEMPLATE,
            call,
        });
    }
    checks
}

/// What a reply means.
pub(crate) fn checked(settings: &Settings, check: &Check, reply: &HttpReply) -> Vec<Finding> {
    if let Exit::Http(gateway) = &settings.exit {
        return vec![http::checked(gateway, check, reply)];
    }
    if !reply.ok() {
        let failure = Failure::of(reply);
        let remedy = match failure.class {
            Class::Auth => {
                "the access token is not accepted, or lacks whatsapp_business_messaging or \
                 whatsapp_business_management; make a new one for the system user"
            }
            Class::Account => {
                "the id does not exist, or the token may not see it; compare it with WhatsApp Manager"
            }
            _ => "try again later",
        };
        return vec![Finding::missing(
            check.what,
            format!("{remedy} ({})", failure.message),
        )];
    }
    let body = reply.json().unwrap_or_default();
    match (check.what, &settings.fallback) {
        (NUMBER, _) => vec![number(&body)],
        (TEMPLATE, Some(template)) => templates(&body, template),
        _ => vec![Finding::ok(check.what)],
    }
}

fn number(body: &Value) -> Finding {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    match text("display_phone_number") {
        None => Finding::missing(
            NUMBER,
            "the id is not a phone number's; take \"Phone number ID\" from API setup",
        ),
        Some(shown) if text("quality_rating") == Some("RED") => Finding::missing(
            NUMBER,
            format!("{shown} has quality RED: Meta may restrict it"),
        ),
        Some(shown) => Finding::ok(format!("{NUMBER}: {shown}")),
    }
}

/// One finding for each language that may be used.
fn templates(body: &Value, wanted: &Fallback) -> Vec<Finding> {
    let mut languages: Vec<&String> = wanted
        .languages
        .values()
        .chain([&wanted.language])
        .collect();
    languages.sort();
    languages.dedup();
    let found: Vec<&Value> = body
        .get("data")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    languages
        .into_iter()
        .map(|language| {
            let what = format!("{TEMPLATE} {} in {language}", wanted.name);
            let is = |template: &&&Value, field: &str, text: &str| template.get(field).and_then(Value::as_str) == Some(text);
            let template = found.iter().find(|t| is(t, "name", &wanted.name) && is(t, "language", language));
            let Some(template) = template else {
                return Finding::missing(what, "does not exist; create it in WhatsApp Manager and have it approved");
            };
            let status = template.get("status").and_then(Value::as_str).unwrap_or("unknown");
            let (takes, given) = (parameters(template), wanted.parameters.len());
            if status != "APPROVED" {
                Finding::missing(what, format!("is {status} and not APPROVED; wait for the review or choose another one"))
            } else if takes != given {
                Finding::missing(what, format!("takes {takes} body parameters; `fallback_template.parameters` gives {given}"))
            } else {
                Finding::ok(what)
            }
        })
        .collect()
}

/// How many parameters a template's body takes.
fn parameters(template: &Value) -> usize {
    let components = template
        .get("components")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    components
        .filter(|component| component.get("type").and_then(Value::as_str) == Some("BODY"))
        .filter_map(|component| component.get("text").and_then(Value::as_str))
        .map(|text| text.matches("{{").count())
        .sum()
}
