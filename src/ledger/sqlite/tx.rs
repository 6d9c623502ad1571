//! One transaction as the statements see it: small helpers over cached statements, and a note of
//! what the transaction did that others want to know.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{CachedStatement, Connection, ErrorCode, Params, Row, StatementStatus, ffi};

use crate::ledger::changed::News;
use crate::ledger::{LedgerError, Result};

/// What this ledger has done since it was opened.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) commands: AtomicU64,
    compiled_again: AtomicU64,
    scans: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    /// Write transactions that were committed. Each costs one fsync.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Commands that those transactions carried out.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// How often SQLite compiled a statement again that it had compiled before; but for changes of
    /// the schema, never.
    #[must_use]
    pub fn compiled_again(&self) -> u64 {
        self.compiled_again.load(Ordering::Relaxed)
    }

    /// Statements that read a table or index from end to end, with the rows that they passed. Only
    /// tables that stay small, and counts for metrics, may be among them.
    #[must_use]
    pub fn scans(&self) -> Vec<(String, u64)> {
        let scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans
            .iter()
            .map(|(sql, rows)| (sql.clone(), *rows))
            .collect()
    }

    fn scanned(&self, sql: &str, rows: u64) {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        *scans.entry(sql.to_owned()).or_default() += rows;
    }
}

/// A transaction.
pub(super) struct Tx<'c> {
    conn: &'c Connection,
    counters: &'c Counters,
    news: RefCell<News>,
}

impl<'c> Tx<'c> {
    pub fn new(conn: &'c Connection, counters: &'c Counters) -> Tx<'c> {
        Tx {
            conn,
            counters,
            news: RefCell::default(),
        }
    }

    /// Notes that a lane of this target may have become due.
    pub fn lanes_changed(&self, target: &str) {
        self.news.borrow_mut().of_lanes(target);
    }

    /// Notes that a webhook of this target may have become due.
    pub fn webhooks_changed(&self, target: &str) {
        self.news.borrow_mut().of_webhooks(target);
    }

    /// Notes that a file may have become due.
    pub fn files_changed(&self) {
        self.news.borrow_mut().of_files();
    }

    /// Notes that anything may have become due.
    pub fn everything_changed(&self) {
        self.news.borrow_mut().of_everything();
    }

    /// What may have become due.
    pub fn news(self) -> News {
        self.news.into_inner()
    }

    /// Runs a statement; returns how many rows it changed.
    pub fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        let mut statement = self.conn.prepare_cached(sql).map_err(error)?;
        let changed = statement.execute(params).map_err(error)?;
        self.note(sql, &statement);
        Ok(changed)
    }

    /// The first row, if any.
    pub fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.conn.prepare_cached(sql).map_err(error)?;
        let mut rows = statement.query(params).map_err(error)?;
        let found = rows
            .next()
            .map_err(error)?
            .map(read)
            .transpose()
            .map_err(error)?;
        drop(rows);
        self.note(sql, &statement);
        Ok(found)
    }

    /// Every row.
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.each(sql, params, |row| {
            found.push(read(row)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Row by row, until `read` says that it has enough.
    pub fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> Result<()> {
        let mut statement = self.conn.prepare_cached(sql).map_err(error)?;
        let mut rows = statement.query(params).map_err(error)?;
        while let Some(row) = rows.next().map_err(error)? {
            if !read(row).map_err(error)? {
                break;
            }
        }
        drop(rows);
        self.note(sql, &statement);
        Ok(())
    }

    fn note(&self, sql: &str, statement: &CachedStatement<'_>) {
        let again = statement.reset_status(StatementStatus::RePrepare);
        if again > 0 {
            let again = again.unsigned_abs().into();
            self.counters
                .compiled_again
                .fetch_add(again, Ordering::Relaxed);
        }
        let rows = statement.reset_status(StatementStatus::FullscanStep);
        if rows > 0 {
            self.counters.scanned(sql, rows.unsigned_abs().into());
        }
    }
}

/// What SQLite says, in the ledger's words. Its messages name tables and columns, never values.
pub(super) fn error(error: rusqlite::Error) -> LedgerError {
    match &error {
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.code == ErrorCode::DiskFull || no_room(failure.extended_code) =>
        {
            LedgerError::Full(error.to_string())
        }
        _ => LedgerError::Failed(error.to_string()),
    }
}

/// Where a quota or a file size limit stands in the way, the write, the sync or the growth of the
/// shared memory fails. <https://sqlite.org/rescode.html>
fn no_room(extended: i32) -> bool {
    [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ]
    .contains(&extended)
}
