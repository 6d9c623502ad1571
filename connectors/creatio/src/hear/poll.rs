//! Polls: they need nothing on Creatio's side, and find what a webhook lost.
//!
//! All cases share one poll: what reps wrote since, and which cases have ended. It costs the same for
//! one open case and for five hundred. What it cannot tell (a reply from before the case was known, a
//! file that was attached later, a second ending, another owner, what is written on the session's former
//! cases) each case's own read does, now and then; what that saw is a fact of the lane.

use std::time::Duration;

use handoffd_contract::feed::Read;
use handoffd_contract::marker::Marker;
use handoffd_contract::{Feed, FrameContent, HttpCall, Known, Work, text};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cursor::Cursor;
use super::parts::{PAGE, Part, Places, newest};
use super::reply::Chosen;
use super::{case_state, facts_of, first_ending, id, rows, skipped, string};
use crate::Creatio;
use crate::facts::{former, owner_fact, phase_fact, polled_at_fact, polled_fact};
use crate::plan::part_headers;

/// The feed of all cases.
const KEY: &str = "cases";
/// Former cases of the session that are still heard.
const FORMERS: usize = 3;
/// A case that ended so long ago is not listened to any more.
const OVER_S: i64 = 720 * 3_600;
/// How far back the first poll looks; what is older each case's own read finds.
const FIRST_MS: i64 = 600_000;
/// A case is read by itself once in so many polls, and at most once in so many seconds.
const OWN_EVERY: u32 = 4;
const OWN_EVERY_S: u64 = 60;
/// Pages that one case's own read goes through at once; what is left the next one reads.
const PAGES: u64 = 20;

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
            backfill: is_due(work, known, case, every).then(|| self.own(work, known, case)),
        })
    }

    /// The read that all cases share.
    fn shared(&self, work: &Work, cursor: Option<&str>) -> Read {
        let places = Places::parse(cursor);
        let spots = places.spots(work.now.as_millisecond() - FIRST_MS);
        let context = json!({ "cursor": places.text(), "spots": spots });
        self.read_parts("cases", self.parts(&[], &spots), context)
    }

    /// What to read before a reply is taken. Where nothing is polled and no word marks a reply, the
    /// site's own process chooses which activities are replies, and nobody else may.
    pub(crate) fn before_a_reply(&self, work: &Work, known: &Known) -> Option<Read> {
        let is_told = !self.settings.poll.is_zero()
            || matches!(self.settings.reply_marker, Marker::Prefix(_));
        let case = known.get("case").filter(|_| is_told)?;
        Some(self.own(work, known, case))
    }

    /// The read of one case: what was written there since it was last read by itself.
    fn own(&self, work: &Work, known: &Known, case: &str) -> Read {
        let position = Cursor::parse(known.get(&polled_fact(case)));
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
        let spots = vec![(after, position.skip), (after, 0), (after, 0)];
        let context = json!({ "case": case, "cases": cases, "cursor": position.text(), "spots": spots, "phase": phase,
            "owner": known.get(&owner_fact(case)),
            "columns": self.columns_known(known, case), "now": work.now.as_second() });
        self.read_parts("case", self.parts(&cases, &spots), context)
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

    /// The column by which an activity is news.
    pub(super) fn time(&self) -> &'static str {
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
        let spots: Vec<(i64, usize)> =
            serde_json::from_value(read.context["spots"].clone()).unwrap_or_default();
        let parts = self.parts(&cases, &spots);
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
        match id(context, "case") {
            None => self.all_polled(context, activities, &part),
            Some(case) => self.one_polled(context, &case, activities, &part),
        }
    }

    /// What all cases share.
    fn all_polled<'a>(
        &self,
        context: &Value,
        activities: &Value,
        part: &dyn Fn(&str) -> Option<&'a Value>,
    ) -> FrameContent {
        let mut places = Places::parse(context.get("cursor").and_then(Value::as_str));
        let mut content = FrameContent::default();
        for row in places.turn("activities", rows(activities), self.time()) {
            if let Some(case) = id(row, "CaseId") {
                add(
                    &mut content,
                    self.activity_heard(&case, row, Chosen::BySettings),
                );
            }
        }
        if let Some(body) = part("posts") {
            let new = places.turn("posts", rows(body), "CreatedOn");
            let new: Vec<Value> = new.into_iter().cloned().collect();
            add(
                &mut content,
                self.posts_said(None, &json!({ "value": new })),
            );
        }
        if let Some(body) = part("ended") {
            let new = places.turn("ended", rows(body), "ModifiedOn");
            content
                .heard
                .extend(new.into_iter().filter_map(first_ending));
        }
        content.cursor = Some(places.text());
        content
    }

    /// What one case's own read found. Of a former case of the session, too, a reply is the session's.
    fn one_polled<'a>(
        &self,
        context: &Value,
        case: &str,
        activities: &Value,
        part: &dyn Fn(&str) -> Option<&'a Value>,
    ) -> FrameContent {
        let mut cursor = Cursor::parse(context.get("cursor").and_then(Value::as_str));
        let mut content = FrameContent::default();
        let found = rows(activities);
        cursor.turn(found.len(), PAGE, newest(found, self.time()));
        let mut read_now: Vec<&str> = Vec::new();
        for row in found {
            // An activity is looked at once for every time it was changed.
            if cursor.is_new(string(row, "Id"), string(row, "ModifiedOn")) {
                add(
                    &mut content,
                    self.activity_heard(case, row, Chosen::BySettings),
                );
                read_now.push(string(row, "Id"));
            }
        }
        if let Some(body) = part("files") {
            // Those of what was just heard are read with it.
            let is_read = |row: &Value| read_now.contains(&string(row, "ActivityId"));
            let news = |row: &&Value| cursor.is_new(string(row, "Id"), "") && !is_read(row);
            let files: Vec<Value> = rows(body).iter().filter(news).cloned().collect();
            add(&mut content, self.files_said(Some(case), &files));
        }
        if let Some(body) = part("posts") {
            add(&mut content, self.posts_said(Some(case), body));
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
        if let Some(ended) = part("ended") {
            content.heard.extend(case_state(context, case, rows(ended)));
        }
        if let Some(row) = part("owner").and_then(|body| rows(body).first()) {
            self.owner_said(context, case, row, &mut content);
        }
        if let Some(row) = part("columns").and_then(|body| rows(body).first()) {
            self.columns_said(context, case, row, &mut content);
        }
        let now = context["now"].as_i64().unwrap_or(0).to_string();
        let seen = vec![
            (polled_fact(case), cursor.text()),
            (polled_at_fact(case), now),
        ];
        content.heard.push(facts_of(case, None, seen));
        content.fetch.extend(self.next_page(context, &cursor));
        content
    }

    /// The next page of a case's own read, where there is one.
    fn next_page(&self, context: &Value, cursor: &Cursor) -> Option<Read> {
        let page = context["page"].as_u64().unwrap_or(0) + 1;
        if cursor.skip == 0 || page >= PAGES {
            return None;
        }
        let cases = texts(context, "cases");
        let mut spots: Vec<(i64, usize)> = serde_json::from_value(context["spots"].clone()).ok()?;
        spots.first_mut()?.1 = cursor.skip;
        let mut context = context.clone();
        context["cursor"] = cursor.text().into();
        context["spots"] = json!(spots);
        context["page"] = page.into();
        Some(self.read_parts("case", self.parts(&cases, &spots), context))
    }
}

fn add(content: &mut FrameContent, more: FrameContent) {
    content.heard.extend(more.heard);
    content.fetch.extend(more.fetch);
}

/// Whether it is time for a case's own read.
fn is_due(work: &Work, known: &Known, case: &str, every: Duration) -> bool {
    let read_at: i64 = known
        .get(&polled_at_fact(case))
        .and_then(|at| at.parse().ok())
        .unwrap_or(i64::MIN);
    let pause = (every * OWN_EVERY).max(Duration::from_secs(OWN_EVERY_S));
    let pause = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
    let is_unfinished = Cursor::parse(known.get(&polled_fact(case))).skip > 0;
    is_unfinished || work.now.as_second() >= read_at.saturating_add(pause)
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
