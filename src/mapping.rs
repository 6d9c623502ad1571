//! Mappings: which field of the CRM gets which value.
//!
//! A mapping is a TOML file per target: sections of fields, each with a template over the event, a
//! map for picklists, a condition, a default, and what to do when its value does not fit. It is read
//! once into a [`Mapping`], in which every name, filter and setting is known to be right; preview,
//! test and production then call the same [`Mapping::render`].
//!
//! ```toml
//! kind = "hubspot"
//!
//! [ticket.subject]
//! value = "WhatsApp: {{ handoff.topic or (handoff.reasons | first) or 'handoff' }}"
//! max = 255
//!
//! [ticket.hs_ticket_priority]
//! value = "{{ handoff.sentiment_normalised }}"
//! map = { negative = "HIGH", neutral = "MEDIUM", positive = "LOW" }
//! default = "MEDIUM"
//! ```
//!
//! | key | meaning |
//! | --- | --- |
//! | `value` | a template; a list of templates, whose value is a list; a table of templates by language; a number or boolean |
//! | `when` | an expression; when it does not hold, the field is left out |
//! | `map`, `map_default` | values for picklists, first by the same spelling, then regardless of case; and for what the map does not have |
//! | `default` | a template for when the value is empty |
//! | `type` | `text`, `number`, `bool`, `date`, `datetime`, `id` |
//! | `max`, `too_long` | length in UTF-16 units; then `truncate`, `drop` or `park` |
//! | `misfit` | what to do when `type` or `map` does not fit: `drop` or `park` |
//! | `required` | an empty value stops the handoff instead of leaving the field out |
//! | `on` | `false` leaves the field out |
//!
//! The section `notices` holds what the customer is told of the conversation itself, a text for each
//! [`Notice`]. It is rendered for that notice alone, in the customer's language.
//!
//! The same language read the other way says what a gateway's payload means: [`dialect`]. How a gateway is
//! called, a file in a language of its own says: [`exit`].
//!
//! | module | what it holds |
//! | --- | --- |
//! | `document`, `keys`, `field` | a file read into fields; a field's keys; from its templates to a value that fits |
//! | `template`, `filters`, `lint` | templates: compiled, what they may call, what they may hold |
//! | `names`, `values`, `sample` | what a template can name, with an event's values; the built-in events |
//! | `cases`, [`keep`] | tests in the file; a handoff kept as one, without the person's words |
//! | [`states`], [`captions`] | the state of each field for one event; a caption as the code that it stands for |
//! | [`sources`], [`suggest`] | what many events have at a source; which source might fill which field |
//! | [`chips`], [`edit`], [`difference`] | a template as chips; a file with one field changed; what differs between two files |
//! | [`compare`] | one mapping beside another over real events |
//! | [`commands`] | what `handoffd mapping` does |
//! | [`dialect`], [`exit`] | what a gateway's payload means; how a gateway is called |
//!
//! Templates are bounded in work: fuel, output, size of the source, and a language without
//! variables and multiplication (see `lint`).

pub mod captions;
mod cases;
pub mod chips;
pub mod commands;
pub mod compare;
pub mod dialect;
pub mod difference;
mod document;
pub mod edit;
pub mod exit;
mod field;
mod filters;
pub mod keep;
mod keys;
mod lint;
mod names;
mod sample;
pub mod sources;
pub mod states;
pub mod suggest;
mod template;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use handoffd_contract::notice::Notice;
use handoffd_contract::{Data, Event, LostField, Rendered};

pub use cases::TestOutcome;
pub use names::Input;
pub use sample::{bare, bare_notice, sample, sample_notice};

use cases::Case;
use document::Reading;
use field::{Field, Outcome};
use template::{Fault, Templates};

/// What is wrong with a mapping, or why it could not be applied to an event. Holds no value of the
/// event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingProblem {
    /// The file.
    pub file: String,
    /// `section.field`; empty for the file as a whole.
    pub field: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

/// A mapping in which every template is compiled. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mapping(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: String,
    kind: String,
    fields: Vec<Field>,
    templates: Templates,
    cases: Vec<Case>,
}

impl Mapping {
    /// Reads a mapping; `file` is only for messages. Every template is also rendered for a rich and
    /// for a bare event, so that what fails for a handoff without its optional parts is found here.
    ///
    /// # Errors
    /// Every problem, in the file's order.
    pub fn parse(file: &str, text: &str) -> Result<Mapping, Vec<MappingProblem>> {
        let mut reading = Reading::new(file, text);
        let Some(document) = reading.document() else {
            return Err(reading.problems);
        };
        let cases = cases::understand(document.cases, &document.fields, &mut reading);
        let Reading {
            templates,
            mut problems,
            ..
        } = reading;
        let inner = Inner {
            file: file.into(),
            kind: document.kind,
            fields: document.fields,
            templates,
            cases,
        };
        let mapping = Mapping(Arc::new(inner));
        if problems.is_empty() {
            problems = mapping.rehearse();
        }
        problems.sort_by_key(|problem| problem.line);
        if problems.is_empty() {
            Ok(mapping)
        } else {
            Err(problems)
        }
    }

    /// The kind of target that it is for.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The fields that it sets, by section.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, Vec<String>> {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for field in &self.0.fields {
            let section = fields.entry(field.section.clone()).or_default();
            section.push(field.name.clone());
        }
        fields
    }

    /// The notices that the customer is told.
    #[must_use]
    pub fn notices(&self) -> BTreeSet<Notice> {
        let on = self.0.fields.iter().filter(|field| field.on);
        on.filter_map(Field::notice).collect()
    }

    /// What the target's fields get for an event.
    ///
    /// # Errors
    /// The first field whose template fails, or that does not fit and is to park.
    pub fn render(&self, version: i64, input: &Input<'_>) -> Result<Rendered, MappingProblem> {
        self.rendered(version, self.evaluate(input))
    }

    fn rendered<'a>(
        &self,
        version: i64,
        outcomes: impl Iterator<Item = (&'a Field, Result<Outcome, Fault>)>,
    ) -> Result<Rendered, MappingProblem> {
        let mut rendered = Rendered {
            version,
            ..Rendered::default()
        };
        for (field, outcome) in outcomes {
            match outcome.map_err(|fault| self.problem(field, fault))? {
                Outcome::Value(value, note) => {
                    let section = rendered.sections.entry(field.section.clone()).or_default();
                    section.insert(field.name.clone(), value);
                    tell(&mut rendered, field, note);
                }
                Outcome::Dropped(loss) => tell(&mut rendered, field, Some(loss)),
                Outcome::Out(_) => {}
            }
        }
        Ok(rendered)
    }

    /// Runs the tests that are saved with the mapping.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        self.0
            .cases
            .iter()
            .map(|case| case.judge(self.render_case(case)))
            .collect()
    }

    /// What a test's event gives; of a notice the text, also while it is switched off.
    fn render_case(&self, case: &Case) -> Result<Rendered, MappingProblem> {
        with_input(&case.event, |input| {
            let mut session = input.session.clone();
            session.language = case.language.clone().or(session.language);
            let session = &session;
            self.rendered(0, self.evaluate_all(&Input { session, ..*input }))
        })
    }

    /// The outcome of every field of the event, in the file's order.
    fn evaluate(
        &self,
        input: &Input<'_>,
    ) -> impl Iterator<Item = (&Field, Result<Outcome, Fault>)> {
        let values = names::values(input, |name| self.0.templates.uses(name));
        self.fields_of(input)
            .map(move |field| (field, field.evaluate(&self.0.templates, &values)))
    }

    /// The same, as if every notice were switched on.
    fn evaluate_all(
        &self,
        input: &Input<'_>,
    ) -> impl Iterator<Item = (&Field, Result<Outcome, Fault>)> {
        let values = names::values(input, |name| self.0.templates.uses(name));
        let templates = &self.0.templates;
        self.fields_of(input).map(move |field| {
            let outcome = match field.notice() {
                Some(_) => field.evaluate_on(templates, &values),
                None => field.evaluate(templates, &values),
            };
            (field, outcome)
        })
    }

    fn fields_of(&self, input: &Input<'_>) -> impl Iterator<Item = &Field> {
        let notice = match &input.event.data {
            Data::CustomerNotice(told) => Some(told.notice),
            _ => None,
        };
        let fields = self.0.fields.iter();
        fields.filter(move |field| field.is_of(notice))
    }

    fn problem(&self, field: &Field, fault: Fault) -> MappingProblem {
        MappingProblem {
            file: self.0.file.clone(),
            field: field.path(),
            line: fault.line.max(field.line),
            message: fault.message,
        }
    }

    /// What fails for the built-in events. A value that does not fit is not a failure here, because
    /// the built-in events are not the reader's.
    fn rehearse(&self) -> Vec<MappingProblem> {
        let mut problems: Vec<MappingProblem> = Vec::new();
        let mut events = vec![
            (sample(), "the full sample"),
            (bare(), "a handoff with no optional part"),
        ];
        for notice in self.0.fields.iter().filter_map(Field::notice) {
            events.push((sample_notice(notice), "the full sample"));
            events.push((bare_notice(notice), "a notice with no optional part"));
        }
        for (event, of) in events {
            with_input(&event, |input| {
                for (field, outcome) in self.evaluate_all(input) {
                    if let Err(fault) = outcome
                        && fault.lack.is_none()
                        && !problems.iter().any(|known| known.field == field.path())
                    {
                        let mut problem = self.problem(field, fault);
                        problem.message = format!("fails for {of}: {}", problem.message);
                        problems.push(problem);
                    }
                }
            });
        }
        problems
    }
}

/// Notes what a field lost, for the rep and for operators.
fn tell(rendered: &mut Rendered, field: &Field, loss: Option<field::Loss>) {
    let Some(loss) = loss else { return };
    rendered.notes.push(loss.note);
    rendered.lost.push(LostField {
        field: field.path(),
        why: loss.why,
    });
}

/// Calls `then` with an event's own session and contact; a notice is about those of the sample.
pub fn with_input<T>(event: &Event, then: impl FnOnce(&Input<'_>) -> T) -> T {
    let of_sample;
    let data = match &event.data {
        Data::CustomerNotice(_) => {
            of_sample = sample().data;
            &of_sample
        }
        data => data,
    };
    let (session, contact) = match data {
        Data::HandoffRequested(handoff) => (Some(&handoff.session), Some(&handoff.contact)),
        Data::MessageReceived(said) | Data::MessageSent(said) => {
            (said.session.as_ref(), said.contact.as_ref())
        }
        _ => (None, None),
    };
    let session = session.cloned().unwrap_or_default();
    let contact = contact.cloned().unwrap_or_default();
    then(&Input {
        event,
        session: &session,
        contact: &contact,
        target: "preview",
    })
}

impl fmt::Display for MappingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}
