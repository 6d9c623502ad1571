//! What a rep's reply becomes on WhatsApp: one message per file, then the text, its options, or the
//! template.

use std::collections::BTreeSet;

use handoffd_contract::event::{ReplyOption, Template};
use handoffd_contract::text::{split, utf16_len};
use handoffd_contract::{Attachment, event::RepReply};
use serde_json::{Value, json};

use crate::kinds::{MediaKind, media_kind, mime};
use crate::settings::{Fallback, Settings};

/// Limits in UTF-16 units, the larger of the two ways in which WhatsApp may count.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages>
pub(crate) const TEXT: usize = 4_096;
const CAPTION: usize = 1_024;
const BUTTON_BODY: usize = 1_024;
const BUTTON_TITLE: usize = 20;
const BUTTON_ID: usize = 256;
const ROW_TITLE: usize = 24;
const ROW_ID: usize = 200;
const BUTTONS: usize = 3;
const ROWS: usize = 10;
/// A template's body has 1,024 characters with its parameters; this leaves room for its own words.
pub(crate) const PARAMETERS: usize = 900;

/// The slot of a text that went as a template because the window was closed.
pub(crate) const FALLBACK_SLOT: &str = "t";

/// One WhatsApp message of a reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Names the part inside its reply, for as long as the reply exists.
    pub(crate) slot: String,
    /// What it is.
    pub(crate) content: Content,
    /// The message of the customer that it answers, by WhatsApp's id.
    pub(crate) quotes: Option<String>,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A file, with the caption that it can carry.
    File {
        /// The file; its MIME type is the one that WhatsApp is told.
        file: Attachment,
        /// How WhatsApp shows it; `None` for a type that it does not take.
        kind: Option<MediaKind>,
        /// At most 1,024 units, and only where the kind has one.
        caption: Option<String>,
    },
    /// Text.
    Text(String),
    /// Text with something to choose, as the API's `interactive` object.
    Choice(Value),
    /// A template.
    Template(Template),
}

impl Part {
    /// Whether WhatsApp takes it only inside the window.
    pub(crate) fn is_free(&self) -> bool {
        !matches!(self.content, Content::Template(_))
    }

    /// A name for it in a sentence to the rep.
    pub(crate) fn label(&self) -> String {
        match &self.content {
            Content::File { file, .. } => {
                format!(
                    "The file {}",
                    handoffd_contract::text::truncate(&file.file_name(), 80)
                )
            }
            Content::Text(_) | Content::Choice(_) => "The message".to_owned(),
            Content::Template(template) => format!("The template {}", template.name),
        }
    }
}

/// The messages of a reply, in order: files, then text and options, or the template.
pub(crate) fn parts(reply: &RepReply, settings: &Settings) -> Vec<Part> {
    let mut contents = Vec::new();
    for attachment in &reply.attachments {
        contents.extend(file(attachment, settings.text_limit()));
    }
    match &reply.template {
        Some(template) => contents.push(Content::Template(template.clone())),
        None => contents.extend(words(reply, settings)),
    }
    // The words are what answers; without any, the first file does.
    let is_words = |content: &Content| matches!(content, Content::Text(_) | Content::Choice(_));
    let answers = contents.iter().position(is_words).unwrap_or(0);
    let part = |(n, content)| Part {
        quotes: reply
            .quotes
            .clone()
            .filter(|_| n == answers && !matches!(content, Content::Template(_))),
        slot: format!("{n}"),
        content,
    };
    contents.into_iter().enumerate().map(part).collect()
}

/// The reply's text and options as a template's parameter, where the template carries one. Parameters
/// may hold no line breaks, tabs or more than four spaces in a row (132018).
fn parameter(reply: &RepReply, template: &Fallback) -> Option<String> {
    let text = reply.text.as_deref().unwrap_or_default();
    let listed = numbered(text, &reply.options);
    let flat = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    let carries = template
        .parameters
        .iter()
        .any(|parameter| parameter.contains("{reply}"));
    (carries && !flat.is_empty() && reply.template.is_none()).then_some(flat)
}

/// Whether the template would stand for the reply's text if that were shorter.
pub(crate) fn is_too_long(reply: &RepReply, template: &Fallback) -> bool {
    parameter(reply, template).is_some_and(|flat| utf16_len(&flat) > PARAMETERS)
}

/// The template that can stand for the reply's text, if there is one that fits.
pub(crate) fn fallback(
    reply: &RepReply,
    template: &Fallback,
    language: Option<&str>,
) -> Option<Part> {
    let flat = parameter(reply, template).filter(|flat| utf16_len(flat) <= PARAMETERS)?;
    let template = Template {
        name: template.name.clone(),
        language: template.language(language).to_owned(),
        parameters: template
            .parameters
            .iter()
            .map(|parameter| parameter.replace("{reply}", &flat))
            .collect(),
    };
    Some(Part {
        slot: FALLBACK_SLOT.to_owned(),
        content: Content::Template(template),
        quotes: None,
    })
}

/// A file, and its caption by itself where the file cannot carry it.
fn file(attachment: &Attachment, limit: usize) -> Vec<Content> {
    let mime = mime(attachment);
    let kind = mime
        .as_deref()
        .and_then(|mime| media_kind(mime, attachment.kind));
    let caption = attachment
        .caption
        .clone()
        .filter(|caption| !caption.trim().is_empty());
    let carried = kind.is_some_and(MediaKind::has_caption);
    let (caption, apart) = match caption {
        Some(caption) if carried && utf16_len(&caption) <= CAPTION => (Some(caption), None),
        other => (None, other),
    };
    let mut file = attachment.clone();
    file.mime = mime.or(file.mime);
    let mut contents = vec![Content::File {
        file,
        kind,
        caption,
    }];
    if let Some(caption) = apart {
        contents.extend(split(&caption, limit).into_iter().map(Content::Text));
    }
    contents
}

fn words(reply: &RepReply, settings: &Settings) -> Vec<Content> {
    let limit = settings.text_limit();
    let text = reply.text.as_deref().unwrap_or_default().trim();
    if reply.options.is_empty() {
        return split(text, limit)
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .map(Content::Text)
            .collect();
    }
    let text = if text.is_empty() {
        &settings.options_prompt
    } else {
        text
    };
    let mut pieces = split(text, limit);
    let last = pieces.pop().unwrap_or_default();
    let choice = buttons(&last, &reply.options)
        .or_else(|| list(&last, &reply.options, &settings.list_button))
        .filter(|_| settings.has_choices());
    let mut contents: Vec<Content> = pieces.into_iter().map(Content::Text).collect();
    match choice {
        Some(choice) => contents.push(Content::Choice(choice)),
        None => contents.extend(
            split(&numbered(&last, &reply.options), limit)
                .into_iter()
                .map(Content::Text),
        ),
    }
    contents
}

fn buttons(body: &str, options: &[ReplyOption]) -> Option<Value> {
    let titles: BTreeSet<&str> = options.iter().map(|option| option.title.trim()).collect();
    let fits = options.len() <= BUTTONS
        && titles.len() == options.len()
        && utf16_len(body) <= BUTTON_BODY
        && choosable(options, BUTTON_TITLE, BUTTON_ID);
    fits.then(|| {
        let buttons: Vec<Value> = options
            .iter()
            .map(|option| json!({"type": "reply", "reply": {"id": option.id, "title": option.title.trim()}}))
            .collect();
        json!({"type": "button", "body": {"text": body}, "action": {"buttons": buttons}})
    })
}

fn list(body: &str, options: &[ReplyOption], button: &str) -> Option<Value> {
    let fits = options.len() <= ROWS && choosable(options, ROW_TITLE, ROW_ID);
    fits.then(|| {
        let rows: Vec<Value> = options
            .iter()
            .map(|option| json!({"id": option.id, "title": option.title.trim()}))
            .collect();
        let action = json!({"button": button, "sections": [{"title": button, "rows": rows}]});
        json!({"type": "list", "body": {"text": body}, "action": action})
    })
}

/// Whether every option has a title and an id of its own within the limits.
fn choosable(options: &[ReplyOption], title: usize, id: usize) -> bool {
    let ids: BTreeSet<&str> = options.iter().map(|option| option.id.as_str()).collect();
    let within = |text: &str, max: usize| !text.trim().is_empty() && utf16_len(text) <= max;
    ids.len() == options.len()
        && options
            .iter()
            .all(|option| within(option.title.trim(), title) && within(&option.id, id))
}

fn numbered(text: &str, options: &[ReplyOption]) -> String {
    let mut lines: Vec<String> = Some(text.to_owned())
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    lines.extend(
        options
            .iter()
            .enumerate()
            .map(|(n, option)| format!("{}. {}", n + 1, option.title.trim())),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use handoffd_contract::event::AttachmentKind;

    use super::*;

    fn settings() -> Settings {
        Settings::read(&json!({"exit": "gateway", "exchange": "x", "routing_key": "k"}))
            .expect("valid")
    }

    fn reply(text: &str, titles: &[&str]) -> RepReply {
        let options = titles
            .iter()
            .enumerate()
            .map(|(n, title)| ReplyOption {
                id: format!("o{n}"),
                title: (*title).to_owned(),
            })
            .collect();
        RepReply {
            target: "crm".into(),
            message_id: "1".into(),
            author: None,
            text: Some(text.to_owned()),
            options,
            ..RepReply::default()
        }
    }

    fn attachment(
        name: &str,
        mime: Option<&str>,
        kind: AttachmentKind,
        caption: Option<String>,
    ) -> Attachment {
        Attachment {
            id: "a".into(),
            kind,
            mime: mime.map(str::to_owned),
            name: Some(name.into()),
            size: None,
            caption,
            transcript: None,
            source: None,
        }
    }

    #[test]
    fn options_become_buttons_then_a_list_then_numbers() {
        let kind = |reply: &RepReply| match &parts(reply, &settings())[..] {
            [
                Part {
                    content: Content::Choice(choice),
                    ..
                },
            ] => choice["type"].as_str().unwrap_or_default().to_owned(),
            [
                Part {
                    content: Content::Text(text),
                    ..
                },
            ] => text.clone(),
            other => format!("{} parts", other.len()),
        };
        assert_eq!(kind(&reply("?", &["Yes", "No"])), "button");
        assert_eq!(kind(&reply("?", &["Yes", "Yes"])), "list");
        assert_eq!(kind(&reply("?", &["a", "b", "c", "d"])), "list");
        assert_eq!(kind(&reply("?", &["twenty-one characters"])), "list");
        assert_eq!(kind(&reply(&"x".repeat(1_025), &["Yes"])), "list");
        assert_eq!(
            kind(&reply("?", &["twenty-five characters!!!"])),
            "?\n1. twenty-five characters!!!"
        );
        assert_eq!(
            kind(&reply(
                "?",
                &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]
            ))
            .lines()
            .count(),
            12
        );
        assert_eq!(kind(&reply(&"word ".repeat(1_000), &["Yes"])), "2 parts");
    }

    #[test]
    fn a_quote_stands_at_the_words_of_a_reply() {
        let quoting = |text: &str, files: usize| -> Vec<bool> {
            let file = attachment("a.png", None, AttachmentKind::Image, None);
            let reply = RepReply {
                attachments: vec![file; files],
                quotes: Some("wamid.IN1".into()),
                ..reply(text, &[])
            };
            let parts = parts(&reply, &settings());
            parts.iter().map(|part| part.quotes.is_some()).collect()
        };
        assert_eq!(quoting("Yes", 2), [false, false, true]);
        assert_eq!(quoting(&"word ".repeat(1_000), 0), [true, false]);
        assert_eq!(quoting("", 2), [true, false]);
    }

    #[test]
    fn a_caption_that_a_file_cannot_carry_follows_as_text() {
        let caption = Some("look".to_owned());
        let image = file(
            &attachment("a.png", None, AttachmentKind::Other, caption.clone()),
            TEXT,
        );
        assert!(matches!(
            &image[..],
            [Content::File {
                kind: Some(MediaKind::Image),
                caption: Some(_),
                ..
            }]
        ));
        let voice = file(
            &attachment(
                "a.ogg",
                Some("audio/ogg; codecs=opus"),
                AttachmentKind::Voice,
                caption,
            ),
            TEXT,
        );
        assert!(matches!(
            &voice[..],
            [
                Content::File {
                    kind: Some(MediaKind::Voice),
                    caption: None,
                    ..
                },
                Content::Text(_)
            ]
        ));
        let long = file(
            &attachment(
                "a.png",
                None,
                AttachmentKind::Image,
                Some("x".repeat(1_025)),
            ),
            TEXT,
        );
        assert_eq!(long.len(), 2);
        let archive = file(
            &attachment(
                "a.zip",
                Some("application/zip"),
                AttachmentKind::Document,
                None,
            ),
            TEXT,
        );
        assert!(matches!(&archive[..], [Content::File { kind: None, .. }]));
    }

    #[test]
    fn the_fallback_is_one_line_and_not_too_long() {
        let template = Fallback {
            name: "t".into(),
            language: "en_US".into(),
            languages: [("de".to_owned(), "de".to_owned())].into(),
            parameters: vec!["{reply}".into()],
        };
        let part = fallback(
            &reply("Hi\n\nAna,\tsee     this", &["Yes"]),
            &template,
            Some("de-AT"),
        )
        .expect("fits");
        let Content::Template(sent) = part.content else {
            panic!("no template")
        };
        assert_eq!(sent.parameters, ["Hi Ana, see this 1. Yes"]);
        assert_eq!(sent.language, "de");
        assert!(fallback(&reply(&"x".repeat(901), &[]), &template, None).is_none());
        assert!(fallback(&reply("  ", &[]), &template, None).is_none());
    }
}
