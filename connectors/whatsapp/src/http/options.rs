//! What an operator sets for a gateway: the names that its file declares.

use std::collections::BTreeMap;

use handoffd_contract::settings::{Table, did_you_mean, printable};
use serde_json::Value;

use crate::exit::digits;

/// What is set under one name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OptionValue {
    /// One text for every business number.
    One(String),
    /// By the digits of the business number.
    Many(BTreeMap<String, String>),
}

impl OptionValue {
    /// The text for a business number.
    pub(crate) fn of(&self, business_number: &str) -> Option<&str> {
        match self {
            OptionValue::One(text) => Some(text),
            OptionValue::Many(texts) => texts.get(&digits(business_number)).map(String::as_str),
        }
    }

    /// The business numbers for which there is one of its own.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &str> {
        let many = match self {
            OptionValue::One(_) => None,
            OptionValue::Many(texts) => Some(texts.keys().map(String::as_str)),
        };
        many.into_iter().flatten()
    }

    /// The text, where there is one for all.
    pub(crate) fn one(&self) -> Option<&str> {
        match self {
            OptionValue::One(text) => Some(text),
            OptionValue::Many(_) => None,
        }
    }
}

/// A declared name: whether it must be set, and what it is.
pub(crate) type Declared = BTreeMap<String, (bool, String)>;

/// The names that a gateway's file declares: `options` must be set, `optional` may be;
/// `taken` are names that stand for something else.
pub(crate) fn declared(table: &mut Table<'_>, taken: &[&str]) -> Declared {
    let mut all = Declared::new();
    for (key, must) in [("options", true), ("optional", false)] {
        let entries = table.entries(key, "write names, and what each is");
        for (name, help) in entries.into_iter().flatten() {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            let help = help.as_str().unwrap_or_default().to_owned();
            if name.is_empty() || !name.bytes().all(plain) {
                let words = "is no name; use a-z, 0-9 and _";
                table.problem(&format!("{key}.{}", printable(name)), words);
            } else if taken.contains(&name.as_str()) {
                let words = "has a meaning of its own in requests; take another name";
                table.problem(&format!("{key}.{name}"), words);
            }
            all.insert(name.clone(), (must, help));
        }
    }
    all
}

/// What is set under those names.
pub(crate) fn options(top: &mut Table<'_>, declared: &Declared) -> BTreeMap<String, OptionValue> {
    let entries = top.entries("options", "write names and texts");
    let mut read = BTreeMap::new();
    for (name, value) in entries.into_iter().flatten() {
        let path = format!("options.{}", printable(name));
        if !declared.contains_key(name) {
            let hint = did_you_mean(name, declared.keys().map(String::as_str));
            let known: Vec<&str> = declared.keys().map(String::as_str).collect();
            let words = format!("unknown here{hint}; this gateway has {}", known.join(", "));
            top.problem(&path, words);
            continue;
        }
        let text = |value: &Value| match value {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let option = match value {
            Value::Object(numbers) => {
                let numbers = numbers.iter();
                let pairs = numbers.map(|(number, value)| Some((digits(number), text(value)?)));
                let pairs: Option<BTreeMap<_, _>> = pairs.collect();
                pairs
                    .filter(|pairs| !pairs.is_empty() && pairs.keys().all(|key| !key.is_empty()))
                    .map(OptionValue::Many)
            }
            one => text(one).map(OptionValue::One),
        };
        match option {
            Some(option) => drop(read.insert(name.clone(), option)),
            None => top.wrong(
                &path,
                value,
                "write a text, or a table of business number = text",
            ),
        }
    }
    for (name, (must, help)) in declared {
        if *must && !entries.is_some_and(|entries| entries.contains_key(name)) {
            top.problem(
                &format!("options.{name}"),
                format!("is missing; write {help}"),
            );
        }
    }
    read
}
