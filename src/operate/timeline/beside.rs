//! What stands beside the timeline: the window's clock, who is in charge, each target, and the facts.

use handoffd_contract::event::DeliveryState;
use handoffd_contract::{Data, Fact};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Story, in_charge};
use crate::ledger::LaneState;
use crate::ledger::view::{CLOSES_SOON, WINDOW};

/// So many facts are told.
const FACTS: usize = 200;

/// What stands beside the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Beside {
    /// WhatsApp's window.
    pub window: WindowClock,
    /// Who is in charge: `assistant`, `queued`, `rep`, `returned` or `closed`.
    pub controller: String,
    /// The same in words.
    pub in_charge: String,
    /// Since when.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Each target that has taken it on.
    pub targets: Vec<TargetLine>,
    /// What is known on the other sides, the unsure first; at most 200.
    pub facts: Vec<FactView>,
    /// How many facts are known.
    pub known: usize,
    /// How many are unsure.
    pub unsure: usize,
}

/// WhatsApp's window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WindowClock {
    /// `open`, `closing` within two hours, `closed`, or `never` while the customer has not written.
    pub state: &'static str,
    /// When it closes or closed.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<Timestamp>,
    /// How many seconds are left; 0 when it is closed.
    pub seconds_left: i64,
    /// The part that is left, of a thousand.
    pub left_per_mille: i64,
}

/// How a window stands, from when the customer last wrote.
#[must_use]
pub fn window(last_inbound: Option<Timestamp>, now: Timestamp) -> WindowClock {
    let closes_at = last_inbound.map(|at| at + WINDOW);
    let left = closes_at.map_or(0, |at| at.duration_since(now).as_secs().max(0));
    WindowClock {
        state: match closes_at {
            None => "never",
            Some(_) if left == 0 => "closed",
            Some(_) if left <= CLOSES_SOON.as_secs() => "closing",
            Some(_) => "open",
        },
        closes_at,
        seconds_left: left,
        left_per_mille: (left * 1_000 / WINDOW.as_secs()).min(1_000),
    }
}

/// How a target stands to the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Everything is shown there.
    Shown,
    /// There is something to do.
    Due,
    /// It failed and is tried again by itself.
    Trying,
    /// It waits for the conversation.
    Held,
    /// It needs a person.
    Parked,
    /// Nobody knows what became of a call.
    Unknown,
    /// No daemon works on it: the target is disabled or not configured.
    Off,
}

/// A target that has taken the conversation on.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TargetLine {
    /// Its name.
    pub target: String,
    /// How it stands.
    pub state: Standing,
    /// The reason's label, where it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The same in words.
    pub words: String,
    /// Where a person finds the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Events that it does not show yet.
    pub pending: i64,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FactView {
    /// The target.
    pub target: String,
    /// Its name, without customers' digits.
    pub name: String,
    /// `known`, `unsure` or `refused`.
    pub state: &'static str,
    /// Its value where that may be shown, else its length; why it was refused; since when it is unsure.
    pub value: String,
}

/// What stands beside the timeline.
pub(super) fn of(story: &Story<'_>) -> Beside {
    let (facts, known, unsure) = facts(story);
    let conversation = story.report.conversation.as_ref();
    Beside {
        window: window(story.report.last_inbound, story.now),
        controller: conversation
            .map_or("assistant", |row| row.controller.word())
            .to_owned(),
        in_charge: conversation.map_or_else(
            || "The assistant".to_owned(),
            |row| in_charge(story, &row.controller),
        ),
        since: conversation.and_then(|row| row.since),
        targets: targets(story),
        facts,
        known,
        unsure,
    }
}

fn targets(story: &Story<'_>) -> Vec<TargetLine> {
    let lanes = story.report.lanes.iter();
    lanes
        .map(|(lane, ..)| {
            let reason = lane.stop.as_ref().map(|stop| stop.reason);
            let state = standing(story, lane);
            let words = match (&lane.stop, state) {
                (Some(stop), _) => stop.reason.title().to_owned(),
                (None, _) if story.is_way_back(&lane.target) => receipts(story),
                (None, Standing::Shown) => "Shown".to_owned(),
                (None, _) => "Has work to do".to_owned(),
            };
            TargetLine {
                state,
                reason: reason.map(|reason| reason.label()),
                words,
                link: link(story, &lane.target),
                pending: lane.pending,
                target: lane.target.clone(),
            }
        })
        .collect()
}

fn standing(story: &Story<'_>, lane: &crate::ledger::LaneRow) -> Standing {
    use handoffd_contract::Reason;
    if super::super::nobody_works(lane, story.targets).is_some() {
        return Standing::Off;
    }
    match (lane.state, lane.stop.as_ref().map(|stop| stop.reason)) {
        (LaneState::Parked, Some(Reason::UnknownOutcome)) => Standing::Unknown,
        (LaneState::Parked, _) => Standing::Parked,
        (LaneState::Held, _) => Standing::Held,
        (LaneState::Due, Some(_)) => Standing::Trying,
        (LaneState::Due, None) => Standing::Due,
        (LaneState::Idle, _) => Standing::Shown,
    }
}

/// The address of the newest record of a target.
fn link(story: &Story<'_>, target: &str) -> Option<String> {
    story
        .events
        .iter()
        .rev()
        .find_map(|one| match &one.event.data {
            Data::HandoffCompleted(done) if done.target == target => done.url.clone(),
            _ => None,
        })
}

/// How many of the replies were read.
fn receipts(story: &Story<'_>) -> String {
    let all = story.report.events.iter();
    let replies = all.filter(|(_, kind, ..)| kind == "rep.replied").count();
    let mut read = std::collections::BTreeSet::new();
    for one in story.receipts {
        if let Data::ReplyStatus(status) = &one.event.data
            && status.state == DeliveryState::Read
        {
            read.insert((&status.target, &status.message_id));
        }
    }
    match replies {
        0 => "No replies yet".to_owned(),
        1 => format!("{} of 1 reply read", read.len()),
        n => format!("{} of {n} replies read", read.len()),
    }
}

fn facts(story: &Story<'_>) -> (Vec<FactView>, usize, usize) {
    let (mut all, mut known, mut unsure) = (Vec::new(), 0, 0);
    for (lane, _, facts) in &story.report.lanes {
        for (name, fact) in &facts.0 {
            let (state, value) = match fact {
                Fact::Is(value) => ("known", super::super::discreet(value)),
                Fact::Unsure { since, .. } => ("unsure", format!("since {since:.0}")),
                Fact::Refused { reason, .. } => ("refused", reason.title().to_owned()),
            };
            known += usize::from(state == "known");
            unsure += usize::from(state == "unsure");
            all.push(FactView {
                target: lane.target.clone(),
                name: story.known(name),
                state,
                value: story.known(&value),
            });
        }
    }
    all.sort_by_key(|fact| match fact.state {
        "unsure" => 0,
        "refused" => 1,
        _ => 2,
    });
    all.truncate(FACTS);
    (all, known, unsure)
}
