//! Replies that reps of other targets wrote.

use handoffd_contract::event::{AttachmentKind, Data, RepReply};
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

#[test]
fn a_reply_of_another_target_opens_no_case() {
    for mode in ["handoff_only", "every_conversation"] {
        let connector = connector(json!({"mode": mode}));
        let story = vec![vec![item("e1", 60, replied("chat", "7", "Hello."))]];
        let report = prove(&stage(&*connector, &site, story), 0);
        assert_eq!(report.outcome["cases"], json!([]), "{mode}");
    }
}
