//! A broker that takes no word any more: what is told beside replies waits, and no reply does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use handoffd_test_support::eventually;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Exit, OUT, SOON, World};

/// A way to the broker on which nothing comes through while it is silent.
struct Way {
    address: String,
    silent: Arc<AtomicBool>,
}

impl Way {
    async fn to(port: u16) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = Arc::new(AtomicBool::new(false));
        let way = Arc::clone(&silent);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let ((a, b), (c, d)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(a, d, Arc::clone(&way)));
                tokio::spawn(carry(c, b, Arc::clone(&way)));
            }
        });
        Way { address, silent }
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, silent: Arc<AtomicBool>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes).await {
        if count == 0 {
            return;
        }
        let heard = || async { !silent.load(Ordering::Relaxed) };
        eventually(Duration::from_secs(600), heard).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Replies go out at once, one after the other, although what is told of them cannot be published; and it
/// is published, in order, when the broker is heard again.
#[tokio::test(flavor = "multi_thread")]
async fn replies_go_out_at_once_while_the_broker_is_silent() {
    let mut silent = None;
    let broker = handoffd_test_support::Broker::shared().await;
    let way = Way::to(broker.port()).await;
    let world = World::with(Exit::CloudApi, |plan| {
        let url = plan.over["intake"]["amqp"]["url"].as_str().unwrap();
        let mut url = url::Url::parse(url).unwrap();
        let port = way.address.rsplit(':').next().unwrap().parse().unwrap();
        url.set_port(Some(port)).unwrap();
        plan.over["intake"]["amqp"]["url"] = json!(url.to_string());
        plan.settings
            .insert("whatsapp".into(), json!({"notify": {"exchange": OUT}}));
        silent = Some(Arc::clone(&way.silent));
    })
    .await;
    let silent = silent.unwrap();
    world.hand_over("salesforce").await;
    world.taken("handoff.completed").await;
    silent.store(true, Ordering::Relaxed);
    world.act("salesforce", json!({"act": "accept", "rep": "Rosa"}));
    for n in 1..=4 {
        let began = Instant::now();
        let text = format!("Reply {n}.");
        world.act("salesforce", json!({"act": "text", "text": text}));
        eventually(SOON, || async { world.phone().len() == n }).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "reply {n} took {took:?}");
    }
    silent.store(false, Ordering::Relaxed);
    // Where it waited may have been told once more before.
    while world.taken("session.state").await["data"]["controller"] != "rep" {}
    world.until_idle().await;
}
