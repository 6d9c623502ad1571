//! Files: uploaded privately into the handoff's own folder, then attached by a note.

use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{Body, text};
use handoffd_contract::{
    Contact, HttpCall, Item, MediaProblem, MediaRef, Message, Method, Part, Repeat, Step, Stop, ids,
};
use serde_json::json;

use super::notes::{Kind, Note};
use super::{Filed, Plan};
use crate::facts;
use crate::words;

/// Files of one note.
pub const PER_NOTE: usize = 20;

/// Uploads side by side.
const AT_ONCE: usize = 6;

/// The files of messages. Stickers are said in the transcript and not attached.
pub fn of<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<Filed<'a>> {
    let mut seen = std::collections::BTreeSet::new();
    messages
        .flat_map(|message| {
            message
                .attachments
                .iter()
                .map(move |attachment| (message, attachment))
        })
        .filter(|(_, attachment)| attachment.kind != AttachmentKind::Sticker)
        .filter(|(message, attachment)| seen.insert((message.id.as_str(), attachment.id.as_str())))
        .collect()
}

impl Plan<'_> {
    /// The file's id in HubSpot, or why it is not there; `None` while that is open.
    pub(super) fn uploaded(
        &self,
        message: &Message,
        attachment: &handoffd_contract::Attachment,
    ) -> Option<Result<String, Stop>> {
        if attachment.source.is_none() {
            let gone = MediaProblem::Gone;
            return Some(Err(Stop::new(gone.reason(), gone.words())));
        }
        let fact = facts::upload(&message.id, &attachment.id);
        match self.known.refused(&fact) {
            Some((reason, why)) => Some(Err(Stop::new(reason, why))),
            None => Some(Ok(self.known.get(&fact)?.to_owned())),
        }
    }

    /// Uploads that are still to be done.
    pub(super) fn uploads(&self, files: &[Filed<'_>]) -> Vec<Step> {
        let open = files
            .iter()
            .filter(|(message, attachment)| self.uploaded(message, attachment).is_none());
        open.take(AT_ONCE)
            .map(|(message, attachment)| self.upload(message, attachment))
            .collect()
    }

    /// A repeat in the same folder returns the file that is there.
    /// <https://developers.hubspot.com/docs/api-reference/files-files-v3/guide>
    fn upload(&self, message: &Message, attachment: &handoffd_contract::Attachment) -> Step {
        let media = MediaRef {
            attachment: attachment.clone(),
            max_bytes: self.settings.max_file_bytes,
        };
        let options = json!({
            "access": "PRIVATE",
            "overwrite": false,
            "duplicateValidationScope": "EXACT_FOLDER",
            "duplicateValidationStrategy": "RETURN_EXISTING",
        });
        let mut call = HttpCall::new(Method::Post, self.settings.paths.files());
        call.body = Body::Multipart(vec![
            Part::file("file", media),
            Part::text("fileName", name(message, attachment)),
            Part::text(
                "folderPath",
                format!("{}/{}", self.settings.folder, self.handoff_id()),
            ),
            Part::text("options", options.to_string()),
        ]);
        let fact = facts::upload(&message.id, &attachment.id);
        Step::new("file.upload", Repeat::Keyed, call)
            .claim(&fact)
            .context(json!({"fact": fact}))
    }

    /// The notes that attach a handoff's files, from this place on among its records.
    pub(super) fn file_notes(
        &self,
        item: &Item,
        contact: &Contact,
        files: &[Filed<'_>],
        from: usize,
    ) -> Vec<Note> {
        let chunks = files.chunks(PER_NOTE);
        let count = chunks.len();
        let note = |(n, chunk): (usize, &[Filed<'_>])| {
            let title = if count > 1 {
                format!("Files (part {} of {count})", n + 1)
            } else {
                "Files".to_owned()
            };
            let line = |(message, attachment): &Filed<'_>| {
                let problem = self.uploaded(message, attachment).and_then(Result::err);
                let problem = problem.as_ref().map(|stop| stop.message.as_str());
                words::file(message, attachment, contact, &self.settings.zone, problem)
            };
            let blocks = chunk.iter().map(line).collect();
            let mut note = Note::new(
                facts::note(&item.id, &format!("f{n}")),
                Kind::Note,
                &title,
                blocks,
            )
            .at(from + n);
            self.attach(&mut note, chunk);
            note
        };
        chunks.enumerate().map(note).collect()
    }

    /// Attaches files to a note.
    pub(super) fn attach(&self, note: &mut Note, files: &[Filed<'_>]) {
        for (message, attachment) in files {
            if let Some(file) = self.uploaded(message, attachment) {
                note.attach(facts::file(&message.id, &attachment.id), file);
            }
        }
    }
}

/// A name that no other file of the folder has, and that is still the file's own.
fn name(message: &Message, attachment: &handoffd_contract::Attachment) -> String {
    let full = text::truncate(&attachment.file_name(), 100);
    let key: String = ids::short(&[&message.id, &attachment.id])
        .chars()
        .take(6)
        .collect();
    match full.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => {
            format!("{stem}-{key}.{extension}")
        }
        _ => format!("{full}-{key}"),
    }
}
