//! Associations between objects.
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Portal;
use super::answer::{Answer, invalid, no_route};
use super::schema::{Kind, link_type};
use super::store::{iso, link_types};

impl Portal {
    /// `…/{from}/{id}/associations/…`
    pub(super) fn associations(
        &mut self,
        now: Timestamp,
        request: &Request,
        from: Kind,
        id: &str,
        rest: &[&str],
    ) -> Answer {
        let kind = |name: &str| Kind::parse(name).ok_or_else(no_route);
        match (request.method.as_str(), rest) {
            ("GET", [to]) => {
                self.scope(from.read_scope())?;
                self.params(request, &["limit", "after"])?;
                let to = kind(to)?;
                let id = self.find(from, id, None, false)?;
                let limit: usize = request
                    .param("limit")
                    .unwrap_or("500")
                    .parse()
                    .map_err(|_| invalid("limit is not a number"))?;
                if !(1..=500).contains(&limit) {
                    return Err(invalid("limit must be between 1 and 500"));
                }
                let after: u64 = request
                    .param("after")
                    .unwrap_or("0")
                    .parse()
                    .map_err(|_| invalid("after is not valid"))?;
                let all = self.store.linked((from, id), to);
                let page: Vec<u64> = all
                    .iter()
                    .copied()
                    .filter(|other| *other > after)
                    .take(limit)
                    .collect();
                let results: Vec<Value> =
                    page.iter().map(|other| json!({"toObjectId": other, "associationTypes": link_types(from, to)})).collect();
                let mut answer = json!({"results": results});
                if let Some(last) = page.last().filter(|last| all.last() != Some(*last)) {
                    answer["paging"] = json!({"next": {"after": last.to_string(), "link": "…"}});
                }
                Ok(Response::json(200, &answer))
            }
            ("PUT", ["default", to, other]) => {
                self.scope(from.write_scope())?;
                let to = kind(to)?;
                let (id, other) = (
                    self.find(from, id, None, false)?,
                    self.find(to, other, None, false)?,
                );
                self.store.link((from, id), (to, other));
                let one = |a: u64, b: u64, spec: Option<u32>| {
                    json!({"from": {"id": a.to_string()}, "to": {"id": b.to_string()},
                        "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": spec}})
                };
                let results = [
                    one(id, other, link_type(from, to)),
                    one(other, id, link_type(to, from)),
                ];
                Ok(Response::json(
                    200,
                    &json!({"status": "COMPLETE", "results": results, "startedAt": iso(now), "completedAt": iso(now)}),
                ))
            }
            ("PUT", [to, other]) => {
                self.scope(from.write_scope())?;
                let to = kind(to)?;
                let types = self.body(request)?;
                let good = |entry: &Value| {
                    link_type(from, to).is_some_and(|id| entry["associationTypeId"] == json!(id))
                };
                if !types
                    .as_array()
                    .is_some_and(|types| !types.is_empty() && types.iter().all(good))
                {
                    return Err(invalid(format!(
                        "One or more associations from {} to {} are not valid",
                        from.plural(),
                        to.plural()
                    )));
                }
                let (id, other) = (
                    self.find(from, id, None, false)?,
                    self.find(to, other, None, false)?,
                );
                self.store.link((from, id), (to, other));
                Ok(Response::json(
                    201,
                    &json!({"fromObjectTypeId": from.type_id(), "fromObjectId": id, "toObjectTypeId": to.type_id(), "toObjectId": other, "labels": []}),
                ))
            }
            ("DELETE", [to, other]) => {
                self.scope(from.write_scope())?;
                let to = kind(to)?;
                if let (Ok(id), Ok(other)) = (
                    self.find(from, id, None, false),
                    self.find(to, other, None, false),
                ) {
                    self.store.unlink((from, id), (to, other));
                }
                Ok(Response::empty(204))
            }
            _ => Err(no_route()),
        }
    }
}
