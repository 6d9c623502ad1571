//! Whatever comes does no harm.

use handoffd::intake::{Gate, Incoming};
use handoffd_contract::Event;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::intake::File;
use crate::{came, gate, gateways};

/// JSON of any shape, with the names that dialects look at.
fn payloads() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "object",
        "entry",
        "changes",
        "field",
        "value",
        "messages",
        "statuses",
        "metadata",
        "display_phone_number",
        "contacts",
        "from",
        "id",
        "type",
        "text",
        "body",
        "timestamp",
        "event",
        "instance",
        "data",
        "key",
        "remoteJid",
        "fromMe",
        "message",
        "conversation",
        "imageMessage",
        "fileLength",
        "low",
        "session",
        "payload",
        "me",
        "media",
        "MessageSid",
        "AccountSid",
        "From",
        "To",
        "Body",
        "SmsStatus",
        "status",
        "conversation",
        "meta",
        "sender",
        "phone_number",
        "attachments",
        "changed_attributes",
        "message_type",
        "apikey",
        "_data",
        "vote",
        "selectedOptions",
        "code",
        "emoji",
        "reaction",
        "context",
        "edit",
        "original_message_id",
        "order",
        "product_items",
        "item_price",
        "quantity",
        "referral",
        "interactive",
        "list_reply",
        "contextInfo",
        "stanzaId",
        "contactMessage",
        "vcard",
        "options",
        "replyTo",
        "vCards",
        "name",
        "contacts",
        "phones",
        "latitude",
        "longitude",
        "groupId",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "whatsapp_business_account",
            "messages",
            "messages.upsert",
            "message",
            "message.ack",
            "4915112345678@s.whatsapp.net",
            "1@lid",
            "4930",
            "received",
            "whatsapp:+491",
            "message_created",
            "incoming",
            "conversation_status_changed",
            "open",
            "pending",
            "read",
            "text",
            "1772443200",
            "{{ body }}",
        ])
        .prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(7, 80, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..7).prop_map(|map| Value::Object(
                map.into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            )),
        ]
    });
    let frames = prop::sample::select(vec![
        json!({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": null}]}]}),
        json!({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": {"messages": null}}]}]}),
        json!({"event": "messages.upsert", "instance": "i", "data": null}),
        json!({"event": "messages.upsert", "instance": "i", "data": {"key": {"remoteJid": "1@s.whatsapp.net"}, "message": null}}),
        json!({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": {"messages": [{"from": "491", "id": "1", "type": "order", "order": null}]}}]}]}),
        json!({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": {"messages": [{"from": "491", "id": "1", "contacts": [null], "context": null}]}}]}]}),
        json!({"event": "messages.upsert", "instance": "i", "data": {"key": {"remoteJid": "1@s.whatsapp.net"}, "message": {"pollUpdateMessage": {"vote": null}, "orderMessage": null}}}),
        json!({"event": "poll.vote", "session": "s", "payload": {"vote": {"from": "1@c.us", "selectedOptions": null}, "poll": null}}),
        json!({"event": "message.edited", "session": "s", "payload": {"from": "1@c.us", "editedMessageId": null, "replyTo": null}}),
        json!({"event": "message", "session": "s", "payload": null}),
        json!({"event": "message_created", "conversation": {"id": 1}, "content_attributes": null}),
        json!({"MessageSid": "S", "AccountSid": "A", "From": null}),
        json!({"type": "whatsapp.inbound_message.received", "apiVersion": "v2", "createTime": "x", "whatsappInboundMessage": null}),
        json!({"type": "whatsapp.message.updated", "apiVersion": "v2", "createTime": "x", "whatsappMessage": {"status": "failed", "whatsappApiError": null}}),
        json!({"eventType": "message", "id": "1", "conversationId": "c", "waId": "491", "type": "location", "data": null}),
        json!({"eventType": "sessionMessageFailed", "id": "1", "conversationId": "c", "failedCode": null, "timestamp": null}),
        json!({"app": "a", "version": 2, "type": "message", "payload": {"type": "text", "source": "491", "payload": null}}),
        json!({"app": "a", "version": 2, "type": "message-event", "payload": {"type": "failed", "id": "1", "payload": null}}),
        Value::Null,
    ]);
    (frames, tree).prop_map(|(mut frame, tree)| {
        fill(&mut frame, &tree);
        frame
    })
}

/// Puts a value where a frame has nothing.
fn fill(frame: &mut Value, with: &Value) {
    match frame {
        Value::Null => *frame = with.clone(),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, with)),
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, with)),
        _ => {}
    }
}

/// What must be true whatever comes: it is events that tell whom they are about, or left alone on
/// purpose, or refused with words that repeat nothing of it; and the same again is the same.
fn judged(gate: &Gate, incoming: &Incoming) {
    let now: Timestamp = "2026-03-02T09:20:00Z".parse().unwrap();
    let verdict = gate.verdict(incoming, now);
    let later = gate.verdict(incoming, now + jiff::SignedDuration::from_secs(1));
    assert_eq!(verdict.events.len(), later.events.len());
    for (one, again) in verdict.events.iter().zip(&later.events) {
        let event = &one.admission.event;
        assert!(!event.id.is_empty() && !event.session.is_empty() && !event.source.is_empty());
        assert_eq!(event.id, again.admission.event.id, "known again");
        assert_eq!(event.session, again.admission.event.session);
        let find = one.admission.find.as_ref().unwrap();
        let has_customer = !find.customers.is_empty();
        assert!(
            find.named || has_customer || event.data.kind() == "message.status",
            "{event:?}"
        );
        assert!(find.customers.iter().all(|key| !key.ends_with("@g.us")));
        let text = serde_json::to_string(event).unwrap();
        assert!(!text.contains("SECRET"), "{text}");
        assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), event);
    }
    if let Some(stop) = &verdict.refused {
        assert!(stop.message.len() < 3_000 && !stop.message.contains(|c: char| c.is_control()));
        assert!(!stop.message.contains("SECRET"), "{}", stop.message);
    }
    assert!(
        !verdict.events.is_empty() || !verdict.skipped.is_empty() || verdict.refused.is_some(),
        "something became of it"
    );
}

#[test]
fn whatever_comes_it_does_no_harm_and_has_an_identity() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let file = runtime.block_on(File::new());
    let gate = gate(&file, &gateways());
    let mut runner = proptest::test_runner::TestRunner::default();
    let outcome = runner.run(&payloads(), |mut body| {
        if let Some(map) = body.as_object_mut() {
            map.insert("apikey".to_owned(), "SECRET".into());
        }
        judged(&gate, &came(&body));
        let form = Incoming {
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            ..came(&body)
        };
        judged(&gate, &form);
        Ok(())
    });
    outcome.unwrap();
}
