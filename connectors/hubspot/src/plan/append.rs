//! A contact's open ticket takes the conversation, where the settings want that.
//!
//! It must be open, and this contact's alone: a rep who answers there shall answer this customer. A
//! contact that nothing but an e-mail address speaks for gets a ticket of its own.

use handoffd_contract::{Call, HttpCall, Item, Method, Record, Repeat, Step};
use serde_json::{Value, json};

use super::Plan;
use crate::facts;

/// No ticket takes the conversation.
pub const NONE: &str = "-";

/// Tickets of one contact that are looked at, the newest.
const TICKETS: usize = 100;

impl Plan<'_> {
    /// The next step towards the open ticket that takes the conversation; none when it gets its own.
    pub(super) fn appending(&self) -> Option<Step> {
        let is_proven = matches!(
            self.known.get(facts::CONTACT_WAY),
            Some("key" | "phone" | "form")
        );
        let contact = self.contact_id().filter(|_| is_proven)?;
        // After a deleted ticket comes one of its own.
        if !self.settings.append_to_open_ticket || self.generation() > 1 {
            return None;
        }
        let paths = &self.settings.paths;
        if let Some(chosen) = self.known.get(facts::APPEND) {
            return (chosen != NONE).then(|| self.take_in(chosen));
        }
        let Some(open) = self.known.get(facts::APPEND_OPEN) else {
            return Some(match self.known.get(facts::APPEND_LIST) {
                None => {
                    let call = HttpCall::get(paths.links("contacts", contact, "tickets"))
                        .query("limit", "500");
                    Step::look("append.list", call)
                }
                Some("") => none_of_them(),
                Some(ids) => {
                    let inputs: Vec<Value> = ids
                        .split(' ')
                        .take(TICKETS)
                        .map(|id| json!({"id": id}))
                        .collect();
                    let properties = ["hs_pipeline", "hs_pipeline_stage"];
                    let body = json!({"properties": properties, "propertiesWithHistory": [], "inputs": inputs});
                    let path = format!("{}/batch/read", paths.object("tickets"));
                    Step::look("append.read", HttpCall::post(path, body))
                }
            });
        };
        // Each as `<id>=<pipeline>/<stage>`, the newest first.
        for seen in open.split(' ') {
            let Some((id, stage)) = seen.split_once('=') else {
                continue;
            };
            match self.is_closed(stage) {
                None => return self.closed_stages(),
                Some(true) => continue,
                Some(false) => {}
            }
            let whose = facts::append_whose(id);
            match self.known.get(&whose) {
                Some(held) if held == contact => {
                    return Some(noted("append.choose", facts::APPEND, id));
                }
                Some(_) => {}
                None => {
                    let call = HttpCall::get(paths.one("tickets", id))
                        .query("properties", &self.settings.handoff_id_property)
                        .query("associations", "contacts");
                    let context = json!({"fact": whose});
                    return Some(Step::look("append.whose", call).context(context));
                }
            }
        }
        Some(none_of_them())
    }

    /// Whether a ticket that was there has taken the conversation.
    pub(super) fn is_appended(&self) -> bool {
        self.known
            .get(facts::APPEND)
            .is_some_and(|ticket| ticket != NONE && self.known.get(facts::TICKET) == Some(ticket))
    }

    /// Which handoff the ticket took in first.
    pub(super) fn taken_by(&self, item: &Item) -> Option<Step> {
        let is_open = self.is_appended() && !self.known.is(facts::TICKET_BY);
        is_open.then(|| noted("append.taken", facts::TICKET_BY, &item.id))
    }

    /// The ticket becomes the conversation's, under the session's handoff id where it has none yet.
    fn take_in(&self, ticket: &str) -> Step {
        if self.known.get(&facts::append_id(ticket)) != Some(NONE) {
            return noted("append.take", facts::TICKET, ticket);
        }
        let property = &self.settings.handoff_id_property;
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("tickets", ticket))
            .json(json!({"properties": {property: self.handoff_id()}}));
        Step::new("append.mark", Repeat::Keyed, call).claim_as(facts::TICKET, ticket)
    }
}

fn none_of_them() -> Step {
    noted("append.none", facts::APPEND, NONE)
}

fn noted(name: &'static str, fact: &str, value: &str) -> Step {
    let record = Record {
        facts: vec![(fact.to_owned(), value.into())],
        events: Vec::new(),
    };
    Step::new(name, Repeat::Keyed, Call::Record(record))
}
