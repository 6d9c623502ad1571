//! A handoff that was looked at, kept as a test of its mapping: with the built-in handoff's invented words in
//! the place of what the customer said and is called.

use std::collections::BTreeSet;

use handoffd_contract::{Data, Event};
use serde_json::{Map, Value, json};

use super::{Mapping, MappingProblem, edit, sample, with_input};

/// Words in the place of an assistant's text.
const INVENTED: &str = "example text";

/// Parts of a handoff that the built-in one has and that may be absent; and whether the handoff has them.
const OPTIONAL: &[&str] = &[
    "contact.name",
    "contact.email",
    "contact.phone",
    "contact.username",
    "contact.wa_id",
    "handoff.topic",
    "handoff.summary",
    "handoff.sentiment",
    "handoff.language",
    "handoff.requested_at",
    "session.url",
    "session.language",
    "session.opened_at",
];

/// The file with a test of this name, which holds what the mapping makes of these fields for a handoff like this
/// one. Nothing that the customer or the assistant wrote is in it, but what is a key of a value map, a number, a
/// yes or no, or a date.
///
/// # Errors
/// The event is no handoff, the mapping is wrong, or it has none of these fields.
pub fn kept(text: &str, name: &str, event: &Event, hold: &[String]) -> Result<String, String> {
    let Data::HandoffRequested(_) = &event.data else {
        return Err("only a handoff can be kept as a test".into());
    };
    let mapping = Mapping::parse("draft", text).map_err(|problems| told(&problems))?;
    let (change, without) = invented(event, &mapping);
    let mut test = Map::new();
    if change.as_object().is_some_and(|change| !change.is_empty()) {
        test.insert("change".into(), change.clone());
    }
    if !without.is_empty() {
        test.insert("without".into(), json!(without));
    }
    let (expect, absent) = wanted(&mapping, &like(&change, &without)?, hold)?;
    if expect.is_empty() && absent.is_empty() {
        return Err("the mapping has none of the fields that are to be held".into());
    }
    if !expect.is_empty() {
        test.insert("expect".into(), Value::Object(expect));
    }
    if !absent.is_empty() {
        test.insert("absent".into(), json!(absent));
    }
    edit::with_test(text, name, &Value::Object(test))
}

fn told(problems: &[MappingProblem]) -> String {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// What is laid over the built-in handoff, and what is taken out of it.
fn invented(event: &Event, mapping: &Mapping) -> (Value, Vec<String>) {
    let wire = json!(event);
    let base = json!(sample());
    let mut without: Vec<String> = OPTIONAL
        .iter()
        .filter(|path| at(&wire["data"], path).is_none_or(is_nothing))
        .filter(|path| at(&base["data"], path).is_some())
        .map(|path| (*path).to_owned())
        .collect();
    let mut change = json!({});
    // Words of ours, not the customer's.
    for path in ["handoff.sentiment", "handoff.language", "session.language"] {
        if let Some(value) = at(&wire["data"], path)
            && !is_nothing(value)
            && at(&base["data"], path) != Some(value)
        {
            put(&mut change, path, value.clone());
        }
    }
    let fields = wire["data"]["fields"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let known = base["data"]["fields"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let keys = mapping.map_keys();
    for (name, value) in &fields {
        let open = is_open(value, &keys);
        let value = if open {
            value.clone()
        } else {
            Value::from(INVENTED)
        };
        if known.get(name) != Some(&value) {
            change["fields"][name.as_str()] = value;
        }
    }
    let gone = known.keys().filter(|name| !fields.contains_key(*name));
    without.extend(gone.map(|name| format!("fields.{name}")));
    (change, without)
}

/// Whether a value of the assistant's can stand in a file: a number, a yes or no, a date, or a key of a map.
fn is_open(value: &Value, keys: &BTreeSet<String>) -> bool {
    match value {
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => {
            text.parse::<jiff::civil::Date>().is_ok() || keys.contains(&text.trim().to_lowercase())
        }
        _ => false,
    }
}

/// The built-in handoff with these changes.
fn like(change: &Value, without: &[String]) -> Result<Event, String> {
    let mut wire = json!(sample());
    super::cases::lay_over(&mut wire["data"], change);
    for path in without {
        super::cases::take_out(&mut wire["data"], path);
    }
    serde_json::from_value(wire).map_err(|_| "the handoff cannot be kept as a test".to_owned())
}

/// What the mapping makes of these fields.
fn wanted(
    mapping: &Mapping,
    event: &Event,
    hold: &[String],
) -> Result<(Map<String, Value>, Vec<String>), String> {
    let input = |input: &super::Input<'_>| mapping.render(0, input);
    let rendered = with_input(event, input).map_err(|problem| problem.to_string())?;
    let (mut expect, mut absent) = (Map::new(), Vec::new());
    for (section, names) in mapping.fields() {
        for name in names {
            let path = format!("{section}.{name}");
            if !hold.is_empty() && !hold.contains(&path) {
                continue;
            }
            match rendered
                .sections
                .get(&section)
                .and_then(|fields| fields.get(&name))
            {
                Some(value) => {
                    let fields = expect.entry(section.clone()).or_insert_with(|| json!({}));
                    fields[name.as_str()] = value.clone();
                }
                None if section != super::field::NOTICES => absent.push(path),
                None => {}
            }
        }
    }
    Ok((expect, absent))
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn put(value: &mut Value, path: &str, new: Value) {
    let mut here = value;
    for key in path.split('.') {
        here = &mut here[key];
    }
    *here = new;
}

impl Mapping {
    /// The keys of all its value maps, in lower case: words that stand in the file already.
    #[must_use]
    pub fn map_keys(&self) -> BTreeSet<String> {
        let maps = self.0.fields.iter().filter_map(|field| field.map.as_ref());
        maps.flat_map(|map| map.keys().map(|key| key.to_lowercase()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../mappings/hubspot.toml");

    fn event() -> Event {
        let mut wire = json!(sample());
        let data = &mut wire["data"];
        data["contact"] = json!({"wa_id": "491700000000", "name": "Secret Person"});
        data["handoff"] = json!({"reasons": ["x"], "topic": "My secret", "sentiment": "happy"});
        data["fields"] = json!({"category": "refund", "note": "a secret note", "amount": 12});
        serde_json::from_value(wire).expect("an event")
    }

    #[test]
    fn a_kept_test_passes_and_holds_nothing_of_the_person() {
        let kept = kept(FILE, "from a handoff", &event(), &[]).expect("is kept");
        let new = &kept[FILE.len() - 1..];
        for secret in ["ecret", "4917", "Person"] {
            assert!(!new.contains(secret), "{new}");
        }
        let mapping = Mapping::parse("m.toml", &kept).expect("is right");
        let tests = mapping.run_tests();
        assert!(
            tests.iter().all(|test| test.failures.is_empty()),
            "{tests:?}"
        );
        assert!(new.contains("hs_ticket_priority = \"LOW\""), "{new}");
        assert!(
            new.contains("contact.email"),
            "what was absent is absent: {new}"
        );
    }

    #[test]
    fn only_the_fields_that_are_to_be_held_are_expected() {
        let hold = ["ticket.hs_ticket_priority".to_owned()];
        let kept = kept(FILE, "one", &event(), &hold).expect("is kept");
        let new = &kept[FILE.len() - 1..];
        assert!(!new.contains("expect.ticket.subject"), "{new}");
        let none = super::kept(FILE, "none", &event(), &["ticket.nothing".to_owned()]);
        assert!(none.is_err());
    }
}
