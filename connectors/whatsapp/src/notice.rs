//! What the customer is told of the conversation itself: one free text in the lane's order.
//!
//! A notice never stops the lane. What it cannot be sent with at once, other than by a failure that
//! every reply would meet as well, drops it, with a fact that says why: it is off in the mapping, no
//! longer true, late, outside the window, or refused. A send by the Cloud API whose outcome is not known is
//! not repeated and not waited for; a publication is repeated under the same id, like a reply's.

use handoffd_contract::event::{CustomerNotice, Notice};
use handoffd_contract::text::truncate;
use handoffd_contract::{Controller, Data, Item, Reason, Refusal, Settled, Step};
use jiff::{SignedDuration, Timestamp};

use crate::cloud;
use crate::exit::Exit;
use crate::facts::{self, Lane, Sent, Window};
use crate::gateway;
use crate::http;
use crate::parts::{Content, Part, TEXT};
use crate::recipient::Recipient;
use crate::status::Ledger;

/// The slot of a notice's message.
pub(crate) const SLOT: &str = "n";

/// What is told later than this is not told: it has passed.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// The next thing to do for a notice; `None` when it was sent or dropped.
pub(crate) fn advance(lane: Lane<'_>, item: &Item, notice: &CustomerNotice) -> Option<Step> {
    let fact = facts::sent(&item.id, SLOT);
    if lane.known.is(&fact) {
        return None;
    }
    let part = match sendable(lane, item, notice, &fact) {
        Ok(part) => part,
        Err(why) => return Some(facts::record("notice.drop", vec![(fact, why)], Vec::new())),
    };
    let reference = lane.reference(&item.id, SLOT);
    let known = facts::reference(&reference);
    if lane.known.absent(&known) {
        // On record before it leaves, so that a status finds that it is nobody's reply.
        let mut ledger = Ledger::new(lane.known);
        ledger.set(known, facts::json(&describe(item, notice)));
        return ledger.into_step("notice.open");
    }
    match send(lane, item, notice, &part) {
        Ok(step) => Some(step),
        Err(why) => Some(facts::record("notice.drop", vec![(fact, why)], Vec::new())),
    }
}

/// The message, or why it is dropped.
fn sendable(
    lane: Lane<'_>,
    item: &Item,
    notice: &CustomerNotice,
    fact: &str,
) -> Result<Part, Settled> {
    let repeats = matches!(lane.settings.exit, Exit::Gateway { .. });
    if !repeats && lane.known.unsure(fact) {
        let why = "WhatsApp gave no clear answer, and a notice is not sent twice";
        return Err(Settled::refused(Reason::UnknownOutcome, why));
    }
    let rendered = item.rendered.as_ref();
    let text = rendered.and_then(|all| all.text("notices", notice.notice.word()));
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Err("off".into());
    };
    if !holds(lane, item, notice) {
        return Err("no longer true".into());
    }
    if lane.work.now > late(item) {
        return Err("late".into());
    }
    let Window::Open(_) = lane.window() else {
        let why = "a notice does not wait for the window";
        return Err(Settled::refused(Reason::WindowClosed, why));
    };
    Ok(Part {
        slot: SLOT.to_owned(),
        content: Content::Text(truncate(&text, TEXT)),
        quotes: None,
    })
}

/// Whether the notice still says what is so, after everything that has happened since. Nothing but what
/// belongs to the end is said of a conversation that is closed.
fn holds(lane: Lane<'_>, item: &Item, notice: &CustomerNotice) -> bool {
    let items = &lane.work.items;
    let Some(last) = items.last() else {
        return false;
    };
    let now = lane.work.controller_at(last);
    let is_queued = matches!(now, Controller::Queued { .. });
    let is_returned = matches!(now, Controller::Returned { .. });
    let is_closed = matches!(now, Controller::Closed { .. });
    match notice.notice {
        Notice::Queued | Notice::Left => is_queued,
        Notice::Position => {
            let later = items.iter().skip_while(|one| one.id != item.id).skip(1);
            let is_newer = |one: &Item| matches!(&one.data, Data::CustomerNotice(told) if told.notice == Notice::Position);
            is_queued && !later.into_iter().any(is_newer)
        }
        Notice::Joined => matches!(now, Controller::Rep { .. }),
        Notice::Transferred => now.is_people(),
        Notice::Unattended => is_queued || is_returned,
        Notice::Cancelled => is_returned,
        Notice::Ended => is_closed || is_returned,
        Notice::Csat => is_closed,
    }
}

fn late(item: &Item) -> Timestamp {
    item.time.saturating_add(LATE).unwrap_or(Timestamp::MAX)
}

fn describe(item: &Item, notice: &CustomerNotice) -> Sent {
    Sent {
        target: notice.target.clone().unwrap_or_default(),
        message: String::new(),
        item: item.id.clone(),
        slot: SLOT.to_owned(),
        label: format!("The notice {}", notice.notice.word()),
        notice: true,
    }
}

/// The step that sends it, or why it is dropped.
fn send(
    lane: Lane<'_>,
    item: &Item,
    notice: &CustomerNotice,
    part: &Part,
) -> Result<Step, Settled> {
    let Some(to) = Recipient::of(&lane.work.contact) else {
        let why = "the contact has no usable wa_id, user id or phone";
        return Err(Settled::refused(Reason::NoCustomer, why));
    };
    let mut step = match &lane.settings.exit {
        Exit::Gateway {
            exchange,
            routing_key,
        } => {
            let keys = (exchange.as_str(), routing_key.as_str());
            gateway::tell(lane, keys, item, notice, part, &to)
        }
        Exit::Http(gateway) => {
            let step = http::send(gateway, lane, &item.id, part, &to, None);
            step.map_err(|refusal| match refusal {
                Refusal::Park(stop) | Refusal::Hold { stop, .. } => Settled::from(stop),
            })?
        }
        Exit::CloudApi { numbers, .. } => {
            let Some(number) = numbers.id(&lane.work.session.business_number) else {
                let why =
                    "`phone_numbers` has no phone number id for the session's business number";
                return Err(Settled::refused(Reason::Invalid, why));
            };
            let message = cloud::plain(&part.content, lane.settings.preview_url);
            let message = message.unwrap_or_default();
            cloud::send(lane, &item.id, part, &to, number, message)
        }
    };
    step.not_after = match lane.window() {
        Window::Open(until) => Some(until.min(late(item))),
        Window::Closed(_) => Some(late(item)),
    };
    Ok(step)
}
