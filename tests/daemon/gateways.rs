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

/// A dialect is mended while the daemon runs: what came before is judged again with it, and what comes
/// is taken; another version takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_is_mended_without_a_stop() {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.over["intake"]["amqp"]["dialects"] = json!(["evolution"]);
    })
    .await;
    let letters = async || world.get("/v1/dead-letters").await["count"].clone();
    // One that its gateway does not write so, and the shipped dialect does not take.
    let says = async |id: &str| {
        let body = json!({"event": "messages.upsert", "data": {
            "key": {"remoteJid": format!("{CUSTOMER}@s.whatsapp.net"), "fromMe": false, "id": id},
            "message": {"conversation": "Hello"}, "messageTimestamp": Timestamp::now().as_second()}});
        let body = body.to_string();
        let publish = world
            .gateway
            .publish_as(EVENTS, "x", None, &[], body.as_bytes());
        publish.await;
    };
    says("E1").await;
    eventually(SOON, || async { letters().await == 1 }).await;
    let shipped = include_str!("../../mappings/intake/evolution.toml");
    let rule = "\"body.instance\", ";
    assert_eq!(shipped.matches(rule).count(), 1);
    let file = world.folder.path().join("own.toml");
    std::fs::write(&file, shipped.replace(rule, "")).unwrap();
    let file = file.to_str().unwrap();
    for (name, words) in [
        ("hubspot", "is for intake, as evolution, but"),
        (
            "intake/waha",
            "no source and no queue speaks the dialect waha",
        ),
    ] {
        let (code, said) = world.command(&["mapping", "apply", name, file]);
        assert!(code != 0 && said.contains(words), "{said}");
    }
    let name = "intake/evolution";
    let (code, said) = world.command(&["mapping", "apply", name, file, "--why", "wider"]);
    assert!(
        code == 0 && said.contains("intake/evolution: version 1 is live"),
        "{said}"
    );
    let (code, said) = world.command(&["mapping", "history", name]);
    assert!(code == 0 && said.contains("wider"), "{said}");
    // The command itself judges with what is in force.
    let (code, said) = world.command(&["dead-letters", "retry", "--all"]);
    assert!(code == 0 && said.contains("is admitted"), "{said}");
    let in_force = |version: i64| {
        let line =
            format!("\"a dialect is in force\",\"dialect\":\"evolution\",\"version\":{version}");
        world.log().contains(&line)
    };
    eventually(SOON, || async { in_force(1) }).await;
    says("E2").await;
    eventually(SOON, || async {
        let metrics = world.text("/metrics").await;
        metrics.contains("handoffd_events_total{type=\"message.received\"")
    })
    .await;
    let again = world.folder.path().join("again.toml");
    std::fs::write(&again, shipped).unwrap();
    let (code, said) = world.command(&["mapping", "apply", name, again.to_str().unwrap()]);
    assert!(code == 0 && said.contains("version 2 is live"), "{said}");
    eventually(SOON, || async { in_force(2) }).await;
    says("E3").await;
    eventually(SOON, || async { letters().await == 1 }).await;
    let (code, said) = world.command(&["mapping", "export", name, "--version", "1"]);
    assert!(
        code == 0 && !said.contains(rule) && said.contains("body.event"),
        "{said}"
    );
}
