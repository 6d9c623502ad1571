//! The ledger in PostgreSQL, for several daemons.
//!
//! Every method is one transaction on a pooled connection. Transactions that lose against another
//! one, or whose connection is gone before the commit, are done again a few times. Daemons tell
//! each other of changes by NOTIFY (`hints`). Connections must stay its own: prepared statements and
//! LISTEN do not go through a pooler that hands connections out per transaction.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `connect` | the address, TLS, the pool |
//! | `schema` | migrations; the tables are in `schema/*.sql` |
//! | `db`, `transact` | statements, what can go wrong, and a method's transaction |
//! | `hints` | daemons wake each other |
//! | `events`, `admit`, `find` | events in, lanes opened and woken; dead letters |
//! | `conversation` | who is in charge, moved and looked at |
//! | `lanes` | claim, begin, finish, release |
//! | `load`, `facts` | what a worker needs to know, and what it writes down |
//! | `mention` | what an event speaks of |
//! | `unattended` | lanes that nobody works on, looked at |
//! | `daemons` | who lives |
//! | `beside` | lanes of those who are told, beside others |
//! | `feeds` | feeds, what was heard, finding a lane |
//! | `webhooks` | the webhook queue |
//! | `files` | files that are kept |
//! | `view`, `listing`, `figures` | what the pages of operators read |
//! | `operate`, `retry_skip` | lists, reports, numbers; lanes put back to work |
//! | `troubles` | what is not well, counted |
//! | `mappings` | versions of mappings |
//! | `editor` | drafts of mappings, what CRMs' records can hold, and handoffs to look at |
//! | `notifier` | what people are to be told of |
//! | `access` | sign-ins, links, tokens, people, and the audit log |

mod access;
mod admit;
mod beside;
mod connect;
mod conversation;
mod daemons;
mod db;
mod editor;
mod events;
mod facts;
mod feeds;
mod figures;
mod files;
mod find;
mod hints;
mod lanes;
mod listing;
mod load;
mod mappings;
mod mention;
mod notifier;
mod operate;
mod retry_skip;
mod schema;
mod transact;
mod troubles;
mod unattended;
mod view;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::connect::Address;
use self::db::Fault;
use self::hints::Hints;
use super::conversation::Followed;
use super::{Changed, Changes, LedgerError, Result};
use deadpool_postgres::Pool;

/// The ledger in PostgreSQL.
pub struct Postgres {
    pool: Pool,
    hints: Hints,
    followed: Followed,
    /// A write found no room, and the ledger has not grown since.
    full: AtomicBool,
}

impl Postgres {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// The address cannot be read, the server cannot be reached, or the schema was written by a
    /// newer version.
    pub async fn open(url: &str) -> Result<Postgres> {
        let address = Address::parse(url)?;
        let pool = address.pool()?;
        let migrate = async {
            let mut connection = pool.get().await?;
            schema::migrate(&mut connection).await
        };
        migrate.await?;
        Ok(Postgres {
            pool,
            hints: Hints::start(address),
            followed: Followed::default(),
            full: AtomicBool::new(false),
        })
    }

    /// Whether the database holds a ledger.
    ///
    /// # Errors
    /// The address cannot be read, or the server cannot be reached.
    pub async fn exists(url: &str) -> Result<bool> {
        let pool = Address::parse(url)?.pool()?;
        let look = async { schema::exists(&pool.get().await?).await };
        Ok(look.await?)
    }

    fn noted(&self, fault: Fault) -> LedgerError {
        let error = LedgerError::from(fault);
        if matches!(error, LedgerError::Full(_)) {
            self.full.store(true, Ordering::Relaxed);
        }
        error
    }
}

impl Changes for Postgres {
    fn changed(&self) -> Arc<Changed> {
        self.hints.changed()
    }
}
