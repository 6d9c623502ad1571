//! What Creatio says by itself: the webhooks of the customer's business processes, and polls.
//!
//! Everything in a case is internal to the team, so what may reach the customer is decided here and
//! nowhere else: activities that a rep made on the case, of a reply type, with the marker where one
//! is configured. Rows that we wrote are recognised three times over: by the id that we chose
//! (`echo`), by their author, and by their `GlobalActivityID`.

mod case;
mod columns;
mod cursor;
mod fields;
mod files;
mod parts;
mod poll;
mod reply;
mod webhook;

use handoffd_contract::feed::Read;
use handoffd_contract::{
    Frame, FrameContent, HttpReply, Inbound, InboundKind, Reason, Refusal, Stop, Subject,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::errors::Answer;
use crate::{Creatio, wire};
use case::{case_state, facts_of, first_ending, owner_named};
pub(crate) use columns::told as column_value;
use reply::{Chosen, humane, said};

/// What is read of an activity.
const ACTIVITY: &str = "Id,Title,DetailedResult,Body,CaseId,CreatedById,CreatedOn,ModifiedOn,TypeId,StatusId,GlobalActivityID";

impl Creatio {
    /// Understands a frame.
    pub(crate) fn listen(&self, frame: &Frame<'_>) -> Result<FrameContent, Refusal> {
        match frame {
            Frame::Webhook { body, .. } => self.webhook_said(body),
            Frame::Reply { read, reply } => self.read_said(read, reply),
            Frame::Event { .. } => Ok(skipped("Creatio has no event stream")),
        }
    }

    fn read_said(&self, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
        let alone = read.context.get("answers").is_some();
        let polled = alone || matches!(read.tag, "cases" | "case");
        // What a reply could do without does not keep it back.
        let is_extra = matches!(read.tag, "activity_files" | "owner_name");
        match Answer::of(reply) {
            Answer::Ok => {}
            Answer::Refused(_) | Answer::Forbidden(_) | Answer::Missing(_) | Answer::NoSet(_)
                if alone || is_extra =>
            {
                return Ok(match read.tag {
                    "activity_files" => self.activity_files_said(read, None),
                    "owner_name" => owner_named(read, None),
                    _ => self.polled_alone(read, None),
                });
            }
            // The engine renews the credential and comes again with the same frame.
            Answer::SignedOut(_) => {
                return Ok(FrameContent {
                    unauthorized: true,
                    ..FrameContent::default()
                });
            }
            // A poll comes again; what a webhook needs does not, so it must not be forgotten.
            other if polled => {
                return Ok(skipped(format!(
                    "the poll answered {}: {}",
                    reply.status,
                    other.stop().message
                )));
            }
            Answer::Missing(_) => {
                return Ok(skipped(
                    "the activity that the webhook names does not exist",
                ));
            }
            Answer::Failed(_, words) => return Err(hold(Reason::ServerError, &words)),
            Answer::Slow(_, words) => return Err(hold(Reason::RateLimited, &words)),
            other => return Err(Refusal::Park(other.stop())),
        }
        let Some(body) = reply.json() else {
            return if polled {
                Ok(skipped("the poll's answer is no JSON"))
            } else {
                Err(hold(Reason::ServerError, "the answer is no JSON"))
            };
        };
        let case = read
            .context
            .get("case")
            .and_then(Value::as_str)
            .and_then(wire::guid);
        Ok(match read.tag {
            _ if alone => self.polled_alone(read, Some(body)),
            "cases" | "case" => self.polled(read, &body),
            "post" => self.posts_said(case.as_deref(), &body),
            "file" => self.file_said(read, &body),
            "activity_files" => self.activity_files_said(read, Some(&body)),
            "owner_name" => owner_named(read, Some(&body)),
            "activity" | "newest" => self.activity_said(case, &body),
            _ => skipped("an unknown read"),
        })
    }

    /// The activity that a webhook named, or the newest of its case.
    fn activity_said(&self, case: Option<String>, body: &Value) -> FrameContent {
        let row = rows(body).first().unwrap_or(body);
        // The row knows its case better than the webhook does.
        let Some(case) = id(row, "CaseId").or(case) else {
            return skipped("the activity belongs to no case");
        };
        self.activity_heard(&case, row, Chosen::ByProcess)
    }

    /// Feed posts are internal unless the settings say that they are replies.
    fn posts_said(&self, case: Option<&str>, body: &Value) -> FrameContent {
        let mut hearing = FrameContent::default();
        for row in rows(body).iter().filter(|row| !self.is_integration(row)) {
            let of = case.map(str::to_owned).or_else(|| id(row, "EntityId"));
            let (Some(post), Some(case)) = (id(row, "Id"), of) else {
                continue;
            };
            let text = humane(string(row, "Message"));
            if self.settings.reply_marker.is_near_miss(&text) {
                hearing.heard.extend(self.hint(&case, "post", row));
            }
            let Some(text) = self.unmarked(&text).filter(|text| !text.is_empty()) else {
                continue;
            };
            hearing.heard.push(heard(
                &format!("post/{post}"),
                &case,
                &post,
                at(row),
                said(&post, Some(text), Vec::new()),
            ));
        }
        hearing
    }
}

fn heard(name: &str, case: &str, echo: &str, at: Option<Timestamp>, kind: InboundKind) -> Inbound {
    Inbound {
        id: name.to_owned(),
        subject: Subject::Fact {
            name: "case".into(),
            value: case.to_owned(),
        },
        echo: Some(echo.to_owned()).filter(|echo| !echo.is_empty()),
        at,
        kind,
    }
}

fn skipped(why: impl Into<String>) -> FrameContent {
    FrameContent {
        skipped: Some(why.into()),
        ..FrameContent::default()
    }
}

fn hold(reason: Reason, words: &str) -> Refusal {
    Refusal::Hold {
        stop: Stop::new(reason, words),
        until: None,
    }
}

fn rows(body: &Value) -> &[Value] {
    body.get("value")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn id(row: &Value, column: &str) -> Option<String> {
    row.get(column).and_then(Value::as_str).and_then(wire::guid)
}

fn string<'a>(row: &'a Value, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn at(row: &Value) -> Option<Timestamp> {
    at_of(row, "CreatedOn")
}

fn at_of(row: &Value, column: &str) -> Option<Timestamp> {
    string(row, column).parse().ok()
}
