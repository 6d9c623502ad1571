//! Something that came in, as it came.

use std::collections::BTreeMap;

use handoffd_contract::Stop;
use serde_json::{Map, Value};

use crate::ledger::DeadLetter;

/// The content type of one event.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";
/// The content type of a list of events.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

/// The name under which the headers hold the source by which something came over HTTP.
pub(super) const SOURCE: &str = "handoffd.source";

/// The name under which the headers hold our reference of the message that a status is about, where it came
/// in the address.
pub(super) const REFERENCE: &str = "handoffd.reference";

/// The way by which something came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From RabbitMQ.
    Amqp,
    /// Over HTTP.
    Http,
}

impl Origin {
    /// The word in the ledger.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Origin::Amqp => "amqp",
            Origin::Http => "http",
        }
    }

    /// What stands before an attribute's name in this binding's headers, as we print it.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Origin::Amqp => "cloudEvents:",
            Origin::Http => "ce-",
        }
    }

    /// The CloudEvents attribute that a header carries.
    pub(super) fn attribute(self, header: &str) -> Option<String> {
        let header = header.to_ascii_lowercase();
        let name = match self {
            Origin::Amqp => header
                .strip_prefix("cloudevents:")
                .or_else(|| header.strip_prefix("cloudevents_")),
            Origin::Http => header.strip_prefix("ce-"),
        };
        name.map(str::to_owned)
    }
}

/// Something that came in, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The way by which it came.
    pub origin: Origin,
    /// Its content type.
    pub content_type: Option<String>,
    /// Its headers, without any that authenticate.
    pub headers: BTreeMap<String, String>,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Without the body, which holds what people wrote.
impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("origin", &self.origin)
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Incoming {
    /// Kept as it came, with why it could not be understood.
    #[must_use]
    pub fn dead_letter(self, stop: Stop) -> DeadLetter {
        let mut headers: Map<String, Value> = self
            .headers
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        if let Some(content_type) = self.content_type {
            headers.insert("content-type".to_owned(), content_type.into());
        }
        DeadLetter {
            origin: self.origin.word().to_owned(),
            stop,
            headers: Value::Object(headers).to_string(),
            raw: self.body,
            session: None,
            source: None,
        }
    }

    /// What a dead letter was when it came, so that it can be tried again after a fix.
    #[must_use]
    pub fn of_dead_letter(letter: DeadLetter) -> Incoming {
        let mut headers: BTreeMap<String, String> =
            serde_json::from_str(&letter.headers).unwrap_or_default();
        let origin = if letter.origin == Origin::Http.word() {
            Origin::Http
        } else {
            Origin::Amqp
        };
        let content_type = headers.remove("content-type");
        Incoming {
            origin,
            content_type,
            headers,
            body: letter.raw,
        }
    }

    /// Whether the content type says that this is a batch.
    #[must_use]
    pub fn is_batch(&self) -> bool {
        self.media_type() == BATCH
    }

    /// Whether the content type is one that events come in.
    #[must_use]
    pub fn supported(&self) -> bool {
        matches!(
            self.media_type().as_str(),
            STRUCTURED | BATCH | "application/json" | ""
        ) || self.is_binary()
    }

    pub(super) fn is_binary(&self) -> bool {
        !self.media_type().starts_with("application/cloudevents")
            && self
                .headers
                .keys()
                .any(|name| self.origin.attribute(name).as_deref() == Some("specversion"))
    }

    /// The content type in lower case and without parameters.
    pub(super) fn media_type(&self) -> String {
        let whole = self.content_type.as_deref().unwrap_or_default();
        whole
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }
}
