//! What comes after the handoff: messages, what became of replies, and the end.

use handoffd_contract::event::{
    DeliveryState, MessageEvent, ReplyStatus, SessionClosed, SessionReturned,
};
use handoffd_contract::text::{line, set_off, truncate};
use handoffd_contract::{AuthorKind, HttpCall, Item, Message, Method, Repeat, Step};
use serde_json::{Value, json};

use super::notes::{self, Kind, Note};
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
            let why = why.as_ref().map(|stop| stop.message.as_str());
            blocks.push(words::file(message, attachment, contact, why));
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
        // The customer waits for somebody; the assistant's lines do not.
        if message.author.kind == AuthorKind::Customer {
            steps.extend(self.reopening(item, ticket, Value::Null));
        }
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

    pub(super) fn reply_status(&self, item: &Item, status: &ReplyStatus) -> Vec<Step> {
        let Some(ticket) = self
            .known
            .get(facts::TICKET)
            .filter(|_| status.target == self.work.target)
        else {
            return Vec::new();
        };
        let held = facts::told(&status.message_id, "held");
        let held = self.known.is(&held) || self.known.under(&format!("{held}/")).next().is_some();
        let (state, title, default) = match status.state {
            DeliveryState::Held if status.may_have_arrived() => (
                status.word(),
                "Not known whether it reached WhatsApp",
                "Somebody has to look before anything else is sent.",
            ),
            DeliveryState::Held => (
                status.word(),
                "Not delivered to WhatsApp yet",
                "The reply waits and goes out when it can.",
            ),
            DeliveryState::Failed => (
                "failed".to_owned(),
                "Not delivered to WhatsApp",
                "WhatsApp did not take the reply.",
            ),
            DeliveryState::Sent if status.settles() => {
                (status.word(), "Sent to WhatsApp", "It has been sent.")
            }
            DeliveryState::Delivered | DeliveryState::Read if held => (
                "delivered".to_owned(),
                "Delivered to WhatsApp",
                "The reply that had to wait has reached the customer.",
            ),
            _ => return Vec::new(),
        };
        let fact = facts::told(&status.message_id, &state);
        if self.known.is(&fact) {
            return Vec::new();
        }
        if let Some(step) = self.doubt(ticket, &[], Value::Null) {
            return vec![step];
        }
        let detail = status
            .detail
            .as_deref()
            .filter(|detail| !detail.trim().is_empty())
            .unwrap_or(default);
        let mut blocks = Block::labelled(title, &truncate(detail, 2_000));
        blocks.extend(Block::plain(&format!("Reply: {}", status.message_id), None));
        let note = Note::new(fact, Kind::Note, "", blocks);
        let clock = self.clock(item, item.time, 1);
        self.show(&[note], &clock, ticket)
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
        self.line(item, "Back with the assistant", &text)
    }

    /// One note of ours for the rep.
    pub(super) fn line(&self, item: &Item, title: &str, text: &str) -> Vec<Step> {
        let fact = facts::note(&item.id, "c0");
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
