//! Webhook bodies that are not quite JSON: the reply arrives whole, since the text is Creatio's.

use handoffd_contract::{Frame, FrameContent, InboundKind, Reason, Refusal};
use serde_json::json;

use crate::polls::{Scene, texts};

const TEXT: &str =
    "He said \"hi\"\nand: \"activityId\":\"2f2e3d4c-0000-4000-8000-0123456789ab\", & more=less";

fn hear(scene: &Scene, body: &[u8]) -> Result<FrameContent, Refusal> {
    scene.connector.hear(&Frame::Webhook { headers: &[], body })
}

/// Bodies as processes send them that paste values between quotes of their own.
fn bodies(case: &str, activity: &str) -> Vec<(&'static str, Vec<u8>)> {
    let pasted = format!(
        "{{\"event_type\":\"new_activity\",\"caseId\":\"{case}\",\"activityId\":\"{activity}\",\"text\":\"/wa {TEXT}\",\"createdById\":\"\"}}"
    );
    let text_first = format!(
        "{{\"text\":\"/wa {TEXT}\", \"EventType\" : \"NewActivity\", \"CaseId\" : \"{{{case}}}\", \"ActivityId\" : \"{{{activity}}}\"}}"
    );
    let whole =
        json!({ "event_type": "new_activity", "caseId": case, "activityId": activity }).to_string();
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(whole.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    vec![
        ("quotes and a line break", pasted.into_bytes()),
        ("the text first", text_first.into_bytes()),
        ("a byte order mark", format!("\u{feff}{whole}").into_bytes()),
        ("UTF-16", wide),
        ("a trailing comma", whole.replace('}', ",}").into_bytes()),
        ("single quotes", whole.replace('"', "'").into_bytes()),
        ("cut off", whole.trim_end_matches('}').as_bytes().to_vec()),
        ("JSON in a string", json!(whole).to_string().into_bytes()),
        ("a list", format!("[{whole}]").into_bytes()),
        (
            "a form",
            format!(
                "event_type=new_activity&caseId=%7B{case}%7D&activityId={activity}&text=%2Fwa+a%26b"
            )
            .into_bytes(),
        ),
        (
            "a raw form",
            format!("event_type=new_activity&caseId={case}&activityId={activity}&text=/wa {TEXT}")
                .into_bytes(),
        ),
        (
            "a wrong byte",
            [
                whole.as_bytes().split_last().unwrap().1,
                b",\"text\":\"\xe9\"}",
            ]
            .concat(),
        ),
    ]
}

#[test]
fn a_body_that_is_not_quite_json_brings_the_reply_whole() {
    let count = bodies("", "").len();
    for n in 0..count {
        let mut scene = Scene::new(json!({ "poll_seconds": 0 }));
        let case = scene.known.get("case").unwrap().to_owned();
        let reply = scene.act(json!({ "act": "reply", "text": TEXT }));
        let (what, body) = bodies(&case, reply["activity"].as_str().unwrap()).remove(n);
        let hearing = hear(&scene, &body).unwrap_or_else(|refusal| panic!("{what}: {refusal:?}"));
        assert!(
            hearing.heard.is_empty(),
            "{what}: the text is not the body's"
        );
        assert_eq!(texts(&scene.pass(hearing)), [TEXT], "{what}");
    }
}

#[test]
fn a_closure_is_heard_from_such_a_body_too() {
    let mut scene = Scene::new(json!({}));
    let case = scene.known.get("case").unwrap().to_owned();
    let body =
        format!("{{\"event_type\":\"case_resolved\",\"caseId\":\"{case}\",\"by\":\"Rosa \"R\"\"}}");
    let hearing = hear(&scene, body.as_bytes()).unwrap();
    let heard = scene.pass(hearing);
    assert!(
        matches!(heard[0].kind, InboundKind::Ended { .. }),
        "{heard:?}"
    );
}

#[test]
fn a_feed_post_without_text_is_read() {
    let mut scene = Scene::new(json!({ "feed_posts": "reply" }));
    let post = scene.act(json!({ "act": "note", "text": "/wa from the feed" }));
    let id = post["post"].as_str().unwrap();
    let body = format!(
        "{{\"event_type\":\"new_post\",\"socialMessageId\":\"{id}\",\"text\":\"a \"b\"\"}}"
    );
    let hearing = hear(&scene, body.as_bytes()).unwrap();
    assert_eq!(texts(&scene.pass(hearing)), ["from the feed"]);
}

#[test]
fn what_names_no_record_is_kept_with_its_reason() {
    let scene = Scene::new(json!({}));
    let wrong: [&[u8]; 6] = [
        b"",
        b"hello",
        b"\xff\xfe\x00",
        b"{\"event_type\":\"new_activity\",\"caseId\":\"[#Case.Id#]\",\"text\":\"a \"b\"\"}",
        b"caseId=&activityId=",
        b"::::====",
    ];
    for body in wrong {
        match hear(&scene, body) {
            Err(Refusal::Park(stop)) => {
                assert_eq!(stop.reason, Reason::Undecodable);
                assert!(stop.message.contains("is not JSON"), "{}", stop.message);
            }
            other => panic!("{body:?}: {other:?}"),
        }
    }
    // However large, it costs little.
    let large = "\"activityId\":".repeat(50_000);
    assert!(hear(&scene, large.as_bytes()).is_err());
}
