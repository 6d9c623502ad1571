//! Works off webhooks that were stored as they came: one after the other within a target, so that
//! they keep their order, and every target by itself, so that a slow CRM delays nobody else's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use handoffd_contract::{Frame, Reason, Stop};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Relay;
use super::hearing::{Commit, RelayError};
use crate::ledger::{Changed, LedgerError, Received, WebhookLedger, WebhookRow};
use crate::seldom::Seldom;
use crate::target::Target;

/// Webhooks claimed at a time. Few, because each may cost reads and the lease must last for all.
const CLAIM: usize = 16;

/// Webhooks that follow one another so closely are claimed together.
const TOGETHER: Duration = Duration::from_millis(20);

/// So often it is looked whether a webhook is due that nobody told of: one that was put off, or that
/// another daemon left behind.
const LOOK: Duration = Duration::from_secs(1);

/// A webhook that names no record of ours is looked at again so often, since it can overtake the
/// answer that tells us the record's id; then it is somebody else's.
const UNMATCHED_TRIES: u32 = 2;

/// So many webhooks that hold what is not taken from there are kept for a person to see; more would
/// say nothing new and fill the disk.
const KEPT: usize = 1_000;

/// How long it is believed that so many are there.
const BELIEVED: Duration = Duration::from_secs(10);

/// How many more of those may be kept.
struct Shelf {
    most: usize,
    left: usize,
    counted: Option<Instant>,
}

impl Shelf {
    fn new(most: usize) -> Shelf {
        Shelf {
            most,
            left: 0,
            counted: None,
        }
    }

    /// Takes a place, if there is one.
    async fn place(&mut self, ledger: &dyn WebhookLedger) -> bool {
        if self.left == 0 && self.counted.is_none_or(|at| at.elapsed() >= BELIEVED) {
            // What cannot be counted is kept.
            let parked = ledger.parked_webhooks(self.most).await;
            self.left = self.most - parked.map_or(0, |rows| rows.len().min(self.most));
            self.counted = Some(Instant::now());
        }
        let there = self.left > 0;
        self.left = self.left.saturating_sub(1);
        there
    }
}

/// Works until stopped.
pub async fn run(relay: Relay, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    for target in relay.targets.values() {
        let (relay, target, stop) = (relay.clone(), Arc::clone(target), stop.clone());
        tasks.spawn(async move { work(&relay, &target, &stop).await });
    }
    while tasks.join_next().await.is_some() {}
}

async fn work(relay: &Relay, target: &Target, stop: &CancellationToken) {
    let lasts = SignedDuration::try_from(relay.lease).unwrap_or(SignedDuration::from_secs(30));
    let mut shelf = Shelf::new(KEPT);
    let changed = relay.webhooks.changed();
    while !stop.is_cancelled() {
        // Read before the look, so that no change falls between the two.
        let seen = changed.webhooks(&target.name);
        let looked = tokio::time::Instant::now();
        let now = Timestamp::now();
        let claimed = relay
            .webhooks
            .claim_webhooks(now, &relay.daemon, &target.name, CLAIM, now + lasts)
            .await;
        let rows = claimed.unwrap_or_else(|error| {
            tracing::error!(target_name = %target.name, %error, "the ledger could not be asked for webhooks");
            Vec::new()
        });
        let (some, full) = (!rows.is_empty(), rows.len() == CLAIM);
        for row in rows {
            // What is not begun within the lease is somebody's for the taking again.
            if Timestamp::now() < now + lasts / 2 && !stop.is_cancelled() {
                one(relay, target, row, &mut shelf).await;
            }
        }
        if full {
            continue;
        }
        tokio::select! {
            () = changed_since(&changed, &target.name, seen) => {}
            () = tokio::time::sleep_until(looked + LOOK) => {}
            () = stop.cancelled() => {}
        }
        if some {
            // They come thick: what follows closely is claimed with it.
            tokio::time::sleep_until(looked + TOGETHER).await;
        }
    }
}

/// Ends once a webhook of the target has come, or has been put off, since that change.
async fn changed_since(changed: &Changed, target: &str, seen: u64) {
    loop {
        let next = changed.next_of_webhooks();
        if changed.webhooks(target) != seen {
            return;
        }
        next.await;
    }
}

async fn one(relay: &Relay, target: &Target, row: WebhookRow, shelf: &mut Shelf) {
    static REFUSED: Seldom = Seldom::new();
    let (wait, stop) = match heard(relay, target, &row).await {
        Ok(()) | Err(RelayError::Stale) => return,
        Err(RelayError::Unauthorized) => (
            Some(Duration::from_millis(100)),
            Stop::new(Reason::Unauthorized, "a read was refused"),
        ),
        Err(RelayError::Later(stop, after)) => {
            let wait = relay.backoff.after(row.attempts + 1, rand::random());
            (Some(after.unwrap_or(wait)), stop)
        }
        Err(RelayError::Never(stop)) => (None, stop),
    };
    if wait.is_none() && stop.reason == Reason::Unsupported {
        if let Some(more) = REFUSED.now() {
            tracing::warn!(target_name = %target.name, more, message = %stop.message, "a webhook is not taken");
        }
        if !shelf.place(&*relay.webhooks).await {
            if let Err(error) = settle(relay, &row).await {
                tracing::debug!(%error, "a webhook's lease runs out by itself");
            }
            return;
        }
    }
    tracing::info!(
        target_name = %target.name, reason = stop.reason.label(), message = %stop.message, again = wait.is_some(),
        "a webhook waits"
    );
    let at = wait.map(|wait| {
        Timestamp::now() + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_hours(1))
    });
    if let Err(error) = relay.webhooks.postpone_webhook(&row, at, stop).await {
        tracing::debug!(%error, "a webhook's lease runs out by itself");
    }
}

/// Takes a webhook. While tries are left, one that matches nothing is not settled but looked at
/// again; what did match is recorded all the same, and its repeat is a no-op.
async fn heard(relay: &Relay, target: &Target, row: &WebhookRow) -> Result<(), RelayError> {
    let headers: Vec<(String, String)> = serde_json::from_str(&row.headers).unwrap_or_default();
    let frame = Frame::Webhook {
        headers: &headers,
        body: &row.body,
    };
    let took = relay.take(target, &frame, Commit::default()).await?;
    if took.unmatched > 0 && row.attempts < UNMATCHED_TRIES {
        let words = "the webhook names a record that no session has yet";
        let wait = Duration::from_secs(2 + 10 * u64::from(row.attempts));
        return Err(RelayError::Later(
            Stop::new(Reason::Unmatched, words),
            Some(wait),
        ));
    }
    if let Some(stop) = took.refused {
        return Err(RelayError::Never(stop));
    }
    Ok(settle(relay, row).await?)
}

/// The webhook is done with.
async fn settle(relay: &Relay, row: &WebhookRow) -> Result<(), LedgerError> {
    let done = Received {
        webhook: Some((row.id, row.epoch)),
        ..Received::default()
    };
    relay
        .ledger
        .store_received(Timestamp::now(), done)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_than_so_many_are_kept() {
        let file = std::env::temp_dir().join(format!("handoffd-{}.db", uuid::Uuid::new_v4()));
        let ledger = crate::ledger::open(&format!("sqlite:{}", file.display()))
            .await
            .unwrap();
        let now = Timestamp::now();
        ledger.keep_webhook(now, "hub", "[]", b"1").await.unwrap();
        let until = now + SignedDuration::from_secs(60);
        let rows = ledger
            .claim_webhooks(now, "me", "hub", 1, until)
            .await
            .unwrap();
        let stop = Stop::new(Reason::Unsupported, "not from there");
        ledger.postpone_webhook(&rows[0], None, stop).await.unwrap();

        let mut shelf = Shelf::new(3);
        assert!(shelf.place(&*ledger).await, "one is there, two may come");
        assert!(shelf.place(&*ledger).await);
        assert!(!shelf.place(&*ledger).await);
        let mut full = Shelf::new(1);
        assert!(!full.place(&*ledger).await);
        // When an operator has dropped them, there is room again.
        ledger.settle_webhooks(now, None, false).await.unwrap();
        full.counted = Instant::now().checked_sub(BELIEVED);
        assert!(full.place(&*ledger).await);
        for ending in ["db", "db-wal", "db-shm"] {
            let _ = std::fs::remove_file(file.with_extension(ending));
        }
    }
}
