//! One ticket's own read: its stage, its owner, merges, and notes that were not seen before. What it saw
//! is a fact of the lane.

use handoffd_contract::feed::Read;
use handoffd_contract::marker::Marker;
use handoffd_contract::{FrameContent, HttpCall, HttpReply, Known, Reason, Refusal, Work};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    assigned, broken, heard, merged, note, pace, read_owner, skipped, stage_entered, text,
    ticket_deleted, time,
};
use crate::facts;
use crate::read::id;
use crate::settings::Settings;

/// Reads the ticket.
pub const TICKET: &str = "poll";
/// Reads further pages of its notes' ids.
pub const MORE: &str = "poll.more";
/// Reads the notes' texts.
pub const NOTES: &str = "poll.notes";

/// How many ids of seen notes are kept, the newest.
const SEEN: usize = 1_000;

/// How many pages of ids are read.
const PAGES: u64 = 10;

/// Merged tickets that are told of one.
const MERGED: usize = 100;

/// How old a note may be when a ticket's own read finds it, where no word marks a reply.
const UNMARKED: SignedDuration = SignedDuration::from_hours(1);

/// Inputs of one batch call.
const BATCH: usize = 100;

/// The read of a ticket.
pub fn read(settings: &Settings, work: &Work, known: &Known, ticket: &str) -> Read {
    let call = HttpCall::get(settings.paths.one("tickets", ticket))
        .query(
            "properties",
            "hs_pipeline,hs_pipeline_stage,hubspot_owner_id,hs_merged_object_ids",
        )
        .query(
            "propertiesWithHistory",
            "hs_pipeline_stage,hubspot_owner_id",
        )
        .query("associations", "notes");
    Read::new(
        TICKET,
        call,
        json!({
            "ticket": ticket, "seen": known.get(facts::SEEN), "own": facts::own(known, "notes"),
            "pace": pace::context(settings, work, known),
        }),
    )
}

/// The ticket's answer.
pub fn ticket(
    settings: &Settings,
    read: &Read,
    reply: &HttpReply,
) -> Result<FrameContent, Refusal> {
    let context = &read.context;
    let ticket = text(&context["ticket"]);
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["properties"].is_object())
    else {
        return match broken(read, reply) {
            // A deleted ticket: the rep has ended it.
            Ok(None) if reply.status == 404 => Ok(join(
                heard(ticket_deleted(ticket)),
                pace::state(&context["pace"], ticket, true, None),
            )),
            Ok(hearing) => {
                Ok(hearing
                    .unwrap_or_else(|| skipped(format!("the poll answered {}", reply.status))))
            }
            // The next poll comes by itself.
            Err(Refusal::Hold { stop, .. }) if stop.reason != Reason::Forbidden => {
                Ok(skipped(stop.message))
            }
            Err(refusal) => Err(refusal),
        };
    };
    let old: Value = context["seen"]
        .as_str()
        .and_then(|seen| serde_json::from_str(seen).ok())
        .unwrap_or_default();
    // An id that is not the one asked for: the conversation goes on in the ticket that is left.
    if let Some(left) = id(&body["id"]).filter(|left| left != ticket) {
        return Ok(heard(merged(ticket, &left, None)));
    }
    let mut hearing = FrameContent::default();
    let took_in = text(&body["properties"]["hs_merged_object_ids"]);
    if !took_in.is_empty() && old["merged"] != took_in {
        let gone = took_in
            .split(';')
            .map(str::trim)
            .filter(|gone| !gone.is_empty());
        hearing.heard.extend(
            gone.filter(|gone| *gone != ticket)
                .take(MERGED)
                .map(|gone| merged(gone, ticket, None)),
        );
    }
    let (stage, entered) = latest(&body, "hs_pipeline_stage");
    hearing = join(
        hearing,
        pace::stage(
            settings,
            &context["pace"],
            ticket,
            text(&body["properties"]["hs_pipeline"]),
            &stage,
            time(&entered["timestamp"]),
        ),
    );
    let (owner, since) = latest(&body, "hubspot_owner_id");
    let mark = |value: &str, entry: &Value| format!("{value}@{}", text(&entry["timestamp"]));
    let (stage_mark, owner_mark) = (mark(&stage, &entered), mark(&owner, &since));
    if old["stage"] != json!(stage_mark) {
        let at = time(&entered["timestamp"]);
        hearing.heard.extend(stage_entered(
            settings,
            ticket,
            &stage,
            at,
            text(&entered["sourceType"]),
        ));
    }
    // The owner that the ticket began with is no news.
    if old["owner"].is_string() && old["owner"] != json!(owner_mark) {
        let at = time(&since["timestamp"]);
        let name = format!(
            "owner/{ticket}/{owner}/{}",
            at.map_or(0, jiff::Timestamp::as_millisecond)
        );
        if owner.is_empty() {
            hearing.heard.push(assigned(ticket, &name, at, None));
        } else {
            hearing
                .fetch
                .push(read_owner(settings, ticket, &owner, &name, at));
        }
    }
    let page = &body["associations"]["notes"];
    // Without a word that marks a reply, what stood on a ticket before it was first read, or came with
    // another ticket that it took in, is nobody's reply.
    let is_taken =
        settings.reply_marker != Marker::All || old["ticket"] == ticket && old["merged"] == took_in;
    let since = time(&context["pace"]["now"]).and_then(|now| now.checked_sub(UNMARKED).ok());
    let state = json!({
        "taken": is_taken, "since": since,
        "ticket": ticket, "own": context["own"], "seen": old["notes"], "ids": ids(page, "id"),
        "stage": stage_mark, "owner": owner_mark, "merged": took_in, "old": context["seen"], "pages": 1,
    });
    Ok(join(hearing, page_done(settings, state, page)))
}

/// The newest value of a property and its history entry.
fn latest(body: &Value, property: &str) -> (String, Value) {
    let entry = body["propertiesWithHistory"][property][0].clone();
    (text(&body["properties"][property]).to_owned(), entry)
}

fn ids(page: &Value, name: &str) -> Vec<String> {
    page["results"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| id(&entry[name]).or_else(|| id(&entry["id"])))
        .collect()
}

/// A further page of ids.
pub fn more(settings: &Settings, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let Some(page) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return Ok(
            broken(read, reply)?.unwrap_or_else(|| skipped("the ticket's notes cannot be listed"))
        );
    };
    let mut state = read.context.clone();
    let mut all: Vec<String> = serde_json::from_value(state["ids"].clone()).unwrap_or_default();
    all.extend(ids(&page, "toObjectId"));
    state["ids"] = json!(all);
    state["pages"] = json!(state["pages"].as_u64().unwrap_or(PAGES) + 1);
    Ok(page_done(settings, state, &page))
}

/// After a page: the next one, or the texts of what is new.
fn page_done(settings: &Settings, mut state: Value, page: &Value) -> FrameContent {
    let after = page["paging"]["next"]["after"]
        .as_str()
        .filter(|_| state["pages"].as_u64() < Some(PAGES));
    if let Some(after) = after {
        let call = HttpCall::get(
            settings
                .paths
                .links("tickets", text(&state["ticket"]), "notes"),
        )
        .query("limit", "500")
        .query("after", after);
        return FrameContent {
            fetch: vec![Read::new(MORE, call, state)],
            ..FrameContent::default()
        };
    }
    let list = |name: &str| -> Vec<String> {
        serde_json::from_value(state[name].clone()).unwrap_or_default()
    };
    let (own, seen, mut all) = (list("own"), list("seen"), list("ids"));
    all.sort_by_key(|id| id.parse::<u64>().unwrap_or(u64::MAX));
    all.dedup();
    all.retain(|id| own.binary_search(id).is_err());
    let is_taken = state["taken"] == true;
    let new: Vec<String> = all
        .iter()
        .filter(|id| is_taken && !seen.contains(id))
        .cloned()
        .collect();
    let kept = &all[all.len().saturating_sub(SEEN)..];
    let mut seen = json!({"notes": kept, "stage": state["stage"], "owner": state["owner"], "merged": state["merged"]});
    if settings.reply_marker == Marker::All {
        seen["ticket"] = state["ticket"].clone();
    }
    let seen = seen.to_string();
    if new.is_empty() {
        return match state["old"].as_str() == Some(seen.as_str()) {
            true => FrameContent::default(),
            false => heard(pace::fact(text(&state["ticket"]), facts::SEEN, seen)),
        };
    }
    state = json!({"left": new, "queue": [], "seen": seen, "ticket": state["ticket"], "since": state["since"]});
    FrameContent {
        fetch: vec![read_notes(settings, state)],
        ..FrameContent::default()
    }
}

fn read_notes(settings: &Settings, state: Value) -> Read {
    let left = state["left"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let inputs: Vec<Value> = left
        .iter()
        .take(BATCH)
        .map(|id| json!({"id": id}))
        .collect();
    let body =
        json!({"properties": ["hs_note_body"], "propertiesWithHistory": [], "inputs": inputs});
    let call = HttpCall::post(
        format!("{}/batch/read", settings.paths.object("notes")),
        body,
    );
    Read::new(NOTES, call, state)
}

/// Where no word marks a reply, a note that is put on the ticket long after it was written is none.
fn recent(settings: &Settings, state: &Value, notes: &Value) -> Value {
    let since = time(&state["since"]);
    if settings.reply_marker != Marker::All {
        return notes.clone();
    }
    let found = notes["results"].as_array().into_iter().flatten();
    let found = found.filter(|note| time(&note["createdAt"]) >= since);
    json!({"results": found.collect::<Vec<_>>()})
}

/// The texts of new notes: those that are replies are read one by one, as after a webhook.
pub fn notes(settings: &Settings, read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return Ok(
            broken(read, reply)?.unwrap_or_else(|| skipped("the ticket's notes cannot be read"))
        );
    };
    let mut state = read.context.clone();
    let mut queue: Vec<Value> = state["queue"].as_array().cloned().unwrap_or_default();
    queue.extend(note::replies(settings, &recent(settings, &state, &body)));
    // In the order in which they were written, as far as ids tell.
    queue.sort_by_key(|id| text(id).parse::<u64>().unwrap_or(u64::MAX));
    let left: Vec<Value> = state["left"]
        .as_array()
        .into_iter()
        .flatten()
        .skip(BATCH)
        .cloned()
        .collect();
    state["queue"] = json!(queue);
    state["left"] = json!(left);
    if left.is_empty() {
        return Ok(note::proceed(settings, &state, "internal notes"));
    }
    Ok(FrameContent {
        fetch: vec![read_notes(settings, state)],
        ..FrameContent::default()
    })
}

fn join(mut first: FrameContent, second: FrameContent) -> FrameContent {
    first.heard.extend(second.heard);
    first.fetch.extend(second.fetch);
    first
}
