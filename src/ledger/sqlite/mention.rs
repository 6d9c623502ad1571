//! What an event speaks of that came earlier.

use handoffd_contract::Event;
use handoffd_contract::lane::carried_fact;
use rusqlite::params;

use super::load::recall;
use super::tx::Tx;
use crate::ledger::lanes::{LOOKED_INTO, LOOKED_THROUGH};
use crate::ledger::{Mention, Result, rows};

/// The event that holds what is spoken of.
pub(super) fn mentioned(
    tx: &Tx<'_>,
    session: &str,
    before: i64,
    mention: &Mention,
) -> Result<Option<Event>> {
    let [one, another, third] = mention.kinds();
    let bodies: Vec<String> = tx.all(
        "SELECT body FROM (
             SELECT seq, body FROM event
              WHERE session = ?1 AND seq < ?2 AND kind IN (?3, ?4, ?5)
              ORDER BY seq DESC LIMIT ?6)
          WHERE octet_length(body) <= ?7 AND instr(body, ?8) > 0
          ORDER BY seq DESC LIMIT 3",
        params![
            session,
            before,
            one,
            another,
            third,
            LOOKED_THROUGH,
            LOOKED_INTO,
            mention.needle()
        ],
        |row| row.get(0),
    )?;
    for body in &bodies {
        let event: Event = rows::decode(body)?;
        if mention.is_in(&event) {
            return Ok(Some(event));
        }
    }
    let Mention::Message(id) = mention else {
        return Ok(None);
    };
    let item: Option<Option<String>> = tx.one(
        "SELECT fact.value FROM fact JOIN lane ON lane.id = fact.lane
          WHERE fact.name = ?1 AND lane.session = ?2 LIMIT 1",
        params![carried_fact(id), session],
        |row| row.get(0),
    )?;
    let Some(item) = item.flatten() else {
        return Ok(None);
    };
    let found = recall(tx, session, &item)?;
    Ok(found
        .filter(|(seq, _)| *seq < before)
        .map(|(_, event)| event))
}
