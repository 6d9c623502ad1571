//! A mapping file: TOML with the line of everything, read into fields and tests.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use handoffd_contract::settings::{did_you_mean, not_toml, printable};

use super::MappingProblem;
use super::field::Field;
use super::template::Templates;
use crate::connectors;

/// The longest file, in bytes.
const MAX_FILE: usize = 256 << 10;
/// The most fields of one mapping.
const MAX_FIELDS: usize = 300;
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

    /// The file as TOML; what is wrong is among `problems` afterwards.
    pub(super) fn toml(&mut self) -> Option<Spanned<DeTable<'a>>> {
        if self.text.len() > MAX_FILE {
            self.problem(1, "", "the file is larger than 256 KiB");
            return None;
        }
        match DeTable::parse(self.text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let line = self.line(error.span().map_or(0, |span| span.start));
                self.problem(line, "", not_toml(error.message()));
                None
            }
        }
    }

    /// Reads the file; what is wrong is among `problems` afterwards.
    pub(super) fn document(&mut self) -> Option<Document> {
        let parsed = self.toml()?;
        let top = parsed.get_ref();
        let kind = self.kind(top);
        let allowed = connectors::kind(&kind).map(|kind| kind.sections);
        let mut fields = Vec::new();
        let mut cases = Vec::new();
        for (key, value) in by_line(top) {
            let (line, name) = (self.line(key.span().start), key.get_ref().as_ref());
            match (name, value.get_ref()) {
                ("kind", _) => {}
                ("test", DeValue::Array(items)) => {
                    cases = self.cases(items);
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
                    self.problem(line, printable(name), message);
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

    /// The `[[test]]` entries.
    pub(super) fn cases(&self, items: &[Spanned<DeValue<'_>>]) -> Vec<RawCase> {
        let case = |item: &Spanned<DeValue<'_>>| RawCase {
            line: self.line(item.span().start),
            table: json(item.get_ref()),
        };
        items.iter().map(case).collect()
    }

    fn kind(&mut self, top: &DeTable<'_>) -> String {
        let kinds: Vec<&str> = connectors::names().collect();
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

    /// The line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text
            .as_bytes()
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    /// The line of a text's first character; a line break right after `"""` is not part of it.
    pub(super) fn text_line(&self, value: &Spanned<DeValue<'_>>) -> usize {
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
pub(super) fn by_line<'t, 'i>(
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
pub(super) fn literal(value: &DeValue<'_>) -> Option<String> {
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

pub(super) fn shorten(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}
