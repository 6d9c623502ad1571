//! Conversations in a list: masked, with how each stands.

use std::collections::BTreeMap;

use handoffd_contract::{Controller, Reason};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::mask::{self, Values};
use super::timeline::{WindowClock, called, key, window};
use super::unmask::Shown;
use crate::ledger::view::{COUNTED_TO, Conversation, ConversationFilter, LaneBrief, ViewCounts};
use crate::ledger::{LaneState, LedgerError, ViewLedger};

/// A page of conversations.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Page {
    /// The conversations in which something happened last, the latest first.
    pub sessions: Vec<Row>,
    /// Where the next page begins, as `after`; absent where there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Where the look ended before the page was full. What is older is on the next page.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_back_to: Option<Timestamp>,
    /// How many conversations the usual views hold.
    pub counts: Counts,
}

/// How many conversations the usual views hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// All.
    pub all: Count,
    /// With parked work.
    pub needs_person: Count,
    /// That wait for a rep.
    pub waiting: Count,
    /// Of people's, those whose window closes within two hours.
    pub closing: Count,
    /// In which a reply waits for the customer.
    pub held: Count,
}

/// A number that may be an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Count {
    /// The number.
    pub n: i64,
    /// Whether it is about so many, or more.
    pub about: bool,
}

impl Count {
    fn of(n: i64) -> Count {
        Count {
            n: n.min(COUNTED_TO),
            about: n > COUNTED_TO,
        }
    }
}

impl From<ViewCounts> for Counts {
    fn from(counts: ViewCounts) -> Counts {
        Counts {
            all: Count {
                n: counts.all,
                about: counts.all > COUNTED_TO,
            },
            needs_person: Count::of(counts.needs_person),
            waiting: Count::of(counts.waiting),
            closing: Count::of(counts.closing),
            held: Count::of(counts.held),
        }
    }
}

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Row {
    /// The session, without the customer's digits.
    pub session: String,
    /// By what it is called in addresses.
    pub key: String,
    /// The customer's name, as it may be shown.
    pub name: String,
    /// The end of the customer's number, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The business number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_number: Option<String>,
    /// Who is in charge: `assistant`, `queued`, `rep`, `returned` or `closed`.
    pub controller: String,
    /// The target at which it waits or in which the rep is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The place in that target's queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// How long it will wait there, as the target estimates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u64>,
    /// By whom it was given back or closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether the matter was settled when it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<bool>,
    /// Since when that is so.
    #[schema(value_type = Option<String>)]
    pub since: Option<Timestamp>,
    /// The id of the last handoff.
    pub handoff: Option<String>,
    /// When it is looked at again even if nothing happens.
    #[schema(value_type = Option<String>)]
    pub looked_at_again: Option<Timestamp>,
    /// Replies of which WhatsApp has said nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unconfirmed: Vec<Unconfirmed>,
    /// Each target that has taken it on, and how it stands there.
    pub lanes: Vec<RowLane>,
    /// WhatsApp's window.
    pub window: WindowClock,
    /// Who said something last, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// When something happened last.
    #[schema(value_type = String)]
    pub last_at: Timestamp,
    /// How it stands: `well`, `trying`, `held`, `unknown` or `parked`.
    pub state: &'static str,
    /// Why, in a few words; empty when it is well.
    pub why: String,
    /// When it goes on by itself.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The number of its last event.
    pub seq: i64,
}

/// A reply of which WhatsApp has said nothing.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Unconfirmed {
    /// The target in which the rep wrote.
    pub target: String,
    /// The CRM's own id of the message.
    pub message_id: String,
    /// When it was sent.
    #[schema(value_type = String)]
    pub sent_at: Timestamp,
}

/// How a conversation stands in a target.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RowLane {
    /// The target.
    pub target: String,
    /// `idle`, `due`, `held` or `parked`.
    pub state: &'static str,
    /// The reason's label, where it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// The last message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Last {
    /// `customer`, `assistant` or `rep`.
    pub by: &'static str,
    /// When it was said.
    #[schema(value_type = String)]
    pub at: Timestamp,
}

/// A page of conversations. `shown` tells of which of them names are shown to who asks.
///
/// # Errors
/// The ledger cannot be read.
pub async fn page(
    ledger: &dyn ViewLedger,
    filter: ConversationFilter,
    shown: &Shown,
) -> Result<Page, LedgerError> {
    let now = Timestamp::now();
    let (listed, counts) = tokio::join!(ledger.listing(now, filter), ledger.view_counts(now));
    let listed = listed?;
    Ok(Page {
        sessions: listed.rows.iter().map(|one| row(one, shown, now)).collect(),
        next: listed.before,
        looked_back_to: listed.looked_back_to,
        counts: counts?.into(),
    })
}

/// The values of these sessions' customers that nobody is to read in a CRM's words; of the first 200.
///
/// # Errors
/// The ledger cannot be read.
pub async fn values(
    ledger: &dyn ViewLedger,
    sessions: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, Values>, LedgerError> {
    let mut sessions: Vec<String> = sessions.cloned().collect();
    sessions.sort();
    sessions.dedup();
    if sessions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let filter = ConversationFilter {
        sessions: Some(sessions),
        limit: 200,
        ..ConversationFilter::default()
    };
    let listed = ledger.listing(Timestamp::now(), filter).await?;
    let each = listed.rows.into_iter();
    Ok(each
        .map(|row| (row.session, Values::of_contact(row.contact.as_ref())))
        .collect())
}

/// A CRM's words without a customer's values.
#[must_use]
pub fn hidden(values: &BTreeMap<String, Values>, session: &str, words: &str) -> String {
    let none = Values::default();
    mask::words(words, values.get(session).unwrap_or(&none))
}

fn row(one: &Conversation, shown: &Shown, now: Timestamp) -> Row {
    let open = shown.until(&one.session, now).is_some();
    let contact = one.contact.as_ref();
    let controller = &one.state.controller;
    let (position, wait_seconds) = match controller {
        Controller::Queued {
            position,
            wait_seconds,
            ..
        } => (*position, *wait_seconds),
        _ => (None, None),
    };
    let (by, resolved) = match controller {
        Controller::Returned { by } => (Some(by.clone()), None),
        Controller::Closed { by, resolved } => (Some(by.clone()), *resolved),
        _ => (None, None),
    };
    let values = if open {
        Values::default()
    } else {
        Values::of_contact(contact)
    };
    let (state, lane) = standing(&one.lanes);
    let phone = contact.and_then(handoffd_contract::Contact::e164);
    Row {
        key: key(&one.session, Some(one.number), contact),
        session: if open {
            one.session.clone()
        } else {
            mask::session(&one.session, contact)
        },
        name: contact.map_or_else(
            || "WhatsApp user".to_owned(),
            |contact| called(contact, open),
        ),
        phone: phone.map(|phone| {
            if open {
                phone
            } else {
                mask::phone_short(&phone)
            }
        }),
        business_number: one.data.as_ref().map(|data| data.business_number.clone()),
        controller: controller.word().to_owned(),
        target: controller.target().map(str::to_owned),
        position,
        wait_seconds,
        by: by.map(|by| mask::words(&by, &values)),
        resolved,
        since: one.state.since,
        handoff: one.state.handoff.clone(),
        looked_at_again: one.state.deadline,
        unconfirmed: one.state.unconfirmed.iter().map(unconfirmed).collect(),
        lanes: one.lanes.iter().map(row_lane).collect(),
        window: window(one.last_inbound, now),
        last: one.said.as_ref().map(|(kind, at)| Last {
            by: said_by(kind),
            at: *at,
        }),
        last_at: one.last_at,
        state,
        why: lane.map(why).unwrap_or_default(),
        until: lane.and_then(|lane| lane.due_at),
        seq: one.seq,
    }
}

fn unconfirmed(one: &crate::conversation::Watched) -> Unconfirmed {
    Unconfirmed {
        target: one.target.clone(),
        message_id: one.message.clone(),
        sent_at: one.at,
    }
}

fn row_lane(lane: &LaneBrief) -> RowLane {
    RowLane {
        target: lane.target.clone(),
        state: lane.state.word(),
        reason: lane.stop.as_ref().map(|stop| stop.reason.label()),
    }
}

fn said_by(kind: &str) -> &'static str {
    match kind {
        "message.received" => "customer",
        "rep.replied" => "rep",
        _ => "assistant",
    }
}

/// How a conversation stands, by its worst lane.
fn standing(lanes: &[LaneBrief]) -> (&'static str, Option<&LaneBrief>) {
    let state = |lane: &LaneBrief| {
        let reason = lane.stop.as_ref()?.reason;
        Some(match (lane.state, reason) {
            (LaneState::Parked, Reason::UnknownOutcome) => (4, "unknown"),
            (LaneState::Parked, _) => (3, "parked"),
            (LaneState::Due, _) => (2, "trying"),
            (LaneState::Held, _) => (1, "held"),
            (LaneState::Idle, _) => return None,
        })
    };
    let stopped = lanes.iter().filter_map(|lane| Some((state(lane)?, lane)));
    let worst: BTreeMap<(i32, &'static str), &LaneBrief> = stopped.collect();
    match worst.into_iter().next_back() {
        Some(((_, word), lane)) => (word, Some(lane)),
        None => ("well", None),
    }
}

fn why(lane: &LaneBrief) -> String {
    let Some(stop) = &lane.stop else {
        return String::new();
    };
    if lane.state == LaneState::Held && stop.reason == Reason::WindowClosed {
        return "a reply waits for the customer to write".to_owned();
    }
    format!("{}: {}", lane.target, stop.reason.title())
}
