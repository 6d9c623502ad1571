//! What is loaded of a lane, and single events looked up again.

use std::collections::BTreeSet;

use handoffd_contract::{Event, Known};
use rusqlite::params;

use super::admit;
use super::facts::facts;
use super::lanes::{check, lane_ref};
use super::tx::Tx;
use crate::ledger::rows::{self, Pending};
use crate::ledger::rules::Who;
use crate::ledger::{LaneRef, Lease, LedgerError, Loaded, Result};

/// What a worker needs.
pub(super) fn load(tx: &Tx<'_>, lease: &Lease, limit: usize, bytes: usize) -> Result<Loaded> {
    check(tx, lease)?;
    let (_, loaded) = loaded(tx, lease.lane, limit.max(1), bytes)?;
    Ok(loaded)
}

/// The same without a lease and without events.
pub(super) fn peek(tx: &Tx<'_>, lane: i64) -> Result<(LaneRef, Loaded)> {
    loaded(tx, lane, 0, 0)
}

/// What a worker needs, without a lease.
pub(super) fn inspect(tx: &Tx<'_>, lane: i64, limit: usize, bytes: usize) -> Result<Loaded> {
    loaded(tx, lane, limit.max(1), bytes).map(|(_, loaded)| loaded)
}

fn loaded(tx: &Tx<'_>, lane: i64, limit: usize, bytes: usize) -> Result<(LaneRef, Loaded)> {
    let stored = stored(tx, lane, limit, bytes)?;
    Ok((stored.lane.clone(), stored.decode()?))
}

/// What is loaded of a lane, as it is stored.
pub(super) struct Stored {
    lane: LaneRef,
    head: i64,
    who: Who,
    last_inbound: Option<i64>,
    known: Known,
    given_up: BTreeSet<i64>,
    events: Vec<Pending>,
    more: bool,
}

impl Stored {
    /// The bytes of its events.
    pub fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.body.len()).sum()
    }

    /// Reads the texts, which costs more than fetching them.
    pub fn decode(self) -> Result<Loaded> {
        Ok(Loaded {
            session: rows::maybe_decode(self.who.data)?,
            contact: rows::maybe_decode(self.who.contact)?,
            events: rows::events(self.events, &self.given_up)?,
            more: self.more,
            head: self.head,
            known: self.known,
            last_inbound: rows::maybe_at(self.last_inbound)?,
        })
    }
}

/// Fetches what is loaded of a lane, whoever holds it.
pub(super) fn stored(tx: &Tx<'_>, lane: i64, limit: usize, bytes: usize) -> Result<Stored> {
    let (lane, head) = tx
        .one(
            "SELECT id, session, target, head FROM lane WHERE id = ?1",
            [lane],
            |row| Ok((lane_ref(row)?, row.get::<_, i64>(3)?)),
        )?
        .ok_or_else(|| LedgerError::Conflict(format!("there is no lane {lane}")))?;
    let who = admit::who(tx, &lane.session)?.unwrap_or_default();
    let by_customer = match who.pair() {
        Some((business_number, customer)) => admit::inbound_at(tx, business_number, customer)?,
        None => None,
    };
    let (known, given_up) = rows::known(facts(tx, lane.lane)?)?;
    let wanted = if limit == 0 {
        0
    } else {
        limit + given_up.len()
    };
    let (events, more) = pending(tx, &lane.session, head, wanted, bytes)?;
    Ok(Stored {
        last_inbound: by_customer.max(who.inbound_at),
        lane,
        head,
        who,
        known,
        given_up,
        events,
        more,
    })
}

/// The first events after `head`, at most `limit` and about `bytes`, and whether there are more.
fn pending(
    tx: &Tx<'_>,
    session: &str,
    head: i64,
    limit: usize,
    bytes: usize,
) -> Result<(Vec<Pending>, bool)> {
    let (mut events, mut size, mut more) = (Vec::new(), 0, false);
    tx.each(
        "SELECT seq, body,
                EXISTS (SELECT 1 FROM event AS earlier
                         WHERE earlier.session = ?1 AND earlier.producer_id = event.producer_id
                           AND earlier.seq < event.seq)
           FROM event WHERE session = ?1 AND seq > ?2 ORDER BY seq",
        params![session, head],
        |row| {
            if events.len() >= limit || (size >= bytes && !events.is_empty()) {
                more = true;
                return Ok(false);
            }
            let body: String = row.get(1)?;
            size += body.len();
            events.push(Pending {
                seq: row.get(0)?,
                body,
                id_collides: row.get(2)?,
            });
            Ok(true)
        },
    )?;
    Ok((events, more))
}

/// The event of a session that connectors know by this id.
pub(super) fn recall(tx: &Tx<'_>, session: &str, id: &str) -> Result<Option<(i64, Event)>> {
    let pending = tx.all(
        "SELECT seq, body,
                EXISTS (SELECT 1 FROM event AS earlier
                         WHERE earlier.session = ?1 AND earlier.producer_id = event.producer_id
                           AND earlier.seq < event.seq)
           FROM event WHERE session = ?1 AND producer_id IN (?2, ?3) ORDER BY seq",
        params![session, id, rows::own_id(id)],
        |row| {
            Ok(Pending {
                seq: row.get(0)?,
                body: row.get(1)?,
                id_collides: row.get(2)?,
            })
        },
    )?;
    rows::recalled(pending, id)
}
