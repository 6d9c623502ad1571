//! The files that WhatsApp takes: types, kinds and sizes.
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media>

use handoffd_contract::Attachment;
use handoffd_contract::event::AttachmentKind;

/// The kinds of media that WhatsApp has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// A voice note.
    Voice,
    /// A document.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// The API's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Video => "video",
            MediaKind::Audio | MediaKind::Voice => "audio",
            MediaKind::Document => "document",
            MediaKind::Sticker => "sticker",
        }
    }

    /// The most bytes.
    pub(crate) fn max_bytes(self) -> u64 {
        match self {
            MediaKind::Image => 5 << 20,
            MediaKind::Video | MediaKind::Audio | MediaKind::Voice => 16 << 20,
            MediaKind::Document => 100 << 20,
            MediaKind::Sticker => 500 << 10,
        }
    }

    /// Whether a caption can go with it.
    pub(crate) fn has_caption(self) -> bool {
        matches!(
            self,
            MediaKind::Image | MediaKind::Video | MediaKind::Document
        )
    }
}

/// The type that WhatsApp is told: as given, else by the name's ending, else by the kind.
pub(crate) fn mime(attachment: &Attachment) -> Option<String> {
    let given = attachment.mime.as_deref().unwrap_or_default();
    let given = given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let given = match given.as_str() {
        "image/jpg" => "image/jpeg".to_owned(),
        "audio/mp3" => "audio/mpeg".to_owned(),
        "audio/m4a" | "audio/x-m4a" => "audio/mp4".to_owned(),
        _ => given,
    };
    if !given.is_empty() && given != "application/octet-stream" {
        return Some(given);
    }
    let name = attachment.name.as_deref().unwrap_or_default();
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .unwrap_or_default();
    let by_name = ENDINGS
        .iter()
        .find(|(known, _)| *known == ending)
        .map(|(_, mime)| *mime);
    let by_kind = match attachment.kind {
        AttachmentKind::Image => Some("image/jpeg"),
        AttachmentKind::Video => Some("video/mp4"),
        AttachmentKind::Voice => Some("audio/ogg"),
        AttachmentKind::Sticker => Some("image/webp"),
        AttachmentKind::Audio | AttachmentKind::Document | AttachmentKind::Other => None,
    };
    by_name.or(by_kind).map(str::to_owned)
}

const ENDINGS: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("mp4", "video/mp4"),
    ("3gp", "video/3gpp"),
    ("aac", "audio/aac"),
    ("amr", "audio/amr"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("txt", "text/plain"),
    ("pdf", "application/pdf"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("ppt", "application/vnd.ms-powerpoint"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
];

/// The kind under which WhatsApp takes a type, or `None` when it does not.
pub(crate) fn media_kind(mime: &str, kind: AttachmentKind) -> Option<MediaKind> {
    match mime {
        "image/jpeg" | "image/png" => Some(MediaKind::Image),
        "video/mp4" | "video/3gpp" => Some(MediaKind::Video),
        "audio/ogg" if kind == AttachmentKind::Voice => Some(MediaKind::Voice),
        "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => {
            Some(MediaKind::Audio)
        }
        "image/webp" => Some(MediaKind::Sticker),
        other => ENDINGS
            .iter()
            .any(|(_, known)| {
                *known == other && (other.starts_with("application/") || other.starts_with("text/"))
            })
            .then_some(MediaKind::Document),
    }
}
