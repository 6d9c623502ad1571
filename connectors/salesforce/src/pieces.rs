//! A handoff or message as a row of texts and files, in the order in which the thread shows them.

use handoffd_contract::event::{AttachmentKind, AuthorKind};
use handoffd_contract::{
    Attachment, Handoff, Item, Known, MediaProblem, Message, Settled, Stop, ids, text,
};

use crate::settings::{Settings, Transcript};
use crate::{facts, kept, parts, words};

/// UTF-16 units of one transcript file: at most three bytes each, so that it stays below 5 MB.
const FILE_UNITS: usize = 1_200_000;

/// One text or file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    /// The fact that it is shown.
    pub(crate) fact: String,
    /// What it is.
    pub(crate) content: Content,
    /// What is known beside `fact` once it is shown.
    pub(crate) learn: Vec<(String, Settled)>,
}

/// What a piece is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A text.
    Text(String),
    /// A file, with a caption.
    File {
        attachment: Box<Attachment>,
        caption: Option<String>,
        /// The fact that stands for it when Salesforce does not take it.
        fallback: String,
    },
    /// What the customer chose among what a bot has offered.
    Choice {
        /// The message that offered it.
        offer: String,
        /// The option's id.
        option: String,
        /// The fact that stands for a choice that Salesforce does not take.
        fallback: String,
    },
}

/// A handoff: its head and the messages that the thread does not show, then their files, then a
/// line for each file that could not be shown.
pub(crate) fn handoff(
    s: &Settings,
    known: &Known,
    item: &Item,
    handoff: &Handoff,
    again: bool,
) -> Vec<Piece> {
    let key = ids::short(&[&item.id]);
    let ours = format!("{key}#");
    // What this handoff's own transcript shows stays part of it, so that the row is the same at
    // every planning.
    let transcript = kept::transcript(known, handoff);
    let fresh: Vec<&Message> = transcript
        .iter()
        .filter(|m| {
            known
                .get(&facts::said(&m.id))
                .is_none_or(|by| by.starts_with(&ours))
        })
        .collect();
    let limit = parts::limit(s, known, &key);
    let head = words::head(handoff, again, known);
    let lines = words::transcript(&fresh, &handoff.contact);
    let all: Vec<String> = std::iter::once(head.clone()).chain(lines).collect();
    let refused = known.is(&format!("transcript/{}", item.id));
    let texts = text::pack(&all, "\n", limit);
    let as_file = !refused
        && !fresh.is_empty()
        && match s.transcript {
            Transcript::Messages => false,
            Transcript::File => true,
            Transcript::Auto { max_parts } => texts.len() > max_parts,
        };
    let mut pieces = if as_file {
        transcript_files(known, item, &key, &head, &all, limit)
    } else {
        parts::texts(known, |n| facts::part(&key, &n.to_string()), texts)
    };
    parts::pin(&mut pieces, &key, limit);
    if let Some(last) = pieces.last_mut() {
        let said = fresh
            .iter()
            .map(|m| (facts::said(&m.id), Settled::from(&ours)));
        last.learn.extend(said);
    }
    let files: Vec<(&str, &Attachment)> = fresh
        .iter()
        .flat_map(|m| m.attachments.iter().map(|a| (m.id.as_str(), a)))
        .collect();
    pieces.extend(attachments(known, &key, &files, limit));
    pieces
}

/// What a completed handoff says of texts that could not be shown as texts.
pub(crate) fn notes(known: &Known, item: &Item) -> Vec<String> {
    let key = ids::short(&[&item.id]);
    let prefix = facts::part(&key, "");
    let lost = known.refused_under(&prefix).next().is_some();
    let as_file = known
        .under(&facts::cut(&prefix))
        .any(|(part, value)| value == facts::AS_FILE && !part.starts_with("file-"));
    let mut notes = Vec::new();
    if lost {
        notes.push("Salesforce did not take a text of the handoff; it is not in the thread".into());
    } else if as_file {
        notes.push("Salesforce found a text too long; it is in the thread as a file".into());
    }
    notes
}

/// A line of ours that tells the rep something, under its own fact.
pub(crate) fn note(known: &Known, fact: &str, words: String) -> Vec<Piece> {
    parts::texts(known, |_| fact.to_owned(), [words])
}

/// The head and the transcript as text files; the first one's caption is the head.
fn transcript_files(
    known: &Known,
    item: &Item,
    key: &str,
    head: &str,
    all: &[String],
    limit: usize,
) -> Vec<Piece> {
    let file = |(n, text): (usize, String)| {
        let fact = facts::part(key, &format!("file-{n}"));
        let number = if n == 0 {
            String::new()
        } else {
            format!("-{}", n + 1)
        };
        // The whole head is in the file, too.
        let caption = match known.get(&facts::cut(&fact)) {
            _ if n > 0 => None,
            None => Some(text::truncate(head, limit)),
            Some(facts::AS_FILE) => None,
            Some(limit) => Some(text::truncate(head, limit.parse().unwrap_or(usize::MAX))),
        };
        let mut attachment = parts::text_file(&format!("whatsapp-conversation{number}"), &text);
        attachment.id = format!("transcript{number}");
        Piece {
            fact,
            content: Content::File {
                attachment: Box::new(attachment),
                caption,
                fallback: format!("transcript/{}", item.id),
            },
            learn: Vec::new(),
        }
    };
    let texts = text::pack(all, "\n", FILE_UNITS);
    texts.into_iter().enumerate().map(file).collect()
}

/// A later message: its text, its files, and a line for each file that could not be shown. Empty
/// when there is nothing to show.
pub(crate) fn message(s: &Settings, known: &Known, target: &str, message: &Message) -> Vec<Piece> {
    if let Some(content) = choice(known, target, message) {
        return vec![Piece {
            fact: facts::part(&message.id, "0"),
            content,
            learn: vec![(facts::said(&message.id), Settled::from(&message.id))],
        }];
    }
    let limit = parts::limit(s, known, &message.id);
    let text = words::message(message);
    let texts = match message.author.kind {
        _ if text.trim().is_empty() => Vec::new(),
        AuthorKind::Customer => text::split_shown(&text, limit),
        _ => parts::marked(&text, limit),
    };
    let fact = |n: usize| facts::part(&message.id, &n.to_string());
    let mut pieces = parts::texts(known, fact, texts);
    let files: Vec<(&str, &Attachment)> = message
        .attachments
        .iter()
        .map(|a| (message.id.as_str(), a))
        .collect();
    pieces.extend(attachments(known, &message.id, &files, limit));
    if pieces.len() > 1 {
        parts::pin(&mut pieces, &message.id, limit);
    }
    // The last piece as far as is known now: when it is a file that is not taken, a line follows,
    // and that is then the last.
    if let Some(last) = pieces.last_mut() {
        last.learn
            .push((facts::said(&message.id), Settled::from(&message.id)));
    }
    pieces
}

/// The customer's choice as one, where a message of this target has offered it.
fn choice(known: &Known, target: &str, message: &Message) -> Option<Content> {
    let choice = message.choice.as_ref()?;
    let offer = message.quote.as_ref()?.reply.as_ref()?;
    let fallback = facts::choice(&message.id);
    let is_offered = offer.target == target && offer.options.contains(&choice.id);
    let is_taken = known.refused(&fallback).is_none();
    (is_offered && is_taken && message.attachments.is_empty()).then(|| Content::Choice {
        offer: offer.message_id.clone(),
        option: choice.id.clone(),
        fallback,
    })
}

/// Files in order, then the lines for those that could not be shown. Those are known only when all
/// files before them are settled, which the order of the row sees to.
fn attachments(
    known: &Known,
    key: &str,
    files: &[(&str, &Attachment)],
    limit: usize,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = Vec::new();
    let mut learn = Vec::new();
    for (message, attachment) in files
        .iter()
        .filter(|(_, a)| a.kind != AttachmentKind::Sticker)
    {
        let fact = facts::file(message, &attachment.id);
        let lost = match known.refused(&fact) {
            Some((reason, why)) => Some(Stop::new(reason, why)),
            None if attachment.source.is_none() && !known.is(&fact) => {
                Some(words::no_bytes(MediaProblem::Gone))
            }
            None => None,
        };
        match lost {
            Some(why) => {
                lines.push(words::missing_file(attachment, &why));
                learn.push((fact, why.into()));
            }
            None => {
                let caption = words::caption(attachment);
                // A caption that is too long follows the file as a text.
                let apart = known.is(&facts::cut(&fact))
                    || caption.as_ref().is_some_and(|c| text::utf16_len(c) > limit);
                let (beside, after) = if apart {
                    (None, caption)
                } else {
                    (caption, None)
                };
                pieces.push(Piece {
                    fact: fact.clone(),
                    content: Content::File {
                        attachment: Box::new(words::file(attachment)),
                        caption: beside,
                        fallback: fact,
                    },
                    learn: Vec::new(),
                });
                let name = format!("caption-{message}-{}", attachment.id);
                let texts = after.map(|words| parts::marked(&words, limit));
                pieces.extend(parts::texts(
                    known,
                    |n| facts::part(key, &format!("{name}-{n}")),
                    texts.into_iter().flatten(),
                ));
            }
        }
    }
    let lines = text::pack(&lines, "\n", limit);
    let fact = |n: usize| facts::part(key, &format!("missing-{n}"));
    let mut lines = parts::texts(known, fact, lines);
    if let Some(last) = lines.last_mut() {
        last.learn = learn;
    }
    pieces.extend(lines);
    pieces
}
