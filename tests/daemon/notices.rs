//! What the customer is told of the conversation itself: on the phone, once, in order; the word with
//! which they leave the queue; their rating; and whether reps are there before anything is handed over.

use std::time::Duration;

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{CUSTOMER, Exit, OUT, SOON, TAKEN, World};

const SHIPPED: &str = include_str!("../../mappings/whatsapp.toml");

/// A daemon whose WhatsApp mapping tells everything, from its first event on.
async fn telling(exit: Exit, over: Value) -> World {
    telling_with(200, "reopen", exit, over).await
}

/// The same, with lanes that load so many events at a time, and what HubSpot does with messages after the
/// end.
async fn telling_with(events: usize, after_end: &str, exit: Exit, over: Value) -> World {
    let mut world = World::with(exit, |plan| {
        let settings = plan.settings.entry("whatsapp".into()).or_insert(json!({}));
        settings["notify"] = json!({"exchange": OUT});
        settings["handback"] = json!(true);
        plan.settings.insert(
            "hubspot".into(),
            json!({"poll_seconds": 5, "standing": {"rating": "wa_rating"}, "after_end": after_end}),
        );
        plan.over["conversation"] = over;
        plan.over["engine"]["load_events"] = json!(events);
    })
    .await;
    assert_eq!(world.stop(), Some(0));
    apply(&world);
    world.start().await;
    world
}

/// Switches every shipped notice on.
fn apply(world: &World) {
    let file = world.folder.path().join("told.toml");
    std::fs::write(&file, SHIPPED.replace("on = false", "on = true")).unwrap();
    let file = file.display().to_string();
    let (code, text) =
        world.command(&["mapping", "apply", "whatsapp", &file, "--why", "to be told"]);
    assert_eq!(code, 0, "{text}");
}

async fn until_told(world: &World, texts: &[&str]) {
    eventually(SOON, || async { world.phone() == texts }).await;
}

const QUEUED: &str = "Thank you. A member of our team will be with you shortly. Send /cancel to go on with the assistant.";
const ENDED: &str = "The conversation with our team has ended. Thank you for writing to us.";
const CSAT: &str = "How satisfied were you? Answer with a number from 1 (not at all) to 5 (very).";

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_salesforce_is_told_to_its_end() {
    let mut world = telling(Exit::CloudApi, json!({})).await;
    world.hand_over("salesforce").await;
    until_told(&world, &[QUEUED, "The estimated wait is 2 min."]).await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    let joined = [
        QUEUED,
        "The estimated wait is 2 min.",
        "Ana has joined the conversation.",
    ];
    until_told(&world, &joined).await;
    // Nothing is told again after a restart.
    world.restart().await;
    world.act("salesforce", json!({"act": "text", "text": "Ana here."}));
    world.until_shown("whatsapp", "Ana here.").await;
    world.act("salesforce", json!({"act": "end"}));
    let all = [&joined[..], &["Ana here.", ENDED, CSAT]].concat();
    until_told(&world, &all).await;
    world.until_idle().await;
    assert_eq!(world.phone(), all);
    // The rating is the gateway's; no new messaging session opens for it.
    world.customer_writes("4").await;
    let rated = world.taken("session.rated").await;
    assert_eq!(rated["data"]["score"], 4);
    assert_eq!(rated["data"]["of"], 5);
    assert_eq!(rated["data"]["rep"], "Ana");
    assert_eq!(rated["data"]["target"], "salesforce");
    world.until_idle().await;
    let view = world.crm("salesforce").view();
    let sessions = view["conversations"][0]["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{view:#}");
    assert_eq!(world.count("salesforce", ENDED), 0, "no notice is echoed");
    assert_eq!(world.phone(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rating_is_no_part_of_the_next_handoffs_transcript() {
    let scale = json!({"rating_scale": [["1", "👎"], ["2", "👍"]]});
    let world = telling_with(200, "ignore", Exit::CloudApi, scale).await;
    world.hand_over("hubspot").await;
    world.act("hubspot", json!({"act": "note", "text": "/wa On it."}));
    world.until_shown("whatsapp", "On it.").await;
    world.act("hubspot", json!({"act": "close"}));
    world.until_shown("whatsapp", CSAT).await;
    world.customer_writes("👍").await;
    world.taken("session.rated").await;
    world.customer_writes("It is broken again.").await;
    world.until_idle().await;
    assert_eq!(world.count("hubspot", "It is broken again."), 0);
    let mut again = world.handoff(&["hubspot"]);
    again["transcript"] = json!([]);
    world.publish("handoff.requested", "handoff-2", again).await;
    world.until_shown("hubspot", "It is broken again.").await;
    world.until_idle().await;
    assert_eq!(world.count("hubspot", "👍"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rating_is_written_on_the_ticket_and_opens_nothing() {
    // What says that a message is a rating may come with the next batch.
    let world = telling_with(
        1,
        "reopen",
        Exit::CloudApi,
        json!({"rating_scale": [["1", "👎"], ["2", "👍"]]}),
    )
    .await;
    world.hand_over("hubspot").await;
    world.act(
        "hubspot",
        json!({"act": "note", "text": "/wa We are on it."}),
    );
    world.until_shown("whatsapp", "We are on it.").await;
    world.act("hubspot", json!({"act": "close"}));
    until_told(&world, &[QUEUED, "We are on it.", ENDED, CSAT]).await;
    world.customer_writes("👍").await;
    let ticket = || world.crm("hubspot").view()["tickets"][0].clone();
    eventually(SOON, || async {
        ticket()["properties"]["wa_rating"] == "2"
    })
    .await;
    world.until_idle().await;
    assert_eq!(
        world.count("hubspot", "👍"),
        0,
        "it is no message for a rep"
    );
    assert_eq!(ticket()["stage"], "Closed", "{:#}", ticket());
    // What is written after that is a message again.
    world.customer_writes("2").await;
    world.until_idle().await;
    eventually(SOON, || async { ticket()["stage"] != "Closed" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_leaves_the_queue() {
    let world = telling(
        Exit::Gateway,
        json!({"cancel_words": {"default": ["/cancel"], "de": ["/abbrechen"]}}),
    )
    .await;
    world.hand_over("hubspot").await;
    let notice = world.taken("reply.requested").await;
    assert_eq!(notice["data"]["notice"], "queued");
    assert_eq!(notice["data"]["message"]["text"]["body"], QUEUED);
    world.customer_writes("/Abbrechen ").await;
    let (mut state, mut notice) = (Value::Null, Value::Null);
    while state["controller"] != "returned" || notice["notice"] != "cancelled" {
        let got = world.gateway.get(TAKEN).await;
        let event: Value = serde_json::from_slice(&got.body).unwrap();
        match event["type"].as_str() {
            Some("session.state") => state = event["data"].clone(),
            Some("reply.requested") => notice = event["data"].clone(),
            _ => {}
        }
    }
    assert_eq!(state["by"], "customer");
    assert_eq!(notice["to"], format!("+{CUSTOMER}"));
    world
        .until_shown("hubspot", "Back with the assistant")
        .await;
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_and_the_customer_is_told_before_it_is_given_back() {
    let over = json!({"unattended_after": "1s", "unattended": "return"});
    let world = telling(Exit::CloudApi, over).await;
    world.hand_over("hubspot").await;
    let nobody = "Nobody from our team is available at the moment. We have your message and will get back to you.";
    eventually(SOON, || async {
        world.phone().last().is_some_and(|last| last == nobody)
    })
    .await;
    world.until_idle().await;
    let told = world.phone();
    assert_eq!(told.iter().filter(|text| *text == nobody).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_is_applied_counts_within_seconds_and_nothing_is_told_before() {
    let mut world = World::new(Exit::CloudApi).await;
    world.hand_over("hubspot").await;
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    assert!(!story.to_string().contains("customer.notice"), "{story:#}");
    apply(&world);
    eventually(SOON, || async {
        world.log().contains("customers are told")
    })
    .await;
    world.session = handoffd_test_support::unique("session");
    world.hand_over("hubspot").await;
    until_told(&world, &[QUEUED]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_asks_whether_reps_are_there() {
    let world = World::new(Exit::CloudApi).await;
    let public = format!("http://{}", world.plan.listen);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |name: &str, token: &str| {
        let url = format!("{public}/v1/targets/{name}/availability");
        let request = client
            .get(url)
            .bearer_auth(token)
            .timeout(Duration::from_secs(20));
        async move {
            let reply = request.send().await.unwrap();
            let status = reply.status().as_u16();
            (status, reply.json::<Value>().await.unwrap())
        }
    };
    let token = world.plan.events_token.clone();
    assert_eq!(ask("salesforce", "guessed").await.0, 401);
    for name in ["nobody", "whatsapp"] {
        assert_eq!(ask(name, &token).await.0, 404, "{name}");
    }
    let (status, hubspot) = ask("hubspot", &token).await;
    assert_eq!((status, &hubspot["status"]), (200, &json!("unknown")));
    assert_eq!(hubspot["available"], Value::Null);
    let (_, open) = ask("salesforce", &token).await;
    assert_eq!(
        (&open["available"], &open["status"]),
        (&json!(true), &json!("available"))
    );
    assert!(open["until"].is_string(), "{open}");
    // An answer counts for some seconds, however many ask.
    let asked = || {
        let requests = world.crm("salesforce").requests(0, false);
        let is_hours = |request: &&Value| request.to_string().contains("businesshours");
        requests.iter().filter(is_hours).count()
    };
    let once = asked();
    world
        .crm("salesforce")
        .switch("business_hours", &json!(false))
        .unwrap();
    for _ in 0..20 {
        assert_eq!(ask("salesforce", &token).await.1["available"], true);
    }
    assert_eq!(asked(), once);
    eventually(SOON, || async {
        ask("salesforce", &token).await.1["available"] == false
    })
    .await;
    let admin = world.get("/v1/targets/salesforce/availability").await;
    assert_eq!(admin["status"], "unavailable");
    assert_eq!(admin["reason"], "outside business hours");
}
