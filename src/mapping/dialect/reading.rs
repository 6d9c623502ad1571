//! A dialect's file: names, rules and tests.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use handoffd_contract::Data;
use handoffd_contract::settings::{did_you_mean, printable};

use super::cases;
use super::path::{List, Path, is_name};
use super::when::When;
use super::{Computed, Inner, Rule, What};
use crate::mapping::document::{RawCase, Reading, by_line};
use crate::mapping::template::Templates;

/// The names that every template has.
pub(super) const GIVEN: &[&str] = &[
    "body",
    "header",
    "option",
    "routing_key",
    "source",
    "arrived",
];
/// The most rules of a file, and the most names.
const MAX_RULES: usize = 200;
/// The most lists in one another.
const MAX_LISTS: usize = 4;
/// What a rule says beside what is in the event's data.
const ATTRIBUTES: &[&str] = &["id", "time", "subject", "source", "sequence"];

/// Reads a dialect's file; what is wrong is among the reading's problems.
pub(super) fn read(reading: &mut Reading<'_>) -> Option<Inner> {
    let parsed = reading.toml()?;
    let top = parsed.get_ref();
    reading.templates = Templates::over_payloads(names(top));
    let mut inner = Inner {
        name: String::new(),
        when: When::default(),
        names: Vec::new(),
        secrets: Vec::new(),
        rules: Vec::new(),
        lists: Vec::new(),
        templates: Templates::new(),
        cases: Vec::new(),
    };
    let mut raw_cases: Vec<RawCase> = Vec::new();
    const KEYS: &[&str] = &["kind", "name", "when", "names", "secrets", "event", "test"];
    // Names have values in the file's order, and conditions on the payload come before all of them.
    if let Some(DeValue::Table(table)) = top.get("when").map(Spanned::get_ref) {
        inner.when = reading.when(table);
    }
    if let Some(DeValue::Table(table)) = top.get("names").map(Spanned::get_ref) {
        for (key, value) in by_line(table) {
            let computed = reading.computed(key, value);
            inner.names.extend(computed);
            reading.templates.learn(key.get_ref());
        }
    }
    for (key, value) in by_line(top) {
        let line = reading.line(key.span().start);
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("kind", _) | ("when" | "names", DeValue::Table(_)) => {}
            ("name", DeValue::String(name)) if is_dialect_name(name) => {
                inner.name = name.to_string()
            }
            ("name", _) => reading.problem(
                line,
                "name",
                "write a name of lower-case letters, digits and -",
            ),
            ("secrets", _) => {
                for way in reading.texts("secrets", "secrets", value) {
                    match Path::parse(&way) {
                        Ok(way) if way.name == "body" => inner.secrets.push(way),
                        Ok(_) => {
                            reading.problem(line, "secrets", "a secret's place begins with body")
                        }
                        Err(words) => reading.problem(line, "secrets", words),
                    }
                }
            }
            ("event", DeValue::Array(rules)) if rules.len() <= MAX_RULES => {
                for rule in rules.iter() {
                    let rule = reading.rule(rule, &mut inner.lists);
                    inner.rules.extend(rule);
                }
            }
            ("test", DeValue::Array(items)) => raw_cases = reading.cases(items),
            ("event" | "test", _) => {
                let words = format!("begin each with [[…]]; at most {MAX_RULES} events");
                reading.problem(line, key.get_ref().as_ref(), words);
            }
            (name, _) => {
                let hint = did_you_mean(name, KEYS.iter().copied());
                let words = format!("unknown key{hint}; known are: {}", KEYS.join(", "));
                reading.problem(line, printable(name), words);
            }
        }
    }
    if inner.name.is_empty() {
        reading.problem(1, "name", "not set; write the dialect's name");
    }
    if inner.rules.is_empty() {
        reading.problem(
            1,
            "event",
            "there is no [[event]]: the dialect makes nothing",
        );
    }
    inner.cases = cases::understand(raw_cases, reading);
    inner.templates = std::mem::replace(&mut reading.templates, Templates::new());
    Some(inner)
}

/// The names that are always there, and those of the items of the file's lists.
fn names(top: &DeTable<'_>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = GIVEN.iter().map(|name| (*name).to_owned()).collect();
    let mut open: Vec<&DeValue<'_>> = top.get("event").map(Spanned::get_ref).into_iter().collect();
    while let Some(value) = open.pop() {
        match value {
            DeValue::Array(items) => open.extend(items.iter().map(Spanned::get_ref)),
            DeValue::Table(table) => {
                for (key, value) in table.iter() {
                    if key.get_ref() == "list" {
                        names.extend(lists_in(value.get_ref()).into_iter().map(|list| list.item));
                    }
                    open.push(value.get_ref());
                }
            }
            _ => {}
        }
    }
    names
}

fn lists_in(value: &DeValue<'_>) -> Vec<List> {
    let texts = match value {
        DeValue::Array(items) => items
            .iter()
            .filter_map(|item| item.get_ref().as_str())
            .collect(),
        other => other.as_str().into_iter().collect::<Vec<_>>(),
    };
    texts
        .into_iter()
        .filter_map(|text| List::parse(text).ok())
        .collect()
}

impl Reading<'_> {
    /// A name of the file's own: a template, or places of which the first one counts at which something is.
    fn computed(
        &mut self,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<(String, Computed)> {
        let (line, name) = (self.line(key.span().start), key.get_ref().as_ref());
        let path = format!("names.{}", printable(name));
        if !is_name(name) || GIVEN.contains(&name) {
            self.problem(line, &path, "not a name, or one that is there already");
            return None;
        }
        if !value.get_ref().is_array() {
            let field = self.field("names", key, value)?;
            return Some((name.to_owned(), Computed::Text(Box::new(field))));
        }
        let mut ways = Vec::new();
        for written in self.texts(&path, name, value) {
            match Path::parse(&written) {
                Ok(way) => ways.extend(self.known(&path, line, way)),
                Err(words) => self.problem(line, &path, words),
            }
        }
        Some((name.to_owned(), Computed::First(ways)))
    }

    fn rule(&mut self, value: &Spanned<DeValue<'_>>, lists: &mut Vec<Vec<List>>) -> Option<Rule> {
        let line = self.line(value.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            self.problem(line, "event", "not a table");
            return None;
        };
        let before = self.problems.len();
        let (mut kind, mut skip) = (None, None);
        let mut list = Vec::new();
        let mut when = None;
        let (mut attributes, mut data) = (Vec::new(), Vec::new());
        for (key, value) in by_line(table) {
            let line = self.line(key.span().start);
            match key.get_ref().as_ref() {
                "type" => {
                    let word = value.get_ref().as_str().unwrap_or_default();
                    kind = Data::INBOUND.iter().copied().find(|kind| *kind == word);
                    if kind.is_none() {
                        let hint = did_you_mean(word, Data::INBOUND.iter().copied());
                        let words = format!(
                            "unknown type{hint}; write one of {}",
                            Data::INBOUND.join(", ")
                        );
                        self.problem(line, "event.type", words);
                    }
                }
                "skip" => skip = value.get_ref().as_str().map(str::to_owned),
                "when" => when = self.condition("event", value),
                "list" => list = self.lists(value),
                name => {
                    let Some(node) = self.node("event", key, value, 0) else {
                        continue;
                    };
                    if ATTRIBUTES.contains(&name) {
                        attributes.push((name.to_owned(), node));
                    } else {
                        data.push((name.to_owned(), node));
                    }
                }
            }
        }
        let what = match (kind, skip) {
            (Some(kind), None) => What::Event {
                kind,
                attributes,
                data,
            },
            (None, Some(why)) if (1..=60).contains(&why.len()) => What::Skip(why),
            _ => {
                if self.problems.len() == before {
                    self.problem(
                        line,
                        "event",
                        "write either type, or skip with a reason of a few words",
                    );
                }
                return None;
            }
        };
        let at = lists.iter().position(|known| *known == list);
        let list = at.unwrap_or_else(|| {
            lists.push(list);
            lists.len() - 1
        });
        (self.problems.len() == before).then_some(Rule { list, when, what })
    }

    fn lists(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<List> {
        let line = self.line(value.span().start);
        let mut lists = Vec::new();
        for written in self.texts("event.list", "list", value) {
            match List::parse(&written) {
                Ok(List { item, path }) => {
                    let path = self.known("event.list", line, path);
                    lists.extend(path.map(|path| List { item, path }));
                }
                Err(words) => self.problem(line, "event.list", words),
            }
        }
        if lists.len() > MAX_LISTS {
            self.problem(
                line,
                "event.list",
                format!("more than {MAX_LISTS} lists in one another"),
            );
        }
        lists
    }
}

/// Whether it is a dialect's name: it stands in addresses and settings.
pub(super) fn is_dialect_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&name.len()) && name.chars().all(plain)
}
