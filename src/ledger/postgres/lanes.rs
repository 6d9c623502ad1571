//! Lanes as workers see them: claimed, written to under a lease, left.

use std::collections::BTreeMap;

use async_trait::async_trait;
use handoffd_contract::{Event, Reason, Settled, Stop};
use jiff::Timestamp;
use tokio_postgres::Row;

use super::admit::admit;
use super::db::{Db, Outcome, Text, maybe, texts};
use super::facts::{insert_attempts, put_facts, remove_facts};
use super::transact::transact;
use super::{Postgres, beside, conversation, daemons, feeds, load, mention, unattended};
use crate::ledger::rows::{self, Arrival, FactRow, count};
use crate::ledger::rules::Rest;
use crate::ledger::{
    Admission, Attempt, Change, LaneLedger, LaneRef, Lease, LedgerError, Loaded, Mention, Next,
    Release, Result, Unlooked,
};

#[async_trait]
impl LaneLedger for Postgres {
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
        transact!(self, Statement, db => claim(db, now, daemon, target, limit, until))
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()> {
        transact!(self, Statement, db => renew(db, lease, until.as_microsecond()))
    }

    async fn load(&self, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded> {
        transact!(self, Read, db => load::load(db, lease, limit, bytes))
    }

    async fn recall(&self, session: &str, id: &str) -> Result<Option<(i64, Event)>> {
        transact!(self, Statement, db => load::recall(db, session, id))
    }

    async fn mentioned(
        &self,
        session: &str,
        before: i64,
        mention: Mention,
    ) -> Result<Option<Event>> {
        transact!(self, Read, db => mention::mentioned(db, session, before, &mention))
    }

    async fn unshown(
        &self,
        session: &str,
        before: i64,
        hidden: &[&'static str],
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Event>> {
        transact!(self, Read, db => conversation::unshown(db, session, before, hidden, (limit, bytes)))
    }

    async fn inspect(&self, lane: i64, limit: usize, bytes: usize) -> Result<Loaded> {
        transact!(self, Read, db => load::inspect(db, lane, limit, bytes))
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
        transact!(self, Write, db => begin(db, lease, now, &merged))
    }

    async fn finish(
        &self,
        lease: &Lease,
        now: Timestamp,
        attempts: Vec<Attempt>,
        changes: Vec<Change>,
        events: Vec<Admission>,
    ) -> Result<()> {
        let (now, arrivals) = (
            now.as_microsecond(),
            Arrival::all(&events, &self.followed.rules())?,
        );
        transact!(self, Write, db => finish(db, lease, now, &attempts, &changes, &arrivals))
    }

    async fn finish_and_release(
        &self,
        lease: Lease,
        now: Timestamp,
        attempts: Vec<Attempt>,
        changes: Vec<Change>,
        release: Release,
    ) -> Result<()> {
        let arrivals = Arrival::all(&release.events, &self.followed.rules())?;
        let now = now.as_microsecond();
        let proved = (&attempts[..], &changes[..]);
        transact!(self, Write, db => leave(db, &lease, now, proved, &release, &arrivals))
    }

    async fn listen(&self, lease: &Lease, key: Option<&str>) -> Result<()> {
        transact!(self, Write, db => feeds::listen(db, lease, key))
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let now = now.as_microsecond();
        let due: Result<_> = transact!(self, Statement, db => next_due(db, now));
        rows::maybe_at(due?)
    }

    async fn unlooked(
        &self,
        now: Timestamp,
        target: &str,
        blocked: bool,
        limit: usize,
    ) -> Result<Vec<Unlooked>> {
        let (now, limit) = (now.as_microsecond(), count(limit));
        transact!(self, Statement, db => unattended::unlooked(db, now, target, blocked, limit))
    }

    async fn looked(
        &self,
        now: Timestamp,
        lane: &Unlooked,
        facts: Vec<(String, Settled)>,
        events: Vec<Admission>,
        again: Option<Timestamp>,
    ) -> Result<()> {
        let arrivals = Arrival::all(&events, &self.followed.rules())?;
        let (now, again) = (now.as_microsecond(), again.map(Timestamp::as_microsecond));
        transact!(self, Write, db => unattended::looked(db, now, lane, &facts, &arrivals, again))
    }

    async fn open_beside(
        &self,
        now: Timestamp,
        target: &str,
        beside: &[String],
        facts: &str,
    ) -> Result<u64> {
        let now = now.as_microsecond();
        transact!(self, Write, db => beside::open_beside(db, now, target, beside, facts))
    }

    async fn parked_for(&self, target: &str, reason: Reason) -> Result<Option<Stop>> {
        let label = reason.label();
        let words: Result<Option<String>> =
            transact!(self, Read, db => beside::parked_for(db, target, label));
        Ok(words?.map(|words| Stop::new(reason, words)))
    }

    async fn heartbeat(&self, now: Timestamp, daemon: &str, since: Timestamp) -> Result<u32> {
        let (now, since) = (now.as_microsecond(), since.as_microsecond());
        transact!(self, Write, db => daemons::heartbeat(db, now, daemon, since))
    }

    async fn release_all_leases(&self, daemon: &str) -> Result<()> {
        transact!(self, Write, db => daemons::release_all_leases(db, daemon))
    }
}

/// Claims lanes that are ready, oldest first. Rows that another daemon claims at the same moment
/// are passed over.
async fn claim(
    db: &Db<'_>,
    now: i64,
    daemon: &str,
    target: &str,
    limit: i64,
    until: i64,
) -> Outcome<Vec<Lease>> {
    let mut claimed = db
        .all(
            "UPDATE lane
                SET epoch = epoch + 1, woken = false, lease_owner = $1, lease_until = $2
              WHERE id = ANY (ARRAY (
                        SELECT id FROM lane
                         WHERE target = $3 AND due_at IS NOT NULL AND ready_at <= $4
                         ORDER BY ready_at LIMIT $5
                           FOR UPDATE SKIP LOCKED))
             RETURNING due_at, id, session, target, epoch, attempts",
            &[&Text(daemon), &until, &Text(target), &now, &limit],
            |row| {
                let lease = Lease {
                    lane: row.try_get(1)?,
                    session: row.try_get(2)?,
                    target: row.try_get(3)?,
                    epoch: row.try_get(4)?,
                    attempts: tally(row, 5)?,
                };
                Ok((row.try_get::<_, i64>(0)?, lease))
            },
        )
        .await?;
    claimed.sort_by_key(|(due_at, lease)| (*due_at, lease.lane));
    Ok(claimed.into_iter().map(|(_, lease)| lease).collect())
}

/// Makes a lease last until `until`.
async fn renew(db: &Db<'_>, lease: &Lease, until: i64) -> Outcome<()> {
    held(
        db.run(
            "UPDATE lane SET lease_until = $3
              WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL",
            &[&lease.lane, &lease.epoch, &until],
        )
        .await?,
    )
}

/// Locks a lane whose lease holds; refuses one that was taken over or given up. Returns whether it
/// was woken.
async fn hold(db: &Db<'_>, lease: &Lease) -> Outcome<bool> {
    db.one(
        "SELECT woken FROM lane
          WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL FOR UPDATE",
        &[&lease.lane, &lease.epoch],
        |row| Ok(row.try_get(0)?),
    )
    .await?
    .ok_or_else(|| LedgerError::Stale.into())
}

fn held(rows: u64) -> Outcome<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(LedgerError::Stale.into())
    }
}

/// Calls are about to leave: their facts are unsure.
async fn begin(
    db: &Db<'_>,
    lease: &Lease,
    now: i64,
    claims: &BTreeMap<String, Option<String>>,
) -> Outcome<()> {
    hold(db, lease).await?;
    let candidates: Vec<_> = claims.values().map(|one| maybe(one.as_ref())).collect();
    db.run(
        "INSERT INTO fact (lane, name, unsure_since, candidate)
         SELECT $1, name, $2, candidate
           FROM unnest($3::text[], $4::text[]) AS new (name, candidate)
         ON CONFLICT (lane, name) DO UPDATE
            SET value = NULL, reason = NULL, message = NULL,
                unsure_since = coalesce(fact.unsure_since, excluded.unsure_since),
                candidate = coalesce(excluded.candidate, fact.candidate)",
        &[&lease.lane, &now, &texts(claims.keys()), &candidates],
    )
    .await?;
    Ok(())
}

/// What calls proved.
async fn finish(
    db: &Db<'_>,
    lease: &Lease,
    now: i64,
    attempts: &[Attempt],
    changes: &[Change],
    arrivals: &[Arrival],
) -> Outcome<()> {
    admit(db, now, arrivals).await?;
    hold(db, lease).await?;
    put_proved(db, lease.lane, attempts, changes).await
}

/// What calls proved, in a lane that is held.
async fn put_proved(
    db: &Db<'_>,
    lane: i64,
    attempts: &[Attempt],
    changes: &[Change],
) -> Outcome<()> {
    insert_attempts(db, lane, attempts).await?;
    // Of several changes of one fact the last one counts.
    let changes: BTreeMap<_, _> = changes.iter().cloned().map(FactRow::of).collect();
    let (mut put, mut removed) = (Vec::new(), Vec::new());
    for (name, fact) in changes {
        match fact {
            Some(fact) => put.push(fact),
            None => removed.push(name),
        }
    }
    put_facts(db, &vec![lane; put.len()], &put).await?;
    remove_facts(db, lane, &removed).await
}

/// Leaves a lane.
async fn leave(
    db: &Db<'_>,
    lease: &Lease,
    now: i64,
    (attempts, changes): (&[Attempt], &[Change]),
    release: &Release,
    arrivals: &[Arrival],
) -> Outcome<()> {
    admit(db, now, arrivals).await?;
    let woken = hold(db, lease).await?;
    put_proved(db, lease.lane, attempts, changes).await?;
    let newer = db
        .one(
            "SELECT 1 FROM event WHERE session = $1 AND seq > $2 LIMIT 1",
            &[&Text(&lease.session), &release.seen],
            |_| Ok(()),
        )
        .await?;
    let hurry = woken || newer.is_some();
    let rest = Rest::after(Next::clone(&release.next), hurry, now);
    db.run(
        "UPDATE lane
            SET head = greatest(head, $2), attempts = $3, state = $4, due_at = $5, reason = $6,
                words = $7, updated_at = $8, woken = false, lease_owner = NULL, lease_until = NULL,
                look_at = $9
          WHERE id = $1",
        &[
            &lease.lane,
            &release.head,
            &i32::try_from(release.attempts).unwrap_or(i32::MAX),
            &rest.state.word(),
            &rest.due_at,
            &rest.stop.as_ref().map(|stop| stop.reason.label()),
            &rest.stop.as_ref().map(|stop| Text(&stop.message)),
            &now,
            &rest.look_at(now),
        ],
    )
    .await?;
    if rest.due_at.is_some() {
        db.lanes_changed([&lease.target]);
    }
    Ok(())
}

/// When the next lane or webhook becomes ready after `now`.
async fn next_due(db: &Db<'_>, now: i64) -> Outcome<Option<i64>> {
    let due = db
        .one(
            "WITH RECURSIVE target (name) AS (
                 SELECT (SELECT target FROM lane WHERE due_at IS NOT NULL ORDER BY target LIMIT 1)
                 UNION ALL
                 SELECT (SELECT target FROM lane WHERE due_at IS NOT NULL AND target > name
                          ORDER BY target LIMIT 1)
                   FROM target WHERE name IS NOT NULL)
             SELECT least(
                 (SELECT min((SELECT ready_at FROM lane
                               WHERE target = name AND due_at IS NOT NULL AND ready_at > $1
                               ORDER BY ready_at LIMIT 1))
                    FROM target),
                 (SELECT ready_at FROM inbox WHERE due_at IS NOT NULL AND ready_at > $1
                   ORDER BY ready_at LIMIT 1))",
            &[&now],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(due.flatten())
}

/// A row that begins with a lane's number, session and target.
pub(super) fn lane_ref(row: &Row) -> Outcome<LaneRef> {
    Ok(LaneRef {
        lane: row.try_get(0)?,
        session: row.try_get(1)?,
        target: row.try_get(2)?,
    })
}

/// A column that counts and is never negative.
pub(super) fn tally(row: &Row, column: usize) -> Outcome<u32> {
    Ok(u32::try_from(row.try_get::<_, i32>(column)?).unwrap_or(0))
}
