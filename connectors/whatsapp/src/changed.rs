//! What a rep is told of a reply that the customer gets in another form than it was written in: a text
//! inside a template, a file as a link. And of a text that was too long for the template.

use handoffd_contract::event::{DeliveryState, RepReply, ReplyStatus};
use handoffd_contract::{Data, Item};

use crate::cloud::{self, File};
use crate::exit::Exit;
use crate::facts::{self, Lane, Window};
use crate::http;
use crate::parts::{self, Content, FALLBACK_SLOT, Part};
use crate::status::Ledger;

/// Tells, once, in which other form a reply has left. Of a reply that failed the failure is told.
pub(crate) fn tell(
    ledger: &mut Ledger<'_>,
    lane: Lane<'_>,
    item: &Item,
    reply: &RepReply,
    parts: &[Part],
) {
    let fact = facts::changed(&item.id);
    let words: Vec<String> = parts
        .iter()
        .filter_map(|part| words(lane, item, part))
        .collect();
    if words.is_empty()
        || lane.known.is(&fact)
        || parts.iter().any(|part| !has_left(lane, item, &part.slot))
    {
        return;
    }
    let status = ReplyStatus {
        target: reply.target.clone(),
        message_id: reply.message_id.clone(),
        state: DeliveryState::Sent,
        detail: Some(words.join(" ")),
        cause: Some(ReplyStatus::CHANGED.to_owned()),
    };
    ledger.set(fact.clone(), "told");
    ledger.event(fact, Data::ReplyStatus(status));
}

/// What is said of the template where a reply waits for the window; empty where none is set.
pub(crate) fn of_template(lane: Lane<'_>, item: &Item, reply: &RepReply) -> String {
    let template = lane.fallback().filter(|_| lane.settings.use_template);
    match template {
        Some(template) if went_inside(lane, item) => {
            format!(" Its text went inside the template {}.", template.name)
        }
        Some(template)
            if matches!(lane.window(), Window::Closed(_))
                && parts::is_too_long(reply, &template) =>
        {
            format!(
                " Its text is too long for the template {}, which takes {} characters: a shorter reply goes at once.",
                template.name,
                parts::PARAMETERS
            )
        }
        _ => String::new(),
    }
}

/// Whether the reply's text has left inside the template. One that was refused carried nothing.
pub(crate) fn went_inside(lane: Lane<'_>, item: &Item) -> bool {
    has_left(lane, item, FALLBACK_SLOT)
}

fn has_left(lane: Lane<'_>, item: &Item, slot: &str) -> bool {
    lane.known.get(&facts::sent(&item.id, slot)).is_some()
}

fn words(lane: Lane<'_>, item: &Item, part: &Part) -> Option<String> {
    match &part.content {
        Content::Template(template) if part.slot == FALLBACK_SLOT => Some(format!(
            "WhatsApp's 24-hour window was closed, so the text went inside the template {}.",
            template.name
        )),
        Content::File { file, kind, .. } if matches!(lane.settings.exit, Exit::CloudApi { .. }) => {
            match cloud::file(lane, &item.id, part, "", file, *kind) {
                File::No(why) => Some(format!("{} went as a link: {why}.", part.label())),
                File::Upload(_) | File::Id(_) => None,
            }
        }
        Content::File { file, kind, .. } => match &lane.settings.exit {
            Exit::Http(gateway) => {
                let why = http::file(gateway, file, *kind).err()?;
                Some(format!("{} went as a link: {why}.", part.label()))
            }
            Exit::CloudApi { .. } | Exit::Gateway { .. } => None,
        },
        _ => None,
    }
}
