//! JSON as an indented outline that people read.

use std::fmt::Write as _;

use serde_json::Value;

/// The longest text that is shown whole.
const LONG: usize = 900;

/// Writes a value as an outline.
pub(super) fn outline(value: &Value) -> String {
    let mut out = String::new();
    put(&mut out, value, 1);
    out
}

fn put(out: &mut String, value: &Value, depth: usize) {
    let margin = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(_, value)| !blank(value)) {
                match value {
                    Value::Object(_) | Value::Array(_) => {
                        let _ = writeln!(out, "{margin}{name}:");
                        put(out, value, depth + 1);
                    }
                    _ => {
                        let _ = writeln!(out, "{margin}{name}: {}", scalar(value, depth + 1));
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(members) => {
                        let _ = writeln!(out, "{margin}- {}", line(members, depth + 1));
                        let nested = members.iter().filter(|(_, value)| value.is_object() || value.is_array());
                        for (name, value) in nested.filter(|(_, value)| !blank(value)) {
                            let _ = writeln!(out, "{margin}  {name}:");
                            put(out, value, depth + 2);
                        }
                    }
                    Value::Array(_) => put(out, item, depth + 1),
                    _ => {
                        let _ = writeln!(out, "{margin}- {}", scalar(item, depth + 1));
                    }
                }
            }
        }
        _ => {
            let _ = writeln!(out, "{margin}{}", scalar(value, depth));
        }
    }
}

/// An object's plain members in one line.
fn line(members: &serde_json::Map<String, Value>, depth: usize) -> String {
    let plain = members.iter().filter(|(_, value)| !value.is_object() && !value.is_array() && !blank(value));
    plain.map(|(name, value)| format!("{name}: {}", scalar(value, depth))).collect::<Vec<_>>().join("  ")
}

fn scalar(value: &Value, depth: usize) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut short: String = text.chars().take(LONG).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.trim_end().replace('\n', &format!("\n{}    ", "  ".repeat(depth)))
}

fn blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
