//! Streams that share a connection, as clients of HTTP/2 have them.

use std::time::Duration;

use serde_json::json;

use crate::fake::{PATIENCE, Stage};

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .expect("a client")
}

async fn opened(client: &reqwest::Client, stage: &Stage, path: &str) -> reqwest::Response {
    let asked = client.get(format!("http://{}{path}", stage.address()));
    let mut stream = asked.send().await.expect("an answer");
    assert_eq!(stream.version(), reqwest::Version::HTTP_2);
    assert_eq!(next(&mut stream).await.expect("a piece"), ": hello\n\n");
    stream
}

/// The next piece of a stream; an error when it was cut.
async fn next(stream: &mut reqwest::Response) -> Result<String, reqwest::Error> {
    let piece = tokio::time::timeout(PATIENCE, stream.chunk()).await;
    let piece = piece.expect("in time")?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&piece).into_owned())
}

#[tokio::test]
async fn a_stream_that_is_cut_leaves_the_others_of_its_connection() {
    let stage = Stage::new().await;
    let client = client();
    let mut cut = opened(&client, &stage, "/stream?cut").await;
    let mut whole = opened(&client, &stage, "/stream").await;
    stage
        .fault(json!({"match": {"path_contains": "?cut"}, "fault": {"kind": "cut_streams"}}))
        .await;
    stage.served().act(&json!({"note": "one"})).expect("a note");
    assert!(next(&mut whole).await.expect("a piece").contains("one"));
    let end = async { while next(&mut cut).await.is_ok_and(|piece| !piece.is_empty()) {} };
    let ended = tokio::time::timeout(Duration::from_secs(20), end).await;
    assert!(ended.is_ok(), "it was not cut");
    stage.served().act(&json!({"note": "two"})).expect("a note");
    assert!(next(&mut whole).await.expect("a piece").contains("two"));
}
