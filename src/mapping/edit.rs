//! Changes of a mapping's file, field by field: what is not changed keeps its lines, comments and order.

use std::collections::BTreeMap;

use handoffd_contract::settings::printable;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

/// What becomes of one field: the keys that change, each with its new value, `null` for one that is taken
/// out. A key that is not named stays as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct FieldEdit(pub BTreeMap<String, Json>);

/// The order in which a new field's keys are written.
const KEYS: &[&str] = &[
    "value",
    "when",
    "type",
    "map",
    "map_default",
    "default",
    "max",
    "too_long",
    "misfit",
    "required",
    "on",
];

/// The file with these fields changed; a field that becomes `None` is taken out, one that the file does not
/// have is added at the end of its section.
///
/// # Errors
/// The file is not TOML, or what is asked of which field is not a field's.
pub fn fields(text: &str, edits: &BTreeMap<String, Option<FieldEdit>>) -> Result<String, String> {
    let mut document = parsed(text)?;
    for (path, edit) in edits {
        let (section, name) = path
            .split_once('.')
            .filter(|(section, name)| is_name(section) && is_name(name))
            .ok_or_else(|| format!("`{}` is not a field; write section.name", printable(path)))?;
        match edit {
            None => remove(&mut document, section, name),
            Some(edit) => change(&mut document, section, name, edit)
                .map_err(|words| format!("{path}: {words}"))?,
        }
    }
    Ok(document.to_string())
}

/// A field's keys as the file has them.
///
/// # Errors
/// The file is not TOML.
pub fn field(text: &str, section: &str, name: &str) -> Result<Option<FieldEdit>, String> {
    let document = parsed(text)?;
    let found = document.get(section).and_then(|section| section.get(name));
    Ok(found.map(keys))
}

fn keys(item: &Item) -> FieldEdit {
    FieldEdit(match item.as_table_like() {
        Some(table) => table
            .iter()
            .map(|(key, item)| (key.to_owned(), json(item)))
            .collect(),
        None => [("value".to_owned(), json(item))].into(),
    })
}

/// Every field of a file with its path and keys, in the file's order.
///
/// # Errors
/// The file is not TOML.
pub fn all_fields(text: &str) -> Result<Vec<(String, FieldEdit)>, String> {
    let document = parsed(text)?;
    let mut found = Vec::new();
    for (section, item) in document.iter() {
        let Some(table) = item.as_table_like() else {
            continue;
        };
        let fields = table.iter();
        found.extend(fields.map(|(name, item)| (format!("{section}.{name}"), keys(item))));
    }
    Ok(found)
}

/// The file with one more `[[test]]` at its end; another one of that name gives way.
///
/// # Errors
/// The file is not TOML.
pub fn with_test(text: &str, name: &str, test: &Json) -> Result<String, String> {
    let mut document = parsed(text)?;
    let tests = document
        .entry("test")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or("`test` is not written as [[test]]")?;
    tests.retain(|test| test.get("name").and_then(Item::as_str) != Some(name));
    let mut table = Table::new();
    table.insert("name", toml_edit::value(name));
    for (key, value) in test.as_object().into_iter().flatten() {
        put_dotted(&mut table, key, value)?;
    }
    tests.push(table);
    Ok(document.to_string())
}

/// Tables of tables as dotted keys: `expect.ticket.subject = "…"`.
fn put_dotted(table: &mut Table, key: &str, value: &Json) -> Result<(), String> {
    match value {
        Json::Object(inner) if !inner.is_empty() => {
            let mut dotted = Table::new();
            dotted.set_dotted(true);
            for (key, value) in inner {
                put_dotted(&mut dotted, key, value)?;
            }
            table.insert(key, Item::Table(dotted));
        }
        Json::Null => {}
        value => {
            table.insert(key, Item::Value(toml(value)?));
        }
    }
    Ok(())
}

fn parsed(text: &str) -> Result<DocumentMut, String> {
    text.parse::<DocumentMut>()
        .map_err(|error| format!("the file is not TOML: {}", error.message()))
}

fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name != "test"
}

fn remove(document: &mut DocumentMut, section: &str, name: &str) {
    if let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) {
        table.remove(name);
    }
}

fn change(
    document: &mut DocumentMut,
    section: &str,
    name: &str,
    edit: &FieldEdit,
) -> Result<(), String> {
    let table = document
        .entry(section)
        .or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        })
        .as_table_like_mut()
        .ok_or("its section is not a table")?;
    if table.get(name).is_none() {
        let mut new = Table::new();
        for key in KEYS {
            if let Some(value) = edit.0.get(*key).filter(|value| !value.is_null()) {
                new.insert(key, Item::Value(toml(value)?));
            }
        }
        table.insert(name, Item::Table(new));
        return unknown(edit);
    }
    let item = table.get_mut(name).ok_or("it is not there")?;
    if item.as_table_like().is_none() {
        // `name = "…"` can only hold a value.
        let only_value = edit
            .0
            .iter()
            .all(|(key, value)| key == "value" || value.is_null());
        if only_value {
            if let Some(value) = edit.0.get("value").filter(|value| !value.is_null()) {
                replace(item, toml(value)?);
            }
            return unknown(edit);
        }
        let mut inline = InlineTable::new();
        if let Some(value) = item.as_value() {
            *inline.decor_mut() = value.decor().clone();
            let mut value = value.clone();
            value.decor_mut().clear();
            inline.insert("value", value);
        }
        *item = Item::Value(Value::InlineTable(inline));
    }
    let keys = item.as_table_like_mut().ok_or("it is not a table")?;
    for (key, value) in &edit.0 {
        match (keys.get_mut(key), value.is_null()) {
            (Some(_), true) => {
                keys.remove(key);
            }
            (None, true) => {}
            (Some(there), false) => {
                if json(there) != *value {
                    map_or_replace(there, value)?;
                }
            }
            (None, false) => {
                keys.insert(key, Item::Value(toml(value)?));
            }
        }
    }
    unknown(edit)
}

/// A map that is written as a table keeps the lines of the values that stay.
fn map_or_replace(there: &mut Item, value: &Json) -> Result<(), String> {
    let (Some(table), Some(wanted)) = (there.as_table_like_mut(), value.as_object()) else {
        replace(there, toml(value)?);
        return Ok(());
    };
    let gone: Vec<String> = table
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !wanted.contains_key(key))
        .collect();
    for key in gone {
        table.remove(&key);
    }
    for (key, value) in wanted {
        match table.get_mut(key) {
            Some(there) if json(there) == *value => {}
            Some(there) => replace(there, toml(value)?),
            None => {
                table.insert(key, Item::Value(toml(value)?));
            }
        }
    }
    Ok(())
}

/// Puts a value in the place of another one, with the comment that stands behind it.
fn replace(there: &mut Item, value: Value) {
    let decor = there.as_value().map(|value| value.decor().clone());
    let mut value = value;
    if let Some(decor) = decor {
        *value.decor_mut() = decor;
    }
    *there = Item::Value(value);
}

fn unknown(edit: &FieldEdit) -> Result<(), String> {
    let wrong = edit.0.keys().find(|key| !KEYS.contains(&key.as_str()));
    match wrong {
        None => Ok(()),
        Some(key) => Err(format!(
            "unknown key `{}`; known are: {}",
            printable(key),
            KEYS.join(", ")
        )),
    }
}

fn toml(value: &Json) -> Result<Value, String> {
    Ok(match value {
        Json::Null => return Err("a value may not be null".into()),
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) => float.into(),
            _ => return Err("a number is out of range".into()),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => {
            let items = items
                .iter()
                .map(toml)
                .collect::<Result<Vec<Value>, String>>()?;
            Value::Array(items.into_iter().collect::<Array>())
        }
        Json::Object(entries) => {
            let mut table = InlineTable::new();
            for (key, value) in entries {
                table.insert(key, toml(value)?);
            }
            Value::InlineTable(table)
        }
    })
}

fn json(item: &Item) -> Json {
    if let Some(table) = item.as_table_like() {
        return table
            .iter()
            .map(|(key, item)| (key.to_owned(), json(item)))
            .collect();
    }
    item.as_value().map_or(Json::Null, json_of)
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.value().as_str()),
        Value::Integer(number) => Json::from(*number.value()),
        Value::Float(number) => Json::from(*number.value()),
        Value::Boolean(flag) => Json::from(*flag.value()),
        Value::Datetime(time) => Json::from(time.value().to_string()),
        Value::Array(items) => items.iter().map(json_of).collect(),
        Value::InlineTable(table) => table
            .iter()
            .map(|(key, value)| (key.to_owned(), json_of(value)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::Mapping;

    const FILE: &str = include_str!("../../mappings/hubspot.toml");

    fn edit(text: &str, path: &str, keys: Json) -> String {
        let edit: FieldEdit = serde_json::from_value(keys).expect("keys");
        let edits = [(path.to_owned(), Some(edit))].into();
        fields(text, &edits).expect("is changed")
    }

    /// Lines that only one of the two has.
    fn changed(before: &str, after: &str) -> Vec<String> {
        let after_lines: Vec<&str> = after.lines().collect();
        let before_lines: Vec<&str> = before.lines().collect();
        let gone = before_lines
            .iter()
            .filter(|line| !after_lines.contains(line));
        let new = after_lines
            .iter()
            .filter(|line| !before_lines.contains(line));
        gone.map(|line| format!("-{line}"))
            .chain(new.map(|line| format!("+{line}")))
            .collect()
    }

    #[test]
    fn a_change_touches_its_own_lines_only() {
        let after = edit(FILE, "ticket.subject", json!({"max": 100}));
        assert_eq!(
            changed(FILE, &after),
            ["+max = 100"],
            "the old line stands elsewhere too"
        );
        let map = json!({"map": {"negative": "URGENT", "neutral": "MEDIUM", "positive": "LOW"}});
        let after = edit(FILE, "ticket.hs_ticket_priority", map);
        assert_eq!(
            changed(FILE, &after),
            [
                "-map = { negative = \"HIGH\", neutral = \"MEDIUM\", positive = \"LOW\" }",
                "+map = { negative = \"URGENT\", neutral = \"MEDIUM\", positive = \"LOW\" }"
            ]
        );
        assert!(Mapping::parse("m.toml", &after).is_ok());
    }

    #[test]
    fn the_same_again_changes_nothing() {
        for (path, keys) in all_fields(FILE).expect("fields") {
            let edits = [(path, Some(keys))].into();
            assert_eq!(fields(FILE, &edits).as_deref(), Ok(FILE));
        }
    }

    #[test]
    fn a_field_is_added_before_the_tests_and_taken_out_again() {
        let keys = json!({"value": "{{ fields.order_id }}", "max": 40});
        let added = edit(FILE, "ticket.order_number", keys);
        let mapping = Mapping::parse("m.toml", &added).expect("is right");
        assert!(mapping.fields()["ticket"].contains(&"order_number".to_owned()));
        let without = fields(&added, &[("ticket.order_number".to_owned(), None)].into());
        assert_eq!(
            all_fields(&without.expect("is changed")),
            all_fields(FILE),
            "and nothing else is lost"
        );
    }

    #[test]
    fn a_plain_value_becomes_a_table_when_it_must() {
        let text =
            "kind = \"hubspot\"\n\n[ticket]\n# who\nsubject = \"a\" # short\nother = \"b\"\n";
        assert_eq!(
            edit(text, "ticket.subject", json!({"value": "c"})),
            text.replace("\"a\"", "\"c\"")
        );
        let after = edit(text, "ticket.subject", json!({"max": 3}));
        assert!(
            after.contains("subject = { value = \"a\", max = 3 } # short"),
            "{after}"
        );
        assert!(after.contains("# who") && Mapping::parse("m.toml", &after).is_ok());
    }

    #[test]
    fn what_is_no_field_is_refused_by_name() {
        let none = |path: &str, keys: Json| {
            let edit: FieldEdit = serde_json::from_value(keys).expect("keys");
            fields(FILE, &[(path.to_owned(), Some(edit))].into()).expect_err("is refused")
        };
        assert!(none("ticket", json!({})).contains("section.name"));
        assert!(none("ticket.subject", json!({"maxx": 1})).contains("unknown key `maxx`"));
    }

    #[test]
    fn a_test_is_added_once_for_its_name() {
        let test = json!({"change": {"handoff": {"sentiment": "angry"}}, "expect": {"ticket": {"hs_ticket_priority": "HIGH"}}});
        let once = with_test(FILE, "kept", &test).expect("is added");
        let twice = with_test(&once, "kept", &test).expect("is added");
        assert_eq!(once, twice);
        assert!(
            once.contains("expect.ticket.hs_ticket_priority = \"HIGH\""),
            "{once}"
        );
        let mapping = Mapping::parse("m.toml", &once).expect("is right");
        assert!(
            mapping
                .run_tests()
                .iter()
                .all(|test| test.failures.is_empty())
        );
    }
}
