//! A running intake over a real ledger.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use handoffd::backoff::Backoff;
use handoffd::config::{AmqpConfig, ExchangeKind, Limits};
use handoffd::intake::amqp::{AmqpIntake, IntakeState};
use handoffd::intake::{Gate, Router};
use handoffd::ledger::{self, Ledger};
use handoffd_test_support::{eventually, unique};
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a broker to start on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// A ledger in a file of its own.
pub struct File {
    /// Its path.
    pub path: PathBuf,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
}

impl File {
    /// A new, empty one.
    pub async fn new() -> File {
        let path = std::env::temp_dir()
            .join(unique("ledger"))
            .with_extension("db");
        let url = format!("sqlite:{}", path.display());
        let ledger = ledger::open(&url).await.expect("a ledger");
        File { path, ledger }
    }

    /// A gate in front of it that knows no targets.
    pub fn gate(&self) -> Gate {
        Gate {
            ledger: self.ledger.clone(),
            router: Arc::new(Router::default()),
            dialects: Arc::default(),
            limits: Limits::default(),
        }
    }

    /// The producer's ids of a session's events, in the order of the ledger; what handoffd says of the
    /// conversation itself is not among them.
    pub async fn ids(&self, session: &str) -> Vec<String> {
        let story = self.ledger.session_report(session).await.expect("a story");
        story
            .events
            .into_iter()
            .filter(|(_, kind, ..)| kind != "session.state")
            .map(|(_, _, _, id, _)| id)
            .collect()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["db", "db-wal", "db-shm"] {
            // Whether it can be removed decides no test.
            let _ = std::fs::remove_file(self.path.with_extension(end));
        }
    }
}

/// A configuration for this broker, with names of its own.
pub fn config(url: &str) -> AmqpConfig {
    AmqpConfig {
        url: SecretString::from(url),
        nodes: Vec::new(),
        ca_file: None,
        exchange: Some("gateway".to_owned()),
        exchange_kind: ExchangeKind::Topic,
        declare_exchange: true,
        queue: "handoffd.events".to_owned(),
        routing_keys: vec!["event.#".to_owned()],
        prefetch: 100,
        group: 16,
        delivery_limit: 20,
        dead_letter_exchange: None,
        reconnect: Backoff::new(Duration::from_millis(50), Duration::from_millis(500), 2.0),
        publish_exchange: "handoffd.out".to_owned(),
        confirm_timeout: Duration::from_secs(5),
    }
}

/// An intake that runs.
pub struct Running {
    /// How it fares.
    pub state: watch::Receiver<IntakeState>,
    /// Aborted, it ends as in a crash: nothing is finished and nothing closed in order.
    pub task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    /// Starts one.
    pub fn start(gate: Gate, config: AmqpConfig) -> Running {
        let intake = AmqpIntake::new(gate, config);
        let state = intake.state();
        let stop = CancellationToken::new();
        let task = tokio::spawn(intake.run(stop.clone()));
        Running { state, task, stop }
    }

    /// Waits until its state is so.
    pub async fn until(&mut self, what: impl FnMut(&IntakeState) -> bool) -> IntakeState {
        let last = self.state.clone();
        match tokio::time::timeout(SOON, self.state.wait_for(what)).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => panic!("the intake ended: {:?}", *last.borrow()),
            Err(_) => panic!("not within {SOON:?}: {:?}", *last.borrow()),
        }
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(SOON, self.task).await;
        stopped
            .expect("it stops in time")
            .expect("it does not panic");
    }
}

/// The n-th event of a session.
pub fn event(session: &str, n: usize) -> Vec<u8> {
    let id = format!("{session}/{n}");
    serde_json::json!({
        "specversion": "1.0", "id": id, "source": "/test", "type": "message.received",
        "subject": session, "time": "2026-03-02T09:20:01Z", "sequence": n.to_string(),
        "data": { "message": {
            "id": format!("wamid.{id}"), "time": "2026-03-02T09:20:00Z",
            "author": { "kind": "customer" }, "text": format!("number {n}"),
        } },
    })
    .to_string()
    .into_bytes()
}

/// The ids of a session's first events.
pub fn first(session: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{session}/{n}")).collect()
}

/// Waits until the ledger has exactly the session's first events, in order.
pub async fn arrive(file: &File, session: &str, count: usize) {
    eventually(SOON, || async { file.ids(session).await.len() >= count }).await;
    assert_eq!(file.ids(session).await, first(session, count));
}
