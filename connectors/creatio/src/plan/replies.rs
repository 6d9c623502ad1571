//! How far a rep's reply has come, where its writer sees it: one activity of ours per reply, which is
//! updated, and where the settings name one a column of the rep's own activity.
//!
//! A rep must never believe that a reply arrived when it did not, nor that it still waits when it has
//! gone out. Nothing is added per change: that would bury the conversation.

use handoffd_contract::event::{DeliveryState, RepReply, ReplyStatus};
use handoffd_contract::{
    Data, HttpCall, Item, Known, Method, Record, Repeat, Step, Work, ids, text,
};
use jiff::Timestamp;
use serde_json::json;

use super::later::after;
use super::open::{Records, records};
use super::rows::Row;
use crate::facts::{
    NONE, REFUSED, dropped_fact, line_fact, line_gone_fact, line_state_fact, own_state_fact,
    reply_fact,
};
use crate::settings::ReplyLine;
use crate::words::{self, MEDIUM, Place};
use crate::{Creatio, wire};

/// How far a reply has come, as it is told.
pub(super) struct Told<'a> {
    /// The rep's message.
    message: &'a str,
    /// What is told, in a word: the same word need not be told again.
    word: String,
    /// What has become of it.
    state: &'static str,
    /// Why, where there is something to say.
    detail: Option<String>,
    /// Since when.
    at: Timestamp,
    /// Whether the rep must know, even where the settings want no line for what goes well.
    is_trouble: bool,
}

impl<'a> Told<'a> {
    fn accepted(reply: &'a RepReply, at: Timestamp) -> Told<'a> {
        Told {
            message: &reply.message_id,
            word: "accepted".into(),
            state: "On its way to WhatsApp",
            detail: None,
            at,
            is_trouble: false,
        }
    }

    pub(super) fn of(status: &'a ReplyStatus, at: Timestamp) -> Told<'a> {
        let detail = status
            .detail
            .as_deref()
            .map(text::set_off)
            .filter(|detail| !detail.trim().is_empty());
        let (state, detail, is_trouble) = match status.state {
            DeliveryState::Held if status.may_have_arrived() => {
                ("Not known whether it reached WhatsApp", detail, true)
            }
            DeliveryState::Held => ("Not delivered to WhatsApp yet", detail, true),
            DeliveryState::Failed => {
                let detail = detail.unwrap_or_else(|| "WhatsApp gave no reason".into());
                ("Not delivered to WhatsApp", Some(detail), true)
            }
            DeliveryState::Sent if status.is_unconfirmed() => {
                ("Sent, not confirmed by WhatsApp", detail, true)
            }
            DeliveryState::Sent => ("Sent to WhatsApp", detail, status.settles()),
            // What was said while it waited no longer matters.
            DeliveryState::Delivered => ("Delivered to WhatsApp", None, false),
            DeliveryState::Read => ("Read on WhatsApp", None, false),
        };
        let why = detail.as_deref().map(|detail| ids::short(&[detail]));
        let word = match why {
            Some(why) => format!("{}/{why}", status.word()),
            None => status.word(),
        };
        Told {
            message: &status.message_id,
            word,
            state,
            detail,
            at,
            is_trouble,
        }
    }

    /// For one line.
    pub(super) fn brief(&self) -> String {
        let text = match &self.detail {
            Some(detail) => format!("{}: {detail}", self.state),
            None => format!("{}, {}", self.state, words::clock(self.at)),
        };
        wire::one_line(&text, MEDIUM)
    }

    fn title(&self, name: &str) -> String {
        format!("{}: {name}", self.state)
    }

    fn body(&self) -> String {
        let first = match &self.detail {
            Some(detail) => format!("{}: {detail}", self.state),
            None => self.state.to_owned(),
        };
        format!("{first}\n{}", words::clock(self.at))
    }
}

/// Whether a later item says how far the same reply has come: only the last is written.
fn is_overtaken(work: &Work, rest: &[Item], message: &str) -> bool {
    rest.iter().any(|item| {
        matches!(&item.data, Data::ReplyStatus(status)
            if status.target == work.target && status.message_id == message)
    })
}

impl Creatio {
    /// A rep's reply was heard.
    pub(super) fn accepted(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        rest: &[Item],
        reply: &RepReply,
    ) -> Vec<Step> {
        let told = Told::accepted(reply, item.time);
        let name = words::reply_name(reply, item.time);
        if self.settings.reply_line == ReplyLine::Always {
            return self.tell(work, known, item, rest, &told, Some(&name));
        }
        let fact = reply_fact(&reply.message_id);
        if !known.is(&fact) {
            // It is kept for the day when there is something to say.
            let record = Record {
                facts: vec![(fact, name.into())],
                events: Vec::new(),
            };
            return vec![Step::new("reply.named", Repeat::Keyed, record)];
        }
        self.tell(work, known, item, rest, &told, None)
    }

    /// A reply has come further, or is held, or has failed.
    pub(super) fn told(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        rest: &[Item],
        status: &ReplyStatus,
    ) -> Vec<Step> {
        let told = Told::of(status, item.time);
        self.tell(work, known, item, rest, &told, None)
    }

    fn tell(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        rest: &[Item],
        told: &Told<'_>,
        name: Option<&str>,
    ) -> Vec<Step> {
        let Some(records) = records(known) else {
            return Vec::new();
        };
        let overtaken = is_overtaken(work, rest, told.message);
        let mut steps = Vec::new();
        let has_line = !known.absent(&line_fact(told.message));
        let wanted = told.is_trouble || self.settings.reply_line == ReplyLine::Always;
        if has_line || wanted {
            steps.extend(self.line(work, known, item, told, name, records, overtaken));
        }
        if !overtaken {
            steps.extend(self.own_state(known, told));
        }
        steps
    }

    /// The line: it is made with what its first item says, so that a repeat says the same, and then
    /// updated.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is told, of which reply, and where it goes"
    )]
    fn line(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        told: &Told<'_>,
        name: Option<&str>,
        records: Records<'_>,
        overtaken: bool,
    ) -> Vec<Step> {
        let (fact, state) = (line_fact(told.message), line_state_fact(told.message));
        let named = reply_fact(told.message);
        let Some(name) = name.or_else(|| known.get(&named)) else {
            // Heard before names were kept, or never taken for a reply: the activity itself tells.
            let call = HttpCall::get(self.record("Activity", told.message))
                .query("$select", "Id,Title,DetailedResult,CreatedOn");
            return vec![Step::look("reply.name", call).claim(named)];
        };
        let name = if name == NONE { "a reply" } else { name };
        let Some(line) = known.get(&fact) else {
            let mut key = vec![
                "creatio",
                "line",
                &work.session.id,
                &work.target,
                told.message,
            ];
            if known.is(&line_gone_fact(told.message)) {
                // A rep deleted it: it is made again for bad news alone.
                if !told.is_trouble {
                    return Vec::new();
                }
                key.push(&item.id);
            }
            let id = ids::uuid(&key);
            let start = after(item.time.as_millisecond(), known, &item.id, None);
            let place = Place {
                case: records.case,
                contact: records.contact,
                start,
            };
            let (title, body) = (told.title(name), told.body());
            let mut row: Row = self
                .activity(fact, id, &item.id, &title, &body, place)
                .claim(state, &told.word)
                .claim(format!("last/{}", item.id), start.to_string());
            if !known.is(&named) {
                row = row.claim(named, name);
            }
            return self.ensure(vec![row], known, true);
        };
        let shown = known.get(&state);
        // What was accepted is on the way; nothing that is known goes back to that.
        let is_old = told.word == "accepted" || shown == Some(&told.word);
        if overtaken || is_old {
            return Vec::new();
        }
        let columns = json!({ "Title": wire::one_line(&told.title(name), words::LONG), "DetailedResult": wire::clean(&told.body()) });
        let call = HttpCall::new(Method::Patch, self.record("Activity", line)).json(columns);
        let step = Step::new("activity.line", Repeat::Keyed, call).claim_as(state, &told.word);
        vec![step.context(json!({ "line": fact, "gone": line_gone_fact(told.message) }))]
    }

    /// The column of the rep's own activity.
    fn own_state(&self, known: &Known, told: &Told<'_>) -> Option<Step> {
        let column = self.settings.reply_column.as_ref()?;
        let fact = own_state_fact(told.message);
        let shown = known.get(&fact);
        let is_old = shown == Some(&told.word)
            || (told.word == "accepted" && !known.absent(&fact) && shown.is_some());
        if is_old || shown == Some(REFUSED) || known.is(&dropped_fact("Activity", column)) {
            return None;
        }
        let call = HttpCall::new(Method::Patch, self.record("Activity", told.message))
            .json(json!({ column.as_str(): told.brief() }));
        let step = Step::new("activity.own_state", Repeat::Keyed, call).claim_as(fact, &told.word);
        Some(step.context(json!({ "column": column })))
    }
}
