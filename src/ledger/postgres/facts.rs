//! Lanes' facts and attempts, row by row.

use std::collections::{BTreeMap, BTreeSet};

use super::db::{Db, Outcome, Text, maybe, texts};
use crate::ledger::Attempt;
use crate::ledger::rows::FactRow;

/// Every fact of a lane.
pub(super) async fn facts(db: &Db<'_>, lane: i64) -> Outcome<Vec<FactRow>> {
    db.all(
        "SELECT name, value, unsure_since, candidate, reason, message FROM fact WHERE lane = $1",
        &[&lane],
        |row| {
            Ok(FactRow {
                name: row.try_get(0)?,
                value: row.try_get(1)?,
                unsure_since: row.try_get(2)?,
                candidate: row.try_get(3)?,
                reason: row.try_get(4)?,
                message: row.try_get(5)?,
            })
        },
    )
    .await
}

/// The events that were given up while an older one is not shown yet, by lane.
pub(super) async fn given_up(db: &Db<'_>, lanes: &[i64]) -> Outcome<BTreeMap<i64, BTreeSet<i64>>> {
    let rows: Vec<(i64, i64)> = db
        .all(
            "SELECT lane, seq FROM given_up WHERE lane = ANY ($1)",
            &[&lanes],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )
        .await?;
    let mut given_up: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for (lane, seq) in rows {
        given_up.entry(lane).or_default().insert(seq);
    }
    Ok(given_up)
}

/// Removes a lane's facts with these names.
pub(super) async fn remove_facts(db: &Db<'_>, lane: i64, names: &[String]) -> Outcome<()> {
    if !names.is_empty() {
        db.run(
            "DELETE FROM fact WHERE lane = $1 AND name = ANY ($2)",
            &[&lane, &texts(names)],
        )
        .await?;
    }
    Ok(())
}

/// Stores facts of these lanes, whatever they were before. No fact may be among them twice.
pub(super) async fn put_facts(db: &Db<'_>, lanes: &[i64], facts: &[FactRow]) -> Outcome<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let names = texts(facts.iter().map(|fact| &fact.name));
    let values: Vec<_> = facts
        .iter()
        .map(|fact| maybe(fact.value.as_ref()))
        .collect();
    let since: Vec<_> = facts.iter().map(|fact| fact.unsure_since).collect();
    let candidates: Vec<_> = facts
        .iter()
        .map(|fact| maybe(fact.candidate.as_ref()))
        .collect();
    let reasons: Vec<_> = facts
        .iter()
        .map(|fact| maybe(fact.reason.as_ref()))
        .collect();
    let messages: Vec<_> = facts
        .iter()
        .map(|fact| maybe(fact.message.as_ref()))
        .collect();
    db.run(
        "INSERT INTO fact (lane, name, value, unsure_since, candidate, reason, message)
         SELECT lane, name, value, unsure_since, candidate, reason, message
           FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                       $7::text[])
                AS new (lane, name, value, unsure_since, candidate, reason, message)
          ORDER BY lane, name
         ON CONFLICT (lane, name) DO UPDATE
            SET value = excluded.value,
                unsure_since = excluded.unsure_since,
                candidate = excluded.candidate,
                reason = excluded.reason,
                message = excluded.message",
        &[
            &lanes,
            &names,
            &values,
            &since,
            &candidates,
            &reasons,
            &messages,
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn insert_attempts(db: &Db<'_>, lane: i64, attempts: &[Attempt]) -> Outcome<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let steps = texts(attempts.iter().map(|one| &one.step));
    let began: Vec<_> = attempts
        .iter()
        .map(|one| one.started_at.as_microsecond())
        .collect();
    let millis: Vec<_> = attempts.iter().map(|one| one.millis).collect();
    let status: Vec<_> = attempts
        .iter()
        .map(|one| one.status.map(i32::from))
        .collect();
    let outcomes = texts(attempts.iter().map(|one| &one.outcome));
    let stops = || attempts.iter().map(|one| one.stop.as_ref());
    let reasons: Vec<_> = stops()
        .map(|stop| stop.map(|stop| stop.reason.label()))
        .collect();
    let words: Vec<_> = stops()
        .map(|stop| stop.map(|stop| Text(&stop.message)))
        .collect();
    let calls: Vec<_> = attempts
        .iter()
        .map(|one| maybe(one.call.as_ref()))
        .collect();
    db.run(
        "INSERT INTO attempt (lane, step, started_at, millis, status, outcome, reason, words, call)
         SELECT $1, step, started_at, millis, status, outcome, reason, words, call
           FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::text[],
                       $7::text[], $8::text[], $9::text[])
                WITH ORDINALITY
                AS new (step, started_at, millis, status, outcome, reason, words, call, place)
          ORDER BY place",
        &[
            &lane, &steps, &began, &millis, &status, &outcomes, &reasons, &words, &calls,
        ],
    )
    .await?;
    Ok(())
}
