//! Lanes as workers see them: claimed, loaded, written to under a lease, left.

use rusqlite::{Row, params};

use super::intake::{self, admit};
use super::tx::Tx;
use crate::ledger::rows::{self, Arrival, FactRow, Pending};
use crate::ledger::rules::Rest;
use crate::ledger::{Attempt, Change, LaneRef, Lease, LedgerError, Loaded, Next, Result};

/// Claims lanes that are ready, oldest first.
pub(super) fn claim(
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
pub(super) fn renew(tx: &Tx<'_>, lease: &Lease, until: i64) -> Result<()> {
    held(tx.run(
        "UPDATE lane SET lease_until = ?3
          WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
        params![lease.lane, lease.epoch, until],
    )?)
}

/// Refuses a lease that was taken over or given up.
fn check(tx: &Tx<'_>, lease: &Lease) -> Result<()> {
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

/// What a worker needs.
pub(super) fn load(tx: &Tx<'_>, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded> {
    check(tx, lease)?;
    let (_, loaded) = loaded(tx, lease.lane, limit.max(1), bytes)?;
    Ok(loaded)
}

/// The same without a lease and without events.
pub(super) fn peek(tx: &Tx<'_>, lane: i64) -> Result<(LaneRef, Loaded)> {
    loaded(tx, lane, 0, 0)
}

/// What a worker needs, without a lease.
pub(super) fn inspect(tx: &Tx<'_>, lane: i64, limit: usize, bytes: usize) -> Result<Loaded> {
    loaded(tx, lane, limit.max(1), bytes).map(|(_, loaded)| loaded)
}

fn loaded(tx: &Tx<'_>, lane: i64, limit: usize, bytes: usize) -> Result<(LaneRef, Loaded)> {
    let (lane, head) = tx
        .one(
            "SELECT id, session, target, head FROM lane WHERE id = ?1",
            [lane],
            |row| Ok((lane_ref(row)?, row.get::<_, i64>(3)?)),
        )?
        .ok_or_else(|| LedgerError::Conflict(format!("there is no lane {lane}")))?;
    let who = intake::who(tx, &lane.session)?.unwrap_or_default();
    let by_customer = match who.pair() {
        Some((business_number, customer)) => intake::inbound_at(tx, business_number, customer)?,
        None => None,
    };
    let (known, given_up) = rows::known(facts(tx, lane.lane)?)?;
    let wanted = if limit == 0 {
        0
    } else {
        limit + given_up.len()
    };
    let (events, more) = pending(tx, &lane.session, head, wanted, bytes)?;
    let loaded = Loaded {
        session: rows::maybe_decode(who.data)?,
        contact: rows::maybe_decode(who.contact)?,
        events: rows::events(events, &given_up)?,
        more,
        head,
        known,
        last_inbound: rows::maybe_at(by_customer.max(who.inbound_at))?,
    };
    Ok((lane, loaded))
}

/// The first events after `head`, at most `limit` and about `bytes`, and whether there are more.
fn pending(
    tx: &Tx<'_>,
    session: &str,
    head: i64,
    limit: usize,
    bytes: usize,
) -> Result<(Vec<Pending>, bool)> {
    let (mut events, mut size, mut more) = (Vec::new(), 0, false);
    tx.each(
        "SELECT seq, body,
                EXISTS (SELECT 1 FROM event AS earlier
                         WHERE earlier.session = ?1 AND earlier.producer_id = event.producer_id
                           AND earlier.seq < event.seq)
           FROM event WHERE session = ?1 AND seq > ?2 ORDER BY seq",
        params![session, head],
        |row| {
            if events.len() >= limit || (size >= bytes && !events.is_empty()) {
                more = true;
                return Ok(false);
            }
            let body: String = row.get(1)?;
            size += body.len();
            events.push(Pending {
                seq: row.get(0)?,
                body,
                id_collides: row.get(2)?,
            });
            Ok(true)
        },
    )?;
    Ok((events, more))
}

/// Every fact of a lane.
pub(super) fn facts(tx: &Tx<'_>, lane: i64) -> Result<Vec<FactRow>> {
    tx.all(
        "SELECT name, value, unsure_since, candidate FROM fact WHERE lane = ?1",
        [lane],
        |row| {
            Ok(FactRow {
                name: row.get(0)?,
                value: row.get(1)?,
                unsure_since: row.get(2)?,
                candidate: row.get(3)?,
            })
        },
    )
}

/// Calls are about to leave: their facts are unsure.
pub(super) fn begin(
    tx: &Tx<'_>,
    lease: &Lease,
    now: i64,
    claims: &[(String, Option<String>)],
) -> Result<()> {
    check(tx, lease)?;
    for (name, candidate) in claims {
        tx.run(
            "INSERT INTO fact (lane, name, unsure_since, candidate) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (lane, name) DO UPDATE
                SET value = NULL,
                    unsure_since = coalesce(fact.unsure_since, excluded.unsure_since),
                    candidate = coalesce(excluded.candidate, fact.candidate)",
            params![lease.lane, name, now, candidate],
        )?;
    }
    Ok(())
}

/// What calls proved.
pub(super) fn finish(
    tx: &Tx<'_>,
    lease: &Lease,
    now: i64,
    attempts: &[Attempt],
    changes: Vec<Change>,
    arrivals: &[Arrival],
) -> Result<()> {
    check(tx, lease)?;
    for attempt in attempts {
        insert_attempt(tx, lease.lane, attempt)?;
    }
    for change in changes {
        match FactRow::of(change) {
            (_, Some(fact)) => put_fact(tx, lease.lane, &fact)?,
            (name, None) => remove_fact(tx, lease.lane, &name)?,
        }
    }
    admit(tx, now, arrivals).map(|_| ())
}

fn insert_attempt(tx: &Tx<'_>, lane: i64, attempt: &Attempt) -> Result<()> {
    tx.run(
        "INSERT INTO attempt (lane, step, started_at, millis, status, outcome, reason, words)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            lane,
            attempt.step,
            attempt.started_at.as_microsecond(),
            attempt.millis,
            attempt.status,
            attempt.outcome,
            attempt.stop.as_ref().map(|stop| stop.reason.label()),
            attempt.stop.as_ref().map(|stop| &stop.message)
        ],
    )?;
    Ok(())
}

/// Stores a fact, whatever it was before.
pub(super) fn put_fact(tx: &Tx<'_>, lane: i64, fact: &FactRow) -> Result<()> {
    tx.run(
        "INSERT INTO fact (lane, name, value, unsure_since, candidate) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (lane, name) DO UPDATE
            SET value = excluded.value,
                unsure_since = excluded.unsure_since,
                candidate = excluded.candidate",
        params![
            lane,
            fact.name,
            fact.value,
            fact.unsure_since,
            fact.candidate
        ],
    )?;
    Ok(())
}

fn remove_fact(tx: &Tx<'_>, lane: i64, name: &str) -> Result<()> {
    tx.run(
        "DELETE FROM fact WHERE lane = ?1 AND name = ?2",
        params![lane, name],
    )?;
    Ok(())
}

/// How a lane is left.
pub(super) struct Leaving<'a> {
    /// Everything up to this event is shown.
    pub head: i64,
    /// The newest event that the worker saw.
    pub seen: i64,
    /// Consecutive failures.
    pub attempts: u32,
    /// Events that follow.
    pub arrivals: &'a [Arrival],
}

/// Leaves a lane.
pub(super) fn release(
    tx: &Tx<'_>,
    lease: &Lease,
    now: i64,
    leaving: &Leaving<'_>,
    next: Next,
) -> Result<()> {
    check(tx, lease)?;
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
        tx.wake();
    }
    Ok(())
}

/// When the next lane or webhook becomes ready after `now`.
pub(super) fn next_due(tx: &Tx<'_>, now: i64) -> Result<Option<i64>> {
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
    let inbox: Option<i64> = tx.one(
        "SELECT ready_at FROM inbox WHERE due_at IS NOT NULL AND ready_at > ?1
          ORDER BY ready_at LIMIT 1",
        [now],
        |row| row.get(0),
    )?;
    Ok([lanes.flatten(), inbox].into_iter().flatten().min())
}

/// A row that begins with a lane's number, session and target.
pub(super) fn lane_ref(row: &Row<'_>) -> rusqlite::Result<LaneRef> {
    Ok(LaneRef {
        lane: row.get(0)?,
        session: row.get(1)?,
        target: row.get(2)?,
    })
}
