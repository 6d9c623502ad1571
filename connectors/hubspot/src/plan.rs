//! Which calls can be made now, from the work and what is known.
//!
//! Items are worked off strictly in order: nothing of the next one is planned before the one before
//! it is shown. Inside one item everything whose prerequisites are known goes at once.

mod append;
mod contact;
mod files;
mod handoff;
mod later;
mod learn;
mod notes;
mod reopen;
mod standing;
mod status;
mod successor;
mod ticket;

use handoffd_contract::{
    Attachment, Contact, Data, Fact, HttpCall, Known, Message, Refusal, Step, Work, ids, text,
};
use serde_json::{Value, json};

use crate::facts;
use crate::settings::Settings;

pub use append::NONE as NOT_APPENDED;
pub use reopen::stage_mark;
pub use status::recalled;
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
            Data::MessageReceived(said) => plan.message(item, said)?,
            // A message that carried out a rep's reply is already a note of that rep.
            Data::MessageSent(said) if said.reference.is_some() => {
                plan.confirmed(said).into_iter().collect()
            }
            Data::MessageSent(said) => plan.message(item, said)?,
            Data::RepReplied(reply) => plan.replied(item, reply),
            Data::ReplyStatus(status) if status.target == work.target => {
                plan.reply_status(item, status)
            }
            Data::ReplyStatus(status) => plan.lost_elsewhere(item, status),
            Data::ContactUpdated(updated) => {
                let step = plan.contact_learns(item, &updated.contact);
                step.into_iter().collect()
            }
            Data::SessionClosed(closed) => plan.closed(item, closed),
            Data::SessionReturned(returned) => plan.returned(item, returned),
            Data::SessionRated(rated) if rated.target == work.target => plan.rated(item, rated),
            Data::SessionState(_) => plan.in_charge(item).into_iter().collect(),
            Data::RepNotice(notice) if notice.target == work.target => {
                plan.notice(item, "Please note", &notice.text)
            }
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

    /// The value of the ticket's unique property: one per session, target and ticket.
    fn handoff_id(&self) -> String {
        let ticket = match self.generation() {
            1 => facts::TICKET.to_owned(),
            n => format!("{}/{n}", facts::TICKET),
        };
        format!("hnd-{}", self.marker(&ticket))
    }

    /// After something that notes are attached to was not found: is it the ticket? If it is, the
    /// facts of `gone` are given up; else a handoff gets another ticket by its `renewal`, or the lane
    /// parks.
    fn doubt(&self, ticket: &str, gone: &[&String], renewal: Value) -> Option<Step> {
        self.known.get(facts::DOUBT)?;
        let call = HttpCall::get(self.settings.paths.one("tickets", ticket))
            .query("properties", "subject");
        let linked = self.contact_id().is_some();
        let context = json!({"ticket": ticket, "gone": gone, "renewal": renewal, "linked": linked});
        Some(Step::look("ticket.check", call).context(context))
    }

    /// A message as a line, with its time as reps have it.
    fn line(&self, message: &Message, contact: &Contact) -> String {
        text::line_in(message, contact, &self.settings.zone)
    }

    /// Remembers what is written of the properties whose changes are passed on, so that it is not
    /// passed on itself.
    fn wrote(&self, step: Step, properties: &Value) -> Step {
        self.settings
            .report
            .iter()
            .fold(step, |step, name| match properties[name].as_str() {
                Some(value) => {
                    step.claim_as(facts::wrote(name, value), facts::own_value(name, value))
                }
                None => step,
            })
    }

    fn fact(&self, name: &str) -> Option<&Fact> {
        self.known.0.get(name)
    }
}
