//! A reply of the Cloud API that is not a success, understood.

pub(crate) mod codes;

use std::time::Duration;

use handoffd_contract::HttpReply;
use serde_json::Value;

use codes::{Class, lookup};

/// A reply that is not a success.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// What it means.
    pub(crate) class: Class,
    /// WhatsApp's code, when it gave one.
    pub(crate) code: Option<i64>,
    /// WhatsApp's own words.
    pub(crate) message: String,
    /// Not before this time.
    pub(crate) after: Option<Duration>,
}

impl Failure {
    /// Understands a reply that is not a success.
    pub(crate) fn of(reply: &HttpReply) -> Failure {
        let after = reply
            .retry_after()
            .map(|seconds| Duration::from_secs(seconds.min(3_600)));
        let Some(error) = GraphError::of(reply) else {
            let class = match reply.status {
                // Nothing but the Cloud API answers these with an error object, so they come from
                // something in front of it or instead of it.
                401 | 403 | 407 => Class::Auth,
                408 | 500.. => Class::Ambiguous,
                413 | 415 => Class::Content,
                429 => Class::Number,
                200..=299 => Class::Ambiguous,
                _ => Class::Account,
            };
            let words = format!(
                "answered {} without an error of WhatsApp; look at `base_url` and `version`",
                reply.status
            );
            return Failure {
                class,
                code: None,
                message: words,
                after,
            };
        };
        let class = match lookup(error.code) {
            // The id in the path does not exist or is not visible to the token.
            // https://developers.facebook.com/docs/graph-api/guides/error-handling
            _ if error.code == 100 && error.subcode == Some(33) => Class::Account,
            Some((class, _)) => class,
            None if reply.status >= 500 => Class::Ambiguous,
            None if reply.status == 429 => Class::Number,
            None => Class::Content,
        };
        let after = if class == Class::App {
            usage_wait(reply).or(after)
        } else {
            after
        };
        Failure {
            class,
            code: Some(error.code),
            message: error.message,
            after,
        }
    }
}

struct GraphError {
    code: i64,
    subcode: Option<i64>,
    message: String,
}

impl GraphError {
    fn of(reply: &HttpReply) -> Option<GraphError> {
        let body = reply.json()?;
        let error = body.get("error")?;
        let code = integer(error.get("code")?)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // Some edges write `error_data` as a text.
        let details = error
            .get("error_data")
            .and_then(|data| text(data).or_else(|| data.get("details").and_then(text)));
        let trace = error
            .get("fbtrace_id")
            .and_then(text)
            .map(|id| format!("trace {id}"));
        let words: Vec<String> = [error.get("message").and_then(text), details, trace]
            .into_iter()
            .flatten()
            .filter(|words| !words.trim().is_empty())
            .map(|words| words.chars().take(160).collect())
            .collect();
        let words = if words.is_empty() {
            format!("code {code}")
        } else {
            words.join("; ")
        };
        Some(GraphError {
            code,
            subcode: error.get("error_subcode").and_then(integer),
            message: words,
        })
    }
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Minutes until the app may call again, as its usage header says; at most an hour.
fn usage_wait(reply: &HttpReply) -> Option<Duration> {
    let usage: Value = serde_json::from_str(reply.header("x-business-use-case-usage")?).ok()?;
    let minutes = usage
        .as_object()?
        .values()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|entry| entry.get("estimated_time_to_regain_access")?.as_u64())
        .max()?;
    (minutes > 0).then(|| Duration::from_secs(minutes.min(60) * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> HttpReply {
        HttpReply {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn the_code_decides_and_not_the_status() {
        let body = |code: i64| format!("{{\"error\":{{\"message\":\"m\",\"code\":{code}}}}}");
        assert_eq!(
            Failure::of(&reply(500, &body(131_045))).class,
            Class::Account
        );
        assert_eq!(Failure::of(&reply(500, &body(3))).class, Class::Auth);
        assert_eq!(Failure::of(&reply(400, &body(131_056))).class, Class::Pair);
        assert_eq!(
            Failure::of(&reply(400, &body(424_242))).class,
            Class::Content
        );
        assert_eq!(
            Failure::of(&reply(503, &body(424_242))).class,
            Class::Ambiguous
        );
        assert_eq!(Failure::of(&reply(502, "<html>")).class, Class::Ambiguous);
        assert_eq!(Failure::of(&reply(302, "")).class, Class::Account);
    }

    #[test]
    fn error_data_may_be_a_text_and_the_subcode_names_a_missing_number() {
        let body = r#"{"error":{"message":"(#100) x","code":"100","error_subcode":33,"error_data":"gone","fbtrace_id":"A1"}}"#;
        let failure = Failure::of(&reply(400, body));
        assert_eq!(failure.class, Class::Account);
        assert_eq!(failure.message, "(#100) x; gone; trace A1");
    }

    #[test]
    fn the_usage_header_says_how_long() {
        let mut throttled = reply(400, r#"{"error":{"message":"m","code":80007}}"#);
        throttled.headers.push((
            "x-business-use-case-usage".into(),
            r#"{"1":[{"type":"whatsapp","estimated_time_to_regain_access":5}]}"#.into(),
        ));
        assert_eq!(
            Failure::of(&throttled).after,
            Some(Duration::from_secs(300))
        );
    }
}
