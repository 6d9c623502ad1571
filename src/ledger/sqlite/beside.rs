//! Targets by which others are told: their lanes beside those that answer customers, and whether they
//! want to be told no more.

use rusqlite::params;

use super::tx::Tx;
use crate::ledger::Result;

/// Opens the lanes of a target that has none, beside those of other targets.
pub(super) fn open_beside(
    tx: &Tx<'_>,
    now: i64,
    target: &str,
    beside: &[String],
    facts: &str,
) -> Result<u64> {
    let there = tx.one(
        "SELECT 1 FROM lane WHERE target = ?1 LIMIT 1",
        [target],
        |row| row.get::<_, i64>(0),
    )?;
    if there.is_some() {
        return Ok(0);
    }
    let mut opened = 0;
    for other in beside {
        opened += tx.run(
            "INSERT INTO lane (session, target, head, state, due_at, updated_at)
             SELECT session, ?1, head, CASE state WHEN 'idle' THEN 'idle' ELSE 'due' END,
                    CASE state WHEN 'idle' THEN NULL ELSE ?3 END, ?3
               FROM lane WHERE target = ?2
             ON CONFLICT (session, target) DO NOTHING",
            params![target, other, now],
        )?;
        tx.run(
            "INSERT INTO fact (lane, name, value, unsure_since, candidate, reason, message)
             SELECT mine.id, fact.name, fact.value, fact.unsure_since, fact.candidate, fact.reason,
                    fact.message
               FROM lane AS mine
               JOIN lane AS other ON other.session = mine.session AND other.target = ?2
               JOIN fact ON fact.lane = other.id AND fact.name GLOB ?3
              WHERE mine.target = ?1 AND mine.state = 'due'
             ON CONFLICT (lane, name) DO NOTHING",
            params![target, other, format!("{facts}*")],
        )?;
    }
    tx.lanes_changed(target);
    Ok(opened as u64)
}

/// Why a lane of the target is parked for this reason, if one is.
pub(super) fn parked_for(tx: &Tx<'_>, target: &str, reason: &str) -> Result<Option<String>> {
    tx.one(
        "SELECT words FROM lane WHERE state = 'parked' AND reason = ?1 AND target = ?2 LIMIT 1",
        [reason, target],
        |row| row.get(0),
    )
}

/// Whether anything is known of a session.
pub(super) fn has_events(tx: &Tx<'_>, session: &str) -> Result<bool> {
    let found = tx.one(
        "SELECT 1 FROM event WHERE session = ?1 LIMIT 1",
        [session],
        |row| row.get::<_, i64>(0),
    )?;
    Ok(found.is_some())
}
