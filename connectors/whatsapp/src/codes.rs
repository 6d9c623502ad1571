//! WhatsApp's error codes: what each says about the send, about who can mend it, and to the rep.
//!
//! One decides by the code and never by the HTTP status: 3 and 131045 came with 500 and are
//! permanent, throttles come with 400.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>

use std::time::Duration;

use handoffd_contract::HttpReply;
use serde_json::Value;

/// What an error means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Turned away at the door for a short while; nothing was sent.
    Busy,
    /// Failed inside; whether the message was taken is not said.
    Ambiguous,
    /// Too many messages to this customer.
    Pair,
    /// Too many messages from this number.
    Number,
    /// Too many calls of this app.
    App,
    /// The token or its rights.
    Auth,
    /// The account or number may not send.
    Account,
    /// The 24-hour window is closed.
    Window,
    /// This customer cannot get this message.
    Recipient,
    /// WhatsApp does not take this content.
    Content,
    /// WhatsApp could not use the uploaded file; one new upload may help.
    Upload,
    /// The template cannot be sent.
    Template,
}

impl Class {
    /// Whether the message is lost for good and the rep must be told.
    pub(crate) fn is_final(self) -> bool {
        matches!(
            self,
            Class::Recipient | Class::Content | Class::Upload | Class::Template
        )
    }
}

/// Codes and ranges, what they mean, and for the final ones what a rep is told.
const CODES: &[(i64, i64, Class, &str)] = &[
    (0, 0, Class::Auth, ""),
    (1, 2, Class::Ambiguous, ""),
    (3, 3, Class::Auth, ""),
    (4, 4, Class::App, ""),
    (10, 10, Class::Auth, ""),
    (33, 33, Class::Account, ""),
    (
        100,
        100,
        Class::Content,
        "WhatsApp does not take this content. Change it and send it again.",
    ),
    (190, 190, Class::Auth, ""),
    (200, 299, Class::Auth, ""),
    (368, 368, Class::Account, ""),
    (80007, 80007, Class::App, ""),
    (
        130403,
        130403,
        Class::Recipient,
        "This business has blocked the customer on WhatsApp. Unblock them first.",
    ),
    (130429, 130429, Class::Number, ""),
    (
        130472,
        130472,
        Class::Recipient,
        "WhatsApp does not deliver marketing messages to this customer. Wait for them to write.",
    ),
    // About one customer's country and not about the account: it must not stop other customers.
    (
        130497,
        130497,
        Class::Recipient,
        "This business account may not message customers in this country.",
    ),
    (131000, 131000, Class::Ambiguous, ""),
    (131005, 131005, Class::Auth, ""),
    (
        131008,
        131009,
        Class::Content,
        "WhatsApp refused a value of this message. Change it and send it again.",
    ),
    (131016, 131016, Class::Ambiguous, ""),
    (
        131021,
        131021,
        Class::Recipient,
        "The customer's number is the business number itself.",
    ),
    (
        131026,
        131026,
        Class::Recipient,
        "The customer's WhatsApp cannot get it: no account on this number, an old app, or terms not accepted. Use \
         another channel.",
    ),
    (
        131030,
        131030,
        Class::Recipient,
        "This is a test number, and the customer is not on its list of allowed numbers.",
    ),
    (131031, 131031, Class::Account, ""),
    (131037, 131037, Class::Account, ""),
    (131042, 131042, Class::Account, ""),
    (131045, 131045, Class::Account, ""),
    (
        131047,
        131047,
        Class::Window,
        "More than 24 hours have passed since the customer last wrote. Send an approved template, or wait for them to \
         write.",
    ),
    (131048, 131048, Class::Account, ""),
    (
        131049,
        131049,
        Class::Recipient,
        "WhatsApp held this marketing message back. Sending it again within 24 hours fails again.",
    ),
    (
        131050,
        131050,
        Class::Recipient,
        "The customer has stopped marketing messages from this business.",
    ),
    (
        131051,
        131051,
        Class::Content,
        "WhatsApp does not know this kind of message.",
    ),
    (
        131052,
        131052,
        Class::Content,
        "WhatsApp could not fetch the file. Attach it again, smaller or in another format.",
    ),
    (
        131053,
        131053,
        Class::Upload,
        "WhatsApp could not use the file. Attach it again in a common format.",
    ),
    (131056, 131056, Class::Pair, ""),
    (131057, 131057, Class::Busy, ""),
    (
        131062,
        131062,
        Class::Recipient,
        "This kind of message needs the customer's phone number, which WhatsApp does not show.",
    ),
    (
        131063,
        131063,
        Class::Template,
        "Marketing templates are switched off for this number.",
    ),
    (131064, 131064, Class::Account, ""),
    (
        132000,
        132000,
        Class::Template,
        "The template has another number of parameters than were given.",
    ),
    (
        132001,
        132001,
        Class::Template,
        "The template does not exist in this language or is not approved.",
    ),
    (
        132005,
        132005,
        Class::Template,
        "With its parameters the template is too long. Shorten the text.",
    ),
    (
        132007,
        132007,
        Class::Template,
        "The template breaks WhatsApp's policy. Choose another one.",
    ),
    (
        132008,
        132012,
        Class::Template,
        "A parameter of the template has a wrong value.",
    ),
    (
        132015,
        132015,
        Class::Template,
        "The template is paused for low quality. Choose another one.",
    ),
    (
        132016,
        132016,
        Class::Template,
        "The template is disabled for low quality. Choose another one.",
    ),
    (
        132018,
        132018,
        Class::Template,
        "The template's parameters were refused. Leave out line breaks and long gaps.",
    ),
    (
        132068,
        132069,
        Class::Template,
        "The flow in this message is blocked or throttled.",
    ),
    (133004, 133004, Class::Busy, ""),
    (133000, 133016, Class::Account, ""),
    (134011, 134011, Class::Account, ""),
    (
        135000,
        135000,
        Class::Content,
        "WhatsApp refused the message without saying why. Change it and send it again.",
    ),
    (2_494_100, 2_494_100, Class::Busy, ""),
    (
        137000,
        137000,
        Class::Recipient,
        "The customer's identity has changed. Ask them to write again.",
    ),
];

/// What a code means, and what a rep is told when it is final.
pub(crate) fn lookup(code: i64) -> Option<(Class, &'static str)> {
    CODES
        .iter()
        .find(|(from, to, ..)| (*from..=*to).contains(&code))
        .map(|(_, _, class, words)| (*class, *words))
}

/// Whether this customer cannot be reached at all, so that the rest of a reply need not be tried.
pub(crate) fn unreachable(code: i64) -> bool {
    lookup(code).is_some_and(|(class, _)| class == Class::Recipient)
}

/// A reply that is not a success.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// What it means.
    pub(crate) class: Class,
    /// WhatsApp's code, when it gave one.
    pub(crate) code: Option<i64>,
    /// WhatsApp's own words.
    pub(crate) words: String,
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
                words,
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
            words: error.words,
            after,
        }
    }
}

struct GraphError {
    code: i64,
    subcode: Option<i64>,
    words: String,
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
            words,
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
    fn ranges_do_not_hide_codes_and_final_ones_have_words() {
        let ambiguous: Vec<i64> = [0, 3, 10, 190, 299]
            .into_iter()
            .filter(|code| lookup(*code).map(|(class, _)| class) != Some(Class::Auth))
            .collect();
        assert_eq!(ambiguous, Vec::<i64>::new());
        assert_eq!(lookup(133_004).map(|(class, _)| class), Some(Class::Busy));
        assert_eq!(
            lookup(133_010).map(|(class, _)| class),
            Some(Class::Account)
        );
        for (from, _, class, words) in CODES {
            assert_eq!(
                class.is_final() || *class == Class::Window,
                !words.is_empty(),
                "{from}"
            );
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
        assert_eq!(failure.words, "(#100) x; gone; trace A1");
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
