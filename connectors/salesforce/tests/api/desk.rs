//! What happens at the desk beside replies: the queue, the search for a rep, typing, receipts, bots, and a
//! close by Salesforce.

use handoffd_contract::event::{Activity, Routing};
use handoffd_contract::{Frame, Inbound, InboundKind};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::scene::{API, CONVERSATION, SUBJECT, Scene, connector, events};

fn routing(heard: &[Inbound]) -> Vec<(Routing, Option<&str>)> {
    heard
        .iter()
        .filter_map(|heard| match &heard.kind {
            InboundKind::Routing { outcome, detail } => Some((*outcome, detail.as_deref())),
            _ => None,
        })
        .collect()
}

fn activity(heard: &[Inbound]) -> Vec<(Activity, Option<String>)> {
    heard
        .iter()
        .filter_map(|heard| match &heard.kind {
            InboundKind::Activity { activity, record } => Some((*activity, record.clone())),
            _ => None,
        })
        .collect()
}

fn ends(heard: &[Inbound]) -> Vec<&str> {
    heard
        .iter()
        .filter(|heard| matches!(heard.kind, InboundKind::Ended { .. }))
        .map(|heard| heard.id.as_str())
        .collect()
}

fn view(scene: &Scene) -> Value {
    scene.org.view()["conversations"][0].clone()
}

#[test]
fn a_search_for_a_rep_that_fails_or_is_declined_or_transferred_is_heard() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "no_agents" }));
    scene.act(json!({ "act": "decline" }));
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    scene.act(json!({ "act": "transfer", "to": "Ben" }));
    let heard = scene.hear();
    assert_eq!(
        routing(&heard),
        [
            (Routing::Failed, Some("No agents are available")),
            (Routing::Declined, None),
            (Routing::Transferred, None),
        ]
    );
    assert_eq!(ends(&heard), [""; 0], "none of it is an end");
}

#[test]
fn typing_and_what_a_rep_has_read_are_heard_where_that_is_wanted() {
    for wanted in [true, false] {
        let mut scene = Scene::new(json!({ "activity": wanted }));
        let id = "7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2b01";
        scene.say(id, "hello");
        scene.act(json!({ "act": "accept" }));
        for act in ["delivered", "typing", "typing_stopped", "read"] {
            scene.act(json!({ "act": act }));
        }
        let heard = activity(&scene.hear());
        let all = [
            (Activity::Typing, None),
            (Activity::Stopped, None),
            (Activity::Read, Some(id.to_owned())),
        ];
        assert_eq!(heard, if wanted { all.to_vec() } else { Vec::new() });
        let thread = view(&scene)["thread"].clone();
        let said = thread.as_array().expect("thread").iter();
        let said = said
            .filter(|line| line["text"] == "hello")
            .collect::<Vec<_>>();
        assert_eq!(said[0]["receipts"], json!(["Delivery", "Read"]));
    }
}

#[test]
fn a_conversation_that_salesforce_closes_is_an_end() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept" }));
    scene.hear();
    scene.act(json!({ "act": "close" }));
    let heard = scene.hear();
    assert_eq!(ends(&heard).len(), 1, "{heard:#?}");
    assert_eq!(
        scene
            .say("7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2b01", "hm")
            .status,
        403
    );
}

/// The page that lists the event does not say that its session comes with it.
#[test]
fn a_close_that_names_no_session_ends_the_conversation() {
    let payload = json!({ "entryType": "CloseConversation", "id": "x", "conversationIdentifier": CONVERSATION });
    let data = json!({ "conversationId": CONVERSATION, "conversationEntry": { "identifier": "entry-1",
        "entryType": "CloseConversation", "entryPayload": payload.to_string(), "sender": { "role": "System" },
        "transcriptedTimestamp": 1_767_225_660_000_i64 } });
    let (data, connector) = (data.to_string(), connector(json!({})));
    let frame = Frame::Event {
        key: SUBJECT,
        id: "",
        event: "CONVERSATION_CLOSE_CONVERSATION",
        data: &data,
    };
    let heard = connector.hear(&frame).expect("heard").heard;
    assert_eq!(ends(&heard), [format!("ended/{CONVERSATION}")]);
}

#[test]
fn who_waits_is_told_the_place_whenever_it_changes() {
    let mut scene = Scene::new(json!({}));
    scene
        .org
        .switch("queue", &json!("position"))
        .expect("switch");
    let second = "5a9ac8a5-1d4c-4c8e-9c1a-5b1c9b5fcb11";
    scene.now += SignedDuration::from_secs(1);
    let create = json!({ "conversationId": second, "esDeveloperName": "Handoffd_Custom_Client", "language": "en",
        "routingAttributes": { "OpencxSessionId": "s2" } });
    assert_eq!(scene.post("/conversation", &create).status, 201);
    let places = |scene: &mut Scene| -> Vec<(String, u64)> {
        let told = events(&scene.bytes()).into_iter();
        told.filter(|(_, event, _)| event == "CONVERSATION_QUEUE_POSITION")
            .map(|(_, _, data)| {
                let data: Value = serde_json::from_str(&data).expect("JSON");
                let payload = data["conversationEntry"]["entryPayload"]
                    .as_str()
                    .expect("text");
                let payload: Value = serde_json::from_str(payload).expect("JSON");
                let whose = data["conversationId"].as_str().expect("id");
                (
                    whose.to_owned(),
                    payload["position"].as_u64().expect("a number"),
                )
            })
            .collect()
    };
    assert_eq!(
        places(&mut scene),
        [(CONVERSATION.to_owned(), 1), (second.to_owned(), 2)]
    );
    scene.act(json!({ "act": "accept", "conversation": CONVERSATION }));
    assert_eq!(places(&mut scene), [(second.to_owned(), 1)]);
    let wait = scene.org.view()["conversations"][1]["place in queue"].clone();
    assert_eq!(wait, json!(1));
}

#[test]
fn the_estimated_wait_grows_with_the_queue_where_the_channel_tells_that() {
    let mut scene = Scene::new(json!({}));
    let wait = |scene: &mut Scene| {
        let told = events(&scene.bytes()).into_iter();
        let mut told = told.filter(|(_, event, _)| event == "CONVERSATION_ROUTING_RESULT");
        let (_, _, data) = told.next().expect("a routing result");
        data.contains("isEWTRequested\\\":true")
    };
    assert!(wait(&mut scene));
    scene
        .org
        .switch("queue", &json!("nothing"))
        .expect("switch");
    scene.act(json!({ "act": "accept" }));
    scene.act(json!({ "act": "leave" }));
    assert!(!wait(&mut scene));
}

#[test]
fn a_bot_joins_and_leaves_and_is_no_rep() {
    let mut scene = Scene::new(json!({ "relay_chatbot": true }));
    scene.act(json!({ "act": "bot", "text": "How can I help?" }));
    scene.act(json!({ "act": "bot", "text": "One moment." }));
    scene.act(json!({ "act": "bot_leaves" }));
    let heard = scene.hear();
    let assigned = heard
        .iter()
        .any(|h| matches!(h.kind, InboundKind::Assigned { .. }));
    assert!(!assigned && ends(&heard).is_empty(), "{heard:#?}");
    let thread = view(&scene)["thread"].clone();
    let changes = thread.as_array().expect("thread").iter();
    let changes: Vec<_> = changes.filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(changes, ["session Waiting", "Bot add", "Bot remove"]);
}

#[test]
fn the_end_users_typing_shows_and_receipts_for_own_entries_are_taken() {
    let mut scene = Scene::new(json!({}));
    let (id, typing) = (
        "7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2b01",
        "7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2b02",
    );
    let path = format!("/conversation/{CONVERSATION}");
    let entry = json!({ "entryType": "TypingStartedIndicator", "id": typing });
    assert_eq!(scene.post(&format!("{path}/entry"), &entry).status, 202);
    assert!(view(&scene)["end user types since"].is_string());
    scene.say(id, "hello");
    assert!(
        view(&scene)["end user types since"].is_null(),
        "it was sent"
    );
    let acks =
        json!({ "acks": [{ "id": typing, "entryType": "Read", "conversationEntryId": id }] });
    assert_eq!(
        scene
            .post(&format!("{path}/acknowledge-entries"), &acks)
            .status,
        202,
        "{API}"
    );
}
