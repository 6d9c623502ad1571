//! How Creatio writes ids, times, texts and addresses.

use handoffd_contract::{ids, text};
use jiff::Timestamp;

use crate::standard::ZERO;

/// A record id in lower case without braces, or `None` when `text` is no id or the empty one.
/// Process designers send ids in upper case and in braces.
#[must_use]
pub fn guid(text: &str) -> Option<String> {
    let bare = text
        .trim()
        .trim_start_matches('{')
        .trim_end_matches('}')
        .trim()
        .to_ascii_lowercase();
    (ids::is_lower_uuid(&bare) && bare != ZERO).then_some(bare)
}

/// A string literal of a filter: in single quotes, those inside doubled.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time in UTC with `Z`, to the millisecond. Other offsets depend on a feature of the site.
#[must_use]
pub fn time(at: Timestamp) -> String {
    millis(at.as_millisecond())
}

/// The same, from milliseconds since 1970.
#[must_use]
pub fn millis(at: i64) -> String {
    Timestamp::from_millisecond(at)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Text that every database takes: no control characters but line breaks and tabs. PostgreSQL
/// refuses NUL in any text.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Text on one line, at most `max` UTF-16 units, with an ellipsis where it was cut.
#[must_use]
pub fn one_line(raw: &str, max: usize) -> String {
    // Only as much as can be shown is looked at, however long the text is.
    let head: String = raw.chars().take(max * 2).collect();
    let words: Vec<&str> = head
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    text::truncate(&words.join(" "), max)
}

/// Whether an address may stand in a link: http or https, without white space or quotes.
#[must_use]
pub fn is_link(address: &str) -> bool {
    (address.starts_with("https://") || address.starts_with("http://"))
        && !address
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_every_shape_that_processes_send() {
        let plain = "1f2e3d4c-0000-4000-8000-0123456789ab";
        for shape in [
            plain.to_owned(),
            plain.to_uppercase(),
            format!("{{{plain}}}"),
            format!("  {{{}}} ", plain.to_uppercase()),
        ] {
            assert_eq!(guid(&shape).as_deref(), Some(plain), "{shape}");
        }
        for wrong in [
            "",
            "{}",
            ZERO,
            "1f2e3d4c",
            "[#Case.Id#]",
            "1f2e3d4c000040008000 0123456789ab",
        ] {
            assert_eq!(guid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_and_times_are_written_as_the_server_takes_them() {
        assert_eq!(quoted("O'Neil"), "'O''Neil'");
        assert_eq!(millis(1_795_168_800_001), "2026-11-20T10:00:00.001Z");
        assert_eq!(clean("a\0b\u{7}c\r\nd\te"), "abc\nd\te");
        assert_eq!(one_line(" a\n\n b\tc ", 500), "a b c");
        assert_eq!(one_line(&"x".repeat(600), 500).chars().count(), 500);
        assert!(
            is_link("https://x.test/s?a=1")
                && !is_link("javascript:alert(1)")
                && !is_link("https://x\" onclick=\"")
        );
    }
}
