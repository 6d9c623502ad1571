//! What a rep writes on a case stays there unless it is meant for the customer, and until it is
//! written to its end.

use handoffd_contract::{Frame, Subject};
use serde_json::{Value, json};

use crate::common::*;
use crate::polls::{Scene, texts};

/// What reaches the customer by polls and by webhooks.
fn sent(scene: &mut Scene) -> Vec<String> {
    let mut sent = texts(&scene.poll());
    sent.extend(texts(&scene.webhooks()));
    sent
}

fn scene(more: Value, payload: &str) -> Scene {
    let mut scene = Scene::new(more);
    for (switch, value) in [
        ("webhook_url", "http://127.0.0.1/hook"),
        ("webhook_payload", payload),
    ] {
        scene.site.switch(switch, &json!(value)).unwrap();
    }
    scene
}

const PAYLOADS: [&str; 4] = ["full", "ids", "case_only", "odd"];

#[test]
fn a_task_of_the_team_does_not_leave_by_default() {
    for payload in PAYLOADS {
        let mut scene = scene(json!({}), payload);
        for act in [
            json!({ "act": "task", "text": "Ask accounting whether she ever paid" }),
            json!({ "act": "task", "title": "Refund?", "text": "" }),
            json!({ "act": "task", "type": "call", "text": "Call her" }),
            json!({ "act": "note", "text": "/wa not a task" }),
            json!({ "act": "task", "text": "see /wa later" }),
        ] {
            scene.act(act.clone());
            assert_eq!(sent(&mut scene), [""; 0], "{payload}: {act}");
        }
        scene.act(json!({ "act": "reply", "text": "Your refund is on its way" }));
        assert_eq!(sent(&mut scene), ["Your refund is on its way"], "{payload}");
    }
}

#[test]
fn a_draft_leaves_once_and_only_when_it_is_completed() {
    for payload in PAYLOADS {
        let mut scene = scene(json!({}), payload);
        // A mini page saves the title first.
        let draft = scene.act(json!({ "act": "task", "title": "/wa", "text": "", "draft": true }));
        assert_eq!(sent(&mut scene), [""; 0], "{payload}");
        scene.seconds += 900;
        let half = scene.act(json!({ "act": "task", "text": "/wa Dear Ana, we", "draft": true }));
        assert_eq!(sent(&mut scene), [""; 0], "{payload}");
        scene.seconds += 900;
        for (activity, text, reply) in [
            (
                &draft,
                "The label is on its way.",
                "The label is on its way.",
            ),
            (
                &half,
                "/wa Dear Ana, we are sorry.",
                "Dear Ana, we are sorry.",
            ),
        ] {
            scene.act(json!({ "act": "complete", "activity": activity["activity"], "text": text }));
            assert_eq!(sent(&mut scene), [reply], "{payload}");
            assert_eq!(sent(&mut scene), [""; 0], "{payload}");
        }
    }
}

#[test]
fn the_old_way_of_sending_every_task_is_a_setting() {
    let mut scene = scene(
        json!({ "reply_marker": "all", "reply_when": "added" }),
        "full",
    );
    scene.act(json!({ "act": "task", "text": "Hello Ana", "draft": true }));
    assert_eq!(sent(&mut scene), ["Hello Ana"]);
}

#[test]
fn the_first_activity_says_how_to_answer() {
    let first = |more: Value| {
        let connector = connector(more);
        let story = vec![
            vec![received("m1", 0, "hello")],
            vec![item("h1", 1, handoff(Vec::new()))],
        ];
        let report = handoffd_contract::proof::prove(&stage(&*connector, &site, story), 0);
        report.outcome["cases"][0]["timeline"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let default = "To answer the customer, add a task to this case whose details begin with /wa and set it to Completed. \
                   Everything else on this case stays internal.";
    let said = first(json!({}));
    assert!(said.ends_with(default), "{said}");
    let opened = first(json!({ "mode": "every_conversation" }));
    assert!(opened.ends_with(default), "{opened}");
    let other = first(
        json!({ "reply_prefix": "/cliente", "reply_types": ["task", "call"], "reply_when": "added" }),
    );
    let words = "add a task or a call to this case whose details begin with /cliente and save it.";
    assert!(other.contains(words), "{other}");
    let all = first(json!({ "reply_marker": "all" }));
    let words = "every one that you add here by hand is sent to the customer.";
    assert!(all.ends_with(words), "{all}");
}

#[test]
fn a_webhook_that_names_another_case_does_not_move_the_reply() {
    let mut scene = scene(json!({}), "full");
    let value = scene.known.get("case").unwrap().to_owned();
    let reply = scene.act(json!({ "act": "reply", "text": "For Ana" }));
    let other = "1f2e3d4c-0000-4000-8000-0123456789ab";
    let body =
        json!({ "event_type": "new_activity", "caseId": other, "activityId": reply["activity"] });
    let body = body.to_string();
    let frame = Frame::Webhook {
        headers: &[],
        body: body.as_bytes(),
    };
    let hearing = scene.connector.hear(&frame).unwrap();
    let heard = scene.pass(hearing);
    assert_eq!(texts(&heard), ["For Ana"]);
    let name = "case".into();
    assert_eq!(heard[0].subject, Subject::Fact { name, value });
}
