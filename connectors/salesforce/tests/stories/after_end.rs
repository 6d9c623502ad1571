//! After a messaging session has ended, only a handoff begins the next one.

use handoffd_contract::event::DeliveryState;
use handoffd_contract::{AuthorKind, Connector, Data, Item, Known};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::common::{
    self, attachment, closed, connector, handoff, lines, message, received, sandbox, sent, start,
    status,
};
use crate::play::{close, run, run_with, work};

/// A rep's message.
const REPLY: &str = "c0ffee00-0000-4000-8000-000000000001";

fn sessions(view: &Value) -> usize {
    view["conversations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["sessions"].as_array())
        .map(Vec::len)
        .sum()
}

/// What comes after an end and is no handoff: thanks, an assistant's line, late warnings.
fn aftermath() -> Vec<Item> {
    let mut photo = message("m-photo", AuthorKind::Customer, "");
    photo.attachments.push(attachment(
        "photo",
        handoffd_contract::event::AttachmentKind::Image,
        "image/jpeg",
    ));
    vec![
        received(message("m-thanks", AuthorKind::Customer, "thank you")),
        sent(
            message("m-ai", AuthorKind::Assistant, "You are welcome."),
            None,
        ),
        received(photo),
        status(REPLY, DeliveryState::Failed, Some("the number is blocked")),
        status("other", DeliveryState::Held, Some("the window is closed")),
        status(REPLY, DeliveryState::Read, None),
    ]
}

/// How a session may have ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// The platform closed it, and we ended it.
    Closed,
    /// The stream told us that the rep ended it.
    Inbound,
    /// Nobody told us: an answer does.
    Unheard,
    /// The conversation was closed for good.
    Gone,
}

#[test]
fn nothing_but_a_handoff_begins_a_session_after_the_end() {
    for end in [End::Closed, End::Inbound, End::Unheard, End::Gone] {
        for answer in ["417", "403"] {
            let mut sandbox = sandbox(&json!({ "ended_session": answer }));
            let mut known = Known::default();
            run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
            sandbox
                .act(start(), &json!({ "act": "accept" }))
                .expect("accept");
            match end {
                End::Closed => {
                    run(&mut *sandbox, &mut known, vec![closed("c1")]);
                }
                End::Inbound | End::Unheard => {
                    sandbox.act(start(), &json!({ "act": "end" })).expect("end");
                }
                End::Gone => close(&mut *sandbox, &known),
            }
            if end == End::Inbound {
                known.set("ended/0Mw1", "5");
                known.set("over/0Mw1", "5");
            }
            let before = common::outcome(&sandbox.view());
            let after = run_with(&json!({}), &mut *sandbox, &mut known, aftermath());
            let view = sandbox.view();
            assert_eq!(sessions(&view), 1, "{end:?} {answer}: {:?}", after.names);
            assert_eq!(
                lines(&before),
                lines(&common::outcome(&view)),
                "{end:?}: nothing appears in the thread"
            );
            // An end of which only an answer told us is told to the gateway, once.
            let told: Vec<_> = after
                .events
                .iter()
                .filter(|(_, data)| matches!(data, Data::RepEnded(_)))
                .collect();
            let expected = usize::from(matches!(end, End::Unheard | End::Gone));
            assert_eq!(told.len(), expected, "{end:?} {answer}: {told:?}");
            assert_eq!(known.get("waiting_for_next_handoff"), Some("5"), "{end:?}");
            let again = run(&mut *sandbox, &mut known, aftermath());
            assert_eq!(again, Vec::<&str>::new(), "{end:?}: kept once");

            // The next handoff begins a session, and shows all of it, also what its own transcript lacks.
            let mut next = handoff("h2", Vec::new());
            next.time = start() + SignedDuration::from_hours(1);
            if let Data::HandoffRequested(handoff) = &mut next.data {
                let mut thanks = message("m-thanks", AuthorKind::Customer, "thank you");
                thanks.time = start();
                handoff.transcript = vec![thanks];
            }
            let done = run_with(&json!({}), &mut *sandbox, &mut known, vec![next]);
            assert!(
                !done
                    .events
                    .iter()
                    .any(|(_, data)| matches!(data, Data::RepEnded(_)))
            );
            let view = sandbox.view();
            assert_eq!(sessions(&view), 2, "{end:?}");
            let shown = lines(&common::outcome(&view)).join("\n");
            for words in [
                "=== Handed over again",
                "thank you",
                "You are welcome.",
                "[image: image-photo.jpg]",
                "Not delivered to WhatsApp: the number is blocked",
                "Not yet delivered to WhatsApp: the window is closed",
                "image-photo.jpg: ",
            ] {
                assert_eq!(shown.matches(words).count(), 1, "{end:?} {words}: {shown}");
            }
            assert_eq!(known.get("waiting_for_next_handoff"), Some("0"));
            // In the new session messages and warnings go as they come.
            let late = vec![
                received(message("m-late", AuthorKind::Customer, "and another thing")),
                status("late", DeliveryState::Failed, Some("gone")),
            ];
            let names = run(&mut *sandbox, &mut known, late);
            assert_eq!(names, ["message.send", "message.send"], "{end:?}");
            assert_eq!(sessions(&sandbox.view()), 2);
        }
    }
}

#[test]
fn a_message_begins_a_session_where_the_settings_say_so() {
    let settings = json!({ "after_end": "new" });
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    run(&mut *sandbox, &mut known, vec![closed("c1")]);
    let thanks = received(message("m-thanks", AuthorKind::Customer, "thank you"));
    let played = run_with(&settings, &mut *sandbox, &mut known, vec![thanks]);
    assert_eq!(played.names, ["message.send"]);
    assert_eq!(sessions(&sandbox.view()), 2);
    let view = common::outcome(&sandbox.view());
    let attributes = &view[0]["sessions"][1]["routing attributes"];
    assert_eq!(attributes["priority"], "high", "{attributes}");
}

/// It is told once, and after the end it waits like every other warning.
#[test]
fn a_reply_of_which_whatsapp_says_nothing_is_told_in_the_thread() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    let unconfirmed = |reply: &str| {
        let mut told = status(reply, DeliveryState::Sent, Some("it may not have arrived"));
        if let Data::ReplyStatus(status) = &mut told.data {
            status.cause = Some("unconfirmed".into());
        }
        told.id = format!("unconfirmed-{reply}");
        told
    };
    let names = run(&mut *sandbox, &mut known, vec![unconfirmed(REPLY)]);
    assert_eq!(names, ["message.send"]);
    let shown = sandbox.view().to_string();
    let words = "Sent, and not confirmed by WhatsApp: it may not have arrived";
    assert_eq!(shown.matches(words).count(), 1, "{shown}");
    assert!(run(&mut *sandbox, &mut known, vec![unconfirmed(REPLY)]).is_empty());
    run(&mut *sandbox, &mut known, vec![closed("c1")]);
    let names = run(&mut *sandbox, &mut known, vec![unconfirmed("another")]);
    assert_eq!(names, ["message.keep"]);
}

#[test]
fn the_end_of_one_session_is_not_told_again_after_the_next() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    sandbox.act(start(), &json!({ "act": "end" })).expect("end");
    // A handoff meets the end first: what ended before it is history.
    let played = run_with(
        &json!({}),
        &mut *sandbox,
        &mut known,
        vec![handoff("h2", Vec::new())],
    );
    assert!(
        !played
            .events
            .iter()
            .any(|(_, data)| matches!(data, Data::RepEnded(_)))
    );
    // When the stream tells of that end at last, it is recognised and not told either.
    let dropped = known
        .under("over/")
        .filter(|(_, by)| by.starts_with("end:"));
    assert_eq!(dropped.count(), 1, "{known:?}");
    known.set("ended/0Mw2", "5");
    known.set("over/0Mw2", "5");
    let thanks = received(message("m1", AuthorKind::Customer, "thank you"));
    let played = run_with(&json!({}), &mut *sandbox, &mut known, vec![thanks]);
    assert_eq!(
        (played.names, played.events),
        (vec!["message.keep"], vec![])
    );
}

#[test]
fn what_is_kept_is_bounded_and_what_is_not_is_counted() {
    let connector: Box<dyn Connector> = connector(json!({}));
    let mut known = Known::default();
    for (name, value) in [
        ("subject", "handoffd:201000000001"),
        ("generation", "0"),
        ("conversation", "5a9ac8a5-1d4c-4c8e-9c1a-5b1c9b5fcb10"),
        ("ended/0Mw1", "5"),
        ("over/0Mw1", "5"),
    ] {
        known.set(name, value);
    }
    let mut nowhere = sandbox(&json!({}));
    let long = "word ".repeat(20_000);
    let items: Vec<Item> = (0..60)
        .map(|n| received(message(&format!("m{n}"), AuthorKind::Customer, &long)))
        .collect();
    run(&mut *nowhere, &mut known, items);
    assert_eq!(known.get("waiting_for_next_handoff"), Some("60"));
    let bytes: usize = known.under("kept/").map(|(_, value)| value.len()).sum();
    assert!(bytes < 60 * 16 * 1024, "{bytes}");
    assert_eq!(known.refused_under("kept/").count(), 10);
    let steps = connector
        .next(&work(vec![handoff("h2", Vec::new())]), &known)
        .expect("steps");
    assert_eq!(steps[0].name, "file.send", "it is shown");
    // Once that handoff is completed there is room again.
    let mut org = sandbox(&json!({}));
    let mut known = Known::default();
    for round in 0..3 {
        let handed = handoff(&format!("h{round}"), Vec::new());
        run(&mut *org, &mut known, vec![handed]);
        run(&mut *org, &mut known, vec![closed(&format!("c{round}"))]);
        let items = (0..40).map(|n| {
            let id = format!("r{round}-{n}");
            received(message(&id, AuthorKind::Customer, "thank you"))
        });
        run(&mut *org, &mut known, items.collect());
        assert_eq!(known.get("waiting_for_next_handoff"), Some("40"));
        assert_eq!(
            known
                .under("kept/")
                .filter(|(_, v)| v.starts_with('{'))
                .count(),
            40,
            "round {round}"
        );
    }
}

/// WhatsApp counts in seconds: what was written within one is shown as it came.
#[test]
fn what_is_kept_is_shown_as_it_came() {
    let mut org = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *org, &mut known, vec![handoff("h1", Vec::new())]);
    run(&mut *org, &mut known, vec![closed("c1")]);
    let said = |id: &str, text: &str| received(message(id, AuthorKind::Customer, text));
    let items = vec![said("m-z", "One"), said("m-a", "Two"), said("m-m", "Three")];
    run(&mut *org, &mut known, items);
    run(&mut *org, &mut known, vec![handoff("h2", Vec::new())]);
    let shown = lines(&common::outcome(&org.view())).join("\n");
    let places = ["One", "Two", "Three"].map(|words| shown.find(words).expect(words));
    assert!(places.is_sorted(), "{shown}");
}
