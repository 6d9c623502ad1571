//! Which calls can be made now, from the work and what is known.
//!
//! Items are worked off strictly in order: nothing of the next one is planned before the one before
//! it is shown. Inside one item everything whose prerequisites are known goes at once.

mod contact;
mod files;
mod handoff;
mod later;
mod notes;
mod ticket;

use handoffd_contract::{
    Attachment, Data, Fact, HttpCall, Known, Message, Refusal, Step, Work, ids,
};
use serde_json::json;

use crate::facts;
use crate::settings::Settings;

pub use ticket::THREAD;

/// Every call that can be made now.
pub fn next(settings: &Settings, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
    let plan = Plan {
        settings,
        work,
        known,
    };
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

    /// After something that notes are attached to was not found: is it the ticket? If it is, the
    /// facts of `gone` are given up, and without any the lane parks.
    fn doubt(&self, ticket: &str, gone: &[&String]) -> Option<Step> {
        self.known.get(facts::DOUBT)?;
        let call = HttpCall::get(self.settings.paths.one("tickets", ticket))
            .query("properties", "subject");
        Some(Step::look("ticket.check", call).memo(json!({"ticket": ticket, "gone": gone})))
    }

    fn fact(&self, name: &str) -> Option<&Fact> {
        self.known.0.get(name)
    }
}
