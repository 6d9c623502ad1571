//! Single values, read as tolerantly as can be done with certainty.

use handoffd_contract::{Stop, ids};
use serde_json::Value;

use super::shape::At;
use super::time::{self, Moment};

/// Words that people and assistants write for "there is none".
const NOTHING: &[&str] = &[
    "",
    "-",
    "--",
    "n/a",
    "na",
    "n.a.",
    "nil",
    "none",
    "null",
    "undefined",
    "unknown",
];

impl<'v, 'p> At<'v, 'p> {
    /// Whether nothing is here, or a word for it.
    pub(super) fn is_nothing(&self) -> bool {
        match self.value() {
            None => true,
            Some(Value::String(text)) => {
                NOTHING.contains(&text.trim().to_ascii_lowercase().as_str())
            }
            Some(_) => false,
        }
    }

    /// A single value as a text without white space around it; a number or boolean loses nothing by it.
    pub(super) fn scalar(&self) -> Option<String> {
        match self.value()? {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// A text that somebody wrote. Several are joined; what is too long is cut.
    pub(super) fn text(&self) -> Option<String> {
        let text = match self.value()? {
            Value::String(text) => text.clone(),
            Value::Array(items) if !items.is_empty() => {
                let texts: Option<Vec<String>> = self.items().map(|item| item.scalar()).collect();
                let Some(texts) = texts else {
                    self.lost("write it as text");
                    return None;
                };
                self.read_as("it was read as one text: write it as text");
                texts.join(", ")
            }
            _ => match self.scalar() {
                Some(text) => text,
                None => {
                    self.lost("write it as text");
                    return None;
                }
            },
        };
        Some(self.kept(text, self.context().limits.max_text, "max_text"))
    }

    /// A short text on one line, such as a file's name.
    pub(super) fn label_text(&self) -> Option<String> {
        if !self.given() {
            return None;
        }
        let Some(text) = self.scalar() else {
            self.lost("write it as text");
            return None;
        };
        let line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Some(self.kept(line, self.context().limits.max_id, "max_id"))
            .filter(|text| !text.is_empty())
    }

    /// A text without NULs, which PostgreSQL cannot keep, and within its limit.
    /// <https://www.postgresql.org/docs/current/datatype-character.html>
    pub(super) fn kept(&self, text: String, max: usize, limit: &str) -> String {
        let mut text = text;
        if text.contains('\0') {
            self.read_as("the NUL characters were taken out");
            text.retain(|c| c != '\0');
        }
        if text.len() > max
            && let Some((end, _)) = text.char_indices().nth(max.saturating_sub(1))
            && text[end..].chars().nth(1).is_some()
        {
            self.cut(&format!(
                "it was cut: at most {max} characters are taken, send less, or raise intake.limits.{limit}"
            ));
            text.truncate(end);
            text.push('…');
        }
        text
    }

    /// A text that names something. What cannot be kept as it is, is replaced by a name that is the same
    /// whenever the same comes again.
    pub(super) fn id(&self) -> Option<String> {
        let text = match self.value()? {
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.clone(),
            _ => self.scalar()?,
        };
        let max = self.context().limits.max_id;
        if text.chars().count() <= max && !text.chars().any(char::is_control) {
            return Some(text);
        }
        self.read_as(&format!(
            "it was replaced: write an id of at most {max} characters, none of them a control character"
        ));
        let head: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(max.min(60).saturating_sub(20))
            .collect();
        Some(format!("{head}~{}", ids::short(&[&text])))
    }

    /// A time, if it can be read.
    pub(super) fn moment(&self) -> Option<Moment> {
        let found = self.value().and_then(time::moment);
        match found {
            Some(Moment::Assumed(_)) => self.read_as("its zone is missing, UTC is assumed"),
            Some(Moment::Sure(_)) => {}
            None if self.is_nothing() => {}
            None => self.read_as(
                "it could not be read: write an RFC 3339 time such as 2026-01-31T12:00:00Z",
            ),
        }
        found
    }

    /// An absolute `http` or `https` address.
    pub(super) fn url(&self) -> Option<String> {
        if self.is_nothing() {
            return None;
        }
        let text = self.scalar().unwrap_or_default();
        let sound = url::Url::parse(&text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if sound && text.chars().count() <= self.context().limits.max_text && !text.contains('\0') {
            return Some(text);
        }
        self.lost("write an absolute http or https address");
        None
    }

    /// Yes or no.
    pub(super) fn flag(&self) -> Option<bool> {
        if self.is_nothing() {
            return None;
        }
        let word = self.scalar().unwrap_or_default().to_ascii_lowercase();
        match word.as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => {
                self.lost("write true or false");
                None
            }
        }
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Option<i64> {
        if self.is_nothing() {
            return None;
        }
        let number = self.scalar().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.lost("write a whole number");
        }
        number
    }

    /// A number between two bounds.
    pub(super) fn between(&self, low: f64, high: f64) -> Option<f64> {
        let number = self.scalar().and_then(|text| text.parse::<f64>().ok());
        number.filter(|number| (low..=high).contains(number))
    }

    /// A word in lower case.
    pub(super) fn word(&self) -> Option<String> {
        let word = self.value()?.as_str()?.trim().to_ascii_lowercase();
        Some(word.replace([' ', '-'], "_")).filter(|word| !word.is_empty() && word.len() <= 60)
    }

    /// Items of a list, or the one thing that stands where a list belongs. An empty object is what some
    /// languages write for an empty list.
    pub(super) fn list<'q>(&'q self) -> Vec<At<'v, 'q>>
    where
        'v: 'q,
    {
        match self.value() {
            None => Vec::new(),
            Some(Value::Array(_)) => self.items().collect(),
            Some(Value::Object(map)) if map.is_empty() => Vec::new(),
            Some(_) => vec![*self],
        }
    }

    /// An error unless an object is here.
    pub(super) fn must_be_object(&self, remedy: &str) -> Result<(), Stop> {
        match self.object() {
            Some(_) => Ok(()),
            None => Err(self.wrong(remedy)),
        }
    }
}
