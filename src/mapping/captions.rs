//! Values that are written as people read them in the CRM: a caption becomes the code or the row's id.

use handoffd_contract::schema::{Field, Found, Holds};
use handoffd_contract::{LostField, Rendered, Schema, text};
use serde_json::Value;
use uuid::Uuid;

/// What a value is in a field of the CRM.
#[derive(Debug, Clone, PartialEq)]
pub enum Meant {
    /// What is written there: a code, an id, or anything where the field has no choices.
    Itself,
    /// The caption of this.
    Code(Value),
    /// None of the choices.
    Nothing,
    /// None of those that are known; there may be more.
    Unclear,
}

/// What a value is in this field.
#[must_use]
pub fn meant(schema: &Schema, field: &Field, value: &Value) -> Meant {
    let Some(text) = value.as_str() else {
        return Meant::Itself;
    };
    match field.holds {
        Holds::Choice => match schema.options(field) {
            Some(options) => of(options.find(text)),
            None => Meant::Itself,
        },
        Holds::Choices => several(schema, field, text),
        Holds::Lookup => row(schema, field, text),
        _ => Meant::Itself,
    }
}

fn of(found: Found<'_>) -> Meant {
    match found {
        Found::Value(_) => Meant::Itself,
        Found::Caption(choice) => Meant::Code(choice.value.clone().into()),
        Found::None => Meant::Nothing,
        Found::Unclear => Meant::Unclear,
    }
}

/// Several choices, parted by semicolons.
fn several(schema: &Schema, field: &Field, text: &str) -> Meant {
    let Some(options) = schema.options(field) else {
        return Meant::Itself;
    };
    let mut codes = Vec::new();
    for part in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        match options.find(part) {
            Found::Value(choice) | Found::Caption(choice) => codes.push(choice.value.clone()),
            Found::None => return Meant::Nothing,
            Found::Unclear => return Meant::Unclear,
        }
    }
    let codes = codes.join(";");
    if codes == text {
        Meant::Itself
    } else {
        Meant::Code(codes.into())
    }
}

/// A row of a lookup, by its id or by its caption.
fn row(schema: &Schema, field: &Field, text: &str) -> Meant {
    let is_id = Uuid::parse_str(text.trim()).is_ok();
    match (schema.options(field), is_id) {
        (Some(options), true) => match options.find(&text.trim().to_lowercase()) {
            Found::Value(_) => Meant::Itself,
            _ if options.whole => Meant::Nothing,
            _ => Meant::Unclear,
        },
        (None, true) => Meant::Itself,
        (Some(options), false) => match of(options.find(text)) {
            // What is no id can be nothing but a caption.
            Meant::Unclear => Meant::Nothing,
            meant => meant,
        },
        (None, false) => Meant::Nothing,
    }
}

/// Puts codes in the place of captions. A lookup's value that is neither an id nor a known caption would
/// make the CRM refuse the record: it is left out, and rep and operators are told. Any other value is left to the
/// CRM, whose options may have changed since they were read.
pub fn resolve(rendered: &mut Rendered, schema: &Schema) {
    let mut lost: Vec<(String, String)> = Vec::new();
    for (section, fields) in &mut rendered.sections {
        fields.retain(|name, value| {
            let Some(field) = schema.field(section, name) else {
                return true;
            };
            match meant(schema, field, value) {
                Meant::Code(code) => *value = code,
                Meant::Nothing if field.holds == Holds::Lookup && !is_id(value) => {
                    let shown = text::truncate(value.as_str().unwrap_or_default(), 60);
                    lost.push((format!("{section}.{name}"), shown));
                    return false;
                }
                Meant::Itself | Meant::Nothing | Meant::Unclear => {}
            }
            true
        });
    }
    for (field, shown) in lost {
        let what = "is none of the rows that it can name";
        rendered
            .notes
            .push(format!("{field} was left out: \"{shown}\" {what}."));
        rendered.lost.push(LostField {
            field,
            why: format!("left out: its value {what}"),
        });
    }
}

fn is_id(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| Uuid::parse_str(text.trim()).is_ok())
}

#[cfg(test)]
mod tests {
    use handoffd_contract::schema::{Choice, Options};
    use serde_json::json;

    use super::*;

    const HIGH: &str = "8b700f24-f46b-1410-ee8c-0050ba5d6c38";

    fn schema() -> Schema {
        let mut schema = Schema::default();
        let field = |holds, lookup: Option<&str>| Field {
            holds,
            lookup: lookup.map(str::to_owned),
            ..Field::default()
        };
        schema.add(
            "case",
            "PriorityId",
            field(Holds::Lookup, Some("CasePriority")),
        );
        schema.add("case", "OwnerId", field(Holds::Lookup, Some("Contact")));
        schema.add("case", "Subject", field(Holds::Text, None));
        let options = Options {
            list: vec![Choice::new(HIGH, "High", false)],
            whole: true,
            tells_off: false,
        };
        schema
            .lookups
            .insert("CasePriority".into(), options.clone());
        let choice = Field {
            options: Some(Options {
                list: vec![
                    Choice::new("BILLING_ISSUE", "Billing issue", false),
                    Choice::new("OTHER", "Other", false),
                ],
                ..options
            }),
            ..field(Holds::Choices, None)
        };
        schema.add("ticket", "kinds", choice);
        schema
    }

    fn resolved(section: &str, field: &str, value: &str) -> (Option<Value>, usize) {
        let mut rendered = Rendered::default();
        let fields = [(field.to_owned(), json!(value))].into();
        rendered.sections.insert(section.into(), fields);
        resolve(&mut rendered, &schema());
        assert_eq!(rendered.notes.len(), rendered.lost.len());
        (
            rendered.sections[section].get(field).cloned(),
            rendered.lost.len(),
        )
    }

    #[test]
    fn a_caption_becomes_its_id_and_an_id_stays() {
        assert_eq!(
            resolved("case", "PriorityId", "high"),
            (Some(json!(HIGH)), 0)
        );
        assert_eq!(resolved("case", "PriorityId", HIGH), (Some(json!(HIGH)), 0));
        let other = "00000000-f46b-1410-ee8c-0050ba5d6c38";
        assert_eq!(
            resolved("case", "PriorityId", other),
            (Some(json!(other)), 0),
            "newer than the schema"
        );
        assert_eq!(
            resolved("case", "Subject", "High"),
            (Some(json!("High")), 0)
        );
    }

    #[test]
    fn an_unknown_caption_is_left_out_and_told() {
        assert_eq!(resolved("case", "PriorityId", "Extreme"), (None, 1));
        assert_eq!(resolved("case", "OwnerId", "Ana López"), (None, 1));
    }

    #[test]
    fn several_captions_become_their_codes() {
        let both = Some(json!("BILLING_ISSUE;OTHER"));
        assert_eq!(resolved("ticket", "kinds", "Billing issue; other").0, both);
        assert_eq!(
            resolved("ticket", "kinds", "Nothing").0,
            Some(json!("Nothing"))
        );
    }
}
