//! Replies that reps of other targets wrote.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::Data;
use handoffd_contract::event::RepReply;
use serde_json::json;
use story::played::{connector, played, returning, texts};
use story::{attachment, handoff, item};

fn replied(target: &str, id: &str, text: &str) -> Data {
    Data::RepReplied(RepReply {
        target: target.into(),
        message_id: id.into(),
        author: Some("Ben".into()),
        text: Some(text.into()),
        attachments: vec![attachment("a7", "image/png", "label.png")],
        options: Vec::new(),
        template: None,
    })
}

#[test]
fn what_a_rep_wrote_elsewhere_is_on_the_ticket_once_and_says_where() {
    let connector = connector(json!({}));
    let story = vec![
        vec![item("h1", 0, handoff(vec![]))],
        vec![
            item("e1", 60, replied("chat", "7", "It is on its way.")),
            item("e2", 61, replied("crm", "8", "Mine.")),
        ],
    ];
    let report = played(&*connector, &returning, story, 1);
    let texts = texts(&report);
    let shown: Vec<&String> = texts
        .iter()
        .filter(|text| text.contains("its way"))
        .collect();
    assert_eq!(shown.len(), 1, "{texts:#?}");
    assert!(
        shown[0].contains("Agent (Ben, in chat): It is on its way."),
        "{texts:#?}"
    );
    assert!(
        !texts.iter().any(|text| text.contains("Mine.")),
        "{texts:#?}"
    );
    let ticket = report.outcome["tickets"][0].to_string();
    assert!(ticket.contains("label.png"), "{ticket}");
}

#[test]
fn a_reply_of_another_target_opens_no_ticket() {
    let connector = connector(json!({}));
    let story = vec![vec![item("e1", 60, replied("chat", "7", "Hello."))]];
    let report = played(&*connector, &returning, story, 0);
    assert_eq!(report.outcome["tickets"], json!([]));
}
