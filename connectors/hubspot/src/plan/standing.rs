//! The standing fields of the ticket. They are written beside what an event shows and hold nothing up:
//! a property that the portal does not have, or does not take the value for, is left out.

use handoffd_contract::event::{Handoff, SessionRated, sentiment};
use handoffd_contract::text::truncate;
use handoffd_contract::{AuthorKind, Data, HttpCall, Item, Message, Method, Repeat, Step};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{Plan, notes};
use crate::facts;
use crate::settings::Field;

/// How long after the customer's last message WhatsApp takes free text.
/// <https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages>
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// The longest value.
const MAX_VALUE: usize = 500;

/// Fields with their values.
pub(super) type Values = Vec<(Field, String)>;

impl Plan<'_> {
    /// What a handoff says of the conversation.
    pub(super) fn standing_of(&self, item: &Item, handoff: &Handoff) -> Values {
        let session = &handoff.session;
        let said = &handoff.handoff;
        let mood = said.sentiment.as_deref();
        let mood = mood.map(|mood| sentiment(mood).unwrap_or(mood).to_owned());
        let language = said.language.clone().or_else(|| session.language.clone());
        let transcript = handoff.transcript.iter();
        let messages = transcript.filter(|message| !message.is_remark());
        let last = messages.clone().map(|message| message.time).max();
        let of_customer = messages
            .filter(|message| message.author.kind == AuthorKind::Customer)
            .map(|message| message.time)
            .max();
        let id = Some(&session.id).filter(|id| !id.is_empty());
        let id = id.unwrap_or(&self.work.session.id).clone();
        [
            (Field::Session, Some(id)),
            (Field::Language, language),
            (Field::Sentiment, mood),
            (Field::Channel, Some(session.channel.clone())),
            (Field::LastMessage, last.map(written)),
            (Field::WindowEnd, self.window_end(of_customer)),
            (Field::Controller, Some(self.controller(item))),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
        .collect()
    }

    /// What a later message changes.
    pub(super) fn standing_after(&self, message: &Message) -> Values {
        // A remark is no message, and opens no window.
        if message.is_remark() {
            return Vec::new();
        }
        let mut values = vec![(Field::LastMessage, written(message.time))];
        if message.author.kind == AuthorKind::Customer {
            let end = self.window_end(Some(message.time));
            values.extend(end.map(|end| (Field::WindowEnd, end)));
        }
        values
    }

    /// Who is in charge after an event.
    pub(super) fn controller(&self, item: &Item) -> String {
        let controller = self.work.controller_at(item);
        controller.line(&self.work.target)
    }

    /// Somebody else is in charge. That alone opens nothing, and what is overtaken is not written.
    pub(super) fn in_charge(&self, item: &Item) -> Option<Step> {
        let ticket = self.known.get(facts::TICKET)?;
        let later = self.work.items.iter().rev();
        let last = later
            .take_while(|other| other.id != item.id)
            .any(|other| matches!(other.data, Data::SessionState(_)));
        let value = self.controller(item);
        if last || self.known.get(facts::IN_CHARGE) == Some(&value) {
            return None;
        }
        self.touch(item, ticket, vec![(Field::Controller, value)])
    }

    fn window_end(&self, said: Option<Timestamp>) -> Option<String> {
        let last = said.max(self.work.last_inbound)?;
        last.checked_add(WINDOW).ok().map(written)
    }

    /// The customer has rated the conversation.
    pub(super) fn rated(&self, item: &Item, rated: &SessionRated) -> Vec<Step> {
        let Some(ticket) = self.known.get(facts::TICKET) else {
            return Vec::new();
        };
        let score = vec![(Field::Rating, rated.score.to_string())];
        self.touch(item, ticket, score).into_iter().collect()
    }

    /// Values by their properties, but for those that are not written here.
    pub(super) fn stood(&self, values: Values) -> Map<String, Value> {
        let mut properties = Map::new();
        for (field, value) in values {
            let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
            let Some(name) = self.settings.standing.property(field) else {
                continue;
            };
            if !line.is_empty() && !self.known.is(&facts::drop("ticket", name)) {
                properties.insert(name.to_owned(), json!(truncate(&line, MAX_VALUE)));
            }
        }
        properties
    }

    /// Writes what an event changes.
    pub(super) fn touch(&self, item: &Item, ticket: &str, values: Values) -> Option<Step> {
        let fact = facts::touched(&item.id);
        if self.known.is(&fact) {
            return None;
        }
        let controller = values.iter().find(|(field, _)| *field == Field::Controller);
        let controller = controller.map(|(_, value)| value.clone());
        let properties = self.stood(values);
        if properties.is_empty() {
            return None;
        }
        let call = HttpCall::new(Method::Patch, self.settings.paths.one("tickets", ticket))
            .json(json!({"properties": properties}));
        let step = Step::new("ticket.touch", Repeat::Keyed, call).claim_as(fact, "done");
        Some(match controller {
            Some(value) => step.claim_as(facts::IN_CHARGE, value),
            None => step,
        })
    }
}

fn written(time: Timestamp) -> String {
    notes::iso(time.as_millisecond())
}
