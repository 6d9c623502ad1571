//! Who is in charge, as users see it: a conversation that was given back rings at nobody, a handoff
//! after it is work again, and it is told when nobody comes.

use std::time::{Duration, Instant};

use handoffd_test_support::eventually;
use serde_json::{Value, json};

use crate::world::{Exit, OUT, SOON, World};

/// A daemon whose gateway is told of everything, and that keeps short time.
async fn told(unattended_after: &str) -> World {
    told_with(unattended_after, "whatsapp", json!({})).await
}

/// The same with settings of a target.
async fn told_with(unattended_after: &str, target: &str, more: Value) -> World {
    World::with(Exit::CloudApi, |plan| {
        let all = plan.settings.entry(target.to_owned()).or_insert(json!({}));
        for (key, value) in more.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
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
    assert!(text.contains("next deadline"), "{text}");
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

/// The record says who has the conversation, also when that is a rep of another CRM.
#[tokio::test(flavor = "multi_thread")]
async fn the_records_say_who_is_in_charge() {
    let standing = json!({"standing": {"controller": "UsrInCharge"}});
    let world = told_with("off", "creatio", standing).await;
    let column = json!({"entity": "Case", "name": "UsrInCharge", "kind": "250"});
    world.crm("creatio").switch("column", &column).unwrap();
    let handoff = world.handoff(&["hubspot", "creatio"]);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    world.until_shown("hubspot", "My parcel is broken").await;
    world.until_shown("creatio", "My parcel is broken").await;
    let say = async |ticket: &str, case: &str| {
        eventually(SOON, || async {
            let (tickets, cases) = (world.crm("hubspot").view(), world.crm("creatio").view());
            tickets["tickets"][0]["properties"]["wa_controller"] == ticket
                && cases["cases"][0]["fields"]["UsrInCharge"] == case
        })
        .await;
    };
    say("queued", "queued").await;
    world.act("hubspot", json!({"act": "owner", "owner": "sam@acme.test"}));
    say("rep · Sam Service", "rep · Sam Service, in hubspot").await;
    return_it(&world).await;
    say("returned", "returned").await;
}

/// How often HubSpot told what was heard before.
async fn repeats(world: &World) -> u64 {
    let metrics = world.text("/metrics").await;
    let name = "handoffd_heard_total{target=\"hubspot\",what=\"repeat\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// What a rep changes on the ticket reaches the platform: by webhook, and not once more by the poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_property_is_published_once() {
    let report = json!({"report_properties": ["hs_ticket_priority"]});
    let world = told_with("off", "hubspot", report).await;
    let subscribed = json!(["hs_ticket_priority"]);
    world
        .crm("hubspot")
        .switch("subscribed", &subscribed)
        .unwrap();
    world.hand_over("hubspot").await;
    // The poll takes what a ticket has in its first seconds for what it was made with.
    let handed = Instant::now();
    eventually(SOON, || async { handed.elapsed() > Duration::from_secs(3) }).await;
    for value in ["LOW", "URGENT"] {
        let before = repeats(&world).await;
        let act = json!({"act": "set", "property": "hs_ticket_priority", "value": value});
        world.act("hubspot", act);
        let updated = world.taken("session.updated").await;
        let data = &updated["data"];
        assert_eq!(data["fields"], json!({"hs_ticket_priority": value}));
        assert_eq!(data["target"], "hubspot");
        assert!(data["changed_by"].as_str().unwrap().starts_with("userId:"));
        let ticket = &world.crm("hubspot").view()["tickets"][0]["id"];
        assert_eq!(data["record"], *ticket);
        // The poll reads the ticket's history as well.
        eventually(SOON, || async { repeats(&world).await > before }).await;
    }
    world.until_idle().await;
    let story = world.get(&format!("/v1/sessions/{}", world.session)).await;
    let events = story["events"].as_array().cloned().unwrap_or_default();
    let updates = events
        .iter()
        .filter(|event| event["type"] == "session.updated");
    assert_eq!(updates.count(), 2, "{story:#}");
}
