//! Conversations' states: moved with the events that move them, met when their deadlines come.

use async_trait::async_trait;
use handoffd_contract::{Controller, Event};
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::Sqlite;
use super::admit::{admit, who};
use super::tx::Tx;
use crate::conversation::Rules;
use crate::ledger::conversation::{self as kept, Counts, Mover, PEOPLE, StateRow, moved};
use crate::ledger::rows::{self, Arrival, count};
use crate::ledger::rules::MAX_ROWS;
use crate::ledger::{ConversationLedger, ConversationRow, Result};

#[async_trait]
impl ConversationLedger for Sqlite {
    fn follow(&self, rules: Rules) {
        self.followed.follow(rules);
    }

    async fn meet_deadlines(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let (now, rules) = (now.as_microsecond(), self.followed.rules());
        self.write(move |tx| {
            let due = due(tx, now, count(limit))?;
            for (session, deadline) in &due {
                let mover = Mover::deadline(*deadline, &rules)?;
                let follows = move_session(tx, now, session, &mover)?;
                admit(tx, now, &follows)?;
            }
            Ok(due.len())
        })
        .await
    }

    async fn conversations(&self, controller: &str, limit: usize) -> Result<Vec<ConversationRow>> {
        let controller = controller.to_owned();
        let limit = count(limit).min(MAX_ROWS);
        self.read(move |tx| conversations(tx, &controller, limit))
            .await
    }
}

/// Moves a session's state. Returns what follows.
pub(super) fn move_session(
    tx: &Tx<'_>,
    now: i64,
    session: &str,
    mover: &Mover,
) -> Result<Vec<Arrival>> {
    let before = state(tx, session)?.unwrap_or_default();
    let inbound = who(tx, session)?.and_then(|who| who.inbound_at);
    let (after, follows) = moved(session, &before, mover, inbound, now)?;
    if let Some(after) = after {
        tx.run(
            "UPDATE session SET state = ?2, controller = ?3, since = ?4, deadline_at = ?5
              WHERE id = ?1",
            params![
                session,
                after.state,
                after.controller,
                after.since,
                after.deadline_at
            ],
        )?;
    }
    Ok(follows)
}

/// A session's state.
pub(super) fn state(tx: &Tx<'_>, session: &str) -> Result<Option<StateRow>> {
    tx.one(
        "SELECT state, controller, since, deadline_at FROM session WHERE id = ?1",
        [session],
        |row| state_row(row, 0),
    )
}

fn state_row(row: &Row<'_>, from: usize) -> rusqlite::Result<StateRow> {
    Ok(StateRow {
        state: row.get(from)?,
        controller: row.get(from + 1)?,
        since: row.get(from + 2)?,
        deadline_at: row.get(from + 3)?,
    })
}

/// Sessions whose deadline has come.
fn due(tx: &Tx<'_>, now: i64, limit: i64) -> Result<Vec<(String, i64)>> {
    tx.all(
        "SELECT id, deadline_at FROM session
          WHERE deadline_at IS NOT NULL AND deadline_at <= ?1 ORDER BY deadline_at LIMIT ?2",
        params![now, limit],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

fn conversations(tx: &Tx<'_>, controller: &str, limit: i64) -> Result<Vec<ConversationRow>> {
    let found = tx.all(
        "SELECT id, state, controller, since, deadline_at FROM session
          WHERE controller IS NOT NULL AND controller = ?1 ORDER BY since LIMIT ?2",
        params![controller, limit],
        |row| Ok((row.get::<_, String>(0)?, state_row(row, 1)?)),
    )?;
    let rows = found.into_iter();
    rows.map(|(session, row)| row.shown(session)).collect()
}

/// Who is in charge up to an event of a session.
pub(super) fn controller(tx: &Tx<'_>, session: &str, seq: i64) -> Result<Controller> {
    let last: Option<(String, Option<String>)> = tx.one(
        "SELECT kind, CASE WHEN kind = 'session.state' THEN body END FROM event
          WHERE session = ?1 AND seq <= ?2 AND kind IN ('session.state', 'handoff.requested')
          ORDER BY seq DESC LIMIT 1",
        params![session, seq],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (kind, body) = last.unzip();
    kept::controller(kind.as_deref(), body.flatten().as_deref())
}

/// The newest messages before an event in whose time nothing was shown, oldest first.
pub(super) fn unshown(
    tx: &Tx<'_>,
    session: &str,
    before: i64,
    hidden: &[&str],
    (limit, bytes): (usize, usize),
) -> Result<Vec<Event>> {
    let changes = tx.all(
        "SELECT seq, kind, CASE WHEN kind = 'session.state' THEN body END FROM event
          WHERE session = ?1 AND seq < ?2 AND kind IN ('session.state', 'handoff.requested')
          ORDER BY seq DESC LIMIT ?3",
        params![session, before, kept::MAX_CHANGES],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some(since) = kept::hidden_since(&changes, hidden)? else {
        return Ok(Vec::new());
    };
    let (mut events, mut size) = (Vec::new(), 0);
    tx.each(
        "SELECT body FROM event
          WHERE session = ?1 AND seq > ?2 AND seq < ?3
            AND kind IN ('message.received', 'message.sent')
          ORDER BY seq DESC LIMIT ?4",
        params![session, since, before, count(limit)],
        |row| {
            let body: String = row.get(0)?;
            size += body.len();
            let fits = size <= bytes;
            if fits {
                events.push(body);
            }
            Ok(fits)
        },
    )?;
    events.iter().rev().map(|body| rows::decode(body)).collect()
}

/// How many conversations people have, and since when the oldest one waits in a queue.
pub(super) fn stats(tx: &Tx<'_>) -> Result<Counts> {
    let mut counts = Vec::new();
    for controller in PEOPLE {
        let count = tx.one(
            "SELECT count(*) FROM session WHERE controller IS NOT NULL AND controller = ?1",
            [controller],
            |row| row.get(0),
        )?;
        counts.push((controller.to_owned(), count.unwrap_or(0)));
    }
    let oldest: Option<Option<i64>> = tx.one(
        "SELECT since FROM session WHERE controller IS NOT NULL AND controller = 'queued'
          ORDER BY since LIMIT 1",
        [],
        |row| row.get(0),
    )?;
    Ok((counts, rows::maybe_at(oldest.flatten())?))
}
