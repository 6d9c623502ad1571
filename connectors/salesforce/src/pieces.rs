//! A handoff or message as a row of texts and files, in the order in which the thread shows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Attachment, Handoff, Item, Known, Message, Source, ids, text};

use crate::lane;
use crate::settings::{Settings, Transcript};
use crate::wording;

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
    pub(crate) learn: Vec<(String, String)>,
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
    let fresh: Vec<&Message> = handoff
        .transcript
        .iter()
        .filter(|m| {
            known
                .get(&lane::said(&m.id))
                .is_none_or(|by| by.starts_with(&ours))
        })
        .collect();
    let head = wording::head(handoff, again);
    let lines = wording::transcript(&fresh, &handoff.contact);
    let all: Vec<String> = std::iter::once(head.clone()).chain(lines).collect();
    let refused = known.is(&format!("transcript/{}", item.id));
    let texts = text::pack(&all, "\n", s.message_limit);
    let as_file = !refused
        && !fresh.is_empty()
        && match s.transcript {
            Transcript::Messages => false,
            Transcript::File => true,
            Transcript::Auto { max_parts } => texts.len() > max_parts,
        };
    let mut pieces = if as_file {
        transcript_files(s, item, &key, &head, &all)
    } else {
        texts
            .into_iter()
            .enumerate()
            .map(|(n, text)| Piece {
                fact: lane::part(&key, &n.to_string()),
                content: Content::Text(text),
                learn: Vec::new(),
            })
            .collect()
    };
    if let Some(last) = pieces.last_mut() {
        last.learn = fresh
            .iter()
            .map(|m| (lane::said(&m.id), ours.clone()))
            .collect();
    }
    let files: Vec<(&str, &Attachment)> = fresh
        .iter()
        .flat_map(|m| m.attachments.iter().map(|a| (m.id.as_str(), a)))
        .collect();
    pieces.extend(attachments(s, known, &key, &files));
    pieces
}

/// The head and the transcript as text files; the first one's caption is the head.
fn transcript_files(
    s: &Settings,
    item: &Item,
    key: &str,
    head: &str,
    all: &[String],
) -> Vec<Piece> {
    text::pack(all, "\n", FILE_UNITS)
        .into_iter()
        .enumerate()
        .map(|(n, text)| {
            let number = if n == 0 {
                String::new()
            } else {
                format!("-{}", n + 1)
            };
            Piece {
                fact: lane::part(key, &format!("file-{n}")),
                content: Content::File {
                    attachment: Box::new(Attachment {
                        id: format!("transcript{number}"),
                        kind: AttachmentKind::Document,
                        mime: Some("text/plain".into()),
                        name: Some(format!("whatsapp-conversation{number}.txt")),
                        size: Some(text.len() as u64),
                        caption: None,
                        transcript: None,
                        source: Some(Source::Inline {
                            data: STANDARD.encode(text),
                        }),
                    }),
                    caption: (n == 0).then(|| text::truncate(head, s.message_limit)),
                    fallback: format!("transcript/{}", item.id),
                },
                learn: Vec::new(),
            }
        })
        .collect()
}

/// A later message: its text, its files, and a line for each file that could not be shown. Empty
/// when there is nothing to show.
pub(crate) fn message(s: &Settings, known: &Known, message: &Message) -> Vec<Piece> {
    let text = wording::message(message);
    let texts = if text.trim().is_empty() {
        Vec::new()
    } else {
        text::split(&text, s.message_limit)
    };
    let mut pieces: Vec<Piece> = texts
        .into_iter()
        .enumerate()
        .map(|(n, text)| Piece {
            fact: lane::part(&message.id, &n.to_string()),
            content: Content::Text(text),
            learn: Vec::new(),
        })
        .collect();
    let files: Vec<(&str, &Attachment)> = message
        .attachments
        .iter()
        .map(|a| (message.id.as_str(), a))
        .collect();
    pieces.extend(attachments(s, known, &message.id, &files));
    // The last piece as far as is known now: when it is a file that is not taken, a line follows,
    // and that is then the last.
    if let Some(last) = pieces.last_mut() {
        last.learn
            .push((lane::said(&message.id), message.id.clone()));
    }
    pieces
}

/// Files in order, then the lines for those that could not be shown. Those are known only when all
/// files before them are settled, which the order of the row sees to.
fn attachments(
    s: &Settings,
    known: &Known,
    key: &str,
    files: &[(&str, &Attachment)],
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = Vec::new();
    let mut learn = Vec::new();
    for (message, attachment) in files
        .iter()
        .filter(|(_, a)| a.kind != AttachmentKind::Sticker)
    {
        let fact = lane::file(message, &attachment.id);
        let lost = match known.get(&fact) {
            Some(value) => value.strip_prefix('!').map(|_| value),
            None if attachment.source.is_none() => Some(wording::GONE),
            None => None,
        };
        match lost {
            Some(why) => {
                lines.push(wording::missing_file(attachment, why));
                learn.push((fact, why.to_owned()));
            }
            None => pieces.push(Piece {
                fact: fact.clone(),
                content: Content::File {
                    attachment: Box::new((*attachment).clone()),
                    caption: wording::caption(attachment, s.message_limit),
                    fallback: fact,
                },
                learn: Vec::new(),
            }),
        }
    }
    let lines = text::pack(&lines, "\n", s.message_limit);
    let count = lines.len();
    pieces.extend(lines.into_iter().enumerate().map(|(n, text)| Piece {
        fact: lane::part(key, &format!("missing-{n}")),
        content: Content::Text(text),
        learn: if n + 1 == count {
            learn.clone()
        } else {
            Vec::new()
        },
    }));
    pieces
}
