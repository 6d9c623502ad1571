//! A dead letter's body without what people wrote, and the way back: what was changed in a masked body,
//! in the body as it came.
//!
//! Each letter and digit of a value is a dot; spaces and punctuation stay, so that length and form can be
//! seen. Names of members, numbers, and what only tells what kind of event it is stay open.

use serde_json::Value;

use crate::operate::mask::{DOT, dotted};

/// What stands where a secret was.
const SECRET: &str = "***";

/// Members whose values say nothing of a person.
const OPEN: [&str; 16] = [
    "specversion",
    "type",
    "source",
    "datacontenttype",
    "dataschema",
    "sequence",
    "kind",
    "channel",
    "language",
    "sentiment",
    "reasons",
    "targets",
    "mime",
    "from",
    "status",
    "controller",
];

/// A body as it is shown to people who did not ask for what others wrote.
#[must_use]
pub fn masked(body: &Value) -> Value {
    hidden(body, false)
}

fn hidden(value: &Value, open: bool) -> Value {
    match value {
        Value::String(text) if !open || !is_word(text) => Value::String(dotted(text)),
        Value::Array(items) => items.iter().map(|item| hidden(item, open)).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| {
                    let open = OPEN.contains(&name.as_str());
                    (name.clone(), hidden(value, open))
                })
                .collect(),
        ),
        Value::Number(number) if number.to_string().len() > 7 => {
            Value::String(dotted(&number.to_string()))
        }
        other => other.clone(),
    }
}

/// Whether a value can be a code: short, one word, and no telephone number.
fn is_word(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+".contains(c);
    text.len() <= 80 && digits < 7 && text.chars().all(plain)
}

/// The body as it came, with the changes that were made in the masked one: what is masked and was not
/// touched stays as it came.
///
/// # Errors
/// A value was changed and still holds a mask; its place is named, never the value.
pub fn restored(original: &Value, shown: &Value, edited: &Value) -> Result<Value, String> {
    put_back(original, shown, edited, "body")
}

fn put_back(original: &Value, shown: &Value, edited: &Value, place: &str) -> Result<Value, String> {
    if shown == edited {
        return Ok(original.clone());
    }
    match (original, shown, edited) {
        (Value::Object(original), Value::Object(shown), Value::Object(edited)) => {
            let mut members = serde_json::Map::new();
            for (name, value) in edited {
                let place = format!("{place}.{name}");
                let value = match (original.get(name), shown.get(name)) {
                    (Some(original), Some(shown)) => put_back(original, shown, value, &place)?,
                    _ => unmasked(value, &place)?,
                };
                members.insert(name.clone(), value);
            }
            Ok(Value::Object(members))
        }
        (Value::Array(original), Value::Array(shown), Value::Array(edited)) => {
            let in_place = (original.len() == edited.len() && shown.len() == edited.len())
                .then(|| changed_in_place(original, shown, edited, place));
            match in_place {
                Some(Ok(items)) => Ok(items),
                _ => edited_items(original, shown, edited, place),
            }
        }
        _ => unmasked(edited, place),
    }
}

/// Items of which none was added or removed.
fn changed_in_place(
    original: &[Value],
    shown: &[Value],
    edited: &[Value],
    place: &str,
) -> Result<Value, String> {
    let each = original.iter().zip(shown).zip(edited).enumerate();
    each.map(|(at, ((original, shown), edited))| {
        put_back(original, shown, edited, &format!("{place}[{at}]"))
    })
    .collect()
}

/// Items that were added or removed: those that stayed as they were shown are told by their masked form,
/// in order. Where several items have the same masked form and are not the same, nobody can tell which of
/// them stayed.
fn edited_items(
    original: &[Value],
    shown: &[Value],
    edited: &[Value],
    place: &str,
) -> Result<Value, String> {
    let mut next = 0;
    let mut items = Vec::with_capacity(edited.len());
    for (at, item) in edited.iter().enumerate() {
        let place = format!("{place}[{at}]");
        let alike = original
            .iter()
            .zip(shown)
            .filter(|(_, shown)| *shown == item);
        let mut alike = alike.map(|(original, _)| original);
        if let Some(first) = alike.next()
            && alike.any(|other| other != first)
        {
            return Err(format!(
                "{place} looks like another item while both are masked, so that it cannot be told which of \
                 them stayed: change it by a merge patch (handoffd dead-letters edit)"
            ));
        }
        let mut rest = original.iter().zip(shown).enumerate().skip(next);
        match rest.find(|(_, (_, shown))| *shown == item) {
            Some((found, (value, _))) => {
                next = found + 1;
                items.push(value.clone());
            }
            None => items.push(unmasked(item, &place)?),
        }
    }
    Ok(Value::Array(items))
}

/// A value that is written as it stands.
fn unmasked(value: &Value, place: &str) -> Result<Value, String> {
    let text = value.to_string();
    if text.contains(DOT) || text.contains(SECRET) {
        return Err(format!(
            "{place} was changed and still holds masked characters: write the value whole, or leave it as it was"
        ));
    }
    Ok(value.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({"type": "handoff.requested", "data": {"contact": {"name": "Ana López", "phone": "+4915112345678"},
            "transcript": [{"text": "My parcel", "time": "12/2026", "author": {"kind": "customer"}}, {"text": "Hi", "time": "x"}],
            "count": 3, "number": 4_915_112_345_678_i64}})
    }

    #[test]
    fn nothing_that_people_wrote_is_shown_and_form_stays() {
        let shown = masked(&body());
        let text = shown.to_string();
        for gone in ["Ana", "López", "49151", "parcel", "Hi"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert_eq!(shown["type"], "handoff.requested");
        assert_eq!(shown["data"]["transcript"][0]["time"], "••/••••");
        assert_eq!(shown["data"]["transcript"][0]["author"]["kind"], "customer");
        assert_eq!(shown["data"]["count"], 3);
    }

    #[test]
    fn a_change_in_the_masked_body_is_made_in_the_body_as_it_came() {
        let (original, shown) = (body(), masked(&body()));
        let mut edited = shown.clone();
        edited["data"]["transcript"][0]["time"] = json!("2026-12-01T00:00:00Z");
        let mut meant = original.clone();
        meant["data"]["transcript"][0]["time"] = json!("2026-12-01T00:00:00Z");
        assert_eq!(restored(&original, &shown, &edited), Ok(meant));
        assert_eq!(restored(&original, &shown, &shown), Ok(original.clone()));
    }

    #[test]
    fn items_may_be_removed_and_added() {
        let (original, shown) = (body(), masked(&body()));
        let mut edited = shown.clone();
        let items = edited["data"]["transcript"].as_array_mut().expect("a list");
        items.remove(0);
        items.push(json!({"text": "new", "time": "y"}));
        let back = restored(&original, &shown, &edited).expect("restored");
        assert_eq!(
            back["data"]["transcript"],
            json!([{"text": "Hi", "time": "x"}, {"text": "new", "time": "y"}])
        );
    }

    #[test]
    fn items_that_look_the_same_are_not_mixed_up() {
        let original = json!([{"text": "Yes"}, {"text": "Noo"}, {"text": "Or else"}]);
        let shown = masked(&original);
        let words =
            restored(&original, &shown, &json!([shown[1], shown[2]])).expect_err("ambiguous");
        assert!(words.contains("body[0]"), "{words}");
        let same = json!([{"text": "Yes"}, {"text": "Yes"}, {"text": "Or else"}]);
        let shown = masked(&same);
        let back = restored(&same, &shown, &json!([shown[1], shown[2]]));
        assert_eq!(back, Ok(json!([{"text": "Yes"}, {"text": "Or else"}])));
    }

    #[test]
    fn a_mask_is_never_written_into_an_event() {
        let (original, shown) = (body(), masked(&body()));
        let mut edited = shown.clone();
        edited["data"]["contact"]["name"] = json!("••• L••••");
        let words = restored(&original, &shown, &edited).expect_err("a mask");
        assert!(words.contains("body.data.contact.name"), "{words}");
        let mut moved = shown.clone();
        moved["data"]["extra"] = moved["data"]["contact"]["name"].clone();
        assert!(restored(&original, &shown, &moved).is_err());
    }
}
