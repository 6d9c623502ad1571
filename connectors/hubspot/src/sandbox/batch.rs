//! Batches of objects.
//! <https://developers.hubspot.com/docs/api-reference/latest/error-handling>

use std::collections::BTreeSet;

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, invalid, malformed, no_route, only};
use super::schema::Kind;
use super::store::{By, iso};
use super::{PORTAL_ID, Portal};

/// Inputs of one batch call.
const MAX_BATCH: usize = 100;

/// Inputs of one batch read with earlier values.
const MAX_WITH_HISTORY: usize = 50;

impl Portal {
    /// `…/batch/{action}`
    pub(super) fn batch(
        &mut self,
        now: Timestamp,
        request: &Request,
        kind: Kind,
        action: &str,
    ) -> Answer {
        let scope = if action == "read" {
            kind.read_scope()
        } else {
            kind.write_scope()
        };
        self.scope(scope)?;
        self.params(request, &["archived"])?;
        let body = self.body(request)?;
        only(
            &body,
            &[
                "inputs",
                "properties",
                "propertiesWithHistory",
                "idProperty",
            ],
        )?;
        let inputs = body["inputs"]
            .as_array()
            .cloned()
            .ok_or_else(|| malformed("inputs are required"))?;
        if inputs.len() > MAX_BATCH {
            return Err(invalid(format!(
                "The maximum number of inputs supported in a batch request is {MAX_BATCH}, received {}",
                inputs.len()
            )));
        }
        let asked: BTreeSet<String> = body["properties"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let history: Vec<String> =
            serde_json::from_value(body["propertiesWithHistory"].clone()).unwrap_or_default();
        // With earlier values fewer records are read at once.
        if !history.is_empty() && inputs.len() > MAX_WITH_HISTORY {
            return Err(invalid(format!(
                "The maximum number of inputs with propertiesWithHistory is {MAX_WITH_HISTORY}"
            )));
        }
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in &inputs {
            let done = match action {
                "read" => only(input, &["id"]).and_then(|()| {
                    let id = input["id"]
                        .as_str()
                        .ok_or_else(|| malformed("id must be a string"))?;
                    self.find(kind, id, body["idProperty"].as_str(), false)
                        .map(|id| (id, false))
                }),
                "create" => self.create(now, kind, input).map(|id| (id, true)),
                "update" => self.batch_update(now, kind, input),
                "upsert" => self.batch_upsert(now, kind, input),
                "archive" => only(input, &["id"]).and_then(|()| {
                    let id =
                        self.find(kind, input["id"].as_str().unwrap_or_default(), None, false)?;
                    self.archive(now, kind, id, By::App);
                    Ok((id, false))
                }),
                _ => return Err(no_route()),
            };
            match done {
                Ok((id, new)) => {
                    let asked = Some(&asked).filter(|_| action == "read");
                    let mut object = self
                        .store
                        .objects
                        .get(&(kind, id))
                        .map(|o| {
                            let mut answer = o.json(PORTAL_ID, asked);
                            if action == "read" {
                                o.with_history(&history, &mut answer);
                            }
                            answer
                        })
                        .unwrap_or_default();
                    if action == "upsert" {
                        object["new"] = json!(new);
                    }
                    results.push(object);
                }
                // A batch of one, and what concerns the batch as a whole, fails as a single call does.
                Err(failed) if inputs.len() == 1 && action != "read" || failed.status == 403 => {
                    return Err(failed);
                }
                Err(failed) => {
                    let mut error: Value = serde_json::from_slice(&failed.body).unwrap_or_default();
                    error["context"] = json!({"ids": [input["id"]], "objectWriteTraceId": [input["objectWriteTraceId"]]});
                    errors.push(error);
                }
            }
        }
        if action == "archive" {
            return Ok(Response::empty(204));
        }
        let mut answer = json!({
            "status": "COMPLETE", "results": results, "startedAt": iso(now), "completedAt": iso(now),
        });
        let whole = if action == "create" { 201 } else { 200 };
        let status = if errors.is_empty() { whole } else { 207 };
        if !errors.is_empty() {
            answer["numErrors"] = json!(errors.len());
            answer["errors"] = json!(errors);
        }
        Ok(Response::json(status, &answer))
    }

    fn batch_update(
        &mut self,
        now: Timestamp,
        kind: Kind,
        input: &Value,
    ) -> Result<(u64, bool), Response> {
        only(
            input,
            &["id", "idProperty", "properties", "objectWriteTraceId"],
        )?;
        let id = input["id"]
            .as_str()
            .ok_or_else(|| malformed("id must be a string"))?;
        let id = self.find(kind, id, input["idProperty"].as_str(), false)?;
        let properties = self.checked(kind, &input["properties"], Some(id))?;
        self.change(now, kind, id, properties, By::App);
        Ok((id, false))
    }

    /// Overwrites or creates, by a unique property.
    fn batch_upsert(
        &mut self,
        now: Timestamp,
        kind: Kind,
        input: &Value,
    ) -> Result<(u64, bool), Response> {
        only(
            input,
            &["id", "idProperty", "properties", "objectWriteTraceId"],
        )?;
        let value = input["id"]
            .as_str()
            .ok_or_else(|| malformed("id must be a string"))?;
        let name = input["idProperty"]
            .as_str()
            .ok_or_else(|| invalid("Unable to perform update/upsert by non-unique property"))?;
        match self.find(kind, value, Some(name), false) {
            Ok(id) => {
                let properties = self.checked(kind, &input["properties"], Some(id))?;
                self.change(now, kind, id, properties, By::App);
                Ok((id, false))
            }
            Err(missing) if missing.status == 404 => {
                let mut properties = input["properties"].clone();
                properties[name] = json!(value);
                let id = self.create(now, kind, &json!({"properties": properties}))?;
                Ok((id, true))
            }
            Err(failed) => Err(failed),
        }
    }
}
