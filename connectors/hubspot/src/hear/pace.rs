//! How long a ticket is heard: at the set pace while it is open, however long the customer has been
//! silent, and for seven days after it was closed.

use std::time::Duration;

use handoffd_contract::{FrameContent, HttpCall, HttpReply, InboundKind, Known, Refusal, Work};
use handoffd_contract::{Inbound, feed::Read};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{about_ticket, broken, heard, skipped, text, time};
use crate::facts;
use crate::plan::stage_mark;
use crate::read::closed_stages;
use crate::settings::{Settings, is_id};

/// Reads which stages are those of closed tickets.
pub const STAGES: &str = "poll.stages";

/// After so many hours a closed ticket is no longer listened to.
const AT_ALL: i64 = 7 * 24;

/// The pause between two polls; none when the ticket is not listened to any more.
pub fn every(settings: &Settings, work: &Work, known: &Known) -> Option<Duration> {
    let state = known.get(facts::TICKET_STATE).unwrap_or_default();
    let closed = state
        .strip_prefix("closed ")
        .and_then(|at| at.parse::<Timestamp>().ok());
    let is_over = closed.is_some_and(|at| work.now.duration_since(at).as_hours() >= AT_ALL);
    (!is_over).then(|| Duration::from_secs(settings.poll_seconds))
}

/// What a poll must know to tell whether the ticket is closed.
pub fn context(settings: &Settings, work: &Work, known: &Known) -> Value {
    let setting = |setting: Option<&str>, fact: &str| {
        let setting = setting?;
        if is_id(setting) {
            Some(setting.to_owned())
        } else {
            known.get(fact).map(str::to_owned)
        }
    };
    let pipeline = setting(Some(&settings.pipeline), facts::PIPELINE);
    let first = setting(Some(&settings.stage), facts::STAGE);
    let first = pipeline
        .zip(first)
        .map(|(pipeline, stage)| stage_mark(&pipeline, &stage));
    json!({
        "now": work.now, "was": known.get(facts::TICKET_STATE), "closed": known.get(facts::CLOSED_STAGES),
        "first": first, "closed_stage": setting(settings.closed_stage.as_deref(), facts::CLOSED_STAGE),
    })
}

/// What a stage says of the pace, if it says something new.
pub fn stage(
    settings: &Settings,
    context: &Value,
    ticket: &str,
    pipeline: &str,
    stage: &str,
    entered: Option<Timestamp>,
) -> FrameContent {
    let mark = stage_mark(pipeline, stage);
    let is_set = settings.closed_stages.iter().any(|closed| closed == stage)
        || context["closed_stage"] == stage;
    let is_closed = match context["closed"].as_str() {
        _ if is_set => true,
        _ if context["first"] == mark.as_str() => false,
        Some(closed) => closed.split(' ').any(|closed| closed == mark),
        None => {
            let call = HttpCall::get(settings.paths.pipelines());
            let then = json!({"ticket": ticket, "pace": context, "mark": mark, "entered": entered});
            return FrameContent {
                fetch: vec![Read::new(STAGES, call, then)],
                ..FrameContent::default()
            };
        }
    };
    state(context, ticket, is_closed, entered)
}

/// The ticket is closed, or open, or gone.
pub fn state(
    context: &Value,
    ticket: &str,
    is_closed: bool,
    at: Option<Timestamp>,
) -> FrameContent {
    let was_closed = text(&context["was"]).starts_with("closed");
    if was_closed == is_closed {
        return FrameContent::default();
    }
    let now = time(&context["now"]).unwrap_or(Timestamp::MAX);
    heard(told(ticket, is_closed, at.unwrap_or(now)))
}

/// What the ticket's lanes are told of its state.
pub fn told(ticket: &str, is_closed: bool, at: Timestamp) -> Inbound {
    let state = if is_closed {
        format!("closed {at}")
    } else {
        "open".to_owned()
    };
    fact(ticket, facts::TICKET_STATE, state)
}

/// Whether a stage is one of closed tickets, by the settings or by `closed`.
pub fn is_closed(settings: &Settings, closed: &str, pipeline: &str, stage: &str) -> bool {
    let mark = stage_mark(pipeline, stage);
    settings.closed_stages.iter().any(|closed| closed == stage)
        || settings.closed_stage.as_deref() == Some(stage)
        || mark != stage_mark(&settings.pipeline, &settings.stage)
            && closed.split(' ').any(|closed| closed == mark)
}

/// The stages of closed tickets in all pipelines, with the one that the settings name by its label.
pub fn closed_marks(settings: &Settings, pipelines: &Value) -> String {
    let mut closed = closed_stages(pipelines);
    let Some(label) = settings
        .closed_stage
        .as_deref()
        .filter(|stage| !is_id(stage))
    else {
        return closed;
    };
    for pipeline in pipelines["results"].as_array().into_iter().flatten() {
        for stage in pipeline["stages"].as_array().into_iter().flatten() {
            if text(&stage["label"]).trim().eq_ignore_ascii_case(label) {
                let mark = stage_mark(text(&pipeline["id"]), text(&stage["id"]));
                closed.push_str(&format!(" {mark}"));
            }
        }
    }
    closed
}

/// The pipelines' answer.
pub fn stages(read: &Read, reply: &HttpReply) -> Result<FrameContent, Refusal> {
    let Some(body) = reply
        .json()
        .filter(|body| reply.ok() && body["results"].is_array())
    else {
        return Ok(broken(read, reply)?.unwrap_or_else(|| skipped("the pipelines cannot be read")));
    };
    let context = &read.context;
    let (ticket, closed) = (text(&context["ticket"]), closed_stages(&body));
    let is_closed = closed.split(' ').any(|closed| context["mark"] == closed);
    let mut hearing = state(
        &context["pace"],
        ticket,
        is_closed,
        time(&context["entered"]),
    );
    hearing
        .heard
        .push(fact(ticket, facts::CLOSED_STAGES, closed));
    Ok(hearing)
}

/// A fact about the lane of a ticket.
pub fn fact(ticket: &str, name: &str, value: String) -> Inbound {
    Inbound {
        id: format!("fact/{ticket}/{name}"),
        subject: about_ticket(ticket),
        echo: None,
        at: None,
        kind: InboundKind::Facts(vec![(name.to_owned(), value)]),
    }
}
