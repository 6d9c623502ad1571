//! The one place that knows reqwest: calls as data go out, replies come back.
//!
//! A reply is a value whatever its status. What is not a reply is a [`Failure`], and the one thing
//! that matters about it is whether the request may have had an effect. Redirects are not followed;
//! bodies are bounded; a target's credential is shown to the target's own origin only. Calls speak
//! HTTP/1.1 on purpose: it costs less per call. Event streams share HTTP/2 connections of their own.

pub mod breaker;
pub mod credential;
pub mod keep;
pub mod media;
pub mod operator;
pub mod outbound;
pub mod policy;
pub mod post;
pub mod provider;
pub mod rate;
pub mod redact;
pub mod signature;
pub mod sse;
pub mod streams;
pub mod token_budget;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use handoffd_contract::{
    Auth, Body, Content, HttpCall, HttpReply, MediaProblem, Method, Part, Reason, Stop,
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::multipart::Form;
use url::Url;

use credential::SignIn;
use media::AttachmentFetcher;
use outbound::client_builder;
use streams::{EventStream, Sharing, Streams};
use token_budget::Priority;

use crate::config::OutboundConfig;

/// The most bytes of a reply that are read.
pub const MAX_REPLY: usize = 8 * 1024 * 1024;

/// How long a call that carries a file may take at least; its source has a time limit of its own
/// for every piece.
const FILE_TIMEOUT: Duration = Duration::from_secs(600);

/// How long an event stream may take to open on a connection that others share, before it is given
/// one that nobody shares.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The request did not leave: it cannot have had an effect.
    NotSent(Stop),
    /// The request left, at least in part, and no whole reply came: it may have had its effect.
    Lost(Stop),
    /// An attachment's bytes could not be had.
    Media(MediaProblem),
}

impl Failure {
    /// Why.
    #[must_use]
    pub fn stop(&self) -> Stop {
        match self {
            Failure::NotSent(stop) | Failure::Lost(stop) => stop.clone(),
            Failure::Media(problem) => Stop::new(Reason::MediaUnavailable, problem.words()),
        }
    }
}

/// The way to one target.
pub struct Wire {
    base: Url,
    timeout: Duration,
    client: reqwest::Client,
    streams: Streams,
    sign_in: SignIn,
    library: Arc<AttachmentFetcher>,
}

/// What a wire is made from.
pub struct Options {
    /// The target's base address.
    pub base: Url,
    /// How long a call may take, connection included.
    pub timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// By which proxy calls leave.
    pub outbound: OutboundConfig,
    /// How event streams share connections.
    pub sharing: Sharing,
}

impl Wire {
    /// A wire to one target.
    ///
    /// # Errors
    /// The TLS library could not be set up.
    pub fn new(
        options: Options,
        sign_in: SignIn,
        library: Arc<AttachmentFetcher>,
    ) -> Result<Wire, String> {
        let client = client_builder(options.connect_timeout, &options.outbound)
            .and_then(reqwest::ClientBuilder::build)
            .map_err(|error| error.to_string())?;
        let streams = Streams::new(options.connect_timeout, &options.outbound, options.sharing)
            .map_err(|error| error.to_string())?;
        Ok(Wire {
            base: options.base,
            timeout: options.timeout,
            client,
            streams,
            sign_in,
            library,
        })
    }

    /// Sends a call and reads its reply.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn send(&self, call: &HttpCall) -> Result<HttpReply, Failure> {
        self.send_for(call, Priority::Lane).await
    }

    /// The same, for a session: its files may be kept.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn send_in(&self, session: &str, call: &HttpCall) -> Result<HttpReply, Failure> {
        self.in_time(call, Priority::Lane, Some(session)).await
    }

    /// The same, for a feed when it says so.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn send_for(&self, call: &HttpCall, asker: Priority) -> Result<HttpReply, Failure> {
        self.in_time(call, asker, None).await
    }

    async fn in_time(
        &self,
        call: &HttpCall,
        asker: Priority,
        session: Option<&str>,
    ) -> Result<HttpReply, Failure> {
        let limit = if carries_file(&call.body) {
            self.timeout.max(FILE_TIMEOUT)
        } else {
            self.timeout
        };
        match tokio::time::timeout(limit, self.exchange(call, asker, session)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let words = format!("no answer within {} s", limit.as_secs());
                Err(Failure::Lost(Stop::new(Reason::TimedOut, words)))
            }
        }
    }

    async fn exchange(
        &self,
        call: &HttpCall,
        asker: Priority,
        session: Option<&str>,
    ) -> Result<HttpReply, Failure> {
        let (request, trouble) = self.request(&self.client, call, asker, session).await?;
        let response = request.send().await.map_err(|error| match trouble.get() {
            Some(problem) => Failure::Media(problem),
            None => failure(&error),
        })?;
        read_reply(response).await
    }

    /// Opens an event stream; gives the reply itself when it is not a 200.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn open_stream(
        &self,
        call: &HttpCall,
        last_event_id: Option<&str>,
    ) -> Result<Result<EventStream, HttpReply>, Failure> {
        let place = || {
            let place = self.streams.place();
            place.map_err(|_| bug("a client for event streams could not be made"))
        };
        let mut on = place()?;
        let mut limit = self.timeout;
        if on.is_shared() {
            // There may be no room for it on a connection that is well.
            let early = self.timeout.min(ROOM_WAIT);
            let opening = self.opened(&on.client, call, last_event_id, Priority::Feed);
            match tokio::time::timeout(early, opening).await {
                Ok(opened) => return Ok(opened?.map(|response| EventStream::new(response, on))),
                Err(_) => on.full(),
            }
            limit -= early;
            on = place()?;
        }
        let opening = self.opened(&on.client, call, last_event_id, Priority::Feed);
        let opened = tokio::time::timeout(limit, opening).await;
        let opened = opened.map_err(|_| not_opened())??;
        Ok(opened.map(|response| EventStream::new(response, on)))
    }

    /// Opens a file; gives the reply itself when it is not a 200.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn open_file(
        &self,
        call: &HttpCall,
    ) -> Result<Result<reqwest::Response, HttpReply>, Failure> {
        let opening = self.opened(&self.client, call, None, Priority::Lane);
        let opened = tokio::time::timeout(self.timeout, opening).await;
        opened.map_err(|_| not_opened())?
    }

    async fn opened(
        &self,
        client: &reqwest::Client,
        call: &HttpCall,
        last_event_id: Option<&str>,
        asker: Priority,
    ) -> Result<Result<reqwest::Response, HttpReply>, Failure> {
        let (mut request, _) = self.request(client, call, asker, None).await?;
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-Id", id);
        }
        let response = request.send().await.map_err(|error| failure(&error))?;
        if response.status().as_u16() == 200 {
            Ok(Ok(response))
        } else {
            Ok(Err(read_reply(response).await?))
        }
    }

    /// When a feed that was refused a customer's token should ask again. Each that asks is given a
    /// later time than the one before, so that thousands that wait do not all ask all the time.
    pub fn turn_for_token(&self) -> Duration {
        self.sign_in.turn_for_token()
    }

    /// The target did not accept the credential of a request that was sent at that time: the next
    /// call gets a new one, unless another call has already got it.
    pub async fn reject(&self, auth: &Auth, sent_at: Instant) {
        self.sign_in.reject(auth, sent_at).await;
    }

    /// A sign-in's failure without secrets: its words may repeat the token that was refused.
    fn concealed(&self, failure: Failure) -> Failure {
        let quiet = |stop: Stop| Stop::new(stop.reason, self.conceal(&stop.message));
        match failure {
            Failure::NotSent(stop) => Failure::NotSent(quiet(stop)),
            Failure::Lost(stop) => Failure::Lost(quiet(stop)),
            Failure::Media(problem) => Failure::Media(problem),
        }
    }

    /// The target's words without its secrets, and without anything that looks like a token.
    #[must_use]
    pub fn conceal(&self, words: &str) -> String {
        self.sign_in.conceal(words)
    }

    /// How many daemons share what the target allows the whole account.
    pub fn share_among(&self, living: u32) {
        self.sign_in.share_among(living);
    }

    /// Where a customer's event stream begins, as the target said when it gave the token.
    pub async fn first_event_id(&self, auth: &Auth) -> Option<String> {
        self.sign_in.first_event_id(auth).await
    }

    async fn request(
        &self,
        client: &reqwest::Client,
        call: &HttpCall,
        asker: Priority,
        session: Option<&str>,
    ) -> Result<(reqwest::RequestBuilder, media::Trouble), Failure> {
        let url = self.address(call)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            headers.append(header_name(name)?, header_value(value)?);
        }
        if call.auth != Auth::None {
            if !same_origin(&url, &self.base) {
                return Err(Failure::NotSent(Stop::new(
                    Reason::Bug,
                    "a credential was about to leave for another origin",
                )));
            }
            let signed = self.sign_in.headers(&call.auth, asker).await;
            for (name, value) in signed.map_err(|failure| self.concealed(failure))? {
                headers.insert(name, value);
            }
        }
        if matches!(call.auth, Auth::Signed { .. }) && !matches!(call.body, Body::Json(_)) {
            return Err(bug("a call without JSON was to be signed"));
        }
        let trouble = media::Trouble::default();
        let mut request = client.request(method(call.method), url);
        request = match &call.body {
            Body::Empty if matches!(call.method, Method::Get | Method::Delete) => request,
            Body::Empty => request.body(Vec::new()),
            Body::Json(value) => {
                headers
                    .entry(CONTENT_TYPE)
                    .or_insert(HeaderValue::from_static("application/json"));
                let body = value.to_string();
                if let Auth::Signed { id } = &call.auth {
                    headers.extend(self.sign_in.sign(id, body.as_bytes())?);
                }
                request.body(body)
            }
            Body::Form(fields) => request.form(fields),
            Body::Media(wanted) => {
                let file = self
                    .library
                    .open(wanted, session, &trouble)
                    .await
                    .map_err(Failure::Media)?;
                headers
                    .entry(CONTENT_TYPE)
                    .or_insert(header_value(&wanted.mime())?);
                if let Some(len) = file.len {
                    headers.insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from(len));
                }
                request.body(file.body)
            }
            Body::Multipart(parts) => request.multipart(self.form(parts, session, &trouble).await?),
            Body::JsonWithFile(wanted) => {
                headers
                    .entry(CONTENT_TYPE)
                    .or_insert(HeaderValue::from_static("application/json"));
                let file = self
                    .library
                    .open(&wanted.media, session, &trouble)
                    .await
                    .map_err(Failure::Media)?;
                let (before, after) = wanted.around();
                let around = before.len() + after.len();
                if let Some(len) = file.len {
                    let len = len.div_ceil(3) * 4 + around as u64;
                    headers.insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from(len));
                }
                request.body(media::in_base64(before, file.body, after))
            }
        };
        Ok((request.headers(headers), trouble))
    }

    async fn form(
        &self,
        parts: &[Part],
        session: Option<&str>,
        trouble: &media::Trouble,
    ) -> Result<Form, Failure> {
        let mut form = Form::new();
        for part in parts {
            let mut out = match &part.content {
                Content::Text(text) => reqwest::multipart::Part::text(text.clone()),
                Content::Media(wanted) => {
                    let file = self
                        .library
                        .open(wanted, session, trouble)
                        .await
                        .map_err(Failure::Media)?;
                    match file.len {
                        Some(len) => reqwest::multipart::Part::stream_with_length(file.body, len),
                        None => reqwest::multipart::Part::stream(file.body),
                    }
                }
            };
            if let Some(name) = &part.file_name {
                out = out.file_name(name.clone());
            }
            if let Some(mime) = &part.mime {
                // An attachment's MIME type is a stranger's word; what does not parse is bytes.
                out = if mime.parse::<mime_guard::Mime>().is_ok() {
                    out.mime_str(mime)
                        .map_err(|_| bug("a part's MIME type does not parse"))?
                } else {
                    out.mime_str("application/octet-stream")
                        .map_err(|_| bug("MIME"))?
                };
            }
            form = form.part(part.name.clone(), out);
        }
        Ok(form)
    }

    /// The same address at this target's own origin.
    fn at_base(&self, address: &str) -> Option<String> {
        let url = Url::parse(address).ok()?;
        let query = url.query().map(|query| format!("?{query}"));
        let base = self.base.as_str().trim_end_matches('/');
        Some(format!("{base}{}{}", url.path(), query.unwrap_or_default()))
    }

    fn address(&self, call: &HttpCall) -> Result<Url, Failure> {
        let joined = if call.path.starts_with("https://") || call.path.starts_with("http://") {
            Url::parse(&call.path)
        } else {
            let base = self.base.as_str().trim_end_matches('/');
            Url::parse(&format!("{base}/{}", call.path.trim_start_matches('/')))
        };
        let mut url = joined.map_err(|_| bug("the address of a call does not parse"))?;
        if !call.query.is_empty() {
            // %20 rather than +: every server reads it alike.
            let query: Vec<String> = call
                .query
                .iter()
                .map(|(name, value)| {
                    let encode = handoffd_contract::text::encode;
                    format!("{}={}", encode(name).replace("%24", "$"), encode(value))
                })
                .collect();
            url.set_query(Some(&query.join("&")));
        }
        Ok(url)
    }
}

fn not_opened() -> Failure {
    let words = "the event stream did not open in time";
    Failure::NotSent(Stop::new(Reason::TimedOut, words))
}

/// A minimal check that a MIME type has the shape `type/subtype`.
mod mime_guard {
    pub struct Mime;

    impl std::str::FromStr for Mime {
        type Err = ();

        fn from_str(text: &str) -> Result<Mime, ()> {
            let token = |part: &str| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
            };
            match text.split_once('/') {
                Some((kind, sub)) if token(kind) && token(sub) => Ok(Mime),
                _ => Err(()),
            }
        }
    }
}

/// Reads a reply within [`MAX_REPLY`].
pub(crate) async fn read_reply(response: reqwest::Response) -> Result<HttpReply, Failure> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| match failure(&error) {
            Failure::NotSent(stop) => Failure::Lost(stop),
            other => other,
        })?;
        let room = MAX_REPLY.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    Ok(HttpReply {
        status,
        headers,
        body,
    })
}

/// What an error of the client says about the request's effect. Its text is not used: it may hold
/// the address with an id or a name in it.
pub(crate) fn failure(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::NotSent(Stop::new(Reason::Unreachable, cause(error)))
    } else if error.is_builder() {
        bug("a request could not be built")
    } else if error.is_timeout() {
        Failure::Lost(Stop::new(Reason::TimedOut, "no answer in time"))
    } else {
        Failure::Lost(Stop::new(Reason::Unreachable, cause(error)))
    }
}

fn cause(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<std::io::Error>() {
        Some(io) => format!("connection failed: {}", io.kind()),
        None if error.is_connect() => format!("connection failed: {deepest}"),
        None => "the connection broke off".to_owned(),
    }
}

fn carries_file(body: &Body) -> bool {
    match body {
        Body::Media(_) | Body::JsonWithFile(_) => true,
        Body::Multipart(parts) => parts
            .iter()
            .any(|part| matches!(part.content, Content::Media(_))),
        Body::Empty | Body::Json(_) | Body::Form(_) => false,
    }
}

fn bug(words: &str) -> Failure {
    Failure::NotSent(Stop::new(Reason::Bug, words))
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port_or_known_default() == b.port_or_known_default()
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Patch => reqwest::Method::PATCH,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| bug("a header's name does not parse"))
}

fn header_value(value: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bug("a header's value does not parse"))
}
