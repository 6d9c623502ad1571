//! A place in a JSON document, and what is wrong there.
//!
//! A warning or an error names the place (`data.transcript[3].time`), the shape of what was found (`a
//! text of 9 characters`) and the remedy. It never repeats the value: that may be what a customer wrote.

use handoffd_contract::{Reason, Stop};
use serde_json::{Map, Value};

use super::warn::{Context, Warning};

/// A place in a document: the value there, if any, and the way to it.
#[derive(Clone, Copy)]
pub(super) struct At<'v, 'p> {
    value: Option<&'v Value>,
    above: Option<&'p At<'v, 'p>>,
    name: Name<'p>,
    context: &'p Context<'p>,
}

#[derive(Clone, Copy)]
enum Name<'p> {
    /// The document itself; the text stands before the names of its fields, such as `ce-`.
    Root(&'p str),
    /// A field that events have.
    Field(&'static str),
    /// A field whose name the producer chose.
    Free(&'p str),
    Index(usize),
}

impl<'v, 'p> At<'v, 'p> {
    /// The whole document. Its own fields are written with `prefix`, except `data`, which in binary
    /// mode is not a header but the body.
    pub(super) fn root(value: &'v Value, prefix: &'p str, context: &'p Context<'p>) -> At<'v, 'p> {
        At {
            value: Some(value),
            above: None,
            name: Name::Root(prefix),
            context,
        }
    }

    /// A field of this object; absent when this is no object or has no such field. `null` is absent.
    pub(super) fn field<'q>(&'q self, name: &'static str) -> At<'v, 'q> {
        let value = self
            .value
            .and_then(|value| value.get(name))
            .filter(|value| !value.is_null());
        At {
            value,
            above: Some(self),
            name: Name::Field(name),
            context: self.context,
        }
    }

    /// This place with another value, such as the JSON that stood in a text.
    pub(super) fn with(self, value: &'v Value) -> At<'v, 'p> {
        At {
            value: Some(value),
            ..self
        }
    }

    /// Whether something is there.
    pub(super) fn given(&self) -> bool {
        self.value.is_some()
    }

    /// What every reader needs.
    pub(super) fn context(&self) -> &'p Context<'p> {
        self.context
    }

    /// An event that cannot be taken because of this place.
    pub(super) fn wrong(&self, remedy: &str) -> Stop {
        self.stop(Reason::Undecodable, remedy)
    }

    /// This place, the shape of its value, and the remedy, under a reason.
    pub(super) fn stop(&self, reason: Reason, remedy: &str) -> Stop {
        Stop::new(
            reason,
            format!("{} is {}; {remedy}", self.path(), self.shape()),
        )
    }

    /// Notes that what is here could not be read and is left out, or cut.
    pub(super) fn lost(&self, remedy: &str) {
        self.warn(true, &format!("it was left out: {remedy}"));
    }

    /// Notes that only a part of what is here is taken.
    pub(super) fn cut(&self, what: &str) {
        self.warn(true, what);
    }

    /// Notes how something was understood that is not as it should be.
    pub(super) fn read_as(&self, how: &str) {
        self.warn(false, how);
    }

    fn warn(&self, lost: bool, what: &str) {
        let place = self.path();
        self.context.warn(Warning {
            text: format!("{place} is {}; {what}", self.shape()),
            field: self.label(),
            place,
            lost,
        });
    }

    /// The object that is here.
    pub(super) fn object(&self) -> Option<&'v Map<String, Value>> {
        self.value.and_then(Value::as_object)
    }

    /// The members of the object that is here; none of anything else.
    pub(super) fn members<'q>(&'q self) -> impl Iterator<Item = (&'v str, At<'v, 'q>)>
    where
        'v: 'q,
    {
        let members = self.object().into_iter().flatten();
        members.map(move |(name, value)| {
            let at = At {
                value: Some(value),
                above: Some(self),
                name: Name::Free(name),
                context: self.context,
            };
            (name.as_str(), at)
        })
    }

    /// The items of the list that is here, without `null`s; none of anything else.
    pub(super) fn items<'q>(&'q self) -> impl DoubleEndedIterator<Item = At<'v, 'q>>
    where
        'v: 'q,
    {
        let items = self
            .value
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let all = items
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_null());
        all.map(move |(index, value)| At {
            value: Some(value),
            above: Some(self),
            name: Name::Index(index),
            context: self.context,
        })
    }

    /// The value as it is.
    pub(super) fn value(&self) -> Option<&'v Value> {
        self.value
    }

    /// The place as people read it.
    pub(super) fn path(&self) -> String {
        match (self.above, self.name) {
            (None, _) | (_, Name::Root(_)) => "the event".to_owned(),
            (Some(above), Name::Index(index)) => format!("{}[{index}]", above.path()),
            (Some(above), Name::Field(name)) => above.below(name),
            (Some(above), Name::Free(name)) => above.below(&plain(name)),
        }
    }

    fn below(&self, name: &str) -> String {
        match self.name {
            Name::Root(_) if name == "data" => name.to_owned(),
            Name::Root(prefix) => format!("{prefix}{name}"),
            _ => format!("{}.{name}", self.path()),
        }
    }

    /// The place as it is counted: one of a closed list.
    fn label(&self) -> String {
        match (self.above, self.name) {
            (None, _) | (_, Name::Root(_)) => "event".to_owned(),
            (Some(above), Name::Index(_)) => format!("{}[]", above.label()),
            (Some(above), Name::Free(_)) => match above.name {
                // Inside of a free value every depth is the same place.
                Name::Free(_) | Name::Index(_) => above.label(),
                _ => format!("{}.*", above.label()),
            },
            (
                Some(At {
                    name: Name::Root(_),
                    ..
                }),
                Name::Field(name),
            ) => name.to_owned(),
            (Some(above), Name::Field(name)) => format!("{}.{name}", above.label()),
        }
    }

    fn shape(&self) -> String {
        match self.value {
            None => "missing".to_owned(),
            Some(Value::Null) => "null".to_owned(),
            Some(Value::Bool(_)) => "true or false".to_owned(),
            Some(Value::Number(_)) => "a number".to_owned(),
            Some(Value::String(text)) => match text.chars().count() {
                0 => "an empty text".to_owned(),
                1 => "a text of 1 character".to_owned(),
                count => format!("a text of {count} characters"),
            },
            Some(Value::Array(list)) => format!("a list of {}", list.len()),
            Some(Value::Object(map)) if map.len() == 1 => "an object of 1 field".to_owned(),
            Some(Value::Object(map)) => format!("an object of {} fields", map.len()),
        }
    }
}

/// A field's name as it can be printed: the producer chooses names, too.
fn plain(name: &str) -> String {
    name.chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
