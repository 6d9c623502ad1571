//! A part of an event: what a dialect's file says about it, and what becomes of that for one payload.

use std::cell::RefCell;

use handoffd_contract::settings::printable;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::{List, Path, Scope};
use super::secrets::is_secret;
use super::{AT_ONCE, FETCH};
use crate::mapping::document::{Reading, by_line, literal};
use crate::mapping::field::{Field, Outcome};
use crate::mapping::template::{Fault, Id, Templates};

/// The most parts of one list in a file, and the most items that a list in an event gets.
const MAX_ITEMS: usize = 200;
/// The most faults that are told of one payload.
const MAX_FAULTS: usize = 5;
/// The deepest part of an event.
const MAX_DEPTH: usize = 10;

/// A part of an event.
#[derive(Debug)]
pub(super) enum Node {
    /// A value from templates.
    Leaf(Box<Field>),
    /// A part of the payload as it is.
    Take(Take),
    /// A table of parts.
    Table(Table),
    /// A list of parts; those in which nothing is are left out.
    List(Vec<Node>),
}

/// A part of the payload as it is, without what is secret in it.
#[derive(Debug)]
pub(super) struct Take {
    when: Option<(Id, usize)>,
    /// The first of these places at which something is.
    from: Vec<Path>,
    without: Vec<String>,
}

/// A table of parts.
#[derive(Debug, Default)]
pub(super) struct Table {
    when: Option<(Id, usize)>,
    /// In a list: one table for each of these items.
    list: Option<List>,
    pub(super) parts: Vec<(String, Node)>,
}

impl Reading<'_> {
    /// Reads a part; `None` when something is wrong, which is then among the problems.
    pub(super) fn node(
        &mut self,
        section: &str,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
        depth: usize,
    ) -> Option<Node> {
        let line = self.line(key.span().start);
        let path = format!("{section}.{}", printable(key.get_ref().as_ref()));
        if depth > MAX_DEPTH {
            self.problem(
                line,
                &path,
                format!("more than {MAX_DEPTH} tables in one another"),
            );
            return None;
        }
        match value.get_ref() {
            DeValue::Table(table) if table.contains_key("take") => {
                self.take(&path, table).map(Node::Take)
            }
            DeValue::Table(table) if !table.contains_key("value") => {
                self.parts(&path, table, depth + 1).map(Node::Table)
            }
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                if items.len() > MAX_ITEMS {
                    self.problem(
                        line,
                        &path,
                        format!("a list of more than {MAX_ITEMS} parts"),
                    );
                    return None;
                }
                let nodes = items
                    .iter()
                    .map(|item| self.node(section, key, item, depth + 1));
                nodes.collect::<Option<Vec<_>>>().map(Node::List)
            }
            _ => self
                .field(section, key, value)
                .map(|field| Node::Leaf(Box::new(field))),
        }
    }

    /// Reads a table of parts.
    pub(super) fn parts(&mut self, path: &str, table: &DeTable<'_>, depth: usize) -> Option<Table> {
        let mut read = Table::default();
        let before = self.problems.len();
        for (key, value) in by_line(table) {
            match key.get_ref().as_ref() {
                "when" => read.when = self.condition(path, value),
                "list" => read.list = self.one_list(path, value),
                name => {
                    if name == FETCH && path.ends_with(".source") {
                        self.fetch(path, key, value);
                    }
                    let node = self.node(path, key, value, depth);
                    read.parts.extend(node.map(|node| (name.to_owned(), node)));
                }
            }
        }
        (self.problems.len() == before).then_some(read)
    }

    /// When a file is fetched: one word, or templates that make it or nothing.
    fn fetch(&mut self, path: &str, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let is_known = |text: &str| text == AT_ONCE || text.contains('{');
        if !value.get_ref().as_str().is_some_and(is_known) {
            let line = self.line(key.span().start);
            let words = format!("write fetch = \"{AT_ONCE}\", or leave it out");
            self.problem(line, path, words);
        }
    }

    fn take(&mut self, path: &str, table: &DeTable<'_>) -> Option<Take> {
        let mut take = Take {
            when: None,
            from: Vec::new(),
            without: Vec::new(),
        };
        let before = self.problems.len();
        for (key, value) in by_line(table) {
            let line = self.line(key.span().start);
            match key.get_ref().as_ref() {
                "when" => take.when = self.condition(path, value),
                "take" => {
                    for written in self.texts(path, "take", value) {
                        match Path::parse(&written) {
                            Ok(from) => take.from.extend(self.known(path, line, from)),
                            Err(words) => self.problem(line, path, words),
                        }
                    }
                }
                "without" => take.without = self.texts(path, "without", value),
                other => {
                    let words = format!(
                        "unknown key `{}`; known are: take, without, when",
                        printable(other)
                    );
                    self.problem(line, path, words);
                }
            }
        }
        (self.problems.len() == before).then_some(take)
    }

    /// A way whose name is known.
    pub(super) fn known(&mut self, path: &str, line: usize, way: Path) -> Option<Path> {
        match self.templates.unknown(&way.name) {
            None => Some(way),
            Some(words) => {
                self.problem(line, path, words);
                None
            }
        }
    }

    fn one_list(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<List> {
        let line = self.line(value.span().start);
        let written = value.get_ref().as_str().unwrap_or_default();
        match List::parse(written) {
            Ok(list) => {
                let List { item, path: way } = list;
                let path = self.known(path, line, way)?;
                Some(List { item, path })
            }
            Err(words) => {
                self.problem(line, path, words);
                None
            }
        }
    }

    /// A condition.
    pub(super) fn condition(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<(Id, usize)> {
        let Some(expression) = value.get_ref().as_str() else {
            self.problem(self.line(value.span().start), path, "`when` must be a text");
            return None;
        };
        let added = self.templates.add_condition(expression);
        self.taken(path, value, added)
    }

    /// A text or a list of texts.
    pub(super) fn texts(
        &mut self,
        path: &str,
        key: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Vec<String> {
        let items: Vec<Option<String>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| literal(item.get_ref())).collect(),
            other => vec![literal(other)],
        };
        if items.iter().any(Option::is_none) || items.len() > MAX_ITEMS {
            let line = self.line(value.span().start);
            self.problem(
                line,
                path,
                format!("`{key}` must be a text or a list of texts"),
            );
        }
        items.into_iter().flatten().collect()
    }
}

/// Templates at work, and what failed in them. A part whose template fails is left out, and so is what
/// stands under a condition that fails: one odd value must not cost the whole message.
pub(super) struct Renderer<'t> {
    pub(super) templates: &'t Templates,
    faults: RefCell<Vec<String>>,
}

impl<'t> Renderer<'t> {
    pub(super) fn new(templates: &'t Templates) -> Renderer<'t> {
        Renderer {
            templates,
            faults: RefCell::default(),
        }
    }

    /// What failed, in few words each and without values of the payload.
    pub(super) fn faults(self) -> Vec<String> {
        self.faults.into_inner()
    }

    fn failed(&self, place: &str, fault: &Fault) {
        let mut faults = self.faults.borrow_mut();
        let words = format!("{place} (line {}): {}", fault.line, fault.message);
        if faults.len() < MAX_FAULTS && !faults.contains(&words) {
            faults.push(words);
        }
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, when: Option<(Id, usize)>, scope: &Scope<'_>) -> bool {
        let Some((id, line)) = when else {
            return true;
        };
        match self.templates.render(id, scope.names()) {
            Ok(rendered) => !rendered.is_empty(),
            Err(fault) => {
                let line = line + fault.line;
                self.failed("when", &Fault { line, ..fault });
                false
            }
        }
    }

    /// A field's value; `None` where there is none.
    pub(super) fn leaf(&self, field: &Field, scope: &Scope<'_>) -> Option<Value> {
        match field.evaluate(self.templates, scope.names()) {
            Ok(Outcome::Value(value, _)) => Some(value),
            Ok(Outcome::Out(_) | Outcome::Dropped(_)) => None,
            Err(fault) => {
                self.failed(&field.path(), &fault);
                None
            }
        }
    }

    /// What a part is for this payload; `None` where it is left out.
    pub(super) fn node(&self, node: &Node, scope: &Scope<'_>) -> Option<Value> {
        match node {
            Node::Leaf(field) => self.leaf(field, scope),
            Node::Take(take) => self.taken(take, scope),
            Node::Table(table) => self.table(table, scope),
            Node::List(nodes) => {
                let mut items = Vec::new();
                for node in nodes {
                    match node {
                        Node::Table(table) if table.list.is_some() => {
                            self.each(table, scope, &mut items);
                        }
                        node => items.extend(self.node(node, scope)),
                    }
                }
                items.truncate(MAX_ITEMS);
                (!items.is_empty()).then_some(Value::Array(items))
            }
        }
    }

    fn taken(&self, take: &Take, scope: &Scope<'_>) -> Option<Value> {
        if !self.holds(take.when, scope) {
            return None;
        }
        let mut found = take.from.iter().find_map(|from| scope.at(from)).cloned()?;
        if let Value::Object(map) = &mut found {
            map.retain(|name, _| !take.without.contains(name) && !is_secret(name));
        }
        Some(found)
    }

    fn table(&self, table: &Table, scope: &Scope<'_>) -> Option<Value> {
        if !self.holds(table.when, scope) {
            return None;
        }
        let parts = table.parts.iter();
        let parts = parts.filter_map(|(name, part)| Some((name.clone(), self.node(part, scope)?)));
        let map: Map<String, Value> = parts.collect();
        (!map.is_empty()).then_some(Value::Object(map))
    }

    fn each(&self, table: &Table, scope: &Scope<'_>, items: &mut Vec<Value>) {
        let Some(list) = &table.list else { return };
        for item in list.items(scope).iter().take(MAX_ITEMS) {
            let mut inner = scope.clone();
            inner.bind(&list.item, item);
            items.extend(self.table(table, &inner));
        }
    }
}
