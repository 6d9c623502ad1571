//! Polls and webhooks of a site on which reps act: each thing is heard once, and ours never.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use handoffd_contract::event::{AttachmentKind, AuthorKind};
use handoffd_contract::sandbox::{Delivery, Sandbox};
use handoffd_contract::{
    Connector, Feed, Frame, FrameContent, Inbound, InboundKind, Known, Source, Work,
};
use serde_json::{Value, json};

use crate::common::*;
use crate::webhooks::replied;

/// A case that the connector made, with its facts; the site's reps act on it.
pub struct Scene {
    pub connector: Box<dyn Connector>,
    pub site: Box<dyn Sandbox>,
    pub known: Known,
    cursor: Option<String>,
    /// Ids heard before, as the engine remembers them.
    before: BTreeSet<String>,
    pub seconds: i64,
    /// What was read, by its tags.
    pub reads: Vec<&'static str>,
}

impl Scene {
    pub fn new(more: Value) -> Scene {
        let connector = connector(more);
        let site: Box<dyn Sandbox> = site_with_ana();
        let story = vec![vec![item(
            "h1",
            0,
            handoff(vec![message("m1", -9, AuthorKind::Customer, "hi")]),
        )]];
        let report = handoffd_contract::proof::prove(&stage(&*connector, &site_with_ana, story), 0);
        let mut scene = Scene {
            connector,
            site,
            known: report.known,
            cursor: None,
            before: BTreeSet::new(),
            seconds: 10,
            reads: Vec::new(),
        };
        scene.play();
        scene
    }

    /// Plays the same handoff on the scene's own site.
    fn play(&mut self) {
        let work = self.work();
        let mut known = Known::default();
        for _ in 0..10 {
            for step in self.connector.next(&work, &known).unwrap() {
                match &step.call {
                    handoffd_contract::Call::Http(http) => {
                        let reply = reply(call(&mut *self.site, http));
                        let reply = handoffd_contract::Reply::Http(reply);
                        let verdict = self.connector.read(&step, &reply);
                        let before = known.clone();
                        let progress =
                            handoffd_contract::lane::settle(&mut known, &before, &step, verdict);
                        assert_eq!(progress, handoffd_contract::lane::Progress::Moved);
                    }
                    handoffd_contract::Call::Record(record) => {
                        record
                            .facts
                            .iter()
                            .for_each(|(name, value)| known.set(name.clone(), value.clone()));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        self.known = known;
    }

    fn work(&self) -> Work {
        Work {
            target: "crm".into(),
            session: session(),
            contact: ana(),
            items: vec![item(
                "h1",
                0,
                handoff(vec![message("m1", -9, AuthorKind::Customer, "hi")]),
            )],
            last_inbound: Some(at(-9)),
            now: at(self.seconds),
            controller: handoffd_contract::Controller::queued(None),
        }
    }

    pub fn act(&mut self, act: Value) -> Value {
        self.seconds += 30;
        self.site.act(at(self.seconds), &act).unwrap()
    }

    /// What the engine would pass on of a hearing: not twice, and not our own.
    pub fn pass(&mut self, hearing: FrameContent) -> Vec<Inbound> {
        let mut passed: Vec<Inbound> = Vec::new();
        let mut queue = VecDeque::from([hearing]);
        while let Some(hearing) = queue.pop_front() {
            if let Some(cursor) = hearing.cursor {
                self.cursor = Some(cursor);
            }
            for read in hearing.fetch {
                self.reads.push(read.tag);
                let reply = reply(call(&mut *self.site, &read.call));
                queue.push_back(
                    self.connector
                        .hear(&Frame::Reply {
                            read: &read,
                            reply: &reply,
                        })
                        .unwrap(),
                );
            }
            for heard in hearing.heard {
                if let InboundKind::Facts(facts) = heard.kind {
                    for (name, value) in facts {
                        self.known.set(name, value);
                    }
                    continue;
                }
                let ours = heard.echo.as_deref().is_some_and(|echo| {
                    self.known.0.values().any(
                        |fact| matches!(fact, handoffd_contract::Fact::Is(value) if value == echo),
                    )
                });
                if !ours && self.before.insert(heard.id.clone()) {
                    passed.push(heard);
                }
            }
        }
        passed
    }

    /// One round: what all cases share, and the case's own read when it is time for it.
    pub fn round(&mut self) -> Vec<Inbound> {
        let feed = self
            .connector
            .feed(&self.work(), &self.known, self.cursor.as_deref());
        let Some(Feed::Poll { read, backfill, .. }) = feed else {
            panic!("{feed:?}")
        };
        let mut heard = Vec::new();
        for read in std::iter::once(read).chain(backfill) {
            self.reads.push(read.tag);
            let reply = reply(call(&mut *self.site, &read.call));
            let hearing = self
                .connector
                .hear(&Frame::Reply {
                    read: &read,
                    reply: &reply,
                })
                .unwrap();
            heard.extend(self.pass(hearing));
        }
        heard
    }

    /// A round in which the case is read by itself, too.
    pub fn poll(&mut self) -> Vec<Inbound> {
        self.seconds += 60;
        self.round()
    }

    /// What is read before a rep's reply is taken; `None` when nothing is.
    fn catch_up(&mut self) -> Option<Vec<Inbound>> {
        let read = self.connector.catch_up(&self.work(), &self.known)?;
        let fetch = FrameContent {
            fetch: vec![read],
            ..FrameContent::default()
        };
        Some(self.pass(fetch))
    }

    pub fn webhooks(&mut self) -> Vec<Inbound> {
        let mut all = Vec::new();
        for Delivery { id, body, .. } in self.site.deliveries(at(self.seconds + 60)) {
            let hearing = self
                .connector
                .hear(&Frame::Webhook {
                    headers: &[],
                    body: &body,
                })
                .unwrap();
            all.extend(self.pass(hearing));
            self.site.delivered(at(self.seconds + 60), id, Some(200));
        }
        all
    }
}

pub fn texts(heard: &[Inbound]) -> Vec<String> {
    heard
        .iter()
        .filter_map(|heard| replied(heard).text.clone())
        .collect()
}

#[test]
fn a_poll_hears_replies_files_and_closures_once() {
    for batch in [true, false] {
        let mut scene = Scene::new(json!({ "batch": batch }));
        assert!(scene.poll().is_empty(), "our own rows are no replies");
        let reply = scene.act(json!({ "act": "reply", "text": "Refund is on its way" }));
        scene.act(json!({ "act": "note", "text": "internal: be careful" }));
        scene.act(json!({ "act": "attach", "activity": reply["activity"], "name": "receipt.pdf", "base64": "JVBERg==" }));
        let heard = scene.poll();
        assert_eq!(texts(&heard), ["Refund is on its way"]);
        let file = heard.iter().find(|h| h.id.starts_with("file/")).unwrap();
        let attachment = &replied(file).attachments[0];
        assert_eq!(
            (attachment.kind, attachment.mime.as_deref(), attachment.size),
            (AttachmentKind::Document, Some("application/pdf"), Some(4))
        );
        match &attachment.source {
            Some(Source::Target { target, url }) => {
                assert_eq!(target, "crm");
                assert_eq!(get(&mut *scene.site, url, &[]).body, b"%PDF");
            }
            other => panic!("{other:?}"),
        }
        assert!(
            scene.poll().is_empty(),
            "the overlap is heard again and dropped by id"
        );
        scene.act(json!({ "act": "resolve" }));
        let ended = scene.poll();
        assert!(
            matches!(
                &ended[..],
                [Inbound {
                    kind: InboundKind::Ended { .. },
                    ..
                }]
            ),
            "{ended:?}"
        );
        assert!(scene.poll().is_empty());
        scene.act(json!({ "act": "close" }));
        assert!(
            scene.poll().is_empty(),
            "closed after resolved is no second ending"
        );
        scene.act(json!({ "act": "reopen" }));
        assert!(scene.poll().is_empty());
        scene.act(json!({ "act": "resolve" }));
        assert_eq!(scene.poll().len(), 1, "resolved again is a second ending");
    }
}

#[test]
fn webhooks_are_heard_once_and_are_the_same_as_polls() {
    for payload in ["full", "ids", "case_only", "odd"] {
        let mut scene = Scene::new(json!({}));
        scene
            .site
            .switch("webhook_url", &json!("http://127.0.0.1/hook"))
            .unwrap();
        scene
            .site
            .switch("webhook_payload", &json!(payload))
            .unwrap();
        scene.act(json!({ "act": "reply", "text": "Hello \u{1f44b}\n\"quoted\" & more" }));
        assert_eq!(
            texts(&scene.webhooks()),
            ["Hello \u{1f44b}\n\"quoted\" & more"],
            "{payload}"
        );
        assert!(
            scene.poll().is_empty(),
            "{payload}: the poll hears the same activity under the same id"
        );
        scene.act(json!({ "act": "close" }));
        assert!(
            matches!(
                &scene.webhooks()[..],
                [Inbound {
                    kind: InboundKind::Ended { .. },
                    ..
                }]
            ),
            "{payload}"
        );
        assert!(scene.poll().is_empty(), "{payload}");
    }
}

#[test]
fn our_own_rows_come_back_as_webhooks_and_are_dropped() {
    let connector = connector(json!({}));
    let site = || {
        let mut site = site_with_ana();
        site.switch("webhook_url", &json!("http://127.0.0.1/hook"))
            .unwrap();
        site
    };
    let mut scene = Scene {
        connector,
        site: site(),
        known: Known::default(),
        cursor: None,
        before: BTreeSet::new(),
        seconds: 10,
        reads: Vec::new(),
    };
    scene.play();
    let count = scene.site.deliveries(at(60)).len();
    assert_eq!(count, 2, "the processes run for our own rows too");
    let mut again = Scene {
        connector: crate::common::connector(json!({})),
        site: site(),
        known: Known::default(),
        cursor: None,
        before: BTreeSet::new(),
        seconds: 10,
        reads: Vec::new(),
    };
    again.play();
    assert!(again.webhooks().is_empty());
}

#[test]
fn our_own_closing_is_not_a_reps() {
    let mut scene = Scene::new(json!({}));
    let case = scene.known.get("case").unwrap().to_owned();
    scene.act(json!({ "act": "resolve" }));
    scene.known.set("closed/c1", format!("ended/{case}"));
    assert!(scene.poll().is_empty());
}

#[test]
fn an_open_case_is_heard_at_the_set_pace_however_long_it_is_open() {
    let mut scene = Scene::new(json!({ "poll_seconds": 10 }));
    fn every(scene: &Scene, hours: i64) -> Option<Duration> {
        let mut work = scene.work();
        work.now = at(hours * 3_600);
        match scene.connector.feed(&work, &scene.known, None) {
            Some(Feed::Poll { every, .. }) => Some(every),
            _ => None,
        }
    }
    let set = Some(Duration::from_secs(10));
    for hours in [0, 2, 25, 24 * 8, 24 * 400] {
        assert_eq!(every(&scene, hours), set, "{hours} h of silence");
    }
    scene.seconds = 8 * 24 * 3_600;
    scene.act(json!({ "act": "reply", "text": "after eight days" }));
    assert_eq!(texts(&scene.poll()), ["after eight days"]);

    // One that was resolved is heard for thirty days.
    scene.act(json!({ "act": "resolve" }));
    scene.poll();
    let ended = scene.seconds / 3_600;
    for (hours, expected) in [(0, set), (24 * 29, set), (24 * 31, None)] {
        assert_eq!(every(&scene, ended + hours), expected, "{hours} h");
    }
    scene.act(json!({ "act": "reopen" }));
    scene.poll();
    assert_eq!(every(&scene, ended + 24 * 31), set, "it is open again");
    scene.act(json!({ "act": "close" }));
    scene.poll();
    assert_eq!(every(&scene, ended + 24 * 62), None);
    assert_eq!(
        scene.connector.feed(&scene.work(), &Known::default(), None),
        None
    );
    let off = connector(json!({ "poll_seconds": 0 }));
    assert_eq!(off.feed(&scene.work(), &scene.known, None), None);
}

#[test]
fn a_site_that_refuses_deep_queries_still_hears_replies() {
    let mut scene = Scene::new(json!({}));
    scene.site.switch("deep_queries", &json!(false)).unwrap();
    scene.act(json!({ "act": "reply", "text": "Hello" }));
    assert_eq!(texts(&scene.poll()), ["Hello"]);
}

#[test]
fn more_rows_than_a_page_are_all_heard() {
    let mut scene = Scene::new(json!({}));
    for n in 0..130 {
        scene
            .site
            .act(
                at(100),
                &json!({ "act": "reply", "text": format!("reply {n}") }),
            )
            .unwrap();
    }
    let mut heard: Vec<String> = (0..4).flat_map(|_| texts(&scene.poll())).collect();
    heard.sort();
    heard.dedup();
    assert_eq!(
        heard.len(),
        130,
        "rows of one moment are told apart by page"
    );
    scene
        .site
        .act(at(101), &json!({ "act": "reply", "text": "the last" }))
        .unwrap();
    let last: Vec<String> = (0..4).flat_map(|_| texts(&scene.poll())).collect();
    assert_eq!(last, ["the last"]);
}

#[test]
fn before_a_reply_all_that_was_written_in_its_case_is_read() {
    for more in [
        json!({}),
        json!({ "poll_seconds": 0 }),
        json!({ "batch": false }),
    ] {
        let mut scene = Scene::new(more.clone());
        // More than two pages.
        let wanted: Vec<String> = (0..100).map(|n| format!("Reply {n}")).collect();
        for text in &wanted {
            scene.act(json!({ "act": "reply", "text": text }));
        }
        let heard = scene.catch_up().unwrap();
        assert_eq!(texts(&heard), wanted, "{more}");
        // The case was just read, and is read all the same.
        scene.act(json!({ "act": "reply", "text": "One more" }));
        assert_eq!(texts(&scene.catch_up().unwrap()), ["One more"], "{more}");
    }
}

#[test]
fn where_only_the_sites_process_chooses_replies_none_is_looked_for() {
    let mut scene = Scene::new(json!({ "poll_seconds": 0, "reply_marker": "all" }));
    scene.act(json!({ "act": "reply", "text": "Perhaps internal" }));
    assert_eq!(scene.catch_up(), None);
}
