//! What is not well, counted.

use handoffd_contract::Stop;
use rusqlite::{Row, params};

use super::tx::Tx;
use crate::ledger::rows;
use crate::ledger::rules;
use crate::ledger::troubles::{Cause, LetterGroup, Letters, Refused, Troubles};
use crate::ledger::{Group, LedgerError, Result};

/// Everything that is not well.
pub(super) fn troubles(tx: &Tx<'_>) -> Result<Troubles> {
    let waiting = tx.all(
        "SELECT target, reason, words, count(*), min(updated_at), min(session) FROM lane
          WHERE state IN ('due', 'held') AND reason IS NOT NULL
          GROUP BY target, reason, words
          ORDER BY count(*) DESC, min(updated_at) LIMIT ?1",
        [rules::MAX_ROWS],
        |row| {
            let stop = rows::stop(row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, stop, row.get(3)?, row.get(4)?, row.get(5)?))
        },
    )?;
    let waiting = waiting
        .into_iter()
        .map(|(target, stop, count, oldest, example)| {
            Ok(Group {
                target,
                stop: stop.ok_or_else(without_reason)?,
                count,
                oldest: rows::at(oldest)?,
                example,
            })
        });
    Ok(Troubles {
        waiting: waiting.collect::<Result<_>>()?,
        dead_letters: causes(
            tx,
            "SELECT origin, reason, words, count(*), min(received_at), min(id), min(session)
               FROM poison GROUP BY origin, reason, words
              ORDER BY count(*) DESC, min(id) LIMIT ?1",
        )?,
        webhooks: causes(
            tx,
            "SELECT target, reason, words, count(*), min(received_at), min(id), NULL
               FROM inbox WHERE state = 'parked' GROUP BY target, reason, words
              ORDER BY count(*) DESC, min(id) LIMIT ?1",
        )?,
    })
}

fn causes(tx: &Tx<'_>, sql: &str) -> Result<Vec<Cause>> {
    let found = tx.all(sql, [rules::MAX_ROWS], raw_cause)?;
    found.into_iter().map(cause).collect()
}

/// Origin, reason, count, oldest, example and session, as they are stored.
type RawCause = (String, Option<Stop>, i64, i64, i64, Option<String>);

fn raw_cause(row: &Row<'_>) -> rusqlite::Result<RawCause> {
    let stop = rows::stop(row.get(1)?, row.get(2)?);
    let (origin, count, oldest) = (row.get(0)?, row.get(3)?, row.get(4)?);
    Ok((origin, stop, count, oldest, row.get(5)?, row.get(6)?))
}

fn cause((origin, stop, count, oldest, example, session): RawCause) -> Result<Cause> {
    Ok(Cause {
        origin,
        stop: stop.ok_or_else(without_reason)?,
        count,
        oldest: rows::at(oldest)?,
        example,
        session,
    })
}

/// Dead letters by cause and source.
pub(super) fn letters(tx: &Tx<'_>) -> Result<Letters> {
    let found = tx.all(
        "SELECT origin, reason, words, count(*), min(received_at), min(id), min(session), source
           FROM poison GROUP BY origin, reason, words, source
          ORDER BY count(*) DESC, min(id) LIMIT ?1",
        [rules::MAX_ROWS],
        |row| Ok((raw_cause(row)?, row.get(7)?)),
    )?;
    let group = |(raw, source)| {
        let cause = cause(raw)?;
        Ok(LetterGroup { cause, source })
    };
    let count = tx.one("SELECT count(*) FROM poison", [], |row| row.get(0))?;
    Ok(Letters {
        count: count.unwrap_or(0),
        groups: found.into_iter().map(group).collect::<Result<_>>()?,
    })
}

/// The newest dead letters of a session, oldest first.
pub(super) fn refused(tx: &Tx<'_>, session: &str) -> Result<Vec<Refused>> {
    let found = tx.all(
        "SELECT id, received_at, origin, reason, words FROM poison
          WHERE session = ?1 ORDER BY id DESC LIMIT ?2",
        params![session, rules::MAX_REFUSED],
        |row: &Row<'_>| {
            let stop = rows::stop(row.get(3)?, row.get(4)?);
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, stop))
        },
    )?;
    let mut refused = Vec::with_capacity(found.len());
    for (id, received_at, origin, stop) in found.into_iter().rev() {
        refused.push(Refused {
            id,
            received_at: rows::at(received_at)?,
            origin,
            stop: stop.ok_or_else(without_reason)?,
        });
    }
    Ok(refused)
}

fn without_reason() -> LedgerError {
    LedgerError::Failed("it stopped without a reason".into())
}
