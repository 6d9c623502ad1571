//! From bytes and headers to an event, or to the reason why not.
//!
//! CloudEvents 1.0 come in three forms: structured (one JSON object), batch (a list of those, over
//! HTTP only) and binary (attributes in headers, `data` in the body).
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md>

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::{Contact, Data, Event, Reason, Stop};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::incoming::{BATCH, Incoming, Origin, STRUCTURED};
use super::json::{Json, json};
use super::payload::{self, Envelope};
use super::said;
use super::shape::At;
use super::time::Moment;
use super::warn::{Context, Warning};
use super::who;
use crate::config::Limits;

/// The most events of one batch.
pub const MAX_BATCH: usize = 1_000;

/// An event that was read, and what of it could not be read as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The event, with the warnings' words.
    pub event: Event,
    /// The warnings.
    pub warnings: Vec<Warning>,
    /// Ids of messages whose time or author is a guess: they do not show that the customer wrote.
    pub unsure: HashSet<String>,
}

/// The event that came in at this time.
///
/// # Errors
/// Nothing tells which session or which customer it is about, or it is no event at all: which place is
/// wrong, the shape of what is there, and what to write instead.
pub fn decode(incoming: &Incoming, limits: &Limits, now: Timestamp) -> Result<Event, Stop> {
    read(incoming, limits, now).map(|read| read.event)
}

/// The same, with everything that was noticed on the way.
///
/// # Errors
/// As above.
pub fn read(incoming: &Incoming, limits: &Limits, now: Timestamp) -> Result<Read, Stop> {
    within(incoming, limits)?;
    let context = Context::new(limits, now);
    let media_type = incoming.media_type();
    let is_json = matches!(media_type.as_str(), STRUCTURED | "application/json" | "")
        || media_type.ends_with("+json");
    if media_type == BATCH && !incoming.is_binary() {
        return Err(Stop::new(
            Reason::Undecodable,
            "a batch is taken over HTTP only: publish each event as a message of its own",
        ));
    }
    let other_type = || {
        let remedy = format!(
            "the content type is not one of {STRUCTURED}, application/json; write one, or send the \
             attributes as {} headers",
            incoming.origin.prefix()
        );
        Stop::new(Reason::Undecodable, remedy)
    };
    let body = match json(&incoming.body) {
        Ok(body) => body,
        // Some clients send no body at all where there is nothing to say.
        Err(_) if incoming.is_binary() && incoming.body.is_empty() => Json::whole(Value::Null),
        Err(_) if !is_json => return Err(other_type()),
        Err(stop) => return Err(stop),
    };
    let remarks = [
        (
            body.mended,
            "its text was mended: write JSON in UTF-8, without half characters",
        ),
        (
            !is_json,
            "its content type was taken for JSON: write application/json",
        ),
    ];
    for (_, remark) in remarks.iter().filter(|(is_so, _)| *is_so) {
        context.warn(Warning {
            place: "the event".to_owned(),
            field: "event".to_owned(),
            text: format!("the event was read although {remark}"),
            lost: false,
        });
    }
    let event = if incoming.is_binary() {
        let value = binary_form(incoming, body.value);
        event(&value, incoming.origin.prefix(), &context)?
    } else {
        event(&body.value, "", &context)?
    };
    Ok(finished(event, context))
}

/// The event of a JSON object in the structured form.
///
/// # Errors
/// As above.
pub(super) fn read_value(value: &Value, limits: &Limits, now: Timestamp) -> Result<Read, Stop> {
    let context = Context::new(limits, now);
    let event = event(value, "", &context)?;
    Ok(finished(event, context))
}

/// Whom an event is about, as far as it says so: the business number and the customer.
pub(super) fn about(
    value: &Value,
    limits: &Limits,
    now: Timestamp,
) -> (Option<String>, Option<Contact>) {
    let context = Context::new(limits, now);
    let at = At::root(value, "", &context);
    let data = at.field("data");
    let session = data.field("session");
    let number = who::business_number(&session.field("business_number"));
    let contact = who::known(&data.field("contact"));
    (Some(number).filter(|number| !number.is_empty()), contact)
}

fn finished(mut event: Event, context: Context<'_>) -> Read {
    let (warnings, unsure) = context.into_parts();
    event.warnings = warnings.iter().map(|one| one.text.clone()).collect();
    Read {
        event,
        warnings,
        unsure,
    }
}

/// The events of a batch, each as if it had come alone.
///
/// # Errors
/// The body is no list, or too long.
pub fn unbatch(incoming: &Incoming) -> Result<Vec<Incoming>, Stop> {
    let Value::Array(list) = json(&incoming.body)?.value else {
        return Err(Stop::new(
            Reason::Undecodable,
            "the body is not a list; write a list of events",
        ));
    };
    if list.len() > MAX_BATCH {
        return Err(Stop::new(
            Reason::LimitExceeded,
            format!(
                "the body is a list of {}; at most {MAX_BATCH} events are taken at once",
                list.len()
            ),
        ));
    }
    let single = |value: Value| Incoming {
        origin: incoming.origin,
        content_type: Some(STRUCTURED.to_owned()),
        headers: BTreeMap::new(),
        body: value.to_string().into_bytes(),
    };
    Ok(list.into_iter().map(single).collect())
}

/// Whether something is no larger than is taken.
pub(super) fn within(incoming: &Incoming, limits: &Limits) -> Result<(), Stop> {
    let (size, max) = (incoming.body.len(), limits.max_event_bytes);
    if size <= max {
        return Ok(());
    }
    Err(Stop::new(
        Reason::LimitExceeded,
        format!(
            "the event is {size} bytes; at most {max} are taken: send less, or raise intake.limits.max_event_bytes"
        ),
    ))
}

/// The structured form of a binary event.
fn binary_form(incoming: &Incoming, data: Value) -> Value {
    let mut map = Map::new();
    for (name, value) in &incoming.headers {
        if let Some(attribute) = incoming.origin.attribute(name) {
            let value = match incoming.origin {
                Origin::Amqp => value.clone(),
                Origin::Http => percent_decoded(value),
            };
            map.insert(attribute, value.into());
        }
    }
    map.insert("data".to_owned(), data);
    Value::Object(map)
}

/// Header values over HTTP are percent-encoded; what is not well-formed stays as it is.
fn percent_decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        let code = bytes
            .get(i + 1..i + 3)
            .filter(|_| byte == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(code.unwrap_or(byte));
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| value.to_owned())
}

fn event(value: &Value, prefix: &str, context: &Context<'_>) -> Result<Event, Stop> {
    let at = At::root(value, prefix, context);
    at.must_be_object("write a CloudEvent as a JSON object")?;
    let kind = kind(&at.field("type"))?;
    let version = at.field("specversion");
    if version.scalar().as_deref() != Some("1.0") {
        version.read_as("it was read as 1.0: write 1.0");
    }
    let inner = inner(&at);
    let data = at.field("data");
    let data = inner.as_ref().map_or(data, |value| data.with(value));
    let (subject, session) = session(&at.field("subject"), &data)?;
    let id = at.field("id");
    let id = id.id().unwrap_or_else(|| {
        id.read_as("another was made of what was sent: write an id that is unique for its source");
        said::derived_id(&value.to_string())
    });
    let source = at.field("source");
    let source = source.id().unwrap_or_else(|| {
        source.read_as("it was read as unknown: write who produced it, as a URI reference");
        "unknown".to_owned()
    });
    let time = time(&at.field("time"));
    let sequence = sequence(&at.field("sequence"));
    let envelope = Envelope {
        id: &id,
        subject: &subject,
        session: &session,
        time,
    };
    let data = match kind {
        "handoff.requested" => payload::handoff(&data, &envelope)?,
        "message.received" => payload::message_event(&data, &envelope, true)?,
        "message.sent" => payload::message_event(&data, &envelope, false)?,
        "message.status" => payload::status(&data)?,
        "session.closed" => payload::closed(&data),
        "session.returned" => payload::returned(&data),
        _ => payload::updated(&data)?,
    };
    Ok(Event {
        id,
        source,
        session,
        time,
        sequence,
        warnings: Vec::new(),
        data,
    })
}

/// The type, if the gateway may send it.
fn kind(at: &At<'_, '_>) -> Result<&'static str, Stop> {
    let given = at.scalar().unwrap_or_default().to_ascii_lowercase();
    Data::INBOUND
        .iter()
        .find(|kind| **kind == given)
        .copied()
        .ok_or_else(|| {
            at.wrong(&format!(
                "the types that are taken are {}",
                Data::INBOUND.join(", ")
            ))
        })
}

/// The payload where it stands in another form: as base64, or as a text that is JSON itself.
fn inner(at: &At<'_, '_>) -> Option<Value> {
    let (data, base64) = (at.field("data"), at.field("data_base64"));
    let parse = |bytes: &[u8]| serde_json::from_slice(bytes).ok().filter(Value::is_object);
    if base64.given() {
        base64.read_as("write the payload as JSON in data");
        if !data.given() {
            let text = base64.value().and_then(Value::as_str)?;
            return parse(&STANDARD.decode(text).ok()?);
        }
    }
    let value = parse(data.value()?.as_str()?.as_bytes())?;
    data.read_as("its text was read as JSON: write it as an object");
    Some(value)
}

/// The session's id as it was written, and as it is kept.
fn session(subject: &At<'_, '_>, data: &At<'_, '_>) -> Result<(String, String), Stop> {
    let inside = data.field("session");
    let inside = inside.field("id");
    let place = if subject.id().is_some() || inside.id().is_none() {
        subject
    } else {
        subject.read_as("data.session.id was taken: write the session's id");
        &inside
    };
    match (place.scalar(), place.id()) {
        (Some(written), Some(kept)) => Ok((written, kept)),
        _ => Err(subject.wrong("write the session's id")),
    }
}

/// The session that something is about which may be no event for other reasons.
pub(super) fn session_of(incoming: &Incoming, limits: &Limits) -> Option<String> {
    within(incoming, limits).ok()?;
    let body = json(&incoming.body).map_or(Value::Null, |body| body.value);
    let context = Context::new(limits, Timestamp::UNIX_EPOCH);
    let binary = incoming.is_binary();
    let value = if binary {
        binary_form(incoming, body)
    } else {
        body
    };
    let prefix = if binary { incoming.origin.prefix() } else { "" };
    let at = At::root(&value, prefix, &context);
    at.must_be_object("").ok()?;
    let data = at.field("data");
    let inner = inner(&at);
    let data = inner.as_ref().map_or(data, |value| data.with(value));
    session(&at.field("subject"), &data)
        .ok()
        .map(|(_, kept)| kept)
}

/// When it happened; when it came, if that cannot be read or lies ahead.
fn time(at: &At<'_, '_>) -> Timestamp {
    let now = at.context().now;
    match at.moment().map(Moment::at) {
        Some(time) if !at.context().is_ahead(time) => time,
        Some(_) => {
            at.read_as("it lies ahead, the time of arrival was taken: check the clock");
            now
        }
        None => {
            if !at.given() {
                at.read_as("the time of arrival was taken: write an RFC 3339 time");
            }
            now
        }
    }
}

/// The extension is a text in CloudEvents and a number with many producers. It is kept as a signed
/// 64-bit number.
fn sequence(at: &At<'_, '_>) -> Option<u64> {
    if at.is_nothing() {
        return None;
    }
    let number = at.scalar().and_then(|text| text.parse().ok());
    let number = number.filter(|number| i64::try_from(*number).is_ok());
    if number.is_none() {
        at.read_as("it was left out: write the running number as digits");
    }
    number
}
