//! What to call next, from the work and what is known: items strictly in order, and inside one item
//! everything that can be done side by side.

mod choice;
mod contact;
mod files;
mod handoff;
mod later;
mod learn;
mod open;
mod replies;
mod rows;
mod standing;
mod state;

use std::collections::BTreeSet;

use handoffd_contract::event::MessageEvent;
use handoffd_contract::{Data, Item, Known, Record, Refusal, Repeat, Step, Work};
use serde_json::{Map, Value};

use crate::facts::{NONE, column_fact};
use crate::hear::column_value;
use crate::{Creatio, words};
pub(crate) use rows::{Row, part_headers};
pub(crate) use standing::Standing;
pub(crate) use state::{default_statuses, ending_statuses};
use state::{deleted, is_gone};

impl Creatio {
    /// Every call that can be made now.
    pub(crate) fn plan(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        if let Some(look) = self.doubt(known) {
            return Ok(vec![look]);
        }
        let mut items = work.items.as_slice();
        while let Some((item, rest)) = items.split_first() {
            let gone = known.get("case").is_some_and(|case| is_gone(known, case));
            let steps = match &item.data {
                Data::MessageReceived(_) | Data::MessageSent(_) if gone => {
                    // A handoff that waits behind brings what was said to its new case.
                    let follows = |item: &Item| matches!(item.data, Data::HandoffRequested(_));
                    if !rest.iter().any(follows) {
                        return Err(deleted());
                    }
                    Vec::new()
                }
                Data::RepReplied(_) | Data::ReplyStatus(_) if gone => Vec::new(),
                Data::HandoffRequested(handoff) => self.handoff(work, known, item, handoff)?,
                Data::MessageSent(event) if event.reference.is_some() => confirmed(known, event),
                Data::MessageReceived(_) | Data::MessageSent(_) => {
                    let (steps, run) = self.messages(work, known, items)?;
                    if steps.is_empty() {
                        items = &items[run..];
                        continue;
                    }
                    steps
                }
                Data::RepReplied(reply) if reply.target == work.target => {
                    self.accepted(work, known, item, rest, reply)
                }
                Data::ReplyStatus(status) if status.target == work.target => {
                    self.told(work, known, item, rest, status)
                }
                Data::ReplyStatus(status) => self.lost_elsewhere(work, known, item, status),
                Data::SessionClosed(closed)
                    if closed.closed_by.as_deref() != Some(work.target.as_str()) =>
                {
                    self.closed(work, known, item, closed)
                }
                Data::SessionReturned(returned)
                    if returned.returned_by.as_deref() != Some(work.target.as_str()) =>
                {
                    let line = words::returned(returned);
                    self.notice(work, known, item, "Back with the assistant", &line)
                }
                Data::RepNotice(notice) if notice.target == work.target => {
                    self.notice(work, known, item, "Please note", &notice.text)
                }
                Data::ContactUpdated(_) => self.contact_updated(work, known),
                _ => Vec::new(),
            };
            if !steps.is_empty() {
                return Ok(steps);
            }
            items = rest;
        }
        Ok(self.standing(work, known))
    }
}

impl Creatio {
    /// Remembers what is written of the columns whose changes are passed on, so that it is not passed
    /// on itself.
    fn wrote(&self, step: Step, case: &str, columns: &Map<String, Value>) -> Step {
        self.settings
            .report
            .iter()
            .fold(step, |step, column| match columns.get(column) {
                Some(value) => {
                    step.claim_as(column_fact(case, column), column_value(value).to_string())
                }
                None => step,
            })
    }
}

/// What the platform confirms is a reply that is shown already: no transcript shows it once more.
fn confirmed(known: &Known, event: &MessageEvent) -> Vec<Step> {
    let fact = format!("said/{}", event.message.id);
    if known.absent("case") || known.is(&fact) {
        return Vec::new();
    }
    let record = Record {
        facts: vec![(fact, NONE.into())],
        events: Vec::new(),
    };
    vec![Step::new("reply.confirmed", Repeat::Keyed, record)]
}

/// Leaves out steps that claim what an earlier step of the plan claims: a transcript may hold the
/// same message or attachment id twice.
fn distinct(steps: &mut Vec<Step>) {
    let mut claimed = BTreeSet::new();
    steps.retain(|step| {
        let fresh = step
            .claims
            .iter()
            .all(|claim| !claimed.contains(&claim.fact));
        claimed.extend(step.claims.iter().map(|claim| claim.fact.clone()));
        fresh
    });
}
