//! The ticket: labels resolved, created, adopted, and whether it is still there.

use handoffd_contract::{HttpReply, Learned, Reason, Step, Stop, Verdict};
use serde_json::Value;

use super::{absent, context, drop_fields, id, id_of, reopen};
use crate::errors::is_conflict;
use crate::errors::otherwise;
use crate::facts;
use crate::plan::THREAD;

pub(super) fn pipelines(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return otherwise(step, reply);
    };
    let is = |entry: &&Value, name: &str| {
        let same = |member: &str| {
            entry[member]
                .as_str()
                .is_some_and(|text| text.trim().eq_ignore_ascii_case(name))
        };
        same("id") || same("label")
    };
    let labels = |entries: &Value| {
        let one = |entry: &Value| {
            format!(
                "{} ({})",
                entry["label"].as_str().unwrap_or("?"),
                entry["id"].as_str().unwrap_or("?")
            )
        };
        entries
            .as_array()
            .into_iter()
            .flatten()
            .take(20)
            .map(one)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let never = |what: &str, name: &str, entries: &Value| {
        let words = format!("HubSpot has no {what} `{name}`; it has {}", labels(entries));
        Verdict::Never(Stop::new(Reason::NotFound, words))
    };
    let wanted = context(step, "pipeline");
    let Some(pipeline) = body["results"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| is(entry, wanted))
    else {
        return never("ticket pipeline", wanted, &body["results"]);
    };
    let mut learned: Vec<Learned> = id(&pipeline["id"])
        .map(|id| Learned::is(facts::PIPELINE, id))
        .into_iter()
        .collect();
    for (name, fact) in [("stage", facts::STAGE), ("closed", facts::CLOSED_STAGE)] {
        let Some(wanted) = step.context[name].as_str() else {
            continue;
        };
        match pipeline["stages"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|entry| is(entry, wanted))
        {
            Some(stage) => learned.extend(id(&stage["id"]).map(|id| Learned::is(fact, id))),
            None => return never("ticket stage", wanted, &pipeline["stages"]),
        }
    }
    Verdict::Known(learned)
}

pub(super) fn owner(step: &Step, reply: &HttpReply) -> Verdict {
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return otherwise(step, reply);
    };
    // Without an owner the ticket is better than no ticket.
    match id(&body["results"][0]["id"]) {
        Some(found) => Verdict::known(facts::OWNER, found),
        None => {
            let email = context(step, "email");
            let why = format!("No HubSpot owner has the address {email}");
            Verdict::refused(facts::OWNER, Reason::NotFound, why)
        }
    }
}

pub(super) fn create(step: &Step, reply: &HttpReply) -> Verdict {
    if let Some((id, body)) = id_of(reply) {
        return Verdict::Known(opened(step, &id, &body, true));
    }
    let key = context(step, "key");
    if is_conflict(reply, key) {
        // It is there already: read it by its key and adopt it.
        return Verdict::Known(
            absent(step)
                .chain([Learned::is(facts::TICKET_CONFLICT, "said")])
                .collect(),
        );
    }
    if reply.status == 400 {
        let required: Vec<&str> = step.context["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        return drop_fields(step, reply, "ticket", &required);
    }
    otherwise(step, reply)
}

/// Everything that a ticket of ours proves. `whole`: its description is the one of this handoff.
fn opened(step: &Step, id: &str, body: &Value, whole: bool) -> Vec<Learned> {
    let mut learned = vec![
        Learned::is(facts::TICKET, id),
        Learned::absent(facts::TICKET_CONFLICT),
    ];
    if let Some(url) = body["url"]
        .as_str()
        .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    {
        learned.push(Learned::is(facts::TICKET_URL, url));
    }
    let thread = body["properties"][THREAD]
        .as_str()
        .filter(|thread| !thread.is_empty())
        .unwrap_or("-");
    for claim in step
        .claims
        .iter()
        .filter(|claim| claim.fact != facts::TICKET)
    {
        let shown = facts::record("tickets", id);
        learned.push(match claim.fact.as_str() {
            fact if fact.starts_with("thread/") => Learned::is(fact, thread),
            fact if !whole => Learned::absent(fact),
            fact => Learned::is(fact, claim.candidate.clone().unwrap_or(shown)),
        });
    }
    learned
}

pub(super) fn look(step: &Step, reply: &HttpReply) -> Verdict {
    // A deleted ticket is nobody's work: the handoff is shown in another one.
    if step.context["conflict"] == "archived" && id_of(reply).is_some() {
        return Verdict::Known(reopen::next_generation(step));
    }
    if let Some((id, body)) = id_of(reply) {
        let content = body["properties"]["content"].as_str().unwrap_or_default();
        return Verdict::Known(opened(
            step,
            &id,
            &body,
            content.contains(context(step, "marker")),
        ));
    }
    match (reply.status, step.context["conflict"].as_str()) {
        (404, None) => Verdict::Absent,
        // Neither among the records nor in the recycle bin, and the id is taken all the same.
        (404, Some("archived")) => Verdict::Known(reopen::next_generation(step)),
        (404, Some(_)) => Verdict::Known(
            absent(step)
                .chain([Learned::is(facts::TICKET_CONFLICT, "archived")])
                .collect(),
        ),
        _ => otherwise(step, reply),
    }
}

pub(super) fn thread(step: &Step, reply: &HttpReply) -> Verdict {
    match (id_of(reply), reply.status) {
        (Some((_, body)), _) => {
            let thread = body["properties"][THREAD]
                .as_str()
                .filter(|thread| !thread.is_empty());
            Verdict::known(context(step, "fact"), thread.unwrap_or("-"))
        }
        (None, 404) => Verdict::Known(vec![
            Learned::is(context(step, "fact"), "-"),
            Learned::is(facts::DOUBT, "404"),
        ]),
        _ => otherwise(step, reply),
    }
}

fn deleted(ticket: &str) -> Verdict {
    Verdict::Never(Stop::new(
        Reason::NotFound,
        format!(
            "ticket {ticket} was deleted in HubSpot, so the conversation is not shown there any more; restore it and retry, or skip"
        ),
    ))
}

pub(super) fn check(step: &Step, reply: &HttpReply) -> Verdict {
    match (id_of(reply), reply.status) {
        (Some(_), _) if step.context["linked"] == false => Verdict::Never(Stop::new(
            Reason::Invalid,
            format!(
                "HubSpot takes no note on ticket {}, although it is there",
                context(step, "ticket")
            ),
        )),
        // The ticket is there, so it is the contact that is gone.
        (Some(_), _) => Verdict::Known(vec![
            Learned::absent(facts::DOUBT),
            Learned::is(facts::CONTACT_GONE, "the contact was not found"),
        ]),
        (None, 404) => match step.context["gone"]
            .as_array()
            .filter(|gone| !gone.is_empty())
        {
            Some(gone) => {
                let given_up = gone
                    .iter()
                    .filter_map(Value::as_str)
                    .map(super::notes::gone);
                Verdict::Known(given_up.collect())
            }
            None => match reopen::renewed(step) {
                Some(learned) => Verdict::Known(learned),
                None => deleted(context(step, "ticket")),
            },
        },
        _ => otherwise(step, reply),
    }
}
