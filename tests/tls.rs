//! The public listener with TLS of its own: a real client, and a certificate that is renewed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "its other parts are used by other tests")]
mod alone;

use handoffd::demo::world::Folder;
use handoffd_test_support::eventually;
use serde_json::json;

use alone::{Alone, SOON};

/// A certificate for 127.0.0.1, signed by itself: its PEM and its key's.
fn signed() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The status by which a client that trusts only this certificate is answered; 0 without one.
async fn status(daemon: &Alone, scheme: &str, pem: &str) -> u16 {
    let root = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
    let asked = client
        .build()
        .unwrap()
        .get(format!("{scheme}://{}/elsewhere", daemon.public));
    asked
        .send()
        .await
        .map_or(0, |reply| reply.status().as_u16())
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_bad_one_never() {
    let folder = Folder::new().unwrap();
    let (certificate, key) = (
        folder.path().join("certificate.pem"),
        folder.path().join("key.pem"),
    );
    let (first, first_key) = signed();
    std::fs::write(&certificate, &first).unwrap();
    std::fs::write(&key, first_key).unwrap();
    let daemon = Alone::under("exec \"$0\" \"$@\"", |plan| {
        plan.over = json!({"http": {"tls": {"certificate": certificate, "key": key}}});
    })
    .await;
    assert_eq!(status(&daemon, "https", &first).await, 404);
    assert_eq!(status(&daemon, "http", &first).await, 0, "plain HTTP");

    // The certificate is there and its key is not yet.
    let (second, second_key) = signed();
    std::fs::write(&certificate, &second).unwrap();
    eventually(SOON, || async {
        daemon.log().contains("the certificate in force stays")
    })
    .await;
    assert_eq!(status(&daemon, "https", &first).await, 404);
    assert_eq!(status(&daemon, "https", &second).await, 0);

    std::fs::write(&key, second_key).unwrap();
    eventually(SOON, || async {
        status(&daemon, "https", &second).await == 404
    })
    .await;
    assert_eq!(status(&daemon, "https", &first).await, 0);
    assert!(!daemon.log().contains("BEGIN"));
}

#[tokio::test]
async fn check_refuses_a_certificate_that_cannot_be_shown() {
    let daemon = Alone::start().await;
    let file = daemon.file("handoffd.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let tls = "\n[http.tls]\ncertificate = \"none.pem\"\nkey = \"none.pem\"\n";
    std::fs::write(&file, format!("{text}{tls}")).unwrap();
    let (code, said) = daemon.command(&["check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("http.tls: "), "{said}");
    assert!(said.contains("none.pem cannot be read"), "{said}");
}
