//! What editing a mapping takes: schemas, drafts, and handoffs to look at.

use async_trait::async_trait;
use handoffd_contract::Event;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::db::{Db, Outcome, Text};
use super::transact::transact;
use crate::ledger::editor::{MAX_HANDOFF_BYTES, MAX_HANDOFFS};
use crate::ledger::rows::{self, LOOKED_AT, NewDraft, count};
use crate::ledger::{Draft, EditorLedger, HandoffRow, LaneState, Result, SchemaRow};

#[async_trait]
impl EditorLedger for Postgres {
    async fn schema_put(
        &self,
        now: Timestamp,
        target: &str,
        digest: &str,
        text: &str,
    ) -> Result<bool> {
        let now = now.as_microsecond();
        transact!(self, Write, db => schema_put(db, now, target, digest, text))
    }

    async fn schema_get(&self, target: &str) -> Result<Option<SchemaRow>> {
        transact!(self, Statement, db => schema_get(db, target))
    }

    async fn schema_age(&self, target: &str) -> Result<Option<(Timestamp, String)>> {
        transact!(self, Statement, db => schema_age(db, target))
    }

    async fn draft_put(
        &self,
        now: Timestamp,
        target: &str,
        who: &str,
        text: &str,
        base: i64,
        expect: i64,
    ) -> Result<i64> {
        let draft = NewDraft::new(now, target, who, text, base, expect);
        transact!(self, Write, db => draft_put(db, &draft))
    }

    async fn drafts(&self, target: &str) -> Result<Vec<Draft>> {
        transact!(self, Statement, db => drafts(db, target))
    }

    async fn draft_drop(&self, target: &str, who: &str) -> Result<bool> {
        transact!(self, Write, db => draft_drop(db, target, who))
    }

    async fn handoffs(&self, target: &str, parked: bool, limit: usize) -> Result<Vec<HandoffRow>> {
        let limit = count(limit.min(MAX_HANDOFFS));
        if parked {
            transact!(self, Statement, db => parked_handoffs(db, target, limit))
        } else {
            transact!(self, Statement, db => handoffs(db, target, limit))
        }
    }

    async fn handoff_events(&self, target: &str, limit: usize) -> Result<Vec<(i64, Event)>> {
        let limit = count(limit.min(MAX_HANDOFFS));
        transact!(self, Statement, db => handoff_events(db, target, limit))
    }
}

/// Keeps a target's schema, and the one before where it is another.
async fn schema_put(
    db: &Db<'_>,
    now: i64,
    target: &str,
    digest: &str,
    text: &str,
) -> Outcome<bool> {
    let same = db
        .run(
            "UPDATE crm_schema SET read_at = $1 WHERE target = $2 AND digest = $3",
            &[&now, &Text(target), &Text(digest)],
        )
        .await?;
    if same > 0 {
        return Ok(false);
    }
    db.run(
        "INSERT INTO crm_schema (target, read_at, digest, text, changed_at, former)
         VALUES ($1, $2, $3, $4, $2, NULL)
         ON CONFLICT (target) DO UPDATE
            SET former = crm_schema.text, read_at = excluded.read_at, digest = excluded.digest,
                text = excluded.text, changed_at = excluded.changed_at",
        &[&Text(target), &now, &Text(digest), &Text(text)],
    )
    .await?;
    Ok(true)
}

/// A target's schema.
async fn schema_get(db: &Db<'_>, target: &str) -> Outcome<Option<SchemaRow>> {
    db.one(
        "SELECT read_at, digest, text, changed_at, former FROM crm_schema WHERE target = $1",
        &[&Text(target)],
        |row| {
            Ok(SchemaRow {
                read_at: rows::at(row.try_get(0)?)?,
                digest: row.try_get(1)?,
                text: row.try_get(2)?,
                changed_at: rows::at(row.try_get(3)?)?,
                former: row.try_get(4)?,
            })
        },
    )
    .await
}

/// When a target's schema was last read, and its digest.
async fn schema_age(db: &Db<'_>, target: &str) -> Outcome<Option<(Timestamp, String)>> {
    db.one(
        "SELECT read_at, digest FROM crm_schema WHERE target = $1",
        &[&Text(target)],
        |row| Ok((rows::at(row.try_get(0)?)?, row.try_get(1)?)),
    )
    .await
}

/// Stores a draft over the revision that it was made of.
async fn draft_put(db: &Db<'_>, draft: &NewDraft) -> Outcome<i64> {
    db.run("LOCK TABLE mapping_draft IN SHARE ROW EXCLUSIVE MODE", &[])
        .await?;
    let there = db
        .one(
            "SELECT revision FROM mapping_draft WHERE target = $1 AND who = $2",
            &[&Text(&draft.target), &Text(&draft.who)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let revision = draft.next(there)?;
    db.run(
        "INSERT INTO mapping_draft (target, who, text, base, revision, at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (target, who) DO UPDATE
            SET text = excluded.text, base = excluded.base, revision = excluded.revision,
                at = excluded.at",
        &[
            &Text(&draft.target),
            &Text(&draft.who),
            &Text(&draft.text),
            &draft.base,
            &revision,
            &draft.at,
        ],
    )
    .await?;
    Ok(revision)
}

/// The drafts of a mapping.
async fn drafts(db: &Db<'_>, target: &str) -> Outcome<Vec<Draft>> {
    db.all(
        "SELECT who, text, base, revision, at FROM mapping_draft
          WHERE target = $1 ORDER BY at DESC, who LIMIT 100",
        &[&Text(target)],
        |row| {
            Ok(Draft {
                who: row.try_get(0)?,
                text: row.try_get(1)?,
                base: row.try_get(2)?,
                revision: row.try_get(3)?,
                at: rows::at(row.try_get(4)?)?,
            })
        },
    )
    .await
}

/// Gives a draft up.
async fn draft_drop(db: &Db<'_>, target: &str, who: &str) -> Outcome<bool> {
    let dropped = db
        .run(
            "DELETE FROM mapping_draft WHERE target = $1 AND who = $2",
            &[&Text(target), &Text(who)],
        )
        .await?;
    Ok(dropped > 0)
}

/// The newest handoff of each parked lane.
async fn parked_handoffs(db: &Db<'_>, target: &str, limit: i64) -> Outcome<Vec<HandoffRow>> {
    db.all(
        "SELECT newest.seq, lane.session, newest.time, lane.state, lane.reason, lane.words
           FROM lane CROSS JOIN LATERAL (
                SELECT seq, time FROM event
                 WHERE event.session = lane.session AND event.kind = 'handoff.requested'
                 ORDER BY seq DESC LIMIT 1) AS newest
          WHERE lane.state = 'parked' AND lane.reason IS NOT NULL AND lane.target = $1
          ORDER BY newest.seq DESC LIMIT $2",
        &[&Text(target), &limit],
        handoff_row,
    )
    .await
}

/// The newest handoffs.
async fn handoffs(db: &Db<'_>, target: &str, limit: i64) -> Outcome<Vec<HandoffRow>> {
    db.all(
        "SELECT newest.seq, newest.session, newest.time, lane.state, lane.reason, lane.words
           FROM (SELECT seq, session, time FROM event
                  WHERE kind = 'handoff.requested' AND seq > 0
                  ORDER BY seq DESC LIMIT $2) AS newest
           JOIN lane ON lane.session = newest.session AND lane.target = $1
          ORDER BY newest.seq DESC LIMIT $3",
        &[&Text(target), &LOOKED_AT, &limit],
        handoff_row,
    )
    .await
}

fn handoff_row(row: &Row) -> Outcome<HandoffRow> {
    let state: String = row.try_get(3)?;
    Ok(HandoffRow {
        seq: row.try_get(0)?,
        session: row.try_get(1)?,
        time: rows::at(row.try_get(2)?)?,
        state: LaneState::parse(&state).unwrap_or(LaneState::Idle),
        stop: rows::stop(row.try_get(4)?, row.try_get(5)?),
    })
}

/// The events of the newest handoffs, as many as fit.
async fn handoff_events(db: &Db<'_>, target: &str, limit: i64) -> Outcome<Vec<(i64, Event)>> {
    let bytes = count(MAX_HANDOFF_BYTES);
    let bodies = db
        .all(
            "SELECT counted.seq, event.body
               FROM (SELECT mine.seq, sum(octet_length(mine.body)) OVER (ORDER BY mine.seq DESC) AS total
                       FROM (SELECT newest.seq, newest.body
                               FROM (SELECT seq, session, body FROM event
                                      WHERE kind = 'handoff.requested' AND seq > 0
                                      ORDER BY seq DESC LIMIT $2) AS newest
                               JOIN lane ON lane.session = newest.session AND lane.target = $1
                              ORDER BY newest.seq DESC LIMIT $3) AS mine) AS counted
               JOIN event ON event.seq = counted.seq
              WHERE counted.total <= $4
              ORDER BY counted.seq DESC",
            &[&Text(target), &LOOKED_AT, &limit, &bytes],
            |row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, String>(1)?)),
        )
        .await?;
    let mut events = Vec::with_capacity(bodies.len());
    for (seq, body) in bodies {
        if let Some(event) = rows::maybe_decode(Some(body))? {
            events.push((seq, event));
        }
    }
    Ok(events)
}
