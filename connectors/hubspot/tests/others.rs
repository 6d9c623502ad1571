//! Replies that reps of other targets wrote.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::event::{DeliveryState, RepReply};
use handoffd_contract::{AuthorKind, Data};
use serde_json::json;
use story::played::{connector, played, returning, texts};
use story::{Desk, attachment, event, handoff, item, reply_status, said};

fn replied(target: &str, id: &str, text: &str) -> Data {
    Data::RepReplied(RepReply {
        target: target.into(),
        message_id: id.into(),
        author: Some("Ben".into()),
        text: Some(text.into()),
        attachments: vec![attachment("a7", "image/png", "label.png")],
        options: Vec::new(),
        template: None,
        quotes: None,
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

/// What the platform confirms is the reply that is shown already; no transcript shows it once more.
#[test]
fn a_reply_that_the_platform_confirms_is_on_the_ticket_once() {
    let connector = connector(json!({}));
    let confirmed = |id: &str, text: &str| {
        let mut message = said(id, 62, text, vec![]);
        message.author.kind = AuthorKind::Agent;
        let mut event = event(message.clone());
        event.reference = Some("0123456789abcdef0123".into());
        (message, Data::MessageSent(event))
    };
    let (first, theirs) = confirmed("wamid.1", "It is on its way.");
    let (second, own) = confirmed("wamid.2", "Mine.");
    let story = vec![
        vec![item("h1", 0, handoff(vec![]))],
        vec![
            item("e1", 60, replied("chat", "7", "It is on its way.")),
            item("e2", 61, replied("crm", "8", "Mine.")),
            item("e3", 62, theirs),
            item("e4", 63, own),
        ],
        vec![item("h2", 70, handoff(vec![first, second]))],
    ];
    let report = played(&*connector, &returning, story, 1);
    let texts = texts(&report);
    let times = |words: &str| texts.iter().filter(|text| text.contains(words)).count();
    assert_eq!((times("its way"), times("Mine.")), (1, 0), "{texts:#?}");
}

/// A reply that failed for good does not stand there as if it had arrived.
#[test]
fn a_reply_of_another_target_that_failed_is_told_once() {
    let connector = connector(json!({}));
    let failed = |id: &str, n: i64, message: &str, state: DeliveryState| {
        let Data::ReplyStatus(mut status) = reply_status(message, state) else {
            unreachable!()
        };
        status.target = "chat".into();
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
    let report = played(&*connector, &returning, story, 1);
    let texts = texts(&report);
    let told: Vec<&String> = texts
        .iter()
        .filter(|text| text.contains("Not delivered to WhatsApp"))
        .collect();
    assert_eq!(told.len(), 1, "{texts:#?}");
    assert!(
        told[0].contains("did not reach the customer. The 24-hour window is closed."),
        "{told:#?}"
    );
}

/// The reply is long shown by then: its words are asked for.
#[test]
fn a_reply_that_failed_late_is_called_by_its_first_words() {
    let portal = handoffd_hubspot::sandbox();
    let settings = portal.credentials("http://hubspot.test")["settings"].clone();
    let mut desk = Desk::new(&settings, portal);
    let Data::ReplyStatus(mut status) = reply_status("7", DeliveryState::Failed) else {
        unreachable!()
    };
    status.target = "chat".into();
    for (n, data) in [
        handoff(vec![]),
        replied("chat", "7", "It is on its way."),
        Data::ReplyStatus(status),
    ]
    .into_iter()
    .enumerate()
    {
        let seconds = i64::try_from(n).unwrap() * 60;
        desk.work(&[item(&format!("e{n}"), seconds, data)]).unwrap();
    }
    let shown = desk.portal.view()["tickets"][0]["timeline"].to_string();
    let words = "The reply “It is on its way.” (Ben, in chat) did not reach the customer.";
    assert_eq!(shown.matches(words).count(), 1, "{shown}");
}

#[test]
fn a_reply_of_another_target_opens_no_ticket() {
    let connector = connector(json!({}));
    let story = vec![vec![item("e1", 60, replied("chat", "7", "Hello."))]];
    let report = played(&*connector, &returning, story, 0);
    assert_eq!(report.outcome["tickets"], json!([]));
}
