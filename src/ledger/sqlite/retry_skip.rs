//! Lanes put back to work by a person: retry and skip.

use handoffd_contract::Reason;
use rusqlite::{Row, params};

use super::facts::{facts, put_fact};
use super::lanes::lane_ref;
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
    tx.run(
        "DELETE FROM fact
          WHERE lane = ?1 AND name >= 'mapping/' AND name < 'mapping0'
            AND NOT EXISTS (SELECT 1 FROM fact AS done
                             WHERE done.lane = fact.lane
                               AND done.name = 'completed/' || substr(fact.name, 9))",
        [lane],
    )?;
    Ok(())
}

/// Gives up what each lane stands at.
pub(super) fn skip(tx: &Tx<'_>, now: i64, select: &Select, dry_run: bool) -> Result<Vec<LaneRef>> {
    let chosen = chosen(tx, select, None)?;
    if !dry_run {
        for lane in &chosen {
            if !(lane.asks_whether_it_happened() && settle_unsure(tx, lane.lane.lane)?) {
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
    let settled = tx.run(
        "UPDATE fact SET value = ?2, unsure_since = NULL, candidate = NULL
          WHERE lane = ?1 AND unsure_since IS NOT NULL",
        params![lane, rules::SKIPPED],
    )?;
    Ok(settled > 0)
}

fn give_up_first(tx: &Tx<'_>, lane: &LaneRef, head: i64) -> Result<()> {
    let (_, given_up) = rows::known(facts(tx, lane.lane)?)?;
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
        if let Some(fact) = gone.fact {
            put_fact(tx, lane.lane, &fact)?;
        }
    }
    Ok(())
}
