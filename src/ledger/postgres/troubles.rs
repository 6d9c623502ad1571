//! What is not well, counted.

use tokio_postgres::Row;

use super::db::{Db, Outcome, Text};
use crate::ledger::rows;
use crate::ledger::rules;
use crate::ledger::troubles::{Cause, LetterGroup, Letters, Refused, Troubles};
use crate::ledger::{Group, LedgerError};

/// Everything that is not well. `db` is a transaction that sees one moment.
pub(super) async fn troubles(db: &Db<'_>) -> Outcome<Troubles> {
    let waiting = db
        .all(
            "SELECT target, reason, words, count(*), min(updated_at), min(session) FROM lane
              WHERE state IN ('due', 'held') AND reason IS NOT NULL
              GROUP BY target, reason, words
              ORDER BY count(*) DESC, min(updated_at) LIMIT $1",
            &[&rules::MAX_ROWS],
            |row| {
                Ok(Group {
                    target: row.try_get(0)?,
                    stop: stop(row, 1)?,
                    count: row.try_get(3)?,
                    oldest: rows::at(row.try_get(4)?)?,
                    example: row.try_get(5)?,
                })
            },
        )
        .await?;
    Ok(Troubles {
        waiting,
        dead_letters: db
            .all(
                "SELECT origin, reason, words, count(*), min(received_at), min(id), min(session)
                   FROM poison GROUP BY origin, reason, words
                  ORDER BY count(*) DESC, min(id) LIMIT $1",
                &[&rules::MAX_ROWS],
                cause,
            )
            .await?,
        webhooks: db
            .all(
                "SELECT target, reason, words, count(*), min(received_at), min(id), NULL::text
                   FROM inbox WHERE state = 'parked' GROUP BY target, reason, words
                  ORDER BY count(*) DESC, min(id) LIMIT $1",
                &[&rules::MAX_ROWS],
                cause,
            )
            .await?,
    })
}

fn cause(row: &Row) -> Outcome<Cause> {
    Ok(Cause {
        origin: row.try_get(0)?,
        stop: stop(row, 1)?,
        count: row.try_get(3)?,
        oldest: rows::at(row.try_get(4)?)?,
        example: row.try_get(5)?,
        session: row.try_get(6)?,
    })
}

/// Dead letters by cause and source. `db` is a transaction that sees one moment.
pub(super) async fn letters(db: &Db<'_>) -> Outcome<Letters> {
    let groups = db
        .all(
            "SELECT origin, reason, words, count(*), min(received_at), min(id), min(session), source
               FROM poison GROUP BY origin, reason, words, source
              ORDER BY count(*) DESC, min(id) LIMIT $1",
            &[&rules::MAX_ROWS],
            |row| {
                let source = row.try_get(7)?;
                Ok(LetterGroup {
                    cause: cause(row)?,
                    source,
                })
            },
        )
        .await?;
    let count = db
        .one(
            "SELECT count(*) FROM poison",
            &[],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(Letters {
        count: count.unwrap_or(0),
        groups,
    })
}

/// The newest dead letters of a session, oldest first.
pub(super) async fn refused(db: &Db<'_>, session: &str) -> Outcome<Vec<Refused>> {
    let mut refused = db
        .all(
            "SELECT id, received_at, origin, reason, words FROM poison
              WHERE session = $1 ORDER BY id DESC LIMIT $2",
            &[&Text(session), &rules::MAX_REFUSED],
            |row| {
                Ok(Refused {
                    id: row.try_get(0)?,
                    received_at: rows::at(row.try_get(1)?)?,
                    origin: row.try_get(2)?,
                    stop: stop(row, 3)?,
                })
            },
        )
        .await?;
    refused.reverse();
    Ok(refused)
}

/// The reason in this column, and the message in the next.
fn stop(row: &Row, at: usize) -> Outcome<handoffd_contract::Stop> {
    let stop = rows::stop(row.try_get(at)?, row.try_get(at + 1)?);
    Ok(stop.ok_or_else(|| LedgerError::Failed("it stopped without a reason".into()))?)
}
