//! `[media]`: from where attachments may be fetched, and with what.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::settings::{Table, printable};
use secrecy::{ExposeSecret, SecretString};

use super::reader::Sections as _;
use super::secrets::Secrets;
use super::sections::{secret, small};
use super::types::{KeepFiles, MediaConfig, MediaSignIn};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const KEEP: [(&str, KeepFiles); 3] = [
    ("dialects", KeepFiles::Dialects),
    ("never", KeepFiles::Never),
    ("always", KeepFiles::Always),
];
/// The most sign-ins.
const MOST: usize = 100;

pub(super) fn media(mut section: Table<'_>, secrets: &Secrets) -> MediaConfig {
    let allow_hosts: Vec<String> = section
        .texts("allow_hosts")
        .unwrap_or_default()
        .iter()
        .map(|host| host.to_ascii_lowercase())
        .collect();
    named(&section, "allow_hosts", &allow_hosts);
    let mut sign_in = Vec::new();
    if let Some(entries) = section.entries("sign_in", "write [media.sign_in.NAME]") {
        for (name, value) in entries.iter().take(MOST) {
            let path = section.path_of(&format!("sign_in.{}", printable(name)));
            let below = section.below(path, value);
            sign_in.extend(below.and_then(|below| one(below, secrets)));
        }
    }
    let config = MediaConfig {
        allow_hosts,
        allow_private: section.flag("allow_private", false),
        max_bytes: section.size("max_bytes", 1024..=4 << 30, 100 << 20),
        timeout: section.duration("timeout", SECOND..=HOUR, 2 * MINUTE),
        tries: small(section.number("tries", 1..=20, 8)),
        sign_in,
        keep: section.choice("keep", &KEEP, KeepFiles::Dialects),
        keep_for: section.duration("keep_for", MINUTE..=30 * DAY, DAY),
        keep_bytes: section.size("keep_bytes", 1 << 20..=1 << 40, 1 << 30),
    };
    section.finish();
    config
}

/// `[media.sign_in.NAME]`: a secret for hosts whose files want one.
fn one(mut section: Table<'_>, secrets: &Secrets) -> Option<MediaSignIn> {
    section.missing(
        "hosts",
        "write the hosts of the files, such as [\"api.twilio.com\"]",
    );
    let hosts: Vec<String> = section
        .texts("hosts")
        .unwrap_or_default()
        .iter()
        .map(|host| host.to_ascii_lowercase())
        .collect();
    named(&section, "hosts", &hosts);
    section.missing("secret", "name the secret");
    let value = secret(&mut section, "secret", secrets);
    let user = section.text("user");
    let remedy = "write a header's name, such as x-api-key";
    let header = section.text_if("header", is_header, remedy);
    if user.is_some() == header.is_some() {
        section.complain(
            "header",
            "one of header and user is needed",
            "header for the secret itself, user for Basic",
        );
    }
    section.finish();
    let value = value?;
    let value = match &user {
        None => value,
        Some(user) => {
            let pair = format!("{user}:{}", value.expose_secret());
            SecretString::from(format!("Basic {}", STANDARD.encode(pair)))
        }
    };
    Some(MediaSignIn {
        hosts,
        header: header.unwrap_or_else(|| "authorization".to_owned()),
        value,
    })
}

fn is_header(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn named(section: &Table<'_>, key: &str, hosts: &[String]) {
    for (index, host) in hosts.iter().enumerate() {
        let bare = host.strip_prefix('.').unwrap_or(host);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if bare.is_empty() || !bare.chars().all(plain) {
            let found = format!("item {index} is no host name");
            let remedy = "write \"files.example.com\", or \".example.com\" for all below; no scheme, port or *";
            section.complain(key, &found, remedy);
        }
    }
}
