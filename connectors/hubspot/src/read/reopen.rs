//! A ticket's stage, and which stages are those of closed tickets.

use handoffd_contract::{HttpReply, Learned, Step, Verdict};
use serde_json::Value;

use super::{absent, context, id_of};
use crate::errors::otherwise;
use crate::facts;
use crate::plan::stage_mark;

/// The stages of closed tickets, by `metadata.ticketState`.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/pipelines/guide>
pub fn closed(pipelines: &Value) -> String {
    let mut closed = Vec::new();
    for pipeline in pipelines["results"].as_array().into_iter().flatten() {
        let of = pipeline["id"].as_str().unwrap_or_default();
        for stage in pipeline["stages"].as_array().into_iter().flatten() {
            if stage["metadata"]["ticketState"] == "CLOSED" {
                closed.push(stage_mark(of, stage["id"].as_str().unwrap_or_default()));
            }
        }
    }
    closed.join(" ")
}

pub(super) fn closed_stages(step: &Step, reply: &HttpReply) -> Verdict {
    match reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    {
        Some(body) => Verdict::known(facts::CLOSED_STAGES, closed(&body)),
        None => otherwise(step, reply),
    }
}

pub(super) fn stage(step: &Step, reply: &HttpReply) -> Verdict {
    let fact = context(step, "fact");
    match (id_of(reply), reply.status) {
        (Some((id, body)), _) => {
            let text = |name: &str| body["properties"][name].as_str().unwrap_or_default();
            let seen = stage_mark(text("hs_pipeline"), text("hs_pipeline_stage"));
            let mut learned = vec![Learned::is(fact, seen)];
            // An id that is not the one asked for: the ticket was merged.
            if id != context(step, "ticket") {
                learned.push(Learned::is(facts::TICKET, id));
            }
            Verdict::Known(learned)
        }
        (None, 404) => {
            Verdict::Known(renewed(step).unwrap_or_else(|| vec![Learned::is(fact, "gone")]))
        }
        _ => otherwise(step, reply),
    }
}

/// The ticket's conversation was ended, and what came since gets another one. That the ticket was read is
/// of no importance: it is the step by which all its facts give way at once.
pub(super) fn succeeded(step: &Step, reply: &HttpReply) -> Verdict {
    if id_of(reply).is_none() && reply.status != 404 {
        return otherwise(step, reply);
    }
    let Some(mut learned) = renewed(step) else {
        return otherwise(step, reply);
    };
    let (ticket, address) = (context(step, "ticket"), context(step, "address"));
    learned.retain(|one| one.fact != facts::TICKET_BEFORE && one.fact != facts::TICKET_AFTER);
    learned.extend([
        Learned::absent(facts::TICKET_BEFORE),
        Learned::is(facts::TICKET_AFTER, format!("{ticket} {address}")),
        Learned::is(facts::former(ticket), ticket),
        Learned::is(facts::TICKET_FOR, context(step, "for")),
    ]);
    Verdict::Known(learned)
}

/// The ticket is gone, and the handoff gets another one, where it may.
pub(super) fn renewed(step: &Step) -> Option<Vec<Learned>> {
    let generation = step.context["renewal"]["generation"].as_str()?;
    let forget = step.context["renewal"]["forget"].as_array();
    let forgotten = forget.into_iter().flatten().filter_map(Value::as_str);
    let learned = [
        facts::TICKET,
        facts::TICKET_URL,
        facts::TICKET_BY,
        facts::TICKET_AFTER,
        facts::SEEN,
        facts::DOUBT,
    ]
    .into_iter()
    .chain(forgotten)
    .map(Learned::absent)
    .chain([
        Learned::is(facts::TICKET_GENERATION, generation),
        Learned::is(facts::TICKET_BEFORE, context(step, "ticket")),
        Learned::is(facts::TICKET_STATE, "open"),
    ]);
    Some(learned.collect())
}

/// The session's handoff id belongs to a ticket that was deleted: the next one gets another.
pub(super) fn next_generation(step: &Step) -> Vec<Learned> {
    let generation = context(step, "next");
    absent(step)
        .chain([
            Learned::absent(facts::TICKET_CONFLICT),
            Learned::is(facts::TICKET_GENERATION, generation),
            Learned::is(facts::TICKET_BEFORE, "-"),
        ])
        .collect()
}
