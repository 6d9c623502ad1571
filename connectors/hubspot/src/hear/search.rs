//! The poll that all tickets share: which notes the portal has got since, and which of our tickets have
//! changed. It costs the same for one open ticket and for a thousand.
//!
//! Search lags behind by moments, so each poll looks again over the last two minutes that it saw, and
//! what it saw there is not read twice. Times are the portal's own throughout. What a search cannot
//! tell (deleted and merged tickets, a note that was put on a ticket later) each ticket's own read does.
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>

use handoffd_contract::feed::Read;
use handoffd_contract::marker::Marker;
use handoffd_contract::{FrameContent, HttpCall, HttpReply, Inbound, Reason, Refusal, Step, Stop};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    assigned, broken, note, pace, read_owner, skipped, stage_entered, text, time, updated, user,
};
use crate::errors::words;
use crate::read::id;
use crate::settings::Settings;

/// The feed of all tickets.
pub const KEY: &str = "tickets";
/// Searches for new notes.
pub const NOTES: &str = "search.notes";
/// Reads their texts.
pub const TEXTS: &str = "search.texts";
/// Searches for changed tickets.
pub const TICKETS: &str = "search.tickets";
/// Reads which stages are those of closed tickets.
pub const STAGES: &str = "search.stages";
/// Reads what changed.
pub const CHANGES: &str = "search.changes";

/// How far back the first poll looks: clocks differ.
const FIRST: SignedDuration = SignedDuration::from_mins(10);
/// How far back every other poll looks from the newest that it saw, in milliseconds.
const OVERLAP: i64 = 120_000;
/// Results of one search.
const LIMIT: usize = 200;
/// Notes that one poll reads one by one.
const UNMARKED: usize = 100;
/// Notes that are read in one call.
const BATCH: usize = 100;
/// Pages of one search; what is left comes with the next poll.
const PAGES: u64 = 10;
/// Tickets that are read with their history in one call.
const WITH_HISTORY: usize = 50;
/// Changes of one property that are told of one poll; HubSpot keeps as many.
const CHANGES_OF_ONE: usize = 20;
/// An owner that a ticket has since so shortly after it was made is the one that it was made with.
const MADE_WITH: SignedDuration = SignedDuration::from_secs(2);

/// The read that the poll begins with.
pub fn read(settings: &Settings, now: Timestamp, cursor: Option<&str>) -> Read {
    let old: Value = cursor
        .and_then(|cursor| serde_json::from_str(cursor).ok())
        .unwrap_or_default();
    let first = now
        .saturating_sub(FIRST)
        .map_or(0, Timestamp::as_millisecond);
    let part = |name: &str| match &old[name] {
        known if known["from"].is_i64() => known.clone(),
        _ => json!({"from": first, "seen": []}),
    };
    let state = json!({
        "notes": part("notes"), "tickets": part("tickets"), "closed": old["closed"], "old": cursor, "queue": [],
    });
    search(settings, NOTES, state, None)
}

fn search(settings: &Settings, tag: &'static str, mut state: Value, after: Option<&str>) -> Read {
    let (kind, time, properties) = match tag {
        NOTES => ("notes", "hs_createdate", json!(["hs_createdate"])),
        _ => (
            "tickets",
            "hs_lastmodifieddate",
            json!(["hs_lastmodifieddate"]),
        ),
    };
    let since = state[kind]["from"].to_string();
    let mut filters = vec![json!({"propertyName": time, "operator": "GTE", "value": since})];
    if tag == TICKETS {
        let ours = &settings.handoff_id_property;
        filters.push(json!({"propertyName": ours, "operator": "HAS_PROPERTY"}));
    }
    let body = json!({
        "filterGroups": [{"filters": filters}], "sorts": [time], "properties": properties, "limit": limits(settings, tag).0,
        "after": after.unwrap_or("0"),
    });
    if after.is_none() {
        state["found"] = json!([]);
        state["pages"] = json!(0);
    }
    let path = format!("{}/search", settings.paths.object(kind));
    Read::new(tag, HttpCall::post(path, body), state).spend("search", "")
}

/// A page of a search.
pub fn found(settings: &Settings, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let body = match results(read, reply)? {
        Ok(body) => body,
        Err(content) => return Ok(content),
    };
    let (kind, property) = match read.tag {
        NOTES => ("notes", "hs_createdate"),
        _ => ("tickets", "hs_lastmodifieddate"),
    };
    let mut state = read.context.clone();
    let mut all: Vec<(String, i64)> =
        serde_json::from_value(state["found"].clone()).unwrap_or_default();
    let page = body["results"].as_array().into_iter().flatten();
    all.extend(page.filter_map(|one| {
        let at = time(&one["properties"][property])?;
        Some((id(&one["id"])?, at.as_millisecond()))
    }));
    let pages = state["pages"].as_u64().unwrap_or(PAGES) + 1;
    state["found"] = json!(all);
    state["pages"] = json!(pages);
    let after = body["paging"]["next"]["after"].as_str();
    let most = limits(settings, read.tag).1;
    if let Some(after) = after.filter(|_| pages < most) {
        return Ok(fetch(search(settings, read.tag, state, Some(after))));
    }
    let seen: Vec<(String, i64)> =
        serde_json::from_value(state[kind]["seen"].clone()).unwrap_or_default();
    let new = all.iter().filter(|one| !seen.contains(one));
    let new: Vec<&str> = new.map(|(id, _)| id.as_str()).collect();
    state["left"] = json!(new);
    state["since"] = state[kind]["from"].clone();
    state[kind] = place(&state[kind], &all, after.is_none());
    state["found"] = Value::Null;
    Ok(match (new.is_empty(), read.tag) {
        (true, NOTES) => fetch(search(settings, TICKETS, state, None)),
        (true, _) => done(settings, state),
        (false, NOTES) => fetch(texts_of(settings, state)),
        (false, _) => fetch(changes_of(settings, state)),
    })
}

/// Results of a page, and pages. Where no word marks a reply, each note is read by itself.
fn limits(settings: &Settings, tag: &str) -> (usize, u64) {
    match (&settings.reply_marker, tag) {
        (Marker::All, NOTES) => (UNMARKED, 1),
        _ => (LIMIT, PAGES),
    }
}

/// Where the next poll begins, and what it will see once more.
fn place(old: &Value, found: &[(String, i64)], is_whole: bool) -> Value {
    let Some((_, newest)) = found.iter().max_by_key(|(_, at)| *at) else {
        return old.clone();
    };
    let behind = if is_whole { newest - OVERLAP } else { *newest };
    let from = behind.max(old["from"].as_i64().unwrap_or(0));
    let seen: Vec<&(String, i64)> = found.iter().filter(|(_, at)| *at >= from).collect();
    json!({"from": from, "seen": seen})
}

fn take_left(state: &mut Value, count: usize) -> Vec<Value> {
    let mut left: Vec<Value> = state["left"].as_array().cloned().unwrap_or_default();
    let rest = left.split_off(left.len().min(count));
    state["left"] = json!(rest);
    left.iter().map(|id| json!({"id": id})).collect()
}

fn batch(
    settings: &Settings,
    tag: &'static str,
    kind: &str,
    mut body: Value,
    mut state: Value,
    count: usize,
) -> Read {
    body["inputs"] = json!(take_left(&mut state, count));
    let path = format!("{}/batch/read", settings.paths.object(kind));
    Read::new(tag, HttpCall::post(path, body), state)
}

fn texts_of(settings: &Settings, state: Value) -> Read {
    let body = json!({"properties": ["hs_note_body"], "propertiesWithHistory": []});
    batch(settings, TEXTS, "notes", body, state, BATCH)
}

fn changes_of(settings: &Settings, state: Value) -> Read {
    if !state["closed"].is_string() {
        return Read::new(STAGES, HttpCall::get(settings.paths.pipelines()), state);
    }
    let mut history = vec!["hs_pipeline_stage", "hubspot_owner_id"];
    let reported = settings.report.iter().map(String::as_str);
    history
        .extend(reported.filter(|name| !["hs_pipeline_stage", "hubspot_owner_id"].contains(name)));
    let body = json!({
        "properties": ["hs_pipeline", "hs_pipeline_stage", "hubspot_owner_id"],
        "propertiesWithHistory": history,
    });
    batch(settings, CHANGES, "tickets", body, state, WITH_HISTORY)
}

/// The texts of new notes: those that are meant for customers are read one by one.
pub fn texts(settings: &Settings, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let body = match results(read, reply)? {
        Ok(body) => body,
        Err(content) => return Ok(content),
    };
    let mut state = read.context.clone();
    let mut queue: Vec<Value> = state["queue"].as_array().cloned().unwrap_or_default();
    queue.extend(note::replies(settings, &body));
    state["queue"] = json!(queue);
    Ok(match state["left"].as_array() {
        Some(left) if !left.is_empty() => fetch(texts_of(settings, state)),
        _ => fetch(search(settings, TICKETS, state, None)),
    })
}

/// The pipelines, which are read once.
pub fn stages(
    settings: &Settings,
    read: &Read,
    reply: &HttpReply,
) -> Result<FrameContent, Refusal> {
    let body = match results(read, reply)? {
        Ok(body) => body,
        Err(content) => return Ok(content),
    };
    let mut state = read.context.clone();
    state["closed"] = json!(pace::closed_marks(settings, &body));
    Ok(fetch(changes_of(settings, state)))
}

/// Tickets that have changed.
pub fn changes(
    settings: &Settings,
    read: &Read,
    reply: &HttpReply,
) -> Result<FrameContent, Refusal> {
    let body = match results(read, reply)? {
        Ok(body) => body,
        Err(content) => return Ok(content),
    };
    let state = read.context.clone();
    let since = state["since"].as_i64().unwrap_or(0);
    let is_news = |at: Timestamp| at.as_millisecond() >= since;
    let mut content = FrameContent::default();
    for one in body["results"].as_array().into_iter().flatten() {
        let Some(ticket) = id(&one["id"]) else {
            continue;
        };
        let value = |name: &str| text(&one["properties"][name]).to_owned();
        let entry = |name: &str| one["propertiesWithHistory"][name][0].clone();
        let (stage, entered) = (value("hs_pipeline_stage"), entry("hs_pipeline_stage"));
        if let Some(at) = time(&entered["timestamp"]).filter(|at| is_news(*at)) {
            let by = text(&entered["sourceType"]);
            let ended = stage_entered(settings, &ticket, &stage, Some(at), by);
            let closed = text(&state["closed"]);
            let is_closed = pace::is_closed(settings, closed, &value("hs_pipeline"), &stage);
            content.heard.extend(ended);
            content.heard.push(pace::told(&ticket, is_closed, at));
        }
        let (owner, owned) = (value("hubspot_owner_id"), entry("hubspot_owner_id"));
        let made = time(&one["createdAt"]).and_then(|at| at.checked_add(MADE_WITH).ok());
        for property in &settings.report {
            let entries = &one["propertiesWithHistory"][property];
            let news = |at: Timestamp| is_news(at) && Some(at) > made;
            content
                .heard
                .extend(changed(&ticket, property, entries, news));
        }
        let since = time(&owned["timestamp"]).filter(|at| is_news(*at) && Some(*at) > made);
        if let Some(at) = since {
            owner_changed(settings, &ticket, &owner, at, &mut content);
        }
    }
    let is_done = state["left"].as_array().is_none_or(Vec::is_empty);
    let next = match is_done {
        true => done(settings, state),
        false => fetch(changes_of(settings, state)),
    };
    content.fetch.extend(next.fetch);
    content.cursor = next.cursor;
    Ok(content)
}

/// What became of a property that is passed on, the oldest first.
fn changed(
    ticket: &str,
    property: &str,
    entries: &Value,
    is_news: impl Fn(Timestamp) -> bool,
) -> Vec<Inbound> {
    let entries = entries
        .as_array()
        .into_iter()
        .flatten()
        .take(CHANGES_OF_ONE);
    let mut news: Vec<Inbound> = entries
        .filter_map(|entry| {
            let at = time(&entry["timestamp"]).filter(|at| is_news(*at))?;
            let (value, source) = (text(&entry["value"]), text(&entry["sourceType"]));
            Some(updated(
                ticket,
                property,
                value,
                Some(at),
                source,
                user(entry),
            ))
        })
        .collect();
    news.reverse();
    news
}

/// The new owner's name is read, or nobody owns the ticket any more.
fn owner_changed(
    settings: &Settings,
    ticket: &str,
    owner: &str,
    at: Timestamp,
    content: &mut FrameContent,
) {
    let name = format!("owner/{ticket}/{owner}/{}", at.as_millisecond());
    if owner.is_empty() {
        content.heard.push(assigned(ticket, &name, Some(at), None));
    } else {
        let read = read_owner(settings, ticket, owner, &name, Some(at));
        content.fetch.push(read);
    }
}

/// Everything was looked at: the replies are read, and then the next poll goes on from here.
fn done(settings: &Settings, state: Value) -> FrameContent {
    let cursor =
        json!({"notes": state["notes"], "tickets": state["tickets"], "closed": state["closed"]});
    let cursor = Some(cursor.to_string()).filter(|new| state["old"] != json!(new));
    let mut queue: Vec<Value> = state["queue"].as_array().cloned().unwrap_or_default();
    // In the order in which they were written, as far as ids tell.
    queue.sort_by_key(|id| text(id).parse::<u64>().unwrap_or(u64::MAX));
    note::proceed(
        settings,
        &json!({"queue": queue, "cursor": cursor}),
        "no reply",
    )
}

fn fetch(read: Read) -> FrameContent {
    FrameContent {
        fetch: vec![read],
        // Of two notes the later one may be in the index first.
        unordered: true,
        ..FrameContent::default()
    }
}

/// The answer's body, or what is heard instead.
fn results(read: &Read, reply: &HttpReply) -> Result<Result<Value, FrameContent>, Refusal> {
    let body = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array());
    if let Some(body) = body {
        return Ok(Ok(body));
    }
    match broken(read, reply)? {
        Some(content) => Ok(Err(content)),
        // A portal that does not take this search: a person must see it.
        None if reply.status == 400 => {
            let step = Step::look("hear", read.call.clone());
            let stop = Stop::new(Reason::Invalid, words(&step, reply));
            Err(Refusal::Park(stop))
        }
        None => Ok(Err(skipped(format!(
            "{} answered {}",
            read.tag, reply.status
        )))),
    }
}
