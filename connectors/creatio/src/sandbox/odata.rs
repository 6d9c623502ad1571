//! OData over HTTP: entity sets, single rows, single properties.

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Site;
use super::fault::Fault;
use super::query::{Query, whole};
use super::schema::Kind;
use crate::wire;

/// What a path names.
enum Target {
    Service,
    Metadata,
    Batch,
    Set(String),
    Count(String),
    One(String, String),
    Stream(String, String),
    /// One property of a row, as JSON or by itself.
    Property(String, String, String, bool),
}

/// Where the site was called, as the caller wrote it.
pub(super) fn origin(request: &Request) -> String {
    let host = request.header("host").unwrap_or("creatio.example");
    let local =
        host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
    format!("{}://{host}", if local { "http" } else { "https" })
}

impl Site {
    /// A request below `…/odata`.
    pub(super) fn odata(&mut self, now: Timestamp, request: &Request, path: &str) -> Response {
        if !self.odata_right {
            return Fault::forbidden("Current user does not have permissions for the \"CanUseODataService\" system operation").response();
        }
        let base = format!("{}{}/odata", origin(request), self.prefix());
        let response = match self.target(path, request) {
            Ok(target) => self.serve(now, request, &base, target),
            Err(fault) => Err(fault),
        };
        match response {
            Ok(response) => response.with("odata-version", "4.0"),
            Err(fault) => fault.response(),
        }
    }

    fn target(&self, path: &str, request: &Request) -> Result<Target, Fault> {
        let path = path.trim_matches('/');
        match path {
            "" => return Ok(Target::Service),
            "$metadata" => return Ok(Target::Metadata),
            "$batch" => return Ok(Target::Batch),
            _ => {}
        }
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let (set, key) = match first.split_once('(') {
            Some((set, key)) => (
                set,
                Some(
                    key.strip_suffix(')')
                        .ok_or_else(|| Fault::odata(400, "Bad Request - Error in query syntax."))?,
                ),
            ),
            None => (first, None),
        };
        if !self.store.schema.0.contains_key(set) {
            return Err(Fault::routing(&request.path, set));
        }
        let set = set.to_owned();
        let id = |text: &str| {
            wire::guid(text)
                .filter(|_| !text.contains(['{', '\'']))
                .ok_or_else(|| {
                    Fault::odata(400, "The key value is not valid: expected 'Edm.Guid'.")
                })
        };
        match (key, rest) {
            (None, "") => Ok(Target::Set(set)),
            (None, "$count") => Ok(Target::Count(set)),
            // `Contact/<id>` is the other spelling of `Contact(<id>)`.
            (None, rest) => {
                let (key, rest) = rest.split_once('/').unwrap_or((rest, ""));
                self.part_of(set, id(key)?, rest, request)
            }
            (Some(key), rest) => self.part_of(set, id(key)?, rest, request),
        }
    }

    /// What of a row a path names.
    fn part_of(
        &self,
        set: String,
        id: String,
        rest: &str,
        request: &Request,
    ) -> Result<Target, Fault> {
        let (name, is_raw) = match rest.strip_suffix("/$value") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let kind = self
            .store
            .schema
            .column(&set, name)
            .map(|column| &column.kind);
        match (name, kind) {
            ("", _) if !is_raw => Ok(Target::One(set, id)),
            (_, Some(Kind::Stream)) => Ok(Target::Stream(set, id)),
            (_, Some(_)) => Ok(Target::Property(set, id, name.to_owned(), is_raw)),
            _ => Err(Fault::routing(&request.path, &set)),
        }
    }

    fn serve(
        &mut self,
        now: Timestamp,
        request: &Request,
        base: &str,
        target: Target,
    ) -> Result<Response, Fault> {
        let context = format!("{base}/$metadata");
        match (request.method.as_str(), target) {
            ("GET", Target::Service) => {
                let sets: Vec<Value> = self
                    .store
                    .schema
                    .0
                    .keys()
                    .map(|name| json!({ "name": name, "kind": "EntitySet", "url": name }))
                    .collect();
                Ok(Response::json(
                    200,
                    &json!({ "@odata.context": context, "value": sets }),
                ))
            }
            ("GET", Target::Metadata) => {
                let mut response = Response::text(200, self.store.schema.metadata());
                response.headers = vec![("content-type".into(), "application/xml".into())];
                Ok(response)
            }
            ("POST", Target::Batch) => self.run_batch(now, request, base),
            ("GET", Target::Set(set)) => {
                self.allowed(&set, "read")?;
                let query = self.query(&set, request)?;
                Ok(data(200, &query.list(&self.store, &set, &context)?))
            }
            ("GET", Target::Count(set)) => {
                self.allowed(&set, "read")?;
                let total = self.query(&set, request)?.total(&self.store, &set);
                Ok(Response::text(200, total.to_string()))
            }
            ("GET", Target::One(set, id)) => {
                self.allowed(&set, "read")?;
                let query = self.query(&set, request)?;
                let row = self.store.get(&set, &id).ok_or_else(Fault::missing)?;
                Ok(data(200, &query.one(&self.store, &set, row, &context)))
            }
            ("POST", Target::Set(set)) => self.create(now, request, &set, base),
            ("PATCH", Target::One(set, id)) => {
                self.allowed(&set, "update")?;
                let body = json_body(request)?;
                let before = self
                    .store
                    .get(&set, &id)
                    .cloned()
                    .ok_or_else(Fault::missing)?;
                self.store.update(now, &Site::user(), &set, &id, &body)?;
                self.signal(now, &set, &id, Some(&before));
                Ok(Response::empty(204))
            }
            ("DELETE", Target::One(set, id)) => {
                self.allowed(&set, "delete")?;
                self.store.delete(&set, &id)?;
                self.files.forget(&id);
                Ok(Response::empty(204))
            }
            ("GET", Target::Stream(set, id)) => {
                self.allowed(&set, "read")?;
                self.store.get(&set, &id).ok_or_else(Fault::missing)?;
                self.download(&set, &id).ok_or_else(Fault::missing)
            }
            ("DELETE", Target::Stream(set, id)) => {
                self.allowed(&set, "update")?;
                self.store.get(&set, &id).ok_or_else(Fault::missing)?;
                self.files.forget(&id);
                let size = Map::from_iter([("Size".to_owned(), json!(0))]);
                self.store.update(now, &Site::user(), &set, &id, &size)?;
                Ok(Response::empty(204))
            }
            ("GET", Target::Property(set, id, name, is_raw)) => {
                self.allowed(&set, "read")?;
                let row = self.store.get(&set, &id).ok_or_else(Fault::missing)?;
                let whole = whole(&self.store, &set, row, &context);
                Ok(property(
                    &whole,
                    &format!("{context}#{set}({id})/{name}"),
                    &name,
                    is_raw,
                ))
            }
            ("PUT", Target::Stream(set, id)) => {
                self.allowed(&set, "update")?;
                self.put_data(now, &set, &id, &request.body)?;
                Ok(Response::empty(200))
            }
            _ => Err(Fault {
                status: 405,
                body: json!({ "Message": format!("The requested resource does not support http method '{}'.", request.method) }),
            }),
        }
    }

    fn query(&self, set: &str, request: &Request) -> Result<Query, Fault> {
        let parameters: Vec<(String, String)> = request.query.clone();
        if !self.deep_queries {
            let value = |name: &str| {
                parameters
                    .iter()
                    .find(|(n, _)| n == name)
                    .map(|(_, v)| v.as_str())
                    .unwrap_or_default()
            };
            let two_steps = value("$filter")
                .split(' ')
                .any(|word| word.matches('/').count() > 1);
            if two_steps || value("$expand").contains('(') {
                return Err(Fault::odata(500, "Column by path not found in schema."));
            }
        }
        Query::parse(&self.store, set, &parameters)
    }

    fn allowed(&self, set: &str, operation: &str) -> Result<(), Fault> {
        if self
            .denied
            .iter()
            .any(|(entity, denied)| entity == set && denied == operation)
        {
            return Err(Fault::forbidden(&format!(
                "Insufficient permissions to {operation} the \"{set}\" object"
            )));
        }
        Ok(())
    }

    fn create(
        &mut self,
        now: Timestamp,
        request: &Request,
        set: &str,
        base: &str,
    ) -> Result<Response, Fault> {
        self.allowed(set, "create")?;
        let body = json_body(request)?;
        let id = self.store.insert(now, &Site::user(), set, &body)?;
        self.signal(now, set, &id, None);
        if self.fail_after_insert > 0 {
            self.fail_after_insert -= 1;
            return Err(Fault::odata(
                500,
                "Object reference not set to an instance of an object.",
            ));
        }
        let row = self.store.get(set, &id).ok_or_else(Fault::missing)?;
        let body = whole(&self.store, set, row, &format!("{base}/$metadata"));
        Ok(data(201, &body).with("location", format!("{base}/{set}({id})")))
    }
}

/// One property; a raw one that is empty has no content.
fn property(row: &Value, context: &str, name: &str, is_raw: bool) -> Response {
    let value = &row[name];
    if !is_raw {
        return data(200, &json!({ "@odata.context": context, "value": value }));
    }
    match value {
        Value::Null => Response::empty(204),
        Value::String(text) => Response::text(200, text.clone()),
        other => Response::text(200, other.to_string()),
    }
}

fn json_body(request: &Request) -> Result<Map<String, Value>, Fault> {
    if !request
        .header("content-type")
        .is_some_and(|mime| mime.starts_with("application/json"))
    {
        return Err(Fault {
            status: 415,
            body: json!({ "Message": "The request entity's media type is not supported for this resource." }),
        });
    }
    match request.json() {
        Some(Value::Object(body)) => Ok(body),
        _ => Err(Fault::model(
            "odata",
            "The request body is not a JSON object.",
        )),
    }
}

pub(super) fn data(status: u16, body: &Value) -> Response {
    let mut response = Response::json(status, body);
    response.headers = vec![(
        "content-type".into(),
        "application/json; odata.metadata=minimal".into(),
    )];
    response
}
