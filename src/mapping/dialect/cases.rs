//! `[[test]]` entries of a dialect: a payload, and what becomes of it.
//!
//! ```toml
//! [[test]]
//! name = "a text"
//! body = { event = "message", text = "hello" }      # or json = '''{ … }''', or form = "a=1&b=2"
//! header = { "x-event-type" = "message" }           # headers, if the dialect looks at them
//! routing_key = "messages.upsert"                   # over RabbitMQ
//! option = { number = "+4930901820" }               # what an operator set
//! change.data.message = { … }                       # laid over the body, that of the test before where there is
//!                                                   # none; "-" takes a member out
//! expect = [{ type = "message.received", data.message.text = "hello" }]   # what each event has at least
//! skipped = "group"                                 # or: nothing, for this reason
//! fits = false                                      # or: it is not this dialect's
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use handoffd_contract::settings::{did_you_mean, printable};

use super::{Dialect, Payload};
use crate::mapping::TestOutcome;
use crate::mapping::document::{RawCase, Reading, shorten};

/// A test of a dialect.
#[derive(Debug)]
pub(super) struct Case {
    name: String,
    line: usize,
    media_type: String,
    headers: BTreeMap<String, String>,
    routing_key: Option<String>,
    options: BTreeMap<String, String>,
    body: Value,
    expect: Vec<Value>,
    skipped: Option<String>,
    fits: bool,
}

const KEYS: &[&str] = &[
    "name",
    "body",
    "json",
    "form",
    "header",
    "routing_key",
    "option",
    "change",
    "expect",
    "skipped",
    "fits",
];

/// Understands a file's tests; what is wrong becomes a problem.
pub(super) fn understand(raw: Vec<RawCase>, reading: &mut Reading<'_>) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for raw in raw {
        let line = raw.line;
        let label = raw
            .table
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or("test");
        let label = shorten(label);
        match case(raw, cases.last()) {
            Ok(case) => cases.push(case),
            Err(words) => reading.problem(line, format!("test \"{label}\""), words),
        }
    }
    cases
}

fn case(raw: RawCase, before: Option<&Case>) -> Result<Case, String> {
    let Value::Object(mut table) = raw.table else {
        return Err("not a table".into());
    };
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let hint = did_you_mean(unknown, KEYS.iter().copied());
        let known = KEYS.join(", ");
        return Err(format!(
            "unknown key `{}`{hint}; known are: {known}",
            printable(unknown)
        ));
    }
    let Some(Value::String(name)) = table.remove("name") else {
        return Err("has no `name`".into());
    };
    let json_type = || "application/json".to_owned();
    let given = (
        table.remove("body"),
        table.remove("json"),
        table.remove("form"),
    );
    let (media_type, mut body) = match given {
        (Some(body), None, None) => (json_type(), body),
        (None, Some(Value::String(text)), None) => {
            let body = serde_json::from_str(&text).map_err(|_| "`json` is not JSON".to_owned())?;
            (json_type(), body)
        }
        (None, None, Some(Value::String(text))) => {
            (super::FORM.to_owned(), super::form(text.as_bytes()))
        }
        (None, None, None) => {
            let before = before.ok_or("has no `body`, `json` or `form`")?;
            (before.media_type.clone(), before.body.clone())
        }
        _ => return Err("write one of `body`, `json` (a text) and `form` (a text)".into()),
    };
    if let Some(change) = table.remove("change") {
        lay_over(&mut body, &change);
    }
    let headers = match table.remove("header") {
        None => before.map(|case| case.headers.clone()).unwrap_or_default(),
        Some(headers) => serde_json::from_value(headers)
            .map_err(|_| "`header` must be a table of texts".to_owned())?,
    };
    let options = match table.remove("option") {
        None => BTreeMap::new(),
        Some(options) => serde_json::from_value(options)
            .map_err(|_| "`option` must be a table of texts".to_owned())?,
    };
    let routing_key = match table.remove("routing_key") {
        None => None,
        Some(Value::String(key)) => Some(key),
        Some(_) => return Err("`routing_key` must be a text".into()),
    };
    let expect = match table.remove("expect") {
        None => Vec::new(),
        Some(Value::Array(events)) => events,
        Some(event @ Value::Object(_)) => vec![event],
        Some(_) => return Err("`expect` must be a list of events".into()),
    };
    let skipped = match table.remove("skipped") {
        None => None,
        Some(Value::String(why)) => Some(why),
        Some(_) => return Err("`skipped` must be a text".into()),
    };
    let fits = match table.remove("fits") {
        None => true,
        Some(Value::Bool(fits)) => fits,
        Some(_) => return Err("`fits` must be true or false".into()),
    };
    if expect.is_empty() && skipped.is_none() && fits {
        return Err("expects nothing; write `expect`, `skipped` or `fits = false`".into());
    }
    Ok(Case {
        name,
        line: raw.line,
        media_type,
        headers,
        routing_key,
        options,
        body,
        expect,
        skipped,
        fits,
    })
}

impl Case {
    /// Runs it.
    pub(super) fn run(&self, dialect: &Dialect) -> TestOutcome {
        TestOutcome {
            name: self.name.clone(),
            line: self.line,
            failures: self.failures(dialect).err().unwrap_or_default(),
        }
    }

    fn failures(&self, dialect: &Dialect) -> Result<(), Vec<String>> {
        let payload = Payload {
            media_type: &self.media_type,
            headers: &self.headers,
            routing_key: self.routing_key.as_deref(),
            source: "test",
            options: &self.options,
            arrived: Timestamp::UNIX_EPOCH,
            body: &self.body,
        };
        let one = |words: String| vec![words];
        let made = match dialect.translate(&payload) {
            Err(fit) if self.fits => {
                let misses = fit.misses.unwrap_or_default();
                return Err(one(format!("does not fit: {misses}")));
            }
            Err(_) => return Ok(()),
            Ok(_) if !self.fits => return Err(one("fits, and was not expected to".into())),
            Ok(made) => made,
        };
        let mut failures = made.faults;
        if made.untaken > 0 {
            failures.push(format!("{} items that no rule takes", made.untaken));
        }
        if made.events.len() != self.expect.len() {
            failures.push(format!(
                "expected {} events, found {}",
                self.expect.len(),
                made.events.len()
            ));
        }
        if let Some(why) = &self.skipped
            && !made.skipped.contains_key(why)
        {
            let found: Vec<&str> = made.skipped.keys().map(String::as_str).collect();
            failures.push(format!(
                "expected to be skipped as \"{why}\", found \"{}\"",
                found.join(", ")
            ));
        }
        for (n, (wanted, found)) in self.expect.iter().zip(&made.events).enumerate() {
            compare(wanted, found, &format!("event {n}"), &mut failures);
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }
}

/// What is expected must be there; what is expected to be `""` must not. Numbers and texts compare as
/// texts: events are read tolerantly.
fn compare(wanted: &Value, found: &Value, place: &str, failures: &mut Vec<String>) {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(_)) => {
            for (key, wanted) in wanted {
                let found = found.get(key).unwrap_or(&Value::Null);
                compare(wanted, found, &format!("{place}.{key}"), failures);
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (n, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                compare(wanted, found, &format!("{place}[{n}]"), failures);
            }
        }
        (Value::String(nothing), Value::Null) if nothing.is_empty() => {}
        (wanted, found) if plain(wanted) == plain(found) => {}
        (wanted, found) => failures.push(format!("{place}: expected {wanted}, found {found}")),
    }
}

fn lay_over(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value == &json!("-") {
                    base.remove(key);
                } else {
                    lay_over(
                        base.entry(key.clone()).or_insert(Value::Object(Map::new())),
                        value,
                    );
                }
            }
        }
        (base, change) => *base = change.clone(),
    }
}
