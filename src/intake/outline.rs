//! What can be told of something without understanding it: who produced it, its type and subject.

use serde_json::Value;

use super::decode::within;
use super::incoming::{Incoming, SOURCE};
use super::json::json;
use crate::config::Limits;

/// The longest attribute that is told, in characters.
const MAX_CHARS: usize = 200;

/// The attributes that could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The CloudEvent's `source`; of what is none, the configured source by which it came over HTTP.
    pub source: Option<String>,
    /// The CloudEvent's `type`.
    pub kind: Option<String>,
    /// The CloudEvent's `subject`.
    pub subject: Option<String>,
}

impl Outline {
    /// Of something that came in. A body beyond the limits is not looked into.
    #[must_use]
    pub fn of(incoming: &Incoming, limits: &Limits) -> Outline {
        let is_binary = incoming.is_binary();
        let body = if is_binary || within(incoming, limits).is_err() {
            Value::Null
        } else {
            json(&incoming.body).map_or(Value::Null, |body| body.value)
        };
        let attribute = |name: &str| {
            let mut headers = incoming.headers.iter();
            let text = if is_binary {
                let is_it =
                    |header: &str| incoming.origin.attribute(header).as_deref() == Some(name);
                headers
                    .find(|(header, _)| is_it(header))
                    .map(|(_, text)| text.as_str())
            } else {
                body.get(name).and_then(Value::as_str)
            };
            text.filter(|text| !text.is_empty()).map(printed)
        };
        let way = || incoming.headers.get(SOURCE).map(|name| printed(name));
        Outline {
            source: attribute("source").or_else(way),
            kind: attribute("type"),
            subject: attribute("subject"),
        }
    }
}

fn printed(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(MAX_CHARS).map(plain).collect()
}
