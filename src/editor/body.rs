//! A request as lines that lead to fields: exactly what the CRM would get, with what is the person's hidden.

use std::collections::BTreeSet;

use handoffd_contract::{Body, Call, Content, HttpCall, Step};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::masked::Masks;
use super::preview::FieldView;
use crate::operate::mask;

/// The most lines of one request.
const MAX_LINES: usize = 2_000;
/// The longest text that is shown whole, in characters.
const MAX_TEXT: usize = 600;

/// A request that the CRM would get.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallView {
    /// What it is for, such as `ticket.create`.
    pub step: String,
    /// The method.
    pub method: String,
    /// The path, without the customer's digits.
    pub path: String,
    /// The body, line by line.
    pub lines: Vec<Line>,
    /// Whether it carries fields of the mapping.
    pub carries_fields: bool,
}

/// A line of a body.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Line {
    /// The line.
    pub text: String,
    /// The field of the mapping whose value stands in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// That field's state, where it is not fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What is to be said of it: the state in words, or that handoffd sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Texts that stand in a request whatever the handoff.
pub(super) fn constants(steps: &[Step]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for step in steps {
        if let Call::Http(HttpCall {
            body: Body::Json(body),
            ..
        }) = &step.call
        {
            texts(body, &mut found);
        }
    }
    found
}

/// The names of everything that requests carry.
pub(super) fn keys(steps: &[Step]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for step in steps {
        if let Call::Http(HttpCall {
            body: Body::Json(body),
            ..
        }) = &step.call
        {
            keys_of(body, &mut found);
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// The requests as they are shown.
pub(super) fn shown(
    steps: &[Step],
    fields: &[FieldView],
    constants: &BTreeSet<String>,
    masks: &Masks,
) -> Vec<CallView> {
    let views = steps.iter().filter_map(|step| match &step.call {
        Call::Http(call) => Some(view(step, call, fields, constants, masks)),
        Call::Publish(_) | Call::Record(_) => None,
    });
    views.collect()
}

fn view(
    step: &Step,
    call: &HttpCall,
    fields: &[FieldView],
    constants: &BTreeSet<String>,
    masks: &Masks,
) -> CallView {
    let mut writer = Writer {
        fields: in_call(call, fields),
        constants,
        masks,
        lines: Vec::new(),
    };
    match &call.body {
        Body::Empty => {}
        Body::Json(body) => writer.value("", body, None, ""),
        Body::JsonWithFile(with) => writer.value("", &with.json, None, ""),
        Body::Form(pairs) => {
            for (name, value) in pairs {
                writer.value("", &Value::from(value.as_str()), Some(name), "");
            }
        }
        Body::Media(_) => writer.push("(the file's bytes)".to_owned(), None),
        Body::Multipart(parts) => {
            for part in parts {
                match &part.content {
                    Content::Text(text) => {
                        writer.value("", &Value::from(text.as_str()), Some(&part.name), "")
                    }
                    Content::Media(_) => {
                        writer.push(format!("{}: (the file's bytes)", part.name), None)
                    }
                }
            }
        }
    }
    let carries_fields = writer.lines.iter().any(|line| line.field.is_some());
    CallView {
        step: step.name.to_owned(),
        method: call.method.as_str().to_owned(),
        path: address(call, masks),
        carries_fields,
        lines: writer.lines,
    }
}

/// The path and query without what is the person's.
fn address(call: &HttpCall, masks: &Masks) -> String {
    let query: Vec<String> = call
        .query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let whole = if query.is_empty() {
        call.path.clone()
    } else {
        format!("{}?{}", call.path, query.join("&"))
    };
    if masks.unmasked {
        return whole;
    }
    mask::words(&mask::session(&whole, None), &mask::Values::default())
}

/// The fields whose section a call carries: those of which it has the most codes.
fn in_call<'f>(call: &HttpCall, fields: &'f [FieldView]) -> Vec<&'f FieldView> {
    let mut keys = BTreeSet::new();
    if let Body::Json(body) = &call.body {
        keys_of(body, &mut keys);
    }
    let sections: BTreeSet<&str> = fields.iter().map(|field| field.section.as_str()).collect();
    let has = |section: &str| {
        let of = fields.iter().filter(|field| field.section == section);
        of.filter(|field| field.sent && keys.contains(field.name.as_str()))
            .count()
    };
    let best = sections.into_iter().max_by_key(|section| has(section));
    let best = best.filter(|section| has(section) > 0);
    fields
        .iter()
        .filter(|field| Some(field.section.as_str()) == best)
        .collect()
}

fn keys_of<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| keys_of(item, found)),
        Value::Object(members) => {
            for (key, value) in members {
                found.insert(key);
                keys_of(value, found);
            }
        }
        _ => {}
    }
}

struct Writer<'a> {
    fields: Vec<&'a FieldView>,
    constants: &'a BTreeSet<String>,
    masks: &'a Masks,
    lines: Vec<Line>,
}

impl<'a> Writer<'a> {
    /// The field of the mapping that fills this key.
    fn field(&self, key: &str) -> Option<&'a FieldView> {
        let mut fields = self.fields.iter().copied();
        fields.find(|field| field.sent && field.name == key)
    }

    fn push(&mut self, text: String, field: Option<&FieldView>) {
        if self.lines.len() >= MAX_LINES {
            return;
        }
        let marked = field.filter(|field| field.state.needs_a_look());
        self.lines.push(Line {
            text,
            field: field.map(FieldView::path),
            state: marked.map(|field| field.state.word().to_owned()),
            note: marked.map(|field| field.words.clone()),
        });
    }

    /// A value on lines of its own, after its key.
    fn value(&mut self, indent: &str, value: &Value, key: Option<&str>, end: &str) {
        let label = key.map_or(String::new(), |key| format!("{}: ", Value::from(key)));
        let inner = format!("{indent}  ");
        match value {
            Value::Object(members) if !members.is_empty() => {
                self.push(format!("{indent}{label}{{"), None);
                let last = members.len() - 1;
                let is_record = members.keys().any(|key| self.field(key).is_some());
                for (at, (key, value)) in members.iter().enumerate() {
                    let end = if at == last { "" } else { "," };
                    self.value(&inner, value, Some(key), end);
                    let is_ours = is_record && self.field(key).is_none();
                    if let Some(line) = self.lines.last_mut().filter(|_| is_ours) {
                        line.note = Some("set by handoffd".to_owned());
                    }
                }
                self.push(format!("{indent}}}{end}"), None);
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                self.push(format!("{indent}{label}["), None);
                let last = items.len() - 1;
                for (at, item) in items.iter().enumerate() {
                    self.value(&inner, item, None, if at == last { "" } else { "," });
                }
                self.push(format!("{indent}]{end}"), None);
            }
            leaf => {
                let field = key.and_then(|key| self.field(key));
                let shown = self.leaf(leaf, field);
                self.push(format!("{indent}{label}{shown}{end}"), field);
            }
        }
    }

    fn leaf(&self, value: &Value, field: Option<&FieldView>) -> String {
        let shown = match (value, field) {
            // The connector may have cut or escaped it.
            (Value::String(text), Some(field)) => match (&field.real, &field.shown.value) {
                (Some(Value::String(real)), Some(shown)) if real == text => shown.clone(),
                _ if field.shown.masked => self.hidden(text),
                _ => value.clone(),
            },
            (Value::String(text), None) => self.hidden(text),
            (Value::Array(items), _) => items
                .iter()
                .map(|item| match item {
                    Value::String(text) => self.hidden(text),
                    other => other.clone(),
                })
                .collect(),
            (other, _) => other.clone(),
        };
        let cut = match shown {
            Value::String(text) if text.chars().count() > MAX_TEXT => {
                let more = text.chars().count() - MAX_TEXT;
                let head: String = text.chars().take(MAX_TEXT).collect();
                return format!("{} … {more} more characters", Value::from(head));
            }
            other => other,
        };
        cut.to_string()
    }

    fn hidden(&self, text: &str) -> Value {
        let is_placeholder = text.starts_with('<') && text.ends_with('>') && text.len() < 60;
        if self.masks.unmasked || self.constants.contains(text) || is_placeholder || is_own_id(text)
        {
            return text.into();
        }
        mask::dotted(text).into()
    }
}

/// An id that handoffd makes: hexadecimal digits with dashes, and perhaps a word of small letters before.
fn is_own_id(text: &str) -> bool {
    let rest = match text.split_once('-') {
        Some((word, rest)) if word.len() <= 6 && word.bytes().all(|b| b.is_ascii_lowercase()) => {
            rest
        }
        _ => text,
    };
    let is_hex = rest
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-');
    rest.len() >= 12 && is_hex && rest.bytes().any(|b| b.is_ascii_lowercase())
}
