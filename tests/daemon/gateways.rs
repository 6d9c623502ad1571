//! From what a gateway says in its own words to the reps, and back to the customer's phone.

use jiff::Timestamp;
use serde_json::{Value, json};

use handoffd_test_support::eventually;

use crate::world::{CUSTOMER, EVENTS, Exit, SOON, World};

const CRMS: [&str; 3] = ["salesforce", "hubspot", "creatio"];

/// The session that people have.
async fn queued(world: &mut World) {
    eventually(SOON, || async {
        let found = world.get("/v1/sessions?controller=queued").await;
        found["sessions"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    })
    .await;
    let found = world.get("/v1/sessions?controller=queued").await;
    assert_eq!(
        found["sessions"].as_array().map(Vec::len),
        Some(1),
        "{found}"
    );
    world.session = found["sessions"][0]["session"].as_str().unwrap().to_owned();
}

/// Publishes a message as Evolution does: without any property.
async fn evolution(world: &World, event: &str, from_me: bool, id: &str, text: &str) {
    let body = json!({
        "event": event, "instance": "shop", "apikey": "GATEWAY-KEY", "sender": "15550783881@s.whatsapp.net",
        "data": {"key": {"remoteJid": format!("{CUSTOMER}@s.whatsapp.net"), "fromMe": from_me, "id": id}, "pushName": "Ana López",
            "message": {"conversation": text}, "messageType": "conversation", "messageTimestamp": Timestamp::now().as_second()}});
    let body = body.to_string();
    world
        .gateway
        .publish_as(EVENTS, event, None, &[], body.as_bytes())
        .await;
}

/// What the customer says to a gateway is shown in every CRM from the word on that asks for people,
/// with what was said before; replies reach the phone, and the gateway's copies of them nobody again.
#[tokio::test(flavor = "multi_thread")]
async fn an_evolution_conversation_comes_to_the_reps_and_goes_back() {
    let mut world = World::with(Exit::CloudApi, |plan| {
        plan.over["intake"]["amqp"]["dialects"] = json!(["evolution"]);
        plan.over["intake"]["open"] = json!([{"on": "word", "words": ["a person"]}]);
    })
    .await;
    // The simulator's window is open from here on.
    world.act(
        "whatsapp",
        json!({"act": "text", "from": CUSTOMER, "text": "opens"}),
    );
    evolution(
        &world,
        "messages.upsert",
        false,
        "E1",
        "My parcel is broken 📦",
    )
    .await;
    evolution(
        &world,
        "send.message",
        true,
        "E2",
        "I am sorry to hear that.",
    )
    .await;
    evolution(
        &world,
        "messages.upsert",
        false,
        "E3",
        "May I speak to a person?",
    )
    .await;
    queued(&mut world).await;
    evolution(
        &world,
        "messages.upsert",
        false,
        "E3",
        "May I speak to a person?",
    )
    .await;
    evolution(&world, "messages.upsert", false, "E4", "Is anybody there?").await;
    for crm in CRMS {
        world.until_shown(crm, "Is anybody there?").await;
        world.until_shown(crm, "I am sorry to hear that.").await;
    }
    world.until_idle().await;
    for crm in CRMS {
        for words in [
            "My parcel is broken",
            "I am sorry to hear that.",
            "Is anybody there?",
        ] {
            assert_eq!(world.count(crm, words), 1, "{crm}: {words}");
        }
    }
    world.act(
        "hubspot",
        json!({"act": "reply", "text": "Your refund is on its way."}),
    );
    world
        .until_shown("whatsapp", "Your refund is on its way.")
        .await;
    world.until_idle().await;
    let before = world.count("salesforce", "Your refund is on its way.");
    evolution(
        &world,
        "send.message",
        true,
        "E5",
        "Your refund is on its way.",
    )
    .await;
    evolution(&world, "messages.upsert", false, "E6", "Thank you!").await;
    for crm in CRMS {
        world.until_shown(crm, "Thank you!").await;
    }
    world.until_idle().await;
    assert_eq!(
        world.count("salesforce", "Your refund is on its way."),
        before
    );
    assert_eq!(world.phone(), ["Your refund is on its way."]);
    assert_eq!(world.get("/v1/parked").await["groups"], json!([]));
    assert!(!world.log().contains("GATEWAY-KEY"));
}

/// Without any gateway: Meta's webhooks straight into the daemon, signed, messages and statuses.
#[tokio::test(flavor = "multi_thread")]
async fn metas_webhooks_alone_are_enough() {
    let mut world = World::with(Exit::CloudApi, |plan| {
        plan.over["intake"]["open"] = json!([{"on": "first", "reason": "no assistant"}]);
        plan.over["intake"]["source"] = json!({"meta": {"dialects": ["cloudapi"], "proof": "meta",
            "secret": "whatsapp_app_secret", "verify_token": "whatsapp_verify_token"}});
    })
    .await;
    let address = format!("http://{}/intake/meta", world.plan.listen);
    world
        .crm("whatsapp")
        .switch("webhook_url", &json!(address))
        .unwrap();
    world.act("whatsapp", json!({"act": "text", "from": CUSTOMER, "name": "Ana López", "text": "My parcel is broken 📦"}));
    queued(&mut world).await;
    world.act(
        "whatsapp",
        json!({"act": "media", "from": CUSTOMER, "kind": "image", "mime": "image/jpeg", "content": "a photo of a broken box"}),
    );
    for crm in CRMS {
        world.until_shown(crm, "My parcel is broken").await;
    }
    world.act(
        "hubspot",
        json!({"act": "reply", "text": "Your refund is on its way."}),
    );
    world
        .until_shown("whatsapp", "Your refund is on its way.")
        .await;
    // The status that came by the same webhook is known.
    let is_told = |story: &Value| story.to_string().contains("message.status");
    eventually(SOON, || async {
        is_told(&world.get(&format!("/v1/sessions/{}", world.session)).await)
    })
    .await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["Your refund is on its way."]);
    assert_eq!(world.count("hubspot", "My parcel is broken"), 1);
    let parked = world.get("/v1/parked").await;
    assert_eq!(
        (&parked["groups"], &parked["dead_letters"]),
        (&json!([]), &json!([])),
        "{parked}"
    );
}
