//! Events over a real RabbitMQ: everything that was confirmed to the gateway is in the ledger, in
//! order and once, whatever happens to the broker, the connection, the queue, or the ledger.

mod intake;

use handoffd_test_support::{Broker, header};
use intake::{File, Running, arrive, config, event};

/// The words of everything that was parked.
async fn parked(file: &File) -> Vec<String> {
    let rows = file
        .ledger
        .dead_letters(0, 100)
        .await
        .expect("dead letters");
    rows.into_iter()
        .map(|row| row.letter.stop.message)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_in_order_and_a_repeat_is_nothing() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    assert!(!intake.state.borrow().ready());
    intake.until(|state| state.ready()).await;

    let gateway = broker.gateway().await;
    for n in 0..200 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
        if n % 3 == 0 {
            gateway
                .publish("gateway", "event.again", &event("s", n))
                .await;
        }
    }
    arrive(&file, "s", 200).await;
    assert!(
        intake
            .until(|state| state.last_event_at.is_some())
            .await
            .ready()
    );

    // Everything was acknowledged: a second daemon gets only what is new.
    intake.stop().await;
    let other = File::new().await;
    let intake = Running::start(other.gate(), config(&broker.url()));
    gateway
        .publish("gateway", "event.new", &event("t", 0))
        .await;
    arrive(&other, "t", 1).await;
    assert_eq!(other.ids("s").await, Vec::<String>::new());
    intake.stop().await;
}

/// A body comes in several frames; headers are never cut, so our frames must not be smaller than the
/// gateway's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_headers_and_bodies_are_taken() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    let headers = [("trace", header::text(&"x".repeat(100 << 10)))];
    let mut body = event("s", 0);
    body.resize(1 << 20, b' ');
    for key in ["event.new", "event.again"] {
        let kind = Some("application/cloudevents+json");
        gateway
            .publish_as("gateway", key, kind, &headers, &body)
            .await;
    }
    gateway
        .publish("gateway", "event.new", &event("s", 1))
        .await;
    arrive(&file, "s", 2).await;
    assert!(intake.state.borrow().ready());
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_parked_once_and_holds_up_nobody() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    gateway.publish("gateway", "event.new", b"{").await;
    gateway.publish("gateway", "event.new", b"{").await;
    let headers = [
        ("cloudEvents:specversion", header::text("1.0")),
        ("cloudEvents:id", header::text("b")),
    ];
    gateway
        .publish_as(
            "gateway",
            "event.new",
            Some("application/json"),
            &headers,
            b"{}",
        )
        .await;
    gateway
        .publish_as("gateway", "event.new", Some("text/plain"), &[], b"hello")
        .await;
    gateway
        .publish("gateway", "event.new", &event("s", 0))
        .await;
    arrive(&file, "s", 1).await;
    let parked = parked(&file).await;
    assert_eq!(parked.len(), 3, "{parked:?}");
    assert!(parked[0].starts_with("the body is not JSON"));
    assert!(parked[1].starts_with("cloudEvents:type is missing"));
    assert!(parked[2].starts_with("the content type is not one of"));
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_event_is_an_event() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    let headers = [
        ("cloudEvents:specversion", header::text("1.0")),
        ("cloudEvents:id", header::text("s/0")),
        ("cloudEvents:source", header::text("/test")),
        ("cloudEvents:type", header::text("session.closed")),
        ("cloudEvents:subject", header::text("s")),
        ("cloudEvents:time", header::time(1_772_442_760)),
        ("cloudEvents:sequence", header::number(7)),
    ];
    gateway
        .publish_as(
            "gateway",
            "event.new",
            Some("application/json"),
            &headers,
            b"{}",
        )
        .await;
    arrive(&file, "s", 1).await;
    assert_eq!(parked(&file).await, Vec::<String>::new());
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_resumes_by_itself_when_the_broker_restarts_or_dies() {
    let (broker, file) = (Broker::own().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    // First in order, then with kill -9. (The other way round, RabbitMQ 3.10 may not have written
    // down yet that the new queue exists, and then it never gets a leader again.)
    for round in 0..2 {
        let gateway = broker.gateway().await;
        for n in 0..50 {
            gateway
                .publish("gateway", "event.new", &event("s", round * 100 + n))
                .await;
        }
        if round == 0 {
            broker.stop().await;
        } else {
            broker.kill().await;
        }
        let state = intake.until(|state| !state.connected).await;
        assert!(!state.ready() && !state.message.is_empty());
        broker.start().await;
        intake.until(|state| state.ready()).await;
        let gateway = broker.gateway().await;
        for n in 50..100 {
            gateway
                .publish("gateway", "event.new", &event("s", round * 100 + n))
                .await;
        }
    }
    arrive(&file, "s", 200).await;
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_to_another_node_when_the_cluster_loses_its_own() {
    let (nodes, file) = (Broker::cluster(3).await, File::new().await);
    let mut config = config(&nodes[0].url());
    config.nodes = nodes[1..]
        .iter()
        .map(|node| ("127.0.0.1".to_owned(), node.port()))
        .collect();
    let mut intake = Running::start(file.gate(), config);
    intake.until(|state| state.ready()).await;
    let gateway = nodes[2].gateway().await;
    for n in 0..100 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    nodes[0].kill().await;
    intake.until(|state| !state.connected).await;
    intake.until(|state| state.ready()).await;
    for n in 100..200 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    arrive(&file, "s", 200).await;
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_resumes_when_its_connection_is_closed_in_the_middle() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    for n in 0..300 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    broker.close_connections().await;
    intake.until(|state| !state.connected).await;
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    for n in 300..310 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    arrive(&file, "s", 310).await;
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_declares_its_queue_again_when_somebody_deletes_it() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    broker.delete_queue("handoffd.events").await;
    let state = intake.until(|state| !state.connected).await;
    assert!(
        state.message.contains("the queue was deleted"),
        "{}",
        state.message
    );
    intake.until(|state| state.ready()).await;
    broker
        .gateway()
        .await
        .publish("gateway", "event.new", &event("s", 0))
        .await;
    arrive(&file, "s", 1).await;
    intake.stop().await;
}

/// What was delivered to a consumer that stops goes back before another one is given anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_consumer_begins_where_the_one_that_stops_was() {
    const ALL: usize = 1_000;
    let (broker, file, other) = (Broker::shared().await, File::new().await, File::new().await);
    let mut config = config(&broker.url());
    config.group = 1;
    // The queue is declared and filled before anybody consumes.
    let mut nobody = Running::start(other.gate(), config.clone());
    nobody.until(|state| state.ready()).await;
    nobody.stop().await;
    let gateway = broker.gateway().await;
    for n in 0..ALL {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    let mut one = Running::start(file.gate(), config.clone());
    one.until(|state| state.last_event_at.is_some()).await;
    let mut two = Running::start(other.gate(), config);
    two.until(|state| state.ready()).await;
    // It stops with deliveries in hand, and others waiting behind them.
    one.stop().await;
    let (name, last) = (|n| format!("s/{n}"), ALL - 1);
    handoffd_test_support::eventually(std::time::Duration::from_secs(60), || async {
        other.ids("s").await.last() == Some(&name(last))
    })
    .await;
    let ids = other.ids("s").await;
    assert!(ids.len() > 1, "the first one did not take everything");
    let expected: Vec<String> = (ALL - ids.len()..ALL).map(name).collect();
    assert_eq!(ids, expected, "in order, and none left out");
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_take_turns_and_order_holds() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut one = Running::start(file.gate(), config(&broker.url()));
    one.until(|state| state.ready()).await;
    let mut two = Running::start(file.gate(), config(&broker.url()));
    two.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    for n in 0..200 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    arrive(&file, "s", 200).await;
    assert!(
        two.state.borrow().last_event_at.is_none(),
        "the second one stands by"
    );
    one.stop().await;
    for n in 200..400 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    arrive(&file, "s", 400).await;
    assert!(two.state.borrow().last_event_at.is_some());
    two.stop().await;
}
