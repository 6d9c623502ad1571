//! The feeds that this daemon holds: one task for each stream or poll. What a task does is in
//! `listening`, and what listening to a stream takes in `stream`.

mod listening;
mod stream;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Relay;
use crate::ledger::FeedLease;
use crate::open_feeds::{Key, OpenFeeds, key_of};
use listening::listen;
pub(super) use listening::work_of;

/// Feeds claimed at a time.
const CLAIM: usize = 200;
/// How long until more are claimed when there were that many.
const MORE: Duration = Duration::from_millis(100);
/// How often feeds are looked for that nobody holds.
const LOOK: Duration = Duration::from_secs(2);
/// Feeds of a target that are loaded and read at the same time. All others are asleep, and keep
/// nothing but their place.
const AT_ONCE: usize = 32;

/// Listens until stopped.
pub async fn run(feeds: Arc<OpenFeeds>, relay: Relay, stop: CancellationToken) {
    let mut renewal = tokio::time::interval(relay.lease / 3);
    renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut listener = Listener::new(feeds, relay, stop.clone());
    loop {
        let again = listener.claim().await;
        listener.feeds.passed();
        tokio::select! {
            () = listener.feeds.asked_to_look() => {}
            () = tokio::time::sleep(again) => {}
            _ = renewal.tick() => listener.renew().await,
            Some(ended) = listener.tasks.join_next() => if let Ok((lease, orderly)) = ended {
                listener.ended(&lease, orderly).await;
            },
            () = stop.cancelled() => break,
        }
    }
    listener.tasks.shutdown().await;
    for (lease, _) in listener.held.values() {
        // What fails here runs out by itself.
        let _ = listener.relay.ledger.release_feed(lease).await;
    }
}

/// The tasks that listen.
struct Listener {
    feeds: Arc<OpenFeeds>,
    relay: Arc<Relay>,
    /// The targets' names.
    names: Vec<String>,
    /// Who of a target's feeds may load and read now.
    turns: HashMap<String, Arc<Semaphore>>,
    /// Each gives back its lease, and whether it ended in order.
    tasks: JoinSet<(FeedLease, bool)>,
    held: HashMap<Key, (FeedLease, CancellationToken)>,
    stop: CancellationToken,
}

impl Listener {
    fn new(feeds: Arc<OpenFeeds>, relay: Relay, stop: CancellationToken) -> Listener {
        let names: Vec<String> = relay.targets.keys().cloned().collect();
        let turn = |name: &String| (name.clone(), Arc::new(Semaphore::new(AT_ONCE)));
        Listener {
            feeds,
            turns: names.iter().map(turn).collect(),
            names,
            relay: Arc::new(relay),
            tasks: JoinSet::new(),
            held: HashMap::new(),
            stop,
        }
    }

    fn lasts(&self) -> SignedDuration {
        SignedDuration::try_from(self.relay.lease).unwrap_or(SignedDuration::from_secs(30))
    }

    /// Claims feeds that nobody holds and listens to them; gives back how long until the next look.
    async fn claim(&mut self) -> Duration {
        let (now, relay) = (Timestamp::now(), Arc::clone(&self.relay));
        let claimed = relay
            .ledger
            .claim_feeds(now, &relay.daemon, &self.names, CLAIM, now + self.lasts())
            .await;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "the ledger could not be asked for feeds");
                return LOOK;
            }
        };
        let again = if claimed.len() >= CLAIM { MORE } else { LOOK };
        for lease in claimed {
            self.listen(lease);
        }
        again
    }

    fn listen(&mut self, lease: FeedLease) {
        let cancel = self.stop.child_token();
        let wanted = self.feeds.hold(&lease);
        let mine = (lease.clone(), cancel.clone());
        if let Some((_, old)) = self.held.insert(key_of(&lease), mine) {
            old.cancel();
        }
        let Some(turns) = self.turns.get(&lease.target).cloned() else {
            return;
        };
        let (feeds, relay) = (Arc::clone(&self.feeds), Arc::clone(&self.relay));
        self.tasks.spawn(async move {
            let listening = AssertUnwindSafe(listen(&feeds, &relay, &turns, &lease, &wanted));
            let ended = cancel.run_until_cancelled(listening.catch_unwind()).await;
            let orderly = !matches!(ended, Some(Err(_)));
            if !orderly {
                tracing::error!(target_name = %lease.target, "a feed's task panicked; it is opened again when its lease has run out");
            }
            feeds.set_open(&lease, false);
            (lease, orderly)
        });
    }

    async fn renew(&mut self) {
        let leases: Vec<FeedLease> = self.held.values().map(|(lease, _)| lease.clone()).collect();
        if leases.is_empty() {
            return;
        }
        let until = Timestamp::now() + self.lasts();
        match self.relay.ledger.renew_feeds(&leases, until).await {
            // It is given back when its task has ended: nobody could claim one that is merely
            // dropped before its lease has run out.
            Ok(lost) => {
                for lease in lost {
                    if let Some((_, cancel)) = self.held.get(&key_of(&lease)) {
                        self.feeds.set_open(&lease, false);
                        cancel.cancel();
                    }
                }
            }
            Err(error) => tracing::error!(%error, "feed leases could not be renewed"),
        }
    }

    /// A task has ended. A feed that was claimed again meanwhile belongs to its new task.
    async fn ended(&mut self, lease: &FeedLease, orderly: bool) {
        let Entry::Occupied(entry) = self.held.entry(key_of(lease)) else {
            return;
        };
        if entry.get().0.epoch != lease.epoch {
            return;
        }
        entry.remove();
        self.feeds.drop_held(lease);
        if orderly && let Err(error) = self.relay.ledger.release_feed(lease).await {
            tracing::debug!(%error, "a feed could not be given back; its lease runs out by itself");
        }
    }
}
