//! What a rep is told of a reply that does not go out because its lane is stopped.
//!
//! What only a person can settle is told at once. What passes by itself is told when it has lasted a
//! minute, so that a short pause costs the rep no line; a file that cannot be fetched after seconds,
//! because the rep can attach it again. A closed window is told where it is noticed
//! (`plan`).

use handoffd_contract::event::{DeliveryState, RepReply, ReplyStatus};
use handoffd_contract::verdict::Class;
use handoffd_contract::{Data, Item, Reason, Stop, Waiting};
use jiff::{SignedDuration, Timestamp};

use crate::exit::Exit;
use crate::facts::{self, Lane};
use crate::status::Ledger;

/// What passes by itself is told when it has lasted so long.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// So long a file may be fetched again before its rep is told.
const PATIENCE_WITH_FILES: SignedDuration = SignedDuration::from_secs(5);

/// Cause of a reply that waits behind a message whose outcome is unknown.
const BEHIND: &str = "behind";
/// Cause of a reply for which WhatsApp gave no clear answer and may still give one.
const UNCLEAR: &str = "unclear";
/// Cause of a reply that waits for something that passes by itself.
const PASSING: &str = "passing";

/// Causes of a reply that may have arrived.
pub(crate) const DOUBTS: [&str; 2] = [UNCLEAR, "unknown-outcome"];

/// What is told now of the replies that wait, and when to look again.
pub(crate) fn waiting(lane: Lane<'_>, stop: &Stop) -> Waiting {
    let mut ledger = Ledger::new(lane.known);
    let mut again: Option<Timestamp> = None;
    if stop.reason == Reason::WindowClosed {
        return Waiting::default();
    }
    for item in &lane.work.items {
        let Data::RepReplied(reply) = &item.data else {
            continue;
        };
        let unclear = unclear(lane, item, reply);
        if lane.is_done(&item.id) || lane.parts(item, reply, lane.window()).is_empty() {
            continue;
        }
        if passes(stop.reason) {
            let due = since(lane, &mut ledger, item)
                .saturating_add(patience(stop.reason))
                .unwrap_or(Timestamp::MAX);
            if lane.work.now < due {
                again = Some(again.map_or(due, |again| again.min(due)));
                continue;
            }
        }
        let by_gateway = matches!(lane.settings.exit, Exit::Http(_));
        let (cause, detail) = explain(stop, unclear, by_gateway);
        let fact = facts::waits(&item.id, cause);
        if !lane.known.is(&fact) {
            ledger.set(fact.clone(), lane.work.now.to_string());
            ledger.event(fact, tell(reply, cause, detail));
        }
    }
    Waiting {
        record: ledger.into_record(),
        again,
    }
}

/// Whether a message of the reply left without an answer that says what became of it.
fn unclear(lane: Lane<'_>, item: &Item, reply: &RepReply) -> bool {
    lane.parts(item, reply, lane.window())
        .iter()
        .any(|part| lane.known.unsure(&facts::sent(&item.id, &part.slot)))
}

/// Whether it ends by itself, mostly before anybody must know.
fn passes(reason: Reason) -> bool {
    match reason {
        Reason::Account | Reason::Unauthorized | Reason::Unroutable => false,
        other => other.class() != Class::Person,
    }
}

fn patience(reason: Reason) -> SignedDuration {
    match reason {
        Reason::MediaUnavailable => PATIENCE_WITH_FILES,
        _ => PATIENCE,
    }
}

/// Since when the reply waits for something that passes by itself.
fn since(lane: Lane<'_>, ledger: &mut Ledger<'_>, item: &Item) -> Timestamp {
    let fact = facts::since(&item.id);
    match lane.known.get(&fact).and_then(|at| at.parse().ok()) {
        Some(since) => since,
        None => {
            ledger.set(fact, lane.work.now.to_string());
            lane.work.now
        }
    }
}

/// The cause under which it is told, and the words for the rep. They hold nothing of the reply and, of
/// the other side's words, the code alone.
fn explain(stop: &Stop, unclear: bool, by_gateway: bool) -> (&'static str, String) {
    let reason = stop.reason;
    let unknown = reason == Reason::UnknownOutcome;
    if unclear && unknown {
        let words = "WhatsApp gave no clear answer, so it is not known whether this reply arrived. It is not sent again \
                     until somebody has looked, and later replies wait behind it.";
        return (reason.label(), words.to_owned());
    }
    if unclear {
        let words = "WhatsApp gave no clear answer, so it is not known yet whether this reply arrived. Later replies \
                     wait behind it.";
        return (UNCLEAR, words.to_owned());
    }
    if unknown {
        let words = "It is not known whether an earlier message to this customer arrived. This reply waits behind it \
                     until somebody has looked.";
        return (BEHIND, words.to_owned());
    }
    let code = code(stop).map_or(String::new(), |code| format!(" (WhatsApp error {code})"));
    let what = match reason {
        Reason::Account if by_gateway => {
            "The gateway is not connected to WhatsApp, or its account is blocked".to_owned()
        }
        Reason::Account => format!("The WhatsApp account is blocked{code}"),
        Reason::Unauthorized => format!("WhatsApp does not accept the sign-in{code}"),
        Reason::Unroutable => "Nothing takes the messages for WhatsApp at the moment".to_owned(),
        Reason::RateLimited | Reason::ConversationLimited => {
            "WhatsApp takes no more messages at the moment".to_owned()
        }
        Reason::MediaUnavailable => {
            "A file of this reply cannot be fetched from where it is".to_owned()
        }
        Reason::Waiting => {
            "The message before this one is not on the customer's phone yet".to_owned()
        }
        other if other.class() == Class::Person => {
            let words = format!(
                "{}. It goes out when the people who run this connection have settled that.",
                other.title()
            );
            return (other.label(), words);
        }
        _ => "WhatsApp cannot be reached at the moment".to_owned(),
    };
    let cause = if passes(reason) {
        PASSING
    } else {
        reason.label()
    };
    let when = if passes(reason) {
        "possible"
    } else {
        "settled"
    };
    (
        cause,
        format!("{what}. The reply goes out by itself as soon as that is {when}."),
    )
}

/// WhatsApp's code at the beginning of the words for a failure.
fn code(stop: &Stop) -> Option<i64> {
    stop.message.split_once(':')?.0.parse().ok()
}

fn tell(reply: &RepReply, cause: &str, detail: String) -> Data {
    Data::ReplyStatus(ReplyStatus {
        target: reply.target.clone(),
        message_id: reply.message_id.clone(),
        state: DeliveryState::Held,
        detail: Some(detail),
        cause: Some(cause.to_owned()),
    })
}
