//! The rep's side: feeds and their leases, what was heard, and how it finds its lane.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::admit::{admit, wake_lane};
use super::facts::put_fact;
use super::lanes::lane_ref;
use super::tx::Tx;
use super::webhooks::close_webhook;
use super::{Sqlite, load};
use crate::ledger::rows::{Arrival, FactRow, count, event_key};
use crate::ledger::{
    Admitted, FeedLease, FeedLedger, LaneRef, Lease, LedgerError, Loaded, Received, Result,
};

#[async_trait]
impl FeedLedger for Sqlite {
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
        self.write(move |tx| claim_feeds(tx, now, &daemon, &targets, count(limit), until))
            .await
    }

    async fn renew_feeds(&self, feeds: &[FeedLease], until: Timestamp) -> Result<Vec<FeedLease>> {
        let feeds = feeds.to_vec();
        self.write(move |tx| renew_feeds(tx, feeds, until.as_microsecond()))
            .await
    }

    async fn release_feed(&self, feed: &FeedLease) -> Result<()> {
        let feed = feed.clone();
        self.write(move |tx| release_feed(tx, &feed)).await
    }

    async fn cursor(&self, target: &str, key: &str) -> Result<Option<String>> {
        let (target, key) = (target.to_owned(), key.to_owned());
        self.read(move |tx| cursor(tx, &target, &key)).await
    }

    async fn listeners(&self, target: &str, key: &str) -> Result<Vec<LaneRef>> {
        let (target, key) = (target.to_owned(), key.to_owned());
        self.read(move |tx| listeners(tx, &target, &key)).await
    }

    async fn wake(&self, now: Timestamp, lanes: &[i64]) -> Result<()> {
        let lanes = lanes.to_vec();
        self.write(move |tx| {
            lanes
                .iter()
                .try_for_each(|lane| wake_lane(tx, now.as_microsecond(), *lane))
        })
        .await
    }

    async fn store_received(&self, now: Timestamp, received: Received) -> Result<Vec<Admitted>> {
        let Received {
            events,
            facts,
            cursor,
            webhook,
        } = received;
        let heard = Heard {
            arrivals: Arrival::all(&events)?,
            facts,
            cursor,
            webhook,
        };
        self.write(move |tx| store_received(tx, now.as_microsecond(), &heard))
            .await
    }

    async fn peek(&self, lane: i64) -> Result<(LaneRef, Loaded)> {
        self.read(move |tx| load::peek(tx, lane)).await
    }

    async fn has(&self, source: &str, id: &str) -> Result<bool> {
        let key = event_key(source, id);
        self.read(move |tx| has(tx, &key)).await
    }

    async fn lanes_by_fact(&self, target: &str, name: &str, value: &str) -> Result<Vec<LaneRef>> {
        let (target, name, value) = (target.to_owned(), name.to_owned(), value.to_owned());
        self.read(move |tx| lanes_by_fact(tx, &target, &name, &value))
            .await
    }

    async fn lane_of(&self, session: &str, target: &str) -> Result<Option<LaneRef>> {
        let (session, target) = (session.to_owned(), target.to_owned());
        self.read(move |tx| {
            tx.one(
                "SELECT id, session, target FROM lane WHERE session = ?1 AND target = ?2",
                [&session, &target],
                lane_ref,
            )
        })
        .await
    }

    async fn is_ours(&self, lane: i64, value: &str) -> Result<bool> {
        let value = value.to_owned();
        self.read(move |tx| is_ours(tx, lane, &value)).await
    }

    async fn session_of(&self, business_number: &str, customer: &str) -> Result<Option<String>> {
        let (business_number, customer) = (business_number.to_owned(), customer.to_owned());
        self.read(move |tx| session_of(tx, &business_number, &customer))
            .await
    }
}

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
    }
    Ok(())
}

/// Claims feeds that somebody listens to and nobody holds; `targets` is a JSON array of names.
fn claim_feeds(
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
fn renew_feeds(tx: &Tx<'_>, feeds: Vec<FeedLease>, until: i64) -> Result<Vec<FeedLease>> {
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
fn release_feed(tx: &Tx<'_>, feed: &FeedLease) -> Result<()> {
    tx.run(
        "UPDATE feed SET lease_owner = NULL, lease_until = NULL
          WHERE target = ?1 AND key = ?2 AND epoch = ?3",
        params![feed.target, feed.key, feed.epoch],
    )?;
    Ok(())
}

/// The lanes that listen to a feed.
fn listeners(tx: &Tx<'_>, target: &str, key: &str) -> Result<Vec<LaneRef>> {
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
    pub webhook: Option<(i64, i64)>,
}

/// Stores what was heard.
fn store_received(tx: &Tx<'_>, now: i64, heard: &Heard) -> Result<Vec<Admitted>> {
    let admitted = admit(tx, now, &heard.arrivals)?;
    for (lane, name, value) in &heard.facts {
        put_fact(tx, *lane, &FactRow::is(name, value))?;
        wake_lane(tx, now, *lane)?;
    }
    if let Some((feed, cursor)) = &heard.cursor {
        move_cursor(tx, feed, cursor)?;
    }
    if let Some((id, epoch)) = heard.webhook {
        close_webhook(tx, id, epoch)?;
    }
    Ok(admitted)
}

/// How far a feed has been heard.
fn cursor(tx: &Tx<'_>, target: &str, key: &str) -> Result<Option<String>> {
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
fn lanes_by_fact(tx: &Tx<'_>, target: &str, name: &str, value: &str) -> Result<Vec<LaneRef>> {
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
fn is_ours(tx: &Tx<'_>, lane: i64, value: &str) -> Result<bool> {
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
fn session_of(tx: &Tx<'_>, business_number: &str, customer: &str) -> Result<Option<String>> {
    tx.one(
        "SELECT id FROM session WHERE business_number = ?1 AND customer = ?2
          ORDER BY inbound_at DESC, number DESC LIMIT 1",
        [business_number, customer],
        |row: &Row<'_>| row.get(0),
    )
}

/// Whether the event with this key is stored.
fn has(tx: &Tx<'_>, key: &[u8]) -> Result<bool> {
    let found = tx.one("SELECT 1 FROM event WHERE key = ?1", [key], |_| Ok(()))?;
    Ok(found.is_some())
}
