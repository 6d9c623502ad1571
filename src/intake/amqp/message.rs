//! A delivery as something that came in.

use std::collections::BTreeMap;

use lapin::message::Delivery;
use lapin::types::AMQPValue;

use crate::intake::{Incoming, Origin};

/// More headers than this are not kept; CloudEvents have a handful.
const MAX_HEADERS: usize = 64;
/// The longest header value that is kept, in bytes.
const MAX_VALUE: usize = 4_096;

/// The delivery's body, which is taken out of it, content type and headers, and which way it took.
pub(super) fn incoming(delivery: &mut Delivery) -> Incoming {
    let table = delivery.properties.headers().as_ref();
    let mut headers: BTreeMap<String, String> = table
        .into_iter()
        .flat_map(lapin::types::FieldTable::inner)
        .filter_map(|(name, value)| Some((name.to_string(), plain(value)?)))
        .take(MAX_HEADERS)
        .collect();
    headers.insert("amqp.exchange".to_owned(), delivery.exchange.to_string());
    headers.insert(
        "amqp.routing_key".to_owned(),
        delivery.routing_key.to_string(),
    );
    Incoming {
        origin: Origin::Amqp,
        content_type: delivery
            .properties
            .content_type()
            .as_ref()
            .map(ToString::to_string),
        headers,
        body: std::mem::take(&mut delivery.data),
    }
}

/// A value that is one word; lists and tables, such as `x-death`, are the broker's own.
fn plain(value: &AMQPValue) -> Option<String> {
    let text = match value {
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::ShortString(value) => value.to_string(),
        AMQPValue::LongString(value) => std::str::from_utf8(value.as_bytes()).ok()?.to_owned(),
        AMQPValue::ByteArray(value) => std::str::from_utf8(value.as_slice()).ok()?.to_owned(),
        // Seconds since 1970; the attribute `time` may come as one.
        AMQPValue::Timestamp(value) => jiff::Timestamp::from_second(i64::try_from(*value).ok()?)
            .ok()?
            .to_string(),
        _ => return None,
    };
    (text.len() <= MAX_VALUE).then_some(text)
}
