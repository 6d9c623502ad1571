//! Which targets an event is for, and what the ledger must keep beside it.

use std::collections::HashSet;
use std::sync::Arc;

use handoffd_contract::event::Session;
use handoffd_contract::{AuthorKind, Connector, Contact, Data, Event};
use jiff::Timestamp;

use super::warn::Warning;
use crate::connectors;
use crate::ledger::Admission;

/// A target, as far as events are concerned.
#[derive(Clone)]
pub struct Route {
    /// The target's name.
    pub name: String,
    /// The connector's kind, such as `hubspot`.
    pub kind: String,
    /// Business numbers that it serves, with or without `+`; empty means all.
    pub numbers: Vec<String>,
    /// Its connector.
    pub connector: Arc<dyn Connector>,
}

impl Route {
    /// Without a number, only a target that serves all numbers is meant.
    fn serves(&self, number: Option<&str>) -> bool {
        let bare = |number: &str| number.trim().trim_start_matches('+').to_owned();
        self.numbers.is_empty()
            || number.is_some_and(|number| {
                self.numbers
                    .iter()
                    .any(|served| bare(served) == bare(number))
            })
    }
}

/// The targets that events are for.
#[derive(Clone, Default)]
pub struct Router {
    routes: Vec<Route>,
}

impl Router {
    /// A router over these targets, in the configuration's order.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Router {
        Router { routes }
    }

    /// The event with the targets in which it opens a lane and with what it says about session and
    /// customer.
    #[must_use]
    pub fn admission(&self, event: Event, now: Timestamp) -> Admission {
        let (session, contact) = about(&event.data);
        let number = number(session);
        let named = match &event.data {
            Data::HandoffRequested(handoff) => handoff.targets.as_deref(),
            _ => None,
        };
        let opens = self.opens(&event.data, named, number);
        Admission {
            opens,
            session: session.cloned(),
            contact: contact.cloned(),
            inbound_at: inbound_at(&event.data, now, &HashSet::new()),
            event,
        }
    }

    /// Takes out of a handoff the targets that there are not, or that do not serve its business
    /// number. Where none is left, every target is meant: somebody must see the customer.
    pub fn settle_targets(&self, event: &mut Event) -> Vec<Warning> {
        let Data::HandoffRequested(handoff) = &mut event.data else {
            return Vec::new();
        };
        let number = number(Some(&handoff.session)).map(str::to_owned);
        let mut warnings = Vec::new();
        let mut index = 0;
        let mut settle = |name: &String| {
            let problem = self.problem_of(name, number.as_deref());
            if let Some(problem) = &problem {
                let place = format!("data.targets[{index}]");
                warnings.push(Warning {
                    text: format!("{place} {problem}"),
                    place,
                    field: "data.targets[]".to_owned(),
                    lost: false,
                });
            }
            index += 1;
            problem.is_none()
        };
        if let Some(names) = &mut handoff.targets {
            names.retain(&mut settle);
        }
        handoff.targets = handoff.targets.take().filter(|names| !names.is_empty());
        warnings
    }

    fn problem_of(&self, name: &str, number: Option<&str>) -> Option<String> {
        match self.routes.iter().find(|route| route.name == name) {
            None => {
                let names: Vec<_> = self
                    .routes
                    .iter()
                    .map(|route| route.name.as_str())
                    .collect();
                Some(format!(
                    "names no target and was left out; write one of {}",
                    names.join(", ")
                ))
            }
            Some(route) if !route.serves(number) => Some(format!(
                "names {name}, which does not serve this business number, and was left out; add the \
                 number to the target, or leave it out"
            )),
            Some(_) => None,
        }
    }

    /// The CRMs that are meant, and exactly one way back to the customer: the target that was given
    /// this business number, else one that serves all. A handoff need not name it.
    fn opens(&self, data: &Data, named: Option<&[String]>, number: Option<&str>) -> Vec<String> {
        let is_named = |route: &Route| named.is_some_and(|names| names.contains(&route.name));
        let (back, crms): (Vec<&Route>, Vec<&Route>) = self
            .routes
            .iter()
            .filter(|route| route.serves(number))
            .partition(|route| connectors::is_way_back(&route.kind));
        let crms: Vec<&Route> = crms
            .into_iter()
            .filter(|route| route.connector.opens(data))
            .collect();
        // Wherever a rep may write, the way back must be open, whatever event opened the record.
        let back: Vec<&Route> = back
            .into_iter()
            .filter(|route| !crms.is_empty() || route.connector.opens(data))
            .collect();
        let way_back = back
            .iter()
            .find(|route| is_named(route))
            .or_else(|| back.iter().find(|route| !route.numbers.is_empty()))
            .or_else(|| back.first());
        crms.iter()
            .filter(|route| named.is_none() || is_named(route))
            .chain(way_back)
            .map(|route| route.name.clone())
            .collect()
    }
}

/// Whom the event is about, if it says so.
fn about(data: &Data) -> (Option<&Session>, Option<&Contact>) {
    match data {
        Data::HandoffRequested(handoff) => (Some(&handoff.session), Some(&handoff.contact)),
        Data::MessageReceived(said) | Data::MessageSent(said) => {
            (said.session.as_ref(), said.contact.as_ref())
        }
        Data::ContactUpdated(updated) => (None, Some(&updated.contact)),
        _ => (None, None),
    }
}

/// The business number, if it is known.
fn number(session: Option<&Session>) -> Option<&str> {
    session
        .map(|session| session.business_number.as_str())
        .filter(|number| !number.is_empty())
}

/// When the customer last wrote, if this shows that they did. A clock that runs ahead of ours must
/// not hold WhatsApp's window open longer than it is, and neither must a guess.
pub(super) fn inbound_at(
    data: &Data,
    now: Timestamp,
    unsure: &HashSet<String>,
) -> Option<Timestamp> {
    let at = match data {
        Data::MessageReceived(said) => Some(said.message.time),
        Data::HandoffRequested(handoff) => handoff
            .transcript
            .iter()
            .filter(|message| message.author.kind == AuthorKind::Customer)
            .filter(|message| !unsure.contains(&message.id))
            .map(|message| message.time)
            .max(),
        _ => None,
    };
    at.map(|at| at.min(now))
}
