//! What is no rep's business opens nothing in a CRM: while the assistant has the conversation, and after
//! its end where the target's settings say so, what is said is left out of a lane's work. What was said
//! since people gave it back or ended it is in the transcript of the next handoff, where the gateway's own
//! transcript does not hold it.
//!
//! Both follow from stored events alone, in the order in which they were stored, so that every plan of
//! the same lane sees the same.

use std::collections::BTreeMap;

use handoffd_contract::{Connector, Controller, Data, Handoff, Message};

use crate::ledger::{LaneLedger, LedgerError, Loaded};

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
    let is_shown = |seq: &i64| before.get(seq).is_none_or(|one| connector.shows(one));
    let hidden = hidden(connector);
    loaded.events.retain(|(seq, event)| match &event.data {
        Data::MessageReceived(_) | Data::MessageSent(_) => is_shown(seq),
        _ => true,
    });
    for (seq, event) in &mut loaded.events {
        let Data::HandoffRequested(handoff) = &mut event.data else {
            continue;
        };
        if before
            .get(seq)
            .is_some_and(|one| hidden.contains(&one.word()))
        {
            let unshown = ledger
                .unshown(session, *seq, &hidden, MAX_MESSAGES, bytes)
                .await?;
            for event in unshown {
                if let Data::MessageReceived(said) | Data::MessageSent(said) = event.data
                    && said.reference.is_none()
                {
                    add(handoff, said.message);
                }
            }
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

/// Puts a message into a transcript, at its time, unless it is there.
fn add(handoff: &mut Handoff, message: Message) {
    let all = &mut handoff.transcript;
    if all.iter().any(|one| one.id == message.id) {
        return;
    }
    let later = all.iter().position(|one| one.time > message.time);
    all.insert(later.unwrap_or(all.len()), message);
}
