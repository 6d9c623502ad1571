//! The names of the facts that a lane keeps about HubSpot.

use handoffd_contract::{Fact, Known, ids};

/// The contact's id.
pub const CONTACT: &str = "contact";
/// The contact's id where there is none.
pub const NO_CONTACT: &str = "-";
/// How the contact was found: `key`, `phone`, `form` (the number's other national form), `email`,
/// `created` or `none`.
pub const CONTACT_WAY: &str = "contact/way";
/// Which identifying properties the contact held when it was found.
pub const CONTACT_HAS: &str = "contact/has";
/// Contacts that looked alike and were left alone, in words for a rep.
pub const CONTACT_ALIKE: &str = "contact/alike";
/// The contacts that the search by telephone number found.
pub const LOOK_PHONE: &str = "contact/look/phone";
/// The search found more than it gave.
pub const LOOK_PHONE_MORE: &str = "contact/look/phone-more";
/// The contact that has the e-mail address, or `-`.
pub const LOOK_EMAIL: &str = "contact/look/email";
/// The ticket's id.
pub const TICKET: &str = "ticket";
/// Where a person finds the ticket.
pub const TICKET_URL: &str = "ticket/url";
/// The handoff event that opened the ticket.
pub const TICKET_BY: &str = "ticket/by";
/// HubSpot said that the unique id is taken; how far the search for its holder has come.
pub const TICKET_CONFLICT: &str = "ticket/conflict";
/// Which of the session's tickets it is, counted from 1; the earlier ones were deleted.
pub const TICKET_GENERATION: &str = "ticket/generation";
/// The ticket that was deleted before this one was made; `-` where its id is not known.
pub const TICKET_BEFORE: &str = "ticket/before";
/// The ticket after whose end this one was made, and where a person finds that: `<id> <address>`.
pub const TICKET_AFTER: &str = "ticket/after";
/// The message for which a ticket is being made after the end of the one before.
pub const TICKET_FOR: &str = "ticket/for";
/// `open`, or `closed` and since when, as the last poll saw it.
pub const TICKET_STATE: &str = "ticket/state";
/// What the ticket's own read saw last: notes, stage, owner, merges.
pub const SEEN: &str = "ticket/seen";
/// The stages of closed tickets in all pipelines: `<pipeline>/<stage>`, with spaces between.
pub const CLOSED_STAGES: &str = "pipeline/closed";
/// Something that notes are attached to was not found.
pub const DOUBT: &str = "doubt";
/// The contact is gone: notes are attached to the ticket alone.
pub const CONTACT_GONE: &str = "drop/link/contact";
/// The pipeline's id, where the settings give its label.
pub const PIPELINE: &str = "pipeline";
/// The first stage's id, likewise.
pub const STAGE: &str = "stage";
/// The closed stage's id, likewise.
pub const CLOSED_STAGE: &str = "closed-stage";
/// The owner's id, where the settings give the e-mail address.
pub const OWNER: &str = "owner";
/// The contact's tickets, where an open one may take the conversation, the newest first.
pub const APPEND_LIST: &str = "append/list";
/// Their stages.
pub const APPEND_OPEN: &str = "append/open";
/// The open ticket that takes the conversation, or `-`.
pub const APPEND: &str = "append";
/// The latest `hs_timestamp` in use and for which event: `<first> <last> <event id>`.
pub const CLOCK: &str = "clock";
/// Who is in charge, as the ticket's standing field says.
pub const IN_CHARGE: &str = "in-charge";
/// The reply that was heard last.
pub const LAST_REPLY: &str = "last-reply";
/// Search properties that this portal does not have are not searched.
pub const PLAIN_SEARCH: &str = "drop/search";

/// A ticket that the conversation had before, under its own id: replies there are still this
/// conversation's.
pub fn former(ticket: &str) -> String {
    handoffd_contract::feed::former(TICKET, ticket)
}

/// Whose such a ticket is: the one contact that it has, or `several`.
pub fn append_whose(ticket: &str) -> String {
    format!("append/whose/{ticket}")
}

/// The handoff id that such a ticket has, or `-`.
pub fn append_id(ticket: &str) -> String {
    format!("append/id/{ticket}")
}

/// The contact that is kept under the customer's key `n`, or `-`.
pub fn look_key(n: usize) -> String {
    format!("contact/look/key/{n}")
}

/// The contact as it was when this event told more of the customer, or `-`.
pub fn look_update(event: &str) -> String {
    format!("contact/look/update/{event}")
}

/// Another record holds this customer's value of a unique property.
pub fn taken(property: &str) -> String {
    format!("contact/taken/{property}")
}

/// What the mapping or settings say about the contact is written for this handoff.
pub fn contact_updated(event: &str) -> String {
    format!("contact/updated/{event}")
}

/// A field that this portal does not take; the value says why.
pub fn drop(section: &str, field: &str) -> String {
    format!("drop/{section}/{field}")
}

/// The mapping's field that a fact of [`drop`] is about.
pub fn dropped(fact: &str) -> Option<String> {
    let (section, field) = fact.strip_prefix("drop/")?.split_once('/')?;
    matches!(section, "ticket" | "contact").then(|| format!("{section}.{field}"))
}

/// A message is shown.
pub fn said(message: &str) -> String {
    format!("said/{message}")
}

/// A file is with HubSpot.
pub fn upload(message: &str, attachment: &str) -> String {
    format!("upload/{message}/{attachment}")
}

/// A file, or the line in its place, is shown.
pub fn file(message: &str, attachment: &str) -> String {
    format!("file/{message}/{attachment}")
}

/// One of the notes of an event.
pub fn note(event: &str, part: &str) -> String {
    format!("note/{event}/{part}")
}

/// The thread of the ticket when this handoff came, or `-`.
pub fn thread(event: &str) -> String {
    format!("thread/{event}")
}

/// The handoff is shown whole.
pub fn completed(event: &str) -> String {
    format!("completed/{event}")
}

/// The event by which a reply was heard.
pub fn reply(message: &str) -> String {
    format!("reply/{message}")
}

/// The note that says what became of a reply.
pub fn status_note(message: &str) -> String {
    format!("status/{message}")
}

/// The note that says that a reply of another target failed.
pub fn lost(message: &str) -> String {
    format!("lost/{message}")
}

/// What was wrong with a reply; sorted by time.
pub fn trouble(message: &str) -> String {
    format!("trouble/{message}/")
}

/// That note says what this event told of the reply.
pub fn told(message: &str, event: &str) -> String {
    format!("told/{message}/{event}")
}

/// The ticket shows that the session was closed.
pub fn closed(event: &str) -> String {
    format!("closed/{event}")
}

/// The ticket's pipeline and stage when this event came, or `gone`.
pub fn stage_seen(event: &str) -> String {
    format!("stage/{event}")
}

/// The same, read again because it is not known whether the ticket was opened again.
pub fn stage_again(event: &str) -> String {
    format!("stage-again/{event}")
}

/// The ticket was closed when this event came, and is open again.
pub fn reopened(event: &str) -> String {
    format!("reopened/{event}")
}

/// The standing fields are as this event makes them.
pub fn touched(event: &str) -> String {
    format!("touched/{event}")
}

/// We wrote this value of a reported property.
pub fn wrote(property: &str, value: &str) -> String {
    format!("wrote/{property}/{}", ids::short(&[value]))
}

/// The value of [`wrote`], by which a change that is heard is recognised as ours.
pub fn own_value(property: &str, value: &str) -> String {
    record("property", &format!("{property}={}", ids::short(&[value])))
}

/// The list of a ticket's records in which ours are looked for; `kind` as in the API.
pub fn listed(kind: &str) -> String {
    format!("look/{kind}")
}

/// A record as the value of a fact. The kind keeps ids of different kinds apart, because HubSpot
/// numbers each kind by itself.
pub fn record(kind: &str, id: &str) -> String {
    format!("{kind}:{id}")
}

/// Ids of a kind's records that are known to be ours, sorted.
pub fn own<'k>(known: &'k Known, kind: &str) -> Vec<&'k str> {
    let prefix = record(kind, "");
    let mut own: Vec<&str> = known
        .0
        .values()
        .filter_map(|fact| match fact {
            Fact::Is(value) => value.strip_prefix(prefix.as_str()),
            Fact::Unsure { .. } | Fact::Refused { .. } => None,
        })
        .collect();
    own.sort_unstable();
    own.dedup();
    own
}
