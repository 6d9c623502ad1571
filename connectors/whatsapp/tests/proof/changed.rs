//! What a rep is told of a reply that the customer gets in another form than it was written in.

use handoffd_contract::{Known, Reason, Stop};
use jiff::SignedDuration;
use serde_json::json;

use crate::cast::{cloud, file, replied, reply};
use crate::world::{Chapter, World, hello, items, play, states};

#[test]
fn a_text_that_went_inside_a_template_is_told() {
    let connector = cloud(json!({"fallback": "template"}));
    let mut world = play(
        &*connector,
        &[
            hello(),
            Chapter::Pass(SignedDuration::from_hours(24)),
            items(vec![replied("e-1", reply("m-1", "Here you are."))]),
        ],
    );
    assert_eq!(states(&world), ["m-1 Sent", "m-1 Sent", "m-1 Delivered"]);
    let (_, _, detail) = &world.told()[0];
    assert!(
        detail.starts_with(
            "WhatsApp's 24-hour window was closed, so the text went inside the template "
        ),
        "{detail}"
    );
    world.play(&[hello()]).expect("goes on");
    assert_eq!(states(&world).len(), 3, "once");
    world.rests();
}

#[test]
fn what_waits_beside_the_template_or_is_too_long_for_it_is_told_at_once() {
    let connector = cloud(json!({"fallback": "template"}));
    let mut with_file = reply("m-1", "Here you are.");
    with_file
        .attachments
        .push(file("invoice", "application/pdf", "invoice.pdf"));
    let world = play(
        &*connector,
        &[
            hello(),
            Chapter::Pass(SignedDuration::from_hours(24)),
            items(vec![
                replied("e-1", with_file),
                replied("e-2", reply("m-2", &"word ".repeat(200))),
            ]),
        ],
    );
    assert_eq!(states(&world), ["m-1 Held", "m-2 Held"]);
    let told = world.told();
    assert!(
        told[0].2.contains(" Its text went inside the template "),
        "{told:?}"
    );
    assert!(
        told[1].2.contains("too long for the template") && told[1].2.contains("900 characters"),
        "{told:?}"
    );
    // Without a template there is none to speak of.
    let connector = cloud(json!({}));
    let long = items(vec![replied("e-2", reply("m-2", &"word ".repeat(200)))]);
    let world = play(
        &*connector,
        &[hello(), Chapter::Pass(SignedDuration::from_hours(24)), long],
    );
    assert!(
        !world.told()[0].2.contains("template"),
        "{:?}",
        world.told()
    );
}

#[test]
fn a_file_that_went_as_a_link_is_told_with_the_reason() {
    let connector = cloud(json!({}));
    let mut first = reply("m-1", "All of it.");
    first.attachments = vec![
        file("large-film", "video/mp4", "film.mp4"),
        file("archive", "application/zip", "all.zip"),
    ];
    let world = play(&*connector, &[hello(), items(vec![replied("e-1", first)])]);
    assert_eq!(states(&world), ["m-1 Sent", "m-1 Sent", "m-1 Delivered"]);
    let (_, _, detail) = &world.told()[0];
    for part in [
        "The file film.mp4 went as a link: the file is larger than",
        "The file all.zip went as a link: WhatsApp does not take files of this type.",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
}

#[test]
fn a_file_that_cannot_be_fetched_is_told_within_seconds() {
    let connector = cloud(json!({}));
    let mut world = World::new(&*connector);
    world.last_inbound = Some(world.now);
    world.items = vec![replied("e-1", reply("m-1", "x"))];
    let stop = Stop::new(
        Reason::MediaUnavailable,
        "the file's source could not be reached",
    );
    let first = connector.waiting(&world.work(), &Known::default(), &stop);
    let again = first.again.expect("soon");
    assert_eq!(again, world.now + SignedDuration::from_secs(5));
    for (name, value) in first.record.facts {
        world.known.set(name, value);
    }
    world.now = again;
    let told = connector.waiting(&world.work(), &world.known, &stop);
    assert_eq!(told.record.events.len(), 1);
}

#[test]
fn a_template_that_was_refused_carried_nothing() {
    let connector = cloud(json!({"fallback": "template"}));
    let mut with_file = reply("m-1", "Here you are.");
    with_file
        .attachments
        .push(file("invoice", "application/pdf", "invoice.pdf"));
    let world = play(
        &*connector,
        &[
            hello(),
            Chapter::Pass(SignedDuration::from_hours(24)),
            Chapter::Switch("fail_next", json!({"code": 132015, "count": 1})),
            items(vec![replied("e-1", with_file)]),
        ],
    );
    assert_eq!(states(&world), ["m-1 Failed", "m-1 Held"]);
    let told = world.told();
    assert!(
        !told
            .iter()
            .any(|(_, _, detail)| detail.contains("went inside")),
        "{told:?}"
    );
}
