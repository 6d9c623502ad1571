//! From a payload to events: conversations, handoffs, dead letters.

use std::collections::BTreeMap;

use handoffd::config::{DialectConfig, On, Opening};
use handoffd::intake::{Incoming, Origin};
use handoffd::ledger::Admitted;
use handoffd::mapping::dialect::Dialect;
use handoffd::operate::dead_letters::{Mode, alike, edit, readmit};
use handoffd_contract::{Controller, Data};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::intake::File;
use crate::{came, evolution, gate, gateways, stored, take};

#[tokio::test]
async fn a_payload_becomes_an_event_and_a_repeat_is_nothing() {
    let file = File::new().await;
    let gate = gate(&file, &gateways());
    let taken = take(
        &gate,
        &[
            evolution("1", "Oi"),
            evolution("1", "Oi"),
            evolution("2", "Oi?"),
        ],
    )
    .await;
    let event = stored(&file, &taken[0]).await;
    assert_eq!(taken[1], Ok(Admitted::Duplicate));
    assert_eq!(event.warnings, Vec::<String>::new());
    let Data::MessageReceived(said) = &event.data else {
        panic!("a message: {event:?}")
    };
    assert_eq!(said.message.text.as_deref(), Some("Oi"));
    assert_eq!(said.session.as_ref().unwrap().id, event.session);
    assert_eq!(
        said.contact.as_ref().unwrap().wa_id.as_deref(),
        Some("5521970001122")
    );
    let second = stored(&file, &taken[2]).await;
    assert_eq!(
        second.session, event.session,
        "the open conversation goes on"
    );
}

#[tokio::test]
async fn a_payload_of_several_messages_becomes_several_events() {
    let file = File::new().await;
    let gate = gate(&file, &gateways());
    let said = |from: &str, id: &str| json!({"from": from, "id": id, "timestamp": "1772443200", "type": "text", "text": {"body": "x"}});
    let body = json!({"object": "whatsapp_business_account", "entry": [
        {"changes": [{"field": "messages", "value": {"metadata": {"display_phone_number": "4930", "phone_number_id": "1"}, "messages": [said("491", "a"), said("492", "b")]}}]},
        {"changes": [{"field": "messages", "value": {"metadata": {"display_phone_number": "4930", "phone_number_id": "1"}, "messages": [said("491", "c")]}}]}]});
    let taken = take(&gate, &[body]).await;
    let mut sessions = Vec::new();
    for one in &taken {
        sessions.push(stored(&file, one).await.session);
    }
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions[0], sessions[2]);
    assert_ne!(sessions[0], sessions[1]);
}

#[tokio::test]
async fn ycloud_wati_and_gupshup_are_told_apart_and_each_has_its_conversation() {
    let file = File::new().await;
    let gate = gate(&file, &gateways());
    let ycloud = |id: &str| {
        json!({"id": format!("evt-{id}"), "type": "whatsapp.inbound_message.received", "apiVersion": "v2", "createTime": "2026-03-02T09:20:01.000Z",
            "whatsappInboundMessage": {"id": "1", "wamid": id, "wabaId": "W", "from": "+4915110000001", "to": "+4930", "type": "text", "text": {"body": "Hallo"}}})
    };
    let wati = |id: &str| {
        json!({"id": "1", "whatsappMessageId": id, "conversationId": "c", "text": "Hallo", "type": "text", "timestamp": "1772443200", "owner": false,
            "eventType": "message", "waId": "4915110000002", "channelPhoneNumber": "4930"})
    };
    let gupshup = |id: &str| {
        json!({"app": "Shop", "timestamp": 1_772_443_200_123_i64, "version": 2, "type": "message", "payload": {"id": id, "source": "4915110000003",
            "type": "text", "payload": {"text": "Hallo"}, "sender": {"phone": "4915110000003", "name": "Jana"}}})
    };
    for (payloads, source) in [
        ([ycloud("y1"), ycloud("y1"), ycloud("y2")], "ycloud/W"),
        ([wati("w1"), wati("w1"), wati("w2")], "wati/4930"),
        (
            [gupshup("g1"), gupshup("g1"), gupshup("g2")],
            "gupshup/Shop",
        ),
    ] {
        let taken = take(&gate, &payloads).await;
        let first = stored(&file, &taken[0]).await;
        assert_eq!(first.source, source);
        assert_eq!(first.warnings, Vec::<String>::new());
        assert!(
            matches!(&first.data, Data::MessageReceived(said) if said.message.text.as_deref() == Some("Hallo"))
        );
        assert_eq!(taken[1], Ok(Admitted::Duplicate), "{source}");
        assert_eq!(stored(&file, &taken[2]).await.session, first.session);
    }
    // A status that names no customer and tells of no message of ours is nobody's.
    let status = json!({"eventType": "sentMessageREAD_v2", "id": "1", "whatsappMessageId": "o1", "conversationId": "c", "timestamp": "1772443200"});
    assert_eq!(take(&gate, &[status]).await, [Ok(Admitted::Nobody)]);
    assert!(file.ledger.dead_letters(0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_no_dialect_takes_is_a_dead_letter_that_names_the_nearest() {
    let file = File::new().await;
    let gate = gate(&file, &gateways());
    let odd = json!({"event": "something.new", "instance": "shop", "apikey": "KEY-1", "password": "KEY-2", "text": "hello there"});
    let taken = take(&gate, &[odd]).await;
    let Err(words) = &taken[0] else {
        panic!("taken: {taken:?}")
    };
    assert!(
        words.contains("the nearest is evolution, of whose 3 conditions 2 hold"),
        "{words}"
    );
    assert!(words.contains("body.data is not none"), "{words}");
    assert!(!words.contains("hello"), "{words}");
    let letters = file.ledger.dead_letters(0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    let raw = String::from_utf8(letters[0].letter.raw.clone()).unwrap();
    assert!(raw.contains("hello there"), "{raw}");
    assert!(!raw.contains("KEY-"), "{raw}");
    let whole = format!(
        "{:?}{:?}",
        letters[0].letter.headers, letters[0].letter.stop
    );
    assert!(!whole.contains("KEY-"), "{whole}");
}

#[tokio::test]
async fn a_dead_letter_is_tried_again_with_the_dialects_of_today() {
    let file = File::new().await;
    let mut config = gateways();
    config.sources[0].dialects = vec!["waha".to_owned()];
    let before = gate(&file, &config);
    assert!(take(&before, &[evolution("1", "Oi")]).await[0].is_err());
    let letters = file.ledger.dead_letters(0, 10).await.unwrap();
    let words = readmit(&before, letters[0].id, Mode::Do).await.unwrap_err();
    assert!(words.contains("still cannot be understood"), "{words}");
    let after = gate(&file, &gateways());
    let words = readmit(&after, letters[0].id, Mode::DryRun).await.unwrap();
    assert!(words.contains("would be admitted, as 1 events"), "{words}");
    assert_eq!(file.ledger.dead_letters(0, 10).await.unwrap().len(), 1);
    let words = readmit(&after, letters[0].id, Mode::Do).await.unwrap();
    assert!(words.contains("is admitted, as 1 events"), "{words}");
    assert!(file.ledger.dead_letters(0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_letter_is_changed_and_judged_with_the_dialects_of_today() {
    let file = File::new().await;
    let gate = gate(&file, &gateways());
    let mut wrong = evolution("1", "Oi");
    let data = wrong["data"].take();
    assert!(take(&gate, &[wrong]).await[0].is_err());
    let letters = file.ledger.dead_letters(0, 10).await.unwrap();
    let id = letters[0].id;
    let words = edit(&gate, id, json!({"data": null}), Mode::Do)
        .await
        .unwrap_err();
    assert!(words.contains("still cannot be understood"), "{words}");
    assert_eq!(file.ledger.dead_letters(0, 10).await.unwrap(), letters);
    let patch = json!({"data": data});
    let words = edit(&gate, id, patch.clone(), Mode::DryRun).await.unwrap();
    assert!(words.contains("would be admitted, as 1 events"), "{words}");
    assert_eq!(file.ledger.dead_letters(0, 10).await.unwrap(), letters);
    let words = edit(&gate, id, patch, Mode::Do).await.unwrap();
    assert!(words.contains("is admitted, as 1 events"), "{words}");
    assert!(file.ledger.dead_letters(0, 10).await.unwrap().is_empty());
    let words = edit(&gate, id, json!({}), Mode::Do).await.unwrap_err();
    assert_eq!(words, format!("there is no dead letter {id}"));
}

#[tokio::test]
async fn those_of_one_cause_and_source_are_judged_again_in_the_order_in_which_they_came() {
    let file = File::new().await;
    let mut config = gateways();
    config.sources[0].dialects = vec!["waha".to_owned()];
    let before = gate(&file, &config);
    assert!(take(&before, &[evolution("1", "Oi")]).await[0].is_err());
    let other = json!({"specversion": "1.0", "type": "handoff.requested", "data": {}});
    assert!(take(&before, &[other]).await[0].is_err());
    assert!(take(&before, &[evolution("2", "tudo bem?")]).await[0].is_err());
    let letters = file.ledger.dead_letters(0, 10).await.unwrap();
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
    assert_eq!(
        alike(&*file.ledger, ids[2], 10).await,
        Ok(vec![ids[0], ids[2]])
    );
    assert_eq!(alike(&*file.ledger, ids[1], 10).await, Ok(vec![ids[1]]));
    let words = alike(&*file.ledger, 9_999, 10).await.unwrap_err();
    assert_eq!(words, "there is no dead letter 9999");
}

#[tokio::test]
async fn cloudevents_are_taken_beside_dialects_and_unchanged() {
    let file = File::new().await;
    let gate = gate(&file, &gateways());
    let event: Value =
        serde_json::from_str(include_str!("../events/message.received.json")).unwrap();
    let taken = take(&gate, std::slice::from_ref(&event)).await;
    let stored = stored(&file, &taken[0]).await;
    assert_eq!(stored.session, event["subject"].as_str().unwrap());
    // One that is wrong is told as one, whatever else the way speaks.
    let taken = take(
        &gate,
        &[json!({"specversion": "1.0", "type": "handoff.requested", "data": {}})],
    )
    .await;
    assert!(
        matches!(&taken[0], Err(words) if words.contains("subject")),
        "{taken:?}"
    );
}

#[tokio::test]
async fn groups_statuses_of_others_and_notices_leave_no_trace() {
    let file = File::new().await;
    let gate = gate(&file, &gateways());
    let mut group = evolution("1", "x");
    group["data"]["key"]["remoteJid"] = "1203@g.us".into();
    let notice =
        json!({"event": "connection.update", "instance": "shop", "data": {"state": "open"}});
    assert_eq!(take(&gate, &[group, notice]).await, []);
    let status = json!({"event": "messages.update", "instance": "shop", "sender": "5511900000000@s.whatsapp.net",
        "data": {"keyId": "X", "remoteJid": "5521970001122@s.whatsapp.net", "fromMe": true, "status": "READ"}});
    assert_eq!(take(&gate, &[status]).await, [Ok(Admitted::Nobody)]);
    assert!(file.ledger.dead_letters(0, 10).await.unwrap().is_empty());
}

/// Which of a customer's messages brought them to people.
async fn opened(on: On, texts: &[&str]) -> Vec<usize> {
    let file = File::new().await;
    let mut config = gateways();
    config.open = vec![Opening {
        on,
        dialects: Vec::new(),
        reason: "asked".to_owned(),
    }];
    let gate = gate(&file, &config);
    let mut opened = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        let taken = take(&gate, &[evolution(&format!("{n}"), text)]).await;
        stored(&file, &taken[0]).await;
        if let Some(Ok(Admitted::New(seq))) = taken.get(1) {
            let event = file.ledger.event(*seq).await.unwrap().unwrap();
            let Data::HandoffRequested(handoff) = &event.data else {
                panic!("a handoff: {event:?}")
            };
            assert_eq!(handoff.handoff.reasons, ["asked"]);
            assert_eq!(handoff.session.id, event.session);
            assert_eq!(handoff.transcript.len(), n + 1, "what was said until now");
            let report = file.ledger.session_report(&event.session).await.unwrap();
            let controller = report.conversation.unwrap().controller;
            assert!(matches!(controller, Controller::Queued { .. }));
            opened.push(n);
        }
    }
    opened
}

#[tokio::test]
async fn a_conversation_is_opened_by_its_first_message_a_word_or_a_field() {
    let words = || On::Words(vec!["agente".to_owned(), "a person".to_owned()]);
    assert_eq!(
        opened(On::First, &["Oi", "tudo bem?"]).await,
        [0],
        "people have it then"
    );
    assert_eq!(
        opened(words(), &["Oi", "agentes", "AGENTE!", "agente"]).await,
        [2]
    );
    assert_eq!(opened(words(), &["may I speak to a person?"]).await, [0]);
    let field = |is: &str| On::Field("body.instance".to_owned(), vec![is.to_owned()]);
    assert_eq!(opened(field("shop"), &["Oi"]).await, [0]);
    assert_eq!(opened(field("other"), &["Oi"]).await, [0; 0]);
}

#[tokio::test]
async fn a_gateways_own_handoff_gets_what_was_said_and_can_be_left_alone() {
    let paused = json!({"event": "typebot.change-status", "instance": "shop", "sender": "5511900000000@s.whatsapp.net", "data": {
        "remoteJid": "5521970001122@s.whatsapp.net", "status": "paused", "session": {"id": "s", "updatedAt": "2026-03-02T09:20:00Z", "parameters": {"apiKey": "KEY", "order": "7"}}}});
    let file = File::new().await;
    let gate_on = gate(&file, &gateways());
    let taken = take(
        &gate_on,
        &[evolution("1", "Oi"), paused.clone(), paused.clone()],
    )
    .await;
    let event = stored(&file, &taken[1]).await;
    let Data::HandoffRequested(handoff) = &event.data else {
        panic!("a handoff: {event:?}")
    };
    assert_eq!(handoff.transcript.len(), 1);
    assert_eq!(handoff.fields.get("order"), Some(&json!("7")));
    assert!(!serde_json::to_string(&event).unwrap().contains("KEY"));
    assert_eq!(taken[2], Ok(Admitted::Duplicate));
    let file = File::new().await;
    let mut config = gateways();
    config.signals = false;
    let gate_off = gate(&file, &config);
    assert_eq!(take(&gate_off, &[paused]).await, []);
}

#[tokio::test]
async fn a_template_that_fails_costs_its_value_and_not_the_message() {
    let text = "kind = \"intake\"\nname = \"odd\"\n[[event]]\ntype = \"message.received\"\nid = \"{{ body.id }}\"\ncontact.wa_id = \"491\"\nsession.business_number = \"+4930\"\n\
                message.text = \"{{ body.text }}\"\nmessage.author = { kind = \"customer\", name = \"{{ body.id | date('%!') }}\" }\n";
    let dialect = Dialect::parse("odd.toml", text).unwrap();
    let file = File::new().await;
    let mut config = gateways();
    let options = BTreeMap::new();
    config
        .dialects
        .insert("odd".to_owned(), DialectConfig { dialect, options });
    config.sources[0].dialects = vec!["odd".to_owned()];
    let gate = gate(&file, &config);
    let taken = take(&gate, &[json!({"id": "x1", "text": "Hi"})]).await;
    let event = stored(&file, &taken[0]).await;
    assert!(
        event
            .warnings
            .iter()
            .any(|words| words
                .contains("a template of the dialect failed: event.message.author.name")),
        "{:?}",
        event.warnings
    );
    // Several events of one payload, one of which tells nobody: the others are kept.
    let text = "kind = \"intake\"\nname = \"half\"\n[[event]]\ntype = \"message.received\"\nlist = \"m in body.m\"\nid = \"{{ m.id }}\"\ncontact.wa_id = \"{{ m.from }}\"\nmessage.text = \"x\"\n";
    let dialect = Dialect::parse("half.toml", text).unwrap();
    let options = BTreeMap::new();
    config
        .dialects
        .insert("half".to_owned(), DialectConfig { dialect, options });
    config.sources[0].dialects = vec!["half".to_owned()];
    let gate = crate::gate(&file, &config);
    let taken = take(
        &gate,
        &[json!({"m": [{"id": "1", "from": "491"}, {"id": "2"}]})],
    )
    .await;
    assert!(
        matches!(taken[..], [Ok(Admitted::New(_)), Err(_)]),
        "{taken:?}"
    );
    assert_eq!(file.ledger.dead_letters(0, 10).await.unwrap().len(), 1);
}

/// A dialect for one routing key and one value of a header.
fn parted(name: &str, when: &str) -> DialectConfig {
    let text = format!(
        "kind = \"intake\"\nname = \"{name}\"\n[when]\n{when}\n[[event]]\ntype = \"message.received\"\nlist = \"m in body.m\"\nid = \"{{{{ m.id }}}}\"\nsource = \"{name}\"\n\
         contact.wa_id = \"{{{{ m.from }}}}\"\nsession.business_number = \"+4930\"\nmessage.id = \"{{{{ m.id }}}}\"\nmessage.text = \"x\"\nmessage.author = \"customer\"\n"
    );
    DialectConfig {
        dialect: Dialect::parse("parted.toml", &text).unwrap(),
        options: BTreeMap::new(),
    }
}

#[tokio::test]
async fn dialects_of_one_queue_are_told_apart_by_routing_key_and_header() {
    let file = File::new().await;
    let mut config = gateways();
    for (name, when) in [
        ("north", "routing_key = [\"north.#\"]\nholds = \"body.m\""),
        (
            "south",
            "header = { x-from = \"south\" }\nholds = \"body.m\"",
        ),
    ] {
        config.dialects.insert(name.to_owned(), parted(name, when));
    }
    config.amqp = vec!["north".to_owned(), "south".to_owned()];
    let gate = gate(&file, &config);
    let body = json!({"m": [{"id": "1", "from": "491"}]});
    for (key, header, wanted) in [
        ("north.new", "", Ok("north")),
        ("other", "South", Ok("south")),
        (
            "other",
            "east",
            Err(
                "the nearest is north, of whose 2 conditions 1 hold; the first that does not is: routing_key",
            ),
        ),
    ] {
        let headers = [("amqp.routing_key", key), ("X-From", header)];
        let incoming = Incoming {
            origin: Origin::Amqp,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..came(&body)
        };
        let verdict = gate.verdict(&incoming, Timestamp::now());
        match wanted {
            Ok(source) => assert_eq!(verdict.events[0].admission.event.source, source),
            Err(words) => assert!(verdict.refused.unwrap().message.contains(words)),
        }
    }
}

#[tokio::test]
async fn a_payload_of_too_many_parts_is_cut_and_kept_for_a_person() {
    let file = File::new().await;
    let mut config = gateways();
    config
        .dialects
        .insert("many".to_owned(), parted("many", "holds = \"body.m\""));
    config.sources[0].dialects = vec!["many".to_owned()];
    let gate = gate(&file, &config);
    let of = |count: usize| {
        let each = (0..count).map(|n| json!({"id": format!("{n}"), "from": format!("49{n}")}));
        json!({"m": each.collect::<Vec<_>>()})
    };
    let now = Timestamp::now();
    let whole = gate.verdict(&came(&of(1_000)), now);
    assert_eq!((whole.events.len(), whole.refused), (1_000, None));
    let cut = gate.verdict(&came(&of(1_001)), now);
    assert_eq!(cut.events.len(), 1_000);
    assert!(
        cut.refused
            .unwrap()
            .message
            .contains("more than 1000 parts")
    );
}
