//! What was asked of a simulator: the last requests, and counts of all of them.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde_json::{Value, json};

/// How many requests are kept.
pub(super) const KEPT: usize = 2_000;
/// How much of a body is kept.
const BODY_BYTES: usize = 64 << 10;
/// How much of all bodies is kept.
const ALL_BODY_BYTES: usize = 8 << 20;
/// How many different shapes are counted apart.
const SHAPES: usize = 500;

/// A finished request.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub n: u64,
    pub at: Timestamp,
    pub ms: u64,
    pub method: String,
    pub path: String,
    pub query: String,
    /// The status that was sent; none when there was no answer.
    pub status: Option<u16>,
    pub outcome: Outcome,
    pub fault: Option<&'static str>,
    pub request_bytes: u64,
    pub request_sha256: String,
    pub response_bytes: u64,
    pub body: Vec<u8>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// With an answer.
    Answered,
    /// With an event stream.
    Streaming,
    /// By a fault, without an answer.
    Dropped,
    /// The client did not wait for the answer.
    Left,
    /// The simulator panicked: a bug of ours.
    Panicked,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Streaming => "streaming",
            Outcome::Dropped => "dropped",
            Outcome::Left => "left",
            Outcome::Panicked => "panicked",
        }
    }
}

/// The journal of one simulator.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The number of the last request, ever.
    last: u64,
    started: u64,
    finished: u64,
    in_flight: u64,
    max_in_flight: u64,
    request_bytes: u64,
    outcomes: BTreeMap<Outcome, u64>,
    shapes: BTreeMap<String, Shape>,
    body_bytes: usize,
    entries: VecDeque<Entry>,
}

#[derive(Debug, Default)]
struct Shape {
    count: u64,
    statuses: BTreeMap<String, u64>,
}

impl Journal {
    /// Counts a request in; its number.
    pub(super) fn start(&mut self) -> u64 {
        self.last += 1;
        self.started += 1;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        self.last
    }

    /// Forgets everything but the requests that are not answered yet.
    pub(super) fn clear(&mut self) {
        let (last, in_flight) = (self.last, self.in_flight);
        *self = Journal {
            last,
            started: in_flight,
            in_flight,
            max_in_flight: in_flight,
            ..Journal::default()
        };
    }

    /// Counts a request out and keeps it for a while.
    pub(super) fn finish(&mut self, mut entry: Entry) {
        self.finished += 1;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.request_bytes += entry.request_bytes;
        *self.outcomes.entry(entry.outcome).or_default() += 1;
        let mut name = format!("{} {}", entry.method, shape(&entry.path));
        if !self.shapes.contains_key(&name) && self.shapes.len() >= SHAPES {
            name = "(other)".into();
        }
        let shape = self.shapes.entry(name).or_default();
        shape.count += 1;
        let status = entry.status.map_or_else(
            || entry.outcome.as_str().to_owned(),
            |status| status.to_string(),
        );
        *shape.statuses.entry(status).or_default() += 1;

        entry.body.truncate(BODY_BYTES);
        entry.body.shrink_to_fit();
        self.body_bytes += entry.body.len();
        self.entries.push_back(entry);
        if self.entries.len() > KEPT
            && let Some(old) = self.entries.pop_front()
        {
            self.body_bytes -= old.body.len();
        }
        for old in &mut self.entries {
            if self.body_bytes <= ALL_BODY_BYTES {
                break;
            }
            self.body_bytes -= old.body.len();
            old.body = Vec::new();
        }
    }

    /// The counts, which leave nothing out.
    pub(super) fn counts(&self) -> Value {
        let outcomes: BTreeMap<&str, u64> = self
            .outcomes
            .iter()
            .map(|(o, n)| (o.as_str(), *n))
            .collect();
        let shapes: BTreeMap<&str, Value> = self
            .shapes
            .iter()
            .map(|(name, shape)| {
                (
                    name.as_str(),
                    json!({"count": shape.count, "statuses": shape.statuses}),
                )
            })
            .collect();
        json!({
            "started": self.started,
            "finished": self.finished,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "request_bytes": self.request_bytes,
            "outcomes": outcomes,
            "shapes": shapes,
        })
    }

    /// The last requests in the order in which they arrived, from number `since` on.
    pub(super) fn list(&self, since: u64, bodies: bool) -> Vec<Value> {
        let mut kept: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.n >= since)
            .collect();
        kept.sort_by_key(|entry| entry.n);
        kept.into_iter().map(|entry| entry.json(bodies)).collect()
    }
}

impl Entry {
    fn json(&self, bodies: bool) -> Value {
        let mut value = json!({
            "n": self.n,
            "at": self.at,
            "ms": self.ms,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "status": self.status,
            "outcome": self.outcome.as_str(),
            "fault": self.fault,
            "request_bytes": self.request_bytes,
            "request_sha256": self.request_sha256,
            "response_bytes": self.response_bytes,
        });
        if bodies {
            value["body"] = Value::String(String::from_utf8_lossy(&self.body).into_owned());
        }
        value
    }
}

/// The path with ids left out, so that requests of one kind count together.
pub(super) fn shape(path: &str) -> String {
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn part(part: &str) -> String {
    // An OData key: `Case(…)`, one shape per entity set.
    if let Some((set, _)) = part.split_once('(')
        && part.ends_with(')')
    {
        return format!("{set}({{}})");
    }
    let short =
        part.len() <= 8 && (part.starts_with('v') || part.contains(['.', '-']) || part.len() == 1);
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let id = !short
        && (digits >= 3
            || digits == part.len() && digits > 0
            || part.contains('@')
            || part.len() > 40);
    if id { "{}".into() } else { part.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_leave_ids_out() {
        assert_eq!(
            shape("/crm/v3/objects/tickets/123456"),
            "/crm/v3/objects/tickets/{}"
        );
        assert_eq!(
            shape("/crm/objects/2026-03/notes"),
            "/crm/objects/2026-03/notes"
        );
        assert_eq!(
            shape("/v21.0/106540352242922/messages"),
            "/v21.0/{}/messages"
        );
        assert_eq!(
            shape("/0/odata/Case(3f2504e0-4f89-11d3-9a0c-0305e82c3301)/Number"),
            "/0/odata/Case({})/Number"
        );
        assert_eq!(
            shape("/iamessage/api/v2/conversation/3f2504e0-4f89-41d3-9a0c-0305e82c3301/message"),
            "/iamessage/api/v2/conversation/{}/message"
        );
    }

    #[test]
    fn the_journal_is_bounded_and_the_counts_are_not() {
        let mut journal = Journal::default();
        for _ in 0..KEPT + 500 {
            let n = journal.start();
            journal.finish(Entry {
                n,
                at: Timestamp::UNIX_EPOCH,
                ms: 0,
                method: "POST".into(),
                path: format!("/{n:b}").replace('0', "a").replace('1', "b"),
                query: String::new(),
                status: Some(200),
                outcome: Outcome::Answered,
                fault: None,
                request_bytes: 100 << 10,
                request_sha256: String::new(),
                response_bytes: 0,
                body: vec![b'a'; 100 << 10],
            });
        }
        assert_eq!(journal.entries.len(), KEPT);
        assert!(journal.body_bytes <= ALL_BODY_BYTES);
        assert_eq!(
            journal
                .entries
                .iter()
                .map(|e| e.body.capacity())
                .sum::<usize>(),
            journal.body_bytes
        );
        assert_eq!(journal.counts()["finished"], KEPT + 500);
        assert!(journal.shapes.len() <= SHAPES + 1);
        assert_eq!(journal.list(KEPT as u64 + 500, false).len(), 1);
    }
}
