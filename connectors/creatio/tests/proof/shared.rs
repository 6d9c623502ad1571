//! All cases share one poll, and each is read by itself now and then for what that cannot tell.

use handoffd_contract::{Feed, Inbound, InboundKind};
use serde_json::{Value, json};

use crate::common::*;
use crate::polls::{Scene, texts};

fn files(heard: &[Inbound]) -> Vec<&str> {
    heard
        .iter()
        .map(|heard| heard.id.split('/').next().unwrap())
        .collect()
}

fn attach(scene: &mut Scene, to: &Value, name: &str) {
    let act =
        json!({ "act": "attach", "activity": to["activity"], "name": name, "base64": "JVBERg==" });
    scene.act(act);
}

/// A draft with a file, completed: the order in which reps must work.
fn with_file(scene: &mut Scene, text: &str) -> Value {
    let draft = scene.act(json!({ "act": "task", "title": "Answer", "text": text, "draft": true }));
    attach(scene, &draft, "receipt.pdf");
    scene.act(json!({ "act": "complete", "activity": draft["activity"] }));
    draft
}

#[test]
fn one_read_hears_the_reps_of_all_cases() {
    let mut scene = Scene::new(json!({}));
    let other = {
        let mut contact = ana();
        contact.wa_id = Some("34600999888".into());
        contact.phone = None;
        connector_run(&*scene.connector, &mut *scene.site, "s-2", &contact)
    };
    scene.poll();
    scene.reads.clear();
    for (case, text) in [(&scene.known, "for Ana"), (&other, "for the other")]
        .map(|(known, text)| (known.get("case").unwrap().to_owned(), text))
    {
        scene.act(json!({ "act": "reply", "case": case, "text": text }));
        scene.seconds -= 15;
    }
    let heard = scene.round();
    assert_eq!(texts(&heard), ["for Ana", "for the other"]);
    // One read for all, and one for each reply's files.
    assert_eq!(scene.reads, ["cases", "activity_files", "activity_files"]);
    // Whoever asks, it is the same read, whatever the number of cases.
    let feed = |session: &str, known| {
        let mut work = work(&ana(), Vec::new());
        work.session.id = session.into();
        match scene
            .connector
            .feed(&work, known, Some("1795168800000 0 - "))
        {
            Some(Feed::Poll { key, read, .. }) => (key, read),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(feed("s-1", &scene.known), feed("s-2", &other));
}

#[test]
fn a_case_is_read_by_itself_at_first_and_then_once_a_minute() {
    let mut scene = Scene::new(json!({}));
    let mut rounds = Vec::new();
    for _ in 0..12 {
        scene.reads.clear();
        scene.round();
        scene.seconds += 15;
        rounds.push(scene.reads.len());
    }
    assert_eq!(rounds, [2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1]);
}

#[test]
fn a_reply_from_before_the_case_was_known_is_heard_by_the_cases_own_read() {
    let mut scene = Scene::new(json!({}));
    let case = scene.known.0.remove("case").unwrap();
    scene.act(json!({ "act": "reply", "text": "Hello" }));
    scene.seconds += 3_600;
    scene.known.0.insert("case".into(), case);
    assert_eq!(texts(&scene.round()), ["Hello"]);
}

#[test]
fn of_what_a_sites_people_complete_only_what_may_be_a_reply_is_read() {
    for database in ["postgres", "mssql"] {
        let mut scene = Scene::new(json!({}));
        scene.site.switch("database", &json!(database)).unwrap();
        scene.poll();
        for n in 0..60 {
            scene.act(json!({ "act": "task", "text": format!("call number {n}") }));
        }
        scene.act(json!({ "act": "task", "title": "/WA", "text": "Hello" }));
        scene
            .act(json!({ "act": "task", "title": "x", "text": "<p>/wa And a <b>voucher</b></p>" }));
        let heard = scene.round();
        assert_eq!(
            texts(&heard),
            ["Hello", "And a voucher"],
            "a page is no limit"
        );
    }
}

#[test]
fn a_replys_file_goes_before_its_text_and_is_read_once() {
    for more in [
        json!({}),
        json!({ "batch": false }),
        json!({ "poll_seconds": 0 }),
    ] {
        let by_webhook = more["poll_seconds"] == 0;
        let mut scene = Scene::new(more);
        scene
            .site
            .switch("webhook_url", &json!("http://127.0.0.1/hook"))
            .unwrap();
        let hear = |scene: &mut Scene| match by_webhook {
            true => scene.webhooks(),
            false => scene.poll(),
        };
        hear(&mut scene);
        with_file(&mut scene, "/wa Your receipt");
        let heard = hear(&mut scene);
        assert_eq!(files(&heard), ["file", "activity"]);
        with_file(&mut scene, "/wa");
        assert_eq!(
            files(&hear(&mut scene)).first(),
            Some(&"file"),
            "a title is no text of a marked reply"
        );
        with_file(&mut scene, "internal");
        assert_eq!(files(&hear(&mut scene)), [""; 0]);
        scene.reads.clear();
        for _ in 0..3 {
            assert_eq!(hear(&mut scene), []);
        }
        assert!(
            !scene
                .reads
                .iter()
                .any(|tag| tag.contains("file") && *tag != "files"),
            "{:?}",
            scene.reads
        );
    }
}

#[test]
fn a_file_that_is_attached_after_the_reply_was_completed_follows_it() {
    let mut scene = Scene::new(json!({}));
    let reply = scene.act(json!({ "act": "reply", "text": "See below" }));
    assert_eq!(files(&scene.poll()), ["activity"]);
    attach(&mut scene, &reply, "late.pdf");
    assert_eq!(files(&scene.poll()), ["file"]);
    let task = scene.act(json!({ "act": "task", "text": "internal" }));
    attach(&mut scene, &task, "internal.pdf");
    scene.poll();
    scene.reads.clear();
    assert_eq!(scene.poll(), []);
    assert!(!scene.reads.contains(&"file"), "{:?}", scene.reads);
}

#[test]
fn files_that_may_not_be_read_do_not_keep_the_text_back() {
    for batch in [true, false] {
        let mut scene = Scene::new(json!({ "batch": batch }));
        scene
            .site
            .switch("deny", &json!(["ActivityFile:read"]))
            .unwrap();
        scene.act(json!({ "act": "reply", "text": "Hello" }));
        assert_eq!(texts(&scene.round()), ["Hello"]);
    }
}

#[test]
fn another_owner_is_heard_and_the_one_it_was_made_with_is_not() {
    let reps = |heard: Vec<Inbound>| -> Vec<Option<String>> {
        heard
            .into_iter()
            .map(|heard| match heard.kind {
                InboundKind::Assigned { rep } => rep,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    for set in [true, false] {
        let owner = site().credentials("https://acme.creatio.com")["settings"]["owner_id"].clone();
        let settings = if set {
            json!({ "owner_id": owner })
        } else {
            json!({})
        };
        let mut scene = Scene::new(settings);
        assert_eq!(reps(scene.poll()), []);
        for rep in ["Sam Support", "Rosa Rep", "Sam Support"] {
            scene.act(json!({ "act": "transfer", "to": rep }));
            assert_eq!(reps(scene.poll()), [Some(rep.to_owned())], "{set}");
            assert_eq!(reps(scene.poll()), []);
        }
    }
    // A rep took it before it was read for the first time.
    let mut scene = Scene::new(json!({}));
    scene.act(json!({ "act": "transfer", "to": "Sam Support" }));
    assert_eq!(reps(scene.poll()), [Some("Sam Support".to_owned())]);
}

#[test]
fn endings_of_other_peoples_cases_are_told_once() {
    let mut scene = Scene::new(json!({}));
    scene.poll();
    let contact = scene.site.view()["contacts"][0]["id"].clone();
    let other = scene.act(json!({ "act": "case", "subject": "Not ours", "contact": contact }));
    scene.act(json!({ "act": "close", "case": other["case"] }));
    let ended = |heard: Vec<Inbound>| {
        heard
            .iter()
            .filter(|heard| matches!(heard.kind, InboundKind::Ended { .. }))
            .count()
    };
    assert_eq!(ended(scene.round()), 1);
    let case = scene.known.get("case").unwrap().to_owned();
    scene.act(json!({ "act": "resolve", "case": case }));
    // It is heard with what all share, long before the case is read by itself.
    assert_eq!(ended(scene.round()), 1);
    assert_eq!(ended(scene.poll()), 0);
}

#[test]
fn hundreds_of_cases_that_end_in_one_moment_hide_none() {
    let mut scene = Scene::new(json!({}));
    let contact = scene.site.view()["contacts"][0]["id"].clone();
    let ours = scene.known.get("case").unwrap().to_owned();
    let mut cases = vec![ours.clone()];
    for n in 0..130 {
        let act = json!({ "act": "case", "subject": format!("case {n}"), "contact": contact });
        let made = scene.site.act(at(100), &act).unwrap();
        cases.push(made["case"].as_str().unwrap().to_owned());
    }
    for case in &cases {
        let act = json!({ "act": "close", "case": case });
        scene.site.act(at(200), &act).unwrap();
    }
    scene.seconds = 210;
    let mut ended = Vec::new();
    for _ in 0..6 {
        ended.extend(scene.round().into_iter().map(|heard| heard.id));
    }
    assert_eq!(ended.len(), 131);
    assert!(ended.contains(&format!("ended/{ours}")));
    // A reply is not behind them, and later endings are heard at once.
    scene.act(json!({ "act": "reply", "case": ours, "text": "one more thing" }));
    assert_eq!(texts(&scene.round()), ["one more thing"]);
    let made = scene.act(json!({ "act": "case", "subject": "later", "contact": contact }));
    scene.act(json!({ "act": "close", "case": made["case"] }));
    assert_eq!(scene.round().len(), 1);
}
