//! What a rep is told of a reply that the exit took and of which WhatsApp has said nothing.

use handoffd_contract::event::{DeliveryState, MessageStatus, ReplyUnconfirmed};
use handoffd_contract::{Data, Item};
use serde_json::json;

use crate::cast::{cloud, gateway, item, replied, reply, start};
use crate::world::{World, hello, items, play, states};

fn asked(id: &str, message: &str) -> Item {
    let reply = ReplyUnconfirmed {
        target: "crm".into(),
        message_id: message.into(),
        sent_at: start(),
    };
    item(id, Data::ReplyUnconfirmed(reply))
}

/// What reps were told, with the causes.
fn causes(world: &World<'_>) -> Vec<Option<String>> {
    let events = world.order.iter().map(|id| &world.events[id]);
    let statuses = events.filter_map(|data| match data {
        Data::ReplyStatus(status) => Some(status.cause.clone()),
        _ => None,
    });
    statuses.collect()
}

#[test]
fn a_reply_of_which_nothing_was_said_is_told_once_and_what_comes_later_is_told_too() {
    let connector = gateway(json!({}));
    let mut world = play(
        &*connector,
        &[
            hello(),
            items(vec![replied("e-1", reply("m-1", "Here you are."))]),
            items(vec![asked("u-1", "m-1"), asked("u-2", "another one")]),
        ],
    );
    assert_eq!(states(&world), ["m-1 Sent", "m-1 Sent"]);
    assert_eq!(causes(&world), [None, Some("unconfirmed".to_owned())]);
    let detail = &world.told()[1].2;
    assert!(
        detail.starts_with("It was sent at ") && detail.contains("may not have arrived"),
        "{detail}"
    );
    assert!(!detail.contains("Here you are"), "no text of messages");
    let reference = world
        .known
        .under("ref/")
        .map(|(reference, _)| reference.to_owned())
        .next();
    let status = MessageStatus {
        message_id: None,
        reference,
        status: DeliveryState::Delivered,
        error_code: None,
        error: None,
    };
    let later = item("s-1", Data::MessageStatus(status));
    world.play(&[items(vec![later])]).expect("goes on");
    assert_eq!(states(&world), ["m-1 Sent", "m-1 Sent", "m-1 Delivered"]);
    world.rests();
}

#[test]
fn a_reply_that_whatsapp_has_is_no_alarm() {
    let connector = cloud(json!({}));
    let world = play(
        &*connector,
        &[
            hello(),
            items(vec![replied("e-1", reply("m-1", "Here you are."))]),
            items(vec![asked("u-1", "m-1")]),
        ],
    );
    assert!(!causes(&world).contains(&Some("unconfirmed".to_owned())));
    world.rests();
    // Its message is with WhatsApp and not on the phone.
    let connector = gateway(json!({}));
    let mut world = play(
        &*connector,
        &[
            hello(),
            items(vec![replied("e-1", reply("m-1", "Here you are."))]),
        ],
    );
    let reference = world
        .known
        .under("ref/")
        .map(|(reference, _)| reference.to_owned())
        .next();
    let status = MessageStatus {
        message_id: None,
        reference,
        status: DeliveryState::Sent,
        error_code: None,
        error: None,
    };
    let sent = item("s-1", Data::MessageStatus(status));
    world
        .play(&[items(vec![sent, asked("u-1", "m-1")])])
        .expect("goes on");
    assert_eq!(states(&world), ["m-1 Sent"]);
    world.rests();
}
