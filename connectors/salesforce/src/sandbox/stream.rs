//! The event stream: one per end user, carrying all of that user's conversations.
//! <https://developer.salesforce.com/docs/service/messaging-api/references/about/server-sent-events.html>

use std::collections::VecDeque;

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;

use super::switches::{Replay, Switches};
use super::{ORG_ID, Org, bad, stream_response};

const MAX_EVENTS: usize = 2_000;
const MAX_CONNECTIONS: usize = 30_000;

/// What one end user's streams carry.
#[derive(Default)]
pub(super) struct Log {
    events: VecDeque<(u64, String, String)>,
    /// An event that appears after the next one.
    held: Option<(String, String)>,
}

/// An open stream.
pub(super) struct Connection {
    subject: String,
    /// When it was last written to, in milliseconds.
    written: i64,
    /// Until when its token is valid, in seconds.
    until: i64,
    cuts: u64,
    revocations: u64,
    /// The gateway said that the token has run out; what follows is the end.
    told: bool,
}

impl Org {
    pub(super) fn open_stream(
        &mut self,
        now: Timestamp,
        request: &Request,
        subject: &str,
    ) -> Response {
        if request.header("x-org-id") != Some(ORG_ID) {
            return bad("OrgId in the header and token must match");
        }
        let last = match request.header("last-event-id").map(str::parse::<u64>) {
            Some(Ok(last)) => Some(last),
            Some(Err(_)) => return bad("Specify the Last-Event-Id as a number."),
            None if self.switches.last_event_id_required => {
                return bad("Specify the Last-Event-Id.");
            }
            None => None,
        };
        let newest = self.position;
        let after = match (last, self.switches.replay) {
            (Some(last), Replay::On) => last,
            (Some(last), Replay::Duplicate) => {
                let log = self.logs.entry(subject.to_owned()).or_default();
                let before = log
                    .events
                    .iter()
                    .rev()
                    .map(|(at, ..)| *at)
                    .filter(|at| *at <= last);
                before.take(3).last().map_or(last, |at| at - 1)
            }
            (Some(_), Replay::Off) | (None, _) => newest,
        };
        // Every stream has a key of its own, so that each gets its own pings and its own end.
        let key = format!("{subject}#{}", self.next());
        if self.connections.len() >= MAX_CONNECTIONS {
            self.connections.pop_first();
        }
        let connection = Connection {
            subject: subject.to_owned(),
            written: now.as_millisecond(),
            until: Org::valid_until(request),
            cuts: self.cuts,
            revocations: self.revocations,
            told: false,
        };
        self.connections.insert(key.clone(), connection);
        stream_response(key, after)
    }

    /// Puts an event on the end user's streams.
    pub(super) fn publish(&mut self, subject: &str, event: &str, data: String) {
        if Switches::use_one(&mut self.switches.gap) {
            return;
        }
        let mut log = self.logs.remove(subject).unwrap_or_default();
        let event = (event.to_owned(), data);
        if log.held.is_none() && Switches::use_one(&mut self.switches.reorder) {
            log.held = Some(event);
        } else {
            let copies = if Switches::use_one(&mut self.switches.duplicate) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                self.push(&mut log, event.clone());
            }
            if let Some(held) = log.held.take() {
                self.push(&mut log, held);
            }
        }
        self.logs.insert(subject.to_owned(), log);
    }

    fn push(&mut self, log: &mut Log, (event, data): (String, String)) {
        self.position += 1;
        log.events.push_back((self.position, event, data));
        if log.events.len() > MAX_EVENTS {
            log.events.pop_front();
        }
    }

    pub(super) fn stream_frames(
        &mut self,
        now: Timestamp,
        key: &str,
        after: u64,
    ) -> Vec<(u64, Vec<u8>)> {
        let revocations = self.revocations;
        let Some(connection) = self.connections.get_mut(key) else {
            return Vec::new();
        };
        if self.switches.silent || connection.told {
            return Vec::new();
        }
        if connection.until <= now.as_second() || connection.revocations < revocations {
            connection.told = true;
            return vec![(after, b"Jwt is expired\n\n".to_vec())];
        }
        let end = if self.switches.crlf { "\r\n" } else { "\n" };
        let mut frames: Vec<(u64, Vec<u8>)> = Vec::new();
        if let Some(log) = self.logs.get(&connection.subject) {
            let from = log.events.partition_point(|(at, ..)| *at <= after);
            frames.extend(log.events.iter().skip(from).map(|(at, event, data)| {
                (
                    *at,
                    format!("id: {at}{end}event: {event}{end}data: {data}{end}{end}").into_bytes(),
                )
            }));
        }
        let now = now.as_millisecond();
        if frames.is_empty() && now - connection.written >= self.switches.ping_seconds * 1_000 {
            frames.push((
                after,
                format!("event: ping{end}data: 0{end}{end}").into_bytes(),
            ));
        }
        if !frames.is_empty() {
            connection.written = now;
        }
        frames
    }

    pub(super) fn stream_closes(&mut self, _now: Timestamp, key: &str) -> bool {
        let cuts = self.cuts;
        let closes = self
            .connections
            .get(key)
            .is_none_or(|c| c.told || c.cuts < cuts);
        if closes {
            self.connections.remove(key);
        }
        closes
    }
}
