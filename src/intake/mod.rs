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
//! | [`mod@decode`] | CloudEvents, structured, binary and batch |
//! | `payload`, `who`, `shape` | what each field must look like, and how an error is told |
//! | [`route`] | which targets an event is for |
//! | [`http`] | `POST /v1/events` |
//! | [`amqp`] | the queue, groups and acknowledgements |
//! | `store` | storing a group, however long that takes |

pub mod amqp;
pub mod decode;
pub mod http;
pub mod incoming;
mod payload;
pub mod route;
mod shape;
mod store;
mod who;

use std::sync::Arc;

use handoffd_contract::Stop;
use jiff::Timestamp;

pub use self::decode::{decode, unbatch};
pub use self::incoming::{Incoming, Origin};
pub use self::route::{Route, Router};
use crate::config::Limits;
use crate::ledger::{Admission, Admitted, Ledger, LedgerError};
use crate::metrics::{EVENTS, POISON};

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

    /// Stores what came in, in order: events as events, the rest as poison; and says of each what
    /// became of it. Poison is stored first: when the ledger fails in between, everything is sent
    /// again, and both a parked event and an admitted one are kept once.
    ///
    /// # Errors
    /// The ledger failed; what was not stored must come again.
    pub async fn take(
        &self,
        group: &[Incoming],
    ) -> Result<Vec<Result<Admitted, Stop>>, LedgerError> {
        let now = Timestamp::now();
        let mut admissions = Vec::new();
        let mut kinds = Vec::new();
        let mut stops = Vec::new();
        for incoming in group {
            match self.judge(incoming, now) {
                Ok(admission) => {
                    kinds.push(admission.event.data.kind());
                    admissions.push(admission);
                    stops.push(None);
                }
                Err(stop) => {
                    self.park(incoming, stop.clone()).await?;
                    stops.push(Some(stop));
                }
            }
        }
        let mut admitted = Vec::new();
        if !admissions.is_empty() {
            admitted = self.ledger.admit(now, admissions).await?;
        }
        for (kind, one) in kinds.into_iter().zip(&admitted) {
            let result = if matches!(one, Admitted::New(_)) {
                "new"
            } else {
                "duplicate"
            };
            metrics::counter!(EVENTS, "type" => kind, "result" => result).increment(1);
        }
        let mut admitted = admitted.into_iter();
        Ok(stops
            .into_iter()
            .map(|stop| match stop {
                Some(stop) => Err(stop),
                None => Ok(admitted.next().unwrap_or(Admitted::Duplicate)),
            })
            .collect())
    }

    /// Keeps something that could not be understood.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn park(&self, incoming: &Incoming, stop: Stop) -> Result<(), LedgerError> {
        let origin = incoming.origin.word();
        tracing::warn!(origin, reason = stop.reason.label(), words = %stop.words, "event parked");
        self.ledger
            .poison(Timestamp::now(), incoming.clone().poison(stop))
            .await?;
        metrics::counter!(POISON, "origin" => origin).increment(1);
        Ok(())
    }
}
