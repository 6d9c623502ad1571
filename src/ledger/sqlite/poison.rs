//! What could not be understood, as it came.

use rusqlite::{Row, params};

use super::intake::admit;
use super::tx::Tx;
use crate::ledger::rows::{self, Arrival};
use crate::ledger::{LedgerError, Poison, PoisonRow, Result};

/// Keeps something that could not be understood, once.
pub(super) fn poison(tx: &Tx<'_>, now: i64, poison: &Poison) -> Result<()> {
    tx.run(
        "INSERT INTO poison (origin, key, reason, words, headers, raw, received_at, session)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (origin, key, reason) DO NOTHING",
        params![
            poison.origin,
            rows::body_key(&poison.raw),
            poison.stop.reason.label(),
            poison.stop.words,
            poison.headers,
            poison.raw,
            now,
            poison.session
        ],
    )?;
    Ok(())
}

/// Kept poison after a number, oldest first.
pub(super) fn poisoned(tx: &Tx<'_>, after: i64, limit: i64) -> Result<Vec<PoisonRow>> {
    let rows = tx.all(
        "SELECT id, received_at, origin, reason, words, headers, raw, session
           FROM poison WHERE id > ?1 ORDER BY id LIMIT ?2",
        [after, limit],
        poison_row,
    )?;
    rows.into_iter().collect()
}

fn poison_row(row: &Row<'_>) -> rusqlite::Result<Result<PoisonRow>> {
    let id = row.get(0)?;
    let received_at = rows::at(row.get(1)?);
    let stop = rows::stop(row.get(3)?, row.get(4)?);
    let (origin, headers, raw) = (row.get(2)?, row.get(5)?, row.get(6)?);
    let session = row.get(7)?;
    Ok(received_at.and_then(|received_at| {
        let stop = stop.ok_or_else(|| LedgerError::Failed("poison without a reason".into()))?;
        Ok(PoisonRow {
            id,
            received_at,
            poison: Poison {
                origin,
                stop,
                headers,
                raw,
                session,
            },
        })
    }))
}

/// Takes poison out, and stores the events that it became.
pub(super) fn unpoison(tx: &Tx<'_>, now: i64, id: i64, arrivals: &[Arrival]) -> Result<()> {
    if tx.run("DELETE FROM poison WHERE id = ?1", [id])? == 0 {
        return Err(LedgerError::Conflict(format!(
            "there is no undecodable event {id}"
        )));
    }
    admit(tx, now, arrivals).map(|_| ())
}
