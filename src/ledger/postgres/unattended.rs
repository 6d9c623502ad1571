//! Lanes looked at while nobody works on them.

use handoffd_contract::Settled;

use super::admit::admit;
use super::db::{Db, Outcome, Text};
use super::facts::put_facts;
use super::lanes::lane_ref;
use crate::ledger::rows::{self, Arrival, FactRow};
use crate::ledger::{LedgerError, Unlooked};

/// Lanes that are to be looked at.
pub(super) async fn unlooked(
    db: &Db<'_>,
    now: i64,
    target: &str,
    blocked: bool,
    limit: i64,
) -> Outcome<Vec<Unlooked>> {
    db.all(
        "SELECT id, session, target, state, reason, words, epoch, look_at FROM lane
          WHERE target = $1 AND look_at IS NOT NULL AND look_at <= $2
            AND (lease_until IS NULL OR lease_until <= $2) AND (reason IS NOT NULL OR $3)
          ORDER BY look_at LIMIT $4",
        &[&Text(target), &now, &blocked, &limit],
        |row| {
            let state: String = row.try_get(3)?;
            Ok(Unlooked {
                lane: lane_ref(row)?,
                state: rows::lane_state(&state)?,
                stop: rows::stop(row.try_get(4)?, row.try_get(5)?),
                epoch: row.try_get(6)?,
                since: rows::at(row.try_get(7)?)?,
            })
        },
    )
    .await
}

/// Stores what looking at a lane came to.
pub(super) async fn looked(
    db: &Db<'_>,
    now: i64,
    lane: &Unlooked,
    facts: &[(String, Settled)],
    arrivals: &[Arrival],
    again: Option<i64>,
) -> Outcome<()> {
    admit(db, now, arrivals).await?;
    let same = db
        .run(
            "UPDATE lane SET look_at = $5
              WHERE id = $1 AND epoch = $2 AND look_at = $3
                AND (lease_until IS NULL OR lease_until <= $4)",
            &[
                &lane.lane.lane,
                &lane.epoch,
                &lane.since.as_microsecond(),
                &now,
                &again,
            ],
        )
        .await?;
    if same == 0 {
        return Err(LedgerError::Stale.into());
    }
    let facts: Vec<_> = facts
        .iter()
        .map(|(name, value)| FactRow::settled(name, value.clone()))
        .collect();
    put_facts(db, &vec![lane.lane.lane; facts.len()], &facts).await
}
