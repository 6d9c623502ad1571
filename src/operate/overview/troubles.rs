//! What is not well, the heaviest first, each with the way out.

use handoffd_contract::Reason;
use handoffd_contract::verdict::Class;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::operate::mask::{self, Values};
use crate::operate::span;
use crate::operate::status::{Arrivals, Circuit, Lanes, Presence, Status, Target};

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// The ledger cannot be written.
    Ledger,
    /// Conversations are parked.
    Parked,
    /// Nobody knows what became of a call.
    Unknown,
    /// Events could not be understood.
    DeadLetters,
    /// Webhooks could not be taken.
    Webhooks,
    /// A credential or a right is missing.
    Credential,
    /// RabbitMQ cannot be asked, or no queue takes replies.
    Broker,
    /// A target is not in the configuration.
    NotConfigured,
    /// A window closes soon and a reply has not left.
    Closing,
    /// A target is down; it goes on by itself.
    Down,
    /// Lanes wait after a failure; they go on by themselves.
    Waiting,
}

/// Something that is not well.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Trouble {
    /// What kind it is.
    pub kind: TroubleKind,
    /// Whether it needs a person; otherwise it goes on by itself.
    pub needs_person: bool,
    /// What is the matter, in a sentence.
    pub what: String,
    /// What that means, and that nothing is lost.
    pub why: String,
    /// The other side's own words, without values of customers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// The target, where it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The reason's label, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// How many are concerned.
    pub count: i64,
    /// Since when, where that is known.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// In how many milliseconds it is tried again, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_millis: Option<i64>,
    /// What can be done, the act that mends it first; at most two.
    pub ways: Vec<Way>,
}

/// A way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Way {
    /// What the button says.
    pub label: String,
    /// The page that it opens.
    pub page: String,
}

impl Way {
    fn new(label: impl Into<String>, page: impl Into<String>) -> Way {
        Way {
            label: label.into(),
            page: page.into(),
        }
    }
}

/// Everything that is not well.
pub(super) fn of(status: &Status, closing: usize) -> Vec<Trouble> {
    let now = status.at;
    let mut all = Vec::new();
    if !status.ledger.ok {
        all.push(Trouble {
            why: "Nothing can be taken in. The gateway keeps its events until it can.".to_owned(),
            words: status.ledger.message.clone(),
            ..plain(TroubleKind::Ledger, "The ledger cannot be written")
        });
    }
    all.extend(status.parked.iter().map(|group| parked(group, now)));
    all.extend(status.dead_letters.iter().map(|cause| letters(cause, now)));
    all.extend(status.webhooks.iter().map(|cause| webhooks(cause, now)));
    all.extend(
        status
            .targets
            .iter()
            .filter_map(|target| of_target(target, status)),
    );
    all.extend(status.unroutable.iter().map(|group| unroutable(group, now)));
    all.extend(broker(status));
    all.extend(about_to_close(closing));
    // What a target's own failure explains is told once, with the target.
    let told: Vec<String> = all.iter().filter_map(|one| one.target.clone()).collect();
    let waiting = status
        .waiting
        .iter()
        .filter(|group| group.reason.class() == Class::Target && !told.contains(&group.target));
    all.extend(waiting.map(|group| waits(group, now)));
    all.sort_by_key(|one| (!one.needs_person, one.kind, -one.count));
    all
}

fn plain(kind: TroubleKind, what: impl Into<String>) -> Trouble {
    Trouble {
        kind,
        needs_person: true,
        what: what.into(),
        why: String::new(),
        words: String::new(),
        target: None,
        reason: None,
        count: 1,
        since: None,
        next_millis: None,
        ways: Vec::new(),
    }
}

fn parked(group: &Lanes, now: Timestamp) -> Trouble {
    let unknown = group.reason == Reason::UnknownOutcome;
    let kind = if unknown {
        TroubleKind::Unknown
    } else {
        TroubleKind::Parked
    };
    let n = group.count;
    let what = match (unknown, n) {
        (true, 1) => "One reply may or may not have reached its customer".to_owned(),
        (true, n) => format!("{n} replies may or may not have reached their customers"),
        (false, _) => format!("{}: {}", group.target, title(group.reason)),
    };
    let oldest = span(group.oldest, now);
    let why = match (unknown, n) {
        (true, _) => "Look at the conversation, then say whether it arrived.".to_owned(),
        (_, 1) => format!("1 conversation is parked, for {oldest}. It waits; nothing is lost."),
        (_, n) => format!(
            "{n} conversations are parked, the oldest for {oldest}. They wait; nothing is lost."
        ),
    };
    let page = format!("/parked/{}/{}", group.reason.label(), group.target);
    let see = if n == 1 {
        "Look at it".to_owned()
    } else {
        format!("See the {n}")
    };
    let mut ways = vec![Way::new(see, page)];
    if matches!(
        group.reason,
        Reason::Invalid | Reason::Mapping | Reason::TooLarge
    ) {
        let editor = format!("/mappings/{}", group.target);
        ways.insert(0, Way::new("Open in the mapping", editor));
    }
    Trouble {
        why,
        words: mask::words(&group.message, &Values::default()),
        target: Some(group.target.clone()),
        reason: Some(group.reason.label()),
        count: n,
        since: Some(group.oldest),
        ways,
        ..plain(kind, what)
    }
}

fn title(reason: Reason) -> String {
    let title = reason.title();
    let mut letters = title.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

fn letters(cause: &Arrivals, now: Timestamp) -> Trouble {
    let what = match cause.count {
        1 => "1 event could not be understood".to_owned(),
        n => format!("{n} events could not be understood"),
    };
    Trouble {
        why: format!(
            "By {}, the oldest {} ago. They are kept as they came.",
            cause.origin,
            span(cause.oldest, now)
        ),
        words: mask::words(&cause.message, &Values::default()),
        reason: Some(cause.reason.label()),
        count: cause.count,
        since: Some(cause.oldest),
        ways: vec![Way::new(
            "See dead letters",
            format!("/dead-letters/{}", cause.example),
        )],
        ..plain(TroubleKind::DeadLetters, what)
    }
}

fn webhooks(cause: &Arrivals, now: Timestamp) -> Trouble {
    let what = match cause.count {
        1 => format!("1 webhook of {} could not be taken", cause.origin),
        n => format!("{n} webhooks of {} could not be taken", cause.origin),
    };
    Trouble {
        why: format!(
            "The oldest came {} ago. They are kept.",
            span(cause.oldest, now)
        ),
        words: mask::words(&cause.message, &Values::default()),
        target: Some(cause.origin.clone()),
        reason: Some(cause.reason.label()),
        count: cause.count,
        since: Some(cause.oldest),
        ways: vec![Way::new("See the webhooks", "/parked#webhooks")],
        ..plain(TroubleKind::Webhooks, what)
    }
}

fn of_target(target: &Target, status: &Status) -> Option<Trouble> {
    let name = &target.name;
    let waits = match target.due {
        0 => "No conversation waits for it.".to_owned(),
        1 => "1 conversation waits for it; nothing is lost.".to_owned(),
        n => format!("{n} conversations wait for it; nothing is lost."),
    };
    let page = format!("/targets/{name}");
    let shared = |kind, what: String| Trouble {
        words: mask::words(&target.message, &Values::default()),
        target: Some(name.clone()),
        reason: target.reason.map(|reason| reason.label()),
        count: target.due.max(1),
        ways: vec![Way::new("What to do", page.clone())],
        ..plain(kind, what)
    };
    if target.credential_rejected {
        let what = format!("{name} rejects the credential");
        return Some(Trouble {
            why: format!("{waits} Put the new secret in place and restart."),
            ..shared(TroubleKind::Credential, what)
        });
    }
    if target.state == Presence::NotConfigured && target.due > 0 {
        let what = format!("{name} is not in the configuration");
        return Some(Trouble {
            why: waits,
            ..shared(TroubleKind::NotConfigured, what)
        });
    }
    let (next, next_millis) = match target.circuit {
        Some(Circuit::Open { seconds }) => (
            format!("Next try in {seconds} s"),
            i64::try_from(seconds).ok().map(|seconds| seconds * 1_000),
        ),
        Some(Circuit::Probing) => ("It is tried now".to_owned(), Some(0)),
        _ => return None,
    };
    // The account's being blocked is nothing that passes.
    let needs_person = target.reason == Some(Reason::Account);
    let since = status.waiting.iter().find(|group| group.target == *name);
    Some(Trouble {
        needs_person,
        why: format!("{waits} {next}; other targets go on."),
        since: since.map(|group| group.oldest),
        next_millis,
        ways: vec![Way::new("Look at the target", page.clone())],
        ..shared(
            TroubleKind::Down,
            format!("{name} does not answer as it should"),
        )
    })
}

fn unroutable(group: &Lanes, now: Timestamp) -> Trouble {
    let what = match group.count {
        1 => "No queue takes 1 reply".to_owned(),
        n => format!("No queue takes {n} replies"),
    };
    Trouble {
        why: format!(
            "Since {}. Bind the gateway's queue; they go on by themselves.",
            span(group.oldest, now)
        ),
        words: group.message.clone(),
        target: Some(group.target.clone()),
        reason: Some(group.reason.label()),
        count: group.count,
        since: Some(group.oldest),
        ways: vec![Way::new(
            "See them",
            format!("/conversations?state=trying&target={}", group.target),
        )],
        ..plain(TroubleKind::Broker, what)
    }
}

fn broker(status: &Status) -> Vec<Trouble> {
    let mut all = Vec::new();
    if !status.broker.message.is_empty() {
        all.push(Trouble {
            why: "Events wait in it; nothing is lost.".to_owned(),
            words: status.broker.message.clone(),
            ..plain(TroubleKind::Broker, "RabbitMQ is not well")
        });
    }
    let dead = status.broker.queues.iter();
    for queue in dead.filter(|queue| queue.dead_letters && queue.events > 0) {
        all.push(Trouble {
            why: "Each was delivered too often. They stay there until somebody moves them."
                .to_owned(),
            words: queue.name.clone(),
            count: i64::from(queue.events),
            ..plain(
                TroubleKind::Broker,
                format!(
                    "{} events lie in a dead-letter queue of RabbitMQ",
                    queue.events
                ),
            )
        });
    }
    all
}

fn about_to_close(count: usize) -> Option<Trouble> {
    let what = match count {
        0 => return None,
        1 => "A window closes within 2 h, and a reply has not left".to_owned(),
        n => format!("{n} windows close within 2 h, and replies have not left"),
    };
    Some(Trouble {
        why: "After that a reply waits until the customer writes again.".to_owned(),
        count: i64::try_from(count).unwrap_or(i64::MAX),
        ways: vec![Way::new("See them", "/conversations?window=closing")],
        ..plain(TroubleKind::Closing, what)
    })
}

fn waits(group: &Lanes, now: Timestamp) -> Trouble {
    let what = match group.count {
        1 => format!("1 conversation waits for {}", group.target),
        n => format!("{n} conversations wait for {}", group.target),
    };
    Trouble {
        needs_person: matches!(
            group.reason,
            Reason::Unauthorized | Reason::IdentityRejected | Reason::Account
        ),
        why: format!(
            "{}, the oldest for {}.",
            group.reason.title(),
            span(group.oldest, now)
        ),
        words: mask::words(&group.message, &Values::default()),
        target: Some(group.target.clone()),
        reason: Some(group.reason.label()),
        count: group.count,
        since: Some(group.oldest),
        ways: vec![Way::new(
            "See them",
            format!("/conversations?state=trying&target={}", group.target),
        )],
        ..plain(TroubleKind::Waiting, what)
    }
}
