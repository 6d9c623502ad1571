//! Versions of mappings.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::Sqlite;
use super::tx::Tx;
use crate::ledger::rows::{self, NewMapping};
use crate::ledger::{MappingLedger, MappingRow, Result};

#[async_trait]
impl MappingLedger for Sqlite {
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
        self.write(move |tx| mapping_put(tx, &mapping)).await
    }

    async fn mapping_get(&self, target: &str, version: Option<i64>) -> Result<Option<MappingRow>> {
        let target = target.to_owned();
        self.read(move |tx| mapping_get(tx, &target, version)).await
    }

    async fn mapping_history(&self, target: &str) -> Result<Vec<MappingRow>> {
        let target = target.to_owned();
        self.read(move |tx| mapping_history(tx, &target)).await
    }
}

/// Stores the next version of a mapping.
fn mapping_put(tx: &Tx<'_>, mapping: &NewMapping) -> Result<i64> {
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
fn mapping_get(tx: &Tx<'_>, target: &str, version: Option<i64>) -> Result<Option<MappingRow>> {
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
fn mapping_history(tx: &Tx<'_>, target: &str) -> Result<Vec<MappingRow>> {
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
