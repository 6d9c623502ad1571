//! Suggestions: which source might fill which field, and which option a value might mean, by their names.
//! A suggestion changes nothing until a person takes it.

use std::collections::BTreeSet;

use handoffd_contract::Schema;
use handoffd_contract::schema::{Choice, Field, Holds};
use serde::Serialize;

use super::sources::SourceValue;

/// How alike two names must be, from 0 to 1.
const ALIKE: f64 = 0.6;
/// The most suggestions.
const MAX: usize = 20;
/// Words that say nothing of what a field is about.
const EMPTY: &[&str] = &[
    "hs", "wa", "usr", "id", "fields", "ticket", "case", "of", "the", "contact",
];

/// That a source might fill a field.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Suggestion {
    /// The source's path.
    pub source: String,
    /// The field, as `section.name`.
    pub field: String,
    /// The field's label.
    pub label: String,
    /// How alike their names are, from 0 to 1.
    pub alike: f64,
}

/// Which of the assistant's fields might fill which of the CRM's fields that the mapping does not fill.
#[must_use]
pub fn fields(
    schema: &Schema,
    mapped: &BTreeSet<String>,
    used: &BTreeSet<String>,
    sources: &[SourceValue],
) -> Vec<Suggestion> {
    let mut found = Vec::new();
    for source in sources {
        let is_free = source.path.starts_with("fields.") || source.path.starts_with("contact.");
        if !is_free || used.contains(&source.path) {
            continue;
        }
        for (section, fields) in &schema.sections {
            for (name, field) in &fields.fields {
                let path = format!("{section}.{name}");
                if mapped.contains(&path) || field.read_only || !could_hold(field, source) {
                    continue;
                }
                let alike = alike(&source.path, name).max(alike(&source.path, &field.label));
                if alike >= ALIKE {
                    found.push(Suggestion {
                        source: source.path.clone(),
                        field: path,
                        label: field.label.clone(),
                        alike,
                    });
                }
            }
        }
    }
    found.sort_by(|a, b| {
        b.alike
            .total_cmp(&a.alike)
            .then_with(|| (&a.source, &a.field).cmp(&(&b.source, &b.field)))
    });
    // Each source and each field once, with the best that there is.
    let (mut sources, mut fields) = (BTreeSet::new(), BTreeSet::new());
    found.retain(|one| {
        !sources.contains(&one.source) && !fields.contains(&one.field) && {
            sources.insert(one.source.clone());
            fields.insert(one.field.clone())
        }
    });
    found.truncate(MAX);
    found
}

/// The option that a value might mean.
#[must_use]
pub fn option<'o>(value: &str, options: &'o [Choice]) -> Option<&'o Choice> {
    let score = |choice: &Choice| alike(value, &choice.value).max(alike(value, &choice.caption));
    let best = options
        .iter()
        .filter(|choice| !choice.off)
        .max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) >= 0.5).then_some(best)
}

/// Whether the field could hold what the source has, as far as that is known.
fn could_hold(field: &Field, source: &SourceValue) -> bool {
    match (field.holds, &source.value) {
        (_, None) => true,
        (Holds::Other, _) => false,
        (Holds::Number, Some(value)) => {
            value.is_number()
                || value
                    .as_str()
                    .is_some_and(|text| text.parse::<f64>().is_ok())
        }
        (Holds::Bool, Some(value)) => value.is_boolean(),
        (Holds::Date | Holds::Datetime, Some(value)) => value.as_str().is_some_and(|text| {
            text.parse::<jiff::civil::Date>().is_ok() || text.parse::<jiff::Timestamp>().is_ok()
        }),
        _ => true,
    }
}

/// How alike two names are: the share of words that they have in common.
fn alike(a: &str, b: &str) -> f64 {
    let (a, b) = (words(a), words(b));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let common = a
        .iter()
        .filter(|word| b.iter().any(|other| same(word, other)))
        .count();
    let all = a.len() + b.len() - common;
    common as f64 / all as f64
}

/// Whether two words are the same, in the singular or plural, or the beginning of each other.
fn same(a: &str, b: &str) -> bool {
    let stem = |word: &str| word.trim_end_matches('s').to_owned();
    let (a, b) = (stem(a), stem(b));
    let begins = |long: &str, short: &str| short.len() >= 4 && long.starts_with(short);
    a == b || begins(&a, &b) || begins(&b, &a)
}

/// A name's words in lower case: `hs_ticket_category`, `UsrOrderNumber` and `fields.order_id` as people would
/// say them.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars().take(200) {
        if !c.is_alphanumeric() {
            words.push(String::new());
        } else {
            if c.is_uppercase() && was_lower {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        was_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty() && !EMPTY.contains(&word.as_str()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_the_same_are_alike() {
        for (a, b) in [
            ("fields.order_id", "UsrOrder"),
            ("fields.category", "hs_ticket_category"),
            ("fields.purchase_date", "Purchase date"),
            ("fields.amounts", "amount"),
        ] {
            assert!(alike(a, b) >= ALIKE, "{a} {b} {}", alike(a, b));
        }
        for (a, b) in [
            ("fields.amount", "subject"),
            ("fields.id", "hs_id"),
            ("fields.vip", "hs_pipeline"),
        ] {
            assert!(alike(a, b) < ALIKE, "{a} {b}");
        }
    }

    #[test]
    fn each_field_is_suggested_once_and_no_mapped_one() {
        let mut schema = Schema::default();
        let field = |holds| Field {
            holds,
            ..Field::default()
        };
        schema.add("ticket", "order_number", field(Holds::Text));
        schema.add("ticket", "category", field(Holds::Choice));
        schema.add("ticket", "vip", field(Holds::Date));
        let source = |path: &str, value: serde_json::Value| SourceValue {
            path: path.into(),
            value: Some(value),
        };
        let sources = [
            source("fields.order_number", "8812".into()),
            source("fields.order_numbers", "8812".into()),
            source("fields.category", "refund".into()),
            source("fields.vip", true.into()),
        ];
        let mapped = ["ticket.category".to_owned()].into();
        let found = super::fields(&schema, &mapped, &BTreeSet::new(), &sources);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].source.as_str(), found[0].field.as_str()),
            ("fields.order_number", "ticket.order_number")
        );
    }

    #[test]
    fn a_value_might_mean_an_option() {
        let options = [
            Choice::new("BILLING_ISSUE", "Billing issue", false),
            Choice::new("PRODUCT_ISSUE", "Product issue", false),
            Choice::new("BILL", "Bill", true),
        ];
        let found = |value: &str| option(value, &options).map(|choice| choice.value.as_str());
        assert_eq!(found("billing"), Some("BILLING_ISSUE"));
        assert_eq!(found("product-issue"), Some("PRODUCT_ISSUE"));
        assert_eq!(found("refund"), None);
    }
}
