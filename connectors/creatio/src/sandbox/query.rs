//! Reading: `$select`, `$expand`, `$orderby`, `$top`, `$skip`, `$count`, and rows as JSON.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::filter::Filter;
use super::schema::Kind;
use super::store::{Row, Store};
use crate::standard::ZERO;

/// Rows of one answer without `$top`.
const MAX_ROWS: usize = 20_000;
/// Levels of `$expand`.
const MAX_DEPTH: usize = 2;

/// What of each row is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    select: Option<Vec<String>>,
    expand: Vec<(String, Shape)>,
}

/// A read of an entity set.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    shape: Shape,
    filter: Option<Filter>,
    order: Vec<(String, bool)>,
    top: Option<usize>,
    skip: usize,
    count: bool,
}

impl Query {
    /// Reads the query's parameters.
    pub(super) fn parse(
        store: &Store,
        entity: &str,
        parameters: &[(String, String)],
    ) -> Result<Query, Fault> {
        let mut query = Query::default();
        for (name, value) in parameters {
            match name.as_str() {
                "$select" => query.shape.select = Some(select(store, entity, value)?),
                "$expand" => query.shape.expand = expand(store, entity, value, 1)?,
                "$filter" => query.filter = Some(Filter::parse(value, entity, &store.schema)?),
                "$orderby" => query.order = order(store, entity, value)?,
                "$top" => query.top = Some(number(name, value)?),
                "$skip" => query.skip = number(name, value)?,
                "$count" => query.count = value == "true",
                other if other.starts_with('$') => {
                    return Err(Fault::odata(
                        400,
                        format!("The query parameter '{other}' is not supported."),
                    ));
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// The answer for a set.
    pub(super) fn list(&self, store: &Store, entity: &str, context: &str) -> Result<Value, Fault> {
        let candidates = self
            .filter
            .as_ref()
            .and_then(|filter| filter.candidates(store, entity));
        let passes = |row: &&Row| {
            self.filter
                .as_ref()
                .is_none_or(|filter| filter.passes(store, row))
        };
        let mut rows: Vec<&Row> = store
            .some(entity, candidates.as_ref())
            .filter(passes)
            .collect();
        let total = rows.len();
        if total > MAX_ROWS && self.top.is_none() {
            return Err(Fault::odata(
                500,
                format!("The number of rows exceeds MaxEntityRowCount ({MAX_ROWS})."),
            ));
        }
        rows.sort_by(|a, b| {
            let by = self.order.iter().map(|(column, descending)| {
                let order = compare(a.0.get(column), b.0.get(column));
                if *descending { order.reverse() } else { order }
            });
            by.fold(Ordering::Equal, Ordering::then)
        });
        let page = rows
            .into_iter()
            .skip(self.skip)
            .take(self.top.unwrap_or(MAX_ROWS));
        let value: Vec<Value> = page
            .map(|row| json_of(store, entity, row, &self.shape))
            .collect();
        let selected = self
            .shape
            .select
            .as_ref()
            .map(|s| format!("({})", s.join(",")))
            .unwrap_or_default();
        let mut body =
            json!({ "@odata.context": format!("{context}#{entity}{selected}"), "value": value });
        if self.count {
            body["@odata.count"] = total.into();
        }
        Ok(body)
    }

    /// How many rows pass.
    pub(super) fn total(&self, store: &Store, entity: &str) -> usize {
        store
            .all(entity)
            .filter(|row| {
                self.filter
                    .as_ref()
                    .is_none_or(|filter| filter.passes(store, row))
            })
            .count()
    }

    /// The answer for one row.
    pub(super) fn one(&self, store: &Store, entity: &str, row: &Row, context: &str) -> Value {
        let mut body = json_of(store, entity, row, &self.shape);
        body["@odata.context"] = format!("{context}#{entity}/$entity").into();
        body
    }
}

/// The whole row, as a creation is answered.
pub(super) fn whole(store: &Store, entity: &str, row: &Row, context: &str) -> Value {
    Query::default().one(store, entity, row, context)
}

fn json_of(store: &Store, entity: &str, row: &Row, shape: &Shape) -> Value {
    let mut body = Map::new();
    for column in store.schema.0.get(entity).into_iter().flatten() {
        if shape
            .select
            .as_ref()
            .is_some_and(|select| !select.contains(&column.name))
        {
            continue;
        }
        if column.kind == Kind::Stream {
            let link = format!("{entity}({})/{}", row.text("Id"), column.name);
            body.insert(
                format!("{}@odata.mediaEditLink", column.name),
                link.clone().into(),
            );
            body.insert(format!("{}@odata.mediaReadLink", column.name), link.into());
            body.insert(
                format!("{}@odata.mediaContentType", column.name),
                "application/octet-stream".into(),
            );
            continue;
        }
        let value = row
            .0
            .get(&column.name)
            .filter(|value| !value.is_null())
            .cloned()
            .unwrap_or_else(|| unset(&column.kind));
        body.insert(column.name.clone(), value);
    }
    for (name, inner) in &shape.expand {
        let target = store.schema.navigate(entity, name);
        let found =
            target.and_then(|(target, key)| Some((target, store.get(target, row.text(key))?)));
        let value = found.map_or(Value::Null, |(target, row)| {
            json_of(store, target, row, inner)
        });
        body.insert(name.clone(), value);
    }
    Value::Object(body)
}

/// What an unset column reads as: never null.
fn unset(kind: &Kind) -> Value {
    match kind {
        Kind::Text(_) | Kind::Stream => "".into(),
        Kind::Guid | Kind::Lookup(_) => ZERO.into(),
        Kind::Date => "0001-01-01T00:00:00Z".into(),
        Kind::Bool => false.into(),
        Kind::Int => 0.into(),
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => {
            match (a.parse::<jiff::Timestamp>(), b.parse::<jiff::Timestamp>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            }
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_i64().cmp(&b.as_i64()),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn number(name: &str, value: &str) -> Result<usize, Fault> {
    value.parse().map_err(|_| {
        Fault::odata(
            400,
            format!(
                "Invalid value for {name} query option found; a non-negative integer was expected."
            ),
        )
    })
}

fn unknown(name: &str, entity: &str) -> Fault {
    Fault::odata(
        400,
        format!(
            "The query specified in the URI is not valid. Could not find a property named '{name}' on type \
             'Terrasoft.Configuration.OData.{entity}'."
        ),
    )
}

fn select(store: &Store, entity: &str, text: &str) -> Result<Vec<String>, Fault> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let found = store
                .schema
                .column(entity, name)
                .ok_or_else(|| unknown(name, entity))?;
            Ok(found.name.clone())
        })
        .collect()
}

fn order(store: &Store, entity: &str, text: &str) -> Result<Vec<(String, bool)>, Fault> {
    let mut order = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (name, direction) = part.split_once(' ').unwrap_or((part, "asc"));
        let descending = match direction.trim() {
            "asc" => false,
            "desc" => true,
            _ => {
                return Err(Fault::odata(
                    400,
                    "The query specified in the URI is not valid. Syntax error in $orderby.",
                ));
            }
        };
        // A navigation path is no column, and is refused like any other unknown name.
        let column = store
            .schema
            .column(entity, name)
            .ok_or_else(|| unknown(name, entity))?;
        order.push((column.name.clone(), descending));
    }
    Ok(order)
}

/// `Status` or `Status($select=Name,IsFinal;$expand=…)`, separated by commas.
fn expand(
    store: &Store,
    entity: &str,
    text: &str,
    depth: usize,
) -> Result<Vec<(String, Shape)>, Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::odata(
            400,
            format!(
                "The request includes a $expand path which is too deep. The maximum depth allowed is {MAX_DEPTH}."
            ),
        ));
    }
    let mut all = Vec::new();
    for part in top_level(text, ',') {
        let (name, options) = match part.split_once('(') {
            Some((name, rest)) => (
                name.trim(),
                rest.strip_suffix(')')
                    .ok_or_else(|| unknown(part, entity))?,
            ),
            None => (part, ""),
        };
        let (target, _) = store
            .schema
            .navigate(entity, name)
            .ok_or_else(|| unknown(name, entity))?;
        let mut shape = Shape::default();
        for option in top_level(options, ';') {
            match option.split_once('=') {
                Some(("$select", names)) => shape.select = Some(select(store, target, names)?),
                Some(("$expand", inner)) => shape.expand = expand(store, target, inner, depth + 1)?,
                _ => {
                    return Err(Fault::odata(
                        400,
                        "The query specified in the URI is not valid. An option of $expand is not supported.",
                    ));
                }
            }
        }
        all.push((name.to_owned(), shape));
    }
    Ok(all)
}

fn top_level(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}
