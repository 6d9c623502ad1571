//! How certain it is that a lane is still ours.
//!
//! The ledger refuses what a stale worker writes, but it cannot call a call back. A process that
//! stood still, with its machine or by a signal, may wake up in front of a call that another daemon
//! has made since; so every call asks first.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::Engine;
use crate::ledger::{Lease, LedgerError};

/// A lease, and until when it lasts for certain.
pub struct LeaseGuard<'a> {
    engine: &'a Engine,
    lease: &'a Lease,
    /// Milliseconds since 1970.
    until: AtomicI64,
}

impl<'a> LeaseGuard<'a> {
    /// A lease that was given until then.
    #[must_use]
    pub fn new(engine: &'a Engine, lease: &'a Lease, until: Timestamp) -> LeaseGuard<'a> {
        LeaseGuard {
            engine,
            lease,
            until: AtomicI64::new(until.as_millisecond()),
        }
    }

    /// Makes the lease last for its whole time again.
    ///
    /// # Errors
    /// [`LedgerError::Stale`] when somebody else has the lane.
    pub async fn renew(&self) -> Result<(), LedgerError> {
        let until = Timestamp::now() + self.lasts();
        self.engine.ledger.renew(self.lease, until).await?;
        self.until.store(until.as_millisecond(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether a call may leave now. A lease that should have been renewed long ago is renewed
    /// first.
    pub async fn still_held(&self) -> bool {
        let left = self.until.load(Ordering::Relaxed) - Timestamp::now().as_millisecond();
        i128::from(left) > self.lasts().as_millis() / 4 || self.renew().await.is_ok()
    }

    fn lasts(&self) -> SignedDuration {
        SignedDuration::try_from(self.engine.settings.lease)
            .unwrap_or(SignedDuration::from_secs(30))
    }
}
