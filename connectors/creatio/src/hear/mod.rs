//! What Creatio says by itself: the webhooks of the customer's business processes, and polls.
//!
//! Everything in a case is internal to the team, so what may reach the customer is decided here and
//! nowhere else: activities that a rep made on the case, of a reply type, with the marker where one
//! is configured. Rows that we wrote are recognised three times over: by the id that we chose
//! (`echo`), by their author, and by their `GlobalActivityID`.

mod cursor;
mod fields;
mod poll;
mod reply;
mod webhook;

use handoffd_contract::feed::Read;
use handoffd_contract::{
    Frame, FrameContent, HttpCall, HttpReply, Inbound, InboundKind, Reason, Refusal, Stop, Subject,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::errors::Answer;
use crate::facts::ended;
use crate::{Creatio, wire};
use cursor::{Cursor, Phase};
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
        let polled = matches!(
            read.tag,
            "case" | "activities" | "ended" | "posts" | "files"
        );
        match Answer::of(reply) {
            Answer::Ok => {}
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
            "case" => self.polled(read, &body),
            "activities" => self.polled_alone(read, &body),
            "ended" => self.ended_said(read, &body),
            "posts" | "post" => self.posts_said(case.as_deref(), &body),
            "files" => self.files_said(case.as_deref(), &body),
            "file" => self.file_said(read, &body),
            "activity_files" => self.activity_files_said(case.as_deref(), &body),
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
        match self.reply(&case, row, Chosen::ByProcess) {
            Ok(heard) => {
                let fetch = id(row, "Id")
                    .map(|activity| self.files_of(&case, &activity))
                    .into_iter()
                    .flatten()
                    .collect();
                FrameContent {
                    heard: vec![heard],
                    fetch,
                    ..FrameContent::default()
                }
            }
            Err(why) => skipped(why),
        }
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

    /// Files on activities of the case: each needs a look at its activity, which decides whether
    /// it is a reply.
    fn files_said(&self, case: Option<&str>, body: &Value) -> FrameContent {
        let mut hearing = FrameContent::default();
        for row in rows(body).iter().filter(|row| !self.is_integration(row)) {
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

    fn file_said(&self, read: &Read, body: &Value) -> FrameContent {
        let context = &read.context;
        let (Some(case), Some(file)) = (id(context, "case"), id(context, "file")) else {
            return skipped("a file without id");
        };
        match self.reply(&case, body, Chosen::BySettings) {
            Ok(_) => FrameContent {
                heard: vec![self.file(
                    &case,
                    &file,
                    string(context, "name"),
                    context.get("size"),
                    string(context, "at"),
                )],
                ..FrameContent::default()
            },
            // A reply may be a file alone: then there is no text, but everything else fits.
            Err(why) if why == "an activity without text" => FrameContent {
                heard: vec![self.file(
                    &case,
                    &file,
                    string(context, "name"),
                    context.get("size"),
                    string(context, "at"),
                )],
                ..FrameContent::default()
            },
            Err(why) => skipped(format!("a file on {why}")),
        }
    }

    /// Files of an activity that a process already named as a reply.
    fn activity_files_said(&self, case: Option<&str>, body: &Value) -> FrameContent {
        let mut hearing = FrameContent::default();
        for row in rows(body).iter().filter(|row| !self.is_integration(row)) {
            let (Some(case), Some(file)) = (case, id(row, "Id")) else {
                continue;
            };
            hearing.heard.push(self.file(
                case,
                &file,
                string(row, "Name"),
                row.get("Size"),
                string(row, "CreatedOn"),
            ));
        }
        hearing
    }

    /// The read of an activity's files, where no poll would find them.
    fn files_of(&self, case: &str, activity: &str) -> Option<Read> {
        if !self.settings.reply_files || !self.settings.poll.is_zero() {
            return None;
        }
        let call = HttpCall::get(self.path("ActivityFile"))
            .query("$filter", format!("Activity/Id eq {activity}"))
            .query("$select", "Id,Name,Size,ActivityId,CreatedById,CreatedOn")
            .query("$orderby", "CreatedOn")
            .query("$top", "20");
        Some(Read::new("activity_files", call, json!({ "case": case })))
    }

    /// The case is resolved or closed, or is not, or is again; the cursor remembers which.
    fn ended_said(&self, read: &Read, body: &Value) -> FrameContent {
        let mut cursor = Cursor::parse(read.context.get("cursor").and_then(Value::as_str));
        let heard = closure(&mut cursor, string(&read.context, "case"), rows(body));
        FrameContent {
            heard,
            cursor: Some(cursor.text()),
            ..FrameContent::default()
        }
    }
}

/// A closure among the rows of ended cases, and what the cursor remembers of it. When the case ended is
/// also told as a fact, since it decides how often the case is read.
fn closure(cursor: &mut Cursor, case: &str, ended_rows: &[Value]) -> Vec<Inbound> {
    let since = |name: String, at: &str| {
        let facts = vec![("ended/at".to_owned(), at.to_owned())];
        heard(&name, case, "", at.parse().ok(), InboundKind::Facts(facts))
    };
    let Some((row, case)) = ended_rows
        .iter()
        .find_map(|row| Some((row, id(row, "Id")?)))
    else {
        let before = cursor.phase;
        cursor.phase = before.reopened();
        return match (before, cursor.ended.take()) {
            (Phase::Ended, ended) => {
                vec![since(format!("open/{case}/{}", ended.unwrap_or(0)), "")]
            }
            _ => Vec::new(),
        };
    };
    let modified = string(row, "ModifiedOn");
    let before = std::mem::replace(&mut cursor.phase, Phase::Ended);
    let name = match before {
        Phase::Ended => return Vec::new(),
        Phase::Open => ended(&case),
        // A case that was opened again and closed again has ended once more.
        Phase::Reopened => format!("{}/{modified}", ended(&case)),
    };
    cursor.ended = at_of(row, "ModifiedOn").map(Timestamp::as_millisecond);
    // Our own closing of the case carries its first name as the value of a fact.
    vec![
        since(format!("at/{}/{modified}", ended(&case)), modified),
        heard(
            &name,
            &case,
            &name,
            at_of(row, "ModifiedOn"),
            InboundKind::Ended {
                status: id(row, "StatusId"),
            },
        ),
    ]
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
