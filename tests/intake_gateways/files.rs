//! Files of gateways that want to be shown a secret.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use handoffd::config::{MediaSignIn, OutboundConfig};
use handoffd::wire::media::{AttachmentFetcher, Trouble};
use handoffd::wire::policy::Policy;
use handoffd_contract::{Attachment, MediaProblem, MediaRef, Source};
use serde_json::json;
use std::time::Duration;

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
