//! Texts and bodies with `{names}` in them. A name stands for a value, never for a piece of JSON, of a
//! form or of a path: what a customer or a rep wrote cannot change the shape of a request.

use std::collections::{BTreeMap, BTreeSet};

use handoffd_contract::text::encode;
use serde_json::{Map, Value};

/// The name that stands for a file's bytes.
pub(crate) const FILE: &str = "file";

/// The deepest table or list in a body.
const MAX_DEPTH: usize = 10;

/// What names stand for. One that is not there leaves out what it stands in.
pub(crate) type Values = BTreeMap<String, Value>;

/// A text with names in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Plain(String),
    Name(String),
}

impl Text {
    /// Reads a text; `known` are the names that it may hold.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, known: &BTreeSet<String>) -> Result<Text, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or("has a { without a }; write a name between them")?;
            if !known.contains(name) {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                return Err(format!(
                    "has a name between {{ and }} that is not known here; known are {}",
                    names.join(", ")
                ));
            }
            if !before.is_empty() {
                pieces.push(Piece::Plain(before.to_owned()));
            }
            pieces.push(Piece::Name(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Plain(rest.to_owned()));
        }
        Ok(Text(pieces))
    }

    /// Whether a name stands in it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Name(one) if one == name))
    }

    /// Whether it is one name and nothing else.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.0.len() == 1 && self.has(name)
    }

    /// What it stands for: the value itself where it is one name, else a text.
    pub(crate) fn value(&self, values: &Values) -> Option<Value> {
        match &self.0[..] {
            [Piece::Name(name)] => values.get(name).cloned(),
            _ => self.text(values).map(Value::from),
        }
    }

    /// The same as a text.
    pub(crate) fn text(&self, values: &Values) -> Option<String> {
        self.written(values, |text| text)
    }

    /// The same as a path, in which every value is one segment or a part of one.
    pub(crate) fn path(&self, values: &Values) -> Option<String> {
        self.written(values, |text| encode(&text))
    }

    fn written(&self, values: &Values, form: impl Fn(String) -> String) -> Option<String> {
        let mut whole = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => whole.push_str(text),
                Piece::Name(name) => whole.push_str(&form(shown(values.get(name)?))),
            }
        }
        Some(whole)
    }

    /// What the names stand for in a text that has this form; nothing where it has another. Each stands
    /// for letters, digits and `_`.
    pub(crate) fn matched(&self, text: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut rest = text;
        for piece in &self.0 {
            match piece {
                Piece::Plain(plain) => rest = rest.strip_prefix(plain.as_str())?,
                Piece::Name(name) => {
                    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                    let (part, after) = rest.split_at(end);
                    if part.is_empty() {
                        return None;
                    }
                    found.push((name.clone(), part.to_owned()));
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(found)
    }

    /// The names in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Plain(_) => None,
        })
    }

    /// A form: every name is known in it. Two names have something between them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn form(text: &str) -> Result<Text, String> {
        let names = text.split('{').skip(1);
        let names = names.filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));
        let form = Text::parse(text, &names.collect())?;
        let touch = |pair: &[Piece]| matches!(pair, [Piece::Name(_), Piece::Name(_)]);
        if form.0.windows(2).any(touch) {
            return Err("has two names without anything between them".to_owned());
        }
        Ok(form)
    }
}

/// A value as a text.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A body of JSON in whose texts names stand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Text(Text),
    /// A number or a boolean.
    Plain(Value),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Node {
    /// Reads a body.
    ///
    /// # Errors
    /// Where it is wrong, and what is.
    pub(crate) fn parse(value: &Value, known: &BTreeSet<String>) -> Result<Node, String> {
        Node::read(value, known, 0)
    }

    fn read(value: &Value, known: &BTreeSet<String>, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("has more than {MAX_DEPTH} tables in one another"));
        }
        Ok(match value {
            Value::String(text) => Node::Text(Text::parse(text, known)?),
            Value::Array(items) => {
                let items = items.iter().map(|item| Node::read(item, known, depth + 1));
                Node::List(items.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members.iter().map(|(name, member)| {
                    let node = Node::read(member, known, depth + 1)?;
                    Ok::<_, String>((name.clone(), node))
                });
                Node::Table(members.collect::<Result<_, _>>()?)
            }
            other => Node::Plain(other.clone()),
        })
    }

    /// Whether a name stands anywhere in it.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Node::Text(text) => text.has(name),
            Node::Plain(_) => false,
            Node::List(items) => items.iter().any(|item| item.has(name)),
            Node::Table(members) => members.iter().any(|(_, member)| member.has(name)),
        }
    }

    /// The body, and where the file's bytes stand in it, as a JSON pointer.
    pub(crate) fn render(&self, values: &Values) -> (Value, Option<String>) {
        let mut file = None;
        let body = self.at(values, String::new(), &mut file);
        (body.unwrap_or_else(|| Value::Object(Map::new())), file)
    }

    fn at(&self, values: &Values, place: String, file: &mut Option<String>) -> Option<Value> {
        match self {
            Node::Text(text) if text.is(FILE) => {
                *file = Some(place);
                Some(Value::from(""))
            }
            Node::Text(text) => text.value(values),
            Node::Plain(value) => Some(value.clone()),
            Node::List(items) => {
                let mut list: Vec<Value> = Vec::new();
                for item in items {
                    let place = format!("{place}/{}", list.len());
                    list.extend(item.at(values, place, file));
                }
                Some(Value::Array(list))
            }
            Node::Table(members) => {
                let mut table = Map::new();
                for (name, member) in members {
                    let step = name.replace('~', "~0").replace('/', "~1");
                    let member = member.at(values, format!("{place}/{step}"), file);
                    table.extend(member.map(|member| (name.clone(), member)));
                }
                // A table of which nothing is there says nothing.
                let is_left_out = table.is_empty() && !members.is_empty();
                (!is_left_out).then_some(Value::Object(table))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> BTreeSet<String> {
        ["to", "text", "caption", "file", "flag"]
            .map(str::to_owned)
            .into()
    }

    fn values() -> Values {
        let text = r#"a "quote", {to} and a \ "#;
        [
            ("to".to_owned(), json!("49 1/5?x")),
            ("text".to_owned(), json!(text)),
            ("flag".to_owned(), json!(true)),
        ]
        .into()
    }

    #[test]
    fn a_value_stays_a_value_whatever_is_written_in_it() {
        let node = json!({"n": {"to": "x-{to}", "text": "{text}", "flag": "{flag}", "one": 1},
            "caption": "{caption}", "half": "{text} {caption}", "list": ["{caption}", "{file}", "{to}"],
            "none": {"deep": {"caption": "{caption}"}}, "empty": {}});
        let node = Node::parse(&node, &known()).expect("a body");
        let (body, file) = node.render(&values());
        let text = values()["text"].clone();
        assert_eq!(
            body,
            json!({"n": {"to": "x-49 1/5?x", "text": text, "flag": true, "one": 1}, "list": ["", "49 1/5?x"],
                "empty": {}})
        );
        assert_eq!(file.as_deref(), Some("/list/0"));
        let path = Text::parse("/send/{to}", &known()).expect("a path");
        assert_eq!(
            path.path(&values()).as_deref(),
            Some("/send/49%201%2F5%3Fx")
        );
        assert_eq!(path.text(&Values::new()), None);
        for wrong in ["{", "{other}", "{to", "{{to}}"] {
            assert!(Text::parse(wrong, &known()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_form_gives_what_stands_in_a_text_and_nothing_else() {
        let form = Text::form("chatwoot-{account}-{conversation}").expect("a form");
        let found = form.matched("chatwoot-3-214").expect("fits");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found, [pair("account", "3"), pair("conversation", "214")]);
        for other in [
            "chatwoot-3",
            "chatwoot-3-",
            "chatwoot-3-214-9",
            "wa-3-214",
            "chatwoot-3-2/14",
        ] {
            assert_eq!(form.matched(other), None, "{other}");
        }
        assert!(Text::form("{a}{b}").is_err());
    }
}
