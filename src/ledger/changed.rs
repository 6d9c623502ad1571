//! Who is told that something may be due: those who work on a target's lanes, those who work off its
//! webhooks, and those who fetch files.
//!
//! A hint: the table is the truth, and whoever waits looks into it from time to time all the same. So
//! that no hint falls between, who waits reads the number of the last change first, then the table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What changed in the ledger, to be told once it is committed.
#[derive(Debug, Default)]
pub(super) struct News {
    everything: bool,
    lanes: BTreeSet<String>,
    webhooks: BTreeSet<String>,
    files: bool,
}

impl News {
    /// Anything at all may be due.
    pub fn everything() -> News {
        News {
            everything: true,
            ..News::default()
        }
    }

    /// Anything at all may be due.
    pub fn of_everything(&mut self) {
        self.everything = true;
    }

    /// A lane of this target may be due.
    pub fn of_lanes(&mut self, target: &str) {
        if !self.lanes.contains(target) {
            self.lanes.insert(target.to_owned());
        }
    }

    /// A webhook of this target may be due.
    pub fn of_webhooks(&mut self, target: &str) {
        if !self.webhooks.contains(target) {
            self.webhooks.insert(target.to_owned());
        }
    }

    /// A file may be due.
    pub fn of_files(&mut self) {
        self.files = true;
    }

    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        let Self {
            everything,
            lanes,
            webhooks,
            files,
        } = self;
        !everything && lanes.is_empty() && webhooks.is_empty() && !files
    }
}

/// Tells of changes, one number after the other.
#[derive(Debug, Default)]
pub struct Changed {
    numbers: Mutex<Numbers>,
    lanes: Notify,
    webhooks: Notify,
    files: Notify,
}

#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    everything: u64,
    lanes: BTreeMap<String, u64>,
    webhooks: BTreeMap<String, u64>,
    files: u64,
}

impl Changed {
    /// The number of the last change after which a lane of this target may be due.
    #[must_use]
    pub fn lanes(&self, target: &str) -> u64 {
        let numbers = self.lock();
        let of_target = numbers.lanes.get(target).copied().unwrap_or(0);
        of_target.max(numbers.everything)
    }

    /// The number of the last change after which a webhook of this target may be due.
    #[must_use]
    pub fn webhooks(&self, target: &str) -> u64 {
        let numbers = self.lock();
        let of_target = numbers.webhooks.get(target).copied().unwrap_or(0);
        of_target.max(numbers.everything)
    }

    /// The number of the last change after which a file may be due.
    #[must_use]
    pub fn files(&self) -> u64 {
        let numbers = self.lock();
        numbers.files.max(numbers.everything)
    }

    /// Ends at the next change of any lane after this call.
    pub fn next_of_lanes(&self) -> Notified<'_> {
        self.lanes.notified()
    }

    /// Ends at the next change of any webhook after this call.
    pub fn next_of_webhooks(&self) -> Notified<'_> {
        self.webhooks.notified()
    }

    /// Ends at the next change of any file after this call.
    pub fn next_of_files(&self) -> Notified<'_> {
        self.files.notified()
    }

    /// Tells what was committed.
    pub(super) fn tell(&self, news: News) {
        let (mut lanes, mut webhooks) = (news.everything, news.everything);
        let files = news.everything || news.files;
        {
            let mut numbers = self.lock();
            numbers.last += 1;
            let last = numbers.last;
            if news.everything {
                numbers.everything = last;
            }
            for target in news.lanes {
                lanes = true;
                numbers.lanes.insert(target, last);
            }
            for target in news.webhooks {
                webhooks = true;
                numbers.webhooks.insert(target, last);
            }
            if news.files {
                numbers.files = last;
            }
        }
        if lanes {
            self.lanes.notify_waiters();
        }
        if webhooks {
            self.webhooks.notify_waiters();
        }
        if files {
            self.files.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn only_those_whom_a_change_concerns_are_told() {
        let changed = Changed::default();
        let (lanes, webhooks) = (changed.next_of_lanes(), changed.next_of_webhooks());
        let mut news = News::default();
        assert!(news.is_empty());
        news.of_lanes("hub");
        assert!(!news.is_empty());
        changed.tell(news);
        assert_eq!((changed.lanes("hub"), changed.lanes("wa")), (1, 0));
        assert_eq!(changed.webhooks("hub"), 0);
        assert!(lanes.now_or_never().is_some());
        assert!(webhooks.now_or_never().is_none());

        let (lanes, webhooks) = (changed.next_of_lanes(), changed.next_of_webhooks());
        let mut news = News::default();
        news.of_webhooks("wa");
        changed.tell(news);
        assert_eq!((changed.webhooks("wa"), changed.lanes("wa")), (2, 0));
        assert!(webhooks.now_or_never().is_some());
        assert!(lanes.now_or_never().is_none());
    }

    #[test]
    fn a_change_of_everything_concerns_all_and_is_never_older_than_what_was_told() {
        let changed = Changed::default();
        let mut news = News::default();
        news.of_lanes("hub");
        changed.tell(news);
        let (lanes, webhooks) = (changed.next_of_lanes(), changed.next_of_webhooks());
        changed.tell(News::everything());
        assert_eq!((changed.lanes("hub"), changed.lanes("new")), (2, 2));
        assert_eq!(changed.webhooks("new"), 2);
        assert!(lanes.now_or_never().is_some() && webhooks.now_or_never().is_some());
        let mut news = News::default();
        news.of_lanes("hub");
        changed.tell(news);
        assert_eq!(changed.lanes("hub"), 3);
    }
}
