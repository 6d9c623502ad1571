//! One configured connector, with everything that acting for it takes.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use arc_swap::ArcSwapOption;
use handoffd_contract::{Connector, Schema};
use tokio::sync::Semaphore;

use crate::wire::Wire;
use crate::wire::breaker::Breaker;
use crate::wire::rate::Budgets;

/// One configured connector with everything that engine and relay need to act for it.
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its kind, such as `hubspot`.
    pub kind: &'static str,
    /// What decides.
    pub connector: Arc<dyn Connector>,
    /// The way to it.
    pub wire: Arc<Wire>,
    /// How many of its lanes may be worked on at once.
    pub permits: Arc<Semaphore>,
    /// How many that is.
    pub concurrency: usize,
    /// When it was last heard, in seconds since 1970; 0 when not since the daemon began.
    pub last_heard: AtomicI64,
    /// Its circuit.
    pub breaker: Breaker,
    /// Its rates.
    pub budgets: Budgets,
    /// What its records can hold, as last read, and by what that is told from another reading.
    pub schema: ArcSwapOption<(String, Schema)>,
}
