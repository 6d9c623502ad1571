//! Attachments at addresses that a stranger chose: what is connected to, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use handoffd::config::OutboundConfig;
use handoffd::wire::media::AttachmentFetcher;
use handoffd::wire::policy::Policy;
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Attachment, MediaProblem, MediaRef, Source};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{CUSTOMER, Exit, World};

/// A server on every address of this machine that counts who connects, and answers all alike.
pub struct Trap {
    pub port: u16,
    visits: Arc<AtomicUsize>,
}

impl Trap {
    /// `answer` gets the trap's own port.
    pub async fn set(answer: impl Fn(u16) -> String) -> Trap {
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        let answer = answer(port);
        let visits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&visits);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut head = [0; 4_096];
                    let _ = stream.read(&mut head).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Trap { port, visits }
    }

    pub fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

async fn fetch(policy: Policy, url: String) -> Result<String, MediaProblem> {
    let library = AttachmentFetcher::new(
        policy,
        Duration::from_secs(5),
        1 << 20,
        &OutboundConfig::default(),
    )
    .unwrap();
    let attachment = Attachment {
        id: "a".into(),
        kind: AttachmentKind::Image,
        mime: None,
        name: None,
        size: None,
        caption: None,
        transcript: None,
        source: Some(Source::Url { url }),
    };
    library
        .inline(&MediaRef {
            attachment,
            max_bytes: 1_000,
        })
        .await
}

fn laptop() -> Policy {
    Policy {
        allow_hosts: vec!["127.0.0.1".into()],
        allow_private: true,
    }
}

#[tokio::test]
async fn a_redirect_is_followed_under_the_same_rules() {
    let trap = Trap::set(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".into()).await;
    let at = trap.port;
    assert_eq!(
        fetch(laptop(), format!("http://127.0.0.1:{at}/")).await,
        Ok("aGk=".into())
    );
    assert_eq!(trap.visits(), 1);
    for to in [
        format!("http://localhost:{at}/"),
        format!("http://[::1]:{at}/"),
        format!("http://[::ffff:127.0.0.1]:{at}/"),
        format!("http://x@127.0.0.1:{at}/"),
        format!("//localhost:{at}/"),
        "file:///etc/passwd".into(),
        "gopher://127.0.0.1/".into(),
    ] {
        let allowed = Trap::set(|_| redirect(&to)).await;
        let fetched = fetch(laptop(), format!("http://127.0.0.1:{}/", allowed.port)).await;
        assert_eq!(fetched, Err(MediaProblem::Forbidden), "{to}");
        assert_eq!((allowed.visits(), trap.visits()), (1, 1), "{to}");
    }
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let circle = Trap::set(|port| redirect(&format!("http://127.0.0.1:{port}/again"))).await;
    let fetched = fetch(laptop(), format!("http://127.0.0.1:{}/", circle.port)).await;
    assert_eq!(fetched, Err(MediaProblem::Forbidden));
    assert_eq!(circle.visits(), 4, "the address and three redirects");
}

/// A name that resolves to this machine is as forbidden as its address.
#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let trap = Trap::set(|_| String::new()).await;
    let strict = Policy {
        allow_hosts: Vec::new(),
        allow_private: false,
    };
    for name in ["localhost", "localhost.", "LOCALHOST"] {
        // Some resolvers do not know the form with a dot, which is as good.
        fetch(strict.clone(), format!("https://{name}:{}/", trap.port))
            .await
            .unwrap_err();
    }
    assert_eq!(trap.visits(), 0);
}

/// Every spelling of a private address in one handoff: nothing is connected to, and the record is
/// complete, with a word about each file.
#[tokio::test(flavor = "multi_thread")]
async fn a_handoff_full_of_private_addresses_is_shown_without_them() {
    let world = World::with(Exit::CloudApi, |plan| {
        plan.over["media"] = json!({"allow_private": false})
    })
    .await;
    let trap = Trap::set(|_| String::new()).await;
    let hosts = [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "localhost.",
        "user:pw@127.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "169.254.169.254",
        "[fe80::1]",
        "10.0.0.1",
    ];
    let mut urls: Vec<String> = hosts
        .iter()
        .map(|host| format!("https://{host}:{}/x", trap.port))
        .collect();
    urls.push(format!("http://127.0.0.1:{}/x", trap.port));
    let mut handoff = world.handoff(&["hubspot", "creatio"]);
    for (n, url) in urls.iter().enumerate() {
        let said = json!({"id": format!("m-{n}"), "time": handoff["transcript"][0]["time"], "author": {"kind": "customer"},
            "attachments": [{"id": format!("a-{n}"), "kind": "document", "mime": "application/pdf", "name": format!("bait{n}x.pdf"),
                "source": {"from": "url", "url": url}}]});
        handoff["transcript"].as_array_mut().unwrap().push(said);
    }
    assert_eq!(handoff["contact"]["wa_id"], CUSTOMER);
    world
        .publish("handoff.requested", "handoff-1", handoff)
        .await;
    for target in ["hubspot", "creatio"] {
        world.until_shown(target, "My parcel is broken").await;
    }
    world.until_idle().await;
    assert_eq!(trap.visits(), 0);
    for target in ["hubspot", "creatio"] {
        for (n, url) in urls.iter().enumerate() {
            assert!(
                world.count(target, &format!("bait{n}x.pdf")) > 0,
                "{target}: {url}"
            );
        }
        assert!(
            world.count(target, "not on the list of allowed sources") > 0,
            "{target}"
        );
    }
}
