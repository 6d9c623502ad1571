//! Gateways and CloudEvents on one queue.

use handoffd_test_support::{Broker, eventually};

use crate::intake::{File, Running, SOON, arrive, config, event};
use crate::{evolution, gate, gateways};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_own_words_and_cloudevents_come_by_one_queue() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let gate = gate(&file, &gateways());
    let mut intake = Running::start(gate, config(&broker.url()));
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    for n in 0..5 {
        let body = evolution(&format!("E{n}"), "Oi").to_string();
        // As Evolution sends it: without any property.
        gateway
            .publish_as(
                "gateway",
                "event.messages.upsert",
                None,
                &[],
                body.as_bytes(),
            )
            .await;
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    let odd = br#"{"some": "thing", "apikey": "KEY-1"}"#;
    gateway
        .publish_as("gateway", "event.odd", None, &[], odd)
        .await;
    arrive(&file, "s", 5).await;
    eventually(SOON, || async {
        !file.ledger.dead_letters(0, 9).await.unwrap().is_empty()
    })
    .await;
    let letters = file.ledger.dead_letters(0, 9).await.unwrap();
    assert_eq!(letters.len(), 1);
    let words = &letters[0].letter.stop.message;
    assert!(words.contains("the nearest is evolution"), "{words}");
    assert!(!String::from_utf8_lossy(&letters[0].letter.raw).contains("KEY-1"));
    let first = file.ledger.event(1).await.unwrap().unwrap();
    assert_eq!(first.id, "E0");
    assert_eq!(
        file.ids(&first.session).await,
        ["E0", "E1", "E2", "E3", "E4"]
    );
    intake.stop().await;
}
