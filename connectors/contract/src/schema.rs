//! What a CRM's records can hold, as one connector reads it: fields with their types, limits and choices.
//!
//! Reading is pure like everything else: [`schema_reads`](crate::Connector::schema_reads) says what is left
//! to be asked, given what is known; [`schema_told`](crate::Connector::schema_told) says what an answer
//! adds. The daemon makes the calls, keeps the result, and asks seldom.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::step::HttpCall;

/// The most choices that are kept of one field or lookup.
pub const MAX_OPTIONS: usize = 1_000;
/// The most fields that are kept of one section.
pub const MAX_FIELDS: usize = 2_000;
/// The longest label, caption or value that is kept, in characters.
const MAX_WORDS: usize = 200;

/// What a CRM's records can hold, by section of a mapping.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Schema {
    /// The sections, such as `ticket` and `contact`.
    pub sections: BTreeMap<String, Section>,
    /// The rows of lookups, by the object that holds them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lookups: BTreeMap<String, Options>,
    /// What could not be read, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
    /// The reads that were answered, by [`SchemaRead::what`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub answered: BTreeSet<String>,
}

/// The fields of one section of a mapping.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// The fields by their codes.
    pub fields: BTreeMap<String, Field>,
    /// Whether there may be fields beside these: then an unknown one says nothing.
    #[serde(default)]
    pub open: bool,
}

/// A field of the CRM.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// What people read; the code where the CRM has no label.
    pub label: String,
    /// The group under which the CRM lists it; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// What it holds.
    pub holds: Holds,
    /// The most UTF-16 units, where the CRM tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// Nobody can write it: the CRM fills it.
    #[serde(default)]
    pub read_only: bool,
    /// A record without it is refused.
    #[serde(default)]
    pub required: bool,
    /// Its choices, where it holds one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Options>,
    /// The object whose rows are its choices; see [`Schema::lookups`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<String>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Text.
    #[default]
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// A date.
    Date,
    /// A moment.
    Datetime,
    /// One of its choices.
    Choice,
    /// Several of its choices, separated by semicolons.
    Choices,
    /// The id of a row of another object.
    Lookup,
    /// Something that a mapping is not for, such as a file.
    Other,
}

impl Holds {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Holds::Text => "text",
            Holds::Number => "number",
            Holds::Bool => "yes or no",
            Holds::Date => "date",
            Holds::Datetime => "date and time",
            Holds::Choice => "one of its options",
            Holds::Choices => "some of its options",
            Holds::Lookup => "a row of a lookup",
            Holds::Other => "something else",
        }
    }
}

/// Choices.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Options {
    /// The choices in the CRM's order.
    pub list: Vec<Choice>,
    /// Whether these are all that there are.
    pub whole: bool,
    /// Whether the CRM tells which of them are switched off.
    #[serde(default)]
    pub tells_off: bool,
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// What is written: the code or the row's id.
    pub value: String,
    /// What people read.
    pub caption: String,
    /// It is hidden or archived: records may have it, and nobody should choose it.
    #[serde(default)]
    pub off: bool,
}

/// One read of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaRead {
    /// What is read, unique among the reads of a target: `ticket`, `CaseStatus from 500`.
    pub what: String,
    /// The call; it changes nothing.
    pub call: HttpCall,
}

impl SchemaRead {
    /// A read.
    #[must_use]
    pub fn new(what: impl Into<String>, call: HttpCall) -> SchemaRead {
        SchemaRead {
            what: what.into(),
            call,
        }
    }
}

/// What a text is among choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'o> {
    /// A choice's own value.
    Value(&'o Choice),
    /// A choice's caption.
    Caption(&'o Choice),
    /// None of them.
    None,
    /// None of those that are known, and there may be more.
    Unclear,
}

impl Options {
    /// Adds a choice, as long as there is room; where there is none, there are more.
    pub fn push(&mut self, choice: Choice) {
        if self.list.len() < MAX_OPTIONS {
            self.list.push(choice);
        } else {
            self.whole = false;
        }
    }

    /// What a text is among these choices: first a value, then a caption, to the letter and then
    /// regardless of case and of white space around it.
    #[must_use]
    pub fn find(&self, text: &str) -> Found<'_> {
        let key = |text: &str| text.trim().to_lowercase();
        let wanted = key(text);
        let by = |is: &dyn Fn(&Choice) -> bool| self.list.iter().find(|choice| is(choice));
        if let Some(choice) = by(&|choice| choice.value == text) {
            return Found::Value(choice);
        }
        // A caption that several rows have names none of them.
        let mut captions = self
            .list
            .iter()
            .filter(|choice| key(&choice.caption) == wanted);
        match (captions.next(), captions.next()) {
            (Some(choice), None) => Found::Caption(choice),
            (None, _) if !self.whole => Found::Unclear,
            _ => Found::None,
        }
    }
}

impl Choice {
    /// A choice; what is longer than a person reads is cut.
    #[must_use]
    pub fn new(value: &str, caption: &str, off: bool) -> Choice {
        let cut = |text: &str| text.chars().take(MAX_WORDS).collect::<String>();
        let caption = if caption.trim().is_empty() {
            value
        } else {
            caption
        };
        Choice {
            value: cut(value),
            caption: cut(caption.trim()),
            off,
        }
    }
}

impl Schema {
    /// A field, by section and code.
    #[must_use]
    pub fn field(&self, section: &str, name: &str) -> Option<&Field> {
        self.sections.get(section)?.fields.get(name)
    }

    /// The choices of a field, its own or its lookup's.
    #[must_use]
    pub fn options<'s>(&'s self, field: &'s Field) -> Option<&'s Options> {
        let of_lookup = || self.lookups.get(field.lookup.as_deref()?);
        field.options.as_ref().or_else(of_lookup)
    }

    /// Whether the CRM has no such field; `None` where that cannot be told.
    #[must_use]
    pub fn lacks(&self, section: &str, name: &str) -> Option<bool> {
        let section = self.sections.get(section)?;
        let there = section.fields.contains_key(name);
        (there || !section.open).then_some(!there)
    }

    /// Adds a field, as long as there is room.
    pub fn add(&mut self, section: &str, name: &str, mut field: Field) {
        let cut = |text: &str| text.trim().chars().take(MAX_WORDS).collect::<String>();
        field.label = cut(&field.label);
        if field.label.is_empty() {
            field.label = name.to_owned();
        }
        field.group = cut(&field.group);
        let section = self.sections.entry(section.to_owned()).or_default();
        if section.fields.len() < MAX_FIELDS {
            section.fields.insert(name.to_owned(), field);
        } else {
            section.open = true;
        }
    }

    /// Whether a read was answered.
    #[must_use]
    pub fn has(&self, what: &str) -> bool {
        self.answered.contains(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(whole: bool) -> Options {
        let row = |value: &str, caption: &str| Choice::new(value, caption, false);
        Options {
            list: vec![
                row("BILLING_ISSUE", "Billing issue"),
                row("2", "Other"),
                row("3", "other"),
            ],
            whole,
            tells_off: false,
        }
    }

    #[test]
    fn a_caption_leads_to_its_value_unless_several_have_it() {
        let all = options(true);
        assert!(matches!(all.find("BILLING_ISSUE"), Found::Value(_)));
        assert!(
            matches!(all.find(" billing ISSUE "), Found::Caption(choice) if choice.value == "BILLING_ISSUE")
        );
        assert_eq!(all.find("Other"), Found::None, "two rows have it");
        assert_eq!(all.find("REFUND"), Found::None);
        assert_eq!(options(false).find("REFUND"), Found::Unclear);
    }

    #[test]
    fn what_has_no_end_is_bounded_and_says_so() {
        let mut schema = Schema::default();
        for n in 0..=MAX_FIELDS {
            schema.add("ticket", &format!("f{n}"), Field::default());
        }
        assert_eq!(schema.sections["ticket"].fields.len(), MAX_FIELDS);
        assert_eq!(schema.lacks("ticket", "nothing"), None, "it may be there");
        assert_eq!(schema.lacks("ticket", "f1"), Some(false));
        let mut many = Options {
            whole: true,
            ..Options::default()
        };
        for n in 0..=MAX_OPTIONS {
            many.push(Choice::new(&n.to_string(), "", false));
        }
        assert_eq!((many.list.len(), many.whole), (MAX_OPTIONS, false));
    }
}
