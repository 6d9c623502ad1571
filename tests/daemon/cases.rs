//! A case in Creatio over its whole life: what a rep keeps to the team, what ends, and what comes after.

use serde_json::{Value, json};

use crate::world::{Exit, SOON, World};

fn cases(world: &World) -> Vec<(String, String)> {
    let view = world.crm("creatio").view();
    let text = |case: &Value, name: &str| case[name].as_str().unwrap_or_default().to_owned();
    view["cases"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|case| (text(case, "id"), text(case, "status")))
        .collect()
}

fn statuses(world: &World) -> Vec<String> {
    cases(world).into_iter().map(|(_, status)| status).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_the_team_and_a_draft_in_creatio_stay_there() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("creatio").await;
    let draft = world.act(
        "creatio",
        json!({"act": "reply", "text": "Your refund", "draft": true}),
    );
    world.act(
        "creatio",
        json!({"act": "task", "text": "INTERNAL: ask accounting"}),
    );
    world.act("creatio", json!({"act": "reply", "text": "Hello Ana."}));
    world.until_shown("whatsapp", "Hello Ana.").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["Hello Ana."]);
    let text = "/wa Your refund is on its way.";
    world.act(
        "creatio",
        json!({"act": "complete", "activity": draft["activity"], "text": text}),
    );
    world.until_shown("whatsapp", "on its way").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["Hello Ana.", "Your refund is on its way."]);
    assert_eq!(world.count("whatsapp", "INTERNAL"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_ended_in_creatio_comes_back_when_the_customer_does() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("creatio").await;
    world.act("creatio", json!({"act": "resolve"}));
    world.customer_writes("It broke again.").await;
    world.until_shown("creatio", "It broke again.").await;
    world.until_idle().await;
    assert_eq!(statuses(&world), ["Reopened"]);

    world.act("creatio", json!({"act": "close"}));
    let mut again = world.handoff(&["creatio"]);
    again["handoff"]["summary"] = json!("She asks for a colleague.");
    world.publish("handoff.requested", "handoff-2", again).await;
    handoffd_test_support::eventually(SOON, || async {
        statuses(&world) == ["Closed", "New"]
            && world.count("creatio", "She asks for a colleague.") > 0
    })
    .await;
    world.until_idle().await;
    let case = cases(&world)[1].0.clone();
    world.act(
        "creatio",
        json!({"act": "reply", "case": case, "text": "Rosa here, again."}),
    );
    world.until_shown("whatsapp", "Rosa here, again.").await;
    world.until_idle().await;
    assert_eq!(world.phone(), ["Rosa here, again."]);
}
