//! The engine: owns sockets, tokens, time, retries, rates and circuits, and decides nothing.
//!
//! It claims *lanes*, not items: one due lane, one lease, one worker, so order inside a session is
//! a consequence of the schema. Lanes run in parallel, per target up to its concurrency, so that a
//! slow or broken CRM delays its own lanes and nobody else's.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `due` | which targets may have a lane that is due |
//! | [`lane`] | the life of one lane from claim to release |
//! | [`plan`] | what a connector is asked: the work, with rendered mappings |
//! | [`earlier`] | the messages that others are about |
//! | [`kept`] | what waits for the next handoff, while the assistant has the conversation |
//! | [`perform`] | one step: budget, call, verdict |
//! | `proved` | what calls proved, until it is written |
//! | [`lease`] | how certain it is that a lane is still ours |
//! | [`tell`] | reps whose replies wait are told, although nothing is called |
//! | [`lost`] | what fields lost, told to operators |

mod due;
pub mod earlier;
pub mod kept;
pub mod lane;
pub mod lease;
pub mod lost;
pub mod perform;
pub mod plan;
mod proved;
pub mod tell;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use handoffd_contract::{Data, Event, Reason};
use jiff::{SignedDuration, Timestamp};
use metrics::gauge;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::connectors;
use crate::ledger::{Admission, Changed, LaneLedger, MappingLedger};
use crate::metrics as names;
use crate::open_feeds::OpenFeeds;
use crate::publisher::Publisher;
use crate::target::Target;
use crate::wire::breaker::Gate;
use crate::wire::media::AttachmentFetcher;
use due::Due;
use plan::Mappings;

/// How often a daemon says that it lives, at the least: so long may daemons that do not know of
/// each other yet use more of a rate than there is.
const BEAT: Duration = Duration::from_secs(2);

/// What the engine is told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This daemon's name.
    pub daemon: String,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How many events a worker loads at once.
    pub load_events: usize,
    /// About how many bytes of events a worker loads at once.
    pub load_bytes: usize,
    /// How lanes come back after failures.
    pub backoff: Backoff,
    /// How often an attachment's source is tried before it counts as gone.
    pub media_tries: u32,
    /// How long a stopping daemon waits for calls under way.
    pub drain: Duration,
}

/// The engine.
pub struct Engine {
    /// What is remembered of lanes.
    pub ledger: Arc<dyn LaneLedger>,
    /// Versions of mappings.
    pub versions: Arc<dyn MappingLedger>,
    /// The targets, by name.
    pub targets: BTreeMap<String, Arc<Target>>,
    /// The way to the gateway's exchange.
    pub publisher: Publisher,
    /// Attachments, wherever their bytes are.
    pub library: Arc<AttachmentFetcher>,
    /// The mappings, compiled.
    pub mappings: Mappings,
    /// Who listens where.
    pub feeds: Arc<OpenFeeds>,
    /// Settings.
    pub settings: Settings,
    /// A worker has ended, so there is room for another.
    pub(crate) room: Notify,
}

/// What a stopped engine left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Lanes whose calls did not end within the deadline. Their leases were given back; what they
    /// did is unsure and will be looked at.
    pub unfinished: usize,
}

impl Engine {
    /// Works until stopped; then waits for what is under way, at most for the configured time.
    pub async fn run(self: Arc<Engine>, stop: CancellationToken) -> Left {
        let mut workers = JoinSet::new();
        let telling = {
            let (engine, stop) = (Arc::clone(&self), stop.clone());
            tokio::spawn(async move { tell::run(&engine, &stop).await })
        };
        let every = (self.settings.lease / 3).min(BEAT);
        if self.beat().await > 1 {
            // The others take a smaller share from their next heartbeat on; until then it is theirs.
            for target in self.targets.values() {
                target.budgets.pause(Instant::now() + every);
            }
        }
        let mut heartbeat = tokio::time::interval(every);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let changed = self.ledger.changed();
        let mut due = Due::default();
        while !stop.is_cancelled() {
            // Registered before the look, so that no wake-up falls between the two.
            let next = changed.next_of_lanes();
            let room = self.room.notified();
            let pause = self.claim(&changed, &mut due, &mut workers, &stop).await;
            tokio::select! {
                () = next => {}
                () = room => {}
                () = tokio::time::sleep(pause) => {}
                _ = heartbeat.tick() => {
                    self.beat().await;
                }
                () = stop.cancelled() => {}
            }
            while workers.try_join_next().is_some() {}
        }
        let drained = tokio::time::timeout(self.settings.drain, async {
            while workers.join_next().await.is_some() {}
        });
        let unfinished = if drained.await.is_ok() {
            0
        } else {
            workers.len()
        };
        workers.shutdown().await;
        // It ends after what it looks at now; what it does is one transaction each.
        telling.abort();
        if let Err(error) = self.ledger.release_all_leases(&self.settings.daemon).await {
            tracing::warn!(%error, "the leases could not be given back; they run out by themselves");
        }
        Left { unfinished }
    }

    /// Claims what may be due in every target that has room, and says how long to wait at most.
    async fn claim(
        self: &Arc<Engine>,
        changed: &Changed,
        due: &mut Due,
        workers: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Duration {
        let now = Timestamp::now();
        let mut pause = Duration::from_secs(1);
        let mut asked = Vec::new();
        let all = due.all(now);
        for target in self.targets.values() {
            let number = changed.lanes(&target.name);
            let free = target.permits.available_permits();
            gauge!(names::WORKING, "target" => target.name.clone())
                .set((target.concurrency - free) as f64);
            let mut limit = free;
            let open = f64::from(u8::from(target.breaker.gate() != Gate::Closed));
            gauge!(names::CIRCUIT_OPEN, "target" => target.name.clone()).set(open);
            let rejected = f64::from(u8::from(target.breaker.rejected().is_some()));
            gauge!(names::CREDENTIAL_REJECTED, "target" => target.name.clone()).set(rejected);
            if all {
                due.may_have_more(&target.name);
            }
            if !due.may_have(&target.name, number) {
                continue;
            }
            match target.breaker.gate() {
                Gate::Closed => {}
                Gate::Probe if free == target.concurrency => limit = 1,
                Gate::Probe => continue,
                Gate::Open(left) => {
                    pause = pause.min(left.max(Duration::from_millis(10)));
                    continue;
                }
            }
            if let Some(left) = target.budgets.paused() {
                pause = pause.min(left.max(Duration::from_millis(10)));
                continue;
            }
            if limit > 0 {
                asked.push((target, limit, number));
            }
        }
        if asked.is_empty() && !all {
            return pause.min(due.left());
        }
        let until = now
            + SignedDuration::try_from(self.settings.lease)
                .unwrap_or(SignedDuration::from_secs(30));
        // Side by side, so that they share a transaction where the ledger can do that.
        let claims = asked.into_iter().map(|(target, limit, number)| async move {
            let daemon = &self.settings.daemon;
            let batch = (self.settings.load_events, self.settings.load_bytes);
            let claimed =
                self.ledger
                    .claim_and_load(now, daemon, &target.name, limit, until, batch);
            (target, limit, number, claimed.await)
        });
        let mut failed = false;
        for (target, limit, number, claimed) in join_all(claims).await {
            let leases = match claimed {
                Ok(leases) => leases,
                Err(error) => {
                    tracing::error!(target_name = %target.name, %error, "the ledger could not be asked for due lanes");
                    failed = true;
                    continue;
                }
            };
            if leases.len() < limit {
                due.has_no_more(&target.name, number);
            }
            for (lease, loaded) in leases {
                // The limit was the number of free permits and only this task takes them.
                let Ok(permit) = Arc::clone(&target.permits).try_acquire_owned() else {
                    break;
                };
                let (engine, target, stop) = (Arc::clone(self), Arc::clone(target), stop.clone());
                workers.spawn(async move {
                    lane::work(&engine, &target, (lease, loaded), until, &stop).await;
                    drop(permit);
                    engine.room.notify_one();
                });
            }
        }
        if failed {
            return Duration::from_secs(1);
        }
        match self.ledger.next_due(now).await {
            Ok(next) => due.next(next),
            Err(_) => due.unknown(),
        }
        pause.min(due.left())
    }

    /// Looks which endpoints want no more events: those of which a lane is parked for that. A person who
    /// puts it back to work says that they do again.
    async fn look_who_refuses(&self) {
        let told = self.targets.values();
        for target in told.filter(|target| connectors::is_events(target.kind)) {
            let reason = Reason::EndpointGone;
            match self.ledger.parked_for(&target.name, reason).await {
                Ok(stop) => target.breaker.refuse(stop),
                Err(error) => {
                    tracing::warn!(target_name = %target.name, %error, "whether it wants events could not be seen");
                }
            }
        }
    }

    /// Says that we live; returns how many do.
    async fn beat(&self) -> u32 {
        self.look_who_refuses().await;
        let now = Timestamp::now();
        let window = SignedDuration::try_from(self.settings.lease * 2)
            .unwrap_or(SignedDuration::from_secs(60));
        match self
            .ledger
            .heartbeat(now, &self.settings.daemon, now - window)
            .await
        {
            Ok(living) => {
                for target in self.targets.values() {
                    target.budgets.share_among(living);
                    target.wire.share_among(living);
                }
                living
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger did not take the heartbeat");
                1
            }
        }
    }

    /// An event of handoffd's own, for the session's lanes.
    #[must_use]
    pub fn own_event(session: &str, target: &str, id: &str, data: Data) -> Admission {
        let event = Event {
            // Connectors know an event by its id alone, so that it must tell the targets apart.
            id: format!("{session}/{target}/{id}"),
            source: format!("handoffd/{target}"),
            session: session.to_owned(),
            time: Timestamp::now(),
            sequence: None,
            warnings: Vec::new(),
            data,
        };
        Admission {
            event,
            opens: Vec::new(),
            passes: Vec::new(),
            session: None,
            contact: None,
            inbound_at: None,
            find: None,
            files: Vec::new(),
        }
    }
}
