//! Bodies as JSON, mended where they are not quite.

use handoffd_contract::{Reason, Stop};
use serde_json::Value;

/// A body as JSON.
pub(super) struct Json {
    pub(super) value: Value,
    /// It was not quite JSON.
    pub(super) mended: bool,
}

impl Json {
    pub(super) fn whole(value: Value) -> Json {
        Json {
            value,
            mended: false,
        }
    }
}

/// serde_json's own words name a place and never the content. A byte order mark, bytes that are not
/// UTF-8 and halves of a pair (an emoji cut in two) cost no more than themselves.
pub(super) fn json(body: &[u8]) -> Result<Json, Stop> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(Json::whole(value)),
        Err(error) => error,
    };
    let text = without_halves(&String::from_utf8_lossy(body));
    if text.as_bytes() != body
        && let Ok(value) = serde_json::from_str(&text)
    {
        return Ok(Json {
            value,
            mended: true,
        });
    }
    Err(Stop::new(
        Reason::Undecodable,
        format!("the body is not JSON: {error}"),
    ))
}

/// The text with every `\uD800` to `\uDFFF` replaced that is no half of a pair.
fn without_halves(text: &str) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(next) = rest.find('\\') else {
            out.push_str(rest);
            break;
        };
        out.push_str(&rest[..next]);
        at += next;
        let (taken, is_half) = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, false),
            (Some(0xD800..=0xDFFF), _) => (6, true),
            // The character behind a backslash is no beginning.
            _ => (
                1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
                false,
            ),
        };
        out.push_str(if is_half {
            "\\ufffd"
        } else {
            &text[at..at + taken]
        });
        at += taken;
    }
    out
}
