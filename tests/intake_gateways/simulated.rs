//! What customers do in the simulator of WhatsApp, as its webhooks tell it and as a rep reads it: both sides
//! follow Meta's documentation, and neither knows the other.

use std::collections::BTreeMap;

use handoffd::config::Limits;
use handoffd::intake::dialects::{Preview, preview};
use handoffd::intake::{Incoming, Origin, decode};
use handoffd::mapping::dialect::shipped;
use handoffd_contract::{Data, text};
use jiff::Timestamp;
use serde_json::{Value, json};

const ANA: &str = "4915112345678";

#[test]
fn what_customers_do_is_read_as_what_it_is() {
    let now: Timestamp = "2026-11-20T09:00:00Z".parse().unwrap();
    let mut phones = handoffd_whatsapp::sandbox();
    phones.switch("webhook_url", &json!("http://h/")).unwrap();
    let first = json!({"act": "text", "from": ANA, "name": "Ana", "text": "Helo"});
    let first = phones.act(now, &first).unwrap()["id"].clone();
    phones.deliveries(now);
    let dialect = shipped::shipped("cloudapi").unwrap();
    let mut read = |act: Value| {
        let mut whole = json!({"from": ANA});
        let act = act.as_object().unwrap().clone();
        whole.as_object_mut().unwrap().extend(act);
        phones.act(now, &whole).unwrap();
        let hook = phones.deliveries(now).pop().unwrap();
        phones.delivered(now, hook.id, Some(200));
        let incoming = Incoming {
            origin: Origin::Http,
            content_type: Some("application/json".to_owned()),
            headers: BTreeMap::new(),
            body: hook.body,
        };
        let made = preview(
            &dialect,
            &BTreeMap::new(),
            &Limits::default(),
            &incoming,
            now,
        );
        let Preview::Made(events, _) = made else {
            panic!("{whole} is not taken")
        };
        let [(event, _)] = events.as_slice() else {
            panic!("{whole}: {} events", events.len())
        };
        let mut event = event.clone();
        event["subject"] = "s".into();
        let incoming = Incoming {
            body: event.to_string().into_bytes(),
            ..incoming
        };
        let event = decode(&incoming, &Limits::default(), now).unwrap();
        assert_eq!(event.warnings, Vec::<String>::new(), "{whole}");
        match event.data {
            Data::MessageReceived(said) => said,
            other => panic!("{whole}: {other:?}"),
        }
    };
    for (act, line) in [
        (
            json!({"act": "text", "text": "Hi", "answers": first}),
            "↩ an earlier message\nHi",
        ),
        (
            json!({"act": "react", "message": first, "emoji": "👍"}),
            "[reaction 👍]",
        ),
        (
            json!({"act": "react", "message": first}),
            "[reaction removed]",
        ),
        (
            json!({"act": "edit", "message": first, "text": "Hello"}),
            "[edited] Hello",
        ),
        (
            json!({"act": "delete", "message": first}),
            "[message deleted]",
        ),
        (
            json!({"act": "contacts", "name": "Lucía", "phone": "+1 983"}),
            "[contact card: Lucía, +1 983]",
        ),
        (
            json!({"act": "order", "items": [{"product": "SKU-1", "quantity": 2, "price": 9.99}], "text": "soon"}),
            "soon\n[order: 2 items, 19.98 EUR]\n• 2 × SKU-1, 9.99 EUR",
        ),
        (
            json!({"act": "unsupported", "kind": "poll_creation"}),
            "[unsupported message: poll_creation]",
        ),
        (json!({"act": "choose", "id": "o1", "title": "Red"}), "Red"),
        (
            json!({"act": "choose", "form": "button", "id": "o1", "title": "Red"}),
            "Red",
        ),
        (
            json!({"act": "location", "latitude": 1.0, "longitude": 2.0, "name": "Here"}),
            "[location: Here] https://maps.google.com/?q=1.000000,2.000000",
        ),
        (
            json!({"act": "media", "kind": "sticker", "content": "x"}),
            "",
        ),
    ] {
        let said = read(act.clone());
        assert_eq!(text::body(&said.message), line, "{act}");
        let contact = said.contact.unwrap();
        assert!(
            contact.user_id.is_some_and(|id| id.starts_with("DE.")),
            "{act}"
        );
        assert_eq!(contact.wa_id.as_deref(), Some(ANA));
        let earlier = said.message.earlier().next().cloned();
        if act["message"] == first {
            assert_eq!(json!(earlier.unwrap().message_id), first, "{act}");
        }
        if act["act"] == "choose" {
            assert_eq!(said.message.choice.unwrap().id, "o1");
        }
    }
}
