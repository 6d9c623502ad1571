//! When a lane that failed goes on: retry as data.

use std::time::Duration;

/// Exponential backoff with jitter, resumable after any number of failures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// How much longer each wait is than the one before.
    pub factor: f64,
}

/// What a target may ask for at the most.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

impl Schedule {
    /// The wait after `failures` consecutive failures; `jitter` from 0 to 1 takes up to half of it
    /// away, so that lanes that failed together do not come back together.
    #[must_use]
    pub fn after(&self, failures: u32, jitter: f64) -> Duration {
        let exponent = f64::from(failures.saturating_sub(1).min(64));
        let seconds = self.first.as_secs_f64() * self.factor.max(1.0).powf(exponent);
        let whole = seconds.min(self.max.as_secs_f64());
        Duration::from_secs_f64(whole * (1.0 - jitter.clamp(0.0, 1.0) / 2.0))
    }

    /// The wait when the target named one: at least that long, and not longer than a day.
    #[must_use]
    pub fn asked(asked: Duration, jitter: f64) -> Duration {
        let asked = asked.min(LONGEST_ASKED);
        asked
            + Duration::from_secs_f64((asked.as_secs_f64() * 0.1).min(2.0) * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_stay_there() {
        let schedule = Schedule {
            first: Duration::from_secs(1),
            max: Duration::from_secs(60),
            factor: 2.0,
        };
        let waits: Vec<u64> = (1..=8).map(|n| schedule.after(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(schedule.after(u32::MAX, 1.0), Duration::from_secs(30));
        assert_eq!(
            Schedule::asked(Duration::from_secs(u64::MAX), 0.0),
            LONGEST_ASKED
        );
    }
}
