//! Sessions of events whose producer names none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::admit::admit;
use super::db::{Db, Outcome, Text, texts};
use crate::conversation::Rules;
use crate::ledger::find::{
    COPIED_WITHIN, Candidate, Found, Place, REPLIES, TRANSCRIPT_BYTES, fill, is_copy, is_people,
    place,
};
use crate::ledger::rows::{Arrival, count, digest, event_key};
use crate::ledger::{Admission, Admitted, Find};

/// Stores what came in the sessions that are found for it, in order.
pub(super) async fn admit_found(
    db: &Db<'_>,
    now: i64,
    events: &[Admission],
    rules: &Arc<Rules>,
) -> Outcome<Vec<Admitted>> {
    lock(db, events).await?;
    let mut found = Found::default();
    for admission in events {
        match &admission.find {
            None => found.named(admission.clone()),
            Some(find) => {
                if found.decides(find) {
                    store(db, now, &mut found, rules).await?;
                }
                one(db, now, admission.clone(), find, &mut found).await?;
            }
        }
    }
    store(db, now, &mut found, rules).await?;
    Ok(found.told())
}

async fn store(db: &Db<'_>, now: i64, found: &mut Found, rules: &Arc<Rules>) -> Outcome<()> {
    let arrivals = Arrival::all(found.pending(), rules)?;
    found.stored(admit(db, now, &arrivals).await?);
    Ok(())
}

/// Nobody else looks for a session of the same customers until the transaction ends. The locks are
/// taken in one order, before all others.
/// <https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS>
async fn lock(db: &Db<'_>, events: &[Admission]) -> Outcome<()> {
    let finds = events
        .iter()
        .filter_map(|admission| admission.find.as_ref());
    let keys: BTreeSet<i64> = finds
        .flat_map(|find| find.customers.iter())
        .map(|customer| {
            let mut key = [0; 8];
            key.copy_from_slice(&digest(&[b"customer", customer.as_bytes()])[..8]);
            i64::from_be_bytes(key)
        })
        .collect();
    for key in keys {
        db.run("SELECT pg_advisory_xact_lock($1)", &[&key]).await?;
    }
    Ok(())
}

async fn one(
    db: &Db<'_>,
    now: i64,
    mut admission: Admission,
    find: &Find,
    found: &mut Found,
) -> Outcome<()> {
    let key = event_key(&admission.event.source, &admission.event.id);
    let stored = db
        .one("SELECT 1 FROM event WHERE key = $1", &[&key], |_| Ok(()))
        .await?;
    if stored.is_some() {
        found.leave(Admitted::Duplicate);
        return Ok(());
    }
    let own = admission.event.session.clone();
    let sent_in = by_fact(db, &find.ours).await?;
    if sent_in.is_some() && is_sent(&admission) {
        found.leave(Admitted::Nobody);
        return Ok(());
    }
    let place = match (find.follows, found.begun(find)) {
        (true, _) => found
            .last()
            .map_or(Place::Nowhere, |(id, people)| Place::In(id, people)),
        (false, _) if find.named => Place::In(own.clone(), has_people(db, &own).await?),
        (false, Some(begun)) => Place::In(begun, false),
        (false, None) => match sent_in {
            Some(session) => Place::In(session, true),
            None => place(find, &candidates(db, find).await?, now),
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
    let is_ours =
        is_sent(&admission) && is_copy(&admission.event, &replies(db, &session, now).await?)?;
    if is_ours || !find.is_wanted(is_people) {
        found.leave(Admitted::Nobody);
        return Ok(());
    }
    if find.transcript > 0 {
        let said = said(db, &session, find.transcript).await?;
        fill(&mut admission, &said)?;
    }
    found.found(admission, find, &session, is_people);
    Ok(())
}

fn is_sent(admission: &Admission) -> bool {
    admission.event.data.kind() == "message.sent"
}

/// The customer's sessions with this business number, the one in which they wrote last first.
async fn candidates(db: &Db<'_>, find: &Find) -> Outcome<Vec<Candidate>> {
    db.all(
        "SELECT id, controller,
                (SELECT received_at FROM event WHERE session = session.id ORDER BY seq DESC LIMIT 1)
           FROM session
          WHERE business_number = ANY ($1) AND customer = ANY ($2)
            AND business_number IS NOT NULL AND customer IS NOT NULL
          ORDER BY inbound_at DESC NULLS LAST, number DESC LIMIT 10",
        &[&texts(&find.numbers), &texts(&find.customers)],
        |row| {
            Ok(Candidate {
                id: row.try_get(0)?,
                controller: row.try_get(1)?,
                last: row.try_get(2)?,
            })
        },
    )
    .await
}

/// Whether people have a session.
async fn has_people(db: &Db<'_>, session: &str) -> Outcome<bool> {
    let controller: Option<Option<String>> = db
        .one(
            "SELECT controller FROM session WHERE id = $1",
            &[&Text(session)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(is_people(controller.flatten().as_deref()))
}

/// The session of the newest lane that has one of these facts.
pub(super) async fn by_fact(db: &Db<'_>, names: &[String]) -> Outcome<Option<String>> {
    for name in names {
        let session = db
            .one(
                "SELECT lane.session FROM fact JOIN lane ON lane.id = fact.lane
                  WHERE fact.name = $1 ORDER BY fact.lane DESC LIMIT 1",
                &[&Text(name)],
                |row| Ok(row.try_get(0)?),
            )
            .await?;
        if session.is_some() {
            return Ok(session);
        }
    }
    Ok(None)
}

/// What reps wrote last in a session, not long ago.
async fn replies(db: &Db<'_>, session: &str, now: i64) -> Outcome<Vec<String>> {
    db.all(
        "SELECT body FROM event
          WHERE session = $1 AND kind = 'rep.replied' AND received_at > $2
          ORDER BY seq DESC LIMIT $3",
        &[&Text(session), &now.saturating_sub(COPIED_WITHIN), &REPLIES],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

/// The newest messages of a session, oldest first.
async fn said(db: &Db<'_>, session: &str, most: usize) -> Outcome<Vec<String>> {
    let mut bodies: Vec<String> = db
        .all(
            "SELECT body FROM event
              WHERE session = $1 AND kind IN ('message.received', 'message.sent')
              ORDER BY seq DESC LIMIT $2",
            &[&Text(session), &count(most)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let mut size = 0;
    let fits = bodies.iter().take_while(|body| {
        size += body.len();
        size <= TRANSCRIPT_BYTES
    });
    bodies.truncate(fits.count());
    bodies.reverse();
    Ok(bodies)
}
