//! What happened is counted, so that pages need not.
//!
//! Every daemon does this. Each thing is counted by one of them, and one that dies leaves the rest to the others.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::ledger::ViewLedger;

/// How often it is counted.
const EVERY: Duration = Duration::from_secs(5);

/// Counts until stopped.
pub async fn run(ledger: Arc<dyn ViewLedger>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match ledger.count_figures(Timestamp::now()).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the figures wait for the ledger"),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}
