//! Webhooks go out, are repeated until they are taken, and suffer faults.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use handoffd::sandbox::Of;
use serde_json::json;
use tokio::net::TcpListener;

use crate::fake::Stage;

/// A receiver that answers with the given statuses, then with 200.
#[derive(Default)]
struct Receiver {
    answers: Mutex<VecDeque<u16>>,
    seen: Mutex<Vec<String>>,
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let number = headers["x-note"].to_str().unwrap_or_default();
    receiver
        .seen
        .lock()
        .expect("not poisoned")
        .push(format!("{number} {body}"));
    let status = receiver
        .answers
        .lock()
        .expect("not poisoned")
        .pop_front()
        .unwrap_or(200);
    (
        StatusCode::from_u16(status).expect("a status"),
        [("location", "/elsewhere")],
    )
}

async fn set(stage: &Stage, answers: &[u16]) -> Arc<Receiver> {
    let receiver = Arc::new(Receiver::default());
    receiver
        .answers
        .lock()
        .expect("not poisoned")
        .extend(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let service = Router::new()
        .fallback(receive)
        .with_state(Arc::clone(&receiver));
    tokio::spawn(axum::serve(listener, service).into_future());
    let switch = json!({"name": "webhook_url", "value": url});
    assert_eq!(
        stage.control("POST", "/notes/switch", Some(switch)).await.0,
        200
    );
    receiver
}

fn add(stage: &Stage, note: &str) {
    stage.served().act(&json!({"note": note})).expect("a note");
}

impl Receiver {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

#[tokio::test]
async fn what_is_refused_is_delivered_again() {
    let stage = Stage::new().await;
    // A redirect is an answer, and is not followed.
    let receiver = set(&stage, &[500, 302]).await;
    add(&stage, "one");
    stage
        .until(
            Of::Requests,
            "/webhooks",
            json!({"200": 1, "302": 1, "500": 1}),
        )
        .await;
    assert_eq!(receiver.seen(), ["1 one", "1 one", "1 one"]);
}

/// Looked at once a second, ten would take ten.
#[tokio::test]
async fn what_time_makes_due_is_delivered_when_it_is_due() {
    let stage = Stage::new().await;
    let receiver = set(&stage, &[]).await;
    stage.served().switch("delay_ms", &json!(20)).expect("set");
    let began = std::time::Instant::now();
    for count in 1..=10 {
        add(&stage, "late");
        stage
            .until(Of::Requests, "/webhooks", json!({"200": count}))
            .await;
    }
    let took = began.elapsed();
    assert!(took >= std::time::Duration::from_millis(200), "{took:?}");
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    assert_eq!(receiver.seen().len(), 10);
}

#[tokio::test]
async fn a_lost_answer_makes_a_repeat() {
    let stage = Stage::new().await;
    let receiver = set(&stage, &[]).await;
    stage
        .fault(json!({"times": 1, "fault": {"kind": "webhook_lost_answer"}}))
        .await;
    add(&stage, "one");
    stage
        .until(Of::Requests, "/webhooks", json!({"200": 2}))
        .await;
    assert_eq!(receiver.seen(), ["1 one", "1 one"]);
    assert_eq!(stage.happened("webhook_lost_answer").await, 1);
}

#[tokio::test]
async fn a_dropped_webhook_is_delivered_again() {
    let stage = Stage::new().await;
    let receiver = set(&stage, &[]).await;
    stage.fault(json!({"match": {"body_contains": "one"}, "times": 2, "fault": {"kind": "webhook_drop"}})).await;
    add(&stage, "one");
    stage
        .until(Of::Requests, "/webhooks", json!({"200": 1}))
        .await;
    assert_eq!(receiver.seen(), ["1 one"]);
    assert_eq!(stage.happened("webhook_drop").await, 2);
}

#[tokio::test]
async fn webhooks_are_doubled_and_overtaken() {
    let stage = Stage::new().await;
    let receiver = set(&stage, &[]).await;
    let late = json!({"kind": "webhook_delay", "ms": 300});
    stage
        .fault(json!({"match": {"body_contains": "one"}, "times": 1, "fault": late}))
        .await;
    stage
        .fault(json!({"match": {"body_contains": "two"}, "fault": {"kind": "webhook_duplicate"}}))
        .await;
    add(&stage, "one");
    stage
        .until(Of::Faults, "/happened/notes/webhook_delay", json!(1))
        .await;
    add(&stage, "two");
    stage
        .until(Of::Requests, "/webhooks", json!({"200": 3}))
        .await;
    assert_eq!(receiver.seen(), ["2 two", "2 two", "1 one"]);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_no_answer() {
    let stage = Stage::new().await;
    let switch = json!({"name": "webhook_url", "value": "http://127.0.0.1:1/hook"});
    assert_eq!(
        stage.control("POST", "/notes/switch", Some(switch)).await.0,
        200
    );
    add(&stage, "one");
    let wait = "/notes/wait?of=requests&pointer=/webhooks/none&at_least=2";
    assert_eq!(stage.control("GET", wait, None).await.0, 200);
    let receiver = set(&stage, &[]).await;
    add(&stage, "two");
    stage.until(Of::Requests, "/webhooks/200", json!(2)).await;
    let mut seen = receiver.seen();
    seen.sort();
    assert_eq!(seen, ["1 one", "2 two"]);
}

#[tokio::test]
async fn a_delivery_of_before_a_reset_is_not_reported_after_it() {
    let stage = Stage::new().await;
    let receiver = set(&stage, &[200, 500]).await;
    let late = json!({"kind": "webhook_delay", "ms": 300});
    let filter = json!({"body_contains": "old"});
    stage.fault(json!({"match": filter, "fault": late})).await;
    add(&stage, "old");
    stage
        .until(Of::Faults, "/happened/notes/webhook_delay", json!(1))
        .await;
    stage.served().reset(true);
    add(&stage, "new");
    stage
        .until(Of::Requests, "/webhooks", json!({"200": 1, "500": 1}))
        .await;
    for (note, taken) in [("two", 2), ("three", 3)] {
        add(&stage, note);
        stage
            .until(Of::Requests, "/webhooks/200", json!(taken))
            .await;
    }
    assert_eq!(receiver.seen(), ["1 new", "1 old", "2 two", "3 three"]);
}

#[tokio::test]
async fn late_webhooks_hold_nobody_up() {
    let stage = Stage::new().await;
    let receiver = set(&stage, &[]).await;
    let late = json!({"kind": "webhook_delay", "ms": 500});
    stage
        .fault(json!({"match": {"body_contains": "late"}, "fault": late}))
        .await;
    for _ in 0..20 {
        add(&stage, "late");
    }
    add(&stage, "now");
    stage
        .until(Of::Requests, "/webhooks", json!({"200": 21}))
        .await;
    assert_eq!(receiver.seen()[0], "21 now");
}
