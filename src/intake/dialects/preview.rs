//! What a dialect makes of a payload, for people.

use std::collections::BTreeMap;

use handoffd_contract::Stop;
use jiff::Timestamp;
use serde_json::Value;

use super::body;
use crate::config::Limits;
use crate::intake::decode;
use crate::intake::incoming::Incoming;
use crate::mapping::dialect::{self, Dialect, Payload, Translation};

/// What a dialect makes of a payload, with the production's own means.
#[must_use]
pub fn preview(
    dialect: &Dialect,
    options: &BTreeMap<String, String>,
    limits: &Limits,
    incoming: &Incoming,
    now: Timestamp,
) -> Preview {
    let mut parsed = match body(incoming) {
        Ok(parsed) => parsed.value,
        Err(stop) => return Preview::Refused(stop),
    };
    dialect.without_secrets(&mut parsed);
    dialect::mask(&mut parsed);
    let media_type = incoming.media_type();
    let payload = Payload {
        media_type: &media_type,
        headers: &incoming.headers,
        routing_key: incoming.headers.get("amqp.routing_key").map(String::as_str),
        source: "preview",
        options,
        arrived: now,
        body: &parsed,
    };
    let made = match dialect.translate(&payload) {
        Ok(made) => made,
        Err(fit) => return Preview::Misses(fit.misses.unwrap_or_default()),
    };
    let events = made.events.iter().map(|event| {
        let mut whole = event.clone();
        if whole.get("subject").is_none() {
            whole["subject"] = "(the customer's session)".into();
        }
        let read = decode::read_value(&whole, limits, now).map(|read| read.event.warnings);
        (event.clone(), read)
    });
    let events = events.collect();
    Preview::Made(events, made)
}

/// What a dialect makes of a payload, for people.
pub enum Preview {
    /// The body is neither JSON nor a form.
    Refused(Stop),
    /// The dialect does not take it, because of this condition.
    Misses(String),
    /// The events with what could not be read of each, and the rest.
    Made(Vec<(Value, Result<Vec<String>, Stop>)>, Translation),
}
