//! Daemons: who lives, and what one that stops gives back.

use rusqlite::params;

use super::tx::Tx;
use crate::ledger::{Result, rules};

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
pub(super) fn release_all_leases(tx: &Tx<'_>, daemon: &str) -> Result<()> {
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
    tx.everything_changed();
    Ok(())
}
