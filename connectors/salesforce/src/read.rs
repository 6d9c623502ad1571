//! What a reply proves.
//!
//! Statuses are from the facts that Salesforce documents or its own sample client handles; the
//! body's form is not documented, so only its status decides, and its words are for people.
//! <https://github.com/Salesforce-Async-Messaging/messaging-web-api-sample-app>

use handoffd_contract::{
    Effect, HttpReply, Learned, MediaProblem, Reason, Reply, Step, Stop, Verdict,
};
use serde_json::Value;

use crate::errors::{self, common, limited, never};
use crate::facts;
use crate::send::Memo;
use crate::{routing, words};

/// A text of so few UTF-16 units is not split further.
const SHORTEST: usize = 100;

pub(crate) fn read(step: &Step, reply: &Reply) -> Verdict {
    let Ok(context) = serde_json::from_value::<Memo>(step.context.clone()) else {
        return Verdict::Never(Stop::new(Reason::Bug, format!("{}: no context", step.name)));
    };
    match reply {
        Reply::Http(reply) => http(step.name, &context, reply),
        Reply::Media(MediaProblem::Unreachable) => Verdict::later(
            Stop::new(Reason::MediaUnavailable, MediaProblem::Unreachable.words()),
            Effect::None,
        ),
        Reply::Media(problem) => lost(&context, words::no_bytes(*problem)),
        Reply::Published(_) => Verdict::Never(Stop::new(Reason::Bug, "nothing was published")),
    }
}

fn http(name: &str, context: &Memo, reply: &HttpReply) -> Verdict {
    if reply.status == 429 {
        return limited(name, reply);
    }
    if let Some(verdict) = common(reply) {
        return verdict;
    }
    match name {
        "conversation.create" => create(context, reply),
        "message.send" | "file.send" => send(context, reply),
        "message.look" => look(context, reply),
        "session.end" => end(context, reply),
        "reply.acknowledge" => receipt(context, reply),
        _ => Verdict::Never(Stop::new(Reason::Bug, format!("{name}: unknown step"))),
    }
}

fn create(context: &Memo, reply: &HttpReply) -> Verdict {
    match reply.status {
        // 409: the conversation exists, under an id that only we derive.
        200..=299 | 409 => Verdict::Known(success(context)),
        403 => never(Reason::Forbidden, reply),
        404 => never(Reason::NotFound, reply),
        413 => never(Reason::TooLarge, reply),
        _ => match leave_out(context, reply) {
            Some(verdict) => verdict,
            None => never(Reason::Invalid, reply),
        },
    }
}

/// An over-long value is refused, on every first message of a session as at the creation: the handoff
/// goes on without the attribute, and the rep is told. Where the answer speaks of attributes and names
/// none, the longest goes, one after the other.
fn leave_out(context: &Memo, reply: &HttpReply) -> Option<Verdict> {
    let said = errors::words(reply);
    let mut named: Vec<&String> = context
        .optional
        .iter()
        .filter(|name| mentions(&said, name))
        .collect();
    if named.is_empty() && said.to_lowercase().contains("attribute") {
        named.extend(context.optional.first());
    }
    let first = Learned::absent(&context.fact);
    let refused = |name: &&String| Learned::is(routing::refused(name), said.clone());
    (!named.is_empty()).then(|| {
        let refused = named.iter().map(refused);
        Verdict::Known(std::iter::once(first).chain(refused).collect())
    })
}

/// A text or caption that is too long is split smaller, and so is all that follows; when it is short
/// already, a text goes as a file, and a file without its caption. The limit is not documented, so
/// that only the words tell.
fn shorten(context: &Memo, reply: &HttpReply) -> Option<Verdict> {
    let said = errors::words(reply).to_lowercase();
    let long = said.contains("too long")
        || said.contains("maximum length")
        || said.contains("max length")
        || said.contains("exceed") && (said.contains("length") || said.contains("character"))
        || reply.status == 413 && context.fallback.is_none();
    if !long || context.units == 0 {
        return None;
    }
    let half = context.units / 2;
    let mut learned = vec![Learned::absent(&context.fact)];
    if half < SHORTEST {
        learned.push(Learned::is(facts::cut(&context.fact), facts::AS_FILE));
    } else {
        learned.push(Learned::is(facts::cut(&context.fact), half.to_string()));
        learned.push(Learned::is(facts::LIMIT, half.to_string()));
    }
    Some(Verdict::Known(learned))
}

/// A session's end, told by an answer.
fn ended(context: &Memo) -> [Learned; 2] {
    [
        Learned::is(facts::ended(&context.current), facts::FOR_SURE),
        Learned::is(facts::answered(&context.current), context.at.to_string()),
    ]
}

fn send(context: &Memo, reply: &HttpReply) -> Verdict {
    if let 400 | 413 | 422 = reply.status
        && let Some(verdict) = leave_out(context, reply).or_else(|| shorten(context, reply))
    {
        return verdict;
    }
    match reply.status {
        200..=299 | 409 => Verdict::Known(success(context)),
        // The messaging session has ended: the same id goes out again in a new one.
        417 | 403 if !context.new_session => Verdict::Known(
            std::iter::once(Learned::absent(&context.fact))
                .chain(ended(context))
                .collect(),
        ),
        417 => Verdict::later(
            Stop::new(Reason::SessionEnded, errors::words(reply)),
            Effect::None,
        ),
        413 if context.fallback.is_some() => lost(context, words::no_bytes(MediaProblem::TooLarge)),
        415 if context.fallback.is_some() => lost(context, words::type_refused()),
        // Nothing may come after an optional file; whether the conversation itself is unusable, the
        // line that stands for the file finds out.
        400..=499 if context.fallback.is_some() && reply.status != 404 => {
            lost(context, words::refused(context.fallback.as_deref()))
        }
        403 | 404 if context.may_replace => replace(context),
        403 => never(Reason::Forbidden, reply),
        404 => never(Reason::NotFound, reply),
        413 => never(Reason::TooLarge, reply),
        _ => never(Reason::Invalid, reply),
    }
}

fn look(context: &Memo, reply: &HttpReply) -> Verdict {
    let absent = Verdict::Known(vec![Learned::absent(&context.fact)]);
    match reply.status {
        200..=299 => {
            let body = reply.json().unwrap_or_default();
            let Some(entries) = body["conversationEntries"].as_array() else {
                return Verdict::later(
                    Stop::new(Reason::ServerError, "the entries list came without entries"),
                    Effect::None,
                );
            };
            let ours = |entry: &Value| entry["identifier"].as_str() == Some(context.value.as_str());
            if entries.iter().any(ours) {
                Verdict::Known(success(context))
            } else {
                absent
            }
        }
        // The conversation is not usable, so nothing came to be in it; sending again finds out why.
        403 | 404 | 409 | 410 | 417 => absent,
        _ => never(Reason::Invalid, reply),
    }
}

fn end(context: &Memo, reply: &HttpReply) -> Verdict {
    match reply.status {
        // Whatever says that there is no session to end says that it is ended.
        200..=299 | 403 | 404 | 409 | 410 | 417 => Verdict::Known(vec![
            Learned::is(&context.fact, &context.value),
            Learned::is(facts::ended(&context.current), facts::FOR_SURE),
        ]),
        _ => never(Reason::Invalid, reply),
    }
}

/// A receipt is a courtesy: nothing stops for one that is not taken.
fn receipt(context: &Memo, reply: &HttpReply) -> Verdict {
    if reply.ok() {
        Verdict::known(&context.fact, &context.value)
    } else {
        let why = format!("answered {}", reply.status);
        Verdict::refused(&context.fact, Reason::Invalid, why)
    }
}

fn success(context: &Memo) -> Vec<Learned> {
    let mut learned = vec![Learned::is(&context.fact, &context.value)];
    learned.extend(
        context
            .learn
            .iter()
            .map(|(fact, settled)| Learned::is(fact, settled)),
    );
    learned
}

/// A file was not taken: a line will stand for it.
fn lost(context: &Memo, why: Stop) -> Verdict {
    match &context.fallback {
        Some(fallback) if *fallback == context.fact => Verdict::known(fallback, why),
        Some(fallback) => Verdict::Known(vec![
            Learned::absent(&context.fact),
            Learned::is(fallback, why),
        ]),
        None => Verdict::Never(Stop::new(Reason::Bug, "a text has no bytes to fetch")),
    }
}

/// The conversation is closed for good: the next one takes its place.
fn replace(context: &Memo) -> Verdict {
    let mut learned = vec![
        Learned::absent(&context.fact),
        Learned::absent("conversation"),
        Learned::is("generation", (context.generation + 1).to_string()),
    ];
    if !context.new_session {
        let at = context.at.to_string();
        learned.push(Learned::is(facts::answered(&context.current), at));
    }
    learned.extend(
        context
            .ended
            .iter()
            .map(|(fact, value)| Learned::is(fact, value)),
    );
    Verdict::Known(learned)
}

/// Whether the words name the attribute as a word of its own.
fn mentions(said: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    said.match_indices(name).any(|(at, _)| {
        let before = said[..at].chars().next_back();
        let after = said[at + name.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests;
