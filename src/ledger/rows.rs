//! The forms in which both ledgers store things, and the way back.

use std::collections::BTreeSet;
use std::sync::Arc;

use handoffd_contract::{Event, Fact, Known, Reason, Settled, Stop, ids};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::conversation::{Mover, started};
use super::files;
use super::rules::{Who, in_sequence};
use super::view::words;
use super::{Admission, Change, LaneState, LedgerError, Result};
use crate::conversation::Rules;

/// The type of the event by which a rep writes to the customer.
const REPLIED: &str = "rep.replied";

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
    /// The session's running number. One that is out of range comes last.
    pub sequence: Option<i64>,
    /// The event as JSON.
    pub body: String,
    /// Targets in which it opens a lane.
    pub opens: Vec<String>,
    /// Targets that never act on it.
    pub passes: Vec<String>,
    /// What it says about the session.
    pub who: Who,
    /// How it moves the session's state, if it does.
    pub mover: Option<Mover>,
    /// Files that it wants kept: key, attachment's id and address.
    pub files: Vec<(Vec<u8>, String, String)>,
    /// By what its session is found from now on, beside its customer.
    pub handles: Vec<String>,
    /// What follows where nothing was known of the session before it.
    pub began: Option<Box<Arrival>>,
}

impl Arrival {
    /// The stored forms of admissions, in order.
    pub fn all(admissions: &[Admission], rules: &Arc<Rules>) -> Result<Vec<Arrival>> {
        let each = admissions.iter();
        each.map(|admission| Arrival::of(admission, rules))
            .collect()
    }

    fn of(admission: &Admission, rules: &Arc<Rules>) -> Result<Arrival> {
        let Admission {
            event,
            opens,
            passes,
            session,
            contact,
            inbound_at,
            find: _,
            files,
        } = admission;
        let wanted = files.iter().map(|one| {
            let key = files::key(&event.session, &one.attachment, &one.url);
            (key, one.attachment.clone(), one.url.clone())
        });
        Ok(Arrival {
            key: event_key(&event.source, &event.id),
            session: event.session.clone(),
            kind: event.data.kind(),
            producer_id: event.id.clone(),
            time: event.time.as_microsecond(),
            sequence: event
                .sequence
                .map(|number| i64::try_from(number).unwrap_or(i64::MAX)),
            body: encode(event)?,
            opens: opens.clone(),
            passes: passes.clone(),
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
            mover: Mover::of(admission, rules),
            files: wanted.collect(),
            handles: words::of_event(&event.data),
            began: match started(event).filter(|_| rules.starts) {
                Some(follows) => Some(Box::new(Arrival::of(&follows, rules)?)),
                None => None,
            },
        })
    }
}

impl Arrival {
    /// Whether a rep wrote something that is meant for the customer.
    pub fn is_reply(&self) -> bool {
        self.kind == REPLIED
    }
}

/// A fact as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FactRow {
    /// Its name.
    pub name: String,
    /// Its value, if it is known.
    pub value: Option<String>,
    /// Since when it is unsure, in microseconds.
    pub unsure_since: Option<i64>,
    /// The value that it may have.
    pub candidate: Option<String>,
    /// Why it is refused, if it is.
    pub reason: Option<String>,
    /// The same in words.
    pub message: Option<String>,
}

impl FactRow {
    /// A fact as it is stored.
    pub fn new(name: impl Into<String>, fact: Fact) -> FactRow {
        let bare = FactRow {
            name: name.into(),
            value: None,
            unsure_since: None,
            candidate: None,
            reason: None,
            message: None,
        };
        match fact {
            Fact::Is(value) => FactRow {
                value: Some(value),
                ..bare
            },
            Fact::Unsure { since, candidate } => FactRow {
                unsure_since: Some(since.as_microsecond()),
                candidate,
                ..bare
            },
            Fact::Refused { reason, message } => FactRow {
                reason: Some(reason.label().to_owned()),
                message: Some(message),
                ..bare
            },
        }
    }

    /// The fact with this name and value.
    pub fn is(name: impl Into<String>, value: impl Into<String>) -> FactRow {
        FactRow::new(name, Fact::Is(value.into()))
    }

    /// The settled fact with this name.
    pub fn settled(name: impl Into<String>, settled: Settled) -> FactRow {
        FactRow::new(name, settled.into())
    }

    /// What a change leaves: the fact's name, and its row unless it does not hold.
    pub fn of(change: Change) -> (String, Option<FactRow>) {
        let (name, fact) = match change {
            Change::Set(name, value) => (name, Fact::Is(value)),
            Change::Refuse(name, stop) => (name, Settled::Refused(stop).into()),
            Change::Restore(name, fact) => (name, fact),
            Change::Remove(name) => return (name, None),
        };
        (name.clone(), Some(FactRow::new(name, fact)))
    }
}

/// A lane's facts.
pub(super) fn known(rows: Vec<FactRow>) -> Result<Known> {
    let mut known = Known::default();
    for row in rows {
        let fact = match (row.value, stop(row.reason, row.message)) {
            (Some(value), _) => Fact::Is(value),
            (None, Some(stop)) => Settled::Refused(stop).into(),
            (None, None) => Fact::Unsure {
                since: at(row.unsure_since.unwrap_or_default())?,
                candidate: row.candidate,
            },
        };
        known.0.insert(row.name, fact);
    }
    Ok(known)
}

/// An event on its way to a lane.
pub(super) struct Pending {
    /// Its number.
    pub seq: i64,
    /// The event as JSON.
    pub body: String,
    /// Whether its session has an earlier event with the same id, from another source.
    pub id_collides: bool,
}

/// Events as they were stored, without those that were given up, in the gateway's order. Connectors
/// know an event by its id alone, so one whose id collides says where it came from.
pub(super) fn events(rows: Vec<Pending>, given_up: &BTreeSet<i64>) -> Result<Vec<(i64, Event)>> {
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        if !given_up.contains(&row.seq) {
            let mut event = decode::<Event>(&row.body)?;
            if row.id_collides {
                event.id = format!("{}@{}", event.id, ids::short(&[&event.source]));
            }
            events.push((row.seq, event));
        }
    }
    in_sequence(&mut events, |(_, event)| event.sequence);
    Ok(events)
}

/// The producer's own id in the id by which connectors know an event.
pub(super) fn own_id(id: &str) -> &str {
    id.rsplit_once('@').map_or(id, |(own, _)| own)
}

/// The event that connectors know by this id, among those whose producer's id it may be.
pub(super) fn recalled(rows: Vec<Pending>, id: &str) -> Result<Option<(i64, Event)>> {
    let events = events(rows, &BTreeSet::new())?;
    Ok(events.into_iter().find(|(_, event)| event.id == id))
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

/// So many of all targets' handoffs are looked at for those of one target.
pub(super) const LOOKED_AT: i64 = 5_000;

/// A draft on its way in.
#[derive(Debug, Clone)]
pub(super) struct NewDraft {
    /// The target.
    pub target: String,
    /// Whose it is.
    pub who: String,
    /// The file's text.
    pub text: String,
    /// The version that it was begun with.
    pub base: i64,
    /// The revision that it was made of; 0 when it is meant to be the first.
    pub expect: i64,
    /// When, in microseconds.
    pub at: i64,
}

impl NewDraft {
    /// A draft of `who` that comes at `now`.
    pub fn new(
        now: Timestamp,
        target: &str,
        who: &str,
        text: &str,
        base: i64,
        expect: i64,
    ) -> NewDraft {
        NewDraft {
            target: target.into(),
            who: who.into(),
            text: text.into(),
            base,
            expect,
            at: now.as_microsecond(),
        }
    }

    /// The revision that it gets, over the one that is there.
    pub fn next(&self, there: Option<i64>) -> Result<i64> {
        let there = there.unwrap_or(0);
        if there == self.expect {
            return Ok(there + 1);
        }
        Err(LedgerError::Conflict(format!(
            "the draft of {} for {} is at revision {there}, not at {}",
            self.who, self.target, self.expect
        )))
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

/// The key under which an event is recognised.
pub(super) fn event_key(source: &str, id: &str) -> Vec<u8> {
    digest(&[source.as_bytes(), id.as_bytes()])
}

/// The key under which a webhook or a dead letter is recognised.
pub(super) fn body_key(body: &[u8]) -> Vec<u8> {
    digest(&[body])
}

/// A number of rows as a database counts them.
pub(super) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
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
        Some(reason) => Stop {
            reason,
            message: words,
        },
        None => Stop::new(Reason::Bug, format!("{label}: {words}")),
    })
}

/// A stored lane state.
pub(super) fn lane_state(word: &str) -> Result<LaneState> {
    LaneState::parse(word)
        .ok_or_else(|| LedgerError::Failed(format!("unknown lane state {word:?}")))
}

/// A value as the JSON that is stored.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_another_version_is_still_readable() {
        let stop = stop(Some("on-fire".into()), Some("hot".into())).expect("as stored");
        assert_eq!(
            (stop.reason, stop.message.as_str()),
            (Reason::Bug, "on-fire: hot")
        );
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
