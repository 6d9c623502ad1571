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
    let Ok(memo) = serde_json::from_value::<Memo>(step.memo.clone()) else {
        return Verdict::Never(Stop::new(Reason::Bug, format!("{}: no memo", step.name)));
    };
    match reply {
        Reply::Http(reply) => http(step.name, &memo, reply),
        Reply::Media(MediaProblem::Unreachable) => Verdict::later(
            Stop::new(Reason::MediaUnavailable, MediaProblem::Unreachable.words()),
            Effect::None,
        ),
        Reply::Media(problem) => lost(&memo, words::media_value(*problem)),
        Reply::Published(_) => Verdict::Never(Stop::new(Reason::Bug, "nothing was published")),
    }
}

fn http(name: &str, memo: &Memo, reply: &HttpReply) -> Verdict {
    if reply.status == 429 {
        return limited(name, reply);
    }
    if let Some(verdict) = common(reply) {
        return verdict;
    }
    match name {
        "conversation.create" => create(memo, reply),
        "message.send" | "file.send" => send(memo, reply),
        "message.look" => look(memo, reply),
        "session.end" => end(memo, reply),
        "reply.acknowledge" => receipt(memo, reply),
        _ => Verdict::Never(Stop::new(Reason::Bug, format!("{name}: unknown step"))),
    }
}

fn create(memo: &Memo, reply: &HttpReply) -> Verdict {
    match reply.status {
        // 409: the conversation exists, under an id that only we derive.
        200..=299 | 409 => Verdict::Known(success(memo)),
        403 => never(Reason::Forbidden, reply),
        404 => never(Reason::NotFound, reply),
        413 => never(Reason::TooLarge, reply),
        _ => match leave_out(memo, reply) {
            Some(verdict) => verdict,
            None => never(Reason::Invalid, reply),
        },
    }
}

/// An over-long value is refused, on every first message of a session as at the creation: the handoff
/// goes on without the attribute, and the rep is told. Where the answer speaks of attributes and names
/// none, the longest goes, one after the other.
fn leave_out(memo: &Memo, reply: &HttpReply) -> Option<Verdict> {
    let said = errors::words(reply);
    let mut named: Vec<&String> = memo
        .optional
        .iter()
        .filter(|name| mentions(&said, name))
        .collect();
    if named.is_empty() && said.to_lowercase().contains("attribute") {
        named.extend(memo.optional.first());
    }
    let first = Learned::absent(&memo.fact);
    let refused = |name: &&String| Learned::is(routing::refused(name), said.clone());
    (!named.is_empty()).then(|| {
        let refused = named.iter().map(refused);
        Verdict::Known(std::iter::once(first).chain(refused).collect())
    })
}

/// A text or caption that is too long is split smaller, and so is all that follows; when it is short
/// already, a text goes as a file, and a file without its caption. The limit is not documented, so
/// that only the words tell.
fn shorten(memo: &Memo, reply: &HttpReply) -> Option<Verdict> {
    let said = errors::words(reply).to_lowercase();
    let long = said.contains("too long")
        || said.contains("maximum length")
        || said.contains("max length")
        || said.contains("exceed") && (said.contains("length") || said.contains("character"))
        || reply.status == 413 && memo.fallback.is_none();
    if !long || memo.units == 0 {
        return None;
    }
    let half = memo.units / 2;
    let mut learned = vec![Learned::absent(&memo.fact)];
    if half < SHORTEST {
        learned.push(Learned::is(facts::cut(&memo.fact), facts::AS_FILE));
    } else {
        learned.push(Learned::is(facts::cut(&memo.fact), half.to_string()));
        learned.push(Learned::is(facts::LIMIT, half.to_string()));
    }
    Some(Verdict::Known(learned))
}

/// A session's end, told by an answer.
fn ended(memo: &Memo) -> [Learned; 2] {
    [
        Learned::is(facts::ended(&memo.current), facts::FOR_SURE),
        Learned::is(facts::answered(&memo.current), memo.at.to_string()),
    ]
}

fn send(memo: &Memo, reply: &HttpReply) -> Verdict {
    if let 400 | 413 | 422 = reply.status
        && let Some(verdict) = leave_out(memo, reply).or_else(|| shorten(memo, reply))
    {
        return verdict;
    }
    match reply.status {
        200..=299 | 409 => Verdict::Known(success(memo)),
        // The messaging session has ended: the same id goes out again in a new one.
        417 | 403 if !memo.new_session => Verdict::Known(
            std::iter::once(Learned::absent(&memo.fact))
                .chain(ended(memo))
                .collect(),
        ),
        417 => Verdict::later(
            Stop::new(Reason::SessionEnded, errors::words(reply)),
            Effect::None,
        ),
        413 if memo.fallback.is_some() => lost(memo, words::TOO_LARGE),
        415 if memo.fallback.is_some() => lost(memo, words::TYPE),
        // Nothing may come after an optional file; whether the conversation itself is unusable, the
        // line that stands for the file finds out.
        400..=499 if memo.fallback.is_some() && reply.status != 404 => lost(memo, words::REFUSED),
        403 | 404 if memo.may_replace => replace(memo),
        403 => never(Reason::Forbidden, reply),
        404 => never(Reason::NotFound, reply),
        413 => never(Reason::TooLarge, reply),
        _ => never(Reason::Invalid, reply),
    }
}

fn look(memo: &Memo, reply: &HttpReply) -> Verdict {
    let absent = Verdict::Known(vec![Learned::absent(&memo.fact)]);
    match reply.status {
        200..=299 => {
            let body = reply.json().unwrap_or_default();
            let Some(entries) = body["conversationEntries"].as_array() else {
                return Verdict::later(
                    Stop::new(Reason::ServerError, "the entries list came without entries"),
                    Effect::None,
                );
            };
            let ours = |entry: &Value| entry["identifier"].as_str() == Some(memo.value.as_str());
            if entries.iter().any(ours) {
                Verdict::Known(success(memo))
            } else {
                absent
            }
        }
        // The conversation is not usable, so nothing came to be in it; sending again finds out why.
        403 | 404 | 409 | 410 | 417 => absent,
        _ => never(Reason::Invalid, reply),
    }
}

fn end(memo: &Memo, reply: &HttpReply) -> Verdict {
    match reply.status {
        // Whatever says that there is no session to end says that it is ended.
        200..=299 | 403 | 404 | 409 | 410 | 417 => Verdict::Known(vec![
            Learned::is(&memo.fact, &memo.value),
            Learned::is(facts::ended(&memo.current), facts::FOR_SURE),
        ]),
        _ => never(Reason::Invalid, reply),
    }
}

/// A receipt is a courtesy: nothing stops for one that is not taken.
fn receipt(memo: &Memo, reply: &HttpReply) -> Verdict {
    let value = if reply.ok() {
        memo.value.clone()
    } else {
        format!("!{}", reply.status)
    };
    Verdict::known(&memo.fact, value)
}

fn success(memo: &Memo) -> Vec<Learned> {
    let mut learned = vec![Learned::is(&memo.fact, &memo.value)];
    learned.extend(
        memo.learn
            .iter()
            .map(|(fact, value)| Learned::is(fact, value)),
    );
    learned
}

/// A file was not taken: a line will stand for it.
fn lost(memo: &Memo, why: &str) -> Verdict {
    match &memo.fallback {
        Some(fallback) if *fallback == memo.fact => Verdict::known(fallback, why),
        Some(fallback) => Verdict::Known(vec![
            Learned::absent(&memo.fact),
            Learned::is(fallback, why),
        ]),
        None => Verdict::Never(Stop::new(Reason::Bug, "a text has no bytes to fetch")),
    }
}

/// The conversation is closed for good: the next one takes its place.
fn replace(memo: &Memo) -> Verdict {
    let mut learned = vec![
        Learned::absent(&memo.fact),
        Learned::absent("conversation"),
        Learned::is("generation", (memo.generation + 1).to_string()),
    ];
    if !memo.new_session {
        let at = memo.at.to_string();
        learned.push(Learned::is(facts::answered(&memo.current), at));
    }
    learned.extend(
        memo.ended
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
