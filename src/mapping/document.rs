//! A mapping file: TOML with the line of everything, read into fields and tests.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::did_you_mean;

use super::MappingProblem;
use super::field::{Field, Kind, MAX, Policy, Source};
use super::template::{Fault, Id, Templates};

/// The sections of each kind of target.
pub const SECTIONS: &[(&str, &[&str])] = &[
    ("salesforce", &["routing"]),
    ("hubspot", &["ticket", "contact"]),
    ("creatio", &["case", "contact"]),
    ("whatsapp", &["template"]),
];

/// The longest file, in bytes.
const MAX_FILE: usize = 256 << 10;
/// The most fields of one mapping.
const MAX_FIELDS: usize = 300;
/// The most templates in one list.
const MAX_LIST: usize = 50;

/// A file being read: its text, and the problems found until now.
pub(super) struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    pub(super) templates: Templates,
    pub(super) problems: Vec<MappingProblem>,
}

/// One `[[test]]`, not yet understood.
pub(super) struct RawCase {
    pub(super) line: usize,
    pub(super) table: Json,
}

/// What a file holds.
pub(super) struct Document {
    pub(super) kind: String,
    pub(super) fields: Vec<Field>,
    pub(super) cases: Vec<RawCase>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Reading<'a> {
        Reading {
            file,
            text,
            templates: Templates::new(),
            problems: Vec::new(),
        }
    }

    /// Notes a problem.
    pub(super) fn problem(
        &mut self,
        line: usize,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.problems.push(MappingProblem {
            file: self.file.to_owned(),
            field: field.into(),
            line,
            message: message.into(),
        });
    }

    /// Reads the file; what is wrong is among `problems` afterwards.
    pub(super) fn document(&mut self) -> Option<Document> {
        if self.text.len() > MAX_FILE {
            self.problem(1, "", "the file is larger than 256 KiB");
            return None;
        }
        let parsed = match DeTable::parse(self.text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let line = self.line(error.span().map_or(0, |span| span.start));
                self.problem(line, "", format!("not TOML: {}", error.message().trim()));
                return None;
            }
        };
        let top = parsed.get_ref();
        let kind = self.kind(top);
        let allowed = SECTIONS
            .iter()
            .find(|(name, _)| *name == kind)
            .map(|(_, sections)| *sections);
        let mut fields = Vec::new();
        let mut cases = Vec::new();
        for (key, value) in by_line(top) {
            let (line, name) = (self.line(key.span().start), key.get_ref().as_ref());
            match (name, value.get_ref()) {
                ("kind", _) => {}
                ("test", DeValue::Array(items)) => {
                    cases = items
                        .iter()
                        .map(|item| RawCase {
                            line: self.line(item.span().start),
                            table: json(item.get_ref()),
                        })
                        .collect();
                }
                ("test", _) => self.problem(line, "test", "begin each test with [[test]]"),
                (_, DeValue::Table(section))
                    if allowed.is_none_or(|allowed| allowed.contains(&name)) =>
                {
                    for (key, value) in by_line(section) {
                        fields.extend(self.field(name, key, value));
                    }
                }
                _ => {
                    let allowed = allowed.unwrap_or_default();
                    let hint = did_you_mean(name, allowed.iter().copied().chain(["kind", "test"]));
                    let message = format!(
                        "unknown section{hint}; {kind} has: {}, and [[test]]",
                        allowed.join(", ")
                    );
                    self.problem(line, shorten(name), message);
                }
            }
        }
        if fields.len() > MAX_FIELDS {
            self.problem(1, "", format!("more than {MAX_FIELDS} fields"));
        }
        Some(Document {
            kind,
            fields,
            cases,
        })
    }

    fn kind(&mut self, top: &DeTable<'_>) -> String {
        let kinds: Vec<&str> = SECTIONS.iter().map(|(kind, _)| *kind).collect();
        let one_of = format!("write one of {}", kinds.join(", "));
        match top.get("kind") {
            None => self.problem(1, "kind", format!("not set; {one_of}")),
            Some(value) => match value.get_ref().as_str() {
                Some(kind) if kinds.contains(&kind) => return kind.to_owned(),
                Some(kind) => {
                    let hint = did_you_mean(kind, kinds.iter().copied());
                    self.problem(
                        self.line(value.span().start),
                        "kind",
                        format!("unknown{hint}; {one_of}"),
                    );
                }
                None => self.problem(
                    self.line(value.span().start),
                    "kind",
                    format!("not a text; {one_of}"),
                ),
            },
        }
        String::new()
    }

    fn field(
        &mut self,
        section: &str,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Field> {
        let (line, name) = (self.line(key.span().start), key.get_ref().as_ref());
        let path = format!("{section}.{}", shorten(name));
        let named = (1..=100).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !named {
            self.problem(line, &path, "not a field's name; use letters, digits and _");
            return None;
        }
        let mut field = Field {
            section: section.to_owned(),
            name: name.to_owned(),
            line,
            value_line: line,
            value: Source::List(Vec::new()),
            when: None,
            default: None,
            map: None,
            map_default: None,
            kind: Kind::Text,
            max: MAX,
            too_long: Policy::Truncate,
            misfit: Policy::Drop,
            required: false,
        };
        let before = self.problems.len();
        match value.get_ref() {
            DeValue::Table(table) => {
                if !table.contains_key("value") {
                    self.problem(line, &path, "has no `value`; write value = \"{{ … }}\"");
                }
                // The type decides what the other keys may say.
                let mut keys = by_line(table);
                keys.sort_by_key(|(key, _)| key.get_ref().as_ref() != "type");
                for (key, value) in keys {
                    let name = key.get_ref().as_ref();
                    self.setting(&mut field, &path, name, self.line(key.span().start), value);
                }
            }
            _ => self.value(&mut field, &path, value),
        }
        if field.map_default.is_some() && field.map.is_none() {
            self.problem(line, &path, "`map_default` has no effect without `map`");
        }
        (self.problems.len() == before).then_some(field)
    }

    fn setting(
        &mut self,
        field: &mut Field,
        path: &str,
        key: &str,
        line: usize,
        value: &Spanned<DeValue<'_>>,
    ) {
        const KEYS: &[&str] = &[
            "value",
            "when",
            "default",
            "map",
            "map_default",
            "type",
            "max",
            "too_long",
            "misfit",
            "required",
        ];
        const POLICIES: &[(&str, Policy)] = &[
            ("truncate", Policy::Truncate),
            ("drop", Policy::Drop),
            ("park", Policy::Park),
        ];
        match (key, value.get_ref()) {
            ("value", _) => self.value(field, path, value),
            ("when", DeValue::String(text)) => {
                let added = self.templates.add_condition(text);
                field.when = self.taken(path, value, added);
            }
            ("default", value_of) => match literal(value_of) {
                Some(text) => {
                    let added = self.templates.add(&text);
                    field.default = self.taken(path, value, added);
                }
                None => self.problem(
                    line,
                    path,
                    "`default` must be a text, a number or a boolean",
                ),
            },
            ("map", DeValue::Table(table)) => {
                let mut map = BTreeMap::new();
                for (from, to) in table.iter() {
                    match literal(to.get_ref()) {
                        Some(text) => {
                            map.insert(from.get_ref().to_string(), text);
                        }
                        None => {
                            let line = self.line(from.span().start);
                            self.problem(line, path, "`map` must have texts, numbers or booleans");
                        }
                    }
                }
                field.map = Some(map);
            }
            ("map", _) => self.problem(
                line,
                path,
                "`map` must be a table, such as { angry = \"HIGH\" }",
            ),
            ("map_default", value_of) => {
                field.map_default = literal(value_of);
                if field.map_default.is_none() {
                    self.problem(
                        line,
                        path,
                        "`map_default` must be a text, a number or a boolean",
                    );
                }
            }
            ("type", value_of) => {
                let kinds = [
                    ("text", Kind::Text),
                    ("number", Kind::Number),
                    ("bool", Kind::Bool),
                    ("date", Kind::Date),
                    ("datetime", Kind::Datetime),
                    ("id", Kind::Id),
                ];
                field.kind = self
                    .one_of(path, "type", line, value_of, &kinds)
                    .unwrap_or(Kind::Text);
                if field.kind != Kind::Text {
                    // A part of an id is another id.
                    field.too_long = Policy::Drop;
                }
            }
            ("max", DeValue::Integer(number)) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(max @ 1..=131_072) => field.max = usize::try_from(max).unwrap_or(MAX),
                    _ => self.problem(line, path, format!("`max` must be from 1 to {MAX}")),
                }
            }
            ("too_long", value_of) => {
                let policies = if field.kind == Kind::Text {
                    POLICIES
                } else {
                    &POLICIES[1..]
                };
                field.too_long = self
                    .one_of(path, "too_long", line, value_of, policies)
                    .unwrap_or(field.too_long);
            }
            ("misfit", value_of) => {
                let policy = self.one_of(path, "misfit", line, value_of, &POLICIES[1..]);
                field.misfit = policy.unwrap_or(field.misfit);
            }
            ("required", DeValue::Boolean(required)) => field.required = *required,
            ("when", _) => self.problem(line, path, "`when` must be a text"),
            ("max", _) => self.problem(line, path, "`max` must be a whole number"),
            ("required", _) => self.problem(line, path, "`required` must be true or false"),
            (other, _) => {
                let hint = did_you_mean(other, KEYS.iter().copied());
                let message = format!(
                    "unknown key `{}`{hint}; known are: {}",
                    shorten(other),
                    KEYS.join(", ")
                );
                self.problem(line, path, message);
            }
        }
    }

    fn value(&mut self, field: &mut Field, path: &str, value: &Spanned<DeValue<'_>>) {
        field.value_line = self.text_line(value);
        match value.get_ref() {
            DeValue::Array(items) if items.len() <= MAX_LIST => {
                let mut ids = Vec::new();
                for item in items.iter() {
                    match literal(item.get_ref()) {
                        Some(text) => {
                            let added = self.templates.add(&text);
                            ids.extend(self.taken(path, item, added).map(|(id, _)| id));
                        }
                        None => {
                            let line = self.line(item.span().start);
                            self.problem(line, path, "a list must have texts, numbers or booleans");
                        }
                    }
                }
                field.value = Source::List(ids);
            }
            DeValue::Array(_) => {
                self.problem(
                    field.value_line,
                    path,
                    format!("a list of more than {MAX_LIST} templates"),
                );
            }
            other => match literal(other) {
                Some(text) => {
                    let added = self.templates.add(&text);
                    if let Some((id, _)) = self.taken(path, value, added) {
                        field.value = Source::One(id);
                    }
                }
                None => self.problem(
                    field.value_line,
                    path,
                    "`value` must be a text, a number, a boolean or a list",
                ),
            },
        }
    }

    /// The template and its first line, or its faults as problems.
    fn taken(
        &mut self,
        path: &str,
        at: &Spanned<DeValue<'_>>,
        added: Result<Id, Vec<Fault>>,
    ) -> Option<(Id, usize)> {
        let line = self.text_line(at);
        match added {
            Ok(id) => Some((id, line)),
            Err(faults) => {
                for fault in faults {
                    self.problem(line + fault.line, path, fault.message);
                }
                None
            }
        }
    }

    fn one_of<T: Copy>(
        &mut self,
        path: &str,
        key: &str,
        line: usize,
        value: &DeValue<'_>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let word = value.as_str().unwrap_or_default();
        let found = words
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, meant)| *meant);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
            let hint = did_you_mean(word, names.iter().copied());
            self.problem(
                line,
                path,
                format!("`{key}` must be one of {}{hint}", names.join(", ")),
            );
        }
        found
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        self.text
            .as_bytes()
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    /// The line of a text's first character; a line break right after `"""` is not part of it.
    fn text_line(&self, value: &Spanned<DeValue<'_>>) -> usize {
        let raw = self.text.get(value.span()).unwrap_or_default();
        let after = raw
            .strip_prefix("\"\"\"")
            .or_else(|| raw.strip_prefix("'''"))
            .unwrap_or_default();
        let next = usize::from(after.starts_with('\n') || after.starts_with("\r\n"));
        self.line(value.span().start) + next
    }
}

/// A table's entries in the file's order.
fn by_line<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(
    &'t Spanned<toml::de::DeString<'i>>,
    &'t Spanned<DeValue<'i>>,
)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A single value as a text.
fn literal(value: &DeValue<'_>) -> Option<String> {
    match json(value) {
        Json::String(text) => Some(text),
        number @ Json::Number(_) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or(Json::Null, Json::from),
        DeValue::Boolean(flag) => Json::from(*flag),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => Json::Object(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())))
                .collect(),
        ),
    }
}

fn shorten(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}
