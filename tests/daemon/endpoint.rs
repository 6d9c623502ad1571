//! Events out over HTTP, to a receiver that verifies every signature as the specification says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use handoffd::connectors::EVENTS as KIND;
use handoffd::demo::world::Plan;
use handoffd::sandbox::{self, Options, Running, Served};
use handoffd_test_support::{eventually, postgres_url, unique};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{Exit, SOON, World};

/// The secret in force, and the one before it.
const NEW: &str = "whsec_YSBuZXdlciBzZWNyZXQgb2YgMjQgYi4yNA==";
const OLD: &str = "whsec_YW4gb2xkZXIgc2VjcmV0IG9mIDI1IGIyNA==";

/// A receiver that knows the old secret only.
async fn receiver() -> Running {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options::new(free).target("flows", free, KIND.sandbox);
    let running = sandbox::serve(options, CancellationToken::new()).await;
    let running = running.unwrap();
    flows(&running).switch("secret", &json!(OLD)).unwrap();
    running
}

fn flows(running: &Running) -> Arc<Served> {
    Arc::clone(running.target("flows").unwrap())
}

/// Adds a target that posts to the receiver.
fn post_to(plan: &mut Plan, receiver: &Running, types: &[&str]) {
    let settings = json!({
        "url": format!("{}/hooks?flow=1", flows(receiver).base()), "types": types,
        "secret": "flows_secret", "previous_secret": "flows_secret_before",
    });
    plan.targets
        .push(json!({"name": "flows", "kind": "events", "settings": settings}));
    plan.over["secrets"] = json!({
        "flows_secret": {"value": NEW}, "flows_secret_before": {"value": OLD},
    });
}

fn answers(receiver: &Running, status: u16) {
    flows(receiver).switch("status", &json!(status)).unwrap();
}

/// The types of what the receiver has, in order.
fn got(receiver: &Running) -> Vec<String> {
    let view = flows(receiver).view();
    assert_eq!(view["wrong"], json!([]), "every call was as it must be");
    let events = view["events"].as_array().cloned().unwrap_or_default();
    let kind = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    events.iter().map(kind).collect()
}

/// How often it was called.
fn calls(receiver: &Running) -> u64 {
    flows(receiver).requests(0, false).len() as u64
}

async fn a_schema() -> String {
    let (client, connection) = tokio_postgres::connect(&postgres_url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let name = unique("endpoint").replace('-', "_");
    client
        .batch_execute(&format!("CREATE SCHEMA {name}"))
        .await
        .unwrap();
    format!("{}?options=-csearch_path%3D{name}", postgres_url())
}

/// The endpoint fails, the daemon dies and comes back: then everything is there, once and in order, and
/// meanwhile no reply has waited.
async fn everything_arrives_after_all(ledger: Option<String>) {
    let receiver = receiver().await;
    let mut world = World::with(Exit::CloudApi, |plan| {
        let types = ["*"];
        post_to(plan, &receiver, &types);
        if let Some(ledger) = ledger {
            plan.ledger = ledger;
        }
    })
    .await;
    answers(&receiver, 503);
    let message = json!({"id": "wamid.FIRST", "time": jiff::Timestamp::now(),
        "author": {"kind": "customer"}, "text": "Is anybody there?"});
    let number = json!({"id": world.session, "business_number": "+15550783881"});
    let data = json!({"message": message, "session": number, "contact": {"wa_id": crate::world::CUSTOMER}});
    world.publish("message.received", "first", data).await;
    world
        .publish(
            "handoff.requested",
            "handoff-1",
            world.handoff(&["salesforce"]),
        )
        .await;
    world.until_shown("salesforce", "My parcel is broken").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act("salesforce", json!({"act": "text", "text": "Hello Ana."}));
    world.until_shown("whatsapp", "Hello Ana.").await;
    eventually(SOON, || async { calls(&receiver) > 1 }).await;
    assert_eq!(got(&receiver), [""; 0]);
    world.restart().await;
    world.act("salesforce", json!({"act": "end"}));
    eventually(SOON, || async {
        let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
        story["conversation"]["controller"] == "closed"
    })
    .await;
    answers(&receiver, 204);
    world.until_idle().await;
    let got = got(&receiver);
    let told: Vec<&str> = got.iter().map(String::as_str).collect();
    assert_eq!(
        told[..2],
        ["message.received", "conversation.started"],
        "{told:?}"
    );
    let ends = ["session.closed", "session.state", "session.handback"];
    assert_eq!(told[told.len() - 3..], ends, "{told:?}");
    let count = |kind: &str| told.iter().filter(|one| **one == kind).count();
    for kind in [
        "handoff.completed",
        "session.closed",
        "conversation.started",
    ] {
        assert_eq!(count(kind), 1, "{kind}: {told:?}");
    }
    let first = &flows(&receiver).view()["events"][1]["data"];
    assert_eq!(first["text"], "Is anybody there?");
    assert_eq!(first["phone"], format!("+{}", crate::world::CUSTOMER));
    assert_eq!(first["session"], world.session);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_everything_once_and_in_order_with_sqlite() {
    everything_arrives_after_all(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_everything_once_and_in_order_with_postgresql() {
    everything_arrives_after_all(Some(a_schema().await)).await;
}

/// 410: one call, then nothing more, for no conversation, also after a restart, until a person says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_gets_no_more_calls_until_a_person_says_so() {
    let receiver = receiver().await;
    let mut world = World::with(Exit::CloudApi, |plan| {
        post_to(plan, &receiver, &["handoff.completed"]);
    })
    .await;
    answers(&receiver, 410);
    world
        .publish(
            "handoff.requested",
            "handoff-1",
            world.handoff(&["salesforce"]),
        )
        .await;
    eventually(SOON, || async {
        let lane = world.lane("flows").await;
        lane["state"] == "parked" && lane["reason"] == "endpoint-gone"
    })
    .await;
    assert_eq!(calls(&receiver), 1);
    let ready = world.get("/readyz").await;
    assert_eq!(
        ready["targets"]["flows"]["reason"], "endpoint-gone",
        "{ready:#}"
    );
    world.restart().await;
    world.session = unique("session");
    world
        .publish(
            "handoff.requested",
            "handoff-2",
            world.handoff(&["hubspot"]),
        )
        .await;
    world.until_shown("hubspot", "My parcel is broken").await;
    eventually(SOON, || async {
        world.lane("flows").await["state"] == "due"
    })
    .await;
    // Whatever else there was to do in between was done.
    world.customer_writes("Are you there?").await;
    world.until_shown("hubspot", "Are you there?").await;
    assert_eq!(world.lane("flows").await["state"], "due");
    assert_eq!(calls(&receiver), 1, "nothing more is sent");
    answers(&receiver, 200);
    let (code, text) = world.command(&["retry", "--reason", "endpoint-gone"]);
    assert_eq!(code, 0, "{text}");
    eventually(SOON, || async { got(&receiver).len() == 2 }).await;
}

/// Who begins to be told is told of the conversations that there are, from where the replies stand.
#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_be_told_is_told_of_conversations_that_there_are() {
    let receiver = receiver().await;
    let mut world = World::new(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act("salesforce", json!({"act": "text", "text": "Hello Ana."}));
    world.until_shown("whatsapp", "Hello Ana.").await;
    world.until_idle().await;
    world.stop();
    post_to(
        &mut world.plan,
        &receiver,
        &["session.closed", "handoff.completed"],
    );
    world.start().await;
    world.act("salesforce", json!({"act": "end"}));
    eventually(SOON, || async { !got(&receiver).is_empty() }).await;
    world.until_idle().await;
    assert_eq!(
        got(&receiver),
        ["session.closed"],
        "what was passed is not told"
    );
}
