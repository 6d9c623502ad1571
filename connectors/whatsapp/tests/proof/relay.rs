//! Replies on their way: window, templates, files, failures, limits; each against the simulator.

use crate::world::{CUSTOMER, Chapter, World, cloud, file, gateway, item, replied, reply};
use handoffd_contract::event::{AttachmentKind, Template};
use handoffd_contract::{
    Call, Data, Item, MediaProblem, Reason, Refusal, Rendered, Reply, Source, Verdict,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

fn hello() -> Chapter {
    Chapter::Act(json!({"act": "text", "from": CUSTOMER, "name": "Ana", "text": "Hi"}))
}

fn items(items: Vec<Item>) -> Chapter {
    Chapter::Items(items)
}

fn play<'a>(connector: &'a dyn handoffd_contract::Connector, story: &[Chapter]) -> World<'a> {
    let mut world = World::new(connector);
    if let Err(error) = world.play(story) {
        panic!("{error}\n{}", world.tail());
    }
    world
}

fn states(world: &World<'_>) -> Vec<String> {
    world
        .told()
        .into_iter()
        .map(|(id, state, _)| format!("{id} {state}"))
        .collect()
}

#[test]
fn a_very_long_text_arrives_whole_and_in_order() {
    let words: Vec<String> = (0..9_000).map(|n| format!("w{n}")).collect();
    let long = format!("{}\n\n<b>\"O'Neil\" & שלום</b> 👨‍👩‍👧‍👦", words.join(" "));
    assert!(long.len() > 50_000);
    let connector = cloud(json!({}));
    let world = play(
        &*connector,
        &[hello(), items(vec![replied("e", reply("m", &long))])],
    );
    let texts = world.texts();
    assert!(
        texts
            .iter()
            .all(|text| handoffd_contract::text::utf16_len(text) <= 4_096)
    );
    let joined = texts.join(" ");
    assert_eq!(
        joined.split_whitespace().collect::<Vec<_>>(),
        long.split_whitespace().collect::<Vec<_>>()
    );
    assert_eq!(states(&world), ["m Sent", "m Delivered"]);
}

#[test]
fn outside_the_window_a_text_goes_as_a_template_and_its_file_follows() {
    let connector = cloud(json!({"fallback": "template"}));
    let mut with_file = reply("m-1", "Here is\nyour invoice.");
    with_file
        .attachments
        .push(file("invoice", "application/pdf", "invoice.pdf"));
    let mut world = play(
        &*connector,
        &[
            hello(),
            Chapter::Pass(SignedDuration::from_hours(24)),
            items(vec![
                replied("e-1", with_file),
                replied("e-2", reply("m-2", "Anything else?")),
            ]),
        ],
    );
    let answered = |text: &str| format!("Unser Team hat geantwortet: {text}\nAntworten Sie hier.");
    let templates = [
        answered("Here is your invoice."),
        answered("Anything else?"),
    ];
    assert_eq!(world.texts(), templates);
    assert_eq!(states(&world), ["m-1 Held", "m-2 Sent", "m-2 Delivered"]);
    assert!(
        world.told()[0]
            .2
            .starts_with("The rest of this reply waits"),
        "{:?}",
        world.told()
    );
    world.play(&[hello()]).expect("goes on");
    assert_eq!(world.texts()[2..], ["invoice.pdf"]);
    assert_eq!(states(&world)[3..], ["m-1 Sent", "m-1 Delivered"]);
}

#[test]
fn the_mapping_of_the_handoff_chooses_the_template() {
    let section = |parameters: Value| {
        let fields = [
            ("name".to_owned(), json!("case_update")),
            ("language".to_owned(), json!("en_US")),
            ("parameters".to_owned(), parameters),
        ];
        let sections = [("template".to_owned(), fields.into())].into();
        Item {
            rendered: Some(Rendered {
                version: 1,
                sections,
                notes: Vec::new(),
            }),
            ..item("h-1", Data::HandoffRequested(Box::default()))
        }
    };
    let connector = cloud(json!({"fallback": "template"}));
    let story = |parameters: Value| {
        [
            hello(),
            items(vec![section(parameters)]),
            Chapter::Pass(SignedDuration::from_hours(30)),
            items(vec![replied("e", reply("m", "Solved."))]),
        ]
    };
    let mut two = story(json!(["Ana", "{reply}"]));
    let Chapter::Items(handoffs) = &mut two[1] else {
        panic!("no handoff")
    };
    let mut earlier = section(json!(["{reply}", "earlier"]));
    earlier.id = "h-0".into();
    handoffs.insert(0, earlier);
    let world = play(&*connector, &two);
    assert_eq!(
        world.texts(),
        ["Hello Ana, there is news on your case Solved.."]
    );
    world.rests();
    // A template that would lose the rep's words does not stand for them.
    let world = play(&*connector, &story(json!(["Ana", "42"])));
    assert_eq!(states(&world), ["m Held"]);
}

#[test]
fn free_text_carries_its_deadline_and_a_template_does_not() {
    let connector = cloud(json!({"window_margin_seconds": 600}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    let steps = |world: &mut World<'_>, item: Item| {
        world.items = vec![item];
        loop {
            let steps = world
                .connector
                .next(&world.work(), &world.known)
                .expect("steps");
            match &steps[0].call {
                Call::Record(record) => {
                    for (name, value) in &record.facts {
                        world.known.set(name.clone(), value.clone());
                    }
                }
                _ => return steps,
            }
        }
    };
    let free = steps(&mut world, replied("e-1", reply("m-1", "Hi")));
    let deadline = world.now + SignedDuration::from_secs(24 * 3_600 - 600);
    assert_eq!(free[0].not_after, Some(deadline));
    world.now = deadline;
    let mut template = reply("m-2", "");
    template.template = Some(Template {
        name: "reopen_chat".into(),
        language: "en_US".into(),
        parameters: vec![],
    });
    assert_eq!(
        steps(&mut world, replied("e-2", template))[0].not_after,
        None
    );
    world.items = vec![replied("e-1", reply("m-1", "Hi"))];
    world.known.set("held/e-1", "");
    let refused = world
        .connector
        .next(&world.work(), &world.known)
        .expect_err("closed");
    assert!(
        matches!(&refused, Refusal::Hold { stop, until: None } if stop.reason == Reason::WindowClosed)
    );
}

#[test]
fn whatsapp_knows_better_when_the_window_is_closed() {
    for sync in [true, false] {
        let connector = cloud(json!({}));
        let mut world = World::new(&*connector);
        world
            .sandbox
            .switch("window_error_sync", &json!(sync))
            .expect("a switch");
        // We think that the customer has just written; WhatsApp does not.
        world.last_inbound = Some(world.now);
        world
            .play(&[items(vec![replied("e-1", reply("m-1", "One."))])])
            .expect("settles");
        assert_eq!(world.sends(), 1, "no loop");
        let told = world.told();
        let wanted = if sync { "m-1 Held" } else { "m-1 Failed" };
        assert!(states(&world).contains(&wanted.to_owned()), "{told:?}");
        assert!(
            sync || told.iter().any(|(_, _, detail)| detail.contains("131047")),
            "{told:?}"
        );
        world
            .play(&[items(vec![replied("e-2", reply("m-2", "Two."))])])
            .expect("settles");
        assert_eq!(world.sends(), 1, "the next one is held without being tried");
        world.play(&[hello()]).expect("settles");
        assert_eq!(
            world.texts(),
            if sync {
                vec!["One.", "Two."]
            } else {
                vec!["Two."]
            }
        );
    }
}

#[test]
fn a_customer_who_cannot_be_reached_costs_one_request_and_the_lane_goes_on() {
    let connector = cloud(json!({}));
    let mut first = reply("m-1", "See this.");
    first.attachments.push(file("a", "image/png", "a.png"));
    let world = play(
        &*connector,
        &[
            hello(),
            Chapter::Switch("fail_next", json!({"code": 131026, "count": 1})),
            items(vec![
                replied("e-1", first),
                replied("e-2", reply("m-2", "Still there?")),
            ]),
        ],
    );
    assert_eq!(world.texts(), ["Still there?"]);
    assert_eq!(states(&world), ["m-1 Failed", "m-2 Sent", "m-2 Delivered"]);
    let detail = &world.told()[0].2;
    assert!(
        detail
            .starts_with("The file a.png was not delivered. The customer's WhatsApp cannot get it"),
        "{detail}"
    );
    assert_eq!(world.sends(), 2);
}

#[test]
fn one_part_that_fails_later_is_told_and_nothing_better_is_said() {
    let connector = cloud(json!({}));
    let mut first = reply("m-1", "See this.");
    first.attachments.push(file("a", "image/png", "a.png"));
    let world = play(
        &*connector,
        &[
            hello(),
            Chapter::Switch("fail_later", json!({"code": 131053, "count": 1})),
            items(vec![replied("e-1", first)]),
            Chapter::Act(json!({"act": "read", "from": CUSTOMER})),
        ],
    );
    assert_eq!(world.texts(), ["See this."]);
    let after = states(&world);
    assert!(after.contains(&"m-1 Failed".to_owned()), "{after:?}");
    assert!(
        !after
            .iter()
            .any(|state| state.ends_with("Read") || state.ends_with("Delivered")),
        "{after:?}"
    );
}

#[test]
fn the_account_and_throttles_make_it_wait_and_not_fail() {
    let connector = cloud(json!({}));
    for code in [
        0, 190, 131_005, 131_031, 131_042, 131_048, 133_010, 130_429, 131_056, 80_007, 131_057,
    ] {
        let world = play(
            &*connector,
            &[
                hello(),
                Chapter::Switch("fail_next", json!({"code": code, "count": 2})),
                items(vec![
                    replied("e-1", reply("m-1", "One.")),
                    replied("e-2", reply("m-2", "Two.")),
                ]),
            ],
        );
        assert_eq!(world.texts(), ["One.", "Two."], "{code}");
        assert_eq!(world.operator, 0, "{code}");
        assert!(
            !states(&world).iter().any(|state| state.ends_with("Failed")),
            "{code}"
        );
    }
}

#[test]
fn an_ambiguous_error_is_not_repeated_without_a_person() {
    let connector = cloud(json!({}));
    for code in [1, 2, 131_000, 131_016] {
        let world = play(
            &*connector,
            &[
                hello(),
                Chapter::Switch("fail_next", json!({"code": code, "count": 1})),
                items(vec![replied("e-1", reply("m-1", "One."))]),
            ],
        );
        assert_eq!((world.operator, world.sends()), (1, 2), "{code}");
        assert_eq!(world.texts(), ["One."], "{code}");
    }
}

#[test]
fn sixty_replies_pass_the_pair_limit_in_order() {
    let connector = cloud(json!({}));
    let replies =
        (0..60).map(|n| replied(&format!("e-{n}"), reply(&format!("m-{n}"), &format!("{n}"))));
    let world = play(&*connector, &[hello(), items(replies.collect())]);
    let wanted: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    assert_eq!(world.texts(), wanted);
    assert!(world.sends() > 60, "the limit was not met");
}

#[test]
fn a_file_that_was_refused_is_uploaded_once_more() {
    let connector = cloud(json!({}));
    for (count, shown) in [(1, 1), (2, 0)] {
        let mut first = reply("m-1", "");
        first.attachments.push(file("a", "image/png", "a.png"));
        let world = play(
            &*connector,
            &[
                hello(),
                Chapter::Switch("fail_next", json!({"code": 131053, "count": count})),
                items(vec![replied("e-1", first)]),
            ],
        );
        assert_eq!(world.texts().len(), shown, "{count}");
        let uploads = world
            .log
            .iter()
            .filter(|line| line.contains("media.upload"))
            .count();
        assert_eq!(uploads, 2, "{count}");
        assert_eq!(
            states(&world)[0],
            if shown == 1 { "m-1 Sent" } else { "m-1 Failed" }
        );
    }
}

#[test]
fn files_that_cannot_go_become_links_or_news_for_the_rep() {
    let files = || {
        let mut first = reply("m-1", "All of it.");
        first.attachments = vec![
            file("large-film", "video/mp4", "film.mp4"),
            file("archive", "application/zip", "all.zip"),
            file("gone-1", "application/pdf", "old.pdf"),
        ];
        first.attachments[2].source = Some(Source::Target {
            target: "crm".into(),
            url: "/files/1".into(),
        });
        vec![hello(), items(vec![replied("e-1", first)])]
    };
    let with_links = cloud(json!({}));
    let world = play(&*with_links, &files());
    assert_eq!(
        world.texts(),
        [
            "film.mp4: https://files.test/large-film",
            "all.zip: https://files.test/archive",
            "All of it."
        ]
    );
    let told = world.told();
    assert_eq!(states(&world), ["m-1 Failed"]);
    assert_eq!(
        told[0].2,
        "The file old.pdf was not delivered. The file is no longer at its source. Attach it again in another form, or send a link."
    );
    let without = cloud(json!({"link_files": false}));
    let world = play(&*without, &files());
    assert_eq!(world.texts(), ["All of it."]);
    assert_eq!(states(&world), ["m-1 Failed", "m-1 Failed", "m-1 Failed"]);
}

#[test]
fn a_source_that_does_not_answer_is_tried_again() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world.items = vec![replied("e-1", {
        let mut first = reply("m-1", "x");
        first.attachments.push(file("a", "image/png", "a.png"));
        first
    })];
    let steps = world
        .connector
        .next(&world.work(), &world.known)
        .expect("steps");
    let Call::Record(record) = &steps[0].call else {
        panic!("{steps:?}")
    };
    for (name, value) in &record.facts {
        world.known.set(name.clone(), value.clone());
    }
    let steps = world
        .connector
        .next(&world.work(), &world.known)
        .expect("steps");
    assert_eq!(steps.len(), 1, "the text waits for the file");
    let verdict = world
        .connector
        .read(&steps[0], &Reply::Media(MediaProblem::Unreachable));
    assert!(
        matches!(verdict, Verdict::Later { stop, .. } if stop.reason == Reason::MediaUnavailable)
    );
}

#[test]
fn media_keep_their_kind_name_caption_and_bytes() {
    let connector = cloud(json!({}));
    let mut first = reply("m-1", "");
    let mut voice = file("v", "audio/ogg; codecs=opus", "note.ogg");
    voice.kind = AttachmentKind::Voice;
    voice.caption = Some("my voice".into());
    let mut picture = file("p", "image/jpg", "p.jpg");
    picture.caption = Some("look".into());
    let document = file("d", "application/octet-stream", "Report.PDF");
    first.attachments = vec![voice, picture, document];
    let world = play(&*connector, &[hello(), items(vec![replied("e-1", first)])]);
    let shown = &world.conversation()[1..];
    assert_eq!(shown[0]["type"], "audio");
    assert_eq!(shown[0]["voice_note"], true);
    assert_eq!(shown[1]["text"], "my voice");
    assert_eq!(
        (&shown[2]["type"], &shown[2]["caption"]),
        (&json!("image"), &json!("look"))
    );
    assert_eq!(
        (&shown[3]["type"], &shown[3]["file_name"]),
        (&json!("document"), &json!("Report.PDF"))
    );
    assert_eq!(shown[3]["mime"], "application/pdf");
    assert_eq!(shown[3]["bytes"], "the bytes of d".len());
}

#[test]
fn a_customer_without_a_number_gets_replies_by_their_user_id() {
    let user = "US.13491208655302741918";
    for connector in [cloud(json!({})), gateway(json!({}))] {
        let mut world = World::new(&*connector);
        world.contact.wa_id = None;
        world.contact.user_id = Some(user.into());
        let act = json!({"act": "text", "from": user, "username": "ana.b", "text": "Hi"});
        world
            .play(&[
                Chapter::Act(act),
                items(vec![replied("e-1", reply("m-1", "Hello."))]),
            ])
            .expect("settles");
        let view = world.sandbox.view();
        assert_eq!(
            view["phones"][user]["conversation"][1]["text"], "Hello.",
            "{view:#}"
        );
    }
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.contact.wa_id = None;
    world.last_inbound = Some(world.now);
    let error = world.play(&[items(vec![replied("e-1", reply("m-1", "Hello."))])]);
    assert!(error.is_err_and(|error| error.contains("NoCustomer")));
}

#[test]
fn with_wait_delivered_a_message_waits_for_the_one_before() {
    let connector = cloud(json!({"wait_delivered": true}));
    let story = [
        hello(),
        items(vec![replied("e-1", reply("m-1", &"word ".repeat(1_000)))]),
    ];
    let world = play(&*connector, &story);
    assert_eq!(world.texts().len(), 2);
    let first = world
        .log
        .iter()
        .position(|line| line.contains("message.send"));
    let next = world
        .log
        .iter()
        .rposition(|line| line.contains("message.send"));
    let between = &world.log[first.expect("sent")..next.expect("sent")];
    let statuses = between
        .iter()
        .filter(|line| line.contains("status.record"))
        .count();
    assert_eq!(
        statuses, 2,
        "sent and delivered come before the second part: {between:?}"
    );
    // A phone that is off does not hold the reply back for good.
    let mut dropped = World::new(&*connector);
    let mut story = story.to_vec();
    story.insert(0, Chapter::Switch("drop_statuses", json!(true)));
    dropped.play(&story).expect("settles");
    assert_eq!(dropped.texts().len(), 2);
    assert!(dropped.now >= crate::world::start() + SignedDuration::from_secs(30));
}

#[test]
fn an_unbound_gateway_is_waited_for() {
    let connector = gateway(json!({}));
    let mut world = World::new(&*connector);
    world
        .sandbox
        .switch("gateway_bound", &json!(false))
        .expect("a switch");
    world.play(&[hello()]).expect("settles");
    let error = world.play(&[items(vec![replied("e-1", reply("m-1", "Hi."))])]);
    assert!(
        error.is_err_and(|error| error.contains("no end")),
        "it tries until it is bound"
    );
    world
        .sandbox
        .switch("gateway_bound", &json!(true))
        .expect("a switch");
    world.settle().expect("settles");
    assert_eq!(world.texts(), ["Hi."]);
}

#[test]
fn what_the_gateway_is_asked_for() {
    let connector = gateway(json!({"source": "urn:shop:handoffd"}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world.contact.user_id = Some("DE.1349".into());
    let mut first = reply("m-1", "");
    let mut voice = file("v", "audio/ogg", "note.ogg");
    voice.kind = AttachmentKind::Voice;
    first.attachments.push(voice);
    world.items = vec![replied("e-1", first)];
    let publish = loop {
        let steps = world
            .connector
            .next(&world.work(), &world.known)
            .expect("steps");
        match &steps[0].call {
            Call::Record(record) => {
                for (name, value) in &record.facts {
                    world.known.set(name.clone(), value.clone());
                }
            }
            Call::Publish(publish) => break publish.clone(),
            Call::Http(_) => panic!("the gateway is not called"),
        }
    };
    assert_eq!(
        (publish.exchange.as_str(), publish.routing_key.as_str()),
        ("whatsapp", "replies")
    );
    assert_eq!(publish.content_type, "application/cloudevents+json");
    let body = &publish.body;
    assert_eq!(body["id"], publish.message_id.as_str());
    let wanted = json!({
        "session": "s-1", "business_number": "+15550783881", "reference": publish.message_id,
        "target": "crm", "reply_message_id": "m-1", "author": "Rita",
        "to": format!("+{CUSTOMER}"), "user_id": "DE.1349",
        "window_expires_at": "2026-11-21T08:59:00Z",
        "message": {"type": "audio", "audio": {
            "voice": true, "filename": "note.ogg",
            "attachment": {
                "id": "v", "kind": "voice", "mime": "audio/ogg", "name": "note.ogg",
                "source": {"from": "url", "url": "https://files.test/v"},
            },
        }},
    });
    assert_eq!(body["data"], wanted);
    assert_eq!(body["type"], "reply.requested");
    assert_eq!(body["source"], "urn:shop:handoffd");
}

#[test]
fn each_business_number_sends_by_its_own_id() {
    let settings =
        json!({"phone_number_id": null, "phone_numbers": {"+1 555 078-3881": "106540352242922"}});
    let connector = cloud(settings);
    let world = play(
        &*connector,
        &[hello(), items(vec![replied("e-1", reply("m-1", "Hi."))])],
    );
    assert_eq!(world.texts(), ["Hi."]);
    let other =
        cloud(json!({"phone_number_id": null, "phone_numbers": {"+49301234567": "99999999"}}));
    let mut world = World::new(&*other);
    let error = world.play(&[hello(), items(vec![replied("e-1", reply("m-1", "Hi."))])]);
    assert!(
        error.is_err_and(|error| error.contains("phone_numbers")),
        "never from another number"
    );
}
