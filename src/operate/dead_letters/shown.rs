//! One dead letter with everything that is known of it, and its body without what is secret.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Listed, masked, quiet};
use crate::config::Limits;
use crate::intake::{Dialects, Incoming};
use crate::ledger::DeadLetterRow;
use crate::mapping::dialect;
use crate::operate::mask::dotted;
use crate::wire::redact;

/// So many bytes of a body are shown.
const MAX_SHOWN: usize = 64 << 10;

/// A dead letter as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    listed: Listed,
    content_type: Option<String>,
    headers: Map<String, Value>,
    /// `json`, `form` or `text`.
    form: &'static str,
    body: String,
    is_cut: bool,
    /// The body without what people wrote.
    masked: String,
}

impl Shown {
    /// Of a dead letter. What the dialects in force call a secret is masked beside what is one by its
    /// name or looks like one.
    #[must_use]
    pub fn of(row: DeadLetterRow, limits: &Limits, dialects: &Dialects) -> Shown {
        let mut incoming = Incoming::of_dead_letter(row.letter.clone());
        let listed = Listed::of(row, limits);
        if let Some(body) = dialects.masked(&incoming) {
            incoming.body = body;
        }
        let (form, mut body) = readable(&incoming);
        let mut hidden = without_texts(&incoming);
        hidden.truncate(hidden.floor_char_boundary(MAX_SHOWN));
        let is_cut = body.len() > MAX_SHOWN;
        body.truncate(body.floor_char_boundary(MAX_SHOWN));
        let headers = incoming.headers.into_iter();
        let mut headers = Value::Object(headers.map(|(name, text)| (name, text.into())).collect());
        dialect::mask(&mut headers);
        let headers = match headers {
            Value::Object(headers) => headers,
            _ => Map::new(),
        };
        let tell = |(name, text): (String, Value)| {
            let text = text.as_str().unwrap_or_default();
            (plain(&name), plain(&quiet(text)).into())
        };
        Shown {
            listed,
            content_type: incoming.content_type.map(|text| plain(&quiet(&text))),
            headers: headers.into_iter().map(tell).collect(),
            form,
            body,
            is_cut,
            masked: hidden,
        }
    }

    /// The body, where it is JSON and shown whole.
    #[must_use]
    pub fn whole_json(&self) -> Option<&str> {
        (self.form == "json" && !self.is_cut).then_some(self.body.as_str())
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        let one = &self.listed;
        let mut out = format!("dead letter {}\n", one.id);
        let received = one.received_at.to_string();
        for (what, value) in [
            ("received at", Some(&received)),
            ("came by", Some(&one.origin)),
            ("routing key", one.routing_key.as_ref()),
            ("source", one.outline.source.as_ref()),
            ("type", one.outline.kind.as_ref()),
            ("subject", one.outline.subject.as_ref()),
            ("session", one.session.as_ref()),
            ("content type", self.content_type.as_ref()),
        ] {
            if let Some(value) = value {
                let _ = writeln!(out, "  {what:<13}{value}");
            }
        }
        let _ = writeln!(out, "  {:<13}{}: {}", "refused", one.reason, one.message);
        for (name, value) in &self.headers {
            let _ = writeln!(out, "  header {name}: {}", value.as_str().unwrap_or("***"));
        }
        let cut = if self.is_cut {
            format!(", cut after {MAX_SHOWN} bytes")
        } else {
            String::new()
        };
        let _ = write!(
            out,
            "\nbody ({} bytes as it came, shown as {}{cut})\n{}",
            one.bytes, self.form, self.body
        );
        out
    }

    /// As JSON, without what people wrote: of the values, lengths and forms are shown.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut shown = self.listed.json();
        shown["content_type"] = self.content_type.clone().into();
        shown["headers"] = Value::Object(self.headers.clone());
        shown["body_form"] = self.form.into();
        shown["body"] = self.masked.as_str().into();
        shown["body_is_cut"] = self.is_cut.into();
        shown
    }
}

/// A body that is JSON, without what is secret.
pub(super) fn without_secrets(incoming: &Incoming, dialects: &Dialects) -> Option<Value> {
    let body = dialects.masked(incoming);
    let body = body.as_deref().unwrap_or(&incoming.body);
    let mut value = serde_json::from_slice::<Value>(body).ok()?;
    dialect::mask(&mut value);
    quiet_texts(&mut value);
    Some(value)
}

/// The body without what people wrote.
fn without_texts(incoming: &Incoming) -> String {
    match valued(incoming) {
        Some((_, value)) => plain(&format!("{:#}", masked::masked(&value))),
        None => dotted(&plain(&String::from_utf8_lossy(&incoming.body))),
    }
}

/// The body to be read by people, without what is secret.
fn readable(incoming: &Incoming) -> (&'static str, String) {
    match valued(incoming) {
        Some((form, value)) => (form, plain(&redact::tokens(&format!("{value:#}")))),
        None => (
            "text",
            plain(&quiet(&String::from_utf8_lossy(&incoming.body))),
        ),
    }
}

/// The body as a value without what is secret, where it is one.
fn valued(incoming: &Incoming) -> Option<(&'static str, Value)> {
    let media_type = incoming.content_type.as_deref().unwrap_or_default();
    let (form, mut value) = if media_type.trim().starts_with(dialect::FORM) {
        ("form", dialect::form(&incoming.body))
    } else {
        ("json", serde_json::from_slice(&incoming.body).ok()?)
    };
    dialect::mask(&mut value);
    quiet_texts(&mut value);
    Some((form, value))
}

fn quiet_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = quiet(text),
        Value::Array(items) => items.iter_mut().for_each(quiet_texts),
        Value::Object(members) => members.values_mut().for_each(quiet_texts),
        _ => {}
    }
}

/// Without what would steer a terminal.
fn plain(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.replace(steers, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use handoffd_contract::{Reason, Stop};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::ledger::DeadLetter;

    fn shown(headers: &Value, raw: &str) -> Shown {
        let row = DeadLetterRow {
            id: 7,
            received_at: Timestamp::UNIX_EPOCH,
            letter: DeadLetter {
                origin: "amqp".into(),
                stop: Stop::new(Reason::Undecodable, "not JSON"),
                headers: headers.to_string(),
                raw: raw.as_bytes().to_vec(),
                session: None,
                source: None,
            },
        };
        Shown::of(row, &Limits::default(), &Dialects::default())
    }

    #[test]
    fn json_is_pretty_and_without_secrets() {
        let body = json!({"apikey": "abc", "data": {"pubsub_token": "xyz", "text": "hello",
            "link": "https://x.example/?access_token=q1&y=2", "key": "EAAG0123456789abcdefABCDEF"}});
        let headers = json!({"authorization": "Bearer q2", "amqp.routing_key": "a.b"});
        let one = shown(&headers, &body.to_string());
        let text = one.text();
        for gone in ["abc\"", "xyz", "q1", "q2", "EAAG"] {
            assert!(!text.contains(gone), "{gone}: {text}");
            assert!(!one.json().to_string().contains(gone), "{gone}");
        }
        assert!(text.contains("\n    \"text\": \"hello\""), "{text}");
        assert!(text.contains("routing key  a.b"), "{text}");
    }

    #[test]
    fn what_is_no_json_is_text_without_secrets() {
        let one = shown(
            &json!({}),
            "{ \"token\" : \"q1 \\\" q2\", \"a\": 1, password=q3&b=2 \u{1b}[2J",
        );
        let text = one.text();
        for gone in ["q1", "q2", "q3", "\u{1b}"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert!(text.contains("\"a\": 1") && text.contains("&b=2"), "{text}");
    }

    #[test]
    fn a_form_is_read_as_one() {
        let headers = json!({"content-type": "application/x-www-form-urlencoded"});
        let one = shown(&headers, "apikey=q1&Body=hello+you");
        assert_eq!(one.form, "form");
        assert!(one.body.contains("\"Body\": \"hello you\""), "{}", one.body);
        assert!(!one.body.contains("q1"), "{}", one.body);
    }

    #[test]
    fn a_long_body_is_cut_and_it_is_said() {
        let one = shown(&json!({}), &"ä b".repeat(MAX_SHOWN));
        assert!(one.is_cut && one.body.len() <= MAX_SHOWN);
        assert!(one.text().contains("cut after 65536 bytes"));
        assert!(!shown(&json!({}), "[1]").is_cut);
    }
}
