//! The rest: versions of mappings, who lives, and whether writing works.

use rusqlite::{Row, params};

use super::tx::Tx;
use crate::ledger::rows::{self, NewMapping};
use crate::ledger::{MappingRow, Result, rules};

/// Stores the next version of a mapping.
pub(super) fn mapping_put(tx: &Tx<'_>, mapping: &NewMapping) -> Result<i64> {
    let latest = tx.one(
        "SELECT version FROM mapping WHERE target = ?1 ORDER BY version DESC LIMIT 1",
        [&mapping.target],
        |row| row.get(0),
    )?;
    let version = mapping.next(latest)?;
    tx.run(
        "INSERT INTO mapping (target, version, text, who, why, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            mapping.target,
            version,
            mapping.text,
            mapping.who,
            mapping.why,
            mapping.at
        ],
    )?;
    Ok(version)
}

/// A version of a mapping, or the latest.
pub(super) fn mapping_get(
    tx: &Tx<'_>,
    target: &str,
    version: Option<i64>,
) -> Result<Option<MappingRow>> {
    tx.one(
        "SELECT target, version, text, who, why, at FROM mapping
          WHERE target = ?1 AND version <= coalesce(?2, 9223372036854775807)
            AND version >= coalesce(?2, 1)
          ORDER BY version DESC LIMIT 1",
        params![target, version],
        mapping_row,
    )?
    .transpose()
}

/// All versions, newest first.
pub(super) fn mapping_history(tx: &Tx<'_>, target: &str) -> Result<Vec<MappingRow>> {
    let rows = tx.all(
        "SELECT target, version, text, who, why, at FROM mapping
          WHERE target = ?1 ORDER BY version DESC",
        [target],
        mapping_row,
    )?;
    rows.into_iter().collect()
}

fn mapping_row(row: &Row<'_>) -> rusqlite::Result<Result<MappingRow>> {
    let (target, version, text) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (who, why) = (row.get(3)?, row.get(4)?);
    let at = rows::at(row.get(5)?);
    Ok(at.map(|at| MappingRow {
        target,
        version,
        text,
        who,
        why,
        at,
    }))
}

/// Says that a daemon lives; returns how many do.
pub(super) fn heartbeat(tx: &Tx<'_>, now: i64, daemon: &str, since: i64) -> Result<u32> {
    tx.run(
        "DELETE FROM daemon WHERE seen_at < ?1",
        [since - rules::DAEMON_MEMORY],
    )?;
    tx.run(
        "INSERT INTO daemon (name, seen_at) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
        params![daemon, now],
    )?;
    let alive = tx.one(
        "SELECT count(*) FROM daemon WHERE seen_at >= ?1 OR name = ?2",
        params![since, daemon],
        |row| row.get(0),
    )?;
    Ok(alive.unwrap_or(0))
}

/// A daemon stops: its leases end now.
pub(super) fn farewell(tx: &Tx<'_>, daemon: &str) -> Result<()> {
    tx.run(
        "UPDATE lane SET lease_owner = NULL, lease_until = NULL, woken = 0 WHERE lease_owner = ?1",
        [daemon],
    )?;
    tx.run(
        "UPDATE feed SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = ?1",
        [daemon],
    )?;
    tx.run(
        "UPDATE inbox SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = ?1",
        [daemon],
    )?;
    tx.run("DELETE FROM daemon WHERE name = ?1", [daemon])?;
    tx.wake();
    Ok(())
}

/// Writes, to know that writing works.
pub(super) fn beat(tx: &Tx<'_>) -> Result<()> {
    tx.run("UPDATE pulse SET beats = beats + 1 WHERE one = 1", [])?;
    Ok(())
}
