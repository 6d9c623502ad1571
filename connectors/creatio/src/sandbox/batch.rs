//! `$batch`: several requests in one, as JSON or as multipart, and groups of which all or nothing counts.
//! <https://academy.creatio.com/docs/8.x/dev/development-on-creatio-platform/integrations-and-api/data-services/odata/examples/batch-request-examples>
//!
//! What a group of which one request fails answers is not documented there and follows the standard:
//! every other request of it is a failed dependency, and as multipart one answer stands for all.
//! <https://docs.oasis-open.org/odata/odata-json-format/v4.01/odata-json-format-v4.01.html>

use handoffd_contract::ids;
use handoffd_contract::sandbox::{Request, Response, decode, parse_query};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Site;
use super::fault::Fault;
use super::odata::data;

/// Parts of one batch.
const PARTS: usize = 100;

/// One request of a batch.
struct Part {
    id: String,
    /// The group of which all or nothing counts.
    group: Option<String>,
    request: Request,
}

/// What became of a run of parts: of one part, or of a group.
struct Outcome<'a> {
    parts: &'a [Part],
    answers: Vec<Response>,
}

impl Outcome<'_> {
    fn has_failed(&self) -> bool {
        self.answers.iter().any(|answer| answer.status >= 400)
    }
}

impl Site {
    pub(super) fn run_batch(
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
        let mime = request.header("content-type").unwrap_or_default();
        let is_json = mime.starts_with("application/json");
        let parts = if is_json {
            json_parts(request, base)?
        } else if mime.starts_with("multipart/mixed") {
            multipart_parts(request, mime, base)?
        } else {
            return Err(Fault::odata(
                415,
                "A batch request is application/json or multipart/mixed.",
            ));
        };
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
        let mut outcomes = Vec::new();
        let mut rest = parts.as_slice();
        while let Some(first) = rest.first() {
            let together = match &first.group {
                None => 1,
                group => rest.iter().take_while(|part| part.group == *group).count(),
            };
            let (run, left) = rest.split_at(together);
            rest = left;
            let outcome = self.run_parts(now, run);
            let failed = outcome.has_failed();
            outcomes.push(outcome);
            if failed && !goes_on {
                break;
            }
        }
        let wants_json = request
            .header("accept")
            .is_some_and(|accept| accept.contains("application/json"));
        Ok(if is_json || wants_json {
            as_json(&outcomes)
        } else {
            as_multipart(&outcomes)
        })
    }

    fn run_parts<'a>(&mut self, now: Timestamp, parts: &'a [Part]) -> Outcome<'a> {
        let is_group = parts.iter().any(|part| part.group.is_some());
        let before = is_group.then(|| {
            (
                self.store.clone(),
                self.files.clone(),
                self.processes.clone(),
            )
        });
        let mut answers = Vec::new();
        for part in parts {
            let path = part.request.path.clone();
            let answer = self.odata(now, &part.request, &path);
            let failed = answer.status >= 400;
            answers.push(answer);
            if let (true, Some((store, files, processes))) = (failed, &before) {
                (self.store, self.files, self.processes) =
                    (store.clone(), files.clone(), processes.clone());
                let failed = answers.len() - 1;
                answers = (0..parts.len())
                    .map(|at| match at == failed {
                        true => answers[failed].clone(),
                        false => Response::empty(424),
                    })
                    .collect();
                break;
            }
        }
        Outcome { parts, answers }
    }
}

fn invalid() -> Fault {
    Fault::odata(
        400,
        "A request of the batch has no valid 'method' or 'url'.",
    )
}

/// A request of its own. Its address is relative to the service, to the host, or absolute.
fn inner(
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    outer: &Request,
    base: &str,
) -> Result<Request, Fault> {
    let method = method.to_ascii_uppercase();
    if url.is_empty() || method.is_empty() || url.contains("$batch") {
        return Err(invalid());
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
    let mut all: Vec<(String, String)> = outer
        .headers
        .iter()
        .filter(|(name, _)| name == "host")
        .cloned()
        .collect();
    all.extend(headers);
    Ok(Request {
        method,
        path: decode(&format!("/{}", path.trim_start_matches('/')), false),
        query: parse_query(query),
        headers: all,
        body,
    })
}

fn json_parts(request: &Request, base: &str) -> Result<Vec<Part>, Fault> {
    let body = request
        .json()
        .ok_or_else(|| Fault::odata(400, "The batch request is not valid JSON."))?;
    let parts = body
        .get("requests")
        .and_then(Value::as_array)
        .ok_or_else(|| Fault::odata(400, "The batch request has no 'requests'."))?;
    let mut read: Vec<Part> = Vec::new();
    for part in parts {
        let text = |key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default();
        let id = text("id").to_owned();
        if id.is_empty() {
            return Err(Fault::odata(400, "A request of the batch has no 'id'."));
        }
        let group = Some(text("atomicityGroup").to_owned()).filter(|group| !group.is_empty());
        // The documented sample uses one id inside a group and outside of it.
        if read.iter().any(|one| one.id == id && one.group == group) {
            return Err(Fault::odata(
                400,
                format!("The request id '{id}' is not unique."),
            ));
        }
        let headers = part
            .get("headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                (
                    name.to_ascii_lowercase(),
                    value.as_str().unwrap_or_default().to_owned(),
                )
            });
        let body = part
            .get("body")
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default();
        let request = inner(
            text("method"),
            text("url"),
            headers.collect(),
            body,
            request,
            base,
        )?;
        read.push(Part { id, group, request });
    }
    Ok(read)
}

/// The boundary of a multipart type.
fn boundary(mime: &str) -> Option<&str> {
    let (_, rest) = mime.split_once("boundary=")?;
    let boundary = rest.split(';').next()?.trim().trim_matches('"');
    Some(boundary).filter(|boundary| !boundary.is_empty())
}

/// The pieces between a boundary's lines. Clients end lines with CRLF or LF, and some leave out the last
/// boundary.
fn pieces(text: &str, boundary: &str) -> Vec<String> {
    let (open, close) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut pieces: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match line.trim_end() {
            line if line == close => is_inside = false,
            line if line == open => {
                pieces.push(String::new());
                is_inside = true;
            }
            _ if is_inside => {
                if let Some(piece) = pieces.last_mut() {
                    piece.push_str(line);
                    piece.push('\n');
                }
            }
            _ => {}
        }
    }
    pieces
}

/// Headers, names in lower case, and what stands behind the empty line.
fn headed(text: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    (head.lines().filter_map(header).collect(), body)
}

fn multipart_parts(request: &Request, mime: &str, base: &str) -> Result<Vec<Part>, Fault> {
    let text = String::from_utf8_lossy(&request.body).replace("\r\n", "\n");
    let outer =
        boundary(mime).ok_or_else(|| Fault::odata(400, "The batch request has no boundary."))?;
    let mut parts = Vec::new();
    for piece in pieces(&text, outer) {
        let (headers, body) = headed(&piece);
        let kind = headers
            .iter()
            .find(|(name, _)| name == "content-type")
            .map(|(_, value)| value.as_str())
            .unwrap_or_default();
        match boundary(kind).filter(|_| kind.starts_with("multipart/mixed")) {
            Some(group) => {
                for piece in pieces(body, group) {
                    let (headers, body) = headed(&piece);
                    let at = parts.len();
                    parts.push(http_part(at, Some(group), &headers, body, request, base)?);
                }
            }
            None => {
                let at = parts.len();
                parts.push(http_part(at, None, &headers, body, request, base)?);
            }
        }
    }
    Ok(parts)
}

/// A part `application/http`: a request line, headers, and a body.
fn http_part(
    at: usize,
    group: Option<&str>,
    outer: &[(String, String)],
    text: &str,
    request: &Request,
    base: &str,
) -> Result<Part, Fault> {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = line.split_whitespace();
    let (Some(method), Some(url)) = (words.next(), words.next()) else {
        return Err(invalid());
    };
    // Right behind the request line may stand an empty one.
    let (headers, body) = match rest.strip_prefix('\n') {
        Some(body) => (Vec::new(), body),
        None => headed(rest),
    };
    let id = outer
        .iter()
        .chain(&headers)
        .find(|(name, _)| name == "content-id")
        .map_or_else(|| at.to_string(), |(_, id)| id.clone());
    let body = body.trim().as_bytes().to_vec();
    Ok(Part {
        id,
        group: group.map(str::to_owned),
        request: inner(method, url, headers, body, request, base)?,
    })
}

fn as_json(outcomes: &[Outcome<'_>]) -> Response {
    let all = outcomes
        .iter()
        .flat_map(|outcome| outcome.parts.iter().zip(&outcome.answers));
    let answers: Vec<Value> = all
        .map(|(part, answer)| {
            let headers: Map<String, Value> = answer
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), Value::String(value.clone())))
                .collect();
            let mut said = json!({ "id": part.id, "status": answer.status, "headers": headers });
            if let Some(group) = &part.group {
                said["atomicityGroup"] = group.clone().into();
            }
            if let Ok(body) = serde_json::from_slice::<Value>(&answer.body) {
                said["body"] = body;
            }
            said
        })
        .collect();
    data(200, &json!({ "responses": answers }))
}

fn as_multipart(outcomes: &[Outcome<'_>]) -> Response {
    let outer = format!("batchresponse_{}", ids::uuid(&["batch"]));
    let mut text = String::new();
    for (at, outcome) in outcomes.iter().enumerate() {
        text.push_str(&format!("--{outer}\r\n"));
        let is_group = outcome.parts.iter().any(|part| part.group.is_some());
        let both = || outcome.parts.iter().zip(&outcome.answers);
        match is_group {
            true if !outcome.has_failed() => {
                let group = format!(
                    "changesetresponse_{}",
                    ids::uuid(&["group", &at.to_string()])
                );
                text.push_str(&format!(
                    "Content-Type: multipart/mixed; boundary=\"{group}\"\r\n\r\n"
                ));
                for (part, answer) in both() {
                    text.push_str(&format!("--{group}\r\n{}", http_answer(part, answer)));
                }
                text.push_str(&format!("--{group}--\r\n"));
            }
            _ => {
                let told = both().find(|(_, answer)| answer.status != 424);
                if let Some((part, answer)) = told {
                    text.push_str(&http_answer(part, answer));
                }
            }
        }
    }
    text.push_str(&format!("--{outer}--\r\n"));
    let mut response = Response::text(200, text);
    response.headers = vec![(
        "content-type".into(),
        format!("multipart/mixed; boundary=\"{outer}\""),
    )];
    response
}

fn http_answer(part: &Part, answer: &Response) -> String {
    let mut text = format!(
        "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {}\r\n\r\nHTTP/1.1 {} {}\r\n",
        part.id,
        answer.status,
        reason(answer.status)
    );
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!(
        "\r\n{}\r\n",
        String::from_utf8_lossy(&answer.body)
    ));
    text
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        _ => "Error",
    }
}
