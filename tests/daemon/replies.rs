//! A rep's reply goes back to the customer: text and files, once, and never a note.

use serde_json::{Value, json};

use crate::world::{CUSTOMER, Exit, SOON, World};

fn reply(world: &World, target: &str, text: &str) {
    match target {
        "salesforce" => world.act(target, json!({"act": "text", "text": text})),
        _ => world.act(target, json!({"act": "reply", "text": text})),
    };
}

fn note(world: &World, target: &str, text: &str) {
    let act = if target == "salesforce" {
        "whisper"
    } else {
        "note"
    };
    world.act(target, json!({"act": act, "text": text}));
}

async fn reaches_the_phone_once(target: &str) {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over(target).await;
    if target == "salesforce" {
        world.act(target, json!({"act": "accept", "rep": "Rosa"}));
    }
    note(&world, target, "INTERNAL: she is a regular");
    reply(&world, target, "Hello, your refund is on its way.");
    world
        .until_shown("whatsapp", "your refund is on its way")
        .await;
    note(&world, target, "INTERNAL: paid");
    reply(&world, target, "Anything else?");
    world.until_shown("whatsapp", "Anything else?").await;
    world.until_idle().await;
    assert_eq!(
        world.phone(),
        ["Hello, your refund is on its way.", "Anything else?"]
    );
    assert_eq!(world.count("whatsapp", "INTERNAL"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_salesforce_reaches_the_phone_once() {
    reaches_the_phone_once("salesforce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_hubspot_reaches_the_phone_once() {
    reaches_the_phone_once("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_creatio_reaches_the_phone_once() {
    reaches_the_phone_once("creatio").await;
}

/// No phone and not every database carries a NUL; the rest of the reply arrives.
#[tokio::test(flavor = "multi_thread")]
async fn control_characters_in_a_reply_are_left_out() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ro\0sa"}));
    reply(&world, "salesforce", "On\0 its\u{7} way.\nSoon.");
    world.until_shown("whatsapp", "On its way.\nSoon.").await;
    assert_eq!(world.phone(), ["On its way.\nSoon."]);
}

/// A poll looks back over what it has heard already; that is neither logged nor counted again.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_poll_tells_again_is_heard_once() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("creatio").await;
    reply(&world, "creatio", "Hello, your refund is on its way.");
    world
        .until_shown("whatsapp", "your refund is on its way")
        .await;
    let repeats = "handoffd_heard_total{target=\"creatio\",what=\"repeat\"}";
    handoffd_test_support::eventually(SOON, || async {
        world.text("/metrics").await.contains(repeats)
    })
    .await;
    let replies = "handoffd_heard_total{target=\"creatio\",what=\"reply\"} 1\n";
    let metrics = world.text("/metrics").await;
    assert!(metrics.contains(replies), "{metrics}");
    let log = world.log();
    let lines = log.lines().filter(|line| {
        line.contains("\"heard\"") && line.contains("creatio") && line.contains("\"reply\"")
    });
    assert_eq!(lines.count(), 1, "{log}");
}

/// Eight days after the customer's last message the record is still open, so its rep is still heard:
/// at once, and told that the reply waits for the customer.
async fn is_heard_after_eight_days_of_silence(crm: &str) {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over(crm).await;
    let ledger = rusqlite::Connection::open(world.folder.path().join("ledger.db")).unwrap();
    let days = 8 * 86_400 * 1_000_000_i64;
    for table in ["session", "customer"] {
        let sql = format!("UPDATE {table} SET inbound_at = inbound_at - ?1");
        assert_eq!(ledger.execute(&sql, [days]).unwrap(), 1);
    }
    reply(&world, crm, "Are you still there?");
    world
        .until_shown(crm, "Not delivered to WhatsApp yet")
        .await;
    let open = format!("handoffd_feeds_open{{target=\"{crm}\"}} 1\n");
    assert!(world.text("/metrics").await.contains(&open));
    assert_eq!(world.phone(), [""; 0]);

    world.customer_writes("Hello again").await;
    reply(&world, crm, "Welcome back.");
    world.until_shown("whatsapp", "Welcome back.").await;
    assert_eq!(world.phone(), ["Are you still there?", "Welcome back."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_hubspot_is_heard_after_eight_days_of_silence() {
    is_heard_after_eight_days_of_silence("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rep_in_creatio_is_heard_after_eight_days_of_silence() {
    is_heard_after_eight_days_of_silence("creatio").await;
}

/// The stream loses the first reply, or carries it after the second: the customer reads them in the
/// order in which they were written.
async fn replies_keep_their_order(switch: &str) {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.until_idle().await;
    world
        .crm("salesforce")
        .switch(switch, &json!(1))
        .expect("a switch");
    reply(&world, "salesforce", "First.");
    reply(&world, "salesforce", "Second.");
    world.until_shown("whatsapp", "Second.").await;
    world.until_shown("whatsapp", "First.").await;
    assert_eq!(world.phone(), ["First.", "Second."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_the_stream_loses_is_not_overtaken() {
    replies_keep_their_order("gap").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_the_stream_delays_is_not_overtaken() {
    replies_keep_their_order("reorder").await;
}

/// A rep is quicker than we are: the answer that names the case was lost and cannot be looked up yet.
/// The webhook of the first reply is lost, too; the second reply waits until the first can be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_a_case_that_is_not_known_for_sure_is_not_overtaken() {
    let world = World::new(Exit::CloudApi).await;
    let rule = |rule: Value| {
        let rule = serde_json::from_value(rule).unwrap();
        world.sims.fault(rule).unwrap();
    };
    rule(
        json!({"target": "creatio", "match": {"method": "POST", "path_contains": "/Case"}, "times": 1,
        "fault": {"kind": "drop_after"}}),
    );
    rule(
        json!({"target": "creatio", "match": {"method": "GET", "path_contains": "/Case"},
        "fault": {"kind": "status", "status": 503}}),
    );
    let handoff = world.handoff(&["creatio"]);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    handoffd_test_support::eventually(crate::world::SOON, || async {
        world.lane("creatio").await["reason"] == "server-error"
    })
    .await;
    rule(json!({"target": "creatio", "times": 1, "fault": {"kind": "webhook_drop"}}));
    reply(&world, "creatio", "First.");
    reply(&world, "creatio", "Second.");
    handoffd_test_support::eventually(crate::world::SOON, || async {
        world.log().contains("a webhook waits") || !world.phone().is_empty()
    })
    .await;
    world.sims.clear_faults(None);
    world.until_shown("whatsapp", "First.").await;
    world.until_shown("whatsapp", "Second.").await;
    assert_eq!(world.phone(), ["First.", "Second."]);
}

/// Nothing is polled, and the webhook of the first reply is lost.
async fn is_not_overtaken_without_polls(crm: &str) {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.settings.insert(crm.into(), json!({"poll_seconds": 0}));
    })
    .await;
    world.hand_over(crm).await;
    world.until_idle().await;
    let lost = json!({"target": crm, "times": 1, "fault": {"kind": "webhook_drop"}});
    world
        .sims
        .fault(serde_json::from_value(lost).unwrap())
        .unwrap();
    reply(&world, crm, "First.");
    handoffd_test_support::eventually(crate::world::SOON, || async {
        world.sims.faults()["happened"][crm]["webhook_drop"] == 1
    })
    .await;
    reply(&world, crm, "Second.");
    world.until_shown("whatsapp", "Second.").await;
    assert_eq!(world.phone(), ["First.", "Second."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_hubspot_whose_webhook_is_lost_is_not_overtaken() {
    is_not_overtaken_without_polls("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_creatio_whose_webhook_is_lost_is_not_overtaken() {
    is_not_overtaken_without_polls("creatio").await;
}

/// A file that a rep attaches arrives as a file, before the text.
#[tokio::test(flavor = "multi_thread")]
async fn a_reps_file_reaches_the_phone() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    let base64 = "JVBERi0xLjQgYSBsYWJlbA==";
    world.act(
        "salesforce",
        json!({"act": "file", "name": "label.pdf", "mime": "application/pdf", "base64": base64}),
    );
    world.until_shown("whatsapp", "label.pdf").await;
    world.act(
        "salesforce",
        json!({"act": "text", "text": "That is your label."}),
    );
    world.until_shown("whatsapp", "That is your label.").await;
    assert_eq!(world.phone(), ["label.pdf", "That is your label."]);
}

/// Over the gateway's exchange: the reply is published, and its status comes back as an event.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_leaves_by_the_gateways_exchange() {
    let world = World::new(Exit::Gateway).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act(
        "salesforce",
        json!({"act": "text", "text": "By the exchange."}),
    );
    let event = world.taken("reply.requested").await;
    let data = &event["data"];
    assert_eq!(data["to"], json!(format!("+{CUSTOMER}")), "{event:#}");
    assert!(event.to_string().contains("By the exchange."));
    let reference = data["reference"].as_str().expect("a reference").to_owned();
    world
        .publish("message.status", "failed-1", json!({"reference": reference, "status": "failed", "error_code": 131026, "error": "Message undeliverable"}))
        .await;
    // The rep must not be left believing that it arrived.
    world.until_shown("salesforce", "Not delivered").await;
    world.until_idle().await;
    assert_eq!(world.count("salesforce", "Not delivered"), 1);
}

/// Nobody takes what the gateway is given: the reply waits, nothing is lost, and /readyz and the lane
/// say why.
#[tokio::test(flavor = "multi_thread")]
async fn an_unroutable_reply_waits_until_somebody_takes_it() {
    let world = World::new(Exit::Gateway).await;
    world.hand_over("salesforce").await;
    world.broker.delete_queue(crate::world::TAKEN).await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act("salesforce", json!({"act": "text", "text": "Wait for me."}));
    handoffd_test_support::eventually(crate::world::SOON, || async {
        world.lane("whatsapp").await["reason"] == "unroutable"
    })
    .await;
    world
        .gateway
        .queue(crate::world::TAKEN, crate::world::OUT, "#")
        .await;
    let event: Value = world.taken("reply.requested").await;
    assert!(event.to_string().contains("Wait for me."));
}

/// Nobody takes the gateway's news: what leaves by the Cloud API does not wait for that.
#[tokio::test(flavor = "multi_thread")]
async fn news_that_nobody_takes_hold_no_reply() {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.settings.insert(
            "whatsapp".into(),
            json!({"notify": {"exchange": "nobody.listens"}}),
        );
        plan.over["engine"]["breaker"] = json!({"failures": 1, "first": "10m", "max": "10m"});
    })
    .await;
    let (code, text) = world.command(&["check", "--live"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains(
            "right to publish the session events of whatsapp-notify to exchange `nobody.listens`"
        ),
        "{text}"
    );
    world.gateway.exchange("nobody.listens").await;
    let (code, text) = world.command(&["check", "--live"]);
    assert_eq!(code, 0, "{text}");
    let handoff = world.handoff(&["salesforce"]);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    world.until_shown("salesforce", "My parcel is broken").await;
    handoffd_test_support::eventually(SOON, || async {
        world.lane("whatsapp-notify").await["reason"] == "unroutable"
    })
    .await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    reply(&world, "salesforce", "On its way.");
    world.until_shown("whatsapp", "On its way.").await;
    assert_eq!(world.phone(), ["On its way."]);
}

/// A file on a rep's note arrives, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_a_note_in_hubspot_reaches_the_phone() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("hubspot").await;
    let label = json!({"act": "attach", "name": "label.pdf", "mime": "application/pdf", "data": "JVBERi0xLjQgYSBsYWJlbA==",
        "text": "That is your label."});
    world.act("hubspot", label);
    world.until_shown("whatsapp", "That is your label.").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["label.pdf", "That is your label."]);
}

/// A file on a rep's activity arrives with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_an_activity_in_creatio_reaches_the_phone() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("creatio").await;
    let done = world.act(
        "creatio",
        json!({"act": "reply", "text": "That is your label."}),
    );
    let label = json!({"act": "attach", "activity": done["activity"], "name": "label.pdf", "base64": "JVBERi0xLjQgYSBsYWJlbA=="});
    world.act("creatio", label);
    world.until_shown("whatsapp", "That is your label.").await;
    world.until_shown("whatsapp", "label.pdf").await;
    world.until_idle().await;
}

/// A reply that failed for good does not stand in the other CRMs as if it had arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_failed_is_marked_in_the_other_crms() {
    let all = ["hubspot", "creatio", "salesforce"];
    let world = World::new(Exit::CloudApi).await;
    let handoff = world.handoff(&all);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    for target in all {
        world.until_shown(target, "box.jpg").await;
    }
    let refused = json!({"code": 131026, "count": 1});
    world.crm("whatsapp").switch("fail_next", &refused).unwrap();
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act(
        "salesforce",
        json!({"act": "text", "text": "From the chat."}),
    );
    let words = "(Rosa, in salesforce) did not reach the customer";
    for target in ["hubspot", "creatio"] {
        world.until_shown(target, words).await;
    }
    world.until_idle().await;
    for target in ["hubspot", "creatio"] {
        assert_eq!(world.count(target, words), 1, "{target}");
    }
    assert_eq!(world.count("salesforce", words), 0);
    assert_eq!(world.phone(), [""; 0]);
}

/// Reps of three CRMs read one conversation: each reply is in all of them and on the phone once.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_one_crm_is_shown_in_the_others_and_sent_once() {
    let all = ["hubspot", "creatio", "salesforce"];
    let world = World::new(Exit::CloudApi).await;
    let handoff = world.handoff(&all);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    for target in all {
        world.until_shown(target, "box.jpg").await;
    }
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act(
        "salesforce",
        json!({"act": "text", "text": "From the chat."}),
    );
    for target in all {
        world.until_shown(target, "From the chat.").await;
    }
    world.act(
        "hubspot",
        json!({"act": "reply", "text": "From the ticket."}),
    );
    for target in all {
        world.until_shown(target, "From the ticket.").await;
    }
    world.until_idle().await;
    assert_eq!(world.phone(), ["From the chat.", "From the ticket."]);
    let shown = world.crm("creatio").view().to_string();
    assert!(shown.contains("Rosa, in salesforce"), "{shown}");
}
