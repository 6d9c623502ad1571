//! A mapping beside another one over real events: which fields change, for how many, and what would newly
//! stop or go through.

use std::collections::BTreeMap;

use handoffd_contract::{Event, Schema};
use serde_json::Value;

use super::states::FieldState;
use super::{Mapping, with_input};

/// The most examples of one field.
const EXAMPLES: usize = 3;

/// What two mappings make of the same events.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// How many events there were.
    pub events: usize,
    /// The fields that change, by their paths.
    pub fields: BTreeMap<String, Changed>,
    /// Sequence numbers of events that only the second one stops.
    pub newly_stopped: Vec<i64>,
    /// Sequence numbers of events that only the first one stops.
    pub newly_passing: Vec<i64>,
}

/// What changes of one field.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changed {
    /// For how many events.
    pub count: usize,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// A field of one event, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The event's sequence number.
    pub seq: i64,
    /// By the first mapping; `None` where it has no such field.
    pub before: Option<FieldState>,
    /// By the second one.
    pub after: Option<FieldState>,
}

/// Compares the second mapping with the first one.
#[must_use]
pub fn compare(
    first: Option<&Mapping>,
    second: &Mapping,
    events: &[(i64, Event)],
    schema: Option<&Schema>,
) -> Comparison {
    let mut comparison = Comparison {
        events: events.len(),
        ..Comparison::default()
    };
    for (seq, event) in events {
        let states = |mapping: &Mapping| with_input(event, |input| mapping.states(input, schema));
        let before = first.map(states).unwrap_or_default();
        let after = states(second);
        let stops = |states: &[FieldState]| states.iter().any(|state| state.parks);
        match (stops(&before), stops(&after)) {
            (false, true) => comparison.newly_stopped.push(*seq),
            (true, false) => comparison.newly_passing.push(*seq),
            _ => {}
        }
        let mut pairs: BTreeMap<String, (Option<FieldState>, Option<FieldState>)> = BTreeMap::new();
        for state in before {
            let path = state.path();
            pairs.entry(path).or_default().0 = Some(state);
        }
        for state in after {
            let path = state.path();
            pairs.entry(path).or_default().1 = Some(state);
        }
        for (path, (before, after)) in pairs {
            if value(before.as_ref()) == value(after.as_ref()) {
                continue;
            }
            let changed = comparison.fields.entry(path).or_default();
            changed.count += 1;
            if changed.examples.len() < EXAMPLES {
                changed.examples.push(Example {
                    seq: *seq,
                    before,
                    after,
                });
            }
        }
    }
    comparison
}

/// What the CRM gets of it.
fn value(state: Option<&FieldState>) -> Option<&Value> {
    state.and_then(|state| state.value.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{bare, sample};

    #[test]
    fn what_changes_is_counted_with_examples() {
        let parse = |text: &str| Mapping::parse("m.toml", text).expect("is right");
        let live = parse(
            "kind = \"hubspot\"\n[ticket]\nsubject = \"{{ handoff.topic }}\"\nold = \"{{ target }}\"\n",
        );
        let draft = parse(
            "kind = \"hubspot\"\n[ticket.subject]\nvalue = \"{{ handoff.topic | upper }}\"\nrequired = true\n",
        );
        let events: Vec<(i64, Event)> = vec![
            (9, sample()),
            (8, bare()),
            (7, sample()),
            (6, sample()),
            (5, sample()),
        ];
        let found = compare(Some(&live), &draft, &events, None);
        assert_eq!(found.events, 5);
        assert_eq!(
            (
                found.fields["ticket.subject"].count,
                found.fields["ticket.subject"].examples.len()
            ),
            (4, 3)
        );
        assert_eq!(found.fields["ticket.old"].count, 5);
        assert_eq!(
            (found.newly_stopped, found.newly_passing),
            (vec![8], vec![])
        );
        let back = compare(Some(&draft), &live, &events, None);
        assert_eq!(back.newly_passing, [8]);
        assert!(compare(Some(&live), &live, &events, None).fields.is_empty());
    }
}
