//! Events come in: decoded, routed, stored, and only then acknowledged.
//!
//! ```text
//! RabbitMQ ─► amqp ─┐                         ┌─► ledger.admit ─► acknowledge
//!                   ├─► Gate: decode ─► route ┤
//! HTTP ─────► http ─┘                         └─► ledger.poison (what cannot be understood)
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`incoming`] | bytes and headers as they came, and as poison |
//! | [`decode`] | CloudEvents, structured, binary and batch |
//! | `payload`, `who`, `shape` | what each field must look like, and how an error is told |
//! | [`route`] | which targets an event is for |
//! | [`http`] | `POST /v1/events` |

pub mod decode;
pub mod http;
pub mod incoming;
mod payload;
pub mod route;
mod shape;
mod who;

use std::sync::Arc;

use handoffd_contract::Stop;
use jiff::Timestamp;

pub use self::decode::{decode, unbatch};
pub use self::incoming::{Incoming, Origin};
pub use self::route::{Route, Router};
use crate::config::Limits;
use crate::ledger::{Admission, Admitted, Ledger};

/// How many events came in. Labels: `origin` (`amqp`, `http`) and `outcome` (`admitted`,
/// `duplicate`, `poison`).
pub const EVENTS: &str = "handoffd_intake_events_total";

/// What both ways in share: where events are kept, whom they are for, and what they may be like.
#[derive(Clone)]
pub struct Gate {
    /// Where they are kept.
    pub ledger: Arc<dyn Ledger>,
    /// Whom they are for.
    pub router: Arc<Router>,
    /// What they may be like.
    pub limits: Limits,
}

impl Gate {
    /// What the ledger shall be given for something that came in.
    ///
    /// # Errors
    /// Why it cannot be understood, or routed.
    pub fn judge(&self, incoming: &Incoming, now: Timestamp) -> Result<Admission, Stop> {
        self.router.admission(decode(incoming, &self.limits)?, now)
    }
}

/// Counts what became of admissions; returns how many were new.
fn count(origin: Origin, admitted: &[Admitted]) -> u64 {
    let new = admitted
        .iter()
        .filter(|one| matches!(one, Admitted::New(_)))
        .count() as u64;
    let known = admitted.len() as u64 - new;
    metrics::counter!(EVENTS, "origin" => origin.word(), "outcome" => "admitted").increment(new);
    metrics::counter!(EVENTS, "origin" => origin.word(), "outcome" => "duplicate").increment(known);
    new
}

/// Counts something that could not be understood.
fn count_poison(origin: Origin) {
    metrics::counter!(EVENTS, "origin" => origin.word(), "outcome" => "poison").increment(1);
}
