//! The organisation's budget of requests for customers' tokens.
//!
//! Lanes wait for their turn, in the order of asking. Feeds wait for none: after a restart the
//! streams of all idle customers want a token at once, and a new handoff must not stand behind them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::rate::Bucket;

/// A lane waits at most so long.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A feed that was refused comes again after at most so long, however many were refused before it:
/// some of them no longer want a token by then.
const LONGEST_TURN: Duration = Duration::from_secs(300);

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
    /// When the last of the refused feeds was told to ask again.
    last_turn: Option<Instant>,
}

impl TokenRateLimiter {
    /// A budget of so many requests in any minute.
    #[must_use]
    pub fn new(per_minute: u32) -> TokenRateLimiter {
        let state = State {
            bucket: bucket(per_minute, 1),
            living: 1,
            last_turn: None,
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

    /// How long a feed that was refused should wait before it asks again: its turn comes after those
    /// of all who were refused before it, at the rate at which requests come back.
    pub fn turn_for_feed(&self) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        let back = f64::from(self.per_minute.div_ceil(2)) / f64::from(state.living);
        let between = Duration::from_secs(60).div_f64(back.max(0.5));
        let soonest = now + Duration::from_millis(200);
        let turn = state.last_turn.map_or(soonest, |last| last + between);
        let turn = turn.max(soonest).saturating_duration_since(now);
        if turn > LONGEST_TURN {
            return LONGEST_TURN.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        }
        state.last_turn = Some(now + turn);
        turn
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
    async fn refused_feeds_come_back_one_after_the_other() {
        let mint = TokenRateLimiter::new(200);
        let turns: Vec<Duration> = (0..1_000).map(|_| mint.turn_for_feed()).collect();
        assert!(turns[0] <= Duration::from_secs(1), "{:?}", turns[0]);
        // 100 come back in a minute.
        let later = turns[400];
        assert!(later > Duration::from_secs(235), "{later:?}");
        assert!(later < Duration::from_secs(245), "{later:?}");
        let beyond = turns[600..].iter();
        let within = LONGEST_TURN / 2..=LONGEST_TURN;
        assert!(beyond.clone().all(|turn| within.contains(turn)));
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
