//! Objects: create, read, update, archive, in one and in batches; and associations.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Refused, error, invalid, malformed, no_route, not_found, only, refused, required, wrong_method};
use super::schema::{Kind, OWNERS, PIPELINES, link_type};
use super::store::{By, iso, link_name, link_types, time};
use super::{PORTAL_ID, Portal};

/// The longest text of a property, in characters.
/// <https://knowledge.hubspot.com/contacts/property-field-types-in-hubspot>
const MAX_TEXT: usize = 65_536;

/// Inputs of one batch call.
const MAX_BATCH: usize = 100;

type Properties = BTreeMap<String, String>;

impl Portal {
    /// Everything below `/crm/…/objects/{kind}`.
    pub(super) fn objects(&mut self, now: Timestamp, request: &Request, kind: Kind, rest: &[&str]) -> Answer {
        match (request.method.as_str(), rest) {
            ("POST", []) => {
                self.scope(kind.write_scope())?;
                let body = self.body(request)?;
                let id = self.create(now, kind, &body)?;
                let object = self.store.objects.get(&(kind, id)).map(|object| object.json(PORTAL_ID, None));
                Ok(Response::json(201, &object.unwrap_or_default()))
            }
            ("GET", []) => self.list(request, kind),
            ("POST", ["search"]) => {
                self.scope(kind.read_scope())?;
                let body = self.body(request)?;
                self.search(now, kind, &body)
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
                let object = self.store.objects.get(&(kind, id)).map(|object| object.json(PORTAL_ID, None));
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
        self.params(request, &["limit", "after", "properties", "propertiesWithHistory", "associations", "archived"])?;
        let limit: usize = request.param("limit").unwrap_or("10").parse().map_err(|_| invalid("limit is not a number"))?;
        if !(1..=100).contains(&limit) {
            return Err(invalid("limit must be between 1 and 100"));
        }
        let after: u64 = request.param("after").unwrap_or("0").parse().map_err(|_| invalid("after is not a number"))?;
        let archived = request.param("archived") == Some("true");
        let asked = names(request, "properties");
        let mut objects = self.store.of(kind).filter(|object| object.archived == archived && object.id > after);
        let page: Vec<_> = objects.by_ref().take(limit).collect();
        let last = page.last().map(|object| object.id.to_string());
        let results: Vec<Value> = page.iter().map(|object| object.json(PORTAL_ID, Some(&asked))).collect();
        let mut answer = json!({"results": results});
        if objects.next().is_some() {
            answer["paging"] = json!({"next": {"after": last}});
        }
        Ok(Response::json(200, &answer))
    }

    fn read(&mut self, request: &Request, kind: Kind, id: &str) -> Answer {
        self.scope(kind.read_scope())?;
        self.params(request, &["properties", "propertiesWithHistory", "associations", "archived", "idProperty"])?;
        let archived = request.param("archived") == Some("true");
        let id = self.find(kind, id, request.param("idProperty"), archived)?;
        let Some(object) = self.store.objects.get(&(kind, id)) else { return Err(not_found("resource not found")) };
        // Asked-for properties that are not defined are silently missing.
        let asked: BTreeSet<String> =
            names(request, "properties").into_iter().filter(|name| self.schema.get(kind, name).is_some()).collect();
        let mut answer = object.json(PORTAL_ID, Some(&asked));
        let history = names(request, "propertiesWithHistory");
        if !history.is_empty() {
            for name in &history {
                let entries: Vec<Value> = object
                    .history
                    .get(name)
                    .into_iter()
                    .flatten()
                    .map(|(value, at, by)| json!({"value": value, "timestamp": iso(*at), "sourceType": by.source()}))
                    .collect();
                answer["propertiesWithHistory"][name] = json!(entries);
                answer["properties"][name] = json!(object.get(name));
            }
        }
        for name in names(request, "associations") {
            let Some(to) = Kind::parse(&name) else { return Err(invalid(format!("{name} is not an object type"))) };
            let linked = self.store.linked((kind, id), to);
            if !linked.is_empty() {
                let results: Vec<Value> =
                    linked.iter().map(|other| json!({"id": other.to_string(), "type": link_name(kind, to)})).collect();
                answer["associations"][to.plural()] = json!({"results": results});
            }
        }
        Ok(Response::json(200, &answer))
    }

    /// A record by id or by the value of a unique property.
    pub(super) fn find(&self, kind: Kind, id: &str, by: Option<&str>, archived: bool) -> Result<u64, Response> {
        let missing = || not_found("Object not found. objectId are usually numeric.");
        if let Some(name) = by.filter(|name| *name != "hs_object_id") {
            let unique = name == "email" && kind == Kind::Contact || self.schema.get(kind, name).is_some_and(|p| p.unique);
            if !unique {
                return Err(invalid(format!("Property '{name}' is not a unique property of {}", kind.plural())));
            }
            return self.store.holder(kind, name, id, archived).map(|object| object.id).ok_or_else(missing);
        }
        let mut id: u64 = id.parse().map_err(|_| missing())?;
        while let Some(into) = self.store.objects.get(&(kind, id)).and_then(|object| object.merged_into) {
            if !self.switches.merged_ids {
                return Err(missing());
            }
            id = into;
        }
        self.store.get(kind, id, archived).map(|object| object.id).ok_or_else(missing)
    }

    /// Creates from a checked body, associations and all.
    fn create(&mut self, now: Timestamp, kind: Kind, body: &Value) -> Result<u64, Response> {
        only(body, &["properties", "associations", "objectWriteTraceId"])?;
        let properties = self.checked(kind, &body["properties"], None)?;
        let rule = self.switches.required_property.clone();
        let mut missing: Vec<&str> = kind.required().iter().copied().filter(|name| !properties.contains_key(*name)).collect();
        if let Some(rule) = rule.as_deref().filter(|rule| kind == Kind::Ticket && !properties.contains_key(*rule)) {
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
                    .find(|to| link_type(kind, *to).is_some_and(|id| kind_of["associationTypeId"] == json!(id)))
                    .filter(|_| kind_of["associationCategory"] == json!("HUBSPOT_DEFINED"))
                    .ok_or_else(|| invalid(format!("No association type {} from {}", kind_of["associationTypeId"], kind.plural())))?;
                let id = link["to"]["id"].as_str().ok_or_else(|| malformed("to.id must be a string"))?;
                let id = self.find(to, id, None, false).map_err(|_| self.missing_association(to, id))?;
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
        let message = format!("Could not get some {} objects, they may be deleted or not exist. Check that ids are valid: [{id}]", to.singular().to_uppercase());
        let category = "OBJECT_NOT_FOUND";
        error(if self.switches.missing_association_400 { 400 } else { 404 }, category, &message)
    }

    /// Properties as strings, each of them as its definition wants it.
    pub(super) fn checked(&self, kind: Kind, given: &Value, id: Option<u64>) -> Result<Properties, Response> {
        let Some(given) = given.as_object() else { return Err(malformed("properties must be an object")) };
        let mut properties = Properties::new();
        let mut problems = Vec::new();
        for (name, value) in given {
            let value = match value {
                Value::String(text) => text.as_str(),
                Value::Null => "",
                _ => return Err(malformed(format!("Cannot deserialize value of type `java.lang.String` for {name}"))),
            };
            match self.problem(kind, name, value, id) {
                Some(problem) => problems.push(problem),
                None => {
                    properties.insert(name.clone(), stripped(name, value));
                }
            }
        }
        if kind == Kind::Ticket {
            problems.extend(self.stage_problem(&properties, id));
        }
        if let Some(holder) = properties.get("email").and_then(|email| self.store.holder(kind, "email", email, false))
            && kind == Kind::Contact
            && Some(holder.id) != id
        {
            return Err(error(409, "CONFLICT", &format!("Contact already exists. Existing ID: {}", holder.id)));
        }
        if self.switches.conflict_409 && problems.iter().any(|problem| problem.code == "CONFLICTING_UNIQUE_VALUE") {
            return Err(error(409, "CONFLICT", "An object with this unique value already exists"));
        }
        if problems.is_empty() { Ok(properties) } else { Err(refused(&problems)) }
    }

    fn problem(&self, kind: Kind, name: &str, value: &str, id: Option<u64>) -> Option<Refused> {
        let refuse = |code, message: String| Some(Refused::new(name, code, message));
        let Some(property) = self.schema.get(kind, name) else {
            return refuse("PROPERTY_DOESNT_EXIST", format!("Property \"{name}\" does not exist"));
        };
        if property.read_only {
            return refuse("READ_ONLY_VALUE", format!("\"{name}\" is a read only property; its value cannot be set."));
        }
        if value.is_empty() {
            return None;
        }
        if value.chars().count() > MAX_TEXT {
            return refuse("INVALID_LENGTH", format!("\"{name}\" is longer than {MAX_TEXT} characters"));
        }
        let choices = || value.split(';').all(|choice| property.options.iter().any(|option| option == choice));
        match property.kind.as_str() {
            "enumeration" if !choices() => {
                return refuse("INVALID_OPTION", format!("{value} was not one of the allowed options"));
            }
            "datetime" | "date" if time(value).is_none() => {
                return refuse("INVALID_DATE", format!("{value} was not a valid long or date"));
            }
            "number" if value.parse::<f64>().is_err() => {
                return refuse("INVALID_NUMBER", format!("{value} was not a valid number."));
            }
            "owner" if !OWNERS.iter().any(|owner| owner.0 == value) => {
                return refuse("INVALID_OWNER_ID", format!("Owner {value} does not exist"));
            }
            "phone_number" if self.switches.phone_validation && !(value.starts_with('+') && value.len() >= 9) => {
                return refuse("INVALID_PHONE_NUMBER", "The phone number is not valid".to_owned());
            }
            _ => {}
        }
        if name == "email" && !value.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.')) {
            return refuse("INVALID_EMAIL", format!("Email address {value} is invalid"));
        }
        if property.unique {
            let archived = self.store.holder(kind, name, value, true).filter(|object| {
                self.switches.archived_keeps_unique && object.merged_into.is_none()
            });
            if let Some(holder) = self.store.holder(kind, name, value, false).or(archived).filter(|holder| Some(holder.id) != id) {
                return refuse(
                    "CONFLICTING_UNIQUE_VALUE",
                    format!("Cannot set PropertyValueCoordinates{{propertyName={name}}}. {} already has that value.", holder.id),
                );
            }
        }
        None
    }

    /// A stage of another pipeline is refused.
    fn stage_problem(&self, properties: &Properties, id: Option<u64>) -> Option<Refused> {
        let held = id.and_then(|id| self.store.objects.get(&(Kind::Ticket, id)));
        let of = |name: &str| properties.get(name).cloned().or_else(|| held?.get(name).map(str::to_owned));
        let pipeline = of("hs_pipeline").unwrap_or_else(|| "0".to_owned());
        let Some(found) = PIPELINES.iter().find(|known| known.id == pipeline) else {
            return Some(Refused::new("hs_pipeline", "INVALID_OPTION", format!("{pipeline} was not one of the allowed pipelines")));
        };
        let stage = of("hs_pipeline_stage")?;
        (!found.stages.iter().any(|known| known.0 == stage)).then(|| {
            Refused::new("hs_pipeline_stage", "INVALID_OPTION", format!("{stage} is not a valid stage of pipeline {pipeline}"))
        })
    }

    fn batch(&mut self, now: Timestamp, request: &Request, kind: Kind, action: &str) -> Answer {
        let scope = if action == "read" { kind.read_scope() } else { kind.write_scope() };
        self.scope(scope)?;
        self.params(request, &["archived"])?;
        let body = self.body(request)?;
        only(&body, &["inputs", "properties", "propertiesWithHistory", "idProperty"])?;
        let inputs = body["inputs"].as_array().cloned().ok_or_else(|| malformed("inputs are required"))?;
        if inputs.len() > MAX_BATCH {
            return Err(invalid(format!("The maximum number of inputs supported in a batch request is {MAX_BATCH}, received {}", inputs.len())));
        }
        let asked: BTreeSet<String> =
            body["properties"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for input in &inputs {
            let done = match action {
                "read" => only(input, &["id"]).and_then(|()| {
                    let id = input["id"].as_str().ok_or_else(|| malformed("id must be a string"))?;
                    self.find(kind, id, body["idProperty"].as_str(), false).map(|id| (id, false))
                }),
                "create" => self.create(now, kind, input).map(|id| (id, true)),
                "update" => self.batch_update(now, kind, input),
                "upsert" => self.batch_upsert(now, kind, input),
                "archive" => only(input, &["id"]).and_then(|()| {
                    let id = self.find(kind, input["id"].as_str().unwrap_or_default(), None, false)?;
                    self.archive(now, kind, id, By::App);
                    Ok((id, false))
                }),
                _ => return Err(no_route()),
            };
            match done {
                Ok((id, new)) => {
                    let asked = Some(&asked).filter(|_| action == "read");
                    let mut object = self.store.objects.get(&(kind, id)).map(|o| o.json(PORTAL_ID, asked)).unwrap_or_default();
                    if action == "upsert" {
                        object["new"] = json!(new);
                    }
                    results.push(object);
                }
                // A batch of one, and what concerns the batch as a whole, fails as a single call does.
                Err(failed) if inputs.len() == 1 && action != "read" || failed.status == 403 => return Err(failed),
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

    fn batch_update(&mut self, now: Timestamp, kind: Kind, input: &Value) -> Result<(u64, bool), Response> {
        only(input, &["id", "idProperty", "properties", "objectWriteTraceId"])?;
        let id = input["id"].as_str().ok_or_else(|| malformed("id must be a string"))?;
        let id = self.find(kind, id, input["idProperty"].as_str(), false)?;
        let properties = self.checked(kind, &input["properties"], Some(id))?;
        self.change(now, kind, id, properties, By::App);
        Ok((id, false))
    }

    /// Overwrites or creates, by a unique property.
    fn batch_upsert(&mut self, now: Timestamp, kind: Kind, input: &Value) -> Result<(u64, bool), Response> {
        only(input, &["id", "idProperty", "properties", "objectWriteTraceId"])?;
        let value = input["id"].as_str().ok_or_else(|| malformed("id must be a string"))?;
        let name = input["idProperty"].as_str().ok_or_else(|| invalid("Unable to perform update/upsert by non-unique property"))?;
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

    /// `…/{from}/{id}/associations/…`
    pub(super) fn associations(&mut self, now: Timestamp, request: &Request, from: Kind, id: &str, rest: &[&str]) -> Answer {
        let kind = |name: &str| Kind::parse(name).ok_or_else(no_route);
        match (request.method.as_str(), rest) {
            ("GET", [to]) => {
                self.scope(from.read_scope())?;
                self.params(request, &["limit", "after"])?;
                let to = kind(to)?;
                let id = self.find(from, id, None, false)?;
                let limit: usize = request.param("limit").unwrap_or("500").parse().map_err(|_| invalid("limit is not a number"))?;
                if !(1..=500).contains(&limit) {
                    return Err(invalid("limit must be between 1 and 500"));
                }
                let after: u64 = request.param("after").unwrap_or("0").parse().map_err(|_| invalid("after is not valid"))?;
                let all = self.store.linked((from, id), to);
                let page: Vec<u64> = all.iter().copied().filter(|other| *other > after).take(limit).collect();
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
                let (id, other) = (self.find(from, id, None, false)?, self.find(to, other, None, false)?);
                self.store.link((from, id), (to, other));
                let one = |a: u64, b: u64, spec: Option<u32>| {
                    json!({"from": {"id": a.to_string()}, "to": {"id": b.to_string()},
                        "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": spec}})
                };
                let results = [one(id, other, link_type(from, to)), one(other, id, link_type(to, from))];
                Ok(Response::json(200, &json!({"status": "COMPLETE", "results": results, "startedAt": iso(now), "completedAt": iso(now)})))
            }
            ("PUT", [to, other]) => {
                self.scope(from.write_scope())?;
                let to = kind(to)?;
                let types = self.body(request)?;
                let good = |entry: &Value| link_type(from, to).is_some_and(|id| entry["associationTypeId"] == json!(id));
                if !types.as_array().is_some_and(|types| !types.is_empty() && types.iter().all(good)) {
                    return Err(invalid(format!("One or more associations from {} to {} are not valid", from.plural(), to.plural())));
                }
                let (id, other) = (self.find(from, id, None, false)?, self.find(to, other, None, false)?);
                self.store.link((from, id), (to, other));
                Ok(Response::json(201, &json!({"fromObjectTypeId": from.type_id(), "fromObjectId": id, "toObjectTypeId": to.type_id(), "toObjectId": other, "labels": []})))
            }
            ("DELETE", [to, other]) => {
                self.scope(from.write_scope())?;
                let to = kind(to)?;
                if let (Ok(id), Ok(other)) = (self.find(from, id, None, false), self.find(to, other, None, false)) {
                    self.store.unlink((from, id), (to, other));
                }
                Ok(Response::empty(204))
            }
            _ => Err(no_route()),
        }
    }
}

fn names(request: &Request, name: &str) -> BTreeSet<String> {
    let given = request.query.iter().filter(|(given, _)| given == name);
    given.flat_map(|(_, value)| value.split(',')).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
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
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        let close = if tag.starts_with('/') { "/" } else { "" };
        let kept = ["p", "br", "b", "strong", "i", "em", "u", "ul", "ol", "li", "div", "span", "blockquote"];
        if name == "a" {
            let link = tag.split_once("href=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(link, _)| link);
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
