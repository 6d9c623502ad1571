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
//! | [`dialects`] | what gateways send in their own words, as events |
//! | [`mod@decode`] | CloudEvents, structured, binary and batch |
//! | `payload`, `said`, `files`, `who` | what each field says, read as tolerantly as is certain |
//! | `kinds`, `cards` | what a message is beside text and files: reactions, quotes, orders; contact cards |
//! | `json`, `shape`, `values`, `time` | a body, a place in the event, and single values there |
//! | [`outline`] | what can be told of something that is not understood |
//! | [`warn`] | what could not be read as it came |
//! | [`route`] | which targets an event is for |
//! | [`http`] | `POST /v1/events` |
//! | [`door`], `proof` | `POST /intake/…`: what gateways send in their own words, and whether it is theirs |
//! | [`amqp`] | the queue, groups and acknowledgements |
//! | `store` | storing a group, however long that takes |

pub mod amqp;
mod cards;
pub mod decode;
pub mod dialects;
pub mod door;
mod files;
pub mod http;
pub mod incoming;
mod json;
mod kinds;
pub mod outline;
mod payload;
mod proof;
pub mod route;
mod said;
mod shape;
mod store;
mod time;
mod values;
pub mod warn;
mod who;

use std::sync::Arc;

use handoffd_contract::Stop;
use jiff::Timestamp;

pub use self::decode::{decode, read, unbatch};
pub use self::dialects::Dialects;
pub use self::incoming::{Incoming, Origin};
pub use self::outline::Outline;
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
    /// In which words they may come beside CloudEvents.
    pub dialects: Arc<Dialects>,
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

/// What becomes of one thing that came in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// What the ledger shall be given, in order.
    pub events: Vec<Judged>,
    /// Why something was left alone on purpose.
    pub skipped: Vec<String>,
    /// Why it, or a part of it, cannot be understood.
    pub refused: Option<Stop>,
}

impl Verdict {
    fn of(judged: Result<Judged, Stop>) -> Verdict {
        match judged {
            Ok(judged) => Verdict {
                events: vec![judged],
                ..Verdict::default()
            },
            Err(stop) => Verdict {
                refused: Some(stop),
                ..Verdict::default()
            },
        }
    }
}

impl Gate {
    /// What the ledger shall be given for something that came in at this time.
    ///
    /// # Errors
    /// Why it cannot be understood.
    pub fn judge(&self, incoming: &Incoming, now: Timestamp) -> Result<Judged, Stop> {
        Ok(self.settled(read(incoming, &self.limits, now)?, now))
    }

    /// What becomes of each thing that came in.
    pub(super) fn judge_all(&self, group: &[Incoming]) -> Vec<Verdict> {
        let now = Timestamp::now();
        group.iter().map(|one| self.verdict(one, now)).collect()
    }

    /// Stores what came in, in order: events as events, the rest as dead letters; and says of each event and
    /// dead letter what became of it. Dead letters are stored first: when the ledger fails in between, everything is sent
    /// again, and both a dead letter and an admitted event are kept once.
    ///
    /// # Errors
    /// The ledger failed; what was not stored must come again.
    pub async fn take(&self, group: &[Incoming]) -> Result<Vec<Result<Taken, Stop>>, LedgerError> {
        self.take_judged(group, self.judge_all(group)).await
    }

    /// The same for what was judged already.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn take_judged(
        &self,
        group: &[Incoming],
        judged: Vec<Verdict>,
    ) -> Result<Vec<Result<Taken, Stop>>, LedgerError> {
        let mut admissions = Vec::with_capacity(group.len());
        let mut told = Vec::with_capacity(group.len());
        for (incoming, verdict) in group.iter().zip(judged) {
            for one in verdict.events {
                let event = &one.admission.event;
                let taken = Taken {
                    admitted: Admitted::Duplicate,
                    source: event.source.clone(),
                    warnings: event.warnings.clone(),
                };
                told.push(Ok((taken, event.data.kind(), one.warnings)));
                admissions.push(one.admission);
            }
            if let Some(stop) = verdict.refused {
                self.park(incoming, stop.clone()).await?;
                told.push(Err(stop));
            }
        }
        let mut admitted = Vec::new();
        for part in dialects::parts(admissions) {
            admitted.extend(self.ledger.admit(Timestamp::now(), part).await?);
        }
        let mut admitted = admitted.into_iter();
        let became = |told: Result<(Taken, &'static str, Vec<Warning>), Stop>| {
            let (mut taken, kind, warnings) = match told {
                Ok(told) => told,
                Err(stop) => return Err(stop),
            };
            taken.admitted = admitted.next().unwrap_or(Admitted::Duplicate);
            let is_new = matches!(taken.admitted, Admitted::New(_));
            let result = match taken.admitted {
                Admitted::New(_) => "new",
                Admitted::Duplicate => "duplicate",
                Admitted::Nobody => "nobody",
            };
            metrics::counter!(EVENTS, "type" => kind, "result" => result).increment(1);
            if is_new {
                tell(&taken.source, kind, &warnings);
            }
            Ok(taken)
        };
        Ok(told.into_iter().map(became).collect())
    }

    /// Keeps something that could not be understood.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn park(&self, incoming: &Incoming, stop: Stop) -> Result<(), LedgerError> {
        let origin = incoming.origin.word();
        tracing::warn!(origin, reason = stop.reason.label(), message = %stop.message, "the event is a dead letter: it could not be understood");
        let mut kept = incoming.clone();
        if let Some(body) = self.dialects.masked(incoming) {
            kept.body = body;
        }
        let mut letter = kept.dead_letter(stop);
        letter.session = decode::session_of(incoming, &self.limits);
        letter.source = Outline::of(incoming, &self.limits).source;
        self.ledger
            .keep_dead_letter(Timestamp::now(), letter)
            .await?;
        metrics::counter!(DEAD_LETTERED, "origin" => origin).increment(1);
        Ok(())
    }
}

/// Logs and counts what could not be read as it came.
fn tell(source: &str, kind: &'static str, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    let words: Vec<&str> = warnings
        .iter()
        .take(5)
        .map(|one| one.text.as_str())
        .collect();
    tracing::warn!(
        source = %warn::printed(source),
        kind,
        places = warnings.len(),
        words = words.join(" · "),
        "an event was taken although not all of it could be read as it came"
    );
    let source = warn::source_label(source);
    for one in warnings {
        let labels = [("source", source.clone()), ("field", one.field.clone())];
        metrics::counter!(WARNINGS, &labels).increment(1);
    }
}
