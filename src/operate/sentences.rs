//! A status in plain sentences, the heaviest first.

use std::fmt::Write as _;

use handoffd_contract::verdict::Class;
use jiff::Timestamp;

use super::span;
use super::status::{Arrivals, Circuit, Lanes, Presence, Status, Target};

/// The status as a person reads it.
#[must_use]
pub fn sentences(status: &Status) -> String {
    let mut out = String::new();
    let now = status.at;
    if !status.ledger.ok {
        let _ = writeln!(
            out,
            "The ledger cannot be written: {}",
            status.ledger.message
        );
    }
    for group in &status.parked {
        let _ = writeln!(
            out,
            "{} of {} {} parked: {}",
            lanes_of(group.count),
            group.target,
            are(group.count),
            why(group)
        );
        about(&mut out, group, now);
    }
    for target in &status.targets {
        of_target(&mut out, target);
    }
    for group in &status.waiting {
        // Lanes that wait for the conversation or for their time are no trouble.
        if group.reason.class() == Class::Target {
            let _ = writeln!(
                out,
                "{} of {} {} and {} tried again: {}",
                lanes_of(group.count),
                group.target,
                wait(group.count),
                are(group.count),
                why(group)
            );
            about(&mut out, group, now);
        }
    }
    for group in &status.unroutable {
        let _ = writeln!(
            out,
            "{} of {} {} with a reply that no queue takes: {}",
            lanes_of(group.count),
            group.target,
            wait(group.count),
            why(group)
        );
        about(&mut out, group, now);
    }
    for cause in &status.dead_letters {
        dead_letters(&mut out, cause, now);
    }
    for cause in &status.webhooks {
        webhooks(&mut out, cause, now);
    }
    queues(&mut out, status);
    if let Some(due) = &status.oldest_due {
        let _ = writeln!(
            out,
            "The lane that is due longest is of {} and has waited for {}.",
            due.target,
            span(due.since, now)
        );
    }
    last_heard(&mut out, status);
    if !status.daemon.answers {
        let _ = writeln!(
            out,
            "No daemon answers, so that circuits and what was last heard are not known: {}",
            status.daemon.message
        );
    }
    let verdict = if status.needs_person {
        "A person is needed."
    } else {
        "Nothing needs a person."
    };
    let _ = writeln!(out, "{verdict}");
    out
}

fn lanes_of(count: i64) -> String {
    if count == 1 {
        "1 lane".to_owned()
    } else {
        format!("{count} lanes")
    }
}

fn are(count: i64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn wait(count: i64) -> &'static str {
    if count == 1 { "waits" } else { "wait" }
}

fn why(group: &Lanes) -> String {
    format!(
        "{} ({}): {}",
        group.reason.title(),
        group.reason.label(),
        group.message
    )
}

fn about(out: &mut String, group: &Lanes, now: Timestamp) {
    let _ = writeln!(
        out,
        "    the oldest for {}, for example session {}; `handoffd explain {}` says what to do",
        span(group.oldest, now),
        group.example,
        group.reason.label()
    );
}

fn of_target(out: &mut String, target: &Target) {
    let wait = match target.due {
        0 => "no lane waits there".to_owned(),
        1 => "1 lane waits there".to_owned(),
        many => format!("{many} lanes wait there"),
    };
    let reason = target.reason.map_or("", |reason| reason.label());
    let name = &target.name;
    match target.state {
        Presence::Disabled if target.due > 0 => {
            let _ = writeln!(
                out,
                "{name} is disabled in the configuration; {wait} until it is enabled."
            );
        }
        Presence::NotConfigured => {
            let _ = writeln!(out, "{name} is not in the configuration, and {wait}.");
        }
        Presence::Disabled | Presence::Enabled => {}
    }
    if target.credential_rejected {
        let _ = writeln!(
            out,
            "{name} rejects the credential ({reason}): {}; {wait}.",
            target.message
        );
    }
    let circuit = match target.circuit {
        None | Some(Circuit::Closed) => return,
        Some(Circuit::Probing) => "one lane tries it now".to_owned(),
        Some(Circuit::Open { seconds }) => format!("it is tried again in {seconds} s"),
    };
    let _ = writeln!(
        out,
        "{name} failed repeatedly ({reason}: {}); {circuit}; {wait}.",
        target.message
    );
}

fn dead_letters(out: &mut String, cause: &Arrivals, now: Timestamp) {
    let (what, which) = if cause.count == 1 {
        ("1 event".to_owned(), "it is")
    } else {
        (format!("{} events", cause.count), "the oldest is")
    };
    let _ = writeln!(
        out,
        "{what} by {} could not be understood ({}): {}",
        cause.origin,
        cause.reason.label(),
        cause.message
    );
    let session = cause
        .session
        .as_ref()
        .map(|session| format!("; for example session {session}"));
    let _ = writeln!(
        out,
        "    {which} {}, {} ago{}\n    handoffd dead-letters retry {} (after a fix)   handoffd dead-letters drop {}",
        cause.example,
        span(cause.oldest, now),
        session.unwrap_or_default(),
        cause.example,
        cause.example
    );
}

fn webhooks(out: &mut String, cause: &Arrivals, now: Timestamp) {
    let what = if cause.count == 1 {
        "1 webhook".to_owned()
    } else {
        format!("{} webhooks", cause.count)
    };
    let _ = writeln!(
        out,
        "{what} for {} could not be taken ({}): {}",
        cause.origin,
        cause.reason.label(),
        cause.message
    );
    let _ = writeln!(
        out,
        "    the oldest is {}, {} ago\n    handoffd retry --webhooks (after a fix)   handoffd skip --webhooks",
        cause.example,
        span(cause.oldest, now)
    );
}

fn queues(out: &mut String, status: &Status) {
    if !status.broker.message.is_empty() {
        let _ = writeln!(out, "RabbitMQ: {}", status.broker.message);
    }
    for queue in &status.broker.queues {
        let events = match queue.events {
            0 => continue,
            1 => "1 event waits".to_owned(),
            many => format!("{many} events wait"),
        };
        let _ = if queue.dead_letters {
            writeln!(
                out,
                "RabbitMQ: {events} in the dead-letter queue {}: each was delivered too often",
                queue.name
            )
        } else {
            writeln!(out, "RabbitMQ: {events} in {}", queue.name)
        };
    }
}

fn last_heard(out: &mut String, status: &Status) {
    let heard: Vec<String> = status
        .targets
        .iter()
        .filter_map(|target| Some((target, target.last_heard?)))
        .map(|(target, at)| format!("{} {} ago", target.name, span(at, status.at)))
        .collect();
    if !heard.is_empty() {
        let _ = writeln!(out, "Last heard: {}.", heard.join(", "));
    }
}
