//! What is not well as rows, in order of weight: what, why in the other side's own words, and the way
//! out. What goes on by itself comes last, and is not counted among what needs a person.

use handoffd_contract::Reason;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Ledger,
    Parked,
    Unknown,
    DeadLetters,
    Webhooks,
    Credential,
    Broker,
    NotConfigured,
    Closing,
    Down,
    Waiting,
}

/// Something that is not well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Trouble {
    pub kind: Kind,
    pub needs_person: bool,
    /// The other side's own words.
    #[serde(default)]
    pub words: String,
    #[serde(default)]
    pub target: Option<String>,
    /// The reason's label.
    #[serde(default)]
    pub reason: Option<String>,
    pub count: i64,
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// A text with its values.
pub(super) fn said(key: &str, values: Value) -> Value {
    json!({"key": key, "values": values})
}

/// A text's key for a reason.
pub(super) fn of_reason(label: &str) -> String {
    format!("reason.{label}")
}

impl Trouble {
    /// As the template reads it; `edits` where there is an editor of mappings to lead to.
    pub fn row(&self, edits: bool) -> Value {
        let (icon, tone) = self.shape();
        let target = self.target.as_deref().unwrap_or_default();
        let reason = self.reason.as_deref().unwrap_or_default();
        json!({
            "id": format!("{:?}-{target}-{reason}", self.kind), "icon": icon, "tone": tone,
            "title": self.title(), "why": self.why(), "quote": self.words, "acts": self.acts(edits),
            "by_itself": !self.needs_person,
        })
    }

    fn shape(&self) -> (&'static str, &'static str) {
        match self.kind {
            _ if !self.needs_person => ("clock", "wait"),
            Kind::Unknown => ("unsure", "unsure"),
            Kind::Parked if self.reason.as_deref() == Some(Reason::Forbidden.label()) => {
                ("lock", "bad")
            }
            Kind::Parked => ("parked", "bad"),
            Kind::Credential => ("lock", "bad"),
            Kind::Broker | Kind::Closing => ("down", "warn"),
            _ => ("refused", "bad"),
        }
    }

    fn title(&self) -> Value {
        let key = match self.kind {
            Kind::Ledger => "problem.ledger",
            Kind::Unknown => "problem.unsure",
            Kind::DeadLetters => "problem.letters",
            Kind::Webhooks => "problem.webhooks",
            Kind::Broker if self.target.is_some() => "problem.unroutable",
            Kind::Broker => "problem.broker",
            Kind::NotConfigured => "problem.not_configured",
            Kind::Closing => "problem.closing",
            Kind::Parked | Kind::Credential | Kind::Down | Kind::Waiting => match &self.reason {
                Some(label) => return said(&of_reason(label), json!({"target": self.target})),
                None => "problem.down",
            },
        };
        said(key, json!({"target": self.target, "count": self.count}))
    }

    fn why(&self) -> Value {
        let key = match self.kind {
            Kind::Ledger => "problem.ledger_why",
            Kind::Parked if self.since.is_some() => "problem.parked",
            Kind::Unknown => "problem.unsure_why",
            Kind::DeadLetters => "problem.letters_why",
            Kind::Webhooks => "problem.webhooks_why",
            Kind::Broker if self.target.is_some() => "problem.unroutable_why",
            Kind::Broker => "problem.broker_why",
            Kind::Closing => "problem.closing_why",
            Kind::Down | Kind::Waiting => "problem.tried_again",
            Kind::Parked | Kind::Credential | Kind::NotConfigured => "problem.waits_there",
        };
        said(key, json!({"count": self.count, "since": self.since}))
    }

    /// At most two buttons, the first of which mends it.
    fn acts(&self, edits: bool) -> Vec<Value> {
        let target = self.target.as_deref().unwrap_or_default();
        let reason = self.reason.as_deref().unwrap_or_default();
        let act = |key: &str, href: String| json!({"key": key, "values": {"count": self.count}, "href": href});
        let explain = || act("act.explain", format!("/reasons/{reason}"));
        let is_mapped = ["invalid", "mapping", "too-large"].contains(&reason);
        match self.kind {
            Kind::Parked if edits && is_mapped => vec![
                act("act.mapping", format!("/mappings/{target}")),
                act("act.see", format!("/parked/{reason}/{target}")),
            ],
            Kind::Parked => vec![
                act("act.see", format!("/parked/{reason}/{target}")),
                explain(),
            ],
            Kind::Unknown => vec![act("act.look", format!("/parked/{reason}/{target}"))],
            Kind::DeadLetters => vec![act("act.letters", "/parked#dead-letters".into())],
            Kind::Webhooks => vec![act("act.webhooks", "/parked#webhooks".into())],
            Kind::Closing => vec![act("act.look", "/conversations?window=closing".into())],
            Kind::Credential | Kind::Broker if !reason.is_empty() => vec![explain()],
            Kind::Down | Kind::Waiting => vec![act("act.target", format!("/targets/{target}"))],
            Kind::Ledger | Kind::Credential | Kind::Broker | Kind::NotConfigured => Vec::new(),
        }
    }
}
