//! Files of gateways that want to be shown a secret.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use handoffd::config::{KeepFiles, MediaSignIn, OutboundConfig};
use handoffd::intake::{Dialects, Gate, Incoming};
use handoffd::mapping::dialect::Dialect;
use handoffd::wire::media::{AttachmentFetcher, Trouble};
use handoffd::wire::policy::Policy;
use handoffd_contract::{Attachment, MediaProblem, MediaRef, Source};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

use crate::intake::File;
use crate::{came, evolution, gate, gateways};

/// A file that asks for the key at one host and must not be shown it at another.
async fn served() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let keyed = |headers: HeaderMap| async move {
        let is_right = headers
            .get("x-api-key")
            .is_some_and(|key| key == "media-key");
        let status = if is_right {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        (status, "bytes").into_response()
    };
    let elsewhere =
        move || async move { Redirect::temporary(&format!("http://localhost:{port}/open")) };
    let open = |headers: HeaderMap| async move {
        let is_shown = headers.contains_key("x-api-key");
        let status = if is_shown {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        };
        let answer: Response = (status, "bytes").into_response();
        answer
    };
    let routes = Router::new()
        .route("/keyed", get(keyed))
        .route("/elsewhere", get(elsewhere))
        .route("/open", get(open));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}

async fn opened(fetcher: &AttachmentFetcher, url: String) -> Result<(), MediaProblem> {
    let mut attachment: Attachment = serde_json::from_value(json!({"id": "a"})).unwrap();
    attachment.source = Some(Source::Url { url });
    let wanted = MediaRef {
        attachment,
        max_bytes: 100,
    };
    fetcher
        .open(&wanted, None, &Trouble::default())
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_key_is_shown_to_its_host_and_to_no_other() {
    let port = served().await;
    let fetcher = || {
        let policy = Policy {
            allow_hosts: Vec::new(),
            allow_private: true,
        };
        AttachmentFetcher::new(
            policy,
            Duration::from_secs(10),
            100,
            &OutboundConfig::default(),
        )
        .unwrap()
    };
    let keyed = format!("http://127.0.0.1:{port}/keyed");
    assert_eq!(
        opened(&fetcher(), keyed.clone()).await,
        Err(MediaProblem::Gone)
    );
    let signing_in = |host: &str| {
        fetcher().signing_in(vec![MediaSignIn {
            hosts: vec![host.to_owned()],
            header: "x-api-key".to_owned(),
            value: "media-key".into(),
        }])
    };
    assert_eq!(
        opened(&signing_in("127.0.0.1"), keyed.clone()).await,
        Ok(())
    );
    assert_eq!(
        opened(&signing_in("localhost"), keyed).await,
        Err(MediaProblem::Gone)
    );
    // Where the host leads elsewhere, the key stays behind.
    let elsewhere = format!("http://127.0.0.1:{port}/elsewhere");
    assert_eq!(opened(&signing_in("127.0.0.1"), elsewhere).await, Ok(()));
}

/// The addresses of the files that are fetched at once, of one picture by Evolution.
fn wanted(keep: KeepFiles, came: &Incoming, file: &File) -> Vec<String> {
    let gate = Gate {
        dialects: Arc::new(Dialects::new(&gateways()).keeping(keep)),
        ..gate(file, &gateways())
    };
    let verdict = gate.verdict(came, Timestamp::now());
    assert_eq!((verdict.events.len(), verdict.refused), (1, None));
    let files = &verdict.events[0].admission.files;
    files.iter().map(|file| file.url.clone()).collect()
}

#[tokio::test]
async fn files_are_fetched_at_once_as_the_dialect_and_the_setting_say() {
    let file = File::new().await;
    let url = "https://minio.example.com/a.jpg?sig=x";
    let picture = |more: Value| {
        let mut body = evolution("1", "");
        let message = &mut body["data"]["message"];
        *message = json!({"imageMessage": {"mimetype": "image/jpeg"}});
        for (name, value) in more.as_object().into_iter().flatten() {
            message[name] = value.clone();
        }
        came(&body)
    };
    let linked = picture(json!({"mediaUrl": url}));
    assert_eq!(wanted(KeepFiles::Dialects, &linked, &file), [url]);
    assert_eq!(wanted(KeepFiles::Always, &linked, &file), [url]);
    assert_eq!(wanted(KeepFiles::Never, &linked, &file), [""; 0]);
    let here = picture(json!({"mediaUrl": url, "base64": "AAAA"}));
    assert_eq!(wanted(KeepFiles::Dialects, &here, &file), [""; 0]);
    // What a producer writes itself, no dialect speaks of.
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/g", "type": "message.received", "subject": "s",
        "time": Timestamp::now(), "data": {"message": {"id": "1", "time": Timestamp::now(), "attachments": [
            {"id": "0", "kind": "image", "source": {"from": "url", "fetch": "at once", "url": url}}]}}});
    let event = came(&event);
    assert_eq!(wanted(KeepFiles::Dialects, &event, &file), [""; 0]);
    assert_eq!(wanted(KeepFiles::Always, &event, &file), [url]);
}

#[test]
fn a_word_for_when_a_file_is_fetched_that_nobody_knows_is_named() {
    let shipped = include_str!("../../mappings/intake/waha.toml");
    let wrong = shipped.replacen("fetch = \"at once\"", "fetch = \"soon\"", 1);
    let problems = Dialect::parse("waha.toml", &wrong).unwrap_err();
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        words.len() == 1 && words[0].contains("write fetch = \"at once\", or leave it out"),
        "{words:?}"
    );
}
