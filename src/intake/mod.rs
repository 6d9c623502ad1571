//! Events come in: decoded, routed, stored, and only then acknowledged.
//!
//! ```text
//! RabbitMQ ─► amqp ─┐                         ┌─► ledger.admit ─► acknowledge
//!                   ├─► Gate: decode ─► route ┤
//! HTTP ─────► http ─┘                         └─► ledger: dead letters (what cannot be understood)
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`incoming`] | bytes and headers as they came, and as a dead letter |
//! | [`mod@decode`] | CloudEvents, structured, binary and batch |
//! | `payload`, `said`, `files`, `who` | what each field says, read as tolerantly as is certain |
//! | `shape`, `values`, `time` | a place in the event, and single values there |
//! | [`warn`] | what could not be read as it came |
//! | [`route`] | which targets an event is for |
//! | [`http`] | `POST /v1/events` |
//! | [`amqp`] | the queue, groups and acknowledgements |
//! | `store` | storing a group, however long that takes |

pub mod amqp;
pub mod decode;
mod files;
pub mod http;
pub mod incoming;
mod payload;
pub mod route;
mod said;
mod shape;
mod store;
mod time;
mod values;
pub mod warn;
mod who;

use std::sync::Arc;

use handoffd_contract::{Event, Stop};
use jiff::Timestamp;

pub use self::decode::{decode, read, unbatch};
pub use self::incoming::{Incoming, Origin};
pub use self::route::{Route, Router};
pub use self::warn::Warning;
use crate::config::Limits;
use crate::ledger::{Admission, Admitted, EventLedger, LedgerError};
use crate::metrics::{DEAD_LETTERED, EVENTS, WARNINGS};

/// What both ways in share: where events are kept, whom they are for, and what they may be like.
#[derive(Clone)]
pub struct Gate {
    /// Where they are kept.
    pub ledger: Arc<dyn EventLedger>,
    /// Whom they are for.
    pub router: Arc<Router>,
    /// What they may be like.
    pub limits: Limits,
}

/// What became of something that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whether it was new.
    pub admitted: Admitted,
    /// Who produced it.
    pub source: String,
    /// What of it could not be read as it came.
    pub warnings: Vec<String>,
}

/// Something that the ledger may be given.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What the ledger shall be given.
    pub admission: Admission,
    /// What could not be read as it came.
    pub warnings: Vec<Warning>,
}

impl Gate {
    /// What the ledger shall be given for something that came in at this time.
    ///
    /// # Errors
    /// Why it cannot be understood.
    pub fn judge(&self, incoming: &Incoming, now: Timestamp) -> Result<Judged, Stop> {
        let mut read = read(incoming, &self.limits, now)?;
        let about_targets = self.router.settle_targets(&mut read.event);
        let words = about_targets.iter().map(|one| one.text.clone());
        read.event.warnings.extend(words);
        read.warnings.extend(about_targets);
        let mut admission = self.router.admission(read.event, now);
        admission.inbound_at = route::inbound_at(&admission.event.data, now, &read.unsure);
        Ok(Judged {
            admission,
            warnings: read.warnings,
        })
    }

    /// Stores what came in, in order: events as events, the rest as dead letters; and says of each what
    /// became of it. Dead letters are stored first: when the ledger fails in between, everything is sent
    /// again, and both a dead letter and an admitted event are kept once.
    ///
    /// # Errors
    /// The ledger failed; what was not stored must come again.
    pub async fn take(&self, group: &[Incoming]) -> Result<Vec<Result<Taken, Stop>>, LedgerError> {
        let now = Timestamp::now();
        let mut judged = Vec::new();
        let mut stops = Vec::new();
        for incoming in group {
            match self.judge(incoming, now) {
                Ok(one) => {
                    judged.push(one);
                    stops.push(None);
                }
                Err(stop) => {
                    self.park(incoming, stop.clone()).await?;
                    stops.push(Some(stop));
                }
            }
        }
        let mut admitted = Vec::new();
        if !judged.is_empty() {
            let admissions = judged.iter().map(|one| one.admission.clone()).collect();
            admitted = self.ledger.admit(now, admissions).await?;
        }
        let mut taken = Vec::with_capacity(judged.len());
        for (one, admitted) in judged.into_iter().zip(admitted) {
            let event = one.admission.event;
            let is_new = matches!(admitted, Admitted::New(_));
            let result = if is_new { "new" } else { "duplicate" };
            metrics::counter!(EVENTS, "type" => event.data.kind(), "result" => result).increment(1);
            if is_new {
                tell(&event, &one.warnings);
            }
            taken.push(Taken {
                admitted,
                source: event.source,
                warnings: event.warnings,
            });
        }
        let mut taken = taken.into_iter();
        Ok(stops
            .into_iter()
            .filter_map(|stop| match stop {
                Some(stop) => Some(Err(stop)),
                None => taken.next().map(Ok),
            })
            .collect())
    }

    /// Keeps something that could not be understood.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn park(&self, incoming: &Incoming, stop: Stop) -> Result<(), LedgerError> {
        let origin = incoming.origin.word();
        tracing::warn!(origin, reason = stop.reason.label(), message = %stop.message, "the event is a dead letter: it could not be understood");
        let mut letter = incoming.clone().dead_letter(stop);
        letter.session = decode::session_of(incoming, &self.limits);
        self.ledger
            .keep_dead_letter(Timestamp::now(), letter)
            .await?;
        metrics::counter!(DEAD_LETTERED, "origin" => origin).increment(1);
        Ok(())
    }
}

/// Logs and counts what could not be read as it came.
fn tell(event: &Event, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    let words: Vec<&str> = warnings
        .iter()
        .take(5)
        .map(|one| one.text.as_str())
        .collect();
    tracing::warn!(
        source = %warn::printed(&event.source),
        kind = event.data.kind(),
        places = warnings.len(),
        words = words.join(" · "),
        "an event was taken although not all of it could be read as it came"
    );
    let source = warn::source_label(&event.source);
    for one in warnings {
        let labels = [("source", source.clone()), ("field", one.field.clone())];
        metrics::counter!(WARNINGS, &labels).increment(1);
    }
}
