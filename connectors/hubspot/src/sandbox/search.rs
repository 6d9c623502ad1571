//! Search: over-inclusive, late, and counted by itself.
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>

use std::collections::BTreeSet;

use handoffd_contract::sandbox::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Portal;
use super::answer::{Answer, Refused, invalid, malformed, only, refused};
use super::schema::Kind;
use super::store::{Object, Store, time};

/// Results of one query.
const MAX_RESULTS: usize = 10_000;

impl Portal {
    pub(super) fn search(&mut self, now: Timestamp, kind: Kind, body: &Value) -> Answer {
        only(
            body,
            &[
                "filterGroups",
                "filters",
                "sorts",
                "query",
                "properties",
                "limit",
                "after",
            ],
        )?;
        let groups = body["filterGroups"].as_array().cloned().unwrap_or_default();
        let count: usize = groups
            .iter()
            .map(|group| group["filters"].as_array().map_or(0, Vec::len))
            .sum();
        if groups.len() > 5
            || count > 18
            || groups
                .iter()
                .any(|g| g["filters"].as_array().is_some_and(|f| f.len() > 6))
        {
            return Err(invalid(
                "There are too many filter groups or filters: at most 5 groups, 6 filters each, 18 in all",
            ));
        }
        if body["query"]
            .as_str()
            .is_some_and(|query| query.len() > 3_000)
        {
            return Err(invalid("The query is longer than 3000 characters"));
        }
        let limit = body["limit"].as_u64().unwrap_or(10);
        if !(1..=200).contains(&limit) {
            return Err(invalid("limit must be between 1 and 200"));
        }
        let after: usize = match &body["after"] {
            Value::Null => 0,
            Value::String(text) => text.parse().map_err(|_| invalid("after is not a number"))?,
            Value::Number(number) => number
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(0),
            _ => return Err(malformed("after")),
        };
        // No more than 10,000 results of one query can be paged through.
        if after >= MAX_RESULTS {
            return Err(invalid(format!("after must be less than {MAX_RESULTS}")));
        }
        for group in &groups {
            only(group, &["filters"])?;
            for filter in group["filters"].as_array().into_iter().flatten() {
                only(
                    filter,
                    &["propertyName", "operator", "value", "values", "highValue"],
                )?;
                let name = filter["propertyName"].as_str().unwrap_or_default();
                if self.schema.get(kind, name).is_none() {
                    let message = format!("Property \"{name}\" does not exist");
                    return Err(refused(&[Refused::new(
                        name,
                        "PROPERTY_DOESNT_EXIST",
                        message,
                    )]));
                }
            }
        }
        let query = body["query"].as_str().unwrap_or_default().to_lowercase();
        let mut found: Vec<&Object> = Vec::new();
        for object in self.store.of(kind).filter(|object| !object.archived) {
            let mut hit = groups.is_empty();
            for group in &groups {
                let mut all = true;
                for filter in group["filters"].as_array().into_iter().flatten() {
                    all &= matches(object, filter)?;
                }
                hit |= all;
            }
            let text = query.is_empty()
                || object
                    .properties
                    .values()
                    .any(|value| value.to_lowercase().contains(&query));
            if hit && text && Store::indexed(object, now, self.switches.search_lag) {
                found.push(object);
            }
        }
        if let Some(sort) = body["sorts"].as_array().and_then(|sorts| sorts.first()) {
            let Some(sort) = sort.as_str() else {
                return Err(malformed(
                    "Cannot deserialize value of type `java.lang.String` for sorts",
                ));
            };
            let (name, falls) = match sort.strip_prefix('-') {
                Some(name) => (name, true),
                None => (sort, false),
            };
            found.sort_by_key(|object| (object.get(name).map(sortable), object.id));
            if falls {
                found.reverse();
            }
        }
        let asked: BTreeSet<String> = body["properties"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let total = found.len();
        let limit = usize::try_from(limit).unwrap_or(10);
        let results: Vec<Value> = found
            .iter()
            .skip(after)
            .take(limit)
            .map(|object| object.json(super::PORTAL_ID, Some(&asked)))
            .collect();
        let mut answer = json!({"total": total, "results": results});
        if after + limit < total {
            answer["paging"] = json!({"next": {"after": (after + limit).to_string()}});
        }
        Ok(Response::json(200, &answer))
    }
}

fn matches(object: &Object, filter: &Value) -> Result<bool, Response> {
    let held = object
        .get(filter["propertyName"].as_str().unwrap_or_default())
        .map(str::to_lowercase);
    let value = filter["value"].as_str().map(str::to_lowercase);
    let values = || {
        filter["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_lowercase)
    };
    let operator = filter["operator"].as_str().unwrap_or_default();
    if !matches!(
        operator,
        "HAS_PROPERTY" | "NOT_HAS_PROPERTY" | "IN" | "NOT_IN"
    ) && value.is_none()
    {
        return Err(invalid(format!("operator {operator} needs a value")));
    }
    let value = value.unwrap_or_default();
    // Times compare as such, whether they are written as ISO 8601 or as milliseconds.
    let number = |text: &str| match text.parse::<f64>() {
        Ok(number) => number,
        Err(_) => time(&text.to_uppercase()).map_or(f64::NAN, |at| at.as_millisecond() as f64),
    };
    let compared = |test: fn(f64, f64) -> bool| {
        held.as_deref()
            .is_some_and(|held| test(number(held), number(&value)))
    };
    Ok(match operator {
        "EQ" => held.as_deref() == Some(value.as_str()),
        "NEQ" => held.as_deref() != Some(value.as_str()),
        "IN" => held
            .as_ref()
            .is_some_and(|held| values().any(|value| value == *held)),
        "NOT_IN" => !held
            .as_ref()
            .is_some_and(|held| values().any(|value| value == *held)),
        "HAS_PROPERTY" => held.is_some(),
        "NOT_HAS_PROPERTY" => held.is_none(),
        "CONTAINS_TOKEN" => held.as_deref().is_some_and(|held| token(held, &value)),
        "NOT_CONTAINS_TOKEN" => !held.as_deref().is_some_and(|held| token(held, &value)),
        "BETWEEN" => {
            let high = filter["highValue"].as_str();
            let high = high.ok_or_else(|| invalid("operator BETWEEN needs a highValue"))?;
            compared(|a, b| a >= b)
                && held
                    .as_deref()
                    .is_some_and(|held| number(held) <= number(high))
        }
        "GT" => compared(|a, b| a > b),
        "GTE" => compared(|a, b| a >= b),
        "LT" => compared(|a, b| a < b),
        "LTE" => compared(|a, b| a <= b),
        other => {
            return Err(malformed(format!(
                "operator {other} is not one of the allowed values"
            )));
        }
    })
}

/// A value as it sorts: times by time, numbers by size, everything else as text.
fn sortable(value: &str) -> (i64, String) {
    match (value.parse::<i64>(), time(value)) {
        (Ok(number), _) => (number, String::new()),
        (_, Some(at)) => (at.as_millisecond(), String::new()),
        _ => (i64::MAX, value.to_lowercase()),
    }
}

/// Whether one of the value's words matches; `*` stands for any characters at either end.
fn token(held: &str, pattern: &str) -> bool {
    let core = pattern.trim_matches('*');
    held.split(|c: char| !c.is_alphanumeric()).any(|word| {
        match (pattern.starts_with('*'), pattern.ends_with('*')) {
            (true, true) => word.contains(core),
            (true, false) => word.ends_with(core),
            (false, true) => word.starts_with(core),
            (false, false) => word == core,
        }
    })
}
