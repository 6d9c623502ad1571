//! What leaves, in which form and to whom.

use handoffd_contract::event::{AttachmentKind, DeliveryState, MessageStatus, RepEnded};
use handoffd_contract::{Call, Data};
use jiff::SignedDuration;
use serde_json::json;

use crate::cast::{CUSTOMER, cloud, file, gateway, item, replied, reply};
use crate::world::{Chapter, World, hello, items, play, states};

#[test]
fn a_very_long_text_arrives_whole_and_in_order() {
    let words: Vec<String> = (0..9_000).map(|n| format!("w{n}")).collect();
    let long = format!("{}\n\n<b>\"O'Neil\" & שלום</b> 👨‍👩‍👧‍👦", words.join(" "));
    assert!(long.len() > 50_000);
    let connector = cloud(json!({}));
    let world = play(
        &*connector,
        &[hello(), items(vec![replied("e", reply("m", &long))])],
    );
    let texts = world.texts();
    assert!(
        texts
            .iter()
            .all(|text| handoffd_contract::text::utf16_len(text) <= 4_096)
    );
    let joined = texts.join(" ");
    assert_eq!(
        joined.split_whitespace().collect::<Vec<_>>(),
        long.split_whitespace().collect::<Vec<_>>()
    );
    assert_eq!(states(&world), ["m Sent", "m Delivered"]);
}

#[test]
fn a_customer_without_a_number_gets_replies_by_their_user_id() {
    let user = "US.13491208655302741918";
    for connector in [cloud(json!({})), gateway(json!({}))] {
        let mut world = World::new(&*connector);
        world.contact.wa_id = None;
        world.contact.user_id = Some(user.into());
        let act = json!({"act": "text", "from": user, "username": "ana.b", "text": "Hi"});
        world
            .play(&[
                Chapter::Act(act),
                items(vec![replied("e-1", reply("m-1", "Hello."))]),
            ])
            .expect("settles");
        let view = world.sandbox.view();
        assert_eq!(
            view["phones"][user]["conversation"][1]["text"], "Hello.",
            "{view:#}"
        );
    }
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.contact.wa_id = None;
    world.last_inbound = Some(world.now);
    let error = world.play(&[items(vec![replied("e-1", reply("m-1", "Hello."))])]);
    assert!(error.is_err_and(|error| error.contains("NoCustomer")));
}

#[test]
fn with_wait_delivered_a_message_waits_for_the_one_before() {
    let connector = cloud(json!({"wait_delivered": true}));
    let story = [
        hello(),
        items(vec![replied("e-1", reply("m-1", &"word ".repeat(1_000)))]),
    ];
    let world = play(&*connector, &story);
    assert_eq!(world.texts().len(), 2);
    let first = world
        .log
        .iter()
        .position(|line| line.contains("message.send"));
    let next = world
        .log
        .iter()
        .rposition(|line| line.contains("message.send"));
    let between = &world.log[first.expect("sent")..next.expect("sent")];
    let statuses = between
        .iter()
        .filter(|line| line.contains("status.record"))
        .count();
    assert_eq!(
        statuses, 2,
        "sent and delivered come before the second part: {between:?}"
    );
    // A phone that is off does not hold the reply back for good.
    let mut dropped = World::new(&*connector);
    let mut story = story.to_vec();
    story.insert(0, Chapter::Switch("drop_statuses", json!(true)));
    dropped.play(&story).expect("settles");
    assert_eq!(dropped.texts().len(), 2);
    assert!(dropped.now >= crate::cast::start() + SignedDuration::from_secs(30));
}

#[test]
fn what_the_gateway_is_asked_for() {
    let connector = gateway(json!({"source": "urn:shop:handoffd"}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world.contact.user_id = Some("DE.1349".into());
    let mut first = reply("m-1", "");
    let mut voice = file("v", "audio/ogg", "note.ogg");
    voice.kind = AttachmentKind::Voice;
    first.attachments.push(voice);
    world.items = vec![replied("e-1", first)];
    let publish = loop {
        let steps = world
            .connector
            .next(&world.work(), &world.known)
            .expect("steps");
        match &steps[0].call {
            Call::Record(record) => {
                for (name, value) in &record.facts {
                    world.known.set(name.clone(), value.clone());
                }
            }
            Call::Publish(publish) => break publish.clone(),
            Call::Http(_) => panic!("the gateway is not called"),
        }
    };
    assert_eq!(
        (publish.exchange.as_str(), publish.routing_key.as_str()),
        ("whatsapp", "replies")
    );
    assert_eq!(publish.content_type, "application/cloudevents+json");
    let body = &publish.body;
    assert_eq!(body["id"], publish.message_id.as_str());
    let wanted = json!({
        "session": "s-1", "business_number": "+15550783881", "reference": publish.message_id,
        "target": "crm", "reply_message_id": "m-1", "author": "Rita",
        "to": format!("+{CUSTOMER}"), "user_id": "DE.1349",
        "window_expires_at": "2026-11-21T08:59:00Z",
        "message": {"type": "audio", "audio": {
            "voice": true, "filename": "note.ogg",
            "attachment": {
                "id": "v", "kind": "voice", "mime": "audio/ogg", "name": "note.ogg",
                "source": {"from": "url", "url": "https://files.test/v"},
            },
        }},
    });
    assert_eq!(body["data"], wanted);
    assert_eq!(body["type"], "reply.requested");
    assert_eq!(body["source"], "urn:shop:handoffd");
}

#[test]
fn each_business_number_sends_by_its_own_id() {
    let settings =
        json!({"phone_number_id": null, "phone_numbers": {"+1 555 078-3881": "106540352242922"}});
    let connector = cloud(settings);
    let world = play(
        &*connector,
        &[hello(), items(vec![replied("e-1", reply("m-1", "Hi."))])],
    );
    assert_eq!(world.texts(), ["Hi."]);
    let other =
        cloud(json!({"phone_number_id": null, "phone_numbers": {"+49301234567": "99999999"}}));
    let mut world = World::new(&*other);
    let error = world.play(&[hello(), items(vec![replied("e-1", reply("m-1", "Hi."))])]);
    assert!(
        error.is_err_and(|error| error.contains("phone_numbers")),
        "never from another number"
    );
}

/// The gateway's own id of a message is learned from its `message.sent`, and statuses under that id
/// alone then find the reply.
#[test]
fn the_gateways_ids_are_learned_from_what_it_says_it_sent() {
    let connector = gateway(json!({}));
    let mut world = play(
        &*connector,
        &[hello(), items(vec![replied("e-1", reply("m-1", "Hi."))])],
    );
    let reference = world.known.get("sent/e-1/0").expect("sent").to_owned();
    // The simulator's webhooks have told already; forget that.
    world
        .known
        .0
        .retain(|name, _| !name.starts_with("state/") && !name.starts_with("wamid/"));
    let message = json!({"message": {
        "id": "3EB0AA", "time": "2026-11-20T09:00:01Z", "author": {"kind": "agent"}, "text": "Hi.",
    }, "reference": reference});
    let sent = Data::MessageSent(serde_json::from_value(message).expect("an event"));
    let status = MessageStatus {
        message_id: Some("3EB0AA".into()),
        reference: None,
        status: DeliveryState::Read,
        error_code: None,
        error: None,
    };
    let later = vec![
        item("sent-1", sent),
        item("st-1", Data::MessageStatus(status)),
    ];
    world.play(&[items(later)]).expect("settles");
    assert_eq!(world.known.get(&format!("state/{reference}")), Some("read"));
    assert_eq!(states(&world).last().map(String::as_str), Some("m-1 Read"));
}

/// An ending is passed on only after the replies before it, and no reply after it waits for that.
#[test]
fn an_ending_is_passed_on_behind_the_replies_before_it() {
    let connector = gateway(json!({}));
    let ended = Data::RepEnded(RepEnded {
        target: "crm".into(),
        status: None,
    });
    let story = vec![
        replied("e-1", reply("m-1", &"word ".repeat(900))),
        item("e-2", ended),
        replied("e-3", reply("m-3", "One more thing.")),
    ];
    let world = play(&*connector, &[hello(), items(story)]);
    let published: Vec<&str> = world
        .plans
        .iter()
        .filter(|plan| plan.contains("publish") || plan.contains("ending"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        published,
        [
            "reply.publish",
            "reply.publish",
            "ending.pass reply.open",
            "reply.publish"
        ]
    );
    let Some(Data::RepliesDone(done)) = world.events.get("passed/e-2") else {
        panic!("{:?}", world.events);
    };
    assert_eq!(
        (done.event.as_str(), done.ending.kind()),
        ("e-2", "rep.ended")
    );
    let connector = gateway(json!({"endings": false}));
    let story = vec![item(
        "e-2",
        Data::RepEnded(RepEnded {
            target: "crm".into(),
            status: None,
        }),
    )];
    let world = play(&*connector, &[hello(), items(story)]);
    assert!(world.events.is_empty(), "nobody tells of endings");
}
