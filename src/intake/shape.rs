//! A place in a JSON document, and what is wrong there.
//!
//! An error names the place (`data.transcript[3].time`), the shape of what was found (`a text of 9
//! characters`) and the remedy. It never repeats the value: that may be what a customer wrote.

use handoffd_contract::{Reason, Stop};
use jiff::Timestamp;
use serde_json::Value;

/// A place in a document: the value there, if any, and the way to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'v, 'p> {
    value: Option<&'v Value>,
    above: Option<&'p At<'v, 'p>>,
    name: Name<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Name<'p> {
    /// The document itself; the text stands before the names of its fields, such as `ce-`.
    Root(&'p str),
    Field(&'p str),
    Index(usize),
}

impl<'v, 'p> At<'v, 'p> {
    /// The whole document. Its own fields are written with `prefix`, except `data`, which in binary
    /// mode is not a header but the body.
    pub(super) fn root(value: &'v Value, prefix: &'p str) -> At<'v, 'p> {
        At {
            value: Some(value),
            above: None,
            name: Name::Root(prefix),
        }
    }

    /// A field of this object; absent when this is no object or has no such field. `null` is absent.
    pub(super) fn field<'q>(&'q self, name: &'q str) -> At<'v, 'q> {
        let value = self
            .value
            .and_then(|value| value.get(name))
            .filter(|value| !value.is_null());
        At {
            value,
            above: Some(self),
            name: Name::Field(name),
        }
    }

    /// Whether something is there.
    pub(super) fn given(&self) -> bool {
        self.value.is_some()
    }

    /// Checks what is there, if anything is.
    pub(super) fn optional(
        &self,
        check: impl FnOnce(&Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if self.given() { check(self) } else { Ok(()) }
    }

    /// An event that cannot be understood because of this place.
    pub(super) fn wrong(&self, remedy: &str) -> Stop {
        self.stop(Reason::Undecodable, remedy)
    }

    /// This place, the shape of its value, and the remedy, under a reason.
    pub(super) fn stop(&self, reason: Reason, remedy: &str) -> Stop {
        Stop::new(
            reason,
            format!("{} is {}; {remedy}", self.path(), self.shape()),
        )
    }

    /// More than a limit of the configuration allows.
    pub(super) fn beyond(&self, max: usize, limit: &str) -> Stop {
        self.stop(
            Reason::LimitExceeded,
            &format!("at most {max} are taken: send less, or raise intake.limits.{limit}"),
        )
    }

    /// An object.
    pub(super) fn object(&self, remedy: &str) -> Result<&'v serde_json::Map<String, Value>, Stop> {
        self.value
            .and_then(Value::as_object)
            .ok_or_else(|| self.wrong(remedy))
    }

    /// The members of an object.
    pub(super) fn members<'q>(
        &'q self,
        remedy: &str,
    ) -> Result<impl ExactSizeIterator<Item = (&'v str, At<'v, 'q>)> + use<'v, 'p, 'q>, Stop>
    where
        'v: 'q,
    {
        Ok(self.object(remedy)?.iter().map(move |(name, value)| {
            let at = At {
                value: Some(value),
                above: Some(self),
                name: Name::Field(name),
            };
            (name.as_str(), at)
        }))
    }

    /// The members of a list.
    pub(super) fn items<'q>(
        &'q self,
        remedy: &str,
    ) -> Result<impl ExactSizeIterator<Item = At<'v, 'q>> + use<'v, 'p, 'q>, Stop> {
        let list = self
            .value
            .and_then(Value::as_array)
            .ok_or_else(|| self.wrong(remedy))?;
        Ok(list.iter().enumerate().map(move |(index, value)| At {
            value: Some(value),
            above: Some(self),
            name: Name::Index(index),
        }))
    }

    /// A text of at most `max` characters. A NUL is refused because PostgreSQL cannot keep one.
    /// <https://www.postgresql.org/docs/current/datatype-character.html>
    pub(super) fn text(&self, max: usize, limit: &str) -> Result<&'v str, Stop> {
        let text = self
            .value
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong("write it as text"))?;
        if text.len() > max && text.chars().count() > max {
            return Err(self.beyond(max, limit));
        }
        if text.contains('\0') {
            return Err(self.wrong("take the NUL character out"));
        }
        Ok(text)
    }

    /// A text that names something: not empty, without control characters.
    pub(super) fn id(&self, max: usize, remedy: &str) -> Result<&'v str, Stop> {
        let text = self
            .value
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong(remedy))?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(self.wrong(remedy));
        }
        self.text(max, "max_id")
    }

    /// A time.
    pub(super) fn time(&self) -> Result<Timestamp, Stop> {
        self.value
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.wrong("write an RFC 3339 time such as 2026-01-31T12:00:00Z"))
    }

    /// An absolute `http` or `https` address.
    pub(super) fn url(&self, max: usize) -> Result<(), Stop> {
        let remedy = "write an absolute http or https address";
        let text = self
            .value
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong(remedy))?;
        match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                self.text(max, "max_text").map(drop)
            }
            _ => Err(self.wrong(remedy)),
        }
    }

    /// One of a closed list of words.
    pub(super) fn one_of(&self, words: &[&str]) -> Result<&'v str, Stop> {
        self.value
            .and_then(Value::as_str)
            .filter(|text| words.contains(text))
            .ok_or_else(|| self.wrong(&format!("write one of {}", words.join(", "))))
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self) -> Result<u64, Stop> {
        self.value
            .and_then(Value::as_u64)
            .ok_or_else(|| self.wrong("write a whole number, 0 or more"))
    }

    /// A number between two bounds.
    pub(super) fn between(&self, low: f64, high: f64) -> Result<(), Stop> {
        match self.value.and_then(Value::as_f64) {
            Some(number) if (low..=high).contains(&number) => Ok(()),
            _ => Err(self.wrong(&format!("write a number from {low} to {high}"))),
        }
    }

    /// The value as it is.
    pub(super) fn value(&self) -> Option<&'v Value> {
        self.value
    }

    fn path(&self) -> String {
        match (self.above, self.name) {
            (None, _) | (_, Name::Root(_)) => "the event".to_owned(),
            (Some(above), Name::Index(index)) => format!("{}[{index}]", above.path()),
            (
                Some(At {
                    name: Name::Root(prefix),
                    ..
                }),
                Name::Field(name),
            ) => {
                if name == "data" {
                    name.to_owned()
                } else {
                    format!("{prefix}{}", plain(name))
                }
            }
            (Some(above), Name::Field(name)) => format!("{}.{}", above.path(), plain(name)),
        }
    }

    fn shape(&self) -> String {
        match self.value {
            None => "missing".to_owned(),
            Some(Value::Null) => "null".to_owned(),
            Some(Value::Bool(_)) => "true or false".to_owned(),
            Some(Value::Number(_)) => "a number".to_owned(),
            Some(Value::String(text)) => match text.chars().count() {
                0 => "an empty text".to_owned(),
                count => format!("a text of {count} characters"),
            },
            Some(Value::Array(list)) => format!("a list of {}", list.len()),
            Some(Value::Object(map)) => format!("an object of {} fields", map.len()),
        }
    }
}

/// A field's name as it can be printed: the producer chooses names, too.
fn plain(name: &str) -> String {
    name.chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
