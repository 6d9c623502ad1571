//! A reply that does not go out is told to its rep within seconds, once, whatever stops it; what passes
//! by itself at once is not told; and what was said to have failed outside the window goes out again.

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{Exit, OUT, SOON, TAKEN, World};

fn reply(world: &World, target: &str, text: &str) {
    match target {
        "salesforce" => world.act(target, json!({"act": "text", "text": text})),
        _ => world.act(target, json!({"act": "reply", "text": text})),
    };
}

fn whatsapp(world: &World, switch: &str, value: Value) {
    world
        .crm("whatsapp")
        .switch(switch, &value)
        .expect("a switch");
}

/// A conversation in this CRM, taken up by a rep.
async fn taken_up(world: &World, target: &str) {
    world.hand_over(target).await;
    if target == "salesforce" {
        world.act(target, json!({"act": "accept", "rep": "Rosa"}));
    }
    world.until_idle().await;
}

/// Waits until the words stand there so often.
async fn until_told(world: &World, target: &str, words: &str, times: usize) {
    eventually(SOON, || async { world.count(target, words) >= times }).await;
    assert_eq!(world.count(target, words), times, "{words}");
}

/// The first reply opens the circuit for minutes, so that no lane is worked on any more; the second one
/// comes while it is open, the third one to a daemon that has just started.
async fn a_blocked_account_is_told(target: &str) {
    let mut world = World::with(Exit::CloudApi, |plan| {
        plan.over["engine"]["breaker"] = json!({"failures": 1, "first": "10m", "max": "10m"});
    })
    .await;
    taken_up(&world, target).await;
    whatsapp(&world, "fail_next", json!({"code": 131031, "count": 100}));
    let words = "The WhatsApp account is blocked (WhatsApp error 131031)";
    reply(&world, target, "One.");
    until_told(&world, target, words, 1).await;
    reply(&world, target, "Two.");
    until_told(&world, target, words, 2).await;
    world.restart().await;
    reply(&world, target, "Three.");
    until_told(&world, target, words, 3).await;
    let (_, lanes) = world.command(&["lanes"]);
    assert!(lanes.contains("account"), "{lanes}");
    assert_eq!(world.phone(), [""; 0]);

    whatsapp(&world, "fail_next", Value::Null);
    world.restart().await;
    world.until_shown("whatsapp", "Three.").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["One.", "Two.", "Three."]);
    // Creatio has one activity per reply, which says by now that it has arrived.
    let told = if target == "creatio" { 0 } else { 3 };
    assert_eq!(world.count(target, words), told, "each was told once");
    if target != "salesforce" {
        world.until_shown(target, "Delivered to WhatsApp").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_salesforce_is_told_of_a_blocked_account() {
    a_blocked_account_is_told("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_hubspot_is_told_of_a_blocked_account() {
    a_blocked_account_is_told("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_creatio_is_told_of_a_blocked_account() {
    a_blocked_account_is_told("creatio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_is_told_of_a_rejected_token_and_the_reply_follows() {
    let world = World::new(Exit::CloudApi).await;
    taken_up(&world, "hubspot").await;
    whatsapp(&world, "token_expired", json!(true));
    let words = "WhatsApp does not accept the sign-in (WhatsApp error 190)";
    reply(&world, "hubspot", "One.");
    until_told(&world, "hubspot", words, 1).await;
    whatsapp(&world, "token_expired", json!(false));
    world.until_shown("whatsapp", "One.").await;
    world.until_shown("hubspot", "Delivered to WhatsApp").await;
    world.until_idle().await;
    assert_eq!(world.count("hubspot", words), 1);
    assert_eq!(world.phone(), ["One."]);
}

/// A send gets no answer and no status: nobody knows. The rep of it is told, and so are those whose
/// replies come afterwards.
async fn an_unknown_outcome_is_told(target: &str) {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.settings
            .insert("whatsapp".into(), json!({"reconcile_seconds": 5}));
    })
    .await;
    taken_up(&world, target).await;
    whatsapp(&world, "drop_statuses", json!(true));
    let rule = json!({"target": "whatsapp", "match": {"method": "POST", "path_contains": "/messages"}, "times": 1,
        "fault": {"kind": "drop_after"}});
    world
        .sims
        .fault(serde_json::from_value(rule).unwrap())
        .unwrap();
    reply(&world, target, "One.");
    until_told(
        &world,
        target,
        "it is not known whether this reply arrived",
        1,
    )
    .await;
    assert_eq!(world.lane("whatsapp").await["reason"], "unknown-outcome");
    assert_eq!(
        world.count(target, "Not known whether it reached WhatsApp"),
        1
    );
    let behind = "whether an earlier message to this customer arrived";
    reply(&world, target, "Two.");
    until_told(&world, target, behind, 1).await;
    reply(&world, target, "Three.");
    until_told(&world, target, behind, 2).await;
    assert_eq!(
        world.phone(),
        ["One."],
        "it had arrived, and nothing else left"
    );
    // Somebody has looked.
    let (code, text) = world.command(&["skip", &world.session]);
    assert_eq!(code, 0, "{text}");
    world.until_shown("whatsapp", "Three.").await;
    assert_eq!(world.phone(), ["One.", "Two.", "Three."]);
    if target != "creatio" {
        assert_eq!(world.count(target, behind), 2);
    }
    let settled = "Sent to WhatsApp: What became of this reply is settled";
    let settled = if target == "hubspot" {
        "What became of this reply is settled"
    } else {
        settled
    };
    until_told(&world, target, settled, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_salesforce_is_told_that_nobody_knows() {
    an_unknown_outcome_is_told("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_hubspot_is_told_that_nobody_knows() {
    an_unknown_outcome_is_told("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_creatio_is_told_that_nobody_knows() {
    an_unknown_outcome_is_told("creatio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_is_told_that_nobody_takes_the_gateways_messages() {
    let world = World::new(Exit::Gateway).await;
    taken_up(&world, "creatio").await;
    world.broker.delete_queue(TAKEN).await;
    let words = "Nothing takes the messages for WhatsApp at the moment";
    reply(&world, "creatio", "Wait for me.");
    until_told(&world, "creatio", words, 1).await;
    world.gateway.queue(TAKEN, OUT, "#").await;
    let event = world.taken("reply.requested").await;
    assert!(event.to_string().contains("Wait for me."));
    let reference = event["data"]["reference"].clone();
    world
        .publish(
            "message.status",
            "delivered-1",
            json!({"reference": reference, "status": "delivered"}),
        )
        .await;
    world.until_shown("creatio", "Delivered to WhatsApp").await;
    assert_eq!(world.count("creatio", words), 0, "it no longer waits");
}

/// Some seconds of trouble end by themselves; a line for each would bury the conversation.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_pause_is_not_told() {
    let world = World::new(Exit::CloudApi).await;
    taken_up(&world, "hubspot").await;
    whatsapp(&world, "fail_next", json!({"code": 131057, "count": 3}));
    reply(&world, "hubspot", "One.");
    world.until_shown("whatsapp", "One.").await;
    whatsapp(&world, "fail_next", json!({"code": 130429, "count": 2}));
    reply(&world, "hubspot", "Two.");
    world.until_shown("whatsapp", "Two.").await;
    world.until_idle().await;
    assert_eq!(world.count("hubspot", "WhatsApp yet"), 0);
    assert_eq!(world.phone(), ["One.", "Two."]);
}

/// WhatsApp takes the message and says by a status that the window was closed.
async fn a_window_closed_by_status_is_held(target: &str) {
    let world = World::new(Exit::CloudApi).await;
    taken_up(&world, target).await;
    whatsapp(&world, "fail_later", json!({"code": 131047, "count": 1}));
    reply(&world, target, "Are you still there?");
    until_told(&world, target, "24-hour window", 1).await;
    eventually(SOON, || async {
        let lane = world.lane("whatsapp").await;
        lane["state"] == "held" && lane["reason"] == "window-closed"
    })
    .await;
    assert_eq!(world.phone(), [""; 0]);
    world.customer_writes("Yes, I am.").await;
    world.until_shown("whatsapp", "Are you still there?").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["Are you still there?"]);
    assert_eq!(world.count(target, "24-hour window"), 1, "told once");
    assert_eq!(world.count(target, "131047"), 0, "and not as a failure");
    assert_eq!(
        world.count(target, "template"),
        0,
        "of what the rep cannot send"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_salesforce_that_failed_outside_the_window_goes_out_later() {
    a_window_closed_by_status_is_held("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_hubspot_that_failed_outside_the_window_goes_out_later() {
    a_window_closed_by_status_is_held("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_creatio_that_failed_outside_the_window_goes_out_later() {
    a_window_closed_by_status_is_held("creatio").await;
}

/// The gateway's news cannot be published and every backoff is ten minutes long: each reply, also a long
/// one and one that comes later, goes out at once.
async fn news_holds_no_reply(exchange: &str, bound: bool) {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.settings
            .insert("whatsapp".into(), json!({"notify": {"exchange": exchange}}));
        plan.over["engine"]["backoff"] = json!({"first": "10m", "max": "10m"});
    })
    .await;
    if bound {
        world.gateway.exchange(exchange).await;
    }
    let handoff = world.handoff(&["creatio"]);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    world.until_shown("creatio", "My parcel is broken").await;
    eventually(SOON, || async {
        world.lane("whatsapp-notify").await["reason"] == "unroutable"
    })
    .await;
    for n in 1..=3 {
        reply(&world, "creatio", &format!("{n} {}", "word ".repeat(1_000)));
        let sent = || async { world.phone().len() == 2 * n };
        eventually(SOON, sent).await;
    }
    let attempts = world.log().matches("event.publish").count();
    assert!(attempts > 0, "it was tried");

    if bound {
        world.gateway.queue("late", exchange, "#").await;
        let (code, text) = world.command(&["retry", &world.session]);
        assert_eq!(code, 0, "{text}");
        world.until_idle().await;
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let got = world.gateway.get("late").await;
            let event: Value = serde_json::from_slice(&got.body).unwrap();
            kinds.push(event["type"].as_str().unwrap().to_owned());
        }
        // Queued, and in charge from the first reply on.
        kinds.sort_unstable();
        let all = ["handoff.completed", "session.state", "session.state"];
        assert_eq!(kinds, all, "nothing was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_nobody_is_bound_to_holds_no_reply() {
    news_holds_no_reply("nobody.is.bound", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_for_an_exchange_that_is_missing_holds_no_reply() {
    news_holds_no_reply("is.missing", false).await;
}

/// WhatsApp says by status that the window was closed; when the customer writes, the account is blocked.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_sent_once_more_is_told_of_a_blocked_account() {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.over["engine"]["breaker"] = json!({"failures": 1, "first": "10m", "max": "10m"});
    })
    .await;
    taken_up(&world, "hubspot").await;
    whatsapp(&world, "fail_later", json!({"code": 131047, "count": 1}));
    reply(&world, "hubspot", "One.");
    until_told(&world, "hubspot", "24-hour window", 1).await;
    whatsapp(&world, "fail_next", json!({"code": 131031, "count": 100}));
    world.customer_writes("Hello?").await;
    let words = "The WhatsApp account is blocked (WhatsApp error 131031)";
    until_told(&world, "hubspot", words, 1).await;
    assert_eq!(world.phone(), [""; 0]);
}
