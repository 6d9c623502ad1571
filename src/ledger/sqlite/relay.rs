//! The rep's side: feeds and their leases, what was heard, and how it finds its lane.

use rusqlite::{Row, params};

use super::inbox::close_webhook;
use super::intake::{admit, wake_lane};
use super::lanes::{lane_ref, put_fact};
use super::tx::Tx;
use crate::ledger::rows::{Arrival, FactRow};
use crate::ledger::{Admitted, FeedLease, LaneRef, Lease, LedgerError, Result};

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

/// Claims feeds that somebody listens to and nobody holds; `targets` is a JSON array of names.
pub(super) fn claim_feeds(
    tx: &Tx<'_>,
    now: i64,
    daemon: &str,
    targets: &str,
    limit: i64,
    until: i64,
) -> Result<Vec<FeedLease>> {
    tx.all(
        "UPDATE feed SET epoch = epoch + 1, lease_owner = ?1, lease_until = ?2
          WHERE (target, key) IN (SELECT target, key FROM feed
                                   WHERE listeners > 0 AND coalesce(lease_until, 0) <= ?3
                                     AND target IN (SELECT value FROM json_each(?5))
                                   ORDER BY coalesce(lease_until, 0) LIMIT ?4)
         RETURNING target, key, cursor, epoch",
        params![daemon, until, now, limit, targets],
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

/// How far a feed has been heard.
pub(super) fn cursor(tx: &Tx<'_>, target: &str, key: &str) -> Result<Option<String>> {
    let found = tx.one(
        "SELECT cursor FROM feed WHERE target = ?1 AND key = ?2",
        [target, key],
        |row: &Row<'_>| row.get(0),
    )?;
    Ok(found.flatten())
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

/// The lanes of a target in which a fact has this value, or may have it, the newest first. An empty
/// value matches any, and is the newest lane's.
pub(super) fn lanes_by_fact(
    tx: &Tx<'_>,
    target: &str,
    name: &str,
    value: &str,
) -> Result<Vec<LaneRef>> {
    if value.is_empty() {
        tx.all(
            "SELECT lane.id, lane.session, lane.target
               FROM fact CROSS JOIN lane ON lane.id = fact.lane
              WHERE fact.name = ?2 AND lane.target = ?1
              ORDER BY fact.lane DESC LIMIT 1",
            [target, name],
            lane_ref,
        )
    } else {
        tx.all(
            "SELECT lane.id, lane.session, lane.target
               FROM fact CROSS JOIN lane ON lane.id = fact.lane
              WHERE fact.name = ?2 AND coalesce(fact.value, fact.candidate) = ?3
                AND lane.target = ?1
              ORDER BY fact.lane DESC LIMIT 20",
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
