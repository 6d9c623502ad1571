//! `$filter`: the grammar that live sites take, with their refusals.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::store::{Row, Store};

/// A filter, checked against an entity set.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare(Op, Path, Literal),
    Text(Function, Path, String),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

/// A text function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
}

/// A way from a row to a column: foreign keys with the entities that they lead to, then the column.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) steps: Vec<(String, String)>,
    pub(super) column: String,
}

/// A value in a filter.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Guid(String),
    Text(String),
    Date(Timestamp),
    Number(i64),
    Bool(bool),
    Null,
}

impl Filter {
    /// Whether a row passes.
    pub(super) fn passes(&self, store: &Store, row: &Row) -> bool {
        match self {
            Filter::And(a, b) => a.passes(store, row) && b.passes(store, row),
            Filter::Or(a, b) => a.passes(store, row) || b.passes(store, row),
            Filter::Not(a) => !a.passes(store, row),
            Filter::Compare(op, path, literal) => {
                compare(*op, path.value(store, row).as_ref(), literal)
            }
            Filter::Text(function, path, part) => {
                let value = path.value(store, row);
                let text = value.as_ref().and_then(Value::as_str).unwrap_or_default();
                match function {
                    Function::StartsWith => text.starts_with(part.as_str()),
                    Function::EndsWith => text.ends_with(part.as_str()),
                    Function::Contains => text.contains(part.as_str()),
                }
            }
        }
    }

    /// The rows that can pass, where an index says so.
    pub(super) fn candidates(&self, store: &Store, entity: &str) -> Option<BTreeSet<u64>> {
        match self {
            Filter::And(a, b) => match (a.candidates(store, entity), b.candidates(store, entity)) {
                (Some(a), Some(b)) => Some(if a.len() < b.len() { a } else { b }),
                (a, b) => a.or(b),
            },
            Filter::Or(a, b) => {
                let mut found = a.candidates(store, entity)?;
                found.extend(b.candidates(store, entity)?);
                Some(found)
            }
            Filter::Compare(Op::Eq, path, Literal::Guid(id)) => match path.steps.as_slice() {
                [] => store.equal(entity, &path.column, id),
                [(key, _)] if path.column == "Id" => store.equal(entity, key, id),
                _ => None,
            },
            Filter::Compare(Op::Eq, path, Literal::Text(text)) if path.steps.is_empty() => {
                store.equal(entity, &path.column, text)
            }
            Filter::Text(Function::StartsWith, path, part) if path.steps.is_empty() => {
                store.starting(entity, &path.column, part)
            }
            _ => None,
        }
    }
}

impl Path {
    fn value(&self, store: &Store, row: &Row) -> Option<Value> {
        let mut row = row;
        for (column, target) in &self.steps {
            row = store.get(target, row.text(column))?;
        }
        row.0.get(&self.column).cloned()
    }
}

fn compare(op: Op, value: Option<&Value>, literal: &Literal) -> bool {
    let unset = value.is_none_or(Value::is_null);
    let order = match literal {
        Literal::Null => {
            return match op {
                Op::Eq => unset,
                Op::Ne => !unset,
                _ => false,
            };
        }
        // An unset flag, number or text is stored as its empty value, an unset lookup as NULL.
        Literal::Bool(wanted) => value.and_then(Value::as_bool).unwrap_or(false).cmp(wanted),
        Literal::Number(wanted) => value.and_then(Value::as_i64).unwrap_or(0).cmp(wanted),
        Literal::Text(wanted) => value
            .and_then(Value::as_str)
            .unwrap_or_default()
            .cmp(wanted),
        Literal::Guid(wanted) => match value.and_then(Value::as_str) {
            Some(id) => id.cmp(wanted),
            None => return op == Op::Ne,
        },
        Literal::Date(wanted) => match value
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<Timestamp>().ok())
        {
            Some(at) => at.cmp(wanted),
            None => return op == Op::Ne,
        },
    };
    match op {
        Op::Eq => order.is_eq(),
        Op::Ne => order.is_ne(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
    }
}
