//! What a reply of Creatio means, whatever it was asked.
//!
//! There is no published registry of errors. Five layers answer, each in its own shape, and a
//! database error is known only by its text; this file is the one place that knows those texts.

use std::time::Duration;

use handoffd_contract::{HttpReply, Reason, Stop};
use serde_json::Value;

/// A reply, sorted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// 2xx. The body may still be no JSON.
    Ok,
    /// The session or token is no longer accepted; nothing happened.
    SignedOut(String),
    /// A right is missing.
    Forbidden(String),
    /// No such record.
    Missing(String),
    /// No such entity set.
    NoSet(String),
    /// A record with this id exists.
    Duplicate,
    /// A file larger than the site takes.
    TooLarge(String),
    /// Too many requests; not before this time has passed.
    Slow(Option<Duration>, String),
    /// A value is refused, and will be again.
    Refused(String),
    /// It failed, and may have had its effect.
    Failed(Option<Duration>, String),
}

impl Answer {
    /// Sorts an HTTP reply.
    pub(crate) fn of(reply: &HttpReply) -> Answer {
        let html = reply
            .header("content-type")
            .is_some_and(|mime| mime.starts_with("text/html"));
        let body = reply.json();
        let words = if html {
            "an HTML page".to_owned()
        } else {
            words(body.as_ref(), &reply.words(300))
        };
        // The longest wait that is believed is an hour.
        let after = reply
            .retry_after()
            .map(|seconds| Duration::from_secs(seconds.min(3_600)));
        // An expired cookie session answers with the sign-in page, by redirect or in place.
        if (300..400).contains(&reply.status) || (html && (reply.ok() || reply.status == 401)) {
            return Answer::SignedOut(format!("answered {} with the sign-in page", reply.status));
        }
        sort(reply.status, words, after)
    }

    /// Sorts one part of a `$batch` reply.
    pub(crate) fn of_part(status: u16, body: Option<&Value>) -> Answer {
        sort(status, words(body, ""), None)
    }

    /// Why the engine must come back, for an answer that is neither a success nor final.
    pub(crate) fn stop(&self) -> Stop {
        match self {
            Answer::Ok => Stop::new(Reason::ServerError, "the answer could not be understood"),
            Answer::SignedOut(words) => Stop::new(Reason::Unauthorized, words),
            Answer::Forbidden(words) => Stop::new(Reason::Forbidden, words),
            Answer::Missing(words) | Answer::NoSet(words) => Stop::new(Reason::NotFound, words),
            Answer::Duplicate => Stop::new(Reason::Conflict, "a record with this id exists"),
            Answer::TooLarge(words) => Stop::new(Reason::TooLarge, words),
            Answer::Slow(_, words) => Stop::new(Reason::RateLimited, words),
            Answer::Refused(words) => Stop::new(Reason::Invalid, words),
            Answer::Failed(_, words) => Stop::new(Reason::ServerError, words),
        }
    }
}

fn sort(status: u16, words: String, after: Option<Duration>) -> Answer {
    let words = if words.is_empty() {
        format!("answered {status} without words")
    } else {
        words
    };
    let has = |needles: &[&str]| {
        let lower = words.to_ascii_lowercase();
        needles.iter().any(|needle| lower.contains(needle))
    };
    match status {
        200..=299 => Answer::Ok,
        401 => Answer::SignedOut(words),
        403 => Answer::Forbidden(words),
        404 if has(&[
            "no http resource",
            "no type was found",
            "resource not found for the segment",
        ]) =>
        {
            Answer::NoSet(words)
        }
        404 | 410 => Answer::Missing(words),
        409 => Answer::Duplicate,
        408 | 425 => Answer::Failed(after, words),
        413 => Answer::TooLarge(words),
        423 | 429 => Answer::Slow(after, words),
        400..=499 => Answer::Refused(words),
        // Most refusals come as 500, with the reason only in the text.
        500 if has(&["duplicate key"]) => Answer::Duplicate,
        500 if has(&["maxfilesize"]) => Answer::TooLarge(words),
        500 if has(&[
            "securityexception",
            "insufficient permissions",
            "permission denied",
        ]) =>
        {
            Answer::Forbidden(words)
        }
        500 if has(&REFUSALS) => Answer::Refused(words),
        _ => Answer::Failed(after, words),
    }
}

/// Texts of a 500 that would come again: foreign keys, unknown columns, texts that are too long,
/// validation.
const REFUSALS: [&str; 10] = [
    "violates foreign key",
    "foreign key constraint",
    "23503",
    "22001",
    "value too long",
    "would be truncated",
    "column by path",
    "is empty",
    "violates not-null",
    "file extension",
];

/// The other side's own words: from the innermost layer that has any, without the texts that a
/// database repeats from the row.
pub(crate) fn words(body: Option<&Value>, fallback: &str) -> String {
    let at = |path: &[&str]| {
        let mut here = body?;
        for key in path {
            here = here.get(key)?;
        }
        here.as_str().filter(|text| !text.trim().is_empty())
    };
    let found = [
        ["error", "innererror", "internalexception", "message"].as_slice(),
        &["error", "innererror", "message"],
        &["error", "message"],
        &["errorInfo", "message"],
        &["ExceptionMessage"],
        &["MessageDetail"],
        &["Message"],
    ]
    .into_iter()
    .find_map(at);
    let found = found.unwrap_or(fallback);
    let mut text = tame(found);
    if let Some(column) = key_column(found).filter(|column| !text.contains(column)) {
        text.push_str(&format!(" ({column})"));
    }
    if let Some(state) = body
        .and_then(|body| body.get("ModelState"))
        .and_then(Value::as_object)
    {
        for (key, errors) in state.iter().take(4) {
            let said = errors
                .get(0)
                .and_then(Value::as_str)
                .map(tame)
                .unwrap_or_default();
            text.push_str(&format!(" ({key}: {said})"));
        }
    }
    text
}

/// The column in PostgreSQL's detail `Key (OwnerId)=(…) is not present in table …`, where the site
/// shows it. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn key_column(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("Key (")?;
    let (column, _) = rest.split_once(")=")?;
    let is_column = column.len() <= 64
        && column
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '"');
    is_column.then(|| column.trim_matches('"'))
}

/// Cuts what could repeat a value: PostgreSQL's row details, and anything long in quotes.
fn tame(text: &str) -> String {
    let mut text = text;
    for mark in [
        "Failing row",
        "DETAIL:",
        "Detail:",
        "Truncated value:",
        "\n   at ",
    ] {
        text = text.split(mark).next().unwrap_or(text);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '"']) {
        let mark = &rest[at..=at];
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        if let Some(end) = rest.find(mark) {
            let inside = &rest[..end];
            out.push_str(if inside.chars().count() > 60 {
                "…"
            } else {
                inside
            });
            out.push_str(mark);
            rest = &rest[end + 1..];
        }
    }
    out.push_str(rest);
    out.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(300)
        .collect()
}

/// The column among `columns` that the words name, as a word of its own.
pub(crate) fn named<'a>(
    words: &str,
    columns: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    let tokens: Vec<&str> = words
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    // `Name` and `Id` are words of every message; they name no column.
    columns
        .filter(|column| !matches!(column.as_str(), "Id" | "Name"))
        .find(|column| tokens.contains(&column.as_str()))
}

#[cfg(test)]
mod tests {
    use handoffd_contract::HttpReply;
    use serde_json::json;

    use super::*;

    fn reply(status: u16, mime: &str, body: &str) -> HttpReply {
        HttpReply {
            status,
            headers: vec![("content-type".into(), mime.into())],
            body: body.into(),
        }
    }

    fn odata(text: &str) -> String {
        json!({"error": {"code": "", "message": "An error has occurred.", "innererror": {"message": text}}}).to_string()
    }

    #[test]
    fn every_status_and_text_has_one_meaning() {
        let kind = |status, body: &str| match Answer::of(&reply(status, "application/json", body)) {
            Answer::Ok => "ok",
            Answer::SignedOut(_) => "signed out",
            Answer::Forbidden(_) => "forbidden",
            Answer::Missing(_) => "missing",
            Answer::NoSet(_) => "no set",
            Answer::Duplicate => "duplicate",
            Answer::TooLarge(_) => "too large",
            Answer::Slow(..) => "slow",
            Answer::Refused(_) => "refused",
            Answer::Failed(..) => "failed",
        };
        let routing = r#"{"Message":"No HTTP resource was found that matches the request URI 'x'.","MessageDetail":"No type was found that matches the controller named 'UsrX'."}"#;
        let table = [
            (200, String::new(), "ok"),
            (201, "{}".into(), "ok"),
            (204, String::new(), "ok"),
            (302, String::new(), "signed out"),
            (
                400,
                odata("The property 'UsrFoo' does not exist"),
                "refused",
            ),
            (
                401,
                r#"{"Message":"Authorization has been denied for this request."}"#.into(),
                "signed out",
            ),
            (403, String::new(), "forbidden"),
            (404, String::new(), "missing"),
            (404, routing.into(), "no set"),
            (405, String::new(), "refused"),
            (409, String::new(), "duplicate"),
            (413, String::new(), "too large"),
            (415, String::new(), "refused"),
            (422, String::new(), "refused"),
            (423, String::new(), "slow"),
            (429, String::new(), "slow"),
            (500, String::new(), "failed"),
            (
                500,
                odata(
                    "23503: insert or update on table \"Activity\" violates foreign key constraint \"FK1\"",
                ),
                "refused",
            ),
            (
                500,
                odata("23505: duplicate key value violates unique constraint \"PKCase\""),
                "duplicate",
            ),
            (
                500,
                odata(
                    "Violation of PRIMARY KEY constraint 'PK'. Cannot insert duplicate key in object 'dbo.Case'.",
                ),
                "duplicate",
            ),
            (
                500,
                odata("22001: value too long for type character varying(500)"),
                "refused",
            ),
            (
                500,
                odata("Column by path CaseId not found in schema Activity."),
                "refused",
            ),
            (500, odata("MaxFileSizeExceededException"), "too large"),
            (
                500,
                odata("Object reference not set to an instance of an object."),
                "failed",
            ),
            (502, String::new(), "failed"),
            (503, String::new(), "failed"),
            (504, String::new(), "failed"),
        ];
        for (status, body, expected) in table {
            assert_eq!(kind(status, &body), expected, "{status} {body}");
        }
        let page = Answer::of(&reply(
            200,
            "text/html; charset=utf-8",
            "<html>bootstrap.login</html>",
        ));
        assert!(matches!(page, Answer::SignedOut(_)), "{page:?}");
        let broken = Answer::of(&reply(502, "text/html", "<html>Bad gateway</html>"));
        assert_eq!(broken, Answer::Failed(None, "an HTML page".into()));
    }

    #[test]
    fn words_come_from_the_innermost_layer_and_repeat_no_text() {
        let deep = json!({"error": {"message": "An error has occurred.", "innererror": {"message": "outer", "internalexception": {"message": "inner"}}}});
        assert_eq!(words(Some(&deep), ""), "inner");
        assert_eq!(
            words(
                Some(&json!({"Message": "An error", "ExceptionMessage": "Owner is empty"})),
                ""
            ),
            "Owner is empty"
        );
        let model = json!({"Message": "The request is invalid.", "ModelState": {"entity": ["The property 'UsrX' does not exist"]}});
        assert_eq!(
            words(Some(&model), ""),
            "The request is invalid. (entity: The property 'UsrX' does not exist)"
        );
        let secret = "my very private message that a customer wrote and nobody should log";
        for leak in [
            format!("Cannot convert the literal '{secret}' to 'Edm.Guid'"),
            format!("23502: null value. Failing row contains ({secret})"),
        ] {
            let said = words(Some(&json!({"Message": leak})), "");
            assert!(!said.contains("private"), "{said}");
        }
        assert_eq!(words(None, "plain"), "plain");
    }

    #[test]
    fn a_column_is_named_only_as_a_whole_word() {
        let columns: Vec<String> = ["Id", "Name", "CaseId", "UsrTopic"]
            .map(String::from)
            .into();
        assert_eq!(
            named(
                "The property 'UsrTopic' does not exist on type 'X.Case'.",
                columns.iter()
            ),
            Some(&columns[3])
        );
        assert_eq!(
            named("Column by path CaseId not found", columns.iter()),
            Some(&columns[2])
        );
        assert_eq!(
            named(
                "violates foreign key on table \"Case\", Name, UsrTopics",
                columns.iter()
            ),
            None
        );
    }
}
