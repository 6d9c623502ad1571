//! Gateways without a queue, the whole way round: what the customer says comes in by the gateway's own
//! webhooks, the rep's reply leaves by its own API, and its statuses are what the rep's record says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_test_support::eventually;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{CUSTOMER, Exit, SOON, World};

/// How the gateway's webhooks are taken.
fn source(api: &str) -> Value {
    match api {
        "evolution" => {
            json!({"dialects": ["evolution"], "proof": "header", "secret": "gateway_hook"})
        }
        "waha" => json!({"dialects": ["waha"], "proof": "waha", "secret": "gateway_hook"}),
        "chatwoot" => {
            json!({"dialects": ["chatwoot"], "proof": "chatwoot", "secret": "gateway_hook"})
        }
        "twilio" => json!({"dialects": ["twilio"], "proof": "twilio", "secret": "whatsapp_token"}),
        _ => json!({"dialects": ["cloudapi"], "token": "gateway_hook"}),
    }
}

/// A daemon that speaks with this gateway alone.
async fn world(api: &'static str, settings: Value) -> World {
    World::with(Exit::Http(api), |plan| {
        let address = format!("http://{}", plan.listen);
        plan.over["intake"]["open"] = json!([{"on": "word", "words": ["a person"]}]);
        plan.over["intake"]["source"] = json!({api: source(api)});
        plan.over["intake"]["dialect"] =
            json!({"chatwoot": {"options": {"inbox_17": "+15550783881"}}});
        plan.over["http"] = json!({"public_url": address});
        plan.over["secrets"] = json!({"gateway_hook": {"value": "sandbox-hook-secret"}});
        let mut settings = settings;
        if api == "twilio" {
            let callback = format!("{address}/intake/twilio");
            settings["options"] = json!({"status_callback": callback});
        }
        plan.settings.insert("whatsapp".into(), settings);
    })
    .await
}

/// The customer asks for a person, and a session begins that people have.
async fn asks(world: &mut World) {
    world.act(
        "whatsapp",
        json!({"act": "text", "from": CUSTOMER, "name": "Ana López", "text": "May I speak to a person?"}),
    );
    let queued = || async {
        let found = world.get("/v1/sessions?controller=queued").await;
        let session = found["sessions"][0]["session"].as_str();
        session.map(str::to_owned)
    };
    eventually(SOON, || async { queued().await.is_some() }).await;
    world.session = queued().await.unwrap();
    world
        .until_shown("hubspot", "May I speak to a person?")
        .await;
    world.until_idle().await;
}

/// In by the dialect, to every CRM, out by the gateway's API, and back as "delivered".
async fn goes_round(api: &'static str, settings: Value) -> World {
    let mut world = world(api, settings).await;
    asks(&mut world).await;
    world.act(
        "creatio",
        json!({"act": "reply", "text": "Your refund is on its way."}),
    );
    world
        .until_shown("whatsapp", "Your refund is on its way.")
        .await;
    world.until_shown("creatio", "Delivered to WhatsApp").await;
    world.act("whatsapp", json!({"act": "read", "from": CUSTOMER}));
    world.until_shown("creatio", "Read on WhatsApp").await;
    world.act(
        "whatsapp",
        json!({"act": "text", "from": CUSTOMER, "text": "Thank you!"}),
    );
    for crm in ["salesforce", "hubspot", "creatio"] {
        world.until_shown(crm, "Thank you!").await;
    }
    world.until_idle().await;
    assert_eq!(world.phone(), ["Your refund is on its way."], "{api}");
    for crm in ["salesforce", "hubspot", "creatio"] {
        assert_eq!(world.count(crm, "Thank you!"), 1, "{api}: {crm}");
    }
    // The gateway's copy of the reply is nobody's message.
    let said = world.count("salesforce", "Your refund is on its way.");
    assert!(said <= 1, "{api}: {said}");
    let parked = world.get("/v1/parked").await;
    assert_eq!(
        (&parked["groups"], &parked["dead_letters"]),
        (&json!([]), &json!([])),
        "{api}: {parked}"
    );
    for secret in ["sandbox-gateway-key", "sandbox-hook-secret"] {
        assert!(!world.log().contains(secret), "{api}");
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn evolution_takes_replies_by_its_own_api() {
    goes_round("evolution", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waha_takes_replies_by_its_own_api() {
    goes_round("waha", json!({"known_ids": true})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chatwoot_takes_replies_by_its_own_api() {
    goes_round("chatwoot", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twilio_takes_replies_by_its_own_api() {
    goes_round("twilio", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dialog360_takes_replies_as_the_cloud_api() {
    goes_round("360dialog", json!({})).await;
}

/// The answer is lost on the way: the status that names our reference, or the id that was had before,
/// proves that the reply went out, and it goes out once.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_by_the_gateways_own_status() {
    for (api, settings, path) in [
        ("twilio", json!({}), "Messages.json"),
        ("waha", json!({"known_ids": true}), "sendText"),
    ] {
        let mut world = world(api, settings).await;
        asks(&mut world).await;
        let rule = json!({"target": "whatsapp", "match": {"path_contains": path}, "times": 1,
            "fault": {"kind": "drop_after"}});
        world
            .sims
            .fault(serde_json::from_value(rule).unwrap())
            .unwrap();
        world.act("creatio", json!({"act": "reply", "text": "Once."}));
        world.until_shown("creatio", "Delivered to WhatsApp").await;
        world.until_idle().await;
        assert_eq!(world.phone(), ["Once."], "{api}");
        assert_eq!(world.get("/v1/parked").await["groups"], json!([]), "{api}");
    }
}

/// A rep's file goes as its gateway takes it, byte by byte the same: as a part of a form, or in base64.
#[tokio::test(flavor = "multi_thread")]
async fn a_reps_file_reaches_the_phone_by_every_gateway_that_takes_bytes() {
    let bytes: Vec<u8> = (0..300_001u32)
        .flat_map(|n| n.to_le_bytes())
        .take(300_001)
        .collect();
    let data = STANDARD.encode(&bytes);
    for api in ["evolution", "waha", "chatwoot", "360dialog"] {
        let mut world = world(api, json!({})).await;
        asks(&mut world).await;
        let label = json!({"act": "attach", "name": "label.pdf", "mime": "application/pdf", "data": data,
            "text": "That is your label."});
        world.act("hubspot", label);
        world.until_shown("whatsapp", "That is your label.").await;
        world.until_idle().await;
        assert_eq!(world.phone(), ["label.pdf", "That is your label."], "{api}");
        // The gateway's copies, which may be faster than its answers, are nobody's messages.
        let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
        assert!(
            !story.to_string().contains("message.sent"),
            "{api}: {story:#}"
        );
        let view = world.crm("whatsapp").view();
        let shown = &view["phones"][CUSTOMER]["conversation"][1];
        let hash: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            (&shown["bytes"], &shown["sha256"]),
            (&json!(bytes.len()), &json!(hash)),
            "{api}"
        );
    }
}

/// What a customer sends through 360dialog is fetched behind its own host, with its own key.
#[tokio::test(flavor = "multi_thread")]
async fn a_customers_picture_comes_by_360dialog() {
    let mut world = world("360dialog", json!({})).await;
    asks(&mut world).await;
    // As Meta writes it: nobody could fetch it there with that key.
    let base = json!("https://lookaside.fbsbx.com");
    world.crm("whatsapp").switch("public_base", &base).unwrap();
    world.act(
        "whatsapp",
        json!({"act": "media", "from": CUSTOMER, "kind": "image", "mime": "image/jpeg", "content": "a photo of a broken box",
            "caption": "look"}),
    );
    world.until_shown("hubspot", "look").await;
    world.until_idle().await;
    let size = "a photo of a broken box".len();
    let view = world.crm("hubspot").view().to_string();
    assert!(view.contains(&format!("\"size\":{size}")), "{view}");
}

/// Where nothing tells what became of a send, its rep is told that nobody knows, a person decides, and it is
/// not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_send_is_told_and_never_repeated() {
    let mut world = world("chatwoot", json!({"reconcile_seconds": 2})).await;
    asks(&mut world).await;
    let rule = json!({"target": "whatsapp", "match": {"method": "POST", "path_contains": "/messages"}, "times": 1,
        "fault": {"kind": "drop_after"}});
    world
        .sims
        .fault(serde_json::from_value(rule).unwrap())
        .unwrap();
    world.act("hubspot", json!({"act": "reply", "text": "Once."}));
    eventually(SOON, || async {
        let lane = world.lane("whatsapp").await;
        (&lane["state"], &lane["reason"]) == (&json!("parked"), &json!("unknown-outcome"))
    })
    .await;
    world
        .until_shown("hubspot", "Not known whether it reached WhatsApp")
        .await;
    world.restart().await;
    assert_eq!(world.phone(), ["Once."]);
    let session = world.session.clone();
    let (code, said) = world.command(&["skip", &session, "--target", "whatsapp"]);
    assert_eq!(code, 0, "{said}");
    world.act("hubspot", json!({"act": "reply", "text": "Twice."}));
    world.until_shown("whatsapp", "Twice.").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["Once.", "Twice."]);
}
