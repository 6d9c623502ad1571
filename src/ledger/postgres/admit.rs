//! How events come in: what they say about session and customer, the lanes that they open and wake.
//!
//! Locks are taken in one order, each kind sorted: sessions, customers, lanes. Whoever stores an
//! event holds its session, so that numbers become visible in order; and holds the lanes that it
//! wakes, so that a worker that leaves one at the same moment either is seen by us or sees us.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tokio_postgres::Row;

use super::beside::have_events;
use super::conversation::{put_states, state_row};
use super::db::{Db, Fault, Outcome, Text, maybe, texts};
use super::files::want_files;
use super::view::put_handles;
use crate::ledger::Admitted;
use crate::ledger::conversation::{StateRow, moved};
use crate::ledger::rows::Arrival;
use crate::ledger::rules::Who;
use crate::ledger::view::words;

/// A business number and a customer's key.
type Pair = (String, String);

/// Stores events, oldest first.
pub(super) async fn admit(db: &Db<'_>, now: i64, arrivals: &[Arrival]) -> Outcome<Vec<Admitted>> {
    if arrivals.is_empty() {
        return Ok(Vec::new());
    }
    let sessions: BTreeSet<&str> = arrivals.iter().map(|one| one.session.as_str()).collect();
    let locked = lock_sessions(db, &sessions).await?;
    let stored = stored(db, arrivals).await?;
    let mut seen = HashSet::new();
    let fresh: Vec<&Arrival> = arrivals
        .iter()
        .filter(|one| !stored.contains(&one.key) && seen.insert(&one.key))
        .collect();
    if fresh.is_empty() {
        return Ok(vec![Admitted::Duplicate; arrivals.len()]);
    }
    let known = match fresh.iter().any(|one| one.began.is_some()) {
        true => have_events(db, &sessions).await?,
        false => HashSet::new(),
    };
    let (all, states) = move_sessions(now, &fresh, &locked, known)?;
    let mut numbers = insert_events(db, now, &all).await?;
    if fresh.iter().any(|one| !numbers.contains_key(&one.key)) {
        // Somebody stored it under another session meanwhile: the states are not what they would be.
        return Err(Fault::Again);
    }
    put_states(db, &states).await?;
    let new: Vec<(i64, &Arrival)> = all
        .iter()
        .filter_map(|one| Some((*numbers.get(&one.key)?, one.as_ref())))
        .collect();
    for (_, one) in &new {
        want_files(db, now, one).await?;
    }
    let each = new.iter();
    let handles: Vec<(String, String)> = each
        .flat_map(|(_, one)| {
            one.handles
                .iter()
                .map(|word| (one.session.clone(), word.clone()))
        })
        .collect();
    put_handles(db, &handles).await?;
    let admitted = arrivals
        .iter()
        .map(|one| {
            let seq = numbers.remove(&one.key);
            seq.map_or(Admitted::Duplicate, Admitted::New)
        })
        .collect();
    let known = locked.into_iter().map(|(id, (who, _))| (id, who)).collect();
    let freed = learn(db, &new, known).await?;
    let touched: BTreeSet<&str> = new.iter().map(|(_, one)| one.session.as_str()).collect();
    let others = sessions_of(db, &freed).await?;
    lock_lanes(db, &touched, &others).await?;
    open_lanes(db, now, &new).await?;
    let passed = pass(db, now, &new).await?;
    wake_sessions(db, now, &touched, &passed).await?;
    let replied: BTreeSet<&str> = new
        .iter()
        .filter(|(_, one)| one.is_reply())
        .map(|(_, one)| one.session.as_str())
        .collect();
    if !replied.is_empty() {
        have_looked_at(db, now, &replied).await?;
    }
    if !others.is_empty() {
        wake_customers(db, now, &others).await?;
    }
    Ok(admitted)
}

/// Locks the sessions' rows, which are made if they are not there, in one pass and in order, so that
/// no two who do it can wait for each other. Returns what they hold.
async fn lock_sessions(
    db: &Db<'_>,
    ids: &BTreeSet<&str>,
) -> Outcome<HashMap<String, (Who, StateRow)>> {
    let sessions = db
        .all(
            "INSERT INTO session (id) SELECT id FROM unnest($1::text[]) AS new (id) ORDER BY id
             ON CONFLICT (id) DO UPDATE SET id = excluded.id
             RETURNING id, data, contact, business_number, customer, inbound_at,
                       state, controller, since, deadline_at",
            &[&texts(ids)],
            |row| Ok((row.try_get(0)?, (who(row, 1)?, state_row(row, 6)?))),
        )
        .await?;
    Ok(sessions.into_iter().collect())
}

/// The keys of those events that are stored already. Their sessions are locked.
async fn stored(db: &Db<'_>, arrivals: &[Arrival]) -> Outcome<HashSet<Vec<u8>>> {
    let keys: Vec<_> = arrivals.iter().map(|one| one.key.as_slice()).collect();
    let stored = db
        .all(
            "SELECT key FROM event WHERE key = ANY ($1)",
            &[&keys],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(stored.into_iter().collect())
}

/// New events with what follows from each right after it, and the states that change, by session.
type Moves<'a> = (Vec<Cow<'a, Arrival>>, BTreeMap<String, StateRow>);

/// Moves sessions by new events. `known` are the sessions of which anything was known, where it matters.
fn move_sessions<'a>(
    now: i64,
    fresh: &[&'a Arrival],
    locked: &HashMap<String, (Who, StateRow)>,
    mut known: HashSet<String>,
) -> Outcome<Moves<'a>> {
    let mut all = Vec::with_capacity(fresh.len());
    let mut states: BTreeMap<String, StateRow> = BTreeMap::new();
    let mut inbound: HashMap<&str, Option<i64>> = HashMap::new();
    for arrival in fresh {
        all.push(Cow::Borrowed(*arrival));
        let id = Text(&arrival.session).clean().into_owned();
        let is_first = known.insert(id.clone());
        if let Some(began) = arrival.began.as_deref().filter(|_| is_first) {
            all.push(Cow::Borrowed(began));
        }
        let before = locked.get(&id);
        let wrote = inbound
            .entry(&arrival.session)
            .or_insert_with(|| before.and_then(|(who, _)| who.inbound_at));
        *wrote = (*wrote).max(arrival.who.inbound_at);
        let Some(mover) = &arrival.mover else {
            continue;
        };
        let kept = states.get(&id).or(before.map(|(_, state)| state));
        let kept = kept.cloned().unwrap_or_default();
        let (after, follows) = moved(&arrival.session, &kept, mover, *wrote, now)?;
        if let Some(after) = after {
            states.insert(id, after);
        }
        all.extend(follows.into_iter().map(Cow::Owned));
    }
    Ok((all, states))
}

/// What is remembered about a session, from five columns.
pub(super) fn who(row: &Row, from: usize) -> Outcome<Who> {
    Ok(Who {
        data: row.try_get(from)?,
        contact: row.try_get(from + 1)?,
        business_number: row.try_get(from + 2)?,
        customer: row.try_get(from + 3)?,
        inbound_at: row.try_get(from + 4)?,
    })
}

/// Stores the events that are new; returns their numbers by key.
async fn insert_events(
    db: &Db<'_>,
    now: i64,
    firsts: &[Cow<'_, Arrival>],
) -> Outcome<HashMap<Vec<u8>, i64>> {
    let keys: Vec<_> = firsts.iter().map(|one| one.key.as_slice()).collect();
    let sessions: Vec<_> = firsts.iter().map(|one| Text(&one.session)).collect();
    let kinds: Vec<_> = firsts.iter().map(|one| one.kind).collect();
    let ids: Vec<_> = firsts.iter().map(|one| Text(&one.producer_id)).collect();
    let times: Vec<_> = firsts.iter().map(|one| one.time).collect();
    let sequences: Vec<_> = firsts.iter().map(|one| one.sequence).collect();
    let bodies: Vec<_> = firsts.iter().map(|one| one.body.as_str()).collect();
    let stored = db
        .all(
            "INSERT INTO event (key, session, kind, producer_id, time, sequence, body, received_at)
             SELECT key, session, kind, producer_id, time, sequence, body, $8
               FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[],
                           $6::bigint[], $7::text[])
                    WITH ORDINALITY
                    AS new (key, session, kind, producer_id, time, sequence, body, place)
              ORDER BY place
             ON CONFLICT (key) DO NOTHING
             RETURNING key, seq",
            &[
                &keys, &sessions, &kinds, &ids, &times, &sequences, &bodies, &now,
            ],
            |row| Ok((row.try_get(0)?, row.try_get(1)?)),
        )
        .await?;
    Ok(stored.into_iter().collect())
}

/// Takes over what the events say about sessions and customers. Returns those customers who wrote
/// later than was known.
async fn learn(
    db: &Db<'_>,
    new: &[(i64, &Arrival)],
    mut known: HashMap<String, Who>,
) -> Outcome<Vec<Pair>> {
    let mut changed: BTreeSet<String> = BTreeSet::new();
    let mut handles: Vec<(String, String)> = Vec::new();
    let mut wrote: BTreeMap<Pair, i64> = BTreeMap::new();
    for (_, arrival) in new {
        // The row's id differs from the event's where the event's could not be stored as it is.
        let id = Text(&arrival.session).clean().into_owned();
        let who = known.entry(id.clone()).or_default();
        let before = who.clone();
        if !who.learn(&arrival.who) {
            continue;
        }
        if who.contact != before.contact {
            let words = words::of_stored(who.contact.as_deref());
            handles.extend(words.into_iter().map(|word| (id.clone(), word)));
        }
        changed.insert(id);
        let Some(pair) = pair(who) else { continue };
        // The same customer under another key, such as once the business-scoped id is known: what
        // they wrote under the old one counts.
        let carried = match self::pair(&before).filter(|old| *old != pair) {
            Some(old) => inbound_at(db, &old).await?.max(wrote.get(&old).copied()),
            None => None,
        };
        if let Some(latest) = who.inbound_at.max(carried) {
            let entry = wrote.entry(pair).or_insert(latest);
            *entry = latest.max(*entry);
        }
    }
    update_sessions(
        db,
        changed.iter().filter_map(|id| Some((id, known.get(id)?))),
    )
    .await?;
    put_handles(db, &handles).await?;
    put_customers(db, &wrote).await
}

fn pair(who: &Who) -> Option<Pair> {
    who.pair()
        .map(|(number, customer)| (number.to_owned(), customer.to_owned()))
}

async fn inbound_at(db: &Db<'_>, (number, customer): &Pair) -> Outcome<Option<i64>> {
    db.one(
        "SELECT inbound_at FROM customer WHERE business_number = $1 AND key = $2",
        &[&Text(number), &Text(customer)],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

async fn update_sessions<'a>(
    db: &Db<'_>,
    sessions: impl Iterator<Item = (&'a String, &'a Who)>,
) -> Outcome<()> {
    let sessions: Vec<_> = sessions.collect();
    if sessions.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = sessions.iter().map(|(id, _)| id.as_str()).collect();
    let data: Vec<_> = sessions
        .iter()
        .map(|(_, who)| who.data.as_deref())
        .collect();
    let contacts: Vec<_> = sessions
        .iter()
        .map(|(_, who)| who.contact.as_deref())
        .collect();
    let numbers: Vec<_> = sessions
        .iter()
        .map(|(_, who)| maybe(who.business_number.as_ref()))
        .collect();
    let customers: Vec<_> = sessions
        .iter()
        .map(|(_, who)| maybe(who.customer.as_ref()))
        .collect();
    let inbound: Vec<_> = sessions.iter().map(|(_, who)| who.inbound_at).collect();
    db.run(
        "UPDATE session
            SET data = new.data, contact = new.contact, business_number = new.business_number,
                customer = new.customer, inbound_at = new.inbound_at
           FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
                AS new (id, data, contact, business_number, customer, inbound_at)
          WHERE session.id = new.id",
        &[&ids, &data, &contacts, &numbers, &customers, &inbound],
    )
    .await?;
    Ok(())
}

/// Returns those whose time grew.
async fn put_customers(db: &Db<'_>, wrote: &BTreeMap<Pair, i64>) -> Outcome<Vec<Pair>> {
    if wrote.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = texts(wrote.keys().map(|(number, _)| number));
    let customers = texts(wrote.keys().map(|(_, customer)| customer));
    let inbound: Vec<_> = wrote.values().copied().collect();
    db.all(
        "INSERT INTO customer (business_number, key, inbound_at)
         SELECT business_number, key, inbound_at
           FROM unnest($1::text[], $2::text[], $3::bigint[])
                AS new (business_number, key, inbound_at)
          ORDER BY business_number, key
         ON CONFLICT (business_number, key) DO UPDATE SET inbound_at = excluded.inbound_at
             WHERE customer.inbound_at < excluded.inbound_at
         RETURNING business_number, key",
        &[&numbers, &customers, &inbound],
        |row| Ok((row.try_get(0)?, row.try_get(1)?)),
    )
    .await
}

async fn sessions_of(db: &Db<'_>, pairs: &[Pair]) -> Outcome<Vec<String>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = texts(pairs.iter().map(|(number, _)| number));
    let customers = texts(pairs.iter().map(|(_, customer)| customer));
    db.all(
        "SELECT session.id
           FROM unnest($1::text[], $2::text[]) AS one (business_number, customer)
           JOIN session ON session.business_number = one.business_number
                       AND session.customer = one.customer
                       AND session.business_number IS NOT NULL AND session.customer IS NOT NULL",
        &[&numbers, &customers],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

async fn lock_lanes(db: &Db<'_>, touched: &BTreeSet<&str>, others: &[String]) -> Outcome<()> {
    let mut sessions = texts(touched);
    sessions.extend(texts(others));
    db.run(
        "SELECT id FROM lane WHERE session = ANY ($1) ORDER BY id FOR UPDATE",
        &[&sessions],
    )
    .await?;
    Ok(())
}

async fn open_lanes(db: &Db<'_>, now: i64, new: &[(i64, &Arrival)]) -> Outcome<()> {
    let mut seen = HashSet::new();
    let (mut sessions, mut targets, mut heads) = (Vec::new(), Vec::new(), Vec::new());
    for (seq, arrival) in new {
        for target in &arrival.opens {
            if seen.insert((&arrival.session, target)) {
                sessions.push(Text(&arrival.session));
                targets.push(Text(target));
                heads.push(seq - 1);
            }
        }
    }
    if sessions.is_empty() {
        return Ok(());
    }
    let opened: Vec<String> = db
        .all(
            "INSERT INTO lane (session, target, head, state, due_at, updated_at)
             SELECT session, target, head, 'due', $4, $4
               FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY
                    AS new (session, target, head, place)
              ORDER BY place
             ON CONFLICT (session, target) DO NOTHING
             RETURNING target",
            &[&sessions, &targets, &heads, &now],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    db.lanes_changed(opened);
    Ok(())
}

/// Idle lanes of targets that never act on any of a session's new events have shown them, as they have all
/// before them. Returns which. They are locked.
async fn pass(db: &Db<'_>, now: i64, new: &[(i64, &Arrival)]) -> Outcome<Vec<i64>> {
    let mut passed: BTreeMap<&str, (i64, i64, Vec<&String>)> = BTreeMap::new();
    for (seq, one) in new {
        let (first, last, targets) = passed
            .entry(&one.session)
            .or_insert_with(|| (*seq, *seq, one.passes.iter().collect()));
        (*first, *last) = ((*first).min(*seq), (*last).max(*seq));
        targets.retain(|target| one.passes.contains(target));
    }
    let (mut sessions, mut targets) = (Vec::new(), Vec::new());
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for (session, (first, last, passes)) in &passed {
        for target in passes {
            sessions.push(Text(session));
            targets.push(Text(target));
            firsts.push(*first);
            lasts.push(*last);
        }
    }
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    db.all(
        "UPDATE lane SET head = passed.last, updated_at = $5
           FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
                AS passed (session, target, first, last)
          WHERE lane.session = passed.session AND lane.target = passed.target
            AND lane.state = 'idle' AND lane.lease_owner IS NULL
            AND NOT EXISTS (SELECT 1 FROM event
                             WHERE event.session = lane.session AND event.seq > lane.head
                               AND event.seq < passed.first)
         RETURNING lane.id",
        &[&sessions, &targets, &firsts, &lasts, &now],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

/// Something happened in the sessions: lanes that were idle or waited for it are due now, those that are
/// being worked on will be due when they are left. A backoff keeps its time, and parked lanes stay
/// parked. Those that have shown it already stay idle. The lanes are locked.
async fn wake_sessions(
    db: &Db<'_>,
    now: i64,
    sessions: &BTreeSet<&str>,
    shown: &[i64],
) -> Outcome<()> {
    let woken: Vec<String> = db
        .all(
            "WITH busy AS (
                 UPDATE lane SET woken = true
                  WHERE session = ANY ($1) AND lease_owner IS NOT NULL AND NOT woken)
             UPDATE lane
                SET state = 'due', due_at = $2, reason = NULL, words = NULL, updated_at = $2
              WHERE session = ANY ($1) AND lease_owner IS NULL
                AND (state IN ('idle', 'held')
                     OR (state = 'due' AND reason IS NULL AND due_at > $2))
                AND id <> ALL ($3)
             RETURNING target",
            &[&texts(sessions), &now, &shown],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    db.lanes_changed(woken);
    Ok(())
}

/// A rep's reply came: lanes that do not take it up at once are to be looked at. They are locked.
async fn have_looked_at(db: &Db<'_>, now: i64, sessions: &BTreeSet<&str>) -> Outcome<()> {
    db.run(
        "UPDATE lane SET look_at = $2
          WHERE session = ANY ($1) AND lease_owner IS NULL AND state <> 'idle'",
        &[&texts(sessions), &now],
    )
    .await?;
    Ok(())
}

/// The customer wrote: in all of their sessions, lanes that waited are due now. The lanes are
/// locked.
async fn wake_customers(db: &Db<'_>, now: i64, sessions: &[String]) -> Outcome<()> {
    let woken: Vec<String> = db
        .all(
            "WITH busy AS (
                 UPDATE lane SET woken = true
                  WHERE session = ANY ($1) AND lease_owner IS NOT NULL AND NOT woken)
             UPDATE lane
                SET state = 'due', due_at = $2, reason = NULL, words = NULL, updated_at = $2
              WHERE session = ANY ($1) AND lease_owner IS NULL AND state = 'held'
             RETURNING target",
            &[&sessions, &now],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    db.lanes_changed(woken);
    Ok(())
}

/// Locks lanes by number and wakes them, as an event of their session would.
pub(super) async fn wake_lanes(db: &Db<'_>, now: i64, lanes: &[i64]) -> Outcome<()> {
    db.run(
        "SELECT id FROM lane WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
        &[&lanes],
    )
    .await?;
    let woken: Vec<String> = db
        .all(
            "WITH busy AS (
                 UPDATE lane SET woken = true
                  WHERE id = ANY ($1) AND lease_owner IS NOT NULL AND NOT woken)
             UPDATE lane
                SET state = 'due', due_at = $2, reason = NULL, words = NULL, updated_at = $2
              WHERE id = ANY ($1) AND lease_owner IS NULL
                AND (state IN ('idle', 'held')
                     OR (state = 'due' AND reason IS NULL AND due_at > $2))
             RETURNING target",
            &[&lanes, &now],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    db.lanes_changed(woken);
    Ok(())
}
