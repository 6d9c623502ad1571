//! The event stream and what the connector hears in it: the simulator's rep acts, and the connector
//! says what happened.

use crate::scene::{CONVERSATION, SUBJECT, Scene, connector};
use handoffd_contract::sandbox::Request;
use handoffd_contract::{
    Feed, Frame, FrameContent, HttpReply, Inbound, InboundKind, Known, Source, Subject, Work,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

#[test]
fn a_rep_writes_and_only_that_is_relayed() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept", "rep": "Ana" }));
    assert_eq!(
        scene
            .say("7e0b6d1c-4f6e-4b65-8d3a-0f6a1e1e2b01", "our own")
            .status,
        202
    );
    scene.act(json!({ "act": "typing" }));
    scene.act(json!({ "act": "whisper", "text": "say no" }));
    scene.act(json!({ "act": "note", "text": "internal" }));
    scene.act(json!({ "act": "bot", "text": "beep" }));
    scene.act(json!({ "act": "automated", "text": "please wait" }));
    scene.act(json!({ "act": "text", "text": "Hello 👋\nسلام" }));
    let heard = scene.hear();
    let replies: Vec<&Inbound> = heard
        .iter()
        .filter(|h| matches!(h.kind, InboundKind::Replied(_)))
        .collect();
    assert_eq!(replies.len(), 1, "{heard:#?}");
    let InboundKind::Replied(reply) = &replies[0].kind else {
        unreachable!()
    };
    assert_eq!(reply.text.as_deref(), Some("Hello 👋\nسلام"));
    assert_eq!(reply.author.as_deref(), Some("Ana"));
    assert_eq!(
        replies[0].subject,
        Subject::Fact {
            name: "conversation".into(),
            value: CONVERSATION.into()
        }
    );
    assert_eq!(replies[0].at, Some(scene.now));
    assert!(heard.iter().any(|h| h.kind
        == InboundKind::Assigned {
            rep: Some("Ana".into())
        }));
}

#[test]
fn the_place_in_the_queue_and_the_estimated_wait_are_heard() {
    let hear = |event: &str, payload: Value| {
        let kind = payload["entryType"].clone();
        let data = json!({
            "conversationId": CONVERSATION,
            "conversationEntry": {
                "identifier": "entry-1", "entryType": kind, "entryPayload": payload.to_string(),
                "sender": {"role": "System"}, "transcriptedTimestamp": 1_767_225_660_000_i64,
            },
        });
        let data = data.to_string();
        let connector = connector(json!({}));
        let frame = Frame::Event {
            key: SUBJECT,
            id: "",
            event,
            data: &data,
        };
        let heard = connector.hear(&frame).unwrap().heard;
        let waits = heard.into_iter().find_map(|one| match one.kind {
            InboundKind::Queued {
                position,
                wait_seconds,
            } => Some((one.id, position, wait_seconds)),
            _ => None,
        });
        waits.map(|(id, position, wait)| {
            assert_eq!(id, "waits/entry-1");
            (position, wait)
        })
    };
    let position = |position: Value| {
        hear(
            "CONVERSATION_QUEUE_POSITION",
            json!({"entryType": "QueuePosition", "id": "x", "workItemId": "0Mw000000000001", "position": position}),
        )
    };
    assert_eq!(position(json!(3)), Some((Some(3), None)));
    assert_eq!(position(json!("third")), None);
    assert_eq!(position(json!(-1)), None);
    let routed = |failure: &str, asked: bool, seconds: Value| {
        hear(
            "CONVERSATION_ROUTING_RESULT",
            json!({"entryType": "RoutingResult", "id": "x", "recordId": "0Mw000000000001", "failureType": failure,
                "estimatedWaitTime": {"isEWTRequested": asked, "estimatedWaitTimeInSeconds": seconds}}),
        )
    };
    assert_eq!(routed("None", true, json!(120)), Some((None, Some(120))));
    assert_eq!(routed("None", false, json!(120)), None);
    assert_eq!(routed("None", true, json!(null)), None);
    assert_eq!(routed("RoutingError", true, json!(120)), None);
}

#[test]
fn bots_and_automated_responses_are_relayed_when_asked_for() {
    let mut scene = Scene::new(json!({ "relay_chatbot": true, "relay_automated": true }));
    scene.act(json!({ "act": "bot", "text": "beep" }));
    scene.act(json!({ "act": "automated", "text": "please wait" }));
    scene.act(json!({ "act": "whisper", "text": "say no" }));
    let texts: Vec<_> = scene.replies().into_iter().filter_map(|r| r.text).collect();
    assert_eq!(texts, ["beep", "please wait"]);
}

#[test]
fn files_links_and_choices_come_over() {
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept" }));
    scene.act(
        json!({ "act": "file", "name": "offer.pdf", "text": "our offer", "base64": "aGVsbG8=" }),
    );
    scene.act(json!({ "act": "link", "title": "Docs", "url": "https://docs.example" }));
    scene.act(json!({ "act": "choices", "text": "Which?", "options": ["Red", "Blue"], "format": "QuickReplies" }));
    scene.act(json!({ "act": "rich", "messageType": "FormMessage", "content": { "formatType": "Inputs", "formTitle": "Address", "sections": [] } }));
    let replies = scene.replies();
    assert_eq!(replies.len(), 4);
    let file = &replies[0].attachments[0];
    assert_eq!(
        (file.name.as_deref(), replies[0].text.as_deref()),
        (Some("offer.pdf"), Some("our offer"))
    );
    let Some(Source::Url { url }) = &file.source else {
        panic!("no address: {file:?}")
    };
    let (path, query) = url
        .strip_prefix("http://127.0.0.1:9101")
        .and_then(|rest| rest.split_once('?'))
        .expect("address");
    let get = Request {
        method: "GET".into(),
        path: path.into(),
        query: handoffd_contract::sandbox::parse_query(query),
        ..Request::default()
    };
    assert_eq!(scene.org.handle(scene.now, &get).body, b"hello");
    assert_eq!(
        replies[1].text.as_deref(),
        Some("Docs\nhttps://docs.example")
    );
    let titles: Vec<_> = replies[2]
        .options
        .iter()
        .map(|o| (o.id.as_str(), o.title.as_str()))
        .collect();
    assert_eq!(titles, [("o1", "Red"), ("o2", "Blue")]);
    assert!(
        replies[3]
            .text
            .as_deref()
            .is_some_and(|text| text.contains("Please answer in a message"))
    );
}

#[test]
fn the_stream_replays_skips_repeats_and_reorders_as_it_is_switched() {
    let texts = |scene: &mut Scene| {
        scene
            .replies()
            .into_iter()
            .filter_map(|r| r.text)
            .collect::<Vec<_>>()
    };
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "accept" }));
    scene.hear();
    let last = scene.after.to_string();
    scene.act(json!({ "act": "text", "text": "one" }));
    scene.open(Some(&last));
    assert_eq!(texts(&mut scene), ["one"], "replay on");
    scene.org.switch("replay", &json!("off")).expect("switch");
    scene.open(Some(&last));
    assert_eq!(texts(&mut scene), [""; 0], "replay off");
    scene
        .org
        .switch("replay", &json!("duplicate"))
        .expect("switch");
    let newest = scene.after.to_string();
    scene.open(Some(&newest));
    assert_eq!(texts(&mut scene), ["one"], "replay with duplicates");
    scene.org.switch("gap", &json!(1)).expect("switch");
    scene.act(json!({ "act": "text", "text": "lost" }));
    scene.org.switch("duplicate", &json!(1)).expect("switch");
    scene.act(json!({ "act": "text", "text": "twice" }));
    scene.org.switch("reorder", &json!(1)).expect("switch");
    scene.act(json!({ "act": "text", "text": "second" }));
    scene.act(json!({ "act": "text", "text": "first" }));
    let bytes = String::from_utf8(scene.bytes()).expect("text");
    let order: Vec<_> = ["lost", "twice", "first", "second"]
        .map(|word| bytes.matches(&format!("\\\"{word}\\\"")).count())
        .to_vec();
    assert_eq!(order, [0, 2, 1, 1]);
    assert!(bytes.find("\\\"first\\\"") < bytes.find("\\\"second\\\""));
}

#[test]
fn silence_pings_cuts_and_expiry() {
    let mut scene = Scene::new(json!({}));
    scene.org.switch("crlf", &json!(true)).expect("switch");
    assert!(scene.bytes().windows(4).any(|w| w == b"\r\n\r\n"));
    scene.now += SignedDuration::from_secs(21);
    let ping = scene.bytes();
    assert_eq!(
        String::from_utf8_lossy(&ping),
        "event: ping\r\ndata: 0\r\n\r\n"
    );
    let frame = Frame::Event {
        key: SUBJECT,
        id: "",
        event: "ping",
        data: "0",
    };
    assert_eq!(scene.connector.hear(&frame), Ok(FrameContent::default()));
    scene.org.switch("silent", &json!(true)).expect("switch");
    scene.now += SignedDuration::from_secs(60);
    assert!(scene.bytes().is_empty() && !scene.org.closes(scene.now, &scene.stream));
    scene.org.switch("silent", &json!(false)).expect("switch");
    scene.org.switch("cut", &json!(true)).expect("switch");
    assert!(scene.org.closes(scene.now, &scene.stream));
    assert_eq!(scene.open(Some("2861")), 200);
    assert!(!scene.org.closes(scene.now, &scene.stream));
    scene
        .org
        .switch("expire_tokens", &json!(true))
        .expect("switch");
    let raw = scene.bytes();
    assert_eq!(raw, b"Jwt is expired\n\n");
    let data = String::from_utf8_lossy(&raw).into_owned();
    let frame = Frame::Event {
        key: SUBJECT,
        id: "",
        event: "message",
        data: &data,
    };
    assert!(
        scene
            .connector
            .hear(&frame)
            .is_ok_and(|hearing| hearing.unauthorized)
    );
    assert!(scene.org.closes(scene.now, &scene.stream));
    // A token runs out by itself as well.
    scene.open(Some("2861"));
    scene.now += SignedDuration::from_mins(61);
    assert_eq!(scene.bytes(), b"Jwt is expired\n\n");
}

#[test]
fn garbage_is_passed_over_and_a_lost_message_is_seen_by_a_person() {
    let connector = connector(json!({}));
    let hear = |event: &str, data: &str| {
        connector.hear(&Frame::Event {
            key: SUBJECT,
            id: "1",
            event,
            data,
        })
    };
    let good = json!({ "conversationId": CONVERSATION, "conversationEntry": { "identifier": "e1", "entryType": "Message",
        "sender": { "role": "Agent" }, "entryPayload": { "abstractMessage": { "staticContent": { "formatType": "Text", "text": "hi" } } } } });
    assert_eq!(
        hear("CONVERSATION_MESSAGE", &good.to_string())
            .expect("heard")
            .heard
            .len(),
        1,
        "the payload may be an object"
    );
    for (path, value) in [
        ("/conversationEntry/sender/role", "EndUser"),
        ("/conversationEntry/sender/role", "Martian"),
        ("/conversationEntry/sender/role", "Supervisor"),
        ("/conversationEntry/sender/role", "Router"),
    ] {
        let mut other = good.clone();
        *other.pointer_mut(path).expect("path") = value.into();
        let hearing = hear("CONVERSATION_MESSAGE", &other.to_string()).expect("heard");
        assert!(hearing.heard.is_empty() && hearing.skipped.is_some());
    }
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let text = good.to_string();
    let junk: Vec<String> = [
        "",
        "0",
        "null",
        "{}",
        "[]",
        "\u{0}",
        "{\"conversationId\":1}",
        "{\"conversationEntry\":{}}",
        deep.as_str(),
    ]
    .into_iter()
    .map(str::to_owned)
    .chain((0..text.len()).map(|end| text[..end].to_owned()))
    .collect();
    for event in [
        "CONVERSATION_MESSAGE",
        "CONVERSATION_MESSAGE_UPDATED",
        "CONVERSATION_PARTICIPANT_CHANGED",
        "CONVERSATION_SESSION_STATUS_CHANGED",
        "CONVERSATION_ROUTING_RESULT",
        "CONVERSATION_ROUTING_WORK_RESULT",
        "CONVERSATION_QUEUE_POSITION",
        "SOMETHING_NEW",
        "",
        "ping",
    ] {
        for data in &junk {
            match hear(event, data) {
                Ok(hearing) => assert!(
                    hearing.heard.is_empty() && hearing.fetch.is_empty(),
                    "{event} {data}"
                ),
                Err(_) => assert!(event.starts_with("CONVERSATION_MESSAGE"), "{event} {data}"),
            }
        }
    }
    let work = Work {
        target: "crm".into(),
        session: Default::default(),
        contact: Default::default(),
        items: Vec::new(),
        last_inbound: None,
        now: Timestamp::UNIX_EPOCH,
        controller: handoffd_contract::Controller::queued(None),
    };
    let mut known = Known::default();
    known.set("subject", SUBJECT);
    known.set("conversation", CONVERSATION);
    let Some(Feed::Stream {
        backfill: Some(read),
        ..
    }) = connector.feed(&work, &known, None)
    else {
        panic!("no backfill")
    };
    for (status, body) in [
        (200, ""),
        (200, "{}"),
        (200, "<html>"),
        (401, ""),
        (404, ""),
        (429, ""),
        (503, "x"),
        (
            200,
            r#"{"conversationEntries":[1,null,{"entryPayload":"{"},{"entryType":"Message","identifier":"a","entryPayload":"x"}]}"#,
        ),
    ] {
        let reply = HttpReply {
            status,
            headers: Vec::new(),
            body: body.into(),
        };
        if let Ok(hearing) = connector.hear(&Frame::Reply {
            read: &read,
            reply: &reply,
        }) {
            assert!(
                hearing.heard.is_empty() && hearing.fetch.is_empty(),
                "{status} {body}"
            );
            assert_eq!(hearing.unauthorized, status == 401);
        }
    }
}

#[test]
fn a_file_that_is_still_being_uploaded_is_relayed_once_it_is_there() {
    let connector = connector(json!({}));
    let file = |result: Option<&str>, url: Option<&str>| {
        json!({ "messageType": "StaticContentMessage", "id": "m1", "staticContent": { "formatType": "Attachments",
            "attachments": [{ "name": "a.pdf", "id": "f1", "mimeType": "application/pdf", "url": url,
                "attachmentUploadResult": result.map(|kind| json!({ "resultType": kind })) }] } })
    };
    let hear = |event: &str, kind: &str, id: &str, payload: serde_json::Value| {
        let data = json!({ "conversationId": CONVERSATION, "conversationEntry": { "identifier": id, "entryType": kind,
            "sender": { "role": "Agent" }, "entryPayload": payload.to_string() } });
        let frame = Frame::Event {
            key: SUBJECT,
            id: "1",
            event,
            data: &data.to_string(),
        };
        connector.hear(&frame).expect("heard")
    };
    let pending = file(Some("PendingAttachmentUploadResult"), None);
    let first = hear(
        "CONVERSATION_MESSAGE",
        "Message",
        "m1",
        json!({ "id": "m1", "abstractMessage": pending }),
    );
    assert!(first.heard.is_empty() && first.skipped.is_some());
    let done = file(
        Some("CompletedAttachmentUploadResult"),
        Some("https://x.force.com/1"),
    );
    let updated = json!({ "updatedMessage": { "id": "m1", "abstractMessage": done } });
    let second = hear(
        "CONVERSATION_MESSAGE_UPDATED",
        "MessageUpdated",
        "u9",
        updated,
    );
    let whole = hear(
        "CONVERSATION_MESSAGE",
        "Message",
        "m1",
        json!({ "id": "m1", "abstractMessage": done }),
    );
    assert_eq!(second.heard[0].id, "message/m1");
    assert_eq!(second.heard[0].kind, whole.heard[0].kind);
}
