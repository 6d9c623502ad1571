//! What intake needs: events in, and dead letters (table `poison`).

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::admit::admit;
use super::find::admit_found;
use super::tx::Tx;
use super::{Sqlite, disk_space};
use crate::ledger::rows::{self, Arrival, count};
use crate::ledger::{
    Admission, Admitted, DeadLetter, DeadLetterRow, EventLedger, LedgerError, Result,
};

#[async_trait]
impl EventLedger for Sqlite {
    async fn admit(&self, now: Timestamp, events: Vec<Admission>) -> Result<Vec<Admitted>> {
        let (now, rules) = (now.as_microsecond(), self.followed.rules());
        if events.iter().any(|event| event.find.is_some()) {
            let stored = move |tx: &Tx<'_>| admit_found(tx, now, &events, &rules);
            return self.write(stored).await;
        }
        let arrivals = Arrival::all(&events, &rules)?;
        self.write(move |tx| admit(tx, now, &arrivals)).await
    }

    async fn keep_dead_letter(&self, now: Timestamp, letter: DeadLetter) -> Result<()> {
        self.write(move |tx| keep_dead_letter(tx, now.as_microsecond(), &letter))
            .await
    }

    async fn dead_letters(&self, after: i64, limit: usize) -> Result<Vec<DeadLetterRow>> {
        self.read(move |tx| dead_letters(tx, after, count(limit)))
            .await
    }

    async fn resolve_dead_letter(
        &self,
        now: Timestamp,
        id: i64,
        events: Vec<Admission>,
    ) -> Result<()> {
        let (now, rules) = (now.as_microsecond(), self.followed.rules());
        self.write(move |tx| {
            resolve_dead_letter(tx, id)?;
            admit_found(tx, now, &events, &rules).map(|_| ())
        })
        .await
    }

    async fn ping(&self) -> Result<()> {
        let path = self.path.clone();
        self.read(move |_| disk_space::beside(&path)).await?;
        if self.full.load(Ordering::Relaxed) {
            self.write(disk_space::grow).await?;
            self.write(disk_space::shrink).await?;
            self.full.store(false, Ordering::Relaxed);
        }
        self.write(beat).await?;
        self.read(|tx| tx.one("SELECT beats FROM pulse WHERE one = 1", [], |_| Ok(())))
            .await?
            .ok_or_else(|| LedgerError::Failed("the ledger has no pulse".into()))
    }
}

/// Keeps something that could not be understood, once.
fn keep_dead_letter(tx: &Tx<'_>, now: i64, letter: &DeadLetter) -> Result<()> {
    tx.run(
        "INSERT INTO poison (origin, key, reason, words, headers, raw, received_at, session, source)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (origin, key, reason) DO NOTHING",
        params![
            letter.origin,
            rows::body_key(&letter.raw),
            letter.stop.reason.label(),
            letter.stop.message,
            letter.headers,
            letter.raw,
            now,
            letter.session,
            letter.source
        ],
    )?;
    Ok(())
}

/// Dead letters after a number, oldest first.
fn dead_letters(tx: &Tx<'_>, after: i64, limit: i64) -> Result<Vec<DeadLetterRow>> {
    let rows = tx.all(
        "SELECT id, received_at, origin, reason, words, headers, raw, session, source
           FROM poison WHERE id > ?1 ORDER BY id LIMIT ?2",
        [after, limit],
        dead_letter_row,
    )?;
    rows.into_iter().collect()
}

fn dead_letter_row(row: &Row<'_>) -> rusqlite::Result<Result<DeadLetterRow>> {
    let id = row.get(0)?;
    let received_at = rows::at(row.get(1)?);
    let stop = rows::stop(row.get(3)?, row.get(4)?);
    let (origin, headers, raw) = (row.get(2)?, row.get(5)?, row.get(6)?);
    let (session, source) = (row.get(7)?, row.get(8)?);
    Ok(received_at.and_then(|received_at| {
        let stop =
            stop.ok_or_else(|| LedgerError::Failed("a dead letter without a reason".into()))?;
        Ok(DeadLetterRow {
            id,
            received_at,
            letter: DeadLetter {
                origin,
                stop,
                headers,
                raw,
                session,
                source,
            },
        })
    }))
}

/// Takes a dead letter out.
fn resolve_dead_letter(tx: &Tx<'_>, id: i64) -> Result<()> {
    if tx.run("DELETE FROM poison WHERE id = ?1", [id])? == 0 {
        return Err(LedgerError::Conflict(format!(
            "there is no dead letter {id}"
        )));
    }
    Ok(())
}

/// Writes, to know that writing works.
fn beat(tx: &Tx<'_>) -> Result<()> {
    tx.run("UPDATE pulse SET beats = beats + 1 WHERE one = 1", [])?;
    Ok(())
}
