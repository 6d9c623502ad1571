//! Lanes put back to work by a person: retry and skip.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::Reason;
use handoffd_contract::lane::{AGAIN, SKIPPED, again_fact, replanned};
use tokio_postgres::Row;

use super::db::{Db, Outcome, Text};
use super::facts::{facts, given_up, remove_facts};
use super::lanes::lane_ref;
use super::load::recall;
use crate::ledger::rows;
use crate::ledger::rules::{self, GivenUp};
use crate::ledger::{LaneRef, LaneState, Select};

/// So many lanes are looked at together when events are given up.
const CHUNK: usize = 200;

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
    for lane in parked.map(|chosen| chosen.lane.lane) {
        let known = rows::known(facts(db, lane).await?)?;
        let forgotten: Vec<String> = replanned(&known).collect();
        remove_facts(db, lane, &forgotten).await?;
    }
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
        let mut settled = settle_unsure(db, &asking(&chosen)).await?;
        settled.extend(give_up_again(db, &chosen, &settled).await?);
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
    db.lanes_changed(chosen.iter().map(|one| &one.lane.target));
    Ok(())
}

/// A person says that it happened. Returns the lanes in which anything was unsure.
async fn settle_unsure(db: &Db<'_>, lanes: &[i64]) -> Outcome<BTreeSet<i64>> {
    let stop = rules::settled_by_a_person();
    let settled = db
        .all(
            "UPDATE fact SET unsure_since = NULL, candidate = NULL, reason = $2, message = $3
              WHERE lane = ANY ($1) AND unsure_since IS NOT NULL
             RETURNING lane",
            &[&lanes, &stop.reason.label(), &Text(&stop.message)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(settled.into_iter().collect())
}

/// Gives up, in each lane that is not settled, the oldest event that is work again. Returns the lanes
/// in which there was one.
async fn give_up_again(
    db: &Db<'_>,
    chosen: &[Chosen],
    settled: &BTreeSet<i64>,
) -> Outcome<BTreeSet<i64>> {
    let prefix = again_fact("");
    let sessions: BTreeMap<i64, &str> = chosen
        .iter()
        .filter(|one| !settled.contains(&one.lane.lane))
        .map(|one| (one.lane.lane, one.lane.session.as_str()))
        .collect();
    let lanes: Vec<i64> = sessions.keys().copied().collect();
    let names: Vec<(i64, String)> = db
        .all(
            "SELECT lane, name FROM fact
              WHERE lane = ANY ($1) AND value = $2 AND starts_with(name, $3)",
            &[&lanes, &AGAIN, &prefix],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )
        .await?;
    let mut found: BTreeMap<i64, (i64, String)> = BTreeMap::new();
    for (lane, name) in names {
        let session = sessions.get(&lane).copied().unwrap_or_default();
        let Some((seq, _)) = recall(db, session, &name[prefix.len()..]).await? else {
            continue;
        };
        let first = found.entry(lane).or_insert_with(|| (seq, name.clone()));
        if seq < first.0 {
            *first = (seq, name);
        }
    }
    for (lane, (_, name)) in &found {
        db.run(
            "UPDATE fact SET value = $3 WHERE lane = $1 AND name = $2",
            &[lane, &Text(name), &SKIPPED],
        )
        .await?;
    }
    Ok(found.into_keys().collect())
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
    let (mut moved, mut heads, mut noted, mut seqs) = (vec![], vec![], vec![], vec![]);
    let mut given_up = given_up(db, &lanes).await?;
    for one in chosen {
        let lane = one.lane.lane;
        let Some(pending) = pending.get(&lane) else {
            continue;
        };
        let given_up = given_up.remove(&lane).unwrap_or_default();
        if let Some(gone) = GivenUp::first(one.head, pending, given_up) {
            moved.push(lane);
            heads.push(gone.head);
            if let Some(seq) = gone.seq {
                noted.push(lane);
                seqs.push(seq);
            }
        }
    }
    db.run(
        "UPDATE lane SET head = new.head
           FROM unnest($1::bigint[], $2::bigint[]) AS new (id, head) WHERE lane.id = new.id",
        &[&moved, &heads],
    )
    .await?;
    if seqs.is_empty() {
        return Ok(());
    }
    db.run(
        "INSERT INTO given_up (lane, seq) SELECT * FROM unnest($1::bigint[], $2::bigint[])",
        &[&noted, &seqs],
    )
    .await?;
    Ok(())
}
