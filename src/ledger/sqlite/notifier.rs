//! What people are to be told of, and what they were told already.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Params, Row, params};

use super::Sqlite;
use super::tx::Tx;
use crate::ledger::notifier::{NotWell, Observed, Seen};
use crate::ledger::rules::MAX_ROWS;
use crate::ledger::{LedgerError, NotifierLedger, Result};

#[async_trait]
impl NotifierLedger for Sqlite {
    async fn lead_notifier(
        &self,
        now: Timestamp,
        daemon: &str,
        until: Timestamp,
    ) -> Result<Option<Option<String>>> {
        let daemon = daemon.to_owned();
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        self.write(move |tx| {
            tx.one(
                "INSERT INTO notifier (one, lease_owner, lease_until) VALUES (1, ?1, ?3)
                 ON CONFLICT (one) DO UPDATE
                    SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until
                  WHERE lease_owner = excluded.lease_owner OR lease_until <= ?2
                 RETURNING state",
                params![daemon, now, until],
                |row| row.get::<_, Option<String>>(0),
            )
        })
        .await
    }

    async fn keep_notifier(&self, daemon: &str, state: &str) -> Result<()> {
        let (daemon, state) = (daemon.to_owned(), state.to_owned());
        self.write(move |tx| {
            let kept = tx.run(
                "UPDATE notifier SET state = ?2 WHERE one = 1 AND lease_owner = ?1",
                params![daemon, state],
            )?;
            (kept > 0).then_some(()).ok_or(LedgerError::Stale)
        })
        .await
    }

    async fn not_well(
        &self,
        before: Timestamp,
        seen: Option<Seen>,
        waiting: &[&'static str],
    ) -> Result<NotWell> {
        let (before, waiting) = (before.as_microsecond(), waiting.to_vec());
        self.read(move |tx| not_well(tx, before, seen, &waiting))
            .await
    }
}

fn not_well(tx: &Tx<'_>, before: i64, seen: Option<Seen>, waiting: &[&str]) -> Result<NotWell> {
    let parked = observed(
        tx,
        "SELECT target, reason, count(*), max(updated_at), session FROM lane
          WHERE state = 'parked' AND reason IS NOT NULL
          GROUP BY target, reason ORDER BY count(*) DESC LIMIT ?1",
        params![MAX_ROWS],
    )?;
    let webhooks = observed(
        tx,
        "SELECT target, reason, count(*), max(received_at), NULL FROM inbox
          WHERE state = 'parked' GROUP BY target, reason ORDER BY count(*) DESC LIMIT ?1",
        params![MAX_ROWS],
    )?;
    let mut all = Vec::new();
    for reason in waiting {
        all.extend(observed(
            tx,
            "SELECT target, reason, count(*), max(updated_at), session FROM lane
              WHERE state IN ('due', 'held') AND reason = ?2
              GROUP BY target, reason ORDER BY count(*) DESC LIMIT ?1",
            params![MAX_ROWS, reason],
        )?);
    }
    let from = seen.unwrap_or_default();
    let newest = |sql: &str, from: i64| -> Result<i64> {
        let found = tx.one(sql, [before, from], |row| row.get(0))?;
        Ok(found.unwrap_or(from))
    };
    let now = Seen {
        dead_letter: newest(
            "SELECT id FROM poison WHERE id > ?2 AND received_at <= ?1 ORDER BY id DESC LIMIT 1",
            from.dead_letter,
        )?,
        event: newest(
            "SELECT seq FROM event
              WHERE kind = 'session.unattended' AND seq > ?2 AND received_at <= ?1
              ORDER BY seq DESC LIMIT 1",
            from.event,
        )?,
    };
    let seen = seen.unwrap_or(now);
    Ok(NotWell {
        parked,
        webhooks,
        waiting: all,
        dead_letters: observed(
            tx,
            "SELECT origin, reason, count(*), max(received_at), session FROM poison
              WHERE id > ?1 AND id <= ?2 GROUP BY origin, reason LIMIT ?3",
            params![seen.dead_letter, now.dead_letter, MAX_ROWS],
        )?,
        unattended: observed(
            tx,
            "SELECT '', '', count(*), max(seq), session FROM event
              WHERE kind = 'session.unattended' AND seq > ?1 AND seq <= ?2
             HAVING count(*) > 0 LIMIT ?3",
            params![seen.event, now.event, MAX_ROWS],
        )?,
        seen: now,
    })
}

/// Of a group, SQLite takes what is not grouped from the row with the maximum.
/// <https://sqlite.org/lang_select.html#bareagg>
fn observed(tx: &Tx<'_>, sql: &str, parameters: impl Params) -> Result<Vec<Observed>> {
    let read = |row: &Row<'_>| {
        Ok(Observed {
            target: row.get(0)?,
            reason: row.get(1)?,
            count: row.get(2)?,
            newest: row.get(3)?,
            session: row.get(4)?,
        })
    };
    tx.all(sql, parameters, read)
}
