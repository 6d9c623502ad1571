//! Readers: a few connections that only read, so that no reader waits for the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::schema;
use super::tx::{Counters, Tx, error};
use crate::ledger::{LedgerError, Result};

/// So many read at the same time.
const READERS: usize = 4;

/// The readers' connections. Each is opened when it is first needed.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
    counters: Arc<Counters>,
}

impl Readers {
    pub fn new(path: PathBuf, counters: Arc<Counters>) -> Arc<Readers> {
        let turns = Semaphore::new(READERS);
        Arc::new(Readers {
            path,
            idle: Mutex::default(),
            turns,
            counters,
        })
    }

    /// Runs `query` in a read transaction: everything it sees is of one moment.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let ended = |error: &dyn std::fmt::Display| LedgerError::Failed(error.to_string());
        let turn = self.turns.acquire().await.map_err(|error| ended(&error))?;
        let this = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || this.query(query)).await;
        drop(turn);
        answer.map_err(|error| ended(&error))?
    }

    /// A connection on which the query panicked or failed to end is dropped, not reused.
    fn query<T>(&self, query: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let conn = match idle {
            Some(conn) => conn,
            None => schema::reader(&self.path)?,
        };
        let tx = Tx::new(&conn, &self.counters);
        tx.run("BEGIN", [])?;
        let answer = query(&tx);
        conn.execute_batch("ROLLBACK").map_err(error)?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(conn);
        answer
    }
}
