//! The rest: versions of mappings, who lives, and whether writing works.

use tokio_postgres::Row;

use super::db::{Db, Outcome, Text};
use crate::ledger::rows::{self, NewMapping};
use crate::ledger::{MappingRow, rules};

/// Stores the next version of a mapping, one at a time.
pub(super) async fn mapping_put(db: &Db<'_>, mapping: &NewMapping) -> Outcome<i64> {
    db.run("LOCK TABLE mapping IN SHARE ROW EXCLUSIVE MODE", &[])
        .await?;
    let latest = db
        .one(
            "SELECT version FROM mapping WHERE target = $1 ORDER BY version DESC LIMIT 1",
            &[&Text(&mapping.target)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let version = mapping.next(latest)?;
    db.run(
        "INSERT INTO mapping (target, version, text, who, why, at) VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &Text(&mapping.target),
            &version,
            &Text(&mapping.text),
            &Text(&mapping.who),
            &Text(&mapping.why),
            &mapping.at,
        ],
    )
    .await?;
    Ok(version)
}

/// A version of a mapping, or the latest.
pub(super) async fn mapping_get(
    db: &Db<'_>,
    target: &str,
    version: Option<i64>,
) -> Outcome<Option<MappingRow>> {
    db.one(
        "SELECT target, version, text, who, why, at FROM mapping
          WHERE target = $1 AND ($2::bigint IS NULL OR version = $2)
          ORDER BY version DESC LIMIT 1",
        &[&Text(target), &version],
        mapping_row,
    )
    .await
}

/// All versions, newest first.
pub(super) async fn mapping_history(db: &Db<'_>, target: &str) -> Outcome<Vec<MappingRow>> {
    db.all(
        "SELECT target, version, text, who, why, at FROM mapping
          WHERE target = $1 ORDER BY version DESC",
        &[&Text(target)],
        mapping_row,
    )
    .await
}

fn mapping_row(row: &Row) -> Outcome<MappingRow> {
    Ok(MappingRow {
        target: row.try_get(0)?,
        version: row.try_get(1)?,
        text: row.try_get(2)?,
        who: row.try_get(3)?,
        why: row.try_get(4)?,
        at: rows::at(row.try_get(5)?)?,
    })
}

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
pub(super) async fn farewell(db: &Db<'_>, daemon: &str) -> Outcome<()> {
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
    db.wake();
    Ok(())
}

/// Grows by half a megabyte and gives it back, to know that there is room: what exists already can
/// often be written to on a disk that is full.
pub(super) async fn grow(db: &Db<'_>) -> Outcome<()> {
    for sql in [
        "CREATE TABLE handoffd_room AS SELECT md5(n::text) AS bytes FROM generate_series(1, 8192) AS n",
        "DROP TABLE handoffd_room",
    ] {
        db.run(sql, &[]).await?;
    }
    Ok(())
}

/// Writes, to know that writing works.
pub(super) async fn beat(db: &Db<'_>) -> Outcome<()> {
    db.run("UPDATE pulse SET beats = beats + 1 WHERE one = 1", &[])
        .await?;
    Ok(())
}
