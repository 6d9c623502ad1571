//! One object of a request, read strictly: every fault names its path.

use handoffd_contract::text::utf16_len;
use serde_json::{Map, Value};

use super::fault::Fault;

/// A required parameter is not there.
pub(super) fn missing(path: &str) -> Fault {
    Fault::new(131008, format!("The parameter {path} is required."))
}

/// An object of the request with its path, for errors.
pub(super) struct Node<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) path: String,
}

impl<'a> Node<'a> {
    pub(super) fn of(value: &'a Value, path: &str) -> Result<Node<'a>, Fault> {
        match value.as_object() {
            Some(map) => Ok(Node {
                map,
                path: path.to_owned(),
            }),
            None => Err(Fault::invalid(format!(
                "Param {path} must be a JSON object."
            ))),
        }
    }

    pub(super) fn at(&self, field: &str) -> String {
        if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}['{field}']", self.path)
        }
    }

    pub(super) fn only(&self, allowed: &[&str]) -> Result<(), Fault> {
        match self.map.keys().find(|key| !allowed.contains(&key.as_str())) {
            Some(key) => Err(Fault::invalid(format!(
                "Unexpected key \"{key}\" on param \"{}\".",
                self.path
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn text(
        &self,
        field: &str,
        min: usize,
        max: usize,
    ) -> Result<Option<&'a str>, Fault> {
        let Some(value) = self.map.get(field) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| Fault::invalid(format!("Param {} must be a string.", self.at(field))))?;
        if !(min..=max).contains(&utf16_len(text)) {
            let at = self.at(field);
            return Err(Fault::invalid(format!(
                "Param {at} must be between {min} and {max} characters long."
            )));
        }
        Ok(Some(text))
    }

    pub(super) fn need(&self, field: &str, max: usize) -> Result<&'a str, Fault> {
        self.text(field, 1, max)?
            .ok_or_else(|| missing(&self.at(field)))
    }

    pub(super) fn flag(&self, field: &str) -> Result<(), Fault> {
        match self.map.get(field) {
            None | Some(Value::Bool(_)) => Ok(()),
            Some(_) => Err(Fault::invalid(format!(
                "Param {} must be a boolean.",
                self.at(field)
            ))),
        }
    }

    pub(super) fn child(&self, field: &str) -> Result<Option<Node<'a>>, Fault> {
        // `contacts` is the one list among the message objects.
        match self.map.get(field) {
            Some(Value::Array(list)) if field == "contacts" && !list.is_empty() => {
                Node::of(&list[0], field).map(Some)
            }
            Some(value) => Node::of(value, &self.at(field)).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn list(&self, field: &str, min: usize, max: usize) -> Result<Vec<Node<'a>>, Fault> {
        let list = self
            .map
            .get(field)
            .and_then(Value::as_array)
            .ok_or_else(|| missing(&self.at(field)))?;
        if !(min..=max).contains(&list.len()) {
            return Err(Fault::new(
                131009,
                format!("Param {} must hold {min} to {max} items.", self.at(field)),
            ));
        }
        list.iter()
            .map(|value| Node::of(value, &self.at(field)))
            .collect()
    }
}
