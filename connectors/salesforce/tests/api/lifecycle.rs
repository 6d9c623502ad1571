//! The life of a messaging session as the stream tells it: transfers, re-queues, inactivity, the end.

use std::collections::BTreeSet;

use handoffd_contract::sandbox::Request;
use handoffd_contract::{Feed, Frame, FrameContent, HttpReply, Inbound, InboundKind, Known, Work};
use jiff::SignedDuration;
use serde_json::json;

use crate::scene::{CONVERSATION, SUBJECT, Scene};

fn ends(heard: &[Inbound]) -> usize {
    heard
        .iter()
        .filter(|h| matches!(h.kind, InboundKind::Ended { .. }))
        .count()
}

/// Who took the conversation and who left it, in order.
fn reps(heard: &[Inbound]) -> Vec<Option<String>> {
    heard
        .iter()
        .filter_map(|h| match &h.kind {
            InboundKind::Assigned { rep } => Some(rep.clone()),
            _ => None,
        })
        .collect()
}

fn texts(heard: &[Inbound]) -> Vec<String> {
    heard
        .iter()
        .filter_map(|h| match &h.kind {
            InboundKind::Replied(reply) => reply.text.clone(),
            _ => None,
        })
        .collect()
}

fn known(heard: &[Inbound]) -> Known {
    let mut known = Known::default();
    for heard in heard {
        if let InboundKind::Facts(facts) = &heard.kind {
            facts
                .iter()
                .for_each(|(name, value)| known.set(name, value));
        }
    }
    known
}

fn statuses(scene: &Scene) -> Vec<String> {
    let view = scene.org.view();
    let thread = view["conversations"][0]["thread"].as_array().cloned();
    thread
        .unwrap_or_default()
        .iter()
        .filter_map(|line| line["event"].as_str()?.strip_prefix("session "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_transfer_is_no_end_and_an_end_is_told_once() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    scene.act(json!({ "act": "transfer", "to": "Ben" }));
    let heard = scene.hear();
    assert!(
        !heard
            .iter()
            .any(|h| matches!(h.kind, InboundKind::Ended { .. })),
        "{heard:#?}"
    );
    let reps: Vec<_> = heard
        .iter()
        .filter_map(|h| match &h.kind {
            InboundKind::Assigned { rep } => Some(rep.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(reps, [Some("Ana".into()), None, Some("Ben".into())]);
    scene.act(json!({ "act": "end" }));
    let heard = scene.hear();
    let ends: Vec<_> = heard
        .iter()
        .filter(|h| matches!(h.kind, InboundKind::Ended { .. }))
        .collect();
    assert_eq!(ends.len(), 1, "{heard:#?}");
    let mut known = Known::default();
    for heard in &heard {
        if let InboundKind::Facts(facts) = &heard.kind {
            facts
                .iter()
                .for_each(|(name, value)| known.set(name, value));
        }
    }
    let session = ends[0].id.strip_prefix("ended/").expect("session");
    assert!(
        session.starts_with("0Mw") && known.is(&format!("ended/{session}")),
        "{known:?}"
    );
    assert_eq!(
        ends[0].echo.as_deref(),
        Some(format!("end:{session}").as_str())
    );
}

#[test]
fn what_happened_while_we_were_away_is_heard_in_the_backfill() {
    for payload in ["object", "string"] {
        let mut scene = Scene::new(json!({}));
        scene
            .org
            .switch("entry_payload", &json!(payload))
            .expect("switch");
        scene.act(json!({ "act": "accept", "rep": "Ana" }));
        for n in 0..60 {
            scene.act(json!({ "act": "text", "text": format!("line {n}") }));
        }
        scene.act(json!({ "act": "end" }));
        let work = Work {
            target: "crm".into(),
            session: Default::default(),
            items: Vec::new(),
            last_inbound: None,
            now: scene.now,
            contact: handoffd_contract::Contact {
                wa_id: Some("201".into()),
                ..Default::default()
            },
            controller: handoffd_contract::Controller::queued(None),
        };
        let mut known = Known::default();
        known.set("subject", SUBJECT);
        known.set("conversation", CONVERSATION);
        let Some(Feed::Stream {
            backfill: Some(read),
            ..
        }) = scene.connector.feed(&work, &known, None)
        else {
            panic!("no backfill")
        };
        let mut reads = vec![read];
        let mut heard = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(read) = reads.pop() {
            scene.now += SignedDuration::from_secs(3);
            let mut headers = scene.signed();
            headers.push(("accept".into(), "application/json".into()));
            let request = Request {
                method: "GET".into(),
                path: read.call.path.clone(),
                query: read.call.query.clone(),
                headers,
                ..Request::default()
            };
            let response = scene.org.handle(scene.now, &request);
            let reply = HttpReply {
                status: response.status,
                headers: Vec::new(),
                body: response.body,
            };
            let hearing: FrameContent = scene
                .connector
                .hear(&Frame::Reply {
                    read: &read,
                    reply: &reply,
                })
                .expect("heard");
            reads.extend(hearing.fetch);
            heard.extend(
                hearing
                    .heard
                    .into_iter()
                    .filter(|h| seen.insert(h.id.clone())),
            );
        }
        let texts: Vec<_> = heard
            .iter()
            .filter_map(|h| match &h.kind {
                InboundKind::Replied(r) => r.text.clone(),
                _ => None,
            })
            .collect();
        assert_eq!(
            texts,
            (0..60).map(|n| format!("line {n}")).collect::<Vec<_>>()
        );
        // That the rep left is no end; the list does not tell of sessions' statuses.
        assert_eq!(ends(&heard), 0, "{heard:#?}");
        assert_eq!(reps(&heard), [Some("Ana".to_owned()), None]);
        // What the stream replays adds the end, and how long the wait was to be, which is history.
        let is_history =
            |kind: &InboundKind| matches!(kind, InboundKind::Facts(_) | InboundKind::Queued { .. });
        let replayed: Vec<_> = scene
            .hear()
            .into_iter()
            .filter(|h| seen.insert(h.id.clone()) && !is_history(&h.kind))
            .collect();
        assert_eq!((ends(&replayed), replayed.len()), (1, 1), "{replayed:#?}");
    }
}

#[test]
fn an_inactive_session_wakes_is_routed_to_another_rep_and_ends_once() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    scene.act(json!({ "act": "inactive" }));
    let heard = scene.hear();
    assert_eq!(ends(&heard), 0, "inactive is no end: {heard:#?}");
    assert_eq!(known(&heard).under("ended/").count(), 0);
    assert_eq!(
        scene
            .say("7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2b01", "still here")
            .status,
        202
    );
    scene.act(json!({ "act": "accept", "rep": "Ben" }));
    scene.act(json!({ "act": "text", "text": "Ben here" }));
    let heard = scene.hear();
    assert_eq!(ends(&heard), 0, "{heard:#?}");
    assert_eq!(reps(&heard), [None, Some("Ben".to_owned())]);
    assert_eq!(texts(&heard), ["Ben here"]);
    scene.act(json!({ "act": "end" }));
    let heard = scene.hear();
    assert_eq!(ends(&heard), 1, "{heard:#?}");
    assert_eq!(
        statuses(&scene),
        [
            "Waiting", "Active", "Inactive", "Waiting", "Active", "Ended"
        ]
    );
    let view = scene.org.view();
    assert_eq!(
        view["conversations"][0]["sessions"]
            .as_array()
            .map(Vec::len),
        Some(1),
        "it was one messaging session all the time"
    );
}

#[test]
fn with_status_based_capacity_an_inactive_session_stays_with_its_rep() {
    let mut scene = Scene::new(json!({}));
    scene
        .org
        .switch("capacity", &json!("status"))
        .expect("switch");
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    scene.act(json!({ "act": "inactive" }));
    let while_inactive = scene
        .org
        .act(scene.now, &json!({ "act": "text", "text": "hm" }));
    assert!(while_inactive.is_err(), "{while_inactive:?}");
    scene.say("7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2b01", "still here");
    scene.act(json!({ "act": "text", "text": "Ana again" }));
    let heard = scene.hear();
    assert_eq!(
        (ends(&heard), reps(&heard)),
        (0, vec![Some("Ana".to_owned())])
    );
    assert_eq!(texts(&heard), ["Ana again"]);
    assert_eq!(
        statuses(&scene),
        ["Waiting", "Active", "Inactive", "Active"]
    );
}

#[test]
fn an_inactive_session_ends_by_itself_after_a_day() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    scene.act(json!({ "act": "inactive" }));
    // The token lasts an hour, and the stream with it.
    let later = |scene: &mut Scene, hours| {
        scene.now += SignedDuration::from_hours(hours);
        let last = scene.after.to_string();
        scene.open(Some(&last))
    };
    assert_eq!(ends(&scene.hear()), 0);
    assert_eq!(later(&mut scene, 23), 200);
    assert_eq!(ends(&scene.hear()), 0);
    assert_eq!(later(&mut scene, 2), 200);
    let heard = scene.hear();
    assert_eq!(ends(&heard), 1, "{heard:#?}");
    assert_eq!(statuses(&scene).last().map(String::as_str), Some("Ended"));
}

#[test]
fn a_rep_who_leaves_an_open_session_is_no_end_and_the_next_one_is_heard() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    scene.act(json!({ "act": "leave" }));
    let view = scene.org.view();
    assert_eq!(view["conversations"][0]["routing"], "NEEDS_ROUTING");
    scene.act(json!({ "act": "accept", "rep": "Ben" }));
    scene.act(json!({ "act": "text", "text": "Ben here" }));
    let heard = scene.hear();
    assert_eq!(ends(&heard), 0, "{heard:#?}");
    assert_eq!(
        reps(&heard),
        [Some("Ana".to_owned()), None, Some("Ben".to_owned())]
    );
    assert_eq!(texts(&heard), ["Ben here"]);
    let mut facts = known(&heard);
    facts.set("subject", SUBJECT);
    facts.set("conversation", CONVERSATION);
    let work = Work {
        target: "crm".into(),
        session: Default::default(),
        items: Vec::new(),
        last_inbound: None,
        now: scene.now,
        contact: Default::default(),
        controller: handoffd_contract::Controller::queued(None),
    };
    assert!(
        scene.connector.feed(&work, &facts, None).is_some(),
        "the stream stays open"
    );
}

#[test]
fn a_closed_work_item_is_an_end_only_where_the_settings_say_so() {
    for (settings, expected) in [(json!({}), 0), (json!({ "end_on_work_closed": true }), 1)] {
        let mut scene = Scene::new(settings);
        scene.act(json!({ "act": "accept", "rep": "Ana" }));
        scene.act(json!({ "act": "inactive" }));
        assert_eq!(ends(&scene.hear()), expected);
    }
}

#[test]
fn a_conversation_that_is_closed_for_good_ends_its_session_once() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    let path = format!("/conversation/{CONVERSATION}");
    let mut headers = scene.signed();
    headers.push(("accept".into(), "application/json".into()));
    let request = Request {
        method: "DELETE".into(),
        path: format!("/iamessage/api/v2{path}"),
        query: vec![("esDeveloperName".into(), "Handoffd_Custom_Client".into())],
        headers,
        ..Request::default()
    };
    assert_eq!(scene.org.handle(scene.now, &request).status, 204);
    assert_eq!(ends(&scene.hear()), 1);
}
