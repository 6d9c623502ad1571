//! Attachment bytes, streamed from their source into a request, within size and policy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use futures::{Stream, StreamExt, stream};
use handoffd_contract::{Connector, MediaProblem, MediaRef, Source};
use secrecy::ExposeSecret;
use url::Url;

use super::keep;
use super::policy::{Policy, PublicOnly};
use super::token_budget::Priority;
use super::{Wire, outbound};
use crate::config::{MediaSignIn, OutboundConfig};
use crate::ledger::FileLedger;

/// How many redirects a file's address may make, each under the policy.
const MAX_REDIRECTS: usize = 3;

/// An open file.
pub struct File {
    /// Its length, when the source says it.
    pub len: Option<u64>,
    /// Its bytes.
    pub body: reqwest::Body,
}

/// What went wrong with a file while its bytes were already under way.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<MediaProblem>>>);

impl Trouble {
    /// What went wrong, if anything did.
    #[must_use]
    pub fn get(&self) -> Option<MediaProblem> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, problem: MediaProblem) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }
}

/// A target from which files may be fetched with its own sign-in.
struct Shelf {
    connector: Arc<dyn Connector>,
    wire: Arc<Wire>,
}

/// Opens attachments wherever their bytes are.
pub struct AttachmentFetcher {
    policy: Policy,
    client: reqwest::Client,
    timeout: Duration,
    /// The largest file, whatever the target takes.
    max_bytes: u64,
    /// What hosts are shown whose files want it.
    sign_in: Vec<MediaSignIn>,
    /// Whether a proxy resolves names, so that they are judged before it is asked.
    judges: bool,
    /// Set once the wires exist, which themselves need the library.
    shelves: OnceLock<BTreeMap<String, Shelf>>,
    /// Where files are that were fetched before they are needed.
    kept: OnceLock<Arc<dyn FileLedger>>,
}

impl AttachmentFetcher {
    /// A library under a policy; `timeout` is for a file's first byte and for every further piece,
    /// and no file may be larger than `max_bytes`.
    ///
    /// # Errors
    /// The TLS library could not be set up.
    pub fn new(
        policy: Policy,
        timeout: Duration,
        max_bytes: u64,
        way: &OutboundConfig,
    ) -> Result<AttachmentFetcher, reqwest::Error> {
        let mut builder = outbound::client_builder(timeout, way)?.read_timeout(timeout);
        if !policy.allow_private {
            let but = outbound::hosts(way).into();
            builder = builder.dns_resolver(Arc::new(PublicOnly { but }));
        }
        Ok(AttachmentFetcher {
            judges: !policy.allow_private && !way.is_direct(),
            policy,
            client: builder.build()?,
            timeout,
            max_bytes,
            sign_in: Vec::new(),
            shelves: OnceLock::new(),
            kept: OnceLock::new(),
        })
    }

    /// The same, which shows these hosts what they want to see; others, and those that they lead to,
    /// never.
    #[must_use]
    pub fn signing_in(self, sign_in: Vec<MediaSignIn>) -> AttachmentFetcher {
        AttachmentFetcher { sign_in, ..self }
    }

    /// Has it look here first for a file that is at an address. Only the first call counts.
    pub fn look_first_in(&self, kept: Arc<dyn FileLedger>) {
        // A second call would be a defect of the caller, and harmless.
        let _ = self.kept.set(kept);
    }

    /// The largest file, in bytes.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The header for an address, if its host has one.
    fn shown_to(&self, url: &Url) -> Option<(&str, &str)> {
        let host = url.host_str()?.to_ascii_lowercase();
        let is_one = |name: &String| match name.strip_prefix('.') {
            Some(_) => host.ends_with(name.as_str()),
            None => host == *name,
        };
        let found = self.sign_in.iter().find(|one| one.hosts.iter().any(is_one));
        found.map(|one| (one.header.as_str(), one.value.expose_secret()))
    }

    /// Makes the targets known. Only the first call counts.
    pub fn register(&self, targets: impl Iterator<Item = (String, Arc<dyn Connector>, Arc<Wire>)>) {
        let shelves = targets
            .map(|(name, connector, wire)| (name, Shelf { connector, wire }))
            .collect();
        // A second call would be a defect of the caller, and harmless.
        let _ = self.shelves.set(shelves);
    }

    /// Opens an attachment, of a session where there is one. `trouble` learns what goes wrong after that.
    ///
    /// # Errors
    /// [`MediaProblem`].
    pub async fn open(
        &self,
        wanted: &MediaRef,
        session: Option<&str>,
        trouble: &Trouble,
    ) -> Result<File, MediaProblem> {
        let max = wanted.max_bytes.min(self.max_bytes);
        match wanted
            .attachment
            .source
            .as_ref()
            .ok_or(MediaProblem::Gone)?
        {
            Source::Inline { data } => {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(data.as_bytes())
                    .map_err(|_| MediaProblem::Gone)?;
                if bytes.len() as u64 > max {
                    return Err(MediaProblem::TooLarge);
                }
                Ok(File {
                    len: Some(bytes.len() as u64),
                    body: bytes.into(),
                })
            }
            Source::Url { url } => {
                if let (Some(kept), Some(session)) = (self.kept.get(), session)
                    && let Some(file) = keep::find(kept, session, &wanted.attachment.id, url).await
                {
                    return keep::open(Arc::clone(kept), file, max, trouble);
                }
                self.fetch(url, max, trouble).await
            }
            Source::Target { target, url } => {
                let shelf = self
                    .shelves
                    .get()
                    .and_then(|all| all.get(target))
                    .ok_or(MediaProblem::Gone)?;
                let call = handoffd_contract::HttpCall::get(url.clone());
                self.fetch_signed_in(&shelf.wire, &call, max, trouble).await
            }
            Source::Whatsapp { media_id } => self.fetch_whatsapp(media_id, max, trouble).await,
        }
    }

    /// Reads an attachment whole, as base64, for a message that must carry it.
    ///
    /// # Errors
    /// [`MediaProblem`].
    pub async fn inline(&self, wanted: &MediaRef) -> Result<String, MediaProblem> {
        let trouble = Trouble::default();
        let file = self.open(wanted, None, &trouble).await?;
        let bytes = http_body_util::BodyExt::collect(file.body).await;
        match (bytes, trouble.get()) {
            (_, Some(problem)) => Err(problem),
            (Err(_), None) => Err(MediaProblem::Unreachable),
            (Ok(bytes), None) => {
                Ok(base64::engine::general_purpose::STANDARD.encode(bytes.to_bytes()))
            }
        }
    }

    /// Whether an address that others chose may be asked for, by a proxy as well.
    async fn admit(&self, url: &Url) -> Result<(), MediaProblem> {
        if self.judges {
            let judged = tokio::time::timeout(self.timeout, outbound::judge(url)).await;
            judged.map_err(|_| MediaProblem::Unreachable)??;
        }
        Ok(())
    }

    /// Opens the file at an address, of at most `max` bytes.
    pub(super) async fn fetch(
        &self,
        address: &str,
        max: u64,
        trouble: &Trouble,
    ) -> Result<File, MediaProblem> {
        let mut url = self.policy.check(address)?;
        for _ in 0..=MAX_REDIRECTS {
            self.admit(&url).await?;
            let mut asked = self.client.get(url.clone());
            if let Some((name, value)) = self.shown_to(&url) {
                asked = asked.header(name, value);
            }
            let response = tokio::time::timeout(self.timeout, asked.send())
                .await
                .map_err(|_| MediaProblem::Unreachable)?
                .map_err(|error| refused(&error))?;
            if !response.status().is_redirection() {
                return file(response, max, trouble);
            }
            let next = response
                .headers()
                .get("location")
                .and_then(|value| value.to_str().ok());
            let next = next
                .and_then(|next| url.join(next).ok())
                .ok_or(MediaProblem::Gone)?;
            url = self.policy.check(next.as_str())?;
        }
        Err(MediaProblem::Forbidden)
    }

    async fn fetch_signed_in(
        &self,
        wire: &Wire,
        call: &handoffd_contract::HttpCall,
        max: u64,
        trouble: &Trouble,
    ) -> Result<File, MediaProblem> {
        match Box::pin(wire.open_file(call)).await {
            Ok(Ok(response)) => file(response, max, trouble),
            Ok(Err(reply)) => Err(by_status(reply.status)),
            Err(_) => Err(MediaProblem::Unreachable),
        }
    }

    /// A WhatsApp media id is first exchanged for an address that lives for five minutes and wants
    /// the same token; the token is shown to the hosts that the connector names and to no other.
    async fn fetch_whatsapp(
        &self,
        id: &str,
        max: u64,
        trouble: &Trouble,
    ) -> Result<File, MediaProblem> {
        let shelves = self.shelves.get().ok_or(MediaProblem::Gone)?;
        let lookup = shelves
            .values()
            .find_map(|shelf| Some((shelf, shelf.connector.media_lookup(id)?)));
        let (shelf, lookup) = lookup.ok_or(MediaProblem::Gone)?;
        let reply = Box::pin(shelf.wire.send(&lookup.call))
            .await
            .map_err(|_| MediaProblem::Unreachable)?;
        if !reply.ok() {
            return Err(by_status(reply.status));
        }
        let json = reply.json().ok_or(MediaProblem::Unreachable)?;
        let address = json["url"].as_str().ok_or(MediaProblem::Gone)?;
        let size = json["file_size"]
            .as_str()
            .and_then(|s| s.parse().ok())
            .or(json["file_size"].as_u64());
        if size.is_some_and(|size| size > max) {
            return Err(MediaProblem::TooLarge);
        }
        let hosts = Policy {
            allow_hosts: lookup.hosts,
            allow_private: self.policy.allow_private,
        };
        let address = match lookup.by_base {
            true => shelf.wire.at_base(address).ok_or(MediaProblem::Gone)?,
            false => address.to_owned(),
        };
        let url: Url = hosts.check(&address)?;
        self.admit(&url).await?;
        let headers = shelf
            .wire
            .sign_in
            .headers(&handoffd_contract::Auth::Target, Priority::Lane)
            .await;
        let mut request = self.client.get(url);
        for (name, value) in headers.map_err(|_| MediaProblem::Unreachable)? {
            request = request.header(name, value);
        }
        let response = tokio::time::timeout(self.timeout, request.send())
            .await
            .map_err(|_| MediaProblem::Unreachable)?
            .map_err(|error| refused(&error))?;
        file(response, max, trouble)
    }
}

/// A name without any public address is a matter of policy, not of the network.
fn refused(error: &reqwest::Error) -> MediaProblem {
    let mut at: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = at {
        if error.to_string() == "the name has no public address" {
            return MediaProblem::Forbidden;
        }
        at = error.source();
    }
    MediaProblem::Unreachable
}

fn by_status(status: u16) -> MediaProblem {
    match status {
        408 | 425 | 429 | 500.. => MediaProblem::Unreachable,
        _ => MediaProblem::Gone,
    }
}

fn file(response: reqwest::Response, max: u64, trouble: &Trouble) -> Result<File, MediaProblem> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(by_status(status));
    }
    let len = response.content_length();
    if len.is_some_and(|len| len > max) {
        return Err(MediaProblem::TooLarge);
    }
    let bytes = response
        .bytes_stream()
        .map(|piece| piece.map_err(|_| MediaProblem::Unreachable));
    Ok(File {
        len,
        body: reqwest::Body::wrap_stream(bounded(bytes, max, trouble.clone())),
    })
}

/// Passes bytes on until there are more than `max`.
pub(super) fn bounded(
    bytes: impl Stream<Item = Result<bytes::Bytes, MediaProblem>> + Send + 'static,
    max: u64,
    trouble: Trouble,
) -> impl Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static {
    stream::unfold(
        (Box::pin(bytes), 0u64, false),
        move |(mut bytes, seen, ended)| {
            let trouble = trouble.clone();
            async move {
                if ended {
                    return None;
                }
                let problem = match bytes.next().await? {
                    Ok(piece) if seen + piece.len() as u64 <= max => {
                        let seen = seen + piece.len() as u64;
                        return Some((Ok(piece), (bytes, seen, false)));
                    }
                    Ok(_) => MediaProblem::TooLarge,
                    Err(problem) => problem,
                };
                trouble.set(problem);
                Some((
                    Err(std::io::Error::other(problem.words())),
                    (bytes, seen, true),
                ))
            }
        },
    )
}

/// A file's bytes in base64 between two texts, piece by piece.
pub(super) fn in_base64(before: String, file: reqwest::Body, after: String) -> reqwest::Body {
    let bytes = http_body_util::BodyStream::new(file);
    let start = stream::once(async move { Ok(bytes::Bytes::from(before)) });
    // Three bytes are four letters: what is left over of a piece goes with the next one.
    let middle = stream::unfold(Some((bytes, Vec::new())), |state| async move {
        let (mut bytes, mut left): (_, Vec<u8>) = state?;
        loop {
            match bytes.next().await {
                Some(Ok(frame)) => {
                    let Ok(piece) = frame.into_data() else {
                        continue;
                    };
                    left.extend_from_slice(&piece);
                    let rest = left.split_off(left.len() - left.len() % 3);
                    let letters = base64::engine::general_purpose::STANDARD.encode(&left);
                    return Some((Ok(bytes::Bytes::from(letters)), Some((bytes, rest))));
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None => {
                    let letters = base64::engine::general_purpose::STANDARD.encode(&left);
                    return Some((Ok(bytes::Bytes::from(letters)), None));
                }
            }
        }
    });
    // After a file that broke off nothing follows, so that nobody takes the half for the whole.
    let end = stream::once(async move { Ok(bytes::Bytes::from(after)) });
    let mut broken = false;
    let whole = start.chain(middle).chain(end).take_while(move |piece| {
        let go = !broken;
        broken |= piece.is_err();
        std::future::ready(go)
    });
    reqwest::Body::wrap_stream(whole)
}
