//! Places in a payload: `body.data.message`, `change.value.messages[0]`; and lists: `m in body.messages`.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use minijinja::value::Value as Name;
use serde_json::Value;

use crate::mapping::names::Free;
use crate::mapping::values::text;

/// The deepest level of a payload that templates see. JSON itself is read to 128.
const MAX_DEPTH: usize = 64;
/// The longest way.
const MAX_STEPS: usize = 20;

/// The way to a place: a name, then keys and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) name: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A list whose items are looked at one by one under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    pub(super) item: String,
    pub(super) path: Path,
}

/// What is known at a place of a payload: the names, as JSON and as templates see them.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope<'v> {
    json: BTreeMap<String, &'v Value>,
    names: BTreeMap<String, Name>,
    /// What is looked at: the payload, or an item of one of its lists.
    item: Option<&'v Value>,
    /// The names as one value; made when it is asked for.
    whole: OnceCell<Name>,
}

impl Path {
    /// A way as it is written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(written: &str) -> Result<Path, String> {
        let wrong = || {
            format!(
                "`{}` is no way to a place; write such as body.data.message or body.entry[0].id",
                shown(written)
            )
        };
        let mut steps = Vec::new();
        for part in written.trim().split('.') {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if key.is_empty() || key.chars().any(|c| c.is_control() || "{}|()]".contains(c)) {
                return Err(wrong());
            }
            steps.push(Step::Key(key.to_owned()));
            while !rest.is_empty() {
                let (index, after) = rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .ok_or_else(wrong)?;
                steps.push(Step::Index(index.parse().map_err(|_| wrong())?));
                rest = after;
            }
        }
        if steps.len() > MAX_STEPS {
            return Err(format!("more than {MAX_STEPS} steps"));
        }
        match steps.remove(0) {
            Step::Key(name) if is_name(&name) => Ok(Path { name, steps }),
            _ => Err(wrong()),
        }
    }

    /// What is there below a value that stands for the way's name.
    fn below<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let mut place = value;
        for step in &self.steps {
            place = match step {
                Step::Key(key) => place.get(key)?,
                Step::Index(index) => place.get(index)?,
            };
        }
        (!place.is_null()).then_some(place)
    }

    /// Takes out of a document what is there. Returns whether anything was.
    pub(super) fn take_out(&self, document: &mut Value) -> bool {
        let Some((last, before)) = self.steps.split_last() else {
            return false;
        };
        let mut place = document;
        for step in before {
            let next = match step {
                Step::Key(key) => place.get_mut(key),
                Step::Index(index) => place.get_mut(index),
            };
            let Some(next) = next else {
                return false;
            };
            place = next;
        }
        match (last, place.as_object_mut()) {
            (Step::Key(key), Some(map)) => map.remove(key).is_some(),
            _ => false,
        }
    }
}

impl List {
    /// A list as it is written, `item in way`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(written: &str) -> Result<List, String> {
        let (item, path) = written.split_once(" in ").ok_or_else(|| {
            format!(
                "`{}` is no list; write such as \"message in body.messages\"",
                shown(written)
            )
        })?;
        let item = item.trim();
        if !is_name(item) {
            return Err(format!(
                "`{}` is no name; use letters, digits and _",
                shown(item)
            ));
        }
        Ok(List {
            item: item.to_owned(),
            path: Path::parse(path)?,
        })
    }

    /// The items; a single object is a list of itself.
    pub(super) fn items<'v>(&self, scope: &Scope<'v>) -> &'v [Value] {
        match scope.at(&self.path) {
            Some(Value::Array(items)) => items,
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => &[],
        }
    }
}

impl<'v> Scope<'v> {
    /// Gives a part of the payload a name.
    pub(super) fn bind(&mut self, name: &str, value: &'v Value) {
        self.whole.take();
        self.names.insert(name.to_owned(), seen(value, 0));
        self.json.insert(name.to_owned(), value);
    }

    /// Looks at a part of the payload under a name.
    pub(super) fn enter(&mut self, name: &str, value: &'v Value) {
        self.bind(name, value);
        self.item = Some(value);
    }

    /// What is looked at, as it is written: the same whenever the same comes again.
    pub(super) fn item(&self) -> String {
        self.item.map(Value::to_string).unwrap_or_default()
    }

    /// Gives a text a name.
    pub(super) fn say(&mut self, name: &str, value: &str) {
        self.whole.take();
        self.json.remove(name);
        self.names.insert(name.to_owned(), text(value));
    }

    /// Gives a name to what is at a place: nothing, if nothing is there.
    pub(super) fn alias(&mut self, name: &str, place: Option<&'v Value>) {
        match place {
            Some(value) => self.bind(name, value),
            None => {
                self.whole.take();
                self.json.remove(name);
                self.names.remove(name);
            }
        }
    }

    /// Gives a table of texts, such as the headers, a name; those that are not there are nothing.
    pub(super) fn texts(&mut self, name: &str, texts: &BTreeMap<String, String>) {
        self.whole.take();
        let texts = texts.iter();
        let texts = texts.map(|(name, value)| (name.to_ascii_lowercase(), text(value)));
        let texts = Name::from_object(Free(texts.collect()));
        self.names.insert(name.to_owned(), texts);
    }

    /// The name of the way by which the payload came.
    pub(super) fn source(&self) -> String {
        let source = self.names.get("source");
        source.map(ToString::to_string).unwrap_or_default()
    }

    /// What is at a place.
    pub(super) fn at(&self, path: &Path) -> Option<&'v Value> {
        path.below(self.json.get(&path.name).copied()?)
    }

    /// The names as templates see them. Those that have no value are nothing.
    pub(super) fn names(&self) -> &Name {
        let whole = || Name::from_object(Free(self.names.clone()));
        self.whole.get_or_init(whole)
    }
}

/// A part of a payload as templates see it. Nested deeper than anything is, it is nothing.
fn seen(value: &Value, depth: usize) -> Name {
    match value {
        Value::Bool(flag) => Name::from(*flag),
        Value::Number(number) => number
            .as_i64()
            .map(Name::from)
            .or_else(|| number.as_u64().map(Name::from))
            .or_else(|| number.as_f64().map(Name::from))
            .unwrap_or_else(|| Name::from(())),
        Value::String(value) => text(value),
        Value::Array(items) if depth < MAX_DEPTH => {
            let items = items.iter().map(|item| seen(item, depth + 1));
            Name::from(items.collect::<Vec<_>>())
        }
        Value::Object(table) if depth < MAX_DEPTH => {
            let entries = table.iter();
            let entries = entries.map(|(name, value)| (name.clone(), seen(value, depth + 1)));
            Name::from_object(Free(entries.collect()))
        }
        _ => Name::from(()),
    }
}

/// Whether it is a name in templates.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=40).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn shown(written: &str) -> String {
    crate::mapping::document::shorten(written)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ways_lead_to_places_and_lists_to_items() {
        let body = json!({"entry": [{"id": 7, "changes": [{"a": null}, {"a": 1}]}], "one": {"x": 2}, "text": "t"});
        let mut scope = Scope::default();
        scope.bind("body", &body);
        let at = |way: &str| scope.at(&Path::parse(way).expect(way)).cloned();
        assert_eq!(at("body.entry[0].id"), Some(json!(7)));
        assert_eq!(at("body.entry[0].changes[1].a"), Some(json!(1)));
        for nothing in [
            "body.entry[1].id",
            "body.entry[0].changes[0].a",
            "body.text.x",
            "other.x",
        ] {
            assert_eq!(at(nothing), None, "{nothing}");
        }
        let items = |list: &str| List::parse(list).expect(list).items(&scope).len();
        assert_eq!(items("c in body.entry[0].changes"), 2);
        assert_eq!(
            (
                items("c in body.one"),
                items("c in body.text"),
                items("c in body.no")
            ),
            (1, 0, 0)
        );
        for wrong in ["", ".", "a..b", "a[", "a[x]", "a[-1]", "{{ a }}", "a[0]b"] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["body.x", "a b in body.x", "x in ", "9 in body"] {
            assert!(List::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_taken_out_is_gone_and_nothing_else() {
        let mut body = json!({"apikey": "s", "data": {"session": {"apiKey": "s", "x": 1}}});
        for way in [
            "body.apikey",
            "body.data.session.apiKey",
            "body.data.none.x",
            "body",
        ] {
            Path::parse(way).expect(way).take_out(&mut body);
        }
        assert_eq!(body, json!({"data": {"session": {"x": 1}}}));
    }
}
