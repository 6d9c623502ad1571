//! What comes after the handoff: messages, and the end.

use handoffd_contract::event::{MessageEvent, SessionClosed};
use handoffd_contract::text::{line, set_off, truncate};
use handoffd_contract::{AuthorKind, HttpCall, Item, Method, Repeat, Step};
use serde_json::{Value, json};

use super::notes::{Kind, Note};
use super::{Filed, Plan, files};
use crate::facts;
use crate::settings::Later;
use crate::words::{self, Block};

impl Plan<'_> {
    pub(super) fn message(&self, item: &Item, said: &MessageEvent) -> Vec<Step> {
        let message = &said.message;
        let Some(ticket) = self.known.get(facts::TICKET) else {
            return Vec::new();
        };
        let own = facts::note(&item.id, "");
        if let Some(shown) = self.known.get(&facts::said(&message.id)) {
            let here = self.known.under(&own).any(|(_, value)| value == shown);
            if !here {
                return Vec::new();
            }
        }
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
        steps.extend(self.touch(item, ticket, self.standing_after(message)));
        // The customer waits for somebody; the assistant's lines do not.
        if message.author.kind == AuthorKind::Customer {
            steps.extend(self.reopening(item, ticket, Value::Null));
        }
        steps
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
                    let call =
                        HttpCall::new(Method::Patch, self.settings.paths.one("tickets", ticket))
                            .json(json!({"properties": {"hs_pipeline_stage": stage}}));
                    // The value is what a webhook about this very change would be recognised by.
                    let value = facts::record("stage", &format!("{ticket}/{stage}"));
                    steps
                        .push(Step::new("ticket.close", Repeat::Keyed, call).claim_as(fact, value));
                }
            }
        }
        let mut lines = vec!["The conversation was closed on the assistant's platform.".to_owned()];
        if let Some(resolved) = closed.resolved {
            lines.push(format!("Resolved: {}", if resolved { "yes" } else { "no" }));
        }
        for (label, value) in [("Reason", &closed.reason), ("By", &closed.closed_by)] {
            if let Some(value) = value.as_deref().filter(|value| !value.trim().is_empty()) {
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
