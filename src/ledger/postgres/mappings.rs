//! Versions of mappings.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::db::{Db, Outcome, Text};
use super::transact::transact;
use crate::ledger::rows::{self, NewMapping};
use crate::ledger::{MappingLedger, MappingRow, Result};

#[async_trait]
impl MappingLedger for Postgres {
    async fn mapping_put(
        &self,
        now: Timestamp,
        target: &str,
        text: &str,
        who: &str,
        why: &str,
        expect: Option<i64>,
    ) -> Result<i64> {
        let mapping = NewMapping::new(now, target, text, who, why, expect);
        transact!(self, Write, db => mapping_put(db, &mapping))
    }

    async fn mapping_get(&self, target: &str, version: Option<i64>) -> Result<Option<MappingRow>> {
        transact!(self, Statement, db => mapping_get(db, target, version))
    }

    async fn mapping_history(&self, target: &str) -> Result<Vec<MappingRow>> {
        transact!(self, Statement, db => mapping_history(db, target))
    }
}

/// Stores the next version of a mapping, one at a time.
async fn mapping_put(db: &Db<'_>, mapping: &NewMapping) -> Outcome<i64> {
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
async fn mapping_get(
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
async fn mapping_history(db: &Db<'_>, target: &str) -> Outcome<Vec<MappingRow>> {
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
