//! What gateways send in their own words: which dialect it is, the events that it becomes, and whom they
//! are for where the gateway names no session.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `opening` | handoffs that no gateway asks for |
//! | `preview` | what a dialect makes of a payload, for people |
//! | `versions` | versions that were applied, put in force while the daemon runs |

mod opening;
mod preview;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use handoffd_contract::{Contact, Data, Reason, Stop, ids};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use self::preview::{Preview, preview};
pub use self::versions::{INTAKE, Versions};
use super::decode;
use super::incoming::{Incoming, Origin, SOURCE};
use super::json::{Json, json};
use super::{Gate, Judged, Verdict, Warning, route};
use crate::config::{GatewaysConfig, KeepFiles, Opening};
use crate::ledger::{Admission, Find};
use crate::mapping::dialect::{self, AT_ONCE, Dialect, FETCH, Payload, Translation, form};
use crate::metrics::SKIPPED;

/// The name of RabbitMQ as a way.
const AMQP: &str = "amqp";
/// What may be written beside dialects, and is always taken.
const CLOUDEVENTS: &str = "cloudevents";
/// At most so many messages of a conversation become the transcript of a handoff that has none.
const TRANSCRIPT: usize = 200;

/// The dialects of each way in, and what follows from what they say. One may be replaced while others
/// read: what is being judged goes on with the one that it began with.
pub struct Dialects {
    ways: ArcSwap<Ways>,
    open: Vec<Opening>,
    signals: bool,
    idle: SignedDuration,
    keep: KeepFiles,
}

/// By the way's name: the source's over HTTP, `amqp` from RabbitMQ.
type Ways = BTreeMap<String, Arc<[Known]>>;

/// A dialect and what is set for it.
#[derive(Clone)]
struct Known {
    dialect: Dialect,
    options: Arc<BTreeMap<String, String>>,
}

/// Without any.
impl Default for Dialects {
    fn default() -> Dialects {
        Dialects::new(&GatewaysConfig::default())
    }
}

impl Dialects {
    /// The dialects that are configured.
    #[must_use]
    pub fn new(config: &GatewaysConfig) -> Dialects {
        let known = |names: &[String]| -> Arc<[Known]> {
            let named = names.iter().filter_map(|name| config.dialects.get(name));
            let known = named.map(|one| Known {
                dialect: one.dialect.clone(),
                options: Arc::new(one.options.clone()),
            });
            known.collect()
        };
        let sources = config.sources.iter();
        let mut ways: Ways = sources
            .map(|source| (source.name.clone(), known(&source.dialects)))
            .collect();
        if config.amqp.iter().any(|name| name != CLOUDEVENTS) {
            ways.insert(AMQP.to_owned(), known(&config.amqp));
        }
        Dialects {
            ways: ArcSwap::from_pointee(ways),
            open: config.open.clone(),
            signals: config.signals,
            idle: SignedDuration::try_from(config.idle).unwrap_or(SignedDuration::from_hours(24)),
            keep: KeepFiles::default(),
        }
    }

    /// The same, with these files fetched at once.
    #[must_use]
    pub fn keeping(self, keep: KeepFiles) -> Dialects {
        Dialects { keep, ..self }
    }

    /// The names of all that are spoken on some way.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let ways = self.ways.load();
        let known = ways.values().flat_map(|known| known.iter());
        known.map(|one| one.dialect.name().to_owned()).collect()
    }

    /// Puts another version of a dialect in force, wherever it is spoken.
    pub fn replace(&self, dialect: &Dialect) {
        self.ways.rcu(|ways| {
            let mut ways = Ways::clone(ways);
            for known in ways.values_mut() {
                let each = known.iter().cloned().map(|mut one| {
                    if one.dialect.name() == dialect.name() {
                        one.dialect = dialect.clone();
                    }
                    one
                });
                *known = each.collect();
            }
            ways
        });
    }

    /// The way by which something came, if dialects are spoken there.
    fn way(&self, incoming: &Incoming) -> Option<(String, Arc<[Known]>)> {
        let name = match incoming.origin {
            Origin::Amqp => AMQP,
            Origin::Http => incoming.headers.get(SOURCE)?,
        };
        let known = self.ways.load().get(name).cloned()?;
        Some((name.to_owned(), known))
    }

    /// The headers that the dialects of a source look at, in lower case.
    pub(super) fn headers(&self, source: &str) -> Vec<String> {
        let known = self.ways.load().get(source).cloned();
        let known = known.iter().flat_map(|known| known.iter());
        known
            .flat_map(|one| one.dialect.headers().map(str::to_owned))
            .collect()
    }

    /// What came without what is secret in it, where it came in a dialect and had any.
    #[must_use]
    pub fn masked(&self, incoming: &Incoming) -> Option<Vec<u8>> {
        let (_, known) = self.way(incoming)?;
        let Json { mut value, .. } = body(incoming).ok()?;
        let is_form = incoming.media_type() == dialect::FORM;
        if is_cloud_event(incoming, &value) || !without_secrets(&known, &mut value) {
            return None;
        }
        Some(if is_form {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in value.as_object().into_iter().flatten() {
                form.append_pair(name, value.as_str().unwrap_or_default());
            }
            form.finish().into_bytes()
        } else {
            value.to_string().into_bytes()
        })
    }
}

impl Gate {
    /// What becomes of something that came in at this time: events, nothing on purpose, or the reason
    /// why it cannot be understood; of a payload of several parts, each.
    #[must_use]
    pub fn verdict(&self, incoming: &Incoming, now: Timestamp) -> Verdict {
        let Some((way, known)) = self.dialects.way(incoming) else {
            return Verdict::of(self.judge(incoming, now));
        };
        // What says of itself that it is a CloudEvent is asked nothing.
        if incoming.is_binary() || incoming.media_type() == super::incoming::STRUCTURED {
            return Verdict::of(self.judge(incoming, now));
        }
        if let Err(stop) = decode::within(incoming, &self.limits) {
            return Verdict::of(Err(stop));
        }
        let mut body = match body(incoming) {
            Ok(body) => body.value,
            Err(stop) => return Verdict::of(Err(stop)),
        };
        if is_cloud_event(incoming, &body) {
            return Verdict::of(self.judge(incoming, now));
        }
        without_secrets(&known, &mut body);
        self.foreign(incoming, &way, &known, &body, now)
    }

    fn foreign(
        &self,
        incoming: &Incoming,
        way: &str,
        known: &[Known],
        body: &Value,
        now: Timestamp,
    ) -> Verdict {
        let media_type = incoming.media_type();
        let routing_key = (incoming.origin == Origin::Amqp)
            .then(|| incoming.headers.get("amqp.routing_key"))
            .flatten();
        let mut nearest: Option<(usize, String)> = None;
        for one in known {
            let payload = Payload {
                media_type: &media_type,
                headers: &incoming.headers,
                routing_key: routing_key.map(String::as_str),
                source: way,
                options: &one.options,
                arrived: now,
                body,
            };
            let fit = match one.dialect.translate(&payload) {
                Ok(made) => return self.translated(&one.dialect, made, body, now),
                Err(fit) => fit,
            };
            // Of equally many in a hundred, the first one.
            let near = fit.met * 100 / fit.of.max(1);
            if nearest.as_ref().is_none_or(|(known, _)| near > *known) {
                let words = format!(
                    "the nearest is {}, of whose {} conditions {} hold; the first that does not is: {}",
                    one.dialect.name(),
                    fit.of,
                    fit.met,
                    fit.misses.unwrap_or_default()
                );
                nearest = Some((near, words));
            }
        }
        let words = nearest.map_or_else(|| "there is none".to_owned(), |(_, words)| words);
        let stop =
            format!("no dialect of this way takes it ({words}); add one, or stop sending it");
        Verdict::of(Err(Stop::new(Reason::Undecodable, stop)))
    }

    fn translated(
        &self,
        dialect: &Dialect,
        made: Translation,
        body: &Value,
        now: Timestamp,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        for (why, times) in &made.skipped {
            let labels = [
                ("dialect", dialect.name().to_owned()),
                ("reason", why.clone()),
            ];
            metrics::counter!(SKIPPED, &labels).increment(*times as u64);
        }
        verdict.skipped = made.skipped.keys().cloned().collect();
        for event in &made.events {
            if !self.dialects.signals && event["type"] == "handoff.requested" {
                verdict.skipped.push("signal".to_owned());
                continue;
            }
            match self.translated_event(event, &made.faults, now) {
                Ok(judged) => {
                    let asked = self.asked(dialect, &judged.admission, body, now);
                    verdict.events.push(judged);
                    verdict.events.extend(asked);
                }
                Err(stop) => verdict.refused = Some(stop),
            }
        }
        let nothing = verdict.events.is_empty() && verdict.skipped.is_empty();
        let missed = if made.is_cut {
            Some(format!("it has more than {} parts", dialect::MAX_ITEMS))
        } else if made.untaken > 0 {
            Some(format!(
                "none of its rules takes {} of the payload's parts",
                made.untaken
            ))
        } else {
            nothing.then(|| "none of its rules takes it".to_owned())
        };
        if let (Some(missed), None) = (missed, &verdict.refused) {
            let words = format!(
                "the dialect {} fits, but {missed}; add a rule to it",
                dialect.name()
            );
            verdict.refused = Some(Stop::new(Reason::Undecodable, words));
        }
        verdict
    }

    /// One event of a payload's, read as if a producer had sent it.
    fn translated_event(
        &self,
        event: &Value,
        faults: &[String],
        now: Timestamp,
    ) -> Result<Judged, Stop> {
        let (number, contact) = decode::about(event, &self.limits, now);
        let is_named = event.get("subject").is_some();
        let mut whole = event.clone();
        if !is_named {
            whole["subject"] = self
                .new_session(event, number.as_deref(), contact.as_ref())?
                .into();
        }
        let read = decode::read_value(&whole, &self.limits, now)?;
        let mut judged = self.settled(read, now);
        if self.dialects.keep == KeepFiles::Dialects {
            let urls = at_once(event);
            let admission = judged.admission;
            judged.admission = admission.wanting(|url| urls.contains(&url));
        }
        for fault in faults {
            let text = format!("a template of the dialect failed: {fault}");
            judged.admission.event.warnings.push(text.clone());
            judged.warnings.push(Warning {
                place: "the event".to_owned(),
                field: "dialect".to_owned(),
                text,
                lost: true,
            });
        }
        let data = &judged.admission.event.data;
        judged.admission.find = Some(Find {
            named: is_named,
            numbers: forms(number.as_deref()),
            customers: contact.as_ref().map(keys).unwrap_or_default(),
            begins: begins(data),
            idle: self.dialects.idle,
            follows: false,
            unless_people: false,
            only_people: matches!(data, Data::SessionReturned(_)),
            ours: self.router.sent_facts(data),
            transcript: transcript(data),
        });
        Ok(judged)
    }

    /// The session that an event gets if a new one begins with it. Where the business number is not
    /// known, a customer has one session: nothing tells theirs from one with another number.
    fn new_session(
        &self,
        event: &Value,
        number: Option<&str>,
        contact: Option<&Contact>,
    ) -> Result<String, Stop> {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let kind = text("type");
        let Some(key) = contact.and_then(Contact::key) else {
            // A status is known by the message that it tells of.
            if kind == "message.status" {
                return Ok(format!("wa-{}", ids::short(&[text("source"), text("id")])));
            }
            let words =
                "the dialect gives neither a session nor a customer: wa_id, user_id or phone";
            return Err(Stop::new(Reason::NoCustomer, words));
        };
        Ok(match number {
            Some(_) => format!("wa-{}", ids::short(&[text("source"), text("id")])),
            None => format!("wa-{}", ids::short(&[text("source"), "customer", &key])),
        })
    }
}

/// The addresses of those files that are fetched at once, because they live for minutes only.
fn at_once(part: &Value) -> Vec<&str> {
    let below: Vec<&Value> = match part {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => {
            if members.get(FETCH).is_some_and(|word| word == AT_ONCE)
                && let Some(url) = members.get("url").and_then(Value::as_str)
            {
                return vec![url.trim()];
            }
            members.values().collect()
        }
        _ => Vec::new(),
    };
    below.into_iter().flat_map(at_once).collect()
}

/// Whether a conversation may begin with it. A remark about an earlier message begins none.
fn begins(data: &Data) -> bool {
    match data {
        Data::HandoffRequested(_) => true,
        Data::MessageReceived(said) | Data::MessageSent(said) => !said.message.is_remark(),
        _ => false,
    }
}

/// How many messages of the conversation a handoff is given that has none of its own.
fn transcript(data: &Data) -> usize {
    match data {
        Data::HandoffRequested(handoff) if handoff.transcript.is_empty() => TRANSCRIPT,
        _ => 0,
    }
}

/// The forms of a business number: with its sign and without.
fn forms(number: Option<&str>) -> Vec<String> {
    let Some(number) = number else {
        return Vec::new();
    };
    let bare = number.trim_start_matches('+');
    vec![format!("+{bare}"), bare.to_owned()]
}

/// The keys under which a customer may be known.
fn keys(contact: &Contact) -> Vec<String> {
    let digits = |text: &String| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let mut keys: Vec<String> = contact.user_id.iter().cloned().collect();
    keys.extend(contact.wa_id.iter().map(digits));
    keys.extend(contact.phone.iter().map(digits));
    keys.retain(|key| !key.is_empty());
    keys.dedup();
    keys
}

/// What came as JSON; a form is an object.
fn body(incoming: &Incoming) -> Result<Json, Stop> {
    if incoming.media_type() == dialect::FORM {
        return Ok(Json::whole(form(&incoming.body)));
    }
    json(&incoming.body)
}

/// Whether a body says of itself that it is a CloudEvent.
fn is_cloud_event(incoming: &Incoming, body: &Value) -> bool {
    let is_known = |kind: &Value| {
        kind.as_str()
            .is_some_and(|kind| Data::INBOUND.contains(&kind))
    };
    incoming.is_binary()
        || body.get("specversion").is_some()
        || body.get("type").is_some_and(is_known) && body.get("data").is_some()
}

/// Takes out what is a secret in one of the dialects, or by its name. Returns whether anything was.
fn without_secrets(known: &[Known], body: &mut Value) -> bool {
    let named = known
        .iter()
        .fold(false, |any, one| one.dialect.without_secrets(body) | any);
    dialect::mask(body) | named
}

impl Gate {
    /// An event that was read, with the targets that it is for.
    pub(super) fn settled(&self, mut read: decode::Read, now: Timestamp) -> Judged {
        let about_targets = self.router.settle_targets(&mut read.event);
        let words = about_targets.iter().map(|one| one.text.clone());
        read.event.warnings.extend(words);
        read.warnings.extend(about_targets);
        let mut admission = self.router.admission(read.event, now);
        let reactions = self.limits.reactions_open_window;
        let data = &admission.event.data;
        admission.inbound_at = route::inbound_at(data, now, &read.unsure, reactions);
        if self.dialects.keep == KeepFiles::Always {
            admission = admission.wanting(|_| true);
        }
        Judged {
            admission,
            warnings: read.warnings,
        }
    }
}

/// Parts of what came together, such that no conversation is looked for twice in one part: what an
/// earlier event did to it is known when a later one looks. A handoff goes with its message.
pub(super) fn parts(admissions: Vec<Admission>) -> Vec<Vec<Admission>> {
    let mut parts: Vec<Vec<Admission>> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for admission in admissions {
        let keys = match &admission.find {
            Some(find) if !find.follows => {
                let mut keys = find.customers.clone();
                if find.named {
                    keys.push(admission.event.session.clone());
                }
                keys
            }
            _ => Vec::new(),
        };
        let is_again = keys.iter().any(|key| seen.contains(key));
        match parts.last_mut() {
            Some(part) if !is_again => part.push(admission),
            _ => {
                seen.clear();
                parts.push(vec![admission]);
            }
        }
        seen.extend(keys);
    }
    parts
}
