//! Polls: they need nothing on Creatio's side, and find what a webhook lost.

use std::time::Duration;

use handoffd_contract::feed::Read;
use handoffd_contract::{Feed, FrameContent, HttpCall, Known, Work, text};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cursor::Cursor;
use super::reply::Chosen;
use super::{closure, id, rows, skipped, string};
use crate::facts::former;
use crate::plan::part_headers;
use crate::{Creatio, wire};

/// Rows of one page: few enough that a page of long messages stays below a reply's limit.
const PAGE: usize = 40;
/// Former cases of the session that are still heard.
const FORMERS: usize = 3;
/// Seconds.
const HOUR: i64 = 3_600;
/// What a poll reads of an activity; the rich text of e-mails is not among it.
const POLLED: &str = "Id,Title,DetailedResult,CaseId,CreatedById,CreatedOn,ModifiedOn,TypeId,StatusId,GlobalActivityID";

/// What a poll reads, besides the activities: its tag and `$filter`, `$select`, entity set.
struct Part {
    tag: &'static str,
    set: &'static str,
    query: Vec<(&'static str, String)>,
}

impl Creatio {
    /// The poll of a session's case.
    pub(crate) fn poll(&self, work: &Work, known: &Known, cursor: Option<&str>) -> Option<Feed> {
        let case = known.get("case")?;
        let every = self.pace(work, known)?;
        let since = known
            .get("since")
            .and_then(|at| at.parse::<Timestamp>().ok())
            .map_or(0, Timestamp::as_millisecond);
        let position = Cursor::parse(cursor);
        let formers: Vec<&str> = former(known)
            .into_iter()
            .take(FORMERS)
            .map(|(case, _)| case)
            .collect();
        let parts = self.parts(case, &formers, position.after(since), position.skip);
        let context =
            json!({ "case": case, "formers": formers, "cursor": position.text(), "since": since });
        let read = if self.settings.batch {
            let requests = parts.iter().map(|part| {
                let query: Vec<String> = part.query.iter().map(|(name, value)| format!("{name}={}", text::encode(value))).collect();
                json!({ "id": part.tag, "method": "GET", "url": format!("{}?{}", part.set, query.join("&")), "headers": part_headers() })
            });
            let call = self
                .batch(requests.collect())
                .header("prefer", "continue-on-error");
            Read::new("case", call, context)
        } else {
            let part = parts.into_iter().next()?;
            Read::new(part.tag, self.part_call(&part), context)
        };
        Some(Feed::Poll {
            key: format!("case/{case}"),
            read,
            every,
            backfill: None,
        })
    }

    /// How often: at the set pace as long as the case is open, however long everybody is silent. One that
    /// was resolved or closed is heard more seldom by and by, and after thirty days no more.
    fn pace(&self, work: &Work, known: &Known) -> Option<Duration> {
        let every = self.settings.poll;
        if every.is_zero() {
            return None;
        }
        let ended = known
            .get("ended/at")
            .and_then(|at| at.parse::<Timestamp>().ok());
        let Some(ended) = ended else {
            return Some(every);
        };
        match (work.now.as_second() - ended.as_second()) / HOUR {
            ..1 => Some(every),
            1..24 => Some(every * 4),
            24..168 => Some(every * 20),
            168..720 => Some((every * 20).max(Duration::from_hours(1))),
            _ => None,
        }
    }

    fn parts(&self, case: &str, formers: &[&str], after: i64, skip: usize) -> Vec<Part> {
        let cases = |path: &str| {
            let terms: Vec<String> = std::iter::once(&case)
                .chain(formers)
                .map(|case| format!("{path} eq {case}"))
                .collect();
            format!("({})", terms.join(" or "))
        };
        let after = wire::millis(after);
        let time = if self.settings.reply_when_completed {
            "ModifiedOn"
        } else {
            "CreatedOn"
        };
        let types: Vec<String> = self
            .settings
            .reply_types
            .iter()
            .map(|kind| format!("Type/Id eq {kind}"))
            .collect();
        let mut activities = format!(
            "{} and {time} gt {after} and ({})",
            cases("Case/Id"),
            types.join(" or ")
        );
        if self.settings.reply_when_completed {
            activities.push_str(&format!(
                " and Status/Id eq {}",
                self.settings.activity_status
            ));
        }
        if let Some(contact) = &self.settings.integration_contact {
            activities.push_str(&format!(" and CreatedBy/Id ne {contact}"));
        }
        let list = |filter: String, select: &str, order: &str| {
            // The id makes the order of rows of one moment the same on every page.
            let order = format!("{order},Id");
            vec![
                ("$filter", filter),
                ("$select", select.to_owned()),
                ("$orderby", order),
                ("$top", PAGE.to_string()),
            ]
        };
        let ended =
            format!("Id eq {case} and (Status/IsFinal eq true or Status/IsResolved eq true)");
        let mut activities = list(activities, POLLED, time);
        if skip > 0 {
            activities.push(("$skip", skip.to_string()));
        }
        let mut parts = vec![
            Part {
                tag: "activities",
                set: "Activity",
                query: activities,
            },
            Part {
                tag: "ended",
                set: "Case",
                query: list(ended, "Id,StatusId,ModifiedOn", "ModifiedOn"),
            },
        ];
        if self.settings.feed_replies {
            let posts = format!("{} and CreatedOn gt {after}", cases("EntityId"));
            parts.push(Part {
                tag: "posts",
                set: "SocialMessage",
                query: list(
                    posts,
                    "Id,Message,EntityId,CreatedById,CreatedOn",
                    "CreatedOn",
                ),
            });
        }
        if self.settings.reply_files {
            let files = format!("{} and CreatedOn gt {after}", cases("Activity/Case/Id"));
            parts.push(Part {
                tag: "files",
                set: "ActivityFile",
                query: list(
                    files,
                    "Id,Name,Size,ActivityId,CreatedById,CreatedOn",
                    "CreatedOn",
                ),
            });
        }
        parts
    }

    fn part_call(&self, part: &Part) -> HttpCall {
        let call = HttpCall::get(self.path(part.set));
        part.query
            .iter()
            .fold(call, |call, (name, value)| call.query(*name, value))
    }

    /// The answer of a batched poll.
    pub(super) fn polled(&self, read: &Read, body: &Value) -> FrameContent {
        let Some(answers) = body.get("responses").and_then(Value::as_array) else {
            return skipped("the poll's answer has no parts");
        };
        let part = |tag: &str| {
            let answer = answers.iter().find(|answer| string(answer, "id") == tag)?;
            let ok = answer
                .get("status")
                .and_then(Value::as_u64)
                .is_some_and(|status| (200..300).contains(&status));
            answer.get("body").filter(|_| ok)
        };
        let Some(activities) = part("activities") else {
            return skipped("the poll's activities were refused");
        };
        let mut hearing = self.activities(read, activities);
        let mut cursor = Cursor::parse(hearing.cursor.as_deref());
        if let Some(ended) = part("ended") {
            hearing.heard.extend(closure(
                &mut cursor,
                string(&read.context, "case"),
                rows(ended),
            ));
        }
        let case = id(&read.context, "case");
        for (tag, body) in [("posts", part("posts")), ("files", part("files"))] {
            let Some(body) = body else { continue };
            let more = if tag == "posts" {
                self.posts_said(case.as_deref(), body)
            } else {
                self.files_said(case.as_deref(), body)
            };
            hearing.heard.extend(more.heard);
            hearing.fetch.extend(more.fetch);
            let last = newest(rows(body), "CreatedOn");
            if rows(body).len() >= PAGE {
                // The next round begins where this list was cut.
                cursor.newest = cursor.newest.min(last);
            } else if cursor.skip == 0 {
                cursor.newest = cursor.newest.max(last);
            }
        }
        hearing.cursor = Some(cursor.text());
        hearing
    }

    /// The answer of a poll without `$batch`: the other parts are read next.
    pub(super) fn polled_alone(&self, read: &Read, body: &Value) -> FrameContent {
        let mut hearing = self.activities(read, body);
        let since = read
            .context
            .get("since")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let position = Cursor::parse(read.context.get("cursor").and_then(Value::as_str));
        // The reads that follow go on from what this page left: the last one's cursor is kept.
        let mut context = read.context.clone();
        context["cursor"] = hearing.cursor.clone().into();
        if let Some(case) = id(&read.context, "case") {
            let formers: Vec<&str> = read
                .context
                .get("formers")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let parts = self.parts(&case, &formers, position.after(since), 0);
            hearing.fetch.extend(
                parts
                    .into_iter()
                    .skip(1)
                    .map(|part| Read::new(part.tag, self.part_call(&part), context.clone())),
            );
        }
        hearing
    }

    fn activities(&self, read: &Read, body: &Value) -> FrameContent {
        let mut cursor = Cursor::parse(read.context.get("cursor").and_then(Value::as_str));
        let Some(case) = id(&read.context, "case") else {
            return skipped("a poll without case");
        };
        let found = rows(body);
        let time = if self.settings.reply_when_completed {
            "ModifiedOn"
        } else {
            "CreatedOn"
        };
        cursor.turn(found.len(), PAGE, newest(found, time));
        let heard = found
            .iter()
            .filter_map(|row| self.reply(&case, row, Chosen::BySettings).ok())
            .collect();
        FrameContent {
            heard,
            cursor: Some(cursor.text()),
            ..FrameContent::default()
        }
    }
}

fn newest(rows: &[Value], column: &str) -> Option<i64> {
    rows.iter()
        .filter_map(|row| string(row, column).parse::<Timestamp>().ok())
        .map(Timestamp::as_millisecond)
        .max()
}
