//! HubSpot's answers: what every status means, and HubSpot's own words.
//!
//! <https://developers.hubspot.com/docs/api-reference/error-handling>

mod body;

use std::time::Duration;

use handoffd_contract::{Body, Call, Effect, HttpReply, Reason, Step, Stop, Verdict};
use serde_json::Value;

pub use body::{Fault, conflicts, existing_id, faults, is_conflict, scopes};

/// HubSpot's own words, without anything that the request carried as text.
#[must_use]
pub fn words(step: &Step, reply: &HttpReply) -> String {
    let Some(body) = reply.json().filter(Value::is_object) else {
        return format!("answered {} without HubSpot's error body", reply.status);
    };
    let category = ["category", "errorType", "error"]
        .iter()
        .find_map(|name| body[*name].as_str())
        .unwrap_or("error");
    let faults = faults(&body);
    let mut text = if faults.is_empty() {
        clean(step, body["message"].as_str().unwrap_or("no message"))
    } else {
        let one = |fault: &Fault| format!("{} {}", fault.field, fault.code);
        faults.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let scopes = scopes(&body);
    if !scopes.is_empty() {
        text = format!("the token needs {} ({text})", scopes.join(" or "));
    }
    format!("{} {category}: {text}", reply.status)
}

/// A message without the values that the request carried: they may be what a customer wrote.
fn clean(step: &Step, message: &str) -> String {
    let mut message: String = message.chars().take(600).collect();
    if let Call::Http(call) = &step.call
        && let Body::Json(body) = &call.body
    {
        let mut texts = Vec::new();
        strings(body, &mut texts);
        for text in texts {
            // Ids and names are what an operator needs; longer texts and everything with spaces go.
            if text.len() > 40 || text.contains(char::is_whitespace) {
                message = message.replace(text, "…");
            }
            let head: String = text.chars().take(40).collect();
            if text.len() > 40
                && let Some(at) = message.find(&head)
            {
                message.truncate(at);
                message.push('…');
            }
        }
    }
    message.chars().take(240).collect()
}

fn strings<'v>(value: &'v Value, into: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        Value::Object(map) => map.values().for_each(|value| strings(value, into)),
        _ => {}
    }
}

/// What an answer means that the step has no use for. The caller has looked at the statuses that
/// mean something to it.
#[must_use]
pub fn otherwise(step: &Step, reply: &HttpReply) -> Verdict {
    let stop = |reason| Stop::new(reason, words(step, reply));
    let later = |reason, after: Option<u64>, effect| Verdict::Later {
        stop: stop(reason),
        after: after.map(Duration::from_secs),
        effect,
    };
    let json = reply.json().filter(Value::is_object);
    match reply.status {
        // Success that cannot be read: something may have happened.
        200..=299 => later(Reason::ServerError, None, Effect::Possible),
        300..=399 => Verdict::Later {
            stop: Stop::new(
                Reason::Unreachable,
                format!("answered {} (a redirect): is `base` right?", reply.status),
            ),
            after: None,
            effect: Effect::None,
        },
        401 => later(Reason::Unauthorized, None, Effect::None),
        // Without HubSpot's body it comes from something in between.
        403 if json.is_none() => later(Reason::ServerError, None, Effect::None),
        403 => Verdict::Never(stop(Reason::Forbidden)),
        404 => Verdict::Never(stop(Reason::NotFound)),
        408 => later(Reason::TimedOut, reply.retry_after(), Effect::Possible),
        409 => later(Reason::Conflict, None, Effect::None),
        413 => Verdict::Never(stop(Reason::TooLarge)),
        // A lock lasts two seconds.
        423 => later(
            Reason::Conflict,
            Some(reply.retry_after().unwrap_or(2).max(2)),
            Effect::None,
        ),
        429 => later(Reason::RateLimited, Some(pause(reply)), Effect::None),
        // The portal moves to another data centre.
        477 => later(
            Reason::ServerError,
            Some(reply.retry_after().unwrap_or(600)),
            Effect::None,
        ),
        500.. => later(Reason::ServerError, reply.retry_after(), Effect::Possible),
        _ => Verdict::Never(stop(Reason::Invalid)),
    }
}

/// Seconds to wait after a 429: as told, else by the policy. `Retry-After` is not documented here; a
/// day's limit ends at the portal's midnight, which is not known here, so it is asked again.
fn pause(reply: &HttpReply) -> u64 {
    if let Some(seconds) = reply.retry_after() {
        return seconds;
    }
    let body = reply.json().unwrap_or_default();
    let message = body["message"].as_str().unwrap_or_default();
    match body["policyName"].as_str().unwrap_or_default() {
        "DAILY" => 900,
        "SECONDLY" => 1,
        "TEN_SECONDLY_ROLLING" => 10,
        _ if message.contains("daily limit") => 900,
        _ if message.contains("your secondly limit") => 1,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoffd_contract::HttpCall;
    use serde_json::json;

    fn reply(status: u16, body: &Value) -> HttpReply {
        HttpReply {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    fn step() -> Step {
        let body = json!({"properties": {"content": "my card number is 4000 1234", "wa_id": "4915112345678"}});
        Step::look("ticket.create", HttpCall::post("/x", body))
    }

    #[test]
    fn words_hold_no_text_of_the_customer() {
        let told = |message: &str| {
            words(
                &step(),
                &reply(
                    400,
                    &json!({"category": "VALIDATION_ERROR", "message": message}),
                ),
            )
        };
        assert_eq!(
            told("bad value my card number is 4000 1234 here"),
            "400 VALIDATION_ERROR: bad value … here"
        );
        assert!(told("4915112345678 is taken").contains("4915112345678"));
        let html = HttpReply {
            status: 400,
            body: b"<html>secret".to_vec(),
            ..HttpReply::default()
        };
        assert_eq!(
            words(&step(), &html),
            "400"
                .to_owned()
                .replace("400", "answered 400 without HubSpot's error body")
        );
    }

    #[test]
    fn a_missing_scope_is_named() {
        let body = json!({"status": "error", "category": "MISSING_SCOPES", "message": "This app hasn't been granted all required scopes",
            "errors": [{"message": "one or more", "context": {"requiredGranularScopes": ["tickets"]}}]});
        let Verdict::Never(stop) = otherwise(&step(), &reply(403, &body)) else {
            panic!("parks")
        };
        assert_eq!(stop.reason, Reason::Forbidden);
        assert!(
            stop.message.contains("the token needs tickets"),
            "{}",
            stop.message
        );
    }

    #[test]
    fn every_status_has_its_meaning() {
        let later = |reason, seconds: Option<u64>, effect| (Some(reason), seconds, Some(effect));
        let never = |reason| (Some(reason), None, None);
        let html = HttpReply {
            status: 502,
            body: b"<html>Bad gateway".to_vec(),
            ..HttpReply::default()
        };
        let limit = |policy: &str| {
            reply(
                429,
                &json!({"errorType": "RATE_LIMIT", "policyName": policy, "message": "x"}),
            )
        };
        let mut told = limit("DAILY");
        told.headers.push(("retry-after".into(), "7".into()));
        let secondly = reply(
            429,
            &json!({"message": "You have reached your secondly limit."}),
        );
        let table = [
            (
                HttpReply {
                    status: 201,
                    body: b"{".to_vec(),
                    ..HttpReply::default()
                },
                later(Reason::ServerError, None, Effect::Possible),
            ),
            (
                HttpReply {
                    status: 302,
                    ..HttpReply::default()
                },
                later(Reason::Unreachable, None, Effect::None),
            ),
            (reply(400, &json!({})), never(Reason::Invalid)),
            (
                reply(401, &json!({"category": "EXPIRED_AUTHENTICATION"})),
                later(Reason::Unauthorized, None, Effect::None),
            ),
            (
                HttpReply {
                    status: 403,
                    body: b"<html>".to_vec(),
                    ..HttpReply::default()
                },
                later(Reason::ServerError, None, Effect::None),
            ),
            (
                reply(403, &json!({"category": "BANNED"})),
                never(Reason::Forbidden),
            ),
            (reply(404, &json!({})), never(Reason::NotFound)),
            (
                reply(408, &json!({})),
                later(Reason::TimedOut, None, Effect::Possible),
            ),
            (
                reply(409, &json!({})),
                later(Reason::Conflict, None, Effect::None),
            ),
            (reply(413, &json!({})), never(Reason::TooLarge)),
            (reply(415, &json!({})), never(Reason::Invalid)),
            (reply(422, &json!({})), never(Reason::Invalid)),
            (
                reply(423, &json!({})),
                later(Reason::Conflict, Some(2), Effect::None),
            ),
            (
                limit("TEN_SECONDLY_ROLLING"),
                later(Reason::RateLimited, Some(10), Effect::None),
            ),
            (
                limit("DAILY"),
                later(Reason::RateLimited, Some(900), Effect::None),
            ),
            (told, later(Reason::RateLimited, Some(7), Effect::None)),
            (secondly, later(Reason::RateLimited, Some(1), Effect::None)),
            (
                reply(477, &json!({})),
                later(Reason::ServerError, Some(600), Effect::None),
            ),
            (html, later(Reason::ServerError, None, Effect::Possible)),
            (
                reply(524, &json!({})),
                later(Reason::ServerError, None, Effect::Possible),
            ),
        ];
        for (reply, wanted) in table {
            let found = match otherwise(&step(), &reply) {
                Verdict::Later {
                    stop,
                    after,
                    effect,
                } => (Some(stop.reason), after.map(|d| d.as_secs()), Some(effect)),
                Verdict::Never(stop) => (Some(stop.reason), None, None),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, wanted, "{}", reply.status);
        }
    }
}
