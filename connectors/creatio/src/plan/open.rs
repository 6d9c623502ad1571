//! Which case the session has.

use handoffd_contract::{
    Handoff, HttpCall, Item, Known, Method, Refusal, Rendered, Repeat, Step, Work, ids,
};
use serde_json::{Map, Value, json};

use super::rows::Row;
use super::state::as_new;
use crate::facts::{apart_fact, former, state_fact, tried_fact};
use crate::words::{self, mapped};
use crate::{Creatio, wire};

pub(super) const DAY_MS: i64 = 86_400_000;

/// The records of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Records<'a> {
    /// The case's id.
    pub case: &'a str,
    /// The contact's id.
    pub contact: &'a str,
}

/// The session's records, when both are known.
pub(crate) fn records(known: &Known) -> Option<Records<'_>> {
    Some(Records {
        case: known.get("case")?,
        contact: known.get("contact")?,
    })
}

/// Whether columns of the item were refused with their row.
fn has_apart(known: &Known, item: &Item, set: &str) -> bool {
    known.under(&apart_fact(&item.id, set, "")).next().is_some()
}

/// The case's id when it is ours: the same for every event of the session.
pub(crate) fn case_id(work: &Work) -> String {
    ids::uuid(&["creatio", "case", &work.session.id, &work.target])
}

impl Creatio {
    /// The calls that find or create the contact, then the case; none when both are known.
    pub(crate) fn open(
        &self,
        work: &Work,
        known: &Known,
        item: &Item,
        handoff: Option<&Handoff>,
    ) -> Result<Vec<Step>, Refusal> {
        let Some(contact) = known.get("contact") else {
            return self.contact_steps(work, known, item);
        };
        let mut steps = self.contact_columns_apart(work, known, item);
        steps.extend(self.contact_learns(work, known));
        if let Some(case) = known.get("case") {
            if has_apart(known, item, "Case") {
                let people = handoff.is_some() || !former(known).is_empty();
                let columns = self.case_columns(work, item.rendered.as_ref(), handoff, people);
                steps.extend(self.apart(known, item, "Case", case, &columns));
            }
            return Ok(steps);
        }
        let untried = known.absent("case") && known.absent("case/open");
        if self.settings.append_to_open_case && untried {
            steps.push(self.open_case_look(contact, work, item));
            return Ok(steps);
        }
        let mut columns =
            self.case_columns(work, item.rendered.as_ref(), handoff, handoff.is_some());
        columns.insert("ContactId".into(), contact.into());
        columns.insert("RegisteredOn".into(), wire::time(item.time).into());
        // Nobody wrote on a case of ours before it was there: clocks may differ by as much as they
        // like. On a case that was there, only what comes from now on is for this customer.
        let since = wire::millis(item.time.as_millisecond() - DAY_MS);
        let row = Row::new("Case", "case", case_id(work), columns).claim("since", since);
        let mut row = as_new(row, &item.id);
        if handoff.is_some() {
            row = row.claim("fields", &item.id);
        }
        steps.extend(self.ensure(vec![row.of_item(&item.id)], known, true));
        Ok(steps)
    }

    /// The columns of a contact that we created and could not write with it.
    fn contact_columns_apart(&self, work: &Work, known: &Known, item: &Item) -> Vec<Step> {
        match known.get("contact") {
            Some(contact) if has_apart(known, item, "Contact") => {
                let columns = self.contact_columns(work, item);
                self.apart(known, item, "Contact", contact, &columns)
            }
            _ => Vec::new(),
        }
    }

    /// Columns that could not be written with their row, each by itself.
    fn apart(
        &self,
        known: &Known,
        item: &Item,
        set: &'static str,
        id: &str,
        columns: &Map<String, Value>,
    ) -> Vec<Step> {
        let name = if set == "Contact" {
            "contact.column"
        } else {
            "case.column"
        };
        let waits = |column: &String| {
            known.is(&apart_fact(&item.id, set, column))
                && !known.is(&tried_fact(&item.id, set, column))
        };
        columns
            .iter()
            .filter(|(column, _)| waits(column))
            .map(|(column, value)| {
                let call = HttpCall::new(Method::Patch, self.record(set, id)).json(Value::Object(
                    Map::from_iter([(column.clone(), value.clone())]),
                ));
                Step::new(name, Repeat::Keyed, call)
                    .claim_as(tried_fact(&item.id, set, column), "written")
                    .context(json!({ "set": set, "column": column }))
            })
            .collect()
    }

    /// Columns of a case that a handoff (or, without one, a customer's message) fills. Who shall work
    /// on it is said only when `people` are needed: the owner is reminded at once.
    pub(crate) fn case_columns(
        &self,
        work: &Work,
        rendered: Option<&Rendered>,
        handoff: Option<&Handoff>,
        people: bool,
    ) -> Map<String, Value> {
        let session = &work.session;
        let url = handoff
            .and_then(|h| h.session.url.as_deref())
            .or(session.url.as_deref());
        let language = session.language.as_deref();
        let mut columns = Map::new();
        let mut set = |column: &str, value: Option<String>| {
            if let Some(value) = value {
                columns.insert(column.to_owned(), value.into());
            }
        };
        set(
            "Subject",
            Some(words::subject(handoff.map(|h| &h.handoff), &work.contact)),
        );
        set(
            "Symptoms",
            Some(words::symptoms(handoff, url, language, &session.id)),
        );
        set("OriginId", Some(self.settings.origin.clone()));
        if people {
            set("OwnerId", self.settings.owner.clone());
            set("GroupId", self.settings.group.clone());
            set("PriorityId", self.settings.priority.clone());
        }
        columns.extend(mapped("case", rendered).0);
        columns
    }

    fn open_case_look(&self, contact: &str, work: &Work, item: &Item) -> Step {
        Step::look("case.open", self.open_case_call(contact))
            .claim("case/open")
            .context(json!({ "looked": "case/open", "since": wire::time(work.now), "state": state_fact(&item.id) }))
    }

    /// The contact's latest case that is open: a resolved one alerts nobody.
    pub(super) fn open_case_call(&self, contact: &str) -> HttpCall {
        let filter = format!(
            "Contact/Id eq {contact} and Status/IsFinal eq false and Status/IsResolved eq false"
        );
        HttpCall::get(self.path("Case"))
            .query("$filter", filter)
            .query("$select", "Id,Number,StatusId,ContactId,CreatedOn")
            .query("$orderby", "CreatedOn desc")
            .query("$top", "1")
    }
}
