//! One field: from its templates to a value that fits, or to the reason why there is none.

use std::collections::BTreeMap;

use handoffd_contract::notice::Notice;
use handoffd_contract::text;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use minijinja::value::Value as Names;
use serde_json::Value;

use super::template::{Fault, Id, Templates};

/// The longest value, in UTF-16 units, of a field that gives no `max`.
pub(super) const MAX: usize = 131_072;

/// The section of what the customer is told of the conversation itself.
pub(super) const NOTICES: &str = "notices";

/// The longest text of a WhatsApp message, in UTF-16 units.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>
pub(super) const MAX_NOTICE: usize = 4_096;

/// A field of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) section: String,
    pub(super) name: String,
    /// Where the field begins in the file.
    pub(super) line: usize,
    /// Where its value's first line is.
    pub(super) value_line: usize,
    pub(super) value: Source,
    pub(super) when: Option<(Id, usize)>,
    pub(super) default: Option<(Id, usize)>,
    pub(super) map: Option<BTreeMap<String, String>>,
    pub(super) map_default: Option<String>,
    pub(super) kind: Kind,
    pub(super) max: usize,
    pub(super) too_long: Policy,
    pub(super) misfit: Policy,
    pub(super) required: bool,
    /// Whether it is switched on.
    pub(super) on: bool,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// One template.
    One(Id),
    /// A list of templates; the value is a list of texts, empty ones included.
    List(Vec<Id>),
    /// A template for each of some languages, and one for all others.
    ByLanguage(BTreeMap<String, Id>, Id),
}

impl Source {
    /// The template for the customer's language, as the assistant or else the session names it.
    fn in_language(languages: &BTreeMap<String, Id>, other: Id, names: &Names) -> Id {
        let named = ["handoff", "session"].into_iter().find_map(|of| {
            let language = names.get_attr(of).ok()?.get_attr("language").ok()?;
            language.as_str().map(language_key)
        });
        let wanted = named.unwrap_or_default();
        let primary = wanted.split('-').next().unwrap_or_default();
        let found = languages.get(&wanted).or_else(|| languages.get(primary));
        found.copied().unwrap_or(other)
    }
}

/// A language as it is compared: `pt_BR` is `pt-br`.
pub(super) fn language_key(language: &str) -> String {
    language.trim().to_ascii_lowercase().replace('_', "-")
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    Date,
    Datetime,
    Id,
}

/// What to do with a value that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Truncate,
    Drop,
    Park,
}

/// What became of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// It has this value; with a note where something was cut.
    Value(Value, Option<Loss>),
    /// It is left out for a good reason.
    Out(&'static str),
    /// It is left out because its value does not fit; with a note for the rep.
    Dropped(Loss),
}

/// In what way a value does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// It was cut, from so many UTF-16 units to so many.
    Shortened { from: usize, to: usize },
    /// It has so many UTF-16 units, and so many fit.
    TooLong { from: usize, to: usize },
    /// It is not of the field's type, which is this.
    WrongType(&'static str),
    /// The map does not have it.
    Unmapped,
    /// It is required, and empty.
    Empty,
}

/// What a field lost.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loss {
    /// In what way.
    pub lack: Lack,
    /// In words for the rep.
    pub note: String,
    /// The same without the value.
    pub why: String,
}

impl Field {
    /// Whether it is of an event: a notice's text is of that notice alone, all else of all others.
    pub(super) fn is_of(&self, notice: Option<Notice>) -> bool {
        match notice {
            Some(notice) => self.section == NOTICES && self.name == notice.word(),
            None => self.section != NOTICES,
        }
    }

    /// The notice whose text it is, if it is one's.
    pub(super) fn notice(&self) -> Option<Notice> {
        Notice::parse(&self.name).filter(|_| self.section == NOTICES)
    }

    /// `section.name`
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The field's value for the names' values.
    ///
    /// # Errors
    /// The line and what is wrong, when a template fails or the field's policy is to park.
    pub(super) fn evaluate(&self, templates: &Templates, names: &Names) -> Result<Outcome, Fault> {
        if self.on {
            self.evaluate_on(templates, names)
        } else {
            Ok(Outcome::Out("it is switched off"))
        }
    }

    /// The same, as if it were switched on.
    ///
    /// # Errors
    /// See [`evaluate`](Field::evaluate).
    pub(super) fn evaluate_on(
        &self,
        templates: &Templates,
        names: &Names,
    ) -> Result<Outcome, Fault> {
        let render = |id: Id, line: usize| {
            templates.render(id, names).map_err(|fault| Fault {
                line: line + fault.line,
                ..fault
            })
        };
        if let Some((id, line)) = self.when
            && render(id, line)?.is_empty()
        {
            return Ok(Outcome::Out("its condition does not hold"));
        }
        let raw = match &self.value {
            Source::One(id) => clean(&render(*id, self.value_line)?),
            Source::List(ids) => return self.list(ids, render),
            Source::ByLanguage(languages, other) => {
                let id = Source::in_language(languages, *other, names);
                clean(&render(id, self.value_line)?)
            }
        };
        let (mapped, known) = self.mapped(raw);
        if !known {
            let lack = Lack::Unmapped;
            return self.misfit(lack, &mapped, "is not among the values of `map`");
        }
        let mut value = mapped;
        if value.is_empty()
            && let Some((id, line)) = self.default
        {
            value = clean(&render(id, line)?);
        }
        if value.is_empty() {
            return if self.required {
                let message = "is required, but its value is empty and it has no default";
                Err(self.fault(Lack::Empty, message))
            } else {
                Ok(Outcome::Out("its value is empty"))
            };
        }
        match self.typed(&value) {
            Err(wanted) => {
                let lack = Lack::WrongType(wanted);
                self.misfit(lack, &value, &format!("is not {wanted}"))
            }
            Ok(Value::String(text)) => self.within(text),
            Ok(other) => Ok(Outcome::Value(other, None)),
        }
    }

    fn list(
        &self,
        ids: &[Id],
        render: impl Fn(Id, usize) -> Result<String, Fault>,
    ) -> Result<Outcome, Fault> {
        let mut items = Vec::new();
        let mut notes = Vec::new();
        for id in ids {
            match self.within(clean(&render(*id, self.value_line)?))? {
                Outcome::Value(value, note) => {
                    items.push(value);
                    notes.extend(note);
                }
                // Without one of its items a list would mean something else.
                dropped => return Ok(dropped),
            }
        }
        Ok(Outcome::Value(
            Value::Array(items),
            notes.into_iter().next(),
        ))
    }

    /// The value by the map, and whether the map has it; without a map, every value is known.
    fn mapped(&self, raw: String) -> (String, bool) {
        let Some(map) = self.map.as_ref().filter(|_| !raw.is_empty()) else {
            return (raw, true);
        };
        let loosely = || {
            map.iter()
                .find(|(key, _)| key.to_lowercase() == raw.to_lowercase())
                .map(|(_, to)| to)
        };
        match map.get(&raw).or_else(loosely).or(self.map_default.as_ref()) {
            Some(to) => (to.clone(), true),
            None => (raw, false),
        }
    }

    fn typed(&self, text: &str) -> Result<Value, &'static str> {
        match self.kind {
            Kind::Text => Ok(Value::from(text)),
            Kind::Number => number(text).ok_or("a number"),
            Kind::Bool => match text.to_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(Value::Bool(true)),
                "false" | "no" | "0" => Ok(Value::Bool(false)),
                _ => Err("true or false"),
            },
            Kind::Date => {
                let time = || {
                    text.parse::<Timestamp>()
                        .map(|time| time.to_zoned(TimeZone::UTC).date())
                };
                let date = text.parse::<civil::Date>().or_else(|_| time());
                date.map(|date| Value::from(date.to_string()))
                    .map_err(|_| "a date such as 2026-11-20")
            }
            Kind::Datetime => {
                let start = || {
                    text.parse::<civil::Date>()
                        .and_then(|date| date.to_zoned(TimeZone::UTC))
                };
                let time = text
                    .parse::<Timestamp>()
                    .or_else(|_| start().map(|zoned| zoned.timestamp()));
                time.map(|time| Value::from(time.to_string()))
                    .map_err(|_| "a time such as 2026-11-20T10:00:00Z")
            }
            Kind::Id => {
                let fits = text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
                if fits {
                    Ok(Value::from(text))
                } else {
                    Err("an id (letters, digits and -_.:)")
                }
            }
        }
    }

    fn within(&self, value: String) -> Result<Outcome, Fault> {
        let length = text::utf16_len(&value);
        if length <= self.max {
            return Ok(Outcome::Value(Value::from(value), None));
        }
        let max = self.max;
        let too_long = Lack::TooLong {
            from: length,
            to: max,
        };
        match self.too_long {
            Policy::Truncate => {
                let why = format!("shortened from {length} to {max} characters");
                let note = Loss {
                    lack: Lack::Shortened {
                        from: length,
                        to: max,
                    },
                    note: format!("{} was {why}.", self.path()),
                    why,
                };
                Ok(Outcome::Value(
                    Value::from(text::truncate(&value, max)),
                    Some(note),
                ))
            }
            Policy::Drop => {
                let why = format!("{length} characters, {max} fit");
                Ok(Outcome::Dropped(Loss {
                    lack: too_long,
                    note: format!("{} was left out: {why}.", self.path()),
                    why: format!("left out: {why}"),
                }))
            }
            Policy::Park => {
                let message = format!("has {length} characters, but only {max} fit");
                Err(self.fault(too_long, &message))
            }
        }
    }

    /// The value is shown to the rep, but not in the reason why a lane stops, which is logged.
    fn misfit(&self, lack: Lack, value: &str, what: &str) -> Result<Outcome, Fault> {
        if self.misfit == Policy::Park {
            return Err(self.fault(lack, &format!("its value {what}")));
        }
        let value = text::truncate(value, 60);
        Ok(Outcome::Dropped(Loss {
            lack,
            note: format!("{} was left out: \"{value}\" {what}.", self.path()),
            why: format!("left out: its value {what}"),
        }))
    }

    fn fault(&self, lack: Lack, message: &str) -> Fault {
        Fault {
            lack: Some(lack),
            ..Fault::new(self.value_line, message)
        }
    }
}

/// A whole number, or a finite one with a decimal point.
fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    let plain = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E'));
    serde_json::Number::from_f64(text.parse().ok().filter(|_| plain)?).map(Value::Number)
}

/// Without white space around it and without control characters, which no CRM takes.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect::<String>()
        .trim()
        .to_owned()
}
