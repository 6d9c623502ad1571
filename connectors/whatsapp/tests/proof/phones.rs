//! The simulator's other parts against the documentation: statuses, window, limits, files,
//! templates, and what customers do.

use handoffd_contract::sandbox::Sandbox;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::simulator::{ANA, NUMBER, WABA, call, hooks, meta, post, request, start, text, to_ana};

fn statuses(sandbox: &mut dyn Sandbox) -> Vec<String> {
    hooks(sandbox, 60)
        .iter()
        .filter_map(|value| value["statuses"][0]["status"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn statuses_come_as_switched() {
    let run = |switches: &[(&str, Value)], act: Option<Value>| {
        let mut sandbox = meta();
        for (name, value) in switches {
            sandbox.switch(name, value).expect("a switch");
        }
        if let Some(act) = act {
            sandbox.act(start(), &act).expect("an act");
        }
        assert_eq!(post(&mut *sandbox, &text("x")).0, 200);
        statuses(&mut *sandbox)
    };
    let on = |name: &'static str| [(name, json!(true))];
    assert_eq!(run(&[], None), ["sent", "delivered"]);
    assert_eq!(run(&on("skip_delivered"), None), ["sent", "read"]);
    assert_eq!(run(&on("auto_read"), None), ["sent", "delivered", "read"]);
    assert_eq!(run(&on("reorder_statuses"), None), ["delivered", "sent"]);
    assert_eq!(
        run(&on("duplicate_statuses"), None),
        ["sent", "sent", "delivered", "delivered"]
    );
    assert_eq!(run(&on("drop_statuses"), None), Vec::<String>::new());
    assert_eq!(
        run(&[], Some(json!({"act": "block", "from": ANA}))),
        ["sent"]
    );
    assert_eq!(run(&[("not_on_whatsapp", json!([ANA]))], None), ["failed"]);
}

#[test]
fn outside_the_window_only_templates_arrive() {
    let mut sandbox = meta();
    let late = start() + SignedDuration::from_hours(24);
    let path = format!("/v25.0/{NUMBER}/messages");
    let (status, _) = call(
        &mut *sandbox,
        late,
        &request("POST", &path, &text("too late")),
    );
    assert_eq!(status, 200, "accepted, and failed by a status");
    let failed = hooks(&mut *sandbox, 25 * 3_600);
    let failed = failed.last().expect("a status");
    assert_eq!(failed["statuses"][0]["errors"][0]["code"], 131_047);
    assert_eq!(
        failed["contacts"],
        Value::Null,
        "a failed status has no contacts"
    );
    let template = to_ana(
        "template",
        json!({"name": "reopen_chat", "language": {"code": "en_US"}}),
    );
    let (status, answer) = call(&mut *sandbox, late, &request("POST", &path, &template));
    assert_eq!(
        (status, &answer["messages"][0]["message_status"]),
        (200, &json!("accepted"))
    );
    sandbox
        .switch("window_error_sync", &json!(true))
        .expect("a switch");
    let (status, answer) = call(
        &mut *sandbox,
        late,
        &request("POST", &path, &text("too late")),
    );
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(131_047)));
    let view = sandbox.view();
    assert_eq!(view["undelivered"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        view["phones"][ANA]["conversation"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(
        view["phones"][ANA]["window_open_until"],
        "2026-11-21T09:00:00Z"
    );
}

#[test]
fn limits_hold_per_number_and_per_customer() {
    let mut sandbox = meta();
    let codes: Vec<Value> = (0..46)
        .map(|_| post(&mut *sandbox, &text("x")).1["error"]["code"].clone())
        .collect();
    assert!(codes[..45].iter().all(Value::is_null));
    assert_eq!(codes[45], 131_056);
    let later = start() + SignedDuration::from_secs(7);
    let path = format!("/v25.0/{NUMBER}/messages");
    assert_eq!(
        call(&mut *sandbox, later, &request("POST", &path, &text("x"))).0,
        200,
        "one more after 6 s"
    );
    let mut sandbox = meta();
    let codes: Vec<Value> = (0..81)
        .map(|n| {
            let mut body = text("x");
            body["to"] = format!("+4915100000{n:03}").into();
            post(&mut *sandbox, &body).1["error"]["code"].clone()
        })
        .collect();
    assert!(codes[..80].iter().all(Value::is_null));
    assert_eq!(codes[80], 130_429);
}

fn upload(sandbox: &mut dyn Sandbox, told: &str, mime: &str, bytes: &[u8]) -> (u16, Value) {
    let mut body = Vec::new();
    for (name, value) in [("messaging_product", "whatsapp"), ("type", told)] {
        body.extend_from_slice(
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .as_bytes(),
        );
    }
    body.extend_from_slice(format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\nContent-Type: {mime}\r\n\r\n").as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let mut upload = request("POST", &format!("/v25.0/{NUMBER}/media"), &Value::Null);
    upload.headers[1].1 = "multipart/form-data; boundary=b".into();
    upload.body = body;
    call(sandbox, start(), &upload)
}

#[test]
fn files_are_kept_described_and_fetched_for_five_minutes() {
    let mut sandbox = meta();
    let (status, answer) = upload(&mut *sandbox, "image/png", "image/png", b"\x89PNG");
    assert_eq!(status, 200, "{answer}");
    let id = answer["id"].as_str().expect("an id").to_owned();
    let (_, described) = call(
        &mut *sandbox,
        start(),
        &request("GET", &format!("/v25.0/{id}"), &Value::Null),
    );
    assert_eq!(described["file_size"], "4", "a text");
    assert_eq!(described["mime_type"], "image/png");
    let url = described["url"].as_str().expect("a url").to_owned();
    let (path, query) = url
        .trim_start_matches("http://127.0.0.1:9104")
        .split_once('?')
        .expect("a query");
    let mut fetch = request("GET", path, &Value::Null);
    fetch.query = handoffd_contract::sandbox::parse_query(query);
    let minutes = |n: i64| start() + SignedDuration::from_mins(n);
    assert_eq!(sandbox.handle(minutes(4), &fetch).body, b"\x89PNG");
    assert_eq!(sandbox.handle(minutes(5), &fetch).status, 404);
    fetch.headers.remove(0);
    assert_eq!(
        sandbox.handle(minutes(1), &fetch).status,
        401,
        "the address wants the token"
    );
    let delete = request("DELETE", &format!("/v25.0/{id}"), &Value::Null);
    assert_eq!(
        call(&mut *sandbox, start(), &delete).1,
        json!({"success": true})
    );
    assert_eq!(call(&mut *sandbox, start(), &delete).0, 400);
}

#[test]
fn uploads_are_checked_for_type_and_size() {
    let mut sandbox = meta();
    let code = |answer: (u16, Value)| answer.1["error"]["code"].clone();
    assert_eq!(
        code(upload(
            &mut *sandbox,
            "application/zip",
            "application/zip",
            b"x"
        )),
        100
    );
    assert_eq!(
        code(upload(&mut *sandbox, "image/png", "image/jpeg", b"x")),
        131_053
    );
    assert_eq!(
        code(upload(&mut *sandbox, "image/png", "image/png", b"")),
        100
    );
    assert_eq!(
        code(upload(
            &mut *sandbox,
            "image/png",
            "image/png",
            &vec![0; (5 << 20) + 1]
        )),
        100
    );
    // A picture that is sent as a film is accepted, and fails by a status.
    let (_, answer) = upload(&mut *sandbox, "image/png", "image/png", b"x");
    assert_eq!(
        post(&mut *sandbox, &to_ana("video", json!({"id": answer["id"]}))).0,
        200
    );
    assert_eq!(statuses(&mut *sandbox), ["failed"]);
}

#[test]
fn templates_are_listed_in_pages() {
    let mut sandbox = meta();
    let mut list = request(
        "GET",
        &format!("/v25.0/{WABA}/message_templates"),
        &Value::Null,
    );
    list.query = vec![("limit".into(), "2".into())];
    let (_, first) = call(&mut *sandbox, start(), &list);
    assert_eq!(first["data"].as_array().map(Vec::len), Some(2));
    assert!(first["paging"]["next"].is_string());
    let after = first["paging"]["cursors"]["after"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    list.query.push(("after".into(), after));
    let (_, second) = call(&mut *sandbox, start(), &list);
    assert_ne!(first["data"][0], second["data"][0]);
    list.query = vec![("name".into(), "handoff_reply".into())];
    let (_, named) = call(&mut *sandbox, start(), &list);
    assert_eq!(named["data"].as_array().map(Vec::len), Some(2));
    let mut number = request("GET", &format!("/v25.0/{NUMBER}"), &Value::Null);
    number.query = vec![("fields".into(), "id,shoe_size".into())];
    assert_eq!(
        call(&mut *sandbox, start(), &number).1["error"]["code"],
        100
    );
}

#[test]
fn customers_do_what_customers_do() {
    let mut sandbox = meta();
    let photo = sandbox
        .act(start(), &json!({"act": "media", "from": ANA, "kind": "image", "content": "a picture", "caption": "see"}))
        .expect("an act");
    let path = format!("/v25.0/{}", photo["media_id"].as_str().expect("an id"));
    assert_eq!(
        call(&mut *sandbox, start(), &request("GET", &path, &Value::Null)).0,
        200
    );
    let week = start() + SignedDuration::from_hours(7 * 24);
    assert_eq!(
        call(&mut *sandbox, week, &request("GET", &path, &Value::Null)).0,
        400,
        "seven days"
    );
    for act in [
        json!({"act": "location", "from": ANA, "latitude": 1.0, "longitude": 2.0}),
        json!({"act": "choose", "from": ANA, "id": "y", "title": "Yes"}),
        json!({"act": "react", "from": ANA, "message": photo["id"], "emoji": "👍"}),
    ] {
        sandbox.act(start(), &act).expect("an act");
    }
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": photo["id"], "typing_indicator": {"type": "text"}});
    assert_eq!(post(&mut *sandbox, &read).1, json!({"success": true}));
    assert_eq!(post(&mut *sandbox, &text("Thank you")).0, 200);
    assert_eq!(
        sandbox.act(start(), &json!({"act": "read", "from": ANA})),
        Ok(json!({"read": 1}))
    );
    let types: Vec<String> = hooks(&mut *sandbox, 60)
        .iter()
        .filter_map(|value| value["messages"][0]["type"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(types, ["image", "location", "interactive", "reaction"]);
    assert!(
        sandbox
            .act(start(), &json!({"act": "fly", "from": ANA}))
            .is_err_and(|e| e.contains("there are text"))
    );
    assert!(
        sandbox
            .act(start(), &json!({"act": "text", "text": "x"}))
            .is_err_and(|e| e.contains("`from`"))
    );
    assert!(
        sandbox
            .switch("warp", &json!(9))
            .is_err_and(|e| e.contains("webhook_url"))
    );
}
