//! Files of a reply.

use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Call, MediaProblem, Reason, Reply, Source, Verdict};
use serde_json::json;

use crate::cast::{cloud, file, replied, reply};
use crate::world::{Chapter, World, hello, items, play, states};

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
