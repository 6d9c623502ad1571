//! The daemon, put together from its configuration.

mod beside;
mod broker;
mod connect;
mod deadlines;
mod examine;
mod figures;
mod notices;
mod pages;
mod people;
mod routes;
mod site;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwapOption;
use axum::{Router, middleware};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

pub use self::connect::{Connected, connect};
pub use self::examine::{Examined, examine};
use self::notices::Switches;
pub use self::routes::router;
use self::site::Site;
use crate::access::{self, Access, guard_api};
use crate::admin::{self, Admin};
use crate::availability::{self, Desks};
use crate::config::{Config, TargetConfig};
use crate::connectors;
use crate::conversation::Rules;
use crate::crm_schema;
use crate::editor::Editor;
use crate::engine::plan::Mappings;
use crate::engine::{Engine, Left, Settings};
use crate::intake::amqp;
use crate::intake::dialects::Versions;
use crate::intake::http::HttpIntake;
use crate::intake::{Dialects, Gate, door};
use crate::ledger::{self, Ledger, MappingLedger};
use crate::mapping::Mapping;
use crate::notifications::Notifier;
use crate::open_feeds::OpenFeeds;
use crate::publisher::Publisher;
use crate::relay::feeds;
use crate::relay::webhooks::{self, Verifier};
use crate::relay::{Relay, webhook_queue};
use crate::serving::{Bounds, Certificate};
use crate::target::Target;
use crate::wire::breaker::Breaker;
use crate::wire::credential::SignIn;
use crate::wire::keep::Keeper;
use crate::wire::media::AttachmentFetcher;
use crate::wire::policy::Policy;
use crate::wire::rate::Budgets;
use crate::wire::streams::Sharing;
use crate::wire::{Options, Wire};

/// A target's wire.
///
/// # Errors
/// A secret does not have its shape, or the base address does not parse.
pub fn wire(
    config: &Config,
    connected: &Connected,
    library: &Arc<AttachmentFetcher>,
) -> anyhow::Result<Wire> {
    let target = &connected.config;
    let secret = |name: &str| config.secrets.get(name).cloned();
    let sign_in = SignIn::new(
        connected.connector.credential(),
        target.timeout,
        &config.outbound,
        secret,
    )
    .map_err(|why| anyhow!("target.{}: {why}", target.name))?;
    let base = Url::parse(connected.connector.base())
        .with_context(|| format!("target.{}: the base address does not parse", target.name))?;
    let options = Options {
        base,
        timeout: target.timeout,
        connect_timeout: target.connect_timeout,
        outbound: config.outbound.clone(),
        sharing: Sharing {
            protocol: target.stream_protocol,
            per_connection: target.streams_per_connection,
            ..Sharing::default()
        },
    };
    Wire::new(options, sign_in, Arc::clone(library))
        .map_err(|why| anyhow!("target.{}: {why}", target.name))
}

/// Where attachments may come from: the configured hosts, and every CRM's own file hosts.
///
/// # Errors
/// The TLS library could not be set up.
pub fn library(config: &Config, connected: &[Connected]) -> anyhow::Result<Arc<AttachmentFetcher>> {
    let mut allow_hosts = config.media.allow_hosts.clone();
    if !allow_hosts.is_empty() {
        allow_hosts.extend(connected.iter().flat_map(|one| one.connector.file_hosts()));
    }
    let policy = Policy {
        allow_hosts,
        allow_private: config.media.allow_private,
    };
    let fetcher = AttachmentFetcher::new(
        policy,
        config.media.timeout,
        config.media.max_bytes,
        &config.outbound,
    )?;
    Ok(Arc::new(fetcher.signing_in(config.media.sign_in.clone())))
}

/// How often it is looked whether a mapping or dialect was applied.
const VERSIONS_EVERY: Duration = Duration::from_secs(3);

/// The daemon, ready to run.
pub struct App {
    /// Where events and webhooks come in.
    pub address: SocketAddr,
    /// Where health, metrics and the admin API are.
    pub admin_address: SocketAddr,
    engine: Arc<Engine>,
    relay: Relay,
    ledger: Arc<dyn Ledger>,
    intake: Option<amqp::AmqpIntake>,
    switches: Switches,
    versions: Versions<dyn Ledger>,
    /// Who fetches files at once.
    keeper: Keeper,
    /// Who tells people what is not well, if anybody is told.
    notifier: Option<Notifier>,
    public: Site,
    admin: Site,
    /// Ends the streams of the admin API.
    streams: CancellationToken,
    /// The names of disabled targets.
    disabled: Vec<String>,
}

impl App {
    /// Puts everything together, opens the ledger and binds the ports. Nothing is worked on yet.
    ///
    /// # Errors
    /// What is wrong with the configuration, the ledger or the address.
    pub async fn new(config: &Config) -> anyhow::Result<App> {
        App::with(config, None).await
    }

    /// The same with a playground beside the admin API: its routes, which stand behind the same guard.
    ///
    /// # Errors
    /// As for [`App::new`].
    pub async fn with(config: &Config, playground: Option<Router>) -> anyhow::Result<App> {
        let connected =
            connect(config).map_err(|problems| anyhow!("{}", crate::config::tidy(&problems)))?;
        let ledger = ledger::open(&config.ledger.url)
            .await
            .context("the ledger cannot be opened")?;
        seed(&*ledger, &connected).await?;
        beside::open(&*ledger, config)
            .await
            .context("lanes of those who are told of events")?;
        let mut switches = Switches::new(ledger.clone(), rules(config));
        switches.look().await.context("the mappings")?;

        let library = library(config, &connected)?;
        library.look_first_in(ledger.clone());
        let keeper = Keeper {
            ledger: ledger.clone(),
            library: Arc::clone(&library),
            daemon: config.daemon.name.clone(),
            keep_for: config.media.keep_for,
            keep_bytes: config.media.keep_bytes,
        };
        let mut targets = BTreeMap::new();
        let mut verifiers = BTreeMap::new();
        for one in &connected {
            let wire = Arc::new(wire(config, one, &library)?);
            let secret = |name: &str| -> Option<SecretString> { config.secrets.get(name).cloned() };
            if let Some(auth) = one.connector.webhook() {
                let verifier = Verifier::new(auth, secret)
                    .map_err(|why| anyhow!("target.{}: {why}", one.config.name))?;
                verifiers.insert(one.config.name.clone(), verifier);
            }
            targets.insert(one.config.name.clone(), Arc::new(target(config, one, wire)));
        }
        library.register(targets.iter().map(|(name, target)| {
            (
                name.clone(),
                Arc::clone(&target.connector),
                Arc::clone(&target.wire),
            )
        }));

        for target in targets.values() {
            crm_schema::look(&*ledger, target)
                .await
                .context("what the CRMs' records can hold")?;
        }

        let notifier = people::notifier(config, &ledger, &targets).map_err(|why| anyhow!(why))?;
        let desks = Arc::new(Desks::new(&targets));
        let feeds = Arc::new(OpenFeeds::default());
        let engine = Arc::new(Engine {
            ledger: ledger.clone(),
            versions: ledger.clone(),
            targets: targets.clone(),
            publisher: Publisher::new(config.intake.amqp.clone()),
            library,
            mappings: Mappings::default(),
            feeds,
            settings: Settings {
                daemon: config.daemon.name.clone(),
                lease: config.engine.lease,
                load_events: config.engine.load_events,
                load_bytes: config.engine.load_bytes,
                backoff: config.engine.backoff,
                media_tries: config.media.tries,
                drain: config.engine.drain,
            },
            room: Notify::new(),
        });
        let relay = Relay {
            ledger: ledger.clone(),
            webhooks: ledger.clone(),
            targets,
            daemon: config.daemon.name.clone(),
            lease: config.engine.lease,
            backoff: config.engine.backoff,
        };
        let router = Arc::new(router(config, &connected));
        let gate = Gate {
            ledger: ledger.clone(),
            router,
            dialects: Arc::new(Dialects::new(&config.intake.gateways).keeping(config.media.keep)),
            limits: config.intake.limits,
        };
        let mut versions = Versions::new(ledger.clone(), Arc::clone(&gate.dialects));
        versions.look().await.context("the dialects")?;
        let intake = config
            .intake
            .amqp
            .clone()
            .map(|amqp| amqp::AmqpIntake::new(gate.clone(), amqp));
        let state = intake.as_ref().map(amqp::AmqpIntake::state);
        let http = HttpIntake {
            gate: gate.clone(),
            token: config.http.events_token.clone(),
            max_body: usize::try_from(config.http.max_body).unwrap_or(usize::MAX),
        };
        let access = Access::new(config, config.http.admin_listen, ledger.clone());
        let access = Arc::new(access.map_err(|why| anyhow!(why))?);
        let editor = Editor {
            mappings: ledger.clone(),
            ledger: ledger.clone(),
            operators: ledger.clone(),
            targets: engine.targets.clone(),
            dialects: Arc::clone(&gate.dialects),
            audit: access.audit().clone(),
        };
        let admin = Admin {
            ledger: ledger.clone(),
            webhooks: ledger.clone(),
            view: ledger.clone(),
            searches: Default::default(),
            streams: Default::default(),
            unmasked: Default::default(),
            engine: Arc::clone(&engine),
            broker: state,
            access: Arc::clone(&access),
            gate: gate.clone(),
            prometheus: admin::prometheus(),
            amqp: config.intake.amqp.clone(),
            configured: config.presence(),
            editor: Arc::new(editor),
        };
        let routes = crate::intake::http::routes(Arc::new(http))
            .merge(webhooks::routes(ledger.clone(), verifiers))
            .merge(availability::routes(
                Arc::clone(&desks),
                config.http.events_token.clone(),
            ))
            .merge(door::routes(gate, &config.intake.gateways.sources));
        let bounds = Bounds {
            proxies: config.http.trusted_proxies.clone(),
            ..Bounds::default()
        };
        let (listen, admin_listen) = (config.http.listen, config.http.admin_listen);
        let certificate = config.http.tls.as_ref().map(Certificate::read).transpose();
        let certificate = certificate.context("http.tls")?;
        let public = Site::bind(listen, routes, bounds, certificate)
            .await
            .with_context(|| format!("http.listen: {listen} cannot be bound"))?;
        let has_playground = playground.is_some();
        let beside = availability::unguarded(desks).merge(playground.unwrap_or_default());
        let beside = beside.route_layer(middleware::from_fn_with_state(
            Arc::clone(&access),
            guard_api,
        ));
        let streams = admin.streams.stop.clone();
        let routes = admin::routes(Arc::new(admin))
            .merge(beside)
            .merge(access::routes(Arc::clone(&access)));
        let routes = pages::over(config, access, routes, has_playground);
        let routes = routes.map_err(|why| anyhow!("the console: {why}"))?;
        let admin = Site::bind(admin_listen, routes, Bounds::for_operators(), None)
            .await
            .with_context(|| format!("http.admin_listen: {admin_listen} cannot be bound"))?;
        Ok(App {
            address: public.address()?,
            admin_address: admin.address()?,
            engine,
            relay,
            ledger,
            intake,
            switches,
            versions,
            keeper,
            notifier,
            public,
            admin,
            streams,
            disabled: config
                .targets
                .iter()
                .filter(|target| !target.enabled)
                .map(|target| target.name.clone())
                .collect(),
        })
    }

    /// What the daemon remembers.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger)
    }

    /// Works until stopped; then takes nothing more in and finishes what is under way.
    ///
    /// # Errors
    /// The HTTP server failed.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<Left> {
        let tasks = TaskTracker::new();
        if let Some(intake) = self.intake {
            tasks.spawn(intake.run(stop.clone()));
        }
        tasks.spawn(feeds::run(
            Arc::clone(&self.engine.feeds),
            self.relay.clone(),
            stop.clone(),
        ));
        tasks.spawn(webhook_queue::run(self.relay, stop.clone()));
        tasks.spawn(deadlines::run(self.ledger.clone(), stop.clone()));
        tasks.spawn(figures::run(self.ledger.clone(), stop.clone()));
        let (stopping, streams) = (stop.clone(), self.streams);
        tasks.spawn(async move {
            stopping.cancelled().await;
            streams.cancel();
        });
        tasks.spawn(look_for_versions(
            self.switches,
            self.versions,
            stop.clone(),
        ));
        tasks.spawn(self.keeper.run(stop.clone()));
        tasks.spawn(crm_schema::keep(
            self.ledger.clone(),
            self.engine.targets.clone(),
            stop.clone(),
        ));
        if let Some(notifier) = self.notifier {
            tasks.spawn(notifier.run(stop.clone()));
        }
        let targets = self.engine.targets.keys().cloned().collect();
        tasks.spawn(admin::upkeep(
            self.ledger,
            targets,
            self.disabled,
            stop.clone(),
        ));
        let public = tokio::spawn(self.public.serve(stop.clone()));
        let admin = tokio::spawn(self.admin.serve(stop.clone()));
        let left = self.engine.run(stop).await;
        tasks.close();
        // Everything that is left only listens; what it held is given back by leases that run out.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), tasks.wait()).await;
        let served = async { (public.await, admin.await) };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), served).await;
        Ok(left)
    }
}

/// By what conversations move.
#[must_use]
pub fn rules(config: &Config) -> Rules {
    let is_desk = |target: &&TargetConfig| connectors::is_desk(&target.kind);
    let named = |target: &TargetConfig| (target.name.clone(), target.conversation.clone());
    let (desks, others): (Vec<_>, Vec<_>) = config.targets.iter().partition(is_desk);
    let starts = |target: &TargetConfig| {
        connectors::is_events(&target.kind)
            && connectors::tells(&target.settings, "conversation.started")
    };
    Rules {
        without_reps: others.iter().map(|target| target.name.clone()).collect(),
        general: config.conversation.clone(),
        own: desks.into_iter().map(named).collect(),
        customer: config.customer.clone(),
        starts: config.enabled().any(starts),
    }
}

fn target(config: &Config, one: &Connected, wire: Arc<Wire>) -> Target {
    let breaker = config.engine.breaker;
    Target {
        name: one.config.name.clone(),
        kind: one.kind,
        connector: Arc::clone(&one.connector),
        wire,
        permits: Arc::new(Semaphore::new(one.config.concurrency)),
        concurrency: one.config.concurrency,
        last_heard: AtomicI64::new(0),
        breaker: Breaker::new(breaker.failures, breaker.backoff),
        budgets: Budgets::new(one.connector.budgets()),
        schema: ArcSwapOption::empty(),
    }
}

/// Reads the mapping of a target of this kind.
///
/// # Errors
/// What is wrong with it, one by one; also that it is for another kind of target.
pub fn mapping_of(kind: &str, file: &str, text: &str) -> Result<Mapping, Vec<String>> {
    let mapping = Mapping::parse(file, text)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    if mapping.kind() == kind {
        Ok(mapping)
    } else {
        Err(vec![format!(
            "{file}: it is a mapping for {}, and the target is {kind}",
            mapping.kind(),
        )])
    }
}

/// Puts mappings and dialects in force that are applied while the daemon runs, until stopped.
async fn look_for_versions(
    mut switches: Switches,
    mut versions: Versions<dyn Ledger>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(VERSIONS_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let (notices, dialects) = (switches.look().await, versions.look().await);
        if let Err(error) = notices.and(dialects) {
            tracing::warn!(%error, "whether mappings or dialects have changed could not be seen");
        }
    }
}

/// Gives every target its first mapping: the configured file, else the shipped one. Later versions
/// are applied by people.
async fn seed(ledger: &dyn MappingLedger, connected: &[Connected]) -> anyhow::Result<()> {
    for one in connected {
        let name = &one.config.name;
        let (text, from) = match &one.config.mapping {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| {
                    format!("target.{name}.mapping: {} cannot be read", path.display())
                })?;
                (text, "the configured file")
            }
            None => {
                let kind = connectors::kind(one.kind)
                    .ok_or_else(|| anyhow!("no such connector: {}", one.kind))?;
                if kind.mapping.is_empty() {
                    continue;
                }
                (kind.mapping.to_owned(), "the shipped mapping")
            }
        };
        mapping_of(one.kind, &format!("{name}.toml"), &text)
            .map_err(|words| anyhow!("target.{name}.mapping:\n  {}", words.join("\n  ")))?;
        match ledger.mapping_get(name, None).await? {
            None => {
                // Two daemons that start at once both try; the second finds version 1 there.
                match ledger
                    .mapping_put(Timestamp::now(), name, &text, "handoffd", from, Some(0))
                    .await
                {
                    Ok(_) | Err(ledger::LedgerError::Conflict(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Some(row) if row.text != text && one.config.mapping.is_some() => tracing::info!(
                target_name = %name,
                version = row.version,
                "the mapping file differs from the version in force; `handoffd mapping apply` puts it in force"
            ),
            Some(_) => {}
        }
    }
    Ok(())
}
