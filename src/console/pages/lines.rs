//! A JSON body as lines, with the one that a message names.

use serde_json::{Value, json};

/// The most lines that are shown.
const MAX_LINES: usize = 2_000;

/// A line, and the place of the value that begins in it.
struct Line {
    indent: usize,
    text: String,
    place: String,
}

/// A body's lines as the template reads them; the one that the message names is marked. Where the place
/// itself is missing, the nearest one above it is.
pub(super) fn of(body: &Value, message: &str) -> Value {
    let mut lines = Vec::new();
    write(body, "", 0, None, "", &mut lines);
    let place = place_of(message);
    let marked = nearest(&lines, place);
    lines
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .map(|(at, line)| {
            json!({"text": format!("{}{}", "  ".repeat(line.indent), line.text), "is_wrong": Some(at) == marked})
        })
        .collect()
}

/// The lines of what is no JSON.
pub(super) fn plain(body: &str) -> Value {
    body.lines()
        .take(MAX_LINES)
        .map(|line| json!({"text": line, "is_wrong": false}))
        .collect()
}

/// The place at the beginning of a message such as `data.contact.phone: write …`.
fn place_of(message: &str) -> &str {
    let end = message.find([':', ' ']).unwrap_or(message.len());
    &message[..end]
}

/// The line of a place, or of the nearest place above it.
fn nearest(lines: &[Line], place: &str) -> Option<usize> {
    let mut place = place;
    loop {
        if place.is_empty() {
            return None;
        }
        if let Some(found) = lines.iter().position(|line| line.place == place) {
            return Some(found);
        }
        let cut = place.rfind(['.', '['])?;
        place = &place[..cut];
    }
}

fn write(
    value: &Value,
    place: &str,
    indent: usize,
    name: Option<&str>,
    end: &str,
    lines: &mut Vec<Line>,
) {
    let name = name.map_or(String::new(), |name| format!("{}: ", json!(name)));
    let mut push = |text: String, place: &str| {
        lines.push(Line {
            indent,
            text,
            place: place.to_owned(),
        });
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            push(format!("{name}{{"), place);
            let last = members.len() - 1;
            for (at, (name, value)) in members.iter().enumerate() {
                let below = if place.is_empty() {
                    name.clone()
                } else {
                    format!("{place}.{name}")
                };
                let comma = if at == last { "" } else { "," };
                write(value, &below, indent + 1, Some(name), comma, lines);
            }
            lines.push(closing(indent, format!("}}{end}")));
        }
        Value::Array(items) if !items.is_empty() => {
            push(format!("{name}["), place);
            let last = items.len() - 1;
            for (at, item) in items.iter().enumerate() {
                let comma = if at == last { "" } else { "," };
                write(
                    item,
                    &format!("{place}[{at}]"),
                    indent + 1,
                    None,
                    comma,
                    lines,
                );
            }
            lines.push(closing(indent, format!("]{end}")));
        }
        plain => push(format!("{name}{plain}{end}"), place),
    }
}

fn closing(indent: usize, text: String) -> Line {
    Line {
        indent,
        text,
        place: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_the_pretty_body_and_one_is_marked() {
        let body = json!({"data": {"transcript": [{"time": "x"}, {"time": "y", "a": []}], "n": 1}, "e": {}});
        let lines = of(&body, "data.transcript[1].time: write an RFC 3339 time");
        let all = lines.as_array().expect("lines");
        let text: Vec<&str> = all
            .iter()
            .filter_map(|line| line["text"].as_str())
            .collect();
        assert_eq!(text.join("\n"), format!("{body:#}"));
        let wrong: Vec<&str> = all
            .iter()
            .filter(|line| line["is_wrong"] == true)
            .filter_map(|line| line["text"].as_str())
            .collect();
        assert_eq!(wrong, ["        \"time\": \"y\""]);
    }

    #[test]
    fn a_missing_place_marks_the_nearest_above_it() {
        let body = json!({"data": {"contact": {"name": "x"}}});
        let lines = of(&body, "data.contact.phone: needs one of");
        assert_eq!(lines[2]["is_wrong"], true, "{lines}");
        let none = of(&body, "not JSON: x");
        assert!(
            none.as_array()
                .expect("lines")
                .iter()
                .all(|line| line["is_wrong"] == false)
        );
    }
}
