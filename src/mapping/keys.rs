//! The keys of a field: read, checked, and compiled.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use handoffd_contract::notice::Notice;
use handoffd_contract::settings::{did_you_mean, printable};

use super::document::{Reading, by_line, literal};
use super::field::{Field, Kind, MAX, MAX_NOTICE, NOTICES, Policy, Source, language_key};
use super::template::{Fault, Id};

/// The most templates in one list.
const MAX_LIST: usize = 50;
/// The key of the template for every language that has none of its own.
const OTHERS: &str = "default";

impl Reading<'_> {
    /// Reads one field; `None` when something is wrong with it, which is then among the problems.
    pub(super) fn field(
        &mut self,
        section: &str,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Field> {
        let (line, name) = (self.line(key.span().start), key.get_ref().as_ref());
        let path = format!("{section}.{}", printable(name));
        let named = (1..=100).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !named {
            self.problem(line, &path, "not a field's name; use letters, digits and _");
            return None;
        }
        let is_notice = section == NOTICES;
        if is_notice && Notice::parse(name).is_none() {
            let known = Notice::ALL.map(Notice::word);
            let hint = did_you_mean(name, known.into_iter());
            let message = format!("no notice{hint}; there are: {}", known.join(", "));
            self.problem(line, &path, message);
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
            max: if is_notice { MAX_NOTICE } else { MAX },
            too_long: Policy::Truncate,
            misfit: Policy::Drop,
            required: false,
            on: true,
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
            "on",
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
                let most = if field.section == NOTICES {
                    MAX_NOTICE
                } else {
                    MAX
                };
                let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
                match read.and_then(|max| usize::try_from(max).ok()) {
                    Some(max) if (1..=most).contains(&max) => field.max = max,
                    _ => self.problem(line, path, format!("`max` must be from 1 to {most}")),
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
            ("on", DeValue::Boolean(on)) => field.on = *on,
            ("on", _) => self.problem(line, path, "`on` must be true or false"),
            ("when", _) => self.problem(line, path, "`when` must be a text"),
            ("max", _) => self.problem(line, path, "`max` must be a whole number"),
            ("required", _) => self.problem(line, path, "`required` must be true or false"),
            (other, _) => {
                let hint = did_you_mean(other, KEYS.iter().copied());
                let message = format!(
                    "unknown key `{}`{hint}; known are: {}",
                    printable(other),
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
            DeValue::Table(languages) => self.by_language(field, path, languages),
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
                    "`value` must be a text, a number, a boolean, a list, or a table of texts by language",
                ),
            },
        }
    }

    /// Templates by language.
    fn by_language(&mut self, field: &mut Field, path: &str, table: &DeTable<'_>) {
        let mut languages = BTreeMap::new();
        let mut other = None;
        if table.len() > MAX_LIST {
            let message = format!("texts in more than {MAX_LIST} languages");
            self.problem(field.value_line, path, message);
            return;
        }
        for (key, value) in by_line(table) {
            let (line, name) = (self.line(key.span().start), key.get_ref().as_ref());
            let Some(text) = value.get_ref().as_str() else {
                self.problem(line, path, "`value` must have a text for each language");
                continue;
            };
            let added = self.templates.add(text);
            let id = self.taken(path, value, added).map(|(id, _)| id);
            match (name, id) {
                (_, None) => {}
                (OTHERS, id) => other = id,
                (language, Some(id)) => {
                    languages.insert(language_key(language), id);
                }
            }
        }
        match other {
            Some(other) => field.value = Source::ByLanguage(languages, other),
            None if table.contains_key(OTHERS) => {}
            None => self.problem(
                field.value_line,
                path,
                "`value` has texts by language and none for the others; add default = \"…\"",
            ),
        }
    }

    /// The template and its first line, or its faults as problems.
    pub(super) fn taken(
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
}
