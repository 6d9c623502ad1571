//! What waits or is parked now, and what could not be understood: entries beside those of events.

use handoffd_contract::Reason;

use super::{Entry, Outcome, Place, Story};
use crate::ledger::{LaneRow, LaneState};

/// Adds them.
pub(super) fn add(story: &Story<'_>, entries: &mut Vec<Entry>) {
    for (lane, ..) in &story.report.lanes {
        let told = entries.iter_mut().rev().find(|entry| {
            entry.kind == "handoff.failed" && entry.target.as_deref() == Some(lane.target.as_str())
        });
        match (lane.state, told) {
            // The event by which it was parked is the entry.
            (LaneState::Parked, Some(entry)) if is_of(lane, entry) => entry.open = true,
            _ => entries.extend(wait(story, lane)),
        }
    }
    for one in &story.report.refused {
        entries.push(Entry {
            to: Some(Place::Handoffd),
            outcome: Outcome::Failed,
            chips: vec![one.stop.reason.label().to_owned()],
            words: story.words(&one.stop.message),
            link: Some(format!("/dead-letters/{}", one.id)),
            ..Entry::new(
                format!("d-{}", one.id),
                one.received_at,
                "dead-letter",
                Place::Gateway,
                "An event could not be understood",
            )
        });
    }
}

/// Whether a lane was parked with this event.
fn is_of(lane: &LaneRow, entry: &Entry) -> bool {
    let apart = lane.updated_at.duration_since(entry.at).abs();
    let reason = lane.stop.as_ref().map(|stop| stop.reason.label());
    apart.as_secs() < 5 && entry.chips.first().map(String::as_str) == reason
}

fn wait(story: &Story<'_>, lane: &LaneRow) -> Option<Entry> {
    let stop = lane.stop.as_ref()?;
    let (kind, outcome, title) = match lane.state {
        LaneState::Idle => return None,
        LaneState::Parked if stop.reason == Reason::UnknownOutcome => {
            ("parked", Outcome::Unknown, "Outcome unknown".to_owned())
        }
        LaneState::Parked => (
            "parked",
            Outcome::Failed,
            format!("Parked: {}", stop.reason.title()),
        ),
        LaneState::Held if stop.reason == Reason::WindowClosed => (
            "wait",
            Outcome::Waiting,
            "Held: waits for the customer to write".to_owned(),
        ),
        LaneState::Held => ("wait", Outcome::Waiting, "Waits".to_owned()),
        LaneState::Due => (
            "wait",
            Outcome::Waiting,
            format!("Trying again: {}", stop.reason.title()),
        ),
    };
    Some(Entry {
        to: Some(story.place(&lane.target)),
        target: Some(lane.target.clone()),
        outcome,
        chips: vec![stop.reason.label().to_owned()],
        words: story.words(&stop.message),
        until: lane.due_at,
        ..Entry::new(
            format!("w-{}", lane.target),
            lane.updated_at,
            kind,
            Place::Handoffd,
            title,
        )
    })
}
