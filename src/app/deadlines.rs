//! Time is kept for conversations: nobody joins, a window is about to close, nobody says anything any
//! more.
//!
//! Every daemon does this. A deadline is met in one transaction with the state that it leaves, so that
//! several daemons meet it once, and one that dies in between leaves it to the others.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::ledger::ConversationLedger;

/// How often it is asked what is due.
const EVERY: Duration = Duration::from_secs(1);

/// So many conversations are looked at together.
const AT_ONCE: usize = 64;

/// Meets deadlines until stopped.
pub async fn run(ledger: Arc<dyn ConversationLedger>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match ledger.meet_deadlines(Timestamp::now(), AT_ONCE).await {
            Ok(AT_ONCE) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "deadlines of conversations wait for the ledger"),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}
