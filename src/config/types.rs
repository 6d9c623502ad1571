//! The configuration as the daemon sees it: every value is within its bounds, every path resolved,
//! every secret read. Nothing here is checked again later.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::backoff::Backoff;
use crate::conversation::{CustomerRules, Terms};

use super::access::AccessConfig;
use super::gateways::GatewaysConfig;
use super::network::Network;
use super::notifications::NotificationsConfig;
use super::outbound::OutboundConfig;
use super::secrets::Secrets;
use handoffd_contract::Problem;

/// A configuration that cannot be wrong.
#[derive(Clone)]
pub struct Config {
    /// This daemon among others.
    pub daemon: DaemonConfig,
    /// Where everything is remembered.
    pub ledger: LedgerConfig,
    /// What is served over HTTP.
    pub http: HttpConfig,
    /// Who may ask for what.
    pub access: AccessConfig,
    /// How events come in.
    pub intake: IntakeConfig,
    /// How work is done.
    pub engine: EngineConfig,
    /// What holds for conversations when nothing happens, where a target says nothing else.
    pub conversation: Terms,
    /// What the customer is told, and by which words they answer.
    pub customer: CustomerRules,
    /// Which files may be fetched.
    pub media: MediaConfig,
    /// By which proxy calls leave.
    pub outbound: OutboundConfig,
    /// Who of the people is told what is not well.
    pub notifications: NotificationsConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The targets, in the file's order; disabled ones are among them.
    pub targets: Vec<TargetConfig>,
    /// Every secret, by name.
    pub secrets: Secrets,
    /// What is allowed but should not stay so, such as a secret that everybody may read.
    pub warnings: Vec<Problem>,
}

/// `[daemon]`
#[derive(Clone, PartialEq, Eq)]
pub struct DaemonConfig {
    /// This daemon's name in leases; unique among the daemons that share a ledger. The host's name
    /// and a random suffix unless given.
    pub name: String,
}

/// `[ledger]`
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// `sqlite:PATH` or `postgres://…`; the latter with its password, so it is never printed.
    pub url: String,
}

/// `[http]`
#[derive(Clone)]
pub struct HttpConfig {
    /// Where events and webhooks come in.
    pub listen: SocketAddr,
    /// Where health, metrics and the admin API are; strangers to `listen` cannot fill it.
    pub admin_listen: SocketAddr,
    /// Networks of proxies, whose connections are other people's.
    pub trusted_proxies: Vec<Network>,
    /// What `listen` speaks TLS with.
    pub tls: Option<TlsFiles>,
    /// The address by which others reach us, without a trailing slash; webhooks begin with it.
    pub public_url: Option<String>,
    /// What a producer must show to post events. Always there when `listen` is not loopback.
    pub events_token: Option<SecretString>,
    /// What an operator may show for the admin API. Where `admin_listen` is not loopback, it is there
    /// or `[access]` says who may ask.
    pub admin_token: Option<SecretString>,
    /// The longest request body, in bytes.
    pub max_body: u64,
}

/// What a target's event streams speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamProtocol {
    /// HTTP/2 where the server offers it in the TLS handshake, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1: a connection for every stream.
    Http1,
    /// HTTP/2 without asking, also without TLS.
    Http2,
}

/// `http.tls`: PEM files, which may change while the daemon runs.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, with its chain behind it.
    pub certificate: PathBuf,
    /// Its key, not encrypted.
    pub key: PathBuf,
}

/// `[intake]`
#[derive(Clone)]
pub struct IntakeConfig {
    /// RabbitMQ, when events come from there or replies go there.
    pub amqp: Option<AmqpConfig>,
    /// What an event may be like.
    pub limits: Limits,
    /// What gateways send in their own words.
    pub gateways: GatewaysConfig,
}

/// `[intake.amqp]`
#[derive(Clone)]
pub struct AmqpConfig {
    /// `amqp://` or `amqps://`, with the password in it.
    pub url: SecretString,
    /// Further nodes of the cluster, host and port, for when that one cannot be reached.
    pub nodes: Vec<(String, u16)>,
    /// Certificates (PEM) to trust beside the system's own; only with `amqps://`.
    pub ca_file: Option<PathBuf>,
    /// The exchange that our queue is bound to; none when somebody else binds it.
    pub exchange: Option<String>,
    /// The exchange's type.
    pub exchange_kind: ExchangeKind,
    /// Whether we declare the exchange; otherwise it must be there.
    pub declare_exchange: bool,
    /// Our queue.
    pub queue: String,
    /// The keys that bind it.
    pub routing_keys: Vec<String>,
    /// How many deliveries may be unacknowledged.
    pub prefetch: u16,
    /// How many events are stored and acknowledged together; at most `prefetch`.
    pub group: usize,
    /// How often the broker gives us a delivery again before it dead-letters it.
    pub delivery_limit: u32,
    /// Where the broker puts what exceeds `delivery_limit`.
    pub dead_letter_exchange: Option<String>,
    /// Waiting times between attempts to connect.
    pub reconnect: Backoff,
    /// The exchange that our own events and replies are published to.
    pub publish_exchange: String,
    /// How long a publisher confirm may take.
    pub confirm_timeout: Duration,
}

/// An exchange's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// `topic`
    Topic,
    /// `direct`
    Direct,
    /// `fanout`
    Fanout,
    /// `headers`
    Headers,
}

/// `[intake.limits]`: what an event may be like. One of more bytes becomes a dead letter; what is
/// beyond the other limits is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one event.
    pub max_event_bytes: usize,
    /// Messages of one transcript.
    pub max_messages: usize,
    /// Characters of one text.
    pub max_text: usize,
    /// Attachments of one message.
    pub max_attachments: usize,
    /// AI-filled fields.
    pub max_fields: usize,
    /// Characters of an id.
    pub max_id: usize,
    /// Stickers are shown. Otherwise one by itself is no message that anybody sees.
    pub stickers: bool,
    /// WhatsApp's own notices are shown, such as that the customer has another number.
    pub system_messages: bool,
    /// A reaction opens WhatsApp's window like a message, of which WhatsApp says nothing.
    pub reactions_open_window: bool,
}

/// `[engine]`
#[derive(Debug, Clone, PartialEq)]
pub struct EngineConfig {
    /// How long a lane or feed is ours without a renewal.
    pub lease: Duration,
    /// Events that are loaded at once for a lane.
    pub load_events: usize,
    /// Bytes of events that are loaded at once for a lane.
    pub load_bytes: usize,
    /// Waiting times after failures.
    pub backoff: Backoff,
    /// When a target's circuit opens, and for how long.
    pub breaker: Breaker,
    /// How long a graceful stop may take.
    pub drain: Duration,
}

/// When a circuit opens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// After so many failures of the target in a row.
    pub failures: u32,
    /// How long it stays open at first and at most; it doubles while the target keeps failing.
    pub backoff: Backoff,
}

/// `[media]`
#[derive(Clone)]
pub struct MediaConfig {
    /// Hosts that attachments may be fetched from: exact names, or suffixes beginning with a dot.
    /// Empty means every public host.
    pub allow_hosts: Vec<String>,
    /// Whether loopback and private addresses may be fetched from; for demos and tests.
    pub allow_private: bool,
    /// The largest file, in bytes.
    pub max_bytes: u64,
    /// How long fetching one file may take.
    pub timeout: Duration,
    /// How often a file that cannot be reached is tried before a line takes its place.
    pub tries: u32,
    /// What hosts are shown whose files want it.
    pub sign_in: Vec<MediaSignIn>,
    /// Which files are fetched at once and kept.
    pub keep: KeepFiles,
    /// How long they are kept.
    pub keep_for: Duration,
    /// How many bytes they take together at most.
    pub keep_bytes: u64,
}

/// Which files are fetched at once and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepFiles {
    /// Those of which a dialect says so.
    #[default]
    Dialects,
    /// None.
    Never,
    /// All that are at an address.
    Always,
}

/// `[media.sign_in.NAME]`
#[derive(Clone)]
pub struct MediaSignIn {
    /// Exact names, or suffixes beginning with a dot.
    pub hosts: Vec<String>,
    /// The header.
    pub header: String,
    /// Its value.
    pub value: SecretString,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// A level, or directives such as `info,handoffd::engine=debug`.
    pub level: String,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[[target]]`
#[derive(Clone, PartialEq)]
pub struct TargetConfig {
    /// The name: `[a-z0-9-]`, at most 40 characters, unique.
    pub name: String,
    /// The connector: one of [`KINDS`](crate::connectors::KINDS), or
    /// [`EVENTS`](crate::connectors::EVENTS).
    pub kind: String,
    /// The connector's own settings, an object; the connector checks them.
    pub settings: Value,
    /// The mapping's seed; it becomes version 1 when the ledger has none.
    pub mapping: Option<PathBuf>,
    /// Business numbers that this target serves; empty means all.
    pub numbers: Vec<String>,
    /// What holds for conversations here when nothing happens.
    pub conversation: Terms,
    /// Lanes that are worked on at once.
    pub concurrency: usize,
    /// How long one call may take.
    pub timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// What its event streams speak.
    pub stream_protocol: StreamProtocol,
    /// The most event streams on one HTTP/2 connection.
    pub streams_per_connection: usize,
    /// Whether it is worked on.
    pub enabled: bool,
    /// What becomes of its events while it is not.
    pub when_disabled: WhenDisabled,
    /// The target whose setting `notify` it stands for: it gets that one's conversations and no others.
    pub beside: Option<String>,
}

/// What becomes of a disabled target's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDisabled {
    /// They wait until it is enabled.
    Wait,
    /// They open nothing there.
    Drop,
}

impl Config {
    /// The targets that are worked on.
    pub fn enabled(&self) -> impl Iterator<Item = &TargetConfig> {
        self.targets.iter().filter(|target| target.enabled)
    }

    /// Every configured target's name, and whether it is enabled.
    #[must_use]
    pub fn presence(&self) -> Vec<(String, bool)> {
        let targets = self.targets.iter();
        targets
            .map(|target| (target.name.clone(), target.enabled))
            .collect()
    }

    /// The target with this name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&TargetConfig> {
        self.targets.iter().find(|target| target.name == name)
    }
}

impl TargetConfig {
    /// Whether this target serves a business number; a leading `+` does not matter.
    #[must_use]
    pub fn serves(&self, business_number: &str) -> bool {
        let bare = |number: &str| number.trim().trim_start_matches('+').to_owned();
        self.numbers.is_empty()
            || self
                .numbers
                .iter()
                .any(|number| bare(number) == bare(business_number))
    }
}

impl ExchangeKind {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ExchangeKind::Topic => "topic",
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Headers => "headers",
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_event_bytes: 8 << 20,
            max_messages: 5_000,
            max_text: 100_000,
            max_attachments: 30,
            max_fields: 200,
            max_id: 200,
            stickers: false,
            system_messages: false,
            reactions_open_window: false,
        }
    }
}

impl std::fmt::Debug for LedgerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("LedgerConfig")
            .field("url", &format_args!("{scheme}:…"))
            .finish()
    }
}

/// Of free texts nothing is shown: each may hold a secret in the wrong place.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("ledger", &self.ledger)
            .field("engine", &self.engine)
            .field("targets", &self.targets)
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

/// Without the settings: what is wrong in them may be a secret in the wrong place.
impl std::fmt::Debug for TargetConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}
