//! What reaches the customer and what does not: webhooks of every shape, polls, echoes, closures.

use handoffd_contract::event::RepReply;
use handoffd_contract::feed::Read;
use handoffd_contract::{
    Connector, Frame, FrameContent, HttpReply, Inbound, InboundKind, Reason, Refusal, Subject,
};
use serde_json::{Value, json};

use crate::common::*;

const CASE: &str = "1f2e3d4c-0000-4000-8000-0123456789ab";
const ACTIVITY: &str = "2f2e3d4c-0000-4000-8000-0123456789ab";
const US: &str = "3f2e3d4c-0000-4000-8000-0123456789ab";

fn webhook(connector: &dyn Connector, body: &str) -> Result<FrameContent, Refusal> {
    connector.hear(&Frame::Webhook {
        headers: &[],
        body: body.as_bytes(),
    })
}

/// Settings under which every activity of a reply type is a reply as soon as it is there.
fn all_of_them() -> Value {
    json!({ "reply_marker": "all", "reply_when": "added" })
}

pub fn replied(heard: &Inbound) -> &RepReply {
    match &heard.kind {
        InboundKind::Replied(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_is_understood_in_every_spelling() {
    let connector = connector(all_of_them());
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
            heard.subject,
            Subject::Fact {
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
    let connector = connector(all_of_them());
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
                assert!(stop.message.contains(words), "{body}: {}", stop.message);
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
    let marked = connector(json!({ "reply_when": "added" }));
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
    assert_eq!(say("/want a refund"), None);
    assert_eq!(say(" /WA: Hello"), Some("Hello".into()));
    let feed = connector(json!({ "feed_posts": "reply", "reply_marker": "all" }));
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
    let all = connector(
        json!({ "integration_contact_id": US, "reply_marker": "all", "reply_when": "added", "reply_files": false }),
    );
    let completed = connector(json!({ "reply_marker": "all", "reply_files": false }));
    let marked = connector(json!({ "reply_when": "added", "reply_files": false }));
    let hear = |connector: &dyn Connector, row: Value| {
        let read = read("cases", json!({ "cursor": "-", "after": 0 }));
        let found = json!({ "id": "activities", "status": 200, "body": { "value": [row] } });
        let hearing = reply_to(connector, &read, json!({ "responses": [found] }));
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

fn read(tag: &'static str, context: Value) -> Read {
    Read::new(tag, handoffd_contract::HttpCall::get("/x"), context)
}

fn reply_to(connector: &dyn Connector, read: &Read, body: Value) -> FrameContent {
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
        for (status, mime) in [
            (401, "application/json"),
            (302, "text/html"),
            (200, "text/html"),
        ] {
            assert!(
                answer(tag, status, mime).unwrap().unauthorized,
                "{tag} {status}"
            );
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
