//! What operators do and see, the same by command and over the admin API.
//!
//! Nothing here shows a message text, a name or a phone number: ids, types, times and reasons only. The
//! one exception is the body of a dead letter, which is asked for by its number.

pub mod conversations;
pub mod dead_letters;
pub mod listing;
pub mod mask;
pub mod overview;
pub mod search;
pub mod sentences;
pub mod status;
pub mod stream;
pub mod timeline;
pub mod unmask;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use handoffd_contract::{Fact, Known, Reason};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::conversations::{conversation_json, in_charge, unconfirmed};
use crate::engine::lost;
use crate::ledger::files::FileRow;
use crate::ledger::{
    Group, LaneFilter, LaneRow, LaneState, LedgerError, OperatorLedger, Select, SessionReport,
};

/// So many events of a conversation are looked at for what could not be read of them.
const MAX_LOOKED_AT: usize = 100;

/// What happened to one conversation, in plain words; `None` when the ledger knows nothing of it.
/// `targets`: those of the configuration, and whether each is enabled; empty where it is not known.
///
/// # Errors
/// The ledger failed.
pub async fn show(
    ledger: &dyn OperatorLedger,
    session: &str,
    targets: &[(String, bool)],
) -> Result<Option<String>, LedgerError> {
    let story = ledger.session_report(session).await?;
    let warnings = warnings(ledger, &story).await?;
    Ok(known(&story).then(|| told(session, &story, &warnings, targets, Timestamp::now())))
}

/// The same as JSON.
///
/// # Errors
/// The ledger failed.
pub async fn show_json(
    ledger: &dyn OperatorLedger,
    session: &str,
    targets: &[(String, bool)],
) -> Result<Option<Value>, LedgerError> {
    let story = ledger.session_report(session).await?;
    let warnings = warnings(ledger, &story).await?;
    Ok(known(&story).then(|| {
        json!({
            "session": session,
            "url": story.session.as_ref().and_then(|session| session.url.clone()),
            "business_number": story.session.as_ref().map(|session| session.business_number.clone()),
            "window_closes_at": story.last_inbound.map(window),
            "conversation": story.conversation.as_ref().map(conversation_json),
            "events": story.events.iter().map(|(seq, kind, time, id, received)| json!({
                "seq": seq, "type": kind, "time": time, "id": id, "received_at": received,
                "warnings": warnings.get(seq).map_or(&[][..], Vec::as_slice),
            })).collect::<Vec<_>>(),
            "dead_letters": story.refused.iter().map(|one| json!({
                "id": one.id, "received_at": one.received_at, "origin": one.origin,
                "reason": one.stop.reason.label(), "message": one.stop.message,
            })).collect::<Vec<_>>(),
            "files": story.files.iter().map(|file| json!({
                "attachment": file.attachment, "state": file.state, "reason": file.reason, "bytes": file.bytes,
                "wanted_at": file.wanted_at,
            })).collect::<Vec<_>>(),
            "lanes": story.lanes.iter().map(|(lane, head, known)| {
                let mut row = lane_json(lane, targets);
                row["head"] = json!(head);
                row["facts"] = facts_json(known);
                row["fields_lost"] = lost::shown(known)
                    .map(|(field, why)| json!({"field": field, "why": why}))
                    .collect();
                row
            }).collect::<Vec<_>>(),
            "attempts": story.attempts.iter().map(|(target, attempt)| json!({
                "target": target, "step": attempt.step, "at": attempt.started_at, "millis": attempt.millis,
                "status": attempt.status, "outcome": attempt.outcome,
                "reason": attempt.stop.as_ref().map(|stop| stop.reason.label()),
                "message": attempt.stop.as_ref().map(|stop| stop.message.clone()),
            })).collect::<Vec<_>>(),
        })
    }))
}

/// What became of a file that was to be fetched at once.
fn file_line(file: &FileRow) -> String {
    let FileRow {
        attachment,
        state,
        reason,
        bytes,
        ..
    } = file;
    match (state.as_str(), reason) {
        ("kept", _) => format!("{attachment} is kept, {bytes} bytes"),
        (_, Some(reason)) => format!(
            "{attachment} is not kept ({reason}); it is fetched when a record needs it, if it is still there"
        ),
        _ => format!("{attachment} is being fetched"),
    }
}

/// What of the newest events could not be read as they came, by the event's number. They are read one
/// by one, since an event may be large.
async fn warnings(
    ledger: &dyn OperatorLedger,
    story: &SessionReport,
) -> Result<BTreeMap<i64, Vec<String>>, LedgerError> {
    let mut found = BTreeMap::new();
    let came_in = |kind: &str| handoffd_contract::Data::INBOUND.contains(&kind);
    let newest = story.events.iter().rev();
    for (seq, ..) in newest
        .filter(|(_, kind, ..)| came_in(kind))
        .take(MAX_LOOKED_AT)
    {
        let event = ledger.event(*seq).await?;
        found.extend(event.map(|event| (*seq, event.warnings)));
    }
    Ok(found)
}

fn known(story: &SessionReport) -> bool {
    !story.events.is_empty() || !story.lanes.is_empty() || !story.refused.is_empty()
}

/// When free text may no longer be sent: WhatsApp's 24 hours after the customer's last message.
fn window(last_inbound: Timestamp) -> Timestamp {
    last_inbound + jiff::SignedDuration::from_hours(24)
}

fn told(
    session: &str,
    story: &SessionReport,
    warnings: &BTreeMap<i64, Vec<String>>,
    targets: &[(String, bool)],
    now: Timestamp,
) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "session {session}");
    if let Some(data) = &story.session {
        let _ = writeln!(out, "  business number  {}", data.business_number);
        if let Some(url) = &data.url {
            let _ = writeln!(out, "  on the platform  {url}");
        }
    }
    let _ = match story.last_inbound.map(window) {
        Some(at) if at > now => writeln!(
            out,
            "  WhatsApp window  open until {at} ({} left)",
            span(now, at)
        ),
        Some(at) => writeln!(
            out,
            "  WhatsApp window  closed since {at}: only templates can be sent"
        ),
        None => writeln!(out, "  WhatsApp window  the customer has not written yet"),
    };
    let _ = writeln!(
        out,
        "  in charge        {}",
        in_charge(story.conversation.as_ref(), now)
    );
    if let Some(at) = story.conversation.as_ref().and_then(|row| row.deadline) {
        let _ = writeln!(out, "  next deadline    {at:.0} (in {})", span(now, at));
    }
    for line in unconfirmed(story.conversation.as_ref(), now) {
        let _ = writeln!(out, "  not confirmed    {line}");
    }
    let _ = writeln!(out, "\nwhat came in ({} events)", story.events.len());
    for (seq, kind, time, id, received) in &story.events {
        let late = received.duration_since(*time).as_secs();
        let late = if late > 60 {
            format!("  received {late} s later")
        } else {
            String::new()
        };
        let _ = writeln!(out, "  #{seq:<6} {time:.0}  {kind:<18} {id}{late}");
        for warning in warnings.get(seq).into_iter().flatten() {
            let _ = writeln!(out, "          ! {warning}");
        }
    }
    if !story.refused.is_empty() {
        let _ = writeln!(
            out,
            "\nwhat could not be understood ({})",
            story.refused.len()
        );
    }
    for one in &story.refused {
        let _ = writeln!(
            out,
            "  dead letter {}  {:.0}  by {}  {}: {}\n          handoffd dead-letters retry {} (after a fix)   handoffd dead-letters drop {}",
            one.id,
            one.received_at,
            one.origin,
            one.stop.reason.label(),
            one.stop.message,
            one.id,
            one.id
        );
    }
    if !story.files.is_empty() {
        let _ = writeln!(out, "\nfiles fetched at once ({})", story.files.len());
    }
    for file in &story.files {
        let _ = writeln!(out, "  {}", file_line(file));
    }
    for (lane, head, known) in &story.lanes {
        let _ = writeln!(out, "\n{}: {}", lane.target, sentence(lane, targets, now));
        let shown = story.events.iter().filter(|(seq, ..)| seq <= head).count();
        let _ = writeln!(
            out,
            "  shown up to event #{head} ({shown} events), {} to go",
            lane.pending
        );
        for line in records(known) {
            let _ = writeln!(out, "  {line}");
        }
        let attempts: Vec<_> = story
            .attempts
            .iter()
            .filter(|(target, _)| *target == lane.target)
            .collect();
        let skipped = attempts.len().saturating_sub(20);
        if skipped > 0 {
            let _ = writeln!(out, "  … {skipped} earlier calls");
        }
        for (_, attempt) in &attempts[skipped..] {
            let status = attempt
                .status
                .map_or("   ".to_owned(), |status| status.to_string());
            let why = attempt
                .stop
                .as_ref()
                .map(|stop| format!("  {}: {}", stop.reason.label(), stop.message));
            let _ = writeln!(
                out,
                "  {:.3}  {:<22} {status} {:>6} ms  {}{}",
                attempt.started_at,
                attempt.step,
                attempt.millis,
                attempt.outcome,
                why.unwrap_or_default()
            );
        }
    }
    if story.lanes.is_empty() {
        let _ = writeln!(
            out,
            "\nno target has taken this session on: no handoff has come for it"
        );
    }
    out
}

/// Why no daemon works on a lane that has work, although nothing failed.
fn nobody_works(lane: &LaneRow, targets: &[(String, bool)]) -> Option<&'static str> {
    if lane.state != LaneState::Due || targets.is_empty() {
        return None;
    }
    match targets.iter().find(|(name, _)| *name == lane.target) {
        Some((_, true)) => None,
        Some((_, false)) => {
            Some("The target is disabled in the configuration; it goes on when it is enabled")
        }
        None => Some("The configuration has no such target"),
    }
}

/// A lane's state as a sentence.
#[must_use]
pub fn sentence(lane: &LaneRow, targets: &[(String, bool)], now: Timestamp) -> String {
    if let Some(why) = nobody_works(lane, targets) {
        return format!("waits. {why}");
    }
    let why = |lane: &LaneRow| {
        lane.stop.as_ref().map_or(String::new(), |stop| {
            format!(
                "{} ({}): {}",
                stop.reason.title(),
                stop.reason.label(),
                stop.message
            )
        })
    };
    let working = lane
        .leased_by
        .as_ref()
        .map(|who| format!(" (being worked on by {who})"))
        .unwrap_or_default();
    let state = match lane.state {
        LaneState::Idle => "everything is shown".to_owned(),
        LaneState::Due if lane.stop.is_some() => {
            let at = lane
                .due_at
                .map_or("soon".to_owned(), |at| format!("in {}", span(now, at)));
            format!(
                "tries again {at}, after {} failures. {}",
                lane.attempts,
                why(lane)
            )
        }
        LaneState::Due => "has work to do".to_owned(),
        LaneState::Held => format!("waits. {}", why(lane)),
        LaneState::Parked => format!("PARKED, it needs a person. {}", why(lane)),
    };
    format!("{state}{working}")
}

pub(crate) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Refused facts of a lane that are told one by one; of further ones the number is told.
const MAX_REFUSED: usize = 50;

/// The lane's records, what is unsure and what was refused; the many facts about single messages are
/// counted.
fn records(known: &Known) -> Vec<String> {
    let mut lines = Vec::new();
    let mut refused = 0;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, fact) in &known.0 {
        match (name.split_once('/'), fact) {
            (_, Fact::Unsure { since, .. }) => {
                lines.push(format!(
                    "unsure since {since:.0}: {name} (a call left and its outcome is not known yet)"
                ));
            }
            (_, Fact::Refused { reason, .. }) => {
                refused += 1;
                if refused <= MAX_REFUSED {
                    lines.push(refusal(name, *reason));
                }
            }
            (Some(("engine", _)), _) => {}
            (Some((group, _)), Fact::Is(_)) => *counts.entry(group).or_default() += 1,
            (None, Fact::Is(value)) => lines.push(format!("{name} = {}", discreet(value))),
        }
    }
    if refused > MAX_REFUSED {
        lines.push(format!("refused: {} more", refused - MAX_REFUSED));
    }
    for (field, why) in lost::shown(known) {
        lines.push(format!("field {field}: {why}"));
    }
    if !counts.is_empty() {
        let counted: Vec<String> = counts
            .iter()
            .map(|(group, count)| format!("{count} × {group}"))
            .collect();
        lines.push(format!("facts: {}", counted.join(", ")));
    }
    lines
}

/// A refused fact in plain words, without its message: the other side's words may repeat what people
/// wrote.
fn refusal(name: &str, reason: Reason) -> String {
    match reason {
        Reason::UnknownOutcome => format!("settled by a person: {name}"),
        _ => format!("refused: {name}: {} ({})", reason.title(), reason.label()),
    }
}

/// A fact's value if it is an id, a number or a time; anything longer may hold what people wrote.
fn discreet(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+/=!".contains(c);
    if value.len() <= 120 && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("({} characters, not shown)", value.chars().count())
    }
}

fn facts_json(known: &Known) -> Value {
    let facts = known.0.iter().map(|(name, fact)| {
        let value = match fact {
            Fact::Is(value) => json!(discreet(value)),
            Fact::Unsure { since, .. } => json!({"unsure_since": since}),
            Fact::Refused { reason, .. } => json!({"refused": reason.label()}),
        };
        (name.clone(), value)
    });
    Value::Object(facts.collect())
}

/// A lane as JSON.
#[must_use]
pub fn lane_json(lane: &LaneRow, targets: &[(String, bool)]) -> Value {
    json!({
        "id": lane.id, "session": lane.session, "target": lane.target, "state": lane.state.word(),
        "due_at": lane.due_at, "pending": lane.pending, "failures": lane.attempts,
        "reason": lane.stop.as_ref().map(|stop| stop.reason.label()),
        "message": lane.stop.as_ref().map(|stop| stop.message.clone()),
        "leased_by": lane.leased_by, "updated_at": lane.updated_at,
        "nobody_works": nobody_works(lane, targets),
    })
}

/// A group of parked lanes as JSON.
#[must_use]
pub fn group_json(group: &Group) -> Value {
    json!({
        "target": group.target, "reason": group.stop.reason.label(), "message": group.stop.message,
        "count": group.count, "oldest": group.oldest, "example": group.example,
    })
}

/// Lanes as a table.
///
/// # Errors
/// The ledger failed.
pub async fn lanes(
    ledger: &dyn OperatorLedger,
    filter: LaneFilter,
    targets: &[(String, bool)],
) -> Result<String, LedgerError> {
    let now = Timestamp::now();
    let rows = ledger.lanes(filter).await?;
    let mut out = String::new();
    for lane in &rows {
        let _ = writeln!(
            out,
            "{:<38} {:<14} {}",
            lane.session,
            lane.target,
            sentence(lane, targets, now)
        );
    }
    if rows.is_empty() {
        out.push_str("no such lane\n");
    }
    Ok(out)
}

/// What a retry or skip came to.
#[must_use]
pub fn done(word: &str, sessions: &[crate::ledger::LaneRef], dry_run: bool) -> String {
    let mut out = String::new();
    for lane in sessions.iter().take(100) {
        let _ = writeln!(out, "{:<38} {}", lane.session, lane.target);
    }
    let would = if dry_run { "would be " } else { "" };
    let lanes = if sessions.len() == 1 { "lane" } else { "lanes" };
    let _ = writeln!(out, "{} {lanes} {would}{word}", sessions.len());
    out
}

/// Which work somebody means, in words for the audit log.
#[must_use]
pub fn meant(
    session: Option<&str>,
    target: Option<&str>,
    reason: Option<&str>,
    all: bool,
) -> String {
    let parts = [("session", session), ("target", target), ("reason", reason)];
    let words = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    let mut words: Vec<String> = words.collect();
    if all {
        words.push("all".into());
    }
    words.join(", ")
}

/// Which lanes an operator means, from what was given.
///
/// # Errors
/// What must be given.
pub fn select(
    session: Option<String>,
    target: Option<String>,
    reason: Option<String>,
    all: bool,
) -> Result<Select, String> {
    if let Some(label) = &reason
        && handoffd_contract::Reason::parse(label).is_none()
    {
        let labels: Vec<&str> = handoffd_contract::Reason::ALL
            .iter()
            .map(|reason| reason.label())
            .collect();
        return Err(format!(
            "no such reason: {label}; one of {}",
            labels.join(", ")
        ));
    }
    match (session, target, reason, all) {
        (Some(session), target, None, false) => Ok(Select::Session(session, target)),
        (None, target, Some(reason), false) => Ok(Select::Reason(reason, target)),
        (None, Some(target), None, false) => Ok(Select::Target(target)),
        (None, None, None, true) => Ok(Select::All),
        _ => Err(
            "name a session, a reason, a target, or all; a target may narrow the first two".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoffd_contract::Settled;

    #[test]
    fn a_refused_fact_is_told_in_plain_words_and_without_the_other_sides() {
        let mut known = Known::default();
        let settled = Settled::refused(Reason::UnknownOutcome, "a person said so");
        known.set("sent/1/0", settled);
        known.set(
            "file/m/a",
            Settled::refused(Reason::TooLarge, "passport.png is 9 MB"),
        );
        known.set("file/m/b", "7");
        let lines = records(&known);
        assert_eq!(
            lines,
            [
                "refused: file/m/a: Something is larger than the other side takes (too-large)",
                "settled by a person: sent/1/0",
                "facts: 1 × file",
            ]
        );
        assert_eq!(
            facts_json(&known)["file/m/a"],
            json!({"refused": "too-large"})
        );
        for n in 0..MAX_REFUSED {
            known.set(
                format!("file/n/{n}"),
                Settled::refused(Reason::TooLarge, ""),
            );
        }
        assert!(records(&known).contains(&"refused: 2 more".to_owned()));
    }
}
