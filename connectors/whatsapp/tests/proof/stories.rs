//! Stories played with every mishap at every call: the customer's phone ends as in the quiet run,
//! in the same order, and the reps are told the same.

use std::collections::BTreeMap;

use crate::cast::{CUSTOMER, cloud, file, gateway, item, replied, reply, start};
use crate::world::{Chapter, World};
use handoffd_contract::event::{
    Contact, DeliveryState, HandoffCompleted, MessageStatus, RepEnded, ReplyOption, Session,
    SessionAssigned, SessionHandback,
};
use handoffd_contract::proof::{Mishap, Stage, prove};
use handoffd_contract::sandbox::Sandbox;
use handoffd_contract::{Connector, Data};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// A story of the whole loop: files, text, buttons, a text of two messages, news for the gateway, an
/// ending. The short one leaves out what only adds more of the same.
fn story(full: bool) -> Vec<Chapter> {
    let mut first = reply(
        "m-1",
        "Hello Ana,\n\nyour parcel left today: https://track.test/1",
    );
    first
        .attachments
        .push(file("label", "image/png", "label.png"));
    let mut second = reply("m-2", "Shall we call you?");
    for (id, title) in [("y", "Yes, please"), ("n", "No")] {
        second.options.push(ReplyOption {
            id: id.into(),
            title: title.into(),
        });
    }
    let mut replies = vec![replied("e-2", second)];
    let mut last = vec![
        item("e-4", assigned(None)),
        item("e-5", ended()),
        item("e-5-back", handback()),
    ];
    if full {
        first
            .attachments
            .push(file("invoice", "application/pdf", "invoice.pdf"));
        replies.push(replied("e-3", reply("m-3", &"word ".repeat(900))));
        last.push(item("e-6", completed()));
    }
    vec![
        Chapter::Act(
            json!({"act": "text", "from": CUSTOMER, "name": "Ana", "text": "Where is it?"}),
        ),
        Chapter::Items(vec![
            item("e-0", assigned(Some("Rita"))),
            replied("e-1", first),
        ]),
        Chapter::Items(replies),
        Chapter::Act(json!({"act": "read", "from": CUSTOMER})),
        Chapter::Items(last),
    ]
}

fn assigned(rep: Option<&str>) -> Data {
    Data::SessionAssigned(SessionAssigned {
        target: "crm".into(),
        rep: rep.map(str::to_owned),
    })
}

fn ended() -> Data {
    Data::RepEnded(RepEnded {
        target: "crm".into(),
        status: Some("closed".into()),
    })
}

fn handback() -> Data {
    Data::SessionHandback(Box::new(SessionHandback {
        target: Some("crm".into()),
        status: Some("closed".into()),
        outcome: "closed".into(),
        replies: 2,
        ..SessionHandback::default()
    }))
}

fn completed() -> Data {
    Data::HandoffCompleted(HandoffCompleted {
        target: "crm".into(),
        handoff: "h-1".into(),
        records: [("case".to_owned(), "42".to_owned())].into(),
        url: None,
        notes: Vec::new(),
    })
}

/// The part of the simulator's view that must not depend on mishaps.
fn outcome(view: &Value) -> Value {
    let keep = |entry: &Value| {
        let mut entry = entry.clone();
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("id");
        }
        entry
    };
    let conversation: Vec<Value> = view["phones"][CUSTOMER]["conversation"]
        .as_array()
        .into_iter()
        .flatten()
        .map(keep)
        .collect();
    json!({
        "conversation": conversation,
        "undelivered": view["undelivered"].as_array().map_or(0, Vec::len),
        "wrong": view["gateway"]["wrong"],
    })
}

fn run<'a>(
    connector: &'a dyn Connector,
    story: &[Chapter],
    mishaps: BTreeMap<usize, Mishap>,
) -> World<'a> {
    let mut world = World::new(connector);
    world.mishaps = mishaps;
    if let Err(error) = world.play(story) {
        panic!("with {:?}: {error}\n{}", world.mishaps, world.tail());
    }
    world
}

/// Plays a story with up to `depth` mishaps; returns the quiet run and how many others there were.
fn enumerate<'a>(
    connector: &'a dyn Connector,
    story: &[Chapter],
    depth: usize,
) -> (World<'a>, usize) {
    let quiet = run(connector, story, BTreeMap::new());
    let wanted = outcome(&quiet.sandbox.view());
    let told: Vec<&String> = quiet.events.keys().collect();
    let check = |mishaps: &BTreeMap<usize, Mishap>| {
        let world = run(connector, story, mishaps.clone());
        let ended = outcome(&world.sandbox.view());
        assert!(
            ended == wanted,
            "with {mishaps:?} the phone shows otherwise\n{}\n--- quiet\n{wanted:#}\n--- now\n{ended:#}",
            world.tail()
        );
        // Whether a rep hears of "delivered" on the way to "read" depends on how fast we looked.
        let now: Vec<&String> = world.events.keys().collect();
        let sure = |ids: &[&String]| -> Vec<String> {
            let passing = |id: &&&String| !id.ends_with("/delivered") && !id.ends_with("/sent");
            ids.iter()
                .filter(passing)
                .map(|id| (**id).clone())
                .collect()
        };
        assert_eq!(
            sure(&now),
            sure(&told),
            "with {mishaps:?} reps were told otherwise"
        );
        world.rests();
        (world.calls, world.operator)
    };
    let mut runs = 0;
    let mut operators = 0;
    for first in 0..quiet.calls {
        for mishap in Mishap::ALL {
            let mut mishaps = BTreeMap::from([(first, *mishap)]);
            let (calls, operator) = check(&mishaps);
            runs += 1;
            operators += operator;
            for second in (first + 1..calls).filter(|_| depth > 1) {
                for other in Mishap::ALL {
                    mishaps.insert(second, *other);
                    operators += check(&mishaps).1;
                    runs += 1;
                    mishaps.remove(&second);
                }
            }
        }
    }
    assert!(
        operators > 0,
        "no run ended with a person, so the unknown outcome was not exercised"
    );
    (quiet, runs)
}

/// A message that a status says was outside the window is sent once more, whatever goes wrong.
#[test]
fn what_failed_outside_the_window_arrives_once() {
    let connector = cloud(json!({"endings": false}));
    let hello = || Chapter::Act(json!({"act": "text", "from": CUSTOMER, "text": "Hi"}));
    let story = [
        hello(),
        Chapter::Switch("fail_later", json!({"code": 131047, "count": 1})),
        Chapter::Items(vec![replied("e-1", reply("m-1", "One."))]),
        Chapter::Items(vec![replied("e-2", reply("m-2", "Two."))]),
        Chapter::Pass(SignedDuration::from_mins(5)),
        hello(),
    ];
    let (quiet, runs) = enumerate(&*connector, &story, 2);
    assert!(runs > 50, "{runs} runs");
    assert_eq!(quiet.texts(), ["One.", "Two."]);
}

#[test]
fn the_cloud_api_never_sends_twice_and_loses_nothing() {
    let connector = cloud(json!({}));
    let short = cloud(json!({}));
    let (_, runs) = enumerate(&*short, &story(false), 2);
    assert!(runs > 300, "{runs} runs");
    let (quiet, _) = enumerate(&*connector, &story(true), 1);
    let texts = quiet.texts();
    assert_eq!(
        texts[..4].join("|"),
        "image/png|invoice.pdf|Hello Ana,\n\nyour parcel left today: https://track.test/1|Shall we call you?"
    );
    assert_eq!(quiet.sends(), texts.len());
    assert_eq!(texts[4..].join(" ").split_whitespace().count(), 900);
    assert_eq!(passed(&quiet), ["rep.ended", "session.handback"]);
    let states: Vec<String> = quiet
        .told()
        .iter()
        .map(|(id, state, _)| format!("{id} {state}"))
        .collect();
    for wanted in ["m-1 Sent", "m-1 Delivered", "m-1 Read", "m-3 Read"] {
        assert!(
            states.contains(&wanted.to_owned()),
            "{wanted} is not in {states:?}"
        );
    }
    assert_eq!(quiet.operator, 0);
}

/// The types of the endings that were passed on, in order.
fn passed(world: &World<'_>) -> Vec<&'static str> {
    let ending = |id: &String| match &world.events[id] {
        Data::RepliesDone(done) => Some(done.ending.kind()),
        _ => None,
    };
    world.order.iter().filter_map(ending).collect()
}

#[test]
fn held_replies_go_out_in_order_when_the_customer_writes_again_whatever_happens() {
    let mut chosen = reply("m-3", "");
    chosen.template = Some(handoffd_contract::event::Template {
        name: "reopen_chat".into(),
        language: "en_US".into(),
        parameters: Vec::new(),
    });
    let story = vec![
        Chapter::Act(json!({"act": "text", "from": CUSTOMER, "name": "Ana", "text": "Hi"})),
        Chapter::Items(vec![replied("e-0", reply("m-0", "In the window."))]),
        Chapter::Pass(SignedDuration::from_hours(25)),
        Chapter::Items(vec![
            replied("e-1", reply("m-1", "First.")),
            replied("e-2", reply("m-2", "Second.")),
        ]),
        Chapter::Items(vec![replied("e-3", chosen), item("e-4", ended())]),
        Chapter::Act(json!({"act": "text", "from": CUSTOMER, "text": "Yes?"})),
    ];
    let connector = cloud(json!({}));
    let (quiet, _) = enumerate(&*connector, &story, 2);
    assert_eq!(
        quiet.texts(),
        [
            "In the window.",
            "We have an answer for you. Reply to read it.",
            "First.",
            "Second."
        ]
    );
    let held: Vec<_> = quiet
        .told()
        .into_iter()
        .filter(|(_, state, _)| state == "Held")
        .collect();
    assert_eq!(
        held.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(),
        ["m-1", "m-2"]
    );
    assert!(
        held[0].2.contains("closed at 2026-11-21 09:00 UTC"),
        "{}",
        held[0].2
    );
    assert_eq!(passed(&quiet), ["rep.ended"]);
    let last = quiet
        .log
        .iter()
        .rposition(|line| line.contains("message.send"));
    let ending = quiet
        .log
        .iter()
        .position(|line| line.contains("ending.pass"));
    assert!(ending > last, "held replies come first");
    assert_eq!(outcome(&quiet.sandbox.view())["undelivered"], 0);
}

#[test]
fn the_gateway_gets_every_message_once_by_its_id() {
    let connector = gateway(json!({}));
    let sandbox = || -> Box<dyn Sandbox> {
        let mut sandbox = handoffd_whatsapp::sandbox();
        let act = json!({"act": "text", "from": CUSTOMER, "name": "Ana", "text": "Where is it?"});
        sandbox.act(start(), &act).expect("an act");
        sandbox
    };
    let chapters = story(false)
        .into_iter()
        .filter_map(|chapter| {
            if let Chapter::Items(items) = chapter {
                Some(items)
            } else {
                None
            }
        })
        .collect();
    let stage = Stage {
        connector: &*connector,
        sandbox: &sandbox,
        outcome: &outcome,
        media: &crate::cast::media,
        session: Session {
            id: "s-1".into(),
            business_number: "+15550783881".into(),
            ..Session::default()
        },
        contact: Contact {
            wa_id: Some(CUSTOMER.into()),
            ..Contact::default()
        },
        start: start(),
        last_inbound: Some(start()),
        chapters,
    };
    let report = prove(&stage, 2);
    assert!(report.runs > 200, "{} runs", report.runs);
    assert_eq!(
        report.outcome["conversation"].as_array().map(Vec::len),
        Some(4)
    );
    for ending in ["passed/e-5", "passed/e-5-back"] {
        assert!(
            report.events.contains_key(ending),
            "{:?}",
            report.events.keys()
        );
    }
    assert_eq!(report.outcome["wrong"], json!([]));
}

/// A send whose answer was lost: with a status it goes on, without one a person is asked, and in
/// neither case is it sent a second time.
#[test]
fn an_unknown_outcome_is_settled_by_a_status_or_by_a_person() {
    let connector = cloud(json!({"reconcile_seconds": 60}));
    let begin = [
        Chapter::Act(json!({"act": "text", "from": CUSTOMER, "text": "Hi"})),
        Chapter::Switch("drop_statuses", json!(true)),
    ];
    let mut world = World::new(&*connector);
    world.play(&begin).expect("a quiet start");
    world.mishaps = BTreeMap::from([(0, Mishap::AnswerLost)]);
    // The operator's look at the phone finds the message there: without a status the lane parks.
    let parked = world.play(&[Chapter::Items(vec![replied("e-1", reply("m-1", "Once."))])]);
    let error = parked.expect_err("no status, so it must park");
    assert!(error.contains("although it is on the phone"), "{error}");
    assert!(world.now >= start() + SignedDuration::from_secs(60));
    assert_eq!(world.texts(), ["Once."]);
    // A status that comes after all settles it, even now.
    let reference = world.conversation()[1]["reference"]
        .as_str()
        .map(str::to_owned);
    let status = MessageStatus {
        message_id: Some("wamid.late".into()),
        reference,
        status: DeliveryState::Delivered,
        error_code: None,
        error: None,
    };
    world
        .play(&[Chapter::Items(vec![item(
            "st-1",
            Data::MessageStatus(status),
        )])])
        .expect("goes on");
    assert_eq!(world.known.get("sent/e-1/0"), Some("wamid.late"));
    assert_eq!(world.texts(), ["Once."]);
    assert_eq!(
        world.told().last().map(|(_, state, _)| state.as_str()),
        Some("Delivered")
    );
}

/// What statuses do to the news for the rep must not depend on their order, on repeats or on gaps.
#[test]
fn statuses_may_be_reordered_repeated_and_left_out() {
    let connector = cloud(json!({}));
    for switch in [
        "reorder_statuses",
        "duplicate_statuses",
        "skip_delivered",
        "auto_read",
    ] {
        let mut story = story(true);
        story.insert(0, Chapter::Switch(switch, json!(true)));
        let world = run(&*connector, &story, BTreeMap::new());
        let ranks: Vec<String> = world
            .told()
            .into_iter()
            .filter(|(id, ..)| id == "m-1")
            .map(|(_, state, _)| state)
            .collect();
        assert_eq!(ranks.last().map(String::as_str), Some("Read"), "{switch}");
        assert_eq!(ranks.first().map(String::as_str), Some("Sent"), "{switch}");
    }
}
