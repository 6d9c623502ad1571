//! What a message is beside text, files and a place: read as tolerantly as is certain.

use handoffd_contract::text::body;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{HANDOFF, handoff, received, with};

/// The example message with its text taken out and these fields put in, as people read it.
fn shown(fields: Value) -> (String, Vec<String>) {
    let (message, warnings) = with_fields(fields);
    (body(&message), warnings)
}

fn with_fields(fields: Value) -> (handoffd_contract::Message, Vec<String>) {
    let mut message =
        json!({"id": "wamid.9", "time": "2026-03-02T09:12:41Z", "author": {"kind": "customer"}});
    let fields = fields.as_object().expect("an object").clone();
    message.as_object_mut().expect("an object").extend(fields);
    let mut event: Value = serde_json::from_str(crate::RECEIVED).expect("the example fits");
    event["data"]["message"] = message;
    let event = crate::decoded(event.to_string());
    match event.data {
        handoffd_contract::Data::MessageReceived(said) => (said.message, event.warnings),
        other => panic!("{}", other.kind()),
    }
}

#[test]
fn every_kind_is_read_as_it_should_be_written() {
    for (fields, line) in [
        (
            json!({"reaction": {"emoji": "👍", "message_id": "w"}}),
            "[reaction 👍]",
        ),
        (
            json!({"reaction": {"emoji": "", "message_id": "w"}}),
            "[reaction removed]",
        ),
        (
            json!({"text": "Yes", "quote": {"message_id": "w", "text": "Red?", "author": {"kind": "agent", "name": "Ben"}}}),
            "↩ Agent (Ben): “Red?”\nYes",
        ),
        (
            json!({"text": "Hello", "edit": {"message_id": "w"}}),
            "[edited] Hello",
        ),
        (
            json!({"deletion": {"message_id": "w"}}),
            "[message deleted]",
        ),
        (
            json!({"contacts": [{"name": "Lucía", "phones": ["+1 983"]}]}),
            "[contact card: Lucía, +1 983]",
        ),
        (json!({"text": "Red", "choice": {"id": "o1"}}), "Red"),
        (
            json!({"order": {"items": [{"name": "Cap", "quantity": 2, "price": 5.5, "currency": "EUR"}]}}),
            "[order: 2 items, 11.00 EUR]\n• 2 × Cap, 5.50 EUR",
        ),
        (
            json!({"poll": {"question": "When?", "options": ["Mon"]}}),
            "[poll: When?]\n• Mon",
        ),
        (
            json!({"vote": {"message_id": "w", "options": ["Mon"]}}),
            "[poll vote: Mon]",
        ),
        (
            json!({"referral": {"headline": "Now", "url": "https://fb.me/1"}}),
            "[from the ad: Now] https://fb.me/1",
        ),
        (
            json!({"unsupported": "poll_creation"}),
            "[unsupported message: poll_creation]",
        ),
        (
            json!({"location": {"latitude": 1, "longitude": 2, "live": true}}),
            "[live location] https://maps.google.com/?q=1.000000,2.000000",
        ),
    ] {
        let (found, warnings) = shown(fields.clone());
        assert_eq!((found.as_str(), &warnings[..]), (line, &[][..]), "{fields}");
    }
}

#[test]
fn every_kind_is_read_as_gateways_write_it() {
    for (fields, line) in [
        (json!({"reaction": "👍"}), "[reaction 👍]"),
        (
            json!({"text": "Yes", "quote": "w"}),
            "↩ an earlier message\nYes",
        ),
        (json!({"text": "Hello", "edit": "w"}), "[edited] Hello"),
        (json!({"deletion": true}), "[message deleted]"),
        (
            json!({"contacts": ["BEGIN:VCARD\r\nFN:Lucía\r\nTEL:+1 983\r\nEND:VCARD"]}),
            "[contact card: Lucía, +1 983]",
        ),
        (
            json!({"contacts": {"name": {"formatted_name": "Lucía"}, "phones": [{"phone": "+1 983", "wa_id": "1983"}], "emails": [{"email": "l@x.test"}]}}),
            "[contact card: Lucía, +1 983, l@x.test]",
        ),
        (json!({"choice": "o1"}), "[chosen: o1]"),
        (
            json!({"order": {"items": ["Cap"], "total": "11", "currency": "EUR"}}),
            "[order: 1 item, 11.00 EUR]\n• 1 × Cap",
        ),
        (json!({"poll": "When?"}), "[poll: When?]"),
        (
            json!({"vote": {"options": [{"name": "Mon"}]}}),
            "[poll vote: Mon]",
        ),
    ] {
        let (found, warnings) = shown(fields.clone());
        assert_eq!((found.as_str(), &warnings[..]), (line, &[][..]), "{fields}");
    }
    // What cannot be read is told and costs nothing else.
    for (fields, place) in [
        (
            json!({"text": "x", "order": 7}),
            "data.message.order is a number",
        ),
        (
            json!({"text": "x", "quote": [1]}),
            "data.message.quote is a list of 1",
        ),
        (
            json!({"text": "x", "order": {"items": [{"name": "Cap", "quantity": -1}]}}),
            "data.message.order.items[0].quantity",
        ),
        (
            json!({"text": "x", "referral": {"headline": "Now", "url": "fb.me"}}),
            "data.message.referral.url",
        ),
    ] {
        let (found, warnings) = shown(fields.clone());
        assert!(found.starts_with('x'), "{fields}: {found}");
        assert!(
            warnings.iter().any(|one| one.starts_with(place)),
            "{fields}: {warnings:?}"
        );
    }
}

#[test]
fn a_message_about_another_one_has_an_id_of_its_own() {
    for fields in [
        json!({"text": "Hello", "edit": {"message_id": "wamid.9"}}),
        json!({"deletion": "wamid.9"}),
        json!({"reaction": {"emoji": "👍", "message_id": "wamid.9"}}),
    ] {
        let (message, warnings) = with_fields(fields.clone());
        assert!(
            message.id.starts_with("wamid.9~"),
            "{fields}: {}",
            message.id
        );
        assert_eq!(
            with_fields(fields).0.id,
            message.id,
            "the same whenever it comes again"
        );
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}

#[test]
fn stickers_and_whatsapps_own_notices_are_shown_where_that_is_set() {
    let sticker = json!([{"id": "s", "kind": "sticker", "mime": "image/webp"}]);
    let notice = json!({"text": "Ana changed her number", "system": "user_changed_number"});
    let (message, warnings) = with_fields(json!({"attachments": sticker}));
    assert!(
        message.is_empty() && warnings.is_empty(),
        "{message:?} {warnings:?}"
    );
    assert!(with_fields(notice.clone()).0.is_empty());
    let (message, _) = with_fields(json!({"attachments": sticker, "text": "look"}));
    assert_eq!(body(&message), "look");
    // In a transcript there is nothing in their place.
    let mut transcript: Value = serde_json::from_str(HANDOFF).expect("the example fits");
    let transcript = transcript["data"]["transcript"].take();
    let count = transcript.as_array().expect("a list").len();
    let mut more = transcript.clone();
    let said = json!({"id": "s-1", "time": "2026-03-02T09:12:41Z", "author": {"kind": "customer"}, "attachments": sticker});
    more.as_array_mut().expect("a list").push(said);
    let shown = handoff(with(HANDOFF, "/data/transcript", more)).transcript;
    let stickers = transcript.to_string().matches("sticker").count();
    assert!(shown.len() <= count && shown.len() + stickers >= count);
    let limits = handoffd::config::Limits {
        stickers: true,
        system_messages: true,
        ..handoffd::config::Limits::default()
    };
    for (fields, line) in [
        (json!({"attachments": sticker}), "[sticker: sticker-s.webp]"),
        (notice, "Ana changed her number"),
    ] {
        let mut event: Value = serde_json::from_str(crate::RECEIVED).expect("the example fits");
        let mut message = json!({"id": "wamid.9", "time": "2026-03-02T09:12:41Z", "author": {"kind": "customer"}});
        let fields = fields.as_object().expect("an object").clone();
        message.as_object_mut().expect("an object").extend(fields);
        event["data"]["message"] = message;
        let event =
            handoffd::intake::decode(&crate::incoming(event.to_string()), &limits, crate::now());
        let handoffd_contract::Data::MessageReceived(said) = event.expect("an event").data else {
            panic!("no message")
        };
        assert_eq!(body(&said.message), line);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[\\PC\n\u{0}]{0,20}".prop_map(Value::from),
        Just(json!("BEGIN:VCARD\nTEL:1")),
    ];
    let names = "(message_id|id|text|emoji|options|items|name|phones|author|total|url|kind)";
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_stands_in_them_the_message_is_taken(
        fields in prop::collection::btree_map(
            "(quote|reaction|edit|deletion|contacts|choice|referral|order|poll|vote|system|unsupported|text)",
            any_json(),
            0..6,
        )
    ) {
        let fields = Value::Object(fields.into_iter().collect());
        let (message, warnings) = with_fields(fields);
        // Read again as it is kept, it is the same.
        let kept = serde_json::to_string(&message).expect("json");
        let again: handoffd_contract::Message = serde_json::from_str(&kept).expect("a message");
        prop_assert_eq!(&again, &message);
        for line in body(&message).lines() {
            prop_assert!(!line.starts_with("[AI assistant]"));
        }
        prop_assert!(warnings.len() <= 51);
    }
}

#[test]
fn a_place_that_is_wrong_is_named_by_its_way_and_never_by_its_value() {
    let (_, warnings) = received("order", json!({"items": [{"price": "a lot of SECRET"}]}));
    assert!(
        warnings[0].starts_with("data.message.order.items[0].price is a text of"),
        "{warnings:?}"
    );
    assert!(!warnings.join("").contains("SECRET"));
}
