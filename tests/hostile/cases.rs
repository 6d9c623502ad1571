//! Runs a property over many cases, each within a time.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// The longest that one case may take: far more than any needs, even unoptimised and on a machine
/// that is busy with other tests.
pub const SLOW: Duration = Duration::from_secs(5);

/// Checks the property over so many cases.
#[track_caller]
pub fn check<S>(cases: u32, strategy: &S, property: impl Fn(S::Value))
where
    S: Strategy,
    S::Value: Debug + Clone,
{
    let more: Option<u32> = std::env::var("HANDOFFD_HOSTILE")
        .ok()
        .and_then(|times| times.parse().ok());
    let config = Config {
        cases: cases.saturating_mul(more.unwrap_or(1)),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let mut runner = match more {
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        Some(_) => TestRunner::new(config),
    };
    let outcome = runner.run(strategy, |case| {
        let began = Instant::now();
        property(case);
        let took = began.elapsed();
        if took > SLOW {
            return Err(TestCaseError::fail(format!("it took {took:?}")));
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
