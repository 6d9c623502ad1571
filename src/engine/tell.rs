//! Reps whose replies wait are told, although nothing is called for that.
//!
//! A lane that is parked, in a backoff, or of a target whose circuit is open is not worked on, so its
//! connector would not hear of a reply that comes meanwhile. Such lanes are looked at: their connector
//! says what is to be told, and that is stored together with the facts that it was told, unless
//! somebody has worked on the lane in between.

use std::time::Duration;

use futures::future::join_all;
use handoffd_contract::{Reason, Stop, Waiting};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::plan::{bare, plain};
use crate::ledger::{LaneState, LedgerError, Unlooked};
use crate::target::Target;

/// How often it is asked which lanes are to be looked at.
const EVERY: Duration = Duration::from_secs(1);

/// So many lanes of a target are looked at at once.
const AT_ONCE: usize = 16;

/// When a lane that could not be looked at comes again.
const AFTER_A_FAILURE: SignedDuration = SignedDuration::from_mins(1);

/// Looks at lanes that stand still, until stopped.
pub async fn run(engine: &Engine, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let mut more = false;
        for target in engine.targets.values() {
            more |= look(engine, target).await;
        }
        if !more {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// Looks at some lanes of a target. Returns whether there may be more to look at now.
async fn look(engine: &Engine, target: &Target) -> bool {
    let paused = || {
        let words = "the target asked for a pause";
        let stop = |_| Stop::new(Reason::RateLimited, words);
        target.budgets.paused().map(stop)
    };
    let open = target.breaker.why().or_else(paused);
    let lanes = engine
        .ledger
        .unlooked(Timestamp::now(), &target.name, open.is_some(), AT_ONCE);
    let lanes = match lanes.await {
        Ok(lanes) => lanes,
        Err(error) => {
            tracing::warn!(target_name = %target.name, %error, "the ledger could not be asked for lanes that wait");
            return false;
        }
    };
    let full = lanes.len() == AT_ONCE;
    let looks = lanes.iter().map(|lane| async {
        // What stops a due lane now is what stops its target; otherwise its own reason.
        let circuit = open.as_ref().filter(|_| lane.state == LaneState::Due);
        let Some(stop) = circuit.or(lane.stop.as_ref()) else {
            return false;
        };
        match look_at(engine, target, lane, stop).await {
            Ok(()) => true,
            Err(LedgerError::Stale) => false,
            Err(error) => {
                tracing::warn!(target_name = %target.name, session = %lane.lane.session, %error, "a lane that waits could not be looked at");
                // Others are behind it: it comes again later. What fails here is tried again anyway.
                let later = Some(Timestamp::now() + AFTER_A_FAILURE);
                let put_off = engine.ledger.looked(Timestamp::now(), lane, Vec::new(), Vec::new(), later);
                let _ = put_off.await;
                false
            }
        }
    });
    let looked = join_all(looks).await;
    full && looked.contains(&true)
}

async fn look_at(
    engine: &Engine,
    target: &Target,
    lane: &Unlooked,
    stop: &Stop,
) -> Result<(), LedgerError> {
    let settings = &engine.settings;
    let loaded = engine
        .ledger
        .inspect(lane.lane.lane, settings.load_events, settings.load_bytes)
        .await?;
    let mut work = bare(&target.name, &loaded);
    // A reply that is to be sent once more waits like one that was never sent.
    let again = target.connector.recall(&work, &loaded.known);
    for (at, id) in again.into_iter().enumerate() {
        let found = engine.ledger.recall(&lane.lane.session, &id).await?;
        if let Some((_, event)) = found {
            work.items.insert(at.min(work.items.len()), plain(&event));
        }
    }
    let Waiting { record, again } = target.connector.waiting(&work, &loaded.known, stop);
    let events = record.events.into_iter();
    let events = events
        .map(|(id, data)| Engine::own_event(&lane.lane.session, &target.name, &id, data))
        .collect();
    engine
        .ledger
        .looked(Timestamp::now(), lane, record.facts, events, again)
        .await
}
