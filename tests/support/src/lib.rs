//! What tests with real services share.
//!
//! `tests/run` starts the services and names them in the environment; without it these tests fail
//! and say so. Nothing here sleeps for a fixed time and hopes: [`eventually`] waits on a condition.

mod broker;
mod database;
mod gateway;

use std::env;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use broker::Broker;
pub use database::Server;
pub use gateway::{Gateway, Got, header};

/// The shared broker, as `amqp://…`.
#[must_use]
pub fn amqp_url() -> String {
    variable("HANDOFFD_TEST_AMQP")
}

/// The shared broker's TLS listener, as `amqps://…`.
#[must_use]
pub fn amqps_url() -> String {
    variable("HANDOFFD_TEST_AMQPS")
}

/// The certificate of the authority that signed the TLS listener's certificate.
#[must_use]
pub fn ca_file() -> PathBuf {
    variable("HANDOFFD_TEST_CA").into()
}

/// The database server, as `postgres://…`.
#[must_use]
pub fn postgres_url() -> String {
    variable("HANDOFFD_TEST_POSTGRES")
}

/// A name that no other test uses, in this run or another on the same services.
#[must_use]
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{next}", std::process::id())
}

/// Waits until the condition holds.
///
/// # Panics
/// It does not hold within `timeout`.
#[track_caller]
pub fn eventually<F, C>(timeout: Duration, condition: C) -> impl Future<Output = ()>
where
    F: Future<Output = bool>,
    C: FnMut() -> F,
{
    let caller = std::panic::Location::caller();
    poll(timeout, condition, caller)
}

async fn poll<F, C>(
    timeout: Duration,
    mut condition: C,
    caller: &'static std::panic::Location<'static>,
) where
    F: Future<Output = bool>,
    C: FnMut() -> F,
{
    let began = Instant::now();
    while !condition().await {
        assert!(
            began.elapsed() < timeout,
            "{caller}: not within {timeout:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}
