//! Replies that reps of other targets wrote.

use handoffd_contract::event::{
    AttachmentKind, AuthorKind, Data, DeliveryState, RepReply, ReplyStatus,
};
use handoffd_contract::proof::prove;
use serde_json::json;

use crate::common::*;

fn replied(target: &str, id: &str, text: &str) -> Data {
    let url = "https://files.test/label.png";
    Data::RepReplied(RepReply {
        target: target.into(),
        message_id: id.into(),
        author: Some("Ben".into()),
        text: Some(text.into()),
        attachments: vec![attachment(
            "a7",
            AttachmentKind::Image,
            "label.png",
            Some(url),
        )],
        options: Vec::new(),
        template: None,
        quotes: None,
    })
}

#[test]
fn what_a_rep_wrote_elsewhere_is_in_the_case_once_and_says_where() {
    let connector = connector(json!({}));
    let story = vec![
        vec![item("h1", 0, handoff(vec![]))],
        vec![
            item("e1", 60, replied("chat", "7", "It is on its way.")),
            item("e2", 61, replied("crm", "8", "Mine.")),
            sent("m9", 62, Some("0123456789abcdef0123")),
        ],
    ];
    let report = prove(&stage(&*connector, &site, story), 1);
    let case = &report.outcome["cases"][0];
    let tiles: Vec<String> = case["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tile| tile.to_string())
        .collect();
    let shown: Vec<&String> = tiles
        .iter()
        .filter(|tile| tile.contains("It is on its way."))
        .collect();
    assert_eq!(shown.len(), 1, "{tiles:#?}");
    assert!(shown[0].contains("Ben, in chat"), "{tiles:#?}");
    // Their own reply has its state and is not said once more.
    let own = tiles.iter().filter(|tile| tile.contains("Mine."));
    assert!(
        own.clone()
            .all(|tile| tile.contains("On its way to WhatsApp")),
        "{tiles:#?}"
    );
    assert_eq!(own.count(), 1, "{tiles:#?}");
    assert!(
        case["attachments"].to_string().contains("label.png"),
        "{case}"
    );
}

/// What the platform confirms is in the case already; no transcript shows it once more.
#[test]
fn a_reply_that_the_platform_confirms_is_in_the_case_once() {
    let connector = connector(json!({}));
    let confirmed = message("m9", 62, AuthorKind::Agent, "from the platform");
    let story = vec![
        vec![item("h1", 0, handoff(vec![]))],
        vec![
            item("e1", 60, replied("chat", "7", "It is on its way.")),
            sent("m9", 62, Some("0123456789abcdef0123")),
        ],
        vec![item("h2", 70, handoff(vec![confirmed]))],
    ];
    let report = prove(&stage(&*connector, &site, story), 1);
    let case = report.outcome["cases"][0]["timeline"].to_string();
    let text = "\"text\":\"It is on its way.";
    assert_eq!(case.matches(text).count(), 1, "{case}");
    assert!(!case.contains("from the platform"), "{case}");
}

/// A reply that failed for good does not stand there as if it had arrived.
#[test]
fn a_reply_of_another_target_that_failed_is_told_once() {
    let connector = connector(json!({}));
    let failed = |id: &str, n: i64, message: &str, state: DeliveryState| {
        let status = ReplyStatus {
            cause: None,
            target: "chat".into(),
            message_id: message.into(),
            state,
            detail: Some("The text was not delivered.".into()),
        };
        item(id, n, Data::ReplyStatus(status))
    };
    let story = vec![
        vec![
            failed("s0", 0, "7", DeliveryState::Failed),
            item("h1", 0, handoff(vec![])),
        ],
        vec![
            item("e1", 60, replied("chat", "7", "It is on its way.")),
            failed("s1", 61, "7", DeliveryState::Held),
        ],
        vec![
            failed("s2", 62, "7", DeliveryState::Failed),
            failed("s3", 63, "7", DeliveryState::Failed),
            failed("s4", 64, "9", DeliveryState::Failed),
        ],
    ];
    let stage = stage(&*connector, &site, story);
    let report = prove(&stage, 1);
    let case = report.outcome["cases"][0]["timeline"].to_string();
    assert_eq!(
        case.matches("did not reach the customer").count(),
        1,
        "{case}"
    );
    assert!(case.contains("Not delivered to WhatsApp"), "{case}");
    assert!(case.contains("The text was not delivered."), "{case}");
    // The reply is long shown by then, and its words are asked for.
    let items = vec![failed("s5", 80, "7", DeliveryState::Failed)];
    let again = connector.recall(&work(&ana(), items), &report.known);
    assert_eq!(again, ["e1"]);
}

#[test]
fn a_reply_of_another_target_opens_no_case() {
    for mode in ["handoff_only", "every_conversation"] {
        let connector = connector(json!({"mode": mode}));
        let story = vec![vec![item("e1", 60, replied("chat", "7", "Hello."))]];
        let report = prove(&stage(&*connector, &site, story), 0);
        assert_eq!(report.outcome["cases"], json!([]), "{mode}");
    }
}
