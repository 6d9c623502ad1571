//! Property values: each as its definition wants it.

use std::collections::BTreeMap;

use handoffd_contract::sandbox::Response;
use serde_json::Value;

use super::Portal;
use super::answer::{Refused, error, malformed, refused};
use super::schema::{Kind, OWNERS, PIPELINES};
use super::store::time;

/// The longest text of a property, in characters.
/// <https://knowledge.hubspot.com/contacts/property-field-types-in-hubspot>
const MAX_TEXT: usize = 65_536;

pub(super) type Properties = BTreeMap<String, String>;

impl Portal {
    /// Properties as strings, each of them as its definition wants it.
    pub(super) fn checked(
        &self,
        kind: Kind,
        given: &Value,
        id: Option<u64>,
    ) -> Result<Properties, Response> {
        let Some(given) = given.as_object() else {
            return Err(malformed("properties must be an object"));
        };
        let mut properties = Properties::new();
        let mut problems = Vec::new();
        for (name, value) in given {
            // HubSpot keeps e-mail addresses in lower case and without white space around them.
            let address = match value {
                Value::String(text) if kind == Kind::Contact && is_email(name) => {
                    Some(text.trim().to_lowercase())
                }
                _ => None,
            };
            let value = match value {
                Value::String(text) => address.as_deref().unwrap_or(text),
                Value::Null => "",
                _ => {
                    return Err(malformed(format!(
                        "Cannot deserialize value of type `java.lang.String` for {name}"
                    )));
                }
            };
            match self.problem(kind, name, value, id) {
                Some(problem) => problems.push(problem),
                None => {
                    properties.insert(name.clone(), stripped(name, value));
                }
            }
        }
        if kind == Kind::Ticket && id.is_none() && properties.contains_key("hs_pipeline_stage") {
            let pipeline = properties.entry("hs_pipeline".to_owned());
            pipeline.or_insert_with(|| PIPELINES[0].id.to_owned());
        }
        if kind == Kind::Ticket {
            problems.extend(self.stage_problem(&properties, id));
        }
        if let Some(holder) = properties
            .get("email")
            .and_then(|email| self.store.by_email(email, false))
            && kind == Kind::Contact
            && Some(holder.id) != id
        {
            return Err(error(
                409,
                "CONFLICT",
                &format!("Contact already exists. Existing ID: {}", holder.id),
            ));
        }
        if self.switches.conflict_409
            && problems
                .iter()
                .any(|problem| problem.code == "CONFLICTING_UNIQUE_VALUE")
        {
            return Err(error(
                409,
                "CONFLICT",
                "An object with this unique value already exists",
            ));
        }
        if problems.is_empty() {
            Ok(properties)
        } else {
            Err(refused(&problems))
        }
    }

    fn problem(&self, kind: Kind, name: &str, value: &str, id: Option<u64>) -> Option<Refused> {
        let refuse = |code, message: String| Some(Refused::new(name, code, message));
        let Some(property) = self.schema.get(kind, name) else {
            return refuse(
                "PROPERTY_DOESNT_EXIST",
                format!("Property \"{name}\" does not exist"),
            );
        };
        if property.read_only {
            return refuse(
                "READ_ONLY_VALUE",
                format!("\"{name}\" is a read only property; its value cannot be set."),
            );
        }
        if value.is_empty() {
            return None;
        }
        if value.chars().count() > MAX_TEXT {
            return refuse(
                "INVALID_LENGTH",
                format!("\"{name}\" is longer than {MAX_TEXT} characters"),
            );
        }
        let choices = || {
            value
                .split(';')
                .all(|choice| property.options.iter().any(|option| option == choice))
        };
        match property.kind.as_str() {
            "enumeration" if !choices() => {
                return refuse(
                    "INVALID_OPTION",
                    format!("{value} was not one of the allowed options"),
                );
            }
            "datetime" | "date" if time(value).is_none() => {
                return refuse(
                    "INVALID_DATE",
                    format!("{value} was not a valid long or date"),
                );
            }
            "number" if value.parse::<f64>().is_err() => {
                return refuse("INVALID_NUMBER", format!("{value} was not a valid number."));
            }
            "owner" if !OWNERS.iter().any(|owner| owner.0 == value) => {
                return refuse("INVALID_OWNER_ID", format!("Owner {value} does not exist"));
            }
            "phone_number"
                if self.switches.phone_validation
                    && !(value.starts_with('+') && value.len() >= 9) =>
            {
                return refuse(
                    "INVALID_PHONE_NUMBER",
                    "The phone number is not valid".to_owned(),
                );
            }
            _ => {}
        }
        if name == "email"
            && !value
                .split_once('@')
                .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
        {
            return refuse("INVALID_EMAIL", format!("Email address {value} is invalid"));
        }
        if property.unique {
            let archived = self.store.holder(kind, name, value, true).filter(|object| {
                self.switches.archived_keeps_unique && object.merged_into.is_none()
            });
            if let Some(holder) = self
                .store
                .holder(kind, name, value, false)
                .or(archived)
                .filter(|holder| Some(holder.id) != id)
            {
                return refuse(
                    "CONFLICTING_UNIQUE_VALUE",
                    format!(
                        "Cannot set PropertyValueCoordinates{{propertyName={name}}}. {} already has that value.",
                        holder.id
                    ),
                );
            }
        }
        None
    }

    /// A stage of another pipeline is refused.
    fn stage_problem(&self, properties: &Properties, id: Option<u64>) -> Option<Refused> {
        let held = id.and_then(|id| self.store.objects.get(&(Kind::Ticket, id)));
        let of = |name: &str| {
            properties
                .get(name)
                .cloned()
                .or_else(|| held?.get(name).map(str::to_owned))
        };
        let pipeline = of("hs_pipeline").unwrap_or_else(|| "0".to_owned());
        let Some(found) = PIPELINES.iter().find(|known| known.id == pipeline) else {
            return Some(Refused::new(
                "hs_pipeline",
                "INVALID_OPTION",
                format!("{pipeline} was not one of the allowed pipelines"),
            ));
        };
        let stage = of("hs_pipeline_stage")?;
        (!found.stages.iter().any(|known| known.0 == stage)).then(|| {
            Refused::new(
                "hs_pipeline_stage",
                "INVALID_OPTION",
                format!("{stage} is not a valid stage of pipeline {pipeline}"),
            )
        })
    }
}

fn is_email(name: &str) -> bool {
    matches!(name, "email" | "hs_additional_emails")
}

/// Rich text as HubSpot keeps it: unknown tags and all but a link's address are removed.
/// <https://community.hubspot.com/t5/APIs-Integrations/Rendering-HTML-and-escaped-text-properly-in-rich-text-fields/td-p/1231561>
pub(super) fn stripped(name: &str, value: &str) -> String {
    if !matches!(name, "hs_note_body" | "hs_communication_body") {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(end) = rest.find('>') else { break };
        let tag = &rest[1..end];
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let name = name.to_ascii_lowercase();
        let close = if tag.starts_with('/') { "/" } else { "" };
        let kept = [
            "p",
            "br",
            "b",
            "strong",
            "i",
            "em",
            "u",
            "ul",
            "ol",
            "li",
            "div",
            "span",
            "blockquote",
        ];
        if name == "a" {
            let link = tag
                .split_once("href=\"")
                .and_then(|(_, rest)| rest.split_once('"'))
                .map(|(link, _)| link);
            match link.filter(|link| link.starts_with("http")) {
                Some(link) if close.is_empty() => out.push_str(&format!("<a href=\"{link}\">")),
                _ => out.push_str(&format!("<{close}a>")),
            }
        } else if kept.contains(&name.as_str()) {
            out.push_str(&format!("<{close}{name}>"));
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    out
}
