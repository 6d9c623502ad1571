//! Which targets an event is for, and what the ledger must keep beside it.

use std::collections::HashSet;
use std::sync::Arc;

use handoffd_contract::event::Session;
use handoffd_contract::{AuthorKind, Connector, Contact, Data, Event, Message};
use jiff::Timestamp;

use super::warn::Warning;
use crate::config::WhenDisabled;
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
    /// Its connector; `None` where a disabled target's settings do not make one. It opens handoffs.
    pub connector: Option<Arc<dyn Connector>>,
    /// What becomes of its events; `None` while it is enabled.
    pub disabled: Option<WhenDisabled>,
    /// The only target beside which it opens, where it is for the conversations of one.
    pub beside: Option<String>,
}

impl Route {
    /// Whether this opens a conversation there.
    fn opens(&self, data: &Data) -> bool {
        match &self.connector {
            Some(connector) => connector.opens(data),
            None => matches!(data, Data::HandoffRequested(_)),
        }
    }

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
        let mut session = session.cloned();
        // The language in which the assistant hands over is the session's, where that names none.
        if let (Data::HandoffRequested(handoff), Some(session)) = (&event.data, &mut session) {
            let spoken = handoff.handoff.language.clone();
            session.language = session.language.take().or(spoken);
        }
        Admission {
            opens,
            passes: self.passes(&event.data),
            session,
            contact: contact.cloned(),
            inbound_at: inbound_at(&event.data, now, &HashSet::new(), false),
            find: None,
            files: Vec::new(),
            event,
        }
    }

    /// Targets that never act on such an event.
    fn passes(&self, data: &Data) -> Vec<String> {
        let routes = self.routes.iter();
        let passes = routes.filter(|route| {
            let connector = route.connector.as_ref();
            connector.is_some_and(|connector| !connector.acts_on(data))
        });
        passes.map(|route| route.name.clone()).collect()
    }

    /// Names of the facts by which the message that an event tells of is one of ours.
    #[must_use]
    pub fn sent_facts(&self, data: &Data) -> Vec<String> {
        let connectors = self
            .routes
            .iter()
            .filter_map(|route| route.connector.as_ref());
        let mut facts: Vec<String> = Vec::new();
        for fact in connectors.flat_map(|connector| connector.sent_facts(data)) {
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
        facts
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
            let (stays, problem) = self.problem_of(name, number.as_deref());
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
            stays
        };
        if let Some(names) = &mut handoff.targets {
            names.retain(&mut settle);
        }
        handoff.targets = handoff.targets.take().filter(|names| !names.is_empty());
        warnings
    }

    /// Whether a named target stays in a handoff, and what is to be said of it.
    fn problem_of(&self, name: &str, number: Option<&str>) -> (bool, Option<String>) {
        let targets = || {
            let routes = self.routes.iter();
            routes.filter(|route| !connectors::is_events(&route.kind))
        };
        let Some(route) = targets().find(|route| route.name == name) else {
            let names = targets().filter(|route| route.disabled.is_none());
            let names: Vec<&str> = names.map(|route| route.name.as_str()).collect();
            let words = format!(
                "names no target and was left out; write one of {}",
                names.join(", ")
            );
            return (false, Some(words));
        };
        if !route.serves(number) {
            let words = format!(
                "names {name}, which does not serve this business number, and was left out; add the \
                 number to the target, or leave it out"
            );
            return (false, Some(words));
        }
        let words = match route.disabled {
            None => None,
            Some(WhenDisabled::Wait) => Some(format!(
                "names the target {name}, which is disabled: the handoff waits there until it is enabled"
            )),
            Some(WhenDisabled::Drop) => Some(format!(
                "names the target {name}, which is disabled, and was left out; enable it, or name another"
            )),
        };
        (route.disabled != Some(WhenDisabled::Drop), words)
    }

    /// The CRMs that are meant, and exactly one way back to the customer: the target that was given
    /// this business number, else one that serves all. A handoff need not name it. Then who is told of it.
    fn opens(&self, data: &Data, named: Option<&[String]>, number: Option<&str>) -> Vec<String> {
        let is_named = |route: &Route| named.is_some_and(|names| names.contains(&route.name));
        let serve =
            |route: &&Route| route.serves(number) && route.disabled != Some(WhenDisabled::Drop);
        let (told, routes): (Vec<&Route>, Vec<&Route>) = self
            .routes
            .iter()
            .filter(serve)
            .partition(|route| connectors::is_events(&route.kind));
        let (back, crms): (Vec<&Route>, Vec<&Route>) = routes
            .into_iter()
            .partition(|route| connectors::is_way_back(&route.kind));
        let crms: Vec<&Route> = crms.into_iter().filter(|route| route.opens(data)).collect();
        // Wherever a rep may write, the way back must be open, whatever event opened the record.
        let back: Vec<&Route> = back
            .into_iter()
            .filter(|route| !crms.is_empty() || route.opens(data))
            .collect();
        let works = |route: &&&Route| route.disabled.is_none();
        let way_back = back
            .iter()
            .find(|route| is_named(route))
            .or_else(|| {
                back.iter()
                    .find(|route| works(route) && !route.numbers.is_empty())
            })
            .or_else(|| back.iter().find(|route| works(route)))
            .or_else(|| back.first());
        let mut opens: Vec<String> = crms
            .iter()
            .filter(|route| named.is_none() || is_named(route))
            .chain(way_back)
            .map(|route| route.name.clone())
            .collect();
        // Others are told of whatever is opened, and nobody names them.
        let told = told.into_iter().filter(|route| match &route.beside {
            Some(name) => opens.contains(name),
            None => !opens.is_empty() || route.opens(data),
        });
        let told: Vec<String> = told.map(|route| route.name.clone()).collect();
        opens.extend(told);
        opens
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
/// not hold WhatsApp's window open longer than it is, and neither must a guess. Whether a reaction opens
/// the window is not documented; `reactions` says that it does.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>
pub(super) fn inbound_at(
    data: &Data,
    now: Timestamp,
    unsure: &HashSet<String>,
    reactions: bool,
) -> Option<Timestamp> {
    let is_written = |message: &Message| match message.reaction {
        Some(_) => reactions,
        None => !message.is_remark(),
    };
    let at = match data {
        Data::MessageReceived(said) => Some(&said.message)
            .filter(|message| is_written(message))
            .map(|message| message.time),
        Data::HandoffRequested(handoff) => handoff
            .transcript
            .iter()
            .filter(|message| message.author.kind == AuthorKind::Customer && is_written(message))
            .filter(|message| !unsure.contains(&message.id))
            .map(|message| message.time)
            .max(),
        _ => None,
    };
    at.map(|at| at.min(now))
}
