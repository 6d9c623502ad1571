//! What becomes of messages and handoffs after the end, as the settings of each target say.

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{Exit, SOON, World};

async fn set(target: &str, settings: Value) -> World {
    World::with(Exit::CloudApi, |plan| {
        let all = plan
            .settings
            .entry(target.into())
            .or_insert_with(|| json!({}));
        for (name, value) in settings.as_object().unwrap() {
            all[name] = value.clone();
        }
    })
    .await
}

async fn until_in_charge(world: &World, who: &str) {
    eventually(SOON, || async {
        let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
        story["conversation"]["controller"] == who
    })
    .await;
}

/// The customer writes, and every lane has dealt with it.
async fn writes(world: &World, text: &str) {
    let id = world.customer_writes(text).await;
    eventually(SOON, || async {
        let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
        story["events"].to_string().contains(&id)
    })
    .await;
    world.until_idle().await;
}

async fn hand_over_again(world: &World, target: &str) {
    let mut again = world.handoff(&[target]);
    again["handoff"]["summary"] = json!("She asks for a colleague.");
    again["transcript"].as_array_mut().unwrap().truncate(1);
    world.publish("handoff.requested", "handoff-2", again).await;
    world.until_shown(target, "She asks for a colleague.").await;
    world.until_idle().await;
}

/// The records' statuses and what stands on each.
fn records(world: &World, target: &str) -> Vec<(String, String)> {
    let view = world.crm(target).view();
    let (list, field) = match target {
        "hubspot" => (&view["tickets"], "stage"),
        _ => (&view["cases"], "status"),
    };
    let rows = list.as_array().cloned().unwrap_or_default().into_iter();
    rows.map(|row| {
        let status = row[field].as_str().unwrap_or_default().to_owned();
        (status, row["timeline"].to_string())
    })
    .collect()
}

fn statuses(world: &World, target: &str) -> Vec<String> {
    let all = records(world, target).into_iter();
    all.map(|(status, _)| status).collect()
}

async fn closed(target: &str, settings: Value) -> World {
    let world = set(target, settings).await;
    world.hand_over(target).await;
    world.act(target, json!({"act": "close"}));
    until_in_charge(&world, "closed").await;
    world
}

/// What came meanwhile is in the next handoff's transcript, once.
async fn is_ignored(target: &str, after: &[&str]) {
    let world = closed(target, json!({"after_end": "ignore"})).await;
    writes(&world, "Thank you very much.").await;
    assert_eq!(world.count(target, "Thank you very much."), 0);
    assert_eq!(statuses(&world, target), ["Closed"]);
    hand_over_again(&world, target).await;
    assert_eq!(world.count(target, "Thank you very much."), 1);
    assert_eq!(statuses(&world, target), after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_closed_ticket_waits_for_the_next_handoff_where_it_is_ignored() {
    is_ignored("hubspot", &["New"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_closed_case_waits_for_the_next_handoff_where_it_is_ignored() {
    is_ignored("creatio", &["Closed", "New"]).await;
}

async fn is_appended(target: &str) {
    let world = closed(target, json!({"after_end": "append"})).await;
    writes(&world, "Thank you very much.").await;
    assert_eq!(world.count(target, "Thank you very much."), 1);
    assert_eq!(statuses(&world, target), ["Closed"], "nobody was rung");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_appended_to_a_closed_ticket() {
    is_appended("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_appended_to_a_closed_case() {
    is_appended("creatio").await;
}

/// The message makes a record in which the rep answers, and what is written in the former one reaches
/// the customer as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_makes_a_ticket_and_both_are_heard() {
    let world = closed("hubspot", json!({"after_end": "new"})).await;
    writes(&world, "It broke again.").await;
    let all = records(&world, "hubspot");
    assert_eq!(statuses(&world, "hubspot"), ["Closed", "New"]);
    assert!(all[1].1.contains("It broke again.") && !all[0].1.contains("It broke again."));
    let former = world.crm("hubspot").view()["tickets"][0]["id"].clone();
    for (ticket, text) in [
        (json!(null), "A new one is on its way."),
        (former, "Sorry for that."),
    ] {
        let mut act = json!({"act": "reply", "text": text});
        if !ticket.is_null() {
            act["ticket"] = ticket;
        }
        world.act("hubspot", act);
        world.until_shown("whatsapp", text).await;
    }
    world.until_idle().await;
    assert_eq!(
        world.phone(),
        ["A new one is on its way.", "Sorry for that."]
    );
}

async fn a_second_handoff_has_its_own(target: &str) {
    let world = set(target, json!({"after_end_handoff": "new"})).await;
    world.hand_over(target).await;
    let data = json!({"returned_by": "platform"});
    world.publish("session.returned", "returned-1", data).await;
    until_in_charge(&world, "returned").await;
    writes(&world, "Are you a robot?").await;
    hand_over_again(&world, target).await;
    let all = records(&world, target);
    assert_eq!(statuses(&world, target), ["New", "New"]);
    assert!(all[1].1.contains("She asks for a colleague."), "{all:?}");
    assert_eq!(world.count(target, "Are you a robot?"), 1);
    // What follows is on the new one.
    writes(&world, "Thank you, colleague.").await;
    assert!(
        records(&world, target)[1]
            .1
            .contains("Thank you, colleague.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_handoff_has_its_own_ticket() {
    a_second_handoff_has_its_own("hubspot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_handoff_has_its_own_case() {
    a_second_handoff_has_its_own("creatio").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_begins_a_messaging_session_where_salesforce_shall_make_a_new_one() {
    let world = set("salesforce", json!({"after_end": "new"})).await;
    world.hand_over("salesforce").await;
    world.act("salesforce", json!({"act": "accept", "rep": "Ana"}));
    world.act("salesforce", json!({"act": "end"}));
    until_in_charge(&world, "closed").await;
    writes(&world, "One more thing.").await;
    let view = world.crm("salesforce").view();
    let sessions = view["conversations"][0]["sessions"]
        .as_array()
        .map(Vec::len);
    assert_eq!(sessions, Some(2));
    assert_eq!(world.count("salesforce", "One more thing."), 1);
}
