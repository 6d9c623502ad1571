//! What of a payload nobody may keep: keys that gateways put into the payload itself.

use serde_json::Value;

/// Names whose values are secrets wherever they stand, without case and signs.
const SECRETS: &[&str] = &[
    "apikey",
    "apitoken",
    "accesstoken",
    "authorization",
    "password",
    "secret",
    "token",
    "pubsubtoken",
    "authtoken",
    "privatekey",
    "clientsecret",
    "webhooktoken",
    "bearer",
    "xapikey",
    "refreshtoken",
    "cookie",
    "setcookie",
];

/// What stands where a secret stood.
const MASK: &str = "***";

/// Whether a member with this name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRETS.contains(&plain.as_str())
}

/// Masks every member that is a secret by its name. Returns whether there was one.
pub(super) fn mask(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |any, item| mask(item) | any),
        Value::Object(map) => {
            let mut any = false;
            for (name, value) in map.iter_mut() {
                if is_secret(name) && !value.is_null() {
                    *value = Value::from(MASK);
                    any = true;
                } else {
                    any |= mask(value);
                }
            }
            any
        }
        _ => false,
    }
}

/// A text in which every value that a secret's name precedes is masked, as in `"apikey": "…"`,
/// `access_token=…` and `Authorization: …`.
pub(super) fn mask_text(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..]
            .find(|c| !is_part(c))
            .map_or(rest.len(), |length| start + length);
        let (before, after) = rest.split_at(end);
        out.push_str(before);
        rest = after;
        if !is_secret(&before[start..]) {
            continue;
        }
        if let Some(value) = value_at(after) {
            out.push_str(&after[..value.0]);
            out.push_str(MASK);
            rest = &after[value.1..];
        }
    }
    out.push_str(rest);
    out
}

/// Where the value begins and ends of which the name stands right before.
fn value_at(after: &str) -> Option<(usize, usize)> {
    let is_quote = |c: char| matches!(c, '"' | '\'' | '\\');
    let named = after.trim_start_matches(is_quote).trim_start();
    let given = named
        .strip_prefix([':', '='])?
        .trim_start_matches([' ', '\t']);
    let start = after.len() - given.len();
    let quoted = given.trim_start_matches('\\');
    let escapes = given.len() - quoted.len();
    let Some(quote) = quoted.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let ends = |c: char| matches!(c, '\n' | '\r' | '&' | ',' | ';' | '}' | ']' | '"' | '\'');
        let length = given.find(ends).unwrap_or(given.len());
        return (length > 0).then_some((start, start + length));
    };
    let inside = start + escapes + quote.len_utf8();
    // A quote inside has more backslashes before it than the one that opened.
    let mut backslashes = 0;
    for (at, c) in after[inside..].char_indices() {
        if c == quote && backslashes <= escapes {
            return Some((inside, inside + at - backslashes));
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
    }
    Some((inside, after.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_at_every_depth_and_by_every_spelling() {
        let mut body = json!({"apikey": "a", "data": [{"apiKey": {"x": "b"}, "text": "token"}], "pubsub_token": null,
            "headers": {"Authorization": "c"}, "monkey": "d"});
        assert!(mask(&mut body));
        assert_eq!(
            body,
            json!({"apikey": "***", "data": [{"apiKey": "***", "text": "token"}], "pubsub_token": null,
                "headers": {"Authorization": "***"}, "monkey": "d"})
        );
        assert!(!mask(&mut json!({"text": "apikey"})));
    }

    #[test]
    fn secrets_are_masked_where_a_text_names_them() {
        for (text, quiet) in [
            (
                r#"{"apikey" : "a\"b", "x": 1"#,
                r#"{"apikey" : "***", "x": 1"#,
            ),
            (
                r#"{\"token\":\"a\",\"x\":1"#,
                r#"{\"token\":\"***\",\"x\":1"#,
            ),
            ("?access_token=a&y=2", "?access_token=***&y=2"),
            (
                "Authorization: Bearer a b\nx: y",
                "Authorization: ***\nx: y",
            ),
            (r#""secret": "a"#, r#""secret": "***"#),
            ("token", "token"),
            ("token:", "token:"),
            ("my token is lost, monkey: ä", "my token is lost, monkey: ä"),
            ("{'password': 5}", "{'password': ***}"),
        ] {
            assert_eq!(mask_text(text), quiet);
        }
    }
}
