//! The webhook queue (table `inbox`): webhooks kept once a day, leased, put off, parked, settled.

use async_trait::async_trait;
use handoffd_contract::Stop;
use jiff::Timestamp;
use rusqlite::params;

use super::Sqlite;
use super::tx::Tx;
use crate::ledger::rows::{self, count};
use crate::ledger::{LedgerError, Result, WebhookLedger, WebhookRow, rules};

#[async_trait]
impl WebhookLedger for Sqlite {
    async fn keep_webhook(
        &self,
        now: Timestamp,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<bool> {
        let (target, headers, body) = (target.to_owned(), headers.to_owned(), body.to_vec());
        let now = now.as_microsecond();
        self.write(move |tx| keep_webhook(tx, now, &target, &headers, &body))
            .await
    }

    async fn claim_webhooks(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<WebhookRow>> {
        let (daemon, target) = (daemon.to_owned(), target.to_owned());
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        self.write(move |tx| claim_webhooks(tx, now, &daemon, &target, count(limit), until))
            .await
    }

    async fn postpone_webhook(
        &self,
        row: &WebhookRow,
        at: Option<Timestamp>,
        stop: Stop,
    ) -> Result<()> {
        let (id, epoch, target) = (row.id, row.epoch, row.target.clone());
        self.write(move |tx| postpone_webhook(tx, id, epoch, &target, at, &stop))
            .await
    }

    async fn parked_webhooks(&self, limit: usize) -> Result<Vec<(i64, String, Timestamp, Stop)>> {
        self.read(move |tx| parked_webhooks(tx, count(limit))).await
    }

    async fn settle_webhooks(&self, now: Timestamp, id: Option<i64>, retry: bool) -> Result<u64> {
        self.write(move |tx| settle_webhooks(tx, now.as_microsecond(), id, retry))
            .await
    }
}

pub(super) fn close_webhook(tx: &Tx<'_>, id: i64, epoch: i64) -> Result<()> {
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
fn keep_webhook(tx: &Tx<'_>, now: i64, target: &str, headers: &str, body: &[u8]) -> Result<bool> {
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
        tx.webhooks_changed(target);
    }
    Ok(kept > 0)
}

/// Claims webhooks that are ready, oldest first.
fn claim_webhooks(
    tx: &Tx<'_>,
    now: i64,
    daemon: &str,
    target: &str,
    limit: i64,
    until: i64,
) -> Result<Vec<WebhookRow>> {
    let mut rows = tx.all(
        "UPDATE inbox SET epoch = epoch + 1, lease_owner = ?1, lease_until = ?2
          WHERE id IN (SELECT id FROM inbox
                        WHERE target = ?5 AND due_at IS NOT NULL AND ready_at <= ?3
                        ORDER BY ready_at LIMIT ?4)
         RETURNING id, target, headers, body, attempts, epoch",
        params![daemon, until, now, limit, target],
        |row| {
            Ok(WebhookRow {
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
fn postpone_webhook(
    tx: &Tx<'_>,
    id: i64,
    epoch: i64,
    target: &str,
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
            stop.message
        ],
    )?;
    if put_off == 0 {
        return Err(LedgerError::Stale);
    }
    tx.webhooks_changed(target);
    Ok(())
}

/// Parked webhooks, oldest first.
fn parked_webhooks(tx: &Tx<'_>, limit: i64) -> Result<Vec<(i64, String, Timestamp, Stop)>> {
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
fn settle_webhooks(tx: &Tx<'_>, now: i64, id: Option<i64>, retry: bool) -> Result<u64> {
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
        tx.everything_changed();
    }
    Ok(settled as u64)
}
