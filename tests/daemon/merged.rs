//! Two customers' conversations in one ticket: a reply is nobody's until the rep says whose.

use handoffd_test_support::{eventually, unique};
use serde_json::{Value, json};

use crate::world::{CUSTOMER, Exit, SOON, World};

const OTHER: &str = "31600001111";

/// What one customer's phone shows of ours.
fn phone(world: &World, customer: &str) -> Vec<String> {
    let view = world.crm("whatsapp").view();
    let shown = view["phones"][customer]["conversation"].as_array();
    let ours = shown
        .into_iter()
        .flatten()
        .filter(|entry| entry["from"] == "business");
    ours.map(|entry| entry["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn tickets(world: &World) -> Vec<Value> {
    let tickets = world.crm("hubspot").view()["tickets"].clone();
    tickets.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_merged_tickets_goes_to_nobody_until_the_rep_says_whose() {
    let mut world = World::new(Exit::CloudApi).await;
    world.hand_over("hubspot").await;
    let first = world.session.clone();
    world.session = unique("session");
    let hello = json!({"act": "text", "from": OTHER, "name": "Bo", "text": "Where is my refund?"});
    world.act("whatsapp", hello);
    let mut handoff = world.handoff(&["hubspot"]);
    handoff["contact"] = json!({"phone": format!("+{OTHER}"), "wa_id": OTHER, "name": "Bo"});
    world
        .publish("handoff.requested", "handoff-2", handoff)
        .await;
    eventually(SOON, || async { tickets(&world).len() == 2 }).await;
    world.until_idle().await;
    let ids: Vec<Value> = tickets(&world)
        .iter()
        .map(|ticket| ticket["id"].clone())
        .collect();
    // A picture in either conversation would be a reply of ours.
    assert!(phone(&world, CUSTOMER).is_empty() && phone(&world, OTHER).is_empty());
    world.act(
        "hubspot",
        json!({"act": "merge_ticket", "from": ids[0], "into": ids[1]}),
    );
    world.act(
        "hubspot",
        json!({"act": "reply", "text": "Your parcel comes tomorrow.", "ticket": ids[1]}),
    );
    world
        .until_shown("hubspot", "so it is not known who shall get the reply")
        .await;
    world.until_shown("hubspot", "#5678 for Ana").await;
    world.until_shown("hubspot", "#1111 for Bo").await;
    assert!(phone(&world, CUSTOMER).is_empty() && phone(&world, OTHER).is_empty());
    for (choice, text) in [
        ("#5678", "It comes tomorrow."),
        ("#1111", "The money is on its way."),
    ] {
        let text = format!("{choice} {text}");
        world.act(
            "hubspot",
            json!({"act": "reply", "text": text, "ticket": ids[1]}),
        );
    }
    world.until_shown("whatsapp", "It comes tomorrow.").await;
    world
        .until_shown("whatsapp", "The money is on its way.")
        .await;
    for session in [first, world.session.clone()] {
        world.session = session;
        world.until_idle().await;
    }
    assert_eq!(phone(&world, CUSTOMER), ["It comes tomorrow."]);
    assert_eq!(phone(&world, OTHER), ["The money is on its way."]);
    assert_eq!(world.count("whatsapp", "Your parcel comes tomorrow."), 0);
}
