//! Something that is said at most once a minute, however often there is cause: what strangers can
//! cause must not fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long it stays silent.
const SILENCE: Duration = Duration::from_secs(60);

/// When it was last said, and how often there was cause since.
#[derive(Debug)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Never said yet.
    #[must_use]
    pub const fn new() -> Seldom {
        Seldom(Mutex::new((None, 0)))
    }

    /// There is cause: whether to say it now, and then how often it was passed over since the last
    /// time.
    pub fn now(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, passed) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < SILENCE) {
            *passed += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(passed))
    }
}

impl Default for Seldom {
    fn default() -> Seldom {
        Seldom::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute_with_how_often_it_was_not() {
        let seldom = Seldom::new();
        let start = Instant::now();
        assert_eq!(seldom.at(start), Some(0));
        for n in 0..59 {
            assert_eq!(seldom.at(start + Duration::from_secs(n)), None);
        }
        assert_eq!(seldom.at(start + SILENCE), Some(59));
        assert_eq!(seldom.at(start + SILENCE), None);
    }
}
