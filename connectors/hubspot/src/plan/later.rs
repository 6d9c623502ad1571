//! What comes after the handoff: messages, and the end.

use handoffd_contract::event::{MessageEvent, SessionClosed, SessionReturned};
use handoffd_contract::settings::AfterEnd;
use handoffd_contract::text::{set_off, truncate, utf16_len};
use handoffd_contract::{
    AuthorKind, Data, Fact, HttpCall, Item, Message, Method, Refusal, Repeat, Step,
};
use serde_json::{Value, json};

use super::notes::{Kind, Note};
use super::{Filed, Plan, files};
use crate::facts;
use crate::settings::Later;
use crate::words::{self, Block};

/// Messages that one note shows beside the first.
const MAX_BURST: usize = 50;

/// What a paragraph takes beside its text.
const PARAGRAPH: usize = "<p></p>".len();

fn is_customers(data: &Data) -> bool {
    matches!(data, Data::MessageReceived(said) if said.message.author.kind == AuthorKind::Customer)
}

impl Plan<'_> {
    pub(super) fn message(&self, item: &Item, said: &MessageEvent) -> Result<Vec<Step>, Refusal> {
        let message = &said.message;
        if message.is_empty() {
            // Nothing is shown of it; the window is open all the same.
            let ticket = self.known.get(facts::TICKET);
            let touched =
                ticket.and_then(|ticket| self.touch(item, ticket, self.standing_after(message)));
            return Ok(touched.into_iter().collect());
        }
        let Some(ticket) = self.known.get(facts::TICKET) else {
            return self.opening_for_message(item, said);
        };
        let own = facts::note(&item.id, "");
        if let Some(shown) = self.known.get(&facts::said(&message.id)) {
            let here = self.known.under(&own).any(|(_, value)| value == shown);
            if !here {
                return Ok(Vec::new());
            }
        } else if message.author.kind == AuthorKind::Customer
            && message.asks()
            && let Some(step) = self.succeeding_message(item, ticket)
        {
            return Ok(vec![step]);
        }
        Ok(self.shown_message(item, said, ticket))
    }

    /// The calls that show a message on a ticket.
    fn shown_message(&self, item: &Item, said: &MessageEvent, ticket: &str) -> Vec<Step> {
        let message = &said.message;
        if let Some(step) = self.doubt(ticket, &[], Value::Null) {
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
            files.iter().partition(|(message, attachment)| {
                matches!(self.uploaded(message, attachment), Some(Ok(_)))
            });
        for (message, attachment) in missing {
            let why = self.uploaded(message, attachment).and_then(Result::err);
            let why = why.as_ref().map(|stop| stop.message.as_str());
            let zone = &self.settings.zone;
            blocks.push(words::file(message, attachment, contact, zone, why));
        }
        blocks.extend(Block::plain(
            &self.line(message, contact),
            Some(&message.id),
        ));
        let mut last = message;
        if files.is_empty() {
            for (next, block) in self.burst(item, &blocks) {
                blocks.push(block);
                last = next;
            }
        }
        let kind = match self.settings.later {
            Later::Communication if attached.is_empty() => Kind::Communication,
            _ => Kind::Note,
        };
        let mut notes = self.split(item, "m", kind, "", blocks);
        if let Some(first) = self.first_note(item) {
            let later = notes.into_iter().enumerate();
            let later = later.map(|(n, note)| note.at(n + 1));
            notes = std::iter::once(first).chain(later).collect();
        }
        if let Some(last) = notes.last_mut() {
            self.attach(last, &files);
        }
        let clock = self.clock(item, message.time, notes.len());
        let mut steps = self.show(&notes, &clock, ticket);
        steps.extend(self.touch(item, ticket, self.standing_after(last)));
        // The customer waits for somebody; the assistant's lines and mere remarks do not.
        let wakes = self.settings.after_end == AfterEnd::Reopen && message.asks();
        if wakes && message.author.kind == AuthorKind::Customer {
            steps.extend(self.reopening(item, ticket, Value::Null));
        }
        steps
    }

    /// What the customer wrote right after this message, for the same note. Once the note was tried, it
    /// is what the note was tried with, whatever has come since.
    fn burst(&self, item: &Item, first: &[Block]) -> Vec<(&Message, Block)> {
        let mut burst = Vec::new();
        let [first] = first else { return burst };
        if self.settings.later != Later::Note || !is_customers(&item.data) {
            return burst;
        }
        let note = self.fact(&facts::note(&item.id, "m0"));
        let mut room = words::ROOM.saturating_sub(utf16_len(&first.html) + PARAGRAPH);
        let items = self.work.items.iter();
        for next in items.skip_while(|other| other.id != item.id).skip(1) {
            let Data::MessageReceived(said) = &next.data else {
                break;
            };
            let message = &said.message;
            let is_of_note = match (note, self.fact(&facts::said(&message.id))) {
                (None, None) | (Some(Fact::Unsure { .. }), Some(Fact::Unsure { .. })) => true,
                (Some(Fact::Is(note)), Some(Fact::Is(shown))) => note == shown,
                _ => false,
            };
            let has_files = !files::of(std::iter::once(message)).is_empty() || message.is_empty();
            if !is_of_note || has_files || !is_customers(&next.data) || burst.len() >= MAX_BURST {
                break;
            }
            let contact = said.contact.as_ref().unwrap_or(&self.work.contact);
            let mut blocks = Block::plain(&self.line(message, contact), Some(&message.id));
            let size = blocks.first().map_or(0, |block| utf16_len(&block.html)) + PARAGRAPH;
            match (blocks.pop(), blocks.is_empty() && size <= room) {
                (Some(block), true) => burst.push((message, block)),
                _ => break,
            }
            room -= size;
        }
        burst
    }

    /// The ticket says that the assistant has the conversation again, and stays where it is.
    pub(super) fn returned(&self, item: &Item, returned: &SessionReturned) -> Vec<Step> {
        if returned.returned_by.as_deref() == Some(self.work.target.as_str()) {
            return Vec::new();
        }
        let mut text = "The assistant has taken the conversation back. What is said from here on \
                        is shown when it hands over again."
            .to_owned();
        if let Some(reason) = said(&returned.reason) {
            text.push_str(&format!(" Reason: {}", set_off(&truncate(reason, 1_000))));
        }
        self.notice(item, "Back with the assistant", &text)
    }

    /// One note of ours for the rep.
    pub(super) fn notice(&self, item: &Item, title: &str, text: &str) -> Vec<Step> {
        self.told_once(facts::note(&item.id, "c0"), item, title, text)
    }

    /// The same under a fact of its own.
    pub(super) fn told_once(
        &self,
        fact: String,
        item: &Item,
        title: &str,
        text: &str,
    ) -> Vec<Step> {
        let Some(ticket) = self
            .known
            .get(facts::TICKET)
            .filter(|_| !self.known.is(&fact))
        else {
            return Vec::new();
        };
        if let Some(step) = self.doubt(ticket, &[&fact], Value::Null) {
            return vec![step];
        }
        let note = Note::new(fact, Kind::Note, title, Block::plain(text, None));
        let clock = self.clock(item, item.time, 1);
        self.show(&[note.optional()], &clock, ticket)
    }

    pub(super) fn closed(&self, item: &Item, closed: &SessionClosed) -> Vec<Step> {
        let Some(ticket) = self.known.get(facts::TICKET) else {
            return Vec::new();
        };
        if closed.closed_by.as_deref() == Some(self.work.target.as_str()) {
            return Vec::new();
        }
        let (fact, note) = (facts::closed(&item.id), facts::note(&item.id, "c0"));
        let stage_done = self.settings.closed_stage.is_none() || self.known.is(&fact);
        if stage_done && self.known.is(&note) {
            return Vec::new();
        }
        // Nobody misses this on a ticket that is gone.
        if let Some(step) = self.doubt(ticket, &[&fact, &note], Value::Null) {
            return vec![step];
        }
        let mut steps = Vec::new();
        if !stage_done {
            match self.closed_stage() {
                None => steps.extend(self.pipelines()),
                Some(stage) => {
                    let properties = json!({"hs_pipeline_stage": stage});
                    let call =
                        HttpCall::new(Method::Patch, self.settings.paths.one("tickets", ticket))
                            .json(json!({"properties": properties}));
                    // The value is what a webhook about this very change would be recognised by.
                    let value = facts::record("stage", &format!("{ticket}/{stage}"));
                    let step = Step::new("ticket.close", Repeat::Keyed, call).claim_as(fact, value);
                    steps.push(self.wrote(step, &properties));
                }
            }
        }
        let mut lines = vec!["The conversation was closed on the assistant's platform.".to_owned()];
        if let Some(resolved) = closed.resolved {
            lines.push(format!("Resolved: {}", if resolved { "yes" } else { "no" }));
        }
        for (label, value) in [("Reason", &closed.reason), ("By", &closed.closed_by)] {
            if let Some(value) = said(value) {
                lines.push(format!("{label}: {}", set_off(&truncate(value, 1_000))));
            }
        }
        let note = Note::new(
            note,
            Kind::Note,
            "Session closed",
            lines
                .iter()
                .flat_map(|line| Block::plain(line, None))
                .collect(),
        );
        let clock = self.clock(item, item.time, 1);
        steps.extend(self.show(&[note.optional()], &clock, ticket));
        steps
    }
}

/// A text that says something.
fn said(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.trim().is_empty())
}
