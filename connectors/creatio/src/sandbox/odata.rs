//! OData over HTTP: entity sets, single rows, and `$batch`.

use handoffd_contract::sandbox::{Request, Response, parse_query};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Site;
use super::fault::Fault;
use super::query::{Query, whole};
use crate::wire;

/// Parts of one batch.
const PARTS: usize = 100;

/// What a path names.
enum Target {
    Service,
    Metadata,
    Batch,
    Set(String),
    Count(String),
    One(String, String),
    Stream(String, String),
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
                let id = id(key)?;
                match rest {
                    "" => Ok(Target::One(set, id)),
                    "Data" => Ok(Target::Stream(set, id)),
                    _ => Err(Fault::routing(&request.path, &set)),
                }
            }
            (Some(key), "") => Ok(Target::One(set, id(key)?)),
            (Some(key), "Data") => Ok(Target::Stream(set, id(key)?)),
            (Some(_), _) => Err(Fault::routing(&request.path, &set)),
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
                let mut response =
                    Response::empty(200).with("content-type", "application/octet-stream");
                response.body = self.files.bytes(&id).ok_or_else(Fault::missing)?.to_vec();
                Ok(response)
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

    fn run_batch(
        &mut self,
        now: Timestamp,
        request: &Request,
        base: &str,
    ) -> Result<Response, Fault> {
        if !self.batch {
            return Err(Fault {
                status: 403,
                body: Value::Null,
            });
        }
        if !request
            .header("content-type")
            .is_some_and(|mime| mime.starts_with("application/json"))
        {
            return Err(Fault::odata(
                415,
                "This simulator takes $batch as JSON only.",
            ));
        }
        let body = request
            .json()
            .ok_or_else(|| Fault::odata(400, "The batch request is not valid JSON."))?;
        let parts = body
            .get("requests")
            .and_then(Value::as_array)
            .ok_or_else(|| Fault::odata(400, "The batch request has no 'requests'."))?;
        if parts.len() > PARTS {
            return Err(Fault::odata(
                400,
                format!(
                    "The current change set contains too many operations. The maximum number of operations allowed is {PARTS}."
                ),
            ));
        }
        let goes_on = request
            .header("prefer")
            .is_some_and(|prefer| prefer.contains("continue-on-error"));
        let mut seen = Vec::new();
        for part in parts {
            let id = part
                .get("id")
                .and_then(Value::as_str)
                .filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| Fault::odata(400, "A request of the batch has no 'id'."))?;
            if seen.contains(&id) {
                return Err(Fault::odata(
                    400,
                    format!("The request id '{id}' is not unique."),
                ));
            }
            if part.get("atomicityGroup").is_some() {
                return Err(Fault::odata(501, "This simulator has no atomicity groups."));
            }
            seen.push(id);
        }
        let mut responses = Vec::new();
        for part in parts {
            let inner = inner_request(part, request, base)?;
            let path = inner.path.clone();
            let response = self.odata(now, &inner, &path);
            let failed = response.status >= 400;
            responses.push(part_response(part, &response));
            if failed && !goes_on {
                break;
            }
        }
        Ok(data(200, &json!({ "responses": responses })))
    }
}

/// One part as a request of its own. Its address is relative to the service, or absolute.
fn inner_request(part: &Value, outer: &Request, base: &str) -> Result<Request, Fault> {
    let text = |key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default();
    let url = text("url");
    let method = text("method").to_ascii_uppercase();
    if url.is_empty() || method.is_empty() || url.contains("$batch") {
        return Err(Fault::odata(
            400,
            "A request of the batch has no valid 'method' or 'url'.",
        ));
    }
    let service = base
        .splitn(4, '/')
        .nth(3)
        .map(|path| format!("/{path}"))
        .unwrap_or_default();
    let url = url
        .strip_prefix(base)
        .or_else(|| url.strip_prefix(&service))
        .unwrap_or(url);
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut headers: Vec<(String, String)> = outer
        .headers
        .iter()
        .filter(|(name, _)| name == "host")
        .cloned()
        .collect();
    for (name, value) in part
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        headers.push((
            name.to_ascii_lowercase(),
            value.as_str().unwrap_or_default().to_owned(),
        ));
    }
    let body = part
        .get("body")
        .map(|body| body.to_string().into_bytes())
        .unwrap_or_default();
    let path =
        handoffd_contract::sandbox::decode(&format!("/{}", path.trim_start_matches('/')), false);
    Ok(Request {
        method,
        path,
        query: parse_query(query),
        headers,
        body,
    })
}

fn part_response(part: &Value, response: &Response) -> Value {
    let headers: Map<String, Value> = response
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect();
    let mut answer = json!({ "id": part["id"], "status": response.status, "headers": headers });
    if let Ok(body) = serde_json::from_slice::<Value>(&response.body) {
        answer["body"] = body;
    }
    answer
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

fn data(status: u16, body: &Value) -> Response {
    let mut response = Response::json(status, body);
    response.headers = vec![(
        "content-type".into(),
        "application/json; odata.metadata=minimal".into(),
    )];
    response
}
