//! Associations in batches.
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Portal;
use super::answer::{Answer, invalid, malformed, no_route, only};
use super::schema::{Kind, link_type};
use super::store::{iso, link_types};

/// Inputs of one batch read.
const MAX_READ: usize = 1_000;
/// Inputs of every other batch.
const MAX_WRITE: usize = 2_000;

impl Portal {
    /// `…/associations/{from}/{to}/batch/…`
    pub(super) fn association_batch(
        &mut self,
        now: Timestamp,
        request: &Request,
        (from, to): (Kind, Kind),
        rest: &[&str],
    ) -> Answer {
        if request.method != "POST" {
            return Err(no_route());
        }
        self.params(request, &[])?;
        let is_read = rest == ["read"];
        self.scope(match is_read {
            true => from.read_scope(),
            false => from.write_scope(),
        })?;
        let body = self.body(request)?;
        only(&body, &["inputs"])?;
        let max = if is_read { MAX_READ } else { MAX_WRITE };
        let inputs = body["inputs"]
            .as_array()
            .ok_or_else(|| malformed("inputs are required"))?;
        if inputs.len() > max {
            return Err(invalid(format!(
                "The maximum number of inputs supported in a batch request is {max}, received {}",
                inputs.len()
            )));
        }
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in inputs {
            let done = match rest {
                ["read"] => self.read_links(from, to, input).map(|one| vec![one]),
                ["create"] => self.make_link(from, to, input).map(|one| vec![one]),
                ["associate", "default"] => self.make_default(from, to, input),
                ["archive"] => self.part(from, to, input).map(|()| Vec::new()),
                _ => return Err(no_route()),
            };
            match done {
                Ok(some) => results.extend(some),
                // Members that are not documented are refused for the whole batch.
                Err(failed) if failed.status == 400 => return Err(failed),
                Err(failed) => {
                    let mut error: Value = serde_json::from_slice(&failed.body).unwrap_or_default();
                    let id = [&input["id"], &input["from"]["id"]];
                    let id = id.into_iter().find(|id| !id.is_null());
                    error["context"] = json!({"fromObjectId": [id]});
                    errors.push(error);
                }
            }
        }
        if rest == ["archive"] {
            return Ok(Response::empty(204));
        }
        let mut answer = json!({
            "status": "COMPLETE", "results": results, "startedAt": iso(now), "completedAt": iso(now),
        });
        let whole = if rest == ["create"] { 201 } else { 200 };
        if errors.is_empty() {
            return Ok(Response::json(whole, &answer));
        }
        answer["numErrors"] = json!(errors.len());
        answer["errors"] = json!(errors);
        Ok(Response::json(207, &answer))
    }

    fn read_links(&self, from: Kind, to: Kind, input: &Value) -> Result<Value, Response> {
        only(input, &["id", "after"])?;
        let id = self.end(from, &input["id"])?;
        let others = self.store.linked((from, id), to);
        let others: Vec<Value> = others
            .iter()
            .map(|other| json!({"toObjectId": other, "associationTypes": link_types(from, to)}))
            .collect();
        Ok(json!({"from": {"id": id.to_string()}, "to": others}))
    }

    fn make_link(&mut self, from: Kind, to: Kind, input: &Value) -> Result<Value, Response> {
        only(input, &["from", "to", "types"])?;
        let types = input["types"].as_array().into_iter().flatten();
        let fits = |entry: &Value| {
            link_type(from, to).is_some_and(|id| entry["associationTypeId"] == json!(id))
        };
        if input["types"][0].is_null() || !types.into_iter().all(fits) {
            return Err(invalid(format!(
                "One or more associations from {} to {} are not valid",
                from.plural(),
                to.plural()
            )));
        }
        let (id, other) = self.ends(from, to, input)?;
        self.store.link((from, id), (to, other));
        Ok(json!({
            "fromObjectTypeId": from.type_id(), "fromObjectId": id, "toObjectTypeId": to.type_id(), "toObjectId": other, "labels": [],
        }))
    }

    fn make_default(
        &mut self,
        from: Kind,
        to: Kind,
        input: &Value,
    ) -> Result<Vec<Value>, Response> {
        only(input, &["from", "to"])?;
        let (id, other) = self.ends(from, to, input)?;
        self.store.link((from, id), (to, other));
        let one = |a: u64, b: u64, spec: Option<u32>| {
            json!({"from": {"id": a.to_string()}, "to": {"id": b.to_string()},
                "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": spec}})
        };
        Ok(vec![
            one(id, other, link_type(from, to)),
            one(other, id, link_type(to, from)),
        ])
    }

    fn part(&mut self, from: Kind, to: Kind, input: &Value) -> Result<(), Response> {
        only(input, &["from", "to"])?;
        let id = self.end(from, &input["from"]["id"])?;
        for other in input["to"].as_array().into_iter().flatten() {
            let other = self.end(to, &other["id"])?;
            self.store.unlink((from, id), (to, other));
        }
        Ok(())
    }

    fn ends(&self, from: Kind, to: Kind, input: &Value) -> Result<(u64, u64), Response> {
        let from = self.end(from, &input["from"]["id"])?;
        Ok((from, self.end(to, &input["to"]["id"])?))
    }

    fn end(&self, kind: Kind, id: &Value) -> Result<u64, Response> {
        let id = id
            .as_str()
            .ok_or_else(|| malformed("id must be a string"))?;
        self.find(kind, id, None, false)
    }
}
