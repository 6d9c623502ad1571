//! Quotes in both directions, reactions, and choices: what an id alone tells is looked up.

use serde_json::{Value, json};

use crate::world::{CUSTOMER, Exit, World};

/// What the customer's phone shows of the business, the newest.
fn newest(world: &World) -> Value {
    let view = world.crm("whatsapp").view();
    let shown = view["phones"][CUSTOMER]["conversation"].as_array().cloned();
    let mut shown = shown.unwrap_or_default().into_iter().rev();
    shown
        .find(|one| one["from"] == "business")
        .unwrap_or_default()
}

/// The line of the thread in Salesforce that says this.
fn line(world: &World, text: &str) -> Value {
    let view = world.crm("salesforce").view();
    let thread = view["conversations"][0]["thread"].as_array().cloned();
    let mut lines = thread.unwrap_or_default().into_iter();
    lines.find(|line| line["text"] == text).unwrap_or_default()
}

async fn received(world: &World, id: &str, rest: Value) {
    let mut message =
        json!({"id": id, "time": jiff::Timestamp::now(), "author": {"kind": "customer"}});
    let rest = rest.as_object().unwrap().clone();
    message.as_object_mut().unwrap().extend(rest);
    world
        .publish("message.received", id, json!({"message": message}))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_travels_both_ways() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    let asked = world.customer_writes("When will it come?").await;
    world.until_shown("salesforce", "When will it come?").await;
    let entry = line(&world, "When will it come?")["id"].clone();
    let act = json!({"act": "text", "text": "On Monday.", "answers": entry});
    world.act("salesforce", act);
    world.until_shown("whatsapp", "On Monday.").await;
    let shown = newest(&world);
    assert_eq!(
        (&shown["text"], &shown["answers"]),
        (&json!("On Monday."), &json!(asked))
    );

    let quote = json!({"text": "Not sooner?", "quote": {"message_id": shown["id"]}});
    received(&world, "wamid.quoting", quote).await;
    world
        .until_shown("salesforce", "↩ Agent (Rosa): “On Monday.”\nNot sooner?")
        .await;
    let reaction = json!({"reaction": {"emoji": "👍", "message_id": asked}});
    received(&world, "wamid.reacting", reaction).await;
    let words = "[reaction 👍] ↩ Customer: “When will it come?”";
    world.until_shown("salesforce", words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_among_what_was_offered_goes_back_as_a_choice() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    let act = json!({"act": "choices", "text": "Which one?", "options": ["Red", "Blue"]});
    let offered = world.act("salesforce", act)["entry"].clone();
    world.until_shown("whatsapp", "Which one?").await;
    // The gateway tells what was chosen and not what it answers.
    received(
        &world,
        "wamid.choosing",
        json!({"text": "Blue", "choice": {"id": "o2"}}),
    )
    .await;
    let chosen = || async {
        let view = world.crm("salesforce").view();
        let thread = view["conversations"][0]["thread"].as_array().cloned();
        let mut lines = thread.unwrap_or_default().into_iter();
        lines.any(|line| line["chosen"] == "o2" && line["answers"] == offered)
    };
    handoffd_test_support::eventually(crate::world::SOON, chosen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_told_which_message_a_reply_answers() {
    let world = World::new(Exit::Gateway).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    let asked = world.customer_writes("When will it come?").await;
    world.until_shown("salesforce", "When will it come?").await;
    let entry = line(&world, "When will it come?")["id"].clone();
    let act = json!({"act": "text", "text": "On Monday.", "answers": entry});
    world.act("salesforce", act);
    let reply = world.taken("reply.requested").await;
    let message =
        json!({"type": "text", "text": {"body": "On Monday."}, "context": {"message_id": asked}});
    assert_eq!(reply["data"]["message"], message);
}
