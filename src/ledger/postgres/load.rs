//! What is loaded of a lane, and single events looked up again.

use futures::future::try_join3;
use handoffd_contract::Event;

use super::admit::who;
use super::db::{Db, Outcome, Text};
use super::facts::{facts, given_up};
use super::lanes::lane_ref;
use crate::ledger::conversation::controller;
use crate::ledger::rows::{self, Pending};
use crate::ledger::{LaneRef, Lease, LedgerError, Loaded};

/// What a worker needs. `db` is a transaction that sees one moment.
pub(super) async fn load(
    db: &Db<'_>,
    lease: &Lease,
    limit: usize,
    bytes: usize,
) -> Outcome<Loaded> {
    let (_, epoch, loaded) = loaded(db, lease.lane, limit.max(1), bytes).await?;
    if epoch == Some(lease.epoch) {
        Ok(loaded)
    } else {
        Err(LedgerError::Stale.into())
    }
}

/// The same without a lease and without events.
pub(super) async fn peek(db: &Db<'_>, lane: i64) -> Outcome<(LaneRef, Loaded)> {
    let (lane, _, loaded) = loaded(db, lane, 0, 0).await?;
    Ok((lane, loaded))
}

/// What a worker needs, without a lease.
pub(super) async fn inspect(db: &Db<'_>, lane: i64, limit: usize, bytes: usize) -> Outcome<Loaded> {
    let (_, _, loaded) = loaded(db, lane, limit.max(1), bytes).await?;
    Ok(loaded)
}

/// A lane, the epoch of its lease if it has one, and what is loaded of it.
async fn loaded(
    db: &Db<'_>,
    lane: i64,
    limit: usize,
    bytes: usize,
) -> Outcome<(LaneRef, Option<i64>, Loaded)> {
    let row = async {
        db.one(
            "SELECT lane.id, lane.session, lane.target, lane.head,
                CASE WHEN lane.lease_owner IS NOT NULL THEN lane.epoch END,
                session.data, session.contact, session.business_number, session.customer,
                greatest(session.inbound_at, customer.inbound_at),
                control.kind, CASE WHEN control.kind = 'session.state' THEN control.body END
           FROM lane
           JOIN session ON session.id = lane.session
           LEFT JOIN customer ON customer.business_number = session.business_number
                             AND customer.key = session.customer
           LEFT JOIN LATERAL (
                SELECT kind, body FROM event
                 WHERE event.session = lane.session AND event.seq <= lane.head
                   AND kind IN ('session.state', 'handoff.requested')
                 ORDER BY event.seq DESC LIMIT 1) AS control ON true
          WHERE lane.id = $1",
            &[&lane],
            |row| {
                let (kind, body): (Option<String>, Option<String>) =
                    (row.try_get(10)?, row.try_get(11)?);
                Ok((
                    lane_ref(row)?,
                    row.try_get::<_, i64>(3)?,
                    row.try_get(4)?,
                    who(row, 5)?,
                    controller(kind.as_deref(), body.as_deref())?,
                ))
            },
        )
        .await
    };
    let lanes = [lane];
    let given_up = given_up(db, &lanes);
    let (row, facts, mut given_up) = try_join3(row, facts(db, lane), given_up).await?;
    let given_up = given_up.remove(&lane).unwrap_or_default();
    let (lane, head, epoch, who, controller) =
        row.ok_or_else(|| LedgerError::Conflict(format!("there is no lane {lane}")))?;
    let known = rows::known(facts)?;
    let wanted = if limit == 0 {
        0
    } else {
        limit + given_up.len()
    };
    let (events, more) = pending(db, &lane.session, head, wanted, bytes).await?;
    let loaded = Loaded {
        session: rows::maybe_decode(who.data)?,
        contact: rows::maybe_decode(who.contact)?,
        events: rows::events(events, &given_up)?,
        more,
        controller,
        head,
        known,
        last_inbound: rows::maybe_at(who.inbound_at)?,
    };
    Ok((lane, epoch, loaded))
}

/// The first events after `head`, at most `limit` and about `bytes`, and whether there are more.
async fn pending(
    db: &Db<'_>,
    session: &str,
    head: i64,
    limit: usize,
    bytes: usize,
) -> Outcome<(Vec<Pending>, bool)> {
    let fetched = db
        .all(
            "SELECT seq, CASE WHEN before < $4 OR before = 0 THEN body END,
                    EXISTS (SELECT 1 FROM event AS earlier
                             WHERE earlier.session = $1
                               AND earlier.producer_id = sized.producer_id
                               AND earlier.seq < sized.seq)
               FROM (SELECT seq, producer_id, body,
                            sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body)
                                AS before
                       FROM (SELECT seq, producer_id, body FROM event
                              WHERE session = $1 AND seq > $2
                              ORDER BY seq LIMIT $3) AS first) AS sized
              ORDER BY seq",
            &[
                &Text(session),
                &head,
                &rows::count(limit.saturating_add(1)),
                &rows::count(bytes),
            ],
            |row| {
                let body: Option<String> = row.try_get(1)?;
                let (seq, id_collides) = (row.try_get(0)?, row.try_get(2)?);
                Ok(body.map(|body| Pending {
                    seq,
                    body,
                    id_collides,
                }))
            },
        )
        .await?;
    let count = fetched.len();
    let events: Vec<_> = fetched
        .into_iter()
        .take(limit)
        .map_while(|row| row)
        .collect();
    let more = events.len() < count;
    Ok((events, more))
}

/// The event of a session that connectors know by this id.
pub(super) async fn recall(db: &Db<'_>, session: &str, id: &str) -> Outcome<Option<(i64, Event)>> {
    let pending = db
        .all(
            "SELECT seq, body,
                    EXISTS (SELECT 1 FROM event AS earlier
                             WHERE earlier.session = $1
                               AND earlier.producer_id = event.producer_id
                               AND earlier.seq < event.seq)
               FROM event WHERE session = $1 AND producer_id IN ($2, $3) ORDER BY seq",
            &[&Text(session), &Text(id), &Text(rows::own_id(id))],
            |row| {
                Ok(Pending {
                    seq: row.try_get(0)?,
                    body: row.try_get(1)?,
                    id_collides: row.try_get(2)?,
                })
            },
        )
        .await?;
    Ok(rows::recalled(pending, id)?)
}
