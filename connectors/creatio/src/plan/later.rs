//! After the handoff, or without one: messages, and the end.

use handoffd_contract::event::{ReplyStatus, SessionClosed};
use handoffd_contract::settings::AfterEnd;
use handoffd_contract::work::is_reply_elsewhere;
use handoffd_contract::{
    Data, HttpCall, Item, Known, Message, Method, Refusal, Repeat, Step, Work, ids,
};
use serde_json::{Map, json};

use super::distinct;
use super::open::{Records, records};
use super::rows::{Row, untold};
use crate::facts::{ADOPTED, elsewhere_fact, ended, former, opened_fact};
use crate::settings::Mode;
use crate::words::{self, Place};
use crate::{Creatio, wire};

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
        let mut attended = false;
        for item in items.iter().take(TOGETHER) {
            let (event, customer) = match &item.data {
                Data::MessageReceived(event) => (event, true),
                Data::MessageSent(event) if event.reference.is_none() => (event, false),
                _ => break,
            };
            if event.message.is_empty() {
                run += 1;
                continue;
            }
            let Some(records) = records(known) else {
                if !customer || !event.message.asks() || self.settings.mode == Mode::HandoffOnly {
                    run += 1;
                    continue;
                }
                // Every conversation has a case from the customer's first message on.
                let steps = self.open(work, known, item, None)?;
                return Ok((steps, run + 1));
            };
            // What the customer writes must be seen; what others write calls for nobody.
            let wakes = matches!(self.settings.after_end, AfterEnd::Reopen | AfterEnd::New);
            let is_attended = wakes && !work.controller_at(item).is_assistant();
            if customer
                && event.message.asks()
                && is_attended
                && !attended
                && !known.is(&format!("said/{}", event.message.id))
            {
                let steps = self.attended(work, known, item, None, records)?;
                if !steps.is_empty() {
                    return Ok((steps, run + 1));
                }
                attended = true;
            }
            if !former(known).is_empty() && !known.is(&opened_fact(records.case)) {
                rows.extend(self.opening_rows(work, known, item, &event.message, records));
            }
            if self.settings.mode == Mode::EveryConversation && unopened(known) {
                let steps = self.ensure(
                    self.opening_rows(work, known, item, &event.message, records),
                    known,
                    false,
                );
                let mut apart = self.open(work, known, item, None)?;
                apart.extend(steps);
                if !apart.is_empty() {
                    return Ok((apart, run + 1));
                }
            }
            let message = &event.message;
            let time = message.time.as_millisecond();
            let start = after(time, known, &item.id, last);
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
                    .map(|row| row.claim(format!("last/{}", item.id), start.to_string()))
                    .map(|row| match is_reply_elsewhere(message) {
                        true => row.claim(elsewhere_fact(&message.id), &item.id),
                        false => row,
                    }),
            );
            if with_files {
                rows.extend(self.file_rows(work, known, message, records.case));
                let mut steps = self.ensure(rows, known, false);
                steps.extend(self.file_steps(known, message));
                distinct(&mut steps);
                return Ok((steps, run));
            }
        }
        let mut steps = self.ensure(rows, known, true);
        if let (true, Some(records), Some(start)) = (steps.is_empty(), records(known), last) {
            let place = Place {
                case: records.case,
                contact: records.contact,
                start: start + 1,
            };
            steps = self.untold_steps(work, known, place);
        }
        Ok((steps, run.max(1)))
    }

    /// One activity for each column that was left out after the case's note was written.
    pub(super) fn untold_steps(&self, work: &Work, known: &Known, place: Place<'_>) -> Vec<Step> {
        let rows = untold(known).map(|(fact, line)| {
            let id = ids::uuid(&["creatio", "noted", &work.session.id, &work.target, &fact]);
            let key = fact.clone();
            self.activity(fact, id, &key, "A value was left out", &line, place)
        });
        self.ensure(rows.collect(), known, false)
    }

    /// What stands first on a case that a message opened: the way to the session, how to answer, and the
    /// case before it where there was one.
    pub(super) fn opening_rows(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        message: &Message,
        records: Records<'_>,
    ) -> Vec<Row> {
        let url = work.session.url.as_deref();
        let mut key = vec!["creatio", "opened", &work.session.id, &work.target];
        let mut fact = "opened".to_owned();
        let mut text = words::link_line(url, &work.session.id);
        if let Some(line) = self.former_line(known) {
            key.push(records.case);
            fact = opened_fact(records.case);
            text.push_str(&format!("\n{line}"));
        }
        for line in self.contact_lines(known) {
            text.push_str(&format!("\n{line}"));
        }
        text.push_str(&format!("\n\n{}", self.answering()));
        let place = Place {
            case: records.case,
            contact: records.contact,
            start: message.time.as_millisecond() - 1,
        };
        let mut rows = vec![self.activity(
            fact,
            ids::uuid(&key),
            &item.id,
            "WhatsApp conversation",
            &text,
            place,
        )];
        rows.extend(self.session_link(work, known, url, records.case));
        rows
    }

    /// A reply that a rep of another target wrote, and that this case shows, has failed for good.
    pub(super) fn lost_elsewhere(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        status: &ReplyStatus,
    ) -> Vec<Step> {
        let lost = work.lost_elsewhere(status);
        let Some(lost) = lost.filter(|lost| known.is(&format!("said/{}", lost.message))) else {
            return Vec::new();
        };
        let (key, title) = (
            format!("lost/{}", lost.message),
            "Not delivered to WhatsApp",
        );
        self.told_once(work, known, item, &key, title, &lost.text)
    }

    /// One activity of ours for the rep.
    pub(super) fn notice(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        title: &str,
        text: &str,
    ) -> Vec<Step> {
        self.told_once(work, known, item, &item.id, title, text)
    }

    /// The same under a key of its own.
    fn told_once(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        key: &str,
        title: &str,
        text: &str,
    ) -> Vec<Step> {
        let fact = format!("line/{key}");
        let Some(records) = records(known).filter(|_| !known.is(&fact)) else {
            return Vec::new();
        };
        let key = ["creatio", "line", &work.session.id, &work.target, key];
        let start = after(item.time.as_millisecond(), known, &item.id, None);
        let place = Place {
            case: records.case,
            contact: records.contact,
            start,
        };
        let row = self.activity(fact, ids::uuid(&key), &item.id, title, text, place);
        self.ensure(
            vec![row.claim(format!("last/{}", item.id), start.to_string())],
            known,
            true,
        )
    }

    /// Closes the case, unless somebody has: a look, then the write.
    pub(super) fn closed(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        closed: &SessionClosed,
    ) -> Vec<Step> {
        let (Some(status), Some(records)) = (&self.settings.resolved_status, records(known)) else {
            return Vec::new();
        };
        let fact = format!("closed/{}", item.id);
        if closed.resolved == Some(false) {
            return Vec::new();
        }
        if known.is(&fact) {
            let place = Place {
                case: records.case,
                contact: records.contact,
                start: item.time.as_millisecond(),
            };
            return self.untold_steps(work, known, place);
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
            let context = json!({ "closing": looked, "closed": fact });
            return vec![
                Step::look("case.is_open", call)
                    .claim(looked)
                    .context(context),
            ];
        }
        let columns = Map::from_iter([("StatusId".to_owned(), status.as_str().into())]);
        let call = HttpCall::new(Method::Patch, self.record("Case", records.case))
            .json(columns.clone().into());
        let step = Step::new("case.close", Repeat::Keyed, call)
            .claim_as(fact, ended(records.case))
            .claim_as("ended/at", wire::time(item.time));
        let step = self.wrote(step, records.case, &columns);
        vec![step.context(json!({ "columns": ["StatusId"] }))]
    }
}

/// Whether the case was opened by a message and does not lead to the session yet.
pub(super) fn unopened(known: &Known) -> bool {
    !known.is("opened")
        && known.get("fields").is_none_or(|by| by == ADOPTED)
        && known.under("completed/").next().is_none()
}

/// What ends the name of the fact that says when the last message of a handoff's transcript sorts.
pub(super) const TRANSCRIPT: &str = "/transcript";

/// Whether when something sorts was noted for an item itself.
fn is_of(id: &str, item: &str) -> bool {
    id.strip_suffix(TRANSCRIPT).unwrap_or(id) == item
}

/// When the last row of an earlier item sorts.
pub(super) fn latest(known: &Known, item: &str) -> Option<i64> {
    known
        .under("last/")
        .filter(|(id, _)| !is_of(id, item))
        .filter_map(|(_, at)| at.parse().ok())
        .max()
}

/// When a row of an item sorts: at its own time, and behind what sorts within the same second already,
/// rows of earlier items and the one `before`. WhatsApp counts in seconds, and what was told of others may
/// sort much later.
pub(super) fn after(time: i64, known: &Known, item: &str, before: Option<i64>) -> i64 {
    let earlier = known.under("last/").filter(|(id, _)| !is_of(id, item));
    let earlier = earlier.filter_map(|(_, at)| at.parse().ok());
    let within = |at: &i64| (time..time.saturating_add(1_000)).contains(at);
    let last = earlier.chain(before).filter(within).max();
    last.map_or(time, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_sorts_behind_what_its_own_second_holds_whatever_sorts_later() {
        let mut known = Known::default();
        for (item, at) in [("h", "48202"), ("status", "53100"), ("m", "48900")] {
            known.set(format!("last/{item}"), at);
        }
        assert_eq!(after(48_000, &known, "m", None), 48_203, "not its own");
        assert_eq!(after(48_000, &known, "n", None), 48_901);
        assert_eq!(after(48_000, &known, "n", Some(48_950)), 48_951);
        assert_eq!(after(48_901, &known, "n", None), 48_901);
        assert_eq!(after(47_000, &known, "n", Some(46_999)), 47_000);
    }
}
