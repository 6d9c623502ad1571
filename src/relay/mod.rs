//! The way back: what reps do in a CRM, and what WhatsApp says of our messages.
//!
//! Streams and polls ([`feeds`]) and webhooks ([`webhooks`], then [`webhook_queue`]) all end in
//! [`hearing`]: the connector says what a frame means, and the ledger takes it as events of the
//! session. Nothing is sent from here; a reply is an event for the session's WhatsApp lane.

mod addressee;
mod clean;
pub mod feeds;
pub mod hearing;
mod inbound;
mod reading;
pub mod webhook_queue;
pub mod webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::ledger::{FeedLedger, WebhookLedger};
use crate::target::Target;

/// What the relay works with.
#[derive(Clone)]
pub struct Relay {
    /// What is remembered.
    pub ledger: Arc<dyn FeedLedger>,
    /// The webhook queue.
    pub webhooks: Arc<dyn WebhookLedger>,
    /// The targets, by name.
    pub targets: BTreeMap<String, Arc<Target>>,
    /// This daemon's name.
    pub daemon: String,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How feeds and webhooks come back after failures.
    pub backoff: Backoff,
}
