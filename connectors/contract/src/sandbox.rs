//! The other side: a simulator of an API, as a pure state machine.
//!
//! A sandbox follows the documented behaviour of its API, not our client. It owns no socket and no
//! clock: `(state, now, request) → (state, response)`. The daemon serves it over HTTP; the proof
//! suite calls it directly.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

/// An HTTP request, read whole.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method, upper case.
    pub method: String,
    /// The path as sent, percent-encoded, without the query.
    pub path: String,
    /// The query's parameters, decoded.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// A query parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The path's segments, percent-decoded, without empty ones at the ends.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        self.path
            .trim_matches('/')
            .split('/')
            .map(|part| decode(part, false))
            .collect()
    }

    /// The parts of a `multipart/form-data` body, or `None` when it is not one.
    #[must_use]
    pub fn multipart(&self) -> Option<Vec<FormPart>> {
        multipart(self.header("content-type")?, &self.body)
    }

    /// The fields of a form body, or `None` when it is not one.
    #[must_use]
    pub fn form(&self) -> Option<Vec<(String, String)>> {
        let mime = self.header("content-type")?;
        mime.starts_with("application/x-www-form-urlencoded")
            .then(|| parse_query(&String::from_utf8_lossy(&self.body)))
    }
}

/// An HTTP response.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The response is an event stream: frames of this key after this position follow.
    pub stream: Option<Stream>,
}

/// An open event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Whose stream.
    pub key: String,
    /// Frames after this position are wanted.
    pub after: u64,
}

impl Response {
    /// A response with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Response {
        Response {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
            stream: None,
        }
    }

    /// A response with a text body.
    #[must_use]
    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response {
            status,
            headers: vec![("content-type".into(), "text/plain".into())],
            body: body.into().into_bytes(),
            stream: None,
        }
    }

    /// A response without a body.
    #[must_use]
    pub fn empty(status: u16) -> Response {
        Response {
            status,
            ..Response::default()
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Response {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A simulator.
pub trait Sandbox: Send {
    /// Handles one request.
    fn handle(&mut self, now: Timestamp, request: &Request) -> Response;

    /// The bytes of a stream's frames after a position, each with its own position. The caller
    /// asks again after every change and about once a second (for pings).
    fn frames(&mut self, now: Timestamp, key: &str, after: u64) -> Vec<(u64, Vec<u8>)> {
        let _ = (now, key, after);
        Vec::new()
    }

    /// Whether a stream must be closed now (a cut, an expired token).
    fn closes(&mut self, now: Timestamp, key: &str) -> bool {
        let _ = (now, key);
        false
    }

    /// Webhooks that are due, each given out once. The caller delivers them and reports the status.
    fn deliveries(&mut self, now: Timestamp) -> Vec<Delivery> {
        let _ = now;
        Vec::new()
    }

    /// When the next webhook becomes due that is not due yet, as far as is known now.
    fn next_delivery(&self) -> Option<Timestamp> {
        None
    }

    /// What became of a delivery: the status, or `None` when there was no answer.
    fn delivered(&mut self, now: Timestamp, id: u64, status: Option<u16>) {
        let _ = (now, id, status);
    }

    /// Everything that a rep (or, for WhatsApp, the customer) would see, as JSON.
    fn view(&self) -> Value;

    /// Acts as a rep or a customer. The acts of each simulator are documented where it is.
    ///
    /// # Errors
    /// What is wrong with the act, in words.
    fn act(&mut self, now: Timestamp, act: &Value) -> Result<Value, String>;

    /// Sets a switch: a documented uncertainty or a fault. Unknown names are refused.
    ///
    /// # Errors
    /// The switches there are, in words.
    fn switch(&mut self, name: &str, value: &Value) -> Result<(), String>;

    /// What a client needs to use it: settings and credentials, as JSON, given its base address.
    fn credentials(&self, base: &str) -> Value;

    /// Headers with which a request is signed in as [`Auth`](crate::Auth) says: a back door for the
    /// proof suite, which has no wire.
    fn sign_in(&mut self, now: Timestamp, auth: &crate::Auth) -> Vec<(String, String)>;
}

/// A webhook to be delivered.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// Its number.
    pub id: u64,
    /// Where to.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The receiver must answer within this many milliseconds.
    pub timeout_ms: u64,
}

/// One part of a multipart body.
#[derive(Debug, Clone, Default)]
pub struct FormPart {
    /// The field's name.
    pub name: String,
    /// The file name.
    pub file_name: Option<String>,
    /// The part's content type.
    pub mime: Option<String>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl FormPart {
    /// The bytes as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Decodes percent-encoding; `plus` reads `+` as a space.
#[must_use]
pub fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |b: u8| char::from(b).to_digit(16);
        match bytes[at] {
            b'%' if at + 2 < bytes.len()
                && hex(bytes[at + 1]).is_some()
                && hex(bytes[at + 2]).is_some() =>
            {
                let value = hex(bytes[at + 1]).unwrap_or(0) * 16 + hex(bytes[at + 2]).unwrap_or(0);
                out.push(value as u8);
                at += 3;
                continue;
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes everything but unreserved characters.
#[must_use]
pub fn encode(text: &str) -> String {
    crate::text::encode(text)
}

/// Parses a query or form.
#[must_use]
pub fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// Parses a multipart body.
#[must_use]
pub fn multipart(content_type: &str, body: &[u8]) -> Option<Vec<FormPart>> {
    if !content_type
        .to_ascii_lowercase()
        .starts_with("multipart/form-data")
    {
        return None;
    }
    let boundary = content_type
        .split("boundary=")
        .nth(1)?
        .split(';')
        .next()?
        .trim()
        .trim_matches('"');
    let open = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(open.as_bytes())?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        rest = &rest[head_end + 4..];
        let end = find(rest, next.as_bytes())?;
        let mut part = FormPart {
            bytes: rest[..end].to_vec(),
            ..FormPart::default()
        };
        for line in head.split("\r\n") {
            let (name, value) = line.split_once(':')?;
            match name.trim().to_ascii_lowercase().as_str() {
                "content-type" => part.mime = Some(value.trim().to_owned()),
                "content-disposition" => {
                    for piece in value.split(';').skip(1) {
                        let (key, text) = piece.trim().split_once('=')?;
                        let text = text.trim_matches('"').to_owned();
                        match key {
                            "name" => part.name = text,
                            "filename" => part.file_name = Some(decode(&text, false)),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        parts.push(part);
        rest = &rest[end + next.len()..];
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A sliding-window request limit, for simulators.
#[derive(Debug, Clone)]
pub struct Limit {
    max: usize,
    window_ms: i64,
    seen: BTreeMap<String, Vec<i64>>,
}

impl Limit {
    /// At most `max` requests in any `window_ms` milliseconds, per key.
    #[must_use]
    pub fn new(max: usize, window_ms: i64) -> Limit {
        Limit {
            max,
            window_ms,
            seen: BTreeMap::new(),
        }
    }

    /// Counts a request; `Err` holds the milliseconds until one is free.
    ///
    /// # Errors
    /// The limit is reached.
    pub fn count(&mut self, key: &str, now: Timestamp) -> Result<(), i64> {
        let now = now.as_millisecond();
        let seen = self.seen.entry(key.to_owned()).or_default();
        seen.retain(|at| now - at < self.window_ms);
        if seen.len() >= self.max {
            return Err(seen
                .first()
                .map_or(0, |first| self.window_ms - (now - first))
                .max(1));
        }
        seen.push(now);
        Ok(())
    }
}
