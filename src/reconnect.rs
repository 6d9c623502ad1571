//! How long to wait before the next attempt to connect, or to store.
//!
//! The only place that knows the `backoff` crate. It is unmaintained (RUSTSEC-2025-0012), so one
//! small type stands between it and everybody else.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

use crate::config::Backoff;

/// How much each wait differs by chance, so that daemons do not come back all at once.
const JITTER: f64 = 0.2;

/// Waiting times that grow until there was a success.
#[derive(Debug)]
pub struct Reconnect(ExponentialBackoff);

impl Reconnect {
    /// The first wait is about `config.first`, none is longer than about `config.max`.
    #[must_use]
    pub fn new(config: &Backoff) -> Reconnect {
        Reconnect(
            ExponentialBackoffBuilder::new()
                .with_initial_interval(config.first)
                .with_max_interval(config.max)
                .with_multiplier(config.factor)
                .with_randomization_factor(JITTER)
                // The crate's default gives up after a quarter of an hour. A daemon never does.
                .with_max_elapsed_time(None)
                .build(),
        )
    }

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
    fn waits_grow_to_the_longest_and_never_end() {
        let config = Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_secs(2),
            factor: 2.0,
        };
        let mut waits = Reconnect::new(&config);
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
