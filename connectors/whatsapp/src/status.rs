//! What became of messages: statuses become facts, and the rep is told.
//!
//! Statuses are taken in wherever they stand in the work, before anything is sent: they are what
//! proves a send whose answer was lost, and a reply that is held must not keep the news about an
//! earlier one.

use std::collections::BTreeMap;

use handoffd_contract::event::{DeliveryState, MessageStatus, ReplyStatus};
use handoffd_contract::lane::{AGAIN, carried_fact, skipped};
use handoffd_contract::{Data, Fact, Known, Record, Settled, Step, Work};

use crate::errors::codes;
use crate::facts::{self, Done, Lane, Sent};
use crate::parts::FALLBACK_SLOT;
use crate::waiting;

/// Everything that the statuses in the work say and that is not on record yet, if anything.
pub(crate) fn take_in(lane: Lane<'_>) -> Option<Step> {
    let mut ledger = Ledger::new(lane.known);
    for item in &lane.work.items {
        match &item.data {
            Data::MessageStatus(status) => take(&mut ledger, lane.work, status, item.time),
            // The gateway says under which id it sent what we asked for.
            Data::MessageSent(sent) if sent.reference.is_some() => {
                let status = MessageStatus {
                    message_id: Some(sent.message.id.clone()),
                    reference: sent.reference.clone(),
                    status: DeliveryState::Sent,
                    error_code: None,
                    error: None,
                };
                take(&mut ledger, lane.work, &status, item.time);
            }
            _ => {}
        }
    }
    ledger.into_step("status.record")
}

/// Facts and events that are about to be written, over those that are.
pub(crate) struct Ledger<'a> {
    known: &'a Known,
    facts: BTreeMap<String, Settled>,
    events: Vec<(String, Data)>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(known: &'a Known) -> Ledger<'a> {
        Ledger {
            known,
            facts: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn get(&self, fact: &str) -> Option<&str> {
        match self.facts.get(fact) {
            Some(settled) => settled.value(),
            None => self.known.get(fact),
        }
    }

    /// Whether the fact holds or is refused.
    fn is(&self, fact: &str) -> bool {
        self.facts.contains_key(fact) || self.known.is(fact)
    }

    pub(crate) fn set(&mut self, fact: String, value: impl Into<Settled>) {
        let value = value.into();
        let same = match self.facts.get(&fact) {
            Some(before) => *before == value,
            None => self.known.0.get(&fact) == Some(&Fact::from(value.clone())),
        };
        if !same {
            self.facts.insert(fact, value);
        }
    }

    pub(crate) fn event(&mut self, id: String, data: Data) {
        self.events.push((id, data));
    }

    pub(crate) fn into_step(self, name: &'static str) -> Option<Step> {
        let empty = self.facts.is_empty() && self.events.is_empty();
        (!empty).then(|| facts::record(name, self.facts.into_iter().collect(), self.events))
    }

    pub(crate) fn into_record(self) -> Record {
        Record {
            facts: self.facts.into_iter().collect(),
            events: self.events,
        }
    }

    /// Notes that one message of a reply will not arrive, and tells the rep in plain words.
    pub(crate) fn fail(&mut self, reference: &str, sent: &Sent, code: Option<i64>, words: &str) {
        self.set(
            facts::state(reference),
            format!("failed:{}", code.unwrap_or_default()),
        );
        let detail = Some(format!(
            "{} was not delivered. {}",
            sent.label,
            explain(code, words)
        ));
        let event = facts::tell(&sent.target, &sent.message, DeliveryState::Failed, detail);
        self.event(format!("status/{reference}/failed"), event);
    }

    /// WhatsApp took the message and then said that the window was closed, so it has not arrived: it is
    /// sent once more when the customer writes, as if the window had been known to be closed. Returns
    /// whether it is.
    fn send_again(&mut self, reference: &str, sent: &Sent) -> bool {
        let once_more = self
            .get(&facts::again(&sent.item, sent.slot.trim_end_matches('r')))
            .is_some();
        if once_more || sent.slot == FALLBACK_SLOT {
            return false;
        }
        self.set(facts::state(reference), format!("failed:{WINDOW}"));
        self.set(
            facts::again(&sent.item, &sent.slot),
            format!("{WINDOW} {reference}"),
        );
        self.set(facts::reopened(&sent.item), AGAIN);
        true
    }

    /// Tells the rep when the whole reply has come further. The reply is as far as its last message.
    pub(crate) fn tell_reply(&mut self, item: &str) {
        let done: Option<Done> = self
            .get(&facts::done(item))
            .and_then(|json| serde_json::from_str(json).ok());
        let Some(done) = done else { return };
        let mut least = DeliveryState::Read;
        for reference in &done.refs {
            match self
                .get(&facts::state(reference))
                .map_or(Some(DeliveryState::Sent), parse)
            {
                // The rep was told of the failure; nothing better can be said of this reply.
                None => return,
                Some(state) => least = least.min(state),
            }
        }
        let told = self.get(&facts::told(item)).and_then(parse);
        if told.is_none_or(|told| told < least)
            && let Some(first) = done.refs.first()
        {
            let id = format!("status/{first}/{}", word(least));
            // Who was told that nobody knows is told that it is settled.
            let settled = least == DeliveryState::Sent
                && waiting::DOUBTS
                    .iter()
                    .any(|cause| self.get(&facts::waits(item, cause)).is_some());
            self.set(facts::told(item), word(least));
            let status = ReplyStatus {
                target: done.target.clone(),
                message_id: done.message.clone(),
                state: least,
                detail: settled.then(|| SETTLED.to_owned()),
                cause: settled.then(|| "settled".to_owned()),
            };
            self.event(id, Data::ReplyStatus(status));
        }
    }
}

/// The code of a message's failure, if it failed.
pub(crate) fn failed(known: &Known, reference: &str) -> Option<i64> {
    known
        .get(&facts::state(reference))?
        .strip_prefix("failed:")?
        .parse()
        .ok()
}

/// Whether a message is on the phone, or will never be.
pub(crate) fn is_settled(known: &Known, reference: &str) -> bool {
    known
        .get(&facts::state(reference))
        .is_some_and(|state| state != word(DeliveryState::Sent))
}

fn take(ledger: &mut Ledger<'_>, work: &Work, status: &MessageStatus, at: jiff::Timestamp) {
    let by_id = status
        .message_id
        .as_deref()
        .and_then(|id| ledger.get(&facts::wamid(id)));
    let ours = status
        .reference
        .as_deref()
        .filter(|r| ledger.get(&facts::reference(r)).is_some());
    let Some(reference) = ours.or(by_id).map(str::to_owned) else {
        return;
    };
    let sent: Option<Sent> = ledger
        .get(&facts::reference(&reference))
        .and_then(|json| serde_json::from_str(json).ok());
    let Some(sent) = sent else { return };
    let fact = facts::sent(&sent.item, &sent.slot);
    if !ledger.is(&fact) {
        ledger.set(
            fact,
            status
                .message_id
                .clone()
                .unwrap_or_else(|| reference.clone()),
        );
    }
    if let Some(id) = &status.message_id {
        ledger.set(facts::wamid(id), reference.clone());
        ledger.set(carried_fact(id), sent.item.clone());
    }
    if sent.notice {
        return take_notice(ledger, work, status, &reference, at);
    }
    let before = ledger.get(&facts::state(&reference)).map(str::to_owned);
    let state = before.as_deref().map_or(DeliveryState::Held, |state| {
        parse(state).unwrap_or(DeliveryState::Failed)
    });
    match status.status {
        DeliveryState::Held => {}
        // What was on the phone cannot fail any more.
        DeliveryState::Failed if state < DeliveryState::Delivered => {
            if status.error_code.is_some_and(is_window) {
                close(ledger, work, at);
                if ledger.send_again(&reference, &sent) {
                    return;
                }
            }
            ledger.fail(
                &reference,
                &sent,
                status.error_code,
                status.error.as_deref().unwrap_or_default(),
            );
        }
        // Forward only; statuses may be skipped and may come in any order.
        further if further > state && further != DeliveryState::Failed => {
            ledger.set(facts::state(&reference), word(further));
        }
        _ => {}
    }
    ledger.tell_reply(&sent.item);
}

/// What becomes of a notice is nobody's reply: it says only that the message before the next one has
/// arrived or never will, and whether the window is closed.
fn take_notice(
    ledger: &mut Ledger<'_>,
    work: &Work,
    status: &MessageStatus,
    reference: &str,
    at: jiff::Timestamp,
) {
    let fact = facts::state(reference);
    let before = ledger.get(&fact).map(str::to_owned);
    let before = before.as_deref().map_or(Some(DeliveryState::Held), parse);
    match (status.status, before) {
        (DeliveryState::Held, _) | (_, None) => {}
        (DeliveryState::Failed, Some(before)) if before < DeliveryState::Delivered => {
            if status.error_code.is_some_and(is_window) {
                close(ledger, work, at);
            }
            let code = status.error_code.unwrap_or_default();
            ledger.set(fact, format!("failed:{code}"));
        }
        (further, Some(before)) if further > before && further != DeliveryState::Failed => {
            ledger.set(fact, word(further));
        }
        _ => {}
    }
}

/// What a rep is told who was told that nobody knows.
const SETTLED: &str = "What became of this reply is settled: it has been sent.";

/// The code of a message outside the window.
const WINDOW: i64 = 131_047;

fn is_window(code: i64) -> bool {
    codes::lookup(code).is_some_and(|(class, _)| class == codes::Class::Window)
}

/// A reply that waited to be sent once more and that a person gave up: its rep was told that it would go
/// out by itself, and is told that it does not.
pub(crate) fn given_up(lane: Lane<'_>) -> Option<Step> {
    let mut ledger = Ledger::new(lane.known);
    for item in skipped(lane.known) {
        ledger.set(facts::reopened(item), "closed");
        let done = lane.known.get(&facts::done(item));
        let done: Option<Done> = done.and_then(|json| serde_json::from_str(json).ok());
        if let Some(done) = done {
            let detail = Some(GIVEN_UP.to_owned());
            let event = facts::tell(&done.target, &done.message, DeliveryState::Failed, detail);
            ledger.event(format!("skipped/{item}"), event);
        }
    }
    ledger.into_step("reply.given_up")
}

/// What a rep is told whose reply a person gave up.
const GIVEN_UP: &str = "The people who run this connection have given this reply up, so it does not go out \
                        any more. Write it again if the customer still needs it.";

/// WhatsApp says that the window was closed at that time, which it gives in whole seconds. A message
/// that the customer wrote in a later second has opened it again.
fn close(ledger: &mut Ledger<'_>, work: &Work, at: jiff::Timestamp) {
    if let Some(last) = work
        .last_inbound
        .filter(|last| last.as_second() <= at.as_second())
    {
        ledger.set(facts::CLOSED.to_owned(), last.to_string());
    }
}

/// What a rep is told of a failure: what is wrong and what can be done, then WhatsApp's code.
fn explain(code: Option<i64>, words: &str) -> String {
    let words: String = words.chars().take(200).collect();
    let known = code
        .and_then(codes::lookup)
        .map(|(_, words)| words)
        .filter(|words| !words.is_empty());
    match (known, code) {
        (Some(known), Some(code)) if words.is_empty() => format!("{known} (WhatsApp error {code})"),
        (Some(known), Some(code)) => format!("{known} (WhatsApp error {code}: {words})"),
        (None, Some(code)) if words.is_empty() => {
            format!("WhatsApp error {code}. Send it again, or use another channel.")
        }
        (None, Some(code)) => {
            format!("WhatsApp error {code}: {words}. Send it again, or use another channel.")
        }
        _ if words.is_empty() => {
            "No reason was given. Send it again, or use another channel.".to_owned()
        }
        _ => capitalised(&words),
    }
}

fn capitalised(words: &str) -> String {
    let mut rest = words.chars();
    rest.next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(rest)
        .collect()
}

fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Held => "held",
        DeliveryState::Sent => "sent",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Read => "read",
        DeliveryState::Failed => "failed",
    }
}

/// The state that a fact holds; `None` for a failure.
fn parse(text: &str) -> Option<DeliveryState> {
    match text {
        "sent" => Some(DeliveryState::Sent),
        "delivered" => Some(DeliveryState::Delivered),
        "read" => Some(DeliveryState::Read),
        _ => None,
    }
}
