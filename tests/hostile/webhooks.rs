//! Webhooks that are not what they claim to be, over HTTP, and the exact answer that each gets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use handoffd::ledger::{self, Ledger};
use handoffd::relay::webhooks::routes;
use handoffd::serving::{Bounds, serve};
use handoffd_test_support::unique;
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use secrecy::SecretString;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::cases::check;
use crate::judges;
use crate::mutated;

const LIMIT: usize = 4 * 1024 * 1024;

struct Doors {
    at: SocketAddr,
    ledger: Arc<dyn Ledger>,
    client: reqwest::Client,
}

impl Doors {
    async fn open() -> Doors {
        let path = std::env::temp_dir()
            .join(unique("doors"))
            .with_extension("db");
        let ledger = ledger::open(&format!("sqlite:{}", path.display()))
            .await
            .unwrap();
        let secret = |name: &str| Some(SecretString::from(format!("{name}-value")));
        let doors = judges::doors(secret);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let router = routes(ledger.clone(), doors);
        let (bounds, stop) = (Bounds::default(), CancellationToken::new());
        tokio::spawn(serve(listener, router, bounds, None, stop));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Doors { at, ledger, client }
    }

    async fn post(&self, path: &str, headers: &[(&str, String)], body: Vec<u8>) -> (u16, String) {
        let request = self
            .client
            .post(format!("http://{}/webhooks/{path}", self.at))
            .body(body);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, value)
        });
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let reply = self
            .client
            .get(format!("http://{}/webhooks/{path}", self.at))
            .send()
            .await
            .unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }

    /// How many webhooks are kept for a target.
    async fn kept(&self, target: &str) -> usize {
        let now = Timestamp::now();
        let until = now + SignedDuration::from_secs(60);
        self.ledger
            .claim_webhooks(now, &unique("reader"), target, 1_000, until)
            .await
            .unwrap()
            .len()
    }
}

fn mac(key: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::sign(&key, &pieces.concat()).as_ref().to_vec()
}

fn meta(key: &str, body: &[u8]) -> (&'static str, String) {
    let hex: String = mac(key, &[body])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ("x-hub-signature-256", format!("sha256={hex}"))
}

fn hubspot(key: &str, address: &str, body: &[u8], age: i64) -> [(&'static str, String); 2] {
    use base64::Engine as _;
    let at = (Timestamp::now().as_millisecond() - age).to_string();
    let signature = mac(key, &[b"POST", address.as_bytes(), body, at.as_bytes()]);
    [
        (
            "x-hubspot-signature-v3",
            base64::engine::general_purpose::STANDARD.encode(signature),
        ),
        ("x-hubspot-request-timestamp", at),
    ]
}

type Headers = Vec<(&'static str, String)>;

const REFUSED: (u16, &str) = (401, "not authenticated\n");
const HUBSPOT: &str = "https://hooks.example.test/webhooks/hubspot/token-value";

/// Wrong in one respect each. Whatever is wrong, and whether or not the target exists, the answer
/// is the same to the byte, and nothing is kept.
#[tokio::test]
async fn every_wrong_webhook_gets_its_exact_answer() {
    let doors = Doors::open().await;
    let body = br#"[{"eventId":1}]"#.to_vec();
    let right = |age| hubspot("client-value", HUBSPOT, &body, age).to_vec();
    let stale = "1700000000000".to_owned();
    let table: Vec<(&str, &str, Headers)> = vec![
        ("no such target", "nobody/token-value", vec![]),
        ("no such target, no token", "nobody", vec![]),
        ("a path token is missing", "creatio", vec![]),
        ("a path token is wrong", "creatio/token-valuf", vec![]),
        ("a path token is a prefix", "creatio/token-valu", vec![]),
        ("a path token is longer", "creatio/token-value0", vec![]),
        ("another target's secret", "creatio/app-value", vec![]),
        (
            "a signature where a token belongs",
            "creatio",
            vec![meta("app-value", &body)],
        ),
        ("HubSpot unsigned", "hubspot/token-value", vec![]),
        (
            "HubSpot signed, wrong path token",
            "hubspot/other",
            right(0),
        ),
        ("HubSpot signed, no path token", "hubspot", right(0)),
        (
            "HubSpot signed with another secret",
            "hubspot/token-value",
            hubspot("client", HUBSPOT, &body, 0).to_vec(),
        ),
        (
            "HubSpot signed for another address",
            "hubspot/token-value",
            hubspot("client-value", "https://evil.test/", &body, 0).to_vec(),
        ),
        (
            "HubSpot signed for another query",
            "hubspot/token-value?a=1",
            right(0),
        ),
        (
            "HubSpot signed for another body",
            "hubspot/token-value",
            hubspot("client-value", HUBSPOT, b"[]", 0).to_vec(),
        ),
        (
            "HubSpot signed too long ago",
            "hubspot/token-value",
            right(300_500),
        ),
        (
            "HubSpot signed in the future",
            "hubspot/token-value",
            right(-301_000),
        ),
        (
            "HubSpot with another time than signed",
            "hubspot/token-value",
            vec![right(0)[0].clone(), ("x-hubspot-request-timestamp", stale)],
        ),
        (
            "HubSpot without a time",
            "hubspot/token-value",
            vec![right(0)[0].clone()],
        ),
        (
            "HubSpot with a time that is none",
            "hubspot/token-value",
            vec![
                right(0)[0].clone(),
                ("x-hubspot-request-timestamp", "now".into()),
            ],
        ),
        (
            "HubSpot with the time at the end of time",
            "hubspot/token-value",
            vec![
                right(0)[0].clone(),
                ("x-hubspot-request-timestamp", i64::MIN.to_string()),
            ],
        ),
        (
            "HubSpot's signature is no base64",
            "hubspot/token-value",
            vec![
                ("x-hubspot-signature-v3", "***".into()),
                right(0)[1].clone(),
            ],
        ),
        ("Meta unsigned", "whatsapp", vec![]),
        (
            "Meta signed with another secret",
            "whatsapp",
            vec![meta("app", &body)],
        ),
        (
            "Meta signed with the verify token",
            "whatsapp",
            vec![meta("verify-value", &body)],
        ),
        (
            "Meta signed for another body",
            "whatsapp",
            vec![meta("app-value", b"[]")],
        ),
        (
            "Meta signed with nothing",
            "whatsapp",
            vec![meta("", &body)],
        ),
        (
            "Meta's signature lacks its prefix",
            "whatsapp",
            vec![(
                "x-hub-signature-256",
                meta("app-value", &body).1.replace("sha256=", ""),
            )],
        ),
        (
            "Meta's signature is cut",
            "whatsapp",
            vec![(
                "x-hub-signature-256",
                meta("app-value", &body).1[..40].to_owned(),
            )],
        ),
        (
            "Meta's signature is no hexadecimal",
            "whatsapp",
            vec![("x-hub-signature-256", format!("sha256={}", "zz".repeat(32)))],
        ),
        (
            "Meta's older signature",
            "whatsapp",
            vec![(
                "x-hub-signature",
                "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709".into(),
            )],
        ),
    ];
    for (what, path, headers) in &table {
        let (status, said) = doors.post(path, headers, body.clone()).await;
        assert_eq!((status, said.as_str()), REFUSED, "{what}");
    }
    for path in [
        "whatsapp?hub.mode=subscribe&hub.verify_token=verify-valuf&hub.challenge=1",
        "whatsapp?hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
        "whatsapp?hub.mode=other&hub.verify_token=verify-value&hub.challenge=1",
        "creatio?hub.mode=subscribe&hub.verify_token=verify-value&hub.challenge=1",
        "nobody?hub.mode=subscribe&hub.verify_token=verify-value&hub.challenge=1",
    ] {
        let (status, said) = doors.get(path).await;
        assert_eq!((status, said.as_str()), REFUSED, "{path}");
    }
    for target in ["creatio", "hubspot", "whatsapp", "nobody"] {
        assert_eq!(doors.kept(target).await, 0, "{target}");
    }
    let challenge =
        "whatsapp?hub.mode=subscribe&hub.verify_token=verify-value&hub.challenge=1158201444";
    assert_eq!(doors.get(challenge).await, (200, "1158201444".into()));
}

/// What is right is kept, and kept once however often it is sent again.
#[tokio::test]
async fn a_replay_is_kept_once() {
    let doors = Doors::open().await;
    let body = br#"[{"eventId":1}]"#.to_vec();
    let signed = hubspot("client-value", HUBSPOT, &body, 0).to_vec();
    let right = [
        ("creatio/token-value", vec![]),
        ("hubspot/token-value", signed),
        ("whatsapp", vec![meta("app-value", &body)]),
        ("whatsapp", vec![meta("old-value", &body)]),
    ];
    for (path, headers) in right {
        for _ in 0..5 {
            assert_eq!(
                doors.post(path, &headers, body.clone()).await,
                (200, "kept\n".into()),
                "{path}"
            );
        }
    }
    for target in ["creatio", "hubspot", "whatsapp"] {
        assert_eq!(doors.kept(target).await, 1, "{target}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_not_kept() {
    let doors = Doors::open().await;
    let (status, _) = doors
        .post("creatio/token-value", &[], vec![b' '; LIMIT + 1])
        .await;
    assert_eq!(status, 413);
    assert_eq!(doors.kept("creatio").await, 0);
    let (status, _) = doors
        .post("creatio/token-value", &[], vec![b' '; LIMIT])
        .await;
    assert_eq!(status, 200);
}

/// Two hundred requests whose bodies never end take nothing away from the others.
#[tokio::test]
async fn slow_senders_hold_up_nobody() {
    let doors = Doors::open().await;
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut stream = tokio::net::TcpStream::connect(doors.at).await.unwrap();
        let head = if n % 2 == 0 {
            "POST /webhooks/creatio/token-value HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
        } else {
            "POST /webhooks/creatio/token-value HTTP/1.1\r\nHo"
        };
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let quick = doors.post("creatio/token-value", &[], b"{}".to_vec());
    let answer = tokio::time::timeout(Duration::from_secs(5), quick)
        .await
        .unwrap();
    assert_eq!(answer.0, 200);
    drop(slow);
}

/// No header makes a request the target's, and none breaks the door.
#[test]
fn no_header_opens_a_door() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let doors = runtime.block_on(Doors::open());
    let name = proptest::sample::select(vec![
        "x-hub-signature-256",
        "x-hubspot-signature-v3",
        "x-hubspot-request-timestamp",
        "authorization",
        "content-type",
    ]);
    let value = prop_oneof![
        mutated::text(),
        "sha256=[0-9a-f+é ]{0,70}",
        "-?[0-9]{1,20}",
        "[A-Za-z0-9+/=]{0,60}"
    ];
    let value = value.prop_filter("a header", |value| {
        value.len() < 4_000 && reqwest::header::HeaderValue::from_str(value).is_ok()
    });
    let path = proptest::sample::select(vec![
        "hubspot/token-value",
        "whatsapp",
        "creatio",
        "creatio/%00",
        "creatio/..%2f",
        "nobody",
    ]);
    check(
        150,
        &(path, vec((name, value), 0..4), vec(any::<u8>(), 0..60)),
        |(path, headers, body)| {
            let (status, said) = runtime.block_on(doors.post(path, &headers, body));
            assert_eq!((status, said.as_str()), REFUSED);
        },
    );
}
