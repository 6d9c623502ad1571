//! Each call finds the entry that it was made for.
//!
//! A call is not noted with an event: a plan may show several at once. It belongs to the handoff's record where
//! it was made between the handoff and the record's completion, else to the newest thing that its target had to
//! do something for.

use handoffd_contract::Data;
use jiff::Timestamp;

use super::{CallView, Entry, Outcome, Story};
use crate::ledger::Attempt;

/// Events that are nothing to do for a CRM.
const NOTHING_FOR_CRM: [&str; 8] = [
    "message.status",
    "rep.replied",
    "handoff.completed",
    "handoff.failed",
    "rep.activity",
    "session.queued",
    "session.updated",
    "replies.done",
];

/// Events that are something to do for WhatsApp.
const FOR_WHATSAPP: [&str; 3] = ["rep.replied", "customer.notice", "handoff.requested"];

/// Puts the calls into the entries.
pub(super) fn give(story: &Story<'_>, entries: &mut [Entry]) {
    for (target, attempt) in &story.report.attempts {
        if let Some(at) = place(story, entries, target, attempt.started_at) {
            entries[at].calls.push(view(story, target, attempt));
        }
    }
    for entry in entries {
        let failed = entry
            .calls
            .iter()
            .any(|call| call.outcome != "known" && call.outcome != "absent");
        entry.open |= failed && matches!(entry.outcome, Outcome::Failed | Outcome::Unknown);
    }
}

/// The place of the entry that a call of this target at this time is for.
fn place(story: &Story<'_>, entries: &[Entry], target: &str, at: Timestamp) -> Option<usize> {
    let of_record = record(story, entries, target, at);
    of_record.or_else(|| {
        let seq = cause(story, target, at)?;
        let seq = reply_of(story, seq).unwrap_or(seq);
        // The entry of what was said before the handoff stands before the handoff's own.
        let mut all = entries.iter();
        all.rposition(|entry| entry.seq == Some(seq))
    })
}

/// The entry of the record that was made, or could not be made, by this call.
fn record(story: &Story<'_>, entries: &[Entry], target: &str, at: Timestamp) -> Option<usize> {
    let ends = story.events.iter().find(|one| {
        let of = match &one.event.data {
            Data::HandoffCompleted(done) => &done.target,
            Data::HandoffFailed(failed) => &failed.target,
            _ => return false,
        };
        of == target && one.received_at >= at
    })?;
    let all = story.report.events.iter();
    let handed = all
        .filter(|(seq, kind, ..)| kind == "handoff.requested" && *seq < ends.seq)
        .map(|(.., received)| *received)
        .next_back()?;
    if handed > at {
        return None;
    }
    entries.iter().position(|entry| entry.seq == Some(ends.seq))
}

/// The newest event before the call that the target had to do something for.
fn cause(story: &Story<'_>, target: &str, at: Timestamp) -> Option<i64> {
    let way_back = story.is_way_back(target);
    let mut newest = story.report.events.iter().rev();
    let (seq, ..) = newest.find(|(_, kind, _, _, received)| {
        let counts = if way_back {
            FOR_WHATSAPP.contains(&kind.as_str())
        } else {
            !NOTHING_FOR_CRM.contains(&kind.as_str())
        };
        counts && *received <= at
    })?;
    Some(*seq)
}

/// The reply of which this event tells what became of it.
fn reply_of(story: &Story<'_>, seq: i64) -> Option<i64> {
    let status = story.receipts.iter().find(|one| one.seq == seq)?;
    let Data::ReplyStatus(status) = &status.event.data else {
        return None;
    };
    let reply = story.events.iter().find(|one| match &one.event.data {
        Data::RepReplied(reply) => {
            reply.target == status.target && reply.message_id == status.message_id
        }
        _ => false,
    })?;
    Some(reply.seq)
}

pub(super) fn view(story: &Story<'_>, target: &str, attempt: &Attempt) -> CallView {
    let words = match (&attempt.stop, attempt.outcome.as_str()) {
        (Some(stop), _) => format!("{}: {}", stop.reason.title(), story.words(&stop.message)),
        (None, "known") => "done".to_owned(),
        (None, "absent") => "found nothing".to_owned(),
        (None, "lost") => "no answer came; whether it had its effect is not known".to_owned(),
        (None, other) => other.to_owned(),
    };
    CallView {
        target: target.to_owned(),
        step: attempt.step.clone(),
        call: attempt.call.as_deref().map(|call| story.known(call)),
        at: attempt.started_at,
        millis: attempt.millis,
        status: attempt.status,
        outcome: attempt.outcome.clone(),
        reason: attempt.stop.as_ref().map(|stop| stop.reason.label()),
        words,
    }
}
