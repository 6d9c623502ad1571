//! What is known of the tickets that may take a conversation in.

use handoffd_contract::{HttpReply, Learned, Step, Verdict};
use serde_json::Value;

use super::{absent, context, id, id_of};
use crate::errors::otherwise;
use crate::facts;
use crate::plan::{NOT_APPENDED, stage_mark};
use crate::settings::Settings;

/// The contact's tickets, the newest first.
pub(super) fn list(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = results(reply) else {
        return match reply.status {
            404 => Verdict::known(facts::APPEND_LIST, ""),
            _ => otherwise(step, reply),
        };
    };
    let found = body["results"].as_array().into_iter().flatten();
    let mut ids: Vec<String> = found.filter_map(|one| id(&one["toObjectId"])).collect();
    newest_first(&mut ids, |id| id);
    ids.truncate(100);
    Verdict::known(facts::APPEND_LIST, ids.join(" "))
}

/// Their stages.
pub(super) fn stages(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = results(reply) else {
        return otherwise(step, reply);
    };
    let found = body["results"].as_array().into_iter().flatten();
    let mut seen: Vec<(String, String)> = found
        .filter_map(|one| {
            let text = |name: &str| one["properties"][name].as_str().unwrap_or_default();
            let mark = stage_mark(text("hs_pipeline"), text("hs_pipeline_stage"));
            Some((id(&one["id"])?, mark))
        })
        .filter(|(_, mark)| !mark.contains(' '))
        .collect();
    newest_first(&mut seen, |(id, _)| id);
    let seen: Vec<String> = seen
        .iter()
        .map(|(id, mark)| format!("{id}={mark}"))
        .collect();
    Verdict::known(facts::APPEND_OPEN, seen.join(" "))
}

/// Whose ticket it is, and whether it is a conversation's already.
pub(super) fn whose(settings: &Settings, step: &Step, reply: &HttpReply) -> Verdict {
    let fact = context(step, "fact");
    let Some((ticket, body)) = id_of(reply) else {
        return match reply.status {
            404 => Verdict::known(fact, "nobody"),
            _ => otherwise(step, reply),
        };
    };
    let contacts = body["associations"]["contacts"]["results"].as_array();
    let mut contacts: Vec<String> = contacts
        .into_iter()
        .flatten()
        .filter_map(|one| id(&one["id"]))
        .collect();
    contacts.sort();
    contacts.dedup();
    let held = match contacts.as_slice() {
        [one] => one,
        _ => "several",
    };
    let of = body["properties"][&settings.handoff_id_property]
        .as_str()
        .filter(|of| !of.is_empty());
    Verdict::Known(vec![
        Learned::is(fact, held),
        Learned::is(facts::append_id(&ticket), of.unwrap_or(NOT_APPENDED)),
    ])
}

/// The ticket has the session's handoff id, or it cannot take the conversation in after all.
pub(super) fn mark(step: &Step, reply: &HttpReply) -> Verdict {
    match (id_of(reply), reply.status) {
        (Some((ticket, _)), _) => Verdict::known(facts::TICKET, ticket),
        (None, 400 | 404 | 409) => {
            let own = Learned::is(facts::APPEND, NOT_APPENDED);
            Verdict::Known(absent(step).chain([own]).collect())
        }
        _ => otherwise(step, reply),
    }
}

fn results(reply: &HttpReply) -> Option<Value> {
    reply
        .json()
        .filter(|body| matches!(reply.status, 200 | 207) && body["results"].is_array())
}

fn newest_first<T>(list: &mut [T], id: impl Fn(&T) -> &String) {
    list.sort_by_key(|one| std::cmp::Reverse(id(one).parse::<u64>().unwrap_or(0)));
}
