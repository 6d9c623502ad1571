//! Every sentence that a page shows, from one file: `texts/en.toml`.
//!
//! A text is a whole sentence with named values in braces, or two forms of it, `one` and `other`, of
//! which the value `count` chooses. A template names a key; it never holds words of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};

use super::format::{self, Shape};

/// The texts in English.
const ENGLISH: &str = include_str!("texts/en.toml");

/// What one key says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    Plain(String),
    Counted { one: String, other: String },
}

/// The texts of one language, by key.
#[derive(Debug, Clone)]
pub struct Texts {
    by_key: BTreeMap<String, Text>,
}

impl Texts {
    /// The texts that are shipped.
    ///
    /// # Errors
    /// Where the file is not what it should be, which a test of this module would have found.
    pub fn shipped() -> Result<Texts, String> {
        Texts::parse(ENGLISH)
    }

    fn parse(file: &str) -> Result<Texts, String> {
        let table: toml::Table = file.parse().map_err(|error| format!("texts: {error}"))?;
        let mut by_key = BTreeMap::new();
        gather(&table, "", &mut by_key)?;
        Ok(Texts { by_key })
    }

    /// Every key.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().map(String::as_str)
    }

    /// What a key says with these values, as HTML: what is not marked as safe is escaped.
    ///
    /// # Errors
    /// There is no such key, or a value that it names is missing.
    pub fn say(&self, key: &str, values: &dyn Fn(&str) -> Option<Value>) -> Result<String, Error> {
        let text = self
            .by_key
            .get(key)
            .ok_or_else(|| wrong(format!("there is no text {key}")))?;
        let pattern = match text {
            Text::Plain(text) => text,
            Text::Counted { one, other } => {
                let count = values("count").and_then(|count| count.as_i64());
                match count {
                    Some(1) => one,
                    Some(_) => other,
                    None => return Err(wrong(format!("text {key} wants a count"))),
                }
            }
        };
        self.filled(key, pattern, values)
    }

    /// The same without values.
    ///
    /// # Errors
    /// As [`say`](Texts::say).
    pub fn plain(&self, key: &str) -> Result<String, Error> {
        self.say(key, &|_| None)
    }

    /// The texts below a key, without it: those that a script shows.
    #[must_use]
    pub fn below(&self, prefix: &str) -> BTreeMap<&str, &str> {
        let found = self.by_key.iter().filter_map(|(key, text)| {
            let key = key.strip_prefix(prefix)?;
            match text {
                Text::Plain(text) => Some((key, text.as_str())),
                Text::Counted { .. } => None,
            }
        });
        found.collect()
    }

    fn filled(
        &self,
        key: &str,
        pattern: &str,
        values: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<String, Error> {
        let mut out = String::with_capacity(pattern.len() + 16);
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after
                .split_once('}')
                .ok_or_else(|| wrong(format!("text {key} opens a brace and closes none")))?;
            out.push_str(&format::escaped(before));
            let value =
                values(name).ok_or_else(|| wrong(format!("text {key} wants the value {name}")))?;
            out.push_str(&self.shown(name, &value));
            rest = tail;
        }
        out.push_str(&format::escaped(rest));
        Ok(out)
    }

    /// A value inside a sentence. Its name says its kind: `span` is a duration in milliseconds, `since` a
    /// time whose distance from now is shown, `at` a time, `bytes` a size; whole numbers are shown in
    /// groups of three, and texts are escaped.
    fn shown(&self, name: &str, value: &Value) -> String {
        let at = value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok());
        match (name, value.as_i64(), at) {
            ("span", Some(millis), _) => format::duration(self, millis),
            ("bytes", Some(size), _) => format::bytes(self, size),
            ("since", _, Some(at)) => format::duration(self, format::since(at)),
            ("at", _, Some(at)) => {
                format::time(self, at, Timestamp::now(), Shape::Moment).to_string()
            }
            (_, Some(number), _) if value.is_integer() => format::number(number),
            _ if value.is_safe() => value.to_string(),
            _ => format::escaped(&value.to_string()),
        }
    }
}

/// The values of a call in a template: named ones, or a map of them.
pub fn named(map: Option<Value>, kwargs: &Kwargs) -> Result<BTreeMap<String, Value>, Error> {
    let mut values = BTreeMap::new();
    if let Some(map) = map.filter(|map| !map.is_none() && !map.is_undefined()) {
        for key in map.try_iter()? {
            let value = map.get_item(&key)?;
            values.insert(key.to_string(), value);
        }
    }
    for name in kwargs.args() {
        values.insert(name.to_owned(), kwargs.get::<Value>(name)?);
    }
    Ok(values)
}

fn gather(
    table: &toml::Table,
    prefix: &str,
    into: &mut BTreeMap<String, Text>,
) -> Result<(), String> {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            toml::Value::String(text) => {
                into.insert(key, Text::Plain(text.clone()));
            }
            toml::Value::Table(inner) => match (inner.get("one"), inner.get("other")) {
                (Some(toml::Value::String(one)), Some(toml::Value::String(other))) => {
                    let (one, other) = (one.clone(), other.clone());
                    into.insert(key, Text::Counted { one, other });
                }
                _ => gather(inner, &key, into)?,
            },
            _ => {
                return Err(format!(
                    "texts: {key} is neither a text nor a table of texts"
                ));
            }
        }
    }
    Ok(())
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Texts {
        Texts::parse(
            "a = \"Plain & simple\"\n[b]\nc = { one = \"{count} thing of {who}\", other = \"{count} things of {who}\" }",
        )
        .expect("well formed")
    }

    #[test]
    fn a_count_chooses_the_form_and_values_are_escaped() {
        let values = |count: i64| {
            move |name: &str| match name {
                "count" => Some(Value::from(count)),
                "who" => Some(Value::from("<b>")),
                _ => None,
            }
        };
        let texts = texts();
        assert_eq!(
            texts.say("b.c", &values(1)).expect("said"),
            "1 thing of &lt;b&gt;"
        );
        assert_eq!(
            texts.say("b.c", &values(1_284)).expect("said"),
            "1,284 things of &lt;b&gt;"
        );
        assert_eq!(texts.plain("a").expect("said"), "Plain &amp; simple");
    }

    #[test]
    fn what_is_missing_is_an_error() {
        let texts = texts();
        assert!(texts.plain("nowhere").is_err());
        assert!(texts.plain("b.c").is_err());
        assert!(texts.say("b.c", &|_| Some(Value::from(2))).is_ok());
    }

    #[test]
    fn the_shipped_texts_are_read() {
        assert!(Texts::shipped().expect("well formed").keys().count() > 50);
    }
}
