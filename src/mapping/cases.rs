//! `[[test]]` entries: an event, and what the mapping must make of it.
//!
//! ```toml
//! [[test]]
//! name = "angry customers come first"
//! sample = "full"                           # or "bare", or a notice such as "joined"; or event = { … }
//! change.handoff.sentiment = "angry"        # laid over the event's data
//! without = ["contact.email"]               # taken out of it
//! expect.ticket.hs_ticket_priority = "HIGH"
//! absent = ["contact.email"]                # fields that must be left out
//! parks = "ticket.subject"                  # or: this field must stop the handoff
//! language = "de"                           # of a notice: the session's language
//! ```

use handoffd_contract::notice::Notice;
use handoffd_contract::{Data, Event, Rendered};
use serde_json::{Map, Value, json};

use handoffd_contract::settings::{did_you_mean, printable, without_value};

use super::document::{RawCase, Reading};
use super::field::Field;
use super::{MappingProblem, bare, sample, sample_notice};

/// A test of a mapping.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) event: Event,
    pub(super) language: Option<String>,
    expect: Vec<(String, String, Value)>,
    absent: Vec<(String, String)>,
    parks: Option<String>,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The test's name.
    pub name: String,
    /// Where it begins in the file.
    pub line: usize,
    /// What was not as expected; nothing when it passed.
    pub failures: Vec<String>,
}

const KEYS: &[&str] = &[
    "name", "sample", "event", "change", "without", "expect", "absent", "parks", "language",
];

const SAMPLES: &str = "`sample` must be \"full\", \"bare\" or a notice such as \"joined\"";

/// Understands a file's tests; what is wrong becomes a problem.
pub(super) fn understand(
    raw: Vec<RawCase>,
    fields: &[Field],
    reading: &mut Reading<'_>,
) -> Vec<Case> {
    raw.into_iter()
        .filter_map(|raw| {
            let line = raw.line;
            let label = raw
                .table
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or("test");
            let label = crate::mapping::document::shorten(label);
            case(raw, fields)
                .map_err(|message| reading.problem(line, format!("test \"{label}\""), message))
                .ok()
        })
        .collect()
}

impl Case {
    /// Compares what was rendered with what was expected.
    pub(super) fn judge(&self, rendered: Result<Rendered, MappingProblem>) -> TestOutcome {
        let mut failures = Vec::new();
        match (rendered, &self.parks) {
            (Err(problem), Some(field)) if problem.field == *field => {}
            (Err(problem), _) => failures.push(format!("stops the handoff: {problem}")),
            (Ok(_), Some(field)) => failures.push(format!(
                "{field} was expected to stop the handoff, but did not"
            )),
            (Ok(rendered), None) => {
                let found = |section: &str, name: &str| {
                    rendered.sections.get(section).and_then(|s| s.get(name))
                };
                for (section, name, expected) in &self.expect {
                    match found(section, name) {
                        Some(value) if value == expected => {}
                        Some(value) => failures.push(format!(
                            "{section}.{name}: expected {expected}, found {value}"
                        )),
                        None => failures.push(format!(
                            "{section}.{name}: expected {expected}, but it was left out"
                        )),
                    }
                }
                for (section, name) in &self.absent {
                    if let Some(value) = found(section, name) {
                        failures.push(format!(
                            "{section}.{name}: expected to be left out, found {value}"
                        ));
                    }
                }
            }
        }
        TestOutcome {
            name: self.name.clone(),
            line: self.line,
            failures,
        }
    }
}

fn case(raw: RawCase, fields: &[Field]) -> Result<Case, String> {
    let Value::Object(mut table) = raw.table else {
        return Err("not a table".into());
    };
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let hint = did_you_mean(unknown, KEYS.iter().copied());
        return Err(format!(
            "unknown key `{}`{hint}; known are: {}",
            printable(unknown),
            KEYS.join(", ")
        ));
    }
    let Some(Value::String(name)) = table.remove("name") else {
        return Err("has no `name`".into());
    };
    let language = match table.remove("language") {
        None => None,
        Some(Value::String(language)) => Some(language),
        Some(_) => return Err("`language` must be a text".into()),
    };
    let event = event(&mut table)?;
    if language.is_some() && !matches!(event.data, Data::CustomerNotice(_)) {
        return Err("`language` is for notices; write change.session.language".into());
    }
    let mut expect = Vec::new();
    if let Some(sections) = table.remove("expect") {
        let Value::Object(sections) = sections else {
            return Err("`expect` must be a table of sections".into());
        };
        for (section, values) in sections {
            let Value::Object(values) = values else {
                let section = printable(&section);
                return Err(format!("`expect.{section}` must be a table of fields"));
            };
            for (name, value) in values {
                exists(fields, &section, &name)?;
                expect.push((section.clone(), name, value));
            }
        }
    }
    let mut absent = Vec::new();
    for path in texts(table.remove("absent"), "absent")? {
        let (section, name) = path
            .split_once('.')
            .ok_or_else(|| format!("`{}` is not section.field", shown_path(&path)))?;
        exists(fields, section, name)?;
        absent.push((section.to_owned(), name.to_owned()));
    }
    let parks = match table.remove("parks") {
        None => None,
        Some(Value::String(path)) => {
            let (section, name) = path
                .split_once('.')
                .ok_or_else(|| format!("`{}` is not section.field", shown_path(&path)))?;
            exists(fields, section, name)?;
            Some(path)
        }
        Some(_) => return Err("`parks` must be a text".into()),
    };
    if expect.is_empty() && absent.is_empty() && parks.is_none() {
        return Err("expects nothing; write `expect`, `absent` or `parks`".into());
    }
    Ok(Case {
        name,
        line: raw.line,
        event,
        language,
        expect,
        absent,
        parks,
    })
}

fn event(table: &mut Map<String, Value>) -> Result<Event, String> {
    let base = match (table.remove("event"), table.remove("sample")) {
        (Some(_), Some(_)) => return Err("`event` and `sample` exclude each other".into()),
        (Some(event), None) => event,
        (None, None) => json!(sample()),
        (None, Some(Value::String(name))) => match name.as_str() {
            "full" => json!(sample()),
            "bare" => json!(bare()),
            word => match Notice::parse(word) {
                Some(notice) => json!(sample_notice(notice)),
                None => return Err(SAMPLES.into()),
            },
        },
        (None, Some(_)) => return Err(SAMPLES.into()),
    };
    let mut wire = base;
    if !wire.is_object() {
        return Err("`event` must be a table".into());
    }
    let change = table.remove("change").unwrap_or_else(|| json!({}));
    lay_over(&mut wire["data"], &change);
    for path in texts(table.remove("without"), "without")? {
        take_out(&mut wire["data"], &path)
            .ok_or_else(|| format!("`without`: the event has no {}", shown_path(&path)))?;
    }
    let event: Event = serde_json::from_value(wire)
        .map_err(|error| format!("not an event: {}", without_value(&error)))?;
    // What the event's type does not have would be ignored, and the test would test nothing.
    let kept = json!(event);
    if let Some(path) = lost(&change, &kept["data"], String::new()) {
        return Err(format!("`change`: an event has no {}", shown_path(&path)));
    }
    match event.data {
        Data::HandoffRequested(_)
        | Data::MessageReceived(_)
        | Data::MessageSent(_)
        | Data::CustomerNotice(_) => Ok(event),
        _ => Err("the event must be a handoff.requested, message.received, message.sent or customer.notice".into()),
    }
}

fn exists(fields: &[Field], section: &str, name: &str) -> Result<(), String> {
    let path = format!("{section}.{name}");
    let known: Vec<String> = fields.iter().map(Field::path).collect();
    if known.contains(&path) {
        return Ok(());
    }
    let hint = did_you_mean(&path, known.iter().map(String::as_str));
    Err(format!(
        "the mapping has no field {}{hint}",
        shown_path(&path)
    ))
}

/// A path of keys as it can be shown.
fn shown_path(path: &str) -> String {
    let keys: Vec<String> = path.split('.').take(20).map(printable).collect();
    keys.join(".")
}

fn texts(value: Option<Value>, key: &str) -> Result<Vec<String>, String> {
    match value {
        None => Ok(Vec::new()),
        Some(value) => {
            serde_json::from_value(value).map_err(|_| format!("`{key}` must be a list of texts"))
        }
    }
}

pub(super) fn lay_over(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                lay_over(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, change) => *base = change.clone(),
    }
}

pub(super) fn take_out(data: &mut Value, path: &str) -> Option<Value> {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut place = data;
    for key in parents.split('.').filter(|key| !key.is_empty()) {
        place = place.get_mut(key)?;
    }
    place.as_object_mut()?.remove(last)
}

/// The first path of `change` that `kept` does not have.
fn lost(change: &Value, kept: &Value, path: String) -> Option<String> {
    let Value::Object(change) = change else {
        return None;
    };
    change.iter().find_map(|(key, value)| {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match kept.get(key) {
            None => Some(path),
            Some(kept) => lost(value, kept, path),
        }
    })
}
