//! What is not well as rows, in order of weight: what, why in the other side's own words, and the way
//! out. What goes on by itself comes last, and is not counted among what needs a person.

use handoffd_contract::Reason;
use handoffd_contract::verdict::Class;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::operate::status::{Arrivals, Circuit, Lanes, Presence, Status, Target};

/// A row.
pub(super) struct Problem {
    tone: &'static str,
    icon: &'static str,
    title: Value,
    why: Value,
    quote: Option<String>,
    /// Whether it mends itself.
    pub by_itself: bool,
    acts: Vec<Value>,
}

impl Problem {
    /// As the template reads it.
    pub fn json(&self) -> Value {
        let id = format!("{}-{}", self.title["key"], self.title["values"]["target"]);
        json!({
            "id": id.replace('"', ""), "tone": self.tone, "icon": self.icon, "title": self.title, "why": self.why,
            "quote": self.quote, "by_itself": self.by_itself, "acts": self.acts,
        })
    }
}

/// A text with its values.
pub(super) fn said(key: &str, values: Value) -> Value {
    json!({"key": key, "values": values})
}

/// A button that leads to a page.
fn link(key: &str, values: Value, href: String) -> Value {
    json!({"key": key, "values": values, "href": href})
}

/// Everything that is not well.
pub(super) fn of(status: &Status) -> Vec<Problem> {
    let mut rows = Vec::new();
    if !status.ledger.ok {
        rows.push(ledger(status));
    }
    let (unsure, mut parked): (Vec<&Lanes>, Vec<&Lanes>) = status
        .parked
        .iter()
        .partition(|group| group.reason == Reason::UnknownOutcome);
    parked.sort_by_key(|group| std::cmp::Reverse(group.count));
    rows.extend(parked.into_iter().map(of_parked));
    rows.extend(unsure.into_iter().map(of_unsure));
    rows.extend(letters(&status.dead_letters));
    rows.extend(webhooks(&status.webhooks));
    rows.extend(status.unroutable.iter().map(of_unroutable));
    rows.extend(status.targets.iter().filter_map(of_target));
    if !status.broker.message.is_empty() {
        rows.push(broker(status));
    }
    let by_itself = status.targets.iter();
    rows.extend(by_itself.filter_map(|target| trying_again(target, status)));
    rows
}

fn address(group: &Lanes) -> String {
    format!("/parked/{}/{}", group.reason.label(), group.target)
}

/// A text's key for a reason.
pub(super) fn of_reason(reason: Reason) -> String {
    format!("reason.{}", reason.label())
}

fn oldest(count: i64, at: Timestamp) -> Value {
    let mut values = Map::new();
    values.insert("count".into(), count.into());
    values.insert("since".into(), at.to_string().into());
    Value::Object(values)
}

fn of_parked(group: &Lanes) -> Problem {
    let icon = match group.reason {
        Reason::Forbidden => "lock",
        _ => "parked",
    };
    Problem {
        tone: "bad",
        icon,
        title: said(&of_reason(group.reason), json!({"target": group.target})),
        why: said("problem.parked", oldest(group.count, group.oldest)),
        quote: Some(group.message.clone()),
        by_itself: false,
        acts: vec![link(
            "act.see",
            json!({"count": group.count}),
            address(group),
        )],
    }
}

fn of_unsure(group: &Lanes) -> Problem {
    Problem {
        tone: "unsure",
        icon: "unsure",
        title: said("problem.unsure", json!({"count": group.count})),
        why: said("problem.unsure_why", json!({})),
        quote: None,
        by_itself: false,
        acts: vec![link(
            "act.look",
            json!({"count": group.count}),
            address(group),
        )],
    }
}

fn letters(causes: &[Arrivals]) -> Option<Problem> {
    let newest = causes.iter().max_by_key(|cause| cause.oldest)?;
    let count: i64 = causes.iter().map(|cause| cause.count).sum();
    Some(Problem {
        tone: "bad",
        icon: "refused",
        title: said("problem.letters", json!({"count": count})),
        why: said("problem.letters_why", json!({})),
        quote: Some(newest.message.clone()),
        by_itself: false,
        acts: vec![link(
            "act.letters",
            json!({}),
            "/parked#dead-letters".into(),
        )],
    })
}

fn webhooks(causes: &[Arrivals]) -> Option<Problem> {
    let newest = causes.iter().max_by_key(|cause| cause.oldest)?;
    let count: i64 = causes.iter().map(|cause| cause.count).sum();
    Some(Problem {
        tone: "bad",
        icon: "refused",
        title: said(
            "problem.webhooks",
            json!({"count": count, "target": newest.origin}),
        ),
        why: said("problem.webhooks_why", json!({})),
        quote: Some(newest.message.clone()),
        by_itself: false,
        acts: vec![link("act.webhooks", json!({}), "/parked#webhooks".into())],
    })
}

fn of_unroutable(group: &Lanes) -> Problem {
    Problem {
        tone: "bad",
        icon: "down",
        title: said("problem.unroutable", json!({"count": group.count})),
        why: said("problem.unroutable_why", json!({})),
        quote: Some(group.message.clone()),
        by_itself: false,
        acts: vec![what_to_do(group.reason)],
    }
}

fn what_to_do(reason: Reason) -> Value {
    link(
        "act.explain",
        json!({}),
        format!("/reasons/{}", reason.label()),
    )
}

/// A target that needs a person: its credential was rejected, or nobody works on it.
fn of_target(target: &Target) -> Option<Problem> {
    let is_missing = target.state == Presence::NotConfigured && target.due > 0;
    if !target.credential_rejected && !is_missing {
        return None;
    }
    let (title, quote) = if is_missing {
        ("problem.not_configured", None)
    } else {
        ("problem.rejected", Some(target.message.clone()))
    };
    let acts = target.reason.map(what_to_do).into_iter().collect();
    Some(Problem {
        tone: "bad",
        icon: "lock",
        title: said(title, json!({"target": target.name})),
        why: said("problem.waits_there", json!({"count": target.due})),
        quote,
        by_itself: false,
        acts,
    })
}

fn ledger(status: &Status) -> Problem {
    Problem {
        tone: "bad",
        icon: "refused",
        title: said("problem.ledger", json!({})),
        why: said("problem.ledger_why", json!({})),
        quote: Some(status.ledger.message.clone()),
        by_itself: false,
        acts: Vec::new(),
    }
}

fn broker(status: &Status) -> Problem {
    Problem {
        tone: "warn",
        icon: "down",
        title: said("problem.broker", json!({})),
        why: said("problem.broker_why", json!({})),
        quote: Some(status.broker.message.clone()),
        by_itself: false,
        acts: Vec::new(),
    }
}

/// A target whose circuit is open, or for which conversations wait: it goes on by itself.
fn trying_again(target: &Target, status: &Status) -> Option<Problem> {
    if target.credential_rejected || target.state != Presence::Enabled {
        return None;
    }
    let seconds = match target.circuit {
        Some(Circuit::Open { seconds }) => seconds,
        Some(Circuit::Probing) => 0,
        _ => return None,
    };
    let waiting =
        |group: &&Lanes| group.target == target.name && group.reason.class() == Class::Target;
    let count: i64 = status
        .waiting
        .iter()
        .filter(waiting)
        .map(|group| group.count)
        .sum();
    let next = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000);
    Some(Problem {
        tone: "wait",
        icon: "clock",
        title: said(
            &target
                .reason
                .map_or_else(|| "problem.down".to_owned(), of_reason),
            json!({"target": target.name}),
        ),
        why: said("problem.tried_again", json!({"count": count, "span": next})),
        quote: Some(target.message.clone()).filter(|words| !words.is_empty()),
        by_itself: true,
        acts: vec![link(
            "act.target",
            json!({}),
            format!("/targets/{}", target.name),
        )],
    })
}
