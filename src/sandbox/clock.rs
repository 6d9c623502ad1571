//! The simulators' clock, which can be set ahead: for 24-hour windows and expired tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A clock; its copies share their offset.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn real() -> Clock {
        Clock::new(Timestamp::now)
    }

    /// A clock of one's own.
    #[must_use]
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock {
            now: Arc::new(now),
            offset_ms: Arc::default(),
        }
    }

    /// The time, with the offset.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = (self.now)();
        now.checked_add(SignedDuration::from_millis(self.offset_ms()))
            .unwrap_or(now)
    }

    /// How far the simulators' time is ahead, in milliseconds.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Sets how far the simulators' time is ahead, in milliseconds; less than 0 for behind.
    pub fn set_offset_ms(&self, ms: i64) {
        self.offset_ms.store(ms, Ordering::Relaxed);
    }
}
