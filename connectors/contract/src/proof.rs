//! Plays a connector against its simulator, without a socket, and enumerates mishaps.
//!
//! The suite holds the same loop as the engine, in its smallest form: plan, write down what may
//! happen, call, read, learn; what these do to the facts is the engine's own code ([`lane`]). At every call of the quiet run it lets each [`Mishap`] happen, and at
//! every later call of *that* run each mishap again. Whatever happened, the other side must end as
//! in the quiet run, in the same order, and nothing may wait for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::Connector;
use crate::event::{Contact, Data, Session};
use crate::known::Known;
use crate::lane::{self, Progress};
use crate::sandbox::{Request, Response, Sandbox};
use crate::schema::Schema;
use crate::step::{
    Body, Call, Content, HttpCall, HttpReply, MediaProblem, MediaRef, Publication, Repeat, Reply,
    Step,
};
use crate::verdict::{Refusal, Verdict};
use crate::work::{Item, Work};

/// What can go wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mishap {
    /// The daemon dies after it wrote down the step and before the call left. Other steps of the
    /// same plan are written down too and do not leave either.
    CrashBefore,
    /// The call had its effect; the daemon died, or the answer was lost or came too late.
    AnswerLost,
    /// The call is held up on its way and has its effect after the next call. Only for steps that
    /// may be repeated; what a late blind call does is stated in the connector's README.
    Late,
    /// 429 with `Retry-After: 1`; nothing happened.
    TooMany,
    /// 503; nothing happened.
    Unavailable,
    /// 500 after the effect.
    FailedAfter,
}

impl Mishap {
    /// All of them.
    pub const ALL: &'static [Mishap] = &[
        Mishap::CrashBefore,
        Mishap::AnswerLost,
        Mishap::Late,
        Mishap::TooMany,
        Mishap::Unavailable,
        Mishap::FailedAfter,
    ];
}

/// A connector, its simulator and a story.
pub struct Stage<'a> {
    /// The connector.
    pub connector: &'a dyn Connector,
    /// A fresh simulator.
    pub sandbox: &'a dyn Fn() -> Box<dyn Sandbox>,
    /// The part of the simulator's view that must not depend on mishaps.
    pub outcome: &'a dyn Fn(&Value) -> Value,
    /// An attachment's bytes.
    pub media: &'a dyn Fn(&MediaRef) -> Result<Vec<u8>, MediaProblem>,
    /// The session.
    pub session: Session,
    /// The customer.
    pub contact: Contact,
    /// When the story begins.
    pub start: Timestamp,
    /// When the customer last wrote.
    pub last_inbound: Option<Timestamp>,
    /// What arrives, in order; each chapter is worked off before the next arrives.
    pub chapters: Vec<Vec<Item>>,
}

/// What the suite did.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Calls of the quiet run.
    pub calls: usize,
    /// The longest chain of calls of the quiet run that had to wait for each other.
    pub round_trips: usize,
    /// Runs with mishaps.
    pub runs: usize,
    /// The quiet run's outcome.
    pub outcome: Value,
    /// The quiet run's facts.
    pub known: Known,
    /// Events that the quiet run recorded, by id.
    pub events: BTreeMap<String, Data>,
}

struct Run {
    outcome: Value,
    calls: usize,
    round_trips: usize,
    known: Known,
    events: BTreeMap<String, Data>,
    log: Vec<String>,
}

/// Plays the quiet run, then every run with up to `depth` mishaps (0, 1 or 2).
///
/// # Panics
/// When a run ends otherwise than the quiet run, parks, or does not end.
#[must_use]
pub fn prove(stage: &Stage<'_>, depth: usize) -> Report {
    let quiet = match play(stage, &BTreeMap::new()) {
        Ok(run) => run,
        Err(error) => panic!("the quiet run failed: {error}"),
    };
    let mut runs = 0;
    let check = |mishaps: &BTreeMap<usize, Mishap>| -> usize {
        match play(stage, mishaps) {
            Ok(run) => {
                assert!(
                    run.outcome == quiet.outcome,
                    "with {mishaps:?} the other side ended otherwise\n--- calls\n{}\n--- quiet\n{:#}\n--- now\n{:#}",
                    run.log.join("\n"),
                    quiet.outcome,
                    run.outcome
                );
                let ids = |events: &BTreeMap<String, Data>| {
                    events.keys().cloned().collect::<BTreeSet<_>>()
                };
                assert_eq!(
                    ids(&run.events),
                    ids(&quiet.events),
                    "with {mishaps:?} other events were recorded"
                );
                run.calls
            }
            Err(error) => panic!("with {mishaps:?}: {error}"),
        }
    };
    if depth > 0 {
        for first in 0..quiet.calls {
            for mishap in Mishap::ALL {
                let mut mishaps = BTreeMap::from([(first, *mishap)]);
                let calls = check(&mishaps);
                runs += 1;
                if depth > 1 {
                    for second in first + 1..calls {
                        for other in Mishap::ALL {
                            mishaps.insert(second, *other);
                            check(&mishaps);
                            runs += 1;
                            mishaps.remove(&second);
                        }
                    }
                }
            }
        }
    }
    Report {
        calls: quiet.calls,
        round_trips: quiet.round_trips,
        runs,
        outcome: quiet.outcome,
        known: quiet.known,
        events: quiet.events,
    }
}

/// Reads the schema from the simulator, as the daemon does: what is left is asked until nothing is. At every
/// read each mishap is tried once more: an answer that is none teaches nothing, and the read made again ends
/// in the same schema.
///
/// # Panics
/// When reading is no function, does not end, or ends otherwise after a mishap.
#[must_use]
pub fn prove_schema(connector: &dyn Connector, sandbox: &dyn Fn() -> Box<dyn Sandbox>) -> Schema {
    let quiet = read_schema(connector, &mut *sandbox(), None);
    for at in 0..quiet.answered.len() {
        for status in [401, 429, 500, 503] {
            let again = read_schema(connector, &mut *sandbox(), Some((at, status)));
            assert_eq!(again, quiet, "with {status} at read {at}");
        }
    }
    quiet
}

/// The most reads of one schema.
const MAX_READS: usize = 500;

fn read_schema(
    connector: &dyn Connector,
    sandbox: &mut dyn Sandbox,
    mut mishap: Option<(usize, u16)>,
) -> Schema {
    let mut known = connector.schema();
    let mut now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56);
    for at in 0.. {
        assert!(at < MAX_READS, "no end after {MAX_READS} reads");
        let left = connector.schema_reads(&known);
        assert_eq!(
            left,
            connector.schema_reads(&known),
            "reading is no function"
        );
        let Some(read) = left.first() else { break };
        now += SignedDuration::from_secs(1);
        let no_file = |_: &MediaRef| Err(MediaProblem::Gone);
        let Ok(request) = encode(&read.call, sandbox, now, &no_file) else {
            panic!("{}: a read carries no file", read.what)
        };
        let response = sandbox.handle(now, &request);
        let mut reply = HttpReply {
            status: response.status,
            headers: response.headers,
            body: response.body,
        };
        if let Some((when, status)) = mishap
            && when == at
        {
            mishap = None;
            let sound = std::mem::replace(
                &mut reply,
                HttpReply {
                    status,
                    ..HttpReply::default()
                },
            );
            let told = connector.schema_told(read, &reply, known.clone());
            assert!(told.is_err(), "{}: {status} is no answer", read.what);
            reply = sound;
        }
        let told = connector.schema_told(read, &reply, known.clone());
        assert_eq!(
            told,
            connector.schema_told(read, &reply, known),
            "no function"
        );
        known = match told {
            Ok(told) => told,
            Err(words) => panic!("{}: {words}", read.what),
        };
        assert!(known.has(&read.what), "{} stays to be read", read.what);
    }
    known
}

const MAX_ROUNDS: usize = 4_000;

fn play(stage: &Stage<'_>, mishaps: &BTreeMap<usize, Mishap>) -> Result<Run, String> {
    let mut sandbox = (stage.sandbox)();
    let mut now = stage.start;
    let mut run = Run {
        outcome: Value::Null,
        calls: 0,
        round_trips: 0,
        known: Known::default(),
        events: BTreeMap::new(),
        log: Vec::new(),
    };
    let mut late: Option<Request> = None;
    let mut items: Vec<Item> = Vec::new();
    for chapter in &stage.chapters {
        let is_passed = items.is_empty()
            && chapter
                .iter()
                .all(|item| !stage.connector.acts_on(&item.data));
        items.extend(chapter.iter().cloned());
        let mut rounds = 0;
        loop {
            rounds += 1;
            if rounds > MAX_ROUNDS {
                return Err(format!(
                    "no end after {MAX_ROUNDS} rounds\n{}",
                    tail(&run.log)
                ));
            }
            let work = Work {
                target: "crm".into(),
                session: stage.session.clone(),
                contact: stage.contact.clone(),
                items: items.clone(),
                last_inbound: stage.last_inbound,
                now,
                controller: crate::Controller::queued(None),
            };
            let steps = match stage.connector.next(&work, &run.known) {
                Ok(steps) if is_passed && !steps.is_empty() => {
                    let kinds: Vec<_> = items.iter().map(|item| item.data.kind()).collect();
                    return Err(format!(
                        "it plans {} for {kinds:?}, on which it says that it does not act",
                        steps[0].name
                    ));
                }
                Ok(steps) if steps.is_empty() => {
                    items.clear();
                    break;
                }
                Ok(steps) => steps,
                Err(Refusal::Hold {
                    until: Some(until), ..
                }) => {
                    now = until.max(now + SignedDuration::from_millis(1));
                    continue;
                }
                Err(Refusal::Hold { until: None, .. }) => break,
                Err(Refusal::Park(stop)) => {
                    return Err(format!("parked: {stop:?}\n{}", tail(&run.log)));
                }
            };
            if stage.connector.next(&work, &run.known) != Ok(steps.clone()) {
                return Err("next is not a function".into());
            }
            now = wave(
                stage,
                &mut *sandbox,
                &mut run,
                &mut late,
                mishaps,
                steps,
                now,
            )?;
        }
    }
    if let Some(request) = late.take() {
        sandbox.handle(now, &request);
    }
    run.outcome = (stage.outcome)(&sandbox.view());
    Ok(run)
}

fn tail(log: &[String]) -> String {
    log[log.len().saturating_sub(40)..].join("\n")
}

/// Carries out one plan, as the engine does: everything is written down first.
fn wave(
    stage: &Stage<'_>,
    sandbox: &mut dyn Sandbox,
    run: &mut Run,
    late: &mut Option<Request>,
    mishaps: &BTreeMap<usize, Mishap>,
    steps: Vec<Step>,
    mut now: Timestamp,
) -> Result<Timestamp, String> {
    let before = run.known.clone();
    let unsure = lane::intend(&before, &steps, now).map_err(|bad| bad.to_string())?;
    run.known.0.extend(unsure);
    let mut called = false;
    let mut wait = SignedDuration::ZERO;
    for step in steps {
        let request = match &step.call {
            Call::Record(record) => {
                for (name, value) in &record.facts {
                    run.known.set(name.clone(), value.clone());
                }
                run.events.extend(record.events.iter().cloned());
                run.log.push(format!("record {}", step.name));
                continue;
            }
            Call::Http(call) => encode(call, sandbox, now, stage.media),
            Call::Publish(publish) => Ok(Request {
                method: "PUBLISH".into(),
                path: format!("/{}/{}", publish.exchange, publish.routing_key),
                headers: vec![("message-id".into(), publish.message_id.clone())],
                body: publish.body.to_string().into_bytes(),
                ..Request::default()
            }),
        };
        let request = match request {
            Ok(request) => request,
            Err(problem) => {
                apply(
                    &mut run.known,
                    &before,
                    &step,
                    stage.connector.read(&step, &Reply::Media(problem)),
                    &mut wait,
                )?;
                continue;
            }
        };
        let mishap = mishaps.get(&run.calls).copied();
        let mut line = format!("{} {} {}", run.calls, step.name, request.path);
        run.calls += 1;
        called = true;
        now += SignedDuration::from_millis(40);
        let status = |status: u16| Response::empty(status).with("retry-after", "1");
        let response = match mishap {
            None => Some(sandbox.handle(now, &request)),
            Some(Mishap::CrashBefore) => {
                run.log.push(format!("{line} crash before"));
                return Ok(now + SignedDuration::from_secs(2));
            }
            Some(Mishap::AnswerLost) => {
                sandbox.handle(now, &request);
                None
            }
            Some(Mishap::Late) if step.repeat == Repeat::Blind || late.is_some() => {
                Some(sandbox.handle(now, &request))
            }
            Some(Mishap::Late) => {
                *late = Some(request);
                run.log.push(format!("{line} held up"));
                wait = wait.max(SignedDuration::from_secs(2));
                continue;
            }
            Some(Mishap::TooMany) => Some(status(429)),
            Some(Mishap::Unavailable) => Some(status(503)),
            Some(Mishap::FailedAfter) => {
                sandbox.handle(now, &request);
                Some(Response::text(500, "Internal Server Error"))
            }
        };
        if let Some(request) = late.take() {
            sandbox.handle(now, &request);
        }
        let _ = write!(
            line,
            " -> {mishap:?} {:?}",
            response.as_ref().map(|r| r.status)
        );
        run.log.push(line);
        match response {
            None => wait = wait.max(SignedDuration::from_secs(2)),
            Some(response) => {
                let reply = reply(&step, response);
                let verdict = stage.connector.read(&step, &reply);
                if stage.connector.read(&step, &reply) != verdict {
                    return Err(format!("read of {} is not a function", step.name));
                }
                apply(&mut run.known, &before, &step, verdict, &mut wait)?;
            }
        }
    }
    run.round_trips += usize::from(called);
    Ok(now + wait)
}

/// Learns from a verdict; what stands in the way makes `wait` longer.
fn apply(
    known: &mut Known,
    before: &Known,
    step: &Step,
    verdict: Verdict,
    wait: &mut SignedDuration,
) -> Result<(), String> {
    match lane::settle(known, before, step, verdict) {
        Progress::Moved | Progress::Still => {}
        Progress::Later { after, .. } => {
            let after = after.and_then(|d| SignedDuration::try_from(d).ok());
            *wait = (*wait).max(after.unwrap_or(SignedDuration::from_secs(1)));
        }
        Progress::Never(stop) => return Err(format!("{} can never be: {stop:?}", step.name)),
    }
    Ok(())
}

fn reply(step: &Step, response: Response) -> Reply {
    if matches!(step.call, Call::Publish(_)) {
        return Reply::Published(match response.status {
            200 => Publication::Confirmed,
            404 => Publication::Unroutable {
                words: "NO_ROUTE".into(),
            },
            _ => Publication::Refused,
        });
    }
    Reply::Http(HttpReply {
        status: response.status,
        headers: response
            .headers
            .into_iter()
            .map(|(n, v)| (n.to_ascii_lowercase(), v))
            .collect(),
        body: response.body,
    })
}

/// Writes a call as the request that a simulator takes.
///
/// # Errors
/// An attachment's bytes could not be had.
pub fn encode(
    call: &HttpCall,
    sandbox: &mut dyn Sandbox,
    now: Timestamp,
    media: &dyn Fn(&MediaRef) -> Result<Vec<u8>, MediaProblem>,
) -> Result<Request, MediaProblem> {
    let mut headers: Vec<(String, String)> = call
        .headers
        .iter()
        .map(|(n, v)| (n.to_ascii_lowercase(), v.clone()))
        .collect();
    headers.extend(sandbox.sign_in(now, &call.auth));
    let fetch = |wanted: &MediaRef| {
        let bytes = media(wanted)?;
        if bytes.len() as u64 > wanted.max_bytes {
            Err(MediaProblem::TooLarge)
        } else {
            Ok(bytes)
        }
    };
    let has_type = headers.iter().any(|(n, _)| n == "content-type");
    let mut mime = |value: &str| {
        if !has_type {
            headers.push(("content-type".into(), value.to_owned()));
        }
    };
    let body = match &call.body {
        Body::Empty => Vec::new(),
        Body::Json(value) => {
            mime("application/json");
            value.to_string().into_bytes()
        }
        Body::Form(fields) => {
            mime("application/x-www-form-urlencoded");
            let pairs: Vec<String> = fields
                .iter()
                .map(|(n, v)| format!("{}={}", crate::text::encode(n), crate::text::encode(v)))
                .collect();
            pairs.join("&").into_bytes()
        }
        Body::Media(wanted) => {
            mime(&wanted.mime());
            fetch(wanted)?
        }
        Body::JsonWithFile(wanted) => {
            mime("application/json");
            let (before, after) = wanted.around();
            let data = STANDARD.encode(fetch(&wanted.media)?);
            format!("{before}{data}{after}").into_bytes()
        }
        Body::Multipart(parts) => {
            mime("multipart/form-data; boundary=proof-boundary");
            let mut out = Vec::new();
            for part in parts {
                out.extend_from_slice(
                    format!(
                        "--proof-boundary\r\nContent-Disposition: form-data; name=\"{}\"",
                        part.name
                    )
                    .as_bytes(),
                );
                if let Some(name) = &part.file_name {
                    out.extend_from_slice(format!("; filename=\"{name}\"").as_bytes());
                }
                if let Some(mime) = &part.mime {
                    out.extend_from_slice(format!("\r\nContent-Type: {mime}").as_bytes());
                }
                out.extend_from_slice(b"\r\n\r\n");
                match &part.content {
                    Content::Text(text) => out.extend_from_slice(text.as_bytes()),
                    Content::Media(wanted) => out.extend_from_slice(&fetch(wanted)?),
                }
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"--proof-boundary--\r\n");
            out
        }
    };
    Ok(Request {
        method: call.method.as_str().to_owned(),
        path: call.path.clone(),
        query: call.query.clone(),
        headers,
        body,
    })
}
