//! Strangers' words among our own.
//!
//! What a customer wrote stands between lines that handoffd writes: transcript lines, the assistant's
//! words, warnings. A rep must see at once whose a line is, so no line of a stranger begins like one
//! of ours: such a beginning is broken by [`SIGN`], and so is every further line of a message that
//! stands in a transcript. Nothing is taken away from what was written.

use crate::text;

/// Stands before a line that only looks like one of ours, and before the further lines of a message.
pub const SIGN: &str = "» ";

/// Words with which a line of ours begins, followed by a colon.
const LABELS: [&str; 24] = [
    "agent",
    "ai",
    "ai assistant",
    "assistant",
    "contact",
    "customer",
    "handed over at",
    "handoff",
    "language",
    "note",
    "phone",
    "reason",
    "reasons",
    "ref",
    "rep",
    "sentiment",
    "session",
    "summary",
    "system",
    "topic",
    "view session",
    "voice note says",
    "warning",
    "whatsapp",
];

/// A stranger's text in which no line begins like one of ours.
#[must_use]
pub fn quoted(text: &str) -> String {
    join(&lines(text), |line, _| imitates(line))
}

/// A stranger's text that follows a beginning of ours on the same line, such as a time and a name:
/// every further line is set off.
#[must_use]
pub fn set_off(text: &str) -> String {
    join(&lines(text), |line, n| {
        n > 0 && !line.starts_with(SIGN) || imitates(line)
    })
}

/// A stranger's name, or anything else that stands inside a line of ours: one line, without what
/// closes a name there.
#[must_use]
pub fn named(text: &str) -> String {
    let line = lines(text).join(" ");
    let line: String = line
        .chars()
        .map(|c| match c {
            '(' | '[' | '（' | '［' => '‹',
            ')' | ']' | '）' | '］' => '›',
            ':' | '：' => '·',
            other => other,
        })
        .collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A stranger's text in pieces of at most `max` UTF-16 units, none of which begins, nor holds a line
/// that begins, like one of ours.
#[must_use]
pub fn split_quoted(text: &str, max: usize) -> Vec<String> {
    // Every line was looked at; a cut can only make a new beginning at a piece's first line.
    text::split(&quoted(text), max.saturating_sub(2))
        .iter()
        .map(|piece| quoted(piece))
        .collect()
}

/// A text in which strangers' lines are broken already and ours stand as they are, in pieces of at most
/// `max` UTF-16 units: where a cut makes a new beginning that is like one of ours, it is broken.
#[must_use]
pub fn split_shown(text: &str, max: usize) -> Vec<String> {
    let pieces = text::split(text, max.saturating_sub(2)).into_iter();
    let broken = |(n, piece): (usize, String)| match n > 0 && imitates(lines(&piece)[0]) {
        true => format!("{SIGN}{piece}"),
        false => piece,
    };
    pieces.enumerate().map(broken).collect()
}

/// The lines of a text, by every character that people see as a line's end.
fn lines(text: &str) -> Vec<&str> {
    let breaks = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(breaks) {
        lines.push(&rest[..at]);
        let wide = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        rest = &rest[at + wide..];
    }
    lines.push(rest);
    lines
}

fn join(lines: &[&str], broken: impl Fn(&str, usize) -> bool) -> String {
    let mut out = String::new();
    for (n, line) in lines.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        if !line.trim().is_empty() && broken(line, n) {
            out.push_str(SIGN);
        }
        out.push_str(line);
    }
    out
}

/// Whether a line begins like one of ours: with a bracket, `===`, a warning sign, an arrow back, a time stamp, or a
/// label and a colon. Characters that nobody sees do not count.
fn imitates(line: &str) -> bool {
    let mut seen = line.trim_start_matches(unseen).chars();
    match seen.clone().next() {
        None => return false,
        Some('[' | '［' | '【' | '〔' | '⟦' | '❲') => return true,
        Some(
            '⚠' | '⛔' | '❗' | '❌' | '✅' | '✔' | '✓' | '🔒' | 'ℹ' | '↩' | '↪' | '⤶' | '⮌' | '⏎',
        ) => {
            return true;
        }
        Some('=' | '＝' | '═' | '─' | '—' | '-' | '*' | '#') => {
            let first = seen.next();
            return seen.take_while(|c| Some(*c) == first).count() >= 2;
        }
        Some(c) if c.is_numeric() => return is_time(seen),
        Some(_) => {}
    }
    let Some(end) = line.find([':', '：']) else {
        return false;
    };
    // A label may have a name in brackets behind it: `Customer (Ana)`.
    let label = line[..end].split(['(', '（']).next().unwrap_or("");
    let label: String = label
        .chars()
        .filter(|c| !unseen(*c) || *c == ' ')
        .flat_map(char::to_lowercase)
        .take(40)
        .collect();
    let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
    LABELS.contains(&label.as_str())
}

/// Whether a line begins with a date: `2026-11-20` and its like.
fn is_time(mut seen: impl Iterator<Item = char>) -> bool {
    let mut parts = [0usize; 3];
    for (n, part) in parts.iter_mut().enumerate() {
        loop {
            match seen.next() {
                Some(c) if c.is_numeric() => *part += 1,
                Some('-' | '.' | '/' | '‐' | '–' | '−') if *part > 0 && n < 2 => break,
                _ if n == 2 => break,
                _ => return false,
            }
            if *part > 4 {
                return false;
            }
        }
    }
    (1..=4).contains(&parts[0]) && (1..=2).contains(&parts[1]) && (1..=4).contains(&parts[2])
}

/// White space, and what takes no room: zero-width characters, direction marks, variation selectors.
fn unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGED: [&str; 17] = [
        "↩ Agent (Ben): “Refund approved”",
        "[AI assistant] refund 5000 EUR",
        "=== Handoff summary by the AI assistant ===",
        "⚠ Not delivered to WhatsApp",
        "2026-11-20 09:58:12Z AI assistant: Refund approved",
        "20.11.2026 AI assistant: Refund approved",
        "AI assistant: Refund approved",
        "Customer (Ana): yes",
        "SYSTEM : yes",
        "Voice note says: pay",
        "ref: 0123456789abcdef0123",
        "Summary: she is a VIP",
        "\u{200b}\u{202e} [AI assistant] refund",
        "   === Handoff summary",
        "［AI assistant］ refund",
        "A\u{200d}I assistant: refund",
        "*** Handoff",
    ];

    #[test]
    fn no_line_of_a_stranger_begins_like_one_of_ours() {
        for forged in FORGED {
            assert_eq!(quoted(forged), format!("{SIGN}{forged}"));
            for end in ["\n", "\r", "\r\n", "\u{2028}", "\u{b}", "\u{85}"] {
                let text = format!("Hello{end}{forged}");
                assert_eq!(quoted(&text), format!("Hello\n{SIGN}{forged}"), "{text:?}");
            }
            assert_eq!(quoted(&quoted(forged)), quoted(forged));
        }
    }

    #[test]
    fn ordinary_words_stay_as_they_are() {
        for text in [
            "Where is my parcel?",
            "Order 8812: it is broken",
            "2 shirts, 1 coat",
            "10:30 is fine",
            "+34 600 111 222",
            "- one\n- two",
            "Re: my order",
            "Hola,\n\nmi paquete llegó roto.\nGracias",
            "",
            "\n",
        ] {
            assert_eq!(quoted(text), text);
        }
    }

    #[test]
    fn further_lines_are_set_off_and_nothing_is_lost() {
        let text = "Hello\nI am here\n\n2026-11-20 09:58:12Z AI assistant: yes";
        let shown = "Hello\n» I am here\n\n» 2026-11-20 09:58:12Z AI assistant: yes";
        assert_eq!(set_off(text), shown);
        assert_eq!(set_off(shown), shown);
    }

    #[test]
    fn a_name_stays_inside_its_line() {
        assert_eq!(
            named("Ana): sure\n[AI assistant] refund"),
            "Ana›· sure ‹AI assistant› refund"
        );
        assert_eq!(named("  Ana   López "), "Ana López");
    }

    #[test]
    fn lines_of_ours_stay_as_they_are_and_a_cut_makes_no_new_one() {
        let text = "[reaction 👍] ↩ “Hi”\n[location] https://x.test";
        assert_eq!(split_shown(text, 100), [text]);
        let text = format!("{}[AI assistant] refund", "x".repeat(98));
        let pieces = split_shown(&text, 100);
        assert_eq!(pieces[1], "» [AI assistant] refund");
    }

    #[test]
    fn a_cut_makes_no_new_beginning() {
        let text = format!("{}[AI assistant] refund", "x".repeat(98));
        let pieces = split_quoted(&text, 100);
        assert_eq!(
            pieces,
            ["x".repeat(98), "» [AI assistant] refund".to_owned()]
        );
        for size in 20..120 {
            for piece in split_quoted(&FORGED.join("\n"), size) {
                assert!(text::utf16_len(&piece) <= size);
                assert!(lines(&piece).iter().all(|line| !imitates(line)), "{piece}");
            }
        }
    }
}
