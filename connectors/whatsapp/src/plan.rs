//! What to do next for a lane.
//!
//! 1. Statuses are put on record, wherever they stand in the work.
//! 2. Replies go out strictly one after the other. While the window is closed they wait, every one of
//!    them is said to wait, and only templates pass.
//!    Notices to the customer stand in the same order, and never stop it.
//! 3. Events for the gateway go out beside them, in their own order; an ending goes after the replies
//!    before it. When they cannot be published, they are tried again later and no reply waits for that.
//! 4. What a rep does that is no message is shown to the customer beside all that, or not at all.

use handoffd_contract::event::{DeliveryState, RepReply};
use handoffd_contract::{Data, Item, Known, Reason, Refusal, Rendered, Step, Stop, Work};
use serde_json::Value;

use crate::activity;
use crate::changed;
use crate::facts::{self, Lane, Mapped, NewsWaits, Window};
use crate::gateway;
use crate::notice;
use crate::reply::{self, Progress};
use crate::settings::Settings;
use crate::status::{self, Ledger};
use crate::unconfirmed;

/// So many events may come while older news cannot be published. The engine loads 200 at a time
/// unless it is told otherwise.
const KEPT: usize = 100;

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
    let news = news(lane, &replies);
    let mut steps = Vec::new();
    steps.extend(activity::show(lane));
    let waits = match news {
        News::None => None,
        News::Next(step) => {
            steps.push(*step);
            None
        }
        News::Later(waits) => Some(waits),
    };
    match replies.next {
        Ok(more) => steps.extend(more),
        Err(refusal) if steps.is_empty() => return Err(until_news(refusal, waits)),
        Err(_) => {}
    }
    match waits {
        Some(waits) if steps.is_empty() => {
            let words = "session events for the gateway cannot be published; replies go on";
            Err(Refusal::Hold {
                stop: Stop::new(waits.reason, words),
                until: Some(waits.until),
            })
        }
        _ => Ok(steps),
    }
}

/// A reply that waits does not keep the news from being tried again.
fn until_news(refusal: Refusal, news: Option<NewsWaits>) -> Refusal {
    match (refusal, news) {
        (Refusal::Hold { stop, until }, Some(news)) => Refusal::Hold {
            stop,
            until: Some(until.map_or(news.until, |until| until.min(news.until))),
        },
        (refusal, _) => refusal,
    }
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
                // What a rep writes after an ending begins something new, unless the gateway cannot
                // be told of the ending.
                Data::RepEnded(_)
                    if replies.held > n
                        && !lane.known.is(facts::NEWS)
                        && gateway::lacks(lane, item) =>
                {
                    Ok(Vec::new())
                }
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

/// News for the gateway.
enum News {
    /// It has everything that it can have now.
    None,
    /// This comes next.
    Next(Box<Step>),
    /// The last try failed.
    Later(NewsWaits),
}

/// The first event that the gateway does not have yet. One at a time, so that "assigned" and "nobody
/// is assigned any more" cannot pass each other. An ending does not overtake a reply, and news does
/// not overtake an ending unless it waits for a reply that is held.
///
/// While news cannot be published, the oldest of it gives way to what came much later: a lane is given
/// only so many events at a time, and replies are among them.
fn news(lane: Lane<'_>, replies: &Replies) -> News {
    let waits = lane.news().filter(|waits| lane.work.now < waits.until);
    for (n, item) in lane.work.items.iter().enumerate() {
        if !gateway::lacks(lane, item) {
            continue;
        }
        if gateway::is_end(&item.data) {
            if replies.held < n {
                continue;
            }
            if replies.busy < n {
                return News::None;
            }
        }
        let step = match waits {
            None => gateway::notify(lane, item),
            Some(_) if lane.work.items.len() - n > KEPT => gateway::give_up(lane, item),
            Some(waits) => return News::Later(waits),
        };
        return step.map_or(News::None, |step| News::Next(Box::new(step)));
    }
    News::None
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
