//! One simulator being served: its state behind a lock, and the signals that say that it changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handoffd_contract::sandbox::{Delivery, Request, Response, Sandbox};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::clock::Clock;
use super::faults::Faults;
use super::journal::{Entry, Journal};
use super::open::OpenStreams;
use super::rules::{Fault, Filter, Occasion, Place};

/// A body of this many bytes is handled on a thread for blocking work: parsing it takes a while.
pub(super) const LARGE: usize = 64 << 10;

/// Makes a simulator in its first state.
pub type Make = Box<dyn Fn() -> Box<dyn Sandbox> + Send + Sync>;

/// One simulator being served.
pub struct Served {
    name: String,
    address: SocketAddr,
    make: Make,
    state: Mutex<State>,
    journal: Mutex<Journal>,
    webhooks: Mutex<BTreeMap<String, u64>>,
    pub(super) open: Arc<OpenStreams>,
    /// How many streams were opened on connections that others share.
    pub(super) over_http2: AtomicU64,
    pub(super) clock: Clock,
    pub(super) faults: Arc<Faults>,
    /// Counts the changes of the simulator's state.
    changed: watch::Sender<u64>,
    /// Counts what is noted beside it: finished requests, faults, deliveries.
    noted: watch::Sender<u64>,
}

struct State {
    sandbox: Box<dyn Sandbox>,
    /// Counts resets: a delivery of before one is not reported to the simulator of after it.
    epoch: u64,
    switches: BTreeMap<String, Value>,
}

impl Served {
    pub(super) fn new(
        name: String,
        address: SocketAddr,
        make: Make,
        faults: Arc<Faults>,
        clock: Clock,
    ) -> Served {
        let sandbox = make();
        let noted = watch::Sender::default();
        Served {
            name,
            address,
            make,
            state: Mutex::new(State {
                sandbox,
                epoch: 0,
                switches: BTreeMap::new(),
            }),
            journal: Mutex::default(),
            webhooks: Mutex::default(),
            over_http2: AtomicU64::new(0),
            open: Arc::new(OpenStreams::new(noted.clone())),
            clock,
            faults,
            changed: watch::Sender::default(),
            noted,
        }
    }

    /// The simulator's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address as a URL, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        super::url(self.address)
    }

    /// Everything that a rep (or the customer) sees.
    #[must_use]
    pub fn view(&self) -> Value {
        self.state().sandbox.view()
    }

    /// Acts as a rep or a customer.
    ///
    /// # Errors
    /// What is wrong with the act, in the simulator's words.
    pub fn act(&self, act: &Value) -> Result<Value, String> {
        let done = self.state().sandbox.act(self.clock.now(), act);
        self.change();
        done
    }

    /// Sets a switch of the simulator.
    ///
    /// # Errors
    /// The switches there are, in the simulator's words.
    pub fn switch(&self, name: &str, value: &Value) -> Result<(), String> {
        let mut state = self.state();
        state.sandbox.switch(name, value)?;
        state.switches.insert(name.to_owned(), value.clone());
        drop(state);
        self.change();
        Ok(())
    }

    /// The value that a switch was set to since the last reset.
    pub(super) fn switched(&self, name: &str) -> Option<Value> {
        self.state().switches.get(name).cloned()
    }

    /// Puts the simulator back into its first state, empties the journal and cuts open streams.
    /// `keep_switches` sets again what was switched before.
    pub fn reset(&self, keep_switches: bool) {
        self.open
            .order(&Filter::default(), |order| order.cut = true);
        let mut state = self.state();
        state.sandbox = (self.make)();
        state.epoch += 1;
        let switches = std::mem::take(&mut state.switches);
        for (name, value) in switches.into_iter().filter(|_| keep_switches) {
            // A switch that was taken once is taken again: the simulator is the same.
            if state.sandbox.switch(&name, &value).is_ok() {
                state.switches.insert(name, value);
            }
        }
        drop(state);
        lock(&self.journal).clear();
        lock(&self.webhooks).clear();
        self.change();
    }

    /// What a client needs to use the simulator.
    #[must_use]
    pub fn credentials(&self) -> Value {
        self.state().sandbox.credentials(&self.base())
    }

    /// Counts of all requests, streams and webhooks: for a judge.
    #[must_use]
    pub fn counts(&self) -> Value {
        let mut counts = lock(&self.journal).counts();
        counts["open_streams"] = self.open.count().into();
        counts["streams_over_http2"] = self.over_http2.load(Ordering::Relaxed).into();
        counts["webhooks"] = json!(*lock(&self.webhooks));
        counts
    }

    /// The last requests, oldest first, from number `since` on; with the beginnings of their bodies if wanted.
    #[must_use]
    pub fn requests(&self, since: u64, bodies: bool) -> Vec<Value> {
        lock(&self.journal).list(since, bodies)
    }

    /// Lets the simulator handle a request; none when it panicked.
    pub(super) async fn handle(self: &Arc<Self>, request: Request) -> Option<Response> {
        if request.body.len() < LARGE {
            return self.handle_here(&request);
        }
        let served = Arc::clone(self);
        tokio::task::spawn_blocking(move || served.handle_here(&request))
            .await
            .ok()
            .flatten()
    }

    fn handle_here(&self, request: &Request) -> Option<Response> {
        let mut state = self.state();
        let handled = catch_unwind(AssertUnwindSafe(|| {
            state.sandbox.handle(self.clock.now(), request)
        }));
        drop(state);
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            self.change();
        }
        handled.ok()
    }

    /// The frames of a stream after a position, and whether the stream is to be closed after them.
    pub(super) fn frames(&self, key: &str, after: u64) -> (Vec<(u64, Vec<u8>)>, bool) {
        let now = self.clock.now();
        let mut state = self.state();
        (
            state.sandbox.frames(now, key, after),
            state.sandbox.closes(now, key),
        )
    }

    /// The webhooks that are due, and the epoch they are of.
    pub(super) fn deliveries(&self) -> (u64, Vec<Delivery>) {
        let mut state = self.state();
        (state.epoch, state.sandbox.deliveries(self.clock.now()))
    }

    /// How long it is until the next webhook is due, as far as is known now.
    pub(super) fn until_next_delivery(&self) -> Option<Duration> {
        let next = self.state().sandbox.next_delivery()?;
        let wait = Duration::try_from(next.duration_since(self.clock.now()));
        // What is due already is due now.
        Some(wait.unwrap_or_default())
    }

    /// What became of a delivery.
    pub(super) fn delivered(&self, epoch: u64, id: u64, status: Option<u16>) {
        let mut state = self.state();
        if state.epoch == epoch {
            state.sandbox.delivered(self.clock.now(), id, status);
        }
        drop(state);
        self.change();
    }

    /// Counts a webhook that was answered with a status, or with none.
    pub(super) fn webhook(&self, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *lock(&self.webhooks).entry(status).or_default() += 1;
        self.note();
    }

    /// The fault that strikes here, if any.
    pub(super) fn strike(
        &self,
        place: Place,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Option<Fault> {
        self.faults.strike(&Occasion {
            place,
            target: &self.name,
            method,
            path,
            body,
        })
    }

    /// Counts a fault that really happened.
    pub(super) fn happened(&self, kind: &'static str) {
        self.faults.happened(&self.name, kind);
        self.note();
    }

    pub(super) fn start(&self) -> u64 {
        lock(&self.journal).start()
    }

    pub(super) fn finish(&self, entry: Entry) {
        lock(&self.journal).finish(entry);
        self.note();
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn notes(&self) -> watch::Receiver<u64> {
        self.noted.subscribe()
    }

    fn change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn note(&self) {
        self.noted.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A simulator that panicked is still looked at: that is how one finds out why.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
