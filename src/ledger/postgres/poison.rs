//! What could not be understood, as it came.

use super::db::{Db, Outcome, Text};
use super::intake::admit;
use crate::ledger::rows::{self, Arrival};
use crate::ledger::{LedgerError, Poison, PoisonRow};

/// Keeps something that could not be understood, once.
pub(super) async fn poison(db: &Db<'_>, now: i64, poison: &Poison) -> Outcome<()> {
    db.run(
        "INSERT INTO poison (origin, key, reason, words, headers, raw, received_at, session)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (origin, key, reason) DO NOTHING",
        &[
            &Text(&poison.origin),
            &rows::body_key(&poison.raw),
            &poison.stop.reason.label(),
            &Text(&poison.stop.words),
            &Text(&poison.headers),
            &poison.raw,
            &now,
            &poison.session.as_deref().map(Text),
        ],
    )
    .await?;
    Ok(())
}

/// Kept poison after a number, oldest first.
pub(super) async fn poisoned(db: &Db<'_>, after: i64, limit: i64) -> Outcome<Vec<PoisonRow>> {
    db.all(
        "SELECT id, received_at, origin, reason, words, headers, raw, session
           FROM poison WHERE id > $1 ORDER BY id LIMIT $2",
        &[&after, &limit],
        |row| {
            let stop = rows::stop(row.try_get(3)?, row.try_get(4)?)
                .ok_or_else(|| LedgerError::Failed("poison without a reason".into()))?;
            Ok(PoisonRow {
                id: row.try_get(0)?,
                received_at: rows::at(row.try_get(1)?)?,
                poison: Poison {
                    origin: row.try_get(2)?,
                    stop,
                    headers: row.try_get(5)?,
                    raw: row.try_get(6)?,
                    session: row.try_get(7)?,
                },
            })
        },
    )
    .await
}

/// Takes poison out, and stores the events that it became.
pub(super) async fn unpoison(db: &Db<'_>, now: i64, id: i64, arrivals: &[Arrival]) -> Outcome<()> {
    if db.run("DELETE FROM poison WHERE id = $1", &[&id]).await? == 0 {
        return Err(LedgerError::Conflict(format!("there is no undecodable event {id}")).into());
    }
    admit(db, now, arrivals).await.map(|_| ())
}
