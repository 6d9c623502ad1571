//! A connection or transaction as the statements see it, and what can go wrong on it.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use deadpool_postgres::{Object, PoolError, Transaction};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, Statement};

use crate::ledger::LedgerError;
use crate::ledger::changed::News;

/// The result of statements.
pub(super) type Outcome<T> = Result<T, Fault>;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The ledger's own refusal.
    Refused(LedgerError),
    /// PostgreSQL or the way to it.
    Database(tokio_postgres::Error),
    /// The connection broke during the commit: whether it took place is not known.
    Commit(tokio_postgres::Error),
    /// There is no connection to be had.
    Pool(PoolError),
    /// It saw what another transaction has changed since.
    Again,
}

impl Fault {
    /// Whether the same transaction may succeed when it is simply done again: it lost against
    /// another one, or its connection was gone before it was to be committed.
    pub fn passes(&self) -> bool {
        match self {
            Fault::Database(error) => {
                error.is_closed()
                    || error.code().is_some_and(|code| {
                        [
                            &SqlState::T_R_SERIALIZATION_FAILURE,
                            &SqlState::T_R_DEADLOCK_DETECTED,
                            &SqlState::UNIQUE_VIOLATION,
                            &SqlState::ADMIN_SHUTDOWN,
                            &SqlState::CRASH_SHUTDOWN,
                        ]
                        .contains(&code)
                    })
            }
            Fault::Again => true,
            Fault::Refused(_) | Fault::Commit(_) | Fault::Pool(_) => false,
        }
    }

    /// Whether the connection is of no use any more. After a switch to another server it may lead
    /// to one that only reads.
    pub fn spoils(&self) -> bool {
        match self {
            Fault::Database(error) | Fault::Commit(error) => {
                error.is_closed()
                    || error.code().is_none()
                    || error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
            }
            Fault::Refused(_) | Fault::Pool(_) | Fault::Again => false,
        }
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Fault {
        Fault::Refused(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Database(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Fault {
        Fault::Pool(error)
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> LedgerError {
        match fault {
            Fault::Refused(error) => error,
            Fault::Database(error) => words(&error),
            Fault::Commit(error) => match words(&error) {
                LedgerError::Failed(words) => {
                    LedgerError::Failed(format!("{words}; whether it was stored is not known"))
                }
                other => other,
            },
            Fault::Pool(PoolError::Backend(error)) => words(&error),
            Fault::Again => LedgerError::Failed("others change the same again and again".into()),
            Fault::Pool(error) => LedgerError::Failed(format!("no connection: {error}")),
        }
    }
}

/// PostgreSQL's message and code. Its detail is left out, for it may hold values.
pub(super) fn words(error: &tokio_postgres::Error) -> LedgerError {
    let Some(said) = error.as_db_error() else {
        let mut words = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            words.push_str(": ");
            words.push_str(&error.to_string());
            source = error.source();
        }
        return LedgerError::Failed(words);
    };
    let words = format!("{} ({})", said.message(), said.code().code());
    if [
        &SqlState::DISK_FULL,
        &SqlState::CONFIGURATION_LIMIT_EXCEEDED,
    ]
    .contains(&said.code())
    {
        LedgerError::Full(words)
    } else {
        LedgerError::Failed(words)
    }
}

/// A parameter.
pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// A connection, or a transaction on one.
pub(super) struct Db<'c> {
    on: On<'c>,
    news: Mutex<News>,
}

enum On<'c> {
    Connection(&'c Object),
    Transaction(Transaction<'c>),
}

impl<'c> Db<'c> {
    /// Every statement is a transaction of its own.
    pub fn plain(connection: &'c Object) -> Db<'c> {
        Db {
            on: On::Connection(connection),
            news: Mutex::default(),
        }
    }

    /// All statements are one transaction.
    pub fn within(transaction: Transaction<'c>) -> Db<'c> {
        Db {
            on: On::Transaction(transaction),
            news: Mutex::default(),
        }
    }

    /// Ends the transaction, if there is one. Returns what may have become due.
    pub async fn commit(self) -> Outcome<News> {
        if let On::Transaction(transaction) = self.on {
            transaction.commit().await.map_err(|error| {
                if error.as_db_error().is_some() {
                    Fault::Database(error)
                } else {
                    Fault::Commit(error)
                }
            })?;
        }
        Ok(self
            .news
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that lanes of these targets may have become due.
    pub fn lanes_changed<S: AsRef<str>>(&self, targets: impl IntoIterator<Item = S>) {
        let mut news = self.news();
        for target in targets {
            news.of_lanes(target.as_ref());
        }
    }

    /// Notes that a webhook of this target may have become due.
    pub fn webhooks_changed(&self, target: &str) {
        self.news().of_webhooks(target);
    }

    /// Notes that a file may have become due.
    pub fn files_changed(&self) {
        self.news().of_files();
    }

    /// Notes that anything may have become due.
    pub fn everything_changed(&self) {
        self.news().of_everything();
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prepare(&self, sql: &str) -> Outcome<Statement> {
        Ok(match &self.on {
            On::Connection(connection) => connection.prepare_cached(sql).await?,
            On::Transaction(transaction) => transaction.prepare_cached(sql).await?,
        })
    }

    /// Runs a statement; returns how many rows it changed.
    pub async fn run(&self, sql: &str, params: &[Param<'_>]) -> Outcome<u64> {
        let statement = self.prepare(sql).await?;
        Ok(match &self.on {
            On::Connection(connection) => connection.execute(&statement, params).await?,
            On::Transaction(transaction) => transaction.execute(&statement, params).await?,
        })
    }

    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Outcome<Vec<Row>> {
        let statement = self.prepare(sql).await?;
        Ok(match &self.on {
            On::Connection(connection) => connection.query(&statement, params).await?,
            On::Transaction(transaction) => transaction.query(&statement, params).await?,
        })
    }

    /// Every row.
    pub async fn all<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        read: impl Fn(&Row) -> Outcome<T>,
    ) -> Outcome<Vec<T>> {
        self.rows(sql, params).await?.iter().map(read).collect()
    }

    /// The first row, if any.
    pub async fn one<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        read: impl Fn(&Row) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        self.rows(sql, params).await?.first().map(read).transpose()
    }
}

/// Text that comes from outside. PostgreSQL's text cannot hold U+0000; its visible sign is stored
/// instead, so that nothing is refused for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub &'a str);

impl<'a> Text<'a> {
    /// The text as it is stored.
    pub fn clean(self) -> Cow<'a, str> {
        if self.0.contains('\0') {
            Cow::Owned(self.0.replace('\0', "\u{2400}"))
        } else {
            Cow::Borrowed(self.0)
        }
    }
}

impl ToSql for Text<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.clean().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

/// Texts that come from outside.
pub(super) fn texts<'a, S: AsRef<str> + 'a>(
    texts: impl IntoIterator<Item = &'a S>,
) -> Vec<Text<'a>> {
    texts.into_iter().map(|text| Text(text.as_ref())).collect()
}

/// A text that comes from outside and may be absent.
pub(super) fn maybe(text: Option<&String>) -> Option<Text<'_>> {
    text.map(|text| Text(text))
}
