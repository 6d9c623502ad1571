//! What differs between two files, field by field.

use serde::Serialize;
use serde_json::Value as Json;

use super::edit::{FieldEdit, all_fields};

/// The fields that differ between two files, each with its keys in both.
///
/// # Errors
/// One of them is not TOML.
pub fn difference(before: &str, after: &str) -> Result<Vec<Difference>, String> {
    let (before, after) = (all_fields(before)?, all_fields(after)?);
    let keys_in = |fields: &[(String, FieldEdit)], path: &str| {
        let found = fields.iter().find(|(at, _)| at == path);
        found.map(|(_, keys)| keys.clone())
    };
    let mut paths: Vec<&String> = after.iter().map(|(path, _)| path).collect();
    paths.extend(
        before
            .iter()
            .map(|(path, _)| path)
            .filter(|path| keys_in(&after, path).is_none()),
    );
    let each = paths.into_iter().map(|path| Difference {
        field: path.clone(),
        before: keys_in(&before, path),
        after: keys_in(&after, path),
    });
    Ok(each.filter(|one| one.before != one.after).collect())
}

/// A field that differs between two files.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// The field, as `section.name`.
    pub field: String,
    /// Its keys in the first file; nothing where it is new.
    pub before: Option<FieldEdit>,
    /// Its keys in the second one; nothing where it is gone.
    pub after: Option<FieldEdit>,
}

impl Difference {
    /// What makes the second file's field of the first one's.
    #[must_use]
    pub fn edit(&self) -> Option<FieldEdit> {
        let mut edit = self.after.clone()?;
        for key in self.before.iter().flat_map(|before| before.0.keys()) {
            edit.0.entry(key.clone()).or_insert(Json::Null);
        }
        Some(edit)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::edit;

    const FILE: &str = include_str!("../../mappings/hubspot.toml");

    fn changed(text: &str, path: &str, keys: Json) -> String {
        let edit: FieldEdit = serde_json::from_value(keys).expect("keys");
        let edits = [(path.to_owned(), Some(edit))].into();
        edit::fields(text, &edits).expect("is changed")
    }

    #[test]
    fn a_difference_is_told_by_field_and_makes_one_of_the_other() {
        let after = changed(
            FILE,
            "ticket.subject",
            json!({"max": null, "too_long": "park"}),
        );
        let after = changed(&after, "ticket.new", json!({"value": "x"}));
        let after =
            edit::fields(&after, &[("contact.email".to_owned(), None)].into()).expect("is changed");
        let found = difference(FILE, &after).expect("both are TOML");
        let named: Vec<&str> = found.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(named, ["ticket.subject", "ticket.new", "contact.email"]);
        let edits = found
            .iter()
            .map(|one| (one.field.clone(), one.edit()))
            .collect();
        let made = edit::fields(FILE, &edits).expect("is changed");
        assert_eq!(difference(&made, &after), Ok(Vec::new()));
        assert_eq!(difference(FILE, FILE), Ok(Vec::new()));
    }
}
