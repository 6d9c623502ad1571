//! Each transcript arrives whole, in order and escaped; and what a site refuses costs one thing, not
//! the handoff.

use handoffd_contract::event::{Attachment, AttachmentKind, AuthorKind, Contact, Data};
use handoffd_contract::proof::{Stage, prove};
use handoffd_contract::{Known, Reason, Refusal};
use serde_json::{Value, json};

use crate::common::*;

fn case(report: &handoffd_contract::proof::Report) -> &Value {
    &report.outcome["cases"][0]
}

fn completed(
    report: &handoffd_contract::proof::Report,
    id: &str,
) -> handoffd_contract::event::HandoffCompleted {
    match &report.events[&format!("completed/{id}")] {
        Data::HandoffCompleted(completed) => completed.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn five_hundred_messages_arrive_in_order_even_within_one_second() {
    let transcript: Vec<_> = (0..500)
        .map(|n| {
            message(
                &format!("m{n}"),
                -300,
                AuthorKind::Customer,
                &format!("line {n}"),
            )
        })
        .collect();
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![
                vec![item("h1", 0, handoff(transcript))],
                (0..10)
                    .map(|n| received(&format!("later{n}"), -300, &format!("after {n}")))
                    .collect(),
                vec![received("last", -300, "after 10")],
            ],
        ),
        0,
    );
    let timeline = case(&report)["timeline"].as_array().unwrap().clone();
    assert_eq!(timeline.len(), 512);
    for n in 0..500 {
        assert_eq!(timeline[n + 1]["text"], format!("line {n}"));
    }
    for n in 0..11 {
        let text = &timeline[501 + n]["text"];
        assert_eq!(
            text,
            &format!("after {n}"),
            "messages of one second sort as they came"
        );
    }
    // Two lookups, contact, case, nine batches (eight side by side), ten messages in one batch, one; and
    // before each of the last two the case's status, the first time with what the statuses mean.
    assert_eq!((report.calls, report.round_trips), (18, 9));
}

#[test]
fn a_second_handoff_within_the_same_second_comes_after_the_first() {
    let said = |range: std::ops::Range<usize>| -> Vec<_> {
        range
            .map(|n| {
                message(
                    &format!("m{n}"),
                    -300,
                    AuthorKind::Customer,
                    &format!("line {n}"),
                )
            })
            .collect()
    };
    let connector = connector(json!({}));
    let story = vec![
        vec![item("h1", 0, handoff(said(0..12)))],
        vec![item("h2", 1, handoff(said(8..15)))],
    ];
    let report = prove(&stage(&*connector, &site, story), 0);
    let timeline = case(&report)["timeline"].as_array().unwrap().clone();
    let lines: Vec<&str> = timeline
        .iter()
        .filter_map(|row| row["text"].as_str())
        .filter(|text| text.starts_with("line "))
        .collect();
    let expected: Vec<String> = (0..15).map(|n| format!("line {n}")).collect();
    assert_eq!(lines, expected);
}

/// What was told late in a second pushes a transcript behind it; what is said next goes behind both.
#[test]
fn a_message_after_a_transcript_that_was_pushed_back_stands_behind_it() {
    let millis = jiff::SignedDuration::from_millis;
    let said = |id: &str, at: i64, kind| {
        let mut said = message(id, 0, kind, &format!("line {id}"));
        said.time += millis(at);
        said
    };
    let heard = |id: &str, at: i64| {
        let mut heard = received(id, 0, &format!("line {id}"));
        heard.time += millis(at);
        if let Data::MessageReceived(event) = &mut heard.data {
            event.message.time += millis(at);
        }
        heard
    };
    let (customer, assistant) = (AuthorKind::Customer, AuthorKind::Assistant);
    let first = vec![said("1", -9_000, customer)];
    let second = vec![
        said("1", -9_000, customer),
        said("3", -177, customer),
        said("4", -176, assistant),
    ];
    let connector = connector(json!({}));
    let story = vec![
        vec![item("h1", -8, handoff(first))],
        vec![heard("2", 738)],
        vec![item("h2", 4, handoff(second))],
        vec![heard("5", 334)],
    ];
    let report = prove(&stage(&*connector, &site, story), 0);
    let timeline = case(&report)["timeline"].as_array().unwrap().clone();
    let lines: Vec<&str> = timeline
        .iter()
        .filter_map(|row| row["text"].as_str())
        .filter(|text| text.starts_with("line "))
        .collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4", "line 5"]);
}

#[test]
fn one_message_of_sixty_thousand_characters_arrives_whole() {
    let long = "word with <b>tags</b> & \"quotes\" 👩‍👩‍👧 مرحبا\n".repeat(1_400);
    assert!(long.chars().count() > 60_000);
    let connector = connector(json!({}));
    let story = vec![vec![item(
        "h1",
        0,
        handoff(vec![message("m1", -9, AuthorKind::Customer, &long)]),
    )]];
    let report = prove(&stage(&*connector, &site, story), 0);
    let tile = &case(&report)["timeline"][1];
    assert_eq!(tile["text"].as_str().unwrap(), long);
    assert!(tile["title"].as_str().unwrap().encode_utf16().count() <= 500);
}

#[test]
fn a_megabyte_of_text_is_cut_into_batches_on_message_borders() {
    let transcript: Vec<_> = (0..40)
        .map(|n| {
            message(
                &format!("m{n}"),
                n - 300,
                AuthorKind::Customer,
                &"x".repeat(60_000),
            )
        })
        .collect();
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(transcript))]],
        ),
        0,
    );
    assert_eq!(case(&report)["timeline"].as_array().unwrap().len(), 41);
    assert_eq!(
        report.calls,
        4 + 3,
        "two lookups, contact, case, three batches below a megabyte each"
    );
}

#[test]
fn names_and_texts_are_escaped_where_html_is_shown() {
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![rendered(
                item("h1", 0, handoff(Vec::new())),
                json!({ "UsrSummary": "<i>x</i>" }),
            )]],
        ),
        0,
    );
    let html = case(&report)["description_html"].as_str().unwrap();
    assert!(
        html.contains("Angry &lt;customer&gt;") && html.contains("8812 &amp; an excuse"),
        "{html}"
    );
    assert!(
        html.contains(
            "<a href=\"https://assistant.example/sessions/s-1?a=1&amp;b=2\">View session</a>"
        ),
        "{html}"
    );
    let mapped = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![rendered(
                item("h1", 0, handoff(Vec::new())),
                json!({ "Symptoms": "<script>alert(1)</script>" }),
            )]],
        ),
        0,
    );
    assert_eq!(
        case(&mapped)["description_html"],
        "&lt;script&gt;alert(1)&lt;/script&gt;"
    );
    let mut session = session();
    session.url = Some("javascript:alert(1)".into());
    let data = match handoff(Vec::new()) {
        Data::HandoffRequested(mut handoff) => {
            handoff.session = session;
            Data::HandoffRequested(handoff)
        }
        other => other,
    };
    let story = Stage {
        session: handoffd_contract::event::Session {
            url: None,
            ..crate::common::session()
        },
        ..stage(&*connector, &site, vec![vec![item("h1", 0, data)]])
    };
    let report = prove(&story, 0);
    assert!(!report.outcome.to_string().contains("javascript:"));
}

#[test]
fn a_customer_without_phone_is_known_again_by_the_user_id() {
    let contact = Contact {
        user_id: Some("US.13491208655302741918".into()),
        username: Some("ana.l".into()),
        ..Contact::default()
    };
    let connector = connector(json!({}));
    let site = || {
        let mut site = site();
        let first = connector_run(
            &*crate::common::connector(json!({})),
            &mut *site,
            "s-0",
            &Contact {
                user_id: Some("US.13491208655302741918".into()),
                ..Contact::default()
            },
        );
        assert!(first.is("case"));
        site
    };
    let story = Stage {
        contact,
        ..stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(Vec::new()))]],
        )
    };
    let report = prove(&story, 1);
    assert_eq!(report.outcome["contacts"].as_array().unwrap().len(), 1);
    assert_eq!(report.outcome["contacts"][0]["mobile_phone"], "");
    assert_eq!(report.outcome["cases"].as_array().unwrap().len(), 2);
}

#[test]
fn nobody_to_find_parks() {
    let connector = connector(json!({}));
    let work = work(
        &Contact::default(),
        vec![item("h1", 0, handoff(Vec::new()))],
    );
    match connector.next(&work, &Known::default()) {
        Err(Refusal::Park(stop)) => assert_eq!(stop.reason, Reason::NoCustomer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_column_that_the_site_does_not_have_is_left_out_and_the_rep_is_told() {
    for model in [false, true] {
        let site = || {
            let mut site = site();
            site.switch("model_errors", &json!(model)).unwrap();
            site
        };
        let connector = connector(json!({}));
        let item = rendered(
            item("h1", 0, handoff(transcript())),
            json!({ "UsrNope": "x", "UsrCategory": "Refund", "PriorityId": "High" }),
        );
        let report = prove(&stage(&*connector, &site, vec![vec![item]]), 1);
        assert_eq!(case(&report)["fields"], json!({ "UsrCategory": "Refund" }));
        let notes = completed(&report, "h1").notes.join("\n");
        assert!(notes.contains("Case.UsrNope was left out"), "{notes}");
        assert!(
            notes.contains("PriorityId was left out: it takes a record id"),
            "{notes}"
        );
        assert!(notes.contains("gone.pdf could not be attached"), "{notes}");
        assert!(!notes.contains("Wants money"), "{notes}");
    }
}

#[test]
fn a_missing_right_names_the_object() {
    let connector = connector(json!({}));
    for set in ["Case", "Activity", "CaseFile"] {
        let mut site = site_with_ana();
        site.switch("deny", &json!([format!("{set}:create")]))
            .unwrap();
        let stop = parked(
            &*connector,
            &mut *site,
            &work(&ana(), vec![item("h1", 0, handoff(transcript()))]),
        );
        assert_eq!(stop.reason, Reason::Forbidden);
        assert!(
            stop.message.contains(&format!("may not create {set}")),
            "{stop:?}"
        );
    }
}

#[test]
fn a_file_that_is_too_large_becomes_a_line_and_a_link() {
    let mut photo = message("m1", -9, AuthorKind::Customer, "see");
    photo.attachments.push(Attachment {
        size: Some(11 * 1024 * 1024),
        ..attachment(
            "a1",
            AttachmentKind::Image,
            "big.jpg",
            Some("https://media.example/big.jpg"),
        )
    });
    photo.attachments.push(attachment(
        "a2",
        AttachmentKind::Image,
        "grown.jpg",
        Some("https://media.example/grown.jpg"),
    ));
    let connector = connector(json!({}));
    let site = || {
        let mut site = site();
        site.switch("max_file_mb", &json!(0)).unwrap();
        site
    };
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(vec![photo]))]],
        ),
        1,
    );
    let text = case(&report)["timeline"][1]["text"].as_str().unwrap();
    assert!(
        text.contains("[big.jpg could not be attached: it is larger than the 10 MB"),
        "{text}"
    );
    assert!(
        text.contains("[grown.jpg could not be attached: it is larger than this Creatio takes"),
        "{text}"
    );
    let links: Vec<&str> = case(&report)["attachments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["kind"] == "link")
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert!(
        links.contains(&"https://media.example/big.jpg")
            && links.contains(&"https://media.example/grown.jpg"),
        "{links:?}"
    );
    assert_eq!(
        case(&report)["attachments"].as_array().unwrap().len(),
        3,
        "no empty row is left"
    );
}

#[test]
fn the_same_message_or_file_id_twice_is_one() {
    let mut twice = message("m1", -9, AuthorKind::Customer, "hi");
    twice.attachments = vec![
        attachment(
            "a1",
            AttachmentKind::Image,
            "p.jpg",
            Some("https://media.example/p.jpg")
        );
        2
    ];
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(vec![twice.clone(), twice]))]],
        ),
        1,
    );
    assert_eq!(case(&report)["timeline"].as_array().unwrap().len(), 2);
    assert_eq!(case(&report)["attachments"].as_array().unwrap().len(), 2);
}

#[test]
fn a_case_that_a_rep_closed_is_not_opened_by_our_closing() {
    let connector = connector(json!({}));
    let mut site = site_with_ana();
    let mut known = connector_run(&*connector, &mut *site, "s-1", &ana());
    site.act(at(50), &json!({ "act": "close" })).unwrap();
    run(
        &*connector,
        &mut *site,
        &work(&ana(), vec![closed("c1", 60)]),
        &mut known,
    );
    assert_eq!(site.view()["cases"][0]["status"], "Closed");
    let ours = Data::SessionClosed(handoffd_contract::event::SessionClosed {
        closed_by: Some("crm".into()),
        ..Default::default()
    });
    assert_eq!(
        connector.next(&work(&ana(), vec![item("c2", 70, ours)]), &known),
        Ok(Vec::new())
    );
}

#[test]
fn a_creation_that_failed_after_it_was_written_is_not_written_twice() {
    for database in ["postgres", "mssql"] {
        let site = || {
            let mut site = site();
            site.switch("database", &json!(database)).unwrap();
            site.switch("fail_after_insert", &json!(5)).unwrap();
            site
        };
        let connector = connector(json!({}));
        let report = prove(
            &stage(
                &*connector,
                &site,
                vec![vec![item("h1", 0, handoff(transcript()))]],
            ),
            1,
        );
        assert_eq!(case(&report)["timeline"].as_array().unwrap().len(), 7);
    }
}

#[test]
fn what_the_assistant_filled_in_is_seen_without_a_column_for_it() {
    let mut data = handoff(Vec::new());
    if let Data::HandoffRequested(handoff) = &mut data {
        let fields = json!({ "order_id": "A-8812 <b>", "amount": 12.5, "is_vip": true, "empty": "", "unknown": null, "long": "x".repeat(2_000) });
        handoff.fields = serde_json::from_value(fields).unwrap();
    }
    let connector = connector(json!({}));
    let story = vec![vec![item("h1", 0, data)]];
    let report = prove(&stage(&*connector, &site_with_ana, story), 0);
    let note = case(&report)["timeline"][0]["text"].as_str().unwrap();
    let lines: Vec<&str> = note.lines().collect();
    for line in ["order_id: A-8812 <b>", "amount: 12.5", "is_vip: true"] {
        assert!(lines.contains(&line), "{line} of {note}");
    }
    assert!(
        !note.contains("empty") && !note.contains("unknown"),
        "{note}"
    );
    let long = lines
        .iter()
        .find(|line| line.starts_with("long: "))
        .unwrap();
    assert!(long.chars().count() < 320, "{long}");
    let html = case(&report)["description_html"].as_str().unwrap();
    assert!(
        html.contains("<p><b>order_id:</b> A-8812 &lt;b&gt;</p>"),
        "{html}"
    );
}
