//! Which feeds this daemon holds and which are open, and how a lane asks for its own: the one thing
//! that engine and relay know together.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tokio::sync::{Notify, watch};

use crate::ledger::FeedLease;
use crate::metrics::FEEDS;

/// A lane that wants its stream open before it calls waits at most so long: what the stream misses
/// is read back after it opens, so waiting longer would only keep the rep from the record.
const OPEN_WAIT: Duration = Duration::from_secs(3);

/// A target and the feed's key.
pub(crate) type Key = (String, String);

/// Which feeds are open here; and how lanes ask for theirs.
pub struct OpenFeeds {
    look: Notify,
    open: watch::Sender<BTreeSet<Key>>,
    held: watch::Sender<BTreeSet<Key>>,
    passes: watch::Sender<u64>,
    /// How to wake each feed that is held here and finds nothing to hear.
    sleepers: Mutex<HashMap<Key, Arc<Notify>>>,
}

impl Default for OpenFeeds {
    fn default() -> OpenFeeds {
        OpenFeeds {
            look: Notify::new(),
            open: watch::Sender::new(BTreeSet::new()),
            held: watch::Sender::new(BTreeSet::new()),
            passes: watch::Sender::new(0),
            sleepers: Mutex::new(HashMap::new()),
        }
    }
}

impl OpenFeeds {
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

    /// Waits until a lane asks for a look.
    pub(crate) async fn asked_to_look(&self) {
        self.look.notified().await;
    }

    /// All feeds that nobody held have been looked for once more.
    pub(crate) fn passed(&self) {
        self.passes.send_modify(|pass| *pass += 1);
    }

    /// This daemon holds a feed; what wakes it is given back.
    pub(crate) fn hold(&self, lease: &FeedLease) -> Arc<Notify> {
        let wanted = Arc::new(Notify::new());
        // Before it counts as held, since whoever sees it held wakes it.
        self.sleepers().insert(key_of(lease), Arc::clone(&wanted));
        change(&self.held, key_of(lease), true);
        wanted
    }

    /// This daemon holds a feed no longer.
    pub(crate) fn drop_held(&self, lease: &FeedLease) {
        self.sleepers().remove(&key_of(lease));
        change(&self.held, key_of(lease), false);
    }

    /// A feed is open here, or is not any more.
    pub(crate) fn set_open(&self, lease: &FeedLease, is_open: bool) {
        if change(&self.open, key_of(lease), is_open) {
            let change = if is_open { 1.0 } else { -1.0 };
            gauge!(FEEDS, "target" => lease.target.clone()).increment(change);
        }
    }

    fn wake(&self, key: &Key) {
        if let Some(sleeper) = self.sleepers().get(key) {
            sleeper.notify_one();
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, HashMap<Key, Arc<Notify>>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The feed that a lease is for.
pub(crate) fn key_of(lease: &FeedLease) -> Key {
    (lease.target.clone(), lease.key.clone())
}

/// Puts a key into a set, or takes it out; whether that changed it.
fn change(set: &watch::Sender<BTreeSet<Key>>, key: Key, is_in: bool) -> bool {
    set.send_if_modified(|set| {
        if is_in {
            set.insert(key)
        } else {
            set.remove(&key)
        }
    })
}
