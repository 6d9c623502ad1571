//! A handoff: the case's first, or one more on the same case.

use std::collections::BTreeMap;

use handoffd_contract::event::HandoffCompleted;
use handoffd_contract::{
    Data, Handoff, HttpCall, Item, Known, Message, Method, Record, Refusal, Repeat, Step, Work, ids,
};
use serde_json::json;

use super::distinct;
use super::files::{UPLOADS, placeholders};
use super::later::{TRANSCRIPT, after, latest};
use super::open::{Records, records};
use super::rows::{Row, left_out, tells, told_by_note};
use crate::Creatio;
use crate::facts::{apart_fact, dropped_fact};
use crate::words::{self, Place};

/// Whether no handoff of the session was shown before.
fn is_first(known: &Known) -> bool {
    known.under("completed/").next().is_none()
}

impl Creatio {
    pub(super) fn handoff(
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

        let attended = self.attended(work, known, item, Some(handoff), records)?;
        if !attended.is_empty() {
            return Ok(attended);
        }
        let note_tells = tells(known, &item.id);
        if !note_tells.is_empty() {
            return Ok(note_tells);
        }
        let (mut rows, last) = self.handoff_rows(work, known, item, handoff, records);
        for message in &handoff.transcript {
            rows.extend(self.file_rows(work, known, message, records.case));
        }
        let mut steps = self.ensure(rows, known, false);
        steps.extend(self.fields(work, known, item, handoff, records));
        if work.contact.email.is_some() {
            steps.extend(self.contact_fills(work, known));
        }
        let uploads = handoff
            .transcript
            .iter()
            .flat_map(|m| self.file_steps(known, m))
            .take(UPLOADS);
        steps.extend(uploads);
        distinct(&mut steps);
        if steps.is_empty() {
            let place = Place {
                case: records.case,
                contact: records.contact,
                start: last + 1,
            };
            steps = self.untold_steps(work, known, place);
        }
        if !steps.is_empty() {
            return Ok(steps);
        }
        let completed = Data::HandoffCompleted(self.completed(work, known, item, handoff, records));
        let record = Record {
            facts: vec![
                (done.clone(), records.case.into()),
                (format!("last/{}", item.id), last.to_string().into()),
            ],
            events: vec![(done, completed)],
        };
        Ok(vec![Step::new("handoff.completed", Repeat::Keyed, record)])
    }

    /// The note, the session's link and a row per message that is not shown yet; and when the last
    /// of them sorts.
    pub(super) fn handoff_rows(
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
        // The last row that is made now, and when it sorts.
        let mut newest = None;
        for message in handoff
            .transcript
            .iter()
            .filter(|message| !message.is_empty())
        {
            let time = message.time.as_millisecond();
            // Creatio sorts by StartDate alone, and WhatsApp counts in seconds.
            let start = last.map_or(time, |last| time.max(last + 1));
            let shown = known.is(&format!("said/{}", message.id));
            // What earlier events showed in the same second may stand later than its own time.
            let start = if shown {
                start
            } else {
                after(start, known, &item.id, None)
            };
            last = Some(start);
            if let Some(row) = self.unsaid(work, known, message, place(start)) {
                newest = Some((rows.len(), start));
                rows.push(row);
            }
        }
        // The note may sort much later; what is said within the same second goes behind the transcript.
        if let Some((row, start)) = newest {
            let fact = format!("last/{}{TRANSCRIPT}", item.id);
            rows[row].claims.push((fact, start.to_string().into()));
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
        let (title, mut text) = words::note(
            handoff,
            item.rendered.as_ref(),
            url,
            work.session.language.as_deref(),
            &work.session.id,
        );
        for remark in words::mapped("case", item.rendered.as_ref()).1 {
            text.push_str(&format!("\nNote: {remark}"));
        }
        if Creatio::renews(known, item)
            && let Some(line) = self.former_line(known)
        {
            text.push_str(&format!("\n{line}"));
        }
        if is_first(known) {
            for line in self.contact_lines(known) {
                text.push_str(&format!("\n{line}"));
            }
        }
        for line in told_by_note(known, &item.id) {
            text.push_str(&format!("\nNote: {line}"));
        }
        text.push_str(&format!("\n\n{}", self.answering()));
        let id = ids::uuid(&["creatio", "note", &work.session.id, &work.target, &item.id]);
        let note = self.activity(
            format!("note/{}", item.id),
            id,
            &item.id,
            &title,
            &text,
            place(at),
        );
        rows.insert(0, note);
        rows.extend(self.session_link(work, known, url, records.case));
        (rows, last)
    }

    /// A message's row, when it is not shown.
    pub(super) fn unsaid(
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
    pub(super) fn fields(
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
        let mut columns = self.case_columns(work, item.rendered.as_ref(), Some(handoff), true);
        columns.retain(|column, _| {
            !known.is(&dropped_fact("Case", column))
                && !known.is(&apart_fact(&item.id, "Case", column))
        });
        let call = HttpCall::new(Method::Patch, self.record("Case", records.case))
            .json(columns.clone().into());
        let step = Step::new("case.update", Repeat::Keyed, call).claim_as("fields", &item.id);
        let step = self.wrote(step, records.case, &columns);
        let claims: Vec<(&String, &Option<String>)> = step
            .claims
            .iter()
            .map(|claim| (&claim.fact, &claim.candidate))
            .collect();
        let names: Vec<&String> = columns.keys().collect();
        let context = json!({ "columns": names, "item": item.id, "claims": claims });
        Some(step.context(context))
    }

    /// The address of a case's page.
    pub(super) fn case_page(&self, case: &str) -> String {
        self.settings
            .case_url
            .replace("{site}", &self.settings.site)
            .replace("{id}", case)
    }

    pub(super) fn completed(
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
        notes.extend(words::mapped("case", item.rendered.as_ref()).1);
        notes.extend(words::mapped("contact", item.rendered.as_ref()).1);
        notes.extend(
            known
                .under("dropped/")
                .map(|(column, why)| left_out(column, why)),
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
            url: Some(self.case_page(records.case)),
            notes,
        }
    }
}
