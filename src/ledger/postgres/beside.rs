//! Targets by which others are told: their lanes beside those that answer customers, and whether they
//! want to be told no more.

use std::collections::{BTreeSet, HashSet};

use super::db::{Db, Outcome, Text, texts};

/// Opens the lanes of a target that has none, beside those of other targets.
pub(super) async fn open_beside(
    db: &Db<'_>,
    now: i64,
    target: &str,
    beside: &[String],
    facts: &str,
) -> Outcome<u64> {
    let there: Option<i32> = db
        .one(
            "SELECT 1 FROM lane WHERE target = $1 LIMIT 1",
            &[&Text(target)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    if there.is_some() {
        return Ok(0);
    }
    let mut opened = 0;
    for other in beside {
        opened += db
            .run(
                "INSERT INTO lane (session, target, head, state, due_at, updated_at)
                 SELECT session, $1, head, CASE state WHEN 'idle' THEN 'idle' ELSE 'due' END,
                        CASE state WHEN 'idle' THEN NULL ELSE $3::bigint END, $3
                   FROM lane WHERE target = $2 ORDER BY session
                 ON CONFLICT (session, target) DO NOTHING",
                &[&Text(target), &Text(other), &now],
            )
            .await?;
        db.run(
            "INSERT INTO fact (lane, name, value, unsure_since, candidate, reason, message)
             SELECT mine.id, fact.name, fact.value, fact.unsure_since, fact.candidate, fact.reason,
                    fact.message
               FROM lane AS mine
               JOIN lane AS other ON other.session = mine.session AND other.target = $2
               JOIN fact ON fact.lane = other.id AND starts_with(fact.name, $3)
              WHERE mine.target = $1 AND mine.state = 'due'
             ON CONFLICT (lane, name) DO NOTHING",
            &[&Text(target), &Text(other), &facts],
        )
        .await?;
    }
    db.lanes_changed(vec![target.to_owned()]);
    Ok(opened)
}

/// Why a lane of the target is parked for this reason, if one is.
pub(super) async fn parked_for(db: &Db<'_>, target: &str, reason: &str) -> Outcome<Option<String>> {
    db.one(
        "SELECT words FROM lane WHERE state = 'parked' AND reason = $1 AND target = $2 LIMIT 1",
        &[&reason, &Text(target)],
        |row| Ok(row.try_get(0)?),
    )
    .await
}

/// Those of these sessions of which anything is known.
pub(super) async fn have_events(
    db: &Db<'_>,
    sessions: &BTreeSet<&str>,
) -> Outcome<HashSet<String>> {
    let known = db
        .all(
            "SELECT one.id FROM unnest($1::text[]) AS one (id)
              WHERE EXISTS (SELECT 1 FROM event WHERE event.session = one.id)",
            &[&texts(sessions)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    Ok(known.into_iter().collect())
}
