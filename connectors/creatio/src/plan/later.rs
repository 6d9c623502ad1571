//! After the handoff, or without one: messages, what became of replies, and the end.

use handoffd_contract::event::{DeliveryState, MessageEvent, ReplyStatus, SessionClosed};
use handoffd_contract::{
    Data, HttpCall, Item, Known, Message, Method, Refusal, Repeat, Step, Work, ids,
};
use serde_json::json;

use super::compose::{self, Place};
use super::open::{ADOPTED, Records, records};
use super::rows::Row;
use super::{distinct, ended, is_empty};
use crate::Creatio;
use crate::settings::Mode;

/// Messages after the handoff that travel in one batch when several are waiting.
const TOGETHER: usize = 20;

impl Creatio {
    /// The messages at the front of `items`, and how many items they are: several without files in
    /// one batch, one with files by itself.
    pub(super) fn messages(
        &self,
        work: &Work,
        known: &Known,
        items: &[Item],
    ) -> Result<(Vec<Step>, usize), Refusal> {
        let mut rows = Vec::new();
        let mut run = 0;
        let mut last = None;
        for item in items.iter().take(TOGETHER) {
            let (event, customer) = match &item.data {
                Data::MessageReceived(event) => (event, true),
                Data::MessageSent(event) => (event, false),
                _ => break,
            };
            if skipped(event, customer) {
                run += 1;
                continue;
            }
            let Some(records) = records(known) else {
                if !customer || self.settings.mode == Mode::HandoffOnly {
                    run += 1;
                    continue;
                }
                // Every conversation has a case from the customer's first message on.
                let steps = self.open(work, known, item, None)?;
                return Ok((steps, run + 1));
            };
            if self.settings.mode == Mode::EveryConversation && unopened(known) {
                let steps = self.ensure(
                    self.opening_rows(work, item, &event.message, records),
                    known,
                    false,
                );
                if !steps.is_empty() {
                    return Ok((steps, run + 1));
                }
            }
            let message = &event.message;
            let time = message.time.as_millisecond();
            let before = last.or_else(|| latest(known, &item.id));
            let start = after(time, before);
            last = Some(start);
            let place = Place {
                case: records.case,
                contact: records.contact,
                start,
            };
            let with_files = !message.attachments.is_empty();
            if with_files && !rows.is_empty() {
                break;
            }
            run += 1;
            rows.extend(
                self.unsaid(work, known, message, place)
                    .map(|row| row.claim(format!("last/{}", item.id), start.to_string())),
            );
            if with_files {
                rows.extend(self.file_rows(work, known, message, records.case));
                let mut steps = self.ensure(rows, known, false);
                steps.extend(self.file_steps(known, message));
                distinct(&mut steps);
                return Ok((steps, run));
            }
        }
        Ok((self.ensure(rows, known, true), run.max(1)))
    }

    /// What stands first on a case that a message opened: the way to the session.
    pub(super) fn opening_rows(
        &self,
        work: &Work,
        item: &Item,
        message: &Message,
        records: Records<'_>,
    ) -> Vec<Row> {
        let url = work.session.url.as_deref();
        let id = ids::uuid(&["creatio", "opened", &work.session.id, &work.target]);
        let place = Place {
            case: records.case,
            contact: records.contact,
            start: message.time.as_millisecond() - 1,
        };
        let text = compose::link_line(url, &work.session.id);
        let mut rows = vec![self.activity(
            "opened".into(),
            id,
            &item.id,
            "WhatsApp conversation",
            &text,
            place,
        )];
        rows.extend(self.session_link(work, url, records.case));
        rows
    }

    /// A rep must never believe that a reply arrived when it did not, nor that it still waits when
    /// it has gone out.
    pub(super) fn told(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        status: &ReplyStatus,
    ) -> Vec<Step> {
        let fact = |state: &str| format!("told/{}/{state}", status.message_id);
        let waited = known.is(&fact("held")) || known.under(&fact("held/")).next().is_some();
        let detail = status
            .detail
            .as_deref()
            .unwrap_or("WhatsApp gave no reason");
        let (state, line) = match status.state {
            DeliveryState::Held if status.may_have_arrived() => (
                status.word(),
                format!("Not known whether it reached WhatsApp: {detail}"),
            ),
            DeliveryState::Held => (
                status.word(),
                format!("Not delivered to WhatsApp yet: {detail}"),
            ),
            DeliveryState::Failed => (
                status.word(),
                format!("Not delivered to WhatsApp: {detail}"),
            ),
            DeliveryState::Sent if status.settles() => {
                (status.word(), format!("Sent to WhatsApp: {detail}"))
            }
            DeliveryState::Delivered | DeliveryState::Read if waited => (
                "delivered".to_owned(),
                "Delivered to WhatsApp: the reply that was waiting".to_owned(),
            ),
            // Creatio has no light way to acknowledge; a row per receipt would bury the conversation.
            DeliveryState::Sent | DeliveryState::Delivered | DeliveryState::Read => {
                return Vec::new();
            }
        };
        let Some(records) = records(known).filter(|_| !known.is(&fact(&state))) else {
            return Vec::new();
        };
        let id = ids::uuid(&[
            "creatio",
            "told",
            &work.session.id,
            &work.target,
            &status.message_id,
            &state,
        ]);
        let start = after(item.time.as_millisecond(), latest(known, &item.id));
        let place = Place {
            case: records.case,
            contact: records.contact,
            start,
        };
        let row = self.activity(fact(&state), id, &item.id, &line, &line, place);
        self.ensure(
            vec![row.claim(format!("last/{}", item.id), start.to_string())],
            known,
            true,
        )
    }

    /// Closes the case, unless somebody has: a look, then the write.
    pub(super) fn closed(&self, known: &Known, item: &Item, closed: &SessionClosed) -> Vec<Step> {
        let (Some(status), Some(records)) = (&self.settings.resolved_status, records(known)) else {
            return Vec::new();
        };
        let fact = format!("closed/{}", item.id);
        if known.is(&fact) || closed.resolved == Some(false) {
            return Vec::new();
        }
        let looked = format!("closing/{}", item.id);
        if !known.is(&looked) {
            let filter = format!(
                "Id eq {} and Status/IsFinal eq false and Status/IsResolved eq false",
                records.case
            );
            let call = HttpCall::get(self.path("Case"))
                .query("$filter", filter)
                .query("$select", "Id,StatusId")
                .query("$top", "1");
            let memo = json!({ "closing": looked, "closed": fact });
            return vec![Step::look("case.is_open", call).claim(looked).memo(memo)];
        }
        let call = HttpCall::new(Method::Patch, self.record("Case", records.case))
            .json(json!({ "StatusId": status }));
        let step = Step::new("case.close", Repeat::Keyed, call).claim_as(fact, ended(records.case));
        vec![step.memo(json!({ "columns": ["StatusId"] }))]
    }
}

/// Whether a message is none of ours to show: our own relayed reply, or nothing at all.
pub(super) fn skipped(event: &MessageEvent, customer: bool) -> bool {
    is_empty(&event.message) || (!customer && event.reference.is_some())
}

/// Whether the case was opened by a message and does not lead to the session yet.
pub(super) fn unopened(known: &Known) -> bool {
    !known.is("opened")
        && known.get("fields").is_none_or(|by| by == ADOPTED)
        && known.under("completed/").next().is_none()
}

/// When the last row of an earlier item sorts.
pub(super) fn latest(known: &Known, item: &str) -> Option<i64> {
    known
        .under("last/")
        .filter(|(id, _)| *id != item)
        .filter_map(|(_, at)| at.parse().ok())
        .max()
}

/// When a row sorts that comes after another: its own time, and within the same second just behind.
pub(super) fn after(time: i64, before: Option<i64>) -> i64 {
    match before {
        Some(before) if before >= time && before - time < 1_000 => before + 1,
        _ => time,
    }
}
