//! What people are to be told of, and what they were told already.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::db::{Db, Fault, Outcome, Text};
use super::transact::transact;
use crate::ledger::notifier::{NotWell, Observed, Seen};
use crate::ledger::rules::MAX_ROWS;
use crate::ledger::{LedgerError, NotifierLedger, Result};

#[async_trait]
impl NotifierLedger for Postgres {
    async fn lead_notifier(
        &self,
        now: Timestamp,
        daemon: &str,
        until: Timestamp,
    ) -> Result<Option<Option<String>>> {
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        transact!(self, Write, db => lead(db, now, daemon, until))
    }

    async fn keep_notifier(&self, daemon: &str, state: &str) -> Result<()> {
        transact!(self, Write, db => keep(db, daemon, state))
    }

    async fn not_well(
        &self,
        before: Timestamp,
        seen: Option<Seen>,
        waiting: &[&'static str],
    ) -> Result<NotWell> {
        let before = before.as_microsecond();
        transact!(self, Read, db => not_well(db, before, seen, waiting))
    }
}

async fn lead(db: &Db<'_>, now: i64, daemon: &str, until: i64) -> Outcome<Option<Option<String>>> {
    db.one(
        "INSERT INTO notifier (one, lease_owner, lease_until) VALUES (1, $1, $3)
         ON CONFLICT (one) DO UPDATE
            SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until
          WHERE notifier.lease_owner = excluded.lease_owner OR notifier.lease_until <= $2
         RETURNING state",
        &[&Text(daemon), &now, &until],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

async fn keep(db: &Db<'_>, daemon: &str, state: &str) -> Outcome<()> {
    let kept = db
        .run(
            "UPDATE notifier SET state = $2 WHERE one = 1 AND lease_owner = $1",
            &[&Text(daemon), &Text(state)],
        )
        .await?;
    (kept > 0)
        .then_some(())
        .ok_or(Fault::Refused(LedgerError::Stale))
}

async fn not_well(
    db: &Db<'_>,
    before: i64,
    seen: Option<Seen>,
    waiting: &[&str],
) -> Outcome<NotWell> {
    let parked = observed(
        db,
        "SELECT target, reason, count(*), max(updated_at),
                (array_agg(session ORDER BY updated_at DESC))[1]
           FROM lane WHERE state = 'parked' AND reason IS NOT NULL
          GROUP BY target, reason ORDER BY count(*) DESC LIMIT $1",
        &[&MAX_ROWS],
    )
    .await?;
    let webhooks = observed(
        db,
        "SELECT target, reason, count(*), max(received_at), NULL::text
           FROM inbox WHERE state = 'parked'
          GROUP BY target, reason ORDER BY count(*) DESC LIMIT $1",
        &[&MAX_ROWS],
    )
    .await?;
    let waiting = observed(
        db,
        "SELECT target, reason, count(*), max(updated_at),
                (array_agg(session ORDER BY updated_at DESC))[1]
           FROM lane WHERE state IN ('due', 'held') AND reason = ANY ($2)
          GROUP BY target, reason ORDER BY count(*) DESC LIMIT $1",
        &[&MAX_ROWS, &waiting],
    )
    .await?;
    let from = seen.unwrap_or_default();
    let now = Seen {
        dead_letter: newest(
            db,
            (before, from.dead_letter),
            "SELECT id FROM poison WHERE id > $2 AND received_at <= $1 ORDER BY id DESC LIMIT 1",
        )
        .await?,
        event: newest(
            db,
            (before, from.event),
            "SELECT seq FROM event
              WHERE kind = 'session.unattended' AND seq > $2 AND received_at <= $1
              ORDER BY seq DESC LIMIT 1",
        )
        .await?,
    };
    let seen = seen.unwrap_or(now);
    Ok(NotWell {
        parked,
        webhooks,
        waiting,
        dead_letters: observed(
            db,
            "SELECT origin, reason, count(*), max(received_at),
                    (array_agg(session ORDER BY id DESC))[1]
               FROM poison WHERE id > $1 AND id <= $2 GROUP BY origin, reason LIMIT $3",
            &[&seen.dead_letter, &now.dead_letter, &MAX_ROWS],
        )
        .await?,
        unattended: observed(
            db,
            "SELECT '', '', count(*), max(seq), (array_agg(session ORDER BY seq DESC))[1]
               FROM event WHERE kind = 'session.unattended' AND seq > $1 AND seq <= $2
             HAVING count(*) > 0 LIMIT $3",
            &[&seen.event, &now.event, &MAX_ROWS],
        )
        .await?,
        seen: now,
    })
}

async fn newest(db: &Db<'_>, (before, from): (i64, i64), sql: &'static str) -> Outcome<i64> {
    let found = db
        .one(sql, &[&before, &from], |row| Ok(row.try_get(0)?))
        .await?;
    Ok(found.unwrap_or(from))
}

async fn observed(
    db: &Db<'_>,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Outcome<Vec<Observed>> {
    let read = |row: &Row| {
        Ok(Observed {
            target: row.try_get(0)?,
            reason: row.try_get(1)?,
            count: row.try_get(2)?,
            newest: row.try_get(3)?,
            session: row.try_get(4)?,
        })
    };
    db.all(sql, parameters, read).await
}
