//! Lanes put back to work by a person: retry and skip.

use handoffd_contract::Reason;
use handoffd_contract::lane::{AGAIN, SKIPPED, again_fact, replanned};
use rusqlite::{Row, params};

use super::facts::{facts, given_up, remove_fact};
use super::lanes::lane_ref;
use super::load::recall;
use super::tx::Tx;
use crate::ledger::rows;
use crate::ledger::rules::{self, GivenUp};
use crate::ledger::{LaneRef, Result, Select};

/// Makes parked and waiting lanes due now.
pub(super) fn retry(tx: &Tx<'_>, now: i64, select: &Select, dry_run: bool) -> Result<Vec<LaneRef>> {
    let chosen = chosen(tx, select, Some(now))?;
    if !dry_run {
        for lane in &chosen {
            if lane.asks_whether_it_happened() {
                tx.run(
                    "DELETE FROM fact WHERE lane = ?1 AND unsure_since IS NOT NULL",
                    [lane.lane.lane],
                )?;
            }
            if lane.state == "parked" {
                forget_mappings(tx, lane.lane.lane)?;
            }
            put_to_work(tx, now, &lane.lane)?;
        }
    }
    Ok(chosen.into_iter().map(|chosen| chosen.lane).collect())
}

/// Handoffs that are not complete are planned anew with the mapping in force.
fn forget_mappings(tx: &Tx<'_>, lane: i64) -> Result<()> {
    let known = rows::known(facts(tx, lane)?)?;
    for name in replanned(&known) {
        remove_fact(tx, lane, &name)?;
    }
    Ok(())
}

/// Gives up what each lane stands at.
pub(super) fn skip(tx: &Tx<'_>, now: i64, select: &Select, dry_run: bool) -> Result<Vec<LaneRef>> {
    let chosen = chosen(tx, select, None)?;
    if !dry_run {
        for lane in &chosen {
            let is_settled = lane.asks_whether_it_happened() && settle_unsure(tx, lane.lane.lane)?
                || give_up_again(tx, &lane.lane)?;
            if !is_settled {
                give_up_first(tx, &lane.lane, lane.head)?;
            }
            put_to_work(tx, now, &lane.lane)?;
        }
    }
    Ok(chosen.into_iter().map(|chosen| chosen.lane).collect())
}

struct Chosen {
    lane: LaneRef,
    head: i64,
    state: String,
    reason: Option<String>,
}

impl Chosen {
    /// Whether it waits for a person to say what became of a call.
    fn asks_whether_it_happened(&self) -> bool {
        self.state == "parked" && self.reason.as_deref() == Some(Reason::UnknownOutcome.label())
    }
}

/// The lanes that an operator means. Of a named session also those that wait: held ones, and with
/// `backoff_until` those that are due after that time. A lane that is being worked on is not among
/// them.
fn chosen(tx: &Tx<'_>, select: &Select, backoff_until: Option<i64>) -> Result<Vec<Chosen>> {
    let read = |row: &Row<'_>| {
        Ok(Chosen {
            lane: lane_ref(row)?,
            head: row.get(3)?,
            state: row.get(4)?,
            reason: row.get(5)?,
        })
    };
    match select {
        Select::Session(session, target) => tx.all(
            "SELECT id, session, target, head, state, reason FROM lane
              WHERE session = ?1 AND target = coalesce(?2, target) AND lease_owner IS NULL
                AND (state IN ('parked', 'held') OR (state = 'due' AND due_at > ?3))
              ORDER BY id",
            params![session, target, backoff_until],
            read,
        ),
        Select::Reason(reason, target) => tx.all(
            "SELECT id, session, target, head, state, reason FROM lane
              WHERE state = 'parked' AND reason IS NOT NULL AND reason = ?1
                AND target = coalesce(?2, target)
              ORDER BY id",
            params![reason, target],
            read,
        ),
        Select::Target(target) => tx.all(
            "SELECT id, session, target, head, state, reason FROM lane
              WHERE state = 'parked' AND reason IS NOT NULL AND target = ?1 ORDER BY id",
            [target],
            read,
        ),
        Select::All => tx.all(
            "SELECT id, session, target, head, state, reason FROM lane
              WHERE state = 'parked' AND reason IS NOT NULL ORDER BY id",
            [],
            read,
        ),
    }
}

fn put_to_work(tx: &Tx<'_>, now: i64, lane: &LaneRef) -> Result<()> {
    tx.run(
        "UPDATE lane SET state = 'due', due_at = ?2, attempts = 0, reason = NULL, words = NULL,
                         updated_at = ?2
          WHERE id = ?1",
        [lane.lane, now],
    )?;
    tx.lanes_changed(&lane.target);
    Ok(())
}

/// A person says that it happened. Returns whether anything was unsure.
fn settle_unsure(tx: &Tx<'_>, lane: i64) -> Result<bool> {
    let stop = rules::settled_by_a_person();
    let settled = tx.run(
        "UPDATE fact SET unsure_since = NULL, candidate = NULL, reason = ?2, message = ?3
          WHERE lane = ?1 AND unsure_since IS NOT NULL",
        params![lane, stop.reason.label(), stop.message],
    )?;
    Ok(settled > 0)
}

/// Gives up the oldest event that is work again. Returns whether there was one.
fn give_up_again(tx: &Tx<'_>, lane: &LaneRef) -> Result<bool> {
    let prefix = again_fact("");
    let names: Vec<String> = tx.all(
        "SELECT name FROM fact WHERE lane = ?1 AND value = ?2 AND substr(name, 1, length(?3)) = ?3",
        params![lane.lane, AGAIN, prefix],
        |row| row.get(0),
    )?;
    let mut found = Vec::new();
    for name in names {
        if let Some((seq, _)) = recall(tx, &lane.session, &name[prefix.len()..])? {
            found.push((seq, name));
        }
    }
    let Some((_, name)) = found.into_iter().min() else {
        return Ok(false);
    };
    tx.run(
        "UPDATE fact SET value = ?3 WHERE lane = ?1 AND name = ?2",
        params![lane.lane, name, SKIPPED],
    )?;
    Ok(true)
}

fn give_up_first(tx: &Tx<'_>, lane: &LaneRef, head: i64) -> Result<()> {
    let given_up = given_up(tx, lane.lane)?;
    let pending = tx.all(
        "SELECT seq, sequence FROM event WHERE session = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        params![lane.session, head, rules::SKIP_WINDOW],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if let Some(gone) = GivenUp::first(head, &pending, given_up) {
        tx.run(
            "UPDATE lane SET head = ?2 WHERE id = ?1",
            [lane.lane, gone.head],
        )?;
        if let Some(seq) = gone.seq {
            tx.run(
                "INSERT INTO given_up (lane, seq) VALUES (?1, ?2)",
                [lane.lane, seq],
            )?;
        }
    }
    Ok(())
}
