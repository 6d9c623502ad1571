//! How long to wait before something is tried again: one rule for lanes, circuits, listeners and
//! connections.
//!
//! A lane's waits are stored with it, so they are computed from how often it failed
//! ([`Backoff::after`]). A loop in this process that connects or stores counts for itself
//! ([`Backoff::waits`]). The latter is the only place that knows the `backoff` crate: it is
//! unmaintained (RUSTSEC-2025-0012), so one small type stands between it and everybody else.

use std::time::Duration;

use ::backoff::backoff::Backoff as _;
use ::backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// How much each wait of a loop differs by chance, so that daemons do not come back all at once.
const JITTER: f64 = 0.2;

/// What the other side may ask for at the most.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// Waiting times that grow and never shrink.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    factor: f64,
}

impl Backoff {
    /// The first wait, the longest one, and how much longer each is than the one before. What would
    /// make waits shrink is not taken: the longest is at least the first, the factor at least 1.
    #[must_use]
    pub fn new(first: Duration, max: Duration, factor: f64) -> Backoff {
        Backoff {
            first,
            max: max.max(first),
            factor: if factor >= 1.0 { factor } else { 1.0 },
        }
    }

    /// The wait after `failures` consecutive failures; `jitter` from 0 to 1 takes up to half of it
    /// away, so that lanes that failed together do not come back together.
    #[must_use]
    pub fn after(&self, failures: u32, jitter: f64) -> Duration {
        let exponent = f64::from(failures.saturating_sub(1).min(64));
        let seconds = self.first.as_secs_f64() * self.factor.powf(exponent);
        let whole = seconds.min(self.max.as_secs_f64());
        Duration::from_secs_f64(whole * (1.0 - jitter.clamp(0.0, 1.0) / 2.0))
    }

    /// The waits of a loop that goes on until it succeeds.
    #[must_use]
    pub fn waits(&self) -> Waits {
        Waits(
            ExponentialBackoffBuilder::new()
                .with_initial_interval(self.first)
                .with_max_interval(self.max)
                .with_multiplier(self.factor)
                .with_randomization_factor(JITTER)
                // The crate's default gives up after a quarter of an hour. A daemon never does.
                .with_max_elapsed_time(None)
                .build(),
        )
    }
}

/// The wait when the other side named one: at least that long, and not longer than a day.
#[must_use]
pub fn asked(asked: Duration, jitter: f64) -> Duration {
    let asked = asked.min(LONGEST_ASKED);
    asked + Duration::from_secs_f64((asked.as_secs_f64() * 0.1).min(2.0) * jitter.clamp(0.0, 1.0))
}

/// Waiting times that grow until there was a success.
#[derive(Debug)]
pub struct Waits(ExponentialBackoff);

impl Waits {
    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }

    /// After a success the next wait is the first again.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_stay_there() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 2.0);
        let waits: Vec<u64> = (1..=8).map(|n| backoff.after(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.after(u32::MAX, 1.0), Duration::from_secs(30));
        assert_eq!(
            asked(Duration::from_secs(u64::MAX), 0.0),
            LONGEST_ASKED,
            "nobody makes us wait longer than a day"
        );
    }

    #[test]
    fn waits_never_shrink() {
        for factor in [0.0, 0.5, -3.0, f64::NAN] {
            let backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(1), factor);
            let waits: Vec<u64> = (1..=4).map(|n| backoff.after(n, 0.0).as_secs()).collect();
            assert_eq!(waits, [5, 5, 5, 5], "{factor}");
        }
    }

    #[test]
    fn a_loop_waits_longer_each_time_and_never_gives_up() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), 2.0);
        let mut waits = backoff.waits();
        let near = |wait: Duration, millis: f64| {
            let found = wait.as_secs_f64() * 1_000.0;
            assert!(
                (found / millis - 1.0).abs() <= JITTER + 0.01,
                "{found} is not near {millis}"
            );
        };
        for millis in [100.0, 200.0, 400.0, 800.0, 1_600.0, 2_000.0] {
            near(waits.wait(), millis);
        }
        for _ in 0..10_000 {
            near(waits.wait(), 2_000.0);
        }
        waits.reset();
        near(waits.wait(), 100.0);
    }
}
