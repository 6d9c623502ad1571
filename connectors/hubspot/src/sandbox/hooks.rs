//! Webhooks: batches of events, signed, retried, in no promised order.
//! <https://developers.hubspot.com/docs/api-reference/2026-03/webhooks/guide>

use std::collections::{BTreeMap, VecDeque};

use handoffd_contract::sandbox::Delivery;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{APP_ID, CLIENT_SECRET, PORTAL_ID, hmac};

/// Events of one delivery.
const MAX_BATCH: usize = 100;

/// A delivery is tried once and repeated ten times.
const MAX_ATTEMPTS: u64 = 11;

/// How many events wait at most; the oldest are lost.
const MAX_WAITING: usize = 10_000;

/// A receiver must answer within five seconds.
const TIMEOUT_MS: u64 = 5_000;

/// What is to be delivered.
pub(super) struct Hooks {
    /// Where to; nothing is delivered without.
    pub url: Option<String>,
    /// Every event comes twice.
    pub duplicates: bool,
    /// Batches are given out backwards.
    pub reversed: bool,
    /// Seconds before a repeat; the n-th waits n times as long.
    pub retry_seconds: i64,
    waiting: VecDeque<(i64, u64, Value)>,
    out: BTreeMap<u64, Vec<(u64, Value)>>,
    events: u64,
    deliveries: u64,
}

impl Hooks {
    /// No receiver yet; repeats begin after a minute.
    pub(super) fn new() -> Hooks {
        Hooks {
            url: None,
            duplicates: false,
            reversed: false,
            retry_seconds: 60,
            waiting: VecDeque::new(),
            out: BTreeMap::new(),
            events: 0,
            deliveries: 0,
        }
    }

    /// Something happened. `event` has the members that its subscription adds.
    pub(super) fn push(&mut self, now: Timestamp, kind: &str, object: u64, mut event: Value) {
        if self.url.is_none() {
            return;
        }
        for _ in 0..=u8::from(self.duplicates) {
            self.events += 1;
            event["eventId"] = json!(1_234_567_890 + self.events);
            event["subscriptionId"] = json!(987_654);
            event["portalId"] = json!(PORTAL_ID);
            event["appId"] = json!(APP_ID);
            event["occurredAt"] = json!(now.as_millisecond());
            event["subscriptionType"] = json!(kind);
            event["objectId"] = json!(object);
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.pop_front();
            }
            self.waiting
                .push_back((now.as_millisecond(), 0, event.clone()));
        }
    }

    /// When the earliest of what waits becomes due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.url.as_ref()?;
        let earliest = self.waiting.iter().map(|(when, _, _)| *when).min();
        Timestamp::from_millisecond(earliest?).ok()
    }

    /// What is due, in signed batches.
    pub(super) fn deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        let Some(url) = self.url.clone() else {
            return Vec::new();
        };
        let at = now.as_millisecond();
        let (due, later): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|(when, _, _)| *when <= at);
        self.waiting = later;
        let mut due: Vec<(u64, Value)> = due
            .into_iter()
            .map(|(_, attempt, event)| (attempt, event))
            .collect();
        if self.reversed {
            due.reverse();
        }
        let mut deliveries = Vec::new();
        for batch in due.chunks(MAX_BATCH) {
            self.deliveries += 1;
            let events: Vec<Value> = batch
                .iter()
                .map(|(attempt, event)| {
                    let mut event = event.clone();
                    event["attemptNumber"] = json!(attempt);
                    event
                })
                .collect();
            let body = Value::Array(events).to_string().into_bytes();
            let headers = [
                ("content-type", "application/json".to_owned()),
                (
                    "user-agent",
                    "HubSpot Connect 2.0 (http://dev.hubspot.com/) - WebHooks".to_owned(),
                ),
                ("x-hubspot-signature", hmac::v1(CLIENT_SECRET, &body)),
                ("x-hubspot-signature-version", "v1".to_owned()),
                (
                    "x-hubspot-signature-v3",
                    hmac::v3(CLIENT_SECRET, "POST", &url, &body, at),
                ),
                ("x-hubspot-request-timestamp", at.to_string()),
            ];
            let headers = headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            self.out.insert(self.deliveries, batch.to_vec());
            deliveries.push(Delivery {
                id: self.deliveries,
                url: url.clone(),
                headers,
                body,
                timeout_ms: TIMEOUT_MS,
            });
        }
        deliveries
    }

    /// Repeats what failed. Some client errors are final.
    /// <https://community.hubspot.com/t5/APIs-Integrations/Webhooks-response/td-p/277558>
    pub(super) fn delivered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        let Some(batch) = self.out.remove(&id) else {
            return;
        };
        let settled = status.is_some_and(|status| {
            (200..300).contains(&status) || matches!(status, 400 | 401 | 403 | 404 | 405)
        });
        for (attempt, event) in batch
            .into_iter()
            .filter(|(attempt, _)| !settled && attempt + 1 < MAX_ATTEMPTS)
        {
            let pause = 1_000 * self.retry_seconds * i64::try_from(attempt + 1).unwrap_or(1);
            self.waiting
                .push_back((now.as_millisecond() + pause, attempt + 1, event));
        }
    }
}
