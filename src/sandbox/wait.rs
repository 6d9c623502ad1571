//! Waiting for something to be so, instead of asking again and again.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::served::Served;

/// The longest wait.
const MAX: Duration = Duration::from_secs(120);
/// A look costs the simulator a whole view, so there is some time between two.
const BETWEEN: Duration = Duration::from_millis(10);
/// Looks again without a change after this long: time alone changes things too.
const TICK: Duration = Duration::from_secs(1);

/// What is waited for. With neither `equals` nor `at_least`, that the pointer leads to something.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Where to look.
    #[serde(default)]
    pub of: Of,
    /// A JSON pointer (RFC 6901) into it.
    pub pointer: String,
    /// What must be there; as JSON, or else as a string.
    #[serde(default)]
    pub equals: Option<String>,
    /// How many things (characters, elements or fields), or how large a number, must be there.
    #[serde(default)]
    pub at_least: Option<u64>,
    /// How long to wait.
    #[serde(default = "ten_seconds")]
    pub timeout_ms: u64,
}

/// Where a wait looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// What a rep sees.
    #[default]
    View,
    /// The counts of requests.
    Requests,
    /// The fault rules and counters.
    Faults,
}

fn ten_seconds() -> u64 {
    10_000
}

impl Served {
    /// Waits; the value that is there.
    ///
    /// # Errors
    /// The value that was there when the time was up; null for none.
    pub async fn wait(&self, wait: &Wait) -> Result<Value, Value> {
        let end = Instant::now() + Duration::from_millis(wait.timeout_ms).min(MAX);
        let (mut changes, mut notes) = (self.changes(), self.notes());
        loop {
            let whole = match wait.of {
                Of::View => self.view(),
                Of::Requests => self.counts(),
                Of::Faults => self.faults.report(),
            };
            let there = whole.pointer(&wait.pointer);
            if there.is_some_and(|value| wait.met(value)) {
                return Ok(there.cloned().unwrap_or_default());
            }
            let sign = async {
                tokio::select! {
                    _ = changes.changed() => {}
                    _ = notes.changed() => {}
                    () = sleep(TICK) => {}
                }
                sleep(BETWEEN).await;
            };
            if timeout_at(end, sign).await.is_err() {
                return Err(there.cloned().unwrap_or_default());
            }
        }
    }
}

impl Wait {
    fn met(&self, value: &Value) -> bool {
        let equal = self.equals.as_ref().is_none_or(|text| {
            *value == Value::String(text.clone())
                || serde_json::from_str(text).is_ok_and(|wanted: Value| wanted == *value)
        });
        equal && self.at_least.is_none_or(|least| size(value) >= least)
    }
}

fn size(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Bool(yes) => u64::from(*yes),
        Value::Number(number) => number.as_u64().unwrap_or(0),
        Value::String(text) => text.chars().count() as u64,
        Value::Array(all) => all.len() as u64,
        Value::Object(fields) => fields.len() as u64,
    }
}

/// A wait's outcome as JSON.
pub(super) fn outcome(result: &Result<Value, Value>) -> Value {
    match result {
        Ok(value) => json!({"value": value}),
        Err(value) => json!({"error": "the time is up", "value": value}),
    }
}
