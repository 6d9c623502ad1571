//! Conversations that end under us, and what is not ours to show.

use crate::common::{
    self, closed, connector, handoff, item, lines, media, message, received, rich_transcript,
    sandbox, sent, start, status,
};
use crate::play::{close, request, run, run_with, work};
use handoffd_contract::event::{Activity, DeliveryState, RepActivity, SessionClosed};
use handoffd_contract::proof::encode;
use handoffd_contract::{
    AuthorKind, Contact, Data, Fact, Feed, Frame, HttpReply, InboundKind, Item, Known, Reason,
    Refusal,
};
use serde_json::{Value, json};

#[test]
fn a_closed_conversation_is_followed_by_another_one() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(
        &mut *sandbox,
        &mut known,
        vec![handoff("h1", rich_transcript())],
    );
    close(&mut *sandbox, &known);
    let settings = json!({ "after_end": "message" });
    let hello = received(message("m20", AuthorKind::Customer, "hello?"));
    let played = run_with(&settings, &mut *sandbox, &mut known, vec![hello]);
    assert_eq!(
        played.names,
        [
            "message.send",
            "message.send",
            "conversation.create",
            "message.send"
        ]
    );
    let view = common::outcome(&sandbox.view());
    assert_eq!(view.as_array().expect("conversations").len(), 2);
    assert_eq!(
        view[1]["routing attributes"]["OpencxSessionId"],
        common::SESSION
    );
    assert_eq!(lines(&json!([view[1]])), ["hello?"]);
    assert_eq!(known.get("generation"), Some("1"));
}

#[test]
fn a_session_that_the_rep_ended_is_followed_by_a_new_one_with_attributes() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    let settings = json!({ "after_end": "message" });
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    sandbox
        .act(start(), &json!({ "act": "accept" }))
        .expect("accept");
    sandbox.act(start(), &json!({ "act": "end" })).expect("end");
    // Nobody told us: the answer does.
    let wait = received(message("m1", AuthorKind::Customer, "wait"));
    let played = run_with(&settings, &mut *sandbox, &mut known, vec![wait]);
    assert_eq!(played.names, ["message.send", "message.send"]);
    // And again, now that the stream told us.
    sandbox.act(start(), &json!({ "act": "end" })).expect("end");
    known.set("ended/0Mw2", "1");
    let hm = received(message("m2", AuthorKind::Customer, "hm"));
    let played = run_with(&settings, &mut *sandbox, &mut known, vec![hm]);
    assert_eq!(played.names, ["message.send"]);
    let view = sandbox.view();
    let sessions = view["conversations"][0]["sessions"]
        .as_array()
        .expect("sessions");
    assert_eq!(sessions.len(), 3);
    assert!(
        sessions
            .iter()
            .all(|s| s["routing attributes"]["priority"] == "high"),
        "{sessions:#?}"
    );
}

#[test]
fn a_send_that_arrives_late_shows_once() {
    for repeat in ["409", "202"] {
        let mut sandbox = sandbox(&json!({ "message_repeat": repeat, "entries_gap_ms": 0 }));
        let mut known = Known::default();
        run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
        let items = vec![received(message("m1", AuthorKind::Customer, "hello"))];
        let connector = connector(json!({}));
        let held = connector
            .next(&work(items.clone()), &known)
            .expect("steps")
            .remove(0);
        let held_up = request(&mut *sandbox, &held, start());
        known.0.insert(
            held.claims[0].fact.clone(),
            Fact::Unsure {
                since: start(),
                candidate: None,
            },
        );
        let names = run(&mut *sandbox, &mut known, items);
        assert_eq!(names, ["message.look", "message.send"]);
        sandbox.handle(start(), &held_up);
        let shown = lines(&common::outcome(&sandbox.view()));
        assert_eq!(
            shown.iter().filter(|line| *line == "hello").count(),
            1,
            "{shown:?}"
        );
    }
}

#[test]
fn what_is_not_ours_to_show_is_left_alone() {
    let connector = connector(json!({}));
    let none = |items: Vec<Item>, known: &Known| {
        assert_eq!(connector.next(&work(items), known), Ok(Vec::new()))
    };
    let mut known = Known::default();
    // No handoff yet.
    none(
        vec![
            received(message("m1", AuthorKind::Customer, "hi")),
            closed("c"),
            status("r", DeliveryState::Failed, None),
        ],
        &known,
    );
    known.set("subject", "handoffd:201000000001");
    known.set("generation", "0");
    known.set("conversation", "5a9ac8a5-1d4c-4c8e-9c1a-5b1c9b5fcb10");
    known.set("said/m1", "x");
    none(
        vec![received(message("m1", AuthorKind::Customer, "hi"))],
        &known,
    );
    // It is noted down, so that no transcript shows it.
    let own = vec![sent(
        message("m2", AuthorKind::Agent, "our own reply"),
        Some("r-1"),
    )];
    let noted = connector.next(&work(own.clone()), &known).expect("steps");
    let names: Vec<&str> = noted.iter().map(|step| step.name).collect();
    assert_eq!(names, ["reply.confirmed"]);
    known.set("said/m2", "m2");
    none(own, &known);
    none(
        vec![received(message("m3", AuthorKind::Customer, ""))],
        &known,
    );
    none(vec![status("r", DeliveryState::Sent, None)], &known);
    let by_rep = SessionClosed {
        closed_by: Some("crm".into()),
        ..SessionClosed::default()
    };
    none(vec![item("c", Data::SessionClosed(by_rep))], &known);
    known.set("ended/0Mw1", "5");
    none(vec![closed("c")], &known);
}

#[test]
fn what_a_rep_has_read_is_told_by_the_customers_own_id_once() {
    let mut org = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *org, &mut known, vec![handoff("h1", Vec::new())]);
    let hello = received(message("wamid.9", AuthorKind::Customer, "hello"));
    run(&mut *org, &mut known, vec![hello]);
    let read = |id: &str, record: &str| {
        let done = RepActivity {
            target: "crm".into(),
            activity: Activity::Read,
            record: Some(record.to_owned()),
            message_id: None,
        };
        item(id, Data::RepActivity(done))
    };
    let entry = known.get("part/wamid.9/0").expect("shown").to_owned();
    let items = vec![read("a-1", &entry), read("a-2", "another entry")];
    let played = run_with(&json!({}), &mut *org, &mut known, items.clone());
    let [(id, Data::RepActivity(told))] = &played.events[..] else {
        panic!("{:?}", played.events)
    };
    assert_eq!(
        (id.as_str(), told.message_id.as_deref()),
        ("seen/a-1", Some("wamid.9"))
    );
    assert!(run(&mut *org, &mut known, items).is_empty());
}

#[test]
fn a_customer_whom_nothing_identifies_needs_a_person() {
    let mut nobody = work(vec![handoff("h1", Vec::new())]);
    nobody.contact = Contact::default();
    let refusal = connector(json!({})).next(&nobody, &Known::default());
    assert!(matches!(refusal, Err(Refusal::Park(stop)) if stop.reason == Reason::NoCustomer));
}

#[test]
fn the_stream_is_open_while_a_rep_can_write() {
    let connector = connector(json!({}));
    let feed = |items: Vec<Item>, known: &Known| connector.feed(&work(items), known, None);
    let mut known = Known::default();
    assert_eq!(
        feed(
            vec![received(message("m1", AuthorKind::Customer, "hi"))],
            &known
        ),
        None
    );
    let Some(Feed::Stream {
        key,
        open,
        backfill,
        ..
    }) = feed(vec![handoff("h1", Vec::new())], &known)
    else {
        panic!("the stream is open before the conversation is created")
    };
    assert_eq!((key.as_str(), &backfill), ("handoffd:201000000001", &None));
    assert!(
        open.headers
            .contains(&("X-Org-Id".into(), "00DHs000001sbx1".into()))
    );
    known.set("subject", "handoffd:201000000001");
    known.set("conversation", "5a9ac8a5-1d4c-4c8e-9c1a-5b1c9b5fcb10");
    known.set("heard", "1767225661200");
    let Some(Feed::Stream {
        backfill: Some(read),
        ..
    }) = feed(Vec::new(), &known)
    else {
        panic!("open")
    };
    assert!(
        read.call
            .query
            .contains(&("startTimestamp".into(), "1767225361200".into())),
        "{:?}",
        read.call.query
    );
    known.set("ended/0Mw1", "5");
    let Some(Feed::Stream {
        backfill: Some(read),
        ..
    }) = feed(Vec::new(), &known)
    else {
        panic!("open until what was written before the end is read")
    };
    let answer = HttpReply {
        status: 200,
        headers: Vec::new(),
        body: br#"{"conversationEntries":[]}"#.to_vec(),
    };
    let frame = Frame::Reply {
        read: &read,
        reply: &answer,
    };
    let heard = connector.hear(&frame).expect("heard").heard;
    let facts = heard.iter().filter_map(|heard| match &heard.kind {
        InboundKind::Facts(facts) => Some(facts.clone()),
        _ => None,
    });
    assert_eq!(
        facts.flatten().collect::<Vec<_>>(),
        [("swept/0Mw1".to_owned(), "5".to_owned())]
    );
    known.set("swept/0Mw1", "5");
    assert_eq!(feed(Vec::new(), &known), None);
    known.set("ended/0Mw1", "6");
    assert!(feed(Vec::new(), &known).is_some(), "it ended once more");
    known.set("swept/0Mw1", "6");
    let hi = || vec![received(message("m1", AuthorKind::Customer, "hi"))];
    assert_eq!(feed(hi(), &known), None, "a message begins no session");
    assert!(feed(vec![handoff("h2", Vec::new())], &known).is_some());
    // The lane has said why it wants the stream: whoever holds it sees that without the work.
    known.0.insert(
        "part/m2/0".into(),
        Fact::Unsure {
            since: start(),
            candidate: None,
        },
    );
    assert!(feed(Vec::new(), &known).is_some(), "a call is under way");
}

#[test]
fn checks_say_what_is_missing() {
    let connector = connector(json!({}));
    let mut sandbox = sandbox(&json!({ "business_hours": false }));
    let mut words = Vec::new();
    for check in connector.checks() {
        let request = encode(&check.call, &mut *sandbox, start(), &media).expect("request");
        let response = sandbox.handle(start(), &request);
        assert_eq!(response.status, 200, "{}", check.what);
        let reply = HttpReply {
            status: response.status,
            headers: response.headers,
            body: response.body,
        };
        for finding in connector.checked(&check, &reply) {
            assert_eq!(finding.problem, None);
            words.push(finding.what);
        }
        for status in [400, 401, 403, 404, 500] {
            let reply = HttpReply {
                status,
                ..HttpReply::default()
            };
            let findings = connector.checked(&check, &reply);
            let optional = check.what == "business hours";
            assert_eq!(
                findings[0].problem.is_some(),
                !optional,
                "{} {status}",
                check.what
            );
        }
    }
    assert!(
        words[0].contains("Omni-Channel flow") && words[2].contains("closed now"),
        "{words:?}"
    );
}

#[test]
fn the_view_tells_internal_from_visible() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    for act in [
        json!({"act": "accept", "rep": "Ana"}),
        json!({"act": "note", "text": "careful"}),
        json!({"act": "text", "text": "Hi"}),
    ] {
        sandbox.act(start(), &act).expect("act");
    }
    let view = sandbox.view();
    let thread = view["conversations"][0]["thread"]
        .as_array()
        .expect("thread");
    let find = |text: &str| -> &Value {
        thread
            .iter()
            .find(|line| line["text"] == text)
            .expect("line")
    };
    assert_eq!(find("careful")["visible to customer"], false);
    assert_eq!(find("Hi")["visible to customer"], true);
}
