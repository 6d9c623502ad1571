//! The connector against its simulator: the quiet story, and every mishap at every place of it.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::event::DeliveryState;
use handoffd_contract::proof::Report;
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Data, Item, Rendered};
use serde_json::json;
use story::played::{connector, played, returning, texts};
use story::{at, attachment, closed, handoff, item, received, replied, reply_status, said, short};

#[test]
fn two_mishaps_anywhere_end_as_the_quiet_run() {
    let connector = connector(json!({}));
    let picture = said(
        "m2",
        2,
        "see",
        vec![attachment("a1", "image/jpeg", "parcel.jpg")],
    );
    let chapters = vec![
        vec![item("h1", 10, handoff(vec![short(1), picture]))],
        vec![item("e2", 20, received("m3", 20, "Are you there?"))],
    ];
    let report = played(&*connector, &handoffd_hubspot::sandbox, chapters, 2);
    assert!(report.runs > 1_000, "{} runs", report.runs);
    assert_eq!(report.outcome["tickets"].as_array().unwrap().len(), 1);
    assert_eq!(report.outcome["contacts"].as_array().unwrap().len(), 1);
    assert_eq!(
        report.outcome["contacts"][0]["properties"]["wa_id"],
        "31612345678"
    );
    let texts = texts(&report);
    assert_eq!(texts.len(), 3, "{texts:#?}");
    assert!(
        texts[0].starts_with("AI handoff from WhatsApp")
            && texts[0].contains("Reasons: asks for a person; VIP customer")
    );
    assert!(
        texts[0].contains("Sentiment: Frustrated (negative)")
            && texts[0].contains("begins with /wa")
    );
    assert!(texts[1].starts_with("Files\nparcel.jpg"), "{}", texts[1]);
    assert!(texts[2].contains("Customer (Ana): Are you there?"));
    let file = &report.outcome["tickets"][0]["timeline"][1]["files"][0];
    assert_eq!(
        (file["access"].as_str(), file["type"].as_str()),
        (Some("PRIVATE"), Some("image/jpeg"))
    );
}

/// The whole life of a session, with every kind of message.
fn life() -> Vec<Vec<Item>> {
    let first = vec![
        short(1),
        said(
            "m2",
            2,
            "my parcel",
            vec![
                attachment("a1", "image/jpeg", "parcel.jpg"),
                attachment("s1", "image/webp", ""),
            ],
        ),
        said(
            "m3",
            3,
            "",
            vec![attachment("v1", "audio/ogg; codecs=opus", "")],
        ),
        said(
            "m4",
            4,
            "the invoice",
            vec![
                attachment("d1", "application/pdf", "Invoice <7>.pdf"),
                attachment("gone", "image/png", "old.png"),
            ],
        ),
        said("m5", 5, "@", vec![]),
    ];
    let mut again = first.clone();
    again.push(said("m6", 30, "still waiting", vec![]));
    again.push(said("m7", 31, "hello?", vec![]));
    let status = |state| {
        item(
            &format!("s{state:?}"),
            40,
            reply_status("77120000009", state),
        )
    };
    vec![
        vec![item("h1", 10, handoff(first))],
        vec![
            item("e2", 20, received("m6", 30, "still waiting")),
            item(
                "e3",
                21,
                Data::MessageReceived(story::event(said(
                    "m8",
                    30,
                    "with a file",
                    vec![attachment("a2", "image/png", "b.png")],
                ))),
            ),
        ],
        vec![item("h2", 32, handoff(again))],
        vec![
            item("r1", 39, replied("77120000009", "It is on its way.")),
            status(DeliveryState::Sent),
            status(DeliveryState::Held),
            status(DeliveryState::Delivered),
            status(DeliveryState::Failed),
        ],
        vec![item("c1", 50, closed(None))],
    ]
}

#[test]
fn a_whole_life_with_a_mishap_anywhere() {
    let connector = connector(
        json!({"owner": "riley@acme.test", "pipeline": "Support Pipeline", "stage": "New", "priority": "HIGH"}),
    );
    let report = played(&*connector, &returning, life(), 1);
    let ticket = &report.outcome["tickets"][0];
    assert_eq!(
        (ticket["stage"].as_str(), ticket["owner"].as_str()),
        (Some("Closed"), Some("Riley Rep"))
    );
    assert_eq!(
        ticket["properties"]["wa_session_url"],
        "https://assistant.test/s/1"
    );
    let content = ticket["content"].as_str().unwrap();
    for part in [
        "parcel.jpg",
        "Voice note says: where is it",
        "https://maps.google.com/?q=52.370216,4.895168",
    ] {
        assert!(content.contains(part), "{part} is missing in {content}");
    }
    let texts = texts(&report);
    let heads: Vec<&str> = texts
        .iter()
        .map(|text| text.lines().next().unwrap_or_default())
        .collect();
    assert_eq!(heads.len(), 8, "{heads:#?}");
    for (n, part) in [
        (0, "AI handoff from WhatsApp"),
        (1, "Files"),
        (2, "still waiting"),
        (3, "with a file"),
        (4, "again"),
        (5, "Conversation until the handoff"),
        (6, "Not delivered to WhatsApp: "),
        (7, "Session closed"),
    ] {
        assert!(heads[n].contains(part), "{n}: {part} is not in {heads:#?}");
    }
    assert!(texts[6].contains("Reply: “It is on its way.” of 2026-11-20 09:00:39Z"));
    assert_eq!(
        ticket["properties"]["wa_reply_state"],
        "failed · “It is on its way.” of 2026-11-20 09:00:39Z"
    );
    assert!(
        texts[5].contains("hello?") && !texts[5].contains("still waiting"),
        "{}",
        texts[5]
    );
    assert!(
        texts[1].contains("old.png is not attached: the file is no longer at its source"),
        "{}",
        texts[1]
    );
    assert!(!texts[1].contains("sticker"));
    let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else {
        panic!("{:?}", report.events.keys())
    };
    assert_eq!(
        done.notes,
        ["old.png is not attached: the file is no longer at its source"]
    );
    assert!(done.url.as_deref().unwrap().contains("/record/0-5/"));
    assert_eq!(
        done.records.keys().collect::<Vec<_>>(),
        ["contact", "ticket"]
    );
}

#[test]
fn a_returning_customer_waits_for_three_round_trips() {
    let connector = connector(json!({}));
    let transcript = (1..=50).map(short).collect();
    let report = played(
        &*connector,
        &returning,
        vec![vec![item("h1", 60, handoff(transcript))]],
        1,
    );
    assert_eq!(report.round_trips, 3, "contact, ticket, note");
    assert_eq!(report.calls, 3);
    let content = report.outcome["tickets"][0]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    for n in 1..=50 {
        assert_eq!(
            content.matches(&format!("message number {n}\n")).count(),
            1,
            "message {n}"
        );
    }
    // The same customer, with labels instead of ids: the look-ups go side by side.
    let labels = self::connector(
        json!({"owner": "sam@acme.test", "pipeline": "WhatsApp", "stage": "Handed over", "closed_stage": "Done"}),
    );
    let report = played(
        &*labels,
        &returning,
        vec![vec![item("h1", 60, handoff(vec![short(1)]))]],
        0,
    );
    assert_eq!(report.round_trips, 3);
    assert_eq!(report.outcome["tickets"][0]["stage"], "Handed over");
    assert_eq!(report.outcome["tickets"][0]["owner"], "Sam Service");
}

/// Everything that reps read of the conversation, in order.
fn conversation(report: &Report) -> String {
    let ticket = &report.outcome["tickets"][0];
    let notes = texts(report).join("\n");
    format!("{}\n{notes}", ticket["content"].as_str().unwrap())
}

#[test]
fn a_long_transcript_arrives_whole_and_in_order() {
    let connector = connector(json!({}));
    let long = |n: usize| {
        said(
            &format!("m{n}"),
            n as i64,
            &format!("<{n}> \"{}\" & 'مرحبا' 👨‍👩‍👧‍👦 end{n}.", "x".repeat(300)),
            vec![],
        )
    };
    let transcript = (1..=500).map(long).collect();
    let report = played(
        &*connector,
        &returning,
        vec![vec![item("h1", 600, handoff(transcript))]],
        1,
    );
    let text = conversation(&report);
    let mut from = 0;
    for n in 1..=500 {
        let wanted = format!("<{n}> \"{}\" & 'مرحبا' 👨‍👩‍👧‍👦 end{n}.", "x".repeat(300));
        assert_eq!(text.matches(&wanted).count(), 1, "message {n}");
        let here = text.find(&wanted).unwrap();
        assert!(here > from, "message {n} is out of order");
        from = here;
    }
    assert!(texts(&report).len() > 3, "{} notes", texts(&report).len());
    assert_eq!(report.round_trips, 3);
}

#[test]
fn one_huge_message_is_split_and_loses_nothing() {
    let connector = connector(json!({}));
    let huge: String = (0..)
        .map(|n| format!("w{n}<&> "))
        .scan(0, |length, word| {
            *length += word.len();
            (*length < 60_000).then_some(word)
        })
        .collect();
    let transcript = vec![short(1), said("m2", 2, huge.trim(), vec![]), short(3)];
    let chapters = vec![
        vec![item("h1", 60, handoff(transcript))],
        vec![item("e1", 70, received("m9", 70, huge.trim()))],
    ];
    let report = played(&*connector, &returning, chapters, 0);
    let text = conversation(&report);
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| word.starts_with('w') && word.ends_with("<&>"))
        .collect();
    let wanted: Vec<&str> = huge.split_whitespace().collect();
    assert_eq!(
        words.len(),
        2 * wanted.len(),
        "in the transcript and as a later message"
    );
    assert_eq!(words[..wanted.len()], wanted);
    assert_eq!(words[wanted.len()..], wanted);
    assert!(text.find("message number 1").unwrap() < text.find("w0<&>").unwrap());
    assert!(text.find("w0<&>").unwrap() < text.find("message number 3").unwrap());
}

#[test]
fn names_and_texts_cannot_become_markup() {
    let connector = connector(json!({}));
    let nasty =
        "</p><script>alert(\"x\")</script><a href='https://evil.test'>click</a> & <b>\n/wa hello";
    let mut message = said(
        "m2",
        2,
        nasty,
        vec![attachment("a1", "image/png", "<img src=x>\".png")],
    );
    message.author.name = Some("A\"n<a>'".into());
    let chapters = vec![
        vec![item("h1", 60, handoff(vec![short(1)]))],
        vec![item("e1", 70, Data::MessageReceived(story::event(message)))],
    ];
    let report = played(&*connector, &returning, chapters, 0);
    let texts = texts(&report);
    let set_off = nasty.replace('\n', "\n» ");
    assert!(texts[1].contains(&set_off), "{}", texts[1]);
    assert!(texts[1].contains("Customer (A\"n<a>')"), "{}", texts[1]);
}

#[test]
fn what_the_portal_does_not_take_is_left_out_and_told() {
    let connector = connector(json!({"owner": "99", "standing": {"last_message": "wa_last"}}));
    let mut rendered = Rendered {
        version: 1,
        notes: vec!["plan was cut".into()],
        ..Rendered::default()
    };
    let ticket = [
        ("hs_ticket_priority", "SOON"),
        ("wa_mood", "angry"),
        ("hs_ticket_category", "BILLING_ISSUE"),
        ("subject", "From the mapping"),
    ];
    rendered.sections.insert(
        "ticket".into(),
        ticket
            .map(|(name, value)| (name.into(), json!(value)))
            .into(),
    );
    rendered.sections.insert(
        "contact".into(),
        [
            ("lifecyclestage".into(), json!("wizard")),
            ("city".into(), json!("Delft")),
        ]
        .into(),
    );
    let mut one = item("h1", 60, handoff(vec![short(1)]));
    one.rendered = Some(rendered);
    let report = played(
        &*connector,
        &handoffd_hubspot::sandbox,
        vec![vec![one], vec![item("e1", 61, received("m2", 61, "hi"))]],
        1,
    );
    let shown = &report.outcome["tickets"][0];
    assert_eq!(
        (shown["subject"].as_str(), shown["priority"].as_str()),
        (Some("From the mapping"), None)
    );
    assert_eq!(shown["properties"]["hs_ticket_category"], "BILLING_ISSUE");
    assert_eq!(report.outcome["contacts"][0]["properties"]["city"], "Delft");
    let note = texts(&report)[0].clone();
    for part in [
        "plan was cut",
        "hs_ticket_priority (INVALID_OPTION)",
        "wa_mood (PROPERTY_DOESNT_EXIST)",
        "hubspot_owner_id (INVALID_OWNER_ID)",
        "lifecyclestage (INVALID_OPTION)",
    ] {
        assert!(note.contains(part), "{part} is missing in {note}");
    }
    let Some(Data::HandoffCompleted(done)) = report.events.get("completed/h1") else {
        panic!()
    };
    assert_eq!(done.notes.len(), 6, "{:?}", done.notes);
    assert!(
        done.notes[5].contains("the standing fields wa_last;") && !note.contains("wa_last"),
        "{:?}",
        done.notes
    );
}

#[test]
fn the_conflict_is_adopted_however_it_is_said() {
    for switch in ["conflict_409", "missing_association_400"] {
        let make = || {
            let mut portal = returning();
            portal.switch(switch, &json!(true)).unwrap();
            portal
        };
        let chapters = vec![
            vec![item("h1", 60, handoff(vec![short(1)]))],
            vec![item("e1", 61, received("m2", 61, "hi"))],
        ];
        let report = played(&*connector(json!({})), &make, chapters, 2);
        assert_eq!(report.outcome["tickets"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn communications_and_notes_of_the_transcript_survive_mishaps() {
    let settings = json!({"later": "communication", "transcript": "notes", "standing": {"last_message": "wa_session_url"}});
    let connector = connector(settings);
    let transcript = (1..=3)
        .map(|n| {
            said(
                &format!("m{n}"),
                n,
                &format!("{n}{}", " <long>".repeat(2_500)),
                vec![],
            )
        })
        .collect();
    let chapters = vec![
        vec![item("h1", 60, handoff(transcript))],
        vec![
            item("e1", 61, received("m8", 61, "first")),
            item("e2", 61, received("m9", 61, "second")),
        ],
    ];
    let report = played(&*connector, &returning, chapters, 1);
    let timeline = report.outcome["tickets"][0]["timeline"].as_array().unwrap();
    let kinds: Vec<_> = timeline
        .iter()
        .map(|entry| entry["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "note",
            "note",
            "note",
            "note",
            "communication",
            "communication"
        ]
    );
    assert!(texts(&report)[1].starts_with("Conversation until the handoff (part 1 of 3)"));
    assert!(texts(&report)[4].contains("first") && texts(&report)[5].contains("second"));
    assert!(
        !report.outcome["tickets"][0]["content"]
            .as_str()
            .unwrap()
            .contains("<long>")
    );
}

#[test]
fn a_burst_of_the_customers_messages_is_one_note_whatever_happens() {
    let burst = |n: i64| {
        let id = format!("e{n}");
        item(
            &id,
            60 + n,
            received(&format!("b{n}"), 60 + n, &format!("line {n}")),
        )
    };
    let mut assistants = short(9);
    assistants.author.kind = handoffd_contract::AuthorKind::Assistant;
    let picture = said(
        "b7",
        67,
        "see",
        vec![attachment("a1", "image/jpeg", "a.jpg")],
    );
    let chapters = vec![
        vec![item("h1", 10, handoff(vec![short(1)]))],
        vec![burst(1), burst(2), burst(3)],
        vec![
            burst(4),
            burst(5),
            item("a1", 66, Data::MessageSent(story::event(assistants))),
            burst(6),
            item("e7", 67, Data::MessageReceived(story::event(picture))),
            burst(8),
        ],
    ];
    let report = played(&*connector(json!({})), &returning, chapters, 1);
    let texts = texts(&report);
    let lines = |n: usize| texts[n].matches("line ").count();
    assert_eq!(texts.len(), 7, "{texts:#?}");
    assert_eq!(
        [1, 2, 3, 4, 5, 6].map(lines),
        [3, 2, 0, 1, 0, 1],
        "{texts:#?}"
    );
    let all = texts.join("\n");
    for n in [1, 2, 3, 4, 5, 6, 8] {
        assert_eq!(all.matches(&format!("line {n}")).count(), 1, "{n}");
    }
    let ticket = &report.outcome["tickets"][0];
    assert_eq!(
        ticket["properties"]["wa_last_message"],
        "2026-11-20T09:01:08.000Z"
    );
}

#[test]
fn notes_side_by_side_survive_two_mishaps() {
    let connector = connector(json!({"transcript": "notes"}));
    let chapters = vec![vec![item("h1", 60, handoff(vec![short(1)]))]];
    let report = played(&*connector, &returning, chapters, 2);
    assert_eq!((report.calls, report.round_trips), (4, 3));
    assert_eq!(texts(&report).len(), 2);
}

/// A ticket with our key is there already, with a thread: as after a lost ledger.
fn known_with_thread() -> Box<dyn Sandbox> {
    let mut portal = returning();
    let properties = json!({
        "subject": "known", "hs_pipeline": "0", "hs_pipeline_stage": "2", "hs_ticket_priority": "LOW", "wa_handoff_id": "hnd-52953352cc4e4bc1a1fb",
    });
    let mut request = handoffd_contract::sandbox::Request {
        method: "POST".into(),
        path: "/crm/objects/2026-03/tickets".into(),
        headers: portal.sign_in(at(-60), &handoffd_contract::Auth::Target),
        body: json!({"properties": properties}).to_string().into_bytes(),
        ..Default::default()
    };
    request
        .headers
        .push(("content-type".into(), "application/json".into()));
    assert_eq!(portal.handle(at(-60), &request).status, 201);
    portal.act(at(-50), &json!({"act": "thread"})).unwrap();
    portal
}

#[test]
fn a_known_ticket_is_adopted_and_nothing_of_it_is_set_back() {
    let connector = connector(json!({"comments": "thread-or-note", "priority": "HIGH"}));
    let chapters = vec![vec![item("h1", 60, handoff(vec![short(1)]))]];
    let report = played(&*connector, &known_with_thread, chapters, 2);
    let ticket = &report.outcome["tickets"][0];
    assert_eq!(report.outcome["tickets"].as_array().unwrap().len(), 1);
    assert_eq!(
        (ticket["stage"].as_str(), ticket["priority"].as_str()),
        (Some("Waiting on contact"), Some("LOW"))
    );
    assert_eq!(
        ticket["thread"].as_array().unwrap().len(),
        1,
        "the comment is in the thread"
    );
    assert!(
        texts(&report)[0].contains("message number 1"),
        "what its description does not hold is in a note"
    );
}
