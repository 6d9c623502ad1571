//! How events come in: what they say about session and customer, the lanes that they open and wake.

use rusqlite::{Row, params};

use super::beside::has_events;
use super::conversation::move_session;
use super::files::want_files;
use super::tx::Tx;
use super::view::put_handles;
use crate::ledger::rows::Arrival;
use crate::ledger::rules::Who;
use crate::ledger::view::words;
use crate::ledger::{Admitted, Result};

/// Stores events, oldest first.
pub(super) fn admit(tx: &Tx<'_>, now: i64, arrivals: &[Arrival]) -> Result<Vec<Admitted>> {
    arrivals
        .iter()
        .map(|arrival| admit_one(tx, now, arrival))
        .collect()
}

fn admit_one(tx: &Tx<'_>, now: i64, arrival: &Arrival) -> Result<Admitted> {
    let began = match &arrival.began {
        Some(_) if has_events(tx, &arrival.session)? => None,
        began => began.as_deref(),
    };
    let Some(seq) = insert_event(tx, now, arrival)? else {
        return Ok(Admitted::Duplicate);
    };
    let mut follows_any = false;
    if let Some(follows) = began {
        insert_event(tx, now, follows)?;
        follows_any = true;
    }
    want_files(tx, now, arrival)?;
    put_handles(tx, &arrival.session, &arrival.handles)?;
    let freed = learn(tx, arrival)?;
    for target in &arrival.opens {
        open_lane(tx, now, &arrival.session, target, seq)?;
    }
    if let Some(mover) = &arrival.mover {
        // What follows comes right after its cause, opens and moves nothing, and is woken for with it.
        for follows in move_session(tx, now, &arrival.session, mover)? {
            insert_event(tx, now, &follows)?;
            follows_any = true;
        }
    }
    let passed = match follows_any {
        true => Vec::new(),
        false => pass(tx, now, arrival, seq)?,
    };
    wake_session(tx, now, &arrival.session, &passed)?;
    if arrival.is_reply() {
        have_looked_at(tx, now, &arrival.session)?;
    }
    if let Some((business_number, customer)) = freed {
        wake_customer(tx, now, &business_number, &customer)?;
    }
    Ok(Admitted::New(seq))
}

fn insert_event(tx: &Tx<'_>, now: i64, arrival: &Arrival) -> Result<Option<i64>> {
    tx.one(
        "INSERT INTO event (key, session, kind, producer_id, time, sequence, received_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (key) DO NOTHING
         RETURNING seq",
        params![
            arrival.key,
            arrival.session,
            arrival.kind,
            arrival.producer_id,
            arrival.time,
            arrival.sequence,
            now,
            arrival.body
        ],
        |row| row.get(0),
    )
}

/// Takes over what the event says about session and customer. Returns the business number and the
/// customer when they wrote later than was known.
fn learn(tx: &Tx<'_>, arrival: &Arrival) -> Result<Option<(String, String)>> {
    let before = who(tx, &arrival.session)?;
    if before.is_none() {
        tx.run("INSERT INTO session (id) VALUES (?1)", [&arrival.session])?;
    }
    if arrival.who == Who::default() {
        return Ok(None);
    }
    let before = before.unwrap_or_default();
    let mut after = before.clone();
    if !after.learn(&arrival.who) {
        return Ok(None);
    }
    tx.run(
        "UPDATE session
            SET data = ?2, contact = ?3, business_number = ?4, customer = ?5, inbound_at = ?6
          WHERE id = ?1",
        params![
            arrival.session,
            after.data,
            after.contact,
            after.business_number,
            after.customer,
            after.inbound_at
        ],
    )?;
    if after.contact != before.contact {
        let words = words::of_stored(after.contact.as_deref());
        put_handles(tx, &arrival.session, &words)?;
    }
    let Some((business_number, customer)) = after.pair() else {
        return Ok(None);
    };
    // The same customer under another key, such as once the business-scoped id is known: what they
    // wrote under the old one counts.
    let carried = match before.pair() {
        Some(old) if old != (business_number, customer) => inbound_at(tx, old.0, old.1)?,
        _ => None,
    };
    let Some(latest) = after.inbound_at.max(carried) else {
        return Ok(None);
    };
    let newer = tx.run(
        "INSERT INTO customer (business_number, key, inbound_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (business_number, key) DO UPDATE SET inbound_at = excluded.inbound_at
             WHERE inbound_at < excluded.inbound_at",
        params![business_number, customer, latest],
    )?;
    Ok((newer > 0).then(|| (business_number.to_owned(), customer.to_owned())))
}

/// What is remembered about a session.
pub(super) fn who(tx: &Tx<'_>, session: &str) -> Result<Option<Who>> {
    tx.one(
        "SELECT data, contact, business_number, customer, inbound_at FROM session WHERE id = ?1",
        [session],
        |row| {
            Ok(Who {
                data: row.get(0)?,
                contact: row.get(1)?,
                business_number: row.get(2)?,
                customer: row.get(3)?,
                inbound_at: row.get(4)?,
            })
        },
    )
}

/// When a customer last wrote to a business number.
pub(super) fn inbound_at(
    tx: &Tx<'_>,
    business_number: &str,
    customer: &str,
) -> Result<Option<i64>> {
    tx.one(
        "SELECT inbound_at FROM customer WHERE business_number = ?1 AND key = ?2",
        [business_number, customer],
        |row| row.get(0),
    )
}

fn open_lane(tx: &Tx<'_>, now: i64, session: &str, target: &str, seq: i64) -> Result<()> {
    let opened = tx.run(
        "INSERT INTO lane (session, target, head, state, due_at, updated_at)
         VALUES (?1, ?2, ?3, 'due', ?4, ?4)
         ON CONFLICT (session, target) DO NOTHING",
        params![session, target, seq - 1, now],
    )?;
    if opened > 0 {
        tx.lanes_changed(target);
    }
    Ok(())
}

/// Idle lanes of targets that never act on the event have shown it, as they have all before it. Returns
/// which.
fn pass(tx: &Tx<'_>, now: i64, arrival: &Arrival, seq: i64) -> Result<Vec<i64>> {
    let mut passed = Vec::new();
    for target in &arrival.passes {
        let lane = tx.one(
            "UPDATE lane SET head = ?3, updated_at = ?4
              WHERE session = ?1 AND target = ?2 AND state = 'idle' AND lease_owner IS NULL
                AND NOT EXISTS (SELECT 1 FROM event
                                 WHERE session = ?1 AND seq > lane.head AND seq < ?3)
             RETURNING id",
            params![arrival.session, target, seq, now],
            |row| row.get::<_, i64>(0),
        )?;
        passed.extend(lane);
    }
    Ok(passed)
}

/// Something happened in the session: lanes that were idle or waited for it are due now, those that
/// are being worked on will be due when they are left. A backoff keeps its time, and parked lanes
/// stay parked. Those that have shown it already stay idle.
fn wake_session(tx: &Tx<'_>, now: i64, session: &str, shown: &[i64]) -> Result<()> {
    let mut sleepers = tx.all(
        "SELECT id, target, lease_owner IS NOT NULL FROM lane
          WHERE session = ?1
            AND CASE WHEN lease_owner IS NOT NULL THEN woken = 0
                     ELSE state IN ('idle', 'held')
                          OR (state = 'due' AND reason IS NULL AND due_at > ?2) END",
        params![session, now],
        sleeper,
    )?;
    sleepers.retain(|sleeper| !shown.contains(&sleeper.lane));
    wake(tx, now, &sleepers)
}

/// A lane that is to be woken.
struct Sleeper {
    lane: i64,
    target: String,
    /// Somebody works on it, and is told when they leave it.
    leased: bool,
}

fn sleeper(row: &Row<'_>) -> rusqlite::Result<Sleeper> {
    Ok(Sleeper {
        lane: row.get(0)?,
        target: row.get(1)?,
        leased: row.get(2)?,
    })
}

fn wake(tx: &Tx<'_>, now: i64, sleepers: &[Sleeper]) -> Result<()> {
    for sleeper in sleepers {
        if sleeper.leased {
            tx.run("UPDATE lane SET woken = 1 WHERE id = ?1", [sleeper.lane])?;
            continue;
        }
        tx.run(
            "UPDATE lane SET state = 'due', due_at = ?2, reason = NULL, words = NULL, updated_at = ?2
              WHERE id = ?1",
            [sleeper.lane, now],
        )?;
        tx.lanes_changed(&sleeper.target);
    }
    Ok(())
}

/// A rep's reply came: lanes that do not take it up at once are to be looked at.
fn have_looked_at(tx: &Tx<'_>, now: i64, session: &str) -> Result<()> {
    tx.run(
        "UPDATE lane SET look_at = ?2
          WHERE session = ?1 AND lease_owner IS NULL AND state <> 'idle'",
        params![session, now],
    )?;
    Ok(())
}

/// The customer wrote: in all of their sessions, lanes that waited are due now.
fn wake_customer(tx: &Tx<'_>, now: i64, business_number: &str, customer: &str) -> Result<()> {
    let sleepers = tx.all(
        "SELECT id, target, lease_owner IS NOT NULL FROM lane
          WHERE session IN (SELECT id FROM session WHERE business_number = ?1 AND customer = ?2)
            AND CASE WHEN lease_owner IS NOT NULL THEN woken = 0 ELSE state = 'held' END",
        [business_number, customer],
        sleeper,
    )?;
    wake(tx, now, &sleepers)
}

/// Wakes one lane, as an event of its session would.
pub(super) fn wake_lane(tx: &Tx<'_>, now: i64, lane: i64) -> Result<()> {
    let sleepers = tx.all(
        "SELECT id, target, lease_owner IS NOT NULL FROM lane
          WHERE id = ?1
            AND CASE WHEN lease_owner IS NOT NULL THEN woken = 0
                     ELSE state IN ('idle', 'held')
                          OR (state = 'due' AND reason IS NULL AND due_at > ?2) END",
        [lane, now],
        sleeper,
    )?;
    wake(tx, now, &sleepers)
}
