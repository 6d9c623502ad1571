//! What a reply proves.
//!
//! | reply to a send | verdict |
//! | --- | --- |
//! | 2xx with a message id | sent |
//! | 131047 | not sent; the window counts as closed until the customer writes again |
//! | recipient, content, template | not sent and never will be: the rep is told, the lane goes on |
//! | 131053, first time | not sent; the file is uploaded once more |
//! | throttles, token, account, maintenance | not sent; later |
//! | 1, 2, 131000, 131016, other 5xx, unreadable | unknown: a status decides, or a person |
//!
//! What a gateway over HTTP answers, `http` reads.

use handoffd_contract::lane::carried_fact;
use handoffd_contract::{
    Effect, HttpReply, Learned, MediaProblem, Publication, Reason, Reply, Step, Stop, Verdict,
};
use serde_json::Value;

use crate::activity;
use crate::cloud::{self, SendMemo};
use crate::errors::Failure;
use crate::errors::codes::Class;
use crate::exit::Exit;
use crate::facts;
use crate::gateway;
use crate::http::{self, HttpMemo};
use crate::settings::Settings;

/// What a reply proves about the step's facts.
pub(crate) fn read(settings: &Settings, step: &Step, reply: &Reply) -> Verdict {
    match (step.name, reply) {
        (http::SEND | http::NEW_ID | http::LOOK, _) => over_http(settings, step, reply),
        (cloud::SEND, Reply::Http(reply)) => {
            match serde_json::from_value::<SendMemo>(step.context.clone()) {
                Ok(context) => send(&context, reply),
                Err(_) => bug(step),
            }
        }
        (cloud::UPLOAD, Reply::Http(reply)) => match text(&step.context, "media") {
            Some(fact) => upload(fact, reply),
            None => bug(step),
        },
        (cloud::UPLOAD, Reply::Media(problem)) => match text(&step.context, "media") {
            Some(fact) => no_bytes(fact, *problem),
            None => bug(step),
        },
        (activity::SHOW, Reply::Http(reply)) => match text(&step.context, "fact") {
            Some(fact) => shown(fact, reply),
            None => bug(step),
        },
        (gateway::PUBLISH, Reply::Published(said)) => published(step, said),
        (gateway::PUBLISH, Reply::Media(problem)) => match text(&step.context, "fact") {
            Some(fact) => not_carried(fact, *problem),
            None => bug(step),
        },
        _ => bug(step),
    }
}

/// What a gateway's answer proves.
fn over_http(settings: &Settings, step: &Step, reply: &Reply) -> Verdict {
    let memo = serde_json::from_value::<HttpMemo>(step.context.clone());
    let (Exit::Http(gateway), Ok(memo)) = (&settings.exit, memo) else {
        return bug(step);
    };
    match (step.name, reply) {
        (http::SEND, Reply::Http(reply)) => http::read(gateway, &memo, reply),
        (http::NEW_ID, Reply::Http(reply)) => http::had(gateway, &memo, reply),
        (http::LOOK, Reply::Http(reply)) => http::looked(gateway, &memo, reply),
        (http::SEND, Reply::Media(problem)) => not_carried(&memo.sent, *problem),
        _ => bug(step),
    }
}

fn send(context: &SendMemo, reply: &HttpReply) -> Verdict {
    if reply.ok() {
        let body = reply.json().unwrap_or_default();
        return match body
            .pointer("/messages/0/id")
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty())
        {
            Some(id) => Verdict::Known(vec![
                Learned::is(&context.sent, id),
                Learned::is(facts::wamid(id), &context.reference),
                Learned::is(carried_fact(id), facts::item(&context.sent)),
                Learned::is(facts::LAST, format!("{} {}", context.reference, context.at)),
            ]),
            None => Verdict::later(
                Stop::new(Reason::ServerError, "answered 2xx without a message id"),
                Effect::Possible,
            ),
        };
    }
    let failure = Failure::of(reply);
    let code = failure
        .code
        .map(|code| code.to_string())
        .unwrap_or_default();
    match failure.class {
        Class::Window => {
            let mut learned = vec![Learned::absent(&context.sent)];
            learned.extend(
                context
                    .last_inbound
                    .as_ref()
                    .map(|last| Learned::is(facts::CLOSED, last)),
            );
            Verdict::Known(learned)
        }
        Class::Upload if context.media.is_some() && context.again.is_none() => {
            let mut learned = vec![Learned::absent(&context.sent)];
            if let Some(media) = &context.media {
                learned.push(Learned::absent(media));
                learned.push(Learned::is(cloud::again(media), code.as_str()));
            }
            Verdict::Known(learned)
        }
        class if class.is_final() => {
            let refused = Learned::refused(&context.sent, class.reason(), failure.message);
            let code = Some(Learned::is(facts::code(&context.sent), code));
            let code = code.filter(|_| failure.code.is_some());
            Verdict::Known(std::iter::once(refused).chain(code).collect())
        }
        _ => later(failure),
    }
}

/// Whether what a rep does was shown. A refusal costs nothing but this.
fn shown(fact: &str, reply: &HttpReply) -> Verdict {
    if reply.ok() {
        let is_shown = activity::is_shown(&reply.json().unwrap_or_default());
        return Verdict::known(fact, if is_shown { "shown" } else { "not shown" });
    }
    let failure = Failure::of(reply);
    match failure.class.is_final() {
        true => Verdict::refused(fact, failure.class.reason(), failure.message),
        false => later(failure),
    }
}

fn upload(fact: &str, reply: &HttpReply) -> Verdict {
    if reply.ok() {
        let body = reply.json().unwrap_or_default();
        return match body
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty())
        {
            Some(id) => Verdict::known(fact, id),
            None => Verdict::later(
                Stop::new(Reason::ServerError, "answered 2xx without a media id"),
                Effect::Possible,
            ),
        };
    }
    let failure = Failure::of(reply);
    match failure.class {
        _ if reply.status == 413 => Verdict::refused(fact, Reason::TooLarge, TOO_LARGE),
        class if class.is_final() => {
            let words: String = failure.message.chars().take(120).collect();
            let why = format!("WhatsApp refused the file ({words})");
            Verdict::refused(fact, class.reason(), why)
        }
        _ => later(failure),
    }
}

fn no_bytes(fact: &str, problem: MediaProblem) -> Verdict {
    let words = match problem {
        MediaProblem::Unreachable => {
            return Verdict::later(
                Stop::new(Reason::MediaUnavailable, problem.words()),
                Effect::None,
            );
        }
        MediaProblem::TooLarge => TOO_LARGE,
        MediaProblem::Gone | MediaProblem::Forbidden => problem.words(),
    };
    Verdict::refused(fact, problem.reason(), words)
}

/// A file that the message must carry could not be had: the rep is told, the lane goes on.
fn not_carried(fact: &str, problem: MediaProblem) -> Verdict {
    match no_bytes(fact, problem) {
        Verdict::Known(_) => {
            let words = problem.words();
            let why = format!("{words}. Attach it again in another form, or send a link.");
            Verdict::refused(fact, problem.reason(), why)
        }
        later => later,
    }
}

fn published(step: &Step, said: &Publication) -> Verdict {
    let (Some(fact), Some(value)) = (text(&step.context, "fact"), text(&step.context, "value"))
    else {
        return bug(step);
    };
    match said {
        Publication::Confirmed => {
            let mut learned = vec![Learned::is(fact, value)];
            if let (Some(reference), Some(at)) =
                (text(&step.context, "reference"), text(&step.context, "at"))
            {
                learned.push(Learned::is(facts::LAST, format!("{reference} {at}")));
            }
            Verdict::Known(learned)
        }
        Publication::Unroutable { words } => {
            Verdict::later(Stop::new(Reason::Unroutable, words), Effect::None)
        }
        // With several queues bound, one of them may have it all the same.
        Publication::Refused => Verdict::later(
            Stop::new(Reason::ServerError, "the broker refused the message"),
            Effect::Possible,
        ),
    }
}

const TOO_LARGE: &str = "the file is larger than WhatsApp takes";

/// A failure that does not last.
pub(crate) fn later(failure: Failure) -> Verdict {
    let (reason, effect) = match failure.class {
        Class::Ambiguous => (Reason::ServerError, Effect::Possible),
        Class::Busy => (Reason::ServerError, Effect::None),
        // Only this customer's messages came too fast; everybody else's go on.
        Class::Pair => (Reason::ConversationLimited, Effect::None),
        Class::Number | Class::App => (Reason::RateLimited, Effect::None),
        Class::Auth => (Reason::Unauthorized, Effect::None),
        _ => (Reason::Account, Effect::None),
    };
    let words = match failure.code {
        Some(code) => format!("{code}: {}", failure.message),
        None => failure.message,
    };
    Verdict::Later {
        stop: Stop::new(reason, words),
        after: failure.after,
        effect,
    }
}

fn bug(step: &Step) -> Verdict {
    Verdict::Never(Stop::new(
        Reason::Bug,
        format!("{} got a reply of another kind", step.name),
    ))
}

fn text<'a>(context: &'a Value, name: &str) -> Option<&'a str> {
    context.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoffd_contract::{Call, Record, Repeat, Settled};
    use serde_json::json;

    #[test]
    fn a_file_that_the_message_must_carry_and_cannot_be_had_is_told() {
        let settings = json!({"exit": "gateway", "exchange": "x", "routing_key": "k"});
        let settings = Settings::read(&settings).expect("valid");
        let step = Step::new(
            gateway::PUBLISH,
            Repeat::Keyed,
            Call::Record(Record::default()),
        )
        .context(json!({"fact": "sent/1/0", "value": "r"}));
        match read(&settings, &step, &Reply::Media(MediaProblem::TooLarge)) {
            Verdict::Known(learned) => {
                let Some(Settled::Refused(stop)) = &learned[0].value else {
                    panic!("{learned:?}")
                };
                assert_eq!(stop.reason, Reason::TooLarge);
                assert!(
                    stop.message.starts_with("the file is larger"),
                    "{}",
                    stop.message
                );
            }
            other => panic!("{other:?}"),
        }
        let again = read(&settings, &step, &Reply::Media(MediaProblem::Unreachable));
        assert!(
            matches!(
                again,
                Verdict::Later {
                    effect: Effect::None,
                    ..
                }
            ),
            "{again:?}"
        );
    }
}
