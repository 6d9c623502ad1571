//! Everything about a configuration that can be known to be wrong without asking anybody: the
//! daemon's own sections, the secrets, and each target's settings, keys and mapping, in one list.

use std::path::Path;

use handoffd_contract::WebhookAuth;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use super::connect::{Connected, connect_all};
use super::mapping_of;
use crate::config::{self, Config, Problem, TargetConfig};
use crate::connectors;
use crate::notifications::channels::Channels;
use crate::relay::webhooks;
use crate::serving::Certificate;
use crate::wire::credential::SignIn;

/// A configuration as far as it could be read, and what is wrong with it.
pub struct Examined {
    /// The configuration; it has defaults where there are problems.
    pub config: Config,
    /// The connectors that could be made.
    pub connected: Vec<Connected>,
    /// What the daemon refuses to start with, sorted by part.
    pub problems: Vec<Problem>,
    /// What the daemon starts with all the same and `check` refuses: something will not arrive, or
    /// is not safe. Sorted by part.
    pub doubts: Vec<Problem>,
}

/// Reads a configuration, makes its targets' connectors and gathers the problems of every part.
///
/// # Errors
/// There is nothing to examine: the file cannot be read, or is not TOML.
pub fn examine(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Examined, Vec<Problem>> {
    let (config, mut problems) = config::load_all(Some(path), env)?;
    // A broker that was written wrong is not a broker that is missing.
    let broker_is_wrong = problems
        .iter()
        .any(|problem| problem.path.starts_with("intake"));
    let (connected, of_targets) = connect_all(&config, broker_is_wrong);
    problems.extend(of_targets);
    problems.extend(connected.iter().filter_map(|one| key(&config, one)));
    problems.extend(certificate(&config));
    problems.extend(channels(&config));
    for target in config.enabled() {
        // A file that cannot be opened was reported where it was read.
        let known = format!("target.{}.mapping", target.name);
        if !problems.iter().any(|problem| problem.path == known) {
            problems.extend(mapping(&known, target));
        }
    }
    let mut doubts: Vec<Problem> = config
        .enabled()
        .filter_map(|t| no_way_back(&config, t))
        .collect();
    doubts.extend(guessable_sources(&config));
    for one in &connected {
        doubts.extend(guessable(&config, one));
        doubts.extend(astray(one));
    }
    config::sort(&mut problems);
    config::sort(&mut doubts);
    Ok(Examined {
        config,
        connected,
        problems,
        doubts,
    })
}

/// A certificate that the public listener cannot show.
fn certificate(config: &Config) -> Option<Problem> {
    let unusable = Certificate::read(config.http.tls.as_ref()?).err()?;
    let remedy = "name two readable PEM files: the certificate with its chain, and its key";
    Some(Problem::with_remedy(
        "http.tls",
        unusable.to_string(),
        remedy,
    ))
}

/// A channel for people that cannot be made.
fn channels(config: &Config) -> Option<Problem> {
    let (name, why) = Channels::new(&config.notifications, &config.outbound).err()?;
    let path = format!("notifications.channel.{name}");
    Some(Problem::with_remedy(path, why, ""))
}

/// A CRM whose reps' replies no target takes to WhatsApp.
fn no_way_back(config: &Config, target: &TargetConfig) -> Option<Problem> {
    if !connectors::is_desk(&target.kind) {
        return None;
    }
    let path = format!("target.{}", target.name);
    let remedy = "add an enabled target of kind whatsapp that serves the same business numbers";
    // One whose kind is written wrong may have been meant.
    if config.enabled().any(|target| target.kind.is_empty()) {
        return None;
    }
    let exits: Vec<&TargetConfig> = config
        .enabled()
        .filter(|t| connectors::is_way_back(&t.kind))
        .collect();
    if exits.is_empty() {
        let found = "its reps' replies have no way to WhatsApp: there is no enabled target of kind whatsapp";
        return Some(Problem::with_remedy(path, found, remedy));
    }
    let unserved = |number: &&String| !exits.iter().any(|exit| exit.serves(number));
    let unserved = target.numbers.iter().filter(unserved).count();
    (unserved > 0).then(|| {
        let found = format!(
            "its reps' replies have no way to WhatsApp for {unserved} of its {} business numbers",
            target.numbers.len()
        );
        Problem::with_remedy(path, found, remedy)
    })
}

/// An address for HubSpot's webhooks that HubSpot does not take, or that is not this target's.
/// HubSpot calls addresses by https only; a simulator on this machine may call by http.
/// <https://developers.hubspot.com/docs/api-reference/legacy/webhooks/guide>
fn astray(one: &Connected) -> Vec<Problem> {
    let Some(WebhookAuth::HubSpotV3 { public_url, .. }) = one.connector.webhook() else {
        return Vec::new();
    };
    let name = &one.config.name;
    let path = format!("target.{name}.settings.webhook.public_url");
    let address = Url::parse(&public_url).ok();
    let here = address.as_ref().is_some_and(is_local);
    let mut problems = Vec::new();
    if !here && address.as_ref().is_none_or(|url| url.scheme() != "https") {
        let remedy = "write the https address by which HubSpot reaches this daemon";
        problems.push(Problem::with_remedy(&path, "not an https address", remedy));
    }
    let end = format!("/webhooks/{name}");
    if !address.is_some_and(|url| url.path().trim_end_matches('/').ends_with(&end)) {
        let remedy = format!("end it with {end}; its path token comes behind that by itself");
        problems.push(Problem::with_remedy(
            &path,
            "does not lead to this target",
            remedy,
        ));
    }
    problems
}

/// Whether an address is of this machine.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// A secret that is there and does not have its shape, such as a key that is no PEM.
fn key(config: &Config, one: &Connected) -> Option<Problem> {
    let credential = one.connector.credential();
    let names = crate::wire::credential::names(&credential);
    if names.iter().any(|name| config.secrets.get(name).is_none()) {
        return None;
    }
    let secret = |name: &str| config.secrets.get(name).cloned();
    let refused = SignIn::new(credential, one.config.timeout, &config.outbound, secret).err()?;
    let path = format!("target.{}", one.config.name);
    Some(Problem::with_remedy(path, refused, ""))
}

/// A secret by which strangers are told apart and that can be guessed.
fn guessable(config: &Config, one: &Connected) -> Vec<Problem> {
    let names = one.connector.webhook().map(|auth| webhooks::names(&auth));
    let short = |name: &String| {
        let secret = config.secrets.get(name);
        secret.is_some_and(|secret| secret.expose_secret().len() < 12)
    };
    let problem = |name| {
        Problem::with_remedy(
            format!("target.{}", one.config.name),
            format!("the secret `{name}` is shorter than 12 characters"),
            "use a random one, such as from `openssl rand -hex 24`",
        )
    };
    let names = names.unwrap_or_default().into_iter();
    names.filter(short).map(problem).collect()
}

/// The same of what gateways must show.
fn guessable_sources(config: &Config) -> Vec<Problem> {
    let short = |secret: &SecretString| secret.expose_secret().len() < 12;
    let mut problems = Vec::new();
    for source in &config.intake.gateways.sources {
        let proof = source.proof.iter().flat_map(|proof| proof.secrets.iter());
        if source.token.iter().chain(proof).any(short) {
            problems.push(Problem::with_remedy(
                format!("intake.source.{}", source.name),
                "one of its secrets is shorter than 12 characters",
                "use a random one, such as from `openssl rand -hex 24`",
            ));
        }
    }
    problems
}

fn mapping(path: &str, target: &TargetConfig) -> Vec<Problem> {
    let Some(file) = target.mapping.as_ref().filter(|_| !target.kind.is_empty()) else {
        return Vec::new();
    };
    let name = file.display().to_string();
    let wrong = match std::fs::read_to_string(file) {
        Err(error) => vec![format!("{name} cannot be read: {}", error.kind())],
        Ok(text) => mapping_of(&target.kind, &name, &text)
            .err()
            .unwrap_or_default(),
    };
    wrong
        .into_iter()
        .map(|found| Problem::with_remedy(path, found, ""))
        .collect()
}
