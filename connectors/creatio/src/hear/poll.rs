//! Polls: they need nothing on Creatio's side, and find what a webhook lost.
//!
//! All cases share one poll: what reps wrote since, and which cases have ended. It costs the same for
//! one open case and for five hundred. What it cannot tell (a reply from before the case was known, a
//! file that was attached later, a second ending, another owner, what is written on the session's former
//! cases) each case's own read does, now and then; what that saw is a fact of the lane.

use std::time::Duration;

use handoffd_contract::feed::Read;
use handoffd_contract::{Feed, FrameContent, HttpCall, Known, Work, text};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cursor::Cursor;
use super::reply::Chosen;
use super::{case_state, facts_of, first_ending, id, rows, skipped, string};
use crate::facts::{former, owner_fact, phase_fact, polled_at_fact, polled_fact};
use crate::plan::part_headers;
use crate::settings::Marker;
use crate::{Creatio, wire};

/// The feed of all cases.
const KEY: &str = "cases";
/// Rows of one page: few enough that a page of long messages stays below a reply's limit.
const PAGE: usize = 40;
/// Former cases of the session that are still heard.
const FORMERS: usize = 3;
/// A case that ended so long ago is not listened to any more.
const OVER_S: i64 = 720 * 3_600;
/// How far back the first poll looks; what is older each case's own read finds.
const FIRST_MS: i64 = 600_000;
/// A case is read by itself once in so many polls, and at most once in so many seconds.
const OWN_EVERY: u32 = 4;
const OWN_EVERY_S: u64 = 60;
/// What a poll reads of an activity; the rich text of e-mails is not among it.
const POLLED: &str = "Id,Title,DetailedResult,CaseId,CreatedById,CreatedOn,ModifiedOn,TypeId,StatusId,GlobalActivityID";

/// What a poll reads, besides the activities: its tag and `$filter`, `$select`, entity set.
struct Part {
    tag: &'static str,
    set: &'static str,
    query: Vec<(&'static str, String)>,
}

fn list(filter: String, select: &str, order: &str) -> Vec<(&'static str, String)> {
    // The id makes the order of rows of one moment the same on every page.
    let order = format!("{order},Id");
    vec![
        ("$filter", filter),
        ("$select", select.to_owned()),
        ("$orderby", order),
        ("$top", PAGE.to_string()),
    ]
}

impl Creatio {
    /// Where to listen for the rep of a session's case.
    pub(crate) fn poll(&self, work: &Work, known: &Known, cursor: Option<&str>) -> Option<Feed> {
        let case = known.get("case")?;
        let every = self.settings.poll;
        if every.is_zero() || is_over(work, known) {
            return None;
        }
        Some(Feed::Poll {
            key: KEY.to_owned(),
            read: self.shared(work, cursor),
            every,
            backfill: self.own(work, known, case, every),
        })
    }

    /// The read that all cases share.
    fn shared(&self, work: &Work, cursor: Option<&str>) -> Read {
        let position = Cursor::parse(cursor);
        let first = work.now.as_millisecond() - FIRST_MS;
        let after = position.newest.map_or(first, |_| position.after(i64::MIN));
        let context = json!({ "cursor": position.text(), "after": after });
        self.read_parts("cases", self.parts(&[], after, position.skip), context)
    }

    /// The read of one case, when it is time for it.
    fn own(&self, work: &Work, known: &Known, case: &str, every: Duration) -> Option<Read> {
        let position = Cursor::parse(known.get(&polled_fact(case)));
        let read_at: i64 = known
            .get(&polled_at_fact(case))
            .and_then(|at| at.parse().ok())
            .unwrap_or(i64::MIN);
        let pause = (every * OWN_EVERY).max(Duration::from_secs(OWN_EVERY_S));
        let pause = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
        if position.skip == 0 && work.now.as_second() < read_at.saturating_add(pause) {
            return None;
        }
        let since = known
            .get("since")
            .and_then(|at| at.parse::<Timestamp>().ok())
            .map_or(0, Timestamp::as_millisecond);
        let mut cases = vec![case];
        cases.extend(
            former(known)
                .into_iter()
                .take(FORMERS)
                .map(|(case, _)| case),
        );
        let after = position.after(since);
        // A case that we opened again ourselves is open, whether or not a read saw it so.
        let phase = match (known.get(&phase_fact(case)), known.get("ended/at")) {
            (Some("ended"), Some("")) => Some("reopened"),
            (phase, _) => phase,
        };
        let context = json!({ "case": case, "cases": cases, "cursor": position.text(), "after": after, "phase": phase,
            "owner": known.get(&owner_fact(case)), "now": work.now.as_second() });
        Some(self.read_parts("case", self.parts(&cases, after, position.skip), context))
    }

    fn read_parts(&self, tag: &'static str, parts: Vec<Part>, mut context: Value) -> Read {
        if self.settings.batch {
            let requests = parts.iter().map(|part| {
                let query: Vec<String> = part.query.iter().map(|(name, value)| format!("{name}={}", text::encode(value))).collect();
                json!({ "id": part.tag, "method": "GET", "url": format!("{}?{}", part.set, query.join("&")), "headers": part_headers() })
            });
            let call = self
                .batch(requests.collect())
                .header("prefer", "continue-on-error");
            return Read::new(tag, call, context);
        }
        // Without batches one part is read after the other; `answers` gathers what they say.
        context["batched"] = tag.into();
        context["answers"] = json!([]);
        match self.part_read(&parts, 0, context.clone()) {
            Some(read) => read,
            None => Read::new(tag, HttpCall::get(self.path("")), context),
        }
    }

    fn part_read(&self, parts: &[Part], at: usize, context: Value) -> Option<Read> {
        let part = parts.get(at)?;
        let call = HttpCall::get(self.path(part.set));
        let call = part
            .query
            .iter()
            .fold(call, |call, (name, value)| call.query(*name, value));
        Some(Read::new(part.tag, call, context))
    }

    /// The parts for these cases, or for all of the site when there are none.
    fn parts(&self, cases: &[&str], after: i64, skip: usize) -> Vec<Part> {
        let of_cases = |path: &str| {
            let terms: Vec<String> = cases
                .iter()
                .map(|case| format!("{path} eq {case}"))
                .collect();
            match terms.is_empty() {
                true => String::new(),
                false => format!("({}) and ", terms.join(" or ")),
            }
        };
        let after = wire::millis(after);
        let time = self.time();
        let types: Vec<String> = self
            .settings
            .reply_types
            .iter()
            .map(|kind| format!("Type/Id eq {kind}"))
            .collect();
        let mut activities = format!(
            "{}{time} gt {after} and ({})",
            of_cases("Case/Id"),
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
        let (Marker::Prefix(prefix), []) = (&self.settings.reply_marker, cases) else {
            return self.all_parts(activities, cases, &after, skip);
        };
        // Of all that a site's people complete, only what may be a reply is read. Whether `contains`
        // minds the case is up to the database.
        let mut spellings = vec![prefix.clone(), prefix.to_lowercase(), prefix.to_uppercase()];
        spellings.sort_unstable();
        spellings.dedup();
        let terms: Vec<String> = spellings
            .iter()
            .flat_map(|word| ["DetailedResult", "Title"].map(|column| (column, word)))
            .map(|(column, word)| format!("contains({column},{})", wire::quoted(word)))
            .collect();
        activities.push_str(&format!(" and ({})", terms.join(" or ")));
        self.all_parts(activities, cases, &after, skip)
    }

    fn all_parts(&self, activities: String, cases: &[&str], after: &str, skip: usize) -> Vec<Part> {
        let mut activities = list(activities, POLLED, self.time());
        if skip > 0 {
            activities.push(("$skip", skip.to_string()));
        }
        let which = match cases.first() {
            Some(case) => format!("Id eq {case}"),
            None => format!("ModifiedOn gt {after}"),
        };
        let ended = format!("{which} and (Status/IsFinal eq true or Status/IsResolved eq true)");
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
        let any = |path: &str| {
            let terms: Vec<String> = cases
                .iter()
                .map(|case| format!("{path} eq {case}"))
                .collect();
            terms.join(" or ")
        };
        if self.settings.feed_replies {
            let of = match cases.is_empty() {
                true => format!("EntitySchemaUId eq {}", crate::standard::CASE_SCHEMA),
                false => format!("({})", any("EntityId")),
            };
            parts.push(Part {
                tag: "posts",
                set: "SocialMessage",
                query: list(
                    format!("{of} and CreatedOn gt {after}"),
                    "Id,Message,EntityId,CreatedById,CreatedOn",
                    "CreatedOn",
                ),
            });
        }
        if cases.is_empty() {
            return parts;
        }
        parts.push(Part {
            tag: "owner",
            set: "Case",
            query: list(which, "Id,OwnerId,CreatedById,ModifiedOn", "ModifiedOn"),
        });
        if self.settings.reply_files {
            parts.push(Part {
                tag: "files",
                set: "ActivityFile",
                query: list(
                    format!("({}) and CreatedOn gt {after}", any("Activity/Case/Id")),
                    "Id,Name,Size,ActivityId,CreatedById,CreatedOn",
                    "CreatedOn",
                ),
            });
        }
        parts
    }

    /// The column by which an activity is news.
    fn time(&self) -> &'static str {
        if self.settings.reply_when_completed {
            "ModifiedOn"
        } else {
            "CreatedOn"
        }
    }

    /// The answer to one part of a poll without `$batch`: the next is read, or all are understood.
    pub(super) fn polled_alone(&self, read: &Read, body: Option<Value>) -> FrameContent {
        let mut context = read.context.clone();
        let mut answers = context["answers"].as_array().cloned().unwrap_or_default();
        let status = if body.is_some() { 200 } else { 400 };
        answers.push(json!({ "id": read.tag, "status": status, "body": body }));
        let at = answers.len();
        context["answers"] = answers.clone().into();
        let cases: Vec<&str> = texts(&read.context, "cases");
        let position = Cursor::parse(read.context.get("cursor").and_then(Value::as_str));
        let after = read.context["after"].as_i64().unwrap_or(0);
        let parts = self.parts(&cases, after, position.skip);
        match self.part_read(&parts, at, context) {
            Some(next) => FrameContent {
                fetch: vec![next],
                ..FrameContent::default()
            },
            None => self.polled(read, &json!({ "responses": answers })),
        }
    }

    /// The answer of a poll.
    pub(super) fn polled(&self, read: &Read, body: &Value) -> FrameContent {
        let context = &read.context;
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
        // Of a former case of the session, too, the reply is the session's.
        let case = id(context, "case");
        let mut cursor = Cursor::parse(context.get("cursor").and_then(Value::as_str));
        let mut content = FrameContent::default();
        let found = rows(activities);
        cursor.turn(found.len(), PAGE, newest(found, self.time()));
        let mut read_now: Vec<&str> = Vec::new();
        for row in found {
            // An activity is looked at once for every time it was changed.
            if !cursor.is_new(string(row, "Id"), string(row, "ModifiedOn")) {
                continue;
            }
            let Some(case) = case.clone().or_else(|| id(row, "CaseId")) else {
                continue;
            };
            let more = self.activity_heard(&case, row, Chosen::BySettings);
            content.heard.extend(more.heard);
            content.fetch.extend(more.fetch);
            read_now.push(string(row, "Id"));
        }
        if let Some(body) = part("files") {
            // Those of what was just heard are read with it.
            let is_read = |row: &Value| read_now.contains(&string(row, "ActivityId"));
            let news = |row: &&Value| cursor.is_new(string(row, "Id"), "") && !is_read(row);
            let rows: Vec<Value> = rows(body).iter().filter(news).cloned().collect();
            let more = self.files_said(case.as_deref(), &rows);
            content.fetch.extend(more.fetch);
        }
        if let Some(body) = part("posts") {
            let more = self.posts_said(case.as_deref(), body);
            content.heard.extend(more.heard);
        }
        for tag in ["posts", "files"] {
            let Some(body) = part(tag) else { continue };
            let last = newest(rows(body), "CreatedOn");
            if rows(body).len() >= PAGE {
                // The next round begins where this list was cut.
                cursor.newest = cursor.newest.min(last);
            } else if cursor.skip == 0 {
                cursor.newest = cursor.newest.max(last);
            }
        }
        let ended = part("ended").map(rows);
        match &case {
            None => {
                for row in ended.unwrap_or_default() {
                    if cursor.is_new(string(row, "Id"), string(row, "ModifiedOn")) {
                        content.heard.extend(first_ending(row));
                    }
                }
                content.cursor = Some(cursor.text());
            }
            Some(case) => {
                if let Some(ended) = ended {
                    content.heard.extend(case_state(context, case, ended));
                }
                if let Some(row) = part("owner").and_then(|body| rows(body).first()) {
                    self.owner_said(context, case, row, &mut content);
                }
                let now = context["now"].as_i64().unwrap_or(0).to_string();
                let seen = vec![
                    (polled_fact(case), cursor.text()),
                    (polled_at_fact(case), now),
                ];
                content.heard.push(facts_of(case, None, seen));
            }
        }
        content
    }
}

/// Whether a case ended so long ago that nobody writes there any more.
fn is_over(work: &Work, known: &Known) -> bool {
    let ended = known
        .get("ended/at")
        .and_then(|at| at.parse::<Timestamp>().ok());
    ended.is_some_and(|ended| work.now.as_second() - ended.as_second() >= OVER_S)
}

fn texts<'a>(context: &'a Value, key: &str) -> Vec<&'a str> {
    context
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn newest(rows: &[Value], column: &str) -> Option<i64> {
    rows.iter()
        .filter_map(|row| string(row, column).parse::<Timestamp>().ok())
        .map(Timestamp::as_millisecond)
        .max()
}
