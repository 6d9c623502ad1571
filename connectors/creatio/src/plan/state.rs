//! Whether people still look at the session's case: one that is resolved is opened again before
//! anything is put there for them, and one that is final is followed by a new one. With
//! `after_end = "new"` one that is resolved is, too; with `append` and `ignore` messages wake nobody.
//!
//! Only New, In progress and Reopened alert anybody, so what lands on a resolved case stays unseen.
//! <https://academy.creatio.com/docs/8.x/creatio-apps/products/customer-center/case-management/case-processing>

use handoffd_contract::settings::AfterEnd;
use handoffd_contract::{
    Handoff, HttpCall, Item, Known, Method, Reason, Record, Refusal, Repeat, Step, Stop, Work, ids,
};
use serde_json::{Map, json};

use super::open::{DAY_MS, Records};
use super::rows::Row;
use crate::facts::{
    ADOPTED, GONE, NEW, NONE, REFUSED, doubt_fact, former, gone_fact, opened_fact, state_fact,
};
use crate::{Creatio, standard, wire};

/// A case's row claims that the item which makes it need not ask for its status.
pub(super) fn as_new(row: Row, item: &str) -> Row {
    row.claim(state_fact(item), NEW)
}

/// What a status means for who looks at the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attention {
    Open,
    Resolved,
    Final,
}

/// Statuses that end a case, as a fact's value: `<id>=final` or `<id>=resolved`, one a line.
pub(crate) fn ending_statuses(rows: impl Iterator<Item = (String, bool)>) -> String {
    rows.map(|(id, is_final)| format!("{id}={}", if is_final { "final" } else { "resolved" }))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The same for the default configuration, for a site that does not show its statuses.
pub(crate) fn default_statuses() -> String {
    ending_statuses(
        [
            (standard::CLOSED, true),
            (standard::CANCELED, true),
            (standard::RESOLVED, false),
        ]
        .into_iter()
        .map(|(id, is_final)| (id.to_owned(), is_final)),
    )
}

fn attention(statuses: &str, status: &str) -> Attention {
    let means = statuses
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(id, _)| *id == status)
        .map(|(_, means)| means);
    match means {
        Some("final") => Attention::Final,
        Some(_) => Attention::Resolved,
        None => Attention::Open,
    }
}

/// Whether the case is known to be deleted.
pub(super) fn is_gone(known: &Known, case: &str) -> bool {
    known.get(&gone_fact(case)) == Some(GONE)
}

/// What is written has no place any more. Who deleted the case did not ask for every further message to
/// open one: the next handoff does.
pub(super) fn deleted() -> Refusal {
    Refusal::Hold {
        stop: Stop::new(
            Reason::NotFound,
            "this session's case was deleted in Creatio; the next handoff opens a new one, or skip what waits",
        ),
        until: None,
    }
}

impl Creatio {
    /// Whether the case is still there, when something on it was refused as if it were not.
    pub(super) fn doubt(&self, known: &Known) -> Option<Step> {
        let case = known.get("case")?;
        if !known.is(&doubt_fact(case)) || known.is(&gone_fact(case)) {
            return None;
        }
        Some(self.there(case))
    }

    fn there(&self, case: &str) -> Step {
        let call = HttpCall::get(self.path("Case"))
            .query("$filter", format!("Id eq {case}"))
            .query("$select", "Id")
            .query("$top", "1");
        Step::look("case.there", call).claim(gone_fact(case))
    }

    /// The calls after which somebody sees what `item` puts on the case; none when somebody does.
    pub(super) fn attended(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        handoff: Option<&Handoff>,
        records: Records<'_>,
    ) -> Result<Vec<Step>, Refusal> {
        let state = state_fact(&item.id);
        let way = self.way(handoff);
        // A case that a message has made since the end waits for its first handoff.
        let follows = handoff.is_some()
            && way == AfterEnd::New
            && work.is_after_end(item)
            && known.get(&state) != Some(NEW)
            && known
                .under("completed/")
                .any(|(_, case)| case == records.case);
        if follows || handoff.is_some() && is_gone(known, records.case) {
            return self.renewed(work, known, item, handoff, records);
        }
        let (Some(status), Some(statuses)) = (known.get(&state), known.get("statuses")) else {
            if known.get(&state) == Some(NEW) {
                return Ok(Vec::new());
            }
            return Ok(self.state_looks(known, &state, records.case));
        };
        let attention = match status {
            NEW => Attention::Open,
            GONE if handoff.is_some() => Attention::Final,
            // It may have been said of the case before.
            GONE => match known.get(&gone_fact(records.case)) {
                Some(GONE) => return Err(deleted()),
                Some(_) => Attention::Open,
                None => return Ok(vec![self.there(records.case)]),
            },
            status => attention(statuses, status),
        };
        let reopened = format!("reopened/{}", item.id);
        match (attention, &self.settings.reopened_status) {
            (Attention::Open, _) => Ok(Vec::new()),
            (Attention::Resolved, Some(reopen))
                if way == AfterEnd::Reopen && known.get(&reopened) != Some(REFUSED) =>
            {
                if known.is(&reopened) {
                    return Ok(Vec::new());
                }
                let columns = Map::from_iter([("StatusId".to_owned(), reopen.as_str().into())]);
                let call = HttpCall::new(Method::Patch, self.record("Case", records.case))
                    .json(columns.clone().into());
                let step = Step::new("case.reopen", Repeat::Keyed, call)
                    .claim_as(reopened, "done")
                    .claim_as("ended/at", "");
                Ok(vec![self.wrote(step, records.case, &columns)])
            }
            _ => self.renewed(work, known, item, handoff, records),
        }
    }

    /// What becomes of an item that comes after the end.
    fn way(&self, handoff: Option<&Handoff>) -> AfterEnd {
        match handoff {
            Some(_) => self.settings.after_end_handoff,
            None => self.settings.after_end,
        }
    }

    /// Reads the case's status, and once what the site's statuses mean.
    fn state_looks(&self, known: &Known, state: &str, case: &str) -> Vec<Step> {
        let mut looks = Vec::new();
        if !known.is(state) {
            let call = HttpCall::get(self.path("Case"))
                .query("$filter", format!("Id eq {case}"))
                .query("$select", "Id,StatusId")
                .query("$top", "1");
            looks.push(
                Step::look("case.state", call)
                    .claim(state)
                    .context(json!({ "gone": gone_fact(case) })),
            );
        }
        if !known.is("statuses") {
            let call = HttpCall::get(self.path("CaseStatus"))
                .query("$filter", "IsFinal eq true or IsResolved eq true")
                .query("$select", "Id,IsFinal,IsResolved")
                .query("$top", "100");
            looks.push(Step::look("case.statuses", call).claim("statuses"));
        }
        looks
    }

    /// A new case in the place of one that is final. The former one stays as it is; the session's facts
    /// change in one go when the new one is there.
    fn renewed(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        handoff: Option<&Handoff>,
        records: Records<'_>,
    ) -> Result<Vec<Step>, Refusal> {
        let fact = format!("renewed/{}", item.id);
        let looked = format!("{fact}/open");
        let way = self.way(handoff);
        // Where each end is followed by a case of its own, none that is there takes its place.
        let adopts = self.settings.append_to_open_case && way != AfterEnd::New;
        if adopts && known.absent(&fact) && !known.is(&looked) {
            let call = self.open_case_call(records.contact);
            let context = json!({ "looked": looked, "renews": fact });
            return Ok(vec![
                Step::look("case.open", call).claim(looked).context(context),
            ]);
        }
        let since = item.time.as_millisecond();
        let Some(case) = known.get(&fact) else {
            let id = ids::uuid(&["creatio", "case", &work.session.id, &work.target, &item.id]);
            let mut columns = self.case_columns(work, item.rendered.as_ref(), handoff, true);
            columns.insert("ContactId".into(), records.contact.into());
            columns.insert("RegisteredOn".into(), wire::time(item.time).into());
            let row = Row::new("Case", fact, id, columns).of_item(&item.id);
            return Ok(self.ensure(vec![row], known, true));
        };
        let adopted = known.get(&looked).is_some_and(|found| found != NONE);
        let since = if adopted { since } else { since - DAY_MS };
        let number = |fact: &str| known.get(fact).unwrap_or_default().to_owned();
        let before = format!("former/{}", records.case);
        let mut facts = vec![
            (
                before,
                format!("{} {}", item.time.as_millisecond(), number("case/number")),
            ),
            ("case".to_owned(), case.to_owned()),
            ("case/number".to_owned(), number(&format!("{fact}/number"))),
            ("since".to_owned(), wire::millis(since)),
            ("ended/at".to_owned(), String::new()),
            (state_fact(&item.id), NEW.to_owned()),
        ];
        if handoff.is_some() {
            // Its columns and its note are the handoff's own.
            let fields = if adopted { ADOPTED } else { &item.id };
            facts.push(("fields".to_owned(), fields.to_owned()));
            facts.push((opened_fact(case), "note".to_owned()));
        }
        let facts = facts.into_iter();
        let record = Record {
            facts: facts.map(|(fact, value)| (fact, value.into())).collect(),
            events: Vec::new(),
        };
        Ok(vec![Step::new("case.renewed", Repeat::Keyed, record)])
    }

    /// Whether `item` made a new case in the place of another.
    pub(super) fn renews(known: &Known, item: &Item) -> bool {
        known.is(&format!("renewed/{}", item.id))
    }

    /// The line that leads to the case before this one.
    pub(super) fn former_line(&self, known: &Known) -> Option<String> {
        let (case, number) = former(known).into_iter().next()?;
        let name = if number.is_empty() {
            "the case before"
        } else {
            number
        };
        Some(format!(
            "Earlier in this conversation: {name}, {}",
            self.case_page(case)
        ))
    }
}
