//! The states of conversations: kept with the session, moved in the transaction of the event that
//! moves them.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use handoffd_contract::event::ConversationStarted;
use handoffd_contract::{Controller, Data, Event, ids};
use jiff::Timestamp;

use super::rows::{self, Arrival};
use super::{Admission, Result};
use crate::conversation::{Happened, Moved, Rules, State, Watched, step};

/// Where the events come from that follow from a conversation's state.
pub const SOURCE: &str = "handoffd/conversation";

/// The words for people's being in charge.
pub(super) const PEOPLE: [&str; 2] = ["queued", "rep"];

/// How many conversations people have, by the word, and since when the oldest one waits in a queue.
pub(super) type Counts = (Vec<(String, i64)>, Option<Timestamp>);

/// A conversation that people know of, as operators see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationRow {
    /// The session.
    pub session: String,
    /// Who is in charge.
    pub controller: Controller,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The id of the last handoff.
    pub handoff: Option<String>,
    /// When it is looked at again even if nothing happens.
    pub deadline: Option<Timestamp>,
    /// Replies of which reps were told that WhatsApp has said nothing of them.
    pub unconfirmed: Vec<Watched>,
}

/// The ledger as those see it who keep time for conversations and look at them. Every asynchronous
/// method is one transaction.
#[async_trait]
pub trait ConversationLedger: Send + Sync {
    /// From now on conversations move by these rules.
    fn follow(&self, rules: Rules);

    /// Meets the deadlines that have come, at most `limit`, the oldest first: what follows is stored
    /// with the state that it leaves, so that each is met once however many daemons do this. Returns
    /// how many there were.
    async fn meet_deadlines(&self, now: Timestamp, limit: usize) -> Result<usize>;

    /// Conversations of which this (see [`Controller::WORDS`]) is in charge, those that are so longest
    /// first; at most 1,000. Those in which nobody was asked for help are not among them.
    async fn conversations(&self, controller: &str, limit: usize) -> Result<Vec<ConversationRow>>;
}

/// The rules, as both ledgers hold them.
#[derive(Default)]
pub(super) struct Followed(RwLock<Arc<Rules>>);

impl Followed {
    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in force.
    pub fn follow(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

/// A session's state as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StateRow {
    /// The state as JSON.
    pub state: Option<String>,
    /// The word for who is in charge; absent while nobody was asked for help.
    pub controller: Option<String>,
    /// Since when, in microseconds.
    pub since: Option<i64>,
    /// When it is looked at again, in microseconds.
    pub deadline_at: Option<i64>,
}

/// What happened to a session, as far as it may move its state.
#[derive(Debug, Clone)]
pub(super) struct Mover {
    /// The cause's name in the names of what follows.
    cause: String,
    happened: Happened,
    rules: Arc<Rules>,
}

impl Mover {
    /// How an admission moves its session, if it does.
    pub fn of(admission: &Admission, rules: &Arc<Rules>) -> Option<Mover> {
        let event = &admission.event;
        Some(Mover {
            cause: cause(event),
            happened: Happened {
                id: event.id.clone(),
                at: event.time,
                last_inbound: None,
                moved: Moved::of(&event.data, &admission.opens)?,
            },
            rules: Arc::clone(rules),
        })
    }

    /// How a deadline that has come moves its session.
    pub fn deadline(due: i64, rules: &Arc<Rules>) -> Result<Mover> {
        Ok(Mover {
            cause: format!("at-{due}"),
            happened: Happened {
                id: String::new(),
                at: rows::at(due)?,
                last_inbound: None,
                moved: Moved::Deadline,
            },
            rules: Arc::clone(rules),
        })
    }
}

/// What a session's state becomes, if it changes, and the events that follow, each with an id that
/// only this cause gives.
pub(super) fn moved(
    session: &str,
    before: &StateRow,
    mover: &Mover,
    last_inbound: Option<i64>,
    now: i64,
) -> Result<(Option<StateRow>, Vec<Arrival>)> {
    let now = rows::at(now)?;
    let state = before.state();
    let happened = Happened {
        last_inbound: rows::maybe_at(last_inbound)?,
        ..mover.happened.clone()
    };
    let step = step(&state, &happened, now, &mover.rules);
    let deadline_at = step.deadline.map(Timestamp::as_microsecond);
    let changed = step.state != state || deadline_at != before.deadline_at;
    let row = changed.then(|| StateRow::of(&step.state, deadline_at));
    let follows = step.effects.into_iter();
    let follows: Vec<Admission> = follows
        .map(|effect| {
            let id = named(session, &mover.cause, &effect.name);
            own_event(session, id, now, effect.data)
        })
        .collect();
    Ok((row.transpose()?, Arrival::all(&follows, &mover.rules)?))
}

/// The id of what follows from an event under this name.
#[must_use]
pub fn effect_id(event: &Event, name: &str) -> String {
    named(&event.session, &cause(event), name)
}

fn cause(event: &Event) -> String {
    ids::short(&[&event.source, &event.id])
}

fn named(session: &str, cause: &str, name: &str) -> String {
    format!("{session}/conversation/{cause}/{name}")
}

/// What follows from a customer's message where nothing was known of its session before.
pub(super) fn started(event: &Event) -> Option<Admission> {
    let Data::MessageReceived(said) = &event.data else {
        return None;
    };
    let data = Data::ConversationStarted(ConversationStarted {
        message: said.message.clone(),
    });
    let id = effect_id(event, "started");
    Some(own_event(&event.session, id, event.time, data))
}

fn own_event(session: &str, id: String, time: Timestamp, data: Data) -> Admission {
    let event = Event {
        id,
        source: SOURCE.to_owned(),
        session: session.to_owned(),
        time,
        sequence: None,
        warnings: Vec::new(),
        data,
    };
    Admission {
        event,
        opens: Vec::new(),
        passes: Vec::new(),
        session: None,
        contact: None,
        inbound_at: None,
        find: None,
        files: Vec::new(),
    }
}

impl StateRow {
    fn of(state: &State, deadline_at: Option<i64>) -> Result<StateRow> {
        let controller = &state.controller;
        Ok(StateRow {
            state: Some(rows::encode(state)?),
            controller: (*controller != Controller::Assistant)
                .then(|| controller.word().to_owned()),
            since: state.since.map(Timestamp::as_microsecond),
            deadline_at,
        })
    }

    /// The state. One that another version wrote and this one cannot read is taken for one in which
    /// people were asked, so that nothing is kept from them.
    pub fn state(&self) -> State {
        let Some(json) = &self.state else {
            return State::default();
        };
        serde_json::from_str(json).unwrap_or_else(|_| State {
            controller: Controller::queued(None),
            ..State::default()
        })
    }

    /// As operators see it.
    pub fn shown(self, session: String) -> Result<ConversationRow> {
        let state = self.state();
        let watched = state.replies.watched.into_iter();
        Ok(ConversationRow {
            session,
            unconfirmed: watched.filter(|one| one.told).collect(),
            controller: state.controller,
            since: state.since,
            handoff: state.handoff,
            deadline: rows::maybe_at(self.deadline_at)?,
        })
    }
}

/// Who is in charge at a place among a session's events: `kind` is the last event there that tells it,
/// `body` is given of a `session.state`.
pub(super) fn controller(kind: Option<&str>, body: Option<&str>) -> Result<Controller> {
    Ok(match (kind, body) {
        (None, _) => Controller::Assistant,
        (Some("session.state"), Some(body)) => match rows::decode::<Event>(body)?.data {
            Data::SessionState(state) => state.controller,
            _ => Controller::queued(None),
        },
        _ => Controller::queued(None),
    })
}

/// So many changes of who is in charge are looked at for the first one after which nothing was shown.
pub(super) const MAX_CHANGES: i64 = 20;

/// The first event since people had the conversation after which something was not shown: `changes` are
/// the events that tell who is in charge, the newest first, each as its place, its kind and the body of a
/// `session.state`; `hidden` are the words for those in whose time nothing is shown. What was shown all the
/// same since then is told again with the rest: targets know it by its id.
pub(super) fn hidden_since(
    changes: &[(i64, String, Option<String>)],
    hidden: &[&str],
) -> Result<Option<i64>> {
    let mut since = None;
    for (seq, kind, body) in changes {
        let one = controller(Some(kind), body.as_deref())?;
        if one.is_people() {
            break;
        }
        if hidden.contains(&one.word()) {
            since = Some(*seq);
        }
    }
    Ok(since)
}
