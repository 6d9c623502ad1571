//! A simulator of the documented MIAW API: token endpoints, conversations, entries, the event
//! stream, and the rep's side of it.
//!
//! Strict by default. What the documentation leaves open is a [switch](Switches) whose default is
//! the reading that is documented or reported; the crate's README lists every act and switch.

mod calls;
mod rep;
mod send;
mod stream;
mod switches;
mod thread;
mod tokens;
mod view;

use std::collections::{BTreeMap, VecDeque};

use handoffd_contract::sandbox::{Limit, Request, Response, Sandbox, Stream};
use handoffd_contract::{Auth, ids};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use switches::Switches;
use thread::Conversation;

/// The organisation's id.
pub const ORG_ID: &str = "00DHs000001sbx1";
/// The deployment's developer name.
pub const DEPLOYMENT: &str = "Handoffd_Custom_Client";
/// The keyset's issuer.
pub const ISSUER: &str = "handoffd-sandbox";
/// The key's `kid`.
pub const KEY_ID: &str = "sandbox-test-key";
/// A key pair for tests only. It protects nothing and is published with the source.
pub const TEST_ONLY_PRIVATE_KEY: &str = include_str!("test_only_private_key.pem");
const TEST_ONLY_PUBLIC_KEY: &str = include_str!("test_only_public_key.pem");

const CHANNEL: &str = "8c1e0d3e-6f55-4a8f-8b41-0d1a3a0a7a01";
const MAX_CONVERSATIONS: usize = 50_000;
const MAX_FILES: usize = 1_000;

/// A Salesforce organisation with one messaging channel.
pub struct Org {
    switches: Switches,
    /// In order of creation.
    conversations: Vec<Conversation>,
    /// What each end user's streams carry.
    logs: BTreeMap<String, stream::Log>,
    connections: BTreeMap<String, stream::Connection>,
    /// The newest event's number, over all end users.
    position: u64,
    serial: u64,
    /// How often all streams were cut and all tokens were revoked.
    cuts: u64,
    revocations: u64,
    token_limit: Limit,
    renewal_limit: Limit,
    message_limit: Limit,
    entries_read: BTreeMap<String, Timestamp>,
    /// Since when which conversation's messaging session is inactive.
    inactive: BTreeMap<String, Timestamp>,
    /// Tokens of the proof suite's back door, by subject.
    back_door: BTreeMap<String, (String, Timestamp)>,
    /// Reps' files, by id; the oldest give way.
    files: VecDeque<(String, RepFile)>,
    /// Under which address the last request reached us: reps' files are linked there.
    origin: String,
}

struct RepFile {
    name: String,
    mime: String,
    bytes: Vec<u8>,
}

impl Default for Org {
    fn default() -> Self {
        Org {
            switches: Switches::default(),
            conversations: Vec::new(),
            logs: BTreeMap::new(),
            connections: BTreeMap::new(),
            position: 2_861,
            serial: 0,
            cuts: 0,
            revocations: 0,
            token_limit: Limit::new(200, 60_000),
            renewal_limit: Limit::new(200, 60_000),
            message_limit: Limit::new(22, 60_000),
            entries_read: BTreeMap::new(),
            inactive: BTreeMap::new(),
            back_door: BTreeMap::new(),
            files: VecDeque::new(),
            origin: "http://127.0.0.1".into(),
        }
    }
}

impl std::fmt::Debug for Org {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Org")
            .field("conversations", &self.conversations.len())
            .finish_non_exhaustive()
    }
}

impl Sandbox for Org {
    fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        self.end_inactive(now);
        if let Some(host) = request.header("host") {
            self.origin = format!("http://{host}");
        }
        let failure = self.switches.failure(&request.path);
        match failure {
            Some((status, false)) => failing(status),
            Some((status, true)) => {
                self.route(now, request);
                failing(status)
            }
            None => self.route(now, request),
        }
    }

    fn frames(&mut self, now: Timestamp, key: &str, after: u64) -> Vec<(u64, Vec<u8>)> {
        self.end_inactive(now);
        self.stream_frames(now, key, after)
    }

    fn closes(&mut self, now: Timestamp, key: &str) -> bool {
        self.stream_closes(now, key)
    }

    fn view(&self) -> Value {
        self.seen()
    }

    fn act(&mut self, now: Timestamp, act: &Value) -> Result<Value, String> {
        self.end_inactive(now);
        self.rep_acts(now, act)
    }

    fn switch(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "cut" => self.cuts += 1,
            "expire_tokens" => {
                self.revocations += 1;
                self.back_door.clear();
            }
            "tokens_per_minute" => {
                let most = value.as_u64().and_then(|most| usize::try_from(most).ok());
                let most = most.ok_or("tokens_per_minute is a whole number")?;
                self.token_limit = Limit::new(most, 60_000);
                self.renewal_limit = Limit::new(most, 60_000);
            }
            _ => return self.switches.set(name, value),
        }
        Ok(())
    }

    fn credentials(&self, base: &str) -> Value {
        json!({
            "settings": {
                "api_base": base,
                "org_id": ORG_ID,
                "es_developer_name": DEPLOYMENT,
                "key_id": KEY_ID,
                "issuer": ISSUER,
                "private_key": "salesforce_private_key",
            },
            "secrets": { "salesforce_private_key": TEST_ONLY_PRIVATE_KEY },
        })
    }

    fn sign_in(&mut self, now: Timestamp, auth: &Auth) -> Vec<(String, String)> {
        let Auth::Customer { subject } = auth else {
            return Vec::new();
        };
        let token = match self.back_door.get(subject) {
            Some((token, until)) if *until > now => token.clone(),
            _ => {
                let (token, until) = self.issue(now, &tokens::verified(subject));
                self.back_door
                    .insert(subject.clone(), (token.clone(), until));
                token
            }
        };
        vec![("authorization".into(), format!("Bearer {token}"))]
    }
}

impl Org {
    fn route(&mut self, now: Timestamp, request: &Request) -> Response {
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        match (method, path.as_slice()) {
            ("GET", ["embeddedservice", "v1", "businesshours"]) => {
                return self.business_hours(now, request);
            }
            ("GET", ["embeddedservice", "v1", "embedded-service-config"]) => {
                return self.config(request);
            }
            ("GET", ["sfc", "dist", "version", "download"]) => return self.download(request),
            (
                "POST",
                [
                    "iamessage",
                    "api",
                    "v2",
                    "authorization",
                    kind @ ("authenticated" | "unauthenticated"),
                    "access-token",
                ],
            ) => {
                return self.mint(now, request, *kind == "authenticated");
            }
            _ => {}
        }
        let subject = match self.authenticate(now, request) {
            Ok(subject) => subject,
            Err(response) => return response,
        };
        match (method, path.as_slice()) {
            ("GET", ["eventrouter", "v1", "sse"]) => self.open_stream(now, request, &subject),
            (
                "GET",
                [
                    "iamessage",
                    "api",
                    "v2",
                    "authorization",
                    "continuation-access-token",
                ],
            ) => self.renew(now, &subject),
            ("POST", ["iamessage", "api", "v2", "conversation"]) => {
                self.create(now, request, &subject)
            }
            ("GET", ["iamessage", "api", "v2", "conversation", "list"]) => {
                self.list(request, &subject)
            }
            (_, ["iamessage", "api", "v2", "conversation", id, rest @ ..]) => {
                let at = match self.owned(id, &subject) {
                    Ok(at) => at,
                    Err(response) => return response,
                };
                match (method, rest) {
                    ("GET", []) => self.routing_status(at),
                    ("GET", ["entries"]) => self.entries(now, request, at),
                    ("DELETE", []) => self.close(now, request, at),
                    ("DELETE", ["session"]) => self.end_by_customer(now, request, at),
                    ("POST", ["message"]) => self.message(now, request, at),
                    ("POST", ["file"]) => self.file(now, request, at),
                    ("POST", ["entry"]) => self.typing(now, request, at),
                    ("POST", ["acknowledge-entries"]) => self.acknowledge(request, at),
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    /// A number that no other thing has.
    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn uuid(&mut self) -> String {
        let serial = self.next().to_string();
        ids::uuid(&["salesforce-sandbox", &serial])
    }

    /// A record id: a three-character prefix and twelve more.
    fn record(&mut self, prefix: &str) -> String {
        format!("{prefix}Hs{:010}", self.next())
    }
}

fn bad(message: impl Into<String>) -> Response {
    error(400, "BAD_REQUEST", message)
}

fn error(status: u16, code: &str, message: impl Into<String>) -> Response {
    Response::json(status, &json!({ "code": code, "message": message.into() }))
}

fn not_found() -> Response {
    error(404, "NOT_FOUND", "The requested resource doesn't exist.")
}

fn too_many(wait_ms: i64) -> Response {
    let seconds = (wait_ms.max(0) as u64).div_ceil(1_000).max(1);
    error(429, "TOO_MANY_REQUESTS", "Too many requests.").with("retry-after", seconds.to_string())
}

fn failing(status: u16) -> Response {
    match status {
        429 => too_many(1_000),
        status => error(status, "INTERNAL_ERROR", "Something went wrong."),
    }
}

/// The names in `value` that are not among `allowed`: the API refuses unknown properties.
fn unknown(value: &Value, allowed: &[&str]) -> Option<String> {
    let fields = value.as_object()?;
    fields
        .keys()
        .find(|name| !allowed.contains(&name.as_str()))
        .cloned()
}

/// A body whose properties are all known.
fn body(request: &Request, allowed: &[&str]) -> Result<Value, Response> {
    let mime = request.header("content-type").unwrap_or("");
    if !mime.starts_with("application/json") {
        return Err(error(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Set the Content-Type to application/json.",
        ));
    }
    let body = request
        .json()
        .filter(Value::is_object)
        .ok_or_else(|| bad("The request body isn't valid JSON."))?;
    match unknown(&body, allowed) {
        Some(name) => Err(bad(format!("Unrecognized property: {name}"))),
        None => Ok(body),
    }
}

/// A UUID as the API wants it: version 4, lower case.
fn is_v4(id: &str) -> bool {
    ids::is_lower_uuid(id)
        && id.as_bytes()[14] == b'4'
        && matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b')
}

fn stream_response(key: String, after: u64) -> Response {
    let mut response = Response::empty(200).with("content-type", "text/event-stream;charset=UTF-8");
    response.stream = Some(Stream { key, after });
    response
}
