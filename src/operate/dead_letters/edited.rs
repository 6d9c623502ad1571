//! A dead letter whose body is changed and judged again.

use serde_json::{Map, Value};

use super::shown::without_secrets;
use super::{Mode, find, masked, none, settle};
use crate::intake::{Gate, Incoming};
use crate::ledger::DeadLetterRow;

/// What stands where a secret was, or what looked like one.
const MASK: &str = "***";

/// Changes a dead letter's body by a JSON merge patch and judges it again. Only what then is an event
/// is stored, in place of the dead letter; else the dead letter stays as it came.
/// <https://www.rfc-editor.org/rfc/rfc7386>
///
/// # Errors
/// Why it still cannot be understood or cannot be changed, or that it is not there, or that the ledger
/// failed.
pub async fn edit(gate: &Gate, id: i64, patch: Value, mode: Mode) -> Result<String, String> {
    let (row, mut body) = json_of(gate, id).await?;
    merge(&mut body, patch);
    judge(gate, row, &body, mode).await
}

/// The same by the whole body, as it was shown masked and then changed: what is masked and was not touched
/// stays as it came.
///
/// # Errors
/// As [`edit`], and where a changed value still holds a mask.
pub async fn rewrite(gate: &Gate, id: i64, edited: &Value, mode: Mode) -> Result<String, String> {
    let (row, body) = json_of(gate, id).await?;
    let incoming = Incoming::of_dead_letter(row.letter.clone());
    let shown = masked::masked(&without_secrets(&incoming, &gate.dialects).unwrap_or(Value::Null));
    let body = masked::restored(&body, &shown, edited)?;
    judge(gate, row, &body, mode).await
}

/// A dead letter and its body, which must be JSON.
async fn json_of(gate: &Gate, id: i64) -> Result<(DeadLetterRow, Value), String> {
    let row = find(&*gate.ledger, id)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(|| none(id))?;
    let body = serde_json::from_slice(&row.letter.raw).map_err(|error| {
        format!(
            "the body of dead letter {id} is no JSON ({error}), so that it cannot be changed: \
             send the event again and drop this one"
        )
    })?;
    Ok((row, body))
}

async fn judge(
    gate: &Gate,
    row: DeadLetterRow,
    body: &Value,
    mode: Mode,
) -> Result<String, String> {
    let id = row.id;
    let mut incoming = Incoming::of_dead_letter(row.letter);
    incoming.body = body.to_string().into_bytes();
    let verdict = gate.verdict(&incoming, row.received_at);
    if verdict.refused.is_none() && verdict.events.is_empty() {
        return Err(format!(
            "dead letter {id} would be no event but left alone: {}; drop it if that is meant",
            verdict.skipped.join(", ")
        ));
    }
    settle(gate, id, verdict, mode).await
}

/// The merge patch that makes `after` of `before`, where `before` is a body as it is shown: what is
/// masked in it and was not touched stays as it came. `None` where nothing was changed.
///
/// # Errors
/// The change would write a mask into the body, or what a merge patch cannot say.
pub fn patch_between(before: &Value, after: &Value) -> Result<Option<Value>, String> {
    if before == after {
        return Ok(None);
    }
    let patch = difference(before, after, "body")?;
    let mut result = before.clone();
    merge(&mut result, patch.clone());
    if result != *after {
        return Err("a member that is new and null cannot be written this way".to_owned());
    }
    Ok(Some(patch))
}

fn difference(before: &Value, after: &Value, place: &str) -> Result<Value, String> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if after.to_string().contains(MASK) {
            return Err(format!(
                "{place} holds a masked value ({MASK}), and what is changed there is written whole: write \
                 the value itself, or leave this place as it is"
            ));
        }
        return Ok(after.clone());
    };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        let before = old.get(name).unwrap_or(&Value::Null);
        if before != value {
            let place = format!("{place}.{name}");
            patch.insert(name.clone(), difference(before, value, &place)?);
        }
    }
    Ok(Value::Object(patch))
}

/// Section 2 of RFC 7386.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_changed_in_the_shown_body_is_a_patch_that_leaves_the_masked_alone() {
        let before = json!({"apikey": "***", "data": {"a": 1, "b": ["***", 2], "c": null}, "x": 1});
        let patch = |change: &dyn Fn(&mut Value)| {
            let mut after = before.clone();
            change(&mut after);
            patch_between(&before, &after)
        };
        assert_eq!(patch(&|_| {}), Ok(None));
        let changed = patch(&|body| {
            body["data"]["a"] = json!({"deep": "er"});
            body.as_object_mut().unwrap().remove("x");
            body["new"] = json!([1]);
        });
        let wanted = json!({"data": {"a": {"deep": "er"}}, "x": null, "new": [1]});
        assert_eq!(changed, Ok(Some(wanted)));
        let words = patch(&|body| body["data"]["b"][1] = json!(3)).unwrap_err();
        assert!(
            words.starts_with("body.data.b holds a masked value"),
            "{words}"
        );
        let words = patch(&|body| body["new"] = Value::Null).unwrap_err();
        assert!(words.contains("new and null"), "{words}");
    }

    /// The RFC's own cases, appendix A.
    #[test]
    fn a_merge_patch_does_what_the_rfc_says() {
        for (mut target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), Value::Null, Value::Null),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            merge(&mut target, patch);
            assert_eq!(target, result);
        }
    }
}
