//! Lanes as operators see them: listed and told; and the numbers for metrics.

use std::collections::BTreeMap;

use async_trait::async_trait;
use handoffd_contract::Event;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::admit::who;
use super::db::{Db, Outcome, Text};
use super::facts::facts;
use super::lanes::{lane_ref, tally};
use super::transact::transact;
use super::{Postgres, conversation, files, retry_skip, troubles};
use crate::ledger::rows;
use crate::ledger::rules::{self, Tally};
use crate::ledger::troubles::{Letters, Troubles};
use crate::ledger::{
    Attempt, Group, LaneFilter, LaneRef, LaneRow, LaneState, LedgerError, OperatorLedger, Result,
    Select, SessionReport, Stats,
};

/// What a lane's row consists of. `$1` is the bound of the count.
const LANE_ROW: &str = "SELECT id, session, target, state, due_at, attempts, reason, words,
        lease_owner, updated_at, head,
        (SELECT count(*) FROM (SELECT 1 FROM event
                                WHERE event.session = lane.session AND event.seq > lane.head
                                LIMIT $1) AS newer)
   FROM lane";

#[async_trait]
impl OperatorLedger for Postgres {
    async fn lanes(&self, filter: LaneFilter) -> Result<Vec<LaneRow>> {
        transact!(self, Statement, db => lanes(db, &filter))
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        transact!(self, Statement, db => groups(db))
    }

    async fn troubles(&self) -> Result<Troubles> {
        transact!(self, Read, db => troubles::troubles(db))
    }

    async fn letters(&self) -> Result<Letters> {
        transact!(self, Read, db => troubles::letters(db))
    }

    async fn session_report(&self, session: &str) -> Result<SessionReport> {
        transact!(self, Read, db => session_report(db, session))
    }

    async fn event(&self, seq: i64) -> Result<Option<Event>> {
        transact!(self, Statement, db => event(db, seq))
    }

    async fn retry(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        let now = now.as_microsecond();
        transact!(self, Write, db => retry_skip::retry(db, now, &select, dry_run))
    }

    async fn skip(&self, now: Timestamp, select: Select, dry_run: bool) -> Result<Vec<LaneRef>> {
        let now = now.as_microsecond();
        transact!(self, Write, db => retry_skip::skip(db, now, &select, dry_run))
    }

    async fn stats(&self, now: Timestamp) -> Result<Stats> {
        transact!(self, Read, db => stats(db, now.as_microsecond()))
    }
}

/// Lanes, by number.
async fn lanes(db: &Db<'_>, filter: &LaneFilter) -> Outcome<Vec<LaneRow>> {
    let mut wheres = vec!["id > $2", "$3::text IS NULL", "$4::text IS NULL"];
    wheres.extend(["$5::text IS NULL", "$6::text IS NULL"]);
    let mut narrow = |at: usize, wanted: bool, clause| {
        if wanted {
            wheres[at] = clause;
        }
    };
    narrow(1, filter.session.is_some(), "session = $3");
    narrow(2, filter.target.is_some(), "target = $4");
    narrow(3, filter.state.is_some(), "state = $5");
    narrow(
        4,
        filter.reason.is_some(),
        "reason IS NOT NULL AND reason = $6",
    );
    // What the partial indexes ask for.
    match filter.state {
        Some(LaneState::Due) => wheres.push("due_at IS NOT NULL"),
        Some(LaneState::Held | LaneState::Parked) => wheres.push("reason IS NOT NULL"),
        Some(LaneState::Idle) | None => {}
    }
    let limit = match filter.limit {
        0 => rules::MAX_ROWS,
        limit => rows::count(limit),
    };
    let sql = format!(
        "{LANE_ROW} WHERE {} ORDER BY id LIMIT $7",
        wheres.join(" AND ")
    );
    let found = db
        .all(
            &sql,
            &[
                &rules::MAX_PENDING,
                &filter.after,
                &filter.session.as_deref().map(Text),
                &filter.target.as_deref().map(Text),
                &filter.state.map(LaneState::word),
                &filter.reason.as_deref().map(Text),
                &limit,
            ],
            lane_row,
        )
        .await?;
    Ok(found.into_iter().map(|(row, _)| row).collect())
}

/// A lane and its head.
fn lane_row(row: &Row) -> Outcome<(LaneRow, i64)> {
    let LaneRef {
        lane: id,
        session,
        target,
    } = lane_ref(row)?;
    let lane = LaneRow {
        id,
        session,
        target,
        state: rows::lane_state(row.try_get(3)?)?,
        due_at: rows::maybe_at(row.try_get(4)?)?,
        pending: row.try_get(11)?,
        attempts: tally(row, 5)?,
        stop: rows::stop(row.try_get(6)?, row.try_get(7)?),
        leased_by: row.try_get(8)?,
        updated_at: rows::at(row.try_get(9)?)?,
    };
    Ok((lane, row.try_get(10)?))
}

/// Parked lanes with the same target, reason and words; the largest groups.
async fn groups(db: &Db<'_>) -> Outcome<Vec<Group>> {
    db.all(
        "SELECT target, reason, words, count(*), min(updated_at), min(session) FROM lane
          WHERE state = 'parked' AND reason IS NOT NULL
          GROUP BY target, reason, words
          ORDER BY count(*) DESC, min(updated_at) LIMIT $1",
        &[&rules::MAX_ROWS],
        |row| {
            let stop = rows::stop(row.try_get(1)?, row.try_get(2)?)
                .ok_or_else(|| LedgerError::Failed("parked without a reason".into()))?;
            Ok(Group {
                target: row.try_get(0)?,
                stop,
                count: row.try_get(3)?,
                oldest: rows::at(row.try_get(4)?)?,
                example: row.try_get(5)?,
            })
        },
    )
    .await
}

/// Everything about one session. `db` is a transaction that sees one moment.
async fn session_report(db: &Db<'_>, session: &str) -> Outcome<SessionReport> {
    let who = db
        .one(
            "SELECT session.data, session.contact, session.business_number, session.customer,
                    greatest(session.inbound_at, customer.inbound_at)
               FROM session
               LEFT JOIN customer ON customer.business_number = session.business_number
                                 AND customer.key = session.customer
              WHERE session.id = $1",
            &[&Text(session)],
            |row| who(row, 0),
        )
        .await?
        .unwrap_or_default();
    let mut events = db
        .all(
            "SELECT seq, kind, time, producer_id, received_at FROM event
              WHERE session = $1 ORDER BY seq DESC LIMIT $2",
            &[&Text(session), &rules::MAX_REPORTED],
            |row| {
                let (time, received) = (rows::at(row.try_get(2)?)?, rows::at(row.try_get(4)?)?);
                Ok((
                    row.try_get(0)?,
                    row.try_get(1)?,
                    time,
                    row.try_get(3)?,
                    received,
                ))
            },
        )
        .await?;
    events.reverse();
    let found = db
        .all(
            &format!("{LANE_ROW} WHERE session = $2 ORDER BY target COLLATE \"C\""),
            &[&rules::MAX_PENDING, &Text(session)],
            lane_row,
        )
        .await?;
    let mut lanes = Vec::with_capacity(found.len());
    for (row, head) in found {
        let known = rows::known(facts(db, row.id).await?)?;
        lanes.push((row, head, known));
    }
    Ok(SessionReport {
        session: rows::maybe_decode(who.data)?,
        contact: rows::maybe_decode(who.contact)?,
        last_inbound: rows::maybe_at(who.inbound_at)?,
        conversation: conversation::shown(db, session).await?,
        events,
        lanes,
        attempts: attempts(db, session).await?,
        refused: troubles::refused(db, session).await?,
        files: files::of_session(db, session).await?,
    })
}

/// The newest attempts, oldest first.
async fn attempts(db: &Db<'_>, session: &str) -> Outcome<Vec<(String, Attempt)>> {
    let mut attempts = db
        .all(
            "SELECT target, step, started_at, millis, status, outcome, newest.reason, newest.words,
                    newest.call
               FROM lane CROSS JOIN LATERAL (
                        SELECT * FROM attempt WHERE attempt.lane = lane.id
                         ORDER BY attempt.id DESC LIMIT $2) AS newest
              WHERE session = $1 ORDER BY newest.id DESC LIMIT $2",
            &[&Text(session), &rules::MAX_ATTEMPTS],
            |row| {
                let status: Option<i32> = row.try_get(4)?;
                let attempt = Attempt {
                    step: row.try_get(1)?,
                    call: row.try_get(8)?,
                    started_at: rows::at(row.try_get(2)?)?,
                    millis: row.try_get(3)?,
                    status: status.and_then(|status| u16::try_from(status).ok()),
                    outcome: row.try_get(5)?,
                    stop: rows::stop(row.try_get(6)?, row.try_get(7)?),
                };
                Ok((row.try_get(0)?, attempt))
            },
        )
        .await?;
    attempts.reverse();
    Ok(attempts)
}

/// One event.
async fn event(db: &Db<'_>, seq: i64) -> Outcome<Option<Event>> {
    let body = db
        .one("SELECT body FROM event WHERE seq = $1", &[&seq], |row| {
            Ok(row.try_get::<_, String>(0)?)
        })
        .await?;
    Ok(rows::maybe_decode(body)?)
}

/// Numbers for metrics. `db` is a transaction that sees one moment.
async fn stats(db: &Db<'_>, now: i64) -> Outcome<Stats> {
    let mut stats = Stats::default();
    for (target, tally) in tallies(db).await? {
        let oldest = db
            .one(
                "SELECT due_at FROM lane
                  WHERE target = $1 AND due_at IS NOT NULL AND ready_at <= $2
                  ORDER BY ready_at LIMIT 1",
                &[&target, &now],
                |row| Ok(rows::at(row.try_get(0)?)?),
            )
            .await?;
        stats
            .oldest_due
            .extend(oldest.map(|at| (target.clone(), at)));
        let states = tally.states().into_iter();
        stats
            .lanes
            .extend(states.map(|(state, count)| (target.clone(), state, count)));
    }
    stats.dead_letters = db
        .one(
            "SELECT count(*) FROM poison",
            &[],
            |row| Ok(row.try_get(0)?),
        )
        .await?
        .unwrap_or(0);
    (stats.conversations, stats.oldest_queued) = conversation::stats(db).await?;
    stats.webhooks = db
        .all(
            "SELECT target, count(*) FROM inbox WHERE due_at IS NOT NULL
              GROUP BY target ORDER BY target",
            &[],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )
        .await?;
    stats.parked_webhooks = db
        .all(
            "SELECT target, count(*) FROM inbox WHERE state = 'parked'
              GROUP BY target ORDER BY target",
            &[],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )
        .await?;
    stats.waiting = db
        .all(
            "SELECT target, reason, count(*) FROM lane
          WHERE reason IS NOT NULL AND state IN ('due', 'held')
          GROUP BY target, reason ORDER BY target, reason",
            &[],
            |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)),
        )
        .await?;
    Ok(stats)
}

/// Lanes by target, counted in indexes.
async fn tallies(db: &Db<'_>) -> Outcome<BTreeMap<String, Tally>> {
    let counts: Vec<(String, String, i64)> = db
        .all(
            "SELECT target, 'all', count(*) FROM lane GROUP BY target
         UNION ALL
         SELECT target, 'timed', count(*) FROM lane WHERE due_at IS NOT NULL GROUP BY target
         UNION ALL
         SELECT target, state, count(*) FROM lane
          WHERE reason IS NOT NULL AND state IN ('held', 'parked') GROUP BY target, state
         UNION ALL
         SELECT target, 'held-timed', count(*) FROM lane
          WHERE reason IS NOT NULL AND state = 'held' AND due_at IS NOT NULL GROUP BY target",
            &[],
            |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)),
        )
        .await?;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for (target, what, counted) in counts {
        if let Some(count) = tallies.entry(target).or_default().part(&what) {
            *count = counted;
        }
    }
    Ok(tallies)
}
