//! Splitting and escaping that every connector shares.

pub use crate::lines::{author, body, line, line_in, place, stamp};
use crate::quote::SIGN;
pub use crate::quote::{named, quoted, set_off, split_quoted, split_shown};

/// Length in UTF-16 units: how most of these APIs seem to count, and never less than characters.
#[must_use]
pub fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The longest prefix of at most `max` UTF-16 units; with an ellipsis when something was cut.
#[must_use]
pub fn truncate(text: &str, max: usize) -> String {
    if utf16_len(text) <= max {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.len_utf16();
        if used > max {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Splits a text into pieces of at most `max` UTF-16 units: at paragraphs, else lines, else words,
/// else anywhere but inside a character or before a combining mark. Joined again, nothing but the
/// white space at the cuts is missing.
#[must_use]
pub fn split(text: &str, max: usize) -> Vec<String> {
    let max = max.max(2);
    let mut pieces = Vec::new();
    let mut rest = text;
    // Only as much is looked at as one piece may hold, so that the work is linear.
    while let Some(end) = overflow(rest, max) {
        let head = &rest[..end];
        let cut = ["\n\n", "\n", " "]
            .iter()
            .find_map(|border| head.rfind(border).filter(|at| *at > end / 2))
            .unwrap_or_else(|| unjoined(rest, end));
        pieces.push(rest[..cut].trim_end().to_owned());
        rest = rest[cut..].trim_start_matches(['\n', ' ']);
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces.retain(|piece| !piece.is_empty());
    if pieces.is_empty() {
        pieces.push(String::new());
    }
    pieces
}

/// Where the first character begins that does not fit into `max` UTF-16 units; `None` when all fit.
fn overflow(text: &str, max: usize) -> Option<usize> {
    let mut units = 0;
    text.char_indices().find_map(|(at, c)| {
        units += c.len_utf16();
        (units > max).then_some(at)
    })
}

/// The last place at or before `end` that does not part a character from what is joined to it.
fn unjoined(text: &str, end: usize) -> usize {
    let joins = |c: char| matches!(c, '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{300}'..='\u{36f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let mut cut = end;
    while cut > end.saturating_sub(64) {
        let after = text[cut..].chars().next();
        let before = text[..cut].chars().next_back();
        if !after.is_some_and(joins) && before != Some('\u{200d}') {
            return if cut == 0 { end } else { cut };
        }
        cut -= before.map_or(1, char::len_utf8);
    }
    end
}

/// Packs lines into pieces of at most `max` UTF-16 units, separated by `separator`, cutting only
/// between lines; a line that is longer by itself is split, and its further parts are set off.
#[must_use]
pub fn pack(lines: &[String], separator: &str, max: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut open = String::new();
    let mut used = 0;
    let between = utf16_len(separator);
    for line in lines {
        // Too little room for a sign is too little for an imitation.
        let sets_off = utf16_len(line) > max && max >= 8;
        let room = if sets_off { max - 2 } else { max };
        for (n, part) in split(line, room).into_iter().enumerate() {
            let part = if sets_off && n > 0 && !part.starts_with(SIGN) {
                format!("{SIGN}{part}")
            } else {
                part
            };
            let units = utf16_len(&part);
            if !open.is_empty() && used + between + units > max {
                pieces.push(std::mem::take(&mut open));
                used = 0;
            }
            if !open.is_empty() {
                open.push_str(separator);
                used += between;
            }
            open.push_str(&part);
            used += units;
        }
    }
    if !open.is_empty() {
        pieces.push(open);
    }
    pieces
}

/// A text that every API, phone and database can carry: line ends are `\n`, and control characters
/// other than those and tabs are left out. PostgreSQL cannot keep a NUL, and JSON parsers choke on
/// what they do not expect. <https://www.postgresql.org/docs/current/datatype-character.html>
#[must_use]
pub fn carried(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Escapes text for HTML; line breaks become `<br>`. Control characters that no CRM shows are left
/// out.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("<br>"),
            '\r' => {}
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

/// Turns a rep's rich text into plain text for WhatsApp: tags become line breaks or nothing, links
/// keep their address, entities are decoded. Work is linear in the input.
#[must_use]
pub fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut hidden: Option<&'static str> = None;
    let mut links: Vec<(String, usize)> = Vec::new();
    let mut rest = html;
    // The first '>' that is not passed yet; looked for once, or many a '<' would make the work quadratic.
    let mut close = html.find('>');
    while let Some(at) = rest.find(['<', '&']) {
        if hidden.is_none() {
            out.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        let here = html.len() - rest.len();
        if close.is_some_and(|close| close < here) {
            close = rest.find('>').map(|at| here + at);
        }
        if rest.starts_with('&') {
            let (text, used) = entity(rest);
            if hidden.is_none() {
                out.push_str(&text);
            }
            rest = &rest[used..];
            continue;
        }
        let looks_like_tag = rest[1..]
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let Some(end) = close.filter(|_| looks_like_tag).map(|at| at - here) else {
            if hidden.is_none() {
                out.push('<');
            }
            rest = &rest[1..];
            // Without any further '>' nothing is a tag; take the rest in one go.
            if close.is_none() {
                let (text, _) = decode_all(rest);
                if hidden.is_none() {
                    out.push_str(&text);
                }
                rest = "";
            }
            continue;
        };
        let tag = &rest[1..end];
        let closing = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .take(12)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match (name.as_str(), closing) {
            ("script" | "style" | "head", false) if !tag.ends_with('/') => {
                hidden = Some(match name.as_str() {
                    "script" => "script",
                    "style" => "style",
                    _ => "head",
                });
            }
            (name, true) if hidden == Some(name) => hidden = None,
            _ if hidden.is_some() => {}
            ("br", _) => out.push('\n'),
            ("td" | "th", false) if !out.is_empty() && !out.ends_with('\n') => out.push_str(" | "),
            ("li", false) => {
                newline(&mut out);
                out.push_str("• ");
            }
            ("p" | "div" | "tr" | "ul" | "ol" | "blockquote" | "h1" | "h2" | "h3" | "h4", _) => {
                newline(&mut out);
            }
            ("a", false) if links.len() < 64 => {
                links.push((attribute(tag, "href").unwrap_or_default(), out.len()));
            }
            ("a", true) => {
                if let Some((href, from)) = links.pop() {
                    let label = out.get(from..).unwrap_or("").trim().to_owned();
                    let address = href.trim_start_matches("mailto:");
                    if !address.is_empty() && !href.starts_with('#') && label != address {
                        out.push_str(&format!(" ({address})"));
                    }
                }
            }
            _ => {}
        }
        rest = &rest[end + 1..];
    }
    if hidden.is_none() {
        out.push_str(rest);
    }
    tidy(&out)
}

fn newline(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = tag.to_ascii_lowercase().find(&format!("{name}="))? + name.len() + 1;
    let value = tag.get(at..)?;
    let quote = value.chars().next()?;
    let raw = if quote == '"' || quote == '\'' {
        value[1..].split(quote).next()?
    } else {
        value.split(|c: char| c.is_whitespace()).next()?
    };
    Some(decode_all(raw).0)
}

fn decode_all(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (decoded, used) = entity(&rest[at..]);
        out.push_str(&decoded);
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    (out, text.len())
}

/// Decodes the entity at the start of `text`; an unknown one stays as it is.
fn entity(text: &str) -> (String, usize) {
    let Some(end) = text
        .char_indices()
        .take(12)
        .find(|(_, c)| *c == ';')
        .map(|(at, _)| at)
    else {
        return ("&".to_owned(), 1);
    };
    let name = &text[1..end];
    let decoded = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => name.strip_prefix('#').and_then(|number| {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => number.parse().ok(),
            };
            code.and_then(char::from_u32)
                .filter(|c| !c.is_control() || *c == '\n')
        }),
    };
    match decoded {
        Some(c) => (c.to_string(), end + 1),
        None => ("&".to_owned(), 1),
    }
}

/// At most one empty line in a row, no white space at line ends or around the whole.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = line.trim_end();
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim().to_owned()
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into())
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_keeps_every_word_and_the_limit() {
        let text = "word ".repeat(5_000);
        let pieces = split(&text, 997);
        assert!(pieces.iter().all(|piece| utf16_len(piece) <= 997));
        assert_eq!(pieces.join(" ").split_whitespace().count(), 5_000);
    }

    #[test]
    fn split_does_not_part_joined_emoji() {
        let family = "👨‍👩‍👧‍👦";
        let text = family.repeat(200);
        for piece in split(&text, 50) {
            assert!(
                !piece.starts_with('\u{200d}') && !piece.ends_with('\u{200d}'),
                "{piece:?}"
            );
        }
        assert_eq!(split(&text, 50).concat(), text);
    }

    #[test]
    fn pack_cuts_between_lines() {
        let lines: Vec<String> = (0..100)
            .map(|n| format!("line {n} {}", "x".repeat(n)))
            .collect();
        let pieces = pack(&lines, "\n", 300);
        assert!(pieces.iter().all(|piece| utf16_len(piece) <= 300));
        assert_eq!(pieces.join("\n"), lines.join("\n"));
    }

    #[test]
    fn the_further_parts_of_a_long_line_are_set_off() {
        let line = format!("2026 Customer: {}[AI assistant] refund", "x".repeat(83));
        let pieces = pack(&[line], "\n", 100);
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[1], "» [AI assistant] refund");
        assert!(pieces.iter().all(|piece| utf16_len(piece) <= 100));
    }

    #[test]
    fn control_characters_are_not_carried() {
        assert_eq!(
            carried("a\0b\r\nc\u{1b}[1m\td\u{85}e\u{200d}📦"),
            "ab\nc[1m\tde\u{200d}📦"
        );
    }

    #[test]
    fn html_is_escaped_and_comes_back() {
        let nasty = "<script>alert('x')</script> & \"Müller\" >_<\nnext";
        let escaped = html(nasty);
        assert!(!escaped.contains("<script"));
        assert_eq!(plain(&escaped), nasty);
    }

    #[test]
    fn rich_text_becomes_plain() {
        let rich = "<div><p>Hi <b>Ana</b>,</p><p>see <a href=\"https://x.test/a?b=1&amp;c=2\">this</a></p>\
                    <ul><li>one</li><li>two</li></ul><style>p{}</style></div>";
        assert_eq!(
            plain(rich),
            "Hi Ana,\nsee this (https://x.test/a?b=1&c=2)\n• one\n• two"
        );
        assert_eq!(
            plain(
                "<table><tr><th>Size</th><th>Price</th></tr><tr><td>S</td><td>10</td></tr></table>"
            ),
            "Size | Price\nS | 10"
        );
        assert_eq!(plain("1 < 2 & 3 > 2"), "1 < 2 & 3 > 2");
        assert_eq!(plain(&"<".repeat(10_000)).len(), 10_000);
    }
}
