//! What a gateway's answer proves.

use std::time::Duration;

use handoffd_contract::{Check, Effect, Finding, HttpReply, Learned, Reason, Stop, Verdict};
use serde_json::Value;

use super::call::{HttpMemo, LOOK_AGAIN};
use super::description::Gateway;
use super::rules::Place;
use crate::errors::Failure;
use crate::errors::codes::Class;
use crate::facts;

/// At most so many characters of a gateway's own words are told.
const WORDS: usize = 160;

/// The longest id, in bytes.
const MAX_ID: usize = 512;

/// What the answer to a send proves.
pub(crate) fn read(gateway: &Gateway, memo: &HttpMemo, reply: &HttpReply) -> Verdict {
    let answer = reply.json().unwrap_or_default();
    let rule = gateway.rules.iter().find(|rule| rule.holds(reply, &answer));
    let said = said(gateway, &answer);
    if rule.is_none() && reply.ok() {
        return match id(gateway, &gateway.answer.id, &answer) {
            Some(id) => sent(memo, &id),
            None => Verdict::later(
                Stop::new(Reason::ServerError, "answered 2xx without a message id"),
                Effect::Possible,
            ),
        };
    }
    let class = rule.map_or_else(|| by_status(reply.status), |rule| rule.means);
    let tell = rule.and_then(|rule| rule.tell.clone());
    let words = match (tell, said) {
        (Some(tell), Some(said)) => format!("{tell} ({}: {said})", gateway.name),
        (Some(tell), None) => tell,
        (None, Some(said)) => format!("{} says: {said}", gateway.name),
        (None, None) => format!("{} answered {}", gateway.name, reply.status),
    };
    // Where there is no window, nothing opens it again.
    let class = match class {
        Class::Window if !gateway.has_window => Class::Content,
        other => other,
    };
    match class {
        Class::Window => {
            let last = memo.last_inbound.as_ref();
            let closed = last.map(|last| Learned::is(facts::CLOSED, last));
            let absent = Learned::absent(&memo.sent);
            Verdict::Known(std::iter::once(absent).chain(closed).collect())
        }
        class if class.is_final() => Verdict::refused(&memo.sent, class.reason(), words),
        class => crate::read::later(Failure {
            class,
            code: None,
            message: words,
            after: after(reply),
        }),
    }
}

fn sent(memo: &HttpMemo, id: &str) -> Verdict {
    Verdict::Known(vec![
        Learned::is(&memo.sent, id),
        Learned::is(facts::wamid(id), &memo.reference),
        Learned::is(facts::LAST, format!("{} {}", memo.reference, memo.at)),
    ])
}

/// What a status means of which no rule of the gateway's speaks. What a gateway refuses on its own has
/// not been sent; what failed inside may have been.
fn by_status(status: u16) -> Class {
    match status {
        401 | 403 | 407 => Class::Auth,
        408 | 500.. => Class::Ambiguous,
        429 => Class::Number,
        400 | 413 | 415 | 422 => Class::Content,
        _ => Class::Account,
    }
}

fn after(reply: &HttpReply) -> Option<Duration> {
    let seconds = reply.retry_after()?;
    Some(Duration::from_secs(seconds.min(3_600)))
}

/// The id in an answer, in the form in which statuses name it.
fn id(gateway: &Gateway, places: &[Place], answer: &Value) -> Option<String> {
    let whole = places.iter().find_map(|place| place.text(answer))?;
    if whole.len() > MAX_ID {
        return None;
    }
    let part = gateway.answer.part.as_ref();
    let part = part.and_then(|(split, n)| whole.split(split.as_str()).nth(*n));
    Some(
        part.filter(|part| !part.is_empty())
            .map_or(whole.clone(), str::to_owned),
    )
}

/// The gateway's own words for a failure.
fn said(gateway: &Gateway, answer: &Value) -> Option<String> {
    let text = |place: &Place| place.of(answer)?.as_str().map(str::to_owned);
    let words = gateway.answer.words.iter().find_map(text)?;
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(words.chars().take(WORDS).collect()).filter(|words: &String| !words.is_empty())
}

/// An id that a message has before it is sent. Its status proves then that it was sent. A gateway that
/// gives none sends without.
pub(crate) fn had(gateway: &Gateway, memo: &HttpMemo, reply: &HttpReply) -> Verdict {
    let answer = reply.json().unwrap_or_default();
    let places = gateway.ids.as_ref().map(|ids| ids.at.as_slice());
    if reply.ok()
        && let Some(id) = id(gateway, places.unwrap_or_default(), &answer)
    {
        return Verdict::Known(vec![
            Learned::is(&memo.id, &id),
            Learned::is(facts::wamid(&id), &memo.reference),
        ]);
    }
    match by_status(reply.status) {
        Class::Content | Class::Account => {
            let why = format!("{} gives no ids ({})", gateway.name, reply.status);
            Verdict::refused(&memo.id, Reason::Unsupported, why)
        }
        class => crate::read::later(Failure {
            class: match class {
                // Nothing was asked to be sent.
                Class::Ambiguous => Class::Busy,
                other => other,
            },
            code: None,
            message: format!(
                "{} answered {} when asked for an id",
                gateway.name, reply.status
            ),
            after: after(reply),
        }),
    }
}

/// Whether a message is there. That it is not there proves nothing: it may still be on its way.
pub(crate) fn looked(gateway: &Gateway, memo: &HttpMemo, reply: &HttpReply) -> Verdict {
    let answer = reply.json().unwrap_or_default();
    let places = gateway.look.as_ref().map(|look| look.at.as_slice());
    let found = id(gateway, places.unwrap_or_default(), &answer).filter(|_| reply.ok());
    match found {
        Some(found) if memo.known.as_ref() == Some(&found) => sent(memo, &found),
        _ => Verdict::Later {
            stop: Stop::new(
                Reason::Waiting,
                "a message that got no clear answer is not there yet",
            ),
            after: Duration::try_from(LOOK_AGAIN).ok(),
            effect: Effect::None,
        },
    }
}

/// What the reply to a check means.
pub(crate) fn checked(gateway: &Gateway, check: &Check, reply: &HttpReply) -> Finding {
    let asked = gateway.check.as_ref();
    let answer = reply.json().unwrap_or_default();
    let what = format!("{}: {}", check.what, gateway.name);
    if !reply.ok() {
        let remedy = match by_status(reply.status) {
            Class::Auth => "the key is not accepted; compare `access_token` with the gateway's",
            Class::Account => "it is not there; look at `base_url` and `options`",
            _ => "try again later",
        };
        let said = said(gateway, &answer).map_or(String::new(), |said| format!(": {said}"));
        let words = format!("{remedy} (answered {}{said})", reply.status);
        return Finding::missing(what, words);
    }
    let Some((at, wanted)) = asked.and_then(|asked| asked.at.as_ref()) else {
        return Finding::ok(what);
    };
    match at.text(&answer) {
        Some(found) if wanted.is_empty() || wanted.contains(&found) => Finding::ok(what),
        found => {
            let found: String = found.unwrap_or_default().chars().take(60).collect();
            let tell = asked.map_or("", |asked| asked.tell.as_str());
            Finding::missing(
                what,
                format!(
                    "it answers \"{found}\" and not {}; {tell}",
                    wanted.join(" or ")
                ),
            )
        }
    }
}
