//! Webhooks at the door: path, headers and body that nobody signed.

#![no_main]

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use handoffd::ledger;
use handoffd::relay::webhooks::routes;
use handoffd_fuzz::{head, joined, judges, seed};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use tokio::runtime::Runtime;
use tower::ServiceExt;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
});

static DOORS: LazyLock<Router> = LazyLock::new(|| {
    // Random enough that the fuzzer cannot come by them.
    let secret = |name: &str| {
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), name);
        Some(SecretString::from(format!(
            "{name}-{random:016x}-{random:016x}"
        )))
    };
    let file = std::env::temp_dir().join(format!("handoffd-doors-{}.db", std::process::id()));
    let ledger = RUNTIME.block_on(ledger::open(&format!("sqlite:{}", file.display())));
    routes(ledger.unwrap(), judges::doors(secret))
});

fn seeds() -> Vec<Vec<u8>> {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        joined(&[header("path", "creatio/token")], b"{}"),
        joined(
            &[
                header("path", "whatsapp"),
                header("x-hub-signature-256", &format!("sha256={}", "0".repeat(64))),
            ],
            b"{\"object\":\"whatsapp_business_account\"}",
        ),
        joined(
            &[header(
                "path",
                "whatsapp?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1",
            )],
            b"",
        ),
        joined(
            &[
                header("path", "hubspot/token"),
                header("x-hubspot-signature-v3", "AAAA"),
                header("x-hubspot-request-timestamp", "1800000000000"),
            ],
            b"[]",
        ),
    ]
}

fuzz_target!(init: seed("doors", seeds()), |bytes: &[u8]| {
    let (headers, body) = head(bytes);
    let path = headers.first().map_or("", |(_, path)| path.as_str());
    for method in ["POST", "GET"] {
        let mut request = Request::builder().method(method).uri(format!("/webhooks/{path}"));
        for (name, value) in headers.iter().skip(1) {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Body::from(body.to_vec())) else {
            return;
        };
        let answer = RUNTIME.block_on(DOORS.clone().oneshot(request)).unwrap();
        assert!(!answer.status().is_success(), "{} {path} was let in", answer.status());
        assert!(!answer.status().is_server_error(), "{} {path}", answer.status());
    }
});
