//! What happens while people work on the ticket: replies, deletions, merges, threads.
#![cfg(feature = "sandbox")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall say where"
)]

mod story;

use handoffd_contract::feed::Read;
use handoffd_contract::{
    Data, Frame, HttpCall, HttpReply, InboundKind, Reason, Refusal, Source, Subject,
};
use serde_json::{Value, json};
use story::{Desk, at, attachment, closed, handoff, item, received, said, short};

const HOOK: &str = "https://connector.test/webhooks/hubspot/sandbox-path-token";

fn desk(more: Value) -> Desk {
    let mut portal = handoffd_hubspot::sandbox();
    portal.switch("webhook_url", &json!(HOOK)).unwrap();
    let mut settings = portal.credentials("http://hubspot.test")["settings"].clone();
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    Desk::new(&settings, portal)
}

fn opened(more: Value) -> Desk {
    let mut desk = desk(more);
    desk.work(&[item("h1", 10, handoff(vec![short(1)]))])
        .unwrap();
    desk
}

fn ticket(desk: &Desk) -> Value {
    desk.portal.view()["tickets"][0].clone()
}

fn reply(heard: &handoffd_contract::Inbound) -> &handoffd_contract::event::RepReply {
    match &heard.kind {
        InboundKind::Replied(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_is_heard_once_by_webhook_and_poll_and_notes_stay_inside() {
    let mut desk = opened(json!({}));
    assert_eq!(desk.webhooks(), [], "our own records are no news");
    assert_eq!(desk.poll(), []);
    desk.act(json!({"act": "note", "text": "she sounds upset. /wa is for replies"}));
    let note = desk
        .act(json!({"act": "reply", "text": "Hello Ana,\nit is <on its way> & \"safe\""}))["note"]
        .clone();
    let by_hook = desk.webhooks();
    let by_poll = desk.poll();
    assert_eq!(by_hook.len(), 1, "{by_hook:#?}");
    assert_eq!(by_hook, by_poll);
    assert_eq!(by_hook[0].id, format!("note/{}", note.as_str().unwrap()));
    let ticket = ticket(&desk)["id"].as_str().unwrap().to_owned();
    assert_eq!(
        by_hook[0].subject,
        Subject::Fact {
            name: "ticket".into(),
            value: ticket
        }
    );
    assert_eq!(
        reply(&by_hook[0]).text.as_deref(),
        Some("Hello Ana,\nit is <on its way> & \"safe\"")
    );
    assert_eq!(desk.poll(), [], "the cursor has moved");
    // What is written down later is found by the poll alone.
    desk.act(json!({"act": "reply", "text": "one"}));
    desk.act(json!({"act": "reply", "text": "two"}));
    let heard = desk.poll();
    assert_eq!(
        heard
            .iter()
            .map(|heard| reply(heard).text.clone().unwrap())
            .collect::<Vec<_>>(),
        ["one", "two"]
    );
}

#[test]
fn a_reps_file_comes_with_an_address_that_serves_it() {
    let mut desk = opened(json!({}));
    desk.act(json!({"act": "attach", "name": "label.pdf", "mime": "application/pdf", "data": "JVBERg==", "text": "print this"}));
    desk.act(json!({"act": "attach", "name": "secret.png", "mime": "image/png", "data": "AAAA", "internal": true, "text": "do not send"}));
    let heard = desk.webhooks();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    let said = reply(&heard[0]);
    assert_eq!(
        (said.text.as_deref(), said.attachments.len()),
        (Some("print this"), 1)
    );
    let file = &said.attachments[0];
    assert_eq!(
        (file.name.as_deref(), file.mime.as_deref(), file.size),
        (Some("label.pdf"), Some("application/pdf"), Some(4))
    );
    let Some(Source::Url { url }) = &file.source else {
        panic!("{file:?}")
    };
    let (_, rest) = url.split_once("hubspot.test").unwrap();
    let (path, query) = rest.split_once('?').unwrap();
    let mut read = HttpCall::get(path).auth(handoffd_contract::Auth::None);
    read.query = handoffd_contract::sandbox::parse_query(query);
    assert_eq!(desk.call(&read).body, b"%PDF");
    read.query[1].1 = "forged".into();
    assert_eq!(desk.call(&read).status, 403);
}

#[test]
fn closing_and_assigning_are_heard_once_but_not_our_own() {
    let mut desk = opened(json!({}));
    desk.poll();
    desk.webhooks();
    desk.act(json!({"act": "owner", "owner": "sam@acme.test"}));
    let (hook, poll) = (desk.webhooks(), desk.poll());
    assert_eq!(hook, poll);
    assert_eq!(
        hook[0].kind,
        InboundKind::Assigned {
            rep: Some("Sam Service".into())
        }
    );
    desk.act(json!({"act": "stage", "stage": "Waiting on us"}));
    assert_eq!((desk.webhooks(), desk.poll()), (vec![], vec![]));
    desk.act(json!({"act": "close"}));
    let (hook, poll) = (desk.webhooks(), desk.poll());
    assert_eq!(hook, poll);
    assert_eq!(
        hook[0].kind,
        InboundKind::Ended {
            status: Some("4".into())
        }
    );
    desk.work(&[item("c0", 90, closed(Some("crm")))]).unwrap();
    assert_eq!(
        ticket(&desk)["timeline"].as_array().unwrap().len(),
        1,
        "the rep knows that they closed it"
    );

    let mut desk = opened(json!({}));
    desk.poll();
    desk.webhooks();
    desk.work(&[item("c1", 90, closed(None))]).unwrap();
    assert_eq!(ticket(&desk)["stage"], "Closed");
    assert_eq!(
        (desk.webhooks(), desk.poll()),
        (vec![], vec![]),
        "our own change comes back as an echo"
    );
}

#[test]
fn a_deleted_ticket_is_not_made_again() {
    let mut desk = opened(json!({}));
    desk.webhooks();
    desk.act(json!({"act": "delete"}));
    let (hook, poll) = (desk.webhooks(), desk.poll());
    assert_eq!(hook, poll);
    assert_eq!(
        hook[0].kind,
        InboundKind::Ended {
            status: Some("ticket deleted".into())
        }
    );
    let later = [item("e1", 60, received("m2", 60, "hello?"))];
    for _ in 0..2 {
        let stop = desk.work(&later).unwrap_err();
        assert_eq!(stop.reason, Reason::NotFound);
        assert!(
            stop.message.contains("was deleted in HubSpot"),
            "{}",
            stop.message
        );
    }
    desk.work(&[item("c1", 90, closed(None))]).unwrap();
    assert_eq!(desk.portal.view()["tickets"].as_array().unwrap().len(), 1);
    let id = ticket(&desk)["id"].clone();
    desk.act(json!({"act": "restore", "ticket": id}));
    desk.work(&later).unwrap();
    assert_eq!(ticket(&desk)["timeline"].as_array().unwrap().len(), 2);
    // The ledger is lost: the ticket is recognised by its key, deleted or not.
    for deleted in [false, true] {
        desk.known = handoffd_contract::Known::default();
        if deleted {
            desk.act(json!({"act": "delete"}));
        }
        let done = desk.work(&[item("h1", 10, handoff(vec![short(1)]))]);
        done.unwrap();
        let tickets = desk.portal.view()["tickets"].as_array().unwrap().len();
        assert_eq!(
            tickets,
            if deleted { 2 } else { 1 },
            "a deleted ticket is nobody's work"
        );
    }
}

#[test]
fn a_lost_contact_does_not_stop_the_ticket() {
    for bad_request in [false, true] {
        let mut desk = opened(json!({}));
        desk.portal
            .switch("missing_association_400", &json!(bad_request))
            .unwrap();
        let contact = desk.portal.view()["contacts"][0]["id"].clone();
        desk.act(json!({"act": "delete_contact", "contact": contact}));
        desk.work(&[
            item("e1", 60, received("m2", 60, "hello?")),
            item("e2", 61, received("m3", 61, "again")),
        ])
        .unwrap();
        let timeline = ticket(&desk)["timeline"].clone();
        assert_eq!(timeline.as_array().unwrap().len(), 2, "one note for both");
        assert_eq!(timeline[1]["contacts"], 0);
    }
    // A merged contact goes on under the id that is left.
    let mut desk = opened(json!({}));
    let into =
        desk.act(json!({"act": "contact", "properties": {"firstname": "Main"}}))["contact"].clone();
    let from = desk.portal.view()["contacts"][0]["id"].clone();
    desk.act(json!({"act": "merge_contact", "from": from, "into": into}));
    desk.work(&[item("e1", 60, received("m2", 60, "hello?"))])
        .unwrap();
    assert_eq!(ticket(&desk)["contacts"], json!(["Main"]));
    assert_eq!(ticket(&desk)["timeline"][1]["contacts"], 1);
}

#[test]
fn a_comment_goes_into_the_thread_where_there_is_one() {
    let mut desk = opened(json!({"comments": "thread-or-note"}));
    assert_eq!(
        ticket(&desk)["timeline"].as_array().unwrap().len(),
        1,
        "a ticket made here has no thread"
    );
    desk.act(json!({"act": "thread"}));
    desk.work(&[item("h2", 60, handoff(vec![short(1), short(2)]))])
        .unwrap();
    let shown = ticket(&desk);
    assert_eq!(shown["thread"].as_array().unwrap().len(), 1);
    assert_eq!(shown["thread"][0]["visible_to"], "reps");
    assert!(
        shown["thread"][0]["text"]
            .as_str()
            .unwrap()
            .contains("Reasons: asks for a person; VIP customer")
    );
    assert_eq!(
        shown["timeline"].as_array().unwrap().len(),
        2,
        "the new message"
    );
    // A comment whose answer was lost is found and not repeated.
    let unsure = handoffd_contract::Fact::Unsure {
        since: at(0),
        candidate: None,
    };
    desk.known.0.remove("completed/h2");
    desk.known.0.insert("note/h2/h0".into(), unsure);
    desk.work(&[item("h2", 60, handoff(vec![short(1), short(2)]))])
        .unwrap();
    assert_eq!(ticket(&desk)["thread"].as_array().unwrap().len(), 1);
}

#[test]
fn files_that_hubspot_refuses_become_lines() {
    let mut desk = desk(json!({}));
    desk.portal.switch("max_file_bytes", &json!(10)).unwrap();
    let one = said(
        "m1",
        1,
        "look",
        vec![attachment("a1", "image/png", "a.png")],
    );
    let mut other = attachment("a2", "image/png", "b.png");
    other.source = None;
    desk.work(&[item(
        "h1",
        10,
        handoff(vec![one, said("m2", 2, "and", vec![other])]),
    )])
    .unwrap();
    let text = ticket(&desk)["timeline"][1]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text.contains("a.png is not attached: the file is larger than HubSpot takes"),
        "{text}"
    );
    assert!(
        text.contains("b.png is not attached: the file is no longer at its source"),
        "{text}"
    );
    assert!(
        desk.known.refused("file/m1/a1").is_some() && desk.known.refused("file/m2/a2").is_some()
    );
    // Without the scope, the conversation is shown all the same.
    desk.portal
        .switch(
            "scopes",
            &json!([
                "tickets",
                "crm.objects.contacts.read",
                "crm.objects.contacts.write"
            ]),
        )
        .unwrap();
    let late = Data::MessageReceived(story::event(said(
        "m3",
        60,
        "mine",
        vec![attachment("a3", "image/png", "c.png")],
    )));
    desk.work(&[item("e1", 60, late)]).unwrap();
    let text = ticket(&desk)["timeline"][2]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text.contains("scope files") && text.contains("mine"),
        "{text}"
    );
}

#[test]
fn what_needs_a_person_parks_with_hubspots_words() {
    let story = [item("h1", 10, handoff(vec![short(1)]))];
    let parked = |more: Value, switches: &[(&str, Value)]| {
        let mut desk = desk(more);
        for (name, value) in switches {
            desk.portal.switch(name, value).unwrap();
        }
        desk.work(&story).unwrap_err()
    };
    let stop = parked(json!({}), &[("bare", json!(true))]);
    assert_eq!(stop.reason, Reason::Invalid);
    assert!(
        stop.message.contains("wa_id") && stop.message.contains("check --live"),
        "{}",
        stop.message
    );
    let stop = parked(
        json!({}),
        &[(
            "scopes",
            json!(["crm.objects.contacts.read", "crm.objects.contacts.write"]),
        )],
    );
    assert_eq!(stop.reason, Reason::Forbidden);
    assert!(
        stop.message.contains("the token needs tickets"),
        "{}",
        stop.message
    );
    let stop = parked(json!({"stage": "177000001"}), &[]);
    assert_eq!(stop.reason, Reason::Invalid);
    assert!(
        stop.message.contains("hs_pipeline_stage INVALID_OPTION"),
        "{}",
        stop.message
    );
    let stop = parked(
        json!({}),
        &[("required_property", json!("hs_ticket_category"))],
    );
    assert!(
        stop.message.contains("required properties were not set"),
        "{}",
        stop.message
    );
    let stop = parked(json!({"stage": "Nowhere"}), &[]);
    assert!(stop.message.contains("it has New (1)"), "{}", stop.message);
    let mut nobody = desk(json!({}));
    nobody.known.set("contact/others", "x");
    let mut story = story.clone();
    let Data::HandoffRequested(data) = &mut story[0].data else {
        unreachable!()
    };
    data.contact = handoffd_contract::Contact::default();
    let work = handoffd_contract::Work {
        target: "crm".into(),
        session: story::session(),
        contact: handoffd_contract::Contact::default(),
        items: story.to_vec(),
        last_inbound: None,
        now: at(0),
        controller: handoffd_contract::Controller::queued(None),
    };
    let Err(Refusal::Park(stop)) = nobody.connector.next(&work, &nobody.known) else {
        panic!()
    };
    assert_eq!(stop.reason, Reason::NoCustomer);
}

#[test]
fn limits_are_waited_for() {
    let mut desk = desk(json!({}));
    desk.portal.switch("api_per_10s", &json!(2)).unwrap();
    desk.work(&[item("h1", 10, handoff(vec![short(1)]))])
        .unwrap();
    assert!(desk.now >= at(10), "{}", desk.now);
    assert_eq!(ticket(&desk)["timeline"].as_array().unwrap().len(), 1);
}

#[test]
fn the_old_paths_lead_to_the_same_place() {
    let mut desk = opened(
        json!({"api_version": "v3", "conversations_version": "2026-09-beta", "comments": "thread-or-note"}),
    );
    desk.act(json!({"act": "thread"}));
    let file = said("m2", 60, "x", vec![attachment("a1", "image/png", "a.png")]);
    desk.work(&[item("h2", 60, handoff(vec![short(1), file]))])
        .unwrap();
    desk.act(json!({"act": "reply", "text": "hi"}));
    assert_eq!(desk.poll().len(), 1);
    assert!(
        desk.calls.iter().any(|call| call == "POST /files/v3/files"),
        "{:#?}",
        desk.calls
    );
    assert!(
        desk.calls.iter().all(|call| !call.contains("2026-03")),
        "{:#?}",
        desk.calls
    );
}

#[test]
fn the_check_finds_what_is_missing_and_adds_it() {
    let mut desk = desk(json!({"owner": "riley@acme.test"}));
    desk.portal.switch("bare", &json!(true)).unwrap();
    for round in 0..2 {
        let mut problems = Vec::new();
        for check in desk.connector.checks() {
            let reply = desk.call(&check.call);
            for finding in desk.connector.checked(&check, &reply) {
                if let Some(problem) = finding.problem {
                    problems.push(problem);
                    for fix in &finding.fix {
                        let status = desk.call(fix).status;
                        assert!(matches!(status, 201 | 409), "{status} for {fix:?}");
                    }
                }
            }
        }
        assert_eq!(
            problems.len(),
            if round == 0 { 12 } else { 0 },
            "{problems:#?}"
        );
    }
    desk.work(&[item("h1", 10, handoff(vec![short(1)]))])
        .unwrap();
}

#[test]
fn a_channel_message_is_heard_where_the_channel_is_ours() {
    let message = json!({
        "type": "OUTGOING_CHANNEL_MESSAGE_CREATED", "portalId": "1", "channelId": "1234567", "channelIntegrationThreadIds": ["session-1"],
        "message": {"id": "900af967", "type": "MESSAGE", "direction": "OUTGOING", "createdAt": "2026-11-20T09:06:10Z",
            "client": {"clientType": "HUBSPOT"}, "text": "", "richText": "<p>Hi <b>Sara</b></p>", "senders": [{"actorId": "A-1", "name": "Rep"}],
            "attachments": [{"type": "FILE", "fileId": "9", "name": "a.png", "url": "https://x.hubspotusercontent-na1.net/a.png"}]},
    });
    let hear = |settings: Value, frame: &Value| {
        let mut desk = desk(settings);
        let body = frame.to_string();
        desk.hear(&Frame::Webhook {
            headers: &[],
            body: body.as_bytes(),
        })
    };
    let heard = hear(json!({"channel_id": "1234567"}), &message);
    assert_eq!(
        (heard[0].id.as_str(), &heard[0].subject),
        ("channel/900af967", &Subject::Session("session-1".into()))
    );
    let said = reply(&heard[0]);
    assert_eq!(
        (
            said.text.as_deref(),
            said.author.as_deref(),
            said.attachments[0].mime.as_deref()
        ),
        (Some("Hi Sara"), Some("Rep"), Some("image/png"))
    );
    assert_eq!(
        hear(json!({"channel_id": "1234567"}), &json!([message.clone()])),
        heard
    );
    assert_eq!(hear(json!({}), &message), []);
    assert_eq!(hear(json!({"channel_id": "99"}), &message), []);
    let mut ours = message.clone();
    ours["message"]["client"] = json!({"clientType": "INTEGRATION"});
    assert_eq!(hear(json!({"channel_id": "1234567"}), &ours), []);
    let mut file = message;
    file["message"]["attachments"][0]
        .as_object_mut()
        .unwrap()
        .remove("url");
    let heard = hear(json!({"channel_id": "1234567"}), &file);
    assert_eq!(
        reply(&heard[0]).attachments[0].source,
        None,
        "a file that cannot be read is missed, not forgotten"
    );
}

#[test]
fn odd_frames_are_refused_or_left_alone() {
    let desk = desk(json!({}));
    let hear = |body: &str| {
        desk.connector.hear(&Frame::Webhook {
            headers: &[],
            body: body.as_bytes(),
        })
    };
    for wrong in ["", "nonsense", "7", "\"x\"", "null"] {
        assert!(
            matches!(hear(wrong), Err(Refusal::Park(stop)) if stop.reason == Reason::Undecodable),
            "{wrong}"
        );
    }
    let many = Value::Array(vec![json!({}); 1_001]).to_string();
    assert!(hear(&many).is_err());
    for (odd, why) in [
        ("[]", ""),
        ("[{}]", "without a subscription type"),
        (
            r#"[{"subscriptionType":"contact.creation","objectId":1}]"#,
            "an event of type contact.creation",
        ),
        (
            r#"[{"subscriptionType":"object.creation","objectTypeId":"0-46"}]"#,
            "without an object id",
        ),
        (
            r#"[{"subscriptionType":"object.propertyChange","objectTypeId":"0-5","objectId":1,"propertyName":"hs_pipeline_stage","propertyValue":"2"}]"#,
            "does not end",
        ),
        (
            r#"[{"subscriptionType":"object.associationChange","objectTypeId":"0-5","objectId":1}]"#,
            "associationChange",
        ),
        (
            r#"{"type":"CHANNEL_ACCOUNT_CREATED"}"#,
            "CHANNEL_ACCOUNT_CREATED",
        ),
    ] {
        let hearing = hear(odd).unwrap();
        assert!(
            hearing.heard.is_empty() && hearing.fetch.is_empty(),
            "{odd}"
        );
        assert!(hearing.skipped.unwrap_or_default().contains(why), "{odd}");
    }
    let read = |tag| Read::new(tag, HttpCall::get("/x"), json!({"ticket": "1"}));
    let answer = |tag, status, body: &str| {
        let reply = HttpReply {
            status,
            headers: vec![],
            body: body.as_bytes().to_vec(),
        };
        desk.connector.hear(&Frame::Reply {
            read: &read(tag),
            reply: &reply,
        })
    };
    for tag in [
        "poll",
        "poll.more",
        "poll.notes",
        "note",
        "poll.stages",
        "note.file",
        "owner",
    ] {
        assert!(answer(tag, 401, "{}").unwrap().unauthorized, "{tag}");
        let cut = answer(tag, 200, "{\"resul");
        assert!(cut.is_err() || cut.unwrap().heard.is_empty(), "{tag}");
        let busy = answer(tag, 429, "{}");
        assert!(
            matches!(busy, Err(Refusal::Hold { .. })) || busy.unwrap().heard.is_empty(),
            "{tag}"
        );
        assert!(
            matches!(
                answer(tag, 403, "{\"category\":\"MISSING_SCOPES\"}"),
                Err(Refusal::Park(_))
            ),
            "{tag}"
        );
    }
    let event = Frame::Event {
        key: "k",
        id: "1",
        event: "message",
        data: "{}",
    };
    assert!(desk.connector.hear(&event).unwrap().skipped.is_some());
}

#[test]
fn a_webhook_is_signed_repeated_and_given_up() {
    let mut desk = opened(json!({}));
    let batch = desk.portal.deliveries(desk.now);
    assert_eq!(batch.len(), 1);
    let events: Value = serde_json::from_slice(&batch[0].body).unwrap();
    assert_eq!(
        (
            events[0]["subscriptionType"].as_str(),
            events[0]["attemptNumber"].as_u64()
        ),
        (Some("object.creation"), Some(0))
    );
    assert!(
        batch[0]
            .headers
            .iter()
            .any(|(name, value)| name == "x-hubspot-signature-v3" && value.len() == 44)
    );
    let mut id = batch[0].id;
    for attempt in 1..=11 {
        desk.portal.delivered(desk.now, id, Some(503));
        desk.now += jiff::SignedDuration::from_mins(60);
        let again = desk.portal.deliveries(desk.now);
        assert_eq!(again.len(), usize::from(attempt < 11), "attempt {attempt}");
        if let Some(again) = again.first() {
            id = again.id;
        }
    }
}
