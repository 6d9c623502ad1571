//! Objects: create, read, update, archive.

use std::collections::BTreeSet;

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{
    Answer, error, invalid, malformed, no_route, not_found, only, required, wrong_method,
};
use super::schema::{Kind, link_type};
use super::store::{By, link_name};
use super::{PORTAL_ID, Portal};

impl Portal {
    /// Everything below `/crm/…/objects/{kind}`.
    pub(super) fn objects(
        &mut self,
        now: Timestamp,
        request: &Request,
        kind: Kind,
        rest: &[&str],
    ) -> Answer {
        match (request.method.as_str(), rest) {
            ("POST", []) => {
                self.scope(kind.write_scope())?;
                let body = self.body(request)?;
                let id = self.create(now, kind, &body)?;
                let object = self
                    .store
                    .objects
                    .get(&(kind, id))
                    .map(|object| object.json(PORTAL_ID, None));
                Ok(Response::json(201, &object.unwrap_or_default()))
            }
            ("GET", []) => self.list(request, kind),
            ("POST", ["search"]) => {
                self.scope(kind.read_scope())?;
                let body = self.body(request)?;
                self.search(now, kind, &body)
            }
            ("POST", ["merge"]) => {
                self.scope(kind.write_scope())?;
                let body = self.body(request)?;
                only(&body, &["primaryObjectId", "objectIdToMerge"])?;
                let one = |name: &str| {
                    let id = body[name]
                        .as_str()
                        .ok_or_else(|| malformed(format!("{name} must be a string")))?;
                    self.find(kind, id, None, false)
                };
                let (into, from) = (one("primaryObjectId")?, one("objectIdToMerge")?);
                if into == from {
                    return Err(invalid("An object cannot be merged with itself"));
                }
                let new_id = self.switches.merge_new_id;
                let left = self
                    .merged(now, kind, (from, into), new_id, By::App)
                    .ok_or_else(|| not_found("resource not found"))?;
                let object = self.store.objects.get(&(kind, left));
                let object = object.map(|object| object.json(PORTAL_ID, None));
                Ok(Response::json(200, &object.unwrap_or_default()))
            }
            ("POST", ["batch", action]) => self.batch(now, request, kind, action),
            ("GET", [id]) => self.read(request, kind, id),
            ("PATCH", [id]) => {
                self.scope(kind.write_scope())?;
                self.params(request, &["idProperty"])?;
                let body = self.body(request)?;
                only(&body, &["properties", "objectWriteTraceId"])?;
                let id = self.find(kind, id, request.param("idProperty"), false)?;
                let properties = self.checked(kind, &body["properties"], Some(id))?;
                self.change(now, kind, id, properties, By::App);
                let object = self
                    .store
                    .objects
                    .get(&(kind, id))
                    .map(|object| object.json(PORTAL_ID, None));
                Ok(Response::json(200, &object.unwrap_or_default()))
            }
            ("DELETE", [id]) => {
                self.scope(kind.write_scope())?;
                if let Ok(id) = self.find(kind, id, None, false) {
                    self.archive(now, kind, id, By::App);
                }
                Ok(Response::empty(204))
            }
            (_, [] | [_] | ["batch", _]) => Err(wrong_method()),
            _ => Err(no_route()),
        }
    }

    fn list(&mut self, request: &Request, kind: Kind) -> Answer {
        self.scope(kind.read_scope())?;
        self.params(
            request,
            &[
                "limit",
                "after",
                "properties",
                "propertiesWithHistory",
                "associations",
                "archived",
            ],
        )?;
        let limit: usize = request
            .param("limit")
            .unwrap_or("10")
            .parse()
            .map_err(|_| invalid("limit is not a number"))?;
        if !(1..=100).contains(&limit) {
            return Err(invalid("limit must be between 1 and 100"));
        }
        let after: u64 = request
            .param("after")
            .unwrap_or("0")
            .parse()
            .map_err(|_| invalid("after is not a number"))?;
        let archived = request.param("archived") == Some("true");
        let asked = names(request, "properties");
        let mut objects = self
            .store
            .of(kind)
            .filter(|object| object.archived == archived && object.id > after);
        let page: Vec<_> = objects.by_ref().take(limit).collect();
        let last = page.last().map(|object| object.id.to_string());
        let results: Vec<Value> = page
            .iter()
            .map(|object| object.json(PORTAL_ID, Some(&asked)))
            .collect();
        let mut answer = json!({"results": results});
        if objects.next().is_some() {
            answer["paging"] = json!({"next": {"after": last}});
        }
        Ok(Response::json(200, &answer))
    }

    fn read(&mut self, request: &Request, kind: Kind, id: &str) -> Answer {
        self.scope(kind.read_scope())?;
        self.params(
            request,
            &[
                "properties",
                "propertiesWithHistory",
                "associations",
                "archived",
                "idProperty",
            ],
        )?;
        let archived = request.param("archived") == Some("true");
        let id = self.find(kind, id, request.param("idProperty"), archived)?;
        let Some(object) = self.store.objects.get(&(kind, id)) else {
            return Err(not_found("resource not found"));
        };
        // Asked-for properties that are not defined are silently missing.
        let asked: BTreeSet<String> = names(request, "properties")
            .into_iter()
            .filter(|name| self.schema.get(kind, name).is_some())
            .collect();
        let mut answer = object.json(PORTAL_ID, Some(&asked));
        object.with_history(&names(request, "propertiesWithHistory"), &mut answer);
        for name in names(request, "associations") {
            let Some(to) = Kind::parse(&name) else {
                return Err(invalid(format!("{name} is not an object type")));
            };
            let linked = self.store.linked((kind, id), to);
            if !linked.is_empty() {
                let results: Vec<Value> = linked
                    .iter()
                    .map(|other| json!({"id": other.to_string(), "type": link_name(kind, to)}))
                    .collect();
                answer["associations"][to.plural()] = json!({"results": results});
            }
        }
        Ok(Response::json(200, &answer))
    }

    /// A record by id or by the value of a unique property.
    pub(super) fn find(
        &self,
        kind: Kind,
        id: &str,
        by: Option<&str>,
        archived: bool,
    ) -> Result<u64, Response> {
        let missing = || not_found("Object not found. objectId are usually numeric.");
        if let Some(name) = by.filter(|name| *name != "hs_object_id") {
            let unique = name == "email" && kind == Kind::Contact
                || self.schema.get(kind, name).is_some_and(|p| p.unique);
            if !unique {
                return Err(invalid(format!(
                    "Property '{name}' is not a unique property of {}",
                    kind.plural()
                )));
            }
            let held = match name {
                "email" => self.store.by_email(id, archived),
                name => self.store.holder(kind, name, id, archived),
            };
            return held.map(|object| object.id).ok_or_else(missing);
        }
        let mut id: u64 = id.parse().map_err(|_| missing())?;
        while let Some(into) = self
            .store
            .objects
            .get(&(kind, id))
            .and_then(|object| object.merged_into)
        {
            if !self.switches.merged_ids {
                return Err(missing());
            }
            id = into;
        }
        self.store
            .get(kind, id, archived)
            .map(|object| object.id)
            .ok_or_else(missing)
    }

    /// Creates from a checked body, associations and all.
    pub(super) fn create(
        &mut self,
        now: Timestamp,
        kind: Kind,
        body: &Value,
    ) -> Result<u64, Response> {
        only(body, &["properties", "associations", "objectWriteTraceId"])?;
        let properties = self.checked(kind, &body["properties"], None)?;
        let rule = self.switches.required_property.clone();
        let mut missing: Vec<&str> = kind
            .required()
            .iter()
            .copied()
            .filter(|name| !properties.contains_key(*name))
            .collect();
        if let Some(rule) = rule
            .as_deref()
            .filter(|rule| kind == Kind::Ticket && !properties.contains_key(*rule))
        {
            missing.push(rule);
        }
        if kind == Kind::Contact && properties.is_empty() {
            missing.push("email");
        }
        if !missing.is_empty() {
            return Err(required(&kind.singular().to_uppercase(), &missing));
        }
        let mut links = Vec::new();
        for link in body["associations"].as_array().into_iter().flatten() {
            only(link, &["to", "types"])?;
            only(&link["to"], &["id"])?;
            let types = link["types"].as_array().filter(|types| !types.is_empty());
            for kind_of in types.ok_or_else(|| malformed("associations need types"))? {
                only(kind_of, &["associationCategory", "associationTypeId"])?;
                let to = Kind::ALL
                    .into_iter()
                    .find(|to| {
                        link_type(kind, *to)
                            .is_some_and(|id| kind_of["associationTypeId"] == json!(id))
                    })
                    .filter(|_| kind_of["associationCategory"] == json!("HUBSPOT_DEFINED"))
                    .ok_or_else(|| {
                        invalid(format!(
                            "No association type {} from {}",
                            kind_of["associationTypeId"],
                            kind.plural()
                        ))
                    })?;
                let id = link["to"]["id"]
                    .as_str()
                    .ok_or_else(|| malformed("to.id must be a string"))?;
                let id = self
                    .find(to, id, None, false)
                    .map_err(|_| self.missing_association(to, id))?;
                links.push((to, id));
            }
        }
        let id = self.store.create(now, kind, properties, By::App);
        for to in links {
            self.store.link((kind, id), to);
        }
        self.created(now, kind, id, By::App);
        Ok(id)
    }

    fn missing_association(&self, to: Kind, id: &str) -> Response {
        let message = format!(
            "Could not get some {} objects, they may be deleted or not exist. Check that ids are valid: [{id}]",
            to.singular().to_uppercase()
        );
        let category = "OBJECT_NOT_FOUND";
        error(
            if self.switches.missing_association_400 {
                400
            } else {
                404
            },
            category,
            &message,
        )
    }
}

fn names(request: &Request, name: &str) -> BTreeSet<String> {
    let given = request.query.iter().filter(|(given, _)| given == name);
    given
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}
