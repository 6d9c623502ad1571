//! Attachments. One that cannot be read is still shown as one: without its bytes, a line names it.

use std::collections::HashSet;

use base64::Engine as _;
use base64::alphabet::{STANDARD as ALPHABET, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Attachment, Source};
use serde_json::Value;

use super::shape::At;

/// The attachments, and how many there are beyond the limit.
pub(super) fn files(at: &At<'_, '_>) -> (Vec<Attachment>, usize) {
    let items = at.list();
    let max = at.context().limits.max_attachments;
    let more = items.len().saturating_sub(max);
    if more > 0 {
        at.cut(&format!(
            "only the first {max} were taken: send less, or raise intake.limits.max_attachments"
        ));
    }
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for (index, item) in items.iter().take(max).enumerate() {
        let mut file = attachment(item, index);
        if !seen.insert(file.id.clone()) {
            item.field("id")
                .read_as("another attachment has the same id: give every attachment its own");
            file.id = format!("{}~{index}", file.id);
            seen.insert(file.id.clone());
        }
        files.push(file);
    }
    (files, more)
}

fn attachment(at: &At<'_, '_>, index: usize) -> Attachment {
    let mut file = Attachment {
        id: format!("{index}"),
        kind: AttachmentKind::Other,
        mime: None,
        name: None,
        size: None,
        caption: None,
        transcript: None,
        source: None,
    };
    if at.object().is_none() {
        file.source = at.url().map(|url| Source::Url { url });
        return file;
    }
    match at.field("id").id() {
        Some(id) => file.id = id,
        None => at
            .field("id")
            .read_as("another was made: write the attachment's id as text"),
    }
    file.mime = at.field("mime").label_text();
    file.kind = kind(at, file.mime.as_deref());
    file.name = at.field("name").label_text();
    file.size = size(&at.field("size"));
    file.caption = at.field("caption").text();
    file.transcript = at.field("transcript").text();
    file.source = source(at);
    file
}

/// What it is, by its word, else by its MIME type.
fn kind(at: &At<'_, '_>, mime: Option<&str>) -> AttachmentKind {
    let by_mime = || match mime.and_then(|mime| mime.split(['/', ';']).next()) {
        Some("image") => AttachmentKind::Image,
        Some("audio") => AttachmentKind::Audio,
        Some("video") => AttachmentKind::Video,
        Some("application" | "text") => AttachmentKind::Document,
        _ => AttachmentKind::Other,
    };
    let at = at.field("kind");
    match at.word().as_deref() {
        Some("image" | "photo" | "picture") => AttachmentKind::Image,
        Some("audio") => AttachmentKind::Audio,
        Some("voice" | "voice_note" | "voice_message" | "ptt") => AttachmentKind::Voice,
        Some("video" | "gif") => AttachmentKind::Video,
        Some("document" | "pdf") => AttachmentKind::Document,
        Some("sticker") => AttachmentKind::Sticker,
        Some("other" | "file") => by_mime(),
        None if !at.given() => AttachmentKind::Other,
        _ => {
            at.read_as("it was read by its MIME type: write image, audio, voice, video, document, sticker or other");
            by_mime()
        }
    }
}

fn size(at: &At<'_, '_>) -> Option<u64> {
    if at.is_nothing() {
        return None;
    }
    let size = at.scalar().and_then(|text| text.parse().ok());
    if size.is_none() {
        at.lost("write the bytes as a whole number");
    }
    size
}

/// `from = "target"` is handoffd's own: it is fetched with a CRM's sign-in, which nobody outside may
/// make use of.
fn source(file: &At<'_, '_>) -> Option<Source> {
    let at = file.field("source");
    let beside = file.field("url");
    if !at.given() && beside.given() {
        let url = beside.url()?;
        beside.read_as("it was read as the source: write source = { from: url, url }");
        return Some(Source::Url { url });
    }
    match at.value()? {
        Value::String(_) => {
            let url = at.url()?;
            at.read_as("it was read as an address: write an object with from and url");
            return Some(Source::Url { url });
        }
        Value::Object(_) => {}
        _ => {
            at.lost("write an object with the field from");
            return None;
        }
    }
    let from = at.field("from");
    let word = from.word().or_else(|| {
        let places = [("url", "url"), ("media_id", "whatsapp"), ("data", "inline")];
        let found = places.iter().find(|(field, _)| at.field(field).given());
        found
            .filter(|_| !from.given())
            .map(|(_, word)| (*word).to_owned())
    });
    match word.as_deref() {
        Some("url") => at.field("url").url().map(|url| Source::Url { url }),
        Some("whatsapp") => {
            let media_id = at.field("media_id").id();
            if media_id.is_none() {
                at.field("media_id")
                    .lost("write WhatsApp's media id as text");
            }
            media_id.map(|media_id| Source::Whatsapp { media_id })
        }
        Some("inline") => inline(&at.field("data")),
        _ => {
            from.lost("write one of url, whatsapp, inline");
            None
        }
    }
}

/// Base64, with padding or without, in either alphabet, also as the address `data:…;base64,…`.
fn inline(at: &At<'_, '_>) -> Option<Source> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = at.value().and_then(Value::as_str).unwrap_or_default();
    if !text.is_empty() && STANDARD.decode(text).is_ok() {
        return Some(Source::Inline {
            data: text.to_owned(),
        });
    }
    let bare = match text.split_once(";base64,") {
        Some((head, rest)) if head.starts_with("data:") => rest,
        _ => text,
    };
    let bare: String = bare.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = [ALPHABET, URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(&bare).ok())
        .filter(|bytes| !bytes.is_empty());
    match bytes {
        Some(bytes) => {
            at.read_as("it was read tolerantly: write the file's bytes in base64, with padding");
            Some(Source::Inline {
                data: STANDARD.encode(bytes),
            })
        }
        None => {
            at.lost("write the file's bytes in base64, with padding");
            None
        }
    }
}
