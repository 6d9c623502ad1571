//! What an answer of the broker or the endpoint proves.
//!
//! Any 2xx is a success, 410 asks for no more events, and what else an endpoint answers is tried again.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::time::Duration;

use handoffd_contract::{Effect, HttpReply, Publication, Reason, Reply, Step, Stop, Verdict};

/// An endpoint that asks for patience is believed for an hour at most.
const LONGEST: u64 = 3_600;

/// The verdict.
pub(crate) fn read(step: &Step, reply: &Reply) -> Verdict {
    let text = |name: &str| step.context.get(name).and_then(serde_json::Value::as_str);
    let (Some(fact), Some(value)) = (text("fact"), text("value")) else {
        return bug(step);
    };
    match reply {
        Reply::Http(reply) if reply.ok() => Verdict::known(fact, value),
        Reply::Http(reply) => refused(reply),
        Reply::Published(Publication::Confirmed) => Verdict::known(fact, value),
        Reply::Published(Publication::Unroutable { words }) => {
            Verdict::later(Stop::new(Reason::Unroutable, words), Effect::None)
        }
        // With several queues bound, one of them may have it all the same.
        Reply::Published(Publication::Refused) => Verdict::later(
            Stop::new(Reason::ServerError, "the broker refused the message"),
            Effect::Possible,
        ),
        Reply::Media(_) => bug(step),
    }
}

/// The body of an answer is not kept: it may repeat what was sent.
fn refused(reply: &HttpReply) -> Verdict {
    let (reason, effect) = match reply.status {
        401 | 403 | 407 => (Reason::Unauthorized, Effect::None),
        404 | 405 | 300..=399 => (Reason::WrongAddress, Effect::None),
        429 => (Reason::RateLimited, Effect::None),
        408 | 409 | 425 | 500.. => (Reason::ServerError, Effect::Possible),
        410 => {
            let words = "answered 410: it wants no more events";
            return Verdict::Never(Stop::new(Reason::EndpointGone, words));
        }
        413 => {
            let words = "answered 413: the event is larger than it takes";
            return Verdict::Never(Stop::new(Reason::TooLarge, words));
        }
        status => {
            let words = format!("answered {status}: it does not take this event");
            return Verdict::Never(Stop::new(Reason::Invalid, words));
        }
    };
    let after = reply.retry_after().map(|seconds| seconds.min(LONGEST));
    Verdict::Later {
        stop: Stop::new(reason, format!("answered {}", reply.status)),
        after: after.map(Duration::from_secs),
        effect,
    }
}

fn bug(step: &Step) -> Verdict {
    let words = format!("{} got a reply of another kind", step.name);
    Verdict::Never(Stop::new(Reason::Bug, words))
}
