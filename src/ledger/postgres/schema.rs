//! Bringing the schema up to date: forward only, by one daemon at a time.

use deadpool_postgres::Object;

use super::db::{Fault, Outcome};
use crate::ledger::LedgerError;

/// Step `n` brings the schema from version `n` to `n + 1`. Steps are never changed, only added.
const STEPS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
    include_str!("schema/0008.sql"),
    include_str!("schema/0009.sql"),
    include_str!("schema/0010.sql"),
    include_str!("schema/0011.sql"),
    include_str!("schema/0012.sql"),
];

/// The advisory lock under which a schema is changed: "handoffd" as a number.
const LOCK: i64 = 0x6861_6e64_6f66_6664;

/// Whether there is a schema of any version.
pub(super) async fn exists(connection: &Object) -> Outcome<bool> {
    let sql = "SELECT to_regclass('handoffd_schema') IS NOT NULL";
    Ok(connection.query_one(sql, &[]).await?.try_get(0)?)
}

/// Applies the missing steps, all or none. Whoever comes second waits, then finds nothing to do.
pub(super) async fn migrate(connection: &mut Object) -> Outcome<()> {
    let tx = connection.transaction().await?;
    tx.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    tx.batch_execute(
        "SET LOCAL client_min_messages = warning;
         CREATE TABLE IF NOT EXISTS handoffd_schema (version integer NOT NULL)",
    )
    .await?;
    let version = tx
        .query_opt("SELECT version FROM handoffd_schema", &[])
        .await?
        .map_or(Ok(0), |row| row.try_get::<_, i32>(0))?;
    let known = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    if version > known {
        return Err(Fault::Refused(LedgerError::Failed(format!(
            "the ledger was written by a newer handoffd: its schema is version {version}, this \
             one knows up to {known}. Start that version again, or restore a backup"
        ))));
    }
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        tx.batch_execute(step).await?;
    }
    if version < known {
        tx.execute("DELETE FROM handoffd_schema", &[]).await?;
        tx.execute("INSERT INTO handoffd_schema VALUES ($1)", &[&known])
            .await?;
    }
    tx.commit().await.map_err(Fault::Commit)
}
