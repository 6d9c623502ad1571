//! The rep's side: feeds and their leases, what was heard, and how it finds its lane.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::admit::{admit, wake_lanes};
use super::db::{Db, Outcome, Text, texts};
use super::facts::put_facts;
use super::lanes::lane_ref;
use super::transact::transact;
use super::webhooks::close_webhook;
use super::{Postgres, load};
use crate::ledger::rows::{Arrival, FactRow, count, event_key};
use crate::ledger::{
    Admitted, FeedLease, FeedLedger, LaneRef, Lease, LedgerError, Loaded, Received, Result,
};

#[async_trait]
impl FeedLedger for Postgres {
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
        transact!(self, Statement, db => claim_feeds(db, now, daemon, targets, limit, until))
    }

    async fn renew_feeds(&self, feeds: &[FeedLease], until: Timestamp) -> Result<Vec<FeedLease>> {
        let until = until.as_microsecond();
        transact!(self, Statement, db => renew_feeds(db, feeds, until))
    }

    async fn release_feed(&self, feed: &FeedLease) -> Result<()> {
        transact!(self, Statement, db => release_feed(db, feed))
    }

    async fn cursor(&self, target: &str, key: &str) -> Result<Option<String>> {
        transact!(self, Statement, db => cursor(db, target, key))
    }

    async fn listeners(&self, target: &str, key: &str) -> Result<Vec<LaneRef>> {
        transact!(self, Statement, db => listeners(db, target, key))
    }

    async fn wake(&self, now: Timestamp, lanes: &[i64]) -> Result<()> {
        let now = now.as_microsecond();
        transact!(self, Write, db => wake_lanes(db, now, lanes))
    }

    async fn store_received(&self, now: Timestamp, received: Received) -> Result<Vec<Admitted>> {
        let (now, arrivals) = (now.as_microsecond(), Arrival::all(&received.events)?);
        transact!(self, Write, db => store_received(db, now, &received, &arrivals))
    }

    async fn peek(&self, lane: i64) -> Result<(LaneRef, Loaded)> {
        transact!(self, Read, db => load::peek(db, lane))
    }

    async fn has(&self, source: &str, id: &str) -> Result<bool> {
        let key = event_key(source, id);
        transact!(self, Statement, db => has(db, &key))
    }

    async fn lanes_by_fact(&self, target: &str, name: &str, value: &str) -> Result<Vec<LaneRef>> {
        transact!(self, Statement, db => lanes_by_fact(db, target, name, value))
    }

    async fn lane_of(&self, session: &str, target: &str) -> Result<Option<LaneRef>> {
        transact!(self, Statement, db => lane_of(db, session, target))
    }

    async fn is_ours(&self, lane: i64, value: &str) -> Result<bool> {
        transact!(self, Statement, db => is_ours(db, lane, value))
    }

    async fn session_of(&self, business_number: &str, customer: &str) -> Result<Option<String>> {
        transact!(self, Statement, db => session_of(db, business_number, customer))
    }
}

/// Says which feed a lane listens to.
pub(super) async fn listen(db: &Db<'_>, lease: &Lease, key: Option<&str>) -> Outcome<()> {
    let before: Option<String> = db
        .one(
            "SELECT feed FROM lane
              WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL FOR UPDATE",
            &[&lease.lane, &lease.epoch],
            |row| Ok(row.try_get(0)?),
        )
        .await?
        .ok_or(LedgerError::Stale)?;
    let key = key.map(|key| Text(key).clean().into_owned());
    if before == key {
        return Ok(());
    }
    db.run(
        "UPDATE lane SET feed = $2 WHERE id = $1",
        &[&lease.lane, &key],
    )
    .await?;
    if let Some(before) = before {
        db.run(
            "UPDATE feed SET listeners = listeners - 1 WHERE target = $1 AND key = $2",
            &[&Text(&lease.target), &before],
        )
        .await?;
    }
    if let Some(key) = key {
        db.run(
            "INSERT INTO feed (target, key, listeners) VALUES ($1, $2, 1)
             ON CONFLICT (target, key) DO UPDATE SET listeners = feed.listeners + 1",
            &[&Text(&lease.target), &key],
        )
        .await?;
    }
    Ok(())
}

/// Claims feeds that somebody listens to and nobody holds.
async fn claim_feeds(
    db: &Db<'_>,
    now: i64,
    daemon: &str,
    targets: &[String],
    limit: i64,
    until: i64,
) -> Outcome<Vec<FeedLease>> {
    let targets = texts(targets.iter());
    db.all(
        "WITH ready AS MATERIALIZED (
             SELECT target, key FROM feed
              WHERE listeners > 0 AND coalesce(lease_until, 0) <= $3 AND target = ANY ($5)
              ORDER BY coalesce(lease_until, 0) LIMIT $4
                FOR UPDATE SKIP LOCKED)
         UPDATE feed SET epoch = feed.epoch + 1, lease_owner = $1, lease_until = $2
           FROM ready WHERE feed.target = ready.target AND feed.key = ready.key
         RETURNING feed.target, feed.key, feed.cursor, feed.epoch",
        &[&Text(daemon), &until, &now, &limit, &targets],
        |row| {
            Ok(FeedLease {
                target: row.try_get(0)?,
                key: row.try_get(1)?,
                cursor: row.try_get(2)?,
                epoch: row.try_get(3)?,
            })
        },
    )
    .await
}

/// Makes feed leases last until `until`; returns those that are lost or no longer wanted.
async fn renew_feeds(db: &Db<'_>, feeds: &[FeedLease], until: i64) -> Outcome<Vec<FeedLease>> {
    let targets = texts(feeds.iter().map(|feed| &feed.target));
    let keys = texts(feeds.iter().map(|feed| &feed.key));
    let epochs: Vec<_> = feeds.iter().map(|feed| feed.epoch).collect();
    let renewed: Vec<(String, String)> = db
        .all(
            "WITH wanted AS MATERIALIZED (
                 SELECT feed.target, feed.key
                   FROM unnest($1::text[], $2::text[], $3::bigint[]) AS mine (target, key, epoch)
                   JOIN feed ON feed.target = mine.target AND feed.key = mine.key
                            AND feed.epoch = mine.epoch
                  WHERE feed.lease_owner IS NOT NULL AND feed.listeners > 0
                  ORDER BY feed.target, feed.key
                    FOR UPDATE OF feed)
             UPDATE feed SET lease_until = $4
               FROM wanted WHERE feed.target = wanted.target AND feed.key = wanted.key
             RETURNING feed.target, feed.key",
            &[&targets, &keys, &epochs, &until],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )
        .await?;
    let renewed: HashSet<_> = renewed.into_iter().collect();
    let kept = |feed: &FeedLease| renewed.contains(&(feed.target.clone(), feed.key.clone()));
    Ok(feeds.iter().filter(|feed| !kept(feed)).cloned().collect())
}

/// Gives a feed back. One that was taken over is left alone.
async fn release_feed(db: &Db<'_>, feed: &FeedLease) -> Outcome<()> {
    db.run(
        "UPDATE feed SET lease_owner = NULL, lease_until = NULL
              WHERE target = $1 AND key = $2 AND epoch = $3",
        &[&Text(&feed.target), &Text(&feed.key), &feed.epoch],
    )
    .await?;
    Ok(())
}

/// The lanes that listen to a feed.
async fn listeners(db: &Db<'_>, target: &str, key: &str) -> Outcome<Vec<LaneRef>> {
    db.all(
        "SELECT id, session, target FROM lane WHERE target = $1 AND feed = $2 ORDER BY id",
        &[&Text(target), &Text(key)],
        lane_ref,
    )
    .await
}

/// Stores what was heard.
async fn store_received(
    db: &Db<'_>,
    now: i64,
    received: &Received,
    arrivals: &[Arrival],
) -> Outcome<Vec<Admitted>> {
    let admitted = admit(db, now, arrivals).await?;
    if !received.facts.is_empty() {
        let facts: BTreeMap<_, _> = received
            .facts
            .iter()
            .map(|(lane, name, value)| ((*lane, name), value))
            .collect();
        let lanes: Vec<_> = facts.keys().map(|(lane, _)| *lane).collect();
        let told: Vec<_> = facts
            .iter()
            .map(|((_, name), value)| FactRow::is(*name, *value))
            .collect();
        wake_lanes(db, now, &lanes).await?;
        put_facts(db, &lanes, &told).await?;
    }
    if let Some((feed, cursor)) = &received.cursor {
        move_cursor(db, feed, cursor).await?;
    }
    if let Some((id, epoch)) = received.webhook {
        close_webhook(db, id, epoch).await?;
    }
    Ok(admitted)
}

/// How far a feed has been heard.
async fn cursor(db: &Db<'_>, target: &str, key: &str) -> Outcome<Option<String>> {
    let found = db
        .one(
            "SELECT cursor FROM feed WHERE target = $1 AND key = $2",
            &[&Text(target), &Text(key)],
            |row| Ok(row.try_get::<_, Option<String>>(0)?),
        )
        .await?;
    Ok(found.flatten())
}

async fn move_cursor(db: &Db<'_>, feed: &FeedLease, cursor: &str) -> Outcome<()> {
    let moved = db
        .run(
            "UPDATE feed SET cursor = $4
              WHERE target = $1 AND key = $2 AND epoch = $3 AND lease_owner IS NOT NULL",
            &[
                &Text(&feed.target),
                &Text(&feed.key),
                &feed.epoch,
                &Text(cursor),
            ],
        )
        .await?;
    if moved == 0 {
        Err(LedgerError::Stale.into())
    } else {
        Ok(())
    }
}

/// The lanes of a target in which a fact has this value, or may have it, the newest first. An empty
/// value matches any, and is the newest lane's.
async fn lanes_by_fact(
    db: &Db<'_>,
    target: &str,
    name: &str,
    value: &str,
) -> Outcome<Vec<LaneRef>> {
    if value.is_empty() {
        db.all(
            "SELECT lane.id, lane.session, lane.target
               FROM fact JOIN lane ON lane.id = fact.lane
              WHERE fact.name = $2 AND lane.target = $1
              ORDER BY fact.lane DESC LIMIT 1",
            &[&Text(target), &Text(name)],
            lane_ref,
        )
        .await
    } else {
        db.all(
            "SELECT lane.id, lane.session, lane.target
               FROM fact JOIN lane ON lane.id = fact.lane
              WHERE fact.name = $2
                AND left(coalesce(fact.value, fact.candidate), 200) = left($3, 200)
                AND coalesce(fact.value, fact.candidate) = $3
                AND lane.target = $1
              ORDER BY fact.lane DESC LIMIT 20",
            &[&Text(target), &Text(name), &Text(value)],
            lane_ref,
        )
        .await
    }
}

/// Whether a fact of the lane has this value, or may have it. An empty value is nobody's.
async fn is_ours(db: &Db<'_>, lane: i64, value: &str) -> Outcome<bool> {
    if value.is_empty() {
        return Ok(false);
    }
    let found = db
        .one(
            "SELECT 1 FROM fact WHERE lane = $1 AND coalesce(value, candidate) = $2 LIMIT 1",
            &[&lane, &Text(value)],
            |_| Ok(()),
        )
        .await?;
    Ok(found.is_some())
}

/// The session in which a customer last wrote to a business number; the newest, if none shows it.
async fn session_of(db: &Db<'_>, business_number: &str, customer: &str) -> Outcome<Option<String>> {
    db.one(
        "SELECT id FROM session WHERE business_number = $1 AND customer = $2
          ORDER BY inbound_at DESC NULLS LAST, number DESC LIMIT 1",
        &[&Text(business_number), &Text(customer)],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

/// Whether the event with this key is stored.
async fn has(db: &Db<'_>, key: &[u8]) -> Outcome<bool> {
    let found = db
        .one("SELECT 1 FROM event WHERE key = $1", &[&key], |_| Ok(()))
        .await?;
    Ok(found.is_some())
}

/// The lane of a session in a target.
async fn lane_of(db: &Db<'_>, session: &str, target: &str) -> Outcome<Option<LaneRef>> {
    db.one(
        "SELECT id, session, target FROM lane WHERE session = $1 AND target = $2",
        &[&Text(session), &Text(target)],
        lane_ref,
    )
    .await
}
