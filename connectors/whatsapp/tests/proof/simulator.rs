//! The simulator's Cloud API against the documentation: what it takes, what it refuses and in which
//! words. No client of ours is involved.

use handoffd_contract::sandbox::{Request, Sandbox};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const NUMBER: &str = "106540352242922";
pub const WABA: &str = "102290129340398";
pub const ANA: &str = "4915112345678";

pub fn start() -> Timestamp {
    "2026-11-20T09:00:00Z".parse().expect("a time")
}

/// A simulator in which Ana has just written.
pub fn meta() -> Box<dyn Sandbox> {
    let mut sandbox = handoffd_whatsapp::sandbox();
    sandbox
        .switch("webhook_url", &json!("http://h/"))
        .expect("a switch");
    let act = json!({"act": "text", "from": ANA, "name": "Ana", "text": "Hi"});
    sandbox.act(start(), &act).expect("an act");
    sandbox.deliveries(start());
    sandbox
}

pub fn request(method: &str, path: &str, body: &Value) -> Request {
    Request {
        method: method.into(),
        path: path.into(),
        headers: vec![
            ("authorization".into(), "Bearer EAASandboxToken".into()),
            ("content-type".into(), "application/json".into()),
            ("host".into(), "127.0.0.1:9104".into()),
        ],
        body: if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        },
        ..Request::default()
    }
}

pub fn call(sandbox: &mut dyn Sandbox, now: Timestamp, request: &Request) -> (u16, Value) {
    let response = sandbox.handle(now, request);
    (
        response.status,
        serde_json::from_slice(&response.body).unwrap_or_default(),
    )
}

pub fn post(sandbox: &mut dyn Sandbox, body: &Value) -> (u16, Value) {
    let request = request("POST", &format!("/v25.0/{NUMBER}/messages"), body);
    call(sandbox, start(), &request)
}

pub fn to_ana(kind: &str, object: Value) -> Value {
    let mut body = json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": format!("+{ANA}"), "type": kind});
    body[kind] = object;
    body
}

pub fn text(body: &str) -> Value {
    to_ana("text", json!({"body": body}))
}

/// The values of the webhooks that are due so many seconds after the start; all are answered.
pub fn hooks(sandbox: &mut dyn Sandbox, seconds: i64) -> Vec<Value> {
    let now = start() + SignedDuration::from_secs(seconds);
    let deliveries = sandbox.deliveries(now);
    for delivery in &deliveries {
        let signature = delivery
            .headers
            .iter()
            .find(|(name, _)| name == "x-hub-signature-256");
        assert!(
            signature
                .is_some_and(|(_, value)| value.len() == 7 + 64 && value.starts_with("sha256="))
        );
        sandbox.delivered(now, delivery.id, Some(200));
    }
    let value = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        body["entry"][0]["changes"][0]["value"].clone()
    };
    deliveries
        .iter()
        .map(|delivery| value(&delivery.body))
        .collect()
}

#[test]
fn it_takes_every_documented_form() {
    let button =
        |id: &str, title: &str| json!({"type": "reply", "reply": {"id": id, "title": title}});
    let row =
        |n: usize| json!({"id": format!("r{n}"), "title": format!("Row {n}"), "description": "d"});
    let rows: Vec<Value> = (0..10).map(row).collect();
    let body = json!({"text": "b"});
    let forms = [
        to_ana(
            "text",
            json!({"body": "x".repeat(4_096), "preview_url": true}),
        ),
        to_ana(
            "image",
            json!({"link": "https://x.test/a.png", "caption": "c"}),
        ),
        to_ana(
            "document",
            json!({"link": "https://x.test/a.pdf", "filename": "a.pdf"}),
        ),
        to_ana(
            "location",
            json!({"latitude": 52.5, "longitude": "13.4", "name": "Here"}),
        ),
        to_ana("reaction", json!({"message_id": "wamid.x", "emoji": ""})),
        to_ana("contacts", json!([{"name": {"formatted_name": "Rita"}}])),
        to_ana(
            "interactive",
            json!({"type": "button", "body": body, "action": {"buttons": [button("1", "Yes"), button("2", "No")]}}),
        ),
        to_ana(
            "interactive",
            json!({"type": "list", "header": {"type": "text", "text": "h"}, "body": {"text": "x".repeat(4_096)}, "footer": {"text": "f"}, "action": {"button": "Open", "sections": [{"rows": rows}]}}),
        ),
        to_ana(
            "interactive",
            json!({"type": "cta_url", "body": body, "action": {"name": "cta_url", "parameters": {"display_text": "Go", "url": "https://x.test"}}}),
        ),
        to_ana(
            "interactive",
            json!({"type": "request_contact_info", "body": body, "action": {"name": "request_contact_info"}}),
        ),
        to_ana(
            "template",
            json!({"name": "reopen_chat", "language": {"code": "en_US"}}),
        ),
        to_ana(
            "template",
            json!({"name": "case_update", "language": {"code": "en_US"}, "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "42"}]}]}),
        ),
        json!({"messaging_product": "whatsapp", "to": "+49 (151) 1234-5678", "text": {"body": "x"}, "context": {"message_id": "wamid.x"}, "biz_opaque_callback_data": "x".repeat(512)}),
    ];
    let mut sandbox = meta();
    for form in &forms {
        let (status, answer) = post(&mut *sandbox, form);
        assert_eq!(status, 200, "{form}: {answer}");
        assert_eq!(answer["contacts"][0]["wa_id"], ANA);
        assert!(
            answer["messages"][0]["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("wamid."))
        );
    }
    let shown = sandbox.view()["phones"][ANA]["conversation"]
        .as_array()
        .map(Vec::len);
    assert_eq!(shown, Some(forms.len() + 1));
}

#[test]
fn it_refuses_what_the_documentation_refuses() {
    let button =
        |id: &str, title: &str| json!({"type": "reply", "reply": {"id": id, "title": title}});
    let buttons = |buttons: Vec<Value>, body: &str| {
        to_ana(
            "interactive",
            json!({"type": "button", "body": {"text": body}, "action": {"buttons": buttons}}),
        )
    };
    let rows = |counts: &[usize]| {
        let section = |(s, count): (usize, &usize)| {
            let rows: Vec<Value> = (0..*count)
                .map(|n| json!({"id": format!("{s}-{n}"), "title": "t"}))
                .collect();
            json!({"title": format!("s{s}"), "rows": rows})
        };
        let sections: Vec<Value> = counts.iter().enumerate().map(section).collect();
        to_ana(
            "interactive",
            json!({"type": "list", "body": {"text": "b"}, "action": {"button": "Open", "sections": sections}}),
        )
    };
    let with = |name: &str, value: Value| {
        let mut body = text("x");
        body[name] = value;
        body
    };
    let template = |name: &str, code: &str, texts: &[&str]| {
        let parameters: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        to_ana(
            "template",
            json!({"name": name, "language": {"code": code}, "components": [{"type": "body", "parameters": parameters}]}),
        )
    };
    let cases: Vec<(Value, i64, &str)> = vec![
        (text(""), 100, "between 1 and 4096"),
        (text(&"x".repeat(4_097)), 100, "between 1 and 4096"),
        (text(&"😀".repeat(2_049)), 100, "between 1 and 4096"),
        (
            with("messaging_product", json!("sms")),
            100,
            "messaging_product",
        ),
        (
            with("type", json!("carousel")),
            100,
            "Param type must be one of",
        ),
        (with("typo", json!(1)), 100, "Unexpected key \"typo\""),
        (
            with("image", json!({"id": "1"})),
            100,
            "Unexpected key \"image\"",
        ),
        (
            with("recipient_type", json!("group")),
            100,
            "recipient_type",
        ),
        (
            with("to", json!("abc")),
            131_009,
            "not a valid phone number",
        ),
        (
            with("to", json!(4915112345678_u64)),
            100,
            "to must be a string",
        ),
        (with("to", json!("+1 555 078 3881")), 131_021, "same"),
        (
            with("biz_opaque_callback_data", json!("x".repeat(513))),
            100,
            "between 1 and 512",
        ),
        (with("context", json!({})), 131_008, "context['message_id']"),
        (
            json!({"messaging_product": "whatsapp", "type": "text", "text": {"body": "x"}}),
            100,
            "The parameter to is required",
        ),
        (
            json!({"messaging_product": "whatsapp", "recipient": "nobody", "type": "text", "text": {"body": "x"}}),
            131_009,
            "business-scoped",
        ),
        (
            json!({"messaging_product": "whatsapp", "recipient": "US.1", "type": "text", "text": {"body": "x"}}),
            131_026,
            "Unable to deliver",
        ),
        (
            json!({"messaging_product": "whatsapp", "to": "+49151", "type": "text"}),
            131_008,
            "text is required",
        ),
        (
            to_ana("text", json!({"body": "x", "preview": true})),
            100,
            "Unexpected key \"preview\" on param \"text\"",
        ),
        (to_ana("text", json!("x")), 100, "must be a JSON object"),
        (
            to_ana("image", json!({"id": "1", "link": "https://x"})),
            100,
            "either an id or a link",
        ),
        (
            to_ana("image", json!({"link": "ftp://x"})),
            100,
            "not a valid URI",
        ),
        (
            to_ana("image", json!({"id": "404"})),
            100,
            "not a valid whatsapp business account media",
        ),
        (
            to_ana(
                "image",
                json!({"link": "https://x", "caption": "x".repeat(1_025)}),
            ),
            100,
            "between 0 and 1024",
        ),
        (
            to_ana("audio", json!({"link": "https://x", "caption": "c"})),
            100,
            "Unexpected key \"caption\"",
        ),
        (
            to_ana("location", json!({"latitude": 91, "longitude": 0})),
            100,
            "degrees",
        ),
        (buttons(vec![], "b"), 131_009, "1 to 3"),
        (
            buttons(
                (0..4)
                    .map(|n| button(&n.to_string(), &n.to_string()))
                    .collect(),
                "b",
            ),
            131_009,
            "1 to 3",
        ),
        (
            buttons(vec![button("1", "twenty-one characters")], "b"),
            100,
            "between 1 and 20",
        ),
        (
            buttons(vec![button("1", "Yes"), button("2", "Yes")], "b"),
            131_009,
            "Duplicated",
        ),
        (
            buttons(vec![button("1", "Yes")], &"x".repeat(1_025)),
            100,
            "between 1 and 1024",
        ),
        (rows(&[11]), 131_009, "1 to 10"),
        (
            rows(&[6, 5]),
            131_009,
            "Total row count exceed max allowed count: 10",
        ),
        (
            template("nothing", "en_US", &[]),
            132_001,
            "does not exist in en_US",
        ),
        (
            template("case_update", "de", &["a", "b"]),
            132_001,
            "does not exist in de",
        ),
        (
            template("in_review", "en_US", &["a"]),
            132_001,
            "does not exist",
        ),
        (
            template("case_update", "en_US", &["a"]),
            132_000,
            "expected number of params (2)",
        ),
        (
            template("case_update", "en_US", &["a\nb", "c"]),
            132_018,
            "new-line",
        ),
        (
            template("handoff_reply", "en_US", &[&"x".repeat(1_024)]),
            132_005,
            "too long",
        ),
    ];
    for (body, code, words) in cases {
        let mut sandbox = meta();
        let (status, answer) = post(&mut *sandbox, &body);
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
        assert!(status >= 400 && answer["error"]["type"] == "OAuthException");
        assert!(answer["error"]["fbtrace_id"].is_string());
        let details = answer["error"]["error_data"]["details"]
            .as_str()
            .unwrap_or_default();
        assert!(details.contains(words), "{body}: {details}");
        assert_eq!(
            sandbox.view()["phones"][ANA]["conversation"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
}

#[test]
fn the_token_and_the_path_are_checked() {
    let mut sandbox = meta();
    let path = format!("/v25.0/{NUMBER}/messages");
    let mut without = request("POST", &path, &text("x"));
    without.headers.retain(|(name, _)| name != "authorization");
    assert_eq!(
        call(&mut *sandbox, start(), &without).1["error"]["code"],
        190
    );
    let mut wrong = request("POST", &path, &text("x"));
    wrong.headers[0].1 = "Bearer EAAother".into();
    let (status, answer) = call(&mut *sandbox, start(), &wrong);
    assert_eq!((status, &answer["error"]["code"]), (401, &json!(190)));
    let other = request("POST", "/v25.0/999/messages", &text("x"));
    let (_, answer) = call(&mut *sandbox, start(), &other);
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["error_subcode"]),
        (&json!(100), &json!(33))
    );
    let (status, _) = call(
        &mut *sandbox,
        start(),
        &request("GET", "/latest/x", &Value::Null),
    );
    assert_eq!(status, 400);
    sandbox
        .switch("token_expired", &json!(true))
        .expect("a switch");
    assert_eq!(post(&mut *sandbox, &text("x")).0, 401);
}

#[test]
fn an_address_without_a_plus_is_the_number_unless_metas_rule_is_switched_on() {
    let mut sandbox = meta();
    let mut body = text("x");
    body["to"] = ANA.into();
    let (_, answer) = post(&mut *sandbox, &body);
    assert_eq!(answer["contacts"][0], json!({"input": ANA, "wa_id": ANA}));
    let mut sandbox = meta();
    let rule = sandbox.switch("country_code_rule", &json!(true));
    rule.expect("a switch");
    let (_, answer) = post(&mut *sandbox, &body);
    assert_eq!(
        answer["contacts"][0]["wa_id"],
        format!("1{ANA}"),
        "another person"
    );
    assert_eq!(
        sandbox.view()["phones"][ANA]["conversation"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_brazilian_number_may_be_known_without_its_ninth_digit() {
    let mut sandbox = meta();
    sandbox
        .act(
            start(),
            &json!({"act": "text", "from": "551187654321", "text": "Oi"}),
        )
        .expect("an act");
    let mut body = text("x");
    body["to"] = "+5511987654321".into();
    let (_, answer) = post(&mut *sandbox, &body);
    assert_eq!(
        answer["contacts"][0],
        json!({"input": "+5511987654321", "wa_id": "551187654321"})
    );
}

#[test]
fn a_user_id_is_answered_without_a_number() {
    let mut sandbox = meta();
    let user = "US.13491208655302741918";
    sandbox
        .act(
            start(),
            &json!({"act": "text", "from": user, "username": "ana", "text": "Hi"}),
        )
        .expect("an act");
    let mut body = text("x");
    body["recipient"] = user.into();
    body.as_object_mut().expect("an object").remove("to");
    let (_, answer) = post(&mut *sandbox, &body);
    assert_eq!(
        answer["contacts"][0],
        json!({"input": user, "user_id": user})
    );
    let heard = hooks(&mut *sandbox, 10);
    let message = heard
        .iter()
        .find(|value| value["messages"].is_array())
        .expect("a message");
    assert_eq!(message["messages"][0]["from"], Value::Null);
    assert_eq!(message["messages"][0]["from_user_id"], user);
    assert_eq!(
        message["contacts"][0],
        json!({"profile": {"name": format!("Customer {user}"), "username": "ana"}, "user_id": user})
    );
}
