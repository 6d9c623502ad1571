//! A ticket after the end of another one, where the settings say `new`: by a second handoff, or by the
//! customer's next message.
//!
//! An open ticket takes what comes. All facts of the former ticket give way in one step, so that whatever
//! is interrupted finds one ticket or the other; a reply that a rep writes in the former one is still heard.

use handoffd_contract::event::{Handoff, MessageEvent, Reasoning};
use handoffd_contract::settings::AfterEnd;
use handoffd_contract::{Contact, HttpCall, Item, Refusal, Step};
use serde_json::{Value, json};

use super::notes::{Kind, Note};
use super::{Plan, facts};
use crate::words::{self, Block};

/// What stands in the description of a ticket that a message made.
const WROTE_AGAIN: &str = "The customer wrote again after the end of the conversation.";

impl Plan<'_> {
    /// The next step towards another ticket for a handoff, if it shall have one: the ticket is closed, or
    /// people had given the conversation back or ended it since a handoff was shown there.
    pub(super) fn succeeding(&self, item: &Item, ticket: &str, handoff: &Handoff) -> Option<Step> {
        if self.settings.after_end_handoff != AfterEnd::New {
            return None;
        }
        let renewal = self.renewal(item, handoff);
        let mut completed = self.known.under("completed/");
        let is_over = self.work.is_after_end(item) && completed.any(|(_, shown)| shown == ticket);
        if is_over {
            return Some(self.succeed(ticket, renewal, ""));
        }
        self.succeed_closed(item, ticket, renewal, "")
    }

    /// The same for a message that the customer wrote; one that is open takes it.
    pub(super) fn succeeding_message(&self, item: &Item, ticket: &str) -> Option<Step> {
        let is_made_for_it = self.known.get(facts::TICKET_BY) == Some(item.id.as_str());
        if self.settings.after_end != AfterEnd::New || is_made_for_it {
            return None;
        }
        let renewal = self.successor(vec![facts::stage_seen(&item.id)]);
        self.succeed_closed(item, ticket, renewal, &item.id)
    }

    fn succeed_closed(
        &self,
        item: &Item,
        ticket: &str,
        renewal: Value,
        made_for: &str,
    ) -> Option<Step> {
        let stage = facts::stage_seen(&item.id);
        let Some(seen) = self.known.get(&stage) else {
            // A ticket that was deleted has a successor for a handoff alone.
            let gone = if made_for.is_empty() {
                renewal
            } else {
                Value::Null
            };
            return Some(self.look_at_stage(ticket, &stage, gone));
        };
        match self.is_closed(seen) {
            None => self.closed_stages(),
            Some(false) => None,
            Some(true) => Some(self.succeed(ticket, renewal, made_for)),
        }
    }

    fn succeed(&self, ticket: &str, renewal: Value, made_for: &str) -> Step {
        let call = HttpCall::get(self.settings.paths.one("tickets", ticket))
            .query("properties", "subject");
        let address = self.ticket_url(ticket).unwrap_or_default();
        Step::look("ticket.succeed", call).context(json!({
            "ticket": ticket, "address": address, "renewal": renewal, "for": made_for,
        }))
    }

    /// Everything up to and with the ticket that is made for this message, if one is.
    pub(super) fn opening_for_message(
        &self,
        item: &Item,
        said: &MessageEvent,
    ) -> Result<Vec<Step>, Refusal> {
        if self.known.get(facts::TICKET_FOR) != Some(item.id.as_str()) {
            return Ok(Vec::new());
        }
        let contact: &Contact = said.contact.as_ref().unwrap_or(&self.work.contact);
        let wrote = Handoff {
            session: self.work.session.clone(),
            contact: contact.clone(),
            handoff: Reasoning {
                reasons: vec!["the customer wrote again".to_owned()],
                summary: Some(WROTE_AGAIN.to_owned()),
                ..Reasoning::default()
            },
            ..Handoff::default()
        };
        self.opening(item, &wrote, contact)
    }

    /// What stands first on a ticket that was made for this message.
    pub(super) fn first_note(&self, item: &Item) -> Option<Note> {
        let is_first = self.known.get(facts::TICKET_BY) == Some(item.id.as_str());
        if !is_first {
            return None;
        }
        let mut blocks = Vec::new();
        if let Some(url) = &self.work.session.url {
            blocks.extend(
                match url.starts_with("https://") || url.starts_with("http://") {
                    true => vec![words::link(url)],
                    false => Block::labelled("Session", url),
                },
            );
        }
        blocks.extend(self.former_ticket());
        blocks.extend(Block::plain(&self.reply_hint(), None));
        let fact = facts::note(&item.id, "o0");
        Some(Note::new(
            fact,
            Kind::Note,
            "The customer wrote again",
            blocks,
        ))
    }

    /// The way to the ticket before this one.
    pub(super) fn former_ticket(&self) -> Vec<Block> {
        let Some(former) = self.known.get(facts::TICKET_AFTER) else {
            return Vec::new();
        };
        let (id, address) = former.split_once(' ').unwrap_or((former, ""));
        let line = match address {
            "" => format!("ticket {id}"),
            address => format!("ticket {id}, {address}"),
        };
        Block::labelled("Earlier in this conversation", &line)
    }
}
