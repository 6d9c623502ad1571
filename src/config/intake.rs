//! `[intake]`: RabbitMQ, and what an event may be like.

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::SecretString;
use url::Url;

use super::reader::Sections as _;
use super::secrets::{Secrets, reason, shown_file};
use super::sections::{backoff, bytes, secret, small, with_password, without_password};
use super::types::{AmqpConfig, ExchangeKind, Limits};
use handoffd_contract::settings::Table;

const SECOND: Duration = Duration::from_secs(1);

/// The most events that are committed and acknowledged together.
const MAX_GROUP: u64 = 256;

pub(super) fn amqp(
    mut section: Table<'_>,
    folder: &Path,
    secrets: &Secrets,
    url_from_env: bool,
) -> Option<AmqpConfig> {
    let password = secret(&mut section, "password", secrets);
    let url = amqp_url(&mut section, password.as_ref(), url_from_env);
    let nodes = nodes(&mut section, url.as_ref());
    let encrypted = url.as_ref().is_none_or(|url| url.scheme() == "amqps");
    let ca_name = section.text("ca_file");
    let ca_file = ca_name.as_ref().map(|file| folder.join(file));
    if let Some(file) = &ca_file {
        if !encrypted {
            section.complain(
                "ca_file",
                "the connection is not encrypted",
                "write amqps:// in url, or remove ca_file",
            );
        }
        if let Err(why) = certificates(file) {
            let name = ca_name.as_deref().unwrap_or_default();
            let found = format!("{}: {why}", shown_file(folder, name));
            section.complain("ca_file", &found, "name a readable PEM file");
        }
    }
    let exchange = section.text("exchange");
    let exchange_kind = section.choice(
        "exchange_kind",
        &[
            ExchangeKind::Topic,
            ExchangeKind::Direct,
            ExchangeKind::Fanout,
            ExchangeKind::Headers,
        ]
        .map(|k| (k.word(), k)),
        ExchangeKind::Topic,
    );
    let declare_exchange = section.flag("declare_exchange", false);
    if declare_exchange && exchange.is_none() {
        section.complain(
            "declare_exchange",
            "there is no exchange to declare",
            "set exchange",
        );
    }
    let queue = name(&mut section, "queue", "handoffd.events");
    let routing_keys = section
        .texts("routing_keys")
        .unwrap_or_else(|| vec!["#".into()]);
    let prefetch = section.number("prefetch", 1..=u64::from(u16::MAX), 64);
    let most = MAX_GROUP.min(prefetch);
    let group = section.number("group", 1..=most, most.min(32));
    let config = AmqpConfig {
        url: SecretString::from(url.as_ref().map(Url::to_string).unwrap_or_default()),
        nodes,
        ca_file,
        exchange,
        exchange_kind,
        declare_exchange,
        queue,
        routing_keys,
        prefetch: u16::try_from(prefetch).unwrap_or(u16::MAX),
        group: usize::try_from(group).unwrap_or(1),
        delivery_limit: small(section.number("delivery_limit", 1..=1_000_000, 20)),
        dead_letter_exchange: section.text("dead_letter_exchange"),
        reconnect: backoff(section.section("reconnect"), SECOND / 2, 30 * SECOND),
        publish_exchange: name(&mut section, "publish_exchange", "handoffd.out"),
        confirm_timeout: section.duration(
            "confirm_timeout",
            SECOND / 10..=300 * SECOND,
            10 * SECOND,
        ),
    };
    section.finish();
    url.map(|_| config)
}

pub(super) fn limits(mut section: Table<'_>) -> Limits {
    let or = Limits::default();
    let mut count = |key, most: usize, default: usize| {
        usize::try_from(section.number(key, 1..=most as u64, default as u64)).unwrap_or(default)
    };
    let max_messages = count("max_messages", 100_000, or.max_messages);
    let max_text = count("max_text", 1_000_000, or.max_text);
    let max_attachments = count("max_attachments", 1_000, or.max_attachments);
    let max_fields = count("max_fields", 10_000, or.max_fields);
    let max_id = count("max_id", 1_000, or.max_id);
    let max_event_bytes =
        bytes(section.size("max_event_bytes", 1024..=1 << 30, or.max_event_bytes as u64));
    let stickers = section.flag("stickers", or.stickers);
    let system_messages = section.flag("system_messages", or.system_messages);
    let reactions_open_window = section.flag("reactions_open_window", or.reactions_open_window);
    section.finish();
    Limits {
        max_event_bytes,
        max_messages,
        max_text,
        max_attachments,
        max_fields,
        max_id,
        stickers,
        system_messages,
        reactions_open_window,
    }
}

fn amqp_url(
    section: &mut Table<'_>,
    password: Option<&SecretString>,
    from_env: bool,
) -> Option<Url> {
    if !section.has("url") {
        section.complain(
            "url",
            "not set",
            "write \"amqps://user@host/vhost\", or remove [intake.amqp]",
        );
    }
    let text = section.text("url")?;
    if !from_env {
        without_password(section, &text);
    }
    let url = Url::parse(&text)
        .ok()
        .filter(|url| matches!(url.scheme(), "amqp" | "amqps") && url.has_host());
    match url {
        Some(url) => Url::parse(&with_password(url, password)).ok(),
        None => {
            section.complain(
                "url",
                "not an AMQP address",
                "write \"amqp://user@host/vhost\" or \"amqps://…\"",
            );
            None
        }
    }
}

/// Whether a file holds certificates in PEM.
fn certificates(file: &Path) -> Result<(), String> {
    let pem = std::fs::read(file).map_err(|error| reason(&error))?;
    let mut found = CertificateDer::pem_slice_iter(&pem).peekable();
    if found.peek().is_none() {
        return Err("holds no certificate".into());
    }
    if found.any(|one| one.is_err()) {
        return Err("holds a certificate that is not whole".into());
    }
    Ok(())
}

/// Further nodes of the cluster; a port that is not named is the address's.
fn nodes(section: &mut Table<'_>, url: Option<&Url>) -> Vec<(String, u16)> {
    let mut nodes = Vec::new();
    for text in section.texts("nodes").unwrap_or_default() {
        let node = Url::parse(&format!("amqp://{text}")).ok();
        let plain = |node: &Url| {
            node.has_host()
                && node.username().is_empty()
                && node.path().trim_start_matches('/').is_empty()
        };
        match node.filter(plain) {
            Some(node) => {
                let usual = match url {
                    Some(url) if url.scheme() == "amqps" => 5671,
                    _ => 5672,
                };
                let port = node.port().or(url.and_then(Url::port)).unwrap_or(usual);
                nodes.push((node.host_str().unwrap_or_default().to_owned(), port));
            }
            None => section.complain(
                "nodes",
                "an item is not a host",
                "write \"host\" or \"host:port\"; user, password and vhost are those of url",
            ),
        }
    }
    nodes
}

/// A queue's or exchange's name; AMQP allows 255 bytes.
fn name(section: &mut Table<'_>, key: &'static str, default: &str) -> String {
    let name = section.text(key).unwrap_or_else(|| default.into());
    if name.len() > 255 || name.chars().any(char::is_control) {
        section.complain(
            key,
            "too long, or has control characters",
            "use at most 255 bytes",
        );
    }
    name
}
