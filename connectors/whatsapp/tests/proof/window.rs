//! The 24-hour window: what is held, what goes as a template, and when WhatsApp knows better.

use handoffd_contract::event::{DeliveryState, MessageStatus, Template};
use handoffd_contract::{Call, Data, Item, Reason, Refusal, Rendered, Stop};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cast::{cloud, file, gateway, item, replied, reply};
use crate::world::{Chapter, World, hello, items, play, states};

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
    let told = ["m-1 Held", "m-2 Sent", "m-2 Sent", "m-2 Delivered"];
    assert_eq!(states(&world), told);
    assert!(
        world.told()[0]
            .2
            .starts_with("The rest of this reply waits"),
        "{:?}",
        world.told()
    );
    world.play(&[hello()]).expect("goes on");
    assert_eq!(world.texts()[2..], ["invoice.pdf"]);
    assert_eq!(states(&world)[4..], ["m-1 Sent", "m-1 Delivered"]);
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
                ..Rendered::default()
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
        assert!(states(&world).contains(&"m-1 Held".to_owned()), "{told:?}");
        assert!(
            !states(&world).contains(&"m-1 Failed".to_owned()),
            "{told:?}"
        );
        world
            .play(&[items(vec![replied("e-2", reply("m-2", "Two."))])])
            .expect("settles");
        assert_eq!(world.sends(), 1, "the next one is held without being tried");
        world.play(&[hello()]).expect("settles");
        assert_eq!(world.texts(), ["One.", "Two."]);
        assert_eq!(world.sends(), 3, "each once more");
        for id in ["m-1", "m-2"] {
            let told: Vec<String> = states(&world);
            let last = told.iter().rfind(|state| state.starts_with(id));
            assert_eq!(last, Some(&format!("{id} Delivered")), "{told:?}");
        }
        world.rests();
    }
}

/// The status comes when the reply is long done with, and for every message of it.
#[test]
fn messages_that_a_status_says_were_outside_the_window_go_out_once_when_the_customer_writes() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    let mut with_file = reply("m-1", &"word ".repeat(1_000));
    with_file
        .attachments
        .push(file("invoice", "application/pdf", "invoice.pdf"));
    world
        .play(&[items(vec![replied("e-1", with_file)])])
        .expect("settles");
    assert_eq!(world.texts(), [""; 0], "nothing is on the phone");
    let held = states(&world)
        .iter()
        .filter(|state| *state == "m-1 Held")
        .count();
    assert_eq!(held, 1, "{:?}", world.told());
    assert!(!world.told().iter().any(|(_, _, d)| d.contains("template")));
    world.play(&[hello()]).expect("settles");
    assert_eq!(world.texts().len(), 3, "{:?}", world.texts());
    assert_eq!(
        states(&world).last().map(String::as_str),
        Some("m-1 Delivered")
    );
    world.play(&[hello()]).expect("settles");
    assert_eq!(world.texts().len(), 3, "and never again");
    world.rests();
}

/// A status gives its time in whole seconds, the gateway gives the customer's to the millisecond: what
/// they wrote earlier in that second has not opened the window again. What they wrote later has.
#[test]
fn a_status_is_about_the_whole_second_that_it_names() {
    for (wrote, sends) in [(700, 1), (1_000, 2)] {
        let connector = cloud(json!({}));
        let mut world = World::new(&*connector);
        world.last_inbound = Some(world.now + SignedDuration::from_millis(wrote));
        let status = MessageStatus {
            message_id: None,
            reference: None,
            status: DeliveryState::Failed,
            error_code: Some(131_047),
            error: None,
        };
        let begun = world.now;
        world
            .play(&[
                Chapter::Switch("drop_statuses", json!(true)),
                items(vec![replied("e-1", reply("m-1", "One."))]),
            ])
            .expect("settles");
        let id = world.known.get("sent/e-1/0").map(str::to_owned);
        let failed = MessageStatus {
            message_id: id,
            ..status
        };
        world.now = begun;
        world
            .play(&[items(vec![item("st-1", Data::MessageStatus(failed))])])
            .expect("settles");
        assert_eq!(world.sends(), sends, "written after {wrote} ms");
    }
}

/// A reply that waits for its second time is given up by a person, and its rep is told so; what waits
/// behind it goes on waiting.
#[test]
fn a_reply_that_waits_for_its_second_time_can_be_given_up() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world
        .play(&[items(vec![replied("e-1", reply("m-1", "One."))])])
        .expect("settles");
    world
        .play(&[items(vec![replied("e-2", reply("m-2", "Two."))])])
        .expect("settles");
    assert_eq!(world.known.get("reopened/e-1"), Some("open"), "work again");
    world.known.set("reopened/e-1", "skipped");
    world.settle().expect("settles");
    let told = world.told();
    let given_up = told
        .iter()
        .filter(|(_, _, detail)| detail.contains("given this reply up"));
    let given_up: Vec<_> = given_up
        .map(|(id, state, _)| (id.as_str(), state.as_str()))
        .collect();
    assert_eq!(given_up, [("m-1", "Failed")], "{told:?}");
    world.play(&[hello()]).expect("settles");
    assert_eq!(world.texts(), ["Two."]);
    world.rests();
}

/// The rep of such a reply is told when something else stands in the way by the time at which it could
/// go out.
#[test]
fn a_reply_that_waits_for_its_second_time_is_told_of_a_block() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world
        .play(&[items(vec![replied("e-1", reply("m-1", "One."))])])
        .expect("settles");
    let mut work = world.work();
    work.items = vec![replied("e-1", reply("m-1", "One."))];
    let blocked = Stop::new(Reason::Account, "131031: (#131031) locked");
    let waiting = connector.waiting(&work, &world.known, &blocked);
    let told: Vec<&Data> = waiting.record.events.iter().map(|(_, data)| data).collect();
    assert!(
        matches!(told.as_slice(), [Data::ReplyStatus(status)]
            if status.message_id == "m-1" && status.cause.as_deref() == Some("account")),
        "{told:?}"
    );
    // When it has gone out there is nothing to tell.
    world.play(&[hello()]).expect("settles");
    let waiting = connector.waiting(&work, &world.known, &blocked);
    assert!(waiting.record.events.is_empty(), "{waiting:?}");
}

/// Should WhatsApp refuse the second time as well, the rep is told that it failed.
#[test]
fn a_message_is_sent_again_once() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world
        .play(&[
            hello(),
            Chapter::Switch("fail_later", json!({"code": 131047, "count": 2})),
            items(vec![replied("e-1", reply("m-1", "One."))]),
        ])
        .expect("settles");
    assert_eq!(
        (world.sends(), states(&world)),
        (1, vec!["m-1 Sent".to_owned(), "m-1 Held".to_owned()])
    );
    world.play(&[hello()]).expect("settles");
    assert_eq!(world.sends(), 2);
    let (_, state, detail) = world.told().pop().expect("told");
    assert_eq!(state, "Failed");
    assert!(
        detail.contains("131047") && !detail.contains("template"),
        "{detail}"
    );
    world.play(&[hello()]).expect("settles");
    assert_eq!((world.sends(), world.texts()), (2, Vec::new()));
}

/// What a late or repeated status says of the first message counts for that one alone.
#[test]
fn a_status_of_the_first_message_says_nothing_of_the_second() {
    let connector = gateway(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world
        .play(&[items(vec![replied("e-1", reply("m-1", "One."))])])
        .expect("settles");
    let first = world.known.get("sent/e-1/0").expect("sent").to_owned();
    let failed = |id: &str| {
        let status = MessageStatus {
            message_id: None,
            reference: Some(first.clone()),
            status: DeliveryState::Failed,
            error_code: Some(131_047),
            error: None,
        };
        items(vec![item(id, Data::MessageStatus(status))])
    };
    world.play(&[failed("st-1")]).expect("settles");
    assert_eq!(states(&world), ["m-1 Sent", "m-1 Held"]);
    world.play(&[hello()]).expect("settles");
    world.play(&[failed("st-2")]).expect("settles");
    assert_eq!(world.texts(), ["One."]);
    let second = world.known.get("sent/e-1/0r").expect("sent").to_owned();
    assert_ne!(
        first, second,
        "the gateway takes it for a message of its own"
    );
    assert!(!states(&world).contains(&"m-1 Failed".to_owned()));
}

/// With a template for texts outside the window, the text goes as one at once.
#[test]
fn a_text_that_was_outside_the_window_goes_as_the_template() {
    let connector = cloud(json!({"fallback": "template"}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world
        .play(&[items(vec![replied("e-1", reply("m-1", "One."))])])
        .expect("settles");
    assert_eq!(
        world.texts(),
        ["Unser Team hat geantwortet: One.\nAntworten Sie hier."]
    );
    world.play(&[hello()]).expect("settles");
    assert_eq!(world.texts().len(), 1);
    world.rests();
}
