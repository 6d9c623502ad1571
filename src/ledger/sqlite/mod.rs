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
//! | `intake` | events in, lanes opened and woken |
//! | `poison` | what could not be understood |
//! | `lanes` | claim, load, begin, finish, release |
//! | `look` | lanes that nobody works on, looked at |
//! | `relay` | feeds, what was heard, finding a lane |
//! | `inbox` | webhooks |
//! | `operate` | lists, stories, numbers |
//! | `mend` | retry, skip |
//! | `troubles` | what is not well, counted |
//! | `care` | mappings, daemons, pulse |
//! | `room` | whether there is room to write |

mod care;
mod inbox;
mod intake;
mod lanes;
mod look;
mod mend;
mod operate;
mod poison;
mod reader;
mod relay;
mod room;
mod schema;
mod troubles;
mod tx;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use handoffd_contract::{Event, Stop};
use jiff::Timestamp;
use tokio::sync::Notify;

use self::reader::Readers;
pub use self::tx::Counters;
use self::tx::Tx;
use self::writer::Writer;
use super::rows::{self, Arrival, NewMapping, count, event_key};
use super::troubles::Troubles;
use super::{
    Admission, Admitted, Attempt, Change, FeedLease, Group, Hear, InboxRow, LaneFilter, LaneRef,
    LaneRow, Lease, Ledger, LedgerError, Loaded, MappingRow, Poison, PoisonRow, Release, Result,
    Select, Stats, Story, Unlooked,
};

/// The ledger in one SQLite file.
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    changed: Arc<Notify>,
    counters: Arc<Counters>,
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
        let changed = Arc::new(Notify::new());
        let conn = schema::writer(path)?;
        Ok(Sqlite {
            writer: Writer::start(conn, Arc::clone(&counters), Arc::clone(&changed))?,
            readers: Readers::start(path.to_owned(), &counters)?,
            changed,
            counters,
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

#[async_trait]
impl Ledger for Sqlite {
    async fn admit(&self, now: Timestamp, events: Vec<Admission>) -> Result<Vec<Admitted>> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&events)?);
        self.write(move |tx| intake::admit(tx, now, &arrivals))
            .await
    }

    async fn poison(&self, now: Timestamp, poison: Poison) -> Result<()> {
        self.write(move |tx| poison::poison(tx, now.as_microsecond(), &poison))
            .await
    }

    async fn poisoned(&self, after: i64, limit: usize) -> Result<Vec<PoisonRow>> {
        self.read(move |tx| poison::poisoned(tx, after, count(limit)))
            .await
    }

    async fn unpoison(&self, now: Timestamp, id: i64, events: Vec<Admission>) -> Result<()> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&events)?);
        self.write(move |tx| poison::unpoison(tx, now, id, &arrivals))
            .await
    }

    async fn claim(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<Lease>> {
        let (daemon, target) = (daemon.to_owned(), target.to_owned());
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        self.write(move |tx| lanes::claim(tx, now, &daemon, &target, count(limit), until))
            .await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()> {
        let lease = lease.clone();
        self.write(move |tx| lanes::renew(tx, &lease, until.as_microsecond()))
            .await
    }

    async fn load(&self, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded> {
        let lease = lease.clone();
        self.read(move |tx| lanes::load(tx, &lease, limit, bytes))
            .await
    }

    async fn peek(&self, lane: i64) -> Result<(LaneRef, Loaded)> {
        self.read(move |tx| lanes::peek(tx, lane)).await
    }

    async fn recall(&self, session: &str, id: &str) -> Result<Option<(i64, Event)>> {
        let (session, id) = (session.to_owned(), id.to_owned());
        self.read(move |tx| look::recall(tx, &session, &id)).await
    }

    async fn unlooked(
        &self,
        now: Timestamp,
        target: &str,
        blocked: bool,
        limit: usize,
    ) -> Result<Vec<Unlooked>> {
        let (now, target) = (now.as_microsecond(), target.to_owned());
        self.read(move |tx| look::unlooked(tx, now, &target, blocked, count(limit)))
            .await
    }

    async fn inspect(&self, lane: i64, limit: usize, bytes: usize) -> Result<Loaded> {
        self.read(move |tx| lanes::inspect(tx, lane, limit, bytes))
            .await
    }

    async fn looked(
        &self,
        now: Timestamp,
        lane: &Unlooked,
        facts: Vec<(String, String)>,
        events: Vec<Admission>,
        again: Option<Timestamp>,
    ) -> Result<()> {
        let (lane, arrivals) = (lane.clone(), Arrival::all(&events)?);
        let (now, again) = (now.as_microsecond(), again.map(Timestamp::as_microsecond));
        self.write(move |tx| look::looked(tx, now, &lane, &facts, &arrivals, again))
            .await
    }

    async fn begin(
        &self,
        lease: &Lease,
        now: Timestamp,
        claims: Vec<(String, Option<String>)>,
    ) -> Result<()> {
        let lease = lease.clone();
        self.write(move |tx| lanes::begin(tx, &lease, now.as_microsecond(), &claims))
            .await
    }

    async fn finish(
        &self,
        lease: &Lease,
        now: Timestamp,
        attempts: Vec<Attempt>,
        changes: Vec<Change>,
        events: Vec<Admission>,
    ) -> Result<()> {
        let (lease, now, arrivals) = (lease.clone(), now.as_microsecond(), Arrival::all(&events)?);
        self.write(move |tx| lanes::finish(tx, &lease, now, &attempts, changes, &arrivals))
            .await
    }

    async fn release(&self, lease: Lease, now: Timestamp, release: Release) -> Result<()> {
        let Release {
            head,
            seen,
            next,
            attempts,
            events,
        } = release;
        let arrivals = Arrival::all(&events)?;
        self.write(move |tx| {
            let leaving = lanes::Leaving {
                head,
                seen,
                attempts,
                arrivals: &arrivals,
            };
            lanes::release(tx, &lease, now.as_microsecond(), &leaving, next)
        })
        .await
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let due = self
            .read(move |tx| lanes::next_due(tx, now.as_microsecond()))
            .await?;
        rows::maybe_at(due)
    }

    async fn listen(&self, lease: &Lease, key: Option<&str>) -> Result<()> {
        let (lease, key) = (lease.clone(), key.map(str::to_owned));
        self.write(move |tx| relay::listen(tx, &lease, key.as_deref()))
            .await
    }

    async fn claim_feeds(
        &self,
        now: Timestamp,
        daemon: &str,
        targets: &[String],
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<FeedLease>> {
        let (daemon, targets) = (daemon.to_owned(), serde_json::json!(targets).to_string());
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        self.write(move |tx| relay::claim_feeds(tx, now, &daemon, &targets, count(limit), until))
            .await
    }

    async fn renew_feeds(&self, feeds: &[FeedLease], until: Timestamp) -> Result<Vec<FeedLease>> {
        let feeds = feeds.to_vec();
        self.write(move |tx| relay::renew_feeds(tx, feeds, until.as_microsecond()))
            .await
    }

    async fn release_feed(&self, feed: &FeedLease) -> Result<()> {
        let feed = feed.clone();
        self.write(move |tx| relay::release_feed(tx, &feed)).await
    }

    async fn cursor(&self, target: &str, key: &str) -> Result<Option<String>> {
        let (target, key) = (target.to_owned(), key.to_owned());
        self.read(move |tx| relay::cursor(tx, &target, &key)).await
    }

    async fn listeners(&self, target: &str, key: &str) -> Result<Vec<LaneRef>> {
        let (target, key) = (target.to_owned(), key.to_owned());
        self.read(move |tx| relay::listeners(tx, &target, &key))
            .await
    }

    async fn wake(&self, now: Timestamp, lanes: &[i64]) -> Result<()> {
        let lanes = lanes.to_vec();
        self.write(move |tx| {
            lanes
                .iter()
                .try_for_each(|lane| intake::wake_lane(tx, now.as_microsecond(), *lane))
        })
        .await
    }

    async fn hear(&self, now: Timestamp, hear: Hear) -> Result<Vec<Admitted>> {
        let Hear {
            events,
            facts,
            cursor,
            inbox,
        } = hear;
        let heard = relay::Heard {
            arrivals: Arrival::all(&events)?,
            facts,
            cursor,
            inbox,
        };
        self.write(move |tx| relay::hear(tx, now.as_microsecond(), &heard))
            .await
    }

    async fn inbox_put(
        &self,
        now: Timestamp,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<bool> {
        let (target, headers, body) = (target.to_owned(), headers.to_owned(), body.to_vec());
        let now = now.as_microsecond();
        self.write(move |tx| inbox::inbox_put(tx, now, &target, &headers, &body))
            .await
    }

    async fn inbox_claim(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<InboxRow>> {
        let (daemon, target) = (daemon.to_owned(), target.to_owned());
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        self.write(move |tx| inbox::inbox_claim(tx, now, &daemon, &target, count(limit), until))
            .await
    }

    async fn inbox_later(&self, row: &InboxRow, at: Option<Timestamp>, stop: Stop) -> Result<()> {
        let (id, epoch) = (row.id, row.epoch);
        self.write(move |tx| inbox::inbox_later(tx, id, epoch, at, &stop))
            .await
    }

    async fn inbox_parked(&self, limit: usize) -> Result<Vec<(i64, String, Timestamp, Stop)>> {
        self.read(move |tx| inbox::inbox_parked(tx, count(limit)))
            .await
    }

    async fn inbox_settle(&self, now: Timestamp, id: Option<i64>, retry: bool) -> Result<u64> {
        self.write(move |tx| inbox::inbox_settle(tx, now.as_microsecond(), id, retry))
            .await
    }

    async fn lanes_by_fact(&self, target: &str, name: &str, value: &str) -> Result<Vec<LaneRef>> {
        let (target, name, value) = (target.to_owned(), name.to_owned(), value.to_owned());
        self.read(move |tx| relay::lanes_by_fact(tx, &target, &name, &value))
            .await
    }

    async fn is_ours(&self, lane: i64, value: &str) -> Result<bool> {
        let value = value.to_owned();
        self.read(move |tx| relay::is_ours(tx, lane, &value)).await
    }

    async fn has(&self, source: &str, id: &str) -> Result<bool> {
        let key = event_key(source, id);
        self.read(move |tx| intake::has(tx, &key)).await
    }

    async fn session_of(&self, business_number: &str, customer: &str) -> Result<Option<String>> {
        let (business_number, customer) = (business_number.to_owned(), customer.to_owned());
        self.read(move |tx| relay::session_of(tx, &business_number, &customer))
            .await
    }

    async fn lanes(&self, filter: LaneFilter) -> Result<Vec<LaneRow>> {
        self.read(move |tx| operate::lanes(tx, &filter)).await
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        self.read(operate::groups).await
    }

    async fn troubles(&self) -> Result<Troubles> {
        self.read(troubles::troubles).await
    }

    async fn story(&self, session: &str) -> Result<Story> {
        let session = session.to_owned();
        self.read(move |tx| operate::story(tx, &session)).await
    }

    async fn event(&self, seq: i64) -> Result<Option<Event>> {
        self.read(move |tx| operate::event(tx, seq)).await
    }

    async fn retry(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        self.write(move |tx| mend::retry(tx, now.as_microsecond(), &select, dry_run))
            .await
    }

    async fn skip(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        self.write(move |tx| mend::skip(tx, now.as_microsecond(), &select, dry_run))
            .await
    }

    async fn mapping_put(
        &self,
        now: Timestamp,
        target: &str,
        text: &str,
        who: &str,
        why: &str,
        expect: Option<i64>,
    ) -> Result<i64> {
        let mapping = NewMapping::new(now, target, text, who, why, expect);
        self.write(move |tx| care::mapping_put(tx, &mapping)).await
    }

    async fn mapping_get(&self, target: &str, version: Option<i64>) -> Result<Option<MappingRow>> {
        let target = target.to_owned();
        self.read(move |tx| care::mapping_get(tx, &target, version))
            .await
    }

    async fn mapping_history(&self, target: &str) -> Result<Vec<MappingRow>> {
        let target = target.to_owned();
        self.read(move |tx| care::mapping_history(tx, &target))
            .await
    }

    async fn heartbeat(&self, now: Timestamp, daemon: &str, since: Timestamp) -> Result<u32> {
        let daemon = daemon.to_owned();
        let (now, since) = (now.as_microsecond(), since.as_microsecond());
        self.write(move |tx| care::heartbeat(tx, now, &daemon, since))
            .await
    }

    async fn farewell(&self, daemon: &str) -> Result<()> {
        let daemon = daemon.to_owned();
        self.write(move |tx| care::farewell(tx, &daemon)).await
    }

    async fn stats(&self, now: Timestamp) -> Result<Stats> {
        self.read(move |tx| operate::stats(tx, now.as_microsecond()))
            .await
    }

    async fn ping(&self) -> Result<()> {
        let path = self.path.clone();
        self.read(move |_| room::beside(&path)).await?;
        if self.full.load(Ordering::Relaxed) {
            self.write(room::grow).await?;
            self.write(room::shrink).await?;
            self.full.store(false, Ordering::Relaxed);
        }
        self.write(care::beat).await?;
        self.read(|tx| tx.one("SELECT beats FROM pulse WHERE one = 1", [], |_| Ok(())))
            .await?
            .ok_or_else(|| LedgerError::Failed("the ledger has no pulse".into()))
    }

    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}
