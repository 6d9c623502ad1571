//! Everything that is not well, in order of weight: the same for `handoffd status` and
//! `GET /v1/status`.
//!
//! The ledger tells most of it. Only a running daemon knows its targets' circuits, whether their
//! credentials were rejected, and when each was last heard; a status that was gathered without one
//! says so.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::{Reason, Stop};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::AmqpConfig;
use crate::intake::amqp;
use crate::ledger::troubles::{Cause, Troubles};
use crate::ledger::{EventLedger, Group, LaneState, LedgerError, OperatorLedger, Stats};

/// A lane that is due for so long needs a person: something stands still that should go on by
/// itself.
const OVERDUE: SignedDuration = SignedDuration::from_mins(15);
/// The same where no daemon answers.
const OVERDUE_ALONE: SignedDuration = SignedDuration::from_mins(1);

/// What waits for a person, though it is tried again by itself.
const PERSON_MUST_ACT: [Reason; 4] = [
    Reason::Unauthorized,
    Reason::IdentityRejected,
    Reason::Account,
    Reason::Unroutable,
];

/// How things are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Whether a person is needed.
    pub needs_person: bool,
    /// When this was so.
    pub at: Timestamp,
    /// Who tells it.
    pub daemon: Daemon,
    /// Whether the ledger can be written.
    pub ledger: Part,
    /// Parked lanes by target, reason and message.
    pub parked: Vec<Lanes>,
    /// Every target.
    pub targets: Vec<Target>,
    /// Lanes that wait after a failure, by target, reason and message; without `unroutable`.
    pub waiting: Vec<Lanes>,
    /// Lanes with a reply that no queue takes.
    pub unroutable: Vec<Lanes>,
    /// Events that could not be understood, by cause.
    pub dead_letters: Vec<Arrivals>,
    /// Webhooks that were not understood or are not taken, by cause; `origin` is the target.
    pub webhooks: Vec<Arrivals>,
    /// RabbitMQ's queues.
    pub broker: Broker,
    /// The lane that is due longest and that nobody works on.
    pub oldest_due: Option<OldestDue>,
}

/// Who tells a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusDaemon)]
pub struct Daemon {
    /// Whether a running daemon tells it; otherwise it was read from the ledger alone.
    pub answers: bool,
    /// Why none does.
    pub message: String,
}

/// Whether something works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusPart)]
pub struct Part {
    /// Whether it does.
    pub ok: bool,
    /// Why not.
    pub message: String,
}

/// Lanes with the same target, reason and message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusLanes)]
pub struct Lanes {
    /// The target.
    pub target: String,
    /// The reason's label.
    #[schema(value_type = String)]
    pub reason: Reason,
    /// The other side's own words.
    pub message: String,
    /// How many.
    pub count: i64,
    /// Since when the oldest of them is so.
    pub oldest: Timestamp,
    /// The session of one of them.
    pub example: String,
}

/// Events or webhooks with the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusArrivals)]
pub struct Arrivals {
    /// `amqp`, `http`, or a target.
    pub origin: String,
    /// The reason's label.
    #[schema(value_type = String)]
    pub reason: Reason,
    /// What is wrong.
    pub message: String,
    /// How many.
    pub count: i64,
    /// When the oldest came.
    pub oldest: Timestamp,
    /// The oldest one's number.
    pub example: i64,
    /// The session of one of them, if one can be told.
    pub session: Option<String>,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusTarget)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Whether it is in the configuration and enabled.
    pub state: Presence,
    /// Its circuit; `None` where no daemon tells.
    pub circuit: Option<Circuit>,
    /// Whether its credential was rejected and no call has succeeded since.
    pub credential_rejected: bool,
    /// Why the circuit is not closed, or the credential was rejected.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// The same in the other side's own words.
    pub message: String,
    /// Lanes that have work to do there.
    pub due: i64,
    /// When it was last heard; `None` when not since the daemon began, or where no daemon tells.
    pub last_heard: Option<Timestamp>,
}

/// Whether a target is in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusPresence)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It is, and enabled.
    Enabled,
    /// It is, with `enabled = false`.
    Disabled,
    /// It is not, and there are lanes of it.
    NotConfigured,
}

/// A target's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusCircuit)]
#[serde(rename_all = "kebab-case")]
pub enum Circuit {
    /// Everything is sent.
    Closed,
    /// One lane tries.
    Probing,
    /// Nothing is sent.
    Open {
        /// For so many seconds.
        seconds: u64,
    },
}

/// RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusBroker)]
pub struct Broker {
    /// Whether one is configured.
    pub configured: bool,
    /// Why it could not be asked, or nothing is taken from it; empty when all is well.
    pub message: String,
    /// Its queues.
    pub queues: Vec<Queue>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusQueue)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Events that wait in it.
    pub events: u32,
    /// Whether it holds what was delivered too often.
    pub dead_letters: bool,
}

/// The lane that is due longest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StatusOldestDue)]
pub struct OldestDue {
    /// Its target.
    pub target: String,
    /// Since when it is due.
    pub since: Timestamp,
}

/// What only a running daemon knows of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Its circuit.
    pub circuit: Circuit,
    /// Why the circuit is not closed.
    pub why: Option<Stop>,
    /// Why its credential was rejected.
    pub rejected: Option<Stop>,
    /// When it was last heard.
    pub last_heard: Option<Timestamp>,
}

impl Health {
    /// What this daemon knows of a target.
    #[must_use]
    pub fn of(target: &crate::target::Target) -> Health {
        use crate::wire::breaker::Gate;
        use std::sync::atomic::Ordering::Relaxed;
        let heard = target.last_heard.load(Relaxed);
        Health {
            circuit: match target.breaker.gate() {
                Gate::Closed => Circuit::Closed,
                Gate::Probe => Circuit::Probing,
                Gate::Open(left) => Circuit::Open {
                    seconds: left.as_secs() + 1,
                },
            },
            why: target.breaker.why(),
            rejected: target.breaker.rejected(),
            last_heard: (heard > 0)
                .then(|| Timestamp::from_second(heard).ok())
                .flatten(),
        }
    }
}

/// What a status is gathered from.
pub struct Sources<'a> {
    /// What is remembered.
    pub ledger: &'a dyn OperatorLedger,
    /// The same, to ask whether it can be written.
    pub events: &'a dyn EventLedger,
    /// The configured targets, and whether each is enabled.
    pub targets: &'a [(String, bool)],
    /// RabbitMQ, if it is configured.
    pub broker: Option<&'a AmqpConfig>,
    /// What a running daemon adds: its targets, and why it takes nothing from RabbitMQ.
    pub daemon: Option<(BTreeMap<String, Health>, Option<String>)>,
    /// Why no daemon adds anything.
    pub alone: String,
}

/// How things are now.
///
/// # Errors
/// The ledger cannot be read.
pub async fn gather(sources: Sources<'_>) -> Result<Status, LedgerError> {
    let now = Timestamp::now();
    let ledger = sources.ledger;
    let (stats, groups, troubles) =
        tokio::join!(ledger.stats(now), ledger.groups(), ledger.troubles());
    let (stats, groups, troubles) = (stats?, groups?, troubles?);
    let ping = sources.events.ping().await;
    let broker = broker(&sources).await;
    let answers = sources.daemon.is_some();
    let health = sources.daemon.map(|(health, _)| health);
    let Troubles {
        waiting,
        dead_letters,
        webhooks,
    } = troubles;
    let (unroutable, waiting): (Vec<Group>, Vec<Group>) = waiting
        .into_iter()
        .partition(|group| group.stop.reason == Reason::Unroutable);
    let targets = targets(sources.targets, health.as_ref(), &stats);
    let enabled: BTreeSet<&str> = targets
        .iter()
        .filter(|target| target.state == Presence::Enabled)
        .map(|target| target.name.as_str())
        .collect();
    // What a disabled target has to do waits on purpose.
    let oldest_due = stats
        .oldest_due
        .iter()
        .filter(|(target, _)| enabled.contains(target.as_str()))
        .min_by_key(|(_, at)| *at)
        .map(|(target, since)| OldestDue {
            target: target.clone(),
            since: *since,
        });
    let mut status = Status {
        needs_person: false,
        at: now,
        daemon: Daemon {
            answers,
            message: sources.alone,
        },
        ledger: Part {
            ok: ping.is_ok(),
            message: ping
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default(),
        },
        parked: groups.into_iter().map(lanes).collect(),
        waiting: waiting.into_iter().map(lanes).collect(),
        unroutable: unroutable.into_iter().map(lanes).collect(),
        dead_letters: dead_letters.into_iter().map(arrivals).collect(),
        webhooks: webhooks.into_iter().map(arrivals).collect(),
        targets,
        broker,
        oldest_due,
    };
    status.needs_person = needs_person(&status);
    Ok(status)
}

/// Whether something is there that does not go on by itself.
fn needs_person(status: &Status) -> bool {
    let patience = if status.daemon.answers {
        OVERDUE
    } else {
        OVERDUE_ALONE
    };
    let overdue = |due: &OldestDue| status.at.duration_since(due.since) > patience;
    let target = |target: &Target| {
        target.credential_rejected || (target.state == Presence::NotConfigured && target.due > 0)
    };
    !status.ledger.ok
        || !status.parked.is_empty()
        || !status.unroutable.is_empty()
        || !status.dead_letters.is_empty()
        || !status.webhooks.is_empty()
        || !status.broker.message.is_empty()
        || status.targets.iter().any(target)
        || status
            .waiting
            .iter()
            .any(|lanes| PERSON_MUST_ACT.contains(&lanes.reason))
        || (status.broker.queues.iter()).any(|queue| queue.dead_letters && queue.events > 0)
        || status.oldest_due.as_ref().is_some_and(overdue)
}

async fn broker(sources: &Sources<'_>) -> Broker {
    let Some(config) = sources.broker else {
        return Broker {
            configured: false,
            message: String::new(),
            queues: Vec::new(),
        };
    };
    let trouble = sources
        .daemon
        .as_ref()
        .and_then(|(_, trouble)| trouble.clone());
    let (queues, refused) = match amqp::depths(config).await {
        Ok(queues) => (queues, None),
        Err(message) => (
            Vec::new(),
            Some(format!("it could not be asked: {message}")),
        ),
    };
    Broker {
        configured: true,
        message: trouble.or(refused).unwrap_or_default(),
        queues: queues
            .into_iter()
            .map(|(name, events, dead_letters)| Queue {
                name,
                events,
                dead_letters,
            })
            .collect(),
    }
}

fn targets(
    configured: &[(String, bool)],
    health: Option<&BTreeMap<String, Health>>,
    stats: &Stats,
) -> Vec<Target> {
    let due = |name: &str| {
        let of = |(target, state, _): &&(String, LaneState, i64)| {
            target == name && *state == LaneState::Due
        };
        stats
            .lanes
            .iter()
            .find(of)
            .map_or(0, |(_, _, count)| *count)
    };
    let unwork = stats
        .lanes
        .iter()
        .filter(|(name, state, count)| {
            *count > 0
                && *state == LaneState::Due
                && !configured.iter().any(|(known, _)| known == name)
        })
        .map(|(name, ..)| (name.clone(), Presence::NotConfigured));
    let known = configured.iter().map(|(name, enabled)| {
        let state = if *enabled {
            Presence::Enabled
        } else {
            Presence::Disabled
        };
        (name.clone(), state)
    });
    known
        .chain(unwork)
        .map(|(name, state)| {
            let health = health.and_then(|health| health.get(&name));
            let rejected = health.and_then(|health| health.rejected.clone());
            let stop = rejected
                .clone()
                .or_else(|| health.and_then(|health| health.why.clone()));
            Target {
                due: due(&name),
                name,
                state,
                circuit: health.map(|health| health.circuit),
                credential_rejected: rejected.is_some(),
                reason: stop.as_ref().map(|stop| stop.reason),
                message: stop.map(|stop| stop.message).unwrap_or_default(),
                last_heard: health.and_then(|health| health.last_heard),
            }
        })
        .collect()
}

fn lanes(group: Group) -> Lanes {
    Lanes {
        target: group.target,
        reason: group.stop.reason,
        message: group.stop.message,
        count: group.count,
        oldest: group.oldest,
        example: group.example,
    }
}

fn arrivals(cause: Cause) -> Arrivals {
    Arrivals {
        origin: cause.origin,
        reason: cause.stop.reason,
        message: cause.stop.message,
        count: cause.count,
        oldest: cause.oldest,
        example: cause.example,
        session: cause.session,
    }
}
