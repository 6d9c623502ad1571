//! What a reply proves about its step's facts.

mod append;
mod contact;
mod notes;
mod reopen;
mod ticket;

use handoffd_contract::{
    Body, Call, Effect, HttpCall, HttpReply, Learned, MediaProblem, Reason, Reply, Step, Stop,
    Verdict,
};
pub use reopen::closed as closed_stages;
use serde_json::Value;

use crate::errors::{faults, is_conflict};
use crate::errors::{otherwise, words};
use crate::facts;
use crate::settings::Settings;

/// What a reply proves.
pub fn read(settings: &Settings, step: &Step, reply: &Reply) -> Verdict {
    let reply = match reply {
        Reply::Http(reply) => reply,
        Reply::Media(problem) => return media(step, *problem),
        Reply::Published(_) => return bug(step),
    };
    match step.name {
        "contact.key" | "contact.email" => contact::look(settings, step, reply),
        "contact.search" => contact::search(settings, step, reply),
        "contact.upsert" => contact::upsert(settings, step, reply),
        "contact.update" => patched(settings, step, reply, "contact"),
        "ticket.pipelines" => ticket::pipelines(step, reply),
        "ticket.owner" => ticket::owner(step, reply),
        "append.list" => append::list(step, reply),
        "append.read" => append::stages(step, reply),
        "append.whose" => append::whose(settings, step, reply),
        "append.mark" => append::mark(step, reply),
        "ticket.create" => ticket::create(step, reply),
        "ticket.look" => ticket::look(step, reply),
        "ticket.thread" => ticket::thread(step, reply),
        "ticket.check" => ticket::check(step, reply),
        "ticket.stage" => reopen::stage(step, reply),
        "ticket.succeed" => reopen::succeeded(step, reply),
        "ticket.closed-stages" => reopen::closed_stages(step, reply),
        "ticket.close" | "ticket.reopen" | "ticket.touch" => {
            patched(settings, step, reply, "ticket")
        }
        "note.create" | "communication.create" | "comment.create" => notes::create(step, reply),
        "note.update" => notes::update(step, reply),
        "notes.list" => notes::list(step, reply),
        "notes.read" => notes::texts(step, reply),
        "comments.look" => notes::comments(step, reply),
        "file.upload" => file_upload(step, reply),
        _ => bug(step),
    }
}

fn bug(step: &Step) -> Verdict {
    Verdict::Never(Stop::new(
        Reason::Bug,
        format!("no reader for the answer to {}", step.name),
    ))
}

/// The `id` of a successful answer.
fn id_of(reply: &HttpReply) -> Option<(String, Value)> {
    let body = reply.json().filter(|_| reply.ok())?;
    let id = id(&body["id"])?;
    Some((id, body))
}

/// An id, whether written as text or as a number.
pub fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

fn context<'s>(step: &'s Step, name: &str) -> &'s str {
    step.context[name].as_str().unwrap_or_default()
}

/// Optional fields that this portal refuses are left out the next time; anything else needs a person.
fn drop_fields(step: &Step, reply: &HttpReply, section: &str, required: &[&str]) -> Verdict {
    let refused = faults(&reply.json().unwrap_or_default());
    let droppable = !refused.is_empty()
        && refused
            .iter()
            .all(|fault| !required.contains(&fault.field.as_str()) && sent(step, &fault.field));
    if !droppable {
        return Verdict::Never(Stop::new(Reason::Invalid, words(step, reply)));
    }
    let dropped = refused
        .iter()
        .map(|fault| Learned::is(facts::drop(section, &fault.field), &fault.code));
    Verdict::Known(dropped.chain(absent(step)).collect())
}

/// The JSON that a step sends.
fn request(step: &Step) -> &Value {
    match &step.call {
        Call::Http(HttpCall {
            body: Body::Json(body),
            ..
        }) => body,
        _ => &Value::Null,
    }
}

/// Whether the request carried this property.
fn sent(step: &Step, field: &str) -> bool {
    let body = request(step);
    [&body["properties"], &body["inputs"][0]["properties"]]
        .iter()
        .any(|properties| !properties[field].is_null())
}

/// Every fact of the step, as absent.
fn absent(step: &Step) -> impl Iterator<Item = Learned> + '_ {
    step.claims.iter().map(|claim| Learned::absent(&claim.fact))
}

/// An update that may be repeated, of the contact or the ticket.
fn patched(settings: &Settings, step: &Step, reply: &HttpReply, section: &str) -> Verdict {
    let done = |how: Option<&str>| {
        let value = |candidate: &Option<String>| {
            how.map(str::to_owned)
                .or_else(|| candidate.clone())
                .unwrap_or_default()
        };
        Verdict::Known(
            step.claims
                .iter()
                .map(|claim| Learned::is(&claim.fact, value(&claim.candidate)))
                .collect(),
        )
    };
    if reply.ok() && reply.json().is_some() {
        let mut verdict = done(None);
        if let (Verdict::Known(learned), "ticket.reopen") = (&mut verdict, step.name) {
            learned.push(Learned::is(facts::TICKET_STATE, "open"));
        }
        return verdict;
    }
    match (step.name, reply.status) {
        // The record is gone: there is nothing left to be brought up to date.
        (_, 404) => done(Some("gone")),
        ("ticket.close" | "ticket.reopen", _) => otherwise(step, reply),
        // Another contact holds a value; it stays with that one, and the rest is written.
        ("contact.update", 400 | 409) => {
            match contact::refused_identity(settings, step, reply, &request(step)["properties"]) {
                Some(learned) => Verdict::Known(learned),
                None if is_conflict(reply, &settings.wa_id_property) => done(Some("taken")),
                None => drop_fields(step, reply, section, &[]),
            }
        }
        // Nothing waits for a standing field.
        ("ticket.touch", 400) => match drop_fields(step, reply, section, &[]) {
            Verdict::Never(_) => done(Some("refused")),
            dropped => dropped,
        },
        (_, 400) => drop_fields(step, reply, section, &[]),
        _ => otherwise(step, reply),
    }
}

fn media(step: &Step, problem: MediaProblem) -> Verdict {
    match problem {
        MediaProblem::Unreachable => Verdict::later(
            Stop::new(Reason::MediaUnavailable, problem.words()),
            Effect::None,
        ),
        gone => Verdict::refused(context(step, "fact"), gone.reason(), gone.words()),
    }
}

fn file_upload(step: &Step, reply: &HttpReply) -> Verdict {
    let refused = |reason, why| Verdict::refused(context(step, "fact"), reason, why);
    match (id_of(reply), reply.status) {
        (Some((id, _)), _) => Verdict::known(context(step, "fact"), id),
        // The plan decides what a portal takes; a file never holds up the conversation.
        (None, 413) => refused(Reason::TooLarge, "the file is larger than HubSpot takes"),
        (None, 403) => refused(
            Reason::Forbidden,
            "handoffd may not upload files to HubSpot (scope files)",
        ),
        (None, 400 | 404 | 405 | 406 | 409 | 410..=415 | 422) => {
            refused(Reason::Invalid, "HubSpot does not take this file")
        }
        _ => otherwise(step, reply),
    }
}
