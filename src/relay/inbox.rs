//! Works off webhooks that were stored as they came.

use std::time::Duration;

use handoffd_contract::{Frame, Reason, Stop};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Relay;
use super::hearing::{Deaf, Settle};
use crate::ledger::InboxRow;

/// Webhooks claimed at a time; they are worked off one after the other, in the order of arrival.
const CLAIM: usize = 50;

/// A webhook that names no record of ours is looked at again so often, since it can overtake the
/// answer that tells us the record's id; then it is somebody else's.
const UNMATCHED_TRIES: u32 = 2;

/// Works until stopped.
pub async fn run(relay: Relay, stop: CancellationToken) {
    let lasts = SignedDuration::try_from(relay.lease).unwrap_or(SignedDuration::from_secs(30));
    while !stop.is_cancelled() {
        let changed = relay.ledger.changed();
        let changed = changed.notified();
        let now = Timestamp::now();
        let rows = relay.ledger.inbox_claim(now, &relay.daemon, CLAIM, now + lasts).await;
        let rows = rows.unwrap_or_else(|error| {
            tracing::error!(%error, "the ledger could not be asked for webhooks");
            Vec::new()
        });
        let claimed = rows.len();
        for row in rows {
            one(&relay, row).await;
        }
        if claimed == CLAIM {
            continue;
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn one(relay: &Relay, row: InboxRow) {
    let outcome = match relay.targets.get(&row.target) {
        None => Err(Deaf::Never(Stop::new(Reason::Unmatched, "the target is no longer configured"))),
        Some(target) => {
            let headers: Vec<(String, String)> = serde_json::from_str(&row.headers).unwrap_or_default();
            let frame = Frame::Webhook { headers: &headers, body: &row.body };
            // While tries are left, what matches nothing is looked at again and nothing is settled;
            // what did match is recorded all the same, and its repeat is a no-op.
            let last = row.attempts >= UNMATCHED_TRIES;
            let settle = Settle { inbox: last.then_some((row.id, row.epoch)), ..Settle::default() };
            match relay.take(target, &frame, settle).await {
                Ok(took) if took.unmatched > 0 && !last => {
                    let words = "the webhook names a record that no session has yet";
                    Err(Deaf::Later(Stop::new(Reason::Unmatched, words), Some(Duration::from_secs(2 + 10 * u64::from(row.attempts)))))
                }
                Ok(_) if !last => {
                    let done = crate::ledger::Hear { inbox: Some((row.id, row.epoch)), ..Default::default() };
                    relay.ledger.hear(Timestamp::now(), done).await.map(drop).map_err(Deaf::from)
                }
                Ok(_) => Ok(()),
                Err(deaf) => Err(deaf),
            }
        }
    };
    let later = match outcome {
        Ok(()) | Err(Deaf::Stale) => return,
        Err(Deaf::Unauthorized) => (Some(Duration::from_millis(100)), Stop::new(Reason::Unauthorized, "a read was refused")),
        Err(Deaf::Later(stop, after)) => {
            let wait = relay.schedule.after(row.attempts + 1, rand::random());
            (Some(after.unwrap_or(wait)), stop)
        }
        Err(Deaf::Never(stop)) => (None, stop),
    };
    let (wait, stop) = later;
    tracing::info!(target_name = %row.target, reason = stop.reason.label(), words = %stop.words, again = wait.is_some(), "a webhook waits");
    let at = wait.map(|wait| Timestamp::now() + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_hours(1)));
    if let Err(error) = relay.ledger.inbox_later(&row, at, stop).await {
        tracing::debug!(%error, "a webhook's lease runs out by itself");
    }
}
