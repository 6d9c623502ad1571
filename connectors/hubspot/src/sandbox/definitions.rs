//! Properties' definitions: changed, put away, and in batches.
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>

use std::collections::BTreeMap;

use handoffd_contract::sandbox::Response;
use serde_json::{Value, json};

use super::Portal;
use super::answer::{Answer, invalid, malformed, no_route, not_found, only};
use super::schema::Kind;

/// Inputs of one batch call.
const MAX_BATCH: usize = 100;

impl Portal {
    /// What may be changed of a property; its name and whether its values are unique may not.
    pub(super) fn change_property(&mut self, kind: Kind, name: &str, body: &Value) -> Answer {
        only(
            body,
            &[
                "label",
                "groupName",
                "type",
                "fieldType",
                "options",
                "description",
                "displayOrder",
                "hidden",
                "formField",
                "calculationFormula",
            ],
        )?;
        let group = body["groupName"].as_str();
        if let Some(group) = group
            && !self.schema.groups.contains_key(&(kind, group.to_owned()))
        {
            return Err(invalid(format!(
                "The property group \"{group}\" does not exist"
            )));
        }
        let property = self
            .schema
            .properties
            .get_mut(&(kind, name.to_owned()))
            .ok_or_else(|| missing(name))?;
        if !property.custom {
            return Err(invalid(format!(
                "{name} is HubSpot's own and is not changed"
            )));
        }
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        if let Some(label) = text("label") {
            property.label = label;
        }
        if let Some(group) = group {
            property.group = group.to_owned();
        }
        if let Some(of) = text("type") {
            property.kind = of;
        }
        if let Some(field) = text("fieldType") {
            property.field = field;
        }
        if let Some(options) = body["options"].as_array() {
            let values = options.iter().filter_map(|option| option["value"].as_str());
            property.options = values.map(str::to_owned).collect();
            property.captions = captions(&body["options"]);
        }
        Ok(Response::json(200, &property.json(name)))
    }

    /// Puts a property away: from then on nobody can write it.
    pub(super) fn drop_property(&mut self, kind: Kind, name: &str) -> Result<(), Response> {
        let key = (kind, name.to_owned());
        match self.schema.properties.get(&key) {
            None => Err(missing(name)),
            Some(property) if !property.custom => Err(invalid(format!(
                "{name} is HubSpot's own and is not archived"
            ))),
            Some(_) => {
                self.schema.properties.remove(&key);
                Ok(())
            }
        }
    }

    /// `…/batch/{read, create, archive}`
    pub(super) fn property_batch(&mut self, kind: Kind, action: &str, body: &Value) -> Answer {
        only(body, &["inputs", "archived", "dataSensitivity"])?;
        let inputs = body["inputs"]
            .as_array()
            .filter(|inputs| inputs.len() <= MAX_BATCH)
            .ok_or_else(|| malformed("inputs are required, at most 100"))?;
        let name = |input: &Value| {
            let name = input["name"].as_str().map(str::to_owned);
            name.ok_or_else(|| malformed("name is required"))
        };
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in inputs {
            let done = match action {
                "read" => {
                    only(input, &["name"])?;
                    let name = name(input)?;
                    let found = self.schema.get(kind, &name);
                    found
                        .map(|property| property.json(&name))
                        .ok_or_else(|| missing(&name))
                }
                "create" => {
                    self.write_schema(kind)?;
                    let made = self.add_property(kind, input);
                    made.map(|made| serde_json::from_slice(&made.body).unwrap_or_default())
                }
                "archive" => {
                    self.write_schema(kind)?;
                    only(input, &["name"])?;
                    self.drop_property(kind, &name(input)?)
                        .map(|()| Value::Null)
                }
                _ => return Err(no_route()),
            };
            match done {
                Ok(one) => results.push(one),
                Err(failed) => errors.push(failed),
            }
        }
        if action == "archive" {
            return Ok(Response::empty(204));
        }
        let mut answer = json!({"status": "COMPLETE", "results": results});
        let whole = if action == "create" { 201 } else { 200 };
        if errors.is_empty() {
            return Ok(Response::json(whole, &answer));
        }
        let errors: Vec<Value> = errors
            .iter()
            .map(|failed| serde_json::from_slice(&failed.body).unwrap_or_default())
            .collect();
        answer["numErrors"] = json!(errors.len());
        answer["errors"] = json!(errors);
        Ok(Response::json(207, &answer))
    }
}

/// The options' labels, by value.
pub(super) fn captions(options: &Value) -> BTreeMap<String, String> {
    let options = options.as_array().into_iter().flatten();
    let named = options.filter_map(|option| {
        let (value, label) = (option["value"].as_str()?, option["label"].as_str()?);
        Some((value.to_owned(), label.to_owned()))
    });
    named.collect()
}

fn missing(name: &str) -> Response {
    not_found(&format!("Property with name {name} does not exist"))
}
