//! A dead letter whose body is changed and judged again.

use serde_json::{Map, Value};

use super::{find, none, settle};
use crate::intake::{Gate, Incoming};

/// Changes a dead letter's body by a JSON merge patch and judges it again. Only what then is an event
/// is stored, in place of the dead letter; else the dead letter stays as it came.
/// <https://www.rfc-editor.org/rfc/rfc7386>
///
/// # Errors
/// Why it still cannot be understood or cannot be changed, or that it is not there, or that the ledger
/// failed.
pub async fn edit(gate: &Gate, id: i64, patch: Value) -> Result<String, String> {
    let row = find(&*gate.ledger, id)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(|| none(id))?;
    let mut incoming = Incoming::of_dead_letter(row.letter);
    let mut body: Value = serde_json::from_slice(&incoming.body).map_err(|error| {
        format!(
            "the body of dead letter {id} is no JSON ({error}), so that a merge patch cannot change it: \
             send the event again and drop this one"
        )
    })?;
    merge(&mut body, patch);
    incoming.body = body.to_string().into_bytes();
    let verdict = gate.verdict(&incoming, row.received_at);
    if verdict.refused.is_none() && verdict.events.is_empty() {
        return Err(format!(
            "dead letter {id} would be no event but left alone: {}; drop it if that is meant",
            verdict.skipped.join(", ")
        ));
    }
    settle(gate, id, verdict).await
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
