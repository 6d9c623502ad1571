//! Lanes as workers see them: claimed, written to under a lease, left.

use async_trait::async_trait;
use handoffd_contract::{Event, Reason, Settled, Stop};
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::admit::admit;
use super::facts::{insert_attempt, put_fact, remove_fact};
use super::tx::Tx;
use super::{Sqlite, beside, conversation, daemons, feeds, load, mention, unattended};
use crate::ledger::rows::{self, Arrival, FactRow, count};
use crate::ledger::rules::Rest;
use crate::ledger::{
    Admission, Attempt, Change, LaneLedger, LaneRef, Lease, LedgerError, Loaded, Mention, Next,
    Release, Result, Unlooked,
};

#[async_trait]
impl LaneLedger for Sqlite {
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
        self.write(move |tx| claim(tx, now, &daemon, &target, count(limit), until))
            .await
    }

    /// The writer has the pages at hand that a reader would fetch again after every commit. So that
    /// nobody waits long for it, it fetches about as much as one lane may load.
    async fn claim_and_load(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
        (events, bytes): (usize, usize),
    ) -> Result<Vec<(Lease, Option<Loaded>)>> {
        let (daemon, target) = (daemon.to_owned(), target.to_owned());
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        let claimed = self.write(move |tx| {
            let claimed = claim(tx, now, &daemon, &target, count(limit), until)?;
            let mut fetched = 0;
            let stored = |lease: Lease| {
                // Whoever works on one that cannot be loaded learns why.
                let stored = (fetched < bytes)
                    .then(|| load::stored(tx, lease.lane, events.max(1), bytes).ok())
                    .flatten();
                fetched += stored.as_ref().map_or(0, load::Stored::bytes);
                (lease, stored)
            };
            Ok(claimed.into_iter().map(stored).collect::<Vec<_>>())
        });
        let loaded = |(lease, stored): (Lease, Option<load::Stored>)| {
            (lease, stored.and_then(|stored| stored.decode().ok()))
        };
        Ok(claimed.await?.into_iter().map(loaded).collect())
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()> {
        let lease = lease.clone();
        self.write(move |tx| renew(tx, &lease, until.as_microsecond()))
            .await
    }

    async fn load(&self, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded> {
        let lease = lease.clone();
        self.read(move |tx| load::load(tx, &lease, limit, bytes))
            .await
    }

    async fn recall(&self, session: &str, id: &str) -> Result<Option<(i64, Event)>> {
        let (session, id) = (session.to_owned(), id.to_owned());
        self.read(move |tx| load::recall(tx, &session, &id)).await
    }

    async fn mentioned(
        &self,
        session: &str,
        before: i64,
        mention: Mention,
    ) -> Result<Option<Event>> {
        let session = session.to_owned();
        self.read(move |tx| mention::mentioned(tx, &session, before, &mention))
            .await
    }

    async fn unshown(
        &self,
        session: &str,
        before: i64,
        hidden: &[&'static str],
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Event>> {
        let (session, hidden) = (session.to_owned(), hidden.to_vec());
        self.read(move |tx| conversation::unshown(tx, &session, before, &hidden, (limit, bytes)))
            .await
    }

    async fn inspect(&self, lane: i64, limit: usize, bytes: usize) -> Result<Loaded> {
        self.read(move |tx| load::inspect(tx, lane, limit, bytes))
            .await
    }

    async fn begin(
        &self,
        lease: &Lease,
        now: Timestamp,
        claims: Vec<(String, Option<String>)>,
    ) -> Result<()> {
        let lease = lease.clone();
        self.write(move |tx| begin(tx, &lease, now.as_microsecond(), &claims))
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
        let (lease, now, arrivals) = (
            lease.clone(),
            now.as_microsecond(),
            Arrival::all(&events, &self.followed.rules())?,
        );
        self.write(move |tx| finish(tx, &lease, now, &attempts, changes, &arrivals))
            .await
    }

    async fn finish_and_release(
        &self,
        lease: Lease,
        now: Timestamp,
        proved: Vec<Attempt>,
        changes: Vec<Change>,
        release: Release,
    ) -> Result<()> {
        let Release {
            head,
            seen,
            next,
            attempts,
            events,
        } = release;
        let arrivals = Arrival::all(&events, &self.followed.rules())?;
        let now = now.as_microsecond();
        self.write(move |tx| {
            let leaving = Leaving {
                head,
                seen,
                attempts,
                arrivals: &arrivals,
            };
            check(tx, &lease)?;
            put_proved(tx, lease.lane, &proved, changes)?;
            leave(tx, &lease, now, &leaving, next)
        })
        .await
    }

    async fn listen(&self, lease: &Lease, key: Option<&str>) -> Result<()> {
        let (lease, key) = (lease.clone(), key.map(str::to_owned));
        self.write(move |tx| feeds::listen(tx, &lease, key.as_deref()))
            .await
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let due = self
            .read(move |tx| next_due(tx, now.as_microsecond()))
            .await?;
        rows::maybe_at(due)
    }

    async fn unlooked(
        &self,
        now: Timestamp,
        target: &str,
        blocked: bool,
        limit: usize,
    ) -> Result<Vec<Unlooked>> {
        let (now, target) = (now.as_microsecond(), target.to_owned());
        self.read(move |tx| unattended::unlooked(tx, now, &target, blocked, count(limit)))
            .await
    }

    async fn looked(
        &self,
        now: Timestamp,
        lane: &Unlooked,
        facts: Vec<(String, Settled)>,
        events: Vec<Admission>,
        again: Option<Timestamp>,
    ) -> Result<()> {
        let (lane, arrivals) = (lane.clone(), Arrival::all(&events, &self.followed.rules())?);
        let (now, again) = (now.as_microsecond(), again.map(Timestamp::as_microsecond));
        self.write(move |tx| unattended::looked(tx, now, &lane, &facts, &arrivals, again))
            .await
    }

    async fn open_beside(
        &self,
        now: Timestamp,
        target: &str,
        beside: &[String],
        facts: &str,
    ) -> Result<u64> {
        let (target, beside, facts) = (target.to_owned(), beside.to_vec(), facts.to_owned());
        let now = now.as_microsecond();
        self.write(move |tx| beside::open_beside(tx, now, &target, &beside, &facts))
            .await
    }

    async fn parked_for(&self, target: &str, reason: Reason) -> Result<Option<Stop>> {
        let target = target.to_owned();
        let words = self.read(move |tx| beside::parked_for(tx, &target, reason.label()));
        Ok(words.await?.map(|words| Stop::new(reason, words)))
    }

    async fn heartbeat(&self, now: Timestamp, daemon: &str, since: Timestamp) -> Result<u32> {
        let daemon = daemon.to_owned();
        let (now, since) = (now.as_microsecond(), since.as_microsecond());
        self.write(move |tx| daemons::heartbeat(tx, now, &daemon, since))
            .await
    }

    async fn release_all_leases(&self, daemon: &str) -> Result<()> {
        let daemon = daemon.to_owned();
        self.write(move |tx| daemons::release_all_leases(tx, &daemon))
            .await
    }
}

/// Claims lanes that are ready, oldest first.
fn claim(
    tx: &Tx<'_>,
    now: i64,
    daemon: &str,
    target: &str,
    limit: i64,
    until: i64,
) -> Result<Vec<Lease>> {
    let mut claimed = tx.all(
        "UPDATE lane SET epoch = epoch + 1, woken = 0, lease_owner = ?1, lease_until = ?2
          WHERE id IN (SELECT id FROM lane
                        WHERE target = ?3 AND due_at IS NOT NULL AND ready_at <= ?4
                        ORDER BY ready_at LIMIT ?5)
         RETURNING due_at, id, session, target, epoch, attempts",
        params![daemon, until, target, now, limit],
        |row| {
            let lease = Lease {
                lane: row.get(1)?,
                session: row.get(2)?,
                target: row.get(3)?,
                epoch: row.get(4)?,
                attempts: row.get(5)?,
            };
            Ok((row.get::<_, i64>(0)?, lease))
        },
    )?;
    claimed.sort_by_key(|(due_at, lease)| (*due_at, lease.lane));
    Ok(claimed.into_iter().map(|(_, lease)| lease).collect())
}

/// Makes a lease last until `until`.
fn renew(tx: &Tx<'_>, lease: &Lease, until: i64) -> Result<()> {
    held(tx.run(
        "UPDATE lane SET lease_until = ?3
          WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
        params![lease.lane, lease.epoch, until],
    )?)
}

/// Refuses a lease that was taken over or given up.
pub(super) fn check(tx: &Tx<'_>, lease: &Lease) -> Result<()> {
    let found = tx.one(
        "SELECT 1 FROM lane WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
        params![lease.lane, lease.epoch],
        |_| Ok(()),
    )?;
    held(usize::from(found.is_some()))
}

fn held(rows: usize) -> Result<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(LedgerError::Stale)
    }
}

/// Calls are about to leave: their facts are unsure.
fn begin(tx: &Tx<'_>, lease: &Lease, now: i64, claims: &[(String, Option<String>)]) -> Result<()> {
    check(tx, lease)?;
    for (name, candidate) in claims {
        tx.run(
            "INSERT INTO fact (lane, name, unsure_since, candidate) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (lane, name) DO UPDATE
                SET value = NULL, reason = NULL, message = NULL,
                    unsure_since = coalesce(fact.unsure_since, excluded.unsure_since),
                    candidate = coalesce(excluded.candidate, fact.candidate)",
            params![lease.lane, name, now, candidate],
        )?;
    }
    Ok(())
}

/// What calls proved.
fn put_proved(tx: &Tx<'_>, lane: i64, attempts: &[Attempt], changes: Vec<Change>) -> Result<()> {
    for attempt in attempts {
        insert_attempt(tx, lane, attempt)?;
    }
    for change in changes {
        match FactRow::of(change) {
            (_, Some(fact)) => put_fact(tx, lane, &fact)?,
            (name, None) => remove_fact(tx, lane, &name)?,
        }
    }
    Ok(())
}

/// What calls proved, and what follows.
fn finish(
    tx: &Tx<'_>,
    lease: &Lease,
    now: i64,
    attempts: &[Attempt],
    changes: Vec<Change>,
    arrivals: &[Arrival],
) -> Result<()> {
    check(tx, lease)?;
    put_proved(tx, lease.lane, attempts, changes)?;
    admit(tx, now, arrivals).map(|_| ())
}

/// How a lane is left.
struct Leaving<'a> {
    /// Everything up to this event is shown.
    pub head: i64,
    /// The newest event that the worker saw.
    pub seen: i64,
    /// Consecutive failures.
    pub attempts: u32,
    /// Events that follow.
    pub arrivals: &'a [Arrival],
}

/// Leaves a lane whose lease holds.
fn leave(tx: &Tx<'_>, lease: &Lease, now: i64, leaving: &Leaving<'_>, next: Next) -> Result<()> {
    admit(tx, now, leaving.arrivals)?;
    let hurry = tx
        .one(
            "SELECT woken OR EXISTS (SELECT 1 FROM event
                                      WHERE event.session = lane.session AND event.seq > ?2)
               FROM lane WHERE id = ?1",
            [lease.lane, leaving.seen],
            |row| row.get(0),
        )?
        .unwrap_or(false);
    let rest = Rest::after(next, hurry, now);
    tx.run(
        "UPDATE lane
            SET head = max(head, ?2), attempts = ?3, state = ?4, due_at = ?5, reason = ?6,
                words = ?7, updated_at = ?8, woken = 0, lease_owner = NULL, lease_until = NULL,
                look_at = ?9
          WHERE id = ?1",
        params![
            lease.lane,
            leaving.head,
            leaving.attempts,
            rest.state.word(),
            rest.due_at,
            rest.stop.as_ref().map(|stop| stop.reason.label()),
            rest.stop.as_ref().map(|stop| &stop.message),
            now,
            rest.look_at(now)
        ],
    )?;
    if rest.due_at.is_some() {
        tx.lanes_changed(&lease.target);
    }
    Ok(())
}

/// When the next lane or webhook becomes ready after `now`.
fn next_due(tx: &Tx<'_>, now: i64) -> Result<Option<i64>> {
    let lanes: Option<Option<i64>> = tx.one(
        "WITH RECURSIVE target (name) AS (
             SELECT (SELECT target FROM lane WHERE due_at IS NOT NULL ORDER BY target LIMIT 1)
             UNION ALL
             SELECT (SELECT target FROM lane WHERE due_at IS NOT NULL AND target > name
                      ORDER BY target LIMIT 1)
               FROM target WHERE name IS NOT NULL)
         SELECT min((SELECT ready_at FROM lane
                      WHERE target = name AND due_at IS NOT NULL AND ready_at > ?1
                      ORDER BY ready_at LIMIT 1))
           FROM target",
        [now],
        |row| row.get(0),
    )?;
    let webhooks: Option<i64> = tx.one(
        "SELECT ready_at FROM inbox WHERE due_at IS NOT NULL AND ready_at > ?1
          ORDER BY ready_at LIMIT 1",
        [now],
        |row| row.get(0),
    )?;
    Ok([lanes.flatten(), webhooks].into_iter().flatten().min())
}

/// A row that begins with a lane's number, session and target.
pub(super) fn lane_ref(row: &Row<'_>) -> rusqlite::Result<LaneRef> {
    Ok(LaneRef {
        lane: row.get(0)?,
        session: row.get(1)?,
        target: row.get(2)?,
    })
}
