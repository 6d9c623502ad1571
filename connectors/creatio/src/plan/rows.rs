//! Rows that shall exist, and the calls that make them exist.
//!
//! Every row carries an id that we chose, so a repeat cannot make a second one; but a repeat is
//! refused with a database error, and an answer of 5xx may come after the row was written. So a row
//! whose outcome is unknown is looked for first, and written only when it is not there.

use std::collections::BTreeSet;

use handoffd_contract::{Claim, HttpCall, Known, Method, Record, Repeat, Settled, Step};
use serde_json::{Map, Value, json};

use crate::Creatio;
use crate::facts::{apart_fact, dropped_fact, gone_fact, placeholder};

/// JSON that one `$batch` may hold, in bytes. Not documented; proxies in front of a site are known
/// to cut larger bodies.
const BATCH_BYTES: usize = 1_000_000;
/// Calls of one plan that write or read rows. The engine bounds what runs at once.
const CALLS: usize = 8;
/// What a site allows in one batch.
/// <https://academy.creatio.com/docs/8.x/dev/development-on-creatio-platform/integrations-and-api/data-services/odata/examples/batch-request-examples>
const PARTS: usize = 100;

/// One row of one entity set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The entity set.
    pub set: &'static str,
    /// Its id.
    pub id: String,
    /// Its columns, without `Id`.
    pub columns: Map<String, Value>,
    /// Facts that are settled once it exists, each with what settles it. The first names it.
    pub claims: Vec<(String, Settled)>,
    /// What replaces columns when Creatio refuses this row's text.
    pub hollow: Option<Map<String, Value>>,
    /// The item whose columns it carries, where each can be written by itself afterwards.
    pub item: Option<String>,
}

impl Row {
    /// A row that establishes `fact` with its id as value.
    pub(crate) fn new(
        set: &'static str,
        fact: impl Into<String>,
        id: String,
        columns: Map<String, Value>,
    ) -> Row {
        Row {
            set,
            claims: vec![(fact.into(), Settled::from(&id))],
            id,
            columns,
            hollow: None,
            item: None,
        }
    }

    /// Says whose columns it carries, so that they can be written one by one when Creatio refuses
    /// the row without naming the column.
    pub(crate) fn of_item(mut self, item: &str) -> Row {
        self.item = Some(item.to_owned());
        self
    }

    /// Adds a fact.
    pub(crate) fn claim(mut self, fact: impl Into<String>, value: impl Into<Settled>) -> Row {
        self.claims.push((fact.into(), value.into()));
        self
    }

    fn is_known(&self, known: &Known) -> bool {
        self.claims.first().is_none_or(|(fact, _)| known.is(fact))
    }

    fn is_unsure(&self, known: &Known) -> bool {
        self.claims
            .first()
            .is_some_and(|(fact, _)| known.unsure(fact))
    }

    /// What is sent, without the columns that the site refused before.
    fn body(&self, known: &Known) -> Value {
        let mut body = Map::new();
        body.insert("Id".into(), self.id.clone().into());
        let hollow = self
            .hollow
            .as_ref()
            .filter(|_| known.is(&placeholder(&self.id)));
        for (column, value) in &self.columns {
            let apart = self
                .item
                .as_ref()
                .is_some_and(|item| known.is(&apart_fact(item, self.set, column)));
            if apart || known.is(&dropped_fact(self.set, column)) {
                continue;
            }
            let value = hollow
                .and_then(|columns| columns.get(column))
                .unwrap_or(value);
            body.insert(column.clone(), value.clone());
        }
        Value::Object(body)
    }

    /// What `read` needs: which facts the row settles, and which of the columns that were sent it
    /// could do without.
    fn context(&self, body: &Value, known: &Known) -> Value {
        let columns: Vec<&String> = body
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .filter(|column| *column != "Id")
            .collect();
        let hollowed = self
            .hollow
            .iter()
            .flatten()
            .any(|(column, value)| body.get(column) == Some(value));
        // Where it is not known whether the case is still there, a refusal asks for it.
        let case = self.columns.get("CaseId").and_then(Value::as_str);
        let case = case.filter(|case| !known.is(&gone_fact(case)));
        json!({ "set": self.set, "id": self.id, "claims": self.claims, "columns": columns, "item": self.item, "hollowed": hollowed, "case": case,
            "hollow": self.hollow.as_ref().map(|columns| columns.keys().collect::<Vec<_>>()) })
    }
}

/// What a rep reads of a column that was left out; `column` is `<set>/<column>`.
pub(crate) fn left_out(column: &str, why: &str) -> String {
    format!("{} was left out: {why}", column.replace('/', "."))
}

/// Columns that were left out and of which the case does not tell yet: the fact that it does, and
/// the line.
pub(crate) fn untold(known: &Known) -> impl Iterator<Item = (String, String)> + '_ {
    let by_notes: BTreeSet<&str> = known
        .under("tells/")
        .flat_map(|(_, columns)| columns.split('\n'))
        .collect();
    known
        .under("dropped/")
        .filter(move |(column, _)| !by_notes.contains(column))
        .map(|(column, why)| (format!("noted/{column}"), left_out(column, why)))
        .filter(|(fact, _)| !known.is(fact))
}

/// What the note of `item` says of columns that were left out: it is decided before the note is
/// written for the first time, so that a repeat says the same.
pub(crate) fn tells(known: &Known, item: &str) -> Vec<Step> {
    let fact = format!("tells/{item}");
    let columns: Vec<String> = untold(known)
        .filter_map(|(fact, _)| fact.strip_prefix("noted/").map(str::to_owned))
        .collect();
    if columns.is_empty() || known.is(&fact) || !known.absent(&format!("note/{item}")) {
        return Vec::new();
    }
    let record = Record {
        facts: vec![(fact, columns.join("\n").into())],
        events: Vec::new(),
    };
    vec![Step::new("note.tells", Repeat::Keyed, record)]
}

/// The lines that the note of `item` has about columns that were left out.
pub(crate) fn told_by_note(known: &Known, item: &str) -> Vec<String> {
    let told = known.get(&format!("tells/{item}")).unwrap_or_default();
    told.split('\n')
        .filter_map(|column| Some(left_out(column, known.get(&format!("dropped/{column}"))?)))
        .collect()
}

impl Creatio {
    /// The calls that can be made now so that all of `rows` exist; none when they do.
    ///
    /// `in_order`: no row may be written while an earlier one is not there, so one call at a time,
    /// and a batch stops at its first failure.
    pub(crate) fn ensure(&self, rows: Vec<Row>, known: &Known, in_order: bool) -> Vec<Step> {
        let mut named = BTreeSet::new();
        // The same message or file twice in one plan is one row.
        let fresh = |row: &Row| {
            row.claims
                .first()
                .is_some_and(|(fact, _)| named.insert(fact.clone()))
        };
        let rows: Vec<Row> = rows
            .into_iter()
            .filter(|row| !row.is_known(known))
            .filter(fresh)
            .collect();
        let (unsure, absent): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.is_unsure(known));
        if in_order {
            let mut steps = if unsure.is_empty() {
                self.writes(&absent, known, true)
            } else {
                self.looks(&unsure, known)
            };
            steps.truncate(1);
            return steps;
        }
        let mut steps = self.looks(&unsure, known);
        steps.extend(self.writes(&absent, known, false));
        steps.truncate(CALLS);
        steps
    }

    fn writes(&self, rows: &[Row], known: &Known, in_order: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut open: Vec<(&Row, Value)> = Vec::new();
        let mut bytes = 0;
        for row in rows {
            let body = row.body(known);
            let size = body.to_string().len() + 400;
            let full = !self.settings.batch
                || open.len() >= self.settings.batch_size
                || bytes + size > BATCH_BYTES;
            if full && !open.is_empty() {
                steps.push(self.write(std::mem::take(&mut open), known, in_order));
                bytes = 0;
                if steps.len() >= CALLS {
                    return steps;
                }
            }
            bytes += size;
            open.push((row, body));
        }
        if !open.is_empty() {
            steps.push(self.write(open, known, in_order));
        }
        steps
    }

    fn write(&self, mut rows: Vec<(&Row, Value)>, known: &Known, in_order: bool) -> Step {
        if rows.len() == 1
            && let Some((row, body)) = rows.pop()
        {
            let context = row.context(&body, known);
            let call =
                HttpCall::post(self.path(row.set), body).header("accept", "application/json");
            return with_claims(
                Step::new(create_name(row.set), Repeat::Keyed, call),
                &row.claims,
            )
            .context(context);
        }
        let part = |(at, (row, body)): (usize, &(&Row, Value))| json!({ "id": format!("r{at}"), "method": "POST", "url": row.set, "headers": part_headers(), "body": body });
        let parts: Vec<Value> = rows.iter().enumerate().map(part).collect();
        let mut call = self.batch(parts);
        if !in_order {
            call = call.header("prefer", "continue-on-error");
        }
        let context: Vec<Value> = rows
            .iter()
            .map(|(row, body)| row.context(body, known))
            .collect();
        let mut step = Step::new("rows.create", Repeat::Keyed, call).context(context.into());
        for (row, _) in &rows {
            step = with_claims(step, &row.claims);
        }
        step
    }

    fn looks(&self, rows: &[Row], known: &Known) -> Vec<Step> {
        let size = if self.settings.batch { PARTS } else { 1 };
        rows.chunks(size)
            .take(CALLS)
            .map(|chunk| self.look(chunk, known))
            .collect()
    }

    fn look(&self, rows: &[Row], known: &Known) -> Step {
        let columns = |row: &Row| if row.set == "Case" { "Id,Number" } else { "Id" };
        if let [row] = rows {
            let call = HttpCall::get(self.record(row.set, &row.id)).query("$select", columns(row));
            return with_claims(Step::look(look_name(row.set), call), &row.claims)
                .context(row.context(&Value::Null, known));
        }
        let part = |(at, row): (usize, &Row)| {
            let url = format!("{}({})?$select={}", row.set, row.id, columns(row));
            json!({ "id": format!("r{at}"), "method": "GET", "url": url, "headers": part_headers() })
        };
        let call = self
            .batch(rows.iter().enumerate().map(part).collect())
            .header("prefer", "continue-on-error");
        let context: Vec<Value> = rows
            .iter()
            .map(|row| row.context(&Value::Null, known))
            .collect();
        rows.iter().fold(
            Step::look("rows.look", call).context(context.into()),
            |step, row| with_claims(step, &row.claims),
        )
    }

    /// A JSON `$batch`; at most 100 parts.
    pub(crate) fn batch(&self, parts: Vec<Value>) -> HttpCall {
        HttpCall::new(Method::Post, self.path("$batch"))
            .json(json!({ "requests": parts }))
            .header("accept", "application/json")
    }

    /// `…/odata/<set>`.
    pub(crate) fn path(&self, set: &str) -> String {
        format!("{}/odata/{set}", self.settings.prefix())
    }

    /// `…/odata/<set>(<id>)`.
    pub(crate) fn record(&self, set: &str, id: &str) -> String {
        format!("{}({id})", self.path(set))
    }
}

/// Headers of one part, as the documented samples carry them.
pub(crate) fn part_headers() -> Value {
    json!({ "Accept": "application/json", "Content-Type": "application/json" })
}

fn with_claims(mut step: Step, claims: &[(String, Settled)]) -> Step {
    step.claims.extend(claims.iter().map(|(fact, value)| Claim {
        fact: fact.clone(),
        candidate: value.value().map(str::to_owned),
    }));
    step
}

fn create_name(set: &str) -> &'static str {
    match set {
        "Contact" => "contact.create",
        "ContactCommunication" => "contact_option.create",
        "Case" => "case.create",
        "CaseFile" => "file.create",
        _ => "activity.create",
    }
}

fn look_name(set: &str) -> &'static str {
    match set {
        "Contact" => "contact.look",
        "ContactCommunication" => "contact_option.look",
        "Case" => "case.look",
        "CaseFile" => "file.look",
        _ => "activity.look",
    }
}
