//! Lanes as operators see them: listed, told, put back to work; and the numbers for metrics.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::{Event, Reason};
use tokio_postgres::Row;

use super::db::{Db, Outcome, Text};
use super::intake::who;
use super::lanes::{facts, lane_ref, put_facts, tally};
use crate::ledger::rows;
use crate::ledger::rules::{self, GivenUp, Tally};
use crate::ledger::{
    Attempt, Group, LaneFilter, LaneRef, LaneRow, LaneState, LedgerError, Select, Stats, Story,
};

/// So many lanes are looked at together when events are given up.
const CHUNK: usize = 200;

/// What a lane's row consists of. `$1` is the bound of the count.
const LANE_ROW: &str = "SELECT id, session, target, state, due_at, attempts, reason, words,
        lease_owner, updated_at, head,
        (SELECT count(*) FROM (SELECT 1 FROM event
                                WHERE event.session = lane.session AND event.seq > lane.head
                                LIMIT $1) AS newer)
   FROM lane";

/// Lanes, by number.
pub(super) async fn lanes(db: &Db<'_>, filter: &LaneFilter) -> Outcome<Vec<LaneRow>> {
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
pub(super) async fn groups(db: &Db<'_>) -> Outcome<Vec<Group>> {
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
pub(super) async fn story(db: &Db<'_>, session: &str) -> Outcome<Story> {
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
            &[&Text(session), &rules::MAX_STORY],
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
        let (known, _) = rows::known(facts(db, row.id).await?)?;
        lanes.push((row, head, known));
    }
    Ok(Story {
        session: rows::maybe_decode(who.data)?,
        contact: rows::maybe_decode(who.contact)?,
        last_inbound: rows::maybe_at(who.inbound_at)?,
        events,
        lanes,
        attempts: attempts(db, session).await?,
    })
}

/// The newest attempts, oldest first.
async fn attempts(db: &Db<'_>, session: &str) -> Outcome<Vec<(String, Attempt)>> {
    let mut attempts = db
        .all(
            "SELECT target, step, started_at, millis, status, outcome, newest.reason, newest.words
               FROM lane CROSS JOIN LATERAL (
                        SELECT * FROM attempt WHERE attempt.lane = lane.id
                         ORDER BY attempt.id DESC LIMIT $2) AS newest
              WHERE session = $1 ORDER BY newest.id DESC LIMIT $2",
            &[&Text(session), &rules::MAX_ATTEMPTS],
            |row| {
                let status: Option<i32> = row.try_get(4)?;
                let attempt = Attempt {
                    step: row.try_get(1)?,
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
pub(super) async fn event(db: &Db<'_>, seq: i64) -> Outcome<Option<Event>> {
    let body = db
        .one("SELECT body FROM event WHERE seq = $1", &[&seq], |row| {
            Ok(row.try_get::<_, String>(0)?)
        })
        .await?;
    Ok(rows::maybe_decode(body)?)
}

/// Makes parked and waiting lanes due now.
pub(super) async fn retry(
    db: &Db<'_>,
    now: i64,
    select: &Select,
    dry_run: bool,
) -> Outcome<Vec<LaneRef>> {
    let chosen = chosen(db, select, Some(now)).await?;
    if !dry_run {
        db.run(
            "DELETE FROM fact WHERE lane = ANY ($1) AND unsure_since IS NOT NULL",
            &[&asking(&chosen)],
        )
        .await?;
        forget_mappings(db, &chosen).await?;
        put_to_work(db, now, &chosen).await?;
    }
    Ok(chosen.into_iter().map(|chosen| chosen.lane).collect())
}

/// Parked handoffs that are not complete are planned anew with the mapping in force.
async fn forget_mappings(db: &Db<'_>, chosen: &[Chosen]) -> Outcome<()> {
    let parked = chosen.iter().filter(|chosen| chosen.state == "parked");
    let parked: Vec<i64> = parked.map(|chosen| chosen.lane.lane).collect();
    db.run(
        "DELETE FROM fact
          WHERE lane = ANY ($1) AND starts_with(name, 'mapping/')
            AND NOT EXISTS (SELECT 1 FROM fact AS done
                             WHERE done.lane = fact.lane
                               AND done.name = 'completed/' || substr(fact.name, 9))",
        &[&parked],
    )
    .await?;
    Ok(())
}

/// Gives up what each lane stands at.
pub(super) async fn skip(
    db: &Db<'_>,
    now: i64,
    select: &Select,
    dry_run: bool,
) -> Outcome<Vec<LaneRef>> {
    let chosen = chosen(db, select, None).await?;
    if !dry_run {
        let settled = settle_unsure(db, &asking(&chosen)).await?;
        let others: Vec<_> = chosen
            .iter()
            .filter(|one| !settled.contains(&one.lane.lane))
            .collect();
        for chunk in others.chunks(CHUNK) {
            give_up_first(db, chunk).await?;
        }
        put_to_work(db, now, &chosen).await?;
    }
    Ok(chosen.into_iter().map(|chosen| chosen.lane).collect())
}

struct Chosen {
    lane: LaneRef,
    head: i64,
    state: String,
    reason: Option<String>,
}

/// Those that wait for a person to say what became of a call.
fn asking(chosen: &[Chosen]) -> Vec<i64> {
    chosen
        .iter()
        .filter(|one| one.state == LaneState::Parked.word())
        .filter(|one| one.reason.as_deref() == Some(Reason::UnknownOutcome.label()))
        .map(|one| one.lane.lane)
        .collect()
}

/// The lanes that an operator means, locked. Of a named session also those that wait: held ones,
/// and with `backoff_until` those that are due after that time. A lane that is being worked on is
/// not among them.
async fn chosen(db: &Db<'_>, select: &Select, backoff_until: Option<i64>) -> Outcome<Vec<Chosen>> {
    let read = |row: &Row| {
        Ok(Chosen {
            lane: lane_ref(row)?,
            head: row.try_get(3)?,
            state: row.try_get(4)?,
            reason: row.try_get(5)?,
        })
    };
    match select {
        Select::Session(session, target) => {
            db.all(
                "SELECT id, session, target, head, state, reason FROM lane
                  WHERE session = $1 AND target = coalesce($2, target) AND lease_owner IS NULL
                    AND (state IN ('parked', 'held') OR (state = 'due' AND due_at > $3))
                  ORDER BY id FOR UPDATE",
                &[&Text(session), &target.as_deref().map(Text), &backoff_until],
                read,
            )
            .await
        }
        Select::Reason(reason, target) => {
            db.all(
                "SELECT id, session, target, head, state, reason FROM lane
                  WHERE state = 'parked' AND reason IS NOT NULL AND reason = $1
                    AND target = coalesce($2, target)
                  ORDER BY id FOR UPDATE",
                &[&Text(reason), &target.as_deref().map(Text)],
                read,
            )
            .await
        }
        Select::Target(target) => {
            db.all(
                "SELECT id, session, target, head, state, reason FROM lane
                  WHERE state = 'parked' AND reason IS NOT NULL AND target = $1
                  ORDER BY id FOR UPDATE",
                &[&Text(target)],
                read,
            )
            .await
        }
        Select::All => {
            db.all(
                "SELECT id, session, target, head, state, reason FROM lane
                  WHERE state = 'parked' AND reason IS NOT NULL ORDER BY id FOR UPDATE",
                &[],
                read,
            )
            .await
        }
    }
}

async fn put_to_work(db: &Db<'_>, now: i64, chosen: &[Chosen]) -> Outcome<()> {
    let lanes: Vec<_> = chosen.iter().map(|one| one.lane.lane).collect();
    db.run(
        "UPDATE lane SET state = 'due', due_at = $2, attempts = 0, reason = NULL, words = NULL,
                         updated_at = $2
          WHERE id = ANY ($1)",
        &[&lanes, &now],
    )
    .await?;
    db.wake();
    Ok(())
}

/// A person says that it happened. Returns the lanes in which anything was unsure.
async fn settle_unsure(db: &Db<'_>, lanes: &[i64]) -> Outcome<BTreeSet<i64>> {
    let settled = db
        .all(
            "UPDATE fact SET value = $2, unsure_since = NULL, candidate = NULL
              WHERE lane = ANY ($1) AND unsure_since IS NOT NULL
             RETURNING lane",
            &[&lanes, &rules::SKIPPED],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(settled.into_iter().collect())
}

async fn give_up_first(db: &Db<'_>, chosen: &[&Chosen]) -> Outcome<()> {
    let lanes: Vec<_> = chosen.iter().map(|one| one.lane.lane).collect();
    let events: Vec<(i64, (i64, Option<i64>))> = db
        .all(
            "SELECT lane.id, first.seq, first.sequence
               FROM lane CROSS JOIN LATERAL (
                        SELECT seq, sequence FROM event
                         WHERE event.session = lane.session AND event.seq > lane.head
                         ORDER BY seq LIMIT $2) AS first
              WHERE lane.id = ANY ($1) ORDER BY lane.id, first.seq",
            &[&lanes, &rules::SKIP_WINDOW],
            |row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))),
        )
        .await?;
    let mut pending: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for (lane, event) in events {
        pending.entry(lane).or_default().push(event);
    }
    let (mut moved, mut heads, mut noted, mut notes) = (vec![], vec![], vec![], vec![]);
    for one in chosen {
        let lane = one.lane.lane;
        let Some(pending) = pending.get(&lane) else {
            continue;
        };
        let (_, given_up) = rows::known(facts(db, lane).await?)?;
        if let Some(gone) = GivenUp::first(one.head, pending, given_up) {
            moved.push(lane);
            heads.push(gone.head);
            if let Some(fact) = gone.fact {
                noted.push(lane);
                notes.push(fact);
            }
        }
    }
    db.run(
        "UPDATE lane SET head = new.head
           FROM unnest($1::bigint[], $2::bigint[]) AS new (id, head) WHERE lane.id = new.id",
        &[&moved, &heads],
    )
    .await?;
    put_facts(db, &noted, &notes).await
}

/// Numbers for metrics. `db` is a transaction that sees one moment.
pub(super) async fn stats(db: &Db<'_>, now: i64) -> Outcome<Stats> {
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
    stats.poison = db
        .one(
            "SELECT count(*) FROM poison",
            &[],
            |row| Ok(row.try_get(0)?),
        )
        .await?
        .unwrap_or(0);
    stats.inbox = db
        .all(
            "SELECT target, count(*) FROM inbox WHERE due_at IS NOT NULL
              GROUP BY target ORDER BY target",
            &[],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
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
