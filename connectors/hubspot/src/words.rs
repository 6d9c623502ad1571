//! What reps read: the ticket's description, and notes as escaped HTML.

use handoffd_contract::event::{Handoff, sentiment};
use handoffd_contract::text::{
    author, html, line_in, named, quoted, set_off, split, stamp, truncate, utf16_len,
};
use handoffd_contract::{Attachment, Contact, Message};
use jiff::tz::TimeZone;
use serde_json::Value;

/// The longest text that is written into one property. HubSpot takes 65,536 characters and does not
/// say how it counts them.
/// <https://knowledge.hubspot.com/contacts/property-field-types-in-hubspot>
pub const MAX_TEXT: usize = 60_000;

/// Room for a note's heading and marker.
const FRAME: usize = 600;

/// Room for the paragraphs of one note.
pub const ROOM: usize = MAX_TEXT - FRAME;

/// The heading over the transcript.
pub const CONVERSATION: &str = "Conversation until the handoff";

/// The longest ticket subject.
pub const MAX_SUBJECT: usize = 250;

/// Fields that the assistant filled in and that are shown.
const MAX_FIELDS: usize = 50;

/// The longest of them.
const MAX_FIELD: usize = 1_000;

/// A piece of a note's body, and the message that is fully shown once this piece is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Escaped HTML without an enclosing element.
    pub html: String,
    /// The id of the message that ends here.
    pub ends: Option<String>,
}

impl Block {
    /// A labelled value; several blocks when it is long.
    #[must_use]
    pub fn labelled(label: &str, value: &str) -> Vec<Block> {
        let pieces = fit(value, MAX_TEXT - FRAME - 100);
        let mut blocks: Vec<Block> = pieces
            .iter()
            .enumerate()
            .map(|(n, piece)| Block {
                html: html(&begun(piece, n)),
                ends: None,
            })
            .collect();
        if let Some(first) = blocks.first_mut() {
            first
                .html
                .insert_str(0, &format!("<b>{}:</b> ", html(label)));
        }
        blocks
    }

    /// Plain text; several blocks when it is long, the last of which ends the message.
    #[must_use]
    pub fn plain(text: &str, ends: Option<&str>) -> Vec<Block> {
        let pieces = fit(text, MAX_TEXT - FRAME);
        let last = pieces.len().saturating_sub(1);
        let block = |(n, piece): (usize, &String)| Block {
            html: html(&begun(piece, n)),
            ends: ends.filter(|_| n == last).map(str::to_owned),
        };
        pieces.iter().enumerate().map(block).collect()
    }
}

/// A piece of a text. A cut makes a new beginning, which must not look like one of ours.
fn begun(piece: &str, n: usize) -> String {
    match n {
        0 => piece.to_owned(),
        _ => quoted(piece),
    }
}

/// What a mapping makes of strangers' words, as part of the description. Labels are the mapping's own
/// and stay; what would pass for a line of the conversation below, or for a heading of ours, is broken.
#[must_use]
pub fn mapped(text: &str) -> String {
    let shown = |line: &str| {
        let is_label = line.starts_with(char::is_alphabetic) && !line.starts_with(CONVERSATION);
        if is_label {
            return line.to_owned();
        }
        match line.starts_with(CONVERSATION) {
            true => format!("» {line}"),
            false => quoted(line),
        }
    };
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// Splits plain text so that each piece, escaped, has at most `max` units.
fn fit(text: &str, max: usize) -> Vec<String> {
    fn halves(text: &str, max: usize, size: usize, pieces: &mut Vec<String>) {
        for piece in split(text, size) {
            if size > 8 && utf16_len(&html(&piece)) > max {
                halves(&piece, max, size.min(utf16_len(&piece)).div_ceil(2), pieces);
            } else {
                pieces.push(piece);
            }
        }
    }
    let mut pieces = Vec::new();
    halves(text, max, max, &mut pieces);
    pieces
}

/// Packs blocks into bodies that each fit one note, cutting only between blocks.
#[must_use]
pub fn pack(blocks: Vec<Block>) -> Vec<Vec<Block>> {
    let mut bodies: Vec<Vec<Block>> = Vec::new();
    let mut room = 0;
    for block in blocks {
        let size = utf16_len(&block.html) + "<p></p>".len();
        match bodies.last_mut() {
            Some(open) if size <= room => open.push(block),
            _ => {
                bodies.push(vec![block]);
                room = MAX_TEXT - FRAME + "<p></p>".len();
            }
        }
        room = room.saturating_sub(size);
    }
    bodies
}

/// A note's whole body: heading, blocks, and the marker by which it is found again.
#[must_use]
pub fn note(title: Option<&str>, blocks: &[Block], marker: &str) -> String {
    let title = title.map(|title| format!("<p><b>{}</b></p>", html(&truncate(title, 120))));
    let mut body = title.unwrap_or_default();
    for block in blocks {
        body.push_str("<p>");
        body.push_str(&block.html);
        body.push_str("</p>");
    }
    body.push_str(&format!("<p>{}</p>", printed(marker)));
    body
}

/// Characters of a marker.
const MARKER: usize = 20;

/// A marker as it is printed.
#[must_use]
pub fn printed(marker: &str) -> String {
    format!("ref: {marker}")
}

/// Whether a text holds a marker of ours.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    let begin = printed("");
    text.match_indices(&begin).any(|(at, _)| {
        let rest = &text[at + begin.len()..];
        let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next();
        word.is_some_and(|word| word.len() == MARKER && word.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

/// A subject when the mapping gives none.
#[must_use]
pub fn subject(handoff: &Handoff, contact: &Contact) -> String {
    let about = handoff.handoff.topic.as_deref().or(handoff
        .handoff
        .reasons
        .first()
        .map(String::as_str));
    let about = about
        .map(str::trim)
        .filter(|about| !about.is_empty())
        .unwrap_or("conversation handed over");
    let name = named(&contact.display_name());
    truncate(
        &format!("WhatsApp: {about} ({name})").replace(['\n', '\r'], " "),
        MAX_SUBJECT,
    )
}

/// What the assistant says about the handoff and what it filled in, as (label, value). Words outside our vocabulary stay
/// as they are; the normalised one stands beside them.
#[must_use]
pub fn reasoning(handoff: &Handoff) -> Vec<(String, String)> {
    let said = &handoff.handoff;
    let mut lines = Vec::new();
    let mut add = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
            let value = match label {
                "Summary" => quoted(&value),
                _ => set_off(&value),
            };
            lines.push((label.to_owned(), value));
        }
    };
    let label = if said.reasons.len() > 1 {
        "Reasons"
    } else {
        "Reason"
    };
    add(
        label,
        (!said.reasons.is_empty()).then(|| said.reasons.join("; ")),
    );
    add("Summary", said.summary.clone());
    add("Sentiment", said.sentiment.as_deref().map(mood));
    add(
        "Language",
        said.language
            .clone()
            .or_else(|| handoff.session.language.clone()),
    );
    add("Topic", said.topic.clone());
    for (name, value) in handoff.fields.iter().take(MAX_FIELDS) {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        add(
            &named(&truncate(name, 100)),
            Some(truncate(&value, MAX_FIELD)),
        );
    }
    add("Customer", Some(named(&handoff.contact.display_name())));
    add("Phone", handoff.contact.e164());
    add("Session", handoff.session.url.clone());
    lines
}

fn mood(raw: &str) -> String {
    match sentiment(raw) {
        Some(known) if !known.eq_ignore_ascii_case(raw.trim()) => format!("{raw} ({known})"),
        _ => raw.to_owned(),
    }
}

/// The ticket's description: plain text, because HubSpot shows the property as it is. Returns how
/// many of `messages` it holds; the rest, on a message border, belongs into notes.
#[must_use]
pub fn content(
    head: &str,
    messages: &[&Message],
    contact: &Contact,
    zone: &TimeZone,
    marker: &str,
) -> (String, usize) {
    const MORE: &str = "(The conversation goes on in this ticket's notes.)";
    let mut text = truncate(head, MAX_TEXT / 2);
    let end = utf16_len(MORE) + utf16_len(&printed(marker)) + 8;
    let mut used = utf16_len(&text) + utf16_len(&format!("\n\n{CONVERSATION}:\n"));
    let mut lines = Vec::new();
    for message in messages {
        let line = line_in(message, contact, zone);
        let size = utf16_len(&line) + 1;
        if used + size + end > MAX_TEXT {
            break;
        }
        used += size;
        lines.push(line);
    }
    if !lines.is_empty() {
        text.push_str(&format!("\n\n{CONVERSATION}:\n"));
        text.push_str(&lines.join("\n"));
    }
    if lines.len() < messages.len() {
        text.push_str("\n\n");
        text.push_str(MORE);
    }
    text.push_str("\n\n");
    text.push_str(&printed(marker));
    (text.trim_start().to_owned(), lines.len())
}

/// The link back to the session.
#[must_use]
pub fn link(url: &str) -> Block {
    let url = html(&truncate(url, 2_000));
    Block {
        html: format!("<b>Session:</b> <a href=\"{url}\">{url}</a>"),
        ends: None,
    }
}

/// One line about a file that is attached, or could not be.
#[must_use]
pub fn file(
    message: &Message,
    attachment: &Attachment,
    contact: &Contact,
    zone: &TimeZone,
    problem: Option<&str>,
) -> Block {
    let name = named(&attachment.file_name());
    let name = quoted(&name);
    let time = stamp(message.time, zone);
    let mut line = match problem {
        None => format!("<b>{}</b>", html(&name)),
        Some(why) => format!("<b>{}</b> is not attached: {}", html(&name), html(why)),
    };
    line.push_str(&format!(" · {time} {}", html(&author(message, contact))));
    if let Some(caption) = attachment
        .caption
        .as_deref()
        .filter(|caption| !caption.is_empty())
    {
        line.push_str(&format!(" · {}", html(&set_off(&truncate(caption, 1_000)))));
    }
    Block {
        html: line,
        ends: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_counted() {
        let text = "<&\"'>".repeat(20_000);
        let blocks = Block::plain(&text, Some("m1"));
        assert!(
            blocks
                .iter()
                .all(|block| utf16_len(&block.html) <= MAX_TEXT - FRAME)
        );
        let whole: String = blocks
            .iter()
            .map(|block| handoffd_contract::text::plain(&block.html))
            .collect();
        assert_eq!(whole, text);
        let ends: Vec<_> = blocks
            .iter()
            .filter_map(|block| block.ends.clone())
            .collect();
        assert_eq!(
            (ends, blocks.last().and_then(|b| b.ends.clone())),
            (vec!["m1".to_owned()], Some("m1".into()))
        );
    }

    #[test]
    fn a_body_fits_one_note() {
        let blocks: Vec<Block> = (0..400)
            .flat_map(|n| Block::plain(&format!("{n} {}", "é<".repeat(300)), None))
            .collect();
        let bodies = pack(blocks.clone());
        assert!(bodies.len() > 1);
        assert_eq!(bodies.concat(), blocks);
        for body in bodies {
            assert!(
                utf16_len(&note(Some(&"T".repeat(500)), &body, "0123456789abcdef0123")) <= MAX_TEXT
            );
        }
    }

    #[test]
    fn words_that_we_do_not_know_stay() {
        let mut handoff = Handoff::default();
        handoff.handoff.sentiment = Some("Furious".into());
        handoff.handoff.reasons = vec!["Wants a refund".into(), "VIP".into()];
        let lines = reasoning(&handoff);
        assert!(lines.contains(&("Reasons".into(), "Wants a refund; VIP".into())));
        assert!(lines.contains(&("Sentiment".into(), "Furious".into())));
        handoff.handoff.sentiment = Some("ANGRY".into());
        assert!(reasoning(&handoff).contains(&("Sentiment".into(), "ANGRY (negative)".into())));
    }
}
