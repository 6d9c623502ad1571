//! How much happened, counted from the rows themselves.

use jiff::Timestamp;
use rusqlite::params;

use super::tx::Tx;
use crate::ledger::figures::{
    AT_ONCE, AttemptRow, EventRow, Figure, LOOKED_INTO, SETTLED, Span, Sums, settled,
};
use crate::ledger::{Result, rows};

/// Up to which event and attempt everything is counted.
pub(super) type Place = (i64, i64);

/// What was found to be counted.
pub(super) struct Counted {
    pub from: Place,
    pub to: Place,
    /// Whether there is more.
    pub more: bool,
}

/// What is to be added, and up to where.
pub(super) fn found(tx: &Tx<'_>, now: Timestamp) -> Result<(Counted, Sums)> {
    let from: Place = tx
        .one(
            "SELECT event, attempt FROM counted WHERE one = 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .unwrap_or_default();
    let until = (now - SETTLED).as_microsecond();
    let events = tx.all(
        "SELECT seq, kind, session, received_at, CASE WHEN kind IN (?3, ?4, ?5) THEN body END
           FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        params![
            from.0,
            AT_ONCE,
            LOOKED_INTO[0],
            LOOKED_INTO[1],
            LOOKED_INTO[2]
        ],
        |row| {
            Ok(EventRow {
                seq: row.get(0)?,
                kind: row.get(1)?,
                session: row.get(2)?,
                received_at: row.get(3)?,
                body: row.get(4)?,
            })
        },
    )?;
    let attempts = tx.all(
        "SELECT attempt.id, lane.target, started_at + millis * 1000, millis,
                outcome IN ('later', 'never', 'lost')
           FROM attempt JOIN lane ON lane.id = attempt.lane
          WHERE attempt.id > ?1 ORDER BY attempt.id LIMIT ?2",
        params![from.1, AT_ONCE],
        |row| {
            Ok(AttemptRow {
                id: row.get(0)?,
                target: row.get(1)?,
                ended_at: row.get(2)?,
                millis: row.get(3)?,
                failed: row.get(4)?,
            })
        },
    )?;
    let most = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    let full = (events.len() == most, attempts.len() == most);
    let events = settled(events, until, |row| row.received_at);
    let attempts = settled(attempts, until, |row| row.ended_at);
    let mut sums = Sums::default();
    for row in &events {
        sums.event(row)?;
    }
    attempts.iter().for_each(|row| sums.attempt(row));
    for done in std::mem::take(&mut sums.completed) {
        let came = tx.one(
            "SELECT received_at FROM event WHERE session = ?1 AND producer_id = ?2 ORDER BY seq LIMIT 1",
            [&done.session, &done.handoff],
            |row| row.get(0),
        )?;
        sums.handoff(&done, came);
    }
    let counted = Counted {
        from,
        to: (
            events.last().map_or(from.0, |row| row.seq),
            attempts.last().map_or(from.1, |row| row.id),
        ),
        more: (full.0 && events.len() == most) || (full.1 && attempts.len() == most),
    };
    Ok((counted, sums))
}

/// Adds it, unless somebody else did.
pub(super) fn add(tx: &Tx<'_>, now: Timestamp, counted: &Counted, sums: &Sums) -> Result<()> {
    let moved = tx.run(
        "UPDATE counted SET event = ?3, attempt = ?4 WHERE one = 1 AND event = ?1 AND attempt = ?2",
        params![counted.from.0, counted.from.1, counted.to.0, counted.to.1],
    )?;
    if moved == 0 {
        return Ok(());
    }
    for ((span, at, name, target, bucket), n) in &sums.sums {
        tx.run(
            "INSERT INTO figure (span, at, name, target, bucket, n) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (span, at, name, target, bucket) DO UPDATE SET n = n + excluded.n",
            params![span, at, name, target, bucket, n],
        )?;
    }
    for span in Span::ALL {
        tx.run(
            "DELETE FROM figure WHERE span = ?1 AND at < ?2",
            params![span.seconds(), now.as_second() - span.kept()],
        )?;
    }
    Ok(())
}

/// Sums since then.
pub(super) fn figures(tx: &Tx<'_>, span: Span, since: Timestamp) -> Result<Vec<Figure>> {
    let found = tx.all(
        "SELECT at, name, target, bucket, n FROM figure WHERE span = ?1 AND at >= ?2
          ORDER BY at, name, target, bucket",
        params![span.seconds(), since.as_second()],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        },
    )?;
    let each = found.into_iter();
    each.map(|(at, name, target, bucket, n)| {
        Ok(Figure {
            at: rows::at(at.saturating_mul(1_000_000))?,
            name,
            target,
            bucket,
            n,
        })
    })
    .collect()
}
