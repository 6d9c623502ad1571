//! A lane's facts and attempts, row by row.

use std::collections::BTreeSet;

use rusqlite::params;

use super::tx::Tx;
use crate::ledger::rows::FactRow;
use crate::ledger::{Attempt, Result};

/// Every fact of a lane.
pub(super) fn facts(tx: &Tx<'_>, lane: i64) -> Result<Vec<FactRow>> {
    tx.all(
        "SELECT name, value, unsure_since, candidate, reason, message FROM fact WHERE lane = ?1",
        [lane],
        |row| {
            Ok(FactRow {
                name: row.get(0)?,
                value: row.get(1)?,
                unsure_since: row.get(2)?,
                candidate: row.get(3)?,
                reason: row.get(4)?,
                message: row.get(5)?,
            })
        },
    )
}

/// The events that were given up while an older one is not shown yet.
pub(super) fn given_up(tx: &Tx<'_>, lane: i64) -> Result<BTreeSet<i64>> {
    let seqs = tx.all("SELECT seq FROM given_up WHERE lane = ?1", [lane], |row| {
        row.get(0)
    })?;
    Ok(seqs.into_iter().collect())
}

/// Stores a fact, whatever it was before.
pub(super) fn put_fact(tx: &Tx<'_>, lane: i64, fact: &FactRow) -> Result<()> {
    tx.run(
        "INSERT INTO fact (lane, name, value, unsure_since, candidate, reason, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (lane, name) DO UPDATE
            SET value = excluded.value,
                unsure_since = excluded.unsure_since,
                candidate = excluded.candidate,
                reason = excluded.reason,
                message = excluded.message",
        params![
            lane,
            fact.name,
            fact.value,
            fact.unsure_since,
            fact.candidate,
            fact.reason,
            fact.message
        ],
    )?;
    Ok(())
}

pub(super) fn remove_fact(tx: &Tx<'_>, lane: i64, name: &str) -> Result<()> {
    tx.run(
        "DELETE FROM fact WHERE lane = ?1 AND name = ?2",
        params![lane, name],
    )?;
    Ok(())
}

pub(super) fn insert_attempt(tx: &Tx<'_>, lane: i64, attempt: &Attempt) -> Result<()> {
    tx.run(
        "INSERT INTO attempt (lane, step, started_at, millis, status, outcome, reason, words, call)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            lane,
            attempt.step,
            attempt.started_at.as_microsecond(),
            attempt.millis,
            attempt.status,
            attempt.outcome,
            attempt.stop.as_ref().map(|stop| stop.reason.label()),
            attempt.stop.as_ref().map(|stop| &stop.message),
            attempt.call
        ],
    )?;
    Ok(())
}
