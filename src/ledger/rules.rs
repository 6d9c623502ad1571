//! What both ledgers decide alike, as pure functions: what a session remembers, where a lane
//! goes when it is left, in which order events are read, and how much is kept and shown.

use std::collections::BTreeSet;

use handoffd_contract::{Contact, Reason, Stop};
use jiff::Timestamp;
use serde_json::Value;

use super::{LaneState, Next};

/// How long a lane is left in peace before it is looked at, in microseconds: what goes on by itself
/// at once needs no words.
pub(super) const GRACE: i64 = 1_000_000;

/// How long a webhook's body is remembered, in microseconds: a day.
pub(super) const WEBHOOK_MEMORY: i64 = 24 * 3_600 * 1_000_000;

/// How long a daemon that is gone is remembered, in microseconds: a day.
pub(super) const DAEMON_MEMORY: i64 = 24 * 3_600 * 1_000_000;

/// Pending events of a lane are counted up to this number.
pub(super) const MAX_PENDING: i64 = 1_000;

/// At most so many rows in answers to people who name no limit.
pub(super) const MAX_ROWS: i64 = 1_000;

/// At most so many events in a report of a session.
pub(super) const MAX_REPORTED: i64 = 10_000;

/// At most so many dead letters in a report of a session.
pub(super) const MAX_REFUSED: i64 = 100;

/// At most so many attempts in a report of a session.
pub(super) const MAX_ATTEMPTS: i64 = 500;

/// At most so many files in a report of a session.
pub(super) const MAX_REPORTED_FILES: i64 = 500;

/// So many events are looked at to find the first one that a lane does not show yet.
pub(super) const SKIP_WINDOW: i64 = 100;

/// What is said of a fact whose unknown outcome a person settled: it did happen, and nothing is known
/// of what came of it.
pub(super) fn settled_by_a_person() -> Stop {
    Stop::new(Reason::UnknownOutcome, "a person said that it happened")
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
        let same_customer = self.customer.is_some() && self.customer == news.customer;
        let replace = |old: &mut Option<String>, new: &Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        merge(&mut self.data, news.data.as_deref());
        merge(&mut self.contact, news.contact.as_deref());
        replace(&mut self.business_number, &news.business_number);
        // The whole of what is known decides: an event that names the customer by their number alone
        // must not part them from what is kept under their business-scoped id.
        if !(same_customer && self.contact == before.contact) {
            let known = self
                .contact
                .as_deref()
                .and_then(|json| serde_json::from_str::<Contact>(json).ok());
            replace(
                &mut self.customer,
                &known
                    .and_then(|contact| contact.key())
                    .or_else(|| news.customer.clone()),
            );
        }
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

/// Lays what is newly said over what is known, member by member: what is not said, or is said to be
/// empty, stays.
fn merge(known: &mut Option<String>, news: Option<&str>) {
    let Some(news) = news.filter(|news| known.as_deref() != Some(*news)) else {
        return;
    };
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(Value::Object(mut all)), Some(Value::Object(news))) =
        (known.as_deref().and_then(parsed), parsed(news))
    else {
        *known = Some(news.to_owned());
        return;
    };
    for (name, value) in news {
        match (all.get_mut(&name), value) {
            (_, Value::Null) => {}
            (Some(_), Value::String(text)) if text.is_empty() => {}
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => {
                all.insert(name, value);
            }
        }
    }
    *known = Some(Value::Object(all).to_string());
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
    /// When it is to be looked at, to tell those whose replies wait.
    pub fn look_at(&self, now: i64) -> Option<i64> {
        (self.state != LaneState::Idle).then(|| now.saturating_add(GRACE))
    }

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
pub(super) fn in_sequence<T, N: Ord>(events: &mut [T], sequence: impl Fn(&T) -> Option<N>) {
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

/// How many lanes a target has, by what indexes can count without looking at the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// All of them.
    pub all: i64,
    /// Those with a time at which they go on.
    pub timed: i64,
    /// Held ones.
    pub held: i64,
    /// Held ones with a time.
    pub held_timed: i64,
    /// Parked ones.
    pub parked: i64,
}

impl Tally {
    /// The part with this name in the counting statement.
    pub fn part(&mut self, name: &str) -> Option<&mut i64> {
        match name {
            "all" => Some(&mut self.all),
            "timed" => Some(&mut self.timed),
            "held" => Some(&mut self.held),
            "held-timed" => Some(&mut self.held_timed),
            "parked" => Some(&mut self.parked),
            _ => None,
        }
    }

    /// How many are in each state.
    pub fn states(self) -> [(LaneState, i64); 4] {
        let due = self.timed - self.held_timed;
        [
            (LaneState::Idle, self.all - due - self.held - self.parked),
            (LaneState::Due, due),
            (LaneState::Held, self.held),
            (LaneState::Parked, self.parked),
        ]
    }
}

/// What giving up the first event of a lane changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenUp {
    /// The lane's new head.
    pub head: i64,
    /// The event, to be remembered while an older one is not shown yet.
    pub seq: Option<i64>,
}

impl GivenUp {
    /// `pending`: the lane's first events after its head, as (sequence number, the gateway's
    /// number), oldest first. The first event is the one that [`in_sequence`] puts first, for that
    /// is the one at which the lane stands. `None` when there is no event to give up.
    pub fn first(
        head: i64,
        pending: &[(i64, Option<i64>)],
        mut given_up: BTreeSet<i64>,
    ) -> Option<GivenUp> {
        let mut left: Vec<_> = pending
            .iter()
            .filter(|(seq, _)| !given_up.contains(seq))
            .collect();
        in_sequence(&mut left, |(_, sequence)| *sequence);
        let (first, _) = *left.first()?;
        given_up.insert(*first);
        let head = pending
            .iter()
            .map(|(seq, _)| *seq)
            .take_while(|seq| given_up.contains(seq))
            .last()
            .unwrap_or(head);
        let seq = (*first > head).then_some(*first);
        Some(GivenUp { head, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(contact: &str) -> Who {
        let customer = serde_json::from_str::<Contact>(contact)
            .ok()
            .and_then(|contact| contact.key());
        Who {
            contact: Some(contact.to_owned()),
            customer,
            ..Who::default()
        }
    }

    #[test]
    fn what_an_event_does_not_say_about_the_customer_stays_known() {
        let mut known = who(
            r#"{"user_id":"DE.1","wa_id":"49151","email":"a@b.c","name":"Ana","external_ids":{"shop":"1"}}"#,
        );
        assert!(known.learn(&who(
            r#"{"wa_id":"49151","name":"Ana M.","email":null,"external_ids":{"crm":"2"}}"#
        )));
        let contact: Contact = serde_json::from_str(known.contact.as_deref().unwrap()).unwrap();
        assert_eq!(contact.email.as_deref(), Some("a@b.c"));
        assert_eq!(contact.name.as_deref(), Some("Ana M."));
        assert_eq!(contact.external_ids.len(), 2);
        assert_eq!(
            known.customer.as_deref(),
            Some("DE.1"),
            "still the same customer"
        );
        let before = known.clone();
        assert!(!known.learn(&Who::default()) && known == before);
    }

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

    #[test]
    fn giving_up_takes_the_event_at_which_the_lane_stands() {
        let first = |rows: &[(i64, i64)], gone: &[i64]| {
            let rows: Vec<_> = rows.iter().map(|(seq, n)| (*seq, Some(*n))).collect();
            GivenUp::first(4, &rows, gone.iter().copied().collect())
        };
        assert_eq!(
            first(&[(5, 1), (6, 2)], &[]),
            Some(GivenUp { head: 5, seq: None })
        );
        let late = first(&[(5, 2), (6, 1)], &[]).expect("as stored");
        assert_eq!(late.head, 4, "5 is not shown yet");
        assert_eq!(late.seq, Some(6));
        assert_eq!(
            first(&[(5, 2), (6, 1)], &[6]),
            Some(GivenUp { head: 6, seq: None })
        );
        assert_eq!(first(&[], &[]), None);
        assert_eq!(first(&[(6, 1)], &[6]), None);
    }
}
