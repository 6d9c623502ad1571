//! What of a value is shown: states and maps are computed on real values, and shown masked.

use std::collections::BTreeSet;

use handoffd_contract::{Data, Event};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::mapping::chips::{Chip, Term, of_template};
use crate::mapping::edit::FieldEdit;
use crate::operate::mask;

/// A value as it is shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Shown {
    /// The value, or what stands for it; nothing where there is none.
    #[schema(value_type = Option<Object>)]
    pub value: Option<Value>,
    /// Whether it is hidden.
    pub masked: bool,
}

impl Shown {
    /// A value as it is.
    #[must_use]
    pub fn open(value: Option<Value>) -> Shown {
        Shown {
            value,
            masked: false,
        }
    }

    fn hidden(text: String) -> Shown {
        Shown {
            value: Some(text.into()),
            masked: true,
        }
    }
}

/// What decides of values: whether they are hidden at all, and which words stand in the mapping anyway.
#[derive(Debug, Clone, Default)]
pub(super) struct Masks {
    /// Nothing is hidden.
    pub unmasked: bool,
    /// Keys of value maps, in lower case.
    pub keys: BTreeSet<String>,
}

impl Masks {
    /// A source's value.
    pub fn source(&self, path: &str, value: Option<&Value>, event: &Event) -> Shown {
        let Some(value) = value else {
            return Shown::default();
        };
        let text = written(value);
        if self.unmasked || self.is_open(path, value) {
            return Shown::open(Some(value.clone()));
        }
        Shown::hidden(match path {
            "contact.name"
            | "contact.first_name"
            | "contact.last_name"
            | "contact.display_name"
            | "contact.username" => mask::name(&text),
            "contact.phone" | "contact.e164" | "contact.wa_id" | "contact.user_id"
            | "contact.key" => mask::phone(&text),
            "contact.email" => mask::email(&text),
            "session.id" => mask::session(&text, contact(event)),
            "handoff.summary" => mask::Text::of(&text, language(event), false).shown(),
            _ => mask::dotted(&text),
        })
    }

    /// Whether a source's value can be shown as it is.
    pub fn is_open(&self, path: &str, value: &Value) -> bool {
        let (top, name) = path.split_once('.').unwrap_or((path, ""));
        match (top, name) {
            ("contact", _) => false,
            ("session", "id") => !mask::hides_session(&written(value), None),
            ("session", "url") | ("handoff", "summary" | "topic") | ("notice", "rep") => false,
            ("fields", _) => self.is_open_value(value),
            ("event", "id") => false,
            _ => true,
        }
    }

    /// Whether what the assistant filled in can be shown: a number, a yes or no, a date, a key of a value map.
    pub fn is_open_value(&self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
            Value::String(text) => {
                self.keys.contains(&text.trim().to_lowercase())
                    || is_moment(text)
                    || text.parse::<f64>().is_ok()
            }
            Value::Array(_) | Value::Object(_) => false,
        }
    }

    /// A field's value: what the mapping itself says of it stays open.
    pub fn field(&self, value: Option<&Value>, keys: Option<&FieldEdit>, is_fixed: bool) -> Shown {
        let Some(value) = value else {
            return Shown::default();
        };
        let plain =
            value.is_boolean() || value.as_str().is_some_and(is_moment) || short_number(value);
        if self.unmasked || is_fixed || plain {
            return Shown::open(Some(value.clone()));
        }
        let template = keys
            .and_then(|keys| keys.0.get("value"))
            .and_then(Value::as_str);
        match value {
            Value::String(text) => {
                let shown = self.by_template(text, template.unwrap_or_default());
                Shown {
                    masked: shown != *text,
                    value: Some(shown.into()),
                }
            }
            other => Shown::hidden(mask::dotted(&written(other))),
        }
    }

    /// A text with the template's own words open, and so what came of sources that are.
    fn by_template(&self, text: &str, template: &str) -> String {
        let Some(chips) = of_template(template) else {
            return mask::dotted(text);
        };
        let mut shown = String::new();
        let mut rest = text;
        let mut is_open = true;
        let between = |part: &str, is_open: bool| {
            if is_open {
                part.to_owned()
            } else {
                mask::dotted(part)
            }
        };
        for chip in &chips {
            match chip {
                Chip::Value { first_of } => {
                    is_open &= first_of.iter().all(|term| self.is_open_term(term))
                }
                Chip::Text { text: own } => {
                    let own = own.trim_end();
                    let Some(at) = rest.find(own).filter(|_| !own.is_empty()) else {
                        continue;
                    };
                    shown.push_str(&between(&rest[..at], is_open));
                    shown.push_str(own);
                    rest = &rest[at + own.len()..];
                    is_open = true;
                }
            }
        }
        shown.push_str(&between(rest, is_open));
        shown
    }

    fn is_open_term(&self, term: &Term) -> bool {
        term.source.starts_with('\'')
            || (!term.source.starts_with("fields.") && self.is_open(&term.source, &Value::Null))
    }

    /// One of the values that a source had, with how often: a word that comes again and again is a code.
    pub fn counted(&self, text: &str, count: usize, path: &str) -> Shown {
        let value = Value::from(text);
        let is_free = path.starts_with("fields.");
        let is_code = text.len() <= 40
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || "_-".contains(c))
            && text.chars().filter(char::is_ascii_digit).count() < 5;
        let open = self.is_open(path, &value) || (is_free && is_code && count >= OFTEN);
        if self.unmasked || open {
            Shown::open(Some(value))
        } else {
            Shown::hidden(mask::dotted(text))
        }
    }
}

/// A word that so many handoffs have is nobody's own.
const OFTEN: usize = 3;

fn short_number(value: &Value) -> bool {
    value.is_number() && value.to_string().len() <= 8
}

/// A date or a time.
fn is_moment(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok() || text.parse::<jiff::Timestamp>().is_ok()
}

/// A value as a template writes it.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn contact(event: &Event) -> Option<&handoffd_contract::Contact> {
    match &event.data {
        Data::HandoffRequested(handoff) => Some(&handoff.contact),
        Data::MessageReceived(said) | Data::MessageSent(said) => said.contact.as_ref(),
        _ => None,
    }
}

fn language(event: &Event) -> Option<&str> {
    match &event.data {
        Data::HandoffRequested(handoff) => handoff
            .handoff
            .language
            .as_deref()
            .or(handoff.session.language.as_deref()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::sample;
    use crate::mapping::sources::sources;

    #[test]
    fn no_source_shows_what_is_the_persons() {
        let event = sample();
        let masks = Masks {
            unmasked: false,
            keys: ["refund".to_owned()].into(),
        };
        let shown: Vec<(String, String)> = sources(&event)
            .into_iter()
            .map(|source| {
                let shown = masks.source(&source.path, source.value.as_ref(), &event);
                (
                    source.path,
                    shown.value.as_ref().map(written).unwrap_or_default(),
                )
            })
            .collect();
        let all = format!("{shown:?}");
        for secret in [
            "Ana",
            "4915112345678",
            "15112345678",
            "ana@",
            "ana.maria",
            "López",
            "parcel",
            "Refund for",
            "C-2041",
        ] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        let value = |path: &str| {
            let found = shown.iter().find(|(at, _)| at == path);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(value("fields.category"), "refund", "a key of a map");
        assert_eq!(value("fields.vip"), "true");
        assert_eq!(value("fields.purchase_date"), "2026-11-12");
        assert_eq!(value("handoff.sentiment"), "angry");
        assert!(
            value("handoff.summary").contains("characters, Spanish"),
            "{}",
            value("handoff.summary")
        );
    }

    #[test]
    fn a_templates_own_words_stay_open() {
        let masks = Masks::default();
        let keys: FieldEdit = serde_json::from_value(
            json!({"value": "WhatsApp: {{ handoff.topic }} ({{ contact.name }})"}),
        )
        .expect("keys");
        let value = json!("WhatsApp: Refund for order 8812 (Ana López)");
        let shown = masks.field(Some(&value), Some(&keys), false);
        assert_eq!(
            shown.value,
            Some(json!("WhatsApp: •••••• ••• ••••• •••• (••• •••••)"))
        );
        assert!(shown.masked);
        let complex: FieldEdit =
            serde_json::from_value(json!({"value": "{% if fields.vip %}Ana{% endif %}"}))
                .expect("keys");
        assert_eq!(
            masks
                .field(Some(&json!("Ana")), Some(&complex), false)
                .value,
            Some(json!("•••"))
        );
        assert_eq!(
            masks.field(Some(&json!("HIGH")), None, true).value,
            Some(json!("HIGH"))
        );
    }
}
