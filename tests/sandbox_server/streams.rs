//! Event streams, byte by byte.

use std::time::{Duration, Instant};

use handoffd::sandbox::Of;
use serde_json::json;

use crate::fake::{Raw, Stage, frame};

async fn open(stage: &Stage) -> Raw {
    let mut raw = stage.raw().await;
    raw.get("/stream").await;
    let head = raw.until(": hello\n\n").await;
    assert!(
        head.contains("content-type: text/event-stream")
            && head.contains("transfer-encoding: chunked"),
        "{head}"
    );
    raw
}

fn add(stage: &Stage, note: &str) {
    stage.served().act(&json!({"note": note})).expect("a note");
}

/// The stream's text without its chunks' sizes, from a raw text that begins between two chunks.
fn joined(mut raw: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = raw.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        text.push_str(&rest[..size]);
        raw = rest[size..].trim_start_matches("\r\n");
    }
    text
}

fn frames(notes: &[(u64, &str)]) -> String {
    notes
        .iter()
        .map(|(n, note)| String::from_utf8(frame(*n, note)).expect("text"))
        .collect()
}

/// Reads until the stream is closed by switch.
async fn to_the_end(stage: &Stage, raw: &mut Raw) -> String {
    stage
        .served()
        .switch("closed", &json!(true))
        .expect("a switch");
    let seen = raw.until("0\r\n\r\n").await;
    joined(seen.trim_start_matches("\r\n"))
}

#[tokio::test]
async fn frames_come_as_they_are_made_and_the_end_is_clean() {
    let stage = Stage::new().await;
    add(&stage, "one");
    let mut raw = open(&stage).await;
    raw.until("data: one\n\n").await;
    stage.until(Of::Requests, "/open_streams", json!(1)).await;
    add(&stage, "two");
    raw.until("data: two\n\n").await;
    stage
        .served()
        .switch("closed", &json!(true))
        .expect("a switch");
    let (seen, end) = raw.rest_or_keep_alive().await;
    assert!(
        seen.ends_with("0\r\n\r\n") && end,
        "the last chunk says that it is the last: {seen:?}"
    );
    stage.until(Of::Requests, "/open_streams", json!(0)).await;
}

#[tokio::test]
async fn a_stream_goes_on_after_a_position() {
    let stage = Stage::new().await;
    for note in ["one", "two", "three"] {
        add(&stage, note);
    }
    let mut raw = stage.raw().await;
    raw.send("GET /stream HTTP/1.1\r\nhost: x\r\nlast-event-id: 2\r\nconnection: close\r\n\r\n")
        .await;
    let seen = raw.until("data: three\n\n").await;
    assert!(!seen.contains("two"), "{seen}");
}

#[tokio::test]
async fn bytes_are_split_anywhere() {
    let stage = Stage::new().await;
    let rule = json!({"kind": "chunk_bytes", "bytes": 1});
    stage
        .fault(json!({"match": {"path_contains": "/stream"}, "fault": rule}))
        .await;
    split_into_single_bytes(&stage).await;
    assert_eq!(stage.happened("chunk_bytes").await, 1);

    let stage = Stage::new().await;
    stage
        .served()
        .switch("chunk_bytes", &json!(1))
        .expect("a switch");
    split_into_single_bytes(&stage).await;
}

async fn split_into_single_bytes(stage: &Stage) {
    add(stage, "añ🙂");
    let mut raw = stage.raw().await;
    raw.send("GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    stage.until(Of::Requests, "/open_streams", json!(1)).await;
    stage
        .served()
        .switch("closed", &json!(true))
        .expect("a switch");
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut raw.0, &mut bytes)
        .await
        .expect("a clean end");
    let body = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let mut rest = &bytes[body..];
    let mut text = Vec::new();
    while let Some(after) = rest.strip_prefix(b"1\r\n") {
        text.push(after[0]);
        rest = &after[3..];
    }
    assert_eq!(rest, b"0\r\n\r\n", "every chunk has one byte");
    assert_eq!(
        String::from_utf8(text).expect("whole again"),
        format!(": hello\n\n{}", frames(&[(1, "añ🙂")]))
    );
}

#[tokio::test]
async fn a_stream_is_cut_inside_a_frame() {
    let stage = Stage::new().await;
    let mut raw = open(&stage).await;
    stage
        .fault(json!({"skip": 1, "times": 1, "fault": {"kind": "cut_streams", "at": 9}}))
        .await;
    add(&stage, "one");
    raw.until("data: one\n\n").await;
    add(&stage, "two");
    let (seen, end) = raw.rest().await;
    assert_eq!(
        (seen.trim_start_matches("\r\n"), end),
        ("9\r\nid: 2\ndat\r\n", Ok(()))
    );
    assert_eq!(stage.happened("cut_streams").await, 1);
    stage.until(Of::Requests, "/open_streams", json!(0)).await;
}

#[tokio::test]
async fn open_streams_are_cut_at_once() {
    let stage = Stage::new().await;
    let (mut one, mut two) = (open(&stage).await, open(&stage).await);
    let other = json!({"match": {"path_contains": "/other"}, "fault": {"kind": "cut_streams", "now": true}});
    assert_eq!(stage.fault(other).await, json!({"streams": 0}));
    let cut = json!({"match": {"path_contains": "/stream"}, "fault": {"kind": "cut_streams", "now": true}});
    assert_eq!(stage.fault(cut).await, json!({"streams": 2}));
    for raw in [&mut one, &mut two] {
        let (seen, _) = raw.rest().await;
        assert!(
            !seen.contains("0\r\n\r\n"),
            "without a last chunk: {seen:?}"
        );
    }
    assert_eq!(stage.happened("cut_streams").await, 2);
    open(&stage).await;
}

#[tokio::test]
async fn a_stream_falls_silent_and_goes_on() {
    let stage = Stage::new().await;
    let mut raw = open(&stage).await;
    stage
        .fault(json!({"times": 1, "fault": {"kind": "silence_streams", "ms": 120}}))
        .await;
    let started = Instant::now();
    add(&stage, "one");
    raw.until("data: one\n\n").await;
    assert!(started.elapsed() >= Duration::from_millis(120));

    let now = json!({"fault": {"kind": "silence_streams", "ms": 120, "now": true}});
    let started = Instant::now();
    assert_eq!(stage.fault(now).await, json!({"streams": 1}));
    add(&stage, "two");
    raw.until("data: two\n\n").await;
    assert!(started.elapsed() >= Duration::from_millis(120));
    assert_eq!(stage.happened("silence_streams").await, 2);
}

#[tokio::test]
async fn frames_are_doubled_dropped_and_swapped() {
    let stage = Stage::new().await;
    let mut raw = open(&stage).await;
    for (kind, body) in [
        ("duplicate", "one"),
        ("drop_frames", "two"),
        ("reorder", "three"),
    ] {
        stage
            .fault(json!({"match": {"body_contains": body}, "fault": {"kind": kind}}))
            .await;
    }
    for note in ["one", "two", "three", "four", "five"] {
        add(&stage, note);
    }
    let seen = to_the_end(&stage, &mut raw).await;
    assert_eq!(
        seen,
        frames(&[
            (1, "one"),
            (1, "one"),
            (4, "four"),
            (3, "three"),
            (5, "five")
        ])
    );
    for kind in ["duplicate", "drop_frames", "reorder"] {
        assert_eq!(stage.happened(kind).await, 1, "{kind}");
    }
}

#[tokio::test]
async fn a_frame_that_nothing_overtakes_comes_all_the_same() {
    let stage = Stage::new().await;
    stage.fault(json!({"fault": {"kind": "reorder"}})).await;
    let mut raw = open(&stage).await;
    add(&stage, "alone");
    assert_eq!(to_the_end(&stage, &mut raw).await, frames(&[(1, "alone")]));
    assert_eq!(stage.happened("reorder").await, 0, "nothing was swapped");
}
