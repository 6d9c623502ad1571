//! Failures that end a message, that make it wait, and that nobody can know about; and limits.

use handoffd_contract::{Reason, Settled};
use serde_json::json;

use crate::cast::{CUSTOMER, cloud, file, gateway, replied, reply};
use crate::world::{Chapter, World, hello, items, play, states};

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

/// A person says that it happened: what it was is not known, and it is not a failure.
#[test]
fn what_a_person_settled_is_neither_sent_again_nor_told_as_failed() {
    let connector = cloud(json!({}));
    let by_person = || Settled::refused(Reason::UnknownOutcome, "a person said so");
    for (why, told) in [
        (by_person(), "m-1 Sent"),
        (Settled::refused(Reason::Content, "no"), "m-1 Failed"),
    ] {
        let mut world = World::new(&*connector);
        world.known.set("sent/e-1/0", why);
        world
            .play(&[hello(), items(vec![replied("e-1", reply("m-1", "One."))])])
            .expect("settles");
        assert_eq!((world.sends(), states(&world)), (0, vec![told.to_owned()]));
    }
    // An upload does nothing that the customer sees, so it is made again.
    let mut world = World::new(&*connector);
    let mut first = reply("m-1", "");
    first.attachments.push(file("a", "image/png", "a.png"));
    world.known.set("media/e-1/0", by_person());
    world
        .play(&[hello(), items(vec![replied("e-1", first)])])
        .expect("settles");
    assert_eq!(world.sends(), 1);
    assert!(world.known.get("media/e-1/0").is_some());
}

#[test]
fn a_refusal_keeps_its_code_for_the_rep() {
    let connector = cloud(json!({}));
    let world = play(
        &*connector,
        &[
            hello(),
            Chapter::Switch("fail_next", json!({"code": 131026, "count": 1})),
            items(vec![replied("e-1", reply("m-1", "One."))]),
        ],
    );
    let refused = world.known.refused("sent/e-1/0").map(|(reason, _)| reason);
    assert_eq!(refused, Some(Reason::Recipient));
    assert_eq!(world.known.get("code/e-1/0"), Some("131026"));
    let detail = &world.told()[0].2;
    assert!(detail.contains("(WhatsApp error 131026: "), "{detail}");
}
