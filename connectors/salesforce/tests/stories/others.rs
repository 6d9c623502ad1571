//! Replies that reps of other targets wrote.

use handoffd_contract::event::{AttachmentKind, DeliveryState, RepReply, ReplyStatus};
use handoffd_contract::{Data, InboundKind, Item, Known};
use serde_json::json;

use crate::common::{self, attachment, handoff, item, lines, sandbox, sent, tell, thread};
use crate::common::{message, start};
use crate::play::run;

fn replied(target: &str, id: &str, text: &str) -> Item {
    let reply = RepReply {
        target: target.into(),
        message_id: id.into(),
        author: Some("Ben".into()),
        text: Some(text.into()),
        attachments: vec![attachment("photo", AttachmentKind::Image, "image/png")],
        options: Vec::new(),
        template: None,
        quotes: None,
    };
    item(&format!("e-{target}-{id}"), Data::RepReplied(reply))
}

#[test]
fn what_a_rep_wrote_elsewhere_is_in_the_thread_once_and_says_where() {
    let story = vec![
        vec![handoff("h1", Vec::new())],
        vec![
            replied("desk", "7", "It is on its way."),
            replied("crm", "8", "Mine."),
        ],
        // What the platform confirms is the same reply.
        vec![sent(
            message(
                "wamid.1",
                handoffd_contract::AuthorKind::Agent,
                "It is on its way.",
            ),
            Some("0123456789abcdef0123"),
        )],
    ];
    let report = tell(json!({}), &json!({}), story, 1);
    let shown = thread(&report);
    assert_eq!(
        shown[1..],
        [
            "[Agent (Ben, in desk)] It is on its way.".to_owned(),
            "image-photo.png: ".to_owned()
        ],
        "{shown:#?}"
    );
}

/// A reply that failed for good does not stand there as if it had arrived.
#[test]
fn a_reply_of_another_target_that_failed_is_told_once() {
    let failed = |id: &str, message: &str, state: DeliveryState| {
        let status = ReplyStatus {
            cause: None,
            target: "desk".into(),
            message_id: message.into(),
            state,
            detail: Some("The text was not delivered.".into()),
        };
        item(id, Data::ReplyStatus(status))
    };
    let story = vec![
        vec![
            failed("s0", "7", DeliveryState::Failed),
            handoff("h1", Vec::new()),
        ],
        vec![
            replied("desk", "7", "It is on its way."),
            failed("s1", "7", DeliveryState::Held),
        ],
        vec![
            failed("s2", "7", DeliveryState::Failed),
            failed("s3", "7", DeliveryState::Failed),
            failed("s4", "9", DeliveryState::Failed),
        ],
    ];
    let report = tell(json!({}), &json!({}), story, 1);
    let shown = thread(&report);
    let told: Vec<&String> = shown
        .iter()
        .filter(|line| line.contains("did not reach the customer"))
        .collect();
    assert_eq!(told.len(), 1, "{shown:#?}");
    assert!(
        told[0].ends_with("The text was not delivered."),
        "{told:#?}"
    );
}

/// What the platform confirms is in the thread already; no transcript shows it once more.
#[test]
fn a_reply_that_the_platform_confirms_is_in_the_thread_once() {
    let confirmed = message(
        "wamid.1",
        handoffd_contract::AuthorKind::Agent,
        "On its way.",
    );
    let story = vec![
        vec![handoff("h1", Vec::new())],
        vec![
            replied("desk", "7", "On its way."),
            sent(confirmed.clone(), Some("0123456789abcdef0123")),
        ],
        vec![handoff("h2", vec![confirmed])],
    ];
    let report = tell(json!({}), &json!({}), story, 1);
    let shown = thread(&report).join("\n");
    assert_eq!(shown.matches("On its way.").count(), 1, "{shown}");
}

#[test]
fn a_reply_of_another_target_opens_nothing_and_is_not_heard_as_a_reply() {
    let mut org = sandbox(&json!({}));
    let mut known = Known::default();
    let elsewhere = vec![replied("desk", "7", "Hello.")];
    assert!(run(&mut *org, &mut known, elsewhere.clone()).is_empty());
    run(&mut *org, &mut known, vec![handoff("h1", Vec::new())]);
    org.act(start(), &json!({ "act": "accept" }))
        .expect("accept");
    org.act(start(), &json!({ "act": "end" })).expect("end");
    // Nobody told us of the end: the answer does, and the reply waits for the next handoff.
    let names = run(&mut *org, &mut known, elsewhere);
    assert_eq!(names, ["message.send", "message.keep"]);
    let view = common::outcome(&org.view());
    assert_eq!(lines(&view).len(), 1, "{view:#}");
    run(&mut *org, &mut known, vec![handoff("h2", Vec::new())]);
    let shown = lines(&common::outcome(&org.view()));
    assert!(
        shown[1].contains("Agent (Ben, in desk): Hello."),
        "{shown:?}"
    );
    let heard = heard(&*org, &known);
    assert!(
        !heard
            .iter()
            .any(|kind| matches!(kind, InboundKind::Replied(_))),
        "{heard:?}"
    );
}

/// What the entries of the conversation say.
fn heard(org: &dyn handoffd_contract::sandbox::Sandbox, known: &Known) -> Vec<InboundKind> {
    let view = org.view();
    let thread = view["conversations"][0]["thread"].as_array().cloned();
    let entries: Vec<_> = thread
        .unwrap_or_default()
        .iter()
        .filter(|line| line["text"].is_string())
        .map(|line| {
            let id = line["id"].clone();
            json!({ "identifier": id, "entryType": "Message", "transcriptedTimestamp": 1,
                "sender": { "role": line["from"] }, "entryPayload": { "entryType": "Message", "id": id,
                "abstractMessage": { "staticContent": { "formatType": "Text", "text": line["text"] } } } })
        })
        .collect();
    assert!(entries.len() > 1, "{view:#}");
    let connector = common::connector(json!({}));
    let feed = connector.feed(&crate::play::work(Vec::new()), known, None);
    let Some(handoffd_contract::Feed::Stream {
        backfill: Some(read),
        ..
    }) = feed
    else {
        panic!("no stream")
    };
    let reply = handoffd_contract::HttpReply {
        status: 200,
        headers: Vec::new(),
        body: json!({ "conversationEntries": entries }).to_string().into(),
    };
    let frame = handoffd_contract::Frame::Reply {
        read: &read,
        reply: &reply,
    };
    let content = connector.hear(&frame).expect("heard");
    content.heard.into_iter().map(|one| one.kind).collect()
}
