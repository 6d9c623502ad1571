//! One step: budget, call, verdict.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use handoffd_contract::event::AttachmentKind;
use handoffd_contract::{
    Attachment, Auth, Call, Effect, MediaProblem, MediaRef, Publication, Publish, Reason, Reply,
    Settled, Source, Step, Stop, Verdict, Work,
};
use jiff::Timestamp;
use metrics::{counter, histogram};
use serde_json::Value;

use super::Engine;
use super::lease::LeaseGuard;
use crate::ledger::{Attempt, Lease};
use crate::metrics as names;
use crate::publisher::PublishError;
use crate::target::Target;
use crate::wire::{Failure, redact};

/// A step waits at most so long for a budget inside the worker; for longer, the lane is left.
const SHORT_WAIT: Duration = Duration::from_millis(1_500);

/// News beside the lane's own work keeps it waiting at most so long.
const ASIDE: Duration = Duration::from_secs(5);

/// How long a lane is left that may not be ours any more.
const NOT_FIRM: Duration = Duration::from_secs(1);

/// The largest file that a message to the gateway carries, in bytes. In base64 it is a third longer,
/// and RabbitMQ 4 takes messages of 16 MiB by default.
const MAX_CARRIED: u64 = 11 << 20;

/// What became of a step.
pub enum Outcome {
    /// It was not called: the budget is empty for so long, or the lane may not be ours any more.
    Deferred(Duration),
    /// It was not called: its time is over, and another plan is needed.
    Expired,
    /// It was called, and this is what it proves.
    Judged(Attempt, Verdict),
    /// It was called and no whole reply came: what it claims stays unsure.
    Lost(Attempt, Stop),
}

/// Carries out one step that leaves the process. Whatever it claims is written down already.
/// `tried`: how often the source of its file could not be reached before. `work`: what the step is
/// for; what was written in it is kept out of the other side's words.
pub async fn perform(
    engine: &Engine,
    target: &Target,
    lease: &Lease,
    guard: &LeaseGuard<'_>,
    step: &Step,
    tried: u32,
    work: Option<&Work>,
) -> Outcome {
    if let Err(wait) = spend(target, step).await {
        return Outcome::Deferred(wait);
    }
    if !guard.still_held().await {
        return Outcome::Deferred(NOT_FIRM);
    }
    if step.not_after.is_some_and(|limit| Timestamp::now() > limit) {
        return Outcome::Expired;
    }
    let started_at = Timestamp::now();
    let started = Instant::now();
    let redacted = |stop: Stop| match work {
        Some(work) => Stop::new(stop.reason, redact::message_texts(&stop.message, work)),
        None => stop,
    };
    let answer = call(engine, target, &lease.session, step, tried);
    let answer = if step.aside.is_some() {
        tokio::time::timeout(ASIDE, answer)
            .await
            .unwrap_or_else(|_| {
                let words = format!("no answer within {} s", ASIDE.as_secs());
                Err(Failure::Lost(Stop::new(Reason::TimedOut, words)))
            })
    } else {
        answer.await
    };
    let took = started.elapsed();
    let mut attempt = Attempt {
        step: step.name.to_owned(),
        call: called(step),
        started_at,
        millis: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        status: None,
        outcome: String::new(),
        stop: None,
    };
    let outcome = match answer {
        Ok(reply) => {
            if let Reply::Http(http) = &reply {
                attempt.status = Some(http.status);
            }
            judge(target, step, reply, attempt, started, work).await
        }
        Err(Failure::Media(problem)) => {
            judge(target, step, Reply::Media(problem), attempt, started, work).await
        }
        Err(Failure::NotSent(stop)) => {
            let stop = redacted(stop);
            record_failure(target, step, &stop);
            attempt.outcome = "later".into();
            attempt.stop = Some(stop.clone());
            Outcome::Judged(attempt, Verdict::later(stop, Effect::None))
        }
        Err(Failure::Lost(stop)) => {
            let stop = redacted(stop);
            record_failure(target, step, &stop);
            attempt.outcome = "lost".into();
            attempt.stop = Some(stop.clone());
            Outcome::Lost(attempt, stop)
        }
    };
    if let Outcome::Judged(attempt, _) | Outcome::Lost(attempt, _) = &outcome {
        report(target, lease, attempt, took);
    }
    outcome
}

async fn spend(target: &Target, step: &Step) -> Result<(), Duration> {
    if !matches!(step.call, Call::Http(_)) {
        return Ok(());
    }
    let mut waited = Duration::ZERO;
    loop {
        match target.budgets.take(&step.spends) {
            Ok(()) => return Ok(()),
            Err(wait) if waited + wait > SHORT_WAIT => return Err(wait),
            Err(wait) => {
                let wait = wait.max(Duration::from_millis(2));
                waited += wait;
                tokio::time::sleep(wait).await;
            }
        }
    }
}

async fn call(
    engine: &Engine,
    target: &Target,
    session: &str,
    step: &Step,
    tried: u32,
) -> Result<Reply, Failure> {
    match &step.call {
        Call::Http(http) => match target.wire.send_in(session, http).await {
            Ok(reply) => Ok(Reply::Http(reply)),
            // A source that stays silent is given up after some tries, so that the handoff goes on.
            Err(Failure::Media(MediaProblem::Unreachable))
                if tried + 1 >= engine.settings.media_tries =>
            {
                Err(Failure::Media(MediaProblem::Gone))
            }
            Err(failure) => Err(failure),
        },
        Call::Publish(publish) => match engine
            .publisher
            .publish(&*with_inlined_files(engine, tried, publish).await?)
            .await
        {
            Ok(publication) => Ok(Reply::Published(publication)),
            Err(PublishError::NotConfigured) => Err(Failure::NotSent(Stop::new(
                Reason::Unroutable,
                "no broker is configured to publish to",
            ))),
            Err(PublishError::Unreachable(words)) => {
                Err(Failure::NotSent(Stop::new(Reason::Unreachable, words)))
            }
            Err(PublishError::Lost(words)) => {
                Err(Failure::Lost(Stop::new(Reason::TimedOut, words)))
            }
        },
        // Records never come here: they are written by the lane in the plan's own transaction.
        Call::Record(_) => Ok(Reply::Published(Publication::Confirmed)),
    }
}

/// A message whose files the gateway can fetch: one that only the CRM's own sign-in opens is put
/// into the message.
async fn with_inlined_files<'a>(
    engine: &Engine,
    tried: u32,
    publish: &'a Publish,
) -> Result<Cow<'a, Publish>, Failure> {
    let mut places = Vec::new();
    find_closed(&publish.body, String::new(), &mut places);
    if places.is_empty() {
        return Ok(Cow::Borrowed(publish));
    }
    let mut publish = publish.clone();
    for (place, source) in places {
        let attachment = Attachment {
            id: String::new(),
            kind: AttachmentKind::Other,
            mime: None,
            name: None,
            size: None,
            caption: None,
            transcript: None,
            source: Some(source),
        };
        let wanted = MediaRef {
            attachment,
            max_bytes: MAX_CARRIED,
        };
        let data = match engine.library.inline(&wanted).await {
            Err(MediaProblem::Unreachable) if tried + 1 >= engine.settings.media_tries => {
                return Err(Failure::Media(MediaProblem::Gone));
            }
            other => other.map_err(Failure::Media)?,
        };
        if let Some(slot) = publish.body.pointer_mut(&place) {
            *slot = serde_json::json!({"from": "inline", "data": data});
        }
    }
    Ok(Cow::Owned(publish))
}

/// Where in a message there are sources that want a target's own sign-in.
fn find_closed(value: &Value, place: String, found: &mut Vec<(String, Source)>) {
    match value {
        Value::Object(members) => {
            if members.get("from").is_some_and(|from| from == "target")
                && let Ok(source) = serde_json::from_value::<Source>(value.clone())
            {
                found.push((place, source));
                return;
            }
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                find_closed(member, format!("{place}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                find_closed(item, format!("{place}/{n}"), found);
            }
        }
        _ => {}
    }
}

async fn judge(
    target: &Target,
    step: &Step,
    reply: Reply,
    mut attempt: Attempt,
    sent_at: Instant,
    work: Option<&Work>,
) -> Outcome {
    let mut verdict = target.connector.read(step, &reply);
    if let Verdict::Later { stop, .. } | Verdict::Never(stop) = &mut verdict {
        let words = target.wire.conceal(&stop.message);
        let words = work.map_or_else(|| words.clone(), |work| redact::message_texts(&words, work));
        stop.message = words;
    }
    // A refusal is told to a rep: what the other side says of it may repeat the key that it was shown.
    if let Verdict::Known(learned) = &mut verdict {
        for one in learned {
            if let Some(Settled::Refused(stop)) = &mut one.value {
                stop.message = target.wire.conceal(&stop.message);
            }
        }
    }
    let (word, stop) = match &verdict {
        Verdict::Known(_) => ("known", None),
        Verdict::Absent => ("absent", None),
        Verdict::Later { stop, .. } => ("later", Some(stop.clone())),
        Verdict::Never(stop) => ("never", Some(stop.clone())),
    };
    word.clone_into(&mut attempt.outcome);
    attempt.stop.clone_from(&stop);
    if let (Verdict::Never(_), Some(stop)) = (&verdict, &stop)
        && stop.reason == Reason::EndpointGone
    {
        tracing::warn!(target_name = %target.name, message = %stop.message, "the endpoint wants no more events");
        target.breaker.refuse(Some(stop.clone()));
    }
    match (&verdict, &stop) {
        (Verdict::Later { after, .. }, Some(stop)) => {
            if stop.reason == Reason::Unauthorized {
                target.wire.reject(auth(step), sent_at).await;
            }
            if let (Reason::RateLimited, Some(after)) = (stop.reason, after) {
                target.budgets.pause(Instant::now() + *after);
            }
            record_failure(target, step, stop);
        }
        // The target answered on purpose, be it with a refusal.
        _ => {
            let answered = attempt.status.is_some() || matches!(reply, Reply::Published(_));
            if answered && uses_primary_transport(target, step) && target.breaker.success() {
                tracing::info!(target_name = %target.name, "the target answers again");
            }
        }
    }
    Outcome::Judged(attempt, verdict)
}

/// The method and path of a call by HTTP, without its query, which may hold what people wrote.
fn called(step: &Step) -> Option<String> {
    const LONGEST: usize = 200;
    let Call::Http(http) = &step.call else {
        return None;
    };
    let path = http.path.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    };
    // Some records are looked up by an e-mail address, which is nobody's business here.
    let is_address = |part: &str| part.contains('@') || part.contains("%40");
    let parts = path.trim_start_matches('/').split('/');
    let parts = parts.map(|part| if is_address(part) { "…" } else { part });
    let path: String = parts
        .collect::<Vec<_>>()
        .join("/")
        .chars()
        .take(LONGEST)
        .collect();
    Some(format!("{} /{path}", http.method.as_str()))
}

fn auth(step: &Step) -> &Auth {
    match &step.call {
        Call::Http(http) => &http.auth,
        _ => &Auth::None,
    }
}

/// Whether the step takes the way by which everything of the target leaves. A message beside it, such
/// as news for the gateway of a target that sends by its own API, says nothing of the target.
fn uses_primary_transport(target: &Target, step: &Step) -> bool {
    match &step.call {
        Call::Http(_) | Call::Record(_) => true,
        Call::Publish(publish) => target
            .connector
            .exchanges()
            .iter()
            .any(|exchange| exchange.primary && exchange.name == publish.exchange),
    }
}

/// Counts a failure that concerns the target as a whole.
fn record_failure(target: &Target, step: &Step, stop: &Stop) {
    if uses_primary_transport(target, step)
        && stop.reason.class() == handoffd_contract::verdict::Class::Target
        && let Some(wait) = target.breaker.failure(stop)
    {
        tracing::warn!(
            target_name = %target.name,
            reason = stop.reason.label(),
            message = %stop.message,
            seconds = wait.as_secs_f64(),
            "the target failed repeatedly; its lanes wait"
        );
    }
}

/// One wide line and the numbers for one attempt.
fn report(target: &Target, lease: &Lease, attempt: &Attempt, took: Duration) {
    let labels = [
        ("target", target.name.clone()),
        ("step", attempt.step.clone()),
        ("outcome", attempt.outcome.clone()),
    ];
    counter!(names::ATTEMPTS, &labels).increment(1);
    histogram!(names::ATTEMPT_SECONDS, "target" => target.name.clone()).record(took.as_secs_f64());
    tracing::info!(
        target_name = %target.name,
        session = %lease.session,
        step = %attempt.step,
        outcome = %attempt.outcome,
        status = attempt.status,
        millis = attempt.millis,
        failures = lease.attempts,
        reason = attempt.stop.as_ref().map(|stop| stop.reason.label()),
        words = attempt.stop.as_ref().map(|stop| stop.message.as_str()),
        "attempt"
    );
}
