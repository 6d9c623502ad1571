//! A message as a request to a gateway.

use handoffd_contract::{
    Attachment, Body, HttpCall, JsonWithFile, MediaRef, Part as FormPart, Reason, Refusal, Repeat,
    Step,
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::description::Gateway;
use super::request::{Payload, Request};
use super::template::{FILE, Values};
use crate::exit::digits;
use crate::facts::{self, Lane};
use crate::kinds::MediaKind;
use crate::parts::{Content, Part};
use crate::recipient::Recipient;
use crate::reply::public_address;

/// Name of the step that sends a message.
pub(crate) const SEND: &str = "reply.send";
/// Name of the step that has an id before a message is sent.
pub(crate) const NEW_ID: &str = "reply.id";
/// Name of the step that looks for a message by its id.
pub(crate) const LOOK: &str = "reply.look";

/// What [`answer`](super::answer) needs beside the reply.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HttpMemo {
    /// The fact of the message.
    pub(crate) sent: String,
    /// The fact of the id that it has beforehand.
    pub(crate) id: String,
    /// That id, where it has one.
    pub(crate) known: Option<String>,
    /// Our reference.
    pub(crate) reference: String,
    /// The customer's newest message, when it was planned.
    pub(crate) last_inbound: Option<String>,
    /// When it was planned.
    pub(crate) at: String,
}

/// A file as a gateway takes it.
pub(crate) struct Sendable<'a> {
    request: &'a Request,
    kind: MediaKind,
}

/// How a file leaves, or why it cannot.
pub(crate) fn file<'a>(
    gateway: &'a Gateway,
    file: &Attachment,
    kind: Option<MediaKind>,
) -> Result<Sendable<'a>, &'static str> {
    let kind = match kind {
        Some(kind) => kind,
        None if gateway.any_file => MediaKind::Document,
        None => return Err("WhatsApp does not take files of this type"),
    };
    if file.source.is_none() {
        return Err("the file is no longer at its source");
    }
    if file.size.is_some_and(|size| size > kind.max_bytes()) {
        return Err("the file is larger than WhatsApp takes");
    }
    let sections: &[&str] = match kind {
        MediaKind::Voice => &["voice", "audio", "file"],
        other => &[other.word(), "file"],
    };
    let request = sections.iter().find_map(|one| gateway.files.get(one));
    let request = request.ok_or("this gateway takes no files of this kind")?;
    if request.has("url") && !request.has(FILE) && public_address(file).is_none() {
        return Err("this gateway takes only files that have a public address");
    }
    Ok(Sendable { request, kind })
}

/// The step that sends one message of a reply or a notice.
///
/// # Errors
/// Something of the request is not known; a person must mend the settings.
pub(crate) fn send(
    gateway: &Gateway,
    lane: Lane<'_>,
    item: &str,
    part: &Part,
    to: &Recipient,
    sendable: Option<Sendable<'_>>,
) -> Result<Step, Refusal> {
    let mut values = values(gateway, lane, to)?;
    let memo = memo(lane, item, part);
    values.insert("reference".into(), memo.reference.as_str().into());
    values.extend(
        memo.known
            .as_ref()
            .map(|id| ("id".to_owned(), Value::from(id.as_str()))),
    );
    let mut media = None;
    let request = match (&part.content, sendable) {
        (Content::File { file, caption, .. }, Some(sendable)) => {
            let wanted = MediaRef {
                attachment: file.clone(),
                max_bytes: sendable.kind.max_bytes(),
            };
            let optional = [
                ("url", public_address(file).map(str::to_owned)),
                ("caption", caption.clone()),
                ("name", Some(file.file_name())),
                ("mime", Some(wanted.mime())),
                ("kind", Some(sendable.kind.word().to_owned())),
            ];
            let optional = optional.into_iter();
            values.extend(
                optional.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))),
            );
            media = Some(wanted);
            sendable.request
        }
        (Content::Template(template), _) => {
            let parameters = template.parameters.iter();
            let texts: Vec<Value> = parameters
                .clone()
                .map(|text| json!({"type": "text", "text": text}))
                .collect();
            let numbered: serde_json::Map<String, Value> = parameters
                .enumerate()
                .map(|(n, text)| ((n + 1).to_string(), text.as_str().into()))
                .collect();
            let numbered = Value::Object(numbered);
            if !texts.is_empty() {
                let components = json!([{"type": "body", "parameters": texts}]);
                values.insert("components".into(), components);
                values.insert("numbered_text".into(), numbered.to_string().into());
                values.insert("numbered".into(), numbered);
            }
            values.insert("template".into(), template.name.as_str().into());
            values.insert("language".into(), template.language.as_str().into());
            gateway.template.as_ref().unwrap_or(&gateway.text)
        }
        (content, _) => {
            values.insert("text".into(), text(content).into());
            values.insert("preview".into(), lane.settings.preview_url.into());
            let quoted = part.quotes.as_deref();
            values.extend(quoted.map(|id| ("quoted".to_owned(), id.into())));
            &gateway.text
        }
    };
    let call = written(request, &values, media)?;
    let number = &lane.work.session.business_number;
    Ok(Step::new(SEND, Repeat::Blind, call)
        .claim(memo.sent.clone())
        .spend("number", number)
        .context(serde_json::to_value(&memo).unwrap_or_default()))
}

/// The text of a message that carries no file.
fn text(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        _ => String::new(),
    }
}

fn memo(lane: Lane<'_>, item: &str, part: &Part) -> HttpMemo {
    let id = facts::known_id(item, &part.slot);
    HttpMemo {
        sent: facts::sent(item, &part.slot),
        known: lane.known.get(&id).map(str::to_owned),
        id,
        reference: lane.reference(item, &part.slot),
        last_inbound: lane.work.last_inbound.map(|at| at.to_string()),
        at: lane.work.now.to_string(),
    }
}

/// The step that has an id for a message before it is sent.
///
/// # Errors
/// As for [`send`].
pub(crate) fn new_id(
    gateway: &Gateway,
    lane: Lane<'_>,
    item: &str,
    part: &Part,
    to: &Recipient,
) -> Result<Option<Step>, Refusal> {
    let has_one = lane.known.is(&facts::known_id(item, &part.slot));
    let Some(ids) = gateway.ids.as_ref().filter(|_| !has_one) else {
        return Ok(None);
    };
    let memo = memo(lane, item, part);
    let call = written(&ids.request, &values(gateway, lane, to)?, None)?;
    let context = serde_json::to_value(&memo).unwrap_or_default();
    Ok(Some(Step::look(NEW_ID, call).context(context)))
}

/// The step that looks for a message whose outcome is unknown, where it has an id and the gateway can be
/// asked for it.
pub(crate) fn look(
    gateway: &Gateway,
    lane: Lane<'_>,
    item: &str,
    part: &Part,
    to: &Recipient,
) -> Option<Step> {
    let look = gateway.look.as_ref()?;
    let memo = memo(lane, item, part);
    let known = memo.known.as_deref()?;
    let mut values = values(gateway, lane, to).ok()?;
    values.insert("id".into(), known.into());
    let call = written(&look.request, &values, None).ok()?;
    let context = serde_json::to_value(&memo).unwrap_or_default();
    Some(Step::look(LOOK, call).context(context))
}

/// How long after a look that found nothing the next one is made.
pub(super) const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What names stand for whatever is sent.
fn values(gateway: &Gateway, lane: Lane<'_>, to: &Recipient) -> Result<Values, Refusal> {
    let number = lane.work.session.business_number.as_str();
    let mut values = Values::new();
    for (name, option) in &gateway.options {
        let Some(text) = option.of(number) else {
            let words = format!("`options.{name}` has nothing for the session's business number");
            return Err(Refusal::park(Reason::Invalid, words));
        };
        values.insert(name.clone(), text.into());
    }
    if let Some(form) = &gateway.session {
        let Some(found) = form.matched(&lane.work.session.id) else {
            let words = "the session's id is none of this gateway's, so it is not known where the reply belongs";
            return Err(Refusal::park(Reason::Invalid, words));
        };
        values.extend(found.into_iter().map(|(name, part)| (name, part.into())));
    }
    let from = digits(number);
    if !from.is_empty() {
        values.insert("from".into(), from.into());
    }
    let (form, name, value) = match to {
        Recipient::Phone(phone) => (&gateway.phone, "digits", phone.trim_start_matches('+')),
        Recipient::User(id) if id.ends_with("@lid") => (&gateway.lid, "lid", id.as_str()),
        Recipient::User(id) => (&gateway.user, "user", id.as_str()),
    };
    let own = Values::from([(name.to_owned(), Value::from(value))]);
    match form.as_ref().and_then(|form| form.text(&own)) {
        Some(to) => drop(values.insert("to".into(), to.into())),
        // Where the session says whom it reaches, nobody is addressed.
        None if gateway.session.is_some() => {}
        None => {
            let words = "this gateway cannot address a customer of whom no phone number is known";
            return Err(Refusal::park(Reason::NoCustomer, words));
        }
    }
    Ok(values)
}

/// A request with its names filled in.
fn written(
    request: &Request,
    values: &Values,
    media: Option<MediaRef>,
) -> Result<HttpCall, Refusal> {
    let unknown = || {
        let words = "the gateway's file needs something for this request that is not known";
        Refusal::park(Reason::Invalid, words)
    };
    let path = request.path.path(values).ok_or_else(unknown)?;
    let mut call = HttpCall::new(request.method, path);
    for (name, value) in &request.headers {
        call.headers
            .extend(value.text(values).map(|value| (name.clone(), value)));
    }
    call.body = match &request.body {
        Payload::Nothing => Body::Empty,
        Payload::Json(node) => {
            let (json, file) = node.render(values);
            match (file, media) {
                (Some(at), Some(media)) => {
                    Body::JsonWithFile(Box::new(JsonWithFile { json, at, media }))
                }
                _ => Body::Json(json),
            }
        }
        Payload::Form(fields) => {
            let fields = fields.iter();
            let fields = fields.filter_map(|(name, text)| Some((name.clone(), text.text(values)?)));
            Body::Form(fields.collect())
        }
        Payload::Multipart(fields) => {
            let fields = fields.iter().filter_map(|(name, text)| match &media {
                Some(media) if text.is(FILE) => Some(FormPart::file(name, media.clone())),
                _ => Some(FormPart::text(name, text.text(values)?)),
            });
            Body::Multipart(fields.collect())
        }
    };
    Ok(call)
}

/// The call of `check --live`, where the file has one that needs nothing of a session.
pub(crate) fn check(gateway: &Gateway, number: &str) -> Option<HttpCall> {
    let check = gateway.check.as_ref()?;
    let options = gateway.options.iter();
    let values: Option<Values> = options
        .map(|(name, option)| Some((name.clone(), option.of(number)?.into())))
        .collect();
    written(&check.request, &values?, None).ok()
}
