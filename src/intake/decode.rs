//! From bytes and headers to an event, or to the reason why not.
//!
//! CloudEvents 1.0 come in three forms: structured (one JSON object), batch (a list of those, over
//! HTTP only) and binary (attributes in headers, `data` in the body).
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md>

use std::collections::BTreeMap;

use handoffd_contract::{Contact, Data, Event, Reason, Stop};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::incoming::{BATCH, Incoming, Origin, STRUCTURED};
use super::shape::At;
use super::{payload, who};
use crate::config::Limits;

/// The most events of one batch.
pub const MAX_BATCH: usize = 1_000;

/// The event that came in.
///
/// # Errors
/// Which place is wrong, the shape of what is there, and what to write instead.
pub fn decode(incoming: &Incoming, limits: &Limits) -> Result<Event, Stop> {
    within(incoming, limits)?;
    if incoming.is_binary() {
        let prefix = incoming.origin.prefix();
        return event(&binary(incoming)?, prefix, limits);
    }
    match incoming.media_type().as_str() {
        STRUCTURED | "application/json" | "" => event(&json(&incoming.body)?, "", limits),
        BATCH => Err(Stop::new(
            Reason::Undecodable,
            "a batch is taken over HTTP only: publish each event as a message of its own",
        )),
        _ => Err(Stop::new(
            Reason::Undecodable,
            format!(
                "the content type is not one of {STRUCTURED}, application/json; write one, or send \
                 the attributes as {} headers",
                incoming.origin.prefix()
            ),
        )),
    }
}

/// The events of a batch, each as if it had come alone.
///
/// # Errors
/// The body is no list, or too long.
pub fn unbatch(incoming: &Incoming) -> Result<Vec<Incoming>, Stop> {
    let Value::Array(list) = json(&incoming.body)? else {
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

fn within(incoming: &Incoming, limits: &Limits) -> Result<(), Stop> {
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

/// serde_json's own words name a place and never the content.
fn json(body: &[u8]) -> Result<Value, Stop> {
    serde_json::from_slice(body).map_err(|error| {
        Stop::new(
            Reason::Undecodable,
            format!("the body is not JSON: {error}"),
        )
    })
}

/// The structured form of a binary event.
fn binary(incoming: &Incoming) -> Result<Value, Stop> {
    let json_type = matches!(incoming.media_type().as_str(), "" | "application/json")
        || incoming.media_type().ends_with("+json");
    if !json_type {
        return Err(Stop::new(
            Reason::Undecodable,
            "the content type of data is not JSON; write application/json",
        ));
    }
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
    map.insert("data".to_owned(), json(&incoming.body)?);
    Ok(Value::Object(map))
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

fn event(value: &Value, prefix: &str, limits: &Limits) -> Result<Event, Stop> {
    let at = At::root(value, prefix);
    at.object("write a CloudEvent as a JSON object")?;
    at.field("specversion").one_of(&["1.0"])?;
    let id = at
        .field("id")
        .id(limits.max_id, "write an id that is unique for its source")?;
    let source = at
        .field("source")
        .id(limits.max_id, "write who produced it, as a URI reference")?;
    let kind = kind(&at.field("type"))?;
    let subject = at
        .field("subject")
        .id(limits.max_id, "write the session's id")?;
    let time = at.field("time").time()?;
    let sequence = at
        .field("sequence")
        .given()
        .then(|| sequence(&at.field("sequence")))
        .transpose()?;
    let base64 = at.field("data_base64");
    if base64.given() {
        return Err(base64.wrong("write the payload as JSON in data"));
    }
    let data = at.field("data");
    match kind {
        "handoff.requested" => payload::handoff(&data, subject, limits)?,
        "message.received" => payload::message_event(&data, subject, true, limits)?,
        "message.sent" => payload::message_event(&data, subject, false, limits)?,
        "message.status" => payload::status(&data, limits)?,
        "session.closed" => payload::closed(&data, limits)?,
        _ => payload::updated(&data, limits)?,
    }
    let data = typed(kind, data.value().cloned().unwrap_or_default())?;
    Ok(Event {
        id: id.to_owned(),
        source: source.to_owned(),
        session: subject.to_owned(),
        time,
        sequence,
        data,
    })
}

/// The type, if the gateway may send it.
fn kind(at: &At<'_, '_>) -> Result<&'static str, Stop> {
    let given = at.value().and_then(Value::as_str).unwrap_or_default();
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

/// The extension is a text in CloudEvents and a number with many producers. It is kept as a signed
/// 64-bit number.
fn sequence(at: &At<'_, '_>) -> Result<u64, Stop> {
    let number = match at.value() {
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
        None => None,
    };
    number
        .filter(|number| i64::try_from(*number).is_ok())
        .ok_or_else(|| at.wrong("write the running number as digits, or leave it out"))
}

/// The payload as its type. Everything that serde would complain about was checked before, because
/// its complaints repeat values; hence what is left has no words of its own.
fn typed(kind: &str, mut data: Value) -> Result<Data, Stop> {
    fn read<T: DeserializeOwned>(data: Value) -> Result<T, Stop> {
        serde_json::from_value(data).map_err(|_| {
            Stop::new(
                Reason::Bug,
                "data passed its checks and yet does not fit its type",
            )
        })
    }
    drop_nulls(&mut data);
    let mut data = match kind {
        "handoff.requested" => Data::HandoffRequested(read(data)?),
        "message.received" => Data::MessageReceived(read(data)?),
        "message.sent" => Data::MessageSent(read(data)?),
        "message.status" => Data::MessageStatus(read(data)?),
        "session.closed" => Data::SessionClosed(read(data)?),
        _ => Data::ContactUpdated(read(data)?),
    };
    if let Some(contact) = contact_of(&mut data) {
        contact.wa_id = contact.wa_id.take().map(|id| who::wa_id(&id).to_owned());
    }
    Ok(data)
}

/// Many producers write `null` for what they do not know. AI-filled values are kept as they are.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            for (name, value) in map.iter_mut() {
                if name != "fields" {
                    drop_nulls(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn contact_of(data: &mut Data) -> Option<&mut Contact> {
    match data {
        Data::HandoffRequested(handoff) => Some(&mut handoff.contact),
        Data::MessageReceived(said) | Data::MessageSent(said) => said.contact.as_mut(),
        Data::ContactUpdated(updated) => Some(&mut updated.contact),
        _ => None,
    }
}
