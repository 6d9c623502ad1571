//! Rate budgets: token buckets per target, and within a target per conversation or customer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use handoffd_contract::{Budget, Spend};

/// Buckets of one target that are kept at the most; full ones are forgotten first, which changes
/// nothing.
const MAX_BUCKETS: usize = 50_000;

/// A token bucket that may go into debt: whoever takes from an empty one is told how long to wait.
#[derive(Debug, Clone)]
pub struct Bucket {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket of `burst` tokens that gets `refill` back per `per`.
    #[must_use]
    pub fn new(burst: u32, refill: u32, per: Duration) -> Bucket {
        Bucket {
            burst: f64::from(burst.max(1)),
            per_second: f64::from(refill.max(1)) / per.as_secs_f64().max(0.001),
            tokens: f64::from(burst.max(1)),
            at: Instant::now(),
        }
    }

    /// Takes a token and says how long to wait before using it.
    pub fn take(&mut self, now: Instant) -> Duration {
        self.settle(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.per_second)
        }
    }

    /// How long a token would have to be waited for; takes nothing.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.settle(now);
        let missing = 1.0 - self.tokens;
        if missing <= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(missing / self.per_second)
        }
    }

    fn settle(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.at = self.at.max(now);
    }

    fn full(&mut self, now: Instant) -> bool {
        self.settle(now);
        self.tokens >= self.burst
    }
}

/// The budgets of one target.
#[derive(Debug)]
pub struct Budgets {
    declared: Vec<Budget>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    buckets: HashMap<(&'static str, String), Bucket>,
    living: u32,
    /// The target said that nothing may be sent before this time.
    paused_until: Option<Instant>,
}

impl Budgets {
    /// Budgets as a connector declares them.
    #[must_use]
    pub fn new(declared: Vec<Budget>) -> Budgets {
        let state = State {
            buckets: HashMap::new(),
            living: 1,
            paused_until: None,
        };
        Budgets {
            declared,
            state: Mutex::new(state),
        }
    }

    /// How many daemons share the target: budgets that count for the whole account are divided.
    pub fn share_among(&self, living: u32) {
        let mut state = self.lock();
        let living = living.max(1);
        if state.living != living {
            state.living = living;
            let now = Instant::now();
            for ((name, _), bucket) in &mut state.buckets {
                // What was taken already stays taken.
                bucket.settle(now);
                let mut other = self.open(name, living);
                other.tokens = bucket.tokens.min(other.burst);
                *bucket = other;
            }
        }
    }

    /// The target asks for silence until then.
    pub fn pause(&self, until: Instant) {
        let mut state = self.lock();
        state.paused_until = Some(state.paused_until.map_or(until, |at| at.max(until)));
    }

    /// How long the target's pause still lasts.
    #[must_use]
    pub fn paused(&self) -> Option<Duration> {
        let until = self.lock().paused_until?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Takes what a call spends, all or nothing: `Err` holds how long to wait before asking again.
    ///
    /// # Errors
    /// One of the buckets is empty.
    pub fn take(&self, spends: &[Spend]) -> Result<(), Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let mut keys: Vec<(&'static str, String)> = vec![("api", String::new())];
        keys.extend(spends.iter().map(|spend| (spend.budget, spend.key.clone())));
        let living = state.living;
        let mut longest = state
            .paused_until
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        keys.retain(|(name, _)| self.declared.iter().any(|budget| budget.name == *name));
        for key in &keys {
            if state.buckets.len() >= MAX_BUCKETS {
                state.buckets.retain(|_, bucket| !bucket.full(now));
            }
            let bucket = state
                .buckets
                .entry(key.clone())
                .or_insert_with(|| self.open(key.0, living));
            longest = longest.max(bucket.wait(now));
        }
        if !longest.is_zero() {
            return Err(longest);
        }
        for key in &keys {
            if let Some(bucket) = state.buckets.get_mut(key) {
                bucket.take(now);
            }
        }
        Ok(())
    }

    fn open(&self, name: &str, living: u32) -> Bucket {
        match self.declared.iter().find(|budget| budget.name == name) {
            Some(budget) => {
                let share = if budget.shared { living } else { 1 };
                Bucket::new(
                    (budget.burst / share).max(1),
                    budget.refill,
                    budget.per * share,
                )
            }
            None => Bucket::new(u32::MAX, u32::MAX, Duration::from_secs(1)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets() -> Budgets {
        let budget = |name, burst, shared| Budget {
            name,
            burst,
            refill: burst,
            per: Duration::from_secs(1_000),
            shared,
        };
        Budgets::new(vec![budget("api", 4, true), budget("pair", 2, false)])
    }

    #[test]
    fn a_call_takes_from_all_its_buckets_or_from_none() {
        let budgets = budgets();
        let pair = |key: &str| {
            [Spend {
                budget: "pair",
                key: key.into(),
            }]
        };
        assert_eq!(budgets.take(&pair("a")), Ok(()));
        assert_eq!(budgets.take(&pair("a")), Ok(()));
        assert!(
            budgets.take(&pair("a")).is_err(),
            "the customer's bucket is empty"
        );
        assert_eq!(budgets.take(&pair("b")), Ok(()));
        assert_eq!(
            budgets.take(&[]),
            Ok(()),
            "the refusal took nothing from the target's bucket"
        );
        assert!(budgets.take(&[]).is_err());
    }

    #[test]
    fn daemons_share_what_counts_for_the_account() {
        let budgets = budgets();
        budgets.share_among(2);
        let taken = || (0..9).filter(|_| budgets.take(&[]).is_ok()).count();
        assert_eq!(taken(), 2);
        budgets.share_among(1);
        assert_eq!(taken(), 0, "a new share does not give back what was taken");
    }

    #[test]
    fn asking_how_long_takes_nothing() {
        let mut bucket = Bucket::new(1, 1, Duration::from_secs(10));
        let now = Instant::now();
        assert_eq!(bucket.take(now), Duration::ZERO);
        for _ in 0..100 {
            assert_eq!(bucket.wait(now), Duration::from_secs(10));
        }
        assert_eq!(bucket.wait(now + Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn a_pause_holds_everything() {
        let budgets = budgets();
        budgets.pause(Instant::now() + Duration::from_secs(60));
        assert!(
            budgets
                .take(&[])
                .is_err_and(|wait| wait > Duration::from_secs(50))
        );
    }
}
