//! Every shipped dialect, over HTTP and over RabbitMQ: what a customer says to the gateway is shown in three
//! CRMs from the word on that asks for people, and a rep's reply reaches that customer's phone.

use handoffd::mapping::dialect::shipped;
use handoffd_test_support::eventually;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{EVENTS, Exit, SOON, World};

const CRMS: [&str; 3] = ["salesforce", "hubspot", "creatio"];
const BUSINESS: &str = "15550783881";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A text as the gateway writes it: its media type and its body.
fn said(dialect: &str, from: &str, id: &str, text: &str) -> (&'static str, String) {
    let now = Timestamp::now();
    let seconds = now.as_second();
    let body = match dialect {
        "cloudapi" => {
            json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": {
            "messaging_product": "whatsapp", "metadata": {"display_phone_number": BUSINESS, "phone_number_id": "106540352242922"},
            "contacts": [{"profile": {"name": "Ana"}, "wa_id": from}],
            "messages": [{"from": from, "id": id, "timestamp": seconds.to_string(), "type": "text", "text": {"body": text}}]}}]}]})
        }
        "evolution" => {
            json!({"event": "messages.upsert", "instance": "shop", "sender": format!("{BUSINESS}@s.whatsapp.net"), "data": {
            "key": {"remoteJid": format!("{from}@s.whatsapp.net"), "fromMe": false, "id": id}, "pushName": "Ana",
            "message": {"conversation": text}, "messageType": "conversation", "messageTimestamp": seconds}})
        }
        "waha" => {
            json!({"event": "message", "session": "default", "me": {"id": format!("{BUSINESS}@c.us")}, "payload": {
            "id": format!("false_{from}@c.us_{id}"), "timestamp": seconds, "from": format!("{from}@c.us"), "to": format!("{BUSINESS}@c.us"),
            "fromMe": false, "body": text, "hasMedia": false}})
        }
        "chatwoot" => {
            json!({"event": "message_created", "account": {"id": 3}, "content": text, "content_type": "text", "message_type": "incoming",
            "id": format!("{}{}", &from[8..], &id[id.len() - 1..]), "source_id": id, "private": false, "created_at": now, "sender": {"id": 8801, "name": "Ana"}, "inbox": {"id": 17},
            "conversation": {"id": &from[8..], "inbox_id": 17, "channel": "Channel::Whatsapp", "status": "open",
                "contact_inbox": {"source_id": from}, "meta": {"sender": {"id": 8801, "name": "Ana", "phone_number": format!("+{from}")}}}})
        }
        "ycloud" => {
            json!({"id": format!("evt-{id}"), "type": "whatsapp.inbound_message.received", "apiVersion": "v2", "createTime": now,
            "whatsappInboundMessage": {"id": id, "wamid": id, "wabaId": "WABA1", "from": format!("+{from}"), "customerProfile": {"name": "Ana"},
                "to": format!("+{BUSINESS}"), "sendTime": now, "type": "text", "text": {"body": text}}})
        }
        "wati" => {
            json!({"id": id, "created": now, "whatsappMessageId": id, "conversationId": "68c8", "ticketId": "6928", "text": text,
            "type": "text", "timestamp": seconds.to_string(), "owner": false, "eventType": "message", "statusString": "SENT", "waId": from,
            "senderName": "Ana", "channelPhoneNumber": BUSINESS})
        }
        "gupshup" => {
            json!({"app": "DemoShop", "timestamp": now.as_millisecond(), "version": 2, "type": "message", "payload": {
            "id": id, "source": from, "type": "text", "payload": {"text": text}, "sender": {"phone": from, "name": "Ana"}}})
        }
        "twilio" => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            let (whatsapp, to) = (format!("whatsapp:+{from}"), format!("whatsapp:+{BUSINESS}"));
            form.extend_pairs([
                ("MessageSid", id),
                ("AccountSid", "AC1"),
                ("From", whatsapp.as_str()),
                ("To", to.as_str()),
                ("WaId", from),
                ("ProfileName", "Ana"),
                ("NumMedia", "0"),
                ("SmsStatus", "received"),
                ("MessageType", "text"),
                ("Body", text),
            ]);
            return (FORM, form.finish());
        }
        other => panic!("how {other} writes a text belongs here"),
    };
    (JSON, body.to_string())
}

/// The texts from the business on a customer's phone.
fn phone(world: &World, customer: &str) -> Vec<String> {
    let view = world.crm("whatsapp").view();
    let mut phones = view["phones"].as_object().unwrap().values();
    let found = phones.find(|phone| phone["wa_id"] == customer).unwrap();
    let thread = found["conversation"].as_array().unwrap().iter();
    let theirs = thread.filter(|one| one["from"] == "business");
    theirs
        .filter_map(|one| one["text"].as_str().map(str::to_owned))
        .collect()
}

async fn comes_and_goes(by: &str) {
    let names: Vec<&str> = shipped::names().collect();
    let world = World::with(Exit::CloudApi, |plan| {
        let intake = &mut plan.over["intake"];
        intake["open"] = json!([{"on": "word", "words": ["a person"]}]);
        let number = format!("+{BUSINESS}");
        for name in &names {
            // Some gateways do not say to which number a customer wrote.
            intake["dialect"][name] = json!({"options": {"number": number}});
            if by == "http" {
                intake["source"][name] =
                    json!({"dialects": [name], "proof": "header", "secret": "events_token"});
            }
        }
        if by == "amqp" {
            intake["amqp"]["dialects"] = json!(names);
        }
    })
    .await;
    let customer = |n: usize| format!("49151123400{n:02}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let tell = async |name: &str, from: &str, id: &str, text: &str| {
        let (form, body) = said(name, from, id, text);
        if by == "amqp" {
            let publish = world
                .gateway
                .publish_as(EVENTS, "x", Some(form), &[], body.as_bytes());
            publish.await;
        } else {
            let sent = client
                .post(format!("http://{}/intake/{name}", world.plan.listen))
                .header("content-type", form)
                .bearer_auth(&world.plan.events_token)
                .body(body)
                .send();
            let status = sent.await.unwrap().status();
            assert!(status.is_success(), "{name}: {status}");
        }
    };
    for (n, name) in names.iter().enumerate() {
        let from = customer(n);
        // The simulator's window is open from here on.
        world.act(
            "whatsapp",
            json!({"act": "text", "from": from, "text": "opens"}),
        );
        tell(
            name,
            &from,
            &format!("{name}-1"),
            &format!("My parcel is broken, says {name}."),
        )
        .await;
        tell(
            name,
            &from,
            &format!("{name}-2"),
            "May I speak to a person?",
        )
        .await;
        tell(
            name,
            &from,
            &format!("{name}-3"),
            &format!("Is anybody there, asks {name}?"),
        )
        .await;
    }
    for name in &names {
        for crm in CRMS {
            world
                .until_shown(crm, &format!("My parcel is broken, says {name}."))
                .await;
            world
                .until_shown(crm, &format!("Is anybody there, asks {name}?"))
                .await;
        }
    }
    for (n, name) in names.iter().enumerate() {
        let (from, text) = (customer(n), format!("Your refund is on its way, {name}."));
        let ticket = ticket_of(&world, &format!("asks {name}?"));
        world.act(
            "hubspot",
            json!({"act": "reply", "ticket": ticket, "text": text}),
        );
        eventually(SOON, || async { phone(&world, &from) == [text.as_str()] }).await;
    }
    for (name, crm) in names.iter().flat_map(|name| CRMS.map(|crm| (name, crm))) {
        for words in [format!("says {name}."), format!("asks {name}?")] {
            assert_eq!(world.count(crm, &words), 1, "{crm}: {words}");
        }
    }
    let letters = world.get("/v1/dead-letters").await;
    assert_eq!(letters["count"], 0, "{letters:#}");
}

/// The ticket that shows these words.
fn ticket_of(world: &World, words: &str) -> Value {
    let view = world.crm("hubspot").view();
    let mut tickets = view["tickets"].as_array().unwrap().iter();
    let found = tickets.find(|ticket| ticket["timeline"].to_string().contains(words));
    found.unwrap()["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_comes_to_three_crms_and_goes_back_over_http() {
    comes_and_goes("http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_comes_to_three_crms_and_goes_back_over_rabbitmq() {
    comes_and_goes("amqp").await;
}
