//! The organisation's budget of requests for customers' tokens.
//!
//! Lanes wait for their turn, in the order of asking. Feeds wait for none: after a restart the
//! streams of all idle customers want a token at once, and a new handoff must not stand behind them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::rate::Bucket;

/// A lane waits at most so long.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The part of the bucket that feeds leave alone: enough for some new handoffs at once, and what
/// comes back beyond it is the feeds' while no lane asks.
const LEFT_TO_LANES: f64 = 0.25;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A lane, or a person: it waits for its turn.
    Lane,
    /// A feed: it takes what lanes leave, or comes again later.
    Feed,
}

/// Nobody may ask for a token now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateExhausted;

/// How many tokens may be asked for.
#[derive(Debug)]
pub struct TokenRateLimiter {
    per_minute: u32,
    state: Mutex<State>,
    /// Whose turn it is among the lanes.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    living: u32,
}

impl TokenRateLimiter {
    /// A budget of so many requests in any minute.
    #[must_use]
    pub fn new(per_minute: u32) -> TokenRateLimiter {
        let state = State {
            bucket: bucket(per_minute, 1),
            living: 1,
        };
        TokenRateLimiter {
            per_minute,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// How many daemons share it.
    pub fn share_among(&self, living: u32) {
        let mut state = self.lock();
        let living = living.max(1);
        if state.living != living {
            state.living = living;
            let other = bucket(self.per_minute, living);
            state.bucket.reconfigure(other, Instant::now());
        }
    }

    /// Takes one request. Whoever is refused, or leaves while it waits, has taken nothing: else
    /// those who give up would use up the minute.
    ///
    /// # Errors
    /// They are used up for now.
    pub async fn take(&self, asker: Priority) -> Result<(), RateExhausted> {
        match asker {
            Priority::Feed => match self.try_take(LEFT_TO_LANES) {
                Ok(()) => Ok(()),
                Err(_) => Err(RateExhausted),
            },
            Priority::Lane => tokio::time::timeout(LONGEST_WAIT, self.wait())
                .await
                .map_err(|_| RateExhausted),
        }
    }

    async fn wait(&self) {
        let _turn = self.turn.lock().await;
        while let Err(wait) = self.try_take(0.0) {
            tokio::time::sleep(wait).await;
        }
    }

    fn try_take(&self, part: f64) -> Result<(), Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let wait = state.bucket.wait_for_part(now, part);
        if !wait.is_zero() {
            return Err(wait);
        }
        state.bucket.take(now);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Half may come at once and half comes back within the minute, so that no minute has more.
fn bucket(per_minute: u32, living: u32) -> Bucket {
    let half = per_minute.div_ceil(2);
    Bucket::new(half / living, half, Duration::from_secs(60) * living)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// How many tokens are there at once.
    fn at_once(mint: &TokenRateLimiter, asker: Priority) -> usize {
        let take = || mint.take(asker).now_or_never();
        std::iter::from_fn(|| take()?.ok()).count()
    }

    #[tokio::test]
    async fn feeds_leave_a_quarter_to_lanes() {
        let mint = TokenRateLimiter::new(160);
        assert_eq!(at_once(&mint, Priority::Feed), 61);
        assert_eq!(
            mint.take(Priority::Feed).await,
            Err(RateExhausted),
            "at once"
        );
        assert_eq!(at_once(&mint, Priority::Lane), 19);
        let tiny = TokenRateLimiter::new(1);
        assert_eq!(at_once(&tiny, Priority::Feed), 1, "never nothing at all");
    }

    #[tokio::test]
    async fn living_daemons_share() {
        let mint = TokenRateLimiter::new(160);
        mint.share_among(4);
        assert_eq!(at_once(&mint, Priority::Lane), 20);
        mint.share_among(1);
        assert_eq!(at_once(&mint, Priority::Lane), 0, "what was taken is taken");
    }

    #[tokio::test]
    async fn who_gives_up_has_taken_nothing() {
        let mint = TokenRateLimiter::new(2);
        assert_eq!(mint.take(Priority::Lane).await, Ok(()));
        for _ in 0..100 {
            assert_eq!(mint.take(Priority::Lane).now_or_never(), None);
        }
        let wait = mint.try_take(0.0).err();
        assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(60)));
    }
}
