//! What intake needs: events in, and dead letters (table `poison`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Postgres;
use super::admit::admit;
use super::db::{Db, Outcome, Text};
use super::find::admit_found;
use super::transact::transact;
use crate::conversation::Rules;
use crate::ledger::rows::{self, Arrival, count};
use crate::ledger::{
    Admission, Admitted, DeadLetter, DeadLetterRow, EventLedger, LedgerError, Result,
};

#[async_trait]
impl EventLedger for Postgres {
    async fn admit(&self, now: Timestamp, events: Vec<Admission>) -> Result<Vec<Admitted>> {
        let (now, rules) = (now.as_microsecond(), self.followed.rules());
        if events.iter().any(|event| event.find.is_some()) {
            return transact!(self, Write, db => admit_found(db, now, &events, &rules));
        }
        let arrivals = Arrival::all(&events, &rules)?;
        transact!(self, Write, db => admit(db, now, &arrivals))
    }

    async fn keep_dead_letter(&self, now: Timestamp, letter: DeadLetter) -> Result<()> {
        transact!(self, Statement, db => keep_dead_letter(db, now.as_microsecond(), &letter))
    }

    async fn dead_letters(&self, after: i64, limit: usize) -> Result<Vec<DeadLetterRow>> {
        transact!(self, Statement, db => dead_letters(db, after, count(limit)))
    }

    async fn resolve_dead_letter(
        &self,
        now: Timestamp,
        id: i64,
        events: Vec<Admission>,
    ) -> Result<()> {
        let (now, rules) = (now.as_microsecond(), self.followed.rules());
        transact!(self, Write, db => resolve_dead_letter(db, now, id, &events, &rules))
    }

    async fn ping(&self) -> Result<()> {
        if self.full.load(Ordering::Relaxed) {
            let grown: Result<()> = transact!(self, Write, db => grow(db));
            grown?;
            self.full.store(false, Ordering::Relaxed);
        }
        transact!(self, Statement, db => beat(db))
    }
}

/// Keeps something that could not be understood, once.
async fn keep_dead_letter(db: &Db<'_>, now: i64, letter: &DeadLetter) -> Outcome<()> {
    db.run(
        "INSERT INTO poison (origin, key, reason, words, headers, raw, received_at, session, source)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (origin, key, reason) DO NOTHING",
        &[
            &Text(&letter.origin),
            &rows::body_key(&letter.raw),
            &letter.stop.reason.label(),
            &Text(&letter.stop.message),
            &Text(&letter.headers),
            &letter.raw,
            &now,
            &letter.session.as_deref().map(Text),
            &letter.source.as_deref().map(Text),
        ],
    )
    .await?;
    Ok(())
}

/// Dead letters after a number, oldest first.
async fn dead_letters(db: &Db<'_>, after: i64, limit: i64) -> Outcome<Vec<DeadLetterRow>> {
    db.all(
        "SELECT id, received_at, origin, reason, words, headers, raw, session, source
           FROM poison WHERE id > $1 ORDER BY id LIMIT $2",
        &[&after, &limit],
        |row| {
            let stop = rows::stop(row.try_get(3)?, row.try_get(4)?)
                .ok_or_else(|| LedgerError::Failed("a dead letter without a reason".into()))?;
            Ok(DeadLetterRow {
                id: row.try_get(0)?,
                received_at: rows::at(row.try_get(1)?)?,
                letter: DeadLetter {
                    origin: row.try_get(2)?,
                    stop,
                    headers: row.try_get(5)?,
                    raw: row.try_get(6)?,
                    session: row.try_get(7)?,
                    source: row.try_get(8)?,
                },
            })
        },
    )
    .await
}

/// Takes a dead letter out, and stores the events that it became.
async fn resolve_dead_letter(
    db: &Db<'_>,
    now: i64,
    id: i64,
    events: &[Admission],
    rules: &Arc<Rules>,
) -> Outcome<()> {
    if db.run("DELETE FROM poison WHERE id = $1", &[&id]).await? == 0 {
        return Err(LedgerError::Conflict(format!("there is no dead letter {id}")).into());
    }
    admit_found(db, now, events, rules).await.map(|_| ())
}

/// Grows by half a megabyte and gives it back, to know that there is room: what exists already can
/// often be written to on a disk that is full.
async fn grow(db: &Db<'_>) -> Outcome<()> {
    for sql in [
        "CREATE TABLE handoffd_room AS SELECT md5(n::text) AS bytes FROM generate_series(1, 8192) AS n",
        "DROP TABLE handoffd_room",
    ] {
        db.run(sql, &[]).await?;
    }
    Ok(())
}

/// Writes, to know that writing works.
async fn beat(db: &Db<'_>) -> Outcome<()> {
    db.run("UPDATE pulse SET beats = beats + 1 WHERE one = 1", &[])
        .await?;
    Ok(())
}
