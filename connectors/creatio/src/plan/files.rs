//! Files of messages: a row of `CaseFile`, then its bytes. What cannot be attached becomes a line in
//! the message's activity, and a link where its source has an address.

use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{
    Attachment, Body, HttpCall, Known, MediaProblem, MediaRef, Message, Method, Reason, Repeat,
    Settled, Source, Step, Stop, Work, ids, text,
};
use serde_json::{Map, json};

use super::rows::Row;
use crate::facts::former;
use crate::words::{MEDIUM, message_text};
use crate::{Creatio, standard, wire};

/// Uploads of one plan. The engine bounds what runs at once.
pub(crate) const UPLOADS: usize = 6;

/// What is known about one attachment.
enum State<'a> {
    /// The transcript's line is all that it needs.
    Line,
    /// Its bytes shall be attached.
    Wanted,
    /// It cannot be attached, and that was clear before anything was sent.
    Refused(Stop),
    /// It could not be attached.
    Failed(&'a str),
    /// It is attached.
    Shown,
}

/// `<message id>/<attachment id>`, the end of every fact about an attachment.
fn key(message: &Message, attachment: &Attachment) -> String {
    format!("{}/{}", message.id, attachment.id)
}

/// The line that stands for a file that is not there.
fn remark(attachment: &Attachment, why: &str) -> String {
    format!(
        "[{} could not be attached: {why}]",
        text::named(&wire::one_line(&attachment.file_name(), 120))
    )
}

/// The address of an attachment that a person can open, if it has one.
fn address(attachment: &Attachment) -> Option<&str> {
    match &attachment.source {
        Some(Source::Url { url }) if wire::is_link(url) && text::utf16_len(url) <= MEDIUM => {
            Some(url)
        }
        _ => None,
    }
}

impl Creatio {
    fn state<'a>(&self, known: &'a Known, message: &Message, attachment: &Attachment) -> State<'a> {
        if attachment.kind == AttachmentKind::Sticker {
            return State::Line;
        }
        let fact = format!("file/{}", key(message, attachment));
        if let Some((_, why)) = known.refused(&fact) {
            return State::Failed(why);
        }
        if known.is(&fact) {
            return State::Shown;
        }
        if attachment.source.is_none() {
            let gone = MediaProblem::Gone;
            return State::Refused(Stop::new(gone.reason(), gone.words()));
        }
        if attachment
            .size
            .is_some_and(|size| size > self.settings.max_file_bytes)
        {
            let why = format!(
                "it is larger than the {} MB that this Creatio takes",
                self.settings.max_file_bytes / (1024 * 1024)
            );
            return State::Refused(Stop::new(Reason::TooLarge, why));
        }
        State::Wanted
    }

    /// Facts and lines for files that will never be attached, known before the message is written:
    /// they travel with the message's own activity.
    pub(crate) fn refused(
        &self,
        known: &Known,
        message: &Message,
    ) -> (Vec<(String, Settled)>, Vec<String>) {
        let mut claims = Vec::new();
        let mut remarks = Vec::new();
        for attachment in &message.attachments {
            if let State::Refused(why) = self.state(known, message, attachment) {
                let key = key(message, attachment);
                remarks.push(remark(attachment, &why.message));
                claims.push((format!("file/{key}"), why.into()));
                claims.push((format!("remarked/{key}"), "activity".into()));
            }
        }
        (claims, remarks)
    }

    /// Rows of files that shall be attached, and of links that stand in for those that could not.
    pub(crate) fn file_rows(
        &self,
        work: &Work,
        known: &Known,
        message: &Message,
        case: &str,
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        for attachment in &message.attachments {
            let key = key(message, attachment);
            match self.state(known, message, attachment) {
                State::Wanted => {
                    let name = wire::one_line(&attachment.file_name(), MEDIUM);
                    let id = ids::uuid(&["creatio", "file", &work.session.id, &work.target, &key]);
                    rows.push(file_row(
                        format!("filerow/{key}"),
                        id,
                        &name,
                        standard::FILE,
                        case,
                    ));
                }
                State::Refused(_) | State::Failed(_) => {
                    if let Some(url) = address(attachment) {
                        let id =
                            ids::uuid(&["creatio", "link", &work.session.id, &work.target, &key]);
                        rows.push(file_row(
                            format!("link/{key}"),
                            id,
                            url,
                            standard::LINK,
                            case,
                        ));
                    }
                }
                State::Line | State::Shown => {}
            }
        }
        rows
    }

    /// The session's link among the case's attachments.
    pub(crate) fn session_link(
        &self,
        work: &Work,
        known: &Known,
        url: Option<&str>,
        case: &str,
    ) -> Option<Row> {
        let url = url.filter(|url| {
            self.settings.session_link_file && wire::is_link(url) && text::utf16_len(url) <= MEDIUM
        })?;
        let mut key = vec!["creatio", "link", &work.session.id, &work.target];
        let mut fact = "link".to_owned();
        if !former(known).is_empty() {
            // A case in the place of another one has its own.
            key.push(case);
            fact = format!("link-on/{case}");
        }
        let id = ids::uuid(&key);
        let mut row = file_row(fact, id, url, standard::LINK, case);
        row.columns.insert("Notes".into(), "View session".into());
        Some(row)
    }

    /// Uploads for rows that are there; and where an upload failed for good, the removal of its
    /// empty row and the line in the message's activity.
    pub(crate) fn file_steps(&self, known: &Known, message: &Message) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut remarks = Vec::new();
        let mut untold = Vec::new();
        for attachment in &message.attachments {
            let key = key(message, attachment);
            match self.state(known, message, attachment) {
                State::Wanted => {
                    if let Some(row) = known.get(&format!("filerow/{key}")) {
                        steps.push(self.upload(&key, row, attachment));
                    }
                }
                State::Failed(why) => {
                    remarks.push(remark(attachment, why));
                    let told = format!("remarked/{key}");
                    if !known.is(&told) {
                        untold.push(told);
                    }
                    let gone = format!("unfile/{key}");
                    if let Some(row) = known
                        .get(&format!("filerow/{key}"))
                        .filter(|_| !known.is(&gone))
                    {
                        let call = HttpCall::new(Method::Delete, self.record("CaseFile", row));
                        steps.push(
                            Step::new("file.remove", Repeat::Keyed, call).claim_as(gone, row),
                        );
                    }
                }
                State::Line | State::Refused(_) | State::Shown => {}
            }
        }
        if let Some(activity) = known
            .get(&format!("said/{}", message.id))
            .filter(|_| !untold.is_empty())
        {
            let call = HttpCall::new(Method::Patch, self.record("Activity", activity))
                .json(json!({ "DetailedResult": wire::clean(&message_text(message, &remarks)) }));
            let step = Step::new("activity.remark", Repeat::Keyed, call);
            steps.push(
                untold
                    .into_iter()
                    .fold(step, |step, fact| step.claim_as(fact, "activity")),
            );
        }
        steps.truncate(UPLOADS);
        steps
    }

    /// PUT of the bytes: a repeat writes the same bytes over themselves.
    fn upload(&self, key: &str, row: &str, attachment: &Attachment) -> Step {
        let media = MediaRef {
            attachment: attachment.clone(),
            max_bytes: self.settings.max_file_bytes,
        };
        let mut call = HttpCall::new(
            Method::Put,
            format!("{}/Data", self.record("CaseFile", row)),
        )
        .header("content-type", "application/octet-stream");
        call.body = Body::Media(media);
        Step::new("file.upload", Repeat::Keyed, call).claim_as(format!("file/{key}"), row)
    }
}

fn file_row(fact: String, id: String, name: &str, kind: &str, case: &str) -> Row {
    let columns = json!({ "Name": name, "CaseId": case, "TypeId": kind });
    Row::new(
        "CaseFile",
        fact,
        id,
        columns.as_object().cloned().unwrap_or_else(Map::new),
    )
}

/// What a rep finds in the record's notes about a message's files.
pub(crate) fn placeholders(known: &Known, message: &Message) -> Vec<String> {
    let why = |attachment: &Attachment| {
        let (_, why) = known.refused(&format!("file/{}", key(message, attachment)))?;
        Some(remark(attachment, why))
    };
    message.attachments.iter().filter_map(why).collect()
}
