//! Storing a group, however long that takes.
//!
//! A ledger that fails is waited for: nothing is acknowledged, and order is kept. An event that the
//! ledger refuses again and again, although it works otherwise, would be waited for in vain and
//! hold up every other session; it is parked.

use handoffd_contract::{Reason, Stop};
use tokio_util::sync::CancellationToken;

use super::{Gate, Incoming, Verdict};
use crate::backoff::Waits;
use crate::ledger::LedgerError;

/// After so many failures in a row, with a ledger that answers otherwise, the group is suspect.
const SUSPECT: u32 = 3;

/// What became of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// All of it is in the ledger, as events or as dead letters.
    All,
    /// We were told to stop before it was.
    Stopped,
}

/// Stores what came in, in order; `judged` holds what it is. `trouble` is told what is wrong while it
/// waits.
pub(super) async fn store(
    gate: &Gate,
    group: &[Incoming],
    judged: Vec<Verdict>,
    waits: &mut Waits,
    stop: &CancellationToken,
    trouble: &(dyn Fn(&str) + Sync),
) -> Stored {
    let mut refused = 0;
    let mut judged = Some(judged);
    loop {
        let again = || gate.judge_all(group);
        let now = judged.take().unwrap_or_else(again);
        let error = match gate.take_judged(group, now).await {
            Ok(_) => {
                waits.reset();
                return Stored::All;
            }
            Err(error) => error,
        };
        // A full disk, or a ledger that does not answer, is no event's fault.
        let answers = !matches!(error, LedgerError::Full(_)) && gate.ledger.ping().await.is_ok();
        refused = if answers { refused + 1 } else { 0 };
        if refused >= SUSPECT {
            match group {
                [one] => {
                    tracing::error!(%error, "the ledger refuses an event, which is parked");
                    if gate.park(one, refusal()).await.is_ok() {
                        return Stored::All;
                    }
                }
                group => {
                    for one in group {
                        let one = std::slice::from_ref(one);
                        let judged = gate.judge_all(one);
                        let stored = Box::pin(store(gate, one, judged, waits, stop, trouble));
                        if stored.await == Stored::Stopped {
                            return Stored::Stopped;
                        }
                    }
                    return Stored::All;
                }
            }
        }
        let wait = waits.wait();
        tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "events wait for the ledger");
        trouble(&format!("events wait for the ledger: {error}"));
        tokio::select! {
            () = stop.cancelled() => return Stored::Stopped,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn refusal() -> Stop {
    Stop::new(
        Reason::Bug,
        "the ledger refuses this event although it takes others; the log has the ledger's words",
    )
}
