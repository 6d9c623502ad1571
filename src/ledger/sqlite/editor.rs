//! What editing a mapping takes: schemas, drafts, and handoffs to look at.

use async_trait::async_trait;
use handoffd_contract::Event;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::Sqlite;
use super::tx::Tx;
use crate::ledger::editor::{MAX_HANDOFF_BYTES, MAX_HANDOFFS};
use crate::ledger::rows::{self, LOOKED_AT, NewDraft, count};
use crate::ledger::{Draft, EditorLedger, HandoffRow, LaneState, Result, SchemaRow};

#[async_trait]
impl EditorLedger for Sqlite {
    async fn schema_put(
        &self,
        now: Timestamp,
        target: &str,
        digest: &str,
        text: &str,
    ) -> Result<bool> {
        let (now, target) = (now.as_microsecond(), target.to_owned());
        let (digest, text) = (digest.to_owned(), text.to_owned());
        self.write(move |tx| schema_put(tx, now, &target, &digest, &text))
            .await
    }

    async fn schema_get(&self, target: &str) -> Result<Option<SchemaRow>> {
        let target = target.to_owned();
        self.read(move |tx| schema_get(tx, &target)).await
    }

    async fn schema_age(&self, target: &str) -> Result<Option<(Timestamp, String)>> {
        let target = target.to_owned();
        self.read(move |tx| schema_age(tx, &target)).await
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
        self.write(move |tx| draft_put(tx, &draft)).await
    }

    async fn drafts(&self, target: &str) -> Result<Vec<Draft>> {
        let target = target.to_owned();
        self.read(move |tx| drafts(tx, &target)).await
    }

    async fn draft_drop(&self, target: &str, who: &str) -> Result<bool> {
        let (target, who) = (target.to_owned(), who.to_owned());
        self.write(move |tx| {
            let dropped = tx.run(
                "DELETE FROM mapping_draft WHERE target = ?1 AND who = ?2",
                params![target, who],
            )?;
            Ok(dropped > 0)
        })
        .await
    }

    async fn handoffs(&self, target: &str, parked: bool, limit: usize) -> Result<Vec<HandoffRow>> {
        let (target, limit) = (target.to_owned(), count(limit.min(MAX_HANDOFFS)));
        self.read(move |tx| {
            if parked {
                parked_handoffs(tx, &target, limit)
            } else {
                handoffs(tx, &target, limit)
            }
        })
        .await
    }

    async fn handoff_events(&self, target: &str, limit: usize) -> Result<Vec<(i64, Event)>> {
        let (target, limit) = (target.to_owned(), count(limit.min(MAX_HANDOFFS)));
        self.read(move |tx| handoff_events(tx, &target, limit))
            .await
    }
}

/// Keeps a target's schema, and the one before where it is another.
fn schema_put(tx: &Tx<'_>, now: i64, target: &str, digest: &str, text: &str) -> Result<bool> {
    let same = tx.run(
        "UPDATE crm_schema SET read_at = ?1 WHERE target = ?2 AND digest = ?3",
        params![now, target, digest],
    )?;
    if same > 0 {
        return Ok(false);
    }
    tx.run(
        "INSERT INTO crm_schema (target, read_at, digest, text, changed_at, former)
         VALUES (?1, ?2, ?3, ?4, ?2, NULL)
         ON CONFLICT (target) DO UPDATE
            SET former = crm_schema.text, read_at = excluded.read_at, digest = excluded.digest,
                text = excluded.text, changed_at = excluded.changed_at",
        params![target, now, digest, text],
    )?;
    Ok(true)
}

/// A target's schema.
fn schema_get(tx: &Tx<'_>, target: &str) -> Result<Option<SchemaRow>> {
    tx.one(
        "SELECT read_at, digest, text, changed_at, former FROM crm_schema WHERE target = ?1",
        [target],
        |row| {
            let (read_at, changed_at) = (rows::at(row.get(0)?), rows::at(row.get(3)?));
            let (digest, text, former) = (row.get(1)?, row.get(2)?, row.get(4)?);
            Ok(read_at.and_then(|read_at| {
                Ok(SchemaRow {
                    read_at,
                    digest,
                    text,
                    changed_at: changed_at?,
                    former,
                })
            }))
        },
    )?
    .transpose()
}

/// When a target's schema was last read, and its digest.
fn schema_age(tx: &Tx<'_>, target: &str) -> Result<Option<(Timestamp, String)>> {
    let found = tx.one(
        "SELECT read_at, digest FROM crm_schema WHERE target = ?1",
        [target],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    found
        .map(|(at, digest)| Ok((rows::at(at)?, digest)))
        .transpose()
}

/// Stores a draft over the revision that it was made of.
fn draft_put(tx: &Tx<'_>, draft: &NewDraft) -> Result<i64> {
    let there = tx.one(
        "SELECT revision FROM mapping_draft WHERE target = ?1 AND who = ?2",
        params![draft.target, draft.who],
        |row| row.get(0),
    )?;
    let revision = draft.next(there)?;
    tx.run(
        "INSERT INTO mapping_draft (target, who, text, base, revision, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (target, who) DO UPDATE
            SET text = excluded.text, base = excluded.base, revision = excluded.revision,
                at = excluded.at",
        params![
            draft.target,
            draft.who,
            draft.text,
            draft.base,
            revision,
            draft.at
        ],
    )?;
    Ok(revision)
}

/// The drafts of a mapping.
fn drafts(tx: &Tx<'_>, target: &str) -> Result<Vec<Draft>> {
    let rows = tx.all(
        "SELECT who, text, base, revision, at FROM mapping_draft
          WHERE target = ?1 ORDER BY at DESC, who LIMIT 100",
        [target],
        |row| {
            let at = rows::at(row.get(4)?);
            let (who, text) = (row.get(0)?, row.get(1)?);
            let (base, revision) = (row.get(2)?, row.get(3)?);
            Ok(at.map(|at| Draft {
                who,
                text,
                base,
                revision,
                at,
            }))
        },
    )?;
    rows.into_iter().collect()
}

/// The newest handoff of each parked lane.
fn parked_handoffs(tx: &Tx<'_>, target: &str, limit: i64) -> Result<Vec<HandoffRow>> {
    let rows = tx.all(
        "SELECT event.seq, event.session, event.time, lane.state, lane.reason, lane.words
           FROM lane CROSS JOIN event
          WHERE lane.state = 'parked' AND lane.reason IS NOT NULL AND lane.target = ?1
            AND event.seq = (SELECT max(seq) FROM event AS other
                              WHERE other.session = lane.session
                                AND other.kind = 'handoff.requested')
          ORDER BY event.seq DESC LIMIT ?2",
        params![target, limit],
        handoff_row,
    )?;
    rows.into_iter().collect()
}

/// The newest handoffs.
fn handoffs(tx: &Tx<'_>, target: &str, limit: i64) -> Result<Vec<HandoffRow>> {
    let rows = tx.all(
        "SELECT event.seq, event.session, event.time, lane.state, lane.reason, lane.words
           FROM event CROSS JOIN lane
          WHERE event.kind = 'handoff.requested' AND event.seq >= ?2
            AND lane.session = event.session AND lane.target = ?1
          ORDER BY event.seq DESC LIMIT ?3",
        params![target, floor(tx)?, limit],
        handoff_row,
    )?;
    rows.into_iter().collect()
}

/// From which sequence number on handoffs are looked at.
fn floor(tx: &Tx<'_>) -> Result<i64> {
    let floor = tx.one(
        "SELECT seq FROM event WHERE kind = 'handoff.requested' AND seq > 0
          ORDER BY seq DESC LIMIT 1 OFFSET ?1",
        [LOOKED_AT],
        |row| row.get(0),
    )?;
    Ok(floor.unwrap_or(0))
}

fn handoff_row(row: &Row<'_>) -> rusqlite::Result<Result<HandoffRow>> {
    let (seq, session) = (row.get(0)?, row.get(1)?);
    let (time, state) = (rows::at(row.get(2)?), row.get::<_, String>(3)?);
    let stop = rows::stop(row.get(4)?, row.get(5)?);
    Ok(time.map(|time| HandoffRow {
        seq,
        session,
        time,
        state: LaneState::parse(&state).unwrap_or(LaneState::Idle),
        stop,
    }))
}

/// The events of the newest handoffs, as many as fit.
fn handoff_events(tx: &Tx<'_>, target: &str, limit: i64) -> Result<Vec<(i64, Event)>> {
    let mut bodies: Vec<(i64, String)> = Vec::new();
    let mut bytes = 0;
    tx.each(
        "SELECT event.seq, event.body FROM event CROSS JOIN lane
          WHERE event.kind = 'handoff.requested' AND event.seq >= ?2
            AND lane.session = event.session AND lane.target = ?1
          ORDER BY event.seq DESC LIMIT ?3",
        params![target, floor(tx)?, limit],
        |row| {
            let body: String = row.get(1)?;
            bytes += body.len();
            let fits = bytes <= MAX_HANDOFF_BYTES;
            if fits {
                bodies.push((row.get(0)?, body));
            }
            Ok(fits)
        },
    )?;
    bodies
        .into_iter()
        .filter_map(|(seq, body)| {
            Some(
                rows::maybe_decode(Some(body))
                    .transpose()?
                    .map(|event| (seq, event)),
            )
        })
        .collect()
}
