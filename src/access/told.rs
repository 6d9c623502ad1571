//! What the library that reads requests says is wrong, as JSON, and without what was sent.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// The longest of its sentences, in bytes.
const MAX: usize = 4_096;

/// What stands before something that was sent, and how that is quoted.
const BEFORE: [(&str, char); 9] = [
    ("string ", '"'),
    ("with value ", '`'),
    ("Cannot parse ", '`'),
    ("integer ", '`'),
    ("boolean ", '`'),
    ("floating point ", '`'),
    ("character ", '`'),
    ("unknown variant ", '`'),
    ("unknown field ", '`'),
];

/// An answer, with a plain sentence of what is wrong made JSON as all of ours are.
pub(super) async fn as_json(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(response.status().is_client_error() && is_plain) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, MAX).await.unwrap_or_default();
    let text = without_values(String::from_utf8_lossy(&text).trim());
    let mut told = (parts.status, Json(json!({"error": text}))).into_response();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            told.headers_mut().append(name, value.clone());
        }
    }
    told
}

/// A sentence without what it quotes of the request. Names of ours stay.
fn without_values(text: &str) -> String {
    let mut text = text.to_owned();
    for (before, quote) in BEFORE {
        let begin = format!("{before}{quote}");
        let mut from = 0;
        while let Some(at) = text[from..].find(&begin) {
            let start = from + at + before.len();
            let inside = start + quote.len_utf8();
            // Where a quote stands in what is quoted, what follows it is left out, too.
            let expected = text[inside..].find(", expected").map(|at| inside + at);
            let closing = match expected {
                Some(end) => text[inside..end].rfind(quote).map(|at| inside + at + 1),
                None => text[inside..].find(quote).map(|at| inside + at + 1),
            };
            text.replace_range(start..closing.unwrap_or(text.len()), "…");
            from = start;
        }
    }
    // The place of a field that nobody knows ends in its name.
    if let Some(at) = text.find(": unknown field …") {
        let start = text[..at].rfind(": ").map_or(0, |before| before + 2);
        text.replace_range(start..at + 2, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_left_out() {
        for (text, told) in [
            (
                "dry_run: invalid type: string \"secret\", expected a boolean at line 1 column 9",
                "dry_run: invalid type: string …, expected a boolean at line 1 column 9",
            ),
            (
                "x: invalid type: string \"se\\\"cret\", expected i64",
                "x: invalid type: string …, expected i64",
            ),
            (
                "invalid type: integer `8675309`, expected a string",
                "invalid type: integer …, expected a string",
            ),
            (
                "unknown field `secret`, expected one of `session`, `target`",
                "unknown field …, expected one of `session`, `target`",
            ),
            (
                "Failed to read the body: more.secret: unknown field `secret`, expected `x`",
                "Failed to read the body: unknown field …, expected `x`",
            ),
            (
                "role: unknown variant `secret`, expected one of `viewer`, `admin`",
                "role: unknown variant …, expected one of `viewer`, `admin`",
            ),
            (
                "Invalid URL: Cannot parse `secret` to a `i64`",
                "Invalid URL: Cannot parse … to a `i64`",
            ),
            ("missing field `patch`", "missing field `patch`"),
            ("string \"cut off", "string …"),
        ] {
            assert_eq!(without_values(text), told);
        }
    }
}
