//! Long and awkward content, files that are not taken, and conversations that end under us.
#![cfg(feature = "sandbox")]

mod common;

use common::{attachment, closed, connector, handoff, item, lines, media, message, received, rich_transcript, sandbox, sent, start, status, tell, thread};
use handoffd_contract::event::{AttachmentKind, DeliveryState, SessionClosed};
use handoffd_contract::proof::encode;
use handoffd_contract::sandbox::{Request, Sandbox};
use handoffd_contract::{
    AuthorKind, Call, Contact, Data, Fact, Feed, HttpReply, Item, Known, Reason, Refusal, Reply, Source, Step, Verdict, Work, text,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

fn work(items: Vec<Item>) -> Work {
    Work {
        target: "crm".into(),
        session: common::session(),
        contact: common::contact(),
        items,
        last_inbound: None,
        now: start(),
    }
}

#[test]
fn five_hundred_messages_arrive_whole_as_a_file_and_as_texts() {
    let transcript: Vec<_> = (0..500)
        .map(|n| message(&format!("m{n}"), AuthorKind::Customer, &format!("no. {n} 👨‍👩‍👧‍👦 שלום «{}»", "long ".repeat(8))))
        .collect();
    let as_file = tell(json!({}), &json!({}), vec![vec![handoff("h1", transcript.clone())]], 0);
    let whole = thread(&as_file).join("\n");
    assert_eq!(as_file.calls, 2);
    for n in 0..500 {
        assert!(whole.contains(&format!("no. {n} 👨‍👩‍👧‍👦 שלום «long")), "{n}");
    }
    let as_texts = tell(json!({ "transcript": "messages" }), &json!({}), vec![vec![handoff("h1", transcript)]], 0);
    let parts = thread(&as_texts);
    assert!(parts.len() > 10, "{}", parts.len());
    assert!(parts.iter().all(|part| text::utf16_len(part) <= 4_000));
    // Cut between messages only: every line after the head begins with a time or the title.
    for part in &parts[1..] {
        assert!(part.starts_with("2026-11-20 "), "{}", &part[..60]);
    }
    let joined = parts.join("\n");
    for n in 0..500 {
        assert!(joined.contains(&format!("no. {n} 👨‍👩‍👧‍👦 שלום «long")), "{n}");
    }
}

#[test]
fn one_message_of_sixty_thousand_characters_arrives_whole() {
    let long: String = (0..10_000).map(|n| format!("w{n:05}")).collect::<Vec<_>>().join(" ");
    let words = |lines: &[String]| -> Vec<String> {
        lines.join(" ").split_whitespace().filter(|w| w.len() == 6 && w.starts_with('w')).map(str::to_owned).collect()
    };
    let expected = words(std::slice::from_ref(&long));
    let told = message("m1", AuthorKind::Customer, &long);
    for settings in [json!({}), json!({ "transcript": "messages" })] {
        let report = tell(settings, &json!({}), vec![vec![handoff("h1", vec![told.clone()])]], 0);
        assert_eq!(words(&thread(&report)), expected);
    }
    let chapters = vec![vec![handoff("h1", Vec::new())], vec![received(told)]];
    let later = tell(json!({}), &json!({}), chapters, 0);
    let parts = &thread(&later)[1..];
    assert_eq!(words(parts), expected);
    assert!(parts.iter().all(|part| text::utf16_len(part) <= 4_000));
}

#[test]
fn names_texts_and_directions_are_kept_to_the_letter() {
    let nasty = "<script>alert(\"x\")</script> & 'quotes' \u{202e}rtl\u{202c} مرحبا 👩🏽‍🚀\n\tline two";
    let chapters = vec![
        vec![handoff("h1", vec![message("m1", AuthorKind::Customer, nasty)])],
        vec![received(message("m2", AuthorKind::Customer, nasty))],
    ];
    let report = tell(json!({}), &json!({}), chapters, 0);
    let lines = thread(&report);
    assert!(lines[0].contains(nasty) && lines[0].contains("Mona <\"K\"> O'Neil"), "{}", lines[0]);
    assert_eq!(lines[1], nasty);
    assert_eq!(report.outcome[0]["routing attributes"]["_lastName"], "O'Neil");
}

#[test]
fn files_that_are_not_taken_become_a_line_with_a_link() {
    let mut told = message("m1", AuthorKind::Customer, "files");
    for (id, mime) in [("good", "image/png"), ("large-film", "video/mp4"), ("gone-image", "image/png"), ("odd", "application/x-odd")] {
        told.attachments.push(attachment(id, AttachmentKind::Document, mime));
    }
    let mut inline = attachment("large-inline", AttachmentKind::Image, "image/png");
    inline.source = Some(Source::Whatsapp { media_id: "1".into() });
    inline.caption = Some("look".into());
    told.attachments.push(inline);
    let mut lost = attachment("lost", AttachmentKind::Voice, "audio/ogg");
    lost.source = None;
    lost.transcript = Some("call me".into());
    told.attachments.push(lost);
    let report = tell(json!({}), &json!({}), vec![vec![handoff("h1", vec![told.clone()])]], 1);
    let all = thread(&report);
    assert_eq!(all.len(), 3, "{all:#?}");
    assert!(all[1].starts_with("document-good"));
    let line = &all[2];
    for part in [
        "large-film.mp4] could not be attached (the file is larger than this CRM takes), it is here: https://media.example/large-film",
        "gone-image.png] could not be attached: the file is no longer at its source",
        "odd.bin] could not be attached (Salesforce does not take files of this type), it is here: https://media.example/odd",
        "large-inline.png] could not be attached: the file is larger",
        "look",
        "Voice note says: call me",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else { panic!("no completion") };
    assert_eq!(done.notes.len(), 6, "{:?}", done.notes);

    // The same after the handoff.
    let later = tell(json!({}), &json!({}), vec![vec![handoff("h1", Vec::new())], vec![received(told)]], 1);
    let all = thread(&later);
    assert_eq!(all.len(), 4, "{all:#?}");
    assert_eq!(all[1], "files");
    assert_eq!(&all[3], line);
}

#[test]
fn a_channel_without_attachments_gets_the_transcript_as_texts() {
    for switches in [json!({ "attachments": false }), json!({ "file_types": ["image/"] })] {
        let settings = json!({ "transcript": "file" });
        let report = tell(settings, &switches, vec![vec![handoff("h1", vec![message("m1", AuthorKind::Customer, "hello")])]], 1);
        let lines = thread(&report);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("=== Handoff summary") && lines[0].ends_with(": hello"), "{}", lines[0]);
        let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else { panic!("no completion") };
        assert!(done.notes.iter().any(|note| note.contains("transcript")), "{:?}", done.notes);
    }
}

#[test]
fn an_attribute_that_salesforce_refuses_is_left_out_and_told() {
    let mut told = handoff("h1", Vec::new());
    let rendered = told.rendered.as_mut().expect("rendered");
    rendered.sections.entry("routing".into()).or_default().insert("Topic".into(), "x".repeat(200).into());
    let report = tell(json!({}), &json!({ "attribute_limit": 100 }), vec![vec![told]], 1);
    let attributes = &report.outcome[0]["routing attributes"];
    assert!(attributes.get("Topic").is_none() && attributes["priority"] == "high", "{attributes}");
    let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else { panic!("no completion") };
    assert!(done.notes.iter().any(|note| note.contains("routing attribute Topic")), "{:?}", done.notes);
}

/// Lets the engine's loop run against a simulator until nothing is left to do.
fn run(sandbox: &mut dyn Sandbox, known: &mut Known, items: Vec<Item>) -> Vec<&'static str> {
    let connector = connector(json!({}));
    let mut names = Vec::new();
    let mut at = start();
    for _ in 0..100 {
        let steps = connector.next(&work(items.clone()), known).expect("steps");
        let Some(step) = steps.into_iter().next() else { return names };
        names.push(step.name);
        at += SignedDuration::from_secs(5);
        learn(sandbox, known, &step, at);
    }
    panic!("no end: {names:?}");
}

fn request(sandbox: &mut dyn Sandbox, step: &Step, at: jiff::Timestamp) -> Request {
    let Call::Http(call) = &step.call else { panic!("not a request") };
    encode(call, sandbox, at, &media).expect("request")
}

fn learn(sandbox: &mut dyn Sandbox, known: &mut Known, step: &Step, at: jiff::Timestamp) {
    if let Call::Record(record) = &step.call {
        record.facts.iter().for_each(|(name, value)| known.set(name, value));
        return;
    }
    let request = request(sandbox, step, at);
    let response = sandbox.handle(at, &request);
    let reply = Reply::Http(HttpReply { status: response.status, headers: response.headers, body: response.body });
    match connector(json!({})).read(step, &reply) {
        Verdict::Known(learned) => learned.into_iter().for_each(|fact| match fact.value {
            Some(value) => known.set(fact.fact, value),
            None => {
                known.0.remove(&fact.fact);
            }
        }),
        other => panic!("{}: {other:?}", step.name),
    }
}

#[test]
fn a_closed_conversation_is_followed_by_another_one() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", rich_transcript())]);
    let first = known.get("conversation").expect("conversation").to_owned();
    let auth = handoffd_contract::Auth::Customer { subject: "handoffd:201000000001".into() };
    let close = Request {
        method: "DELETE".into(),
        path: format!("/iamessage/api/v2/conversation/{first}"),
        query: vec![("esDeveloperName".into(), "Handoffd_Custom_Client".into())],
        headers: sandbox.sign_in(start(), &auth),
        ..Request::default()
    };
    assert_eq!(sandbox.handle(start(), &close).status, 204);
    let names = run(&mut *sandbox, &mut known, vec![received(message("m20", AuthorKind::Customer, "hello?"))]);
    assert_eq!(names, ["message.send", "message.send", "conversation.create", "message.send"]);
    let view = common::outcome(&sandbox.view());
    assert_eq!(view.as_array().expect("conversations").len(), 2);
    assert_eq!(view[1]["routing attributes"]["OpencxSessionId"], common::SESSION);
    assert_eq!(lines(&json!([view[1]])), ["hello?"]);
    assert_eq!(known.get("generation"), Some("1"));
}

#[test]
fn a_session_that_the_rep_ended_is_followed_by_a_new_one_with_attributes() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    sandbox.act(start(), &json!({ "act": "accept" })).expect("accept");
    sandbox.act(start(), &json!({ "act": "end" })).expect("end");
    // Nobody told us: the answer does.
    let names = run(&mut *sandbox, &mut known, vec![received(message("m1", AuthorKind::Customer, "wait"))]);
    assert_eq!(names, ["message.send", "message.send"]);
    // And again, now that the stream told us.
    sandbox.act(start(), &json!({ "act": "end" })).expect("end");
    known.set("ended/0Mw2", "1");
    let names = run(&mut *sandbox, &mut known, vec![received(message("m2", AuthorKind::Customer, "hm"))]);
    assert_eq!(names, ["message.send"]);
    let view = sandbox.view();
    let sessions = view["conversations"][0]["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 3);
    assert!(sessions.iter().all(|s| s["routing attributes"]["priority"] == "high"), "{sessions:#?}");
}

#[test]
fn a_send_that_arrives_late_shows_once() {
    for repeat in ["409", "202"] {
        let mut sandbox = sandbox(&json!({ "message_repeat": repeat, "entries_gap_ms": 0 }));
        let mut known = Known::default();
        run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
        let items = vec![received(message("m1", AuthorKind::Customer, "hello"))];
        let connector = connector(json!({}));
        let held = connector.next(&work(items.clone()), &known).expect("steps").remove(0);
        let held_up = request(&mut *sandbox, &held, start());
        known.0.insert(held.claims[0].fact.clone(), Fact::Unsure { since: start(), candidate: None });
        let names = run(&mut *sandbox, &mut known, items);
        assert_eq!(names, ["message.look", "message.send"]);
        sandbox.handle(start(), &held_up);
        let shown = lines(&common::outcome(&sandbox.view()));
        assert_eq!(shown.iter().filter(|line| *line == "hello").count(), 1, "{shown:?}");
    }
}

#[test]
fn what_is_not_ours_to_show_is_left_alone() {
    let connector = connector(json!({}));
    let none = |items: Vec<Item>, known: &Known| assert_eq!(connector.next(&work(items), known), Ok(Vec::new()));
    let mut known = Known::default();
    // No handoff yet.
    none(vec![received(message("m1", AuthorKind::Customer, "hi")), closed("c"), status("r", DeliveryState::Failed, None)], &known);
    known.set("subject", "handoffd:201000000001");
    known.set("generation", "0");
    known.set("conversation", "5a9ac8a5-1d4c-4c8e-9c1a-5b1c9b5fcb10");
    known.set("said/m1", "x");
    none(vec![received(message("m1", AuthorKind::Customer, "hi"))], &known);
    none(vec![sent(message("m2", AuthorKind::Agent, "our own reply"), Some("r-1"))], &known);
    none(vec![received(message("m3", AuthorKind::Customer, ""))], &known);
    none(vec![status("r", DeliveryState::Sent, None)], &known);
    let by_rep = SessionClosed { closed_by: Some("crm".into()), ..SessionClosed::default() };
    none(vec![item("c", Data::SessionClosed(by_rep))], &known);
    known.set("ended/0Mw1", "5");
    none(vec![closed("c")], &known);
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
    assert_eq!(feed(vec![received(message("m1", AuthorKind::Customer, "hi"))], &known), None);
    let Some(Feed::Stream { key, open, backfill, .. }) = feed(vec![handoff("h1", Vec::new())], &known) else {
        panic!("the stream is open before the conversation is created")
    };
    assert_eq!((key.as_str(), &backfill), ("handoffd:201000000001", &None));
    assert!(open.headers.contains(&("X-Org-Id".into(), "00DHs000001sbx1".into())));
    known.set("subject", "handoffd:201000000001");
    known.set("conversation", "5a9ac8a5-1d4c-4c8e-9c1a-5b1c9b5fcb10");
    known.set("heard", "1767225661200");
    let Some(Feed::Stream { backfill: Some(read), .. }) = feed(Vec::new(), &known) else { panic!("open") };
    assert!(read.call.query.contains(&("startTimestamp".into(), "1767225361200".into())), "{:?}", read.call.query);
    known.set("ended/0Mw1", "5");
    assert_eq!(feed(Vec::new(), &known), None);
    assert!(feed(vec![received(message("m1", AuthorKind::Customer, "hi"))], &known).is_some());
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
        let reply = HttpReply { status: response.status, headers: response.headers, body: response.body };
        for finding in connector.checked(&check, &reply) {
            assert_eq!(finding.problem, None);
            words.push(finding.what);
        }
        for status in [400, 401, 403, 404, 500] {
            let reply = HttpReply { status, ..HttpReply::default() };
            let findings = connector.checked(&check, &reply);
            let optional = check.what == "business hours";
            assert_eq!(findings[0].problem.is_some(), !optional, "{} {status}", check.what);
        }
    }
    assert!(words[0].contains("Omni-Channel flow") && words[2].contains("closed now"), "{words:?}");
}

/// The view of a stage is JSON that names what is internal.
#[test]
fn the_view_tells_internal_from_visible() {
    let mut sandbox = sandbox(&json!({}));
    let mut known = Known::default();
    run(&mut *sandbox, &mut known, vec![handoff("h1", Vec::new())]);
    for act in [json!({"act": "accept", "rep": "Ana"}), json!({"act": "note", "text": "careful"}), json!({"act": "text", "text": "Hi"})] {
        sandbox.act(start(), &act).expect("act");
    }
    let view = sandbox.view();
    let thread = view["conversations"][0]["thread"].as_array().expect("thread");
    let find = |text: &str| -> &Value { thread.iter().find(|line| line["text"] == text).expect("line") };
    assert_eq!(find("careful")["visible to customer"], false);
    assert_eq!(find("Hi")["visible to customer"], true);
}
