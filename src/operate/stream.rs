//! What happens now, line by line, and what of a page changed.
//!
//! Both are read from the ledger again and again while somebody listens, so that what any daemon does is seen,
//! nothing is kept for who listens, and who reads slowly misses lines and is told how many.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use handoffd_contract::{AuthorKind, Data, Event};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::mask::{self, Text, Values};
use super::timeline::Place;
use crate::ledger::view::{ConversationFilter, Marks, StoredAttempt, StoredEvent};
use crate::ledger::{LedgerError, ViewLedger};

/// So many lines are read at once; who is further behind misses what is older.
pub const AT_ONCE: i64 = 500;

/// Events that were committed after later ones are looked for among so many before the newest.
const LATE: i64 = 100;

/// A line of what happens.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Line {
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// `event` or `call`.
    pub what: &'static str,
    /// The event's type, or the call's step.
    pub name: String,
    /// Where it came from.
    pub from: Place,
    /// Where it went; absent where it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Place>,
    /// The session, without the customer's digits.
    pub session: String,
    /// The target, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of a call: its status and what it came to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// Of a call: how long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub millis: Option<i64>,
    /// What was written, hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// Which lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this target.
    pub target: Option<String>,
    /// With this type, or of calls, step.
    pub kind: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// Targets by which customers are answered.
    pub ways_back: Vec<String>,
}

impl Wanted {
    fn takes(&self, line: &Line, session: &str) -> bool {
        let is =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        is(&self.session, session)
            && is(&self.kind, &line.name)
            && is(&self.target, line.target.as_deref().unwrap_or_default())
    }
}

/// Where somebody is who listens.
#[derive(Debug, Clone)]
pub struct Ear {
    wanted: Wanted,
    event: i64,
    attempt: i64,
    heard: BTreeSet<i64>,
}

impl Ear {
    /// From now on.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn begin(ledger: &dyn ViewLedger, wanted: Wanted) -> Result<Ear, LedgerError> {
        let marks = ledger.marks().await?;
        Ok(Ear {
            wanted,
            event: marks.event,
            attempt: marks.attempt,
            heard: ((marks.event - LATE)..=marks.event).collect(),
        })
    }

    /// What happened since the last time, and how many lines were missed.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn listen(
        &mut self,
        ledger: &dyn ViewLedger,
    ) -> Result<(VecDeque<Line>, i64), LedgerError> {
        let marks = ledger.marks().await?;
        let mut missed = 0;
        for (at, newest) in [
            (&mut self.event, marks.event),
            (&mut self.attempt, marks.attempt),
        ] {
            let behind = newest - *at - AT_ONCE;
            if behind > 0 {
                missed += behind;
                *at += behind;
            }
        }
        let limit = usize::try_from(AT_ONCE + LATE).unwrap_or(usize::MAX);
        let tail = ledger.tail(self.event - LATE, self.attempt, limit).await?;
        let mut lines: Vec<(Timestamp, Line, String)> = Vec::new();
        for one in &tail.events {
            if one.seq > self.event - LATE && self.heard.insert(one.seq) {
                lines.extend(
                    of_event(one).map(|line| (one.received_at, line, one.event.session.clone())),
                );
            }
            self.event = self.event.max(one.seq);
        }
        for one in &tail.attempts {
            let way_back = self.wanted.ways_back.contains(&one.target);
            let line = of_attempt(one, way_back);
            lines.push((line.at, line, one.session.clone()));
            self.attempt = self.attempt.max(one.id);
        }
        self.heard = self.heard.split_off(&(self.event - LATE));
        lines.sort_by_key(|(at, ..)| *at);
        let wanted = lines
            .into_iter()
            .filter(|(_, line, session)| self.wanted.takes(line, session));
        Ok((wanted.map(|(_, line, _)| line).collect(), missed))
    }
}

fn of_event(one: &StoredEvent) -> Option<Line> {
    let Event { session, data, .. } = &one.event;
    let (from, to, target) = ways(data)?;
    Some(Line {
        at: one.received_at,
        what: "event",
        name: data.kind().to_owned(),
        from,
        to,
        session: mask::session(session, None),
        target: target.map(str::to_owned),
        outcome: String::new(),
        millis: None,
        text: text(data).map(|text| Text::of(text, None, false)),
    })
}

/// From where to where an event goes, and of which target it is.
fn ways(data: &Data) -> Option<(Place, Option<Place>, Option<&str>)> {
    use Place::{Crm, Gateway, Handoffd, Whatsapp};
    Some(match data {
        Data::MessageReceived(_) => (Whatsapp, Some(Gateway), None),
        Data::MessageSent(said) if said.message.author.kind == AuthorKind::Customer => {
            (Whatsapp, Some(Gateway), None)
        }
        Data::MessageSent(_) => (Gateway, Some(Whatsapp), None),
        Data::MessageStatus(_) => (Whatsapp, Some(Handoffd), None),
        Data::HandoffRequested(_)
        | Data::SessionClosed(_)
        | Data::SessionReturned(_)
        | Data::ContactUpdated(_) => (Gateway, Some(Handoffd), None),
        Data::RepReplied(reply) => (Crm, Some(Whatsapp), Some(&reply.target)),
        Data::ReplyStatus(status) => (Whatsapp, Some(Crm), Some(&status.target)),
        Data::HandoffCompleted(done) => (Handoffd, Some(Crm), Some(&done.target)),
        Data::HandoffFailed(failed) => (Handoffd, Some(Crm), Some(&failed.target)),
        Data::SessionAssigned(one) => (Crm, Some(Handoffd), Some(&one.target)),
        Data::SessionRouting(one) => (Crm, Some(Handoffd), Some(&one.target)),
        Data::RepActivity(one) => (Crm, Some(Handoffd), Some(&one.target)),
        Data::SessionUpdated(one) => (Crm, Some(Handoffd), Some(&one.target)),
        Data::RepEnded(one) => (Crm, Some(Handoffd), Some(&one.target)),
        Data::SessionQueued(one) => (Crm, Some(Handoffd), Some(&one.target)),
        Data::RepNotice(one) => (Handoffd, Some(Crm), Some(&one.target)),
        Data::CustomerNotice(one) => (Handoffd, Some(Whatsapp), one.target.as_deref()),
        Data::SessionRated(one) => (Whatsapp, Some(Handoffd), Some(&one.target)),
        Data::ReplyUnconfirmed(one) => (Handoffd, None, Some(&one.target)),
        Data::SessionState(_)
        | Data::SessionHandback(_)
        | Data::SessionUnattended(_)
        | Data::ConversationStarted(_) => (Handoffd, None, None),
        Data::RepliesDone(_) => return None,
    })
}

fn text(data: &Data) -> Option<&str> {
    match data {
        Data::MessageReceived(said) | Data::MessageSent(said) => said.message.text.as_deref(),
        Data::RepReplied(reply) => reply.text.as_deref(),
        Data::HandoffRequested(handoff) => handoff.handoff.summary.as_deref(),
        Data::RepNotice(notice) => Some(&notice.text),
        _ => None,
    }
}

fn of_attempt(one: &StoredAttempt, way_back: bool) -> Line {
    let attempt = &one.attempt;
    let status = attempt
        .status
        .map(|status| format!("{status} "))
        .unwrap_or_default();
    let reason = attempt
        .stop
        .as_ref()
        .map(|stop| format!(" {}", stop.reason.label()));
    let call = attempt
        .call
        .as_deref()
        .map(|call| mask::words(call, &Values::default()));
    Line {
        at: attempt.started_at,
        what: "call",
        name: attempt.step.clone(),
        from: Place::Handoffd,
        to: Some(if way_back {
            Place::Whatsapp
        } else {
            Place::Crm
        }),
        session: mask::session(&one.session, None),
        target: Some(one.target.clone()),
        outcome: format!(
            "{status}{}{}{}",
            attempt.outcome,
            reason.unwrap_or_default(),
            call.map(|call| format!(" {}", mask::wamids(&call)))
                .unwrap_or_default()
        ),
        millis: Some(attempt.millis),
        text: None,
    }
}

/// How things stand for a page: when it differs, the page's parts may have changed.
///
/// # Errors
/// The ledger cannot be read.
pub async fn version(
    ledger: &dyn ViewLedger,
    session: Option<&str>,
) -> Result<String, LedgerError> {
    let Some(session) = session else {
        let Marks {
            event,
            attempt,
            dead_letter: (letter, letters),
            parked,
        } = ledger.marks().await?;
        return Ok(format!("{event}-{attempt}-{letter}-{letters}-{parked}"));
    };
    let filter = ConversationFilter {
        sessions: Some(vec![session.to_owned()]),
        ..ConversationFilter::default()
    };
    let listed = ledger.listing(Timestamp::now(), filter).await?;
    let mut hasher = DefaultHasher::new();
    for row in &listed.rows {
        row.seq.hash(&mut hasher);
        for lane in &row.lanes {
            format!("{lane:?}").hash(&mut hasher);
        }
    }
    Ok(format!("s{:x}", hasher.finish()))
}
