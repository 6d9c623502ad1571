//! What a connector would call for some work, if everything that it asks were answered well: for people
//! who want to see the requests before any is made. Nothing is called.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::connector::Connector;
use crate::known::{Known, Settled};
use crate::lane::{self, Progress};
use crate::step::{Call, HttpReply, Publication, Reply, Step};
use crate::verdict::Refusal;
use crate::work::Work;

/// The most rounds of planning.
const MAX_ROUNDS: usize = 12;

/// The calls in order, and why there are no more where something stops them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// The steps; records of the ledger's own are left out.
    pub steps: Vec<Step>,
    /// Why nothing more is planned, where a person would be needed.
    pub stop: Option<String>,
}

/// Plans the work against nothing known, and takes every step for done, until `enough` steps are planned.
///
/// What a look finds is nothing; what the other side would choose, such as an id, is a word in angle
/// brackets: `<ticket>`.
#[must_use]
pub fn rehearse(connector: &dyn Connector, work: &Work, enough: usize) -> Rehearsal {
    let mut known = Known::default();
    let mut planned = Vec::new();
    let mut stop = None;
    for _ in 0..MAX_ROUNDS {
        let steps = match connector.next(work, &known) {
            Ok(steps) if steps.is_empty() => break,
            Ok(steps) => steps,
            Err(Refusal::Park(why) | Refusal::Hold { stop: why, .. }) => {
                stop = Some(why.message);
                break;
            }
        };
        let before = known.clone();
        for step in steps {
            suppose(connector, &step, &before, &mut known);
            if !matches!(step.call, Call::Record(_)) {
                planned.push(step);
            }
        }
        if known == before || planned.len() >= enough {
            break;
        }
    }
    planned.truncate(enough);
    Rehearsal {
        steps: planned,
        stop,
    }
}

/// Makes known what the step would establish.
fn suppose(connector: &dyn Connector, step: &Step, before: &Known, known: &mut Known) {
    if let Call::Record(record) = &step.call {
        for (name, value) in &record.facts {
            known.set(name.clone(), value.clone());
        }
        return;
    }
    if step.claims.is_empty() {
        looked(connector, step, before, known);
        return;
    }
    // A step that only looks finds nothing, so that what it looks for is made.
    if step.repeat == crate::Repeat::Safe && looked(connector, step, before, known) {
        return;
    }
    for claim in &step.claims {
        let value = claim
            .candidate
            .clone()
            .unwrap_or_else(|| format!("<{}>", claim.fact));
        known.set(claim.fact.clone(), Settled::from(value));
    }
}

/// Answers a look with nothing, in the forms in which APIs say so; whether that moved anything.
fn looked(connector: &dyn Connector, step: &Step, before: &Known, known: &mut Known) -> bool {
    for reply in nothing(step) {
        let mut then = known.clone();
        let verdict = connector.read(step, &reply);
        let moved = matches!(
            lane::settle(&mut then, before, step, verdict),
            Progress::Moved
        );
        if moved && then != *known {
            *known = then;
            return true;
        }
    }
    false
}

fn nothing(step: &Step) -> Vec<Reply> {
    let http = |status: u16, body: Value| {
        Reply::Http(HttpReply {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        })
    };
    if matches!(step.call, Call::Publish(_)) {
        return vec![Reply::Published(Publication::Confirmed)];
    }
    vec![
        http(
            200,
            json!({"results": [], "value": [], "total": 0, "data": []}),
        ),
        http(
            404,
            json!({"status": "error", "category": "OBJECT_NOT_FOUND", "message": "not there"}),
        ),
        http(200, json!({"responses": []})),
    ]
}

/// The time at which a rehearsal plays: the event's own, so that the same gives the same.
#[must_use]
pub fn moment(work: &Work) -> Timestamp {
    work.items.last().map_or(work.now, |item| item.time)
}
