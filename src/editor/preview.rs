//! The state of each field for one handoff, and the requests that the CRM would get for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use handoffd_contract::rehearsal::{Rehearsal, rehearse};
use handoffd_contract::schema::Field as CrmField;
use handoffd_contract::{
    Contact, Controller, Data, Event, Item, Rendered, Schema, Work, event::Session,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{self, CallView};
use super::document::{Problem, parsed};
use super::masked::{Masks, Shown};
use super::{Editor, Wrong};
use crate::access::Person;
use crate::connectors;
use crate::mapping::edit::{FieldEdit, all_fields};
use crate::mapping::states::{FieldState, State as FieldStateIs};
use crate::mapping::{Mapping, bare, captions, sample, with_input};
use crate::operate::mask;
use crate::target::Target;

/// The most requests of one handoff that are shown.
const MAX_CALLS: usize = 12;

/// What is to be shown.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A handoff of the ledger, by its event's number. The built-in one where neither this nor `payload` is given.
    #[serde(default)]
    pub event: Option<i64>,
    /// A pasted event, as a CloudEvent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
    /// The file's text, where it is neither your draft nor the version in force.
    #[serde(default)]
    pub text: Option<String>,
    /// Show values as they are; needs the right to unmask, and is in the audit log.
    #[serde(default)]
    pub unmask: bool,
}

/// A field for one handoff.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FieldView {
    /// Its section.
    pub section: String,
    /// Its code.
    pub name: String,
    /// What people read in the CRM.
    pub label: String,
    /// What is the matter.
    pub state: FieldStateIs,
    /// The same in words: "Shortened, 100 of 112".
    pub words: String,
    /// Why, in a sentence without the value.
    pub why: String,
    /// The value that is sent, as it is shown.
    pub shown: Shown,
    /// Whether a value is sent.
    pub sent: bool,
    /// Whether it stops the handoff.
    pub parks: bool,
    /// The line in the file, from 1; 0 where the file does not have it.
    pub line: usize,
    /// The value itself; never leaves.
    #[serde(skip)]
    #[schema(ignore)]
    pub real: Option<Value>,
}

impl FieldView {
    /// `section.name`
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// What a mapping makes of a handoff.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Previewed {
    /// What is wrong with the file; then nothing else is told.
    pub problems: Vec<Problem>,
    /// The fields in the file's order, and those that the CRM misses.
    pub fields: Vec<FieldView>,
    /// How many of them need a look.
    pub needs_a_look: usize,
    /// The requests that the CRM would get, in order.
    pub calls: Vec<CallView>,
    /// Why there are no more requests, where something stops the handoff.
    pub stop: Option<String>,
    /// What the rep would be told of fields that did not fit; without values.
    pub lost: Vec<String>,
    /// How long this took, in milliseconds.
    pub millis: f64,
}

/// What your draft, or another text, makes of a handoff.
#[utoipa::path(post, path = "/v1/mappings/{target}/preview", tag = "mappings",
    params(("target" = String, Path, description = "The target")), request_body = Asked,
    responses((status = 200, body = Previewed)))]
pub(super) async fn preview(
    State(editor): State<Arc<Editor>>,
    Extension(person): Extension<Person>,
    Path(name): Path<String>,
    Json(asked): Json<Asked>,
) -> Result<Json<Previewed>, Wrong> {
    editor.previewed(&name, &person, asked).await.map(Json)
}

impl Editor {
    /// What a mapping makes of a handoff.
    ///
    /// # Errors
    /// There is no such target, mapping or event, or values may not be shown.
    pub async fn previewed(
        &self,
        name: &str,
        person: &Person,
        asked: Asked,
    ) -> Result<Previewed, Wrong> {
        let target = self.target(name)?;
        let object = format!("{name}, event {}", asked.event.unwrap_or_default());
        let unmasked = self.unmasked(person, asked.unmask, &object).await?;
        let event = self.event(asked.event, asked.payload).await?;
        let text = match asked.text {
            Some(text) => text,
            None => self.edited(name, &person.name).await?.text().to_owned(),
        };
        let schema = self.schema(target);
        Ok(previewed(
            target,
            &text,
            &event,
            schema.as_deref().map(|(_, schema)| schema),
            unmasked,
        ))
    }
}

/// What a mapping's text makes of an event. Pure but for the clock that it is measured by.
pub(super) fn previewed(
    target: &Target,
    text: &str,
    event: &Event,
    schema: Option<&Schema>,
    unmasked: bool,
) -> Previewed {
    let began = Instant::now();
    let mapping = match parsed(target.kind, &target.name, text) {
        Ok(mapping) => mapping,
        Err(problems) => return wrong(problems, began),
    };
    let masks = Masks {
        unmasked,
        keys: mapping.map_keys(),
    };
    let title = title(target.kind);
    let keys = all_fields(text).unwrap_or_default();
    let states = with_input(event, |input| mapping.states(input, schema));
    let mut fields: Vec<FieldView> = states
        .into_iter()
        .map(|state| field_view(state, &keys, schema, title, &masks))
        .collect();
    let (rehearsal, lost) = rehearsed(target, &mapping, event, schema);
    fields.extend(missing(&fields, &rehearsal, schema, title));
    let constants = neutral(target, &mapping, schema);
    let calls = body::shown(&rehearsal.steps, &fields, &constants, &masks);
    Previewed {
        problems: Vec::new(),
        needs_a_look: fields
            .iter()
            .filter(|field| field.state.needs_a_look())
            .count(),
        fields,
        calls,
        stop: rehearsal.stop,
        lost,
        millis: millis(began),
    }
}

fn wrong(problems: Vec<Problem>, began: Instant) -> Previewed {
    Previewed {
        problems,
        fields: Vec::new(),
        needs_a_look: 0,
        calls: Vec::new(),
        stop: None,
        lost: Vec::new(),
        millis: millis(began),
    }
}

fn millis(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
}

/// What a kind's product is called.
pub(super) fn title(kind: &'static str) -> &'static str {
    connectors::kind(kind).map_or(kind, |kind| kind.title)
}

/// The steps that the connector would plan, and what the rep would be told, without values.
pub(super) fn rehearsed(
    target: &Target,
    mapping: &Mapping,
    event: &Event,
    schema: Option<&Schema>,
) -> (Rehearsal, Vec<String>) {
    let rendered = with_input(event, |input| mapping.render(0, input));
    let mut rendered = match rendered {
        Ok(rendered) => rendered,
        Err(problem) => {
            let stop = Some(format!("{}: {}", problem.field, problem.message));
            let steps = Vec::new();
            return (Rehearsal { steps, stop }, Vec::new());
        }
    };
    if let Some(schema) = schema {
        captions::resolve(&mut rendered, schema);
    }
    let lost = rendered
        .lost
        .iter()
        .map(|lost| format!("{}: {}", lost.field, lost.why))
        .collect();
    let work = work(&target.name, event, rendered);
    (rehearse(&*target.connector, &work, MAX_CALLS), lost)
}

/// Texts that stand in the requests for any handoff: those for one in which nothing is given, and those for the
/// built-in one that hold nothing of it.
fn neutral(target: &Target, mapping: &Mapping, schema: Option<&Schema>) -> BTreeSet<String> {
    let texts = |event: &Event| {
        let (rehearsal, _) = rehearsed(target, mapping, event, schema);
        body::constants(&rehearsal.steps)
    };
    let sample = sample();
    let mut values = mask::Values::default();
    values.also_of(&sample);
    let mut found = texts(&bare());
    let own = texts(&sample);
    found.extend(
        own.into_iter()
            .filter(|text| is_word(text) && mask::words(text, &values) == *text),
    );
    found
}

/// One word, as a property's or a type's name is.
fn is_word(text: &str) -> bool {
    text.len() <= 60
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// The work that an event alone would be.
fn work(target: &str, event: &Event, rendered: Rendered) -> Work {
    let (session, contact): (Session, Contact) = match &event.data {
        Data::HandoffRequested(handoff) => (handoff.session.clone(), handoff.contact.clone()),
        Data::MessageReceived(said) | Data::MessageSent(said) => (
            said.session.clone().unwrap_or_default(),
            said.contact.clone().unwrap_or_default(),
        ),
        _ => Default::default(),
    };
    let session = Session {
        id: event.session.clone(),
        ..session
    };
    Work {
        target: target.to_owned(),
        session,
        contact,
        items: vec![Item {
            id: event.id.clone(),
            time: event.time,
            data: event.data.clone(),
            rendered: Some(rendered),
        }],
        last_inbound: Some(event.time),
        now: event.time,
        controller: Controller::queued(None),
    }
}

fn field_view(
    state: FieldState,
    keys: &[(String, FieldEdit)],
    schema: Option<&Schema>,
    title: &str,
    masks: &Masks,
) -> FieldView {
    let path = state.path();
    let keys = keys
        .iter()
        .find(|(at, _)| *at == path)
        .map(|(_, keys)| keys);
    let of_crm = schema.and_then(|schema| schema.field(&state.section, &state.name));
    let shown = masks.field(state.value.as_ref(), keys, state.is_fixed);
    let sent = state.value.is_some();
    FieldView {
        label: of_crm.map_or(state.name.clone(), |field| field.label.clone()),
        words: words(&state, of_crm, title),
        state: state.state,
        why: state.why,
        shown,
        sent,
        parks: state.parks,
        line: state.line,
        real: state.value,
        section: state.section,
        name: state.name,
    }
}

/// A state as people read it.
fn words(state: &FieldState, field: Option<&CrmField>, title: &str) -> String {
    match state.state {
        FieldStateIs::Fine => "Fine".into(),
        FieldStateIs::Empty if state.why.contains("condition") => {
            "Left out: its condition does not hold".into()
        }
        FieldStateIs::Empty if state.why.contains("switched off") => "Off".into(),
        FieldStateIs::Empty => "Empty: left out".into(),
        FieldStateIs::Shortened { from, to } => format!("Shortened, {to} of {from}"),
        FieldStateIs::TooLong { from, to } => format!("Too long, {to} of {from} fit"),
        FieldStateIs::WrongType => match field {
            Some(field) => format!("Not a {}", field.holds.word()),
            None => "Not of its type".into(),
        },
        FieldStateIs::NotAnOption => "Not an option".into(),
        FieldStateIs::ReadOnly => format!("Read-only in {title}"),
        FieldStateIs::Required => "Required, and empty".into(),
        FieldStateIs::Unknown => format!("Unknown to {title}"),
        FieldStateIs::Fails => "Its template fails".into(),
    }
}

/// Fields without which the CRM takes no record, and which neither the mapping nor handoffd gives.
fn missing(
    fields: &[FieldView],
    rehearsal: &Rehearsal,
    schema: Option<&Schema>,
    title: &str,
) -> Vec<FieldView> {
    let keys = body::keys(&rehearsal.steps);
    let mut missing = Vec::new();
    for (section, of) in schema.into_iter().flat_map(|schema| &schema.sections) {
        for (name, field) in &of.fields {
            let is_mapped = fields
                .iter()
                .any(|view| view.section == *section && view.name == *name);
            if !field.required || is_mapped || keys.contains(name) {
                continue;
            }
            missing.push(FieldView {
                section: section.clone(),
                name: name.clone(),
                label: field.label.clone(),
                state: FieldStateIs::Required,
                words: "Required, and empty".into(),
                why: format!(
                    "{title} takes no record without it, and the mapping does not fill it"
                ),
                shown: Shown::default(),
                sent: false,
                parks: false,
                line: 0,
                real: None,
            });
        }
    }
    missing
}
