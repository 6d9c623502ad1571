//! What a template can take: every source of an event with its value, how often a source is there, and
//! which values it had.

use std::collections::BTreeMap;

use handoffd_contract::settings::printable;
use handoffd_contract::{Data, Event};
use minijinja::value::{Value, ValueKind};
use serde_json::Value as Json;

use super::filters::{metered, written};
use super::names::{self, Input};
use super::template::Templates;
use super::with_input;

/// The most values of one source that are told.
const MAX_VALUES: usize = 200;
/// The longest value that is counted, in characters.
const MAX_COUNTED: usize = 200;
/// The most free sources, such as the assistant's fields.
const MAX_FREE: usize = 200;

/// A source, and what it has in one event.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceValue {
    /// The path, as a template names it: `fields.category`.
    pub path: String,
    /// Its value; `None` where the event has none.
    pub value: Option<Json>,
}

/// The values that a source had.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counted {
    /// The values, the most frequent first, as a template writes them.
    pub values: Vec<(String, usize)>,
    /// How often it was empty.
    pub empty: usize,
    /// Whether there were more values.
    pub more: bool,
    /// In how many events was looked.
    pub events: usize,
}

/// Every source of an event. Lists and long texts of the conversation are told by themselves: `transcript`
/// is the number of its messages.
#[must_use]
pub fn sources(event: &Event) -> Vec<SourceValue> {
    with_input(event, |input| {
        let values = names::values(input, |name| {
            name != "transcript" && name != "transcript_text"
        });
        let mut found = Vec::new();
        for (top, has) in names::known() {
            let value = values.get_attr(top).unwrap_or_default();
            match (top, has.is_empty()) {
                ("transcript" | "transcript_text", _) => found.push(SourceValue {
                    path: top.to_owned(),
                    value: Some(Json::from(messages(input.event)))
                        .filter(|_| messages(input.event) > 0),
                }),
                ("fields", _) => found.extend(free(top, &value)),
                (_, true) => found.push(SourceValue {
                    path: top.to_owned(),
                    value: json(&value),
                }),
                (_, false) => {
                    for name in has {
                        let inner = value.get_attr(name).unwrap_or_default();
                        let path = format!("{top}.{name}");
                        if *name == "external_ids" {
                            found.extend(free(&path, &inner));
                        } else {
                            found.push(SourceValue {
                                path,
                                value: json(&inner),
                            });
                        }
                    }
                }
            }
        }
        found
    })
}

/// How many of these events have a value at each source, by its path.
#[must_use]
pub fn shares(events: &[(i64, Event)]) -> BTreeMap<String, usize> {
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for (_, event) in events {
        for source in sources(event) {
            let there = shares.entry(source.path).or_default();
            *there += usize::from(source.value.is_some());
        }
    }
    shares
}

/// The values that a source had in these events.
///
/// # Errors
/// What is wrong with the path.
pub fn counted(path: &str, events: &[(i64, Event)]) -> Result<Counted, String> {
    check(path)?;
    let mut templates = Templates::new();
    let faulty = |faults: Vec<super::template::Fault>| {
        faults
            .into_iter()
            .map(|fault| fault.message)
            .collect::<Vec<_>>()
            .join("; ")
    };
    let id = templates
        .add(&format!("{{{{ {path} }}}}"))
        .map_err(faulty)?;
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut counted = Counted {
        events: events.len(),
        ..Counted::default()
    };
    for (_, event) in events {
        let text = with_input(event, |input| {
            let values = names::values(input, |name| templates.uses(name));
            templates.render(id, &values).unwrap_or_default()
        });
        let text: String = text.trim().chars().take(MAX_COUNTED).collect();
        if text.is_empty() {
            counted.empty += 1;
        } else {
            *found.entry(text).or_default() += 1;
        }
    }
    counted.more = found.len() > MAX_VALUES;
    let mut values: Vec<(String, usize)> = found.into_iter().collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values.truncate(MAX_VALUES);
    counted.values = values;
    Ok(counted)
}

/// For how many of these events a condition holds.
///
/// # Errors
/// What is wrong with the condition.
pub fn holds(condition: &str, events: &[(i64, Event)]) -> Result<usize, String> {
    let mut templates = Templates::new();
    let added = templates.add_condition(condition);
    let id = added.map_err(|faults| {
        let words: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
        words.join("; ")
    })?;
    let holds = events.iter().filter(|(_, event)| {
        with_input(event, |input| {
            let values = names::values(input, |name| templates.uses(name));
            templates
                .render(id, &values)
                .is_ok_and(|text| !text.is_empty())
        })
    });
    Ok(holds.count())
}

/// Whether a path names a source, and nothing else.
fn check(path: &str) -> Result<(), String> {
    let is_path = path.len() <= 200
        && path.split('.').all(|part| {
            let mut chars = part.chars();
            chars
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
    if !is_path {
        return Err(format!(
            "`{}` is not a source; write names with dots between, such as fields.category",
            printable(path)
        ));
    }
    names::unknown(path).map_or(Ok(()), Err)
}

fn messages(event: &Event) -> usize {
    match &event.data {
        Data::HandoffRequested(handoff) => handoff.transcript.len(),
        Data::MessageReceived(_) | Data::MessageSent(_) => 1,
        _ => 0,
    }
}

/// The names of an object whose names are free.
fn free(path: &str, value: &Value) -> Vec<SourceValue> {
    let Ok(names) = value.try_iter() else {
        return Vec::new();
    };
    let named = names.take(MAX_FREE).filter_map(|name| {
        let inner = value.get_item(&name).ok()?;
        Some(SourceValue {
            path: format!("{path}.{name}"),
            value: json(&inner),
        })
    });
    named.collect()
}

/// A value as JSON; lists as the text that a template writes.
fn json(value: &Value) -> Option<Json> {
    if value.is_none() || value.is_undefined() {
        return None;
    }
    let text = metered(false, || written(value)).unwrap_or_default();
    if text.trim().is_empty() {
        return None;
    }
    let number = || {
        let whole = i64::try_from(value.clone()).ok().map(Json::from);
        whole.or_else(|| f64::try_from(value.clone()).ok().map(Json::from))
    };
    Some(match value.kind() {
        ValueKind::Bool => Json::from(value.is_true()),
        ValueKind::Number => number().unwrap_or_else(|| Json::from(text)),
        _ => Json::from(text),
    })
}

impl Input<'_> {
    /// Whether it is of a handoff.
    #[must_use]
    pub fn is_handoff(&self) -> bool {
        matches!(self.event.data, Data::HandoffRequested(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{bare, sample};

    #[test]
    fn every_source_is_there_with_its_value() {
        let found = sources(&sample());
        let value = |path: &str| {
            let source = found.iter().find(|source| source.path == path);
            source.unwrap_or_else(|| panic!("{path}")).value.clone()
        };
        assert_eq!(
            value("handoff.sentiment_normalised"),
            Some("negative".into())
        );
        assert_eq!(value("fields.order_id"), Some(8812.into()));
        assert_eq!(value("fields.vip"), Some(true.into()));
        assert_eq!(value("contact.external_ids.shop"), Some("C-2041".into()));
        assert_eq!(value("transcript"), Some(7.into()));
        assert_eq!(value("notice.rep"), None);
        let reasons = value("handoff.reasons").and_then(|value| value.as_str().map(str::to_owned));
        assert_eq!(
            reasons.as_deref(),
            Some("user_requested_human_assistance, insufficient_tools")
        );
    }

    #[test]
    fn values_and_shares_are_counted() {
        let events = vec![(3, sample()), (2, bare()), (1, sample())];
        let counted = counted("fields.category", &events).expect("a source");
        assert_eq!(
            (counted.values, counted.empty),
            (vec![("refund".to_owned(), 2)], 1)
        );
        assert_eq!(shares(&events)["fields.category"], 2);
        assert_eq!(holds("fields.vip", &events), Ok(2));
        assert!(holds("fields.vip ==", &events).is_err());
        for wrong in ["contact.nmae", "fields.x }}{{ contact", "", "1 + 1"] {
            assert!(super::counted(wrong, &events).is_err(), "{wrong}");
        }
    }
}
