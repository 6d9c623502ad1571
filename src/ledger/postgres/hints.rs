//! Hints between daemons: what one changes, the others look at soon.
//!
//! One connection listens and tells. It is not part of any transaction, because NOTIFY inside one
//! makes all commits queue up behind each other; and many changes in a row are told once. When it
//! breaks it is opened again. A hint that is lost costs only time: the table is the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect::Address;
use super::db::Outcome;
use crate::backoff::Backoff;
use crate::ledger::Changed;
use crate::ledger::changed::News;
use crate::ledger::rows::digest;

/// Changes within this time are told together.
const GATHER: Duration = Duration::from_millis(20);

/// So often a silent connection is asked whether it still lives.
const PULSE: Duration = Duration::from_secs(20);

/// How long to wait before the connection is opened again, at first and at most.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The connection's task; it ends when this is dropped.
pub(super) struct Hints {
    changed: Arc<Changed>,
    tell: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Hints {
    /// Starts the task.
    pub fn start(address: Address) -> Hints {
        let (changed, tell) = (Arc::new(Changed::default()), Arc::new(Notify::new()));
        let mut task = JoinSet::new();
        task.spawn(supervise(address, Arc::clone(&changed), Arc::clone(&tell)));
        Hints {
            changed,
            tell,
            _task: task,
        }
    }

    /// Tells what may be due.
    pub fn changed(&self) -> Arc<Changed> {
        Arc::clone(&self.changed)
    }

    /// Tells this daemon at once what may be due, and the others soon that something is.
    pub fn give(&self, news: News) {
        self.changed.tell(news);
        self.tell.notify_one();
    }
}

async fn supervise(address: Address, changed: Arc<Changed>, tell: Arc<Notify>) {
    let mut waits = Backoff::new(RECONNECT.0, RECONNECT.1, 2.0).waits();
    loop {
        let began = tokio::time::Instant::now();
        if let Err(fault) = listen(&address, &changed, &tell).await {
            let error = crate::ledger::LedgerError::from(fault);
            tracing::debug!(%error, "the ledger's hints are interrupted");
        }
        if began.elapsed() > RECONNECT.1 {
            waits.reset();
        }
        tokio::time::sleep(waits.wait()).await;
    }
}

async fn listen(address: &Address, changed: &Arc<Changed>, tell: &Notify) -> Outcome<()> {
    let own = Arc::new(AtomicI32::new(0));
    let mut drivers = JoinSet::new();
    let client = match &address.tls {
        Some(tls) => {
            let (client, connection) = address
                .config
                .connect(MakeRustlsConnect::clone(tls))
                .await?;
            drivers.spawn(drive::<MakeRustlsConnect>(
                connection,
                own.clone(),
                changed.clone(),
            ));
            client
        }
        None => {
            let (client, connection) = address.config.connect(NoTls).await?;
            drivers.spawn(drive::<NoTls>(connection, own.clone(), changed.clone()));
            client
        }
    };
    tokio::select! {
        outcome = run_session(&client, &own, changed, tell) => outcome,
        _ = drivers.join_next() => Ok(()),
    }
}

/// Moves the connection's bytes, and passes on what the others tell.
async fn drive<T: MakeTlsConnect<Socket>>(
    mut connection: Connection<Socket, T::Stream>,
    own: Arc<AtomicI32>,
    changed: Arc<Changed>,
) where
    T::Stream: Send,
{
    let mut messages = futures::stream::poll_fn(move |cx| connection.poll_message(cx));
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(hint) = message
            && hint.process_id() != own.load(Ordering::Relaxed)
        {
            changed.tell(News::everything());
        }
    }
}

async fn run_session(
    client: &Client,
    own: &AtomicI32,
    changed: &Changed,
    tell: &Notify,
) -> Outcome<()> {
    let row = client
        .query_one("SELECT pg_backend_pid(), current_schema()::text", &[])
        .await?;
    own.store(row.try_get(0)?, Ordering::Relaxed);
    let channel = channel(row.try_get::<_, Option<&str>>(1)?.unwrap_or_default());
    client.batch_execute(&format!("LISTEN {channel}")).await?;
    // What was told while nobody listened.
    changed.tell(News::everything());
    loop {
        let said = match tokio::time::timeout(PULSE, tell.notified()).await {
            Ok(()) => format!("NOTIFY {channel}"),
            Err(_) => String::new(),
        };
        match tokio::time::timeout(PULSE, client.batch_execute(&said)).await {
            Ok(answer) => answer?,
            // Half open: nobody answers and nobody hangs up.
            Err(_) => return Ok(()),
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// One channel per schema; channels belong to the whole database.
fn channel(schema: &str) -> String {
    let digest = digest(&[schema.as_bytes()]);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("handoffd_{hex}")
}
