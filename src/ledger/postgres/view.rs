//! What the pages of operators read.

use async_trait::async_trait;
use handoffd_contract::Contact;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::db::{Db, Outcome, Text, texts};
use super::transact::transact;
use super::{Postgres, figures, find, listing};
use crate::ledger::figures::{Figure, Span};
use crate::ledger::rows::{self, count};
use crate::ledger::view::{
    COUNTED_TO, ConversationFilter, EventsWanted, Listing, Marks, StoredAttempt, StoredEvent, Tail,
    ViewCounts, ViewLedger, WindowState,
};
use crate::ledger::{Attempt, Result};

#[async_trait]
impl ViewLedger for Postgres {
    async fn listing(&self, now: Timestamp, filter: ConversationFilter) -> Result<Listing> {
        transact!(self, Read, db => listing::listing(db, now, &filter))
    }

    async fn view_counts(&self, now: Timestamp) -> Result<ViewCounts> {
        transact!(self, Read, db => view_counts(db, now))
    }

    async fn session_numbered(&self, number: i64) -> Result<Option<String>> {
        transact!(self, Statement, db => db.one(
            "SELECT id FROM session WHERE number = $1",
            &[&number],
            |row| Ok(row.try_get(0)?),
        ))
    }

    async fn number_of(&self, session: &str) -> Result<Option<i64>> {
        transact!(self, Statement, db => db.one(
            "SELECT number FROM session WHERE id = $1",
            &[&Text(session)],
            |row| Ok(row.try_get(0)?),
        ))
    }

    async fn handled(
        &self,
        words: &[String],
        limit: usize,
    ) -> Result<Vec<(String, Option<Contact>)>> {
        transact!(self, Statement, db => handled(db, words, count(limit)))
    }

    async fn session_with_fact(&self, facts: &[String]) -> Result<Option<String>> {
        transact!(self, Read, db => find::by_fact(db, facts))
    }

    async fn session_events(
        &self,
        session: &str,
        wanted: EventsWanted,
    ) -> Result<Vec<StoredEvent>> {
        transact!(self, Statement, db => session_events(db, session, &wanted))
    }

    async fn tail(&self, event: i64, attempt: i64, limit: usize) -> Result<Tail> {
        transact!(self, Read, db => tail(db, event, attempt, count(limit)))
    }

    async fn marks(&self) -> Result<Marks> {
        transact!(self, Read, db => marks(db))
    }

    async fn count_figures(&self, now: Timestamp) -> Result<bool> {
        transact!(self, Write, db => figures::count(db, now))
    }

    async fn figures(&self, span: Span, since: Timestamp) -> Result<Vec<Figure>> {
        transact!(self, Statement, db => figures::figures(db, span, since))
    }
}

async fn view_counts(db: &Db<'_>, now: Timestamp) -> Outcome<ViewCounts> {
    let lanes = |state: &'static str, reason: Option<&'static str>| async move {
        number(
            db,
            "SELECT count(*) FROM (SELECT DISTINCT session FROM lane
              WHERE state = $1 AND reason IS NOT NULL AND ($2::text IS NULL OR reason = $2)
              LIMIT $3) AS few",
            &[&state, &reason, &(COUNTED_TO + 1)],
        )
        .await
    };
    let (from, until) = WindowState::Closing.wrote(now);
    Ok(ViewCounts {
        all: number(db, "SELECT max(number) FROM session", &[]).await?,
        needs_person: lanes("parked", None).await?,
        waiting: number(
            db,
            "SELECT count(*) FROM (SELECT 1 FROM session
              WHERE controller IS NOT NULL AND controller = 'queued' LIMIT $1) AS few",
            &[&(COUNTED_TO + 1)],
        )
        .await?,
        closing: number(
            db,
            &format!(
                "SELECT count(*) FROM (SELECT 1 FROM session AS s
                  WHERE controller IS NOT NULL AND controller IN ('queued', 'rep')
                    AND {0} >= $1 AND {0} < $2 LIMIT $3) AS few",
                listing::WROTE
            ),
            &[&from, &until, &(COUNTED_TO + 1)],
        )
        .await?,
        held: lanes("held", Some("window-closed")).await?,
    })
}

/// One number; 0 where there is none.
async fn number(db: &Db<'_>, sql: &str, params: &[super::db::Param<'_>]) -> Outcome<i64> {
    let found = db
        .one(sql, params, |row| Ok(row.try_get::<_, Option<i64>>(0)?))
        .await?;
    Ok(found.flatten().unwrap_or(0))
}

async fn handled(
    db: &Db<'_>,
    words: &[String],
    limit: i64,
) -> Outcome<Vec<(String, Option<Contact>)>> {
    db.all(
        "SELECT id, contact FROM session
          WHERE id IN (SELECT session FROM handle WHERE word = ANY ($1))
          ORDER BY number DESC LIMIT $2",
        &[&texts(words), &limit],
        |row| Ok((row.try_get(0)?, rows::maybe_decode(row.try_get(1)?)?)),
    )
    .await
}

async fn session_events(
    db: &Db<'_>,
    session: &str,
    wanted: &EventsWanted,
) -> Outcome<Vec<StoredEvent>> {
    let (bound, order) = if wanted.newest {
        ("seq < $2", "DESC")
    } else {
        ("seq > $2", "ASC")
    };
    let from = wanted
        .from
        .unwrap_or(if wanted.newest { i64::MAX } else { 0 });
    // The bytes before each row are summed by the server, so that no more comes than is wanted.
    let found = db
        .all(
            &format!(
                "SELECT seq, received_at, body FROM (
                     SELECT seq, received_at, body,
                            sum(length(body)) OVER (ORDER BY seq {order}) AS size,
                            row_number() OVER (ORDER BY seq {order}) AS place
                       FROM (SELECT seq, received_at, body FROM event
                              WHERE session = $1 AND {bound} AND ($3::text IS NULL OR kind = $3)
                              ORDER BY seq {order} LIMIT $4) AS few) AS sized
                  WHERE place = 1 OR size <= $5 ORDER BY seq {order}"
            ),
            &[
                &Text(session),
                &from,
                &wanted.kind,
                &count(wanted.limit),
                &count(wanted.bytes),
            ],
            stored_event,
        )
        .await?;
    Ok(found)
}

fn stored_event(row: &Row) -> Outcome<StoredEvent> {
    Ok(StoredEvent {
        seq: row.try_get(0)?,
        received_at: rows::at(row.try_get(1)?)?,
        event: rows::decode(row.try_get(2)?)?,
    })
}

async fn tail(db: &Db<'_>, event: i64, attempt: i64, limit: i64) -> Outcome<Tail> {
    Ok(Tail {
        events: db
            .all(
                "SELECT seq, received_at, body FROM event WHERE seq > $1 ORDER BY seq LIMIT $2",
                &[&event, &limit],
                stored_event,
            )
            .await?,
        attempts: db
            .all(
                "SELECT attempt.id, lane.session, lane.target, step, started_at, millis, status,
                        outcome, attempt.reason, attempt.words, attempt.call
                   FROM attempt JOIN lane ON lane.id = attempt.lane
                  WHERE attempt.id > $1 ORDER BY attempt.id LIMIT $2",
                &[&attempt, &limit],
                stored_attempt,
            )
            .await?,
    })
}

fn stored_attempt(row: &Row) -> Outcome<StoredAttempt> {
    let status: Option<i32> = row.try_get(6)?;
    Ok(StoredAttempt {
        id: row.try_get(0)?,
        session: row.try_get(1)?,
        target: row.try_get(2)?,
        attempt: Attempt {
            step: row.try_get(3)?,
            call: row.try_get(10)?,
            started_at: rows::at(row.try_get(4)?)?,
            millis: row.try_get(5)?,
            status: status.and_then(|status| u16::try_from(status).ok()),
            outcome: row.try_get(7)?,
            stop: rows::stop(row.try_get(8)?, row.try_get(9)?),
        },
    })
}

async fn marks(db: &Db<'_>) -> Outcome<Marks> {
    Ok(Marks {
        event: number(db, "SELECT max(seq) FROM event", &[]).await?,
        attempt: number(db, "SELECT max(id) FROM attempt", &[]).await?,
        dead_letter: (
            number(db, "SELECT max(id) FROM poison", &[]).await?,
            number(db, "SELECT count(*) FROM poison", &[]).await?,
        ),
        parked: number(
            db,
            "SELECT count(*) FROM (SELECT 1 FROM lane
              WHERE state = 'parked' AND reason IS NOT NULL LIMIT $1) AS few",
            &[&(COUNTED_TO + 1)],
        )
        .await?,
    })
}

/// Notes by what sessions are found: session and word.
pub(super) async fn put_handles(db: &Db<'_>, handles: &[(String, String)]) -> Outcome<()> {
    if handles.is_empty() {
        return Ok(());
    }
    let sessions = texts(handles.iter().map(|(session, _)| session));
    let words = texts(handles.iter().map(|(_, word)| word));
    db.run(
        "INSERT INTO handle (word, session)
         SELECT word, session FROM unnest($1::text[], $2::text[]) AS new (word, session)
          ORDER BY word, session
         ON CONFLICT (word, session) DO NOTHING",
        &[&words, &sessions],
    )
    .await?;
    Ok(())
}
