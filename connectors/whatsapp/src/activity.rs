//! What a rep does that is no message, as the customer sees it: the mark of what was read, and that
//! somebody types. Only by the Cloud API, only where the settings want it, and only while it is so.
//!
//! It is worth nothing once it is late, so no reply waits for it and nothing is stopped by it.

use handoffd_contract::event::Activity;
use handoffd_contract::{AuthorKind, Data, HttpCall, Item, Repeat, Step};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cloud;
use crate::exit::Exit;
use crate::facts::{self, Lane};
use crate::status::Ledger;

/// Name of the step that shows it.
pub(crate) const SHOW: &str = "activity.show";

/// WhatsApp shows that somebody types for so long, or until the next message.
/// <https://developers.facebook.com/docs/whatsapp/cloud-api/typing-indicators>
const TYPING: SignedDuration = SignedDuration::from_secs(25);
/// What was read so long ago is not marked any more.
const READ: SignedDuration = SignedDuration::from_hours(1);

/// Notes the customer's newest message, by which their phone is told; then shows the newest of what reps
/// did.
pub(crate) fn show(lane: Lane<'_>) -> Option<Step> {
    let Exit::CloudApi { numbers, .. } = &lane.settings.exit else {
        return None;
    };
    if !lane.settings.show_activity {
        return None;
    }
    if let Some(step) = newest(lane) {
        return Some(step);
    }
    let number = numbers.id(&lane.work.session.business_number)?;
    let (item, message, types) = typing(lane).or_else(|| read(lane))?;
    let mut body =
        json!({"messaging_product": "whatsapp", "status": "read", "message_id": message});
    if types {
        body["typing_indicator"] = json!({"type": "text"});
    }
    let fact = facts::activity(&item.id);
    let until = item.time.saturating_add(if types { TYPING } else { READ });
    let path = cloud::path(lane.settings, number, "messages");
    let mut step = Step::new(SHOW, Repeat::Keyed, HttpCall::post(path, body))
        .claim_as(&fact, "shown")
        .aside(&fact, "not shown")
        .context(json!({"fact": fact}));
    step.not_after = until.ok();
    Some(step)
}

/// Whether something that was done then is still so.
fn is_fresh(lane: Lane<'_>, item: &Item, lasts: SignedDuration) -> bool {
    let until = item.time.saturating_add(lasts);
    until.is_ok_and(|until| lane.work.now <= until) && !lane.known.is(&facts::activity(&item.id))
}

/// A rep types: nothing that came since says otherwise.
fn typing<'a>(lane: Lane<'a>) -> Option<(&'a Item, String, bool)> {
    let mut items = lane.work.items.iter().rev();
    let item = items.find(|item| match &item.data {
        Data::RepActivity(done) => done.activity != Activity::Read,
        Data::RepReplied(_) => true,
        _ => false,
    })?;
    let Data::RepActivity(done) = &item.data else {
        return None;
    };
    if done.activity != Activity::Typing || !is_fresh(lane, item, TYPING) {
        return None;
    }
    let (_, message) = lane.known.get(facts::INBOUND)?.split_once(' ')?;
    Some((item, message.to_owned(), true))
}

/// A rep has read a message of the customer, and no later one.
fn read<'a>(lane: Lane<'a>) -> Option<(&'a Item, String, bool)> {
    let mut items = lane.work.items.iter().rev();
    let (item, message) = items.find_map(|item| match &item.data {
        Data::RepActivity(done) if done.activity == Activity::Read => {
            Some((item, done.message_id.as_ref()?))
        }
        _ => None,
    })?;
    let is_theirs = is_wamid(message) && is_fresh(lane, item, READ);
    is_theirs.then(|| (item, message.clone(), false))
}

/// Puts the customer's newest message on record.
fn newest(lane: Lane<'_>) -> Option<Step> {
    let of_handoff = |data: &Data| match data {
        Data::HandoffRequested(handoff) => handoff.transcript.clone(),
        Data::MessageReceived(said) => vec![said.message.clone()],
        _ => Vec::new(),
    };
    let (time, id) = lane
        .work
        .items
        .iter()
        .flat_map(|item| of_handoff(&item.data))
        .filter(|message| message.author.kind == AuthorKind::Customer && !message.is_remark())
        .filter(|message| is_wamid(&message.id))
        .map(|message| (message.time, message.id))
        .max_by_key(|(time, _)| *time)?;
    let known = lane.known.get(facts::INBOUND);
    let known = known.and_then(|known| known.split_once(' ')?.0.parse::<Timestamp>().ok());
    if known.is_some_and(|known| known >= time) {
        return None;
    }
    let mut ledger = Ledger::new(lane.known);
    ledger.set(facts::INBOUND.to_owned(), format!("{time} {id}"));
    ledger.into_step("activity.keep")
}

/// WhatsApp's own id of a message; a gateway's id says nothing to it.
pub(crate) fn is_wamid(id: &str) -> bool {
    id.starts_with("wamid.") && !id.contains(' ')
}

/// What the answer means: it is shown, or it never is.
pub(crate) fn is_shown(body: &Value) -> bool {
    body["success"] == true
}
