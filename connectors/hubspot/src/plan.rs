//! Which calls can be made now, from the work and what is known.
//!
//! Items are worked off strictly in order: nothing of the next one is planned before the one before
//! it is shown. Inside one item everything whose prerequisites are known goes at once.

mod contact;
mod files;
mod notes;
mod ticket;

use std::collections::BTreeSet;

use handoffd_contract::event::{
    DeliveryState, Handoff, HandoffCompleted, MessageEvent, ReplyStatus, SessionClosed,
};
use handoffd_contract::text::line;
use handoffd_contract::{
    Attachment, Call, Contact, Data, Fact, HttpCall, Item, Known, Message, Method, Record, Refusal, Repeat, Step, Work, ids,
};
use serde_json::json;

use crate::facts;
use crate::settings::{Comments, Later, Settings};
use crate::words::{self, Block};
use notes::{Kind, Note};

pub use ticket::THREAD;

/// Every call that can be made now.
pub fn next(settings: &Settings, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
    let plan = Plan { settings, work, known };
    for item in &work.items {
        let steps = match &item.data {
            Data::HandoffRequested(handoff) => plan.handoff(item, handoff)?,
            Data::MessageReceived(said) => plan.message(item, said),
            // A message that carried out a rep's reply is already a note of that rep.
            Data::MessageSent(said) if said.reference.is_none() => plan.message(item, said),
            Data::ReplyStatus(status) => plan.reply_status(item, status),
            Data::SessionClosed(closed) => plan.closed(item, closed),
            _ => Vec::new(),
        };
        if !steps.is_empty() {
            return Ok(steps);
        }
    }
    Ok(Vec::new())
}

/// What a plan is made from.
struct Plan<'a> {
    settings: &'a Settings,
    work: &'a Work,
    known: &'a Known,
}

/// A message with one of its files.
type Filed<'a> = (&'a Message, &'a Attachment);

impl Plan<'_> {
    /// The marker that is printed in what establishes a fact.
    fn marker(&self, fact: &str) -> String {
        ids::short(&["hubspot", &self.work.target, &self.work.session.id, fact])
    }

    /// The value of the ticket's unique property: one per session and target.
    fn handoff_id(&self) -> String {
        format!("hnd-{}", self.marker(facts::TICKET))
    }

    fn handoff(&self, item: &Item, handoff: &Handoff) -> Result<Vec<Step>, Refusal> {
        if self.known.is(&facts::completed(&item.id)) {
            return Ok(Vec::new());
        }
        let contact = if handoff.contact.key().is_some() { &handoff.contact } else { &self.work.contact };
        let Some(ticket) = self.known.get(facts::TICKET) else {
            return self.opening(item, handoff, contact);
        };
        if let Some(step) = self.doubt(ticket).or_else(|| self.thread(item, ticket)) {
            return Ok(vec![step]);
        }
        let messages = self.messages(item, handoff);
        let files = files::of(messages.iter().copied());
        let texts = self.handoff_notes(item, handoff, contact, &messages);
        let clock = self.clock(item, item.time, texts.len() + files.len().div_ceil(files::PER_NOTE));
        let mut steps = self.show(&texts, &clock, ticket);
        steps.extend(self.contact_update(item, contact));
        if steps.is_empty() {
            steps = self.uploads(&files);
        }
        if steps.is_empty() {
            steps = self.show(&self.file_notes(item, contact, &files, texts.len()), &clock, ticket);
        }
        if steps.is_empty() {
            steps.push(self.complete(item, ticket, &files));
        }
        Ok(steps)
    }

    /// The messages that this handoff brings: all but those that earlier items showed. The answer
    /// stays the same while the handoff is worked off, so that its notes keep their parts.
    fn messages<'h>(&self, item: &Item, handoff: &'h Handoff) -> Vec<&'h Message> {
        let prefix = facts::note(&item.id, "");
        let own: BTreeSet<&str> = self.known.under(&prefix).map(|(_, value)| value).collect();
        let opened = self.known.get(facts::TICKET_BY) == Some(item.id.as_str());
        let mut seen = BTreeSet::new();
        handoff
            .transcript
            .iter()
            .filter(|message| seen.insert(message.id.as_str()))
            .filter(|message| match self.known.get(&facts::said(&message.id)) {
                None => true,
                Some(shown) => own.contains(shown) || opened && shown.starts_with("tickets:"),
            })
            .collect()
    }

    /// The internal comment, then what the ticket's description does not hold of the transcript.
    fn handoff_notes(&self, item: &Item, handoff: &Handoff, contact: &Contact, messages: &[&Message]) -> Vec<Note> {
        let first = self.known.get(facts::TICKET_BY).is_none_or(|by| by == item.id);
        let title = if first { "AI handoff from WhatsApp" } else { "AI handoff from WhatsApp, again" };
        let mut blocks = Vec::new();
        for (label, value) in words::reasoning(handoff) {
            blocks.extend(match label {
                "Session" if value.starts_with("https://") || value.starts_with("http://") => vec![words::link(&value)],
                _ => Block::labelled(label, &value),
            });
        }
        for note in item.rendered.iter().flat_map(|rendered| rendered.notes.iter().cloned()).chain(self.degraded()) {
            blocks.extend(Block::labelled("Please note", &note));
        }
        blocks.extend(Block::plain(&self.reply_hint(), None));
        let kind = match self.known.get(&facts::thread(&item.id)) {
            Some(thread) if self.settings.comments == Comments::ThreadOrNote && thread != "-" => Kind::Comment(thread.to_owned()),
            _ => Kind::Note,
        };
        let mut notes = self.split(item, "h", kind, title, blocks);
        let rest = messages.iter().filter(|message| {
            self.known.get(&facts::said(&message.id)).is_none_or(|shown| !shown.starts_with("tickets:"))
        });
        let lines = rest.flat_map(|message| Block::plain(&line(message, contact), Some(&message.id))).collect();
        for note in self.split(item, "t", Kind::Note, "Conversation until the handoff", lines) {
            notes.push(note.at(notes.len()));
        }
        notes
    }

    fn reply_hint(&self) -> String {
        let settings = self.settings;
        if settings.poll_seconds > 0 || settings.webhook.is_some() {
            format!(
                "To answer the customer on WhatsApp, add a note to this ticket that begins with {}. Every other note stays internal.",
                settings.reply_prefix
            )
        } else if settings.channel_id.is_some() {
            "To answer the customer on WhatsApp, reply in the conversation. Notes stay internal.".to_owned()
        } else {
            "Notes stay internal. Answers are not carried from this ticket to WhatsApp; use the session's page.".to_owned()
        }
    }

    /// What could not be brought over as it was, in words for a rep.
    fn degraded(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for section in ["ticket", "contact"] {
            for (field, why) in self.known.under(&format!("drop/{section}/")) {
                notes.push(format!("HubSpot did not take the {section} field {field} ({why})"));
            }
        }
        if let Some(why) = self.known.get(facts::OWNER).and_then(|owner| owner.strip_prefix('!')) {
            notes.push(why.to_owned());
        }
        if let Some(others) = self.known.get(facts::CONTACT_OTHERS) {
            notes.push(format!("Other contacts have this phone number too: {others}. The oldest one was taken"));
        }
        notes
    }

    fn complete(&self, item: &Item, ticket: &str, files: &[Filed<'_>]) -> Step {
        let rendered = item.rendered.iter().flat_map(|rendered| rendered.notes.iter().cloned());
        let missing = files.iter().filter_map(|(message, attachment)| {
            let why = self.uploaded(message, attachment)?.err()?;
            Some(format!("{} is not attached: {why}", attachment.file_name()))
        });
        let mut records = std::collections::BTreeMap::from([("ticket".to_owned(), ticket.to_owned())]);
        if let Some(contact) = self.known.get(facts::CONTACT) {
            records.insert("contact".to_owned(), contact.to_owned());
        }
        let completed = HandoffCompleted {
            target: self.work.target.clone(),
            handoff: item.id.clone(),
            records,
            url: self.ticket_url(ticket),
            notes: rendered.chain(self.degraded()).chain(missing).collect(),
        };
        let fact = facts::completed(&item.id);
        let record = Record {
            facts: vec![(fact.clone(), ticket.to_owned())],
            events: vec![(fact, Data::HandoffCompleted(completed))],
        };
        Step::new("handoff.complete", Repeat::Keyed, Call::Record(record))
    }

    fn message(&self, item: &Item, said: &MessageEvent) -> Vec<Step> {
        let message = &said.message;
        let Some(ticket) = self.known.get(facts::TICKET) else { return Vec::new() };
        let own = facts::note(&item.id, "");
        if let Some(shown) = self.known.get(&facts::said(&message.id)) {
            let here = self.known.under(&own).any(|(_, value)| value == shown);
            if !here {
                return Vec::new();
            }
        }
        if let Some(step) = self.doubt(ticket) {
            return vec![step];
        }
        let contact = said.contact.as_ref().unwrap_or(&self.work.contact);
        let files = files::of(std::iter::once(message));
        let uploads = self.uploads(&files);
        if !uploads.is_empty() {
            return uploads;
        }
        let mut blocks: Vec<Block> = Vec::new();
        let (attached, missing): (Vec<Filed<'_>>, Vec<Filed<'_>>) =
            files.iter().partition(|(message, attachment)| matches!(self.uploaded(message, attachment), Some(Ok(_))));
        for (message, attachment) in missing {
            let why = self.uploaded(message, attachment).and_then(Result::err);
            blocks.push(words::file(message, attachment, contact, why.as_deref()));
        }
        blocks.extend(Block::plain(&line(message, contact), Some(&message.id)));
        let kind = match self.settings.later {
            Later::Communication if attached.is_empty() => Kind::Communication,
            _ => Kind::Note,
        };
        let mut notes = self.split(item, "m", kind, "", blocks);
        if let Some(last) = notes.last_mut() {
            self.attach(last, &files);
        }
        let clock = self.clock(item, message.time, notes.len());
        let mut steps = self.show(&notes, &clock, ticket);
        steps.extend(self.touch(item, message, ticket));
        steps
    }

    /// Writes the time of the last message, where the settings name a property for it.
    fn touch(&self, item: &Item, message: &Message, ticket: &str) -> Option<Step> {
        let property = self.settings.last_message_property.as_ref()?;
        let fact = facts::touched(&item.id);
        let dropped = self.known.is(&facts::drop("ticket", property));
        if dropped || self.known.is(&fact) {
            return None;
        }
        let time = notes::iso(message.time.as_millisecond());
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("tickets", ticket))
            .json(json!({"properties": {property: time}}));
        Some(Step::new("ticket.touch", Repeat::Keyed, call).claim_as(fact, "done"))
    }

    fn reply_status(&self, item: &Item, status: &ReplyStatus) -> Vec<Step> {
        let Some(ticket) = self.known.get(facts::TICKET).filter(|_| status.target == self.work.target) else {
            return Vec::new();
        };
        let held = self.known.is(&facts::told(&status.message_id, "held"));
        let (state, title, default) = match status.state {
            DeliveryState::Held => ("held", "Not delivered to WhatsApp yet", "The reply waits and goes out when it can."),
            DeliveryState::Failed => ("failed", "Not delivered to WhatsApp", "WhatsApp did not take the reply."),
            DeliveryState::Delivered | DeliveryState::Read if held => {
                ("delivered", "Delivered to WhatsApp", "The reply that had to wait has reached the customer.")
            }
            _ => return Vec::new(),
        };
        let fact = facts::told(&status.message_id, state);
        if self.known.is(&fact) {
            return Vec::new();
        }
        if let Some(step) = self.doubt(ticket) {
            return vec![step];
        }
        let detail = status.detail.as_deref().filter(|detail| !detail.trim().is_empty()).unwrap_or(default);
        let blocks = vec![
            Block::plain(&format!("{title}: {}", handoffd_contract::text::truncate(detail, 2_000)), None),
            Block::plain(&format!("Reply: {}", status.message_id), None),
        ];
        let note = Note::new(fact, Kind::Note, title, blocks.concat());
        let clock = self.clock(item, item.time, 1);
        self.show(&[note], &clock, ticket)
    }

    fn closed(&self, item: &Item, closed: &SessionClosed) -> Vec<Step> {
        let Some(ticket) = self.known.get(facts::TICKET) else { return Vec::new() };
        if closed.closed_by.as_deref() == Some(self.work.target.as_str()) {
            return Vec::new();
        }
        if let Some(step) = self.doubt(ticket) {
            return vec![step];
        }
        let mut steps = Vec::new();
        let fact = facts::closed(&item.id);
        if self.settings.closed_stage.is_some() && !self.known.is(&fact) {
            match self.closed_stage() {
                None => steps.extend(self.pipelines()),
                Some(stage) => {
                    let call = HttpCall::new(Method::Patch, self.settings.paths.one("tickets", ticket))
                        .json(json!({"properties": {"hs_pipeline_stage": stage}}));
                    // The value is what a webhook about this very change would be recognised by.
                    let value = facts::record("stage", &format!("{ticket}/{stage}"));
                    steps.push(Step::new("ticket.close", Repeat::Keyed, call).claim_as(fact, value));
                }
            }
        }
        let mut lines = vec!["The conversation was closed on the assistant's platform.".to_owned()];
        if let Some(resolved) = closed.resolved {
            lines.push(format!("Resolved: {}", if resolved { "yes" } else { "no" }));
        }
        for (label, value) in [("Reason", &closed.reason), ("By", &closed.closed_by)] {
            if let Some(value) = value.as_deref().filter(|value| !value.trim().is_empty()) {
                lines.push(format!("{label}: {}", handoffd_contract::text::truncate(value, 1_000)));
            }
        }
        let note = Note::new(
            facts::note(&item.id, "c0"),
            Kind::Note,
            "Session closed",
            lines.iter().flat_map(|line| Block::plain(line, None)).collect(),
        );
        let clock = self.clock(item, item.time, 1);
        steps.extend(self.show(&[note.optional()], &clock, ticket));
        steps
    }

    /// After something that notes are attached to was not found: is it the ticket?
    fn doubt(&self, ticket: &str) -> Option<Step> {
        self.known.get(facts::DOUBT)?;
        let call = HttpCall::get(self.settings.paths.one("tickets", ticket)).query("properties", "subject");
        Some(Step::look("ticket.check", call).memo(json!({"ticket": ticket})))
    }

    fn fact(&self, name: &str) -> Option<&Fact> {
        self.known.0.get(name)
    }
}
