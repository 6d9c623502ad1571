//! What a case says of its conversation at any time, in columns that the settings name: which session
//! it is, who is in charge of it, until when WhatsApp's window is open, when the last message was, how
//! far the last reply is.
//!
//! They are written when everything else of the work is shown, those that changed in one call, and
//! never stop anything: a column that the site refuses is left out from then on, and the case says so.

use handoffd_contract::{Data, HttpCall, Known, Method, Repeat, Step, Work};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::open::records;
use super::replies::Told;
use crate::facts::{dropped_fact, standing_apart_fact, standing_fact};
use crate::words::MEDIUM;
use crate::{Creatio, wire};

/// How long a customer's message keeps the window open.
/// <https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages#customer-service-windows>
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// What a standing column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Session,
    Language,
    Sentiment,
    Channel,
    WindowEnd,
    LastMessage,
    ReplyState,
    Rating,
    Satisfaction,
    Controller,
}

impl Standing {
    /// Each with its key in the settings, and the column that `check --live` looks for.
    pub(crate) const ALL: [(Standing, &'static str, &'static str); 9] = [
        (Standing::Session, "session", "UsrWhatsAppSession"),
        (Standing::Language, "language", "UsrWhatsAppLanguage"),
        (Standing::Sentiment, "sentiment", "UsrWhatsAppSentiment"),
        (Standing::Channel, "channel", "UsrWhatsAppChannel"),
        (Standing::WindowEnd, "window_end", "UsrWhatsAppWindowEnd"),
        (
            Standing::LastMessage,
            "last_message",
            "UsrWhatsAppLastMessage",
        ),
        (Standing::ReplyState, "reply_state", "UsrWhatsAppReplyState"),
        (Standing::Rating, "rating", "UsrWhatsAppRating"),
        (Standing::Controller, "controller", "UsrWhatsAppController"),
    ];

    /// Its value, as far as the work says it.
    fn value(self, work: &Work, levels: &[String]) -> Option<String> {
        let text = |text: &str| Some(wire::one_line(text, MEDIUM)).filter(|text| !text.is_empty());
        let handoff = || {
            work.items.iter().rev().find_map(|item| match &item.data {
                Data::HandoffRequested(handoff) => Some(&handoff.handoff),
                _ => None,
            })
        };
        match self {
            Standing::Session => text(&work.session.id),
            Standing::Channel => text(&work.session.channel),
            Standing::Language => handoff()
                .and_then(|handoff| handoff.language.as_deref())
                .or(work.session.language.as_deref())
                .and_then(text),
            Standing::Sentiment => text(handoff()?.sentiment.as_deref()?),
            Standing::WindowEnd => Some(wire::time(work.last_inbound? + WINDOW)),
            Standing::LastMessage => last_message(work).map(wire::time),
            Standing::Rating => rating(work).map(|score| score.to_string()),
            Standing::Satisfaction => {
                let score = usize::try_from(rating(work)?).ok()?;
                levels.get(score.checked_sub(1)?).cloned()
            }
            Standing::ReplyState => work.items.iter().rev().find_map(|item| match &item.data {
                Data::ReplyStatus(status) if status.target == work.target => {
                    text(&Told::of(status, item.time).brief())
                }
                _ => None,
            }),
            Standing::Controller => {
                text(&work.controller_at(work.items.last()?).line(&work.target))
            }
        }
    }
}

/// The score that the customer gave, as far as the work holds it.
fn rating(work: &Work) -> Option<u32> {
    work.items.iter().rev().find_map(|item| match &item.data {
        Data::SessionRated(rated) if rated.target == work.target => Some(rated.score),
        _ => None,
    })
}

/// When the customer or the business last said something, as far as the work holds it.
fn last_message(work: &Work) -> Option<Timestamp> {
    let said = work.items.iter().filter_map(|item| match &item.data {
        Data::MessageReceived(event) | Data::MessageSent(event) => {
            Some(event.message.time).filter(|_| !event.message.is_remark())
        }
        Data::HandoffRequested(handoff) => {
            let mut transcript = handoff.transcript.iter().rev();
            let last = transcript.find(|message| !message.is_remark());
            last.map(|last| last.time)
        }
        Data::RepReplied(_) => Some(item.time),
        _ => None,
    });
    said.max()
}

impl Creatio {
    /// The write of what changed.
    pub(super) fn standing(&self, work: &Work, known: &Known) -> Vec<Step> {
        if work.items.is_empty() || self.settings.standing.is_empty() {
            return Vec::new();
        }
        let Some(records) = records(known) else {
            return Vec::new();
        };
        let mut changed: Vec<(String, String, &String)> = Vec::new();
        for (what, column) in &self.settings.standing {
            let fact = standing_fact(records.case, column);
            let value = what
                .value(work, &self.settings.satisfaction_levels)
                .filter(|value| known.get(&fact) != Some(value))
                .filter(|_| !known.is(&dropped_fact("Case", column)));
            changed.extend(value.map(|value| (fact, value, column)));
        }
        if known.is(&standing_apart_fact(records.case)) {
            changed.truncate(1);
        }
        if changed.is_empty() {
            return Vec::new();
        }
        let columns: Map<String, Value> = changed
            .iter()
            .map(|(_, value, column)| ((*column).clone(), Value::from(value.clone())))
            .collect();
        let names: Vec<&String> = columns.keys().collect();
        let context = json!({ "columns": names, "case": records.case });
        let call = HttpCall::new(Method::Patch, self.record("Case", records.case))
            .json(columns.clone().into());
        let step = Step::new("case.standing", Repeat::Keyed, call).context(context);
        let claimed = changed
            .into_iter()
            .fold(step, |step, (fact, value, _)| step.claim_as(fact, value));
        vec![claimed]
    }
}
