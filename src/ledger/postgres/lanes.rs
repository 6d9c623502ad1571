//! Lanes as workers see them: claimed, loaded, written to under a lease, left.

use std::collections::BTreeMap;

use futures::future::try_join;
use tokio_postgres::Row;

use super::db::{Db, Outcome, Text, maybe, texts};
use super::intake::{admit, who};
use crate::ledger::rows::{self, Arrival, FactRow, Pending};
use crate::ledger::rules::Rest;
use crate::ledger::{Attempt, Change, LaneRef, Lease, LedgerError, Loaded, Next, Release};

/// Claims lanes that are ready, oldest first. Rows that another daemon claims at the same moment
/// are passed over.
pub(super) async fn claim(
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
pub(super) async fn renew(db: &Db<'_>, lease: &Lease, until: i64) -> Outcome<()> {
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

/// What a worker needs. `db` is a transaction that sees one moment.
pub(super) async fn load(
    db: &Db<'_>,
    lease: &Lease,
    limit: usize,
    bytes: usize,
) -> Outcome<Loaded> {
    let (_, epoch, loaded) = loaded(db, lease.lane, limit.max(1), bytes).await?;
    if epoch == Some(lease.epoch) {
        Ok(loaded)
    } else {
        Err(LedgerError::Stale.into())
    }
}

/// The same without a lease and without events.
pub(super) async fn peek(db: &Db<'_>, lane: i64) -> Outcome<(LaneRef, Loaded)> {
    let (lane, _, loaded) = loaded(db, lane, 0, 0).await?;
    Ok((lane, loaded))
}

/// What a worker needs, without a lease.
pub(super) async fn inspect(db: &Db<'_>, lane: i64, limit: usize, bytes: usize) -> Outcome<Loaded> {
    let (_, _, loaded) = loaded(db, lane, limit.max(1), bytes).await?;
    Ok(loaded)
}

/// A lane, the epoch of its lease if it has one, and what is loaded of it.
async fn loaded(
    db: &Db<'_>,
    lane: i64,
    limit: usize,
    bytes: usize,
) -> Outcome<(LaneRef, Option<i64>, Loaded)> {
    let row = async {
        db.one(
            "SELECT lane.id, lane.session, lane.target, lane.head,
                CASE WHEN lane.lease_owner IS NOT NULL THEN lane.epoch END,
                session.data, session.contact, session.business_number, session.customer,
                greatest(session.inbound_at, customer.inbound_at)
           FROM lane
           JOIN session ON session.id = lane.session
           LEFT JOIN customer ON customer.business_number = session.business_number
                             AND customer.key = session.customer
          WHERE lane.id = $1",
            &[&lane],
            |row| {
                Ok((
                    lane_ref(row)?,
                    row.try_get::<_, i64>(3)?,
                    row.try_get(4)?,
                    who(row, 5)?,
                ))
            },
        )
        .await
    };
    let (row, facts) = try_join(row, facts(db, lane)).await?;
    let (lane, head, epoch, who) =
        row.ok_or_else(|| LedgerError::Conflict(format!("there is no lane {lane}")))?;
    let (known, given_up) = rows::known(facts)?;
    let wanted = if limit == 0 {
        0
    } else {
        limit + given_up.len()
    };
    let (events, more) = pending(db, &lane.session, head, wanted, bytes).await?;
    let loaded = Loaded {
        session: rows::maybe_decode(who.data)?,
        contact: rows::maybe_decode(who.contact)?,
        events: rows::events(events, &given_up)?,
        more,
        head,
        known,
        last_inbound: rows::maybe_at(who.inbound_at)?,
    };
    Ok((lane, epoch, loaded))
}

/// The first events after `head`, at most `limit` and about `bytes`, and whether there are more.
async fn pending(
    db: &Db<'_>,
    session: &str,
    head: i64,
    limit: usize,
    bytes: usize,
) -> Outcome<(Vec<Pending>, bool)> {
    let fetched = db
        .all(
            "SELECT seq, CASE WHEN before < $4 OR before = 0 THEN body END,
                    EXISTS (SELECT 1 FROM event AS earlier
                             WHERE earlier.session = $1
                               AND earlier.producer_id = sized.producer_id
                               AND earlier.seq < sized.seq)
               FROM (SELECT seq, producer_id, body,
                            sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body)
                                AS before
                       FROM (SELECT seq, producer_id, body FROM event
                              WHERE session = $1 AND seq > $2
                              ORDER BY seq LIMIT $3) AS first) AS sized
              ORDER BY seq",
            &[
                &Text(session),
                &head,
                &rows::count(limit.saturating_add(1)),
                &rows::count(bytes),
            ],
            |row| {
                let body: Option<String> = row.try_get(1)?;
                let (seq, id_collides) = (row.try_get(0)?, row.try_get(2)?);
                Ok(body.map(|body| Pending {
                    seq,
                    body,
                    id_collides,
                }))
            },
        )
        .await?;
    let count = fetched.len();
    let events: Vec<_> = fetched
        .into_iter()
        .take(limit)
        .map_while(|row| row)
        .collect();
    let more = events.len() < count;
    Ok((events, more))
}

/// Every fact of a lane.
pub(super) async fn facts(db: &Db<'_>, lane: i64) -> Outcome<Vec<FactRow>> {
    db.all(
        "SELECT name, value, unsure_since, candidate FROM fact WHERE lane = $1",
        &[&lane],
        |row| {
            Ok(FactRow {
                name: row.try_get(0)?,
                value: row.try_get(1)?,
                unsure_since: row.try_get(2)?,
                candidate: row.try_get(3)?,
            })
        },
    )
    .await
}

/// Calls are about to leave: their facts are unsure.
pub(super) async fn begin(
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
            SET value = NULL,
                unsure_since = coalesce(fact.unsure_since, excluded.unsure_since),
                candidate = coalesce(excluded.candidate, fact.candidate)",
        &[&lease.lane, &now, &texts(claims.keys()), &candidates],
    )
    .await?;
    Ok(())
}

/// What calls proved.
pub(super) async fn finish(
    db: &Db<'_>,
    lease: &Lease,
    now: i64,
    attempts: &[Attempt],
    changes: &[Change],
    arrivals: &[Arrival],
) -> Outcome<()> {
    admit(db, now, arrivals).await?;
    hold(db, lease).await?;
    insert_attempts(db, lease.lane, attempts).await?;
    // Of several changes of one fact the last one counts.
    let changes: BTreeMap<_, _> = changes.iter().cloned().map(FactRow::of).collect();
    let (mut put, mut removed) = (Vec::new(), Vec::new());
    for (name, fact) in changes {
        match fact {
            Some(fact) => put.push(fact),
            None => removed.push(name),
        }
    }
    put_facts(db, &vec![lease.lane; put.len()], &put).await?;
    if !removed.is_empty() {
        db.run(
            "DELETE FROM fact WHERE lane = $1 AND name = ANY ($2)",
            &[&lease.lane, &texts(&removed)],
        )
        .await?;
    }
    Ok(())
}

async fn insert_attempts(db: &Db<'_>, lane: i64, attempts: &[Attempt]) -> Outcome<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let steps = texts(attempts.iter().map(|one| &one.step));
    let began: Vec<_> = attempts
        .iter()
        .map(|one| one.started_at.as_microsecond())
        .collect();
    let millis: Vec<_> = attempts.iter().map(|one| one.millis).collect();
    let status: Vec<_> = attempts
        .iter()
        .map(|one| one.status.map(i32::from))
        .collect();
    let outcomes = texts(attempts.iter().map(|one| &one.outcome));
    let stops = || attempts.iter().map(|one| one.stop.as_ref());
    let reasons: Vec<_> = stops()
        .map(|stop| stop.map(|stop| stop.reason.label()))
        .collect();
    let words: Vec<_> = stops()
        .map(|stop| stop.map(|stop| Text(&stop.message)))
        .collect();
    db.run(
        "INSERT INTO attempt (lane, step, started_at, millis, status, outcome, reason, words)
         SELECT $1, step, started_at, millis, status, outcome, reason, words
           FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::text[],
                       $7::text[], $8::text[])
                WITH ORDINALITY
                AS new (step, started_at, millis, status, outcome, reason, words, place)
          ORDER BY place",
        &[
            &lane, &steps, &began, &millis, &status, &outcomes, &reasons, &words,
        ],
    )
    .await?;
    Ok(())
}

/// Stores facts of these lanes, whatever they were before. No fact may be among them twice.
pub(super) async fn put_facts(db: &Db<'_>, lanes: &[i64], facts: &[FactRow]) -> Outcome<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let names = texts(facts.iter().map(|fact| &fact.name));
    let values: Vec<_> = facts
        .iter()
        .map(|fact| maybe(fact.value.as_ref()))
        .collect();
    let since: Vec<_> = facts.iter().map(|fact| fact.unsure_since).collect();
    let candidates: Vec<_> = facts
        .iter()
        .map(|fact| maybe(fact.candidate.as_ref()))
        .collect();
    db.run(
        "INSERT INTO fact (lane, name, value, unsure_since, candidate)
         SELECT lane, name, value, unsure_since, candidate
           FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[])
                AS new (lane, name, value, unsure_since, candidate)
          ORDER BY lane, name
         ON CONFLICT (lane, name) DO UPDATE
            SET value = excluded.value,
                unsure_since = excluded.unsure_since,
                candidate = excluded.candidate",
        &[&lanes, &names, &values, &since, &candidates],
    )
    .await?;
    Ok(())
}

/// Leaves a lane.
pub(super) async fn release(
    db: &Db<'_>,
    lease: &Lease,
    now: i64,
    release: &Release,
    arrivals: &[Arrival],
) -> Outcome<()> {
    admit(db, now, arrivals).await?;
    let woken = hold(db, lease).await?;
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
        db.wake();
    }
    Ok(())
}

/// When the next lane or webhook becomes ready after `now`.
pub(super) async fn next_due(db: &Db<'_>, now: i64) -> Outcome<Option<i64>> {
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
