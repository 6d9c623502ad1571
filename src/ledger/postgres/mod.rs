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
//! | `db` | statements, and what can go wrong |
//! | `intake` | events in, lanes opened and woken |
//! | `poison` | what could not be understood |
//! | `lanes` | claim, load, begin, finish, release |
//! | `look` | lanes that nobody works on, looked at |
//! | `relay` | feeds, what was heard, finding a lane |
//! | `inbox` | webhooks |
//! | `operate` | lists, stories, numbers |
//! | `mend` | retry, skip |
//! | `troubles` | what is not well, counted |
//! | `hints` | daemons wake each other |
//! | `care` | mappings, daemons, pulse |

mod care;
mod connect;
mod db;
mod hints;
mod inbox;
mod intake;
mod lanes;
mod look;
mod mend;
mod operate;
mod poison;
mod relay;
mod schema;
mod troubles;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use handoffd_contract::{Event, Stop};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_postgres::IsolationLevel;

use self::connect::Address;
use self::db::{Db, Fault, Outcome};
use self::hints::Hints;
use super::rows::{self, Arrival, NewMapping, count, event_key};
use super::troubles::Troubles;
use super::{
    Admission, Admitted, Attempt, Change, FeedLease, Group, Hear, InboxRow, LaneFilter, LaneRef,
    LaneRow, Lease, Ledger, LedgerError, Loaded, MappingRow, Poison, PoisonRow, Release, Result,
    Select, Stats, Story, Unlooked,
};

/// How often a transaction is done again.
const TRIES: u32 = 6;

/// The ledger in PostgreSQL.
pub struct Postgres {
    pool: Pool,
    hints: Hints,
    /// A write found no room, and the ledger has not grown since.
    full: AtomicBool,
}

/// How a transaction sees the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One statement, which is a transaction by itself. Whether it took place is not known when its
    /// connection breaks, so it is one that may be done twice: at worst a lease is held by nobody
    /// until it runs out, or its second doing is refused as stale.
    Statement,
    /// Several statements, each of which sees what was committed before it.
    Write,
    /// Several statements that see one moment.
    Read,
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

/// Carries out `$work` on `$db` in a transaction of this kind, again if it lost against another one.
///
/// A macro, because a function that takes the work as an asynchronous closure cannot promise that
/// its future is `Send`. <https://github.com/rust-lang/rust/issues/110338>
macro_rules! transact {
    ($self:ident, $kind:ident, $db:ident => $work:expr) => {{
        let mut tries = 1;
        loop {
            let mut connection = $self.pool.get().await.map_err(Fault::Pool)?;
            let outcome = match begin(&mut connection, Kind::$kind).await {
                Ok(begun) => {
                    let $db = &begun;
                    match $work.await {
                        Ok(value) => begun.commit().await.map(|woke| (value, woke)),
                        Err(fault) => Err(fault),
                    }
                }
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok((value, woke)) => {
                    if woke {
                        $self.hints.give();
                    }
                    break Ok(value);
                }
                Err(fault) => {
                    if fault.spoils() {
                        drop(Object::take(connection));
                    } else {
                        drop(connection);
                    }
                    if tries == TRIES || !fault.passes() {
                        break Err($self.noted(fault));
                    }
                    pause(tries).await;
                    tries += 1;
                }
            }
        }
    }};
}

/// Begins a transaction.
async fn begin(connection: &mut Object, kind: Kind) -> Outcome<Db<'_>> {
    Ok(match kind {
        Kind::Statement => Db::plain(connection),
        Kind::Write => Db::within(connection.transaction().await?),
        Kind::Read => Db::within(
            connection
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true)
                .start()
                .await?,
        ),
    })
}

/// Waits before a transaction is done again; differently long for each who lost.
async fn pause(tries: u32) {
    let most = 10 * 2_u64.pow(tries);
    let pause = rand::random_range(most / 2..=most);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

#[async_trait]
impl Ledger for Postgres {
    async fn admit(&self, now: Timestamp, events: Vec<Admission>) -> Result<Vec<Admitted>> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&events)?);
        transact!(self, Write, db => intake::admit(db, now, &arrivals))
    }

    async fn poison(&self, now: Timestamp, poison: Poison) -> Result<()> {
        transact!(self, Statement, db => poison::poison(db, now.as_microsecond(), &poison))
    }

    async fn poisoned(&self, after: i64, limit: usize) -> Result<Vec<PoisonRow>> {
        transact!(self, Statement, db => poison::poisoned(db, after, count(limit)))
    }

    async fn unpoison(&self, now: Timestamp, id: i64, events: Vec<Admission>) -> Result<()> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&events)?);
        transact!(self, Write, db => poison::unpoison(db, now, id, &arrivals))
    }

    async fn claim(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<Lease>> {
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        let limit = count(limit);
        transact!(self, Statement, db => lanes::claim(db, now, daemon, target, limit, until))
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()> {
        transact!(self, Statement, db => lanes::renew(db, lease, until.as_microsecond()))
    }

    async fn load(&self, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded> {
        transact!(self, Read, db => lanes::load(db, lease, limit, bytes))
    }

    async fn peek(&self, lane: i64) -> Result<(LaneRef, Loaded)> {
        transact!(self, Read, db => lanes::peek(db, lane))
    }

    async fn recall(&self, session: &str, id: &str) -> Result<Option<(i64, Event)>> {
        transact!(self, Statement, db => look::recall(db, session, id))
    }

    async fn unlooked(
        &self,
        now: Timestamp,
        target: &str,
        blocked: bool,
        limit: usize,
    ) -> Result<Vec<Unlooked>> {
        let (now, limit) = (now.as_microsecond(), count(limit));
        transact!(self, Statement, db => look::unlooked(db, now, target, blocked, limit))
    }

    async fn inspect(&self, lane: i64, limit: usize, bytes: usize) -> Result<Loaded> {
        transact!(self, Read, db => lanes::inspect(db, lane, limit, bytes))
    }

    async fn looked(
        &self,
        now: Timestamp,
        lane: &Unlooked,
        facts: Vec<(String, String)>,
        events: Vec<Admission>,
        again: Option<Timestamp>,
    ) -> Result<()> {
        let arrivals = Arrival::all(&events)?;
        let (now, again) = (now.as_microsecond(), again.map(Timestamp::as_microsecond));
        transact!(self, Write, db => look::looked(db, now, lane, &facts, &arrivals, again))
    }

    async fn begin(
        &self,
        lease: &Lease,
        now: Timestamp,
        claims: Vec<(String, Option<String>)>,
    ) -> Result<()> {
        let mut merged: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (name, candidate) in claims {
            let known = merged.entry(name).or_default();
            *known = candidate.or(known.take());
        }
        let now = now.as_microsecond();
        transact!(self, Write, db => lanes::begin(db, lease, now, &merged))
    }

    async fn finish(
        &self,
        lease: &Lease,
        now: Timestamp,
        attempts: Vec<Attempt>,
        changes: Vec<Change>,
        events: Vec<Admission>,
    ) -> Result<()> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&events)?);
        transact!(self, Write, db => lanes::finish(db, lease, now, &attempts, &changes, &arrivals))
    }

    async fn release(&self, lease: Lease, now: Timestamp, release: Release) -> Result<()> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&release.events)?);
        transact!(self, Write, db => lanes::release(db, &lease, now, &release, &arrivals))
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let now = now.as_microsecond();
        let due: Result<_> = transact!(self, Statement, db => lanes::next_due(db, now));
        rows::maybe_at(due?)
    }

    async fn listen(&self, lease: &Lease, key: Option<&str>) -> Result<()> {
        transact!(self, Write, db => relay::listen(db, lease, key))
    }

    async fn claim_feeds(
        &self,
        now: Timestamp,
        daemon: &str,
        targets: &[String],
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<FeedLease>> {
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        let limit = count(limit);
        transact!(self, Statement, db => relay::claim_feeds(db, now, daemon, targets, limit, until))
    }

    async fn renew_feeds(&self, feeds: &[FeedLease], until: Timestamp) -> Result<Vec<FeedLease>> {
        let until = until.as_microsecond();
        transact!(self, Statement, db => relay::renew_feeds(db, feeds, until))
    }

    async fn release_feed(&self, feed: &FeedLease) -> Result<()> {
        transact!(self, Statement, db => relay::release_feed(db, feed))
    }

    async fn cursor(&self, target: &str, key: &str) -> Result<Option<String>> {
        transact!(self, Statement, db => relay::cursor(db, target, key))
    }

    async fn listeners(&self, target: &str, key: &str) -> Result<Vec<LaneRef>> {
        transact!(self, Statement, db => relay::listeners(db, target, key))
    }

    async fn wake(&self, now: Timestamp, lanes: &[i64]) -> Result<()> {
        let now = now.as_microsecond();
        transact!(self, Write, db => intake::wake_lanes(db, now, lanes))
    }

    async fn hear(&self, now: Timestamp, hear: Hear) -> Result<Vec<Admitted>> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&hear.events)?);
        transact!(self, Write, db => relay::hear(db, now, &hear, &arrivals))
    }

    async fn inbox_put(
        &self,
        now: Timestamp,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<bool> {
        let now = now.as_microsecond();
        transact!(self, Write, db => inbox::inbox_put(db, now, target, headers, body))
    }

    async fn inbox_claim(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<InboxRow>> {
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        let limit = count(limit);
        transact!(self, Statement, db => inbox::inbox_claim(db, now, daemon, target, limit, until))
    }

    async fn inbox_later(&self, row: &InboxRow, at: Option<Timestamp>, stop: Stop) -> Result<()> {
        transact!(self, Statement, db => inbox::inbox_later(db, row, at, &stop))
    }

    async fn inbox_parked(&self, limit: usize) -> Result<Vec<(i64, String, Timestamp, Stop)>> {
        transact!(self, Statement, db => inbox::inbox_parked(db, count(limit)))
    }

    async fn inbox_settle(&self, now: Timestamp, id: Option<i64>, retry: bool) -> Result<u64> {
        let now = now.as_microsecond();
        transact!(self, Statement, db => inbox::inbox_settle(db, now, id, retry))
    }

    async fn lanes_by_fact(&self, target: &str, name: &str, value: &str) -> Result<Vec<LaneRef>> {
        transact!(self, Statement, db => relay::lanes_by_fact(db, target, name, value))
    }

    async fn is_ours(&self, lane: i64, value: &str) -> Result<bool> {
        transact!(self, Statement, db => relay::is_ours(db, lane, value))
    }

    async fn has(&self, source: &str, id: &str) -> Result<bool> {
        let key = event_key(source, id);
        transact!(self, Statement, db => intake::has(db, &key))
    }

    async fn session_of(&self, business_number: &str, customer: &str) -> Result<Option<String>> {
        transact!(self, Statement, db => relay::session_of(db, business_number, customer))
    }

    async fn lanes(&self, filter: LaneFilter) -> Result<Vec<LaneRow>> {
        transact!(self, Statement, db => operate::lanes(db, &filter))
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        transact!(self, Statement, db => operate::groups(db))
    }

    async fn troubles(&self) -> Result<Troubles> {
        transact!(self, Read, db => troubles::troubles(db))
    }

    async fn story(&self, session: &str) -> Result<Story> {
        transact!(self, Read, db => operate::story(db, session))
    }

    async fn event(&self, seq: i64) -> Result<Option<Event>> {
        transact!(self, Statement, db => operate::event(db, seq))
    }

    async fn retry(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        let now = now.as_microsecond();
        transact!(self, Write, db => mend::retry(db, now, &select, dry_run))
    }

    async fn skip(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        let now = now.as_microsecond();
        transact!(self, Write, db => mend::skip(db, now, &select, dry_run))
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
        transact!(self, Write, db => care::mapping_put(db, &mapping))
    }

    async fn mapping_get(&self, target: &str, version: Option<i64>) -> Result<Option<MappingRow>> {
        transact!(self, Statement, db => care::mapping_get(db, target, version))
    }

    async fn mapping_history(&self, target: &str) -> Result<Vec<MappingRow>> {
        transact!(self, Statement, db => care::mapping_history(db, target))
    }

    async fn heartbeat(&self, now: Timestamp, daemon: &str, since: Timestamp) -> Result<u32> {
        let (now, since) = (now.as_microsecond(), since.as_microsecond());
        transact!(self, Write, db => care::heartbeat(db, now, daemon, since))
    }

    async fn farewell(&self, daemon: &str) -> Result<()> {
        transact!(self, Write, db => care::farewell(db, daemon))
    }

    async fn stats(&self, now: Timestamp) -> Result<Stats> {
        transact!(self, Read, db => operate::stats(db, now.as_microsecond()))
    }

    async fn ping(&self) -> Result<()> {
        if self.full.load(Ordering::Relaxed) {
            let grown: Result<()> = transact!(self, Write, db => care::grow(db));
            grown?;
            self.full.store(false, Ordering::Relaxed);
        }
        transact!(self, Statement, db => care::beat(db))
    }

    fn changed(&self) -> Arc<Notify> {
        self.hints.changed()
    }
}
