//! Replies that the exit took, and of which WhatsApp has said nothing.

use handoffd_contract::event::{DeliveryState, ReplyStatus, ReplyUnconfirmed};
use handoffd_contract::{Data, Item, Step};

use crate::facts::{self, Done, Lane};
use crate::status::Ledger;

/// Tells the rep of the first reply in the work whose time has come and of which nothing was said: of a
/// phone that is switched off WhatsApp says that it has the message, so that nobody is alarmed for it.
pub(crate) fn tell(lane: Lane<'_>) -> Option<Step> {
    lane.work.items.iter().find_map(|item| match &item.data {
        Data::ReplyUnconfirmed(reply) => told(lane, item, reply),
        _ => None,
    })
}

fn told(lane: Lane<'_>, item: &Item, reply: &ReplyUnconfirmed) -> Option<Step> {
    let fact = facts::unconfirmed(&item.id);
    if lane.known.is(&fact) {
        return None;
    }
    let is_it = |done: &Done| done.target == reply.target && done.message == reply.message_id;
    let done = lane.known.under("done/");
    let done = done
        .filter_map(|(_, json)| serde_json::from_str::<Done>(json).ok())
        .find(is_it)?;
    let silent = |reference: &&String| lane.known.absent(&facts::state(reference));
    let first = done.refs.iter().find(silent)?;
    let detail = format!(
        "It was sent at {}, and WhatsApp has said nothing of it since, neither that it has it nor that \
         it failed. It may not have arrived.",
        facts::clock(reply.sent_at)
    );
    let status = ReplyStatus {
        target: done.target,
        message_id: done.message,
        state: DeliveryState::Sent,
        detail: Some(detail),
        cause: Some(ReplyStatus::UNCONFIRMED.to_owned()),
    };
    let mut ledger = Ledger::new(lane.known);
    ledger.set(fact, "told");
    ledger.event(
        format!("status/{first}/unconfirmed"),
        Data::ReplyStatus(status),
    );
    ledger.into_step("reply.unconfirmed")
}
