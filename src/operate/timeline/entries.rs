//! Events become entries.

use std::collections::BTreeMap;

use handoffd_contract::event::{
    Activity, DeliveryState, Handoff, HandoffCompleted, Message, MessageEvent, RepReply,
    ReplyStatus, Routing,
};
use handoffd_contract::{AuthorKind, Data, Reason};

use super::{Entry, Outcome, Place, Receipt, Said, Story, in_charge};
use crate::ledger::view::StoredEvent;

/// So many messages of before the handoff are told.
const EARLIER: usize = 100;

/// The name of a reply's entry, by which its receipts find it.
fn reply_key(target: &str, message: &str) -> (String, String) {
    (target.to_owned(), message.to_owned())
}

/// The entries of an event; none where it is told inside another one.
pub(super) fn of(story: &Story<'_>, one: &StoredEvent) -> Vec<Entry> {
    let data = &one.event.data;
    let mut entries: Vec<Entry> = match data {
        Data::HandoffRequested(handoff) => handed_over(story, one, handoff),
        _ => said(story, one, data)
            .or_else(|| of_rep(story, one, data))
            .or_else(|| of_state(story, one, data))
            .into_iter()
            .collect(),
    };
    for entry in &mut entries {
        entry.seq = Some(one.seq);
        let warnings = one.event.warnings.iter();
        entry
            .lines
            .extend(warnings.map(|warning| story.words(warning)));
    }
    entries
}

fn new(one: &StoredEvent, from: Place, to: Option<Place>, title: impl Into<String>) -> Entry {
    Entry {
        to,
        ..Entry::new(
            format!("e-{}", one.seq),
            one.received_at,
            one.event.data.kind(),
            from,
            title,
        )
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {many}")
    }
}

fn handed_over(story: &Story<'_>, one: &StoredEvent, handoff: &Handoff) -> Vec<Entry> {
    let mut entry = new(one, Place::Gateway, Some(Place::Handoffd), "Handed over");
    entry.chips.clone_from(&handoff.handoff.reasons);
    let files: usize = handoff
        .transcript
        .iter()
        .map(|said| said.attachments.len())
        .sum();
    let places = handoff
        .transcript
        .iter()
        .filter(|said| said.location.is_some())
        .count();
    let language = handoff
        .handoff
        .language
        .as_deref()
        .or(story.language.as_deref());
    let mut parts: Vec<String> = Vec::new();
    parts.extend(handoff.handoff.sentiment.clone());
    parts.extend(language.and_then(crate::operate::mask::language));
    if !handoff.transcript.is_empty() {
        parts.push(count(handoff.transcript.len(), "message", "messages"));
    }
    if files > 0 {
        parts.push(count(files, "file", "files"));
    }
    if places > 0 {
        parts.push(count(places, "location", "locations"));
    }
    if !parts.is_empty() {
        entry.lines.push(parts.join(" · "));
    }
    entry.text = handoff
        .handoff
        .summary
        .as_deref()
        .map(|text| story.text(text));
    let mut entries = vec![entry];
    if let Some(first) = handoff.transcript.first() {
        let n = handoff.transcript.len();
        let what = count(n, "message", "messages");
        let title = format!("{what} with the assistant before the handoff");
        let mut before = Entry {
            at: first.time.min(one.received_at),
            outcome: Outcome::Note,
            ..new(one, Place::Gateway, None, title)
        };
        before.key = format!("e-{}-before", one.seq);
        let newest = handoff.transcript.iter().skip(n.saturating_sub(EARLIER));
        before.earlier = newest.map(|said| earlier(story, said)).collect();
        entries.insert(0, before);
    }
    entries
}

fn earlier(story: &Story<'_>, said: &Message) -> Said {
    Said {
        at: said.time,
        by: match said.author.kind {
            AuthorKind::Customer => "customer",
            AuthorKind::Assistant => "assistant",
            AuthorKind::Agent => "agent",
            AuthorKind::System => "system",
        }
        .to_owned(),
        text: story.text(said.text.as_deref().unwrap_or_default()),
        files: said.attachments.len(),
    }
}

/// What was said.
fn said(story: &Story<'_>, one: &StoredEvent, data: &Data) -> Option<Entry> {
    match data {
        Data::MessageReceived(said) => {
            let entry = new(one, Place::Whatsapp, Some(Place::Gateway), "Customer wrote");
            Some(message(story, entry, said))
        }
        Data::MessageSent(said) => {
            let title = match said.message.author.kind {
                AuthorKind::Customer | AuthorKind::Agent => "Somebody on the platform wrote",
                AuthorKind::Assistant => "Assistant wrote",
                AuthorKind::System => "The platform sent a notice",
            };
            let entry = new(one, Place::Gateway, Some(Place::Whatsapp), title);
            Some(message(story, entry, said))
        }
        Data::RepReplied(reply) => Some(replied(story, one, reply)),
        _ => None,
    }
}

fn message(story: &Story<'_>, mut entry: Entry, said: &MessageEvent) -> Entry {
    let message = &said.message;
    entry.text = message.text.as_deref().map(|text| story.text(text));
    for file in &message.attachments {
        entry.chips.push(file.kind.word().to_owned());
    }
    if message.location.is_some() {
        entry.chips.push("location".to_owned());
    }
    if message.reaction.is_some() {
        entry.title = "Customer reacted to a message".to_owned();
    } else if message.deletion.is_some() {
        entry.title = "A message was deleted".to_owned();
    } else if message.edit.is_some() {
        entry.title = "A message was changed".to_owned();
    }
    entry
}

fn replied(story: &Story<'_>, one: &StoredEvent, reply: &RepReply) -> Entry {
    let mut entry = new(one, Place::Crm, Some(Place::Whatsapp), "Rep replied");
    entry.target = Some(reply.target.clone());
    entry.text = reply.text.as_deref().map(|text| story.text(text));
    for file in &reply.attachments {
        entry.chips.push(file.kind.word().to_owned());
    }
    if let Some(template) = &reply.template {
        entry.chips.push(format!("template {}", template.name));
    }
    if let Some(author) = &reply.author {
        entry.lines.push(format!("By {}", story.name(author)));
    }
    entry.outcome = Outcome::Waiting;
    entry
}

/// What happened at a desk.
fn of_rep(story: &Story<'_>, one: &StoredEvent, data: &Data) -> Option<Entry> {
    let into = |target: &str, title: String| Entry {
        target: Some(target.to_owned()),
        ..new(one, Place::Crm, Some(Place::Handoffd), title)
    };
    let out = |target: &str, title: String| Entry {
        target: Some(target.to_owned()),
        ..new(one, Place::Handoffd, Some(story.place(target)), title)
    };
    Some(match data {
        Data::HandoffCompleted(done) => completed(story, one, done),
        Data::HandoffFailed(failed) => Entry {
            outcome: Outcome::Failed,
            chips: vec![failed.reason.clone()],
            words: story.words(&failed.message),
            open: true,
            ..out(
                &failed.target,
                match Reason::parse(&failed.reason) {
                    Some(reason) => format!("Parked: {}", reason.title()),
                    None => "Parked".to_owned(),
                },
            )
        },
        Data::SessionAssigned(assigned) => match &assigned.rep {
            Some(rep) => Entry {
                chips: vec![story.name(rep)],
                ..into(&assigned.target, "A rep took the conversation".to_owned())
            },
            None => into(
                &assigned.target,
                "No rep has the conversation any more".to_owned(),
            ),
        },
        Data::SessionRouting(routing) => Entry {
            words: routing
                .detail
                .as_deref()
                .map(|words| story.words(words))
                .unwrap_or_default(),
            outcome: match routing.outcome {
                Routing::Failed => Outcome::Failed,
                Routing::Declined | Routing::Transferred => Outcome::Note,
            },
            ..into(
                &routing.target,
                match routing.outcome {
                    Routing::Failed => "No rep was found",
                    Routing::Declined => "A rep declined the conversation",
                    Routing::Transferred => "The conversation was passed on",
                }
                .to_owned(),
            )
        },
        Data::RepActivity(activity) if activity.activity == Activity::Read => Entry {
            outcome: Outcome::Note,
            ..into(&activity.target, "A rep read the conversation".to_owned())
        },
        Data::SessionUpdated(updated) => Entry {
            chips: updated.fields.keys().cloned().collect(),
            outcome: Outcome::Note,
            ..into(
                &updated.target,
                "Fields of the record were changed".to_owned(),
            )
        },
        Data::RepEnded(ended) => Entry {
            chips: ended.status.clone().into_iter().collect(),
            ..into(&ended.target, "A rep ended the conversation".to_owned())
        },
        Data::SessionQueued(queued) => Entry {
            outcome: Outcome::Note,
            ..into(
                &queued.target,
                match queued.position {
                    Some(place) => format!("It waits in the queue, place {place}"),
                    None => "It waits in the queue".to_owned(),
                },
            )
        },
        Data::RepNotice(notice) => Entry {
            text: Some(story.text(&notice.text)),
            ..out(&notice.target, "The rep was told something".to_owned())
        },
        Data::ReplyUnconfirmed(reply) => Entry {
            outcome: Outcome::Unknown,
            ..into(
                &reply.target,
                "WhatsApp has said nothing of a reply".to_owned(),
            )
        },
        _ => return None,
    })
}

fn completed(story: &Story<'_>, one: &StoredEvent, done: &HandoffCompleted) -> Entry {
    let mut entry = new(
        one,
        Place::Handoffd,
        Some(Place::Crm),
        "The record shows the whole handoff",
    );
    entry.target = Some(done.target.clone());
    let records = done.records.iter();
    entry.chips = records.map(|(name, id)| format!("{name} {id}")).collect();
    entry.lines = done.notes.iter().map(|note| story.words(note)).collect();
    entry.link.clone_from(&done.url);
    entry
}

/// What happened to the conversation as a whole.
fn of_state(story: &Story<'_>, one: &StoredEvent, data: &Data) -> Option<Entry> {
    let here = |title: &str| new(one, Place::Handoffd, None, title);
    let by_gateway = |title: &str| new(one, Place::Gateway, Some(Place::Handoffd), title);
    Some(match data {
        Data::SessionClosed(closed) => Entry {
            words: closed
                .reason
                .as_deref()
                .map(|words| story.words(words))
                .unwrap_or_default(),
            ..by_gateway("The platform closed the conversation")
        },
        Data::SessionReturned(_) => by_gateway("The assistant takes the conversation over again"),
        Data::ContactUpdated(_) => by_gateway("The platform learned more about the customer"),
        Data::ConversationStarted(_) => here("The conversation began"),
        Data::SessionState(state) => {
            let who = in_charge(story, &state.controller);
            Entry {
                outcome: Outcome::Note,
                target: state.controller.target().map(str::to_owned),
                ..here(&format!("In charge: {who}"))
            }
        }
        Data::SessionHandback(back) => Entry {
            lines: vec![format!(
                "{} in {} min",
                count(back.replies as usize, "reply", "replies"),
                back.duration_seconds.div_ceil(60)
            )],
            target: back.target.clone(),
            outcome: Outcome::Note,
            ..here("The platform is told what people did")
        },
        Data::SessionUnattended(unattended) => Entry {
            outcome: Outcome::Failed,
            words: unattended
                .detail
                .as_deref()
                .map(|words| story.words(words))
                .unwrap_or_default(),
            lines: vec![format!(
                "After {} min",
                unattended.waited_seconds.div_ceil(60)
            )],
            ..here("Nobody joined")
        },
        Data::CustomerNotice(notice) => Entry {
            chips: vec![notice.notice.word().to_owned()],
            target: notice.target.clone(),
            ..new(
                one,
                Place::Handoffd,
                Some(Place::Whatsapp),
                "The customer is told how it stands",
            )
        },
        Data::SessionRated(rated) => Entry {
            target: Some(rated.target.clone()),
            ..new(
                one,
                Place::Whatsapp,
                Some(Place::Handoffd),
                format!("Customer rated {} of {}", rated.score, rated.of),
            )
        },
        _ => return None,
    })
}

/// Puts what became of each reply into the reply's entry.
pub(super) fn give_receipts(story: &Story<'_>, entries: &mut [Entry]) {
    let mut replies: BTreeMap<(String, String), usize> = BTreeMap::new();
    for one in story.events {
        if let Data::RepReplied(reply) = &one.event.data
            && let Some(at) = entries.iter().position(|entry| entry.seq == Some(one.seq))
        {
            replies.insert(reply_key(&reply.target, &reply.message_id), at);
        }
    }
    for one in story.receipts {
        let Data::ReplyStatus(status) = &one.event.data else {
            continue;
        };
        let Some(at) = replies.get(&reply_key(&status.target, &status.message_id)) else {
            continue;
        };
        let entry = &mut entries[*at];
        entry.outcome = outcome(status);
        entry.receipts.push(Receipt {
            state: word(status.state),
            at: one.event.time,
            detail: status.detail.as_deref().map(|words| story.words(words)),
            cause: status.cause.clone(),
        });
    }
}

fn outcome(status: &ReplyStatus) -> Outcome {
    match status.state {
        DeliveryState::Held if status.may_have_arrived() => Outcome::Unknown,
        DeliveryState::Held => Outcome::Waiting,
        DeliveryState::Sent if status.is_unconfirmed() => Outcome::Unknown,
        DeliveryState::Sent | DeliveryState::Delivered | DeliveryState::Read => Outcome::Done,
        DeliveryState::Failed => Outcome::Failed,
    }
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
