//! The sections of the file, each with its keys, bounds and defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::network::Network;
use super::problem::missing_secret;
use super::reader::Sections as _;
use super::secrets::Secrets;
use super::types::{
    Breaker, DaemonConfig, EngineConfig, HttpConfig, LedgerConfig, LogConfig, LogFormat, TlsFiles,
};
use crate::backoff::Backoff;
use handoffd_contract::settings::Table;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn daemon(mut section: Table<'_>) -> DaemonConfig {
    let name = section.text("name").filter(|name| {
        let fits = name.chars().count() <= 80 && !name.chars().any(char::is_control);
        if !fits {
            section.complain(
                "name",
                "too long, or has control characters",
                "use at most 80 characters",
            );
        }
        fits
    });
    section.finish();
    DaemonConfig {
        name: name.unwrap_or_else(unique_name),
    }
}

pub(super) fn ledger(
    mut section: Table<'_>,
    folder: &Path,
    secrets: &Secrets,
    url_from_env: bool,
) -> LedgerConfig {
    let password = secret(&mut section, "password", secrets);
    let url = section
        .text("url")
        .unwrap_or_else(|| "sqlite:handoffd.db".into());
    if !url_from_env {
        without_password(&section, &url);
    }
    let url = if let Some(file) = url.strip_prefix("sqlite:") {
        if password.is_some() {
            section.complain("password", "SQLite has no password", "remove it");
        }
        let file = file.trim_start_matches("//");
        if file.is_empty() {
            section.complain(
                "url",
                "names no file",
                "write \"sqlite:/var/lib/handoffd/ledger.db\"",
            );
        }
        format!("sqlite:{}", folder.join(file).display())
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        // An address without a host (a socket) or with several is PostgreSQL's own and is left as it is.
        let parsed = Url::parse(&url).ok().filter(Url::has_host);
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        match parsed {
            Some(parsed) => with_password(parsed, password.as_ref()),
            None if rest.is_empty() => {
                let example = "write \"postgres://user@host/database\"";
                section.complain("url", "not an address", example);
                url
            }
            None => password_as_parameter(url, password.as_ref()),
        }
    } else {
        section.complain(
            "url",
            "neither SQLite nor PostgreSQL",
            "begin it with sqlite: or postgres://",
        );
        url
    };
    section.finish();
    LedgerConfig { url }
}

pub(super) fn http(
    mut section: Table<'_>,
    folder: &Path,
    secrets: &Secrets,
    others_sign_in: bool,
) -> HttpConfig {
    let listen = section.address("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    let public_url = section.text("public_url").and_then(|text| {
        let parsed = Url::parse(&text).ok();
        let fits = parsed.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !fits {
            section.complain(
                "public_url",
                "not an http or https address without user and password",
                "write \"https://handoff.example.com\"",
            );
        }
        fits.then(|| text.trim_end_matches('/').to_owned())
    });
    let admin_listen = section.address(
        "admin_listen",
        SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
    );
    if admin_listen.port() == listen.port()
        && listen.port() != 0
        && (admin_listen.ip() == listen.ip()
            || admin_listen.ip().is_unspecified()
            || listen.ip().is_unspecified())
    {
        section.complain(
            "admin_listen",
            "the port is taken by listen",
            "use another port: what strangers do to the one must not reach the other",
        );
    }
    let trusted_proxies = match section.texts("trusted_proxies") {
        None => Network::loopback(),
        Some(texts) => {
            let read = |text: &String| {
                let network = Network::parse(text);
                if network.is_none() {
                    let remedy = "write such as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"";
                    section.complain(
                        "trusted_proxies",
                        &format!(
                            "a text of {} characters is no network",
                            text.chars().count()
                        ),
                        remedy,
                    );
                }
                network
            };
            texts.iter().filter_map(read).collect()
        }
    };
    let tls = tls(&mut section, folder);
    let (had_events, had_admin) = (section.has("events_token"), section.has("admin_token"));
    let events_token = secret(&mut section, "events_token", secrets);
    let admin_token = secret(&mut section, "admin_token", secrets);
    for (key, there, at, by) in [
        ("events_token", had_events, listen, "listen"),
        (
            "admin_token",
            had_admin || others_sign_in,
            admin_listen,
            "admin_listen",
        ),
    ] {
        if !there && !at.ip().is_loopback() {
            section.complain(
                key,
                &format!("not set, but the address in {by} can be reached from other machines"),
                &format!("name a secret, or {by} on 127.0.0.1"),
            );
        }
    }
    let max_body = section.size("max_body", 1024..=1 << 30, 16 << 20);
    section.finish();
    HttpConfig {
        listen,
        admin_listen,
        trusted_proxies,
        tls,
        public_url,
        events_token,
        admin_token,
        max_body,
    }
}

/// The files themselves are read where the listener is made, and again when they change.
fn tls(section: &mut Table<'_>, folder: &Path) -> Option<TlsFiles> {
    let given = section.has("tls");
    let mut tls = section.section("tls");
    let mut file = |key| {
        if given && !tls.has(key) {
            let remedy = "write { certificate = \"FILE\", key = \"FILE\" }";
            tls.missing(key, remedy);
        }
        tls.text(key).map(|file| folder.join(file))
    };
    let (certificate, key) = (file("certificate"), file("key"));
    tls.finish();
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
    })
}

pub(super) fn engine(mut section: Table<'_>) -> EngineConfig {
    let config = EngineConfig {
        lease: section.duration("lease", 2 * SECOND..=HOUR, 30 * SECOND),
        load_events: bytes(section.number("load_events", 1..=10_000, 200)),
        load_bytes: bytes(section.size("load_bytes", 64 << 10..=1 << 30, 8 << 20)),
        backoff: backoff(section.section("backoff"), SECOND, 5 * MINUTE),
        breaker: breaker(section.section("breaker")),
        drain: section.duration("drain", Duration::ZERO..=HOUR, 20 * SECOND),
    };
    section.finish();
    config
}

pub(super) fn log(mut section: Table<'_>) -> LogConfig {
    let format = section.choice(
        "format",
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        LogFormat::Text,
    );
    let level = section.text("level").unwrap_or_else(|| "info".into());
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in level.split(',') {
        let (target, word) = directive
            .trim()
            .rsplit_once('=')
            .unwrap_or(("", directive.trim()));
        let named = target
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        if !named || !levels.contains(&word) {
            let remedy = format!(
                "write one of {}, or such as \"info,handoffd::engine=debug\"",
                levels.join(", ")
            );
            section.complain("level", "not a level", &remedy);
            break;
        }
    }
    section.finish();
    LogConfig { format, level }
}

/// The value of the secret that a key names. One whose source failed was reported there.
pub(super) fn secret(
    section: &mut Table<'_>,
    key: &'static str,
    secrets: &Secrets,
) -> Option<SecretString> {
    let name = section.text(key)?;
    let found = secrets.get(&name).cloned();
    if found.is_none() && !secrets.failed(&name) {
        section.report(missing_secret(&section.path_of(key), &name, secrets));
    }
    found
}

/// The address with the password in it, percent-encoded.
pub(super) fn with_password(mut url: Url, password: Option<&SecretString>) -> String {
    use secrecy::ExposeSecret;
    if let Some(password) = password {
        // Refused only for addresses without a host, which the callers do not let through.
        let _ = url.set_password(Some(password.expose_secret()));
    }
    url.to_string()
}

/// The address with the password among its parameters, for one that has no single host.
fn password_as_parameter(url: String, password: Option<&SecretString>) -> String {
    use secrecy::ExposeSecret;
    let Some(password) = password else {
        return url;
    };
    let between = if url.contains('?') { '&' } else { '?' };
    let mut parameter = url::form_urlencoded::Serializer::new(String::new());
    parameter.append_pair("password", password.expose_secret());
    // PostgreSQL takes `+` as it is.
    let parameter = parameter.finish().replace('+', "%20");
    format!("{url}{between}{parameter}")
}

/// An address in the file must not hold a password, which is declared and named like every other
/// secret.
pub(super) fn without_password(section: &Table<'_>, url: &str) {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let in_user = match Url::parse(url).ok().filter(Url::has_host) {
        Some(url) => url.password().is_some_and(|password| !password.is_empty()),
        // Several hosts, or a slash in the password, which the last @ ends.
        None => place
            .rsplit_once('@')
            .and_then(|(user, _)| user.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty()),
    };
    let named = url::form_urlencoded::parse(parameters.as_bytes())
        .any(|(key, value)| key == "password" && !value.is_empty());
    if in_user || named {
        section.complain(
            "url",
            "there is a password in the address",
            "take it out, declare it under [secrets] and name it with `password`",
        );
    }
}

pub(super) fn backoff(mut section: Table<'_>, first: Duration, max: Duration) -> Backoff {
    let first = section.duration("first", MILLISECOND..=HOUR, first);
    let max = section.duration("max", first..=24 * HOUR, max.max(first));
    let factor = section.factor("factor", 10.0, 2.0);
    section.finish();
    Backoff::new(first, max, factor)
}

fn breaker(mut section: Table<'_>) -> Breaker {
    let failures = small(section.number("failures", 1..=1_000, 5));
    let first = section.duration("first", MILLISECOND..=HOUR, 5 * SECOND);
    let max = section.duration("max", first..=24 * HOUR, (2 * MINUTE).max(first));
    section.finish();
    Breaker {
        failures,
        backoff: Backoff::new(first, max, 2.0),
    }
}

/// The host's name and a random suffix: unique, and readable in `leased by`.
fn unique_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(60)
        .collect();
    let suffix = &uuid::Uuid::new_v4().simple().to_string()[..8];
    format!(
        "{}-{suffix}",
        if host.is_empty() { "handoffd" } else { &host }
    )
}

pub(super) fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn bytes(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
