//! How texts are split: by the limit that the settings name, and smaller where Salesforce has refused
//! one. What was shown once keeps its place, so that nothing is shown twice or left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Attachment, Known, Source, text};

use crate::facts;
use crate::pieces::{Content, Piece};
use crate::settings::Settings;

/// The longest beginning that is repeated on further parts.
const MAX_MARK: usize = 140;

/// The most UTF-16 units of a text of this message or handoff.
pub(crate) fn limit(s: &Settings, known: &Known, of: &str) -> usize {
    let number = |fact: &str| known.get(fact).and_then(|n| n.parse::<usize>().ok());
    number(&facts::split(of)).unwrap_or_else(|| {
        let learned = number(facts::LIMIT).unwrap_or(s.message_limit);
        learned.min(s.message_limit)
    })
}

/// Has the first piece pin the limit by which the row was split: parts are known by their numbers.
pub(crate) fn pin(pieces: &mut [Piece], of: &str, limit: usize) {
    if let Some(first) = pieces.first_mut() {
        let by = limit.to_string();
        first.learn.push((facts::split(of), by.into()));
    }
}

/// A text of ours, or of somebody whose name stands before it, in pieces: the further ones say by
/// their beginning whose they are.
pub(crate) fn marked(words: &str, max: usize) -> Vec<String> {
    let sign = handoffd_contract::quote::SIGN;
    // A stranger's text never begins with a bracket.
    let name = words
        .find("] ")
        .filter(|end| words.starts_with('[') && *end < MAX_MARK);
    let mark = match name.map(|end| &words[..end + 2]) {
        Some(name) if text::utf16_len(name) < max / 2 => format!("{name}{sign}"),
        _ => sign.to_owned(),
    };
    if text::utf16_len(words) <= max {
        return vec![words.to_owned()];
    }
    let room = max.saturating_sub(text::utf16_len(&mark));
    text::split(words, room)
        .into_iter()
        .enumerate()
        .map(|(n, part)| match n {
            0 => part,
            _ => format!("{mark}{}", part.strip_prefix(sign).unwrap_or(&part)),
        })
        .collect()
}

/// The texts of a row as pieces under their facts; those that Salesforce has found too long, in parts
/// or as a file.
pub(crate) fn texts(
    known: &Known,
    fact: impl Fn(usize) -> String,
    texts: impl IntoIterator<Item = String>,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (n, text) in texts.into_iter().enumerate() {
        cut(known, fact(n), text, &mut pieces);
    }
    pieces
}

fn cut(known: &Known, fact: String, words: String, pieces: &mut Vec<Piece>) {
    let content = match known.get(&facts::cut(&fact)) {
        None => Content::Text(words),
        Some(facts::AS_FILE) => Content::File {
            attachment: Box::new(text_file("message", &words)),
            caption: None,
            fallback: fact.clone(),
        },
        Some(limit) => {
            let parts = marked(&words, limit.parse().unwrap_or(usize::MAX));
            if parts.len() > 1 {
                for (n, part) in parts.into_iter().enumerate() {
                    cut(known, format!("{fact}.{n}"), part, pieces);
                }
                return;
            }
            Content::Text(words)
        }
    };
    pieces.push(Piece {
        fact,
        content,
        learn: Vec::new(),
    });
}

/// A text as a file.
pub(crate) fn text_file(name: &str, words: &str) -> Attachment {
    Attachment {
        id: name.to_owned(),
        kind: AttachmentKind::Document,
        mime: Some("text/plain".into()),
        name: Some(format!("{name}.txt")),
        size: Some(words.len() as u64),
        caption: None,
        transcript: None,
        source: Some(Source::Inline {
            data: STANDARD.encode(words),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_parts_say_whose_they_are() {
        let words = format!("[AI assistant] {}", "word ".repeat(100));
        let parts = marked(&words, 120);
        assert!(parts.len() > 3, "{parts:?}");
        assert!(parts[0].starts_with("[AI assistant] word"), "{}", parts[0]);
        for part in &parts[1..] {
            assert!(part.starts_with("[AI assistant] » word"), "{part}");
            assert!(text::utf16_len(part) <= 120);
        }
        let customer = marked(&format!("{}[AI assistant] refund", "x".repeat(118)), 120);
        assert!(
            customer[1..].iter().all(|part| part.starts_with("» ")),
            "{customer:?}"
        );
    }

    #[test]
    fn a_part_that_was_too_long_is_split_where_it_stands() {
        let mut known = Known::default();
        let facts = |known: &Known| -> Vec<String> {
            let long = "word ".repeat(60).trim_end().to_owned();
            texts(known, |n| format!("part/m/{n}"), [long, "short".to_owned()])
                .into_iter()
                .map(|piece| piece.fact)
                .collect()
        };
        assert_eq!(facts(&known), ["part/m/0", "part/m/1"]);
        known.set("cut/part/m/0", "150");
        assert_eq!(
            facts(&known),
            ["part/m/0.0", "part/m/0.1", "part/m/0.2", "part/m/1"]
        );
        known.set("cut/part/m/0.1", facts::AS_FILE);
        let row = texts(&known, |n| format!("part/m/{n}"), ["word ".repeat(60)]);
        assert!(
            matches!(&row[1].content, Content::File { fallback, .. } if *fallback == row[1].fact)
        );
    }
}
