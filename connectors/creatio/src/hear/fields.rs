//! What a webhook's body says, in whatever shape a process sends it.
//!
//! Admins paste values between quotes of their own, so a body is often nearly JSON: a quote or a line
//! break in a rep's text breaks it. Of such a body only what cannot be mistaken is taken, that is record
//! ids and the kind of event. Everything else is read from Creatio.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire;

/// Fields that are looked at.
const MOST: usize = 200;
/// Records that a body which is not quite JSON may name. A text inside it can look like a field.
const RECORDS: usize = 5;

/// A body, as far as it can be read.
pub(super) enum Said {
    /// All of it.
    Whole(Fields),
    /// Ids and the kind of event; each set of fields names at most one record.
    Ids(Vec<Fields>),
    /// JSON, but no object.
    Odd,
    /// Nothing that names a record.
    Nothing,
}

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Said {
    let text = decoded(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match serde_json::from_str(text) {
        Ok(Value::String(inner)) => match serde_json::from_str(&inner) {
            Ok(value) => whole(&value),
            Err(_) => ids(&inner),
        },
        Ok(value) => whole(&value),
        Err(_) => ids(text),
    }
}

fn whole(value: &Value) -> Said {
    let value = match value {
        Value::Array(list) => list.first().unwrap_or(value),
        value => value,
    };
    match value.as_object() {
        Some(_) => Said::Whole(Fields::of(value)),
        None => Said::Odd,
    }
}

/// UTF-8 with whatever is wrong in it replaced, or UTF-16 where it says so.
fn decoded(body: &[u8]) -> String {
    let wide = |from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = body[2..]
            .chunks_exact(2)
            .map(|pair| from([pair[0], pair[1]]))
            .collect();
        String::from_utf16_lossy(&units)
    };
    match body {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Ids and the kind of event in a body that is no JSON: nearly JSON, or a form.
fn ids(text: &str) -> Said {
    let form = !text.starts_with(['{', '[', '"']);
    let text = if form {
        unescaped(text)
    } else {
        text.to_owned()
    };
    let mut common = BTreeMap::new();
    let mut records: Vec<(String, String)> = Vec::new();
    for (at, _) in text.match_indices([':', '=']) {
        let (key, value) = (key_before(&text[..at]), value_after(&text[at + 1..]));
        let key = bare(key);
        if is_kind(&key) {
            common.entry(key).or_insert_with(|| value.to_owned());
            continue;
        }
        let Some(id) = wire::guid(value).filter(|_| is_id(&key)) else {
            continue;
        };
        if key == "caseid" || key == "entityid" {
            common.entry(key).or_insert(id);
        } else if !records.iter().any(|(_, known)| *known == id) && records.len() < RECORDS {
            records.push((key, id));
        }
    }
    let names_case = common.contains_key("caseid") || common.contains_key("entityid");
    if records.is_empty() {
        return if names_case {
            Said::Ids(vec![Fields(common)])
        } else {
            Said::Nothing
        };
    }
    let with = |record: (String, String)| {
        let mut fields = common.clone();
        fields.extend([record]);
        Fields(fields)
    };
    Said::Ids(records.into_iter().map(with).collect())
}

fn is_kind(key: &str) -> bool {
    matches!(key, "eventtype" | "event" | "type")
}

fn is_id(key: &str) -> bool {
    matches!(
        key,
        "caseid" | "entityid" | "activityid" | "recordid" | "socialmessageid" | "postid" | "id"
    )
}

/// The word that ends before a separator, without quotes around it.
fn key_before(text: &str) -> &str {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    let start = text
        .char_indices()
        .rev()
        .take(40)
        .take_while(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .last()
        .map_or(text.len(), |(at, _)| at);
    &text[start..]
}

/// The word that begins after a separator, without quotes around it.
fn value_after(text: &str) -> &str {
    let text =
        text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    let end = text
        .char_indices()
        .take(64)
        .find(|(_, c)| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '{' | '}' | '.'))
        .map_or_else(|| text.len().min(64), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

/// A form's percent signs, as far as they are any.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A body's values by their bare keys, its own and those of the objects directly in it.
#[derive(Debug, Clone)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    fn of(body: &Value) -> Fields {
        let mut fields = BTreeMap::new();
        let Some(map) = body.as_object() else {
            return Fields(fields);
        };
        let nested = map.values().filter_map(Value::as_object).flatten();
        // Outer keys win over inner ones.
        for (key, value) in nested.chain(map) {
            let text = match value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => continue,
            };
            if !text.is_empty() && fields.len() < MOST {
                fields.insert(bare(key), text);
            }
        }
        Fields(fields)
    }

    pub(super) fn text(&self, keys: &[&str]) -> Option<&str> {
        keys.iter()
            .find_map(|key| self.0.get(*key))
            .map(String::as_str)
    }

    pub(super) fn id(&self, keys: &[&str]) -> Option<String> {
        keys.iter()
            .find_map(|key| self.0.get(*key).and_then(|text| wire::guid(text)))
    }

    /// The kind of event, in lower case without separators.
    pub(super) fn kind(&self) -> String {
        self.text(&["eventtype", "event", "type"])
            .map(bare)
            .unwrap_or_default()
    }
}

/// A word in lower case without separators: `event_type`, `EventType` and `eventType` are one.
fn bare(key: &str) -> String {
    key.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(64)
        .collect()
}
