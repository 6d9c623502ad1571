//! `[notifications]`: who of the people is told what is not well, and by which way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use handoffd_contract::Problem;
use handoffd_contract::settings::Table;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::{Host, Url};

use super::reader::Sections as _;
use super::secrets::Secrets;
use super::sections::secret;

/// What people can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Conversations that need a person.
    Parked,
    /// Webhooks that could not be understood or are not taken.
    Webhooks,
    /// A target does not accept the credential.
    Credential,
    /// WhatsApp does not let a number or account send, or says that a number's quality is low or that the
    /// token or template is not in order.
    Account,
    /// Events that could not be understood.
    DeadLetters,
    /// Nobody joined a conversation in time, or nobody will.
    Unattended,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Trouble; 6] = [
        Trouble::Parked,
        Trouble::Webhooks,
        Trouble::Credential,
        Trouble::Account,
        Trouble::DeadLetters,
        Trouble::Unattended,
    ];

    /// The word in the configuration and in messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Trouble::Parked => "parked",
            Trouble::Webhooks => "webhooks",
            Trouble::Credential => "credential",
            Trouble::Account => "account",
            Trouble::DeadLetters => "dead-letters",
            Trouble::Unattended => "unattended",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Trouble> {
        Trouble::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// `[notifications]`
#[derive(Debug, Clone)]
pub struct NotificationsConfig {
    /// Where to.
    pub channels: Vec<ChannelConfig>,
    /// What is of the same kind, target and reason is told in one message at most so often.
    pub group: SignedDuration,
    /// At most so many messages an hour.
    pub per_hour: u32,
    /// When only some of it is told at once.
    pub quiet: Option<Quiet>,
}

/// Hours in which only some things are told; the others follow when they are over.
#[derive(Debug, Clone)]
pub struct Quiet {
    /// From here on.
    pub from: Time,
    /// Up to here, on the next day where it is earlier.
    pub to: Time,
    /// Where the clock hangs.
    pub zone: TimeZone,
    /// What is told all the same.
    pub passes: BTreeSet<Trouble>,
}

impl Quiet {
    /// Whether this is kept for later now.
    #[must_use]
    pub fn holds(&self, trouble: Trouble, now: Timestamp) -> bool {
        let time = now.to_zoned(self.zone.clone()).time();
        let is_quiet = if self.from <= self.to {
            self.from <= time && time < self.to
        } else {
            time >= self.from || time < self.to
        };
        is_quiet && !self.passes.contains(&trouble)
    }
}

/// `[[notifications.channel]]`
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    /// Its name.
    pub name: String,
    /// What it is told of.
    pub kinds: BTreeSet<Trouble>,
    /// How.
    pub way: ChannelWay,
}

/// By which way a channel is told.
#[derive(Debug, Clone)]
pub enum ChannelWay {
    /// JSON to an address, signed as events are.
    Webhook {
        /// The address.
        url: Url,
        /// The signing secret, and the previous one during a change.
        secrets: Vec<SecretString>,
    },
    /// `{"text": …}` to an incoming webhook of Slack or of something that takes the same.
    /// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/>
    Slack {
        /// The address, which is the secret.
        url: SecretString,
    },
    /// An e-mail.
    Email(Box<EmailConfig>),
}

/// How an e-mail leaves.
#[derive(Debug, Clone)]
pub struct EmailConfig {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub tls: MailTls,
    /// A certificate authority beside the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Who signs in, and by what.
    pub login: Option<(String, SecretString)>,
    /// Who writes.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
}

/// How a connection to a mail server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Begins in the clear and goes on in TLS, or not at all.
    StartTls,
    /// TLS from the first byte on.
    Implicit,
    /// Not at all; only on this machine.
    None,
}

impl MailTls {
    /// <https://www.rfc-editor.org/rfc/rfc8314#section-3.3>
    fn port(self) -> u16 {
        match self {
            MailTls::StartTls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        }
    }
}

pub(super) fn notifications(
    mut section: Table<'_>,
    folder: &Path,
    secrets: &Secrets,
) -> NotificationsConfig {
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let group = section.duration("group", second..=1_440 * minute, 10 * minute);
    let per_hour = u32::try_from(section.number("per_hour", 1..=1_000, 20)).unwrap_or(20);
    let quiet = quiet(&mut section);
    let given = section.value("channel");
    let items = match given {
        None => &[][..],
        Some(Value::Array(items)) => items,
        Some(other) => {
            section.wrong(
                "channel",
                other,
                "begin each with [[notifications.channel]]",
            );
            &[]
        }
    };
    let mut channels: Vec<ChannelConfig> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let path = section.path_of(&format!("channel[{at}]"));
        let table = section.below(path.clone(), item);
        let Some(channel) = table.and_then(|table| channel(table, folder, secrets)) else {
            continue;
        };
        if channels.iter().any(|other| other.name == channel.name) {
            let found = "two channels have this name; rename one";
            section.report(Problem::new(format!("{path}.name"), found));
        }
        channels.push(channel);
    }
    section.finish();
    NotificationsConfig {
        channels,
        group: SignedDuration::try_from(group).unwrap_or(SignedDuration::from_mins(10)),
        per_hour,
        quiet,
    }
}

fn kinds(section: &mut Table<'_>, key: &'static str) -> Option<BTreeSet<Trouble>> {
    let words: Vec<&str> = Trouble::ALL.into_iter().map(Trouble::word).collect();
    let remedy = format!("write some of {}", words.join(", "));
    let given = section.texts_if(key, |word| Trouble::parse(word).is_some(), &remedy)?;
    Some(
        given
            .iter()
            .filter_map(|word| Trouble::parse(word))
            .collect(),
    )
}

fn quiet(section: &mut Table<'_>) -> Option<Quiet> {
    let remedy = "write such as \"22:00-07:00\"";
    let hours = section.parsed("quiet", |value| hours(value.as_str()?), remedy);
    let zone = section.text("time_zone").and_then(|name| {
        let zone = TimeZone::get(&name).ok();
        if zone.is_none() {
            let found = "names no time zone";
            section.complain("time_zone", found, "write such as \"Europe/Berlin\"");
        }
        zone
    });
    let passes = kinds(section, "quiet_passes").unwrap_or_default();
    let (from, to) = hours?;
    Some(Quiet {
        from,
        to,
        zone: zone.unwrap_or(TimeZone::UTC),
        passes,
    })
}

fn hours(text: &str) -> Option<(Time, Time)> {
    let (from, to) = text.split_once('-')?;
    let time = |text: &str| -> Option<Time> {
        let (hour, minute) = text.trim().split_once(':')?;
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
    };
    let (from, to) = (time(from)?, time(to)?);
    (from != to).then_some((from, to))
}

fn channel(mut section: Table<'_>, folder: &Path, secrets: &Secrets) -> Option<ChannelConfig> {
    section.missing("name", "write a name such as \"ops\"");
    let name = section.text_if(
        "name",
        |name| {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            name.len() <= 40 && name.bytes().all(fits)
        },
        "use 1 to 40 of a-z, 0-9 and -",
    );
    let kinds = kinds(&mut section, "kinds").unwrap_or_else(|| Trouble::ALL.into());
    section.missing("kind", "write webhook, slack or email");
    let words = [("webhook", Some(0)), ("slack", Some(1)), ("email", Some(2))];
    let way = match section.choice("kind", &words, None) {
        Some(0) => webhook(&mut section, secrets),
        Some(1) => slack(&mut section, secrets),
        Some(_) => email(&mut section, folder, secrets),
        // What was meant is not known, and so are its keys.
        None => return None,
    };
    section.finish();
    Some(ChannelConfig {
        name: name?,
        kinds,
        way: way?,
    })
}

fn webhook(section: &mut Table<'_>, secrets: &Secrets) -> Option<ChannelWay> {
    section.missing("url", "write the https address that takes it");
    let url = section.text("url");
    let url = url.and_then(|url| address(section, "url", &url));
    section.missing("secret", "name the secret by which it is signed (whsec_…)");
    let new = secret(section, "secret", secrets);
    let old = secret(section, "previous_secret", secrets);
    Some(ChannelWay::Webhook {
        url: url?,
        secrets: std::iter::once(new?).chain(old).collect(),
    })
}

fn slack(section: &mut Table<'_>, secrets: &Secrets) -> Option<ChannelWay> {
    section.missing(
        "url",
        "name the secret that holds the address, since whoever knows it can write there",
    );
    let url = secret(section, "url", secrets)?;
    address(section, "url", url.expose_secret())?;
    Some(ChannelWay::Slack { url })
}

/// An address to which messages may go: https, or this machine.
fn address(section: &Table<'_>, key: &str, text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    let Some(url) = url else {
        section.complain(
            key,
            "no address",
            "write such as \"https://ops.example.com/hooks\"",
        );
        return None;
    };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Some(url),
        "http" if is_here => Some(url),
        _ => {
            section.complain(key, "not an https address", "write https://");
            None
        }
    }
}

fn email(section: &mut Table<'_>, folder: &Path, secrets: &Secrets) -> Option<ChannelWay> {
    section.missing("host", "write the mail server's name");
    let host = section.text("host");
    let words = [
        ("starttls", MailTls::StartTls),
        ("implicit", MailTls::Implicit),
        ("none", MailTls::None),
    ];
    let tls = section.choice("tls", &words, MailTls::StartTls);
    let is_here = matches!(host.as_deref(), Some("localhost" | "127.0.0.1" | "::1"));
    if tls == MailTls::None && host.is_some() && !is_here {
        let found = "without TLS everybody on the way can read it";
        section.complain("tls", found, "write \"starttls\" or \"implicit\"");
    }
    let port = section.number("port", 1..=65_535, u64::from(tls.port()));
    let ca_file = section.text("ca_file").map(|file| folder.join(file));
    let user = section.text("user");
    let password = secret(section, "password", secrets);
    if user.is_some() != password.is_some() && !section.has("password") {
        section.complain(
            "user",
            "there is no password",
            "name its secret in `password`",
        );
    }
    section.missing("from", "write the address that writes");
    let from = section.text_if("from", is_mail, "write such as \"handoffd@example.com\"");
    section.missing("to", "write the addresses that are written to");
    let to = section.texts_if("to", is_mail, "write such as [\"ops@example.com\"]");
    Some(ChannelWay::Email(Box::new(EmailConfig {
        host: host?,
        port: u16::try_from(port).unwrap_or(tls.port()),
        tls,
        ca_file,
        login: user.zip(password),
        from: from?,
        to: to.filter(|to| !to.is_empty())?,
    })))
}

/// A bare address; a name beside it is not needed.
fn is_mail(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| c.is_ascii_graphic() && !"<>(),;:\"[]@\\".contains(c);
    !local.is_empty()
        && !domain.is_empty()
        && text.chars().all(|c| c == '@' || plain(c))
        && local.chars().all(plain)
}
