//! What people send beside text and files, quotes in both directions, and answers to a bot's choices.

use handoffd_contract::event::{Answered, Choice, Earlier, Reaction};
use handoffd_contract::{AuthorKind, Frame, HttpReply, InboundKind, Item, Known, Message};
use serde_json::{Value, json};

use crate::common::{self, connector, handoff, lines, message, received, sandbox, start};
use crate::play::{run, run_with};

fn of(id: &str, rest: Value) -> Message {
    let mut whole = serde_json::to_value(message(id, AuthorKind::Customer, "")).expect("json");
    let rest = rest.as_object().expect("an object").clone();
    whole.as_object_mut().expect("an object").extend(rest);
    serde_json::from_value(whole).expect("a message")
}

fn reaction(id: &str) -> Item {
    let reaction = Reaction {
        emoji: Some("👍".into()),
        to: Earlier {
            text: Some("Your refund is on its way.".into()),
            ..Earlier::default()
        },
    };
    received(Message {
        reaction: Some(Box::new(reaction)),
        ..message(id, AuthorKind::Customer, "")
    })
}

#[test]
fn the_thread_shows_what_each_message_is() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    let before = lines(&common::outcome(&sandbox.view())).len();
    let said = vec![
        reaction("m1"),
        received(of(
            "m2",
            json!({"text": "Red\n[AI assistant] ok", "quote": {"text": "Red or blue?"}}),
        )),
        received(of(
            "m3",
            json!({"text": "Hello", "edit": {"message_id": "m0", "text": "Helo"}}),
        )),
        received(of(
            "m4",
            json!({"deletion": {"message_id": "m0", "text": "Helo"}}),
        )),
        received(of(
            "m5",
            json!({"contacts": [{"name": "Lucía", "phones": ["+1 983"]}]}),
        )),
        received(of(
            "m6",
            json!({"order": {"items": [{"name": "Cap", "price": 5, "currency": "EUR"}]}}),
        )),
        received(of("m7", json!({"unsupported": "poll_creation"}))),
        // Nothing is in it that anybody is shown, such as a sticker.
        received(of("m8", json!({}))),
    ];
    run(&mut *sandbox, &mut known, said);
    let shown = lines(&common::outcome(&sandbox.view()));
    assert_eq!(
        shown[before..],
        [
            "[reaction 👍] ↩ “Your refund is on its way.”",
            "↩ “Red or blue?”\nRed\n» [AI assistant] ok",
            "[edited] Hello\n↩ “Helo”",
            "[message deleted] ↩ “Helo”",
            "[contact card: Lucía, +1 983]",
            "[order: 1 item, 5.00 EUR]\n• 1 × Cap, 5.00 EUR",
            "[unsupported message: poll_creation]",
        ]
    );
}

#[test]
fn a_reaction_after_the_end_rings_nobody_and_waits_for_the_next_handoff() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    let settings = json!({ "after_end": "message" });
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    for act in ["accept", "end"] {
        sandbox.act(start(), &json!({ "act": act })).expect(act);
    }
    let sessions = |view: Value| {
        view["conversations"][0]["sessions"]
            .as_array()
            .map(Vec::len)
    };
    let played = run_with(&settings, &mut *sandbox, &mut known, vec![reaction("m1")]);
    assert_eq!(played.names.last(), Some(&"message.keep"));
    assert_eq!(sessions(sandbox.view()), Some(1));
    let again = vec![reaction("m1"), handoff("h2", Vec::new())];
    run_with(&settings, &mut *sandbox, &mut known, again);
    assert_eq!(sessions(sandbox.view()), Some(2));
    let shown = lines(&common::outcome(&sandbox.view())).join("\n");
    assert_eq!(shown.matches("[reaction 👍]").count(), 1, "{shown}");
}

/// The bot's message that offers something, and the facts of the lane.
fn offered(switches: &Value) -> (Box<dyn handoffd_contract::sandbox::Sandbox>, Known, String) {
    let mut sandbox = sandbox(switches);
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    sandbox
        .act(start(), &json!({ "act": "accept" }))
        .expect("accept");
    let act = json!({ "act": "choices", "text": "Which one?", "options": ["Red", "Blue"] });
    let told = sandbox.act(start(), &act).expect("choices");
    let entry = told["entry"].as_str().expect("an entry").to_owned();
    (sandbox, known, entry)
}

fn chose(id: &str, option: &str, target: &str, entry: &str) -> Item {
    let reply = Answered {
        target: target.into(),
        message_id: entry.into(),
        options: vec!["o1".into(), "o2".into()],
    };
    let quote = Earlier {
        text: Some("Which one?".into()),
        reply: Some(Box::new(reply)),
        ..Earlier::default()
    };
    received(Message {
        choice: Some(Box::new(Choice { id: option.into() })),
        quote: Some(Box::new(quote)),
        ..message(id, AuthorKind::Customer, "Blue")
    })
}

fn last(view: &Value) -> Value {
    let thread = view["conversations"][0]["thread"].as_array();
    let mut lines = thread.expect("a thread").iter().rev();
    lines
        .find(|line| line["from"] == "EndUser")
        .expect("a line")
        .clone()
}

#[test]
fn a_choice_among_what_a_bot_offered_goes_back_as_a_choice() {
    let (mut sandbox, mut known, entry) = offered(&json!({}));
    let names = run(
        &mut *sandbox,
        &mut known,
        vec![chose("m1", "o2", "crm", &entry)],
    );
    assert_eq!(names, ["message.send"]);
    let line = last(&sandbox.view());
    assert_eq!(
        (&line["chosen"], &line["answers"]),
        (&json!("o2"), &json!(entry))
    );
    assert!(known.is("said/m1"));
}

#[test]
fn a_choice_that_is_not_this_targets_or_is_not_taken_is_a_text() {
    for (switches, option, target) in [
        (json!({"choices_refused": true}), "o2", "crm"),
        (json!({}), "o9", "crm"),
        (json!({}), "o2", "other"),
    ] {
        let (mut sandbox, mut known, entry) = offered(&switches);
        run(
            &mut *sandbox,
            &mut known,
            vec![chose("m1", option, target, &entry)],
        );
        let line = last(&sandbox.view());
        assert_eq!(
            line["text"], "↩ “Which one?”\nBlue",
            "{switches} {option} {target}"
        );
        assert_eq!(line["chosen"], Value::Null);
        assert!(known.is("said/m1"));
    }
}

#[test]
fn a_reply_says_which_message_it_answers() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    run(
        &mut *sandbox,
        &mut known,
        vec![received(message(
            "wamid.IN1",
            AuthorKind::Customer,
            "hello?",
        ))],
    );
    sandbox
        .act(start(), &json!({ "act": "accept" }))
        .expect("accept");
    let answers = last(&sandbox.view())["id"].clone();
    let act = json!({ "act": "text", "text": "Yes", "answers": answers });
    sandbox.act(start(), &act).expect("text");
    let connector = connector(json!({}));
    let feed = connector.feed(&crate::play::work(Vec::new()), &known, None);
    let Some(handoffd_contract::Feed::Stream {
        backfill: Some(read),
        ..
    }) = feed
    else {
        panic!("no stream")
    };
    let call = handoffd_contract::Step::look("look", read.call.clone());
    let request = crate::play::request(&mut *sandbox, &call, start());
    let response = sandbox.handle(start(), &request);
    let reply = HttpReply {
        status: response.status,
        headers: response.headers,
        body: response.body,
    };
    let frame = Frame::Reply {
        read: &read,
        reply: &reply,
    };
    let heard = connector.hear(&frame).expect("heard").heard;
    let replied = heard.into_iter().find_map(|one| match one.kind {
        InboundKind::Replied(reply) => Some(reply),
        _ => None,
    });
    let quotes = replied.expect("a reply").quotes.expect("a quote");
    assert_eq!(json!(quotes), answers);
    assert_eq!(
        connector.quoted(&known, &quotes).as_deref(),
        Some("wamid.IN1")
    );
    // A handoff's own texts are no message.
    let head = known
        .under("part/")
        .find(|(name, _)| !name.starts_with("wamid.IN1"));
    let (_, head) = head.expect("the head");
    assert_eq!(connector.quoted(&known, head), None);
}

#[test]
fn a_choice_is_made_once_whatever_happens_to_calls_and_answers() {
    // The handoff is in the thread, and so is the offer, before the story begins.
    for switches in [json!({}), json!({"choices_refused": true})] {
        let fresh = || offered(&switches).0;
        let entry = offered(&switches).2;
        let connector = connector(json!({}));
        let stage = handoffd_contract::proof::Stage {
            connector: &*connector,
            sandbox: &fresh,
            outcome: &common::outcome,
            media: &common::media,
            session: common::session(),
            contact: common::contact(),
            start: start(),
            last_inbound: Some(start()),
            chapters: vec![
                vec![handoff("h1", Vec::new())],
                vec![chose("m1", "o2", "crm", &entry)],
            ],
        };
        let report = handoffd_contract::proof::prove(&stage, 1);
        assert!(report.runs > 10, "{} runs", report.runs);
        let shown = lines(&report.outcome);
        let texts = shown.iter().filter(|line| line.contains("Blue")).count();
        let refused = switches["choices_refused"] == true;
        assert_eq!(texts, usize::from(refused), "{shown:?}");
    }
}
