//! How things are on one page: what needs a person, how each target is, and how much flows.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `troubles` | what is not well, the heaviest first, each with the way out |
//! | `flow` | figures over time |

mod flow;
mod troubles;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

pub use self::flow::{Flow, Point, Range};
pub use self::troubles::{Trouble, TroubleKind, Way};
use super::status::{Circuit, Presence, Status, Target};
use crate::ledger::figures::{Figure, Span};
use crate::ledger::view::{ConversationFilter, WindowState};
use crate::ledger::{LaneState, LedgerError, Stats, ViewLedger};
use crate::wire::rate::InUse;

/// How things are.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Overview {
    /// When this was so.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// Over which time the figures are: `1h`, `24h` or `7d`.
    pub range: &'static str,
    /// How many kinds of trouble need a person.
    pub needs_person: usize,
    /// What is not well, the heaviest first; what goes on by itself comes last.
    pub troubles: Vec<Trouble>,
    /// Every target.
    pub targets: Vec<TargetView>,
    /// RabbitMQ.
    pub broker: BrokerView,
    /// The figures over time.
    pub flow: Vec<Flow>,
    /// Events that came in within the last hour.
    pub events_last_hour: i64,
    /// Replies that went out within the last hour.
    pub replies_last_hour: i64,
    /// Conversations that wait for a rep.
    pub queued: i64,
    /// Conversations that a rep has.
    pub with_rep: i64,
}

/// RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BrokerView {
    /// Whether one is configured.
    pub configured: bool,
    /// Whether it can be asked and events are taken from it.
    pub ok: bool,
    /// Why not.
    pub message: String,
    /// Events that wait in it, without dead letters.
    pub waiting: i64,
}

/// How a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// Everything goes.
    Well,
    /// Work is parked there.
    Parked,
    /// It failed repeatedly, and nothing is sent for a while.
    Down,
    /// It rejects the credential.
    Credential,
    /// It is disabled in the configuration.
    Off,
    /// Work waits for it, and the configuration does not have it.
    NotConfigured,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// Its kind, where it is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How it is.
    pub state: TargetState,
    /// The same in a few words.
    pub words: String,
    /// When it was last heard by this daemon.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<Timestamp>,
    /// Lanes with work to do.
    pub due: i64,
    /// Lanes that wait for the conversation.
    pub held: i64,
    /// Lanes that need a person.
    pub parked: i64,
    /// How much of its rate this daemon uses; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// The time in milliseconds that half of the last hour's calls did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_millis: Option<i64>,
    /// The time in milliseconds that all but one in a hundred of them did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_millis: Option<i64>,
    /// Calls of the last hour, by minute.
    pub calls: Vec<Calls>,
}

/// How much of a rate is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rate {
    /// Calls that are not given back yet.
    pub used: u32,
    /// Calls that may come at once.
    pub of: u32,
    /// In how many milliseconds they are given back.
    pub per_millis: u64,
}

impl From<InUse> for Rate {
    fn from(rate: InUse) -> Rate {
        Rate {
            used: rate.used,
            of: rate.of,
            per_millis: u64::try_from(rate.per.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Calls of one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Calls {
    /// When it begins.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// How many.
    pub n: i64,
    /// How many of them did not succeed.
    pub failed: i64,
}

/// What a running daemon adds to what the ledger tells of a target.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// The target's kind.
    pub kind: String,
    /// How much of its rate is in use.
    pub rate: Option<Rate>,
}

/// How things are now: what a status says, with the numbers of the ledger.
///
/// # Errors
/// The ledger cannot be read.
pub async fn gather(
    status: &Status,
    stats: &Stats,
    ledger: &dyn ViewLedger,
    live: &BTreeMap<String, Live>,
    range: Range,
) -> Result<Overview, LedgerError> {
    let now = status.at;
    let hour_ago = now - SignedDuration::from_hours(1);
    let minutes = ledger.figures(Span::Minute, hour_ago).await?;
    let since = now - range.long();
    let over_time = match range.span() {
        Span::Minute => minutes.clone(),
        span => ledger.figures(span, since).await?,
    };
    let closing = closing_with_reply(ledger, now).await?;
    let troubles = troubles::of(status, closing);
    let of = |word: &str| {
        let found = stats.conversations.iter().find(|(known, _)| known == word);
        found.map_or(0, |(_, n)| *n)
    };
    Ok(Overview {
        at: now,
        range: range.word(),
        needs_person: troubles.iter().filter(|one| one.needs_person).count(),
        troubles,
        targets: status
            .targets
            .iter()
            .map(|target| view(target, stats, live.get(&target.name), &minutes, now))
            .collect(),
        broker: broker(status),
        flow: flow::of(&over_time, range, now),
        events_last_hour: flow::sum(&minutes, flow::IN),
        replies_last_hour: flow::sum(&minutes, flow::REPLY),
        queued: of("queued"),
        with_rep: of("rep"),
    })
}

fn broker(status: &Status) -> BrokerView {
    let waiting = status
        .broker
        .queues
        .iter()
        .filter(|queue| !queue.dead_letters);
    BrokerView {
        configured: status.broker.configured,
        ok: status.broker.configured && status.broker.message.is_empty(),
        message: status.broker.message.clone(),
        waiting: waiting.map(|queue| i64::from(queue.events)).sum(),
    }
}

/// Of people's conversations, how many have a reply that has not left and a window that closes soon.
async fn closing_with_reply(ledger: &dyn ViewLedger, now: Timestamp) -> Result<usize, LedgerError> {
    let filter = ConversationFilter {
        window: Some(WindowState::Closing),
        limit: 200,
        ..ConversationFilter::default()
    };
    let listed = ledger.listing(now, filter).await?;
    let waits = |lane: &crate::ledger::view::LaneBrief| {
        lane.stop.is_some() && lane.state != LaneState::Idle
    };
    let rows = listed.rows.iter();
    Ok(rows.filter(|row| row.lanes.iter().any(waits)).count())
}

fn view(
    target: &Target,
    stats: &Stats,
    live: Option<&Live>,
    minutes: &[Figure],
    now: Timestamp,
) -> TargetView {
    let lanes = |state: LaneState| {
        let mut all = stats.lanes.iter();
        all.find(|(name, of, _)| *name == target.name && *of == state)
            .map_or(0, |(_, _, n)| *n)
    };
    let parked = lanes(LaneState::Parked);
    let (state, words) = standing(target, parked);
    let (p50_millis, p99_millis) = flow::percentiles(minutes, flow::CALL, &target.name);
    TargetView {
        name: target.name.clone(),
        kind: live.map(|live| live.kind.clone()),
        state,
        words,
        last_heard: target.last_heard,
        due: lanes(LaneState::Due),
        held: lanes(LaneState::Held),
        parked,
        rate: live.and_then(|live| live.rate),
        p50_millis,
        p99_millis,
        calls: flow::calls(minutes, &target.name, now),
    }
}

fn standing(target: &Target, parked: i64) -> (TargetState, String) {
    match (target.state, target.circuit) {
        (Presence::Disabled, _) => (TargetState::Off, "Off".to_owned()),
        (Presence::NotConfigured, _) => (
            TargetState::NotConfigured,
            "Not in the configuration".to_owned(),
        ),
        _ if target.credential_rejected => (
            TargetState::Credential,
            "The credential is rejected".to_owned(),
        ),
        (_, Some(Circuit::Open { seconds })) => (
            TargetState::Down,
            format!("Down, tried again in {seconds} s"),
        ),
        (_, Some(Circuit::Probing)) => (TargetState::Down, "Down, tried again now".to_owned()),
        _ if parked > 0 => (TargetState::Parked, format!("{parked} parked")),
        _ => (TargetState::Well, "Well".to_owned()),
    }
}
