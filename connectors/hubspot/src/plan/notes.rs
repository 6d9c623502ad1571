//! Notes, logged communications and thread comments: none of them has a key of its own.
//!
//! Each carries a printed marker. When it is not known whether one was written, the ticket's records
//! are listed, those that are not known as ours are read, and the marker decides.

use handoffd_contract::text::plain;
use handoffd_contract::{Fact, HttpCall, Item, Repeat, Settled, Step, Stop};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Plan;
use crate::facts;
use crate::words::{self, Block};

/// How many records go out side by side.
const AT_ONCE: usize = 10;

/// Inputs of one batch call. <https://developers.hubspot.com/docs/api-reference/error-handling>
const BATCH: usize = 100;

/// What a text becomes in HubSpot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A note on ticket and contact.
    Note,
    /// A logged WhatsApp message.
    Communication,
    /// A comment in this thread.
    Comment(String),
}

impl Kind {
    /// The name of the API's collection.
    pub fn collection(&self) -> &'static str {
        match self {
            Kind::Note => "notes",
            Kind::Communication => "communications",
            Kind::Comment(_) => "comments",
        }
    }

    /// The property that holds the text.
    fn body(&self) -> &'static str {
        match self {
            Kind::Communication => "hs_communication_body",
            Kind::Note | Kind::Comment(_) => "hs_note_body",
        }
    }

    /// Association types to ticket and contact.
    fn links(&self) -> (u32, u32) {
        match self {
            Kind::Communication => (83, 81),
            Kind::Note | Kind::Comment(_) => (228, 202),
        }
    }
}

/// One record that shows something.
#[derive(Debug, Clone)]
pub struct Note {
    fact: String,
    kind: Kind,
    title: String,
    blocks: Vec<Block>,
    attached: Vec<String>,
    files: Vec<(String, Settled)>,
    slot: usize,
    optional: bool,
    settles: Option<String>,
}

impl Note {
    /// A record that establishes `fact`.
    pub fn new(fact: String, kind: Kind, title: &str, blocks: Vec<Block>) -> Note {
        Note {
            fact,
            kind,
            title: title.to_owned(),
            blocks,
            attached: Vec::new(),
            files: Vec::new(),
            slot: 0,
            optional: false,
            settles: None,
        }
    }

    /// The record's place among those of its event.
    pub fn at(mut self, slot: usize) -> Note {
        self.slot = slot;
        self
    }

    /// Nobody misses it when the ticket is gone.
    pub fn optional(mut self) -> Note {
        self.optional = true;
        self
    }

    /// A further fact that it establishes.
    pub fn settles(mut self, fact: String) -> Note {
        self.settles = Some(fact);
        self
    }

    /// Attaches a file, or tells why it is not there.
    pub fn attach(&mut self, fact: String, file: Result<String, Stop>) {
        match file {
            Ok(id) => {
                self.files.push((fact, Settled::from(&id)));
                if !self.attached.contains(&id) {
                    self.attached.push(id);
                }
            }
            Err(why) => self.files.push((fact, why.into())),
        }
    }

    /// Everything that this record settles, each with what settles it where we choose that.
    fn claims(&self) -> Vec<(String, Option<Settled>)> {
        let said = self
            .blocks
            .iter()
            .filter_map(|block| block.ends.as_ref())
            .map(|id| (facts::said(id), None));
        let files = self
            .files
            .iter()
            .map(|(fact, value)| (fact.clone(), Some(value.clone())));
        let settled = self.settles.iter().cloned();
        std::iter::once((self.fact.clone(), None))
            .chain(said)
            .chain(files)
            .chain(settled.map(|fact| (fact, Some("done".into()))))
            .collect()
    }
}

/// When the records of one event are dated. WhatsApp counts in seconds and timelines sort by time, so
/// each record is dated after everything that was shown before it.
#[derive(Debug, Clone)]
pub struct Clock {
    base: i64,
    fact: String,
}

impl Clock {
    /// When the first record is dated.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// What is known once one of the records is there.
    pub fn fact(&self) -> &str {
        &self.fact
    }
}

/// A time as HubSpot writes it.
pub fn iso(millisecond: i64) -> String {
    let time = Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

impl Plan<'_> {
    /// The dates of an event's records. They stay the same while the event is worked off.
    pub(super) fn clock(&self, item: &Item, time: Timestamp, count: usize) -> Clock {
        let mut parts = self
            .known
            .get(facts::CLOCK)
            .unwrap_or_default()
            .splitn(3, ' ');
        let first: Option<i64> = parts.next().and_then(|text| text.parse().ok());
        let last: Option<i64> = parts.next().and_then(|text| text.parse().ok());
        let base = match (first, last, parts.next()) {
            (Some(first), _, Some(event)) if event == item.id => first,
            (_, Some(last), _) => time.as_millisecond().max(last + 1),
            _ => time.as_millisecond(),
        };
        let last = base + i64::try_from(count).unwrap_or(1).max(1) - 1;
        Clock {
            base,
            fact: format!("{base} {last} {}", item.id),
        }
    }

    /// Blocks as one record or several, on the borders between blocks.
    pub(super) fn split(
        &self,
        item: &Item,
        part: &str,
        kind: Kind,
        title: &str,
        blocks: Vec<Block>,
    ) -> Vec<Note> {
        let bodies = words::pack(blocks);
        let count = bodies.len();
        let note = |(n, blocks): (usize, Vec<Block>)| {
            let title = if count > 1 {
                format!("{title} (part {} of {count})", n + 1)
            } else {
                title.to_owned()
            };
            Note::new(
                facts::note(&item.id, &format!("{part}{n}")),
                kind.clone(),
                title.trim(),
                blocks,
            )
            .at(n)
        };
        bodies.into_iter().enumerate().map(note).collect()
    }

    /// Brings those records of an event into being that are not there yet.
    pub(super) fn show(&self, notes: &[Note], clock: &Clock, ticket: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut lost: Vec<&Note> = Vec::new();
        for note in notes {
            match self.fact(&note.fact) {
                Some(Fact::Is(_) | Fact::Refused { .. }) => {}
                Some(Fact::Unsure { .. }) => lost.push(note),
                None if steps.len() < AT_ONCE => steps.push(self.create(note, clock, ticket)),
                None => {}
            }
        }
        for kind in [Kind::Note, Kind::Communication] {
            let lost: Vec<&Note> = lost
                .iter()
                .copied()
                .filter(|note| note.kind == kind)
                .collect();
            if !lost.is_empty() {
                steps.push(self.look(&kind, &lost, clock, ticket));
            }
        }
        let comments = lost.iter().find_map(|note| match &note.kind {
            Kind::Comment(thread) => Some(thread),
            _ => None,
        });
        if let Some(thread) = comments {
            let lost: Vec<&Note> = lost
                .into_iter()
                .filter(|note| matches!(note.kind, Kind::Comment(_)))
                .collect();
            let call =
                HttpCall::get(self.settings.paths.thread_messages(thread)).query("limit", "100");
            let context =
                json!({"kind": "comments", "wanted": self.wanted(&lost), "clock": clock.fact});
            steps.push(Step::look("comments.look", call).context(context));
        }
        steps
    }

    fn create(&self, note: &Note, clock: &Clock, ticket: &str) -> Step {
        let slot = i64::try_from(note.slot).unwrap_or(0);
        let title = Some(note.title.as_str()).filter(|title| !title.is_empty());
        let body = words::note(title, &note.blocks, &self.marker(&note.fact));
        let contact = self.contact_id();
        let (name, call) = match &note.kind {
            Kind::Comment(thread) => {
                let body = json!({"type": "COMMENT", "text": plain(&body), "richText": body, "attachments": []});
                (
                    "comment.create",
                    HttpCall::post(self.settings.paths.thread_messages(thread), body),
                )
            }
            kind => {
                let mut properties =
                    json!({"hs_timestamp": iso(clock.base + slot), kind.body(): body});
                if *kind == Kind::Communication {
                    properties["hs_communication_channel_type"] = json!("WHATS_APP");
                    properties["hs_communication_logged_from"] = json!("CRM");
                }
                let refused = self.known.is(&facts::drop(&note.fact, "hs_attachment_ids"));
                if !note.attached.is_empty() && !refused {
                    properties["hs_attachment_ids"] = json!(note.attached.join(";"));
                }
                let (to_ticket, to_contact) = kind.links();
                let link = |id: &str, kind: u32| json!({"to": {"id": id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]});
                let mut links = vec![link(ticket, to_ticket)];
                links.extend(contact.map(|contact| link(contact, to_contact)));
                let name = if *kind == Kind::Note {
                    "note.create"
                } else {
                    "communication.create"
                };
                let body = json!({"properties": properties, "associations": links});
                (
                    name,
                    HttpCall::post(self.settings.paths.object(kind.collection()), body),
                )
            }
        };
        let step = note.claims().into_iter().fold(
            Step::new(name, Repeat::Blind, call),
            |step, (fact, value)| match value {
                Some(Settled::Is(value)) => step.claim_as(fact, value),
                Some(Settled::Refused(_)) | None => step.claim(fact),
            },
        );
        step.context(json!({
            "kind": note.kind.collection(), "fact": note.fact, "clock": clock.fact, "ticket": ticket,
            "linked": contact.is_some(), "optional": note.optional, "claims": note.claims(),
        }))
    }

    fn wanted(&self, lost: &[&Note]) -> Vec<Value> {
        let one = |note: &&Note| json!({"marker": words::printed(&self.marker(&note.fact)), "claims": note.claims()});
        lost.iter().map(one).collect()
    }

    /// The next step of looking for records whose fate is not known: list, then read in batches.
    fn look(&self, kind: &Kind, lost: &[&Note], clock: &Clock, ticket: &str) -> Step {
        let names: Vec<&str> = lost.iter().map(|note| note.fact.as_str()).collect();
        let listed = facts::listed(kind.collection());
        let state: Value = self
            .known
            .get(&listed)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        // A list made before a record was sent does not show it; only what it was made for counts.
        let made_for: Vec<String> =
            serde_json::from_value(state["for"].clone()).unwrap_or_default();
        let covered: Vec<&Note> = lost
            .iter()
            .copied()
            .filter(|note| made_for.contains(&note.fact))
            .collect();
        let ids: Vec<String> = serde_json::from_value(state["ids"].clone()).unwrap_or_default();
        if covered.is_empty() || state["after"].is_string() {
            let mut call = HttpCall::get(self.settings.paths.links(
                "tickets",
                ticket,
                kind.collection(),
            ))
            .query("limit", "500");
            let fresh = covered.is_empty();
            if let Some(after) = state["after"].as_str().filter(|_| !fresh) {
                call = call.query("after", after);
            }
            let context = json!({
                "kind": kind.collection(),
                "for": if fresh { json!(names) } else { json!(made_for) },
                "ids": if fresh { json!([]) } else { json!(ids) },
                "own": facts::own(self.known, kind.collection()),
                "wanted": self.wanted(if fresh { lost } else { &covered }),
            });
            return Step::look("notes.list", call).context(context);
        }
        let (now, rest) = ids.split_at(ids.len().min(BATCH));
        let inputs: Vec<Value> = now.iter().map(|id| json!({"id": id})).collect();
        let body =
            json!({"properties": [kind.body()], "propertiesWithHistory": [], "inputs": inputs});
        let call = HttpCall::post(
            format!(
                "{}/batch/read",
                self.settings.paths.object(kind.collection())
            ),
            body,
        );
        Step::look("notes.read", call).context(json!({
            "kind": kind.collection(), "body": kind.body(), "for": made_for, "rest": rest, "wanted": self.wanted(&covered),
            "clock": clock.fact,
        }))
    }
}
