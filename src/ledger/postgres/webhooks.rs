//! The webhook queue (table `inbox`): webhooks kept once a day, leased, put off, parked, settled.

use async_trait::async_trait;
use handoffd_contract::Stop;
use jiff::Timestamp;

use super::Postgres;
use super::db::{Db, Outcome, Text};
use super::lanes::tally;
use super::transact::transact;
use crate::ledger::rows::{self, count};
use crate::ledger::{LedgerError, Result, WebhookLedger, WebhookRow, rules};

#[async_trait]
impl WebhookLedger for Postgres {
    async fn keep_webhook(
        &self,
        now: Timestamp,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<bool> {
        let now = now.as_microsecond();
        transact!(self, Write, db => keep_webhook(db, now, target, headers, body))
    }

    async fn claim_webhooks(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<WebhookRow>> {
        let (now, until) = (now.as_microsecond(), until.as_microsecond());
        let limit = count(limit);
        transact!(self, Statement, db => claim_webhooks(db, now, daemon, target, limit, until))
    }

    async fn postpone_webhook(
        &self,
        row: &WebhookRow,
        at: Option<Timestamp>,
        stop: Stop,
    ) -> Result<()> {
        transact!(self, Statement, db => postpone_webhook(db, row, at, &stop))
    }

    async fn parked_webhooks(&self, limit: usize) -> Result<Vec<(i64, String, Timestamp, Stop)>> {
        transact!(self, Statement, db => parked_webhooks(db, count(limit)))
    }

    async fn settle_webhooks(&self, now: Timestamp, id: Option<i64>, retry: bool) -> Result<u64> {
        let now = now.as_microsecond();
        transact!(self, Statement, db => settle_webhooks(db, now, id, retry))
    }
}

pub(super) async fn close_webhook(db: &Db<'_>, id: i64, epoch: i64) -> Outcome<()> {
    let closed = db
        .run(
            "UPDATE inbox
                SET state = 'done', due_at = NULL, reason = NULL, words = NULL, headers = '{}',
                    body = '', lease_owner = NULL, lease_until = NULL
              WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL",
            &[&id, &epoch],
        )
        .await?;
    if closed == 0 {
        Err(LedgerError::Stale.into())
    } else {
        Ok(())
    }
}

/// Keeps a webhook as it came, unless the same came within a day.
async fn keep_webhook(
    db: &Db<'_>,
    now: i64,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Outcome<bool> {
    let key = rows::body_key(body);
    let forgotten = now - rules::WEBHOOK_MEMORY;
    db.run(
        "DELETE FROM inbox WHERE id = ANY (ARRAY (
             SELECT id FROM inbox WHERE state = 'done' AND received_at <= $1
              ORDER BY received_at LIMIT 10
                FOR UPDATE SKIP LOCKED))",
        &[&forgotten],
    )
    .await?;
    db.run(
        "UPDATE inbox SET key = NULL WHERE target = $1 AND key = $2 AND received_at <= $3",
        &[&Text(target), &key, &forgotten],
    )
    .await?;
    let kept = db
        .run(
            "INSERT INTO inbox (target, key, headers, body, received_at, state, due_at)
             VALUES ($1, $2, $3, $4, $5, 'due', $5)
             ON CONFLICT (target, key) DO NOTHING",
            &[&Text(target), &key, &Text(headers), &body, &now],
        )
        .await?;
    if kept > 0 {
        db.webhooks_changed(target);
    }
    Ok(kept > 0)
}

/// Claims webhooks that are ready, oldest first.
async fn claim_webhooks(
    db: &Db<'_>,
    now: i64,
    daemon: &str,
    target: &str,
    limit: i64,
    until: i64,
) -> Outcome<Vec<WebhookRow>> {
    let mut claimed = db
        .all(
            "UPDATE inbox SET epoch = epoch + 1, lease_owner = $1, lease_until = $2
              WHERE id = ANY (ARRAY (
                        SELECT id FROM inbox
                         WHERE target = $5 AND due_at IS NOT NULL AND ready_at <= $3
                         ORDER BY ready_at LIMIT $4
                           FOR UPDATE SKIP LOCKED))
             RETURNING id, target, headers, body, attempts, epoch",
            &[&Text(daemon), &until, &now, &limit, &Text(target)],
            |row| {
                Ok(WebhookRow {
                    id: row.try_get(0)?,
                    target: row.try_get(1)?,
                    headers: row.try_get(2)?,
                    body: row.try_get(3)?,
                    attempts: tally(row, 4)?,
                    epoch: row.try_get(5)?,
                })
            },
        )
        .await?;
    claimed.sort_by_key(|row| row.id);
    Ok(claimed)
}

/// Puts a webhook off, or parks it.
async fn postpone_webhook(
    db: &Db<'_>,
    row: &WebhookRow,
    at: Option<Timestamp>,
    stop: &Stop,
) -> Outcome<()> {
    let put_off = db
        .run(
            "UPDATE inbox
                SET state = $3, due_at = $4, reason = $5, words = $6, attempts = attempts + 1,
                    lease_owner = NULL, lease_until = NULL
              WHERE id = $1 AND epoch = $2 AND lease_owner IS NOT NULL",
            &[
                &row.id,
                &row.epoch,
                &if at.is_some() { "due" } else { "parked" },
                &at.map(Timestamp::as_microsecond),
                &stop.reason.label(),
                &Text(&stop.message),
            ],
        )
        .await?;
    if put_off == 0 {
        return Err(LedgerError::Stale.into());
    }
    db.webhooks_changed(&row.target);
    Ok(())
}

/// Parked webhooks, oldest first.
async fn parked_webhooks(db: &Db<'_>, limit: i64) -> Outcome<Vec<(i64, String, Timestamp, Stop)>> {
    db.all(
        "SELECT id, target, received_at, reason, words FROM inbox
          WHERE state = 'parked' ORDER BY id LIMIT $1",
        &[&limit],
        |row| {
            let stop = rows::stop(row.try_get(3)?, row.try_get(4)?)
                .ok_or_else(|| LedgerError::Failed("parked without a reason".into()))?;
            Ok((
                row.try_get(0)?,
                row.try_get(1)?,
                rows::at(row.try_get(2)?)?,
                stop,
            ))
        },
    )
    .await
}

/// Makes parked webhooks due again, or drops them.
async fn settle_webhooks(db: &Db<'_>, now: i64, id: Option<i64>, retry: bool) -> Outcome<u64> {
    let settled = if retry {
        db.run(
            "UPDATE inbox SET state = 'due', due_at = $2, attempts = 0, reason = NULL, words = NULL
              WHERE state = 'parked' AND ($1::bigint IS NULL OR id = $1)",
            &[&id, &now],
        )
        .await?
    } else {
        db.run(
            "UPDATE inbox SET state = 'done', reason = NULL, words = NULL, headers = '{}', body = ''
              WHERE state = 'parked' AND ($1::bigint IS NULL OR id = $1)",
            &[&id],
        )
        .await?
    };
    if settled > 0 {
        db.everything_changed();
    }
    Ok(settled)
}
