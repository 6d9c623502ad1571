//! The life of one lane from claim to release.
//!
//! Load, plan, write down what is about to leave, call side by side, write down what it proved, plan
//! again; release when there is nothing more to do, or when something stands in the way. Whatever
//! happens to this process in between, the facts are the checkpoint.

use std::time::Duration;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use handoffd_contract::event::HandoffFailed;
use handoffd_contract::lane::{self, Progress};
use handoffd_contract::{Call, Data, Fact, Known, Reason, Refusal, Step, Stop, Work};
use jiff::{SignedDuration, Timestamp};
use metrics::histogram;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::lease::LeaseGuard;
use super::lost;
use super::perform::{Outcome, perform};
use super::plan::{Refused, assemble, plain};
use super::proved::Proved;
use super::{earlier, kept};
use crate::ledger::{Admission, Attempt, Change, Lease, LedgerError, Loaded, Next, Release};
use crate::metrics as names;
use crate::target::Target;
use crate::{backoff, connectors};

/// The fact that remembers which feed the lane listens to; the engine's own.
const FEED: &str = "engine/feed";

/// The fact that counts how often the source of a file could not be reached; the engine's own. What
/// else the lane failed of does not count.
fn source(step: &Step) -> Option<String> {
    let claim = step.claims.first()?;
    Some(format!("engine/source/{}", claim.fact))
}

/// Plans in a row that change nothing before the lane counts as stuck by a defect.
const MAX_IDLE_ROUNDS: u32 = 5;

/// Works on a lane that is leased until then, until there is nothing more to do, and leaves it.
pub async fn work(
    engine: &Engine,
    target: &Target,
    (lease, loaded): (Lease, Option<Loaded>),
    until: Timestamp,
    stop: &CancellationToken,
) {
    let guard = LeaseGuard::new(engine, &lease, until);
    let proved = Proved::default();
    let running = run(engine, target, (&lease, loaded), &guard, &proved, stop);
    let running = std::panic::AssertUnwindSafe(running).catch_unwind();
    let keeping = keep(engine, &lease, &guard);
    let release = tokio::select! {
        outcome = running => outcome.unwrap_or_else(|_| {
            tracing::error!(target_name = %target.name, session = %lease.session, "a lane's worker panicked");
            Ok(parked(&lease, target, 0, 0, Stop::new(Reason::Bug, "the worker panicked; see the log")))
        }),
        () = keeping => return,
    };
    let (session, name) = (lease.session.clone(), lease.target.clone());
    let (attempts, changes) = proved.take();
    let (ledger, now) = (&engine.ledger, Timestamp::now());
    let outcome = match release {
        Ok(release) => {
            log_release(target, &lease, &release);
            ledger
                .finish_and_release(lease, now, attempts, changes, release)
                .await
        }
        Err(error) if attempts.is_empty() || error == LedgerError::Stale => Err(error),
        Err(error) => {
            let written = ledger.finish(&lease, now, attempts, changes, Vec::new());
            written.await.and(Err(error))
        }
    };
    match outcome {
        Ok(()) => {}
        Err(LedgerError::Stale) => {
            tracing::warn!(%session, target_name = %name, "another daemon took the lane over")
        }
        // The lease runs out by itself and the facts are written; nothing is lost.
        Err(error) => {
            tracing::error!(%session, target_name = %name, %error, "the lane could not be left properly")
        }
    }
}

/// Renews the lease; ends when it is lost.
async fn keep(engine: &Engine, lease: &Lease, guard: &LeaseGuard<'_>) {
    let every = engine.settings.lease / 3;
    loop {
        tokio::time::sleep(every).await;
        if let Err(LedgerError::Stale) = guard.renew().await {
            tracing::warn!(session = %lease.session, target_name = %lease.target, "the lease was taken over");
            return;
        }
    }
}

/// What is to be said about how a lane was left.
fn log_release(target: &Target, lease: &Lease, release: &Release) {
    match &release.next {
        Next::Parked { stop } => tracing::warn!(
            target_name = %target.name, session = %lease.session, reason = stop.reason.label(), message = %stop.message,
            "parked: it needs a person"
        ),
        Next::Held { stop, .. } => tracing::info!(
            target_name = %target.name, session = %lease.session, reason = stop.reason.label(), message = %stop.message,
            "held"
        ),
        Next::Due { .. } | Next::Idle => {}
    }
}

struct Worker<'a> {
    engine: &'a Engine,
    target: &'a Target,
    lease: &'a Lease,
    guard: &'a LeaseGuard<'a>,
    proved: &'a Proved,
    known: Known,
    head: i64,
    /// The newest event that was loaded.
    seen: i64,
    /// The work and the sequence numbers of its items, once there is any.
    plan: Option<(Work, Vec<i64>)>,
    progressed: bool,
    idle_rounds: u32,
}

async fn run(
    engine: &Engine,
    target: &Target,
    (lease, loaded): (&Lease, Option<Loaded>),
    guard: &LeaseGuard<'_>,
    proved: &Proved,
    stop: &CancellationToken,
) -> Result<Release, LedgerError> {
    let settings = &engine.settings;
    let mut loaded = match loaded {
        Some(loaded) => loaded,
        None => {
            let (events, bytes) = (settings.load_events, settings.load_bytes);
            engine.ledger.load(lease, events, bytes).await?
        }
    };
    let newest = loaded
        .events
        .iter()
        .map(|(seq, _)| *seq)
        .max()
        .unwrap_or(loaded.head);
    let (connector, bytes) = (&*target.connector, settings.load_bytes);
    kept::settle(
        &*engine.ledger,
        connector,
        &lease.session,
        &mut loaded,
        bytes,
    )
    .await?;
    earlier::complete(&*engine.ledger, &lease.session, &mut loaded).await?;
    let mut worker = Worker {
        engine,
        target,
        lease,
        guard,
        proved,
        known: Known::default(),
        head: loaded.head,
        seen: newest,
        plan: None,
        progressed: false,
        idle_rounds: 0,
    };
    let schema = target.schema.load_full();
    let planned = match assemble(
        &engine.mappings,
        &*engine.versions,
        &target.name,
        &loaded,
        connector,
        schema.as_deref().map(|(_, schema)| schema),
    )
    .await
    {
        Ok(planned) => planned,
        Err(Refused::Connector(refusal)) => return Ok(worker.refused(refusal)),
        Err(Refused::Ledger(error)) => return Err(error),
    };
    worker.known = std::mem::take(&mut loaded.known);
    if !planned.pinned.is_empty() {
        worker.learn(Vec::new(), planned.pinned, Vec::new()).await?;
    }
    worker.plan = Some((planned.work, planned.seqs));
    loop {
        worker.recall().await?;
        worker.listen().await?;
        let steps = match worker.next() {
            Ok(steps) => steps,
            Err(refusal) => return Ok(worker.refused(refusal)),
        };
        if steps.is_empty() {
            worker.measure(&loaded);
            worker.head = newest;
            return Ok(worker.leave(Next::Idle, 0));
        }
        if stop.is_cancelled() {
            return Ok(worker.leave(
                Next::Due {
                    at: Timestamp::now(),
                    stop: None,
                },
                lease.attempts,
            ));
        }
        match worker.round(steps).await? {
            RoundOutcome::Moved => worker.idle_rounds = 0,
            RoundOutcome::Still => {
                worker.idle_rounds += 1;
                if worker.idle_rounds >= MAX_IDLE_ROUNDS {
                    let words = "the connector plans the same calls again although they succeed";
                    return Ok(worker.park(Stop::new(Reason::Bug, words)));
                }
            }
            RoundOutcome::Later { after, stop } => return Ok(worker.later(after, stop)),
            RoundOutcome::Defer(wait) => {
                let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(60));
                let next = Next::Due {
                    at: Timestamp::now() + wait,
                    stop: None,
                };
                return Ok(worker.leave(next, lease.attempts));
            }
            RoundOutcome::Park(stop) => return Ok(worker.park(stop)),
        }
    }
}

/// What a round of calls came to.
enum RoundOutcome {
    /// Facts changed.
    Moved,
    /// Nothing changed.
    Still,
    /// Something stood in the way.
    Later { after: Option<Duration>, stop: Stop },
    /// A budget is empty.
    Defer(Duration),
    /// A person is needed.
    Park(Stop),
}

impl Worker<'_> {
    /// Carries out one plan: writes down what may happen, calls side by side, writes down each
    /// result as it comes.
    async fn round(&mut self, steps: Vec<Step>) -> Result<RoundOutcome, LedgerError> {
        self.write_proved().await?;
        let before = self.known.clone();
        let now = Timestamp::now();
        let unsure = match lane::intend(&before, &steps, now) {
            Ok(unsure) => unsure,
            Err(bad) => return Ok(RoundOutcome::Park(Stop::new(Reason::Bug, bad.to_string()))),
        };
        if !unsure.is_empty() {
            let claims = unsure.iter().map(|(name, fact)| match fact {
                Fact::Unsure { candidate, .. } => (name.clone(), candidate.clone()),
                Fact::Is(_) | Fact::Refused { .. } => (name.clone(), None),
            });
            let claims = claims.collect();
            self.engine.ledger.begin(self.lease, now, claims).await?;
            self.known.0.extend(unsure);
        }
        if steps.iter().any(|step| step.listen)
            && let Some(key) = self.known.get(FEED).filter(|key| !key.is_empty())
        {
            self.engine
                .feeds
                .wait_until_open(&self.target.name, key)
                .await;
        }
        let mut wave = RoundOutcome::Still;
        let plan = self.plan.take();
        let work = plan.as_ref().map(|(work, _)| work);
        let mut calls = FuturesUnordered::new();
        for step in steps {
            if let Call::Record(record) = step.call {
                let changes = record
                    .facts
                    .into_iter()
                    .map(|(name, value)| Change::settle(name, value))
                    .collect();
                let events = record.events.into_iter();
                let events = events.map(|(id, data)| {
                    Engine::own_event(&self.lease.session, &self.target.name, &id, data)
                });
                let events = events.collect();
                self.learn(Vec::new(), changes, events).await?;
                wave = merge_outcomes(wave, RoundOutcome::Moved);
                continue;
            }
            let (engine, target, lease, guard) = (self.engine, self.target, self.lease, self.guard);
            let tried = source(&step).and_then(|fact| self.known.get(&fact)?.parse().ok());
            calls.push(async move {
                let tried = tried.unwrap_or(0);
                let outcome = perform(engine, target, lease, guard, &step, tried, work).await;
                (step, outcome)
            });
        }
        while let Some((step, outcome)) = calls.next().await {
            let result = self
                .apply_verdict(&before, &step, outcome, calls.is_empty())
                .await?;
            wave = merge_outcomes(wave, result);
        }
        drop(calls);
        self.plan = plan;
        Ok(wave)
    }

    /// Writes down what one call came to, or holds it if the call is the `last` one of its round.
    async fn apply_verdict(
        &mut self,
        before: &Known,
        step: &Step,
        outcome: Outcome,
        last: bool,
    ) -> Result<RoundOutcome, LedgerError> {
        let (attempt, (mut changes, progress)) = match outcome {
            Outcome::Deferred(wait) => {
                let undo = lane::undo(before, step);
                self.learn(Vec::new(), undo, Vec::new()).await?;
                return Ok(RoundOutcome::Defer(wait));
            }
            Outcome::Expired => {
                let undo = lane::undo(before, step);
                self.learn(Vec::new(), undo, Vec::new()).await?;
                return Ok(RoundOutcome::Still);
            }
            Outcome::Lost(attempt, stop) => (attempt, lane::lost(step, stop)),
            Outcome::Judged(attempt, verdict) => (attempt, lane::learn(before, step, verdict)),
        };
        let wave = match progress {
            Progress::Moved => RoundOutcome::Moved,
            Progress::Still => RoundOutcome::Still,
            Progress::Later { stop, after } => RoundOutcome::Later { after, stop },
            Progress::Never(stop) => RoundOutcome::Park(stop),
        };
        if let Some(fact) = source(step) {
            let tried = self.known.get(&fact).map(|n| n.parse().unwrap_or(0));
            match (&wave, tried) {
                (RoundOutcome::Later { stop, .. }, _)
                    if stop.reason == Reason::MediaUnavailable =>
                {
                    let tried: u32 = tried.unwrap_or(0) + 1;
                    changes.push(Change::Set(fact, tried.to_string()));
                }
                (RoundOutcome::Moved, Some(_)) => changes.push(Change::Remove(fact)),
                _ => {}
            }
        }
        let refused = lost::by_crm(
            &self.target.name,
            &self.lease.session,
            &*self.target.connector,
            &changes,
            &self.known,
        );
        changes.extend(refused);
        self.progressed |= matches!(wave, RoundOutcome::Moved);
        if last {
            self.hold(attempt, changes);
        } else {
            self.learn(vec![attempt], changes, Vec::new()).await?;
        }
        Ok(wave)
    }

    /// Knows what a call proved; it is written with what comes next.
    fn hold(&mut self, attempt: Attempt, changes: Vec<Change>) {
        for change in &changes {
            change.clone().apply(&mut self.known);
        }
        self.proved.add(attempt, changes);
    }

    /// Writes down what is held.
    async fn write_proved(&self) -> Result<(), LedgerError> {
        let (attempts, changes) = self.proved.take();
        if attempts.is_empty() && changes.is_empty() {
            return Ok(());
        }
        let (ledger, now) = (&self.engine.ledger, Timestamp::now());
        ledger
            .finish(self.lease, now, attempts, changes, Vec::new())
            .await
    }

    /// Writes to the ledger, then to what this worker knows.
    async fn learn(
        &mut self,
        attempts: Vec<Attempt>,
        changes: Vec<Change>,
        events: Vec<Admission>,
    ) -> Result<(), LedgerError> {
        let now = Timestamp::now();
        self.engine
            .ledger
            .finish(self.lease, now, attempts, changes.clone(), events)
            .await?;
        for change in changes {
            change.apply(&mut self.known);
        }
        Ok(())
    }

    /// Loads events that were shown already and are work again, and puts them before the others.
    async fn recall(&mut self) -> Result<(), LedgerError> {
        let Some((work, _)) = &self.plan else {
            return Ok(());
        };
        let wanted = self.target.connector.recall(work, &self.known);
        if wanted.is_empty() {
            return Ok(());
        }
        self.write_proved().await?;
        let Some((work, seqs)) = &mut self.plan else {
            return Ok(());
        };
        for id in wanted {
            let found = self.engine.ledger.recall(&self.lease.session, &id).await?;
            let Some((seq, event)) = found else { continue };
            let at = seqs.iter().take_while(|other| **other < seq).count();
            seqs.insert(at, seq);
            work.items.insert(at, plain(&event));
        }
        Ok(())
    }

    /// Asks the connector for the next steps.
    fn next(&mut self) -> Result<Vec<Step>, Refusal> {
        let Some((work, _)) = &mut self.plan else {
            return Ok(Vec::new());
        };
        work.now = Timestamp::now();
        self.target.connector.next(work, &self.known)
    }

    /// Up to which event everything is shown: the longest run of items for which the connector has
    /// nothing more to do. So an operator who skips gives up exactly what stands in the way.
    fn acknowledged_seq(&self) -> i64 {
        let Some((work, seqs)) = &self.plan else {
            return self.head;
        };
        let mut prefix = Work {
            items: Vec::new(),
            ..work.clone()
        };
        for item in &work.items {
            prefix.items.push(item.clone());
            if !matches!(self.target.connector.next(&prefix, &self.known), Ok(steps) if steps.is_empty())
            {
                break;
            }
        }
        let done = prefix.items.len().saturating_sub(1);
        let first_open = seqs[done.min(seqs.len())..].iter().min();
        first_open.map_or(self.head, |seq| (seq - 1).max(self.head))
    }

    /// Says where the lane listens, when that changed.
    async fn listen(&mut self) -> Result<(), LedgerError> {
        let Some((work, _)) = &self.plan else {
            return Ok(());
        };
        let feed = self.target.connector.feed(work, &self.known, None);
        let key = feed.map(|feed| feed.key().to_owned());
        if self.known.get(FEED).unwrap_or("") == key.as_deref().unwrap_or("") {
            return Ok(());
        }
        self.write_proved().await?;
        self.engine
            .ledger
            .listen(self.lease, key.as_deref())
            .await?;
        let fact = Change::Set(FEED.to_owned(), key.unwrap_or_default());
        self.learn(Vec::new(), vec![fact], Vec::new()).await?;
        self.engine.feeds.look();
        Ok(())
    }

    fn refused(&self, refusal: Refusal) -> Release {
        match refusal {
            Refusal::Hold { stop, until } => self.leave(Next::Held { stop, until }, 0),
            Refusal::Park(stop) => self.park(stop),
        }
    }

    fn later(&self, after: Option<Duration>, stop: Stop) -> Release {
        let failures = if self.progressed {
            1
        } else {
            self.lease.attempts.saturating_add(1)
        };
        let jitter = rand::random::<f64>();
        // The first rejection of a credential is how a token's early end shows: a new one is
        // fetched and the call repeated at once.
        let first_rejection = stop.reason == Reason::Unauthorized && failures == 1;
        let wait = match after {
            _ if first_rejection => Duration::ZERO,
            Some(asked) => backoff::asked(asked, jitter),
            None => self.engine.settings.backoff.after(failures, jitter),
        };
        let at = Timestamp::now()
            + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_hours(24));
        self.leave(
            Next::Due {
                at,
                stop: Some(stop),
            },
            failures,
        )
    }

    fn park(&self, stop: Stop) -> Release {
        parked(
            self.lease,
            self.target,
            self.acknowledged_seq(),
            self.seen,
            stop,
        )
    }

    fn leave(&self, next: Next, attempts: u32) -> Release {
        let head = if next == Next::Idle {
            self.head
        } else {
            self.acknowledged_seq()
        };
        Release {
            head,
            seen: self.seen,
            next,
            attempts,
            events: Vec::new(),
        }
    }

    /// How long each handoff that is now shown took, from its event to here.
    fn measure(&self, loaded: &Loaded) {
        if !connectors::is_desk(self.target.kind) {
            return;
        }
        for (_, event) in &loaded.events {
            if matches!(event.data, Data::HandoffRequested(_)) {
                let took = Timestamp::now()
                    .duration_since(event.time)
                    .as_secs_f64()
                    .max(0.0);
                histogram!(names::HANDOFF_SECONDS, "target" => self.target.name.clone())
                    .record(took);
            }
        }
    }
}

fn parked(lease: &Lease, target: &Target, head: i64, seen: i64, stop: Stop) -> Release {
    let failed = HandoffFailed {
        target: target.name.clone(),
        reason: stop.reason.label().to_owned(),
        message: stop.message.clone(),
    };
    // Others are told when a CRM needs a person; a parked way back has told the rep already.
    let events = if !connectors::is_desk(target.kind) {
        Vec::new()
    } else {
        let id = format!("failed/{}", lease.epoch);
        vec![Engine::own_event(
            &lease.session,
            &target.name,
            &id,
            Data::HandoffFailed(failed),
        )]
    };
    Release {
        head,
        seen,
        next: Next::Parked { stop },
        attempts: lease.attempts,
        events,
    }
}

/// The result that decides what happens to the lane: a refusal, then a wait, then progress.
fn merge_outcomes(a: RoundOutcome, b: RoundOutcome) -> RoundOutcome {
    let rank = |wave: &RoundOutcome| match wave {
        RoundOutcome::Still => 0,
        RoundOutcome::Moved => 1,
        RoundOutcome::Defer(_) => 2,
        RoundOutcome::Later { .. } => 3,
        RoundOutcome::Park(_) => 4,
    };
    match (a, b) {
        (RoundOutcome::Later { after: x, stop }, RoundOutcome::Later { after: y, .. }) => {
            RoundOutcome::Later {
                after: x.max(y),
                stop,
            }
        }
        (RoundOutcome::Defer(x), RoundOutcome::Defer(y)) => RoundOutcome::Defer(x.max(y)),
        (a, b) => {
            if rank(&b) > rank(&a) {
                b
            } else {
                a
            }
        }
    }
}
