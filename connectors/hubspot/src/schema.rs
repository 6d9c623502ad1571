//! The portal's properties of tickets and contacts: what a mapping can fill, and with what.
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>

use handoffd_contract::schema::{Choice, Field, Holds, Options, Section};
use handoffd_contract::{HttpCall, HttpReply, Schema, SchemaRead};
use serde_json::Value;

use crate::settings::Settings;

/// The mapping's sections, and the types whose properties they fill.
const SECTIONS: [(&str, &str); 2] = [("ticket", "tickets"), ("contact", "contacts")];
/// What the read of a section's groups is called after its name.
const GROUPS: &str = " groups";

/// The most characters of a text. <https://knowledge.hubspot.com/properties/property-field-types-in-hubspot>
const MAX_TEXT: usize = 65_536;

/// What is left to be read.
pub fn reads(settings: &Settings, known: &Schema) -> Vec<SchemaRead> {
    let both = SECTIONS.into_iter().flat_map(|(section, kind)| {
        let at = settings.paths.properties(kind);
        let groups = HttpCall::get(format!("{at}/groups"));
        [
            SchemaRead::new(section, HttpCall::get(at)),
            SchemaRead::new(format!("{section}{GROUPS}"), groups),
        ]
    });
    both.filter(|read| !known.has(&read.what)).collect()
}

/// What an answer adds.
///
/// # Errors
/// What HubSpot said instead.
pub fn told(read: &SchemaRead, reply: &HttpReply, mut known: Schema) -> Result<Schema, String> {
    let body = reply.json().unwrap_or_default();
    let list = body["results"].as_array().filter(|_| reply.ok());
    if let Some(section) = read.what.strip_suffix(GROUPS) {
        match (list, reply.status) {
            (Some(list), _) => label_groups(known.sections.get_mut(section), list),
            // Labels of groups are a comfort.
            (None, 400..=499) if !matches!(reply.status, 401 | 408 | 429) => known.gaps.push(format!(
                "the groups of the {section}'s properties could not be read (HubSpot answered {})",
                reply.status
            )),
            (None, status) => return Err(refused(status)),
        }
    } else {
        let list = list.ok_or_else(|| refused(reply.status))?;
        known.sections.entry(read.what.clone()).or_default();
        for property in list {
            if let Some(name) = property["name"].as_str()
                && property["archived"] != true
            {
                known.add(&read.what, name, field(property));
            }
        }
    }
    known.answered.insert(read.what.clone());
    Ok(known)
}

fn refused(status: u16) -> String {
    match status {
        401 => "HubSpot did not accept the token".to_owned(),
        403 => {
            "the token may not read properties: add the scope to the key or app and connect again"
                .to_owned()
        }
        _ => format!("the properties could not be listed (HubSpot answered {status})"),
    }
}

/// Puts the groups' labels in the place of their names.
fn label_groups(section: Option<&mut Section>, groups: &[Value]) {
    let Some(section) = section else { return };
    for field in section.fields.values_mut() {
        let group = groups
            .iter()
            .find(|group| group["name"].as_str() == Some(field.group.as_str()));
        if let Some(label) = group.and_then(|group| group["label"].as_str()) {
            field.group = label.chars().take(100).collect();
        }
    }
}

fn field(property: &Value) -> Field {
    let text = |name: &str| property[name].as_str().unwrap_or_default().to_owned();
    let metadata = &property["modificationMetadata"];
    let holds = holds(&text("type"), &text("fieldType"));
    let has_options = matches!(holds, Holds::Choice | Holds::Choices);
    Field {
        label: text("label"),
        group: text("groupName"),
        holds,
        max: (holds == Holds::Text).then_some(MAX_TEXT),
        read_only: metadata["readOnlyValue"] == true || property["calculated"] == true,
        options: has_options.then(|| options(property)),
        ..Field::default()
    }
}

fn holds(of: &str, field: &str) -> Holds {
    match (of, field) {
        ("enumeration", "checkbox") => Holds::Choices,
        ("enumeration", _) => Holds::Choice,
        ("number", _) => Holds::Number,
        ("bool", _) => Holds::Bool,
        ("date", _) => Holds::Date,
        ("datetime", _) => Holds::Datetime,
        ("json" | "object_coordinates", _) => Holds::Other,
        _ => Holds::Text,
    }
}

/// The options in HubSpot's order. Owners and the like are told elsewhere.
fn options(property: &Value) -> Options {
    let mut list: Vec<&Value> = property["options"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    list.sort_by_key(|option| option["displayOrder"].as_i64().unwrap_or(i64::MAX));
    let mut options = Options {
        list: Vec::new(),
        whole: property["externalOptions"] != true,
        tells_off: true,
    };
    for option in list {
        let value = match &option["value"] {
            Value::String(value) => value.clone(),
            Value::Null => continue,
            other => other.to_string(),
        };
        let label = option["label"].as_str().unwrap_or_default();
        let off = option["hidden"] == true || option["archived"] == true;
        options.push(Choice::new(&value, label, off));
    }
    options
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(answers: &[(&str, u16, Value)]) -> Result<Schema, String> {
        answers
            .iter()
            .try_fold(Schema::default(), |known, (what, status, body)| {
                let read = SchemaRead::new(*what, HttpCall::get("/x"));
                let reply = HttpReply {
                    status: *status,
                    headers: Vec::new(),
                    body: body.to_string().into_bytes(),
                };
                told(&read, &reply, known)
            })
    }

    #[test]
    fn a_property_says_what_it_holds_and_who_may_write_it() {
        let properties = json!({"results": [
            {"name": "hs_ticket_category", "label": "Category", "groupName": "ticketinformation", "type": "enumeration",
             "fieldType": "select", "options": [
                {"label": "Billing issue", "value": "BILLING_ISSUE", "displayOrder": 2, "hidden": false},
                {"label": "Product issue", "value": "PRODUCT_ISSUE", "displayOrder": 1, "hidden": true}]},
            {"name": "createdate", "label": "Create date", "type": "datetime", "calculated": false,
             "modificationMetadata": {"readOnlyValue": true}},
            {"name": "hubspot_owner_id", "label": "Owner", "type": "enumeration", "externalOptions": true, "options": []},
            {"name": "old", "archived": true, "type": "string"},
        ]});
        let groups =
            json!({"results": [{"name": "ticketinformation", "label": "Ticket information"}]});
        let schema =
            read(&[("ticket", 200, properties), ("ticket groups", 200, groups)]).expect("is read");
        let category = schema
            .field("ticket", "hs_ticket_category")
            .expect("is there");
        assert_eq!(
            (category.holds, category.group.as_str()),
            (Holds::Choice, "Ticket information")
        );
        let options = schema.options(category).expect("options");
        assert_eq!(
            options.list[0],
            Choice::new("PRODUCT_ISSUE", "Product issue", true)
        );
        assert!(
            schema
                .field("ticket", "createdate")
                .is_some_and(|field| field.read_only)
        );
        let owner = schema
            .field("ticket", "hubspot_owner_id")
            .expect("is there");
        assert!(owner.options.as_ref().is_some_and(|options| !options.whole));
        assert_eq!(schema.lacks("ticket", "old"), Some(true));
    }

    #[test]
    fn what_is_no_answer_teaches_nothing() {
        for status in [401, 403, 429, 500] {
            assert!(read(&[("ticket", status, json!({}))]).is_err(), "{status}");
        }
        let schema = read(&[("ticket groups", 403, json!({}))]).expect("a gap");
        assert_eq!(schema.gaps.len(), 1);
    }
}
