//! Readers: a few threads, each with a connection that only reads, so that no reader waits for the
//! writer.
//!
//! The threads are the ledger's own. Of the runtime's, a busy daemon would use another one each
//! time, and the allocator keeps memory back for every thread that it has seen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::schema;
use super::tx::{Counters, Tx, error};
use super::writer::panicked;
use crate::ledger::{LedgerError, Result};

/// So many read at the same time.
const READERS: usize = 4;

/// So many queries may wait; then callers wait to be let in.
const MAX_WAITING: usize = 1_024;

type Query = Box<dyn FnOnce(&mut Reader) + Send>;

/// The way to the readers. The threads end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Readers {
    queries: mpsc::Sender<Query>,
}

impl Readers {
    /// Starts the threads.
    pub fn start(path: PathBuf, counters: &Arc<Counters>) -> Result<Readers> {
        let (queries, waiting) = mpsc::channel(MAX_WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for n in 0..READERS {
            let reader = Reader {
                path: path.clone(),
                conn: None,
                counters: Arc::clone(counters),
            };
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name(format!("ledger-reader{n}"))
                .spawn(move || work(reader, &waiting))
                .map_err(|error| {
                    LedgerError::Failed(format!("no thread for the ledger: {error}"))
                })?;
        }
        Ok(Readers { queries })
    }

    /// Runs `query` in a read transaction: everything it sees is of one moment.
    pub async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let asked: Query = Box::new(move |reader: &mut Reader| {
            // Nobody wants to know what a caller asked that went away.
            if !answer.is_closed() {
                let _ = answer.send(reader.query(query));
            }
        });
        let gone = |()| LedgerError::Failed("the ledger's readers have ended".into());
        self.queries.send(asked).await.map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(()))?
    }
}

/// Takes turns with the other readers at waiting for a query.
fn work(mut reader: Reader, waiting: &Mutex<mpsc::Receiver<Query>>) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        match next {
            Some(query) => query(&mut reader),
            None => return,
        }
    }
}

struct Reader {
    path: PathBuf,
    /// Opened when it is first needed.
    conn: Option<Connection>,
    counters: Arc<Counters>,
}

impl Reader {
    /// A connection on which the query panicked or failed to end is dropped, not reused.
    fn query<T>(&mut self, query: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => schema::reader(&self.path)?,
        };
        let tx = Tx::new(&conn, &self.counters);
        tx.run("BEGIN", [])?;
        let answer = catch_unwind(AssertUnwindSafe(|| query(&tx)))
            .map_err(|panic| LedgerError::Failed(panicked(panic.as_ref())))?;
        conn.execute_batch("ROLLBACK").map_err(error)?;
        self.conn = Some(conn);
        answer
    }
}
