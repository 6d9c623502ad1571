//! What reaches a simulator, and what the journal says of it.

use handoffd::sandbox::{Of, Options};
use serde_json::{Value, json};

use crate::fake::Stage;

#[tokio::test]
async fn a_request_reaches_the_simulator_as_it_was_sent() {
    let stage = Stage::new().await;
    let mut raw = stage.raw().await;
    let head =
        "PATCH /a%20b/(x)//c?q=1%202&q=%26&e HTTP/1.1\r\nHost: here\r\nX-Two: a\r\nX-TWO: b\r\n";
    raw.send(&format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    ))
    .await;
    let seen = raw.until("}").await;
    let body: Value =
        serde_json::from_str(seen.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    assert_eq!(body["method"], "PATCH");
    assert_eq!(body["path"], "/a%20b/(x)//c");
    assert_eq!(body["query"], json!([["q", "1 2"], ["q", "&"], ["e", ""]]));
    assert_eq!(body["bytes"], 5);
    let headers = body["headers"].as_array().expect("headers");
    assert!(
        headers.contains(&json!(["x-two", "a"])) && headers.contains(&json!(["x-two", "b"])),
        "{headers:?}"
    );
}

#[tokio::test]
async fn bodies_are_bounded() {
    let stage = Stage::with(|options: &mut Options| {
        options.max_body = 300_000;
        options.memory = 300_000;
    })
    .await;
    let url = format!("http://{}/x", stage.address());
    // More of them than fit into the memory at a time, and none of them is left waiting.
    let large = (0..8).map(|_| async {
        let sent = stage
            .http
            .post(&url)
            .body(vec![b'x'; 299_000])
            .send()
            .await
            .expect("an answer");
        sent.json::<Value>().await.expect("JSON")["bytes"].clone()
    });
    let chunked = (0..8).map(|_| async {
        let parts =
            futures::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 50_000])));
        let sent = stage
            .http
            .post(&url)
            .body(reqwest::Body::wrap_stream(parts))
            .send()
            .await
            .expect("an answer");
        sent.json::<Value>().await.expect("JSON")["bytes"].clone()
    });
    let (large, chunked) = futures::join!(
        futures::future::join_all(large),
        futures::future::join_all(chunked)
    );
    assert_eq!(
        (large, chunked),
        (vec![json!(299_000); 8], vec![json!(250_000); 8])
    );

    let mut raw = stage.raw().await;
    raw.send("POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 300001\r\n\r\n")
        .await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 413"));
    let mut raw = stage.raw().await;
    raw.send("POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    raw.send(&format!("493e1\r\n{}\r\n", "x".repeat(300_001)))
        .await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn large_bodies_wait_for_memory() {
    let stage = Stage::with(|options: &mut Options| {
        options.max_body = 300_000;
        options.memory = 300_000;
    })
    .await;
    stage
        .fault(json!({"times": 1, "fault": {"kind": "delay", "ms": 300}}))
        .await;
    let url = format!("http://{}/notes", stage.address());
    let post = |note: String| stage.http.post(&url).body(note).send();
    let first = tokio::spawn(post("a".repeat(299_000)));
    stage
        .until(Of::Faults, "/happened/notes/delay", json!(1))
        .await;
    let small = post("b".repeat(9)).await;
    let second = post("c".repeat(299_000)).await;
    let first = first.await.expect("no panic");
    for sent in [first, small, second] {
        assert_eq!(sent.expect("an answer").status(), 201);
    }
    let notes = stage.notes();
    let order: Vec<&str> = (0..3)
        .map(|n| &notes[n].as_str().expect("a note")[..1])
        .collect();
    assert_eq!(
        order,
        ["b", "a", "c"],
        "a small one passes, a large one waits until the first is done"
    );
}

#[tokio::test]
async fn the_journal_says_what_was_asked() {
    let stage = Stage::new().await;
    for (note, n) in [("one", 1), ("two", 2)] {
        let url = format!("http://{}/notes?n={n}", stage.address());
        stage
            .http
            .post(url)
            .body(note)
            .send()
            .await
            .expect("an answer");
    }
    stage
        .http
        .get(format!("http://{}/notes/12345", stage.address()))
        .send()
        .await
        .expect("an answer");
    let (_, answer) = stage.control("GET", "/notes/requests?bodies=1", None).await;
    let counts = &answer["counts"];
    assert_eq!(
        counts["shapes"]["POST /notes"],
        json!({"count": 2, "statuses": {"201": 2}})
    );
    assert_eq!(counts["shapes"]["GET /notes/{}"]["count"], 1);
    assert_eq!(
        (
            &counts["started"],
            &counts["finished"],
            &counts["max_in_flight"]
        ),
        (&json!(3), &json!(3), &json!(1))
    );
    let one = &answer["requests"][0];
    assert_eq!(
        (&one["n"], &one["method"], &one["path"], &one["query"]),
        (&json!(1), &json!("POST"), &json!("/notes"), &json!("n=1"))
    );
    assert_eq!(
        (&one["status"], &one["outcome"], &one["fault"], &one["body"]),
        (&json!(201), &json!("answered"), &Value::Null, &json!("one"))
    );
    assert_eq!(
        (&one["request_bytes"], &one["response_bytes"]),
        (&json!(3), &json!(8))
    );
    // printf one | sha256sum
    assert_eq!(
        one["request_sha256"],
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    );
    let (_, answer) = stage.control("GET", "/notes/requests?since=3", None).await;
    assert_eq!(answer["requests"].as_array().map(Vec::len), Some(1));
    assert!(
        answer["requests"][0].get("body").is_none(),
        "bodies only when asked for"
    );
    let (_, answer) = stage.control("GET", "/notes/requests?list=0", None).await;
    assert!(answer.get("requests").is_none());
}

#[tokio::test]
async fn requests_in_flight_are_counted() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"times": 5, "fault": {"kind": "hang"}}))
        .await;
    let mut hung = Vec::new();
    for _ in 0..5 {
        let mut raw = stage.raw().await;
        raw.post("x").await;
        hung.push(raw);
    }
    stage
        .until(Of::Faults, "/happened/notes/hang", json!(5))
        .await;
    assert_eq!(stage.served().counts()["in_flight"], 5);
    drop(hung);
    stage.until(Of::Requests, "/in_flight", json!(0)).await;
    let counts = stage.served().counts();
    assert_eq!(
        (&counts["max_in_flight"], &counts["outcomes"]),
        (&json!(5), &json!({"left": 5}))
    );
}
