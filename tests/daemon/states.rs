//! Who is in charge, as users see it: a conversation that was given back rings at nobody, a handoff
//! after it is work again, and it is told when nobody comes.

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{Exit, OUT, SOON, World};

/// A daemon whose gateway is told of everything, and that keeps short time.
async fn told(unattended_after: &str) -> World {
    World::with(Exit::CloudApi, |plan| {
        let settings = json!({"notify": {"exchange": OUT}, "handback": true});
        plan.settings.insert("whatsapp".into(), settings);
        plan.over["conversation"] = json!({"unattended_after": unattended_after});
    })
    .await
}

/// The session's controller, as the admin API says.
async fn controller(world: &World) -> Value {
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    story["conversation"]["controller"].clone()
}

async fn until_in_charge(world: &World, who: &str) {
    eventually(SOON, || async { controller(world).await == who }).await;
}

async fn return_it(world: &World) {
    let data = json!({"returned_by": "platform", "reason": "it can be answered after all"});
    world.publish("session.returned", "returned-1", data).await;
    until_in_charge(world, "returned").await;
    world.until_idle().await;
}

async fn the_assistant_says(world: &World, text: &str) {
    let id = format!("{}-{text}", world.session);
    let message = json!({"id": id, "time": jiff::Timestamp::now(), "author": {"kind": "assistant"}, "text": text});
    world
        .publish(
            "message.sent",
            &format!("sent-{text}"),
            json!({"message": message}),
        )
        .await;
}

/// A second handoff, whose own transcript knows nothing of what was said since the first.
async fn hand_over_again(world: &World, target: &str) {
    let mut again = world.handoff(&[target]);
    again["handoff"]["summary"] = json!("She asks for a colleague.");
    again["transcript"].as_array_mut().unwrap().truncate(1);
    world.publish("handoff.requested", "handoff-2", again).await;
    world.until_shown(target, "She asks for a colleague.").await;
    world.until_idle().await;
}

/// The statuses of the CRM's records: what tells a rep that there is work.
fn work(world: &World, target: &str) -> Vec<String> {
    let view = world.crm(target).view();
    let (list, field) = match target {
        "salesforce" => (&view["conversations"][0]["sessions"], "status"),
        "hubspot" => (&view["tickets"], "stage"),
        _ => (&view["cases"], "status"),
    };
    let rows = list.as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| row[field].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn a_return_stops_the_ringing(target: &str, after: [&[&str]; 2]) {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over(target).await;
    assert_eq!(controller(&world).await, "queued");
    return_it(&world).await;
    let shown = work(&world, target);
    assert_eq!(shown, after[0]);

    world.customer_writes("Are you a robot?").await;
    the_assistant_says(&world, "I can help.").await;
    eventually(SOON, || async {
        let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
        let events = story["events"].as_array().cloned().unwrap_or_default();
        events.iter().any(|event| event["type"] == "message.sent")
    })
    .await;
    world.until_idle().await;
    for words in ["Are you a robot?", "I can help."] {
        assert_eq!(world.count(target, words), 0, "{words}");
    }
    assert_eq!(work(&world, target), shown, "nobody was rung");

    hand_over_again(&world, target).await;
    assert_eq!(controller(&world).await, "queued");
    for words in ["Are you a robot?", "I can help."] {
        assert_eq!(world.count(target, words), 1, "{words}");
    }
    assert_eq!(work(&world, target), after[1]);
    world.customer_writes("Thank you, colleague.").await;
    world.until_shown(target, "Thank you, colleague.").await;
    world.until_idle().await;
    assert_eq!(work(&world, target), after[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_stops_the_ringing_in_salesforce() {
    a_return_stops_the_ringing("salesforce", [&["Ended"], &["Ended", "Waiting"]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_stops_the_ringing_in_hubspot() {
    a_return_stops_the_ringing("hubspot", [&["New"], &["New"]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_stops_the_ringing_in_creatio() {
    a_return_stops_the_ringing("creatio", [&["New"], &["New"]]).await;
}

/// A record that a rep closed stays closed while the assistant has the conversation, and a handoff
/// makes it work again.
async fn a_closed_record_is_work_again(target: &str, act: Value, after: [&[&str]; 2]) {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over(target).await;
    world.act(target, act);
    assert_eq!(work(&world, target), after[0]);
    until_in_charge(&world, "closed").await;
    return_it(&world).await;
    world.customer_writes("One more thing.").await;
    eventually(SOON, || async {
        let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
        story["events"].to_string().contains("message.received")
    })
    .await;
    world.until_idle().await;
    assert_eq!(work(&world, target), after[0], "nobody was rung");
    assert_eq!(world.count(target, "One more thing."), 0);
    hand_over_again(&world, target).await;
    assert_eq!(work(&world, target), after[1]);
    assert_eq!(world.count(target, "One more thing."), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket_opens_again_by_a_handoff_after_the_return() {
    let act = json!({"act": "close"});
    a_closed_record_is_work_again("hubspot", act, [&["Closed"], &["New"]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolved_case_opens_again_by_a_handoff_after_the_return() {
    let act = json!({"act": "resolve"});
    a_closed_record_is_work_again("creatio", act, [&["Resolved"], &["Reopened"]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_that_nobody_comes() {
    let world = told("1s").await;
    world.hand_over("hubspot").await;
    let unattended = world.taken("session.unattended").await;
    assert_eq!(unattended["data"]["targets"], json!(["hubspot"]));
    assert_eq!(unattended["data"]["session"], world.session.as_str());
    let waiting = world.get("/v1/sessions?controller=queued").await;
    assert_eq!(waiting["sessions"][0]["session"], world.session.as_str());
    assert_eq!(waiting["sessions"][0]["target"], "hubspot");
    let (code, text) = world.command(&["show", &world.session]);
    assert_eq!(code, 0);
    assert!(text.contains("nobody yet: it waits at hubspot"), "{text}");
    let queued = "handoffd_sessions{controller=\"queued\"} 1\n";
    eventually(SOON, || async {
        world.text("/metrics").await.contains(queued)
    })
    .await;
    let refused = world.get("/v1/sessions?controller=nobody").await;
    assert!(
        refused["error"].to_string().contains("queued, rep"),
        "{refused}"
    );
}

/// From the handoff to the end, the platform knows who has the conversation, and at the end what the
/// rep did.
#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_told_who_is_in_charge_and_what_the_rep_did() {
    let world = told("off").await;
    world.hand_over("salesforce").await;
    let state = world.taken("session.state").await;
    assert_eq!(state["data"]["controller"], "queued");
    assert_eq!(state["data"]["target"], "salesforce");
    let state = world.taken("session.state").await;
    assert_eq!(state["data"]["controller"], "queued");
    assert_eq!(state["data"]["wait_seconds"], 120, "as Omni-Channel says");
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    let state = world.taken("session.state").await;
    assert_eq!(state["data"]["controller"], "rep");
    world.act("salesforce", json!({"act": "text", "text": "Ana here."}));
    world.until_shown("whatsapp", "Ana here.").await;
    world.act("salesforce", json!({"act": "end"}));
    let mut kinds = Vec::new();
    let back = loop {
        let got = world.gateway.get(crate::world::TAKEN).await;
        let event: Value = serde_json::from_slice(&got.body).unwrap();
        kinds.push(event["type"].as_str().unwrap().to_owned());
        if event["type"] == "session.handback" {
            break event;
        }
    };
    assert!(
        kinds.ends_with(&[
            "session.closed".to_owned(),
            "session.state".to_owned(),
            "session.handback".to_owned()
        ]),
        "{kinds:?}"
    );
    let back = &back["data"];
    assert_eq!(back["target"], "salesforce");
    assert_eq!(back["outcome"], "closed");
    assert_eq!(back["replies"], 1);
    assert_eq!(back["last_replies"][0]["target"], "salesforce");
    assert!(back["reps"].to_string().contains("Ana"), "{back}");
    assert!(
        back["records"]["salesforce"]["records"]["conversation"].is_string(),
        "{back}"
    );
    assert_eq!(controller(&world).await, "closed");
}
