//! Lanes as operators see them: listed and told; and the numbers for metrics.

use std::collections::BTreeMap;

use async_trait::async_trait;
use handoffd_contract::Event;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::facts::facts;
use super::lanes::lane_ref;
use super::tx::Tx;
use super::{Sqlite, admit, conversation, files, retry_skip, troubles};
use crate::ledger::rows;
use crate::ledger::rules::{self, Tally};
use crate::ledger::troubles::{Letters, Troubles};
use crate::ledger::{
    Attempt, Group, LaneFilter, LaneRef, LaneRow, LaneState, LedgerError, OperatorLedger, Result,
    Select, SessionReport, Stats,
};

/// What a lane's row consists of. `?1` is the bound of the count.
const LANE_ROW: &str = "SELECT id, session, target, state, due_at, attempts, reason, words,
        lease_owner, updated_at, head,
        (SELECT count(*) FROM (SELECT 1 FROM event
                                WHERE event.session = lane.session AND event.seq > lane.head
                                LIMIT ?1))
   FROM lane";

#[async_trait]
impl OperatorLedger for Sqlite {
    async fn lanes(&self, filter: LaneFilter) -> Result<Vec<LaneRow>> {
        self.read(move |tx| lanes(tx, &filter)).await
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        self.read(groups).await
    }

    async fn troubles(&self) -> Result<Troubles> {
        self.read(troubles::troubles).await
    }

    async fn letters(&self) -> Result<Letters> {
        self.read(troubles::letters).await
    }

    async fn session_report(&self, session: &str) -> Result<SessionReport> {
        let session = session.to_owned();
        self.read(move |tx| session_report(tx, &session)).await
    }

    async fn event(&self, seq: i64) -> Result<Option<Event>> {
        self.read(move |tx| event(tx, seq)).await
    }

    async fn retry(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        self.write(move |tx| retry_skip::retry(tx, now.as_microsecond(), &select, dry_run))
            .await
    }

    async fn skip(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        self.write(move |tx| retry_skip::skip(tx, now.as_microsecond(), &select, dry_run))
            .await
    }

    async fn stats(&self, now: Timestamp) -> Result<Stats> {
        self.read(move |tx| stats(tx, now.as_microsecond())).await
    }
}

/// Lanes, by number.
fn lanes(tx: &Tx<'_>, filter: &LaneFilter) -> Result<Vec<LaneRow>> {
    let mut wheres = vec!["id > ?2"];
    let mut narrow = |wanted: bool, clause| wheres.extend(wanted.then_some(clause));
    narrow(filter.session.is_some(), "session = ?3");
    narrow(filter.target.is_some(), "target = ?4");
    narrow(filter.state.is_some(), "state = ?5");
    narrow(
        filter.reason.is_some(),
        "reason IS NOT NULL AND reason = ?6",
    );
    // What the partial indexes ask for.
    match filter.state {
        Some(LaneState::Due) => narrow(true, "due_at IS NOT NULL"),
        Some(LaneState::Held | LaneState::Parked) => narrow(true, "reason IS NOT NULL"),
        Some(LaneState::Idle) | None => {}
    }
    let limit = match filter.limit {
        0 => rules::MAX_ROWS,
        limit => rows::count(limit),
    };
    let values = params![
        rules::MAX_PENDING,
        filter.after,
        filter.session,
        filter.target,
        filter.state.map(LaneState::word),
        filter.reason,
        limit
    ];
    let sql = format!(
        "{LANE_ROW} WHERE {} ORDER BY id LIMIT ?7",
        wheres.join(" AND ")
    );
    let rows = tx.all(&sql, values, lane_row)?;
    rows.into_iter()
        .map(|row| row.map(|(row, _)| row))
        .collect()
}

/// A lane and its head.
fn lane_row(row: &Row<'_>) -> rusqlite::Result<Result<(LaneRow, i64)>> {
    let LaneRef {
        lane: id,
        session,
        target,
    } = lane_ref(row)?;
    let (state, due_at, updated_at): (String, _, _) = (row.get(3)?, row.get(4)?, row.get(9)?);
    let (attempts, leased_by, pending) = (row.get(5)?, row.get(8)?, row.get(11)?);
    let stop = rows::stop(row.get(6)?, row.get(7)?);
    let head = row.get(10)?;
    Ok((|| {
        let (state, due_at) = (rows::lane_state(&state)?, rows::maybe_at(due_at)?);
        let updated_at = rows::at(updated_at)?;
        let row = LaneRow {
            id,
            session,
            target,
            state,
            due_at,
            pending,
            attempts,
            stop,
            leased_by,
            updated_at,
        };
        Ok((row, head))
    })())
}

/// Parked lanes with the same target, reason and words; the largest groups.
fn groups(tx: &Tx<'_>) -> Result<Vec<Group>> {
    let rows = tx.all(
        "SELECT target, reason, words, count(*), min(updated_at), min(session) FROM lane
          WHERE state = 'parked' AND reason IS NOT NULL
          GROUP BY target, reason, words
          ORDER BY count(*) DESC, min(updated_at) LIMIT ?1",
        [rules::MAX_ROWS],
        |row| {
            let stop = rows::stop(row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, stop, row.get(3)?, row.get(4)?, row.get(5)?))
        },
    )?;
    rows.into_iter()
        .map(|(target, stop, count, oldest, example)| {
            let stop = stop.ok_or_else(|| LedgerError::Failed("parked without a reason".into()))?;
            Ok(Group {
                target,
                stop,
                count,
                oldest: rows::at(oldest)?,
                example,
            })
        })
        .collect()
}

/// Everything about one session.
fn session_report(tx: &Tx<'_>, session: &str) -> Result<SessionReport> {
    let who = admit::who(tx, session)?.unwrap_or_default();
    let by_customer = match who.pair() {
        Some((business_number, customer)) => admit::inbound_at(tx, business_number, customer)?,
        None => None,
    };
    let mut report = SessionReport {
        session: rows::maybe_decode(who.data)?,
        contact: rows::maybe_decode(who.contact)?,
        last_inbound: rows::maybe_at(by_customer.max(who.inbound_at))?,
        ..SessionReport::default()
    };
    let events = tx.all(
        "SELECT seq, kind, time, producer_id, received_at FROM event
          WHERE session = ?1 ORDER BY seq DESC LIMIT ?2",
        params![session, rules::MAX_REPORTED],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        },
    )?;
    for (seq, kind, time, id, received) in events.into_iter().rev() {
        report
            .events
            .push((seq, kind, rows::at(time)?, id, rows::at(received)?));
    }
    report.conversation = conversation::state(tx, session)?
        .filter(|row| row.controller.is_some())
        .map(|row| row.shown(session.to_owned()))
        .transpose()?;
    let lanes = tx.all(
        &format!("{LANE_ROW} WHERE session = ?2 ORDER BY target"),
        params![rules::MAX_PENDING, session],
        lane_row,
    )?;
    for lane in lanes {
        let (row, head) = lane?;
        let known = rows::known(facts(tx, row.id)?)?;
        report.lanes.push((row, head, known));
    }
    report.attempts = attempts(tx, session)?;
    report.refused = troubles::refused(tx, session)?;
    report.files = files::of_session(tx, session)?;
    Ok(report)
}

fn attempts(tx: &Tx<'_>, session: &str) -> Result<Vec<(String, Attempt)>> {
    let rows = tx.all(
        "SELECT target, step, started_at, millis, status, outcome, attempt.reason, attempt.words,
                attempt.call
           FROM attempt JOIN lane ON lane.id = attempt.lane
          WHERE session = ?1 ORDER BY attempt.id DESC LIMIT ?2",
        params![session, rules::MAX_ATTEMPTS],
        |row| {
            let stop = rows::stop(row.get(6)?, row.get(7)?);
            let attempt = Attempt {
                step: row.get(1)?,
                call: row.get(8)?,
                started_at: Timestamp::UNIX_EPOCH,
                millis: row.get(3)?,
                status: row.get(4)?,
                outcome: row.get(5)?,
                stop,
            };
            Ok((row.get(0)?, row.get(2)?, attempt))
        },
    )?;
    rows.into_iter()
        .rev()
        .map(|(target, micros, attempt)| {
            Ok((
                target,
                Attempt {
                    started_at: rows::at(micros)?,
                    ..attempt
                },
            ))
        })
        .collect()
}

/// One event.
fn event(tx: &Tx<'_>, seq: i64) -> Result<Option<Event>> {
    let body: Option<String> = tx.one("SELECT body FROM event WHERE seq = ?1", [seq], |row| {
        row.get(0)
    })?;
    rows::maybe_decode(body)
}

/// Numbers for metrics.
fn stats(tx: &Tx<'_>, now: i64) -> Result<Stats> {
    let mut stats = Stats::default();
    for (target, tally) in tallies(tx)? {
        let oldest: Option<i64> = tx.one(
            "SELECT due_at FROM lane
              WHERE target = ?1 AND due_at IS NOT NULL AND ready_at <= ?2
              ORDER BY ready_at LIMIT 1",
            params![target, now],
            |row| row.get(0),
        )?;
        if let Some(oldest) = oldest {
            stats.oldest_due.push((target.clone(), rows::at(oldest)?));
        }
        let states = tally.states().into_iter();
        stats
            .lanes
            .extend(states.map(|(state, count)| (target.clone(), state, count)));
    }
    stats.dead_letters = tx
        .one("SELECT count(*) FROM poison", [], |row| row.get(0))?
        .unwrap_or(0);
    (stats.conversations, stats.oldest_queued) = conversation::stats(tx)?;
    stats.webhooks = tx.all(
        "SELECT target, count(*) FROM inbox WHERE due_at IS NOT NULL GROUP BY target",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    stats.parked_webhooks = tx.all(
        "SELECT target, count(*) FROM inbox WHERE state = 'parked' GROUP BY target",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    stats.waiting = tx.all(
        "SELECT target, reason, count(*) FROM lane
          WHERE reason IS NOT NULL AND state IN ('due', 'held')
          GROUP BY target, reason ORDER BY target, reason",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    Ok(stats)
}

/// Lanes by target, counted in indexes.
fn tallies(tx: &Tx<'_>) -> Result<BTreeMap<String, Tally>> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    tx.each(
        "SELECT target, 'all', count(*) FROM lane GROUP BY target
         UNION ALL
         SELECT target, 'timed', count(*) FROM lane WHERE due_at IS NOT NULL GROUP BY target
         UNION ALL
         SELECT target, state, count(*) FROM lane
          WHERE reason IS NOT NULL AND state IN ('held', 'parked') GROUP BY target, state
         UNION ALL
         SELECT target, 'held-timed', count(*) FROM lane
          WHERE reason IS NOT NULL AND state = 'held' AND due_at IS NOT NULL GROUP BY target",
        [],
        |row| {
            let tally = tallies.entry(row.get(0)?).or_default();
            let what: String = row.get(1)?;
            if let Some(count) = tally.part(&what) {
                *count = row.get(2)?;
            }
            Ok(true)
        },
    )?;
    Ok(tallies)
}
