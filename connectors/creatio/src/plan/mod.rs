//! What to call next, from the work and what is known: items strictly in order, and inside one item
//! everything that can be done side by side.

mod compose;
mod files;
mod open;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::event::{
    DeliveryState, HandoffCompleted, MessageEvent, ReplyStatus, SessionClosed,
};
use handoffd_contract::{
    Data, Handoff, HttpCall, Item, Known, Message, Method, Record, Refusal, Repeat, Step, Work, ids,
};
use serde_json::json;

use crate::Creatio;
use crate::settings::Mode;
pub(crate) use compose::OURS;
use compose::Place;
use files::placeholders;
pub(crate) use open::{ADOPTED, NONE};
use open::{Records, records};
use rows::Row;
pub(crate) use rows::{dropped_fact, hollow_fact, part_headers};

/// Messages after the handoff that travel in one batch when several are waiting.
const TOGETHER: usize = 20;

impl Creatio {
    /// Every call that can be made now.
    pub(crate) fn plan(&self, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
        let mut items = work.items.as_slice();
        while let Some((item, rest)) = items.split_first() {
            let steps = match &item.data {
                Data::HandoffRequested(handoff) => self.handoff(work, known, item, handoff)?,
                Data::MessageReceived(_) | Data::MessageSent(_) => {
                    let (steps, run) = self.messages(work, known, items)?;
                    if steps.is_empty() {
                        items = &items[run..];
                        continue;
                    }
                    steps
                }
                Data::ReplyStatus(status) if status.target == work.target => {
                    self.told(work, known, item, status)
                }
                Data::SessionClosed(closed)
                    if closed.closed_by.as_deref() != Some(work.target.as_str()) =>
                {
                    self.closed(known, item, closed)
                }
                _ => Vec::new(),
            };
            if !steps.is_empty() {
                return Ok(steps);
            }
            items = rest;
        }
        Ok(Vec::new())
    }

    fn handoff(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        handoff: &Handoff,
    ) -> Result<Vec<Step>, Refusal> {
        let done = format!("completed/{}", item.id);
        if known.is(&done) {
            return Ok(Vec::new());
        }
        let steps = self.open(work, known, item, Some(handoff))?;
        let Some(records) = records(known).filter(|_| steps.is_empty()) else {
            return Ok(steps);
        };

        let (mut rows, last) = self.handoff_rows(work, known, item, handoff, records);
        for message in &handoff.transcript {
            rows.extend(self.file_rows(work, known, message, records.case));
        }
        let mut steps = self.ensure(rows, known, false);
        steps.extend(self.fields(work, known, item, handoff, records));
        let uploads = handoff
            .transcript
            .iter()
            .flat_map(|m| self.file_steps(known, m))
            .take(files::UPLOADS);
        steps.extend(uploads);
        distinct(&mut steps);
        if !steps.is_empty() {
            return Ok(steps);
        }
        let completed = Data::HandoffCompleted(self.completed(work, known, item, handoff, records));
        let record = Record {
            facts: vec![
                (done.clone(), records.case.to_owned()),
                (format!("last/{}", item.id), last.to_string()),
            ],
            events: vec![(done, completed)],
        };
        Ok(vec![Step::new("handoff.completed", Repeat::Keyed, record)])
    }

    /// The note, the session's link and a row per message that is not shown yet; and when the last
    /// of them sorts.
    fn handoff_rows(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        handoff: &Handoff,
        records: Records<'_>,
    ) -> (Vec<Row>, i64) {
        let url = handoff
            .session
            .url
            .as_deref()
            .or(work.session.url.as_deref());
        let asked = handoff
            .handoff
            .requested_at
            .unwrap_or(item.time)
            .as_millisecond();
        let opens = known.get("fields") == Some(item.id.as_str()) && !known.is("opened");
        let place = |start| Place {
            case: records.case,
            contact: records.contact,
            start,
        };

        let mut rows = Vec::new();
        let mut last: Option<i64> = None;
        for message in handoff
            .transcript
            .iter()
            .filter(|message| !is_empty(message))
        {
            let time = message.time.as_millisecond();
            // Creatio sorts by StartDate alone, and WhatsApp counts in seconds.
            let start = last.map_or(time, |last| time.max(last + 1));
            last = Some(start);
            rows.extend(self.unsaid(work, known, message, place(start)));
        }
        let first = handoff.transcript.first().map(|m| m.time.as_millisecond());
        // The note that opens a case is its first activity; a later one comes after what was said.
        let (at, last) = match (opens, first, last) {
            (true, Some(first), Some(last)) => (first - 1, last),
            (_, _, last) => {
                let at = last
                    .map_or(asked, |last| asked.max(last + 1))
                    .max(latest(known, &item.id).map_or(i64::MIN, |l| l + 1));
                (at, at)
            }
        };
        let (title, mut text) = compose::note(
            handoff,
            item.rendered.as_ref(),
            url,
            work.session.language.as_deref(),
            &work.session.id,
        );
        for remark in compose::mapped("case", item.rendered.as_ref()).1 {
            text.push_str(&format!("\nNote: {remark}"));
        }
        let id = ids::uuid(&["creatio", "note", &work.session.id, &work.target, &item.id]);
        rows.insert(
            0,
            self.activity(
                format!("note/{}", item.id),
                id,
                &item.id,
                &title,
                &text,
                place(at),
            ),
        );
        rows.extend(self.session_link(work, url, records.case));
        (rows, last)
    }

    /// A message's row, when it is not shown.
    fn unsaid(
        &self,
        work: &Work,
        known: &Known,
        message: &Message,
        place: Place<'_>,
    ) -> Option<Row> {
        let fact = format!("said/{}", message.id);
        if known.is(&fact) {
            return None;
        }
        let (claims, remarks) = self.refused(known, message);
        let id = ids::uuid(&[
            "creatio",
            "said",
            &work.session.id,
            &work.target,
            &message.id,
        ]);
        let mut row = self.message_row(fact, id, message, &remarks, place);
        row.claims.extend(claims);
        Some(row)
    }

    /// The case's columns, when the case was opened before people were needed.
    fn fields(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        handoff: &Handoff,
        records: Records<'_>,
    ) -> Option<Step> {
        if known.is("fields") {
            return None;
        }
        let mut columns = self.case_columns(work, item.rendered.as_ref(), Some(handoff));
        columns.retain(|column, _| !known.is(&dropped_fact("Case", column)));
        let memo = json!({ "columns": columns.keys().collect::<Vec<_>>() });
        let call =
            HttpCall::new(Method::Patch, self.record("Case", records.case)).json(columns.into());
        Some(
            Step::new("case.update", Repeat::Keyed, call)
                .claim_as("fields", &item.id)
                .memo(memo),
        )
    }

    fn completed(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        handoff: &Handoff,
        records: Records<'_>,
    ) -> HandoffCompleted {
        let mut ids = BTreeMap::from([
            ("case".to_owned(), records.case.to_owned()),
            ("contact".to_owned(), records.contact.to_owned()),
        ]);
        if let Some(number) = known.get("case/number") {
            ids.insert("number".to_owned(), number.to_owned());
        }
        let mut notes: Vec<String> = item.rendered.iter().flat_map(|r| r.notes.clone()).collect();
        notes.extend(compose::mapped("case", item.rendered.as_ref()).1);
        notes.extend(compose::mapped("contact", item.rendered.as_ref()).1);
        notes.extend(
            known
                .under("dropped/")
                .map(|(column, why)| format!("{} was left out: {why}", column.replace('/', "."))),
        );
        notes.extend(
            handoff
                .transcript
                .iter()
                .flat_map(|m| placeholders(known, m)),
        );
        HandoffCompleted {
            target: work.target.clone(),
            handoff: item.id.clone(),
            records: ids,
            url: Some(
                self.settings
                    .case_url
                    .replace("{site}", &self.settings.site)
                    .replace("{id}", records.case),
            ),
            notes,
        }
    }

    /// The messages at the front of `items`, and how many items they are: several without files in
    /// one batch, one with files by itself.
    fn messages(
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
    fn opening_rows(
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
    fn told(&self, work: &Work, known: &Known, item: &Item, status: &ReplyStatus) -> Vec<Step> {
        let fact = |state: &str| format!("told/{}/{state}", status.message_id);
        let waited = known.is(&fact("held"));
        let detail = status
            .detail
            .as_deref()
            .unwrap_or("WhatsApp gave no reason");
        let (state, line) = match status.state {
            DeliveryState::Held => ("held", format!("Not delivered to WhatsApp yet: {detail}")),
            DeliveryState::Failed => ("failed", format!("Not delivered to WhatsApp: {detail}")),
            DeliveryState::Delivered | DeliveryState::Read if waited => (
                "delivered",
                "Delivered to WhatsApp: the reply that was waiting".to_owned(),
            ),
            // Creatio has no light way to acknowledge; a row per receipt would bury the conversation.
            DeliveryState::Sent | DeliveryState::Delivered | DeliveryState::Read => {
                return Vec::new();
            }
        };
        let Some(records) = records(known).filter(|_| !known.is(&fact(state))) else {
            return Vec::new();
        };
        let id = ids::uuid(&[
            "creatio",
            "told",
            &work.session.id,
            &work.target,
            &status.message_id,
            state,
        ]);
        let start = after(item.time.as_millisecond(), latest(known, &item.id));
        let place = Place {
            case: records.case,
            contact: records.contact,
            start,
        };
        let row = self.activity(fact(state), id, &item.id, &line, &line, place);
        self.ensure(
            vec![row.claim(format!("last/{}", item.id), start.to_string())],
            known,
            true,
        )
    }

    /// Closes the case, unless somebody has: a look, then the write.
    fn closed(&self, known: &Known, item: &Item, closed: &SessionClosed) -> Vec<Step> {
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

/// Leaves out steps that claim what an earlier step of the plan claims: a transcript may hold the
/// same message or attachment id twice.
fn distinct(steps: &mut Vec<Step>) {
    let mut claimed = BTreeSet::new();
    steps.retain(|step| {
        let fresh = step
            .claims
            .iter()
            .all(|claim| !claimed.contains(&claim.fact));
        claimed.extend(step.claims.iter().map(|claim| claim.fact.clone()));
        fresh
    });
}

/// What a closure of the case is called, so that our own is recognised when it is heard.
pub(crate) fn ended(case: &str) -> String {
    format!("ended/{case}")
}

/// Whether a message is none of ours to show: our own relayed reply, or nothing at all.
fn skipped(event: &MessageEvent, customer: bool) -> bool {
    is_empty(&event.message) || (!customer && event.reference.is_some())
}

/// Whether a message has nothing that could be shown.
fn is_empty(message: &Message) -> bool {
    message
        .text
        .as_deref()
        .is_none_or(|text| text.trim().is_empty())
        && message.attachments.is_empty()
        && message.location.is_none()
}

/// Whether the case was opened by a message and does not lead to the session yet.
fn unopened(known: &Known) -> bool {
    !known.is("opened")
        && known.get("fields").is_none_or(|by| by == ADOPTED)
        && known.under("completed/").next().is_none()
}

/// When the last row of an earlier item sorts.
fn latest(known: &Known, item: &str) -> Option<i64> {
    known
        .under("last/")
        .filter(|(id, _)| *id != item)
        .filter_map(|(_, at)| at.parse().ok())
        .max()
}

/// When a row sorts that comes after another: its own time, and within the same second just behind.
fn after(time: i64, before: Option<i64>) -> i64 {
    match before {
        Some(before) if before >= time && before - time < 1_000 => before + 1,
        _ => time,
    }
}
