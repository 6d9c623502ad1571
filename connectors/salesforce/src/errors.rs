//! What a status means whatever was asked, and Salesforce's own words.
//!
//! The body's form is not documented, so only its status decides, and its words are for people.
//! <https://github.com/Salesforce-Async-Messaging/messaging-web-api-sample-app>

use std::time::Duration;

use handoffd_contract::{Effect, HttpReply, Reason, Stop, Verdict};

/// The gateway's words, as plain text, for an access token that has run out.
pub(crate) const EXPIRED: &str = "Jwt is expired";

/// How long to wait after the entries list refused a read.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What means the same whatever was asked.
pub(crate) fn common(reply: &HttpReply) -> Option<Verdict> {
    let none = |reason| Verdict::later(Stop::new(reason, words(reply)), Effect::None);
    Some(match reply.status {
        // A page of a proxy or of a login is no answer of the messaging service.
        200..=299 if !reply.body.iter().all(u8::is_ascii_whitespace) && reply.json().is_none() => {
            Verdict::later(
                Stop::new(
                    Reason::ServerError,
                    format!("answered {} with something that is not JSON", reply.status),
                ),
                Effect::Possible,
            )
        }
        300..=399 => Verdict::Never(Stop::new(
            Reason::Invalid,
            format!(
                "answered {} (a redirect): the address in the settings is not the messaging service's",
                reply.status
            ),
        )),
        401 => none(Reason::Unauthorized),
        412 => Verdict::Later {
            stop: Stop::new(Reason::Waiting, words(reply)),
            after: Some(Duration::from_secs(2)),
            effect: Effect::None,
        },
        408 | 500.. => Verdict::later(
            Stop::new(Reason::ServerError, words(reply)),
            Effect::Possible,
        ),
        0..=199 => Verdict::later(
            Stop::new(Reason::ServerError, format!("answered {}", reply.status)),
            Effect::Possible,
        ),
        _ => return None,
    })
}

/// A 429 does not say whose limit is reached. In a conversation that exists, the documented limits
/// are that conversation's (22 messages a minute; reads of its entries), so only it waits; what
/// begins one can only have met the organisation's.
/// <https://help.salesforce.com/s/articleView?id=service.miaw_rate_limits>
pub(crate) fn limited(name: &str, reply: &HttpReply) -> Verdict {
    let asked = reply.retry_after().map(Duration::from_secs);
    let (reason, after) = match name {
        "conversation.create" => (Reason::RateLimited, asked),
        // The entries list takes a read every three seconds, and refuses one every second.
        "message.look" => (
            Reason::ConversationLimited,
            Some(asked.unwrap_or(LOOK_AGAIN).max(LOOK_AGAIN)),
        ),
        _ => (Reason::ConversationLimited, asked),
    };
    Verdict::Later {
        stop: Stop::new(reason, words(reply)),
        after,
        effect: Effect::None,
    }
}

pub(crate) fn never(reason: Reason, reply: &HttpReply) -> Verdict {
    Verdict::Never(Stop::new(reason, words(reply)))
}

/// Salesforce's own words: `message` of a JSON body, else the text, unless it is a page.
pub(crate) fn words(reply: &HttpReply) -> String {
    let said = match reply.json() {
        Some(body) => body["message"]
            .as_str()
            .or(body["error"].as_str())
            .unwrap_or_default()
            .to_owned(),
        None => reply.words(Stop::MAX_MESSAGE),
    };
    let said = said.trim();
    let shown = if said.starts_with('<') { "" } else { said };
    let shown: String = shown.chars().take(Stop::MAX_MESSAGE - 20).collect();
    match shown.as_str() {
        "" => format!("answered {}", reply.status),
        shown => format!("{}: {shown}", reply.status),
    }
}
