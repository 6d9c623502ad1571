//! What happened in one conversation, across gateway, ledger, CRM and WhatsApp: one entry for each thing that
//! happened, its calls and receipts inside it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `entries` | events become entries |
//! | `calls` | each call finds the entry that it was made for |
//! | `waits` | what waits or is parked now |
//! | `beside` | the window's clock, who is in charge, each target, and the facts |
//! | `advice` | what to do next |

mod advice;
mod beside;
mod calls;
mod entries;
mod waits;

use std::collections::BTreeMap;

use handoffd_contract::Controller;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

pub use self::advice::Advice;
pub use self::beside::{Beside, FactView, Standing, TargetLine, WindowClock, window};
use super::mask::{self, Text, Values};
use crate::ledger::view::{EventsWanted, StoredEvent};
use crate::ledger::{LedgerError, OperatorLedger, SessionReport, ViewLedger};

/// So many entries are on a page.
pub const PAGE: usize = 50;

/// So many events are read for a page: some are told inside the entries of others.
const READ: usize = 400;

/// So many bytes of events are read for a page.
const READ_BYTES: usize = 4 << 20;

/// So many words on what became of replies are read.
const RECEIPTS: usize = 1_000;

/// Where something is or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The messaging gateway.
    Gateway,
    /// handoffd itself.
    Handoffd,
    /// A CRM.
    Crm,
    /// WhatsApp, and the customer.
    Whatsapp,
}

impl Place {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Place::Gateway => "gateway",
            Place::Handoffd => "handoffd",
            Place::Crm => "CRM",
            Place::Whatsapp => "WhatsApp",
        }
    }
}

/// What an entry came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is done.
    Done,
    /// It waits, and goes on by itself.
    Waiting,
    /// It failed, or needs a person.
    Failed,
    /// Nobody knows what became of it.
    Unknown,
    /// It is told for completeness.
    Note,
}

/// A thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Entry {
    /// Its name on the page, such as `e-4711`.
    pub key: String,
    /// The number of its event; absent where it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    /// When it happened.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The event's type, or `wait`, `parked` or `dead-letter`.
    pub kind: String,
    /// Where it came from.
    pub from: Place,
    /// Where it went; absent where it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Place>,
    /// The target, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What it came to.
    pub outcome: Outcome,
    /// What happened, in a sentence.
    pub title: String,
    /// What was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Words beside the title, such as the reasons of a handoff.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chips: Vec<String>,
    /// Further lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// The other side's own words, without values of customers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// Where a person finds the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What became of a reply, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
    /// What was said before a handoff.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Said>,
    /// The calls that it took, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallView>,
    /// Whether its calls are shown unfolded.
    pub open: bool,
    /// When it goes on by itself.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Entry {
    fn new(key: String, at: Timestamp, kind: &str, from: Place, title: impl Into<String>) -> Entry {
        Entry {
            key,
            seq: None,
            at,
            kind: kind.to_owned(),
            from,
            to: None,
            target: None,
            outcome: Outcome::Done,
            title: title.into(),
            text: None,
            chips: Vec::new(),
            lines: Vec::new(),
            words: String::new(),
            link: None,
            receipts: Vec::new(),
            earlier: Vec::new(),
            calls: Vec::new(),
            open: false,
            until: None,
        }
    }

    /// How long its calls took together, in milliseconds.
    #[must_use]
    pub fn millis(&self) -> i64 {
        self.calls.iter().map(|call| call.millis).sum()
    }

    /// From where to where, for those who see no drawing: `From WhatsApp to gateway`.
    #[must_use]
    pub fn way(&self) -> String {
        match self.to {
            Some(to) => format!("From {} to {}", self.from.name(), to.name()),
            None => format!("In {}", self.from.name()),
        }
    }
}

/// How far a reply has come.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Receipt {
    /// `held`, `sent`, `delivered`, `read` or `failed`.
    pub state: &'static str,
    /// When that became known.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// What the rep was told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why it is held, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Something that was said before the handoff.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Said {
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// By whom: `customer`, `assistant`, `agent` or `system`.
    pub by: String,
    /// What.
    pub text: Text,
    /// Files with it.
    pub files: usize,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallView {
    /// The target.
    pub target: String,
    /// What it was for.
    pub step: String,
    /// Method and path; absent where it did not go by HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// When it began.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub millis: i64,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `known`, `absent`, `later`, `never` or `lost`.
    pub outcome: String,
    /// The reason's label, where it did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What it came to, in words.
    pub words: String,
}

/// A conversation with a page of its timeline.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Timeline {
    /// The session, without the customer's digits.
    pub session: String,
    /// By what it is called in addresses.
    pub key: String,
    /// When this was so.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The customer's name.
    pub name: String,
    /// The customer's number, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The business number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_number: Option<String>,
    /// Where a person can look at it on the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Until when names and texts are shown to who asks; absent while they are hidden.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmasked_until: Option<Timestamp>,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins, as `after`; absent where there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// What to do next.
    pub advice: Advice,
    /// What stands beside the timeline.
    pub beside: Beside,
}

/// What of a conversation is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The entries beyond this event's number.
    pub after: Option<i64>,
    /// As it happened, the oldest first; otherwise the newest first.
    pub oldest_first: bool,
    /// Only what is of this target, or, as `messages`, what was said.
    pub only: Option<String>,
    /// Until when names and texts are shown to who asks.
    pub unmasked_until: Option<Timestamp>,
}

/// What a timeline is made with.
pub struct Sources<'a> {
    /// Reports of sessions.
    pub operator: &'a dyn OperatorLedger,
    /// Events of sessions.
    pub view: &'a dyn ViewLedger,
    /// The configured targets, and whether each is enabled.
    pub targets: &'a [(String, bool)],
    /// Targets by which customers are answered.
    pub ways_back: &'a [String],
}

/// What the parts of a timeline look at.
struct Story<'a> {
    report: &'a SessionReport,
    events: &'a [StoredEvent],
    receipts: &'a [StoredEvent],
    targets: &'a [(String, bool)],
    ways_back: &'a [String],
    language: Option<String>,
    values: Values,
    open: bool,
    now: Timestamp,
}

impl Story<'_> {
    fn text(&self, text: &str) -> Text {
        Text::of(text, self.language.as_deref(), self.open)
    }

    fn name(&self, name: &str) -> String {
        if self.open {
            name.to_owned()
        } else {
            mask::name(name)
        }
    }

    fn words(&self, words: &str) -> String {
        if self.open {
            return words.to_owned();
        }
        mask::wamids(&mask::words(words, &self.values))
    }

    fn known(&self, words: &str) -> String {
        if self.open {
            return words.to_owned();
        }
        mask::known(words, &self.values)
    }

    fn is_way_back(&self, target: &str) -> bool {
        self.ways_back.iter().any(|known| known == target)
    }

    /// Where a target stands among the rails.
    fn place(&self, target: &str) -> Place {
        if self.is_way_back(target) {
            Place::Whatsapp
        } else {
            Place::Crm
        }
    }
}

/// The timeline of a session; `None` when the ledger knows nothing of it.
///
/// # Errors
/// The ledger cannot be read.
pub async fn of(
    sources: &Sources<'_>,
    session: &str,
    asked: &Asked,
) -> Result<Option<Timeline>, LedgerError> {
    let now = Timestamp::now();
    let wanted = |newest, from, kind, limit| EventsWanted {
        from,
        newest,
        kind,
        limit,
        bytes: READ_BYTES,
    };
    let page = wanted(!asked.oldest_first, asked.after, None, READ);
    let (report, number, events, receipts) = tokio::join!(
        sources.operator.session_report(session),
        sources.view.number_of(session),
        sources.view.session_events(session, page),
        sources
            .view
            .session_events(session, wanted(true, None, Some("reply.status"), RECEIPTS)),
    );
    let (report, number, mut events, mut receipts) = (report?, number?, events?, receipts?);
    if !super::known(&report) {
        return Ok(None);
    }
    if !asked.oldest_first {
        events.reverse();
    }
    receipts.reverse();
    let contact = report.contact.as_ref();
    let mut values = Values::of_contact(contact);
    events.iter().for_each(|one| values.also_of(&one.event));
    let story = Story {
        report: &report,
        events: &events,
        receipts: &receipts,
        targets: sources.targets,
        ways_back: sources.ways_back,
        language: report
            .session
            .as_ref()
            .and_then(|data| data.language.clone()),
        values,
        open: asked.unmasked_until.is_some(),
        now,
    };
    let (entries, next) = page_of(&story, asked);
    let hidden = mask::session(session, contact);
    let open = story.open;
    Ok(Some(Timeline {
        key: key(session, number, contact),
        session: if open { session.to_owned() } else { hidden },
        at: now,
        name: contact.map_or_else(String::new, |contact| called(contact, open)),
        phone: contact
            .and_then(handoffd_contract::Contact::e164)
            .map(|phone| if open { phone } else { mask::phone(&phone) }),
        business_number: report
            .session
            .as_ref()
            .map(|data| data.business_number.clone()),
        url: report.session.as_ref().and_then(|data| data.url.clone()),
        unmasked_until: asked.unmasked_until,
        advice: advice::of(&story),
        beside: beside::of(&story),
        entries,
        next,
    }))
}

/// What a customer is called where names are shown or hidden.
#[must_use]
pub fn called(contact: &handoffd_contract::Contact, open: bool) -> String {
    let name = [&contact.name, &contact.username].into_iter().flatten();
    let name = name.map(|name| name.trim()).find(|name| !name.is_empty());
    match name {
        Some(name) if open => name.to_owned(),
        Some(name) => mask::name(name),
        None => "WhatsApp user".to_owned(),
    }
}

/// By what a session is called in addresses: its id, or its number where the id shows the customer's digits.
#[must_use]
pub fn key(
    session: &str,
    number: Option<i64>,
    contact: Option<&handoffd_contract::Contact>,
) -> String {
    match number {
        Some(number) if mask::hides_session(session, contact) => format!("~{number:x}"),
        _ => session.to_owned(),
    }
}

/// The entries of a page, and where the next begins.
fn page_of(story: &Story<'_>, asked: &Asked) -> (Vec<Entry>, Option<i64>) {
    let mut entries: Vec<Entry> = story
        .events
        .iter()
        .flat_map(|one| entries::of(story, one))
        .collect();
    entries::give_receipts(story, &mut entries);
    calls::give(story, &mut entries);
    if asked.after.is_none() {
        waits::add(story, &mut entries);
    }
    entries.sort_by_key(|entry| (entry.at, entry.seq.unwrap_or(i64::MAX)));
    if let Some(only) = &asked.only {
        entries.retain(|entry| match only.as_str() {
            "messages" => entry.text.is_some(),
            target => entry.target.as_deref() == Some(target),
        });
    }
    if !asked.oldest_first {
        entries.reverse();
    }
    let read_all = story.events.len() < READ && is_whole(story, asked);
    let cut = entries.len() > PAGE;
    entries.truncate(PAGE);
    let edge = if asked.oldest_first {
        story.events.last()
    } else {
        story.events.first()
    };
    let next = match (cut, read_all) {
        (true, _) => entries.iter().rev().find_map(|entry| entry.seq),
        (false, true) => None,
        (false, false) => edge.map(|one| one.seq),
    };
    (entries, next)
}

/// Whether the events that were read reach to the session's end in the asked direction.
fn is_whole(story: &Story<'_>, asked: &Asked) -> bool {
    let all = &story.report.events;
    let (edge, end) = if asked.oldest_first {
        (story.events.last(), all.last())
    } else {
        (story.events.first(), all.first())
    };
    match (edge, end) {
        (Some(edge), Some(end)) if asked.oldest_first => edge.seq >= end.0,
        (Some(edge), Some(end)) => edge.seq <= end.0,
        _ => true,
    }
}

/// Who is in charge, in words; names as they may be shown.
fn in_charge(story: &Story<'_>, controller: &Controller) -> String {
    match controller {
        Controller::Assistant => "The assistant".to_owned(),
        Controller::Queued { target, .. } => match target {
            Some(target) => format!("Nobody yet: it waits for a rep in {target}"),
            None => "Nobody yet: it waits for a rep".to_owned(),
        },
        Controller::Rep { target, name } => match name {
            Some(name) => format!("A rep in {target}, {}", story.name(name)),
            None => format!("A rep in {target}"),
        },
        Controller::Returned { by } => {
            format!("The assistant again, given back by {}", story.words(by))
        }
        Controller::Closed { by, .. } => format!("Nobody: closed by {}", story.words(by)),
    }
}

/// Lanes by target, for those who look one up.
fn lanes<'a>(story: &'a Story<'_>) -> BTreeMap<&'a str, &'a crate::ledger::LaneRow> {
    let lanes = story.report.lanes.iter();
    lanes
        .map(|(lane, ..)| (lane.target.as_str(), lane))
        .collect()
}
