//! What to do next for a lane.
//!
//! 1. Statuses are put on record, wherever they stand in the work.
//! 2. Replies go out strictly one after the other. While the window is closed they wait, every one of
//!    them is said to wait, and only templates pass.
//!    Notices to the customer stand in the same order, and never stop it.
//! 3. An ending is passed on, to whoever tells others of it, when no reply stands before it any more.
//! 4. What a rep does that is no message is shown to the customer beside all that, or not at all.

use handoffd_contract::event::{DeliveryState, RepReply, RepliesDone};
use handoffd_contract::{Data, Item, Known, Reason, Refusal, Rendered, Step, Stop, Work};
use serde_json::Value;

use crate::activity;
use crate::changed;
use crate::facts::{self, Lane, Mapped, Window};
use crate::notice;
use crate::reply::{self, Progress};
use crate::settings::Settings;
use crate::status::{self, Ledger};
use crate::unconfirmed;

/// The steps that can be taken now.
///
/// # Errors
/// The window is closed, a status is awaited, or a person is needed.
pub(crate) fn next(settings: &Settings, work: &Work, known: &Known) -> Result<Vec<Step>, Refusal> {
    let lane = Lane {
        settings,
        work,
        known,
    };
    let noted = status::take_in(lane)
        .or_else(|| status::given_up(lane))
        .or_else(|| template(lane));
    if let Some(step) = noted.or_else(|| unconfirmed::tell(lane)) {
        return Ok(vec![step]);
    }
    let replies = Replies::walk(lane);
    let mut steps = Vec::new();
    steps.extend(activity::show(lane));
    steps.extend(endings(lane, &replies));
    match replies.next {
        Ok(more) => steps.extend(more),
        Err(refusal) if steps.is_empty() => return Err(refusal),
        Err(_) => {}
    }
    Ok(steps)
}

/// How the replies of the work stand.
struct Replies {
    /// What comes next for them.
    next: Result<Vec<Step>, Refusal>,
    /// The item that is being worked on; everything before it is done or held.
    busy: usize,
    /// The first item that waits for the window.
    held: usize,
}

impl Replies {
    /// Walks through the replies in order. While the window is closed they wait, every one is said
    /// to wait, and only templates pass.
    fn walk(lane: Lane<'_>) -> Replies {
        let mut replies = Replies {
            next: Ok(Vec::new()),
            busy: usize::MAX,
            held: usize::MAX,
        };
        for (n, item) in lane.work.items.iter().enumerate() {
            let next = match &item.data {
                Data::RepReplied(reply) => match reply::advance(lane, item, reply) {
                    Ok(Progress::Done) => continue,
                    Ok(Progress::Next(steps)) => Ok(steps),
                    Ok(Progress::Held) => match hold(lane, item, reply) {
                        Some(step) => Ok(vec![step]),
                        None => {
                            replies.held = replies.held.min(n);
                            continue;
                        }
                    },
                    Err(refusal) => Err(refusal),
                },
                Data::CustomerNotice(notice) => match notice::advance(lane, item, notice) {
                    Some(step) => Ok(vec![step]),
                    None => continue,
                },
                _ => continue,
            };
            return Replies {
                next,
                busy: n,
                ..replies
            };
        }
        if replies.held < usize::MAX {
            let stop = Stop::new(Reason::WindowClosed, reason(lane.window()));
            replies.next = Err(Refusal::Hold { stop, until: None });
        }
        replies
    }
}

/// Passes on the endings that no reply stands before any more, where somebody tells others of them.
fn endings(lane: Lane<'_>, replies: &Replies) -> Option<Step> {
    if !lane.settings.endings {
        return None;
    }
    let reached = replies.busy.min(replies.held);
    let mut ledger = Ledger::new(lane.known);
    for item in lane.work.items.iter().take(reached) {
        let passed = facts::passed(&item.id);
        if !item.data.is_ending() || lane.known.is(&passed) {
            continue;
        }
        let done = RepliesDone {
            event: item.id.clone(),
            time: item.time,
            ending: Box::new(item.data.clone()),
        };
        ledger.event(passed.clone(), Data::RepliesDone(done));
        ledger.set(passed, "");
    }
    ledger.into_step("ending.pass")
}

/// Tells the rep, once, that a reply waits.
fn hold(lane: Lane<'_>, item: &Item, reply: &RepReply) -> Option<Step> {
    let fact = facts::held(&item.id);
    if lane.known.is(&fact) {
        return None;
    }
    let partly = lane
        .parts(item, reply, lane.window())
        .iter()
        .any(|part| lane.known.is(&facts::sent(&item.id, &part.slot)));
    let what = if partly {
        "The rest of this reply waits"
    } else {
        "This reply waits"
    };
    let detail = format!(
        "{what}: {}. It goes out by itself when the customer writes again.{}",
        reason(lane.window()),
        changed::of_template(lane, item, reply)
    );
    let mut ledger = Ledger::new(lane.known);
    ledger.set(fact.clone(), lane.work.now.to_string());
    if changed::went_inside(lane, item) {
        ledger.set(facts::changed(&item.id), "told");
    }
    ledger.event(
        fact,
        facts::tell(
            &reply.target,
            &reply.message_id,
            DeliveryState::Held,
            Some(detail),
        ),
    );
    ledger.into_step("reply.hold")
}

fn reason(window: Window) -> String {
    match window {
        Window::Closed(Some(end)) => format!("WhatsApp's 24-hour window closed at {}", facts::clock(end)),
        Window::Open(_) | Window::Closed(None) => {
            "WhatsApp's 24-hour window is closed, because the customer has not written within 24 hours".to_owned()
        }
    }
}

/// Keeps the template that a handoff's mapping chose for texts outside the window; the last one
/// counts. Each handoff is noted by itself, so that a part of the work asks for nothing that the
/// whole has settled.
fn template(lane: Lane<'_>) -> Option<Step> {
    lane.work.items.iter().find_map(|item| {
        let Data::HandoffRequested(_) = &item.data else {
            return None;
        };
        let noted = format!("{}/{}", facts::TEMPLATE, item.id);
        let mapped = item
            .rendered
            .as_ref()
            .and_then(mapped)
            .filter(|_| !lane.known.is(&noted))?;
        let mut ledger = Ledger::new(lane.known);
        ledger.set(facts::TEMPLATE.to_owned(), facts::json(&mapped));
        ledger.set(noted, mapped.name);
        ledger.into_step("template.keep")
    })
}

/// The section `template` of a rendered mapping.
fn mapped(rendered: &Rendered) -> Option<Mapped> {
    let section = rendered.sections.get("template")?;
    let parameters = match section.get("parameters") {
        Some(Value::Array(list)) => {
            let text = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            list.iter().map(text).collect()
        }
        Some(Value::String(one)) => vec![one.clone()],
        _ => vec!["{reply}".to_owned()],
    };
    Some(Mapped {
        name: rendered.text("template", "name")?,
        language: rendered.text("template", "language")?,
        parameters,
    })
}
