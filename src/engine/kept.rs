//! What is no rep's business opens nothing in a CRM: while the assistant has the conversation, and after
//! its end where the target's settings say so, what is said is left out of a lane's work. What was said
//! since people gave it back or ended it is in the transcript of the next handoff, where the gateway's own
//! transcript does not hold it. The answer to the question after a rep's end is no message either: the CRM
//! gets the rating.
//!
//! Both follow from stored events alone, in the order in which they were stored, so that every plan of
//! the same lane sees the same.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::{Connector, Controller, Data, Event, Message};

use crate::conversation::notices::{MAX_WORD, RATED};
use crate::ledger::{LaneLedger, LedgerError, Loaded, effect_id};

/// So many messages of those that were not shown are added to a transcript: the newest.
const MAX_MESSAGES: usize = 200;

/// Takes out of what was loaded for a lane what its target does not show, and puts into its handoffs
/// what was not shown before them.
///
/// # Errors
/// The ledger failed.
pub async fn settle(
    ledger: &dyn LaneLedger,
    connector: &dyn Connector,
    session: &str,
    loaded: &mut Loaded,
    bytes: usize,
) -> Result<(), LedgerError> {
    let mut controller = loaded.controller.clone();
    let mut before: BTreeMap<i64, Controller> = BTreeMap::new();
    let mut stored: Vec<_> = loaded.events.iter().collect();
    stored.sort_unstable_by_key(|(seq, _)| *seq);
    for (seq, event) in stored {
        before.insert(*seq, controller.clone());
        controller.follow(&event.data);
    }
    let ratings = ratings(ledger, session, loaded, &before).await?;
    let is_shown = |seq: &i64| before.get(seq).is_none_or(|one| connector.shows(one));
    let hidden = hidden(connector);
    loaded.events.retain(|(seq, event)| match &event.data {
        Data::MessageReceived(_) => is_shown(seq) && !ratings.contains(&event.id),
        Data::MessageSent(_) => is_shown(seq),
        _ => true,
    });
    for (seq, event) in &mut loaded.events {
        let Data::HandoffRequested(handoff) = &mut event.data else {
            continue;
        };
        // Also when it was ended after it had been given back.
        let was_over = matches!(
            before.get(seq),
            Some(Controller::Returned { .. } | Controller::Closed { .. })
        );
        if was_over && !hidden.is_empty() {
            let unshown = ledger
                .unshown(session, *seq, &hidden, MAX_MESSAGES, bytes)
                .await?;
            let mut came = Vec::new();
            for event in unshown {
                let is_rating = rating(ledger, session, &event).await?.is_some();
                if let Data::MessageReceived(said) | Data::MessageSent(said) = event.data
                    && said.reference.is_none()
                    && !said.message.is_empty()
                    && !is_rating
                {
                    came.push(said.message);
                }
            }
            let mut ids: BTreeSet<String> = handoff
                .transcript
                .iter()
                .map(|one| one.id.clone())
                .collect();
            came.retain(|one: &Message| ids.insert(one.id.clone()));
            Message::weave(&mut handoff.transcript, came);
        }
    }
    Ok(())
}

/// The words for those after people in whose time what is said is not shown.
fn hidden(connector: &dyn Connector) -> Vec<&'static str> {
    let by = String::new;
    let after = [
        Controller::Returned { by: by() },
        Controller::Closed {
            by: by(),
            resolved: None,
        },
    ];
    let hidden = after.iter().filter(|one| !connector.shows(one));
    hidden.map(Controller::word).collect()
}

/// The messages with which the customer has rated the conversation: they are no messages for a rep.
async fn ratings(
    ledger: &dyn LaneLedger,
    session: &str,
    loaded: &Loaded,
    before: &BTreeMap<i64, Controller>,
) -> Result<BTreeSet<String>, LedgerError> {
    let rated = |event: &Event| match &event.data {
        Data::SessionRated(rated) => Some(rated.message.clone()),
        _ => None,
    };
    let events = loaded.events.iter();
    let mut ratings: BTreeSet<String> = events.filter_map(|(_, event)| rated(event)).collect();
    // What follows from an event is stored right behind it, and may be behind what was loaded.
    let last = loaded.events.iter().max_by_key(|(seq, _)| *seq);
    if let Some((seq, event)) = last
        && matches!(before.get(seq), Some(Controller::Closed { .. }))
        && let Some(rating) = rating(ledger, session, event).await?
    {
        ratings.extend(rated(&rating));
    }
    Ok(ratings)
}

/// The rating that this event is, if it is one.
async fn rating(
    ledger: &dyn LaneLedger,
    session: &str,
    event: &Event,
) -> Result<Option<Event>, LedgerError> {
    let Data::MessageReceived(said) = &event.data else {
        return Ok(None);
    };
    let text = said.message.text.as_deref().unwrap_or_default().trim();
    if text.is_empty() || text.chars().nth(MAX_WORD).is_some() {
        return Ok(None);
    }
    let found = ledger.recall(session, &effect_id(event, RATED)).await?;
    Ok(found.map(|(_, event)| event))
}
