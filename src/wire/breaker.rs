//! A circuit breaker per target.
//!
//! Failures that concern the target as a whole (unreachable, 5xx, rejected credential) count; any
//! answer that the target gave on purpose resets. When open, no lane of the target is claimed; after
//! a while one lane goes first, and its success closes the circuit.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use handoffd_contract::{Reason, Stop};

/// What says that a credential was rejected.
const CREDENTIAL: [Reason; 2] = [Reason::Unauthorized, Reason::IdentityRejected];

use crate::backoff::Backoff;

/// When it is looked again whether a target that wanted no more calls wants them.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A target's circuit.
#[derive(Debug)]
pub struct Breaker {
    /// Consecutive failures that open it.
    failures: u32,
    /// How long it stays open: longer each time.
    backoff: Backoff,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    opened: u32,
    open_until: Option<Instant>,
    /// The last failure.
    stop: Option<Stop>,
    /// The credential was rejected, and no call has succeeded since.
    rejected: Option<Stop>,
    /// It wants no more calls, until a person says otherwise.
    refuses: Option<Stop>,
}

/// What may be sent to a target now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Everything.
    Closed,
    /// One lane, to see whether it works again.
    Probe,
    /// Nothing for so long.
    Open(Duration),
}

impl Breaker {
    /// A closed circuit.
    #[must_use]
    pub fn new(failures: u32, backoff: Backoff) -> Breaker {
        Breaker {
            failures,
            backoff,
            state: Mutex::new(State::default()),
        }
    }

    /// What may be sent now.
    #[must_use]
    pub fn gate(&self) -> Gate {
        let state = self.lock();
        if state.refuses.is_some() {
            return Gate::Open(LOOK_AGAIN);
        }
        match state.open_until {
            None => Gate::Closed,
            Some(until) => match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => Gate::Probe,
                left => Gate::Open(left),
            },
        }
    }

    /// Why nothing is sent, while that is so.
    #[must_use]
    pub fn why(&self) -> Option<Stop> {
        let state = self.lock();
        let stop = state.open_until.and(state.stop.clone());
        state.refuses.clone().or(stop)
    }

    /// The target wants no more calls, or does again.
    pub fn refuse(&self, stop: Option<Stop>) {
        self.lock().refuses = stop;
    }

    /// Why the credential was rejected, from the first rejection until a call succeeds.
    #[must_use]
    pub fn rejected(&self) -> Option<Stop> {
        self.lock().rejected.clone()
    }

    /// The target did not accept the credential of something beside the lanes' work, such as a poll:
    /// it is not well, but its lanes may find that it works.
    pub fn reject(&self, stop: &Stop) {
        self.lock().rejected = Some(stop.clone());
    }

    /// The target accepted the credential of something beside the lanes' work.
    pub fn accept(&self) {
        self.lock().rejected = None;
    }

    /// The target answered as it should. Returns whether the circuit was open until now.
    pub fn success(&self) -> bool {
        let mut state = self.lock();
        let was_open = state.open_until.is_some();
        *state = State {
            refuses: state.refuses.take(),
            ..State::default()
        };
        was_open
    }

    /// The target failed as a whole. Returns for how long the circuit has now been opened, if it was
    /// this failure that opened it.
    pub fn failure(&self, stop: &Stop) -> Option<Duration> {
        let mut state = self.lock();
        state.stop = Some(stop.clone());
        if CREDENTIAL.contains(&stop.reason) {
            state.rejected = Some(stop.clone());
        }
        state.failures = state.failures.saturating_add(1);
        let probing = state
            .open_until
            .is_some_and(|until| until <= Instant::now());
        let full = state.open_until.is_none() && state.failures >= self.failures;
        if !probing && !full {
            return None;
        }
        state.opened = state.opened.saturating_add(1);
        let wait = self.backoff.after(state.opened, 0.0);
        state.open_until = Some(Instant::now() + wait);
        Some(wait)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoffd_contract::Reason;

    fn down() -> Stop {
        Stop::new(Reason::ServerError, "503")
    }

    #[test]
    fn opens_after_failures_probes_and_closes_on_success() {
        let breaker = Breaker::new(3, Backoff::new(Duration::ZERO, Duration::ZERO, 2.0));
        assert_eq!(breaker.failure(&down()), None);
        assert!(!breaker.success());
        assert_eq!(
            (breaker.failure(&down()), breaker.failure(&down())),
            (None, None),
            "a success resets the count"
        );
        assert!(breaker.failure(&down()).is_some());
        assert_eq!(breaker.gate(), Gate::Probe);
        assert_eq!(breaker.why(), Some(down()));
        assert!(breaker.success());
        assert_eq!((breaker.gate(), breaker.why()), (Gate::Closed, None));
    }

    #[test]
    fn a_rejected_credential_counts_from_the_first_time_until_a_success() {
        let breaker = Breaker::new(5, Backoff::new(Duration::ZERO, Duration::ZERO, 2.0));
        let rejected = Stop::new(Reason::Unauthorized, "401 the token is expired");
        assert_eq!(breaker.rejected(), None);
        breaker.failure(&rejected);
        assert_eq!(breaker.rejected(), Some(rejected.clone()));
        breaker.failure(&down());
        assert_eq!(
            (breaker.gate(), breaker.rejected()),
            (Gate::Closed, Some(rejected.clone())),
            "another failure proves nothing of the credential"
        );
        assert!(!breaker.success());
        assert_eq!(breaker.rejected(), None);
        breaker.reject(&rejected);
        assert_eq!(
            (breaker.gate(), breaker.rejected()),
            (Gate::Closed, Some(rejected))
        );
        breaker.accept();
        assert_eq!(breaker.rejected(), None);
    }

    #[test]
    fn stays_open_longer_each_time() {
        let breaker = Breaker::new(
            1,
            Backoff::new(Duration::from_secs(10), Duration::from_secs(15), 2.0),
        );
        assert_eq!(breaker.failure(&down()), Some(Duration::from_secs(10)));
        assert!(matches!(breaker.gate(), Gate::Open(left) if left > Duration::from_secs(8)));
        assert_eq!(
            breaker.failure(&down()),
            None,
            "failures of calls that were under way do not count again"
        );
    }
}
