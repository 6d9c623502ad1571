//! What the rep is told in the thread beside what the customer says, and what the gateway is told of the
//! rep's desk.

use handoffd_contract::event::{DeliveryState, RepActivity, ReplyStatus};
use handoffd_contract::{Data, HttpCall, Item, Known, Record, Refusal, Repeat, Step, Work};
use serde_json::json;

use crate::facts::{self, Lane};
use crate::send::{Memo, path};
use crate::{Salesforce, kept, pieces, words};

impl Salesforce {
    /// What became of a reply: a receipt where MIAW has one, else a message that the rep sees.
    pub(crate) fn told(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        item: &Item,
        status: &ReplyStatus,
    ) -> Result<Option<Step>, Refusal> {
        let state = match status.state {
            DeliveryState::Sent if !status.settles() => return Ok(None),
            _ => status.word(),
        };
        let fact = format!("told/{}/{state}", status.message_id);
        if known.is(&fact) || known.is(&facts::kept(&fact)) || !lane.begun() {
            return Ok(None);
        }
        if let DeliveryState::Held | DeliveryState::Failed | DeliveryState::Sent = status.state {
            let text = words::undelivered(status, self.settings.message_limit);
            let row = pieces::note(known, &fact, text.clone());
            let Some(piece) = row.into_iter().find(|piece| !known.is(&piece.fact)) else {
                return Ok(None);
            };
            if self.is_kept(known, lane, &piece.fact, true) {
                let note = kept::note(item, &fact, text);
                return self.keep(work, known, lane, &note).map(Some);
            }
            return Ok(Some(self.open(work, known, lane, piece)));
        }
        // A receipt is worth no new conversation.
        let Some(conversation) = known.get("conversation") else {
            return Ok(None);
        };
        let id = lane.id("receipt", &fact);
        let entry = if state == "read" { "Read" } else { "Delivery" };
        let body = json!({ "acks": [
            { "id": id, "entryType": entry, "conversationEntryId": status.message_id }
        ]});
        let call = HttpCall::post(format!("{}/acknowledge-entries", path(conversation)), body);
        // A second receipt for the same entry says the same.
        let context = Memo {
            fact: fact.clone(),
            value: id.clone(),
            ..Memo::default()
        };
        Ok(Some(
            self.step("reply.acknowledge", Repeat::Keyed, call, lane, &context)
                .claim_as(fact, id),
        ))
    }

    /// A line for the rep; after the end it opens nothing and is told to nobody.
    pub(crate) fn notice(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        item: &Item,
        text: &str,
    ) -> Option<Step> {
        self.told_once(work, known, lane, format!("notice/{}", item.id), text)
    }

    /// A reply that a rep of another target wrote, and that the thread shows, has failed for good.
    pub(crate) fn lost_elsewhere(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        status: &ReplyStatus,
    ) -> Option<Step> {
        let lost = work.lost_elsewhere(status)?;
        if !known.is(&facts::said(&lost.message)) {
            return None;
        }
        let fact = format!("notice/lost/{}", lost.message);
        self.told_once(work, known, lane, fact, &lost.text)
    }

    /// A line of ours under its own fact.
    fn told_once(
        &self,
        work: &Work,
        known: &Known,
        lane: &Lane<'_>,
        fact: String,
        text: &str,
    ) -> Option<Step> {
        if !lane.begun() || lane.is_over() || known.is(&fact) {
            return None;
        }
        let row = pieces::note(known, &fact, format!("⚠ {text}"));
        let piece = row.into_iter().find(|piece| !known.is(&piece.fact))?;
        Some(self.open(work, known, lane, piece))
    }

    /// A rep has read an entry: the gateway is told which message that is.
    pub(crate) fn read_mark(
        &self,
        known: &Known,
        lane: &Lane<'_>,
        item: &Item,
        done: &RepActivity,
    ) -> Option<Step> {
        let fact = format!("seen/{}", item.id);
        let entry = done.record.as_deref()?;
        if done.message_id.is_some() || known.is(&fact) {
            return None;
        }
        let message = lane.shown_by(entry)?;
        let read = RepActivity {
            message_id: Some(message.to_owned()),
            ..done.clone()
        };
        let record = Record {
            facts: vec![(fact.clone(), message.into())],
            events: vec![(fact, Data::RepActivity(read))],
        };
        Some(Step::new("reply.seen", Repeat::Safe, record))
    }
}
