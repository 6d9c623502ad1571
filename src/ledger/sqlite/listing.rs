//! Conversations, listed: those in which something happened last first.
//!
//! Nothing is kept for it. The newest events are walked backwards, and each that is its session's last one
//! stands for that session. What few sessions can be is begun at those sessions instead.

use jiff::Timestamp;
use rusqlite::{Row, ToSql, params};

use super::admit;
use super::tx::Tx;
use crate::ledger::conversation::StateRow;
use crate::ledger::view::{
    COUNTED_TO, Conversation, ConversationFilter, LOOKED_BACK, LaneBrief, Listing, SAID, STRIDE,
    Standing,
};
use crate::ledger::{Result, rows};

/// When the customer of session `s` last wrote to its business number; 0 when never.
pub(super) const WROTE: &str = "max(coalesce(s.inbound_at, 0), coalesce(
    (SELECT customer.inbound_at FROM customer
      WHERE customer.business_number = s.business_number AND customer.key = s.customer), 0))";

/// Which sessions fit: `?1` to `?9`. A plus keeps SQLite from looking for a session's lane among all that are
/// stopped alike. <https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_>
fn fits() -> String {
    format!(
        "(?1 IS NULL OR coalesce(s.controller, 'assistant') = ?1)
     AND (?2 IS NULL OR s.business_number = ?2)
     AND (?3 IS NULL OR ?4 IS NOT NULL
          OR EXISTS (SELECT 1 FROM lane WHERE lane.session = s.id AND lane.target = ?3))
     AND (?4 IS NULL OR EXISTS (SELECT 1 FROM lane
           WHERE lane.session = s.id AND +lane.state = ?4 AND lane.reason IS NOT NULL
             AND (?5 IS NULL OR +lane.reason = ?5) AND (?3 IS NULL OR lane.target = ?3)))
     AND (?6 = 0 OR NOT EXISTS (SELECT 1 FROM lane
           WHERE lane.session = s.id AND lane.reason IS NOT NULL
             AND (?3 IS NULL OR lane.target = ?3)))
     AND (?7 IS NULL OR ({WROTE} >= ?7 AND {WROTE} < ?8))
     AND (?9 = 0 OR s.controller IN ('queued', 'rep'))"
    )
}

/// The values of [`fits`].
fn values(now: Timestamp, filter: &ConversationFilter) -> Vec<Box<dyn ToSql>> {
    let lane = filter.state.and_then(Standing::lane);
    let wrote = filter.window.map(|window| window.wrote(now));
    vec![
        Box::new(filter.controller.clone()),
        Box::new(filter.number.clone()),
        Box::new(filter.target.clone()),
        Box::new(lane.map(|(state, _)| state.word())),
        Box::new(
            lane.and_then(|(_, reason)| reason)
                .map(|reason| reason.label()),
        ),
        Box::new(filter.state == Some(Standing::Well)),
        Box::new(wrote.map(|(from, _)| from)),
        Box::new(wrote.map(|(_, until)| until)),
        Box::new(filter.of_people()),
    ]
}

/// A page.
pub(super) fn listing(tx: &Tx<'_>, now: Timestamp, filter: &ConversationFilter) -> Result<Listing> {
    let wanted = filter.limit();
    let (mut found, rest) = match few(tx, now, filter)? {
        Some(found) => (found, None),
        None => walked(tx, now, filter)?,
    };
    let more = found.len() > usize::try_from(wanted).unwrap_or(usize::MAX);
    found.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
    let (mut before, mut looked_back_to) = (None, None);
    if more {
        before = found.last().map(|(seq, _)| *seq);
    } else if let Some((seq, at)) = rest {
        before = Some(seq);
        looked_back_to = Some(rows::at(at)?);
    }
    let each = found.into_iter();
    Ok(Listing {
        rows: each
            .map(|(seq, session)| conversation(tx, seq, session))
            .collect::<Result<_>>()?,
        before,
        looked_back_to,
    })
}

type Found = Vec<(i64, String)>;

/// Begun at the sessions themselves, where they can only be few.
fn few(tx: &Tx<'_>, now: Timestamp, filter: &ConversationFilter) -> Result<Option<Found>> {
    let lane = filter.state.and_then(Standing::lane);
    let people =
        matches!(filter.controller.as_deref(), Some("queued" | "rep")) || filter.of_people();
    let named;
    let source = if let Some(sessions) = &filter.sessions {
        named = rows::encode(sessions)?;
        "SELECT value FROM json_each(?13)"
    } else if lane.is_some() {
        named = String::new();
        "SELECT session FROM lane WHERE state = ?4 AND reason IS NOT NULL
            AND (?5 IS NULL OR reason = ?5) AND (?3 IS NULL OR target = ?3) AND ?13 = ''"
    } else if people {
        named = String::new();
        "SELECT id FROM session WHERE controller IS NOT NULL
            AND controller IN (coalesce(?1, 'queued'), coalesce(?1, 'rep')) AND ?13 = ''"
    } else {
        return Ok(None);
    };
    let mut all = values(now, filter);
    all.push(Box::new(filter.before.unwrap_or(i64::MAX)));
    all.push(Box::new(filter.since.map_or(0, Timestamp::as_microsecond)));
    all.push(Box::new(filter.limit() + 1));
    all.push(Box::new(named));
    let refs = || rusqlite::params_from_iter(all.iter().map(AsRef::as_ref));
    if filter.sessions.is_none() {
        let counted: Option<i64> = tx.one(
            &format!(
                "SELECT count(*) FROM (SELECT 1 FROM ({source}) LIMIT {})",
                COUNTED_TO + 1
            ),
            refs(),
            |row| row.get(0),
        )?;
        if counted.unwrap_or(0) > COUNTED_TO {
            return Ok(None);
        }
    }
    let found = tx.all(
        &format!(
            "SELECT last.seq, s.id
               FROM (SELECT DISTINCT one.* FROM ({source}) AS one) AS wanted
               CROSS JOIN session AS s ON s.id = wanted.{column}
               CROSS JOIN event AS last ON last.seq =
                    (SELECT seq FROM event WHERE event.session = s.id ORDER BY seq DESC LIMIT 1)
              WHERE {fits} AND last.seq < ?10 AND last.received_at >= ?11
              ORDER BY last.seq DESC LIMIT ?12",
            column = if filter.sessions.is_some() {
                "value"
            } else if lane.is_some() {
                "session"
            } else {
                "id"
            },
            fits = fits()
        ),
        refs(),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(Some(found))
}

/// Begun at the newest events. Also returns where the look ended, if there is more to look at.
fn walked(
    tx: &Tx<'_>,
    now: Timestamp,
    filter: &ConversationFilter,
) -> Result<(Found, Option<(i64, i64)>)> {
    let newest = tx.one("SELECT max(seq) FROM event", [], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    let mut at = filter
        .before
        .unwrap_or(i64::MAX)
        .min(newest.flatten().unwrap_or(0) + 1);
    let since = filter.since.map_or(0, Timestamp::as_microsecond);
    let end = at - LOOKED_BACK;
    let mut found: Found = Vec::new();
    let wanted = usize::try_from(filter.limit() + 1).unwrap_or(usize::MAX);
    let sql = format!(
        "SELECT e.seq, s.id FROM event AS e CROSS JOIN session AS s ON s.id = e.session
          WHERE e.seq < ?10 AND e.seq >= ?11 AND e.received_at >= ?12
            AND NOT EXISTS (SELECT 1 FROM event AS newer
                             WHERE newer.session = e.session AND newer.seq > e.seq)
            AND {} ORDER BY e.seq DESC LIMIT ?13",
        fits()
    );
    while at > 1 && at > end && found.len() < wanted {
        let from = (at - STRIDE).max(1);
        let mut all = values(now, filter);
        all.push(Box::new(at));
        all.push(Box::new(from));
        all.push(Box::new(since));
        all.push(Box::new(rows::count(wanted - found.len())));
        let some = tx.all(
            &sql,
            rusqlite::params_from_iter(all.iter().map(AsRef::as_ref)),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        found.extend(some);
        at = from;
        let oldest = received(tx, at)?;
        if oldest.is_none_or(|oldest| oldest < since) {
            return Ok((found, None));
        }
    }
    let rest = (at > 1).then(|| received(tx, at)).transpose()?.flatten();
    Ok((found, rest.map(|oldest| (at, oldest))))
}

/// When the event at this number, or the next one below it, came in.
fn received(tx: &Tx<'_>, seq: i64) -> Result<Option<i64>> {
    tx.one(
        "SELECT received_at FROM event WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1",
        [seq],
        |row| row.get(0),
    )
}

/// What a list shows of a session.
fn conversation(tx: &Tx<'_>, seq: i64, session: String) -> Result<Conversation> {
    let who = admit::who(tx, &session)?.unwrap_or_default();
    let by_customer = match who.pair() {
        Some((business_number, customer)) => admit::inbound_at(tx, business_number, customer)?,
        None => None,
    };
    let (number, state) = tx
        .one(
            "SELECT number, state, controller, since, deadline_at FROM session WHERE id = ?1",
            [&session],
            |row| Ok((row.get(0)?, state_row(row)?)),
        )?
        .unwrap_or_default();
    let last_at = received(tx, seq)?.unwrap_or_default();
    let said: Option<(String, i64)> = tx.one(
        "SELECT kind, time FROM event WHERE session = ?1 AND kind IN (?2, ?3, ?4)
          ORDER BY seq DESC LIMIT 1",
        params![session, SAID[0], SAID[1], SAID[2]],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(Conversation {
        number,
        seq,
        last_at: rows::at(last_at)?,
        said: said
            .map(|(kind, time)| Ok::<_, crate::ledger::LedgerError>((kind, rows::at(time)?)))
            .transpose()?,
        data: rows::maybe_decode(who.data)?,
        contact: rows::maybe_decode(who.contact)?,
        state: state.shown(session.clone())?,
        last_inbound: rows::maybe_at(by_customer.max(who.inbound_at))?,
        lanes: lanes(tx, &session)?,
        session,
    })
}

fn state_row(row: &Row<'_>) -> rusqlite::Result<StateRow> {
    Ok(StateRow {
        state: row.get(1)?,
        controller: row.get(2)?,
        since: row.get(3)?,
        deadline_at: row.get(4)?,
    })
}

fn lanes(tx: &Tx<'_>, session: &str) -> Result<Vec<LaneBrief>> {
    let found = tx.all(
        "SELECT target, state, due_at, reason, words FROM lane WHERE session = ?1 ORDER BY target",
        [session],
        |row| {
            let stop = rows::stop(row.get(3)?, row.get(4)?);
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, stop))
        },
    )?;
    let each = found.into_iter();
    each.map(|(target, state, due_at, stop)| {
        Ok(LaneBrief {
            target,
            state: rows::lane_state(&state)?,
            due_at: rows::maybe_at(due_at)?,
            stop,
        })
    })
    .collect()
}
