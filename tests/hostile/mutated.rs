//! Things that are nearly right: JSON and bytes with a few edits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// An edit of a JSON value, at one of its places.
#[derive(Debug, Clone)]
enum Edit {
    Put(Value),
    Remove,
    Copy(Index),
    Wrap(usize),
    Rename(String),
    Repeat(usize),
}

/// A value with up to six edits.
pub fn mutated(value: Value) -> impl Strategy<Value = Value> {
    let edits = vec((any::<Index>(), edit()), 0..6);
    (Just(value), edits).prop_map(|(mut value, edits)| {
        for (place, edit) in edits {
            apply(&mut value, place, edit);
        }
        value
    })
}

/// The value's bytes after up to six edits of the value and up to three of the bytes.
pub fn bent_bytes(value: Value) -> impl Strategy<Value = Vec<u8>> {
    let cuts = vec(
        (any::<Index>(), vec(any::<u8>(), 0..4), any::<bool>()),
        0..3,
    );
    (mutated(value), cuts).prop_map(|(value, cuts)| {
        let mut bytes = value.to_string().into_bytes();
        for (at, given, shortens) in cuts {
            let at = at.index(bytes.len() + 1);
            if shortens {
                bytes.truncate(at);
            }
            bytes.splice(at..at, given);
        }
        bytes
    })
}

/// A text as strangers write it.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(NASTY.to_vec()).prop_map(str::to_owned),
        1 => ".{0,40}",
        1 => "[a-z0-9/:%?&=.#@<>\\-]{0,60}",
        1 => (select(NASTY.to_vec()), 1_000_usize..20_000).prop_map(|(text, times)| text.repeat(times / text.len().max(1))),
    ]
}

/// Texts that have broken programs before.
pub const NASTY: &[&str] = &[
    "",
    " ",
    "\0",
    "\u{feff}",
    "\u{202e}gpj.exe",
    "a\r\nSet-Cookie: b=c",
    "<script>alert(1)</script>",
    "</p></body>&amp;&#0;&#x110000;&;",
    "' or 1 eq 1 or '",
    "$filter=Id eq '",
    "\"; filename=\"x",
    "../../etc/passwd",
    "{{ 7 * 7 }}{% for x in y %}",
    "👨‍👩‍👧‍👦",
    "ﷺ̸̢̛",
    "null",
    "-1",
    "NaN",
    "1e999",
    "9999999999999999999999",
    "2026-02-30T25:61:61Z",
    "-262143-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "0001-01-01",
    "/Date(9223372036854775807)/",
    "!failed:1:2",
    "00000000-0000-0000-0000-000000000000",
    "http://[::1",
    "%",
    "%zz%+f%\u{e9}",
];

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => scalar().prop_map(Edit::Put),
        2 => Just(Edit::Remove),
        2 => any::<Index>().prop_map(Edit::Copy),
        1 => (1_usize..100).prop_map(Edit::Wrap),
        1 => text().prop_map(Edit::Rename),
        1 => (1_usize..300).prop_map(Edit::Repeat),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => select(vec![json!(null), json!(true), json!({}), json!([]), json!(0), json!(-1), json!(u64::MAX), json!(i64::MIN), json!(1e300)]),
    ]
}

fn apply(value: &mut Value, place: Index, edit: Edit) {
    let all = places(value);
    let at = &all[place.index(all.len())];
    if let Edit::Remove | Edit::Rename(_) = &edit {
        let Some((above, name)) = at.rsplit_once('/') else {
            return;
        };
        match (value.pointer_mut(above), edit) {
            (Some(Value::Object(members)), edit) => {
                let name = name.replace("~1", "/").replace("~0", "~");
                if let (Some(old), Edit::Rename(new)) = (members.remove(&name), edit) {
                    members.insert(new, old);
                }
            }
            (Some(Value::Array(items)), Edit::Remove) => {
                items.remove(name.parse().unwrap());
            }
            _ => {}
        }
        return;
    }
    let other = match &edit {
        Edit::Copy(from) => value.pointer(&all[from.index(all.len())]).cloned(),
        _ => None,
    };
    let Some(here) = value.pointer_mut(at) else {
        return;
    };
    match edit {
        Edit::Put(new) => *here = new,
        Edit::Copy(_) => *here = other.unwrap_or_default(),
        Edit::Wrap(depth) => {
            for _ in 0..depth {
                *here = json!([here.take()]);
            }
        }
        Edit::Repeat(times) => *here = Value::Array(vec![here.clone(); times]),
        Edit::Remove | Edit::Rename(_) => {}
    }
    // Edits of edits must not grow without bound.
    if value.to_string().len() > 300_000 {
        *value = json!({"grown": "too large"});
    }
}

/// A pointer to every value in a value.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: String, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    walk(member, format!("{at}/{name}"), found);
                }
            }
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    walk(item, format!("{at}/{n}"), found);
                }
            }
            _ => {}
        }
        found.push(at);
    }
    let mut found = Vec::new();
    walk(value, String::new(), &mut found);
    found
}
