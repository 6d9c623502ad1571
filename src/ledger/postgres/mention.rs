//! What an event speaks of that came earlier.

use handoffd_contract::Event;
use handoffd_contract::lane::carried_fact;

use super::db::{Db, Outcome, Text};
use super::load::recall;
use crate::ledger::lanes::{LOOKED_INTO, LOOKED_THROUGH};
use crate::ledger::{Mention, rows};

/// The event that holds what is spoken of.
pub(super) async fn mentioned(
    db: &Db<'_>,
    session: &str,
    before: i64,
    mention: &Mention,
) -> Outcome<Option<Event>> {
    let [one, another, third] = mention.kinds();
    let bodies: Vec<String> = db
        .all(
            "SELECT body FROM (
                 SELECT seq, body FROM event
                  WHERE session = $1 AND seq < $2 AND kind IN ($3, $4, $5)
                  ORDER BY seq DESC LIMIT $6) AS newest
              WHERE octet_length(body)::bigint <= $7 AND position($8 in body) > 0
              ORDER BY seq DESC LIMIT 3",
            &[
                &Text(session),
                &before,
                &one,
                &another,
                &third,
                &LOOKED_THROUGH,
                &LOOKED_INTO,
                &Text(&mention.needle()),
            ],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    for body in &bodies {
        let event: Event = rows::decode(body)?;
        if mention.is_in(&event) {
            return Ok(Some(event));
        }
    }
    let Mention::Message(id) = mention else {
        return Ok(None);
    };
    let item: Option<Option<String>> = db
        .one(
            "SELECT fact.value FROM fact JOIN lane ON lane.id = fact.lane
              WHERE fact.name = $1 AND lane.session = $2 LIMIT 1",
            &[&Text(&carried_fact(id)), &Text(session)],
            |row| Ok(row.try_get(0)?),
        )
        .await?;
    let Some(item) = item.flatten() else {
        return Ok(None);
    };
    let found = recall(db, session, &item).await?;
    Ok(found
        .filter(|(seq, _)| *seq < before)
        .map(|(_, event)| event))
}
