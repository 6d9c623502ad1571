//! Lanes looked at while nobody works on them.

use handoffd_contract::Settled;
use rusqlite::params;

use super::admit::admit;
use super::facts::put_fact;
use super::lanes::lane_ref;
use super::tx::Tx;
use crate::ledger::rows::{self, Arrival, FactRow};
use crate::ledger::{LedgerError, Result, Unlooked};

/// Lanes that are to be looked at.
pub(super) fn unlooked(
    tx: &Tx<'_>,
    now: i64,
    target: &str,
    blocked: bool,
    limit: i64,
) -> Result<Vec<Unlooked>> {
    let rows = tx.all(
        "SELECT id, session, target, state, reason, words, epoch, look_at FROM lane
          WHERE target = ?1 AND look_at IS NOT NULL AND look_at <= ?2
            AND (lease_until IS NULL OR lease_until <= ?2) AND (reason IS NOT NULL OR ?3)
          ORDER BY look_at LIMIT ?4",
        params![target, now, blocked, limit],
        |row| {
            let state: String = row.get(3)?;
            let (reason, words): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
            Ok((
                lane_ref(row)?,
                state,
                reason,
                words,
                row.get(6)?,
                row.get(7)?,
            ))
        },
    )?;
    rows.into_iter()
        .map(|(lane, state, reason, words, epoch, since)| {
            Ok(Unlooked {
                lane,
                state: rows::lane_state(&state)?,
                stop: rows::stop(reason, words),
                epoch,
                since: rows::at(since)?,
            })
        })
        .collect()
}

/// Stores what looking at a lane came to.
pub(super) fn looked(
    tx: &Tx<'_>,
    now: i64,
    lane: &Unlooked,
    facts: &[(String, Settled)],
    arrivals: &[Arrival],
    again: Option<i64>,
) -> Result<()> {
    let same = tx.run(
        "UPDATE lane SET look_at = ?5
          WHERE id = ?1 AND epoch = ?2 AND look_at = ?3
            AND (lease_until IS NULL OR lease_until <= ?4)",
        params![
            lane.lane.lane,
            lane.epoch,
            lane.since.as_microsecond(),
            now,
            again
        ],
    )?;
    if same == 0 {
        return Err(LedgerError::Stale);
    }
    admit(tx, now, arrivals)?;
    for (name, value) in facts {
        put_fact(tx, lane.lane.lane, &FactRow::settled(name, value.clone()))?;
    }
    Ok(())
}
