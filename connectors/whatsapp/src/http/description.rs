//! What a gateway's file says: how its API is called, and what its answers mean.
//!
//! The daemon reads the file; here it is a table of the settings, and whatever is wrong in it is told by
//! its place. `mappings/README.md` explains every key.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::settings::Table;
use handoffd_contract::{Credential, Secret};
use serde_json::Value;

use super::options::{self, OptionValue};
use super::request::{Request, parts, request};
use super::rules::{self, Place, Rule};
use super::template::{FILE, Text};

/// The sections that say how files are sent: one for every kind, or one for all.
pub(crate) const FILES: [&str; 7] = [
    "file", "image", "video", "audio", "voice", "document", "sticker",
];

/// Names that every request may hold.
const EVERYWHERE: [&str; 4] = ["to", "from", "reference", "id"];
/// Names of a text.
const OF_TEXTS: [&str; 3] = ["text", "preview", "quoted"];
/// Names of a file.
const OF_FILES: [&str; 6] = [FILE, "url", "name", "mime", "kind", "caption"];
/// Names of a template.
const OF_TEMPLATES: [&str; 5] = [
    "template",
    "language",
    "components",
    "numbered",
    "numbered_text",
];

/// A gateway that is called over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gateway {
    /// Its name.
    pub(crate) name: String,
    /// WhatsApp's 24-hour window holds there.
    pub(crate) has_window: bool,
    /// The longest text, in UTF-16 units.
    pub(crate) text_limit: usize,
    /// It takes files of types that WhatsApp does not know, as documents.
    pub(crate) any_file: bool,
    /// What it may send, in messages per second, unless the settings say otherwise.
    pub(crate) per_second: u64,
    /// What is set for it.
    pub(crate) options: BTreeMap<String, OptionValue>,
    pub(crate) credential: Credential,
    /// The form of its session ids, where they say what a request needs.
    pub(crate) session: Option<Text>,
    /// How a customer with a number is addressed.
    pub(crate) phone: Option<Text>,
    /// How a customer is addressed of whom only the hidden id is known.
    pub(crate) lid: Option<Text>,
    /// How a customer is addressed of whom only the business-scoped id is known.
    pub(crate) user: Option<Text>,
    /// How a message's id is had before the message is sent.
    pub(crate) ids: Option<Look>,
    /// How a message is found by its id.
    pub(crate) look: Option<Look>,
    pub(crate) text: Request,
    /// By section.
    pub(crate) files: BTreeMap<&'static str, Request>,
    pub(crate) template: Option<Request>,
    pub(crate) answer: Answer,
    pub(crate) rules: Vec<Rule>,
    pub(crate) check: Option<Check>,
}

impl Gateway {
    /// The business numbers for which something is set, by which it is asked how it stands; one that is
    /// none where nothing is set by number.
    pub(crate) fn numbers(&self) -> BTreeSet<&str> {
        let options = self.options.values();
        let mut numbers: BTreeSet<&str> = options.flat_map(OptionValue::numbers).collect();
        if numbers.is_empty() {
            numbers.insert("");
        }
        numbers
    }
}

/// A request whose answer holds an id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    pub(crate) request: Request,
    pub(crate) at: Vec<Place>,
}

/// What the answer to a send says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answer {
    /// Where the message's id is: the first of these places at which there is one.
    pub(crate) id: Vec<Place>,
    /// The id is this part of what is there, between these signs.
    pub(crate) part: Option<(String, usize)>,
    /// Where the gateway's own words for a failure are.
    pub(crate) words: Vec<Place>,
}

/// What `check --live` asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    pub(crate) request: Request,
    /// Where it says how it stands, and how that must be.
    pub(crate) at: Option<(Place, Vec<String>)>,
    /// What to do where it stands otherwise.
    pub(crate) tell: String,
}

/// Reads the gateway of the settings: its description, which the daemon has put there, and what is set
/// for it.
pub(crate) fn gateway(top: &mut Table<'_>, key: Option<Secret>) -> Option<Gateway> {
    for key in ["gateway_file", "options", "known_ids", "window"] {
        top.value(key);
    }
    let mut table = match top.value("gateway") {
        Some(Value::Object(_)) => top.table("gateway")?,
        found => {
            let words = match found {
                None => {
                    "is missing; name a gateway whose file comes with handoffd, or your own with `gateway_file`"
                }
                Some(_) => "was not read; name a gateway whose file comes with handoffd",
            };
            top.problem("gateway", words);
            return None;
        }
    };
    table.missing("name", "write the gateway's name");
    let name = table.text("name").unwrap_or_default();
    table.choice("kind", &[("exit", ())], ());
    let has_window = table.choice("window", &[("meta", true), ("none", false)], true);
    let has_window = top.choice("window", &[("meta", true), ("none", false)], has_window);
    let text_limit = table.number("text_limit", 100..=65_536, 4_096);
    let any_file = table.flag("any_file", false);
    let per_second = table.number("messages_per_second", 1..=1_000, 80);
    let taken = [&EVERYWHERE[..], &OF_FILES, &OF_TEMPLATES, &OF_TEXTS].concat();
    let declared = options::declared(&mut table, &taken);
    let options = options::options(top, &declared);
    let mut known: BTreeSet<String> = declared.keys().cloned().collect();
    let session = form(&mut table);
    known.extend(session.iter().flat_map(Text::names).map(str::to_owned));
    let credential = sign_in(&mut table, key, &options);
    let (phone, lid, user) = to(&mut table);
    known.extend(EVERYWHERE.map(str::to_owned));
    let wants_ids = top.flag("known_ids", false);
    let ids = look(&mut table, "id", &known).filter(|_| wants_ids);
    if wants_ids && !table.has("id") {
        top.problem(
            "known_ids",
            "has no effect: this gateway's file has no [id]; leave it out",
        );
    }
    let look = look(&mut table, "look", &known);
    let with = |more: &[&str]| {
        let more = more.iter().map(|name| (*name).to_owned());
        known.iter().cloned().chain(more).collect::<BTreeSet<_>>()
    };
    table.missing("text", "say how a text is sent");
    let text = request(&mut table, "text", &with(&OF_TEXTS));
    let files = FILES.iter().filter_map(|section| {
        let request = request(&mut table, section, &with(&OF_FILES))?;
        Some((*section, request))
    });
    let files = files.collect();
    let template = request(&mut table, "template", &with(&OF_TEMPLATES));
    let answer = answer(&mut table);
    let rules = rules::rules(&mut table);
    let check = check(&mut table, &known);
    table.finish();
    Some(Gateway {
        name,
        has_window,
        text_limit: usize::try_from(text_limit).unwrap_or(4_096),
        any_file,
        per_second,
        options,
        credential,
        session,
        phone,
        lid,
        user,
        ids,
        look,
        text: text?,
        files,
        template,
        answer,
        rules,
        check,
    })
}

fn form(table: &mut Table<'_>) -> Option<Text> {
    let written = table.text("session")?;
    let form = Text::form(&written);
    if let Err(why) = &form {
        table.problem("session", why.as_str());
    }
    form.ok()
}

/// How a request signs in: one header with the key, or HTTP's basic sign-in.
fn sign_in(
    table: &mut Table<'_>,
    key: Option<Secret>,
    options: &BTreeMap<String, OptionValue>,
) -> Credential {
    let Some(mut section) = table.table("sign_in") else {
        return Credential::None;
    };
    let is_header = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    let header = section.text_if(
        "header",
        is_header,
        "write a header's name in small letters",
    );
    let prefix = section.value("prefix").and_then(Value::as_str);
    let user = section.text("user");
    if header.is_some() == user.is_some() {
        section.problem(
            "header",
            "write either `header`, or `user` for HTTP's basic sign-in",
        );
    }
    section.finish();
    // That it is missing was told where it is read.
    let key = key.unwrap_or(Secret(String::new()));
    match (header, user) {
        (Some(name), _) => Credential::Header {
            name,
            prefix: prefix.unwrap_or_default().to_owned(),
            key,
        },
        (None, Some(user)) => {
            let name = user
                .strip_prefix('{')
                .and_then(|user| user.strip_suffix('}'));
            let user = name.and_then(|name| options.get(name)?.one());
            Credential::Basic {
                user: user.unwrap_or_default().to_owned(),
                password: key,
            }
        }
        (None, None) => Credential::None,
    }
}

fn to(table: &mut Table<'_>) -> (Option<Text>, Option<Text>, Option<Text>) {
    table.missing(
        "to",
        "say how a customer is addressed: phone = \"{digits}\"",
    );
    let mut to = table.section("to");
    let mut one = |key: &'static str, name: &str| {
        let written = to.text(key)?;
        let text = Text::parse(&written, &BTreeSet::from([name.to_owned()]));
        if let Err(why) = &text {
            to.problem(key, why.as_str());
        }
        text.ok()
    };
    let all = (
        one("phone", "digits"),
        one("lid", "lid"),
        one("user", "user"),
    );
    to.finish();
    all
}

fn look(table: &mut Table<'_>, key: &'static str, known: &BTreeSet<String>) -> Option<Look> {
    let mut section = table.table(key)?;
    let request = parts(&mut section, known);
    section.missing(
        "at",
        "write where in the answer the id is, such as \"key.id\"",
    );
    let at = rules::places(&mut section, "at");
    section.finish();
    Some(Look {
        request: request?,
        at,
    })
}

fn answer(table: &mut Table<'_>) -> Answer {
    table.missing(
        "answer",
        "say where the id of a message is: id = \"key.id\"",
    );
    let mut section = table.section("answer");
    section.missing(
        "id",
        "write where the id of a message is, such as \"key.id\"",
    );
    let id = rules::places(&mut section, "id");
    let split = section.text("split");
    let part = section.number("part", 0..=20, 0);
    let words = rules::places(&mut section, "words");
    section.finish();
    Answer {
        id,
        part: split.map(|split| (split, usize::try_from(part).unwrap_or_default())),
        words,
    }
}

fn check(table: &mut Table<'_>, known: &BTreeSet<String>) -> Option<Check> {
    let mut section = table.table("check")?;
    let request = parts(&mut section, known);
    let at = rules::places(&mut section, "at").into_iter().next();
    let is = section.texts("is").unwrap_or_default();
    let tell = section.text("tell").unwrap_or_default();
    section.finish();
    Some(Check {
        request: request?,
        at: at.map(|at| (at, is)),
        tell,
    })
}
