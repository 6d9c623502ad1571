//! What CRMs tell without being asked: webhooks, polls and stream events, understood by a connector.

use handoffd_contract::{Frame, HttpReply};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::cases::check;
use crate::judges;
use crate::mutated::{self, bent_bytes};
use crate::played;

#[test]
fn no_webhook_panics() {
    for played in played::all() {
        let mut real: Vec<Value> = played
            .webhooks
            .iter()
            .filter_map(|body| serde_json::from_slice(body).ok())
            .collect();
        if real.is_empty() {
            real.push(serde_json::json!([{"subscriptionType": "object.creation", "objectId": 1, "event_type": "new_activity"}]));
        }
        let body =
            prop_oneof![6 => select(real).prop_flat_map(bent_bytes), 1 => vec(any::<u8>(), 0..200)];
        check(300, &body, |body| {
            judges::frame(
                &played,
                &Frame::Webhook {
                    headers: &[],
                    body: &body,
                },
            );
        });
    }
}

#[test]
fn no_reply_to_a_poll_panics() {
    for played in played::all()
        .into_iter()
        .filter(|played| !played.reads.is_empty())
    {
        let status = select(vec![200_u16, 200, 200, 207, 400, 403, 404, 410, 500]);
        let case =
            (select(played.reads.clone()), status).prop_flat_map(|((read, real), status)| {
                (Just(read), Just(status), bent_bytes(played::body(&real)))
            });
        check(250, &case, |(read, status, body)| {
            let reply = HttpReply {
                status,
                headers: Vec::new(),
                body,
            };
            judges::frame(
                &played,
                &Frame::Reply {
                    read: &read,
                    reply: &reply,
                },
            );
        });
    }
}

#[test]
fn no_event_of_a_stream_panics() {
    for played in played::all() {
        let lines = played.frames.iter().flat_map(|frame| frame.lines());
        let mut real: Vec<Value> = lines
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
            .collect();
        if real.is_empty() {
            real.push(Value::Null);
        }
        let names = select(vec![
            "CONVERSATION_MESSAGE",
            "CONVERSATION_PARTICIPANT_CHANGED",
            "CONVERSATION_CLOSE_CONVERSATION",
            "ping",
            "stray",
            "",
        ]);
        let case = (
            select(real).prop_flat_map(bent_bytes),
            names,
            mutated::text(),
        );
        check(250, &case, |(data, event, id)| {
            let data = String::from_utf8_lossy(&data);
            judges::frame(
                &played,
                &Frame::Event {
                    key: "k",
                    id: &id,
                    event,
                    data: &data,
                },
            );
        });
    }
}
