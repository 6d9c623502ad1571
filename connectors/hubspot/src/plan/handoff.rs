//! A handoff: the ticket, the internal comment, the transcript, the files, and the record of it.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::event::{Handoff, HandoffCompleted};
use handoffd_contract::text::set_off;
use handoffd_contract::{Call, Contact, Data, Item, Message, Record, Refusal, Repeat, Step};

use super::notes::{Kind, Note};
use super::{Filed, Plan, files};
use crate::facts;
use crate::settings::Comments;
use crate::words::{self, Block};

impl Plan<'_> {
    pub(super) fn handoff(&self, item: &Item, handoff: &Handoff) -> Result<Vec<Step>, Refusal> {
        if self.known.is(&facts::completed(&item.id)) {
            return Ok(Vec::new());
        }
        let contact = if handoff.contact.key().is_some() {
            &handoff.contact
        } else {
            &self.work.contact
        };
        let Some(ticket) = self.known.get(facts::TICKET) else {
            return self.opening(item, handoff, contact);
        };
        if let Some(step) = self.taken_by(item) {
            return Ok(vec![step]);
        }
        let again = self.known.get(facts::TICKET_BY) != Some(item.id.as_str());
        let doubt = self.doubt(ticket, &[], self.renewal(item, handoff));
        let opened = || {
            let renewal = self.renewal(item, handoff);
            let reopening = || self.reopening(item, ticket, renewal);
            let next = || self.succeeding(item, ticket, handoff).or_else(reopening);
            again.then(next).flatten()
        };
        if let Some(step) = doubt.or_else(opened).or_else(|| self.thread(item, ticket)) {
            return Ok(vec![step]);
        }
        let messages = self.messages(item, handoff);
        let files = files::of(messages.iter().copied());
        let texts = self.handoff_notes(item, handoff, contact, &messages);
        let clock = self.clock(
            item,
            item.time,
            texts.len() + files.len().div_ceil(files::PER_NOTE),
        );
        let mut steps = self.show(&texts, &clock, ticket);
        let learned = || again.then(|| self.contact_learns(item, contact)).flatten();
        steps.extend(self.contact_update(item, contact).or_else(learned));
        if again || self.is_appended() {
            steps.extend(self.touch(item, ticket, self.standing_of(item, handoff)));
        }
        if steps.is_empty() {
            steps = self.uploads(&files);
        }
        if steps.is_empty() {
            steps = self.show(
                &self.file_notes(item, contact, &files, texts.len()),
                &clock,
                ticket,
            );
        }
        if steps.is_empty() {
            steps.push(self.complete(item, ticket, &files));
        }
        Ok(steps)
    }

    /// The messages that this handoff brings: all but those that earlier items showed. The answer
    /// stays the same while the handoff is worked off, so that its notes keep their parts.
    fn messages<'h>(&self, item: &Item, handoff: &'h Handoff) -> Vec<&'h Message> {
        let prefix = facts::note(&item.id, "");
        let own: BTreeSet<&str> = self.known.under(&prefix).map(|(_, value)| value).collect();
        let opened = self.known.get(facts::TICKET_BY) == Some(item.id.as_str());
        let mut seen = BTreeSet::new();
        handoff
            .transcript
            .iter()
            .filter(|message| seen.insert(message.id.as_str()))
            .filter(|message| match self.known.get(&facts::said(&message.id)) {
                None => true,
                Some(shown) => own.contains(shown) || opened && shown.starts_with("tickets:"),
            })
            .collect()
    }

    /// The internal comment, then what the ticket's description does not hold of the transcript.
    fn handoff_notes(
        &self,
        item: &Item,
        handoff: &Handoff,
        contact: &Contact,
        messages: &[&Message],
    ) -> Vec<Note> {
        let first = self
            .known
            .get(facts::TICKET_BY)
            .is_none_or(|by| by == item.id);
        let title = if first {
            "AI handoff from WhatsApp"
        } else {
            "AI handoff from WhatsApp, again"
        };
        let mut blocks = Vec::new();
        for (label, value) in words::reasoning(handoff) {
            blocks.extend(match label.as_str() {
                "Session" if value.starts_with("https://") || value.starts_with("http://") => {
                    vec![words::link(&value)]
                }
                _ => Block::labelled(&label, &value),
            });
        }
        if first && let Some(how) = self.contact_words() {
            blocks.extend(Block::labelled("Contact", how));
        }
        for note in item
            .rendered
            .iter()
            .flat_map(|rendered| rendered.notes.iter().cloned())
            .chain(self.degraded())
        {
            blocks.extend(Block::labelled("Please note", &set_off(&note)));
        }
        if first {
            blocks.extend(self.former_ticket());
        }
        if first && self.is_appended() {
            let words = "The customer's open ticket has taken this conversation.";
            blocks.extend(Block::plain(words, None));
        }
        if self.known.is(&facts::reopened(&item.id)) {
            let words = "The ticket was closed and has been opened again.";
            blocks.extend(Block::plain(words, None));
        }
        blocks.extend(Block::plain(&self.reply_hint(), None));
        let kind = match self.known.get(&facts::thread(&item.id)) {
            Some(thread) if self.settings.comments == Comments::ThreadOrNote && thread != "-" => {
                Kind::Comment(thread.to_owned())
            }
            _ => Kind::Note,
        };
        let mut notes = self.split(item, "h", kind, title, blocks);
        let rest = messages.iter().filter(|message| {
            self.known
                .get(&facts::said(&message.id))
                .is_none_or(|shown| !shown.starts_with("tickets:"))
        });
        let lines = rest
            .flat_map(|message| Block::plain(&self.line(message, contact), Some(&message.id)))
            .collect();
        for note in self.split(item, "t", Kind::Note, words::CONVERSATION, lines) {
            notes.push(note.at(notes.len()));
        }
        notes
    }

    /// How the contact was found, for the first note.
    fn contact_words(&self) -> Option<&'static str> {
        Some(match self.known.get(facts::CONTACT_WAY)? {
            "key" => "found by the customer's WhatsApp id, which it holds.",
            "phone" => "found by its telephone number.",
            "form" => "found by its telephone number, which WhatsApp writes in another form.",
            "email" => {
                "found by nothing but the e-mail address that the customer gave, which proves nothing; please make sure. The contact was not changed."
            }
            "created" => "created for this customer.",
            "none" => "none.",
            _ => return None,
        })
    }

    pub(super) fn reply_hint(&self) -> String {
        let settings = self.settings;
        if settings.poll_seconds > 0 || settings.webhook.is_some() {
            match settings.reply_marker.prefix() {
                Some(prefix) => format!(
                    "To answer the customer on WhatsApp, add a note to this ticket that begins with {prefix}. Every other note stays internal."
                ),
                None => "Every note that you add to this ticket goes to the customer on WhatsApp. None stays internal.".to_owned(),
            }
        } else if settings.channel_id.is_some() {
            "To answer the customer on WhatsApp, reply in the conversation. Notes stay internal."
                .to_owned()
        } else {
            "Notes stay internal. Answers are not carried from this ticket to WhatsApp; use the session's page.".to_owned()
        }
    }

    /// What could not be brought over as it was, in words for a rep.
    fn degraded(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for section in ["ticket", "contact"] {
            for (field, why) in self.known.under(&format!("drop/{section}/")) {
                // Without a property of its own, the user id is kept where the number would be.
                // A standing field that the portal lacks is the operator's to add.
                if field == self.settings.user_id_property
                    || section == "ticket" && self.settings.standing.is_one(field)
                {
                    continue;
                }
                notes.push(format!(
                    "HubSpot did not take the {section} field {field} ({why})"
                ));
            }
        }
        if let Some((_, why)) = self.known.refused(facts::OWNER) {
            notes.push(why.to_owned());
        }
        if let Some(before) = self.known.get(facts::TICKET_BEFORE) {
            let id = Some(before)
                .filter(|id| *id != "-")
                .map(|id| format!(" {id}"));
            let id = id.unwrap_or_default();
            notes.push(format!(
                "The conversation's earlier ticket{id} was deleted, so this one was made"
            ));
        }
        if let Some(alike) = self.known.get(facts::CONTACT_ALIKE) {
            notes.push(format!("Looked alike and was left alone: {alike}"));
        }
        if self.known.get(facts::CONTACT_WAY) == Some("none") {
            let why = self.known.get(facts::CONTACT_GONE).unwrap_or_default();
            notes.push(format!("The ticket has no contact: {why}"));
        }
        notes
    }

    /// The standing fields that this portal does not take, for those who run it.
    fn lacking(&self) -> Option<String> {
        let dropped = self.known.under("drop/ticket/");
        let fields: Vec<&str> = dropped
            .map(|(field, _)| field)
            .filter(|field| self.settings.standing.is_one(field))
            .collect();
        (!fields.is_empty()).then(|| {
            format!(
                "HubSpot did not take the standing fields {}; `handoffd check --live --create-missing` adds those that are missing",
                fields.join(", ")
            )
        })
    }

    fn complete(&self, item: &Item, ticket: &str, files: &[Filed<'_>]) -> Step {
        let rendered = item
            .rendered
            .iter()
            .flat_map(|rendered| rendered.notes.iter().cloned());
        let missing = files.iter().filter_map(|(message, attachment)| {
            let why = self.uploaded(message, attachment)?.err()?;
            let name = attachment.file_name();
            Some(format!("{name} is not attached: {}", why.message))
        });
        let mut records = BTreeMap::from([("ticket".to_owned(), ticket.to_owned())]);
        if let Some(contact) = self.contact_id() {
            records.insert("contact".to_owned(), contact.to_owned());
        }
        let completed = HandoffCompleted {
            target: self.work.target.clone(),
            handoff: item.id.clone(),
            records,
            url: self.ticket_url(ticket),
            notes: rendered
                .chain(self.degraded())
                .chain(missing)
                .chain(self.lacking())
                .collect(),
        };
        let fact = facts::completed(&item.id);
        let record = Record {
            facts: vec![(fact.clone(), ticket.into())],
            events: vec![(fact, Data::HandoffCompleted(completed))],
        };
        Step::new("handoff.complete", Repeat::Keyed, Call::Record(record))
    }
}
