//! Rate budgets: token buckets per target, and within a target per conversation or customer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use handoffd_contract::{Budget, Spend};

/// Buckets of one target that are kept at the most. Then full ones are forgotten, which changes
/// nothing; while none is full, who has no bucket yet waits.
const MAX_BUCKETS: usize = 50_000;

/// The budget that every call draws on.
const API: &str = "api";

/// The part of the target's bucket that polls leave alone.
const LEFT_TO_LANES: f64 = 0.5;

/// How long the first in line leaves the lower half to lanes.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// Timers are no finer.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// Full buckets are looked for at most so often, since that passes over all of them.
const SWEEP: Duration = Duration::from_secs(1);

/// A token bucket that may go into debt: whoever takes from an empty one is told how long to wait.
#[derive(Debug, Clone)]
pub struct Bucket {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
    /// What was taken, where each comes back by itself instead of all together at a rate.
    window: Option<Window>,
}

/// When each was taken that is not given back yet, the oldest first.
#[derive(Debug, Clone)]
struct Window {
    per: Duration,
    taken: VecDeque<Instant>,
}

impl Window {
    fn give_back(&mut self, now: Instant) {
        while self.taken.front().is_some_and(|at| *at + self.per <= now) {
            self.taken.pop_front();
        }
    }

    /// How long until so many of `burst` are free.
    fn wait(&self, burst: usize, wanted: usize, now: Instant) -> Duration {
        let back = (self.taken.len() + wanted).saturating_sub(burst);
        match back.checked_sub(1).and_then(|last| self.taken.get(last)) {
            Some(at) => (*at + self.per).saturating_duration_since(now),
            None => Duration::ZERO,
        }
    }
}

impl Bucket {
    /// A bucket that is full now, of `burst` tokens, and gets `refill` back per `per`; with a `refill` of
    /// 0 each comes back `per` after it was taken.
    #[must_use]
    pub fn new(burst: u32, refill: u32, per: Duration, now: Instant) -> Bucket {
        Bucket {
            burst: f64::from(burst.max(1)),
            per_second: f64::from(refill.max(1)) / per.as_secs_f64().max(0.001),
            tokens: f64::from(burst.max(1)),
            at: now,
            window: (refill == 0).then(|| Window {
                per,
                taken: VecDeque::new(),
            }),
        }
    }

    /// Takes a token and says how long to wait before using it.
    pub fn take(&mut self, now: Instant) -> Duration {
        self.refill(now);
        let burst = self.burst as usize;
        if let Some(window) = &mut self.window {
            let wait = window.wait(burst, 1, now);
            window.taken.push_back(now + wait);
            return wait;
        }
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.per_second)
        }
    }

    /// How long a token would have to be waited for; takes nothing.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.wait_for_part(now, 0.0)
    }

    /// How long until the bucket holds a token and is filled to this part of it: for who leaves the
    /// rest to others. Takes nothing.
    pub fn wait_for_part(&mut self, now: Instant, part: f64) -> Duration {
        self.refill(now);
        if let Some(window) = &self.window {
            let wanted = (self.burst * part).max(1.0) as usize;
            return window.wait(self.burst as usize, wanted, now);
        }
        let missing = (self.burst * part).max(1.0) - self.tokens;
        if missing <= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(missing / self.per_second)
        }
    }

    /// Becomes another bucket; what was taken already stays taken.
    pub fn reconfigure(&mut self, mut other: Bucket, now: Instant) {
        self.refill(now);
        other.tokens = self.tokens.min(other.burst);
        if let (Some(new), Some(old)) = (&mut other.window, self.window.take()) {
            new.taken = old.taken;
        }
        *self = other;
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.at = self.at.max(now);
        if let Some(window) = &mut self.window {
            window.give_back(now);
        }
    }

    /// What was taken and has not come back.
    fn used(&mut self, now: Instant) -> u32 {
        self.refill(now);
        match &self.window {
            Some(window) => u32::try_from(window.taken.len()).unwrap_or(u32::MAX),
            None => (self.burst - self.tokens).max(0.0).round() as u32,
        }
    }

    fn full(&mut self, now: Instant) -> bool {
        self.refill(now);
        match &self.window {
            Some(window) => window.taken.is_empty(),
            None => self.tokens >= self.burst,
        }
    }
}

/// The budgets of one target.
#[derive(Debug)]
pub struct Budgets {
    declared: Vec<Budget>,
    state: Mutex<State>,
    /// Whose turn it is among the reads that wait for the target's bucket, in the order of asking.
    turn: tokio::sync::Mutex<()>,
}

/// How much of a rate is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Calls that are not given back yet.
    pub used: u32,
    /// Calls that may come at once, by this daemon.
    pub of: u32,
    /// In which time they are given back.
    pub per: Duration,
}

/// How long to wait for what lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Shortfall {
    /// For the target's own bucket.
    target: Duration,
    /// For the call's other buckets, or for the end of a pause.
    other: Duration,
}

#[derive(Debug)]
struct State {
    buckets: HashMap<(&'static str, String), Bucket>,
    living: u32,
    /// When full buckets were last looked for.
    swept_at: Option<Instant>,
    /// The target said that nothing may be sent before this time.
    paused_until: Option<Instant>,
}

impl State {
    /// Makes room for a bucket, or says when to ask again.
    fn make_room(&mut self, now: Instant) -> Result<(), Duration> {
        if self.buckets.len() < MAX_BUCKETS {
            return Ok(());
        }
        let since = self.swept_at.map(|at| now.saturating_duration_since(at));
        if let Some(left) = since.and_then(|since| SWEEP.checked_sub(since))
            && !left.is_zero()
        {
            return Err(left);
        }
        self.swept_at = Some(now);
        self.buckets.retain(|_, bucket| !bucket.full(now));
        if self.buckets.len() < MAX_BUCKETS {
            Ok(())
        } else {
            Err(SWEEP)
        }
    }
}

impl Budgets {
    /// Budgets as a connector declares them.
    #[must_use]
    pub fn new(declared: Vec<Budget>) -> Budgets {
        let state = State {
            buckets: HashMap::new(),
            living: 1,
            swept_at: None,
            paused_until: None,
        };
        Budgets {
            declared,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
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
                bucket.reconfigure(self.open(name, living, now), now);
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
        self.take_at(spends, Instant::now())
    }

    fn take_at(&self, spends: &[Spend], now: Instant) -> Result<(), Duration> {
        self.take_above(spends, 0.0, now)
            .map_err(|lack| lack.target.max(lack.other))
    }

    /// Takes what a read spends that comes again and again, such as a poll, as soon as its turn
    /// comes: whoever asked first is first, so that none is passed over for ever when there are more
    /// of them than the target allows. The lower half of the target's bucket is the lanes'; but who is
    /// first in line for long takes what there is, so that polls go on when lanes need everything.
    pub async fn take_in_turn(&self, spends: &[Spend]) {
        loop {
            let turn = self.turn.lock().await;
            let first_since = Instant::now();
            let other = loop {
                let patient = first_since.elapsed() < LONGEST_TURN;
                let part = if patient { LEFT_TO_LANES } else { 0.0 };
                match self.take_above(spends, part, Instant::now()) {
                    Ok(()) => return,
                    // Nobody stands in line behind what only this read has to wait for.
                    Err(lack) if !lack.other.is_zero() => break lack.other,
                    Err(lack) => {
                        let wait = lack.target.clamp(SHORTEST_WAIT, LONGEST_TURN);
                        tokio::time::sleep(wait).await;
                    }
                }
            };
            drop(turn);
            tokio::time::sleep(other.max(SHORTEST_WAIT)).await;
        }
    }

    /// Takes when every bucket has a token, and the target's is filled to this part.
    fn take_above(&self, spends: &[Spend], part: f64, now: Instant) -> Result<(), Shortfall> {
        let mut state = self.lock();
        let mut keys: Vec<(&'static str, String)> = vec![(API, String::new())];
        keys.extend(spends.iter().map(|spend| (spend.budget, spend.key.clone())));
        let living = state.living;
        let mut lack = Shortfall {
            target: Duration::ZERO,
            other: state
                .paused_until
                .map_or(Duration::ZERO, |at| at.saturating_duration_since(now)),
        };
        keys.retain(|(name, _)| self.declared.iter().any(|budget| budget.name == *name));
        for key in &keys {
            if !state.buckets.contains_key(key) {
                state.make_room(now).map_err(|wait| Shortfall {
                    target: Duration::ZERO,
                    other: wait,
                })?;
            }
            let bucket = state
                .buckets
                .entry(key.clone())
                .or_insert_with(|| self.open(key.0, living, now));
            if key.0 == API {
                lack.target = bucket.wait_for_part(now, part);
            } else {
                lack.other = lack.other.max(bucket.wait(now));
            }
        }
        if lack != Shortfall::default() {
            return Err(lack);
        }
        for key in &keys {
            if let Some(bucket) = state.buckets.get_mut(key) {
                bucket.take(now);
            }
        }
        Ok(())
    }

    /// How much of the target's own rate is in use now; `None` where it has none.
    #[must_use]
    pub fn in_use(&self) -> Option<InUse> {
        let budget = self.declared.iter().find(|budget| budget.name == API)?;
        let now = Instant::now();
        let mut state = self.lock();
        let share = if budget.shared { state.living } else { 1 };
        let of = (budget.burst / share).max(1);
        let key = (API, String::new());
        let used = state
            .buckets
            .get_mut(&key)
            .map_or(0, |bucket| bucket.used(now));
        Some(InUse {
            used: used.min(of),
            of,
            per: budget.per,
        })
    }

    fn open(&self, name: &str, living: u32, now: Instant) -> Bucket {
        match self.declared.iter().find(|budget| budget.name == name) {
            Some(budget) => {
                let share = if budget.shared { living } else { 1 };
                Bucket::new(
                    (budget.burst / share).max(1),
                    budget.refill,
                    budget.per * share,
                    now,
                )
            }
            None => Bucket::new(u32::MAX, u32::MAX, Duration::from_secs(1), now),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

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
    fn a_window_gives_each_back_by_itself_and_never_more_than_its_burst() {
        let minute = Duration::from_secs(60);
        let begin = Instant::now();
        let mut window = Bucket::new(3, 0, minute, begin);
        let at = |seconds| begin + Duration::from_secs(seconds);
        for second in [0, 10, 20] {
            assert_eq!(window.take(at(second)), Duration::ZERO);
        }
        assert_eq!(window.wait(at(30)), Duration::from_secs(30));
        assert_eq!(window.take(at(60)), Duration::ZERO, "the first is back");
        assert_eq!(window.wait(at(60)), Duration::from_secs(10));
        assert!(!window.full(at(119)) && window.full(at(120)));
        // Over a long time the whole rate is there.
        let mut taken = 0;
        for second in 200..800 {
            if window.wait(at(second)).is_zero() {
                window.take(at(second));
                taken += 1;
            }
        }
        assert_eq!(taken, 30);
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
    fn customers_without_number_cost_neither_memory_nor_time() {
        let pair = Budget {
            name: "pair",
            burst: 2,
            refill: 2,
            per: Duration::from_secs(10),
            shared: false,
        };
        let budgets = Budgets::new(vec![pair]);
        let spend = |n: usize| {
            [Spend {
                budget: "pair",
                key: n.to_string(),
            }]
        };
        let now = Instant::now();
        for n in 0..MAX_BUCKETS {
            assert_eq!(budgets.take_at(&spend(n), now), Ok(()));
        }
        let after = |millis| now + Duration::from_millis(millis);
        assert_eq!(budgets.take_at(&spend(MAX_BUCKETS), now), Err(SWEEP));
        for n in 1..1_000 {
            let wait = budgets.take_at(&spend(MAX_BUCKETS + n), after(400));
            assert_eq!(wait, Err(Duration::from_millis(600)));
        }
        assert_eq!(
            budgets.lock().swept_at,
            Some(now),
            "looked through once, not for each"
        );
        assert_eq!(budgets.lock().buckets.len(), MAX_BUCKETS);
        assert_eq!(
            budgets.take_at(&spend(7), after(400)),
            Ok(()),
            "who has a bucket goes on"
        );
        assert_eq!(budgets.take_at(&spend(MAX_BUCKETS), after(6_000)), Ok(()));
        assert_eq!(
            budgets.lock().buckets.len(),
            2,
            "only the newcomer's and the one in use are left"
        );
    }

    #[test]
    fn asking_how_long_takes_nothing() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1, 1, Duration::from_secs(10), now);
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

    fn of_polls() -> Budgets {
        let budget = |name, burst, per| Budget {
            name,
            burst,
            refill: burst,
            per: Duration::from_secs(per),
            shared: false,
        };
        Budgets::new(vec![budget("api", 8, 1), budget("list", 1, 1_000)])
    }

    fn target_tokens(budgets: &Budgets, set: Option<f64>) -> f64 {
        let mut state = budgets.lock();
        let key = (API, String::new());
        let bucket = state.buckets.get_mut(&key).unwrap();
        bucket.refill(Instant::now());
        bucket.tokens = set.unwrap_or(bucket.tokens);
        bucket.tokens
    }

    #[tokio::test]
    async fn polls_leave_half_to_lanes() {
        let budgets = of_polls();
        while budgets.take_in_turn(&[]).now_or_never().is_some() {}
        assert!((3.0..4.0).contains(&target_tokens(&budgets, None)));
        assert_eq!(budgets.take(&[]), Ok(()), "a lane need not wait");
    }

    #[tokio::test]
    async fn polls_go_in_the_order_of_asking() {
        let budgets = of_polls();
        while budgets.take_in_turn(&[]).now_or_never().is_some() {}
        let mut first = Box::pin(budgets.take_in_turn(&[]));
        assert!(futures::poll!(&mut first).is_pending());
        // A token comes back, and with it somebody who had not waited.
        target_tokens(&budgets, Some(4.0));
        assert!(budgets.take_in_turn(&[]).now_or_never().is_none());
        first.await;
    }

    #[tokio::test]
    async fn a_poll_goes_on_when_lanes_need_everything() {
        let budgets = of_polls();
        while budgets.take(&[]).is_ok() {}
        let mut first = Box::pin(budgets.take_in_turn(&[]));
        // Lanes keep the bucket below half of it.
        while futures::poll!(&mut first).is_pending() {
            target_tokens(&budgets, Some(1.5));
            tokio::task::yield_now().await;
        }
        assert!(target_tokens(&budgets, None) < 1.5);
    }

    #[tokio::test]
    async fn a_poll_that_waits_for_itself_stands_in_nobodys_way() {
        let budgets = of_polls();
        let list = [Spend {
            budget: "list",
            key: "a".into(),
        }];
        budgets.take_in_turn(&list).await;
        let mut stuck = Box::pin(budgets.take_in_turn(&list));
        assert!(futures::poll!(&mut stuck).is_pending());
        assert!(budgets.take_in_turn(&[]).now_or_never().is_some());
    }
}
