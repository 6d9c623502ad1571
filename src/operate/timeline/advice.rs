//! What to do next: one act that is recommended, or none.

use handoffd_contract::Reason;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Story, lanes};
use crate::ledger::{LaneRow, LaneState};
use crate::operate::overview::Way;
use crate::operate::span;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Advice {
    /// Whether a person must do something.
    pub needs_person: bool,
    /// What is the matter, in a sentence.
    pub what: String,
    /// What that means.
    pub why: String,
    /// What to do, step by step.
    pub steps: Vec<String>,
    /// The target that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The reason's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What mends it, where that is on another page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// Whether trying again can help: `POST /v1/retry`.
    pub may_retry: bool,
    /// Whether what it stands at can be given up: `POST /v1/skip`.
    pub may_skip: bool,
    /// Whether a person must say whether it arrived: by a skip, or by a retry where it did not.
    pub asks_arrived: bool,
}

impl Advice {
    fn nothing(why: impl Into<String>) -> Advice {
        Advice {
            needs_person: false,
            what: "Nothing to do".to_owned(),
            why: why.into(),
            steps: Vec::new(),
            target: None,
            reason: None,
            way: None,
            may_retry: false,
            may_skip: false,
            asks_arrived: false,
        }
    }
}

/// What to do next.
pub(super) fn of(story: &Story<'_>) -> Advice {
    let all = lanes(story);
    let parked = all.values().filter(|lane| lane.state == LaneState::Parked);
    let unknown = |lane: &&&LaneRow| reason(lane) == Some(Reason::UnknownOutcome);
    let (unknown, parked): (Vec<&&LaneRow>, Vec<&&LaneRow>) = parked.partition(unknown);
    if let Some(lane) = unknown.first().or(parked.first()) {
        return of_parked(story, lane);
    }
    if let Some(letter) = story.report.refused.last() {
        return Advice {
            needs_person: true,
            what: "An event of this conversation could not be understood".to_owned(),
            why: story.words(&letter.stop.message),
            way: Some(Way {
                label: "See the dead letter".to_owned(),
                page: format!("/dead-letters/{}", letter.id),
            }),
            ..Advice::nothing("")
        };
    }
    let lane = |state: LaneState| {
        all.values()
            .find(|lane| lane.state == state && lane.stop.is_some())
    };
    if let Some(lane) = lane(LaneState::Due) {
        return trying(story, lane);
    }
    if let Some(lane) = lane(LaneState::Held) {
        return held(story, lane);
    }
    Advice::nothing("Everything is shown where it belongs.")
}

fn reason(lane: &LaneRow) -> Option<Reason> {
    lane.stop.as_ref().map(|stop| stop.reason)
}

fn of_parked(story: &Story<'_>, lane: &LaneRow) -> Advice {
    let Some(stop) = &lane.stop else {
        return Advice::nothing("");
    };
    let asks_arrived = stop.reason == Reason::UnknownOutcome;
    let in_mapping = matches!(
        stop.reason,
        Reason::Invalid | Reason::Mapping | Reason::TooLarge
    );
    let explained = stop.reason.explain().split_once("\nDo: ");
    let step = explained.map(|(_, act)| act.split(", then `").next().unwrap_or(act));
    let steps = match (asks_arrived, in_mapping) {
        (true, _) => vec![
            "Look at the customer's conversation in WhatsApp.".to_owned(),
            "Say whether the reply arrived.".to_owned(),
        ],
        (_, true) => vec![
            "Change what the mapping gives for the field that is named.".to_owned(),
            "Publish. What is parked for it is tried again.".to_owned(),
        ],
        _ => step.into_iter().map(sentence).collect(),
    };
    Advice {
        needs_person: true,
        what: format!("{}: {}", lane.target, stop.reason.title()),
        why: story.words(&stop.message),
        steps,
        target: Some(lane.target.clone()),
        reason: Some(stop.reason.label()),
        way: in_mapping.then(|| Way {
            label: "Open in the mapping".to_owned(),
            page: format!("/mappings/{}", lane.target),
        }),
        may_retry: true,
        may_skip: true,
        asks_arrived,
    }
}

/// An act as a sentence of its own.
fn sentence(act: &str) -> String {
    let act = act.trim().trim_end_matches('.');
    let mut letters = act.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn trying(story: &Story<'_>, lane: &LaneRow) -> Advice {
    let when = lane.due_at.map_or_else(
        || "soon".to_owned(),
        |at| format!("in {}", span(story.now, at)),
    );
    let title = lane.stop.as_ref().map_or("", |stop| stop.reason.title());
    Advice {
        target: Some(lane.target.clone()),
        reason: reason(lane).map(Reason::label),
        may_retry: true,
        ..Advice::nothing(format!(
            "{}: {title}. It is tried again {when}, by itself; nothing is lost.",
            lane.target
        ))
    }
}

fn held(story: &Story<'_>, lane: &LaneRow) -> Advice {
    let why = match reason(lane) {
        Some(Reason::WindowClosed) => {
            "A reply waits until the customer writes again; the rep was told.".to_owned()
        }
        _ => lane
            .stop
            .as_ref()
            .map(|stop| story.words(&stop.message))
            .unwrap_or_default(),
    };
    Advice {
        target: Some(lane.target.clone()),
        reason: reason(lane).map(Reason::label),
        may_retry: true,
        may_skip: true,
        ..Advice::nothing(why)
    }
}
