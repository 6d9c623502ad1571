//! Sessions of events whose producer names none.

use std::sync::Arc;

use rusqlite::params;

use super::admit::admit;
use super::tx::Tx;
use crate::conversation::Rules;
use crate::ledger::find::{
    COPIED_WITHIN, Candidate, Found, Place, REPLIES, TRANSCRIPT_BYTES, fill, is_copy, is_people,
    place,
};
use crate::ledger::rows::{Arrival, count, event_key};
use crate::ledger::{Admission, Admitted, Find, Result};

/// Stores what came in the sessions that are found for it, in order. Nothing else writes meanwhile.
pub(super) fn admit_found(
    tx: &Tx<'_>,
    now: i64,
    events: &[Admission],
    rules: &Arc<Rules>,
) -> Result<Vec<Admitted>> {
    let mut found = Found::default();
    for admission in events {
        match &admission.find {
            None => found.named(admission.clone()),
            Some(find) => {
                if found.decides(find) {
                    store(tx, now, &mut found, rules)?;
                }
                one(tx, now, admission.clone(), find, &mut found)?;
            }
        }
    }
    store(tx, now, &mut found, rules)?;
    Ok(found.told())
}

fn store(tx: &Tx<'_>, now: i64, found: &mut Found, rules: &Arc<Rules>) -> Result<()> {
    let arrivals = Arrival::all(found.pending(), rules)?;
    found.stored(admit(tx, now, &arrivals)?);
    Ok(())
}

fn one(
    tx: &Tx<'_>,
    now: i64,
    mut admission: Admission,
    find: &Find,
    found: &mut Found,
) -> Result<()> {
    let key = event_key(&admission.event.source, &admission.event.id);
    if tx
        .one("SELECT 1 FROM event WHERE key = ?1", [&key], |_| Ok(()))?
        .is_some()
    {
        found.leave(Admitted::Duplicate);
        return Ok(());
    }
    let own = admission.event.session.clone();
    let sent_in = by_fact(tx, &find.ours)?;
    if sent_in.is_some() && is_sent(&admission) {
        found.leave(Admitted::Nobody);
        return Ok(());
    }
    let place = match (find.follows, found.begun(find)) {
        (true, _) => found
            .last()
            .map_or(Place::Nowhere, |(id, people)| Place::In(id, people)),
        (false, _) if find.named => Place::In(own.clone(), has_people(tx, &own)?),
        (false, Some(begun)) => Place::In(begun, false),
        (false, None) => match sent_in {
            Some(session) => Place::In(session, true),
            None => place(find, &candidates(tx, find)?, now),
        },
    };
    let (session, is_people) = match place {
        Place::Nowhere => {
            found.leave(Admitted::Nobody);
            return Ok(());
        }
        Place::New => {
            found.begin(find, &own);
            (own, false)
        }
        Place::In(session, is_people) => (session, is_people),
    };
    let is_ours = is_sent(&admission) && is_copy(&admission.event, &replies(tx, &session, now)?)?;
    if is_ours || !find.is_wanted(is_people) {
        found.leave(Admitted::Nobody);
        return Ok(());
    }
    if find.transcript > 0 {
        fill(&mut admission, &said(tx, &session, find.transcript)?)?;
    }
    found.found(admission, find, &session, is_people);
    Ok(())
}

fn is_sent(admission: &Admission) -> bool {
    admission.event.data.kind() == "message.sent"
}

/// The customer's sessions with this business number, the one in which they wrote last first.
fn candidates(tx: &Tx<'_>, find: &Find) -> Result<Vec<Candidate>> {
    let number = |n: usize| find.numbers.get(n).or(find.numbers.first());
    let customer = |n: usize| find.customers.get(n).or(find.customers.first());
    tx.all(
        "SELECT id, controller,
                (SELECT received_at FROM event WHERE session = session.id ORDER BY seq DESC LIMIT 1)
           FROM session
          WHERE business_number IN (?1, ?2) AND customer IN (?3, ?4, ?5)
          ORDER BY inbound_at DESC, number DESC LIMIT 10",
        params![number(0), number(1), customer(0), customer(1), customer(2)],
        |row| {
            Ok(Candidate {
                id: row.get(0)?,
                controller: row.get(1)?,
                last: row.get(2)?,
            })
        },
    )
}

/// Whether people have a session.
fn has_people(tx: &Tx<'_>, session: &str) -> Result<bool> {
    let controller: Option<Option<String>> = tx.one(
        "SELECT controller FROM session WHERE id = ?1",
        [session],
        |row| row.get(0),
    )?;
    Ok(is_people(controller.flatten().as_deref()))
}

/// The session of the newest lane that has one of these facts.
pub(super) fn by_fact(tx: &Tx<'_>, names: &[String]) -> Result<Option<String>> {
    for name in names {
        let session = tx.one(
            "SELECT lane.session FROM fact JOIN lane ON lane.id = fact.lane
              WHERE fact.name = ?1 ORDER BY fact.lane DESC LIMIT 1",
            [name],
            |row| row.get(0),
        )?;
        if session.is_some() {
            return Ok(session);
        }
    }
    Ok(None)
}

/// What reps wrote last in a session, not long ago.
fn replies(tx: &Tx<'_>, session: &str, now: i64) -> Result<Vec<String>> {
    tx.all(
        "SELECT body FROM event
          WHERE session = ?1 AND kind = 'rep.replied' AND received_at > ?2
          ORDER BY seq DESC LIMIT ?3",
        params![session, now.saturating_sub(COPIED_WITHIN), REPLIES],
        |row| row.get(0),
    )
}

/// The newest messages of a session, oldest first.
fn said(tx: &Tx<'_>, session: &str, most: usize) -> Result<Vec<String>> {
    let (mut bodies, mut size) = (Vec::new(), 0);
    tx.each(
        "SELECT body FROM event
          WHERE session = ?1 AND kind IN ('message.received', 'message.sent')
          ORDER BY seq DESC LIMIT ?2",
        params![session, count(most)],
        |row| {
            let body: String = row.get(0)?;
            size += body.len();
            let fits = size <= TRANSCRIPT_BYTES;
            if fits {
                bodies.push(body);
            }
            Ok(fits)
        },
    )?;
    bodies.reverse();
    Ok(bodies)
}
