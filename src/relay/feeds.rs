//! Which feeds this daemon holds: one task for each stream or poll. What a task does is in `listening`,
//! and what listening to a stream takes in `stream`.

mod listening;
mod stream;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use metrics::gauge;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Relay;
use crate::ledger::FeedLease;
use crate::metrics::FEEDS;
pub(super) use listening::feed_as;
use listening::listen;

/// A lane that wants its stream open before it calls waits at most so long: what the stream misses
/// is read back after it opens, so waiting longer would only keep the rep from the record.
const OPEN_WAIT: Duration = Duration::from_secs(3);
/// Feeds claimed at a time.
const CLAIM: usize = 200;
/// How long until more are claimed when there were that many.
const MORE: Duration = Duration::from_millis(100);
/// How often feeds are looked for that nobody holds.
const LOOK: Duration = Duration::from_secs(2);
/// Feeds of a target that are loaded and read at the same time. All others are asleep, and keep
/// nothing but their place.
const AT_ONCE: usize = 32;

type Key = (String, String);

/// Which feeds are open here; and how lanes ask for theirs.
pub struct Feeds {
    look: Notify,
    open: watch::Sender<BTreeSet<Key>>,
    held: watch::Sender<BTreeSet<Key>>,
    passes: watch::Sender<u64>,
    /// How to wake each feed that is held here and finds nothing to hear.
    sleepers: Mutex<HashMap<Key, Arc<Notify>>>,
}

impl Default for Feeds {
    fn default() -> Feeds {
        Feeds {
            look: Notify::new(),
            open: watch::Sender::new(BTreeSet::new()),
            held: watch::Sender::new(BTreeSet::new()),
            passes: watch::Sender::new(0),
            sleepers: Mutex::new(HashMap::new()),
        }
    }
}

impl Feeds {
    /// A lane has begun or ceased to listen: look at once.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Waits until the feed is open here, or turns out to be held elsewhere, or took too long. One
    /// that sleeps here is woken.
    pub async fn wait_until_open(&self, target: &str, key: &str) {
        let key = (target.to_owned(), key.to_owned());
        let mut open = self.open.subscribe();
        if open.borrow_and_update().contains(&key) {
            return;
        }
        let mut passes = self.passes.subscribe();
        let seen = *passes.borrow_and_update();
        self.wake(&key);
        self.look();
        let opened = async {
            // Two passes: the first may have begun before the lane said that it listens.
            let _ = passes
                .wait_for(|pass| *pass >= seen + 2 || self.held.borrow().contains(&key))
                .await;
            if self.held.borrow().contains(&key) {
                // It may have been claimed since, and have gone to sleep before the lane said why it
                // listens.
                self.wake(&key);
                let _ = open.wait_for(|open| open.contains(&key)).await;
            }
        };
        let _ = tokio::time::timeout(OPEN_WAIT, opened).await;
    }

    /// How many feeds are open here.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.borrow().len()
    }

    fn wake(&self, key: &Key) {
        if let Some(sleeper) = self.sleepers().get(key) {
            sleeper.notify_one();
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, HashMap<Key, Arc<Notify>>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_open(&self, lease: &FeedLease, is_open: bool) {
        if note(&self.open, key_of(lease), is_open) {
            let change = if is_open { 1.0 } else { -1.0 };
            gauge!(FEEDS, "target" => lease.target.clone()).increment(change);
        }
    }

    /// Listens until stopped.
    pub async fn run(self: Arc<Feeds>, relay: Relay, stop: CancellationToken) {
        let relay = Arc::new(relay);
        let names: Vec<String> = relay.targets.keys().cloned().collect();
        let turns: HashMap<&String, Arc<Semaphore>> = names
            .iter()
            .map(|name| (name, Arc::new(Semaphore::new(AT_ONCE))))
            .collect();
        let mut tasks: JoinSet<(FeedLease, bool)> = JoinSet::new();
        let mut held: HashMap<Key, (FeedLease, CancellationToken)> = HashMap::new();
        let lasts = SignedDuration::try_from(relay.lease).unwrap_or(SignedDuration::from_secs(30));
        let mut renewal = tokio::time::interval(relay.lease / 3);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = Timestamp::now();
            let mut again = LOOK;
            match relay
                .ledger
                .claim_feeds(now, &relay.daemon, &names, CLAIM, now + lasts)
                .await
            {
                Ok(claimed) => {
                    if claimed.len() >= CLAIM {
                        again = MORE;
                    }
                    for lease in claimed {
                        let cancel = stop.child_token();
                        note(&self.held, key_of(&lease), true);
                        let mine = (lease.clone(), cancel.clone());
                        if let Some((_, old)) = held.insert(key_of(&lease), mine) {
                            old.cancel();
                        }
                        let Some(turns) = turns.get(&lease.target).cloned() else {
                            continue;
                        };
                        let (feeds, relay) = (Arc::clone(&self), Arc::clone(&relay));
                        let wanted = Arc::new(Notify::new());
                        self.sleepers().insert(key_of(&lease), Arc::clone(&wanted));
                        tasks.spawn(async move {
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
                }
                Err(error) => tracing::error!(%error, "the ledger could not be asked for feeds"),
            }
            self.passes.send_modify(|pass| *pass += 1);
            tokio::select! {
                () = self.look.notified() => {}
                () = tokio::time::sleep(again) => {}
                _ = renewal.tick() => {
                    let leases: Vec<FeedLease> = held.values().map(|(lease, _)| lease.clone()).collect();
                    if !leases.is_empty() {
                        match relay.ledger.renew_feeds(&leases, Timestamp::now() + lasts).await {
                            Ok(lost) => {
                                // It is given back when its task has ended: nobody could claim one
                                // that is merely dropped before its lease has run out.
                                for lease in lost {
                                    if let Some((_, cancel)) = held.get(&key_of(&lease)) {
                                        self.set_open(&lease, false);
                                        cancel.cancel();
                                    }
                                }
                            }
                            Err(error) => tracing::error!(%error, "feed leases could not be renewed"),
                        }
                    }
                }
                Some(ended) = tasks.join_next() => {
                    // One that was claimed again meanwhile belongs to its new task.
                    if let Ok((ended, orderly)) = ended
                        && let Entry::Occupied(entry) = held.entry(key_of(&ended))
                        && entry.get().0.epoch == ended.epoch
                    {
                        entry.remove();
                        self.sleepers().remove(&key_of(&ended));
                        note(&self.held, key_of(&ended), false);
                        if orderly && let Err(error) = relay.ledger.release_feed(&ended).await {
                            tracing::debug!(%error, "a feed could not be given back; its lease runs out by itself");
                        }
                    }
                }
                () = stop.cancelled() => break,
            }
        }
        tasks.shutdown().await;
        for (lease, _) in held.values() {
            // What fails here runs out by itself.
            let _ = relay.ledger.release_feed(lease).await;
        }
    }
}

fn key_of(lease: &FeedLease) -> Key {
    (lease.target.clone(), lease.key.clone())
}

/// Puts a key into a set, or takes it out; whether that changed it.
fn note(set: &watch::Sender<BTreeSet<Key>>, key: Key, is_in: bool) -> bool {
    set.send_if_modified(|set| {
        if is_in {
            set.insert(key)
        } else {
            set.remove(&key)
        }
    })
}
