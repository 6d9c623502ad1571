//! `[intake.dialect.*]`, `[intake.source.*]`, `[[intake.open]]` and `[intake.sessions]`: what gateways
//! send in their own words, and by which ways it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use handoffd_contract::settings::{Table, did_you_mean, printable, shape};
use secrecy::SecretString;
use serde_json::Value;

use super::proof::{Proof, proof};
use super::reader::Sections as _;
use super::secrets::{Secrets, reason, shown_file};
use super::sections::secret;
use crate::mapping::dialect::{Dialect, is_way, shipped};

const HOUR: Duration = Duration::from_secs(3_600);
/// The most sources, rules, and options of a dialect.
const MOST: usize = 100;

/// What gateways send in their own words.
#[derive(Clone)]
pub struct GatewaysConfig {
    /// Every dialect that is named, with what is set for it.
    pub dialects: BTreeMap<String, DialectConfig>,
    /// The dialects of what comes from RabbitMQ, beside CloudEvents.
    pub amqp: Vec<String>,
    /// What comes over HTTP.
    pub sources: Vec<SourceConfig>,
    /// When a conversation is given to people without a handoff of its gateway's.
    pub open: Vec<Opening>,
    /// Whether a gateway's own handoff counts.
    pub signals: bool,
    /// A conversation that people do not have and in which nothing was said for so long is over.
    pub idle: Duration,
}

impl Default for GatewaysConfig {
    fn default() -> GatewaysConfig {
        GatewaysConfig {
            dialects: BTreeMap::new(),
            amqp: Vec::new(),
            sources: Vec::new(),
            open: Vec::new(),
            signals: true,
            idle: 24 * HOUR,
        }
    }
}

/// `[intake.dialect.NAME]`
#[derive(Clone)]
pub struct DialectConfig {
    /// The dialect.
    pub dialect: Dialect,
    /// What its templates find under `option`.
    pub options: BTreeMap<String, String>,
}

/// `[intake.source.NAME]`
#[derive(Clone)]
pub struct SourceConfig {
    /// Its name, which stands in the address.
    pub name: String,
    /// In what it may come.
    pub dialects: Vec<String>,
    /// What stands in the address behind the name.
    pub token: Option<SecretString>,
    /// How it proves that it is the gateway's.
    pub proof: Option<Proof>,
    /// What Meta's verification request shows.
    pub verify_token: Option<SecretString>,
    /// The status with which what was stored is answered.
    pub answer: u16,
}

/// `[[intake.open]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Which message of the customer asks for people.
    pub on: On,
    /// In which dialects; all when empty.
    pub dialects: Vec<String>,
    /// The handoff's reason.
    pub reason: String,
}

/// Which message of the customer asks for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// Every one while people are not in charge.
    First,
    /// One in which one of these words or phrases stands, in lower case.
    Words(Vec<String>),
    /// One whose payload has one of these values at a place.
    Field(String, Vec<String>),
}

/// Reads what `[intake]` says of gateways. `amqp` is what RabbitMQ's section names.
pub(super) fn gateways(
    intake: &mut Table<'_>,
    amqp: Vec<String>,
    folder: &Path,
    secrets: &Secrets,
    public_url: Option<&str>,
) -> GatewaysConfig {
    let mut config = GatewaysConfig {
        amqp,
        ..GatewaysConfig::default()
    };
    if let Some(entries) = intake.entries("dialect", "write [intake.dialect.NAME]") {
        for (name, value) in entries.iter().take(MOST) {
            let path = intake.path_of(&format!("dialect.{}", printable(name)));
            if let Some(section) = intake.below(path, value) {
                let read = dialect(name, section, folder);
                config
                    .dialects
                    .extend(read.map(|read| (name.clone(), read)));
            }
        }
    }
    if let Some(entries) = intake.entries("source", "write [intake.source.NAME]") {
        for (name, value) in entries.iter().take(MOST) {
            let path = intake.path_of(&format!("source.{}", printable(name)));
            if !is_name(name) {
                let words = "not a source's name; use 1 to 40 of a-z, 0-9 and -";
                intake.problem(&format!("source.{}", printable(name)), words);
            } else if let Some(section) = intake.below(path, value) {
                config
                    .sources
                    .push(source(name, section, secrets, public_url));
            }
        }
    }
    openings(intake, &mut config);
    let mut sessions = intake.section("sessions");
    config.idle = sessions.duration("idle", Duration::from_secs(60)..=8_760 * HOUR, 24 * HOUR);
    sessions.finish();
    complete(intake, &mut config);
    config
}

/// Every dialect that is named somewhere must be there: declared, or shipped.
fn complete(intake: &Table<'_>, config: &mut GatewaysConfig) {
    let named = |names: &[String], place: String| {
        let names = names.iter().cloned();
        names
            .map(move |name| (place.clone(), name))
            .collect::<Vec<_>>()
    };
    let mut all = named(&config.amqp, "amqp.dialects".to_owned());
    for source in &config.sources {
        all.extend(named(
            &source.dialects,
            format!("source.{}.dialects", source.name),
        ));
    }
    for (n, opening) in config.open.iter().enumerate() {
        all.extend(named(&opening.dialects, format!("open[{n}].dialects")));
    }
    for (place, name) in all {
        if config.dialects.contains_key(&name) || name == "cloudevents" {
            continue;
        }
        if let Some(dialect) = shipped::shipped(&name) {
            let options = BTreeMap::new();
            config
                .dialects
                .insert(name, DialectConfig { dialect, options });
            continue;
        }
        let mut known: BTreeSet<&str> = shipped::names().collect();
        known.extend(config.dialects.keys().map(String::as_str));
        let hint = did_you_mean(&name, known.iter().copied());
        let known: Vec<&str> = known.into_iter().collect();
        let words = format!(
            "names no dialect{hint}; write one of {}, or declare it with [intake.dialect.NAME]",
            known.join(", ")
        );
        intake.problem(&place, words);
    }
}

fn dialect(name: &str, mut section: Table<'_>, folder: &Path) -> Option<DialectConfig> {
    let file = section.text("file");
    let mut options = BTreeMap::new();
    if let Some(entries) = section.entries("options", "write names and texts") {
        for (name, value) in entries.iter().take(MOST) {
            match value {
                Value::String(text) => {
                    drop(options.insert(name.to_ascii_lowercase(), text.clone()))
                }
                Value::Number(number) => {
                    drop(options.insert(name.to_ascii_lowercase(), number.to_string()))
                }
                other => section.problem(
                    &format!("options.{}", printable(name)),
                    format!("found {}; write a text", shape(other)),
                ),
            }
        }
    }
    let read = match &file {
        None => {
            let dialect = shipped::shipped(name);
            if dialect.is_none() {
                let known: Vec<&str> = shipped::names().collect();
                let remedy = format!("name its file, or write one of {}", known.join(", "));
                section.complain(
                    "file",
                    "not set, and no dialect of this name is shipped",
                    &remedy,
                );
            }
            dialect
        }
        Some(file) => {
            let path = folder.join(file);
            match std::fs::read_to_string(&path) {
                Err(error) => {
                    let found = format!("{}: {}", shown_file(folder, file), reason(&error));
                    section.complain("file", &found, "name a readable file");
                    None
                }
                Ok(text) => match Dialect::parse(file, &text) {
                    Ok(dialect) if dialect.name() == name => Some(dialect),
                    Ok(dialect) => {
                        let found = format!("the file's name is {}", dialect.name());
                        section.complain("file", &found, "write the same name here and there");
                        None
                    }
                    Err(problems) => {
                        for problem in problems.iter().take(10) {
                            section.problem("file", problem.to_string());
                        }
                        None
                    }
                },
            }
        }
    };
    section.finish();
    read.map(|dialect| DialectConfig { dialect, options })
}

fn source(
    name: &str,
    mut section: Table<'_>,
    secrets: &Secrets,
    public_url: Option<&str>,
) -> SourceConfig {
    section.missing("dialects", "write such as [\"evolution\"]");
    let dialects = section.texts("dialects").unwrap_or_default();
    let had_token = section.has("token");
    let token = secret(&mut section, "token", secrets);
    let (proof, usual) = proof(&mut section, name, secrets, public_url);
    let verify_token = secret(&mut section, "verify_token", secrets);
    if !had_token && !section.has("proof") {
        section.complain(
            "token",
            "not set, and the source has no proof either",
            "name a secret, which then stands at the end of the address",
        );
    }
    let answer = section.number("answer", 200..=299, usual);
    section.finish();
    SourceConfig {
        name: name.to_owned(),
        dialects,
        token,
        proof,
        verify_token,
        answer: u16::try_from(answer).unwrap_or(200),
    }
}

fn openings(intake: &mut Table<'_>, config: &mut GatewaysConfig) {
    let items: &[Value] = match intake.value("open") {
        None => return,
        Some(Value::Array(items)) => items,
        Some(other) => {
            let words = format!(
                "found {}; begin each rule with [[intake.open]]",
                shape(other)
            );
            intake.problem("open", words);
            return;
        }
    };
    config.signals = false;
    for (n, item) in items.iter().take(MOST).enumerate() {
        let path = intake.path_of(&format!("open[{n}]"));
        if let Some(section) = intake.below(path, item) {
            opening(section, config);
        }
    }
}

fn opening(mut section: Table<'_>, config: &mut GatewaysConfig) {
    section.missing("on", "write signal, first, word or field");
    let kinds = [("signal", 0), ("first", 1), ("word", 2), ("field", 3)];
    let kind = section.choice("on", &kinds, 0);
    let words = section.texts("words").unwrap_or_default();
    let field = section.text_if(
        "field",
        is_way,
        "write a place in the payload, such as body.metadata.team",
    );
    let is = section.texts("is").unwrap_or_default();
    let reason = section.text("reason");
    let dialects = section.texts("dialects").unwrap_or_default();
    let on = match kind {
        0 => {
            config.signals |= section.has("on");
            None
        }
        1 => Some((On::First, "the customer wrote")),
        2 => {
            section.missing("words", "write the words by which customers ask for people");
            let words = words.iter().map(|word| word.to_lowercase());
            Some((On::Words(words.collect()), "the customer asked for people"))
        }
        _ => {
            section.missing(
                "field",
                "write a place in the payload, such as body.metadata.team",
            );
            section.missing("is", "write the values that ask for people");
            field.map(|field| (On::Field(field, is), "the gateway marked it for people"))
        }
    };
    section.finish();
    if let Some((on, usual)) = on {
        config.open.push(Opening {
            on,
            dialects,
            reason: reason.unwrap_or_else(|| usual.to_owned()),
        });
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&name.len()) && name.chars().all(plain)
}
