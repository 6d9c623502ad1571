//! Conversations, listed: those in which something happened last first.
//!
//! Nothing is kept for it. The newest events are walked backwards, and each that is its session's last one
//! stands for that session. What few sessions can be is begun at those sessions instead.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::conversation::state_row;
use super::db::{Db, Outcome, Text, texts};
use crate::ledger::rows;
use crate::ledger::view::{
    COUNTED_TO, Conversation, ConversationFilter, LOOKED_BACK, LaneBrief, Listing, SAID, STRIDE,
    Standing,
};

/// When the customer of session `s` last wrote to its business number; 0 when never.
pub(super) const WROTE: &str = "greatest(coalesce(s.inbound_at, 0), coalesce(
    (SELECT customer.inbound_at FROM customer
      WHERE customer.business_number = s.business_number AND customer.key = s.customer), 0))";

/// Which sessions fit: `$1` to `$9`.
fn fits() -> String {
    format!(
        "($1::text IS NULL OR coalesce(s.controller, 'assistant') = $1)
     AND ($2::text IS NULL OR s.business_number = $2)
     AND ($3::text IS NULL OR $4::text IS NOT NULL
          OR EXISTS (SELECT 1 FROM lane WHERE lane.session = s.id AND lane.target = $3))
     AND ($4::text IS NULL OR EXISTS (SELECT 1 FROM lane
           WHERE lane.session = s.id AND lane.state = $4 AND lane.reason IS NOT NULL
             AND ($5::text IS NULL OR lane.reason = $5) AND ($3::text IS NULL OR lane.target = $3)))
     AND (NOT $6::boolean OR NOT EXISTS (SELECT 1 FROM lane
           WHERE lane.session = s.id AND lane.reason IS NOT NULL
             AND ($3::text IS NULL OR lane.target = $3)))
     AND ($7::bigint IS NULL OR ({WROTE} >= $7 AND {WROTE} < $8::bigint))
     AND (NOT $9::boolean OR s.controller IN ('queued', 'rep'))"
    )
}

type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// The values of [`fits`].
fn values<'a>(now: Timestamp, filter: &'a ConversationFilter) -> Vec<Value<'a>> {
    let lane = filter.state.and_then(Standing::lane);
    let wrote = filter.window.map(|window| window.wrote(now));
    vec![
        Box::new(filter.controller.as_deref().map(Text)),
        Box::new(filter.number.as_deref().map(Text)),
        Box::new(filter.target.as_deref().map(Text)),
        Box::new(lane.map(|(state, _)| state.word())),
        Box::new(
            lane.and_then(|(_, reason)| reason)
                .map(|reason| reason.label()),
        ),
        Box::new(filter.state == Some(Standing::Well)),
        Box::new(wrote.map(|(from, _)| from)),
        Box::new(wrote.map(|(_, until)| until)),
        Box::new(filter.of_people()),
    ]
}

type Found = Vec<(i64, String)>;

async fn query(db: &Db<'_>, sql: &str, values: &[Value<'_>]) -> Outcome<Found> {
    let params: Vec<&(dyn ToSql + Sync)> = values.iter().map(|one| &**one as _).collect();
    db.all(sql, &params, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .await
}

/// A page. `db` is a transaction that sees one moment.
pub(super) async fn listing(
    db: &Db<'_>,
    now: Timestamp,
    filter: &ConversationFilter,
) -> Outcome<Listing> {
    let wanted = usize::try_from(filter.limit()).unwrap_or(usize::MAX);
    let (mut found, rest) = match few(db, now, filter).await? {
        Some(found) => (found, None),
        None => walked(db, now, filter).await?,
    };
    let more = found.len() > wanted;
    found.truncate(wanted);
    let (mut before, mut looked_back_to) = (None, None);
    if more {
        before = found.last().map(|(seq, _)| *seq);
    } else if let Some((seq, at)) = rest {
        before = Some(seq);
        looked_back_to = Some(rows::at(at)?);
    }
    Ok(Listing {
        rows: conversations(db, found).await?,
        before,
        looked_back_to,
    })
}

/// Begun at the sessions themselves, where they can only be few.
async fn few(db: &Db<'_>, now: Timestamp, filter: &ConversationFilter) -> Outcome<Option<Found>> {
    let lane = filter.state.and_then(Standing::lane);
    let ids = |row: &tokio_postgres::Row| -> Outcome<String> { Ok(row.try_get(0)?) };
    let sessions: Vec<String> = if let Some(sessions) = &filter.sessions {
        sessions.clone()
    } else if let Some((state, reason)) = lane {
        db.all(
            "SELECT DISTINCT session FROM lane
              WHERE state = $1 AND reason IS NOT NULL AND ($2::text IS NULL OR reason = $2)
                AND ($3::text IS NULL OR target = $3) LIMIT $4",
            &[
                &state.word(),
                &reason.map(|reason| reason.label()),
                &filter.target.as_deref().map(Text),
                &(COUNTED_TO + 1),
            ],
            ids,
        )
        .await?
    } else if filter.of_people() || matches!(filter.controller.as_deref(), Some("queued" | "rep")) {
        db.all(
            "SELECT id FROM session
              WHERE controller IS NOT NULL
                AND controller IN (coalesce($1::text, 'queued'), coalesce($1::text, 'rep')) LIMIT $2",
            &[&filter.controller.as_deref().map(Text), &(COUNTED_TO + 1)],
            ids,
        )
        .await?
    } else {
        return Ok(None);
    };
    if rows::count(sessions.len()) > COUNTED_TO {
        return Ok(None);
    }
    let mut all = values(now, filter);
    all.push(Box::new(filter.before.unwrap_or(i64::MAX)));
    all.push(Box::new(filter.since.map_or(0, Timestamp::as_microsecond)));
    all.push(Box::new(filter.limit() + 1));
    all.push(Box::new(texts(&sessions)));
    let sql = format!(
        "SELECT last.seq, s.id
           FROM (SELECT DISTINCT id FROM unnest($13::text[]) AS one (id)) AS wanted
           JOIN session AS s ON s.id = wanted.id
           CROSS JOIN LATERAL (SELECT seq, received_at FROM event
                                WHERE event.session = s.id ORDER BY seq DESC LIMIT 1) AS last
          WHERE {} AND last.seq < $10 AND last.received_at >= $11
          ORDER BY last.seq DESC LIMIT $12",
        fits()
    );
    Ok(Some(query(db, &sql, &all).await?))
}

/// Begun at the newest events. Also returns where the look ended, if there is more to look at.
async fn walked(
    db: &Db<'_>,
    now: Timestamp,
    filter: &ConversationFilter,
) -> Outcome<(Found, Option<(i64, i64)>)> {
    let newest = db
        .one("SELECT max(seq) FROM event", &[], |row| {
            Ok(row.try_get::<_, Option<i64>>(0)?)
        })
        .await?;
    let mut at = filter
        .before
        .unwrap_or(i64::MAX)
        .min(newest.flatten().unwrap_or(0) + 1);
    let since = filter.since.map_or(0, Timestamp::as_microsecond);
    let end = at - LOOKED_BACK;
    let mut found: Found = Vec::new();
    let wanted = usize::try_from(filter.limit() + 1).unwrap_or(usize::MAX);
    let sql = format!(
        "SELECT e.seq, s.id FROM event AS e JOIN session AS s ON s.id = e.session
          WHERE e.seq < $10 AND e.seq >= $11 AND e.received_at >= $12
            AND NOT EXISTS (SELECT 1 FROM event AS newer
                             WHERE newer.session = e.session AND newer.seq > e.seq)
            AND {} ORDER BY e.seq DESC LIMIT $13",
        fits()
    );
    while at > 1 && at > end && found.len() < wanted {
        let from = (at - STRIDE).max(1);
        let mut all = values(now, filter);
        all.push(Box::new(at));
        all.push(Box::new(from));
        all.push(Box::new(since));
        all.push(Box::new(rows::count(wanted - found.len())));
        found.extend(query(db, &sql, &all).await?);
        at = from;
        let oldest = received(db, at).await?;
        if oldest.is_none_or(|oldest| oldest < since) {
            return Ok((found, None));
        }
    }
    if at <= 1 {
        return Ok((found, None));
    }
    Ok((found, received(db, at).await?.map(|oldest| (at, oldest))))
}

/// When the event at this number, or the next one below it, came in.
async fn received(db: &Db<'_>, seq: i64) -> Outcome<Option<i64>> {
    db.one(
        "SELECT received_at FROM event WHERE seq <= $1 ORDER BY seq DESC LIMIT 1",
        &[&seq],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

/// What a list shows of these sessions.
async fn conversations(db: &Db<'_>, found: Found) -> Outcome<Vec<Conversation>> {
    let ids: Vec<&String> = found.iter().map(|(_, id)| id).collect();
    let ids = texts(ids.iter().copied());
    let mut lanes = lanes(db, &ids).await?;
    let listed = db
        .all(
            &format!(
                "SELECT s.id, s.state, s.controller, s.since, s.deadline_at, s.number, s.data, s.contact,
                        {WROTE}, last.received_at, said.kind, said.time
                   FROM unnest($1::text[]) AS wanted (id)
                   JOIN session AS s ON s.id = wanted.id
                   CROSS JOIN LATERAL (SELECT received_at FROM event
                        WHERE event.session = s.id ORDER BY seq DESC LIMIT 1) AS last
                   LEFT JOIN LATERAL (SELECT kind, time FROM event
                        WHERE event.session = s.id AND kind IN ($2, $3, $4)
                        ORDER BY seq DESC LIMIT 1) AS said ON true"
            ),
            &[&ids, &SAID[0], &SAID[1], &SAID[2]],
            |row| {
                let state = state_row(row, 1)?;
                let wrote: i64 = row.try_get(8)?;
                let kind: Option<String> = row.try_get(10)?;
                let time = rows::maybe_at(row.try_get(11)?)?;
                Ok(Conversation {
                    session: row.try_get(0)?,
                    number: row.try_get(5)?,
                    seq: 0,
                    last_at: rows::at(row.try_get(9)?)?,
                    said: kind.zip(time),
                    data: rows::maybe_decode(row.try_get(6)?)?,
                    contact: rows::maybe_decode(row.try_get(7)?)?,
                    state: state.shown(row.try_get(0)?)?,
                    last_inbound: rows::maybe_at((wrote > 0).then_some(wrote))?,
                    lanes: Vec::new(),
                })
            },
        )
        .await?;
    let mut by_id: HashMap<String, Conversation> = listed
        .into_iter()
        .map(|row| (row.session.clone(), row))
        .collect();
    let each = found.into_iter().filter_map(|(seq, id)| {
        let row = by_id.remove(&id)?;
        let lanes = lanes.remove(&id).unwrap_or_default();
        Some(Conversation { seq, lanes, ..row })
    });
    Ok(each.collect())
}

async fn lanes(db: &Db<'_>, ids: &[Text<'_>]) -> Outcome<HashMap<String, Vec<LaneBrief>>> {
    let found: Vec<(String, LaneBrief)> = db
        .all(
            "SELECT session, target, state, due_at, reason, words FROM lane
              WHERE session = ANY ($1) ORDER BY session, target COLLATE \"C\"",
            &[&ids],
            |row| {
                let lane = LaneBrief {
                    target: row.try_get(1)?,
                    state: rows::lane_state(row.try_get(2)?)?,
                    due_at: rows::maybe_at(row.try_get(3)?)?,
                    stop: rows::stop(row.try_get(4)?, row.try_get(5)?),
                };
                Ok((row.try_get(0)?, lane))
            },
        )
        .await?;
    let mut lanes: HashMap<String, Vec<LaneBrief>> = HashMap::new();
    for (session, lane) in found {
        lanes.entry(session).or_default().push(lane);
    }
    Ok(lanes)
}
