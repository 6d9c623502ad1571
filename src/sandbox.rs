//! The simulators over HTTP: each on its own port, with faults on demand, and a control API beside them.
//!
//! A simulator ([`handoffd_contract::sandbox::Sandbox`]) is a pure state machine. This module gives it what it lacks: a
//! socket, a clock, open event streams, webhooks that really go out, and a network that misbehaves by rule.
//!
//! ```text
//! client ──HTTP──► wire ─► http ─► fault? ─► simulator ─► fault? ─► answer, or an event stream (streams)
//!                             └──► journal                  └─ change ─► streams, webhooks, waits
//! control ─HTTP──► control ─► view, act, switch, wait, requests, reset, faults, clock
//! ```
//!
//! # The control API
//!
//! JSON in and out; an error is `{"error": "…"}` with 400, 404 or, for a wait, 408. There is no sign-in.
//!
//! | endpoint | what it does |
//! | --- | --- |
//! | `GET /` | the endpoints and the simulators' base addresses |
//! | `GET /credentials`, `GET /{target}/credentials` | settings and secrets for a client |
//! | `GET /{target}/view` | everything that a rep (for WhatsApp: the customer) sees |
//! | `POST /{target}/act` | acts as a rep or a customer; the acts are listed in each connector's README |
//! | `POST /{target}/switch` | `{"name": …, "value": …}`: a documented uncertainty, or where webhooks go. A switch `chunk_bytes` also makes this server cut event streams into pieces of so many bytes |
//! | `GET /{target}/wait?pointer=/a/0` | waits until the JSON pointer leads to something; `equals=…` to just this; `at_least=n` to as many; `of=view` (default), `requests` or `faults`; `timeout_ms=10000`, at most 120,000. Answers `{"value": …}`, or 408 with what was there |
//! | `GET /{target}/requests` | `counts`, which are complete, and the last 2,000 `requests`; `since=n` from that number on; `bodies=1` with the first 64 KiB of the bodies, of which 8 MiB are kept; `list=0` only counts |
//! | `POST /{target}/reset` | a new simulator, an empty journal, streams cut; `{"keep_switches": true}` sets the switches again |
//! | `GET /faults` | the rules, with how often each was `seen` and `struck`; what really `happened`, per simulator and kind |
//! | `POST /faults` | a rule, or an array of them; answers with its `id` |
//! | `DELETE /faults` | lifts all rules, or those of `?target=`; the counters stay |
//! | `GET`, `POST /clock` | the simulators' time; `{"offset_ms": …}` sets it ahead of the system's |
//!
//! In `counts`, `in_flight` and `max_in_flight` count requests from their head to the beginning of their answer;
//! `streams_over_http2` counts event streams that were opened on a connection which others share: every port speaks HTTP/1.1,
//! and HTTP/2 to whoever begins with it;
//! `shapes` counts per method and path with ids left out, each with its statuses (or `dropped`, `left`).
//!
//! # Fault rules
//!
//! ```json
//! {"target": "hubspot", "match": {"method": "POST", "path_contains": "/notes", "body_contains": "…"},
//!  "skip": 0, "times": 3, "rate": 0.05, "seed": 7, "fault": {"kind": "status", "status": 503, "body": "…"}}
//! ```
//!
//! Everything but `target` (`*` for all) and `fault` may be left out. The kinds are those of [`Fault`], in snake case, with
//! its fields. Every rule counts every occasion that matches it; the oldest that is due strikes, alone. With `rate`, the
//! same rule, seed and sequence of occasions give the same faults.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use handoffd_contract::sandbox::Sandbox;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::control::Control;
use self::faults::Faults;
use self::http::Site;
use self::served::Make;
use self::wire::{Peer, Wire};

pub use self::clock::Clock;
pub use self::command::{Args, command};
pub use self::rules::{Answer, Fault, Filter, Rule, When};
pub use self::served::Served;
pub use self::wait::{Of, Wait};

mod body;
mod clock;
mod command;
mod control;
mod faults;
mod http;
mod journal;
mod open;
mod rules;
mod served;
mod streams;
mod ticket;
mod wait;
mod webhooks;
mod wire;

/// How long connections may take to end by themselves after a stop.
const GRACE: Duration = Duration::from_secs(2);

/// What is served where.
pub struct Options {
    targets: Vec<(String, SocketAddr, Make)>,
    control: SocketAddr,
    /// The simulators' clock.
    pub clock: Clock,
    /// The most bytes of a request's body; more is answered with 413.
    pub max_body: usize,
    /// The most bytes that large bodies may take together while they are read and handled.
    pub memory: usize,
}

impl Options {
    /// No simulator yet; the control API at this address, where port 0 takes a free one.
    #[must_use]
    pub fn new(control: SocketAddr) -> Options {
        Options {
            targets: Vec::new(),
            control,
            clock: Clock::real(),
            max_body: 120 << 20,
            memory: 256 << 20,
        }
    }

    /// Serves a simulator too. `make` makes it in its first state, at the start and at each reset.
    #[must_use]
    pub fn target(
        mut self,
        name: &str,
        address: SocketAddr,
        make: impl Fn() -> Box<dyn Sandbox> + Send + Sync + 'static,
    ) -> Options {
        self.targets
            .push((name.to_owned(), address, Box::new(make)));
        self
    }
}

/// Why the simulators cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be bound.
    #[error("cannot listen on {address} for {what}: {source}")]
    Bind {
        /// For which simulator, or for the control API.
        what: String,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Two simulators have one name.
    #[error("two simulators are named {0:?}")]
    Twice(String),
    /// The client for webhooks cannot be made.
    #[error("the client for webhooks: {0}")]
    Client(#[from] reqwest::Error),
}

/// Simulators that are being served.
pub struct Running {
    control: Arc<Control>,
    address: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
    force: CancellationToken,
}

/// Binds every address, then serves until `stop`.
///
/// # Errors
/// See [`Error`]. Nothing is served then.
pub async fn serve(options: Options, stop: CancellationToken) -> Result<Running, Error> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?;
    let faults = Arc::new(Faults::default());
    let mut bound = Vec::new();
    let mut targets = BTreeMap::new();
    for (name, address, make) in options.targets {
        let (listener, address) = bind(&name, address).await?;
        let served = Arc::new(Served::new(
            name.clone(),
            address,
            make,
            Arc::clone(&faults),
            options.clock.clone(),
        ));
        if targets.insert(name.clone(), Arc::clone(&served)).is_some() {
            return Err(Error::Twice(name));
        }
        bound.push((listener, served));
    }
    let (listener, address) = bind("the control API", options.control).await?;

    let tasks = TaskTracker::new();
    let force = CancellationToken::new();
    let memory = Arc::new(Semaphore::new(options.memory.max(options.max_body) >> 10));
    for (listener, served) in bound {
        tasks.spawn(webhooks::run(
            Arc::clone(&served),
            client.clone(),
            stop.clone(),
        ));
        let site = Site {
            served,
            max_body: options.max_body,
            memory: Arc::clone(&memory),
            stop: stop.clone(),
        };
        let service = http::router(site).into_make_service_with_connect_info::<Peer>();
        let wire = Wire {
            listener,
            stop: force.clone(),
        };
        tasks.spawn(
            axum::serve(wire, service)
                .with_graceful_shutdown(stop.clone().cancelled_owned())
                .into_future(),
        );
    }
    let control = Arc::new(Control {
        targets,
        faults,
        clock: options.clock,
    });
    let service = control::router(Arc::clone(&control)).into_make_service();
    let wire = Wire {
        listener,
        stop: force.clone(),
    };
    tasks.spawn(
        axum::serve(wire, service)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future(),
    );
    tasks.close();
    Ok(Running {
        control,
        address,
        tasks,
        stop,
        force,
    })
}

impl Running {
    /// The control API's address.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.address
    }

    /// The simulators, by name.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.control.targets.values()
    }

    /// One simulator: to look at it, to act, to switch, to wait.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&Arc<Served>> {
        self.control.targets.get(name)
    }

    /// Sets a switch that is given as `target.name=value`; the value is JSON, or a text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn switch(&self, switch: &str) -> Result<(), String> {
        let parted = switch
            .split_once('=')
            .and_then(|(place, value)| Some((place.split_once('.')?, value)));
        let Some(((target, name), value)) = parted else {
            return Err("write TARGET.NAME=VALUE, such as salesforce.capacity=status".to_owned());
        };
        let served = self
            .target(target)
            .ok_or_else(|| format!("no simulator is named {target:?}"))?;
        let as_text = || served.switch(name, &Value::from(value));
        // `409` is a word of some switches and a number of others.
        match serde_json::from_str::<Value>(value) {
            Ok(read) => served.switch(name, &read).or_else(|_| as_text()),
            Err(_) => as_text(),
        }
    }

    /// What a client needs, by simulator.
    #[must_use]
    pub fn credentials(&self) -> Value {
        self.control.credentials()
    }

    /// Puts a fault rule in force, or carries out one that strikes at once.
    ///
    /// # Errors
    /// What is wrong with the rule.
    pub fn fault(&self, rule: Rule) -> Result<Value, String> {
        self.control.add(rule)
    }

    /// Lifts every fault rule, of one simulator or of all.
    pub fn clear_faults(&self, target: Option<&str>) {
        self.control.faults.clear(target);
    }

    /// The fault rules, and how often each fault really happened.
    #[must_use]
    pub fn faults(&self) -> Value {
        self.control.faults.report()
    }

    /// The simulators' clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.control.clock
    }

    /// Waits until everything has ended, which begins with the stop; cuts what takes longer than two seconds.
    pub async fn join(&self) {
        self.stop.cancelled().await;
        if tokio::time::timeout(GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            self.force.cancel();
            self.tasks.wait().await;
        }
    }
}

async fn bind(what: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Bind {
        what: what.to_owned(),
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The base URL of what listens at an address, as seen from the same machine.
fn url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}")
}
