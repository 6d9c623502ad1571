//! Daemons: who lives, and what one that stops gives back.

use super::db::{Db, Outcome, Text};
use crate::ledger::rules;

/// Says that a daemon lives; returns how many do.
pub(super) async fn heartbeat(db: &Db<'_>, now: i64, daemon: &str, since: i64) -> Outcome<u32> {
    db.run(
        "DELETE FROM daemon WHERE seen_at < $1",
        &[&(since - rules::DAEMON_MEMORY)],
    )
    .await?;
    db.run(
        "INSERT INTO daemon (name, seen_at) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
        &[&Text(daemon), &now],
    )
    .await?;
    let alive: Option<i64> = db
        .one(
            "SELECT count(*) FROM daemon WHERE seen_at >= $1 OR name = $2",
            &[&since, &Text(daemon)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(alive
        .and_then(|alive| u32::try_from(alive).ok())
        .unwrap_or(0))
}

/// A daemon stops: its leases end now.
pub(super) async fn release_all_leases(db: &Db<'_>, daemon: &str) -> Outcome<()> {
    let daemon = Text(daemon);
    for sql in [
        "UPDATE lane SET lease_owner = NULL, lease_until = NULL, woken = false
          WHERE lease_owner = $1",
        "UPDATE feed SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1",
        "UPDATE inbox SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1",
        "DELETE FROM daemon WHERE name = $1",
    ] {
        db.run(sql, &[&daemon]).await?;
    }
    db.everything_changed();
    Ok(())
}
