//! Every fault that can strike a request, as a raw client sees it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use handoffd::sandbox::Of;
use serde_json::json;

use crate::fake::Stage;

#[tokio::test]
async fn a_status_comes_before_the_effect() {
    let stage = Stage::new().await;
    let answer = json!({"kind": "status", "status": 429, "headers": {"Retry-After": "7"}, "body": {"message": "slow"}});
    stage.fault(json!({"match": {"method": "POST", "path_contains": "/no"}, "times": 1, "fault": answer})).await;
    let mut raw = stage.raw().await;
    raw.get("/notes").await;
    assert!(
        raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"),
        "another method is let through"
    );
    raw.until("}").await;

    let mut raw = stage.raw().await;
    raw.post("one").await;
    let seen = raw.until("\"}").await.to_lowercase();
    assert!(
        seen.starts_with("http/1.1 429") && seen.contains("retry-after: 7\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains("content-type: application/json") && seen.ends_with("{\"message\":\"slow\"}"),
        "{seen}"
    );
    assert_eq!(stage.notes(), json!([]));
    assert_eq!(stage.happened("status").await, 1);

    raw.post("one").await;
    assert!(
        raw.until("}").await.starts_with("HTTP/1.1 201"),
        "only once, and the connection stays open"
    );
    assert_eq!(stage.notes(), json!(["one"]));
    assert_eq!(stage.happened("status").await, 1);
}

#[tokio::test]
async fn a_status_after_the_effect_hides_it() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"fault": {"kind": "after", "status": 502, "body": "bad gateway"}}))
        .await;
    let mut raw = stage.raw().await;
    raw.post("one").await;
    let seen = raw.until("bad gateway").await;
    assert!(
        seen.starts_with("HTTP/1.1 502") && !seen.contains("x-made"),
        "{seen}"
    );
    assert_eq!(stage.notes(), json!(["one"]));
    assert_eq!(stage.happened("after").await, 1);
}

#[tokio::test]
async fn connections_are_dropped_before_and_after_the_effect() {
    let stage = Stage::new().await;
    for (kind, reset, notes) in [
        ("drop_before", false, json!([])),
        ("drop_before", true, json!([])),
        ("drop_after", false, json!(["x"])),
        ("drop_after", true, json!(["x", "x"])),
    ] {
        stage
            .fault(json!({"times": 1, "fault": {"kind": kind, "reset": reset}}))
            .await;
        let mut raw = stage.raw().await;
        raw.post("x").await;
        let end = if reset {
            Err(ErrorKind::ConnectionReset)
        } else {
            Ok(())
        };
        assert_eq!(
            raw.rest().await,
            (String::new(), end),
            "{kind}, reset: {reset}"
        );
        assert_eq!(stage.notes(), notes, "{kind}, reset: {reset}");
    }
    assert_eq!(stage.happened("drop_before").await, 2);
    assert_eq!(stage.happened("drop_after").await, 2);
    let dropped = stage.served().requests(0, false);
    assert!(
        dropped
            .iter()
            .all(|r| r["outcome"] == "dropped" && r["status"].is_null()),
        "{dropped:?}"
    );
}

#[tokio::test]
async fn a_late_request_has_its_effect_after_the_client_left() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"times": 1, "fault": {"kind": "delay", "ms": 300}}))
        .await;
    let mut raw = stage.raw().await;
    raw.post("late").await;
    stage
        .until(Of::Faults, "/happened/notes/delay", json!(1))
        .await;
    drop(raw);
    stage.until(Of::Requests, "/outcomes/left", json!(1)).await;
    assert_eq!(
        stage.notes(),
        json!([]),
        "the client left before the effect"
    );
    stage.until(Of::View, "/notes", json!(["late"])).await;
}

#[tokio::test]
async fn an_answer_can_be_late() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"fault": {"kind": "delay", "ms": 150, "when": "after"}}))
        .await;
    let started = Instant::now();
    let mut raw = stage.raw().await;
    raw.post("one").await;
    stage.until(Of::View, "/notes", json!(["one"])).await;
    let effect = started.elapsed();
    assert!(raw.until("}").await.starts_with("HTTP/1.1 201"));
    assert!(started.elapsed() >= Duration::from_millis(150) && effect < started.elapsed());
}

#[tokio::test]
async fn a_hang_answers_nothing_and_ends() {
    let stage = Stage::new().await;
    for (when, notes) in [("before", json!([])), ("after", json!(["x"]))] {
        stage
            .fault(json!({"times": 1, "fault": {"kind": "hang", "when": when, "ms": 120}}))
            .await;
        let started = Instant::now();
        let mut raw = stage.raw().await;
        raw.post("x").await;
        assert_eq!(raw.rest().await, (String::new(), Ok(())), "{when}");
        assert!(started.elapsed() >= Duration::from_millis(120), "{when}");
        assert_eq!(stage.notes(), notes, "{when}");
    }
    assert_eq!(stage.happened("hang").await, 2);
}

#[tokio::test]
async fn bodies_are_cut_spoiled_and_slowed() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"times": 1, "fault": {"kind": "truncate"}}))
        .await;
    stage
        .fault(json!({"times": 1, "fault": {"kind": "truncate", "at": 3}}))
        .await;
    for kept in ["{\"id", "{\"i"] {
        let mut raw = stage.raw().await;
        raw.post("x").await;
        let (seen, end) = raw.rest().await;
        assert!(seen.contains("content-length: 8\r\n"), "{seen}");
        assert_eq!(
            (seen.split_once("\r\n\r\n").map(|(_, body)| body), end),
            (Some(kept), Ok(()))
        );
    }
    assert_eq!(stage.happened("truncate").await, 2);

    stage
        .fault(json!({"times": 1, "fault": {"kind": "garbage"}}))
        .await;
    stage
        .fault(json!({"times": 1, "fault": {"kind": "garbage", "body": "<html>"}}))
        .await;
    for body in ["\u{fffd}{\"id\": <oops", "<html>"] {
        let mut raw = stage.raw().await;
        raw.post("x").await;
        let seen = raw.until(&body[body.len() - 5..]).await;
        assert!(
            seen.starts_with("HTTP/1.1 201")
                && seen.contains("application/json")
                && seen.ends_with(body),
            "{seen}"
        );
    }

    stage
        .fault(json!({"times": 1, "fault": {"kind": "slow_body", "bytes": 2, "every_ms": 40}}))
        .await;
    let started = Instant::now();
    let mut raw = stage.raw().await;
    raw.post("x").await;
    let seen = raw.until("}").await;
    assert!(
        seen.contains("content-length: 8\r\n") && seen.ends_with("{\"id\":5}"),
        "{seen}"
    );
    assert!(
        started.elapsed() >= Duration::from_millis(120),
        "three pauses before the last piece"
    );
    assert_eq!(
        stage.notes().as_array().map(Vec::len),
        Some(5),
        "each had its effect"
    );
}

#[tokio::test]
async fn skip_and_times_count_what_matches() {
    let stage = Stage::new().await;
    let filter = json!({"method": "post", "path_contains": "notes", "body_contains": "b"});
    stage.fault(json!({"match": filter, "skip": 1, "times": 2, "fault": {"kind": "status", "status": 503}})).await;
    let mut statuses = Vec::new();
    for note in ["b", "a", "b", "a", "b", "b"] {
        let url = format!("http://{}/notes", stage.address());
        statuses.push(
            stage
                .http
                .post(url)
                .body(note)
                .send()
                .await
                .expect("an answer")
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [201, 201, 503, 201, 503, 201]);
    let (_, report) = stage.control("GET", "/faults", None).await;
    assert_eq!(
        (&report["rules"][0]["seen"], &report["rules"][0]["struck"]),
        (&json!(4), &json!(2))
    );

    let (status, report) = stage.control("DELETE", "/faults?target=notes", None).await;
    assert_eq!(
        (
            status,
            &report["rules"],
            &report["happened"]["notes"]["status"]
        ),
        (200, &json!([]), &json!(2))
    );
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults() {
    let run = async |seed: u64, lifted: bool| {
        let stage = Stage::new().await;
        if lifted {
            stage.fault(json!({"fault": {"kind": "garbage"}})).await;
            stage.running.clear_faults(None);
        }
        stage
            .fault(json!({"rate": 0.2, "seed": seed, "fault": {"kind": "status", "status": 500}}))
            .await;
        let mut struck = Vec::new();
        for n in 0..300 {
            let response = stage
                .http
                .get(format!("http://{}/{n}", stage.address()))
                .send()
                .await;
            struck.push(response.expect("an answer").status() == 500);
        }
        struck
    };
    let (seven, again, eight) = (run(7, false).await, run(7, true).await, run(8, false).await);
    assert_eq!(
        seven, again,
        "a rule that was lifted before changes nothing"
    );
    assert_ne!(seven, eight);
    for struck in [seven, eight] {
        let share = struck.iter().filter(|struck| **struck).count();
        assert!(
            (35..=85).contains(&share),
            "{share} of 300 at a rate of 0.2"
        );
    }
}

#[tokio::test]
async fn one_rule_strikes_and_every_rule_counts() {
    let stage = Stage::new().await;
    // A query is a part of what a rule looks at.
    let other = json!({"path_contains": "?other=1"});
    stage
        .fault(json!({"match": other, "fault": {"kind": "status", "status": 404}}))
        .await;
    for (skip, times, status) in [(0, 1, 500), (1, 1, 503), (0, 4, 502)] {
        let fault = json!({"kind": "status", "status": status});
        stage
            .fault(json!({"skip": skip, "times": times, "fault": fault}))
            .await;
    }
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let response = stage
            .http
            .get(format!("http://{}/", stage.address()))
            .send()
            .await;
        statuses.push(response.expect("an answer").status().as_u16());
    }
    assert_eq!(statuses, [500, 503, 502, 502, 502, 502, 200]);
    let response = stage
        .http
        .get(format!("http://{}/?other=1", stage.address()))
        .send()
        .await;
    assert_eq!(response.expect("an answer").status(), 404);
}
