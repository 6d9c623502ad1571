//! The ledger in one SQLite file, for one daemon.
//!
//! Write-ahead logging with full durability: what a method answered is on disk. One thread writes
//! and commits whatever is waiting in one go (`writer`); a few connections read beside it
//! (`reader`). Commands of an operator from another process take turns with it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `schema` | opening the file, migrations; the tables are in `schema/*.sql` |
//! | `writer`, `reader`, `tx` | the thread that writes, those that read, and a transaction |
//! | `disk_space` | whether there is room to write |
//! | `events`, `admit`, `find` | events in, lanes opened and woken, sessions found; dead letters |
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
mod conversation;
mod daemons;
mod disk_space;
mod editor;
mod events;
mod facts;
mod feeds;
mod figures;
mod files;
mod find;
mod lanes;
mod listing;
mod load;
mod mappings;
mod mention;
mod notifier;
mod operate;
mod reader;
mod retry_skip;
mod schema;
mod troubles;
mod tx;
mod unattended;
mod view;
mod webhooks;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::reader::Readers;
pub use self::tx::Counters;
use self::tx::Tx;
use self::writer::Writer;
use super::conversation::Followed;
use super::{Changed, Changes, LedgerError, Result};

/// The ledger in one SQLite file.
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    changed: Arc<Changed>,
    counters: Arc<Counters>,
    followed: Followed,
    path: PathBuf,
    /// A write found no room, and the ledger has not grown since.
    full: AtomicBool,
}

impl Sqlite {
    /// Opens the file, creates it if need be, and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be opened, is not a ledger, or was written by a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Sqlite> {
        let path = path.as_ref();
        let counters = Arc::new(Counters::default());
        let changed = Arc::new(Changed::default());
        let conn = schema::writer(path)?;
        Ok(Sqlite {
            writer: Writer::start(conn, Arc::clone(&counters), Arc::clone(&changed))?,
            readers: Readers::start(path.to_owned(), &counters)?,
            changed,
            counters,
            followed: Followed::default(),
            path: path.to_owned(),
            full: AtomicBool::new(false),
        })
    }

    /// What this ledger has done since it was opened.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Lets the file grow to about `bytes`; what does not fit is refused with
    /// [`LedgerError::Full`]. It can be raised at any time.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn quota(&self, bytes: u64) -> Result<()> {
        self.write(move |tx| {
            let page: Option<u32> = tx.one("PRAGMA page_size", [], |row| row.get(0))?;
            let pages = bytes / u64::from(page.unwrap_or(4_096));
            tx.one(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
                .map(|_| ())
        })
        .await
    }

    /// Commands that wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    async fn write<T: Send + 'static>(
        &self,
        command: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let done = self.writer.run(command).await;
        if matches!(done, Err(LedgerError::Full(_))) {
            self.full.store(true, Ordering::Relaxed);
        }
        done
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.run(query).await
    }
}

impl Changes for Sqlite {
    fn changed(&self) -> Arc<Changed> {
        Arc::clone(&self.changed)
    }
}
