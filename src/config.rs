//! The configuration: one TOML file, environment overrides, secrets by file or environment.
//!
//! What is written is read once into [`Config`], a type that cannot be wrong; nothing is checked
//! again later. Every problem is reported at once, each with its path and its remedy, before any
//! port is bound. Unknown keys are problems.
//!
//! Overrides are `HANDOFFD__SECTION__KEY=value`, such as `HANDOFFD__INTAKE__AMQP__URL`; lists are
//! parted by commas. A target is named: `HANDOFFD__TARGET__HUBSPOT_EU__ENABLED=false` is for the
//! target `hubspot-eu`.

mod access;
mod conversation;
mod customer;
mod gateways;
mod intake;
mod media;
mod network;
mod notifications;
mod notify;
mod outbound;
mod problem;
mod proof;
mod reader;
mod secrets;
mod sections;
mod targets;
mod types;
pub mod units;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};
use serde_json::Value;

use crate::conversation::Terms;
pub use access::{AccessConfig, OpenIdConfig, ProxyConfig, Role, RoleRules, UserConfig};
pub use gateways::{DialectConfig, GatewaysConfig, On, Opening, SourceConfig};
pub use handoffd_contract::Problem;
use handoffd_contract::settings::Table;
pub use network::Network;
pub use notifications::{
    ChannelConfig, ChannelWay, EmailConfig, MailTls, NotificationsConfig, Quiet, Trouble,
};
pub use outbound::OutboundConfig;
pub(crate) use problem::problems_at;
pub use problem::{missing_secrets, problems_of_target, sort, tidy};
pub use proof::{Hash, Over, Proof};
pub use secrets::Secrets;
pub use types::{
    AmqpConfig, Breaker, Config, DaemonConfig, EngineConfig, ExchangeKind, HttpConfig,
    IntakeConfig, KeepFiles, LedgerConfig, Limits, LogConfig, LogFormat, MediaConfig, MediaSignIn,
    StreamProtocol, TargetConfig, TlsFiles, WhenDisabled,
};

/// What the environment's overrides begin with.
const PREFIX: &str = "HANDOFFD__";
/// What overrides of one target begin with.
const TARGET: &str = "HANDOFFD__TARGET__";

/// The process's environment, without variables that are not Unicode.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

/// Where a configuration is looked for when none is named, in this order.
pub const PLACES: [&str; 2] = ["./handoffd.toml", "/etc/handoffd/handoffd.toml"];

/// The configuration file: the one that is named, else the first that is there.
///
/// # Errors
/// None is named and none is there.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Problem> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let mut places = PLACES.iter().map(PathBuf::from);
    places.find(|place| place.exists()).ok_or_else(|| {
        Problem::with_remedy(
            "there is no configuration",
            format!("looked for {}", PLACES.join(" and ")),
            "name one with --config FILE or HANDOFFD_CONFIG",
        )
    })
}

/// Reads the file, if one is given, and what the environment overrides. Paths in the file are
/// relative to its folder.
///
/// # Errors
/// Every problem that was found, in the file's order of sections.
pub fn load(
    path: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Config, Vec<Problem>> {
    let (config, problems) = load_all(path, env)?;
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

/// Reads as [`load`] does and goes on after a problem: where one was found, the configuration has
/// the default. So what is wrong with the targets can be said together with it. Only a
/// configuration without problems may be used for anything else.
///
/// # Errors
/// There is nothing to go on with: the file cannot be read, or is not TOML.
pub fn load_all(
    path: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let text = match path {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            let name = path.display().to_string();
            vec![Problem::with_remedy(
                name,
                secrets::reason(&error),
                "name a readable file with --config",
            )]
        })?,
    };
    let folder = path
        .and_then(Path::parent)
        .unwrap_or(Path::new(""))
        .to_owned();
    let name = path.map_or_else(
        || "the configuration".into(),
        |path| path.display().to_string(),
    );
    read(&name, &text, &folder, env.collect())
}

fn read(
    name: &str,
    text: &str,
    folder: &Path,
    env: BTreeMap<String, String>,
) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let mut merged = merge(name, text, &env)?;
    let overrides = env
        .iter()
        .filter(|(key, _)| key.to_uppercase().starts_with(TARGET));
    let overrides = overrides
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let misplaced = targets::override_by_name(merged.get_mut("target"), &overrides);
    let problems = RefCell::new(misplaced);
    let mut warnings = Vec::new();
    let Some(mut top) = Table::new("", &merged, &problems) else {
        return Err(problems.into_inner());
    };

    let secrets = secrets::read(top.section("secrets"), folder, &env, &mut warnings);
    let daemon = sections::daemon(top.section("daemon"));
    let ledger = sections::ledger(
        top.section("ledger"),
        folder,
        &secrets,
        overridden("ledger.url", &env),
    );
    let given = |path: &str| merged.pointer(path).is_some_and(|value| !value.is_null());
    let others_sign_in = ["user", "openid", "proxy"]
        .iter()
        .any(|key| given(&format!("/access/{key}")));
    let proxies_are_named = given("/http/trusted_proxies");
    let http = sections::http(top.section("http"), folder, &secrets, others_sign_in);
    let access = access::access(top.section("access"), &secrets, proxies_are_named);
    let mut intake = top.section("intake");
    let mut dialects = Vec::new();
    let amqp = intake
        .has("amqp")
        .then(|| {
            let from_env = overridden("intake.amqp.url", &env);
            let mut amqp = intake.section("amqp");
            dialects = amqp.texts("dialects").unwrap_or_default();
            intake::amqp(amqp, folder, &secrets, from_env)
        })
        .flatten();
    let public_url = http.public_url.as_deref();
    let gateways = gateways::gateways(&mut intake, dialects, folder, &secrets, public_url);
    let limits = intake::limits(intake.section("limits"));
    // Asked for also when it is absent, so that it is among the known keys.
    intake.value("amqp");
    intake.finish();
    let engine = sections::engine(top.section("engine"));
    let mut section = top.section("conversation");
    let conversation = conversation::terms(&mut section, &Terms::default());
    let customer = customer::customer(&mut section);
    section.finish();
    let media = media::media(top.section("media"), &secrets);
    let proxy_from_env = overridden("outbound.proxy", &env);
    let outbound = outbound::outbound(top.section("outbound"), &secrets, &env, proxy_from_env);
    let notifications =
        notifications::notifications(top.section("notifications"), folder, &secrets);
    let log = sections::log(top.section("log"));
    let targets = targets::read(top.value("target"), folder, &conversation, &problems);
    top.finish();

    let mut problems = problems.into_inner();
    for problem in &mut problems {
        name_variable(problem, &env);
    }
    sort(&mut problems);
    warnings.extend(advice(&http, &targets));
    let config = Config {
        daemon,
        ledger,
        http,
        access,
        intake: IntakeConfig {
            amqp,
            limits,
            gateways,
        },
        engine,
        conversation,
        customer,
        media,
        outbound,
        notifications,
        log,
        targets,
        secrets,
        warnings,
    };
    Ok((config, problems))
}

/// The file with the environment's overrides laid over it.
fn merge(name: &str, text: &str, env: &BTreeMap<String, String>) -> Result<Value, Vec<Problem>> {
    // Parsed here first because the parser's own report shows the line, which may hold a secret.
    if let Err(error) = text.parse::<toml::Table>() {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let place = format!("{name}:{line}:{column}");
        return Err(vec![Problem::with_remedy(
            place,
            handoffd_contract::settings::not_toml(error.message()),
            "",
        )]);
    }
    let overrides: HashMap<String, String> = env
        .iter()
        .filter(|(key, _)| {
            key.to_uppercase().starts_with(PREFIX) && !key.to_uppercase().starts_with(TARGET)
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(
            Environment::with_prefix("HANDOFFD")
                .prefix_separator("__")
                .separator("__")
                .source(Some(overrides)),
        )
        .build()
        .and_then(config::Config::try_deserialize::<Value>)
        // The error's own words may repeat a value.
        .map_err(|_| {
            vec![Problem::with_remedy(
                name,
                "the environment's overrides do not fit the file",
                "write HANDOFFD__SECTION__KEY=value, one for each key",
            )]
        })
}

/// Line and column, from 1, of a byte in a text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// Says which variable a value came from, so that nobody searches the file for it.
fn name_variable(problem: &mut Problem, env: &BTreeMap<String, String>) {
    if overridden(&problem.path, env) {
        let variable = variable_of(&problem.path);
        // Behind what was found, before what to do about it.
        let at = problem.message.find("; ");
        let at = at.unwrap_or(problem.message.len());
        problem
            .message
            .insert_str(at, &format!(" (from {variable})"));
    }
}

/// Whether the environment gives the setting at this path.
fn overridden(path: &str, env: &BTreeMap<String, String>) -> bool {
    let variable = variable_of(path);
    env.keys().any(|key| key.to_uppercase() == variable)
}

/// The variable by which the environment gives the setting at this path.
fn variable_of(path: &str) -> String {
    let path = path.replace('.', "__").replace('-', "_").to_uppercase();
    format!("{PREFIX}{path}")
}

/// What is allowed but hardly meant.
fn advice(http: &HttpConfig, targets: &[TargetConfig]) -> Vec<Problem> {
    let mut advice = Vec::new();
    if !targets.iter().any(|target| target.enabled) {
        advice.push(Problem::with_remedy(
            "target",
            "no target is enabled",
            "events are stored and nothing else happens",
        ));
    }
    let same = http
        .events_token
        .as_ref()
        .zip(http.admin_token.as_ref())
        .is_some_and(|(a, b)| secrets::same(a, b));
    if same {
        let remedy = "use two, so that a producer of events is not an operator";
        advice.push(Problem::with_remedy(
            "http.admin_token",
            "the same secret as events_token",
            remedy,
        ));
    }
    advice
}
