//! The rep's side: feeds and their leases, webhooks as they came, and how what was heard finds its
//! lane.

use handoffd_contract::Stop;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::intake::{admit, wake_lane};
use super::lanes::{lane_ref, put_fact};
use super::tx::Tx;
use crate::ledger::rows::{self, Arrival, FactRow};
use crate::ledger::rules;
use crate::ledger::{Admitted, FeedLease, InboxRow, LaneRef, Lease, LedgerError, Result};

/// Says which feed a lane listens to.
pub(super) fn listen(tx: &Tx<'_>, lease: &Lease, key: Option<&str>) -> Result<()> {
    let before: Option<String> = tx
        .one(
            "SELECT feed FROM lane WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
            params![lease.lane, lease.epoch],
            |row| row.get(0),
        )?
        .ok_or(LedgerError::Stale)?;
    if before.as_deref() == key {
        return Ok(());
    }
    tx.run(
        "UPDATE lane SET feed = ?2 WHERE id = ?1",
        params![lease.lane, key],
    )?;
    if let Some(before) = before {
        tx.run(
            "UPDATE feed SET listeners = listeners - 1 WHERE target = ?1 AND key = ?2",
            [&lease.target, &before],
        )?;
    }
    if let Some(key) = key {
        tx.run(
            "INSERT INTO feed (target, key, listeners) VALUES (?1, ?2, 1)
             ON CONFLICT (target, key) DO UPDATE SET listeners = listeners + 1",
            [&lease.target, key],
        )?;
        tx.wake();
    }
    Ok(())
}

/// Claims feeds that somebody listens to and nobody holds.
pub(super) fn claim_feeds(
    tx: &Tx<'_>,
    now: i64,
    daemon: &str,
    limit: i64,
    until: i64,
) -> Result<Vec<FeedLease>> {
    tx.all(
        "UPDATE feed SET epoch = epoch + 1, lease_owner = ?1, lease_until = ?2
          WHERE (target, key) IN (SELECT target, key FROM feed
                                   WHERE listeners > 0 AND coalesce(lease_until, 0) <= ?3
                                   ORDER BY coalesce(lease_until, 0) LIMIT ?4)
         RETURNING target, key, cursor, epoch",
        params![daemon, until, now, limit],
        |row| {
            Ok(FeedLease {
                target: row.get(0)?,
                key: row.get(1)?,
                cursor: row.get(2)?,
                epoch: row.get(3)?,
            })
        },
    )
}

/// Makes feed leases last until `until`; returns those that are lost or no longer wanted.
pub(super) fn renew_feeds(
    tx: &Tx<'_>,
    feeds: Vec<FeedLease>,
    until: i64,
) -> Result<Vec<FeedLease>> {
    let mut lost = Vec::new();
    for feed in feeds {
        let renewed = tx.run(
            "UPDATE feed SET lease_until = ?4
              WHERE target = ?1 AND key = ?2 AND epoch = ?3 AND lease_owner IS NOT NULL
                AND listeners > 0",
            params![feed.target, feed.key, feed.epoch, until],
        )?;
        if renewed == 0 {
            lost.push(feed);
        }
    }
    Ok(lost)
}

/// Gives a feed back. One that was taken over is left alone.
pub(super) fn release_feed(tx: &Tx<'_>, feed: &FeedLease) -> Result<()> {
    let released = tx.run(
        "UPDATE feed SET lease_owner = NULL, lease_until = NULL
          WHERE target = ?1 AND key = ?2 AND epoch = ?3",
        params![feed.target, feed.key, feed.epoch],
    )?;
    if released > 0 {
        tx.wake();
    }
    Ok(())
}

/// The lanes that listen to a feed.
pub(super) fn listeners(tx: &Tx<'_>, target: &str, key: &str) -> Result<Vec<LaneRef>> {
    tx.all(
        "SELECT id, session, target FROM lane WHERE target = ?1 AND feed = ?2 ORDER BY id",
        [target, key],
        lane_ref,
    )
}

/// What was heard, as it is stored.
pub(super) struct Heard {
    /// Events that follow.
    pub arrivals: Vec<Arrival>,
    /// Facts that the target told us: lane, name, value.
    pub facts: Vec<(i64, String, String)>,
    /// The feed's new cursor.
    pub cursor: Option<(FeedLease, String)>,
    /// The webhook that is done with: its number and the lease's epoch.
    pub inbox: Option<(i64, i64)>,
}

/// Stores what was heard.
pub(super) fn hear(tx: &Tx<'_>, now: i64, heard: &Heard) -> Result<Vec<Admitted>> {
    let admitted = admit(tx, now, &heard.arrivals)?;
    for (lane, name, value) in &heard.facts {
        put_fact(tx, *lane, &FactRow::is(name, value))?;
        wake_lane(tx, now, *lane)?;
    }
    if let Some((feed, cursor)) = &heard.cursor {
        move_cursor(tx, feed, cursor)?;
    }
    if let Some((id, epoch)) = heard.inbox {
        close_webhook(tx, id, epoch)?;
    }
    Ok(admitted)
}

fn move_cursor(tx: &Tx<'_>, feed: &FeedLease, cursor: &str) -> Result<()> {
    let moved = tx.run(
        "UPDATE feed SET cursor = ?4
          WHERE target = ?1 AND key = ?2 AND epoch = ?3 AND lease_owner IS NOT NULL",
        params![feed.target, feed.key, feed.epoch, cursor],
    )?;
    if moved == 0 {
        Err(LedgerError::Stale)
    } else {
        Ok(())
    }
}

fn close_webhook(tx: &Tx<'_>, id: i64, epoch: i64) -> Result<()> {
    let closed = tx.run(
        "UPDATE inbox
            SET state = 'done', due_at = NULL, reason = NULL, words = NULL, headers = '{}',
                body = x'', lease_owner = NULL, lease_until = NULL
          WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
        [id, epoch],
    )?;
    if closed == 0 {
        Err(LedgerError::Stale)
    } else {
        Ok(())
    }
}

/// Keeps a webhook as it came, unless the same came within a day.
pub(super) fn inbox_put(
    tx: &Tx<'_>,
    now: i64,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Result<bool> {
    let key = rows::body_key(body);
    let forgotten = now - rules::WEBHOOK_MEMORY;
    tx.run(
        "DELETE FROM inbox WHERE id IN (SELECT id FROM inbox
                                         WHERE state = 'done' AND received_at <= ?1
                                         ORDER BY received_at LIMIT 10)",
        [forgotten],
    )?;
    tx.run(
        "UPDATE inbox SET key = NULL WHERE target = ?1 AND key = ?2 AND received_at <= ?3",
        params![target, key, forgotten],
    )?;
    let kept = tx.run(
        "INSERT INTO inbox (target, key, headers, body, received_at, state, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'due', ?5)
         ON CONFLICT (target, key) DO NOTHING",
        params![target, key, headers, body, now],
    )?;
    if kept > 0 {
        tx.wake();
    }
    Ok(kept > 0)
}

/// Claims webhooks that are ready, oldest first.
pub(super) fn inbox_claim(
    tx: &Tx<'_>,
    now: i64,
    daemon: &str,
    target: &str,
    limit: i64,
    until: i64,
) -> Result<Vec<InboxRow>> {
    let mut rows = tx.all(
        "UPDATE inbox SET epoch = epoch + 1, lease_owner = ?1, lease_until = ?2
          WHERE id IN (SELECT id FROM inbox
                        WHERE target = ?5 AND due_at IS NOT NULL AND ready_at <= ?3
                        ORDER BY ready_at LIMIT ?4)
         RETURNING id, target, headers, body, attempts, epoch",
        params![daemon, until, now, limit, target],
        |row| {
            Ok(InboxRow {
                id: row.get(0)?,
                target: row.get(1)?,
                headers: row.get(2)?,
                body: row.get(3)?,
                attempts: row.get(4)?,
                epoch: row.get(5)?,
            })
        },
    )?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

/// Puts a webhook off, or parks it.
pub(super) fn inbox_later(
    tx: &Tx<'_>,
    id: i64,
    epoch: i64,
    at: Option<Timestamp>,
    stop: &Stop,
) -> Result<()> {
    let put_off = tx.run(
        "UPDATE inbox
            SET state = CASE WHEN ?3 IS NULL THEN 'parked' ELSE 'due' END, due_at = ?3,
                reason = ?4, words = ?5, attempts = attempts + 1,
                lease_owner = NULL, lease_until = NULL
          WHERE id = ?1 AND epoch = ?2 AND lease_owner IS NOT NULL",
        params![
            id,
            epoch,
            at.map(Timestamp::as_microsecond),
            stop.reason.label(),
            stop.words
        ],
    )?;
    if put_off == 0 {
        return Err(LedgerError::Stale);
    }
    tx.wake();
    Ok(())
}

/// Parked webhooks, oldest first.
pub(super) fn inbox_parked(tx: &Tx<'_>, limit: i64) -> Result<Vec<(i64, String, Timestamp, Stop)>> {
    let rows = tx.all(
        "SELECT id, target, received_at, reason, words FROM inbox
          WHERE state = 'parked' ORDER BY id LIMIT ?1",
        [limit],
        |row| {
            let stop = rows::stop(row.get(3)?, row.get(4)?);
            Ok((row.get(0)?, row.get(1)?, rows::at(row.get(2)?), stop))
        },
    )?;
    rows.into_iter()
        .map(|(id, target, received_at, stop)| {
            let stop = stop.ok_or_else(|| LedgerError::Failed("parked without a reason".into()))?;
            Ok((id, target, received_at?, stop))
        })
        .collect()
}

/// Makes parked webhooks due again, or drops them.
pub(super) fn inbox_settle(tx: &Tx<'_>, now: i64, id: Option<i64>, retry: bool) -> Result<u64> {
    let settled = match (id, retry) {
        (Some(id), true) => tx.run(
            "UPDATE inbox SET state = 'due', due_at = ?2, attempts = 0, reason = NULL, words = NULL
              WHERE id = ?1 AND state = 'parked'",
            [id, now],
        ),
        (Some(id), false) => tx.run(
            "UPDATE inbox SET state = 'done', reason = NULL, words = NULL, headers = '{}', body = x''
              WHERE id = ?1 AND state = 'parked'",
            [id],
        ),
        (None, true) => tx.run(
            "UPDATE inbox SET state = 'due', due_at = ?1, attempts = 0, reason = NULL, words = NULL
              WHERE state = 'parked'",
            [now],
        ),
        (None, false) => tx.run(
            "UPDATE inbox SET state = 'done', reason = NULL, words = NULL, headers = '{}', body = x''
              WHERE state = 'parked'",
            [],
        ),
    }?;
    if settled > 0 {
        tx.wake();
    }
    Ok(settled as u64)
}

/// The lane of a target in which a fact has this value, or may have it; the newest, if several.
/// An empty value matches any.
pub(super) fn lane_by_fact(
    tx: &Tx<'_>,
    target: &str,
    name: &str,
    value: &str,
) -> Result<Option<LaneRef>> {
    if value.is_empty() {
        tx.one(
            "SELECT lane.id, lane.session, lane.target
               FROM fact CROSS JOIN lane ON lane.id = fact.lane
              WHERE fact.name = ?2 AND lane.target = ?1
              ORDER BY fact.lane DESC LIMIT 1",
            [target, name],
            lane_ref,
        )
    } else {
        tx.one(
            "SELECT lane.id, lane.session, lane.target
               FROM fact CROSS JOIN lane ON lane.id = fact.lane
              WHERE fact.name = ?2 AND coalesce(fact.value, fact.candidate) = ?3
                AND lane.target = ?1
              ORDER BY fact.lane DESC LIMIT 1",
            [target, name, value],
            lane_ref,
        )
    }
}

/// Whether a fact of the lane has this value, or may have it. An empty value is nobody's.
pub(super) fn is_ours(tx: &Tx<'_>, lane: i64, value: &str) -> Result<bool> {
    if value.is_empty() {
        return Ok(false);
    }
    let found = tx.one(
        "SELECT 1 FROM fact WHERE lane = ?1 AND coalesce(value, candidate) = ?2 LIMIT 1",
        params![lane, value],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// The session in which a customer last wrote to a business number; the newest, if none shows it.
pub(super) fn session_of(
    tx: &Tx<'_>,
    business_number: &str,
    customer: &str,
) -> Result<Option<String>> {
    tx.one(
        "SELECT id FROM session WHERE business_number = ?1 AND customer = ?2
          ORDER BY inbound_at DESC, number DESC LIMIT 1",
        [business_number, customer],
        |row: &Row<'_>| row.get(0),
    )
}
