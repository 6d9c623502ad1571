//! Reads one JSON object of settings field by field and collects every problem, so that a wrong
//! file is mended in one go and not error by error.

use handoffd_contract::settings::{is_secret_name, printable, shape, unknown_key};
use handoffd_contract::{Problem, Secret};
use serde_json::{Map, Value};

/// An object whose fields are being read.
pub(crate) struct Fields<'a> {
    prefix: String,
    object: Option<&'a Map<String, Value>>,
    asked: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// Reads the object at `prefix` (empty for the settings themselves).
    pub(crate) fn of(prefix: &str, value: &'a Value) -> Fields<'a> {
        let mut fields = Fields {
            prefix: prefix.to_owned(),
            object: value.as_object(),
            asked: Vec::new(),
            problems: Vec::new(),
        };
        if fields.object.is_none() && !value.is_null() {
            let shape = shape(value);
            fields.problems.push(Problem::new(
                prefix,
                format!("is {shape}; expected a table"),
            ));
        }
        fields
    }

    /// Says that a field is wrong.
    pub(crate) fn problem(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(self.path(field), message));
    }

    /// The field as it is, if it is there and not null.
    pub(crate) fn value(&mut self, field: &'static str) -> Option<&'a Value> {
        self.asked.push(field);
        self.object
            .and_then(|object| object.get(field))
            .filter(|value| !value.is_null())
    }

    /// A text without surrounding spaces; an empty one counts as absent.
    pub(crate) fn text(&mut self, field: &'static str) -> Option<String> {
        let value = self.value(field)?;
        match value.as_str() {
            Some(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            // Ids of digits are easily written without quotes.
            None if value.is_u64() => Some(value.to_string()),
            None => {
                self.problem(
                    field,
                    format!("is {}; expected a text in quotes", shape(value)),
                );
                None
            }
        }
    }

    /// A text that may be empty on purpose, such as the name of RabbitMQ's default exchange.
    pub(crate) fn maybe_empty(&mut self, field: &'static str, remedy: &str) -> String {
        match self.value(field) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(other) => {
                self.problem(
                    field,
                    format!("is {}; expected a text in quotes", shape(other)),
                );
                String::new()
            }
            None => {
                self.problem(field, format!("is missing; {remedy}"));
                String::new()
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, field: &'static str, remedy: &str) -> String {
        let before = self.problems.len();
        let text = self.text(field);
        if text.is_none() && self.problems.len() == before {
            self.problem(field, format!("is missing; {remedy}"));
        }
        text.unwrap_or_default()
    }

    /// The name of a secret.
    pub(crate) fn secret(&mut self, field: &'static str) -> Option<Secret> {
        let name = self.text(field)?;
        if !is_secret_name(&name) {
            self.problem(
                field,
                format!(
                    "has {} characters and does not look like a name; give the name of an entry in `secrets`, not \
                     the secret itself",
                    name.chars().count()
                ),
            );
            return None;
        }
        Some(Secret(name))
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, field: &'static str, default: bool) -> bool {
        match self.value(field) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.problem(
                    field,
                    format!("is {}; expected true or false", shape(other)),
                );
                default
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, field: &'static str, default: u32, min: u32, max: u32) -> u32 {
        let Some(value) = self.value(field) else {
            return default;
        };
        match value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|n| (min..=max).contains(n))
        {
            Some(number) => number,
            None => {
                self.problem(
                    field,
                    format!(
                        "is {}; expected a whole number from {min} to {max}",
                        shape(value)
                    ),
                );
                default
            }
        }
    }

    /// One of some words.
    pub(crate) fn word(
        &mut self,
        field: &'static str,
        words: &[&'static str],
        default: Option<&'static str>,
    ) -> &'static str {
        let list = words.join("\" or \"");
        let text = self.text(field);
        let found = text
            .as_deref()
            .and_then(|text| words.iter().find(|word| **word == text).copied());
        match (found, text, default) {
            (Some(word), _, _) => word,
            (None, None, Some(default)) => default,
            (None, None, None) => {
                self.problem(field, format!("is missing; set it to \"{list}\""));
                ""
            }
            (None, Some(text), _) => {
                let found = shape(&Value::String(text));
                self.problem(field, format!("is {found}; expected \"{list}\""));
                ""
            }
        }
    }

    /// Takes over the problems of an inner object.
    pub(crate) fn absorb(&mut self, inner: Fields<'_>) {
        self.problems.extend(inner.finish());
    }

    /// All problems, with one for every field that nobody asked for.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        for name in self.object.into_iter().flat_map(Map::keys) {
            if !self.asked.contains(&name.as_str()) {
                let path = self.path(&printable(name));
                self.problems
                    .push(Problem::new(path, unknown_key(name, &self.asked)));
            }
        }
        self.problems
    }

    /// Whether the field is absent or null, so that it cannot have been called wrong already.
    pub(crate) fn object_lacks(&self, field: &str) -> bool {
        self.object
            .and_then(|object| object.get(field))
            .is_none_or(Value::is_null)
    }

    /// The path of a field.
    pub(crate) fn path(&self, field: &str) -> String {
        if self.prefix.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.prefix)
        }
    }
}
