//! Reads a table of settings key by key, so that every problem is found and not only the first.

use handoffd_contract::settings::{is_secret_name, printable, shape, unknown_key};
use handoffd_contract::{Problem, Secret};
use serde_json::{Map, Value};

use crate::wire;

/// Reads a table key by key and remembers what it has not been asked for.
pub(crate) struct Reader<'a> {
    path: &'static str,
    map: &'a Map<String, Value>,
    asked: Vec<&'static str>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(path: &'static str, map: &'a Map<String, Value>) -> Reader<'a> {
        Reader {
            path,
            map,
            asked: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems
            .push(Problem::new(format!("{}{key}", self.path), message));
    }

    pub(crate) fn missing(&mut self, key: &str, what: &str) {
        // A value of the wrong kind was already reported as such.
        let path = format!("{}{key}", self.path);
        if !self.problems.iter().any(|p| p.path == path) {
            self.problem(key, format!("is missing: {what}"));
        }
    }

    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A text without white space around it; an empty one counts as absent.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            other => {
                self.problem(key, format!("is {}; expected a text", shape(other)));
                None
            }
        }
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let texts: Option<Vec<String>> = value.as_array().and_then(|list| {
            list.iter()
                .map(|v| v.as_str().map(|t| t.trim().to_owned()))
                .collect()
        });
        texts.unwrap_or_else(|| {
            self.problem(
                key,
                format!("is {}; expected a list of texts", shape(value)),
            );
            Vec::new()
        })
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.problem(key, format!("is {}; expected true or false", shape(other)));
                default
            }
        }
    }

    pub(crate) fn number(&mut self, key: &'static str, default: u64, min: u64, max: u64) -> u64 {
        match self.take(key) {
            None => default,
            Some(value) => match value.as_u64().filter(|n| (min..=max).contains(n)) {
                Some(number) => number,
                None => {
                    self.problem(
                        key,
                        format!(
                            "is {}; expected a whole number from {min} to {max}",
                            shape(value)
                        ),
                    );
                    default
                }
            },
        }
    }

    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
        let Some(text) = self.text(key) else {
            return default;
        };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => *value,
            None => {
                let names: Vec<String> = choices
                    .iter()
                    .map(|(name, _)| format!("\"{name}\""))
                    .collect();
                self.problem(key, format!("expected {}", names.join(" or ")));
                default
            }
        }
    }

    pub(crate) fn guid(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        let id = wire::guid(&text);
        if id.is_none() {
            self.problem(
                key,
                format!(
                    "is a text of {} characters; expected a record id such as 7e9f1204-f46b-1410-fb9a-0050ba5d6c38 \
                     (the end of the record's address in Creatio)",
                    text.chars().count()
                ),
            );
        }
        id
    }

    /// An id with a default that `"none"` switches off.
    pub(crate) fn guid_or_none(&mut self, key: &'static str, default: &str) -> Option<String> {
        match self.map.get(key).and_then(Value::as_str).map(str::trim) {
            Some("none") => {
                self.asked.push(key);
                None
            }
            _ => self.guid(key).or_else(|| Some(default.to_owned())),
        }
    }

    /// The name of a secret. The value is never repeated: people paste the secret itself.
    pub(crate) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        let name = self.text(key)?;
        if !is_secret_name(&name) {
            self.problem(
                key,
                format!(
                    "is a text of {} characters that is no secret's name; name an entry of the secrets, \
                     do not put the secret itself here",
                    name.chars().count()
                ),
            );
        }
        Some(Secret(name))
    }

    pub(crate) fn finish(mut self) -> Vec<Problem> {
        for key in self.map.keys() {
            if !self.asked.contains(&key.as_str()) {
                self.problems.push(Problem::new(
                    format!("{}{}", self.path, printable(key)),
                    unknown_key(key, &self.asked),
                ));
            }
        }
        self.problems
    }

    pub(crate) fn done(self) -> Result<(), Vec<Problem>> {
        let problems = self.finish();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}
