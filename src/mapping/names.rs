//! The names that a template may use, and their values for one event.
//!
//! Everything known is always there, `none` where the event has nothing, so a name that is not
//! there is a typing error and is refused with the list of those that are. Only `fields` and
//! `contact.external_ids` have free names; what they do not have is `none`.

use std::collections::BTreeMap;
use std::sync::Arc;

use handoffd_contract::event::Session;
use handoffd_contract::{Contact, Data, Event, Handoff, Message, text};
use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};

use handoffd_contract::settings::{did_you_mean, printable};

use super::values::{contact, counts, event, json, message, notice, reasoning, session, text};

/// The most messages that a template is given; the newest ones.
const MAX_MESSAGES: usize = 1_000;

/// The names at the top, and what they have.
#[rustfmt::skip]
const KNOWN: &[(&str, &[&str])] = &[
    ("session", &["id", "url", "channel", "business_number", "language", "opened_at"]),
    ("contact", &["name", "first_name", "last_name", "display_name", "phone", "e164", "wa_id", "user_id", "username",
        "email", "key", "external_ids"]),
    ("handoff", &["reasons", "summary", "sentiment", "sentiment_normalised", "language", "topic", "requested_at"]),
    ("event", &["id", "time", "type", "source"]),
    ("notice", &["kind", "rep", "position", "wait_minutes", "target"]),
    ("counts", &["messages", "customer_messages", "attachments"]),
    ("transcript", &[]), ("transcript_text", &[]), ("fields", &[]), ("target", &[]),
];

/// The names of one message of `transcript`.
#[rustfmt::skip]
#[cfg(test)]
const MESSAGE: &[&str] = &["id", "time", "author", "author_name", "text", "body", "line", "attachments", "location"];

/// What a mapping is applied to: an event, and the session and contact as last known.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The event.
    pub event: &'a Event,
    /// The session as last known.
    pub session: &'a Session,
    /// The customer as last known.
    pub contact: &'a Contact,
    /// The target's name.
    pub target: &'a str,
}

/// The names at the top, each with what it has; nothing where it is a value, or its names are free.
pub(super) fn known() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    KNOWN.iter().copied()
}

/// What is wrong with a name such as `contact.nmae`, if anything is.
pub(super) fn unknown(path: &str) -> Option<String> {
    let mut parts = path.split('.');
    let top = parts.next().unwrap_or_default();
    let Some((_, has)) = KNOWN.iter().find(|(name, _)| *name == top) else {
        return Some(unknown_name("", top, KNOWN.iter().map(|(name, _)| *name)));
    };
    let attribute = parts.next()?;
    if top == "fields" || has.contains(&attribute) {
        return None;
    }
    Some(match (top, has.is_empty()) {
        ("transcript", _) => {
            "`transcript` is a list of messages; write `(transcript | last).text` or a for loop"
                .into()
        }
        (_, true) => format!("`{top}` is a text and has no `{}`", printable(attribute)),
        (_, false) => unknown_name(top, attribute, has.iter().copied()),
    })
}

/// The values of every name. `uses` says which names templates use, since some cost work.
pub(super) fn values(input: &Input<'_>, uses: impl Fn(&str) -> bool) -> Value {
    let nothing = Handoff::default();
    let (handoff, messages): (&Handoff, &[Message]) = match &input.event.data {
        Data::HandoffRequested(handoff) => (handoff, &handoff.transcript),
        Data::MessageReceived(said) | Data::MessageSent(said) => {
            (&nothing, std::slice::from_ref(&said.message))
        }
        _ => (&nothing, &[]),
    };
    let mut names = BTreeMap::new();
    names.insert("session", session(input.session));
    names.insert("contact", contact(input.contact));
    names.insert("handoff", reasoning(handoff));
    names.insert("event", event(input.event));
    names.insert("counts", counts(messages));
    let told = match &input.event.data {
        Data::CustomerNotice(told) => Some(told),
        _ => None,
    };
    names.insert("notice", notice(told));
    names.insert("target", text(input.target));
    let fields = handoff
        .fields
        .iter()
        .map(|(name, value)| (name.clone(), json(value, 0)));
    names.insert("fields", Value::from_object(Free(fields.collect())));
    let newest = &messages[messages.len().saturating_sub(MAX_MESSAGES)..];
    if uses("transcript") {
        let list: Vec<Value> = newest
            .iter()
            .map(|said| message(said, input.contact))
            .collect();
        names.insert("transcript", Value::from(list));
    }
    if uses("transcript_text") {
        let mut lines = String::new();
        for said in newest {
            lines.push_str(&text::line(said, input.contact));
            lines.push('\n');
        }
        names.insert("transcript_text", text(lines.trim_end()));
    }
    Value::from_object(Known { of: "", names })
}

/// An object whose names are all known; asking for another one is an error.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) of: &'static str,
    pub(super) names: BTreeMap<&'static str, Value>,
}

impl Object for Known {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        Some(self.names.get(key).cloned().unwrap_or_else(|| {
            // The key may be computed from the event, so it is repeated only when it is close to a name.
            let known = self.names.keys().copied();
            let key = if did_you_mean(key, known.clone()).is_empty() {
                "…"
            } else {
                key
            };
            let message = unknown_name(self.of, key, known);
            Value::from(Error::new(ErrorKind::UndefinedError, message))
        }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.keys().map(|name| Value::from(*name)).collect())
    }
}

/// An object with free names; those that it does not have are `none`.
#[derive(Debug)]
pub(super) struct Free(pub(super) BTreeMap<String, Value>);

impl Object for Free {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(
            self.0
                .get(key.as_str()?)
                .cloned()
                .unwrap_or_else(|| Value::from(())),
        )
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.0
                .keys()
                .map(|name| Value::from(name.as_str()))
                .collect(),
        )
    }
}

/// That a name is unknown, and which are known.
pub(super) fn unknown_name<'a>(
    of: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let hint = did_you_mean(name, known.clone());
    let name = if name == "…" {
        name.to_owned()
    } else {
        printable(name)
    };
    let known: Vec<&str> = known.collect();
    let whole = if of.is_empty() {
        name
    } else {
        format!("{of}.{name}")
    };
    format!(
        "`{whole}` is unknown{hint}; known are: {}",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::filters::{FILTERS, TESTS};
    use crate::mapping::{bare, sample};

    #[test]
    fn every_known_name_is_there_and_nothing_else() {
        for event in [sample(), bare()] {
            let Data::HandoffRequested(handoff) = &event.data else {
                panic!("a handoff")
            };
            let input = Input {
                event: &event,
                session: &handoff.session,
                contact: &handoff.contact,
                target: "t",
            };
            let values = values(&input, |_| true);
            for (top, has) in KNOWN {
                let value = values.get_attr(top).expect("a value");
                for name in *has {
                    assert!(
                        !value.get_attr(name).expect(name).is_undefined(),
                        "{top}.{name}"
                    );
                }
                if !has.is_empty() {
                    assert_eq!(value.len(), Some(has.len()), "{top}");
                }
            }
            assert_eq!(values.len(), Some(KNOWN.len()));
        }
        let event = sample();
        let Data::HandoffRequested(handoff) = &event.data else {
            panic!("a handoff")
        };
        let said = message(&handoff.transcript[0], &handoff.contact);
        assert_eq!(said.len(), Some(MESSAGE.len()));
        assert!(
            MESSAGE
                .iter()
                .all(|name| said.get_attr(name).is_ok_and(|value| !value.is_undefined()))
        );
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        assert_eq!(unknown("contact.name"), None);
        assert_eq!(unknown("fields.anything.at.all"), None);
        assert!(unknown("contact.nmae").is_some_and(|m| {
            m.starts_with("`contact.nmae` is unknown (did you mean `name`?); known are: name,")
        }));
        assert!(unknown("contcat").is_some_and(|m| m.contains("(did you mean `contact`?)")));
        assert!(unknown("transcript.text").is_some_and(|m| m.contains("list of messages")));
        assert_eq!(
            unknown("target.name").as_deref(),
            Some("`target` is a text and has no `name`")
        );
    }

    #[test]
    fn the_readme_names_everything() {
        let readme = include_str!("../../mappings/README.md");
        let names = KNOWN
            .iter()
            .flat_map(|(top, has)| std::iter::once(top).chain(*has));
        for name in names.chain(MESSAGE).chain(FILTERS).chain(TESTS) {
            let alone = readme.contains(&format!("`{name}`"));
            assert!(alone || readme.contains(&format!("`{name}(")), "{name}");
        }
    }
}
