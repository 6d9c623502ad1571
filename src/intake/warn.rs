//! What of an event could not be read as it came: said once, counted, and kept with the event.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::config::Limits;

/// The most warnings of one event that are told; further ones are counted.
const MAX_TOLD: usize = 50;
/// The most producers that the metric tells apart; further ones are one.
const MAX_SOURCES: usize = 50;
/// Clocks may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// One place of an event that could not be read as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The place, such as `data.transcript[3].time`.
    pub place: String,
    /// The place for counting, without numbers and free names: `data.transcript[].time`.
    pub field: String,
    /// The place, the shape of what was found, what became of it and the remedy.
    pub text: String,
    /// Something that a rep might have wanted to see is not there.
    pub lost: bool,
}

/// What every reader of an event needs.
pub(super) struct Context<'l> {
    /// What an event may be like.
    pub(super) limits: &'l Limits,
    /// When it came.
    pub(super) now: Timestamp,
    told: RefCell<Vec<Warning>>,
    more: Cell<usize>,
    /// Ids of messages whose time or author is a guess: they do not show that the customer wrote.
    unsure: RefCell<HashSet<String>>,
}

impl<'l> Context<'l> {
    pub(super) fn new(limits: &'l Limits, now: Timestamp) -> Context<'l> {
        Context {
            limits,
            now,
            told: RefCell::default(),
            more: Cell::new(0),
            unsure: RefCell::default(),
        }
    }

    pub(super) fn warn(&self, warning: Warning) {
        let mut told = self.told.borrow_mut();
        if told.len() < MAX_TOLD {
            told.push(warning);
        } else {
            self.more.set(self.more.get() + 1);
        }
    }

    /// The message with this id does not show that the customer wrote.
    pub(super) fn unsure(&self, id: &str) {
        self.unsure.borrow_mut().insert(id.to_owned());
    }

    /// Whether a time lies ahead of ours, by more than clocks differ.
    pub(super) fn is_ahead(&self, time: Timestamp) -> bool {
        time.duration_since(self.now) > SKEW
    }

    /// What was said about places that begin so.
    pub(super) fn said_about(&self, place: &str) -> Vec<String> {
        let told = self.told.borrow();
        let about = told.iter().filter(|one| one.place.starts_with(place));
        about.map(|one| one.text.clone()).take(3).collect()
    }

    /// For the rep: which fields of the handoff are not there, if any.
    pub(super) fn left_out(&self) -> Option<String> {
        let told = self.told.borrow();
        let lost: Vec<&str> = told
            .iter()
            .filter(|one| one.lost)
            .map(|one| one.place.strip_prefix("data.").unwrap_or(&one.place))
            .collect();
        let first = lost.first()?;
        let mut text =
            format!("Not all that the platform sent could be read. Left out or cut: {first}");
        for place in lost.iter().take(10).skip(1) {
            text.push_str(", ");
            text.push_str(place);
        }
        let more = lost.len().saturating_sub(10) + self.more.get();
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
        Some(text)
    }

    /// Everything that was said, and the unsure messages.
    pub(super) fn into_parts(self) -> (Vec<Warning>, HashSet<String>) {
        let mut told = self.told.into_inner();
        if self.more.get() > 0 {
            told.push(Warning {
                place: "data".to_owned(),
                field: "more".to_owned(),
                text: format!(
                    "{} more places could not be read as they came",
                    self.more.get()
                ),
                lost: false,
            });
        }
        (told, self.unsure.into_inner())
    }
}

/// A producer's name as a metric's label: the first ones by name, the others as one, since a producer
/// chooses its name.
pub(super) fn source_label(source: &str) -> String {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let label = printed(source);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.contains(&label) {
        return label;
    }
    if seen.len() < MAX_SOURCES {
        seen.insert(label.clone());
        return label;
    }
    "other".to_owned()
}

/// A producer's name as it can be printed: the producer chooses it.
pub(super) fn printed(source: &str) -> String {
    source
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_beyond_the_first_are_counted_as_one() {
        let labels: BTreeSet<String> = (0..500)
            .map(|n| source_label(&format!("/gw/{n}")))
            .collect();
        assert!(labels.len() <= MAX_SOURCES + 1, "{}", labels.len());
        assert!(labels.contains("other") && labels.contains("/gw/0"));
        assert_eq!(source_label("/gw/0"), "/gw/0");
        assert!(source_label(&"x".repeat(10_000)).len() <= 60);
    }

    #[test]
    fn an_event_tells_a_bounded_number_of_warnings_and_counts_the_rest() {
        let limits = Limits::default();
        let context = Context::new(&limits, Timestamp::UNIX_EPOCH);
        for n in 0..1_000 {
            context.warn(Warning {
                place: format!("data.transcript[{n}].time"),
                field: "data.transcript[].time".to_owned(),
                text: "x".to_owned(),
                lost: true,
            });
        }
        let text = context.left_out().expect("something is left out");
        assert!(text.ends_with("transcript[9].time and 990 more"), "{text}");
        let (told, _) = context.into_parts();
        assert_eq!(told.len(), MAX_TOLD + 1);
        assert!(told[MAX_TOLD].text.starts_with("950 more places"));
    }
}
