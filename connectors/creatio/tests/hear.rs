//! What reaches the customer and what does not: webhooks of every shape, polls, echoes, closures.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use handoffd_contract::event::{AttachmentKind, AuthorKind, RepReply};
use handoffd_contract::feed::Read;
use handoffd_contract::sandbox::{Delivery, Sandbox};
use handoffd_contract::{
    About, Connector, Feed, Frame, Heard, Hearing, HttpReply, Known, Reason, Refusal, Source, What,
    Work,
};
use serde_json::{Value, json};

const CASE: &str = "1f2e3d4c-0000-4000-8000-0123456789ab";
const ACTIVITY: &str = "2f2e3d4c-0000-4000-8000-0123456789ab";
const US: &str = "3f2e3d4c-0000-4000-8000-0123456789ab";

fn webhook(connector: &dyn Connector, body: &str) -> Result<Hearing, Refusal> {
    connector.hear(&Frame::Webhook {
        headers: &[],
        body: body.as_bytes(),
    })
}

fn replied(heard: &Heard) -> &RepReply {
    match &heard.what {
        What::Replied(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_is_understood_in_every_spelling() {
    let connector = connector(json!({}));
    let upper = format!("{{{}}}", CASE.to_uppercase());
    let upper_activity = format!("{{{}}}", ACTIVITY.to_uppercase());
    for body in [
        json!({ "event_type": "new_activity", "caseId": CASE, "activityId": ACTIVITY, "text": "Hello" }),
        json!({ "EventType": "NewActivity", "CaseId": upper, "ActivityId": upper_activity, "Text": "<p>Hello</p>" }),
        json!({ "event-type": "activity.added", "case_id": CASE, "activity_id": ACTIVITY, "detailed_result": "Hello&nbsp;" }),
        json!({ "activityId": ACTIVITY, "caseId": CASE, "text": "<div>Hello<br></div>" }),
        json!({ "event_type": "new_activity", "data": { "caseId": CASE, "recordId": ACTIVITY, "Message": "Hello" } }),
    ] {
        let hearing = webhook(&*connector, &body.to_string()).unwrap();
        let heard = &hearing.heard[0];
        assert_eq!(heard.id, format!("activity/{ACTIVITY}"), "{body}");
        assert_eq!(
            heard.about,
            About::Fact {
                name: "case".into(),
                value: CASE.into()
            }
        );
        assert_eq!(heard.echo.as_deref(), Some(ACTIVITY));
        assert_eq!(replied(heard).text.as_deref(), Some("Hello"), "{body}");
        assert_eq!(replied(heard).message_id, ACTIVITY);
    }
}

#[test]
fn what_is_missing_is_fetched_and_what_cannot_be_understood_is_kept() {
    let connector = connector(json!({}));
    let fetch = |body: Value| {
        webhook(&*connector, &body.to_string())
            .unwrap()
            .fetch
            .remove(0)
    };
    let by_id = fetch(json!({ "event_type": "new_activity", "activityId": ACTIVITY }));
    assert_eq!(
        (by_id.tag, by_id.call.path.as_str()),
        (
            "activity",
            format!("/0/odata/Activity({ACTIVITY})").as_str()
        )
    );
    let newest = fetch(json!({ "event_type": "new_activity", "caseId": CASE, "text": "hi" }));
    assert_eq!(
        newest.tag, "newest",
        "a text without the activity's id could not be recognised when it comes again"
    );
    assert_eq!(fetch(json!({ "event_type": "new_activity", "caseId": CASE, "activityId": ACTIVITY, "text": "" })).tag, "activity");
    let table = [
        ("not json", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no event_type"),
        (
            r#"{"event_type":"new_activity"}"#,
            "neither caseId nor activityId",
        ),
        (
            r##"{"event_type":"new_activity","caseId":"[#Case.Id#]"}"##,
            "neither caseId nor activityId",
        ),
        (r#"{"event_type":"case_resolved"}"#, "no caseId"),
    ];
    for (body, words) in table {
        match webhook(&*connector, body) {
            Err(Refusal::Park(stop)) => {
                assert_eq!(stop.reason, Reason::Undecodable);
                assert!(stop.words.contains(words), "{body}: {}", stop.words);
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(
        webhook(&*connector, r#"{"event_type":"lead_added","caseId":"x"}"#)
            .unwrap()
            .skipped
            .is_some()
    );
}

#[test]
fn an_internal_note_and_our_own_rows_never_reach_the_customer() {
    let ours = connector(json!({ "integration_contact_id": US }));
    let own = json!({ "event_type": "new_activity", "caseId": CASE, "activityId": ACTIVITY, "text": "x", "createdById": US.to_uppercase() });
    assert!(webhook(&*ours, &own.to_string()).unwrap().heard.is_empty());
    // On a case that several sessions share, the author is asked for when the process does not say.
    let shared = connector(json!({ "integration_contact_id": US, "append_to_open_case": true }));
    let silent = json!({ "event_type": "new_activity", "caseId": CASE, "activityId": ACTIVITY, "text": "x" });
    let hearing = webhook(&*shared, &silent.to_string()).unwrap();
    assert!(hearing.heard.is_empty() && hearing.fetch[0].tag == "activity");
    let post = json!({ "event_type": "new_post", "caseId": CASE, "socialMessageId": ACTIVITY, "text": "internal" });
    assert!(webhook(&*ours, &post.to_string()).unwrap().heard.is_empty());
    let marked = connector(json!({ "reply_marker": "prefix", "reply_prefix": "/wa" }));
    let say = |text: &str| {
        let body = json!({ "event_type": "new_activity", "caseId": CASE, "activityId": ACTIVITY, "text": text });
        webhook(&*marked, &body.to_string())
            .unwrap()
            .heard
            .first()
            .map(|heard| replied(heard).text.clone().unwrap())
    };
    assert_eq!(say("/wa Hello"), Some("Hello".into()));
    assert_eq!(say("Hello /wa"), None);
    assert_eq!(say("/wa"), None);
    let feed = connector(json!({ "feed_posts": "reply" }));
    let heard = webhook(&*feed, &post.to_string()).unwrap().heard;
    assert_eq!(heard[0].id, format!("post/{ACTIVITY}"));
}

#[test]
fn rows_are_replies_only_when_a_rep_wrote_them_as_one() {
    let row = |more: Value| {
        let mut row = json!({ "Id": ACTIVITY, "Title": "t", "DetailedResult": "text", "CaseId": CASE, "CreatedById": CASE,
            "CreatedOn": "2026-11-20T10:00:00.1230000Z", "ModifiedOn": "2026-11-20T10:00:00Z", "TypeId": "fbe0acdc-cfc0-df11-b00f-001d60e938c6",
            "StatusId": "384d4b84-58e6-df11-971b-001d60e938c6", "GlobalActivityID": "" });
        for (key, value) in more.as_object().unwrap() {
            row[key] = value.clone();
        }
        row
    };
    let all = connector(json!({ "integration_contact_id": US }));
    let completed = connector(json!({ "reply_when": "completed" }));
    let marked = connector(json!({ "reply_marker": "prefix", "reply_prefix": "/wa" }));
    let hear = |connector: &dyn Connector, row: Value| {
        let read = read(
            "activities",
            json!({ "case": CASE, "cursor": "- open", "since": 0 }),
        );
        let hearing = reply_to(connector, &read, json!({ "value": [row] }));
        hearing
            .heard
            .first()
            .map(|heard| replied(heard).text.clone().unwrap())
    };
    assert_eq!(hear(&*all, row(json!({}))), Some("text".into()));
    assert_eq!(
        hear(&*all, row(json!({ "DetailedResult": "" }))),
        Some("t".into())
    );
    assert_eq!(
        hear(&*all, row(json!({ "CreatedById": US }))),
        None,
        "written by the integration user"
    );
    assert_eq!(
        hear(&*all, row(json!({ "GlobalActivityID": "handoffd:m1" }))),
        None,
        "written by us, on another session's case"
    );
    assert_eq!(
        hear(
            &*all,
            row(json!({ "TypeId": "e2831dec-cfc0-df11-b00f-001d60e938c6" }))
        ),
        None,
        "an e-mail"
    );
    assert_eq!(
        hear(&*all, row(json!({ "DetailedResult": "", "Title": "" }))),
        None
    );
    assert_eq!(hear(&*completed, row(json!({}))), None, "still a draft");
    assert_eq!(
        hear(
            &*completed,
            row(json!({ "StatusId": "4bdbb88f-58e6-df11-971b-001d60e938c6" }))
        ),
        Some("text".into())
    );
    assert_eq!(hear(&*marked, row(json!({}))), None);
    assert_eq!(
        hear(&*marked, row(json!({ "DetailedResult": "/wa yes" }))),
        Some("yes".into())
    );
    assert_eq!(
        hear(
            &*marked,
            row(json!({ "Title": "/wa yes", "DetailedResult": "internal" }))
        ),
        Some("yes".into())
    );
    assert_eq!(
        hear(
            &*marked,
            row(json!({ "Title": "/wa", "DetailedResult": "the reply" }))
        ),
        Some("the reply".into())
    );
    assert_eq!(
        hear(&*all, row(json!({ "DetailedResult": "1 < 2 & 3 > 2" }))),
        Some("1 < 2 & 3 > 2".into()),
        "plain text stays plain"
    );
    assert_eq!(
        hear(
            &*all,
            row(json!({ "DetailedResult": "<p>a &amp; b</p><script>x</script>" }))
        ),
        Some("a & b".into())
    );
}

fn read(tag: &'static str, memo: Value) -> Read {
    Read {
        tag,
        call: handoffd_contract::HttpCall::get("/x"),
        memo,
    }
}

fn reply_to(connector: &dyn Connector, read: &Read, body: Value) -> Hearing {
    let reply = HttpReply {
        status: 200,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    };
    connector
        .hear(&Frame::Reply {
            read,
            reply: &reply,
        })
        .unwrap()
}

#[test]
fn a_read_that_fails_is_neither_a_reply_nor_forgotten() {
    let connector = connector(json!({}));
    let answer = |tag, status, mime: &str| {
        let reply = HttpReply {
            status,
            headers: vec![("content-type".into(), mime.into())],
            body: b"{}".to_vec(),
        };
        connector.hear(&Frame::Reply {
            read: &read(tag, json!({ "case": CASE })),
            reply: &reply,
        })
    };
    for tag in ["case", "activities", "activity"] {
        for (status, mime) in [(401, "application/json"), (302, "text/html")] {
            match answer(tag, status, mime) {
                Ok(hearing) => assert!(hearing.unauthorized && tag != "activity"),
                Err(Refusal::Hold { stop, .. }) => {
                    assert!(stop.reason == Reason::Unauthorized && tag == "activity")
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(
        answer("case", 500, "application/json")
            .unwrap()
            .skipped
            .is_some(),
        "a poll comes again"
    );
    assert!(
        answer("case", 500, "application/json")
            .unwrap()
            .cursor
            .is_none()
    );
    assert!(
        matches!(
            answer("activity", 500, "application/json"),
            Err(Refusal::Hold { .. })
        ),
        "what a webhook named does not"
    );
    assert!(matches!(
        answer("activity", 403, "application/json"),
        Err(Refusal::Park(_))
    ));
    assert!(
        answer("activity", 404, "application/json")
            .unwrap()
            .skipped
            .is_some()
    );
    let event = Frame::Event {
        key: "",
        id: "",
        event: "x",
        data: "y",
    };
    assert!(connector.hear(&event).unwrap().skipped.is_some());
}

/// A case that the connector made, with its facts; the site's reps act on it.
struct Scene {
    connector: Box<dyn Connector>,
    site: Box<dyn Sandbox>,
    known: Known,
    cursor: Option<String>,
    /// Ids heard before, as the engine remembers them.
    before: BTreeSet<String>,
    seconds: i64,
}

impl Scene {
    fn new(more: Value) -> Scene {
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
                        if let handoffd_contract::Verdict::Known(facts) = self
                            .connector
                            .read(&step, &handoffd_contract::Reply::Http(reply))
                        {
                            facts
                                .into_iter()
                                .for_each(|f| known.set(f.fact, f.value.unwrap()));
                        }
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
        }
    }

    fn act(&mut self, act: Value) -> Value {
        self.seconds += 30;
        self.site.act(at(self.seconds), &act).unwrap()
    }

    /// What the engine would pass on of a hearing: not twice, and not our own.
    fn pass(&mut self, hearing: Hearing) -> Vec<Heard> {
        let mut passed: Vec<Heard> = Vec::new();
        let mut queue = vec![hearing];
        while let Some(hearing) = queue.pop() {
            if let Some(cursor) = hearing.cursor {
                self.cursor = Some(cursor);
            }
            for read in hearing.fetch {
                let reply = reply(call(&mut *self.site, &read.call));
                queue.push(
                    self.connector
                        .hear(&Frame::Reply {
                            read: &read,
                            reply: &reply,
                        })
                        .unwrap(),
                );
            }
            for heard in hearing.heard {
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

    fn poll(&mut self) -> Vec<Heard> {
        let feed = self
            .connector
            .feed(&self.work(), &self.known, self.cursor.as_deref());
        let Some(Feed::Poll { read, .. }) = feed else {
            panic!("{feed:?}")
        };
        let reply = reply(call(&mut *self.site, &read.call));
        assert_eq!(reply.status, 200, "{}", reply.words(300));
        let hearing = self
            .connector
            .hear(&Frame::Reply {
                read: &read,
                reply: &reply,
            })
            .unwrap();
        self.pass(hearing)
    }

    fn webhooks(&mut self) -> Vec<Heard> {
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

fn texts(heard: &[Heard]) -> Vec<String> {
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
        if batch {
            assert!(
                matches!(
                    &ended[..],
                    [Heard {
                        what: What::Ended { .. },
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
        } else {
            assert_eq!(ended.len(), 1);
        }
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
                [Heard {
                    what: What::Ended { .. },
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
    };
    scene.play();
    let count = scene.site.deliveries(at(60)).len();
    assert_eq!(count, 2, "the processes run for our own rows too");
    let mut again = Scene {
        connector: common::connector(json!({})),
        site: site(),
        known: Known::default(),
        cursor: None,
        before: BTreeSet::new(),
        seconds: 10,
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
fn the_poll_slows_down_and_ends_as_the_conversation_cools() {
    let scene = Scene::new(json!({ "poll_seconds": 10 }));
    let every = |hours: i64| {
        let mut work = scene.work();
        work.now = at(hours * 3_600);
        match scene.connector.feed(&work, &scene.known, None) {
            Some(Feed::Poll { every, .. }) => Some(every),
            _ => None,
        }
    };
    assert_eq!(every(0), Some(Duration::from_secs(10)));
    assert_eq!(every(2), Some(Duration::from_secs(40)));
    assert_eq!(every(30), Some(Duration::from_secs(200)));
    assert_eq!(every(24 * 8), None);
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
