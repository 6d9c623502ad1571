//! Files that a rep attached to a reply. WhatsApp shows what comes first first, so they go before the
//! reply's text.

use handoffd_contract::feed::Read;
use handoffd_contract::{FrameContent, HttpCall, Inbound, InboundKind};
use serde_json::{Value, json};

use super::reply::{Chosen, NEAR_MISS, NO_TEXT, said};
use super::{ACTIVITY, heard, id, rows, skipped, string};
use crate::Creatio;

impl Creatio {
    /// An activity that may be a reply: the files on it are read before its text is heard.
    pub(super) fn activity_heard(&self, case: &str, row: &Value, chosen: Chosen) -> FrameContent {
        // Where polls find the files of what a process named, its text need not wait.
        let with_files = self.settings.reply_files
            && (chosen == Chosen::BySettings || self.settings.poll.is_zero());
        let reply = match self.reply(case, row, chosen) {
            Ok(reply) => Some(reply),
            // A reply may be a file alone: then there is no text, but everything else fits.
            Err(why) if why == NO_TEXT && with_files => None,
            Err(why) if why == NEAR_MISS => {
                let heard = self.hint(case, "activity", row).into_iter().collect();
                return FrameContent {
                    heard,
                    ..FrameContent::default()
                };
            }
            Err(why) => return skipped(why),
        };
        match id(row, "Id").filter(|_| with_files) {
            Some(activity) => FrameContent {
                fetch: vec![self.files_of(case, &activity, reply.as_ref())],
                ..FrameContent::default()
            },
            None => FrameContent {
                heard: reply.into_iter().collect(),
                ..FrameContent::default()
            },
        }
    }

    /// The read of an activity's files; its text goes with it.
    pub(super) fn files_of(&self, case: &str, activity: &str, reply: Option<&Inbound>) -> Read {
        let call = HttpCall::get(self.path("ActivityFile"))
            .query("$filter", format!("Activity/Id eq {activity}"))
            .query("$select", "Id,Name,Size,ActivityId,CreatedById,CreatedOn")
            .query("$orderby", "CreatedOn")
            .query("$top", "20");
        let mut context = json!({ "case": case, "activity": activity });
        if let Some(Inbound {
            at,
            kind: InboundKind::Replied(reply),
            ..
        }) = reply
        {
            context["text"] = reply.text.clone().into();
            context["author"] = reply.author.clone().into();
            context["at"] = at.map(|at| at.to_string()).into();
        }
        Read::new("activity_files", call, context)
    }

    /// The files of an activity that is a reply, then its text. Files that may not be read do not keep the
    /// text back.
    pub(super) fn activity_files_said(&self, read: &Read, body: Option<&Value>) -> FrameContent {
        let mut content = FrameContent::default();
        let context = &read.context;
        let Some(case) = id(context, "case") else {
            return skipped("files without case");
        };
        let files = body.map(rows).unwrap_or_default();
        for row in files.iter().filter(|row| !self.is_integration(row)) {
            if let Some(file) = id(row, "Id") {
                content.heard.push(self.file(
                    &case,
                    &file,
                    string(row, "Name"),
                    row.get("Size"),
                    string(row, "CreatedOn"),
                ));
            }
        }
        let text = string(context, "text");
        let activity = string(context, "activity");
        if !text.is_empty() {
            let mut kind = said(activity, Some(text.to_owned()), Vec::new());
            if let InboundKind::Replied(reply) = &mut kind {
                reply.author = context["author"].as_str().map(str::to_owned);
            }
            let at = string(context, "at").parse().ok();
            let name = format!("activity/{activity}");
            content.heard.push(heard(&name, &case, activity, at, kind));
        }
        content
    }

    /// Files that were attached since: each needs a look at its activity, which decides whether it is a
    /// reply.
    pub(super) fn files_said(&self, case: Option<&str>, files: &[Value]) -> FrameContent {
        let mut hearing = FrameContent::default();
        for row in files.iter().filter(|row| !self.is_integration(row)) {
            let (Some(file), Some(activity), Some(case)) =
                (id(row, "Id"), id(row, "ActivityId"), case)
            else {
                continue;
            };
            let call = HttpCall::get(self.record("Activity", &activity)).query("$select", ACTIVITY);
            let context = json!({ "case": case, "file": file, "name": string(row, "Name"), "size": row.get("Size"), "at": string(row, "CreatedOn") });
            hearing.fetch.push(Read::new("file", call, context));
        }
        hearing
    }

    /// The activity of such a file.
    pub(super) fn file_said(&self, read: &Read, body: &Value) -> FrameContent {
        let context = &read.context;
        let (Some(case), Some(file)) = (id(context, "case"), id(context, "file")) else {
            return skipped("a file without id");
        };
        match self.reply(&case, body, Chosen::BySettings) {
            Err(why) if why != NO_TEXT => skipped(format!("a file on {why}")),
            _ => FrameContent {
                heard: vec![self.file(
                    &case,
                    &file,
                    string(context, "name"),
                    context.get("size"),
                    string(context, "at"),
                )],
                ..FrameContent::default()
            },
        }
    }
}
