//! The connector against its simulator, with up to two mishaps at every place.

use handoffd_contract::Item;
use handoffd_contract::event::{AttachmentKind, AuthorKind, DeliveryState};
use handoffd_contract::proof::prove;
use serde_json::json;

use crate::common::*;

/// The whole life of a session.
fn life() -> Vec<Vec<Item>> {
    let mut again = transcript();
    again.push(message("m9", 130, AuthorKind::Customer, "hello again"));
    vec![
        vec![rendered(
            item("h1", 0, handoff(transcript())),
            json!({ "UsrCategory": "Refund", "PriorityId": "8b700f24-f46b-1410-ee8c-0050ba5d6c38" }),
        )],
        vec![
            received("m7", 60, "are you there?"),
            received("m8", 60, "same second"),
            sent("m8b", 61, Some("reply-1")),
            sent("m8c", 62, None),
        ],
        vec![
            status("st1", 90, DeliveryState::Held),
            status("st2", 95, DeliveryState::Delivered),
            status("st3", 99, DeliveryState::Failed),
        ],
        vec![item("h2", 140, handoff(again))],
        vec![closed("c1", 200)],
    ]
}

#[test]
fn one_mishap_at_every_place_of_a_whole_session() {
    let connector = connector(json!({ "batch_size": 4 }));
    let report = prove(&stage(&*connector, &site_with_ana, life()), 1);
    assert!(report.runs > 100, "{report:?}");
    let case = &report.outcome["cases"][0];
    let titles: Vec<&str> = case["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        [
            "Handoff: Refund, Angry <customer>",
            "Customer: Hi, \"order\" <8812> & co 👋🏽",
            "Customer: look: [image: photo.jpg]",
            "Customer: [voice-note: v.ogg] Voice note says: where is my parcel",
            "AI: One moment",
            "Customer: [document: lost.pdf] [document: gone.pdf] [sticker: s.webp] [lost.pdf could not be attached: the file is no longer at its source]",
            "Customer: [location: Sol] https://maps.google.com/?q=40.416800,-3.703800",
            "Customer: are you there?",
            "Customer: same second",
            "Agent: from the platform",
            "Not delivered to WhatsApp: a reply",
            "Customer: hello again",
            "Handoff: Refund, Angry <customer>",
        ]
    );
    assert_eq!(case["status"], "Resolved");
    assert_eq!(case["priority"], "High");
    assert_eq!(case["origin"], "Chat");
    assert_eq!(case["fields"], json!({ "UsrCategory": "Refund" }));
    assert_eq!(
        case["contact"], "Ana López",
        "the contact is the one that was there"
    );
    let first = case["timeline"][0]["text"].as_str().unwrap();
    assert!(
        first.contains("View session: https://assistant.example/sessions/s-1?a=1&b=2"),
        "{first}"
    );
    assert!(
        first.contains("Sentiment: frustrated (negative)") && first.contains("Note: Topic was cut"),
        "{first}"
    );
    let lost = case["timeline"][5]["text"].as_str().unwrap();
    assert!(
        lost.contains("[lost.pdf could not be attached")
            && lost.contains("[gone.pdf could not be attached"),
        "{lost}"
    );
    let files: Vec<(&str, bool)> = case["attachments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["name"].as_str().unwrap(), f.get("size").is_some()))
        .collect();
    for file in [
        ("photo.jpg", true),
        ("v.ogg", true),
        ("https://media.example/gone.pdf", false),
        ("https://assistant.example/sessions/s-1?a=1&b=2", false),
    ] {
        assert!(files.contains(&file), "{file:?} of {files:?}");
    }
    assert_eq!(files.len(), 4);
    assert!(
        case["description_html"]
            .as_str()
            .unwrap()
            .contains("Angry &lt;customer&gt;")
    );
    assert!(
        report.events.contains_key("completed/h1") && report.events.contains_key("completed/h2")
    );
}

#[test]
fn two_mishaps_while_a_new_contact_with_a_photo_is_handed_over() {
    let connector = connector(json!({ "session_link_file": false }));
    let mut photo = message("m1", -290, AuthorKind::Customer, "look:");
    photo.attachments.push(attachment(
        "a1",
        AttachmentKind::Image,
        "photo.jpg",
        Some("https://media.example/photo.jpg"),
    ));
    let report = prove(
        &stage(
            &*connector,
            &site,
            vec![vec![item("h1", 0, handoff(vec![photo]))]],
        ),
        2,
    );
    assert!(report.runs > 700, "{}", report.runs);
    assert_eq!(report.outcome["contacts"].as_array().unwrap().len(), 1);
    assert_eq!(report.outcome["cases"].as_array().unwrap().len(), 1);
    assert_eq!(
        report.outcome["cases"][0]["attachments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn two_mishaps_in_the_life_after_the_handoff() {
    let connector = connector(json!({ "session_link_file": false }));
    let story = vec![
        vec![item("h1", 0, handoff(Vec::new()))],
        vec![
            received("m3", 60, "there?"),
            status("st1", 90, DeliveryState::Failed),
        ],
        vec![
            item(
                "h2",
                140,
                handoff(vec![message("m3", 60, AuthorKind::Customer, "there?")]),
            ),
            closed("c1", 200),
        ],
    ];
    let report = prove(&stage(&*connector, &site_with_ana, story), 2);
    assert!(report.runs > 1_000, "{}", report.runs);
    assert_eq!(
        report.outcome["cases"][0]["timeline"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn every_conversation_has_a_case_from_its_first_message_and_the_handoff_fills_it() {
    let connector = connector(json!({ "mode": "every_conversation" }));
    let story = vec![
        vec![sent("m0", 0, None)],
        vec![received("m1", 1, "hello"), sent("m2", 2, None)],
        vec![rendered(
            item(
                "h1",
                60,
                handoff(vec![message("m1", 1, AuthorKind::Customer, "hello")]),
            ),
            json!({ "Subject": "From the mapping" }),
        )],
    ];
    let report = prove(&stage(&*connector, &site_with_ana, story), 2);
    let case = &report.outcome["cases"][0];
    let titles: Vec<&str> = case["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        [
            "WhatsApp conversation",
            "Customer: hello",
            "Agent: from the platform",
            "Handoff: Refund, Angry <customer>"
        ]
    );
    assert!(
        case["timeline"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("View session: https://")
    );
    assert_eq!(case["subject"], "From the mapping");
    assert!(
        case["description_html"]
            .as_str()
            .unwrap()
            .contains("Wants money back")
    );
}

#[test]
fn a_site_without_batch_ends_the_same() {
    let connector = connector(json!({ "batch": false }));
    let site = || {
        let mut site = site_with_ana();
        site.switch("batch", &json!(false)).unwrap();
        site.switch("runtime", &json!("framework")).unwrap();
        site
    };
    let with = prove(
        &stage(
            &*crate::common::connector(json!({})),
            &site_with_ana,
            life(),
        ),
        0,
    );
    let without = prove(&stage(&*connector, &site, life()), 1);
    assert_eq!(with.outcome, without.outcome);
}

#[test]
fn an_open_case_of_the_contact_is_used_when_the_settings_say_so() {
    let connector = connector(
        json!({ "append_to_open_case": true, "integration_contact_id": "1f2e3d4c-0000-4000-8000-0123456789ab", "runtime": "net" }),
    );
    let site = || {
        let mut site = site_with_ana();
        site.switch("runtime", &json!("net")).unwrap();
        let ana = site.view()["contacts"][0]["id"].clone();
        site.act(
            at(-100),
            &json!({ "act": "case", "subject": "Old matter", "contact": ana }),
        )
        .unwrap();
        site
    };
    let story = vec![
        vec![item(
            "h1",
            0,
            handoff(vec![message("m1", -9, AuthorKind::Customer, "hi")]),
        )],
        vec![received("m2", 9, "and?")],
    ];
    let report = prove(&stage(&*connector, &site, story), 2);
    assert_eq!(report.outcome["cases"].as_array().unwrap().len(), 1);
    let case = &report.outcome["cases"][0];
    assert_eq!(
        case["subject"], "Old matter",
        "somebody else's fields are left alone"
    );
    assert_eq!(case["timeline"].as_array().unwrap().len(), 3);
}

#[test]
fn a_returning_contact_waits_for_three_round_trips() {
    let transcript = (0..50)
        .map(|n| {
            message(
                &format!("m{n}"),
                n - 300,
                AuthorKind::Customer,
                &format!("line {n}"),
            )
        })
        .collect();
    let connector = connector(json!({}));
    let report = prove(
        &stage(
            &*connector,
            &site_with_ana,
            vec![vec![item("h1", 0, handoff(transcript))]],
        ),
        0,
    );
    assert_eq!(report.round_trips, 3);
    assert_eq!(
        report.calls, 4,
        "two lookups side by side, the case, the batch"
    );
    assert_eq!(
        report.outcome["cases"][0]["timeline"]
            .as_array()
            .unwrap()
            .len(),
        51
    );
}
