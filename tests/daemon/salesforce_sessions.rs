//! The life of a Salesforce messaging session: inactivity, a rep who leaves, the end, and what comes
//! after it.

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{Exit, OUT, SOON, TAKEN, World};

/// A daemon whose gateway is told of endings.
async fn told(exit: Exit) -> World {
    World::with(exit, |plan| {
        let settings = plan
            .settings
            .entry("whatsapp".into())
            .or_insert_with(|| json!({}));
        settings["notify"] = json!({"exchange": OUT});
        settings["handback"] = json!(true);
    })
    .await
}

/// How many events of this type the session has.
async fn events(world: &World, kind: &str) -> usize {
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    let events = story["events"].as_array().cloned().unwrap_or_default();
    events.iter().filter(|event| event["type"] == kind).count()
}

async fn until_heard(world: &World, kind: &str, count: usize) {
    eventually(SOON, || async { events(world, kind).await == count }).await;
}

/// The session's messaging sessions, by status.
fn sessions(world: &World) -> Vec<String> {
    let view = world.crm("salesforce").view();
    let sessions = view["conversations"][0]["sessions"].as_array().cloned();
    sessions
        .unwrap_or_default()
        .iter()
        .map(|session| session["status"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// A second handoff, whose own transcript knows nothing of what was said since the first.
async fn hand_over_again(world: &World) {
    let mut again = world.handoff(&["salesforce"]);
    again["handoff"]["summary"] = json!("She asks again.");
    again["transcript"].as_array_mut().unwrap().truncate(1);
    world.publish("handoff.requested", "handoff-2", again).await;
    world.until_shown("salesforce", "She asks again.").await;
}

/// The types of what the gateway was told, up to the second handoff's completion.
async fn told_until_the_second_handoff(world: &World) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut completed = 0;
    while completed < 2 {
        let got = world.gateway.get(TAKEN).await;
        let event: Value = serde_json::from_slice(&got.body).unwrap();
        let kind = event["type"].as_str().unwrap().to_owned();
        completed += usize::from(kind == "handoff.completed");
        kinds.push(kind);
    }
    kinds
}

fn count(kinds: &[String], kind: &str) -> usize {
    kinds.iter().filter(|told| *told == kind).count()
}

/// Inactive is no end: the customer's next message wakes the session, another rep takes it, and its
/// end is told once.
#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_session_goes_on_and_its_end_is_told_once() {
    let world = told(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    world.act("salesforce", json!({"act": "inactive"}));
    world.customer_writes("Sorry, I was away.").await;
    world.until_shown("salesforce", "Sorry, I was away.").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ben"}));
    world.act("salesforce", json!({"act": "text", "text": "Ben here."}));
    world.until_shown("whatsapp", "Ben here.").await;
    assert_eq!(events(&world, "rep.ended").await, 0);
    assert_eq!(sessions(&world), ["Active"]);
    world.act("salesforce", json!({"act": "end"}));
    until_heard(&world, "rep.ended", 1).await;
    hand_over_again(&world).await;
    let kinds = told_until_the_second_handoff(&world).await;
    assert_eq!(count(&kinds, "session.closed"), 1, "{kinds:?}");
    assert_eq!(count(&kinds, "session.handback"), 1, "{kinds:?}");
    assert_eq!(events(&world, "rep.ended").await, 1);
}

/// A rep who leaves an open session is no end: the next one is heard, also when the conversation was
/// read again meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn the_rep_who_follows_one_that_left_is_heard() {
    let world = told(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    world.act("salesforce", json!({"act": "text", "text": "One moment."}));
    world.until_shown("whatsapp", "One moment.").await;
    world.act("salesforce", json!({"act": "leave"}));
    until_heard(&world, "session.assigned", 2).await;
    let reads = |world: &World| {
        let requests = world.crm("salesforce").requests(0, false);
        let lists = requests.iter().filter(|request| {
            request["path"]
                .as_str()
                .is_some_and(|path| path.ends_with("/entries"))
        });
        lists.count()
    };
    let before = reads(&world);
    world.crm("salesforce").switch("cut", &json!(true)).unwrap();
    eventually(SOON, || async { reads(&world) > before }).await;
    world.until_idle().await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ben"}));
    world.act("salesforce", json!({"act": "text", "text": "Ben here."}));
    world.until_shown("whatsapp", "Ben here.").await;
    assert_eq!(events(&world, "rep.ended").await, 0);
    assert_eq!(world.phone(), ["One moment.", "Ben here."]);
}

/// After an end the stream is let go. A new handoff has it open before its first message leaves.
#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_open_before_the_next_session_begins() {
    let world = told(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    world.act("salesforce", json!({"act": "end"}));
    until_heard(&world, "rep.ended", 1).await;
    // What is open is opened again, and so the entries are read once more.
    world.crm("salesforce").switch("cut", &json!(true)).unwrap();
    let ledger = rusqlite::Connection::open(world.folder.path().join("ledger.db")).unwrap();
    let listeners = "SELECT sum(listeners) FROM feed WHERE target = 'salesforce'";
    eventually(SOON, || async {
        let count = ledger.query_row(listeners, [], |row| row.get(0));
        count.is_ok_and(|count: i64| count == 0)
    })
    .await;
    let closed = "handoffd_feeds_open{target=\"salesforce\"} 0\n";
    eventually(SOON, || async {
        world.text("/metrics").await.contains(closed)
    })
    .await;
    world.until_idle().await;
    let number = |request: &Value| request["n"].as_u64().unwrap_or(0);
    let seen = world.crm("salesforce").requests(0, false);
    let since = seen.iter().map(number).max().unwrap_or(0);
    hand_over_again(&world).await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    world.act("salesforce", json!({"act": "text", "text": "Rosa here."}));
    world.until_shown("whatsapp", "Rosa here.").await;
    let requests = world.crm("salesforce").requests(since, false);
    let first = |method: &str, ends: &[&str]| {
        let wanted = |request: &&Value| {
            let path = request["path"].as_str().unwrap_or_default();
            request["method"] == method && ends.iter().any(|end| path.ends_with(end))
        };
        requests.iter().filter(wanted).map(number).min()
    };
    let opened = first("GET", &["/eventrouter/v1/sse"]);
    let sent = first("POST", &["/message", "/file"]);
    assert!(
        opened.is_some() && opened < sent,
        "opened by request {opened:?}, first message by {sent:?}: {requests:#?}"
    );
    assert_eq!(sessions(&world), ["Ended", "Active"]);
}

/// After the end nothing but a handoff rings the reps; what came meanwhile is in its transcript.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_end_waits_for_the_next_handoff() {
    let world = told(Exit::Gateway).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    world.act("salesforce", json!({"act": "text", "text": "Goodbye."}));
    let reply = world.taken("reply.requested").await;
    world.act("salesforce", json!({"act": "end"}));
    until_heard(&world, "rep.ended", 1).await;
    let thanks = json!({"message": {"id": "thanks", "time": jiff::Timestamp::now(),
        "author": {"kind": "customer"}, "text": "Thank you!"}});
    world.publish("message.received", "thanks", thanks).await;
    let welcome = json!({"message": {"id": "welcome", "time": jiff::Timestamp::now(),
        "author": {"kind": "assistant"}, "text": "You are welcome."}});
    world.publish("message.sent", "welcome", welcome).await;
    let failed = json!({"reference": reply["data"]["reference"], "status": "failed",
        "error_code": 131026, "error": "Message undeliverable"});
    world.publish("message.status", "failed", failed).await;
    let waiting = "waiting_for_next_handoff = 3";
    eventually(SOON, || async {
        let (_, text) = world.command(&["show", &world.session]);
        text.contains(waiting)
    })
    .await;
    world.until_idle().await;
    assert_eq!(sessions(&world), ["Ended"]);
    assert_eq!(world.get("/v1/parked").await["groups"], json!([]));
    hand_over_again(&world).await;
    world.until_idle().await;
    assert_eq!(sessions(&world), ["Ended", "Waiting"]);
    for words in [
        "Thank you!",
        "You are welcome.",
        "Not delivered to WhatsApp",
    ] {
        assert_eq!(world.count("salesforce", words), 1, "{words}");
    }
}

/// Handed over, given back and handed over again within a moment, while the stream lags: the end that we
/// cause is told only when the session's id is known, so that it is not taken for a rep's.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_our_own_is_no_reps_however_soon_it_comes() {
    let world = told(Exit::CloudApi).await;
    let lag = json!({"target": "salesforce", "times": 1, "fault": {"kind": "silence_streams", "ms": 3_000}});
    let lag = serde_json::from_value(lag).unwrap();
    world.sims.fault(lag).unwrap();
    let handoff = world.handoff(&["salesforce"]);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    let data = json!({"returned_by": "platform", "reason": "it can be answered after all"});
    world.publish("session.returned", "returned-1", data).await;
    hand_over_again(&world).await;
    eventually(SOON, || async { sessions(&world) == ["Ended", "Waiting"] }).await;
    world.until_idle().await;
    let ours = r#"handoffd_heard_total{target="salesforce",what="echo"}"#;
    eventually(SOON, || async {
        let is_heard = world.text("/metrics").await.contains(ours);
        is_heard || events(&world, "rep.ended").await > 0
    })
    .await;
    assert_eq!(events(&world, "rep.ended").await, 0);
    let kinds = told_until_the_second_handoff(&world).await;
    assert_eq!(count(&kinds, "session.closed"), 0, "{kinds:?}");
}
