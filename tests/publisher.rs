//! What is published is known to have been published, or not, or it is said that nobody knows.

use std::time::Duration;

use handoffd::backoff::Backoff;
use handoffd::config::{AmqpConfig, ExchangeKind};
use handoffd::publisher::{PublishError, Publisher};
use handoffd_contract::{Publication, Publish};
use handoffd_test_support::{Broker, eventually};
use secrecy::SecretString;

const SOON: Duration = Duration::from_secs(60);

fn config(url: &str) -> AmqpConfig {
    AmqpConfig {
        url: SecretString::from(url),
        nodes: Vec::new(),
        ca_file: None,
        exchange: None,
        exchange_kind: ExchangeKind::Topic,
        declare_exchange: false,
        queue: "unused".to_owned(),
        routing_keys: Vec::new(),
        prefetch: 1,
        group: 1,
        delivery_limit: 20,
        dead_letter_exchange: None,
        reconnect: Backoff::new(Duration::from_millis(20), Duration::from_millis(200), 2.0),
        publish_exchange: "out".to_owned(),
        confirm_timeout: Duration::from_secs(5),
    }
}

fn publish(key: &str, n: usize) -> Publish {
    Publish {
        exchange: "out".to_owned(),
        routing_key: key.to_owned(),
        message_id: format!("reply-{n}"),
        content_type: "application/cloudevents+json",
        body: serde_json::json!({ "n": n }),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_confirmed_and_arrives_as_it_was() {
    let broker = Broker::shared().await;
    let gateway = broker.gateway().await;
    gateway.exchange("out").await;
    gateway.queue("replies", "out", "reply.#").await;
    let publisher = Publisher::new(Some(config(&broker.url())));
    let sent = publisher.publish(&publish("reply.requested", 7)).await;
    assert_eq!(sent, Ok(Publication::Confirmed));
    let got = gateway.get("replies").await;
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
    assert_eq!(
        text(got.properties.message_id()).as_deref(),
        Some("reply-7")
    );
    assert_eq!(
        text(got.properties.content_type()).as_deref(),
        Some("application/cloudevents+json")
    );
    assert_eq!(
        got.properties.delivery_mode(),
        &Some(2),
        "it outlives the broker"
    );
    assert_eq!(got.routing_key, "reply.requested");
    assert_eq!(got.body, br#"{"n":7}"#);
    publisher.close().await;
    let late = publisher.publish(&publish("reply.requested", 8)).await;
    assert_eq!(
        late,
        Err(PublishError::Unreachable(
            "the publisher is closed".to_owned()
        ))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_gets_its_own_answer() {
    let broker = Broker::shared().await;
    let gateway = broker.gateway().await;
    gateway.exchange("out").await;
    gateway.queue("replies", "out", "reply.#").await;
    let publisher = Publisher::new(Some(config(&broker.url())));
    // Every third has nowhere to go, many are on their way at once, and none gets another's answer.
    let all = (0..300).map(|n| {
        let publisher = publisher.clone();
        async move {
            let key = if n % 3 == 0 {
                "nobody.listens"
            } else {
                "reply.requested"
            };
            (n, publisher.publish(&publish(key, n)).await)
        }
    });
    for (n, sent) in futures::future::join_all(all).await {
        let expected = if n % 3 == 0 {
            Publication::Unroutable {
                words: "312 NO_ROUTE".to_owned(),
            }
        } else {
            Publication::Confirmed
        };
        assert_eq!(sent, Ok(expected), "{n}");
    }
    let mut got = 0;
    while gateway.try_get("replies").await.is_some() {
        got += 1;
    }
    assert_eq!(got, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_is_not_there_is_unroutable() {
    let broker = Broker::shared().await;
    let publisher = Publisher::new(Some(config(&broker.url())));
    match publisher.publish(&publish("reply.requested", 1)).await {
        Ok(Publication::Unroutable { words }) => {
            assert!(
                words.starts_with("NOT_FOUND - no exchange 'out'"),
                "{words}"
            );
        }
        other => panic!("{other:?}"),
    }
    // The broker closed that channel; the next message has another.
    broker.gateway().await.exchange("out").await;
    let sent = publisher.publish(&publish("reply.requested", 2)).await;
    assert_eq!(
        sent,
        Ok(Publication::Unroutable {
            words: "312 NO_ROUTE".to_owned()
        })
    );
    let long = publish(&"k".repeat(256), 3);
    assert_eq!(publisher.publish(&long).await, Ok(Publication::Refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_comes_back_when_the_broker_does() {
    let broker = Broker::own().await;
    let gateway = broker.gateway().await;
    gateway.exchange("out").await;
    gateway.queue("replies", "out", "reply.#").await;
    let publisher = Publisher::new(Some(config(&broker.url())));
    let sent = publisher.publish(&publish("reply.requested", 1)).await;
    assert_eq!(sent, Ok(Publication::Confirmed));
    broker.stop().await;
    let sent = publisher.publish(&publish("reply.requested", 2)).await;
    assert!(
        matches!(sent, Err(PublishError::Unreachable(_))),
        "{sent:?}"
    );
    assert!(publisher.trouble().await.is_some());
    broker.start().await;
    eventually(SOON, || async {
        publisher.publish(&publish("reply.requested", 3)).await == Ok(Publication::Confirmed)
    })
    .await;
    assert_eq!(publisher.trouble().await, None);
    let gateway = broker.gateway().await;
    assert_eq!(gateway.get("replies").await.body, br#"{"n":1}"#);
    assert_eq!(gateway.get("replies").await.body, br#"{"n":3}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_takes_nothing_is_not_asked_for_ever() {
    let broker = Broker::own().await;
    let gateway = broker.gateway().await;
    gateway.exchange("out").await;
    gateway.queue("replies", "out", "reply.#").await;
    let mut settings = config(&broker.url());
    settings.confirm_timeout = Duration::from_millis(300);
    let publisher = Publisher::new(Some(settings));
    let sent = publisher.publish(&publish("reply.requested", 1)).await;
    assert_eq!(sent, Ok(Publication::Confirmed));

    // Out of memory, it blocks whoever publishes: one message may be on its way, none follows it.
    broker
        .ctl(&["set_vm_memory_high_watermark", "absolute", "1"])
        .await;
    let first = publisher.publish(&publish("reply.requested", 2)).await;
    assert!(
        matches!(
            first,
            Err(PublishError::Lost(_) | PublishError::Unreachable(_))
        ),
        "{first:?}"
    );
    let next = publisher.publish(&publish("reply.requested", 3)).await;
    assert_eq!(
        next,
        Err(PublishError::Unreachable(
            "it is short of memory or disk and has blocked publishers".to_owned()
        ))
    );
    broker
        .ctl(&["set_vm_memory_high_watermark", "absolute", "2GB"])
        .await;
    eventually(SOON, || async {
        publisher.publish(&publish("reply.requested", 4)).await == Ok(Publication::Confirmed)
    })
    .await;
}

#[tokio::test]
async fn without_a_broker_it_says_so() {
    let sent = Publisher::new(None)
        .publish(&publish("reply.requested", 1))
        .await;
    assert_eq!(sent, Err(PublishError::NotConfigured));
    assert_eq!(
        PublishError::NotConfigured.to_string(),
        "no broker is configured: set [intake.amqp]"
    );
}
