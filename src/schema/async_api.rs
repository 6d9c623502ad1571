//! The AsyncAPI document around the schemas: channels and operations.

use serde_json::{Map, Value, json};

use super::KINDS;

/// The whole document.
pub(super) fn document(messages: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    let on = |channel: &str, inbound: bool| {
        let refs: Vec<_> = KINDS
            .iter()
            .filter(|kind| kind.inbound == inbound)
            .map(|kind| json!({ "$ref": format!("#/channels/{channel}/messages/{}", kind.key()) }))
            .collect();
        Value::Array(refs)
    };
    let of = |inbound: bool| {
        let refs: Map<_, _> = KINDS
            .iter()
            .filter(|kind| kind.inbound == inbound)
            .map(|kind| {
                let key = kind.key();
                let reference = json!({ "$ref": format!("#/components/messages/{key}") });
                (key, reference)
            })
            .collect();
        Value::Object(refs)
    };
    // An endpoint is told of everything but what is to be sent.
    let told = |value: Value| -> Value {
        let is_told = |name: &str| !name.ends_with("reply.requested");
        match value {
            Value::Object(all) => all.into_iter().filter(|(key, _)| is_told(key)).collect(),
            Value::Array(all) => {
                let names = |one: &Value| one["$ref"].as_str().is_some_and(is_told);
                all.into_iter().filter(names).collect()
            }
            other => other,
        }
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "handoffd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events by which a WhatsApp gateway hands conversations to handoffd, and \
                            by which handoffd answers. Each is a CloudEvent 1.0. The schemas say \
                            what producers should send; more is taken: only an event that does not \
                            say which session or which customer it is about is refused, and every \
                            other field that cannot be read costs a warning.",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "events": {
                "address": null,
                "title": "Events for handoffd",
                "description": "The exchange of intake.amqp.exchange, with a routing key that \
                                intake.amqp.routing_keys binds.",
                "messages": of(true),
            },
            "http": {
                "address": "/v1/events",
                "title": "Events for handoffd, over HTTP",
                "description": "POST, one event or a batch, with a bearer token.",
                "messages": of(true),
                "bindings": { "http": {} },
            },
            "replies": {
                "address": null,
                "title": "Events for the gateway",
                "description": "The exchange of intake.amqp.publish_exchange. Every message is \
                                mandatory and confirmed, and has an AMQP message_id that is the \
                                same at every repeat.",
                "messages": of(false),
            },
            "webhooks": {
                "address": null,
                "title": "Events for endpoints",
                "description": "POST to the `url` of a target of kind events, one event each, signed \
                                as Standard Webhooks have it; `webhook-id` is the event's id and the \
                                same at every repeat.",
                "messages": told(of(false)),
                "bindings": { "http": {} },
            },
        },
        "operations": {
            "takeEvents": {
                "action": "receive",
                "summary": "Events are acknowledged when they are stored.",
                "channel": { "$ref": "#/channels/events" },
                "messages": on("events", true),
            },
            "takeEventsOverHttp": {
                "action": "receive",
                "summary": "Events are answered with 202 when they are stored.",
                "channel": { "$ref": "#/channels/http" },
                "messages": on("http", true),
                "bindings": { "http": { "method": "POST" } },
            },
            "publishReplies": {
                "action": "send",
                "summary": "Messages for the customer, and what became of handoffs.",
                "channel": { "$ref": "#/channels/replies" },
                "messages": on("replies", false),
            },
            "postEvents": {
                "action": "send",
                "summary": "What happens in conversations, at least once and in order.",
                "channel": { "$ref": "#/channels/webhooks" },
                "messages": told(on("webhooks", false)),
                "bindings": { "http": { "method": "POST" } },
            },
        },
        "components": { "messages": messages, "schemas": schemas },
    })
}
