//! What the pages of operators read.

use async_trait::async_trait;
use handoffd_contract::Contact;
use jiff::Timestamp;
use rusqlite::{Row, params, params_from_iter};

use super::tx::Tx;
use super::{Sqlite, figures, listing};
use crate::ledger::figures::{Figure, Span};
use crate::ledger::rows::{self, count};
use crate::ledger::view::{
    COUNTED_TO, ConversationFilter, EventsWanted, Listing, Marks, StoredAttempt, StoredEvent, Tail,
    ViewCounts, ViewLedger, WindowState,
};
use crate::ledger::{Attempt, Result};

#[async_trait]
impl ViewLedger for Sqlite {
    async fn listing(&self, now: Timestamp, filter: ConversationFilter) -> Result<Listing> {
        self.read(move |tx| listing::listing(tx, now, &filter))
            .await
    }

    async fn view_counts(&self, now: Timestamp) -> Result<ViewCounts> {
        self.read(move |tx| view_counts(tx, now)).await
    }

    async fn session_numbered(&self, number: i64) -> Result<Option<String>> {
        self.read(move |tx| {
            tx.one(
                "SELECT id FROM session WHERE number = ?1",
                [number],
                |row| row.get(0),
            )
        })
        .await
    }

    async fn number_of(&self, session: &str) -> Result<Option<i64>> {
        let session = session.to_owned();
        self.read(move |tx| {
            tx.one(
                "SELECT number FROM session WHERE id = ?1",
                [session],
                |row| row.get(0),
            )
        })
        .await
    }

    async fn handled(
        &self,
        words: &[String],
        limit: usize,
    ) -> Result<Vec<(String, Option<Contact>)>> {
        let words = words.to_vec();
        self.read(move |tx| handled(tx, &words, count(limit))).await
    }

    async fn session_with_fact(&self, facts: &[String]) -> Result<Option<String>> {
        let facts = facts.to_vec();
        self.read(move |tx| super::find::by_fact(tx, &facts)).await
    }

    async fn session_events(
        &self,
        session: &str,
        wanted: EventsWanted,
    ) -> Result<Vec<StoredEvent>> {
        let session = session.to_owned();
        self.read(move |tx| session_events(tx, &session, &wanted))
            .await
    }

    async fn tail(&self, event: i64, attempt: i64, limit: usize) -> Result<Tail> {
        self.read(move |tx| tail(tx, event, attempt, count(limit)))
            .await
    }

    async fn marks(&self) -> Result<Marks> {
        self.read(marks).await
    }

    async fn count_figures(&self, now: Timestamp) -> Result<bool> {
        // What is to be added is found beside the writer, which then only adds.
        let (counted, sums) = self.read(move |tx| figures::found(tx, now)).await?;
        if counted.to == counted.from {
            return Ok(false);
        }
        let more = counted.more;
        self.write(move |tx| figures::add(tx, now, &counted, &sums))
            .await?;
        Ok(more)
    }

    async fn figures(&self, span: Span, since: Timestamp) -> Result<Vec<Figure>> {
        self.read(move |tx| figures::figures(tx, span, since)).await
    }
}

fn view_counts(tx: &Tx<'_>, now: Timestamp) -> Result<ViewCounts> {
    let lanes = |state: &str, reason: Option<&str>| -> Result<i64> {
        let counted = tx.one(
            "SELECT count(*) FROM (SELECT DISTINCT session FROM lane
              WHERE state = ?1 AND reason IS NOT NULL AND (?2 IS NULL OR reason = ?2) LIMIT ?3)",
            params![state, reason, COUNTED_TO + 1],
            |row| row.get(0),
        )?;
        Ok(counted.unwrap_or(0))
    };
    let waiting = tx.one(
        "SELECT count(*) FROM (SELECT 1 FROM session
          WHERE controller IS NOT NULL AND controller = 'queued' LIMIT ?1)",
        [COUNTED_TO + 1],
        |row| row.get(0),
    )?;
    let (from, until) = WindowState::Closing.wrote(now);
    let closing = tx.one(
        &format!(
            "SELECT count(*) FROM (SELECT 1 FROM session AS s
              WHERE controller IS NOT NULL AND controller IN ('queued', 'rep')
                AND {0} >= ?1 AND {0} < ?2 LIMIT ?3)",
            listing::WROTE
        ),
        [from, until, COUNTED_TO + 1],
        |row| row.get(0),
    )?;
    let all = tx.one("SELECT max(number) FROM session", [], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(ViewCounts {
        all: all.flatten().unwrap_or(0),
        needs_person: lanes("parked", None)?,
        waiting: waiting.unwrap_or(0),
        closing: closing.unwrap_or(0),
        held: lanes("held", Some("window-closed"))?,
    })
}

fn handled(tx: &Tx<'_>, words: &[String], limit: i64) -> Result<Vec<(String, Option<Contact>)>> {
    let mut found: Vec<(i64, String, Option<String>)> = Vec::new();
    for word in words {
        let led = tx.all(
            "SELECT session.number, session.id, session.contact
               FROM handle JOIN session ON session.id = handle.session
              WHERE handle.word = ?1 ORDER BY session.number DESC LIMIT ?2",
            params![word, limit],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        found.extend(led);
    }
    found.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
    found.dedup_by(|a, b| a.0 == b.0);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let each = found.into_iter();
    each.map(|(_, session, contact)| Ok((session, rows::maybe_decode(contact)?)))
        .collect()
}

fn session_events(tx: &Tx<'_>, session: &str, wanted: &EventsWanted) -> Result<Vec<StoredEvent>> {
    let (mut found, mut size) = (Vec::new(), 0);
    let (bound, order) = if wanted.newest {
        ("seq < ?2", "DESC")
    } else {
        ("seq > ?2", "ASC")
    };
    let from = wanted
        .from
        .unwrap_or(if wanted.newest { i64::MAX } else { 0 });
    tx.each(
        &format!(
            "SELECT seq, received_at, body FROM event
              WHERE session = ?1 AND {bound} AND (?3 IS NULL OR kind = ?3)
              ORDER BY seq {order} LIMIT ?4"
        ),
        params![session, from, wanted.kind, count(wanted.limit)],
        |row| {
            let raw: (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            size += raw.2.len();
            let fits = found.is_empty() || size <= wanted.bytes;
            if fits {
                found.push(raw);
            }
            Ok(fits)
        },
    )?;
    found.into_iter().map(stored_event).collect()
}

fn stored_event((seq, received_at, body): (i64, i64, String)) -> Result<StoredEvent> {
    Ok(StoredEvent {
        seq,
        received_at: rows::at(received_at)?,
        event: rows::decode(&body)?,
    })
}

fn tail(tx: &Tx<'_>, event: i64, attempt: i64, limit: i64) -> Result<Tail> {
    let events = tx.all(
        "SELECT seq, received_at, body FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        [event, limit],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let attempts = tx.all(
        "SELECT attempt.id, lane.session, lane.target, step, started_at, millis, status, outcome,
                attempt.reason, attempt.words, attempt.call
           FROM attempt JOIN lane ON lane.id = attempt.lane
          WHERE attempt.id > ?1 ORDER BY attempt.id LIMIT ?2",
        [attempt, limit],
        raw_attempt,
    )?;
    Ok(Tail {
        events: events
            .into_iter()
            .map(stored_event)
            .collect::<Result<_>>()?,
        attempts: attempts.into_iter().collect::<Result<_>>()?,
    })
}

fn raw_attempt(row: &Row<'_>) -> rusqlite::Result<Result<StoredAttempt>> {
    let (id, session, target, started_at) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(4)?);
    let stop = rows::stop(row.get(8)?, row.get(9)?);
    let (step, millis, status, outcome) = (row.get(3)?, row.get(5)?, row.get(6)?, row.get(7)?);
    let call = row.get(10)?;
    Ok(rows::at(started_at).map(|started_at| StoredAttempt {
        id,
        session,
        target,
        attempt: Attempt {
            step,
            call,
            started_at,
            millis,
            status,
            outcome,
            stop,
        },
    }))
}

fn marks(tx: &Tx<'_>) -> Result<Marks> {
    let newest = |sql: &str| -> Result<i64> {
        let found = tx.one(sql, [], |row| row.get::<_, Option<i64>>(0))?;
        Ok(found.flatten().unwrap_or(0))
    };
    let parked = tx.one(
        "SELECT count(*) FROM (SELECT 1 FROM lane
          WHERE state = 'parked' AND reason IS NOT NULL LIMIT ?1)",
        [COUNTED_TO + 1],
        |row| row.get(0),
    )?;
    Ok(Marks {
        event: newest("SELECT max(seq) FROM event")?,
        attempt: newest("SELECT max(id) FROM attempt")?,
        dead_letter: (
            newest("SELECT max(id) FROM poison")?,
            newest("SELECT count(*) FROM poison")?,
        ),
        parked: parked.unwrap_or(0),
    })
}

/// Notes by what a session is found.
pub(super) fn put_handles(tx: &Tx<'_>, session: &str, words: &[String]) -> Result<()> {
    for word in words {
        tx.run(
            "INSERT INTO handle (word, session) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params_from_iter([word.as_str(), session]),
        )?;
    }
    Ok(())
}
