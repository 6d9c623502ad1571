//! What the customer is told of the conversation itself: in order, at most once, and never in the way
//! of a reply.

use std::collections::BTreeMap;

use handoffd_contract::event::{CustomerNotice, Notice, SessionState};
use handoffd_contract::proof::Mishap;
use handoffd_contract::{Connector, Controller, Data, Item, Known, Rendered};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cast::{cloud, gateway, item, replied, reply, start};
use crate::world::{Chapter, World, hello, items, play};

/// A notice with its text, as the engine renders it.
pub fn notice(id: &str, kind: Notice, text: &str) -> Item {
    let fields = BTreeMap::from([(kind.word().to_owned(), json!(text))]);
    Item {
        rendered: Some(Rendered {
            sections: BTreeMap::from([("notices".to_owned(), fields)]),
            ..Rendered::default()
        }),
        ..off(id, kind)
    }
}

/// A notice that the mapping has no text for.
fn off(id: &str, kind: Notice) -> Item {
    let notice = CustomerNotice {
        target: Some("crm".into()),
        rep: Some("Rita".into()),
        ..CustomerNotice::new(kind, start())
    };
    item(id, Data::CustomerNotice(notice))
}

fn in_charge(id: &str, controller: Controller) -> Item {
    let state = SessionState {
        controller,
        since: start(),
        handoff: None,
    };
    item(id, Data::SessionState(state))
}

/// A rep has the conversation.
pub fn rep(id: &str) -> Item {
    let controller = Controller::Rep {
        target: "crm".into(),
        name: Some("Rita".into()),
    };
    in_charge(id, controller)
}

fn closed(id: &str) -> Item {
    let controller = Controller::Closed {
        by: "crm".into(),
        resolved: None,
    };
    in_charge(id, controller)
}

const TOLD: [&str; 4] = [
    "Please wait.",
    "Rita is here.",
    "It has ended.",
    "How was it?",
];

/// From the queue to the end, with replies in between.
fn story() -> Vec<Chapter> {
    vec![
        hello(),
        items(vec![notice("n-1", Notice::Queued, TOLD[0])]),
        items(vec![
            rep("s-1"),
            notice("n-2", Notice::Joined, TOLD[1]),
            replied("e-1", reply("m-1", "Hello, this is Rita.")),
        ]),
        items(vec![
            replied("e-2", reply("m-2", "Good-bye.")),
            closed("s-2"),
            notice("n-3", Notice::Ended, TOLD[2]),
            notice("n-4", Notice::Csat, TOLD[3]),
        ]),
    ]
}

const WHOLE: [&str; 6] = [
    TOLD[0],
    TOLD[1],
    "Hello, this is Rita.",
    "Good-bye.",
    TOLD[2],
    TOLD[3],
];

/// Plays the story with up to two mishaps; `judge` is given the mishaps and how the run ended.
fn enumerate(
    connector: &dyn Connector,
    judge: impl Fn(&BTreeMap<usize, Mishap>, &World<'_>),
) -> usize {
    let story = story();
    let run = |mishaps: &BTreeMap<usize, Mishap>| {
        let mut world = World::new(connector);
        world.mishaps = mishaps.clone();
        if let Err(error) = world.play(&story) {
            panic!("with {mishaps:?}: {error}\n{}", world.tail());
        }
        judge(mishaps, &world);
        world.rests();
        world.calls
    };
    let mut runs = 1;
    let quiet = run(&BTreeMap::new());
    for first in 0..quiet {
        for mishap in Mishap::ALL {
            let mut mishaps = BTreeMap::from([(first, *mishap)]);
            let calls = run(&mishaps);
            runs += 1;
            for second in first + 1..calls {
                for other in Mishap::ALL {
                    mishaps.insert(second, *other);
                    run(&mishaps);
                    runs += 1;
                    mishaps.remove(&second);
                }
            }
        }
    }
    runs
}

fn is_notice(text: &str) -> bool {
    TOLD.contains(&text)
}

#[test]
fn by_the_gateway_every_notice_arrives_once_and_in_order() {
    let connector = gateway(json!({"endings": false}));
    let runs = enumerate(&*connector, |mishaps, world| {
        assert_eq!(world.texts(), WHOLE, "with {mishaps:?}\n{}", world.tail());
        assert_eq!(world.sandbox.view()["gateway"]["wrong"], json!([]));
    });
    assert!(runs > 500, "{runs} runs");
}

/// There is no idempotency key, so what may have left is not sent again, and replies go on.
#[test]
fn by_the_cloud_api_no_notice_arrives_twice_and_none_stands_in_the_way() {
    let connector = cloud(json!({"endings": false}));
    let runs = enumerate(&*connector, |mishaps, world| {
        let texts = world.texts();
        let mut whole = WHOLE.iter();
        let in_order = texts.iter().all(|text| whole.any(|wanted| wanted == text));
        assert!(in_order, "with {mishaps:?}: {texts:?}\n{}", world.tail());
        let replies = texts.iter().filter(|text| !is_notice(text)).count();
        assert_eq!(replies, 2, "with {mishaps:?}: {texts:?}");
        // A crash before the call, and a 503 that says nothing, may be a send that had its effect.
        let is_unclear = |one: &Mishap| matches!(one, Mishap::CrashBefore | Mishap::Unavailable);
        if !mishaps.values().any(is_unclear) {
            assert_eq!(texts, WHOLE, "with {mishaps:?}");
        }
        let told = world.told();
        let of_replies = |id: &str| ["m-1", "m-2"].contains(&id);
        assert!(told.iter().all(|(id, ..)| of_replies(id)), "{told:?}");
    });
    assert!(runs > 500, "{runs} runs");
}

#[test]
fn the_gateway_is_told_that_it_is_a_notice() {
    let connector = gateway(json!({"endings": false}));
    let mut world = World::new(&*connector);
    world.play(&[hello()]).expect("settles");
    world.items = vec![rep("s-1"), notice("n-1", Notice::Joined, "Rita is here.")];
    let open = connector.next(&world.work(), &world.known).expect("a plan");
    let handoffd_contract::Call::Record(record) = &open[0].call else {
        panic!("{open:?}");
    };
    for (fact, value) in &record.facts {
        world.known.set(fact, value);
    }
    let steps = connector.next(&world.work(), &world.known).expect("a plan");
    let handoffd_contract::Call::Publish(publish) = &steps[0].call else {
        panic!("{steps:?}");
    };
    let data = &publish.body["data"];
    assert_eq!(publish.body["type"], "reply.requested");
    assert_eq!(data["notice"], "joined");
    assert_eq!(data["target"], "crm");
    assert_eq!(
        data["message"],
        json!({"type": "text", "text": {"body": "Rita is here."}})
    );
    assert_eq!(data["reference"], publish.message_id.as_str());
    assert!(data.get("reply_message_id").is_none() && data.get("author").is_none());
    assert!(steps[0].not_after.is_some(), "free text has a time limit");
}

/// How a notice that could not leave was dropped.
fn dropped(known: &Known, id: &str) -> String {
    let fact = format!("sent/{id}/n");
    match known.refused(&fact) {
        Some((reason, _)) => reason.label().to_owned(),
        None => known.get(&fact).unwrap_or_default().to_owned(),
    }
}

#[test]
fn outside_the_window_a_notice_is_dropped_and_a_reply_waits() {
    let connector = cloud(json!({"endings": false, "fallback": "template",
        "fallback_template": {"name": "reopen_chat", "language": "en_US", "parameters": ["{reply}"]}}));
    let mut world = play(&*connector, &[hello()]);
    world.now += SignedDuration::from_hours(25);
    let story = [items(vec![
        notice("n-1", Notice::Queued, "Please wait."),
        notice("n-2", Notice::Unattended, "Nobody is there."),
    ])];
    world.play(&story).expect("settles");
    assert_eq!((world.held.clone(), world.sends()), (None, 0));
    assert_eq!(dropped(&world.known, "n-1"), "window-closed");
    assert_eq!(dropped(&world.known, "n-2"), "window-closed");
    // WhatsApp itself says that it is closed.
    let connector = cloud(json!({"endings": false}));
    let story = [
        hello(),
        Chapter::Switch("window_error_sync", json!(true)),
        Chapter::Switch("fail_next", json!({"code": 131047, "count": 1})),
        items(vec![notice("n-1", Notice::Queued, "Please wait.")]),
    ];
    let world = play(&*connector, &story);
    assert_eq!(dropped(&world.known, "n-1"), "window-closed");
    assert_eq!(world.held, None);
    world.rests();
}

#[test]
fn a_refused_notice_is_dropped_and_no_rep_is_told() {
    let connector = cloud(json!({"endings": false}));
    for (switch, word) in [("fail_next", "recipient"), ("fail_later", "")] {
        let story = [
            hello(),
            Chapter::Switch(switch, json!({"code": 131026, "count": 1})),
            items(vec![
                notice("n-1", Notice::Queued, "Please wait."),
                replied("e-1", reply("m-1", "Hello.")),
            ]),
        ];
        let world = play(&*connector, &story);
        if !word.is_empty() {
            assert_eq!(dropped(&world.known, "n-1"), word);
        }
        assert_eq!(world.texts(), ["Hello."], "{switch}");
        let failed = world.told().iter().any(|(_, state, _)| state == "Failed");
        assert!(!failed, "{switch}: {:?}", world.told());
        world.rests();
    }
    // Nobody can be reached: a reply parks, a notice does not.
    let mut world = World::new(&*connector);
    world.play(&[hello()]).expect("settles");
    world.contact = Default::default();
    let told = [items(vec![notice("n-1", Notice::Queued, "Please wait.")])];
    world.play(&told).expect("settles");
    assert_eq!(dropped(&world.known, "n-1"), "no-customer");
}

/// Events that come together, which notices are dropped and why, and what the phone shows.
type Passed = (
    Vec<Item>,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

#[test]
fn what_has_passed_is_not_told() {
    let connector = cloud(json!({"endings": false}));
    let returned = |id: &str| {
        let by = "customer".to_owned();
        in_charge(id, Controller::Returned { by })
    };
    let queued = |id: &str| in_charge(id, Controller::queued(None));
    let table: [Passed; 6] = [
        (
            vec![
                notice("n-1", Notice::Position, "3."),
                notice("n-2", Notice::Position, "2."),
            ],
            &[("n-1", "no longer true")],
            &["2."],
        ),
        (
            vec![
                notice("n-1", Notice::Queued, "Wait."),
                notice("n-2", Notice::Position, "2."),
                rep("s-1"),
                notice("n-3", Notice::Joined, "Here."),
            ],
            &[("n-1", "no longer true"), ("n-2", "no longer true")],
            &["Here."],
        ),
        (
            vec![
                rep("s-1"),
                notice("n-1", Notice::Joined, "Here."),
                closed("s-2"),
                notice("n-2", Notice::Ended, "Ended."),
            ],
            &[("n-1", "no longer true")],
            &["Ended."],
        ),
        (
            vec![
                closed("s-1"),
                notice("n-1", Notice::Csat, "How?"),
                queued("s-2"),
                notice("n-2", Notice::Queued, "Wait."),
            ],
            &[("n-1", "no longer true")],
            &["Wait."],
        ),
        (
            vec![
                returned("s-1"),
                notice("n-1", Notice::Unattended, "Nobody."),
                notice("n-2", Notice::Cancelled, "You left."),
            ],
            &[],
            &["Nobody.", "You left."],
        ),
        (
            vec![off("n-1", Notice::Queued), notice("n-2", Notice::Left, " ")],
            &[("n-1", "off"), ("n-2", "off")],
            &[],
        ),
    ];
    for (story, gone, told) in table {
        let world = play(&*connector, &[hello(), items(story)]);
        for (id, why) in gone {
            assert_eq!(dropped(&world.known, id), *why, "{id}");
        }
        assert_eq!(world.texts(), told);
        world.rests();
    }
}

#[test]
fn an_outage_costs_notices_and_no_reply() {
    let connector = gateway(json!({"endings": false}));
    let mut world = play(&*connector, &[hello()]);
    let story = [
        Chapter::Switch("gateway_bound", json!(false)),
        items(vec![notice("n-1", Notice::Queued, "Please wait.")]),
    ];
    world.play(&story).expect("it is tried for some minutes");
    assert_eq!(dropped(&world.known, "n-1"), "late");
    assert_eq!(world.held, None, "nothing waits for it");
    let story = [
        Chapter::Switch("gateway_bound", json!(true)),
        items(vec![replied("e-1", reply("m-1", "Hello."))]),
    ];
    world.play(&story).expect("settles");
    assert_eq!(world.texts(), ["Hello."]);
}

#[test]
fn a_long_text_is_one_message() {
    let connector = cloud(json!({"endings": false, "wait_delivered": true}));
    let story = [
        hello(),
        items(vec![
            notice("n-1", Notice::Queued, &"word ".repeat(1_000)),
            replied("e-1", reply("m-1", "Hello.")),
        ]),
    ];
    let world = play(&*connector, &story);
    let texts = world.texts();
    assert_eq!((texts.len(), texts[1].as_str()), (2, "Hello."));
    assert!(texts[0].encode_utf16().count() <= 4_096);
    let waited = world.now.duration_since(start());
    assert!(
        waited < SignedDuration::from_secs(25),
        "it is known to have arrived: {waited:?}"
    );
}

/// An older ledger's facts are read: they know nothing of notices.
#[test]
fn a_reference_of_a_reply_is_still_a_replys() {
    let kept =
        json!({"target": "crm", "message": "m", "item": "e", "slot": "0", "label": "The message"});
    let connector = cloud(json!({"endings": false}));
    let mut world = World::new(&*connector);
    world
        .known
        .set("ref/0123456789abcdef0123", kept.to_string());
    let status: Value =
        json!({"reference": "0123456789abcdef0123", "status": "failed", "error_code": 131026});
    let status = Data::MessageStatus(serde_json::from_value(status).expect("a status"));
    world
        .play(&[items(vec![item("st", status)])])
        .expect("settles");
    let told = world.told();
    assert_eq!((told[0].0.as_str(), told[0].1.as_str()), ("m", "Failed"));
}
