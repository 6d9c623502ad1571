//! What the last call of a round proved and is not written yet, because the lane may be left at once:
//! then both are one transaction.
//!
//! It is written before anything else leaves or is waited for, and whatever becomes of the worker.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ledger::{Attempt, Change};

/// Attempts, and how they changed the facts.
#[derive(Default)]
pub(super) struct Proved(Mutex<(Vec<Attempt>, Vec<Change>)>);

impl Proved {
    /// Holds what a call proved.
    pub fn add(&self, attempt: Attempt, changes: Vec<Change>) {
        let mut held = self.lock();
        held.0.push(attempt);
        held.1.extend(changes);
    }

    /// Hands out all of it, to be written.
    pub fn take(&self) -> (Vec<Attempt>, Vec<Change>) {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Attempt>, Vec<Change>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
