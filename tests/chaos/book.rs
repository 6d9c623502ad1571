//! What was really issued: the judge's one side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

/// A rep's reply as it was written into a CRM.
#[derive(Debug, Clone)]
pub struct Reply {
    pub session: String,
    pub target: &'static str,
    pub token: String,
    /// The CRM's id of it.
    pub id: String,
}

/// A message on the gateway's way to the phone.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its place in the order of arrival.
    pub n: usize,
    /// The address as handoffd gave it: `+digits`, or a business-scoped id.
    pub to: String,
    pub text: String,
    /// Free text left although the customer had not written within 24 hours.
    pub outside: bool,
    /// The phone did not take it, and handoffd was told so.
    pub failed: bool,
}

#[derive(Debug, Default)]
pub struct Pages {
    /// Tokens of messages, by session.
    pub messages: BTreeMap<String, Vec<String>>,
    /// Those that were said while the assistant had the conversation back, by session: no rep's business,
    /// until the next handoff tells them.
    pub unasked: BTreeMap<String, Vec<String>>,
    /// Sessions that the assistant has back.
    pub returned: BTreeSet<String>,
    pub replies: Vec<Reply>,
    /// Tokens of notes, by session and CRM.
    pub notes: Vec<(String, &'static str, String)>,
    /// Files of customers: session, and the beginning of the name.
    pub files: Vec<(String, String)>,
    /// When each customer last wrote.
    pub wrote: BTreeMap<String, Timestamp>,
    /// What the gateway was given, by the message's id, once.
    pub sent: BTreeMap<String, Sent>,
    /// The gateway's other events: type, session, target.
    pub told: Vec<(String, String, String)>,
    /// What the gateway got that it cannot take.
    pub wrong: Vec<String>,
    /// Lanes that were parked although no person should be needed.
    pub parked: Vec<String>,
    /// Things that were to be done and could not, such as a reply in a session that was over.
    pub not_done: BTreeMap<String, u64>,
    /// Counters of what happened beside.
    pub counts: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub struct Book(Mutex<Pages>);

impl Book {
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self, what: &str) {
        self.count_by(what, 1);
    }

    pub fn count_by(&self, what: &str, by: u64) {
        *self.open().counts.entry(what.to_owned()).or_default() += by;
    }

    /// Issues the next message of a session; its token.
    pub fn message(&self, session: &str) -> String {
        let mut pages = self.open();
        let count = |all: &BTreeMap<String, Vec<String>>| all.get(session).map_or(0, Vec::len);
        let n = count(&pages.messages) + count(&pages.unasked) + 1;
        let token = format!("{session}-M{n}");
        let list = if pages.returned.contains(session) {
            &mut pages.unasked
        } else {
            &mut pages.messages
        };
        let list = list.entry(session.to_owned()).or_default();
        list.push(token.clone());
        token
    }

    /// The assistant takes a conversation over again.
    pub fn return_to_assistant(&self, session: &str) {
        self.open().returned.insert(session.to_owned());
    }

    /// It is handed over: what was said meanwhile is told with it.
    pub fn hand_over(&self, session: &str) {
        let mut pages = self.open();
        pages.returned.remove(session);
        let meanwhile = pages.unasked.remove(session).unwrap_or_default();
        let messages = pages.messages.entry(session.to_owned()).or_default();
        messages.extend(meanwhile);
    }
}

/// Every token in a text, in order.
pub fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('S') {
        let rest = &text.as_bytes()[at..];
        let digits = |from: usize| {
            rest[from..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count()
        };
        if rest.len() < 8 || digits(1) != 4 || rest[5] != b'-' || !b"MRN".contains(&rest[6]) {
            continue;
        }
        let length = digits(7);
        if length > 0 {
            found.push(text[at..at + 7 + length].to_owned());
        }
    }
    found
}

/// Every token in every text of a value, in order.
pub fn tokens_within(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => tokens(text),
        Value::Array(items) => items.iter().flat_map(tokens_within).collect(),
        Value::Object(members) => members.values().flat_map(tokens_within).collect(),
        _ => Vec::new(),
    }
}
