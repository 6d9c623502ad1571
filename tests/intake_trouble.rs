//! What goes wrong beside the broker's own faults: a ledger that fails, an event that it refuses,
//! dead letters, and whatever keeps us from consuming at all.

mod intake;

use std::sync::Arc;

use futures::StreamExt;
use handoffd::intake::amqp::probe;
use handoffd_test_support::{Broker, eventually};
use intake::{File, Running, SOON, arrive, config, event, first};
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;

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
async fn nothing_is_acknowledged_while_the_ledger_fails() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;

    // Another process holds the database; the ledger cannot write and says so.
    let lock = rusqlite::Connection::open(&file.path).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for n in 0..40 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    let state = intake.until(|state| !state.ready()).await;
    assert!(state.connected);
    assert!(
        state.message.starts_with("events wait for the ledger: "),
        "{}",
        state.message
    );

    // A crash now loses nothing.
    intake.task.abort();
    eventually(SOON, || async { broker.connections().await <= 1 }).await;
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake
        .until(|state| state.message.starts_with("events wait"))
        .await;
    lock.execute_batch("ROLLBACK").unwrap();
    arrive(&file, "s", 40).await;
    intake.until(|state| state.ready()).await;
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_the_ledger_refuses_for_ever_is_parked_and_the_rest_goes_on() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let other = rusqlite::Connection::open(&file.path).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON event WHEN new.body LIKE '%number 3\"%'
             BEGIN SELECT RAISE(ABORT, 'refused by the test'); END",
        )
        .unwrap();
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    intake.until(|state| state.ready()).await;
    let gateway = broker.gateway().await;
    for n in 0..10 {
        gateway
            .publish("gateway", "event.new", &event("s", n))
            .await;
    }
    eventually(SOON, || async { file.ids("s").await.len() == 9 }).await;
    let mut expected = first("s", 10);
    expected.remove(3);
    assert_eq!(file.ids("s").await, expected);
    let parked = parked(&file).await;
    assert_eq!(parked.len(), 1);
    assert!(
        parked[0].starts_with("the ledger refuses this event"),
        "{parked:?}"
    );
    intake.until(|state| state.ready()).await;
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_delivered_too_often_is_kept_beside() {
    let (broker, file) = (Broker::shared().await, File::new().await);
    let mut settings = config(&broker.url());
    settings.delivery_limit = 2;
    let mut intake = Running::start(file.gate(), settings.clone());
    let state = intake.until(|state| state.ready()).await;
    assert_eq!(state.dead_letters, 0);
    intake.stop().await;
    let gateway = broker.gateway().await;
    gateway
        .publish("gateway", "event.new", &event("s", 0))
        .await;
    // A consumer that is cut off again and again; the first delivery and two more are allowed.
    for _ in 0..3 {
        let channel = gateway.connection.create_channel().await.unwrap();
        let (queue, options) = ("handoffd.events".into(), BasicConsumeOptions::default());
        let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default());
        let delivery = consumer.await.unwrap().next().await.unwrap().unwrap();
        assert_eq!(delivery.data, event("s", 0));
        channel.close(200, "cut off".into()).await.unwrap();
    }
    let mut intake = Running::start(file.gate(), settings);
    intake.until(|state| state.dead_letters == 1).await;
    intake.stop().await;
    assert_eq!(
        gateway.get("handoffd.events.dead").await.body,
        event("s", 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_told_with_a_remedy() {
    let broker = Broker::shared().await;
    let told = async |change: &dyn Fn(&mut handoffd::config::AmqpConfig)| {
        let mut config = config(&broker.url());
        change(&mut config);
        probe(&config).await
    };
    assert_eq!(told(&|_| ()).await, Ok(()));
    let words = told(&|config| config.declare_exchange = false)
        .await
        .unwrap_err();
    assert_eq!(
        words,
        format!(
            "NOT_FOUND - no exchange 'gateway' in vhost '{}'; create it, or correct the configuration",
            broker.vhost()
        )
    );
    let url = broker.url().replace("guest:guest", "guest:wrong-secret");
    let words = told(&|config| config.url = url.clone().into())
        .await
        .unwrap_err();
    assert!(
        words.starts_with("ACCESS_REFUSED - Login was refused"),
        "{words}"
    );
    assert!(
        words.ends_with("; check the user, the password and the user's permissions"),
        "{words}"
    );
    assert!(!words.contains("wrong-secret"));
    let url = "amqp://guest:guest@127.0.0.1:1/%2f";
    let words = told(&|config| config.url = url.into()).await.unwrap_err();
    assert!(words.contains("Connection refused"), "{words}");
    let url = broker.url() + "-nowhere";
    let words = told(&|config| config.url = url.clone().into())
        .await
        .unwrap_err();
    assert!(words.contains("check the virtual host"), "{words}");

    // A running intake says the same and goes on trying.
    let file = File::new().await;
    let mut wrong = config(&broker.url());
    wrong.url = broker
        .url()
        .replace("guest:guest", "guest:wrong-secret")
        .into();
    let mut intake = Running::start(file.gate(), wrong);
    intake
        .until(|state| state.message.starts_with("ACCESS_REFUSED"))
        .await;
    intake.stop().await;

    // A queue with other properties is somebody else's.
    let gateway = broker.gateway().await;
    gateway.exchange("gateway").await;
    gateway.queue("handoffd.events", "gateway", "x").await;
    let mut intake = Running::start(file.gate(), config(&broker.url()));
    let state = intake
        .until(|state| state.message.starts_with("PRECONDITION_FAILED"))
        .await;
    assert!(state.message.ends_with(
        "it exists with other properties: delete it, or give the configuration another name"
    ));
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_says_nothing_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let url = format!("amqp://guest:guest@{address}/%2f?connection_timeout=300");
    let heard = Arc::new(tokio::sync::Mutex::new(None));
    let kept = Arc::clone(&heard);
    let accepts = tokio::spawn(async move {
        *kept.lock().await = Some(silent.accept().await.unwrap().0);
        std::future::pending::<()>().await;
    });
    assert_eq!(
        probe(&config(&url)).await,
        Err("no answer within 300 ms".to_owned())
    );
    // The socket was shut down, so that lapin's thread ends, too: we read to the end of its words.
    let mut stream = heard.lock().await.take().unwrap();
    let mut words = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut words);
    tokio::time::timeout(SOON, read)
        .await
        .expect("the socket is shut down")
        .unwrap();
    assert!(words.starts_with(b"AMQP"));
    accepts.abort();
}
