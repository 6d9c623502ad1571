//! What both ledgers decide alike, as pure functions: how an arrival is keyed, what a session
//! remembers, where a lane goes when it is left, in which order events are read.

use std::collections::BTreeSet;

use handoffd_contract::{Event, Fact, Known, Reason, Stop};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Admission, Change, LaneState, LedgerError, Next, Result};

/// How long a webhook's body is remembered, in microseconds: a day.
pub(super) const WEBHOOK_MEMORY: i64 = 24 * 3_600 * 1_000_000;

/// How long a daemon that is gone is remembered, in microseconds: a day.
pub(super) const DAEMON_MEMORY: i64 = 24 * 3_600 * 1_000_000;

/// Pending events of a lane are counted up to this number.
pub(super) const MAX_PENDING: i64 = 1_000;

/// At most so many rows in answers to people who name no limit.
pub(super) const MAX_ROWS: i64 = 1_000;

/// At most so many events in a story.
pub(super) const MAX_STORY: i64 = 10_000;

/// At most so many attempts in a story.
pub(super) const MAX_ATTEMPTS: i64 = 500;

/// So many events are looked at to find the first one that a lane does not show yet.
pub(super) const SKIP_WINDOW: i64 = 100;

/// The value of a fact whose unknown outcome a person settled as "it did happen".
pub(super) const SKIPPED: &str = "!skipped";

/// The ledger's own facts begin with this: an event that was given up while an older one is not
/// shown yet. They are never handed out.
const GIVEN_UP: &str = "!given-up/";

/// An admission in the form in which it is stored.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// Digest of the producer's source and id.
    pub key: Vec<u8>,
    /// The session's id.
    pub session: String,
    /// The event's type.
    pub kind: &'static str,
    /// The producer's id of the event.
    pub producer_id: String,
    /// When it happened, in microseconds.
    pub time: i64,
    /// The event as JSON.
    pub body: String,
    /// Targets in which it opens a lane.
    pub opens: Vec<String>,
    /// What it says about the session.
    pub who: Who,
}

impl Arrival {
    /// The stored forms of admissions, in order.
    pub fn all(admissions: &[Admission]) -> Result<Vec<Arrival>> {
        admissions.iter().map(Arrival::of).collect()
    }

    fn of(admission: &Admission) -> Result<Arrival> {
        let Admission {
            event,
            opens,
            session,
            contact,
            inbound_at,
        } = admission;
        Ok(Arrival {
            key: digest(&[event.source.as_bytes(), event.id.as_bytes()]),
            session: event.session.clone(),
            kind: event.data.kind(),
            producer_id: event.id.clone(),
            time: event.time.as_microsecond(),
            body: encode(event)?,
            opens: opens.clone(),
            who: Who {
                data: session.as_ref().map(encode).transpose()?,
                contact: contact.as_ref().map(encode).transpose()?,
                business_number: session
                    .as_ref()
                    .map(|session| session.business_number.clone())
                    .filter(|number| !number.is_empty()),
                customer: contact.as_ref().and_then(|contact| contact.key()),
                inbound_at: inbound_at.map(Timestamp::as_microsecond),
            },
        })
    }
}

/// What is remembered about a session, or what an arrival says about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Who {
    /// The session's data, as JSON.
    pub data: Option<String>,
    /// The customer's data, as JSON.
    pub contact: Option<String>,
    /// The business number.
    pub business_number: Option<String>,
    /// The customer's key.
    pub customer: Option<String>,
    /// When the customer last wrote in this session, in microseconds.
    pub inbound_at: Option<i64>,
}

impl Who {
    /// Takes over what `news` says. What it does not say stays; the last inbound time only grows.
    /// Returns whether anything changed.
    pub fn learn(&mut self, news: &Who) -> bool {
        let before = self.clone();
        let replace = |old: &mut Option<String>, new: &Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        replace(&mut self.data, &news.data);
        replace(&mut self.contact, &news.contact);
        replace(&mut self.business_number, &news.business_number);
        replace(&mut self.customer, &news.customer);
        self.inbound_at = self.inbound_at.max(news.inbound_at);
        *self != before
    }

    /// The business number and the customer, when both are known.
    pub fn pair(&self) -> Option<(&str, &str)> {
        self.business_number
            .as_deref()
            .zip(self.customer.as_deref())
    }
}

/// Where a lane is after it was left.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rest {
    /// Its state.
    pub state: LaneState,
    /// When it goes on, in microseconds.
    pub due_at: Option<i64>,
    /// Why it waits.
    pub stop: Option<Stop>,
}

impl Rest {
    /// `hurry`: something happened that the worker did not see. It ends idleness and waiting for
    /// the conversation; a backoff keeps its time, and what needs a person stays parked.
    pub fn after(next: Next, hurry: bool, now: i64) -> Rest {
        let due = |at| Rest {
            state: LaneState::Due,
            due_at: Some(at),
            stop: None,
        };
        match next {
            Next::Idle | Next::Held { .. } if hurry => due(now),
            Next::Idle => Rest {
                state: LaneState::Idle,
                due_at: None,
                stop: None,
            },
            Next::Held { stop, until } => Rest {
                state: LaneState::Held,
                due_at: until.map(Timestamp::as_microsecond),
                stop: Some(stop),
            },
            Next::Due { at, stop: None } => {
                let at = at.as_microsecond();
                due(if hurry { at.min(now) } else { at })
            }
            Next::Due { at, stop } => Rest {
                state: LaneState::Due,
                due_at: Some(at.as_microsecond()),
                stop,
            },
            Next::Parked { stop } => Rest {
                state: LaneState::Parked,
                due_at: None,
                stop: Some(stop),
            },
        }
    }
}

/// Puts the events that the gateway numbered into its order. The places that they hold together
/// stay the same, and so does every event that carries no number.
pub(super) fn in_sequence<T>(events: &mut [T], sequence: impl Fn(&T) -> Option<u64>) {
    let places: Vec<usize> = (0..events.len())
        .filter(|at| sequence(&events[*at]).is_some())
        .collect();
    // Insertion sort over the places: batches are small and nearly always in order already.
    for last in 1..places.len() {
        for at in (1..=last).rev() {
            let (left, right) = (places[at - 1], places[at]);
            if sequence(&events[left]) <= sequence(&events[right]) {
                break;
            }
            events.swap(left, right);
        }
    }
}

/// A fact as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FactRow {
    /// Its name.
    pub name: String,
    /// Its value, unless it is unsure.
    pub value: Option<String>,
    /// Since when it is unsure, in microseconds.
    pub unsure_since: Option<i64>,
    /// The value that it may have.
    pub candidate: Option<String>,
}

impl FactRow {
    /// The fact with this name and value.
    pub fn is(name: impl Into<String>, value: impl Into<String>) -> FactRow {
        FactRow {
            name: name.into(),
            value: Some(value.into()),
            unsure_since: None,
            candidate: None,
        }
    }

    /// What a change leaves: the fact's name, and its row unless it does not hold.
    pub fn of(change: Change) -> (String, Option<FactRow>) {
        match change {
            Change::Set(name, value) | Change::Restore(name, Fact::Is(value)) => {
                (name.clone(), Some(FactRow::is(name, value)))
            }
            Change::Remove(name) => (name, None),
            Change::Restore(name, Fact::Unsure { since, candidate }) => (
                name.clone(),
                Some(FactRow {
                    name,
                    value: None,
                    unsure_since: Some(since.as_microsecond()),
                    candidate,
                }),
            ),
        }
    }
}

/// A lane's facts, and the events that were given up out of order.
pub(super) fn known(rows: Vec<FactRow>) -> Result<(Known, BTreeSet<i64>)> {
    let mut known = Known::default();
    let mut given_up = BTreeSet::new();
    for row in rows {
        if let Some(seq) = row.name.strip_prefix(GIVEN_UP) {
            given_up.extend(seq.parse::<i64>());
            continue;
        }
        let fact = match (row.value, row.unsure_since) {
            (Some(value), _) => Fact::Is(value),
            (None, since) => Fact::Unsure {
                since: at(since.unwrap_or_default())?,
                candidate: row.candidate,
            },
        };
        known.0.insert(row.name, fact);
    }
    Ok((known, given_up))
}

/// What giving up the first event of a lane changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenUp {
    /// The lane's new head.
    pub head: i64,
    /// The ledger's own fact that remembers the event while an older one is not shown yet.
    pub fact: Option<FactRow>,
}

impl GivenUp {
    /// `pending`: the lane's first events after its head, as (sequence number, body), oldest first.
    /// The first event is the one that [`in_sequence`] puts first, for that is the one at which the
    /// lane stands. `None` when there is no event to give up.
    pub fn first(
        head: i64,
        pending: Vec<(i64, String)>,
        mut given_up: BTreeSet<i64>,
    ) -> Result<Option<GivenUp>> {
        #[derive(Deserialize)]
        struct Numbered {
            #[serde(default)]
            sequence: Option<u64>,
        }
        let mut rows = Vec::with_capacity(pending.len());
        for (seq, body) in pending {
            rows.push((seq, decode::<Numbered>(&body)?.sequence));
        }
        let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
        rows.retain(|(seq, _)| !given_up.contains(seq));
        in_sequence(&mut rows, |(_, sequence)| *sequence);
        let Some((first, _)) = rows.first().copied() else {
            return Ok(None);
        };
        given_up.insert(first);
        let head = seqs
            .into_iter()
            .take_while(|seq| given_up.contains(seq))
            .last()
            .unwrap_or(head);
        let fact = (first > head).then(|| FactRow::is(format!("{GIVEN_UP}{first}"), ""));
        Ok(Some(GivenUp { head, fact }))
    }
}

/// A mapping on its way in.
#[derive(Debug, Clone)]
pub(super) struct NewMapping {
    /// The target.
    pub target: String,
    /// The file's text.
    pub text: String,
    /// Who applies it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, in microseconds.
    pub at: i64,
    /// The version that it is meant to follow; 0 when it is meant to be the first.
    pub expect: Option<i64>,
}

impl NewMapping {
    /// A mapping of `target` that comes at `now`.
    pub fn new(
        now: Timestamp,
        target: &str,
        text: &str,
        who: &str,
        why: &str,
        expect: Option<i64>,
    ) -> NewMapping {
        NewMapping {
            target: target.into(),
            text: text.into(),
            who: who.into(),
            why: why.into(),
            at: now.as_microsecond(),
            expect,
        }
    }

    /// The version that it gets, after `latest`.
    pub fn next(&self, latest: Option<i64>) -> Result<i64> {
        let latest = latest.unwrap_or(0);
        match self.expect {
            Some(expect) if expect != latest => Err(LedgerError::Conflict(format!(
                "the mapping of {} is at version {latest}, not at {expect}",
                self.target
            ))),
            _ => Ok(latest + 1),
        }
    }
}

/// The first 16 bytes of the SHA-256 of the parts, each with its length before it.
pub(super) fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..16].to_vec()
}

/// The key under which an inbox or poison row is recognised.
pub(super) fn body_key(body: &[u8]) -> Vec<u8> {
    digest(&[body])
}

/// A stored time.
pub(super) fn at(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|error| LedgerError::Failed(error.to_string()))
}

/// A stored time that may be absent.
pub(super) fn maybe_at(micros: Option<i64>) -> Result<Option<Timestamp>> {
    micros.map(at).transpose()
}

/// A stored reason. One that this version does not know is kept in the words.
pub(super) fn stop(reason: Option<String>, words: Option<String>) -> Option<Stop> {
    let (label, words) = (reason?, words.unwrap_or_default());
    Some(match Reason::parse(&label) {
        Some(reason) => Stop { reason, words },
        None => Stop::new(Reason::Bug, format!("{label}: {words}")),
    })
}

/// A stored lane state.
pub(super) fn lane_state(word: &str) -> Result<LaneState> {
    LaneState::parse(word)
        .ok_or_else(|| LedgerError::Failed(format!("unknown lane state {word:?}")))
}

/// A value as the JSON that is stored.
fn encode<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| LedgerError::Failed(error.to_string()))
}

/// A stored JSON value. The error names the place, never the text.
pub(super) fn decode<T: serde::de::DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        LedgerError::Failed(format!(
            "a stored value cannot be read: {:?} error at line {} column {}",
            error.classify(),
            error.line(),
            error.column()
        ))
    })
}

/// A stored JSON value that may be absent.
pub(super) fn maybe_decode<T: serde::de::DeserializeOwned>(
    json: Option<String>,
) -> Result<Option<T>> {
    json.map(|json| decode(&json)).transpose()
}

/// Events as they were stored, without those that were given up, in the gateway's order.
pub(super) fn events(
    rows: Vec<(i64, String)>,
    given_up: &BTreeSet<i64>,
) -> Result<Vec<(i64, Event)>> {
    let mut events = Vec::with_capacity(rows.len());
    for (seq, body) in rows {
        if !given_up.contains(&seq) {
            events.push((seq, decode::<Event>(&body)?));
        }
    }
    in_sequence(&mut events, |(_, event)| event.sequence);
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(sequences: &[Option<u64>]) -> Vec<(usize, Option<u64>)> {
        let mut events: Vec<_> = sequences.iter().copied().enumerate().collect();
        in_sequence(&mut events, |(_, sequence)| *sequence);
        events
    }

    #[test]
    fn numbered_events_are_sorted_among_their_own_places() {
        assert_eq!(
            sorted(&[Some(3), None, Some(1), Some(2), None]),
            [
                (2, Some(1)),
                (1, None),
                (3, Some(2)),
                (0, Some(3)),
                (4, None)
            ]
        );
        assert_eq!(
            sorted(&[Some(1), Some(1)]),
            [(0, Some(1)), (1, Some(1))],
            "stable"
        );
        assert_eq!(sorted(&[]), []);
    }

    fn pending(rows: &[(i64, u64)]) -> Vec<(i64, String)> {
        rows.iter()
            .map(|(seq, n)| (*seq, format!("{{\"sequence\":{n}}}")))
            .collect()
    }

    #[test]
    fn giving_up_takes_the_event_at_which_the_lane_stands() {
        let first = |rows: &[(i64, u64)], gone: &[i64]| {
            GivenUp::first(4, pending(rows), gone.iter().copied().collect()).expect("as stored")
        };
        assert_eq!(
            first(&[(5, 1), (6, 2)], &[]),
            Some(GivenUp {
                head: 5,
                fact: None
            })
        );
        let late = first(&[(5, 2), (6, 1)], &[]).expect("as stored");
        assert_eq!(late.head, 4, "5 is not shown yet");
        let (_, gone) = known(late.fact.into_iter().collect()).expect("as stored");
        assert_eq!(gone, BTreeSet::from([6]));
        assert_eq!(
            first(&[(5, 2), (6, 1)], &[6]),
            Some(GivenUp {
                head: 6,
                fact: None
            })
        );
        assert_eq!(first(&[], &[]), None);
        assert_eq!(first(&[(6, 1)], &[6]), None);
    }

    #[test]
    fn a_reason_of_another_version_is_still_readable() {
        let stop = stop(Some("on-fire".into()), Some("hot".into())).expect("as stored");
        assert_eq!(
            (stop.reason, stop.words.as_str()),
            (Reason::Bug, "on-fire: hot")
        );
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
