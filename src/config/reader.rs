//! Reads one table of the configuration key by key. Nothing stops at the first mistake: each is
//! noted with its path and the default is used to go on, so that all are reported together.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use handoffd_contract::settings::{did_you_mean, printable, shape, unknown_key};

use super::problem::Problem;
use super::units;

/// One table, and where its problems go.
pub(super) struct Reader<'a> {
    path: String,
    table: Map<String, Value>,
    known: Vec<&'static str>,
    problems: &'a RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    /// A table at `path`; anything that is not a table is a problem and is read as an empty one.
    pub(super) fn new(
        path: impl Into<String>,
        value: Option<Value>,
        problems: &'a RefCell<Vec<Problem>>,
    ) -> Self {
        let mut reader = Reader {
            path: path.into(),
            table: Map::new(),
            known: Vec::new(),
            problems,
        };
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Object(table)) => reader.table = table,
            Some(other) => {
                let path = reader.path.clone();
                reader.problem(&path, &format!("found {}", shape(&other)), "write a table");
            }
        }
        reader
    }

    /// The full path of a key.
    pub(super) fn path_of(&self, key: &str) -> String {
        let key = printable(key);
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes a problem at a full path.
    pub(super) fn problem(&self, path: &str, found: &str, remedy: &str) {
        self.report(Problem::new(path, found, remedy));
    }

    /// Notes a problem.
    pub(super) fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes a value as it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key).filter(|value| !value.is_null())
    }

    /// Takes everything that is left, for tables whose keys are free names.
    pub(super) fn take_all(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.table)
    }

    /// A table inside this one.
    pub(super) fn section(&mut self, key: &'static str) -> Reader<'a> {
        let value = self.take(key);
        Reader::new(self.path_of(key), value, self.problems)
    }

    /// A text, without white space around it; empty is a problem. The text itself is never shown.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let path = self.path_of(key);
        match self.take(key)? {
            Value::String(text) if text.trim().is_empty() => {
                self.problem(&path, "found an empty text", "fill it, or remove the key");
                None
            }
            Value::String(text) => Some(text.trim().to_owned()),
            other => {
                self.problem(
                    &path,
                    &format!("found {}", shape(&other)),
                    "write a text in quotes",
                );
                None
            }
        }
    }

    /// A list of texts; in an environment variable they are parted by commas.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<String>> {
        let path = self.path_of(key);
        let items = match self.take(key)? {
            Value::String(text) => text
                .split(',')
                .map(|item| Value::from(item.trim()))
                .collect(),
            Value::Array(items) => items,
            other => {
                self.problem(
                    &path,
                    &format!("found {}", shape(&other)),
                    "write a list of texts",
                );
                return None;
            }
        };
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|item| item.as_str().map(|text| text.trim().to_owned()))
            .collect();
        match texts {
            Some(texts) if texts.iter().all(|text| !text.is_empty()) => Some(texts),
            _ => {
                self.problem(
                    &path,
                    "found an item that is not a text, or is empty",
                    "write texts in quotes",
                );
                None
            }
        }
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let path = self.path_of(key);
        match self.take(key) {
            None => default,
            Some(Value::Bool(flag)) => flag,
            Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
            Some(other) => {
                self.problem(
                    &path,
                    &format!("found {}", shape(&other)),
                    "write true or false",
                );
                default
            }
        }
    }

    /// A whole number inside a range.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let read = |value: &Value| {
            value
                .as_u64()
                .or_else(|| value.as_str()?.trim().parse().ok())
        };
        let want = format!(
            "write a whole number from {} to {}",
            range.start(),
            range.end()
        );
        self.within(key, read, range, default, &want)
    }

    /// A factor of at least 1.
    pub(super) fn factor(&mut self, key: &'static str, max: f64, default: f64) -> f64 {
        let path = self.path_of(key);
        let Some(value) = self.take(key) else {
            return default;
        };
        let number = value
            .as_f64()
            .or_else(|| value.as_str()?.trim().parse().ok());
        number
            .filter(|number| (1.0..=max).contains(number))
            .unwrap_or_else(|| {
                self.problem(
                    &path,
                    &format!("found {}", shape(&value)),
                    &format!("write a number from 1 to {max}"),
                );
                default
            })
    }

    /// A duration inside a range.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let read = |value: &Value| units::duration(value.as_str()?);
        let (least, most) = (
            units::show_duration(*range.start()),
            units::show_duration(*range.end()),
        );
        let want = format!(
            "write a duration from {least} to {most}, such as \"30s\", \"5m\" or \"250ms\""
        );
        self.within(key, read, range, default, &want)
    }

    /// A size in bytes inside a range.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let read = |value: &Value| value.as_u64().or_else(|| units::size(value.as_str()?));
        let (least, most) = (
            units::show_size(*range.start()),
            units::show_size(*range.end()),
        );
        let want = format!("write a size from {least} to {most}, such as \"8 MiB\"");
        self.within(key, read, range, default, &want)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let path = self.path_of(key);
        let Some(value) = self.take(key) else {
            return default;
        };
        let word = value.as_str().unwrap_or_default().trim();
        if let Some((_, chosen)) = words.iter().find(|(known, _)| *known == word) {
            return *chosen;
        }
        let names: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
        let hint = did_you_mean(word, names.iter().copied());
        self.problem(
            &path,
            &format!("found {}", shape(&value)),
            &format!("write one of {}{hint}", names.join(", ")),
        );
        default
    }

    /// An address and port to listen on.
    pub(super) fn address(&mut self, key: &'static str, default: SocketAddr) -> SocketAddr {
        let path = self.path_of(key);
        let Some(value) = self.take(key) else {
            return default;
        };
        value
            .as_str()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or_else(|| {
                let want =
                    "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";
                self.problem(&path, &format!("found {}", shape(&value)), want);
                default
            })
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let said = unknown_key(key, &self.known);
            let (found, remedy) = said.split_once("; ").unwrap_or((&said, ""));
            self.problem(&self.path_of(key), found, remedy);
        }
    }

    fn within<T: PartialOrd + Copy>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Option<T>,
        range: RangeInclusive<T>,
        default: T,
        want: &str,
    ) -> T {
        let path = self.path_of(key);
        let Some(value) = self.take(key) else {
            return default;
        };
        read(&value)
            .filter(|value| range.contains(value))
            .unwrap_or_else(|| {
                self.problem(&path, &format!("found {}", shape(&value)), want);
                default
            })
    }
}
