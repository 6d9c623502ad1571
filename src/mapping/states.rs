//! The state of each field for one event: what the mapping makes of it, and what the CRM would say to that.

use handoffd_contract::schema::{Field as CrmField, Holds};
use handoffd_contract::{Schema, text};
use jiff::{Timestamp, civil};
use serde::Serialize;
use serde_json::Value;

use super::captions::{Meant, meant};
use super::field::{Field, Lack, Outcome, Source};
use super::template::Fault;
use super::{Input, Mapping};

/// What is the matter with a field, if anything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// It has a value that fits.
    Fine,
    /// It is left out because its value is empty, its condition does not hold, or it is switched off.
    Empty,
    /// It was cut, from so many UTF-16 units to so many.
    Shortened {
        /// Before.
        from: usize,
        /// Now.
        to: usize,
    },
    /// It is longer than fits.
    TooLong {
        /// So long.
        from: usize,
        /// So much fits.
        to: usize,
    },
    /// It is not what the field holds.
    WrongType,
    /// It is none of the field's options, or none of the values of its map.
    NotAnOption,
    /// Nobody can write this field: the CRM fills it.
    ReadOnly,
    /// The field must have a value, and it has none.
    Required,
    /// The CRM has no such field.
    Unknown,
    /// Its template fails for this event.
    Fails,
}

impl State {
    /// Whether a person should look at it.
    #[must_use]
    pub fn needs_a_look(self) -> bool {
        !matches!(self, State::Fine | State::Empty)
    }

    /// The word for it in addresses, styles and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Fine => "fine",
            State::Empty => "empty",
            State::Shortened { .. } => "shortened",
            State::TooLong { .. } => "too_long",
            State::WrongType => "wrong_type",
            State::NotAnOption => "not_an_option",
            State::ReadOnly => "read_only",
            State::Required => "required",
            State::Unknown => "unknown",
            State::Fails => "fails",
        }
    }
}

/// A field's state for one event.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldState {
    /// The field's section.
    pub section: String,
    /// The field's code.
    pub name: String,
    /// Where it begins in the file, from 1; 0 where the file does not have it.
    pub line: usize,
    /// What is the matter.
    pub state: State,
    /// Why, without the value.
    pub why: String,
    /// The value that is sent, with captions as codes; `None` where none is.
    pub value: Option<Value>,
    /// Whether the whole handoff is stopped by it.
    pub parks: bool,
    /// Whether the value is the mapping's own words: of a value map, or of a template without sources.
    pub is_fixed: bool,
}

impl FieldState {
    /// `section.name`
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

impl Mapping {
    /// The state of every field for an event, in the file's order.
    #[must_use]
    pub fn states(&self, input: &Input<'_>, schema: Option<&Schema>) -> Vec<FieldState> {
        self.evaluate(input)
            .map(|(field, outcome)| self.state(field, outcome, schema))
            .collect()
    }

    fn state(
        &self,
        field: &Field,
        outcome: Result<Outcome, Fault>,
        schema: Option<&Schema>,
    ) -> FieldState {
        let is_mapped = field.map.is_some() && field.default.is_none();
        let mut state = FieldState {
            section: field.section.clone(),
            name: field.name.clone(),
            line: field.line,
            state: State::Fine,
            why: String::new(),
            value: None,
            parks: false,
            is_fixed: is_mapped || self.is_constant(field),
        };
        match outcome {
            Ok(Outcome::Value(value, loss)) => {
                state.value = Some(value);
                if let Some(loss) = loss {
                    (state.state, state.why) = (of_lack(loss.lack), loss.why);
                }
            }
            Ok(Outcome::Out(why)) => (state.state, state.why) = (State::Empty, why.to_owned()),
            Ok(Outcome::Dropped(loss)) => {
                (state.state, state.why) = (of_lack(loss.lack), loss.why);
            }
            Err(fault) => {
                state.state = fault.lack.map_or(State::Fails, of_lack);
                state.why = fault.message;
                state.parks = true;
            }
        }
        if let Some(schema) = schema {
            judged(&mut state, schema);
        }
        state
    }

    fn is_constant(&self, field: &Field) -> bool {
        match &field.value {
            Source::One(id) => !self.0.templates.has_names(*id),
            Source::List(ids) => ids.iter().all(|id| !self.0.templates.has_names(*id)),
            Source::ByLanguage(..) => false,
        }
    }
}

fn of_lack(lack: Lack) -> State {
    match lack {
        Lack::Shortened { from, to } => State::Shortened { from, to },
        Lack::TooLong { from, to } => State::TooLong { from, to },
        Lack::WrongType(_) => State::WrongType,
        Lack::Unmapped => State::NotAnOption,
        Lack::Empty => State::Required,
    }
}

/// What the CRM would say. Its word goes before the mapping's, as long as a value would be sent at all.
fn judged(state: &mut FieldState, schema: &Schema) {
    if schema.lacks(&state.section, &state.name) == Some(true) {
        say(
            state,
            State::Unknown,
            "the CRM has no such field".to_owned(),
        );
        return;
    }
    let Some(field) = schema.field(&state.section, &state.name) else {
        return;
    };
    if field.read_only {
        say(
            state,
            State::ReadOnly,
            "the CRM fills this field itself".to_owned(),
        );
        return;
    }
    let Some(value) = state.value.clone() else {
        if field.required && state.state == State::Empty {
            say(
                state,
                State::Required,
                "the CRM takes no record without it".to_owned(),
            );
        }
        return;
    };
    match meant(schema, field, &value) {
        Meant::Code(code) => state.value = Some(code),
        Meant::Nothing => {
            let why = if field.holds == Holds::Lookup {
                "it is neither the id nor the caption of a row that the field can name"
            } else {
                "the field has no such option"
            };
            (state.state, state.why) = (State::NotAnOption, why.to_owned());
            return;
        }
        Meant::Itself | Meant::Unclear => {}
    }
    if let Some(wanted) = misfit(field, &value) {
        (state.state, state.why) = (State::WrongType, format!("it is not {wanted}"));
    } else if let (Some(max), Value::String(written)) = (field.max, &value) {
        let length = text::utf16_len(written);
        if length > max {
            let why = format!("{length} characters, and the CRM takes {max}");
            (state.state, state.why) = (
                State::TooLong {
                    from: length,
                    to: max,
                },
                why,
            );
        }
    }
}

fn say(state: &mut FieldState, found: State, why: impl Into<String>) {
    (state.state, state.why) = (found, why.into());
}

/// What the field holds, where the value is something else.
fn misfit(field: &CrmField, value: &Value) -> Option<&'static str> {
    let written = match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let is_millis = || {
        written
            .parse::<i64>()
            .is_ok_and(|millis| millis.abs() > 10_000_000_000)
    };
    let is_time = || written.parse::<Timestamp>().is_ok();
    let fits = match field.holds {
        Holds::Number => written.parse::<f64>().is_ok_and(f64::is_finite),
        Holds::Bool => matches!(written.to_lowercase().as_str(), "true" | "false"),
        Holds::Date => written.parse::<civil::Date>().is_ok() || is_time() || is_millis(),
        Holds::Datetime => is_time() || written.parse::<civil::Date>().is_ok() || is_millis(),
        Holds::Other => false,
        Holds::Text | Holds::Choice | Holds::Choices | Holds::Lookup => true,
    };
    let wanted = match field.holds {
        Holds::Number => "a number",
        Holds::Bool => "true or false",
        Holds::Date => "a date",
        Holds::Datetime => "a time",
        _ => "something that a mapping can give",
    };
    (!fits).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use handoffd_contract::schema::{Choice, Options};

    use super::*;
    use crate::mapping::{sample, with_input};

    fn schema() -> Schema {
        let mut schema = Schema::default();
        let mut add = |name: &str, holds, change: &dyn Fn(&mut CrmField)| {
            let mut field = CrmField {
                holds,
                ..CrmField::default()
            };
            change(&mut field);
            schema.add("ticket", name, field);
        };
        add("subject", Holds::Text, &|field| field.max = Some(10));
        add("short", Holds::Text, &|_| {});
        add("amount", Holds::Number, &|_| {});
        add("due", Holds::Date, &|_| {});
        add("createdate", Holds::Datetime, &|field| {
            field.read_only = true
        });
        add("must", Holds::Text, &|field| field.required = true);
        add("category", Holds::Choice, &|field| {
            field.options = Some(Options {
                list: vec![Choice::new("BILLING_ISSUE", "Billing issue", false)],
                whole: true,
                tells_off: true,
            });
        });
        add("caption", Holds::Choice, &|field| {
            field.options = Some(Options {
                list: vec![Choice::new("HIGH", "Angry", false)],
                whole: true,
                tells_off: true,
            });
        });
        schema
    }

    #[test]
    fn each_field_has_the_state_that_design_and_crm_give_it() {
        let text = r#"
kind = "hubspot"
[ticket]
subject = "{{ handoff.topic }}"
amount = "{{ handoff.topic }}"
due = "{{ fields.purchase_date }}"
createdate = "{{ event.time }}"
must = "{{ fields.nothing }}"
category = "REFUND"
caption = "{{ handoff.sentiment }}"
order_nr = "{{ fields.order_id }}"
[ticket.short]
value = "{{ handoff.topic }}"
max = 5
"#;
        let mapping = Mapping::parse("m.toml", text).expect("is right");
        let event = sample();
        let states = with_input(&event, |input| mapping.states(input, Some(&schema())));
        let found: BTreeMap<&str, &FieldState> = states
            .iter()
            .map(|state| (state.name.as_str(), state))
            .collect();
        let word = |name: &str| found[name].state.word();
        assert_eq!(word("subject"), "too_long");
        assert_eq!(found["short"].state, State::Shortened { from: 21, to: 5 });
        assert_eq!(word("amount"), "wrong_type");
        assert_eq!(word("due"), "fine");
        assert_eq!(word("createdate"), "read_only");
        assert_eq!(word("must"), "required");
        assert_eq!(word("category"), "not_an_option");
        assert!(found["category"].is_fixed && !found["subject"].is_fixed);
        assert_eq!(
            found["caption"].value,
            Some("HIGH".into()),
            "by its caption"
        );
        assert_eq!(word("order_nr"), "unknown");
        // Nothing of the event stands in the words.
        assert!(states.iter().all(|state| !state.why.contains("8812")));
    }

    #[test]
    fn a_field_that_parks_says_so() {
        let text = "kind = \"hubspot\"\n[ticket.subject]\nvalue = \"{{ fields.nothing }}\"\nrequired = true\n";
        let mapping = Mapping::parse("m.toml", text).expect("is right");
        let states = with_input(&sample(), |input| mapping.states(input, None));
        assert!(states[0].parks && states[0].state == State::Required);
    }
}
