//! Rows as replies: which of them may reach the customer, and as what.

use handoffd_contract::event::{AttachmentKind, RepReply};
use handoffd_contract::marker::Marker;
use handoffd_contract::{Attachment, Inbound, InboundKind, Source, text};
use serde_json::Value;

use super::{at, heard, id, string};
use crate::Creatio;
use crate::words::{self, OURS};

/// Why an activity that is otherwise a reply is none by itself.
pub(super) const NO_TEXT: &str = "an activity without text";

/// Why an activity that was surely meant as a reply is none.
pub(super) const NEAR_MISS: &str = "an activity that begins almost like a reply";

/// Who decided that an activity is a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The customer's business process, by calling us.
    ByProcess,
    /// Nobody; the settings do.
    BySettings,
}

impl Creatio {
    /// An activity as a reply, or why it is none.
    pub(super) fn reply(&self, case: &str, row: &Value, chosen: Chosen) -> Result<Inbound, String> {
        let activity = id(row, "Id").ok_or("an activity without id")?;
        if string(row, "GlobalActivityID").starts_with(OURS) || self.is_integration(row) {
            return Err("our own activity".into());
        }
        if chosen == Chosen::BySettings
            && !id(row, "TypeId").is_some_and(|kind| self.settings.reply_types.contains(&kind))
        {
            return Err("an activity that is no reply type".into());
        }
        if !self.is_finished(id(row, "StatusId").as_deref()) {
            return Err("an activity that is not completed".into());
        }
        let (title, details) = (
            humane(string(row, "Title")),
            humane(string(row, "DetailedResult")),
        );
        let body = humane(string(row, "Body"));
        let text = match &self.settings.reply_marker {
            Marker::All => [details, body, title]
                .into_iter()
                .find(|text| !text.is_empty()),
            marker => {
                match (marker.reply(&details), marker.reply(&title)) {
                    (Some(text), _) => Some(text),
                    // A marked title alone says that the details are the reply.
                    (None, Some(title)) => Some(if title.is_empty() { details } else { title }),
                    (None, None) if [&details, &title].iter().any(|t| marker.is_near_miss(t)) => {
                        return Err(NEAR_MISS.into());
                    }
                    (None, None) => return Err("an activity without the reply marker".into()),
                }
            }
        };
        let text = text.filter(|text| !text.is_empty()).ok_or(NO_TEXT)?;
        Ok(heard(
            &format!("activity/{activity}"),
            case,
            &activity,
            at(row),
            said(&activity, Some(text), Vec::new()),
        ))
    }

    /// What a rep knows the activity by: its first words, and when it was written.
    pub(crate) fn name_of(&self, row: &Value) -> Option<String> {
        let (title, details) = (
            humane(string(row, "Title")),
            humane(string(row, "DetailedResult")),
        );
        let said = [&details, &title]
            .into_iter()
            .map(|text| self.unmarked(text).unwrap_or_else(|| text.clone()))
            .find(|text| !text.is_empty())?;
        Some(words::named(&said, at(row)?))
    }

    /// Whether a row's author is the integration user.
    pub(super) fn is_integration(&self, row: &Value) -> bool {
        let author = id(row, "CreatedById");
        author.is_some() && author == self.settings.integration_contact
    }

    /// A text without the marker; `None` when it must have one and has not.
    pub(super) fn unmarked(&self, text: &str) -> Option<String> {
        self.settings.reply_marker.reply(text)
    }

    /// What a rep is told, once, of something that was surely meant as a reply and was not sent.
    pub(super) fn hint(&self, case: &str, kind: &str, row: &Value) -> Option<Inbound> {
        let (record, prefix) = (id(row, "Id")?, self.settings.reply_marker.prefix()?);
        let detail = format!(
            "It begins almost like a reply to the customer, so nothing was sent. Begin it with {prefix} and a space."
        );
        let told = InboundKind::NotSent {
            message_id: record.clone(),
            detail,
        };
        let name = format!("{kind}/{record}/hint");
        Some(heard(&name, case, &record, at(row), told))
    }

    /// Whether an activity with this status is written to its end, as far as the settings ask.
    pub(super) fn is_finished(&self, status: Option<&str>) -> bool {
        !self.settings.reply_when_completed || status == Some(&self.settings.activity_status)
    }

    pub(super) fn file(
        &self,
        case: &str,
        file: &str,
        name: &str,
        size: Option<&Value>,
        created: &str,
    ) -> Inbound {
        let (kind, mime) = kind_of(name);
        let attachment = Attachment {
            id: file.to_owned(),
            kind,
            mime: mime.map(str::to_owned),
            name: Some(name.to_owned()).filter(|name| !name.trim().is_empty()),
            size: size.and_then(Value::as_u64).filter(|size| *size > 0),
            caption: None,
            transcript: None,
            source: Some(Source::Target {
                target: self.name.clone(),
                url: format!("{}/Data", self.record("ActivityFile", file)),
            }),
        };
        heard(
            &format!("file/{file}"),
            case,
            file,
            created.parse().ok(),
            said(file, None, vec![attachment]),
        )
    }
}

/// Plain text from what may be rich text. Only what is clearly HTML is taken for it: a rep may well
/// write `a < b`.
pub(super) fn humane(raw: &str) -> String {
    let lower = raw.to_ascii_lowercase();
    let tags = ["</", "<br", "<p>", "<p ", "<div", "<span", "<img"];
    let entities = ["&nbsp;", "&amp;", "&lt;", "&gt;", "&quot;", "&#"];
    let html = tags
        .iter()
        .chain(&entities)
        .any(|mark| lower.contains(mark));
    if html {
        text::plain(raw)
    } else {
        raw.trim().to_owned()
    }
}

/// Kind and MIME type by the file name's ending.
pub(super) fn kind_of(name: &str) -> (AttachmentKind, Option<&'static str>) {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .unwrap_or_default();
    match ending.as_str() {
        "jpg" | "jpeg" => (AttachmentKind::Image, Some("image/jpeg")),
        "png" => (AttachmentKind::Image, Some("image/png")),
        "mp4" => (AttachmentKind::Video, Some("video/mp4")),
        "3gp" => (AttachmentKind::Video, Some("video/3gpp")),
        "mp3" => (AttachmentKind::Audio, Some("audio/mpeg")),
        "m4a" => (AttachmentKind::Audio, Some("audio/mp4")),
        "ogg" => (AttachmentKind::Audio, Some("audio/ogg")),
        "amr" => (AttachmentKind::Audio, Some("audio/amr")),
        "pdf" => (AttachmentKind::Document, Some("application/pdf")),
        "txt" => (AttachmentKind::Document, Some("text/plain")),
        "doc" => (AttachmentKind::Document, Some("application/msword")),
        "docx" => (
            AttachmentKind::Document,
            Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ),
        "xlsx" => (
            AttachmentKind::Document,
            Some("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ),
        _ => (AttachmentKind::Document, None),
    }
}

pub(super) fn said(
    message_id: &str,
    text: Option<String>,
    attachments: Vec<Attachment>,
) -> InboundKind {
    InboundKind::Replied(RepReply {
        target: String::new(),
        message_id: message_id.to_owned(),
        author: None,
        text,
        attachments,
        options: Vec::new(),
        template: None,
        quotes: None,
    })
}
