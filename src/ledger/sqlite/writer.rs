//! The writer: one thread that owns the only connection that writes.
//!
//! It takes a command, begins a transaction, runs it and whatever else is waiting, those in savepoints
//! of their own, commits once, and only then answers all of them. With an fsync of a millisecond that
//! is what makes hundreds of callers cost one fsync instead of hundreds; and a command that fails
//! or panics takes nobody with it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::tx::{Counters, Tx, error};
use crate::ledger::{Changed, LedgerError, Result};

/// More in one transaction gains nothing but latency (measured).
const MAX_GROUP: usize = 256;

/// So many commands may wait; then callers wait to be let in.
const MAX_WAITING: usize = 1_024;

/// The way to the writer. The thread ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Writer {
    commands: mpsc::Sender<Box<dyn Command>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(
        conn: Connection,
        counters: Arc<Counters>,
        changed: Arc<Changed>,
    ) -> Result<Writer> {
        let (commands, waiting) = mpsc::channel(MAX_WAITING);
        std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || work(&conn, waiting, &counters, &changed))
            .map_err(|error| LedgerError::Failed(format!("no thread for the ledger: {error}")))?;
        Ok(Writer { commands })
    }

    /// Commands that wait.
    pub fn waiting(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    /// Runs `command` in a transaction and answers after its commit. Once it waits in the queue it
    /// is carried out, whether or not the caller still waits.
    pub async fn run<T: Send + 'static>(
        &self,
        command: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let task = Task {
            command: Some(command),
            outcome: None,
            answer,
        };
        let gone = |_| LedgerError::Failed("the ledger's writer has ended".into());
        self.commands
            .send(Box::new(task))
            .await
            .map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(()))?
    }
}

/// A command on its way: run inside the transaction, answered after it.
trait Command: Send {
    fn run(&mut self, tx: &Tx<'_>) -> Result<()>;
    fn answer(self: Box<Self>, committed: Result<()>);
}

struct Task<F, T> {
    command: Option<F>,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<F, T> Command for Task<F, T>
where
    F: FnOnce(&Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<()> {
        let Some(command) = self.command.take() else {
            return Ok(());
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| command(tx)))
            .unwrap_or_else(|panic| Err(LedgerError::Failed(panicked(panic.as_ref()))));
        let verdict = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        self.outcome = Some(outcome);
        verdict
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let outcome = match (self.outcome, committed) {
            // Its own error tells more than the group's.
            (Some(Err(own)), _) => Err(own),
            (_, Err(shared)) => Err(shared),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(LedgerError::Failed("the command was not run".into())),
        };
        // A caller that went away does not want the answer.
        let _ = self.answer.send(outcome);
    }
}

/// What a panic said.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words");
    format!("a ledger command panicked: {words}")
}

fn work(
    conn: &Connection,
    mut waiting: mpsc::Receiver<Box<dyn Command>>,
    counters: &Counters,
    changed: &Changed,
) {
    while let Some(first) = waiting.blocking_recv() {
        let tx = Tx::new(conn, counters);
        let mut group = Vec::new();
        let committed = transact(&tx, conn, first, &mut waiting, &mut group);
        if committed.is_ok() {
            counters.commits.fetch_add(1, Ordering::Relaxed);
            counters
                .commands
                .fetch_add(group.len() as u64, Ordering::Relaxed);
        } else if !conn.is_autocommit() {
            // Nothing of the group stays. If even this fails, the next BEGIN says so.
            let _ = conn.execute_batch("ROLLBACK");
        }
        let news = tx.news();
        if committed.is_ok() && !news.is_empty() {
            changed.tell(news);
        }
        for command in group {
            command.answer(committed.clone());
        }
    }
}

/// Runs the first command and those that wait behind it, and commits.
fn transact(
    tx: &Tx<'_>,
    conn: &Connection,
    first: Box<dyn Command>,
    waiting: &mut mpsc::Receiver<Box<dyn Command>>,
    group: &mut Vec<Box<dyn Command>>,
) -> Result<()> {
    let begun = tx.run("BEGIN IMMEDIATE", []);
    let mut next = Some(first);
    while let Some(mut command) = next {
        let ran = match &begun {
            Ok(_) if group.is_empty() => first_of_all(tx, conn, command.as_mut()),
            Ok(_) => alone(tx, conn, command.as_mut()),
            Err(error) => Err(error.clone()),
        };
        group.push(command);
        ran?;
        next = if group.len() < MAX_GROUP {
            waiting.try_recv().ok()
        } else {
            None
        };
    }
    tx.run("COMMIT", []).map(|_| ())
}

/// Runs the first command of a transaction. What its failure undoes is the transaction itself, which
/// holds nothing else yet; so it needs no savepoint.
fn first_of_all(tx: &Tx<'_>, conn: &Connection, command: &mut dyn Command) -> Result<()> {
    match command.run(tx) {
        Ok(()) => Ok(()),
        Err(own) if conn.is_autocommit() => Err(own),
        Err(_) => {
            conn.execute_batch("ROLLBACK").map_err(error)?;
            tx.run("BEGIN IMMEDIATE", []).map(|_| ())
        }
    }
}

/// Runs one command so that its failure undoes only itself. An error means that the whole
/// transaction is lost: SQLite rolls back by itself when the disk is full or fails.
fn alone(tx: &Tx<'_>, conn: &Connection, command: &mut dyn Command) -> Result<()> {
    tx.run("SAVEPOINT command", [])?;
    match command.run(tx) {
        Ok(()) => {}
        Err(own) if conn.is_autocommit() => return Err(own),
        Err(_) => {
            conn.execute_batch("ROLLBACK TO command").map_err(error)?;
        }
    }
    tx.run("RELEASE command", []).map(|_| ())
}
