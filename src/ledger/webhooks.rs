//! The webhook queue: webhooks as they came, until they are taken.

use async_trait::async_trait;
use handoffd_contract::Stop;
use jiff::Timestamp;

use super::{Changes, Result};

/// A webhook as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its number.
    pub id: i64,
    /// The target.
    pub target: String,
    /// Headers without those that authenticate, as JSON text.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
    /// Failures until now.
    pub attempts: u32,
    /// The lease's epoch.
    pub epoch: i64,
}

/// The ledger as webhooks see it. Every method is one transaction.
#[async_trait]
pub trait WebhookLedger: Changes {
    /// Keeps a webhook as it came; the same target and body within a day is kept once. Returns
    /// whether it was new.
    async fn keep_webhook(
        &self,
        now: Timestamp,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<bool>;

    /// Claims a target's webhooks that are due, oldest first.
    async fn claim_webhooks(
        &self,
        now: Timestamp,
        daemon: &str,
        target: &str,
        limit: usize,
        until: Timestamp,
    ) -> Result<Vec<WebhookRow>>;

    /// Puts a webhook off, or parks it when `at` is `None`.
    async fn postpone_webhook(
        &self,
        row: &WebhookRow,
        at: Option<Timestamp>,
        stop: Stop,
    ) -> Result<()>;

    /// Parked webhooks: (number, target, received at, why).
    async fn parked_webhooks(&self, limit: usize) -> Result<Vec<(i64, String, Timestamp, Stop)>>;

    /// Makes parked webhooks due again, or drops them; `None` means all. Returns how many. What was
    /// dropped is still recognised when it comes again within the day.
    async fn settle_webhooks(&self, now: Timestamp, id: Option<i64>, retry: bool) -> Result<u64>;
}
