//! Conversations' states: moved with the events that move them, met when their deadlines come.

use std::collections::BTreeMap;

use async_trait::async_trait;
use handoffd_contract::Event;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::admit::admit;
use super::db::{Db, Outcome, Text};
use super::transact::transact;
use crate::conversation::Rules;
use crate::ledger::conversation::{
    Counts, MAX_CHANGES, Mover, PEOPLE, StateRow, hidden_since, moved,
};
use crate::ledger::rows::{self, count};
use crate::ledger::rules::MAX_ROWS;
use crate::ledger::{ConversationLedger, ConversationRow, Result};

#[async_trait]
impl ConversationLedger for Postgres {
    fn follow(&self, rules: Rules) {
        self.followed.follow(rules);
    }

    async fn meet_deadlines(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let (now, rules) = (now.as_microsecond(), self.followed.rules());
        let mut met = 0;
        // One session each: whoever holds several sessions takes them in order.
        while met < limit {
            let one: Result<bool> = transact!(self, Write, db => meet_one(db, now, &rules));
            if !one? {
                break;
            }
            met += 1;
        }
        Ok(met)
    }

    async fn conversations(&self, controller: &str, limit: usize) -> Result<Vec<ConversationRow>> {
        let limit = count(limit).min(MAX_ROWS);
        transact!(self, Statement, db => conversations(db, controller, limit))
    }
}

/// Meets the oldest deadline that has come and that nobody else is at. Returns whether there was one.
async fn meet_one(db: &Db<'_>, now: i64, rules: &std::sync::Arc<Rules>) -> Outcome<bool> {
    let due = db
        .one(
            "SELECT id, inbound_at, state, controller, since, deadline_at FROM session
              WHERE deadline_at IS NOT NULL AND deadline_at <= $1
              ORDER BY deadline_at LIMIT 1 FOR UPDATE SKIP LOCKED",
            &[&now],
            |row| {
                let inbound: Option<i64> = row.try_get(1)?;
                Ok((row.try_get::<_, String>(0)?, inbound, state_row(row, 2)?))
            },
        )
        .await?;
    let Some((session, inbound, before)) = due else {
        return Ok(false);
    };
    let mover = Mover::deadline(before.deadline_at.unwrap_or(now), rules)?;
    let (after, follows) = moved(&session, &before, &mover, inbound, now)?;
    if let Some(after) = after {
        put_states(db, &BTreeMap::from([(session, after)])).await?;
    }
    admit(db, now, &follows).await?;
    Ok(true)
}

/// A session's state, from four columns.
pub(super) fn state_row(row: &Row, from: usize) -> Outcome<StateRow> {
    Ok(StateRow {
        state: row.try_get(from)?,
        controller: row.try_get(from + 1)?,
        since: row.try_get(from + 2)?,
        deadline_at: row.try_get(from + 3)?,
    })
}

/// Stores the states of sessions, which are locked.
pub(super) async fn put_states(db: &Db<'_>, states: &BTreeMap<String, StateRow>) -> Outcome<()> {
    if states.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = states.keys().map(String::as_str).collect();
    let bodies: Vec<_> = states
        .values()
        .map(|row| row.state.as_deref().map(|json| Text(json).clean()))
        .collect();
    let controllers: Vec<_> = states
        .values()
        .map(|row| row.controller.as_deref())
        .collect();
    let since: Vec<_> = states.values().map(|row| row.since).collect();
    let deadlines: Vec<_> = states.values().map(|row| row.deadline_at).collect();
    db.run(
        "UPDATE session
            SET state = new.state, controller = new.controller, since = new.since,
                deadline_at = new.deadline_at
           FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
                AS new (id, state, controller, since, deadline_at)
          WHERE session.id = new.id",
        &[&ids, &bodies, &controllers, &since, &deadlines],
    )
    .await?;
    Ok(())
}

async fn conversations(db: &Db<'_>, controller: &str, limit: i64) -> Outcome<Vec<ConversationRow>> {
    db.all(
        "SELECT id, state, controller, since, deadline_at FROM session
          WHERE controller IS NOT NULL AND controller = $1 ORDER BY since NULLS FIRST LIMIT $2",
        &[&Text(controller), &limit],
        |row| Ok(state_row(row, 1)?.shown(row.try_get(0)?)?),
    )
    .await
}

/// The newest messages before an event in whose time nothing was shown, oldest first.
pub(super) async fn unshown(
    db: &Db<'_>,
    session: &str,
    before: i64,
    hidden: &[&str],
    (limit, bytes): (usize, usize),
) -> Outcome<Vec<Event>> {
    let changes = db
        .all(
            "SELECT seq, kind, CASE WHEN kind = 'session.state' THEN body END FROM event
              WHERE session = $1 AND seq < $2 AND kind IN ('session.state', 'handoff.requested')
              ORDER BY seq DESC LIMIT $3",
            &[&Text(session), &before, &MAX_CHANGES],
            |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)),
        )
        .await?;
    let Some(since) = hidden_since(&changes, hidden)? else {
        return Ok(Vec::new());
    };
    let bodies: Vec<String> = db
        .all(
            "SELECT body FROM (
                 SELECT seq, body, sum(octet_length(body)) OVER (ORDER BY seq DESC) AS size
                   FROM (SELECT seq, body FROM event
                          WHERE session = $1 AND seq > $2 AND seq < $3
                            AND kind IN ('message.received', 'message.sent')
                          ORDER BY seq DESC LIMIT $4) AS newest) AS sized
              WHERE size <= $5 ORDER BY seq",
            &[
                &Text(session),
                &since,
                &before,
                &count(limit),
                &count(bytes),
            ],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let events: Result<Vec<Event>> = bodies.iter().map(|body| rows::decode(body)).collect();
    Ok(events?)
}

/// A session's state, as operators see it.
pub(super) async fn shown(db: &Db<'_>, session: &str) -> Outcome<Option<ConversationRow>> {
    db.one(
        "SELECT state, controller, since, deadline_at FROM session
          WHERE id = $1 AND controller IS NOT NULL",
        &[&Text(session)],
        |row| Ok(state_row(row, 0)?.shown(session.to_owned())?),
    )
    .await
}

/// How many conversations people have, and since when the oldest one waits in a queue.
pub(super) async fn stats(db: &Db<'_>) -> Outcome<Counts> {
    let mut counts = Vec::new();
    for controller in PEOPLE {
        let count = db
            .one(
                "SELECT count(*) FROM session WHERE controller IS NOT NULL AND controller = $1",
                &[&controller],
                |row| Ok(row.try_get(0)?),
            )
            .await?;
        counts.push((controller.to_owned(), count.unwrap_or(0)));
    }
    let oldest: Option<Option<i64>> = db
        .one(
            "SELECT since FROM session WHERE controller IS NOT NULL AND controller = 'queued'
              ORDER BY since LIMIT 1",
            &[],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok((counts, rows::maybe_at(oldest.flatten())?))
}
