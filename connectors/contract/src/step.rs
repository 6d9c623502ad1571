//! A step: a call, what it claims to establish, and whether it may be repeated; and its reply.

use jiff::Timestamp;
use serde_json::Value;

use crate::event::{Attachment, Data};
use crate::known::Settled;
use crate::verdict::Reason;

/// An attempt to establish facts by one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is, for attempts and logs, such as `ticket.create`. Holds no id and no text.
    pub name: &'static str,
    /// The facts that it establishes. Each is written down as unsure before the call leaves, unless
    /// the step only looks ([`Repeat::Safe`]).
    pub claims: Vec<Claim>,
    /// Whether a repeat is harmless.
    pub repeat: Repeat,
    /// What to do.
    pub call: Call,
    /// Which of the target's budgets it draws on, beside `api`.
    pub spends: Vec<Spend>,
    /// The engine does not let the call leave after this time.
    pub not_after: Option<Timestamp>,
    /// The lane's feed must be open before the call leaves.
    pub listen: bool,
    /// For news beside the lane's own work: a call that does not succeed makes this fact known, its
    /// value followed by a space and the reason's label, and stops nothing.
    pub aside: Option<(String, String)>,
    /// What [`read`](crate::Connector::read) needs beside the reply. Stays inside the process.
    pub context: Value,
}

impl Step {
    /// A step that may change the other side.
    #[must_use]
    pub fn new(name: &'static str, repeat: Repeat, call: impl Into<Call>) -> Step {
        Step {
            name,
            claims: Vec::new(),
            repeat,
            call: call.into(),
            spends: Vec::new(),
            not_after: None,
            listen: false,
            aside: None,
            context: Value::Null,
        }
    }

    /// A step that only looks.
    #[must_use]
    pub fn look(name: &'static str, call: impl Into<Call>) -> Step {
        Step::new(name, Repeat::Safe, call)
    }

    /// Makes it news that stops nothing: when the call does not succeed, this fact is known.
    #[must_use]
    pub fn aside(mut self, fact: impl Into<String>, value: impl Into<String>) -> Step {
        self.aside = Some((fact.into(), value.into()));
        self
    }

    /// Adds a fact whose value the other side will choose.
    #[must_use]
    pub fn claim(mut self, fact: impl Into<String>) -> Step {
        self.claims.push(Claim {
            fact: fact.into(),
            candidate: None,
        });
        self
    }

    /// Adds a fact whose value we chose.
    #[must_use]
    pub fn claim_as(mut self, fact: impl Into<String>, value: impl Into<String>) -> Step {
        self.claims.push(Claim {
            fact: fact.into(),
            candidate: Some(value.into()),
        });
        self
    }

    /// Draws on a further budget.
    #[must_use]
    pub fn spend(mut self, budget: &'static str, key: impl Into<String>) -> Step {
        self.spends.push(Spend {
            budget,
            key: key.into(),
        });
        self
    }

    /// Gives `read` something beside the reply.
    #[must_use]
    pub fn context(mut self, context: Value) -> Step {
        self.context = context;
        self
    }

    /// Wants the lane's feed open first.
    #[must_use]
    pub fn listening(mut self) -> Step {
        self.listen = true;
        self
    }
}

/// A fact that a step establishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The fact's name.
    pub fact: String,
    /// Its value, where we choose it. Written beside the unsure fact, so that an echo of our own
    /// record is recognised even while its outcome is unknown.
    pub candidate: Option<String>,
}

/// What a repeat of the call would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: it only reads.
    Safe,
    /// Nothing: the other side recognises our id or unique key.
    Keyed,
    /// It could duplicate. `next` never plans it while a claimed fact is unsure, but looks first.
    Blind,
}

/// Which budget a step draws on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// The budget's name, one of [`Connector::budgets`](crate::Connector::budgets).
    pub budget: &'static str,
    /// Which of that budget's buckets; empty when there is one for the whole target.
    pub key: String,
}

/// What the engine does for a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// An HTTP request to the target.
    Http(HttpCall),
    /// A message to the gateway's exchange, mandatory, with a publisher confirm.
    Publish(Publish),
    /// Facts and events written to the ledger in one transaction; nothing leaves and nothing is read.
    Record(Record),
}

impl From<HttpCall> for Call {
    fn from(call: HttpCall) -> Call {
        Call::Http(call)
    }
}

impl From<Publish> for Call {
    fn from(publish: Publish) -> Call {
        Call::Publish(publish)
    }
}

impl From<Record> for Call {
    fn from(record: Record) -> Call {
        Call::Record(record)
    }
}

/// An HTTP request, as data.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCall {
    /// The method.
    pub method: Method,
    /// Percent-encoded path, relative to the target's base address, or an absolute address.
    pub path: String,
    /// Query parameters, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers beside authentication, content type and length.
    pub headers: Vec<(String, String)>,
    /// How it signs in.
    pub auth: Auth,
    /// What it carries.
    pub body: Body,
}

impl HttpCall {
    /// A request without query, headers or body, signed in with the target's credential.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> HttpCall {
        HttpCall {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            auth: Auth::Target,
            body: Body::Empty,
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> HttpCall {
        HttpCall::new(Method::Get, path)
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post(path: impl Into<String>, body: Value) -> HttpCall {
        HttpCall::new(Method::Post, path).json(body)
    }

    /// Carries JSON.
    #[must_use]
    pub fn json(mut self, body: Value) -> HttpCall {
        self.body = Body::Json(body);
        self
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> HttpCall {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> HttpCall {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Signs in otherwise.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> HttpCall {
        self.auth = auth;
        self
    }
}

/// HTTP methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PATCH
    Patch,
    /// PUT
    Put,
    /// DELETE
    Delete,
}

impl Method {
    /// The method as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// How a request signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// With the target's credential.
    Target,
    /// As one customer, where the target keeps a token per customer (MIAW). The subject is the
    /// identity token's `sub`.
    Customer {
        /// The identity token's `sub`.
        subject: String,
    },
    /// With a signature over id, time and body, where the target has one. The id is the same at every
    /// repeat.
    Signed {
        /// What the receiver takes as its idempotency key.
        id: String,
    },
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Value),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
    /// `multipart/form-data`.
    Multipart(Vec<Part>),
    /// A file's bytes, streamed from their source.
    Media(MediaRef),
    /// JSON in which one text is a file's bytes in base64, streamed from their source.
    JsonWithFile(Box<JsonWithFile>),
}

/// JSON in which one text is a file's bytes in base64.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonWithFile {
    /// The JSON; what stands at the file's place counts for nothing.
    pub json: Value,
    /// The file's place, as a JSON pointer (RFC 6901).
    pub at: String,
    /// The file.
    pub media: MediaRef,
}

impl JsonWithFile {
    /// The JSON as it is written, before the file's base64 and after it; both quotation marks are there.
    #[must_use]
    pub fn around(&self) -> (String, String) {
        let whole = self.json.to_string();
        // A text that stands nowhere else, so that it can be told from what others have written.
        let mark = (0..)
            .map(|n| format!("file-{n}-is-here"))
            .find(|mark| !whole.contains(mark))
            .unwrap_or_default();
        let mut json = self.json.clone();
        if let Some(place) = json.pointer_mut(&self.at) {
            *place = mark.as_str().into();
        }
        let written = json.to_string();
        match written.split_once(&mark) {
            Some((before, after)) => (before.to_owned(), after.to_owned()),
            None => (written, String::new()),
        }
    }
}

/// One part of a multipart body.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// The file name, for a file.
    pub file_name: Option<String>,
    /// The part's content type.
    pub mime: Option<String>,
    /// What it holds.
    pub content: Content,
}

impl Part {
    /// A text field.
    #[must_use]
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Part {
        Part {
            name: name.into(),
            file_name: None,
            mime: None,
            content: Content::Text(text.into()),
        }
    }

    /// A file field with the attachment's name and type.
    #[must_use]
    pub fn file(name: impl Into<String>, media: MediaRef) -> Part {
        Part {
            name: name.into(),
            file_name: Some(media.attachment.file_name()),
            mime: Some(media.mime()),
            content: Content::Media(media),
        }
    }
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text, held.
    Text(String),
    /// A file's bytes, streamed.
    Media(MediaRef),
}

/// An attachment whose bytes the engine streams from their source into the request.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaRef {
    /// The attachment, with its source.
    pub attachment: Attachment,
    /// The most bytes that the target takes; more is a [`MediaProblem::TooLarge`].
    pub max_bytes: u64,
}

impl MediaRef {
    /// The MIME type, without parameters; bytes when what was said is no MIME type, because it is a
    /// stranger's word that becomes a header.
    #[must_use]
    pub fn mime(&self) -> String {
        let mime = self.attachment.mime.as_deref().unwrap_or("");
        let mime = mime.split(';').next().unwrap_or(mime).trim();
        let token = |part: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
            !part.is_empty() && part.bytes().all(allowed)
        };
        match mime.split_once('/') {
            Some((kind, sub)) if token(kind) && token(sub) => mime.to_owned(),
            _ => "application/octet-stream".to_owned(),
        }
    }
}

/// A message for the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The exchange; empty for the default one.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The AMQP `message_id`: our own id, the same at every repeat.
    pub message_id: String,
    /// The AMQP content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Value,
}

/// Facts and events for the ledger.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// Facts that are settled now, by our own decision.
    pub facts: Vec<(String, Settled)>,
    /// Events of this session that follow, each with an id that is unique in the lane, so that a
    /// repeat is a no-op.
    pub events: Vec<(String, Data)>,
}

/// What came back from a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// An HTTP reply, its body read within the limit.
    Http(HttpReply),
    /// The attachment's bytes could not be had; nothing was sent to the target.
    Media(MediaProblem),
    /// What the broker said.
    Published(Publication),
}

/// An HTTP reply.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, cut at the limit.
    pub body: Vec<u8>,
}

impl HttpReply {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as JSON, if it is JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as text, lossily, at most `max` characters: for the other side's own words.
    #[must_use]
    pub fn words(&self, max: usize) -> String {
        String::from_utf8_lossy(&self.body)
            .chars()
            .take(max)
            .collect()
    }

    /// `Retry-After` in seconds, when it is given as a number; at most a day, since the sender may
    /// be anybody and a time must bear the addition.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        let seconds: u64 = self.header("retry-after")?.trim().parse().ok()?;
        Some(seconds.min(86_400))
    }
}

/// Why an attachment's bytes could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaProblem {
    /// The source has it no more, or never had it.
    Gone,
    /// It is larger than the target takes.
    TooLarge,
    /// Policy does not allow to fetch from there.
    Forbidden,
    /// The source did not answer, or broke off. Worth another try.
    Unreachable,
}

impl MediaProblem {
    /// In words, for a rep.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            MediaProblem::Gone => "the file is no longer at its source",
            MediaProblem::TooLarge => "the file is larger than this CRM takes",
            MediaProblem::Forbidden => "the file's address is not on the list of allowed sources",
            MediaProblem::Unreachable => "the file's source could not be reached",
        }
    }

    /// The problem as a reason.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            MediaProblem::Gone | MediaProblem::Unreachable => Reason::MediaUnavailable,
            MediaProblem::TooLarge => Reason::TooLarge,
            MediaProblem::Forbidden => Reason::Forbidden,
        }
    }
}

/// What the broker said to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// Confirmed and routed.
    Confirmed,
    /// No queue is bound: nobody would have received it.
    Unroutable {
        /// The broker's words.
        words: String,
    },
    /// The broker refused it.
    Refused,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_stands_at_its_place_whatever_is_written_beside_it() {
        let whole = JsonWithFile {
            json: json!({"a": "file-0-is-here \" \\", "list": [{"data": ""}], "z": "file-1-is-here"}),
            at: "/list/0/data".to_owned(),
            media: MediaRef {
                attachment: Attachment {
                    id: String::new(),
                    kind: Default::default(),
                    mime: None,
                    name: None,
                    size: None,
                    caption: None,
                    transcript: None,
                    source: None,
                },
                max_bytes: 1,
            },
        };
        let (before, after) = whole.around();
        let written: Value = serde_json::from_str(&format!("{before}QUJD{after}")).expect("JSON");
        let mut wanted = whole.json.clone();
        wanted["list"][0]["data"] = "QUJD".into();
        assert_eq!(written, wanted);
    }
}
