//! What changed between two readings of a schema.

use std::collections::BTreeSet;

use handoffd_contract::Schema;
use handoffd_contract::schema::{Field, Options};
use serde::Serialize;

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// The field, as `section.name`.
    pub field: String,
    /// The field's label.
    pub label: String,
    /// What changed.
    pub what: What,
    /// In words: `options: REFUND is gone`.
    pub words: String,
}

/// In which way a field changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It holds something else.
    Type,
    /// Its options are others.
    Options,
    /// It can be written no more, or again; or must have a value now, or need no more.
    Access,
}

/// The most options that are named.
const NAMED: usize = 5;
/// The most changes that are told.
const MAX: usize = 500;

/// What is different in the newer one.
#[must_use]
pub fn drift(older: &Schema, newer: &Schema) -> Vec<Change> {
    let mut changes = Vec::new();
    let sections: BTreeSet<&String> = older.sections.keys().chain(newer.sections.keys()).collect();
    for section in sections {
        let fields = |schema: &Schema| {
            let section = schema.sections.get(section.as_str());
            section
                .map(|section| section.fields.clone())
                .unwrap_or_default()
        };
        let (before, after) = (fields(older), fields(newer));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let path = format!("{section}.{name}");
            match (before.get(name), after.get(name)) {
                (None, Some(field)) => changes.push(told(&path, field, What::Added, "it is new")),
                (Some(field), None) => {
                    changes.push(told(&path, field, What::Removed, "it is gone"))
                }
                (Some(was), Some(is)) => changes.extend(changed(&path, (older, was), (newer, is))),
                (None, None) => {}
            }
        }
    }
    changes.truncate(MAX);
    changes
}

fn told(path: &str, field: &Field, what: What, words: &str) -> Change {
    Change {
        field: path.to_owned(),
        label: field.label.clone(),
        what,
        words: words.to_owned(),
    }
}

fn changed(path: &str, older: (&Schema, &Field), newer: (&Schema, &Field)) -> Vec<Change> {
    let (was, is) = (older.1, newer.1);
    let mut changes = Vec::new();
    if was.holds != is.holds || was.max != is.max {
        let size = |field: &Field| field.max.map_or(String::new(), |max| format!(" of {max}"));
        let words = format!(
            "it held {}{} and holds {}{}",
            was.holds.word(),
            size(was),
            is.holds.word(),
            size(is)
        );
        changes.push(told(path, is, What::Type, &words));
    }
    for (before, after, words) in [
        (
            was.read_only,
            is.read_only,
            ["it can be written again", "it can be written no more"],
        ),
        (
            was.required,
            is.required,
            ["it may be empty", "it must have a value"],
        ),
    ] {
        if before != after {
            changes.push(told(path, is, What::Access, words[usize::from(after)]));
        }
    }
    let words = options(older.0.options(was), newer.0.options(is));
    if !words.is_empty() {
        changes.push(told(path, is, What::Options, &format!("options: {words}")));
    }
    changes
}

/// What is different among choices. A switched-off one is no choice.
fn options(before: Option<&Options>, after: Option<&Options>) -> String {
    let values = |options: Option<&Options>| -> BTreeSet<(String, String)> {
        let list = options
            .map(|options| options.list.as_slice())
            .unwrap_or_default();
        let on = list.iter().filter(|choice| !choice.off);
        on.map(|choice| (choice.value.clone(), choice.caption.clone()))
            .collect()
    };
    let (before, after) = (values(before), values(after));
    let named = |some: Vec<&(String, String)>, what: &str| {
        let more = some.len().saturating_sub(NAMED);
        let names: Vec<&str> = some
            .iter()
            .take(NAMED)
            .map(|(_, caption)| caption.as_str())
            .collect();
        match (names.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(format!("{} {what}", names.join(", "))),
            (false, more) => Some(format!("{} and {more} more {what}", names.join(", "))),
        }
    };
    let gone = named(before.difference(&after).collect(), "gone");
    let new = named(after.difference(&before).collect(), "new");
    gone.into_iter().chain(new).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use handoffd_contract::schema::{Choice, Holds};

    use super::*;

    fn schema(change: impl Fn(&mut Schema)) -> Schema {
        let mut schema = Schema::default();
        let options = Options {
            list: vec![
                Choice::new("REFUND", "Refund", false),
                Choice::new("OLD", "Old", true),
            ],
            whole: true,
            tells_off: true,
        };
        let category = Field {
            label: "Category".into(),
            holds: Holds::Choice,
            options: Some(options),
            ..Field::default()
        };
        schema.add("ticket", "category", category);
        schema.add("ticket", "subject", Field::default());
        change(&mut schema);
        schema
    }

    fn field<'s>(schema: &'s mut Schema, name: &str) -> &'s mut Field {
        let section = schema.sections.get_mut("ticket").expect("a section");
        section.fields.get_mut(name).expect("a field")
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let before = schema(|_| {});
        assert!(drift(&before, &before).is_empty());
        let after = schema(|schema| {
            let options = field(schema, "category").options.as_mut().expect("options");
            options.list = vec![Choice::new("BILLING", "Billing", false)];
            *field(schema, "subject") = Field {
                holds: Holds::Number,
                read_only: true,
                ..Field::default()
            };
            schema.add("ticket", "new", Field::default());
        });
        let changes = drift(&before, &after);
        let found: Vec<(&str, What)> = changes
            .iter()
            .map(|one| (one.field.as_str(), one.what))
            .collect();
        assert_eq!(
            found,
            [
                ("ticket.category", What::Options),
                ("ticket.new", What::Added),
                ("ticket.subject", What::Type),
                ("ticket.subject", What::Access),
            ]
        );
        assert_eq!(changes[0].words, "options: Refund gone; Billing new");
        assert_eq!(drift(&after, &before)[1].what, What::Removed);
    }
}
