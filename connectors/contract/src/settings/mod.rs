//! Settings: a table is read key by key, and what is wrong in it is told without its values.
//!
//! People paste a secret where its name belongs, or as a key. So a problem shows where something is,
//! the *shape* of what was found, what is expected and the remedy; never a value, and of keys only
//! those that look like one.

mod after_end;
mod shown;

use std::cell::RefCell;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

pub use after_end::{AfterEnd, Ways, after_end};
pub use shown::{
    did_you_mean, is_identifier, is_secret_name, not_toml, printable, printable_path, shape,
    unknown_key, without_value,
};

use crate::phone::Country;
use crate::{Problem, Secret};

/// What to do where a secret's name is expected.
pub const SECRET_NAME: &str =
    "put the secret itself under [secrets] and its name (a-z, 0-9, _) here";

/// One table of settings, and where its problems go. Nothing stops at the first mistake: each is noted
/// and the default is used to go on, so that all are told at once.
pub struct Table<'a> {
    path: String,
    /// `None` where there is no such table: nothing is in it.
    map: Option<&'a Map<String, Value>>,
    asked: Vec<&'static str>,
    problems: &'a RefCell<Vec<Problem>>,
}

impl<'a> Table<'a> {
    /// The table at `path` (empty for the settings themselves). Anything else than a table is a problem.
    pub fn new(
        path: impl Into<String>,
        value: &'a Value,
        problems: &'a RefCell<Vec<Problem>>,
    ) -> Option<Table<'a>> {
        let path = path.into();
        let Value::Object(map) = value else {
            let message = format!("found {}; write a table of keys and values", shape(value));
            problems.borrow_mut().push(Problem::new(path, message));
            return None;
        };
        Some(Table {
            path,
            map: Some(map),
            asked: Vec::new(),
            problems,
        })
    }

    /// The full path of a key.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes what is wrong with a key.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.report(Problem::new(self.path_of(key), message));
    }

    /// Notes what was found at a key, by its shape, and what to write instead.
    pub fn wrong(&self, key: &str, found: &Value, remedy: &str) {
        self.problem(key, format!("found {}; {remedy}", shape(found)));
    }

    /// Notes that a key is missing, unless it was called wrong already.
    pub fn missing(&self, key: &str, remedy: &str) {
        if !self.has(key) {
            self.problem(key, format!("is missing; {remedy}"));
        }
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.map
            .and_then(|map| map.get(key))
            .is_some_and(|value| !value.is_null())
    }

    /// The value as it is, if it is there and not null.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.map
            .and_then(|map| map.get(key))
            .filter(|value| !value.is_null())
    }

    /// A table inside this one.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        Table::new(self.path_of(key), value, self.problems)
    }

    /// The same; where it is absent or wrong, a table in which nothing is.
    pub fn section(&mut self, key: &'static str) -> Table<'a> {
        let path = self.path_of(key);
        self.table(key).unwrap_or(Table {
            path,
            map: None,
            asked: Vec::new(),
            problems: self.problems,
        })
    }

    /// A table under a free name below this one, such as `source.NAME`; `path` is the whole of it.
    #[must_use]
    pub fn below(&self, path: impl Into<String>, value: &'a Value) -> Option<Table<'a>> {
        Table::new(path, value, self.problems)
    }

    /// Everything that is in it, for tables whose keys are free names.
    #[must_use]
    pub fn all(&self) -> Option<&'a Map<String, Value>> {
        self.map
    }

    /// A value in a form of its own, such as a duration.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Option<T>,
        remedy: &str,
    ) -> Option<T> {
        let value = self.value(key)?;
        let read = read(value);
        if read.is_none() {
            self.wrong(key, value, remedy);
        }
        read
    }

    /// A text without white space around it; empty is a problem. Ids of digits are easily written
    /// without quotes, so a whole number is a text as well.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if text.trim().is_empty() => {
                self.problem(key, "is empty; fill it, or leave it out");
                None
            }
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) if number.is_u64() => Some(number.to_string()),
            other => {
                self.wrong(key, other, "write a text in quotes");
                None
            }
        }
    }

    /// A text that must be there.
    pub fn required(&mut self, key: &'static str, remedy: &str) -> Option<String> {
        self.missing(key, remedy);
        self.text(key)
    }

    /// A text that must pass a check.
    pub fn text_if(
        &mut self,
        key: &'static str,
        fits: impl FnOnce(&str) -> bool,
        remedy: &str,
    ) -> Option<String> {
        let text = self.text(key)?;
        if fits(&text) {
            return Some(text);
        }
        let found = self.value(key).unwrap_or(&Value::Null);
        self.wrong(key, found, remedy);
        None
    }

    /// A text that may be empty on purpose, such as the name of RabbitMQ's default exchange.
    pub fn maybe_empty(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if text.trim().is_empty() => Some(String::new()),
            _ => self.text(key),
        }
    }

    /// A country, by its two letters.
    pub fn country(&mut self, key: &'static str) -> Option<Country> {
        let code = self.text_if(
            key,
            |code| Country::parse(code).is_some(),
            "write a country's two letters, such as NL",
        )?;
        Country::parse(&code)
    }

    /// A list of texts without white space around them; one text is read as parted by commas.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.texts_if(key, |_| true, "write a text in quotes")
    }

    /// A list of texts that may hold commas themselves, such as sentences.
    pub fn sentences(&mut self, key: &'static str) -> Option<Vec<String>> {
        match self.value(key)? {
            Value::Array(items) => Some(self.items(key, items, |_| true, "write a text in quotes")),
            other => {
                self.wrong(key, other, "write a list of texts");
                None
            }
        }
    }

    /// A list of texts, each of which must pass a check; those that do not are left out.
    pub fn texts_if(
        &mut self,
        key: &'static str,
        fits: impl Fn(&str) -> bool,
        remedy: &str,
    ) -> Option<Vec<String>> {
        match self.value(key)? {
            Value::Array(items) => Some(self.items(key, items, fits, remedy)),
            // In an environment variable they are parted by commas.
            Value::String(text) => {
                let items: Vec<Value> = text.split(',').map(Value::from).collect();
                Some(self.items(key, &items, fits, remedy))
            }
            other => {
                self.wrong(key, other, "write a list of texts");
                None
            }
        }
    }

    fn items(
        &self,
        key: &str,
        items: &[Value],
        fits: impl Fn(&str) -> bool,
        remedy: &str,
    ) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.as_str().map(str::trim) {
                Some(text) if !text.is_empty() && fits(text) => texts.push(text.to_owned()),
                _ => self.wrong(&format!("{key}[{index}]"), item, remedy),
            }
        }
        texts
    }

    /// A table whose keys are free names.
    pub fn entries(&mut self, key: &'static str, remedy: &str) -> Option<&'a Map<String, Value>> {
        let value = self.value(key)?;
        if !value.is_object() {
            self.wrong(key, value, remedy);
        }
        value.as_object()
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.value(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
            Some(other) => {
                self.wrong(key, other, "write true or false");
                default
            }
        }
    }

    /// A whole number inside a range; in an environment variable it is a text.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = self.value(key) else {
            return default;
        };
        let number = value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok());
        number.filter(|n| range.contains(n)).unwrap_or_else(|| {
            let (from, to) = (range.start(), range.end());
            self.wrong(
                key,
                value,
                &format!("write a whole number from {from} to {to}"),
            );
            default
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)], default: T) -> T {
        let Some(value) = self.value(key) else {
            return default;
        };
        let word = value.as_str().unwrap_or_default().trim();
        if let Some((_, chosen)) = words.iter().find(|(known, _)| *known == word) {
            return *chosen;
        }
        let names: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
        let hint = did_you_mean(word, names.iter().copied());
        self.wrong(
            key,
            value,
            &format!("write one of {}{hint}", names.join(", ")),
        );
        default
    }

    /// The name of a secret.
    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.text_if(key, is_secret_name, SECRET_NAME).map(Secret)
    }

    /// The name of a secret that must be there; an empty one where it is not.
    pub fn required_secret(&mut self, key: &'static str, remedy: &str) -> Secret {
        self.missing(key, remedy);
        self.secret(key).unwrap_or(Secret(String::new()))
    }

    /// Notes every key that nobody asked for.
    pub fn finish(self) {
        for key in self.map.into_iter().flat_map(Map::keys) {
            if !self.asked.contains(&key.as_str()) {
                self.problem(&printable(key), unknown_key(key, &self.asked));
            }
        }
    }

    /// Notes a problem that has its own path.
    pub fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_of_a_table_is_told_by_path_and_shape() {
        let value = json!({
            "list": ["a", 7], "named": [7, "b", "c"], "lists": 7, "parted": "a, b", "free": {}, "entries": 7, "digits": 7, "blank": " ", "flag": "s3cr3t-Value", "number": "s3cr3t-Value", "word": "s3cr3t-Value",
            "text": {"s3cr3t-Value": 1}, "inner": {"tokn": 1, "s3cr3t-Value-9x9x": 2}, "secret": "s3cr3t-Value",
        });
        let problems = RefCell::new(Vec::new());
        let mut table = Table::new("", &value, &problems).expect("a table");
        assert_eq!(table.texts("list"), Some(vec!["a".to_owned()]));
        let only_c = table.texts_if("named", |text| text == "c", "write c");
        assert_eq!(only_c, Some(vec!["c".to_owned()]));
        assert_eq!(table.texts("lists"), None);
        let parted = table.texts("parted");
        assert_eq!(parted, Some(vec!["a".to_owned(), "b".to_owned()]));
        let absent = table.section("absent");
        assert!(absent.all().is_none());
        let parsed = table.parsed("digits", Value::as_u64, "write a number");
        assert_eq!(parsed, Some(7));
        assert_eq!(table.texts("nowhere"), None);
        assert!(
            table
                .entries("free", "write names")
                .is_some_and(|map| map.is_empty())
        );
        assert_eq!(table.entries("entries", "write names"), None);
        assert_eq!(table.text_if("digits", |text| text == "8", "write 8"), None);
        assert_eq!(table.text("digits").as_deref(), Some("7"));
        assert_eq!(table.maybe_empty("blank").as_deref(), Some(""));
        assert_eq!(table.maybe_empty("entries").as_deref(), Some("7"));
        assert_eq!(table.required("blank", "write it"), None);
        assert_eq!(table.required("needed", "write it"), None);
        assert_eq!(table.required_secret("key", "name it").0, "");
        assert!(table.flag("flag", true));
        assert_eq!(table.number("number", 1..=9, 5), 5);
        assert_eq!(table.choice("word", &[("one", 1), ("two", 2)], 2), 2);
        assert_eq!(table.text("text"), None);
        assert_eq!(table.secret("secret"), None);
        table.missing("must", "write it");
        table.missing("text", "write it");
        let mut inner = table.table("inner").expect("a table");
        assert_eq!(inner.text("token"), None);
        inner.finish();
        table.finish();
        let told: Vec<String> = problems
            .into_inner()
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect();
        assert_eq!(
            told,
            [
                "list[1]: found a number; write a text in quotes",
                "named[0]: found a number; write c",
                "named[1]: found a text of 1 character; write c",
                "lists: found a number; write a list of texts",
                "entries: found a number; write names",
                "digits: found a number; write 8",
                "blank: is empty; fill it, or leave it out",
                "needed: is missing; write it",
                "key: is missing; name it",
                "flag: found a text of 12 characters; write true or false",
                "number: found a text of 12 characters; write a whole number from 1 to 9",
                "word: found a text of 12 characters; write one of one, two",
                "text: found a table; write a text in quotes",
                "secret: found a text of 12 characters; put the secret itself under [secrets] and its name (a-z, 0-9, _) here",
                "must: is missing; write it",
                "inner.(a key of 17 characters): unknown key; known here: token",
                "inner.tokn: unknown key (did you mean `token`?); known here: token",
            ]
        );
    }
}
