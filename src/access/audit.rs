//! What was done by whom: one function that handlers call, and the shape in which it is told.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Person;
use crate::ledger::access::AuditEntry;
use crate::ledger::{AccessLedger, Result};

/// The most bytes of what was there before, or is there now.
const MAX_VALUE: usize = 4_096;

/// The longest text and list in it, and the longest name of an object.
const MAX_TEXT: usize = 200;
const MAX_ITEMS: usize = 20;

/// The audit log, to write into.
#[derive(Clone)]
pub struct Audit {
    ledger: Arc<dyn AccessLedger>,
}

impl Audit {
    /// The one in this ledger.
    #[must_use]
    pub fn new(ledger: Arc<dyn AccessLedger>) -> Audit {
        Audit { ledger }
    }

    /// Notes what somebody did, to what, and what was there before and is there now. Values must not
    /// hold customers' names and texts; what is long is cut. To be called before the answer leaves.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn note(
        &self,
        person: &Person,
        what: &str,
        object: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<()> {
        self.write(person, what, object, (before, after), "done")
            .await
    }

    /// Notes what somebody tried, and why it was not done.
    ///
    /// # Errors
    /// The ledger failed.
    pub async fn refused(
        &self,
        person: &Person,
        what: &str,
        object: &str,
        why: &str,
    ) -> Result<()> {
        self.write(person, what, object, (None, None), why).await
    }

    async fn write(
        &self,
        person: &Person,
        what: &str,
        object: &str,
        (before, after): (Option<Value>, Option<Value>),
        outcome: &str,
    ) -> Result<()> {
        let entry = AuditEntry {
            at: Timestamp::now(),
            who: person.name.clone(),
            way: person.by.shown(),
            what: what.to_owned(),
            object: cut(object),
            before: before.map(bounded),
            after: after.map(bounded),
            outcome: cut(outcome),
        };
        self.ledger.note(&entry).await.map(|_| ())
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A value as JSON that is not too long.
fn bounded(value: Value) -> String {
    let text = value.to_string();
    if text.len() <= MAX_VALUE {
        return text;
    }
    let shorter = shortened(value).to_string();
    if shorter.len() <= MAX_VALUE {
        return shorter;
    }
    json!({"left_out": format!("{} bytes", text.len())}).to_string()
}

fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(&text)),
        Value::Array(mut items) => {
            let more = items.len().saturating_sub(MAX_ITEMS);
            items.truncate(MAX_ITEMS);
            let mut items: Vec<Value> = items.into_iter().map(shortened).collect();
            if more > 0 {
                items.push(json!(format!("and {more} more")));
            }
            Value::Array(items)
        }
        Value::Object(members) => {
            let members = members
                .into_iter()
                .map(|(name, value)| (name, shortened(value)));
            Value::Object(members.collect::<Map<String, Value>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        assert_eq!(bounded(json!({"a": 1})), r#"{"a":1}"#);
        let lanes: Vec<String> = (0..1_000).map(|n| format!("session-{n}")).collect();
        let text = bounded(json!({"count": 1_000, "lanes": lanes}));
        assert!(text.contains("session-19\",\"and 980 more"), "{text}");
        let many: Map<String, Value> = (0..1_000).map(|n| (format!("k{n}"), json!("v"))).collect();
        assert!(bounded(Value::Object(many)).contains("left_out"));
        assert_eq!(cut(&"é".repeat(300)).chars().count(), MAX_TEXT + 1);
    }
}
