//! How much happened, counted from the rows themselves.

use jiff::Timestamp;

use super::db::{Db, Outcome, Text};
use crate::ledger::figures::{
    AT_ONCE, AttemptRow, EventRow, Figure, LOOKED_INTO, SETTLED, Span, Sums, settled,
};
use crate::ledger::rows;

/// Counts on from where it was counted to. Whoever does this holds the row, so that nobody else counts the
/// same.
pub(super) async fn count(db: &Db<'_>, now: Timestamp) -> Outcome<bool> {
    let from: Option<(i64, i64)> = db
        .one(
            "SELECT event, attempt FROM counted WHERE one = 1 FOR UPDATE SKIP LOCKED",
            &[],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )
        .await?;
    // Somebody else does it now.
    let Some(from) = from else { return Ok(false) };
    let until = (now - SETTLED).as_microsecond();
    let (events, attempts) = (events(db, from.0).await?, attempts(db, from.1).await?);
    let most = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    let full = (events.len() == most, attempts.len() == most);
    let events = settled(events, until, |row| row.received_at);
    let attempts = settled(attempts, until, |row| row.ended_at);
    let more = (full.0 && events.len() == most) || (full.1 && attempts.len() == most);
    let to = (
        events.last().map_or(from.0, |row| row.seq),
        attempts.last().map_or(from.1, |row| row.id),
    );
    if to == from {
        return Ok(false);
    }
    let mut sums = Sums::default();
    for row in &events {
        sums.event(row)?;
    }
    attempts.iter().for_each(|row| sums.attempt(row));
    for done in std::mem::take(&mut sums.completed) {
        let came = db
            .one(
                "SELECT received_at FROM event WHERE session = $1 AND producer_id = $2
                  ORDER BY seq LIMIT 1",
                &[&Text(&done.session), &Text(&done.handoff)],
                |row| Ok(row.try_get(0)?),
            )
            .await?;
        sums.handoff(&done, came);
    }
    db.run(
        "UPDATE counted SET event = $1, attempt = $2 WHERE one = 1",
        &[&to.0, &to.1],
    )
    .await?;
    add(db, now, &sums).await?;
    Ok(more)
}

async fn events(db: &Db<'_>, after: i64) -> Outcome<Vec<EventRow>> {
    db.all(
        "SELECT seq, kind, session, received_at, CASE WHEN kind IN ($3, $4, $5) THEN body END
           FROM event WHERE seq > $1 ORDER BY seq LIMIT $2",
        &[
            &after,
            &AT_ONCE,
            &LOOKED_INTO[0],
            &LOOKED_INTO[1],
            &LOOKED_INTO[2],
        ],
        |row| {
            Ok(EventRow {
                seq: row.try_get(0)?,
                kind: row.try_get(1)?,
                session: row.try_get(2)?,
                received_at: row.try_get(3)?,
                body: row.try_get(4)?,
            })
        },
    )
    .await
}

async fn attempts(db: &Db<'_>, after: i64) -> Outcome<Vec<AttemptRow>> {
    db.all(
        "SELECT attempt.id, lane.target, started_at + millis * 1000, millis,
                outcome IN ('later', 'never', 'lost')
           FROM attempt JOIN lane ON lane.id = attempt.lane
          WHERE attempt.id > $1 ORDER BY attempt.id LIMIT $2",
        &[&after, &AT_ONCE],
        |row| {
            Ok(AttemptRow {
                id: row.try_get(0)?,
                target: row.try_get(1)?,
                ended_at: row.try_get(2)?,
                millis: row.try_get(3)?,
                failed: row.try_get(4)?,
            })
        },
    )
    .await
}

async fn add(db: &Db<'_>, now: Timestamp, sums: &Sums) -> Outcome<()> {
    let keys = || sums.sums.keys();
    let spans: Vec<i64> = keys().map(|key| key.0).collect();
    let ats: Vec<i64> = keys().map(|key| key.1).collect();
    let names: Vec<&str> = keys().map(|key| key.2).collect();
    let targets: Vec<Text<'_>> = keys().map(|key| Text(&key.3)).collect();
    let buckets: Vec<i64> = keys().map(|key| key.4).collect();
    let counts: Vec<i64> = sums.sums.values().copied().collect();
    db.run(
        "INSERT INTO figure (span, at, name, target, bucket, n)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
                              $6::bigint[])
         ON CONFLICT (span, at, name, target, bucket) DO UPDATE SET n = figure.n + excluded.n",
        &[&spans, &ats, &names, &targets, &buckets, &counts],
    )
    .await?;
    for span in Span::ALL {
        db.run(
            "DELETE FROM figure WHERE span = $1 AND at < $2",
            &[&span.seconds(), &(now.as_second() - span.kept())],
        )
        .await?;
    }
    Ok(())
}

/// Sums since then.
pub(super) async fn figures(db: &Db<'_>, span: Span, since: Timestamp) -> Outcome<Vec<Figure>> {
    db.all(
        "SELECT at, name, target, bucket, n FROM figure WHERE span = $1 AND at >= $2
          ORDER BY at, name, target, bucket",
        &[&span.seconds(), &since.as_second()],
        |row| {
            let at: i64 = row.try_get(0)?;
            Ok(Figure {
                at: rows::at(at.saturating_mul(1_000_000))?,
                name: row.try_get(1)?,
                target: row.try_get(2)?,
                bucket: row.try_get(3)?,
                n: row.try_get(4)?,
            })
        },
    )
    .await
}
