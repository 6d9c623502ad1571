//! The control API: waiting, resetting, the clock, stopping; and what it says to mistakes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use handoffd::sandbox::{Of, Options};
use serde_json::json;

use crate::fake::{PATIENCE, Stage};

#[tokio::test]
async fn a_wait_ends_with_the_change_or_with_its_time() {
    let stage = Stage::new().await;
    let started = Instant::now();
    let (status, answer) = stage
        .control("GET", "/notes/wait?pointer=/notes/0&timeout_ms=80", None)
        .await;
    assert_eq!(
        (status, answer),
        (408, json!({"error": "the time is up", "value": null}))
    );
    assert!(started.elapsed() >= Duration::from_millis(80));

    let path = format!(
        "/notes/wait?pointer=/notes/1&equals=two&timeout_ms={}",
        PATIENCE.as_millis()
    );
    let waiting = stage.control("GET", &path, None);
    let acting = async {
        for note in ["one", "two"] {
            let (status, answer) = stage
                .control("POST", "/notes/act", Some(json!({"note": note})))
                .await;
            assert_eq!(status, 200, "{answer}");
        }
    };
    let (waited, ()) = futures::join!(waiting, acting);
    assert_eq!(waited, (200, json!({"value": "two"})));
    let (status, answer) = stage
        .control("GET", "/notes/wait?pointer=/notes&at_least=2", None)
        .await;
    assert_eq!((status, answer), (200, json!({"value": ["one", "two"]})));
    let (status, _) = stage
        .control(
            "GET",
            "/notes/wait?pointer=/notes&at_least=3&timeout_ms=1",
            None,
        )
        .await;
    assert_eq!(status, 408);
}

#[tokio::test]
async fn a_wait_wakes_with_the_change() {
    let stage = Stage::new().await;
    let started = Instant::now();
    for n in 0..8 {
        let path = format!("/notes/wait?pointer=/notes/{n}");
        let act = Some(json!({"note": "x"}));
        let (waited, _) = futures::join!(
            stage.control("GET", &path, None),
            stage.control("POST", "/notes/act", act)
        );
        assert_eq!(waited.0, 200);
    }
    let took = started.elapsed();
    assert!(
        took < Duration::from_secs(4),
        "eight looks that wait for the second take eight: {took:?}"
    );
}

#[tokio::test]
async fn the_control_api_says_what_is_wrong() {
    let stage = Stage::new().await;
    let status_599 = json!({"kind": "status", "status": 600});
    for (method, path, body, status, words) in [
        ("GET", "/nothing", None, 404, "GET / lists them"),
        (
            "GET",
            "/crm/view",
            None,
            404,
            "no simulator is named \"crm\"",
        ),
        ("POST", "/notes/act", Some(json!({})), 400, "an act is"),
        (
            "POST",
            "/notes/switch",
            Some(json!({"name": "x", "value": 1})),
            400,
            "closed, webhook_url",
        ),
        (
            "POST",
            "/notes/switch",
            Some(json!({"name": "closed"})),
            400,
            "missing field `value`",
        ),
        (
            "POST",
            "/faults",
            Some(json!({"target": "crm", "fault": {"kind": "reorder"}})),
            400,
            "target: no simulator",
        ),
        (
            "POST",
            "/faults",
            Some(json!({"target": "*", "fault": {"kind": "x"}})),
            400,
            "unknown variant `x`",
        ),
        (
            "POST",
            "/faults",
            Some(json!({"target": "*", "fault": status_599})),
            400,
            "between 200 and 599",
        ),
        (
            "POST",
            "/faults",
            Some(json!({"target": "*", "rate": 2.0, "fault": {"kind": "hang"}})),
            400,
            "between 0 and 1",
        ),
        (
            "POST",
            "/faults",
            Some(json!({"target": "*", "fualt": 1})),
            400,
            "unknown field `fualt`",
        ),
        (
            "POST",
            "/faults",
            Some(json!({"target": "*", "fault": {"kind": "hang", "m": 1}})),
            400,
            "unknown field `m`",
        ),
        (
            "POST",
            "/faults",
            Some(json!({"target": "*", "fault": {"kind": "chunk_bytes", "bytes": 0}})),
            400,
            "at least 1",
        ),
        (
            "POST",
            "/clock",
            Some(json!({"offset": 1})),
            400,
            "unknown field `offset`",
        ),
    ] {
        let (got, answer) = stage.control(method, path, body.clone()).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            got == status && error.contains(words),
            "{method} {path} {body:?}: {got} {error}"
        );
    }
    let (_, report) = stage.control("GET", "/faults", None).await;
    assert_eq!(report["rules"], json!([]), "nothing of it is in force");
    let (_, index) = stage.control("GET", "/", None).await;
    assert_eq!(
        index["targets"]["notes"],
        format!("http://{}", stage.address())
    );
    let (_, credentials) = stage.control("GET", "/credentials", None).await;
    assert_eq!(
        credentials["notes"]["settings"]["base_url"],
        format!("http://{}", stage.address())
    );
}

#[tokio::test]
async fn switches_are_listed_and_set_from_a_line_of_text() {
    let salesforce = |options: &mut Options| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let before = std::mem::replace(options, Options::new(any));
        *options = before.target("salesforce", any, handoffd_salesforce::sandbox);
    };
    let stage = Stage::with(salesforce).await;
    for switch in [
        "salesforce.capacity=status",
        "salesforce.ended_session=403",
        "salesforce.ping_seconds=5",
        "notes.closed=true",
    ] {
        assert_eq!(stage.running.switch(switch), Ok(()), "{switch}");
    }
    for (switch, words) in [
        ("capacity=status", "write TARGET.NAME=VALUE"),
        ("salesforce.capacity", "write TARGET.NAME=VALUE"),
        ("crm.capacity=tab", "no simulator is named"),
        ("salesforce.colour=red", "capacity"),
        ("salesforce.capacity=seat", "capacity"),
    ] {
        let refused = stage.running.switch(switch).expect_err(switch);
        assert!(refused.contains(words), "{switch}: {refused}");
    }
    let (_, index) = stage.control("GET", "/", None).await;
    let switches = &index["switches"];
    assert_eq!(switches["salesforce"]["capacity"], "status");
    assert_eq!(switches["salesforce"]["ended_session"], "403");
    assert_eq!(switches["salesforce"]["ping_seconds"], 5);
    assert_eq!(switches["notes"], "there are: closed, webhook_url");
}

#[tokio::test]
async fn a_reset_begins_anew() {
    let stage = Stage::new().await;
    stage.served().act(&json!({"note": "old"})).expect("a note");
    stage
        .served()
        .switch("closed", &json!(true))
        .expect("a switch");
    stage
        .http
        .get(format!("http://{}/x", stage.address()))
        .send()
        .await
        .expect("an answer");
    let (status, _) = stage
        .control("POST", "/notes/reset", Some(json!({"keep_switches": true})))
        .await;
    assert_eq!(
        (status, stage.notes(), &stage.served().counts()["started"]),
        (200, json!([]), &json!(0))
    );
    let stream = format!("http://{}/stream", stage.address());
    assert_eq!(
        stage
            .http
            .get(&stream)
            .send()
            .await
            .expect("a stream")
            .text()
            .await
            .expect("closed at once"),
        ": hello\n\n"
    );

    let mut raw = stage.raw().await;
    assert_eq!(stage.control("POST", "/notes/reset", None).await.0, 200);
    raw.get("/stream").await;
    raw.until(": hello").await;
    stage.until(Of::Requests, "/open_streams", json!(1)).await;
    assert_eq!(stage.control("POST", "/notes/reset", None).await.0, 200);
    let (seen, _) = raw.rest().await;
    assert!(
        !seen.contains("0\r\n\r\n"),
        "an open stream is cut: {seen:?}"
    );
}

#[tokio::test]
async fn the_clock_can_be_set_ahead() {
    let stage = Stage::with(|options| {
        options.clock = handoffd::sandbox::Clock::new(|| jiff::Timestamp::UNIX_EPOCH)
    })
    .await;
    let (status, clock) = stage
        .control("POST", "/clock", Some(json!({"offset_ms": 86_400_000})))
        .await;
    assert_eq!(
        (status, clock),
        (
            200,
            json!({"now": "1970-01-02T00:00:00Z", "offset_ms": 86_400_000})
        )
    );
    let time = stage
        .http
        .get(format!("http://{}/time", stage.address()))
        .send()
        .await
        .expect("an answer");
    assert_eq!(time.text().await.expect("text"), "1970-01-02T00:00:00Z");
}

#[tokio::test]
async fn a_panic_is_an_answer_and_a_count() {
    let stage = Stage::new().await;
    let answer = stage
        .http
        .get(format!("http://{}/panic", stage.address()))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 500);
    assert_eq!(stage.served().counts()["outcomes"], json!({"panicked": 1}));
    assert_eq!(stage.notes(), json!([]), "it can still be looked at");
}

#[tokio::test]
async fn a_stop_ends_streams_hangs_and_idle_connections() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"match": {"method": "POST"}, "fault": {"kind": "hang"}}))
        .await;
    let (mut stream, mut hung, mut slow) =
        (stage.raw().await, stage.raw().await, stage.raw().await);
    stream.get("/stream").await;
    stream.until("hello").await;
    hung.post("x").await;
    slow.send("POST /notes HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nnot all")
        .await;
    stage.until(Of::Requests, "/in_flight", json!(2)).await;
    let (address, control) = (stage.address(), stage.running.control());
    stage.stop.cancel();
    tokio::time::timeout(PATIENCE, stage.running.join())
        .await
        .expect("it ends");
    for raw in [&mut stream, &mut hung, &mut slow] {
        let _ = raw.rest().await;
    }
    for address in [address, control] {
        assert!(
            tokio::net::TcpStream::connect(address).await.is_err(),
            "nobody listens any more"
        );
    }
}
