//! What happened in a conversation, entry by entry, and that none of it shows what people wrote.

use handoffd_test_support::eventually;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{CUSTOMER, Exit, SOON, World};

async fn timeline(world: &World, more: &str) -> Value {
    let session = &world.session;
    world
        .get(&format!("/v1/sessions/{session}/timeline{more}"))
        .await
}

fn entries(timeline: &Value) -> Vec<Value> {
    let entries = timeline["entries"].as_array();
    entries
        .unwrap_or_else(|| panic!("no timeline: {timeline:#}"))
        .clone()
}

fn titles(timeline: &Value) -> Vec<String> {
    let each = entries(timeline).into_iter();
    each.map(|entry| entry["title"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn titled(timeline: &Value, title: &str) -> Value {
    let mut all = entries(timeline).into_iter();
    all.find(|entry| {
        entry["title"]
            .as_str()
            .unwrap_or_default()
            .starts_with(title)
    })
    .unwrap_or_else(|| panic!("no {title:?} in {timeline:#}"))
}

/// The titles stand in this order, with others between them.
#[track_caller]
fn in_order(titles: &[String], wanted: &[&str]) {
    let mut rest = titles.iter();
    for title in wanted {
        assert!(
            rest.any(|one| one.starts_with(title)),
            "{title:?} does not come where it should: {titles:#?}"
        );
    }
}

fn fault(world: &World, rule: Value) {
    let rule = serde_json::from_value(rule).unwrap();
    world.sims.fault(rule).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_told_with_its_calls_and_receipts() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("creatio").await;
    world.act("creatio", json!({"act": "reply", "text": "On its way."}));
    world.until_shown("whatsapp", "On its way.").await;
    world.customer_writes("Thank you very much").await;
    world.until_shown("creatio", "Thank you very much").await;
    world.until_idle().await;
    let told = timeline(&world, "?order=oldest").await;
    in_order(
        &titles(&told),
        &[
            "3 messages with the assistant before the handoff",
            "Handed over",
            "The record shows the whole handoff",
            "Rep replied",
            "Customer wrote",
        ],
    );
    let handed = titled(&told, "Handed over");
    assert_eq!(
        (&handed["from"], &handed["to"]),
        (&json!("gateway"), &json!("handoffd"))
    );
    assert_eq!(handed["chips"][0], "user_requested_human_assistance");
    assert_eq!(
        handed["lines"][0],
        "angry · English · 3 messages, 1 file".replace(", ", " · ")
    );
    assert_eq!(
        handed["text"],
        json!({"characters": 36, "language": "English"})
    );
    let before = titled(&told, "3 messages");
    assert_eq!(before["earlier"][0]["text"]["characters"], 21);
    let record = titled(&told, "The record");
    assert_eq!(record["target"], "creatio");
    let calls = record["calls"].as_array().unwrap();
    assert!(calls.len() >= 3, "{record:#}");
    let first = calls.iter().find(|call| call["call"].is_string()).unwrap();
    let called = first["call"].as_str().unwrap();
    assert!(
        called.starts_with("GET /") || called.starts_with("POST /"),
        "{called}"
    );
    let reply = titled(&told, "Rep replied");
    assert_eq!(
        (&reply["from"], &reply["to"]),
        (&json!("crm"), &json!("whatsapp"))
    );
    assert_eq!(reply["outcome"], "done", "{reply:#}");
    assert_eq!(reply["receipts"][0]["state"], "sent", "{reply:#}");
    assert!(
        reply["calls"]
            .as_array()
            .is_some_and(|calls| !calls.is_empty()),
        "{reply:#}"
    );
    let wrote = titled(&told, "Customer wrote");
    assert_eq!(wrote["text"]["characters"], 19);
    assert!(
        wrote["calls"]
            .as_array()
            .is_some_and(|calls| !calls.is_empty()),
        "{wrote:#}"
    );
    assert_eq!(told["advice"]["what"], "Nothing to do", "{told:#}");
    assert_eq!(told["beside"]["window"]["state"], "open");
    let lines = told["beside"]["targets"].as_array().unwrap();
    assert!(
        lines.iter().all(|line| line["state"] == "shown"),
        "{lines:#?}"
    );

    // The newest first, and only what was said.
    let mut newest = titles(&timeline(&world, "").await);
    newest.reverse();
    assert_eq!(newest, titles(&told));
    let said = titles(&timeline(&world, "?only=messages").await);
    assert_eq!(said, ["Customer wrote", "Rep replied", "Handed over"]);
    let wrong = timeline(&world, "?order=sideways").await;
    assert_eq!(wrong["error"], "order must be newest or oldest");
    let nobody = world.get("/v1/sessions/nobody/timeline").await;
    assert_eq!(nobody["error"], "the ledger knows nothing of this session");

    // Read comes later, and stands in the reply's entry.
    world.act("whatsapp", json!({"act": "read", "from": CUSTOMER}));
    eventually(SOON, || async {
        let reply = titled(&timeline(&world, "").await, "Rep replied");
        let receipts = reply["receipts"].as_array().cloned().unwrap_or_default();
        receipts.iter().any(|receipt| receipt["state"] == "read")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crm_refuses_is_told_in_its_own_words_with_the_way_out() {
    let world = World::new(Exit::CloudApi).await;
    let body = json!({"status": "error", "category": "VALIDATION_ERROR", "message":
        format!("Property values were not valid: \"hs_ticket_category\": REFUND was not one of the allowed options, López {CUSTOMER}")});
    fault(
        &world,
        json!({"target": "hubspot", "match": {"method": "POST", "path_contains": "/tickets"},
        "fault": {"kind": "status", "status": 400, "body": body}}),
    );
    let handoff = world.handoff(&["hubspot", "creatio"]);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    eventually(SOON, || async {
        world.lane("hubspot").await["state"] == "parked"
    })
    .await;
    world.until_shown("creatio", "box.jpg").await;
    let told = timeline(&world, "").await;
    let parked = titled(&told, "Parked: ");
    assert_eq!(
        (&parked["target"], &parked["outcome"]),
        (&json!("hubspot"), &json!("failed"))
    );
    let words = parked["words"].as_str().unwrap();
    assert!(
        words.contains("REFUND") && words.contains("hs_ticket_category"),
        "{words}"
    );
    assert!(
        !words.contains("López") && !words.contains(CUSTOMER),
        "{words}"
    );
    assert_eq!(parked["open"], true);
    let calls = parked["calls"].as_array().unwrap();
    let refused = calls.last().unwrap();
    assert_eq!(refused["status"], 400, "{parked:#}");
    assert!(
        refused["call"].as_str().unwrap().starts_with("POST /crm/"),
        "{refused:#}"
    );
    let advice = &told["advice"];
    assert_eq!(advice["needs_person"], true, "{advice:#}");
    assert_eq!(
        (&advice["target"], &advice["reason"]),
        (&json!("hubspot"), &parked["chips"][0])
    );
    let lines = told["beside"]["targets"].as_array().unwrap();
    let line = lines
        .iter()
        .find(|line| line["target"] == "hubspot")
        .unwrap();
    assert_eq!(line["state"], "parked");

    let overview = world.get("/v1/overview?range=1h").await;
    let trouble = &overview["troubles"][0];
    assert_eq!(
        (&trouble["kind"], &trouble["count"]),
        (&json!("parked"), &json!(1)),
        "{overview:#}"
    );
    assert!(overview["needs_person"].as_i64() >= Some(1));
    let target = overview["targets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "hubspot");
    assert_eq!(target.unwrap()["parked"], 1);
    let listed = world.get("/v1/sessions?state=parked").await;
    assert_eq!(listed["sessions"][0]["session"], json!(world.session));
    assert_eq!(listed["sessions"][0]["name"], "A•• A•• L••");
    assert_eq!(
        listed["counts"]["needs_person"],
        json!({"n": 1, "about": false})
    );
    assert_eq!(
        world.get("/v1/overview?range=1y").await["error"],
        "range must be 1h, 24h or 7d"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_of_which_nobody_knows_asks_whether_it_arrived() {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.settings
            .insert("whatsapp".into(), json!({"reconcile_seconds": 2}));
    })
    .await;
    world.hand_over("creatio").await;
    fault(
        &world,
        json!({"target": "whatsapp", "match": {"method": "POST", "path_contains": "/messages"}, "times": 1,
        "fault": {"kind": "drop_after"}}),
    );
    fault(
        &world,
        json!({"target": "whatsapp", "fault": {"kind": "webhook_drop"}}),
    );
    world.act(
        "creatio",
        json!({"act": "reply", "text": "Did you get this?"}),
    );
    eventually(SOON, || async {
        world.lane("whatsapp").await["reason"] == "unknown-outcome"
    })
    .await;
    let told = timeline(&world, "").await;
    assert_eq!(told["advice"]["asks_arrived"], true, "{:#}", told["advice"]);
    assert!(
        titles(&told).iter().any(|title| title == "Outcome unknown"),
        "{:#?}",
        titles(&told)
    );
    let reply = titled(&told, "Rep replied");
    let lost = reply["calls"]
        .as_array()
        .unwrap()
        .iter()
        .find(|call| call["outcome"] == "lost");
    assert!(lost.is_some(), "{reply:#}");
    assert!(
        told["beside"]["unsure"].as_i64() >= Some(1),
        "{:#}",
        told["beside"]
    );
    assert_eq!(told["beside"]["facts"][0]["state"], "unsure");
    let listed = world.get("/v1/sessions?state=unknown").await;
    assert_eq!(listed["sessions"][0]["state"], "unknown", "{listed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_held_waits_for_the_customer() {
    let world = World::new(Exit::CloudApi).await;
    let mut handoff = world.handoff(&["creatio"]);
    let long_ago = Timestamp::now() - SignedDuration::from_hours(48);
    for message in handoff["transcript"].as_array_mut().unwrap() {
        message["time"] = json!(long_ago);
    }
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    world.until_shown("creatio", "box.jpg").await;
    world.until_idle().await;
    world.act(
        "creatio",
        json!({"act": "reply", "text": "Are you still there?"}),
    );
    eventually(SOON, || async {
        world.lane("whatsapp").await["state"] == "held"
    })
    .await;
    let told = timeline(&world, "").await;
    assert_eq!(
        titles(&told)[0],
        "Held: waits for the customer to write",
        "{:#?}",
        titles(&told)
    );
    let reply = titled(&told, "Rep replied");
    assert_eq!(reply["outcome"], "waiting");
    assert_eq!(reply["receipts"][0]["state"], "held", "{reply:#}");
    assert_eq!(told["beside"]["window"]["state"], "closed");
    assert_eq!(told["advice"]["needs_person"], false);
    assert_eq!(
        world.get("/v1/sessions?state=held&window=closed").await["counts"]["held"]["n"],
        1
    );
}

/// A conversation is found by whatever a person has at hand, and nothing of it stands in an address.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_found_by_what_a_person_has_at_hand() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("hubspot").await;
    let id = world.customer_writes("One more thing").await;
    world.until_shown("hubspot", "One more thing").await;
    world.act("hubspot", json!({"act": "reply", "text": "Of course."}));
    world.until_shown("whatsapp", "Of course.").await;
    world.until_idle().await;
    let told = timeline(&world, "").await;
    let record = titled(&told, "The record");
    let ticket = record["chips"][0]
        .as_str()
        .unwrap()
        .split(' ')
        .next_back()
        .unwrap()
        .to_owned();
    let link = record["link"].as_str().unwrap_or_default().to_owned();
    let session = world.session.clone();
    let spelt = format!("0{} {}", &CUSTOMER[2..5], &CUSTOMER[5..]);
    let mut searches = vec![session.clone(), format!("+{CUSTOMER}"), spelt, id, ticket];
    if !link.is_empty() {
        searches.push(link);
    }
    for q in searches {
        let found = world.post("/v1/search", json!({"q": q})).await;
        assert_eq!(found["keys"], json!([session]), "{q}: {found:#}");
        let stands = found["q"].as_str().unwrap();
        assert!(
            !stands.contains(CUSTOMER) && !stands.contains("wamid"),
            "{stands}"
        );
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", stands)
            .finish();
        let listed = world.get(&format!("/v1/sessions?{query}")).await;
        assert_eq!(
            listed["sessions"][0]["session"],
            json!(session),
            "{q}: {listed:#}"
        );
    }
    let refused = world.get(&format!("/v1/sessions?q={CUSTOMER}")).await;
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("POST /v1/search"),
        "{refused:#}"
    );
    let forgotten = world
        .get(&format!("/v1/sessions?q=q-{}", "0".repeat(32)))
        .await;
    assert!(
        forgotten["error"]
            .as_str()
            .unwrap()
            .contains("not remembered"),
        "{forgotten:#}"
    );
    let none = world
        .post("/v1/search", json!({"q": "+49 170 0000000"}))
        .await;
    assert_eq!(none["keys"], json!([]));
}

/// Who says why sees names and texts of one conversation, and it is written down.
#[tokio::test(flavor = "multi_thread")]
async fn names_and_texts_are_shown_to_who_says_why() {
    let world = World::new(Exit::CloudApi).await;
    world.hand_over("creatio").await;
    let path = format!("/v1/sessions/{}/unmask", world.session);
    let refused = world.post(&path, json!({"reason": " "})).await;
    assert_eq!(refused["error"], "reason must have 1 to 500 characters");
    let shown = world.post(&path, json!({"reason": "She called"})).await;
    assert!(shown["until"].is_string(), "{shown:#}");
    let told = timeline(&world, "").await;
    assert_eq!(told["name"], "Ana \"A\" <López>");
    assert_eq!(
        titled(&told, "Handed over")["text"]["text"],
        "A broken parcel; she wants a refund.".trim_end_matches('!')
    );
    let listed = world.get("/v1/sessions").await;
    assert_eq!(listed["sessions"][0]["phone"], format!("+{CUSTOMER}"));
    let audit = world.get("/v1/audit?what=unmask").await.to_string();
    assert!(
        audit.contains("She called") && audit.contains(&world.session),
        "{audit}"
    );
}

/// Every answer and page holds nothing of what people wrote, are called or can be called at.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_and_no_page_shows_a_name_a_number_or_a_text() {
    let world = World::new(Exit::CloudApi).await;
    let mut handoff = world.handoff(&["creatio", "hubspot"]);
    handoff["contact"]["email"] = json!("ana.lopez@private.example");
    handoff["fields"]["wish"] = json!("A pony in pink");
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    world.until_shown("creatio", "box.jpg").await;
    world.until_shown("hubspot", "box.jpg").await;
    world.customer_writes("My number is secret").await;
    world.act(
        "creatio",
        json!({"act": "reply", "text": "We keep it to ourselves."}),
    );
    world.until_shown("whatsapp", "ourselves").await;
    world.until_idle().await;
    let session = &world.session;
    let mut wrong = world.event("handoff.requested", "wrong", world.handoff(&["creatio"]));
    wrong["data"]["contact"] =
        json!({"name": "Ana López", "phone": format!("0{}", &CUSTOMER[2..])});
    world
        .gateway
        .publish(
            crate::world::EVENTS,
            "handoff.requested",
            wrong.to_string().as_bytes(),
        )
        .await;
    eventually(SOON, || async {
        world.get("/v1/parked").await["dead_letters"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    })
    .await;
    let paths = [
        "/v1/overview",
        "/v1/overview?range=7d",
        "/v1/status",
        "/v1/parked",
        "/v1/lanes",
        "/v1/sessions",
        "/v1/dead-letters",
        "/v1/dead-letters/1",
        "/v1/audit",
        "/v1/me",
        "/v1/users",
        "/v1/tokens",
        "/v1/targets/creatio/availability",
        "/",
        "/parked",
        "/conversations",
        "/conversations?state=well",
        "/tap",
        "/dead-letters/1",
        "/targets/creatio",
        "/nav",
        "/keys",
        "/metrics",
    ];
    let mut paths = paths.map(str::to_owned).to_vec();
    for more in [
        "",
        "/timeline",
        "/timeline?order=oldest",
        "/timeline?only=messages",
    ] {
        paths.push(format!("/v1/sessions/{session}{more}"));
    }
    paths.extend([
        format!("/conversations/{session}"),
        format!("/conversations/{session}?order=oldest"),
    ]);
    let secret = [
        "López",
        "Ana ",
        CUSTOMER,
        &CUSTOMER[2..],
        "ana.lopez",
        "private.example",
        "pony",
        "number is secret",
        "to ourselves",
        "parcel is broken",
        "wants a refund",
        "sorry to hear",
        "box.jpg",
    ];
    for path in paths {
        let text = world.text(&path).await;
        assert!(!text.is_empty(), "{path}");
        // How a number is to be written is told by an example.
        let text = text.replace("such as +4915112345678", "");
        for word in secret {
            assert!(!text.contains(word), "{path} shows {word:?}: {text}");
        }
    }
}
